"""EC2 and EBS direct calls go to ec2-sim, once MiniStack has authorised them.

The simulator is another process, asked over connections that stay open, in MiniStack's own event loop: a thread a
call would cost more than the call. No call is ever repeated, since a connection that closes without an answer is one
of the faults that the simulator can be told to play; the caller's own connection is then closed as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import h11
from ministack import app
from ministack.core.iam_evaluator import caller_arn
from ministack.core.responses import get_account_id, get_region

Answer = tuple[int, dict[str, str], bytes]

_CHUNK = 1 << 16
# What belongs to one connection, or what we say ourselves.
_OWN_HEADERS = frozenset(
    {"host", "connection", "keep-alive", "content-length", "transfer-encoding", "te", "upgrade", "expect"}
    | {"x-sim-account", "x-sim-region", "x-sim-principal"}
)


class ReplyLost(BaseException):
    """The simulator closed the connection instead of answering.

    Not an `Exception`, so that MiniStack does not answer with status 500 in its place.
    """


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: h11.Connection

    def is_usable(self) -> bool:
        return not self.reader.at_eof() and not self.writer.is_closing()


class Simulator:
    """Asks the simulator over as many open connections as there are calls at the same time."""

    def __init__(self, url: str) -> None:
        """Speak to the simulator at `url`."""
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._idle: list[_Connection] = []

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make one call. Raises `ReplyLost` when the connection ends first."""
        connection = await self._connection()
        try:
            answer = await _exchange(connection, self._request(method, target, headers, body), body)
        except (OSError, h11.RemoteProtocolError) as error:
            connection.writer.close()
            raise ReplyLost from error
        except BaseException:
            connection.writer.close()
            raise
        if connection.protocol.our_state is h11.DONE and connection.protocol.their_state is h11.DONE:
            connection.protocol.start_next_cycle()
            self._idle.append(connection)
        else:
            connection.writer.close()
        return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.writer.close()
        reader, writer = await asyncio.open_connection(self._host, self._port)
        return _Connection(reader, writer, h11.Connection(h11.CLIENT))

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> h11.Request:
        fields = [(name, value) for name, value in headers.items() if name.lower() not in _OWN_HEADERS]
        fields += [
            ("host", f"{self._host}:{self._port}"),
            ("content-length", str(len(body))),
            ("x-sim-account", get_account_id()),
            ("x-sim-region", get_region()),
            ("x-sim-principal", caller_arn()),
        ]
        return h11.Request(method=method, target=target, headers=fields)


async def _exchange(connection: _Connection, request: h11.Request, body: bytes) -> Answer:
    protocol = connection.protocol
    sent = protocol.send(request) + protocol.send(h11.Data(body)) + protocol.send(h11.EndOfMessage())
    connection.writer.write(sent)
    await connection.writer.drain()
    status, headers, parts = 0, {}, []
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await connection.reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return status, {n: v for n, v in headers.items() if n not in _OWN_HEADERS}, b"".join(parts)
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("closed before the answer")


def install(url: str) -> None:
    """Put the simulator in the place of MiniStack's own EC2 and EBS."""
    simulator = Simulator(url)

    async def forward(method: str, path: str, headers: dict, body: bytes, query: dict) -> Answer:
        target = quote(path)
        if query:
            target += "?" + urlencode(query, doseq=True)
        return await simulator.ask(method, target, headers, body)

    for service in ("ec2", "ebs"):
        app.SERVICE_HANDLERS[service] = forward
