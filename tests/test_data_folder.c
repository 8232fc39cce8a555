/* data: folders of pictures: parts, classes by name, what is left out and why, names of every kind. Most pictures are
 * anymaps, which every build reads. */
#include <ftw.h>

#include "data_case.h"
#include "encode.h"

/* ---- trees of folders ---- */

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about;
    (void)kind;
    return where->level == 0 ? 0 : remove(path);
}

static int empty_tree(void **state) {
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file and the folders above it. */
static void put_deep(const char *name, const void *bytes, size_t length) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    if (name[strlen(name) - 1] == '/') {
        return;
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A picture of 4x3 with one value, grey or (value, value + 1, value + 2). */
static void put_picture(const char *name, int value, bool in_color) {
    char bytes[64];
    int length = snprintf(bytes, sizeof bytes, "P%d 4 3 255\n", in_color ? 6 : 5);
    for (int i = 0; i < (in_color ? 36 : 12); i++) {
        bytes[length++] = (char)(value + (in_color ? i % 3 : 0));
    }
    put_deep(name, bytes, (size_t)length);
}

static void check_picture(const strata_dataset *data, strata_part part, size_t index, const char *name, int label,
                          int value, bool in_color) {
    uint8_t pixels[36];
    char found_name[ST_DATA_NAME_BYTES];
    int found = -1;
    assert_int_equal(strata_dataset_read(data, part, index, pixels, &found, NULL), STRATA_OK);
    st_data_name(data, part, index, found_name);
    assert_string_equal(found_name, name);
    assert_int_equal(found, label);
    for (int64_t i = 0; i < 12 * strata_dataset_shape(data).channels; i++) {
        assert_int_equal(pixels[i], value + (in_color ? (int)i % 3 : 0));
    }
}

/* ---- good folders ---- */

static void test_folder_maps_parts_by_name(void **state) {
    (void)state;
    put_picture("train/dog/b.ppm", 20, true);
    put_picture("train/dog/a.ppm", 10, true);
    put_picture("train/cat/1.ppm", 30, true);
    put_picture("validation/dog/v.ppm", 40, true);
    put_picture("test/ant/t.ppm", 50, true);
    put_picture("test/dog/t.ppm", 60, true);
    put_deep("README.md", "about", 5);
    put_deep("train/NOTES", "about", 5);
    strata_dataset *data = open_folder(NULL);
    strata_shape shape = strata_dataset_shape(data);
    assert_true(shape.height == 3 && shape.width == 4 && shape.channels == 3);
    assert_string_equal(strata_dataset_kind(data), "folders of pictures");
    assert_int_equal(strata_dataset_class_count(data), 3);
    assert_string_equal(strata_dataset_class(data, 0), "ant");
    assert_string_equal(strata_dataset_class(data, 1), "cat");
    assert_string_equal(strata_dataset_class(data, 2), "dog");
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 3);
    /* Round the classes. */
    check_picture(data, STRATA_TRAIN, 0, "train/cat/1.ppm", 1, 30, true);
    check_picture(data, STRATA_TRAIN, 1, "train/dog/a.ppm", 2, 10, true);
    check_picture(data, STRATA_TRAIN, 2, "train/dog/b.ppm", 2, 20, true);
    check_picture(data, STRATA_VAL, 0, "validation/dog/v.ppm", 2, 40, true);
    check_picture(data, STRATA_TEST, 0, "test/ant/t.ppm", 0, 50, true);
    check_picture(data, STRATA_TEST, 1, "test/dog/t.ppm", 2, 60, true);
    assert_int_equal(strata_dataset_note_count(data), 3);
    assert_string_equal(strata_dataset_note(data, 0), "1 class has no pictures in train: ant");
    assert_string_equal(strata_dataset_note(data, 1), "2 classes have no pictures in val: ant, cat");
    assert_string_equal(strata_dataset_note(data, 2), "1 class has no pictures in test: cat");
    assert_string_equal(strata_dataset_note(data, 3), "");
    strata_dataset_free(data);
}

static void test_folder_of_classes_is_for_training(void **state) {
    (void)state;
    char name[64];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "%s/%02d.pgm", i % 2 == 0 ? "train" : "plane", i); /* a class may be called train */
        put_picture(name, i, false);
    }
    put_deep("empty/", "", 0);
    put_deep(".git/x", "", 0);
    strata_dataset *data = open_folder(&(strata_data_options){.hold_out = 0.2, .seed = 1});
    assert_int_equal(strata_dataset_shape(data).channels, 1);
    assert_int_equal(strata_dataset_class_count(data), 3);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 16);
    assert_int_equal(strata_dataset_count(data, STRATA_VAL), 4);
    assert_true(strata_dataset_was_held_out(data));
    assert_string_equal(strata_dataset_note(data, 0), "1 class has no pictures in train: empty");
    strata_dataset_free(data);
    data = open_folder(&(strata_data_options){.limit = 3});
    check_picture(data, STRATA_TRAIN, 0, "plane/01.pgm", 1, 1, false);
    check_picture(data, STRATA_TRAIN, 1, "train/00.pgm", 2, 0, false);
    check_picture(data, STRATA_TRAIN, 2, "plane/03.pgm", 1, 3, false);
    strata_dataset_free(data);
}

