/* data: IDX files good and bad, data sets and their parts, single pictures, batches read ahead. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
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

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-data-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int empty_folder(void **state) {
    (void)state;
    for (int i = 0; i < made_count; i++) {
        unlink(made[i]);
    }
    made_count = 0;
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static const char *in_folder(const char *name) {
    static char path[8][128];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void note_made(const char *path) {
    for (int i = 0; i < made_count; i++) {
        if (strcmp(made[i], path) == 0) {
            return;
        }
    }
    assert_true(made_count < 32);
    snprintf(made[made_count++], sizeof made[0], "%s", path);
}

static void put_file(const char *name, const void *bytes, size_t length) {
    const char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    note_made(path);
}

/* Packed when the name ends in .gz; `mode` "ab" adds a member. */
static void put_packed(const char *name, const void *bytes, size_t length, const char *mode) {
    const char *path = in_folder(name);
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    if (length > 0) {
        assert_int_equal(gzwrite(file, bytes, (unsigned)length), length);
    }
    assert_int_equal(gzclose(file), Z_OK);
    note_made(path);
}

static void put_content(const char *name, const void *bytes, size_t length) {
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

static void put_u32(content *to, uint32_t value) {
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
static const content *pictures_of(size_t part, uint32_t count, uint32_t height, uint32_t width, uint32_t channels) {
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

static const content *labels_of(size_t part, uint32_t count, size_t classes) {
    static content all;
    all.length = 0;
    put_u32(&all, 0x0801);
    put_u32(&all, count);
    for (size_t i = 0; i < count; i++) {
        all.bytes[all.length++] = label(part, i, classes);
    }
    return &all;
}

static void put_all(const content *all, const char *name) {
    put_content(name, all->bytes, all->length);
}

enum { TRAIN_COUNT = 300, TEST_COUNT = 70, SIDE = 5, CLASSES = 7 };

/* The usual four files; `ending` such as "-idx%d-ubyte.gz". */
static void put_usual(const char *ending, uint32_t channels) {
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

static strata_dataset *open_folder(const strata_data_options *options) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    if (strata_dataset_open(&data, folder, options, &err) != STRATA_OK) {
        fail_msg("%s: %s", err.file, err.message);
    }
    return data;
}

static void check_part(const strata_dataset *data, strata_part part, size_t number, size_t count) {
    uint8_t pixels[4 * SIDE * (SIDE + 1)];
    size_t bytes = st_data_picture_bytes(data);
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

/* ---- good files ---- */

static void test_idx_reads_every_form(void **state) {
    (void)state;
    static const char *const endings[] = {"-idx%d-ubyte", "-idx%d-ubyte.gz", ".idx%d-ubyte", ".idx%d-ubyte.gz"};
    for (size_t e = 0; e < ST_COUNT_OF(endings); e++) {
        for (uint32_t channels = 0; channels <= 3; channels += 3) {
            put_usual(endings[e], channels);
            strata_dataset *data = open_folder(NULL);
            strata_shape shape = strata_dataset_shape(data);
            assert_true(shape.height == SIDE && shape.width == SIDE + 1 && shape.channels == (channels > 0 ? 3 : 1));
            assert_string_equal(strata_dataset_kind(data), e % 2 == 1 ? "IDX, gzip" : "IDX");
            assert_string_equal(strata_dataset_name(data), folder + strlen("/tmp/"));
            assert_int_equal(strata_dataset_class_count(data), CLASSES);
            assert_string_equal(strata_dataset_class(data, 6), "6");
            assert_string_equal(strata_dataset_class(data, 7), "");
            assert_false(strata_dataset_was_held_out(data));
            assert_int_equal(strata_dataset_count(data, STRATA_VAL), 0);
            check_part(data, STRATA_TRAIN, 0, TRAIN_COUNT);
            check_part(data, STRATA_TEST, 1, TEST_COUNT);
            strata_dataset_free(data);
            empty_folder(NULL);
        }
    }
}

static void test_idx_counts_classes_of_each_part(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte", 0);
    strata_dataset *data = open_folder(NULL);
    size_t all = 0;
    for (size_t c = 0; c < CLASSES; c++) {
        size_t expected = 0;
        for (size_t i = 0; i < TRAIN_COUNT; i++) {
            expected += label(0, i, CLASSES) == c;
        }
        assert_int_equal(strata_dataset_class_size(data, STRATA_TRAIN, c), expected);
        all += strata_dataset_class_size(data, STRATA_TEST, c);
    }
    assert_int_equal(all, TEST_COUNT);
    assert_int_equal(strata_dataset_class_size(data, STRATA_VAL, 0), 0);
    assert_int_equal(strata_dataset_class_size(data, STRATA_TRAIN, CLASSES), 0);
    int found = 0;
    uint8_t pixels[SIDE * (SIDE + 1)];
    strata_error err;
    assert_int_equal(strata_dataset_read(data, STRATA_TEST, TEST_COUNT, pixels, &found, &err), STRATA_INVALID);
    assert_int_equal(strata_dataset_read(data, STRATA_VAL, 0, pixels, &found, &err), STRATA_INVALID);
    strata_dataset_free(data);
    strata_dataset_free(NULL);
}

static void test_idx_takes_one_part_alone(void **state) {
    (void)state;
    strata_dataset *data = NULL;
    put_all(pictures_of(1, TEST_COUNT, SIDE, SIDE + 1, 0), "t10k-images-idx3-ubyte");
    put_all(labels_of(1, TEST_COUNT, CLASSES), "t10k-labels-idx1-ubyte.gz");
    data = open_folder(&(strata_data_options){.hold_out = 0.1});
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 0);
    assert_int_equal(strata_dataset_class_count(data), CLASSES);
    assert_false(strata_dataset_was_held_out(data));
    check_part(data, STRATA_TEST, 1, TEST_COUNT);
    double mean[4], deviation[4];
    assert_int_equal(strata_dataset_statistics(data, mean, deviation, NULL), STRATA_MISSING);
    strata_dataset_free(data);
    put_all(pictures_of(0, TRAIN_COUNT, SIDE, SIDE + 1, 0), "train-images-idx3-ubyte");
    put_all(labels_of(0, TRAIN_COUNT, CLASSES), "train-labels-idx1-ubyte");
    static const char *const files[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    for (size_t i = 0; i < ST_COUNT_OF(files); i++) {
        assert_int_equal(strata_dataset_open(&data, in_folder(files[i]), NULL, NULL), STRATA_OK);
        assert_int_equal(strata_dataset_count(data, STRATA_TEST), 0);
        check_part(data, STRATA_TRAIN, 0, TRAIN_COUNT);
        strata_dataset_free(data);
    }
}

static void test_idx_takes_gzip_in_several_members(void **state) {
    (void)state;
    const content *all = labels_of(0, TRAIN_COUNT, CLASSES);
    put_all(pictures_of(0, TRAIN_COUNT, SIDE, SIDE + 1, 0), "train-images-idx3-ubyte");
    put_packed("train-labels-idx1-ubyte.gz", all->bytes, 5, "wb");
    put_packed("train-labels-idx1-ubyte.gz", all->bytes + 5, 0, "ab");
    put_packed("train-labels-idx1-ubyte.gz", all->bytes + 5, all->length - 5, "ab");
    strata_dataset *data = open_folder(NULL);
    check_part(data, STRATA_TRAIN, 0, TRAIN_COUNT);
    strata_dataset_free(data);
}

/* ---- bad files: one clear message each ---- */

static void refused(strata_status status, const char *file, const char *message) {
    strata_dataset *data = (strata_dataset *)folder;
    strata_error err = {0};
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), status);
    assert_null(data);
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, file[0] != '\0' ? in_folder(file) : folder);
    empty_folder(NULL);
}

/* A good training part, of which the caller then breaks one file. */
static void put_train(void) {
    put_all(pictures_of(0, TRAIN_COUNT, SIDE, SIDE + 1, 0), "train-images-idx3-ubyte");
    put_all(labels_of(0, TRAIN_COUNT, CLASSES), "train-labels-idx1-ubyte");
}

static void test_idx_refuses_bad_heads(void **state) {
    (void)state;
    static const char pictures[] = "train-images-idx3-ubyte", labels[] = "train-labels-idx1-ubyte";
    put_train();
    put_file(pictures, "\0\0\x08\x01\0\0\0\x01x", 9);
    refused(STRATA_FORMAT, pictures, "byte 0: found magic 0x00000801, expected 0x00000803 or 0x00000804 (pictures)");
    put_train();
    put_file(labels, "\0\0\x08\x03\0\0\0\x01x", 9);
    refused(STRATA_FORMAT, labels, "byte 0: found magic 0x00000803, expected 0x00000801 (labels)");
    put_train();
    put_file(pictures, "\x89PNG\r\n\x1a\n", 8);
    refused(STRATA_FORMAT, pictures, "byte 0: found magic 0x89504e47, expected 0x00000803 or 0x00000804 (pictures)");
    put_train();
    put_file(pictures, "\0\0\x0d\x03\0\0\0\x01", 8);
    refused(STRATA_UNSUPPORTED, pictures, "byte 2: found values of type 0x0d, expected 0x08 (bytes)");
    put_train();
    put_file(pictures, "\0\0\x08", 3);
    refused(STRATA_FORMAT, pictures, "holds 3 bytes, too few for IDX");
    put_train();
    put_file(pictures, "", 0);
    refused(STRATA_FORMAT, pictures, "holds 0 bytes, too few for IDX");
    put_train();
    put_file(pictures, "\0\0\x08\x03\0\0\0\x01\0\0\0\x01", 12);
    refused(STRATA_FORMAT, pictures, "holds 12 bytes, its head alone has 16");
    put_train();
    put_file(pictures, "\0\0\x08\x03\0\0\0\x01\0\0\0\0\0\0\0\x01", 16);
    refused(STRATA_FORMAT, pictures, "byte 8: found a side of 0, expected 1 to 16384");
    put_train();
    put_file(pictures, "\0\0\x08\x03\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff", 16);
    refused(STRATA_FORMAT, pictures, "byte 12: found a side of 4294967295, expected 1 to 16384");
    put_train();
    put_file(pictures, "\0\0\x08\x03\0\0\0\0\0\0\0\x01\0\0\0\x01", 16);
    refused(STRATA_FORMAT, pictures, "byte 4: found a side of 0, expected 1 to 4294967295");
    put_train();
    put_file(pictures, "\0\0\x08\x04\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x05", 20);
    refused(STRATA_FORMAT, pictures, "byte 16: found a side of 5, expected 1 to 4");
}

static void test_idx_refuses_lying_sizes(void **state) {
    (void)state;
    static const char pictures[] = "train-images-idx3-ubyte";
    content all;
    put_train();
    all = *pictures_of(0, TRAIN_COUNT, SIDE, SIDE + 1, 0);
    put_file(pictures, all.bytes, all.length - 1);
    refused(STRATA_FORMAT, pictures, "holds 9015 bytes, its header promises 9016 (300x5x6)");
    put_train();
    all.bytes[all.length++] = 'x';
    put_file(pictures, all.bytes, all.length);
    refused(STRATA_FORMAT, pictures, "holds 9017 bytes, its header promises 9016 (300x5x6)");
    put_train();
    memset(all.bytes + 4, 0xff, 4);
    put_file(pictures, all.bytes, all.length);
    refused(STRATA_FORMAT, pictures, "holds 9017 bytes, its header promises 128849018866 (4294967295x5x6)");
    put_train();
    all = *labels_of(0, TRAIN_COUNT - 1, CLASSES);
    put_file("train-labels-idx1-ubyte", all.bytes, all.length);
    char message[200];
    snprintf(message, sizeof message, "byte 4: found 299 labels, expected 300, one a picture of %s",
             in_folder(pictures));
    refused(STRATA_FORMAT, "train-labels-idx1-ubyte", message);
}

static void test_idx_refuses_bad_gzip(void **state) {
    (void)state;
    static const char packed[] = "train-images-idx3-ubyte.gz";
    content all = *pictures_of(0, TRAIN_COUNT, SIDE, SIDE + 1, 0);
    put_all(labels_of(0, TRAIN_COUNT, CLASSES), "train-labels-idx1-ubyte");
    put_packed(packed, all.bytes, all.length - 1, "wb");
    refused(STRATA_FORMAT, packed, "unpacked it holds 9015 bytes, its header promises 9016");
    put_all(labels_of(0, TRAIN_COUNT, CLASSES), "train-labels-idx1-ubyte");
    put_packed(packed, all.bytes, all.length, "wb");
    put_packed(packed, "x", 1, "ab");
    refused(STRATA_FORMAT, packed, "unpacked it holds more than the 9016 bytes that its header promises");
    put_all(labels_of(0, 0xffffffff % TRAIN_COUNT + 1, CLASSES), "train-labels-idx1-ubyte");
    put_packed(packed, "\0\0\x08\x03\0\0\1\0\0\0\x40\0\0\0\x40\0", 16, "wb");
    content labels = *labels_of(0, 256, CLASSES);
    put_file("train-labels-idx1-ubyte", labels.bytes, labels.length);
    strata_dataset *data = NULL;
    strata_error err = {0};
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "its header promises 68719476752 bytes, more than its "));
    assert_string_equal(err.file, in_folder(packed));
    put_packed("train-labels-idx1-ubyte.gz", "\0\0\x08\x01\xff\xff\xff\xff", 8, "wb");
    unlink(in_folder("train-labels-idx1-ubyte"));
    put_packed(packed, "\0\0\x08\x03\xff\xff\xff\xff\0\0\0\1\0\0\0\1", 16, "wb");
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "its header promises 4294967295 labels, more than its "));
}

