/* data: IDX files good and bad, plain and gzip. */
#include "data_case.h"

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

static void test_idx_refuses_what_is_not_whole(void **state) {
    (void)state;
    put_usual("-idx%d-ubyte", 0);
    put_all(pictures_of(1, TEST_COUNT, SIDE, SIDE, 0), "t10k-images-idx3-ubyte"); /* another size is no fault */
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(strata_dataset_shape(data).height, 0);
    strata_dataset_free(data);
    empty_folder(NULL);
    put_all(pictures_of(0, TRAIN_COUNT, SIDE, SIDE, 0), "train-images-idx3-ubyte");
    refused(STRATA_MISSING, "train-images-idx3-ubyte", "beside it train-labels-idx1-ubyte is missing (plain or .gz)");
    put_all(labels_of(0, TRAIN_COUNT, CLASSES), "train-labels-idx1-ubyte.gz");
    refused(STRATA_MISSING, "train-labels-idx1-ubyte.gz",
            "beside it train-images-idx3-ubyte is missing (plain or .gz)");
    refused(
        STRATA_UNSUPPORTED, "",
        "no data set was found here; a folder must hold IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, "
        "t10k-..., plain or .gz), or CIFAR's batches (data_batch_1.bin, ..., test_batch.bin; or train.bin, "
        "test.bin), or HDF5 files (train_NAME.h5, test_NAME.h5), or a list of pictures (labels.csv, train.csv or .tsv, "
        "with the columns file and class), or a folder of pictures for each class, or such folders in train, val and "
        "test");
}

/* ---- unpacking ---- */

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
        EACH(test_idx_refuses_what_is_not_whole),
        EACH(test_gzip_falls_back_to_memory),
        EACH(test_gzip_leaves_no_temporary_file),
    };
    return cmocka_run_group_tests_name("data: IDX", tests, make_folder, remove_folder);
}
