"""A proxy on the loopback interface that counts requests and makes chosen ones fail as real networks and services do."""

from __future__ import annotations

import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "Fault",
    "FaultProxy",
    "Request",
    "denied",
    "fault_proxy",
    "latency",
    "lost",
    "reset",
    "short",
    "slow_down",
    "storm",
    "too_many",
]


@dataclass(frozen=True)
class Request:
    """What a rule may look at. `number` counts from 1 the requests that had the same method, path and query."""

    method: str
    path: str
    query: str
    number: int

    @property
    def operation(self) -> str:
        """The S3 operation, as far as the request line tells it."""
        query = parse_qs(self.query, keep_blank_values=True)
        if "uploads" in query:
            return "CreateMultipartUpload" if self.method == "POST" else "ListMultipartUploads"
        if "uploadId" in query:
            names = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
            return names.get(self.method, "ListParts")
        if "delete" in query:
            return "DeleteObjects"
        if self.method == "GET" and "/" not in self.path.strip("/"):
            return "ListObjectsV2"
        return f"{self.method.title()}Object"


@dataclass(frozen=True)
class Fault:
    """One way to fail. `after_bytes` of the body pass before a reset or an early end."""

    kind: Literal["status", "reset", "short", "latency", "lost"]
    status: int = 0
    code: str = ""
    after_bytes: int = 0
    seconds: float = 0.0
    retry_after_s: int | None = None


_BY_CHANCE: Final = re.compile(r"\b[0-9a-f]{12,}\b|uploadId=[^&]*")  # names that differ from run to run

slow_down: Final = Fault("status", 503, "SlowDown")
too_many: Final = Fault("status", 429, "TooManyRequests")
denied: Final = Fault("status", 403, "AccessDenied")


def storm(share: float, faults: Sequence[Fault], *, seed: int) -> Callable[[Request], Fault | None]:
    """Rule by which a share of all requests fails, each in one of the ways given, and the same ones in every run.

    Which ones depends on the request, on how often it was made and on the seed, so that threads may come in any order.
    """

    def rule(request: Request) -> Fault | None:
        name = f"{seed} {request.number} {request.method} {request.path}?{request.query}"
        chance = random.Random(_BY_CHANCE.sub("", name))
        return chance.choice(faults) if chance.random() < share else None

    return rule


def reset(after_bytes: int) -> Fault:
    """Break the connection in the midst of the body, with a TCP reset."""
    return Fault("reset", after_bytes=after_bytes)


def lost() -> Fault:
    """Let the server do what it was asked, and break the connection instead of passing its answer on."""
    return Fault("lost")


def short(after_bytes: int) -> Fault:
    """Send less of the body and announce no more than that, so that no HTTP client can notice."""
    return Fault("short", after_bytes=after_bytes)


def latency(seconds: float) -> Fault:
    """Answer late."""
    return Fault("latency", seconds=seconds)


@dataclass
class FaultProxy:
    """Stands before `target`. `rule` chooses the fault of each request, None to let it pass."""

    url: str
    target: str
    rule: Callable[[Request], Fault | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def admit(self, method: str, target: str) -> tuple[Request, Fault | None]:
        """Book a request and choose its fault."""
        parts = urlsplit(target)
        with self._lock:
            key = (method, parts.path, parts.query)
            self._seen[key] += 1
            request = Request(method, parts.path, parts.query, self._seen[key])
            self.requests.append(request)
        return request, self.rule(request)

    def connected(self) -> None:
        """Book a connection."""
        with self._lock:
            self.connections += 1

    def calls(self) -> dict[str, int]:
        """Requests so far, by S3 operation."""
        return dict(Counter(request.operation for request in self.requests))

    def forget(self) -> None:
        """Count anew, and fail no more."""
        with self._lock:
            self.requests.clear()
            self.connections = 0
            self._seen.clear()
            self.rule = lambda _: None


@contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    """Run a proxy before the server at the URL `target`."""
    proxy = FaultProxy("", target)

    class Handler(_Handler):
        faults = proxy

    server = _Server(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    faults: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.faults.connected()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, fault = self.faults.admit(self.command, self.path)
        if fault is not None and fault.kind == "latency":
            time.sleep(fault.seconds)
        if fault is not None and fault.kind == "status":
            self._refuse(fault)
            return
        if fault is not None and fault.kind == "reset" and not fault.after_bytes:
            self._break()
            return
        self._pass_on(body, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the names http.server looks for

    def _refuse(self, fault: Fault) -> None:
        body = b"" if self.command == "HEAD" else f"<Error><Code>{fault.code}</Code><Message>made up</Message></Error>".encode()
        self.send_response_only(fault.status)
        if fault.retry_after_s is not None:
            self.send_header("Retry-After", str(fault.retry_after_s))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self, body: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection(urlsplit(self.faults.target).netloc, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            data = b"" if self.command == "HEAD" else answer.read()
            self._answer(answer, data, fault)
        finally:
            upstream.close()

    def _answer(self, answer: http.client.HTTPResponse, data: bytes, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "lost":
            self._break()
            return
        cut = fault if fault is not None and fault.kind in {"reset", "short"} and answer.status < 300 and data else None
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        length = min(cut.after_bytes, len(data)) if cut is not None and cut.kind == "short" else len(data)
        self.send_header("Content-Length", answer.headers["Content-Length"] if self.command == "HEAD" else str(length))
        self.end_headers()
        if cut is None:
            self.wfile.write(data)
            return
        self.wfile.write(data[: cut.after_bytes])
        self.wfile.flush()
        if cut.kind == "reset":
            time.sleep(0.05)  # a reset overtakes what the client has not read
            self._break()

    def _break(self) -> None:
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""
