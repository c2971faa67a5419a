# Part of _track_kernels.pyx: the order of rows by address and time.
#
# Rows come in stretches of one address, be it because a receiver's file is by aircraft or because the tables were sorted
# before. The stretches are sorted by address, stably; those of one address mostly follow each other in time, and where they do
# not, its rows are sorted by time.

cdef enum:
    DIGIT = 11  # bits of a code that are looked at in one pass
    FEW = 24  # rows that are sorted by insertion

ctypedef struct Stretch:
    uint32_t code
    int32_t first

ctypedef struct Timed:
    int64_t time
    int32_t row


cdef bint ordered(const int32_t *codes, const int64_t *times, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(1, size):
        if codes[i] < codes[i - 1] or (codes[i] == codes[i - 1] and times[i] < times[i - 1]):
            return False
    return True


cdef void by_insertion(Timed *rows, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef Timed one
    for i in range(1, size):
        one = rows[i]
        j = i
        while j > 0 and rows[j - 1].time > one.time:
            rows[j] = rows[j - 1]
            j -= 1
        rows[j] = one


cdef void by_time(Timed *rows, Timed *room, Py_ssize_t size) noexcept nogil:
    """Stable merge sort; halves that are in order already are not looked at again."""
    cdef Py_ssize_t half = size // 2, i = 0, j, at = 0
    if size <= FEW:
        by_insertion(rows, size)
        return
    by_time(rows, room, half)
    by_time(rows + half, room, size - half)
    if rows[half - 1].time <= rows[half].time:
        return
    memcpy(room, rows, <size_t>half * sizeof(Timed))
    j = half
    while i < half:
        if j < size and rows[j].time < room[i].time:
            rows[at] = rows[j]
            j += 1
        else:
            rows[at] = room[i]
            i += 1
        at += 1


cdef void by_code(Stretch **stretches, Stretch **room, Py_ssize_t count, uint32_t span, uint32_t *tally) noexcept nogil:
    """Stable radix sort; the result is in `stretches`."""
    cdef uint32_t mask = (1 << DIGIT) - 1, total, held
    cdef int shift = 0
    cdef Py_ssize_t i
    cdef Stretch *other
    while span >> shift:
        memset(tally, 0, (<size_t>mask + 1) * sizeof(uint32_t))
        for i in range(count):
            tally[(stretches[0][i].code >> shift) & mask] += 1
        total = 0
        for i in range(<Py_ssize_t>mask + 1):
            held = tally[i]
            tally[i] = total
            total += held
        for i in range(count):
            held = (stretches[0][i].code >> shift) & mask
            room[0][tally[held]] = stretches[0][i]
            tally[held] += 1
        other = stretches[0]
        stretches[0] = room[0]
        room[0] = other
        shift += DIGIT
        if shift > 31:
            break


cdef bint sort_into(const int32_t *codes, const int64_t *times, Py_ssize_t size, int32_t *order) noexcept nogil:
    """Stable order by (code, time), codes at least 0. False: no memory."""
    cdef Py_ssize_t count = 1, i, at = 0, begin, row
    cdef uint32_t low = <uint32_t>codes[0], high = <uint32_t>codes[0]
    cdef Stretch *stretches
    cdef Stretch *room
    cdef uint32_t *tally
    cdef Timed *rows
    cdef bint rising
    for i in range(1, size):
        count += codes[i] != codes[i - 1]
    stretches = <Stretch *>malloc(<size_t>count * sizeof(Stretch))
    room = <Stretch *>malloc(<size_t>count * sizeof(Stretch))
    tally = <uint32_t *>malloc((<size_t>1 << DIGIT) * sizeof(uint32_t))
    rows = <Timed *>malloc(2 * <size_t>size * sizeof(Timed))
    if stretches == NULL or room == NULL or tally == NULL or rows == NULL:
        free(stretches)
        free(room)
        free(tally)
        free(rows)
        return False
    count = 0
    for i in range(size):
        if i == 0 or codes[i] != codes[i - 1]:
            stretches[count].code, stretches[count].first = <uint32_t>codes[i], <int32_t>i
            low, high = min(low, <uint32_t>codes[i]), max(high, <uint32_t>codes[i])
            count += 1
    for i in range(count):
        stretches[i].code -= low
    by_code(&stretches, &room, count, high - low, tally)
    i = 0
    while i < count:
        begin = at
        rising = True
        while True:
            row = stretches[i].first
            while True:
                if at > begin and times[row] < times[order[at - 1]]:
                    rising = False
                order[at] = <int32_t>row
                at += 1
                row += 1
                if row >= size or codes[row] != codes[row - 1]:
                    break
            i += 1
            if i >= count or stretches[i].code != stretches[i - 1].code:
                break
        if not rising:
            for row in range(begin, at):
                rows[row - begin].time, rows[row - begin].row = times[order[row]], order[row]
            by_time(rows, rows + size, at - begin)
            for row in range(begin, at):
                order[row] = rows[row - begin].row
    free(stretches)
    free(room)
    free(tally)
    free(rows)
    return True


def order_of(const int32_t[::1] codes, const int64_t[::1] times):
    """Stable order of rows by code, which is at least 0, and time (ms), as int32; None where they are in order."""
    cdef Py_ssize_t size = codes.shape[0]
    cdef int32_t[::1] order
    cdef bint done
    if size < 2:
        return None
    with nogil:
        done = ordered(&codes[0], &times[0], size)
    if done:
        return None
    result = np.empty(size, np.int32)
    order = result
    with nogil:
        done = sort_into(&codes[0], &times[0], size, &order[0])
    if not done:
        raise MemoryError
    return result
