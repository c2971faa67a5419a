# Altitudes, rates and speeds over windows of time: twins of what `smooth.py` does for `evidence.py`.

cdef double NAN = float("nan")
cdef double MS = 1000.0  # per second
cdef double RADIANS = 0.017453292519943295  # per degree


cdef struct Window:
    # Samples begin .. end - 1, and their sums: whole numbers that wrap around, so that what is added can be taken away.
    int64_t begin
    int64_t end
    uint64_t t
    uint64_t a
    uint64_t tt
    uint64_t ta


cdef inline void advance(Window *w, const int64_t *key, const int64_t *value, int64_t size, int64_t low, int64_t high) noexcept nogil:
    """Move a window to the samples from `low` to `high`, ms, neither of which is less than the time before."""
    cdef uint64_t k, v
    while w.end < size and key[w.end] <= high:
        k, v = <uint64_t>key[w.end], <uint64_t>value[w.end]
        w.t += k
        w.a += v
        w.tt += k * k
        w.ta += k * v
        w.end += 1
    while w.begin < w.end and key[w.begin] < low:
        k, v = <uint64_t>key[w.begin], <uint64_t>value[w.begin]
        w.t -= k
        w.a -= v
        w.tt -= k * k
        w.ta -= k * v
        w.begin += 1


cdef inline void reach(Window *w, const int64_t *key, const int64_t *value, int64_t size, int64_t at, int64_t gap) noexcept nogil:
    """Take in the next sample on a side of `at` on which the window has none, if it is within `gap`, ms."""
    cdef uint64_t k, v
    cdef int64_t begin = w.begin, end = w.end
    if (begin >= size or key[begin] >= at) and begin > 0 and at - key[begin - 1] <= gap:
        k, v = <uint64_t>key[begin - 1], <uint64_t>value[begin - 1]
        w.t += k
        w.a += v
        w.tt += k * k
        w.ta += k * v
        w.begin -= 1
    if (end <= 0 or key[end - 1] <= at) and end < size and key[end] - at <= gap:
        k, v = <uint64_t>key[end], <uint64_t>value[end]
        w.t += k
        w.a += v
        w.tt += k * k
        w.ta += k * v
        w.end += 1


cdef inline double slope_of(Window *w, const int64_t *key, const int64_t *value, int64_t at, double scale, double *span_s) noexcept nogil:
    """Slope of the straight line through the samples, their units per ms times `scale`; NaN, and a span of 0, where there is none."""
    cdef uint64_t count = <uint64_t>(w.end - w.begin), q = <uint64_t>at, base
    cdef double n = <double>(w.end - w.begin), t, a, tt, ta, spread
    span_s[0] = 0.0
    if w.end - w.begin < 2:
        return NAN
    base = <uint64_t>value[w.begin]
    t = <double><int64_t>(w.t - count * q)
    a = <double><int64_t>(w.a - count * base)
    tt = <double><int64_t>(w.tt - 2 * q * w.t + count * q * q)
    ta = <double><int64_t>(w.ta - q * w.a - base * w.t + count * q * base)
    spread = n * tt - t * t
    if not spread > 0:
        return NAN
    span_s[0] = <double>(key[w.end - 1] - key[w.begin]) / MS
    return (n * ta - t * a) / spread * scale


cdef struct Total:
    # Samples begin .. end - 1, and the sum of their values.
    int64_t begin
    int64_t end
    int64_t value


cdef inline double mean_within(
    Total *w, const int64_t *key, const int64_t *value, int64_t size, int64_t low, int64_t high, double quanta
) noexcept nogil:
    """Mean of the samples from `low` to `high`, ms, neither of which is less than the time before; NaN where there is none."""
    while w.end < size and key[w.end] <= high:
        w.value += value[w.end]
        w.end += 1
    while w.begin < w.end and key[w.begin] < low:
        w.value -= value[w.begin]
        w.begin += 1
    return NAN if w.end == w.begin else <double>w.value / (<double>(w.end - w.begin) * quanta)


def time_keys(const int64_t[::1] flight, const int64_t[::1] time_ms, int64_t flight_span):
    """One rising whole number per row: `flight_span` per flight, and the latest time so far in it, ms."""
    cdef int64_t size = flight.shape[0], i, begin = 0, latest = 0, key
    made = np.empty(size, np.int64)
    cdef int64_t[::1] out = made
    with nogil:
        for i in range(size):
            if i == 0 or flight[i] != flight[i - 1]:
                begin = time_ms[i]
            key = (flight[i] - flight[0]) * flight_span + (time_ms[i] - begin)
            latest = key if i == 0 or key > latest else latest
            out[i] = latest
    return made


