/* base: SHA-256 against the published hashes, and random numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

/* ---- SHA-256 ---- */

static void hash_of(const void *bytes, size_t length, size_t piece, char out[65]) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (size_t at = 0; at < length; at += piece) {
        st_sha256_add(&sha, (const char *)bytes + at, piece < length - at ? piece : length - at);
    }
    st_sha256_end(&sha, out);
}

static void test_sha256_gives_the_published_hashes(void **state) {
    (void)state;
    char out[65];
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    hash_of("", 0, 1, out);
    assert_string_equal(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_of("abc", 3, 3, out);
    assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (size_t piece = 1; piece < 60; piece++) {
        hash_of(two, strlen(two), piece, out);
        assert_string_equal(out, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
    static char million[1000000];
    memset(million, 'a', sizeof million);
    hash_of(million, sizeof million, 999, out);
    assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_sha256_does_not_depend_on_the_pieces(void **state) {
    (void)state;
    char bytes[300], whole[65], cut[65];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)st_rng_bits(3, 3, i);
    }
    for (size_t length = 0; length < sizeof bytes; length++) {
        hash_of(bytes, length, 1000, whole);
        hash_of(bytes, length, 1 + length % 67, cut);
        assert_string_equal(whole, cut);
    }
}

/* ---- random numbers ---- */

static void test_rng_is_philox(void **state) {
    (void)state;
    /* The known answers of the authors' own Random123: counter and key in words from the lowest. */
    assert_true(st_rng_bits(0, 0, 0) == 0xe169c58d6627e8d5u);
    assert_true(st_rng_bits(UINT64_MAX, UINT64_MAX, UINT64_MAX) == 0x41c83b0e408f276du);
    assert_true(st_rng_bits(0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u) == 0x94fdccebd16cfe09u);
}

/* Mean, deviation, correlation of neighbours, and the spread over 64 bins, each within five standard errors. */
static void test_rng_uniform_looks_uniform(void **state) {
    (void)state;
    enum { COUNT = 1 << 18, BINS = 64 };
    const double root = sqrt((double)COUNT);
    for (uint64_t stream = 0; stream < 8; stream++) {
        double sum = 0, squares = 0, products = 0, last = 0, chi = 0;
        int bins[BINS] = {0};
        for (uint64_t i = 0; i < COUNT; i++) {
            double u = st_rng_uniform(42, st_rng_stream(ST_STREAM_TEST, stream), i);
            assert_true(u >= 0 && u < 1);
            sum += u - 0.5;
            squares += (u - 0.5) * (u - 0.5);
            products += i > 0 ? (u - 0.5) * (last - 0.5) : 0;
            last = u;
            bins[(int)(u * BINS)]++;
        }
        for (int b = 0; b < BINS; b++) {
            double off = bins[b] - (double)COUNT / BINS;
            chi += off * off / ((double)COUNT / BINS);
        }
        assert_true(fabs(sum / root) < 5 * sqrt(1.0 / 12));
        assert_true(fabs(squares / COUNT - 1.0 / 12) < 5 * sqrt(1.0 / 180) / root);
        assert_true(fabs(products / root) < 5.0 / 12);
        assert_true(fabs(chi - (BINS - 1)) < 5 * sqrt(2.0 * (BINS - 1)));
    }
}

static void test_rng_normal_has_its_moments(void **state) {
    (void)state;
    enum { COUNT = 1 << 18 };
    const double root = sqrt((double)COUNT);
    double sum[4] = {0};
    int within = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double x = st_rng_normal(7, st_rng_stream_name(ST_STREAM_WEIGHTS, "conv1.weight"), i);
        sum[0] += x;
        sum[1] += x * x;
        sum[2] += x * x * x;
        sum[3] += x * x * x * x;
        within += fabs(x) < 1;
    }
    assert_true(fabs(sum[0] / root) < 5);
    assert_true(fabs(sum[1] / COUNT - 1) < 5 * sqrt(2.0) / root);
    assert_true(fabs(sum[2] / COUNT) < 5 * sqrt(15.0) / root);
    assert_true(fabs(sum[3] / COUNT - 3) < 5 * sqrt(96.0) / root);
    assert_true(fabs((double)within / COUNT - 0.682689492) < 5 * 0.4655 / root);
}

static void test_rng_streams_differ(void **state) {
    (void)state;
    assert_true(st_rng_stream(ST_STREAM_ORDER, 1) != st_rng_stream(ST_STREAM_DROPOUT, 1));
    assert_true(st_rng_stream(ST_STREAM_ORDER, 1) != st_rng_stream(ST_STREAM_ORDER, 2));
    assert_true(st_rng_stream_name(ST_STREAM_WEIGHTS, "a") != st_rng_stream_name(ST_STREAM_WEIGHTS, "b"));
    int equal = 0;
    for (uint64_t i = 0; i < 64 * 1000; i++) {
        uint64_t a = st_rng_bits(1, 1, i / 64), b = st_rng_bits(1, 2, i / 64), c = st_rng_bits(2, 1, i / 64);
        equal += (a >> (i % 64) & 1) == (b >> (i % 64) & 1);
        equal += (a >> (i % 64) & 1) == (c >> (i % 64) & 1);
    }
    assert_true(abs(equal - 64000) < 1000);
}

static void test_rng_shuffle_is_a_fair_permutation(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    uint32_t order[COUNT];
    bool seen[COUNT] = {false};
    st_rng_shuffle(order, COUNT, 5, 6);
    for (int i = 0; i < COUNT; i++) {
        assert_true(order[i] < COUNT && !seen[order[i]]);
        seen[order[i]] = true;
    }
    int counts[6] = {0};
    for (uint64_t stream = 0; stream < 60000; stream++) {
        st_rng_shuffle(order, 3, 1, stream);
        counts[order[0] * 2 + (order[1] > order[2])]++;
    }
    for (int i = 0; i < 6; i++) {
        assert_true(abs(counts[i] - 10000) < 500);
    }
    st_rng_shuffle(order, 0, 1, 1);
    st_rng_shuffle(order, 1, 1, 1);
    assert_int_equal(order[0], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_gives_the_published_hashes),
        cmocka_unit_test(test_sha256_does_not_depend_on_the_pieces),
        cmocka_unit_test(test_rng_is_philox),
        cmocka_unit_test(test_rng_uniform_looks_uniform),
        cmocka_unit_test(test_rng_normal_has_its_moments),
        cmocka_unit_test(test_rng_streams_differ),
        cmocka_unit_test(test_rng_shuffle_is_a_fair_permutation),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
