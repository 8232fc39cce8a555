/* ONNX: local response normalization (Krizhevsky et al. 2012, 3.3), as LRN, and as the chain that PyTorch exports:
 *
 *   x / (k + alpha * mean(x^2 over `size` channels))^beta
 *
 * where the mean is an AveragePool over three sides behind an Unsqueeze or a Reshape, and zeros are put around it by a
 * Pad or by the AveragePool itself. A value of the chain is ST_ONNX_SQUARES; the layer comes into the net where the
 * chain ends. */
#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/onnx.h"

enum { WORDS = 192, SIZE_MOST = 255, CHANNEL_SIDE = 2 /* of the five */ };

static bool is_size(int64_t size) {
    return size >= 1 && size <= SIZE_MOST && size % 2 == 1;
}

static strata_status put_lrn(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, const st_onnx_squares *squares,
                             strata_error *err) {
    char layer[WORDS], alpha[ST_FOREIGN_NUMBER], beta[ST_FOREIGN_NUMBER], k[ST_FOREIGN_NUMBER];
    if (!is_size(squares->size)) {
        return st_onnx_lack(o, node, "LRN over %" PRId64 " channels", squares->size);
    }
    st_foreign_number(alpha, (float)squares->alpha);
    st_foreign_number(beta, (float)squares->beta);
    st_foreign_number(k, (float)squares->k);
    snprintf(layer, sizeof layer, "lrn %" PRId64 " alpha=%s beta=%s k=%s", squares->size, alpha, beta, k);
    return st_onnx_put_function(o, node, in, layer, err);
}

static strata_status read_lrn(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    const st_onnx_squares all = {.size = st_onnx_int(node, "size", 0),
                                 .alpha = st_onnx_real(node, "alpha", 1e-4),
                                 .beta = st_onnx_real(node, "beta", 0.75),
                                 .k = st_onnx_real(node, "bias", 1)};
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL || !st_onnx_is_picture(in)) {
        return in != NULL ? st_onnx_lack(o, node, "LRN not of channels") : STRATA_OK;
    }
    return put_lrn(o, node, in, &all, err);
}

/* ---- the chain ---- */

/* Squares that are as `from`, but for what `now` says and their sides. */
static strata_status put_squares(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *from,
                                 const st_onnx_squares *now, strata_error *err) {
    st_onnx_value out = *from;
    st_onnx_squares *kept = NULL;
    ST_TRY(st_arena_alloc(&kept, o->scratch, 1, sizeof *kept, err));
    *kept = *now;
    out.kind = ST_ONNX_SQUARES;
    out.squares = kept;
    return st_onnx_output(o, node, &out, err);
}

strata_status st_onnx_begin_squares(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *value,
                                    strata_error *err) {
    const st_onnx_squares begun = {.of = value, .alpha = 1, .beta = 1};
    return put_squares(o, node, value, &begun, err);
}

/* x * x alone is a layer of its own: an AveragePool over three sides must follow. */
bool st_onnx_is_chain(const st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *value) {
    enum { STEPS_MOST = 8 };
    static const char *const between[] = {"Unsqueeze", "Reshape", "Pad", "Identity", "Cast"};
    for (int i = 0; i < STEPS_MOST && st_onnx_is_picture(value); i++) {
        const st_onnx_value *output = st_onnx_find(o, node->output[0]);
        if (output->name == NULL || output->uses != 1 || output->user >= o->graph->n_node) {
            return false;
        }
        node = o->graph->node[output->user];
        if (node->op_type == NULL || node->n_output == 0) {
            return false;
        }
        if (strcmp(node->op_type, "AveragePool") == 0) {
            const Onnx__AttributeProto *kernel = st_onnx_find_attribute(node, "kernel_shape");
            return kernel != NULL && kernel->n_ints == 3;
        }
        if (!st_text_is_among(node->op_type, between, ST_COUNT_OF(between))) {
            return false;
        }
    }
    return false;
}

/* A constant of one number that gives `in` no more sides. */
static bool is_number(const st_onnx_value *constant, const st_onnx_value *in) {
    return constant->kind == ST_ONNX_CONSTANT && constant->tensor.count == 1 && constant->rank <= in->rank;
}

