/* strata describe: the layers of a network with their shapes, and what it costs. No model is built for it. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    bool train, plan, unfold;
    int64_t batch, accumulate;
    double ema;
    const char *optimizer, *freeze, *svg;
} arguments;

typedef struct subject_net {
    strata_runtime *runtime;
    strata_net *net;
    strata_net_info info;
    strata_memory infer, train;
} subject_net;

/* ---- the table -------------------------------------------------------------------------------------------------- */

static label count_or_blank(int64_t n) {
    return n != 0 ? count_text(n) : (label){{0}};
}

/* A layer with the activations behind it, or a whole block folded into a line. */
typedef struct row {
    const char *path, *op, *scopes; /* of its first layer */
    size_t name_length;             /* of `path`: the layer's whole name or that of a scope */
    text operation;
    const char *word; /* of a folded block, with `times` of them; NULL: a layer */
    size_t word_length, times;
    size_t last; /* layer whose value leaves it */
    int64_t parameters, multiply_adds;
} row;

typedef struct row_list {
    row *list;
    size_t count;
} row_list;

static void free_rows(row_list *r) {
    for (size_t i = 0; i < r->count; i++) {
        text_free(&r->list[i].operation);
    }
    free(r->list);
    *r = (row_list){0};
}

/* One row per layer that is shown. */
static row_list collect_rows(const subject_net *s, const arguments *a) {
    row_list out = {.list = take(NULL, s->info.layer_count * sizeof *out.list)};
    strata_layer_info before = {0};
    for (size_t i = 0; i < s->info.layer_count; i++) {
        strata_layer_info layer;
        strata_net_layer(s->net, i, &layer);
        if (layer.is_train_only && !a->train) {
            continue;
        }
        bool is_behind = out.count > 0 && layer_joins(&layer, &before);
        row *r = is_behind ? &out.list[out.count - 1] : &out.list[out.count++];
        if (!is_behind) {
            *r = (row){.path = layer.name,
                       .op = layer.op,
                       .scopes = layer.scopes,
                       .name_length = strlen(layer.name),
                       .times = 1};
            text_add(&r->operation, "%s", "");
        } else {
            text_add(&r->operation, ", ");
        }
        if (layer.input_count > 0) {
            layer_add_text(&r->operation, &layer);
        }
        r->last = i;
        r->parameters += layer.parameters;
        r->multiply_adds += layer.multiply_adds;
        before = layer;
    }
    return out;
}

/* ---- folding ---------------------------------------------------------------------------------------------------- */

/* "inception 64 + 128 + 32 + 32": the word of a block and, where it ends in a concat, the channels of its branches. */
static void name_block(row *r, const subject_net *s) {
    strata_layer_info layer, branch;
    strata_net_layer(s->net, r->last, &layer);
    text_add(&r->operation, "%.*s", (int)r->word_length, r->word);
    for (size_t i = 0; i < layer.input_count && i < 8 && layer.kind == STRATA_LAYER_CONCAT; i++) {
        strata_net_layer(s->net, (size_t)layer.inputs[i], &branch);
        text_add(&r->operation, "%s%lld", i == 0 ? " " : " + ", (long long)branch.output.channels);
    }
}

/* "19 conv, 6 add". */
static void count_operations(text *out, const row *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t same = 0, earlier = 0;
        for (size_t k = 0; k < count; k++) {
            same += strcmp(list[k].op, list[i].op) == 0;
            earlier += k < i && strcmp(list[k].op, list[i].op) == 0;
        }
        if (earlier == 0) {
            text_add(out, "%s%zu %s", out->length > 0 ? ", " : "", same, list[i].op);
        }
    }
}

/* The rows as one, named by the first `length` characters of their path; its operation is still to be said. */
static row join_rows(row *list, size_t count, size_t length) {
    row whole = list[0];
    whole.operation = (text){0};
    whole.name_length = length;
    whole.last = list[count - 1].last;
    whole.parameters = whole.multiply_adds = 0;
    for (size_t i = 0; i < count; i++) {
        whole.parameters += list[i].parameters;
        whole.multiply_adds += list[i].multiply_adds;
        text_free(&list[i].operation);
    }
    return whole;
}

static bool are_one_word(const row *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (list[i].word == NULL || list[i].word_length != list[0].word_length ||
            strncmp(list[i].word, list[0].word, list[0].word_length) != 0) {
            return false;
        }
    }
    return true;
}

/* Blocks become rows; a group of nothing but blocks of one kind becomes one row. All rows share the first `length`
 * characters of their paths, and `depth` scopes. Returns how many are left, at the front. */
