/* include/strata.h, part 2: files of weights, whoever wrote them, and which of their tensors a net takes. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "formats/table.h"

struct strata_weights {
    st_weights file;
    st_arena *arena;
};

strata_status strata_weights_open(strata_weights **out, const char *path, strata_error *err) {
    st_arena *arena = NULL;
    strata_weights *weights = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&weights, arena, 1, sizeof *weights, err);
    if (status == STRATA_OK) {
        weights->arena = arena;
        status = st_weights_open(&weights->file, path, err);
    }
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *out = weights;
    return STRATA_OK;
}

void strata_weights_free(strata_weights *weights) {
    if (weights != NULL) {
        st_weights_close(&weights->file);
        st_arena_free(weights->arena);
    }
}

strata_status strata_weights_probe(bool *out, const char *path, strata_error *err) {
    const st_format *format = NULL;
    *out = false;
    ST_TRY(st_format_probe(&format, path, err));
    *out = format != NULL;
    return STRATA_OK;
}

static const char *text_of(const st_weights *file, const char *name) {
    const char *text = st_weights_metadata(file, name);
    return text != NULL ? text : "";
}

void strata_weights_info_get(const strata_weights *weights, strata_weights_info *out) {
    const st_weights *file = &weights->file;
    const char *classes = text_of(file, ST_PAIR_CLASSES);
    *out = (strata_weights_info){.format = file->format->name,
                                 .tensor_count = file->tensor_count,
                                 .bytes = file->file.length,
                                 .has_net = st_weights_metadata(file, ST_PAIR_NET) != NULL,
                                 .has_classes = strchr(classes, '"') != NULL,
                                 .has_preparation = st_weights_metadata(file, ST_PAIR_PREPARATION) != NULL,
                                 .preprocess = text_of(file, ST_PAIR_PREPROCESS),
                                 .note = text_of(file, ST_PAIR_NOTE)};
    for (size_t i = 0; i < file->tensor_count; i++) {
        if (st_stored_is_real(file->tensors[i].stored)) {
            out->numbers += (int64_t)file->tensors[i].count;
        }
    }
}

void strata_weights_tensor(const strata_weights *weights, size_t index, strata_tensor_info *out) {
    const st_tensor *tensor = &weights->file.tensors[index];
    *out = (strata_tensor_info){.name = tensor->name,
                                .type = st_stored_name(tensor->stored),
                                .rank = tensor->rank,
                                .dims = tensor->dims,
                                .count = (int64_t)tensor->count,
                                .is_real = st_stored_is_real(tensor->stored)};
}

strata_status strata_weights_measure(strata_tensor_range *out, const strata_weights *weights, size_t index,
                                     strata_error *err) {
    enum { PIECE = 2048 };
    double piece[PIECE], sum = 0.0;
    const st_tensor *tensor = &weights->file.tensors[index];
    *out = (strata_tensor_range){.least = INFINITY, .most = -INFINITY};
    size_t finite = 0;
    for (size_t done = 0; done < tensor->count;) {
        size_t now = tensor->count - done < PIECE ? tensor->count - done : PIECE;
        ST_TRY(st_weights_read_doubles(&weights->file, tensor, done, now, piece, err));
        for (size_t i = 0; i < now; i++) {
            if (!isfinite(piece[i])) {
                out->not_finite++;
                continue;
            }
            finite++;
            sum += piece[i];
            out->least = piece[i] < out->least ? piece[i] : out->least;
            out->most = piece[i] > out->most ? piece[i] : out->most;
        }
        done += now;
    }
    out->mean = finite > 0 ? sum / (double)finite : 0.0;
    out->least = finite > 0 ? out->least : 0.0;
    out->most = finite > 0 ? out->most : 0.0;
    return STRATA_OK;
}

strata_status strata_weights_check(const strata_weights *weights, strata_error *err) {
    return st_weights_check_hash(&weights->file, err);
}

/* ---- what a net takes of a file --------------------------------------------------------------------------------- */

