/* simd_math.h: exp, log, tanh and sigmoid of sixteen numbers. Written once on the functions of simd_<isa>.h, so each
 * set gives the same bits: only fma, add, multiply, divide and moves of bits. Polynomials: Remez exchange, own
 * coefficients. Worst errors over all floats (tests/sweep_elementwise.c): exp 1.1 ULP, log 1.0, tanh 2.4, sigmoid 2.5,
 * scaled tanh 3.5.
 *
 * Include after simd_<isa>.h. In double, which only tests use, libm does it. */
#ifndef ST_SIMD_MATH_H
#define ST_SIMD_MATH_H

#include "graph/op.h"

#ifdef ST_REAL_DOUBLE
#include <math.h>

static inline v16 v16_exp(v16 x) {
    for (int i = 0; i < 16; i++) {
        x.lane[i] = exp(x.lane[i]);
    }
    return x;
}
static inline v16 v16_log(v16 x) {
    for (int i = 0; i < 16; i++) {
        x.lane[i] = log(x.lane[i]);
    }
    return x;
}
static inline v16 v16_tanh(v16 x) {
    for (int i = 0; i < 16; i++) {
        x.lane[i] = tanh(x.lane[i]);
    }
    return x;
}

#else

/* x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, of which the first times n is exact. */
static inline v16 reduce_by_ln2(v16 x, vi16 *n) {
    *n = v16_to_int(v16_mul(x, v16_set1(1.44269504f)));
    v16 whole = v16_from_int(*n);
    v16 r = v16_fnma(whole, v16_set1(0.693145752f), x);
    return v16_fnma(whole, v16_set1(1.42860682e-6f), r);
}

/* 2^n for a normal result. */
static inline v16 power_of_2(vi16 n) {
    return v16_from_bits(vi16_shift_left(vi16_add(n, vi16_set1(ST_EXPONENT_BIAS)), ST_MANTISSA_BITS));
}

static inline v16 v16_exp(v16 x) {
    /* Beyond these the result is infinite, or under half of the least subnormal. NaN passes through both. */
    x = v16_min(v16_set1(89.0f), v16_max(v16_set1(-104.0f), x));
    vi16 n;
    v16 r = reduce_by_ln2(x, &n);
    v16 p = v16_set1(0.00138145402f);
    p = v16_fma(p, r, v16_set1(0.00836874511f));
    p = v16_fma(p, r, v16_set1(0.0416683908f));
    p = v16_fma(p, r, v16_set1(0.166665204f));
    p = v16_fma(p, r, v16_set1(0.499999934f));
    p = v16_fma(v16_mul(r, r), p, r);
    p = v16_add(p, v16_set1(1.0f));
    vi16 half = vi16_shift_right_signed(n, 1); /* in two steps: 2^128 and 2^-140 are no normal numbers */
    return v16_mul(v16_mul(p, power_of_2(half)), power_of_2(vi16_sub(n, half)));
}

/* With e = exp(2 |x|) - 1: e / (e + 2), so nothing is lost near 0. */
static inline v16 v16_tanh(v16 x) {
    v16 size = v16_min(v16_set1(9.02f), v16_abs(x)); /* from here on 1 is the nearest; NaN passes */
    vi16 n;
    v16 r = reduce_by_ln2(v16_add(size, size), &n);
    v16 p = v16_set1(0.00138867975f);
    p = v16_fma(p, r, v16_set1(0.00836641544f));
    p = v16_fma(p, r, v16_set1(0.0416671061f));
    p = v16_fma(p, r, v16_set1(0.166665448f));
    p = v16_fma(p, r, v16_set1(0.499999987f));
    p = v16_fma(v16_mul(r, r), p, r);
    v16 scale = power_of_2(n);
    v16 e = v16_fma(scale, p, v16_sub(scale, v16_set1(1.0f)));
    v16 result = v16_div(e, v16_add(e, v16_set1(2.0f)));
    vi16 sign = vi16_and(v16_bits(x), v16_bits(v16_set1(-0.0f)));
    return v16_from_bits(vi16_or(v16_bits(result), sign));
}

