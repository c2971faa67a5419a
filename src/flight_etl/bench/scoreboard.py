"""The scoreboard of accuracy: what was said of rows and flights beside the truth, by noise, interval, kind and phase."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from flight_etl.bench.scores import flight_score, phase_score
from flight_etl.bench.truth.days import INTERVALS_S
from flight_etl.bench.truth.kinds import KINDS
from flight_etl.bench.truth.profile import PHASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.bench.scores import PhaseScore

__all__ = ["COARSE", "HIGH_FIELD_FT", "MARGIN_S", "Judged", "Labels", "as_text", "joined", "summary"]

Codes = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MARGIN_S: Final = 20.0  # s on each side of a true change of phase
HIGH_FIELD_FT: Final = 5_000.0  # ft; fields above are told apart
COARSE: Final = ("ground", "climb", "cruise", "descent")
_COARSE_OF: Final = ("ground", "ground", "climb", "climb", "cruise", "descent", "descent", "ground")  # by PHASES
Labels = dict[str, Codes]


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows that came out, what is true of them, and what was found; phases are indices of PHASES, and beyond: unknown."""

    truth: Codes
    sure: Bools  # further than MARGIN_S from a true change
    interval_s: Codes
    kind: Codes  # index of KINDS
    high: Bools  # of a leg that begins or ends above HIGH_FIELD_FT
    flight: Codes  # truth
    found: Codes  # number of the flight found
    airborne: Bools  # truth
    ends: Codes  # bits: 1 the leg is heard on the ground before it flies, 2 after
    origin: npt.NDArray[np.object_]  # truth
    destination: npt.NDArray[np.object_]
    found_origin: npt.NDArray[np.object_]  # None: none was found
    found_destination: npt.NDArray[np.object_]
    said: Labels  # by method


def joined(parts: Sequence[Judged]) -> Judged:
    """All rows of one part or more; flights found are numbered on."""
    columns: dict[str, Any] = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Judged) if one.name != "said"
    }
    said = {method: np.concatenate([part.said[method] for part in parts]) for method in parts[0].said}
    return Judged(**columns, said=said)


def summary(judged: Judged) -> dict[str, Any]:
    """Everything that is worth knowing, as plain values; shares are 0 to 1."""
    every = np.ones(len(judged.truth), np.bool_)
    return {
        "rows": len(judged.truth),
        "methods": {
            method: {
                "all": _accuracy(judged, method, every),
                "outside_margin": _accuracy(judged, method, judged.sure),
                "coarse": _coarse(judged, method),
            }
            for method in judged.said
        },
        "phases": _by_phase(judged, every),
        "phases_outside_margin": _by_phase(judged, judged.sure),
        "phases_high_fields": _by_phase(judged, judged.high),
        "confusion": _score(judged, "context", every).confusion.tolist(),
        "by_interval_s": {str(s): _both(judged, judged.interval_s == s) for s in INTERVALS_S},
        "by_kind": {kind.name: _both(judged, judged.kind == code) for code, kind in enumerate(KINDS)},
        "flights": _flights(judged),
    }


def _score(judged: Judged, method: str, where: Bools) -> PhaseScore:
    return phase_score(judged.truth, judged.said[method], PHASES, where)


def _accuracy(judged: Judged, method: str, where: Bools) -> float:
    return _score(judged, method, where).accuracy


def _coarse(judged: Judged, method: str) -> float:
    """Accuracy where only ground, climb, cruise and descent are told apart, as methods do that know no more."""
    codes = np.array([COARSE.index(word) for word in _COARSE_OF])
    said = np.append(codes, len(COARSE))[judged.said[method]]
    return phase_score(codes[judged.truth], said, COARSE, np.ones(len(said), np.bool_)).accuracy


def _both(judged: Judged, where: Bools) -> dict[str, float]:
    return {
        "rows": int(np.count_nonzero(where)),
        "all": _accuracy(judged, "context", where),
        "outside_margin": _accuracy(judged, "context", where & judged.sure),
    }


def _by_phase(judged: Judged, where: Bools) -> dict[str, dict[str, float]]:
    score = _score(judged, "context", where)
    rows = score.confusion.sum(axis=1)
    return {
        word: {"rows": int(count), "recall": recall, "precision": precision}
        for word, count, recall, precision in zip(PHASES, rows, score.recall(), score.precision(), strict=True)
    }


