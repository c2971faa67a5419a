# Part of _fast.pyx: whole documents, whose members round the records are plain.

cdef const char *plain_member(State *s, const char *p, Value *name, Value *value) noexcept nogil:
    """Read `"name": value` at `p`, up to what follows it; a container is not read, only seen. NULL: not plain."""
    cdef const char *after
    cdef int64_t nans = s.nans
    if p[0] != c'"':
        return fail(s, p)
    after = scan_string(s, p, name)
    if after == NULL:
        return NULL
    after = blank(after)
    if name.escaped or after[0] != c':':
        return fail(s, after)
    after = blank(after + 1)
    if after[0] == c'[' or after[0] == c'{':
        value.kind = V_NESTED
        value.begin = after
        return after
    after = scan_scalar(s, after, value)
    if after == NULL:
        return NULL
    if s.nans != nans:
        return fail(s, p)
    return blank(after)


cdef inline bint is_head(State *s, Value *name) noexcept nogil:
    """Whether the records may stand under this name."""
    cdef int i
    for i in range(s.head_count):
        if s.head_sizes[i] == name.length and memcmp(s.heads[i], name.text, name.length) == 0:
            return True
    return False


cdef const char *head_of(State *s, const char *p, Place *place) noexcept nogil:
    """Position of the array of records of the document at `p`, and where the members before it are."""
    cdef Value name, value
    p = blank(p + 1)
    place.head = p
    while True:
        place.head_end = p
        p = plain_member(s, p, &name, &value)
        if p == NULL:
            return NULL
        if is_head(s, &name):
            return p if value.kind == V_NESTED and p[0] == c'[' else fail(s, p)
        if value.kind == V_NESTED or p[0] != c',':
            return fail(s, p)
        p = blank(p + 1)


cdef const char *tail_of(State *s, const char *p, Place *place) noexcept nogil:
    """Position behind the document whose array of records ends before `p`, and where the members after it are."""
    cdef Value name, value
    p = blank(p)
    place.tail = p
    while p[0] == c',':
        p = plain_member(s, blank(p + 1), &name, &value)
        if p == NULL:
            return NULL
        if value.kind == V_NESTED or is_head(s, &name):
            return fail(s, p)
    place.tail_end = p
    return p + 1 if p[0] == c'}' else fail(s, p)


cdef bytes places_of(const Place *found, int count, const char *base):
    """Six int64 of each document; see `Parser.documents`."""
    cdef int i
    cdef int64_t place[6]
    cdef Bytes places
    memset(&places, 0, sizeof(Bytes))
    for i in range(count):
        place[0], place[1], place[2] = found[i].begin - base, found[i].head - base, found[i].head_end - base
        place[3], place[4], place[5] = found[i].tail - base, found[i].tail_end - base, found[i].rows
        if not append(&places, <const char *>place, sizeof(place)):
            free(places.data)
            raise MemoryError
    result = (<const char *>places.data)[:places.size] if places.size else b""
    free(places.data)
    return result


cdef bint holds_row(const char *p, const char *end, int least) noexcept nogil:
    """Whether another row may begin among the elements of a row from `p` on: mend.py says what it is then."""
    cdef const char *q
    cdef int commas
    while True:
        p = <const char *>memchr(p, c'[', <size_t>(end - p))
        if p == NULL:
            return False
        p += 1
        q = p
        while c'0' <= q[0] <= c'9' or q[0] == c',' or q[0] == c' ' or q[0] == c'\n' or q[0] == c'\r' or q[0] == c'\t':
            q += 1
        if q[0] == c']':  # integers, as of receivers
            p = q
            continue
        commas = 1
        q = p
        while commas < least:
            q = <const char *>memchr(q, c',', <size_t>(end - q))
            if q == NULL:
                break
            q += 1
            commas += 1
        if commas >= least:
            return True
