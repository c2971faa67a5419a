# Runs of rows that share a state, and what holds in them: twins of `runs.py` and of the arithmetic of masks in `track.py`.


cdef void mark_narrow(const uint8_t *value, uint8_t *starts, int64_t size) noexcept nogil:
    cdef int64_t i
    for i in range(1, size):
        starts[i] |= value[i] != value[i - 1]


cdef void mark_wide(const int64_t *value, uint8_t *starts, int64_t size) noexcept nogil:
    cdef int64_t i
    for i in range(1, size):
        starts[i] |= value[i] != value[i - 1]


cdef int mark_changes(values, uint8_t[::1] starts) except -1:
    """Set `starts` where an element differs from the one before it; whole numbers and masks, of one or eight bytes."""
    cdef const uint8_t[::1] narrow
    cdef const int64_t[::1] wide
    cdef int64_t size = starts.shape[0]
    if values.dtype.itemsize == 1:
        narrow = values.view(np.uint8)
        with nogil:
            mark_narrow(&narrow[0], &starts[0], size)
    else:
        wide = values
        with nogil:
            mark_wide(&wide[0], &starts[0], size)
    return 0


cdef int64_t next_start(const uint8_t *starts, int64_t at, int64_t size) noexcept nogil:
    """First of the starts at or after `at`, or `size`; most rows start nothing, and are passed eight at a time."""
    cdef uint64_t eight
    while at + 8 <= size:
        memcpy(&eight, starts + at, 8)
        if eight:
            break
        at += 8
    while at < size and not starts[at]:
        at += 1
    return at


def runs(tuple values, within, begins):
    """First and last row of each run: these begin where one of `values` changes, at rows `within`, and where `begins` holds."""
    cdef int64_t size = len(values[0] if values else begins), count, run, at, end
    mask = np.zeros(size, np.uint8) if begins is None else np.array(begins.view(np.uint8))
    cdef uint8_t[::1] starts = mask
    cdef const int64_t[::1] edges
    if not size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    for one in values:
        mark_changes(one, starts)
    starts[0] = 1
    if within is not None:
        edges = within
        for at in range(edges.shape[0]):
            starts[edges[at]] = 1
    count = np.count_nonzero(mask)
    firsts, lasts = np.empty(count, np.int64), np.empty(count, np.int64)
    cdef int64_t[::1] first = firsts, last = lasts
    cdef const uint8_t *s = &starts[0]
    with nogil:
        at = 0
        for run in range(count):
            end = next_start(s, at + 1, size)
            first[run], last[run] = at, end - 1
            at = end
    return firsts, lasts


def spread(values, const int64_t[::1] first, const int64_t[::1] last):
    """Give every row the value of its run; values of one or eight bytes, whatever they mean."""
    cdef int64_t count = first.shape[0], run, i, end
    made = np.empty(last[count - 1] + 1 if count else 0, values.dtype)
    cdef const uint8_t[::1] narrow
    cdef const uint64_t[::1] wide
    cdef uint8_t[::1] bytes_out
    cdef uint64_t[::1] words_out
    cdef uint64_t *out
    cdef uint64_t word
    if not count:
        return made
    if values.dtype.itemsize == 1:
        narrow, bytes_out = values.view(np.uint8), made.view(np.uint8)
        with nogil:
            for run in range(count):
                memset(&bytes_out[first[run]], narrow[run], last[run] - first[run] + 1)
        return made
    wide, words_out = values.view(np.uint64), made.view(np.uint64)
    out = &words_out[0]
    with nogil:
        for run in range(count):
            word, end = wide[run], last[run] + 1
            for i in range(first[run], end):
                out[i] = word
    return made


def first_where(mask, const int64_t[::1] first, const int64_t[::1] last):
    """First row of each run at which `mask` holds; -1 where it holds nowhere."""
    cdef const uint8_t[::1] holds = mask.view(np.uint8)
    cdef int64_t count = first.shape[0], run, i
    made = np.full(count, -1, np.int64)
    cdef int64_t[::1] out = made
    with nogil:
        for run in range(count):
            for i in range(first[run], last[run] + 1):
                if holds[i]:
                    out[run] = i
                    break
    return made


