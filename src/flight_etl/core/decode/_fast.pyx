# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, nonecheck=False
"""Records straight from bytes into typed columns, without the GIL and without a tree.

`Parser.run` takes records one after another from a piece of the stream, as a plan of the layout says, and stops in front
of the first that is not plain: cut, broken, or in some way for which `reference.py` is the better reader. It accepts only
what orjson accepts, and NaN and Infinity in the place of a value, which are null and counted.

The piece is a bytes object, which CPython ends with a NUL: to look at the byte behind the last is allowed, and no token
goes on with it. Every other read is checked against the end.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_Size
from libc.math cimport fabs, isinf, rint
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from flight_etl.core.decode._number cimport FE_FIVES, Number, fe_fives, fe_load, fe_number_init, scan_number, value_of
from flight_etl.core.decode._text cimport (
    ESCAPED,
    WIDE,
    Bytes,
    Words,
    append,
    clear_words,
    free_words,
    intern,
    is_utf8,
    string_end,
    take_word,
    unescape,
)

import numpy as np

__all__ = ["CUT", "END", "FULL", "ODD", "OTHER", "Parser"]

cdef enum Status:
    S_END  # nothing but blanks is left
    S_OTHER  # what follows does not begin as a record does
    S_CUT  # the record may go on behind the end
    S_ODD  # the record is not plain
    S_FULL  # as many as were wanted, or enough for one call

END, OTHER, CUT, ODD, FULL = S_END, S_OTHER, S_CUT, S_ODD, S_FULL

cdef enum ValueKind:
    V_NULL, V_TRUE, V_FALSE, V_NUMBER, V_STRING, V_NESTED

cdef enum ColumnKind:
    K_NUMBER, K_TEXT, K_BOOL, K_ALTITUDE, K_TIME

cdef enum TimeUnit:
    T_SECOND, T_MILLISECOND, T_AUTO

cdef enum CellState:
    NOTHING, HELD, LEFT  # LEFT: for Python to read

cdef enum:
    INT_KIND = 1  # as in core/extras.py
    FLOAT_KIND = 2
    BOOL_KIND = 4
    TEXT_KIND = 8
    NESTED_KIND = 16
    NAME_WORDS = 5  # keys are compared by so many times eight bytes
    NEAR_END = 16  # B; what goes wrong so near to the end may be a token that was cut
    MOST_KEYS = 2048  # keys of one object, all records taken together; more are left to the reference
    MOST_COLUMNS = 1024  # elements of an array
    MOST_DEPTH = 64
    MOST_CALL = 1 << 26  # B read in one call; with MOST_RECORD it keeps all offsets inside 31 bits
    MOST_RECORD = 1 << 29  # B

cdef double MOST_SECONDS = 1e11  # as in values.py
cdef double MOST_TIME = <double>(<int64_t>1 << 62)

cdef struct Value:
    int kind
    const char *begin  # of the token
    const char *end
    const char *text  # of a string, without quotes and escapes
    size_t length
    const char *readable  # to which the text may be read
    bint escaped
    Number number

cdef struct Target:  # where a value goes
    int32_t column  # -1: none
    int32_t rank  # among the keys of that column; the smallest with a value wins
    int32_t extra  # -1: none; -2: the next free one is to be taken
    int32_t sub  # table of the object that is the value; -1: none
    bint head  # the value may be the records themselves
    bint usual  # of these, there is a column alone

cdef struct Key:
    uint64_t name[NAME_WORDS]  # with quotes and colon, padded with zeros
    int32_t length  # of that; 0: too long to be compared so
    int32_t follows  # key that came next last time
    int64_t seen  # object in which it was
    Target target

cdef struct Table:  # what is known about the objects of one place
    Words names
    Key *keys
    int32_t room
    int32_t first  # key that came first last time
    bint open  # unknown keys are extra columns; else of no interest
    int32_t group  # of tables of which a record may have but one; -1: none
    uint64_t last_mask[9]

cdef struct Column:
    int kind
    int unit
    bint keeps_empty  # "" is told apart from null
    bint strict  # text only: all else is left to the reference
    bint nests  # nested values are null in it
    bint used
    int64_t record  # in which it last got a value, and from the key of which rank
    int32_t rank
    uint8_t *state
    double *numbers
    int64_t *times
    int32_t *codes
    uint8_t *ground
    Words words  # TEXT: the strings; else: tokens that were left
    int32_t *left_rows
    int32_t left
    int32_t left_room

cdef struct Cell:  # of an extra column
    int64_t value
    int32_t row
    int32_t length  # of the token
    int64_t kind

cdef struct Extra:
    int64_t record
    Cell *cells
    int32_t count
    int32_t room
    Bytes tokens

cdef struct State:
    const char *end
    const char *failed
    int64_t record  # numbers every record that was tried
    int64_t object  # and every object in it
    int32_t row
    int32_t room
    int32_t most_depth
    int64_t nans
    bint whole  # this batch is for the reference
    bint no_memory
    Bytes scratch
    Column *columns
    int32_t column_count
    Table *tables
    int32_t table_count
    int64_t *groups
    int32_t group_count
    Target *places  # of the elements of an array
    int32_t place_count
    Words extra_names
    Extra *extras
    int32_t extra_count
    int32_t extra_room
    int64_t *numbers
    int64_t *offsets
    int32_t *lengths


# -- values ------------------------------------------------------------------------------------------------------------

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


# -- columns -----------------------------------------------------------------------------------------------------------

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
    if v.kind == V_NESTED and c.nests:
        if target.sub < 0:
            s.whole = True  # null or unreadable, which depends on what other records have
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


cdef inline const char *take_usual(State *s, const char *p, Column *c, Target *target) noexcept nogil:
    """Read the value at `p` if it is of the usual form for its column, and no other has claimed the cell; else NULL."""
    cdef const char *after
    cdef Number n
    cdef int32_t code
    if c.record == s.record:
        return NULL
    if c.kind == K_TEXT:
        if p[0] != c'"':
            return p + 4 if is_word(s, p, b"null", 4) else NULL
        after = p + 1
        code = take_word(&c.words, &after, s.end)
        if code < 0:
            return NULL
        c.codes[s.row] = code
    elif p[0] == c'-' or c'0' <= p[0] <= c'9':
        if c.kind == K_BOOL:
            return NULL
        after = scan_number(p, s.end, &n)
        if after == NULL:
            return NULL
        if c.kind == K_TIME:
            if not put_time(c, s.row, &n, p, after):
                return NULL
        elif not put_number(c, s.row, &n, p, after):
            return NULL
    elif c.kind == K_BOOL and is_word(s, p, b"true", 4):
        c.ground[s.row] = 1
        after = p + 4
    elif c.kind == K_BOOL and is_word(s, p, b"false", 5):
        c.ground[s.row] = 0
        after = p + 5
    else:
        return p + 4 if is_word(s, p, b"null", 4) else NULL
    c.state[s.row] = HELD
    c.record = s.record
    c.rank = target.rank
    c.used = True
    return after


cdef inline const char *take_value(State *s, const char *p, Target *target, int depth) noexcept nogil:
    """Read the value at `p` and put it where it belongs."""
    cdef const char *after
    if target.usual:
        after = take_usual(s, p, &s.columns[target.column], target)
        if after != NULL:
            return after
    return take_any(s, p, target, depth)


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


# -- objects and arrays ------------------------------------------------------------------------------------------------

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


# -- rows --------------------------------------------------------------------------------------------------------------

cdef bint grown(void **data, int32_t old, int32_t new, size_t size, int fill) noexcept nogil:
    cdef void *more = realloc(data[0], <size_t>new * size)
    if more == NULL:
        return False
    data[0] = more
    memset(<char *>more + <size_t>old * size, fill, <size_t>(new - old) * size)
    return True


cdef bint grow(State *s, int32_t room) noexcept nogil:
    """Make room for `room` rows, all of them empty."""
    cdef Column *c
    cdef int32_t i
    cdef bint done
    done = (
        grown(<void **>&s.numbers, s.room, room, 8, 0)
        and grown(<void **>&s.offsets, s.room, room, 8, 0)
        and grown(<void **>&s.lengths, s.room, room, 4, 0)
    )
    for i in range(s.column_count):
        c = &s.columns[i]
        done = done and grown(<void **>&c.state, s.room, room, 1, 0) and grown(<void **>&c.codes, s.room, room, 4, 0xFF)
        if c.kind == K_NUMBER or c.kind == K_ALTITUDE:
            done = done and grown(<void **>&c.numbers, s.room, room, 8, 0)
        if c.kind == K_ALTITUDE or c.kind == K_BOOL:
            done = done and grown(<void **>&c.ground, s.room, room, 1, 0)
        if c.kind == K_TIME:
            done = done and grown(<void **>&c.times, s.room, room, 8, 0)
    if done:
        s.room = room
    return done


cdef void take_back(State *s, int64_t nans, bint whole) noexcept nogil:
    """Undo what the record that failed has left in its row."""
    cdef int32_t i
    cdef Extra *x
    for i in range(s.column_count):
        if s.columns[i].record == s.record:
            clear_cell(&s.columns[i], s.row)
    for i in range(s.extra_count):
        x = &s.extras[i]
        if x.record == s.record and x.count and x.cells[x.count - 1].row == s.row:
            x.count -= 1
            x.tokens.size -= <size_t>x.cells[x.count].length
    s.nans = nans
    s.whole = whole


cdef class Parser:
    """Columns of a batch of rows as they come to be. `plan` is what `fast.py` makes of a layout."""

    cdef State s
    cdef bint rows_are_arrays
    cdef int least
    cdef int bool_at
    cdef int variant_width
    cdef Target *moved  # places of the variant
    cdef readonly int rows

    def __cinit__(self, plan, int most_depth):
        cdef Table *t
        cdef int i
        memset(&self.s, 0, sizeof(State))
        self.s.most_depth = min(most_depth, MOST_DEPTH)
        self.rows_are_arrays = plan.rows_are_arrays
        self.least, self.bool_at, self.variant_width = plan.least, plan.bool_at, plan.variant_width
        self.s.column_count = len(plan.columns)
        self.s.columns = <Column *>calloc(max(len(plan.columns), 1), sizeof(Column))
        self.s.table_count = len(plan.tables)
        self.s.tables = <Table *>calloc(max(len(plan.tables), 1), sizeof(Table))
        self.s.group_count = plan.groups
        self.s.groups = <int64_t *>calloc(max(plan.groups, 1), sizeof(int64_t))
        if self.s.columns == NULL or self.s.tables == NULL or self.s.groups == NULL:
            raise MemoryError
        for i, column in enumerate(plan.columns):
            self.s.columns[i].kind, self.s.columns[i].unit = column.kind, column.unit
            self.s.columns[i].keeps_empty, self.s.columns[i].strict = column.keeps_empty, column.strict
            self.s.columns[i].nests = column.nests
        for i, table in enumerate(plan.tables):
            t = &self.s.tables[i]
            t.open, t.group, t.first = table.open, table.group, -1
            for size in range(1, 9):
                t.last_mask[size] = <uint64_t>((1 << 8 * size) - 1)
            for key, target in table.keys.items():
                self._key(t, key.encode(), target)
        self.s.place_count = len(plan.places)
        self.s.places = self._targets(plan.places)
        self.moved = self._targets(plan.moved)

    cdef int _extra(self, str name) except -1:
        cdef bytes text = name.encode()
        cdef const char *data = text
        cdef int32_t code = extra_of(&self.s, data, <size_t>len(text), data + len(text))
        if code < 0:
            raise MemoryError
        return code

    cdef Target *_targets(self, places) except NULL:
        cdef Target *targets = <Target *>calloc(max(len(places), 1), sizeof(Target))
        if targets == NULL:
            raise MemoryError
        for i, place in enumerate(places):
            targets[i] = self._target(place)
        return targets

    cdef Target _target(self, place):
        cdef Target target
        target.column, target.rank, target.sub, target.head = place.column, place.rank, place.sub, place.head
        target.extra = -1 if place.extra is None else self._extra(place.extra)
        target.usual = target.column >= 0 and target.extra < 0 and target.sub < 0 and not target.head
        return target

    cdef int _key(self, Table *t, bytes name, place) except -1:
        cdef const char *data = name
        cdef int32_t code = add_key(t, data, <size_t>len(name), data + len(name))
        if code < 0:
            raise MemoryError
        t.keys[code].target = self._target(place)
        return 0

    def __dealloc__(self):
        cdef int i
        for i in range(self.s.column_count if self.s.columns != NULL else 0):
            free(self.s.columns[i].state)
            free(self.s.columns[i].numbers)
            free(self.s.columns[i].times)
            free(self.s.columns[i].codes)
            free(self.s.columns[i].ground)
            free(self.s.columns[i].left_rows)
            free_words(&self.s.columns[i].words)
        for i in range(self.s.table_count if self.s.tables != NULL else 0):
            free_words(&self.s.tables[i].names)
            free(self.s.tables[i].keys)
        for i in range(self.s.extra_count):
            free(self.s.extras[i].cells)
            free(self.s.extras[i].tokens.data)
        free_words(&self.s.extra_names)
        free(self.s.extras)
        free(self.s.columns)
        free(self.s.tables)
        free(self.s.groups)
        free(self.s.places)
        free(self.moved)
        free(self.s.scratch.data)
        free(self.s.numbers)
        free(self.s.offsets)
        free(self.s.lengths)

    def run(self, bytes data, Py_ssize_t begin, int64_t start, int64_t number, int64_t most_bytes, int most_rows):
        """Read records of `data` from `begin` on into further rows, at most `most_rows`.

        `start` is the place of `data` in the stream, `number` that of the first record, `most_bytes` the length of a record.
        Commas between records are no matter. Gives why it stopped, the position, and how many rows and NaN it has read.
        """
        cdef const char *base = PyBytes_AsString(data)
        cdef const char *p = base + begin
        cdef int32_t first = self.s.row
        cdef int64_t nans = self.s.nans
        cdef int status
        if begin < 0 or begin > PyBytes_Size(data):
            raise ValueError("outside the data")
        self.s.end = base + PyBytes_Size(data)
        with nogil:
            status = self._run(&p, base, begin, start, number, most_bytes, most_rows)
        self.rows = self.s.row
        if self.s.no_memory:
            raise MemoryError
        return status, <Py_ssize_t>(p - base), self.s.row - first, self.s.nans - nans

    cdef int _run(
        self, const char **at, const char *base, Py_ssize_t begin, int64_t start, int64_t number, int64_t most_bytes, int most_rows
    ) noexcept nogil:
        cdef State *s = &self.s
        cdef const char *p = at[0]
        cdef const char *after
        cdef int64_t nans
        cdef bint whole
        cdef char opener = c'[' if self.rows_are_arrays else c'{'
        most_bytes = min(most_bytes, <int64_t>MOST_RECORD)
        while most_rows > 0 and p - base - begin < MOST_CALL:
            p = blank(p)
            while p[0] == c',':
                p = blank(p + 1)
            at[0] = p
            if p >= s.end:
                return S_END
            if p[0] != opener:
                return S_OTHER
            if s.row == s.room and not grow(s, s.room * 2 + 1024):
                s.no_memory = True
                return S_ODD
            s.record += 1
            nans = s.nans
            whole = s.whole
            s.failed = p
            after = self._row(p, s.record)
            if after == NULL or after - p > most_bytes:
                take_back(s, nans, whole)
                return S_CUT if after == NULL and s.end - s.failed < NEAR_END else S_ODD
            s.numbers[s.row] = number
            s.offsets[s.row] = start + (p - base)
            s.lengths[s.row] = <int32_t>(after - p)
            s.row += 1
            number += 1
            most_rows -= 1
            p = after
            at[0] = p
        return S_FULL

    cdef inline const char *_row(self, const char *p, int64_t record) noexcept nogil:
        """Position behind the record at `p`; NULL: not plain, and its row is to be taken back."""
        cdef State *s = &self.s
        cdef int width = 0
        cdef const char *after
        cdef int64_t nans = s.nans
        cdef bint whole = s.whole
        if not self.rows_are_arrays:
            return take_object(s, &s.tables[0], p, 1)
        after = take_array(s, s.places, s.place_count, self.bool_at, &width, p)
        if after == NULL and width == -1:
            take_back(s, nans, whole)
            s.record += 1
            after = take_array(s, self.moved, s.place_count, -1, &width, p)
            if after != NULL and width != self.variant_width:
                return fail(s, p)
        if after != NULL and width < self.least:
            return fail(s, p)
        return after

    # -- what was read -------------------------------------------------------------------------------------------------

    @property
    def whole(self):
        """Whether the reference is to read this batch."""
        return self.s.whole

    def places(self):
        """Numbers, positions and lengths of the records."""
        cdef State *s = &self.s
        return _copied(s.numbers, s.row, _INT64), _copied(s.offsets, s.row, _INT64), _copied(s.lengths, s.row, _INT32)

    def column(self, int i):
        """State, values, codes, words and ground flags of a column, None where the column or the part was not used."""
        cdef Column *c = &self.s.columns[i]
        cdef int32_t rows = self.s.row
        if not c.used:
            return None
        state = _copied(c.state, rows, _UINT8)
        codes = _copied(c.codes, rows, _INT32) if c.kind == K_TEXT or c.left else None
        words = _words(&c.words) if c.kind == K_TEXT or c.left else None
        ground = _copied(c.ground, rows, _UINT8) if c.kind == K_ALTITUDE or c.kind == K_BOOL else None
        values = None
        if c.kind == K_NUMBER or c.kind == K_ALTITUDE:
            values = _copied(c.numbers, rows, _FLOAT64)
        elif c.kind == K_TIME:
            values = _copied(c.times, rows, _INT64)
        return state, values, codes, words, ground, c.left

    def extras(self):
        """Name, cells and tokens of every extra column with values."""
        cdef int i
        cdef Extra *x
        cdef Words *names = &self.s.extra_names
        found = []
        for i in range(self.s.extra_count):
            x = &self.s.extras[i]
            if x.count:
                begin = names.ends[i - 1] if i else 0
                name = names.text.data[begin:names.ends[i]].decode()
                cells = _copied(x.cells, x.count, _CELL)
                found.append((name, cells, x.tokens.data[:x.tokens.size] if x.tokens.size else b""))
        return found

    def clear(self):
        """Forget all rows, for the next batch; what was learnt of keys stays."""
        cdef int i
        cdef Column *c
        cdef size_t rows = <size_t>self.s.row
        for i in range(self.s.column_count):
            c = &self.s.columns[i]
            if c.used:
                memset(c.state, 0, rows)
                if c.kind == K_TEXT:
                    memset(c.codes, 0xFF, rows * 4)
                if c.ground != NULL:
                    memset(c.ground, 0, rows)
                clear_words(&c.words)
                c.used, c.left = False, 0
        for i in range(self.s.extra_count):
            self.s.extras[i].count = 0
            self.s.extras[i].tokens.size = 0
        self.s.row = 0
        self.s.whole = False
        self.rows = 0


_INT64, _INT32, _UINT8, _FLOAT64 = np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint8), np.dtype(np.float64)
_CELL = np.dtype([("value", _INT64), ("row", _INT32), ("length", _INT32), ("kind", _INT64)])


cdef _copied(const void *data, Py_ssize_t count, dtype):
    """Copy an array of C that is not empty."""
    cdef Py_ssize_t size = count * dtype.itemsize
    return np.frombuffer((<const char *>data)[:size], dtype)


cdef _words(const Words *w):
    """Offsets, as Arrow has them, and bytes of the words of a dictionary."""
    offsets = np.zeros(w.count + 1, np.int32)
    if w.count:
        offsets[1:] = _copied(w.ends, w.count, _INT32)
    return offsets, w.text.data[:w.text.size] if w.text.size else b""


def _fill_tables():
    """The 128 leading bits of powers of five, as Lemire's paper has them: rounded down, and up below 1."""
    for q in range(-FE_FIVES, FE_FIVES + 1):
        five = 5 ** abs(q)
        if q >= 0:
            bits = five << 128 >> five.bit_length()
        else:
            zeros = (five - 1).bit_length()
            bits = (1 << (zeros + 127 if q >= -27 else 2 * zeros + 128)) // five + 1
            bits >>= max(bits.bit_length() - 128, 0)
        fe_fives[q + FE_FIVES][0] = bits >> 64
        fe_fives[q + FE_FIVES][1] = bits & 0xFFFFFFFFFFFFFFFF


_fill_tables()
if not fe_number_init():
    raise ImportError("no C locale")