cdef inline double lesser(double a, double b) noexcept nogil:
    return a if a < b else b


cdef inline double greater(double a, double b) noexcept nogil:
    return a if a > b else b


cdef inline double median5(double a, double b, double c, double d, double e) noexcept nogil:
    """Median of five known values by comparing and swapping, as `smooth._median5`."""
    cdef double left = greater(lesser(a, b), lesser(d, e)), right = lesser(greater(a, b), greater(d, e))
    return greater(lesser(left, right), lesser(greater(left, right), c))


def heard_altitudes(
    const double[::1] altitude_ft,
    const int64_t[::1] key,
    const int64_t[::1] flight,
    double spike_ft,
    double spike_ft_per_s,
    double excursion_ms,
):
    """Mask of the altitudes, ft, that are known, and neither spikes nor short stretches that no climb explains."""
    cdef int64_t size = key.shape[0], count = 0, left = 0, i, j, low = 0, high = -1, out = -1
    made, place, value, when = np.empty(size, np.bool_), np.empty(size, np.int64), np.empty(size), np.empty(size, np.int64)
    cdef uint8_t[::1] heard = made.view(np.uint8)
    cdef int64_t[::1] at = place, k = when
    cdef double[::1] v = value
    cdef double middle, limit, step, step_out = 0.0
    with nogil:
        for i in range(size):
            heard[i] = not isnan(altitude_ft[i])
            if heard[i]:
                at[count], v[count], k[count] = i, altitude_ft[i], key[i]
                count += 1
        for i in range(count):
            if i > high:
                low = high = i
                while high + 1 < count and flight[at[high + 1]] == flight[at[i]]:
                    high += 1
            middle = median5(
                v[i - 2 if i - 2 > low else low],
                v[i - 1 if i - 1 > low else low],
                v[i],
                v[i + 1 if i + 1 < high else high],
                v[i + 2 if i + 2 < high else high],
            )
            limit = spike_ft + spike_ft_per_s * (
                <double>(k[i + 1 if i + 1 < high else high] - k[i - 1 if i - 1 > low else low]) / MS
            )
            if fabs(v[i] - middle) > limit:
                heard[at[i]] = False
        for i in range(count):
            if heard[at[i]]:
                at[left], v[left], k[left] = at[i], v[i], k[i]
                left += 1
        for i in range(left - 1):
            if flight[at[i]] != flight[at[i + 1]]:
                continue
            step = v[i + 1] - v[i]
            if not fabs(step) > spike_ft + spike_ft_per_s * (<double>(k[i + 1] - k[i]) / MS):
                continue
            if out >= 0 and step_out * step < 0 and k[i] - k[out + 1] <= excursion_ms and flight[at[out]] == flight[at[i]]:
                for j in range(out + 1, i + 1):
                    heard[at[j]] = False
            out, step_out = i, step
    return made


cdef int64_t samples(
    const int64_t[::1] key, const double[::1] value, const uint8_t[::1] mask, double quanta, int64_t[::1] k, int64_t[::1] v
) noexcept nogil:
    """Times, and values in whole quanta, of the rows of `mask`; returns how many they are."""
    cdef int64_t i, count = 0
    for i in range(key.shape[0]):
        k[count], v[count] = key[i], <int64_t>rint(value[i] * quanta) if mask[i] else 0
        count += mask[i]
    return count


