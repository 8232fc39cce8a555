/* What models are worth: intervals and tests against computed values, temperature, views of a picture, ensembles,
 * classes by name, and the same bits for any threads and batch. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pictures.h"
#include "train/train.h"

static void check(strata_status status, const strata_error *err) {
    if (status != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err->file, err->line, err->column, err->message);
    }
}

static bool is_near(double a, double b, double within) {
    return a - b <= within && b - a <= within;
}

/* ---- intervals and tests ---------------------------------------------------------------------------------------- */

/* Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3. */
static void test_wilson_gives_published_intervals(void **state) {
    (void)state;
    static const struct {
        int64_t correct, count;
        double low, high;
    } rows[] = {{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0.0, 0.1611}, {1, 29, 0.0061, 0.1718}};
    for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
        double low, high;
        strata_wilson(&low, &high, rows[i].correct, rows[i].count);
        assert_true(is_near(low, rows[i].low, 5e-5) && is_near(high, rows[i].high, 5e-5));
        strata_wilson(&low, &high, rows[i].count - rows[i].correct, rows[i].count); /* the mirror image */
        assert_true(is_near(low, 1 - rows[i].high, 5e-5) && is_near(high, 1 - rows[i].low, 5e-5));
    }
}

static void test_wilson_ends_are_exact(void **state) {
    (void)state;
    double low, high;
    for (int64_t count = 1; count < 2000; count += 37) {
        strata_wilson(&low, &high, 0, count);
        assert_true(low == 0.0 && high > 0.0 && high < 1.0);
        strata_wilson(&low, &high, count, count);
        assert_true(high == 1.0 && low > 0.0 && low < 1.0);
    }
    strata_wilson(&low, &high, 0, 0);
    assert_true(low == 0.0 && high == 1.0);
}

/* From sums of binomial coefficients as whole numbers. */
static void test_mcnemar_is_the_exact_binomial(void **state) {
    (void)state;
    static const struct {
        uint32_t first, second;
        double p;
    } rows[] = {{0, 0, 1.0},
                {0, 1, 1.0},
                {0, 5, 0.0625},
                {1, 9, 0.021484375},
                {12, 31, 0.005401572654591291},
                {7, 7, 1.0},
                {7, 8, 1.0},
                {40, 55, 0.1505180638902296},
                {200, 260, 0.005883922473103979},
                {5000, 5300, 0.003215819673645239},
                {0, 60, 1.734723475976807e-18}};
    for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
        double p = strata_mcnemar(rows[i].first, rows[i].second), other = strata_mcnemar(rows[i].second, rows[i].first);
        assert_true(is_near(p, rows[i].p, 1e-11 * rows[i].p));
        assert_true(p == other);
    }
}

static void test_mcnemar_takes_any_counts(void **state) {
    (void)state;
    assert_true(strata_mcnemar(0, UINT32_MAX) == 0.0);
    assert_true(strata_mcnemar(UINT32_MAX, UINT32_MAX) == 1.0);
    double p = strata_mcnemar(UINT32_MAX, UINT32_MAX - 181000); /* 1.953 deviations: the normal tail is 0.0508 */
    assert_true(is_near(p, 0.0508, 0.0002));
}

/* ---- calibration ------------------------------------------------------------------------------------------------ */

static strata_predictions *made(size_t count, size_t classes) {
    strata_error err = {0};
    strata_predictions *out = NULL;
    check(st_predictions_make(&out, count, classes, &err), &err);
    return out;
}

/* Fills one row from logits, and draws the label from what they mean at `temperature`. */
static void draw_row(strata_predictions *p, size_t picture, double temperature) {
    double z[16], sum = 0, tempered = 0, at = 0;
    size_t classes = p->class_count, label = 0;
    for (size_t c = 0; c < classes; c++) {
        z[c] = 3 * st_rng_normal(5, st_rng_stream(ST_STREAM_TEST, picture), c);
        sum += st_exp(z[c]);
        tempered += st_exp(z[c] / temperature);
    }
    double draw = tempered * st_rng_uniform(6, st_rng_stream(ST_STREAM_TEST, 1), picture);
    for (size_t c = 0; c < classes; c++) {
        p->probabilities[picture * classes + c] = (float)(st_exp(z[c]) / sum);
        at += st_exp(z[c] / temperature);
        label += at < draw;
    }
    p->labels[picture] = (int32_t)(label < classes ? label : classes - 1);
    const float *row = p->probabilities + picture * classes;
    p->ranks[picture] = st_rank(row, classes, p->labels[picture]);
    p->losses[picture] = st_loss_of((double)row[p->labels[picture]]);
}

