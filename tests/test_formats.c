/* formats: safetensors, what it takes, what it refuses and with which words, and that others read what it writes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/formats.h"

static char folder[64], path[128], script[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-formats-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/t.safetensors", folder);
    snprintf(script, sizeof script, "%s/read.py", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    unlink(script);
    return rmdir(folder);
}

/* A file from a head and its data. */
static void put_parts(uint64_t head_length, const char *head, size_t head_bytes, const void *data, size_t data_bytes) {
    unsigned char prefix[8];
    st_stored_put(prefix, 8, head_length);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(prefix, 1, 8, file);
    fwrite(head, 1, head_bytes, file);
    fwrite(data, 1, data_bytes, file);
    assert_int_equal(fclose(file), 0);
}

static void put_head(const char *head, const void *data, size_t data_bytes) {
    put_parts(strlen(head), head, strlen(head), data, data_bytes);
}

/* ---- what is refused, one broken rule at a time ---- */

static void refused(const char *head, size_t data_bytes, strata_status status, const char *message) {
    static const unsigned char zeros[256];
    strata_error err = {0};
    st_weights weights;
    put_head(head, zeros, data_bytes);
    assert_int_equal(st_weights_open(&weights, path, &err), status);
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, path);
    assert_null(weights.arena);
    st_weights_close(&weights);
}

#define TENSOR(name, type, shape, begin, end)                                                                          \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

static void test_safetensors_refuses_bad_places(void **state) {
    (void)state;
    refused("{" TENSOR("a", "F32", "2", 0, 8) "}", 12, STRATA_FORMAT,
            "the data of the tensors ends at 8, 12 bytes are there");
    refused("{" TENSOR("a", "F32", "2", 0, 8) "}", 7, STRATA_FORMAT,
            "tensor 'a': data_offsets 0 to 8, expected to lie in the 7 bytes of data");
    refused("{" TENSOR("a", "F32", "1", 4, 8) "}", 8, STRATA_FORMAT,
            "tensor 'a': its data begins at 4, expected 0 (a hole)");
    refused("{" TENSOR("a", "F32", "1", 0, 4) "," TENSOR("b", "F32", "1", 8, 12) "}", 12, STRATA_FORMAT,
            "tensor 'b': its data begins at 8, expected 4 (a hole)");
    refused("{" TENSOR("a", "F32", "2", 0, 8) "," TENSOR("b", "F32", "2", 4, 12) "}", 12, STRATA_FORMAT,
            "tensor 'b': its data begins at 4, expected 8 (an overlap)");
    refused("{" TENSOR("a", "F32", "2", 0, 8) "," TENSOR("b", "F32", "2", 0, 8) "}", 8, STRATA_FORMAT,
            "tensor 'b': its data begins at 0, expected 8 (an overlap)");
    refused("{" TENSOR("a", "F32", "0", 2, 2) "," TENSOR("b", "F32", "1", 0, 4) "}", 4, STRATA_FORMAT,
            "tensor 'a': its data begins at 2, expected 4 (an overlap)");
    refused("{" TENSOR("a", "F32", "1", 4, 0) "}", 4, STRATA_FORMAT,
            "tensor 'a': data_offsets 4 to 0, expected to lie in the 4 bytes of data");
    refused("{" TENSOR("a", "F32", "1", 0, 18446744073709551615) "}", 4, STRATA_FORMAT,
            "tensor 'a': data_offsets 0 to 18446744073709551615, expected to lie in the 4 bytes of data");
    refused("{}", 1, STRATA_FORMAT, "the data of the tensors ends at 0, 1 bytes are there");
}

