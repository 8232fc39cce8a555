/* ONNX: operators that leave the numbers as they are. Of most of them nothing comes into the net: it is noted what ONNX
 * sees, and the layer that follows knows what to do with it. */
#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/onnx.h"

/* The first input, where it is a value of the net, or one with squares. *in NULL: the node has gone into the list. */
static strata_status take_value(st_onnx_value **in, st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    ST_TRY(st_onnx_input(in, o, node, 0, err));
    if (*in == NULL) {
        return st_onnx_fail(o, err, "it has no input");
    }
    if ((*in)->kind != ST_ONNX_VALUE && (*in)->kind != ST_ONNX_SQUARES) {
        *in = NULL;
        return st_onnx_lack(o, node, "%s of a constant", node->op_type);
    }
    return STRATA_OK;
}

strata_status st_onnx_read_same(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    ST_TRY(take_value(&in, o, node, err));
    return in != NULL ? st_onnx_output(o, node, in, err) : STRATA_OK;
}

strata_status st_onnx_read_cast(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    int64_t to = st_onnx_int(node, "to", 0);
    if (to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) {
        return st_onnx_lack(o, node, "Cast to the type %" PRId64 " of ONNX", to);
    }
    return st_onnx_read_same(o, node, err);
}

/* ---- sides ---- */

/* Gives the value these sides, where the net needs no change for it. */
static strata_status put_shape(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in, int rank,
                               const int64_t *shape, strata_error *err) {
    st_onnx_value out = *in;
    st_dims d = in->dims;
    int64_t whole = d.h * d.w * d.c;
    if (in->kind == ST_ONNX_SQUARES) {
        return st_onnx_squares_shape(o, node, in, rank, shape, err);
    }
    bool same = rank == in->rank && memcmp(shape, in->shape, (size_t)rank * sizeof *shape) == 0;
    bool is_vector = d.h == 1 && d.w == 1;
    bool is_joined = rank == 2 && shape[1] == whole && (in->rank == 4 || in->is_joined || is_vector);
    bool is_back = in->is_joined && rank == 4 &&
                   (in->is_last ? shape[1] == d.h && shape[2] == d.w && shape[3] == d.c
                                : shape[1] == d.c && shape[2] == d.h && shape[3] == d.w);
    int channel = -1, others = 0;
    for (int i = 1; i < rank; i++) {
        channel = shape[i] == d.c && channel < 0 ? i : channel;
        others += shape[i] != 1;
    }
    bool is_column = is_vector && channel > 0 && others <= 1 && (channel == 1 || channel == rank - 1);
    if (rank < 2 || shape[0] != in->shape[0] || !(same || is_joined || is_back || is_column)) {
        return st_onnx_lack(o, node, "%s to other sides", node->op_type);
    }
    out.rank = rank;
    memcpy(out.shape, shape, (size_t)rank * sizeof *shape);
    if (!same) {
        out.is_joined = is_joined && !is_vector;
        out.is_last = is_joined || is_back ? in->is_last && !is_vector : channel != 1;
    }
    return st_onnx_output(o, node, &out, err);
}

