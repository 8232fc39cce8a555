/* flatten: rows, columns and channels to one vector in the published order c, h, w: a real permutation of what lies in
 * memory as h, w, c. An fc needs none before it; the plan leaves it out there. */
#include <string.h>

#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    st_dims dims = in->in[0];
    int64_t count;
    if (!st_layer_product(&count, (int64_t[]){dims.h, dims.w, dims.c}, 3) || count > ST_DIMENSION_LIMIT) {
        return st_infer_fail(in, err, NULL, "%lldx%lldx%lld values are too many for one vector", (long long)dims.h,
                             (long long)dims.w, (long long)dims.c);
    }
    in->out = (st_dims){.h = 1, .w = 1, .c = count};
    in->out_flat = true;
    return STRATA_OK;
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    (void)err;
    size_t lanes = (size_t)st_layout_lanes(site->layout);
    needs->thread_bytes = site->mode == ST_MODE_TRAIN ? (size_t)site->out.c * lanes * sizeof(st_real) : 0;
    return STRATA_OK;
}

/* to[c][pixel] = from[pixel][c]; in LANES with 16 numbers in the place of one. */
static void turn(const st_call *call, st_real *to, int64_t to_stride, const st_real *from, int64_t from_stride,
                 int64_t rows, int64_t columns) {
    if (call->out.layout != ST_LAYOUT_LANES) {
        call->site->kernels->transpose(to, to_stride, from, from_stride, rows, columns);
        return;
    }
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t column = 0; column < columns; column++) {
            memcpy(to + column * to_stride + row * ST_LANES, from + row * from_stride + column * ST_LANES,
                   ST_LANES * sizeof(st_real));
        }
    }
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_span x = st_span_of(&call->in[0], item), y = st_span_of(&call->out, item);
    int64_t c = call->in[0].dims.c;
    turn(call, y.data, x.rows * (x.width / c), x.data, x.stride, x.rows, c);
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    if (call->din[0].data == NULL) {
        return;
    }
    st_span dx = st_span_of(&call->din[0], item), dy = st_span_of(&call->dout, item), turned = dx;
    int64_t c = call->in[0].dims.c;
    if (call->din_add[0]) {
        turned.data = scratch;
        turned.stride = turned.width;
    }
    turn(call, turned.data, turned.stride, dy.data, dx.rows * (dx.width / c), c, dx.rows);
    if (call->din_add[0]) {
        st_span_add(call->site->kernels, dx, dx, turned);
    }
}

static void reference(const st_call *call) {
    st_dims dims = call->in[0].dims;
    int64_t pixels = dims.h * dims.w;
    for (int64_t n = 0; n < call->run->n; n++) {
        const st_real *x = (const st_real *)call->in[0].data + n * pixels * dims.c;
        st_real *y = (st_real *)call->out.data + n * pixels * dims.c;
        for (int64_t c = 0; c < dims.c; c++) {
            for (int64_t pixel = 0; pixel < pixels; pixel++) {
                y[c * pixels + pixel] = x[pixel * dims.c + c];
            }
        }
    }
}

static const st_impl impl = {.prepare = prepare,
                             .forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    if (!site->in_flat[0]) {
        st_onnx_set(st_onnx_add(out, "Flatten"), "axis", 1);
    }
    return STRATA_OK;
}

const st_op st_op_flatten = {
    .name = "flatten",
    .summary = "rows, columns and channels to one vector",
    .source = "torch.nn.Flatten, ONNX Flatten: the order c, h, w",
    .examples = "input 3x4x5, flatten\n"
                "input 7x7x20, flatten\n"
                "input 1x1x9, flatten\n"
                "input 6x6x2, conv 3x3 16, flatten\n",
    .notes = "Seldom needed: fc reads rows and columns as a vector by itself, in the same order.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_FLATTEN,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
