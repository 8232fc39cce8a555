/* For tests of data: a folder of its own, emptied after each test; IDX files that hold drawn pixels; a system that
 * refuses the n-th call. */
#ifndef TESTS_DATA_CASE_H
#define TESTS_DATA_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "data/data.h"

/* ---- a folder of its own, emptied after each test ---- */

static char folder[64];
static char made[32][128];
static int made_count;

static inline int make_folder(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc/self/none", 1); /* nothing can be made there: no test finds what another left */
    snprintf(folder, sizeof folder, "/tmp/strata-test-data-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static inline int empty_folder(void **state) {
    (void)state;
    for (int i = 0; i < made_count; i++) {
        unlink(made[i]);
    }
    made_count = 0;
    return 0;
}

static inline int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static inline const char *in_folder(const char *name) {
    static char path[8][128];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static inline void note_made(const char *path) {
    for (int i = 0; i < made_count; i++) {
        if (strcmp(made[i], path) == 0) {
            return;
        }
    }
    assert_true(made_count < 32);
    snprintf(made[made_count++], sizeof made[0], "%s", path);
}

static inline void put_file(const char *name, const void *bytes, size_t length) {
    const char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    note_made(path);
}

/* Packed when the name ends in .gz; `mode` "ab" adds a member. */
static inline void put_packed(const char *name, const void *bytes, size_t length, const char *mode) {
    const char *path = in_folder(name);
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    if (length > 0) {
        assert_int_equal(gzwrite(file, bytes, (unsigned)length), length);
    }
    assert_int_equal(gzclose(file), Z_OK);
    note_made(path);
}

static inline void put_content(const char *name, const void *bytes, size_t length) {
    size_t end = strlen(name);
    if (end > 3 && strcmp(name + end - 3, ".gz") == 0) {
        put_packed(name, bytes, length, "wb");
    } else {
        put_file(name, bytes, length);
    }
}

/* ---- IDX content ---- */

typedef struct content {
    unsigned char bytes[200000];
    size_t length;
} content;

static inline void put_u32(content *to, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        to->bytes[to->length++] = (unsigned char)(value >> shift);
    }
}

static uint8_t pixel(size_t part, size_t i) {
    return (uint8_t)st_rng_bits(11, part, i);
}

static uint8_t label(size_t part, size_t i, size_t classes) {
    return (uint8_t)(i < classes ? i : st_rng_bits(12, part, i) % classes);
}

/* channels 0: rank 3 */
static inline const content *pictures_of(size_t part, uint32_t count, uint32_t height, uint32_t width,
                                         uint32_t channels) {
    static content all;
    all.length = 0;
    put_u32(&all, channels > 0 ? 0x0804 : 0x0803);
    put_u32(&all, count);
    put_u32(&all, height);
    put_u32(&all, width);
    if (channels > 0) {
        put_u32(&all, channels);
    }
    size_t bytes = (size_t)count * height * width * (channels > 0 ? channels : 1);
    assert_true(all.length + bytes <= sizeof all.bytes);
    for (size_t i = 0; i < bytes; i++) {
        all.bytes[all.length++] = pixel(part, i);
    }
    return &all;
}

static inline const content *labels_of(size_t part, uint32_t count, size_t classes) {
    static content all;
    all.length = 0;
    put_u32(&all, 0x0801);
    put_u32(&all, count);
    for (size_t i = 0; i < count; i++) {
        all.bytes[all.length++] = label(part, i, classes);
    }
    return &all;
}

static inline void put_all(const content *all, const char *name) {
    put_content(name, all->bytes, all->length);
}

enum { TRAIN_COUNT = 300, TEST_COUNT = 70, SIDE = 5, CLASSES = 7 };

/* The usual four files; `ending` such as "-idx%d-ubyte.gz". */
static inline void put_usual(const char *ending, uint32_t channels) {
    char name[64];
    static const char *const starts[] = {"train", "t10k"};
    for (size_t part = 0; part < 2; part++) {
        uint32_t count = part == 0 ? TRAIN_COUNT : TEST_COUNT;
        int used = snprintf(name, sizeof name, "%s-images", starts[part]);
        snprintf(name + used, sizeof name - (size_t)used, ending, channels > 0 ? 4 : 3);
        put_all(pictures_of(part, count, SIDE, SIDE + 1, channels), name);
        used = snprintf(name, sizeof name, "%s-labels", starts[part]);
        snprintf(name + used, sizeof name - (size_t)used, ending, 1);
        put_all(labels_of(part, count, CLASSES), name);
    }
}

static inline strata_dataset *open_folder(const strata_data_options *options) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    if (strata_dataset_open(&data, folder, options, &err) != STRATA_OK) {
        fail_msg("%s: %s", err.file, err.message);
    }
    return data;
}

