/* data: HDF5 files good and bad, written here through libhdf5 itself; and the child process that reads them. */
#include "data_case.h"

#ifdef ST_WITH_HDF5

#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "data/hdf5.h"

enum { FIRST_COUNT = 40, SECOND_COUNT = 9, HIGH = 6, WIDE = 5 };

/* ---- writing ---- */

static hid_t create(const char *name) {
    hid_t file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    note_made(in_folder(name));
    return file;
}

/* What is not plain about a set. */
typedef struct making {
    hid_t stored; /* its type in the file; 0: that of the values */
    hsize_t chunk[4];
    int deflate, shuffle, fletcher;
} making;

static hid_t plist_of(const making *how, int rank) {
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    if (how != NULL && how->chunk[0] > 0) {
        assert_true(H5Pset_chunk(plist, rank, how->chunk) >= 0);
    }
    if (how != NULL && how->shuffle > 0) {
        assert_true(H5Pset_shuffle(plist) >= 0);
    }
    if (how != NULL && how->deflate > 0) {
        assert_true(H5Pset_deflate(plist, (unsigned)how->deflate) >= 0);
    }
    if (how != NULL && how->fletcher > 0) {
        assert_true(H5Pset_fletcher32(plist) >= 0);
    }
    return plist;
}

static void put_set(hid_t file, const char *name, int rank, const hsize_t *dims, hid_t type, const void *values,
                    const making *how) {
    hid_t space = H5Screate_simple(rank, dims, NULL), plist = plist_of(how, rank);
    hid_t set = H5Dcreate2(file, name, how != NULL && how->stored > 0 ? how->stored : type, space, H5P_DEFAULT, plist,
                           H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(values == NULL || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    assert_true(H5Dclose(set) >= 0);
    H5Pclose(plist);
    H5Sclose(space);
}

/* Pictures (n, h, w, c), or (n, c, h, w), or (n, h, w) where c is 0. */
static void put_pictures(hid_t file, const char *name, size_t part, hsize_t count, hsize_t channels, bool first,
                         const making *how) {
    static uint8_t values[FIRST_COUNT * HIGH * WIDE * 4];
    hsize_t c = channels > 0 ? channels : 1, area = HIGH * WIDE;
    const hsize_t last[] = {count, HIGH, WIDE, channels}, second[] = {count, channels, HIGH, WIDE};
    for (hsize_t n = 0; n < count; n++) {
        for (hsize_t p = 0; p < area; p++) {
            for (hsize_t k = 0; k < c; k++) {
                hsize_t place = first ? k * area + p : p * c + k;
                values[n * area * c + place] = pixel(part, n * area * c + p * c + k);
            }
        }
    }
    put_set(file, name, channels > 0 ? 4 : 3, first ? second : last, H5T_NATIVE_UCHAR, values, how);
}

static int wanted(size_t part, size_t i) {
    return label(part, i, CLASSES);
}

static void put_labels(hid_t file, const char *name, size_t part, hsize_t count, hid_t stored) {
    int values[FIRST_COUNT];
    const making how = {.stored = stored};
    for (size_t i = 0; i < count; i++) {
        values[i] = wanted(part, i);
    }
    put_set(file, name, 1, &count, H5T_NATIVE_INT, values, &how);
}

/* train_set_x, train_set_y, list_classes in train.h5 and test_set_x, test_set_y in test.h5. */
static void put_course(void) {
    const hsize_t classes = CLASSES;
    int numbers[CLASSES];
    for (int i = 0; i < CLASSES; i++) {
        numbers[i] = i;
    }
    hid_t file = create("train.h5");
    put_pictures(file, "train_set_x", 0, FIRST_COUNT, 3, false, NULL);
    put_labels(file, "train_set_y", 0, FIRST_COUNT, H5T_STD_I64LE);
    put_set(file, "list_classes", 1, &classes, H5T_NATIVE_INT, numbers, NULL);
    H5Fclose(file);
    file = create("test.h5");
    put_pictures(file, "test_set_x", 1, SECOND_COUNT, 3, false, NULL);
    put_labels(file, "test_set_y", 1, SECOND_COUNT, H5T_STD_I64LE);
    put_set(file, "list_classes", 1, &classes, H5T_NATIVE_INT, numbers, NULL);
    H5Fclose(file);
}

/* ---- checking ---- */

static strata_dataset *open_it(const char *name) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    if (strata_dataset_open(&data, name[0] != '\0' ? in_folder(name) : folder, NULL, &err) != STRATA_OK) {
        fail_msg("%s: %s", err.file, err.message);
    }
    return data;
}

static void check(const strata_dataset *data, strata_part part, size_t number, size_t count, int64_t channels) {
    uint8_t pixels[HIGH * WIDE * 4];
    strata_shape shape = strata_dataset_shape(data);
    size_t bytes = (size_t)(shape.height * shape.width * shape.channels);
    assert_true(shape.height == HIGH && shape.width == WIDE && shape.channels == channels);
    assert_int_equal(strata_dataset_count(data, part), count);
    for (size_t i = 0; i < count; i++) {
        int found = -1;
        assert_int_equal(strata_dataset_read(data, part, i, pixels, &found, NULL), STRATA_OK);
        assert_int_equal(found, wanted(number, i));
        for (size_t k = 0; k < bytes; k++) {
            assert_int_equal(pixels[k], pixel(number, i * bytes + k));
        }
    }
}

static void refuse_at(const char *name, strata_status status, const char *message) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    strata_status got = strata_dataset_open(&data, in_folder(name), NULL, &err);
    if (got != status || strcmp(err.message, message) != 0) {
        fail_msg("%d: '%s'\nexpected %d: '%s'", (int)got, err.message, (int)status, message);
    }
    assert_null(data);
}

