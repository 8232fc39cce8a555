/* ONNX: names and what they stand for, attributes of nodes, constants. */
#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/onnx.h"
#include "formats/protobuf.h"
#include "formats/table.h"

/* ---- nodes ---- */

static const char *text_of(const char *text) {
    return text != NULL ? text : "";
}

strata_status st_onnx_fail(const st_onnx *o, strata_error *err, const char *format, ...) {
    const Onnx__NodeProto *node = o->graph->node[o->node];
    char message[256];
    const char *name = text_of(node->name);
    va_list values;
    va_start(values, format);
    st_text_print(message, sizeof message, format, values);
    va_end(values);
    return st_fail_file(err, STRATA_FORMAT, o->out->file.path, "node %zu (%.40s%s%.64s%s): %s", o->node,
                        text_of(node->op_type), name[0] != '\0' ? " '" : "", name, name[0] != '\0' ? "'" : "", message);
}

strata_status st_onnx_lack(st_onnx *o, const Onnx__NodeProto *node, const char *format, ...) {
    char what[ST_LACK_TEXT], where[ST_LACK_TEXT];
    va_list values;
    va_start(values, format);
    st_text_print(what, sizeof what, format, values);
    va_end(values);
    const char *name = text_of(node->name);
    if (name[0] != '\0') {
        snprintf(where, sizeof where, "node '%.40s'", name);
    } else {
        snprintf(where, sizeof where, "node %zu", o->node);
    }
    st_lacks_add(&o->lacks, where, "%s", what);
    return st_onnx_output(o, node, &(st_onnx_value){.kind = ST_ONNX_UNKNOWN}, NULL);
}

const Onnx__AttributeProto *st_onnx_find_attribute(const Onnx__NodeProto *node, const char *name) {
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (strcmp(text_of(node->attribute[i]->name), name) == 0) {
            return node->attribute[i];
        }
    }
    return NULL;
}

int64_t st_onnx_int(const Onnx__NodeProto *node, const char *name, int64_t standard) {
    const Onnx__AttributeProto *found = st_onnx_find_attribute(node, name);
    return found != NULL && found->has_i ? found->i : standard;
}

double st_onnx_real(const Onnx__NodeProto *node, const char *name, double standard) {
    const Onnx__AttributeProto *found = st_onnx_find_attribute(node, name);
    return found != NULL && found->has_f ? (double)found->f : standard;
}

strata_status st_onnx_ints(int64_t *out, size_t count, const st_onnx *o, const Onnx__NodeProto *node, const char *name,
                           int64_t standard, strata_error *err) {
    const Onnx__AttributeProto *found = st_onnx_find_attribute(node, name);
    bool is_there = found != NULL && found->n_ints > 0;
    if (is_there && found->n_ints != count) {
        return st_onnx_fail(o, err, "'%s' has %zu numbers, expected %zu", name, found->n_ints, count);
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = is_there ? found->ints[i] : standard;
    }
    return STRATA_OK;
}

/* ---- values ---- */

st_onnx_value *st_onnx_find(const st_onnx *o, const char *name) {
    uint64_t hash = 1469598103934665603U; /* FNV-1a */
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 1099511628211U;
    }
    size_t i = (size_t)(hash ^ (hash >> 32)) & (o->capacity - 1);
    while (o->values[i].name != NULL && strcmp(o->values[i].name, name) != 0) {
        i = (i + 1) & (o->capacity - 1);
    }
    return &o->values[i];
}

strata_status st_onnx_input(st_onnx_value **out, st_onnx *o, const Onnx__NodeProto *node, size_t index,
                            strata_error *err) {
    *out = NULL;
    if (index >= node->n_input || node->input[index][0] == '\0') {
        return STRATA_OK;
    }
    st_onnx_value *value = st_onnx_find(o, node->input[index]);
    if (value->name == NULL) {
        return st_onnx_fail(o, err, "it reads '%.64s', which nothing makes", node->input[index]);
    }
    if (value->kind == ST_ONNX_UNMADE) {
        return st_onnx_fail(o, err, "it reads '%.64s', which is made by node %zu: a cycle, or nodes out of order",
                            node->input[index], value->maker);
    }
    *out = value;
    return STRATA_OK;
}

strata_status st_onnx_output(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *value, strata_error *err) {
    for (size_t i = 0; i < node->n_output; i++) {
        st_onnx_value *out = st_onnx_find(o, node->output[i]);
        if (node->output[i][0] == '\0' || (i > 0 && out->uses == 0 && value->kind != ST_ONNX_UNKNOWN)) {
            continue;
        }
        if (i > 0 && value->kind != ST_ONNX_UNKNOWN) {
            return st_onnx_fail(o, err, "its output %zu, '%.64s', is read, and strata has only the first", i + 1,
                                node->output[i]);
        }
        const st_onnx_value before = *out;
        *out = *value;
        out->name = before.name;
        out->uses = before.uses;
        out->user = before.user;
        out->maker = before.maker;
    }
    o->is_done[o->node] = true;
    return STRATA_OK;
}

