/* base: mathematics against the system's long double, in units of the last place. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static double ulps(double got, long double want) {
    if ((double)want == got) {
        return 0;
    }
    double at = fabs((double)want);
    double step = at < 0x1p-1022 ? 0x1p-1074 : nextafter(at, INFINITY) - at;
    return (double)(fabsl((long double)got - want) / step);
}

/* On machines whose long double is double, the comparison itself is off by half a unit. */
#define ONE_ULP (sizeof(long double) > sizeof(double) ? 1.0 : 1.6)

static void test_math_is_within_one_ulp(void **state) {
    (void)state;
    double worst[5] = {0};
    const uint64_t samples = LDBL_MANT_DIG > 64 ? 3000 : 300000; /* software computes the wider ones */
    for (uint64_t i = 0; i < samples; i++) {
        double u = st_rng_uniform(1, 1, i), v = st_rng_uniform(1, 2, i);
        double x[3] = {(u - 0.5) * 2, (u - 0.5) * 1460, (u - 0.5) * 40},
               p[3] = {u * 2, ldexp(1 + u, (int)(v * 2000) - 1000), 0.9 + u / 5};
        double angle[3] = {(u - 0.5) * 8, (u - 0.5) * 2e5, round((u - 0.5) * 60000) * 1.5707963267948966};
        for (int k = 0; k < 3; k++) {
            double base = k == 0 ? u + 0.001 : k == 1 ? 0.9 + u / 5 : exp((u - 0.5) * 20);
            double exponent = k == 1 ? (v - 0.5) * 6000 : (v - 0.5) * 60;
            double found[5] = {ulps(st_exp(x[k]), expl(x[k])), p[k] > 0 ? ulps(st_log(p[k]), logl(p[k])) : 0,
                               ulps(st_sin(angle[k]), sinl(angle[k])), ulps(st_cos(angle[k]), cosl(angle[k])),
                               ulps(st_pow(base, exponent), powl(base, exponent))};
            for (int f = 0; f < 5; f++) {
                worst[f] = found[f] > worst[f] ? found[f] : worst[f];
            }
        }
    }
    print_message("worst error in ULP: exp %.3f log %.3f sin %.3f cos %.3f pow %.3f\n", worst[0], worst[1], worst[2],
                  worst[3], worst[4]);
    for (int f = 0; f < 5; f++) {
        assert_true(worst[f] < ONE_ULP);
    }
}

static void test_math_keeps_the_edges(void **state) {
    (void)state;
    assert_true(st_exp(0) == 1 && st_exp(-INFINITY) == 0 && isinf(st_exp(INFINITY)) && isnan(st_exp(NAN)));
    assert_true(isinf(st_exp(709.9)) && st_exp(709.7) < INFINITY && st_exp(-745.0) == 0x1p-1074 && st_exp(-746) == 0);
    assert_true(st_log(1) == 0 && st_log(0) == -INFINITY && isnan(st_log(-1)) && isnan(st_log(NAN)));
    assert_true(isinf(st_log(INFINITY)) && ulps(st_log(0x1p-1074), logl(0x1p-1074L)) < ONE_ULP);
    assert_true(st_sin(0) == 0 && st_cos(0) == 1 && isnan(st_sin(INFINITY)) && isnan(st_cos(NAN)));
    assert_true(st_pow(2, 10) == 1024 && st_pow(3, 0) == 1 && st_pow(1, 1e300) == 1 && st_pow(10, 15) == 1e15);
    assert_true(st_pow(0, 2) == 0 && isinf(st_pow(0, -2)) && isinf(st_pow(2, 1e300)) && st_pow(2, -1e300) == 0);
    assert_true(st_pow(0.5, 1e300) == 0 && isinf(st_pow(0.5, -1e300)) && isnan(st_pow(-2, 2)) && isnan(st_pow(2, NAN)));
    assert_true(st_pow(2, -1074) == 0x1p-1074 && st_pow(2, 1024) == INFINITY && st_pow(INFINITY, -1) == 0);
    assert_true(st_sqrt(2) == 0x1.6a09e667f3bcdp+0);
}

/* The bits that every machine must give: a hash over results of all functions. */
static void test_math_gives_the_same_bits_everywhere(void **state) {
    (void)state;
    st_sha256 sha;
    char out[65];
    st_sha256_begin(&sha);
    for (uint64_t i = 0; i < 20000; i++) {
        double u = st_rng_uniform(9, 9, i) * 40 - 20;
        double results[6] = {st_exp(u), st_log(u + 20.5),    st_sin(u),
                             st_cos(u), st_pow(u + 20.5, u), st_rng_normal(9, 8, i)};
        for (size_t k = 0; k < ST_COUNT_OF(results); k++) {
            uint64_t bits;
            unsigned char little[8];
            memcpy(&bits, &results[k], sizeof bits);
            for (int b = 0; b < 8; b++) {
                little[b] = (unsigned char)(bits >> (8 * b));
            }
            st_sha256_add(&sha, little, sizeof little);
        }
    }
    st_sha256_end(&sha, out);
    assert_string_equal(out, "a4056471d1810c06285215a7414fb9667f1c9db414346ff5f0eb4ce35a50a438");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_math_is_within_one_ulp),
        cmocka_unit_test(test_math_keeps_the_edges),
        cmocka_unit_test(test_math_gives_the_same_bits_everywhere),
    };
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
