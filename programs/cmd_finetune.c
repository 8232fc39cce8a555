/* strata finetune: a net that knows other pictures learns these. What it will do and what that costs is said before it
 * begins; the run itself is one of train's (training_begin.c, training.c). */
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* ---- what is trained -------------------------------------------------------------------------------------------- */

/* Beyond so many pictures a class, on average, the second half is trained too, and then all of it: with fewer, more
 * weights learn the pictures by heart. */
enum { ENOUGH_FOR_HALF = 20, ENOUGH_FOR_ALL = 200, REGIME_COUNT = 3 };
static const char *const regimes[REGIME_COUNT] = {"head", "second-half", "all"};
/* A run that is much longer than this is no longer what somebody waits for. */
static const double LONG_SECONDS = 3600;

/* A trainer of this regime, timed on the first pictures, and gone again. */
static int measure_regime(strata_cost *cost, training *t, run_plan *p, const char *regime) {
    strata_error err;
    strata_build_options build;
    strata_train_options options;
    char *replaced = NULL;
    int64_t thaw = p->thaw;
    p->train = regime;
    p->thaw = 0;
    build = train_build_options(p);
    options = train_options(p);
    strata_status status = strata_model_build(&t->model, t->runtime, t->net, &build, &err);
    if (status == STRATA_OK && regime == regimes[0]) { /* weights of another net are no reason to measure */
        status = adapt_weights(&replaced, t, &err);
        strata_text_free(replaced);
    }
    if (status == STRATA_OK) {
        status = strata_trainer_create(&t->trainer, t->model, t->data, &options, &err);
    }
    if (status == STRATA_OK) {
        status = strata_trainer_measure(cost, t->trainer, 1, &err);
    }
    strata_trainer_free(t->trainer);
    strata_model_free(t->model);
    t->trainer = NULL;
    t->model = NULL;
    p->train = NULL;
    p->thaw = thaw;
    return status == STRATA_OK ? DONE : report(&err);
}

/* --train auto: by the number of pictures, and less where that would take too long. */
static int choose_regime(training *t, run_plan *p) {
    strata_cost costs[REGIME_COUNT];
    strata_tuning tunings[REGIME_COUNT];
    text line = {0};
    int64_t pictures = (int64_t)strata_dataset_count(t->data, STRATA_TRAIN);
    int64_t each = pictures / (int64_t)strata_dataset_class_count(t->data);
    int wanted = each < ENOUGH_FOR_HALF ? 0 : each < ENOUGH_FOR_ALL ? 1 : 2, chosen = wanted;
    int count = 0; /* that fit into memory: each takes more than the one before it */
    for (; count < REGIME_COUNT && forecast_fits(&tunings[count], t, regimes[count]); count++) {
        int status = measure_regime(&costs[count], t, p, regimes[count]);
        if (status != DONE) {
            return status;
        }
    }
    if (count == 0) { /* said with the batch that would */
        p->train = regimes[0];
        return DONE;
    }
    chosen = chosen < count ? chosen : count - 1;
    while (chosen > 0 && forecast_seconds(&tunings[chosen], &costs[chosen], p->epochs) > LONG_SECONDS) {
        chosen--;
    }
    text_add(&line, "%s: %s pictures a class, %s", regimes[chosen], count_text(each).s,
             wanted == 0   ? "few, so the last layer alone"
             : wanted == 1 ? "some, so the second half"
                           : "many, so everything");
    if (chosen != wanted && wanted >= count) {
        text_add(&line, "; but %s needs more memory than is free", regimes[wanted]);
    } else if (chosen != wanted) {
        text_add(&line, "; but %s would take %s", regimes[wanted],
                 seconds_text(forecast_seconds(&tunings[wanted], &costs[wanted], p->epochs)).s);
    }
    text_add(&line, " (%lld epochs:", (long long)p->epochs);
    for (int i = 0; i < count; i++) {
        text_add(&line, "%s %s %s", i > 0 ? "," : "", regimes[i],
                 seconds_text(forecast_seconds(&tunings[i], &costs[i], p->epochs)).s);
    }
    text_add(&line, ")");
    print_fact("auto", "%s", line.bytes);
    text_free(&line);
    p->train = regimes[chosen];
    return DONE;
}

/* ---- before it begins ------------------------------------------------------------------------------------------- */

