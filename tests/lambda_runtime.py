"""A stub of the Lambda Runtime API that drives the genuine `awslambdaric` process, as the service does.

It serves the four requests of the API (AWS Lambda developer guide, "Using the Lambda runtime API"), starts the runtime client
on a handler with the search path given, hands over one event at a time, and stops the process when an invocation's time is up.
Standard output goes to a file, read when the process asks for its next event, so that every line belongs to its invocation.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["HANDLER", "Invocation", "LambdaRuntime", "StartFailedError", "runtime_folder", "started"]

HANDLER: Final = "main_etl_processor.lambda_handler"
_API: Final = "/2018-06-01/runtime/"
_ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function:flight-data-etl-processor"
_GRACE_S: Final = 2.0  # s after the deadline at which the process is stopped
# What stands in /var/runtime of the managed runtime, beside the standard library.
_RUNTIME: Final = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
_RUNTIME_SDK: Final = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


class StartFailedError(Exception):
    """The process ended before it asked for an event. `answer` is what it posted as its error, None where it posted nothing."""

    def __init__(self, code: int | None, answer: dict[str, Any] | None, lines: Sequence[str]) -> None:
        super().__init__(f"exit code {code}: {answer or list(lines)[-5:]}")
        self.code, self.answer, self.lines = code, answer, tuple(lines)


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One event's answer. `error` is the posted error of a handler that raised; `timed_out` says that the process was stopped."""

    request_id: str
    payload: bytes = b""
    error: dict[str, Any] | None = None
    timed_out: bool = False
    lines: tuple[str, ...] = ()
    rss_mb: float = 0.0  # MB (10^6 B), when the process asks for the next event
    peak_rss_mb: float = 0.0  # MB (10^6 B), since the start of the process
    seconds: float = 0.0  # s, from handing over the event to the answer

    @property
    def answer(self) -> Any:
        """The JSON that the handler returned."""
        assert self.error is None, self.error
        assert not self.timed_out, self.lines[-3:]
        return json.loads(self.payload)

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The lines of standard output that are JSON objects."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    @property
    def logs(self) -> list[dict[str, Any]]:
        return [one for one in self.documents if "_aws" not in one]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Documents in CloudWatch embedded metric format."""
        return [one for one in self.documents if "_aws" in one]

    def messages(self, level: str) -> list[str]:
        return [one["message"] for one in self.logs if one["level"] == level]


@dataclass
class LambdaRuntime:
    """A running process of the runtime client; `invoke` as often as is wanted."""

    process: subprocess.Popen[bytes]
    api: _Api
    output: Path
    began: float  # of time.monotonic(), when the process was started
    init_s: float = 0.0  # s from the start of the process until it asks for its first event
    cold_s: float = 0.0  # s from there until its first answer
    _read: int = 0

    def invoke(self, event: Any, *, timeout_s: float = 120.0) -> Invocation:
        """Hand over an event that has `timeout_s` until it is stopped, and wait until the next one is asked for."""
        request_id = str(uuid.uuid4())
        began = time.monotonic()
        self.api.hand_over(request_id, json.dumps(event).encode(), time.time() + timeout_s)
        answered = self._wait(self.api.answers, began + timeout_s + _GRACE_S)
        ended = time.monotonic()
        if answered is None:
            died = self.process.poll() is not None
            self.stop()
            assert not died, f"the process ended by itself ({self.process.returncode}): {self._lines()[-5:]}"
            return Invocation(request_id=request_id, timed_out=True, lines=self._lines(), seconds=ended - began)
        self.cold_s = self.cold_s or ended - self.began
        kind, body = answered
        assert self._wait(self.api.asked, ended + 30) is not None, "the process does not ask for another event"
        memory = psutil.Process(self.process.pid)
        return Invocation(
            request_id=request_id,
            payload=body if kind == "response" else b"",
            error=json.loads(body) if kind == "error" else None,
            lines=self._lines(),
            rss_mb=memory.memory_info().rss / 1e6,
            peak_rss_mb=_peak_mb(self.process.pid),
            seconds=ended - began,
        )

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Wait for the first request for an event. Raises StartFailedError when the process ends before."""
        if self._wait(self.api.asked, self.began + timeout_s) is None:
            self.stop()
            answer = None if self.api.init_errors.empty() else self.api.init_errors.get()
            raise StartFailedError(self.process.returncode, answer, self._lines())
        self.init_s = time.monotonic() - self.began

    def _wait(self, source: queue.SimpleQueue[Any], until: float) -> Any:
        while True:
            try:
                return source.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None or time.monotonic() > until:
                    return None if source.empty() else source.get()

    def _lines(self) -> tuple[str, ...]:
        with self.output.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        return tuple(data.decode().splitlines())

    def stop(self) -> None:
        """Kill the process as the service does: at once."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def _peak_mb(pid: int) -> float:
    """Peak RSS of a process as the kernel counted it, MB (10^6 B)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


