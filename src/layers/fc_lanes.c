/* fc in image lanes: [n/16][h][w][c][16 images]. The arithmetic and the order of its sums are in kernels/lanes.inc.
 *
 * Weights lie as [inputs][outputs rounded up to 16], inputs in the order of memory (h, w, c); published ones have c, h,
 * w. Backward turns dy to [n][outputs] in `shared`, block by block; then items are some rows of dw, each over all
 * images. */
#include <string.h>

#include "layers/layers.h"

enum { ROWS = 24 }; /* inputs whose weights one item of the second phase takes */

static st_lanes_fc problem_of(const st_site *site) {
    const st_fc_params *params = site->params;
    return (st_lanes_fc){.inputs = site->in[0].h * site->in[0].w * site->in[0].c,
                         .outputs = params->outputs,
                         .width = (params->outputs + ST_LANES - 1) / ST_LANES * ST_LANES};
}

static int64_t block_count(int64_t images) {
    return (images + ST_LANES - 1) / ST_LANES;
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    (void)err;
    size_t block_bytes = (size_t)problem_of(site).width * ST_LANES * sizeof(st_real);
    needs->thread_bytes = block_bytes;
    if (site->mode == ST_MODE_TRAIN && site->dstate_needed && site->total > 0) {
        size_t x_bytes = (size_t)(problem_of(site).inputs * ST_LANES) * sizeof(st_real);
        needs->carried_bytes = (size_t)(block_count(site->total) + 1) * (x_bytes + block_bytes);
    } else if (site->mode == ST_MODE_TRAIN && site->dstate_needed) {
        needs->shared_bytes = (size_t)block_count(site->batch) * block_bytes;
    }
    return STRATA_OK;
}

/* ---- running ---- */

static st_real *block_of(const st_view *view, int64_t block, int64_t elements) {
    return view->data == NULL ? NULL : (st_real *)view->data + block * elements * ST_LANES;
}

static void forward_block(const st_call *call, int64_t block, void *thread_scratch) {
    st_lanes_fc fc = problem_of(call->site);
    call->site->kernels->lanes_fc(&fc, block_of(&call->in[0], block, fc.inputs), call->state[ST_CONV_WEIGHT],
                                  &call->epilogue,
                                  block_of(&call->epilogue.residual, block, call->epilogue.residual.pixel_stride),
                                  block_of(&call->out, block, call->out.pixel_stride), thread_scratch);
}

static bool has_gradient(const st_call *call) {
    return call->dstate[ST_CONV_WEIGHT] != NULL || call->dstate[ST_CONV_BIAS] != NULL;
}

/* Where the weights' gradient reads x, [n/16][inputs][16 images], and dy, [n][width], of the whole step. A step in
 * pieces keeps both, and its last piece computes that gradient. */
typedef struct operands {
    st_real *x, *dy;
} operands;

static operands operands_of(const st_call *call, const st_lanes_fc *fc) {
    if (call->carried == NULL) {
        return (operands){call->in[0].data, call->shared};
    }
    st_real *x = call->carried;
    return (operands){x, x + (block_count(call->site->total) + 1) * fc->inputs * ST_LANES};
}

/* The block's x to the images' places in the step. */
static void carry_block(const st_call *call, const st_lanes_fc *fc, st_real *to, int64_t block) {
    int64_t first = call->run->first + block * ST_LANES;
    const st_real *x = block_of(&call->in[0], block, fc->inputs);
    if (first % ST_LANES == 0) {
        memcpy(to + first * fc->inputs, x, (size_t)(fc->inputs * ST_LANES) * sizeof *x);
        return;
    }
    int64_t images = st_item_images(call, &call->in[0], block);
    for (int64_t i = 0; i < fc->inputs; i++) {
        for (int64_t lane = 0; lane < images; lane++) {
            int64_t image = first + lane;
            to[(image / ST_LANES * fc->inputs + i) * ST_LANES + image % ST_LANES] = x[i * ST_LANES + lane];
        }
    }
}

