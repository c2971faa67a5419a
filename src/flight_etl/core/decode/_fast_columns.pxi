# Part of _fast.pyx: where values go.

cdef void clear_cell(Column *c, int32_t row) noexcept nogil:
    """Take back what the row may have got."""
    if c.left and c.left_rows[c.left - 1] == row:
        c.left -= 1
    c.state[row] = NOTHING
    if c.kind == K_TEXT:
        c.codes[row] = -1
    elif c.kind == K_ALTITUDE:
        c.ground[row] = 0


cdef bint leave(Column *c, int32_t row, Value *v) noexcept nogil:
    """Keep the token for Python. Its number stands in `left_rows` behind the row's."""
    cdef int32_t *rows
    if c.left == c.left_room:
        rows = <int32_t *>realloc(c.left_rows, (<size_t>c.left_room * 2 + 16) * sizeof(int32_t))
        if rows == NULL:
            return False
        c.left_rows = rows
        c.left_room = c.left_room * 2 + 16
    c.left_rows[c.left] = row
    c.left += 1
    c.state[row] = LEFT
    c.codes[row] = intern(&c.words, v.begin, <size_t>(v.end - v.begin), v.end)
    return c.codes[row] >= 0


cdef inline bint quoted_number(Value *v, Number *n) noexcept nogil:
    """Whether a string is a number as JSON would have it; -0 is a real one here, as it is for Python's float."""
    cdef const char *close
    if v.escaped or not v.length:
        return False
    close = scan_number(v.text, v.text + v.length, n)
    if close != v.text + v.length:
        return False
    n.integer = False
    return True


cdef inline bint put_number(Column *c, int32_t row, Number *n, const char *begin, const char *end) noexcept nogil:
    cdef double value = value_of(n, begin, end)
    if isinf(value):
        return False
    c.numbers[row] = value
    c.state[row] = HELD
    return True


cdef inline bint put_time(Column *c, int32_t row, Number *n, const char *begin, const char *end) noexcept nogil:
    """Milliseconds since 1970, as values.py reckons them; False: left to it."""
    cdef double value, magnitude, scaled
    cdef int64_t whole
    if n.integer and n.exact and n.mantissa < <uint64_t>1000000000000000:
        whole = <int64_t>n.mantissa
        if c.unit == T_SECOND or (c.unit == T_AUTO and whole < <int64_t>100000000000):
            whole *= 1000
        elif c.unit == T_AUTO and whole >= <int64_t>100000000000000:
            whole = <int64_t>rint(<double>whole * 1e-3)
        c.times[row] = -whole if n.negative else whole
        c.state[row] = HELD
        return True
    if n.integer:
        return False
    value = value_of(n, begin, end)
    magnitude = fabs(value)
    if c.unit == T_SECOND or (c.unit == T_AUTO and magnitude < MOST_SECONDS):
        scaled = value * 1000.0
    elif c.unit == T_MILLISECOND or magnitude < MOST_SECONDS * 1e3:
        scaled = value
    else:
        scaled = value * (1e-3 if magnitude < MOST_SECONDS * 1e6 else 1e-6)
    if not fabs(scaled) < MOST_TIME:
        return False
    c.times[row] = <int64_t>rint(scaled)
    c.state[row] = HELD
    return True


cdef bint put_text(Column *c, int32_t row, Value *v) noexcept nogil:
    cdef int32_t code
    if v.kind == V_STRING:
        code = intern(&c.words, v.text, v.length, v.readable)
    else:
        code = intern(&c.words, v.begin, <size_t>(v.end - v.begin), v.end)
    c.codes[row] = code
    c.state[row] = HELD
    return code >= 0


cdef int put_bool(Column *c, int32_t row, Value *v) noexcept nogil:
    """0 or 1 in `ground`, which is where a BOOL has its values; -1: left to Python."""
    cdef const char *text = v.text if v.kind == V_STRING else v.begin
    cdef size_t size = v.length if v.kind == V_STRING else <size_t>(v.end - v.begin)
    cdef int flag = -1
    if v.kind == V_TRUE or v.kind == V_FALSE:
        flag = v.kind == V_TRUE
    elif size == 1 and (text[0] == c'0' or text[0] == c'1'):
        flag = text[0] == c'1'
    elif v.kind == V_STRING and size == 4 and memcmp(text, b"true", 4) == 0:
        flag = 1
    elif v.kind == V_STRING and size == 5 and memcmp(text, b"false", 5) == 0:
        flag = 0
    if flag >= 0:
        c.ground[row] = <uint8_t>flag
        c.state[row] = HELD
    return flag


