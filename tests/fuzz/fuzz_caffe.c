/* Fuzzes the reader of Caffe models: a file whole. What it takes has a net that fits its tensors, which the reader has
 * seen to; their values are read once. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { MOST_VALUES = 1 << 16 };

static st_real reals[MOST_VALUES];

static void read_model(const char *path) {
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
        if (tensor->count <= MOST_VALUES && st_weights_read(&weights, tensor, reals, NULL) != STRATA_OK) {
            abort();
        }
    }
    st_weights_close(&weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[64];
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file >= 0 && write(file, bytes, length) == (ssize_t)length) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        read_model(path);
    }
    if (file >= 0) {
        close(file);
    }
    return 0;
}
