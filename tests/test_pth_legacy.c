/* formats: PyTorch's legacy form, what is refused in it, and damage to both forms at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "pth_case.h"

static char folder[64], path[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-pth-legacy-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/t.pth", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

#define MAGIC                                                                                                          \
    "\x80\2\x8a\nl\xfc\x9c"                                                                                            \
    "F\xf9 j\xa8P\x19."
#define PROTOCOL "\x80\2M\xe9\3."
#define MACHINE "\x80\2}U\x0dlittle_endian\x88s."
#define START MAGIC PROTOCOL MACHINE
#define TWO STORAGE(FLOATS, "0", "K\2")
#define OBJECT "}" TEXT("\x01", "w") TENSOR(TWO, "K\0K\2\x85K\1\x85") "s."
#define KEYS "]" TEXT("\x01", "0") "a."
#define COUNT "\2\0\0\0\0\0\0\0"
#define VALUES "\0\0\x80\x3f\0\0\0\x40"

static void refused_literal(const char *bytes, size_t length, strata_status status, const char *message) {
    put_bytes(path, bytes, length);
    refused_file(path, status, message);
}

#define REFUSED(literal, status, message) refused_literal(literal, sizeof(literal) - 1, status, message)
#define FORMAT(literal, message) REFUSED(literal, STRATA_FORMAT, message)
#define UNSUPPORTED(literal, message) REFUSED(literal, STRATA_UNSUPPORTED, message)

static void taken(const void *bytes, size_t length, size_t count) {
    double values[2];
    put_bytes(path, bytes, length);
    st_weights weights = opened(path);
    assert_string_equal(weights.format->name, "PyTorch legacy");
    assert_int_equal(weights.tensor_count, count);
    assert_int_equal(st_weights_read_doubles(&weights, st_weights_find(&weights, "w"), 0, 2, values, NULL), STRATA_OK);
    assert_true(values[0] == 1 && values[1] == 2);
    st_weights_close(&weights);
}

/* As Python 2 and PyTorch 0.1 wrote a tensor, in the storage 'aa' of three values or a part of it. */
#define PART(part, sides)                                                                                              \
    "ctorch._utils\n_rebuild_tensor\n((U\x07storage" FLOATS "U\2aaU\6"                                                 \
    "cuda:1K\3" part "tQ" sides "K\1\x85tR"

static void test_legacy_takes_what_is_well_made(void **state) {
    (void)state;
    static const char plain[] = START OBJECT KEYS COUNT VALUES;
    /* Python 2: short strings; a storage that is a part of another; one storage twice. */
    static const char old[] = START "}(U\1w" PART("(U\1vK\1K\2t", "K\0K\2\x85") "U\1v" PART(
        "N", "K\0K\1\x85") "u."
                           "]U\2aaa.\3\0\0\0\0\0\0\0\0\0\x40\x40" VALUES;
    taken(plain, sizeof plain - 1, 1);
    taken(old, sizeof old - 1, 2);
}

/* Where the value's pickle is longer than the first window. */
static void test_legacy_reads_long_pickles(void **state) {
    (void)state;
    enum { LONG = 200000 };
    static const char tail[] = "s" TEXT("\x01", "w") TENSOR(TWO, "K\0K\2\x85K\1\x85") "s." KEYS COUNT VALUES;
    static const char start[] = START "}" TEXT("\x01", "n") "X";
    unsigned char *bytes = calloc(1, sizeof start + sizeof tail + LONG + 8);
    assert_non_null(bytes);
    size_t at = sizeof start - 1;
    memcpy(bytes, start, at);
    st_stored_put(bytes + at, 4, LONG);
    memset(bytes + at + 4, 'a', LONG);
    memcpy(bytes + at + 4 + LONG, tail, sizeof tail - 1);
    taken(bytes, at + 4 + LONG + sizeof tail - 1, 1);
    free(bytes);
}

static void test_legacy_checks_its_start(void **state) {
    (void)state;
    static char tar[1024];
    UNSUPPORTED("\x80\2}.", "a pickle, but not PyTorch's: its magic number is not there");
    UNSUPPORTED("\x80\2\x8a\nl\xfc\x9c"
                "F\xf9 j\xa8P\x18." PROTOCOL,
                "a pickle, but not PyTorch's: its magic number is not there");
    UNSUPPORTED("\x80\2cos\nsystem\n)R.", "a pickle, but not PyTorch's: its magic number is not there");
    UNSUPPORTED(MAGIC "\x80\2M\xea\3." MACHINE OBJECT, "the legacy form's protocol is 1002, expected 1001");
    FORMAT(MAGIC "}." MACHINE OBJECT, "the legacy form's protocol is a dict, expected a number");
    UNSUPPORTED(MAGIC PROTOCOL "}U\x0dlittle_endian\x89s." OBJECT,
                "it was written by a machine that is not little-endian");
    UNSUPPORTED(MAGIC PROTOCOL "N." OBJECT, "it was written by a machine that is not little-endian");
    FORMAT(MAGIC, "byte 15: the pickle is cut: no STOP at its end");
    UNSUPPORTED(START "cos\nsystem\n)R.",
                "byte 42: it refers to 'os.system': nothing is run here, only tensors, dicts, lists, numbers and texts "
                "are read");
    UNSUPPORTED(START OBJECT "cos\nsystem\n)R.",
                "byte 174: it refers to 'os.system': nothing is run here, only tensors, dicts, lists, numbers and "
                "texts are read");
    memcpy(tar, "sys_info", 9);
    memcpy(tar + 257, "ustar", 6);
    refused_literal(tar, sizeof tar, STRATA_UNSUPPORTED, "the tar form of PyTorch before 0.1.10 is not read");
}

