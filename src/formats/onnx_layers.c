/* ONNX: operators that are layers with weights or windows. */
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

/* ---- windows ---- */

typedef struct window {
    int64_t kernel[2], stride[2], dilation[2], pad[4]; /* pad: top, left, bottom, right */
} window;

static bool auto_pad(window *out, const Onnx__NodeProto *node, st_dims in) {
    const Onnx__AttributeProto *found = st_onnx_find_attribute(node, "auto_pad");
    const int64_t size[2] = {in.h, in.w};
    if (found == NULL || !found->has_s || found->s.len == 0) {
        return false;
    }
    bool is_upper = found->s.len == 10 && memcmp(found->s.data, "SAME_UPPER", 10) == 0;
    bool is_lower = found->s.len == 10 && memcmp(found->s.data, "SAME_LOWER", 10) == 0;
    bool is_valid = found->s.len == 5 && memcmp(found->s.data, "VALID", 5) == 0;
    for (int i = 0; i < 2 && (is_upper || is_lower || is_valid); i++) {
        int64_t count = (size[i] - 1) / out->stride[i] + 1;
        int64_t reach = (out->kernel[i] - 1) * out->dilation[i] + 1;
        int64_t total = (count - 1) * out->stride[i] + reach - size[i];
        total = total > 0 && !is_valid ? total : 0;
        out->pad[i] = is_upper ? total / 2 : total - total / 2;
        out->pad[i + 2] = total - out->pad[i];
    }
    return is_upper || is_lower || is_valid;
}

static strata_status read_window(window *out, const st_onnx *o, const Onnx__NodeProto *node, st_dims in,
                                 strata_error *err) {
    enum { MOST = 1 << 16 };
    ST_TRY(st_onnx_ints(out->stride, 2, o, node, "strides", 1, err));
    ST_TRY(st_onnx_ints(out->dilation, 2, o, node, "dilations", 1, err));
    ST_TRY(st_onnx_ints(out->pad, 4, o, node, "pads", 0, err));
    for (int i = 0; i < 4; i++) {
        bool is_good = out->pad[i] >= 0 && out->pad[i] <= MOST && out->kernel[i % 2] > 0 &&
                       out->kernel[i % 2] <= MOST && out->stride[i % 2] > 0 && out->stride[i % 2] <= MOST &&
                       out->dilation[i % 2] > 0 && out->dilation[i % 2] <= MOST;
        if (!is_good) {
            return st_onnx_fail(o, err,
                                "a window of %" PRId64 " with stride %" PRId64 ", dilation %" PRId64 " and pad %" PRId64
                                ", expected 1 to %d (pad: 0)",
                                out->kernel[i % 2], out->stride[i % 2], out->dilation[i % 2], out->pad[i], MOST);
        }
    }
    auto_pad(out, node, in);
    return STRATA_OK;
}

/* Values with rows and columns as ONNX has them in front of a window. */
static bool is_picture(const st_onnx_value *in) {
    return in->rank == 4 && !in->is_last && !in->is_joined;
}

/* ---- convolution ---- */