static void test_safetensors_refuses_bad_shapes_and_types(void **state) {
    (void)state;
    refused("{" TENSOR("a", "F32", "3", 0, 8) "}", 8, STRATA_FORMAT,
            "tensor 'a': its shape has 3 values of type F32, its data_offsets hold 8 bytes");
    refused("{" TENSOR("a", "F32", "4294967296,4294967296", 0, 0) "}", 0, STRATA_FORMAT,
            "tensor 'a': the product of its sides overflows");
    refused("{" TENSOR("a", "F64", "2305843009213693952", 0, 0) "}", 0, STRATA_FORMAT,
            "tensor 'a': its shape has 2305843009213693952 values of type F64, its data_offsets hold 0 bytes");
    refused("{" TENSOR("a", "F32", "9223372036854775808,0", 0, 0) "}", 0, STRATA_FORMAT,
            "tensor 'a': the product of its sides overflows");
    refused("{" TENSOR("a", "F32", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", 0, 4) "}", 4, STRATA_UNSUPPORTED,
            "tensor 'a': more than 16 sides");
    refused("{" TENSOR("a", "F8_E4M3", "1", 0, 1) "}", 1, STRATA_UNSUPPORTED,
            "tensor 'a': dtype 'F8_E4M3' is not known, expected F32, F64, F16, BF16, I8 to I64, U8 to U64 or BOOL");
    refused("{" TENSOR("a", "F32", "-1", 0, 4) "}", 4, STRATA_FORMAT,
            "JSON, byte 37: found '-', expected a whole number from 0 to 2^64 - 1");
    refused("{" TENSOR("a", "F32", "1.0", 0, 4) "}", 4, STRATA_FORMAT,
            "JSON, byte 37: found '1', expected a whole number from 0 to 2^64 - 1");
}

static void test_safetensors_refuses_bad_names_and_keys(void **state) {
    (void)state;
    refused("{" TENSOR("a", "F32", "1", 0, 4) "," TENSOR("a", "F32", "1", 4, 8) "}", 8, STRATA_FORMAT,
            "tensor 'a' is there twice");
    refused("{" TENSOR("a", "F32", "1", 0, 4) "," TENSOR("\\u0061", "F32", "1", 4, 8) "}", 8, STRATA_FORMAT,
            "tensor 'a' is there twice");
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, STRATA_FORMAT, "'__metadata__' is there twice");
    refused("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, STRATA_FORMAT, "metadata 'k' is there twice");
    refused("{\"__metadata__\":{\"k\":1}}", 0, STRATA_FORMAT, "JSON, byte 29: found '1', expected a string");
    refused("{\"__metadata__\":{\"k\":\"\\u0000\"}}", 0, STRATA_FORMAT, "metadata 'k': a text with a zero byte in it");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, STRATA_FORMAT, "tensor 'a': data_offsets is missing");
    refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}", 0, STRATA_FORMAT, "tensor 'a': shape is missing");
    refused("{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", 0, STRATA_FORMAT, "tensor 'a': dtype is missing");
    refused("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0, STRATA_FORMAT,
            "tensor 'a': found key 'dtype' twice, expected dtype, shape and data_offsets once each");
    refused("{\"a\":{\"stride\":[]}}", 0, STRATA_FORMAT,
            "tensor 'a': found key 'stride', expected dtype, shape and data_offsets once each");
    refused("{\"a\":{\"data_offsets\":[0]}}", 0, STRATA_FORMAT, "byte 32: data_offsets must be two numbers");
    refused("{\"a\":{\"data_offsets\":[0,0,0]}}", 0, STRATA_FORMAT, "byte 34: data_offsets must be two numbers");
    refused("{\"\033[2J\":{}}", 0, STRATA_FORMAT,
            "JSON, byte 10: found byte 0x1b, expected the end of the string ('\"')");
    refused("{\"\\u001b[2J\":{}}", 0, STRATA_FORMAT, "tensor '?[2J': dtype is missing");
    refused("{\"\xff\":{}}", 0, STRATA_FORMAT, "JSON, byte 10: found byte 0xff, expected text in UTF-8");
}

static void unknown(void) {
    static const char says[] = "it holds no weights in a known format: safetensors";
    strata_error err = {0};
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, path, &err), STRATA_FORMAT);
    assert_memory_equal(err.message, says, sizeof says - 1);
}

