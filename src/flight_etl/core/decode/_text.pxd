# Strings of JSON and dictionaries of different strings.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from flight_etl.core.decode._number cimport fe_before, fe_bytes_before, fe_ends_number, fe_ends_string, fe_first, fe_goes_on, fe_load, fe_mix, fe_quote

cdef enum:
    ESCAPED = 1
    WIDE = 2  # bytes that are not ASCII

cdef struct Bytes:  # growable
    char *data
    size_t size
    size_t room


cdef inline bint reserve(Bytes *b, size_t more) noexcept nogil:
    """Make room for `more` bytes; False where there is no memory."""
    cdef size_t room
    cdef char *data
    if b.data != NULL and b.room - b.size >= more:
        return True
    room = (b.size + more) * 2 + 64
    data = <char *>realloc(b.data, room)
    if data == NULL:
        return False
    b.data = data
    b.room = room
    return True


cdef inline bint append(Bytes *b, const char *data, size_t size) noexcept nogil:
    if not reserve(b, size):
        return False
    memcpy(b.data + b.size, data, size)
    b.size += size
    return True


cdef inline const char *string_end(const char *p, const char *end, int *flags, const char **failed) noexcept nogil:
    """Position of the quote that ends the string whose first byte is at `p`; NULL, and `failed`, where there is none.

    What the flags name is still to be validated.
    """
    cdef uint64_t found
    while True:
        while end - p >= 8:
            found = fe_ends_string(fe_load(p))
            if found:
                p += fe_bytes_before(found)
                break
            p += 8
        if p >= end:
            failed[0] = end
            return NULL
        if p[0] == c'"':
            return p
        if p[0] == c'\\':
            flags[0] |= ESCAPED
            if end - p < 2:
                failed[0] = end
                return NULL
            p += 2
        elif <uint8_t>p[0] >= 0x80:
            flags[0] |= WIDE
            p += 1
        elif <uint8_t>p[0] < 0x20:
            failed[0] = p
            return NULL
        else:
            p += 1


cdef inline bint is_utf8(const char *text, const char *end) noexcept nogil:
    """Whether the bytes are UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF (RFC 3629, section 4)."""
    cdef const uint8_t *p = <const uint8_t *>text
    cdef const uint8_t *stop = <const uint8_t *>end
    cdef uint8_t low, high
    cdef int more
    while p < stop:
        if p[0] < 0x80:
            p += 1
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= p[0] <= 0xDF:
            more = 1
        elif 0xE0 <= p[0] <= 0xEF:
            more = 2
            if p[0] == 0xE0:
                low = 0xA0
            elif p[0] == 0xED:
                high = 0x9F
        elif 0xF0 <= p[0] <= 0xF4:
            more = 3
            if p[0] == 0xF0:
                low = 0x90
            elif p[0] == 0xF4:
                high = 0x8F
        else:
            return False
        if stop - p <= more or p[1] < low or p[1] > high:
            return False
        if more > 1 and (p[2] & 0xC0) != 0x80:
            return False
        if more > 2 and (p[3] & 0xC0) != 0x80:
            return False
        p += more + 1
    return True


cdef inline int hex_digit(char c) noexcept nogil:
    if c'0' <= c <= c'9':
        return c - c'0'
    c |= 0x20
    return c - c'a' + 10 if c'a' <= c <= c'f' else -1


cdef inline bint unescape(const char *p, const char *end, Bytes *out) noexcept nogil:
    """Append the string from `p` to `end` without its escapes; False for broken ones, and for all surrogates."""
    cdef int code, digit, i
    cdef char c
    if not reserve(out, <size_t>(end - p)):  # it never gets longer
        return False
    while p < end:
        if p[0] != c'\\':
            out.data[out.size] = p[0]
            out.size += 1
            p += 1
            continue
        if end - p < 2:
            return False
        c = p[1]
        p += 2
        if c == c'u':
            if end - p < 4:
                return False
            code = 0
            for i in range(4):
                digit = hex_digit(p[i])
                if digit < 0:
                    return False
                code = code * 16 + digit
            p += 4
            if 0xD800 <= code <= 0xDFFF:
                return False
            if code < 0x80:
                c = <char>code
            else:
                if code < 0x800:
                    out.data[out.size] = <char>(0xC0 | (code >> 6))
                    out.size += 1
                else:
                    out.data[out.size] = <char>(0xE0 | (code >> 12))
                    out.data[out.size + 1] = <char>(0x80 | ((code >> 6) & 0x3F))
                    out.size += 2
                c = <char>(0x80 | (code & 0x3F))
        elif c == c'n':
            c = c'\n'
        elif c == c't':
            c = c'\t'
        elif c == c'r':
            c = c'\r'
        elif c == c'b':
            c = c'\b'
        elif c == c'f':
            c = c'\f'
        elif c != c'"' and c != c'\\' and c != c'/':
            return False
        out.data[out.size] = c
        out.size += 1
    return True


# -- dictionaries ------------------------------------------------------------------------------------------------------

cdef struct Slot:
    uint64_t low  # the word itself, up to 16 bytes; a longer one: its hash
    uint64_t high
    int32_t length
    int32_t code  # -1: free

cdef struct Words:  # different strings, numbered as they came
    Slot *slots
    uint32_t mask
    int32_t count
    int32_t *ends
    int32_t room
    Bytes text


cdef inline void free_words(Words *w) noexcept nogil:
    free(w.slots)
    free(w.ends)
    free(w.text.data)
    memset(w, 0, sizeof(Words))


cdef inline void clear_words(Words *w) noexcept nogil:
    if w.count:
        memset(w.slots, 0xFF, (w.mask + 1) * sizeof(Slot))
        w.count = 0
        w.text.size = 0