static strata_status read_power(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *exponent = NULL;
    double power = 0;
    ST_TRY(st_onnx_take(&in, o, node, err));
    ST_TRY(st_onnx_input(&exponent, o, node, 1, err));
    if (in != NULL && exponent != NULL && is_number(exponent, in)) {
        ST_TRY(st_onnx_number(&power, o, exponent, err));
    }
    if (in == NULL || power != 2 || !st_onnx_is_picture(in)) {
        return in != NULL ? st_onnx_lack(o, node, "Pow") : STRATA_OK;
    }
    return st_onnx_begin_squares(o, node, in, err);
}

static strata_status lack(st_onnx *o, const Onnx__NodeProto *node) {
    return st_onnx_lack(o, node, "%s of squares that is no LRN", node->op_type);
}

/* The squares among two inputs, and the other one. */
static strata_status take_two(st_onnx_value **squares, st_onnx_value **other, bool *is_first, st_onnx *o,
                              const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in[2] = {NULL, NULL};
    for (size_t i = 0; i < 2; i++) {
        ST_TRY(st_onnx_input(&in[i], o, node, i, err));
    }
    if (in[0] == NULL || in[1] == NULL || node->n_input != 2) {
        return st_onnx_fail(o, err, "it has %zu inputs, expected 2", node->n_input);
    }
    *is_first = in[0]->kind == ST_ONNX_SQUARES;
    *squares = in[*is_first ? 0 : 1];
    *other = in[*is_first ? 1 : 0];
    return STRATA_OK;
}

strata_status st_onnx_squares_shape(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in, int rank,
                                    const int64_t *shape, strata_error *err) {
    const st_dims of = in->squares->of->dims;
    int64_t channels = of.c + in->squares->before + in->squares->after;
    st_onnx_value out = *in;
    /* rows and columns may stand in one side or two: the mean goes over channels only */
    bool is_five =
        rank == 5 && shape[0] == in->shape[0] && shape[1] == 1 && shape[2] == channels && in->squares->size == 0;
    bool is_four = rank == 4 && shape[0] == in->shape[0] && shape[1] == channels;
    if (!is_five && !is_four) {
        return lack(o, node);
    }
    out.rank = rank;
    memcpy(out.shape, shape, (size_t)rank * sizeof *shape);
    return st_onnx_output(o, node, &out, err);
}

/* The first input, squares of which no mean is taken yet. *in NULL: the node has gone into the list. */
static strata_status take_squares(st_onnx_value **in, st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    ST_TRY(st_onnx_input(in, o, node, 0, err));
    if (*in == NULL || (*in)->kind != ST_ONNX_SQUARES || (*in)->squares->size != 0) {
        *in = NULL;
        return lack(o, node);
    }
    return STRATA_OK;
}

