# Part of _fast.pyx: rows come and go.

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


cdef void take_back(State *s, int64_t nans) noexcept nogil:
    """Undo what the record that failed has left in its row."""
    cdef int32_t i
    cdef Extra *x
    for i in range(s.column_count):
        if s.columns[i].record == s.record or (s.columns[i].used and s.columns[i].state[s.row] != NOTHING):
            clear_cell(&s.columns[i], s.row)
    for i in range(s.extra_count):
        x = &s.extras[i]
        if x.record == s.record and x.count and x.cells[x.count - 1].row == s.row:
            x.count -= 1
            x.tokens.size -= <size_t>x.cells[x.count].length
    s.nans = nans


cdef void drop_rows(State *s, int32_t row, int64_t nans) noexcept nogil:
    """Undo all rows from `row` on; that of a record which failed has been taken back before."""
    cdef int32_t i, at
    cdef Column *c
    cdef Extra *x
    for i in range(s.column_count):
        c = &s.columns[i]
        while c.left and c.left_rows[c.left - 1] >= row:
            c.left -= 1
        if c.used:
            for at in range(row, s.row):
                clear_cell(c, at)
    for i in range(s.extra_count):
        x = &s.extras[i]
        while x.count and x.cells[x.count - 1].row >= row:
            x.count -= 1
            x.tokens.size -= <size_t>x.cells[x.count].length
    s.row = row
    s.nans = nans
