/* What predictions are worth: accuracy, loss, calibration, and the temperature that would calibrate them. Guo, Pleiss,
 * Sun, Weinberger 2017, "On calibration of modern neural networks", arXiv:1706.04599, sections 2 and 4.2.
 *
 * The logits are taken back from the probabilities: their logarithms differ from the logits by a number that is the
 * same for all classes of a picture, and a softmax does not see it. */
#include "train/train.h"

int32_t st_rank(const float *probabilities, size_t classes, int32_t label) {
    float own = probabilities[label];
    int32_t rank = own >= 0.0f ? 0 : (int32_t)classes; /* what is no number is never right */
    for (size_t i = 0; i < classes; i++) {
        rank += probabilities[i] > own || (probabilities[i] == own && (int32_t)i < label);
    }
    return rank;
}

/* What single precision holds at the least. */
static const double LEAST = 0x1p-149;

double st_loss_of(double probability) {
    return -st_log(probability > LEAST ? probability : LEAST);
}

size_t strata_top(size_t *out, size_t most, const float *row, size_t class_count) {
    size_t count = 0;
    for (size_t i = 0; i < class_count && most > 0; i++) {
        if (count == most && !(row[i] > row[out[count - 1]])) {
            continue;
        }
        size_t at = count < most ? count++ : count - 1;
        for (; at > 0 && row[i] > row[out[at - 1]]; at--) {
            out[at] = out[at - 1];
        }
        out[at] = i;
    }
    return count;
}

/* ---- at a temperature ------------------------------------------------------------------------------------------- */

/* Of one picture: log of the sum of exp(b z), and the mean and variance of z under those probabilities, where z is the
 * logarithm of the probability less that of the likeliest class. */
typedef struct tempered {
    double log_sum, mean, variance;
} tempered;

static tempered temper(const float *row, size_t classes, double b) {
    double largest = 0.0, sum = 0.0, first = 0.0, second = 0.0;
    for (size_t i = 0; i < classes; i++) {
        largest = (double)row[i] > largest ? (double)row[i] : largest;
    }
    for (size_t i = 0; i < classes; i++) {
        if (row[i] > 0.0f) { /* the others have no logarithm, and no weight */
            double z = st_log((double)row[i] / largest), e = st_exp(b * z);
            sum += e;
            first += e * z;
            second += e * z * z;
        }
    }
    double mean = first / sum;
    return (tempered){st_log(sum), mean, second / sum - mean * mean};
}

static double own_z(const strata_predictions *p, size_t picture) {
    const float *row = p->probabilities + picture * p->class_count;
    double own = (double)row[p->labels[picture]], largest = 0.0;
    for (size_t i = 0; i < p->class_count; i++) {
        largest = (double)row[i] > largest ? (double)row[i] : largest;
    }
    return st_log((own > LEAST ? own : LEAST) / largest);
}

/* The loss's slope and curvature in b = 1 / T; the loss is convex in it. */
static void slope_at(double *slope, double *curvature, const strata_predictions *p, double b) {
    *slope = 0.0;
    *curvature = 0.0;
    for (size_t i = 0; i < p->count; i++) {
        tempered t = temper(p->probabilities + i * p->class_count, p->class_count, b);
        *slope += t.mean - own_z(p, i);
        *curvature += t.variance;
    }
}

/* Newton's steps within a bracket that each step narrows. */
bool strata_predictions_temperature(double *out, const strata_predictions *predictions) {
    enum { MOST_STEPS = 60 };
    double low = 1.0 / 64, high = 64.0, b = 1.0, slope, curvature;
    *out = 1.0;
    if (predictions->count == 0) {
        return false;
    }
    slope_at(&slope, &curvature, predictions, low);
    if (!(slope < 0.0)) { /* chance is better, or not a number */
        return false;
    }
    slope_at(&slope, &curvature, predictions, high);
    if (!(slope > 0.0)) { /* the surer the better */
        return false;
    }
    for (int step = 0; step < MOST_STEPS && high - low > 1e-9 * b; step++) {
        slope_at(&slope, &curvature, predictions, b);
        *(slope < 0.0 ? &low : &high) = b;
        double next = curvature > 0.0 ? b - slope / curvature : low;
        if (!(next > low && next < high)) {
            next = (low + high) / 2;
        }
        double moved = next > b ? next - b : b - next;
        b = next;
        if (moved < 1e-9 * b) {
            break;
        }
    }
    *out = 1.0 / b;
    return true;
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static double confidence_of(const float *row, size_t classes, size_t answer, double temperature) {
    return temperature == 1.0 ? (double)row[answer] : st_exp(-temper(row, classes, 1.0 / temperature).log_sum);
}

static double loss_at(const strata_predictions *p, size_t picture, double temperature) {
    if (temperature == 1.0) {
        return p->losses[picture];
    }
    const float *row = p->probabilities + picture * p->class_count;
    return temper(row, p->class_count, 1.0 / temperature).log_sum - own_z(p, picture) / temperature;
}

void strata_predictions_measure(strata_metrics *out, const strata_predictions *predictions, double temperature,
                                int64_t *confusion) {
    const strata_predictions *p = predictions;
    size_t classes = p->class_count;
    st_tally tally = {.count = (int64_t)p->count};
    temperature = temperature > 0.0 ? temperature : 1.0;
    for (size_t i = 0; confusion != NULL && i < classes * classes; i++) {
        confusion[i] = 0;
    }
    for (size_t i = 0; i < p->count; i++) {
        const float *row = p->probabilities + i * classes;
        size_t answer = 0;
        bool is_right = p->ranks[i] == 0;
        strata_top(&answer, 1, row, classes);
        tally.loss += loss_at(p, i, temperature);
        tally.correct += is_right;
        tally.correct5 += p->ranks[i] < 5;
        st_tally_confidence(&tally, confidence_of(row, classes, answer, temperature), is_right);
        if (confusion != NULL) {
            confusion[(size_t)p->labels[i] * classes + (is_right ? (size_t)p->labels[i] : answer)]++;
        }
    }
    st_tally_metrics(&tally, classes, out);
}