strata_status st_onnx_step(st_onnx_value *out, st_onnx *o, const char *layer, const char *wish,
                           st_onnx_value *const *inputs, size_t count, strata_error *err) {
    int *ids = NULL;
    ST_TRY(st_arena_alloc(&ids, o->foreign.arena, count, sizeof *ids, err));
    for (size_t i = 0; i < count; i++) {
        ids[i] = inputs[i]->id;
    }
    out->kind = ST_ONNX_VALUE;
    return st_net_writer_step(&out->id, o->foreign.writer, layer, wish, ids, count, err);
}

strata_status st_onnx_settle(st_onnx *o, st_onnx_value *value, bool needs_flat, bool *can, strata_error *err) {
    *can = !value->is_log;
    if (value->is_normed && *can) {
        ST_TRY(st_onnx_step(value, o, "softmax", NULL, &value, 1, err));
        value->is_normed = false;
        value->is_share = true;
    }
    if (value->has_pad) {
        char layer[128];
        if (st_graph_find_op("pad") == NULL) {
            *can = false;
            return STRATA_OK;
        }
        snprintf(layer, sizeof layer, "pad top=%" PRId64 " left=%" PRId64 " bottom=%" PRId64 " right=%" PRId64,
                 value->pad[0], value->pad[1], value->pad[2], value->pad[3]);
        ST_TRY(st_onnx_step(value, o, layer, NULL, &value, 1, err));
        value->has_pad = false;
    }
    if (needs_flat && value->is_joined) {
        if (value->is_last) {
            *can = false;
            return STRATA_OK;
        }
        ST_TRY(st_onnx_step(value, o, "flatten", NULL, &value, 1, err));
        value->is_joined = false;
        value->dims = (st_dims){.h = 1, .w = 1, .c = value->shape[1]};
    }
    return STRATA_OK;
}

int st_onnx_channel_axis(const st_onnx_value *value) {
    return value->is_joined ? -1 : value->is_last ? value->rank - 1 : 1;
}

/* ---- constants ---- */

static uint32_t bits_of(float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Bytes of the tensor's own list, as the file would have them in raw_data. */
static strata_status pack(unsigned char **out, st_onnx *o, const Onnx__TensorProto *tensor, size_t size, size_t count,
                          strata_error *err) {
    unsigned char *bytes = NULL;
    ST_TRY(st_arena_alloc(&bytes, o->foreign.arena, count, size, err));
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        switch (tensor->data_type) {
        case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
            bits = bits_of(tensor->float_data[i]);
            break;
        case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
            memcpy(&bits, &tensor->double_data[i], sizeof bits);
            break;
        case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
            bits = (uint64_t)tensor->int64_data[i];
            break;
        case ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
        case ONNX__TENSOR_PROTO__DATA_TYPE__UINT64:
            bits = tensor->uint64_data[i];
            break;
        default:
            bits = (uint64_t)(uint32_t)tensor->int32_data[i];
            break;
        }
        st_stored_put(bytes + i * size, size, bits);
    }
    *out = bytes;
    return STRATA_OK;
}

/* How many values the list for this type holds. */
static size_t listed(const Onnx__TensorProto *tensor) {
    switch (tensor->data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        return tensor->n_float_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        return tensor->n_double_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        return tensor->n_int64_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT64:
        return tensor->n_uint64_data;
    default:
        return tensor->n_int32_data;
    }
}

static bool stored_of(st_stored *out, int32_t type) {
    static const struct {
        int32_t type;
        st_stored stored;
    } known[] = {{ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, ST_STORED_F32},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, ST_STORED_U8},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__INT8, ST_STORED_I8},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__UINT16, ST_STORED_U16},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__INT16, ST_STORED_I16},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__INT32, ST_STORED_I32},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__INT64, ST_STORED_I64},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, ST_STORED_BOOL},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, ST_STORED_F16},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, ST_STORED_F64},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__UINT32, ST_STORED_U32},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__UINT64, ST_STORED_U64},
                 {ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16, ST_STORED_BF16}};
    for (size_t i = 0; i < ST_COUNT_OF(known); i++) {
        if (known[i].type == type) {
            *out = known[i].stored;
            return true;
        }
    }
    return false;
}

