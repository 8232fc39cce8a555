/* From the arguments of train or finetune, or from a run folder, to a run that training.c takes to its end. Everything
 * that can be refused is refused before the run folder is made. */
#include "program.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the plan of a run ------------------------------------------------------------------------------------------ */

/* What was left open gets its value here, so that run.txt and the screen say it. */
static int complete_plan(train_arguments *a, const command *self) {
    run_plan *p = &a->plan;
    if (strcmp(p->precision, "f32") != 0) {
        return refuse("--precision %s is not in this version; f32 is", p->precision);
    }
    bool is_onecycle = strcmp(p->schedule, "onecycle") == 0;
    if (p->learning_rate == 0) {
        p->learning_rate = strcmp(p->optimizer, "adamw") == 0 ? 0.001 : 0.05;
    }
    if (p->step_at != NULL && strcmp(p->schedule, "step") != 0) {
        return refuse("--step-at is for --schedule step");
    }
    if (p->step_at != NULL && option_was_given(self, &a->common, "step-every")) {
        return refuse("--step-every and --step-at both say when the rate drops: one of them");
    }
    if (p->step_every == 0) {
        p->step_every = (double)p->epochs / 3;
    }
    if (!option_was_given(self, &a->common, "warmup")) {
        p->warmup =
            is_onecycle && p->train == NULL ? 0.3 * (double)p->epochs : 0; /* of each phase, where there are two */
    } else if (is_onecycle && p->warmup == 0) {
        return refuse("the onecycle schedule is a warm-up and a decline; --schedule cosine has no warm-up");
    }
    if (p->warmup > (double)p->epochs) {
        return refuse("--warmup %s is longer than the %lld epochs of the run", number_text(p->warmup).s,
                      (long long)p->epochs);
    }
    if (p->nesterov && (strcmp(p->optimizer, "sgd") != 0 || p->momentum == 0)) {
        return refuse("--nesterov is for sgd with momentum");
    }
    if (p->patience > 0 && is_onecycle && !option_was_given(self, &a->common, "schedule")) {
        warn("onecycle lowers the learning rate at the end, which a run that --patience ends may not reach; "
             "--schedule constant or step does without");
    }
    p->version = strata_version();
    p->numerics = STRATA_NUMERICS;
    p->seed = a->common.seed;
    p->settings = a->common.settings.bytes;
    return DONE;
}

/* Where features of pictures are kept for later runs; NULL: the user has no such place. */
static const char *features_folder(char out[PATH_MAX]) {
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool has_base = base != NULL && base[0] == '/';
    strata_error err;
    if (!has_base && (home == NULL || home[0] != '/')) {
        return NULL;
    }
    int length = snprintf(out, PATH_MAX, "%s%s/strata/features", has_base ? base : home, has_base ? "" : "/.cache");
    return length > 0 && length < PATH_MAX && run_make_at(out, &err) == STRATA_OK ? out : NULL;
}

/* Half of what is free before the model is there: beyond it a temporary file. */
static uint64_t features_memory(void) {
    uint64_t have = memory_free();
    return have == UINT64_MAX ? 0 : have / 2 + 1;
}

/* Paths that still hold when the run is resumed from another folder; names of the zoo and of data stay as they are. */
static const char *absolute(const char *path, char buffer[PATH_MAX]) {
    return path != NULL && realpath(path, buffer) != NULL ? buffer : path;
}

strata_train_options train_options(const run_plan *p) {
    static char features[PATH_MAX];
    return (strata_train_options){
        .epochs = p->epochs,
        .optimizer = p->optimizer,
        .learning_rate = p->learning_rate,
        .momentum = p->momentum > 0 ? p->momentum : -1,
        .nesterov = p->nesterov,
        .weight_decay = p->weight_decay,
        .schedule = p->schedule,
        .step_every = p->step_every,
        .step_factor = p->step_factor,
        .step_at = p->step_at,
        .warmup = p->warmup,
        .label_smoothing = p->label_smoothing,
        .seed = (uint64_t)p->seed,
        .augment = p->augment,
        .balance = p->balance,
        .accumulate = p->accumulate,
        .clip = p->clip,
        .ema = p->ema,
        .patience = p->patience,
        .train = p->train,
        .body_rate = p->body_rate,
        .thaw = p->thaw,
        .variants = p->variants,
        .features = p->train != NULL ? features_folder(features) : NULL,
        .features_memory = features_memory(),
    };
}

