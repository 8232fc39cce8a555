/* What a training run may be told besides its schedule: steps of several batches, clipped gradients, averaged weights,
 * patience, and the search for a learning rate; and what stops a run that has diverged. */
#include <math.h>
#include <stdlib.h>

#include "formats/formats.h"
#include "train_case.h"

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

/* ---- clipping ---------------------------------------------------------------------------------------------------- */

/* An epoch with this clip; what it says of the norms. */
static strata_epoch_info clipped_epoch(char hash[65], double norm, int threads) {
    strata_error err = {0};
    strata_step_info step;
    strata_epoch_info epoch;
    setup s = make(SMALL, (told){.batch = 24, .clip = norm, .threads = threads});
    do {
        check(strata_trainer_step(s.trainer, &step, &err), &err);
    } while (!step.epoch_done);
    check(strata_trainer_end_epoch(s.trainer, &epoch, &err), &err);
    strata_model_hash(s.model, hash);
    unmake(&s);
    return epoch;
}

static void test_clip_shortens_gradients_and_says_their_norm(void **state) {
    (void)state;
    char plain[65], loose[65], tight[65], other[65];
    assert_false(clipped_epoch(plain, 0, 2).has_norms);
    strata_epoch_info far = clipped_epoch(loose, 1e6, 2);
    assert_string_equal(loose, plain); /* nothing is that long */
    assert_true(far.has_norms && far.norm_max >= far.norm_mean && far.norm_mean > 0);
    strata_epoch_info near = clipped_epoch(tight, 0.01, 1);
    assert_string_not_equal(tight, plain);
    assert_true(near.norm_max > 0.01); /* before it was scaled down */
    strata_epoch_info again = clipped_epoch(other, 0.01, 3);
    assert_string_equal(other, tight);
    assert_memory_equal(&again.norm_mean, &near.norm_mean, sizeof near.norm_mean);
}

/* The norm of the difference between two files of weights. */
static double distance(const char *first, const char *second) {
    st_weights a, b;
    strata_error err = {0};
    double sum = 0;
    check(st_weights_open(&a, first, &err), &err);
    check(st_weights_open(&b, second, &err), &err);
    for (size_t i = 0; i < a.tensor_count; i++) {
        const st_tensor *at = &a.tensors[i], *other = st_weights_find(&b, at->name);
        st_real *x = calloc(at->count, sizeof *x), *y = calloc(at->count, sizeof *y);
        check(st_weights_read(&a, at, x, &err), &err);
        check(st_weights_read(&b, other, y, &err), &err);
        for (size_t k = 0; k < at->count; k++) {
            sum += ((double)x[k] - (double)y[k]) * ((double)x[k] - (double)y[k]);
        }
        free(x);
        free(y);
    }
    st_weights_close(&a);
    st_weights_close(&b);
    return sqrt(sum);
}

/* One step of plain gradient descent moves the weights by the rate times the norm, which is the clip. */
static void test_clip_is_the_norm_of_the_step(void **state) {
    (void)state;
    strata_error err = {0};
    strata_step_info step;
    strata_build_options build = {.batch = 24, .train = true, .seed = 3};
    strata_train_options train = {
        .epochs = 1, .learning_rate = 0.5, .momentum = -1, .schedule = "constant", .seed = 3, .clip = 0.125};
    setup s = make_of(PLAIN, &(strata_options){.threads = 2}, &build, &train);
    char before[128], after[128];
    (void)snprintf(before, sizeof before, "%s/before.safetensors", folder);
    (void)snprintf(after, sizeof after, "%s/after.safetensors", folder);
    check(strata_model_save(s.model, before, &err), &err);
    check(strata_trainer_step(s.trainer, &step, &err), &err);
    check(strata_model_save(s.model, after, &err), &err);
    assert_true(fabs(distance(before, after) / (0.5 * 0.125) - 1) < 1e-4); /* each weight is rounded to a float */
    unmake(&s);
}

/* ---- the average of the weights ---------------------------------------------------------------------------------- */

