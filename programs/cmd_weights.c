/* strata weights: what a file of weights holds, and what of it a net takes. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    const char *net;
    bool all, values;
} arguments;

enum { SHOWN_TENSORS = 20, SHOWN_ROWS = 12 };

/* ---- what the file is ------------------------------------------------------------------------------------------- */

typedef struct type_count {
    const char *type;
    size_t count;
} type_count;

/* "f32", or "f16 and f32": the types of its real numbers, the most frequent first. */
static void add_types(text *out, const strata_weights *weights, size_t count) {
    type_count types[16];
    size_t type_total = 0;
    for (size_t i = 0; i < count; i++) {
        strata_tensor_info tensor;
        strata_weights_tensor(weights, i, &tensor);
        size_t at = 0;
        while (at < type_total && strcmp(types[at].type, tensor.type) != 0) {
            at++;
        }
        if (at == type_total && at < COUNT_OF(types)) {
            types[type_total++] = (type_count){tensor.type, 0};
        }
        if (at < type_total) {
            types[at].count++;
        }
    }
    for (size_t i = 0; i < type_total; i++) {
        text_add(out, "%s%s", i == 0 ? "" : i + 1 < type_total ? ", " : " and ", types[i].type);
    }
}

static void add_known(text *out, const strata_weights_info *info) {
    text known = {0};
    static const char *const words[] = {"its net", "names of its classes", "how its pictures were prepared"};
    bool has[] = {info->has_net, info->has_classes, preparation_is_said(info)};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (has[i]) {
            text_add(&known, "%s%s", known.length > 0 ? "; " : "", words[i]);
        }
    }
    text_add(out, "%s", known.length > 0 ? known.bytes : "weights alone");
    text_free(&known);
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* Numbers that are not finite: weights that cannot work. 0 or more; -1: a tensor could not be read. */
static int64_t count_broken(const strata_weights *weights, size_t count, strata_error *err) {
    int64_t broken = 0;
    for (size_t i = 0; i < count; i++) {
        strata_tensor_info tensor;
        strata_tensor_range range;
        strata_weights_tensor(weights, i, &tensor);
        if (!tensor.is_real) {
            continue;
        }
        if (strata_weights_measure(&range, weights, i, err) != STRATA_OK) {
            return -1;
        }
        broken += (int64_t)range.not_finite;
    }
    return broken;
}

static label dims_text(const strata_tensor_info *tensor) {
    text out = {0};
    label result;
    for (int d = 0; d < tensor->rank; d++) {
        text_add(&out, "%s%lld", d > 0 ? "x" : "", (long long)tensor->dims[d]);
    }
    (void)snprintf(result.s, sizeof result.s, "%s", tensor->rank == 0 ? "one value" : out.bytes);
    text_free(&out);
    return result;
}

static void print_tensors(const strata_weights *weights, size_t count, const arguments *a) {
    size_t shown = a->all || count <= SHOWN_TENSORS ? count : SHOWN_TENSORS;
    table t = {.alignment = a->values ? "lrlrrr" : "lrl", .column_count = a->values ? 6 : 3};
    static const char *const heads[] = {"tensor", "shape", "type", "least", "most", "mean"};
    for (size_t i = 0; i < t.column_count; i++) {
        table_cell(&t, "%s", heads[i]);
    }
    for (size_t i = 0; i < shown; i++) {
        strata_tensor_info tensor;
        strata_tensor_range range = {0};
        strata_weights_tensor(weights, i, &tensor);
        table_cell(&t, "%s", safe_text(tensor.name).s);
        table_cell(&t, "%s", dims_text(&tensor).s);
        table_cell(&t, "%s", tensor.type);
        if (a->values) {
            bool known = strata_weights_measure(&range, weights, i, NULL) == STRATA_OK;
            double numbers[] = {range.least, range.most, range.mean};
            for (size_t k = 0; k < COUNT_OF(numbers); k++) {
                if (known) {
                    table_cell(&t, "%.4g", numbers[k]);
                } else {
                    table_cell(&t, "?");
                }
            }
        }
    }
    table_print(&t, "  ", true);
    if (shown < count) {
        printf("  ... and %s more; --all shows them\n", count_text((int64_t)(count - shown)).s);
    }
}

