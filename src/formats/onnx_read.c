/* ONNX (https://onnx.ai, onnx.proto; the operators' own versions 7 to 24): a graph of operators over named values, and
 * its weights. This file opens it and walks; onnx_values.c has names, nodes and constants, onnx_fold.c what exporters
 * compute with sizes, onnx_external.c values in other files; the operators are in onnx_layers.c, onnx_pool.c,
 * onnx_lrn.c, onnx_functions.c, onnx_sums.c, onnx_shapes.c (which only change shapes) and onnx_sample.c.
 *
 * Nothing that a file says is believed: lengths by protobuf.c, names and shapes here and there, the finished net by
 * st_foreign_finish, which builds it and compares each weight with it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/table.h"

/* The first field of a model is its version, a small number; the second comes from a short list. */
static bool probe(const st_file *file, const unsigned char *first, size_t length) {
    static const unsigned char next[] = {0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72};
    (void)file;
    return length > 4 && first[0] == 0x08 && first[1] > 0 && first[1] < 0x20 &&
           memchr(next, first[2], sizeof next) != NULL;
}

#ifdef ST_WITH_PROTOBUF
#include "formats/onnx.h"
#include "formats/protobuf.h"

enum { OPSET_FIRST = 7, OPSET_LAST = 24 };

/* ---- names ---- */

/* The two graphs of an If, NULL where there is none. Messages inside each other have an end (protobuf.c). */
static void branches_of(const Onnx__GraphProto *out[2], const Onnx__NodeProto *node) {
    static const char *const names[2] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        bool is_if = node->op_type != NULL && strcmp(node->op_type, "If") == 0;
        const Onnx__AttributeProto *found = is_if ? st_onnx_find_attribute(node, names[i]) : NULL;
        out[i] = found != NULL ? found->g : NULL;
    }
}

static size_t names_of(const Onnx__GraphProto *graph) {
    size_t count = graph->n_input + graph->n_initializer;
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__GraphProto *branches[2];
        branches_of(branches, graph->node[i]);
        count += graph->node[i]->n_output;
        for (int k = 0; k < 2; k++) {
            count += branches[k] != NULL ? names_of(branches[k]) : 0;
        }
    }
    return count;
}

static strata_status make_table(st_onnx *o, strata_error *err) {
    size_t count = names_of(o->graph); /* bounded by what protobuf.c lets in */
    o->capacity = 64;
    while (o->capacity < 2 * count + 2) {
        o->capacity *= 2;
    }
    ST_TRY(st_arena_alloc(&o->values, o->scratch, o->capacity, sizeof *o->values, err));
    return st_arena_alloc(&o->is_done, o->scratch, o->graph->n_node, sizeof *o->is_done, err);
}

static strata_status add_name(st_onnx_value **out, st_onnx *o, const char *name, strata_error *err) {
    *out = st_onnx_find(o, name);
    if ((*out)->name != NULL) {
        return st_fail_file(err, STRATA_FORMAT, o->out->file.path, "two things make '%.64s'", name);
    }
    (*out)->name = name;
    return STRATA_OK;
}

/* maker NULL: the nodes are those of the file; else all is made by the node that holds the graph. */
static strata_status add_names(st_onnx *o, const Onnx__GraphProto *graph, const size_t *maker, strata_error *err) {
    st_onnx_value *value = NULL;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        if (tensor->name == NULL || tensor->name[0] == '\0') {
            return st_fail_file(err, STRATA_FORMAT, o->out->file.path, "initializer %zu has no name", i);
        }
        ST_TRY(add_name(&value, o, tensor->name, err));
        ST_TRY(st_onnx_constant(value, o, tensor, err));
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            if (graph->node[i]->output[k][0] != '\0') {
                ST_TRY(add_name(&value, o, graph->node[i]->output[k], err));
                value->maker = maker != NULL ? *maker : i;
            }
        }
    }
    return STRATA_OK;
}

/* ---- what the output needs ---- */

static void use(st_onnx *o, const char *name, size_t user, bool *is_needed) {
    st_onnx_value *value = st_onnx_find(o, name);
    if (name[0] != '\0' && value->name != NULL) {
        value->uses++;
        value->user = user;
        if (value->kind == ST_ONNX_UNMADE) {
            is_needed[value->maker] = true;
        }
    }
}

