/* ONNX: operators that are layers with weights. */
#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/onnx.h"

enum { WORDS = 192, CHANNELS_MOST = 1 << 24 };

/* ---- weights ---- */

/* A constant among the inputs; *out NULL: the node has gone into the list. */
static strata_status take_weight(st_onnx_value **out, st_onnx *o, const Onnx__NodeProto *node, size_t index,
                                 strata_error *err) {
    ST_TRY(st_onnx_input(out, o, node, index, err));
    if (*out == NULL) {
        return st_onnx_fail(o, err, "its input %zu is missing", index);
    }
    if ((*out)->kind != ST_ONNX_CONSTANT || !st_stored_is_real((*out)->tensor.stored)) {
        bool is_constant = (*out)->kind == ST_ONNX_CONSTANT;
        *out = NULL;
        return st_onnx_lack(o, node, "%s with %s", node->op_type,
                            is_constant ? "weights of whole numbers" : "computed weights");
    }
    return STRATA_OK;
}

/* A vector of `count`, also where sides of 1 surround it. */
static strata_status put_vector(st_onnx *o, int step, const char *word, const st_onnx_value *value, int64_t count,
                                strata_error *err) {
    st_tensor vector = value->tensor;
    const int64_t dims[1] = {count};
    if (vector.count != (size_t)count) {
        return st_onnx_fail(o, err, "'%.64s' has %zu values, expected %" PRId64, value->name, vector.count, count);
    }
    vector.rank = 1;
    vector.dims = dims;
    if (vector.strides != NULL && value->rank > 1) {
        double *values = NULL;
        ST_TRY(st_onnx_doubles(&values, o, &value->tensor, err));
        ST_TRY(st_onnx_vector(&vector, o, values, (size_t)count, err));
    }
    return st_foreign_state_add(&o->foreign, step, word, &vector, err);
}

static strata_status put_numbers(st_onnx *o, int step, const char *word, const double *values, int64_t count,
                                 strata_error *err) {
    st_tensor vector;
    ST_TRY(st_onnx_vector(&vector, o, values, (size_t)count, err));
    return st_foreign_state_add(&o->foreign, step, word, &vector, err);
}

/* ---- convolution ---- */

/* Zeros that differ from side to side: a step of their own, unless `pad=same` has the same. */
static strata_status settle_pads(bool *is_same, bool *can, st_onnx *o, st_onnx_value *in, st_onnx_window *w,
                                 strata_error *err) {
    const int64_t size[2] = {in->dims.h, in->dims.w};
    *can = *is_same = true;
    if (w->pad[0] == w->pad[2] && w->pad[1] == w->pad[3]) {
        *is_same = false;
        return STRATA_OK;
    }
    for (int i = 0; i < 2; i++) {
        int64_t total =
            ((size[i] - 1) / w->stride[i]) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 - size[i];
        total = total > 0 ? total : 0;
        *is_same = *is_same && w->pad[i] == total / 2 && w->pad[i + 2] == total - total / 2;
    }
    if (*is_same) {
        return STRATA_OK;
    }
    memcpy(in->pad, w->pad, sizeof in->pad);
    in->has_pad = true;
    in->dims.h += w->pad[0] + w->pad[2];
    in->dims.w += w->pad[1] + w->pad[3];
    memset(w->pad, 0, sizeof w->pad);
    return st_onnx_settle(o, in, false, can, err);
}

