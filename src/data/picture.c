/* One picture from a file: a portable anymap, a JPEG, a PNG or a WebP, which is seen from the content; or one picture
 * of an IDX file or a data set, "FILE:k". What a decoder left lying on its side is set upright here. */
#include "data/data.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PICTURE_HEAD = 64 };
#define MOST_FILE_BYTES ((size_t)1 << 30)

/* ---- memory: the size in front, so that freeing needs the pointer only ---- */

static size_t room_of(const strata_picture *picture) {
    size_t whole = 0;
    if (picture->pixels != NULL) {
        memcpy(&whole, picture->pixels - PICTURE_HEAD, sizeof whole);
    }
    return whole;
}

strata_status st_picture_room(strata_picture *picture, strata_shape shape, strata_error *err) {
    /* At most 4 * ST_DATA_MOST_PIXELS, or a picture of an IDX file: 2^30. */
    size_t bytes = (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
    size_t whole = bytes + PICTURE_HEAD;
    if (room_of(picture) < whole) {
        strata_picture_free(picture);
        unsigned char *block = st_sys.allocate(whole);
        ST_FAIL_IF(block == NULL, err, STRATA_MEMORY, "no memory for a picture of %zu bytes", bytes);
        memcpy(block, &whole, sizeof whole);
        picture->pixels = block + PICTURE_HEAD;
    }
    picture->shape = shape;
    return STRATA_OK;
}

void strata_picture_free(strata_picture *picture) {
    if (picture != NULL && picture->pixels != NULL) {
        st_sys.release(picture->pixels - PICTURE_HEAD, room_of(picture));
        *picture = (strata_picture){0};
    }
}

/* ---- what a file is, by its first bytes ---- */

static const st_decoder *const decoders[] = {&st_decoder_anymap, &st_decoder_jpeg, &st_decoder_png, &st_decoder_webp};
#define EXPECTED "JPEG, PNG, WebP, PGM or PPM (P2, P3, P5, P6)"

/* Kinds that are not read, for the message. */
static const struct other {
    const char *magic, *name;
    size_t length, offset;
} others[] = {
    {"GIF8", "GIF", 4, 0},
    {"BM", "BMP", 2, 0},
    {"P1", "PBM (black and white)", 2, 0},
    {"P4", "PBM (black and white)", 2, 0},
    {"P7", "PAM", 2, 0},
    {"II*\0", "TIFF", 4, 0},
    {"MM\0*", "TIFF", 4, 0},
    {"ftypavif", "AVIF", 8, 4},
    {"ftypheic", "HEIC", 8, 4},
};

static const st_decoder *find_decoder(const unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < ST_COUNT_OF(decoders); i++) {
        if (decoders[i]->is(bytes, length)) {
            return decoders[i];
        }
    }
    return NULL;
}

static const struct other *find_other(const unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < ST_COUNT_OF(others); i++) {
        if (length >= others[i].offset + others[i].length &&
            memcmp(bytes + others[i].offset, others[i].magic, others[i].length) == 0) {
            return &others[i];
        }
    }
    return NULL;
}

bool st_picture_is(const unsigned char *bytes, size_t length) {
    return find_decoder(bytes, length) != NULL || find_other(bytes, length) != NULL;
}

static strata_status refuse(const unsigned char *bytes, size_t length, const char *path, strata_error *err) {
    const struct other *other = find_other(bytes, length);
    if (other == NULL) {
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "no picture: expected " EXPECTED);
    }
    st_fail_file(err, STRATA_UNSUPPORTED, path, "a %s picture, expected " EXPECTED, other->name);
    st_error_hint(err, "convert it, for example with ImageMagick: convert %s picture.png", path);
    return STRATA_UNSUPPORTED;
}

static strata_status refuse_kind(const st_decoder *decoder, const char *path, strata_error *err) {
    st_fail_file(err, STRATA_UNSUPPORTED, path, "a %s picture, and this build cannot read it: it was made without %s",
                 decoder->name, decoder->lacking);
    st_error_hint(err, "install the library's development files and build again");
    return STRATA_UNSUPPORTED;
}

strata_status st_picture_decode(strata_picture *out, st_picture_about *about, const unsigned char *bytes, size_t length,
                                int64_t least_side, const char *path, strata_error *err) {
    const st_decoder *decoder = find_decoder(bytes, length);
    st_picture_about found = {.kind = decoder != NULL ? decoder->name : NULL};
    st_picture_file from = {.bytes = bytes, .length = length, .path = path, .least_side = least_side};
    strata_status status = decoder == NULL           ? refuse(bytes, length, path, err)
                           : decoder->decode == NULL ? refuse_kind(decoder, path, err)
                                                     : decoder->decode(out, &found, &from, err);
    if (found.orientation >= ST_ORIENTATION_LYING) {
        int64_t height = found.shape.height;
        found.shape.height = found.shape.width;
        found.shape.width = height;
    }
    if (about != NULL) {
        *about = found;
    }
    return status == STRATA_OK ? st_picture_upright(out, found.orientation, err) : status;
}

static strata_status open_file(strata_picture *out, st_arena *arena, const char *path, strata_error *err) {
    char *bytes = NULL;
    size_t length = 0;
    if (st_idx_probe_file(path)) {
        return st_fail_file(err, STRATA_INVALID, path, "an IDX file holds many pictures: say which, as in %s:0", path);
    }
    ST_TRY(st_file_read(&bytes, &length, arena, path, MOST_FILE_BYTES, err));
    strata_status status = st_picture_decode(out, NULL, (const unsigned char *)bytes, length, 0, path, err);
    if (status != STRATA_OK) {
        strata_picture_free(out);
    }
    return status;
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
            ? st_picture_room(out, pictures.shape, err)
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
                               ? strata_dataset_picture(out, data, part, number, &label, err)
                               : st_fail_file(err, STRATA_MISSING, name, "no picture %zu: its %s part holds 0 to %zu",
                                              number, part == STRATA_TEST ? "test" : "train", count - 1);
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
        bool is_idx = stat(name, &about) == 0 && S_ISREG(about.st_mode) && st_idx_probe_file(name);
        return is_idx ? open_of_idx(out, name, number, err) : open_of_dataset(out, name, number, err);
    }
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = open_file(out, arena, path, err);
    st_arena_free(arena);
    return status;
}