/* What a node reads, the graphs inside of it too: which of them will be taken is not known yet. */
static void use_inputs(st_onnx *o, const Onnx__NodeProto *node, size_t user, bool *is_needed) {
    const Onnx__GraphProto *branches[2];
    for (size_t k = 0; k < node->n_input; k++) {
        use(o, node->input[k], user, is_needed);
    }
    branches_of(branches, node);
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; branches[i] != NULL && k < branches[i]->n_node; k++) {
            use_inputs(o, branches[i]->node[k], user, is_needed);
        }
        for (size_t k = 0; branches[i] != NULL && k < branches[i]->n_output; k++) {
            if (branches[i]->output[k]->name != NULL) {
                use(o, branches[i]->output[k]->name, user, is_needed);
            }
        }
    }
}

/* Nodes come in an order in which they can run, so that one walk backwards finds those that are needed. */
static strata_status find_needed(st_onnx *o, strata_error *err) {
    const Onnx__GraphProto *graph = o->graph;
    bool *is_needed = NULL;
    ST_TRY(st_arena_alloc(&is_needed, o->scratch, graph->n_node, sizeof *is_needed, err));
    use(o, graph->output[0]->name, graph->n_node, is_needed);
    for (size_t i = graph->n_node; i > 0; i--) {
        o->is_done[i - 1] = !is_needed[i - 1];
        if (is_needed[i - 1]) {
            use_inputs(o, graph->node[i - 1], i - 1, is_needed);
        }
    }
    return STRATA_OK;
}

/* ---- the input ---- */

static strata_status input_shape(st_onnx_value *value, st_onnx *o, const Onnx__ValueInfoProto *info,
                                 strata_error *err) {
    const char *path = o->out->file.path;
    const Onnx__TypeProto *type = info->type;
    if (type == NULL || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || type->tensor_type->shape == NULL) {
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "its input '%.64s' does not say its size", info->name);
    }
    const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
    if (shape->n_dim < 2 || shape->n_dim > 4) {
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "its input '%.64s' has %zu sides, expected images with 4",
                            info->name, shape->n_dim);
    }
    value->rank = (int)shape->n_dim;
    for (size_t i = 0; i < shape->n_dim; i++) {
        bool is_known = shape->dim[i]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        int64_t side = is_known ? shape->dim[i]->dim_value : 0;
        if (i == 0 && side <= 0) {
            side = 1; /* any number of images */
            o->has_open_images = true;
        } else if (side <= 0) {
            return st_fail_file(err, side < 0 ? STRATA_FORMAT : STRATA_UNSUPPORTED, path,
                                "its input '%.64s' has %s as its side %zu, expected a number above 0", info->name,
                                side < 0 ? "a negative number" : "no number", i + 1);
        }
        if (side > ST_DIMENSION_LIMIT) {
            return st_fail_file(err, STRATA_FORMAT, path, "its input '%.64s' has a side of %" PRId64 ", at most %d",
                                info->name, side, ST_DIMENSION_LIMIT);
        }
        value->shape[i] = side;
    }
    return STRATA_OK;
}

/* Rows, columns, channels, where all that is done with it is to turn it around. */
static bool is_turned(const st_onnx *o, const char *name) {
    bool is_used = false;
    for (size_t i = 0; i < o->graph->n_node; i++) {
        const Onnx__NodeProto *node = o->graph->node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            if (strcmp(node->input[k], name) != 0) {
                continue;
            }
            const Onnx__AttributeProto *perm = st_onnx_find_attribute(node, "perm");
            is_used = true;
            if (node->op_type == NULL || strcmp(node->op_type, "Transpose") != 0 || perm == NULL || perm->n_ints != 4 ||
                perm->ints[1] != 3 || perm->ints[2] != 1 || perm->ints[3] != 2) {
                return false;
            }
        }
    }
    return is_used;
}

/* What strata wrote behind the sizes of its input line: keys and numbers, nothing that would end the line. */
static strata_status take_keys(st_onnx *o, const Onnx__ModelProto *model, strata_error *err) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789=[].+- ";
    enum { MOST = 1000 };
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const char *key = model->metadata_props[i]->key, *value = model->metadata_props[i]->value;
        if (key == NULL || value == NULL || strcmp(key, ST_PAIR_PREPROCESS) != 0) {
            continue;
        }
        if (strlen(value) > MOST || value[strspn(value, allowed)] != '\0') {
            return st_fail_file(err, STRATA_FORMAT, o->out->file.path, "its metadata '%s' are no keys of an input line",
                                ST_PAIR_PREPROCESS);
        }
        o->input_keys = value;
    }
    return STRATA_OK;
}

