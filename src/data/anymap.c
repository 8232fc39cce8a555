/* The portable anymap (Poskanzer 1988, netpbm's pgm(5) and ppm(5)) in its grey and colour forms, plain P2 P3 and raw P5
 * P6; values up to any maximum below 65536 are scaled to 0..255. Not PBM and PAM, nor the pictures after the first. */
#include <string.h>

#include "data/data.h"

typedef struct anymap {
    const char *file;
    const unsigned char *bytes;
    size_t length, at;
    bool is_plain;
    uint32_t maximum;
} anymap;

static bool is_space(unsigned char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A number after white space and comments, which run from '#' to the end of the line. */
static strata_status take_number(anymap *from, const char *what, uint32_t most, uint32_t *out, strata_error *err) {
    while (from->at < from->length && (is_space(from->bytes[from->at]) || from->bytes[from->at] == '#')) {
        if (from->bytes[from->at] == '#') {
            while (from->at < from->length && from->bytes[from->at] != '\n') {
                from->at++;
            }
        } else {
            from->at++;
        }
    }
    size_t start = from->at;
    uint64_t value = 0;
    while (from->at < from->length && from->bytes[from->at] >= '0' && from->bytes[from->at] <= '9' && value <= most) {
        value = value * 10 + (uint64_t)(from->bytes[from->at++] - '0');
    }
    if (from->at == start || value > most) {
        const char *found = value > most              ? "a larger number"
                            : from->at < from->length ? "no number"
                                                      : "the end of the file";
        return st_fail_file(err, STRATA_FORMAT, from->file, "byte %zu: found %s, expected %s of at most %u", start,
                            found, what, most);
    }
    *out = (uint32_t)value;
    return STRATA_OK;
}

static strata_status read_head(anymap *from, strata_shape *shape, strata_error *err) {
    char kind = (char)from->bytes[1];
    uint32_t width = 0, height = 0;
    from->at = 2;
    from->is_plain = kind == '2' || kind == '3';
    ST_TRY(take_number(from, "a width", ST_DATA_MOST_SIDE, &width, err));
    ST_TRY(take_number(from, "a height", ST_DATA_MOST_SIDE, &height, err));
    ST_TRY(take_number(from, "a largest value", 65535, &from->maximum, err));
    if (width == 0 || height == 0 || (uint64_t)width * height > ST_DATA_MOST_PIXELS || from->maximum == 0) {
        return st_fail_file(err, STRATA_FORMAT, from->file,
                            "found %ux%u pixels and a largest value of %u, expected 1 to %d pixels and 1 to 65535",
                            width, height, from->maximum, ST_DATA_MOST_PIXELS);
    }
    *shape = (strata_shape){height, width, kind == '3' || kind == '6' ? 3 : 1};
    return STRATA_OK;
}

static uint8_t scale(uint32_t value, uint32_t maximum) {
    return (uint8_t)(maximum == 255 ? value : (value * 255u + maximum / 2) / maximum);
}

static strata_status read_plain(anymap *from, uint8_t *pixels, size_t count, strata_error *err) {
    for (size_t i = 0; i < count; i++) {
        uint32_t value = 0;
        ST_TRY(take_number(from, "a value", from->maximum, &value, err));
        pixels[i] = scale(value, from->maximum);
    }
    return STRATA_OK;
}

static strata_status read_raw(anymap *from, uint8_t *pixels, size_t count, strata_error *err) {
    size_t size = from->maximum > 255 ? 2 : 1;
    from->at++; /* one byte of white space ends the head */
    if (from->at > from->length || from->length - from->at < count * size) {
        return st_fail_file(err, STRATA_FORMAT, from->file, "cut: holds %zu bytes, its header promises %zu",
                            from->length, from->at + count * size);
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned char *at = from->bytes + from->at + i * size;
        uint32_t value = size == 2 ? (uint32_t)at[0] << 8 | at[1] : at[0];
        if (value > from->maximum) {
            return st_fail_file(err, STRATA_FORMAT, from->file, "byte %zu: found the value %u, expected at most %u",
                                from->at + i * size, value, from->maximum);
        }
        pixels[i] = scale(value, from->maximum);
    }
    return STRATA_OK;
}

static strata_status decode(strata_picture *out, st_picture_about *about, const st_picture_file *from,
                            strata_error *err) {
    anymap map = {.file = from->path, .bytes = from->bytes, .length = from->length};
    strata_shape shape = {0, 0, 0};
    ST_TRY(read_head(&map, &shape, err));
    about->shape = shape;
    about->bits = map.maximum > 255 ? 16 : 8;
    about->is_grey = shape.channels == 1;
    size_t count = (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
    if (count > from->length) { /* every value takes a byte at least: seen before memory is asked for */
        return st_fail_file(err, STRATA_FORMAT, from->path, "cut: holds %zu bytes, its header promises at least %zu",
                            from->length, count);
    }
    ST_TRY(st_picture_room(out, shape, err));
    return map.is_plain ? read_plain(&map, out->pixels, count, err) : read_raw(&map, out->pixels, count, err);
}

static bool is_anymap(const unsigned char *bytes, size_t length) {
    return length >= 3 && bytes[0] == 'P' && bytes[1] != '\0' && strchr("2356", bytes[1]) != NULL;
}

const st_decoder st_decoder_anymap = {.name = "PGM or PPM", .is = is_anymap, .decode = decode};
