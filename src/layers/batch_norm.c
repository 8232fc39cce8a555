/* bn: batch normalization. y = (x - mean) / sqrt(variance + eps) * weight + bias, channel by channel.
 *
 * Training takes mean and variance of the batch: of each image in parts of 64 pixels (kernels/norm.inc), images merged
 * in pairs, neighbours first, in double (Chan, Golub, LeVeque 1979). So no order depends on threads, and both layouts
 * give the same numbers. Inference, and a frozen layer, takes the stored statistics: then the layer is one scale and
 * shift.
 *
 * Backward, with m elements in a channel, S = sum of dy, T = sum of dy (x - mean), r = 1 / sqrt(variance + eps):
 *   dx = weight r (dy - S / m - (x - mean) r^2 T / m),  dweight = r T,  dbias = S. */
#include "layers/layers.h"

typedef struct bn_params {
    double eps, momentum, scale;
} bn_params;

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };
enum { CHANNEL_BLOCK = 64 };

static strata_status shape(st_infer *in, strata_error *err) {
    const bn_params *params = in->params;
    if (!(params->eps > 0)) {
        return st_infer_fail(in, err, "eps", "eps must be above 0, found %g", params->eps);
    }
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    for (int i = 0; i < ST_OP_STATES; i++) {
        in->state[i] = (st_state_dims){.rank = 1, .dims = {in->in[0].c}, .fan_in = in->in[0].c, .fan_out = in->in[0].c};
    }
    in->multiply_adds = 0; /* published counts leave it out: at inference it is folded into the layer before it */
    return STRATA_OK;
}

/* ---- scratch ---- */

/* In `shared`: three numbers for each channel, then two for each channel of each image. */
typedef struct scratch {
    st_real *channel[3]; /* [c]: backward a, b, c */
    st_real *image[2];   /* [n][c]: mean and squares; sums and products */
} scratch;

static int64_t padded_images(int64_t n) {
    return (n + ST_LANES - 1) / ST_LANES * ST_LANES;
}

static scratch scratch_of(const st_call *call) {
    int64_t c = call->out.dims.c;
    scratch at;
    st_real *next = call->shared;
    for (int i = 0; i < 3; i++, next += c) {
        at.channel[i] = next;
    }
    for (int i = 0; i < 2; i++, next += c * padded_images(call->site->batch)) {
        at.image[i] = next;
    }
    return at;
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    size_t c = (size_t)site->out.c, images = (size_t)padded_images(site->batch), count;
    ST_FAIL_IF(!st_size_mul(2 * images + 3, c, &count) || !st_size_mul(count, sizeof(st_real), &needs->shared_bytes),
               err, STRATA_MEMORY, "batch normalization of %lld channels and %lld images needs too much memory",
               (long long)site->out.c, (long long)site->batch);
    needs->kept_bytes = 4 * c * sizeof(st_real); /* mean and 1 / deviation of the batch; scale and shift */
    needs->thread_bytes = site->layout == ST_LAYOUT_LANES ? 2 * c * ST_LANES * sizeof(st_real) : 0;
    return STRATA_OK;
}

static bool uses_batch(const st_call *call) {
    return call->run->mode == ST_MODE_TRAIN && !call->site->frozen;
}

static int64_t item_count(const st_call *call) {
    return st_layout_items(call->out.layout, call->run->n);
}