/* Opens net and data, so that the net gets as many outputs as there are classes, and auto can choose. */
static int fit_net(training *t, train_arguments *a) {
    run_plan *p = &a->plan;
    strata_error err;
    strata_options runtime = runtime_options(&a->common);
    p->seed = a->common.seed;
    strata_data_options data = train_data_options(p);
    if (strata_runtime_create(&t->runtime, &runtime, &err) != STRATA_OK ||
        strata_net_load(&t->net, a->common.items[0], a->common.settings.bytes, &err) != STRATA_OK ||
        strata_dataset_open(&t->data, p->data, &data, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_net_info info;
    int64_t classes = (int64_t)strata_dataset_class_count(t->data);
    strata_net_info_get(t->net, false, &info);
    if (info.class_count == classes) {
        return DONE;
    }
    text_add(&a->common.settings, "%sclasses=%lld", a->common.settings.length > 0 ? " " : "", (long long)classes);
    strata_net_free(t->net);
    t->net = NULL;
    if (strata_net_load(&t->net, a->common.items[0], a->common.settings.bytes, &err) == STRATA_OK) {
        strata_net_info_get(t->net, false, &info);
        if (info.class_count == classes) {
            return DONE;
        }
    }
    int status = fail("%s has %s outputs and the data %s classes, and no knob 'classes' that would change it",
                      safe_text(a->common.items[0]).s, count_text(info.class_count).s, count_text(classes).s);
    hint("write `let classes = %lld` in front of the network, and `classes` where its last layer says how many",
         (long long)classes);
    return status;
}

/* Words between commas or blanks, or several after the net: the rest of the command line. */
static void join_paths(train_arguments *a, text *paths) {
    text_add(paths, "%s", a->plan.train);
    for (int i = 1; i < a->common.item_count; i++) {
        text_add(paths, " %s", a->common.items[i]);
    }
    a->plan.train = paths->bytes;
    a->common.item_count = 1;
}

static int begin(train_arguments *a) {
    run_plan *p = &a->plan;
    training t = {.plan = p};
    char *weights = weights_of(a->common.items[0]);
    if (weights != NULL) {
        a->common.items[0] = weights;
        p->weights = p->weights != NULL ? p->weights : weights;
    }
    int status = DONE;
    if (p->weights == NULL) {
        status = refuse("%s is a network without weights: --weights FILE, or a run or a checkpoint in its place",
                        a->common.items[0]);
        hint("%s train begins from nothing", program_name());
    }
    if (status == DONE && !path_exists(p->weights)) {
        status = fail("%s: no such file", safe_text(p->weights).s);
    }
    if (status == DONE) {
        status = fit_net(&t, a);
    }
    if (status == DONE && strcmp(p->train, "auto") == 0) {
        p->train = NULL;
        status = choose_regime(&t, p);
    }
    strata_dataset_free(t.data);
    strata_net_free(t.net);
    strata_runtime_free(t.runtime);
    if (status == DONE && p->thaw > 0 && strcmp(p->train, regimes[0]) == 0) {
        warn("--thaw %lld changes nothing: the head is all that is trained", (long long)p->thaw);
        p->thaw = 0;
    }
    if (status == DONE) {
        status = train_new(a, &command_finetune);
    }
    free(weights);
    return status;
}

static int run(void *all) {
    train_arguments *a = all;
    run_plan *p = &a->plan;
    if (a->resume != NULL) {
        return train_resume(a, &command_finetune);
    }
    if (a->common.item_count == 0 || p->data == NULL) {
        int status =
            refuse(a->common.item_count == 0 ? "finetune needs a network or a checkpoint" : "finetune needs --data D");
        hint("%s finetune squeezenet1_1 --weights FILE --data photos", program_name());
        return status;
    }
    if (p->thaw >= p->epochs) {
        return refuse("--thaw %lld leaves nothing of the %lld epochs for the rest", (long long)p->thaw,
                      (long long)p->epochs);
    }
    /* A head that begins at zero pulls gently at what is before it; adamw moves all by as much, however gently. */
    p->learning_rate = p->learning_rate > 0 ? p->learning_rate : 0.001;
    double share = strcmp(p->optimizer, "adamw") == 0 ? 0.1 : 1;
    p->body_rate = p->body_rate > 0 ? p->body_rate : p->learning_rate * share;
    p->variants = option_was_given(&command_finetune, &a->common, "variants") && p->variants == 0 ? -1 : p->variants;
    text paths = {0};
    p->train = p->train != NULL ? p->train : "auto";
    join_paths(a, &paths);
    int status = begin(a);
    text_free(&paths);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

#define PLAN(field) offsetof(train_arguments, plan.field)

static const option options[] = {
    {OPTION_TEXT, 0, "data", "D", "a folder, or a known name", PLAN(data), 0, 0},
    {OPTION_TEXT, 0, "weights", "FILE", "what the net has learned before (a checkpoint has its own)", PLAN(weights), 0,
     0},
    {OPTION_TEXT, 0, "preprocess", "P", "how pictures are prepared: torchvision, caffe, ...",
     offsetof(train_arguments, preprocess), 0, 0},
    {OPTION_TEXT, 0, "train", "WHAT", "head, second-half, all, auto, or layers: \"layer4 fc\" (auto)", PLAN(train), 0,
     0},
    {OPTION_FLAG, 0, "explain", NULL, "say what it would do and cost, and stop", offsetof(train_arguments, explain), 0,
     0},
    {OPTION_COUNT, 0, "epochs", "E", "times through the training pictures (20)", PLAN(epochs), 1, 1e6},
    {OPTION_COUNT, 0, "batch", "B", "pictures in a step (32)", PLAN(batch), 1, 1e6},
    {OPTION_COUNT, 0, "accumulate", "N", "batches whose gradients make one step (1)", PLAN(accumulate), 1, 1e6},
    {OPTION_CHOICE, 0, "optimizer", "sgd|adamw", "(sgd)", PLAN(optimizer), 0, 0},
    {OPTION_NUMBER, 0, "lr", "R", "of the head, at its highest (0.001)", PLAN(learning_rate), 1e-12, 1e6},
    {OPTION_NUMBER, 0, "body-lr", "R", "of what else is trained (as --lr; adamw: a tenth)", PLAN(body_rate), 1e-12,
     1e6},
    {OPTION_COUNT, 0, "thaw", "N", "the head alone for N epochs, then the rest too (0)", PLAN(thaw), 0, 1e6},
    {OPTION_COUNT, 0, "variants", "K", "augmented features kept of a picture (8); 0: none", PLAN(variants), 0, 10000},
    {OPTION_NUMBER, 0, "momentum", "M", "(0.9; 0: none)", PLAN(momentum), 0, 0.999999},
    {OPTION_NUMBER, 0, "weight-decay", "W", "not on biases and batch normalisation (0)", PLAN(weight_decay), 0, 1e3},
    {OPTION_CHOICE, 0, "schedule", "constant|step|cosine|onecycle", "of the learning rate (onecycle)", PLAN(schedule),
     0, 0},
    {OPTION_NUMBER, 0, "warmup", "E", "epochs of linear warm-up (0; onecycle: 0.3 of all)", PLAN(warmup), 0, 1e6},
    {OPTION_NUMBER, 0, "label-smoothing", "S", "(0)", PLAN(label_smoothing), 0, 0.999999},
    {OPTION_NUMBER, 0, "clip", "NORM", "longer gradients are cut to this norm: 1", PLAN(clip), 1e-12, 1e12},
    {OPTION_NUMBER, 0, "ema", "DECAY", "average the weights; the average is saved: 0.999", PLAN(ema), 0.1, 0.9999999},
    {OPTION_COUNT, 0, "patience", "N", "end when val is no better for N epochs", PLAN(patience), 1, 1e6},
    {OPTION_TEXT, 0, "augment", "A", "change pictures at random: imagenet; crop=4,mirror", PLAN(augment), 0, 0},
    {OPTION_FLAG, 0, "balance", NULL, "all classes equally often, however uneven they are", PLAN(balance), 0, 0},
    {OPTION_FLAG, 0, "strict", NULL, "no start where a picture cannot be read", PLAN(strict), 0, 0},
    {OPTION_SHARE, 0, "val", "SHARE|none", "held out where the data has no val part (0.1)", PLAN(hold_out), 0, 1},
    {OPTION_COUNT, 0, "limit", "N", "only the first N training pictures", PLAN(limit), 1, 9e15},
    {OPTION_TEXT, 0, "out", "RUN", "the run's folder (runs/NET-1, -2, ...)", offsetof(train_arguments, out), 0, 0},
    {OPTION_FLAG, 0, "force", NULL, "write over a run in that folder", offsetof(train_arguments, force), 0, 0},
    {OPTION_TEXT, 0, "resume", "RUN", "go on with an interrupted run; needs nothing else",
     offsetof(train_arguments, resume), 0, 0},
    {OPTION_COUNT, 0, "stop-after", "E", "save and end after epoch E; --resume goes on",
     offsetof(train_arguments, stop_after), 1, 1e6},
    {OPTION_NUMBER, 0, "save-every", "SECONDS", "between two checkpoints within an epoch (30)",
     offsetof(train_arguments, save_every), 0, 1e9},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const train_arguments defaults = {
    .plan =
        {
            .epochs = 20,
            .batch = 32,
            .optimizer = "sgd",
            .momentum = 0.9,
            .schedule = "onecycle",
            .step_factor = 0.1,
            .hold_out = 0.1,
            .precision = "f32",
        },
    .save_every = -1,
};

const command command_finetune = {
    .name = "finetune",
    .summary = "teach a trained network other pictures",
    .usage = "finetune NET|CHECKPOINT|RUN --data D [--weights FILE] [--train WHAT]\nfinetune --resume RUN",
    .about = "Takes a network that has learned, gives it a new last layer for the classes of\n"
             "the data, and trains that layer (head), the second half, or everything; auto\n"
             "chooses by the number of pictures and the time it takes. What stays fixed is\n"
             "computed once for each picture and kept.",
    .examples = "finetune squeezenet1_1 --weights w.safetensors --data photos | auto\n"
                "finetune squeezenet1_1 --weights w.safetensors --data photos --explain | what it would cost\n"
                "finetune runs/photos-1 --data photos --train all --lr 0.001 | go on from a run\n"
                "finetune resnet18 --weights w.safetensors --data photos --train \"layer4 fc\" --thaw 5",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(train_arguments),
    .least_items = 0,
    .most_items = 32,
    .items = "one network and, behind --train, layers",
    .run = run,
};
