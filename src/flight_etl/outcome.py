"""What a stage returns: the rows it kept, the rows it dropped with their reasons, and what it nulled."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

__all__ = ["Outcome", "Reason", "add_counts"]


class Reason(StrEnum):
    """Why a record was not written: a closed list. Every record that is read is written or carries one of these."""

    BAD_JSON = "bad_json"  # the record's bytes are not JSON that a parser accepts
    TRUNCATED = "truncated"  # the input ended inside the record
    TOO_LARGE = "too_large"  # the record is longer than max_record_bytes
    TOO_DEEP = "too_deep"  # nested deeper than max_depth
    NOT_A_RECORD = "not_a_record"  # a scalar, null, or the wrong kind of container where a record belongs
    BAD_WIDTH = "bad_width"  # an array record with too few columns for its layout
    MISSING_ICAO24 = "missing_icao24"
    BAD_ICAO24 = "bad_icao24"  # not a 24-bit hexadecimal address, with or without a leading ~
    MISSING_TIMESTAMP = "missing_timestamp"
    BAD_TIMESTAMP = "bad_timestamp"  # not a time, or outside the years that are possible
    DUPLICATE = "duplicate"  # same (icao24, timestamp) as a kept row
    NEAR_DUPLICATE = "near_duplicate"  # within tolerance_s of a kept row
    FILTERED = "filtered"  # left out by --icao24, --bbox, --from or --to


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a stage.

    `kept` is an Arrow table; `dropped` has `schema.DROPPED_SCHEMA`. `counts` says how many values were set to null
    or changed, by `rule name -> number`, for the report; such values do not enter the balance of records.
    """

    kept: pa.Table
    dropped: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)


def add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sum several `rule -> number` mappings; keys come out sorted, zeros are left out."""
    total: dict[str, int] = {}
    for one in counts:
        for key, number in one.items():
            total[key] = total.get(key, 0) + number
    return {key: total[key] for key in sorted(total) if total[key]}
