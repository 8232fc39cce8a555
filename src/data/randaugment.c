/* RandAugment: Cubuk, Zoph, Shlens, Le 2019, "RandAugment: practical automated data augmentation with a reduced search
 * space". N changes, each drawn evenly from the 14 of the paper, all of one magnitude: 10 is the largest of AutoAugment
 * (Cubuk et al. 2018, table 6), larger ones go on in proportion. As in both papers' code a change goes one way or the
 * other with even chance; unlike there, a factor of magnitude 0 is 1, so that a larger magnitude always means a larger
 * change. The last five that look at the whole picture follow Pillow's ImageOps and ImageFilter. */
#include "data/augment.h"

#include <string.h>

#define LARGEST 10.0
enum { DRAWS_A_CHANGE = 2 };

static uint8_t byte_of(double x) {
    double rounded = x + 0.5;
    return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

static double smaller(double a, double b) {
    return a < b ? a : b;
}

/* `level` is from 0 to 1 (AutoAugment's largest) and beyond, with a random sign. */
typedef strata_status (*change)(st_canvas *canvas, double level, strata_error *err);

static double size_of(double level) {
    return level < 0 ? -level : level;
}

static double factor_of(double level) {
    double factor = 1 + 0.9 * level;
    return factor < 0 ? 0 : factor;
}

static strata_status identity(st_canvas *canvas, double level, strata_error *err) {
    (void)canvas;
    (void)level;
    (void)err;
    return STRATA_OK;
}

static void count_bytes(size_t counts[256], const strata_picture *picture, int64_t channel) {
    size_t channels = (size_t)picture->shape.channels;
    size_t all = (size_t)(picture->shape.height * picture->shape.width) * channels;
    memset(counts, 0, 256 * sizeof *counts);
    for (size_t i = (size_t)channel; i < all; i += channels) {
        counts[picture->pixels[i]]++;
    }
}

/* Each channel from 0 to 255. */
static strata_status auto_contrast(st_canvas *canvas, double level, strata_error *err) {
    (void)level;
    (void)err;
    for (int64_t c = 0; c < canvas->now->shape.channels; c++) {
        size_t counts[256];
        uint8_t table[256];
        int low = 0, high = 255;
        count_bytes(counts, canvas->now, c);
        while (low < 255 && counts[low] == 0) {
            low++;
        }
        while (high > 0 && counts[high] == 0) {
            high--;
        }
        for (int i = 0; i < 256; i++) {
            table[i] = high > low ? byte_of((double)(i - low) * 255 / (double)(high - low)) : (uint8_t)i;
        }
        st_colour_table(canvas->now, table, c);
    }
    return STRATA_OK;
}

/* Each channel with as even a histogram as a table can give. */
static strata_status equalize(st_canvas *canvas, double level, strata_error *err) {
    (void)level;
    (void)err;
    size_t pixels = (size_t)(canvas->now->shape.height * canvas->now->shape.width);
    for (int64_t c = 0; c < canvas->now->shape.channels; c++) {
        size_t counts[256], last = 255;
        uint8_t table[256];
        count_bytes(counts, canvas->now, c);
        while (last > 0 && counts[last] == 0) {
            last--;
        }
        size_t step = (pixels - counts[last]) / 255, sum = step / 2;
        if (step == 0) {
            continue;
        }
        for (size_t i = 0; i < 256; i++) {
            table[i] = (uint8_t)(sum / step < 255 ? sum / step : 255);
            sum += counts[i];
        }
        st_colour_table(canvas->now, table, c);
    }
    return STRATA_OK;
}

/* Bytes from the threshold on become their negative. */
static strata_status solarize(st_canvas *canvas, double level, strata_error *err) {
    (void)err;
    uint8_t table[256];
    double threshold = 256 - 256 * smaller(size_of(level), 1);
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)((double)i < threshold ? i : 255 - i);
    }
    st_colour_table(canvas->now, table, -1);
    return STRATA_OK;
}