static void test_folder_spreads_grey_among_color(void **state) {
    (void)state;
    put_picture("train/a/1.pgm", 7, false);
    put_picture("train/a/2.ppm", 9, true);
    put_picture("test/a/1.pgm", 8, false);
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(strata_dataset_shape(data).channels, 3);
    check_picture(data, STRATA_TRAIN, 0, "train/a/1.pgm", 0, 7, false);
    check_picture(data, STRATA_TRAIN, 1, "train/a/2.ppm", 0, 9, true);
    check_picture(data, STRATA_TEST, 0, "test/a/1.pgm", 0, 8, false);
    strata_dataset_free(data);
}

static void test_folder_takes_any_name(void **state) {
    (void)state;
    static const char *const files[] = {
        "a b/c d.pgm",   "a b/new\nline.pgm", "a b/\"quoted'.pgm",    "b\377\376/\351t\351.pgm",
        "line\nbreak/x", "-rf/--help.pgm",    "\xe2\x98\x83/snow.pgm"};
    for (size_t i = 0; i < ST_COUNT_OF(files); i++) {
        put_picture(files[i], (int)i, false);
    }
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), ST_COUNT_OF(files));
    assert_int_equal(strata_dataset_class_count(data), 5);
    assert_string_equal(strata_dataset_class(data, 0), "-rf");
    assert_string_equal(strata_dataset_class(data, 1), "a b");
    assert_string_equal(strata_dataset_class(data, 2), "b\\xFF\\xFE"); /* JSON takes UTF-8 only */
    assert_string_equal(strata_dataset_class(data, 3), "line\nbreak");
    for (size_t i = 0; i < ST_COUNT_OF(files); i++) {
        char name[ST_DATA_NAME_BYTES];
        uint8_t pixels[12];
        int label = 0;
        assert_int_equal(strata_dataset_read(data, STRATA_TRAIN, i, pixels, &label, NULL), STRATA_OK);
        st_data_name(data, STRATA_TRAIN, i, name);
        assert_string_equal(name, files[pixels[0]]);
    }
    strata_dataset_free(data);
}

/* ---- what is left out ---- */

static void put_many(const char *class_name, int count) {
    char name[64];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s/good%02d.pgm", class_name, i);
        put_picture(name, i, false);
    }
}

