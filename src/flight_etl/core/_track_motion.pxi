# Part of _track_kernels.pyx: rates of change along flights (core/enrich/motion.py).

cdef inline double shorter_way(double degrees) noexcept nogil:
    """A turn as -180 < turn <= 180, with the remainder that Python and NumPy have: of the sign of the divisor."""
    cdef double rest = fmod(180.0 - degrees, 360.0)
    if rest < 0.0:
        rest += 360.0
    return 180.0 - rest


def rates(
    const double[::1] values,
    const uint8_t[::1] fresh,
    const int64_t[::1] flight,
    const int64_t[::1] time_ms,
    int64_t span_ms,
    double max_gap_s,
    double scale,
    bint angle,
):
    """Change per second, times `scale`, of each known fresh sample since the last at least `span_ms` older, or else the first.

    Times of a flight count as the latest so far when that sample is looked for. NaN where no time or more than `max_gap_s` has
    passed. Angles are summed in steps, each the shorter way round, of whole millionths of a degree.
    """
    cdef Py_ssize_t size = values.shape[0], row, count = 0, first = 0, back = 0, at
    cdef int32_t *sample
    cdef int64_t *latest
    cdef int64_t *turned
    cdef double seconds, change
    cdef double missing = float("nan")
    result = np.empty(size, np.float64)
    cdef double[::1] out = result
    if size == 0:
        return result
    with nogil:
        sample = <int32_t *>malloc(<size_t>size * sizeof(int32_t))
        latest = <int64_t *>malloc(<size_t>size * sizeof(int64_t))
        turned = <int64_t *>malloc(<size_t>size * sizeof(int64_t))
        for row in range(size if sample != NULL and latest != NULL and turned != NULL else 0):
            out[row] = missing
            if not fresh[row] or values[row] != values[row]:
                continue
            sample[count] = <int32_t>row
            turned[count] = 0
            if count == 0 or flight[row] != flight[sample[count - 1]]:
                first = back = count
                latest[count] = time_ms[row]
                count += 1
                continue
            latest[count] = max(latest[count - 1], time_ms[row])
            if angle:
                change = shorter_way(values[row] - values[sample[count - 1]])
                turned[count] = turned[count - 1] + <int64_t>rint(change * 1e6)
            while back + 1 < count and latest[back + 1] <= latest[count] - span_ms:
                back += 1
            at = sample[back]
            seconds = <double>(time_ms[row] - time_ms[at]) / 1000.0
            if seconds > 0.0 and seconds <= max_gap_s:
                change = <double>(turned[count] - turned[back]) / 1e6 if angle else values[row] - values[at]
                out[row] = change / seconds * scale
            count += 1
    try:
        if sample == NULL or latest == NULL or turned == NULL:
            raise MemoryError
    finally:
        free(sample)
        free(latest)
        free(turned)
    return result


def known(const double[::1] values):
    """Bits that tell which values are numbers, and how many are not."""
    cdef Py_ssize_t size = values.shape[0], row
    cdef int64_t missing = 0
    cdef uint32_t byte = 0, bit
    bits = np.empty((size + 7) // 8, np.uint8)
    cdef uint8_t[::1] out = bits
    with nogil:
        for row in range(size):
            bit = values[row] == values[row]
            missing += 1 - bit
            byte |= bit << (row & 7)
            if row & 7 == 7:
                out[row >> 3] = <uint8_t>byte
                byte = 0
        if size & 7:
            out[size >> 3] = <uint8_t>byte
    return bits, missing
