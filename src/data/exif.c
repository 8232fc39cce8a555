/* Which way up a picture is: EXIF's tag Orientation (CIPA DC-008, 4.6.4; TIFF 6.0 for the frame around it), and turning
 * the pixels so that they need it no more. Nothing else of EXIF is read. A block that is damaged says nothing: no
 * picture is refused for it.
 *
 * The stored first row and column are, for 1: top, left; 2: top, right; 3: bottom, right; 4: bottom, left; 5: left,
 * top; 6: right, top; 7: right, bottom; 8: left, bottom. */
#include "data/data.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, HEAD_BYTES = 8, ENTRY_BYTES = 12 };

/* ---- finding it ---- */

static uint32_t number_at(const unsigned char *at, size_t bytes, bool big_first) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | at[big_first ? i : bytes - 1 - i];
    }
    return value;
}

/* Before the header, six bytes may stand that JPEG asks for and some writers of WebP add: "Exif" and two zeros. Header:
 * order of bytes, 42, where the first directory lies, counted from there. That begins with its count of entries; an
 * entry is tag (2), type (2), count (4), value (4). */
int st_exif_orientation(const unsigned char *bytes, size_t length) {
    if (length >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
        bytes += 6;
        length -= 6;
    }
    if (length < HEAD_BYTES || (memcmp(bytes, "II*\0", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0)) {
        return 0;
    }
    bool big_first = bytes[0] == 'M';
    size_t at = number_at(bytes + 4, 4, big_first);
    if (at > length || length - at < 2) {
        return 0;
    }
    size_t count = number_at(bytes + at, 2, big_first);
    at += 2;
    for (size_t i = 0; i < count && length - at >= ENTRY_BYTES; i++, at += ENTRY_BYTES) {
        if (number_at(bytes + at, 2, big_first) == TAG_ORIENTATION) {
            uint32_t value = number_at(bytes + at + 8, 2, big_first);
            bool is_one_short =
                number_at(bytes + at + 2, 2, big_first) == TYPE_SHORT && number_at(bytes + at + 4, 4, big_first) == 1;
            return is_one_short && value >= 1 && value <= 8 ? (int)value : 0;
        }
    }
    return 0;
}

/* ---- applying it ---- */

static void swap_pixels(uint8_t *a, uint8_t *b, size_t channels) {
    for (size_t c = 0; c < channels; c++) {
        uint8_t kept = a[c];
        a[c] = b[c];
        b[c] = kept;
    }
}

/* Row `a` against row `b`, each pixel with the one in the same column or, reversed, in the opposite one. */
static void swap_rows(uint8_t *a, uint8_t *b, size_t width, size_t channels, bool reversed) {
    size_t count = a == b ? width / 2 : width; /* a row with itself: each pair once */
    for (size_t x = 0; x < count; x++) {
        swap_pixels(a + x * channels, b + (reversed ? width - 1 - x : x) * channels, channels);
    }
}

/* In place: 2 mirrors each row, 3 turns by half, 4 changes top and bottom. */
static void turn_standing(strata_picture *picture, int orientation) {
    size_t height = (size_t)picture->shape.height, width = (size_t)picture->shape.width;
    size_t channels = (size_t)picture->shape.channels, stride = width * channels;
    if (orientation == 2) {
        for (size_t y = 0; y < height; y++) {
            swap_rows(picture->pixels + y * stride, picture->pixels + y * stride, width, channels, true);
        }
        return;
    }
    for (size_t y = 0; y < height - 1 - y; y++) {
        swap_rows(picture->pixels + y * stride, picture->pixels + (height - 1 - y) * stride, width, channels,
                  orientation == 3);
    }
    if (orientation == 3 && height % 2 == 1) {
        uint8_t *middle = picture->pixels + height / 2 * stride;
        swap_rows(middle, middle, width, channels, true);
    }
}

/* Rows become columns, in squares that the cache holds. A row of the result reads a column downwards for 5 and 8 and
 * upwards for 6 and 7; the columns go from left to right for 5 and 6 and from right to left for 7 and 8. `channels` is
 * a constant where this is inlined. */
static inline void turn_lying(strata_picture *out, const strata_picture *from, int orientation, size_t channels) {
    enum { SQUARE = 16 };
    size_t height = (size_t)from->shape.height, width = (size_t)from->shape.width; /* of the result: width, height */
    bool upwards = orientation == 6 || orientation == 7, from_right = orientation >= 7;
    ptrdiff_t step = (ptrdiff_t)(width * channels) * (upwards ? -1 : 1);
    for (size_t top = 0; top < width; top += SQUARE) {
        for (size_t left = 0; left < height; left += SQUARE) {
            for (size_t y = top; y < width && y < top + SQUARE; y++) {
                size_t row = upwards ? height - 1 - left : left, column = from_right ? width - 1 - y : y;
                const uint8_t *first = from->pixels + (row * width + column) * channels;
                uint8_t *to = out->pixels + (y * height + left) * channels;
                size_t count = height - left < SQUARE ? height - left : SQUARE;
                for (size_t x = 0; x < count; x++) {
                    const uint8_t *source = first + (ptrdiff_t)x * step;
                    for (size_t c = 0; c < channels; c++) {
                        to[x * channels + c] = source[c];
                    }
                }
            }
        }
    }
}

strata_status st_picture_upright(strata_picture *picture, int orientation, strata_error *err) {
    if (orientation <= 1) {
        return STRATA_OK;
    }
    if (orientation < ST_ORIENTATION_LYING) {
        turn_standing(picture, orientation);
        return STRATA_OK;
    }
    strata_picture turned = {0};
    strata_shape shape = {picture->shape.width, picture->shape.height, picture->shape.channels};
    ST_TRY(st_picture_room(&turned, shape, err));
    if (shape.channels == 3) {
        turn_lying(&turned, picture, orientation, 3);
    } else {
        turn_lying(&turned, picture, orientation, (size_t)shape.channels);
    }
    strata_picture_free(picture);
    *picture = turned;
    return STRATA_OK;
}
