/* Colours changed in place: brightness, contrast, saturation, hue, and the shift along the axes in which the colours of
 * the data vary (Krizhevsky, Sutskever, Hinton 2012, section 4.1). Factors are those of Pillow's ImageEnhance: 0 is
 * black, one grey, no colour; 1 the picture itself; more exaggerates. */
#include "data/augment.h"

#include <string.h>

static uint8_t byte_of(double x) {
    double rounded = x + 0.5;
    return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

static size_t pixels_of(const strata_picture *picture) {
    return (size_t)(picture->shape.height * picture->shape.width);
}

static bool is_coloured(const strata_picture *picture) {
    return picture->shape.channels == 3;
}

void st_colour_table(strata_picture *picture, const uint8_t *table, int64_t channel) {
    size_t step = channel < 0 ? 1 : (size_t)picture->shape.channels;
    size_t count = pixels_of(picture) * (size_t)picture->shape.channels;
    for (size_t i = channel < 0 ? 0 : (size_t)channel; i < count; i += step) {
        picture->pixels[i] = table[picture->pixels[i]];
    }
}

/* Every byte between `grey` and itself, or beyond. */
static void blend(strata_picture *picture, double grey, double factor) {
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        table[i] = byte_of(grey + ((double)i - grey) * factor);
    }
    st_colour_table(picture, table, -1);
}

/* Luma of ITU-R 601. */
static uint32_t luma(const uint8_t *pixel) {
    return (pixel[0] * 19595u + pixel[1] * 38470u + pixel[2] * 7471u + 0x8000u) >> 16;
}

void st_colour_brightness(strata_picture *picture, double factor) {
    blend(picture, 0, factor);
}

void st_colour_contrast(strata_picture *picture, double factor) {
    uint64_t sum = 0;
    size_t count = pixels_of(picture), channels = (size_t)picture->shape.channels;
    for (size_t i = 0; i < count * channels; i += is_coloured(picture) ? channels : 1) {
        sum += is_coloured(picture) ? luma(picture->pixels + i) : picture->pixels[i];
    }
    uint64_t of = is_coloured(picture) ? count : count * channels;
    uint64_t mean = (sum + of / 2) / of;
    blend(picture, (double)mean, factor);
}

void st_colour_saturation(strata_picture *picture, double factor) {
    size_t count = is_coloured(picture) ? pixels_of(picture) : 0;
    uint8_t *pixel = picture->pixels;
    for (size_t i = 0; i < count; i++, pixel += 3) {
        double grey = (double)luma(pixel);
        for (int c = 0; c < 3; c++) {
            pixel[c] = byte_of(grey + ((double)pixel[c] - grey) * factor);
        }
    }
}

/* Hue, saturation, value: the brightest and the darkest channel keep their bytes, the hue goes round the hexagon. */
static void turn_hue(uint8_t *pixel, double sixths) {
    int r = pixel[0], g = pixel[1], b = pixel[2];
    int most = r > g ? (r > b ? r : b) : (g > b ? g : b), least = r < g ? (r < b ? r : b) : (g < b ? g : b);
    if (most == least) {
        return;
    }
    double chroma = (double)(most - least);
    double hue = most == r   ? (double)(g - b) / chroma
                 : most == g ? 2 + (double)(b - r) / chroma
                             : 4 + (double)(r - g) / chroma;
    hue += sixths;
    hue += hue < 0 ? 6 : 0;
    hue -= hue >= 6 ? 6 : 0;
    for (int c = 0; c < 3; c++) { /* a channel is full within one sixth of its own hue, and fades within the next */
        double apart = hue - 2 * c;
        apart += apart < -3 ? 6 : apart > 3 ? -6 : 0;
        apart = apart < 0 ? -apart : apart;
        double share = 2 - apart;
        share = share < 0 ? 0 : share > 1 ? 1 : share;
        pixel[c] = byte_of((double)least + chroma * share);
    }
}

void st_colour_hue(strata_picture *picture, double turn) {
    size_t count = is_coloured(picture) ? pixels_of(picture) : 0;
    for (size_t i = 0; i < count; i++) {
        turn_hue(picture->pixels + 3 * i, 6 * turn);
    }
}

