/* ONNX: what exporters compute with sizes, and what they do to constants: it is done here, and no layer comes of it.
 * Lists of whole numbers are short (ST_ONNX_INTS_MOST). */
#ifdef ST_WITH_PROTOBUF
#include <string.h>

#include "formats/onnx.h"

/* Inputs of the node, NULL where there is none. */
enum { INPUTS = 6 };
typedef struct arguments {
    st_onnx_value *in[INPUTS];
    size_t count;
} arguments;

/* What is known of numbers beside themselves, as in st_onnx_value. */
typedef struct marks {
    uint64_t of_images;
    bool is_real;
} marks;

static uint64_t mark(size_t i) {
    return (uint64_t)1 << (i < 63 ? i : 63);
}

/* Number `to` is number `from` of `in`, or made of it. */
static void add_mark(marks *all, size_t to, const st_onnx_value *in, size_t from) {
    all->of_images |= (in->of_images & mark(from)) != 0 ? mark(to) : 0;
    all->is_real = all->is_real || in->is_real;
}

static strata_status give_ints(st_onnx *o, const Onnx__NodeProto *node, const int64_t *values, int rank, size_t count,
                               marks all, strata_error *err) {
    st_onnx_value value;
    const int64_t shape[1] = {(int64_t)count};
    ST_TRY(st_onnx_whole(&value, o, values, rank, shape, err));
    value.of_images = all.of_images;
    value.is_real = all.is_real;
    return st_onnx_output(o, node, &value, err);
}

/* Numbers of a list from `first` on, `steps` apart. */
static strata_status give_view(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in, int64_t first,
                               int rank, const int64_t *shape, const int64_t *steps, strata_error *err) {
    int64_t *values = NULL, index[ST_ONNX_RANK_MAX] = {0};
    marks all = {0};
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)shape[i]; /* no more than the list has */
    }
    ST_TRY(st_arena_alloc(&values, o->scratch, count, sizeof *values, err));
    for (size_t k = 0; k < count; k++) {
        int64_t at = first;
        for (int i = 0; i < rank; i++) {
            at += index[i] * steps[i];
        }
        values[k] = in->ints[at];
        add_mark(&all, k, in, (size_t)at);
        for (int i = rank - 1; i >= 0 && ++index[i] == shape[i]; i--) {
            index[i] = 0;
        }
    }
    st_onnx_value value;
    ST_TRY(st_onnx_whole(&value, o, values, rank, shape, err));
    value.of_images = all.of_images;
    value.is_real = all.is_real;
    return st_onnx_output(o, node, &value, err);
}

/* ---- where constants come from ---- */

static strata_status fold_constant(bool *did, st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    const Onnx__AttributeProto *value = st_onnx_find_attribute(node, "value");
    st_onnx_value out = {.kind = ST_ONNX_UNMADE};
    *did = true;
    if (value != NULL && value->t != NULL) {
        ST_TRY(st_onnx_constant(&out, o, value->t, err));
        return st_onnx_output(o, node, &out, err);
    }
    value = st_onnx_find_attribute(node, "value_int");
    if (value != NULL && value->has_i) {
        return give_ints(o, node, &value->i, 0, 1, (marks){0}, err);
    }
    value = st_onnx_find_attribute(node, "value_ints");
    if (value != NULL && value->n_ints <= ST_ONNX_INTS_MOST) {
        return give_ints(o, node, value->ints, 1, value->n_ints, (marks){0}, err);
    }
    value = st_onnx_find_attribute(node, "value_float");
    if (value != NULL && value->has_f) {
        double number = (double)value->f;
        out.kind = ST_ONNX_CONSTANT;
        ST_TRY(st_onnx_vector(&out.tensor, o, &number, 1, err));
        out.tensor.rank = 0;
        return st_onnx_output(o, node, &out, err);
    }
    return st_onnx_lack(o, node, "Constant without a tensor");
}

static strata_status fold_shape(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in,
                                strata_error *err) {
    int64_t start = st_onnx_int(node, "start", 0), end = st_onnx_int(node, "end", in->rank);
    start = start < 0 ? start + in->rank : start;
    end = end < 0 ? end + in->rank : end;
    start = start < 0 ? 0 : start;
    end = end > in->rank ? in->rank : end;
    *did = true;
    bool is_open = o->has_open_images && in->kind != ST_ONNX_CONSTANT && start == 0 && end > 0;
    return give_ints(o, node, in->shape + (start < end ? start : 0), 1, start < end ? (size_t)(end - start) : 0,
                     (marks){.of_images = is_open ? mark(0) : 0}, err);
}

