"""Batches in the layouts of DESIGN section 4, byte for byte as their sources write them (DOMAIN section 1)."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import orjson
import zstandard
from isal import igzip

from flight_etl.bench.documents import DOCUMENTS, decimals, heard, padded, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flight_etl.bench.batch import Batch

__all__ = ["LAYOUT_NAMES", "Destination", "Form", "flat_records", "write_batches"]

Destination = str | os.PathLike[str] | BinaryIO

_CHUNK_ROWS: Final = 512  # rows that are Python objects at one time
_ADSB: Final = 0  # OpenSky's number for a position source
_FLAT: Final = (
    *("icao24", "callsign", "origin_country", "timestamp", "time_position", "last_contact", "latitude", "longitude"),
    *("altitude", "geo_altitude", "velocity", "heading", "vertical_rate", "on_ground", "squawk", "spi"),
    *("position_source", "category"),
)
_HISTORY: Final = (
    *("time", "icao24", "lat", "lon", "velocity", "heading", "vertrate", "callsign", "onground", "alert", "spi"),
    *("squawk", "baroaltitude", "geoaltitude", "lastposupdate", "lastcontact"),
)
LAYOUT_NAMES: Final = (*DOCUMENTS, "opensky-history", "flat", "flat-columns")


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How to write."""

    layout: str
    extras: bool = False  # flat records get nested objects that no layout declares
    ndjson: bool | None = None  # records one a line; None: unless the path says .json
    extended: bool = False  # OpenSky rows get an 18th column, the category


def write_batches(destination: Destination, batches: Iterable[Batch], form: Form) -> int:
    """Write all batches; gives the bytes before compression. Raises ValueError, OSError."""
    if form.layout not in LAYOUT_NAMES:
        raise ValueError(f"layout={form.layout!r}: must be one of {', '.join(LAYOUT_NAMES)}")
    with _opened(destination) as (sink, suffix):
        if form.layout in DOCUMENTS:
            document = DOCUMENTS[form.layout]
            return _write_lines(sink, (line for batch in batches for line in document(batch, extended=form.extended)))
        if form.layout == "flat-columns":
            return _write_columns(sink, batches)
        if form.layout == "opensky-history" and suffix == ".csv":
            return _write_csv(sink, batches)
        history = form.layout == "opensky-history"
        rows = _history_records if history else _flat_with_extras if form.extras else _flat_plain
        chunks = (list(rows(chunk)) for chunk in _chunks(batches))
        one_a_line = suffix != ".json" if form.ndjson is None else form.ndjson
        return _write_records(sink, chunks, b"\n" if one_a_line else b",\n", array=not one_a_line)


@contextmanager
def _opened(destination: Destination) -> Iterator[tuple[IO[bytes], str]]:
    """Open a path, compressing by its ending; gives the file and the ending that is left. A file is used as it is."""
    if not isinstance(destination, (str, os.PathLike)):
        yield destination, ""
        return
    path, ending = os.path.splitext(os.fspath(destination))  # noqa: PTH122 - no Path is needed to look at an ending
    inner = os.path.splitext(path)[1]  # noqa: PTH122
    with ExitStack() as stack:
        raw: IO[bytes] = stack.enter_context(open(destination, "wb"))  # noqa: PTH123 - any path-like will do
        if ending == ".gz":
            # No name and no time in the header, so that the same data gives the same bytes.
            yield stack.enter_context(igzip.IGzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0)), inner
        elif ending == ".zst":
            yield stack.enter_context(zstandard.ZstdCompressor().stream_writer(raw, closefd=False)), inner
        else:
            yield raw, ending


def _write_lines(sink: IO[bytes], lines: Iterable[bytes]) -> int:
    """Write each on a line of its own, some hundred at a time."""
    written, held = 0, bytearray()
    for line in lines:
        held += line
        held += b"\n"
        if len(held) > io.DEFAULT_BUFFER_SIZE * 16:
            written += sink.write(held)
            held.clear()
    return written + sink.write(held)


def _write_records(sink: IO[bytes], chunks: Iterable[list[dict[str, Any]]], between: bytes, *, array: bool) -> int:
    """Write records as the elements of one array, or one a line."""
    written = sink.write(b"[") if array else 0
    before = b""
    for records in chunks:
        # One call for many records is the fastest. No record holds an array of objects, so that "},{" is between two of them.
        text = orjson.dumps(records)[1:-1].replace(b"},{", b"}" + between + b"{")
        written += sink.write(before + text)
        before = between
    return written + sink.write(b"]" if array else before)


