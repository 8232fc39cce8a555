/* conv in image lanes: [n/16][h][w][c][16 images], for nets with few channels. An item is a block of 16 images; the
 * arithmetic and the order of its sums are in kernels/lanes.inc.
 *
 * Weights lie as [groups][blocks of 64 c][r][s][c of the block][k], the order of the forward chain. Padding is copied
 * around the block in the thread's scratch, so it is part of forward's chains, and of dw's; dx leaves out the taps that
 * fall outside. Backward writes each block's dw and db into `shared`; a second phase adds them up, a slice an item. */
#include <string.h>

#include "layers/layers.h"

enum { SLICE = 1024 }; /* elements of dw that one item of the second phase adds up */

static int64_t channels_of_group(const st_site *site) {
    const st_conv_params *params = site->params;
    return site->in[0].c / params->groups;
}

static int64_t weight_count(const st_site *site) {
    const st_conv_params *params = site->params;
    return params->filters * channels_of_group(site) * params->kernel[0] * params->kernel[1];
}

/* Weights and biases of one block's sums, rounded up to whole vectors. */
static int64_t part_count(const st_site *site) {
    const st_conv_params *params = site->params;
    return (weight_count(site) + params->filters + ST_LANES - 1) / ST_LANES * ST_LANES;
}

static int64_t block_count(int64_t images) {
    return (images + ST_LANES - 1) / ST_LANES;
}

/* ---- geometry ---- */

static bool is_padded(const st_window *window) {
    return window->pad_top > 0 || window->pad_left > 0 || window->pad_bottom > 0 || window->pad_right > 0;
}

static st_dims padded_dims(const st_site *site, const st_window *window) {
    st_dims dims = site->in[0];
    dims.h += window->pad_top + window->pad_bottom;
    dims.w += window->pad_left + window->pad_right;
    return dims;
}

/* `dims`: of the image that lies in memory, with its padding or without; pixels: elements between neighbours. */
static st_lanes_conv problem_of(const st_site *site, const st_window *window, st_dims dims, int64_t x_pixel,
                                int64_t y_pixel) {
    const st_conv_params *params = site->params;
    return (st_lanes_conv){.c = channels_of_group(site),
                           .k = params->filters / params->groups,
                           .groups = params->groups,
                           .r = window->r,
                           .s = window->s,
                           .stride_h = window->stride_h,
                           .stride_w = window->stride_w,
                           .dilation_h = window->dilation_h,
                           .dilation_w = window->dilation_w,
                           .pad_top = window->pad_top,
                           .pad_left = window->pad_left,
                           .h = dims.h,
                           .w = dims.w,
                           .p = window->p,
                           .q = window->q,
                           .x_pixel = x_pixel,
                           .y_pixel = y_pixel};
}

static st_real *block_of(const st_view *view, int64_t block) {
    int64_t elements = view->dims.h * view->dims.w * view->pixel_stride * ST_LANES;
    return (st_real *)view->data + block * elements;
}

/* ---- scratch ---- */

/* A thread's: the padded block, then what a kernel asks for. */
static size_t padded_bytes(const st_site *site, const st_window *window) {
    st_dims dims = padded_dims(site, window);
    return is_padded(window) ? (size_t)(dims.h * dims.w * dims.c) * ST_LANES * sizeof(st_real) : 0;
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    (void)err;
    st_window window = st_conv_window(site);
    st_lanes_conv problem = problem_of(site, &window, site->in[0], 0, 0);
    size_t padded = padded_bytes(site, &window);
    needs->thread_bytes = padded + ST_LANES_CHAIN_BYTES(&problem);
    if (site->mode == ST_MODE_TRAIN) {
        size_t taps = ST_LANES_TAPS_BYTES(&problem), sums = ST_LANES_SUMS_COUNT(&problem) * sizeof(st_real);
        size_t most = padded + (taps > sums ? taps : sums);
        needs->thread_bytes = most > needs->thread_bytes ? most : needs->thread_bytes;
    }
    if (site->mode == ST_MODE_TRAIN && site->dstate_needed) {
        needs->shared_bytes = (size_t)(block_count(site->batch) * part_count(site)) * sizeof(st_real);
    }
    return STRATA_OK;
}

/* The block with its padding: itself where there is none, else a copy in `scratch`. *pixel: elements between pixels. */
static const st_real *padded_block(const st_call *call, const st_window *window, int64_t block, st_real *scratch,
                                   int64_t *pixel) {
    const st_view *in = &call->in[0];
    const st_real *from = block_of(in, block);
    *pixel = in->pixel_stride * ST_LANES;
    if (!is_padded(window)) {
        return from;
    }
    int64_t width = in->dims.c * ST_LANES;
    st_dims dims = padded_dims(call->site, window);
    memset(scratch, 0, padded_bytes(call->site, window));
    for (int64_t h = 0; h < in->dims.h; h++) {
        st_real *to = scratch + ((h + window->pad_top) * dims.w + window->pad_left) * width;
        if (*pixel == width) {
            memcpy(to, from, (size_t)(in->dims.w * width) * sizeof(st_real));
        } else {
            for (int64_t w = 0; w < in->dims.w; w++) {
                memcpy(to + w * width, from + w * *pixel, (size_t)width * sizeof(st_real));
            }
        }
        from += in->dims.w * *pixel;
    }
    *pixel = width;
    return scratch;
}

/* ---- running ---- */

