/* Views: which pixels of a picture each crop and its mirror image hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/train.h"

static void check(strata_status status, const strata_error *err) {
    if (status != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err->file, err->line, err->column, err->message);
    }
}

/* ---- views ------------------------------------------------------------------------------------------------------ */

/* A picture whose pixel says where it stands. */
static strata_picture map_of(int64_t height, int64_t width) {
    strata_error err = {0};
    strata_picture out = {0};
    check(st_picture_room(&out, (strata_shape){height, width, 3}, &err), &err);
    for (int64_t y = 0; y < height; y++) {
        for (int64_t x = 0; x < width; x++) {
            uint8_t *pixel = out.pixels + 3 * (y * width + x);
            pixel[0] = (uint8_t)(y + 1);
            pixel[1] = (uint8_t)(x + 1);
            pixel[2] = 200;
        }
    }
    return out;
}

typedef struct view_case {
    st_geometry geometry;
    strata_shape stage;
    int64_t places[5][2]; /* top and left of each window in the stage picture */
    st_dims input;        /* of the net, where it is larger than the picture */
} view_case;

static const st_dims any_input = {1, 1, 3};

static void check_views(const view_case *with) {
    strata_error err = {0};
    st_views views;
    st_preparation preparation = {.range = 255, .mean = {0.25, 0.5, 0.75}, .is_bgr = true};
    strata_picture stage = map_of(with->stage.height, with->stage.width);
    check(st_views_choose(&views, &with->geometry, &preparation, with->input, &(strata_predict_options){.crops = 10},
                          &err),
          &err);
    assert_int_equal(st_views_count(&views), 10);
    int64_t height = views.out.height, width = views.out.width;
    uint8_t *out = malloc((size_t)(3 * height * width));
    assert_non_null(out);
    for (int view = 0; view < 10; view++) {
        st_views_cut(out, &views, &stage, view);
        for (int64_t i = 0; i < height * width; i++) {
            int64_t y = with->places[view % 5][0] + i / width, across = view < 5 ? i % width : width - 1 - i % width;
            int64_t x = with->places[view % 5][1] + across;
            bool is_inside = y >= 0 && x >= 0 && y < with->stage.height && x < with->stage.width;
            uint8_t expected[] = {191, 128, 64}; /* the means in the order of the bytes */
            if (with->input.h > 0) {
                memset(expected, 0, sizeof expected); /* black, as the executor pads */
            }
            if (is_inside) {
                expected[0] = (uint8_t)(y + 1);
                expected[1] = (uint8_t)(x + 1);
                expected[2] = 200;
            }
            assert_memory_equal(out + 3 * i, expected, 3);
        }
    }
    free(out);
    strata_picture_free(&stage);
}

static void test_views_of_cropped_pictures(void **state) {
    (void)state;
    /* Shorter side 16, windows of 12; the corners lie in the middle square of a wide picture. */
    static const view_case wide = {{ST_FIT_CROP, ST_FILTER_BILINEAR, 16, {12, 12, 3}},
                                   {16, 24, 3},
                                   {{2, 6}, {0, 4}, {0, 8}, {4, 4}, {4, 8}},
                                   {0, 0, 0}};
    check_views(&wide);
    /* Without room between side and window, the side becomes 8/7 of it. */
    static const view_case tight = {{ST_FIT_CROP, ST_FILTER_BILINEAR, 14, {14, 14, 3}},
                                    {16, 16, 3},
                                    {{1, 1}, {0, 0}, {0, 2}, {2, 0}, {2, 2}},
                                    {0, 0, 0}};
    check_views(&tight);
}

static void test_views_of_stretched_pictures(void **state) {
    (void)state;
    static const view_case stretched = {{ST_FIT_STRETCH, ST_FILTER_BILINEAR, 0, {14, 21, 3}},
                                        {16, 24, 3},
                                        {{1, 2}, {0, 0}, {0, 3}, {2, 0}, {2, 3}},
                                        {0, 0, 0}};
    check_views(&stretched);
    strata_error err = {0};
    st_views views;
    st_preparation preparation = {.range = 255};
    check(st_views_choose(&views, &stretched.geometry, &preparation, any_input, &(strata_predict_options){.crops = 5},
                          &err),
          &err);
    strata_shape stage = st_geometry_stage(&views.geometry, (strata_shape){100, 70, 3});
    assert_true(stage.height == 16 && stage.width == 24);
}

static void test_views_of_padded_pictures(void **state) {
    (void)state;
    static const view_case padded = {{ST_FIT_PAD, ST_FILTER_BILINEAR, 0, {16, 16, 3}},
                                     {16, 16, 3},
                                     {{0, 0}, {-2, -2}, {-2, 2}, {2, -2}, {2, 2}},
                                     {0, 0, 0}};

    check_views(&padded);
    /* In a larger net the picture moves, and nothing of it is lost. */
    static const view_case moved = {{ST_FIT_PAD, ST_FILTER_BILINEAR, 0, {13, 14, 3}},
                                    {13, 14, 3},
                                    {{-1, -1}, {0, 0}, {0, -2}, {-3, 0}, {-3, -2}},
                                    {16, 16, 3}};
    check_views(&moved);
}

static void test_views_are_1_5_or_10(void **state) {
    (void)state;
    static const st_geometry geometry = {ST_FIT_CROP, ST_FILTER_BILINEAR, 16, {12, 12, 3}};
    st_preparation preparation = {.range = 255};
    st_views views;
    strata_error err = {0};
    strata_predict_options three = {.crops = 3};
    assert_int_equal(st_views_choose(&views, &geometry, &preparation, any_input, &three, &err), STRATA_INVALID);
    assert_string_equal(err.message, "crops must be 1, 5 or 10, found 3");
    static const struct {
        int crops, count;
        bool flip;
    } rows[] = {{0, 1, false}, {1, 1, false},   {1, 2, true},  {5, 5, false},
                {5, 10, true}, {10, 10, false}, {10, 10, true}};
    for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
        strata_predict_options options = {.crops = rows[i].crops, .flip = rows[i].flip};
        check(st_views_choose(&views, &geometry, &preparation, any_input, &options, &err), &err);
        assert_int_equal(st_views_count(&views), rows[i].count);
    }
    check(st_views_choose(&views, &geometry, &preparation, any_input, NULL, &err), &err);
    assert_int_equal(st_views_count(&views), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views_of_cropped_pictures),
        cmocka_unit_test(test_views_of_stretched_pictures),
        cmocka_unit_test(test_views_of_padded_pictures),
        cmocka_unit_test(test_views_are_1_5_or_10),
    };
    return cmocka_run_group_tests_name("train: views", tests, NULL, NULL);
}
