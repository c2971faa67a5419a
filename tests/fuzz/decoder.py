"""Coverage-guided fuzzing of the fast decoder, in a build with AddressSanitizer and UndefinedBehaviorSanitizer.

    python tests/fuzz/decoder.py [SECONDS] [SEED]       needs gcc and Cython; works in a temporary folder

Inputs that take the parser along edges that no earlier one took (or as often as none did) are kept and mutated further. Each
of these, and each twentieth of all, also goes to the reference decoder, which must give the same rows, drops and error.
Prints the figures; a crash of the sanitizers, or a difference, ends it with the input in hexadecimal and exit code 1.
"""

from __future__ import annotations

import ctypes
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
EDGES: Final = 1 << 16  # as in coverage.c
CHECK_EVERY: Final = 20  # inputs
FLAGS: Final = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
COVERAGE: Final = "-fsanitize-coverage=trace-pc"
LAYOUTS: Final = ("flat", "opensky", "opensky-history", "readsb", "adsbx-v2", "adsbx-v1", "trace")
TOKENS: Final = (
    *(b"null", b"true", b"false", b"NaN", b"-Infinity", b'"ground"', b"{}", b"[]", b"[[", b"}]", b'"', b"\\u00e9"),
    *(b"\\ud800", b"\\", b"0", b"-0", b"1e400", b"1e-400", b"9007199254740993", b"18446744073709551616", b"0.1e-5"),
    *(b"4.9e-324", b"01", b"-", b"\xff", b",", b":", b"\n", b"\x00", b"\xef\xbb\xbf"),
    *(b'"time":', b'"states":', b'"now":', b'"aircraft":', b'"trace":', b'"icao24":'),
)


def main(seconds: float, seed: int) -> int:
    """Build, then fuzz in a process that the sanitizers watch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__", "*.egg-info"))
        for file in ("setup.py", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / file, folder)
        library = folder / "coverage.so"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", str(HERE / "coverage.c"), "-o", str(library)], check=True)
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        built = os.environ | {"FLIGHT_ETL_CFLAGS": f"{FLAGS} {COVERAGE}", "LDFLAGS": "-fsanitize=address,undefined"}
        subprocess.run(build, cwd=folder, env=built, check=True, stderr=subprocess.DEVNULL)
        asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True).stdout.strip()
        watched = os.environ | {
            "LD_PRELOAD": f"{asan} {library}",
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",  # so that every bytes object is a block of its own, with guards round it
            "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(ROOT / "tests" / "core")]),
        }
        command = [sys.executable, str(Path(__file__)), "--inside", str(library), str(seconds), str(seed), str(folder / "last")]
        done = subprocess.run(command, env=watched, check=False)
        if done.returncode:
            print("input:", (folder / "last").read_bytes().hex())
        return done.returncode


def inside(library: str, seconds: float, seed: int, last: Path) -> None:
    """Fuzz; what is tried is in the file `last` while it is."""
    from flight_etl.core.decode import decoder_name

    assert decoder_name() == "fast"
    edges = (ctypes.c_uint8 * EDGES).in_dll(ctypes.CDLL(library), "edges")
    rng = random.Random(seed)
    corpus = [(seed_of(layout, rng), layout) for layout in LAYOUTS for _ in range(4)]
    seen: set[tuple[int, int]] = set()
    tried = checked = rows = 0
    began = time.monotonic()
    queue = list(corpus)
    while time.monotonic() - began < seconds:
        data, layout = queue.pop() if queue else rng.choice(corpus)
        if tried >= len(corpus):
            data = mutated(rng, data, rng.choice(corpus)[0])
        last.write_bytes(layout.encode() + b"\n" + data)
        ctypes.memset(edges, 0, EDGES)
        block = rng.choice([1 << 20, 1 << 20, 7, 64])
        found = decoded(data, layout, block, fast=True)
        tried += 1
        rows += len(found[0])
        new = {(at, count.bit_length()) for at, count in enumerate(bytes(edges)) if count} - seen
        if new:
            seen |= new
            corpus.append((data, layout))
        if new or tried % CHECK_EVERY == 0:
            checked += 1
            expected = decoded(data, layout, block, fast=False)
            assert str(found) == str(expected), f"{layout}: the decoders differ\n{found}\n{expected}"
    taken = len({at for at, _ in seen})
    print(
        f"{tried:,} inputs in {time.monotonic() - began:.0f} s, {rows:,} rows, {checked:,} checked against the reference; "
        f"{taken:,} edges taken, {len(corpus):,} inputs kept; nothing found"
    )


def seed_of(layout: str, rng: random.Random) -> bytes:
    from flight_etl.bench.generate import write

    file = io.BytesIO()
    write(file, rng.choice([2, 5, 12]), layout=layout, complexity="complex", seed=rng.randrange(1000), ndjson=True)
    return file.getvalue()


def mutated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Change some bytes, tokens or stretches."""
    text = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice([1, 2, 8, 40]))
        kind = rng.randrange(7)
        if kind == 0 and at < len(text):
            text[at] = rng.randrange(256)
        elif kind == 1:
            text[at:at] = rng.choice(TOKENS)
        elif kind == 2:
            text[at:end] = rng.choice(TOKENS)
        elif kind == 3:
            del text[at:end]
        elif kind == 4:
            text[at:at] = text[at:end] * rng.choice([1, 2, 30])
        elif kind == 5:
            begin = rng.randrange(len(other) + 1)
            text[at:end] = other[begin : begin + rng.choice([4, 40, 400])]
        else:
            del text[at:]
        if len(text) > 20_000:
            del text[20_000:]
    return bytes(text)


def decoded(data: bytes, layout: str, block: int, *, fast: bool) -> tuple[list[dict[str, Any]], Any, Any]:
    """Rows, drops and error that a decoder gives."""
    import sources

    from flight_etl.settings import DecodeSettings

    source = sources.Memory(data, block)
    settings = DecodeSettings(chunk_rows=50)
    result = sources._decoded(source, layout, settings) if fast else sources.decoded(source, layout, chunk_rows=50)
    return result.kept.to_pylist(), result.dropped, (result.error, result.counts)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    else:
        sys.exit(main(*map(float, sys.argv[1:2] or ["60"]), *map(int, sys.argv[2:3] or ["0"])))