/* Zeros that differ from side to side: a step of their own, unless `pad=same` has the same. */
static strata_status settle_pads(bool *is_same, bool *can, st_onnx *o, st_onnx_value *in, window *w,
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
    window w;
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
    if (in == NULL || in->kind != ST_ONNX_VALUE || !is_picture(in) || weight->rank != 4) {
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
    ST_TRY(read_window(&w, o, node, in->dims, err));
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

static strata_status read_lrn(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    char layer[WORDS], alpha[ST_FOREIGN_NUMBER], beta[ST_FOREIGN_NUMBER], k[ST_FOREIGN_NUMBER];
    int64_t size = st_onnx_int(node, "size", 0);
    st_foreign_number(alpha, (float)st_onnx_real(node, "alpha", 1e-4));
    st_foreign_number(beta, (float)st_onnx_real(node, "beta", 0.75));
    st_foreign_number(k, (float)st_onnx_real(node, "bias", 1));
    if (size < 1 || size > 255 || size % 2 == 0) {
        return st_onnx_lack(o, node, "LRN over %" PRId64 " channels", size);
    }
    st_onnx_value *in = NULL;
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL || !is_picture(in)) {
        return in != NULL ? st_onnx_lack(o, node, "LRN not of channels") : STRATA_OK;
    }
    snprintf(layer, sizeof layer, "lrn %" PRId64 " alpha=%s beta=%s k=%s", size, alpha, beta, k);
    return st_onnx_put_function(o, node, in, layer, err);
}

/* ---- pooling ---- */

static strata_status put_pool(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, const char *layer,
                              st_dims dims, strata_error *err) {
    st_onnx_value out = {.rank = 4, .dims = dims, .shape = {in->shape[0], dims.c, dims.h, dims.w}};
    ST_TRY(st_onnx_step(&out, o, layer, NULL, &in, 1, err));
    return st_onnx_output(o, node, &out, err);
}

/* How many windows fit: of ONNX, whose last window of ceil_mode may not begin behind the image. */
static int64_t windows(const window *w, int64_t size, int i, bool is_ceil) {
    int64_t room = size + w->pad[i] + w->pad[i + 2] - w->kernel[i];
    int64_t count = room < 0 ? 0 : (room + (is_ceil ? w->stride[i] - 1 : 0)) / w->stride[i] + 1;
    return is_ceil && count > 1 && (count - 1) * w->stride[i] >= size + w->pad[i] ? count - 1 : count;
}

static strata_status read_pool(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    bool is_mean = node->op_type[0] == 'A', is_ceil = st_onnx_int(node, "ceil_mode", 0) != 0;
    st_onnx_value *in = NULL;
    st_foreign_axis axes[2];
    window w;
    char words[ST_FOREIGN_WORDS], layer[ST_FOREIGN_WORDS + 64];
    ST_TRY(st_onnx_take(&in, o, node, err));
    const Onnx__AttributeProto *kernel = st_onnx_find_attribute(node, "kernel_shape");
    if (in == NULL || !is_picture(in) || kernel == NULL || kernel->n_ints != 2) {
        return in != NULL ? st_onnx_lack(o, node, "%s not of rows and columns", node->op_type) : STRATA_OK;
    }
    w.kernel[0] = kernel->ints[0];
    w.kernel[1] = kernel->ints[1];
    ST_TRY(read_window(&w, o, node, in->dims, err));
    const int64_t size[2] = {in->dims.h, in->dims.w};
    for (int i = 0; i < 2; i++) {
        axes[i] = (st_foreign_axis){.size = size[i],
                                    .kernel = w.kernel[i],
                                    .stride = w.stride[i],
                                    .before = w.pad[i],
                                    .after = w.pad[i + 2],
                                    .count = windows(&w, size[i], i, is_ceil)};
        if (axes[i].count < 1) {
            return st_onnx_fail(o, err, "its window is larger than the %" PRId64 "x%" PRId64 " that it sees",
                                in->dims.h, in->dims.w);
        }
    }
    bool counts = is_mean && st_onnx_int(node, "count_include_pad", 0) != 0;
    bool skips = is_mean && !counts && w.pad[0] + w.pad[1] + w.pad[2] + w.pad[3] > 0;
    if (w.dilation[0] != 1 || w.dilation[1] != 1 || !st_foreign_pool(words, axes, counts)) {
        return st_onnx_lack(o, node, "%s with %s", node->op_type,
                            w.dilation[0] != 1 || w.dilation[1] != 1 ? "dilation" : "this padding");
    }
    snprintf(layer, sizeof layer, "%s %s%s", is_mean ? "avgpool" : "maxpool", words,
             skips && strcmp(words, "global") != 0 ? " exclude_pad=yes" : "");
    return put_pool(o, node, in, layer, (st_dims){.h = axes[0].count, .w = axes[1].count, .c = in->dims.c}, err);
}

static strata_status read_global_pool(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL || !is_picture(in)) {
        return in != NULL ? st_onnx_lack(o, node, "%s not of rows and columns", node->op_type) : STRATA_OK;
    }
    const char *layer = strcmp(node->op_type, "GlobalMaxPool") == 0 ? "maxpool global" : "avgpool global";
    return put_pool(o, node, in, layer, (st_dims){.h = 1, .w = 1, .c = in->dims.c}, err);
}