static strata_status add_input(st_onnx *o, const Onnx__ValueInfoProto *info, strata_error *err) {
    char *layer = NULL;
    st_onnx_value *value = NULL;
    ST_TRY(add_name(&value, o, info->name, err));
    value->kind = ST_ONNX_VALUE;
    ST_TRY(input_shape(value, o, info, err));
    value->is_last = value->rank == 4 && is_turned(o, info->name);
    const int64_t *s = value->shape;
    value->dims = value->rank == 2   ? (st_dims){.h = 1, .w = 1, .c = s[1]}
                  : value->rank == 3 ? (st_dims){.h = 1, .w = s[2], .c = s[1]}
                  : value->is_last   ? (st_dims){.h = s[1], .w = s[2], .c = s[3]}
                                     : (st_dims){.h = s[2], .w = s[3], .c = s[1]};
    o->images = s[0];
    ST_TRY(st_arena_printf(&layer, o->scratch, err, "input %" PRId64 "x%" PRId64 "x%" PRId64 "%s%s", value->dims.h,
                           value->dims.w, value->dims.c, o->input_keys != NULL ? " " : "",
                           o->input_keys != NULL ? o->input_keys : ""));
    return st_net_writer_input(&value->id, o->foreign.writer, layer, err);
}

/* The one input that is not a weight (until version 4 of the format these are listed as inputs too). */
static strata_status add_inputs(st_onnx *o, strata_error *err) {
    const Onnx__ValueInfoProto *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < o->graph->n_input; i++) {
        const Onnx__ValueInfoProto *info = o->graph->input[i];
        if (info->name == NULL || info->name[0] == '\0') {
            return st_fail_file(err, STRATA_FORMAT, o->out->file.path, "its input %zu has no name", i);
        }
        if (st_onnx_find(o, info->name)->name == NULL) {
            found = info;
            count++;
        }
    }
    if (count != 1) {
        return st_fail_file(err, STRATA_UNSUPPORTED, o->out->file.path, "it has %zu inputs%s, expected one: a picture",
                            count, count > 1 ? " that are no weights" : "");
    }
    return add_input(o, found, err);
}

/* ---- the nodes ---- */

static const st_onnx_operator *find_in(const st_onnx_operator *list, const char *name) {
    for (; list->name != NULL; list++) {
        if (strcmp(list->name, name) == 0) {
            return list;
        }
    }
    return NULL;
}

static const st_onnx_operator *find_operator(const char *name) {
    const st_onnx_operator *const lists[] = {st_onnx_layers, st_onnx_pools,  st_onnx_lrn,    st_onnx_functions,
                                             st_onnx_sums,   st_onnx_shapes, st_onnx_samples};
    const st_onnx_operator *found = NULL;
    for (size_t i = 0; i < ST_COUNT_OF(lists) && found == NULL; i++) {
        found = find_in(lists[i], name);
    }
    return found;
}

/* Unknown values make unknown values, so that the list of what is not had holds causes only. */
static bool reads(const st_onnx *o, const Onnx__NodeProto *node, st_onnx_kind kind) {
    for (size_t i = 0; i < node->n_input; i++) {
        if (node->input[i][0] != '\0' && st_onnx_find(o, node->input[i])->kind == kind) {
            return true;
        }
    }
    return false;
}

/* What is always computed away, and so never lacking for its own sake. */
static bool is_folded(const char *name) {
    static const char *const names[] = {"Shape", "Gather", "ConstantOfShape", "Equal", "If"};
    return st_text_is_among(name, names, ST_COUNT_OF(names));
}

static strata_status check_node(const st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    if (node->op_type == NULL || node->op_type[0] == '\0') {
        return st_fail_file(err, STRATA_FORMAT, o->out->file.path, "node %zu has no operator", o->node);
    }
    if (node->n_output == 0 || node->output[0][0] == '\0') {
        return st_onnx_fail(o, err, "it makes nothing");
    }
    return STRATA_OK;
}

static strata_status read_node(st_onnx *o, const Onnx__NodeProto *node, strata_error *err);

