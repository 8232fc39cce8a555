/* One resampling for rotation, shear, scale and translation, with a field of displacements after it: bilinear, the
 * fill around the picture. Every matrix maps a pixel of the result to its place in the picture, both counted from the
 * middle, so a later word is multiplied from the right. */
#include <string.h>

#include "data/augment.h"

/* A place between pixels has 11 binary digits: four weights of 22 digits and a byte fit into 32 bits. */
enum { DIGITS = 11, ONE = 1 << DIGITS };

st_affine st_affine_none(void) {
    return (st_affine){{1, 0, 0, 0, 1, 0}};
}

static st_affine times(const st_affine *a, const st_affine *b) {
    const double *p = a->m, *q = b->m;
    return (st_affine){{p[0] * q[0] + p[1] * q[3], p[0] * q[1] + p[1] * q[4], p[0] * q[2] + p[1] * q[5] + p[2],
                        p[3] * q[0] + p[4] * q[3], p[3] * q[1] + p[4] * q[4], p[3] * q[2] + p[4] * q[5] + p[5]}};
}

st_affine st_affine_turned(st_affine before, double degrees) {
    double angle = degrees * (3.141592653589793 / 180.0), c = st_cos(angle), s = st_sin(angle);
    st_affine inverse = {{c, s, 0, -s, c, 0}};
    return times(&before, &inverse);
}

st_affine st_affine_sheared(st_affine before, double along_x, double along_y) {
    st_affine inverse = {{1, -along_x, 0, -along_y, 1, 0}};
    return times(&before, &inverse);
}

st_affine st_affine_scaled(st_affine before, double factor) {
    st_affine inverse = {{1 / factor, 0, 0, 0, 1 / factor, 0}};
    return times(&before, &inverse);
}

st_affine st_affine_moved(st_affine before, double right, double down) {
    st_affine inverse = {{1, 0, -right, 0, 1, -down}};
    return times(&before, &inverse);
}

/* ---- pixels ---- */

typedef struct place {
    double x, y;
} place;

/* What the field says at a place, linear between its points. */
static place moved(const st_field *field, place at) {
    double x = at.x / field->cell, y = at.y / field->cell;
    int64_t column = (int64_t)x, row = (int64_t)y;
    double right = x - (double)column, down = y - (double)row;
    const double *maps[2] = {field->right, field->down};
    double found[2];
    for (int i = 0; i < 2; i++) {
        const double *upper = maps[i] + row * field->columns + column, *lower = upper + field->columns;
        double top = upper[0] + (upper[1] - upper[0]) * right, bottom = lower[0] + (lower[1] - lower[0]) * right;
        found[i] = top + (bottom - top) * down;
    }
    return (place){at.x + found[0], at.y + found[1]};
}

/* The pixel at (x, y), fill where there is none. */
static const uint8_t *pixel_at(const strata_picture *from, const uint8_t *fill, int64_t x, int64_t y) {
    bool is_inside = x >= 0 && x < from->shape.width && y >= 0 && y < from->shape.height;
    return is_inside ? from->pixels + (y * from->shape.width + x) * from->shape.channels : fill;
}

static void sample(uint8_t *out, const strata_picture *from, const uint8_t *fill, place at) {
    int64_t channels = from->shape.channels;
    bool is_near = at.x > -1 && at.x < (double)from->shape.width && at.y > -1 && at.y < (double)from->shape.height;
    if (!is_near) {
        memcpy(out, fill, (size_t)channels);
        return;
    }
    uint64_t x = (uint64_t)((at.x + 1) * ONE + 0.5), y = (uint64_t)((at.y + 1) * ONE + 0.5); /* one to the right */
    int64_t left = (int64_t)(x >> DIGITS) - 1, top = (int64_t)(y >> DIGITS) - 1;
    uint32_t right = (uint32_t)x & (ONE - 1), down = (uint32_t)y & (ONE - 1);
    const uint8_t *p00 = pixel_at(from, fill, left, top), *p01 = pixel_at(from, fill, left + 1, top);
    const uint8_t *p10 = pixel_at(from, fill, left, top + 1), *p11 = pixel_at(from, fill, left + 1, top + 1);
    uint32_t w00 = (ONE - right) * (ONE - down), w01 = right * (ONE - down);
    uint32_t w10 = (ONE - right) * down, w11 = right * down;
    for (int64_t c = 0; c < channels; c++) {
        uint32_t sum = p00[c] * w00 + p01[c] * w01 + p10[c] * w10 + p11[c] * w11;
        out[c] = (uint8_t)((sum + (1u << (2 * DIGITS - 1))) >> (2 * DIGITS));
    }
}

strata_status st_warp(st_canvas *canvas, const st_affine *affine, const st_field *field, strata_error *err) {
    const strata_picture *from = canvas->now;
    strata_shape shape = from->shape;
    const double *m = affine->m;
    double middle_x = (double)(shape.width - 1) / 2, middle_y = (double)(shape.height - 1) / 2;
    ST_TRY(st_picture_room(canvas->next, shape, err));
    uint8_t *out = canvas->next->pixels;
    for (int64_t y = 0; y < shape.height; y++) {
        for (int64_t x = 0; x < shape.width; x++, out += shape.channels) {
            place at = {(double)x, (double)y};
            if (field != NULL) {
                at = moved(field, at);
            }
            double dx = at.x - middle_x, dy = at.y - middle_y;
            place source = {m[0] * dx + m[1] * dy + m[2] + middle_x, m[3] * dx + m[4] * dy + m[5] + middle_y};
            sample(out, from, canvas->with->fill, source);
        }
    }
    st_canvas_swap(canvas);
    return STRATA_OK;
}
