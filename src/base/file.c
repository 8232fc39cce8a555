/* Files: reading whole, reading at offsets, and replacing one so that a reader sees the old or the new, never half.
 * Every return value is looked at; calls that a signal interrupts are repeated. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most that one read or write moves: Linux moves at most 2^31 - 4096 bytes. */
#define MOST_AT_ONCE ((size_t)1 << 30)

enum { BUFFER_BYTES = 64 << 10, FIRST_READ = 64 << 10, MOST_NAMES_TRIED = 100, DEVICE_MOST = 16 << 20 };

static strata_status fail_system(strata_error *err, const char *path, const char *verb, int number) {
    char reason[128];
    const char *said = strerror_r(number, reason, sizeof reason);
    strata_status status = number == ENOENT || number == ENOTDIR ? STRATA_MISSING
                           : number == ENOMEM                    ? STRATA_MEMORY
                                                                 : STRATA_IO;
    return st_fail_file(err, status, path, "cannot %s: %s", verb, said);
}

static int open_again(const char *path, int flags, int mode) {
    int descriptor;
    do {
        descriptor = st_sys.open(path, flags | O_CLOEXEC, mode);
    } while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

/* ---- whole files ---- */

/* A pipe or a terminal that somebody still writes into, but has not yet. */
static void wait_for_more(int descriptor) {
    struct pollfd more = {.fd = descriptor, .events = POLLIN};
    (void)poll(&more, 1, -1); /* a signal ends it early, and the next read sees */
}

/* Reads until the buffer is full or the file ends. */
static strata_status read_until(int descriptor, char *bytes, size_t capacity, size_t *length, bool *ended,
                                const char *path, strata_error *err) {
    *ended = false;
    while (*length < capacity) {
        size_t want = capacity - *length < MOST_AT_ONCE ? capacity - *length : MOST_AT_ONCE;
        ssize_t got = st_sys.read(descriptor, bytes + *length, want);
        if (got == 0) {
            *ended = true;
            return STRATA_OK;
        }
        if (got > 0) {
            *length += (size_t)got;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_for_more(descriptor);
        } else if (errno != EINTR) {
            return fail_system(err, path, "read", errno);
        }
    }
    return STRATA_OK;
}

static strata_status read_all(char **out, size_t *length, st_arena *arena, int descriptor, const char *path,
                              size_t limit, strata_error *err) {
    struct stat about;
    size_t capacity = FIRST_READ, used = 0;
    bool ended = false;
    char *bytes = NULL;
    bool is_known = fstat(descriptor, &about) == 0;
    if (is_known && S_ISREG(about.st_mode) && about.st_size > 0) {
        if ((uint64_t)about.st_size > limit) {
            return st_fail_file(err, STRATA_FORMAT, path, "holds %lld bytes, at most %zu expected",
                                (long long)about.st_size, limit);
        }
        capacity = (size_t)about.st_size + 1; /* one more, to see that it ends there */
    }
    if (is_known && S_ISCHR(about.st_mode) && limit > DEVICE_MOST) { /* a device may have no end */
        limit = DEVICE_MOST;
    }
    for (;;) {
        char *larger = NULL;
        capacity = capacity > limit + 1 ? limit + 1 : capacity; /* limit is below SIZE_MAX, see st_file_read */
        ST_TRY(st_arena_alloc(&larger, arena, capacity, 1, err));
        if (used > 0) {
            memcpy(larger, bytes, used);
        }
        bytes = larger;
        ST_TRY(read_until(descriptor, bytes, capacity, &used, &ended, path, err));
        if (used > limit) {
            return st_fail_file(err, STRATA_FORMAT, path, "holds more than %zu bytes", limit);
        }
        if (ended) {
            break;
        }
        ST_FAIL_IF(!st_size_mul(capacity, 2, &capacity), err, STRATA_MEMORY, "no memory for %zu bytes", used);
    }
    if (is_known && S_ISFIFO(about.st_mode) && used == 0) {
        return st_fail_file(err, STRATA_IO, path, "is a pipe that nobody writes into");
    }
    /* It ended before the buffer was full, so there is room for the NUL. */
    bytes[used] = '\0';
    *out = bytes;
    if (length != NULL) {
        *length = used;
    }
    return STRATA_OK;
}

strata_status st_file_read(char **out, size_t *length, st_arena *arena, const char *path, size_t limit,
                           strata_error *err) {
    *out = NULL;
    limit = limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4;
    int descriptor = open_again(path, O_RDONLY | O_NONBLOCK, 0); /* a pipe without a writer must not hold us */
    if (descriptor < 0) {
        return fail_system(err, path, "open", errno);
    }
    strata_status status = read_all(out, length, arena, descriptor, path, limit, err);
    if (st_sys.close(descriptor) != 0 && errno != EINTR && status == STRATA_OK) {
        *out = NULL;
        status = fail_system(err, path, "close", errno);
    }
    return status;
}

/* ---- reading at offsets ---- */

static const char *kind_of(const struct stat *about) {
    return S_ISDIR(about->st_mode)    ? "a folder"
           : S_ISFIFO(about->st_mode) ? "a pipe"
           : S_ISSOCK(about->st_mode) ? "a socket"
                                      : "a device";
}

static strata_status open_regular(st_file *out, const char *path, bool is_own, strata_error *err) {
    struct stat about;
    *out = (st_file){.descriptor = -1};
    size_t length = strlen(path);
    if (length >= sizeof out->path) {
        return st_fail_file(err, STRATA_INVALID, path, "the path has %zu bytes, at most %zu are served", length,
                            sizeof out->path - 1);
    }
    int flags = O_RDONLY | O_NONBLOCK | (is_own ? O_NOFOLLOW : 0); /* a pipe without a writer must not hold us */
    int descriptor = open_again(path, flags, 0);
    if (descriptor < 0) {
        return is_own && errno == ELOOP ? st_fail_file(err, STRATA_FORMAT, path, "is a link, expected the file itself")
                                        : fail_system(err, path, "open", errno);
    }
    if (fstat(descriptor, &about) != 0) {
        int number = errno;
        st_sys.close(descriptor);
        return fail_system(err, path, "look at", number);
    }
    if (!S_ISREG(about.st_mode)) {
        st_sys.close(descriptor);
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "is %s, expected a regular file", kind_of(&about));
    }
    if (is_own && about.st_nlink > 1) {
        st_sys.close(descriptor);
        return st_fail_file(err, STRATA_FORMAT, path, "is a file of %llu names (hard links), expected one",
                            (unsigned long long)about.st_nlink);
    }
    out->descriptor = descriptor;
    out->length = (uint64_t)about.st_size;
    memcpy(out->path, path, length + 1);
    return STRATA_OK;
}

