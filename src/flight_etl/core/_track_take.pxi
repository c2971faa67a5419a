# Part of _track_kernels.pyx: rows of many tables put together to columns of one.

def places(const int32_t[::1] order, const int64_t[::1] starts, const int64_t[::1] begins):
    """Part and row of each of `order`, which counts through parts: part p has the numbers from starts[p] to before starts[p + 1].

    The first of these is row begins[p] of the part.
    """
    cdef Py_ssize_t size = order.shape[0], parts = begins.shape[0], p, i
    part_array, row_array = np.empty(size, np.int32), np.empty(size, np.int32)
    cdef int32_t[::1] part = part_array
    cdef int32_t[::1] row = row_array
    cdef int32_t *of
    cdef Py_ssize_t total = starts[parts]
    cdef int32_t at
    if size == 0:
        return part_array, row_array
    with nogil:
        of = <int32_t *>malloc(<size_t>max(total, 1) * sizeof(int32_t))
        if of != NULL:
            for p in range(parts):
                for i in range(starts[p], starts[p + 1]):
                    of[i] = <int32_t>p
            for i in range(size):
                at = of[order[i]]
                part[i] = at
                row[i] = <int32_t>(order[i] - starts[at] + begins[at])
    if of == NULL:
        raise MemoryError
    free(of)
    return part_array, row_array


# Columns of the lines that tell where the buffers of a column are.
cdef enum:
    VALUES
    VALIDITY  # 0: nothing is null
    OFFSET
    NULLS
    ENDS
    TEXT
    WORD_COUNT
    LINE


