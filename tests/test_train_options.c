/* What a training run may be told besides its schedule: steps of several batches, clipped gradients, averaged weights,
 * patience, and the search for a learning rate; and what stops a run that has diverged. */
#include "train_case.h"

#include <math.h>

/* NHWC without batch norm: small and large gradients, groups, dilation, a stride, dense layers, a side head. */
static const char *const PLAIN =
    "network plain {\n input 16x16x1\n conv 3x3 40 pad=1, relu\n maxpool 2x2 stride=2\n"
    " add {\n | conv 3x3 80 pad=1 groups=4, tanh\n | conv 1x1 80 bias=no\n }\n relu\n"
    " conv 3x3 300 pad=2 dilation=2 stride=2, relu\n dropout 0.2\n"
    " side when=train { avgpool global, fc 10, output aux loss=cross_entropy weight=0.3 }\n"
    " conv 3x3 130 pad=1, lrn 5\n scale\n fc 70, tanh\n fc 10\n output logits loss=cross_entropy\n}\n";

/* The layers of the older papers, in image lanes. */
static const char *const OLD =
    "network old {\n input 16x16x1\n conv 5x5 6 pad=2, scaled_tanh\n lrn 5 alpha=5e-4 k=2\n"
    " avgpool 2x2 stride=2, scale, tanh\n"
    " add {\n | conv 3x3 12 stride=2 pad=1\n | subsample 12 stride=2\n }\n relu\n maxpool 3x3 stride=2 ceil=yes\n"
    " conv 1x1 3\n conv_table 1x1 \"012 01 2\", tanh\n dropout 0.1\n fc 10\n output logits loss=cross_entropy\n}\n";

/* What a run is told here. */
typedef struct told {
    int64_t batch, accumulate, epochs, patience;
    double clip, ema, rate;
    const char *optimizer, *schedule;
    int threads;
} told;

static setup make(const char *text, told t) {
    strata_build_options build = {.batch = t.batch,
                                  .train = true,
                                  .optimizer = t.optimizer,
                                  .seed = 3,
                                  .accumulate = t.accumulate,
                                  .average = t.ema > 0};
    strata_train_options train = {.epochs = t.epochs > 0 ? t.epochs : 2,
                                  .optimizer = t.optimizer,
                                  .learning_rate = t.rate,
                                  .schedule = t.schedule,
                                  .seed = 3,
                                  .weight_decay = 1e-4,
                                  .label_smoothing = 0.05,
                                  .accumulate = t.accumulate,
                                  .clip = t.clip,
                                  .ema = t.ema,
                                  .patience = t.patience};
    return make_of(text, &(strata_options){.threads = t.threads > 0 ? t.threads : 2}, &build, &train);
}

/* ---- accumulation ----------------------------------------------------------------------------------------------- */

typedef struct course {
    char hash[65];
    strata_step_info place;
} course;

/* An epoch, whose last step is uneven, and a step. */
static course run_epoch(const char *text, told t) {
    strata_error err = {0};
    strata_step_info step;
    strata_epoch_info epoch;
    course out;
    setup s = make(text, t);
    do {
        check(strata_trainer_step(s.trainer, &step, &err), &err);
    } while (!step.epoch_done);
    check(strata_trainer_end_epoch(s.trainer, &epoch, &err), &err);
    check(strata_trainer_step(s.trainer, &out.place, &err), &err);
    strata_model_hash(s.model, out.hash);
    unmake(&s);
    return out;
}

static void accumulates(const char *text) {
    static const struct {
        int64_t total, batches[9];
    } cases[] = {
        {24, {12, 8, 6, 4, 3, 2, 1}}, /* 180 = 7 * 24 + 12 */
        {64, {32, 16, 8}},            /* 52 left */
        {40, {20, 10, 8, 5}},         /* 20 left */
        {75, {25, 15}},               /* one group; 30 left */
        {96, {32, 24, 12}},           /* groups of 12; 84 left */
        {14, {7, 2}},
    };
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        course whole = run_epoch(text, (told){.batch = cases[i].total});
        for (size_t k = 0; cases[i].batches[k] != 0; k++) {
            int64_t batch = cases[i].batches[k];
            for (int threads = 1; threads <= 2; threads++) {
                course pieces =
                    run_epoch(text, (told){.batch = batch, .accumulate = cases[i].total / batch, .threads = threads});
                if (strcmp(pieces.hash, whole.hash) != 0) {
                    fail_msg("%lld batches of %lld: other weights than one of %lld",
                             (long long)(cases[i].total / batch), (long long)batch, (long long)cases[i].total);
                }
                assert_memory_equal(&pieces.place, &whole.place, sizeof whole.place);
            }
        }
    }
}

static void test_accumulation_in_image_lanes_same_bits(void **state) {
    (void)state;
    accumulates(SMALL);
    accumulates(OLD);
}

static void test_accumulation_in_nhwc_same_bits(void **state) {
    (void)state;
    accumulates(PLAIN);
}

static void test_accumulation_same_bits_on_every_set_of_kernels(void **state) {
    (void)state;
    course whole = run_epoch(PLAIN, (told){.batch = 40});
    for (size_t i = 0; st_kernels_at(i) != NULL; i++) {
        if (st_kernels_runs(st_kernels_at(i))) {
            setenv("STRATA_ISA", st_kernels_at(i)->name, 1);
            course pieces = run_epoch(PLAIN, (told){.batch = 8, .accumulate = 5, .threads = 3});
            unsetenv("STRATA_ISA");
            assert_string_equal(pieces.hash, whole.hash);
        }
    }
}

/* Batch norm sees the pictures of a batch: other weights, but a run that learns, the same for any threads. */
static void test_accumulation_with_batch_norm_repeats(void **state) {
    (void)state;
    course one = run_epoch(WIDE, (told){.batch = 12, .accumulate = 2, .threads = 1});
    course other = run_epoch(WIDE, (told){.batch = 12, .accumulate = 2, .threads = 3});
    course whole = run_epoch(WIDE, (told){.batch = 24});
    assert_string_equal(one.hash, other.hash);
    assert_string_not_equal(one.hash, whole.hash);
    assert_true(fabs(one.place.loss - whole.place.loss) < 0.5);
}

static void test_accumulation_needs_the_memory_that_was_told(void **state) {
    (void)state;
    strata_error err = {0};
    setup s = make(PLAIN, (told){.batch = 8, .accumulate = 8});
    strata_memory pieces, whole;
    strata_build_options build = {.batch = 8, .train = true, .accumulate = 8};
    check(strata_model_memory(&pieces, s.runtime, s.net, &build, &err), &err);
    build = (strata_build_options){.batch = 64, .train = true};
    check(strata_model_memory(&whole, s.runtime, s.net, &build, &err), &err);
    assert_true(pieces.activations_bytes < whole.activations_bytes / 4);
    assert_true(pieces.gradients_bytes > whole.gradients_bytes);
    unmake(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accumulation_in_image_lanes_same_bits),
        cmocka_unit_test(test_accumulation_in_nhwc_same_bits),
        cmocka_unit_test(test_accumulation_same_bits_on_every_set_of_kernels),
        cmocka_unit_test(test_accumulation_with_batch_norm_repeats),
        cmocka_unit_test(test_accumulation_needs_the_memory_that_was_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