strata_status st_file_open(st_file *out, const char *path, strata_error *err) {
    return open_regular(out, path, false, err);
}

strata_status st_file_open_own(st_file *out, const char *path, strata_error *err) {
    return open_regular(out, path, true, err);
}

strata_status st_file_at(const st_file *file, void *bytes, size_t count, uint64_t offset, strata_error *err) {
    if (offset > file->length || count > file->length - offset) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "ends at byte %llu, expected %zu bytes from byte %llu",
                            (unsigned long long)file->length, count, (unsigned long long)offset);
    }
    size_t done = 0;
    while (done < count) {
        size_t want = count - done < MOST_AT_ONCE ? count - done : MOST_AT_ONCE;
        ssize_t got = st_sys.pread(file->descriptor, (unsigned char *)bytes + done, want, (int64_t)(offset + done));
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            return st_fail_file(err, STRATA_IO, file->path, "became shorter while it was read: ends at byte %llu",
                                (unsigned long long)(offset + done));
        } else if (errno != EINTR) {
            return fail_system(err, file->path, "read", errno);
        }
    }
    return STRATA_OK;
}

void st_file_close(st_file *file) {
    if (file->descriptor >= 0) {
        st_sys.close(file->descriptor); /* opened for reading: nothing can be lost */
        file->descriptor = -1;
    }
}

/* ---- write, then rename ---- */

/* Devices and folders are never replaced: as root, a rename over /dev/null would succeed. */
static strata_status check_target(const char *path, strata_error *err) {
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) {
        return st_fail_file(err, STRATA_IO, path, "is %s, expected a regular file or a new name",
                            S_ISDIR(about.st_mode) ? "a folder" : "a pipe or device");
    }
    return STRATA_OK;
}

