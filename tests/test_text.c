/* base: text that grows, and what it knows of names and UTF-8. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base_case.h"

static void test_text_grows_and_pads(void **state) {
    (void)state;
    st_text text = {0};
    char *out = NULL;
    st_text_add(&text, "first\nd\xc3\xa9j\xc3\xa0");
    st_text_pad(&text, 6);
    st_text_add(&text, "|");
    st_text_pad(&text, 3);
    assert_int_equal(st_text_finish(&out, &text, NULL), STRATA_OK);
    assert_string_equal(out, "first\nd\xc3\xa9j\xc3\xa0  |");
    strata_text_free(out);
    strata_text_free(NULL);
    for (int i = 0; i < 5000; i++) {
        st_text_add(&text, "%d %0100d,", i, i);
    }
    assert_int_equal(strlen(text.bytes), text.length);
    st_text_free(&text);
    assert_int_equal(st_text_finish(&out, &text, NULL), STRATA_OK);
    assert_string_equal(out, "");
    strata_text_free(out);
}

static void test_text_ignores_the_locale(void **state) {
    (void)state;
    const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "C.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < ST_COUNT_OF(names) && !set; i++) {
        set = setlocale(LC_ALL, names[i]) != NULL;
    }
    st_text text = {0};
    st_text_add(&text, "%.2f", 1.5);
    assert_string_equal(text.bytes, "1.50");
    st_text_free(&text);
    st_arena *arena = new_arena();
    st_json json = {.text = "2.5", .length = 3, .file = "x", .arena = arena};
    double number = 0;
    assert_int_equal(st_json_number(&json, &number, NULL), STRATA_OK);
    assert_true(number == 2.5);
    st_arena_free(arena);
    setlocale(LC_ALL, "C");
}

static void test_text_finds_the_nearest_name(void **state) {
    (void)state;
    static const char *const names[] = {"conv", "max_pool", "average_pool", "relu", "softmax", "fc"};
    const size_t count = ST_COUNT_OF(names);
    assert_string_equal(st_text_nearest("cnov", names, count), "conv");
    assert_string_equal(st_text_nearest("sotfmax", names, count), "softmax");
    assert_string_equal(st_text_nearest("maxpool", names, count), "max_pool");
    assert_string_equal(st_text_nearest("rel", names, count), "relu");
    assert_string_equal(st_text_nearest("relu", names, count), "relu");
    assert_null(st_text_nearest("transformer", names, count));
    assert_null(st_text_nearest("", names, count));
    assert_null(st_text_nearest("xy", names, count));
}

static void test_text_knows_utf8(void **state) {
    (void)state;
    static const char *const good[] = {
        "", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xff",
                                      "\xc3("};
    for (size_t i = 0; i < ST_COUNT_OF(good); i++) {
        assert_true(st_text_is_utf8(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < ST_COUNT_OF(bad); i++) {
        assert_false(st_text_is_utf8(bad[i], strlen(bad[i])));
    }
    char out[4];
    st_text_printable(out, sizeof out, "ab\xe2\x82\xac", 5); /* the sign does not fit: left away whole */
    assert_string_equal(out, "ab");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_grows_and_pads),
        cmocka_unit_test(test_text_ignores_the_locale),
        cmocka_unit_test(test_text_finds_the_nearest_name),
        cmocka_unit_test(test_text_knows_utf8),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