static strata_status pad_squares(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    st_onnx_pads pads;
    ST_TRY(take_squares(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_onnx_read_pads(&pads, o, node, in->rank, err));
    if (!pads.is_known) {
        return lack(o, node);
    }
    st_onnx_value out = *in;
    st_onnx_squares now = *in->squares;
    for (int i = 0; i < in->rank; i++) {
        int64_t before = pads.sides[i], after = pads.sides[i + in->rank];
        if ((before != 0 || after != 0) && (in->rank != 5 || i != CHANNEL_SIDE)) {
            return lack(o, node);
        }
        now.before += before;
        now.after += after;
        out.shape[i] += before + after;
    }
    if (now.before > SIZE_MOST || now.after > SIZE_MOST) {
        return lack(o, node);
    }
    return put_squares(o, node, &out, &now, err);
}

static bool all_are(const int64_t *values, size_t count, int64_t number) {
    for (size_t i = 0; i < count; i++) {
        if (values[i] != number) {
            return false;
        }
    }
    return true;
}

static strata_status mean_of_squares(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    const Onnx__AttributeProto *kernel = st_onnx_find_attribute(node, "kernel_shape");
    const Onnx__AttributeProto *automatic = st_onnx_find_attribute(node, "auto_pad");
    st_onnx_value *in = NULL;
    int64_t strides[3], dilations[3], pads[6];
    ST_TRY(take_squares(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    if (in->rank != 5 || kernel == NULL || kernel->n_ints != 3) {
        return lack(o, node);
    }
    ST_TRY(st_onnx_ints(strides, 3, o, node, "strides", 1, err));
    ST_TRY(st_onnx_ints(dilations, 3, o, node, "dilations", 1, err));
    ST_TRY(st_onnx_ints(pads, 6, o, node, "pads", 0, err));
    st_onnx_squares now = *in->squares;
    bool is_known = all_are(kernel->ints + 1, 2, 1) && all_are(strides, 3, 1) && all_are(dilations, 3, 1) &&
                    all_are(pads + 1, 2, 0) && all_are(pads + 4, 2, 0) && pads[0] >= 0 && pads[0] <= SIZE_MOST &&
                    pads[3] == pads[0] &&
                    (automatic == NULL || (automatic->s.len == 6 && memcmp(automatic->s.data, "NOTSET", 6) == 0));
    bool counts = pads[0] == 0 || st_onnx_int(node, "count_include_pad", 0) != 0;
    if (!is_known || !counts) {
        return lack(o, node);
    }
    now.size = kernel->ints[0];
    now.before += pads[0];
    now.after += pads[3];
    if (!is_size(now.size)) {
        return st_onnx_lack(o, node, "LRN over %" PRId64 " channels", now.size);
    }
    if (now.before != now.size / 2 || now.after != now.size / 2) {
        return lack(o, node);
    }
    now.before = now.after = 0;
    st_onnx_value out = *in;
    out.shape[CHANNEL_SIDE] = now.of->dims.c;
    return put_squares(o, node, &out, &now, err);
}

static bool is_finite(double value) {
    return isfinite((float)value);
}

/* Nothing may stand between the power and the division. */
static strata_status finish(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *value, const st_onnx_value *in,
                            bool divides, strata_error *err) {
    st_onnx_squares now = *in->squares;
    const st_onnx_value *of = now.of;
    bool is_same = value->id == of->id && !value->has_pad && !value->is_normed && st_onnx_is_picture(value) &&
                   in->rank == 4 && memcmp(value->shape, in->shape, 4 * sizeof *in->shape) == 0;
    now.beta = divides ? now.beta : -now.beta;
    if (!is_same || now.size == 0 || !(now.alpha >= 0 && now.beta > 0 && now.k > 0) || !is_finite(now.alpha) ||
        !is_finite(now.beta) || !is_finite(now.k)) {
        return lack(o, node);
    }
    return put_lrn(o, node, value, &now, err);
}

static strata_status scale_squares(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *other = NULL;
    double number = 1;
    bool is_first = false, divides = node->op_type[0] == 'D';
    ST_TRY(take_two(&in, &other, &is_first, o, node, err));
    if (other->kind == ST_ONNX_VALUE && !(divides && is_first)) {
        return finish(o, node, other, in, divides, err);
    }
    st_onnx_squares now = *in->squares;
    if (!is_number(other, in) || now.has_k || now.has_beta || (divides && !is_first)) {
        return lack(o, node);
    }
    ST_TRY(st_onnx_number(&number, o, other, err));
    now.alpha = divides ? now.alpha / number : now.alpha * number;
    return put_squares(o, node, in, &now, err);
}

static strata_status shift_squares(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *other = NULL;
    bool is_first = false;
    ST_TRY(take_two(&in, &other, &is_first, o, node, err));
    st_onnx_squares now = *in->squares;
    if (!is_number(other, in) || now.size == 0 || now.has_k || now.has_beta) {
        return lack(o, node);
    }
    ST_TRY(st_onnx_number(&now.k, o, other, err));
    now.has_k = true;
    return put_squares(o, node, in, &now, err);
}

static strata_status raise_squares(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *other = NULL;
    bool is_first = false;
    ST_TRY(take_two(&in, &other, &is_first, o, node, err));
    st_onnx_squares now = *in->squares;
    if (!is_first || !is_number(other, in) || !now.has_k || now.has_beta) {
        return lack(o, node);
    }
    ST_TRY(st_onnx_number(&now.beta, o, other, err));
    now.has_beta = true;
    return put_squares(o, node, in, &now, err);
}

const st_onnx_operator st_onnx_lrn[] = {{"LRN", read_lrn}, {"Pow", read_power}, {NULL, NULL}};

const st_onnx_operator st_onnx_of_squares[] = {{"Identity", st_onnx_read_same},
                                               {"Cast", st_onnx_read_cast},
                                               {"Unsqueeze", st_onnx_read_squeeze},
                                               {"Squeeze", st_onnx_read_squeeze},
                                               {"Reshape", st_onnx_read_reshape},
                                               {"Pad", pad_squares},
                                               {"AveragePool", mean_of_squares},
                                               {"Mul", scale_squares},
                                               {"Div", scale_squares},
                                               {"Add", shift_squares},
                                               {"Pow", raise_squares},
                                               {NULL, NULL}};
#endif
