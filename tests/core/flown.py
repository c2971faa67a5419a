"""Flights by hand: a pilot who flies, and the NORMAL tables that a receiver would make of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from flight_etl.core.enrich import enrich
from flight_etl.core.enrich.airports import AirportTable
from flight_etl.schema import ENRICHED_ONLY, NORMAL
from flight_etl.settings import Settings
from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_FPM, METRES_PER_SECOND_PER_KNOT

START_MS = 1_700_000_000_000
FIELDS = {
    "EDHI": (53.5352, 9.8355, 23.0, True),
    "EHAM": (52.3086, 4.7639, -11.0, True),
    "EHLE": (52.4603, 5.5272, -13.0, True),
    "KDEN": (39.8617, -104.6731, 5434.0, True),
    "ZZPD": (52.3200, 4.7700, 12.0, False),  # a pad by the side of EHAM
}
AIRPORTS = AirportTable(
    icao=tuple(FIELDS),
    latitude=np.array([f[0] for f in FIELDS.values()]),
    longitude=np.array([f[1] for f in FIELDS.values()]),
    elevation_ft=np.array([f[2] for f in FIELDS.values()]),
    has_iata=np.array([f[3] for f in FIELDS.values()]),
)


@dataclass
class Pilot:
    """Flies and is heard every `every_s`. Altitudes are above the field, plus `offset_ft` as pressure altitude."""

    at: str = "EHAM"
    every_s: float = 5.0
    offset_ft: float | None = None  # of pressure altitude at the field; None: its elevation
    east_km: float = 0.0
    height_ft: float = 0.0
    kt: float = 0.0
    time_s: float = 0.0
    heading: float = 90.0
    ground_altitude: bool = True
    rows: list[dict[str, Any]] = field(default_factory=list)
    _next_s: float = 0.0
    _north_km: float = 0.0

    def fly(self, seconds: float, *, fpm: float = 0.0, to_kt: float | None = None, ground: bool = False) -> Pilot:
        """Fly for so long at a rate, going over to a speed."""
        change = 0.0 if to_kt is None else (to_kt - self.kt) / max(seconds, 1.0)
        for _ in range(round(seconds)):
            if self.time_s >= self._next_s:
                self._hear(fpm, ground=ground)
                self._next_s += self.every_s
            self.time_s += 1.0
            self.kt += change
            self.height_ft += fpm / 60.0
            km = self.kt * 1.852 / 3600.0
            self.east_km += km * math.sin(math.radians(self.heading))
            self._north_km += km * math.cos(math.radians(self.heading))
        return self

    def to(self, height_ft: float, fpm: float, to_kt: float | None = None) -> Pilot:
        """Climb or descend to a height."""
        return self.fly(abs(height_ft - self.height_ft) / abs(fpm) * 60.0, fpm=fpm, to_kt=to_kt)

    def stand(self, seconds: float = 120.0) -> Pilot:
        return self.fly(seconds, to_kt=0.0, ground=True)

    def taxi(self, seconds: float = 300.0) -> Pilot:
        self.kt = 15.0
        return self.fly(seconds, ground=True)

    def depart(self, to_ft: float, fpm: float = 2000.0, to_kt: float = 250.0) -> Pilot:
        """Roll, lift off and climb."""
        self.kt = max(self.kt, 32.0)
        self.fly(35, to_kt=150.0, ground=True)
        return self.to(to_ft, fpm, to_kt)

    def land(self, fpm: float = -750.0, to_kt: float = 135.0) -> Pilot:
        """Descend to the ground, and slow down on it."""
        self.to(0.0, fpm, to_kt)
        self.height_ft = 0.0
        self.fly(40, to_kt=31.0, ground=True)
        return self.taxi(120)

    def gap(self, seconds: float) -> Pilot:
        """Be heard by nobody."""
        self.time_s += seconds
        self._next_s = self.time_s
        self.east_km += self.kt * 1.852 / 3600.0 * seconds
        return self

    def move_to(self, code: str) -> Pilot:
        """Be at another field from now on; heights are above that one."""
        self.at, self.east_km, self._north_km = code, 0.0, 0.0
        return self

    def _hear(self, fpm: float, *, ground: bool) -> None:
        latitude, longitude, elevation, _ = FIELDS[self.at]
        pressure = elevation if self.offset_ft is None else self.offset_ft
        known = self.ground_altitude or not ground
        self.rows.append(
            {
                "timestamp": START_MS + round(self.time_s * 1000),
                "latitude": latitude + self._north_km / 111.2,
                "longitude": longitude + self.east_km / (111.2 * math.cos(math.radians(latitude))),
                "altitude_ft": round((self.height_ft + pressure) / 25.0) * 25.0 if known else None,
                "speed_kt": self.kt,
                "rate_fpm": round(fpm / 64.0) * 64.0,
                "heading": self.heading,
                "on_ground": ground,
            }
        )


def table_of(*flights: list[dict[str, Any]], icao24: str = "4b1901") -> pa.Table:
    """Sorted rows of flights with the columns that `enrich` expects. Each flight is of another aircraft."""
    rows = [row | {"flight_id": f"{icao24}_{number}"} for number, flight in enumerate(flights) for row in flight]
    values = {
        "icao24": [f"{int(icao24, 16) + int(row['flight_id'].split('_')[1]):06x}" for row in rows],
        "address_type": ["icao"] * len(rows),
        "timestamp": [row["timestamp"] for row in rows],
        "latitude": [row["latitude"] for row in rows],
        "longitude": [row["longitude"] for row in rows],
        "altitude": _scaled(rows, "altitude_ft", METRES_PER_FOOT),
        "velocity": _scaled(rows, "speed_kt", METRES_PER_SECOND_PER_KNOT),
        "vertical_rate": _scaled(rows, "rate_fpm", METRES_PER_SECOND_PER_FPM),
        "heading": [row.get("heading") for row in rows],
        "on_ground": [row.get("on_ground") for row in rows],
        "category": [row.get("category") for row in rows],
        "position_time": [row.get("position_time") for row in rows],
        "flight_id": [row["flight_id"] for row in rows],
        "is_stale": [row.get("is_stale", False) for row in rows],
        "is_stitched": [False] * len(rows),
        "outlier": [None] * len(rows),
        "imputed": [None] * len(rows),
    }
    fixed = [c for c in ENRICHED_ONLY if c.name in ("flight_id", "is_stitched", "is_stale", "outlier", "imputed")]
    columns = {c.name: _column(values.get(c.name, [None] * len(rows)), c.type) for c in (*NORMAL, *fixed)}
    return pa.table(columns)


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    return pa.array(values, type_.value_type).dictionary_encode() if pa.types.is_dictionary(type_) else pa.array(values, type_)


def _scaled(rows: list[dict[str, Any]], name: str, factor: float) -> list[float | None]:
    return [None if row[name] is None else row[name] * factor for row in rows]


def airliner(every_s: float = 5.0, **changes: Any) -> Pilot:
    """Gate to gate, EHAM to EDHI, cruise at 35,000 ft."""
    pilot = Pilot(every_s=every_s, **changes).stand().taxi().depart(3_000).to(35_000, 1_800, 450).fly(1_500)
    pilot.move_to("EDHI")
    pilot.east_km = -230.0
    pilot.to(10_000, -1_800, 280).to(3_000, -1_200, 180)
    pilot.east_km = -18.0
    return pilot.land().stand(60)


def enriched(*flights: list[dict[str, Any]], settings: Settings | None = None, airports: Any = AIRPORTS) -> pa.Table:
    """Enrich flights, each of another aircraft."""
    return enrich(table_of(*flights), settings or Settings(), airports).kept


def phases(table: pa.Table) -> list[str]:
    """Give each row's phase."""
    return list(table["flight_phase"].to_pylist())


def sequence(table: pa.Table) -> list[str]:
    """Give the phases in order, without repeats."""
    labels = phases(table)
    return [label for at, label in enumerate(labels) if at == 0 or labels[at - 1] != label]


def go_around(to_ft: float) -> Pilot:
    """Abandon the first approach to EHLE, climb, and come again."""
    pilot = Pilot().taxi(60).depart(3_000).to(35_000, 2_000, 450).fly(900).to(3_500, -1_800, 200)
    pilot.move_to("EHLE").east_km = -12.0
    pilot.to(300, -800, 140).to(to_ft, 2_000, 180).fly(240)
    pilot.east_km = -12.0
    return pilot.land()


WHOLE = ["ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing", "taxi", "ground"]
