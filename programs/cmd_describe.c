/* strata describe: the layers of a network with their shapes, and what it costs. No model is built for it. */
#include <stdlib.h>
#include <string.h>

#include "description.h"

/* ---- memory and knobs ------------------------------------------------------------------------------------------- */

static void print_memory(const strata_memory *m) {
    const struct {
        const char *name;
        uint64_t bytes;
    } rows[] = {
        {"weights", m->weights_bytes},
        {"gradients", m->gradients_bytes},
        {"optimizer", m->optimizer_bytes},
        {"activations", m->activations_bytes},
        {"scratch", m->scratch_bytes},
        {"pictures", m->batch_bytes},
        {"in all, with the program", m->total_bytes},
    };
    table t = {.alignment = "lr", .column_count = 2};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].bytes > 0) {
            table_cell(&t, "%s", rows[i].name);
            table_cell(&t, "%s", bytes_text(rows[i].bytes).s);
        }
    }
    table_print(&t, "  ", false);
}

/* Only where pictures of that size are usual; large ones are not small ones in a frame. */
static void print_padding(const strata_net_info *info) {
    strata_shape in = info->input;
    if (in.height <= 64 && in.width <= 64 && in.height > 4 && in.width > 4) {
        printf("pictures smaller than %lldx%lld are padded on each side%s\n", (long long)in.height, (long long)in.width,
               in.height == 32 && in.width == 32 ? ": 28x28 by 2" : "");
    }
}

static bool has_default(const strata_knob *knob) {
    return strcmp(knob->value, knob->standard) == 0;
}

/* What --set can change, with the default where it is not the value. */
static void print_knobs(const strata_net *net) {
    size_t count = strata_net_knob_count(net), others = 0;
    strata_knob knob;
    for (size_t i = 0; i < count; i++) {
        strata_net_knob(net, i, &knob);
        others += !has_default(&knob);
    }
    table t = {.alignment = "llll", .column_count = others > 0 ? 4 : 3};
    for (size_t i = 0; i <= count && count > 0; i++) {
        if (i > 0) {
            strata_net_knob(net, i - 1, &knob);
        }
        table_cell(&t, "%s", i == 0 ? "knob" : safe_text(knob.name).s);
        table_cell(&t, "%s", i == 0 ? "value" : safe_text(knob.value).s);
        if (others > 0) {
            table_cell(&t, "%s", i == 0 ? "default" : has_default(&knob) ? "" : safe_text(knob.standard).s);
        }
        table_cell(&t, "%s", i == 0 ? "meaning" : knob.comment);
    }
    if (count > 0) {
        putchar('\n');
        table_print(&t, "", true);
    }
}

