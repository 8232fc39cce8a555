/* ONNX: sums, products and what lies side by side: of values of the net, or of a value and a constant, which becomes a
 * scale or a shift of each channel. */
#ifdef ST_WITH_PROTOBUF
#include <string.h>

#include "formats/onnx.h"

/* ---- constants beside values ---- */

/* The one side of a constant that is not 1 lies on a side of the value (ONNX lines them up at their ends); -1: all are
 * 1; -2: there are several, or it does not fit. */
static int constant_axis(const st_onnx_value *constant, const st_onnx_value *like) {
    int axis = -1;
    for (int i = 0; i < constant->rank; i++) {
        if (constant->shape[i] != 1) {
            int at = like->rank - constant->rank + i;
            if (axis != -1 || at < 0 || constant->shape[i] != like->shape[at]) {
                return -2;
            }
            axis = at;
        }
    }
    return constant->rank > like->rank ? -2 : axis;
}

strata_status st_onnx_per_channel(double **out, st_onnx *o, const st_onnx_value *constant, const st_onnx_value *like,
                                  strata_error *err) {
    int axis = constant_axis(constant, like);
    size_t channels = (size_t)like->dims.c;
    *out = NULL;
    if (constant->kind != ST_ONNX_CONSTANT || !st_stored_is_real(constant->tensor.stored) || axis == -2 ||
        (axis >= 0 && axis != st_onnx_channel_axis(like)) || constant->tensor.count == 0) {
        return STRATA_OK;
    }
    ST_TRY(st_onnx_doubles(out, o, &constant->tensor, err));
    if (constant->tensor.count < channels) {
        double *all = NULL;
        ST_TRY(st_arena_alloc(&all, o->foreign.arena, channels, sizeof *all, err));
        for (size_t i = 0; i < channels; i++) {
            all[i] = (*out)[0];
        }
        *out = all;
    }
    return STRATA_OK;
}

strata_status st_onnx_take_add(double **out, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *made,
                               const Onnx__NodeProto **last, strata_error *err) {
    const st_onnx_value *output = st_onnx_find(o, node->output[0]);
    *out = NULL;
    if (output->uses != 1 || output->user >= o->graph->n_node) {
        return STRATA_OK;
    }
    const Onnx__NodeProto *user = o->graph->node[output->user];
    if (user->op_type == NULL || strcmp(user->op_type, "Add") != 0 || user->n_input != 2 || user->n_output != 1) {
        return STRATA_OK;
    }
    bool is_first = strcmp(user->input[0], node->output[0]) == 0;
    const st_onnx_value *constant = st_onnx_find(o, user->input[is_first ? 1 : 0]);
    if (constant->name == NULL || constant->kind != ST_ONNX_CONSTANT) {
        return STRATA_OK;
    }
    ST_TRY(st_onnx_per_channel(out, o, constant, made, err));
    if (*out != NULL) {
        *last = user;
        o->is_done[output->user] = true;
    }
    return STRATA_OK;
}

/* value * weight + bias; NULL: 1 and 0. */
static strata_status put_scale(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, double *weight, double *bias,
                               strata_error *err) {
    size_t channels = (size_t)in->dims.c;
    const Onnx__NodeProto *last = node;
    st_tensor tensor;
    st_onnx_value out = *in;
    out.is_share = false;
    if (bias == NULL) {
        ST_TRY(st_onnx_take_add(&bias, o, node, &out, &last, err));
    }
    if (weight == NULL) {
        ST_TRY(st_arena_alloc(&weight, o->foreign.arena, channels, sizeof *weight, err));
        for (size_t i = 0; i < channels; i++) {
            weight[i] = 1;
        }
    }
    ST_TRY(st_onnx_step(&out, o, bias != NULL ? "scale" : "scale bias=no", NULL, &in, 1, err));
    ST_TRY(st_onnx_vector(&tensor, o, weight, channels, err));
    ST_TRY(st_foreign_state_add(&o->foreign, out.id, "weight", &tensor, err));
    if (bias != NULL) {
        ST_TRY(st_onnx_vector(&tensor, o, bias, channels, err));
        ST_TRY(st_foreign_state_add(&o->foreign, out.id, "bias", &tensor, err));
    }
    ST_TRY(st_onnx_output(o, node, &out, err));
    return last != node ? st_onnx_output(o, last, &out, err) : STRATA_OK;
}

