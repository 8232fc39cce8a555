/* Resizing with a filter that widens as the picture shrinks, so that every pixel of the original counts. The results
 * are those of Pillow's Image.resize(size, BILINEAR or BICUBIC, box), byte for byte: published accuracies were measured
 * with it. Not Pillow's reducing_gap, nor its resize of other modes than 8 bits a channel.
 *
 * A pixel of the result at x, in an axis of `n` pixels made from the part from x0 to x1, has its centre at
 * c = x0 + (x + 1/2) s, s = (x1 - x0) / n. The pixels k of the original between c - r and c + r count, each by
 * f((k + 1/2 - c) / max(s, 1)), and the sum of these weights is made 1. f is the triangle, r = max(s, 1), or Keys'
 * cubic with a = -1/2 (Keys 1981, "Cubic convolution interpolation for digital image processing"), r = 2 max(s, 1).
 * Rows come first, then columns; between them, as at the end, values are rounded to bytes. Weights are fixed-point
 * numbers with 22 bits after the point, so sums are exact and their order does not matter. */
#include "data/data.h"

#include <string.h>

enum { FRACTION_BITS = 22, HALF = 1 << (FRACTION_BITS - 1), BLOCK = 32 };

/* The weights of one axis. */
typedef struct axis {
    size_t count;     /* of the result */
    size_t most;      /* weights of a pixel */
    uint32_t *first;  /* [count] in the original */
    uint32_t *taps;   /* [count] how many of them */
    int32_t *weights; /* [count][most] */
} axis;

/* ---- weights ---- */

