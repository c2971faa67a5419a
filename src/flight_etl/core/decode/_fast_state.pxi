# Part of _fast.pyx: what the parser knows and keeps.

cdef enum Status:
    S_END  # nothing but blanks is left
    S_OTHER  # what follows does not begin as a record does
    S_CUT  # the record may go on behind the end
    S_ODD  # the record is not plain
    S_FULL  # as many as were wanted, or enough for one call

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
    LEAD_BYTES = 40  # of what stands between two values is remembered
    STEP_BYTES = 80  # LEAD_BYTES and FE_PLAIN_ROOM: what may be read at a key whose value is of a usual form
    MOST_STEPS = 64
    STEPS_WAIT = 256  # records until steps are looked for again where a record had none
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

cdef struct Lead:  # comma, key and colon with the blanks as they came last time
    int32_t length  # 0: too long to be compared
    int32_t last  # where the last eight bytes begin, which may be in `first`
    uint64_t mask  # of those of the first eight bytes that are meant
    uint64_t first
    uint64_t tail  # the last eight bytes
    uint64_t between[3]  # what is between both; behind it bytes of `tail`

cdef struct Key:
    Lead lead
    int32_t follows  # key that came next last time; -1: none
    int64_t seen  # object in which it was
    Target target

cdef struct Step:  # of records that all have the same keys in the same order
    Lead lead
    int32_t code  # of the key
    int32_t column

cdef struct Table:  # what is known about the objects of one place
    Words names
    Key *keys
    int32_t room
    int32_t first  # key that came first last time
    bint open  # unknown keys are extra columns; else of no interest
    int32_t group  # of tables of which a record may have but one; -1: none

cdef struct Column:
    int kind
    int unit
    bint keeps_empty  # "" is told apart from null
    bint strict  # text only: all else is left to the reference
    bint nests  # objects and arrays are null in it under keys that have a table
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

cdef struct Place:  # of a document
    const char *begin
    const char *head  # the members before the array of records, each with the comma behind it
    const char *head_end
    const char *tail  # those after it, each with the comma before it
    const char *tail_end
    int32_t rows

cdef struct State:
    const char *end
    const char *failed
    int64_t record  # numbers every record that was tried
    int64_t object  # and every object in it
    int32_t row
    int32_t room
    int32_t most_depth
    int64_t nans
    bint no_memory
    Bytes scratch
    Column *columns
    int32_t column_count
    Table *tables
    int32_t table_count
    Step steps[MOST_STEPS]
    int32_t step_count  # 0: not known
    int64_t next_try  # record with which to try again to learn them
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
    const char *heads[4]  # names under which the array of records stands
    size_t head_sizes[4]
    int32_t head_count