static void test_folder_leaves_out_what_is_broken(void **state) {
    (void)state;
    const char *reason = NULL;
    put_many("train/a", 40);
    put_deep("train/a/text.jpg", "hello, I am no picture", 22);
    put_deep("train/a/cut.pgm", "P5 4 3 255\nabc", 14);
    put_deep("train/a/empty.png", "", 0);
    put_deep("train/a/\351t\351.jpg", "", 0);
    put_deep("train/a/Thumbs.db", "neither a picture nor called one", 32);
    put_deep("train/a/deeper/x.pgm", "P5 1 1 255\nx", 12);
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 40);
    assert_int_equal(strata_dataset_broken_count(data), 4);
    assert_string_equal(strata_dataset_broken(data, 0, &reason), "train/a/cut.pgm");
    assert_string_equal(reason, "cut: holds 14 bytes, its header promises 23");
    assert_string_equal(strata_dataset_broken(data, 1, &reason), "train/a/empty.png");
    assert_string_equal(strata_dataset_broken(data, 2, &reason), "train/a/text.jpg");
    assert_string_equal(strata_dataset_broken(data, 3, &reason), "train/a/\\xE9t\\xE9.jpg");
    assert_string_equal(strata_dataset_broken(data, 4, &reason), "");
    assert_string_equal(strata_dataset_note(data, 0),
                        "4 pictures cannot be read and are left out, such as train/a/cut.pgm: cut: holds 14 bytes, "
                        "its header promises 23");
    strata_dataset_free(data);
    put_deep("train/a/more.jpg", "x", 1);
    refused(STRATA_FORMAT, "",
            "more than a tenth of its 45 pictures cannot be read, such as train/a/cut.pgm: cut: holds 14 bytes, its "
            "header promises 23");
}

static void test_folder_that_is_to_be_strict_or_examined(void **state) {
    (void)state;
    const strata_data_options strict = {.strict = true}, examines = {.examines = true};
    strata_dataset *data = NULL;
    strata_error err = {0};
    put_many("train/a", 40);
    data = open_folder(&strict);
    strata_dataset_free(data);
    put_deep("train/a/text.jpg", "hello, I am no picture", 22);
    assert_int_equal(strata_dataset_open(&data, folder, &strict, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "1 of its 41 pictures cannot be read: train/a/text.jpg: no picture"));
    for (int i = 0; i < 20; i++) {
        char name[64];
        snprintf(name, sizeof name, "train/b/%d.png", i);
        put_deep(name, "x", 1);
    }
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_FORMAT);
    data = open_folder(&examines);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 40);
    assert_int_equal(strata_dataset_broken_count(data), 21);
    strata_dataset_free(data);
    /* Where nothing can be read there is nothing to look at. */
    empty_tree(NULL);
    put_deep("a/1.png", "x", 1);
    assert_int_equal(strata_dataset_open(&data, folder, &examines, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "cannot be read, such as a/1.png"));
}

static int refuse_x(const char *path, int flags, int mode) {
    const char *name = strrchr(path, '/');
    if (name != NULL && strcmp(name, "/x.pgm") == 0) {
        errno = EIO;
        return -1;
    }
    return real_system.open(path, flags, mode);
}

/* What was not given the last time may be given the next: it is looked at again. */
static void test_folder_looks_again_at_what_was_not_read(void **state) {
    (void)state;
    char cache[160];
    const char *reason = NULL;
    snprintf(cache, sizeof cache, "%s/.cache", folder);
    setenv("XDG_CACHE_HOME", cache, 1);
    put_many("a", 30);
    put_picture("a/x.pgm", 7, false);
    real_system = st_sys;
    st_sys.open = refuse_x;
    strata_dataset *data = open_folder(NULL);
    st_sys = real_system;
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 30);
    assert_int_equal(strata_dataset_broken_count(data), 1);
    assert_string_equal(strata_dataset_broken(data, 0, &reason), "a/x.pgm");
    strata_dataset_free(data);
    data = open_folder(NULL);
    setenv("XDG_CACHE_HOME", "/proc/self/none", 1);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 31);
    assert_int_equal(strata_dataset_broken_count(data), 0);
    strata_dataset_free(data);
}

static void test_folder_says_that_one_class_is_too_few(void **state) {
    (void)state;
    put_many("train/a", 20);
    strata_dataset *data = open_folder(NULL);
    assert_string_equal(strata_dataset_note(data, 0), "there is one class only, and so nothing to tell apart");
    strata_dataset_free(data);
}

