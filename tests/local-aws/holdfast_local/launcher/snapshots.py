"""What ec2-sim knows of one snapshot, for the decisions that AWS makes by a snapshot's tags and by its key."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit


class Snapshots:
    """Asks the simulator for snapshots, one account and region at a time."""

    def __init__(self, simulator: str) -> None:
        """Ask the simulator at this address."""
        address = urlsplit(simulator)
        self._host, self._port = address.hostname, address.port

    def find(self, account: str, region: str, snapshot_id: str) -> dict[str, Any] | None:
        """Give the snapshot if it is there and belongs to the account."""
        # A simulator that cannot narrow its listing to one snapshot lists all.
        query = urlencode({"account": account, "region": region, "snapshot_id": snapshot_id})
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            connection.request("GET", f"/_sim/snapshots?{query}")
            answer = connection.getresponse()
            listed = json.loads(answer.read()) if answer.status == 200 else []
        finally:
            connection.close()
        return next((s for s in listed if s["snapshot_id"] == snapshot_id and not s["deleted"]), None)