static int64_t channel_blocks(const st_call *call) {
    return (call->out.dims.c + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
}

static int64_t block_end(const st_call *call, int64_t block) {
    int64_t end = (block + 1) * CHANNEL_BLOCK;
    return end < call->out.dims.c ? end : call->out.dims.c;
}

/* ---- forward ---- */

static void image_moments(const st_call *call, int64_t item, void *thread_scratch) {
    if (!uses_batch(call)) {
        return;
    }
    scratch at = scratch_of(call);
    int64_t c = call->out.dims.c;
    st_span x = st_span_of(&call->in[0], item);
    const st_kernels *kernels = call->site->kernels;
    if (call->out.layout == ST_LAYOUT_LANES) {
        st_real *mean = thread_scratch, *squares = mean + c * ST_LANES;
        kernels->moments(mean, squares, x.data, x.stride, x.rows, x.width);
        st_item_scatter(call, at.image[0], mean, item);
        st_item_scatter(call, at.image[1], squares, item);
    } else {
        kernels->moments(at.image[0] + item * c, at.image[1] + item * c, x.data, x.stride, x.rows, x.width);
    }
}

typedef struct moments {
    double count, mean, squares;
} moments;

/* Images first to first + count - 1 of one channel, `pitch` apart, as a balanced tree. */
static moments merge_images(const st_real *mean, const st_real *squares, int64_t pitch, int64_t count, double pixels) {
    if (count == 1) {
        return (moments){pixels, (double)mean[0], (double)squares[0]};
    }
    int64_t half = 1;
    while (2 * half < count) {
        half *= 2;
    }
    moments a = merge_images(mean, squares, pitch, half, pixels);
    moments b = merge_images(mean + half * pitch, squares + half * pitch, pitch, count - half, pixels);
    double all = a.count + b.count, apart = b.mean - a.mean;
    return (moments){all, a.mean + apart * (b.count / all),
                     a.squares + b.squares + apart * apart * (a.count * b.count / all)};
}

static double average(st_real old, double now, double momentum) {
    return (1 - momentum) * (double)old + momentum * now;
}

/* Batch statistics of channels [begin, end): to `kept`, and into the running ones. */
static void batch_statistics(const st_call *call, int64_t begin, int64_t end) {
    const bn_params *params = call->site->params;
    scratch at = scratch_of(call);
    int64_t c = call->out.dims.c;
    st_real *mean = call->kept, *inverse = mean + c;
    double pixels = (double)(call->out.dims.h * call->out.dims.w);
    for (int64_t i = begin; i < end; i++) {
        moments all = merge_images(at.image[0] + i, at.image[1] + i, c, call->run->n, pixels);
        double variance = all.squares / all.count;
        double unbiased = all.count > 1 ? all.squares / (all.count - 1) : 0;
        mean[i] = (st_real)all.mean;
        inverse[i] = (st_real)(1 / st_sqrt(variance + params->eps));
        if (call->run->is_trace) {
            continue;
        }
        st_real *running_mean = call->state[RUNNING_MEAN] + i, *running_var = call->state[RUNNING_VAR] + i;
        *running_mean = (st_real)average(*running_mean, all.mean, params->momentum);
        *running_var = (st_real)average(*running_var, unbiased, params->momentum);
    }
}

/* The layer in inference as scale and shift of channels [begin, end). */
static void fold_channels(const bn_params *params, st_real *const *state, const st_real *shift_in, st_real *scale,
                          st_real *shift, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
        double factor = (double)state[WEIGHT][i] / st_sqrt((double)state[RUNNING_VAR][i] + params->eps);
        double before = shift_in == NULL ? 0 : (double)shift_in[i];
        scale[i] = (st_real)factor;
        shift[i] = (st_real)((double)state[BIAS][i] + (before - (double)state[RUNNING_MEAN][i]) * factor);
    }
}

static void fold(const st_site *site, st_real *const *state, const st_real *shift_in, st_real *scale, st_real *shift) {
    fold_channels(site->params, state, shift_in, scale, shift, 0, site->out.c);
}

/* The layer in training as scale and shift, from the batch's statistics in `kept` (frozen: from the stored ones). */
static void scale_channels(const st_call *call, st_real *scale, st_real *shift, int64_t begin, int64_t end) {
    if (!uses_batch(call)) {
        fold_channels(call->site->params, call->state, NULL, scale, shift, begin, end);
        return;
    }
    const st_real *mean = call->kept, *inverse = mean + call->out.dims.c;
    for (int64_t i = begin; i < end; i++) {
        double factor = (double)call->state[WEIGHT][i] * (double)inverse[i];
        scale[i] = (st_real)factor;
        shift[i] = (st_real)((double)call->state[BIAS][i] - (double)mean[i] * factor);
    }
}

