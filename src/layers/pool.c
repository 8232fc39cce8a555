/* maxpool and avgpool: the largest value, or the mean, of each window, channel by channel. Loops are in
 * kernels/pool.inc; both layouts use the same ones. */
#include <string.h>

#include "layers/layers.h"

typedef struct pool_params {
    int64_t kernel[2]; /* -1 -1: global */
    int64_t stride[2]; /* -1 -1: kernel */
    int64_t pad[2];    /* -1 -1: same */
    bool ceil;
    int64_t out[2];   /* avgpool: -1 -1: not given */
    bool exclude_pad; /* avgpool */
} pool_params;

/* Global pooling is adaptive pooling to 1x1. */
static bool is_adaptive(const pool_params *params) {
    return params->kernel[0] < 0 || params->out[0] > 0;
}

static st_window_params window_params(const pool_params *params) {
    return (st_window_params){.kernel = params->kernel,
                              .stride = params->stride[0] < 0 ? params->kernel : params->stride,
                              .pad = params->pad,
                              .is_ceil = params->ceil};
}

/* ---- shape ---- */

static strata_status check_pad(const st_infer *in, const pool_params *params, strata_error *err) {
    if (params->pad[0] >= params->kernel[0] || params->pad[1] >= params->kernel[1]) {
        strata_status status =
            st_infer_fail(in, err, "pad", "pad must be smaller than the %lldx%lld window, found %lldx%lld",
                          (long long)params->kernel[0], (long long)params->kernel[1], (long long)params->pad[0],
                          (long long)params->pad[1]);
        st_error_hint(err, "a window that lies in the padding alone has nothing to pool");
        return status;
    }
    return STRATA_OK;
}

static strata_status shape_adaptive(st_infer *in, const pool_params *params, int64_t rows, int64_t columns,
                                    strata_error *err) {
    st_dims dims = in->in[0];
    if (params->stride[0] > 0 || params->pad[0] != 0 || params->pad[1] != 0 || params->ceil || params->exclude_pad) {
        const char *param = params->stride[0] > 0 ? "stride"
                            : params->ceil        ? "ceil"
                            : params->exclude_pad ? "exclude_pad"
                                                  : "pad";
        return st_infer_fail(in, err, param, "%s has no meaning for %s pooling", param,
                             params->out[0] > 0 ? "out=" : "global");
    }
    if (rows > dims.h || columns > dims.w) {
        return st_infer_fail(in, err, "out", "%lldx%lld outputs are more than the %lldx%lld that come in",
                             (long long)rows, (long long)columns, (long long)dims.h, (long long)dims.w);
    }
    in->out = (st_dims){.h = rows, .w = columns, .c = dims.c};
    in->sees_all = rows == 1 && columns == 1;
    in->window = (dims.h + rows - 1) / rows;
    in->window_stride = dims.h / rows;
    return STRATA_OK;
}

static strata_status shape(st_infer *in, strata_error *err) {
    const pool_params *params = in->params;
    st_window_params geometry = window_params(params);
    st_window window;
    if (in->in_flat[0]) {
        geometry.kernel = geometry.stride = (int64_t[]){1, 1};
        return st_window_infer(&window, in, &geometry, err); /* says what is wrong */
    }
    if (params->out[0] > 0) {
        if (params->kernel[0] > 0) {
            return st_infer_fail(in, err, "out", "a window and out= exclude each other");
        }
        return shape_adaptive(in, params, params->out[0], params->out[1], err);
    }
    if (params->kernel[0] < 0) {
        return shape_adaptive(in, params, 1, 1, err);
    }
    ST_TRY(check_pad(in, params, err));
    ST_TRY(st_window_infer(&window, in, &geometry, err));
    in->out = (st_dims){.h = window.p, .w = window.q, .c = in->in[0].c};
    in->window = window.r > window.s ? window.r : window.s;
    in->window_stride = window.stride_h > window.stride_w ? window.stride_h : window.stride_w;
    return STRATA_OK;
}

/* ---- running ---- */