/* What a taken graph reads of its own: each has a user, which is no node that could be looked at ahead. */
static void use_inside(st_onnx *o, const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_input; k++) {
            st_onnx_value *value = st_onnx_find(o, graph->node[i]->input[k]);
            if (value->name != NULL && value->uses == 0) {
                value->uses = 1;
                value->user = o->graph->n_node;
            }
        }
    }
}

static void forget_name(st_onnx *o, const char *name) {
    static const char forgotten[] = ""; /* nothing is called so, and its place in the table stays taken */
    st_onnx_value *value = st_onnx_find(o, name);
    if (value->name != NULL) {
        value->name = forgotten;
    }
}

/* Names of a graph inside of a node end with it: the next one may have them too. */
static void forget_names(st_onnx *o, const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_initializer; i++) {
        forget_name(o, graph->initializer[i]->name);
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            if (graph->node[i]->output[k][0] != '\0') {
                forget_name(o, graph->node[i]->output[k]);
            }
        }
    }
}

/* An If whose condition is known is the nodes of one of its graphs, which see all names that the node sees. */
static strata_status read_if(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    const Onnx__GraphProto *branches[2];
    st_onnx_value *condition = NULL;
    ST_TRY(st_onnx_input(&condition, o, node, 0, err));
    if (condition == NULL || condition->kind != ST_ONNX_CONSTANT || condition->ints == NULL ||
        condition->tensor.count != 1) {
        return st_onnx_lack(o, node, "If that depends on the picture");
    }
    if (condition->of_images != 0) {
        return st_onnx_lack(o, node, "If that depends on the number of images");
    }
    branches_of(branches, node);
    const Onnx__GraphProto *taken = branches[condition->ints[0] != 0 ? 0 : 1];
    if (taken == NULL || taken->n_output != node->n_output || taken->output[0]->name == NULL) {
        return st_onnx_fail(o, err, "its graph does not make what the node makes");
    }
    ST_TRY(add_names(o, taken, &o->node, err));
    use_inside(o, taken);
    for (size_t i = 0; i < taken->n_node; i++) {
        ST_TRY(check_node(o, taken->node[i], err));
        ST_TRY(read_node(o, taken->node[i], err));
    }
    const st_onnx_value *made = st_onnx_find(o, taken->output[0]->name);
    if (made->name == NULL || made->kind == ST_ONNX_UNMADE) {
        return st_onnx_fail(o, err, "nothing makes '%.64s'", taken->output[0]->name);
    }
    ST_TRY(st_onnx_output(o, node, made, err));
    forget_names(o, taken);
    return STRATA_OK;
}

static strata_status read_node(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    bool is_plain = node->domain == NULL || node->domain[0] == '\0' || strcmp(node->domain, "ai.onnx") == 0;
    const st_onnx_operator *known = is_plain ? find_operator(node->op_type) : NULL;
    bool did = false;
    for (size_t i = 0; i < node->n_input; i++) {
        st_onnx_value *value = NULL;
        ST_TRY(st_onnx_input(&value, o, node, i, err));
    }
    bool is_unknown = reads(o, node, ST_ONNX_UNKNOWN);
    if (is_plain && !is_unknown) {
        ST_TRY(st_onnx_fold(&did, o, node, err));
    }
    if (did) {
        return STRATA_OK;
    }
    if (is_plain && !is_unknown && strcmp(node->op_type, "If") == 0) {
        return read_if(o, node, err);
    }
    if (known == NULL && !(is_plain && is_unknown && is_folded(node->op_type))) {
        return st_onnx_lack(o, node, "%s%s%s", is_plain ? "" : node->domain, is_plain ? "" : ".", node->op_type);
    }
    if (is_unknown) {
        return st_onnx_output(o, node, &(st_onnx_value){.kind = ST_ONNX_UNKNOWN}, err);
    }
    if (reads(o, node, ST_ONNX_SQUARES)) {
        known = find_in(st_onnx_of_squares, node->op_type);
        return known != NULL ? known->read(o, node, err)
                             : st_onnx_lack(o, node, "%s of squares that is no LRN", node->op_type);
    }
    return known->read(o, node, err);
}

static strata_status read_nodes(st_onnx *o, strata_error *err) {
    for (o->node = 0; o->node < o->graph->n_node; o->node++) {
        ST_TRY(check_node(o, o->graph->node[o->node], err));
        if (!o->is_done[o->node]) {
            ST_TRY(read_node(o, o->graph->node[o->node], err));
        }
    }
    return STRATA_OK;
}