strata_data_options train_data_options(const run_plan *p) {
    return (strata_data_options){
        .hold_out = p->hold_out, .seed = (uint64_t)p->seed, .limit = (size_t)p->limit, .strict = p->strict};
}

strata_build_options train_build_options(const run_plan *p) {
    return (strata_build_options){
        .batch = p->batch,
        .train = p->train == NULL, /* else the trainer builds what learns */
        .optimizer = p->optimizer,
        .seed = (uint64_t)p->seed,
        .freeze = p->freeze,
        .accumulate = p->accumulate > 0 ? p->accumulate : 1,
        .average = p->ema > 0,
    };
}

/* ---- what it says before it begins ------------------------------------------------------------------------------ */

static void print_data(const training *t) {
    const strata_dataset *d = t->data;
    strata_shape have = strata_dataset_shape(d);
    text line = {0};
    text_add(&line, "%s (%s): %s train", safe_text(strata_dataset_name(d)).s, safe_text(strata_dataset_kind(d)).s,
             count_text((int64_t)strata_dataset_count(d, STRATA_TRAIN)).s);
    if (strata_dataset_count(d, STRATA_VAL) > 0) {
        text_add(&line, ", %s val%s", count_text((int64_t)strata_dataset_count(d, STRATA_VAL)).s,
                 strata_dataset_was_held_out(d) ? " (held out to choose)" : "");
    }
    if (strata_dataset_count(d, STRATA_TEST) > 0) {
        text_add(&line, ", %s test", count_text((int64_t)strata_dataset_count(d, STRATA_TEST)).s);
    }
    text_add(&line, "; %s", have.height > 0 ? shape_text(have, false).s : "pictures of several sizes");
    size_t classes = strata_dataset_class_count(d);
    text_add(&line, ", %s class%s", count_text((int64_t)classes).s, classes == 1 ? "" : "es");
    print_fact("data", "%s", line.bytes);
    text_free(&line);
    for (size_t i = 0; i < strata_dataset_note_count(d); i++) {
        warn("%s", strata_dataset_note(d, i));
    }
}

static void print_plan(const training *t) {
    const run_plan *p = t->plan;
    bool is_sgd = strcmp(p->optimizer, "sgd") == 0;
    text line = {0};
    text_add(&line, "batch %s", count_text(p->batch).s);
    if (p->accumulate > 1) {
        text_add(&line, " x %lld (steps of %s)", (long long)p->accumulate, count_text(p->batch * p->accumulate).s);
    }
    text_add(&line, ", %s lr %s", p->optimizer, number_text(p->learning_rate).s);
    if (is_sgd && p->momentum > 0) {
        text_add(&line, "%s momentum %s", p->nesterov ? " nesterov" : "", number_text(p->momentum).s);
    }
    if (p->weight_decay > 0) {
        text_add(&line, ", weight decay %s", number_text(p->weight_decay).s);
    }
    text_add(&line, ", %s", p->schedule);
    if (strcmp(p->schedule, "step") == 0 && p->step_at != NULL) {
        text_add(&line, " (x %s after epochs %s)", number_text(p->step_factor).s, safe_text(p->step_at).s);
    } else if (strcmp(p->schedule, "step") == 0) {
        text_add(&line, " (x %s every %.3g epochs)", number_text(p->step_factor).s, p->step_every);
    }
    if (p->warmup > 0) {
        text_add(&line, " (warm-up %.3g epochs)", p->warmup);
    }
    if (p->label_smoothing > 0) {
        text_add(&line, ", label smoothing %s", number_text(p->label_smoothing).s);
    }
    if (p->augment != NULL) {
        text_add(&line, ", augment %s", p->augment);
    }
    if (p->balance) {
        text_add(&line, ", classes balanced");
    }
    if (p->clip > 0) {
        text_add(&line, ", gradients clipped to %s", number_text(p->clip).s);
    }
    if (p->ema > 0) {
        text_add(&line, ", weights averaged (%s): evaluated and saved", number_text(p->ema).s);
    }
    if (p->patience > 0) {
        text_add(&line, ", patience %lld", (long long)p->patience);
    }
    if (p->freeze != NULL) {
        text_add(&line, ", frozen: %s", p->freeze);
    }
    int threads = strata_runtime_threads(t->runtime);
    text_add(&line, ", %lld epoch%s, seed %lld; %s f32, %d thread%s", (long long)p->epochs, p->epochs == 1 ? "" : "s",
             (long long)p->seed, strata_runtime_isa(t->runtime), threads, threads == 1 ? "" : "s");
    print_fact("plan", "%s", line.bytes);
    text_free(&line);
}