static st_pool pool_of(const st_call *call) {
    const pool_params *params = call->site->params;
    int64_t lanes = st_layout_lanes(call->site->layout);
    st_dims in = call->in[0].dims, out = call->out.dims;
    in.c *= lanes;
    out.c *= lanes;
    st_pool pool = {.in = in,
                    .out = out,
                    .in_stride = call->in[0].pixel_stride * lanes,
                    .out_stride = call->out.pixel_stride * lanes,
                    .is_adaptive = is_adaptive(params),
                    .skips_padding = params->exclude_pad};
    if (call->din != NULL) {
        pool.din_stride = call->din[0].pixel_stride * lanes;
        pool.dout_stride = call->dout.pixel_stride * lanes;
    }
    if (!pool.is_adaptive) {
        st_window_params geometry = window_params(params);
        st_window window = st_window_of(&geometry, call->in[0].dims);
        pool.r = window.r;
        pool.s = window.s;
        pool.stride_h = window.stride_h;
        pool.stride_w = window.stride_w;
        pool.pad_top = window.pad_top;
        pool.pad_left = window.pad_left;
        pool.pad_bottom = window.pad_bottom;
        pool.pad_right = window.pad_right;
    }
    return pool;
}

static void max_forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_pool pool = pool_of(call);
    call->site->kernels->maxpool(&pool, st_span_of(&call->out, item).data, st_span_of(&call->in[0], item).data);
}

static void max_backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    st_pool pool = pool_of(call);
    call->site->kernels->maxpool_backward(&pool, st_span_of(&call->din[0], item).data,
                                          st_span_of(&call->dout, item).data, st_span_of(&call->in[0], item).data,
                                          st_span_of(&call->out, item).data, call->din_add[0]);
}

static void average_forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_pool pool = pool_of(call);
    call->site->kernels->avgpool(&pool, st_span_of(&call->out, item).data, st_span_of(&call->in[0], item).data);
}

/* Where there are fewer images than threads, an image is shared by its rows. */
static int64_t row_parts(const st_call *call) {
    int64_t wanted = 2 * (int64_t)call->site->threads, n = call->run->n, rows = call->out.dims.h;
    if (n >= wanted || is_adaptive(call->site->params) || call->site->threads == 1) {
        return 1;
    }
    int64_t parts = (wanted + n - 1) / n;
    return parts < rows ? parts : rows;
}

static int64_t row_items(const st_call *call) {
    return call->run->n * row_parts(call);
}

typedef void (*pool_kernel)(const st_pool *pool, st_real *out, const st_real *in);

/* Makes `pool` see one of `parts` parts of the output's rows alone: the window begins further down. The first row. */
static int64_t cut_rows(st_pool *pool, int64_t part, int64_t parts) {
    int64_t first = pool->out.h * part / parts;
    if (parts > 1) {
        pool->out.h = pool->out.h * (part + 1) / parts - first;
        pool->pad_top -= first * pool->stride_h;
    }
    return first;
}

static void pool_rows(const st_call *call, int64_t item, pool_kernel kernel) {
    int64_t parts = row_parts(call), image = item / parts;
    st_pool pool = pool_of(call);
    int64_t first = cut_rows(&pool, item % parts, parts) * pool.out.w;
    kernel(&pool, st_span_of(&call->out, image).data + first * pool.out_stride, st_span_of(&call->in[0], image).data);
}

/* In training the place of each maximum is kept, a byte each: then backward reads neither what came in nor what went
 * out, which are the largest values of many a net. */
static bool max_keeps(const st_site *site) {
    const pool_params *params = site->params;
    return site->mode == ST_MODE_TRAIN && !is_adaptive(params) && params->kernel[0] * params->kernel[1] <= 256;
}

static strata_status max_prepare(const st_site *site, st_needs *needs, strata_error *err) {
    size_t bytes = 0;
    bool fits = st_size_mul((size_t)(site->out.h * site->out.w), (size_t)site->out.c, &bytes) &&
                st_size_mul(bytes, (size_t)site->batch, &bytes);
    ST_FAIL_IF(!fits, err, STRATA_MEMORY, "pooling %lld images needs too much memory", (long long)site->batch);
    needs->kept_bytes = max_keeps(site) ? bytes : 0;
    return STRATA_OK;
}

static uint8_t *index_of(const st_call *call, int64_t image) {
    st_dims out = call->out.dims;
    return (uint8_t *)call->kept + image * out.h * out.w * out.c;
}

static void max_rows(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (!max_keeps(call->site)) {
        pool_rows(call, item, call->site->kernels->maxpool);
        return;
    }
    st_pool pool = pool_of(call);
    int64_t parts = row_parts(call), image = item / parts;
    int64_t first = cut_rows(&pool, item % parts, parts) * pool.out.w;
    call->site->kernels->maxpool_index(&pool, st_span_of(&call->out, image).data + first * pool.out_stride,
                                       index_of(call, image) + first * pool.in.c, st_span_of(&call->in[0], image).data);
}