static strata_status open_temporary(st_writer *writer, strata_error *err) {
    static atomic_uint counter;
    for (int tried = 0; tried < MOST_NAMES_TRIED; tried++) {
        unsigned number = atomic_fetch_add(&counter, 1);
        snprintf(writer->temporary, sizeof writer->temporary, "%s.part-%d-%u", writer->path, (int)getpid(), number);
        writer->descriptor = open_again(writer->temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (writer->descriptor >= 0) {
            return STRATA_OK;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return fail_system(err, writer->path, "create a file beside it", errno);
}

strata_status st_writer_begin(st_writer *out, const char *path, strata_error *err) {
    *out = (st_writer){.descriptor = -1};
    size_t length = strlen(path);
    ST_FAIL_IF(length == 0, err, STRATA_INVALID, "the path of the file to write is empty");
    if (length >= sizeof out->path) {
        return st_fail_file(err, STRATA_INVALID, path, "the path has %zu bytes, at most %zu are served", length,
                            sizeof out->path - 1);
    }
    ST_TRY(check_target(path, err));
    memcpy(out->path, path, length + 1);
    out->buffer = st_sys.allocate(BUFFER_BYTES);
    ST_FAIL_IF(out->buffer == NULL, err, STRATA_MEMORY, "no memory for %d bytes", BUFFER_BYTES);
    strata_status status = open_temporary(out, err);
    if (status != STRATA_OK) {
        st_sys.release(out->buffer, BUFFER_BYTES);
        out->buffer = NULL;
    }
    return status;
}

static strata_status write_all(st_writer *writer, const unsigned char *bytes, size_t count, strata_error *err) {
    while (count > 0) {
        ssize_t put = st_sys.write(writer->descriptor, bytes, count < MOST_AT_ONCE ? count : MOST_AT_ONCE);
        if (put > 0) {
            bytes += put;
            count -= (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            int number = put == 0 ? ENOSPC : errno;
            writer->failed = true;
            return fail_system(err, writer->path, "write", number);
        }
    }
    return STRATA_OK;
}

static strata_status flush(st_writer *writer, strata_error *err) {
    size_t used = writer->used;
    writer->used = 0;
    return write_all(writer, writer->buffer, used, err);
}

strata_status st_writer_add(st_writer *writer, const void *bytes, size_t count, strata_error *err) {
    ST_FAIL_IF(writer->buffer == NULL || writer->failed, err, STRATA_INVALID, "written to a file that is closed");
    if (count > BUFFER_BYTES - writer->used) {
        ST_TRY(flush(writer, err));
    }
    if (count >= BUFFER_BYTES) {
        return write_all(writer, bytes, count, err);
    }
    if (count > 0) {
        memcpy(writer->buffer + writer->used, bytes, count);
        writer->used += count;
    }
    return STRATA_OK;
}

/* Some file systems cannot sync a folder and need not. */
static strata_status sync_folder(int folder, const char *path, strata_error *err) {
    int result;
    do {
        result = st_sys.fsync(folder);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno != EINVAL && errno != ENOTSUP) {
        return fail_system(err, path, "make the new name last (fsync of its folder)", errno);
    }
    return STRATA_OK;
}

static int open_folder(const char *path) {
    char folder[256];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (length == 0) {
        memcpy(folder, ".", 2);
    } else {
        memcpy(folder, path, length);
        folder[length] = '\0';
    }
    return open_again(folder, O_RDONLY | O_DIRECTORY, 0);
}

/* Everything on the disk and the descriptor closed; the name is still the temporary one. */
static strata_status settle(st_writer *writer, strata_error *err) {
    int result;
    ST_TRY(flush(writer, err));
    do {
        result = st_sys.fsync(writer->descriptor);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return fail_system(err, writer->path, "write (fsync)", errno);
    }
    result = st_sys.close(writer->descriptor);
    writer->descriptor = -1; /* gone even when close failed */
    return result == 0 || errno == EINTR ? STRATA_OK : fail_system(err, writer->path, "write (close)", errno);
}

strata_status st_writer_commit(st_writer *writer, strata_error *err) {
    strata_status status = STRATA_OK;
    if (writer->buffer == NULL || writer->failed) {
        st_writer_cancel(writer);
        return st_fail(err, STRATA_INVALID, "committed a file that is closed");
    }
    /* Opened before anything is changed, so that this cannot fail after the rename. */
    int folder = open_folder(writer->path);
    if (folder < 0) {
        status = fail_system(err, writer->path, "open its folder", errno);
    }
    if (status == STRATA_OK) {
        status = settle(writer, err);
    }
    if (status == STRATA_OK && st_sys.rename(writer->temporary, writer->path) != 0) {
        status = fail_system(err, writer->path, "rename the new file to it", errno);
    }
    if (status == STRATA_OK) {
        writer->temporary[0] = '\0'; /* nothing left to remove */
        status = sync_folder(folder, writer->path, err);
    }
    if (folder >= 0 && st_sys.close(folder) != 0 && errno != EINTR && status == STRATA_OK) {
        status = fail_system(err, writer->path, "close its folder", errno);
    }
    st_writer_cancel(writer);
    return status;
}

void st_writer_cancel(st_writer *writer) {
    if (writer->buffer == NULL) {
        return;
    }
    if (writer->descriptor >= 0) {
        st_sys.close(writer->descriptor);
        writer->descriptor = -1;
    }
    if (writer->temporary[0] != '\0') {
        st_sys.unlink(writer->temporary);
        writer->temporary[0] = '\0';
    }
    st_sys.release(writer->buffer, BUFFER_BYTES);
    writer->buffer = NULL;
}

strata_status st_file_move(const char *from, const char *to, strata_error *err) {
    ST_TRY(check_target(to, err));
    int folder = open_folder(to); /* first, so that this cannot fail after the rename */
    if (folder < 0) {
        return fail_system(err, to, "open its folder", errno);
    }
    strata_status status = st_sys.rename(from, to) == 0 ? sync_folder(folder, to, err)
                                                        : fail_system(err, to, "rename the new file to it", errno);
    if (st_sys.close(folder) != 0 && errno != EINTR && status == STRATA_OK) {
        status = fail_system(err, to, "close its folder", errno);
    }
    return status;
}

strata_status strata_file_write(const char *path, const void *bytes, size_t length, strata_error *err) {
    st_writer writer;
    ST_FAIL_IF(path == NULL || (bytes == NULL && length > 0), err, STRATA_INVALID, "no path or no bytes were given");
    ST_TRY(st_writer_begin(&writer, path, err));
    strata_status status = st_writer_add(&writer, bytes, length, err);
    if (status != STRATA_OK) {
        st_writer_cancel(&writer);
        return status;
    }
    return st_writer_commit(&writer, err);
}
