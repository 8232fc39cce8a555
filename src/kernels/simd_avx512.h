/* simd_avx512.h: sixteen lanes in one register. What each function does stands in simd_portable.h. */
#ifndef ST_SIMD_AVX512_H
#define ST_SIMD_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "base/base.h"

typedef int32_t st_real_int;
typedef uint32_t st_real_bits;
enum { ST_MANTISSA_BITS = 23, ST_EXPONENT_BIAS = 127 };

typedef __m512 v16;
typedef __m512i vi16;
typedef __mmask16 m16;

static inline float st_real_fma(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}

/* ---- loading and storing ---- */

static inline __mmask16 first_lanes(int count) {
    return (__mmask16)((1u << count) - 1u);
}
static inline v16 v16_load(const float *from) {
    return _mm512_loadu_ps(from);
}
static inline void v16_store(float *to, v16 a) {
    _mm512_storeu_ps(to, a);
}
static inline v16 v16_load_part(const float *from, int count) {
    return _mm512_maskz_loadu_ps(first_lanes(count), from);
}
static inline void v16_store_part(float *to, v16 a, int count) {
    _mm512_mask_storeu_ps(to, first_lanes(count), a);
}
static inline void v16_stream(float *to, v16 a) {
    _mm512_stream_ps(to, a);
}
static inline v16 v16_set1(float a) {
    return _mm512_set1_ps(a);
}
static inline v16 v16_zero(void) {
    return _mm512_setzero_ps();
}
static inline v16 v16_from_u8(const uint8_t *from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from)));
}

static inline void v16_to_u8(uint8_t *to, v16 a) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}

/* ---- arithmetic ---- */

static inline v16 v16_add(v16 a, v16 b) {
    return _mm512_add_ps(a, b);
}
static inline v16 v16_sub(v16 a, v16 b) {
    return _mm512_sub_ps(a, b);
}
static inline v16 v16_mul(v16 a, v16 b) {
    return _mm512_mul_ps(a, b);
}
static inline v16 v16_div(v16 a, v16 b) {
    return _mm512_div_ps(a, b);
}
static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline v16 v16_fnma(v16 a, v16 b, v16 c) {
    return _mm512_fnmadd_ps(a, b, c);
}
static inline v16 v16_min(v16 a, v16 b) {
    return _mm512_min_ps(a, b);
}
static inline v16 v16_max(v16 a, v16 b) {
    return _mm512_max_ps(a, b);
}
static inline v16 v16_sqrt(v16 a) {
    return _mm512_sqrt_ps(a);
}
static inline v16 v16_neg(v16 a) {
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}
static inline v16 v16_abs(v16 a) {
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}

/* ---- integers and bits ---- */

static inline vi16 v16_bits(v16 a) {
    return _mm512_castps_si512(a);
}
static inline v16 v16_from_bits(vi16 a) {
    return _mm512_castsi512_ps(a);
}
static inline vi16 vi16_set1(int32_t a) {
    return _mm512_set1_epi32(a);
}
static inline vi16 vi16_add(vi16 a, vi16 b) {
    return _mm512_add_epi32(a, b);
}
static inline vi16 vi16_sub(vi16 a, vi16 b) {
    return _mm512_sub_epi32(a, b);
}
static inline vi16 vi16_and(vi16 a, vi16 b) {
    return _mm512_and_si512(a, b);
}
static inline vi16 vi16_or(vi16 a, vi16 b) {
    return _mm512_or_si512(a, b);
}
static inline vi16 vi16_shift_left(vi16 a, int bits) {
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits));
}
static inline vi16 vi16_shift_right(vi16 a, int bits) {
    return _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits));
}
static inline vi16 vi16_shift_right_signed(vi16 a, int bits) {
    return _mm512_sra_epi32(a, _mm_cvtsi32_si128(bits));
}
static inline vi16 vi16_load_i32(const int32_t *from) {
    return _mm512_loadu_si512(from);
}
static inline void vi16_store_i32(int32_t *to, vi16 a) {
    _mm512_storeu_si512(to, a);
}
static inline v16 v16_from_int(vi16 a) {
    return _mm512_cvtepi32_ps(a);
}
static inline vi16 v16_to_int(v16 a) {
    return _mm512_cvtps_epi32(a);
}