static strata_status fold_filled(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in,
                                 strata_error *err) {
    const Onnx__AttributeProto *value = st_onnx_find_attribute(node, "value");
    int64_t values[64], number = 0;
    if (in->ints == NULL || in->tensor.count != 1 || in->ints[0] < 0 || in->ints[0] > (int64_t)ST_COUNT_OF(values)) {
        return STRATA_OK;
    }
    if (value != NULL && value->t != NULL) {
        st_onnx_value constant = {.kind = ST_ONNX_UNMADE};
        ST_TRY(st_onnx_constant(&constant, o, value->t, err));
        if (constant.ints == NULL || constant.tensor.count != 1) {
            return STRATA_OK;
        }
        number = constant.ints[0];
    }
    for (int64_t i = 0; i < in->ints[0]; i++) {
        values[i] = number;
    }
    *did = true;
    return give_ints(o, node, values, 1, (size_t)in->ints[0], (marks){.of_images = in->of_images != 0 ? UINT64_MAX : 0},
                     err);
}

/* ---- other sides of the same values ---- */

static strata_status give_sides(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in, int rank,
                                const int64_t *shape, strata_error *err) {
    st_onnx_value out = *in;
    int64_t *dims = NULL;
    if (in->tensor.strides != NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_arena_alloc(&dims, o->foreign.arena, (size_t)rank, sizeof *dims, err));
    for (int i = 0; i < rank; i++) {
        out.shape[i] = dims[i] = shape[i];
    }
    out.rank = out.tensor.rank = rank;
    out.tensor.dims = dims;
    *did = true;
    return st_onnx_output(o, node, &out, err);
}

static strata_status fold_reshape(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in,
                                  const st_onnx_value *target, strata_error *err) {
    int64_t shape[ST_ONNX_RANK_MAX];
    size_t rest = 1;
    int unknown = -1, rank = 0;
    if (target == NULL || target->ints == NULL || target->tensor.count > ST_ONNX_RANK_MAX) {
        return STRATA_OK;
    }
    for (; (size_t)rank < target->tensor.count; rank++) {
        int64_t side = target->ints[rank];
        side = side == 0 && rank < in->rank && st_onnx_int(node, "allowzero", 0) == 0 ? in->shape[rank] : side;
        shape[rank] = side;
        if (side < 0) {
            unknown = rank;
        } else if (!st_size_mul(rest, (size_t)side, &rest)) {
            return STRATA_OK;
        }
    }
    if (unknown >= 0) {
        shape[unknown] = rest > 0 ? (int64_t)(in->tensor.count / rest) : 0;
        rest *= (size_t)shape[unknown];
    }
    if (rest != in->tensor.count) {
        return st_onnx_fail(o, err, "a constant of %zu values cannot have sides that make %zu", in->tensor.count, rest);
    }
    return give_sides(did, o, node, in, rank, shape, err);
}

/* Squeeze and Unsqueeze: axes are an attribute until version 13, then an input. */
static strata_status fold_squeeze(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in,
                                  const st_onnx_value *list, bool adds, strata_error *err) {
    const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, "axes");
    const int64_t *axes = list != NULL ? list->ints : attribute != NULL ? attribute->ints : NULL;
    size_t count = list != NULL ? list->tensor.count : attribute != NULL ? attribute->n_ints : 0;
    int64_t shape[ST_ONNX_RANK_MAX];
    bool is_axis[ST_ONNX_RANK_MAX] = {false};
    int rank = 0, from = 0, whole = in->rank + (adds ? (int)count : 0);
    if (count > ST_ONNX_RANK_MAX || whole > ST_ONNX_RANK_MAX || (list != NULL && list->ints == NULL)) {
        return STRATA_OK;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + whole : axes[i];
        if (axis < 0 || axis >= whole || is_axis[axis]) {
            return st_onnx_fail(o, err, "axis %lld of %d sides", (long long)axes[i], whole);
        }
        is_axis[axis] = true;
    }
    for (int i = 0; i < whole; i++) {
        bool goes = adds ? false : is_axis[i] || (count == 0 && in->shape[i] == 1);
        if (goes && in->shape[i] != 1) {
            return st_onnx_fail(o, err, "side %d is %lld, only a side of 1 can be left out", i,
                                (long long)in->shape[i]);
        }
        if (!goes) {
            shape[rank++] = adds && is_axis[i] ? 1 : in->shape[adds ? from++ : i];
        }
    }
    return give_sides(did, o, node, in, rank, shape, err);
}

