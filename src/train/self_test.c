/* A checkpoint's self-test: what its model said of a few pictures when it was saved. Who loads it asks again, so that a
 * file that was damaged, put together from two, or computed by something that is wrong is found then.
 *
 * The pictures are drawn from numbers, not taken from the data: a checkpoint that is given away gives away nobody's
 * photographs, and needs no room for them. One has the size that the net takes, one has to be resized. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/train.h"

enum { PICTURES = 2 };

/* Of probabilities. With the same numerics they are the same bits on every machine; another order of sums moves them by
 * some 1e-6, which a later layer may enlarge. */
static const double tolerance = 1e-3;

static strata_shape shape_of(const strata_model *model, int which) {
    st_dims in = model->core->graph->input;
    strata_shape out = {in.h, in.w, in.c};
    return which == 0 ? out
                      : (strata_shape){out.height + out.height / 4 + 3, out.width + out.width / 2 + 1, out.channels};
}

/* Two waves and noise in each channel: nothing that a net of pictures takes for a constant. */
static void draw(uint8_t *out, strata_shape shape, int which) {
    uint64_t stream = st_rng_stream(ST_STREAM_SELF_TEST, (uint64_t)which), index = 0;
    for (int64_t y = 0; y < shape.height; y++) {
        for (int64_t x = 0; x < shape.width; x++) {
            for (int64_t c = 0; c < shape.channels; c++, index++) {
                int64_t wave = 160 * y / shape.height + (which + 1 + c) * 64 * x / shape.width;
                int64_t noise = (int64_t)(st_rng_bits(1, stream, index) >> 58);
                out[index] = (uint8_t)((wave + noise) & 255);
            }
        }
    }
}

/* out: [PICTURES][classes], in the arena. */
static strata_status ask(float **out, st_arena *arena, strata_model *model, strata_error *err) {
    size_t classes = model->class_count;
    ST_TRY(st_arena_alloc(out, arena, PICTURES * classes, sizeof **out, err));
    for (int i = 0; i < PICTURES; i++) {
        uint8_t *pixels = NULL;
        strata_shape shape = shape_of(model, i);
        ST_TRY(st_arena_alloc(&pixels, arena, (size_t)(shape.height * shape.width * shape.channels), 1, err));
        draw(pixels, shape, i);
        ST_TRY(strata_model_infer(model, pixels, 1, shape, *out + (size_t)i * classes, err));
    }
    return STRATA_OK;
}

static strata_status add(st_text *text, st_arena *arena, strata_model *model, strata_error *err) {
    float *answers = NULL;
    ST_TRY(ask(&answers, arena, model, err));
    for (size_t i = 0; i < PICTURES; i++) {
        st_text_add(text, i == 0 ? "[[" : "], [");
        for (size_t c = 0; c < model->class_count; c++) {
            st_text_add(text, c > 0 ? ", %.9g" : "%.9g", (double)answers[i * model->class_count + c]);
        }
    }
    st_text_add(text, "]]");
    return STRATA_OK;
}

strata_status st_self_test_add(st_text *text, strata_model *model, strata_error *err) {
    st_arena *arena = NULL;
    if (model->preparation[0] == '\0') {
        return STRATA_OK;
    }
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = add(text, arena, model, err);
    st_arena_free(arena);
    return status;
}

/* ---- when it is loaded ------------------------------------------------------------------------------------------ */

static strata_status read_row(float *out, size_t count, st_json *json, strata_error *err) {
    bool more = true;
    ST_TRY(st_json_enter(json, '[', err));
    for (size_t i = 0;; i++) {
        double value = 0.0;
        ST_TRY(st_json_next(json, &more, NULL, err));
        if (more != (i < count)) {
            return st_fail_file(err, STRATA_FORMAT, json->file, "its self-test has not %zu answers a picture", count);
        }
        if (!more) {
            return STRATA_OK;
        }
        ST_TRY(st_json_number(json, &value, err));
        out[i] = (float)value;
    }
}

static strata_status read_answers(float *out, size_t classes, const char *text, const char *file, st_arena *arena,
                                  strata_error *err) {
    st_json json = {.text = text, .length = strlen(text), .file = file, .arena = arena};
    bool more = true;
    ST_TRY(st_json_enter(&json, '[', err));
    for (size_t i = 0; i <= PICTURES; i++) {
        ST_TRY(st_json_next(&json, &more, NULL, err));
        if (more != (i < PICTURES)) {
            return st_fail_file(err, STRATA_FORMAT, file, "its self-test has not %d pictures", PICTURES);
        }
        if (more) {
            ST_TRY(read_row(out + i * classes, classes, &json, err));
        }
    }
    return st_json_end(&json, err);
}

static strata_status check(strata_model *model, const char *text, const char *file, st_arena *arena,
                           strata_error *err) {
    float *found = NULL, *stored = NULL;
    size_t classes = model->class_count, count = PICTURES * classes;
    ST_TRY(st_arena_alloc(&stored, arena, count, sizeof *stored, err));
    ST_TRY(read_answers(stored, classes, text, file, arena, err));
    ST_TRY(ask(&found, arena, model, err));
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)found[i] - (double)stored[i]) <= tolerance)) { /* NaN fails */
            strata_status status = st_fail_file(
                err, STRATA_FORMAT, file,
                "its self-test fails: class %zu has %.4f on picture %zu, it had %.4f when the file was made",
                i % classes, (double)found[i], i / classes, (double)stored[i]);
            st_error_hint(err, "the file is damaged, or its parts do not belong together; --no-self-test loads it");
            return status;
        }
    }
    return STRATA_OK;
}

strata_status st_self_test_check(strata_model *model, const st_weights *weights, strata_error *err) {
    const char *text = st_weights_metadata(weights, ST_PAIR_SELF_TEST);
    st_arena *arena = NULL;
    if (text == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = check(model, text, weights->file.path, arena, err);
    st_arena_free(arena);
    return status;
}
