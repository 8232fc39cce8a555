/* For tests: pieces of pickles, and files in PyTorch's forms made of them. */
#ifndef TESTS_PTH_CASE_H
#define TESTS_PTH_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/formats.h"
#include "formats/zip.h"

/* Pieces of pickles. A text of at most 9 letters, with its length written out. */
#define TEXT(length, text) "X" length "\0\0\0" text
#define ORDERED "ccollections\nOrderedDict\n"
#define STORAGE(class, key, count) "(" TEXT("\x07", "storage") class TEXT("\x01", key) TEXT("\x03", "cpu") count "tQ"
#define FLOATS "ctorch\nFloatStorage\n"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
/* With an offset, tuples of sides and strides, and what is behind them. */
#define TENSOR(storage, rest) REBUILD "(" storage rest "\x89" ORDERED ")RtR"

/* ---- files ---- */

typedef struct file_bytes {
    unsigned char *bytes; /* the caller frees it */
    size_t length;
} file_bytes;

static inline file_bytes read_bytes(const char *path) {
    file_bytes out = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    out.length = (size_t)ftell(file);
    rewind(file);
    out.bytes = malloc(out.length + 1);
    assert_non_null(out.bytes);
    assert_int_equal(fread(out.bytes, 1, out.length, file), out.length);
    fclose(file);
    return out;
}

static inline void put_bytes(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

typedef struct member {
    const char *name, *bytes;
    size_t length;
} member;

/* A member whose bytes are a literal. */
#define MEMBER(name, literal)                                                                                          \
    { name, literal, sizeof(literal) - 1 }

static inline void put_zip(const char *path, const member *members, size_t count) {
    st_writer writer;
    st_zip_writer zip = {.writer = &writer};
    assert_int_equal(st_arena_create(&zip.arena, NULL), STRATA_OK);
    assert_int_equal(st_writer_begin(&writer, path, NULL), STRATA_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(st_zip_begin(&zip, members[i].name, 64, NULL), STRATA_OK);
        assert_int_equal(st_zip_add(&zip, members[i].bytes, members[i].length, NULL), STRATA_OK);
        assert_int_equal(st_zip_end(&zip, NULL), STRATA_OK);
    }
    assert_int_equal(st_zip_finish(&zip, NULL), STRATA_OK);
    assert_int_equal(st_writer_commit(&writer, NULL), STRATA_OK);
    st_arena_free(zip.arena);
}

static inline void refused_file(const char *path, strata_status status, const char *message) {
    strata_error err = {0};
    st_weights weights;
    strata_status found = st_weights_open(&weights, path, &err);
    if (found != status || strcmp(err.message, message) != 0) {
        fail_msg("status %d: %s\nexpected %d: %s", (int)found, err.message, (int)status, message);
    }
    assert_string_equal(err.file, path);
    assert_null(weights.arena);
}

static inline st_weights opened(const char *path) {
    strata_error err = {0};
    st_weights weights;
    if (st_weights_open(&weights, path, &err) != STRATA_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    return weights;
}

/* Reads all there is, if the file is taken at all: nothing but a status may come of it. */
static inline void read_whatever(const char *path) {
    st_weights weights;
    strata_error err = {0};
    double values[64];
    if (st_weights_open(&weights, path, &err) != STRATA_OK) {
        assert_true(err.message[0] != '\0');
        return;
    }
    for (size_t i = 0; i < weights.tensor_count; i++) {
        const st_tensor *tensor = &weights.tensors[i];
        for (size_t done = 0; done < tensor->count;) {
            size_t now = tensor->count - done < 64 ? tensor->count - done : 64;
            assert_int_equal(st_weights_read_doubles(&weights, tensor, done, now, values, &err), STRATA_OK);
            done += now;
        }
    }
    st_weights_close(&weights);
}

#endif