/* ---- good files ---- */

static void test_hdf5_reads_the_files_of_the_course(void **state) {
    (void)state;
    put_course();
    strata_dataset *data = open_it("");
    char name[ST_DATA_NAME_BYTES];
    assert_string_equal(strata_dataset_kind(data), "HDF5");
    assert_int_equal(strata_dataset_class_count(data), CLASSES);
    assert_string_equal(strata_dataset_class(data, 6), "6");
    check(data, STRATA_TRAIN, 0, FIRST_COUNT, 3);
    check(data, STRATA_TEST, 1, SECOND_COUNT, 3);
    st_data_name(data, STRATA_TEST, 3, name);
    assert_string_equal(name, "test.h5:3");
    strata_dataset_free(data);
    data = open_it("train.h5");
    check(data, STRATA_TRAIN, 0, FIRST_COUNT, 3);
    assert_int_equal(strata_dataset_count(data, STRATA_TEST), 0);
    strata_dataset_free(data);
    data = open_it("test.h5");
    check(data, STRATA_TEST, 1, SECOND_COUNT, 3);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 0);
    strata_dataset_free(data);
}

static void test_hdf5_reads_every_storage(void **state) {
    (void)state;
    static const making ways[] = {{.chunk = {1, HIGH, WIDE, 1}},
                                  {.chunk = {7, 4, 3, 2}, .deflate = 6},
                                  {.chunk = {SECOND_COUNT, HIGH, WIDE, 3}, .deflate = 9, .shuffle = 1},
                                  {.chunk = {SECOND_COUNT, 1, 1, 1}, .fletcher = 1},
                                  {.chunk = {3, HIGH, WIDE, 3}, .deflate = 1, .shuffle = 1, .fletcher = 1}};
    for (size_t i = 0; i < ST_COUNT_OF(ways); i++) {
        hid_t file = create("all.hdf5");
        put_pictures(file, "x_train", 0, FIRST_COUNT, 3, false, &ways[i]);
        put_labels(file, "y_train", 0, FIRST_COUNT, H5T_STD_U8LE);
        put_pictures(file, "x_test", 1, SECOND_COUNT, 3, false, &ways[i]);
        put_labels(file, "y_test", 1, SECOND_COUNT, H5T_STD_U8BE);
        H5Fclose(file);
        strata_dataset *data = open_it("all.hdf5");
        assert_int_equal(strata_dataset_class_count(data), CLASSES);
        check(data, STRATA_TRAIN, 0, FIRST_COUNT, 3);
        check(data, STRATA_TEST, 1, SECOND_COUNT, 3);
        strata_dataset_free(data);
    }
}

static void test_hdf5_reads_every_order_of_axes(void **state) {
    (void)state;
    for (hsize_t channels = 0; channels <= 4; channels++) {
        for (int first = 0; first < 2; first++) {
            if (channels == 2 || (channels == 0 && first == 1)) {
                continue;
            }
            hid_t file = create("a.h5");
            put_pictures(file, "images", 0, FIRST_COUNT, channels, first == 1, NULL);
            put_labels(file, "labels", 0, FIRST_COUNT, 0);
            H5Fclose(file);
            strata_dataset *data = open_it("a.h5");
            check(data, STRATA_TRAIN, 0, FIRST_COUNT, channels > 0 ? (int64_t)channels : 1);
            strata_dataset_free(data);
        }
    }
}

