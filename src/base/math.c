/* Mathematics with the same bits on every machine: only IEEE additions, multiplications, divisions and square roots in
 * double, in the written order, never fused. About 1 ULP (tests/test_math.c measures it). Argument reduction after Cody
 * and Waite 1980; double-double arithmetic after Dekker 1971. Not fast: the kernels have vector versions of their own.
 */
#include "base/base.h"

#include <math.h>
#include <string.h>

/* Adding and subtracting it rounds a double of less than 2^51 to a whole number. */
#define ROUNDER 0x1.8p52

#define LN2_HIGH 0x1.62e42fef00000p-1 /* 33 bits: times a whole number below 2^20 it is exact */
#define LN2_LOW 0x1.473de6af278edp-34
#define INVERSE_LN2 0x1.71547652b82fep+0

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k, -1022 <= k <= 1023 */
static double power_of_two(int k) {
    return of_bits((uint64_t)(k + 1023) << 52);
}

static double round_whole(double x) {
    return (x + ROUNDER) - ROUNDER;
}

/* c[count-1] x^(count-1) + ... + c[0] */
static double polynomial(const double *c, int count, double x) {
    double sum = c[count - 1];
    for (int i = count - 2; i >= 0; i--) {
        sum = sum * x + c[i];
    }
    return sum;
}

/* ---- double-double: an unevaluated sum high + low ---- */

typedef struct two {
    double high, low;
} two;

static two exact_sum(double a, double b) {
    double sum = a + b, part = sum - a;
    return (two){sum, (a - (sum - part)) + (b - part)};
}

