"""Servers that tests start on the loopback interface, each a process of its own that ends with the block."""

from __future__ import annotations

import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from faults import FaultProxy, fault_proxy
from flight_etl.store.objects import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults import FaultProxy
    from flight_etl.store.objects import Bucket, Call

__all__ = ["CREDENTIALS", "S3", "moto", "s3", "s3_server"]

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


@dataclass
class S3:
    """A fresh bucket behind the proxy `faults`, and the ecosystem's own client to look at it from outside."""

    name: str
    faults: FaultProxy
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def bucket(self, call: Call | None = None) -> Bucket:
        pool = Pool(call) if call else Pool()
        return pool.open(self.url)[0]

    def put(self, **objects: bytes) -> None:
        for key, data in objects.items():
            self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket."""
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {one["Key"]: self.client.get_object(Bucket=self.name, Key=one["Key"])["Body"].read() for one in found}

    def uploads(self) -> list[str]:
        """Keys of multipart uploads that are neither completed nor aborted."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[FaultProxy, Any]]:
    import boto3

    with moto() as url, fault_proxy(url) as proxy:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=CREDENTIALS["AWS_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        yield proxy, client
        client.close()


@pytest.fixture
def s3(s3_server: tuple[FaultProxy, Any], monkeypatch: pytest.MonkeyPatch) -> S3:
    """A fresh bucket, named by the environment as users name theirs."""
    proxy, client = s3_server
    proxy.forget()
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.url}.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    return S3(name, proxy, client)