/* Cut at every byte, and garbage after the end: never taken, always explained. */
static void test_idx_refuses_every_cut_of_gzip(void **state) {
    (void)state;
    static const char packed[] = "train-labels-idx1-ubyte.gz";
    static unsigned char bytes[4096];
    content all = *labels_of(0, TRAIN_COUNT, CLASSES);
    put_all(pictures_of(0, TRAIN_COUNT, SIDE, SIDE + 1, 0), "train-images-idx3-ubyte");
    put_packed(packed, all.bytes, all.length, "wb");
    FILE *file = fopen(in_folder(packed), "rb");
    assert_non_null(file);
    size_t length = fread(bytes, 1, sizeof bytes - 1, file);
    fclose(file);
    strata_dataset *data = NULL;
    for (size_t cut = 0; cut < length; cut++) {
        strata_error err = {0};
        put_file(packed, bytes, cut);
        assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
        assert_string_equal(err.file, in_folder(packed));
        if (cut >= 2) {
            char expected[100];
            snprintf(expected, sizeof expected, "cut: the file ends at byte %zu, the gzip data does not", cut);
            assert_memory_equal(err.message, expected, strlen(expected));
        }
    }
    bytes[length] = 'G';
    put_file(packed, bytes, length + 1);
    strata_error err = {0};
    char expected[80];
    snprintf(expected, sizeof expected, "byte %zu: 1 bytes of garbage after the gzip data", length);
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
    assert_string_equal(err.message, expected);
    for (size_t i = 0; i < length; i++) {
        bytes[i] ^= 0x55;
        put_file(packed, bytes, length);
        strata_status status = strata_dataset_open(&data, folder, NULL, &err);
        assert_true(status == STRATA_OK || err.message[0] != '\0'); /* some bytes of the head mean nothing */
        strata_dataset_free(data);
        bytes[i] ^= 0x55;
    }
}