/* The strides of a view: no value moves. */
static strata_status fold_transpose(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in,
                                    strata_error *err) {
    const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, "perm");
    int64_t packed[ST_ONNX_RANK_MAX], *dims = NULL, *strides = NULL, step = 1;
    st_onnx_value out = *in;
    bool is_seen[ST_ONNX_RANK_MAX] = {false};
    size_t rank = (size_t)in->rank;
    if (in->tensor.count == 0) {
        return STRATA_OK;
    }
    if (attribute != NULL && attribute->n_ints != rank) {
        return st_onnx_fail(o, err, "'perm' has %zu numbers, expected %zu", attribute->n_ints, rank);
    }
    for (int i = in->rank - 1; i >= 0; i--) {
        packed[i] = step;
        step *= in->shape[i]; /* tensor_sides saw that it fits */
    }
    ST_TRY(st_arena_alloc(&dims, o->foreign.arena, rank, sizeof *dims, err));
    ST_TRY(st_arena_alloc(&strides, o->foreign.arena, rank, sizeof *strides, err));
    for (size_t i = 0; i < rank; i++) {
        int64_t axis = attribute != NULL ? attribute->ints[i] : (int64_t)(rank - 1 - i);
        if (axis < 0 || axis >= in->rank || is_seen[axis]) {
            return st_onnx_fail(o, err, "'perm' is no order of %zu sides", rank);
        }
        is_seen[axis] = true;
        out.shape[i] = dims[i] = in->shape[axis];
        strides[i] = in->tensor.strides != NULL ? in->tensor.strides[axis] : packed[axis];
    }
    *did = true;
    if (in->ints != NULL) {
        return give_view(o, node, in, 0, in->rank, dims, strides, err);
    }
    out.tensor.dims = dims;
    out.tensor.strides = strides;
    return st_onnx_output(o, node, &out, err);
}

/* ---- lists of whole numbers ---- */

static strata_status fold_gather(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *from,
                                 const st_onnx_value *which, strata_error *err) {
    int64_t out[ST_ONNX_RANK_MAX];
    marks all = {0};
    size_t count = which->tensor.count;
    if (from->ints == NULL || from->rank != 1 || which->ints == NULL || which->rank > 1 || count > ST_ONNX_RANK_MAX) {
        return STRATA_OK;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t at = which->ints[i] < 0 ? which->ints[i] + (int64_t)from->tensor.count : which->ints[i];
        if (at < 0 || at >= (int64_t)from->tensor.count) {
            return st_onnx_fail(o, err, "it wants number %lld of %zu", (long long)which->ints[i], from->tensor.count);
        }
        out[i] = from->ints[at];
        add_mark(&all, i, from, (size_t)at);
        add_mark(&all, i, which, i);
    }
    *did = true;
    return give_ints(o, node, out, which->rank, count, all, err);
}

static strata_status fold_concat(bool *did, st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    int64_t out[64];
    marks all = {0};
    size_t filled = 0;
    for (size_t i = 0; i < node->n_input; i++) {
        st_onnx_value *in = NULL;
        ST_TRY(st_onnx_input(&in, o, node, i, err));
        if (in == NULL || in->ints == NULL || in->rank != 1 || in->tensor.count > ST_COUNT_OF(out) - filled) {
            return STRATA_OK;
        }
        for (size_t k = 0; k < in->tensor.count; k++) {
            add_mark(&all, filled, in, k);
            out[filled++] = in->ints[k];
        }
    }
    *did = true;
    return give_ints(o, node, out, 1, filled, all, err);
}

/* One side of a slice: its first place, step and count. */
static void slice_side(int64_t *from, int64_t to, int64_t step, int64_t side, int64_t *count) {
    int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? side - 1 : side;
    int64_t *ends[2] = {from, &to};
    for (int i = 0; i < 2; i++) {
        *ends[i] = *ends[i] < 0 && *ends[i] >= -side ? *ends[i] + side : *ends[i];
        *ends[i] = *ends[i] < lowest ? lowest : *ends[i] > highest ? highest : *ends[i];
    }
    int64_t way = step < 0 ? *from - to : to - *from, size = step < 0 ? -step : step;
    *count = way > 0 ? (way - 1) / size + 1 : 0;
}

