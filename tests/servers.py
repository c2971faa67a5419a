"""Servers that tests start on the loopback interface, each a process of its own that ends with the block."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from ceph import SECRET, USER, ceph, missing
from faults import FaultProxy, fault_proxy
from flight_etl.store.object_cache import ObjectCache
from flight_etl.store.objects import Pool, directly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.store.objects import Bucket, Call

__all__ = [
    "CREDENTIALS",
    "S3",
    "SERVERS",
    "Server",
    "ceph_server",
    "fresh_bucket",
    "moto",
    "moto_server",
    "s3",
    "s3_server",
    "serve",
]

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}

SERVERS: Final = ("moto", pytest.param("ceph", marks=pytest.mark.ceph))
"""An emulator, which also has queues, and the real thing."""

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


@dataclass(frozen=True)
class Server:
    """A server of S3 behind a proxy of ours, and the ecosystem's own client of it, which goes past the proxy."""

    kind: str
    faults: FaultProxy
    client: Any
    credentials: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """By which users name a server and who they are."""
        return {**self.credentials, "AWS_ENDPOINT_URL": self.faults.url}


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
        pool = Pool(call or directly, cache=ObjectCache())
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


@contextmanager
def serve(kind: str) -> Iterator[Server]:
    """Run a server of S3, "moto" or "ceph"."""
    import boto3

    secrets = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET} if kind == "ceph" else {}
    credentials = CREDENTIALS | secrets
    with ceph() if kind == "ceph" else moto() as url, fault_proxy(url) as proxy:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=credentials["AWS_REGION"],
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        )
        yield Server(kind, proxy, client, credentials)
        client.close()


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    with serve("moto") as server:
        yield server


@pytest.fixture(scope="session")
def ceph_server() -> Iterator[Server]:
    if missing():
        give_up = pytest.fail if os.environ.get("CEPH") == "required" else pytest.skip
        give_up(f"Ceph is not installed ({', '.join(missing())} not found); make test-ceph installs it")
    with serve("ceph") as server:
        yield server


@pytest.fixture(params=SERVERS)
def s3_server(request: pytest.FixtureRequest) -> Server:
    server = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(server, Server)
    return server


@pytest.fixture
def s3(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> S3:
    """A fresh bucket, named by the environment as users name theirs."""
    return fresh_bucket(s3_server, monkeypatch)


def fresh_bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> S3:
    server.faults.forget()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid.uuid4().hex}"
    server.client.create_bucket(Bucket=name)
    return S3(name, server.faults, server.client)
