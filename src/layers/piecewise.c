/* leaky_relu, clip, hard_sigmoid, hard_swish: functions of each element that are made of straight lines (hard_swish: of
 * a parabola between two), with numbers that the net gives. Multiplications, additions and comparisons alone, in one
 * order, so that every compiler makes the same bits of them. Backward needs what came in. */
#include "layers/layers.h"

/* x < 0: a slope of its own. */
typedef struct leaky_params {
    double slope;
} leaky_params;

typedef struct clip_params {
    double low, high;
} clip_params;

typedef struct hard_params {
    double slope, shift;
} hard_params;

static strata_status shape(st_infer *in, strata_error *err) {
    (void)err;
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    return STRATA_OK;
}

static strata_status clip_shape(st_infer *in, strata_error *err) {
    const clip_params *params = in->params;
    if (params->low > params->high) {
        return st_infer_fail(in, err, "max", "max must be at least min, found %g and %g", params->high, params->low);
    }
    return shape(in, err);
}

/* What is stored is never tiny: docs/numerics.md, rule 9. */
static st_real flushed(st_real x) {
    const st_real least = (st_real)7.8886090522101181e-31; /* 2^-100 */
    return x < least && x > -least ? 0 : x;
}

/* ---- the functions, and their slopes ---- */

static st_real leaky_relu_of(st_real x, const void *params) {
    const leaky_params *p = params;
    return x < 0 ? x * (st_real)p->slope : x;
}

static st_real leaky_relu_slope(st_real x, const void *params) {
    const leaky_params *p = params;
    return x < 0 ? (st_real)p->slope : 1;
}

static st_real clip_of(st_real x, const void *params) {
    const clip_params *p = params;
    st_real low = (st_real)p->low, high = (st_real)p->high;
    return x < low ? low : x > high ? high : x;
}

static st_real clip_slope(st_real x, const void *params) {
    const clip_params *p = params;
    return x > (st_real)p->low && x < (st_real)p->high ? 1 : 0;
}

static st_real hard_sigmoid_of(st_real x, const void *params) {
    const hard_params *p = params;
    st_real y = x * (st_real)p->slope + (st_real)p->shift;
    return y < 0 ? 0 : y > 1 ? 1 : y;
}

static st_real hard_sigmoid_slope(st_real x, const void *params) {
    const hard_params *p = params;
    st_real y = x * (st_real)p->slope + (st_real)p->shift;
    return y > 0 && y < 1 ? (st_real)p->slope : 0;
}

static st_real hard_swish_of(st_real x, const void *params) {
    (void)params;
    st_real gate = x * (st_real)(1.0 / 6) + (st_real)0.5;
    return x * (gate < 0 ? 0 : gate > 1 ? 1 : gate);
}

static st_real hard_swish_slope(st_real x, const void *params) {
    (void)params;
    return x <= -3 ? 0 : x >= 3 ? 1 : x * (st_real)(1.0 / 3) + (st_real)0.5;
}

/* ---- one implementation each ---- */

