/* base: JSON, what it reads, what it refuses, and that quoted text is read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base_case.h"

static st_json json_of(const char *text, st_arena *arena) {
    return (st_json){.text = text, .length = strlen(text), .file = "t.json", .arena = arena};
}

static void test_json_reads_all_kinds(void **state) {
    (void)state;
    st_arena *arena = new_arena();
    st_json json =
        json_of(" { \"a\\u00e9\\ud83d\\ude00\\n\" : [ 1, -2.5e3 ,18446744073709551615 ] , \"b\" : {}, \"c\":[],"
                "\"d\":true,\"e\":{\"x\":[null,false,\"s\\\"\"]} } \n",
                arena);
    bool more = false;
    char *key = NULL;
    double number = 0;
    uint64_t size = 0;
    st_json_kind kind = ST_JSON_NULL;
    assert_int_equal(st_json_enter(&json, '{', NULL), STRATA_OK);
    assert_int_equal(st_json_next(&json, &more, &key, NULL), STRATA_OK);
    assert_true(more);
    assert_string_equal(key, "a\xc3\xa9\xf0\x9f\x98\x80\n");
    assert_int_equal(st_json_peek(&json, &kind, NULL), STRATA_OK);
    assert_int_equal(kind, ST_JSON_ARRAY);
    assert_int_equal(st_json_enter(&json, '[', NULL), STRATA_OK);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_int_equal(st_json_size(&json, &size, NULL), STRATA_OK);
    assert_int_equal(size, 1);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_int_equal(st_json_number(&json, &number, NULL), STRATA_OK);
    assert_true(number == -2500.0);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_int_equal(st_json_size(&json, &size, NULL), STRATA_OK);
    assert_true(size == UINT64_MAX);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_false(more);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(st_json_next(&json, &more, &key, NULL), STRATA_OK);
        assert_true(more);
        assert_int_equal(key[0], 'b' + i);
        assert_int_equal(st_json_skip(&json, NULL), STRATA_OK);
    }
    assert_int_equal(st_json_next(&json, &more, &key, NULL), STRATA_OK);
    assert_false(more);
    assert_int_equal(st_json_end(&json, NULL), STRATA_OK);
    st_arena_free(arena);
}

static void test_json_refuses_what_is_not_json(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",        "{",           "[1,]",        "{\"a\":1,}",  "[1 2]",         "{\"a\" 1}", "{a:1}",
        "[01]",    "[1.]",        "[.5]",        "[+1]",        "[1e]",          "[-]",       "\"a",
        "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"", "\"\t\"",        "[tru]",     "[nulL]",
        "1 2",     "[1}",         "{\"a\":1]",   "[,1]",        "{,}",           "\"\xff\"",  "[\"\\u\"]",
        "NaN",     "[Infinity]",  "'a'",         "[1]/*c*/",    "\"\\ud83d x\"", "{\"a\":}",  "\xef\xbb\xbf[]"};
    for (size_t i = 0; i < ST_COUNT_OF(bad); i++) {
        strata_error err = {0};
        st_arena *arena = new_arena();
        st_json json = json_of(bad[i], arena);
        strata_status status = st_json_skip(&json, &err);
        status = status == STRATA_OK ? st_json_end(&json, &err) : status;
        if (status != STRATA_FORMAT) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_string_equal(err.file, "t.json");
        assert_non_null(strstr(err.message, "byte"));
        st_arena_free(arena);
    }
}

static void test_json_bounds_depth_and_numbers(void **state) {
    (void)state;
    char deep[4000];
    strata_error err;
    st_arena *arena = new_arena();
    memset(deep, '[', sizeof deep);
    st_json json = {.text = deep, .length = sizeof deep, .file = "t.json", .arena = arena};
    assert_int_equal(st_json_skip(&json, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "JSON, byte 64: nested deeper than 64");
    uint64_t size = 0;
    static const char *const bad[] = {"18446744073709551616", "-1", "1.0", "1e2", "99999999999999999999999"};
    for (size_t i = 0; i < ST_COUNT_OF(bad); i++) {
        json = json_of(bad[i], arena);
        assert_int_equal(st_json_size(&json, &size, &err), STRATA_FORMAT);
    }
    char *key = NULL;
    bool more = false;
    json = json_of("{\"a\\u0000b\":1}", arena);
    assert_int_equal(st_json_enter(&json, '{', &err), STRATA_OK);
    assert_int_equal(st_json_next(&json, &more, &key, &err), STRATA_FORMAT);
    st_arena_free(arena);
}

static void test_json_quote_is_read_back(void **state) {
    (void)state;
    char all[128];
    st_text text = {0};
    st_arena *arena = new_arena();
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (char)i;
    }
    st_json_quote(&text, all, sizeof all);
    st_json json = {.text = text.bytes, .length = text.length, .file = "q", .arena = arena};
    char *back = NULL;
    size_t length = 0;
    assert_int_equal(st_json_string(&json, &back, &length, NULL), STRATA_OK);
    assert_int_equal(length, sizeof all);
    assert_memory_equal(back, all, sizeof all);
    st_text_free(&text);
    st_arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_reads_all_kinds),
        cmocka_unit_test(test_json_refuses_what_is_not_json),
        cmocka_unit_test(test_json_bounds_depth_and_numbers),
        cmocka_unit_test(test_json_quote_is_read_back),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