static size_t fold_blocks(row *list, size_t count, const subject_net *s, size_t length, int depth) {
    size_t kept = 0;
    for (size_t i = 0, end; i < count; i = end) {
        const char *path = list[i].path, *dot = strchr(path + length, '.'), *word = list[i].scopes;
        size_t scope = dot != NULL ? (size_t)(dot - path) + 1 : 0;
        for (end = i + 1; scope > 0 && end < count && strncmp(list[end].path, path, scope) == 0;) {
            end++;
        }
        for (int k = 0; k < depth && scope > 0; k++) {
            word += strcspn(word, ".");
            word += word[0] == '.';
        }
        size_t word_length = scope > 0 ? strcspn(word, ".") : 0;
        if (scope == 0) {
            list[kept++] = list[i];
        } else if (word_length > 0 && end == i + 1) {
            list[kept] = list[i];
            list[kept++].name_length = scope - 1;
        } else if (word_length > 0) {
            row whole = join_rows(list + i, end - i, scope - 1);
            whole.word = word;
            whole.word_length = word_length;
            name_block(&whole, s);
            list[kept++] = whole;
        } else {
            size_t inside = fold_blocks(list + i, end - i, s, scope, depth + 1);
            if (are_one_word(list + i, inside)) {
                row whole = join_rows(list + i, inside, scope - 1);
                whole.times = inside;
                text_add(&whole.operation, inside > 1 ? "%.*s x %zu" : "%.*s", (int)whole.word_length, whole.word,
                         inside);
                list[i] = whole;
                inside = 1;
            }
            memmove(list + kept, list + i, inside * sizeof *list);
            kept += inside;
        }
    }
    return kept;
}

/* What stands in one outermost scope becomes one row, whatever it is. */
static size_t fold_outermost(row *list, size_t count) {
    size_t kept = 0;
    for (size_t i = 0, end; i < count; i = end) {
        const char *dot = strchr(list[i].path, '.');
        size_t scope = dot != NULL ? (size_t)(dot - list[i].path) + 1 : 0;
        for (end = i + 1; scope > 0 && end < count && strncmp(list[end].path, list[i].path, scope) == 0;) {
            end++;
        }
        row whole = list[i];
        if (end > i + 1) {
            text operations = {0};
            count_operations(&operations, list + i, end - i);
            whole = join_rows(list + i, end - i, scope - 1);
            whole.operation = operations;
        }
        list[kept++] = whole;
    }
    return kept;
}

static void print_rows(const row_list *r, const subject_net *s) {
    static const char *const titles[] = {"layer",         "operation", "output", "parameters",
                                         "multiply-adds", "field",     "stride"};
    table t = {.alignment = "lllrrrr", .column_count = COUNT_OF(titles)};
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        table_cell(&t, "%s", titles[i]);
    }
    for (size_t i = 0; i < r->count; i++) {
        const row *one = &r->list[i];
        strata_layer_info last;
        strata_net_layer(s->net, one->last, &last);
        table_cell(&t, "%.*s", (int)one->name_length, one->path);
        table_cell(&t, "%s", one->operation.bytes);
        table_cell(&t, "%s", shape_text(last.output, last.is_flat).s);
        table_cell(&t, "%s", count_or_blank(one->parameters).s);
        table_cell(&t, "%s", count_or_blank(one->multiply_adds).s);
        table_cell(&t, "%s", last.receptive_field > 0 ? count_text(last.receptive_field).s : "all");
        table_cell(&t, "%s", count_or_blank(last.receptive_stride).s);
    }
    for (int i = 0; i < 3; i++) {
        table_cell(&t, "%s", "");
    }
    table_cell(&t, "%s", count_text(s->info.parameters).s);
    table_cell(&t, "%s", count_text(s->info.multiply_adds).s);
    table_cell(&t, "%s", "");
    table_cell(&t, "%s", "");
    table_print(&t, "", true);
}

/* Returns whether blocks were folded. */
static bool print_layers(const subject_net *s, const arguments *a) {
    enum { MOST_ROWS = 40 };
    row_list r = collect_rows(s, a);
    size_t all = r.count;
    if (all > MOST_ROWS && !a->unfold) {
        r.count = fold_blocks(r.list, r.count, s, 0, 0);
        r.count = r.count > MOST_ROWS ? fold_outermost(r.list, r.count) : r.count;
    }
    bool is_folded = r.count < all;
    print_rows(&r, s);
    free_rows(&r);
    return is_folded;
}

/* ---- branches --------------------------------------------------------------------------------------------------- */

/* The only concat of the net; layer_count: none, or several. `uses`: of each layer's value. */
static size_t find_concat(const subject_net *s, size_t *uses) {
    size_t found = s->info.layer_count, count = 0;
    memset(uses, 0, s->info.layer_count * sizeof *uses);
    for (size_t i = 0; i < s->info.layer_count; i++) {
        strata_layer_info layer;
        strata_net_layer(s->net, i, &layer);
        for (size_t k = 0; k < layer.input_count; k++) {
            uses[layer.inputs[k]]++;
        }
        if (layer.kind == STRATA_LAYER_CONCAT) {
            found = i;
            count++;
        }
    }
    return count == 1 ? found : s->info.layer_count;
}

