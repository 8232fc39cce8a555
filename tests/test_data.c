/* data: where a data set is looked for, its parts, batches read ahead, every refusal of the system, real data. */
#include <math.h>

#include "data_case.h"

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

/* ---- batches ---- */

static void check_pass(st_batcher *batcher, const uint32_t *order, size_t count, size_t first, size_t batch) {
    st_batch got;
    size_t at = first, bytes = SIDE * (SIDE + 1);
    for (;;) {
        assert_int_equal(st_batcher_next(batcher, &got, NULL), STRATA_OK);
        if (got.n == 0) {
            break;
        }
        assert_int_equal(got.n, count - at < batch ? count - at : batch);
        for (size_t i = 0; i < got.n; i++) {
            size_t number = order != NULL ? order[at + i] : at + i;
            assert_int_equal(got.labels[i], label(0, number, CLASSES));
            for (size_t k = 0; k < bytes; k++) {
                assert_int_equal(got.pixels[i * bytes + k], pixel(0, number * bytes + k));
            }
        }
        at += got.n;
    }
    assert_int_equal(at, count);
    assert_null(got.pixels);
    assert_int_equal(st_batcher_next(batcher, &got, NULL), STRATA_OK);
    assert_int_equal(got.n, 0);
}

static void test_batcher_gives_the_order(void **state) {
    (void)state;
    static const size_t batches[] = {1, 7, 64, 300, 1000};
    uint32_t order[TRAIN_COUNT];
    put_usual("-idx%d-ubyte.gz", 0);
    strata_dataset *data = open_folder(NULL);
    for (size_t b = 0; b < ST_COUNT_OF(batches); b++) {
        st_batcher *batcher = NULL;
        assert_int_equal(create_batcher(&batcher, data, STRATA_TRAIN, batches[b], NULL), STRATA_OK);
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
    st_batch got;
    assert_int_equal(create_batcher(&batcher, data, STRATA_TRAIN, 10, NULL), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &got, NULL), STRATA_OK);
    assert_int_equal(got.n, 0); /* nothing was started */
    for (size_t round = 0; round < 50; round++) {
        st_data_order(order, TRAIN_COUNT, 5, round);
        assert_int_equal(st_batcher_start(batcher, order, TRAIN_COUNT, 0, NULL), STRATA_OK);
        for (size_t i = 0; i < round % 5; i++) {
            assert_int_equal(st_batcher_next(batcher, &got, NULL), STRATA_OK);
            assert_int_equal(got.labels[3], label(0, order[10 * i + 3], CLASSES));
        }
    }
    st_batcher_free(batcher);
    st_batcher_free(NULL);
    strata_dataset_free(data);
    assert_int_equal(st_batcher_bytes(784, 64), 3 * 64 * 796);
    assert_int_equal(st_batcher_bytes(SIZE_MAX, 64), 0);
}

static void test_batcher_passes_errors(void **state) {
    (void)state;
    put_train();
    strata_dataset *data = open_folder(NULL);
    st_batcher *batcher = NULL;
    st_batch got;
    strata_error err = {0};
    uint32_t order[TRAIN_COUNT];
    assert_int_equal(create_batcher(&batcher, data, STRATA_TRAIN, 0, &err), STRATA_INVALID);
    assert_int_equal(create_batcher(&batcher, data, STRATA_TRAIN, 100, NULL), STRATA_OK);
    assert_int_equal(st_batcher_start(batcher, NULL, TRAIN_COUNT + 1, 0, &err), STRATA_INVALID);
    assert_int_equal(st_batcher_start(batcher, NULL, 5, 6, &err), STRATA_INVALID);
    st_data_order(order, TRAIN_COUNT, 1, 1);
    order[150] = TRAIN_COUNT;
    assert_int_equal(st_batcher_start(batcher, order, TRAIN_COUNT, 0, NULL), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &got, &err), STRATA_OK);
    assert_int_equal(got.n, 100);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(st_batcher_next(batcher, &got, &err), STRATA_INVALID);
        assert_string_equal(err.message, "there is no picture 300, the part has 300");
        assert_int_equal(got.n, 0);
    }
    assert_int_equal(truncate(in_folder("train-images-idx3-ubyte"), 5000), 0);
    assert_int_equal(st_batcher_start(batcher, NULL, TRAIN_COUNT, 0, NULL), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &got, &err), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &got, &err), STRATA_IO);
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

static strata_status whole_story(strata_error *err) {
    strata_dataset *data = NULL;
    st_batcher *batcher = NULL;
    st_batch got = {.n = 1};
    double mean[4], deviation[4];
    size_t all = 0;
    ST_TRY(strata_dataset_open(&data, folder, &(strata_data_options){.hold_out = 0.1}, err));
    strata_status status = strata_dataset_statistics(data, mean, deviation, err);
    status = status == STRATA_OK ? create_batcher(&batcher, data, STRATA_TEST, 32, err) : status;
    status = status == STRATA_OK ? st_batcher_start(batcher, NULL, TEST_COUNT, 0, err) : status;
    while (status == STRATA_OK && got.n > 0) {
        status = st_batcher_next(batcher, &got, err);
        all += got.n;
        assert_true(status != STRATA_OK || got.n == 0 || got.labels[0] == label(1, all - got.n, CLASSES));
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
        EACH(test_dataset_explains_what_is_not_there),
        EACH(test_dataset_finds_known_sets_under_strata_data),
        EACH(test_dataset_holds_out_by_class),
        EACH(test_dataset_limits_before_it_holds_out),
        EACH(test_dataset_statistics_are_of_training_pixels),
        EACH(test_batcher_gives_the_order),
        EACH(test_batcher_can_be_left_and_started_again),
        EACH(test_batcher_passes_errors),
        EACH(test_order_is_a_permutation_of_each_epoch),
        EACH(test_dataset_survives_every_fault),
        EACH(test_fashion_mnist_has_its_published_counts),
        EACH(test_mnist_has_its_published_counts),
    };
    return cmocka_run_group_tests_name("data", tests, make_folder, remove_folder);
}