static void test_safetensors_refuses_a_bad_head(void **state) {
    (void)state;
    strata_error err = {0};
    st_weights weights;
    put_head("[]", "", 0);
    unknown();
    put_head(" {}", "", 0);
    unknown();
    refused("{} x", 0, STRATA_FORMAT, "JSON, byte 11: found 'x', expected nothing more");
    refused("{", 0, STRATA_FORMAT, "not safetensors: byte 8 is not '{'");
    refused("{ ", 0, STRATA_FORMAT, "JSON ends at byte 10, expected a name in quotes");
    put_parts(100000001, "{}", 2, "", 0);
    assert_int_equal(st_weights_open(&weights, path, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "not safetensors: its head would have 100000001 bytes, at most 100000000 allowed");
    put_parts(UINT64_MAX, "{}", 2, "", 0);
    assert_int_equal(st_weights_open(&weights, path, &err), STRATA_FORMAT);
    put_parts(3, "{}", 2, "", 0);
    assert_int_equal(st_weights_open(&weights, path, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "cut: its head has 3 bytes, 2 are there");
    for (int length = 0; length < 8; length++) {
        put_parts(2, "", 0, "", 0);
        assert_int_equal(truncate(path, length), 0);
        if (length > 0) {
            unknown();
        } else {
            assert_int_equal(st_weights_open(&weights, path, &err), STRATA_FORMAT);
            assert_string_equal(err.message, "it is empty, expected weights");
        }
    }
    unlink(path);
    assert_int_equal(st_weights_open(&weights, path, &err), STRATA_MISSING);
    assert_int_equal(st_weights_open(&weights, folder, &err), STRATA_UNSUPPORTED);
}

/* ---- what is taken ---- */

static void test_safetensors_takes_scalars_empties_and_any_order(void **state) {
    (void)state;
    st_weights weights;
    st_real value = 0;
    put_head("{" TENSOR("z", "F32", "", 4, 8) "," TENSOR(
                 "e", "F32", "3,0", 4, 4) ",\"__metadata__\":{\"k\":\"v\\n\"}," TENSOR("a", "F32", "1,1", 0,
                                                                                       4) "," TENSOR("f", "I64", "0", 8,
                                                                                                     8) "}   ",
             "\0\0\200\77\0\0\0\100", 8);
    assert_int_equal(st_weights_open(&weights, path, NULL), STRATA_OK);
    assert_int_equal(weights.tensor_count, 4);
    assert_string_equal(weights.tensors[0].name, "a");
    assert_string_equal(weights.tensors[1].name, "e");
    assert_string_equal(weights.tensors[2].name, "z");
    assert_string_equal(weights.tensors[3].name, "f");
    const st_tensor *scalar = st_weights_find(&weights, "z");
    assert_non_null(scalar);
    assert_int_equal(scalar->rank, 0);
    assert_int_equal(scalar->count, 1);
    assert_int_equal(st_weights_read(&weights, scalar, &value, NULL), STRATA_OK);
    assert_true(value == (st_real)2);
    assert_int_equal(st_weights_find(&weights, "e")->count, 0);
    assert_int_equal(st_weights_read(&weights, st_weights_find(&weights, "e"), &value, NULL), STRATA_OK);
    assert_null(st_weights_find(&weights, "b"));
    assert_string_equal(st_weights_metadata(&weights, "k"), "v\n");
    assert_null(st_weights_metadata(&weights, "other"));
    st_weights_close(&weights);
    st_weights_close(&weights);
    put_head("{}", "", 0);
    assert_int_equal(st_weights_open(&weights, path, NULL), STRATA_OK);
    assert_null(st_weights_find(&weights, ""));
    st_weights_close(&weights);
}

static void test_safetensors_converts_every_real_type(void **state) {
    (void)state;
    st_weights weights;
    strata_error err;
    st_real got[7];
    int64_t integers[7];
    /* 1, -2, the smallest subnormal, infinity, NaN, 65504, -0 in binary16 */
    put_head("{" TENSOR("h", "F16", "7", 0, 14) "}", "\x00\x3c\x00\xc0\x01\x00\x00\x7c\x01\x7e\xff\x7b\x00\x80", 14);
    assert_int_equal(st_weights_open(&weights, path, NULL), STRATA_OK);
    assert_int_equal(st_weights_read(&weights, &weights.tensors[0], got, NULL), STRATA_OK);
    assert_true(got[0] == 1 && got[1] == -2 && got[2] == (st_real)0x1p-24 && isinf(got[3]) && isnan(got[4]));
    assert_true(got[5] == 65504 && got[6] == 0 && signbit(got[6]));
    assert_int_equal(st_weights_read_integers(&weights, &weights.tensors[0], integers, &err), STRATA_UNSUPPORTED);
    assert_string_equal(err.message, "tensor 'h': found F16, expected integers");
    st_weights_close(&weights);
    put_head("{" TENSOR("b", "BF16", "2", 0, 4) "," TENSOR("d", "F64", "1", 4, 12) "}",
             "\x80\x3f\x49\xc0\x00\x00\x00\x00\x00\x00\xe0\x3f", 12);
    assert_int_equal(st_weights_open(&weights, path, NULL), STRATA_OK);
    assert_int_equal(st_weights_read(&weights, &weights.tensors[0], got, NULL), STRATA_OK);
    assert_true(got[0] == 1 && got[1] == (st_real)-3.140625);
    assert_int_equal(st_weights_read(&weights, &weights.tensors[1], got, NULL), STRATA_OK);
    assert_true(got[0] == (st_real)0.5);
    st_weights_close(&weights);
    put_head("{" TENSOR("i", "I16", "2", 0, 4) "," TENSOR("j", "U8", "2", 4, 6) "," TENSOR(
                 "k", "BOOL", "1", 6, 7) "," TENSOR("l", "U64", "1", 7, 15) "}",
             "\xff\xff\x02\x00\xff\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff", 15);
    assert_int_equal(st_weights_open(&weights, path, NULL), STRATA_OK);
    assert_int_equal(st_weights_read_integers(&weights, &weights.tensors[0], integers, NULL), STRATA_OK);
    assert_true(integers[0] == -1 && integers[1] == 2);
    assert_int_equal(st_weights_read_integers(&weights, &weights.tensors[1], integers, NULL), STRATA_OK);
    assert_true(integers[0] == 255 && integers[1] == 1);
    assert_int_equal(st_weights_read_integers(&weights, &weights.tensors[2], integers, NULL), STRATA_OK);
    assert_true(integers[0] == 1);
    assert_int_equal(st_weights_read_integers(&weights, &weights.tensors[3], integers, &err), STRATA_FORMAT);
    assert_int_equal(st_weights_read(&weights, &weights.tensors[0], got, &err), STRATA_UNSUPPORTED);
    st_weights_close(&weights);
}

static void test_safetensors_every_half_is_exact(void **state) {
    (void)state;
    static unsigned char bytes[2 * 65536];
    static st_real got[65536];
    st_weights weights;
    for (unsigned i = 0; i < 65536; i++) {
        st_stored_put(bytes + 2 * i, 2, i);
    }
    put_head("{" TENSOR("h", "F16", "65536", 0, 131072) "}", bytes, sizeof bytes);
    assert_int_equal(st_weights_open(&weights, path, NULL), STRATA_OK);
    assert_int_equal(st_weights_read(&weights, &weights.tensors[0], got, NULL), STRATA_OK);
    for (unsigned i = 0; i < 65536; i++) {
        int exponent = i >> 10 & 31, fraction = i & 1023;
        double want = exponent == 31
                          ? (fraction != 0 ? NAN : INFINITY)
                          : ldexp(exponent > 0 ? 1024 + fraction : fraction, (exponent > 0 ? exponent : 1) - 25);
        want = i >= 32768 ? -want : want;
        assert_true(got[i] == (st_real)want || (isnan(got[i]) && isnan(want)));
    }
    st_weights_close(&weights);
}

static bool is_safetensors(const char *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    const st_format *format = NULL;
    assert_int_equal(st_format_probe(&format, path, NULL), STRATA_OK);
    return format != NULL && strcmp(format->name, "safetensors") == 0;
}

static void test_safetensors_probe_looks_at_content(void **state) {
    (void)state;
    assert_true(is_safetensors("\x10\0\0\0\0\0\0\0{}", 10));
    assert_false(is_safetensors("# LeNet-{5 as it is", 19));
    assert_false(is_safetensors("\x10\0\0\0\0\0\0\0[]", 10));
    assert_false(is_safetensors("\x10\0\0\0\0\0\0\0", 8));
    assert_false(is_safetensors("", 0));
    unlink(path);
    const st_format *format = NULL;
    assert_int_equal(st_format_probe(&format, path, NULL), STRATA_OK);
    assert_null(format);
}

/* ---- round trips of random valid files ---- */

enum { MOST_TENSORS = 12, MOST_SIDES = 4 };

typedef struct sample {
    uint64_t seed, draws;
    st_tensor tensors[MOST_TENSORS];
    int64_t dims[MOST_TENSORS][MOST_SIDES];
    char names[MOST_TENSORS][32];
    size_t count;
    st_pair pairs[3];
    size_t pair_count;
} sample;

static size_t draw(sample *from, size_t bound) {
    return (size_t)(st_rng_bits(from->seed, st_rng_stream(ST_STREAM_TEST, 1), from->draws++) % bound);
}

static double real_value(const sample *from, size_t tensor, size_t i) {
    return (double)(float)st_rng_normal(from->seed, st_rng_stream(ST_STREAM_TEST, 2 + tensor), i);
}

static int64_t integer_value(const sample *from, size_t tensor, size_t i) {
    return (int64_t)st_rng_bits(from->seed, st_rng_stream(ST_STREAM_TEST, 2 + tensor), i);
}

static void make_sample(sample *out, uint64_t seed) {
    static const char *const strange[] = {"", "a\"b\\c", "caf\xc3\xa9\n\t", "\x01\x7f/\xf0\x9f\x98\x80"};
    *out = (sample){.seed = seed};
    out->count = draw(out, MOST_TENSORS + 1);
    out->pair_count = draw(out, 4);
    for (size_t i = 0; i < out->pair_count; i++) {
        out->pairs[i] = (st_pair){.name = i == 0 ? "net" : i == 1 ? "caf\xc3\xa9" : "", .value = strange[draw(out, 4)]};
    }
    for (size_t t = 0; t < out->count; t++) {
        st_tensor *tensor = &out->tensors[t];
        snprintf(out->names[t], sizeof out->names[t], "layer%zu.%s", draw(out, 1000) * 16 + t, strange[draw(out, 4)]);
        *tensor = (st_tensor){.name = out->names[t],
                              .stored = draw(out, 3) == 0 ? ST_STORED_I64 : ST_STORED_F32,
                              .rank = (int)draw(out, MOST_SIDES + 1),
                              .dims = out->dims[t],
                              .count = 1};
        for (int d = 0; d < tensor->rank; d++) {
            out->dims[t][d] = (int64_t)draw(out, draw(out, 4) == 0 ? 40 : 9);
            tensor->count *= (size_t)out->dims[t][d];
        }
    }
}

/* In pieces of random length. */
static void write_sample(sample *from) {
    static st_real values[64];
    static int64_t integers[64];
    st_weights_writer writer;
    assert_int_equal(
        st_weights_write_begin(&writer, path, from->tensors, from->count, from->pairs, from->pair_count, NULL),
        STRATA_OK);
    for (size_t t = 0; t < from->count; t++) {
        for (size_t done = 0, step = 0; done < from->tensors[t].count; done += step) {
            step = draw(from, 64) + 1;
            step = step > from->tensors[t].count - done ? from->tensors[t].count - done : step;
            for (size_t i = 0; i < step; i++) {
                values[i] = (st_real)real_value(from, t, done + i);
                integers[i] = integer_value(from, t, done + i);
            }
            assert_int_equal(from->tensors[t].stored == ST_STORED_F32
                                 ? st_weights_write(&writer, values, step, NULL)
                                 : st_weights_write_integers(&writer, integers, step, NULL),
                             STRATA_OK);
        }
    }
    assert_int_equal(st_weights_write_commit(&writer, NULL), STRATA_OK);
}

static void check_sample(const sample *want) {
    st_weights weights;
    strata_error err = {0};
    if (st_weights_open(&weights, path, &err) != STRATA_OK) {
        fail_msg("seed %d: %s", (int)want->seed, err.message);
    }
    assert_int_equal(weights.tensor_count, want->count);
    assert_int_equal(weights.pair_count, want->pair_count);
    for (size_t i = 0; i < want->pair_count; i++) {
        assert_string_equal(st_weights_metadata(&weights, want->pairs[i].name), want->pairs[i].value);
    }
    for (size_t t = 0; t < want->count; t++) {
        const st_tensor *tensor = st_weights_find(&weights, want->tensors[t].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->stored, want->tensors[t].stored);
        assert_int_equal(tensor->rank, want->tensors[t].rank);
        assert_int_equal(tensor->count, want->tensors[t].count);
        assert_memory_equal(tensor->dims, want->dims[t], (size_t)tensor->rank * sizeof(int64_t));
        st_real *reals = calloc(tensor->count + 1, sizeof *reals);
        int64_t *integers = calloc(tensor->count + 1, sizeof *integers);
        assert_non_null(reals);
        assert_non_null(integers);
        assert_int_equal(tensor->stored == ST_STORED_F32 ? st_weights_read(&weights, tensor, reals, NULL)
                                                         : st_weights_read_integers(&weights, tensor, integers, NULL),
                         STRATA_OK);
        for (size_t i = 0; i < tensor->count; i++) {
            assert_true(tensor->stored == ST_STORED_F32 ? reals[i] == (st_real)real_value(want, t, i)
                                                        : integers[i] == integer_value(want, t, i));
        }
        free(reals);
        free(integers);
    }
    if (weights.tensor_count > 0) {
        const st_tensor *first = &weights.tensors[0];
        assert_int_equal(first->offset % 8, 0);
    }
    st_weights_close(&weights);
}

static void test_safetensors_random_files_make_the_round(void **state) {
    (void)state;
    sample each;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        make_sample(&each, seed);
        write_sample(&each);
        check_sample(&each);
    }
}

static void test_safetensors_random_damage_never_harms(void **state) {
    (void)state;
    sample each;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        make_sample(&each, seed);
        write_sample(&each);
        st_arena *arena = NULL;
        char *bytes = NULL;
        size_t length = 0;
        assert_int_equal(st_arena_create(&arena, NULL), STRATA_OK);
        assert_int_equal(st_file_read(&bytes, &length, arena, path, 1 << 24, NULL), STRATA_OK);
        for (int round = 0; round < 40; round++) {
            st_weights weights = {0};
            st_arena *inner = NULL;
            strata_error err = {0};
            size_t at = draw(&each, length < 600 ? length : 600),
                   cut = draw(&each, 4) == 0 ? draw(&each, length) : length;
            char kept = bytes[at];
            bytes[at] = (char)draw(&each, 256);
            assert_int_equal(st_arena_create(&inner, NULL), STRATA_OK);
            strata_status status = st_safetensors_parse(&weights, inner, bytes, cut, cut, "damaged", &err);
            assert_true(status == STRATA_OK || (err.status == status && err.message[0] != '\0'));
            st_arena_free(inner);
            bytes[at] = kept;
        }
        st_arena_free(arena);
    }
}

