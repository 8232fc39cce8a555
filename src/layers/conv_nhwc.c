/* Convolution in NHWC: sizes, the packed order of weights, forward. Any stride, padding, dilation and number of groups.
 * The arithmetic is the dense engine's (conv_nhwc_dense.c); the backward passes have files of their own.
 *
 * n image, c input channel, k output channel, r s kernel rows and columns, p q output rows and columns. */
#include <string.h>

#include "layers/conv_nhwc.h"

st_conv_shape st_conv_shape_of(const st_site *site) {
    const st_conv_params *params = site->params;
    st_conv_shape shape = {.window = st_conv_window(site),
                           .groups = params->groups,
                           .c = site->in[0].c / params->groups,
                           .k = params->filters / params->groups,
                           .in = site->in[0],
                           .out = site->out};
    shape.k_blocks = st_ceil_div(shape.k, ST_BLOCK_K);
    shape.c_blocks = st_ceil_div(shape.c, ST_BLOCK_C);
    shape.group_weights = shape.k_blocks * ST_BLOCK_K * shape.c * shape.window.r * shape.window.s;
    return shape;
}

/* ---- the order of weights ---- */

static size_t state_count(const st_site *site, int state) {
    const st_conv_shape shape = st_conv_shape_of(site);
    if (site->state[state].rank == 0) {
        return 0;
    }
    return state == ST_CONV_WEIGHT ? (size_t)(shape.groups * shape.group_weights) : (size_t)(shape.groups * shape.k);
}

static st_conv_place place_of(const st_conv_shape *shape, int64_t k, int64_t c) {
    const int64_t taps = shape->window.r * shape->window.s, inner = k % shape->k;
    const int64_t block =
        k / shape->k * shape->group_weights + inner / ST_BLOCK_K * ST_BLOCK_K * shape->c * taps + inner % ST_BLOCK_K;
    const int64_t c0 = c / ST_BLOCK_C * ST_BLOCK_C, size = st_min(ST_BLOCK_C, shape->c - c0);
    return (st_conv_place){.first = block + (c0 * taps + c - c0) * ST_BLOCK_K, .step = size * ST_BLOCK_K};
}

st_conv_place st_conv_nhwc_place(const st_site *site, int64_t k, int64_t c) {
    const st_conv_shape shape = st_conv_shape_of(site);
    return place_of(&shape, k, c);
}

/* Calls `move` for every weight that exists with its place in both orders: place_of without its divisions, since a
 * checkpoint of 60 million weights is to be there at once. */
static inline void walk_weights(const st_conv_shape *shape, void (*move)(void *arg, int64_t published, int64_t native),
                                void *arg) {
    const int64_t taps = shape->window.r * shape->window.s;
    for (int64_t k = 0; k < shape->groups * shape->k; k++) {
        const int64_t row = place_of(shape, k, 0).first;
        for (int64_t c0 = 0; c0 < shape->c; c0 += ST_BLOCK_C) {
            const int64_t size = st_min(ST_BLOCK_C, shape->c - c0);
            for (int64_t c = c0; c < c0 + size; c++) {
                const int64_t first = row + (c0 * taps + c - c0) * ST_BLOCK_K;
                for (int64_t tap = 0; tap < taps; tap++) {
                    move(arg, (k * shape->c + c) * taps + tap, first + tap * size * ST_BLOCK_K);
                }
            }
        }
    }
}

typedef struct two_orders {
    const st_real *from;
    st_real *to;
} two_orders;

static void move_in(void *arg, int64_t published, int64_t native) {
    const two_orders *orders = arg;
    orders->to[native] = orders->from[published];
}

static void move_out(void *arg, int64_t published, int64_t native) {
    const two_orders *orders = arg;
    orders->to[published] = orders->from[native];
}