static void test_temperature_finds_the_one_that_labels_were_drawn_at(void **state) {
    (void)state;
    static const double drawn[] = {0.5, 1.0, 1.7, 4.0};
    for (size_t i = 0; i < ST_COUNT_OF(drawn); i++) {
        strata_predictions *p = made(6000, 7);
        strata_metrics before, at, near;
        double temperature;
        for (size_t k = 0; k < p->count; k++) {
            draw_row(p, k, drawn[i]);
        }
        assert_true(strata_predictions_temperature(&temperature, p));
        assert_true(is_near(temperature, drawn[i], 0.06 * drawn[i]));
        strata_predictions_measure(&before, p, 0, NULL);
        strata_predictions_measure(&at, p, temperature, NULL);
        assert_true(at.correct == before.correct && at.top5 == before.top5);
        assert_true(at.calibration_error < 0.02);
        for (int side = -1; side <= 1; side += 2) { /* the least loss, not one near it */
            strata_predictions_measure(&near, p, temperature * (1 + side * 0.002), NULL);
            assert_true(at.loss < near.loss);
        }
        strata_predictions_free(p);
    }
}

static void test_temperature_one_changes_nothing(void **state) {
    (void)state;
    strata_predictions *p = made(500, 7);
    strata_metrics a, b, c;
    for (size_t k = 0; k < p->count; k++) {
        draw_row(p, k, 2.0);
    }
    strata_predictions_measure(&a, p, 0, NULL);
    strata_predictions_measure(&b, p, 1, NULL);
    strata_predictions_measure(&c, p, 1 + 1e-12, NULL); /* through the logarithms */
    assert_true(a.loss == b.loss && a.calibration_error == b.calibration_error && a.correct == b.correct);
    assert_true(is_near(a.loss, c.loss, 1e-6) && is_near(a.calibration_error, c.calibration_error, 1e-6));
    strata_predictions_free(p);
}

static void test_temperature_is_refused_where_there_is_none(void **state) {
    (void)state;
    double temperature;
    strata_predictions *p = made(20, 3), *none = made(0, 3);
    for (int right = 0; right < 2; right++) {
        for (size_t k = 0; k < p->count; k++) {
            static const float row[] = {0.7f, 0.2f, 0.1f};
            memcpy(p->probabilities + 3 * k, row, sizeof row);
            p->labels[k] = right ? 0 : 2; /* always right, and always last */
        }
        assert_false(strata_predictions_temperature(&temperature, p));
        assert_true(temperature == 1.0);
    }
    assert_false(strata_predictions_temperature(&temperature, none));
    strata_predictions_free(p);
    strata_predictions_free(none);
}

static void test_calibration_error_by_hand(void **state) {
    (void)state;
    strata_predictions *p = made(4, 2);
    static const float first[] = {0.9f, 0.9f, 0.9f, 0.6f};
    static const int32_t labels[] = {0, 0, 1, 1};
    strata_metrics m;
    int64_t confusion[4];
    for (size_t k = 0; k < p->count; k++) {
        p->probabilities[2 * k] = first[k];
        p->probabilities[2 * k + 1] = 1 - first[k];
        p->labels[k] = labels[k];
        p->ranks[k] = st_rank(p->probabilities + 2 * k, 2, labels[k]);
        p->losses[k] = st_loss_of((double)p->probabilities[2 * k + (size_t)labels[k]]);
    }
    strata_predictions_measure(&m, p, 0, confusion);
    assert_true(m.count == 4 && m.correct == 2 && m.top5 == 1.0);
    /* Three at 0.9 of which two are right, one at 0.6 that is wrong. */
    assert_true(is_near(m.calibration_error, (3 * 0.9 - 2 + 0.6) / 4, 1e-6));
    assert_true(is_near(m.loss, (-2 * st_log(0.9) - st_log(0.1) - st_log(0.4)) / 4, 1e-6));
    static const int64_t expected[] = {2, 0, 2, 0};
    assert_memory_equal(confusion, expected, sizeof expected);
    strata_predictions_free(p);
}