/* ---- what a net takes of it ------------------------------------------------------------------------------------- */

static const char *const state_words[STRATA_FIT_STATES] = {"same", "shape differs", "missing", "not in the net"};

static void print_side_by_side(const strata_fit_row *rows, size_t count, bool with_same, bool all) {
    table t = {.alignment = "lrlr", .column_count = 4};
    static const char *const heads[] = {"the net expects", "", "the file has", ""};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        table_cell(&t, "%s", heads[i]);
    }
    size_t shown = 0, left = 0;
    for (size_t i = 0; i < count; i++) {
        const strata_fit_row *row = &rows[i];
        if (row->state == STRATA_FIT_SAME && !with_same) {
            continue;
        }
        if (!all && shown == SHOWN_ROWS) {
            left++;
            continue;
        }
        shown++;
        table_cell(&t, "%s", row->wanted != NULL ? safe_text(row->wanted).s : "-");
        table_cell(&t, "%s", row->wanted != NULL ? row->wanted_shape : "");
        table_cell(&t, "%s", row->found != NULL ? safe_text(row->found).s : "-");
        table_cell(&t, "%s", row->found != NULL ? row->found_shape : "");
    }
    table_print(&t, "  ", true);
    if (left > 0) {
        printf("  ... and %s more; --all shows them\n", count_text((int64_t)left).s);
    }
}

/* The head alone is of other classes: what finetune is for. */
static bool is_other_head(const strata_fit *fit) {
    return fit->counts[STRATA_FIT_SHAPE] > 0 && fit->counts[STRATA_FIT_SHAPE] <= 2 &&
           fit->counts[STRATA_FIT_MISSING] == 0 && fit->counts[STRATA_FIT_EXTRA] == 0;
}

static void print_fit(const strata_fit *fit, const arguments *a) {
    const char *file = a->common.items[0], *net = a->net;
    size_t wanted = fit->row_count - fit->counts[STRATA_FIT_EXTRA];
    text next = {0};
    if (fit->fits) {
        printf("fits %s: %s of %s\n", net, count_text((int64_t)wanted).s, count_text((int64_t)wanted).s);
        return;
    }
    printf("does not fit %s: ", net);
    if (fit->counts[STRATA_FIT_SAME] == wanted) {
        printf("all %s tensors are there, and %s that it does not know\n", count_text((int64_t)wanted).s,
               count_text((int64_t)fit->counts[STRATA_FIT_EXTRA]).s);
    } else {
        printf("%s of %s tensors\n", count_text((int64_t)fit->counts[STRATA_FIT_SAME]).s,
               count_text((int64_t)wanted).s);
    }
    if (a->common.quiet) {
        return;
    }
    bool maps = fit->fits_by_order;
    print_side_by_side(maps ? fit->mapped : fit->rows, maps ? fit->mapped_count : fit->row_count, maps, a->all);
    if (maps) {
        printf("the names differ, but %s: this mapping is %s\n",
               fit->way == STRATA_FIT_IN_A_ROW   ? "order and shapes agree"
               : fit->way == STRATA_FIT_BY_KERAS ? "shapes agree in the order in which Keras lists such layers"
                                                 : "shapes agree layer by layer, though not in order",
               fit->way == STRATA_FIT_BY_LAYERS ? "a guess: layers of equal shapes may be swapped"
                                                : "likely, not certain");
        text_add(&next, "convert ");
        text_add_shell(&next, file);
        text_add(&next, " OUT.safetensors --for %s --map order", net);
        print_next((const char *const[]){next.bytes}, (const char *const[]){"to take it"}, 1);
    } else if (is_other_head(fit)) {
        text_add(&next, "finetune %s --weights ", net);
        text_add_shell(&next, file);
        text_add(&next, " --data D");
        print_next((const char *const[]){next.bytes}, (const char *const[]){"to replace the head"}, 1);
    }
    text_free(&next);
}

