/* data: CIFAR-10 and CIFAR-100 in their binary form, good and bad. */
#include "data_case.h"

enum { BATCH_ROWS = 30, CIFAR_PLANE = 1024, CIFAR_BYTES = 3072 };

static uint8_t cifar_pixel(size_t file, size_t row, size_t i) {
    return (uint8_t)st_rng_bits(21, file, row * CIFAR_BYTES + i);
}

/* Rows as the distribution has them; the labels go round the classes. */
static const content *rows_of(size_t file, size_t rows, size_t label_bytes, size_t classes) {
    static content all;
    all.length = 0;
    assert_true(rows * (CIFAR_BYTES + label_bytes) <= sizeof all.bytes);
    for (size_t r = 0; r < rows; r++) {
        if (label_bytes == 2) {
            all.bytes[all.length++] = (unsigned char)(r % 20);
        }
        all.bytes[all.length++] = (unsigned char)((r + file) % classes);
        for (size_t i = 0; i < CIFAR_BYTES; i++) {
            all.bytes[all.length++] = cifar_pixel(file, r, i);
        }
    }
    return &all;
}

static const char names10[] = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\nlorry\n\n";

static void put_cifar10(void) {
    for (size_t b = 1; b <= 5; b++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%zu.bin", b);
        put_all(rows_of(b, BATCH_ROWS, 1, 10), name);
    }
    put_all(rows_of(6, BATCH_ROWS, 1, 10), "test_batch.bin");
    put_file("batches.meta.txt", names10, sizeof names10 - 1);
}

/* Planes in the file, pixels in memory. */
static void check_row(const strata_dataset *data, strata_part part, size_t index, size_t file, size_t row, int label) {
    uint8_t pixels[CIFAR_BYTES];
    int found = -1;
    assert_int_equal(strata_dataset_read(data, part, index, pixels, &found, NULL), STRATA_OK);
    assert_int_equal(found, label);
    for (size_t p = 0; p < CIFAR_PLANE; p++) {
        for (size_t c = 0; c < 3; c++) {
            assert_int_equal(pixels[3 * p + c], cifar_pixel(file, row, c * CIFAR_PLANE + p));
        }
    }
}

static void test_cifar10_reads_its_batches(void **state) {
    (void)state;
    char name[ST_DATA_NAME_BYTES];
    put_cifar10();
    strata_dataset *data = open_folder(NULL);
    strata_shape shape = strata_dataset_shape(data);
    assert_string_equal(strata_dataset_kind(data), "CIFAR-10 binary");
    assert_true(shape.height == 32 && shape.width == 32 && shape.channels == 3);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 5 * BATCH_ROWS);
    assert_int_equal(strata_dataset_count(data, STRATA_TEST), BATCH_ROWS);
    assert_int_equal(strata_dataset_class_count(data), 10);
    assert_string_equal(strata_dataset_class(data, 9), "lorry");
    assert_int_equal(strata_dataset_class_size(data, STRATA_TRAIN, 3), 15);
    assert_int_equal(strata_dataset_note_count(data), 0);
    for (size_t i = 0; i < 5 * BATCH_ROWS; i++) {
        size_t file = 1 + i / BATCH_ROWS, row = i % BATCH_ROWS;
        check_row(data, STRATA_TRAIN, i, file, row, (int)((row + file) % 10));
    }
    check_row(data, STRATA_TEST, 7, 6, 7, 3);
    st_data_name(data, STRATA_TRAIN, 2 * BATCH_ROWS + 4, name);
    assert_string_equal(name, "data_batch_3.bin:4");
    strata_dataset_free(data);
    assert_int_equal(unlink(in_folder("batches.meta.txt")), 0);
    data = open_folder(NULL);
    assert_string_equal(strata_dataset_class(data, 9), "truck");
    strata_dataset_free(data);
}

static void test_cifar100_reads_fine_labels(void **state) {
    (void)state;
    put_all(rows_of(1, 60, 2, 100), "train.bin");
    put_all(rows_of(2, BATCH_ROWS, 2, 100), "test.bin");
    strata_dataset *data = open_folder(NULL);
    assert_string_equal(strata_dataset_kind(data), "CIFAR-100 binary");
    assert_int_equal(strata_dataset_class_count(data), 100);
    assert_string_equal(strata_dataset_class(data, 42), "42");
    check_row(data, STRATA_TRAIN, 59, 1, 59, 60);
    check_row(data, STRATA_TEST, 3, 2, 3, 5);
    assert_int_equal(strata_dataset_note_count(data), 2);
    assert_string_equal(strata_dataset_note(data, 0), "40 classes have no pictures in train: 0, 61, 62, 63, 64, ...");
    strata_dataset_free(data);
    content names = {.length = 0};
    for (int c = 0; c < 100; c++) {
        names.length += (size_t)snprintf((char *)names.bytes + names.length, 16, "class %d\r\n", c);
    }
    put_all(&names, "fine_label_names.txt");
    data = open_folder(NULL);
    assert_string_equal(strata_dataset_class(data, 42), "class 42");
    strata_dataset_free(data);
}

