/* Models of other programs under tests/golden, run and compared with what those programs answer: NAME.answers has
 * pictures, bytes [rows][columns][channels], then the logits of each, fp64, as the scripts beside them say. */
#ifndef FOREIGN_CASE_H
#define FOREIGN_CASE_H

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

enum { FOREIGN_PICTURES = 2 };

/* Logits in fp32 of a few layers with values about 1, against fp64: sums of a hundred products. */
static const double foreign_tolerance = 2e-5;

static inline unsigned char *foreign_read(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s: cannot be opened", path);
    }
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*length + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *length, file), *length);
    fclose(file);
    bytes[*length] = '\0';
    return bytes;
}

static inline void foreign_write(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Softmax, and what strata gives, are compared as logarithms: errors of logits, but for a number that all share. */
static inline void foreign_compare(const char *name, const double *logits, const float *found, size_t classes) {
    double most = logits[0], sum = 0.0;
    for (size_t i = 0; i < classes; i++) {
        most = logits[i] > most ? logits[i] : most;
    }
    for (size_t i = 0; i < classes; i++) {
        sum += exp(logits[i] - most);
    }
    for (size_t i = 0; i < classes; i++) {
        double expected = logits[i] - most - log(sum), difference = fabs(log((double)found[i]) - expected);
        if (!(difference <= foreign_tolerance)) {
            fail_msg("%s: class %zu: log of the probability %.7f, expected %.7f", name, i, log((double)found[i]),
                     expected);
        }
    }
}

/* The model of `path`, through the same door as the program's. */
static inline strata_model *foreign_model(strata_runtime **runtime, const char *path) {
    strata_error err = {0};
    strata_net *net = NULL;
    strata_model *model = NULL;
    st_weights file;
    if (st_weights_open(&file, path, &err) != STRATA_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    const char *text = st_weights_metadata(&file, ST_PAIR_NET);
    assert_non_null(text);
    if (strata_net_parse(&net, text, strlen(text), NULL, &err) != STRATA_OK) {
        fail_msg("%s: %s\n%s", path, err.message, text);
    }
    st_weights_close(&file);
    assert_int_equal(strata_runtime_create(runtime, NULL, NULL), STRATA_OK);
    assert_int_equal(strata_model_build(&model, *runtime, net, &(strata_build_options){.batch = 2}, &err), STRATA_OK);
    strata_net_free(net);
    if (strata_model_load(model, path, &err) != STRATA_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    return model;
}

/* Runs the pictures of an .answers file. */
static inline void foreign_check(const char *path, const char *answers_path) {
    size_t length = 0;
    unsigned char *answers = foreign_read(answers_path, &length);
    strata_runtime *runtime = NULL;
    strata_net_info info;
    strata_error err = {0};
    strata_model *model = foreign_model(&runtime, path);
    strata_net_info_get(strata_model_net(model), false, &info);
    size_t picture = (size_t)(info.input.height * info.input.width * info.input.channels);
    size_t classes = (length / FOREIGN_PICTURES - picture) / sizeof(double);
    float *found = calloc(FOREIGN_PICTURES * classes, sizeof *found);
    double *logits = calloc(FOREIGN_PICTURES * classes, sizeof *logits);
    assert_non_null(found);
    assert_non_null(logits);
    assert_int_equal(FOREIGN_PICTURES * (picture + classes * sizeof(double)), length);
    assert_int_equal(info.class_count, classes);
    memcpy(logits, answers + FOREIGN_PICTURES * picture, FOREIGN_PICTURES * classes * sizeof *logits);
    if (strata_model_infer(model, answers, FOREIGN_PICTURES, info.input, found, &err) != STRATA_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    for (size_t i = 0; i < FOREIGN_PICTURES; i++) {
        foreign_compare(path, logits + i * classes, found + i * classes, classes);
    }
    free(found);
    free(logits);
    free(answers);
    strata_model_free(model);
    strata_runtime_free(runtime);
}

#endif