static void test_idx_refuses_labels_out_of_range(void **state) {
    (void)state;
    content all;
    put_usual("-idx%d-ubyte", 0);
    all = *labels_of(0, TRAIN_COUNT, CLASSES);
    all.bytes[8 + 17] = 200;
    put_file("train-labels-idx1-ubyte", all.bytes, all.length);
    refused(STRATA_FORMAT, "train-labels-idx1-ubyte",
            "label 200 of picture 17 is out of range: all smaller labels are at most 6");
    put_usual("-idx%d-ubyte", 0);
    all = *labels_of(1, TEST_COUNT, CLASSES);
    all.bytes[8 + 3] = CLASSES;
    put_file("t10k-labels-idx1-ubyte", all.bytes, all.length);
    refused(STRATA_FORMAT, "t10k-labels-idx1-ubyte", "label 7 of picture 3 is out of range, expected 0 to 6");
}

static void test_idx_refuses_parts_that_differ(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte", 0);
    put_all(pictures_of(1, TEST_COUNT, SIDE, SIDE, 0), "t10k-images-idx3-ubyte");
    char message[200];
    snprintf(message, sizeof message, "pictures of 5x5x1, those of %s are 5x6x1", in_folder("train-images-idx3-ubyte"));
    refused(STRATA_SHAPE, "t10k-images-idx3-ubyte", message);
    put_all(pictures_of(0, TRAIN_COUNT, SIDE, SIDE, 0), "train-images-idx3-ubyte");
    refused(STRATA_MISSING, "train-images-idx3-ubyte", "beside it train-labels-idx1-ubyte is missing (plain or .gz)");
    put_all(labels_of(0, TRAIN_COUNT, CLASSES), "train-labels-idx1-ubyte.gz");
    refused(STRATA_MISSING, "train-labels-idx1-ubyte.gz",
            "beside it train-images-idx3-ubyte is missing (plain or .gz)");
    refused(
        STRATA_UNSUPPORTED, "",
        "no data set was found here; a folder must hold train-images-idx3-ubyte and train-labels-idx1-ubyte, or the "
        "same with t10k (plain or .gz)");
}

/* ---- where a data set is looked for ---- */