static void test_folder_does_not_lose_a_part_that_is_closed(void **state) {
    (void)state;
    char path[128];
    strata_error err = {0};
    strata_dataset *data = NULL;
    if (geteuid() == 0) {
        print_message("skip: root may list every folder\n");
        skip();
    }
    put_many("train/a", 4);
    put_many("test/a", 4);
    snprintf(path, sizeof path, "%s/test", folder);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(strata_dataset_open(&data, folder, NULL, &err), STRATA_IO);
    assert_int_equal(chmod(path, 0700), 0);
    assert_string_equal(err.file, path);
    assert_non_null(strstr(err.message, "cannot be listed: Permission denied"));
}

static void test_folder_leaves_out_what_cannot_be_opened(void **state) {
    (void)state;
    char path[128];
    const char *reason = NULL;
    put_many("a", 30);
    snprintf(path, sizeof path, "%s/a/loop.jpg", folder);
    assert_int_equal(symlink("loop.jpg", path), 0);
    snprintf(path, sizeof path, "%s/a/pipe.jpg", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/self", folder); /* links that lead back are no classes */
    assert_int_equal(symlink(".", path), 0);
    snprintf(path, sizeof path, "%s/loop", folder);
    assert_int_equal(symlink("../..", path), 0);
    snprintf(path, sizeof path, "%s/b", folder); /* any other is */
    assert_int_equal(symlink("a", path), 0);
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(strata_dataset_class_count(data), 2);
    assert_string_equal(strata_dataset_class(data, 1), "b");
    strata_dataset_free(data);
    assert_int_equal(unlink(path), 0);
    data = open_folder(NULL);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 30);
    assert_int_equal(strata_dataset_broken_count(data), 2);
    assert_string_equal(strata_dataset_broken(data, 0, &reason), "a/loop.jpg");
    assert_non_null(strstr(reason, "cannot be opened: "));
    assert_string_equal(strata_dataset_broken(data, 1, &reason), "a/pipe.jpg");
    assert_string_equal(reason, "is no regular file");
    strata_dataset_free(data);
}

static void test_folder_refuses_what_is_no_data_set(void **state) {
    (void)state;
    put_deep("a/", "", 0);
    put_deep("b/README", "x", 1);
    refused(STRATA_MISSING, "", "its 2 class folders hold no pictures");
    put_picture("a/1.pgm", 1, false);
    put_deep("b/2.pgm", "P5 2 2 255\nabcd", 15);
}

static void test_folder_says_which_list_is_left_out(void **state) {
    (void)state;
    put_picture("a/1.pgm", 1, false);
    put_picture("b/2.pgm", 2, false);
    put_deep("labels.csv", "file,label\nx.jpg,a\n", 19);
    strata_dataset *data = open_folder(NULL);
    assert_string_equal(strata_dataset_note(data, 0), "the classes are those of the folders; the list is left out: "
                                                      "labels.csv:2: there is no file 'x.jpg'");
    strata_dataset_free(data);
    put_deep("labels.csv", "picture,kind\nx.jpg,a\n", 21);
    data = open_folder(NULL);
    assert_non_null(strstr(strata_dataset_note(data, 0), "the list is left out: labels.csv"));
    strata_dataset_free(data);
    put_deep("labels.csv", "file,label\na/1.pgm,a\n", 21); /* a list of these pictures is what counts */
    data = open_folder(NULL);
    assert_string_equal(strata_dataset_kind(data), "CSV list of pictures");
    strata_dataset_free(data);
}

static void test_folder_says_what_it_does_not_look_at(void **state) {
    (void)state;
    put_picture("Train/a/1.pgm", 1, false);
    put_picture("Train/b/2.pgm", 2, false);
    put_picture("Train/b/more/3.pgm", 3, false);
    put_picture("Train/4.pgm", 4, false);
    put_picture("valid/a/5.pgm", 5, false);
    put_picture("old/a/6.pgm", 6, false);
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 2);
    check_picture(data, STRATA_VAL, 0, "valid/a/5.pgm", 0, 5, false);
    assert_string_equal(strata_dataset_note(data, 0), "1 folder beside the parts is left out: old");
    assert_string_equal(strata_dataset_note(data, 1), "1 folder inside of a class is left out: Train/b/more");
    assert_string_equal(strata_dataset_note(data, 2), "1 picture outside of all classes is left out: Train/4.pgm");
    strata_dataset_free(data);
    put_picture("val/a/7.pgm", 7, false);
    refused(STRATA_INVALID, "", "'val' and 'valid' are the same part: expected one of them");
}

