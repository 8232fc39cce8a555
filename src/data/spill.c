/* What was unpacked or decoded once and is read many times: an unnamed temporary file in $TMPDIR, /tmp or /var/tmp, or
 * memory where none of them takes it. The file is gone when its last user is, however that ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data/data.h"

enum { MOST_NAMES_TRIED = 100, PIECE_BYTES = 64 << 10, FOLDER_COUNT = 3 };
#define MOST_MEMORY ((uint64_t)4 << 30)

static const char *folder_at(size_t index) {
    return index == 0 ? getenv("TMPDIR") : index == 1 ? "/tmp" : "/var/tmp";
}

static int open_unnamed(const char *folder) {
    static atomic_uint counter;
    char path[256];
    int descriptor = st_sys.open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    /* Where the file system has no such files: one with a name, for an instant. */
    for (int tried = 0; descriptor < 0 && tried < MOST_NAMES_TRIED; tried++) {
        int length =
            snprintf(path, sizeof path, "%s/strata-%d-%u", folder, (int)getpid(), atomic_fetch_add(&counter, 1));
        if (length < 0 || (size_t)length >= sizeof path) {
            return -1;
        }
        descriptor = st_sys.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (descriptor >= 0) {
            st_sys.unlink(path);
        } else if (errno != EEXIST && errno != EINTR) {
            return -1;
        }
    }
    return descriptor;
}

/* Files are not begun where they cannot end. */
static bool has_room(const char *folder, uint64_t expected) {
    struct statvfs about;
    return statvfs(folder, &about) != 0 || about.f_frsize == 0 || expected / about.f_frsize < about.f_bavail;
}

/* The next folder that gives a file, or memory. */
static strata_status find_place(st_spill *spill, uint64_t expected, strata_error *err) {
    spill->descriptor = -1;
    for (; spill->next < FOLDER_COUNT && spill->descriptor < 0; spill->next++) {
        const char *folder = folder_at(spill->next);
        if (folder != NULL && folder[0] != '\0' && has_room(folder, expected)) {
            spill->descriptor = open_unnamed(folder);
        }
    }
    if (spill->descriptor >= 0 || expected == 0) {
        return STRATA_OK;
    }
    spill->memory = expected <= MOST_MEMORY ? st_sys.allocate((size_t)expected) : NULL;
    if (spill->memory == NULL) {
        st_fail(err, STRATA_MEMORY, "no temporary file and no memory for %llu bytes", (unsigned long long)expected);
        st_error_hint(err, "set TMPDIR to a folder with so much room");
        return STRATA_MEMORY;
    }
    spill->capacity = (size_t)expected;
    return STRATA_OK;
}

strata_status st_spill_begin(st_spill *out, uint64_t expected, strata_error *err) {
    *out = (st_spill){.descriptor = -1};
    return find_place(out, expected, err);
}

static bool write_all(int descriptor, const unsigned char *bytes, size_t count) {
    while (count > 0) {
        ssize_t put = st_sys.write(descriptor, bytes, count);
        if (put > 0) {
            bytes += put;
            count -= (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

static strata_status grow(st_spill *spill, size_t needed, strata_error *err) {
    size_t capacity = spill->capacity;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 4 ? needed : capacity * 2 + PIECE_BYTES;
    }
    unsigned char *memory = st_sys.allocate(capacity);
    ST_FAIL_IF(memory == NULL, err, STRATA_MEMORY, "no temporary file and no memory for %zu bytes", capacity);
    if (spill->memory != NULL) {
        memcpy(memory, spill->memory, (size_t)spill->length);
        st_sys.release(spill->memory, spill->capacity);
    }
    spill->memory = memory;
    spill->capacity = capacity;
    return STRATA_OK;
}

/* The place is full: what it holds goes to the next one. */
static strata_status move(st_spill *spill, size_t more, strata_error *err) {
    st_spill to = {.descriptor = -1, .next = spill->next};
    unsigned char *piece = st_sys.allocate(PIECE_BYTES);
    ST_FAIL_IF(piece == NULL, err, STRATA_MEMORY, "no memory for %d bytes", PIECE_BYTES);
    strata_status status = find_place(&to, spill->length + more, err);
    for (uint64_t done = 0; status == STRATA_OK && done < spill->length;) {
        size_t step = spill->length - done < PIECE_BYTES ? (size_t)(spill->length - done) : PIECE_BYTES;
        status = st_spill_at(spill, piece, step, done, err);
        status = status == STRATA_OK ? st_spill_add(&to, piece, step, err) : status;
        done += step;
    }
    st_sys.release(piece, PIECE_BYTES);
    if (status != STRATA_OK) {
        st_spill_free(&to);
        return status;
    }
    st_spill_free(spill);
    *spill = to;
    return STRATA_OK;
}

strata_status st_spill_add(st_spill *spill, const void *bytes, size_t count, strata_error *err) {
    while (spill->descriptor >= 0) {
        if (write_all(spill->descriptor, bytes, count)) {
            spill->length += count;
            return STRATA_OK;
        }
        ST_TRY(move(spill, count, err)); /* to a later folder, so this ends */
    }
    size_t needed = 0;
    ST_FAIL_IF(!st_size_add((size_t)spill->length, count, &needed), err, STRATA_MEMORY, "no memory for %zu more bytes",
               count);
    if (needed > spill->capacity) {
        ST_TRY(grow(spill, needed, err));
    }
    memcpy(spill->memory + spill->length, bytes, count);
    spill->length += count;
    return STRATA_OK;
}

strata_status st_spill_at(const st_spill *spill, void *bytes, size_t count, uint64_t offset, strata_error *err) {
    if (spill->descriptor < 0) {
        memcpy(bytes, spill->memory + offset, count);
        return STRATA_OK;
    }
    st_file file = {.descriptor = spill->descriptor, .length = spill->length, .path = "the temporary file"};
    return st_file_at(&file, bytes, count, offset, err);
}

bool st_spill_reserve(st_spill *spill, uint64_t bytes) {
    if (spill->descriptor < 0 && bytes > spill->capacity) {
        return false;
    }
    spill->length = bytes;
    return true;
}

bool st_spill_put(const st_spill *spill, const void *bytes, size_t count, uint64_t offset) {
    const unsigned char *from = bytes;
    if (spill->descriptor < 0) {
        memcpy(spill->memory + offset, bytes, count);
        return true;
    }
    while (count > 0) {
        ssize_t put = st_sys.pwrite(spill->descriptor, from, count, (int64_t)offset);
        if (put > 0) {
            from += put;
            offset += (uint64_t)put;
            count -= (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

void st_spill_free(st_spill *spill) {
    if (spill->descriptor >= 0) {
        st_sys.close(spill->descriptor);
    }
    if (spill->memory != NULL) {
        st_sys.release(spill->memory, spill->capacity);
    }
    *spill = (st_spill){.descriptor = -1};
}