static void test_hdf5_reads_every_form_of_labels(void **state) {
    (void)state;
    double rows[FIRST_COUNT * CLASSES], column[FIRST_COUNT];
    const hsize_t hot[] = {FIRST_COUNT, CLASSES}, down[] = {FIRST_COUNT, 1}, across[] = {1, FIRST_COUNT};
    for (size_t i = 0; i < FIRST_COUNT; i++) {
        column[i] = wanted(0, i);
        for (size_t k = 0; k < CLASSES; k++) {
            rows[i * CLASSES + k] = wanted(0, i) == (int)k;
        }
    }
    const hid_t types[] = {H5T_STD_I8LE,  H5T_STD_U8LE,   H5T_STD_I16BE, H5T_STD_I32LE,
                           H5T_STD_U64BE, H5T_IEEE_F32LE, H5T_IEEE_F64BE};
    for (size_t t = 0; t < ST_COUNT_OF(types); t++) {
        for (int form = 0; form < 3; form++) {
            const making how = {.stored = types[t]};
            hid_t file = create("a.h5");
            put_pictures(file, "data", 0, FIRST_COUNT, 1, false, NULL);
            put_set(file, "y", 2,
                    form == 0   ? hot
                    : form == 1 ? down
                                : across,
                    H5T_NATIVE_DOUBLE, form == 0 ? rows : column, &how);
            H5Fclose(file);
            strata_dataset *data = open_it("a.h5");
            check(data, STRATA_TRAIN, 0, FIRST_COUNT, 1);
            assert_int_equal(strata_dataset_class_count(data), CLASSES);
            strata_dataset_free(data);
        }
    }
}

/* Values of other types: whole numbers from 0 to 255 as they are, fractions from 0 to 1 times 255. */
static void test_hdf5_converts_by_the_written_rule(void **state) {
    (void)state;
    static double values[FIRST_COUNT * HIGH * WIDE];
    const hsize_t dims[] = {FIRST_COUNT, HIGH, WIDE};
    const struct {
        hid_t type;
        double divisor;
    } ways[] = {
        {H5T_STD_I64LE, 1}, {H5T_STD_U16BE, 1}, {H5T_IEEE_F64LE, 1}, {H5T_IEEE_F32LE, 255}, {H5T_IEEE_F64LE, 255}};
    for (size_t w = 0; w < ST_COUNT_OF(ways); w++) {
        const making how = {.stored = ways[w].type};
        for (size_t i = 0; i < ST_COUNT_OF(values); i++) {
            values[i] = pixel(0, i) / ways[w].divisor;
        }
        hid_t file = create("a.h5");
        put_set(file, "x", 3, dims, H5T_NATIVE_DOUBLE, values, &how);
        put_labels(file, "y", 0, FIRST_COUNT, 0);
        H5Fclose(file);
        strata_dataset *data = open_it("a.h5");
        check(data, STRATA_TRAIN, 0, FIRST_COUNT, 1);
        strata_dataset_free(data);
    }
}

static void test_hdf5_refuses_other_ranges(void **state) {
    (void)state;
    static double values[FIRST_COUNT * HIGH * WIDE];
    const hsize_t dims[] = {FIRST_COUNT, HIGH, WIDE};
    static const struct {
        double odd;
        const char *message;
    } ways[] = {{-1.5, "'x' has values from -1.5 to 1, expected 0 to 255, or fractions from 0 to 1"},
                {300, "'x' has values from 1 to 300, expected 0 to 255, or fractions from 0 to 1"},
                {NAN, "'x' has values from nan to 1, expected 0 to 255, or fractions from 0 to 1"}};
    for (size_t w = 0; w < ST_COUNT_OF(ways); w++) {
        for (size_t i = 0; i < ST_COUNT_OF(values); i++) {
            values[i] = i == 77 ? ways[w].odd : 1;
        }
        hid_t file = create("a.h5");
        put_set(file, "x", 3, dims, H5T_NATIVE_DOUBLE, values, NULL);
        put_labels(file, "y", 0, FIRST_COUNT, 0);
        H5Fclose(file);
        refuse_at("a.h5", STRATA_FORMAT, ways[w].message);
    }
}

