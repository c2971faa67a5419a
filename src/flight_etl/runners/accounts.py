"""The accounts of the tasks of a backfill made into one: the schema that all rows have, and the report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flight_etl import resources
from flight_etl.core import extras
from flight_etl.core.decode import decoder_name
from flight_etl.core.quality import Quality, merge
from flight_etl.outcome import add_counts
from flight_etl.report import InputReport, Report
from flight_etl.runners.backfill import Frame
from flight_etl.runners.form import final_schema, summary_of
from flight_etl.runners.units_told import Signs, told_of_units, warnings_of
from flight_etl.schema import ENRICHED
from flight_etl.store.places import join

if TYPE_CHECKING:
    from flight_etl.settings import Settings
    from flight_etl.store.inputs import Expansion

__all__ = ["Accounts"]


@dataclass(slots=True)
class _Account:
    layout: str | None = None
    read: int = 0
    written: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    error: str | None = None

    def report(self, path: str) -> InputReport:
        dropped = dict(sorted(self.dropped.items()))
        return InputReport(path=path, layout=self.layout, read=self.read, written=self.written, dropped=dropped, error=self.error)


@dataclass(slots=True)
class Accounts:
    """What tasks have told so far. One entry for each input, split, task and UTC day is in memory, and nothing for a row."""

    found: Expansion
    settings: Settings
    started_s: float = field(default_factory=time.monotonic)
    days: dict[str, int] = field(default_factory=dict)  # UTC date -> rows that go to the track stages
    files: list[str] = field(default_factory=list)  # data files, relative to the output
    quarantines: list[str] = field(default_factory=list)
    _inputs: list[_Account] = field(default_factory=list)
    _kinds: dict[str, int] = field(default_factory=dict)
    _row_bytes: int = 0
    _bytes_out: int = 0
    _aircraft: int = 0
    _flights: int = 0
    _phases: dict[str, int] = field(default_factory=dict)
    _signs: Signs = field(default_factory=Signs)
    _quality: Quality = field(default_factory=Quality)
    _counts: dict[str, int] = field(default_factory=dict)
    _peak_rss_mb: float = 0.0

    def __post_init__(self) -> None:
        self._inputs = [_Account() for _ in self.found.sources]

    @property
    def rows(self) -> int:
        """Rows that go to the track stages."""
        return sum(self.days.values())

    def surveyed(self, told: dict[str, Any]) -> None:
        """Add what `backfill.survey` told of a split."""
        for one in told["accounts"]:
            self._inputs[one["number"]] = _Account(
                layout=one["layout"], read=one["read"], dropped=dict(one["dropped"]), error=one["error"]
            )
        self._signs.add(dict(told["signs"]), told["odd_aircraft"])
        self._kinds = extras.merge(self._kinds, told["kinds"])
        self.days = add_counts([self.days, told["days"]])
        self._row_bytes += told["bytes"]
        self._common(told)

    def frame(self) -> Frame:
        """Give the columns of all rows, once every split was surveyed."""
        schema, plan = final_schema(ENRICHED, self.settings.features(), self._kinds, self.settings)
        return Frame(plan=plan, schema=schema, row_bytes=self._row_bytes / max(self.rows, 1))

    def written(self, told: dict[str, Any]) -> None:
        """Add what `backfill.write_tracks` told of a task."""
        for number, rows in told["written"]:
            self._inputs[number].written += rows
        for number, dropped in told["dropped"]:
            self._inputs[number].dropped = add_counts([self._inputs[number].dropped, dropped])
        for name, size in told["files"]:
            self.files.append(name)
            self._bytes_out += size
        self._aircraft += told["aircraft"]
        self._flights += told["flights"]
        self._phases = add_counts([self._phases, told["phases"]])
        self._quality = merge(self._quality, Quality.from_json(told["quality"]))
        self._common(told)

    def _common(self, told: dict[str, Any]) -> None:
        if told["quarantine"] is not None:
            self.quarantines.append(told["quarantine"])
        self._counts = add_counts([self._counts, told["counts"]])
        self._peak_rss_mb = max(self._peak_rss_mb, told["peak_rss_mb"])

    def report(self, output: str, quarantine: str) -> Report:
        """Give the account of the whole; `peak_rss_mb` is that of the largest process of Python. Raises BalanceError."""
        read = [(source.name, account.read) for source, account in zip(self.found.sources, self._inputs, strict=True)]
        units = told_of_units(self._signs, read, self.settings)
        inputs = [account.report(source.name) for source, account in zip(self.found.sources, self._inputs, strict=True)]
        report = Report(
            inputs=(*inputs, *(InputReport(path=path, error=str(error)) for path, error in self.found.failed)),
            outputs=tuple(join(output, name) for name in sorted(self.files)),
            aircraft=self._aircraft,
            flights=self._flights,
            counts=self._counts,
            phases=self._phases,
            quality=summary_of(self._quality, self._counts, units),
            notes=(*self.found.notes, *warnings_of(self._counts, self.settings, units)),
            quarantine=join(output, quarantine) if self.quarantines else None,
            seconds=time.monotonic() - self.started_s,
            bytes_in=sum(source.size_bytes for source in self.found.sources),
            bytes_out=self._bytes_out,
            peak_rss_mb=max(self._peak_rss_mb, resources.peak_rss_mb()),
            decoder=decoder_name(),
        )
        report.check_balance()
        return report
