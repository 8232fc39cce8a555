/* For fuzz targets: one input through one decoder of pictures, and what must hold of the answer. The same room is used
 * again, as a folder of pictures does. */
#ifndef TESTS_FUZZ_PICTURE_H
#define TESTS_FUZZ_PICTURE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static strata_picture picture;
static volatile size_t sum;

/* The room outlives every input, not the process. */
static inline void give_back(void) {
    strata_picture_free(&picture);
}

static inline void check_picture(const st_picture_about *about, int64_t least_side) {
    strata_shape shape = picture.shape, whole = about->shape;
    int64_t side = shape.height < shape.width ? shape.height : shape.width;
    if (shape.height < 1 || shape.width < 1 || shape.height * shape.width > ST_DATA_MOST_PIXELS ||
        (shape.channels != 1 && shape.channels != 3) || about->kind == NULL || about->orientation < 0 ||
        about->orientation > 8 || about->bits < 1 || about->bits > 16 || whole.channels != shape.channels) {
        abort();
    }
    bool is_whole = whole.height == shape.height && whole.width == shape.width;
    if (!is_whole && (least_side == 0 || side < 2 * least_side)) {
        abort();
    }
    size_t count = (size_t)(shape.height * shape.width * shape.channels);
    for (size_t i = 0; i < count; i++) { /* all of it is there */
        sum += picture.pixels[i];
    }
}

static inline strata_status decode_checked(const uint8_t *bytes, size_t length, int64_t least_side) {
    static int is_begun;
    strata_error err = {0};
    st_picture_about about;
    if (is_begun++ == 0) {
        (void)atexit(give_back);
    }
    strata_status status = st_picture_decode(&picture, &about, bytes, length, least_side, "it", &err);
    if (status == STRATA_OK) {
        check_picture(&about, least_side);
    } else if (err.status != status || err.message[0] == '\0') {
        abort();
    }
    if (status != STRATA_UNSUPPORTED && !st_picture_is(bytes, length)) {
        abort();
    }
    return status;
}

#endif