static inline void check_part(const strata_dataset *data, strata_part part, size_t number, size_t count) {
    uint8_t pixels[4 * SIDE * (SIDE + 1)];
    strata_shape shape = strata_dataset_shape(data);
    size_t bytes = (size_t)(shape.height * shape.width * shape.channels);
    assert_int_equal(strata_dataset_count(data, part), count);
    for (size_t i = 0; i < count; i++) {
        int found = -1;
        assert_int_equal(strata_dataset_read(data, part, i, pixels, &found, NULL), STRATA_OK);
        assert_int_equal(found, label(number, i, CLASSES));
        for (size_t k = 0; k < bytes; k++) {
            assert_int_equal(pixels[k], pixel(number, i * bytes + k));
        }
    }
}

/* A batcher over pictures as they are. */
static inline strata_status create_batcher(st_batcher **out, const strata_dataset *data, strata_part part, size_t batch,
                                           strata_error *err) {
    st_geometry as_is = {.fit = ST_FIT_PAD, .out = strata_dataset_shape(data)};
    return st_batcher_create(out, data, part, batch, &as_is, 0, err);
}

static inline void refused(strata_status status, const char *file, const char *message) {
    strata_dataset *data = (strata_dataset *)folder;
    strata_error err = {0};
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), status);
    assert_null(data);
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, file[0] != '\0' ? in_folder(file) : folder);
    empty_folder(NULL);
}

/* A good training part, of which the caller then breaks one file. */
static inline void put_train(void) {
    put_all(pictures_of(0, TRAIN_COUNT, SIDE, SIDE + 1, 0), "train-images-idx3-ubyte");
    put_all(labels_of(0, TRAIN_COUNT, CLASSES), "train-labels-idx1-ubyte");
}

/* ---- the system refuses ---- */

static st_system real_system;
static int countdown;
static bool for_ever, no_new_files;
static long live_bytes;
static int live_files;

static inline bool fails_now(int number) {
    int left = __atomic_load_n(&countdown, __ATOMIC_SEQ_CST);
    if (left > 0 && __atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST) == 0) {
        if (for_ever) {
            __atomic_store_n(&countdown, 1, __ATOMIC_SEQ_CST);
        }
        errno = number;
        return true;
    }
    return false;
}

static inline void *faulty_allocate(size_t bytes) {
    void *memory = fails_now(ENOMEM) ? NULL : real_system.allocate(bytes);
    __atomic_add_fetch(&live_bytes, memory != NULL ? (long)bytes : 0, __ATOMIC_SEQ_CST);
    return memory;
}

static inline void counted_release(void *memory, size_t bytes) {
    __atomic_sub_fetch(&live_bytes, (long)bytes, __ATOMIC_SEQ_CST);
    real_system.release(memory, bytes);
}

static inline int faulty_open(const char *path, int flags, int mode) {
    if (no_new_files && (flags & O_ACCMODE) != O_RDONLY) {
        errno = EACCES;
        return -1;
    }
    int file = fails_now(EMFILE) ? -1 : real_system.open(path, flags, mode);
    __atomic_add_fetch(&live_files, file >= 0 ? 1 : 0, __ATOMIC_SEQ_CST);
    return file;
}

static inline ssize_t faulty_pread(int file, void *bytes, size_t count, int64_t offset) {
    return fails_now(EIO) ? -1 : real_system.pread(file, bytes, count, offset);
}

static inline ssize_t faulty_write(int file, const void *bytes, size_t count) {
    return fails_now(ENOSPC) ? -1 : real_system.write(file, bytes, count > 1000 ? count / 2 : count);
}

static inline int faulty_close(int file) {
    __atomic_sub_fetch(&live_files, 1, __ATOMIC_SEQ_CST);
    return real_system.close(file);
}

static inline void use_faulty_system(void) {
    real_system = st_sys;
    st_sys.allocate = faulty_allocate;
    st_sys.release = counted_release;
    st_sys.open = faulty_open;
    st_sys.pread = faulty_pread;
    st_sys.write = faulty_write;
    st_sys.close = faulty_close;
    live_bytes = 0;
    live_files = 0;
}

#endif