static void backward_block(const st_call *call, int64_t block, void *thread_scratch) {
    (void)thread_scratch;
    st_lanes_fc fc = problem_of(call->site);
    const st_real *dy = block_of(&call->dout, block, call->dout.pixel_stride);
    if (has_gradient(call)) {
        operands of = operands_of(call, &fc);
        if (call->carried != NULL) {
            carry_block(call, &fc, of.x, block);
        }
        st_real *turned = of.dy + (call->run->first + block * ST_LANES) * fc.width;
        for (int64_t i = 0; i < ST_LANES; i++) {
            memset(turned + i * fc.width + fc.outputs, 0, (size_t)(fc.width - fc.outputs) * sizeof(st_real));
        }
        call->site->kernels->transpose(turned, fc.width, dy, ST_LANES, fc.outputs, ST_LANES);
    }
    if (call->din[0].data != NULL) {
        call->site->kernels->lanes_fc_data(&fc, dy, call->state[ST_CONV_WEIGHT],
                                           block_of(&call->din[0], block, fc.inputs), call->din_add[0]);
    }
}

/* Rows of dw, then one item for db. */
static int64_t row_items(const st_call *call) {
    bool is_summed = has_gradient(call) && st_run_is_last(call->run);
    return is_summed ? (problem_of(call->site).inputs + ROWS - 1) / ROWS + 1 : 0;
}

static void gradient_rows(const st_call *call, int64_t item, void *thread_scratch) {
    (void)thread_scratch;
    st_lanes_fc fc = problem_of(call->site);
    operands of = operands_of(call, &fc);
    int64_t first = item * ROWS, images = st_run_total(call->run);
    if (first < fc.inputs && call->dstate[ST_CONV_WEIGHT] != NULL) {
        int64_t count = fc.inputs - first < ROWS ? fc.inputs - first : ROWS;
        call->site->kernels->lanes_fc_weights(&fc, images, of.x, of.dy, first, count, call->dstate[ST_CONV_WEIGHT]);
    } else if (first >= fc.inputs && call->dstate[ST_CONV_BIAS] != NULL) {
        call->site->kernels->lanes_fc_bias(&fc, images, of.dy, call->dstate[ST_CONV_BIAS]);
    }
}

/* ---- the order of the weights ---- */

static size_t state_count(const st_site *site, int state) {
    st_lanes_fc fc = problem_of(site);
    return (size_t)(state == ST_CONV_WEIGHT ? fc.inputs * fc.width : fc.outputs);
}

static void pack(const st_site *site, int state, const st_real *published, st_real *native) {
    size_t count = state_count(site, state);
    if (state != ST_CONV_WEIGHT) {
        memcpy(native, published, count * sizeof(st_real));
        return;
    }
    st_lanes_fc fc = problem_of(site);
    int64_t channels = site->in[0].c, pixels = fc.inputs / channels;
    memset(native, 0, count * sizeof(st_real));
    for (int64_t k = 0; k < fc.outputs; k++) {
        for (int64_t c = 0; c < channels; c++) {
            for (int64_t pixel = 0; pixel < pixels; pixel++) {
                native[(pixel * channels + c) * fc.width + k] = *published++;
            }
        }
    }
}

static void unpack(const st_site *site, int state, const st_real *native, st_real *published) {
    if (state != ST_CONV_WEIGHT) {
        memcpy(published, native, state_count(site, state) * sizeof(st_real));
        return;
    }
    st_lanes_fc fc = problem_of(site);
    int64_t channels = site->in[0].c, pixels = fc.inputs / channels;
    for (int64_t k = 0; k < fc.outputs; k++) {
        for (int64_t c = 0; c < channels; c++) {
            for (int64_t pixel = 0; pixel < pixels; pixel++) {
                *published++ = native[(pixel * channels + c) * fc.width + k];
            }
        }
    }
}

const st_impl st_fc_lanes = {
    .prepare = prepare,
    .forward = {{.run = forward_block, .by_image = true}},
    .backward = {{.run = backward_block, .by_image = true},
                 {.items = row_items, .run = gradient_rows, .only_states = true}},
    .fuses_epilogue = true,
    .backward_reads = ST_READS_IN,
    .writes_strided = true,
    .state_count = state_count,
    .pack = pack,
    .unpack = unpack,
};