static void pack(const st_site *site, int state, const st_real *published, st_real *native) {
    const size_t count = state_count(site, state);
    if (state != ST_CONV_WEIGHT) {
        memcpy(native, published, count * sizeof(st_real));
        return;
    }
    const st_conv_shape shape = st_conv_shape_of(site);
    memset(native, 0, count * sizeof(st_real));
    walk_weights(&shape, move_in, &(two_orders){published, native});
}

static void unpack(const st_site *site, int state, const st_real *native, st_real *published) {
    if (state != ST_CONV_WEIGHT) {
        memcpy(published, native, state_count(site, state) * sizeof(st_real));
        return;
    }
    const st_conv_shape shape = st_conv_shape_of(site);
    walk_weights(&shape, move_out, &(two_orders){native, published});
}

/* ---- forward ---- */

/* Group `group`; a 1x1 with a stride is one without over an input that lacks the pixels between. */
static st_dense forward_of(const st_site *site, int64_t n, const st_view *in, const st_view *out, int64_t group) {
    const st_conv_shape shape = st_conv_shape_of(site);
    const st_window *window = &shape.window;
    st_dense dense = {.kernels = site->kernels,
                      .threads = site->threads,
                      .n = n,
                      .h = shape.in.h,
                      .w = shape.in.w,
                      .c = shape.c,
                      .r = window->r,
                      .s = window->s,
                      .stride_h = window->stride_h,
                      .stride_w = window->stride_w,
                      .dilation_h = window->dilation_h,
                      .dilation_w = window->dilation_w,
                      .top = window->pad_top,
                      .left = window->pad_left,
                      .p = window->p,
                      .q = window->q,
                      .k = shape.k,
                      .x_pixel = in->pixel_stride,
                      .x_row = in->pixel_stride * shape.in.w,
                      .x_image = in->pixel_stride * shape.in.w * shape.in.h,
                      .y_pixel = out->pixel_stride,
                      .y_row = out->pixel_stride * window->q,
                      .y_image = out->pixel_stride * window->q * window->p};
    if (in->data != NULL) {
        dense.x = (const st_real *)in->data + group * shape.c;
        dense.y = (st_real *)out->data + group * shape.k;
    }
    const bool is_inside =
        (window->p - 1) * window->stride_h < shape.in.h && (window->q - 1) * window->stride_w < shape.in.w;
    if (window->r == 1 && window->s == 1 && window->pad_top == 0 && window->pad_left == 0 && is_inside) {
        dense.h = window->p;
        dense.w = window->q;
        dense.x_row *= window->stride_h;
        dense.x_pixel *= window->stride_w;
        dense.stride_h = dense.stride_w = 1;
    }
    return dense;
}

static st_dense_cut forward_cut(const st_call *call) {
    const st_dense dense = forward_of(call->site, call->run->n, &call->in[0], &call->out, 0);
    return st_dense_plan(&dense);
}

static int64_t forward_items(const st_call *call) {
    const st_dense_cut cut = forward_cut(call);
    return st_dense_items(&cut) * ((const st_conv_params *)call->site->params)->groups;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    const st_dense_cut cut = forward_cut(call);
    const int64_t items = st_dense_items(&cut), group = item / items;
    const st_conv_shape shape = st_conv_shape_of(call->site);
    st_dense dense = forward_of(call->site, call->run->n, &call->in[0], &call->out, group);
    const st_epilogue *epilogue = &call->epilogue;
    dense.weights = call->state[ST_CONV_WEIGHT] + group * shape.group_weights;
    dense.scale = epilogue->scale == NULL ? NULL : epilogue->scale + group * shape.k;
    dense.shift = epilogue->shift == NULL ? NULL : epilogue->shift + group * shape.k;
    if (epilogue->residual.data != NULL) {
        dense.residual = (const st_real *)epilogue->residual.data + group * shape.k;
        dense.residual_pixel = epilogue->residual.pixel_stride;
    }
    dense.activation = epilogue->activation;
    st_dense_run(&dense, &cut, item % items, scratch);
}

/* ---- what it needs ---- */

