# Part of _fast.pyx: objects and arrays.

cdef int32_t add_key(Table *t, const char *name, size_t size, const char *readable) noexcept nogil:
    """Number of a key, which is new or not; -1: no memory."""
    cdef Key *keys
    cdef Key *key
    cdef int32_t code = intern(&t.names, name, size, readable)
    if code < 0:
        return -1
    if code >= t.room:
        keys = <Key *>realloc(t.keys, (<size_t>code * 2 + 32) * sizeof(Key))
        if keys == NULL:
            return -1
        memset(keys + t.room, 0, (<size_t>code * 2 + 32 - <size_t>t.room) * sizeof(Key))
        t.keys = keys
        t.room = code * 2 + 32
    key = &t.keys[code]
    if key.follows == 0:  # new; else it is -1 or a number from 1 on
        key.follows = -1
        key.target.column = key.target.sub = key.target.extra = -1
        if size + 3 <= NAME_WORDS * 8:
            (<char *>key.name)[0] = c'"'
            memcpy(<char *>key.name + 1, name, size)
            (<char *>key.name)[size + 1] = c'"'
            (<char *>key.name)[size + 2] = c':'
            key.length = <int32_t>size + 3
    return code


cdef inline bint is_key(Key *key, const char *p, const char *end, uint64_t *masks) noexcept nogil:
    """Whether the key and its colon stand at `p`."""
    cdef int32_t left = key.length
    cdef uint64_t *name = key.name
    if end - p < NAME_WORDS * 8:
        return left > 0 and end - p >= left and memcmp(p, name, <size_t>left) == 0
    if left <= 0:
        return False
    while left > 8:
        if fe_load(p) != name[0]:
            return False
        p += 8
        name += 1
        left -= 8
    return (fe_load(p) & masks[left]) == name[0]


cdef int32_t look_up(State *s, Table *t, const char **at) noexcept nogil:
    """Number of the key at `at`, which moves behind the colon; -1: not to be read here."""
    cdef const char *p = at[0]
    cdef const char *close
    cdef int flags = 0
    cdef int32_t known, code
    if p[0] != c'"':
        s.failed = p
        return -1
    close = string_end(p + 1, s.end, &flags, &s.failed)
    if close == NULL:
        return -1
    s.failed = p
    if flags & ESCAPED or (flags & WIDE and not is_utf8(p + 1, close)):
        return -1
    at[0] = blank(close + 1)
    if at[0][0] != c':':
        s.failed = at[0]
        return -1
    at[0] += 1
    known = t.names.count
    if known >= MOST_KEYS:
        return -1
    code = add_key(t, p + 1, <size_t>(close - p - 1), s.end)
    if code == known and t.open:
        t.keys[code].target.extra = -2
    return code


cdef const char *take_object(State *s, Table *t, const char *p, int depth) noexcept nogil:
    """Read the object at `p`."""
    cdef int64_t object
    cdef int32_t expected = t.first, last = -1, code
    cdef Key *key
    if depth > s.most_depth:
        return fail(s, p)
    s.object += 1
    object = s.object
    p = blank(p + 1)
    if p[0] == c'}':
        return p + 1
    while True:
        if expected >= 0 and is_key(&t.keys[expected], p, s.end, t.last_mask):
            code = expected
            key = &t.keys[code]
            p += key.length
        else:
            code = look_up(s, t, &p)
            if code < 0:
                return NULL
            key = &t.keys[code]
            if last >= 0:
                t.keys[last].follows = code if code else -1
            else:
                t.first = code
        if key.seen == object:
            return fail(s, p)
        key.seen = object
        if p[0] <= c' ':
            p = blank(p)
        if key.target.extra == -2:
            key.target.extra = extra_of(
                s, t.names.text.data + (t.names.ends[code - 1] if code else 0),
                <size_t>(t.names.ends[code] - (t.names.ends[code - 1] if code else 0)),
                t.names.text.data + t.names.text.size,
            )
            if key.target.extra < 0:
                key.target.extra = -2
                return fail(s, p)
        p = take_value(s, p, &key.target, depth + 1)
        if p == NULL:
            return NULL
        if p[0] <= c' ':
            p = blank(p)
        if p[0] == c',':
            p += 1
            if p[0] <= c' ':
                p = blank(p)
        elif p[0] == c'}':
            return p + 1
        else:
            return fail(s, p)
        last = code
        expected = t.keys[code].follows


cdef int32_t column_extra(State *s, int index) noexcept nogil:
    """Number of the extra column for a position that the layout does not know."""
    cdef char name[16]
    cdef char digits[8]
    cdef int size = 7, n = 0
    memcpy(name, b"column_", 7)
    while True:
        digits[n] = <char>(c'0' + index % 10)
        n += 1
        index //= 10
        if not index:
            break
    while n:
        n -= 1
        name[size] = digits[n]
        size += 1
    return extra_of(s, name, <size_t>size, name + 16)


cdef const char *take_array(State *s, Target *places, int32_t count, int bool_at, int *width, const char *p) noexcept nogil:
    """Read the row at `p`. A bool at `bool_at`, where only another variant has one: NULL, and a width of -1."""
    cdef Target beyond
    cdef Target *target
    cdef int index = 0
    p = blank(p + 1)
    if p[0] == c']':
        width[0] = 0
        return p + 1
    while True:
        if index == bool_at and (p[0] == c't' or p[0] == c'f'):
            width[0] = -1
            return fail(s, p)
        if index < count:
            target = &places[index]
        else:
            if index >= MOST_COLUMNS:
                return fail(s, p)
            beyond.column, beyond.rank, beyond.sub, beyond.head, beyond.usual = -1, 0, -1, False, False
            beyond.extra = column_extra(s, index)
            target = &beyond
            if beyond.extra < 0:
                return fail(s, p)
        p = take_value(s, p, target, 2)
        if p == NULL:
            return NULL
        if p[0] <= c' ':
            p = blank(p)
        index += 1
        if p[0] == c',':
            p += 1
            if p[0] <= c' ':
                p = blank(p)
        elif p[0] == c']':
            width[0] = index
            return p + 1
        else:
            return fail(s, p)
