/* Pictures of a batch mixed in pairs, with their labels: mixup (Zhang, Cisse, Dauphin, Lopez-Paz 2017, "mixup: beyond
 * empirical risk minimization") and CutMix (Yun et al. 2019). As in both papers' code one share is drawn for a batch,
 * from a beta distribution. Picture i goes with picture n - 1 - i: the order of an epoch is random already. */
#include "data/augment.h"

#include <string.h>

/* The logarithm of a draw from the gamma distribution of this shape: Marsaglia, Tsang 2000, "A simple method for
 * generating gamma variables", and its section 6 for shapes below 1, where the draw itself may be too small for a
 * double. */
static double log_gamma_draw(double shape, const st_draws *draws, uint32_t first) {
    double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / st_sqrt(9 * d);
    double boost = shape < 1 ? st_log(1 - st_draw_between(draws, first, 0, 1)) / shape : 0;
    for (uint32_t i = first + 1;; i += 2) { /* one in 20 is refused, so that a hundredth try will never be seen */
        double x = st_draw_normal(draws, i), root = 1 + c * x, u = 1 - st_draw_between(draws, i + 1, 0, 1);
        double v = root * root * root;
        if (root > 0 && st_log(u) < x * x / 2 + d * (1 - v + st_log(v))) {
            return st_log(d * v) + boost;
        }
    }
}

enum { DRAWS_A_GAMMA = 1 << 20, FIRST_GAMMA = 8 };

double st_mix_share(double alpha, const st_draws *draws) {
    double one = log_gamma_draw(alpha, draws, FIRST_GAMMA);
    double two = log_gamma_draw(alpha, draws, FIRST_GAMMA + DRAWS_A_GAMMA);
    return 1 / (1 + st_exp(two - one));
}

/* ---- mixup ---- */

static void mix_all(uint8_t *one, uint8_t *two, size_t bytes, double share) {
    uint32_t own = (uint32_t)(share * 65536 + 0.5), other = 65536 - own;
    for (size_t i = 0; i < bytes; i++) {
        uint32_t a = one[i], b = two[i];
        one[i] = (uint8_t)((a * own + b * other + 32768) >> 16);
        two[i] = (uint8_t)((b * own + a * other + 32768) >> 16);
    }
}

/* ---- CutMix ---- */

typedef struct area {
    int64_t top, bottom, left, right;
} area;

static int64_t within(int64_t x, int64_t most) {
    return x < 0 ? 0 : x > most ? most : x;
}

/* A box of 1 - share of the area around a random pixel, cut at the borders. */
static area draw_box(strata_shape shape, double share, const st_draws *draws) {
    double part = st_sqrt(1 - share);
    int64_t high = (int64_t)((double)shape.height * part), wide = (int64_t)((double)shape.width * part);
    uint64_t bits = st_draw_bits(draws, 1);
    int64_t top = st_draw_below(bits, shape.height) - high / 2,
            left = st_draw_below(bits >> 32, shape.width) - wide / 2;
    return (area){within(top, shape.height), within(top + high, shape.height), within(left, shape.width),
                  within(left + wide, shape.width)};
}

static void swap_box(uint8_t *one, uint8_t *two, strata_shape shape, const area *box) {
    for (int64_t y = box->top; y < box->bottom; y++) {
        int64_t row = y * shape.width * shape.channels;
        for (int64_t i = row + box->left * shape.channels; i < row + box->right * shape.channels; i++) {
            uint8_t kept = one[i];
            one[i] = two[i];
            two[i] = kept;
        }
    }
}

/* ---- batches ---- */

/* The step that mixes this batch. Where several words mix, each batch has one of them, with even chance. */
static int choose(const st_augmentation *augmentation, uint64_t batch_number) {
    int found[ST_AUGMENT_MOST_STEPS];
    int64_t count = 0;
    for (int i = 0; i < augmentation->augment.count; i++) {
        st_word_kind kind = st_word_of(&augmentation->augment, i)->kind;
        if (kind == ST_WORD_MIXUP || kind == ST_WORD_CUTMIX) {
            found[count++] = i;
        }
    }
    st_draws draws = st_draws_of_batch(augmentation, batch_number, found[0]);
    return found[st_draw_below(st_draw_bits(&draws, 0), count)];
}

void st_augment_mix(const st_augmentation *augmentation, uint64_t batch_number, uint8_t *pixels, const int32_t *labels,
                    size_t n, strata_shape shape, int32_t *other_labels, float *shares) {
    int step = choose(augmentation, batch_number);
    bool is_cut = st_word_of(&augmentation->augment, step)->kind == ST_WORD_CUTMIX;
    double numbers[2];
    st_word_numbers(numbers, &augmentation->augment, step);
    st_draws draws = st_draws_of_batch(augmentation, batch_number, step);
    double share = st_mix_share(numbers[0], &draws);
    size_t bytes = (size_t)(shape.height * shape.width * shape.channels);
    area box = {0};
    if (is_cut) {
        box = draw_box(shape, share, &draws);
        share = 1 - (double)((box.bottom - box.top) * (box.right - box.left)) / (double)(shape.height * shape.width);
    }
    for (size_t i = 0; i < n; i++) {
        other_labels[i] = labels[n - 1 - i];
        shares[i] = (float)share;
    }
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t *one = pixels + i * bytes, *two = pixels + (n - 1 - i) * bytes;
        if (is_cut) {
            swap_box(one, two, shape, &box);
        } else {
            mix_all(one, two, bytes, share);
        }
    }
}