/* 8 to 4 bits, or fewer, but 1. */
static strata_status posterize(st_canvas *canvas, double level, strata_error *err) {
    (void)err;
    uint8_t table[256];
    int dropped = (int)(4 * smaller(size_of(level), 1.75));
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(i >> dropped << dropped);
    }
    st_colour_table(canvas->now, table, -1);
    return STRATA_OK;
}

static strata_status colour(st_canvas *canvas, double level, strata_error *err) {
    (void)err;
    st_colour_saturation(canvas->now, factor_of(level));
    return STRATA_OK;
}

static strata_status contrast(st_canvas *canvas, double level, strata_error *err) {
    (void)err;
    st_colour_contrast(canvas->now, factor_of(level));
    return STRATA_OK;
}

static strata_status brightness(st_canvas *canvas, double level, strata_error *err) {
    (void)err;
    st_colour_brightness(canvas->now, factor_of(level));
    return STRATA_OK;
}

/* Between (or beyond) the picture and its mean over 3x3 pixels, of which the middle counts five times; the border of
 * one pixel stays. */
static strata_status sharpness(st_canvas *canvas, double level, strata_error *err) {
    strata_shape shape = canvas->now->shape;
    const uint8_t *in = canvas->now->pixels;
    size_t row = (size_t)(shape.width * shape.channels), pixel = (size_t)shape.channels;
    double factor = factor_of(level);
    ST_TRY(st_picture_room(canvas->next, shape, err));
    memcpy(canvas->next->pixels, in, (size_t)shape.height * row);
    for (size_t y = 1; y + 1 < (size_t)shape.height; y++) {
        for (size_t i = y * row + pixel; i < (y + 1) * row - pixel; i++) {
            uint32_t sum = 4u * in[i];
            for (size_t at = i - row - pixel; at <= i + row - pixel; at += row) {
                sum += (uint32_t)in[at] + in[at + pixel] + in[at + 2 * pixel];
            }
            uint32_t smooth = (2 * sum + 13) / 26;
            canvas->next->pixels[i] = byte_of((double)smooth + ((double)in[i] - (double)smooth) * factor);
        }
    }
    st_canvas_swap(canvas);
    return STRATA_OK;
}

static strata_status turn(st_canvas *canvas, double level, strata_error *err) {
    st_affine affine = st_affine_turned(st_affine_none(), 30 * level);
    return st_warp(canvas, &affine, NULL, err);
}

static strata_status shear_x(st_canvas *canvas, double level, strata_error *err) {
    st_affine affine = st_affine_sheared(st_affine_none(), 0.3 * level, 0);
    return st_warp(canvas, &affine, NULL, err);
}

static strata_status shear_y(st_canvas *canvas, double level, strata_error *err) {
    st_affine affine = st_affine_sheared(st_affine_none(), 0, 0.3 * level);
    return st_warp(canvas, &affine, NULL, err);
}

/* 150 of the 331 pixels that AutoAugment's ImageNet pictures have. */
static strata_status translate_x(st_canvas *canvas, double level, strata_error *err) {
    double far = 150.0 / 331 * level * (double)canvas->now->shape.width;
    st_affine affine = st_affine_moved(st_affine_none(), far, 0);
    return st_warp(canvas, &affine, NULL, err);
}

static strata_status translate_y(st_canvas *canvas, double level, strata_error *err) {
    double far = 150.0 / 331 * level * (double)canvas->now->shape.height;
    st_affine affine = st_affine_moved(st_affine_none(), 0, far);
    return st_warp(canvas, &affine, NULL, err);
}

static const change changes[] = {
    identity, auto_contrast, equalize,  turn,    solarize, colour,      posterize,
    contrast, brightness,    sharpness, shear_x, shear_y,  translate_x, translate_y,
};

strata_status st_randaugment(st_canvas *canvas, int count, double magnitude, const st_draws *draws, strata_error *err) {
    for (uint32_t i = 0; i < (uint32_t)count; i++) {
        uint64_t bits = st_draw_bits(draws, i * DRAWS_A_CHANGE);
        double level = magnitude / LARGEST;
        level = bits >> 63 != 0 ? -level : level;
        ST_TRY(changes[st_draw_below(bits, (int64_t)ST_COUNT_OF(changes))](canvas, level, err));
    }
    return STRATA_OK;
}