/* The layer as scale and shift, for backward too. */
static st_real *scale_of(const st_call *call) {
    return (st_real *)call->kept + 2 * call->out.dims.c;
}

static void channel_factors(const st_call *call, int64_t block, void *thread_scratch) {
    (void)thread_scratch;
    int64_t begin = block * CHANNEL_BLOCK, end = block_end(call, block);
    if (uses_batch(call)) {
        batch_statistics(call, begin, end);
    }
    scale_channels(call, scale_of(call), scale_of(call) + call->out.dims.c, begin, end);
}

static void normalize(const st_call *call, int64_t item, void *thread_scratch) {
    (void)thread_scratch;
    st_epilogue own = {.scale = scale_of(call), .shift = scale_of(call) + call->out.dims.c};
    if (call->epilogue.scale == NULL && call->epilogue.shift == NULL) {
        own.residual = call->epilogue.residual;
        own.activation = call->epilogue.activation;
        st_item_apply(call, &call->out, &call->in[0], &own, item);
    } else {
        st_item_apply(call, &call->out, &call->in[0], &own, item);
        st_item_apply(call, &call->out, &call->out, &call->epilogue, item);
    }
}

static void normalize_again(const st_call *call, int64_t item, void *thread_scratch) {
    (void)thread_scratch;
    st_epilogue own = {.scale = scale_of(call),
                       .shift = scale_of(call) + call->out.dims.c,
                       .residual = call->epilogue.residual,
                       .activation = call->epilogue.activation};
    st_item_apply(call, &call->out, &call->in[0], &own, item);
}

/* ---- backward ---- */

static const st_real *centre_of(const st_call *call) {
    return uses_batch(call) ? call->kept : call->state[RUNNING_MEAN];
}

/* What both passes over the pixels of an item read. */
static st_norm_backward work_of(const st_call *call, int64_t item) {
    st_span x = st_span_of(&call->in[0], item), dy = st_span_of(&call->dout, item);
    st_norm_backward work = {.rows = x.rows,
                             .channels = call->out.dims.c,
                             .lanes = (int)st_layout_lanes(call->out.layout),
                             .in = x.data,
                             .dout = dy.data,
                             .in_stride = x.stride,
                             .dout_stride = dy.stride,
                             .mean = centre_of(call)};
    bool is_gated = call->site->activates_backward && call->epilogue.activation != ST_ACTIVATION_NONE;
    if (is_gated && call->epilogue.residual.data == NULL) {
        work.scale = scale_of(call);
        work.shift = work.scale + work.channels;
    } else if (is_gated) {
        st_span y = st_span_of(&call->out, item);
        work.out = y.data;
        work.out_stride = y.stride;
    }
    return work;
}

static void image_sums(const st_call *call, int64_t item, void *thread_scratch) {
    bool is_needed = uses_batch(call) || call->dstate[WEIGHT] != NULL || call->dstate[BIAS] != NULL;
    st_norm_backward work = work_of(call, item);
    if (!is_needed && work.out == NULL) {
        return;
    }
    scratch at = scratch_of(call);
    int64_t c = call->out.dims.c;
    const st_kernels *kernels = call->site->kernels;
    if (call->out.layout == ST_LAYOUT_LANES) {
        st_real *sums = thread_scratch, *products = sums + c * ST_LANES;
        kernels->norm_sums(&work, sums, products);
        st_item_scatter(call, at.image[0], sums, item);
        st_item_scatter(call, at.image[1], products, item);
    } else {
        kernels->norm_sums(&work, at.image[0] + item * c, at.image[1] + item * c);
    }
}

static double inverse_deviation(const st_call *call, int64_t i) {
    const bn_params *params = call->site->params;
    const st_real *kept = call->kept;
    return uses_batch(call) ? (double)kept[call->out.dims.c + i]
                            : 1 / st_sqrt((double)call->state[RUNNING_VAR][i] + params->eps);
}