static void print_text(const subject_net *s, const describe_arguments *a) {
    if (s->info.description[0] != '\0') {
        printf("%s\n\n", s->info.description);
    }
    bool is_folded = print_layers(s, a);
    print_branches(s);
    printf("weights %s (f32)", bytes_text((uint64_t)(s->info.parameters + s->info.statistics) * 4).s);
    if (s->info.statistics > 0) {
        printf("   running statistics %s", count_text(s->info.statistics).s);
    }
    printf("   inference at batch %lld: %s, training: %s\n", (long long)a->batch, bytes_text(s->infer.total_bytes).s,
           bytes_text(s->train.total_bytes).s);
    print_padding(&s->info);
    if (a->train) {
        print_memory(&s->train);
    }
    print_knobs(s->net);
    if (a->svg != NULL) {
        print_note("drawing %s\n", a->svg);
    }
    if (is_folded) {
        text words = {0};
        text_add(&words, "describe ");
        text_add_shell(&words, a->common.items[0]);
        text_add(&words, " --unfold");
        const char *commands[] = {words.bytes}, *reasons[] = {"every layer"};
        print_next(commands, reasons, 1);
        text_free(&words);
    }
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int print_plan(const subject_net *s, const describe_arguments *a, const strata_build_options *build) {
    strata_error err;
    char *plan;
    if (strata_model_plan_text(&plan, s->runtime, s->net, build, &err) != STRATA_OK) {
        return report(&err);
    }
    if (a->common.json) {
        print_description_json(s, a, plan);
    } else {
        fputs(plan, stdout);
    }
    strata_text_free(plan);
    return DONE;
}

/* A checkpoint that is damaged is not described as if it were whole. Exit status. */
static int check_weights(const char *what) {
    strata_error err;
    strata_weights *weights = NULL;
    char *file = path_is_folder(what) ? NULL : weights_of(what);
    bool fine = file == NULL || (strata_weights_open(&weights, file, &err) == STRATA_OK &&
                                 strata_weights_check(weights, &err) == STRATA_OK);
    strata_weights_free(weights);
    free(file);
    return fine ? DONE : report(&err);
}

static int describe(subject_net *s, const describe_arguments *a) {
    strata_error err;
    strata_options runtime = runtime_options(&a->common);
    strata_build_options build = {.batch = a->batch,
                                  .optimizer = a->optimizer,
                                  .freeze = a->freeze,
                                  .accumulate = a->accumulate,
                                  .average = a->ema > 0};
    int status = output_check(a->svg, (const char *const *)a->common.items, 1);
    status = status == DONE ? net_open(&s->net, a->common.items[0], &a->common) : status;
    status = status == DONE ? check_weights(a->common.items[0]) : status;
    if (status != DONE) {
        return status;
    }
    if (a->svg != NULL && drawing_write(a->svg, s->net, a->unfold, &err) != STRATA_OK) {
        return report(&err);
    }
    if (strata_runtime_create(&s->runtime, &runtime, &err) != STRATA_OK ||
        strata_model_memory(&s->infer, s->runtime, s->net, &build, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_net_info_get(s->net, a->train, &s->info);
    build.train = true;
    if (strata_model_memory(&s->train, s->runtime, s->net, &build, &err) != STRATA_OK) {
        return report(&err);
    }
    if (a->plan) {
        build.train = a->train;
        return print_plan(s, a, &build);
    }
    if (a->common.json) {
        print_description_json(s, a, NULL);
    } else {
        print_text(s, a);
    }
    return DONE;
}

static int run(void *all) {
    subject_net s = {0};
    int status = describe(&s, all);
    if (s.net != NULL) {
        strata_net_free(s.net);
    }
    if (s.runtime != NULL) {
        strata_runtime_free(s.runtime);
    }
    return status;
}

static const option options[] = {
    {OPTION_FLAG, 0, "train", NULL, "with what training adds; memory part by part", offsetof(describe_arguments, train),
     0, 0},
    {OPTION_COUNT, 0, "batch", "N", "pictures at once (64)", offsetof(describe_arguments, batch), 1, 1e6},
    {OPTION_CHOICE, 0, "optimizer", "sgd|adamw", "whose memory to count (sgd)", offsetof(describe_arguments, optimizer),
     0, 0},
    {OPTION_COUNT, 0, "accumulate", "N", "batches of a training step (1)", offsetof(describe_arguments, accumulate), 1,
     1e6},
    {OPTION_NUMBER, 0, "ema", "DECAY", "with an average of the weights, as train --ema",
     offsetof(describe_arguments, ema), 0.1, 0.9999999},
    {OPTION_TEXT, 0, "freeze", "PATHS", "layers that stay as they are: \"c1 c3\"", offsetof(describe_arguments, freeze),
     0, 0},
    {OPTION_FLAG, 0, "plan", NULL, "the steps that run, fused, and their memory", offsetof(describe_arguments, plan), 0,
     0},
    {OPTION_FLAG, 0, "unfold", NULL, "every layer of a deep network", offsetof(describe_arguments, unfold), 0, 0},
    {OPTION_TEXT, 0, "svg", "FILE", "draw the graph: repeats once, with --unfold all",
     offsetof(describe_arguments, svg), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const describe_arguments defaults = {.batch = 64, .optimizer = "sgd"};

const command command_describe = {
    .name = "describe",
    .summary = "layers, shapes, parameters, multiply-adds, memory of a network",
    .usage = "describe NET\ndescribe RUN",
    .about = "Shows a network layer by layer: what each is, what comes out, how many numbers\n"
             "it learns, and how much it computes for one picture: the multiply-adds of\n"
             "convolutions and dense layers, as published counts have them. An output sees\n"
             "`field` pixels in a row; its neighbour's lie `stride` further. Then the memory\n"
             "that inference and training take, and the knobs that --set turns. A deep network\n"
             "is folded: blocks are one line.\n"
             "NET is a built-in name (see help nets), a .net file or a checkpoint.",
    .examples = "describe lenet5 | a built-in network\n"
                "describe lenet5 --set classes=26 | with a knob of its file turned\n"
                "describe lenet5 --train --batch 256 | what training takes, part by part\n"
                "describe lenet5 --plan | the steps that run\n"
                "describe resnet50 --unfold | every layer of a deep network\n"
                "describe googlenet --svg g.svg | the graph as a drawing\n"
                "describe lenet5 --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(describe_arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one network or run",
    .run = run,
};
