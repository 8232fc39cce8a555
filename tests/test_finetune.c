/* Transfer learning through the public interface and below it: where a net is cut, that the two parts compute what the
 * whole does, that what is fixed stays fixed to the bit, and that a run which was interrupted in any regime goes on
 * with the same bits. test_features.c has what is kept between the two parts. */
#include <math.h>

#include "finetune_case.h"
#include "kernels/kernels.h"

/* ---- cuts and regimes ------------------------------------------------------------------------------------------- */

static void expect_regime(const char *text, const char *words, const char *first, const char *last, const char *cut) {
    strata_error err = {0};
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_dataset *data = NULL;
    strata_tuning tuning;
    must(strata_runtime_create(&runtime, &(strata_options){.threads = 1}, &err), &err);
    must(strata_net_parse(&net, text, strlen(text), NULL, &err), &err);
    must(strata_dataset_open(&data, folder, NULL, &err), &err);
    strata_build_options build = {.batch = BATCH};
    strata_train_options train = {.train = words};
    must(strata_tuning_get(&tuning, runtime, net, &build, &train, data, &err), &err);
    assert_string_equal(tuning.first, first);
    assert_string_equal(tuning.last, last);
    assert_string_equal(tuning.cut != NULL ? tuning.cut : "", cut);
    strata_dataset_free(data);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static void test_regimes_say_what_is_trained_and_where_the_net_is_cut(void **state) {
    (void)state;
    expect_regime(LANES, "head", "head", "head",
                  "6"); /* the tanh after f1: dropout before the head stays in training */
    expect_regime(LANES, "all", "c1", "head", "");
    expect_regime(LANES, "f1 head", "f1", "head", "4");
    expect_regime(FIRE, "head", "classifier.1", "classifier.1", "d.concat");
    expect_regime(FIRE, "second-half", "c.squeeze", "classifier.1", "1"); /* the pooling belongs to the first half */
    expect_regime(FIRE, "d,classifier", "d.squeeze", "classifier.1", "c.concat");
    expect_regime(RESIDUAL, "head", "fc", "fc", "1");
    expect_regime(RESIDUAL, "second-half", "down", "fc", "layer1.1.1");
    expect_regime(RESIDUAL, "layer1.0.n2", "layer1.0.n2", "layer1.0.n2", "0");
}

static void test_regimes_refuse_what_is_not_there(void **state) {
    (void)state;
    strata_error err = {0};
    strata_net *net = NULL;
    strata_model *model = NULL;
    strata_runtime *runtime = NULL;
    strata_dataset *data = NULL;
    strata_trainer *trainer = NULL;
    must(strata_runtime_create(&runtime, &(strata_options){.threads = 1}, &err), &err);
    must(strata_net_parse(&net, FIRE, strlen(FIRE), NULL, &err), &err);
    must(strata_model_build(&model, runtime, net, &(strata_build_options){.batch = BATCH}, &err), &err);
    must(strata_dataset_open(&data, folder, NULL, &err), &err);
    strata_train_options train = {.train = "classifer.1"};
    assert_int_equal(strata_trainer_create(&trainer, model, data, &train, &err), STRATA_MISSING);
    assert_string_equal(err.message, "there is no layer or group 'classifer.1'");
    assert_string_equal(err.hint, "did you mean 'classifier.1'?");
    train.train = "a classifier.0";
    assert_int_equal(strata_trainer_create(&trainer, model, data, &train, &err), STRATA_MISSING);
    assert_string_equal(err.message, "there are no weights under 'classifier.0'");
    train = (strata_train_options){.train = "head", .thaw = 10};
    assert_int_equal(strata_trainer_create(&trainer, model, data, &train, &err), STRATA_INVALID);
    strata_dataset_free(data);
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

/* ---- the two parts and the whole -------------------------------------------------------------------------------- */

static const st_parameter *find_parameter(const st_model *model, const char *path, size_t *index) {
    for (*index = 0; *index < model->parameter_count; (*index)++) {
        const st_parameter *parameter = &model->parameters[*index];
        if (strcmp(parameter->node->state[parameter->state].path, path) == 0) {
            return parameter;
        }
    }
    fail_msg("no parameter %s", path);
    return NULL;
}

typedef struct parts {
    st_arena *arena;
    st_pool *pool;
    strata_net *net;
    st_model *whole, *part;
    st_regime regime;
    uint8_t *pixels;
    int32_t *labels;
    const st_real **rows;
    st_graph *slice;
} parts;

/* The whole for inference, the part behind the cut for training, and noise. */
static parts make_parts(const char *text, const char *words, int64_t batch) {
    parts p = {0};
    strata_error err = {0};
    must(st_arena_create(&p.arena, &err), &err);
    must(st_pool_create(&p.pool, 2, &err), &err);
    must(strata_net_parse(&p.net, text, strlen(text), NULL, &err), &err);
    st_model_options options = {.batch = batch, .slot_count = 1, .seed = 5};
    must(st_model_create(&p.whole, p.pool, best_kernels(), p.net->graph, &options, &err), &err);
    const st_plan *plan = st_exec_plan(p.whole->infer);
    must(st_regime_find(&p.regime, p.arena, p.net->graph, plan, words, &err), &err);
    must(st_graph_slice(&p.slice, p.arena, p.net->graph, p.regime.cut, p.regime.trained, &err), &err);
    options.train = true;
    options.lender = p.whole;
    options.layout = &plan->layout;
    must(st_model_create(&p.part, p.pool, best_kernels(), p.slice, &options, &err), &err);
    must(st_arena_alloc(&p.pixels, p.arena, (size_t)batch, 256, &err), &err);
    must(st_arena_alloc(&p.labels, p.arena, (size_t)batch, sizeof *p.labels, &err), &err);
    must(st_arena_alloc(&p.rows, p.arena, (size_t)batch, sizeof *p.rows, &err), &err);
    for (size_t i = 0; i < 256 * (size_t)batch; i++) {
        p.pixels[i] = (uint8_t)st_rng_bits(9, 1, i);
    }
    for (size_t i = 0; i < (size_t)batch; i++) {
        p.labels[i] = (int32_t)(i % 10);
    }
    return p;
}

static void make_rows(parts *p, int64_t n) {
    strata_error err = {0};
    st_dims dims = p->slice->input;
    st_feed feed = {.pixels = p->pixels, .n = n, .until = p->regime.cut};
    st_model_infer(p->whole, &feed);
    for (int64_t i = 0; i < n; i++) {
        st_real *row = NULL;
        must(st_arena_alloc(&row, p->arena, (size_t)(dims.h * dims.w * dims.c), sizeof *row, &err), &err);
        st_exec_row(p->whole->infer, p->regime.cut, i, row);
        p->rows[i] = row;
    }
}

static void unmake_parts(parts *p) {
    st_model_free(p->part);
    st_model_free(p->whole);
    strata_net_free(p->net);
    st_pool_free(p->pool);
    st_arena_free(p->arena);
}

static void test_parts_infer_what_the_whole_infers(void **state) {
    (void)state;
    static const char *const words[] = {"head", "second-half"};
    for (size_t i = 0; i < ST_COUNT_OF(NETS) * ST_COUNT_OF(words); i++) {
        for (int64_t n = 1; n <= BATCH; n += 9) {
            parts p = make_parts(NETS[i / 2], words[i % 2], BATCH);
            st_real whole[BATCH][10], part[BATCH][10];
            make_rows(&p, n);
            st_model_infer(p.whole, &(st_feed){.pixels = p.pixels, .labels = p.labels, .n = n});
            for (int64_t k = 0; k < n; k++) {
                st_exec_output(p.whole->infer, p.whole->graph->main_output, k, whole[k]);
            }
            st_model_infer(p.part, &(st_feed){.rows = p.rows, .labels = p.labels, .n = n});
            for (int64_t k = 0; k < n; k++) {
                st_exec_output(p.part->infer, p.part->graph->main_output, k, part[k]);
            }
            assert_memory_equal(whole, part, (size_t)n * sizeof whole[0]);
            unmake_parts(&p);
        }
    }
}

/* A whole model in training whose fixed layers are frozen. Without batch norm in the fixed part the gradients are the
 * same bits; with it that part is folded here and is not there, which rounds differently. */
static void compare_gradients(const char *text, const char *words, const char *freeze, double tolerance) {
    strata_error err = {0};
    parts p = make_parts(text, words, BATCH);
    strata_net *net = NULL;
    st_model *whole = NULL;
    must(strata_net_parse(&net, text, strlen(text), NULL, &err), &err);
    const st_graph *graph = NULL;
    const st_tree *tree = NULL;
    must(st_lang_parse(&tree, p.arena, "text", text, strlen(text), &err), &err);
    must(st_graph_build(&graph, p.arena, tree, NULL, freeze, &err), &err);
    st_model_options options = {.batch = BATCH, .train = true, .slot_count = 1, .seed = 5};
    must(st_model_create(&whole, p.pool, best_kernels(), graph, &options, &err), &err);
    make_rows(&p, BATCH);
    st_model_gradients(whole, &(st_feed){.pixels = p.pixels, .labels = p.labels, .n = BATCH, .is_trace = true});
    st_model_gradients(p.part, &(st_feed){.rows = p.rows, .labels = p.labels, .n = BATCH, .is_trace = true});
    size_t compared = 0;
    for (size_t i = 0; i < p.part->parameter_count; i++) {
        const st_parameter *parameter = &p.part->parameters[i];
        if (!parameter->is_trained) {
            continue;
        }
        size_t at, count = parameter->published_count;
        find_parameter(whole, parameter->node->state[parameter->state].path, &at);
        assert_true(whole->parameters[at].is_trained);
        st_real *a = NULL, *b = NULL;
        must(st_arena_alloc(&a, p.arena, count, sizeof *a, &err), &err);
        must(st_arena_alloc(&b, p.arena, count, sizeof *b, &err), &err);
        st_model_get(p.part, i, 2, a);
        st_model_get(whole, at, 2, b);
        double square = 0, difference = 0;
        for (size_t k = 0; k < count; k++) {
            square += (double)b[k] * (double)b[k];
            difference += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
        }
        assert_true(square > 0);
        assert_true(difference <= tolerance * tolerance * square);
        compared++;
    }
    assert_true(compared >= 2);
    st_model_free(whole);
    strata_net_free(net);
    unmake_parts(&p);
}

static void test_gradients_of_the_part_are_those_of_the_whole(void **state) {
    (void)state;
    compare_gradients(LANES, "head", "c1 c2 c3 f1", 0);
    compare_gradients(LANES, "f1 head", "c1 c2 c3", 0);
    compare_gradients(FIRE, "head", "stem a b c d", 0);
    compare_gradients(FIRE, "second-half", "stem a b", 0);
    compare_gradients(RESIDUAL, "head", "stem bn0 layer1 aux down layer2", 1e-5);
    compare_gradients(RESIDUAL, "second-half", "stem bn0 layer1 aux", 1e-5);
}

/* At one rate, with its own batches: to the bit, with labels that are mixed too. */
static void test_a_part_learns_as_in_the_whole(void **state) {
    (void)state;
    static const char *const augments[] = {"crop=2,mirror", "mixup=0.4", "cutmix=1"};
    for (size_t i = 0; i < ST_COUNT_OF(augments); i++) {
        char whole[65], part[65];
        run_to_hash(whole, (how){.text = LANES, .augment = augments[i]});
        run_to_hash(part, (how){.text = LANES, .train = "all", .augment = augments[i], .body_rate = 0.05});
        assert_string_equal(part, whole);
        /* No dropout before the head: what is fixed is as in inference. */
        run_to_hash(whole, (how){.text = FIRE, .freeze = "stem a b c d", .augment = augments[i]});
        run_to_hash(part, (how){.text = FIRE, .train = "head", .augment = augments[i], .variants = -1});
        assert_string_equal(part, whole);
    }
}

/* ---- what is fixed ---------------------------------------------------------------------------------------------- */

static void copy_weights(const strata_model *model, st_real **out, st_arena *arena) {
    strata_error err = {0};
    for (size_t i = 0; i < model->core->parameter_count; i++) {
        must(st_arena_alloc(&out[i], arena, model->core->parameters[i].published_count, sizeof **out, &err), &err);
        st_model_get(model->core, i, -1, out[i]);
    }
}

static void fixed_stays(const char *text, const char *words) {
    strata_error err = {0};
    st_arena *arena = NULL;
    must(st_arena_create(&arena, &err), &err);
    setup s = make((how){.text = text, .train = words, .optimizer = "sgd"});
    st_real *before[64], *after[64];
    st_regime regime;
    st_model *core = s.model->core;
    assert_true(core->parameter_count <= ST_COUNT_OF(before));
    must(st_regime_find(&regime, arena, core->graph, st_exec_plan(core->infer), words, &err), &err);
    copy_weights(s.model, before, arena);
    steps(&s, 2 * STEPS);
    copy_weights(s.model, after, arena);
    for (size_t i = 0; i < core->parameter_count; i++) {
        const st_parameter *parameter = &core->parameters[i];
        bool moves = regime.trained[parameter->node - core->graph->nodes];
        bool same = memcmp(before[i], after[i], parameter->published_count * sizeof **before) == 0;
        if (same == moves) {
            fail_msg("%s %s", parameter->node->state[parameter->state].path, moves ? "did not move" : "moved");
        }
    }
    unmake(&s);
    st_arena_free(arena);
}

static void test_fixed_weights_and_statistics_keep_their_bits(void **state) {
    (void)state;
    for (size_t i = 0; i < ST_COUNT_OF(NETS); i++) {
        fixed_stays(NETS[i], "head");
        fixed_stays(NETS[i], "second-half");
        fixed_stays(NETS[i], "all");
    }
    fixed_stays(RESIDUAL, "layer2.0 fc"); /* fixed layers behind the cut */
    fixed_stays(RESIDUAL, "bn0 layer1.1");
}

/* ---- the same bits ---------------------------------------------------------------------------------------------- */

static void test_threads_and_kernels_change_nothing(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 3};
    static const char *const words[] = {"head", "second-half", "all"};
    for (size_t i = 0; i < ST_COUNT_OF(NETS) * ST_COUNT_OF(words); i++) {
        char expected[65] = "", found[65];
        for (size_t k = 0; st_kernels_at(k) != NULL; k++) { /* every number of threads with one set of kernels */
            size_t most = st_kernels_at(k) == best_kernels() ? ST_COUNT_OF(threads) : 1;
            for (size_t t = 0; st_kernels_runs(st_kernels_at(k)) && t < most; t++) {
                how as = {.text = NETS[i / 3],
                          .train = words[i % 3],
                          .optimizer = "adamw",
                          .augment = i % 2 == 0 ? NULL : "mirror",
                          .isa = st_kernels_at(k)->name,
                          .threads = threads[t],
                          .epochs = 1};
                run_to_hash(found, as);
                if (expected[0] == '\0') {
                    memcpy(expected, found, sizeof expected);
                }
                assert_string_equal(found, expected);
            }
        }
    }
}

static void resumes(how as) {
    char path[128], expected[65], found[65];
    strata_error err = {0};
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    as.epochs = 4;
    run_to_hash(expected, as);
    static const int places[] = {0, 5, 8, 16, 20};
    for (size_t i = 0; i < ST_COUNT_OF(places); i++) {
        setup first = make(as);
        steps(&first, places[i]);
        must(strata_trainer_save(first.trainer, path, &err), &err);
        unmake(&first);
        setup second = make(as);
        must(strata_trainer_resume(second.trainer, path, &err), &err);
        steps(&second, 4 * STEPS - places[i]);
        strata_model_hash(second.model, found);
        assert_string_equal(found, expected);
        unmake(&second);
    }
}

static void test_resume_goes_on_with_the_same_bits(void **state) {
    (void)state;
    resumes((how){.text = LANES, .train = "head", .optimizer = "adamw"});
    resumes((how){.text = FIRE, .train = "second-half", .optimizer = "sgd", .augment = "mirror", .variants = 2});
    resumes((how){.text = RESIDUAL, .train = "all", .optimizer = "sgd"});
    resumes((how){.text = RESIDUAL, .train = "all", .optimizer = "adamw", .thaw = 2});
    resumes((how){.text = RESIDUAL, .train = "second-half", .optimizer = "sgd", .thaw = 1});
    resumes((how){.text = FIRE, .train = "b d classifier", .optimizer = "sgd", .thaw = 2, .augment = "crop=2"});
    resumes((how){.text = FIRE, .train = "head", .optimizer = "sgd", .ema = 0.9});
    resumes((how){.text = RESIDUAL, .train = "all", .optimizer = "adamw", .thaw = 2, .ema = 0.9});
}

static void run_to_end(char hash[65], how as) {
    strata_error err = {0};
    setup s = make(as);
    while (!strata_trainer_is_done(s.trainer)) {
        strata_step_info step;
        strata_epoch_info epoch;
        must(strata_trainer_step(s.trainer, &step, &err), &err);
        if (step.epoch_done) {
            must(strata_trainer_end_epoch(s.trainer, &epoch, &err), &err);
        }
    }
    strata_model_hash(s.model, hash);
    unmake(&s);
}

/* Where no batch norm of the batch stands between; the last step of an epoch of 180 is uneven. */
static void accumulates(how as, int64_t total, int64_t batch) {
    char whole[65], pieces[65];
    as.batch = total;
    run_to_end(whole, as);
    as.batch = batch;
    as.accumulate = total / batch;
    run_to_end(pieces, as);
    if (strcmp(pieces, whole) != 0) {
        fail_msg("%lld batches of %lld in '%s': other weights than one of %lld", (long long)as.accumulate,
                 (long long)batch, as.train, (long long)total);
    }
}

static void test_steps_of_several_batches_same_bits(void **state) {
    (void)state;
    accumulates((how){.text = LANES, .train = "head"}, 48, 16);
    accumulates((how){.text = LANES, .train = "second-half", .augment = "mirror", .variants = -1}, 64, 32);
    accumulates((how){.text = FIRE, .train = "all", .thaw = 1, .ema = 0.9}, 80, 16);
    accumulates((how){.text = RESIDUAL, .train = "head", .optimizer = "sgd"}, 96, 48);
    /* Below 16 pictures there are no image lanes. */
    accumulates((how){.text = FIRE, .train = "head", .augment = "mirror", .variants = 2}, 12, 4);
    accumulates((how){.text = FIRE, .train = "all", .thaw = 1, .ema = 0.9}, 14, 7);
    accumulates((how){.text = FIRE, .train = "second-half", .optimizer = "adamw", .variants = -1}, 15, 3);
    accumulates((how){.text = RESIDUAL, .train = "head", .optimizer = "sgd"}, 10, 5);
    strata_error err = {0};
    setup s = make((how){.text = LANES});
    strata_trainer *other = NULL;
    strata_model *model = NULL;
    must(strata_model_build(&model, s.runtime, s.net, &(strata_build_options){.batch = 24, .accumulate = 2}, &err),
         &err);
    assert_int_equal(
        strata_trainer_create(&other, model, s.data, &(strata_train_options){.train = "head", .accumulate = 2}, &err),
        STRATA_UNSUPPORTED);
    assert_non_null(strstr(err.message, "a batch of 24"));
    strata_model_free(model);
    unmake(&s);
}

/* The average after one step, from the weights before and behind it: share 1 - 2/11 while it warms up. */
static void test_averages_are_of_what_is_trained(void **state) {
    (void)state;
    strata_error err = {0};
    st_arena *arena = NULL;
    must(st_arena_create(&arena, &err), &err);
    for (size_t n = 0; n < ST_COUNT_OF(NETS); n++) {
        st_real *before[64], *moved[64], *average[64];
        for (int ema = 0; ema < 2; ema++) {
            setup s = make((how){.text = NETS[n], .train = "second-half", .ema = ema == 1 ? 0.5 : 0, .batch = 180});
            strata_step_info step = {0};
            strata_epoch_info epoch;
            if (ema == 0) {
                copy_weights(s.model, before, arena);
            }
            while (!step.epoch_done) {
                must(strata_trainer_step(s.trainer, &step, &err), &err);
            }
            must(strata_trainer_end_epoch(s.trainer, &epoch, &err), &err);
            copy_weights(s.model, ema == 0 ? moved : average, arena);
            for (size_t i = 0; ema == 1 && i < s.model->core->parameter_count; i++) {
                for (size_t k = 0; k < s.model->core->parameters[i].published_count; k++) {
                    double expected = before[i][k] + (1.0 - 2.0 / 11.0) * ((double)moved[i][k] - before[i][k]);
                    assert_true(fabs((double)average[i][k] - expected) <= 1e-6 * (1.0 + fabs(expected)));
                }
            }
            unmake(&s);
        }
    }
    st_arena_free(arena);
}

static void test_resume_refuses_another_regime(void **state) {
    (void)state;
    char path[128];
    strata_error err = {0};
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    setup first = make((how){.text = FIRE, .train = "head", .optimizer = "sgd"});
    must(strata_trainer_save(first.trainer, path, &err), &err);
    unmake(&first);
    setup other = make((how){.text = FIRE, .train = "classifier", .optimizer = "sgd"});
    assert_int_equal(strata_trainer_resume(other.trainer, path, &err), STRATA_INVALID);
    assert_non_null(strstr(err.message, "another run"));
    unmake(&other);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------ */

static void test_checkpoint_is_a_whole_net(void **state) {
    (void)state;
    char path[128], expected[65], found[65];
    strata_error err = {0};
    strata_model *model = NULL;
    strata_metrics part, whole;
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    for (size_t i = 0; i < ST_COUNT_OF(NETS); i++) {
        setup s = make((how){.text = NETS[i], .train = "second-half", .optimizer = "sgd", .thaw = 1});
        strata_epoch_info epoch = {0};
        for (strata_step_info info = {0}; !epoch.done;) {
            must(strata_trainer_step(s.trainer, &info, &err), &err);
            if (info.epoch_done) {
                must(strata_trainer_end_epoch(s.trainer, &epoch, &err), &err);
            }
        }
        part = epoch.val;
        must(strata_evaluate(&whole, s.model, s.data, STRATA_VAL, NULL, NULL, NULL, &err), &err);
        assert_int_equal(part.correct, whole.correct);
        assert_true(!(part.loss < whole.loss) && !(part.loss > whole.loss));
        assert_true(!(part.calibration_error < whole.calibration_error) &&
                    !(part.calibration_error > whole.calibration_error));
        strata_model_hash(s.model, expected);
        must(strata_model_save(s.model, path, &err), &err);
        must(strata_model_open(&model, s.runtime, path, NULL, &err), &err);
        strata_model_hash(model, found);
        assert_string_equal(found, expected);
        must(strata_evaluate(&whole, model, s.data, STRATA_VAL, NULL, NULL, NULL, &err), &err);
        assert_int_equal(part.correct, whole.correct);
        strata_model_free(model);
        unmake(&s);
    }
}

static void save_new(const char *path, const char *text, const char *settings) {
    strata_error err = {0};
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_model *model = NULL;
    must(strata_runtime_create(&runtime, &(strata_options){.threads = 1}, &err), &err);
    must(strata_net_parse(&net, text, strlen(text), settings, &err), &err);
    must(strata_model_build(&model, runtime, net, &(strata_build_options){.seed = 77}, &err), &err);
    must(strata_model_save(model, path, &err), &err);
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static void adapts(const char *text, const char *settings, strata_status status, const char *expected) {
    char path[128], *replaced = NULL;
    strata_error err = {0};
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_model *model = NULL;
    (void)snprintf(path, sizeof path, "%s/b.safetensors", folder);
    must(strata_runtime_create(&runtime, &(strata_options){.threads = 1}, &err), &err);
    must(strata_net_parse(&net, text, strlen(text), settings, &err), &err);
    must(strata_model_build(&model, runtime, net, NULL, &err), &err);
    assert_int_equal(strata_model_adapt(&replaced, model, path, NULL, 0, &err), status);
    assert_string_equal(status == STRATA_OK ? replaced : err.message, expected);
    strata_text_free(replaced);
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static void test_weights_of_another_head_are_taken_but_for_the_head(void **state) {
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/b.safetensors", folder);
    save_new(path, FIRE, "classes=7");
    adapts(FIRE, NULL, STRATA_OK, "classifier.1.weight zeros\nclassifier.1.bias zeros\n");
    adapts(FIRE, "classes=7", STRATA_OK, "");
    char other[1024];
    (void)snprintf(other, sizeof other, "%s", FIRE);
    memcpy(strstr(other, "d: fire 20 24"), "d: fire 21 24", 13);
    adapts(other, NULL, STRATA_FORMAT,
           "it does not fit the net: 'd.squeeze.weight' is 20x48x1x1 there, the net has "
           "21x48x1x1");
    adapts(RESIDUAL, NULL, STRATA_FORMAT, "it does not fit the net: the net has no tensor 'stem.bias'");
    save_new(path, RESIDUAL, "classes=7"); /* saved for inference: without its side head */
    adapts(RESIDUAL, NULL, STRATA_OK, "fc.weight zeros\nfc.bias zeros\n");
}

/* The net's answers to one picture after its head became another's. */
static void new_answers(float answers[10], const char *text) {
    char path[128], *replaced = NULL;
    strata_error err = {0};
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_model *model = NULL;
    unsigned char picture[16 * 16];
    for (size_t i = 0; i < sizeof picture; i++) {
        picture[i] = (unsigned char)(37 * i % 256);
    }
    (void)snprintf(path, sizeof path, "%s/b.safetensors", folder);
    save_new(path, text, "classes=7");
    must(strata_runtime_create(&runtime, &(strata_options){.threads = 1}, &err), &err);
    must(strata_net_parse(&net, text, strlen(text), NULL, &err), &err);
    must(strata_model_build(&model, runtime, net, &(strata_build_options){.batch = 1, .seed = 5}, &err), &err);
    must(strata_model_adapt(&replaced, model, path, NULL, 0, &err), &err);
    must(strata_model_infer(model, picture, 1, (strata_shape){.height = 16, .width = 16, .channels = 1}, answers, &err),
         &err);
    strata_text_free(replaced);
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static const char *const BEFORE_HEAD =
    "let classes = 10\nnetwork tail {\n input 16x16x1\n stem: conv 3x3 8, relu\n %s\n"
    " output logits loss=cross_entropy\n}\n";

static void test_a_new_head_calls_all_classes_equally_likely(void **state) {
    (void)state;
    static const char *const fair[] = {
        "head: fc classes", "head: fc classes, dropout 0.5", "head: conv 1x1 classes, relu, avgpool global",
        "head: conv 1x1 classes bias=no, avgpool global", "head: conv 1x1 classes bias=no, leaky_relu, avgpool global"};
    /* Zeros would never move here: the rectifier or the limit hands nothing back, or the variance is zero. */
    static const char *const drawn[] = {"head: conv 1x1 classes bias=no, relu, avgpool global",
                                        "head: conv 1x1 classes, clip 0 1, avgpool global",
                                        "head: conv 1x1 classes bias=no, bn, avgpool global"};
    char text[512];
    float answers[10];
    for (size_t i = 0; i < ST_COUNT_OF(fair); i++) {
        (void)snprintf(text, sizeof text, BEFORE_HEAD, fair[i]);
        new_answers(answers, text);
        for (size_t c = 0; c < 10; c++) {
            assert_float_equal(answers[c], 0.1f, 1e-6f);
        }
    }
    for (size_t i = 0; i < ST_COUNT_OF(drawn); i++) {
        (void)snprintf(text, sizeof text, BEFORE_HEAD, drawn[i]);
        new_answers(answers, text);
        float most = 0;
        for (size_t c = 0; c < 10; c++) {
            most = answers[c] > most ? answers[c] : most;
        }
        assert_true(most > 0.101f);
    }
}

/* Behind a rectifier too every class gets a gradient: there is none whose filter is silent. */
static void test_every_filter_of_a_new_head_learns(void **state) {
    (void)state;
    char path[128], *replaced = NULL;
    strata_error err = {0};
    setup s = make((how){.text = FIRE, .train = "head", .optimizer = "sgd"});
    (void)snprintf(path, sizeof path, "%s/b.safetensors", folder);
    save_new(path, FIRE, "classes=7");
    must(strata_model_adapt(&replaced, s.model, path, NULL, 0, &err), &err);
    strata_text_free(replaced);
    steps(&s, 1);
    const st_model *core = s.model->core;
    size_t seen = 0;
    for (size_t p = 0; p < core->parameter_count; p++) {
        const st_parameter *parameter = &core->parameters[p];
        if (strcmp(parameter->node->state[parameter->state].path, "classifier.1.weight") != 0) {
            continue;
        }
        st_model_get(core, p, ST_MODEL_VALUE, core->scratch);
        for (size_t c = 0, each = parameter->published_count / 10; c < 10; c++, seen++) {
            bool moved = false;
            for (size_t i = 0; i < each; i++) {
                moved = moved || core->scratch[c * each + i] != 0;
            }
            assert_true(moved);
        }
    }
    assert_int_equal(seen, 10);
    unmake(&s);
}

static void test_measuring_moves_nothing(void **state) {
    (void)state;
    char before[65], after[65], expected[65], found[65];
    strata_error err = {0};
    strata_cost cost;
    for (size_t i = 0; i < ST_COUNT_OF(NETS); i++) {
        how as = {.text = NETS[i], .train = "second-half", .optimizer = "sgd"};
        run_to_hash(expected, as);
        setup s = make(as);
        strata_model_hash(s.model, before);
        must(strata_trainer_measure(&cost, s.trainer, 1, &err), &err);
        strata_model_hash(s.model, after);
        assert_string_equal(after, before);
        assert_true(cost.epoch_seconds > 0 && cost.features_seconds > 0);
        steps(&s, 2 * STEPS);
        strata_model_hash(s.model, found);
        assert_string_equal(found, expected);
        unmake(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regimes_say_what_is_trained_and_where_the_net_is_cut),
        cmocka_unit_test(test_regimes_refuse_what_is_not_there),
        cmocka_unit_test(test_parts_infer_what_the_whole_infers),
        cmocka_unit_test(test_gradients_of_the_part_are_those_of_the_whole),
        cmocka_unit_test(test_a_part_learns_as_in_the_whole),
        cmocka_unit_test(test_fixed_weights_and_statistics_keep_their_bits),
        cmocka_unit_test(test_threads_and_kernels_change_nothing),
        cmocka_unit_test(test_resume_goes_on_with_the_same_bits),
        cmocka_unit_test(test_steps_of_several_batches_same_bits),
        cmocka_unit_test(test_averages_are_of_what_is_trained),
        cmocka_unit_test(test_resume_refuses_another_regime),
        cmocka_unit_test(test_checkpoint_is_a_whole_net),
        cmocka_unit_test(test_weights_of_another_head_are_taken_but_for_the_head),
        cmocka_unit_test(test_a_new_head_calls_all_classes_equally_likely),
        cmocka_unit_test(test_every_filter_of_a_new_head_learns),
        cmocka_unit_test(test_measuring_moves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
