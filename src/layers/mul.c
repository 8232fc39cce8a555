/* mul: the product of two branches, element by element; or the second is one number for each channel, a gate: the end
 * of squeeze-and-excitation.
 *
 * Backward: da = dy b; db = dy a, for a gate the sum over the pixels, row by row in double. */
#include <string.h>

#include "layers/layers.h"

static bool is_gate(const st_dims *in) {
    return in[1].h == 1 && in[1].w == 1 && (in[0].h != 1 || in[0].w != 1);
}

static strata_status shape(st_infer *in, strata_error *err) {
    st_dims a = in->in[0], b = in->in_count > 1 ? in->in[1] : a;
    in->out = a;
    in->out_flat = in->in_flat[0];
    if (b.c != a.c || ((b.h != a.h || b.w != a.w) && (b.h != 1 || b.w != 1))) {
        strata_status status =
            st_infer_fail(in, err, NULL, "branches do not fit: %lldx%lldx%lld and %lldx%lldx%lld", (long long)a.h,
                          (long long)a.w, (long long)a.c, (long long)b.h, (long long)b.w, (long long)b.c);
        st_error_hint(err, "the second has the shape of the first, or 1x1 with as many channels");
        return status;
    }
    in->multiply_adds = 0;
    return STRATA_OK;
}

static st_real flushed(st_real x) {
    const st_real least = (st_real)7.8886090522101181e-31; /* 2^-100: docs/numerics.md, rule 9 */
    return x < least && x > -least ? 0 : x;
}

/* to (+)= a b, where b may be one row for all. */
static void multiply(st_span to, st_span a, st_span b, bool adds) {
    int64_t step = b.rows == 1 ? 0 : b.stride;
    for (int64_t row = 0; row < to.rows; row++) {
        const st_real *x = a.data + row * a.stride, *y = b.data + row * step;
        st_real *out = to.data + row * to.stride;
        for (int64_t i = 0; i < to.width; i++) {
            st_real product = x[i] * y[i];
            out[i] = flushed(adds ? out[i] + product : product);
        }
    }
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    multiply(st_span_of(&call->out, item), st_span_of(&call->in[0], item), st_span_of(&call->in[1], item), false);
}

/* ---- backward ---- */

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    (void)err; /* a few numbers for each channel */
    if (site->mode == ST_MODE_TRAIN && is_gate(site->in)) {
        needs->thread_bytes = (size_t)(site->out.c * st_layout_lanes(site->layout)) * sizeof(double);
    }
    return STRATA_OK;
}

static void gate_gradient(const st_call *call, int64_t item, double *sums) {
    st_span dy = st_span_of(&call->dout, item), a = st_span_of(&call->in[0], item);
    st_span db = st_span_of(&call->din[1], item);
    memset(sums, 0, (size_t)db.width * sizeof *sums);
    for (int64_t row = 0; row < dy.rows; row++) {
        for (int64_t i = 0; i < db.width; i++) {
            sums[i] += (double)dy.data[row * dy.stride + i] * (double)a.data[row * a.stride + i];
        }
    }
    for (int64_t i = 0; i < db.width; i++) {
        st_real sum = (st_real)sums[i];
        db.data[i] = flushed(call->din_add[1] ? db.data[i] + sum : sum);
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    st_span dy = st_span_of(&call->dout, item);
    if (call->din[0].data != NULL) {
        multiply(st_span_of(&call->din[0], item), dy, st_span_of(&call->in[1], item), call->din_add[0]);
    }
    if (call->din[1].data != NULL && is_gate(call->site->in)) {
        gate_gradient(call, item, scratch);
    } else if (call->din[1].data != NULL) {
        multiply(st_span_of(&call->din[1], item), dy, st_span_of(&call->in[0], item), call->din_add[1]);
    }
}

static void reference(const st_call *call) {
    int64_t c = call->out.dims.c, image = call->out.dims.h * call->out.dims.w * c, count = call->run->n * image;
    const st_real *a = call->in[0].data, *b = call->in[1].data;
    for (int64_t i = 0; i < count; i++) {
        double other = (double)(is_gate(call->site->in) ? b[i / image * c + i % c] : b[i]);
        ((st_real *)call->out.data)[i] = (st_real)((double)a[i] * other);
    }
}

static const st_impl impl = {.prepare = prepare,
                             .forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .backward_reads = ST_READS_IN,
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    ST_FAIL_IF(
        site->in_flat[1] && !site->in_flat[0], err, STRATA_UNSUPPORTED,
        "multiplies a picture by a vector, which ONNX would line up with its columns: `conv 1x1` in the place of "
        "`fc` gives 1x1");
    st_onnx_add(out, "Mul");
    return STRATA_OK;
}

const st_op st_op_mul = {
    .name = "mul",
    .summary = "the product of two branches; the second may be one number for each channel",
    .source = "Hu, Shen, Sun 2017, \"Squeeze-and-excitation networks\", arXiv:1709.01507, section 3",
    .examples = "input 6x5x8, mul { | identity | avgpool global, conv 1x1 4, relu, conv 1x1 8, sigmoid }\n"
                "input 4x7x3, mul { | conv 3x3 5 pad=1 | conv 1x1 5, sigmoid }\n"
                "input 1x1x20, mul { | fc 9 | fc 9, tanh }\n"
                "input 4x4x18, mul { | identity | sigmoid }\n",
    .notes =
        "With `avgpool global` at its beginning the second branch sees the whole picture and weighs the channels of\n"
        "the first.",
    .init_param_offset = -1,
    .in_min = 2,
    .in_max = 2,
    .traits = ST_OP_IS_MERGE,
    .kind = STRATA_LAYER_ADD,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
