/* cross-entropy in image lanes: logits [n/16][classes][16 images]. The formulas are in kernels/lanes_loss.inc. */
#include "layers/layers.h"

static st_lanes_loss loss_of(const st_call *call, int64_t block) {
    int64_t first = block * ST_LANES, left = call->run->n - first;
    return (st_lanes_loss){.classes = call->in[0].dims.c,
                           .logits = (const st_real *)call->in[0].data + block * call->in[0].pixel_stride * ST_LANES,
                           .labels = call->run->labels + first,
                           .images = left < ST_LANES ? (int)left : ST_LANES,
                           .smoothing = (st_real)call->run->label_smoothing};
}

static void forward_block(const st_call *call, int64_t block, void *thread_scratch) {
    (void)thread_scratch;
    st_lanes_loss loss = loss_of(call, block);
    call->site->kernels->lanes_loss(&loss, call->losses + block * ST_LANES, call->ranks + block * ST_LANES);
}

static void backward_block(const st_call *call, int64_t block, void *thread_scratch) {
    (void)thread_scratch;
    const st_view *din = &call->din[0];
    if (din->data == NULL) {
        return;
    }
    st_lanes_loss loss = loss_of(call, block);
    call->site->kernels->lanes_loss_backward(&loss, (st_real *)din->data + block * din->pixel_stride * ST_LANES,
                                             call->din_add[0],
                                             (st_real)(call->site->loss_weight / (double)call->run->n));
}

const st_impl st_cross_entropy_lanes = {
    .forward = {{.run = forward_block, .by_image = true}},
    .backward = {{.run = backward_block, .by_image = true}},
    .backward_reads_in = true,
    .reads_strided = true,
};