static void test_legacy_checks_its_storages(void **state) {
    (void)state;
    FORMAT(START OBJECT "}." COUNT VALUES, "the keys of the storages are a dict, expected a list");
    FORMAT(START OBJECT "]K\1a." COUNT VALUES, "the key of a storage is a number");
    FORMAT(START OBJECT "]" TEXT("\x01", "1") "a." COUNT VALUES, "storage '1' is listed, but nothing refers to it");
    FORMAT(START OBJECT "](" TEXT("\x01", "0") TEXT("\x01", "0") "e." COUNT VALUES COUNT VALUES,
           "storage '0' is listed twice");
    FORMAT(START OBJECT "].", "storage '0' is not in the list of storages");
    FORMAT(START OBJECT KEYS "\3\0\0\0\0\0\0\0" VALUES, "byte 183: storage '0' says 3 values, the pickle says 2");
    FORMAT(START OBJECT KEYS "\xff\xff\xff\xff\xff\xff\xff\xff" VALUES,
           "byte 183: storage '0' says 18446744073709551615 values, the pickle says 2");
    FORMAT(START OBJECT KEYS "\2\0\0", "cut: storage '0' would begin at byte 183");
    FORMAT(START OBJECT KEYS COUNT "1234567", "cut: storage '0' has 2 values of 4 bytes, 7 bytes are there");
    FORMAT(START OBJECT KEYS COUNT VALUES "x", "1 bytes behind the last storage");
    FORMAT(START "}(" TEXT("\x01", "w") TENSOR(TWO, "K\0))") TEXT("\x01", "v")
               TENSOR(STORAGE("ctorch\nHalfStorage\n", "0", "K\2"), "K\0))") "u." KEYS COUNT VALUES,
           "storage '0' is 2 values of F32 and 2 of F16");
    FORMAT(START "}(" TEXT("\x01", "w") TENSOR(TWO, "K\0))") TEXT("\x01", "v")
               TENSOR(STORAGE(FLOATS, "0", "K\3"), "K\0))") "u." KEYS COUNT VALUES,
           "storage '0' is 2 values of F32 and 3 of F32");
    FORMAT(START "}" TEXT("\x01", "w") TENSOR(STORAGE(FLOATS, "0", "\x8a\x08\0\0\0\0\0\0\0\x10"),
                                              "K\0))") "s." KEYS "\0\0\0\0\0\0\0\x10" VALUES,
           "cut: storage '0' has 1152921504606846976 values of 4 bytes, 8 bytes are there");
}

/* ---- damage ---- */

static void damage(const char *from) {
    static const unsigned char flips[] = {0x01, 0x80, 0xff};
    file_bytes good = read_bytes(from);
    put_bytes(path, good.bytes, good.length);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    setbuf(file, NULL);
    for (size_t at = 0; at < good.length; at++) {
        for (size_t i = 0; i <= sizeof flips; i++) { /* the last puts it back */
            int value = good.bytes[at] ^ (i < sizeof flips ? flips[i] : 0);
            fseek(file, (long)at, SEEK_SET);
            assert_int_equal(fputc(value, file), value);
            if (i < sizeof flips) {
                read_whatever(path);
            }
        }
    }
    fclose(file);
    free(good.bytes);
}

static void test_damage_at_every_byte_never_harms(void **state) {
    (void)state;
    damage("tests/golden/pth/module.legacy");
    damage("tests/golden/pth/views.legacy");
    damage("tests/golden/pth/tensor.zip");
    damage("tests/golden/pth/parameters.zip");
}

static void test_legacy_cut_anywhere_is_refused(void **state) {
    (void)state;
    file_bytes good = read_bytes("tests/golden/pth/checkpoint.legacy");
    strata_error err;
    st_weights weights;
    for (size_t length = 0; length < good.length; length++) {
        put_bytes(path, good.bytes, length);
        assert_int_not_equal(st_weights_open(&weights, path, &err), STRATA_OK);
    }
    free(good.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_legacy_takes_what_is_well_made),   cmocka_unit_test(test_legacy_reads_long_pickles),
        cmocka_unit_test(test_legacy_checks_its_start),          cmocka_unit_test(test_legacy_checks_its_storages),
        cmocka_unit_test(test_damage_at_every_byte_never_harms), cmocka_unit_test(test_legacy_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests_name("pth_legacy", tests, make_folder, remove_folder);
}