def vertical_rates(
    const double[::1] said_fpm,
    const double[::1] altitude_ft,
    heard,
    const int64_t[::1] key,
    tuple times_ms,
    double quanta,
    double scale,
    tuple limits,
):
    """Robust vertical rate, ft/min, whether reported rate and altitudes agree, and the rate of the moment, ft/min.

    `times_ms`: half of the window of each of the two rates, half of that of the slope where the moment's is not reported, and
    the gap that windows reach across. `limits`: the most that a reported rate may be and by how much it may be off, ft/min,
    and s of altitudes that are better than it. `quanta` per ft, and `scale` from quanta per ms to ft/min.
    """
    cdef int64_t size = key.shape[0], i, heights, reported, q, half, short, middle, gap
    cdef double most, off, sure, mean, slope, span
    half, short, middle, gap = times_ms
    most, off, sure = limits
    cdef const uint8_t[::1] known = heard.view(np.uint8)
    usable = np.empty(size, np.uint8)
    cdef uint8_t[::1] use = usable
    temporary = np.empty((4, size), np.int64)
    cdef int64_t[::1] ak = temporary[0], av = temporary[1], rk = temporary[2], rv = temporary[3]
    rates, moments, agrees = np.empty(size), np.empty(size), np.empty(size, np.bool_)
    cdef double[::1] rate = rates, moment = moments
    cdef uint8_t[::1] agreed = agrees.view(np.uint8)
    cdef Window a = Window(0, 0, 0, 0, 0, 0), b = Window(0, 0, 0, 0, 0, 0), close
    cdef Total wide = Total(0, 0, 0), near = Total(0, 0, 0)
    if not size:
        return rates, agrees, moments
    with nogil:
        for i in range(size):
            use[i] = fabs(said_fpm[i]) <= most
        heights = samples(key, altitude_ft, known, quanta, ak, av)
        reported = samples(key, said_fpm, use, quanta, rk, rv)
        for i in range(size):
            q = key[i]
            advance(&a, &ak[0], &av[0], heights, q - half, q + half)
            close = a
            reach(&close, &ak[0], &av[0], heights, q, gap)
            slope = slope_of(&close, &ak[0], &av[0], q, scale, &span)
            mean = mean_within(&wide, &rk[0], &rv[0], reported, q - half, q + half, quanta)
            agreed[i] = fabs(mean - slope) <= off
            rate[i] = slope if isnan(mean) or (not agreed[i] and span >= sure) else mean
            moment[i] = mean_within(&near, &rk[0], &rv[0], reported, q - short, q + short, quanta)
            if near.begin == near.end:
                advance(&b, &ak[0], &av[0], heights, q - middle, q + middle)
                close = b
                reach(&close, &ak[0], &av[0], heights, q, gap)
                moment[i] = slope_of(&close, &ak[0], &av[0], q, scale, &span)
    return rates, agrees, moments


def bridged_altitudes(const double[::1] altitude_ft, heard, const int64_t[::1] key, double gap_ms, double hold_ms):
    """Altitudes, ft, and in the place of those that were not heard a straight line or what is held, as `smooth.bridged`."""
    cdef int64_t size = key.shape[0], i, before = -1, same, after = 0, since, until
    cdef const uint8_t[::1] known = heard.view(np.uint8)
    made = np.empty(size)
    cdef double[::1] out = made
    with nogil:
        for i in range(size):
            if known[i]:
                out[i] = altitude_ft[i]
                before = i
                continue
            # The last sample at or before this time, and the first at or after it: rows may have the same time.
            same = before
            if after < i:
                after = i
            while after < size and not known[after]:
                after += 1
            if after < size and key[after] == key[i]:
                same = after
                while same + 1 < size and key[same + 1] == key[i]:
                    same += 1
                while not known[same]:
                    same -= 1
            until = after
            if before >= 0 and key[before] == key[i]:
                until = before
                while until > 0 and key[until - 1] == key[i]:
                    until -= 1
                while not known[until]:
                    until += 1
            out[i] = between(altitude_ft, key, key[i], same, until, gap_ms, hold_ms)
    return made


cdef inline double between(
    const double[::1] value, const int64_t[::1] key, int64_t at, int64_t before, int64_t after, double gap_ms, double hold_ms
) noexcept nogil:
    cdef bint led = before >= 0, followed = after < key.shape[0]
    cdef int64_t since = at - key[before] if led else 0, until = key[after] - at if followed else 0
    if led and followed and since <= gap_ms and until <= gap_ms and since + until <= gap_ms:
        return value[before] + (value[after] - value[before]) * (<double>since / <double>(since + until if since + until > 1 else 1))
    if led and (not followed or since <= until):
        return value[before] if since <= hold_ms else NAN
    return value[after] if followed and until <= hold_ms else NAN


cdef inline double rough_cosine(double x) noexcept nogil:
    """Cosine of up to a quarter of a turn to either side, within 1e-6."""
    cdef double y = x * x
    return 1.0 + y * (-1.0 / 2 + y * (1.0 / 24 + y * (-1.0 / 720 + y * (1.0 / 40320 - y * (1.0 / 3628800)))))


cdef double ROUGH = 1e-3  # share of a speed, and as much of a knot, by which a rough one may be off: more than it is
cdef double POLAR = 85.0  # deg; nearer to a pole the rough cosine is not good enough


