/* simd_avx2.h: sixteen lanes in two registers. What each function does stands in simd_portable.h. */
#ifndef ST_SIMD_AVX2_H
#define ST_SIMD_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "base/base.h"

typedef int32_t st_real_int;
typedef uint32_t st_real_bits;
enum { ST_MANTISSA_BITS = 23, ST_EXPONENT_BIAS = 127 };

typedef struct v16 {
    __m256 lo, hi;
} v16;
typedef struct vi16 {
    __m256i lo, hi;
} vi16;
typedef struct m16 {
    __m256 lo, hi; /* all bits of a lane, or none */
} m16;

static inline float st_real_fma(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}

/* ---- loading and storing ---- */

static inline __m256i first_lanes(int count) { /* of eight */
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline v16 v16_load(const float *from) {
    return (v16){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
static inline void v16_store(float *to, v16 a) {
    _mm256_storeu_ps(to, a.lo);
    _mm256_storeu_ps(to + 8, a.hi);
}
static inline v16 v16_load_part(const float *from, int count) {
    return (v16){_mm256_maskload_ps(from, first_lanes(count)), _mm256_maskload_ps(from + 8, first_lanes(count - 8))};
}
static inline void v16_store_part(float *to, v16 a, int count) {
    _mm256_maskstore_ps(to, first_lanes(count), a.lo);
    _mm256_maskstore_ps(to + 8, first_lanes(count - 8), a.hi);
}
static inline void v16_stream(float *to, v16 a) {
    _mm256_stream_ps(to, a.lo);
    _mm256_stream_ps(to + 8, a.hi);
}
static inline v16 v16_set1(float a) {
    return (v16){_mm256_set1_ps(a), _mm256_set1_ps(a)};
}
static inline v16 v16_zero(void) {
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}
static inline v16 v16_from_u8(const uint8_t *from) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    return (v16){_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                 _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)))};
}

static inline void v16_to_u8(uint8_t *to, v16 a) {
    __m256i words = _mm256_packus_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
    __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
}

/* ---- arithmetic ---- */

