/* Parts of a picture taken away. A square of the mean: DeVries, Taylor 2017, "Improved regularization of convolutional
 * neural networks with cutout". A rectangle of noise: Zhong et al. 2017, "Random erasing data augmentation". */
#include "data/augment.h"

#include <string.h>

/* [top, bottom) x [left, right), cut at the borders. */
typedef struct area {
    int64_t top, bottom, left, right;
} area;

static int64_t within(int64_t x, int64_t most) {
    return x < 0 ? 0 : x > most ? most : x;
}

void st_erase_square(st_canvas *canvas, int64_t side, const st_draws *draws) {
    strata_shape shape = canvas->now->shape;
    uint64_t bits = st_draw_bits(draws, 0);
    int64_t top = st_draw_below(bits, shape.height) - side / 2,
            left = st_draw_below(bits >> 32, shape.width) - side / 2;
    area hole = {within(top, shape.height), within(top + side, shape.height), within(left, shape.width),
                 within(left + side, shape.width)};
    for (int64_t y = hole.top; y < hole.bottom; y++) {
        for (int64_t x = hole.left; x < hole.right; x++) {
            memcpy(canvas->now->pixels + (y * shape.width + x) * shape.channels, canvas->with->fill,
                   (size_t)shape.channels);
        }
    }
}

/* The paper's numbers: half of the pictures; 2% to 40% of the area; sides of 0.3 to 1/0.3; tried until one fits. */
enum { TRIES = 100, DRAWS_A_TRY = 4, FIRST_TRY = 1, FIRST_NOISE = FIRST_TRY + TRIES * DRAWS_A_TRY };

static bool draw_area(area *out, strata_shape shape, const st_draws *draws) {
    for (uint32_t i = 0; i < TRIES; i++) {
        uint32_t first = FIRST_TRY + i * DRAWS_A_TRY;
        double pixels = (double)(shape.height * shape.width) * st_draw_between(draws, first, 0.02, 0.4);
        double ratio = st_draw_between(draws, first + 1, 0.3, 1 / 0.3);
        int64_t high = (int64_t)(st_sqrt(pixels * ratio) + 0.5), wide = (int64_t)(st_sqrt(pixels / ratio) + 0.5);
        if (high >= 1 && wide >= 1 && high < shape.height && wide < shape.width) {
            out->top = st_draw_below(st_draw_bits(draws, first + 2), shape.height - high + 1);
            out->left = st_draw_below(st_draw_bits(draws, first + 3), shape.width - wide + 1);
            out->bottom = out->top + high;
            out->right = out->left + wide;
            return true;
        }
    }
    return false; /* a picture of a few pixels */
}

void st_erase_noise(st_canvas *canvas, const st_draws *draws) {
    strata_shape shape = canvas->now->shape;
    area hole = {0};
    if (st_draw_bits(draws, 0) >> 63 == 0 || !draw_area(&hole, shape, draws)) {
        return;
    }
    uint64_t bits = 0;
    uint32_t drawn = 0;
    for (int64_t y = hole.top; y < hole.bottom; y++) {
        uint8_t *row = canvas->now->pixels + y * shape.width * shape.channels;
        for (int64_t i = hole.left * shape.channels; i < hole.right * shape.channels; i++, drawn++) {
            bits = drawn % 8 == 0 ? st_draw_bits(draws, FIRST_NOISE + drawn / 8) : bits >> 8;
            row[i] = (uint8_t)bits;
        }
    }
}