static strata_status tensor_sides(st_onnx_value *out, const st_onnx *o, const Onnx__TensorProto *tensor,
                                  strata_error *err) {
    const char *path = o->out->file.path, *name = text_of(tensor->name);
    size_t count = 1;
    if (tensor->n_dims > ST_ONNX_RANK_MAX) {
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "tensor '%.64s': more than %d sides", name,
                            ST_ONNX_RANK_MAX);
    }
    out->rank = (int)tensor->n_dims;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        out->shape[i] = tensor->dims[i];
        if (tensor->dims[i] < 0 || !st_size_mul(count, (size_t)tensor->dims[i], &count)) {
            return st_fail_file(err, STRATA_FORMAT, path, "tensor '%.64s': side %zu is %" PRId64 "%s", name, i,
                                tensor->dims[i], tensor->dims[i] < 0 ? "" : ", and the product of its sides overflows");
        }
    }
    out->tensor = (st_tensor){.name = name, .rank = out->rank, .count = count};
    return STRATA_OK;
}

/* The values: in the file, in the message, or in a list of the message. */
static strata_status tensor_data(st_onnx_value *out, st_onnx *o, const Onnx__TensorProto *tensor, strata_error *err) {
    enum { FLOATS = 4, RAW = 9, DOUBLES = 10 };
    st_tensor *to = &out->tensor;
    uint64_t length = 0, wanted = 0;
    size_t bytes = 0, size = st_stored_size(to->stored), found = 0;
    const char *path = o->out->file.path;
    bool fits = st_size_mul(to->count, size, &bytes);
    wanted = bytes;
    uint32_t list = to->stored == ST_STORED_F32 ? FLOATS : to->stored == ST_STORED_F64 ? DOUBLES : RAW;
    if (tensor->has_data_location && tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        return st_onnx_external(to, o->out, tensor, fits ? wanted : UINT64_MAX, err);
    }
    bool in_file = st_protobuf_in_file(&tensor->base, RAW, &to->offset, &length) ||
                   st_protobuf_in_file(&tensor->base, list, &to->offset, &length);
    if (in_file) {
        found = (size_t)length;
    } else if (tensor->has_raw_data) {
        found = tensor->raw_data.len;
    } else {
        found = listed(tensor) * size; /* a list in memory, of at most 8 bytes a value */
    }
    if (!fits || found != wanted) {
        return st_fail_file(err, STRATA_FORMAT, path,
                            "tensor '%.64s': its sides make %zu values of type %s, found %zu bytes", to->name,
                            to->count, st_stored_name(to->stored), found);
    }
    if (!in_file && tensor->has_raw_data) {
        char *copy = NULL;
        ST_TRY(st_arena_text(&copy, o->foreign.arena, (const char *)tensor->raw_data.data, tensor->raw_data.len, err));
        to->bytes = (const unsigned char *)copy;
    } else if (!in_file) {
        unsigned char *copy = NULL;
        ST_TRY(pack(&copy, o, tensor, size, to->count, err));
        to->bytes = copy;
    }
    return STRATA_OK;
}

strata_status st_onnx_constant(st_onnx_value *out, st_onnx *o, const Onnx__TensorProto *tensor, strata_error *err) {
    int64_t *dims = NULL, *ints = NULL;
    ST_TRY(tensor_sides(out, o, tensor, err));
    if (!stored_of(&out->tensor.stored, tensor->data_type)) {
        return st_fail_file(err, STRATA_UNSUPPORTED, o->out->file.path,
                            "tensor '%.64s': values of the type %d of ONNX, expected numbers", out->tensor.name,
                            tensor->data_type);
    }
    ST_TRY(tensor_data(out, o, tensor, err));
    ST_TRY(st_arena_alloc(&dims, o->foreign.arena, (size_t)out->rank, sizeof *dims, err));
    memcpy(dims, out->shape, (size_t)out->rank * sizeof *dims);
    out->tensor.dims = dims;
    if (!st_stored_is_real(out->tensor.stored) && out->tensor.count <= ST_ONNX_INTS_MOST) {
        ST_TRY(st_arena_alloc(&ints, o->foreign.arena, out->tensor.count, sizeof *ints, err));
        ST_TRY(st_weights_read_integers(o->out, &out->tensor, ints, err));
        out->ints = ints;
    }
    out->kind = ST_ONNX_CONSTANT;
    return STRATA_OK;
}

strata_status st_onnx_doubles(double **out, const st_onnx *o, const st_tensor *tensor, strata_error *err) {
    ST_TRY(st_arena_alloc(out, o->foreign.arena, tensor->count, sizeof **out, err));
    return st_weights_read_doubles(o->out, tensor, 0, tensor->count, *out, err);
}

strata_status st_onnx_number(double *out, st_onnx *o, const st_onnx_value *value, strata_error *err) {
    if (value->kind != ST_ONNX_CONSTANT || value->tensor.count != 1) {
        return st_onnx_fail(o, err, "'%.64s' is not one number", value->name);
    }
    return st_weights_read_doubles(o->out, &value->tensor, 0, 1, out, err);
}

