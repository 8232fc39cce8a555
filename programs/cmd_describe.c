/* strata describe: the layers of a network with their shapes, and what it costs. Nothing is allocated for it. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    bool train, plan, unfold;
    int64_t batch;
    const char *optimizer, *freeze;
} arguments;

typedef struct subject_net {
    strata_runtime *runtime;
    strata_net *net;
    strata_net_info info;
    strata_memory infer, train;
} subject_net;

/* ---- the table -------------------------------------------------------------------------------------------------- */

/* An activation is shown behind the layer it follows. */
static bool is_folded(const strata_layer_info *layer) {
    static const char *const activations[] = {"relu", "tanh", "sigmoid", "bn", "dropout", "softmax"};
    for (size_t i = 0; i < COUNT_OF(activations); i++) {
        if (layer->follows && strcmp(layer->op, activations[i]) == 0) {
            return true;
        }
    }
    return false;
}

static label count_or_blank(int64_t n) {
    return n != 0 ? count_text(n) : (label){{0}};
}

/* A layer with the activations behind it, or a whole block folded into a line. */
typedef struct row {
    const char *name, *op, *block;
    text operation;
    label output;
    int64_t parameters, multiply_adds;
} row;

/* One row per layer that is shown; the caller frees the rows and their texts. */
static row *collect_rows(const subject_net *s, const arguments *a, size_t *count) {
    row *rows = take(NULL, s->info.layer_count * sizeof *rows);
    bool was_train_only = false;
    *count = 0;
    for (size_t i = 0; i < s->info.layer_count; i++) {
        strata_layer_info layer;
        strata_net_layer(s->net, i, &layer);
        if (layer.is_train_only && !a->train) {
            continue;
        }
        bool is_behind = *count > 0 && is_folded(&layer) && layer.is_train_only == was_train_only &&
                         strcmp(rows[*count - 1].op, "input") != 0;
        row *r = is_behind ? &rows[*count - 1] : &rows[(*count)++];
        if (!is_behind) {
            *r = (row){.name = layer.name, .op = layer.op, .block = layer.block};
            text_add(&r->operation, "%s", strcmp(layer.op, "input") == 0 ? "" : layer.text);
        } else {
            text_add(&r->operation, ", %s", layer.text);
        }
        r->output = shape_text(layer.output, layer.is_flat);
        r->parameters += layer.parameters;
        r->multiply_adds += layer.multiply_adds;
        was_train_only = layer.is_train_only;
    }
    return rows;
}

/* "19 conv, 6 add" of the rows from `first` to before `end`. */
static void count_operations(text *out, const row *rows, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) {
        size_t same = 0, earlier = 0;
        for (size_t k = first; k < end; k++) {
            same += strcmp(rows[k].op, rows[i].op) == 0;
            earlier += k < i && strcmp(rows[k].op, rows[i].op) == 0;
        }
        if (earlier == 0) {
            text_add(out, "%s%zu %s", out->length > 0 ? ", " : "", same, rows[i].op);
        }
    }
}

/* Rows of one block become one; returns how many are left. */
static size_t fold_blocks(row *rows, size_t count) {
    size_t kept = 0;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && rows[i].block[0] != '\0' && strcmp(rows[i].block, rows[end].block) == 0;) {
            end++;
        }
        row whole = rows[i];
        if (end > i + 1) {
            whole = (row){.name = rows[i].block, .op = "", .block = "", .output = rows[end - 1].output};
            count_operations(&whole.operation, rows, i, end);
            for (size_t k = i; k < end; k++) {
                whole.parameters += rows[k].parameters;
                whole.multiply_adds += rows[k].multiply_adds;
                text_free(&rows[k].operation);
            }
        }
        rows[kept++] = whole;
    }
    return kept;
}

/* Returns whether blocks were folded. */
static bool print_layers(const subject_net *s, const arguments *a) {
    enum { MOST_ROWS = 40 };
    static const char *const titles[] = {"layer", "operation", "output", "parameters", "multiply-adds"};
    table t = {.alignment = "lllrr", .column_count = COUNT_OF(titles)};
    size_t count, shown;
    row *rows = collect_rows(s, a, &count);
    shown = count > MOST_ROWS && !a->unfold ? fold_blocks(rows, count) : count;
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        table_cell(&t, "%s", titles[i]);
    }
    for (size_t i = 0; i < shown; i++) {
        table_cell(&t, "%s", rows[i].name);
        table_cell(&t, "%s", rows[i].operation.bytes);
        table_cell(&t, "%s", rows[i].output.s);
        table_cell(&t, "%s", count_or_blank(rows[i].parameters).s);
        table_cell(&t, "%s", count_or_blank(rows[i].multiply_adds).s);
        text_free(&rows[i].operation);
    }
    for (int i = 0; i < 3; i++) {
        table_cell(&t, "%s", "");
    }
    table_cell(&t, "%s", count_text(s->info.parameters).s);
    table_cell(&t, "%s", count_text(s->info.multiply_adds).s);
    table_print(&t, "", true);
    free(rows);
    return shown < count;
}

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

static void print_text(const subject_net *s, const arguments *a) {
    if (s->info.description[0] != '\0') {
        printf("%s\n\n", s->info.description);
    }
    bool is_folded_up = print_layers(s, a);
    printf("weights %s (f32)", bytes_text((uint64_t)(s->info.parameters + s->info.statistics) * 4).s);
    if (s->info.statistics > 0) {
        printf("   running statistics %s", count_text(s->info.statistics).s);
    }
    printf("   training at batch %lld: %s\n", (long long)a->batch, bytes_text(s->train.total_bytes).s);
    print_padding(&s->info);
    if (a->train) {
        print_memory(&s->train);
    }
    if (is_folded_up) {
        text words = {0};
        text_add(&words, "describe ");
        text_add_shell(&words, a->common.items[0]);
        text_add(&words, " --unfold");
        const char *commands[] = {words.bytes}, *reasons[] = {"every layer"};
        print_next(commands, reasons, 1);
        text_free(&words);
    }
}

