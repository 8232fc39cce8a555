/* cross_entropy: the loss behind `output NAME loss=cross_entropy`. Softmax and logarithm in one, on logits.
 *
 * With smoothing e and K classes the target is 1 - e + e / K for the true class and e / K for the others (as
 * torch.nn.CrossEntropyLoss); loss = - sum of target log softmax. The gradient is (softmax - target) * weight / n: the
 * mean over the batch. The implementation for image lanes is in cross_entropy_lanes.c. */
#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    st_dims dims = in->in[0];
    if (dims.h != 1 || dims.w != 1) {
        strata_status status =
            st_infer_fail(in, err, NULL, "a loss needs one number for each class, found %lldx%lldx%lld",
                          (long long)dims.h, (long long)dims.w, (long long)dims.c);
        st_error_hint(err, "end in `fc classes`, or in a 1x1 conv and `avgpool global`");
        return status;
    }
    in->out = (st_dims){.h = 1, .w = 1, .c = 1};
    in->out_flat = true;
    return STRATA_OK;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    call->losses[item] =
        call->site->kernels->cross_entropy(&call->ranks[item], st_span_of(&call->in[0], item).data, call->in[0].dims.c,
                                           call->run->labels[item], (st_real)call->run->label_smoothing);
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    call->site->kernels->cross_entropy_backward(st_span_of(&call->din[0], item).data, call->din_add[0],
                                                st_span_of(&call->in[0], item).data, call->in[0].dims.c,
                                                call->run->labels[item], (st_real)call->run->label_smoothing,
                                                (st_real)(call->site->loss_weight / (double)call->run->n));
}

static void reference_image(const st_call *call, int64_t n) {
    int64_t classes = call->in[0].dims.c, label = call->run->labels[n];
    const st_real *x = (const st_real *)call->in[0].data + n * classes;
    double best = (double)x[0], sum = 0, all = 0, smoothing = call->run->label_smoothing;
    int32_t rank = 0;
    for (int64_t i = 0; i < classes; i++) {
        best = (double)x[i] > best ? (double)x[i] : best;
        rank += x[i] > x[label] || (i < label && x[i] == x[label]);
    }
    for (int64_t i = 0; i < classes; i++) {
        sum += st_exp((double)x[i] - best);
        all += (double)x[i] - best;
    }
    call->ranks[n] = rank;
    call->losses[n] =
        (st_real)(st_log(sum) - (1 - smoothing) * ((double)x[label] - best) - smoothing * all / (double)classes);
}

static void reference(const st_call *call) {
    for (int64_t n = 0; n < call->run->n; n++) {
        reference_image(call, n);
    }
}

const st_impl st_cross_entropy_nhwc = {.forward = {{.run = forward, .by_image = true}},
                                       .backward = {{.run = backward, .by_image = true}},
                                       .backward_reads_in = true,
                                       .reads_strided = true};

const st_op st_op_cross_entropy = {
    .name = "cross_entropy",
    .summary = "the loss of a classifier: minus the logarithm of the true class's probability",
    .source =
        "Bishop 2006, \"Pattern Recognition and Machine Learning\", section 4.3.4; smoothing: Szegedy et al. 2015,\n"
        "arXiv:1512.00567, section 7",
    .examples = "input 1x1x12, fc 10, output logits loss=cross_entropy\n"
                "input 1x1x37, output logits loss=cross_entropy\n"
                "input 4x4x3, conv 1x1 5, avgpool global, output logits loss=cross_entropy weight=0.3\n",
    .notes = "Not a layer of a chain: write `output NAME loss=cross_entropy`, with `weight=` where several losses are\n"
             "added. It takes logits, one number for each class, and contains the softmax. Labels are smoothed by the\n"
             "training's --label-smoothing.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_LOSS,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &st_cross_entropy_nhwc, [ST_LAYOUT_LANES] = &st_cross_entropy_lanes},
    .reference = reference,
};
