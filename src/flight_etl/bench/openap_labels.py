"""Labels of OpenAP's fuzzy logic, for comparison only: it is LGPL, no dependency of ours, and used where it is there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["has_openap", "openap_codes"]

_WORDS: Final = {"GND": "ground", "CL": "climb", "DE": "descent", "CR": "cruise", "LVL": "cruise"}


def has_openap() -> bool:
    """Whether OpenAP can be imported."""
    return find_spec("openap") is not None


def openap_codes(
    flight: npt.NDArray[np.int64],
    time_s: npt.NDArray[np.float64],
    altitude_ft: npt.NDArray[np.float64],
    speed_kt: npt.NDArray[np.float64],
    rate_fpm: npt.NDArray[np.float64],
    words: Sequence[str],
) -> npt.NDArray[np.int64]:
    """Indices of `words`, and beyond for what OpenAP labels NA. It is given 0 for an unknown altitude or rate."""
    from openap import FlightPhase  # type: ignore[import-not-found, unused-ignore]

    codes = {said: words.index(word) for said, word in _WORDS.items()}
    result = np.full(len(flight), len(words), np.int64)
    for one in np.unique(flight):
        rows = np.flatnonzero((flight == one) & ~np.isnan(speed_kt))
        if len(rows) < 2:  # noqa: PLR2004
            continue
        labeller = FlightPhase()
        labeller.set_trajectory(
            time_s[rows] - time_s[rows[0]], np.nan_to_num(altitude_ft[rows]), speed_kt[rows], np.nan_to_num(rate_fpm[rows])
        )
        result[rows] = [codes.get(said, len(words)) for said in labeller.phaselabel()]
    return result