static void print_facts(const training *t) {
    strata_net_info net;
    strata_net_info_get(t->net, true, &net);
    print_fact("net", "%s, %s parameters, %s multiply-adds a picture%s%s", net.name, count_text(net.parameters).s,
               count_text(net.multiply_adds).s, t->plan->weights != NULL ? ", weights from " : "",
               t->plan->weights != NULL ? t->plan->weights : "");
    print_data(t);
    print_plan(t);
}

static void print_memory(const training *t) {
    uint64_t have = memory_free();
    if (have == UINT64_MAX) {
        print_fact("memory", "%s predicted", bytes_text(t->memory.total_bytes).s);
    } else {
        print_fact("memory", "%s predicted of %s free", bytes_text(t->memory.total_bytes).s, bytes_text(have).s);
    }
}

/* ---- from a plan to a trainer ----------------------------------------------------------------------------------- */

/* A run that begins with weights prepares its pictures as these were. Exit status. */
static int prepare_as_weights(training *t, const common *c) {
    strata_error err;
    strata_weights *weights = NULL;
    bool is_known = true;
    const char *path = t->plan->weights;
    if (strata_weights_open(&weights, path, &err) != STRATA_OK) {
        return report(&err);
    }
    int status = t->preprocess != NULL ? preparation_choose(&t->net, t->preprocess, weights, path)
                                       : preparation_take(&is_known, &t->net, weights, path, c);
    t->is_assumed = !is_known;
    strata_weights_free(weights);
    return status;
}

static void print_preparation(const training *t) {
    const char *words = strata_model_preparation(t->model);
    if (words[0] != '\0') {
        print_fact("pictures", "%s", words);
    }
    if (t->is_assumed) {
        print_fact("", "%s; %s does not say how its pictures were (--preprocess)",
                   strata_net_is_prepared(t->net) ? "as the net says" : "by mean and deviation of these",
                   safe_text(t->plan->weights).s);
    }
}

/* Everything up to the trainer. `checkpoint`: resume from it; NULL: from the beginning. Exit status. */
static int prepare(training *t, run_plan *plan, const char *net, const common *c, const char *checkpoint) {
    strata_error err;
    strata_options runtime = runtime_options(c);
    strata_data_options data = train_data_options(plan);
    strata_build_options build = train_build_options(plan);
    if (strata_runtime_create(&t->runtime, &runtime, &err) != STRATA_OK ||
        strata_net_load(&t->net, net, checkpoint == NULL ? c->settings.bytes : NULL, &err) != STRATA_OK) {
        return report(&err);
    }
    int status = checkpoint != NULL      ? DONE
                 : plan->weights != NULL ? prepare_as_weights(t, c)
                 : t->preprocess != NULL ? preparation_set(&t->net, t->preprocess)
                                         : DONE;
    if (status != DONE) {
        return status;
    }
    if (strata_dataset_open(&t->data, plan->data, &data, &err) != STRATA_OK ||
        strata_model_memory(&t->memory, t->runtime, t->net, &build, &err) != STRATA_OK) {
        return report(&err);
    }
    int64_t train = (int64_t)strata_dataset_count(t->data, STRATA_TRAIN);
    int64_t val = (int64_t)strata_dataset_count(t->data, STRATA_VAL);
    int64_t test = (int64_t)strata_dataset_count(t->data, STRATA_TEST);
    if (checkpoint != NULL && (train != plan->train_count || val != plan->val_count || test != plan->test_count)) {
        return fail("%s has changed since this run began: it had %s + %s + %s pictures, now %s + %s + %s", plan->data,
                    count_text(plan->train_count).s, count_text(plan->val_count).s, count_text(plan->test_count).s,
                    count_text(train).s, count_text(val).s, count_text(test).s);
    }
    plan->train_count = train;
    plan->val_count = val;
    plan->test_count = test;
    if (plan->test_each_epoch && test == 0) {
        return fail("%s has no test part for --test-each-epoch", safe_text(plan->data).s);
    }
    print_facts(t);
    status = plan->train != NULL ? forecast_memory(t) : memory_check("training", t->runtime, t->net, &build);
    if (status != DONE) {
        return status;
    }
    print_memory(t);
    strata_train_options options = train_options(plan);
    bool is_begun = checkpoint != NULL && path_exists(checkpoint); /* not when it was killed before its first step */
    if (strata_model_build(&t->model, t->runtime, t->net, &build, &err) != STRATA_OK) {
        return report(&err);
    }
    status = plan->train != NULL && !is_begun ? adapt_load(t) : DONE;
    if (status != DONE) {
        return status;
    }
    /* A run that began with weights prepares pictures as they say, and its checkpoint says the same. */
    const char *begins = is_begun ? checkpoint : plan->train == NULL ? plan->weights : NULL;
    if ((plan->weights != NULL && begins != NULL && strata_model_load(t->model, begins, &err) != STRATA_OK) ||
        strata_trainer_create(&t->trainer, t->model, t->data, &options, &err) != STRATA_OK ||
        (is_begun && strata_trainer_resume(t->trainer, checkpoint, &err) != STRATA_OK)) {
        return report(&err);
    }
    print_preparation(t);
    return plan->train != NULL ? forecast_say(t, !is_begun, t->explains && t->json) : DONE;
}