def _flights(judged: Judged) -> dict[str, float]:
    score = flight_score(judged.flight, judged.found, judged.airborne)
    first = np.unique(judged.flight, return_index=True)[1]
    number = judged.flight[first]
    right = judged.found_origin == judged.origin, judged.found_destination == judged.destination
    # All rows in the air must name the right airport; where a turnaround is cut does not matter.
    wrong = [np.bincount(judged.flight[~one & judged.airborne], minlength=len(score.same))[number] > 0 for one in right]
    covered = judged.ends[first]
    both = covered == 3  # noqa: PLR2004 - both bits
    named = [one != None for one in (judged.found_origin, judged.found_destination)]  # noqa: E711 - element by element
    invented = sum(
        int(
            np.count_nonzero(
                np.bincount(judged.flight[has & judged.airborne], minlength=len(score.same))[number][(covered & bit) == 0]
            )
        )
        for has, bit in zip(named, (1, 2), strict=True)
    )
    return {
        "true": score.true,
        "found": score.found,
        "same": int(np.count_nonzero(score.same >= 0)),
        "splits": score.splits,
        "merges": score.merges,
        "f1": score.f1,
        "both_ends_heard": int(np.count_nonzero(both)),
        "both_airports_right": float(np.mean(~wrong[0][both] & ~wrong[1][both])) if both.any() else float("nan"),
        "airports_where_the_end_is_in_the_air": invented,
    }


def as_text(report: dict[str, Any]) -> str:
    """Lines for people; `report` has `levels`, each as `summary` gives it, and what they were measured on."""
    lines = [
        f"seed {report['seed']}, {report['flights']:,} flights, a margin of {MARGIN_S:.0f} s on each side of true changes",
        "",
    ]
    lines += ["| noise | rows | method | all rows | outside the margin | four phases |", "|---|---:|---|---:|---:|---:|"]
    for name, level in report["levels"].items():
        for method, value in level["methods"].items():
            shares = " | ".join(_percent(value[key]) for key in ("all", "outside_margin", "coarse"))
            lines.append(f"| {name} | {level['rows']:,} | {method} | {shares} |")
    for title, key in (("By phase", "phases"), ("By phase, fields above 5,000 ft", "phases_high_fields")):
        lines += ["", f"{title}: recall / precision, all rows", "", _head(report), _rule(report)]
        for word in PHASES:
            cells = [level[key][word] for level in report["levels"].values()]
            lines.append(
                f"| {word} | " + " | ".join(f"{_percent(c['recall'])} / {_percent(c['precision'])}" for c in cells) + " |"
            )
    for title, key in (("By seconds between rows", "by_interval_s"), ("By kind", "by_kind")):
        lines += ["", f"{title}: all rows / outside the margin", "", _head(report), _rule(report)]
        for one in next(iter(report["levels"].values()))[key]:
            cells = [level[key][one] for level in report["levels"].values()]
            lines.append(
                f"| {one} | " + " | ".join(f"{_percent(c['all'])} / {_percent(c['outside_margin'])}" for c in cells) + " |"
            )
    lines += ["", "Flights", "", _head(report), _rule(report)]
    for one in next(iter(report["levels"].values()))["flights"]:
        cells = [level["flights"][one] for level in report["levels"].values()]
        lines.append(
            f"| {one.replace('_', ' ')} | " + " | ".join(f"{c:,}" if isinstance(c, int) else f"{c:.4f}" for c in cells) + " |"
        )
    for name, level in report["levels"].items():
        lines += ["", f"Confusion, {name}: truth down, said across", ""]
        lines += [f"| | {' | '.join(PHASES)} | unknown |", "|---" * (len(PHASES) + 2) + "|"]
        lines += [
            f"| {word} | {' | '.join(f'{n:,}' for n in row)} |" for word, row in zip(PHASES, level["confusion"], strict=True)
        ]
    return "\n".join(lines)


def _head(report: dict[str, Any]) -> str:
    return f"| | {' | '.join(report['levels'])} |"


def _rule(report: dict[str, Any]) -> str:
    return "|---" * (len(report["levels"]) + 1) + "|"


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}"
