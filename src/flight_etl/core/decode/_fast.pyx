# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, nonecheck=False
"""Records straight from bytes into typed columns, without the GIL and without a tree.

`Parser.run` takes records one after another from a piece of the stream, as a plan of the layout says, and stops in front
of the first that is not plain: cut, broken, or in some way for which `reference.py` is the better reader. It accepts only
what orjson accepts, and NaN and Infinity in the place of a value, which are null and counted.

The piece is a bytes object, which CPython ends with a NUL: to look at the byte behind the last is allowed, and no token
goes on with it. Every other read is checked against the end.

The included files are parts of this one, so that the compiler sees all of the parser at once: what it keeps (state), tokens
(values), where they go (columns), objects and arrays (records), rows, and whole documents.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_Size
from libc.math cimport fabs, isinf, rint
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

from flight_etl.core.decode._number cimport (
    FE_FIVES,
    FE_PLAIN_ROOM,
    Number,
    fe_first,
    fe_fives,
    fe_is_false,
    fe_is_null,
    fe_is_true,
    fe_load,
    fe_number_init,
    fe_plain_integer,
    fe_plain_number,
    scan_number,
    value_of,
)
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
    take_digits_word,
    take_word,
    unescape,
)

import numpy as np

__all__ = ["CUT", "END", "FULL", "ODD", "OTHER", "Parser"]

include "_fast_state.pxi"
include "_fast_values.pxi"
include "_fast_columns.pxi"
include "_fast_records.pxi"
include "_fast_rows.pxi"
include "_fast_documents.pxi"

END, OTHER, CUT, ODD, FULL = S_END, S_OTHER, S_CUT, S_ODD, S_FULL


cdef class Parser:
    """Columns of a batch of rows as they come to be. `plan` is what `fast.py` makes of a layout."""

    cdef State s
    cdef bint rows_are_arrays
    cdef int least
    cdef int bool_at
    cdef int variant_width
    cdef Target *moved  # places of the variant
    cdef readonly int rows
    cdef Place *found  # documents of one call
    cdef int found_count
    cdef int found_room
    cdef tuple _heads  # keeps the names alive

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
            for key, target in table.keys.items():
                self._key(t, key.encode(), target)
        self.s.place_count = len(plan.places)
        self.s.places = self._targets(plan.places)
        self.moved = self._targets(plan.moved)
        self._heads = plan.heads[:4]
        for i, name in enumerate(self._heads):
            self.s.heads[i] = PyBytes_AsString(name)
            self.s.head_sizes[i] = <size_t>len(name)
        self.s.head_count = len(self._heads)

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
        free(self.found)
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
            after = self._record(p, base, start, number, most_bytes)
            if after == NULL:
                return S_CUT if s.end - s.failed < NEAR_END and not s.no_memory else S_ODD
            number += 1
            most_rows -= 1
            p = after
            at[0] = p
        return S_FULL

    cdef inline const char *_record(
        self, const char *p, const char *base, int64_t start, int64_t number, int64_t most_bytes
    ) noexcept nogil:
        """Read the record at `p` into a row of its own; NULL: not plain, and nothing is left of it."""
        cdef State *s = &self.s
        cdef const char *after
        cdef int64_t nans = s.nans
        if s.row == s.room and not grow(s, s.room * 2 + 1024):
            s.no_memory = True
            return fail(s, p)
        s.record += 1
        s.failed = p
        after = self._row(p, s.record)
        if after == NULL or after - p > most_bytes:
            take_back(s, nans)
            if after != NULL:
                s.failed = p
            return NULL
        s.numbers[s.row] = number
        s.offsets[s.row] = start + (p - base)
        s.lengths[s.row] = <int32_t>(after - p)
        s.row += 1
        return after

    def documents(self, bytes data, Py_ssize_t begin, int64_t start, int64_t number, int64_t most_bytes, int most_rows):
        """Read whole documents of `data` from `begin` on, at most `most_rows` rows in all; the parameters are as those of `run`.

        Such a document is an object with one array of records under one of the plan's names, and scalars round it. Gives
        why it stopped, in front of which position, the number of NaN, and six int64 of each document: its position, begin and end
        of the members before the array and of those after it, all in `data`, and its number of rows.
        """
        cdef const char *base = PyBytes_AsString(data)
        cdef const char *p = base + begin
        cdef int64_t nans = self.s.nans
        cdef int status
        if begin < 0 or begin > PyBytes_Size(data):
            raise ValueError("outside the data")
        self.s.end = base + PyBytes_Size(data)
        self.found_count = 0
        with nogil:
            status = self._documents(&p, base, begin, start, number, most_bytes, most_rows)
        self.rows = self.s.row
        if self.s.no_memory:
            raise MemoryError
        return status, <Py_ssize_t>(p - base), self.s.nans - nans, places_of(self.found, self.found_count, base)

    cdef int _documents(
        self, const char **at, const char *base, Py_ssize_t begin, int64_t start, int64_t number, int64_t most_bytes, int most_rows
    ) noexcept nogil:
        cdef State *s = &self.s
        cdef const char *p = at[0]
        cdef int32_t first
        cdef int64_t nans
        cdef Place *place
        most_bytes = min(most_bytes, <int64_t>MOST_RECORD)
        while most_rows > 0 and p - base - begin < MOST_CALL:
            p = blank(p)
            at[0] = p
            if p >= s.end:
                return S_END
            if p[0] != c'{':
                return S_OTHER
            if not self._more_places():
                return S_ODD
            place = &self.found[self.found_count]
            first, nans = s.row, s.nans
            place.begin = p
            p = self._document(p, place, base, start, number, most_bytes, most_rows)
            if p == NULL or place.head_end - place.head > most_bytes or place.tail_end - place.tail > most_bytes:
                drop_rows(s, first, nans)
                return S_CUT if p == NULL and s.end - s.failed < NEAR_END else S_ODD
            place.rows = s.row - first
            number += place.rows
            most_rows -= place.rows
            self.found_count += 1
            at[0] = p
        return S_FULL

    cdef const char *_document(
        self, const char *p, Place *place, const char *base, int64_t start, int64_t number, int64_t most_bytes, int most_rows
    ) noexcept nogil:
        """Position behind the document at `p`; NULL: not plain."""
        cdef State *s = &self.s
        cdef char opener = c'[' if self.rows_are_arrays else c'{'
        p = head_of(s, p, place)
        if p == NULL:
            return NULL
        p = blank(p + 1)
        if p[0] == c']':
            return tail_of(s, p + 1, place)
        while True:
            if p[0] != opener or most_rows == 0:
                return fail(s, p)
            p = self._record(p, base, start, number, most_bytes)
            if p == NULL:
                return NULL
            number += 1
            most_rows -= 1
            p = blank(p)
            if p[0] == c']':
                return tail_of(s, p + 1, place)
            if p[0] != c',':
                return fail(s, p)
            p = blank(p + 1)

    cdef bint _more_places(self) noexcept nogil:
        """Make room for one more document."""
        cdef Place *more
        if self.found_count < self.found_room:
            return True
        more = <Place *>realloc(self.found, (<size_t>self.found_room * 2 + 64) * sizeof(Place))
        if more == NULL:
            self.s.no_memory = True
            return False
        self.found = more
        self.found_room = self.found_room * 2 + 64
        return True

    def around(self, bytes data, bytes places):
        """Read the members round the arrays of records in documents of `data` into further rows, one for each.

        `places` are those that `documents` gives. False: some are not plain, and what was read is of no use.
        """
        return read_around(self, data, places)

    cdef inline const char *_row(self, const char *p, int64_t record) noexcept nogil:
        """Position behind the record at `p`; NULL: not plain, and its row is to be taken back."""
        cdef State *s = &self.s
        cdef int width = 0
        cdef const char *after
        cdef int64_t nans = s.nans
        if not self.rows_are_arrays:
            return take_object(s, &s.tables[0], p, 1)
        after = take_array(s, s.places, s.place_count, self.bool_at, &width, p)
        if after == NULL and width == -1:
            take_back(s, nans)
            s.record += 1
            after = take_array(s, self.moved, s.place_count, -1, &width, p)
            if after != NULL and width != self.variant_width:
                return fail(s, p)
        if after != NULL and (width < self.least or holds_row(p + 1, after, self.least)):
            return fail(s, p)
        return after

    # -- what was read -------------------------------------------------------------------------------------------------

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
        self.rows = 0


include "_fast_around.pxi"

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