static void forward_block(const st_call *call, int64_t block, void *thread_scratch) {
    st_window window = st_conv_window(call->site);
    int64_t pixel;
    const st_real *x = padded_block(call, &window, block, thread_scratch, &pixel);
    st_lanes_conv problem =
        problem_of(call->site, &window, padded_dims(call->site, &window), pixel, call->out.pixel_stride * ST_LANES);
    const st_view *residual = &call->epilogue.residual;
    call->site->kernels->lanes_conv(&problem, x, call->state[ST_CONV_WEIGHT], &call->epilogue,
                                    residual->data == NULL ? NULL : block_of(residual, block),
                                    block_of(&call->out, block),
                                    (unsigned char *)thread_scratch + padded_bytes(call->site, &window));
}

static void backward_weights(const st_call *call, const st_window *window, int64_t block, st_real *thread_scratch) {
    int64_t pixel;
    const st_real *x = padded_block(call, window, block, thread_scratch, &pixel);
    st_real *sums = thread_scratch + padded_bytes(call->site, window) / sizeof(st_real);
    st_lanes_conv problem =
        problem_of(call->site, window, padded_dims(call->site, window), pixel, call->dout.pixel_stride * ST_LANES);
    st_real *part = (st_real *)call->shared + block * part_count(call->site);
    bool has_bias = call->dstate[ST_CONV_BIAS] != NULL;
    call->site->kernels->lanes_conv_weights(&problem, x, block_of(&call->dout, block), part,
                                            has_bias ? part + weight_count(call->site) : NULL, sums);
}

static bool has_gradient(const st_call *call) {
    return call->dstate[ST_CONV_WEIGHT] != NULL || call->dstate[ST_CONV_BIAS] != NULL;
}

static void backward_block(const st_call *call, int64_t block, void *thread_scratch) {
    st_window window = st_conv_window(call->site);
    if (has_gradient(call)) {
        backward_weights(call, &window, block, thread_scratch);
    }
    const st_view *dx = &call->din[0];
    if (dx->data != NULL) {
        st_lanes_conv problem =
            problem_of(call->site, &window, dx->dims, dx->pixel_stride * ST_LANES, call->dout.pixel_stride * ST_LANES);
        call->site->kernels->lanes_conv_data(&problem, block_of(&call->dout, block), call->state[ST_CONV_WEIGHT],
                                             block_of(dx, block), call->din_add[0], thread_scratch);
    }
}

/* Slices of dw, then one item for db. */
static int64_t slice_count(const st_call *call) {
    return has_gradient(call) ? (weight_count(call->site) + SLICE - 1) / SLICE + 1 : 0;
}

static void sum_slice(const st_call *call, int64_t slice, void *thread_scratch) {
    (void)thread_scratch;
    const st_conv_params *params = call->site->params;
    int64_t weights = weight_count(call->site), first = slice * SLICE;
    bool is_bias = first >= weights;
    st_real *to = call->dstate[is_bias ? ST_CONV_BIAS : ST_CONV_WEIGHT];
    if (to == NULL) {
        return;
    }
    first = is_bias ? weights : first;
    int64_t count = is_bias ? params->filters : weights - first < SLICE ? weights - first : SLICE;
    call->site->kernels->lanes_sum((const st_real *)call->shared + first, part_count(call->site),
                                   block_count(call->run->n), is_bias ? to : to + first, count);
}

/* ---- the order of the weights ---- */

static size_t state_count(const st_site *site, int state) {
    const st_conv_params *params = site->params;
    return (size_t)(state == ST_CONV_WEIGHT ? weight_count(site) : params->filters);
}

/* Where the published weight [k][c][r][s] is. */
static int64_t native_index(const st_site *site, int64_t k, int64_t c, int64_t r, int64_t s) {
    const st_conv_params *params = site->params;
    int64_t channels = channels_of_group(site), outputs = params->filters / params->groups;
    int64_t taps = params->kernel[0] * params->kernel[1], first = c / ST_BLOCK_C * ST_BLOCK_C;
    int64_t block = channels - first < ST_BLOCK_C ? channels - first : ST_BLOCK_C;
    int64_t chain = first * taps + (r * params->kernel[1] + s) * block + c - first;
    return (k / outputs * channels * taps + chain) * outputs + k % outputs;
}

static void move_weights(const st_site *site, const st_real *from, st_real *to, bool packs) {
    const st_conv_params *params = site->params;
    int64_t published = 0;
    for (int64_t k = 0; k < params->filters; k++) {
        for (int64_t c = 0; c < channels_of_group(site); c++) {
            for (int64_t r = 0; r < params->kernel[0]; r++) {
                for (int64_t s = 0; s < params->kernel[1]; s++, published++) {
                    int64_t native = native_index(site, k, c, r, s);
                    to[packs ? native : published] = from[packs ? published : native];
                }
            }
        }
    }
}

static void pack(const st_site *site, int state, const st_real *published, st_real *native) {
    if (state == ST_CONV_WEIGHT) {
        move_weights(site, published, native, true);
    } else {
        memcpy(native, published, state_count(site, state) * sizeof(st_real));
    }
}

static void unpack(const st_site *site, int state, const st_real *native, st_real *published) {
    if (state == ST_CONV_WEIGHT) {
        move_weights(site, native, published, false);
    } else {
        memcpy(published, native, state_count(site, state) * sizeof(st_real));
    }
}

const st_impl st_conv_lanes = {
    .prepare = prepare,
    .forward = {{.run = forward_block, .by_image = true}},
    .backward = {{.run = backward_block, .by_image = true},
                 {.items = slice_count, .run = sum_slice, .only_states = true}},
    .fuses_epilogue = true,
    .backward_reads_in = true,
    .reads_strided = true,
    .writes_strided = true,
    .state_count = state_count,
    .pack = pack,
    .unpack = unpack,
};