static void test_numbers_that_are_none_are_never_right(void **state) {
    (void)state;
    float row[] = {(float)NAN, (float)NAN, (float)NAN};
    for (int32_t label = 0; label < 3; label++) {
        assert_int_equal(st_rank(row, 3, label), 3);
    }
}

static void test_top_is_sorted_and_stable(void **state) {
    (void)state;
    static const float row[] = {0.1f, 0.3f, 0.1f, 0.3f, 0.2f};
    static const size_t expected[] = {1, 3, 4, 0, 2};
    for (size_t most = 0; most <= 7; most++) {
        size_t top[8], count = strata_top(top, most, row, 5);
        assert_int_equal(count, most < 5 ? most : 5);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(top[i], expected[i]);
        }
    }
    for (int32_t label = 0; label < 5; label++) {
        assert_int_equal(expected[st_rank(row, 5, label)], label);
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

/* ---- whole models ----------------------------------------------------------------------------------------------- */

static const char *const NET =
    "let classes = 10\n"
    "network small {\n input 16x16x1\n conv 5x5 6, tanh\n avgpool 2x2 stride=2\n fc 24, relu\n"
    " fc classes\n output logits loss=cross_entropy\n}\n";

enum { TRAIN = 40, TEST = 73, CLASSES = 10 };

static char folder[64];

typedef struct setup {
    strata_runtime *runtime;
    strata_model *model;
    strata_dataset *data;
} setup;

static setup make(uint64_t seed, int threads, int64_t batch) {
    setup s = {0};
    strata_net *net = NULL;
    strata_error err = {0};
    check(strata_runtime_create(&s.runtime, &(strata_options){.threads = threads}, &err), &err);
    check(strata_net_parse(&net, NET, strlen(NET), NULL, &err), &err);
    check(strata_model_build(&s.model, s.runtime, net, &(strata_build_options){.batch = batch, .seed = seed}, &err),
          &err);
    check(strata_dataset_open(&s.data, folder, NULL, &err), &err);
    strata_net_free(net);
    return s;
}

static void unmake(setup *s) {
    strata_dataset_free(s->data);
    strata_model_free(s->model);
    strata_runtime_free(s->runtime);
}

static strata_predictions *asked(const setup *s, const strata_dataset *data, int crops, bool flip) {
    strata_error err = {0};
    strata_predictions *out = NULL;
    strata_predict_options options = {.crops = crops, .flip = flip};
    check(strata_predictions_create(&out, s->model, data, STRATA_TEST, &options, NULL, NULL, &err), &err);
    assert_int_equal(strata_predictions_count(out), TEST);
    return out;
}

static void test_predictions_are_the_same_bits_for_any_threads_and_batch(void **state) {
    (void)state;
    static const struct {
        int threads;
        int64_t batch;
    } rows[] = {{1, 64}, {2, 64}, {3, 7}, {8, 1}, {2, 100}};
    static const int crops[] = {1, 5, 10};
    for (size_t c = 0; c < ST_COUNT_OF(crops); c++) {
        setup kept = make(3, 1, 16);
        strata_predictions *first = asked(&kept, kept.data, crops[c], false);
        for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
            setup s = make(3, rows[i].threads, rows[i].batch);
            strata_predictions *p = asked(&s, s.data, crops[c], false);
            assert_memory_equal(p->probabilities, first->probabilities, TEST * CLASSES * sizeof(float));
            assert_memory_equal(p->ranks, first->ranks, TEST * sizeof(int32_t));
            assert_memory_equal(p->losses, first->losses, TEST * sizeof(double));
            strata_predictions_free(p);
            unmake(&s);
        }
        strata_predictions_free(first);
        unmake(&kept);
    }
}

