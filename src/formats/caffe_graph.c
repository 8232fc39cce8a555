/* Which layers of a Caffe model make its answer. Layers name the values that they read (bottom) and make (top); a name
 * means the last value that was made under it, so a layer may change one in place. Every bottom is made by a layer
 * before it, so that there are no circles.
 *
 * A file holds the net that was trained: its source of pictures and labels, its losses, its side heads. The answer is
 * what the last loss judges, or the last value that nothing reads; a softmax at its end is left out, as strata's
 * outputs are logits. Layers that it does not need are left out too. */
#include <stdlib.h>
#include <string.h>

#include "formats/table.h"

#ifdef ST_WITH_PROTOBUF
#include "formats/caffe.h"

bool st_caffe_is_source(const st_caffe_layer *layer) {
    static const char *const types[] = {"Data",     "ImageData",  "MemoryData", "DummyData",
                                        "HDF5Data", "WindowData", "Input"};
    return st_text_is_among(layer->type, types, ST_COUNT_OF(types));
}

/* Looks at its first bottom and makes nothing that an answer is made of. */
static bool is_judge(const st_caffe_layer *layer) {
    static const char *const types[] = {"SoftmaxWithLoss", "Accuracy", "ArgMax", "Silence", "HDF5Output"};
    size_t length = strlen(layer->type);
    return st_text_is_among(layer->type, types, ST_COUNT_OF(types)) ||
           (length > 4 && strcmp(layer->type + length - 4, "Loss") == 0);
}

/* ---- names ---- */

typedef struct named {
    const char *name;
    size_t order; /* of the layer, from 1; 0: the net's own inputs */
    int value;
} named;

static int compare_named(const void *a, const void *b) {
    const named *one = a, *two = b;
    int order = strcmp(one->name, two->name);
    if (order != 0) {
        return order;
    }
    return one->order != two->order ? (one->order < two->order ? -1 : 1)
                                    : (one->value > two->value) - (one->value < two->value);
}

static void sort(named *list, size_t count) {
    if (count > 0) {
        qsort(list, count, sizeof *list, compare_named);
    }
}

