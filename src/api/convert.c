/* include/strata.h, convert: a net with its weights into another program's format, proven before it gets its name. What
 * is written is a view of the open file: the tensors that the net has, called as the net calls them. Not here: the
 * formats (formats/), what the answers are compared on (prove.c). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "train/checkpoint.h"

enum { BATCH = 8, NOISE_PICTURES = 16, STANDARD_PICTURES = 256, PAIRS = 6, PATH_ROOM = 256 };
static const double LIMIT_OF_ONNX = 1e-4;

typedef struct convert {
    strata_runtime *runtime;
    const strata_net *net;
    const strata_weights *weights; /* NULL: none */
    const char *path;
    const strata_convert_options *options;
    st_arena *arena;
    const st_format *format; /* of the weights' file; NULL: a .net without one */
    bool is_text;            /* path is a .net */
    st_weights view;         /* what is written */
    char text_part[PATH_ROOM + 32], weights_path[PATH_ROOM], weights_part[PATH_ROOM + 32]; /* "": none */
    st_proof proof;
    bool has_preparation; /* the original says how its pictures are prepared */
    st_geometry geometry;
    st_preparation preparation;
    size_t classes;
    float *wanted, *found; /* [pictures][classes] */
    st_text self_test;     /* what the original says, where its file does not hold it */
} convert;

/* ---- where it goes ---------------------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending) {
    size_t length = strlen(path), end = strlen(ending);
    return length > end && strcmp(path + length - end, ending) == 0;
}

static strata_status unknown_ending(const char *path, strata_error *err) {
    st_text text = {0};
    char *known = NULL;
    for (const st_format *const *at = st_format_table; *at != NULL; at++) {
        if ((*at)->ending != NULL) {
            st_text_add(&text, "%s, ", (*at)->ending);
        }
    }
    st_text_add(&text, ".net");
    ST_TRY(st_text_finish(&known, &text, err));
    strata_status status =
        st_fail_file(err, STRATA_INVALID, path, "its ending names no format that can be written: %s", known);
    strata_text_free(known);
    return status;
}

static strata_status choose_paths(convert *c, strata_error *err) {
    size_t length = strlen(c->path);
    if (length >= PATH_ROOM - strlen(".safetensors")) {
        return st_fail_file(err, STRATA_INVALID, c->path, "the path has %zu bytes, at most %zu are served", length,
                            PATH_ROOM - strlen(".safetensors") - 1);
    }
    c->is_text = ends_in(c->path, ".net");
    if (!c->is_text) {
        c->format = st_format_by_ending(c->path);
        if (c->format == NULL) {
            return unknown_ending(c->path, err);
        }
        ST_FAIL_IF(c->weights == NULL, err, STRATA_INVALID,
                   "there are no weights to write: a network alone becomes a .net");
        memcpy(c->weights_path, c->path, length + 1);
    } else {
        (void)snprintf(c->text_part, sizeof c->text_part, "%s.part-%d", c->path, (int)getpid());
        if (c->weights == NULL || c->options->weights != NULL) {
            return STRATA_OK;
        }
        (void)snprintf(c->weights_path, sizeof c->weights_path, "%.*s.safetensors", (int)(length - strlen(".net")),
                       c->path);
        c->format = st_format_by_ending(c->weights_path);
    }
    (void)snprintf(c->weights_part, sizeof c->weights_part, "%s.part-%d", c->weights_path, (int)getpid());
    return STRATA_OK;
}

/* ---- what is written -------------------------------------------------------------------------------------------- */

static bool same_dims(const st_tensor *tensor, const st_state_dims *dims) {
    bool same = tensor->rank == dims->rank;
    for (int d = 0; same && d < tensor->rank; d++) {
        same = tensor->dims[d] == dims->dims[d];
    }
    return same;
}

