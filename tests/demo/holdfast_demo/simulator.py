"""The EC2 simulator's own routes: what no AWS client can see or do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from holdfast_demo.errors import DemoError

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(method: str, url: str, body: object = None) -> Any:
    """Ask a route of the local stack for JSON. Bytes are sent as they are, everything else as JSON."""
    content = ask_bytes(method, url, body)
    return json.loads(content) if content else None


def ask_bytes(method: str, url: str, body: object = None) -> bytes:
    """Ask a route of the local stack for bytes."""
    raw = isinstance(body, bytes)
    data = body if raw or body is None else json.dumps(body).encode()
    kind = "application/octet-stream" if raw else "application/json"
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)  # type: ignore[arg-type]
    try:
        with _OPENER.open(request, timeout=120) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise DemoError(f"The local stack refused {method} {url}: {error.code} {said}") from error
    except OSError as error:
        raise DemoError(f"The local stack does not answer {method} {url}: {error}") from error


class Simulator:
    """One account's world in one region."""

    def __init__(self, url: str, account: str, region: str) -> None:
        """Remember whose world it is."""
        self._url = url.rstrip("/")
        self._whose = {"account": account, "region": region}

    def ask(self, method: str, route: str, body: object = None, **query: object) -> Any:
        """Ask one of the simulator's own routes."""
        return ask(method, self._route(route, **query), body)

    def _route(self, route: str, **query: object) -> str:
        return f"{self._url}/_sim/{route}?{urlencode({**self._whose, **query})}"

    def configure(self, **settings: object) -> None:
        """Turn some of its settings."""
        self.ask("POST", "settings", settings)

    def write(self, volume_id: str, offset: int, data: bytes) -> None:
        """Write to a volume, as its instance would."""
        self.ask("PUT", f"volumes/{volume_id}/content", data, offset=offset)

    def read(self, volume_id: str, offset: int, length: int) -> bytes:
        """Read from a volume, as its instance would."""
        return ask_bytes("GET", self._route(f"volumes/{volume_id}/content", offset=offset, length=length))

    def blocks(self, volume_id: str) -> dict[int, str]:
        """Give the SHA-256 of each 512 KiB block of a volume that holds data, as it is now."""
        digest = self.ask("GET", f"volumes/{volume_id}/digest")
        return {int(index): sha256 for index, sha256 in digest["blocks"]}

    def snapshots(self, **named: str) -> list[dict[str, Any]]:
        """Give every snapshot there is or was, those of a tag if one is named."""
        return self.ask("GET", "snapshots", **named)

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Give the account's calls after a number, in the order of their outcomes, whatever their region."""
        return self.ask("GET", "calls", since=since)["calls"]

    def last_call(self) -> int:
        """Give the number of the account's newest call."""
        return self.ask("GET", "calls/summary")["last_seq"]

    def now(self) -> str:
        """Give the time by the account's clock."""
        return self.ask("GET", "clock")["now"]

    def stop_clock_at(self, moment: str) -> None:
        """Let the account's EC2 live at a moment, until the clock goes again."""
        self.ask("POST", "clock", {"mode": "frozen", "now": moment})

    def let_clock_go(self) -> None:
        """Let the account's clock go with the machine's."""
        self.ask("POST", "clock", {"mode": "real"})
