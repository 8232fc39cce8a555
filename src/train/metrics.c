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

void st_tally_confidence(st_tally *tally, double confidence, bool is_right) {
    int bin = confidence > 0.0 ? (int)(confidence * ST_CALIBRATION_BINS) : 0; /* what is no number is no confidence */
    bin = bin < ST_CALIBRATION_BINS ? bin : ST_CALIBRATION_BINS - 1;
    tally->bin_count[bin]++;
    tally->bin_correct[bin] += is_right;
    tally->bin_confidence[bin] += confidence > 0.0 ? confidence : 0.0;
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