static void close_training(training *t) {
    if (t->trainer != NULL) {
        strata_trainer_free(t->trainer);
    }
    if (t->model != NULL) {
        strata_model_free(t->model);
    }
    if (t->data != NULL) {
        strata_dataset_free(t->data);
    }
    if (t->net != NULL) {
        strata_net_free(t->net);
    }
    if (t->runtime != NULL) {
        strata_runtime_free(t->runtime);
    }
    strata_text_free(t->replaced);
    run_log_free(&t->log);
}

/* As this process was told, else as the run was. */
static double save_every(const train_arguments *a, const run_plan *p) {
    static const double STANDARD = 30;
    return a->save_every >= 0 ? a->save_every : p->save_every >= 0 ? p->save_every : STANDARD;
}

/* ---- a new run -------------------------------------------------------------------------------------------------- */

/* A folder given with --out: held, and free of an earlier run or meant to be written over. Exit status. */
static int claim_folder(const train_arguments *a) {
    strata_error err;
    if (a->out != NULL && (strcmp(a->out, "-") == 0 || a->out[0] == '\0')) {
        return refuse("--out '%s' names no folder for the run", a->out);
    }
    if (a->out == NULL || !path_exists(a->out)) {
        return DONE;
    }
    if (!path_is_folder(a->out)) {
        return fail("%s is a file; --out is a folder", a->out);
    }
    if (a->find_rate) {
        return DONE; /* a run that is there stays as it is */
    }
    if (run_lock(a->out, &err) != STRATA_OK) {
        return report(&err);
    }
    char *plan = path_join(a->out, "run.txt");
    bool is_run = path_exists(plan);
    free(plan);
    if (is_run && !a->force) {
        int status = fail("%s already holds a run", a->out);
        hint("%s train --resume %s goes on with it; --force writes over it", program_name(), a->out);
        return status;
    }
    return DONE;
}

/* Folder, net.net, run.txt (which makes it a run) and a checkpoint of step 0. */
static strata_status begin_run(training *t, const train_arguments *a, char **folder, strata_error *err) {
    strata_net_info net;
    strata_net_info_get(t->net, false, &net);
    bool is_new = a->out == NULL || !path_exists(a->out);
    strata_status status;
    if (a->out == NULL) {
        status = run_make(folder, net.name, err);
    } else {
        *folder = take_copy(a->out, strlen(a->out));
        status = run_make_at(*folder, err);
    }
    if (status == STRATA_OK && is_new) {
        status = run_lock(*folder, err);
    }
    if (status == STRATA_OK) {
        status = run_clear(*folder, err);
    }
    char *source = NULL;
    if (status == STRATA_OK) {
        status = strata_net_text(&source, t->net, err);
    }
    if (status == STRATA_OK) {
        char *path = path_join(*folder, "net.net");
        status = strata_file_write(path, source, strlen(source), err);
        free(path);
        strata_text_free(source);
    }
    t->folder = *folder;
    if (status == STRATA_OK) {
        status = run_plan_write(t->plan, *folder, err);
    }
    return status == STRATA_OK ? training_save(t, err) : status;
}

static void add_command(text *out, const common *c, const command *self) {
    text_add(out, "strata %s", self->name);
    for (int i = 0; i < c->word_count; i++) {
        text_add(out, " ");
        text_add_shell(out, c->words[i]);
    }
}

