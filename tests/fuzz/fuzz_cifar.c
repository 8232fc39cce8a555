/* Fuzzes the reader of CIFAR's batches. Byte 0: CIFAR-10 or CIFAR-100 (bit 0), with a file of names (bit 1), as the
 * only training batch that is there (bit 2); byte 1: how many of the bytes that follow are the file of names; the rest,
 * again and again up to 50 times byte 2, is a batch. libFuzzer: clang -fsanitize=fuzzer,address,undefined. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char folder[64];

static void path_of(char out[128], const char *name) {
    (void)snprintf(out, 128, "%s/%s", folder, name);
}

static void put(const char *name, const uint8_t *bytes, size_t length, int times) {
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        abort();
    }
    for (int i = 0; i < times; i++) {
        (void)fwrite(bytes, 1, length, file);
    }
    (void)fclose(file);
}

static const char *const names[] = {"test_batch.bin",       "test.bin", "data_batch_1.bin", "batches.meta.txt",
                                    "fine_label_names.txt", "train.bin"};

static void clear(void) {
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        char path[128];
        path_of(path, names[i]);
        (void)unlink(path);
    }
}

static void remove_folder(void) {
    clear();
    (void)rmdir(folder);
}

static void begin(void) {
    (void)snprintf(folder, sizeof folder, "/tmp/strata-fuzz-XXXXXX");
    if (mkdtemp(folder) == NULL || atexit(remove_folder) != 0) {
        abort();
    }
}

static void look_at(const strata_dataset *data) {
    uint8_t pixels[3072];
    for (int p = 0; p < STRATA_PART_COUNT; p++) {
        size_t count = strata_dataset_count(data, (strata_part)p), ends[] = {0, count - 1};
        for (size_t e = 0; e < 2 && count > 0; e++) {
            char name[ST_DATA_NAME_BYTES];
            int label = -1;
            st_data_name(data, (strata_part)p, ends[e], name);
            if (strata_dataset_read(data, (strata_part)p, ends[e], pixels, &label, NULL) != STRATA_OK || label < 0 ||
                (size_t)label >= strata_dataset_class_count(data) || name[0] == '\0') {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    if (length < 3) {
        return 0;
    }
    if (folder[0] == '\0') {
        begin();
    }
    bool is_100 = bytes[0] & 1, has_names = bytes[0] & 2, is_train = bytes[0] & 4;
    size_t named = bytes[1] < length - 3 ? bytes[1] : length - 3;
    clear();
    if (has_names) {
        put(is_100 ? names[4] : names[3], bytes + 3, named, 1);
    }
    const char *batch = is_train ? (is_100 ? names[5] : names[2]) : (is_100 ? names[1] : names[0]);
    put(batch, bytes + 3 + named, length - 3 - named, 1 + bytes[2] % 50);
    strata_status status = strata_dataset_open(&data, folder, NULL, &err);
    if (status == STRATA_OK) {
        look_at(data);
    } else if (err.status != status || err.message[0] == '\0') {
        abort();
    }
    strata_dataset_free(data);
    return 0;
}
