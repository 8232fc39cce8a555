/* Fuzzes lists of pictures. Byte 0: the rest is a table in memory (0), one list, CSV or TSV, beside a few pictures (1,
 * 2), or train.csv and test.csv, cut at a byte 0 or in the middle (3). libFuzzer: clang
 * -fsanitize=fuzzer,address,undefined; AFL++ builds the same function. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char folder[64];
static const char *const pictures[] = {"a.pgm", "b.pgm", "inner/c.pgm", "d e.pgm"};
static const char *const lists[] = {"labels.csv", "labels.tsv", "train.csv", "test.csv"};

static void path_of(char out[128], const char *name) {
    (void)snprintf(out, 128, "%s/%s", folder, name);
}

static void put(const char *name, const uint8_t *bytes, size_t length) {
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0) {
        abort();
    }
}

static void clear(const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char path[128];
        path_of(path, names[i]);
        (void)unlink(path);
    }
}

static void remove_folder(void) {
    char path[128];
    clear(lists, ST_COUNT_OF(lists));
    clear(pictures, ST_COUNT_OF(pictures));
    path_of(path, "inner");
    (void)rmdir(path);
    (void)rmdir(folder);
}

static void begin(void) {
    static const char picture[] = "P5 2 2 255\nabcd";
    char path[128];
    (void)setenv("XDG_CACHE_HOME", "/proc/self/none", 1); /* no cache remembers the pictures */
    (void)snprintf(folder, sizeof folder, "/tmp/strata-fuzz-XXXXXX");
    if (mkdtemp(folder) == NULL || atexit(remove_folder) != 0) {
        abort();
    }
    path_of(path, "inner");
    if (mkdir(path, 0700) != 0) {
        abort();
    }
    for (size_t i = 0; i < ST_COUNT_OF(pictures); i++) {
        put(pictures[i], (const uint8_t *)picture, sizeof picture - 1);
    }
}

static void check(strata_status status, const strata_error *err) {
    if (status != STRATA_OK && (err->status != status || err->message[0] == '\0')) {
        abort();
    }
}

static void parse(const uint8_t *bytes, size_t length) {
    strata_error err = {0};
    st_arena *arena = NULL;
    st_table table;
    char *copy = NULL;
    if (st_arena_create(&arena, NULL) != STRATA_OK ||
        st_arena_text(&copy, arena, (const char *)bytes, length, NULL) != STRATA_OK) {
        abort();
    }
    strata_status status = st_table_parse(&table, arena, "fuzz.csv", copy, length, &err);
    check(status, &err);
    size_t sum = 0;
    for (size_t i = 0; status == STRATA_OK && i < table.rows * table.columns; i++) {
        sum += strlen(table.fields[i]);
    }
    if (sum > length) {
        abort();
    }
    st_arena_free(arena);
}

static void look_at(const char *path) {
    uint8_t pixels[4];
    char name[ST_DATA_NAME_BYTES];
    strata_error err = {0};
    strata_dataset *data = NULL;
    strata_status status = strata_dataset_open(&data, path, NULL, &err);
    check(status, &err);
    for (int p = 0; status == STRATA_OK && p < STRATA_PART_COUNT; p++) {
        for (size_t i = 0; i < strata_dataset_count(data, (strata_part)p); i++) {
            int label = -1;
            st_data_name(data, (strata_part)p, i, name);
            if (strata_dataset_read(data, (strata_part)p, i, pixels, &label, &err) != STRATA_OK || label < 0 ||
                (size_t)label >= strata_dataset_class_count(data)) {
                abort();
            }
        }
    }
    strata_dataset_free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[128];
    if (length == 0) {
        return 0;
    }
    if (folder[0] == '\0') {
        begin();
    }
    int way = bytes[0] % 4;
    bytes++;
    length--;
    if (way == 0) {
        parse(bytes, length);
        return 0;
    }
    if (way < 3) {
        put(lists[way - 1], bytes, length);
        path_of(path, lists[way - 1]);
        look_at(path);
    } else {
        const uint8_t *zero = length > 0 ? memchr(bytes, 0, length) : NULL;
        size_t cut = zero != NULL ? (size_t)(zero - bytes) : length / 2, skip = zero != NULL;
        put("train.csv", bytes, cut);
        put("test.csv", bytes + cut + skip, length - cut - skip);
        look_at(folder);
    }
    clear(lists, ST_COUNT_OF(lists));
    return 0;
}
