/* strata train: a network, data and a recipe become a run. */
#include "program.h"

typedef train_arguments arguments;

static int run(void *all) {
    arguments *a = all;
    if (a->resume != NULL) {
        return train_resume(a, &command_train);
    }
    if (a->common.item_count == 0 || a->plan.data == NULL) {
        int status = refuse(a->common.item_count == 0 ? "train needs a network" : "train needs --data D");
        hint("%s train %s --data fashion-mnist", program_name(),
             a->common.item_count == 0 ? "lenet5" : a->common.items[0]);
        return status;
    }
    return train_new(a, &command_train);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

#define PLAN(field) offsetof(arguments, plan.field)

static const option options[] = {
    {OPTION_TEXT, 0, "data", "D", "a folder, or a known name: fashion-mnist, mnist", PLAN(data), 0, 0},
    {OPTION_COUNT, 0, "epochs", "E", "times through the training pictures (10)", PLAN(epochs), 1, 1e6},
    {OPTION_COUNT, 0, "batch", "B", "pictures at once (64)", PLAN(batch), 1, 1e6},
    {OPTION_COUNT, 0, "accumulate", "N", "batches whose gradients make one step (1)", PLAN(accumulate), 1, 1e6},
    {OPTION_CHOICE, 0, "optimizer", "sgd|adamw", "(sgd)", PLAN(optimizer), 0, 0},
    {OPTION_NUMBER, 0, "lr", "R", "highest learning rate (sgd 0.05, adamw 0.001)", PLAN(learning_rate), 1e-12, 1e6},
    {OPTION_NUMBER, 0, "momentum", "M", "(0.9; 0: none)", PLAN(momentum), 0, 0.999999},
    {OPTION_FLAG, 0, "nesterov", NULL, "Nesterov's momentum", PLAN(nesterov), 0, 0},
    {OPTION_NUMBER, 0, "weight-decay", "W", "not on biases and batch normalisation (0)", PLAN(weight_decay), 0, 1e3},
    {OPTION_CHOICE, 0, "schedule", "constant|step|cosine|onecycle", "of the learning rate (onecycle)", PLAN(schedule),
     0, 0},
    {OPTION_NUMBER, 0, "step-every", "E", "step: epochs between two drops (a third of all)", PLAN(step_every), 1e-6,
     1e6},
    {OPTION_NUMBER, 0, "step-factor", "F", "step: what each drop multiplies by (0.1)", PLAN(step_factor), 1e-9, 1},
    {OPTION_TEXT, 0, "step-at", "E,E...", "step: drops after these epochs instead", PLAN(step_at), 0, 0},
    {OPTION_NUMBER, 0, "warmup", "E", "epochs of linear warm-up (0; onecycle: 0.3 of all)", PLAN(warmup), 0, 1e6},
    {OPTION_NUMBER, 0, "label-smoothing", "S", "(0)", PLAN(label_smoothing), 0, 0.999999},
    {OPTION_NUMBER, 0, "clip", "NORM", "longer gradients are cut to this norm: 1", PLAN(clip), 1e-12, 1e12},
    {OPTION_NUMBER, 0, "ema", "DECAY", "average the weights; the average is saved: 0.999", PLAN(ema), 0.1, 0.9999999},
    {OPTION_COUNT, 0, "patience", "N", "end when val is no better for N epochs", PLAN(patience), 1, 1e6},
    {OPTION_TEXT, 0, "augment", "A", "change pictures at random: cifar; crop=4,mirror", PLAN(augment), 0, 0},
    {OPTION_FLAG, 0, "balance", NULL, "all classes equally often, however uneven they are", PLAN(balance), 0, 0},
    {OPTION_FLAG, 0, "strict", NULL, "no start where a picture cannot be read", PLAN(strict), 0, 0},
    {OPTION_SHARE, 0, "val", "SHARE|none", "held out where the data has no val part (0.1)", PLAN(hold_out), 0, 1},
    {OPTION_FLAG, 0, "test-each-epoch", NULL, "test error in curve and log; chooses nothing", PLAN(test_each_epoch), 0,
     0},
    {OPTION_COUNT, 0, "limit", "N", "only the first N training pictures", PLAN(limit), 1, 9e15},
    {OPTION_TEXT, 0, "weights", "FILE", "begin with these weights instead of new ones", PLAN(weights), 0, 0},
    {OPTION_TEXT, 0, "preprocess", "P", "how pictures are prepared: unit, torchvision, ...",
     offsetof(arguments, preprocess), 0, 0},
    {OPTION_TEXT, 0, "freeze", "PATHS", "layers that stay as they are: \"c1 c3\"", PLAN(freeze), 0, 0},
    {OPTION_TEXT, 0, "precision", "f32", "of the computation (f32)", PLAN(precision), 0, 0},
    {OPTION_FLAG, 0, "find-lr", NULL, "try rising learning rates, suggest one, and stop",
     offsetof(arguments, find_rate), 0, 0},
    {OPTION_TEXT, 0, "out", "RUN", "the run's folder (runs/NET-1, -2, ...)", offsetof(arguments, out), 0, 0},
    {OPTION_FLAG, 0, "force", NULL, "write over a run in that folder", offsetof(arguments, force), 0, 0},
    {OPTION_TEXT, 0, "resume", "RUN", "go on with an interrupted run; needs nothing else", offsetof(arguments, resume),
     0, 0},
    {OPTION_COUNT, 0, "stop-after", "E", "save and end after epoch E; --resume goes on",
     offsetof(arguments, stop_after), 1, 1e6},
    {OPTION_NUMBER, 0, "save-every", "SECONDS", "between two checkpoints within an epoch (30)",
     offsetof(arguments, save_every), 0, 1e9},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {
    .plan =
        {
            .epochs = 10,
            .batch = 64,
            .optimizer = "sgd",
            .momentum = 0.9,
            .schedule = "onecycle",
            .step_factor = 0.1,
            .hold_out = 0.1,
            .precision = "f32",
        },
    .save_every = -1,
};

const command command_train = {
    .name = "train",
    .summary = "train a network on data, or go on with a run",
    .usage = "train NET --data D\ntrain --resume RUN",
    .about = "Trains a network. Where the data has no validation part, a tenth of the\n"
             "training pictures is held out: the best epoch is chosen there, and the test\n"
             "part is looked at once, at the end. Every run leaves a folder that repeats it.\n"
             "Ctrl-C saves; --resume ends in the same weights.",
    .examples = "train lenet5 --data fashion-mnist | 10 epochs\n"
                "train lenet5 --data fashion-mnist --epochs 1 | a quick look\n"
                "train lenet5 --data fashion-mnist --val none | nothing held out\n"
                "train lenet5 --data fashion-mnist --optimizer adamw --schedule cosine\n"
                "train lenet5 --data fashion-mnist --find-lr | which --lr?\n"
                "train lenet5 --data fashion-mnist --accumulate 4 | steps of 256\n"
                "train lenet5 --data mnist --schedule constant --patience 5 --ema 0.999\n"
                "train --resume runs/lenet5-1 | after Ctrl-C",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 0,
    .most_items = 1,
    .items = "one network",
    .run = run,
};