/* A dense layer's columns in c, h, w order, from h, w, c. */
static strata_status turn_columns(st_tensor *tensor, convert *c, const st_weights *from, st_dims in,
                                  strata_error *err) {
    size_t size = st_stored_size(tensor->stored), bytes = 0;
    int64_t row = tensor->strides != NULL ? tensor->strides[0] : tensor->dims[1];
    int64_t column = tensor->strides != NULL ? tensor->strides[1] : 1;
    const int64_t dims[] = {tensor->dims[0], in.c, in.h, in.w};
    const int64_t strides[] = {row, column, column * in.c * in.w, column * in.c};
    st_tensor turned = *tensor;
    unsigned char *own = NULL;
    turned.rank = 4;
    turned.dims = dims;
    turned.strides = strides;
    ST_FAIL_IF(!st_size_mul(tensor->count, size, &bytes), err, STRATA_MEMORY, "no memory for '%s'", tensor->name);
    ST_TRY(st_arena_alloc(&own, c->arena, bytes, 1, err));
    ST_TRY(st_weights_read_bytes(from, &turned, 0, tensor->count, own, err));
    tensor->bytes = own;
    tensor->strides = NULL;
    tensor->is_channels_last = false;
    return STRATA_OK;
}

static strata_status take_state(st_tensor *list, convert *c, const st_node *node, const st_state *state,
                                strata_error *err) {
    const st_weights *from = st_api_weights(c->weights);
    const st_tensor *found = st_weights_find(from, state->path);
    if (found == NULL && node->is_train_only) {
        return STRATA_OK;
    }
    if (found == NULL || !st_stored_is_real(found->stored) || !same_dims(found, &state->dims)) {
        char wanted[ST_TENSOR_DIMS_TEXT], there[ST_TENSOR_DIMS_TEXT];
        st_tensor_dims(wanted, state->dims.rank, state->dims.dims);
        st_tensor_dims(there, found != NULL ? found->rank : 0, found != NULL ? found->dims : NULL);
        strata_status status =
            found == NULL
                ? st_fail_file(err, STRATA_FORMAT, from->file.path, "it does not fit the net: no tensor '%s'",
                               state->path)
                : st_fail_file(err, STRATA_FORMAT, from->file.path,
                               "it does not fit the net: '%s' is %s of %s there, the net has %s of real numbers",
                               state->path, there, st_stored_name(found->stored), wanted);
        st_error_hint(err, "strata weights FILE --for NET shows both side by side");
        return status;
    }
    st_tensor *to = &list[c->view.tensor_count++];
    *to = *found;
    to->name = state->path;
    st_dims in = st_picture_seen(c->net->graph, node);
    return to->is_channels_last && to->rank == 2 ? turn_columns(to, c, from, in, err) : STRATA_OK;
}

/* The net's tensors in its order, and what torch counts beside them. */
static strata_status take_tensors(convert *c, strata_error *err) {
    const st_graph *graph = c->net->graph;
    const st_weights *from = st_api_weights(c->weights);
    st_tensor *list = NULL;
    ST_TRY(st_arena_alloc(&list, c->arena, (size_t)graph->node_count * (ST_OP_STATES + 1), sizeof *list, err));
    for (int n = 0; n < graph->node_count; n++) {
        const st_node *node = &graph->nodes[n];
        bool has_statistics = false;
        for (int i = 0; i < ST_OP_STATES; i++) {
            if (node->state[i].count > 0) {
                has_statistics = has_statistics || !node->state[i].spec->is_trained;
                ST_TRY(take_state(list, c, node, &node->state[i], err));
            }
        }
        char *name = NULL;
        if (has_statistics) {
            ST_TRY(st_arena_printf(&name, c->arena, err, "%s.num_batches_tracked", node->path));
            const st_tensor *counter = st_weights_find(from, name);
            if (counter != NULL) {
                list[c->view.tensor_count++] = *counter;
            }
        }
    }
    c->view.tensors = list;
    return STRATA_OK;
}

/* A file with counters of training has none, for it covers numbers that are real; ONNX makes its own. */
static strata_status hash_of(char **out, convert *c, strata_error *err) {
    char hash[65];
    bool is_covered = c->format != st_format_by_ending("x.onnx");
    for (size_t i = 0; i < c->view.tensor_count; i++) {
        is_covered = is_covered && st_stored_is_real(c->view.tensors[i].stored);
    }
    if (!is_covered) {
        return STRATA_OK;
    }
    ST_TRY(st_weights_hash(hash, &c->view, err));
    return st_arena_text(out, c->arena, hash, strlen(hash), err);
}

