/* For tests of decoders: pictures decoded from memory, in a room of its own so that a read beyond the end is seen. */
#ifndef TESTS_PICTURE_CASE_H
#define TESTS_PICTURE_CASE_H

#include "data/data.h"
#include "encode.h"

/* The caller frees the picture. */
static inline strata_status decode_bytes(strata_picture *out, st_picture_about *about, const void *bytes, size_t length,
                                         int64_t least_side, strata_error *err) {
    unsigned char *own = malloc(length > 0 ? length : 1);
    assert_non_null(own);
    memcpy(own, bytes, length);
    *out = (strata_picture){0};
    *err = (strata_error){0};
    strata_status status = st_picture_decode(out, about, own, length, least_side, "it", err);
    free(own);
    if (status != STRATA_OK) {
        assert_true(err->status == status && err->message[0] != '\0');
    }
    return status;
}

/* Takes the file. */
static inline strata_picture decode_good(encoded file, st_picture_about *about, int64_t least_side) {
    strata_picture picture;
    strata_error err;
    if (decode_bytes(&picture, about, file.bytes, file.length, least_side, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    free(file.bytes);
    return picture;
}

/* Takes the file; `message`: how it begins. */
static inline void decode_bad(encoded file, strata_status expected, const char *message) {
    strata_picture picture;
    strata_error err;
    strata_status status = decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err);
    if (status != expected || strncmp(err.message, message, strlen(message)) != 0) {
        fail_msg("found %d, %s; expected %d, %s", (int)status, err.message, (int)expected, message);
    }
    strata_picture_free(&picture);
    free(file.bytes);
}

static inline void pixels_are(strata_picture *picture, int64_t height, int64_t width, int64_t channels,
                              const void *pixels) {
    assert_int_equal(picture->shape.height, height);
    assert_int_equal(picture->shape.width, width);
    assert_int_equal(picture->shape.channels, channels);
    assert_memory_equal(picture->pixels, pixels, (size_t)(height * width * channels));
    strata_picture_free(picture);
}

#endif