/* The last one of that name before `order`; ST_CAFFE_NONE: none. */
static int find_before(const named *list, size_t count, const char *name, size_t order) {
    const named wanted = {.name = name, .order = order, .value = ST_CAFFE_NONE};
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_named(&list[middle], &wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && strcmp(list[low - 1].name, name) == 0 ? list[low - 1].value : ST_CAFFE_NONE;
}

/* ---- training alone ---- */

static bool is_for_training(const Caffe__LayerParameter *says) {
    bool only = says->n_include > 0;
    for (size_t i = 0; i < says->n_include; i++) {
        only = only && says->include[i]->has_phase && says->include[i]->phase == 0;
    }
    for (size_t i = 0; i < says->n_exclude; i++) {
        only = only || (says->exclude[i]->has_phase && says->exclude[i]->phase == 1);
    }
    return only;
}

static bool is_in_place(const Caffe__LayerParameter *says, const char *top) {
    for (size_t i = 0; i < says->n_bottom; i++) {
        if (strcmp(says->bottom[i], top) == 0) {
            return true;
        }
    }
    return false;
}

/* A snapshot of training has layers of training alone, such as its source, which must stay; a description of both
 * phases has their like for tests beside them: one that makes the same value. */
static strata_status leave_out(st_caffe_graph *out, st_arena *arena, const st_caffe_model *model, size_t top_count,
                               strata_error *err) {
    named *tops = NULL;
    size_t count = 0;
    ST_TRY(st_arena_alloc(&tops, arena, top_count, sizeof *tops, err));
    for (size_t i = 0; i < model->layer_count; i++) {
        const Caffe__LayerParameter *says = model->layers[i].says;
        for (size_t t = 0; !is_for_training(says) && t < says->n_top; t++) {
            tops[count++] = (named){.name = says->top[t], .value = (int)i};
        }
    }
    sort(tops, count);
    for (size_t i = 0; i < model->layer_count; i++) {
        const Caffe__LayerParameter *says = model->layers[i].says;
        for (size_t t = 0; is_for_training(says) && t < says->n_top; t++) {
            out->layers[i].is_left_out =
                out->layers[i].is_left_out ||
                (!is_in_place(says, says->top[t]) && find_before(tops, count, says->top[t], 1) != ST_CAFFE_NONE);
        }
    }
    return STRATA_OK;
}

/* ---- values ---- */

/* In the order of the file: the net's own inputs, then the tops of each layer. */
static void add_values(st_caffe_graph *out, named *names, size_t *name_count, char **tops, size_t count, size_t layer,
                       size_t order, bool is_left_out) {
    for (size_t t = 0; t < count; t++) {
        out->values[out->value_count] = (st_caffe_made){.layer = layer, .top = t};
        if (!is_left_out) {
            names[(*name_count)++] = (named){.name = tops[t], .order = order, .value = (int)out->value_count};
        }
        out->value_count++;
    }
}

static strata_status find_bottoms(st_caffe_graph *out, st_arena *arena, const st_caffe_model *model, const named *names,
                                  size_t name_count, strata_error *err) {
    for (size_t i = 0; i < model->layer_count; i++) {
        const Caffe__LayerParameter *says = model->layers[i].says;
        ST_TRY(st_arena_alloc(&out->layers[i].bottoms, arena, says->n_bottom, sizeof *out->layers[i].bottoms, err));
        for (size_t b = 0; b < says->n_bottom; b++) {
            out->layers[i].bottoms[b] = find_before(names, name_count, says->bottom[b], i + 1);
        }
    }
    return STRATA_OK;
}

static strata_status make_values(st_caffe_graph *out, st_arena *arena, const st_caffe_model *model, const char *file,
                                 strata_error *err) {
    size_t count = model->says->n_input, name_count = 0;
    named *names = NULL;
    for (size_t i = 0; i < model->layer_count; i++) {
        count += model->layers[i].says->n_top;
    }
    if (count > INT32_MAX / 2) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file, "more than %d tops", INT32_MAX / 2);
    }
    ST_TRY(st_arena_alloc(&names, arena, count, sizeof *names, err));
    ST_TRY(st_arena_alloc(&out->values, arena, count, sizeof *out->values, err));
    ST_TRY(st_arena_alloc(&out->layers, arena, model->layer_count, sizeof *out->layers, err));
    ST_TRY(leave_out(out, arena, model, count, err));
    add_values(out, names, &name_count, model->says->input, model->says->n_input, model->layer_count, 0, false);
    for (size_t i = 0; i < model->layer_count; i++) {
        const Caffe__LayerParameter *says = model->layers[i].says;
        out->layers[i].first_top = out->value_count;
        add_values(out, names, &name_count, says->top, says->n_top, i, i + 1, out->layers[i].is_left_out);
    }
    sort(names, name_count);
    return find_bottoms(out, arena, model, names, name_count, err);
}

/* ---- the answer ---- */

/* Where a value comes from, past layers that hand it on as it is. */
static int source_of(const st_caffe_graph *graph, const st_caffe_model *model, int value, const char *type) {
    while (value != ST_CAFFE_NONE && graph->values[value].layer < model->layer_count) {
        const st_caffe_layer *layer = &model->layers[graph->values[value].layer];
        if (strcmp(layer->type, type) != 0 || layer->says->n_bottom == 0) {
            break;
        }
        value = graph->layers[graph->values[value].layer].bottoms[0];
    }
    return value;
}