static void add_pair(convert *c, st_pair *list, const char *name, const char *value) {
    if (value != NULL) {
        list[c->view.pair_count++] = (st_pair){.name = name, .value = value};
    }
}

/* The weights as they go out: their bytes stay in the file that they come from. */
static strata_status begin_view(convert *c, strata_error *err) {
    const st_weights *from = st_api_weights(c->weights);
    c->view = (st_weights){.file = from->file, .arena = c->arena, .format = from->format};
    return take_tensors(c, err);
}

static bool keeps_self_test(const convert *c) {
    return !c->options->preprocess && !c->options->skip_self_test;
}

/* And what is said of them. */
static strata_status end_view(convert *c, strata_error *err) {
    const st_weights *from = st_api_weights(c->weights);
    st_pair *pairs = NULL;
    char *hash = NULL;
    ST_TRY(hash_of(&hash, c, err));
    ST_TRY(st_arena_alloc(&pairs, c->arena, PAIRS, sizeof *pairs, err));
    add_pair(c, pairs, ST_PAIR_NET, c->net->text);
    add_pair(c, pairs, ST_PAIR_CLASSES, st_weights_metadata(from, ST_PAIR_CLASSES));
    if (!c->options->preprocess) {
        add_pair(c, pairs, ST_PAIR_PREPARATION, st_weights_metadata(from, ST_PAIR_PREPARATION));
    }
    if (keeps_self_test(c)) {
        add_pair(c, pairs, ST_PAIR_SELF_TEST, st_weights_metadata(from, ST_PAIR_SELF_TEST));
    }
    add_pair(c, pairs, ST_PAIR_SELF_TEST, c->self_test.bytes); /* made only where the one above is not there */
    /* For who looks at the weights without the net, and for ONNX, whose graph has no place for it. */
    const char *keys = st_graph_input_keys(c->net->graph);
    add_pair(c, pairs, ST_PAIR_PREPROCESS, keys[0] != '\0' ? keys : NULL);
    add_pair(c, pairs, ST_PAIR_HASH, hash);
    c->view.pairs = pairs;
    return st_weights_index(&c->view, err);
}

static strata_status write_parts(convert *c, strata_error *err) {
    if (c->weights_part[0] != '\0') {
        ST_TRY(end_view(c, err));
        ST_TRY(c->format->write(&c->view, c->net->graph, c->weights_part, err));
    }
    return c->is_text ? strata_file_write(c->text_part, c->net->text, strlen(c->net->text), err) : STRATA_OK;
}

/* ---- the proof -------------------------------------------------------------------------------------------------- */

static bool is_proven(const convert *c) {
    return !c->options->no_check && c->weights != NULL;
}

static strata_status choose_proof(convert *c, strata_error *err) {
    static const strata_part order[] = {STRATA_TEST, STRATA_VAL, STRATA_TRAIN};
    const strata_dataset *data = c->options->check;
    size_t limit = c->options->limit;
    c->proof = (st_proof){.data = data, .count = limit > 0 ? limit : NOISE_PICTURES, .seed = c->options->seed};
    for (size_t i = 0; data != NULL && i < ST_COUNT_OF(order); i++) {
        size_t there = strata_dataset_count(data, order[i]);
        if (there > 0) {
            limit = limit > 0 ? limit : STANDARD_PICTURES;
            c->proof.part = order[i];
            c->proof.count = there < limit ? there : limit;
            return STRATA_OK;
        }
    }
    ST_FAIL_IF(data != NULL, err, STRATA_MISSING, "%s has no pictures to check with", strata_dataset_name(data));
    return STRATA_OK;
}