/* Starts, ends, axes, steps: attributes until version 9, then inputs. */
static bool slice_numbers(const int64_t *out[4], size_t *count, const Onnx__NodeProto *node, const arguments *args) {
    static const char *const names[4] = {"starts", "ends", "axes", "steps"};
    for (size_t i = 0; i < 4; i++) {
        const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, names[i]);
        const st_onnx_value *value = i + 1 < args->count ? args->in[i + 1] : NULL;
        size_t found = value != NULL ? value->tensor.count : attribute != NULL ? attribute->n_ints : 0;
        out[i] = value != NULL ? value->ints : attribute != NULL ? attribute->ints : NULL;
        *count = i == 0 ? found : *count;
        if ((value != NULL && value->ints == NULL) || (i < 2 && out[i] == NULL) ||
            (out[i] != NULL && found != *count)) {
            return false;
        }
    }
    return *count <= ST_ONNX_RANK_MAX;
}

static strata_status fold_slice(bool *did, st_onnx *o, const Onnx__NodeProto *node, const arguments *args,
                                strata_error *err) {
    const st_onnx_value *in = args->in[0];
    const int64_t *numbers[4];
    int64_t shape[ST_ONNX_RANK_MAX], steps[ST_ONNX_RANK_MAX], first = 0, each = 1;
    size_t count = 0;
    if (in->ints == NULL || in->tensor.count == 0 || !slice_numbers(numbers, &count, node, args)) {
        return STRATA_OK;
    }
    for (int i = in->rank - 1; i >= 0; i--) {
        shape[i] = in->shape[i];
        steps[i] = each;
        each *= shape[i];
    }
    for (size_t i = 0; i < count; i++) {
        int64_t axis = numbers[2] != NULL ? numbers[2][i] : (int64_t)i, from = numbers[0][i];
        int64_t step = numbers[3] != NULL ? numbers[3][i] : 1;
        axis = axis < 0 ? axis + in->rank : axis;
        if (axis < 0 || axis >= in->rank || shape[axis] != in->shape[axis] || step == 0 || step > ST_ONNX_INTS_MOST ||
            step < -ST_ONNX_INTS_MOST) {
            return STRATA_OK;
        }
        slice_side(&from, numbers[1][i], step, shape[axis], &shape[axis]);
        first += shape[axis] > 0 ? from * steps[axis] : 0;
        steps[axis] *= step;
    }
    *did = true;
    return give_view(o, node, in, first, in->rank, shape, steps, err);
}

/* A number that does not fit is left to fail as unknown. */
static bool compute(int64_t *out, char what, int64_t a, int64_t b) {
    switch (what) {
    case 'A':
        return !__builtin_add_overflow(a, b, out);
    case 'S':
        return !__builtin_sub_overflow(a, b, out);
    case 'M':
        return !__builtin_mul_overflow(a, b, out);
    case 'E':
        *out = a == b;
        return true;
    default:
        if (b == 0 || (a == INT64_MIN && b == -1)) {
            return false;
        }
        *out = a / b;
        return true;
    }
}

static strata_status fold_arithmetic(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *a,
                                     const st_onnx_value *b, strata_error *err) {
    int64_t out[64];
    marks all = {0};
    if (a->ints == NULL || b->ints == NULL || a->rank > 1 || b->rank > 1) {
        return STRATA_OK;
    }
    size_t count = a->tensor.count > b->tensor.count ? a->tensor.count : b->tensor.count;
    if (count > ST_COUNT_OF(out) || (a->tensor.count != 1 && a->tensor.count != count) ||
        (b->tensor.count != 1 && b->tensor.count != count)) {
        return STRATA_OK;
    }
    for (size_t i = 0; i < count; i++) {
        size_t of_a = a->tensor.count == 1 ? 0 : i, of_b = b->tensor.count == 1 ? 0 : i;
        add_mark(&all, i, a, of_a);
        add_mark(&all, i, b, of_b);
        if (!compute(&out[i], node->op_type[0], a->ints[of_a], b->ints[of_b])) {
            return st_onnx_fail(o, err, "it computes with sizes that do not fit");
        }
        if (all.is_real && node->op_type[0] == 'D' && out[i] * b->ints[of_b] != a->ints[of_a]) {
            return STRATA_OK; /* a fraction */
        }
    }
    all.is_real = all.is_real && node->op_type[0] != 'E';
    *did = true;
    return give_ints(o, node, out, a->rank > b->rank ? a->rank : b->rank, count, all, err);
}

/* Numbers of a constant, whole or real, as whole numbers: towards zero, as Cast says, or whether they are zero. Sizes
 * are real in what PyTorch exports below version 9. */
