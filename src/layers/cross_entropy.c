/* cross_entropy: the loss behind `output NAME loss=cross_entropy`. Softmax and logarithm in one, on logits.
 *
 * With smoothing e and K classes the target is 1 - e + e / K for the true class and e / K for the others (as
 * torch.nn.CrossEntropyLoss); loss = - sum of target log softmax. The gradient is (softmax - target) * weight / n: the
 * mean over the step. Of a mixed picture (mixup, CutMix) 1 - e is divided between two classes: the loss is that of the
 * one with the larger share, plus what moves times the difference of the two logits. The implementation for image lanes
 * is in cross_entropy_lanes.c. */
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

st_target st_target_of(const st_run *run, int64_t image) {
    st_target target = {.label = run->labels[image], .other = run->labels[image]};
    if (run->other_labels != NULL && run->other_labels[image] != target.label) {
        double share = (double)run->shares[image];
        target.other = run->other_labels[image];
        if (share < 0.5) {
            target = (st_target){.label = target.other, .other = target.label};
            share = 1 - share;
        }
        target.moved = (1 - share) * (1 - run->label_smoothing);
    }
    return target;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_target target = st_target_of(call->run, item);
    const st_real *x = st_span_of(&call->in[0], item).data;
    call->losses[item] = call->site->kernels->cross_entropy(&call->ranks[item], x, call->in[0].dims.c, target.label,
                                                            (st_real)call->run->label_smoothing);
    if (target.moved > 0) {
        call->losses[item] += (st_real)target.moved * (x[target.label] - x[target.other]);
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    st_target target = st_target_of(call->run, item);
    st_real *gradient = st_span_of(&call->din[0], item).data;
    double weight = call->site->loss_weight / (double)st_run_total(call->run);
    call->site->kernels->cross_entropy_backward(gradient, call->din_add[0], st_span_of(&call->in[0], item).data,
                                                call->in[0].dims.c, target.label, (st_real)call->run->label_smoothing,
                                                (st_real)weight);
    if (target.moved > 0) {
        gradient[target.label] += (st_real)(target.moved * weight);
        gradient[target.other] -= (st_real)(target.moved * weight);
    }
}

static void reference_image(const st_call *call, int64_t n) {
    int64_t classes = call->in[0].dims.c, label = call->run->labels[n], other = label;
    double share = 1;
    if (call->run->other_labels != NULL) {
        share = (double)call->run->shares[n];
        other = call->run->other_labels[n];
    }
    const st_real *x = (const st_real *)call->in[0].data + n * classes;
    double best = (double)x[0], sum = 0, all = 0, smoothing = call->run->label_smoothing;
    int64_t counted = share < 0.5 ? other : label;
    int32_t rank = 0;
    for (int64_t i = 0; i < classes; i++) {
        best = (double)x[i] > best ? (double)x[i] : best;
        rank += x[i] > x[counted] || (i < counted && x[i] == x[counted]);
    }
    for (int64_t i = 0; i < classes; i++) {
        sum += st_exp((double)x[i] - best);
        all += (double)x[i] - best;
    }
    call->ranks[n] = rank;
    double own = share * ((double)x[label] - best) + (1 - share) * ((double)x[other] - best);
    call->losses[n] = (st_real)(st_log(sum) - (1 - smoothing) * own - smoothing * all / (double)classes);
}

static void reference(const st_call *call) {
    for (int64_t n = 0; n < call->run->n; n++) {
        reference_image(call, n);
    }
}

const st_impl st_cross_entropy_nhwc = {.forward = {{.run = forward, .by_image = true}},
                                       .backward = {{.run = backward, .by_image = true}},
                                       .backward_reads = ST_READS_IN,
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
    .notes =
        "Not a layer of a chain: write `output NAME loss=cross_entropy`, with `weight=` where several losses are\n"
        "added. It takes logits, one number for each class, and contains the softmax. Labels are smoothed by the\n"
        "training's --label-smoothing; of pictures that mixup or cutmix mixed (--augment) both labels count, each\n"
        "with its share.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_LOSS,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &st_cross_entropy_nhwc, [ST_LAYOUT_LANES] = &st_cross_entropy_lanes},
    .reference = reference,
};