typedef struct wanted {
    const st_node *node;
    const st_state *state;
} wanted;

typedef struct fitting {
    const st_weights *file;
    st_arena *arena;
    wanted *wants; /* in the order of the net */
    size_t want_count;
    const st_tensor **has; /* those that may be weights, in the order of the file */
    size_t has_count;
    const st_tensor **by_order; /* [want_count]; NULL: there is no such mapping */
    strata_fit_way way;
} fitting;

/* Counters of training and tensors of an optimizer are no weights. */
static bool may_be_weight(const st_tensor *tensor) {
    const char *dot = strrchr(tensor->name, '.');
    return st_stored_is_real(tensor->stored) && strncmp(tensor->name, "optimizer.", 10) != 0 &&
           !(dot != NULL && strcmp(dot, ".num_batches_tracked") == 0);
}

static bool same_dims(const st_tensor *tensor, const st_state *state) {
    bool same = tensor->rank == state->dims.rank;
    for (int d = 0; same && d < tensor->rank; d++) {
        same = tensor->dims[d] == state->dims.dims[d];
    }
    return same;
}

/* The same but for sides of 1: a 1x1 kernel may be a matrix. */
static bool near_dims(const st_tensor *tensor, const st_state *state) {
    int a = 0, b = 0;
    for (;;) {
        while (a < tensor->rank && tensor->dims[a] == 1) {
            a++;
        }
        while (b < state->dims.rank && state->dims.dims[b] == 1) {
            b++;
        }
        if (a == tensor->rank || b == state->dims.rank) {
            return a == tensor->rank && b == state->dims.rank;
        }
        if (tensor->dims[a++] != state->dims.dims[b++]) {
            return false;
        }
    }
}

static strata_status list_both(fitting *f, const st_graph *graph, bool with_heads, strata_error *err) {
    f->want_count = f->has_count = 0;
    ST_TRY(st_arena_alloc(&f->wants, f->arena, (size_t)graph->node_count * ST_OP_STATES + 1, sizeof *f->wants, err));
    ST_TRY(st_arena_alloc(&f->has, f->arena, f->file->tensor_count + 1, sizeof(const st_tensor *), err));
    for (int n = 0; n < graph->node_count; n++) {
        const st_node *node = &graph->nodes[n];
        for (int s = 0; s < ST_OP_STATES && (with_heads || !node->is_train_only); s++) {
            if (node->state[s].count > 0) {
                f->wants[f->want_count++] = (wanted){node, &node->state[s]};
            }
        }
    }
    for (size_t i = 0; i < f->file->tensor_count; i++) {
        if (may_be_weight(&f->file->tensors[i])) {
            f->has[f->has_count++] = &f->file->tensors[i];
        }
    }
    return STRATA_OK;
}

/* How many tensors from `first` on have the same text before their last dot. */
static size_t group_length(const fitting *f, size_t first) {
    const char *name = f->has[first]->name, *dot = strrchr(name, '.');
    size_t length = 1, prefix = dot != NULL ? (size_t)(dot - name) + 1 : 0;
    while (prefix > 0 && first + length < f->has_count && strncmp(f->has[first + length]->name, name, prefix) == 0 &&
           strchr(f->has[first + length]->name + prefix, '.') == NULL) {
        length++;
    }
    return length;
}

static size_t layer_length(const fitting *f, size_t first) {
    size_t length = 1;
    while (first + length < f->want_count && f->wants[first + length].node == f->wants[first].node) {
        length++;
    }
    return length;
}

/* What a tensor is to its layer, by the last word of its name in PyTorch's, Keras', TensorFlow's or Caffe's way; -1: it
 * does not say. */
