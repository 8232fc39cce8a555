/* Fuzzes the decoders of pictures: anymap, JPEG, PNG, whichever the bytes begin like. The same room is used again, as a
 * folder of pictures does. libFuzzer: clang -fsanitize=fuzzer,address,undefined; AFL++ builds the same function. */
#include <stdint.h>
#include <stdlib.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static strata_picture picture;
static volatile size_t sum;

/* The room outlives every input, not the process. */
static void give_back(void) {
    strata_picture_free(&picture);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static int is_begun;
    strata_error err = {0};
    if (is_begun++ == 0) {
        (void)atexit(give_back);
    }
    strata_status status = st_picture_decode(&picture, bytes, length, "it", &err);
    if (status != STRATA_OK) {
        if (err.status != status || err.message[0] == '\0') {
            abort();
        }
        return 0;
    }
    strata_shape shape = picture.shape;
    if (!st_picture_is(bytes, length) || shape.height < 1 || shape.width < 1 ||
        shape.height * shape.width > ST_DATA_MOST_PIXELS || (shape.channels != 1 && shape.channels != 3)) {
        abort();
    }
    size_t count = (size_t)(shape.height * shape.width * shape.channels);
    for (size_t i = 0; i < count; i++) { /* all of it is there */
        sum += picture.pixels[i];
    }
    return 0;
}