/* ---- what the writer refuses ---- */

static void test_safetensors_writer_refuses_misuse(void **state) {
    (void)state;
    static const int64_t dims[] = {2, 3};
    static const int64_t numbers[6] = {1, 2, 3, 4, 5, 300};
    const st_real values[7] = {0};
    st_tensor tensor = {.name = "w", .stored = ST_STORED_F32, .rank = 2, .dims = dims};
    st_weights_writer writer;
    strata_error err;
    unlink(path);
    assert_int_equal(st_weights_write_begin(&writer, path, &tensor, 1, NULL, 0, &err), STRATA_OK);
    assert_int_equal(st_weights_write(&writer, values, 7, &err), STRATA_INVALID);
    assert_string_equal(err.message, "7 values given, 6 expected");
    assert_int_equal(st_weights_write_integers(&writer, numbers, 6, &err), STRATA_INVALID);
    assert_string_equal(err.message, "tensor 'w' is F32");
    assert_int_equal(st_weights_write(&writer, values, 5, &err), STRATA_OK);
    assert_int_equal(st_weights_write_commit(&writer, &err), STRATA_INVALID);
    assert_string_equal(err.message, "tensor 'w': 1 values are missing");
    assert_int_equal(access(path, F_OK), -1);
    tensor.stored = ST_STORED_U8;
    assert_int_equal(st_weights_write_begin(&writer, path, &tensor, 1, NULL, 0, &err), STRATA_OK);
    assert_int_equal(st_weights_write_integers(&writer, numbers, 6, &err), STRATA_INVALID);
    assert_string_equal(err.message, "tensor 'w': 300 does not fit U8");
    st_weights_write_cancel(&writer);
    st_weights_write_cancel(&writer);
    tensor.stored = ST_STORED_F16;
    assert_int_equal(st_weights_write_begin(&writer, path, &tensor, 1, NULL, 0, &err), STRATA_OK);
    assert_int_equal(st_weights_write(&writer, values, 6, &err), STRATA_INVALID);
    assert_string_equal(err.message, "tensor 'w' is F16");
    st_weights_write_cancel(&writer);
    tensor.stored = ST_STORED_F32;
    tensor.name = "\xff";
    assert_int_equal(st_weights_write_begin(&writer, path, &tensor, 1, NULL, 0, &err), STRATA_INVALID);
    const st_pair pair = {.name = "k", .value = "\xc3"};
    assert_int_equal(st_weights_write_begin(&writer, path, NULL, 0, &pair, 1, &err), STRATA_INVALID);
    static const int64_t huge[] = {INT64_MAX, INT64_MAX};
    tensor = (st_tensor){.name = "w", .rank = 2, .dims = huge};
    assert_int_equal(st_weights_write_begin(&writer, path, &tensor, 1, NULL, 0, &err), STRATA_INVALID);
    assert_int_equal(access(path, F_OK), -1);
}