static int role_of(const char *name) {
    static const struct {
        const char *word;
        int role;
    } words[] = {{"weight", 0},
                 {"weights", 0},
                 {"kernel", 0},
                 {"gamma", 0},
                 {"scale", 0},
                 {"bias", 1},
                 {"biases", 1},
                 {"beta", 1},
                 {"shift", 1},
                 {"offset", 1},
                 {"running_mean", 2},
                 {"moving_mean", 2},
                 {"mean", 2},
                 {"running_var", 3},
                 {"moving_var", 3},
                 {"moving_variance", 3},
                 {"running_variance", 3},
                 {"variance", 3},
                 {"var", 3}};
    const char *last = name;
    for (const char *at = name; *at != '\0'; at++) {
        last = *at == '.' || *at == '/' ? at + 1 : last;
    }
    size_t length = strcspn(last, ":"); /* TensorFlow: "gamma:0" */
    for (size_t i = 0; i < ST_COUNT_OF(words); i++) {
        if (strlen(words[i].word) == length && strncmp(words[i].word, last, length) == 0) {
            return words[i].role;
        }
    }
    return -1;
}

/* Which of `length` tensors from `has` on is which of a layer's, from want `first` on: by what their names say they
 * are, else in their order. False: shapes or names contradict it. */
static bool assign_group(const st_tensor **out, const fitting *f, size_t first, const st_tensor *const *has,
                         size_t length) {
    bool contradicts = false;
    for (size_t k = 0; k < length; k++) {
        int role = role_of(has[k]->name), right = role_of(f->wants[first + k].state->path);
        contradicts = contradicts || (role >= 0 && right >= 0 && role != right);
    }
    for (size_t k = 0; k < length; k++) {
        size_t at = contradicts ? 0 : k;
        while (contradicts && at < length && role_of(has[at]->name) != role_of(f->wants[first + k].state->path)) {
            at++;
        }
        if (at == length || !near_dims(has[at], f->wants[first + k].state)) {
            return false;
        }
        out[k] = has[at];
    }
    return true;
}

/* The file's tensors in their order, but that names within a layer say what they are. */
static bool in_a_row(fitting *f) {
    for (size_t i = 0, length; i < f->want_count; i += length) {
        length = layer_length(f, i);
        if (!assign_group(f->by_order + i, f, i, f->has + i, length)) {
            return false;
        }
    }
    return true;
}

/* Each layer of the net gets the first group of tensors, not yet given away, that has its shapes. */
static bool by_layers(fitting *f, bool *taken) {
    for (size_t i = 0; i < f->want_count;) {
        size_t length = layer_length(f, i), at = 0;
        while (at < f->has_count && (taken[at] || group_length(f, at) != length ||
                                     !assign_group(f->by_order + i, f, i, f->has + at, length))) {
            at += group_length(f, at);
        }
        if (at >= f->has_count) {
            return false;
        }
        for (size_t k = 0; k < length; k++) {
            taken[at + k] = true;
        }
        i += length;
    }
    return true;
}

static bool has_same_shapes(const fitting *f) {
    bool same = f->want_count == f->has_count;
    for (size_t i = 0; same && i < f->want_count; i++) {
        same = near_dims(f->has[i], f->wants[i].state);
    }
    return same;
}

static void sort_by_layers(fitting *f, const st_graph *graph, const int *order, size_t count, wanted *room) {
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < f->want_count; k++) {
            if (f->wants[k].node == &graph->nodes[order[i]]) {
                room[filled++] = f->wants[k];
            }
        }
    }
    if (filled == f->want_count) {
        memcpy(f->wants, room, filled * sizeof *room);
    }
}

/* Keras lists layers in its own order, in one of two ways where branches are added: the way that fits is taken where
 * only one does. Where both fit, a shortcut and what it passes by cannot be told apart. */