static size_t forward_bytes(const st_site *site) {
    const st_view in = {.dims = site->in[0], .pixel_stride = site->in[0].c};
    const st_view out = {.dims = site->out, .pixel_stride = site->out.c};
    const st_dense dense = forward_of(site, site->batch, &in, &out, 0);
    return st_dense_plan(&dense).bytes;
}

/* Sizes that would overflow have failed in shape inference, but for what padding and blocks add. */
static strata_status check_sizes(const st_site *site, strata_error *err) {
    const st_conv_shape shape = st_conv_shape_of(site);
    const st_window *window = &shape.window;
    const int64_t rows = shape.in.h + window->pad_top + window->pad_bottom;
    const int64_t columns = shape.in.w + window->pad_left + window->pad_right;
    int64_t product;
    const bool fits =
        st_layer_product(&product, (const int64_t[]){site->batch, rows, columns, shape.in.c + 64, 64}, 5) &&
        st_layer_product(&product, (const int64_t[]){site->batch, window->p, window->q, site->out.c + 64, 64}, 5) &&
        st_layer_product(&product,
                         (const int64_t[]){shape.groups, shape.k + 64, shape.c + 64, window->r, window->s, 64}, 6);
    ST_FAIL_IF(!fits, err, STRATA_SHAPE, "a convolution of %lldx%lldx%lld with %lld images is too large",
               (long long)shape.in.h, (long long)shape.in.w, (long long)shape.in.c, (long long)site->batch);
    return STRATA_OK;
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    ST_TRY(check_sizes(site, err));
    needs->thread_bytes = forward_bytes(site);
    if (site->mode == ST_MODE_TRAIN) {
        const size_t data = site->din_needed[0] ? st_conv_data_thread_bytes(site) : 0;
        const size_t weights = site->dstate_needed ? st_conv_weights_thread_bytes(site) : 0;
        needs->shared_bytes = (site->din_needed[0] ? st_conv_turned_bytes(site) : 0) +
                              (site->dstate_needed ? st_conv_weights_shared_bytes(site) : 0);
        needs->thread_bytes = data > needs->thread_bytes ? data : needs->thread_bytes;
        needs->thread_bytes = weights > needs->thread_bytes ? weights : needs->thread_bytes;
        needs->carried_bytes = site->dstate_needed ? st_conv_weights_carried_bytes(site) : 0;
    }
    return STRATA_OK;
}

/* ---- backward: the two passes are independent, so their items share the phases ---- */

static bool wants_data(const st_call *call) {
    return call->din != NULL && call->din[0].data != NULL;
}

static bool wants_weights(const st_call *call) {
    return call->dstate[ST_CONV_WEIGHT] != NULL;
}

static int64_t turn_items(const st_call *call) {
    return wants_data(call) ? st_conv_turn_items(call) : 0;
}

static int64_t backward_items(const st_call *call) {
    return (wants_data(call) ? st_conv_data_items(call) : 0) + (wants_weights(call) ? st_conv_weights_items(call) : 0);
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    const int64_t weights = wants_weights(call) ? st_conv_weights_items(call) : 0;
    if (item < weights) {
        st_conv_weights(call, item, scratch);
    } else {
        st_conv_data(call, item - weights, scratch);
    }
}

static int64_t merge_items(const st_call *call) {
    return wants_weights(call) ? st_conv_merge_items(call) : 0;
}

const st_impl st_conv_nhwc = {
    .prepare = prepare,
    .forward = {[ST_CONV_FORWARD] = {.items = forward_items, .run = forward}},
    .backward = {[ST_CONV_NHWC_TURN] = {.items = turn_items, .run = st_conv_turn},
                 [ST_CONV_NHWC_BACKWARD] = {.items = backward_items, .run = backward},
                 [ST_CONV_NHWC_MERGE] = {.items = merge_items, .run = st_conv_merge}},
    .fuses_epilogue = true,
    .backward_reads = ST_READS_IN,
    .reads_strided = true,
    .writes_strided = true,
    .state_count = state_count,
    .pack = pack,
    .unpack = unpack,
};
