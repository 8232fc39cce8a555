/* One picture from a file: the portable anymap (Poskanzer 1988, netpbm's pgm(5) and ppm(5)) in its grey and colour
 * forms, plain P2 P3 and raw P5 P6, values up to any maximum below 65536 scaled to 0..255; or one picture of an IDX
 * file or a data set, "FILE:k". */
#include "data/data.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_PIXELS = 64 << 20, PICTURE_HEAD = 64 };
#define MOST_FILE_BYTES ((size_t)1 << 30)

/* ---- memory: the size in front, so that freeing needs the pointer only ---- */

static strata_status take_pixels(strata_picture *out, strata_shape shape, strata_error *err) {
    size_t bytes = (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels; /* at most 3 * MOST_PIXELS */
    size_t whole = bytes + PICTURE_HEAD;
    unsigned char *block = st_sys.allocate(whole);
    ST_FAIL_IF(block == NULL, err, STRATA_MEMORY, "no memory for a picture of %zu bytes", bytes);
    memcpy(block, &whole, sizeof whole);
    *out = (strata_picture){.shape = shape, .pixels = block + PICTURE_HEAD};
    return STRATA_OK;
}

void strata_picture_free(strata_picture *picture) {
    if (picture != NULL && picture->pixels != NULL) {
        size_t whole;
        unsigned char *block = picture->pixels - PICTURE_HEAD;
        memcpy(&whole, block, sizeof whole);
        st_sys.release(block, whole);
        *picture = (strata_picture){0};
    }
}

/* ---- portable anymap ---- */

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
    if (width == 0 || height == 0 || (uint64_t)width * height > MOST_PIXELS || from->maximum == 0) {
        return st_fail_file(err, STRATA_FORMAT, from->file,
                            "found %ux%u pixels and a largest value of %u, expected 1 to %d pixels and 1 to 65535",
                            width, height, from->maximum, MOST_PIXELS);
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

static strata_status read_anymap(strata_picture *out, anymap *from, strata_error *err) {
    strata_shape shape = {0, 0, 0};
    ST_TRY(read_head(from, &shape, err));
    size_t count = (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
    if (count > from->length) { /* every value takes a byte at least: seen before memory is asked for */
        return st_fail_file(err, STRATA_FORMAT, from->file, "cut: holds %zu bytes, its header promises at least %zu",
                            from->length, count);
    }
    ST_TRY(take_pixels(out, shape, err));
    strata_status status =
        from->is_plain ? read_plain(from, out->pixels, count, err) : read_raw(from, out->pixels, count, err);
    if (status != STRATA_OK) {
        strata_picture_free(out);
    }
    return status;
}

/* ---- what a file is, by its first bytes ---- */

static strata_status fail_kind(const anymap *from, strata_error *err) {
    static const struct {
        const char *magic, *name;
        size_t length;
    } others[] = {{"\x89PNG", "PNG", 4}, {"\xff\xd8\xff", "JPEG", 3},        {"GIF8", "GIF", 4},
                  {"BM", "BMP", 2},      {"P1", "PBM (black and white)", 2}, {"P4", "PBM (black and white)", 2},
                  {"P7", "PAM", 2}};
    for (size_t i = 0; i < ST_COUNT_OF(others); i++) {
        if (from->length >= others[i].length && memcmp(from->bytes, others[i].magic, others[i].length) == 0) {
            st_fail_file(err, STRATA_UNSUPPORTED, from->file, "a %s picture, expected PGM or PPM (P2, P3, P5, P6)",
                         others[i].name);
            st_error_hint(err, "convert it, for example with ImageMagick: convert %s picture.ppm", from->file);
            return STRATA_UNSUPPORTED;
        }
    }
    return st_fail_file(
        err, STRATA_UNSUPPORTED, from->file,
        "no picture: expected PGM or PPM (P2, P3, P5, P6), or an IDX file with the number of a picture");
}

static strata_status open_file(strata_picture *out, st_arena *arena, const char *path, strata_error *err) {
    char *bytes = NULL;
    anymap from = {.file = path};
    if (st_idx_probe_file(path)) {
        return st_fail_file(err, STRATA_INVALID, path, "an IDX file holds many pictures: say which, as in %s:0", path);
    }
    ST_TRY(st_file_read(&bytes, &from.length, arena, path, MOST_FILE_BYTES, err));
    from.bytes = (const unsigned char *)bytes;
    if (from.length < 3 || bytes[0] != 'P' || strchr("2356", bytes[1]) == NULL || bytes[1] == '\0') {
        return fail_kind(&from, err);
    }
    return read_anymap(out, &from, err);
}

/* ---- FILE:k and NAME:k ---- */

/* The number after the last colon, if there is one. */
static bool split_number(const char *path, char name[256], size_t *number) {
    const char *colon = strrchr(path, ':');
    if (colon == NULL || colon[1] == '\0' || colon - path >= 256 || strlen(colon + 1) > 9) {
        return false;
    }
    *number = 0;
    for (const char *at = colon + 1; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        *number = *number * 10 + (size_t)(*at - '0');
    }
    memcpy(name, path, (size_t)(colon - path));
    name[colon - path] = '\0';
    return true;
}

static strata_status open_of_idx(strata_picture *out, const char *path, size_t number, strata_error *err) {
    st_pictures pictures;
    ST_TRY(st_idx_pictures(&pictures, path, err));
    strata_status status =
        number < pictures.count
            ? take_pixels(out, pictures.shape, err)
            : st_fail_file(err, STRATA_MISSING, path, "no picture %zu: it holds 0 to %zu", number, pictures.count - 1);
    if (status == STRATA_OK) {
        status = st_pictures_read(&pictures, number, 1, out->pixels, err);
    }
    if (status != STRATA_OK) {
        strata_picture_free(out);
    }
    st_pictures_close(&pictures);
    return status;
}

static strata_status open_of_dataset(strata_picture *out, const char *name, size_t number, strata_error *err) {
    strata_dataset *data = NULL;
    int label = 0;
    ST_TRY(strata_dataset_open(&data, name, NULL, err));
    strata_part part = strata_dataset_count(data, STRATA_TEST) > 0 ? STRATA_TEST : STRATA_TRAIN;
    size_t count = strata_dataset_count(data, part);
    strata_status status = number < count
                               ? take_pixels(out, strata_dataset_shape(data), err)
                               : st_fail_file(err, STRATA_MISSING, name, "no picture %zu: its %s part holds 0 to %zu",
                                              number, part == STRATA_TEST ? "test" : "train", count - 1);
    if (status == STRATA_OK) {
        status = strata_dataset_read(data, part, number, out->pixels, &label, err);
    }
    if (status != STRATA_OK) {
        strata_picture_free(out);
    }
    strata_dataset_free(data);
    return status;
}

strata_status strata_picture_open(strata_picture *out, const char *path, strata_error *err) {
    char name[256];
    size_t number = 0;
    struct stat about;
    st_arena *arena = NULL;
    *out = (strata_picture){0};
    ST_FAIL_IF(path == NULL || path[0] == '\0', err, STRATA_INVALID, "no picture was named");
    if (stat(path, &about) != 0 && split_number(path, name, &number)) {
        bool is_file = stat(name, &about) == 0 && !S_ISDIR(about.st_mode);
        return is_file ? open_of_idx(out, name, number, err) : open_of_dataset(out, name, number, err);
    }
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = open_file(out, arena, path, err);
    st_arena_free(arena);
    return status;
}