static void test_folder_takes_different_sizes(void **state) {
    (void)state;
    put_picture("a/1.pgm", 1, false);
    put_deep("b/2.pgm", "P5 2 2 255\nabcd", 15);
    strata_dataset *data = open_folder(NULL);
    strata_shape shape = strata_dataset_shape(data);
    strata_picture picture = {0};
    strata_error err = {0};
    uint8_t pixels[12];
    int found = -1;
    assert_true(shape.height == 0 && shape.width == 0 && shape.channels == 1);
    assert_int_equal(strata_dataset_read(data, STRATA_TRAIN, 0, pixels, &found, &err), STRATA_SHAPE);
    assert_non_null(strstr(err.message, "differ in size"));
    assert_int_equal(strata_dataset_picture(&picture, data, STRATA_TRAIN, 1, &found, NULL), STRATA_OK);
    assert_true(picture.shape.height == 2 && picture.shape.width == 2 && found == 1);
    assert_memory_equal(picture.pixels, "abcd", 4);
    strata_picture_free(&picture);
    strata_dataset_free(data);
}

#if defined ST_WITH_JPEG && defined ST_WITH_PNG

static void test_folder_mixes_jpeg_and_png(void **state) {
    (void)state;
    encoded jpeg = encode_jpeg(&(jpeg_form){.width = 19, .height = 13, .channels = 3, .quality = 90});
    encoded png = encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
    put_deep("train/a/one.jpg", jpeg.bytes, jpeg.length);
    put_deep("train/b/two.jpg", png.bytes, png.length); /* the content decides */
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "train/c/%d.png", i);
        put_deep(name, png.bytes, png.length);
    }
    put_deep("train/c/cut.jpg", jpeg.bytes, jpeg.length - 30);
    put_deep("train/c/cut.png", png.bytes, png.length - 30);
    strata_dataset *data = open_folder(NULL);
    const char *reason = NULL;
    uint8_t pixels[19 * 13 * 3];
    int label = 0;
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN), 22);
    assert_int_equal(strata_dataset_read(data, STRATA_TRAIN, 1, pixels, &label, NULL), STRATA_OK);
    assert_int_equal(label, 1);
    for (size_t i = 0; i < sizeof pixels; i++) {
        assert_int_equal(pixels[i], drawn_sample(i));
    }
    assert_int_equal(strata_dataset_broken_count(data), 2);
    assert_string_equal(strata_dataset_broken(data, 0, &reason), "train/c/cut.jpg");
    assert_memory_equal(reason, "damaged JPEG: ", 14);
    strata_dataset_free(data);
    free(jpeg.bytes);
    free(png.bytes);
}

#endif

/* ---- the system refuses ---- */

static void test_folder_survives_every_fault(void **state) {
    (void)state;
    put_many("train/a", 6);
    put_many("test/b", 5);
    use_faulty_system();
    for (int forever = 0; forever < 2; forever++) {
        bool done = false;
        for (int call = 1; !done; call++) {
            strata_dataset *data = NULL;
            strata_error err = {0};
            uint8_t pixels[12];
            int label = 0;
            for_ever = forever;
            countdown = call;
            strata_status status = strata_dataset_open(&data, folder, NULL, &err);
            status = status == STRATA_OK ? strata_dataset_read(data, STRATA_TRAIN, 3, pixels, &label, &err) : status;
            done = status == STRATA_OK && countdown > 0;
            countdown = 0;
            assert_true(status != STRATA_OK || pixels[0] == 3);
            strata_dataset_free(data);
            assert_true(status == STRATA_OK || (err.status == status && err.message[0] != '\0'));
            assert_int_equal(live_bytes, 0);
            assert_int_equal(live_files, 0);
            assert_true(call < 2000);
        }
    }
    no_new_files = true; /* pictures stay in memory */
    strata_dataset *data = open_folder(NULL);
    check_picture(data, STRATA_TEST, 4, "test/b/good04.pgm", 1, 4, false);
    strata_dataset_free(data);
    no_new_files = false;
    st_sys = real_system;
}

