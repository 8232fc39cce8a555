/* A library for LD_PRELOAD that lets a chosen system call of a program fail: the n-th one, once or from there on for
 * ever.
 *
 *   FAULT_CALL     alloc open read pread write fsync rename close
 *   FAULT_N        which call fails, from 1; 0: none (only count)
 *   FAULT_FOREVER  1: the n-th and all after it
 *   FAULT_COUNT    a file that receives the number of calls when the program ends
 *
 * open counts files below /proc, /sys and the loader's own not at all: they are no part of what the program promises. A
 * failing close closes: that is what Linux does. glibc's own calls inside stdio go past this library, so messages still
 * reach their reader. Not a test by itself; run.sh walks n. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

/* Declared here: stdio.h and malloc.h would bring more than their prototypes. */
void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *memory, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);
int posix_memalign(void **out, size_t alignment, size_t bytes);
int rename(const char *from, const char *to);

static const char *chosen; /* FAULT_CALL; NULL before the program itself begins */
static long target;
static bool for_ever;
static atomic_long calls;

__attribute__((constructor)) static void begin(void) {
    const char *n = getenv("FAULT_N"), *ever = getenv("FAULT_FOREVER");
    target = n != NULL ? atol(n) : 0;
    for_ever = ever != NULL && ever[0] == '1';
    chosen = getenv("FAULT_CALL");
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    chosen = NULL;
    if (path != NULL) {
        long file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        char digits[24];
        size_t at = sizeof digits;
        digits[--at] = '\n';
        for (long count = atomic_load(&calls), first = 1; first || count > 0; count /= 10, first = 0) {
            digits[--at] = (char)('0' + count % 10);
        }
        syscall(SYS_write, file, digits + at, sizeof digits - at);
        syscall(SYS_close, file);
    }
}

static bool fails(const char *call) {
    if (chosen == NULL || strcmp(chosen, call) != 0) {
        return false;
    }
    long count = atomic_fetch_add(&calls, 1) + 1;
    return target > 0 && (for_ever ? count >= target : count == target);
}

static bool refuses(int reason) {
    errno = reason;
    return true;
}

/* ---- memory ---- */

void *malloc(size_t bytes) {
    return fails("alloc") && refuses(ENOMEM) ? NULL : __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
    return fails("alloc") && refuses(ENOMEM) ? NULL : __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes) {
    return fails("alloc") && refuses(ENOMEM) ? NULL : __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
    return fails("alloc") && refuses(ENOMEM) ? NULL : __libc_memalign(alignment, bytes);
}
int posix_memalign(void **out, size_t alignment, size_t bytes) {
    if (fails("alloc")) {
        return ENOMEM;
    }
    *out = __libc_memalign(alignment, bytes);
    return *out == NULL ? ENOMEM : 0;
}

/* ---- files ---- */

static int open_file(int folder, const char *path, int flags, unsigned mode) {
    bool counts = strncmp(path, "/proc/", 6) != 0 && strncmp(path, "/sys/", 5) != 0;
    if (counts && fails("open") && refuses((flags & O_CREAT) != 0 ? ENOSPC : EIO)) {
        return -1;
    }
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    unsigned mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, unsigned);
        va_end(rest);
    }
    return open_file(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    unsigned mode = 0;
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, unsigned);
        va_end(rest);
    }
    return open_file(folder, path, flags, mode);
}
ssize_t read(int file, void *bytes, size_t count) {
    return fails("read") && refuses(EIO) ? -1 : syscall(SYS_read, file, bytes, count);
}
ssize_t pread(int file, void *bytes, size_t count, off_t offset) {
    return fails("pread") && refuses(EIO) ? -1 : syscall(SYS_pread64, file, bytes, count, offset);
}
/* Standard output and error stay: what is said there is looked at. */
ssize_t write(int file, const void *bytes, size_t count) {
    return file > 2 && fails("write") && refuses(ENOSPC) ? -1 : syscall(SYS_write, file, bytes, count);
}
int fsync(int file) {
    return fails("fsync") && refuses(EIO) ? -1 : (int)syscall(SYS_fsync, file);
}
int rename(const char *from, const char *to) {
    return fails("rename") && refuses(EIO) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int close(int file) {
    bool failing = file > 2 && fails("close");
    int result = (int)syscall(SYS_close, file);
    return failing && result == 0 && refuses(EIO) ? -1 : result;
}