cdef inline uint64_t mixed(uint64_t low, uint64_t high, uint64_t length) noexcept nogil:
    return fe_mix(low ^ (length << 56), high)


cdef inline bint rehash(Words *w) noexcept nogil:
    """Double the table, or make the first."""
    cdef uint32_t size = (w.mask + 1) * 2 if w.slots != NULL else 64
    cdef uint32_t i, at
    cdef Slot *slots = <Slot *>malloc(size * sizeof(Slot))
    if slots == NULL:
        return False
    memset(slots, 0xFF, size * sizeof(Slot))
    if w.slots != NULL:
        for i in range(w.mask + 1):
            if w.slots[i].code >= 0:
                at = <uint32_t>mixed(w.slots[i].low, w.slots[i].high, <uint64_t>w.slots[i].length) & (size - 1)
                while slots[at].code >= 0:
                    at = (at + 1) & (size - 1)
                slots[at] = w.slots[i]
        free(w.slots)
    w.slots = slots
    w.mask = size - 1
    return True


cdef inline int32_t add_word(Words *w, uint32_t at, uint64_t low, uint64_t high, const char *s, size_t size) noexcept nogil:
    cdef int32_t *ends
    if w.count == w.room:
        ends = <int32_t *>realloc(w.ends, (<size_t>w.room * 2 + 64) * sizeof(int32_t))
        if ends == NULL:
            return -1
        w.ends = ends
        w.room = w.room * 2 + 64
    if not append(&w.text, s, size):
        return -1
    w.ends[w.count] = <int32_t>w.text.size
    w.slots[at].low, w.slots[at].high = low, high
    w.slots[at].length, w.slots[at].code = <int32_t>size, w.count
    w.count += 1
    return w.count - 1


cdef inline int32_t number_of(
    Words *w, uint64_t low, uint64_t high, const char *s, size_t size
) noexcept nogil:
    """Number of the word at `s`, given as itself or its hash. -1: no memory."""
    cdef uint32_t at
    cdef Slot *slot
    if w.slots == NULL or <uint32_t>w.count * 2 > w.mask:
        if not rehash(w):
            return -1
    at = <uint32_t>mixed(low, high, size) & w.mask
    while True:
        slot = &w.slots[at]
        if slot.low == low and slot.high == high and <size_t>slot.length == size and slot.code >= 0:
            if size <= 16 or memcmp(w.text.data + w.ends[slot.code] - size, s, size) == 0:
                return slot.code
        if slot.code < 0:
            return add_word(w, at, low, high, s, size)
        at = (at + 1) & w.mask


cdef inline int32_t intern(Words *w, const char *s, size_t size, const char *end) noexcept nogil:
    """Number of a word, which is new or not; bytes up to `end` may be read. -1: no memory."""
    cdef uint64_t low = 0, high = 0
    cdef size_t i = 0
    if size > 16:
        while size - i >= 8:
            low = fe_mix(low ^ fe_load(s + i), i)
            i += 8
        low = fe_mix(low ^ fe_load(s + size - 8), size)
        high = low >> 32
    elif end - s >= 16:
        if size <= 8:
            low = fe_first(fe_load(s), <int>size)
        else:
            low = fe_load(s)
            high = fe_first(fe_load(s + 8), <int>size - 8)
    else:
        memcpy(&low, s, size if size < 8 else 8)
        if size > 8:
            memcpy(&high, s + 8, size - 8)
    return number_of(w, low, high, s, size)


cdef inline int32_t known_word(Words *w, uint64_t low, uint64_t high, int size) noexcept nogil:
    """Number of a word of 1 to 16 bytes; -1: it is new, or others are in its place."""
    cdef Slot *slot
    if w.slots == NULL:
        return -1
    slot = &w.slots[<uint32_t>mixed(low, high, <uint64_t>size) & w.mask]
    return slot.code if slot.low == low and slot.high == high and slot.length == size else -1


cdef inline bint is_plain(const char *p, int size) noexcept nogil:
    """Whether there are only ASCII characters and no escapes in a string, which ends behind them."""
    cdef int i
    for i in range(size):
        if p[i] == c'\\' or <uint8_t>p[i] < 0x20 or <uint8_t>p[i] >= 0x80:
            return False
    return True


cdef inline int32_t take_word(Words *w, const char **at) noexcept nogil:
    """Number of the string at `at`, behind its quote, which moves behind the closing one. -1: not short and plain.

    There must be 16 bytes to be read. A word that is known was found to be plain when it came first.
    """
    cdef const char *p = at[0]
    cdef uint64_t low = fe_load(p), high = 0, stop = fe_quote(low)
    cdef int size
    cdef int32_t code
    if stop:
        size = fe_bytes_before(stop)
        low = fe_before(low, stop)
    else:
        high = fe_load(p + 8)
        stop = fe_quote(high)
        if not stop:
            return -1
        size = fe_bytes_before(stop) + 8
        high = fe_before(high, stop)
    code = known_word(w, low, high, size)
    if code < 0:
        if size == 0 or not is_plain(p, size):
            return -1
        code = number_of(w, low, high, p, <size_t>size)
    at[0] = p + size + 1
    return code


cdef inline int32_t take_digits_word(Words *w, const char **at) noexcept nogil:
    """The same for an integer of up to seven digits at `at`, whose digits are the word."""
    cdef const char *p = at[0]
    cdef uint64_t low = fe_load(p), stop = fe_ends_number(low)
    cdef int size
    cdef int32_t code
    if not stop:
        return -1
    size = fe_bytes_before(stop)
    if size == 0 or fe_goes_on(p + size) or (p[0] == c'0' and size > 1):
        return -1
    at[0] = p + size
    low = fe_before(low, stop)
    code = known_word(w, low, 0, size)
    return code if code >= 0 else number_of(w, low, 0, p, <size_t>size)