/* What the pieces of the step before this one have summed up. */
static double before(const st_call *call, int state, int64_t i) {
    return call->run->first > 0 ? (double)call->dstate[state][i] : 0;
}

static void channel_gradients(const st_call *call, int64_t block, void *thread_scratch) {
    (void)thread_scratch;
    scratch at = scratch_of(call);
    int64_t c = call->out.dims.c, n = call->run->n;
    double elements = (double)(n * call->out.dims.h * call->out.dims.w);
    bool needs_sums = uses_batch(call) || call->dstate[WEIGHT] != NULL || call->dstate[BIAS] != NULL;
    for (int64_t i = block * CHANNEL_BLOCK; i < block_end(call, block); i++) {
        double sum = needs_sums ? st_sum_images(at.image[0] + i, c, n) : 0;
        double product = needs_sums ? st_sum_images(at.image[1] + i, c, n) : 0;
        double inverse = inverse_deviation(call, i);
        double factor = (double)call->state[WEIGHT][i] * inverse;
        if (call->dstate[WEIGHT] != NULL) {
            call->dstate[WEIGHT][i] = (st_real)(before(call, WEIGHT, i) + inverse * product);
        }
        if (call->dstate[BIAS] != NULL) {
            call->dstate[BIAS][i] = (st_real)(before(call, BIAS, i) + sum);
        }
        bool is_batch = uses_batch(call);
        at.channel[0][i] = (st_real)factor;
        at.channel[1][i] = is_batch ? (st_real)(-factor * inverse * inverse * product / elements) : 0;
        at.channel[2][i] = is_batch ? (st_real)(-factor * sum / elements) : 0;
    }
}

/* Lanes without an image got the constant part of the gradient: nothing may depend on them. */
static void clear_empty_lanes(const st_call *call, int64_t item) {
    int64_t images = st_item_images(call, &call->din[0], item);
    if (call->din[0].layout != ST_LAYOUT_LANES || images == ST_LANES) {
        return;
    }
    st_span dx = st_span_of(&call->din[0], item);
    for (int64_t row = 0; row < dx.rows; row++) {
        for (int64_t i = 0; i < dx.width; i++) {
            if (i % ST_LANES >= images) {
                dx.data[row * dx.stride + i] = 0;
            }
        }
    }
}

static void input_gradient(const st_call *call, int64_t item, void *thread_scratch) {
    (void)thread_scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    scratch at = scratch_of(call);
    st_span dx = st_span_of(&call->din[0], item);
    st_norm_backward work = work_of(call, item);
    work.din = dx.data;
    work.din_stride = dx.stride;
    work.a = at.channel[0];
    work.b = at.channel[1];
    work.c = at.channel[2];
    work.add = call->din_add[0];
    work.streams = dx.data != work.dout && !work.add && st_view_streams(call, &call->din[0]);
    call->site->kernels->norm_backward(&work);
    if (work.streams) {
        call->site->kernels->fence();
    }
    clear_empty_lanes(call, item);
}

/* ---- reference ---- */

static void reference_channel(const st_call *call, int64_t c) {
    const bn_params *params = call->site->params;
    st_dims dims = call->out.dims;
    int64_t count = call->run->n * dims.h * dims.w;
    const st_real *x = (const st_real *)call->in[0].data + c;
    st_real *y = (st_real *)call->out.data + c;
    double mean = (double)call->state[RUNNING_MEAN][c], variance = (double)call->state[RUNNING_VAR][c];
    if (uses_batch(call)) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < count; i++) {
            sum += (double)x[i * dims.c];
        }
        mean = sum / (double)count;
        for (int64_t i = 0; i < count; i++) {
            squares += ((double)x[i * dims.c] - mean) * ((double)x[i * dims.c] - mean);
        }
        variance = squares / (double)count;
        double unbiased = count > 1 ? squares / (double)(count - 1) : 0;
        call->state[RUNNING_MEAN][c] = (st_real)average(call->state[RUNNING_MEAN][c], mean, params->momentum);
        call->state[RUNNING_VAR][c] = (st_real)average(call->state[RUNNING_VAR][c], unbiased, params->momentum);
    }
    for (int64_t i = 0; i < count; i++) {
        double normal = ((double)x[i * dims.c] - mean) / st_sqrt(variance + params->eps);
        y[i * dims.c] = (st_real)(normal * (double)call->state[WEIGHT][c] + (double)call->state[BIAS][c]);
    }
}