static void test_hdf5_reads_groups_and_names_of_classes(void **state) {
    (void)state;
    static const char fixed[3][8] = {"no cat", "cat\0xx", "\xff two"};
    static const char *const variable[] = {"no cat", "cat", "\xff two"};
    const hsize_t three = 3;
    const hsize_t count = 3;
    int values[] = {2, 0, 1};
    for (int form = 0; form < 2; form++) {
        hid_t file = create("a.h5"), type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, form == 0 ? 8 : H5T_VARIABLE);
        hid_t group = H5Gcreate2(file, "train", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        hid_t inner = H5Gcreate2(file, "validation", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        put_pictures(group, "images", 0, count, 3, true, NULL);
        put_set(group, "labels", 1, &count, H5T_NATIVE_INT, values, NULL);
        put_pictures(inner, "images", 1, count, 3, true, NULL);
        put_set(inner, "labels", 1, &count, H5T_NATIVE_INT, values, NULL);
        put_set(file, "class_names", 1, &three, type, form == 0 ? (const void *)fixed : (const void *)variable, NULL);
        H5Lcreate_hard(file, "/", group, "circle", H5P_DEFAULT, H5P_DEFAULT); /* a group in itself is no trap */
        H5Ldelete(group, "circle", H5P_DEFAULT);
        H5Gclose(inner);
        H5Gclose(group);
        H5Tclose(type);
        H5Fclose(file);
        strata_dataset *data = open_it("a.h5");
        assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 3);
        assert_int_equal(strata_dataset_count(data, STRATA_VAL), 3);
        assert_int_equal(strata_dataset_class_count(data), 3);
        assert_string_equal(strata_dataset_class(data, 0), "no cat");
        assert_string_equal(strata_dataset_class(data, 1), "cat");
        assert_string_equal(strata_dataset_class(data, 2), "\\xFF two");
        strata_dataset_free(data);
    }
}

static void test_hdf5_reads_behind_a_user_block(void **state) {
    (void)state;
    hid_t plist = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(plist, 1024);
    hid_t file = H5Fcreate(in_folder("named like nothing"), H5F_ACC_TRUNC, plist, H5P_DEFAULT);
    note_made(in_folder("named like nothing"));
    put_pictures(file, "images", 0, FIRST_COUNT, 3, false, NULL);
    put_labels(file, "labels", 0, FIRST_COUNT, 0);
    H5Fclose(file);
    H5Pclose(plist);
    strata_dataset *data = open_it("named like nothing");
    check(data, STRATA_TRAIN, 0, FIRST_COUNT, 3);
    strata_dataset_free(data);
}

static void test_hdf5_takes_names_where_shapes_leave_a_choice(void **state) {
    (void)state;
    hid_t file = create("a.h5");
    put_pictures(file, "one", 0, FIRST_COUNT, 3, false, NULL);
    put_pictures(file, "two", 1, FIRST_COUNT, 3, false, NULL);
    put_labels(file, "first", 0, FIRST_COUNT, 0);
    put_labels(file, "second", 1, FIRST_COUNT, 0);
    H5Fclose(file);
    refuse_at("a.h5", STRATA_FORMAT, "'one' and 'two' can both be the pictures of the train part");
    strata_dataset *data = open_it("a.h5:one:first");
    check(data, STRATA_TRAIN, 0, FIRST_COUNT, 3);
    strata_dataset_free(data);
    data = open_it("a.h5:/two:second");
    check(data, STRATA_TRAIN, 1, FIRST_COUNT, 3);
    strata_dataset_free(data);
    refuse_at("a.h5:one", STRATA_INVALID, "'one' has no labels beside it: expected FILE:PICTURES:LABELS");
    refuse_at(
        "a.h5:one:third", STRATA_MISSING,
        "holds no data set 'third'; there are 'first' (40 integers), 'one' (40x6x5x3 bytes), 'second' (40 integers), "
        "'two' (40x6x5x3 bytes)");
    refuse_at("a.h5:one:two", STRATA_FORMAT, "'two' (40x6x5x3 bytes) cannot be the labels of 40 pictures");
    refuse_at("a.h5:first:second", STRATA_FORMAT,
              "'first' (40 integers) cannot be pictures: expected n x h x w, with 1, 3 or 4 channels last or second");
    refuse_at("a.h5:one:first:two:second", STRATA_FORMAT, "'one' and 'two' can both be the pictures of the train part");
}

