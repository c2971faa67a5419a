# Part of _fast.pyx: objects and arrays.

cdef void learn_lead(Lead *lead, const char *p, size_t length) noexcept nogil:
    """Remember what stands before a value; the first byte, comma or brace, is always kept as a comma."""
    cdef char text[LEAD_BYTES + 8]
    memset(lead, 0, sizeof(Lead))
    memset(text, 0, LEAD_BYTES + 8)
    if length > LEAD_BYTES:
        return
    memcpy(text, p, length)
    text[0] = c','
    lead.length = <int32_t>length
    lead.last = max(lead.length - 8, 0)
    lead.mask = fe_first(<uint64_t>-1, min(lead.length, 8))
    lead.first = fe_load(text)
    lead.tail = fe_load(text + lead.last)
    memcpy(lead.between, text + 8, 24)


cdef inline bint is_lead(Lead *lead, const char *p, uint64_t opener) noexcept nogil:
    """Whether the lead stands at `p`, where LEAD_BYTES can be read. `opener`: what tells the first byte from a comma."""
    cdef int32_t at
    if (fe_load(p) ^ opener ^ lead.first) & lead.mask:
        return False
    if lead.length > 8 and fe_load(p + lead.last) != lead.tail:
        return False
    if lead.length > 16:
        for at in range(8, lead.last, 8):
            if fe_load(p + at) != lead.between[(at >> 3) - 1]:
                return False
    return lead.length > 0


cdef int32_t add_key(Table *t, const char *name, size_t size, const char *readable) noexcept nogil:
    """Number of a key, which is new or not; -1: no memory."""
    cdef Key *keys
    cdef Key *key
    cdef int32_t known = t.names.count
    cdef int32_t code = intern(&t.names, name, size, readable)
    if code < 0:
        return -1
    if code >= t.room:
        keys = <Key *>realloc(t.keys, (<size_t>code * 2 + 32) * sizeof(Key))
        if keys == NULL:
            return -1
        t.keys = keys
        t.room = code * 2 + 32
    if code >= known:
        key = &t.keys[code]
        memset(key, 0, sizeof(Key))
        key.follows = -1
        key.target.column = key.target.sub = key.target.extra = -1
    return code


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


cdef int32_t other_key(State *s, Table *t, const char **at, int32_t last) noexcept nogil:
    """Number of the key behind the brace or comma at `at`, which moves to its value; -1: the object ends there; -2: failed."""
    cdef const char *begin = at[0]
    cdef const char *p = blank(begin + 1)
    cdef int32_t code
    if last < 0 and p[0] == c'}':
        at[0] = p + 1
        return -1
    code = look_up(s, t, &p)
    if code < 0:
        return -2
    p = blank(p)
    learn_lead(&t.keys[code].lead, begin, <size_t>(p - begin))
    if last >= 0:
        t.keys[last].follows = code
    else:
        t.first = code
    at[0] = p
    return code


cdef inline int32_t expected_key(State *s, Table *t, const char **at, int32_t expected, uint64_t opener) noexcept nogil:
    """The same for a key that came next, or next but one or two, when this place was last seen; -1: none of them."""
    cdef const char *p = at[0]
    cdef int32_t tries = 0
    if s.end - p < STEP_BYTES:
        return -1
    while expected >= 0 and tries < 3:
        if is_lead(&t.keys[expected].lead, p, opener):
            at[0] = p + t.keys[expected].lead.length
            return expected
        expected = t.keys[expected].follows
        tries += 1
    return -1


cdef const char *take_object(State *s, Table *t, const char *p, int depth) noexcept nogil:
    """Read the object at `p`."""
    cdef int64_t object
    cdef int32_t expected = t.first, last = -1, code, count = 0
    cdef bint straight = True
    cdef uint64_t opener = c'{' ^ c','
    cdef Key *key
    if depth > s.most_depth:
        return fail(s, p)
    s.object += 1
    object = s.object
    if depth == 1 and s.step_count and s.end - p >= s.step_count * STEP_BYTES:
        p = take_steps(s, p, &count)
        if count == s.step_count and p[0] == c'}':
            return p + 1
        if count:
            claim_steps(s, t, count)
            last, opener = s.steps[count - 1].code, 0
            expected = t.keys[last].follows
        straight = False
    while True:
        if last >= 0 and p[0] != c',':
            p = blank(p)
            if p[0] == c'}':
                break
            if p[0] != c',':
                return fail(s, p)
        code = expected_key(s, t, &p, expected, opener)
        if code < 0 or code != expected:
            straight = False
            if code < 0:
                code = other_key(s, t, &p, last)
                if code < 0:
                    return p if code == -1 else NULL
        key = &t.keys[code]
        if key.seen == object:
            return fail(s, p)
        key.seen = object
        if key.target.extra == -2 and not name_extra(s, t, code):
            return fail(s, p)
        p = take_value(s, p, &key.target, depth + 1)
        if p == NULL:
            return NULL
        opener = 0
        last = code
        expected = t.keys[code].follows
        count += 1
    if depth == 1 and straight and s.record >= s.next_try:
        learn_steps(s, t, count)
    return p + 1


cdef void learn_steps(State *s, Table *t, int32_t count) noexcept nogil:
    """Remember the keys of a record whose keys were just as expected, if all of them lead to columns of their own."""
    cdef int32_t i, j, code = t.first
    cdef Key *key
    s.step_count = 0
    s.next_try = s.record + STEPS_WAIT
    if count > MOST_STEPS:
        return
    for i in range(count):
        key = &t.keys[code]
        if not key.target.usual or not key.lead.length:
            return
        for j in range(i):
            if s.steps[j].column == key.target.column:
                return
        s.steps[i].lead = key.lead
        s.steps[i].code = code
        s.steps[i].column = key.target.column
        code = key.follows
    s.step_count = count
    s.next_try = 0


cdef inline const char *take_steps(State *s, const char *p, int32_t *count) noexcept nogil:
    """Read the record at `p` as far as it goes on like the last one; position behind the last value, and how many there are.

    No key comes twice in the steps, nor any column, so no books are kept of either.
    """
    cdef uint64_t opener = c'{' ^ c','
    cdef int32_t row = s.row, i
    cdef Step *step = s.steps
    cdef const char *after
    for i in range(s.step_count):
        if not is_lead(&step.lead, p, opener):
            s.step_count = 0
            break
        after = put_usual(p + step.lead.length, &s.columns[step.column], row)
        if after == NULL:
            break
        p = after
        opener = 0
        step += 1
    count[0] = <int32_t>(step - s.steps)
    return p


cdef void claim_steps(State *s, Table *t, int32_t count) noexcept nogil:
    """Keep the books of steps after all, as the record goes on in another way."""
    cdef int32_t i
    cdef Key *key
    for i in range(count):
        key = &t.keys[s.steps[i].code]
        key.seen = s.object
        claim_held(s, &s.columns[key.target.column], &key.target)


cdef bint name_extra(State *s, Table *t, int32_t code) noexcept nogil:
    """Give a key that came for the first time its extra column."""
    cdef size_t begin = <size_t>t.names.ends[code - 1] if code else 0
    cdef const char *text = t.names.text.data
    cdef int32_t extra = extra_of(s, text + begin, <size_t>t.names.ends[code] - begin, text + t.names.text.size)
    if extra < 0:
        return False
    t.keys[code].target.extra = extra
    return True


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
        index += 1
        if p[0] != c',':
            p = blank(p)
            if p[0] == c']':
                width[0] = index
                return p + 1
            if p[0] != c',':
                return fail(s, p)
        p += 1
        if p[0] <= c' ':
            p = blank(p)