@dataclass
class _Api:
    """What the requests of the process and the calls of the test meet in."""

    events: queue.SimpleQueue[tuple[str, bytes, float] | None] = field(default_factory=queue.SimpleQueue)
    asked: queue.SimpleQueue[bool] = field(default_factory=queue.SimpleQueue)
    answers: queue.SimpleQueue[tuple[str, bytes]] = field(default_factory=queue.SimpleQueue)
    init_errors: queue.SimpleQueue[dict[str, Any]] = field(default_factory=queue.SimpleQueue)

    def hand_over(self, request_id: str, body: bytes, deadline_s: float) -> None:
        self.events.put((request_id, body, deadline_s))


class _Handler(BaseHTTPRequestHandler):
    api: _Api
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # with it an answer takes 40 ms more
    wbufsize = -1

    def do_GET(self) -> None:
        self.api.asked.put(True)
        given = self.api.events.get()
        if given is None:
            self.close_connection = True
            return
        request_id, body, deadline_s = given
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(round(deadline_s * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": _ARN,
            "Lambda-Runtime-Trace-Id": f"Root=1-5759e988-{request_id[:24]};Sampled=0",
            "Content-Type": "application/json",
        }
        self._answer(200, body, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(202, b'{"status":"OK"}', {"Content-Type": "application/json"})
        what = self.path.removeprefix(_API)
        if what == "init/error":
            self.api.init_errors.put(json.loads(body))
        else:
            self.api.answers.put((what.rpartition("/")[2], body))

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def runtime_folder(folder: Path, *, sdk: bool = True) -> Path:
    """Fill `folder` with links to the runtime client and, with `sdk`, the AWS SDK: what /var/runtime holds, and nothing else."""
    for name in (*_RUNTIME, *(_RUNTIME_SDK if sdk else ())):
        found = importlib.util.find_spec(name)
        assert found is not None, f"{name} is not installed"
        assert found.origin is not None
        origin = Path(found.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (folder / origin.name).symlink_to(origin)
    return folder


@contextmanager
def started(
    path: Sequence[Path],
    environment: Mapping[str, str],
    *,
    handler: str = HANDLER,
    memory_mb: int = 3008,
    isolated: bool = False,
    cwd: Path | None = None,
) -> Iterator[LambdaRuntime]:
    """Run the runtime client on `handler`, modules coming from `path`; with `isolated` from there and the standard library only.

    The environment is what Lambda sets, and `environment`; nothing of ours is inherited.
    """
    api = _Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    command = [sys.executable, *(("-S",) if isolated else ()), "-m", "awslambdaric", handler]
    with tempfile.TemporaryDirectory(prefix="lambda-") as folder:
        output = Path(folder) / "output"
        with output.open("wb") as sink:
            runtime = LambdaRuntime(
                subprocess.Popen(
                    command,
                    env=_environment(path, environment, server.server_address[1], handler, memory_mb),
                    cwd=cwd or folder,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                ),
                api,
                output,
                time.monotonic(),
            )
        try:
            runtime.wait_until_ready()
            yield runtime
        finally:
            runtime.stop()
            api.events.put(None)
            server.shutdown()
            server.server_close()
            thread.join()


def _environment(path: Sequence[Path], more: Mapping[str, str], port: int, handler: str, memory_mb: int) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(path[0]),
        "AWS_LAMBDA_FUNCTION_NAME": "flight-data-etl-processor",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/flight-data-etl-processor",
        "AWS_LAMBDA_LOG_STREAM_NAME": "test",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        **more,
    }