def last_where(mask, const int64_t[::1] first, const int64_t[::1] last):
    """Last row of each run at which `mask` holds; -1 where it holds nowhere."""
    cdef const uint8_t[::1] holds = mask.view(np.uint8)
    cdef int64_t count = first.shape[0], run, i
    made = np.full(count, -1, np.int64)
    cdef int64_t[::1] out = made
    with nogil:
        for run in range(count):
            i = last[run]
            while i >= first[run] and not holds[i]:
                i -= 1
            if i >= first[run]:
                out[run] = i
    return made


def ends(const double[::1] values, const int64_t[::1] first, const int64_t[::1] last):
    """First and last known value of each run; NaN where none is known."""
    cdef int64_t count = first.shape[0], run, i
    begins, finishes = np.full(count, NAN), np.full(count, NAN)
    cdef double[::1] begin = begins, finish = finishes
    with nogil:
        for run in range(count):
            i = first[run]
            while i < last[run] and isnan(values[i]):
                i += 1
            begin[run] = values[i]
            i = last[run]
            while i > first[run] and isnan(values[i]):
                i -= 1
            finish[run] = values[i]
    return begins, finishes


cdef struct Ranked:
    double value
    int64_t row


cdef int compare(const void *one, const void *other) noexcept nogil:
    """Order by value, and by row where values are the same: 0 and -0 are."""
    cdef const Ranked *a = <const Ranked *>one
    cdef const Ranked *b = <const Ranked *>other
    if a.value != b.value:
        return -1 if a.value < b.value else 1
    return -1 if a.row < b.row else 1


def medians(const double[::1] values, mask, const int64_t[::1] first, const int64_t[::1] last):
    """Lower median of each run's known values at which `mask` holds; NaN where there is none."""
    cdef const uint8_t[::1] holds = mask.view(np.uint8)
    cdef int64_t count = first.shape[0], run, i, known
    made, temporary = np.full(count, NAN), np.empty((values.shape[0], 2), np.int64)
    cdef double[::1] out = made
    cdef int64_t[:, ::1] room = temporary
    cdef Ranked *ranked
    if not count:
        return made
    ranked = <Ranked *>&room[0, 0]
    with nogil:
        for run in range(count):
            known = 0
            for i in range(first[run], last[run] + 1):
                if holds[i] and not isnan(values[i]):
                    ranked[known].value, ranked[known].row = values[i], i
                    known += 1
            if known:
                qsort(ranked, known, sizeof(Ranked), compare)
                out[run] = ranked[(known - 1) // 2].value
    return made


def previous_true(mask, const int64_t[::1] flight):
    """Row of the last true at or before each row in the same flight; -1 where there is none."""
    cdef const uint8_t[::1] holds = mask.view(np.uint8)
    cdef int64_t size = flight.shape[0], i, at = -1
    made = np.empty(size, np.int64)
    cdef int64_t[::1] out = made
    with nogil:
        for i in range(size):
            if i and flight[i] != flight[i - 1]:
                at = -1
            at = i if holds[i] else at
            out[i] = at
    return made


def next_true(mask, const int64_t[::1] flight):
    """Row of the first true at or after each row in the same flight; -1 where there is none."""
    cdef const uint8_t[::1] holds = mask.view(np.uint8)
    cdef int64_t size = flight.shape[0], i, at = -1
    made = np.empty(size, np.int64)
    cdef int64_t[::1] out = made
    with nogil:
        for i in range(size - 1, -1, -1):
            if i + 1 < size and flight[i] != flight[i + 1]:
                at = -1
            at = i if holds[i] else at
            out[i] = at
    return made


def moving_means(const double[::1] values, const int64_t[::1] key, int64_t half, double quanta):
    """Mean, to a quantum, of the known values within `half`, ms, of each row that has one; NaN elsewhere."""
    cdef int64_t size = key.shape[0], i, count
    made, use, temporary = np.full(size, NAN), np.empty(size, np.uint8), np.empty((2, size), np.int64)
    cdef double[::1] out = made
    cdef uint8_t[::1] known = use
    cdef int64_t[::1] k = temporary[0], v = temporary[1]
    cdef Total w = Total(0, 0, 0)
    if not size:
        return made
    with nogil:
        for i in range(size):
            known[i] = not isnan(values[i])
        count = samples(key, values, known, quanta, k, v)
        for i in range(size):
            if known[i]:
                out[i] = mean_within(&w, &k[0], &v[0], count, key[i] - half, key[i] + half, quanta)
    return made