#define PIECEWISE_LAYER(name)                                                                                          \
    static void name##_forward(const st_call *call, int64_t item, void *scratch) {                                     \
        (void)scratch;                                                                                                 \
        st_span x = st_span_of(&call->in[0], item), y = st_span_of(&call->out, item);                                  \
        for (int64_t row = 0; row < y.rows; row++) {                                                                   \
            const st_real *from = x.data + row * x.stride;                                                             \
            st_real *to = y.data + row * y.stride;                                                                     \
            for (int64_t i = 0; i < y.width; i++) {                                                                    \
                to[i] = flushed(name##_of(from[i], call->site->params));                                               \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_backward(const st_call *call, int64_t item, void *scratch) {                                    \
        (void)scratch;                                                                                                 \
        if (call->din[0].data == NULL) {                                                                               \
            return;                                                                                                    \
        }                                                                                                              \
        bool adds = call->din_add[0];                                                                                  \
        st_span x = st_span_of(&call->in[0], item), dy = st_span_of(&call->dout, item);                                \
        st_span dx = st_span_of(&call->din[0], item);                                                                  \
        for (int64_t row = 0; row < dx.rows; row++) {                                                                  \
            const st_real *at = x.data + row * x.stride, *from = dy.data + row * dy.stride;                            \
            st_real *to = dx.data + row * dx.stride;                                                                   \
            for (int64_t i = 0; i < dx.width; i++) {                                                                   \
                st_real gradient = from[i] * name##_slope(at[i], call->site->params);                                  \
                to[i] = flushed(adds ? to[i] + gradient : gradient);                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static const st_impl name##_impl = {.forward = {{.run = name##_forward, .by_image = true}},                        \
                                        .backward = {{.run = name##_backward, .by_image = true}},                      \
                                        .backward_reads = ST_READS_IN,                                                 \
                                        .reads_strided = true,                                                         \
                                        .writes_strided = true};
PIECEWISE_LAYER(leaky_relu)
PIECEWISE_LAYER(clip)
PIECEWISE_LAYER(hard_sigmoid)
PIECEWISE_LAYER(hard_swish)

/* ---- by their definition ---- */

static double between(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static void reference_as(const st_call *call, double (*function)(double x, const void *params)) {
    int64_t count = call->run->n * call->out.dims.h * call->out.dims.w * call->out.dims.c;
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t i = 0; i < count; i++) {
        y[i] = (st_real)function((double)x[i], call->site->params);
    }
}

static double leaky_relu_exact(double x, const void *params) {
    return x > 0 ? x : x * ((const leaky_params *)params)->slope;
}

static double clip_exact(double x, const void *params) {
    return between(x, ((const clip_params *)params)->low, ((const clip_params *)params)->high);
}

static double hard_sigmoid_exact(double x, const void *params) {
    return between(((const hard_params *)params)->slope * x + ((const hard_params *)params)->shift, 0, 1);
}

static double hard_swish_exact(double x, const void *params) {
    (void)params;
    return x * between(x + 3, 0, 6) / 6;
}

static void leaky_relu_reference(const st_call *call) {
    reference_as(call, leaky_relu_exact);
}

static void clip_reference(const st_call *call) {
    reference_as(call, clip_exact);
}

static void hard_sigmoid_reference(const st_call *call) {
    reference_as(call, hard_sigmoid_exact);
}

static void hard_swish_reference(const st_call *call) {
    reference_as(call, hard_swish_exact);
}

/* ---- as ONNX writes them ---- */

static strata_status leaky_relu_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    st_onnx_set_real(st_onnx_add(out, "LeakyRelu"), "alpha", ((const leaky_params *)site->params)->slope);
    return STRATA_OK;
}

static strata_status clip_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    st_onnx_node *node = st_onnx_add(out, "Clip");
    st_onnx_read_real(node, "min", ((const clip_params *)site->params)->low);
    st_onnx_read_real(node, "max", ((const clip_params *)site->params)->high);
    return STRATA_OK;
}

static strata_status hard_sigmoid_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    st_onnx_node *node = st_onnx_add(out, "HardSigmoid");
    st_onnx_set_real(node, "alpha", ((const hard_params *)site->params)->slope);
    st_onnx_set_real(node, "beta", ((const hard_params *)site->params)->shift);
    return STRATA_OK;
}

static strata_status hard_swish_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)site, (void)err;
    st_onnx_add(out, "HardSwish");
    return STRATA_OK;
}

/* ---- what the layers say of themselves ---- */

enum { FAR = 1000000 };

const st_op st_op_leaky_relu = {
    .name = "leaky_relu",
    .summary = "x, below 0 times a small slope",
    .source = "Maas, Hannun, Ng 2013, \"Rectifier nonlinearities improve neural network acoustic models\"",
    .examples = "input 5x7x3, leaky_relu\n"
                "input 6x6x3, conv 3x3 5 bias=no, bn, leaky_relu 0.1\n"
                "input 1x1x19, leaky_relu slope=0.2\n",
    .notes = "Darknet's slope is 0.1, torch's and ONNX's 0.01.",
    .params = {{.name = "slope",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(leaky_params, slope),
                .standard = "0.01",
                .is_positional = true,
                .minimum = -FAR,
                .maximum = FAR,
                .meaning = "what a value below 0 is multiplied by"}},
    .params_size = sizeof(leaky_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_ATTACHED,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &leaky_relu_impl, [ST_LAYOUT_LANES] = &leaky_relu_impl},
    .reference = leaky_relu_reference,
    .to_onnx = leaky_relu_to_onnx,
};

const st_op st_op_clip = {
    .name = "clip",
    .summary = "x, but not below min and not above max; relu6 is clip 0 6",
    .source = "Krizhevsky 2010, \"Convolutional deep belief networks on CIFAR-10\" (relu6)",
    .examples = "input 5x7x3, clip 0 6\n"
                "input 6x6x3, conv 3x3 5 bias=no, bn, clip min=0 max=1\n"
                "input 1x1x19, clip (-1) 1\n",
    .notes = "MobileNet's relu6 is clip 0 6. Outside of the two no gradient flows.",
    .params = {{.name = "min",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(clip_params, low),
                .is_positional = true,
                .minimum = -1e38,
                .maximum = 1e38,
                .meaning = "the least that comes out"},
               {.name = "max",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(clip_params, high),
                .is_positional = true,
                .minimum = -1e38,
                .maximum = 1e38,
                .meaning = "the most"}},
    .params_size = sizeof(clip_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_ATTACHED | ST_OP_HAS_LIMITS,
    .shape = clip_shape,
    .impl = {[ST_LAYOUT_NHWC] = &clip_impl, [ST_LAYOUT_LANES] = &clip_impl},
    .reference = clip_reference,
    .to_onnx = clip_to_onnx,
};

const st_op st_op_hard_sigmoid = {
    .name = "hard_sigmoid",
    .summary = "slope x + shift, from 0 to 1: a sigmoid of straight lines",
    .source = "Howard et al. 2019, arXiv:1905.02244, section 5.2; ONNX, operator HardSigmoid",
    .examples = "input 5x7x3, hard_sigmoid\n"
                "input 1x1x19, fc 7, hard_sigmoid slope=0.2 shift=0.5\n",
    .notes = "MobileNetV3's is relu6(x + 3) / 6, the defaults here; Keras's and ONNX's slope is 0.2.",
    .params = {{.name = "slope",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(hard_params, slope),
                .standard = "0.16666667",
                .minimum = -FAR,
                .maximum = FAR,
                .meaning = "between 0 and 1"},
               {.name = "shift",
                .kind = ST_PARAM_REAL,
                .offset = offsetof(hard_params, shift),
                .standard = "0.5",
                .minimum = -FAR,
                .maximum = FAR,
                .meaning = "at x = 0"}},
    .params_size = sizeof(hard_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_ATTACHED,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &hard_sigmoid_impl, [ST_LAYOUT_LANES] = &hard_sigmoid_impl},
    .reference = hard_sigmoid_reference,
    .to_onnx = hard_sigmoid_to_onnx,
};

const st_op st_op_hard_swish = {
    .name = "hard_swish",
    .summary = "x times a hard_sigmoid of it: x relu6(x + 3) / 6",
    .source = "Howard et al. 2019, \"Searching for MobileNetV3\", arXiv:1905.02244, section 5.2",
    .examples = "input 5x7x3, hard_swish\n"
                "input 6x6x3, conv 3x3 5 bias=no, bn, hard_swish\n"
                "input 1x1x19, hard_swish\n",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_ATTACHED,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &hard_swish_impl, [ST_LAYOUT_LANES] = &hard_swish_impl},
    .reference = hard_swish_reference,
    .to_onnx = hard_swish_to_onnx,
};