static strata_status put_conv(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, st_foreign_conv *conv,
                              const st_onnx_value *weight, st_onnx_value *bias, bool is_same, strata_error *err) {
    char layer[ST_FOREIGN_WORDS];
    const char *wish = NULL;
    double *added = NULL;
    const Onnx__NodeProto *last = node;
    st_onnx_value out = {.rank = 4, .dims.c = conv->filters};
    if (!is_same && !st_foreign_conv_dims(&out.dims, conv, in->dims)) {
        return st_onnx_fail(o, err, "its window is larger than the %" PRId64 "x%" PRId64 " that it sees", in->dims.h,
                            in->dims.w);
    }
    if (is_same) {
        out.dims.h = (in->dims.h - 1) / conv->stride[0] + 1;
        out.dims.w = (in->dims.w - 1) / conv->stride[1] + 1;
    }
    out.shape[0] = in->shape[0];
    out.shape[1] = out.dims.c;
    out.shape[2] = out.dims.h;
    out.shape[3] = out.dims.w;
    if (bias == NULL) {
        ST_TRY(st_onnx_take_add(&added, o, node, &out, &last, err));
    }
    conv->has_bias = bias != NULL || added != NULL;
    st_foreign_conv_words(layer, conv);
    if (is_same) {
        char plain[ST_FOREIGN_WORDS];
        snprintf(plain, sizeof plain, "%s", layer);
        snprintf(layer, sizeof layer, "%.120s pad=same", plain);
    }
    ST_TRY(st_onnx_wish(&wish, o, node, weight->name, err));
    ST_TRY(st_onnx_step(&out, o, layer, wish, &in, 1, err));
    ST_TRY(st_foreign_state_add(&o->foreign, out.id, "weight", &weight->tensor, err));
    if (bias != NULL) {
        ST_TRY(put_vector(o, out.id, "bias", bias, conv->filters, err));
    } else if (added != NULL) {
        ST_TRY(put_numbers(o, out.id, "bias", added, conv->filters, err));
    }
    ST_TRY(st_onnx_output(o, node, &out, err));
    return last != node ? st_onnx_output(o, last, &out, err) : STRATA_OK;
}

static strata_status read_conv(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *weight = NULL, *bias = NULL;
    st_onnx_window w;
    bool is_same = false, can = true;
    ST_TRY(st_onnx_input(&in, o, node, 0, err));
    ST_TRY(take_weight(&weight, o, node, 1, err));
    if (weight == NULL) {
        return STRATA_OK;
    }
    if (node->n_input > 2 && node->input[2][0] != '\0') {
        ST_TRY(take_weight(&bias, o, node, 2, err));
        if (bias == NULL) {
            return STRATA_OK;
        }
    }
    if (in == NULL || in->kind != ST_ONNX_VALUE || !st_onnx_is_picture(in) || weight->rank != 4) {
        return st_onnx_lack(o, node, "Conv over %d sides", weight->rank - 2);
    }
    w.kernel[0] = weight->shape[2];
    w.kernel[1] = weight->shape[3];
    const Onnx__AttributeProto *kernel = st_onnx_find_attribute(node, "kernel_shape");
    if (kernel != NULL && kernel->n_ints > 0 &&
        (kernel->n_ints != 2 || kernel->ints[0] != w.kernel[0] || kernel->ints[1] != w.kernel[1])) {
        return st_onnx_fail(o, err, "its kernel_shape is not that of its weight, %" PRId64 "x%" PRId64, w.kernel[0],
                            w.kernel[1]);
    }
    if (in->is_normed) {
        ST_TRY(st_onnx_settle(o, in, false, &can, err));
    }
    st_onnx_value padded = *in;
    padded.is_share = false;
    ST_TRY(st_onnx_read_window(&w, o, node, in->dims, err));
    if (padded.has_pad) { /* a Pad before it becomes the convolution's own */
        padded.has_pad = false;
        padded.dims.h -= in->pad[0] + in->pad[2];
        padded.dims.w -= in->pad[1] + in->pad[3];
        for (int i = 0; i < 4; i++) {
            w.pad[i] += in->pad[i];
        }
    }
    ST_TRY(settle_pads(&is_same, &can, o, &padded, &w, err));
    st_foreign_conv conv = {.kernel = {w.kernel[0], w.kernel[1]},
                            .stride = {w.stride[0], w.stride[1]},
                            .pad = {w.pad[0], w.pad[1]},
                            .dilation = {w.dilation[0], w.dilation[1]},
                            .filters = weight->shape[0],
                            .groups = st_onnx_int(node, "group", 1)};
    if (conv.groups < 1 || conv.groups > CHANNELS_MOST || conv.filters < 1 || conv.filters > CHANNELS_MOST ||
        padded.dims.c % conv.groups != 0 || conv.filters % conv.groups != 0 ||
        weight->shape[1] != padded.dims.c / conv.groups) {
        return st_onnx_fail(o, err, "%" PRId64 " channels, weights for %" PRId64 " in %" PRId64 " groups",
                            padded.dims.c, weight->shape[1], conv.groups);
    }
    if (!can) {
        return st_onnx_lack(o, node, "Conv with zeros on one side");
    }
    if (is_same) {
        conv.pad[0] = conv.pad[1] = 0;
    }
    return put_conv(o, node, &padded, &conv, weight, bias, is_same, err);
}