/* ---- comparing and choosing ---- */

static inline m16 v16_lt(v16 a, v16 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline m16 v16_le(v16 a, v16 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
static inline m16 v16_eq(v16 a, v16 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline m16 v16_gt(v16 a, v16 b) {
    return v16_lt(b, a);
}
static inline m16 v16_ge(v16 a, v16 b) {
    return v16_le(b, a);
}
static inline m16 vi16_eq(vi16 a, vi16 b) {
    return _mm512_cmpeq_epi32_mask(a, b);
}
static inline m16 vi16_gt(vi16 a, vi16 b) {
    return _mm512_cmpgt_epi32_mask(a, b);
}
static inline m16 m16_and(m16 a, m16 b) {
    return (m16)(a & b);
}
static inline m16 m16_or(m16 a, m16 b) {
    return (m16)(a | b);
}
static inline m16 m16_not(m16 a) {
    return (m16)~a;
}
static inline uint32_t m16_bits(m16 a) {
    return a;
}
static inline m16 m16_from_bits(uint32_t bits) {
    return (m16)bits;
}
static inline v16 v16_select(m16 mask, v16 yes, v16 no) {
    return _mm512_mask_blend_ps(mask, no, yes);
}
static inline vi16 vi16_select(m16 mask, vi16 yes, vi16 no) {
    return _mm512_mask_blend_epi32(mask, no, yes);
}

/* ---- over the lanes ---- */

static inline float v16_sum(v16 a) {
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float v16_maximum(v16 a) {
    __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline v16 v16_flush(v16 a) {
    __mmask16 keep = _mm512_cmp_ps_mask(v16_abs(a), _mm512_set1_ps(0x1p-100f), _CMP_NLT_UQ);
    return _mm512_maskz_mov_ps(keep, a);
}

static inline void v16_transpose(v16 row[16]) {
    __m512 a[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(row[i], row[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(row[i], row[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        row[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        row[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
        row[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        row[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_f32x4(row[i], row[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_f32x4(row[i], row[i + 4], 0xdd);
        a[i + 8] = _mm512_shuffle_f32x4(row[i + 8], row[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_f32x4(row[i + 8], row[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        row[i] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
        row[i + 8] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
        row[i + 4] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0x88);
        row[i + 12] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0xdd);
    }
}

/* In each quarter: a0 + a1, a2 + a3, b0 + b1, b2 + b3. */
static inline __m512 sum_neighbours(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}
static inline __m512 sum_quarters(__m512 a, __m512 b) { /* the same with quarters for lanes */
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}
static inline v16 v16_sum_rows(const v16 row[16]) {
    __m512 four[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        four[i] =
            sum_neighbours(sum_neighbours(row[4 * i], row[4 * i + 1]), sum_neighbours(row[4 * i + 2], row[4 * i + 3]));
    }
    return sum_quarters(sum_quarters(four[0], four[1]), sum_quarters(four[2], four[3]));
}

static inline void v16_prefetch(const void *at) {
    __builtin_prefetch(at, 0, 2);
}
static inline void v16_fence(void) {
    _mm_sfence();
}

/* ---- vectors of the matrix product ---- */

#define BRICK_ROWS 14
#define BRICK_VECS 2
#define BRICK_PIECE 7
enum { VEC_LANES = 16 };
typedef __m512 vec;
static inline vec vec_load(const float *from) {
    return _mm512_loadu_ps(from);
}
static inline void vec_store(float *to, vec a) {
    _mm512_storeu_ps(to, a);
}
static inline void vec_stream(float *to, vec a) {
    _mm512_stream_ps(to, a);
}
static inline vec vec_set1(float a) {
    return _mm512_set1_ps(a);
}
static inline vec vec_zero(void) {
    return _mm512_setzero_ps();
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vec vec_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
static inline vec vec_flush(vec a) {
    return v16_flush(a);
}
static inline vec vec_relu_flush(vec a) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, _mm512_set1_ps(0x1p-100f), _CMP_GE_OQ), a);
}

#endif