static inline v16 v16_add(v16 a, v16 b) {
    return (v16){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
static inline v16 v16_sub(v16 a, v16 b) {
    return (v16){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
static inline v16 v16_mul(v16 a, v16 b) {
    return (v16){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
static inline v16 v16_div(v16 a, v16 b) {
    return (v16){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    return (v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline v16 v16_fnma(v16 a, v16 b, v16 c) {
    return (v16){_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
static inline v16 v16_min(v16 a, v16 b) {
    return (v16){_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
static inline v16 v16_max(v16 a, v16 b) {
    return (v16){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
static inline v16 v16_sqrt(v16 a) {
    return (v16){_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)};
}
static inline v16 v16_neg(v16 a) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}
static inline v16 v16_abs(v16 a) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

/* ---- integers and bits ---- */

static inline vi16 v16_bits(v16 a) {
    return (vi16){_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)};
}
static inline v16 v16_from_bits(vi16 a) {
    return (v16){_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)};
}
static inline vi16 vi16_set1(int32_t a) {
    return (vi16){_mm256_set1_epi32(a), _mm256_set1_epi32(a)};
}
static inline vi16 vi16_add(vi16 a, vi16 b) {
    return (vi16){_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
static inline vi16 vi16_sub(vi16 a, vi16 b) {
    return (vi16){_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
static inline vi16 vi16_and(vi16 a, vi16 b) {
    return (vi16){_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
static inline vi16 vi16_or(vi16 a, vi16 b) {
    return (vi16){_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
static inline vi16 vi16_shift_left(vi16 a, int bits) {
    __m128i by = _mm_cvtsi32_si128(bits);
    return (vi16){_mm256_sll_epi32(a.lo, by), _mm256_sll_epi32(a.hi, by)};
}
static inline vi16 vi16_shift_right(vi16 a, int bits) {
    __m128i by = _mm_cvtsi32_si128(bits);
    return (vi16){_mm256_srl_epi32(a.lo, by), _mm256_srl_epi32(a.hi, by)};
}
static inline vi16 vi16_shift_right_signed(vi16 a, int bits) {
    __m128i by = _mm_cvtsi32_si128(bits);
    return (vi16){_mm256_sra_epi32(a.lo, by), _mm256_sra_epi32(a.hi, by)};
}
static inline vi16 vi16_load_i32(const int32_t *from) {
    const __m256i *at = (const __m256i *)(const void *)from;
    return (vi16){_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}
static inline void vi16_store_i32(int32_t *to, vi16 a) {
    __m256i *at = (__m256i *)(void *)to;
    _mm256_storeu_si256(at, a.lo);
    _mm256_storeu_si256(at + 1, a.hi);
}
static inline v16 v16_from_int(vi16 a) {
    return (v16){_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
static inline vi16 v16_to_int(v16 a) {
    return (vi16){_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
}

/* ---- comparing and choosing ---- */

static inline m16 v16_lt(v16 a, v16 b) {
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
static inline m16 v16_le(v16 a, v16 b) {
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ)};
}
static inline m16 v16_eq(v16 a, v16 b) {
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ)};
}
static inline m16 v16_gt(v16 a, v16 b) {
    return v16_lt(b, a);
}
static inline m16 v16_ge(v16 a, v16 b) {
    return v16_le(b, a);
}
static inline m16 vi16_eq(vi16 a, vi16 b) {
    return (m16){_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.lo, b.lo)),
                 _mm256_castsi256_ps(_mm256_cmpeq_epi32(a.hi, b.hi))};
}
static inline m16 vi16_gt(vi16 a, vi16 b) {
    return (m16){_mm256_castsi256_ps(_mm256_cmpgt_epi32(a.lo, b.lo)),
                 _mm256_castsi256_ps(_mm256_cmpgt_epi32(a.hi, b.hi))};
}
static inline m16 m16_and(m16 a, m16 b) {
    return (m16){_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)};
}
static inline m16 m16_or(m16 a, m16 b) {
    return (m16){_mm256_or_ps(a.lo, b.lo), _mm256_or_ps(a.hi, b.hi)};
}
static inline m16 m16_not(m16 a) {
    __m256 all = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    return (m16){_mm256_andnot_ps(a.lo, all), _mm256_andnot_ps(a.hi, all)};
}
static inline uint32_t m16_bits(m16 a) {
    return (uint32_t)_mm256_movemask_ps(a.lo) | (uint32_t)_mm256_movemask_ps(a.hi) << 8;
}
static inline m16 m16_from_bits(uint32_t bits) {
    __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i lo = _mm256_set1_epi32((int)(bits & 0xff)), hi = _mm256_set1_epi32((int)(bits >> 8 & 0xff));
    return (m16){_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(lo, lanes), lanes)),
                 _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(hi, lanes), lanes))};
}
static inline v16 v16_select(m16 mask, v16 yes, v16 no) {
    return (v16){_mm256_blendv_ps(no.lo, yes.lo, mask.lo), _mm256_blendv_ps(no.hi, yes.hi, mask.hi)};
}
static inline vi16 vi16_select(m16 mask, vi16 yes, vi16 no) {
    return v16_bits(v16_select(mask, v16_from_bits(yes), v16_from_bits(no)));
}

/* ---- over the lanes ---- */

static inline float v16_sum(v16 a) {
    __m256 eight = _mm256_add_ps(a.lo, a.hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float v16_maximum(v16 a) {
    __m256 eight = _mm256_max_ps(a.lo, a.hi);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline v16 v16_flush(v16 a) {
    __m256 least = _mm256_set1_ps(0x1p-100f);
    v16 size = v16_abs(a);
    return (v16){_mm256_and_ps(_mm256_cmp_ps(size.lo, least, _CMP_NLT_UQ), a.lo),
                 _mm256_and_ps(_mm256_cmp_ps(size.hi, least, _CMP_NLT_UQ), a.hi)};
}

static inline void transpose_eight(__m256 row[8]) {
    __m256 a[8], b[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        row[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        row[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}
static inline void v16_transpose(v16 row[16]) {
    __m256 corner[4][8]; /* top left, top right, bottom left, bottom right */
    for (int i = 0; i < 8; i++) {
        corner[0][i] = row[i].lo;
        corner[1][i] = row[i].hi;
        corner[2][i] = row[i + 8].lo;
        corner[3][i] = row[i + 8].hi;
    }
    for (int i = 0; i < 4; i++) {
        transpose_eight(corner[i]);
    }
    for (int i = 0; i < 8; i++) {
        row[i] = (v16){corner[0][i], corner[2][i]};
        row[i + 8] = (v16){corner[1][i], corner[3][i]};
    }
}

static inline __m256 sum_four_rows(__m256 a, __m256 b, __m256 c, __m256 d) { /* of four lanes, twice */
    return _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
}
static inline __m256 sum_two_fours(__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}
static inline __m256 sum_eight_rows(const v16 row[8]) {
    __m256 lo = sum_two_fours(sum_four_rows(row[0].lo, row[1].lo, row[2].lo, row[3].lo),
                              sum_four_rows(row[4].lo, row[5].lo, row[6].lo, row[7].lo));
    __m256 hi = sum_two_fours(sum_four_rows(row[0].hi, row[1].hi, row[2].hi, row[3].hi),
                              sum_four_rows(row[4].hi, row[5].hi, row[6].hi, row[7].hi));
    return _mm256_add_ps(lo, hi);
}
static inline v16 v16_sum_rows(const v16 row[16]) {
    return (v16){sum_eight_rows(row), sum_eight_rows(row + 8)};
}

static inline void v16_prefetch(const void *at) {
    __builtin_prefetch(at, 0, 2);
}
static inline void v16_fence(void) {
    _mm_sfence();
}

/* ---- vectors of the matrix product ---- */

#define BRICK_ROWS 6
#define BRICK_VECS 2
#define BRICK_PIECE 1
enum { VEC_LANES = 8 };
typedef __m256 vec;
static inline vec vec_load(const float *from) {
    return _mm256_loadu_ps(from);
}
static inline void vec_store(float *to, vec a) {
    _mm256_storeu_ps(to, a);
}
static inline void vec_stream(float *to, vec a) {
    _mm256_stream_ps(to, a);
}
static inline vec vec_set1(float a) {
    return _mm256_set1_ps(a);
}
static inline vec vec_zero(void) {
    return _mm256_setzero_ps();
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vec vec_add(vec a, vec b) {
    return _mm256_add_ps(a, b);
}
static inline vec vec_flush(vec a) {
    __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
    return _mm256_and_ps(_mm256_cmp_ps(size, _mm256_set1_ps(0x1p-100f), _CMP_NLT_UQ), a);
}
static inline vec vec_relu_flush(vec a) {
    return _mm256_and_ps(_mm256_cmp_ps(a, _mm256_set1_ps(0x1p-100f), _CMP_GE_OQ), a);
}

#endif
