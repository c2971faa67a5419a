"""What a pilot does from stand to stand, as a list of manoeuvres with an intent each.

An intent says which part of the flight a manoeuvre belongs to; `profile.py` turns it into phases. Heights inside this module
are above the field in use, altitudes are pressure altitudes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from flight_etl.bench.truth.kinds import Kind

__all__ = ["AROUND", "CRUISE", "DOWN", "LINE", "PAUSE", "ROLL", "RUN", "SURFACE", "TAXI_IN", "TAXI_OUT", "UP", "Leg", "Manoeuvre"]

# Intents.
SURFACE, ROLL, RUN, UP, PAUSE, CRUISE, DOWN, AROUND = range(8)
# Ways over the ground; loops are numbered from 1.
LINE, TAXI_OUT, TAXI_IN = 0, -1, -2

_BANDS_FT: Final = (3_000.0, 10_000.0, 20_000.0, 29_000.0)  # where rate and speed of a climb or descent change
_CLEAR_FT: Final = 4_000.0  # ft below the cruise level; nearer, no definition tells a level-off from a lower cruise level
_HOLD_FT: Final = 4_500.0  # ft above the field; holdings are higher
_GLIDE: Final = 5.3  # ft/min per kt on a path of three degrees
_CIRCUIT_LEVEL_S: Final = (35.0, 95.0)  # s level in a circuit; two minutes would be a cruise


class Manoeuvre(NamedTuple):
    """A stretch with a constant rate and a constant change of speed."""

    seconds: float
    climb_ft: float
    to_kt: float
    intent: int
    way: int = LINE
    ground: bool = False


@dataclass(slots=True)
class Leg:
    """A leg as it is being flown. `field_ft`: pressure altitude of the field of departure, then of those reached in turn."""

    kind: Kind
    rng: np.random.Generator
    field_ft: tuple[float, ...]
    done: list[Manoeuvre] = field(default_factory=list)
    altitude_ft: float = 0.0
    loops: int = 0

    def __post_init__(self) -> None:
        self.altitude_ft = self.field_ft[0]

    def draw(self, least: float, most: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(least, most))

    def happens(self, chance: float) -> bool:
        """Draw once."""
        return bool(self.rng.random() < chance)

    def loop(self) -> int:
        """Begin a loop that comes back to where it began."""
        self.loops += 1
        return self.loops

    def add(self, seconds: float, climb_ft: float, to_kt: float, intent: int, way: int = LINE, *, ground: bool = False) -> None:
        """Fly on for so long, in whole seconds."""
        self.done.append(Manoeuvre(float(max(round(seconds), 1)), climb_ft, to_kt, intent, way, ground))
        self.altitude_ft += climb_ft

    def roll(self, seconds: float, to_kt: float, intent: int = SURFACE, way: int = LINE) -> None:
        """Move on the ground."""
        self.add(seconds, 0.0, to_kt, intent, way, ground=True)

    def taxi_out(self) -> None:
        """From the stand to the runway, with a wait or two."""
        speed = self.draw(10, 22) if not self.kind.low else self.draw(7, 14)
        longest = 300.0 if not self.kind.low else 110.0
        self.roll(self.draw(60, 240), 0.0, way=TAXI_OUT)
        if not self.kind.low:
            self.roll(6, 2.5, way=TAXI_OUT)  # pushback
            self.roll(self.draw(30, 60), 2.5, way=TAXI_OUT)
            self.roll(6, 0.0, way=TAXI_OUT)
            self.roll(self.draw(20, 90), 0.0, way=TAXI_OUT)
        if self.kind.lift_kt:
            for _ in range(1 + self.happens(0.5)):
                self.roll(self.draw(8, 14), speed, way=TAXI_OUT)
                self.roll(self.draw(longest / 4, longest / 2), speed, way=TAXI_OUT)
                self.roll(self.draw(8, 12), 0.0, way=TAXI_OUT)
                self.roll(self.draw(10, 90), 0.0, way=TAXI_OUT)

    def take_off(self) -> None:
        """Roll, sometimes in vain first."""
        if not self.kind.lift_kt:
            return
        if self.happens(0.04):
            self.roll(self.draw(10, 18), self.kind.lift_kt * self.draw(0.6, 0.9), ROLL)
            self.roll(self.draw(14, 22), 12.0, ROLL)
            self.roll(self.draw(60, 150), 12.0)
            self.roll(8, 0.0)
            self.roll(self.draw(30, 120), 0.0)
        self.roll(self.kind.lift_kt / self.draw(3.2, 5.0), self.kind.lift_kt, ROLL)

    def climb(self, to_ft: float, intent: int = UP, way: int = LINE, *, pauses: float = 0.0) -> None:
        """Climb to a pressure altitude, faster in speed and slower in rate the higher it is; level off with that chance."""
        base = self.draw(*self.kind.climb_fpm)
        ceiling = self.kind.cruise_ft[1] + (8_000.0 if not self.kind.low else 16_000.0)
        steps = [step for step in self._steps() if self.altitude_ft + 200 < step < to_ft - 200]
        pause = steps[self.rng.integers(len(steps))] if steps and self.happens(pauses) else None
        for step in (*steps, to_ft):
            rate = max(base * (1 - 0.7 * self.altitude_ft / ceiling), 0.75 * self.kind.climb_fpm[0], 420.0)
            self.add((step - self.altitude_ft) / rate * 60, step - self.altitude_ft, self._speed(step), intent, way)
            if step == pause and to_ft - step >= _CLEAR_FT:
                self.add(self.draw(45, 200), 0.0, self._speed(step), PAUSE if intent == UP else intent, way)

    def descend(self, to_ft: float, way: int = LINE, *, pauses: float = 0.0, held: float = 0.0) -> None:
        """Descend to a pressure altitude, with level-offs and a holding by chance."""
        base, top = self.draw(*self.kind.descend_fpm), self.altitude_ft
        for step in (*(step for step in reversed(self._steps()) if to_ft + 300 < step < self.altitude_ft - 300), to_ft):
            rate = base if step > self.field_ft[-1] + 5_000 else max(0.75 * base, 400.0)
            self.add((self.altitude_ft - step) / rate * 60, step - self.altitude_ft, self._speed(step), DOWN, way)
            if step != to_ft and top - step >= _CLEAR_FT and self.happens(pauses):
                self.add(self.draw(45, 240), 0.0, self._speed(step), DOWN, way)
            if step - self.field_ft[-1] > _HOLD_FT and step != to_ft and top - step >= _CLEAR_FT and self.happens(held):
                self.add(240.0 * self.rng.integers(1, 5), 0.0, min(self._speed(step), 250.0), DOWN, self.loop())

    def _steps(self) -> list[float]:
        """Altitudes at which climbs and descents change, the lowest above the field."""
        low = self.field_ft[-1] if len(self.done) and self.done[-1].intent in (CRUISE, DOWN) else self.field_ft[0]
        first = float(np.ceil((low + _BANDS_FT[0]) / 500) * 500)
        return [
            step
            for step in (first, *(step for step in _BANDS_FT[1:] if step > first))
            if step <= self.kind.cruise_ft[1] or not self.kind.low
        ]

    def _speed(self, altitude_ft: float) -> float:
        return min(self.kind.climb_kt * (1 + 1.6e-5 * max(altitude_ft, 0.0)), self.kind.cruise_kt)

    def land(self, field_ft: float, way: int = LINE, *, down_to: float = 0.0) -> None:
        """Fly the final from where it is, down to `down_to` above the field."""
        kind = self.kind
        height = self.altitude_ft - field_ft
        if not kind.lift_kt:
            self.add((height - 80) / self.draw(380, 560) * 60, -(height - 80), 45.0, DOWN, way)
            self.add(20, -80.0, 0.0, DOWN, way)
            return
        for step in (1_500.0, down_to):
            if height > step:
                speed = kind.approach_kt * (1.15 if step else 1.0)
                rate = min(max(_GLIDE * speed, 380.0), 1_000.0)
                self.add((height - step) / rate * 60, step - height, speed, DOWN, way)
                height = step

    def go_around(self, field_ft: float) -> None:
        """Break off low, climb, and come back to the same place."""
        start = self.altitude_ft
        way = self.loop()
        top = field_ft + float(self.rng.choice([1_500, 2_000, 2_500, 4_000, 5_000]) if not self.kind.low else 1_000)
        self.climb_away(top, way)
        self.add(self.draw(90, 240), 0.0, self._speed(0) * 0.8, DOWN, way)
        self.land(field_ft, way, down_to=start - field_ft)

    def climb_away(self, to_ft: float, way: int = LINE) -> None:
        """Climb of a go-around."""
        rate = max(self.draw(*self.kind.climb_fpm) * 0.9, 500.0)
        self.add((to_ft - self.altitude_ft) / rate * 60, to_ft - self.altitude_ft, self._speed(0) * 0.8, AROUND, way)

    def touch_and_go(self) -> None:
        """Touch, roll on, and lift off again."""
        self.roll(self.draw(3, 6), self.kind.approach_kt * 0.8, ROLL)
        self.roll(self.draw(4, 8), self.kind.lift_kt, ROLL)

    def circuit(self, field_ft: float, *, down_to: float = 0.0) -> None:
        """From lift-off round to the runway, or to a height above it."""
        way = self.loop()
        top = field_ft + float(self.rng.choice([700, 800, 1_000, 1_500]))
        self.add(
            (top - self.altitude_ft) / self.draw(*self.kind.climb_fpm) * 60, top - self.altitude_ft, self.kind.climb_kt, UP, way
        )
        self.add(self.draw(*_CIRCUIT_LEVEL_S), 0.0, self.kind.climb_kt * 1.1, DOWN, way)
        self.land(field_ft, way, down_to=down_to)

    def taxi_in(self) -> None:
        """Slow down on the runway, and go to the stand."""
        speed = self.draw(10, 22) if not self.kind.low else self.draw(7, 14)
        longest = 300.0 if not self.kind.low else 110.0
        if self.kind.lift_kt:
            self.roll((self.kind.approach_kt - speed) / self.draw(2.0, 3.5), speed, RUN)
            self.roll(self.draw(longest / 3, longest), speed, way=TAXI_IN)
            self.roll(self.draw(8, 12), 0.0, way=TAXI_IN)
        self.roll(self.draw(90, 300), 0.0, way=TAXI_IN)