/* A place that takes no more hands what it has to the next one. */
static int writes_left;

static ssize_t filling_write(int file, const void *bytes, size_t count) {
    if (writes_left-- <= 0) {
        errno = ENOSPC;
        return -1;
    }
    return real_system.write(file, bytes, count);
}

static void test_spill_moves_on_when_a_disk_is_full(void **state) {
    (void)state;
    real_system = st_sys;
    st_sys.write = filling_write;
    for (int limit = 0; limit < 60; limit++) {
        st_spill spill;
        uint8_t bytes[1000], back[1000];
        writes_left = limit;
        assert_int_equal(st_spill_begin(&spill, 5000, NULL), STRATA_OK);
        for (size_t i = 0; i < 20; i++) { /* more than was expected */
            memset(bytes, (int)i, sizeof bytes);
            assert_int_equal(st_spill_add(&spill, bytes, sizeof bytes, NULL), STRATA_OK);
        }
        for (size_t i = 0; i < 20; i++) {
            memset(bytes, (int)i, sizeof bytes);
            assert_int_equal(st_spill_at(&spill, back, sizeof back, i * sizeof back, NULL), STRATA_OK);
            assert_memory_equal(bytes, back, sizeof back);
        }
        st_spill_free(&spill);
    }
    st_sys = real_system;
}

/* ---- real data ---- */

#ifdef ST_WITH_PNG

/* Four PNGs of 1,000 rows, each a picture of CIFAR-10; the reader is checked against the published average. */
static void test_lossless_cifar_decodes(void **state) {
    (void)state;
    const char *root = getenv("STRATA_TEST_DATA");
    char path[256];
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        strata_picture picture;
        strata_error err;
        snprintf(path, sizeof path, "%s/cifar10/lossless4000/cifar10_batch_%d.png",
                 root != NULL ? root : "../shared/data", i);
        if (access(path, F_OK) != 0) {
            print_message("skip: no %s\n", path);
            skip();
        }
        if (strata_picture_open(&picture, path, &err) != STRATA_OK) {
            fail_msg("%s", err.message);
        }
        assert_true(picture.shape.height == 1000 && picture.shape.width == 1024 && picture.shape.channels == 3);
        for (size_t k = 0; k < 1000 * 1024 * 3; k += 3) {
            sum += picture.pixels[k] / 255.0 / (4000.0 * 1024);
        }
        strata_picture_free(&picture);
    }
    assert_true(sum > 0.485 && sum < 0.497); /* red, of all 50,000: 0.4914 */
}

#endif

#define EACH(test) cmocka_unit_test_teardown(test, empty_tree)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(test_folder_maps_parts_by_name),
        EACH(test_folder_of_classes_is_for_training),
        EACH(test_folder_spreads_grey_among_color),
        EACH(test_folder_takes_any_name),
        EACH(test_folder_leaves_out_what_is_broken),
        EACH(test_folder_that_is_to_be_strict_or_examined),
        EACH(test_folder_looks_again_at_what_was_not_read),
        EACH(test_folder_says_that_one_class_is_too_few),
        EACH(test_folder_does_not_lose_a_part_that_is_closed),
        EACH(test_folder_leaves_out_what_cannot_be_opened),
        EACH(test_folder_refuses_what_is_no_data_set),
        EACH(test_folder_says_which_list_is_left_out),
        EACH(test_folder_says_what_it_does_not_look_at),
        EACH(test_folder_takes_different_sizes),
#if defined ST_WITH_JPEG && defined ST_WITH_PNG
        EACH(test_folder_mixes_jpeg_and_png),
#endif
        EACH(test_folder_survives_every_fault),
        EACH(test_spill_moves_on_when_a_disk_is_full),
#ifdef ST_WITH_PNG
        EACH(test_lossless_cifar_decodes),
#endif
    };
    return cmocka_run_group_tests_name("data: folders", tests, make_folder, remove_folder);
}
