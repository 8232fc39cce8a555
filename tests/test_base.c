/* base: errors, sizes, arenas, the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base_case.h"

/* ---- errors ---- */

static void test_error_is_cut_and_printable(void **state) {
    (void)state;
    strata_error err;
    char longest[2000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    memset(&err, 0x55, sizeof err);
    assert_int_equal(st_fail(&err, STRATA_SHAPE, "a\033[31m\n%d %s", 7, longest), STRATA_SHAPE);
    assert_int_equal(err.status, STRATA_SHAPE);
    assert_memory_equal(err.message, "a?[31m?7 xxx", 12);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_string_equal(err.file, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(st_fail(NULL, STRATA_IO, "nobody listens"), STRATA_IO);
}

static void test_error_gets_file_hint_and_context(void **state) {
    (void)state;
    strata_error err;
    assert_int_equal(st_fail_file(&err, STRATA_FORMAT, "we\tights", "found %d", 3), STRATA_FORMAT);
    st_error_file(&err, "other");
    st_error_hint(&err, "try %s", "again");
    st_error_prepend(&err, "while reading %s: ", "weights");
    assert_string_equal(err.file, "we?ights");
    assert_string_equal(err.hint, "try again");
    assert_string_equal(err.message, "while reading weights: found 3");
    st_fail(&err, STRATA_INVALID, "%s", "caf\xc3\xa9 \xff\xc2\x9b.");
    assert_string_equal(err.message, "caf\xc3\xa9 ??.");
    st_error_file(&err, "other");
    assert_string_equal(err.file, "other");
}

static void test_status_has_a_name(void **state) {
    (void)state;
    assert_string_equal(strata_status_name(STRATA_OK), "ok");
    assert_string_equal(strata_status_name(STRATA_CANCELLED), "cancelled");
    assert_string_equal(strata_status_name((strata_status)77), "unknown");
    assert_string_equal(strata_version(), STRATA_VERSION);
}

/* ---- sizes ---- */

static void test_size_arithmetic_sees_overflow(void **state) {
    (void)state;
    size_t out = 0;
    assert_true(st_size_add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(st_size_add(SIZE_MAX, 1, &out));
    assert_true(st_size_mul(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    assert_false(st_size_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(st_size_mul(0, SIZE_MAX, &out) && out == 0);
    assert_true(st_size_mul(SIZE_MAX, 0, &out) && out == 0);
    assert_int_equal(st_dtype_size(ST_DTYPE_REAL), sizeof(st_real));
    assert_int_equal(st_dtype_size(ST_DTYPE_U8), 1);
    assert_int_equal(st_dtype_size(ST_DTYPE_I32), 4);
}

/* ---- arenas ---- */

static void test_arena_gives_zeroed_aligned_memory(void **state) {
    (void)state;
    st_arena *arena = new_arena();
    for (size_t i = 0; i < 3000; i++) {
        size_t bytes = st_rng_bits(1, 2, i) % (i % 100 == 0 ? 100000 : 300);
        unsigned char *block = NULL;
        assert_int_equal(st_arena_alloc(&block, arena, bytes, 1, NULL), STRATA_OK);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (bytes >= 64 ? 64 : 16), 0);
        for (size_t k = 0; k < bytes; k++) {
            assert_int_equal(block[k], 0);
        }
        memset(block, 0xEE, bytes);
    }
    st_arena_free(arena);
    st_arena_free(NULL);
}

static void test_arena_refuses_overflow(void **state) {
    (void)state;
    strata_error err;
    st_arena *arena = new_arena();
    void *block = arena;
    assert_int_equal(st_arena_alloc(&block, arena, SIZE_MAX / 2, 3, &err), STRATA_MEMORY);
    assert_null(block);
    assert_int_equal(st_arena_alloc(&block, arena, SIZE_MAX - 10, 1, &err), STRATA_MEMORY);
    st_arena_free(arena);
}

static void test_arena_makes_texts(void **state) {
    (void)state;
    st_arena *arena = new_arena();
    char *text = NULL;
    assert_int_equal(st_arena_text(&text, arena, "abcdef", 3, NULL), STRATA_OK);
    assert_string_equal(text, "abc");
    assert_int_equal(st_arena_printf(&text, arena, NULL, "%d-%s", 5, "x"), STRATA_OK);
    assert_string_equal(text, "5-x");
    assert_int_equal(st_arena_printf(&text, arena, NULL, "%s", ""), STRATA_OK);
    assert_string_equal(text, "");
    st_arena_free(arena);
}

/* ---- the clock ---- */

static void test_clock_moves_forward(void **state) {
    (void)state;
    double start = st_clock_s();
    usleep(2000);
    double passed = st_clock_s() - start;
    assert_true(passed >= 0.002 && passed < 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_cut_and_printable),
        cmocka_unit_test(test_error_gets_file_hint_and_context),
        cmocka_unit_test(test_status_has_a_name),
        cmocka_unit_test(test_size_arithmetic_sees_overflow),
        cmocka_unit_test(test_arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(test_arena_refuses_overflow),
        cmocka_unit_test(test_arena_makes_texts),
        cmocka_unit_test(test_clock_moves_forward),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
