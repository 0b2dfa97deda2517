"""A gate in front of AWS that lets nothing through which is signed for one region: so that region is cut off.

What comes to it for any other region is passed on as it is. It looks at signatures, as each of them names a
region, and so it is the same for every service.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit

# Credential=KEY/20261126/REGION/SERVICE/aws4_request, in a header or, of a signed address, in the query.
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_OF_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
_SECONDS = 120


class Gate(ThreadingHTTPServer):
    """Stands before an endpoint, closed for one region, and counts what comes by region and service."""

    daemon_threads = True

    def __init__(self, endpoint: str, closed: str) -> None:
        """Take a free port."""
        super().__init__(("127.0.0.1", 0), _Visitor)
        self.behind = urlsplit(endpoint)
        self.closed = closed
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.passed: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> Gate:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def admits(self, signed: str) -> bool:
        """Count a call, and tell whether it may pass. One without a region may not."""
        found = _SCOPE.search(signed)
        region, service = found.groups() if found else ("no region", "no service")
        admitted = bool(found) and region != self.closed
        with self._lock:
            (self.passed if admitted else self.refused)[region, service] += 1
        return admitted


class _Visitor(BaseHTTPRequestHandler):
    """One connection to the gate."""

    protocol_version = "HTTP/1.1"
    # An answer goes out in one piece, and at once.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Gate

    def _serve(self) -> None:
        """Pass a call on, or close the connection without an answer."""
        body = self._read_body()
        if not self.server.admits(f"{self.headers.get('authorization', '')} {unquote(self.path)}"):
            self.close_connection = True
            return
        behind = self.server.behind
        connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=_SECONDS)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() not in _OF_ONE_CONNECTION}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            self._answer(answer, answer.read())
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def _answer(self, answer: http.client.HTTPResponse, body: bytes) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_ONE_CONNECTION:
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        length = answer.getheader("content-length", "0") if is_head else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(b"" if is_head else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