/* Loading it finds what is damaged, so it is loaded also where nothing is to be proven. */
static strata_status ask_original(convert *c, strata_error *err) {
    strata_model *model = NULL;
    const st_weights *from = st_api_weights(c->weights);
    strata_build_options build = {.batch = BATCH,
                                  .blank = true,
                                  .own_preparation = c->options->preprocess,
                                  .skip_self_test = c->options->skip_self_test};
    size_t count = 0;
    if (is_proven(c)) {
        ST_TRY(choose_proof(c, err));
    }
    ST_TRY(strata_model_build(&model, c->runtime, c->net, &build, err));
    const st_graph *graph = model->core->graph;
    c->classes = strata_model_class_count(model);
    c->proof.probabilities =
        (graph->nodes[graph->outputs[graph->main_output].node].op->traits & ST_OP_GIVES_PROBABILITIES) != 0;
    strata_status status = strata_model_load_weights(model, c->weights, err);
    if (status == STRATA_OK && !st_size_mul(c->proof.count, c->classes, &count)) {
        status = st_fail(err, STRATA_MEMORY, "no memory for the answers to %zu pictures", c->proof.count);
    }
    if (status == STRATA_OK) {
        status = st_arena_alloc(&c->wanted, c->arena, count, sizeof *c->wanted, err);
    }
    if (status == STRATA_OK) {
        status = st_arena_alloc(&c->found, c->arena, count, sizeof *c->found, err);
    }
    if (status == STRATA_OK) {
        model->has_preparation = model->has_preparation && !c->options->preprocess;
        c->has_preparation = model->has_preparation;
        c->geometry = model->geometry;
        c->preparation = model->core->preparation;
        status = is_proven(c) ? st_api_answers(c->wanted, model, &c->proof, err) : STRATA_OK;
    }
    if (status == STRATA_OK && (!keeps_self_test(c) || st_weights_metadata(from, ST_PAIR_SELF_TEST) == NULL)) {
        status = st_self_test_add(&c->self_test, model, err);
    }
    strata_model_free(model);
    return status;
}

/* The net and the weights as a stranger would find them: each from the file where it is. */
static strata_status open_written(strata_model **out, const convert *c, strata_error *err) {
    strata_build_options build = {.batch = BATCH, .blank = true};
    const char *file = c->weights_part[0] != '\0' ? c->weights_part : c->options->weights;
    strata_weights *weights = NULL;
    strata_weights_info info;
    strata_net *net = NULL;
    ST_TRY(strata_weights_open(&weights, file, err));
    strata_weights_info_get(weights, &info);
    strata_weights_free(weights);
    if (info.has_net && !c->is_text) {
        return strata_model_open(out, c->runtime, file, &build, err);
    }
    if (c->is_text) {
        ST_TRY(strata_net_load(&net, c->text_part, NULL, err));
    }
    strata_status status = strata_model_build(out, c->runtime, c->is_text ? net : c->net, &build, err);
    strata_net_free(net);
    if (status != STRATA_OK) {
        return status;
    }
    if (c->has_preparation && !info.has_preparation) { /* a file that has no room for it */
        st_train_take_preparation(*out, &c->geometry, &c->preparation);
    }
    return strata_model_load(*out, file, err);
}

static size_t answer_of(const float *row, size_t classes) {
    size_t best = 0;
    strata_top(&best, 1, row, classes);
    return best;
}

static void compare_answers(strata_conversion *out, const convert *c) {
    double difference = 0.0, norm = 0.0;
    for (size_t i = 0; i < c->proof.count; i++) {
        const float *wanted = c->wanted + i * c->classes, *found = c->found + i * c->classes;
        for (size_t k = 0; k < c->classes; k++) {
            double by = fabs((double)found[k] - (double)wanted[k]);
            out->largest = by > out->largest || isnan(by) ? by : out->largest;
            difference += by * by;
            norm += (double)wanted[k] * (double)wanted[k];
        }
        out->changed += answer_of(wanted, c->classes) != answer_of(found, c->classes);
    }
    out->relative = difference > 0.0 ? st_sqrt(difference / (norm > 0.0 ? norm : 1.0)) : difference;
    out->pictures = c->proof.count;
}

