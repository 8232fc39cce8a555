/* ONNX: operators that work on each element, or on each place: one value in, one out. */
#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/onnx.h"

enum { WORDS = 192 };

strata_status st_onnx_take(st_onnx_value **in, st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    bool can = true;
    ST_TRY(st_onnx_input(in, o, node, 0, err));
    if (*in == NULL) {
        return st_onnx_fail(o, err, "it has no input");
    }
    if ((*in)->kind == ST_ONNX_VALUE) {
        ST_TRY(st_onnx_settle(o, *in, false, &can, err));
    }
    if ((*in)->kind != ST_ONNX_VALUE || !can) {
        *in = NULL;
        return st_onnx_lack(o, node, can ? "%s of a constant" : "%s behind a LogSoftmax", node->op_type);
    }
    return STRATA_OK;
}

strata_status st_onnx_put_function(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, const char *layer,
                                   strata_error *err) {
    st_onnx_value out = *in;
    char word[32];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(layer, " "), layer);
    if (st_graph_find_op(word) == NULL) {
        return st_onnx_lack(o, node, "%s", node->op_type);
    }
    out.is_share = false;
    ST_TRY(st_onnx_step(&out, o, layer, NULL, &in, 1, err));
    return st_onnx_output(o, node, &out, err);
}

static strata_status read_function(st_onnx *o, const Onnx__NodeProto *node, const char *layer, strata_error *err) {
    st_onnx_value *in = NULL;
    ST_TRY(st_onnx_take(&in, o, node, err));
    return in != NULL ? st_onnx_put_function(o, node, in, layer, err) : STRATA_OK;
}

static strata_status read_relu(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    return read_function(o, node, "relu", err);
}

static strata_status read_tanh(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    return read_function(o, node, "tanh", err);
}

static strata_status read_sigmoid(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    return read_function(o, node, "sigmoid", err);
}

static strata_status read_hard_swish(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    return read_function(o, node, "hard_swish", err);
}

static strata_status read_leaky_relu(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    char layer[WORDS], number[ST_FOREIGN_NUMBER];
    st_foreign_number(number, (float)st_onnx_real(node, "alpha", 0.01));
    snprintf(layer, sizeof layer, "leaky_relu %s", number);
    return read_function(o, node, layer, err);
}

static strata_status read_hard_sigmoid(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    char layer[WORDS], slope[ST_FOREIGN_NUMBER], shift[ST_FOREIGN_NUMBER];
    st_foreign_number(slope, (float)st_onnx_real(node, "alpha", 0.2));
    st_foreign_number(shift, (float)st_onnx_real(node, "beta", 0.5));
    snprintf(layer, sizeof layer, "hard_sigmoid slope=%s shift=%s", slope, shift);
    return read_function(o, node, layer, err);
}

/* One end of Clip: an attribute until version 10, then an input. */
static strata_status read_end(double *out, st_onnx *o, const Onnx__NodeProto *node, const char *name, size_t index,
                              strata_error *err) {
    st_onnx_value *value = NULL;
    *out = st_onnx_real(node, name, *out);
    ST_TRY(st_onnx_input(&value, o, node, index, err));
    return value != NULL ? st_onnx_number(out, o, value, err) : STRATA_OK;
}

static strata_status read_clip(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    const double far = 1e30; /* and beyond: no end */
    char layer[WORDS], low[ST_FOREIGN_NUMBER], high[ST_FOREIGN_NUMBER];
    double least = -2 * far, most = 2 * far;
    ST_TRY(read_end(&least, o, node, "min", 1, err));
    ST_TRY(read_end(&most, o, node, "max", 2, err));
    if (least == 0 && most >= far) {
        return read_function(o, node, "relu", err);
    }
    st_foreign_number(low, (float)(least > -far ? least : -far));
    st_foreign_number(high, (float)(most < far ? most : far));
    snprintf(layer, sizeof layer, least < 0 ? "clip min=%s max=%s" : "clip %s %s", low, high);
    return read_function(o, node, layer, err);
}

static strata_status read_dropout(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    char layer[WORDS], number[ST_FOREIGN_NUMBER];
    double ratio = st_onnx_real(node, "ratio", 0.5);
    st_onnx_value *in = NULL, *given = NULL;
    ST_TRY(st_onnx_input(&given, o, node, 2, err));
    if (given != NULL && (given->ints == NULL || given->tensor.count != 1 || given->ints[0] != 0)) {
        return st_onnx_lack(o, node, "Dropout in training");
    }
    ST_TRY(st_onnx_input(&given, o, node, 1, err));
    if (given != NULL && given->kind == ST_ONNX_CONSTANT) {
        ST_TRY(st_onnx_number(&ratio, o, given, err));
    }
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL || !(ratio > 0 && ratio < 1)) {
        return in != NULL ? st_onnx_output(o, node, in, err) : STRATA_OK;
    }
    st_foreign_number(number, (float)ratio);
    snprintf(layer, sizeof layer, "dropout %s", number);
    return st_onnx_put_function(o, node, in, layer, err);
}

/* The net has it only where something is done with what comes of it: its output is logits. */
static strata_status read_softmax(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    bool can = true;
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    int64_t axis = st_onnx_int(node, "axis", o->opset < 13 ? 1 : -1);
    axis = axis < 0 ? axis + in->rank : axis;
    ST_TRY(st_onnx_settle(o, in, true, &can, err));
    bool is_vector = in->dims.h == 1 && in->dims.w == 1; /* until version 13 all sides from the axis on count as one */
    if (!can || axis != st_onnx_channel_axis(in) || (o->opset < 13 && !is_vector)) {
        return st_onnx_lack(o, node, "%s over axis %" PRId64 " of %d", node->op_type, axis, in->rank);
    }
    st_onnx_value out = *in;
    out.is_normed = true;
    out.is_log = node->op_type[0] == 'L';
    return st_onnx_output(o, node, &out, err);
}

const st_onnx_operator st_onnx_functions[] = {{"Relu", read_relu},
                                              {"Tanh", read_tanh},
                                              {"Sigmoid", read_sigmoid},
                                              {"LeakyRelu", read_leaky_relu},
                                              {"HardSigmoid", read_hard_sigmoid},
                                              {"HardSwish", read_hard_swish},
                                              {"Clip", read_clip},
                                              {"Dropout", read_dropout},
                                              {"Softmax", read_softmax},
                                              {"LogSoftmax", read_softmax},
                                              {NULL, NULL}};
#endif