static void test_predictions_agree_with_evaluate_and_infer(void **state) {
    (void)state;
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_metrics simple, measured;
    int64_t confusion[CLASSES * CLASSES], counted[CLASSES * CLASSES];
    strata_predictions *p = asked(&s, s.data, 1, false);
    check(strata_evaluate(&simple, s.model, s.data, STRATA_TEST, confusion, NULL, NULL, &err), &err);
    strata_predictions_measure(&measured, p, 0, counted);
    assert_true(simple.count == measured.count && simple.correct == measured.correct);
    assert_true(simple.loss == measured.loss && simple.top5 == measured.top5);
    assert_true(simple.calibration_error == measured.calibration_error);
    assert_memory_equal(confusion, counted, sizeof confusion);
    uint8_t pixels[256];
    float row[CLASSES];
    for (size_t i = 0; i < TEST; i++) {
        int label;
        char name[64];
        check(strata_dataset_read(s.data, STRATA_TEST, i, pixels, &label, &err), &err);
        check(strata_model_infer(s.model, pixels, 1, (strata_shape){16, 16, 1}, row, &err), &err);
        assert_memory_equal(row, strata_predictions_row(p, i), sizeof row);
        assert_int_equal(strata_predictions_label(p, i), label);
        (void)snprintf(name, sizeof name, "t10k-images-idx3-ubyte:%zu", i);
        assert_string_equal(strata_predictions_file(p, i), name);
    }
    strata_predictions_free(p);
    unmake(&s);
}

static void test_flip_is_the_mean_of_a_picture_and_its_mirror_image(void **state) {
    (void)state;
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_predictions *p = asked(&s, s.data, 1, true);
    for (size_t i = 0; i < TEST; i++) {
        uint8_t pixels[2][256];
        float rows[2][CLASSES];
        int label;
        check(strata_dataset_read(s.data, STRATA_TEST, i, pixels[0], &label, &err), &err);
        for (size_t k = 0; k < 256; k++) {
            pixels[1][k] = pixels[0][k / 16 * 16 + 15 - k % 16];
        }
        check(strata_model_infer(s.model, pixels[0], 2, (strata_shape){16, 16, 1}, rows[0], &err), &err);
        for (size_t c = 0; c < CLASSES; c++) {
            double mean = ((double)rows[0][c] + (double)rows[1][c]) / 2;
            assert_true(is_near((double)strata_predictions_row(p, i)[c], mean, 1e-7));
        }
    }
    strata_predictions_free(p);
    unmake(&s);
}

static bool stop_at_once(size_t done, size_t count, void *user) {
    *(size_t *)user = done;
    return done == count;
}

static void test_predictions_can_be_stopped(void **state) {
    (void)state;
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_predictions *p = NULL;
    size_t done = 0;
    assert_int_equal(strata_predictions_create(&p, s.model, s.data, STRATA_TEST, NULL, stop_at_once, &done, &err),
                     STRATA_CANCELLED);
    assert_null(p);
    assert_int_equal(done, 16);
    unmake(&s);
}

/* ---- ensembles and comparisons ---------------------------------------------------------------------------------- */

static void check_mean(strata_predictions *all, strata_predictions *const of[3]) {
    strata_metrics measured;
    int64_t correct = 0;
    for (size_t i = 0; i < TEST * CLASSES; i++) {
        double sum = 0;
        for (size_t m = 0; m < 3; m++) {
            sum += (double)of[m]->probabilities[i];
        }
        assert_true(all->probabilities[i] == (float)(sum / 3));
    }
    for (size_t i = 0; i < TEST; i++) {
        size_t answer;
        strata_top(&answer, 1, strata_predictions_row(all, i), CLASSES);
        correct += answer == strata_predictions_label(all, i);
    }
    strata_predictions_measure(&measured, all, 0, NULL);
    assert_int_equal(measured.correct, correct);
}

static void test_ensemble_is_the_mean_of_its_members(void **state) {
    (void)state;
    setup a = make(3, 2, 16), b = make(4, 1, 64), c = make(5, 1, 64);
    strata_error err = {0};
    strata_predictions *of[3] = {asked(&a, a.data, 1, false), asked(&b, a.data, 1, false), asked(&c, a.data, 1, false)};
    strata_predictions *one = NULL, *all = NULL;
    const strata_predictions *members[3] = {of[0], of[1], of[2]};
    check(strata_predictions_average(&one, members, 1, &err), &err);
    assert_memory_equal(one->probabilities, of[0]->probabilities, TEST * CLASSES * sizeof(float));
    assert_memory_equal(one->losses, of[0]->losses, TEST * sizeof(double));
    assert_memory_equal(one->ranks, of[0]->ranks, TEST * sizeof(int32_t));
    check(strata_predictions_average(&all, members, 3, &err), &err);
    check_mean(all, of);
    strata_predictions_free(one);
    strata_predictions_free(all);
    for (size_t m = 0; m < 3; m++) {
        strata_predictions_free(of[m]);
    }
    unmake(&c);
    unmake(&b);
    unmake(&a);
}