static st_reads max_reads(const st_site *site) {
    return max_keeps(site) ? ST_READS_NOTHING : ST_READS_IN_AND_OUT;
}

static void max_gather(const st_call *call, int64_t item, void *scratch) {
    if (!max_keeps(call->site)) {
        max_backward(call, item, scratch);
        return;
    }
    if (call->din[0].data == NULL) {
        return;
    }
    st_pool pool = pool_of(call);
    bool streams = !call->din_add[0] && st_view_streams(call, &call->din[0]);
    call->site->kernels->maxpool_index_backward(&pool, st_span_of(&call->din[0], item).data,
                                                st_span_of(&call->dout, item).data, index_of(call, item),
                                                call->din_add[0], streams);
    if (streams) {
        call->site->kernels->fence();
    }
}

static void average_rows(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    pool_rows(call, item, call->site->kernels->avgpool);
}

static void average_backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    st_pool pool = pool_of(call);
    call->site->kernels->avgpool_backward(&pool, st_span_of(&call->din[0], item).data,
                                          st_span_of(&call->dout, item).data, call->din_add[0]);
}

/* ---- reference: each output from the definition ---- */

static double reference_output(const st_call *call, bool is_maximum, int64_t n, int64_t p, int64_t q, int64_t c) {
    const pool_params *params = call->site->params;
    st_dims dims = call->in[0].dims, out = call->out.dims;
    st_pool pool = pool_of(call);
    int64_t top = p * pool.stride_h - pool.pad_top, left = q * pool.stride_w - pool.pad_left;
    int64_t bottom = top + pool.r, right = left + pool.s;
    if (is_adaptive(params)) {
        top = p * dims.h / out.h;
        left = q * dims.w / out.w;
        bottom = ((p + 1) * dims.h + out.h - 1) / out.h;
        right = ((q + 1) * dims.w + out.w - 1) / out.w;
    }
    const st_real *x = call->in[0].data;
    double sum = 0, best = 0;
    int64_t size = 0;
    bool is_empty = true;
    for (int64_t h = top; h < bottom; h++) {
        for (int64_t w = left; w < right; w++) {
            bool is_inside = h >= 0 && h < dims.h && w >= 0 && w < dims.w;
            size += is_inside || (!pool.skips_padding && h < dims.h + pool.pad_bottom && w < dims.w + pool.pad_right);
            if (is_inside) {
                double value = (double)x[((n * dims.h + h) * dims.w + w) * dims.c + c];
                sum += value;
                best = is_empty || value > best ? value : best;
                is_empty = false;
            }
        }
    }
    return is_maximum ? best : sum / (double)size;
}

static void reference_all(const st_call *call, bool is_maximum) {
    st_real *y = call->out.data;
    st_dims out = call->out.dims;
    for (int64_t n = 0; n < call->run->n; n++) {
        for (int64_t p = 0; p < out.h; p++) {
            for (int64_t q = 0; q < out.w; q++) {
                for (int64_t c = 0; c < out.c; c++) {
                    *y++ = (st_real)reference_output(call, is_maximum, n, p, q, c);
                }
            }
        }
    }
}

static void max_reference(const st_call *call) {
    reference_all(call, true);
}

static void average_reference(const st_call *call) {
    reference_all(call, false);
}

/* ---- what the layers say of themselves ---- */

static const st_impl max_nhwc = {.prepare = max_prepare,
                                 .forward = {{.items = row_items, .run = max_rows}},
                                 .backward = {{.run = max_gather, .by_image = true}},
                                 .backward_reads_here = max_reads,
                                 .reads_strided = true,
                                 .writes_strided = true};

static const st_impl max_lanes = {.forward = {{.run = max_forward, .by_image = true}},
                                  .backward = {{.run = max_backward, .by_image = true}},
                                  .backward_reads = ST_READS_IN_AND_OUT,
                                  .reads_strided = true,
                                  .writes_strided = true};

static const st_impl average_nhwc = {.forward = {{.items = row_items, .run = average_rows}},
                                     .backward = {{.run = average_backward, .by_image = true}},
                                     .reads_strided = true,
                                     .writes_strided = true};

static const st_impl average_lanes = {.forward = {{.run = average_forward, .by_image = true}},
                                      .backward = {{.run = average_backward, .by_image = true}},
                                      .reads_strided = true,
                                      .writes_strided = true};

#define POOL_STRIDE                                                                                                    \
    {                                                                                                                  \
        .name = "stride", .kind = ST_PARAM_PAIR, .offset = offsetof(pool_params, stride), .standard = "kernel",        \
        .minimum = 1, .maximum = 255, .words = "kernel", .meaning = "step of the window; as large as the window"       \
    }
