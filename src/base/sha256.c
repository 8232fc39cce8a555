/* SHA-256: FIPS 180-4, section 6.2. */
#include "base/base.h"

#include <string.h>

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

static void take_block(uint32_t state[8], const unsigned char block[64]) {
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
            take_block(sha->state, from);
            from += 64;
            count -= 64;
            continue;
        }
        size_t step = 64 - held < count ? 64 - held : count;
        memcpy(sha->block + held, from, step);
        from += step;
        count -= step;
        held += step;
        if (held == 64) {
            take_block(sha->state, sha->block);
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