/* ---- dense layers ---- */

/* Weights as [outputs][inputs], by strides where the file has the other order. */
static strata_status put_fc(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, const st_onnx_value *weight,
                            bool is_turned, const double *bias, const Onnx__NodeProto *last, double factor,
                            strata_error *err) {
    st_tensor tensor = weight->tensor;
    int64_t rows = weight->shape[is_turned ? 1 : 0], columns = weight->shape[is_turned ? 0 : 1];
    const int64_t dims[2] = {rows, columns};
    int64_t *strides = NULL;
    char layer[WORDS];
    const char *wish = NULL;
    st_onnx_value out = {.rank = 2, .shape = {in->shape[0], rows}, .dims = {.h = 1, .w = 1, .c = rows}};
    if (factor != 1) {
        double *values = NULL;
        ST_TRY(st_onnx_doubles(&values, o, &weight->tensor, err));
        for (size_t i = 0; i < tensor.count; i++) {
            values[i] *= factor;
        }
        ST_TRY(st_onnx_vector(&tensor, o, values, tensor.count, err));
    }
    if (is_turned || tensor.strides != NULL) {
        bool has = tensor.strides != NULL;
        int64_t step[2] = {has ? tensor.strides[0] : weight->shape[1], has ? tensor.strides[1] : 1};
        ST_TRY(st_arena_alloc(&strides, o->foreign.arena, 2, sizeof *strides, err));
        strides[0] = step[is_turned ? 1 : 0];
        strides[1] = step[is_turned ? 0 : 1];
        tensor.strides = strides;
    }
    tensor.rank = 2;
    tensor.dims = dims;
    tensor.is_channels_last = in->is_joined && in->is_last;
    snprintf(layer, sizeof layer, "fc %" PRId64 "%s", rows, bias != NULL ? "" : " bias=no");
    ST_TRY(st_onnx_wish(&wish, o, node, weight->name, err));
    ST_TRY(st_onnx_step(&out, o, layer, wish, &in, 1, err));
    ST_TRY(st_foreign_state_add(&o->foreign, out.id, "weight", &tensor, err));
    if (bias != NULL) {
        ST_TRY(put_numbers(o, out.id, "bias", bias, rows, err));
    }
    ST_TRY(st_onnx_output(o, node, &out, err));
    return last != node ? st_onnx_output(o, last, &out, err) : STRATA_OK;
}

/* What a dense layer sees: a side of images and one of features. */
static strata_status take_features(st_onnx_value **in, st_onnx_value **weight, st_onnx *o, const Onnx__NodeProto *node,
                                   strata_error *err) {
    *in = *weight = NULL;
    ST_TRY(st_onnx_take(in, o, node, err));
    if (*in == NULL) {
        return STRATA_OK;
    }
    ST_TRY(take_weight(weight, o, node, 1, err));
    if (*weight != NULL && ((*in)->rank != 2 || (*weight)->rank != 2)) {
        *weight = NULL;
        return st_onnx_lack(o, node, "%s of %d sides", node->op_type, (*in)->rank);
    }
    return STRATA_OK;
}

static strata_status check_columns(const st_onnx *o, const st_onnx_value *in, const st_onnx_value *weight,
                                   bool is_turned, strata_error *err) {
    int64_t columns = weight->shape[is_turned ? 0 : 1], rows = weight->shape[is_turned ? 1 : 0];
    if (columns != in->shape[1] || rows < 1 || rows > CHANNELS_MOST) {
        return st_onnx_fail(o, err, "%" PRId64 " features, weights for %" PRId64 " and %" PRId64 " outputs",
                            in->shape[1], columns, rows);
    }
    return STRATA_OK;
}

