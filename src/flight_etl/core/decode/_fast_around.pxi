# Part of _fast.pyx: members round the records, as records of their own.

cdef bint members_of(Bytes *text, const char *base, const int64_t *place) noexcept nogil:
    """Write the members round an array of records as an object without it, with a NUL behind; False: no memory."""
    text.size = 0
    return (
        append(text, b"{", 1)
        and append(text, base + place[1], <size_t>(place[2] - place[1]))
        and append(text, b'"":0', 4)
        and append(text, base + place[3], <size_t>(place[4] - place[3]))
        and append(text, b"}\0", 2)
    )


cdef bint read_around(Parser parser, bytes data, bytes places) except? False:
    """See `Parser.around`."""
    cdef const char *base = PyBytes_AsString(data)
    cdef const int64_t *place = <const int64_t *>PyBytes_AsString(places)
    cdef Py_ssize_t count = PyBytes_Size(places) // (6 * <Py_ssize_t>sizeof(int64_t))
    cdef Py_ssize_t i
    cdef bint plain = True
    cdef Bytes text
    memset(&text, 0, sizeof(Bytes))
    with nogil:
        for i in range(count):
            plain = members_of(&text, base, place + 6 * i)
            if plain:
                parser.s.end = text.data + text.size - 1
                plain = parser._record(text.data, text.data, 0, 0, MOST_RECORD) == parser.s.end
            if not plain:
                break
    free(text.data)
    parser.rows = parser.s.row
    return plain
