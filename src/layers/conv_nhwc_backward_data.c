/* Gradient of a convolution's input, NHWC: the dense engine on dy with turned weights.
 *
 * Row h of x meets tap r where h + top - r * dilation is a multiple of the stride: h mod stride decides which taps, so
 * rows and columns fall into stride_h * stride_w classes, and each class is a dense convolution over dy with its own
 * taps, by rising position in dy (r and s falling), written at the stride. No zeros are multiplied. The weights are
 * turned for all classes first: [class][C/32][K/64][taps of r][taps of s][k of the block][32].
 *
 * n image, c channel of x, k channel of y, r s kernel rows and columns. */
#include "layers/conv_nhwc.h"

/* One axis of one class: the taps are first, first - step, ... (falling), `count` of them; output i of the class reads
 * dy at i - before, then `dilation` further for each tap. */
typedef struct class_axis {
    int64_t size; /* rows of x in this class */
    int64_t first, step, count, before, dilation;
} class_axis;

static int64_t common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static class_axis axis_of(int64_t index, int64_t size, int64_t taps, int64_t stride, int64_t dilation, int64_t pad) {
    class_axis axis = {.size = index < size ? st_ceil_div(size - index, stride) : 0};
    const int64_t divisor = common_divisor(stride, dilation);
    axis.step = stride / divisor;
    axis.dilation = dilation / divisor;
    for (int64_t tap = taps - 1; tap >= 0; tap--) {
        if ((index + pad - tap * dilation) % stride == 0) {
            axis.first = tap;
            axis.count = tap / axis.step + 1;
            axis.before = -((index + pad - tap * dilation) / stride);
            break;
        }
    }
    return axis;
}

typedef struct class_pair {
    class_axis h, w;
    int64_t row, column; /* the class: h mod stride, w mod stride */
    int64_t weights;     /* where its turned weights begin, within a group */
} class_pair;

static int64_t turned_weights(const st_conv_shape *shape, int64_t taps) {
    return st_ceil_div(shape->c, ST_BLOCK_K) * ST_BLOCK_K * shape->k * taps;
}

static int64_t class_count(const st_conv_shape *shape) {
    return shape->window.stride_h * shape->window.stride_w;
}

static class_axis row_axis(const st_conv_shape *shape, int64_t index) {
    const st_window *window = &shape->window;
    return axis_of(index, shape->in.h, window->r, window->stride_h, window->dilation_h, window->pad_top);
}

static class_axis column_axis(const st_conv_shape *shape, int64_t index) {
    const st_window *window = &shape->window;
    return axis_of(index, shape->in.w, window->s, window->stride_w, window->dilation_w, window->pad_left);
}

static class_pair class_of(const st_conv_shape *shape, int64_t index) {
    class_pair pair = {.row = index / shape->window.stride_w, .column = index % shape->window.stride_w};
    pair.h = row_axis(shape, pair.row);
    pair.w = column_axis(shape, pair.column);
    int64_t taps = 0; /* of the classes before; each tap belongs to one class on each axis */
    for (int64_t row = 0; row < pair.row; row++) {
        taps += row_axis(shape, row).count * shape->window.s;
    }
    for (int64_t column = 0; column < pair.column; column++) {
        taps += pair.h.count * column_axis(shape, column).count;
    }
    pair.weights = turned_weights(shape, taps);
    return pair;
}

/* ---- turning the weights ---- */

size_t st_conv_turned_bytes(const st_site *site) {
    const st_conv_shape shape = st_conv_shape_of(site);
    return st_round_64((size_t)(shape.groups * turned_weights(&shape, shape.window.r * shape.window.s)) *
                       sizeof(st_real));
}

/* Items: group, class, block of 32 c. */
int64_t st_conv_turn_items(const st_call *call) {
    const st_conv_shape shape = st_conv_shape_of(call->site);
    return shape.groups * class_count(&shape) * st_ceil_div(shape.c, ST_BLOCK_K);
}

/* The 32 (or fewer) x 32 numbers of one tap, of c block `c_block` (32s) and k block `k_block` (32s). */
static void turn_tap(const st_call *call, const st_conv_shape *shape, const st_real *packed, st_real *turned,
                     int64_t c_block, int64_t k_block, int64_t tap) {
    const int64_t taps = shape->window.r * shape->window.s;
    const int64_t c = c_block * ST_BLOCK_K, c0 = c / ST_BLOCK_C * ST_BLOCK_C;
    const int64_t size = st_min(ST_BLOCK_C, shape->c - c0), rows = st_min(ST_BLOCK_K, shape->c - c);
    const int64_t columns = st_min(ST_BLOCK_K, shape->k - k_block * ST_BLOCK_K);
    const st_real *from = packed + (k_block * shape->c * taps + c0 * taps + tap * size + c - c0) * ST_BLOCK_K;
    call->site->kernels->transpose(turned, ST_BLOCK_K, from, ST_BLOCK_K, rows, columns);
    for (int64_t k = 0; k < columns; k++) {
        for (int64_t i = rows; i < ST_BLOCK_K; i++) {
            turned[k * ST_BLOCK_K + i] = 0;
        }
    }
}

