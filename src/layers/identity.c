/* identity: its input under another name. The plan makes it a view; it runs only where a test calls it. */
#include <string.h>

#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    (void)err;
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    return STRATA_OK;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_span_copy(st_span_of(&call->out, item), st_span_of(&call->in[0], item));
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_item_pass_back(call, &call->din[0], call->din_add[0], item);
}

static void reference(const st_call *call) {
    size_t count = (size_t)(call->run->n * call->out.dims.h * call->out.dims.w * call->out.dims.c);
    memcpy(call->out.data, call->in[0].data, count * sizeof(st_real));
}

static const st_impl impl = {.forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .forward_in_place = true,
                             .reads_strided = true,
                             .writes_strided = true};

const st_op st_op_identity = {
    .name = "identity",
    .summary = "passes its input on: the shortcut of a residual block",
    .source = "He, Zhang, Ren, Sun 2015, arXiv:1512.03385, section 3.2",
    .examples = "input 5x4x3, identity\n"
                "input 6x6x8, add { | conv 3x3 8 pad=1 | identity }\n",
    .notes =
        "Costs nothing: no memory and no time. In a branch it may also be left out, `add { | conv 3x3 8 pad=1 | }`.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_IDENTITY,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
};
