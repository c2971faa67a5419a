"""A Ceph object gateway on the loopback interface: monitor, one storage daemon in memory, and the gateway, without root.

The one server here that production runs on too: it checks signatures, refuses small parts, and has opinions of its own on
conditional requests. `make test-ceph` installs it from Debian's packages.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COMMANDS", "SECRET", "USER", "ceph", "missing"]

COMMANDS: Final = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
USER, SECRET = "testing", "testing-0123456789"
_START_S: Final = 120  # s until which each of the three must answer
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

# One copy of everything, in memory, on one daemon; no manager. The monitor does not wait for company before it decides.
_CONF: Final = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_port}]
ms bind msgr1 = false
public addr = 127.0.0.1
keyring = {folder}/keyring
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
run dir = {folder}
admin socket =
crash dir = {folder}
mon data = {folder}/mon
mon allow pool size one = true
mon max pg per osd = 10000
paxos propose interval = 0.05
paxos min wait = 0.01
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4G
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}/rgw
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw thread pool size = 64
"""


def missing() -> list[str]:
    """Commands of Ceph that are not installed."""
    return [command for command in COMMANDS if shutil.which(command) is None]


@contextmanager
def ceph() -> Iterator[str]:
    """Run the three servers with the user `USER`, and give the gateway's URL. Nothing outlives the block, or this process."""
    with TemporaryDirectory(prefix="flight-etl-ceph-") as name, ExitStack() as running:
        folder, port = Path(name), _free_port()
        _prepare(folder, port)
        conf = folder / "ceph.conf"
        running.enter_context(_server(conf, "ceph-mon", "-f", "-i", "a"))
        _run(conf, "ceph", "--connect-timeout", str(_START_S), "osd", "create")
        _run(conf, "ceph-osd", "-i", "0", "--mkfs", "--no-mon-config")
        running.enter_context(_server(conf, "ceph-osd", "-f", "-i", "0"))
        _run(conf, "radosgw-admin", "user", "create", "--uid", USER, "--display-name", USER, "--access-key", USER,
             "--secret", SECRET)  # fmt: skip
        gateway = running.enter_context(_server(conf, "radosgw", "-f", "--id", "admin"))
        _await_port(port, gateway, folder)
        yield f"http://127.0.0.1:{port}"


def _prepare(folder: Path, port: int) -> None:
    """Write configuration, keys and the monitor's map."""
    fsid, mon_port, conf = str(uuid.uuid4()), _free_port(), folder / "ceph.conf"
    conf.write_text(_CONF.format(folder=folder, fsid=fsid, port=port, mon_port=mon_port))
    for part in ("mon", "osd", "rgw"):
        (folder / part).mkdir()
    keyring = str(folder / "keyring")
    everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]
    _run(conf, "ceph-authtool", keyring, "--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    _run(conf, "ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *everything)
    _run(conf, "ceph-authtool", keyring, "--gen-key", "-n", "osd.0", *everything)
    monmap = str(folder / "monmap")
    _run(conf, "monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", "--fsid", fsid, monmap)
    _run(conf, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)


def _run(conf: Path, command: str, *arguments: str) -> None:
    done = subprocess.run([command, "-c", str(conf), *arguments], capture_output=True, text=True, timeout=_START_S, check=False)
    assert done.returncode == 0, f"{command} {' '.join(arguments)}: exit code {done.returncode}: {done.stderr[-2000:]}"


@contextmanager
def _server(conf: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with (conf.parent / f"{command[0]}.out").open("wb") as out:
        process = subprocess.Popen(
            [command[0], "-c", str(conf), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call into the C library, nothing of Python
        )
    try:
        yield process
    finally:
        process.kill()  # what it holds is in memory, and goes with the folder
        process.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    assert isinstance(port, int)
    return port


def _await_port(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    told = (folder / "radosgw.out").read_text(errors="replace")[-2000:]
    raise AssertionError(f"the gateway did not start (exit code {process.poll()}): {told}")
