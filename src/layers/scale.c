/* scale: y = x * weight + bias, one trained weight and bias for each channel.
 *
 * Backward: dx = dy * weight; dweight = sum of dy x, dbias = sum of dy: of each image in chains of 64 pixels
 * (kernels/norm.inc), images merged in pairs, neighbours first, in double. */
#include <string.h>

#include "layers/layers.h"

typedef struct scale_params {
    bool bias;
} scale_params;

enum { WEIGHT, BIAS };
enum { CHANNEL_BLOCK = 64 };

static strata_status shape(st_infer *in, strata_error *err) {
    const scale_params *params = in->params;
    (void)err;
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    const st_state_dims vector = {.rank = 1, .dims = {in->in[0].c}, .fan_in = 1, .fan_out = 1};
    in->state[WEIGHT] = vector;
    if (params->bias) {
        in->state[BIAS] = vector;
    }
    in->multiply_adds = in->in[0].h * in->in[0].w * in->in[0].c;
    return STRATA_OK;
}

/* ---- forward ---- */

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_epilogue own = {.scale = call->state[WEIGHT], .shift = call->state[BIAS]};
    if (call->epilogue.scale == NULL && call->epilogue.shift == NULL) {
        own.residual = call->epilogue.residual;
        own.activation = call->epilogue.activation;
        st_item_apply(call, &call->out, &call->in[0], &own, item);
    } else {
        st_item_apply(call, &call->out, &call->in[0], &own, item);
        st_item_apply(call, &call->out, &call->out, &call->epilogue, item);
    }
}

static void fold(const st_site *site, st_real *const *state, const st_real *shift_in, st_real *scale, st_real *shift) {
    for (int64_t i = 0; i < site->out.c; i++) {
        double before = shift_in == NULL ? 0 : (double)shift_in[i], bias = state[BIAS] == NULL ? 0 : state[BIAS][i];
        scale[i] = state[WEIGHT][i];
        shift[i] = (st_real)(before * (double)state[WEIGHT][i] + bias);
    }
}

/* ---- backward ---- */

/* In `shared`: sums of dy, then of dy x, of each channel of each image, [images][c]. A step in pieces keeps those of
 * all its images. */
static size_t sums_count(const st_site *site) {
    return (size_t)((site->total > 0 ? site->total : site->batch) * site->out.c);
}

static st_real *sums_of(const st_call *call) {
    return call->carried != NULL ? call->carried : call->shared;
}

/* Of a thread: a mean of zero, then in LANES the sums of an item. */
static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    size_t c = (size_t)site->out.c;
    (void)err; /* two pixels of the value for each image */
    if (site->mode == ST_MODE_TRAIN && site->dstate_needed) {
        size_t bytes = 2 * sums_count(site) * sizeof(st_real);
        needs->shared_bytes = site->total > 0 ? 0 : bytes;
        needs->carried_bytes = site->total > 0 ? bytes : 0;
        needs->thread_bytes = (site->layout == ST_LAYOUT_LANES ? c + 2 * c * ST_LANES : c) * sizeof(st_real);
    }
    return STRATA_OK;
}

static bool has_gradient(const st_call *call) {
    return call->dstate[WEIGHT] != NULL || call->dstate[BIAS] != NULL;
}

