/* What the harnesses of readers of models share: a file is opened, and where it is taken its numbers are read once. */
#ifndef TESTS_FUZZ_READ_MODEL_H
#define TESTS_FUZZ_READ_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/formats.h"

enum { MOST_VALUES = 1 << 16 };

static st_real reals[MOST_VALUES];

/* A refusal has its words, and what was taken is there. has_integers: the format has tensors of whole numbers too,
 * which are passed over; elsewhere one is a fault. */
static inline void read_model(const char *path, bool has_integers) {
    st_weights weights;
    strata_error err = {0};
    strata_status status = st_weights_open(&weights, path, &err);
    if (status != STRATA_OK) {
        if (err.status != status || err.message[0] == '\0') {
            abort();
        }
        return;
    }
    for (size_t i = 0; i < weights.tensor_count; i++) {
        const st_tensor *tensor = &weights.tensors[i];
        if (tensor->count <= MOST_VALUES && (!has_integers || st_stored_is_real(tensor->stored)) &&
            st_weights_read(&weights, tensor, reals, NULL) != STRATA_OK) {
            abort();
        }
    }
    st_weights_close(&weights);
}

static inline void read_model_bytes(const uint8_t *bytes, size_t length, bool has_integers) {
    char path[64];
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file >= 0 && write(file, bytes, length) == (ssize_t)length) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        read_model(path, has_integers);
    }
    if (file >= 0) {
        close(file);
    }
}

#endif