static void test_dataset_explains_what_is_not_there(void **state) {
    (void)state;
    strata_dataset *data = NULL;
    strata_error err;
    setenv("STRATA_DATA", folder, 1);
    assert_int_equal(strata_dataset_open(&data, "mnist", NULL, &err),
                     access("/usr/share/datasets/mnist", F_OK) == 0 ? STRATA_OK : STRATA_MISSING);
    if (data == NULL) {
        assert_non_null(strstr(err.message, "'mnist' is not installed"));
        assert_non_null(strstr(err.hint, "STRATA_DATA"));
    }
    strata_dataset_free(data);
    if (access("/usr/share/datasets/fashion-mnist", F_OK) != 0) {
        assert_int_equal(strata_dataset_open(&data, "fashion-mnist", NULL, &err), STRATA_MISSING);
        assert_non_null(strstr(err.hint, "dataset-fashion-mnist"));
    }
    unsetenv("STRATA_DATA");
    assert_int_equal(strata_dataset_open(&data, "fashon-mnist", NULL, &err), STRATA_MISSING);
    assert_string_equal(err.hint, "did you mean fashion-mnist?");
    assert_int_equal(strata_dataset_open(&data, "/no/such/folder", NULL, &err), STRATA_MISSING);
    assert_string_equal(err.file, "/no/such/folder");
    assert_int_equal(strata_dataset_open(&data, "", NULL, &err), STRATA_INVALID);
    assert_int_equal(strata_dataset_open(&data, NULL, NULL, &err), STRATA_INVALID);
    put_file("notes.txt", "hello\n", 6);
    assert_int_equal(strata_dataset_open(&data, in_folder("notes.txt"), NULL, &err), STRATA_UNSUPPORTED);
    put_all(pictures_of(0, 3, 4, 4, 0), "some.idx");
    assert_int_equal(strata_dataset_open(&data, in_folder("some.idx"), NULL, &err), STRATA_UNSUPPORTED);
    assert_non_null(strstr(err.message, "its name does not say of what"));
    char far[600];
    memset(far, 'x', sizeof far);
    far[sizeof far - 1] = '\0';
    assert_int_equal(strata_dataset_open(&data, far, NULL, &err), STRATA_MISSING);
}

static void test_dataset_finds_known_sets_under_strata_data(void **state) {
    (void)state;
    char inner[128], path[160];
    strata_dataset *data = NULL;
    strata_error err = {0};
    snprintf(inner, sizeof inner, "%s/mnist", folder);
    assert_int_equal(mkdir(inner, 0700), 0);
    put_train();
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", inner, names[i]);
        assert_int_equal(rename(in_folder(names[i]), path), 0);
    }
    setenv("STRATA_DATA", folder, 1);
    assert_int_equal(strata_dataset_open(&data, "mnist", NULL, &err), STRATA_OK);
    unsetenv("STRATA_DATA");
    assert_string_equal(strata_dataset_name(data), "mnist");
    assert_int_equal(strata_dataset_class_count(data), 10); /* known, although the files have 7 */
    strata_dataset_free(data);
    content all = *labels_of(0, TRAIN_COUNT, 12);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(all.bytes, 1, all.length, file);
    fclose(file);
    assert_int_equal(strata_dataset_open(&data, inner, NULL, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "label 10 of picture 10 is out of range, expected 0 to 9");
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", inner, names[i]);
        unlink(path);
    }
    rmdir(inner);
}

/* ---- parts ---- */

/* Which picture of the file this is: pixels are drawn, so that no two are alike. */
static size_t number_of(const uint8_t *pixels, size_t bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < bytes && pixels[k] == pixel(0, i * bytes + k)) {
            k++;
        }
        if (k == bytes) {
            return i;
        }
    }
    fail_msg("a picture that is not in the file");
    return 0;
}

static void numbers_of(const strata_dataset *data, strata_part part, size_t *numbers, size_t most) {
    uint8_t pixels[SIDE * (SIDE + 1)];
    for (size_t i = 0; i < strata_dataset_count(data, part); i++) {
        int found = -1;
        assert_int_equal(strata_dataset_read(data, part, i, pixels, &found, NULL), STRATA_OK);
        numbers[i] = number_of(pixels, sizeof pixels, most);
        assert_int_equal(found, label(0, numbers[i], CLASSES));
        assert_true(i == 0 || numbers[i] > numbers[i - 1]);
    }
}

static void test_dataset_holds_out_by_class(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte", 0);
    strata_dataset *whole = open_folder(NULL);
    strata_dataset *data = open_folder(&(strata_data_options){.hold_out = 0.1, .seed = 3});
    strata_dataset *again = open_folder(&(strata_data_options){.hold_out = 0.1, .seed = 3});
    strata_dataset *other = open_folder(&(strata_data_options){.hold_out = 0.1, .seed = 4});
    size_t train[TRAIN_COUNT], val[TRAIN_COUNT], val_again[TRAIN_COUNT], val_other[TRAIN_COUNT];
    size_t train_count = strata_dataset_count(data, STRATA_TRAIN), val_count = strata_dataset_count(data, STRATA_VAL);
    assert_true(strata_dataset_was_held_out(data));
    assert_int_equal(train_count + val_count, TRAIN_COUNT);
    for (size_t c = 0; c < CLASSES; c++) {
        size_t all = strata_dataset_class_size(whole, STRATA_TRAIN, c);
        assert_int_equal(strata_dataset_class_size(data, STRATA_VAL, c), (size_t)((double)all * 0.1 + 0.5));
        assert_int_equal(
            strata_dataset_class_size(data, STRATA_TRAIN, c) + strata_dataset_class_size(data, STRATA_VAL, c), all);
    }
    numbers_of(data, STRATA_TRAIN, train, TRAIN_COUNT);
    numbers_of(data, STRATA_VAL, val, TRAIN_COUNT);
    numbers_of(again, STRATA_VAL, val_again, TRAIN_COUNT);
    numbers_of(other, STRATA_VAL, val_other, TRAIN_COUNT);
    assert_memory_equal(val, val_again, val_count * sizeof *val);
    assert_memory_not_equal(val, val_other, val_count * sizeof *val);
    bool seen[TRAIN_COUNT] = {false};
    for (size_t i = 0; i < TRAIN_COUNT; i++) {
        size_t number = i < train_count ? train[i] : val[i - train_count];
        assert_false(seen[number]);
        seen[number] = true;
    }
    check_part(data, STRATA_TEST, 1, TEST_COUNT);
    strata_dataset_free(whole);
    strata_dataset_free(data);
    strata_dataset_free(again);
    strata_dataset_free(other);
}

