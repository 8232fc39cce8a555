/* The comparison of two safetensors files, tensor by tensor. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "base_case.h"
#include "lab.h"

static int empty_folder(void **state) {
    unlink(in_folder("a"));
    unlink(in_folder("b"));
    return remove_folder(state);
}

static void write_file(const char *name, const char *head, const void *data, size_t length) {
    unsigned char bytes[1024] = {0};
    size_t head_length = strlen(head);
    strata_error err = {0};
    assert_true(ST_HEAD_PREFIX + head_length + length <= sizeof bytes);
    st_stored_put(bytes, ST_HEAD_PREFIX, head_length);
    memcpy(bytes + ST_HEAD_PREFIX, head, head_length);
    memcpy(bytes + ST_HEAD_PREFIX + head_length, data, length);
    must(strata_file_write(in_folder(name), bytes, ST_HEAD_PREFIX + head_length + length, &err), &err);
}

static strata_comparison compare(void) {
    strata_comparison c;
    strata_error err = {0};
    must(strata_compare(&c, in_folder("a"), in_folder("b"), &err), &err);
    return c;
}

static void test_comparison_reads_every_type(void **state) {
    (void)state;
    /* 1, 2 as F16 and BF16, -3 as I64 and I8, 0.5 as F64 and F32. */
    static const unsigned char first[] = {0x00, 0x3C, 0x00, 0x40, 0xFD, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                          0xFF, 0xFF, 0,    0,    0,    0,    0,    0,    0xE0, 0x3F};
    static const unsigned char second[] = {0x80, 0x3F, 0x00, 0x40, 0xFD, 0, 0, 0, 0x3F};
    write_file(
        "a",
        "{\"half\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},\"whole\":{\"dtype\":\"I64\",\"shape\":[1],"
        "\"data_offsets\":[4,12]},\"wide\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[12,20]}}",
        first, sizeof first);
    write_file(
        "b",
        "{\"half\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},\"whole\":{\"dtype\":\"I8\",\"shape\":[1],"
        "\"data_offsets\":[4,5]},\"wide\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[5,9]}}",
        second, sizeof second);
    strata_comparison c = compare();
    assert_int_equal(c.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(c.differences[i].match, STRATA_MATCHED);
        assert_true(c.differences[i].max_abs == 0 && c.differences[i].rel_norm == 0);
    }
    assert_string_equal(c.differences[0].name, "half");
    assert_string_equal(c.differences[2].name, "wide");
    strata_comparison_free(&c);
}

static void test_comparison_finds_what_differs_in_the_first_files_order(void **state) {
    (void)state;
    static const float first[] = {1, 2, 2, 7, 5}, second[] = {3, 4, 0, 3, 5, 6};
    write_file("a",
               "{\"z\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"y\":{\"dtype\":\"F32\",\"shape\":[2],"
               "\"data_offsets\":[8,16]},\"only\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]}}",
               first, sizeof first);
    write_file(
        "b",
        "{\"more\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[20,24]},\"z\":{\"dtype\":\"F32\",\"shape\":[2],"
        "\"data_offsets\":[0,8]},\"y\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[8,20]}}",
        second, sizeof second);
    strata_comparison c = compare();
    assert_int_equal(c.count, 4);
    assert_string_equal(c.differences[0].name, "z"); /* 1, 2 against 3, 4 */
    assert_true(c.differences[0].max_abs == 2);
    assert_true(c.differences[0].rel_norm == st_sqrt(8.0 / 25.0));
    assert_string_equal(c.differences[1].name, "y");
    assert_int_equal(c.differences[1].match, STRATA_SHAPE_DIFFERS);
    assert_string_equal(c.differences[1].shape, "2");
    assert_string_equal(c.differences[1].other_shape, "1x3");
    assert_int_equal(c.differences[2].match, STRATA_ONLY_FIRST);
    assert_string_equal(c.differences[3].name, "more");
    assert_int_equal(c.differences[3].match, STRATA_ONLY_SECOND);
    strata_comparison_free(&c);
}

static void test_comparison_of_numbers_that_are_not_finite(void **state) {
    (void)state;
    const char *head =
        "{\"same\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},\"other\":{\"dtype\":\"F32\","
        "\"shape\":[2],\"data_offsets\":[12,20]},\"zero\":{\"dtype\":\"F32\",\"shape\":[1],"
        "\"data_offsets\":[20,24]}}";
    const float first[] = {NAN, INFINITY, 2, NAN, 1, 1e-9F}, second[] = {NAN, INFINITY, 2, 1, 1, 0};
    write_file("a", head, first, sizeof first);
    write_file("b", head, second, sizeof second);
    strata_comparison c = compare();
    assert_true(c.differences[0].max_abs == 0 && c.differences[0].rel_norm == 0);
    assert_true(isinf(c.differences[1].max_abs) && isinf(c.differences[1].rel_norm));
    assert_true(isinf(c.differences[2].rel_norm)); /* of a reference that is zero */
    strata_comparison_free(&c);
}

static void test_comparison_of_a_file_that_is_missing_or_cut(void **state) {
    (void)state;
    strata_comparison c;
    strata_error err = {0};
    const float one = 1;
    write_file("a", "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", &one, sizeof one);
    write_file("b", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", &one, sizeof one);
    assert_int_equal(strata_compare(&c, in_folder("a"), in_folder("b"), &err), STRATA_FORMAT);
    assert_null(c.differences);
    assert_int_equal(strata_compare(&c, in_folder("none"), in_folder("a"), &err), STRATA_MISSING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparison_reads_every_type),
        cmocka_unit_test(test_comparison_finds_what_differs_in_the_first_files_order),
        cmocka_unit_test(test_comparison_of_numbers_that_are_not_finite),
        cmocka_unit_test(test_comparison_of_a_file_that_is_missing_or_cut),
    };
    return cmocka_run_group_tests(tests, make_folder, empty_folder);
}
