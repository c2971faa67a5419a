/* Which edges of the instrumented decoder were taken: what gcc's -fsanitize-coverage=trace-pc calls at each basic block.
   To be built without instrumentation, and loaded before the decoder. */
#include <stdint.h>

#define EDGES 65536

uint8_t edges[EDGES];
static __thread uintptr_t last;

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t at = (uintptr_t)__builtin_return_address(0);
    at = (at ^ (at >> 15)) * 0x9E3779B97F4A7C15u >> 48;
    uint8_t *edge = &edges[(at ^ last) & (EDGES - 1)];
    *edge += *edge != 255;
    last = at >> 1;
}
