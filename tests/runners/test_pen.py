"""Writing on a thread of its own: in order, never far behind, and with its failures told."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from flight_etl.runners.pen import Pen

TABLES = [pa.table({"n": [number]}) for number in range(20)]


def test_tables_are_written_in_order() -> None:
    written: list[pa.Table] = []
    with Pen(written.append) as pen:
        for table in TABLES:
            pen.put(table)
        pen.wait()
        assert written == TABLES


def test_no_more_than_one_table_waits() -> None:
    """What is made faster than it is written must not pile up: `put` returns only when the table before is written."""
    written: list[pa.Table] = []
    go_on = threading.Semaphore(0)

    def write(table: pa.Table) -> None:
        go_on.acquire()
        written.append(table)

    with Pen(write) as pen:
        pen.put(TABLES[0])
        threading.Timer(0.05, go_on.release, [2]).start()
        pen.put(TABLES[1])
        assert written[:1] == TABLES[:1]


@pytest.mark.parametrize("call", ["put", "wait"])
def test_a_failure_to_write_is_raised_by_the_next_call(call: str) -> None:
    def write(_: pa.Table) -> None:
        raise OSError("no space left")

    with Pen(write) as pen:
        pen.put(TABLES[0])
        with pytest.raises(OSError, match="no space left"):
            getattr(pen, call)(*TABLES[1:2] * (call == "put"))