static void image_sums(const st_call *call, int64_t item, st_real *scratch) {
    int64_t c = call->out.dims.c;
    st_span x = st_span_of(&call->in[0], item), dy = st_span_of(&call->dout, item);
    st_norm_backward work = {.rows = x.rows,
                             .channels = c,
                             .lanes = (int)st_layout_lanes(call->out.layout),
                             .in = x.data,
                             .dout = dy.data,
                             .in_stride = x.stride,
                             .dout_stride = dy.stride,
                             .mean = scratch};
    st_real *sums = sums_of(call) + call->run->first * c, *products = sums + sums_count(call->site);
    memset(scratch, 0, (size_t)c * sizeof(st_real));
    if (call->out.layout == ST_LAYOUT_LANES) {
        st_real *item_sums = scratch + c, *item_products = item_sums + c * ST_LANES;
        call->site->kernels->norm_sums(&work, item_sums, item_products);
        st_item_scatter(call, sums, item_sums, item);
        st_item_scatter(call, products, item_products, item);
    } else {
        call->site->kernels->norm_sums(&work, sums + item * c, products + item * c);
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    if (has_gradient(call)) {
        image_sums(call, item, scratch);
    }
    if (call->din[0].data != NULL) {
        st_epilogue times = {.scale = call->state[WEIGHT]};
        if (call->din_add[0]) {
            times.residual = call->din[0];
        }
        st_item_apply(call, &call->din[0], &call->dout, &times, item);
    }
}

static int64_t channel_blocks(const st_call *call) {
    bool is_summed = has_gradient(call) && st_run_is_last(call->run);
    return is_summed ? (call->out.dims.c + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK : 0;
}

static void channel_gradients(const st_call *call, int64_t block, void *scratch) {
    (void)scratch;
    const st_real *sums = sums_of(call), *products = sums + sums_count(call->site);
    int64_t end = (block + 1) * CHANNEL_BLOCK, pitch = call->out.dims.c, images = st_run_total(call->run);
    for (int64_t c = block * CHANNEL_BLOCK; c < end && c < pitch; c++) {
        if (call->dstate[WEIGHT] != NULL) {
            call->dstate[WEIGHT][c] = (st_real)st_sum_images(products + c, pitch, images);
        }
        if (call->dstate[BIAS] != NULL) {
            call->dstate[BIAS][c] = (st_real)st_sum_images(sums + c, pitch, images);
        }
    }
}

static void reference(const st_call *call) {
    int64_t c = call->out.dims.c, count = call->run->n * call->out.dims.h * call->out.dims.w * c;
    const st_real *x = call->in[0].data;
    for (int64_t i = 0; i < count; i++) {
        double bias = call->state[BIAS] == NULL ? 0 : (double)call->state[BIAS][i % c];
        ((st_real *)call->out.data)[i] = (st_real)((double)x[i] * (double)call->state[WEIGHT][i % c] + bias);
    }
}

static const st_impl impl = {.prepare = prepare,
                             .forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true},
                                          {.items = channel_blocks, .run = channel_gradients, .only_states = true}},
                             .fuses_epilogue = true,
                             .backward_reads = ST_READS_IN,
                             .reads_strided = true,
                             .writes_strided = true};

static void read_channels(st_onnx_node *node, const st_site *site, int state) {
    st_onnx_operand *operand = st_onnx_read_state(node, state);
    if (!site->in_flat[0]) {
        operand->rank = 3;
        operand->dims[0] = site->out.c;
        operand->dims[1] = operand->dims[2] = 1;
    }
}

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    const scale_params *params = site->params;
    read_channels(st_onnx_add(out, "Mul"), site, WEIGHT);
    if (params->bias) {
        read_channels(st_onnx_add(out, "Add"), site, BIAS);
    }
    return STRATA_OK;
}

const st_op st_op_scale = {
    .name = "scale",
    .summary = "each channel times a trained weight, plus a trained bias",
    .source =
        "LeCun, Bottou, Bengio, Haffner 1998, section II.B (coefficient and bias of a subsampling layer); Caffe's\n"
        "Scale",
    .examples = "input 6x5x8, scale\n"
                "input 28x28x6, avgpool 2x2, scale, sigmoid\n"
                "input 9x11x70, scale bias=no\n"
                "input 1x1x13, fc 21, scale\n",
    .notes = "LeNet-5's subsampling is `avgpool 2x2, scale` before the squashing function. weight begins at 1 and is\n"
             "trained without weight decay, as bn's is: to pull it to 0 would switch the channel off, and the weights\n"
             "before it already bear the decay. In inference the layer before absorbs it where it can.",
    .params = {{.name = "bias",
                .kind = ST_PARAM_FLAG,
                .offset = offsetof(scale_params, bias),
                .standard = "yes",
                .meaning = "adds a trained number to each channel"}},
    .params_size = sizeof(scale_params),
    .init_param_offset = -1,
    .state = {[WEIGHT] = {.name = "weight", .is_trained = true, .init = ST_INIT_ONE},
              [BIAS] = {.name = "bias", .is_trained = true, .init = ST_INIT_ZERO}},
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_AFFINE,
    .kind = STRATA_LAYER_NORM,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .fold = fold,
    .reference = reference,
    .to_onnx = to_onnx,
};