#define POOL_PAD                                                                                                       \
    {                                                                                                                  \
        .name = "pad", .kind = ST_PARAM_PAIR, .offset = offsetof(pool_params, pad), .standard = "0", .minimum = 0,     \
        .maximum = 254, .words = "same", .meaning = "rows and columns around the image on each side, or same"          \
    }
#define POOL_CEIL                                                                                                      \
    {                                                                                                                  \
        .name = "ceil", .kind = ST_PARAM_FLAG, .offset = offsetof(pool_params, ceil), .standard = "no",                \
        .meaning = "keeps a last window that sticks out of the image"                                                  \
    }

/* ---- in ONNX ---- */

/* Parts of equal size at equal distance are a window; *kernel 0: they are not. */
static void window_of_parts(int64_t *kernel, int64_t *stride, int64_t size, int64_t parts) {
    *kernel = (size + parts - 1) / parts;
    *stride = parts > 1 ? size / parts : 1;
    for (int64_t i = 0; i < parts; i++) {
        int64_t begin = i * size / parts, end = ((i + 1) * size + parts - 1) / parts;
        if (begin != i * *stride || end - begin != *kernel) {
            *kernel = 0;
            return;
        }
    }
}

static strata_status adaptive_to_onnx(st_onnx_form *out, const st_site *site, bool is_maximum, strata_error *err) {
    st_dims in = site->in[0], to = site->out;
    st_window window = {.dilation_h = 1, .dilation_w = 1};
    if (to.h == 1 && to.w == 1) {
        st_onnx_add(out, is_maximum ? "GlobalMaxPool" : "GlobalAveragePool");
        return STRATA_OK;
    }
    window_of_parts(&window.r, &window.stride_h, in.h, to.h);
    window_of_parts(&window.s, &window.stride_w, in.w, to.w);
    ST_FAIL_IF(window.r == 0 || window.s == 0, err, STRATA_UNSUPPORTED,
               "cuts %lldx%lld into %lldx%lld parts that are not equal, which no window of ONNX does", (long long)in.h,
               (long long)in.w, (long long)to.h, (long long)to.w);
    if (window.r > 1 || window.s > 1) {
        st_onnx_set_window(st_onnx_add(out, is_maximum ? "MaxPool" : "AveragePool"), &window);
    }
    return STRATA_OK;
}

/* How far the last window sticks out of the padded image: only with ceil=yes. *drops: ONNX would count one more, which
 * begins behind the image. */
static int64_t sticks_out(bool *drops, int64_t size, int64_t kernel, int64_t stride, int64_t count) {
    int64_t end = (count - 1) * stride + kernel - size;
    *drops = *drops || (end > 0 && (size - kernel + stride - 1) / stride + 1 != count);
    return end > 0 ? end : 0;
}

/* What sticks out is the business of ceil_mode, or of padding at the end where that would count other windows. Places
 * in padding that count in a mean come from a Pad before it where others do not. */
static strata_status window_to_onnx(st_onnx_form *out, const st_site *site, bool is_maximum) {
    const pool_params *params = site->params;
    st_window_params geometry = window_params(params);
    st_window window = st_window_of(&geometry, site->in[0]);
    bool drops = false;
    int64_t rows = site->in[0].h + window.pad_top + window.pad_bottom,
            columns = site->in[0].w + window.pad_left + window.pad_right;
    int64_t below = sticks_out(&drops, rows, window.r, window.stride_h, window.p);
    int64_t beside = sticks_out(&drops, columns, window.s, window.stride_w, window.q);
    bool counts = !is_maximum && !params->exclude_pad && (rows > site->in[0].h || columns > site->in[0].w);
    if (counts && below + beside > 0) {
        const int64_t pads[] = {0, 0, window.pad_top, window.pad_left, 0, 0, window.pad_bottom, window.pad_right};
        st_onnx_read_list(st_onnx_add(out, "Pad"), "pads", pads, 8);
        window.pad_top = window.pad_left = window.pad_bottom = window.pad_right = 0;
        counts = false;
    }
    window.pad_bottom += drops ? below : 0;
    window.pad_right += drops ? beside : 0;
    st_onnx_node *node = st_onnx_add(out, is_maximum ? "MaxPool" : "AveragePool");
    st_onnx_set_window(node, &window);
    if (!drops && below + beside > 0) {
        st_onnx_set(node, "ceil_mode", 1);
    }
    if (counts) {
        st_onnx_set(node, "count_include_pad", 1);
    }
    return STRATA_OK;
}

