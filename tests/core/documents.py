"""Documents of every layout for tests of the decoder: small, valid, and made from a seed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

_INSERTS = [b'"', *(bytes([byte]) for byte in b"{}[],:\\\n 1a\x00\xff")]
_TEXTS = ["a1b2c3", "~4b1901", "", " SWR 8 ", "x},{y", "[1],[2", 'q"uo\\te', "é∂", "null", "\u2028", "7700", "ground"]
_NUMBERS = [0, 1, -1, 0.0, -0.0, 1.5, 47.458, 1e-7, 2**53 + 1, 2**63, -(2**63), 10**30, 1e300, 1_700_000_000]
_OBJECT_KEYS = {
    "flat": ["icao24", "timestamp", "lat", "altitude", "on_ground", "squawk", "extra", "data", "last_position"],
    "readsb": ["hex", "seen", "alt_baro", "flight", "mlat", "lastPosition", "nav", "now"],
    "adsbx-v2": ["hex", "seen", "alt_baro", "flight", "mlat", "lastPosition", "nav"],
    "adsbx-v1": ["icao", "postime", "alt", "gnd", "x"],
    "opensky-objects": ["icao24", "timestamp", "lat", "onGround", "x"],
    "opensky-history": ["icao24", "time", "lat", "onground", "x"],
    "fr24": ["timestamp", "latitude", "altitude", "speed", "ems"],
}
_ENVELOPES = {
    "opensky": ("time", "states"),
    "opensky-objects": ("time", "states"),
    "readsb": ("now", "aircraft"),
    "adsbx-v2": ("now", "ac"),
    "adsbx-v1": ("ctime", "ac"),
    "trace": ("timestamp", "trace"),
}
LAYOUTS_OF_ROWS = ("opensky", "trace")
JSON_LAYOUTS = (*_OBJECT_KEYS, *LAYOUTS_OF_ROWS)


def scalar(random: Random) -> Any:
    return random.choice([random.choice(_TEXTS), random.choice(_NUMBERS), None, True, False, f"{random.randrange(1 << 24):06x}"])


def value(random: Random) -> Any:
    kind = random.random()
    if kind < 0.85:
        return scalar(random)
    if kind < 0.92:
        return [scalar(random) for _ in range(random.randrange(4))]
    if kind < 0.97:
        return {name: scalar(random) for name in random.sample(["lat", "latitude", "feet", "k"], random.randrange(4))}
    return [{"p": scalar(random)}, {"p": [scalar(random)]}]


def record(random: Random, layout: str) -> Any:
    if layout == "opensky":
        row = [scalar(random) for _ in range(random.choice([13, 17, 17, 18]))]
        row[12] = random.choice([None, None, [1, 2], []])
        return row
    if layout == "trace":
        row = [random.randrange(9), *(scalar(random) for _ in range(random.choice([8, 13, 14])))]
        row[8] = random.choice([None, None, {"flight": "ABC", "nav_modes": ["a"], "x": 1.50}])
        return row
    keys = _OBJECT_KEYS[layout]
    return {key: scalar(random) if key == "data" else value(random) for key in random.sample(keys, random.randint(1, len(keys)))}


def written(random: Random, what: Any) -> str:
    """JSON in one of the styles in which it is written."""
    return json.dumps(
        what,
        ensure_ascii=random.random() < 0.5,
        separators=random.choice([(",", ":"), (", ", ": ")]),
        indent=random.choice([None, None, None, 1]),
    )


def documents(random: Random, layout: str, *, records: int = 6) -> bytes:
    """One document or several, in one of the forms of the layout."""
    rows = [record(random, layout) for _ in range(random.randrange(records + 1))]
    form = random.random()
    if layout in ("flat", "opensky-history", "readsb") and form < 0.5:
        if form < 0.25:
            return ("[" + ",".join(written(random, row) for row in rows) + "]").encode()
        return b"".join(json.dumps(row).encode() + random.choice([b"\n", b"\r\n", b"\n\n", b" ", b","]) for row in rows)
    texts = []
    for _ in range(random.randint(1, 3)):
        texts.append(written(random, envelope(random, layout, rows)))
        rows = [record(random, layout) for _ in range(random.randrange(4))]
    if form > 0.9:
        return ("[" + ",".join(texts) + "]").encode()
    return random.choice(["\n", "", ",", "\r\n"]).join(texts).encode()


def envelope(random: Random, layout: str, rows: list[Any] | None) -> dict[str, Any]:
    """Document around records, with its time before or behind them."""
    if layout == "fr24":
        identification = {"modes": "4b1901"}
        flight = {"track": rows, "aircraft": {"identification": identification}, "identification": {"callsign": "X"}}
        return {"result": {"response": {"data": {"flight": flight}, "n": 1}}}
    time, name = _ENVELOPES.get(layout, ("n", "data"))
    members = [(time, 1_700_000_000 + random.randrange(100)), (name, rows if random.random() < 0.9 else None), ("icao", "4b1901")]
    random.shuffle(members)
    return dict(members)


def damaged(random: Random, data: bytes) -> bytes:
    """The bytes with some of them deleted, inserted or changed, or cut short."""
    result = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 5])):
        at, kind = random.randrange(len(result) + 1), random.random()
        if kind < 0.35:
            del result[at : at + random.choice([1, 1, 1, 9])]
        elif kind < 0.75:
            result[at:at] = random.choice(_INSERTS)
        elif kind < 0.95 and at < len(result):
            result[at] = random.randrange(256)
        else:
            del result[at:]
    return bytes(result)