/* ---- another reader, written from the specification ---- */

static const char python_reader[] =
    "import json, math, struct, sys\n"
    "data = open(sys.argv[1], 'rb').read()\n"
    "n, = struct.unpack('<Q', data[:8])\n"
    "assert (8 + n) % 8 == 0, 'alignment'\n"
    "assert data[8:9] == b'{'\n"
    "head = json.loads(data[8:8 + n].decode('utf-8'))\n"
    "assert head.pop('__metadata__') == {'net': 'line 1\\nline \"2\"', 'caf\\u00e9': '\\x01'}\n"
    "body, end = data[8 + n:], 0\n"
    "for name, about in sorted(head.items(), key=lambda item: item[1]['data_offsets']):\n"
    "    begin, stop = about['data_offsets']\n"
    "    size = {'F32': 4, 'I64': 8, 'U8': 1}[about['dtype']]\n"
    "    assert begin == end and stop - begin == size * math.prod(about['shape'])\n"
    "    end = stop\n"
    "assert end == len(body)\n"
    "def values(name, code):\n"
    "    begin, stop = head[name]['data_offsets']\n"
    "    return list(struct.unpack('<%d%s' % (math.prod(head[name]['shape']), code), body[begin:stop]))\n"
    "assert head['conv1.weight']['shape'] == [2, 1, 3] and head['scalar']['shape'] == []\n"
    "assert values('conv1.weight', 'f') == [0.5, -1.25, 3.0, 1e10, 2.0 ** -149, 0.0]\n"
    "assert values('scalar', 'f') == [7.0]\n"
    "assert values('steps', 'q') == [-1, 2 ** 40]\n"
    "assert values('bytes', 'B') == [0, 255, 7]\n"
    "assert values('none', 'f') == []\n"
    "print('ok')\n";