static void test_ema_is_what_is_evaluated_and_saved(void **state) {
    (void)state;
    char plain[65], shown[65], opened[65], path[128];
    strata_error err = {0};
    strata_step_info step;
    strata_epoch_info epoch;
    (void)snprintf(path, sizeof path, "%s/best.safetensors", folder);
    setup raw = make(WIDE, (told){.batch = 24}), s = make(WIDE, (told){.batch = 24, .ema = 0.9});
    for (int i = 0; i < 8; i++) {
        check(strata_trainer_step(raw.trainer, &step, &err), &err);
        check(strata_trainer_step(s.trainer, &step, &err), &err);
        strata_model_hash(raw.model, plain);
        strata_model_hash(s.model, shown);
        assert_string_equal(shown, plain); /* learning itself does not see it */
    }
    check(strata_trainer_end_epoch(s.trainer, &epoch, &err), &err);
    strata_model_hash(s.model, shown);
    assert_string_not_equal(shown, plain);
    strata_metrics metrics;
    check(strata_evaluate(&metrics, s.model, s.data, STRATA_VAL, NULL, NULL, NULL, &err), &err);
    assert_memory_equal(&metrics.loss, &epoch.val.loss, sizeof metrics.loss);
    setup reader = make(WIDE, (told){.batch = 24});
    check(strata_model_save(s.model, path, &err), &err);
    check(strata_model_load(reader.model, path, &err), &err);
    strata_model_hash(reader.model, opened);
    assert_string_equal(opened, shown);
    check(strata_trainer_save(s.trainer, path, &err), &err); /* the checkpoint shows the average, too */
    check(strata_model_load(reader.model, path, &err), &err);
    strata_model_hash(reader.model, opened);
    assert_string_equal(opened, shown);
    unmake(&reader);
    check(strata_trainer_end_epoch(raw.trainer, &epoch, &err), &err);
    check(strata_trainer_step(raw.trainer, &step, &err), &err);
    check(strata_trainer_step(s.trainer, &step, &err), &err);
    strata_model_hash(raw.model, plain);
    strata_model_hash(s.model, shown);
    assert_string_equal(shown, plain);
    unmake(&raw);
    unmake(&s);
}

static void test_ema_counts_in_memory(void **state) {
    (void)state;
    strata_error err = {0};
    setup s = make(WIDE, (told){.batch = 24});
    strata_memory with, without;
    strata_build_options build = {.batch = 24, .train = true};
    check(strata_model_memory(&without, s.runtime, s.net, &build, &err), &err);
    build.average = true;
    check(strata_model_memory(&with, s.runtime, s.net, &build, &err), &err);
    assert_int_equal(with.optimizer_bytes - without.optimizer_bytes, without.weights_bytes);
    unmake(&s);
}

/* ---- everything together goes on after a resume ------------------------------------------------------------------ */

static void finish(setup *s, char hash[65], strata_epoch_info *last) {
    strata_error err = {0};
    strata_step_info step;
    while (!strata_trainer_is_done(s->trainer)) {
        check(strata_trainer_step(s->trainer, &step, &err), &err);
        if (step.epoch_done) {
            check(strata_trainer_end_epoch(s->trainer, last, &err), &err);
        }
    }
    strata_model_hash(s->model, hash);
}

static void goes_on(const char *text, told t) {
    char path[128], expected[65], found[65];
    strata_error err = {0};
    strata_epoch_info last, other;
    (void)snprintf(path, sizeof path, "%s/last.safetensors", folder);
    setup whole = make(text, t);
    finish(&whole, expected, &last);
    unmake(&whole);
    static const int places[] = {0, 3, 5, 8, 11}; /* an epoch has 5 steps */
    for (size_t i = 0; i < ST_COUNT_OF(places); i++) {
        setup first = make(text, t);
        steps(&first, places[i]);
        check(strata_trainer_save(first.trainer, path, &err), &err);
        unmake(&first);
        t.threads = 1 + (int)i % 3;
        setup second = make(text, t);
        check(strata_trainer_resume(second.trainer, path, &err), &err);
        finish(&second, found, &other);
        assert_string_equal(found, expected);
        assert_memory_equal(&other.norm_mean, &last.norm_mean, sizeof last.norm_mean);
        assert_int_equal(other.best_epoch, last.best_epoch);
        unmake(&second);
    }
}

static void test_resume_with_all_options_goes_on_with_the_same_bits(void **state) {
    (void)state;
    told t = {.batch = 12, .accumulate = 3, .epochs = 3, .clip = 0.5, .ema = 0.95, .patience = 2};
    goes_on(SMALL, t);
    t.optimizer = "adamw";
    goes_on(WIDE, t);
}

