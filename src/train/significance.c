/* How sure one can be of an accuracy, and of a difference between two models.
 *
 * Interval: Wilson 1927, "Probable inference, the law of succession, and statistical inference", right for shares near
 * 0 and 1 and for few pictures. Difference: McNemar 1947, "Note on the sampling error of the difference between
 * correlated proportions", as an exact test: of the pictures on which the models disagree, each is right on half of
 * them by chance alone. */
#include "train/train.h"

void strata_wilson(double *low, double *high, int64_t correct, int64_t count) {
    *low = 0.0;
    *high = 1.0;
    if (count <= 0) {
        return;
    }
    double n = (double)count, p = (double)correct / n, z = 1.959963984540054;
    double middle = p + z * z / (2 * n), spread = z * st_sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    double from = (middle - spread) / (1 + z * z / n), to = (middle + spread) / (1 + z * z / n);
    *low = from > 0.0 && correct > 0 ? from : 0.0;
    *high = to < 1.0 && correct < count ? to : 1.0;
}

/* The tail of the binomial distribution with one half, over the whole of it; each term is the one nearer to the middle
 * times a ratio, so nothing overflows and no factorial is needed. The sum ends where terms are too small to count:
 * about 19 roots of n. */
double strata_mcnemar(uint32_t first_only, uint32_t second_only) {
    uint64_t less = first_only < second_only ? first_only : second_only;
    uint64_t n = (uint64_t)first_only + second_only, k = n / 2;
    double term = 1.0, all = 0.0, tail = 0.0;
    for (;; k--) {
        all += n % 2 == 0 && k == n / 2 ? term / 2 : term; /* half of the distribution */
        tail += k <= less ? term : 0.0;
        if (k == 0 || term < 1e-300) { /* all that follow are nothing beside the middle; below, rounding stops at 0 */
            break;
        }
        term *= (double)k / (double)(n - k + 1);
    }
    double p = tail / all; /* both tails over both halves */
    return p < 1.0 ? p : 1.0;
}

strata_status strata_predictions_compare(strata_pairing *out, const strata_predictions *first,
                                         const strata_predictions *second, strata_error *err) {
    *out = (strata_pairing){0};
    ST_TRY(st_predictions_alike(first, second, err));
    for (size_t i = 0; i < first->count; i++) {
        bool a = first->ranks[i] == 0, b = second->ranks[i] == 0;
        *(a ? (b ? &out->both : &out->first_only) : (b ? &out->second_only : &out->neither)) += 1;
    }
    out->p = strata_mcnemar((uint32_t)out->first_only, (uint32_t)out->second_only);
    return STRATA_OK;
}
