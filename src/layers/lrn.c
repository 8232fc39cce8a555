/* lrn: local response normalization across channels. y[i] = x[i] / (k + alpha / size * sum of x[j]^2)^beta, the sum
 * over the `size` channels around i at the same pixel, those that exist.
 *
 * Papers differ in what alpha is: here it is divided by size, as in Caffe, torch and ONNX. Backward needs the input
 * alone and computes the rest again, which is quicker than to keep and read it. */
#include "layers/layers.h"

typedef struct lrn_params {
    int64_t size;
    double alpha, beta, k;
} lrn_params;

static strata_status shape(st_infer *in, strata_error *err) {
    const lrn_params *params = in->params;
    if (params->size % 2 == 0) {
        strata_status status = st_infer_fail(in, err, "size", "size must be odd, found %lld", (long long)params->size);
        st_error_hint(err, "as many channels before as after: %lld or %lld", (long long)params->size - 1,
                      (long long)params->size + 1);
        return status;
    }
    if (!(params->k > 0)) {
        return st_infer_fail(in, err, "k", "k must be above 0, found %g", params->k);
    }
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    return STRATA_OK;
}

/* ---- running ---- */

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    const lrn_params *params = site->params;
    (void)err; /* no larger than a few rows of the value itself */
    int64_t lanes = st_layout_lanes(site->layout);
    needs->thread_bytes = ST_LRN_SCRATCH_COUNT(site->out.c * lanes, params->size / 2 * lanes) * sizeof(st_real);
    return STRATA_OK;
}

static st_lrn work_of(const st_call *call, int64_t item, void *scratch) {
    const lrn_params *params = call->site->params;
    st_span x = st_span_of(&call->in[0], item);
    return (st_lrn){.rows = x.rows,
                    .channels = call->out.dims.c,
                    .lanes = (int)st_layout_lanes(call->out.layout),
                    .size = (int)params->size,
                    .alpha = (st_real)(params->alpha / (double)params->size),
                    .beta = (st_real)params->beta,
                    .k = (st_real)params->k,
                    .in = x.data,
                    .in_stride = x.stride,
                    .scratch = scratch};
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    st_lrn work = work_of(call, item, scratch);
    st_span y = st_span_of(&call->out, item);
    work.out = y.data;
    work.out_stride = y.stride;
    call->site->kernels->lrn(&work);
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    if (call->din[0].data == NULL) {
        return;
    }
    st_lrn work = work_of(call, item, scratch);
    st_span dy = st_span_of(&call->dout, item), dx = st_span_of(&call->din[0], item);
    work.dout = dy.data;
    work.dout_stride = dy.stride;
    work.out = dx.data;
    work.out_stride = dx.stride;
    work.add = call->din_add[0];
    call->site->kernels->lrn_backward(&work);
}

static void reference(const st_call *call) {
    const lrn_params *params = call->site->params;
    int64_t channels = call->out.dims.c, pixels = call->run->n * call->out.dims.h * call->out.dims.w;
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        const st_real *x = (const st_real *)call->in[0].data + pixel * channels;
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0;
            for (int64_t j = c - params->size / 2; j <= c + params->size / 2; j++) {
                sum += j < 0 || j >= channels ? 0 : (double)x[j] * (double)x[j];
            }
            double base = params->k + params->alpha / (double)params->size * sum;
            ((st_real *)call->out.data)[pixel * channels + c] =
                (st_real)((double)x[c] * st_exp(-params->beta * st_log(base)));
        }
    }
}

static const st_impl impl = {.prepare = prepare,
                             .forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .backward_reads = ST_READS_IN,
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    const lrn_params *params = site->params;
    ST_FAIL_IF(site->in_flat[0], err, STRATA_UNSUPPORTED, "normalizes a vector: LRN there needs rows and columns");
    st_onnx_node *node = st_onnx_add(out, "LRN");
    st_onnx_set(node, "size", params->size);
    st_onnx_set_real(node, "alpha", params->alpha);
    st_onnx_set_real(node, "beta", params->beta);
    st_onnx_set_real(node, "bias", params->k);
    return STRATA_OK;
}

const st_op st_op_lrn = {
    .name = "lrn",
    .summary = "local response normalization: divides by the strength of the channels around",
    .source = "Krizhevsky, Sutskever, Hinton 2012, \"ImageNet classification with deep convolutional neural\n"
              "networks\", section 3.3; alpha as ONNX (operator LRN) has it",
    .examples = "input 7x5x24, lrn 5 alpha=0.5 k=2\n"
                "input 4x4x3, lrn 5 alpha=0.2\n"
                "input 3x5x70, lrn 3 alpha=1 beta=0.5\n"
                "input 5x3x17, lrn 9 alpha=0.9 beta=1.25 k=0.5\n"
                "input 1x1x33, lrn 1 alpha=0.3 beta=0.75\n"
                "input 6x6x2, conv 3x3 20, relu, lrn 5 alpha=5e-4 k=2\n",
    .notes =
        "y = x / (k + alpha / size * sum of squares)^beta: alpha is divided by size, as Caffe, torch and ONNX do.\n"
        "Krizhevsky's formula does not divide: his size 5, alpha 1e-4, k 2 is `lrn 5 alpha=5e-4 k=2` here. Caffe's\n"
        "AlexNet and GoogLeNet say `lrn 5 alpha=1e-4`, with k=1. Later networks do without, or with bn.",
    .params = {{.name = "size",
                .kind = ST_PARAM_INT,
                .offset = offsetof(lrn_params, size),
                .is_positional = true,
                .minimum = 1,
                .maximum = 255,
                .meaning = "channels in a sum, odd: the channel itself and its neighbours"},
               {.name = "alpha",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(lrn_params, alpha),
                .standard = "1e-4",
                .minimum = 0,
                .maximum = 1e6,
                .meaning = "weight of the mean square; divided by size for the sum"},
               {.name = "beta",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(lrn_params, beta),
                .standard = "0.75",
                .minimum = 0,
                .maximum = 10,
                .meaning = "exponent; 0.75 is the quickest"},
               {.name = "k",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(lrn_params, k),
                .standard = "1",
                .minimum = 0,
                .maximum = 1e6,
                .meaning = "what is added to the sum; above 0"}},
    .params_size = sizeof(lrn_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .kind = STRATA_LAYER_NORM,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