/* ---- the whole ---- */

static strata_status read_output(int *id, st_onnx *o, strata_error *err) {
    const char *name = o->graph->output[0]->name;
    st_onnx_value *value = st_onnx_find(o, name);
    bool can = true;
    if (value->name == NULL || value->kind == ST_ONNX_UNMADE) {
        return st_fail_file(err, STRATA_FORMAT, o->out->file.path, "nothing makes its output '%.64s'", name);
    }
    if (value->kind != ST_ONNX_VALUE) {
        return st_fail_file(err, STRATA_UNSUPPORTED, o->out->file.path, "its output '%.64s' is not of the net: %s",
                            name, value->kind == ST_ONNX_SQUARES ? "squares on the way to an LRN" : "a constant");
    }
    bool is_vector = value->dims.h == 1 && value->dims.w == 1;
    if (value->is_last && !is_vector) { /* the net's would stand in another order */
        return st_fail_file(err, STRATA_UNSUPPORTED, o->out->file.path,
                            "its output '%.64s' has its channels last; a net's stand first", name);
    }
    bool is_normed = value->is_normed && (is_vector || value->is_log); /* not of each pixel for itself */
    if (is_normed) {
        value->is_normed = value->is_log = false;
    }
    ST_TRY(st_onnx_settle(o, value, false, &can, err));
    if (is_normed) {
        st_text_add(&o->note, " The softmax at its end is left out: the output is logits.");
    }
    if (o->graph->n_output > 1) {
        st_text_add(&o->note, " Of its %zu outputs the first, '%.64s', is the net's.", o->graph->n_output, name);
    }
    if (!is_vector || value->is_share) {
        st_net_writer_no_loss(o->foreign.writer);
    }
    *id = value->id;
    return STRATA_OK;
}

static strata_status read_graph(st_onnx *o, strata_error *err) {
    int output = 0;
    const char *path = o->out->file.path;
    if (o->graph->n_output == 0 || o->graph->output[0]->name == NULL) {
        return st_fail_file(err, STRATA_FORMAT, path, "its graph has no output");
    }
    for (size_t i = 0; i < o->graph->n_sparse_initializer; i++) {
        st_lacks_add(&o->lacks, "a weight", "a sparse tensor");
    }
    ST_TRY(make_table(o, err));
    ST_TRY(add_names(o, o->graph, NULL, err));
    ST_TRY(add_inputs(o, err));
    ST_TRY(find_needed(o, err));
    ST_TRY(read_nodes(o, err));
    ST_TRY(st_lacks_check(&o->lacks, path, err));
    ST_TRY(read_output(&output, o, err));
    char *note = NULL, *copy = NULL;
    ST_TRY(st_text_finish(&note, &o->note, err));
    strata_status status = st_arena_text(&copy, o->foreign.arena, note, strlen(note), err);
    strata_text_free(note);
    ST_TRY(status);
    return st_foreign_finish(o->out, &o->foreign, output, copy, err);
}

static strata_status read_opset(st_onnx *o, const Onnx__ModelProto *model, strata_error *err) {
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = model->opset_import[i];
        if (set->domain == NULL || set->domain[0] == '\0' || strcmp(set->domain, "ai.onnx") == 0) {
            o->opset = set->version;
        }
    }
    if (o->opset < OPSET_FIRST || o->opset > OPSET_LAST) {
        return st_fail_file(err, STRATA_UNSUPPORTED, o->out->file.path,
                            "its operators are those of version %" PRId64 " (opset), expected %d to %d", o->opset,
                            OPSET_FIRST, OPSET_LAST);
    }
    return STRATA_OK;
}

/* All values in the form in which strata writes them; else another program has written the file anew, and a hash that
 * it kept says nothing of these bytes. */
static bool is_as_written(const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        if (tensor->n_external_data > 0 || tensor->n_float_data + tensor->n_int64_data + tensor->n_int32_data > 0) {
            return false;
        }
    }
    return true;
}

