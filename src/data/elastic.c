/* Elastic distortion: Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks applied to
 * visual document analysis", section 2. A displacement for each pixel, drawn evenly from -1 to 1 in both directions,
 * smoothed by a Gaussian (4 pixels on a picture of 28), times alpha.
 *
 * A smooth field needs no draw for each pixel: here it stands on a grid of which the picture's shorter side has 14
 * cells, where the same Gaussian is 2 cells wide, and between the points it is linear. So a picture of any size is
 * warped like one of 28 pixels that was enlarged, at the cost of that one. */
#include "data/augment.h"

enum {
    CELLS = 14,   /* on the shorter side */
    CELLS_AS = 28 /* the picture that alpha speaks of */
};
#define SIGMA 2.0 /* cells */
enum { REACH = 6, TAPS = 2 * REACH + 1 };

/* Numbers that the room keeps, at least `count`. */
static strata_status reserve(double **out, st_augment_room *room, size_t count, strata_error *err) {
    if (room->number_count < count) {
        st_sys.release(room->numbers, room->number_count * sizeof *room->numbers);
        room->number_count = 0;
        room->numbers = st_sys.allocate(count * sizeof *room->numbers);
        ST_FAIL_IF(room->numbers == NULL, err, STRATA_MEMORY, "no memory for %zu displacements", count);
        room->number_count = count;
    }
    *out = room->numbers;
    return STRATA_OK;
}

static void gaussian(double taps[TAPS]) {
    double sum = 0;
    for (int i = 0; i < TAPS; i++) {
        double far = (double)(i - REACH) / SIGMA;
        taps[i] = st_exp(-far * far / 2);
        sum += taps[i];
    }
    for (int i = 0; i < TAPS; i++) {
        taps[i] /= sum;
    }
}

/* 16 bits, evenly from -1 to 1. */
static double noise_of(uint64_t bits, int64_t which) {
    return ((double)(bits >> (16 * which) & 0xFFFF) + 0.5) / 32768 - 1;
}

/* Noise on the grid and REACH around it, four numbers a draw; [rows + 2 REACH][columns + 2 REACH]. */
static void draw_noise(double *noise, int64_t count, uint32_t first, const st_draws *draws) {
    for (int64_t i = 0; i < count; i += 4) {
        uint64_t bits = st_draw_bits(draws, first + (uint32_t)(i / 4));
        for (int64_t k = 0; k < 4 && i + k < count; k++) {
            noise[i + k] = noise_of(bits, k);
        }
    }
}

/* Rows, then columns; `half` is [rows + 2 REACH][columns]. */
static void smooth(double *out, double *half, const double *noise, int64_t rows, int64_t columns, double factor) {
    double taps[TAPS];
    gaussian(taps);
    for (int64_t y = 0; y < rows + TAPS - 1; y++) {
        for (int64_t x = 0; x < columns; x++) {
            double sum = 0;
            for (int i = 0; i < TAPS; i++) {
                sum += noise[y * (columns + TAPS - 1) + x + i] * taps[i];
            }
            half[y * columns + x] = sum;
        }
    }
    for (int64_t y = 0; y < rows; y++) {
        for (int64_t x = 0; x < columns; x++) {
            double sum = 0;
            for (int i = 0; i < TAPS; i++) {
                sum += half[(y + i) * columns + x] * taps[i];
            }
            out[y * columns + x] = sum * factor;
        }
    }
}

strata_status st_elastic_draw(st_field *out, st_canvas *canvas, double alpha, const st_draws *draws,
                              strata_error *err) {
    strata_shape shape = canvas->now->shape;
    int64_t shorter = shape.height < shape.width ? shape.height : shape.width;
    double cell = (double)shorter / CELLS, *numbers = NULL;
    int64_t rows = (int64_t)((double)(shape.height - 1) / cell) + 2;
    int64_t columns = (int64_t)((double)(shape.width - 1) / cell) + 2;
    int64_t noisy = (rows + TAPS - 1) * (columns + TAPS - 1), halves = (rows + TAPS - 1) * columns;
    int64_t points = rows * columns;
    ST_TRY(reserve(&numbers, canvas->room, (size_t)(noisy + halves + 2 * points), err));
    double *noise = numbers + 2 * points, *half = noise + noisy;
    /* Noise that a Gaussian of half the width smooths keeps twice as much of it. */
    double factor = alpha / 2 * (double)shorter / CELLS_AS;
    for (int i = 0; i < 2; i++) {
        draw_noise(noise, noisy, (uint32_t)(i * ((noisy + 3) / 4)), draws);
        smooth(numbers + i * points, half, noise, rows, columns, factor);
    }
    *out = (st_field){.right = numbers, .down = numbers + points, .rows = rows, .columns = columns, .cell = cell};
    return STRATA_OK;
}