static strata_status map_as_keras(fitting *f, const st_graph *graph, bool *done, strata_error *err) {
    wanted *ways[2] = {NULL, NULL}, *room = NULL, *own = f->wants;
    bool fits[2] = {false, false};
    ST_TRY(st_arena_alloc(&room, f->arena, f->want_count, sizeof *room, err));
    for (int way = 0; way < 2; way++) {
        int *order = NULL;
        size_t count = 0;
        ST_TRY(st_keras_order(&order, &count, f->arena, graph, way == 1, err));
        ST_TRY(st_arena_alloc(&ways[way], f->arena, f->want_count, sizeof *room, err));
        memcpy(ways[way], own, f->want_count * sizeof *own);
        f->wants = ways[way];
        sort_by_layers(f, graph, order, count, room);
        fits[way] = has_same_shapes(f);
    }
    bool same = memcmp(ways[0], ways[1], f->want_count * sizeof *own) == 0;
    f->wants = own;
    if (fits[0] != fits[1] || (fits[0] && same)) {
        f->wants = ways[fits[0] ? 0 : 1];
        memcpy(f->by_order, f->has, f->has_count * sizeof *f->has);
        f->way = STRATA_FIT_BY_KERAS;
        *done = true;
    }
    return STRATA_OK;
}

static strata_status map_by_order(fitting *f, const st_graph *graph, strata_error *err) {
    enum { MOST_GROUPS = 1 << 14 }; /* each layer may look at each group */
    bool is_keras = f->file->format == &st_format_keras, done = false;
    for (int heads = 0; heads < 2; heads++) {
        ST_TRY(list_both(f, graph, heads == 1, err));
        if (f->want_count == 0 || f->want_count != f->has_count) {
            continue;
        }
        bool *taken = NULL;
        ST_TRY(st_arena_alloc(&f->by_order, f->arena, f->want_count, sizeof(const st_tensor *), err));
        ST_TRY(st_arena_alloc(&taken, f->arena, f->has_count, sizeof *taken, err));
        if (is_keras) {
            ST_TRY(map_as_keras(f, graph, &done, err));
        } else if (in_a_row(f)) {
            f->way = STRATA_FIT_IN_A_ROW;
            done = true;
        }
        if (done) {
            return STRATA_OK;
        }
        if (f->want_count <= MOST_GROUPS && by_layers(f, taken)) {
            f->way = STRATA_FIT_BY_LAYERS;
            return STRATA_OK;
        }
    }
    f->by_order = NULL;
    return list_both(f, graph, false, err);
}

static strata_status shape_of(const char **out, st_arena *arena, int rank, const int64_t *dims, strata_error *err) {
    char text[ST_TENSOR_DIMS_TEXT];
    char *copy = NULL;
    st_tensor_dims(text, rank, dims);
    ST_TRY(st_arena_text(&copy, arena, text, strlen(text), err));
    *out = copy;
    return STRATA_OK;
}

static strata_status add_row(strata_fit *out, st_arena *arena, strata_fit_state state, const st_state *wants,
                             const st_tensor *has, strata_error *err) {
    strata_fit_row row = {.state = state};
    if (wants != NULL) {
        row.wanted = wants->path;
        ST_TRY(shape_of(&row.wanted_shape, arena, wants->dims.rank, wants->dims.dims, err));
    }
    if (has != NULL) {
        row.found = has->name;
        ST_TRY(shape_of(&row.found_shape, arena, has->rank, has->dims, err));
    }
    out->rows[out->row_count++] = row;
    out->counts[state]++;
    return STRATA_OK;
}

