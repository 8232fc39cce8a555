/* Fuzzes what believes in nothing that the child with libhdf5 says: the child here is the input, byte by byte what
 * comes through its socket, and then its end. The first byte chooses weights (keras.c) or pictures (hdf5_choose.c and
 * what reads them). The library itself is fuzzed by its makers, and damaged files are in test_keras and
 * test_data_hdf5. libFuzzer: clang -fsanitize=fuzzer,address,undefined; AFL++ builds the same function. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "data/hdf5.h"
#include "formats/keras.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Nobody hears the questions: what is said must be so little that they fit into the socket. */
enum { MOST_SAID = 16 << 10, FILE_BYTES = 64 << 10, MOST_VALUES = 1 << 14 };

static void check(strata_status status, const strata_error *err) {
    if (status != STRATA_OK && (err->status != status || err->message[0] == '\0')) {
        abort();
    }
}

static void read_values(const st_weights *weights) {
    static st_real reals[MOST_VALUES];
    for (size_t i = 0; i < weights->tensor_count; i++) {
        const st_tensor *tensor = &weights->tensors[i];
        double last = 0;
        if (tensor->count == 0) {
            continue;
        }
        if (st_weights_read_doubles(weights, tensor, tensor->count - 1, 1, &last, NULL) != STRATA_OK) {
            abort();
        }
        if (tensor->count <= MOST_VALUES && st_stored_is_real(tensor->stored) &&
            st_weights_read(weights, tensor, reals, NULL) != STRATA_OK) {
            abort();
        }
    }
}

static void ask_weights(st_hdf5 *file, st_arena *arena) {
    char path[64];
    strata_error err = {0};
    st_weights weights = {.arena = arena};
    int memory = memfd_create("fuzz", MFD_CLOEXEC);
    if (memory < 0 || ftruncate(memory, FILE_BYTES) != 0) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    if (st_file_open(&weights.file, path, NULL) != STRATA_OK) {
        abort();
    }
    strata_status status = st_keras_read(&weights, file, &err);
    check(status, &err);
    if (status == STRATA_OK && st_weights_index(&weights, &err) == STRATA_OK) {
        read_values(&weights);
    }
    st_file_close(&weights.file);
    close(memory);
}

static void ask_pair(st_hdf5 *file, const st_hdf5_pair *pair, st_arena *arena) {
    strata_error err = {0};
    st_hdf5_form form;
    st_pictures pictures;
    int32_t *labels = NULL;
    if (!st_hdf5_is_pictures(&form, &file->sets[pair->pictures])) {
        abort();
    }
    strata_status status = st_hdf5_labels(&labels, file, pair->labels, form.count, arena, &err);
    check(status, &err);
    status = st_hdf5_pictures(&pictures, file, pair->pictures, &err);
    check(status, &err);
    if (status == STRATA_OK) {
        uint8_t *last = malloc(pictures.picture_bytes);
        if (last == NULL || st_pictures_read(&pictures, pictures.count - 1, 1, last, &err) != STRATA_OK) {
            abort();
        }
        free(last);
        st_pictures_close(&pictures);
    }
}

static void ask_pictures(st_hdf5 *file, st_arena *arena, const char *selection) {
    strata_error err = {0};
    st_hdf5_choice choice;
    const char **names = NULL;
    size_t count = 0;
    strata_status status = st_hdf5_list(file, arena, &err);
    check(status, &err);
    if (status != STRATA_OK) {
        return;
    }
    status = st_hdf5_choose(&choice, file, selection, &err);
    check(status, &err);
    for (size_t i = 0; status == STRATA_OK && i < choice.count; i++) {
        ask_pair(file, &choice.pairs[i], arena);
    }
    if (status == STRATA_OK && choice.has_classes) {
        err = (strata_error){0};
        status = st_hdf5_classes(&names, &count, file, choice.classes, arena, &err);
        check(status, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    int sockets[2];
    st_arena *arena = NULL;
    st_hdf5 file = {.path = "fuzz", .length = FILE_BYTES, .words_left = 2 * FILE_BYTES};
    if (length == 0) {
        return 0;
    }
    size_t said = length - 1 < MOST_SAID ? length - 1 : MOST_SAID;
    if (st_arena_create(&arena, NULL) != STRATA_OK || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0 ||
        send(sockets[1], bytes + 1, said, 0) != (ssize_t)said || shutdown(sockets[1], SHUT_WR) != 0) {
        abort();
    }
    file.child = (st_child){.socket = sockets[0], .patience_s = 5, .path = file.path, .who = "libhdf5"};
    if (bytes[0] % 3 == 0) {
        ask_weights(&file, arena);
    } else {
        ask_pictures(&file, arena, bytes[0] % 3 == 1 ? NULL : "x:y");
    }
    st_hdf5_close(&file);
    close(sockets[1]);
    st_arena_free(arena);
    return 0;
}
