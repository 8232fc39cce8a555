/* SHA-256: FIPS 180-4, section 6.2; with the processor's own instructions where it has them, since a hash of all
 * weights is looked at whenever they are loaded. */
#include "base/base.h"

#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#define HAS_SHA_INSTRUCTIONS
#endif

/* Fractional parts of the cube roots of the first 64 primes (4.2.2). */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int by) {
    return x >> by | x << (32 - by);
}

static void take_block_portable(uint32_t state[8], const unsigned char block[64]) {
    uint32_t w[64];
    for (int t = 0; t < 16; t++) {
        const unsigned char *b = block + 4 * t;
        w[t] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        uint32_t big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
        uint32_t one = h + big1 + ((e & f) ^ (~e & g)) + round_constants[t] + w[t];
        uint32_t big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
        uint32_t two = big0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + one;
        d = c;
        c = b;
        b = a;
        a = one + two;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

#ifdef HAS_SHA_INSTRUCTIONS
/* The instructions want the state as a b e f and c d g h, highest first, and do two rounds each. */
__attribute__((target("sha,sse4.1"))) static void take_block_fast(uint32_t state[8], const unsigned char block[64]) {
    const __m128i big_endian = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    __m128i w[4], abcd, efgh;
    memcpy(w, block, sizeof w);
    memcpy(&abcd, state, sizeof abcd);
    memcpy(&efgh, state + 4, sizeof efgh);
    abcd = _mm_shuffle_epi32(abcd, 0xB1);
    efgh = _mm_shuffle_epi32(efgh, 0x1B);
    __m128i abef = _mm_alignr_epi8(abcd, efgh, 8), cdgh = _mm_blend_epi16(efgh, abcd, 0xF0);
    const __m128i abef_before = abef, cdgh_before = cdgh;
    for (int t = 0; t < 16; t++) { /* four words, four rounds */
        __m128i *now = &w[t % 4], constants;
        if (t < 4) {
            *now = _mm_shuffle_epi8(*now, big_endian);
        } else {
            const __m128i before = w[(t + 3) % 4];
            const __m128i sum =
                _mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(t + 1) % 4]), _mm_alignr_epi8(before, w[(t + 2) % 4], 4));
            *now = _mm_sha256msg2_epu32(sum, before);
        }
        memcpy(&constants, round_constants + 4 * t, sizeof constants);
        const __m128i words = _mm_add_epi32(*now, constants);
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0E));
    }
    abef = _mm_shuffle_epi32(_mm_add_epi32(abef, abef_before), 0x1B);
    cdgh = _mm_shuffle_epi32(_mm_add_epi32(cdgh, cdgh_before), 0xB1);
    abcd = _mm_blend_epi16(abef, cdgh, 0xF0);
    efgh = _mm_alignr_epi8(cdgh, abef, 8);
    memcpy(state, &abcd, sizeof abcd);
    memcpy(state + 4, &efgh, sizeof efgh);
}

static bool is_fast(void) {
    static atomic_int known; /* 0: not yet, 1: no, 2: yes */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        unsigned a, b, c, d;
        bool has_sse = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSSE3) != 0 && (c & bit_SSE4_1) != 0;
        bool has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
        answer = has_sse && has_sha ? 2 : 1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}
#endif

static void take_blocks(uint32_t state[8], const unsigned char *from, size_t count) {
#ifdef HAS_SHA_INSTRUCTIONS
    if (is_fast()) {
        for (; count > 0; count--, from += 64) {
            take_block_fast(state, from);
        }
        return;
    }
#endif
    for (; count > 0; count--, from += 64) {
        take_block_portable(state, from);
    }
}

void st_sha256_begin(st_sha256 *sha) {
    /* Fractional parts of the square roots of the first eight primes (5.3.3). */
    *sha = (st_sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void st_sha256_add(st_sha256 *sha, const void *bytes, size_t count) {
    const unsigned char *from = bytes;
    size_t held = sha->length % 64;
    sha->length += count;
    while (count > 0) {
        if (held == 0 && count >= 64) {
            take_blocks(sha->state, from, count / 64);
            from += count / 64 * 64;
            count %= 64;
            continue;
        }
        size_t step = 64 - held < count ? 64 - held : count;
        memcpy(sha->block + held, from, step);
        from += step;
        count -= step;
        held += step;
        if (held == 64) {
            take_blocks(sha->state, sha->block, 1);
            held = 0;
        }
    }
}

void st_sha256_end(st_sha256 *sha, char out[65]) {
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = sha->length * 8;
    unsigned char tail[72] = {0x80};
    size_t zeros = (119 - sha->length % 64) % 64; /* the mark and these make 56 modulo 64 */
    for (size_t i = 0; i < 8; i++) {
        tail[1 + zeros + i] = (unsigned char)(bits >> (56 - 8 * i));
    }
    st_sha256_add(sha, tail, 1 + zeros + 8);
    for (size_t i = 0; i < 32; i++) {
        uint32_t byte = sha->state[i / 4] >> (24 - 8 * (i % 4)) & 0xFFu;
        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15u];
    }
    out[64] = '\0';
}
