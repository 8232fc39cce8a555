/* For tests: a folder of generated pictures as IDX files. Each class has a bright square in a place of its own, with
 * noise around it: a small net learns it in a few steps. */
#ifndef TESTS_PICTURES_H
#define TESTS_PICTURES_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

static inline void pictures_word(FILE *file, uint32_t word) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        fputc((int)(word >> shift & 255), file);
    }
}

static inline void pictures_part(const char *folder, const char *part, uint32_t count, uint32_t side,
                                 uint32_t classes) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, part);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        abort();
    }
    pictures_word(file, 0x803);
    pictures_word(file, count);
    pictures_word(file, side);
    pictures_word(file, side);
    uint64_t stream = st_rng_stream_name(ST_STREAM_TEST, part);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t label = i % classes;
        for (uint32_t y = 0; y < side; y++) {
            for (uint32_t x = 0; x < side; x++) {
                bool is_square = y / (side / 4) == label / 4 && x / (side / 4) == label % 4;
                uint64_t bits = st_rng_bits(7, stream, ((uint64_t)i * side + y) * side + x);
                fputc((int)(is_square ? 160 + bits % 96 : bits % 96), file);
            }
        }
    }
    fclose(file);
    (void)snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, part);
    file = fopen(path, "wb");
    if (file == NULL) {
        abort();
    }
    pictures_word(file, 0x801);
    pictures_word(file, count);
    for (uint32_t i = 0; i < count; i++) {
        fputc((int)(i % classes), file);
    }
    fclose(file);
}

/* A new folder; the path is the caller's. */
static inline void pictures_make(char folder[64], uint32_t train, uint32_t test, uint32_t side, uint32_t classes) {
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, 64, "%s/strata-test-XXXXXX", base != NULL && strlen(base) < 40 ? base : "/tmp");
    if (mkdtemp(folder) == NULL) {
        abort();
    }
    pictures_part(folder, "train", train, side, classes);
    pictures_part(folder, "t10k", test, side, classes);
}

static inline void pictures_remove(const char *folder) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte",  "a.safetensors",           "b.safetensors"};
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

#endif