/* A bit for each axis that a ReduceMean of a value of this rank goes over; all of them: none is named. Axes in the
 * attribute, or from version 18 on in the second input. */
static strata_status mean_axes(unsigned *out, st_onnx *o, const Onnx__NodeProto *node, int rank, strata_error *err) {
    const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, "axes");
    st_onnx_value *list = NULL;
    ST_TRY(st_onnx_input(&list, o, node, 1, err));
    const int64_t *axes = list != NULL ? list->ints : attribute != NULL ? attribute->ints : NULL;
    size_t count = list != NULL ? list->tensor.count : attribute != NULL ? attribute->n_ints : 0;
    *out = axes == NULL || count == 0 ? ~0U : 0;
    for (size_t i = 0; axes != NULL && i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        *out = axis >= 0 && axis < rank ? *out | 1U << axis : ~0U;
    }
    return STRATA_OK;
}

/* The only user of what `node` makes, where it is a ReduceMean too. */
static const Onnx__NodeProto *next_mean(const st_onnx *o, const Onnx__NodeProto *node, size_t *place) {
    const st_onnx_value *output = st_onnx_find(o, node->output[0]);
    if (output->uses != 1 || output->user >= o->graph->n_node) {
        return NULL;
    }
    const Onnx__NodeProto *user = o->graph->node[output->user];
    *place = output->user;
    return user->op_type != NULL && strcmp(user->op_type, "ReduceMean") == 0 && user->n_input > 0 &&
                   strcmp(user->input[0], node->output[0]) == 0
               ? user
               : NULL;
}

/* Over rows and columns, by one node or, as x.mean(3).mean(2) is written, by two. */
static strata_status read_reduce_mean(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    const Onnx__NodeProto *last = node;
    unsigned found = 0, second = 0;
    size_t place = 0;
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    ST_TRY(mean_axes(&found, o, node, in->rank, err));
    bool keeps = st_onnx_int(node, "keepdims", 1) != 0, is_picture_like = in->rank == 4 && !in->is_joined;
    int rows = in->is_last ? 1 : 2;
    unsigned both = 3U << rows;
    if (is_picture_like && (found == 1U << rows || found == 2U << rows)) {
        const Onnx__NodeProto *next = next_mean(o, node, &place);
        bool keeps_next = next != NULL && st_onnx_int(next, "keepdims", 1) != 0;
        if (next != NULL && keeps == keeps_next) {
            ST_TRY(mean_axes(&second, o, next, keeps ? 4 : 3, err));
            unsigned wanted = keeps ? both & ~found : 1U << rows; /* the other one; without the first it is at `rows` */
            last = second == wanted ? next : node;
            found = second == wanted ? both : found;
        }
    }
    if (!is_picture_like || found != both) {
        return st_onnx_lack(o, node, "ReduceMean not over rows and columns");
    }
    int64_t n = in->shape[0], c = in->dims.c;
    st_onnx_value out = {.rank = 4, .dims = {.h = 1, .w = 1, .c = c}, .shape = {n, c, 1, 1}, .is_last = in->is_last};
    if (!keeps) {
        out.rank = 2;
        out.is_last = false;
    } else if (in->is_last) {
        out.shape[1] = 1;
        out.shape[3] = c;
    }
    ST_TRY(st_onnx_step(&out, o, "avgpool global", NULL, &in, 1, err));
    if (last != node) {
        o->is_done[place] = true;
        ST_TRY(st_onnx_output(o, last, &out, err));
    }
    return st_onnx_output(o, node, &out, err);
}

const st_onnx_operator st_onnx_layers[] = {{"Conv", read_conv},
                                           {"Gemm", read_gemm},
                                           {"MatMul", read_matmul},
                                           {"BatchNormalization", read_batch_norm},
                                           {"LRN", read_lrn},
                                           {"MaxPool", read_pool},
                                           {"AveragePool", read_pool},
                                           {"GlobalAveragePool", read_global_pool},
                                           {"GlobalMaxPool", read_global_pool},
                                           {"ReduceMean", read_reduce_mean},
                                           {NULL, NULL}};
#endif