/* x = 2^n (1 + f), f from sqrt(1/2) - 1 to sqrt(2) - 1; log(1 + f) = f - f^2 / 2 + f^3 P(f). */
static inline v16 v16_log(v16 x) {
    v16 least = v16_set1(0x1p-126f);
    m16 is_small = v16_lt(x, least);
    v16 scaled = v16_select(is_small, v16_mul(x, v16_set1(0x1p23f)), x);
    const int32_t root_half = 0x3f3504f3; /* sqrt(1/2) */
    vi16 offset = vi16_sub(v16_bits(scaled), vi16_set1(root_half));
    vi16 n = vi16_shift_right_signed(offset, ST_MANTISSA_BITS);
    v16 mantissa = v16_from_bits(vi16_sub(v16_bits(scaled), vi16_shift_left(n, ST_MANTISSA_BITS)));
    v16 whole = v16_from_int(n);
    whole = v16_select(is_small, v16_sub(whole, v16_set1(23.0f)), whole);
    v16 f = v16_sub(mantissa, v16_set1(1.0f));
    v16 p = v16_set1(0.0674665152f);
    p = v16_fma(p, f, v16_set1(-0.116756546f));
    p = v16_fma(p, f, v16_set1(0.118881588f));
    p = v16_fma(p, f, v16_set1(-0.124055882f));
    p = v16_fma(p, f, v16_set1(0.142195527f));
    p = v16_fma(p, f, v16_set1(-0.166679959f));
    p = v16_fma(p, f, v16_set1(0.200021186f));
    p = v16_fma(p, f, v16_set1(-0.250000096f));
    p = v16_fma(p, f, v16_set1(0.333333126f));
    v16 square = v16_mul(f, f);
    v16 tail = v16_mul(v16_mul(square, f), p);
    tail = v16_fma(whole, v16_set1(1.42860682e-6f), tail);
    tail = v16_fma(square, v16_set1(-0.5f), tail);
    v16 result = v16_fma(whole, v16_set1(0.693145752f), v16_add(f, tail));
    result = v16_select(v16_eq(x, v16_zero()), v16_set1(-__builtin_inff()), result);
    result = v16_select(v16_lt(x, v16_zero()), v16_set1(__builtin_nanf("")), result);
    /* Infinity and NaN are their own logarithms. */
    return v16_select(v16_lt(v16_abs(x), v16_set1(__builtin_inff())), result,
                      v16_select(v16_lt(x, v16_zero()), result, x));
}

#endif

/* ---- activations: y = f(x), and f'(x) times a gradient, told from y ---- */

static inline v16 v16_relu(v16 x) {
    return v16_max(v16_zero(), x); /* NaN stays NaN */
}
static inline v16 v16_relu_backward(v16 gradient, v16 y) {
    return v16_select(v16_gt(y, v16_zero()), gradient, v16_zero());
}

static inline v16 v16_tanh_backward(v16 gradient, v16 y) {
    return v16_mul(gradient, v16_fnma(y, y, v16_set1(1)));
}

static inline v16 v16_sigmoid(v16 x) {
    v16 one = v16_set1(1);
    return v16_div(one, v16_add(one, v16_exp(v16_neg(x))));
}
static inline v16 v16_sigmoid_backward(v16 gradient, v16 y) {
    return v16_mul(gradient, v16_fnma(y, y, y));
}

/* y = a tanh(2 x / 3), y' = 2 a / 3 - 2 / (3 a) y^2 */
static const double scaled_tanh_size = 1.7159;
static inline v16 v16_scaled_tanh(v16 x) {
    return v16_mul(v16_set1((st_real)scaled_tanh_size), v16_tanh(v16_mul(v16_set1((st_real)(2 / 3.0)), x)));
}
static inline v16 v16_scaled_tanh_backward(v16 gradient, v16 y) {
    v16 most = v16_set1((st_real)(2 * scaled_tanh_size / 3)), share = v16_set1((st_real)(2 / (3 * scaled_tanh_size)));
    return v16_mul(gradient, v16_fnma(v16_mul(share, y), y, most));
}

/* Always with a constant `activation`, or one that a loop does not change. */
static inline v16 v16_activate(v16 x, st_activation activation) {
    switch (activation) {
#define ACTIVATE(NAME, name)                                                                                           \
    case ST_ACTIVATION_##NAME:                                                                                         \
        return v16_##name(x);
        ST_ACTIVATION_LIST(ACTIVATE)
#undef ACTIVATE
    default:
        return x;
    }
}

static inline v16 v16_activate_backward(v16 gradient, v16 y, st_activation activation) {
    switch (activation) {
#define ACTIVATE_BACKWARD(NAME, name)                                                                                  \
    case ST_ACTIVATION_##NAME:                                                                                         \
        return v16_##name##_backward(gradient, y);
        ST_ACTIVATION_LIST(ACTIVATE_BACKWARD)
#undef ACTIVATE_BACKWARD
    default:
        return gradient;
    }
}

#endif