def chords(
    const double[::1] reported_kt,
    const double[::1] latitude,
    const double[::1] longitude,
    const int64_t[::1] key,
    int64_t half,
    int64_t gap,
    double knots_per_degree,
    tuple limits,
):
    """Of the straight way from the first to the last position round a row: deg north and, as on the equator, east; its middle
    latitude, deg; and s. And the rows for which that is told.

    These are the rows whose reported speed is missing, or so far off that `limits`, as in `believed_speeds`, may be passed: a rough
    cosine tells it of most others. `knots_per_degree` is the speed of a degree per s.
    """
    cdef int64_t size = key.shape[0], i, count = 0, begin = 0, end = 0, a, b, q, found = 0
    cdef double off, most, share, north, east, middle, seconds, moved
    most, share = limits
    made, times, places, at = np.empty((4, size)), np.empty(size, np.int64), np.empty((2, size)), np.empty(size, np.int64)
    cdef double[:, ::1] out = made
    cdef double[::1] lat = places[0], lon = places[1]
    cdef int64_t[::1] k = times, row = at
    with nogil:
        for i in range(size):
            if not (isnan(latitude[i]) or isnan(longitude[i])):
                k[count], lat[count], lon[count] = key[i], latitude[i], longitude[i]
                count += 1
        for i in range(size):
            q = key[i]
            while end < count and k[end] <= q + half:
                end += 1
            while begin < end and k[begin] < q - half:
                begin += 1
            a, b = begin, end - 1
            if (begin >= count or k[begin] >= q) and begin > 0 and q - k[begin - 1] <= gap:
                a = begin - 1
            if (end <= 0 or k[end - 1] <= q) and end < count and k[end] - q <= gap:
                b = end
            if b <= a or k[b] <= k[a]:
                continue
            north, middle = lat[b] - lat[a], (lat[a] + lat[b]) / 2.0
            east = turned(lon[b] - lon[a] + 180.0) - 180.0
            seconds = <double>(k[b] - k[a]) / MS
            moved = east * rough_cosine(middle * RADIANS)
            moved = sqrt(north * north + moved * moved) / seconds * knots_per_degree
            off = fabs(reported_kt[i] - moved) + ROUGH * (moved + 1.0)
            if (off <= most or off <= share * reported_kt[i]) and fabs(middle) <= POLAR:
                continue
            out[0, found], out[1, found], out[2, found], out[3, found], row[found] = north, east, middle, seconds, i
            found += 1
    return at[:found], made[0, :found], made[1, :found], made[2, :found], made[3, :found]


cdef inline double turned(double degrees) noexcept nogil:
    """Degrees modulo 360, as Python has it."""
    if 0.0 <= degrees < 360.0:
        return degrees
    degrees = fmod(degrees, 360.0)
    return degrees + 360.0 if degrees < 0 else (degrees if degrees > 0 else 0.0)


def believed_speeds(
    const double[::1] reported_kt,
    const int64_t[::1] row,
    const double[::1] moved_kt,
    const int64_t[::1] key,
    const int64_t[::1] flight,
    tuple limits,
):
    """Speed to believe, kt: the reported one, or `moved_kt` of `row` where it is missing or contradicted by that for long enough.

    `limits`: kt, and share of the reported speed, by which both differ where it is frozen, and s for which.
    """
    cdef int64_t size = key.shape[0], i, j, at, first, last
    cdef double off, most, share, least
    most, share, least = limits
    made, mask = np.array(reported_kt), np.zeros(size, np.uint8)
    cdef double[::1] speed = made
    cdef uint8_t[::1] frozen = mask
    with nogil:
        for i in range(row.shape[0]):
            at = row[i]
            off = fabs(reported_kt[at] - moved_kt[i])
            frozen[at] = off > most and off > share * reported_kt[at]
        i = 0
        while i < row.shape[0]:
            first = row[i]
            if isnan(reported_kt[first]):
                speed[first] = moved_kt[i]
            if not frozen[first]:
                i += 1
                continue
            last = first
            while last + 1 < size and frozen[last + 1] and flight[last + 1] == flight[first]:
                last += 1
            j = i + last - first + 1  # all rows of the run are told of
            if lasting_s(key, flight, first, last) >= least:
                while i < j:
                    speed[row[i]] = moved_kt[i]
                    i += 1
            i = j
    return made


cdef inline double lasting_s(const int64_t[::1] key, const int64_t[::1] whole, int64_t first, int64_t last) noexcept nogil:
    """How long the rows first .. last last, s, with half the way to the rows next to them in the same `whole`."""
    cdef int64_t beside = 0
    if first > 0 and whole[first - 1] == whole[first]:
        beside += key[first] - key[first - 1]
    if last + 1 < key.shape[0] and whole[last + 1] == whole[last]:
        beside += key[last + 1] - key[last]
    return (<double>(key[last] - key[first]) + <double>beside / 2.0) / MS
