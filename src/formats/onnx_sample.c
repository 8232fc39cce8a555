/* What residual networks for CIFAR have as their shortcut without weights, in ONNX's words: a Slice that takes every
 * so many-th row and column, and a Pad that puts channels of zeros around the others. */
#include "formats/table.h"

#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <stdio.h>

#include "formats/onnx.h"

enum { WORDS = 64 };

typedef struct slice {
    const int64_t *starts, *ends, *axes, *steps; /* [count]; axes and steps may be NULL */
    size_t count;
} slice;

/* A list of whole numbers: an input of new operators, an attribute of old ones. */
static strata_status list_of(const int64_t **out, size_t *count, st_onnx *o, const Onnx__NodeProto *node, size_t input,
                             const char *name, strata_error *err) {
    st_onnx_value *value = NULL;
    const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, name);
    *out = NULL;
    *count = 0;
    if (o->opset < 10 && attribute != NULL) {
        *out = attribute->ints;
        *count = attribute->n_ints;
        return STRATA_OK;
    }
    ST_TRY(st_onnx_input(&value, o, node, input, err));
    if (value != NULL && value->kind == ST_ONNX_CONSTANT) {
        *out = value->ints;
        *count = value->ints != NULL ? value->tensor.count : 0;
    }
    return STRATA_OK;
}

static strata_status read_lists(slice *out, st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    size_t ends = 0, axes = 0, steps = 0;
    ST_TRY(list_of(&out->starts, &out->count, o, node, 1, "starts", err));
    ST_TRY(list_of(&out->ends, &ends, o, node, 2, "ends", err));
    ST_TRY(list_of(&out->axes, &axes, o, node, 3, "axes", err));
    ST_TRY(list_of(&out->steps, &steps, o, node, 4, "steps", err));
    bool is_whole = ends == out->count && (out->axes == NULL ? node->n_input < 4 : axes == out->count) &&
                    (out->steps == NULL ? node->n_input < 5 : steps == out->count);
    out->count = is_whole ? out->count : 0;
    return STRATA_OK;
}

/* Whether it takes every stride-th row and column, from the first to the last, and all of the rest. */
static bool is_sampling(const slice *s, const st_onnx_value *in, int64_t stride[2]) {
    enum { MOST = 64 };
    for (size_t i = 0; i < s->count; i++) {
        int64_t axis = s->axes != NULL ? s->axes[i] : (int64_t)i, step = s->steps != NULL ? s->steps[i] : 1;
        axis = axis < 0 ? axis + in->rank : axis;
        if (axis < 0 || axis >= in->rank || s->starts[i] != 0 || step < 1 || step > MOST) {
            return false;
        }
        int64_t size = axis == 0 ? INT32_MAX : in->shape[axis];
        if (s->ends[i] < size || (axis < 2 && step != 1)) {
            return false;
        }
        stride[axis < 2 ? 0 : axis - 2] *= step;
    }
    return s->count > 0;
}

static strata_status put_subsample(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, const char *layer,
                                   st_dims dims, strata_error *err) {
    st_onnx_value out = {.rank = 4, .dims = dims, .shape = {in->shape[0], dims.c, dims.h, dims.w}};
    ST_TRY(st_onnx_step(&out, o, layer, NULL, &in, 1, err));
    return st_onnx_output(o, node, &out, err);
}

static strata_status read_slice(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    char layer[WORDS];
    slice s = {.count = 0};
    st_onnx_value *in = NULL;
    int64_t stride[2] = {1, 1};
    bool can = true;
    ST_TRY(st_onnx_input(&in, o, node, 0, err));
    ST_TRY(read_lists(&s, o, node, err));
    if (in == NULL) {
        return st_onnx_fail(o, err, "it has no input");
    }
    if (in->kind != ST_ONNX_VALUE || in->rank != 4 || in->is_joined || in->is_last || !is_sampling(&s, in, stride)) {
        return st_onnx_lack(o, node, "Slice other than of every so many-th row");
    }
    if (stride[0] == 1 && stride[1] == 1) {
        return st_onnx_output(o, node, in, err);
    }
    ST_TRY(st_onnx_settle(o, in, false, &can, err));
    if (!can) {
        return st_onnx_lack(o, node, "Slice behind a LogSoftmax");
    }
    st_dims d = in->dims;
    snprintf(layer, sizeof layer, "subsample %" PRId64 " stride=%" PRId64 "x%" PRId64, d.c, stride[0], stride[1]);
    d.h = (d.h + stride[0] - 1) / stride[0];
    d.w = (d.w + stride[1] - 1) / stride[1];
    return put_subsample(o, node, in, layer, d, err);
}

strata_status st_onnx_pad_channels(bool *did, st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in,
                                   const int64_t *pads, strata_error *err) {
    char layer[WORDS];
    bool can = true;
    *did = false;
    for (int i = 0; i < 8; i++) {
        can = can && (i == 1 || i == 5 || pads[i] == 0);
    }
    /* subsample puts half of the new channels before the others, rounded down */
    if (!can || in->rank != 4 || in->is_joined || in->is_last || pads[1] < 0 || pads[5] < pads[1] ||
        pads[5] > pads[1] + 1 || pads[5] > ST_DIMENSION_LIMIT / 4) {
        return STRATA_OK;
    }
    ST_TRY(st_onnx_settle(o, in, false, &can, err));
    if (!can) {
        return STRATA_OK;
    }
    st_dims d = in->dims;
    d.c += pads[1] + pads[5];
    snprintf(layer, sizeof layer, "subsample %" PRId64, d.c);
    *did = true;
    return put_subsample(o, node, in, layer, d, err);
}

const st_onnx_operator st_onnx_samples[] = {{"Slice", read_slice}, {NULL, NULL}};
#endif