static strata_status cast_to_whole(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in,
                                   bool is_truth, strata_error *err) {
    static const double MOST = 9007199254740992.0; /* beyond it a double is no count */
    enum { SIZES_MOST = 64 };
    double reals[SIZES_MOST];
    int64_t ints[SIZES_MOST];
    marks all = {.of_images = in->of_images};
    const st_tensor *tensor = &in->tensor;
    if (in->kind != ST_ONNX_CONSTANT || (in->ints == NULL && !st_stored_is_real(tensor->stored)) || tensor->rank > 1 ||
        tensor->count > SIZES_MOST) {
        return STRATA_OK;
    }
    if (in->ints == NULL) {
        ST_TRY(st_weights_read_doubles(o->out, tensor, 0, tensor->count, reals, err));
    }
    for (size_t i = 0; i < tensor->count; i++) {
        if (in->ints == NULL && !is_truth && !(reals[i] >= -MOST && reals[i] <= MOST)) {
            return STRATA_OK;
        }
        ints[i] = is_truth           ? (in->ints != NULL ? in->ints[i] != 0 : reals[i] != 0)
                  : in->ints != NULL ? in->ints[i]
                                     : (int64_t)reals[i];
    }
    *did = true;
    return give_ints(o, node, ints, tensor->rank, tensor->count, all, err);
}

static strata_status fold_cast(bool *did, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in,
                               strata_error *err) {
    int64_t to = st_onnx_int(node, "to", 0);
    bool is_whole = to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT && to != ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE &&
                    to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 && to != ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16;
    bool is_truth = to == ONNX__TENSOR_PROTO__DATA_TYPE__BOOL;
    st_onnx_value out = *in;
    if (is_truth || (is_whole && in->ints == NULL)) {
        return cast_to_whole(did, o, node, in, is_truth, err);
    }
    out.is_real = !is_whole && in->ints != NULL;
    *did = true;
    return st_onnx_output(o, node, &out, err);
}

/* ---- which ---- */

static strata_status fold_known(bool *did, st_onnx *o, const Onnx__NodeProto *node, const arguments *args,
                                strata_error *err) {
    const char *op = node->op_type;
    const st_onnx_value *in = args->in[0], *second = args->in[1];
    if (strcmp(op, "Identity") == 0) {
        *did = true;
        return st_onnx_output(o, node, in, err);
    }
    if (strcmp(op, "Cast") == 0) {
        return fold_cast(did, o, node, in, err);
    }
    if (strcmp(op, "ConstantOfShape") == 0) {
        return fold_filled(did, o, node, in, err);
    }
    if (strcmp(op, "Reshape") == 0) {
        return fold_reshape(did, o, node, in, second, err);
    }
    if (strcmp(op, "Squeeze") == 0 || strcmp(op, "Unsqueeze") == 0) {
        return fold_squeeze(did, o, node, in, second, op[0] == 'U', err);
    }
    if (strcmp(op, "Transpose") == 0) {
        return fold_transpose(did, o, node, in, err);
    }
    if (strcmp(op, "Gather") == 0 && second != NULL && st_onnx_int(node, "axis", 0) == 0) {
        return fold_gather(did, o, node, in, second, err);
    }
    if (strcmp(op, "Concat") == 0) {
        return fold_concat(did, o, node, err);
    }
    if (strcmp(op, "Slice") == 0) {
        return fold_slice(did, o, node, args, err);
    }
    static const char *const sums[] = {"Add", "Sub", "Mul", "Div", "Equal"};
    for (size_t i = 0; i < ST_COUNT_OF(sums); i++) {
        if (strcmp(op, sums[i]) == 0 && second != NULL) {
            return fold_arithmetic(did, o, node, in, second, err);
        }
    }
    return STRATA_OK;
}

strata_status st_onnx_fold(bool *did, st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    arguments args = {.count = node->n_input < INPUTS ? node->n_input : INPUTS};
    *did = false;
    if (strcmp(node->op_type, "Constant") == 0) {
        return fold_constant(did, o, node, err);
    }
    for (size_t i = 0; i < args.count; i++) {
        ST_TRY(st_onnx_input(&args.in[i], o, node, i, err));
    }
    if (args.in[0] == NULL) {
        return STRATA_OK;
    }
    if (strcmp(node->op_type, "Shape") == 0) {
        return fold_shape(did, o, node, args.in[0], err);
    }
    for (size_t i = 0; i < args.count; i++) {
        if (args.in[i] != NULL && args.in[i]->kind != ST_ONNX_CONSTANT) {
            return STRATA_OK;
        }
    }
    return fold_known(did, o, node, &args, err);
}
#endif