static void test_comparison_counts_pairs(void **state) {
    (void)state;
    setup a = make(3, 1, 64), b = make(4, 1, 64);
    strata_error err = {0};
    strata_pairing pairing;
    strata_predictions *p = asked(&a, a.data, 1, false), *q = asked(&b, a.data, 1, false);
    int64_t first = 0, second = 0;
    for (size_t i = 0; i < TEST; i++) { /* as if: the first right on 3 of 4, the second on 2 of 3 */
        p->ranks[i] = i % 4 == 0;
        q->ranks[i] = i % 3 == 0;
        first += i % 4 != 0 && i % 3 == 0;
        second += i % 4 == 0 && i % 3 != 0;
    }
    check(strata_predictions_compare(&pairing, p, q, &err), &err);
    assert_int_equal(pairing.first_only, first);
    assert_int_equal(pairing.second_only, second);
    assert_int_equal(pairing.both + pairing.neither, TEST - first - second);
    assert_true(pairing.p == strata_mcnemar((uint32_t)first, (uint32_t)second));
    strata_predictions *other = asked(&b, b.data, 1, false); /* the same pictures, opened once more */
    assert_int_equal(strata_predictions_compare(&pairing, p, other, &err), STRATA_SHAPE);
    strata_predictions_free(other);
    strata_predictions_free(p);
    strata_predictions_free(q);
    unmake(&b);
    unmake(&a);
}

/* ---- classes by name -------------------------------------------------------------------------------------------- */

static void name(strata_model *model, const char *const names[CLASSES]) {
    strata_error err = {0};
    check(strata_model_name_classes(model, names, CLASSES, &err), &err);
}

