# What each row is by rules, once its neighbours are known: twins of parts of `surface.py`, `hops.py` and `phase_context.py`.

cdef int8_t ON_GROUND = 1, IN_AIR = 0, NOT_KNOWN = -1  # as in `surface.py`
cdef int8_t NOT_MOVED = 2  # a direction at which no edge is moved


def ground_states(
    const double[::1] speed_kt,
    const double[::1] altitude_ft,
    const double[::1] elevation_ft,
    const int8_t[::1] flag,
    hoverer,
    const int64_t[::1] flight,
    const int64_t[::1] piece,
    tuple limits,
):
    """State of each row by itself, and the fast parts of rolls beside slow rows: `surface._row_states`, `surface._rolling`.

    `limits`: kt of taxiing and of flying, ft of error of a field's elevation, of a slow aircraft above it, of the highest field,
    and of an aircraft above where it stood.
    """
    cdef int64_t size = flight.shape[0], i, j, first, last
    cdef double taxi, flying, error, slow_ft, highest, level_ft, low, altitude, elevation, level
    taxi, flying, error, slow_ft, highest, level_ft = limits
    cdef const uint8_t[::1] hovers = hoverer.view(np.uint8)
    states, marks = np.empty(size, np.int8), np.zeros((2, size), np.uint8)
    cdef int8_t[::1] state = states
    cdef uint8_t[::1] stood = marks[0], rolls = marks[1]
    cdef bint slow, says_ground, any_stood
    with nogil:
        for i in range(size):
            altitude, elevation = altitude_ft[i], elevation_ft[i]
            slow = speed_kt[i] <= taxi and not hovers[i]
            state[i] = flag[i]
            if flag[i] == ON_GROUND:
                if speed_kt[i] > flying and altitude - (0.0 if isnan(elevation) else elevation) > error:
                    state[i] = IN_AIR
            elif slow:
                if fabs(altitude - elevation) <= slow_ft or (isnan(altitude) and not isnan(elevation)):
                    state[i] = ON_GROUND
                elif flag[i] == NOT_KNOWN and isnan(elevation) and not altitude > highest:
                    state[i] = ON_GROUND
            elif flag[i] == NOT_KNOWN and (speed_kt[i] > taxi or not isnan(altitude)):
                state[i] = IN_AIR
            stood[i] = slow and state[i] == ON_GROUND
        last = -1
        while last + 1 < size:
            first = last = last + 1
            says_ground = any_stood = False
            while True:
                says_ground |= flag[last] == ON_GROUND
                any_stood |= stood[last]
                if last + 1 >= size or flight[last + 1] != flight[first]:
                    break
                last += 1
            if not any_stood:  # then nothing rolls beside it
                continue
            level = NAN
            for i in range(first, last + 1):
                altitude = altitude_ft[i]
                level = altitude if stood[i] and not isnan(altitude) else level
                rolls[i] = isnan(altitude) or altitude - level <= level_ft
            level = NAN
            for i in range(last, first - 1, -1):
                altitude = altitude_ft[i]
                level = altitude if stood[i] and not isnan(altitude) else level
                rolls[i] |= altitude - level <= level_ft
                rolls[i] = stood[i] or (rolls[i] and (flag[i] == NOT_KNOWN or not says_ground) and not hovers[i])
            i = first
            while i <= last:
                j = i
                any_stood = stood[i]
                while j < last and piece[j + 1] == piece[i] and rolls[j + 1] == rolls[i]:
                    j += 1
                    any_stood |= stood[j]
                if rolls[i] and any_stood:
                    while i <= j:
                        state[i] = ON_GROUND
                        i += 1
                i = j + 1
    return states


cdef void lasting(uint8_t *mask, const uint8_t *begun, const int64_t *piece, int64_t size) noexcept nogil:
    """Keep those runs of `mask` in which it is `begun` somewhere."""
    cdef int64_t first = 0, last, i
    cdef bint some
    while first < size:
        if not mask[first]:
            first += 1
            continue
        last, some = first, begun[first]
        while last + 1 < size and mask[last + 1] and piece[last + 1] == piece[first]:
            last += 1
            some |= begun[last]
        if not some:
            for i in range(first, last + 1):
                mask[i] = False
        first = last + 1


cdef void stepping(
    uint8_t *mask, const int8_t *state, const uint8_t *air, const double *altitude, const int64_t *piece, int64_t size,
    double step_ft, double quantum_ft,
) noexcept nogil:
    """Keep what `hops._stepping` keeps: runs that are a step high or cut short, without their level ends."""
    cdef int64_t first = 0, last, i
    cdef bint led, followed, from_air, to_air
    cdef double begin, end, bottom, top
    while first < size:
        if not mask[first]:
            first += 1
            continue
        last = first
        while last + 1 < size and mask[last + 1] and piece[last + 1] == piece[first]:
            last += 1
        led = first > 0 and piece[first - 1] == piece[first] and (air[first - 1] or state[first - 1] == ON_GROUND)
        followed = last + 1 < size and piece[last + 1] == piece[last] and (air[last + 1] or state[last + 1] == ON_GROUND)
        from_air, to_air = led and air[first - 1], followed and air[last + 1]
        bottom, top = altitude[first], altitude[last]
        begin = (bottom + (altitude[first - 1] if from_air else bottom)) / 2.0
        end = (top + (altitude[last + 1] if to_air else top)) / 2.0
        if led and followed and not fabs(end - begin) >= step_ft:
            for i in range(first, last + 1):
                mask[i] = False
        else:
            for i in range(first, last + 1):
                if from_air and not fabs(altitude[i] - bottom) > quantum_ft:
                    mask[i] = False
                elif to_air and not fabs(altitude[i] - top) > quantum_ft:
                    mask[i] = False
        first = last + 1