static void test_dataset_limits_before_it_holds_out(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte", 0);
    strata_dataset *data = open_folder(&(strata_data_options){.limit = 50});
    check_part(data, STRATA_TRAIN, 0, 50);
    check_part(data, STRATA_TEST, 1, TEST_COUNT);
    strata_dataset_free(data);
    data = open_folder(&(strata_data_options){.limit = 50, .hold_out = 0.2});
    size_t numbers[TRAIN_COUNT];
    numbers_of(data, STRATA_TRAIN, numbers, 50);
    numbers_of(data, STRATA_VAL, numbers, 50);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN) + strata_dataset_count(data, STRATA_VAL), 50);
    strata_dataset_free(data);
    data = open_folder(&(strata_data_options){.limit = 100000});
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), TRAIN_COUNT);
    strata_dataset_free(data);
    /* One of each class: none can be spared. Two of each: one each. */
    data = open_folder(&(strata_data_options){.limit = CLASSES, .hold_out = 0.9});
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), CLASSES);
    assert_false(strata_dataset_was_held_out(data));
    strata_dataset_free(data);
    strata_error err;
    static const double bad[] = {-0.1, 1, 7, (double)NAN};
    for (size_t i = 0; i < ST_COUNT_OF(bad); i++) {
        assert_int_equal(strata_dataset_open(&data, folder, &(strata_data_options){.hold_out = bad[i]}, &err),
                         STRATA_INVALID);
    }
}

static void test_dataset_statistics_are_of_training_pixels(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte", 3);
    strata_dataset *data = open_folder(&(strata_data_options){.hold_out = 0.3, .seed = 9});
    double mean[4], deviation[4];
    uint8_t pixels[3 * SIDE * (SIDE + 1)];
    assert_int_equal(strata_dataset_statistics(data, mean, deviation, NULL), STRATA_OK);
    for (size_t c = 0; c < 3; c++) {
        double sum = 0, squares = 0, count = 0;
        for (size_t i = 0; i < strata_dataset_count(data, STRATA_TRAIN); i++) {
            int found = 0;
            assert_int_equal(strata_dataset_read(data, STRATA_TRAIN, i, pixels, &found, NULL), STRATA_OK);
            for (size_t k = c; k < sizeof pixels; k += 3) {
                sum += pixels[k] / 255.0;
                squares += pixels[k] / 255.0 * (pixels[k] / 255.0);
                count++;
            }
        }
        assert_true(fabs(mean[c] - sum / count) < 1e-12);
        assert_true(fabs(deviation[c] - sqrt(squares / count - sum / count * (sum / count))) < 1e-12);
    }
    assert_true(mean[3] == 0 && deviation[3] == 0);
    strata_dataset_free(data);
}

/* ---- pictures ---- */

