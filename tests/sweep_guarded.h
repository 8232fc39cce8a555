/* sweep_guarded.h: random numbers with all that is odd among them, and memory that tells who wrote beside it. For the
 * sweeps of kernels that work element by element. */
#ifndef SWEEP_GUARDED_H
#define SWEEP_GUARDED_H

#include "sweep.h"

enum { GUARD = 16, CASES = 60 };

static inline uint64_t next_bits(uint64_t *state) {
    return st_rng_bits(11, 22, (*state)++);
}

static inline int64_t pick(uint64_t *state, int64_t low, int64_t high) {
    return low + (int64_t)(next_bits(state) % (uint64_t)(high - low + 1));
}

static inline bool flip(uint64_t *state) {
    return next_bits(state) & 1;
}

/* Mostly around 1; some zeros of both signs, subnormals, and sizes from 1e-20 to 1e4. */
static inline st_real odd_number(uint64_t *state) {
    uint64_t bits = next_bits(state);
    double x = (double)(bits >> 11) * 0x1p-53 * 2 - 1;
    switch (bits % 16) {
    case 0:
        return 0;
    case 1:
        return (st_real)-0.0;
    case 2:
        return (st_real)(x * 1e-40);
    case 3:
        return (st_real)(x * 1e-20);
    case 4:
        return (st_real)(x * 1e4);
    default:
        return (st_real)(x * 3);
    }
}

/* A tensor with guards on both sides. */
typedef struct guarded {
    st_real *memory, *data;
    size_t count;
} guarded;

static inline guarded guarded_make(uint64_t *state, int64_t count) {
    guarded it = {.count = (size_t)count};
    it.memory = malloc((it.count + 2 * GUARD) * sizeof(st_real));
    assert_non_null(it.memory);
    it.data = it.memory + GUARD;
    for (size_t i = 0; i < it.count + 2 * GUARD; i++) {
        it.memory[i] = odd_number(state);
    }
    return it;
}

static inline guarded guarded_copy(const guarded *from) {
    guarded it = {.count = from->count};
    size_t bytes = (it.count + 2 * GUARD) * sizeof(st_real);
    it.memory = malloc(bytes);
    assert_non_null(it.memory);
    memcpy(it.memory, from->memory, bytes);
    it.data = it.memory + GUARD;
    return it;
}

/* Equal, guards and gaps too: those hold what they held in both. Frees both. */
static inline void expect_equal(const st_kernels *kernels, const char *entry, guarded *found, guarded *expected) {
    for (size_t i = 0; i < found->count + 2 * GUARD; i++) {
        if (memcmp(&found->memory[i], &expected->memory[i], sizeof(st_real)) != 0 &&
            !(found->memory[i] != found->memory[i] && expected->memory[i] != expected->memory[i])) {
            fail_msg("%s, %s: element %lld of %zu is %a, portable says %a", entry, kernels->name, (long long)i - GUARD,
                     found->count, (double)found->memory[i], (double)expected->memory[i]);
        }
    }
    free(found->memory);
    free(expected->memory);
}

static inline int pick_lanes(uint64_t *state) {
    return flip(state) ? 1 : ST_LANES;
}

#endif
