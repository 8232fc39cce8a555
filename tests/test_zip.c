/* formats: zip archives, where they lie. PyTorch's own small file is changed in one place after another, each change
 * with the words that refuse it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "pth_case.h"

static char folder[64], path[128];
static file_bytes
    good; /* of tests/golden/pth/types.zip: members archive/data.pkl, archive/data/0 to 11, archive/version */

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-zip-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/t.pth", folder);
    good = read_bytes("tests/golden/pth/types.zip");
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    free(good.bytes);
    unlink(path);
    return rmdir(folder);
}

enum {
    HEADER = 0x04034b50,
    ENTRY = 0x02014b50,
    DESCRIPTOR = 0x08074b50,
    END = 0x06054b50,
    END64 = 0x06064b50,
    LOCATOR = 0x07064b50
};

/* Where the record of this sign and number is. */
static size_t record(uint32_t sign, int number) {
    for (size_t at = 0; at + 4 <= good.length; at++) {
        if (st_stored_get(good.bytes + at, 4) == sign && number-- == 0) {
            return at;
        }
    }
    fail_msg("no record %08x", (unsigned)sign);
    return 0;
}

typedef struct change {
    size_t at, size;
    uint64_t value;
} change;

static void change_and_put(const change *changes, size_t count) {
    unsigned char *bytes = malloc(good.length);
    assert_non_null(bytes);
    memcpy(bytes, good.bytes, good.length);
    for (size_t i = 0; i < count; i++) {
        st_stored_put(bytes + changes[i].at, changes[i].size, changes[i].value);
    }
    put_bytes(path, bytes, good.length);
    free(bytes);
}

#define CHANGED(status, message, ...)                                                                                  \
    do {                                                                                                               \
        const change changes[] = {__VA_ARGS__};                                                                        \
        change_and_put(changes, sizeof changes / sizeof changes[0]);                                                   \
        refused_file(path, status, message);                                                                           \
    } while (0)

static void test_zip_takes_it_unchanged(void **state) {
    (void)state;
    change_and_put(NULL, 0);
    st_weights weights = opened(path);
    assert_int_equal(weights.tensor_count, 12);
    st_weights_close(&weights);
}

static void test_zip_compares_directory_and_headers(void **state) {
    (void)state;
    size_t header = record(HEADER, 1), entry = record(ENTRY, 1), follows = record(DESCRIPTOR, 1);
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': its header at byte 1143 and the directory differ (name)",
            {header + 30 + 13, 1, '1'});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': its header at byte 1143 and the directory differ (name)",
            {header + 26, 2, 13});
    CHANGED(STRATA_FORMAT,
            "member 'archive/data/0': its header at byte 1143 and the directory differ (flags or method)",
            {header + 6, 2, 0});
    CHANGED(STRATA_FORMAT,
            "member 'archive/data/0': its header at byte 1143 and the directory differ (flags or method)",
            {header + 8, 2, 8});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': its header at byte 1143 and the directory differ (checksum)",
            {header + 14, 4, 1});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': its header at byte 1143 and the directory differ (size)",
            {header + 18, 4, 25});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': its header at byte 1143 and the directory differ (size)",
            {header + 22, 4, 25});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': its header at byte 1143 and the directory differ (zip64 field)",
            {header + 30 + 14, 2, 1}, {header + 18, 4, 0xFFFFFFFF}, {header + 30 + 14 + 2, 2, 4});
    CHANGED(STRATA_FORMAT,
            "member 'archive/data/0': its header at byte 1143 and the directory differ (no header is there)",
            {header, 4, 0});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': the sizes behind its bytes and the directory differ",
            {follows + 8, 4, 25});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': the sizes behind its bytes and the directory differ",
            {follows + 4, 4, 25});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0': the sizes behind its bytes and the directory differ",
            {entry + 16, 4, 25});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0' is stored, but its sizes are 24 and 25", {entry + 24, 4, 25});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0' is stored, but its sizes are 25 and 24", {entry + 20, 4, 25});
}

