/* simd_portable.h: sixteen virtual lanes in plain C. The reference: every other simd_<isa>.h has the same functions
 * under the same names and, in f32, gives the same bytes. It is not meant to be fast.
 *
 * v16 is sixteen numbers, vi16 sixteen integers as wide as a number, m16 sixteen truth values. All is static: an object
 * of one instruction set must not share a function with another (the linker keeps one copy, maybe the wrong one). */
#ifndef ST_SIMD_PORTABLE_H
#define ST_SIMD_PORTABLE_H

#include <string.h>

#include "base/base.h"

#ifdef ST_REAL_DOUBLE
typedef int64_t st_real_int;
typedef uint64_t st_real_bits;
enum { ST_MANTISSA_BITS = 52, ST_EXPONENT_BIAS = 1023 };
#else
typedef int32_t st_real_int;
typedef uint32_t st_real_bits;
enum { ST_MANTISSA_BITS = 23, ST_EXPONENT_BIAS = 127 };
#endif

typedef struct v16 {
    st_real lane[16];
} v16;
typedef struct vi16 {
    st_real_int lane[16];
} vi16;
typedef struct m16 {
    uint32_t bits;
} m16;

#define ST_EACH_LANE for (int i = 0; i < 16; i++)

/* ---- the fused multiply-add ---- */

#if !defined(ST_REAL_DOUBLE) && !defined(__FP_FAST_FMAF)
/* The product of two floats is exact in double. Rounding the sum to double and then to float is wrong only where the
 * double lies on a tie between two floats, or under the normal floats, where ties lie elsewhere: there the sum is first
 * rounded to odd, which keeps on which side of the tie the exact value was (Boldo, Melquiond 2008, "Emulation of FMA
 * and correctly rounded sums"). */
static inline float round_sum_to_odd(double product, double c, double sum) {
    double part = sum - product;
    double error = (product - (sum - part)) + (c - part);
    if (error != 0.0) {
        int64_t bits;
        memcpy(&bits, &sum, sizeof bits);
        if ((bits & 1) == 0) {
            bits += (error > 0.0) == (sum > 0.0) ? 1 : -1;
            memcpy(&sum, &bits, sizeof sum);
        }
    }
    return (float)sum;
}
#endif

static inline st_real st_real_fma(st_real a, st_real b, st_real c) {
#if defined(ST_REAL_DOUBLE)
    return __builtin_fma(a, b, c);
#elif defined(__FP_FAST_FMAF)
    return __builtin_fmaf(a, b, c);
#else
    double product = (double)a * (double)b;
    double sum = product + (double)c;
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    bool is_tie = (bits & 0x1fffffffu) == 0x10000000u;
    bool is_small = (bits << 1) < (UINT64_C(0x3810000000000000) << 1); /* 2^-126 */
    if (__builtin_expect(is_tie || is_small, 0)) {
        return round_sum_to_odd(product, (double)c, sum);
    }
    return (float)sum;
#endif
}

/* ---- loading and storing ---- */

static inline v16 v16_load(const st_real *from) {
    v16 out;
    memcpy(out.lane, from, sizeof out.lane);
    return out;
}
static inline void v16_store(st_real *to, v16 a) {
    memcpy(to, a.lane, sizeof a.lane);
}
/* `count` lanes, 0 to 16; the others are zero. Reads nothing beyond. */
static inline v16 v16_load_part(const st_real *from, int count) {
    v16 out = {{0}};
    for (int i = 0; i < count; i++) {
        out.lane[i] = from[i];
    }
    return out;
}
static inline void v16_store_part(st_real *to, v16 a, int count) {
    for (int i = 0; i < count; i++) {
        to[i] = a.lane[i];
    }
}
/* Past the caches where the set has such a store; `to` on 64 bytes. */
static inline void v16_stream(st_real *to, v16 a) {
    v16_store(to, a);
}
static inline v16 v16_set1(st_real a) {
    v16 out;
    ST_EACH_LANE {
        out.lane[i] = a;
    }
    return out;
}
static inline v16 v16_zero(void) {
    return v16_set1(0);
}
static inline v16 v16_from_u8(const uint8_t *from) {
    v16 out;
    ST_EACH_LANE {
        out.lane[i] = (st_real)from[i];
    }
    return out;
}

/* Whole numbers from 0 to 255. */
static inline void v16_to_u8(uint8_t *to, v16 a) {
    ST_EACH_LANE {
        to[i] = (uint8_t)a.lane[i];
    }
}

/* ---- arithmetic ---- */