/* ---- for programs ----------------------------------------------------------------------------------------------- */

static void add_rows(json *j, const char *key, const strata_fit_row *rows, size_t count) {
    json_open(j, key, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(j, NULL, '{');
        json_text(j, "state", state_words[rows[i].state]);
        if (rows[i].wanted != NULL) {
            json_text(j, "wanted", rows[i].wanted);
            json_text(j, "wanted_shape", rows[i].wanted_shape);
        }
        if (rows[i].found != NULL) {
            json_text(j, "found", rows[i].found);
            json_text(j, "found_shape", rows[i].found_shape);
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void add_values(json *j, const strata_weights *weights, size_t index) {
    strata_tensor_range range;
    if (strata_weights_measure(&range, weights, index, NULL) == STRATA_OK) {
        json_number(j, "least", range.least);
        json_number(j, "most", range.most);
        json_number(j, "mean", range.mean);
        json_count(j, "not_finite", (int64_t)range.not_finite);
    }
}

static void add_tensors(json *j, const strata_weights *weights, size_t count, bool values) {
    json_open(j, "tensors", '[');
    for (size_t i = 0; i < count; i++) {
        strata_tensor_info tensor;
        strata_weights_tensor(weights, i, &tensor);
        json_open(j, NULL, '{');
        json_text(j, "name", tensor.name);
        json_text(j, "type", tensor.type);
        json_open(j, "shape", '[');
        for (int d = 0; d < tensor.rank; d++) {
            json_count(j, NULL, tensor.dims[d]);
        }
        json_close(j, ']');
        if (values) {
            add_values(j, weights, i);
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void print_json(const strata_weights *weights, const strata_weights_info *info,
                       const strata_weights_publication *known, int64_t broken, const strata_fit *fit,
                       const arguments *a) {
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "file", a->common.items[0]);
    json_text(&j, "format", info->format);
    json_count(&j, "tensor_count", (int64_t)info->tensor_count);
    json_count(&j, "numbers", info->numbers);
    json_count(&j, "not_finite", broken);
    json_bool(&j, "has_net", info->has_net);
    json_bool(&j, "has_classes", info->has_classes);
    json_bool(&j, "has_preparation", preparation_is_said(info));
    if (info->preprocess[0] != '\0') {
        json_text(&j, "preprocess", info->preprocess);
    }
    if (known->by[0] != '\0') {
        json_open(&j, "published", '{');
        json_text(&j, "name", known->name);
        json_text(&j, "by", known->by);
        json_text(&j, "preprocess", known->preprocess);
        json_close(&j, '}');
    }
    if (info->note[0] != '\0') {
        json_text(&j, "note", info->note);
    }
    add_tensors(&j, weights, info->tensor_count, a->values);
    if (fit != NULL) {
        json_text(&j, "net", a->net);
        json_bool(&j, "fits", fit->fits);
        json_bool(&j, "fits_by_order", fit->fits_by_order);
        add_rows(&j, "rows", fit->rows, fit->row_count);
        add_rows(&j, "mapped", fit->mapped, fit->mapped_count);
    }
    json_close(&j, '}');
    json_print(&j);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void print_text(const strata_weights *weights, const strata_weights_info *info,
                       const strata_weights_publication *known, int64_t broken, const strata_fit *fit,
                       const arguments *a) {
    text holds = {0};
    text_add(&holds, "%s, %s tensors, ", info->format, count_text((int64_t)info->tensor_count).s);
    if (info->tensor_count > 0) {
        text_add(&holds, "%s numbers in ", count_text(info->numbers).s);
        add_types(&holds, weights, info->tensor_count);
        text_add(&holds, ", ");
    }
    text_add(&holds, "%s; ", bytes_text(info->bytes).s);
    add_known(&holds, info);
    text_add(&holds, "; read without running any code");
    print_fact("file", "%s", safe_text(a->common.items[0]).s);
    print_fact("holds", "%s", holds.bytes);
    text_free(&holds);
    if (info->preprocess[0] != '\0') {
        print_fact("pictures", "%s", safe_text(info->preprocess).s);
    }
    if (known->by[0] != '\0') {
        print_fact("known", "%s, as published by %s, with --preprocess \"%s\"", known->name, known->by,
                   known->preprocess);
    }
    for (const char *line = info->note; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        print_fact(line == info->note ? "note" : "", "%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    if (broken > 0) {
        printf("%s of the numbers %s not finite (NaN or infinite): these weights cannot work\n", count_text(broken).s,
               broken == 1 ? "is" : "are");
    }
    if (fit != NULL) {
        print_fit(fit, a);
    } else if (!a->common.quiet && info->tensor_count > 0) {
        print_tensors(weights, info->tensor_count, a);
    }
}

static int look(strata_weights *weights, const strata_net *net, const arguments *a) {
    strata_error err;
    strata_weights_info info;
    strata_weights_publication known = {.by = ""};
    strata_fit fit = {0};
    strata_weights_info_get(weights, &info);
    int64_t broken = count_broken(weights, info.tensor_count, &err);
    if (broken < 0 || strata_weights_check(weights, &err) != STRATA_OK ||
        (!preparation_is_said(&info) && strata_weights_publication_get(&known, weights, &err) != STRATA_OK) ||
        (net != NULL && strata_weights_fit(&fit, weights, net, &err) != STRATA_OK)) {
        return report(&err);
    }
    if (a->common.json) {
        print_json(weights, &info, &known, broken, net != NULL ? &fit : NULL, a);
    } else {
        print_text(weights, &info, &known, broken, net != NULL ? &fit : NULL, a);
    }
    bool fits = net == NULL || fit.fits;
    strata_fit_free(&fit);
    return fits ? DONE : FAILED;
}

static int run(void *all) {
    const arguments *a = all;
    strata_error err;
    strata_weights *weights = NULL;
    strata_net *net = NULL;
    if (a->net == NULL && a->common.settings.length > 0) {
        return refuse("--set changes a network: name it with --for");
    }
    if (a->net != NULL) {
        int status = net_open(&net, a->net, &a->common);
        if (status != DONE) {
            return status;
        }
    }
    int status =
        strata_weights_open(&weights, a->common.items[0], &err) == STRATA_OK ? look(weights, net, a) : report(&err);
    strata_weights_free(weights);
    strata_net_free(net);
    return status;
}

static const option options[] = {
    {OPTION_TEXT, 0, "for", "NET", "does it fit this network?", offsetof(arguments, net), 0, 0},
    {OPTION_FLAG, 0, "values", NULL, "least, most and mean of each tensor", offsetof(arguments, values), 0, 0},
    {OPTION_FLAG, 0, "all", NULL, "every tensor, however many", offsetof(arguments, all), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

const command command_weights = {
    .name = "weights",
    .summary = "what is in a file of weights, and which network it fits",
    .usage = "weights FILE [--for NET]",
    .about = "Lists the tensors of a file: safetensors, PyTorch (.pth), ONNX, Keras (.h5), Caffe\n"
             "(.caffemodel) or darknet (.weights). The format is found by what the file holds;\n"
             "nothing in it is run. With --for, what the network expects and what the file has\n"
             "side by side, and exit status 1 where it does not fit; where names differ but\n"
             "order and shapes agree, that mapping. docs/formats.md has the rules.",
    .examples = "weights resnet50.pth | what is in it?\n"
                "weights resnet50.pth --for resnet50 | does it fit?\n"
                "weights mine.pth --for resnet50 --set classes=6 | with other classes",
    .options = options,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "a file of weights",
    .run = run,
};
