"""Pictures of flights coloured by phase, made-up ones with their truth beneath: docs/pictures/phases-*.png.

python benchmarks/phase_pictures.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np

from flight_etl.api import transform
from flight_etl.bench.truth.days import PHASES, days
from flight_etl.bench.truth.faults import LEVELS, heard_through
from flight_etl.runners.accuracy import feed_table, labels_of
from flight_etl.store.airports import load_airports

if TYPE_CHECKING:
    from flight_etl.bench.truth.days import Day

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS: Final = ("#7f7f7f", "#bcbd22", "#d62728", "#ff7f0e", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e0e0e0")
WANTED: Final = {  # title, kind, and a transition of the truth that the day has to have
    "airliner": ("An airliner", "airliner", (4, 3)),
    "go-around": ("A go-around", "airliner", (6, 3)),
    "circuits": ("Touch-and-goes", "light aircraft", (6, 2)),
}


def main(folder: Path) -> None:
    """Draw one picture for each of WANTED, at the noise `standard`."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = LEVELS["standard"]
    left = dict(WANTED)
    for day in days(load_airports(), flights=400, seed=7, pressure_hpa=noise.pressure_hpa):
        for name, (title, kind, pair) in list(left.items()):
            leg = _leg(day, pair)
            if day.kind.name == kind and day.interval_s <= 5 and leg is not None:  # noqa: PLR2004 - s; enough to draw
                del left[name]
                _draw(folder / f"phases-{name}.png", title, day, leg)
        if not left:
            return


def _leg(day: Day, pair: tuple[int, int]) -> int | None:
    """Number of the first leg in which the second phase of `pair` follows the first."""
    phase, flight = day.rows.phase, day.rows.flight
    at = np.flatnonzero((phase[:-1] == pair[0]) & (phase[1:] == pair[1]) & (flight[:-1] == flight[1:]))
    return int(flight[at[0]]) if len(at) else None


def _draw(path: Path, title: str, day: Day, leg: int) -> None:
    noise = LEVELS["standard"]
    rows = heard_through(day, noise, 7)
    kept: Any = transform(feed_table(day, rows)).kept
    said = labels_of(kept)
    rows = rows.take(kept["truth_row"].to_numpy())
    one = rows.flight == leg
    minutes = (rows.time_ms[one] - rows.time_ms[one][0]) / 60_000
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 3.4), sharex=True, height_ratios=[5, 1], layout="constrained")
    # Where the transponder sends no altitude on the ground, the lowest known one stands for it.
    altitude = rows.altitude_ft[one].copy()
    altitude[np.isnan(altitude) & ~rows.airborne[one]] = np.nanmin(altitude)
    for code, word in enumerate((*PHASES, "unknown")):
        at = said[one] == code
        if at.any():
            above.scatter(minutes[at], altitude[at] / 1_000, s=4, color=COLOURS[code], label=word)
    for lane, codes in enumerate((rows.phase[one], said[one])):
        below.scatter(minutes, np.full(len(minutes), 1 - lane), c=[COLOURS[code] for code in codes], marker="|", s=60)
    below.set_yticks([1, 0], ["truth", "found"])
    below.set_ylim(-0.7, 1.7)
    below.set_xlabel("minutes")
    above.set_ylim(top=1.1 * float(np.nanquantile(altitude, 0.99)) / 1_000)  # spikes leave the picture
    above.set_ylabel("pressure altitude, 1,000 ft")
    above.set_title(f"{title}, every {day.interval_s} s, standard noise", fontsize=10)
    above.legend(fontsize=7, markerscale=2, ncols=3)
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
