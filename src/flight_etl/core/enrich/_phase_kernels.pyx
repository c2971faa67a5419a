# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, nonecheck=False
"""What the phases of flight need of every row, one pass each, without the GIL. Each has a twin in NumPy that gives the same bits.

Arrays are parallel: one element per row of the evidence, of flights one after the other. `key` rises (ms inside a flight, see
`track.time_key`), NaN is unknown, masks are bytes of 0 and 1. Thresholds are arguments: they are stated once, in the twins.

The included files have one concern each: windows of time, runs of rows, and what rows are by rules.
"""

from libc.math cimport fabs, fmod, isnan, rint, sqrt
from libc.stdint cimport int8_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

import numpy as np

include "_phase_windows.pxi"
include "_phase_runs.pxi"
include "_phase_rows.pxi"