static strata_status read_flatten(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    ST_TRY(take_value(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    int64_t axis = st_onnx_int(node, "axis", 1), shape[2] = {1, 1};
    axis = axis < 0 ? axis + in->rank : axis;
    for (int i = 0; i < in->rank; i++) {
        shape[i < axis ? 0 : 1] *= in->shape[i]; /* no more than the value has */
    }
    return put_shape(o, node, in, 2, shape, err);
}

strata_status st_onnx_read_reshape(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL, *target = NULL;
    int64_t shape[ST_ONNX_RANK_MAX], whole = 1, rest = 1;
    int unknown = -1, rank = 0;
    ST_TRY(take_value(&in, o, node, err));
    ST_TRY(st_onnx_input(&target, o, node, 1, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    if (target == NULL || target->ints == NULL || target->tensor.count > ST_ONNX_RANK_MAX) {
        return st_onnx_lack(o, node, "Reshape to computed sides");
    }
    for (int i = 0; i < in->rank; i++) {
        whole *= in->shape[i];
    }
    for (; (size_t)rank < target->tensor.count; rank++) {
        int64_t side = target->ints[rank];
        side = side == 0 && rank < in->rank ? in->shape[rank] : side;
        shape[rank] = side;
        if (side == -1 && unknown < 0) {
            unknown = rank;
        } else if (side < 1 || side > whole / rest) {
            return st_onnx_fail(o, err, "side %d would be %" PRId64, rank, side);
        } else {
            rest *= side;
        }
    }
    if (unknown >= 0) {
        shape[unknown] = whole / rest;
        rest *= shape[unknown];
    }
    if (rest != whole) {
        return st_onnx_fail(o, err, "a value of %" PRId64 " numbers cannot have sides that make %" PRId64, whole, rest);
    }
    return put_shape(o, node, in, rank, shape, err);
}

/* Squeeze and Unsqueeze of a value; axes are an attribute until version 13, then an input. */
strata_status st_onnx_read_squeeze(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, "axes");
    bool adds = node->op_type[0] == 'U', is_axis[ST_ONNX_RANK_MAX] = {false};
    st_onnx_value *in = NULL, *list = NULL;
    int64_t shape[ST_ONNX_RANK_MAX];
    ST_TRY(take_value(&in, o, node, err));
    ST_TRY(st_onnx_input(&list, o, node, 1, err));
    const int64_t *axes = list != NULL ? list->ints : attribute != NULL ? attribute->ints : NULL;
    size_t count = list != NULL ? list->tensor.count : attribute != NULL ? attribute->n_ints : 0;
    if (in == NULL || count > ST_ONNX_RANK_MAX || (axes == NULL && (count > 0 || list != NULL))) {
        return in != NULL ? st_onnx_lack(o, node, "%s of computed axes", node->op_type) : STRATA_OK;
    }
    int whole = in->rank + (adds ? (int)count : 0), rank = 0, from = 0;
    if (whole > ST_ONNX_RANK_MAX) {
        return st_onnx_lack(o, node, "%s to more than %d sides", node->op_type, ST_ONNX_RANK_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + whole : axes[i];
        if (axis < 0 || axis >= whole || is_axis[axis]) {
            return st_onnx_fail(o, err, "axis %" PRId64 " of %d sides", axes[i], whole);
        }
        is_axis[axis] = true;
    }
    for (int i = 0; i < whole; i++) {
        bool goes = !adds && (is_axis[i] || (count == 0 && i > 0 && in->shape[i] == 1));
        if (goes && in->shape[i] != 1) {
            return st_onnx_fail(o, err, "side %d is %" PRId64 ", only a side of 1 can be left out", i, in->shape[i]);
        }
        if (!goes) {
            shape[rank++] = adds && is_axis[i] ? 1 : in->shape[adds ? from++ : i];
        }
    }
    return put_shape(o, node, in, rank, shape, err);
}

/* Rows, columns, channels in one order or the other: what the net has is the same. */
static strata_status read_transpose(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    static const int64_t to_last[4] = {0, 2, 3, 1}, to_first[4] = {0, 3, 1, 2};
    const Onnx__AttributeProto *perm = st_onnx_find_attribute(node, "perm");
    st_onnx_value *in = NULL;
    ST_TRY(take_value(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    size_t rank = (size_t)in->rank;
    bool is_same = perm != NULL && perm->n_ints == rank;
    for (size_t i = 0; is_same && i < rank; i++) {
        is_same = perm->ints[i] == (int64_t)i;
    }
    const int64_t *wanted = in->is_last ? to_first : to_last;
    bool turns = perm != NULL && perm->n_ints == 4 && rank == 4 && !in->is_joined &&
                 memcmp(perm->ints, wanted, 4 * sizeof *wanted) == 0;
    if (is_same) {
        return st_onnx_output(o, node, in, err);
    }
    if (!turns) {
        return st_onnx_lack(o, node, "Transpose to another order");
    }
    st_onnx_value out = *in;
    for (int i = 0; i < 4; i++) {
        out.shape[i] = in->shape[wanted[i]];
    }
    out.is_last = !in->is_last;
    return st_onnx_output(o, node, &out, err);
}

/* ---- zeros around ---- */

/* pads has two numbers for each of `axes`, or for all sides where it is NULL. False: it has not. */
static bool spread_pads(st_onnx_pads *out, const int64_t *pads, size_t count, const int64_t *axes, size_t axis_count,
                        int rank) {
    enum { MOST = 1 << 12 };
    bool is_seen[ST_ONNX_RANK_MAX] = {false};
    size_t sides = axes != NULL ? axis_count : (size_t)rank;
    if (pads == NULL || sides > (size_t)rank || count != 2 * sides) {
        return false;
    }
    memset(out->sides, 0, sizeof out->sides);
    for (size_t i = 0; i < sides; i++) {
        int64_t axis = axes != NULL ? axes[i] : (int64_t)i;
        axis = axis < 0 ? axis + rank : axis;
        if (axis < 0 || axis >= rank || is_seen[axis] || pads[i] < 0 || pads[i] > MOST || pads[i + sides] < 0 ||
            pads[i + sides] > MOST) {
            return false;
        }
        is_seen[axis] = true;
        out->sides[axis] = pads[i];
        out->sides[axis + rank] = pads[i + sides];
    }
    return true;
}

/* Attributes until version 10, then inputs; from version 18 on the sides may be named by a fourth. */
strata_status st_onnx_read_pads(st_onnx_pads *out, st_onnx *o, const Onnx__NodeProto *node, int rank,
                                strata_error *err) {
    const Onnx__AttributeProto *mode = st_onnx_find_attribute(node, "mode");
    const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, "pads");
    st_onnx_value *list = NULL, *given = NULL, *axes = NULL;
    double value = st_onnx_real(node, "value", 0);
    ST_TRY(st_onnx_input(&list, o, node, 1, err));
    ST_TRY(st_onnx_input(&given, o, node, 2, err));
    ST_TRY(st_onnx_input(&axes, o, node, 3, err));
    if (given != NULL && given->kind == ST_ONNX_CONSTANT) {
        ST_TRY(st_onnx_number(&value, o, given, err));
    } else if (given != NULL) {
        value = 1; /* computed: not zero */
    }
    const int64_t *pads = list != NULL ? list->ints : attribute != NULL ? attribute->ints : NULL;
    size_t count = list != NULL ? list->tensor.count : attribute != NULL ? attribute->n_ints : 0;
    bool is_constant = mode == NULL || !mode->has_s || (mode->s.len == 8 && memcmp(mode->s.data, "constant", 8) == 0);
    out->is_known =
        value == 0 && is_constant && (axes == NULL || axes->ints != NULL) &&
        spread_pads(out, pads, count, axes != NULL ? axes->ints : NULL, axes != NULL ? axes->tensor.count : 0, rank);
    return STRATA_OK;
}

static strata_status read_pad(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    st_onnx_pads all;
    bool can = true;
    ST_TRY(take_value(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_onnx_read_pads(&all, o, node, in->rank, err));
    const int64_t *pads = all.sides;
    bool is_none = all.is_known;
    for (int i = 0; is_none && i < 2 * in->rank; i++) {
        is_none = pads[i] == 0;
    }
    if (is_none) {
        return st_onnx_output(o, node, in, err);
    }
    bool did = false;
    if (all.is_known && in->rank == 4) {
        ST_TRY(st_onnx_pad_channels(&did, o, node, in, pads, err));
    }
    if (did) {
        return STRATA_OK;
    }
    int rows = in->is_last ? 1 : 2, columns = rows + 1, channels = in->is_last ? 3 : 1;
    if (!all.is_known || in->rank != 4 || in->is_joined || pads[0] != 0 || pads[4] != 0 || pads[channels] != 0 ||
        pads[channels + 4] != 0) {
        return st_onnx_lack(o, node, "Pad other than with zeros around a picture");
    }
    ST_TRY(st_onnx_settle(o, in, false, &can, err));
    if (!can) {
        return st_onnx_lack(o, node, "Pad behind a LogSoftmax");
    }
    st_onnx_value out = *in;
    const int64_t around[4] = {pads[rows], pads[columns], pads[rows + 4], pads[columns + 4]};
    memcpy(out.pad, around, sizeof around);
    out.has_pad = true;
    out.dims.h += around[0] + around[2];
    out.dims.w += around[1] + around[3];
    out.shape[rows] = out.dims.h;
    out.shape[columns] = out.dims.w;
    return st_onnx_output(o, node, &out, err);
}

const st_onnx_operator st_onnx_shapes[] = {{"Identity", st_onnx_read_same},
                                           {"Cast", st_onnx_read_cast},
                                           {"Flatten", read_flatten},
                                           {"Reshape", st_onnx_read_reshape},
                                           {"Squeeze", st_onnx_read_squeeze},
                                           {"Unsqueeze", st_onnx_read_squeeze},
                                           {"Transpose", read_transpose},
                                           {"Pad", read_pad},
                                           {NULL, NULL}};
#endif
