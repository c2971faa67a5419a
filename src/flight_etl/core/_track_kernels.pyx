# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, nonecheck=False
"""What is done to every row of a track, one pass each, without the GIL. Each has a twin in NumPy that gives the same.

Columns of many tables are given by the addresses of their buffers; who calls keeps the tables alive. `part` and `row` say,
for each row of the result, which table it is from and where it stands there.
"""

from libc.math cimport fmod, rint
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

import numpy as np

include "_track_order.pxi"
include "_track_take.pxi"
include "_track_motion.pxi"
