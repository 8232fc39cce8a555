/* conv in image lanes: [n/16][h][w][c][16 images], for nets with few channels. An item is a block of 16 images; the
 * arithmetic and the order of its sums are in kernels/lanes.inc.
 *
 * Weights lie as [groups][blocks of 64 c][r][s][c of the block][k], the order of the forward chain. Padding is part of
 * forward's chains, and of dw's; kernels copy bands of rows with it into the thread's scratch. dx leaves out the taps
 * that fall outside. Backward writes each block's dw and db into `shared` (`carried`, where a step comes in pieces); a
 * second phase adds them up, a slice an item. */
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

/* Pixels: elements between neighbours. */
static st_lanes_conv problem_of(const st_site *site, const st_window *window, int64_t x_pixel, int64_t y_pixel) {
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
                           .h = site->in[0].h,
                           .w = site->in[0].w,
                           .p = window->p,
                           .q = window->q,
                           .x_pixel = x_pixel,
                           .y_pixel = y_pixel};
}

static st_real *block_of(const st_view *view, int64_t block) {
    int64_t elements = view->dims.h * view->dims.w * view->pixel_stride * ST_LANES;
    return (st_real *)view->data + block * elements;
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    (void)err;
    st_window window = st_conv_window(site);
    st_lanes_conv problem = problem_of(site, &window, 0, 0);
    needs->thread_bytes = st_lanes_conv_bytes(&problem);
    if (site->mode == ST_MODE_TRAIN) {
        size_t data = st_lanes_data_bytes(&problem), weights = st_lanes_weights_count(&problem) * sizeof(st_real);
        needs->thread_bytes = data > needs->thread_bytes ? data : needs->thread_bytes;
        needs->thread_bytes = weights > needs->thread_bytes ? weights : needs->thread_bytes;
    }
    if (site->mode == ST_MODE_TRAIN && site->dstate_needed) {
        int64_t pieces = site->total > 0 ? (site->total + site->batch - 1) / site->batch : 1;
        size_t bytes = (size_t)(pieces * block_count(site->batch) * part_count(site)) * sizeof(st_real);
        needs->shared_bytes = site->total > 0 ? 0 : bytes;
        needs->carried_bytes = site->total > 0 ? bytes : 0;
    }
    return STRATA_OK;
}

/* ---- running ---- */

static void forward_block(const st_call *call, int64_t block, void *thread_scratch) {
    const st_window window = st_conv_window(call->site);
    const st_view *residual = &call->epilogue.residual;
    st_lanes_conv problem =
        problem_of(call->site, &window, call->in[0].pixel_stride * ST_LANES, call->out.pixel_stride * ST_LANES);
    call->site->kernels->lanes_conv(&problem, block_of(&call->in[0], block), call->state[ST_CONV_WEIGHT],
                                    &call->epilogue, residual->data == NULL ? NULL : block_of(residual, block),
                                    block_of(&call->out, block), thread_scratch);
}

/* The sums of block `block`, of the step's first piece. A step in pieces keeps them all. */
static st_real *part_of(const st_call *call, int64_t block) {
    st_real *parts = call->carried != NULL ? call->carried : call->shared;
    return parts + block * part_count(call->site);
}

/* Blocks of the step's pieces before this one. */
static int64_t blocks_before(const st_call *call) {
    return call->run->first / call->site->batch * block_count(call->site->batch);
}

static void backward_weights(const st_call *call, const st_window *window, int64_t block, st_real *thread_scratch) {
    st_lanes_conv problem =
        problem_of(call->site, window, call->in[0].pixel_stride * ST_LANES, call->dout.pixel_stride * ST_LANES);
    st_real *part = part_of(call, blocks_before(call) + block);
    bool has_bias = call->dstate[ST_CONV_BIAS] != NULL;
    call->site->kernels->lanes_conv_weights(&problem, block_of(&call->in[0], block), block_of(&call->dout, block), part,
                                            has_bias ? part + weight_count(call->site) : NULL, thread_scratch);
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
            problem_of(call->site, &window, dx->pixel_stride * ST_LANES, call->dout.pixel_stride * ST_LANES);
        call->site->kernels->lanes_conv_data(&problem, block_of(&call->dout, block), call->state[ST_CONV_WEIGHT],
                                             block_of(dx, block), call->din_add[0], thread_scratch);
    }
}

/* Slices of dw, then one item for db. */
static int64_t slice_count(const st_call *call) {
    bool is_summed = has_gradient(call) && st_run_is_last(call->run);
    return is_summed ? (weight_count(call->site) + SLICE - 1) / SLICE + 1 : 0;
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
    call->site->kernels->lanes_sum(part_of(call, 0) + first, part_count(call->site),
                                   blocks_before(call) + block_count(call->run->n), is_bias ? to : to + first, count);
}

/* ---- the order of the weights ---- */

static size_t state_count(const st_site *site, int state) {
    const st_conv_params *params = site->params;
    return (size_t)(state == ST_CONV_WEIGHT ? weight_count(site) : params->filters);
}

st_conv_place st_conv_lanes_place(const st_site *site, int64_t k, int64_t c) {
    const st_conv_params *params = site->params;
    int64_t channels = channels_of_group(site), outputs = params->filters / params->groups;
    int64_t taps = params->kernel[0] * params->kernel[1], first = c / ST_BLOCK_C * ST_BLOCK_C;
    int64_t block = channels - first < ST_BLOCK_C ? channels - first : ST_BLOCK_C;
    int64_t chain = first * taps + c - first;
    return (st_conv_place){.first = (k / outputs * channels * taps + chain) * outputs + k % outputs,
                           .step = block * outputs};
}

static void move_weights(const st_site *site, const st_real *from, st_real *to, bool packs) {
    const st_conv_params *params = site->params;
    int64_t taps = params->kernel[0] * params->kernel[1], published = 0;
    for (int64_t k = 0; k < params->filters; k++) {
        for (int64_t c = 0; c < channels_of_group(site); c++) {
            const st_conv_place place = st_conv_lanes_place(site, k, c);
            for (int64_t tap = 0; tap < taps; tap++, published++) {
                int64_t native = place.first + tap * place.step;
                to[packs ? native : published] = from[packs ? published : native];
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
    .forward = {[ST_CONV_FORWARD] = {.run = forward_block, .by_image = true}},
    .backward = {[ST_CONV_LANES_BACKWARD] = {.run = backward_block, .by_image = true},
                 [ST_CONV_LANES_SUM] = {.items = slice_count, .run = sum_slice, .only_states = true}},
    .fuses_epilogue = true,
    .backward_reads = ST_READS_IN,
    .reads_strided = true,
    .writes_strided = true,
    .state_count = state_count,
    .pack = pack,
    .unpack = unpack,
};