/* metadata_props of strata's own export come along; the net is always the graph's. */
static strata_status add_metadata(st_weights *out, const Onnx__ModelProto *model, strata_error *err) {
    st_pair *pairs = NULL;
    size_t count = 0;
    ST_TRY(st_arena_alloc(&pairs, out->arena, out->pair_count + model->n_metadata_props, sizeof *pairs, err));
    for (; count < out->pair_count; count++) {
        pairs[count] = out->pairs[count];
    }
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const char *key = model->metadata_props[i]->key, *value = model->metadata_props[i]->value;
        char *copies[2] = {NULL, NULL};
        if (key == NULL || value == NULL || strncmp(key, "strata.", 7) != 0 || strcmp(key, ST_PAIR_NET) == 0 ||
            (strcmp(key, ST_PAIR_PREPROCESS) == 0 && st_weights_metadata(out, key) != NULL) ||
            (strcmp(key, ST_PAIR_HASH) == 0 && !is_as_written(model->graph))) {
            continue;
        }
        ST_TRY(st_arena_text(&copies[0], out->arena, key, strlen(key), err));
        ST_TRY(st_arena_text(&copies[1], out->arena, value, strlen(value), err));
        pairs[count++] = (st_pair){.name = copies[0], .value = copies[1]};
    }
    out->pairs = pairs;
    out->pair_count = count;
    return STRATA_OK;
}

/* What the hash of strata's own export covers: the bytes of all initializers, in the order of the file. */
static strata_status list_hashed(st_weights *out, const Onnx__GraphProto *graph, strata_error *err) {
    enum { RAW = 9 };
    st_tensor *list = NULL;
    if (st_weights_metadata(out, ST_PAIR_HASH) == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_arena_alloc(&list, out->arena, graph->n_initializer, sizeof *list, err));
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *from = graph->initializer[i];
        uint64_t length = 0;
        char *copy = NULL;
        list[i] = (st_tensor){.name = "", .stored = ST_STORED_U8};
        if (st_protobuf_in_file(&from->base, RAW, &list[i].offset, &length)) {
            list[i].count = (size_t)length;
            continue;
        }
        ST_TRY(st_arena_text(&copy, out->arena, (const char *)from->raw_data.data, from->raw_data.len, err));
        list[i].bytes = (const unsigned char *)copy;
        list[i].count = from->raw_data.len;
    }
    out->hashed = list;
    out->hashed_count = graph->n_initializer;
    return STRATA_OK;
}

static strata_status read_model(st_weights *out, st_arena *arena, strata_error *err) {
    ProtobufCMessage *message = NULL;
    char comment[192], producer[96];
    ST_TRY(st_protobuf_read(&message, arena, &out->file, &onnx__model_proto__descriptor, err));
    const Onnx__ModelProto *model = (const Onnx__ModelProto *)(const void *)message;
    st_onnx o = {.out = out, .graph = model->graph, .scratch = arena, .foreign = {.arena = out->arena}};
    if (model->graph == NULL) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path, "it holds no graph, expected an ONNX model");
    }
    ST_TRY(read_opset(&o, model, err));
    ST_TRY(take_keys(&o, model, err));
    const char *name = model->producer_name != NULL ? model->producer_name : "";
    st_text_printable(producer, sizeof producer, name, strlen(name));
    snprintf(comment, sizeof comment, "%s%.64s, from ONNX with operators of version %" PRId64 ".",
             producer[0] != '\0' ? "Made by " : "Made", producer, o.opset);
    const char *title = model->graph->name != NULL ? model->graph->name : "";
    ST_TRY(st_net_writer_create(&o.foreign.writer, out->arena, title, comment, err));
    st_text_add(&o.note, "%s", comment);
    strata_status status = read_graph(&o, err);
    st_text_free(&o.note);
    status = status == STRATA_OK ? add_metadata(out, model, err) : status;
    return status == STRATA_OK ? list_hashed(out, model->graph, err) : status;
}

static strata_status read_file(st_weights *out, strata_error *err) {
    st_arena *arena = NULL; /* of the unpacked message */
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = read_model(out, arena, err);
    st_arena_free(arena);
    return status;
}
#else
static strata_status read_file(st_weights *out, strata_error *err) {
    return st_fail_file(err, STRATA_UNSUPPORTED, out->file.path,
                        "it is an ONNX model, and this program was built without protobuf-c, which reads it");
}
#endif

const st_format st_format_onnx = {
    .name = "ONNX", .ending = ".onnx", .probe = probe, .read = read_file, .write = st_onnx_write};