static void test_zip_keeps_members_apart(void **state) {
    (void)state;
    size_t entry = record(ENTRY, 1), second = record(ENTRY, 2);
    uint64_t header = record(HEADER, 1);
    CHANGED(STRATA_FORMAT, "member 'archive/data/0' would have 100 bytes, 40 are there", {entry + 20, 4, 100},
            {entry + 24, 4, 100});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0' would have 4294967294 bytes, 40 are there",
            {entry + 20, 4, 0xFFFFFFFE}, {entry + 24, 4, 0xFFFFFFFE});
    CHANGED(STRATA_FORMAT, "members 'archive/data/0' and 'archive/data/1' overlap", {second + 42, 4, header});
    CHANGED(STRATA_FORMAT, "member 'archive/data.pkl' would have 1063 bytes, 936 are there", {entry + 42, 4, 1000});
    CHANGED(STRATA_FORMAT, "member 'archive/data/0' would begin at byte 4000000000, the next thing begins at 2706",
            {entry + 42, 4, 4000000000u});
}

static void test_zip_takes_plain_names_once(void **state) {
    (void)state;
    size_t header = record(HEADER, 13) + 30, entry = record(ENTRY, 13) + 46; /* archive/version */
    CHANGED(STRATA_FORMAT, "byte 3490: member '../hive/version' would leave the archive's folder",
            {header, 3, 0x2f2e2e}, {entry, 3, 0x2f2e2e});
    CHANGED(STRATA_FORMAT, "byte 3490: member 'archive/vers/..' would leave the archive's folder",
            {header + 12, 3, 0x2e2e2f}, {entry + 12, 3, 0x2e2e2f});
    CHANGED(STRATA_FORMAT, "byte 3490: member '/rchive/version' would leave the archive's folder", {header, 1, '/'},
            {entry, 1, '/'});
    CHANGED(STRATA_FORMAT, "byte 3490: member 'archive\\version' would leave the archive's folder",
            {header + 7, 1, '\\'}, {entry + 7, 1, '\\'});
    CHANGED(STRATA_FORMAT, "byte 3490: member 'c:chive/version' would leave the archive's folder", {header, 2, 0x3a63},
            {entry, 2, 0x3a63});
    CHANGED(STRATA_FORMAT, "byte 3490: the name of a member is no text of at most 1024 bytes", {header, 1, 0},
            {entry, 1, 0});
    CHANGED(STRATA_FORMAT, "byte 3490: the name of a member is no text of at most 1024 bytes", {header, 1, 0xff},
            {entry, 1, 0xff});
    header = record(HEADER, 1) + 30 + 13, entry = record(ENTRY, 1) + 46 + 13;
    CHANGED(STRATA_FORMAT, "member 'archive/data/1' is there twice", {header, 1, '1'}, {entry, 1, '1'});
}

static void test_zip_unpacks_nothing(void **state) {
    (void)state;
    size_t header = record(HEADER, 1), entry = record(ENTRY, 1);
    CHANGED(STRATA_UNSUPPORTED,
            "member 'archive/data/0' is compressed: PyTorch stores members as they are, and nothing is unpacked here",
            {header + 8, 2, 8}, {entry + 10, 2, 8});
    CHANGED(STRATA_UNSUPPORTED,
            "member 'archive/data/0' is encrypted: PyTorch stores members as they are, and nothing is unpacked here",
            {header + 6, 2, 0x0809}, {entry + 8, 2, 0x0809});
    header = record(HEADER, 0), entry = record(ENTRY, 0);
    CHANGED(STRATA_UNSUPPORTED,
            "member 'archive/data.pkl' is compressed: PyTorch stores members as they are, and nothing is unpacked here",
            {header + 8, 2, 8}, {entry + 10, 2, 8});
}

static void test_zip_checks_checksums(void **state) {
    (void)state;
    CHANGED(STRATA_FORMAT, "member 'archive/data/0' is damaged: its checksum is e5650e4b, the directory says 64406b6c",
            {1216, 1, 1});
    CHANGED(STRATA_FORMAT,
            "member 'archive/data.pkl' is damaged: its checksum is b990342e, the directory says 7fe4f97f", {64, 1, 1});
}

