/* base: files, whole and in pieces, and that every call to the system may fail. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "base_case.h"

/* ---- files ---- */

static void test_file_is_written_and_read_whole(void **state) {
    (void)state;
    const char *path = in_folder("whole");
    size_t length = 0;
    char *bytes = NULL, *big = malloc(300001);
    assert_non_null(big);
    for (size_t i = 0; i < 300001; i++) {
        big[i] = (char)st_rng_bits(1, 1, i);
    }
    static const size_t lengths[] = {0, 1, 65535, 65536, 65537, 300001};
    for (size_t i = 0; i < ST_COUNT_OF(lengths); i++) {
        st_arena *arena = new_arena();
        assert_int_equal(strata_file_write(path, big, lengths[i], NULL), STRATA_OK);
        assert_int_equal(st_file_read(&bytes, &length, arena, path, 300001, NULL), STRATA_OK);
        assert_int_equal(length, lengths[i]);
        assert_memory_equal(bytes, big, length);
        assert_int_equal(bytes[length], 0);
        st_arena_free(arena);
    }
    strata_error err;
    st_arena *arena = new_arena();
    assert_int_equal(st_file_read(&bytes, &length, arena, path, 300000, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "holds 300001 bytes, at most 300000 expected");
    assert_int_equal(st_file_read(&bytes, &length, arena, "/dev/zero", 1000, &err), STRATA_FORMAT);
    assert_int_equal(st_file_read(&bytes, &length, arena, "/proc/self/status", 1 << 20, &err), STRATA_OK);
    assert_true(length > 100);
    assert_int_equal(st_file_read(&bytes, &length, arena, in_folder("none"), 10, &err), STRATA_MISSING);
    assert_int_equal(st_file_read(&bytes, &length, arena, folder, 10, &err), STRATA_IO);
    st_arena_free(arena);
    unlink(path);
    free(big);
}

static void test_file_at_reads_only_what_is_there(void **state) {
    (void)state;
    const char *path = in_folder("offsets");
    strata_error err;
    st_file file;
    char bytes[8] = {0};
    put_file(path, "0123456789", 10);
    assert_int_equal(st_file_open(&file, path, &err), STRATA_OK);
    assert_int_equal(file.length, 10);
    assert_int_equal(st_file_at(&file, bytes, 4, 6, &err), STRATA_OK);
    assert_memory_equal(bytes, "6789", 4);
    assert_int_equal(st_file_at(&file, bytes, 0, 10, &err), STRATA_OK);
    assert_int_equal(st_file_at(&file, bytes, 4, 7, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "ends at byte 10, expected 4 bytes from byte 7");
    assert_int_equal(st_file_at(&file, bytes, 1, UINT64_MAX, &err), STRATA_FORMAT);
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(st_file_at(&file, bytes, 4, 4, &err), STRATA_IO);
    st_file_close(&file);
    st_file_close(&file);
    assert_int_equal(st_file_open(&file, folder, &err), STRATA_UNSUPPORTED);
    assert_int_equal(st_file_open(&file, "/dev/null", &err), STRATA_UNSUPPORTED);
    assert_int_equal(file.descriptor, -1);
    char far[400];
    memset(far, 'a', sizeof far);
    far[sizeof far - 1] = '\0';
    assert_int_equal(st_file_open(&file, far, &err), STRATA_INVALID);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(st_file_open(&file, in_folder("pipe"), &err), STRATA_UNSUPPORTED); /* and does not hang */
    unlink(in_folder("pipe"));
    unlink(path);
}

/* Not what it leads to, nor what has another name elsewhere. */
static void test_file_of_its_own_is_neither_link_nor_device(void **state) {
    (void)state;
    strata_error err;
    st_file file;
    char path[200], name[200];
    snprintf(path, sizeof path, "%s", in_folder("real"));
    snprintf(name, sizeof name, "%s", in_folder("other"));
    put_file(path, "0123", 4);
    assert_int_equal(st_file_open_own(&file, path, &err), STRATA_OK);
    assert_int_equal(file.length, 4);
    st_file_close(&file);
    assert_int_equal(symlink("real", name), 0);
    assert_int_equal(st_file_open_own(&file, name, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "is a link, expected the file itself");
    assert_int_equal(st_file_open(&file, name, &err), STRATA_OK);
    st_file_close(&file);
    unlink(name);
    assert_int_equal(link(path, name), 0);
    assert_int_equal(st_file_open_own(&file, name, &err), STRATA_FORMAT);
    assert_int_equal(file.descriptor, -1);
    assert_int_equal(st_file_open_own(&file, "/dev/zero", &err), STRATA_UNSUPPORTED);
    unlink(name);
    unlink(path);
}

/* A pipe without a writer is said to be that; one with a writer is waited for; a device without end is bounded. */
static void test_file_read_of_pipes_and_devices_ends(void **state) {
    (void)state;
    strata_error err;
    st_arena *arena = NULL;
    char *bytes = NULL, path[200];
    size_t length = 0;
    snprintf(path, sizeof path, "%s", in_folder("pipe"));
    assert_int_equal(st_arena_create(&arena, &err), STRATA_OK);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(st_file_read(&bytes, &length, arena, path, 1000, &err), STRATA_IO);
    assert_string_equal(err.message, "is a pipe that nobody writes into");
    int holder = open(path, O_RDWR); /* so that the child's open does not wait, nor the pipe end before it wrote */
    assert_true(holder >= 0);
    pid_t child = fork();
    if (child == 0) {
        usleep(200000);
        _exit(write(holder, "late", 4) == 4 ? 0 : 1);
    }
    close(holder);
    assert_int_equal(st_file_read(&bytes, &length, arena, path, 1000, &err), STRATA_OK);
    assert_int_equal(length, 4);
    assert_memory_equal(bytes, "late", 4);
    assert_int_equal(waitpid(child, NULL, 0), child);
    unlink(path);
    assert_int_equal(st_file_read(&bytes, &length, arena, "/dev/zero", SIZE_MAX, &err), STRATA_FORMAT);
    assert_int_equal(st_file_read(&bytes, &length, arena, "/dev/null", 1000, &err), STRATA_OK);
    assert_int_equal(length, 0);
    st_arena_free(arena);
}

static void test_writer_refuses_devices_folders_and_long_paths(void **state) {
    (void)state;
    strata_error err;
    char far[400];
    memset(far, 'a', sizeof far);
    far[sizeof far - 1] = '\0';
    assert_int_equal(strata_file_write("/dev/null", "x", 1, &err), STRATA_IO);
    assert_string_equal(err.file, "/dev/null");
    assert_int_equal(strata_file_write(folder, "x", 1, &err), STRATA_IO);
    assert_int_equal(strata_file_write(far, "x", 1, &err), STRATA_INVALID);
    assert_int_equal(strata_file_write("", "x", 1, &err), STRATA_INVALID);
    assert_int_equal(strata_file_write(NULL, "x", 1, &err), STRATA_INVALID);
    assert_int_equal(strata_file_write(in_folder("no/such"), "x", 1, &err), STRATA_MISSING);
}

static void test_writer_honours_the_umask(void **state) {
    (void)state;
    struct stat about;
    const char *path = in_folder("mode");
    mode_t before = umask(027);
    assert_int_equal(strata_file_write(path, "x", 1, NULL), STRATA_OK);
    umask(before);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    unlink(path);
}

static void test_writer_cancel_leaves_the_old_file(void **state) {
    (void)state;
    const char *path = in_folder("kept");
    st_writer writer;
    put_file(path, "old", 3);
    assert_int_equal(st_writer_begin(&writer, path, NULL), STRATA_OK);
    assert_int_equal(st_writer_add(&writer, "new", 3, NULL), STRATA_OK);
    st_writer_cancel(&writer);
    st_writer_cancel(&writer);
    assert_int_equal(st_writer_add(&writer, "new", 3, NULL), STRATA_INVALID);
    char back[4] = {0};
    int file = open(path, O_RDONLY);
    assert_int_equal(read(file, back, 4), 3);
    close(file);
    assert_string_equal(back, "old");
    unlink(path);
}

/* ---- every call to the system fails in turn ---- */

static st_system real_system;
static int countdown; /* calls until one fails */
static int fault;     /* its errno */
static bool for_ever;
static long live_bytes;
static int live_files;

static bool fails_now(void) {
    if (countdown > 0 && --countdown == 0) {
        countdown = for_ever ? 1 : 0;
        errno = fault;
        return true;
    }
    return false;
}

static void *faulty_allocate(size_t bytes) {
    void *memory = fails_now() ? NULL : real_system.allocate(bytes);
    live_bytes += memory != NULL ? (long)bytes : 0;
    return memory;
}

static void counted_release(void *memory, size_t bytes) {
    live_bytes -= (long)bytes;
    real_system.release(memory, bytes);
}

static int faulty_open(const char *path, int flags, int mode) {
    int file = fails_now() ? -1 : real_system.open(path, flags, mode);
    live_files += file >= 0;
    return file;
}

static ssize_t faulty_read(int file, void *bytes, size_t count) {
    return fails_now() ? -1 : real_system.read(file, bytes, count > 7 ? 7 : count); /* short reads too */
}

static ssize_t faulty_pread(int file, void *bytes, size_t count, int64_t offset) {
    return fails_now() ? -1 : real_system.pread(file, bytes, count > 7 ? 7 : count, offset);
}

static ssize_t faulty_write(int file, const void *bytes, size_t count) {
    return fails_now() ? -1 : real_system.write(file, bytes, count > 100 ? count / 2 : count);
}

static int faulty_fsync(int file) {
    return fails_now() ? -1 : real_system.fsync(file);
}

static int faulty_rename(const char *from, const char *to) {
    return fails_now() ? -1 : real_system.rename(from, to);
}

static int faulty_unlink(const char *path) {
    return real_system.unlink(path); /* cleaning up works, so that nothing may be left behind */
}

static int faulty_close(int file) {
    live_files--;
    int result = real_system.close(file);
    return fails_now() ? -1 : result;
}

static void use_faulty_system(void) {
    real_system = st_sys;
    st_sys = (st_system){.allocate = faulty_allocate,
                         .release = counted_release,
                         .open = faulty_open,
                         .read = faulty_read,
                         .pread = faulty_pread,
                         .write = faulty_write,
                         .fsync = faulty_fsync,
                         .rename = faulty_rename,
                         .unlink = faulty_unlink,
                         .close = faulty_close};
    live_bytes = 0;
    live_files = 0;
}

static strata_status write_and_read(const char *path, const char *bytes, size_t length, strata_error *err) {
    st_arena *arena = NULL;
    char *back = NULL;
    size_t count = 0;
    ST_TRY(strata_file_write(path, bytes, length, err));
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_file_read(&back, &count, arena, path, 1 << 20, err);
    if (status == STRATA_OK) {
        assert_int_equal(count, length);
        assert_memory_equal(back, bytes, length);
    }
    st_arena_free(arena);
    return status;
}

static void test_files_survive_every_fault(void **state) {
    (void)state;
    static const int faults[] = {EIO, ENOSPC, EINTR};
    static char old[500], new[70000];
    const char *path = in_folder("faults");
    memset(old, 'o', sizeof old);
    memset(new, 'n', sizeof new);
    use_faulty_system();
    for (size_t f = 0; f < ST_COUNT_OF(faults); f++) {
        for (int forever = 0; forever < (faults[f] == EINTR ? 1 : 2); forever++) {
            bool done = false;
            for (int call = 1; !done; call++) {
                strata_error err = {0};
                countdown = 0;
                put_file(path, old, sizeof old);
                fault = faults[f];
                for_ever = forever;
                countdown = call;
                strata_status status = write_and_read(path, new, call % 2 ? sizeof new : 50, &err);
                done = status == STRATA_OK && countdown > 0;
                countdown = 0;
                struct stat about;
                assert_int_equal(stat(path, &about), 0);
                assert_true(about.st_size == sizeof old || about.st_size == 50 || about.st_size == sizeof new);
                if (status != STRATA_OK) {
                    assert_int_equal(err.status, status);
                    assert_true(err.message[0] != '\0');
                }
                assert_int_equal(live_bytes, 0);
                assert_int_equal(live_files, 0);
                call += call > 40 ? 997 : 0; /* thousands of short reads: a few of them */
            }
        }
    }
    st_sys = real_system;
    unlink(path);
}

static void test_allocations_that_fail_are_reported(void **state) {
    (void)state;
    use_faulty_system();
    for_ever = true;
    for (int call = 1; call < 8; call++) {
        st_arena *arena = NULL;
        st_pool *pool = NULL;
        char *text = NULL;
        st_text growing = {0};
        strata_error err = {0};
        countdown = call;
        strata_status status = st_arena_create(&arena, &err);
        status = status == STRATA_OK ? st_arena_printf(&text, arena, &err, "%d", 3) : status;
        st_text_add(&growing, "%0900d", 4);
        strata_status finished = st_text_finish(&text, &growing, &err);
        strata_status pooled = st_pool_create(&pool, 2, &err);
        countdown = 0;
        assert_true(status == STRATA_OK || status == STRATA_MEMORY);
        assert_true(finished == (call > 5 ? STRATA_OK : finished));
        assert_true((finished == STRATA_OK) == (text != NULL));
        assert_true((pooled == STRATA_OK) == (pool != NULL));
        strata_text_free(text);
        st_arena_free(arena);
        st_pool_free(pool);
        assert_int_equal(live_bytes, 0);
    }
    st_sys = real_system;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_is_written_and_read_whole),
        cmocka_unit_test(test_file_at_reads_only_what_is_there),
        cmocka_unit_test(test_file_of_its_own_is_neither_link_nor_device),
        cmocka_unit_test(test_file_read_of_pipes_and_devices_ends),
        cmocka_unit_test(test_writer_refuses_devices_folders_and_long_paths),
        cmocka_unit_test(test_writer_honours_the_umask),
        cmocka_unit_test(test_writer_cancel_leaves_the_old_file),
        cmocka_unit_test(test_files_survive_every_fault),
        cmocka_unit_test(test_allocations_that_fail_are_reported),
    };
    return cmocka_run_group_tests_name("files", tests, make_folder, remove_folder);
}