int train_new(train_arguments *a, const command *self) {
    run_plan *p = &a->plan;
    int status = complete_plan(a, self);
    if (status == DONE) {
        status = claim_folder(a);
    }
    if (status != DONE) {
        return status;
    }
    static char data_path[PATH_MAX], weights_path[PATH_MAX], net_path[PATH_MAX];
    const char *net = a->common.items[0];
    p->data = absolute(p->data, data_path);
    p->weights = absolute(p->weights, weights_path);
    p->net = absolute(net, net_path);
    text words = {0};
    add_command(&words, &a->common, self);
    p->command = words.bytes;
    p->save_every = a->save_every;
    training t = {.plan = p,
                  .json = a->common.json,
                  .explains = a->explain,
                  .preprocess = a->preprocess,
                  .save_every = save_every(a, p),
                  .stop_after = a->stop_after};
    char *folder = NULL;
    status = prepare(&t, p, net, &a->common, NULL);
    if (status == DONE && a->find_rate) {
        training_catch_signals();
        status = find_rate(&t, a);
    } else if (status == DONE && !a->explain) {
        training_catch_signals();
        strata_error err;
        if (begin_run(&t, a, &folder, &err) != STRATA_OK) {
            status = report(&err);
        } else {
            print_fact("run", "%s", folder);
            status = training_run(&t);
        }
    }
    close_training(&t);
    free(folder);
    text_free(&words);
    return status;
}

/* ---- an interrupted run ----------------------------------------------------------------------------------------- */

/* A resumed run keeps its own options: only these may be new. */
static int refuse_changes(const train_arguments *a, const command *self) {
    for (const option *o = self->options; o->kind != OPTION_END; o++) {
        if (strcmp(o->name, "resume") != 0 && strcmp(o->name, "save-every") != 0 &&
            strcmp(o->name, "stop-after") != 0 && option_was_given(self, &a->common, o->name)) {
            return refuse("--resume goes on with the run as it was begun; --%s cannot be changed", o->name);
        }
    }
    if (a->common.item_count > 0 || a->common.settings.length > 0 || option_was_given(self, &a->common, "seed")) {
        return refuse("--resume RUN needs nothing else: network, data, seed and options are in the run's folder");
    }
    return DONE;
}

static int go_on(training *t, run_plan *plan, const train_arguments *a) {
    strata_error err;
    if (plan->numerics != STRATA_NUMERICS) {
        return fail(
            "%s was begun with numerical definitions %lld, this program has %d: it would not end in the same weights",
            t->folder, (long long)plan->numerics, STRATA_NUMERICS);
    }
    char *net = path_join(t->folder, "net.net"), *last = path_join(t->folder, "last.safetensors");
    int status = prepare(t, plan, net, &a->common, last);
    strata_step_info place = {0};
    if (status == DONE) {
        training_catch_signals();
        strata_trainer_place(t->trainer, &place);
        int64_t before = strata_trainer_is_done(t->trainer) ? INT64_MAX : place.epoch;
        if (run_log_cut(&t->log, t->folder, before, &err) != STRATA_OK) {
            status = report(&err);
        }
    }
    if (status == DONE && strata_trainer_gave_up(t->trainer)) {
        print_fact("resume", "%s: it ended after epoch %lld for want of patience, the test is left", t->folder,
                   (long long)place.epoch - 1);
    } else if (status == DONE && strata_trainer_is_done(t->trainer)) {
        print_fact("resume", "%s: all %lld epochs are done, the test is left", t->folder, (long long)plan->epochs);
    } else if (status == DONE) {
        print_fact("resume", "%s at epoch %lld of %lld, step %s of %s", t->folder, (long long)place.epoch,
                   (long long)plan->epochs, count_text(place.step).s, count_text(place.step_count).s);
    }
    if (status == DONE) {
        status = training_run(t);
    }
    free(net);
    free(last);
    return status;
}

int train_resume(const train_arguments *a, const command *self) {
    int status = refuse_changes(a, self);
    if (status != DONE) {
        return status;
    }
    strata_error err;
    run_plan plan;
    training t = {.plan = &plan, .folder = a->resume, .json = a->common.json, .stop_after = a->stop_after};
    strata_status found = run_plan_read(&plan, a->resume, &err);
    t.save_every = save_every(a, &plan);
    if (found == STRATA_OK) {
        found = run_log_read(&t.log, a->resume, &err);
    }
    if (found == STRATA_OK && t.log.result == NULL) {
        found = run_lock(a->resume, &err);
        if (found == STRATA_OK) {
            found = run_sweep(a->resume, &err);
        }
    }
    if (found != STRATA_OK) {
        status = report(&err);
    } else if (t.log.result != NULL) {
        print_note("%s is finished\n", a->resume);
        status = training_print_result(&t, t.log.result);
    } else {
        status = go_on(&t, &plan, a);
    }
    close_training(&t);
    free(plan.file);
    return status;
}
