/* dropout: in training each element is zeroed with probability `rate` and the others are divided by 1 - rate (inverted
 * dropout), so inference changes nothing.
 *
 * Whether an element stays is a function of the seed, the layer's stream, the step, the image's place in the step and
 * the element's place in the image (h, w, c): the same in both layouts, on any number of threads, and after a resume.
 */
#include "layers/layers.h"

typedef struct dropout_params {
    double rate;
} dropout_params;

static strata_status shape(st_infer *in, strata_error *err) {
    const dropout_params *params = in->params;
    if (!(params->rate < 1)) {
        strata_status status = st_infer_fail(in, err, "rate", "rate must be below 1, found %g", params->rate);
        st_error_hint(err, "rate is the share that is dropped: 0.5 keeps half");
        return status;
    }
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    return STRATA_OK;
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    if (site->mode != ST_MODE_TRAIN) {
        return STRATA_OK;
    }
    int64_t images = (site->batch + ST_LANES - 1) / ST_LANES * ST_LANES, count;
    ST_FAIL_IF(!st_layer_product(&count, (int64_t[]){images, site->out.h, site->out.w, site->out.c}, 4), err,
               STRATA_MEMORY, "dropout of %lld images needs too much memory", (long long)site->batch);
    needs->kept_bytes = (size_t)count;
    return STRATA_OK;
}

static bool drops(const st_call *call) {
    return call->run->mode == ST_MODE_TRAIN && !call->run->is_trace;
}

static double rate_of(const st_call *call) {
    const dropout_params *params = call->site->params;
    return params->rate;
}

/* 1 where an element of this image stays; elements `step` bytes apart. Two of them share a draw of 64 bits. */
static void draw_image(const st_call *call, int64_t image, uint8_t *mask, int64_t step) {
    const st_run *run = call->run;
    uint64_t stream = call->site->stream, key = st_rng_bits(run->seed, stream, (uint64_t)run->step);
    st_mask_draw from = {.seed = st_rng_bits(key, stream, (uint64_t)(run->first + image)),
                         .stream = stream,
                         .limit = (uint32_t)(rate_of(call) * 4294967296.0)};
    call->site->kernels->draw_mask(mask, step, call->out.dims.h * call->out.dims.w * call->out.dims.c, &from);
}

static uint8_t *mask_of(const st_call *call, int64_t item, st_span span) {
    return (uint8_t *)call->kept + item * span.rows * span.width;
}

static void draw(const st_call *call, int64_t item, st_span span) {
    uint8_t *mask = mask_of(call, item, span);
    if (call->out.layout != ST_LAYOUT_LANES) {
        draw_image(call, item, mask, 1);
        return;
    }
    int64_t images = st_item_images(call, &call->out, item);
    for (int64_t i = 0; i < span.rows * span.width; i++) {
        mask[i] = 0;
    }
    for (int64_t lane = 0; lane < images; lane++) {
        draw_image(call, item * ST_LANES + lane, mask + lane, ST_LANES);
    }
}

static void apply_mask(const st_call *call, int64_t item, st_span to, st_span from, bool add) {
    const uint8_t *mask = mask_of(call, item, to);
    st_real scale = (st_real)(1 / (1 - rate_of(call)));
    for (int64_t row = 0; row < to.rows; row++) {
        call->site->kernels->mask(to.data + row * to.stride, from.data + row * from.stride, mask + row * to.width,
                                  scale, to.width, add);
    }
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_span x = st_span_of(&call->in[0], item), y = st_span_of(&call->out, item);
    if (drops(call)) {
        draw(call, item, y);
        apply_mask(call, item, y, x, false);
    } else {
        st_span_copy(y, x);
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (!drops(call)) {
        st_item_pass_back(call, &call->din[0], call->din_add[0], item);
    } else if (call->din[0].data != NULL) {
        apply_mask(call, item, st_span_of(&call->din[0], item), st_span_of(&call->dout, item), call->din_add[0]);
    }
}

static void reference(const st_call *call) {
    int64_t count = call->out.dims.h * call->out.dims.w * call->out.dims.c;
    uint64_t stream = call->site->stream;
    uint64_t step_key = st_rng_bits(call->run->seed, stream, (uint64_t)call->run->step);
    for (int64_t n = 0; n < call->run->n; n++) {
        uint64_t key = st_rng_bits(step_key, stream, (uint64_t)n);
        const st_real *x = (const st_real *)call->in[0].data + n * count;
        st_real *y = (st_real *)call->out.data + n * count;
        for (int64_t i = 0; i < count; i++) {
            uint64_t bits = st_rng_bits(key, stream, (uint64_t)i / 2) >> (i % 2 * 32) & 0xffffffffu;
            bool stays = !drops(call) || (double)bits / 4294967296.0 >= rate_of(call);
            double scale = drops(call) ? 1 / (1 - rate_of(call)) : 1;
            y[i] = stays ? (st_real)((double)x[i] * scale) : 0;
        }
    }
}

static const st_impl impl = {.prepare = prepare,
                             .forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .forward_in_place = true,
                             .reads_strided = true,
                             .writes_strided = true};

const st_op st_op_dropout = {
    .name = "dropout",
    .summary = "zeroes a random share of the elements, in training only",
    .source = "Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, \"Dropout\", JMLR 15",
    .examples = "input 1x1x50, dropout 0.5\n"
                "input 5x4x3, dropout 0.2\n"
                "input 1x1x20, fc 33, relu, dropout rate=0.7\n",
    .notes =
        "rate is the share that is dropped, as in torch and Keras; the paper's p is the share that stays. What stays\n"
        "is divided by 1 - rate, so inference needs no change and costs nothing.",
    .params = {{.name = "rate",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(dropout_params, rate),
                .standard = "0.5",
                .is_positional = true,
                .minimum = 0,
                .maximum = 1,
                .meaning = "share that is dropped, from 0 to below 1"}},
    .params_size = sizeof(dropout_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_TRAIN_ONLY | ST_OP_IS_ATTACHED,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
};
