"""Servers that tests start on the loopback interface, each a process of its own that ends with the block."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CREDENTIALS", "moto"]

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}

# The server says its port when it listens, and goes when its standard input ends, which it does when we are killed.
_MOTO: Final = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def moto() -> Iterator[str]:
    """Run an emulator of S3 and SQS, and give its URL."""
    with _started([sys.executable, "-W", "ignore", "-c", _MOTO]) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), f"moto did not start (exit code {process.poll()})"
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