static strata_status max_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    return is_adaptive(site->params) ? adaptive_to_onnx(out, site, true, err) : window_to_onnx(out, site, true);
}

static strata_status average_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    return is_adaptive(site->params) ? adaptive_to_onnx(out, site, false, err) : window_to_onnx(out, site, false);
}

const st_op st_op_maxpool = {
    .name = "maxpool",
    .summary = "the largest value of each window",
    .source = "Scherer, Mueller, Behnke 2010, \"Evaluation of pooling operations\"",
    .examples = "input 8x8x3, maxpool 2x2\n"
                "input 12x11x16, maxpool 3x3 stride=2 pad=1\n"
                "input 14x14x5, maxpool 3x3 stride=2 ceil=yes\n"
                "input 9x7x20, maxpool 3x2 stride=1x2\n"
                "input 7x7x6, maxpool 3 stride=1 pad=same\n"
                "input 10x10x4, maxpool 2 stride=3\n"
                "input 6x5x33, maxpool global\n",
    .notes = "Padding never wins: it counts as minus infinity. Of equal values the first one, row by row, gets the\n"
             "gradient. ceil=yes is what AlexNet's and GoogLeNet's published nets mean by 3x3/2 without padding.",
    .params = {{.name = "kernel",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(pool_params, kernel),
                .is_positional = true,
                .minimum = 1,
                .maximum = 255,
                .words = "global",
                .meaning = "rows x columns of the window, or global: the whole image"},
               POOL_STRIDE,
               POOL_PAD,
               POOL_CEIL},
    .params_size = sizeof(pool_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .kind = STRATA_LAYER_POOL,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &max_nhwc, [ST_LAYOUT_LANES] = &max_lanes},
    .reference = max_reference,
    .to_onnx = max_to_onnx,
};

const st_op st_op_avgpool = {
    .name = "avgpool",
    .summary = "the mean of each window; `avgpool global`: of the image",
    .source =
        "LeCun, Bottou, Bengio, Haffner 1998, section II; global: Lin, Chen, Yan 2013, arXiv:1312.4400, section 3.2",
    .examples = "input 28x28x6, avgpool 2x2 stride=2\n"
                "input 9x8x5, avgpool 3x3 stride=2 pad=1\n"
                "input 11x10x4, avgpool 3x3 stride=2 pad=1 ceil=yes\n"
                "input 8x9x20, avgpool 2x3 stride=1\n"
                "input 6x7x3, avgpool 3 stride=2 pad=same\n"
                "input 7x7x33, avgpool global\n"
                "input 14x11x8, avgpool out=4x4\n"
                "input 8x8x16, avgpool out=2x4\n"
                "input 9x8x5, avgpool 3x3 stride=1 pad=1 exclude_pad=yes\n"
                "input 10x11x20, avgpool 3x3 stride=2 pad=1 ceil=yes exclude_pad=yes\n"
                "input 6x7x3, avgpool 3 stride=2 pad=same exclude_pad=yes\n",
    .notes = "A sum is divided by the size of the window, zeros of the padding counted, as torch's AvgPool2d does by\n"
             "default and Caffe; exclude_pad=yes divides by what lies in the image, as TensorFlow, Keras and\n"
             "ONNX's default do. The part of a window that sticks out beyond the padding (ceil=yes) never counts.\n"
             "out=HxW cuts the image into HxW parts of nearly equal size, whatever its own size.",
    .params = {{.name = "kernel",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(pool_params, kernel),
                .standard = "global",
                .is_positional = true,
                .minimum = 1,
                .maximum = 255,
                .words = "global",
                .meaning = "rows x columns of the window, or global: the whole image"},
               POOL_STRIDE,
               POOL_PAD,
               POOL_CEIL,
               {.name = "out",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(pool_params, out),
                .standard = "none",
                .minimum = 1,
                .maximum = 4096,
                .words = "none",
                .meaning = "rows x columns of the output, instead of a window"},
               {.name = "exclude_pad",
                .kind = ST_PARAM_FLAG,
                .offset = offsetof(pool_params, exclude_pad),
                .standard = "no",
                .meaning = "the mean of what lies in the image, without the padding"}},
    .params_size = sizeof(pool_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .kind = STRATA_LAYER_POOL,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &average_nhwc, [ST_LAYOUT_LANES] = &average_lanes},
    .reference = average_reference,
    .to_onnx = average_to_onnx,
};