/* x + c, x - c, c - x, x * c, x / c. */
static strata_status with_constant(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *value,
                                   const st_onnx_value *constant, bool is_second, strata_error *err) {
    double *numbers = NULL, *minus = NULL;
    char what = node->op_type[0];
    size_t channels = (size_t)value->dims.c;
    ST_TRY(st_onnx_per_channel(&numbers, o, constant, value, err));
    if (numbers == NULL) {
        return st_onnx_lack(o, node, "%s with a constant not of channels", node->op_type);
    }
    if (what == 'D' && !is_second) {
        return st_onnx_lack(o, node, "Div of a constant");
    }
    if (what == 'M') {
        return put_scale(o, node, value, numbers, NULL, err);
    }
    if (what == 'S' && !is_second) {
        ST_TRY(st_arena_alloc(&minus, o->foreign.arena, channels, sizeof *minus, err));
    }
    for (size_t i = 0; i < channels; i++) {
        if (minus != NULL) {
            minus[i] = -1;
        } else if (what == 'S') {
            numbers[i] = -numbers[i];
        } else if (what == 'D') {
            numbers[i] = 1 / numbers[i];
        }
    }
    return what == 'D' ? put_scale(o, node, value, numbers, NULL, err) : put_scale(o, node, value, minus, numbers, err);
}

/* ---- values beside values ---- */

static bool is_alike(const st_onnx_value *a, const st_onnx_value *b, bool spreads) {
    bool same = a->dims.c == b->dims.c && a->rank == b->rank && a->is_joined == b->is_joined;
    bool one = spreads && b->dims.h == 1 && b->dims.w == 1 && !b->is_joined;
    bool same_size = a->dims.h == b->dims.h && a->dims.w == b->dims.w;
    return same && (same_size || one) && (a->is_last == b->is_last || (b->dims.h == 1 && b->dims.w == 1 && one));
}

/* The value times -1: a difference is a sum. */
static strata_status turn(st_onnx_value **in, st_onnx *o, strata_error *err) {
    st_onnx_value *out = NULL;
    double *weight = NULL;
    size_t channels = (size_t)(*in)->dims.c;
    st_tensor tensor;
    ST_TRY(st_arena_alloc(&out, o->scratch, 1, sizeof *out, err));
    ST_TRY(st_arena_alloc(&weight, o->foreign.arena, channels, sizeof *weight, err));
    for (size_t i = 0; i < channels; i++) {
        weight[i] = -1;
    }
    *out = **in;
    ST_TRY(st_onnx_step(out, o, "scale bias=no", NULL, in, 1, err));
    ST_TRY(st_onnx_vector(&tensor, o, weight, channels, err));
    *in = out;
    return st_foreign_state_add(&o->foreign, out->id, "weight", &tensor, err);
}

static strata_status join(st_onnx *o, const Onnx__NodeProto *node, const char *layer, bool spreads, strata_error *err) {
    st_onnx_value **in = NULL;
    bool can = true, is_known = st_graph_find_op(layer) != NULL;
    ST_TRY(st_arena_alloc(&in, o->scratch, node->n_input, sizeof(st_onnx_value *), err));
    for (size_t i = 0; i < node->n_input; i++) {
        ST_TRY(st_onnx_input(&in[i], o, node, i, err));
        if (in[i] == NULL || in[i]->kind != ST_ONNX_VALUE) {
            return st_onnx_lack(o, node, "%s of constants", node->op_type);
        }
        ST_TRY(st_onnx_settle(o, in[i], false, &can, err));
        is_known = is_known && can;
    }
    /* what is spread comes last */
    if (spreads && node->n_input == 2 && in[0]->dims.h * in[0]->dims.w < in[1]->dims.h * in[1]->dims.w) {
        st_onnx_value *first = in[0];
        in[0] = in[1];
        in[1] = first;
    }
    for (size_t i = 1; i < node->n_input; i++) {
        is_known = is_known && is_alike(in[0], in[i], spreads);
    }
    if (!is_known) {
        return st_onnx_lack(o, node, "%s of values that differ", node->op_type);
    }
    if (strcmp(node->op_type, "Sub") == 0) {
        ST_TRY(turn(&in[1], o, err));
    }
    st_onnx_value out = *in[0];
    out.is_share = false;
    if (node->n_input > 1) {
        ST_TRY(st_onnx_step(&out, o, layer, NULL, in, node->n_input, err));
    }
    return st_onnx_output(o, node, &out, err);
}