static strata_status prove(strata_conversion *out, convert *c, strata_error *err) {
    strata_model *model = NULL;
    strata_status status = open_written(&model, c, err);
    if (status == STRATA_OK && strata_model_class_count(model) != c->classes) {
        status = st_fail(err, STRATA_FORMAT, "read again it has %zu classes instead of %zu",
                         strata_model_class_count(model), c->classes);
    }
    if (status == STRATA_OK) {
        status = st_api_answers(c->found, model, &c->proof, err);
    }
    strata_model_free(model);
    if (status != STRATA_OK) {
        st_error_prepend(err, "what was written cannot be read again: ");
        if (status == STRATA_UNSUPPORTED) {
            st_error_hint(err, "--no-check writes it all the same");
        }
        return status;
    }
    compare_answers(out, c);
    out->proof = c->proof.data != NULL ? STRATA_PROOF_PICTURES : STRATA_PROOF_NOISE;
    if (!(out->relative <= out->limit)) {
        return st_fail_file(err, STRATA_FORMAT, c->path,
                            "read again it gives other answers: %zu of %zu changed, numbers by up to %.3g, %.3g of the "
                            "norm, at most %g expected",
                            out->changed, out->pictures, out->largest, out->relative, out->limit);
    }
    return STRATA_OK;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static uint64_t size_of(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 ? (uint64_t)about.st_size : 0;
}

/* The weights first: a text never stands there without them. */
static strata_status give_names(strata_conversion *out, const convert *c, strata_error *err) {
    uint64_t weights = c->weights_part[0] != '\0' ? size_of(c->weights_part) : 0;
    out->bytes = c->is_text ? size_of(c->text_part) : weights;
    if (c->weights_part[0] != '\0') {
        ST_TRY(st_file_move(c->weights_part, c->weights_path, err));
    }
    if (c->is_text) {
        ST_TRY(st_file_move(c->text_part, c->path, err));
        memcpy(out->weights, c->weights_path, sizeof out->weights);
        out->weights_bytes = weights;
    }
    out->format = c->is_text ? "net" : c->format->name;
    out->tensor_count = c->view.tensor_count;
    return STRATA_OK;
}

/* An error in a file that is about to go away names the one that it was to become. */
static void name_file(strata_error *err, const char *part, const char *path) {
    if (err != NULL && part[0] != '\0' && strcmp(err->file, part) == 0) {
        (void)snprintf(err->file, sizeof err->file, "%s", path);
    }
}

static strata_status run(strata_conversion *out, convert *c, strata_error *err) {
    ST_TRY(choose_paths(c, err));
    out->limit = c->format == st_format_by_ending("x.onnx") ? LIMIT_OF_ONNX : 0.0;
    if (c->weights_part[0] != '\0') {
        ST_TRY(begin_view(c, err));
    }
    if (c->weights != NULL) {
        ST_TRY(ask_original(c, err));
    }
    strata_status status = write_parts(c, err);
    if (status == STRATA_OK && is_proven(c)) {
        status = prove(out, c, err);
    }
    if (status == STRATA_OK) {
        status = give_names(out, c, err);
    }
    if (status != STRATA_OK) { /* what has its name already is good */
        (void)(c->weights_part[0] != '\0' && st_sys.unlink(c->weights_part));
        (void)(c->text_part[0] != '\0' && st_sys.unlink(c->text_part));
        name_file(err, c->weights_part, c->weights_path);
        name_file(err, c->text_part, c->path);
    }
    return status;
}

strata_status strata_convert(strata_conversion *out, strata_runtime *runtime, const strata_net *net,
                             const strata_weights *weights, const char *path, const strata_convert_options *options,
                             strata_error *err) {
    static const strata_convert_options standard;
    convert c = {.runtime = runtime,
                 .net = net,
                 .weights = weights,
                 .path = path,
                 .options = options != NULL ? options : &standard};
    strata_conversion found = {.format = ""};
    *out = found;
    ST_TRY(st_arena_create(&c.arena, err));
    strata_status status = run(&found, &c, err);
    st_text_free(&c.self_test);
    st_arena_free(c.arena);
    if (status == STRATA_OK) {
        *out = found;
    }
    return status;
}