cdef inline bint claim(State *s, Column *c, Target *target) noexcept nogil:
    """Whether the row's cell is to have the value of this key, and not that of a better one that it has."""
    if c.record == s.record:
        if target.rank > c.rank:
            return False
        clear_cell(c, s.row)
    c.record = s.record
    c.rank = target.rank
    c.used = True
    return True


cdef bint put_field(State *s, Column *c, Target *target, Value *v) noexcept nogil:
    """Put a value into the column of a field; False: the record is not plain."""
    cdef int32_t row = s.row
    cdef Number quoted
    if v.kind == V_NULL or (v.kind == V_STRING and v.length == 0 and not c.keeps_empty):
        return True
    if not claim(s, c, target):
        return True
    if v.kind == V_NESTED and c.nests and target.sub >= 0:
        return True
    if c.kind == K_TEXT:
        if c.strict and v.kind != V_STRING:
            return False
        return put_text(c, row, v)
    if c.kind == K_BOOL:
        return put_bool(c, row, v) >= 0 or leave(c, row, v)
    if v.kind == V_NUMBER:
        if c.kind == K_TIME:
            return put_time(c, row, &v.number, v.begin, v.end) or leave(c, row, v)
        return put_number(c, row, &v.number, v.begin, v.end)
    if v.kind == V_STRING:
        if c.kind == K_ALTITUDE and v.length == 6 and memcmp(v.text, b"ground", 6) == 0:
            c.ground[row] = 1
            return True
        if quoted_number(v, &quoted):
            if c.kind == K_TIME:
                if put_time(c, row, &quoted, v.text, v.text + v.length):
                    return True
            elif put_number(c, row, &quoted, v.text, v.text + v.length):
                return True
    return leave(c, row, v)


cdef bint put_extra(State *s, int32_t number, Value *v) noexcept nogil:
    """Add a cell to an extra column; False: the record is not plain."""
    cdef Extra *x = &s.extras[number]
    cdef Cell *cell
    cdef Cell *cells
    cdef const char *text = v.begin
    cdef size_t size = <size_t>(v.end - v.begin)
    if v.kind == V_NULL:
        return True
    if x.record == s.record:
        return False
    x.record = s.record
    if x.count == x.room:
        cells = <Cell *>realloc(x.cells, (<size_t>x.room * 2 + 64) * sizeof(Cell))
        if cells == NULL:
            s.no_memory = True
            return False
        x.cells = cells
        x.room = x.room * 2 + 64
    cell = &x.cells[x.count]
    cell.value = 0
    if v.kind == V_STRING:
        text, size = v.text, v.length
        cell.kind = TEXT_KIND
    elif v.kind == V_NUMBER:
        cell.kind = FLOAT_KIND
        if v.number.integer and v.number.exact and not (v.number.negative and v.number.mantissa == 0):
            if v.number.mantissa <= <uint64_t>0x7FFFFFFFFFFFFFFF:
                cell.kind = INT_KIND
                cell.value = -<int64_t>v.number.mantissa if v.number.negative else <int64_t>v.number.mantissa
            elif v.number.negative and v.number.mantissa == <uint64_t>1 << 63:
                return False
        elif isinf(value_of(&v.number, v.begin, v.end)):
            return False
    elif v.kind == V_NESTED:
        cell.kind = NESTED_KIND
    else:
        cell.kind = BOOL_KIND
        cell.value = v.kind == V_TRUE
    cell.row = s.row
    cell.length = <int32_t>size
    if not append(&x.tokens, text, size):
        s.no_memory = True
        return False
    x.count += 1
    return True