static strata_status read_gemm(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *weight = NULL, *bias = NULL;
    double alpha = st_onnx_real(node, "alpha", 1), beta = st_onnx_real(node, "beta", 1), *values = NULL;
    bool is_turned = st_onnx_int(node, "transB", 0) == 0;
    ST_TRY(take_features(&in, &weight, o, node, err));
    if (in == NULL || weight == NULL) {
        return STRATA_OK;
    }
    if (st_onnx_int(node, "transA", 0) != 0) {
        return st_onnx_lack(o, node, "Gemm with transA");
    }
    ST_TRY(check_columns(o, in, weight, is_turned, err));
    if (node->n_input > 2 && node->input[2][0] != '\0') {
        ST_TRY(take_weight(&bias, o, node, 2, err));
        if (bias == NULL) {
            return STRATA_OK;
        }
        int64_t rows = weight->shape[is_turned ? 1 : 0];
        const st_onnx_value like = {.rank = 2, .shape = {in->shape[0], rows}, .dims = {.h = 1, .w = 1, .c = rows}};
        ST_TRY(st_onnx_per_channel(&values, o, bias, &like, err));
        if (values == NULL) {
            return st_onnx_lack(o, node, "Gemm with a bias for each image");
        }
        for (int64_t i = 0; i < rows; i++) {
            values[i] *= beta;
        }
    }
    return put_fc(o, node, in, weight, is_turned, values, node, alpha, err);
}

static strata_status read_matmul(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *weight = NULL;
    double *bias = NULL;
    const Onnx__NodeProto *last = node;
    ST_TRY(take_features(&in, &weight, o, node, err));
    if (in == NULL || weight == NULL) {
        return STRATA_OK;
    }
    ST_TRY(check_columns(o, in, weight, true, err));
    int64_t rows = weight->shape[1];
    const st_onnx_value like = {.rank = 2, .shape = {in->shape[0], rows}, .dims = {.h = 1, .w = 1, .c = rows}};
    ST_TRY(st_onnx_take_add(&bias, o, node, &like, &last, err));
    return put_fc(o, node, in, weight, true, bias, last, 1, err);
}

/* ---- normalization ---- */

static strata_status read_batch_norm(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    static const char *const words[] = {"weight", "bias", "running_mean", "running_var"};
    char layer[WORDS], number[ST_FOREIGN_NUMBER];
    const char *wish = NULL;
    st_onnx_value *in = NULL, *states[ST_COUNT_OF(words)];
    ST_TRY(st_onnx_take(&in, o, node, err));
    for (size_t i = 0; in != NULL && i < ST_COUNT_OF(words); i++) {
        ST_TRY(take_weight(&states[i], o, node, i + 1, err));
        if (states[i] == NULL) {
            return STRATA_OK;
        }
    }
    if (in == NULL) {
        return STRATA_OK;
    }
    if (st_onnx_int(node, "training_mode", 0) != 0 || in->is_joined || in->is_last) {
        return st_onnx_lack(o, node, "BatchNormalization %s",
                            in->is_joined || in->is_last ? "not of channels" : "in training");
    }
    st_foreign_number(number, (float)st_onnx_real(node, "epsilon", 1e-5));
    snprintf(layer, sizeof layer, "bn%s%s",
             strcmp(number, "1e-05") == 0 ? "" : " eps=", strcmp(number, "1e-05") == 0 ? "" : number);
    st_onnx_value out = *in;
    out.is_share = false;
    ST_TRY(st_onnx_wish(&wish, o, node, states[0]->name, err));
    ST_TRY(st_onnx_step(&out, o, layer, wish, &in, 1, err));
    for (size_t i = 0; i < ST_COUNT_OF(words); i++) {
        ST_TRY(put_vector(o, out.id, words[i], states[i], in->dims.c, err));
    }
    return st_onnx_output(o, node, &out, err);
}

const st_onnx_operator st_onnx_layers[] = {{"Conv", read_conv},
                                           {"Gemm", read_gemm},
                                           {"MatMul", read_matmul},
                                           {"BatchNormalization", read_batch_norm},
                                           {NULL, NULL}};
#endif
