/* The one door to the system. Large blocks are aligned to huge pages and ask for them: fewer TLB misses in the GEMM. */
#include "base/base.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SMALL_ALIGNMENT = 64, HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

static void *system_allocate(size_t bytes) {
    void *memory = NULL;
    size_t alignment = bytes >= HUGE_FROM ? HUGE_PAGE : SMALL_ALIGNMENT;
    if (posix_memalign(&memory, alignment, bytes > 0 ? bytes : 1) != 0) {
        return NULL;
    }
    if (bytes >= HUGE_FROM) {
        /* Advice only. The tail that fills no huge page keeps small ones, so that no more is resident than was asked.
         */
        (void)madvise(memory, bytes & ~(size_t)(HUGE_PAGE - 1), MADV_HUGEPAGE);
    }
    return memory;
}

static void system_release(void *memory, size_t bytes) {
    (void)bytes;
    free(memory);
}

static int system_open(const char *path, int flags, int mode) {
    return open(path, flags, mode);
}

static ssize_t system_pread(int file, void *bytes, size_t count, int64_t offset) {
    return pread(file, bytes, count, (off_t)offset);
}

static ssize_t system_pwrite(int file, const void *bytes, size_t count, int64_t offset) {
    return pwrite(file, bytes, count, (off_t)offset);
}

st_system st_sys = {
    .allocate = system_allocate,
    .release = system_release,
    .open = system_open,
    .read = read,
    .pread = system_pread,
    .write = write,
    .pwrite = system_pwrite,
    .fsync = fsync,
    .rename = rename,
    .unlink = unlink,
    .close = close,
};

double st_clock_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