static void test_zip_checks_the_end_records(void **state) {
    (void)state;
    size_t end = record(END, 0), wide = record(END64, 0), locator = record(LOCATOR, 0);
    uint64_t length = st_stored_get(good.bytes + end + 12, 4), start = st_stored_get(good.bytes + end + 16, 4);
    CHANGED(STRATA_FORMAT, "the end of the zip archive is missing", {end, 4, 0});
    CHANGED(STRATA_FORMAT, "the end of the zip archive is missing", {end + 20, 2, 1}); /* a comment that is not there */
    CHANGED(STRATA_UNSUPPORTED, "byte 3627: an archive in several parts is not read", {end + 4, 2, 1});
    CHANGED(STRATA_UNSUPPORTED, "byte 3627: an archive in several parts is not read", {end + 10, 2, 13});
    CHANGED(STRATA_FORMAT, "byte 3551: the zip64 end record and the end record differ", {end + 8, 4, 0xd000d});
    CHANGED(STRATA_FORMAT, "byte 3551: the zip64 end record and the end record differ", {end + 12, 4, length - 1});
    CHANGED(STRATA_FORMAT, "byte 3551: the zip64 end record and the end record differ", {end + 16, 4, start - 1});
    CHANGED(STRATA_FORMAT, "byte 3551: the zip64 end record and the end record differ", {wide + 40, 8, UINT64_MAX},
            {end + 12, 4, 0xFFFFFFFF});
    CHANGED(STRATA_FORMAT, "byte 3551: the zip64 end record and the end record differ", {wide + 48, 8, UINT64_MAX},
            {end + 16, 4, 0xFFFFFFFF});
    CHANGED(STRATA_FORMAT, "byte 3627: the zip64 end record is missing", {end + 16, 4, 0xFFFFFFFF}, {locator, 4, 0});
    CHANGED(STRATA_FORMAT, "byte 3607: the zip64 end record would be at 18446744073709551615",
            {locator + 8, 8, UINT64_MAX});
    CHANGED(STRATA_FORMAT, "byte 3627: the directory would have 2147483648 members in 845 bytes from 2706 on",
            {wide + 24, 8, 1u << 31}, {wide + 32, 8, 1u << 31}, {end + 8, 4, 0xFFFFFFFF});
    CHANGED(STRATA_FORMAT, "byte 3551: found no entry of the zip directory", {wide + 24, 8, 15}, {wide + 32, 8, 15},
            {end + 8, 4, 0x000f000f});
    CHANGED(STRATA_FORMAT, "byte 3490: 61 bytes in the zip directory behind its last entry", {wide + 24, 8, 13},
            {wide + 32, 8, 13}, {end + 8, 4, 0x000d000d});
    CHANGED(STRATA_FORMAT, "byte 2706: found no entry of the zip directory", {start, 4, 0});
    CHANGED(STRATA_FORMAT, "byte 3490: an entry reaches out of the directory", {record(ENTRY, 13) + 30, 2, 1});
}

/* What Python's zipfile and Info-ZIP make of the same members: no sizes behind the bytes, a comment, other members. */
static void test_zip_takes_what_others_wrote(void **state) {
    (void)state;
    const char script[] = "import sys, zipfile, warnings\n"
                          "z = zipfile.ZipFile(sys.argv[1])\n"
                          "o = zipfile.ZipFile(sys.argv[2], 'w')\n"
                          "o.comment = b'PK\\5\\6 made again'\n"
                          "o.writestr('types/', b'')\n"
                          "o.writestr('README', b'by hand')\n"
                          "for i in reversed(z.infolist()):\n"
                          "    with o.open(i.filename, 'w', force_zip64='data/3' in i.filename) as f:\n"
                          "        f.write(z.read(i))\n";
    char command[1024];
    snprintf(command, sizeof command, "python3 -c \"%s\" tests/golden/pth/types.zip %s", script, path);
    if (system("command -v python3 > /dev/null") != 0) {
        print_message("skip: no python3\n");
        skip();
    }
    assert_int_equal(system(command), 0);
    st_weights weights = opened(path);
    assert_int_equal(weights.tensor_count, 12);
    assert_string_equal(weights.tensors[0].name, "float32");
    st_weights_close(&weights);
}

static void test_zip_cut_anywhere_is_refused(void **state) {
    (void)state;
    strata_error err;
    st_weights weights;
    for (size_t length = 0; length < good.length; length++) {
        put_bytes(path, good.bytes, length);
        assert_int_not_equal(st_weights_open(&weights, path, &err), STRATA_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zip_takes_it_unchanged),      cmocka_unit_test(test_zip_compares_directory_and_headers),
        cmocka_unit_test(test_zip_keeps_members_apart),     cmocka_unit_test(test_zip_takes_plain_names_once),
        cmocka_unit_test(test_zip_unpacks_nothing),         cmocka_unit_test(test_zip_checks_checksums),
        cmocka_unit_test(test_zip_checks_the_end_records),  cmocka_unit_test(test_zip_takes_what_others_wrote),
        cmocka_unit_test(test_zip_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests_name("zip", tests, make_folder, remove_folder);
}
