/* base: errors, sizes, arenas, text, JSON, files, SHA-256, random numbers, mathematics, threads. */
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

/* ---- a folder of its own for each test program ---- */

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-base-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder); /* fails when a test left a file: none may */
}

static const char *in_folder(const char *name) {
    static char path[4][128];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void put_file(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static st_arena *new_arena(void) {
    st_arena *arena = NULL;
    assert_int_equal(st_arena_create(&arena, NULL), STRATA_OK);
    return arena;
}

/* ---- errors ---- */

static void test_error_is_cut_and_printable(void **state) {
    (void)state;
    strata_error err;
    char longest[2000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    memset(&err, 0x55, sizeof err);
    assert_int_equal(st_fail(&err, STRATA_SHAPE, "a\033[31m\n%d %s", 7, longest), STRATA_SHAPE);
    assert_int_equal(err.status, STRATA_SHAPE);
    assert_memory_equal(err.message, "a?[31m?7 xxx", 12);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_string_equal(err.file, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(st_fail(NULL, STRATA_IO, "nobody listens"), STRATA_IO);
}

static void test_error_gets_file_hint_and_context(void **state) {
    (void)state;
    strata_error err;
    assert_int_equal(st_fail_file(&err, STRATA_FORMAT, "we\tights", "found %d", 3), STRATA_FORMAT);
    st_error_file(&err, "other");
    st_error_hint(&err, "try %s", "again");
    st_error_prepend(&err, "while reading %s: ", "weights");
    assert_string_equal(err.file, "we?ights");
    assert_string_equal(err.hint, "try again");
    assert_string_equal(err.message, "while reading weights: found 3");
    st_fail(&err, STRATA_INVALID, "%s", "caf\xc3\xa9 \xff\xc2\x9b.");
    assert_string_equal(err.message, "caf\xc3\xa9 ??.");
    st_error_file(&err, "other");
    assert_string_equal(err.file, "other");
}

static void test_status_has_a_name(void **state) {
    (void)state;
    assert_string_equal(strata_status_name(STRATA_OK), "ok");
    assert_string_equal(strata_status_name(STRATA_CANCELLED), "cancelled");
    assert_string_equal(strata_status_name((strata_status)77), "unknown");
    assert_string_equal(strata_version(), STRATA_VERSION);
}

/* ---- sizes ---- */

static void test_size_arithmetic_sees_overflow(void **state) {
    (void)state;
    size_t out = 0;
    assert_true(st_size_add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(st_size_add(SIZE_MAX, 1, &out));
    assert_true(st_size_mul(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    assert_false(st_size_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(st_size_mul(0, SIZE_MAX, &out) && out == 0);
    assert_true(st_size_mul(SIZE_MAX, 0, &out) && out == 0);
    assert_int_equal(st_dtype_size(ST_DTYPE_REAL), sizeof(st_real));
    assert_int_equal(st_dtype_size(ST_DTYPE_U8), 1);
    assert_int_equal(st_dtype_size(ST_DTYPE_I32), 4);
}

/* ---- arenas ---- */

static void test_arena_gives_zeroed_aligned_memory(void **state) {
    (void)state;
    st_arena *arena = new_arena();
    for (size_t i = 0; i < 3000; i++) {
        size_t bytes = st_rng_bits(1, 2, i) % (i % 100 == 0 ? 100000 : 300);
        unsigned char *block = NULL;
        assert_int_equal(st_arena_alloc(&block, arena, bytes, 1, NULL), STRATA_OK);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (bytes >= 64 ? 64 : 16), 0);
        for (size_t k = 0; k < bytes; k++) {
            assert_int_equal(block[k], 0);
        }
        memset(block, 0xEE, bytes);
    }
    st_arena_free(arena);
    st_arena_free(NULL);
}

static void test_arena_refuses_overflow(void **state) {
    (void)state;
    strata_error err;
    st_arena *arena = new_arena();
    void *block = arena;
    assert_int_equal(st_arena_alloc(&block, arena, SIZE_MAX / 2, 3, &err), STRATA_MEMORY);
    assert_null(block);
    assert_int_equal(st_arena_alloc(&block, arena, SIZE_MAX - 10, 1, &err), STRATA_MEMORY);
    st_arena_free(arena);
}

static void test_arena_makes_texts(void **state) {
    (void)state;
    st_arena *arena = new_arena();
    char *text = NULL;
    assert_int_equal(st_arena_text(&text, arena, "abcdef", 3, NULL), STRATA_OK);
    assert_string_equal(text, "abc");
    assert_int_equal(st_arena_printf(&text, arena, NULL, "%d-%s", 5, "x"), STRATA_OK);
    assert_string_equal(text, "5-x");
    assert_int_equal(st_arena_printf(&text, arena, NULL, "%s", ""), STRATA_OK);
    assert_string_equal(text, "");
    st_arena_free(arena);
}

/* ---- text ---- */

static void test_text_grows_and_pads(void **state) {
    (void)state;
    st_text text = {0};
    char *out = NULL;
    st_text_add(&text, "first\nd\xc3\xa9j\xc3\xa0");
    st_text_pad(&text, 6);
    st_text_add(&text, "|");
    st_text_pad(&text, 3);
    assert_int_equal(st_text_finish(&out, &text, NULL), STRATA_OK);
    assert_string_equal(out, "first\nd\xc3\xa9j\xc3\xa0  |");
    strata_text_free(out);
    strata_text_free(NULL);
    for (int i = 0; i < 5000; i++) {
        st_text_add(&text, "%d %0100d,", i, i);
    }
    assert_int_equal(strlen(text.bytes), text.length);
    st_text_free(&text);
    assert_int_equal(st_text_finish(&out, &text, NULL), STRATA_OK);
    assert_string_equal(out, "");
    strata_text_free(out);
}

static void test_text_ignores_the_locale(void **state) {
    (void)state;
    const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "C.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < ST_COUNT_OF(names) && !set; i++) {
        set = setlocale(LC_ALL, names[i]) != NULL;
    }
    st_text text = {0};
    st_text_add(&text, "%.2f", 1.5);
    assert_string_equal(text.bytes, "1.50");
    st_text_free(&text);
    st_arena *arena = new_arena();
    st_json json = {.text = "2.5", .length = 3, .file = "x", .arena = arena};
    double number = 0;
    assert_int_equal(st_json_number(&json, &number, NULL), STRATA_OK);
    assert_true(number == 2.5);
    st_arena_free(arena);
    setlocale(LC_ALL, "C");
}

static void test_text_finds_the_nearest_name(void **state) {
    (void)state;
    static const char *const names[] = {"conv", "max_pool", "average_pool", "relu", "softmax", "fc"};
    const size_t count = ST_COUNT_OF(names);
    assert_string_equal(st_text_nearest("cnov", names, count), "conv");
    assert_string_equal(st_text_nearest("sotfmax", names, count), "softmax");
    assert_string_equal(st_text_nearest("maxpool", names, count), "max_pool");
    assert_string_equal(st_text_nearest("rel", names, count), "relu");
    assert_string_equal(st_text_nearest("relu", names, count), "relu");
    assert_null(st_text_nearest("transformer", names, count));
    assert_null(st_text_nearest("", names, count));
    assert_null(st_text_nearest("xy", names, count));
}

static void test_text_knows_utf8(void **state) {
    (void)state;
    static const char *const good[] = {
        "", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xff",
                                      "\xc3("};
    for (size_t i = 0; i < ST_COUNT_OF(good); i++) {
        assert_true(st_text_is_utf8(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < ST_COUNT_OF(bad); i++) {
        assert_false(st_text_is_utf8(bad[i], strlen(bad[i])));
    }
    char out[4];
    st_text_printable(out, sizeof out, "ab\xe2\x82\xac", 5); /* the sign does not fit: left away whole */
    assert_string_equal(out, "ab");
}

/* ---- JSON ---- */

static st_json json_of(const char *text, st_arena *arena) {
    return (st_json){.text = text, .length = strlen(text), .file = "t.json", .arena = arena};
}

static void test_json_reads_all_kinds(void **state) {
    (void)state;
    st_arena *arena = new_arena();
    st_json json =
        json_of(" { \"a\\u00e9\\ud83d\\ude00\\n\" : [ 1, -2.5e3 ,18446744073709551615 ] , \"b\" : {}, \"c\":[],"
                "\"d\":true,\"e\":{\"x\":[null,false,\"s\\\"\"]} } \n",
                arena);
    bool more = false;
    char *key = NULL;
    double number = 0;
    uint64_t size = 0;
    st_json_kind kind = ST_JSON_NULL;
    assert_int_equal(st_json_enter(&json, '{', NULL), STRATA_OK);
    assert_int_equal(st_json_next(&json, &more, &key, NULL), STRATA_OK);
    assert_true(more);
    assert_string_equal(key, "a\xc3\xa9\xf0\x9f\x98\x80\n");
    assert_int_equal(st_json_peek(&json, &kind, NULL), STRATA_OK);
    assert_int_equal(kind, ST_JSON_ARRAY);
    assert_int_equal(st_json_enter(&json, '[', NULL), STRATA_OK);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_int_equal(st_json_size(&json, &size, NULL), STRATA_OK);
    assert_int_equal(size, 1);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_int_equal(st_json_number(&json, &number, NULL), STRATA_OK);
    assert_true(number == -2500.0);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_int_equal(st_json_size(&json, &size, NULL), STRATA_OK);
    assert_true(size == UINT64_MAX);
    assert_int_equal(st_json_next(&json, &more, NULL, NULL), STRATA_OK);
    assert_false(more);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(st_json_next(&json, &more, &key, NULL), STRATA_OK);
        assert_true(more);
        assert_int_equal(key[0], 'b' + i);
        assert_int_equal(st_json_skip(&json, NULL), STRATA_OK);
    }
    assert_int_equal(st_json_next(&json, &more, &key, NULL), STRATA_OK);
    assert_false(more);
    assert_int_equal(st_json_end(&json, NULL), STRATA_OK);
    st_arena_free(arena);
}

static void test_json_refuses_what_is_not_json(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",        "{",           "[1,]",        "{\"a\":1,}",  "[1 2]",         "{\"a\" 1}", "{a:1}",
        "[01]",    "[1.]",        "[.5]",        "[+1]",        "[1e]",          "[-]",       "\"a",
        "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"", "\"\t\"",        "[tru]",     "[nulL]",
        "1 2",     "[1}",         "{\"a\":1]",   "[,1]",        "{,}",           "\"\xff\"",  "[\"\\u\"]",
        "NaN",     "[Infinity]",  "'a'",         "[1]/*c*/",    "\"\\ud83d x\"", "{\"a\":}",  "\xef\xbb\xbf[]"};
    for (size_t i = 0; i < ST_COUNT_OF(bad); i++) {
        strata_error err = {0};
        st_arena *arena = new_arena();
        st_json json = json_of(bad[i], arena);
        strata_status status = st_json_skip(&json, &err);
        status = status == STRATA_OK ? st_json_end(&json, &err) : status;
        if (status != STRATA_FORMAT) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_string_equal(err.file, "t.json");
        assert_non_null(strstr(err.message, "byte"));
        st_arena_free(arena);
    }
}

static void test_json_bounds_depth_and_numbers(void **state) {
    (void)state;
    char deep[4000];
    strata_error err;
    st_arena *arena = new_arena();
    memset(deep, '[', sizeof deep);
    st_json json = {.text = deep, .length = sizeof deep, .file = "t.json", .arena = arena};
    assert_int_equal(st_json_skip(&json, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "JSON, byte 64: nested deeper than 64");
    uint64_t size = 0;
    static const char *const bad[] = {"18446744073709551616", "-1", "1.0", "1e2", "99999999999999999999999"};
    for (size_t i = 0; i < ST_COUNT_OF(bad); i++) {
        json = json_of(bad[i], arena);
        assert_int_equal(st_json_size(&json, &size, &err), STRATA_FORMAT);
    }
    char *key = NULL;
    bool more = false;
    json = json_of("{\"a\\u0000b\":1}", arena);
    assert_int_equal(st_json_enter(&json, '{', &err), STRATA_OK);
    assert_int_equal(st_json_next(&json, &more, &key, &err), STRATA_FORMAT);
    st_arena_free(arena);
}

static void test_json_quote_is_read_back(void **state) {
    (void)state;
    char all[128];
    st_text text = {0};
    st_arena *arena = new_arena();
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (char)i;
    }
    st_json_quote(&text, all, sizeof all);
    st_json json = {.text = text.bytes, .length = text.length, .file = "q", .arena = arena};
    char *back = NULL;
    size_t length = 0;
    assert_int_equal(st_json_string(&json, &back, &length, NULL), STRATA_OK);
    assert_int_equal(length, sizeof all);
    assert_memory_equal(back, all, sizeof all);
    st_text_free(&text);
    st_arena_free(arena);
}

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

/* ---- SHA-256 ---- */

static void hash_of(const void *bytes, size_t length, size_t piece, char out[65]) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (size_t at = 0; at < length; at += piece) {
        st_sha256_add(&sha, (const char *)bytes + at, piece < length - at ? piece : length - at);
    }
    st_sha256_end(&sha, out);
}

static void test_sha256_gives_the_published_hashes(void **state) {
    (void)state;
    char out[65];
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    hash_of("", 0, 1, out);
    assert_string_equal(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_of("abc", 3, 3, out);
    assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (size_t piece = 1; piece < 60; piece++) {
        hash_of(two, strlen(two), piece, out);
        assert_string_equal(out, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
    static char million[1000000];
    memset(million, 'a', sizeof million);
    hash_of(million, sizeof million, 999, out);
    assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_sha256_does_not_depend_on_the_pieces(void **state) {
    (void)state;
    char bytes[300], whole[65], cut[65];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)st_rng_bits(3, 3, i);
    }
    for (size_t length = 0; length < sizeof bytes; length++) {
        hash_of(bytes, length, 1000, whole);
        hash_of(bytes, length, 1 + length % 67, cut);
        assert_string_equal(whole, cut);
    }
}

/* ---- random numbers ---- */

static void test_rng_is_philox(void **state) {
    (void)state;
    /* The known answers of the authors' own Random123: counter and key in words from the lowest. */
    assert_true(st_rng_bits(0, 0, 0) == 0xe169c58d6627e8d5u);
    assert_true(st_rng_bits(UINT64_MAX, UINT64_MAX, UINT64_MAX) == 0x41c83b0e408f276du);
    assert_true(st_rng_bits(0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u) == 0x94fdccebd16cfe09u);
}

/* Mean, deviation, correlation of neighbours, and the spread over 64 bins, each within five standard errors. */
static void test_rng_uniform_looks_uniform(void **state) {
    (void)state;
    enum { COUNT = 1 << 18, BINS = 64 };
    const double root = sqrt((double)COUNT);
    for (uint64_t stream = 0; stream < 8; stream++) {
        double sum = 0, squares = 0, products = 0, last = 0, chi = 0;
        int bins[BINS] = {0};
        for (uint64_t i = 0; i < COUNT; i++) {
            double u = st_rng_uniform(42, st_rng_stream(ST_STREAM_TEST, stream), i);
            assert_true(u >= 0 && u < 1);
            sum += u - 0.5;
            squares += (u - 0.5) * (u - 0.5);
            products += i > 0 ? (u - 0.5) * (last - 0.5) : 0;
            last = u;
            bins[(int)(u * BINS)]++;
        }
        for (int b = 0; b < BINS; b++) {
            double off = bins[b] - (double)COUNT / BINS;
            chi += off * off / ((double)COUNT / BINS);
        }
        assert_true(fabs(sum / root) < 5 * sqrt(1.0 / 12));
        assert_true(fabs(squares / COUNT - 1.0 / 12) < 5 * sqrt(1.0 / 180) / root);
        assert_true(fabs(products / root) < 5.0 / 12);
        assert_true(fabs(chi - (BINS - 1)) < 5 * sqrt(2.0 * (BINS - 1)));
    }
}

static void test_rng_normal_has_its_moments(void **state) {
    (void)state;
    enum { COUNT = 1 << 18 };
    const double root = sqrt((double)COUNT);
    double sum[4] = {0};
    int within = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double x = st_rng_normal(7, st_rng_stream_name(ST_STREAM_WEIGHTS, "conv1.weight"), i);
        sum[0] += x;
        sum[1] += x * x;
        sum[2] += x * x * x;
        sum[3] += x * x * x * x;
        within += fabs(x) < 1;
    }
    assert_true(fabs(sum[0] / root) < 5);
    assert_true(fabs(sum[1] / COUNT - 1) < 5 * sqrt(2.0) / root);
    assert_true(fabs(sum[2] / COUNT) < 5 * sqrt(15.0) / root);
    assert_true(fabs(sum[3] / COUNT - 3) < 5 * sqrt(96.0) / root);
    assert_true(fabs((double)within / COUNT - 0.682689492) < 5 * 0.4655 / root);
}

static void test_rng_streams_differ(void **state) {
    (void)state;
    assert_true(st_rng_stream(ST_STREAM_ORDER, 1) != st_rng_stream(ST_STREAM_DROPOUT, 1));
    assert_true(st_rng_stream(ST_STREAM_ORDER, 1) != st_rng_stream(ST_STREAM_ORDER, 2));
    assert_true(st_rng_stream_name(ST_STREAM_WEIGHTS, "a") != st_rng_stream_name(ST_STREAM_WEIGHTS, "b"));
    int equal = 0;
    for (uint64_t i = 0; i < 64 * 1000; i++) {
        uint64_t a = st_rng_bits(1, 1, i / 64), b = st_rng_bits(1, 2, i / 64), c = st_rng_bits(2, 1, i / 64);
        equal += (a >> (i % 64) & 1) == (b >> (i % 64) & 1);
        equal += (a >> (i % 64) & 1) == (c >> (i % 64) & 1);
    }
    assert_true(abs(equal - 64000) < 1000);
}

static void test_rng_shuffle_is_a_fair_permutation(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    uint32_t order[COUNT];
    bool seen[COUNT] = {false};
    st_rng_shuffle(order, COUNT, 5, 6);
    for (int i = 0; i < COUNT; i++) {
        assert_true(order[i] < COUNT && !seen[order[i]]);
        seen[order[i]] = true;
    }
    int counts[6] = {0};
    for (uint64_t stream = 0; stream < 60000; stream++) {
        st_rng_shuffle(order, 3, 1, stream);
        counts[order[0] * 2 + (order[1] > order[2])]++;
    }
    for (int i = 0; i < 6; i++) {
        assert_true(abs(counts[i] - 10000) < 500);
    }
    st_rng_shuffle(order, 0, 1, 1);
    st_rng_shuffle(order, 1, 1, 1);
    assert_int_equal(order[0], 0);
}

/* ---- mathematics: against the system's long double, in units of the last place ---- */

static double ulps(double got, long double want) {
    if ((double)want == got) {
        return 0;
    }
    double at = fabs((double)want);
    double step = at < 0x1p-1022 ? 0x1p-1074 : nextafter(at, INFINITY) - at;
    return (double)(fabsl((long double)got - want) / step);
}

/* On machines whose long double is double, the comparison itself is off by half a unit. */
#define ONE_ULP (sizeof(long double) > sizeof(double) ? 1.0 : 1.6)

static void test_math_is_within_one_ulp(void **state) {
    (void)state;
    double worst[5] = {0};
    const uint64_t samples = LDBL_MANT_DIG > 64 ? 3000 : 300000; /* software computes the wider ones */
    for (uint64_t i = 0; i < samples; i++) {
        double u = st_rng_uniform(1, 1, i), v = st_rng_uniform(1, 2, i);
        double x[3] = {(u - 0.5) * 2, (u - 0.5) * 1460, (u - 0.5) * 40},
               p[3] = {u * 2, ldexp(1 + u, (int)(v * 2000) - 1000), 0.9 + u / 5};
        double angle[3] = {(u - 0.5) * 8, (u - 0.5) * 2e5, round((u - 0.5) * 60000) * 1.5707963267948966};
        for (int k = 0; k < 3; k++) {
            double base = k == 0 ? u + 0.001 : k == 1 ? 0.9 + u / 5 : exp((u - 0.5) * 20);
            double exponent = k == 1 ? (v - 0.5) * 6000 : (v - 0.5) * 60;
            double found[5] = {ulps(st_exp(x[k]), expl(x[k])), p[k] > 0 ? ulps(st_log(p[k]), logl(p[k])) : 0,
                               ulps(st_sin(angle[k]), sinl(angle[k])), ulps(st_cos(angle[k]), cosl(angle[k])),
                               ulps(st_pow(base, exponent), powl(base, exponent))};
            for (int f = 0; f < 5; f++) {
                worst[f] = found[f] > worst[f] ? found[f] : worst[f];
            }
        }
    }
    print_message("worst error in ULP: exp %.3f log %.3f sin %.3f cos %.3f pow %.3f\n", worst[0], worst[1], worst[2],
                  worst[3], worst[4]);
    for (int f = 0; f < 5; f++) {
        assert_true(worst[f] < ONE_ULP);
    }
}

static void test_math_keeps_the_edges(void **state) {
    (void)state;
    assert_true(st_exp(0) == 1 && st_exp(-INFINITY) == 0 && isinf(st_exp(INFINITY)) && isnan(st_exp(NAN)));
    assert_true(isinf(st_exp(709.9)) && st_exp(709.7) < INFINITY && st_exp(-745.0) == 0x1p-1074 && st_exp(-746) == 0);
    assert_true(st_log(1) == 0 && st_log(0) == -INFINITY && isnan(st_log(-1)) && isnan(st_log(NAN)));
    assert_true(isinf(st_log(INFINITY)) && ulps(st_log(0x1p-1074), logl(0x1p-1074L)) < ONE_ULP);
    assert_true(st_sin(0) == 0 && st_cos(0) == 1 && isnan(st_sin(INFINITY)) && isnan(st_cos(NAN)));
    assert_true(st_pow(2, 10) == 1024 && st_pow(3, 0) == 1 && st_pow(1, 1e300) == 1 && st_pow(10, 15) == 1e15);
    assert_true(st_pow(0, 2) == 0 && isinf(st_pow(0, -2)) && isinf(st_pow(2, 1e300)) && st_pow(2, -1e300) == 0);
    assert_true(st_pow(0.5, 1e300) == 0 && isinf(st_pow(0.5, -1e300)) && isnan(st_pow(-2, 2)) && isnan(st_pow(2, NAN)));
    assert_true(st_pow(2, -1074) == 0x1p-1074 && st_pow(2, 1024) == INFINITY && st_pow(INFINITY, -1) == 0);
    assert_true(st_sqrt(2) == 0x1.6a09e667f3bcdp+0);
}

/* The bits that every machine must give: a hash over results of all functions. */
static void test_math_gives_the_same_bits_everywhere(void **state) {
    (void)state;
    st_sha256 sha;
    char out[65];
    st_sha256_begin(&sha);
    for (uint64_t i = 0; i < 20000; i++) {
        double u = st_rng_uniform(9, 9, i) * 40 - 20;
        double results[6] = {st_exp(u), st_log(u + 20.5),    st_sin(u),
                             st_cos(u), st_pow(u + 20.5, u), st_rng_normal(9, 8, i)};
        for (size_t k = 0; k < ST_COUNT_OF(results); k++) {
            uint64_t bits;
            unsigned char little[8];
            memcpy(&bits, &results[k], sizeof bits);
            for (int b = 0; b < 8; b++) {
                little[b] = (unsigned char)(bits >> (8 * b));
            }
            st_sha256_add(&sha, little, sizeof little);
        }
    }
    st_sha256_end(&sha, out);
    assert_string_equal(out, "a4056471d1810c06285215a7414fb9667f1c9db414346ff5f0eb4ce35a50a438");
}

/* ---- threads ---- */

enum { MANY_THREADS = 8, ROUNDS = 300 };

typedef struct race {
    st_pool *pool;
    int threads;
    int cells[MANY_THREADS];
    atomic_int errors;
} race;

/* Each thread writes its cell, all meet, each reads all cells: a barrier that lets one through early is seen. */
static void run_race(void *argument, int thread) {
    race *all = argument;
    for (int round = 1; round <= ROUNDS; round++) {
        all->cells[thread] = round;
        st_pool_barrier(all->pool, thread);
        for (int t = 0; t < all->threads; t++) {
            if (all->cells[t] != round) {
                atomic_fetch_add(&all->errors, 1);
            }
        }
        st_pool_barrier(all->pool, thread);
    }
}

static void test_pool_barrier_holds_all_threads(void **state) {
    (void)state;
    static const int counts[] = {1, 2, 3, MANY_THREADS};
    for (size_t c = 0; c < ST_COUNT_OF(counts); c++) {
        race all = {.threads = counts[c]};
        assert_int_equal(st_pool_create(&all.pool, counts[c], NULL), STRATA_OK);
        assert_int_equal(st_pool_threads(all.pool), counts[c]);
        for (int run = 0; run < 5; run++) {
            st_pool_run(all.pool, run_race, &all);
        }
        assert_int_equal(atomic_load(&all.errors), 0);
        st_pool_free(all.pool);
    }
}

static void count_run(void *argument, int thread) {
    atomic_int *counts = argument;
    atomic_fetch_add(&counts[thread], 1);
}

static void test_pool_runs_every_thread_once_a_run(void **state) {
    (void)state;
    st_pool *pool = NULL;
    atomic_int counts[MANY_THREADS] = {0};
    assert_int_equal(st_pool_create(&pool, MANY_THREADS, NULL), STRATA_OK);
    for (int run = 0; run < 2000; run++) {
        st_pool_run(pool, count_run, counts);
        if (run % 500 == 0) {
            usleep(5000); /* long enough to fall asleep */
        }
    }
    for (int t = 0; t < MANY_THREADS; t++) {
        assert_int_equal(atomic_load(&counts[t]), 2000);
    }
    st_pool_free(pool);
    st_pool_free(NULL);
}

static void count_item(void *argument, int64_t item, int thread) {
    atomic_int *counts = argument;
    assert_true(thread >= 0);
    atomic_fetch_add(&counts[item], 1);
}

static void test_pool_for_gives_every_item_once(void **state) {
    (void)state;
    static atomic_int counts[5000];
    st_pool *pool = NULL;
    assert_int_equal(st_pool_create(&pool, 3, NULL), STRATA_OK);
    st_pool_for(pool, (int64_t)ST_COUNT_OF(counts), count_item, counts);
    st_pool_for(pool, 0, count_item, counts);
    for (size_t i = 0; i < ST_COUNT_OF(counts); i++) {
        assert_int_equal(atomic_load(&counts[i]), 1);
    }
    st_pool_free(pool);
}

static volatile double tiny = 0x1p-1060;

/* A call, so that the compiler cannot move the multiplication past a change of the mode. */
static __attribute__((noinline)) bool is_flushed(void) {
    return tiny * 0.5 == 0.0;
}

static void keep_subnormals(void *argument, int thread) {
    atomic_int *kept = argument;
    (void)thread;
    atomic_fetch_add(kept, !is_flushed());
}

static void test_pool_keeps_subnormals_and_restores_the_caller(void **state) {
    (void)state;
    st_pool *pool = NULL;
    atomic_int kept = 0;
    assert_int_equal(st_pool_create(&pool, 4, NULL), STRATA_OK);
#if defined(__x86_64__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040u); /* flush to zero, denormals are zero */
    bool flushed = is_flushed();
    st_pool_run(pool, keep_subnormals, &kept);
    bool still = is_flushed();
    __builtin_ia32_ldmxcsr(before);
    assert_true(flushed && still);
#else
    st_pool_run(pool, keep_subnormals, &kept);
#endif
    assert_int_equal(atomic_load(&kept), 4);
    st_pool_free(pool);
}

static void test_pool_refuses_bad_counts(void **state) {
    (void)state;
    st_pool *pool = NULL;
    strata_error err;
    assert_int_equal(st_pool_create(&pool, -1, &err), STRATA_INVALID);
    assert_int_equal(st_pool_create(&pool, 100000, &err), STRATA_INVALID);
    assert_string_equal(err.message, "threads must be from 0 to 1024, found 100000");
    assert_int_equal(st_pool_create(&pool, 0, &err), STRATA_OK);
    assert_int_equal(st_pool_threads(pool), st_cpu_count());
    st_pool_free(pool);
}

static void test_clock_moves_forward(void **state) {
    (void)state;
    double start = st_clock_s();
    usleep(2000);
    double passed = st_clock_s() - start;
    assert_true(passed >= 0.002 && passed < 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_cut_and_printable),
        cmocka_unit_test(test_error_gets_file_hint_and_context),
        cmocka_unit_test(test_status_has_a_name),
        cmocka_unit_test(test_size_arithmetic_sees_overflow),
        cmocka_unit_test(test_arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(test_arena_refuses_overflow),
        cmocka_unit_test(test_arena_makes_texts),
        cmocka_unit_test(test_text_grows_and_pads),
        cmocka_unit_test(test_text_ignores_the_locale),
        cmocka_unit_test(test_text_finds_the_nearest_name),
        cmocka_unit_test(test_text_knows_utf8),
        cmocka_unit_test(test_json_reads_all_kinds),
        cmocka_unit_test(test_json_refuses_what_is_not_json),
        cmocka_unit_test(test_json_bounds_depth_and_numbers),
        cmocka_unit_test(test_json_quote_is_read_back),
        cmocka_unit_test(test_file_is_written_and_read_whole),
        cmocka_unit_test(test_file_at_reads_only_what_is_there),
        cmocka_unit_test(test_writer_refuses_devices_folders_and_long_paths),
        cmocka_unit_test(test_writer_honours_the_umask),
        cmocka_unit_test(test_writer_cancel_leaves_the_old_file),
        cmocka_unit_test(test_files_survive_every_fault),
        cmocka_unit_test(test_allocations_that_fail_are_reported),
        cmocka_unit_test(test_sha256_gives_the_published_hashes),
        cmocka_unit_test(test_sha256_does_not_depend_on_the_pieces),
        cmocka_unit_test(test_rng_is_philox),
        cmocka_unit_test(test_rng_uniform_looks_uniform),
        cmocka_unit_test(test_rng_normal_has_its_moments),
        cmocka_unit_test(test_rng_streams_differ),
        cmocka_unit_test(test_rng_shuffle_is_a_fair_permutation),
        cmocka_unit_test(test_math_is_within_one_ulp),
        cmocka_unit_test(test_math_keeps_the_edges),
        cmocka_unit_test(test_math_gives_the_same_bits_everywhere),
        cmocka_unit_test(test_pool_barrier_holds_all_threads),
        cmocka_unit_test(test_pool_runs_every_thread_once_a_run),
        cmocka_unit_test(test_pool_for_gives_every_item_once),
        cmocka_unit_test(test_pool_keeps_subnormals_and_restores_the_caller),
        cmocka_unit_test(test_pool_refuses_bad_counts),
        cmocka_unit_test(test_clock_moves_forward),
    };
    return cmocka_run_group_tests_name("base", tests, make_folder, remove_folder);
}