static void add_memory(json *j, const strata_memory *m) {
    json_count(j, "memory_bytes", (int64_t)m->total_bytes);
    json_count(j, "weights_bytes", (int64_t)m->weights_bytes);
    json_count(j, "gradients_bytes", (int64_t)m->gradients_bytes);
    json_count(j, "optimizer_bytes", (int64_t)m->optimizer_bytes);
    json_count(j, "activations_bytes", (int64_t)m->activations_bytes);
    json_count(j, "scratch_bytes", (int64_t)m->scratch_bytes);
    json_count(j, "batch_bytes", (int64_t)m->batch_bytes);
}

/* `plan`: its text, or NULL. */
static void print_json(const subject_net *s, const arguments *a, const char *plan) {
    json j = {0};
    int64_t field = 0;
    json_open(&j, NULL, '{');
    json_text(&j, "name", s->info.name);
    json_text(&j, "description", s->info.description);
    json_open(&j, "input", '[');
    json_count(&j, NULL, s->info.input.height);
    json_count(&j, NULL, s->info.input.width);
    json_count(&j, NULL, s->info.input.channels);
    json_close(&j, ']');
    json_count(&j, "classes", s->info.class_count);
    json_count(&j, "parameters", s->info.parameters);
    json_count(&j, "statistics", s->info.statistics);
    json_count(&j, "multiply_adds", s->info.multiply_adds);
    json_count(&j, "batch", a->batch);
    json_bool(&j, "training", a->train);
    add_memory(&j, a->train ? &s->train : &s->infer);
    json_open(&j, "layers", '[');
    for (size_t i = 0; i < s->info.layer_count; i++) {
        strata_layer_info layer;
        strata_net_layer(s->net, i, &layer);
        field = layer.receptive_field > field ? layer.receptive_field : field;
        if (layer.is_train_only && !a->train) {
            continue;
        }
        json_open(&j, NULL, '{');
        json_text(&j, "name", layer.name);
        json_text(&j, "op", layer.op);
        json_text(&j, "text", layer.text);
        json_open(&j, "output", '[');
        json_count(&j, NULL, layer.output.height);
        json_count(&j, NULL, layer.output.width);
        json_count(&j, NULL, layer.output.channels);
        json_close(&j, ']');
        json_count(&j, "parameters", layer.parameters);
        json_count(&j, "statistics", layer.statistics);
        json_count(&j, "multiply_adds", layer.multiply_adds);
        json_count(&j, "receptive_field", layer.receptive_field);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_count(&j, "receptive_field", field);
    if (plan != NULL) {
        json_text(&j, "plan", plan);
    }
    json_close(&j, '}');
    json_print(&j);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int print_plan(const subject_net *s, const arguments *a, const strata_build_options *build) {
    strata_error err;
    char *plan;
    if (strata_model_plan_text(&plan, s->runtime, s->net, build, &err) != STRATA_OK) {
        return report(&err);
    }
    if (a->common.json) {
        print_json(s, a, plan);
    } else {
        fputs(plan, stdout);
    }
    strata_text_free(plan);
    return DONE;
}

static int describe(subject_net *s, const arguments *a) {
    strata_error err;
    strata_options runtime = runtime_options(&a->common);
    strata_build_options build = {.batch = a->batch, .optimizer = a->optimizer, .freeze = a->freeze};
    int status = net_open(&s->net, a->common.items[0], &a->common);
    if (status != DONE) {
        return status;
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
        print_json(s, a, NULL);
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
    {OPTION_FLAG, 0, "train", NULL, "with what training adds; memory part by part", offsetof(arguments, train), 0, 0},
    {OPTION_COUNT, 0, "batch", "N", "pictures at once (64)", offsetof(arguments, batch), 1, 1e6},
    {OPTION_CHOICE, 0, "optimizer", "sgd|adamw", "whose memory to count (sgd)", offsetof(arguments, optimizer), 0, 0},
    {OPTION_TEXT, 0, "freeze", "PATHS", "layers that stay as they are: \"c1 c3\"", offsetof(arguments, freeze), 0, 0},
    {OPTION_FLAG, 0, "plan", NULL, "the steps that run, fused, and their memory", offsetof(arguments, plan), 0, 0},
    {OPTION_FLAG, 0, "unfold", NULL, "every layer of a deep network", offsetof(arguments, unfold), 0, 0},
    {OPTION_LATER, 0, "svg", NULL, NULL, 0, 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.batch = 64, .optimizer = "sgd"};

const command command_describe = {
    .name = "describe",
    .summary = "layers, shapes, parameters, multiply-adds, memory of a network",
    .usage = "describe NET\ndescribe RUN",
    .about = "Shows a network layer by layer: what each is, what comes out, how many numbers\n"
             "it learns, how much it computes for one picture; and the memory that training\n"
             "would take. NET is a built-in name (see help nets), a .net file or a checkpoint.",
    .examples = "describe lenet5 | a built-in network\n"
                "describe lenet5 --set classes=26 | with a knob of its file turned\n"
                "describe lenet5 --train --batch 256 | what training takes, part by part\n"
                "describe lenet5 --plan | the steps that run\n"
                "describe lenet5 --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one network or run",
    .run = run,
};
