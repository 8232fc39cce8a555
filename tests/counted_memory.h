/* Memory, counted at the door to the system: what is held, and the most that was. No time and no machine decides. */
#ifndef TESTS_COUNTED_MEMORY_H
#define TESTS_COUNTED_MEMORY_H

#include "base/base.h"

static st_system uncounted;
static size_t live_bytes, peak_bytes;

static inline void *counting_allocate(size_t bytes) {
    void *memory = uncounted.allocate(bytes);
    if (memory != NULL) {
        live_bytes += bytes;
        peak_bytes = live_bytes > peak_bytes ? live_bytes : peak_bytes;
    }
    return memory;
}

static inline void counting_release(void *memory, size_t bytes) {
    live_bytes -= memory == NULL ? 0 : bytes;
    uncounted.release(memory, bytes);
}

static inline void begin_counting(void) {
    live_bytes = peak_bytes = 0;
    uncounted = st_sys;
    st_sys.allocate = counting_allocate;
    st_sys.release = counting_release;
}

static inline void end_counting(void) {
    st_sys = uncounted;
}

#endif