static void picture_is(const char *name, const void *bytes, size_t length, int64_t channels, const char *pixels,
                       size_t count) {
    strata_picture picture;
    strata_error err = {0};
    put_file(name, bytes, length);
    if (strata_picture_open(&picture, in_folder(name), &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(picture.shape.channels, channels);
    assert_int_equal(picture.shape.height * picture.shape.width * channels, count);
    assert_memory_equal(picture.pixels, pixels, count);
    strata_picture_free(&picture);
    strata_picture_free(&picture);
}

static void picture_refused(const void *bytes, size_t length, strata_status status, const char *message) {
    strata_picture picture;
    strata_error err = {0};
    put_file("bad.pgm", bytes, length);
    assert_int_equal(strata_picture_open(&picture, in_folder("bad.pgm"), &err), status);
    assert_null(picture.pixels);
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, in_folder("bad.pgm"));
}

static void test_picture_reads_anymaps(void **state) {
    (void)state;
    picture_is("a.pgm", "P5\n2 2\n255\n\0\1\2\377", 15, 1, "\0\1\2\377", 4);
    picture_is("b.pgm", "P2 # grey\n# more\n2\t2 15 0 1 14 15", 33, 1, "\0\021\356\377", 4);
    picture_is("c.ppm", "P6 1 2 255 abcdef", 17, 3, "abcdef", 6);
    picture_is("d.ppm", "P3\n1 1\n1\n1 0 1\n", 15, 3, "\377\0\377", 3);
    picture_is("e.pgm", "P5 2 1 65535\n\377\377\200\0", 17, 1, "\377\200", 2);
    picture_is("f.pgm", "P5 1 1 255\nxP5 1 1 255\ny", 24, 1, "x", 1); /* a second picture is another matter */
}

static void test_picture_refuses_damage(void **state) {
    (void)state;
    picture_refused("P5 2 2 255 abc", 14, STRATA_FORMAT, "cut: holds 14 bytes, its header promises 15");
    picture_refused("P5 2 2 255", 10, STRATA_FORMAT, "cut: holds 10 bytes, its header promises 15");
    picture_refused("P5 9999 9999 255 abc", 20, STRATA_FORMAT,
                    "found 9999x9999 pixels and a largest value of 255, expected 1 to 67108864 pixels and 1 to 65535");
    picture_refused("P5 0 2 255 abc", 14, STRATA_FORMAT,
                    "found 0x2 pixels and a largest value of 255, expected 1 to 67108864 pixels and 1 to 65535");
    picture_refused("P5 2 99999999999999999999 255 abc", 33, STRATA_FORMAT,
                    "byte 5: found a larger number, expected a height of at most 16384");
    picture_refused("P5 8000 8000 255 abc", 20, STRATA_FORMAT,
                    "cut: holds 20 bytes, its header promises at least 64000000");
    picture_refused("P2 2 1 9 5 10", 13, STRATA_FORMAT,
                    "byte 11: found a larger number, expected a value of at most 9");
    picture_refused("P2 2 1 9 5", 10, STRATA_FORMAT,
                    "byte 10: found the end of the file, expected a value of at most 9");
    picture_refused("P2 2 1 9 5 x", 12, STRATA_FORMAT, "byte 11: found no number, expected a value of at most 9");
    picture_refused("P5 1 1 15 \020", 11, STRATA_FORMAT, "byte 10: found the value 16, expected at most 15");
    picture_refused("P5", 2, STRATA_UNSUPPORTED,
                    "no picture: expected PGM or PPM (P2, P3, P5, P6), or an IDX file with the number of a picture");
    picture_refused("\x89PNG\r\n", 6, STRATA_UNSUPPORTED, "a PNG picture, expected PGM or PPM (P2, P3, P5, P6)");
    picture_refused("P4 8 8 x", 8, STRATA_UNSUPPORTED,
                    "a PBM (black and white) picture, expected PGM or PPM (P2, P3, P5, P6)");
}

static void test_picture_takes_one_of_idx(void **state) {
    (void)state;
    strata_picture picture;
    strata_error err;
    char path[160];
    put_usual("-idx%d-ubyte.gz", 0);
    snprintf(path, sizeof path, "%s:7", in_folder("t10k-images-idx3-ubyte.gz"));
    assert_int_equal(strata_picture_open(&picture, path, NULL), STRATA_OK);
    assert_true(picture.shape.height == SIDE && picture.shape.width == SIDE + 1 && picture.shape.channels == 1);
    for (size_t k = 0; k < SIDE * (SIDE + 1); k++) {
        assert_int_equal(picture.pixels[k], pixel(1, 7 * SIDE * (SIDE + 1) + k));
    }
    strata_picture_free(&picture);
    snprintf(path, sizeof path, "%s:69", folder);
    assert_int_equal(strata_picture_open(&picture, path, NULL), STRATA_OK);
    assert_int_equal(picture.pixels[0], pixel(1, 69 * SIDE * (SIDE + 1)));
    strata_picture_free(&picture);
    snprintf(path, sizeof path, "%s:70", folder);
    assert_int_equal(strata_picture_open(&picture, path, &err), STRATA_MISSING);
    assert_string_equal(err.message, "no picture 70: its test part holds 0 to 69");
    snprintf(path, sizeof path, "%s:70", in_folder("t10k-images-idx3-ubyte.gz"));
    assert_int_equal(strata_picture_open(&picture, path, &err), STRATA_MISSING);
    assert_int_equal(strata_picture_open(&picture, in_folder("t10k-images-idx3-ubyte.gz"), &err), STRATA_INVALID);
    assert_non_null(strstr(err.message, "say which"));
    assert_int_equal(strata_picture_open(&picture, in_folder("none.pgm"), &err), STRATA_MISSING);
    assert_int_equal(strata_picture_open(&picture, "none:3", &err), STRATA_MISSING);
    assert_int_equal(strata_picture_open(&picture, NULL, &err), STRATA_INVALID);
    strata_picture_free(NULL);
}

/* ---- batches ---- */

static void check_pass(st_batcher *batcher, const uint32_t *order, size_t count, size_t first, size_t batch) {
    const uint8_t *pixels = NULL;
    const int32_t *labels = NULL;
    size_t n = 0, at = first, bytes = SIDE * (SIDE + 1);
    for (;;) {
        assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, NULL), STRATA_OK);
        if (n == 0) {
            break;
        }
        assert_int_equal(n, count - at < batch ? count - at : batch);
        for (size_t i = 0; i < n; i++) {
            size_t number = order != NULL ? order[at + i] : at + i;
            assert_int_equal(labels[i], label(0, number, CLASSES));
            for (size_t k = 0; k < bytes; k++) {
                assert_int_equal(pixels[i * bytes + k], pixel(0, number * bytes + k));
            }
        }
        at += n;
    }
    assert_int_equal(at, count);
    assert_null(pixels);
    assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, NULL), STRATA_OK);
    assert_int_equal(n, 0);
}

static void test_batcher_gives_the_order(void **state) {
    (void)state;
    static const size_t batches[] = {1, 7, 64, 300, 1000};
    uint32_t order[TRAIN_COUNT];
    put_usual("-idx%d-ubyte.gz", 0);
    strata_dataset *data = open_folder(NULL);
    for (size_t b = 0; b < ST_COUNT_OF(batches); b++) {
        st_batcher *batcher = NULL;
        assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, batches[b], NULL), STRATA_OK);
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            st_data_order(order, TRAIN_COUNT, 5, epoch);
            assert_int_equal(st_batcher_start(batcher, order, TRAIN_COUNT, 0, NULL), STRATA_OK);
            check_pass(batcher, order, TRAIN_COUNT, 0, batches[b]);
        }
        assert_int_equal(st_batcher_start(batcher, order, TRAIN_COUNT, 128, NULL), STRATA_OK);
        check_pass(batcher, order, TRAIN_COUNT, 128, batches[b]);
        assert_int_equal(st_batcher_start(batcher, NULL, TRAIN_COUNT, 0, NULL), STRATA_OK);
        check_pass(batcher, NULL, TRAIN_COUNT, 0, batches[b]);
        assert_int_equal(st_batcher_start(batcher, NULL, TRAIN_COUNT, TRAIN_COUNT, NULL), STRATA_OK);
        check_pass(batcher, NULL, TRAIN_COUNT, TRAIN_COUNT, batches[b]);
        st_batcher_free(batcher);
    }
    strata_dataset_free(data);
}

static void test_batcher_can_be_left_and_started_again(void **state) {
    (void)state;
    uint32_t order[TRAIN_COUNT];
    put_usual("-idx%d-ubyte", 0);
    strata_dataset *data = open_folder(NULL);
    st_batcher *batcher = NULL;
    const uint8_t *pixels = NULL;
    const int32_t *labels = NULL;
    size_t n = 0;
    assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, 10, NULL), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, NULL), STRATA_OK);
    assert_int_equal(n, 0); /* nothing was started */
    for (size_t round = 0; round < 50; round++) {
        st_data_order(order, TRAIN_COUNT, 5, round);
        assert_int_equal(st_batcher_start(batcher, order, TRAIN_COUNT, 0, NULL), STRATA_OK);
        for (size_t i = 0; i < round % 5; i++) {
            assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, NULL), STRATA_OK);
            assert_int_equal(labels[3], label(0, order[10 * i + 3], CLASSES));
        }
    }
    st_batcher_free(batcher);
    st_batcher_free(NULL);
    strata_dataset_free(data);
    assert_int_equal(st_batcher_bytes(784, 64), 3 * 64 * 788);
    assert_int_equal(st_batcher_bytes(SIZE_MAX, 64), 0);
}