def directions(
    const double[::1] rate_fpm, const double[::1] altitude_ft, const int8_t[::1] state, const int64_t[::1] piece, tuple limits
):
    """1 in climbs, -1 in descents, 0 in level flight, 2 where no altitude is known or on the ground: what `hops.trend_of` settles.

    `limits`: rates of climb and of descent that begin one, ft/min, the share of them at which it ends, and ft of a step and of the
    quantum of altitudes.
    """
    cdef int64_t size = state.shape[0], i
    cdef double rise, sink, release, step, quantum
    rise, sink, release, step, quantum = limits
    made, marks = np.empty(size, np.int8), np.empty((5, size), np.uint8)
    cdef int8_t[::1] out = made
    cdef uint8_t[:, ::1] mask = marks
    cdef uint8_t *air
    cdef uint8_t *up
    cdef uint8_t *down
    cdef uint8_t *rises
    cdef uint8_t *sinks
    if not size:
        return made
    air, up, down, rises, sinks = &mask[0, 0], &mask[1, 0], &mask[2, 0], &mask[3, 0], &mask[4, 0]
    with nogil:
        for i in range(size):
            air[i] = state[i] == IN_AIR and not isnan(altitude_ft[i])
            up[i], rises[i] = air[i] and rate_fpm[i] > rise * release, air[i] and rate_fpm[i] > rise
            down[i], sinks[i] = air[i] and rate_fpm[i] < sink * release, air[i] and rate_fpm[i] < sink
        lasting(up, rises, &piece[0], size)
        lasting(down, sinks, &piece[0], size)
        stepping(up, &state[0], air, &altitude_ft[0], &piece[0], size, step, quantum)
        stepping(down, &state[0], air, &altitude_ft[0], &piece[0], size, step, quantum)
        for i in range(size):
            out[i] = <int8_t>(up[i] - down[i]) if air[i] else NOT_MOVED
    return made


def hop_heights(
    const double[::1] altitude_ft,
    const double[::1] ground_ft,
    const int64_t[::1] first,
    const int64_t[::1] last,
    flies,
    const int64_t[::1] climb,
    const int64_t[::1] descent,
    const double[::1] start_ft,
    const double[::1] end_ft,
):
    """Height above the field of departure or arrival, ft, as `phase_context.heights`; the last six are of hops first .. last."""
    cdef int64_t size = altitude_ft.shape[0], hop, i
    cdef const uint8_t[::1] fly = flies.view(np.uint8)
    cdef double local, field
    made = np.empty(size)
    cdef double[::1] out = made
    with nogil:
        for hop in range(first.shape[0]):
            local = start_ft[hop] if start_ft[hop] == end_ft[hop] else NAN
            for i in range(first[hop], last[hop] + 1):
                if not fly[hop]:
                    field = ground_ft[i]
                else:
                    field = start_ft[hop] if i < climb[hop] else (end_ft[hop] if i > descent[hop] else local)
                out[i] = altitude_ft[i] - field
    return made


def hop_labels(
    up, down, low, taking_off,
    const int64_t[::1] first, const int64_t[::1] last, flies, climbed, const int64_t[::1] climb, const int64_t[::1] descent,
    tuple words,
):
    """Phase of each row in the air, as `phase_context.air_labels` tells it; `words` are the codes of TAKEOFF to APPROACH and UNKNOWN."""
    cdef int8_t takeoff, climbing, cruise, descends, approach, unknown, label
    takeoff, climbing, cruise, descends, approach, unknown = words
    cdef const uint8_t[::1] rises = up.view(np.uint8), sinks = down.view(np.uint8), lows = low.view(np.uint8)
    cdef const uint8_t[::1] departs = taking_off.view(np.uint8), fly = flies.view(np.uint8), climbs = climbed.view(np.uint8)
    cdef int64_t hop, i
    made = np.empty(rises.shape[0], np.int8)
    cdef int8_t[::1] out = made
    with nogil:
        for hop in range(first.shape[0]):
            for i in range(first[hop], last[hop] + 1):
                if not fly[hop]:
                    label = unknown
                elif departs[i]:
                    label = takeoff
                elif rises[i]:
                    label = climbing
                elif i > descent[hop]:
                    label = approach if lows[i] else descends
                elif sinks[i]:
                    label = descends
                elif i >= climb[hop]:
                    label = cruise
                else:
                    label = climbing if climbs[hop] else unknown
                out[i] = label
    return made