cdef int32_t extra_of(State *s, const char *name, size_t size, const char *readable) noexcept nogil:
    """Number of the extra column called so, a new one if need be; -1: no memory, or too many."""
    cdef Extra *extras
    cdef int32_t code
    if s.extra_names.count >= MOST_KEYS:
        return -1
    code = intern(&s.extra_names, name, size, readable)
    if code < 0 or code < s.extra_count:
        return code
    if s.extra_count == s.extra_room:
        extras = <Extra *>realloc(s.extras, (<size_t>s.extra_room * 2 + 32) * sizeof(Extra))
        if extras == NULL:
            s.no_memory = True
            return -1
        s.extras = extras
        s.extra_room = s.extra_room * 2 + 32
    memset(&s.extras[code], 0, sizeof(Extra))
    s.extra_count += 1
    return code


cdef inline const char *put_usual(const char *p, Column *c, int32_t row) noexcept nogil:
    """Read the value at `p` into a cell that nothing has claimed, if it is of the usual form for its column; else NULL.

    There must be FE_PLAIN_ROOM bytes to be read.
    """
    cdef const char *after = p
    cdef int32_t code
    cdef double value
    cdef Number n
    if c.kind == K_NUMBER or c.kind == K_ALTITUDE:
        after = fe_plain_number(p, &value)
        if after == NULL:
            return p + 4 if fe_is_null(p) else NULL
        c.numbers[row] = value
    elif c.kind == K_TEXT:
        if p[0] == c'"':
            after = p + 1
            code = take_word(&c.words, &after)
        elif fe_is_null(p):
            return p + 4
        else:
            code = -1 if c.strict else take_digits_word(&c.words, &after)
        if code < 0:
            return NULL
        c.codes[row] = code
    elif c.kind == K_TIME:
        n.integer, n.exact, n.negative = True, True, False
        after = fe_plain_integer(p, &n.mantissa)
        if after == NULL:
            return p + 4 if fe_is_null(p) else NULL
        if not put_time(c, row, &n, p, after):
            return NULL
    elif fe_is_true(p):
        c.ground[row] = 1
        after = p + 4
    elif fe_is_false(p):
        c.ground[row] = 0
        after = p + 5
    else:
        return p + 4 if fe_is_null(p) else NULL
    c.state[row] = HELD
    c.used = True
    return after


cdef inline const char *take_value(State *s, const char *p, Target *target, int depth) noexcept nogil:
    """Read the value at `p` and put it where it belongs."""
    cdef const char *after
    cdef Column *c
    if target.usual and s.end - p >= FE_PLAIN_ROOM:
        c = &s.columns[target.column]
        if c.record != s.record:
            after = put_usual(p, c, s.row)
            if after != NULL:
                claim_held(s, c, target)
                return after
    return take_any(s, p, target, depth)


cdef inline void claim_held(State *s, Column *c, Target *target) noexcept nogil:
    """Claim a cell for what it holds, if it does."""
    if c.state[s.row] != NOTHING:
        c.record = s.record
        c.rank = target.rank


cdef const char *take_any(State *s, const char *p, Target *target, int depth) noexcept nogil:
    """The same for a value of any form."""
    cdef Value v
    cdef Table *table
    if p[0] == c'{' or p[0] == c'[':
        if target.head:
            return fail(s, p)
        v.kind = V_NESTED
        v.begin = p
        if target.sub >= 0 and p[0] == c'{':
            p = take_object(s, &s.tables[target.sub], p, depth)
        else:
            p = skip_nested(s, p, depth)
        v.end = p
    else:
        p = scan_scalar(s, p, &v)
        if target.head and p != NULL and v.kind == V_NULL:
            return fail(s, p)
    if p == NULL:
        return NULL
    if target.sub >= 0 and v.kind != V_NULL and not (v.kind == V_STRING and v.length == 0):
        table = &s.tables[target.sub]
        if table.group >= 0:
            if s.groups[table.group] == s.record:
                return fail(s, p)
            s.groups[table.group] = s.record
    if target.column >= 0 and not put_field(s, &s.columns[target.column], target, &v):
        return fail(s, v.begin)
    if target.extra >= 0 and not put_extra(s, target.extra, &v):
        return fail(s, v.begin)
    return p