static void test_resume_refuses_other_options(void **state) {
    (void)state;
    char path[128];
    strata_error err = {0};
    (void)snprintf(path, sizeof path, "%s/last.safetensors", folder);
    static const told others[] = {{.batch = 12, .accumulate = 2},
                                  {.batch = 12, .clip = 1},
                                  {.batch = 12, .ema = 0.9},
                                  {.batch = 12, .patience = 3}};
    for (size_t i = 0; i < ST_COUNT_OF(others); i++) {
        setup plain = make(SMALL, (told){.batch = 12}), other = make(SMALL, others[i]);
        check(strata_trainer_save(plain.trainer, path, &err), &err);
        assert_int_equal(strata_trainer_resume(other.trainer, path, &err), STRATA_INVALID);
        assert_non_null(strstr(err.message, "another run"));
        check(strata_trainer_save(other.trainer, path, &err), &err);
        assert_int_equal(strata_trainer_resume(plain.trainer, path, &err), STRATA_INVALID);
        unmake(&plain);
        unmake(&other);
    }
}

/* ---- patience ---------------------------------------------------------------------------------------------------- */

static void test_patience_ends_a_run_that_gets_no_better(void **state) {
    (void)state;
    strata_error err = {0};
    strata_epoch_info last;
    strata_step_info step;
    char hash[65], path[128];
    (void)snprintf(path, sizeof path, "%s/last.safetensors", folder);
    /* At a rate of next to nothing the first epoch stays the best. */
    told t = {.batch = 24, .epochs = 20, .patience = 3, .rate = 1e-12, .schedule = "constant"};
    setup s = make(SMALL, t);
    finish(&s, hash, &last);
    assert_true(last.gave_up && last.done && strata_trainer_gave_up(s.trainer));
    assert_int_equal(last.epoch - last.best_epoch, 3);
    assert_true(last.epoch < 20);
    assert_int_equal(strata_trainer_step(s.trainer, &step, &err), STRATA_INVALID);
    check(strata_trainer_save(s.trainer, path, &err), &err);
    unmake(&s);
    s = make(SMALL, t);
    check(strata_trainer_resume(s.trainer, path, &err), &err);
    assert_true(strata_trainer_is_done(s.trainer) && strata_trainer_gave_up(s.trainer));
    unmake(&s);
    t.patience = 0;
    t.epochs = 5;
    s = make(SMALL, t);
    finish(&s, hash, &last);
    assert_true(last.done && !last.gave_up && last.epoch == 5);
    unmake(&s);
}

static void test_options_that_make_no_sense_are_refused(void **state) {
    (void)state;
    strata_error err = {0};
    setup s = make(SMALL, (told){.batch = 24});
    strata_trainer *trainer = NULL;
    static const strata_train_options wrong[] = {{.seed = 3, .accumulate = 2},
                                                 {.seed = 3, .accumulate = -1},
                                                 {.seed = 3, .ema = 0.9},
                                                 {.seed = 3, .ema = 1},
                                                 {.seed = 3, .clip = -1},
                                                 {.seed = 3, .patience = -1},
                                                 {.seed = 3, .clip = (double)INFINITY},
                                                 {.seed = 3, .ema = (double)NAN}};
    for (size_t i = 0; i < ST_COUNT_OF(wrong); i++) {
        assert_int_equal(strata_trainer_create(&trainer, s.model, s.data, &wrong[i], &err), STRATA_INVALID);
        assert_null(trainer);
    }
    strata_dataset *data = NULL;
    check(strata_dataset_open(&data, folder, NULL, &err), &err); /* without val */
    strata_train_options patient = {.seed = 3, .patience = 2};
    assert_int_equal(strata_trainer_create(&trainer, s.model, data, &patient, &err), STRATA_INVALID);
    assert_non_null(strstr(err.message, "val"));
    strata_dataset_free(data);
    unmake(&s);
}

/* ---- what is not finite ------------------------------------------------------------------------------------------ */

/* A rate that no net survives: the step and a place are named, the place in the run stays, and nothing that is not
 * finite is saved over what was good. */
static void diverges(told t) {
    char path[128], before[65], after[65];
    strata_error err = {0};
    strata_step_info step;
    strata_epoch_info epoch;
    strata_model *model = NULL;
    (void)snprintf(path, sizeof path, "%s/good.safetensors", folder);
    t.rate = 1e5;
    t.schedule = "constant";
    t.epochs = 50;
    setup s = make(
        "network wild {\n input 16x16x1\n a: conv 3x3 20, relu\n b: fc 10\n output logits loss=cross_entropy\n}\n", t);
    strata_status status = strata_trainer_save(s.trainer, path, &err);
    strata_model_hash(s.model, before);
    check(status, &err);
    for (int i = 0; status == STRATA_OK && i < 400; i++) {
        status = strata_trainer_step(s.trainer, &step, &err);
        if (status == STRATA_OK && step.epoch_done) {
            status = strata_trainer_end_epoch(s.trainer, &epoch, &err);
        } else if (status == STRATA_OK && i < 2) {
            strata_model_hash(s.model, before);
            status = strata_trainer_save(s.trainer, path, &err);
        }
    }
    assert_int_equal(status, STRATA_INVALID);
    assert_non_null(strstr(err.message, "step "));
    assert_non_null(strstr(err.message, ": the first "));
    assert_true(err.hint[0] != '\0' || strstr(err.message, "weights") != NULL);
    check(strata_model_open(&model, s.runtime, path, NULL, &err), &err);
    strata_model_hash(model, after);
    assert_int_equal(strlen(after), 64);
    strata_model_free(model);
    unmake(&s);
}

