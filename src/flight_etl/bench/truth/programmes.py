"""Whole legs: which manoeuvres follow which, with what befalls them on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.bench.truth.legs import AROUND, CRUISE, LINE, Leg
from flight_etl.units import METRES_PER_SECOND_PER_KNOT

if TYPE_CHECKING:
    from flight_etl.bench.truth.kinds import Kind

__all__ = ["Flown", "between_fields", "round_the_field"]

_SHORTEST_CRUISE_S: Final = 200.0  # s
_ROOM_FT: Final = 6_000.0  # ft that a cruise is above the higher field, at least
_DECISION_FT: Final = (220.0, 700.0)  # ft above the field at which a go-around begins


@dataclass(frozen=True, slots=True)
class Flown:
    """A leg that was flown, and the fields that it went to in turn: one, or two with a diversion."""

    leg: Leg
    diverted: bool = False


def _line_metres(leg: Leg) -> float:
    """Metres made good along the line."""
    speeds = np.array([0.0, *(one.to_kt for one in leg.done)])
    means = (speeds[:-1] + speeds[1:]) / 2
    on_line = np.array([one.seconds * (one.way == LINE) for one in leg.done])
    return float((means * on_line).sum()) * METRES_PER_SECOND_PER_KNOT


def _stretched(leg: Leg, at: int, metres: float) -> bool:
    """Let manoeuvre `at` last until the leg is `metres` long; false where that would be too short."""
    one = leg.done[at]
    seconds = metres / (one.to_kt * METRES_PER_SECOND_PER_KNOT)
    if one.seconds + seconds < _SHORTEST_CRUISE_S:
        return False
    leg.done[at] = one._replace(seconds=float(round(one.seconds + seconds)))
    return True


def between_fields(kind: Kind, field_ft: tuple[float, ...], way_m: tuple[float, ...], rng: np.random.Generator) -> Flown | None:
    """Fly `way_m[0]` metres from the first field to the second and, with a third, go round there and divert to it.

    None where the way is too short for anything that was drawn.
    """
    for _ in range(30):
        leg = Leg(kind, rng, field_ft[:2])
        leg.taxi_out()
        leg.take_off()
        fillers = [_en_route(leg, share=float(rng.uniform(0.4, 1.0)))]
        if not _stretched(leg, fillers[0], way_m[0] - _line_metres(leg)):
            continue
        if len(field_ft) > 2:  # noqa: PLR2004
            filler = _divert(leg, field_ft[2])
            if not _stretched(leg, filler, sum(way_m) - _line_metres(leg)):
                continue
        leg.taxi_in()
        return Flown(leg, len(field_ft) > 2)  # noqa: PLR2004
    return None


def _level(leg: Leg, share: float) -> float:
    """Pressure altitude to cruise at."""
    least, most = leg.kind.cruise_ft
    highest = max(leg.field_ft)
    if leg.kind.low:
        return float(500 * np.ceil((highest + least + (most - least) * leg.draw(0, 1)) / 500))
    return float(1_000 * np.ceil(max(least + (most - least) * share, highest + _ROOM_FT) / 1_000))


def _en_route(leg: Leg, share: float) -> int:
    """From lift-off to touchdown at the second field; gives the place of the cruise that can be stretched."""
    level, kind, goal = _level(leg, share), leg.kind, leg.field_ft[1]
    steps = leg.happens(0.3) and not kind.low and level - 4_000 > max(leg.field_ft) + _ROOM_FT
    step_ft = float(leg.rng.choice([2_000, 4_000])) if steps else 0.0
    rises = leg.happens(0.75)
    first = level - step_ft if rises else level
    leg.climb(first, pauses=0.4 if not kind.low else 0.15)
    speed = kind.cruise_kt * leg.draw(0.9, 1.08)
    leg.add(25, 0.0, speed, CRUISE)
    if steps:
        leg.add(leg.draw(400, 1_500), 0.0, speed, CRUISE)
        rate = leg.draw(700, 1_300)
        leg.add(step_ft / rate * 60, step_ft if rises else -step_ft, speed, CRUISE)
    filler = len(leg.done)
    leg.add(1, 0.0, speed, CRUISE)
    final = goal + (leg.draw(1_500, 3_500) if not kind.low else min(leg.draw(700, 1_200), 0.8 * (leg.altitude_ft - goal)))
    leg.descend(final, pauses=0.35 if not kind.low else 0.1, held=0.08 if not kind.low else 0.0)
    if leg.happens(0.5) and kind.lift_kt:
        leg.add(leg.draw(20, 90), 0.0, max(kind.approach_kt * 1.25, 60.0), leg.done[-1].intent)
    if leg.happens(0.07) and kind.lift_kt:
        leg.land(goal, down_to=leg.draw(*_DECISION_FT))
        leg.go_around(goal)
        if leg.happens(0.2):
            leg.go_around(goal)
    leg.land(goal)
    return filler


def _divert(leg: Leg, goal: float) -> int:
    """Instead of landing, go round and fly to another field; gives the place of the cruise that can be stretched."""
    fields = (leg.field_ft[1], goal)
    last = leg.done[-1]
    cut_ft = min(leg.draw(*_DECISION_FT), -last.climb_ft * 0.8)
    leg.done[-1] = last._replace(
        climb_ft=last.climb_ft + cut_ft, seconds=max(round(last.seconds * (1 + cut_ft / last.climb_ft)), 1)
    )
    leg.altitude_ft += cut_ft
    leg.field_ft = fields
    level = float(1_000 * np.ceil((max(fields) + leg.draw(_ROOM_FT + 4_000, 20_000)) / 1_000))
    leg.climb(level, AROUND)
    speed = leg.kind.cruise_kt * 0.85
    leg.add(25, 0.0, speed, CRUISE)
    filler = len(leg.done)
    leg.add(1, 0.0, speed, CRUISE)
    leg.descend(goal + leg.draw(1_500, 3_500), pauses=0.3)
    leg.land(goal)
    return filler


def round_the_field(kind: Kind, field_ft: float, rng: np.random.Generator) -> Flown:
    """Stay near one field: circuits with touch-and-goes, an hour of soaring, or a round trip."""
    leg = Leg(kind, rng, (field_ft, field_ft))
    leg.taxi_out()
    leg.take_off()
    if kind.name == "light aircraft" and leg.happens(0.6):
        for number in range(int(rng.integers(2, 7))):
            if number:
                leg.touch_and_go()
            if leg.happens(0.1):
                leg.circuit(field_ft, down_to=leg.draw(*_DECISION_FT) / 2)
                leg.go_around(field_ft)
                leg.land(field_ft)
            else:
                leg.circuit(field_ft)
    else:
        _round_trip(leg, field_ft)
    leg.taxi_in()
    return Flown(leg)


def _round_trip(leg: Leg, field_ft: float) -> None:
    way = leg.loop()
    leg.climb(_level(leg, 0.5), way=way)
    if leg.kind.name == "glider":
        for _ in range(int(leg.rng.integers(3, 12))):
            drift = leg.draw(-250, 250)
            leg.add(leg.draw(180, 420), drift, leg.draw(45, 80), CRUISE, way)
    else:
        leg.add(leg.draw(600, 2_400), 0.0, leg.kind.cruise_kt, CRUISE, way)
    leg.descend(field_ft + min(leg.draw(700, 1_200), 0.7 * (leg.altitude_ft - field_ft)), way=way)
    leg.land(field_ft, way)
