"""What ec2-sim knows, for the decisions that AWS makes by a resource's tags, by its key and by its state."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from defusedxml.ElementTree import fromstring

_FORM = "application/x-www-form-urlencoded"


class World:
    """Asks the simulator, one account and region at a time."""

    def __init__(self, simulator: str) -> None:
        """Ask the simulator at this address."""
        address = urlsplit(simulator)
        self._host, self._port = address.hostname, address.port

    def snapshot(self, account: str, region: str, snapshot_id: str) -> dict[str, Any] | None:
        """Give the snapshot if it is there and belongs to the account."""
        # A simulator that cannot narrow its listing to one snapshot lists all.
        where = {"account": account, "region": region, "snapshot_id": snapshot_id}
        listed = self._control("snapshots", where) or []
        return next((s for s in listed if s["snapshot_id"] == snapshot_id and not s["deleted"]), None)

    def tags(self, account: str, region: str, resource_id: str) -> dict[str, str] | None:
        """Give the tags of a resource of the account; none when it has no such resource."""
        return self._control("tags", {"account": account, "region": region, "resource": resource_id})

    def described(self, account: str, region: str, action: str, **parameters: str) -> Any:
        """Describe something as EC2's own call would, in one XML element; none when EC2 refuses.

        The simulator logs this call and counts it, like any other.
        """
        form = {"Action": action, "Version": "2016-11-15", **parameters}
        headers = {"content-type": _FORM, "x-sim-account": account, "x-sim-region": region}
        answer = self._ask("POST", "/", urlencode(form), headers)
        return None if answer is None else fromstring(answer)

    def _control(self, route: str, query: dict[str, str]) -> Any:
        answer = self._ask("GET", f"/_sim/{route}?{urlencode(query)}")
        return None if answer is None else json.loads(answer)

    def _ask(self, method: str, target: str, body: str = "", headers: dict[str, str] | None = None) -> bytes | None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            connection.request(method, target, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):  # one of the faults that the simulator plays
            return None
        finally:
            connection.close()
        return content if answer.status == 200 else None


def texts(described: Any, path: str) -> list[str]:
    """Give the texts of the elements at a path of names, anywhere in a description."""
    if described is None:
        return []
    steps = "/".join(f"{{*}}{name}" for name in path.split("/"))
    return [found.text or "" for found in described.iterfind(f".//{steps}")]
