/* concat: its branches side by side along the channels. The plan lets branches write into their slices where they can,
 * and nothing is copied; what stands here copies where they cannot. */
#include <string.h>

#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    st_dims first = in->in[0];
    int64_t channels = 0;
    in->out_flat = true;
    for (int i = 0; i < in->in_count; i++) {
        st_dims dims = in->in[i];
        if (dims.h != first.h || dims.w != first.w) {
            strata_status status =
                st_infer_fail(in, err, NULL, "branches differ in rows and columns: %lldx%lldx%lld and %lldx%lldx%lld",
                              (long long)first.h, (long long)first.w, (long long)first.c, (long long)dims.h,
                              (long long)dims.w, (long long)dims.c);
            st_error_hint(err, "pad=same keeps rows and columns in each branch");
            return status;
        }
        channels += dims.c;
        if (channels > ST_DIMENSION_LIMIT) {
            return st_infer_fail(in, err, NULL, "the branches have more than %d channels together", ST_DIMENSION_LIMIT);
        }
        in->out_flat = in->out_flat && in->in_flat[i];
    }
    in->out = (st_dims){.h = first.h, .w = first.w, .c = channels};
    return STRATA_OK;
}

/* The part of a concatenated value that branch `index` is. */
static st_span slice(const st_call *call, const st_view *whole, int index, int64_t item) {
    st_span span = st_span_of(whole, item);
    int64_t lanes = span.width / whole->dims.c, first = 0;
    for (int i = 0; i < index; i++) {
        first += call->site->in[i].c;
    }
    span.data += first * lanes;
    span.width = call->site->in[index].c * lanes;
    return span;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    for (int i = 0; i < call->site->in_count; i++) {
        st_span_copy(slice(call, &call->out, i, item), st_span_of(&call->in[i], item));
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    for (int i = 0; i < call->site->in_count; i++) {
        if (call->din[i].data == NULL) {
            continue;
        }
        st_span to = st_span_of(&call->din[i], item), from = slice(call, &call->dout, i, item);
        if (call->din_add[i]) {
            st_span_add(call->site->kernels, to, to, from);
        } else {
            st_span_copy(to, from);
        }
    }
}

static void reference(const st_call *call) {
    int64_t pixels = call->run->n * call->out.dims.h * call->out.dims.w;
    st_real *y = call->out.data;
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        for (int i = 0; i < call->site->in_count; i++) {
            int64_t c = call->site->in[i].c;
            memcpy(y, (const st_real *)call->in[i].data + pixel * c, (size_t)c * sizeof(st_real));
            y += c;
        }
    }
}

static const st_impl impl = {.forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)site, (void)err;
    st_onnx_set(st_onnx_add(out, "Concat"), "axis", 1);
    return STRATA_OK;
}

const st_op st_op_concat = {
    .name = "concat",
    .summary = "its branches side by side along the channels",
    .source = "Szegedy et al. 2014, arXiv:1409.4842, section 4",
    .examples = "input 7x6x4, concat { | conv 1x1 3 | conv 3x3 5 pad=1 | maxpool 3x3 stride=1 pad=1 }\n"
                "input 5x5x16, concat { | identity | relu }\n"
                "input 1x1x10, concat { | fc 7 | fc 20, tanh | }\n"
                "input 4x4x3, concat { | avgpool 2x2 | conv 2x2 17 stride=2 }\n",
    .notes = "The channels of the first branch come first. Branches may differ in channels, not in rows and columns.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = -1,
    .traits = ST_OP_IS_MERGE | ST_OP_IS_CONCAT,
    .kind = STRATA_LAYER_CONCAT,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