cdef void take_64(const uint64_t **bases, const int32_t *part, const int32_t *row, Py_ssize_t size, uint64_t *out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        out[i] = bases[part[i]][row[i]]


cdef void take_32(const uint32_t **bases, const int32_t *part, const int32_t *row, Py_ssize_t size, uint32_t *out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        out[i] = bases[part[i]][row[i]]


cdef int64_t take_bits(
    const int64_t *lines, Py_ssize_t step, int which, const int32_t *part, const int32_t *row, Py_ssize_t size, uint8_t *out
) noexcept nogil:
    """Bits of the buffers `which`; where there is none they are one. Returns how many are zero."""
    cdef Py_ssize_t i, at
    cdef int64_t ones = 0
    cdef uint32_t byte = 0, bit
    cdef const int64_t *line
    cdef const uint8_t *source
    for i in range(size):
        line = lines + part[i] * step
        source = <const uint8_t *>line[which]
        bit = 1
        if source != NULL:
            at = row[i] + line[OFFSET]
            bit = (source[at >> 3] >> (at & 7)) & 1
        ones += bit
        byte |= bit << (i & 7)
        if i & 7 == 7:
            out[i >> 3] = <uint8_t>byte
            byte = 0
    if size & 7:
        out[size >> 3] = <uint8_t>byte
    return size - ones


def take_columns(
    const int64_t[:, :, ::1] lines,
    const int64_t[::1] widths,
    const int64_t[::1] bits,
    const int32_t[::1] part,
    const int32_t[::1] row,
    const int64_t[:, ::1] begins,
    uint8_t[::1] out,
):
    """Values of `widths` bits (1, 32, 64; 0: none), and validity where `bits` is not 0, from byte `begins` of `out` on.

    `lines` has a line for each part and column. Returns how many values of each column are null.
    """
    cdef Py_ssize_t at, p, size = part.shape[0], columns = widths.shape[0], parts = lines.shape[0], step = lines.shape[1] * LINE
    missing = np.zeros(columns, np.int64)
    cdef int64_t[::1] nulls = missing
    cdef const int64_t *first
    cdef uint64_t *bases
    if size == 0:
        return missing
    with nogil:
        bases = <uint64_t *>malloc(<size_t>parts * sizeof(uint64_t))
        for at in range(columns if bases != NULL else 0):
            first = &lines[0, at, 0]
            for p in range(parts):
                bases[p] = <uint64_t>(first[p * step + VALUES] + first[p * step + OFFSET] * widths[at] // 8)
            if widths[at] == 64:
                take_64(<const uint64_t **>bases, &part[0], &row[0], size, <uint64_t *>&out[begins[at, 0]])
            elif widths[at] == 32:
                take_32(<const uint32_t **>bases, &part[0], &row[0], size, <uint32_t *>&out[begins[at, 0]])
            elif widths[at] == 1:
                take_bits(first, step, VALUES, &part[0], &row[0], size, &out[begins[at, 0]])
            if bits[at]:
                nulls[at] = take_bits(first, step, VALIDITY, &part[0], &row[0], size, &out[begins[at, 1]])
    if bases == NULL:
        raise MemoryError
    free(bases)
    return missing


# Different words so far: their text, where each ends, and a hash table of their numbers plus one.
ctypedef struct Book:
    uint8_t *text
    size_t text_room
    int32_t *ends
    uint64_t *hashes
    int32_t count
    int32_t room
    int32_t *slots
    uint64_t mask


cdef uint64_t hashed(const uint8_t *text, size_t size) noexcept nogil:
    """Multiply and fold, eight bytes at a time; a word is seldom longer."""
    cdef uint64_t value, result = <uint64_t>size * <uint64_t>0x9E3779B97F4A7C15
    cdef size_t at = 0, step
    while at < size:
        step = min(size - at, <size_t>8)
        value = 0
        memcpy(&value, text + at, step)
        result = (result ^ value) * <uint64_t>0x9E3779B97F4A7C15
        result ^= result >> 29
        at += 8
    return result


cdef bint grown(Book *b) noexcept nogil:
    """Make room for twice as many words."""
    cdef int32_t room = b.room * 2 if b.room else 64, i
    cdef uint64_t at
    cdef int32_t *ends = <int32_t *>realloc(b.ends, (<size_t>room + 1) * sizeof(int32_t))
    cdef uint64_t *hashes
    cdef int32_t *slots
    if ends == NULL:
        return False
    b.ends = ends
    b.ends[0] = 0 if b.count == 0 else b.ends[0]
    hashes = <uint64_t *>realloc(b.hashes, <size_t>room * sizeof(uint64_t))
    if hashes == NULL:
        return False
    b.hashes = hashes
    slots = <int32_t *>calloc(<size_t>room * 2, sizeof(int32_t))
    if slots == NULL:
        return False
    free(b.slots)
    b.slots, b.room, b.mask = slots, room, <uint64_t>room * 2 - 1
    for i in range(b.count):
        at = b.hashes[i] & b.mask
        while slots[at]:
            at = (at + 1) & b.mask
        slots[at] = i + 1
    return True


cdef int32_t number_of(Book *b, const uint8_t *text, size_t size) noexcept nogil:
    """Number of a word, which is new or not; -1: no memory, or more than 2 GB of text."""
    cdef uint64_t value = hashed(text, size), at
    cdef int32_t found
    cdef size_t end
    cdef uint8_t *more
    if b.count == b.room and not grown(b):
        return -1
    at = value & b.mask
    while b.slots[at]:
        found = b.slots[at] - 1
        end = <size_t>b.ends[found]
        if b.hashes[found] == value and <size_t>b.ends[found + 1] - end == size and memcmp(b.text + end, text, size) == 0:
            return found
        at = (at + 1) & b.mask
    end = <size_t>b.ends[b.count]
    if end + size > 0x7FFFFFFF:
        return -1
    if end + size > b.text_room:
        more = <uint8_t *>realloc(b.text, (end + size) * 2)
        if more == NULL:
            return -1
        b.text, b.text_room = more, (end + size) * 2
    if size:
        memcpy(b.text + end, text, size)
    b.slots[at] = b.count + 1
    b.hashes[b.count] = value
    b.ends[b.count + 1] = <int32_t>(end + size)
    b.count += 1
    return b.count - 1


def take_words(const int64_t[:, ::1] lines, const int32_t[::1] part, const int32_t[::1] row, int32_t[::1] out):
    """Words of a dictionary column, as numbers into one dictionary in order of first appearance; null is -1.

    `lines` has one line for each part. Returns the joint dictionary: where words end (int32, one more than words), and text.
    """
    cdef Py_ssize_t i, size = part.shape[0], parts = lines.shape[0], p, at
    cdef Book b
    cdef int64_t *first
    cdef int32_t *known = NULL
    cdef int32_t *place
    cdef int64_t total = 0
    cdef int32_t code
    cdef bint good = True
    cdef const uint8_t *bits
    cdef const int32_t *bounds
    memset(&b, 0, sizeof(Book))
    with nogil:
        first = <int64_t *>malloc(<size_t>(parts + 1) * sizeof(int64_t))
        if first != NULL:
            for p in range(parts):
                first[p] = total
                total += lines[p, WORD_COUNT]
            known = <int32_t *>calloc(<size_t>(total + 1), sizeof(int32_t))  # number in the joint dictionary plus one
        good = known != NULL and grown(&b)
        for i in range(size if good else 0):
            p = part[i]
            at = row[i] + lines[p, OFFSET]
            bits = <const uint8_t *>lines[p, VALIDITY]
            if bits != NULL and not (bits[at >> 3] >> (at & 7)) & 1:
                out[i] = -1
                continue
            code = (<const int32_t *>lines[p, VALUES])[at]
            place = &known[first[p] + code]
            if place[0] == 0:
                bounds = <const int32_t *>lines[p, ENDS]
                place[0] = number_of(
                    &b, <const uint8_t *>lines[p, TEXT] + bounds[code], <size_t>(bounds[code + 1] - bounds[code])
                ) + 1
                if place[0] == 0:
                    good = False
                    break
            out[i] = place[0] - 1
        free(first)
        free(known)
    try:
        if not good:
            raise MemoryError
        bound_array, text_array = np.zeros(b.count + 1, np.int32), np.empty(b.ends[b.count], np.uint8)
        copy_words(&b, bound_array, text_array)
    finally:
        free(b.text)
        free(b.ends)
        free(b.hashes)
        free(b.slots)
    return bound_array, text_array


cdef int copy_words(Book *b, int32_t[::1] ends, uint8_t[::1] text) except -1:
    memcpy(&ends[0], b.ends, <size_t>(b.count + 1) * sizeof(int32_t))
    if text.shape[0]:
        memcpy(&text[0], b.text, <size_t>text.shape[0])
    return 0