static inline v16 v16_add(v16 a, v16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] + b.lane[i];
    }
    return a;
}
static inline v16 v16_sub(v16 a, v16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] - b.lane[i];
    }
    return a;
}
static inline v16 v16_mul(v16 a, v16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] * b.lane[i];
    }
    return a;
}
static inline v16 v16_div(v16 a, v16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] / b.lane[i];
    }
    return a;
}
/* a * b + c, rounded once */
static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    ST_EACH_LANE {
        a.lane[i] = st_real_fma(a.lane[i], b.lane[i], c.lane[i]);
    }
    return a;
}
/* c - a * b, rounded once */
static inline v16 v16_fnma(v16 a, v16 b, v16 c) {
    ST_EACH_LANE {
        a.lane[i] = st_real_fma(-a.lane[i], b.lane[i], c.lane[i]);
    }
    return a;
}
/* a < b ? a : b, so b where one is NaN */
static inline v16 v16_min(v16 a, v16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    }
    return a;
}
/* a > b ? a : b, so b where one is NaN */
static inline v16 v16_max(v16 a, v16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    }
    return a;
}
static inline v16 v16_sqrt(v16 a) {
    ST_EACH_LANE {
#ifdef ST_REAL_DOUBLE
        a.lane[i] = __builtin_sqrt(a.lane[i]);
#else
        a.lane[i] = __builtin_sqrtf(a.lane[i]);
#endif
    }
    return a;
}
static inline v16 v16_neg(v16 a) {
    ST_EACH_LANE {
        a.lane[i] = -a.lane[i];
    }
    return a;
}

/* ---- integers and bits ---- */

static inline vi16 v16_bits(v16 a) {
    vi16 out;
    memcpy(&out, &a, sizeof out);
    return out;
}
static inline v16 v16_from_bits(vi16 a) {
    v16 out;
    memcpy(&out, &a, sizeof out);
    return out;
}
static inline vi16 vi16_set1(st_real_int a) {
    vi16 out;
    ST_EACH_LANE {
        out.lane[i] = a;
    }
    return out;
}
static inline vi16 vi16_add(vi16 a, vi16 b) {
    ST_EACH_LANE {
        a.lane[i] = (st_real_int)((st_real_bits)a.lane[i] + (st_real_bits)b.lane[i]);
    }
    return a;
}
static inline vi16 vi16_sub(vi16 a, vi16 b) {
    ST_EACH_LANE {
        a.lane[i] = (st_real_int)((st_real_bits)a.lane[i] - (st_real_bits)b.lane[i]);
    }
    return a;
}
static inline vi16 vi16_and(vi16 a, vi16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] & b.lane[i];
    }
    return a;
}
static inline vi16 vi16_or(vi16 a, vi16 b) {
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] | b.lane[i];
    }
    return a;
}
/* `bits` is a constant from 0 to 31. */
static inline vi16 vi16_shift_left(vi16 a, int bits) {
    ST_EACH_LANE {
        a.lane[i] = (st_real_int)((st_real_bits)a.lane[i] << bits);
    }
    return a;
}
static inline vi16 vi16_shift_right(vi16 a, int bits) { /* zeros come in */
    ST_EACH_LANE {
        a.lane[i] = (st_real_int)((st_real_bits)a.lane[i] >> bits);
    }
    return a;
}
static inline vi16 vi16_shift_right_signed(vi16 a, int bits) { /* the sign comes in */
    ST_EACH_LANE {
        a.lane[i] = a.lane[i] >> bits;
    }
    return a;
}
static inline vi16 vi16_load_i32(const int32_t *from) {
    vi16 out;
    ST_EACH_LANE {
        out.lane[i] = from[i];
    }
    return out;
}
static inline void vi16_store_i32(int32_t *to, vi16 a) {
    ST_EACH_LANE {
        to[i] = (int32_t)a.lane[i];
    }
}
static inline v16 v16_from_int(vi16 a) {
    ST_EACH_LANE {
        st_real value = (st_real)a.lane[i];
        memcpy(&a.lane[i], &value, sizeof value);
    }
    return v16_from_bits(a);
}
/* To the nearest integer, ties to even; |a| at most 2^22. */
static inline vi16 v16_to_int(v16 a) {
    const st_real magic = (st_real)(3 * (INT64_C(1) << (ST_MANTISSA_BITS - 1)));
    vi16 base = v16_bits(v16_set1(magic));
    return vi16_sub(v16_bits(v16_add(a, v16_set1(magic))), base);
}
static inline v16 v16_abs(v16 a) {
    return v16_from_bits(vi16_shift_right(vi16_shift_left(v16_bits(a), 1), 1));
}

/* ---- comparing and choosing ---- */