static strata_status find_output(st_caffe_graph *out, st_arena *arena, const st_caffe_model *model, const char *file,
                                 strata_error *err) {
    bool *is_read = NULL;
    ST_TRY(st_arena_alloc(&is_read, arena, out->value_count, sizeof *is_read, err));
    for (size_t i = 0; i < model->layer_count; i++) {
        for (size_t b = 0; !out->layers[i].is_left_out && b < model->layers[i].says->n_bottom; b++) {
            int value = out->layers[i].bottoms[b];
            if (value != ST_CAFFE_NONE) {
                is_read[value] = true;
            }
        }
    }
    out->output = ST_CAFFE_NONE;
    for (size_t i = 0; i < model->layer_count; i++) {
        const st_caffe_layer *layer = &model->layers[i];
        size_t first = out->layers[i].first_top;
        if (out->layers[i].is_left_out || st_caffe_is_source(layer)) {
            continue;
        }
        if (is_judge(layer)) {
            out->output = layer->says->n_bottom > 0 && strcmp(layer->type, "Silence") != 0 &&
                                  out->layers[i].bottoms[0] != ST_CAFFE_NONE
                              ? out->layers[i].bottoms[0]
                              : out->output;
            continue;
        }
        for (size_t t = 0; t < layer->says->n_top; t++) {
            out->output = is_read[first + t] ? out->output : (int)(first + t);
        }
    }
    out->output = source_of(out, model, out->output, "Split");
    out->output = source_of(out, model, source_of(out, model, out->output, "Softmax"), "Split");
    if (out->output == ST_CAFFE_NONE) {
        return st_fail_file(err, STRATA_FORMAT, file, "it has no layer whose value is the net's answer");
    }
    return STRATA_OK;
}

/* From the last layer to the first: those whose values are needed. */
static strata_status mark_needed(st_caffe_graph *out, const st_caffe_model *model, const char *file,
                                 strata_error *err) {
    out->values[out->output].use_count = 1;
    out->values[out->output].user = model->layer_count;
    for (size_t i = model->layer_count; i > 0; i--) {
        st_caffe_wired *layer = &out->layers[i - 1];
        const Caffe__LayerParameter *says = model->layers[i - 1].says;
        for (size_t t = 0; t < says->n_top; t++) {
            layer->is_needed = layer->is_needed || out->values[layer->first_top + t].use_count > 0;
        }
        bool is_work = !st_caffe_is_source(&model->layers[i - 1]) && !is_judge(&model->layers[i - 1]) &&
                       strcmp(model->layers[i - 1].type, "Split") != 0 &&
                       strcmp(model->layers[i - 1].type, "Softmax") != 0;
        if (!layer->is_needed && is_work && !layer->is_left_out) {
            out->side_count++;
            out->side_name = model->layers[i - 1].name;
        }
        for (size_t b = 0; layer->is_needed && b < says->n_bottom; b++) {
            if (layer->bottoms[b] == ST_CAFFE_NONE) {
                return st_fail_file(err, STRATA_FORMAT, file,
                                    "layer '%.64s': no layer before it makes its bottom '%.64s'",
                                    model->layers[i - 1].name, says->bottom[b]);
            }
            out->values[layer->bottoms[b]].use_count++;
            out->values[layer->bottoms[b]].user = i - 1;
        }
    }
    return STRATA_OK;
}

/* The one value of a source that is needed. */
static strata_status find_input(st_caffe_graph *out, const st_caffe_model *model, const char *file, strata_error *err) {
    out->input = ST_CAFFE_NONE;
    for (size_t v = 0; v < out->value_count; v++) {
        const st_caffe_made *made = &out->values[v];
        if (made->use_count == 0 ||
            (made->layer < model->layer_count && !st_caffe_is_source(&model->layers[made->layer]))) {
            continue;
        }
        if (out->input != ST_CAFFE_NONE) {
            return st_fail_file(err, STRATA_UNSUPPORTED, file, "its answer is made of more than one input");
        }
        out->input = (int)v;
    }
    if (out->input == ST_CAFFE_NONE) {
        return st_fail_file(err, STRATA_FORMAT, file, "it has no input that its answer is made of");
    }
    return STRATA_OK;
}

strata_status st_caffe_wire_up(st_caffe_graph *out, st_arena *arena, const st_caffe_model *model, const char *file,
                               strata_error *err) {
    *out = (st_caffe_graph){.input = ST_CAFFE_NONE};
    ST_TRY(make_values(out, arena, model, file, err));
    ST_TRY(find_output(out, arena, model, file, err));
    ST_TRY(mark_needed(out, model, file, err));
    return find_input(out, model, file, err);
}

#endif
