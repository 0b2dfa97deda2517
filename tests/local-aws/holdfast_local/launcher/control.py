"""Our own routes, under `/_holdfast/`, in front of MiniStack's.

| route | what it does |
|---|---|
| `GET /_holdfast/health` | answers `{"ok": true}` once everything is in place |
| `GET /_holdfast/decisions[?account=]` | every IAM decision so far, counted; `DELETE` forgets them |
| `GET /_holdfast/virtual-time` | the accounts whose waits are virtual |
| `POST /_holdfast/virtual-time` | `{"account": "…", "on": true}` |
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from hypercorn.protocol.http_stream import ASGIHTTPState
from ministack import app

from holdfast_local.launcher import decisions, virtual_time
from holdfast_local.launcher.forwarding import ReplyLost

_PREFIX = "/_holdfast/"


class _BadRequestError(Exception):
    pass


def install() -> None:
    """Put the routes in front of MiniStack's application."""
    inner = app.app

    async def outer(scope: dict, receive: Callable[[], Awaitable[dict]], send: Callable) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX):
            await _serve(scope, receive, send)
            return
        try:
            await inner(scope, receive, send)
        except ReplyLost:
            # Makes hypercorn believe that the response has begun: it then closes the connection in mid-air, as a
            # network would, where it would else answer with status 500.
            send.__self__.state = ASGIHTTPState.RESPONSE

    app.app = outer


async def _serve(scope: dict, receive: Callable, send: Callable) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
    try:
        status, answer = _answer(scope["method"], scope["path"].removeprefix(_PREFIX), query, body)
    except _BadRequestError as error:
        status, answer = 400, {"error": str(error)}
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def _answer(method: str, route: str, query: dict[str, str], body: bytes) -> tuple[int, object]:
    match (method, route):
        case ("GET", "health"):
            return 200, {"ok": True}
        case ("GET", "decisions"):
            return 200, {"decisions": decisions.LOG.entries(query.get("account"))}
        case ("DELETE", "decisions"):
            decisions.LOG.clear(query.get("account"))
            return 200, {"decisions": []}
        case ("GET", "virtual-time"):
            return 200, {"accounts": virtual_time.accounts()}
        case ("POST", "virtual-time"):
            account, on = _virtual_time_request(body)
            virtual_time.switch(account, on=on)
            return 200, {"accounts": virtual_time.accounts()}
    return 404, {"error": f"no route {method} {_PREFIX}{route}"}


def _virtual_time_request(body: bytes) -> tuple[str, bool]:
    try:
        request = json.loads(body)
        account, on = request["account"], request["on"]
    except (ValueError, KeyError, TypeError):
        account, on = None, None
    if not isinstance(account, str) or not isinstance(on, bool):
        raise _BadRequestError('give {"account": "000000000000", "on": true}')
    return account, on
