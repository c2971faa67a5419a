"""One frozen account of a run: what was read, written and dropped, from where and to where."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from flight_etl._version import __version__
from flight_etl.errors import BalanceError
from flight_etl.outcome import add_counts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flight_etl.errors import FlightEtlError

__all__ = ["InputReport", "Report"]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputReport:
    """The account of one input. `error` is why it failed, wholly or after `read` records; None when it did not.

    `skipped`: an earlier run into the same output has done it, and nothing was read this time.

    `failure` is the same as it was raised, for callers that do different things with different failures.
    """

    path: str
    layout: str | None = None
    read: int = 0
    written: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    skipped: bool = False
    failure: FlightEtlError | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that DESIGN section 7 fixes."""
        return {
            "path": self.path,
            "layout": self.layout,
            "read": self.read,
            "written": self.written,
            "dropped": dict(self.dropped),
            "error": self.error,
            "skipped": self.skipped,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The account of a run, printed by `--json` and saved as `_report.json` beside the output.

    `counts` tells how many values the stages set to null, filled or marked, by rule; these do not enter the balance.
    """

    inputs: tuple[InputReport, ...]
    outputs: tuple[str, ...] = ()
    aircraft: int = 0
    flights: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    phases: Mapping[str, int] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)  # of the rows written, see docs/quality.md
    notes: tuple[str, ...] = ()
    quarantine: str | None = None
    flight_table: str | None = None  # where the table of all flights of the data set is, if one was asked for
    seconds: float = 0.0  # s, wall clock
    bytes_in: int = 0  # B, as stored (compressed)
    bytes_out: int = 0  # B of Parquet
    peak_rss_mb: float = 0.0  # MB (10^6 B)
    decoder: str = "reference"
    table: Mapping[str, Any] | None = None  # the account of a table of Iceberg or Delta, where one was kept

    @property
    def read(self) -> int:
        """Records found in all inputs, broken ones included."""
        return sum(one.read for one in self.inputs)

    @property
    def written(self) -> int:
        """Rows in the output."""
        return sum(one.written for one in self.inputs)

    @property
    def dropped(self) -> dict[str, int]:
        """Records dropped in all inputs, by reason."""
        return add_counts(one.dropped for one in self.inputs)

    @property
    def failed(self) -> tuple[InputReport, ...]:
        """The inputs that failed, wholly or in part."""
        return tuple(one for one in self.inputs if one.error is not None)

    @property
    def all_failed(self) -> bool:
        """Whether every input failed and not one row came of them: then nothing is published."""
        tried = [one for one in self.inputs if not one.skipped]
        return bool(tried) and all(one.error is not None for one in tried) and not self.written

    @property
    def exit_code(self) -> int:
        """0 when every input was processed to its end, else 1."""
        return 1 if self.failed else 0

    def check_balance(self) -> None:
        """Raise BalanceError unless `read == written + dropped` holds for every input."""
        for one in self.inputs:
            dropped = sum(one.dropped.values())
            if one.read != one.written + dropped:
                raise BalanceError(
                    f"{one.path}: {one.read} records read, but {one.written} written + {dropped} dropped; "
                    "nothing was published. This is a bug of flight-etl: please report it with the input"
                )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that DESIGN section 7 fixes, and more."""
        return {
            "read": self.read,
            "written": self.written,
            "dropped": self.dropped,
            "inputs": [one.to_json() for one in self.inputs],
            "outputs": list(self.outputs),
            "aircraft": self.aircraft,
            "flights": self.flights,
            "counts": dict(self.counts),
            "phases": dict(self.phases),
            "quality": dict(self.quality),
            "notes": list(self.notes),
            "quarantine": self.quarantine,
            "flight_table": self.flight_table,
            "seconds": round(self.seconds, 3),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "decoder": self.decoder,
            "version": __version__,
            **({"table": dict(self.table)} if self.table is not None else {}),
        }

    def to_text(self) -> str:
        """Return the JSON form as text, indented by two: what `json.dumps` gives, in a fraction of its time for many inputs."""
        whole = self.to_json()
        inputs, whole["inputs"] = whole["inputs"], []
        text = json.dumps(whole, indent=2)
        if not inputs:
            return text
        # With an indent the encoder is not the one in C. No string holds a line break of its own.
        texts = [_indented(one) if one["dropped"] else "{\n      " + _flat(one)[1:-1] + "\n    }" for one in inputs]
        return text.replace('"inputs": []', '"inputs": [\n    ' + ",\n    ".join(texts) + "\n  ]", 1)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Report:
        """Read the form that `to_json` gives; the sums in it are made anew from its inputs."""
        own = {one.name for one in fields(cls)} & saved.keys()
        values: dict[str, Any] = {
            name: tuple(saved[name]) if isinstance(saved[name], list) else saved[name] for name in own - {"inputs"}
        }
        known = {one.name for one in fields(InputReport)}
        inputs = tuple(InputReport(**{k: v for k, v in one.items() if k in known}) for one in saved["inputs"])
        return cls(inputs=inputs, **values)


_flat = json.JSONEncoder(separators=(",\n      ", ": ")).encode


def _indented(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2).replace("\n", "\n    ")
