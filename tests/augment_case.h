/* For tests of augmentation: words applied to one drawn picture. */
#ifndef TESTS_AUGMENT_CASE_H
#define TESTS_AUGMENT_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/augment.h"

static inline st_augment parsed(const char *text) {
    st_augment out;
    strata_error err = {0};
    if (st_augment_parse(&out, text, &err) != STRATA_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    return out;
}

static const uint8_t case_fill[4] = {201, 202, 203, 204};

/* With axes of colours that could be a data set's. */
static inline st_augmentation augmentation_of(const char *text, uint64_t seed, uint64_t epoch) {
    st_augmentation out = {.augment = parsed(text),
                           .axes = {{32, 31, 30, 29}, {3, 0, -3, 1}, {0.5, -1, 0.5, 0}, {0, 0, 0.1, 0.2}},
                           .seed = seed,
                           .epoch = epoch};
    memcpy(out.fill, case_fill, sizeof case_fill);
    return out;
}

static inline strata_picture picture_make(int64_t height, int64_t width, int64_t channels) {
    strata_picture out = {0};
    assert_int_equal(st_picture_room(&out, (strata_shape){height, width, channels}, NULL), STRATA_OK);
    return out;
}

static inline size_t picture_bytes(const strata_picture *picture) {
    return (size_t)(picture->shape.height * picture->shape.width * picture->shape.channels);
}

/* Every byte drawn, from 1 to 200: none is the fill. */
static inline uint8_t drawn(size_t i) {
    return (uint8_t)(1 + st_rng_bits(51, 0, i) % 200);
}

static inline strata_picture picture_drawn(int64_t height, int64_t width, int64_t channels) {
    strata_picture out = picture_make(height, width, channels);
    for (size_t i = 0; i < picture_bytes(&out); i++) {
        out.pixels[i] = drawn(i);
    }
    return out;
}

/* Something like a photograph: a disk on two slopes, with a little noise. */
static inline strata_picture picture_scene(int64_t height, int64_t width, int64_t channels) {
    strata_picture out = picture_make(height, width, channels);
    for (int64_t i = 0; i < (int64_t)picture_bytes(&out); i++) {
        int64_t c = i % channels, x = i / channels % width, y = i / channels / width;
        int64_t dx = 3 * x - width, dy = 2 * y - height;
        bool is_disk = dx * dx + dy * dy < width * height / 3;
        int64_t value = is_disk ? 230 - 60 * c : (c + 1) * 50 * x / width + (3 - c) * 40 * y / height;
        out.pixels[i] = (uint8_t)(value + (int64_t)(st_rng_bits(52, 0, (uint64_t)i) % 16));
    }
    return out;
}

static inline st_geometry geometry_same(const strata_picture *picture) {
    return (st_geometry){.fit = ST_FIT_PAD, .out = picture->shape};
}

static inline void augmented(uint8_t *out, const st_augmentation *with, size_t index, const strata_picture *stage,
                             const st_geometry *geometry, st_augment_room *room) {
    strata_error err = {0};
    if (st_augment_picture(with, index, stage, geometry, room, out, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
}

/* ---- moved pictures ---- */

enum { HEIGHT = 7, WIDTH = 9, MOST = HEIGHT * WIDTH * 4 };

/* Whether `pixels` is the window of a drawn picture moved by (down, right) and mirrored, fill around it. */
static inline bool is_moved(const uint8_t *pixels, const strata_picture *from, int down, int right, bool mirrored) {
    int64_t channels = from->shape.channels;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            int from_x = (mirrored ? WIDTH - 1 - x : x) + right, from_y = y + down;
            bool inside = from_x >= 0 && from_x < from->shape.width && from_y >= 0 && from_y < from->shape.height;
            for (int64_t c = 0; c < channels; c++) {
                size_t at = (size_t)((from_y * from->shape.width + from_x) * channels + c);
                if (pixels[(y * WIDTH + x) * channels + c] != (inside ? from->pixels[at] : case_fill[c])) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* ---- how draws are spread ---- */

typedef struct spread {
    double sum, least, most;
    int count;
} spread;

static inline void spread_add(spread *to, double x) {
    to->least = to->count == 0 || x < to->least ? x : to->least;
    to->most = to->count == 0 || x > to->most ? x : to->most;
    to->sum += x;
    to->count++;
}

/* Even between -bound and bound, as far as a few hundred draws can tell. */
static inline void spread_is_even(const spread *of, double bound, double tolerance) {
    double deviation = bound / sqrt(3.0 * of->count);
    assert_true(fabs(of->sum / of->count) < 3 * deviation + tolerance);
    assert_true(of->least > -bound - tolerance && of->least < -0.93 * bound);
    assert_true(of->most < bound + tolerance && of->most > 0.93 * bound);
}

#endif
