/* Fuzzes the readers of data: the first byte chooses IDX pictures, IDX labels or a single picture, the rest is the
 * file. libFuzzer: clang -fsanitize=fuzzer,address,undefined; AFL++ builds the same function. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { MOST_PICTURE = 1 << 16 };

static uint8_t pixels[MOST_PICTURE];

static strata_status read_pictures(const char *path, strata_error *err) {
    st_pictures pictures;
    ST_TRY(st_idx_pictures(&pictures, path, err));
    if (pictures.count == 0 || pictures.picture_bytes == 0) {
        abort();
    }
    strata_status status = STRATA_OK;
    if (pictures.picture_bytes <= MOST_PICTURE) { /* the last one lies inside what was checked */
        status = st_pictures_read(&pictures, pictures.count - 1, 1, pixels, err);
    }
    st_pictures_close(&pictures);
    if (status != STRATA_OK) {
        abort();
    }
    return STRATA_OK;
}

static strata_status read_labels(const char *path, strata_error *err) {
    const int32_t *labels = NULL;
    st_arena *arena = NULL;
    size_t count = 0, sum = 0;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_idx_labels(&labels, &count, arena, path, err);
    for (size_t i = 0; status == STRATA_OK && i < count; i++) {
        sum += (size_t)labels[i];
    }
    pixels[0] = (uint8_t)sum;
    st_arena_free(arena);
    return status;
}

static strata_status read_picture(const char *path, strata_error *err) {
    strata_picture picture;
    ST_TRY(strata_picture_open(&picture, path, err));
    size_t count = (size_t)picture.shape.height * (size_t)picture.shape.width * (size_t)picture.shape.channels, sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += picture.pixels[i];
    }
    pixels[0] = (uint8_t)sum;
    strata_picture_free(&picture);
    return STRATA_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[64];
    strata_error err = {0};
    if (length == 0) {
        return 0;
    }
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file < 0 || write(file, bytes + 1, length - 1) != (ssize_t)(length - 1)) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    strata_status status = bytes[0] % 3 == 0   ? read_pictures(path, &err)
                           : bytes[0] % 3 == 1 ? read_labels(path, &err)
                                               : read_picture(path, &err);
    if (status != STRATA_OK && (err.status != status || err.message[0] == '\0')) {
        abort();
    }
    close(file);
    return 0;
}