static void test_hdf5_signs_are_as_described(void **state) {
    (void)state;
    char path[256], hash[65];
    const char *root = getenv("STRATA_TEST_DATA");
    snprintf(path, sizeof path, "%s/signs", root != NULL ? root : "");
    if (root == NULL || access(path, R_OK) != 0) {
        print_message("skipped: no signs below $STRATA_TEST_DATA\n");
        skip();
    }
    strata_dataset *data = NULL;
    strata_error err = {0};
    if (strata_dataset_open(&data, path, NULL, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    strata_shape shape = strata_dataset_shape(data);
    assert_true(shape.height == 64 && shape.width == 64 && shape.channels == 3);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 1080);
    assert_int_equal(strata_dataset_count(data, STRATA_TEST), 120);
    assert_int_equal(strata_dataset_class_count(data), 6);
    for (size_t c = 0; c < 6; c++) {
        assert_int_equal(strata_dataset_class_size(data, STRATA_TRAIN, c), 180);
        assert_int_equal(strata_dataset_class_size(data, STRATA_TEST, c), 20);
    }
    uint8_t pixels[64 * 64 * 3];
    int found = -1;
    assert_int_equal(strata_dataset_read(data, STRATA_TRAIN, 0, pixels, &found, &err), STRATA_OK);
    st_sha256 sha;
    st_sha256_begin(&sha);
    st_sha256_add(&sha, pixels, sizeof pixels);
    st_sha256_end(&sha, hash);
    assert_string_equal(hash, "3dcfe96face4b9ee93f2bb2445c300c052cdb1f4b212fc1030fe96fc450b00f5");
    assert_int_equal(found, 1);
    strata_dataset_free(data);
}

/* ---- bad files: one clear line each ---- */

static void test_hdf5_refuses_wrong_ranks_and_missing_sets(void **state) {
    (void)state;
    const hsize_t flat[] = {FIRST_COUNT, HIGH * WIDE * 3}, five[] = {2, 2, 2, 2, 2};
    uint8_t values[FIRST_COUNT * HIGH * WIDE * 3] = {0};
    hid_t file = create("train.h5");
    H5Fclose(file);
    refuse_at("train.h5", STRATA_FORMAT,
              "holds no data set of pictures (n x h x w, with 1, 3 or 4 channels last or second); there are none");
    file = create("train.h5");
    put_set(file, "train_set_x", 2, flat, H5T_NATIVE_UCHAR, values, NULL);
    put_set(file, "more", 5, five, H5T_NATIVE_UCHAR, values, NULL);
    put_labels(file, "train_set_y", 0, FIRST_COUNT, 0);
    H5Fclose(file);
    refuse_at("train.h5", STRATA_FORMAT,
              "holds no data set of pictures (n x h x w, with 1, 3 or 4 channels last or second); there are 'more' "
              "(2x2x2x2x... bytes), 'train_set_x' (40x90 bytes), 'train_set_y' (40 integers)");
    file = create("train.h5");
    put_pictures(file, "train_set_x", 0, FIRST_COUNT, 3, false, NULL);
    H5Fclose(file);
    refuse_at(
        "train.h5", STRATA_FORMAT,
        "'train_set_x' holds 40 pictures, but no data set of the same part holds 40 labels; there are 'train_set_x' "
        "(40x6x5x3 bytes)");
    file = create("train.h5");
    put_pictures(file, "train_set_x", 0, FIRST_COUNT, 3, false, NULL);
    put_labels(file, "train_set_y", 0, FIRST_COUNT - 1, 0);
    H5Fclose(file);
    refuse_at(
        "train.h5", STRATA_FORMAT,
        "'train_set_x' holds 40 pictures, but no data set of the same part holds 40 labels; there are 'train_set_x' "
        "(40x6x5x3 bytes), 'train_set_y' (39 integers)");
}

static void test_hdf5_refuses_bad_labels(void **state) {
    (void)state;
    const hsize_t count = FIRST_COUNT, two[] = {FIRST_COUNT, 2}, classes = 3;
    double labels[FIRST_COUNT] = {0}, rows[2 * FIRST_COUNT] = {0};
    const int numbers[] = {0, 1, 2};
    static const struct {
        double label;
        const char *message;
    } ways[] = {{-1, "label -1 of picture 7 is out of range, expected 0 to 2"},
                {3, "label 3 of picture 7 is out of range, expected 0 to 2"},
                {1e12, "'y': label 7 is 1e+12, expected a whole number"},
                {0.5, "'y': label 7 is 0.5, expected a whole number"},
                {NAN, "'y': label 7 is nan, expected a whole number"}};
    for (size_t w = 0; w < ST_COUNT_OF(ways); w++) {
        hid_t file = create("a.h5");
        labels[7] = ways[w].label;
        put_pictures(file, "x", 0, FIRST_COUNT, 3, false, NULL);
        put_set(file, "y", 1, &count, H5T_NATIVE_DOUBLE, labels, NULL);
        put_set(file, "list_classes", 1, &classes, H5T_NATIVE_INT, numbers, NULL);
        H5Fclose(file);
        refuse_at("a.h5", STRATA_FORMAT, ways[w].message);
    }
    for (int odd = 0; odd < 3; odd++) {
        hid_t file = create("a.h5");
        for (size_t i = 0; i < FIRST_COUNT; i++) {
            rows[2 * i] = 1;
        }
        rows[10] = odd == 0 ? 0 : 1;
        rows[11] = odd == 1 ? 1 : odd == 2 ? 0.1 : 0;
        put_pictures(file, "x", 0, FIRST_COUNT, 3, false, NULL);
        put_set(file, "y", 2, two, H5T_NATIVE_DOUBLE, rows, NULL);
        H5Fclose(file);
        refuse_at("a.h5", STRATA_FORMAT, "'y': row 5 is not one-hot, expected one 1 among zeros");
    }
}

static void test_hdf5_follows_no_links_and_reads_no_other_file(void **state) {
    (void)state;
    const hsize_t dims[] = {FIRST_COUNT, HIGH, WIDE, 3};
    hid_t file = create("other.h5");
    put_pictures(file, "x", 0, FIRST_COUNT, 3, false, NULL);
    H5Fclose(file);
    for (int way = 0; way < 4; way++) {
        file = create("a.h5");
        put_labels(file, "y", 0, FIRST_COUNT, 0);
        hid_t plist = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(4, dims, NULL);
        if (way == 0) {
            H5Lcreate_soft("/elsewhere", file, "x", H5P_DEFAULT, H5P_DEFAULT);
        } else if (way == 1) {
            H5Lcreate_external("other.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT);
        } else {
            if (way == 2) {
                H5Pset_external(plist, "other.h5", 0, H5F_UNLIMITED);
            } else {
                H5Pset_virtual(plist, space, "other.h5", "/x", space);
            }
            H5Dclose(H5Dcreate2(file, "x", H5T_NATIVE_UCHAR, space, H5P_DEFAULT, plist, H5P_DEFAULT));
        }
        H5Pclose(plist);
        H5Sclose(space);
        H5Fclose(file);
        static const char *const messages[] = {"'x' is a soft link, which is not followed",
                                               "'x' is a link to another file, which is not followed",
                                               "'x' is stored in another file, which is not read",
                                               "'x' is a virtual data set, made of other files, which are not read"};
        refuse_at("a.h5", STRATA_UNSUPPORTED, messages[way]);
        refuse_at("a.h5:x:y", STRATA_UNSUPPORTED, messages[way]);
    }
}

static void test_hdf5_refuses_other_filters(void **state) {
    (void)state;
    const hsize_t dims[] = {FIRST_COUNT, HIGH, WIDE, 3}, chunk[] = {4, HIGH, WIDE, 3};
    hid_t file = create("a.h5"), plist = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(4, dims, NULL);
    static uint8_t values[FIRST_COUNT * HIGH * WIDE * 3];
    H5Pset_chunk(plist, 4, chunk);
    H5Pset_scaleoffset(plist, H5Z_SO_INT, 0);
    hid_t set = H5Dcreate2(file, "x", H5T_NATIVE_UCHAR, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(plist);
    put_labels(file, "y", 0, FIRST_COUNT, 0);
    H5Fclose(file);
    refuse_at("a.h5", STRATA_UNSUPPORTED, "'x' is packed with filter 6; deflate, shuffle and fletcher32 are read");
}

/* Declared is much, stored is nothing or little. */
static void test_hdf5_refuses_what_is_not_stored(void **state) {
    (void)state;
    const hsize_t most = 4000000, dims[] = {4000000, 64, 64, 3};
    const making chunked = {.chunk = {16, 64, 64, 3}};
    hid_t file = create("a.h5");
    put_set(file, "x", 4, dims, H5T_NATIVE_UCHAR, NULL, &chunked);
    put_set(file, "y", 1, &most, H5T_NATIVE_UCHAR, NULL, &chunked);
    H5Fclose(file);
    refuse_at("a.h5", STRATA_FORMAT, "'x' declares more than 1000 times the 0 bytes that are stored of it");
    const hsize_t wide[] = {4, 16384, 4096, 3};
    const making large = {.chunk = {4, 16384, 4096, 3}};
    file = create("a.h5");
    put_set(file, "x", 4, wide, H5T_NATIVE_UCHAR, NULL, &large);
    put_labels(file, "y", 0, 4, 0);
    H5Fclose(file);
    refuse_at("a.h5", STRATA_FORMAT, "'x' declares more than 1000 times the 0 bytes that are stored of it");
}

static void test_hdf5_refuses_what_is_none(void **state) {
    (void)state;
    put_file("train.h5", "a text", 6);
    refuse_at("train.h5", STRATA_FORMAT, "has no HDF5 signature (89 48 44 46 at byte 0, 512, 1024, ...)");
    put_file("train.h5", "", 0);
    refuse_at("train.h5", STRATA_FORMAT, "has no HDF5 signature (89 48 44 46 at byte 0, 512, 1024, ...)");
    put_file("train.h5", "\x89HDF\r\n\x1a\n", 8);
    strata_dataset *data = NULL;
    strata_error err = {0};
    assert_int_equal(strata_dataset_open(&data, in_folder("train.h5"), NULL, &err), STRATA_FORMAT);
    assert_memory_equal(err.message, "libhdf5 cannot open it: ", 24); /* and its own words */
    put_course();
    put_file("test.h5", "a text", 6);
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
    assert_string_equal(err.file, in_folder("test.h5"));
}

/* ---- damage of every kind: an error in words, or data ---- */

static size_t read_bytes(const char *name, unsigned char *bytes, size_t capacity) {
    FILE *file = fopen(in_folder(name), "rb");
    assert_non_null(file);
    size_t length = fread(bytes, 1, capacity, file);
    fclose(file);
    return length;
}

static size_t put_small(unsigned char *bytes, size_t capacity) {
    const making packed = {.chunk = {4, HIGH, WIDE, 3}, .deflate = 6};
    hid_t file = create("train.h5");
    put_pictures(file, "train_set_x", 0, FIRST_COUNT, 3, false, &packed);
    put_labels(file, "train_set_y", 0, FIRST_COUNT, 0);
    H5Fclose(file);
    return read_bytes("train.h5", bytes, capacity);
}

/* What is not refused must be readable to its last picture. */
static bool survives(const char *name) {
    strata_dataset *data = NULL;
    strata_error err = {0};
    strata_status status = strata_dataset_open(&data, in_folder(name), NULL, &err);
    if (status != STRATA_OK) {
        assert_int_equal(err.status, status);
        assert_true(err.message[0] != '\0');
        return false;
    }
    strata_shape shape = strata_dataset_shape(data);
    uint8_t *pixels = malloc((size_t)(shape.height * shape.width * shape.channels));
    int found;
    for (size_t i = 0; i < strata_dataset_count(data, STRATA_TRAIN); i++) {
        assert_int_equal(strata_dataset_read(data, STRATA_TRAIN, i, pixels, &found, NULL), STRATA_OK);
    }
    free(pixels);
    strata_dataset_free(data);
    return true;
}

static void test_hdf5_survives_a_file_cut_short(void **state) {
    (void)state;
    static unsigned char bytes[100000];
    size_t length = put_small(bytes, sizeof bytes);
    assert_true(length > 4000 && length < sizeof bytes && survives("train.h5"));
    for (size_t cut = 0; cut < length; cut += 1 + length / 97) {
        put_file("train.h5", bytes, cut);
        assert_false(survives("train.h5"));
    }
}

static void test_hdf5_survives_damage_anywhere(void **state) {
    (void)state;
    static unsigned char bytes[100000];
    size_t length = put_small(bytes, sizeof bytes), refused = 0;
    enum { ROUNDS = 300 };
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t where = st_rng_bits(21, 0, round) % (round % 2 == 0 ? 3000 : length);
        unsigned char was = bytes[where];
        bytes[where] = (unsigned char)st_rng_bits(21, 1, round);
        put_file("train.h5", bytes, length);
        refused += !survives("train.h5");
        bytes[where] = was;
    }
    assert_true(refused > ROUNDS / 20);
}

/* ---- the child ---- */

static void fail_by_crash(void) {
    raise(SIGSEGV);
}

static void fail_by_abort(void) {
    abort();
}

static void fail_by_loop(void) {
    for (volatile int i = 0;; i = !i) {
    }
}

static void fail_by_silence(void) {
    sleep(1000);
}

static void fail_by_end(void) {
    st_child_say("abc", 3);
}

/* A handler that would hang: it must not run in the child, nor may the child end by a signal for the parent. */
static void say_after_signals(void) {
    raise(SIGINT);
    raise(SIGTERM);
    st_child_say("as asked", 8);
    sleep(1000);
}

static void say_what_is_open(void) {
    char open_ones[64] = "";
    for (int d = 0; d < 60; d++) {
        open_ones[d] = fcntl(d, F_GETFD) >= 0 ? 'o' : '-';
    }
    st_child_seal();
    open_ones[60] = open("/dev/null", O_RDONLY) >= 0 ? 'o' : '-';
    st_child_say(open_ones, sizeof open_ones);
}

static void say_what_memory_there_is(void) {
    size_t got = 0;
    while (got < 64 && malloc((size_t)1 << 24) != NULL) {
        got++;
    }
    st_child_say(&got, sizeof got);
}

static strata_status run_child(void (*serve)(void), void *out, size_t count, strata_error *err) {
    st_file lent;
    put_file("lent", "content", 7);
    assert_int_equal(st_file_open(&lent, in_folder("lent"), NULL), STRATA_OK);
    /* Long, for a busy machine, but where its end is waited for. */
    st_child child = {.patience_s = serve == fail_by_silence ? 0.3 : 20, .path = "lent", .who = "it"};
    assert_int_equal(st_child_start(&child, &lent, (uint64_t)256 << 20, 1, serve, err), STRATA_OK);
    st_file_close(&lent);
    strata_status status = st_child_hear(&child, out, count, err);
    st_child_end(&child);
    st_child_end(&child);
    return status;
}

static void test_child_is_ended_whatever_it_does(void **state) {
    (void)state;
    static const struct {
        void (*serve)(void);
        const char *message;
    } ways[] = {{fail_by_crash, "it crashed while reading it (signal 11): the file is damaged"},
                {fail_by_abort, "it crashed while reading it (signal 6): the file is damaged"},
                {fail_by_loop, "it works on it without end: the file is damaged"},
                {fail_by_silence, "it was silent for 0.3 seconds while reading it"},
                {fail_by_end, "it gave up reading it: the file is damaged"}};
    char answer[8];
    for (int ignored = 0; ignored < 2; ignored++) { /* a host that does not want to hear of its children */
        void (*before)(int) = signal(SIGCHLD, ignored == 0 ? SIG_DFL : SIG_IGN);
        for (size_t w = 0; w < ST_COUNT_OF(ways); w++) {
            strata_error err = {0};
            if (ignored == 1 && ways[w].serve == fail_by_loop) {
                continue; /* once is enough: it takes its second */
            }
            assert_int_equal(run_child(ways[w].serve, answer, sizeof answer, &err), STRATA_FORMAT);
            if (ignored == 0) {
                assert_string_equal(err.message, ways[w].message);
            }
            assert_string_equal(err.file, "lent");
        }
        signal(SIGCHLD, before);
    }
}

static void handler(int number) {
    (void)number;
    for (;;) {
    }
}

static void test_child_has_nothing_of_the_parent(void **state) {
    (void)state;
    char answer[64];
    strata_error err = {0};
    sigset_t before, after;
    void (*was)(int) = signal(SIGINT, handler);
    sigprocmask(SIG_SETMASK, NULL, &before);
    if (run_child(say_after_signals, answer, 8, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    assert_memory_equal(answer, "as asked", 8);
    signal(SIGINT, was);
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int s = 1; s < 32; s++) {
        assert_int_equal(sigismember(&before, s), sigismember(&after, s));
    }
    assert_int_equal(run_child(say_what_is_open, answer, sizeof answer, &err), STRATA_OK);
    assert_memory_equal(answer, "ooooo-------------------------------------------------------", 60);
    assert_int_equal(answer[60], '-');
    size_t blocks = 0;
    assert_int_equal(run_child(say_what_memory_there_is, &blocks, sizeof blocks, &err), STRATA_OK);
    assert_true(blocks > 4 && blocks < 17);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* all were waited for */
}

#endif

int main(void) {
#ifdef ST_WITH_HDF5
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_hdf5_reads_the_files_of_the_course, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_reads_every_storage, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_reads_every_order_of_axes, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_reads_every_form_of_labels, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_converts_by_the_written_rule, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_refuses_other_ranges, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_reads_groups_and_names_of_classes, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_reads_behind_a_user_block, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_takes_names_where_shapes_leave_a_choice, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_signs_are_as_described, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_refuses_wrong_ranks_and_missing_sets, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_refuses_bad_labels, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_follows_no_links_and_reads_no_other_file, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_refuses_other_filters, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_refuses_what_is_not_stored, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_refuses_what_is_none, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_survives_a_file_cut_short, empty_folder),
        cmocka_unit_test_teardown(test_hdf5_survives_damage_anywhere, empty_folder),
        cmocka_unit_test_teardown(test_child_is_ended_whatever_it_does, empty_folder),
        cmocka_unit_test_teardown(test_child_has_nothing_of_the_parent, empty_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
#else
    print_message("skipped: this build has no libhdf5\n");
    return 0;
#endif
}
