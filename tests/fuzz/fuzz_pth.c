/* Fuzzes the readers of PyTorch's files, both forms: what begins as a zip archive goes through the directory and the
 * pickle in it, the rest is a legacy file. Where a file is taken, its values are read. Checksums stand in the way of
 * whoever changes bytes at random: an input that is no archive is also run as a pickle alone. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { PIECE = 4096 };

static void read_values(const st_weights *weights) {
    static double values[PIECE];
    for (size_t i = 0; i < weights->tensor_count; i++) {
        const st_tensor *tensor = &weights->tensors[i];
        if (st_weights_find(weights, tensor->name) != tensor) {
            abort();
        }
        size_t count = tensor->count < PIECE ? tensor->count : PIECE;
        if (st_weights_read_doubles(weights, tensor, tensor->count - count, count, values, NULL) != STRATA_OK) {
            abort(); /* every place was checked when the file was opened */
        }
    }
}

static void run_pickle(const uint8_t *bytes, size_t length) {
    st_arena *arena = NULL;
    st_pickle_value value;
    strata_error err = {0};
    if (st_arena_create(&arena, NULL) != STRATA_OK) {
        return;
    }
    st_pickle pickle = {.bytes = bytes, .length = length, .arena = arena, .file = "fuzz"};
    strata_status status = st_pickle_run(&pickle, &value, &err);
    if (pickle.at > length || (status != STRATA_OK && (err.status != status || err.message[0] == '\0'))) {
        abort();
    }
    st_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const uint8_t sign[] = {'P', 'K', 3, 4};
    char path[64];
    st_weights weights;
    if (length > 0 && (length < 4 || memcmp(bytes, sign, 4) != 0)) {
        run_pickle(bytes, length);
    }
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    strata_error err = {0};
    if (write(file, bytes, length) == (ssize_t)length) {
        strata_status status = st_weights_open(&weights, path, &err);
        if (status == STRATA_OK) {
            read_values(&weights);
            st_weights_close(&weights);
        } else if (err.message[0] == '\0') {
            abort();
        }
    }
    close(file);
    return 0;
}
