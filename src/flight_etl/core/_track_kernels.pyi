from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.int32]
Bytes: TypeAlias = npt.NDArray[np.uint8]

Floats: TypeAlias = npt.NDArray[np.float64]

def known(values: Floats) -> tuple[Bytes, int]: ...
def rates(
    values: Floats,
    fresh: npt.NDArray[np.uint8],
    flight: Ints,
    time_ms: Ints,
    span_ms: int,
    max_gap_s: float,
    scale: float,
    angle: bool,
) -> Floats: ...
def order_of(codes: Codes, times: Ints) -> Codes | None: ...
def places(order: Codes, starts: Ints, begins: Ints) -> tuple[Codes, Codes]: ...
def take_columns(lines: Ints, widths: Ints, bits: Ints, part: Codes, row: Codes, begins: Ints, out: Bytes) -> Ints: ...
def take_words(lines: Ints, part: Codes, row: Codes, out: Codes) -> tuple[Codes, Bytes]: ...
