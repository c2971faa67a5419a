# Part of _fast.pyx: tokens.

cdef inline const char *blank(const char *p) noexcept nogil:
    """Position of the first byte that is no white space; the NUL behind the end is none."""
    while p[0] == c' ' or p[0] == c'\n' or p[0] == c'\r' or p[0] == c'\t':
        p += 1
    return p


cdef inline const char *fail(State *s, const char *p) noexcept nogil:
    s.failed = p
    return NULL


cdef inline bint is_word(State *s, const char *p, const char *word, size_t size) noexcept nogil:
    return <size_t>(s.end - p) >= size and memcmp(p, word, size) == 0


cdef const char *scan_string(State *s, const char *p, Value *v) noexcept nogil:
    """Read the string whose quote is at `p`."""
    cdef int flags = 0
    cdef const char *close = string_end(p + 1, s.end, &flags, &s.failed)
    cdef size_t from_
    if close == NULL:
        return NULL
    v.kind = V_STRING
    v.begin = p
    v.text = p + 1
    v.length = <size_t>(close - v.text)
    v.readable = s.end
    v.end = close + 1
    v.escaped = (flags & ESCAPED) != 0
    if flags & WIDE and not is_utf8(v.text, close):
        return fail(s, p)
    if v.escaped:
        s.scratch.size = 0
        if not unescape(v.text, close, &s.scratch):
            return fail(s, p)
        v.text = s.scratch.data
        v.length = s.scratch.size
        v.readable = v.text + v.length
    return v.end


cdef const char *scan_scalar(State *s, const char *p, Value *v) noexcept nogil:
    """Read the string, number or word at `p`."""
    cdef char c = p[0]
    v.begin = p
    if c == c'"':
        return scan_string(s, p, v)
    if c == c'-' or c'0' <= c <= c'9':
        v.end = scan_number(p, s.end, &v.number)
        if v.end != NULL:
            v.kind = V_NUMBER
            return v.end
        if is_word(s, p, b"-Infinity", 9):
            v.kind = V_NULL
            s.nans += 1
            v.end = p + 9
            return v.end
        # What is wrong may be that digits are missing because the bytes end: they are at the end, then.
        while p < s.end and (p[0] == c'-' or p[0] == c'+' or p[0] == c'.' or (p[0] | 0x20) == c'e' or c'0' <= p[0] <= c'9'):
            p += 1
        return fail(s, p)
    if is_word(s, p, b"null", 4):
        v.kind = V_NULL
        v.end = p + 4
    elif is_word(s, p, b"true", 4):
        v.kind = V_TRUE
        v.end = p + 4
    elif is_word(s, p, b"false", 5):
        v.kind = V_FALSE
        v.end = p + 5
    elif is_word(s, p, b"NaN", 3):
        v.kind = V_NULL
        s.nans += 1
        v.end = p + 3
    elif is_word(s, p, b"Infinity", 8):
        v.kind = V_NULL
        s.nans += 1
        v.end = p + 8
    else:
        return fail(s, p)
    return v.end


cdef const char *skip_nested(State *s, const char *p, int depth) noexcept nogil:
    """Position behind the object or array at `p`, every byte of which is checked; no NaN in it."""
    cdef bint is_object = p[0] == c'{'
    cdef char close = c'}' if is_object else c']'
    cdef int64_t nans = s.nans
    cdef Value v
    if depth > s.most_depth:
        return fail(s, p)
    p = blank(p + 1)
    if p[0] == close:
        return p + 1
    while True:
        if is_object:
            if p[0] != c'"':
                return fail(s, p)
            p = scan_string(s, p, &v)
            if p == NULL:
                return NULL
            p = blank(p)
            if p[0] != c':':
                return fail(s, p)
            p = blank(p + 1)
        if p[0] == c'{' or p[0] == c'[':
            p = skip_nested(s, p, depth + 1)
        else:
            p = scan_scalar(s, p, &v)
        if p == NULL:
            return NULL
        if s.nans != nans:
            return fail(s, p)
        p = blank(p)
        if p[0] == close:
            return p + 1
        if p[0] != c',':
            return fail(s, p)
        p = blank(p + 1)