static strata_status read_binary(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *a = NULL, *b = NULL;
    bool can = true;
    ST_TRY(st_onnx_input(&a, o, node, 0, err));
    ST_TRY(st_onnx_input(&b, o, node, 1, err));
    if (a == NULL || b == NULL || node->n_input != 2) {
        return st_onnx_fail(o, err, "it has %zu inputs, expected 2", node->n_input);
    }
    if (a->kind == ST_ONNX_VALUE && b->kind == ST_ONNX_VALUE) {
        if (node->op_type[0] == 'D') {
            return st_onnx_lack(o, node, "Div of two values");
        }
        if (a == b && node->op_type[0] == 'M' && st_onnx_is_chain(o, node, a)) {
            ST_TRY(st_onnx_settle(o, a, false, &can, err));
            return can ? st_onnx_begin_squares(o, node, a, err) : st_onnx_lack(o, node, "Mul behind a LogSoftmax");
        }
        return join(o, node, node->op_type[0] == 'M' ? "mul" : "add", node->op_type[0] == 'M', err);
    }
    st_onnx_value *value = a->kind == ST_ONNX_VALUE ? a : b;
    if (value->kind != ST_ONNX_VALUE) {
        return st_onnx_lack(o, node, "%s of constants", node->op_type);
    }
    ST_TRY(st_onnx_settle(o, value, false, &can, err));
    if (!can) {
        return st_onnx_lack(o, node, "%s behind a LogSoftmax", node->op_type);
    }
    return with_constant(o, node, value, value == a ? b : a, value == a, err);
}

static strata_status read_sum(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    if (node->n_input == 0) {
        return st_onnx_fail(o, err, "it has no inputs");
    }
    return join(o, node, "add", false, err);
}

static strata_status read_concat(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value **in = NULL;
    ST_TRY(st_arena_alloc(&in, o->scratch, node->n_input, sizeof(st_onnx_value *), err));
    st_onnx_value out = {.kind = ST_ONNX_UNMADE};
    int64_t axis = st_onnx_int(node, "axis", 1);
    for (size_t i = 0; i < node->n_input; i++) {
        bool can = true;
        ST_TRY(st_onnx_input(&in[i], o, node, i, err));
        if (in[i] == NULL || in[i]->kind != ST_ONNX_VALUE) {
            return st_onnx_lack(o, node, "Concat with constants");
        }
        ST_TRY(st_onnx_settle(o, in[i], true, &can, err));
        int64_t at = axis < 0 ? axis + in[i]->rank : axis;
        bool fits = i == 0 || (out.rank == in[i]->rank && out.dims.h == in[i]->dims.h && out.dims.w == in[i]->dims.w &&
                               out.is_last == in[i]->is_last);
        if (!can || !fits || at != st_onnx_channel_axis(in[i])) {
            return st_onnx_lack(o, node, "Concat not of channels");
        }
        int64_t before = out.dims.c;
        out = i == 0 ? *in[0] : out;
        out.dims.c = before + in[i]->dims.c;
        out.shape[at] = out.dims.c;
        if (out.dims.c > ST_DIMENSION_LIMIT) {
            return st_onnx_fail(o, err, "it makes more than %d channels", ST_DIMENSION_LIMIT);
        }
    }
    if (node->n_input == 0) {
        return st_onnx_fail(o, err, "it has no inputs");
    }
    out.is_share = false;
    if (node->n_input > 1) {
        ST_TRY(st_onnx_step(&out, o, "concat", NULL, in, node->n_input, err));
    }
    return st_onnx_output(o, node, &out, err);
}

const st_onnx_operator st_onnx_sums[] = {{"Add", read_binary}, {"Sub", read_binary}, {"Mul", read_binary},
                                         {"Div", read_binary}, {"Sum", read_sum},    {"Concat", read_concat},
                                         {NULL, NULL}};
#endif
