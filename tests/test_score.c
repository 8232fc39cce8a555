/* What is said of a model from its answers: intervals and tests against computed values, temperature, calibration,
 * the likeliest classes. Whole models: test_evaluate.c. */
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
    };
    return cmocka_run_group_tests_name("train: scores", tests, NULL, NULL);
}