strata_status st_onnx_vector(st_tensor *out, st_onnx *o, const double *values, size_t count, strata_error *err) {
    unsigned char *bytes = NULL;
    int64_t *dims = NULL;
    ST_TRY(st_arena_alloc(&bytes, o->foreign.arena, count, sizeof(float), err));
    ST_TRY(st_arena_alloc(&dims, o->foreign.arena, 1, sizeof *dims, err));
    for (size_t i = 0; i < count; i++) {
        st_stored_put(bytes + i * sizeof(float), sizeof(float), bits_of((float)values[i]));
    }
    dims[0] = (int64_t)count;
    *out = (st_tensor){.stored = ST_STORED_F32, .rank = 1, .dims = dims, .count = count, .bytes = bytes};
    return STRATA_OK;
}

strata_status st_onnx_whole(st_onnx_value *out, st_onnx *o, const int64_t *values, int rank, const int64_t *shape,
                            strata_error *err) {
    unsigned char *bytes = NULL;
    int64_t *ints = NULL, *dims = NULL;
    size_t count = 1;
    *out = (st_onnx_value){.kind = ST_ONNX_CONSTANT, .rank = rank};
    ST_TRY(st_arena_alloc(&dims, o->foreign.arena, (size_t)rank, sizeof *dims, err));
    for (int i = 0; i < rank; i++) {
        out->shape[i] = dims[i] = shape[i];
        count *= (size_t)shape[i];
    }
    ST_TRY(st_arena_alloc(&bytes, o->foreign.arena, count, sizeof *values, err));
    ST_TRY(st_arena_alloc(&ints, o->foreign.arena, count, sizeof *ints, err));
    for (size_t i = 0; i < count; i++) {
        ints[i] = values[i];
        st_stored_put(bytes + i * sizeof *values, sizeof *values, (uint64_t)values[i]);
    }
    out->ints = ints;
    out->tensor =
        (st_tensor){.name = "", .stored = ST_STORED_I64, .rank = rank, .dims = dims, .count = count, .bytes = bytes};
    return STRATA_OK;
}

/* ---- names for people ---- */

/* The part of a weight's name before what says that it is the weight. */
static size_t stem_of(const char *name) {
    static const char *const ends[] = {"weight", "gamma", "scale", "kernel", "_w", "W", "w"};
    size_t length = strlen(name);
    for (size_t i = 0; i < ST_COUNT_OF(ends); i++) {
        size_t end = strlen(ends[i]);
        if (length > end && strcmp(name + length - end, ends[i]) == 0) {
            length -= end;
            break;
        }
    }
    while (length > 0 && strchr("._/:-", name[length - 1]) != NULL) {
        length--;
    }
    return length;
}

/* "/layer1/layer1.0/conv1/Conv", as torch names nodes, is layer1.0.conv1. */
static strata_status module_of(const char **out, st_onnx *o, const char *name, strata_error *err) {
    st_text text = {0};
    const char *before = "";
    size_t before_length = 0;
    for (const char *at = name + 1; strchr(at, '/') != NULL;) {
        size_t length = strcspn(at, "/");
        bool goes_on = before_length > 0 && length > before_length && memcmp(at, before, before_length) == 0 &&
                       at[before_length] == '.';
        const char *part = goes_on ? at + before_length + 1 : at;
        st_text_add(&text, "%s%.*s", text.length > 0 ? "." : "", (int)(length - (size_t)(part - at)), part);
        before = at;
        before_length = length;
        at += length + 1;
    }
    char *whole = NULL, *copy = NULL;
    ST_TRY(st_text_finish(&whole, &text, err));
    strata_status status = st_arena_text(&copy, o->foreign.arena, whole, strlen(whole), err);
    strata_text_free(whole);
    *out = copy != NULL && copy[0] != '\0' ? copy : NULL;
    return status;
}

strata_status st_onnx_wish(const char **out, st_onnx *o, const Onnx__NodeProto *node, const char *weight,
                           strata_error *err) {
    const char *name = text_of(node->name);
    *out = NULL;
    bool is_number = strspn(weight, "0123456789") == strlen(weight) || strncmp(weight, "onnx::", 6) == 0;
    if (!is_number) {
        char *copy = NULL;
        ST_TRY(st_arena_text(&copy, o->foreign.arena, weight, stem_of(weight), err));
        *out = copy[0] != '\0' ? copy : NULL;
        return STRATA_OK;
    }
    if (name[0] == '/') {
        return module_of(out, o, name, err);
    }
    if (strpbrk(name, "0123456789") == NULL || strspn(name, "0123456789") == strlen(name)) {
        return STRATA_OK; /* "Conv", "12" */
    }
    char *copy = NULL;
    ST_TRY(st_arena_text(&copy, o->foreign.arena, name, strlen(name), err));
    *out = copy;
    return STRATA_OK;
}
#endif