static inline m16 v16_lt(v16 a, v16 b) {
    m16 out = {0};
    ST_EACH_LANE {
        out.bits |= (uint32_t)(a.lane[i] < b.lane[i]) << i;
    }
    return out;
}
static inline m16 v16_le(v16 a, v16 b) {
    m16 out = {0};
    ST_EACH_LANE {
        out.bits |= (uint32_t)(a.lane[i] <= b.lane[i]) << i;
    }
    return out;
}
static inline m16 v16_eq(v16 a, v16 b) {
    m16 out = {0};
    ST_EACH_LANE {
        out.bits |= (uint32_t)(a.lane[i] == b.lane[i]) << i;
    }
    return out;
}
static inline m16 v16_gt(v16 a, v16 b) {
    return v16_lt(b, a);
}
static inline m16 v16_ge(v16 a, v16 b) {
    return v16_le(b, a);
}
static inline m16 vi16_eq(vi16 a, vi16 b) {
    m16 out = {0};
    ST_EACH_LANE {
        out.bits |= (uint32_t)(a.lane[i] == b.lane[i]) << i;
    }
    return out;
}
static inline m16 vi16_gt(vi16 a, vi16 b) {
    m16 out = {0};
    ST_EACH_LANE {
        out.bits |= (uint32_t)(a.lane[i] > b.lane[i]) << i;
    }
    return out;
}
static inline m16 m16_and(m16 a, m16 b) {
    return (m16){a.bits & b.bits};
}
static inline m16 m16_or(m16 a, m16 b) {
    return (m16){a.bits | b.bits};
}
static inline m16 m16_not(m16 a) {
    return (m16){~a.bits & 0xffffu};
}
/* Bit i is lane i. */
static inline uint32_t m16_bits(m16 a) {
    return a.bits;
}
static inline m16 m16_from_bits(uint32_t bits) {
    return (m16){bits & 0xffffu};
}
static inline v16 v16_select(m16 mask, v16 yes, v16 no) {
    ST_EACH_LANE {
        no.lane[i] = (mask.bits >> i & 1) ? yes.lane[i] : no.lane[i];
    }
    return no;
}
static inline vi16 vi16_select(m16 mask, vi16 yes, vi16 no) {
    ST_EACH_LANE {
        no.lane[i] = (mask.bits >> i & 1) ? yes.lane[i] : no.lane[i];
    }
    return no;
}

/* ---- over the lanes: 8 + 8, 4 + 4, 2 + 2, 1 + 1 ---- */

static inline st_real v16_sum(v16 a) {
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            a.lane[i] = a.lane[i] + a.lane[i + half];
        }
    }
    return a.lane[0];
}
static inline st_real v16_maximum(v16 a) {
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
        }
    }
    return a.lane[0];
}

/* ---- what a tensor may hold: no number under 2^-100 but zero (docs/numerics.md, rule 9) ---- */

static inline v16 v16_flush(v16 a) {
    const st_real least = (st_real)0x1p-100;
    ST_EACH_LANE {
        st_real size = a.lane[i] < 0 ? -a.lane[i] : a.lane[i];
        a.lane[i] = size < least ? 0 : a.lane[i];
    }
    return a;
}

/* Rows become columns. */
static inline void v16_transpose(v16 row[16]) {
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < i; j++) {
            st_real swap = row[i].lane[j];
            row[i].lane[j] = row[j].lane[i];
            row[j].lane[i] = swap;
        }
    }
}

/* Lane i is the sum of row i, a balanced tree with neighbours first: ((0 + 1) + (2 + 3)) + ... */
static inline v16 v16_sum_rows(const v16 row[16]) {
    v16 out;
    for (int i = 0; i < 16; i++) {
        v16 sum = row[i];
        for (int count = 8; count > 0; count /= 2) {
            for (int j = 0; j < count; j++) {
                sum.lane[j] = sum.lane[2 * j] + sum.lane[2 * j + 1];
            }
        }
        out.lane[i] = sum.lane[0];
    }
    return out;
}

/* Into the second level. */
static inline void v16_prefetch(const void *at) {
    __builtin_prefetch(at, 0, 2);
}
static inline void v16_fence(void) {
}

/* ---- vectors of the matrix product: as wide as the registers ---- */

#define BRICK_ROWS 6
#define BRICK_VECS 2
#define BRICK_PIECE 1
enum { VEC_LANES = 8 };
typedef struct vec {
    st_real lane[VEC_LANES];
} vec;
static inline vec vec_load(const st_real *from) {
    vec out;
    memcpy(&out, from, sizeof out);
    return out;
}
static inline void vec_store(st_real *to, vec a) {
    memcpy(to, &a, sizeof a);
}
static inline void vec_stream(st_real *to, vec a) {
    vec_store(to, a);
}
static inline vec vec_set1(st_real a) {
    vec out;
    for (int i = 0; i < VEC_LANES; i++) {
        out.lane[i] = a;
    }
    return out;
}
static inline vec vec_zero(void) {
    return vec_set1(0);
}
static inline vec vec_fma(vec a, vec b, vec c) {
    for (int i = 0; i < VEC_LANES; i++) {
        c.lane[i] = st_real_fma(a.lane[i], b.lane[i], c.lane[i]);
    }
    return c;
}
static inline vec vec_add(vec a, vec b) {
    for (int i = 0; i < VEC_LANES; i++) {
        a.lane[i] = a.lane[i] + b.lane[i];
    }
    return a;
}
static inline vec vec_flush(vec a) {
    const st_real least = (st_real)0x1p-100;
    for (int i = 0; i < VEC_LANES; i++) {
        st_real size = a.lane[i] < 0 ? -a.lane[i] : a.lane[i];
        a.lane[i] = size < least ? 0 : a.lane[i];
    }
    return a;
}
/* max(a, 0), flushed */
static inline vec vec_relu_flush(vec a) {
    const st_real least = (st_real)0x1p-100;
    for (int i = 0; i < VEC_LANES; i++) {
        a.lane[i] = a.lane[i] >= least ? a.lane[i] : 0;
    }
    return a;
}

#endif