static void test_cifar_takes_one_part_alone(void **state) {
    (void)state;
    put_all(rows_of(6, BATCH_ROWS, 1, 10), "test_batch.bin");
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 0);
    check_row(data, STRATA_TEST, 29, 6, 29, 5);
    strata_dataset_free(data);
}

static void test_cifar_refuses_damage(void **state) {
    (void)state;
    put_cifar10();
    assert_int_equal(truncate(in_folder("data_batch_4.bin"), 3073 * 10 - 1), 0);
    refused(STRATA_FORMAT, "data_batch_4.bin", "holds 30729 bytes, expected whole rows of 3073 bytes each");
    put_cifar10();
    put_file("test_batch.bin", "", 0);
    refused(STRATA_FORMAT, "test_batch.bin", "holds 0 bytes, expected whole rows of 3073 bytes each");
    put_cifar10();
    content all = *rows_of(2, BATCH_ROWS, 1, 10);
    all.bytes[3073 * 17] = 10;
    put_all(&all, "data_batch_2.bin");
    refused(STRATA_FORMAT, "data_batch_2.bin", "byte 52241: found label 10, expected 0 to 9");
    put_cifar10();
    assert_int_equal(unlink(in_folder("data_batch_3.bin")), 0);
    refused(STRATA_MISSING, "", "data_batch_3.bin is missing: 4 of the 5 training batches are there");
    put_cifar10();
    put_file("batches.meta.txt", "one\ntwo\n", 8);
    refused(STRATA_FORMAT, "batches.meta.txt", "found 2 names, expected 10, one a line");
    put_cifar10();
    put_file("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\n\377\n", 20);
    refused(STRATA_FORMAT, "batches.meta.txt", "is no text in UTF-8");
    put_file("fine_label_names.txt", "x\n", 2);
    put_all(rows_of(1, 10, 1, 10), "train.bin");
    refused(STRATA_FORMAT, "fine_label_names.txt", "found 1 names, expected 100, one a line");
    all = *rows_of(1, 10, 2, 100);
    all.bytes[3074 * 3] = 20;
    put_all(&all, "train.bin");
    refused(STRATA_FORMAT, "train.bin", "byte 9222: found label 20, expected 0 to 19");
    all = *rows_of(1, 10, 2, 100);
    all.bytes[3074 * 3 + 1] = 100;
    put_all(&all, "train.bin");
    refused(STRATA_FORMAT, "train.bin", "byte 9223: found label 100, expected 0 to 99");
    /* Someone else's train.bin is no data set of ours. */
    put_file("train.bin", "hello", 5);
    strata_dataset *data = NULL;
    assert_int_equal(strata_dataset_open(&data, folder, NULL, NULL), STRATA_UNSUPPORTED);
}

static void test_cifar_survives_every_fault(void **state) {
    (void)state;
    put_cifar10();
    use_faulty_system();
    for (int forever = 0; forever < 2; forever++) {
        bool done = false;
        for (int call = 1; !done; call++) {
            strata_dataset *data = NULL;
            strata_error err = {0};
            uint8_t pixels[CIFAR_BYTES];
            int label = 0;
            for_ever = forever;
            countdown = call;
            strata_status status = strata_dataset_open(&data, folder, &(strata_data_options){.hold_out = 0.1}, &err);
            status = status == STRATA_OK ? strata_dataset_read(data, STRATA_TRAIN, 3, pixels, &label, &err) : status;
            done = status == STRATA_OK && countdown > 0;
            countdown = 0;
            strata_dataset_free(data);
            assert_true(status == STRATA_OK || err.status == status);
            assert_int_equal(live_bytes, 0);
            assert_int_equal(live_files, 0);
            assert_true(call < 2000);
        }
    }
    st_sys = real_system;
}

#define EACH(test) cmocka_unit_test_teardown(test, empty_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(test_cifar10_reads_its_batches),  EACH(test_cifar100_reads_fine_labels),
        EACH(test_cifar_takes_one_part_alone), EACH(test_cifar_refuses_damage),
        EACH(test_cifar_survives_every_fault),
    };
    return cmocka_run_group_tests_name("data: CIFAR", tests, make_folder, remove_folder);
}
