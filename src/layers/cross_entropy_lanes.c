/* cross-entropy in image lanes: logits [n/16][classes][16 images]. The formulas are in kernels/lanes_loss.inc. */
#include "layers/layers.h"

/* labels: room for those of the block. */
static st_lanes_loss loss_of(const st_call *call, int64_t block, int32_t labels[ST_LANES]) {
    int64_t first = block * ST_LANES, left = call->run->n - first;
    for (int64_t i = 0; i < ST_LANES && i < left; i++) {
        labels[i] = st_target_of(call->run, first + i).label;
    }
    return (st_lanes_loss){.classes = call->in[0].dims.c,
                           .logits = (const st_real *)call->in[0].data + block * call->in[0].pixel_stride * ST_LANES,
                           .labels = labels,
                           .images = left < ST_LANES ? (int)left : ST_LANES,
                           .smoothing = (st_real)call->run->label_smoothing};
}

static void forward_block(const st_call *call, int64_t block, void *thread_scratch) {
    (void)thread_scratch;
    int32_t labels[ST_LANES];
    st_lanes_loss loss = loss_of(call, block, labels);
    st_real *losses = call->losses + block * ST_LANES;
    call->site->kernels->lanes_loss(&loss, losses, call->ranks + block * ST_LANES);
    for (int i = 0; call->run->other_labels != NULL && i < loss.images; i++) {
        st_target target = st_target_of(call->run, block * ST_LANES + i);
        if (target.moved > 0) {
            losses[i] += (st_real)target.moved *
                         (loss.logits[target.label * ST_LANES + i] - loss.logits[target.other * ST_LANES + i]);
        }
    }
}

static void backward_block(const st_call *call, int64_t block, void *thread_scratch) {
    (void)thread_scratch;
    const st_view *din = &call->din[0];
    if (din->data == NULL) {
        return;
    }
    int32_t labels[ST_LANES];
    st_lanes_loss loss = loss_of(call, block, labels);
    st_real *gradient = (st_real *)din->data + block * din->pixel_stride * ST_LANES;
    double weight = call->site->loss_weight / (double)st_run_total(call->run);
    call->site->kernels->lanes_loss_backward(&loss, gradient, call->din_add[0], (st_real)weight);
    for (int i = 0; call->run->other_labels != NULL && i < loss.images; i++) {
        st_target target = st_target_of(call->run, block * ST_LANES + i);
        if (target.moved > 0) {
            gradient[target.label * ST_LANES + i] += (st_real)(target.moved * weight);
            gradient[target.other * ST_LANES + i] -= (st_real)(target.moved * weight);
        }
    }
}

const st_impl st_cross_entropy_lanes = {
    .forward = {{.run = forward_block, .by_image = true}},
    .backward = {{.run = backward_block, .by_image = true}},
    .backward_reads = ST_READS_IN,
    .reads_strided = true,
};