/* A branch from its end back to where it parts from the others: what it does, in order, and what it costs. */
static void print_branch(table *t, const subject_net *s, const strata_layer_info *concat, int end, const size_t *uses) {
    enum { MOST = 8 }; /* layers that are named */
    int chain[MOST], count = 0;
    text operation = {0};
    strata_layer_info layer, last;
    int64_t parameters = 0, multiply_adds = 0;
    strata_net_layer(s->net, (size_t)end, &last);
    for (int at = end; at > 0 && uses[at] == 1;) {
        strata_net_layer(s->net, (size_t)at, &layer);
        if ((layer.multiply_adds > 0 || layer.kind == STRATA_LAYER_POOL) && count < MOST) {
            chain[count++] = at;
        }
        parameters += layer.parameters;
        multiply_adds += layer.multiply_adds;
        at = layer.input_count == 1 ? layer.inputs[0] : 0;
    }
    text_add(&operation, "%s", "");
    while (count > 0) {
        strata_net_layer(s->net, (size_t)chain[--count], &layer);
        layer_add_text(&operation, &layer);
        text_add(&operation, "%s", count > 0 ? ", " : "");
    }
    const char *dot = strrchr(concat->name, '.');
    size_t scope = dot != NULL ? (size_t)(dot - concat->name) + 1 : 0;
    const char *name = last.name + (strncmp(last.name, concat->name, scope) == 0 ? scope : 0);
    table_cell(t, "%.*s", (int)strcspn(name, "."), name);
    table_cell(t, "%s", operation.bytes);
    table_cell(t, "%s", shape_text(last.output, last.is_flat).s);
    table_cell(t, "%s", count_or_blank(parameters).s);
    table_cell(t, "%s", count_or_blank(multiply_adds).s);
    text_free(&operation);
}

/* What each branch of a net with one set of them costs: the classic sum of the Inception module. */
static void print_branches(const subject_net *s) {
    size_t *uses = take(NULL, s->info.layer_count * sizeof *uses), at = find_concat(s, uses);
    if (at == s->info.layer_count) {
        free(uses);
        return;
    }
    static const char *const titles[] = {"branch", "operation", "output", "parameters", "multiply-adds"};
    table t = {.alignment = "lllrr", .column_count = COUNT_OF(titles)};
    strata_layer_info concat;
    strata_net_layer(s->net, at, &concat);
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        table_cell(&t, "%s", titles[i]);
    }
    for (size_t i = 0; i < concat.input_count && i < 64; i++) {
        print_branch(&t, s, &concat, concat.inputs[i], uses);
    }
    free(uses);
    putchar('\n');
    table_print(&t, "", true);
    putchar('\n');
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

static void print_text(const subject_net *s, const arguments *a) {
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

static void add_memory(json *j, const strata_memory *m) {
    json_count(j, "memory_bytes", (int64_t)m->total_bytes);
    json_count(j, "weights_bytes", (int64_t)m->weights_bytes);
    json_count(j, "gradients_bytes", (int64_t)m->gradients_bytes);
    json_count(j, "optimizer_bytes", (int64_t)m->optimizer_bytes);
    json_count(j, "activations_bytes", (int64_t)m->activations_bytes);
    json_count(j, "scratch_bytes", (int64_t)m->scratch_bytes);
    json_count(j, "batch_bytes", (int64_t)m->batch_bytes);
}

static void add_knobs(json *j, const strata_net *net) {
    json_open(j, "knobs", '[');
    for (size_t i = 0; i < strata_net_knob_count(net); i++) {
        strata_knob knob;
        strata_net_knob(net, i, &knob);
        json_open(j, NULL, '{');
        json_text(j, "name", knob.name);
        json_text(j, "value", knob.value);
        json_text(j, "default", knob.standard);
        json_text(j, "comment", knob.comment);
        json_close(j, '}');
    }
    json_close(j, ']');
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
    add_knobs(&j, s->net);
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
        json_count(&j, "receptive_stride", layer.receptive_stride);
        json_open(&j, "inputs", '[');
        for (size_t k = 0; k < layer.input_count; k++) {
            strata_layer_info input;
            strata_net_layer(s->net, (size_t)layer.inputs[k], &input);
            json_text(&j, NULL, input.name);
        }
        json_close(&j, ']');
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

static int describe(subject_net *s, const arguments *a) {
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
    {OPTION_COUNT, 0, "accumulate", "N", "batches of a training step (1)", offsetof(arguments, accumulate), 1, 1e6},
    {OPTION_NUMBER, 0, "ema", "DECAY", "with an average of the weights, as train --ema", offsetof(arguments, ema), 0.1,
     0.9999999},
    {OPTION_TEXT, 0, "freeze", "PATHS", "layers that stay as they are: \"c1 c3\"", offsetof(arguments, freeze), 0, 0},
    {OPTION_FLAG, 0, "plan", NULL, "the steps that run, fused, and their memory", offsetof(arguments, plan), 0, 0},
    {OPTION_FLAG, 0, "unfold", NULL, "every layer of a deep network", offsetof(arguments, unfold), 0, 0},
    {OPTION_TEXT, 0, "svg", "FILE", "draw the graph: repeats once, with --unfold all", offsetof(arguments, svg), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.batch = 64, .optimizer = "sgd"};

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
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one network or run",
    .run = run,
};