static void test_batcher_passes_errors(void **state) {
    (void)state;
    put_train();
    strata_dataset *data = open_folder(NULL);
    st_batcher *batcher = NULL;
    const uint8_t *pixels = NULL;
    const int32_t *labels = NULL;
    strata_error err = {0};
    size_t n = 0;
    uint32_t order[TRAIN_COUNT];
    assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, 0, &err), STRATA_INVALID);
    assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, 100, NULL), STRATA_OK);
    assert_int_equal(st_batcher_start(batcher, NULL, TRAIN_COUNT + 1, 0, &err), STRATA_INVALID);
    assert_int_equal(st_batcher_start(batcher, NULL, 5, 6, &err), STRATA_INVALID);
    st_data_order(order, TRAIN_COUNT, 1, 1);
    order[150] = TRAIN_COUNT;
    assert_int_equal(st_batcher_start(batcher, order, TRAIN_COUNT, 0, NULL), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, &err), STRATA_OK);
    assert_int_equal(n, 100);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, &err), STRATA_INVALID);
        assert_string_equal(err.message, "there is no picture 300, the part has 300");
        assert_int_equal(n, 0);
    }
    assert_int_equal(truncate(in_folder("train-images-idx3-ubyte"), 5000), 0);
    assert_int_equal(st_batcher_start(batcher, NULL, TRAIN_COUNT, 0, NULL), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, &err), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, &err), STRATA_IO);
    assert_non_null(strstr(err.message, "became shorter"));
    assert_string_equal(err.file, in_folder("train-images-idx3-ubyte"));
    st_batcher_free(batcher);
    strata_dataset_free(data);
}

static void test_order_is_a_permutation_of_each_epoch(void **state) {
    (void)state;
    uint32_t one[TRAIN_COUNT], two[TRAIN_COUNT];
    bool seen[TRAIN_COUNT] = {false};
    st_data_order(one, TRAIN_COUNT, 1, 0);
    st_data_order(two, TRAIN_COUNT, 1, 0);
    assert_memory_equal(one, two, sizeof one);
    st_data_order(two, TRAIN_COUNT, 1, 1);
    assert_memory_not_equal(one, two, sizeof one);
    st_data_order(two, TRAIN_COUNT, 2, 0);
    assert_memory_not_equal(one, two, sizeof one);
    for (size_t i = 0; i < TRAIN_COUNT; i++) {
        assert_false(seen[one[i]]);
        seen[one[i]] = true;
    }
}

/* ---- the system refuses ---- */

static st_system real_system;
static int countdown;
static bool for_ever, no_new_files;
static long live_bytes;
static int live_files;

static bool fails_now(int number) {
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

static void *faulty_allocate(size_t bytes) {
    void *memory = fails_now(ENOMEM) ? NULL : real_system.allocate(bytes);
    __atomic_add_fetch(&live_bytes, memory != NULL ? (long)bytes : 0, __ATOMIC_SEQ_CST);
    return memory;
}

static void counted_release(void *memory, size_t bytes) {
    __atomic_sub_fetch(&live_bytes, (long)bytes, __ATOMIC_SEQ_CST);
    real_system.release(memory, bytes);
}

static int faulty_open(const char *path, int flags, int mode) {
    if (no_new_files && (flags & O_ACCMODE) != O_RDONLY) {
        errno = EACCES;
        return -1;
    }
    int file = fails_now(EMFILE) ? -1 : real_system.open(path, flags, mode);
    live_files += file >= 0;
    return file;
}

static ssize_t faulty_pread(int file, void *bytes, size_t count, int64_t offset) {
    return fails_now(EIO) ? -1 : real_system.pread(file, bytes, count, offset);
}

static ssize_t faulty_write(int file, const void *bytes, size_t count) {
    return fails_now(ENOSPC) ? -1 : real_system.write(file, bytes, count > 1000 ? count / 2 : count);
}

static int faulty_close(int file) {
    live_files--;
    return real_system.close(file);
}

static void use_faulty_system(void) {
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

static strata_status whole_story(strata_error *err) {
    strata_dataset *data = NULL;
    st_batcher *batcher = NULL;
    const uint8_t *pixels = NULL;
    const int32_t *labels = NULL;
    double mean[4], deviation[4];
    size_t n = 1, all = 0;
    ST_TRY(strata_dataset_open(&data, folder, &(strata_data_options){.hold_out = 0.1}, err));
    strata_status status = strata_dataset_statistics(data, mean, deviation, err);
    status = status == STRATA_OK ? st_batcher_create(&batcher, data, STRATA_TEST, 32, err) : status;
    status = status == STRATA_OK ? st_batcher_start(batcher, NULL, TEST_COUNT, 0, err) : status;
    while (status == STRATA_OK && n > 0) {
        status = st_batcher_next(batcher, &pixels, &labels, &n, err);
        all += n;
        assert_true(status != STRATA_OK || n == 0 || labels[0] == label(1, all - n, CLASSES));
    }
    assert_true(status != STRATA_OK || all == TEST_COUNT);
    st_batcher_free(batcher);
    strata_dataset_free(data);
    return status;
}

static void test_dataset_survives_every_fault(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte.gz", 0);
    use_faulty_system();
    for (int forever = 0; forever < 2; forever++) {
        bool done = false;
        for (int call = 1; !done; call++) {
            strata_error err = {0};
            for_ever = forever;
            countdown = call;
            strata_status status = whole_story(&err);
            done = status == STRATA_OK && countdown > 0;
            countdown = 0;
            if (status != STRATA_OK) {
                assert_int_equal(err.status, status);
                assert_true(err.message[0] != '\0');
                assert_true(status == STRATA_MEMORY || status == STRATA_IO || status == STRATA_MISSING);
            }
            assert_int_equal(live_bytes, 0);
            assert_int_equal(live_files, 0);
            assert_true(call < 2000);
        }
    }
    st_sys = real_system;
}

static void test_gzip_falls_back_to_memory(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte.gz", 0);
    use_faulty_system();
    no_new_files = true;
    strata_dataset *data = open_folder(NULL);
    assert_true(live_bytes > 9016 + 2116); /* both parts' pictures */
    check_part(data, STRATA_TRAIN, 0, TRAIN_COUNT);
    check_part(data, STRATA_TEST, 1, TEST_COUNT);
    strata_dataset_free(data);
    no_new_files = false;
    assert_int_equal(live_bytes, 0);
    assert_int_equal(live_files, 0);
    st_sys = real_system;
}

static void test_gzip_leaves_no_temporary_file(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte.gz", 0);
    setenv("TMPDIR", folder, 1);
    strata_dataset *data = open_folder(NULL);
    check_part(data, STRATA_TRAIN, 0, TRAIN_COUNT);
    strata_dataset_free(data);
    setenv("TMPDIR", "/no/such/folder", 1);
    data = open_folder(NULL);
    check_part(data, STRATA_TRAIN, 0, TRAIN_COUNT);
    strata_dataset_free(data);
    unsetenv("TMPDIR"); /* remove_folder fails where a file was left */
}

/* ---- real data ---- */

static void check_real(const char *path, const char *name, const char *first_class, double expected_mean,
                       double expected_deviation) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    double mean[4], deviation[4];
    if (strata_dataset_open(&data, path, &(strata_data_options){.hold_out = 0.1, .seed = 1}, &err) != STRATA_OK) {
        fail_msg("%s: %s", err.file, err.message);
    }
    assert_string_equal(strata_dataset_name(data), name);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN) + strata_dataset_count(data, STRATA_VAL), 60000);
    assert_int_equal(strata_dataset_count(data, STRATA_TEST), 10000);
    assert_int_equal(strata_dataset_class_count(data), 10);
    assert_string_equal(strata_dataset_class(data, 0), first_class);
    size_t held = strata_dataset_count(data, STRATA_VAL);
    assert_true(held >= 5995 && held <= 6005);
    strata_dataset_free(data);
    assert_int_equal(strata_dataset_open(&data, path, NULL, NULL), STRATA_OK);
    assert_int_equal(strata_dataset_statistics(data, mean, deviation, NULL), STRATA_OK);
    assert_true(fabs(mean[0] - expected_mean) < 5e-5 && fabs(deviation[0] - expected_deviation) < 5e-5);
    strata_dataset_free(data);
}

