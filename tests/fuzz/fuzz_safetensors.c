/* Fuzzes the safetensors reader: the head from memory, and where that is taken, the values from a file. libFuzzer:
 * clang -fsanitize=fuzzer,address,undefined; AFL++ builds the same function. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { MOST_VALUES = 1 << 16 };

static st_real reals[MOST_VALUES];
static int64_t integers[MOST_VALUES];

static void read_values(const char *path) {
    st_weights weights;
    if (st_weights_open(&weights, path, NULL) != STRATA_OK) {
        return; /* a name that is there twice is found only here */
    }
    for (size_t i = 0; i < weights.tensor_count; i++) {
        const st_tensor *tensor = &weights.tensors[i];
        const st_tensor *found = st_weights_find(&weights, tensor->name);
        if (found != tensor) {
            abort();
        }
        if (tensor->count > MOST_VALUES) {
            continue;
        }
        strata_status status = st_stored_is_real(tensor->stored)
                                   ? st_weights_read(&weights, tensor, reals, NULL)
                                   : st_weights_read_integers(&weights, tensor, integers, NULL);
        if (status != STRATA_OK && status != STRATA_FORMAT) {
            abort();
        }
    }
    st_weights_close(&weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    st_weights weights = {0};
    st_arena *arena = NULL;
    strata_error err = {0};
    if (st_arena_create(&arena, NULL) != STRATA_OK) {
        return 0;
    }
    strata_status status = st_safetensors_parse(&weights, arena, (const char *)bytes, length, length, "fuzz", &err);
    if (status != STRATA_OK && (err.status != status || err.message[0] == '\0')) {
        abort();
    }
    if (status == STRATA_OK) {
        char path[64];
        int file = memfd_create("fuzz", MFD_CLOEXEC);
        if (file >= 0 && write(file, bytes, length) == (ssize_t)length) {
            snprintf(path, sizeof path, "/proc/self/fd/%d", file);
            read_values(path);
        }
        if (file >= 0) {
            close(file);
        }
    }
    st_arena_free(arena);
    return 0;
}
