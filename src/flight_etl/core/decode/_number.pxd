# Numbers of JSON, correctly rounded. Bytes are read eight at a time; which eight are readable is always checked first.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <locale.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "the fast decoder is written for little-endian machines; the reference decoder works on all"
    #endif

    #define FE_FIVES 60
    static uint64_t fe_fives[2 * FE_FIVES + 1][2]; /* leading 128 bits of 5**q, filled at import */
    static const double fe_tens[23] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    static const uint64_t fe_whole_tens[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

    static inline uint64_t fe_load(const char *p) { uint64_t x; memcpy(&x, p, 8); return x; }

    /* Eight bytes at once, the first one lowest. The answers have the highest bit set of the first byte that is meant; what
       they say of those above it is without meaning. */
    #define FE_EACH(byte) (0x0101010101010101ULL * (byte))
    static inline uint64_t fe_less(uint64_t x, unsigned byte) { return (x - FE_EACH(byte)) & ~x; }
    static inline uint64_t fe_ends_string(uint64_t x) { /* quote, backslash, control characters, all that is not ASCII */
        return (fe_less(x ^ FE_EACH('"'), 1) | fe_less(x ^ FE_EACH('\\\\'), 1) | fe_less(x, 0x20) | x) & FE_EACH(0x80);
    }
    static inline uint64_t fe_quote(uint64_t x) { return fe_less(x ^ FE_EACH('"'), 1) & FE_EACH(0x80); }
    static inline uint64_t fe_ends_number(uint64_t x) { /* all but digits */
        x ^= FE_EACH('0');
        return ((x + FE_EACH(0x76)) | x) & FE_EACH(0x80);
    }
    static inline int fe_bytes_before(uint64_t answer) { return __builtin_ctzll(answer) >> 3; }
    static inline uint64_t fe_before(uint64_t x, uint64_t answer) { /* the bytes before the one meant by an answer that is not 0 */
        return x & (((answer & (0 - answer)) >> 7) - 1);
    }
    static inline uint64_t fe_first(uint64_t x, int bytes) { /* the first 0 to 8 bytes, zeros in the place of the others */
        return bytes ? x & (~0ULL >> (8 - bytes) * 8) : 0;
    }
    static inline uint64_t fe_eight(uint64_t x) { /* value of eight digits, given as 0 to 9 each */
        x = x * 10 + (x >> 8);
        return (((x & 0x000000FF000000FF) * 0x000F424000000064) + (((x >> 16) & 0x000000FF000000FF) * 0x0000271000000001)) >> 32;
    }
    static inline uint64_t fe_whole(uint64_t x, int digits) { /* value of the first 1 to 8 bytes, all digits */
        return fe_eight((x ^ FE_EACH('0')) << (8 - digits) * 8);
    }
    static inline uint64_t fe_mix(uint64_t low, uint64_t high) { /* multiplication by odd numbers without a pattern */
        low *= 0x9E3779B97F4A7C15ULL;
        low = ((low ^ (low >> 32)) + high) * 0xC2B2AE3D27D4EB4FULL;
        return low ^ (low >> 29);
    }

    /* D. Lemire, Number Parsing at a Gigabyte per Second, 2021 (arXiv 2101.11408), section 5; that it needs no fallback:
       N. Mushtak, D. Lemire, Fast Number Parsing Without Fallback, 2022 (arXiv 2212.06644).
       Nearest float64 of m * 10**q for m != 0 and |q| <= FE_FIVES, where the result is normal: it always is here. */
    static inline double fe_scaled(uint64_t m, int q) {
        const int zeros = __builtin_clzll(m);
        const uint64_t *five = fe_fives[q + FE_FIVES];
        m <<= zeros;
        unsigned __int128 first = (unsigned __int128)m * five[0];
        uint64_t high = (uint64_t)(first >> 64), low = (uint64_t)first;
        if ((high & 0x1FF) == 0x1FF) {
            uint64_t more = (uint64_t)(((unsigned __int128)m * five[1]) >> 64);
            low += more;
            high += low < more;
        }
        const int top = (int)(high >> 63);
        uint64_t digits = high >> (top + 9);
        int64_t power = (((152170 + 65536) * (int64_t)q) >> 16) + 63 + top - zeros + 1023;
        if (low <= 1 && q >= -4 && q <= 23 && (digits & 3) == 1 && (digits << (top + 9)) == high)
            digits &= ~(uint64_t)1; /* half way between two: to even */
        digits += digits & 1;
        digits >>= 1;
        if (digits >= ((uint64_t)1 << 53)) {
            digits = (uint64_t)1 << 52;
            power++;
        }
        uint64_t bits = (digits & ~((uint64_t)1 << 52)) | ((uint64_t)power << 52);
        double value;
        memcpy(&value, &bits, 8);
        return value;
    }

    /* Numbers of the usual forms, almost without a branch for each length. FE_PLAIN_ROOM bytes are readable at p. The answer
       is the position behind the number; NULL: it is none, or of another form, for which scan_number is there. */
    #define FE_PLAIN_ROOM 40
    static inline uint64_t fe_digits(const char *p, uint64_t *x) { /* eight bytes as 0 to 9 each, and where that ends */
        *x = fe_load(p) ^ FE_EACH('0');
        return ((*x + FE_EACH(0x76)) | *x) & FE_EACH(0x80);
    }
    static inline int fe_goes_on(const char *p) { return (*p | 0x20) == 'e' || *p == '.'; } /* behind digits */

    static inline int fe_is_null(const char *p) { return (uint32_t)fe_load(p) == 0x6C6C756E; }
    static inline int fe_is_true(const char *p) { return (uint32_t)fe_load(p) == 0x65757274; }
    static inline int fe_is_false(const char *p) { return (fe_load(p) & 0xFFFFFFFFFF) == 0x65736C6166; }

    /* Up to 15 digits without sign. */
    static inline const char *fe_plain_integer(const char *p, uint64_t *value) {
        uint64_t x, y, stop = fe_digits(p, &x), m;
        int digits;
        if (stop) {
            digits = fe_bytes_before(stop);
            if (digits == 0 || ((x & 0xFF) == 0 && digits > 1)) return NULL;
            m = fe_eight(x << (8 - digits) * 8);
            p += digits;
        } else {
            if ((x & 0xFF) == 0) return NULL;
            m = fe_eight(x);
            p += 8;
            stop = fe_digits(p, &y);
            if (!stop) return NULL;
            digits = fe_bytes_before(stop);
            if (digits) m = m * fe_whole_tens[digits] + fe_eight(y << (8 - digits) * 8);
            p += digits;
        }
        if (fe_goes_on(p)) return NULL;
        *value = m;
        return p;
    }

    /* The digits behind the eighth decimal; m has those before it, `before` of them in front of the point. */
    static inline const char *fe_more_decimals(const char *p, uint64_t m, int before, double *value) {
        uint64_t z, stop = fe_digits(p, &z);
        int digits;
        if (!stop) return NULL;
        digits = fe_bytes_before(stop);
        if (before + 8 + digits > 19) return NULL;
        if (digits) m = m * fe_whole_tens[digits] + fe_eight(z << (8 - digits) * 8);
        *value = m <= (uint64_t)1 << 53 ? (double)(int64_t)m / fe_tens[8 + digits] : fe_scaled(m, -8 - digits);
        return p + digits;
    }

    /* Up to 7 digits before the point and 15 behind it, without exponent; m below 10**14 and its power of ten are exact, so
       one division is rounded correctly. */
    static inline const char *fe_plain_number(const char *p, double *value) {
        const int negative = *p == '-';
        uint64_t x, y, stop, m;
        int digits, decimals;
        double v;
        p += negative;
        stop = fe_digits(p, &x);
        if (!stop) return NULL;
        digits = fe_bytes_before(stop);
        if (digits == 0 || ((x & 0xFF) == 0 && digits > 1)) return NULL;
        m = fe_eight(x << (8 - digits) * 8);
        p += digits;
        if (*p != '.') {
            if ((*p | 0x20) == 'e') return NULL;
            *value = (double)(negative ? -(int64_t)m : (int64_t)m); /* -0 as an integer is 0 */
            return p;
        }
        p += 1;
        stop = fe_digits(p, &y);
        if (stop) {
            decimals = fe_bytes_before(stop);
            if (decimals == 0) return NULL;
            m = m * fe_whole_tens[decimals] + fe_eight(y << (8 - decimals) * 8);
            v = (double)(int64_t)m / fe_tens[decimals];
            p += decimals;
        } else {
            p = fe_more_decimals(p + 8, m * fe_whole_tens[8] + fe_eight(y), digits, &v);
            if (p == NULL) return NULL;
        }
        if ((*p | 0x20) == 'e') return NULL;
        *value = negative ? -v : v;
        return p;
    }

    /* Any token of less than 128 bytes, in the C locale whatever the process has set. */
    static locale_t fe_c_locale = (locale_t)0;
    static inline double fe_any(const char *begin, size_t size) {
        char copy[128];
        memcpy(copy, begin, size);
        copy[size] = 0;
        return strtod_l(copy, NULL, fe_c_locale);
    }
    static int fe_number_init(void) {
        fe_c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        return fe_c_locale != (locale_t)0;
    }
    """
    enum: FE_FIVES
    enum: FE_PLAIN_ROOM
    uint64_t fe_fives[121][2]
    double fe_tens[23]
    uint64_t fe_whole_tens[9]
    uint64_t fe_load(const char *p) noexcept nogil
    uint64_t fe_ends_string(uint64_t x) noexcept nogil
    uint64_t fe_quote(uint64_t x) noexcept nogil
    uint64_t fe_ends_number(uint64_t x) noexcept nogil
    int fe_bytes_before(uint64_t answer) noexcept nogil
    uint64_t fe_before(uint64_t x, uint64_t answer) noexcept nogil
    uint64_t fe_first(uint64_t x, int bytes) noexcept nogil
    uint64_t fe_whole(uint64_t x, int digits) noexcept nogil
    uint64_t fe_mix(uint64_t low, uint64_t high) noexcept nogil
    double fe_scaled(uint64_t m, int q) noexcept nogil
    bint fe_is_null(const char *p) noexcept nogil
    bint fe_is_true(const char *p) noexcept nogil
    bint fe_is_false(const char *p) noexcept nogil
    bint fe_goes_on(const char *p) noexcept nogil
    const char *fe_plain_integer(const char *p, uint64_t *value) noexcept nogil
    const char *fe_plain_number(const char *p, double *value) noexcept nogil
    double fe_any(const char *begin, size_t size) noexcept nogil
    int fe_number_init() noexcept

cdef enum:
    MOST_TOKEN = 127  # B; longer numbers are left to the reference
    MOST_EXPONENT = 300  # as written; beyond it parsers differ in what they call infinite

cdef struct Number:
    uint64_t mantissa
    int exponent  # of ten
    bint negative
    bint integer  # neither point nor exponent
    bint exact  # the mantissa has all digits


cdef inline const char *take_digits(const char *p, const char *end, uint64_t *value, int *count) noexcept nogil:
    """Append the digits at `p` to `value`; with more than 19 of them in all it is of no use."""
    cdef uint64_t x, beyond
    cdef int here
    while end - p >= 8:
        x = fe_load(p)
        beyond = fe_ends_number(x)
        here = fe_bytes_before(beyond) if beyond else 8
        if here == 0:
            return p
        value[0] = value[0] * fe_whole_tens[here] + fe_whole(x, here)
        count[0] += here
        p += here
        if here < 8:
            return p
    while p < end and c'0' <= p[0] <= c'9':
        value[0] = value[0] * 10 + <uint64_t>(p[0] - c'0')
        count[0] += 1
        p += 1
    return p


cdef inline const char *scan_number(const char *p, const char *end, Number *n) noexcept nogil:
    """Position behind the number at `p`, NULL where there is none, or one that is better left to the reference."""
    cdef const char *begin = p
    cdef const char *first
    cdef uint64_t mantissa = 0
    cdef int digits = 0, written = 0, exponent = 0
    cdef bint negative_exponent
    n.negative = p < end and p[0] == c'-'
    if n.negative:
        p += 1
    first = p
    p = take_digits(p, end, &mantissa, &digits)
    if p == first or (first[0] == c'0' and p - first > 1):
        return NULL
    n.integer = True
    if p < end and p[0] == c'.':
        n.integer = False
        p += 1
        first = p
        p = take_digits(p, end, &mantissa, &digits)
        if p == first:
            return NULL
        exponent = <int>(first - p) if p - first <= MOST_TOKEN else 0
    if p < end and (p[0] | 0x20) == c'e':
        n.integer = False
        p += 1
        negative_exponent = p < end and p[0] == c'-'
        if p < end and (p[0] == c'-' or p[0] == c'+'):
            p += 1
        first = p
        while p < end and c'0' <= p[0] <= c'9':
            if written <= MOST_EXPONENT:
                written = written * 10 + (p[0] - c'0')
            p += 1
        if p == first or written > MOST_EXPONENT:
            return NULL
        exponent += -written if negative_exponent else written
    if p - begin > MOST_TOKEN:
        return NULL
    n.mantissa = mantissa
    n.exponent = exponent
    n.exact = digits <= 19
    return p


cdef inline double value_of(Number *n, const char *begin, const char *end) noexcept nogil:
    """Nearest float64 of the number whose token is from `begin` to `end`; -0 as an integer is 0."""
    cdef double value
    if n.exact:
        if n.mantissa == 0:
            return -0.0 if n.negative and not n.integer else 0.0
        if n.mantissa <= (<uint64_t>1 << 53) and -22 <= n.exponent <= 22:
            value = <double>n.mantissa
            value = value / fe_tens[-n.exponent] if n.exponent < 0 else value * fe_tens[n.exponent]
            return -value if n.negative else value
        if -FE_FIVES <= n.exponent <= FE_FIVES:
            value = fe_scaled(n.mantissa, n.exponent)
            return -value if n.negative else value
    return fe_any(begin, <size_t>(end - begin))