static void test_fashion_mnist_has_its_published_counts(void **state) {
    (void)state;
    if (access("/usr/share/datasets/fashion-mnist", F_OK) != 0) {
        print_message("skip: no /usr/share/datasets/fashion-mnist (package dataset-fashion-mnist)\n");
        skip();
    }
    check_real("fashion-mnist", "fashion-mnist", "T-shirt/top", 0.2860, 0.3530);
    strata_dataset *data = NULL;
    assert_int_equal(strata_dataset_open(&data, "fashion-mnist", NULL, NULL), STRATA_OK);
    for (size_t c = 0; c < 10; c++) {
        assert_int_equal(strata_dataset_class_size(data, STRATA_TRAIN, c), 6000);
        assert_int_equal(strata_dataset_class_size(data, STRATA_TEST, c), 1000);
    }
    assert_string_equal(strata_dataset_class(data, 9), "Ankle boot");
    strata_dataset_free(data);
    strata_picture picture;
    assert_int_equal(strata_picture_open(&picture, "fashion-mnist:0", NULL), STRATA_OK);
    assert_true(picture.shape.height == 28 && picture.shape.width == 28 && picture.shape.channels == 1);
    strata_picture_free(&picture);
}

static void test_mnist_has_its_published_counts(void **state) {
    (void)state;
    const char *root = getenv("STRATA_TEST_DATA");
    char path[256];
    snprintf(path, sizeof path, "%s/mnist", root != NULL ? root : "../shared/data");
    if (access(path, F_OK) != 0) {
        print_message("skip: no %s\n", path);
        skip();
    }
    check_real(path, "mnist", "0", 0.1307, 0.3081);
}

#define EACH(test) cmocka_unit_test_teardown(test, empty_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(test_idx_reads_every_form),
        EACH(test_idx_counts_classes_of_each_part),
        EACH(test_idx_takes_one_part_alone),
        EACH(test_idx_takes_gzip_in_several_members),
        EACH(test_idx_refuses_bad_heads),
        EACH(test_idx_refuses_lying_sizes),
        EACH(test_idx_refuses_bad_gzip),
        EACH(test_idx_refuses_every_cut_of_gzip),
        EACH(test_idx_refuses_labels_out_of_range),
        EACH(test_idx_refuses_parts_that_differ),
        EACH(test_dataset_explains_what_is_not_there),
        EACH(test_dataset_finds_known_sets_under_strata_data),
        EACH(test_dataset_holds_out_by_class),
        EACH(test_dataset_limits_before_it_holds_out),
        EACH(test_dataset_statistics_are_of_training_pixels),
        EACH(test_picture_reads_anymaps),
        EACH(test_picture_refuses_damage),
        EACH(test_picture_takes_one_of_idx),
        EACH(test_batcher_gives_the_order),
        EACH(test_batcher_can_be_left_and_started_again),
        EACH(test_batcher_passes_errors),
        EACH(test_order_is_a_permutation_of_each_epoch),
        EACH(test_dataset_survives_every_fault),
        EACH(test_gzip_falls_back_to_memory),
        EACH(test_gzip_leaves_no_temporary_file),
        EACH(test_fashion_mnist_has_its_published_counts),
        EACH(test_mnist_has_its_published_counts),
    };
    return cmocka_run_group_tests_name("data", tests, make_folder, remove_folder);
}
