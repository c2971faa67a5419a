"""Airfields as a value: what the loader in `store` hands to the stages in `core`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["AirportTable"]


@dataclass(frozen=True, eq=False)
class AirportTable:
    """Airfields as parallel arrays. `has_iata` stands for size: airlines go there. Equal only to itself."""

    icao: tuple[str, ...]
    latitude: npt.NDArray[np.float64]  # deg, of the reference point
    longitude: npt.NDArray[np.float64]  # deg
    elevation_ft: npt.NDArray[np.float64]
    has_iata: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the airfields."""
        return len(self.icao)
