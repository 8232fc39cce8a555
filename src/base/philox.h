/* A round of Philox4x32 (Salmon, Moraes, Dror, Shaw 2011), for the one draw of rng.c and the many at once of the
 * kernels: the same bits because it is the same text. */
#ifndef ST_BASE_PHILOX_H
#define ST_BASE_PHILOX_H

#include <stdint.h>

enum { ST_PHILOX_ROUNDS = 10 };

typedef struct st_philox_key {
    uint32_t at[2];
} st_philox_key;

static inline st_philox_key st_philox_key_of(uint64_t seed) {
    return (st_philox_key){{(uint32_t)seed, (uint32_t)(seed >> 32)}};
}

static inline st_philox_key st_philox_next(st_philox_key key) {
    return (st_philox_key){{key.at[0] + 0x9E3779B9u, key.at[1] + 0xBB67AE85u}};
}

/* x0 and x1 are the index, x2 and x3 the stream, lower halves first; in the end x0 and x1 are the first draw. */
static inline __attribute__((always_inline)) void st_philox_round(uint32_t *x0, uint32_t *x1, uint32_t *x2,
                                                                  uint32_t *x3, st_philox_key key) {
    uint64_t product0 = (uint64_t)0xD2511F53u * *x0, product1 = (uint64_t)0xCD9E8D57u * *x2;
    *x0 = (uint32_t)(product1 >> 32) ^ *x1 ^ key.at[0];
    *x1 = (uint32_t)product1;
    *x2 = (uint32_t)(product0 >> 32) ^ *x3 ^ key.at[1];
    *x3 = (uint32_t)product0;
}

#endif