static double triangle(double x) {
    x = x < 0.0 ? -x : x;
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double cubic(double x) {
    const double a = -0.5;
    x = x < 0.0 ? -x : x;
    if (x < 1.0) {
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    }
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * a : 0.0;
}

/* How far one pixel of the result looks. The part's length is taken in single precision. */
static double reach_of(float begin, float end, size_t count, st_filter filter, double *step) {
    *step = (double)(end - begin) / (double)count;
    return (filter == ST_FILTER_BICUBIC ? 2.0 : 1.0) * (*step < 1.0 ? 1.0 : *step);
}

static size_t most_taps(double reach) {
    size_t whole = (size_t)reach;
    return 2 * (whole + ((double)whole < reach ? 1 : 0)) + 1;
}

static int32_t to_fixed(double weight) {
    double scaled = weight * (1 << FRACTION_BITS);
    return (int32_t)(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
}

/* `exact`: room for out->most weights. */
static void weigh(axis *out, float begin, float end, size_t length, st_filter filter, double *exact) {
    double step = 0.0, reach = reach_of(begin, end, out->count, filter, &step),
           narrow = 1.0 / (step < 1.0 ? 1.0 : step);
    for (size_t i = 0; i < out->count; i++) {
        double centre = (double)begin + ((double)i + 0.5) * step, sum = 0.0;
        double low = centre - reach + 0.5, high = centre + reach + 0.5;
        size_t first = low > 0.0 ? (size_t)low : 0, last = (size_t)high;
        last = last < length ? last : length;
        first = first < last ? first : last - 1;
        for (size_t k = first; k < last; k++) {
            double x = ((double)k - centre + 0.5) * narrow;
            exact[k - first] = filter == ST_FILTER_BICUBIC ? cubic(x) : triangle(x);
            sum += exact[k - first];
        }
        out->first[i] = (uint32_t)first;
        out->taps[i] = (uint32_t)(last - first);
        for (size_t k = 0; k < last - first; k++) {
            out->weights[i * out->most + k] = to_fixed(sum != 0.0 ? exact[k] / sum : exact[k]);
        }
    }
}

/* ---- the two passes ---- */

static inline uint8_t to_byte(int32_t sum) {
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_grey_row(uint8_t *out, const uint8_t *from, const axis *x) {
    for (size_t i = 0; i < x->count; i++) {
        const int32_t *weights = x->weights + i * x->most;
        const uint8_t *pixel = from + x->first[i];
        int32_t sum = HALF;
        for (size_t k = 0; k < x->taps[i]; k++) {
            sum += pixel[k] * weights[k];
        }
        out[i] = to_byte(sum);
    }
}

static void resize_colour_row(uint8_t *out, const uint8_t *from, const axis *x) {
    for (size_t i = 0; i < x->count; i++) {
        const int32_t *weight = x->weights + i * x->most, *end = weight + x->taps[i];
        const uint8_t *pixel = from + x->first[i] * 3;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (; weight < end; weight++, pixel += 3) {
            red += pixel[0] * *weight;
            green += pixel[1] * *weight;
            blue += pixel[2] * *weight;
        }
        out[3 * i] = to_byte(red);
        out[3 * i + 1] = to_byte(green);
        out[3 * i + 2] = to_byte(blue);
    }
}

static void resize_other_row(uint8_t *out, const uint8_t *from, const axis *x, size_t channels) {
    for (size_t i = 0; i < x->count * channels; i++) {
        size_t at = i / channels, c = i % channels;
        const int32_t *weights = x->weights + at * x->most;
        const uint8_t *pixel = from + x->first[at] * channels + c;
        int32_t sum = HALF;
        for (size_t k = 0; k < x->taps[at]; k++) {
            sum += pixel[k * channels] * weights[k];
        }
        out[i] = to_byte(sum);
    }
}

static void resize_row(uint8_t *out, const uint8_t *from, const axis *x, size_t channels) {
    if (channels == 1) {
        resize_grey_row(out, from, x);
    } else if (channels == 3) {
        resize_colour_row(out, from, x);
    } else {
        resize_other_row(out, from, x, channels);
    }
}

/* The rows that have passed and are still needed: row r lies in slot r modulo `slots`. Each has room for whole blocks,
 * so that the loops over a block have a constant length; what they make of the rest is not kept. */
typedef struct ring {
    uint8_t *rows;
    size_t slots, pitch;
    size_t next; /* row to come */
} ring;

static void resize_column(uint8_t *out, size_t bytes, const ring *rows, const axis *y, size_t i) {
    const int32_t *weights = y->weights + i * y->most;
    for (size_t begin = 0; begin < bytes; begin += BLOCK) {
        int32_t sums[BLOCK];
        uint8_t block[BLOCK];
        for (size_t b = 0; b < BLOCK; b++) {
            sums[b] = HALF;
        }
        for (size_t k = 0; k < y->taps[i]; k++) {
            const uint8_t *row = rows->rows + (y->first[i] + k) % rows->slots * rows->pitch + begin;
            int32_t weight = weights[k];
            for (size_t b = 0; b < BLOCK; b++) {
                sums[b] += row[b] * weight;
            }
        }
        for (size_t b = 0; b < BLOCK; b++) {
            block[b] = to_byte(sums[b]);
        }
        memcpy(out + begin, block, bytes - begin < BLOCK ? bytes - begin : BLOCK);
    }
}

static void run(strata_picture *out, const strata_picture *from, const axis *x, const axis *y, ring *rows) {
    size_t channels = (size_t)from->shape.channels, bytes = x->count * channels;
    size_t stride = (size_t)from->shape.width * channels;
    for (size_t i = 0; i < y->count; i++) {
        size_t end = y->first[i] + y->taps[i];
        rows->next = rows->next < y->first[i] ? y->first[i] : rows->next;
        for (; rows->next < end; rows->next++) {
            resize_row(rows->rows + rows->next % rows->slots * rows->pitch, from->pixels + rows->next * stride, x,
                       channels);
        }
        resize_column(out->pixels + i * bytes, bytes, rows, y, i);
    }
}

/* ---- room ---- */

enum { ALIGNMENT = 64 };

/* Where the parts of the one block of scratch memory lie. */
static size_t place(size_t *end, size_t count, size_t size) {
    size_t begin = *end;
    *end += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return begin;
}

static strata_status check(const strata_picture *from, const st_box *box, int64_t height, int64_t width,
                           strata_error *err) {
    strata_shape shape = from->shape;
    ST_FAIL_IF(height < 1 || width < 1 || height > ST_DATA_MOST_PIXELS || width > ST_DATA_MOST_PIXELS ||
                   height * width > ST_DATA_MOST_PIXELS,
               err, STRATA_INVALID, "a picture cannot be resized to %lldx%lld: expected 1 to %d pixels",
               (long long)height, (long long)width, ST_DATA_MOST_PIXELS);
    ST_FAIL_IF(!(box->x0 >= 0.0 && box->y0 >= 0.0 && box->x0 < box->x1 && box->y0 < box->y1 &&
                 box->x1 <= (double)shape.width && box->y1 <= (double)shape.height),
               err, STRATA_INVALID, "the part from %g, %g to %g, %g is not within a picture of %lldx%lld", box->x0,
               box->y0, box->x1, box->y1, (long long)shape.height, (long long)shape.width);
    return STRATA_OK;
}

strata_status st_picture_resize_box(strata_picture *out, const strata_picture *from, const st_box *box, int64_t height,
                                    int64_t width, st_filter filter, strata_error *err) {
    ST_TRY(check(from, box, height, width, err));
    float x0 = (float)box->x0, x1 = (float)box->x1, y0 = (float)box->y0, y1 = (float)box->y1;
    double step = 0.0;
    axis x = {.count = (size_t)width}, y = {.count = (size_t)height};
    x.most = most_taps(reach_of(x0, x1, x.count, filter, &step));
    y.most = most_taps(reach_of(y0, y1, y.count, filter, &step));
    size_t from_height = (size_t)from->shape.height, from_width = (size_t)from->shape.width;
    ring rows = {.slots = y.most < from_height ? y.most : from_height,
                 .pitch = (x.count * (size_t)from->shape.channels + BLOCK - 1) / BLOCK * BLOCK};
    size_t end = 0, wider = x.most > y.most ? x.most : y.most, exact_at = place(&end, wider, sizeof(double));
    size_t x_weights = place(&end, x.count * x.most, sizeof *x.weights);
    size_t y_weights = place(&end, y.count * y.most, sizeof *y.weights);
    size_t x_bounds = place(&end, 2 * x.count, sizeof *x.first), y_bounds = place(&end, 2 * y.count, sizeof *y.first);
    size_t rows_at = place(&end, rows.slots, rows.pitch);
    ST_TRY(st_picture_room(out, (strata_shape){height, width, from->shape.channels}, err));
    unsigned char *scratch = st_sys.allocate(end);
    ST_FAIL_IF(scratch == NULL, err, STRATA_MEMORY, "no memory to resize a picture: %zu bytes", end);
    x.weights = (void *)(scratch + x_weights);
    y.weights = (void *)(scratch + y_weights);
    x.first = (void *)(scratch + x_bounds);
    y.first = (void *)(scratch + y_bounds);
    x.taps = x.first + x.count;
    y.taps = y.first + y.count;
    rows.rows = scratch + rows_at;
    weigh(&x, x0, x1, from_width, filter, (void *)(scratch + exact_at));
    weigh(&y, y0, y1, from_height, filter, (void *)(scratch + exact_at));
    run(out, from, &x, &y, &rows);
    st_sys.release(scratch, end);
    return STRATA_OK;
}

strata_status st_picture_resize(strata_picture *out, const strata_picture *from, int64_t height, int64_t width,
                                st_filter filter, strata_error *err) {
    if (height == from->shape.height && width == from->shape.width) {
        ST_TRY(st_picture_room(out, from->shape, err));
        memcpy(out->pixels, from->pixels, (size_t)height * (size_t)width * (size_t)from->shape.channels);
        return STRATA_OK;
    }
    st_box whole = {0.0, 0.0, (double)from->shape.width, (double)from->shape.height};
    return st_picture_resize_box(out, from, &whole, height, width, filter, err);
}
