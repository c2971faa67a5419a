"""Which inputs and aircraft look like feet and knots where metres and m/s were read: the rows that `clean` found odd, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flight_etl.core.clean import LOOKS_COUNT, LOOKS_SHARE, units_warning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flight_etl.settings import Settings

__all__ = ["Signs", "told_of_units", "warnings_of"]

_INPUT: Final = "looks.input."
_AIRCRAFT: Final = "looks.aircraft."
_NAMED: Final = 20
_IN_NOTE: Final = 3
_HELD: Final = 1_000  # aircraft that are remembered, the least addresses: so that their sums are exact whatever came when


@dataclass(slots=True)
class Signs:
    """Odd rows by the number of their input, and by address."""

    inputs: dict[int, int] = field(default_factory=dict)
    aircraft: dict[str, int] = field(default_factory=dict)

    def take(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Add what the counts of `clean` say by name, and give the others back."""
        rest = {}
        for key, number in counts.items():
            if key.startswith(_INPUT):
                at = int(key.removeprefix(_INPUT))
                self.inputs[at] = self.inputs.get(at, 0) + number
            elif key.startswith(_AIRCRAFT):
                self.aircraft[key.removeprefix(_AIRCRAFT)] = self.aircraft.get(key.removeprefix(_AIRCRAFT), 0) + number
            else:
                rest[key] = number
        self._trim(2 * _HELD)
        return rest

    def add(self, inputs: Mapping[int, int], aircraft: Mapping[str, int]) -> None:
        """Add what another process found."""
        self.take({f"{_INPUT}{at}": number for at, number in inputs.items()})
        self.take({f"{_AIRCRAFT}{name}": number for name, number in aircraft.items()})

    def _trim(self, most: int) -> None:
        if len(self.aircraft) > most:
            self.aircraft = {name: self.aircraft[name] for name in sorted(self.aircraft)[:_HELD]}

    def named_aircraft(self) -> list[str]:
        """Addresses with enough odd rows, in order."""
        self._trim(_HELD)
        return sorted(name for name, number in self.aircraft.items() if number >= LOOKS_COUNT)


def told_of_units(signs: Signs, read: Sequence[tuple[str, int]], settings: Settings) -> dict[str, Any]:
    """Name the inputs (given with the records read from each) and aircraft whose values look like other units; empty for none.

    `aircraft` counts up to 1,000.
    """
    if settings.units != "si":
        return {}
    inputs = [
        {"path": read[at][0], "rows": number}
        for at, number in sorted(signs.inputs.items())
        if number >= LOOKS_COUNT and number >= LOOKS_SHARE * read[at][1]
    ]
    if not inputs:
        return {}
    aircraft = signs.named_aircraft()
    told = {"inputs": len(inputs), "first_inputs": inputs[:_NAMED], "aircraft": len(aircraft)}
    return told | {"first_aircraft": aircraft[:_NAMED]}


def warnings_of(counts: Mapping[str, int], settings: Settings, units: Mapping[str, Any]) -> tuple[str, ...]:
    """What the user should be told about the values as a whole; `units` is what `told_of_units` gave."""
    if settings.units != "si":
        return ()
    warning = units_warning(counts)
    if not units:
        return (warning,) if warning else ()
    warning = warning or "values read as metres and m/s look like feet and knots in some inputs"
    files = _few([one["path"] for one in units["first_inputs"]], units["inputs"])
    aircraft = _few(units["first_aircraft"], units["aircraft"])
    return (f"{warning}. Inputs: {files}" + (f". Aircraft: {aircraft}" if aircraft else ""),)


def _few(names: Sequence[str], number: int) -> str:
    more = number - min(_IN_NOTE, number)
    return ", ".join(names[:_IN_NOTE]) + (f" and {more:,} more" if more else "")