static void test_safetensors_is_read_by_an_independent_reader(void **state) {
    (void)state;
    static const int64_t dims[] = {2, 1, 3, 0};
    const st_real values[] = {(st_real)0.5, (st_real)-1.25, 3, (st_real)1e10, (st_real)0x1p-149, 0, 7};
    static const int64_t steps[] = {-1, (int64_t)1 << 40}, bytes[] = {0, 255, 7};
    const st_tensor tensors[] = {{.name = "conv1.weight", .rank = 3, .dims = dims},
                                 {.name = "scalar"},
                                 {.name = "none", .rank = 1, .dims = dims + 3},
                                 {.name = "steps", .stored = ST_STORED_I64, .rank = 1, .dims = dims},
                                 {.name = "bytes", .stored = ST_STORED_U8, .rank = 1, .dims = dims + 2}};
    const st_pair pairs[] = {{"net", "line 1\nline \"2\""}, {"caf\xc3\xa9", "\x01"}};
    st_weights_writer writer;
    assert_int_equal(st_weights_write_begin(&writer, path, tensors, 5, pairs, 2, NULL), STRATA_OK);
    assert_int_equal(st_weights_write(&writer, values, 6, NULL), STRATA_OK);
    assert_int_equal(st_weights_write(&writer, values + 6, 1, NULL), STRATA_OK);
    assert_int_equal(st_weights_write_integers(&writer, steps, 2, NULL), STRATA_OK);
    assert_int_equal(st_weights_write_integers(&writer, bytes, 3, NULL), STRATA_OK);
    assert_int_equal(st_weights_write_commit(&writer, NULL), STRATA_OK);
    if (system("python3 -c 'import json' >/dev/null 2>&1") != 0) {
        print_message("skip: no python3 to read the file with\n");
        skip();
    }
    char command[400];
    FILE *file = fopen(script, "w");
    assert_non_null(file);
    fputs(python_reader, file);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof command, "python3 %s %s >/dev/null", script, path);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors_refuses_bad_places),
        cmocka_unit_test(test_safetensors_refuses_bad_shapes_and_types),
        cmocka_unit_test(test_safetensors_refuses_bad_names_and_keys),
        cmocka_unit_test(test_safetensors_refuses_a_bad_head),
        cmocka_unit_test(test_safetensors_takes_scalars_empties_and_any_order),
        cmocka_unit_test(test_safetensors_converts_every_real_type),
        cmocka_unit_test(test_safetensors_every_half_is_exact),
        cmocka_unit_test(test_safetensors_probe_looks_at_content),
        cmocka_unit_test(test_safetensors_random_files_make_the_round),
        cmocka_unit_test(test_safetensors_random_damage_never_harms),
        cmocka_unit_test(test_safetensors_writer_refuses_misuse),
        cmocka_unit_test(test_safetensors_is_read_by_an_independent_reader),
    };
    return cmocka_run_group_tests_name("formats", tests, make_folder, remove_folder);
}
