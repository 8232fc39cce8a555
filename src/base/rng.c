/* Random numbers without hidden state: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as
 * easy as 1, 2, 3"). The seed is the key; index and stream are the counter. Any draw is had directly, so resuming a run
 * or cutting its work differently changes nothing. Not for secrets. */
#include "base/base.h"
#include "base/philox.h"

typedef struct words {
    uint32_t at[4];
} words;

static words philox(uint64_t seed, uint64_t stream, uint64_t index) {
    words x = {{(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)}};
    st_philox_key key = st_philox_key_of(seed);
    for (int round = 0; round < ST_PHILOX_ROUNDS; round++) {
        st_philox_round(&x.at[0], &x.at[1], &x.at[2], &x.at[3], key);
        key = st_philox_next(key);
    }
    return x;
}

static uint64_t pair(uint32_t low, uint32_t high) {
    return (uint64_t)high << 32 | low;
}

static double uniform_of(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t st_rng_stream(st_stream purpose, uint64_t number) {
    return (uint64_t)purpose << 32 | (uint32_t)(number ^ number >> 32);
}

uint64_t st_rng_stream_name(st_stream purpose, const char *name) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    }
    return st_rng_stream(purpose, hash);
}

uint64_t st_rng_bits(uint64_t seed, uint64_t stream, uint64_t index) {
    words x = philox(seed, stream, index);
    return pair(x.at[0], x.at[1]);
}

double st_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
    return uniform_of(st_rng_bits(seed, stream, index));
}

double st_rng_normal(uint64_t seed, uint64_t stream, uint64_t index) {
    words x = philox(seed, stream, index);
    double radius = st_sqrt(-2.0 * st_log(1.0 - uniform_of(pair(x.at[0], x.at[1])))); /* (0, 1]: no log of 0 */
    double angle = 6.283185307179586 * uniform_of(pair(x.at[2], x.at[3]));
    return radius * st_cos(angle);
}

void st_rng_shuffle(uint32_t *order, size_t count, uint64_t seed, uint64_t stream) {
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = count; i > 1; i--) {
        /* floor(bits * i / 2^64) in two halves; i is at most 2^32. */
        uint64_t bits = st_rng_bits(seed, stream, i), bound = i;
        size_t other = (size_t)(((bits >> 32) * bound + ((bits & 0xFFFFFFFFu) * bound >> 32)) >> 32);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}