void st_conv_turn(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    const st_conv_shape shape = st_conv_shape_of(call->site);
    const int64_t c_blocks = st_ceil_div(shape.c, ST_BLOCK_K), c_block = item % c_blocks;
    const int64_t group = item / c_blocks / class_count(&shape);
    const class_pair pair = class_of(&shape, item / c_blocks % class_count(&shape));
    const int64_t taps = pair.h.count * pair.w.count;
    const st_real *packed = call->state[ST_CONV_WEIGHT] + group * shape.group_weights;
    st_real *turned = (st_real *)call->shared + group * turned_weights(&shape, shape.window.r * shape.window.s) +
                      pair.weights + c_block * ST_BLOCK_K * shape.k * taps;
    for (int64_t k_block = 0; k_block < shape.k_blocks; k_block++) {
        const int64_t k = k_block * ST_BLOCK_K, k0 = k / ST_BLOCK_C * ST_BLOCK_C;
        const int64_t size = st_min(ST_BLOCK_C, shape.k - k0);
        for (int64_t i = 0; i < taps; i++) {
            const int64_t r = pair.h.first - i / pair.w.count * pair.h.step;
            const int64_t s = pair.w.first - i % pair.w.count * pair.w.step;
            turn_tap(call, &shape, packed, turned + (k0 * taps + i * size + k - k0) * ST_BLOCK_K, c_block, k_block,
                     r * shape.window.s + s);
        }
    }
}

/* ---- the passes over the classes ---- */

static st_dense dense_of(const st_site *site, int64_t n, const st_view *dout, const st_view *din,
                         const class_pair *pair) {
    const st_conv_shape shape = st_conv_shape_of(site);
    const st_window *window = &shape.window;
    const int64_t step = din->pixel_stride, row = step * shape.in.w;
    return (st_dense){.kernels = site->kernels,
                      .threads = site->threads,
                      .n = n,
                      .h = window->p,
                      .w = window->q,
                      .c = shape.k,
                      .r = pair->h.count,
                      .s = pair->w.count,
                      .stride_h = 1,
                      .stride_w = 1,
                      .dilation_h = pair->h.dilation,
                      .dilation_w = pair->w.dilation,
                      .top = pair->h.before,
                      .left = pair->w.before,
                      .p = pair->h.size,
                      .q = pair->w.size,
                      .k = shape.c,
                      .x_pixel = dout->pixel_stride,
                      .x_row = dout->pixel_stride * window->q,
                      .x_image = dout->pixel_stride * window->q * window->p,
                      .y_pixel = step * window->stride_w,
                      .y_row = row * window->stride_h,
                      .y_image = row * shape.in.h};
}

/* Items of one class: of the engine, or one for each image where no tap reaches (zeros are written). */
static int64_t class_items(const st_call *call, const class_pair *pair, st_dense_cut *cut) {
    if (pair->h.size * pair->w.size == 0) {
        return 0;
    }
    if (pair->h.count * pair->w.count == 0) {
        return call->din_add[0] ? 0 : call->run->n;
    }
    const st_dense dense = dense_of(call->site, call->run->n, &call->dout, &call->din[0], pair);
    *cut = st_dense_plan(&dense);
    return st_dense_items(cut);
}

int64_t st_conv_data_items(const st_call *call) {
    const st_conv_shape shape = st_conv_shape_of(call->site);
    int64_t items = 0;
    for (int64_t i = 0; i < class_count(&shape); i++) {
        const class_pair pair = class_of(&shape, i);
        st_dense_cut cut;
        items += class_items(call, &pair, &cut);
    }
    return items * shape.groups;
}

static void write_zeros(const st_call *call, const st_conv_shape *shape, const class_pair *pair, int64_t group,
                        int64_t image) {
    const st_view *din = &call->din[0];
    for (int64_t h = pair->row; h < shape->in.h; h += shape->window.stride_h) {
        for (int64_t w = pair->column; w < shape->in.w; w += shape->window.stride_w) {
            st_real *to = (st_real *)din->data + ((image * shape->in.h + h) * shape->in.w + w) * din->pixel_stride +
                          group * shape->c;
            for (int64_t c = 0; c < shape->c; c++) {
                to[c] = 0;
            }
        }
    }
}

void st_conv_data(const st_call *call, int64_t item, void *scratch) {
    const st_conv_shape shape = st_conv_shape_of(call->site);
    const int64_t group = item % shape.groups;
    item /= shape.groups;
    class_pair pair = {0};
    st_dense_cut cut = {0};
    for (int64_t i = 0;; i++) {
        pair = class_of(&shape, i);
        const int64_t items = class_items(call, &pair, &cut);
        if (item < items) {
            break;
        }
        item -= items;
    }
    if (pair.h.count * pair.w.count == 0) {
        write_zeros(call, &shape, &pair, group, item);
        return;
    }
    st_dense dense = dense_of(call->site, call->run->n, &call->dout, &call->din[0], &pair);
    dense.x = (const st_real *)call->dout.data + group * shape.k;
    dense.y = (st_real *)call->din[0].data + (pair.row * shape.in.w + pair.column) * call->din[0].pixel_stride +
              group * shape.c;
    dense.weights =
        (const st_real *)call->shared + group * turned_weights(&shape, shape.window.r * shape.window.s) + pair.weights;
    dense.is_begun = call->din_add[0];
    st_dense_run(&dense, &cut, item, scratch);
}

size_t st_conv_data_thread_bytes(const st_site *site) {
    const st_conv_shape shape = st_conv_shape_of(site);
    size_t most = 0;
    for (int64_t i = 0; i < class_count(&shape); i++) {
        const class_pair pair = class_of(&shape, i);
        if (pair.h.size * pair.w.size * pair.h.count * pair.w.count > 0) {
            const st_view dout = {.dims = site->out, .pixel_stride = site->out.c};
            const st_view din = {.dims = site->in[0], .pixel_stride = site->in[0].c};
            const st_dense dense = dense_of(site, site->batch, &dout, &din, &pair);
            const st_dense_cut cut = st_dense_plan(&dense);
            most = cut.bytes > most ? cut.bytes : most;
        }
    }
    return most;
}