static void reference(const st_call *call) {
    for (int64_t c = 0; c < call->out.dims.c; c++) {
        reference_channel(call, c);
    }
}

static const st_impl impl = {.prepare = prepare,
                             .forward = {{.run = image_moments, .by_image = true},
                                         {.items = channel_blocks, .run = channel_factors},
                                         {.items = item_count, .run = normalize}},
                             .backward = {{.run = image_sums, .by_image = true},
                                          {.items = channel_blocks, .run = channel_gradients},
                                          {.items = item_count, .run = input_gradient}},
                             .again = normalize_again,
                             .backward_in_place = true,
                             .activates_backward = true,
                             .fuses_epilogue = true,
                             .backward_reads = ST_READS_IN,
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    const bn_params *params = site->params;
    st_onnx_node *node = st_onnx_add(out, "BatchNormalization");
    st_onnx_set_real(node, "epsilon", params->eps);
    for (int i = 0; i < ST_OP_STATES; i++) {
        st_onnx_read_state(node, i); /* ONNX has them in the same order */
    }
    return STRATA_OK;
}

const st_op st_op_bn = {
    .name = "bn",
    .summary = "batch normalization: each channel to mean 0 and variance 1, then its own scale and shift",
    .source = "Ioffe, Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2",
    .examples = "input 6x5x8, bn\n"
                "input 8x8x3, conv 3x3 20 bias=no, bn eps=0.001\n"
                "input 12x9x5, bn momentum=0.3\n"
                "input 5x5x6, bn scale=0.5\n"
                "input 1x1x12, fc 17 bias=no, bn, relu\n"
                "input 4x4x70, bn\n",
    .notes =
        "In training the mean and variance are those of the batch, and running_mean and running_var follow them:\n"
        "(1 - momentum) old + momentum new, the variance divided by one less than its count, as torch does. In\n"
        "inference, and where `freeze` holds the layer, the running ones are used, and the layer before absorbs it.\n"
        "weight and bias are trained without weight decay. A batch of few images gives poor statistics: below 8\n"
        "images think of freezing it. The layer before needs no bias: write bias=no. scale=0 at the end of a residual\n"
        "block makes the block the identity at first, so that a deep net begins as a shallow one (Goyal et al. 2017,\n"
        "arXiv:1706.02677, section 5.1).",
    .params = {{.name = "eps",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(bn_params, eps),
                .standard = "1e-5",
                .minimum = 0,
                .maximum = 1,
                .meaning = "added to the variance; Keras: 0.001"},
               {.name = "momentum",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(bn_params, momentum),
                .standard = "0.1",
                .minimum = 0,
                .maximum = 1,
                .meaning = "weight of the new batch in the running statistics; Keras writes 1 minus it"},
               {.name = "scale",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(bn_params, scale),
                .standard = "1",
                .minimum = -100,
                .maximum = 100,
                .meaning = "what the trained weight of each channel begins with"}},
    .params_size = sizeof(bn_params),
    .init_param_offset = -1,
    .state = {[WEIGHT] = {.name = "weight", .is_trained = true, .init = ST_INIT_ONE, .init_value = "scale"},
              [BIAS] = {.name = "bias", .is_trained = true, .init = ST_INIT_ZERO},
              [RUNNING_MEAN] = {.name = "running_mean", .init = ST_INIT_ZERO},
              [RUNNING_VAR] = {.name = "running_var", .init = ST_INIT_ONE}},
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_AFFINE | ST_OP_IS_ATTACHED | ST_OP_MIXES_IMAGES,
    .kind = STRATA_LAYER_NORM,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .fold = fold,
    .reference = reference,
    .to_onnx = to_onnx,
};