def _write_csv(sink: IO[bytes], batches: Iterable[Batch]) -> int:
    """OpenSky's dumps as pandas writes them: True and False, nothing for null."""
    written = sink.write((",".join(_HISTORY) + "\n").encode())
    for chunk in _chunks(batches):
        text = io.StringIO()
        columns = [["" if value != value else value for value in column] for column in _history_columns(chunk)]  # noqa: PLR0124
        csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
        written += sink.write(text.getvalue().encode())
    return written


def _write_columns(sink: IO[bytes], batches: Iterable[Batch]) -> int:
    """One object of columns, each {row: value}, as pandas' to_json writes. Columns wait in temporary files for their turn."""
    with ExitStack() as stack:
        waiting = [stack.enter_context(tempfile.TemporaryFile()) for _ in _FLAT]
        row = 0
        for chunk in _chunks(batches):
            keys = [str(number) for number in range(row, row + len(chunk))]
            for file, column in zip(waiting, _flat_columns(chunk), strict=True):
                file.write(b"," * (row > 0) + orjson.dumps(dict(zip(keys, column, strict=True)))[1:-1])
            row += len(chunk)
        written = 0
        for name, file in zip(_FLAT, waiting, strict=True):
            written += sink.write((b"{" if name == _FLAT[0] else b",") + orjson.dumps(name) + b":{")
            file.seek(0)
            while piece := file.read(1 << 20):
                written += sink.write(piece)
            written += sink.write(b"}")
        return written + sink.write(b"}")


def _chunks(batches: Iterable[Batch]) -> Iterator[Batch]:
    for batch in batches:
        for first in range(0, len(batch), _CHUNK_ROWS):
            yield batch.take(slice(first, first + _CHUNK_ROWS))


def _flat_columns(batch: Batch) -> tuple[list[Any], ...]:
    """Columns of _FLAT; NaN for null in floats, which orjson writes as null."""
    return (
        batch.icao24.tolist(),
        batch.callsign.tolist(),
        batch.origin_country.tolist(),
        heard(batch.time_ms),
        heard(batch.position_ms),
        heard(batch.contact_ms),
        batch.lat.tolist(),
        batch.lon.tolist(),
        decimals(batch.altitude_m),
        decimals(batch.geo_altitude_m),
        decimals(batch.velocity_mps),
        decimals(batch.heading_deg),
        decimals(batch.vertical_rate_mps),
        batch.on_ground.tolist(),
        batch.squawk.tolist(),
        [False] * len(batch),
        [_ADSB] * len(batch),
        batch.category.tolist(),
    )


def _history_columns(batch: Batch) -> tuple[list[Any], ...]:
    """Columns of _HISTORY."""
    return (
        heard(batch.time_ms),
        batch.icao24.tolist(),
        batch.lat.tolist(),
        batch.lon.tolist(),
        decimals(batch.velocity_mps),
        decimals(batch.heading_deg),
        decimals(batch.vertical_rate_mps),
        padded(batch.callsign),
        batch.on_ground.tolist(),
        [False] * len(batch),
        [False] * len(batch),
        batch.squawk.tolist(),
        decimals(batch.altitude_m),
        decimals(batch.geo_altitude_m),
        [None if time is None else float(time) for time in heard(batch.position_ms)],
        [None if time is None else float(time) for time in heard(batch.contact_ms)],
    )


def _history_records(batch: Batch) -> Iterator[dict[str, Any]]:
    return (dict(zip(_HISTORY, row, strict=True)) for row in zip(*_history_columns(batch), strict=True))


def _flat_plain(batch: Batch) -> Iterator[dict[str, Any]]:
    return (dict(zip(_FLAT, row, strict=True)) for row in zip(*_flat_columns(batch), strict=True))


def _flat_with_extras(batch: Batch) -> Iterator[dict[str, Any]]:
    """Records with nested objects; a stale row has no flight plan."""
    flights, first, which = np.unique(batch.flight, return_index=True, return_inverse=True)
    extras = [
        (
            {"model": model, "registration": registration, "operator": operator},
            {"origin": origin, "destination": destination, "flight_number": number},
        )
        for number, model, registration, operator, origin, destination in zip(
            flights.tolist(),
            *(words(column[first]) for column in (batch.model, batch.registration, batch.operator)),
            *(words(column[first]) for column in (batch.origin, batch.destination)),
            strict=True,
        )
    ]
    for record, flight, stale in zip(_flat_plain(batch), which.tolist(), batch.is_stale.tolist(), strict=True):
        record["aircraft_info"], plan = extras[flight]
        if not stale:
            record["flight_plan"] = plan
        yield record


def flat_records(batch: Batch, *, extras: bool) -> Iterator[dict[str, Any]]:
    """Flat records as dicts with None for null."""
    for record in (_flat_with_extras if extras else _flat_plain)(batch):
        yield {key: None if value != value else value for key, value in record.items()}  # noqa: PLR0124 - NaN