static const char *const forward[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
static const char *const reversed[] = {"9", "8", "7", "6", "5", "4", "3", "2", "1", "0"};

static void test_classes_are_found_by_name(void **state) {
    (void)state;
    setup s = make(3, 2, 16), plain = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    name(s.model, reversed);
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_true(!match.by_number && match.known == CLASSES && match.unknown == 0 && match.absent == 0);
    strata_predictions *p = asked(&s, s.data, 1, false), *q = asked(&plain, s.data, 1, false);
    for (size_t i = 0; i < TEST; i++) {
        assert_int_equal(strata_predictions_label(p, i), CLASSES - 1 - strata_predictions_label(q, i));
    }
    assert_memory_equal(p->probabilities, q->probabilities, TEST * CLASSES * sizeof(float));
    strata_predictions_free(p);
    strata_predictions_free(q);
    unmake(&plain);
    unmake(&s);
}

static void test_ensemble_matches_classes_by_name(void **state) {
    (void)state;
    setup s = make(3, 2, 16), plain = make(4, 2, 16);
    strata_error err = {0};
    strata_predictions *all = NULL;
    name(s.model, reversed);
    name(plain.model, forward);
    strata_predictions *p = asked(&s, s.data, 1, false), *q = asked(&plain, s.data, 1, false);
    const strata_predictions *members[] = {p, q};
    check(strata_predictions_average(&all, members, 2, &err), &err);
    for (size_t i = 0; i < TEST * CLASSES; i++) {
        size_t row = i / CLASSES * CLASSES, c = i % CLASSES;
        double sum = (double)p->probabilities[i] + (double)q->probabilities[row + CLASSES - 1 - c];
        assert_true(all->probabilities[i] == (float)(sum / 2));
    }
    assert_string_equal(strata_predictions_class(all, 0), "9");
    strata_predictions_free(all);
    strata_predictions_free(p);
    strata_predictions_free(q);
    unmake(&plain);
    unmake(&s);
}

static void test_unknown_classes_are_refused_or_left_out(void **state) {
    (void)state;
    static const char *const others[] = {"0", "1", "2", "cat", "4", "5", "dog", "7", "8", "9"};
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    strata_predictions *p = NULL;
    strata_metrics metrics;
    name(s.model, others);
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_int_equal(match.known, 8);
    assert_int_equal(match.unknown, 2);
    assert_int_equal(match.unknown_pictures, 7 + 7);
    assert_string_equal(match.unknown_names, "3, 6");
    assert_int_equal(match.absent, 2);
    assert_string_equal(match.absent_names, "cat, dog");
    assert_int_equal(strata_predictions_create(&p, s.model, s.data, STRATA_TEST, NULL, NULL, NULL, &err),
                     STRATA_MISSING);
    assert_non_null(strstr(err.message, "does not know 2 classes of"));
    assert_non_null(strstr(err.message, "(3, 6), of which there are 14 pictures"));
    assert_int_equal(strata_evaluate(&metrics, s.model, s.data, STRATA_TEST, NULL, NULL, NULL, &err), STRATA_MISSING);
    strata_predict_options skip = {.skip_unknown = true};
    check(strata_predictions_create(&p, s.model, s.data, STRATA_TEST, &skip, NULL, NULL, &err), &err);
    assert_int_equal(strata_predictions_count(p), TEST - 14);
    assert_int_equal(strata_predictions_left_out(p), 14);
    for (size_t i = 0; i < strata_predictions_count(p); i++) {
        char file[64];
        size_t index = strata_predictions_index(p, i);
        assert_int_equal(strata_predictions_label(p, i), index % CLASSES); /* the pictures go round the classes */
        (void)snprintf(file, sizeof file, "t10k-images-idx3-ubyte:%zu", index);
        assert_string_equal(strata_predictions_file(p, i), file);
    }
    strata_predictions_free(p);
    unmake(&s);
}

static void test_numbers_decide_where_no_name_is_known(void **state) {
    (void)state;
    static const char *const words[] = {"ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibex", "jay"};
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_true(!match.by_number && match.known == CLASSES); /* number by number: nothing to say */
    name(s.model, words);
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_true(match.by_number && match.known == CLASSES && match.unknown == 0);
    assert_int_equal(strata_model_name_classes(s.model, words, CLASSES - 1, &err), STRATA_SHAPE);
    assert_string_equal(err.message, "9 names for a net with 10 outputs");
    unmake(&s);
}

static void test_twins_are_refused(void **state) {
    (void)state;
    static const char *const twins[] = {"0", "1", "2", "3", "4", "5", "6", "7", "4", "9"};
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    name(s.model, twins);
    assert_int_equal(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), STRATA_SHAPE);
    assert_non_null(strstr(err.message, "two classes of the model are called '4'"));
    unmake(&s);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void test_files_are_answered_one_by_one(void **state) {
    (void)state;
    setup s = make(3, 2, 4);
    strata_error err = {0}, errors[6];
    char names[6][128];
    const char *paths[6];
    float out[6][CLASSES], row[CLASSES];
    uint8_t pixels[256];
    int label;
    for (int i = 0; i < 6; i++) {
        (void)snprintf(names[i], sizeof names[i], i == 2 ? "%s/none.png" : "%s/t10k-images-idx3-ubyte:%d", folder,
                       i == 4 ? TEST : i);
        paths[i] = names[i];
    }
    check(strata_model_predict(s.model, paths, 6, NULL, out[0], errors, &err), &err);
    for (int i = 0; i < 6; i++) {
        if (i == 2 || i == 4) {
            assert_int_not_equal(errors[i].status, STRATA_OK);
            assert_true(errors[i].file[0] != '\0');
            assert_true(out[i][0] == 0 && out[i][CLASSES - 1] == 0);
            continue;
        }
        assert_int_equal(errors[i].status, STRATA_OK);
        check(strata_dataset_read(s.data, STRATA_TEST, (size_t)i, pixels, &label, &err), &err);
        check(strata_model_infer(s.model, pixels, 1, (strata_shape){16, 16, 1}, row, &err), &err);
        assert_memory_equal(out[i], row, sizeof row);
    }
    assert_int_not_equal(strata_model_predict(s.model, paths, 6, NULL, out[0], NULL, &err), STRATA_OK);
    assert_non_null(strstr(err.file, "none.png"));
    unmake(&s);
}

/* ---- published weights ------------------------------------------------------------------------------------------ */

enum { MOST_PICTURES = 50, OUTPUTS = 1000 };

static size_t read_list(char names[MOST_PICTURES][256], int labels[MOST_PICTURES], const char *data) {
    char path[256], line[512];
    (void)snprintf(path, sizeof path, "%.200s/imagenet-50/labels.tsv", data);
    FILE *file = fopen(path, "r");
    size_t count = 0;
    while (file != NULL && count < MOST_PICTURES && fgets(line, sizeof line, file) != NULL) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = '\0';
        (void)snprintf(names[count], 256, "%.100s/imagenet-50/%.100s", data, line);
        labels[count++] = atoi(tab + 1);
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

static void test_squeezenet_names_photographs(void **state) {
    (void)state;
    static char names[MOST_PICTURES][256];
    static float out[MOST_PICTURES * OUTPUTS];
    const char *data = getenv("STRATA_TEST_DATA"), *paths[MOST_PICTURES];
    int labels[MOST_PICTURES], right = 0;
    char weights[256];
    strata_error err = {0};
    (void)snprintf(weights, sizeof weights, "%.200s/weights/squeezenet1_1.f16.safetensors", data != NULL ? data : "");
    size_t count = data != NULL ? read_list(names, labels, data) : 0;
    if (count == 0 || access(weights, R_OK) != 0 || strstr(strata_built_with(), "jpeg") == NULL) {
        print_message("skipped: needs imagenet-50 and SqueezeNet's weights in $STRATA_TEST_DATA, and libjpeg\n");
        skip();
    }
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_model *model = NULL;
    check(strata_runtime_create(&runtime, NULL, &err), &err);
    check(strata_net_load(&net, "squeezenet1_1", "image=227", &err), &err);
    check(strata_model_build(&model, runtime, net, &(strata_build_options){.batch = 10, .blank = true}, &err), &err);
    check(strata_model_load(model, weights, &err), &err);
    for (size_t i = 0; i < count; i++) {
        paths[i] = names[i];
    }
    check(strata_model_predict(model, paths, count, NULL, out, NULL, &err), &err);
    for (size_t i = 0; i < count; i++) {
        size_t answer;
        strata_top(&answer, 1, out + i * OUTPUTS, OUTPUTS);
        right += answer == (size_t)labels[i];
    }
    print_message("SqueezeNet names %d of %zu photographs\n", right, count);
    assert_true(right >= 33);
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static int make_data(void **state) {
    (void)state;
    pictures_make(folder, TRAIN, TEST, 16, CLASSES);
    return 0;
}

static int remove_data(void **state) {
    (void)state;
    pictures_remove(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wilson_gives_published_intervals),
        cmocka_unit_test(test_wilson_ends_are_exact),
        cmocka_unit_test(test_mcnemar_is_the_exact_binomial),
        cmocka_unit_test(test_mcnemar_takes_any_counts),
        cmocka_unit_test(test_temperature_finds_the_one_that_labels_were_drawn_at),
        cmocka_unit_test(test_temperature_one_changes_nothing),
        cmocka_unit_test(test_temperature_is_refused_where_there_is_none),
        cmocka_unit_test(test_calibration_error_by_hand),
        cmocka_unit_test(test_numbers_that_are_none_are_never_right),
        cmocka_unit_test(test_top_is_sorted_and_stable),
        cmocka_unit_test(test_views_of_cropped_pictures),
        cmocka_unit_test(test_views_of_stretched_pictures),
        cmocka_unit_test(test_views_of_padded_pictures),
        cmocka_unit_test(test_views_are_1_5_or_10),
        cmocka_unit_test(test_predictions_are_the_same_bits_for_any_threads_and_batch),
        cmocka_unit_test(test_predictions_agree_with_evaluate_and_infer),
        cmocka_unit_test(test_flip_is_the_mean_of_a_picture_and_its_mirror_image),
        cmocka_unit_test(test_predictions_can_be_stopped),
        cmocka_unit_test(test_ensemble_is_the_mean_of_its_members),
        cmocka_unit_test(test_comparison_counts_pairs),
        cmocka_unit_test(test_classes_are_found_by_name),
        cmocka_unit_test(test_ensemble_matches_classes_by_name),
        cmocka_unit_test(test_unknown_classes_are_refused_or_left_out),
        cmocka_unit_test(test_numbers_decide_where_no_name_is_known),
        cmocka_unit_test(test_twins_are_refused),
        cmocka_unit_test(test_files_are_answered_one_by_one),
        cmocka_unit_test(test_squeezenet_names_photographs),
    };
    return cmocka_run_group_tests_name("evaluate", tests, make_data, remove_data);
}