static void test_what_is_not_finite_stops_the_run(void **state) {
    (void)state;
    diverges((told){.batch = 24});
    diverges((told){.batch = 8, .accumulate = 3});
    diverges((told){.batch = 8, .accumulate = 3, .ema = 0.9, .optimizer = "sgd"});
}

/* ---- the search for a learning rate ------------------------------------------------------------------------------ */

static bool count_steps(size_t done, size_t count, void *user) {
    (void)count;
    *(size_t *)user = done;
    return done < 30;
}

static void test_find_rate_ends_where_the_loss_leaves_the_ground(void **state) {
    (void)state;
    strata_error err = {0};
    strata_rate_search *found = NULL, *again = NULL;
    setup s = make(SMALL, (told){.batch = 12, .epochs = 10, .threads = 1});
    check(strata_trainer_find_rate(&found, s.trainer, NULL, NULL, NULL, &err), &err);
    assert_true(found->diverged && found->count > 50 && found->count <= 200);
    assert_true(found->lowest > 0 && found->lowest < found->count - 1);
    for (size_t i = 1; i < found->count; i++) {
        assert_true(found->trials[i].rate > found->trials[i - 1].rate);
    }
    assert_true(found->suggested > 1e-4 && found->suggested < 1);
    assert_true(fabs(3 * found->suggested / found->trials[found->lowest].rate - 1) < 1e-12);
    assert_int_equal(found->divisor, 3);
    unmake(&s);
    s = make(SMALL, (told){.batch = 12, .epochs = 10, .threads = 3});
    check(strata_trainer_find_rate(&again, s.trainer, NULL, NULL, NULL, &err), &err);
    assert_int_equal(again->count, found->count);
    assert_memory_equal(again->trials, found->trials, found->count * sizeof *found->trials);
    strata_rate_search_free(found);
    strata_rate_search_free(again);
    size_t done = 0;
    assert_int_equal(strata_trainer_find_rate(&found, s.trainer, NULL, count_steps, &done, &err), STRATA_CANCELLED);
    assert_null(found);
    assert_int_equal(done, 30);
    unmake(&s);
    s = make(SMALL, (told){.batch = 12, .epochs = 10, .optimizer = "adamw"});
    check(strata_trainer_find_rate(&found, s.trainer, NULL, NULL, NULL, &err), &err);
    assert_true(fabs(10 * found->suggested / found->trials[found->lowest].rate - 1) < 1e-12);
    strata_rate_search_free(found);
    strata_rate_options wrong = {.from = 1, .to = 0.5};
    assert_int_equal(strata_trainer_find_rate(&found, s.trainer, &wrong, NULL, NULL, &err), STRATA_INVALID);
    strata_rate_search_free(NULL);
    unmake(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accumulation_in_image_lanes_same_bits),
        cmocka_unit_test(test_accumulation_in_nhwc_same_bits),
        cmocka_unit_test(test_accumulation_same_bits_on_every_set_of_kernels),
        cmocka_unit_test(test_accumulation_with_batch_norm_repeats),
        cmocka_unit_test(test_accumulation_needs_the_memory_that_was_told),
        cmocka_unit_test(test_clip_shortens_gradients_and_says_their_norm),
        cmocka_unit_test(test_clip_is_the_norm_of_the_step),
        cmocka_unit_test(test_ema_is_what_is_evaluated_and_saved),
        cmocka_unit_test(test_ema_counts_in_memory),
        cmocka_unit_test(test_resume_with_all_options_goes_on_with_the_same_bits),
        cmocka_unit_test(test_resume_refuses_other_options),
        cmocka_unit_test(test_patience_ends_a_run_that_gets_no_better),
        cmocka_unit_test(test_options_that_make_no_sense_are_refused),
        cmocka_unit_test(test_what_is_not_finite_stops_the_run),
        cmocka_unit_test(test_find_rate_ends_where_the_loss_leaves_the_ground),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