static bool is_wanted(const st_graph *graph, const char *name) {
    for (int n = 0; n < graph->node_count; n++) {
        for (int s = 0; s < ST_OP_STATES; s++) {
            const st_state *state = &graph->nodes[n].state[s];
            if (state->count > 0 && strcmp(state->path, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static strata_status fit(strata_fit *out, fitting *f, const st_graph *graph, strata_error *err) {
    ST_TRY(list_both(f, graph, false, err));
    size_t most = f->want_count + f->has_count;
    ST_TRY(st_arena_alloc(&out->rows, f->arena, most, sizeof *out->rows, err));
    for (size_t i = 0; i < f->want_count; i++) {
        const st_state *state = f->wants[i].state;
        const st_tensor *tensor = st_weights_find(f->file, state->path);
        ST_TRY(add_row(out, f->arena,
                       tensor == NULL             ? STRATA_FIT_MISSING
                       : same_dims(tensor, state) ? STRATA_FIT_SAME
                                                  : STRATA_FIT_SHAPE,
                       state, tensor, err));
    }
    for (size_t i = 0; i < f->has_count; i++) {
        if (!is_wanted(graph, f->has[i]->name)) {
            ST_TRY(add_row(out, f->arena, STRATA_FIT_EXTRA, NULL, f->has[i], err));
        }
    }
    out->fits = out->counts[STRATA_FIT_SAME] == f->want_count && out->counts[STRATA_FIT_EXTRA] == 0;
    if (out->fits) {
        return STRATA_OK;
    }
    ST_TRY(map_by_order(f, graph, err));
    out->fits_by_order = f->by_order != NULL;
    out->way = f->way;
    ST_TRY(st_arena_alloc(&out->mapped, f->arena, f->want_count + 1, sizeof *out->mapped, err));
    strata_fit mapped = {.rows = out->mapped};
    for (size_t i = 0; f->by_order != NULL && i < f->want_count; i++) {
        ST_TRY(add_row(&mapped, f->arena, STRATA_FIT_SAME, f->wants[i].state, f->by_order[i], err));
    }
    out->mapped_count = mapped.row_count;
    return STRATA_OK;
}

strata_status strata_weights_fit(strata_fit *out, const strata_weights *weights, const strata_net *net,
                                 strata_error *err) {
    fitting f = {.file = &weights->file};
    *out = (strata_fit){0};
    ST_TRY(st_arena_create(&f.arena, err));
    out->memory = f.arena;
    strata_status status = fit(out, &f, net->graph, err);
    if (status != STRATA_OK) {
        strata_fit_free(out);
    }
    return status;
}

void strata_fit_free(strata_fit *fit) {
    st_arena_free(fit->memory);
    *fit = (strata_fit){0};
}

/* The tensors under the net's names and shapes, in the net's order; what else the file holds is left out. */
static strata_status take_names(strata_weights *weights, const fitting *f, strata_error *err) {
    st_tensor *tensors = NULL;
    ST_TRY(st_arena_alloc(&tensors, weights->arena, f->want_count, sizeof *tensors, err));
    for (size_t i = 0; i < f->want_count; i++) {
        const st_state *state = f->wants[i].state;
        const st_tensor *from = f->by_order[i];
        char *name = NULL;
        int64_t *dims = NULL;
        ST_TRY(st_arena_text(&name, weights->arena, state->path, strlen(state->path), err));
        tensors[i] = *from;
        tensors[i].name = name;
        if (from->strides == NULL && !same_dims(from, state)) {
            size_t rank = (size_t)state->dims.rank;
            ST_TRY(st_arena_alloc(&dims, weights->arena, rank, sizeof *dims, err));
            memcpy(dims, state->dims.dims, rank * sizeof *dims);
            tensors[i].rank = state->dims.rank;
            tensors[i].dims = dims;
        }
    }
    weights->file.tensors = tensors;
    weights->file.tensor_count = f->want_count;
    return st_weights_index(&weights->file, err);
}

strata_status strata_weights_map(strata_weights *weights, const strata_net *net, strata_error *err) {
    fitting f = {.file = &weights->file};
    ST_TRY(st_arena_create(&f.arena, err));
    strata_status status = map_by_order(&f, net->graph, err);
    if (status == STRATA_OK && f.by_order == NULL) {
        status = st_fail_file(err, STRATA_FORMAT, weights->file.file.path,
                              "its %zu tensors do not follow the %zu of the net by order and shape", f.has_count,
                              f.want_count);
    }
    if (status == STRATA_OK) {
        status = take_names(weights, &f, err);
    }
    st_arena_free(f.arena);
    return status;
}

const st_weights *st_api_weights(const strata_weights *weights) {
    return &weights->file;
}
