/* Counting right answers. Sums are taken image by image in double, in the order of the data. Calibration: Guo, Pleiss,
 * Sun, Weinberger 2017, arXiv:1706.04599, section 2. */
#include "train/train.h"

void st_tally_losses(st_tally *tally, const st_real *losses, const int32_t *ranks, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        tally->loss += (double)losses[i];
        tally->correct += ranks[i] == 0;
        tally->correct5 += ranks[i] < 5;
    }
    tally->count += n;
}

size_t st_tally_answer(st_tally *tally, const st_real *logits, size_t classes, int32_t label) {
    size_t best = 0;
    for (size_t i = 1; i < classes; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    double sum = 0.0;
    for (size_t i = 0; i < classes; i++) {
        sum += st_exp((double)logits[i] - (double)logits[best]);
    }
    double confidence = sum >= 1.0 ? 1.0 / sum : 0.0; /* NaN: no confidence at all */
    int bin = (int)(confidence * ST_CALIBRATION_BINS);
    bin = bin < ST_CALIBRATION_BINS ? bin : ST_CALIBRATION_BINS - 1;
    tally->bin_count[bin]++;
    tally->bin_correct[bin] += (int32_t)best == label;
    tally->bin_confidence[bin] += confidence;
    return best;
}

void st_tally_metrics(const st_tally *tally, size_t classes, strata_metrics *out) {
    double count = tally->count > 0 ? (double)tally->count : 1.0;
    *out = (strata_metrics){.count = tally->count,
                            .correct = tally->correct,
                            .loss = tally->loss / count,
                            .top1 = (double)tally->correct / count,
                            .top5 = classes <= 5 ? 1.0 : (double)tally->correct5 / count};
    for (int i = 0; i < ST_CALIBRATION_BINS; i++) {
        double gap = tally->bin_confidence[i] - (double)tally->bin_correct[i];
        out->calibration_error += (gap < 0.0 ? -gap : gap) / count;
    }
}