static two exact_product(double a, double b) {
    double a_high = of_bits(bits_of(a) & ~(uint64_t)0x7FFFFFF), b_high = of_bits(bits_of(b) & ~(uint64_t)0x7FFFFFF);
    double a_low = a - a_high, b_low = b - b_high, product = a * b;
    return (two){product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

static two add(two a, two b) {
    two sum = exact_sum(a.high, b.high);
    return exact_sum(sum.high, sum.low + (a.low + b.low));
}

static two multiply(two a, two b) {
    two product = exact_product(a.high, b.high);
    return exact_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

/* ---- exp ---- */

/* exp(high + low), |low| tiny beside high. x = k ln 2 + r, |r| <= ln 2 / 2; Taylor up to r^13, whose rest is 2^-57. */
static double exp_of(double high, double low) {
    static const double c[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                               1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                               1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    if (high > 709.79) {
        return HUGE_VAL;
    }
    if (high < -745.2) {
        return 0.0;
    }
    double k = round_whole(high * INVERSE_LN2);
    two r = exact_sum(high - k * LN2_HIGH, low - k * LN2_LOW);
    double tail = r.low + r.high * r.high * polynomial(c, (int)ST_COUNT_OF(c), r.high);
    double value = 1.0 + (r.high + tail);
    int exponent = (int)k;
    /* In two steps where one would leave the range of exponents. */
    if (exponent > 1023) {
        return value * power_of_two(1023) * power_of_two(exponent - 1023);
    }
    if (exponent < -1022) {
        return value * power_of_two(exponent + 1000) * power_of_two(-1000);
    }
    return value * power_of_two(exponent);
}

double st_exp(double x) {
    return isnan(x) ? x : exp_of(x, 0.0);
}

/* ---- log ---- */

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)); x is finite and above 0. */
static double split(double x, double *k) {
    int scaled = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        scaled = -54;
    }
    uint64_t bits = bits_of(x);
    int exponent = (int)(bits >> 52) - 1023;
    double m = of_bits((bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1023 << 52);
    if (m > 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        exponent++;
    }
    *k = (double)(exponent + scaled);
    return m;
}

/* With f = m - 1 and s = f / (2 + f): log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R)), R = 2 (s^2/3 + s^4/5 +
 * ...), which keeps f, the part that is exact, out of every rounding but the last. */
double st_log(double x) {
    static const double c[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                               2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
    if (!(x > 0.0)) {
        return x == 0.0 ? -HUGE_VAL : (double)NAN;
    }
    if (x > 0x1.fffffffffffffp+1023) {
        return x;
    }
    double k = 0.0;
    double f = split(x, &k) - 1.0;
    double s = f / (2.0 + f), s2 = s * s, half = 0.5 * f * f;
    double rest = s2 * polynomial(c, (int)ST_COUNT_OF(c), s2);
    return k * LN2_HIGH - ((half - (s * (half + rest) + k * LN2_LOW)) - f);
}

/* The same in double-double, to about 2^-64: what a power needs, which multiplies its error by up to 745. */
static two log_twice(double x) {
    static const double c[] = {1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11, 1.0 / 13,
                               1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23};
    double k = 0.0;
    double f = split(x, &k) - 1.0;
    two under = exact_sum(2.0, f);
    double s_high = f / under.high;
    two back = exact_product(s_high, under.high);
    two s = {s_high, (((f - back.high) - back.low) - s_high * under.low) / under.high};
    two s2 = multiply(s, s);
    double far = s2.high * polynomial(c, (int)ST_COUNT_OF(c), s2.high);
    two series = add((two){0x1.5555555555555p-2, 0x1.5555555555555p-56}, (two){far, 0.0});
    series = multiply(s2, series);
    two atanh = add(s, multiply(s, series));
    two twice = {2.0 * atanh.high, 2.0 * atanh.low};
    return add(exact_sum(k * LN2_HIGH, k * LN2_LOW), twice);
}

/* ---- pow ---- */

double st_pow(double x, double y) {
    if (y == 0.0 || x == 1.0) {
        return 1.0;
    }
    if (isnan(x) || isnan(y) || x < 0.0) {
        return (double)NAN;
    }
    if (x == 0.0 || isinf(x)) {
        return (x == 0.0) == (y > 0.0) ? 0.0 : HUGE_VAL;
    }
    if (y > 0x1p64 || y < -0x1p64) {
        return (x > 1.0) == (y > 0.0) ? HUGE_VAL : 0.0; /* |log x| is at least 2^-53 */
    }
    two log_x = log_twice(x);
    two power = exact_product(y, log_x.high);
    double low = power.low + y * log_x.low;
    two sum = exact_sum(power.high, low);
    return exp_of(sum.high, sum.low);
}

double st_sqrt(double x) {
    return sqrt(x); /* IEEE 754 demands the correctly rounded root */
}

/* ---- sin and cos ---- */

/* pi / 2 in three parts, the first two of 33 bits: exact products for |x| < 1.6e6, accurate there. */
#define HALF_PI_1 0x1.921fb54400000p+0
#define HALF_PI_2 0x1.0b4611a600000p-34
#define HALF_PI_3 0x1.3198a2e037073p-69
#define INVERSE_HALF_PI 0x1.45f306dc9c883p-1
#define FARTHEST 0x1p30 /* beyond it no digit would be right */

static two reduce(double x, unsigned *quadrant) {
    double n = round_whole(x * INVERSE_HALF_PI);
    two first = exact_sum(x - n * HALF_PI_1, -(n * HALF_PI_2));
    *quadrant = (unsigned)((int64_t)n & 3);
    return exact_sum(first.high, first.low - n * HALF_PI_3);
}

/* |r| <= pi/4; Taylor, whose rest is below 2^-60. */
static double sin_near(two r) {
    static const double c[] = {-1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
                               -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
    double square = r.high * r.high;
    double tail = r.high * square * polynomial(c, (int)ST_COUNT_OF(c), square);
    return r.high + (tail + r.low * (1.0 - 0.5 * square));
}

static double cos_near(two r) {
    static const double c[] = {1.0 / 24,        -1.0 / 720,         1.0 / 40320,          -1.0 / 3628800,
                               1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000, -1.0 / 6402373705728000};
    double square = r.high * r.high, half = 0.5 * square, most = 1.0 - half;
    double tail = square * square * polynomial(c, (int)ST_COUNT_OF(c), square);
    return most + (((1.0 - most) - half) + (tail - r.high * r.low));
}

static double circle(double x, unsigned turn) {
    unsigned quadrant = 0;
    if (!(x > -FARTHEST && x < FARTHEST)) {
        return (double)NAN;
    }
    two r = reduce(x, &quadrant);
    quadrant = (quadrant + turn) & 3u;
    double value = (quadrant & 1u) != 0 ? cos_near(r) : sin_near(r);
    return (quadrant & 2u) != 0 ? -value : value;
}

double st_sin(double x) {
    return circle(x, 0);
}

double st_cos(double x) {
    return circle(x, 1);
}