void st_colour_shift(strata_picture *picture, const double *amounts) {
    for (int64_t c = 0; c < picture->shape.channels; c++) {
        uint8_t table[256];
        for (int i = 0; i < 256; i++) {
            table[i] = byte_of((double)i + amounts[c]);
        }
        st_colour_table(picture, table, c);
    }
}

/* ---- the axes of the data's colours ---- */

void st_colour_sums_add(st_colour_sums *sums, const uint8_t *pixels, size_t count, size_t channels) {
    for (size_t a = 0; a < channels; a++) {
        for (size_t b = a; b < channels; b++) {
            uint64_t products = 0;
            for (size_t i = 0; i < count * channels; i += channels) {
                products += (uint64_t)pixels[i + a] * pixels[i + b];
            }
            sums->products[a][b] += products;
        }
        uint64_t sum = 0;
        for (size_t i = a; i < count * channels; i += channels) {
            sum += pixels[i];
        }
        sums->sums[a] += sum;
    }
    sums->count += count;
}

typedef double square[ST_DATA_MOST_CHANNELS][ST_DATA_MOST_CHANNELS];

/* One rotation of Jacobi 1846, in the plane of axes p and q, after which matrix[p][q] is 0. */
static void rotate(square matrix, square vectors, size_t n, size_t p, size_t q) {
    double theta = (matrix[q][q] - matrix[p][p]) / (2 * matrix[p][q]);
    double t = 1 / ((theta < 0 ? -theta : theta) + st_sqrt(theta * theta + 1));
    t = theta < 0 ? -t : t;
    double c = 1 / st_sqrt(t * t + 1), s = t * c;
    for (size_t k = 0; k < n; k++) {
        double kp = matrix[k][p], kq = matrix[k][q];
        matrix[k][p] = c * kp - s * kq;
        matrix[k][q] = s * kp + c * kq;
    }
    for (size_t k = 0; k < n; k++) {
        double pk = matrix[p][k], qk = matrix[q][k], vp = vectors[k][p], vq = vectors[k][q];
        matrix[p][k] = c * pk - s * qk;
        matrix[q][k] = s * pk + c * qk;
        vectors[k][p] = c * vp - s * vq;
        vectors[k][q] = s * vp + c * vq;
    }
}

/* Cyclic Jacobi: the matrix becomes diagonal, the columns of `vectors` its axes. Four by four and smaller is done after
 * five or six sweeps; 16 leave no doubt. */
static void diagonalize(square matrix, square vectors, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            vectors[i][k] = i == k ? 1 : 0;
        }
    }
    for (int sweep = 0; sweep < 16; sweep++) {
        for (size_t p = 0; p < n; p++) {
            for (size_t q = p + 1; q < n; q++) {
                double size = matrix[p][q] < 0 ? -matrix[p][q] : matrix[p][q];
                if (size > 1e-300) {
                    rotate(matrix, vectors, n, p, q);
                }
            }
        }
    }
}

void st_colour_axes(double axes[ST_DATA_MOST_CHANNELS][ST_DATA_MOST_CHANNELS], const st_colour_sums *sums,
                    size_t channels) {
    square covariance = {{0}}, vectors = {{0}};
    double count = sums->count > 0 ? (double)sums->count : 1;
    memset(axes, 0, sizeof(square));
    for (size_t a = 0; a < channels; a++) {
        for (size_t b = a; b < channels; b++) {
            double mean_a = (double)sums->sums[a] / count, mean_b = (double)sums->sums[b] / count;
            covariance[a][b] = ((double)sums->products[a][b] / count - mean_a * mean_b) / (255.0 * 255.0);
            covariance[b][a] = covariance[a][b];
        }
    }
    diagonalize(covariance, vectors, channels);
    for (size_t i = 0; i < channels; i++) {
        double value = covariance[i][i] > 0 ? covariance[i][i] : 0;
        for (size_t c = 0; c < channels; c++) {
            axes[i][c] = vectors[c][i] * value * 255.0;
        }
    }
}
