/* add: the sum of its branches, the end of a residual block. The plan makes it part of the last layer of a branch where
 * it can; what stands here runs where it cannot. */
#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    st_dims first = in->in[0];
    in->out = first;
    in->out_flat = in->in_flat[0];
    for (int i = 1; i < in->in_count; i++) {
        st_dims dims = in->in[i];
        if (dims.h == first.h && dims.w == first.w && dims.c == first.c) {
            in->out_flat = in->out_flat && in->in_flat[i];
            continue;
        }
        strata_status status = st_infer_fail(
            in, err, NULL, "branches differ in shape: %lldx%lldx%lld and %lldx%lldx%lld", (long long)first.h,
            (long long)first.w, (long long)first.c, (long long)dims.h, (long long)dims.w, (long long)dims.c);
        if (dims.h == first.h && dims.w == first.w) {
            st_error_hint(err, "a 1x1 conv with %lld filters on branch %d would match", (long long)first.c, i + 1);
        } else {
            st_error_hint(err, "the strides and paddings of branch %d must lead to %lldx%lld", i + 1,
                          (long long)first.h, (long long)first.w);
        }
        return status;
    }
    in->multiply_adds = 0;
    return STRATA_OK;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    const st_epilogue *end = &call->epilogue;
    bool is_plain = end->scale == NULL && end->shift == NULL && end->residual.data == NULL;
    int count = call->site->in_count;
    if (count == 1) {
        st_item_apply(call, &call->out, &call->in[0], end, item);
        return;
    }
    const st_view *sum = &call->in[0];
    for (int i = 1; i < count; i++) {
        st_epilogue plus = {.residual = call->in[i],
                            .activation = is_plain && i == count - 1 ? end->activation : ST_ACTIVATION_NONE};
        st_item_apply(call, &call->out, sum, &plus, item);
        sum = &call->out;
    }
    if (!is_plain) {
        st_item_apply(call, &call->out, &call->out, end, item);
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    for (int i = 0; i < call->site->in_count; i++) {
        st_item_pass_back(call, &call->din[i], call->din_add[i], item);
    }
}

static void reference(const st_call *call) {
    int64_t count = call->run->n * call->out.dims.h * call->out.dims.w * call->out.dims.c;
    st_real *y = call->out.data;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int k = 0; k < call->site->in_count; k++) {
            sum += (double)((const st_real *)call->in[k].data)[i];
        }
        y[i] = (st_real)sum;
    }
}

static const st_impl impl = {.forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .fuses_epilogue = true,
                             .forward_in_place = true,
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    if (site->in_count > 1) {
        st_onnx_add(out, site->in_count == 2 ? "Add" : "Sum");
    }
    return STRATA_OK;
}

const st_op st_op_add = {
    .name = "add",
    .summary = "the sum of its branches",
    .source = "He, Zhang, Ren, Sun 2015, arXiv:1512.03385, section 3.2",
    .examples = "input 6x5x8, add { | conv 3x3 8 pad=1 | identity }\n"
                "input 8x8x3, add { | conv 3x3 6 stride=2 pad=1 | conv 1x1 6 stride=2 | conv 5x5 6 stride=2 pad=2 }\n"
                "input 1x1x20, add { | fc 20, tanh | }\n"
                "input 4x4x5, add { | relu | tanh | }\n",
    .notes = "Each branch begins with the value before `add`; an empty one, or `identity`, is that value itself. All\n"
             "branches must have one shape.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = -1,
    .traits = ST_OP_IS_MERGE | ST_OP_IS_ADD,
    .kind = STRATA_LAYER_ADD,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
