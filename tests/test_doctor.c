/* The doctor: a look that stays the same when a picture is encoded again or resized, planted copies found exactly,
 * blank and odd pictures, the same answer from any number of threads. */
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
#ifdef ST_WITH_JPEG
#include <jpeglib.h>
#endif

#include "data/data.h"

/* ---- pictures ---- */

/* A scene of soft blobs: another seed, another scene. Colours differ, so that luma is not one channel. */
static strata_picture draw_scene(uint64_t seed, int64_t height, int64_t width) {
    enum { BLOBS = 12 };
    strata_picture out = {0};
    strata_error err;
    assert_int_equal(st_picture_room(&out, (strata_shape){height, width, 3}, &err), STRATA_OK);
    for (int64_t y = 0; y < height; y++) {
        for (int64_t x = 0; x < width; x++) {
            double value[3] = {60, 70, 50};
            for (uint64_t b = 0; b < BLOBS; b++) {
                double dx = (double)x / (double)width - st_rng_uniform(seed, b, 0);
                double dy = (double)y / (double)height - st_rng_uniform(seed, b, 1);
                double reach = 0.02 + 0.05 * st_rng_uniform(seed, b, 2);
                double part = reach / (reach + dx * dx + dy * dy) - 0.3;
                for (uint64_t c = 0; c < 3 && part > 0; c++) {
                    value[c] += part * (160 * st_rng_uniform(seed, b, 3 + c) - 30);
                }
            }
            for (int c = 0; c < 3; c++) {
                double v = value[c] < 0 ? 0 : value[c] > 255 ? 255 : value[c];
                out.pixels[(y * width + x) * 3 + c] = (uint8_t)v;
            }
        }
    }
    return out;
}

static st_look look_at(const strata_picture *picture) {
    st_look look;
    strata_error err;
    assert_int_equal(st_look_at(&look, picture, &err), STRATA_OK);
    return look;
}

#ifdef ST_WITH_JPEG
/* Through libjpeg and back. */
static strata_picture encode_again(const strata_picture *from, int quality) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long length = 0;
    strata_picture out = {0};
    strata_error err;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &length);
    jpeg.image_width = (JDIMENSION)from->shape.width;
    jpeg.image_height = (JDIMENSION)from->shape.height;
    jpeg.input_components = (int)from->shape.channels;
    jpeg.in_color_space = from->shape.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    for (int64_t y = 0; y < from->shape.height; y++) {
        JSAMPROW row = from->pixels + y * from->shape.width * from->shape.channels;
        (void)jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    assert_int_equal(st_picture_decode(&out, NULL, bytes, length, 0, "it", &err), STRATA_OK);
    free(bytes);
    return out;
}

/* The picture at two qualities and at half its size, all near it and each other. Returns the most bits that differ. */
static int assert_stays_near(const strata_picture *picture, const char *name) {
    strata_picture forms[4] = {{{0}, NULL}};
    strata_error err;
    int most = 0;
    forms[0] = encode_again(picture, 95);
    forms[1] = encode_again(picture, 60);
    assert_int_equal(st_picture_resize(&forms[2], picture, (picture->shape.height + 1) / 2,
                                       (picture->shape.width + 1) / 2, ST_FILTER_BICUBIC, &err),
                     STRATA_OK);
    forms[3] = encode_again(&forms[2], 75);
    st_look is = look_at(picture);
    for (int i = 0; i < 4; i++) {
        st_look form = look_at(&forms[i]);
        int distance = st_look_distance(&is, &form);
        most = distance > most ? distance : most;
        if (!st_look_is_near(&is, &form)) {
            fail_msg("%s, form %d: %d bits differ, correlation %.4f", name, i, distance,
                     st_look_correlation(&is, &form));
        }
        strata_picture_free(&forms[i]);
    }
    return most;
}

static void test_look_survives_encoding_and_resizing(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        strata_picture scene = draw_scene(seed, 120 + (int64_t)seed, 160);
        (void)assert_stays_near(&scene, "scene");
        strata_picture_free(&scene);
    }
}

/* 50 photographs: every one stays near, no two of them are. */
static void test_look_tells_photographs_apart(void **state) {
    (void)state;
    static st_look looks[64];
    const char *root = getenv("STRATA_TEST_DATA");
    char path[512], line[512], name[256];
    size_t count = 0;
    strata_error err;
    (void)snprintf(path, sizeof path, "%s/imagenet-50/labels.tsv", root != NULL ? root : "");
    FILE *list = fopen(path, "r");
    if (list == NULL) {
        print_message("skipped: STRATA_TEST_DATA has no imagenet-50\n");
        skip();
    }
    while (fgets(line, sizeof line, list) != NULL && count < 64) {
        if (sscanf(line, "%255[^\t]", name) == 1 && strstr(name, ".JPEG") != NULL) {
            strata_picture picture = {0};
            (void)snprintf(path, sizeof path, "%s/imagenet-50/%s", root, name);
            assert_int_equal(strata_picture_open(&picture, path, &err), STRATA_OK);
            (void)assert_stays_near(&picture, name);
            looks[count++] = look_at(&picture);
            strata_picture_free(&picture);
        }
    }
    (void)fclose(list);
    assert_int_equal(count, 50);
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < a; b++) {
            assert_false(st_look_is_near(&looks[a], &looks[b]));
        }
    }
}
#endif

static void test_look_tells_scenes_apart(void **state) {
    (void)state;
    enum { SCENES = 60 };
    static st_look looks[SCENES];
    for (uint64_t seed = 0; seed < SCENES; seed++) {
        strata_picture scene = draw_scene(seed, 64, 64);
        looks[seed] = look_at(&scene);
        strata_picture_free(&scene);
        for (uint64_t other = 0; other < seed; other++) {
            assert_false(st_look_is_near(&looks[seed], &looks[other]));
        }
    }
}

/* Block means are exact: a picture of whole blocks gives them, whatever its size; grey and the same grey in colours
 * look the same. */
static void test_look_is_exact(void **state) {
    (void)state;
    strata_error err;
    st_look first;
    for (int64_t factor = 1; factor <= 5; factor++) {
        for (int64_t channels = 1; channels <= 3; channels += 2) {
            strata_picture picture = {0};
            int64_t side = ST_LOOK_SIDE * factor;
            assert_int_equal(st_picture_room(&picture, (strata_shape){side, side, channels}, &err), STRATA_OK);
            for (int64_t i = 0; i < side * side * channels; i++) {
                int64_t place = i / channels, y = place / side / factor, x = place % side / factor;
                picture.pixels[i] = (uint8_t)st_rng_bits(3, (uint64_t)y, (uint64_t)x);
            }
            st_look look = look_at(&picture);
            for (int i = 0; i < ST_LOOK_SIDE * ST_LOOK_SIDE; i++) {
                assert_int_equal(look.thumbnail[i],
                                 (uint8_t)st_rng_bits(3, (uint64_t)(i / ST_LOOK_SIDE), (uint64_t)(i % ST_LOOK_SIDE)));
            }
            first = factor == 1 && channels == 1 ? look : first;
            assert_int_equal(st_look_distance(&first, &look), 0);
            strata_picture_free(&picture);
        }
    }
}

static void test_look_takes_any_size(void **state) {
    (void)state;
    static const strata_shape shapes[] = {{1, 1, 1}, {1, 1, 3}, {1, 3000, 3}, {3000, 1, 1}, {7, 5, 3}, {8, 9, 2}};
    for (size_t i = 0; i < ST_COUNT_OF(shapes); i++) {
        strata_picture picture = {0};
        strata_error err;
        assert_int_equal(st_picture_room(&picture, shapes[i], &err), STRATA_OK);
        memset(picture.pixels, 200, (size_t)(shapes[i].height * shapes[i].width * shapes[i].channels));
        st_look look = look_at(&picture);
        assert_true(look.bits[0] == 0 && look.bits[1] == 0);
        assert_int_equal(look.thumbnail[0], 200);
        assert_int_equal(look.thumbnail[255], 200);
        assert_false(st_look_is_near(&look, &look)); /* of one colour: says nothing */
        strata_picture_free(&picture);
    }
}

/* The search gives what comparing all pairs gives, for any number of threads. `spread`: how many bits of a hash differ
 * from the one that many are made of, so that lists overflow where it is small. */
static void check_grouping(size_t count, uint64_t spread, bool skips) {
    st_look *looks = calloc(count, sizeof *looks);
    uint32_t *expected = malloc(count * sizeof *expected), *found = malloc(count * sizeof *found);
    uint8_t *skipped = calloc(count, 1);
    strata_error err;
    assert_true(looks != NULL && expected != NULL && found != NULL && skipped != NULL);
    for (size_t i = 0; i < count; i++) {
        strata_picture scene = draw_scene(i % 5, 8, 8); /* five thumbnails, many hashes */
        looks[i] = look_at(&scene);
        strata_picture_free(&scene);
        for (uint64_t k = 0; k < spread; k++) {
            uint64_t bit = st_rng_bits(11, i, k) % 128;
            looks[i].bits[bit / 64] ^= (uint64_t)1 << bit % 64;
        }
        skipped[i] = skips && i % 7 == 3;
        expected[i] = (uint32_t)i;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count && expected[i] == i && skipped[i] == 0; j++) {
            if (expected[j] == j && skipped[j] == 0 && st_look_is_near(&looks[i], &looks[j])) {
                expected[j] = (uint32_t)i;
            }
        }
    }
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(st_look_group(found, looks, skips ? skipped : NULL, count, threads, &err), STRATA_OK);
        assert_memory_equal(found, expected, count * sizeof *found);
    }
    free(looks);
    free(expected);
    free(found);
    free(skipped);
}

static void test_look_search_misses_nothing(void **state) {
    (void)state;
    check_grouping(1, 0, false);
    check_grouping(2, 0, false);
    check_grouping(1500, 2, false); /* groups larger than a list, and more than a block */
    check_grouping(1200, 6, true);
    check_grouping(1200, 40, false);
}

/* ---- data sets ---- */

static char root[64];

static int make_root(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc/self/none", 1);
    snprintf(root, sizeof root, "/tmp/strata-test-doctor-XXXXXX");
    return mkdtemp(root) == NULL;
}

static char files[64][160];
static int file_count;

static int empty_root(void **state) {
    static const char *const folders[] = {"train/a", "train/b", "test/a", "test/b", "train", "test"};
    (void)state;
    for (int i = 0; i < file_count; i++) {
        unlink(files[i]);
    }
    file_count = 0;
    for (size_t i = 0; i < ST_COUNT_OF(folders); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        rmdir(path);
    }
    return 0;
}

static int remove_root(void **state) {
    (void)state;
    return rmdir(root);
}

/* As P5 or P6. */
static void put(const char *name, const strata_picture *picture) {
    char folder[160];
    assert_true(file_count < 64);
    char *path = files[file_count++];
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%s/%.*s", root, (int)(slash - name), name);
        (void)mkdir(folder, 0777);
    }
    snprintf(path, sizeof files[0], "%s/%s", root, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fprintf(file, "P%c %d %d 255\n", picture->shape.channels == 1 ? '5' : '6', (int)picture->shape.width,
            (int)picture->shape.height);
    size_t bytes = (size_t)(picture->shape.height * picture->shape.width * picture->shape.channels);
    assert_int_equal(fwrite(picture->pixels, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void put_scene(const char *name, uint64_t seed, int64_t height, int64_t width) {
    strata_picture scene = draw_scene(seed, height, width);
    put(name, &scene);
    strata_picture_free(&scene);
}

static void put_plain(const char *name, int64_t height, int64_t width, uint8_t value, bool with_noise) {
    strata_picture plain = {0};
    strata_error err;
    assert_int_equal(st_picture_room(&plain, (strata_shape){height, width, 1}, &err), STRATA_OK);
    for (int64_t i = 0; i < height * width; i++) {
        plain.pixels[i] = (uint8_t)(value + (with_noise && i % 2 == 0 ? 2 : 0));
    }
    put(name, &plain);
    strata_picture_free(&plain);
}

static strata_dataset *open_root(void) {
    strata_dataset *data;
    strata_error err = {0};
    if (strata_dataset_open(&data, root, NULL, &err) != STRATA_OK) {
        fail_msg("%s: %s", err.file, err.message);
    }
    return data;
}

static strata_checkup *check(const strata_dataset *data, int threads) {
    strata_checkup *checkup;
    strata_error err;
    assert_int_equal(strata_dataset_check(&checkup, data, threads, NULL, NULL, &err), STRATA_OK);
    return checkup;
}

/* The files of a group, with blanks between. */
static const char *names_of(const strata_dataset *data, const strata_alike *group) {
    static char out[1024];
    size_t used = 0;
    for (size_t i = 0; i < group->count; i++) {
        char name[256];
        strata_dataset_file(data, group->places[i].part, group->places[i].index, name);
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%s", i > 0 ? " " : "", name);
    }
    return out;
}

static void test_doctor_finds_planted_copies(void **state) {
    (void)state;
    char name[64];
    for (uint64_t i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "%s/%02d.ppm", i < 6 ? "train/a" : "train/b", (int)i);
        put_scene(name, i, 48, 64);
    }
    put_scene("train/a/20.ppm", 3, 48, 64);  /* in one part */
    put_scene("test/b/00.ppm", 7, 48, 64);   /* in two */
    put_scene("train/b/20.ppm", 1, 48, 64);  /* two labels */
    put_scene("test/a/00.ppm", 1, 48, 64);   /* and a third time */
    put_scene("test/a/01.ppm", 5, 96, 128);  /* nearly: another size */
    put_scene("test/b/01.ppm", 100, 48, 64); /* alone */
    strata_dataset *data = open_root();
    strata_checkup *checkup = check(data, 2);
    assert_int_equal(checkup->count, 18);
    assert_int_equal(checkup->duplicate_count, 3);
    bool seen[3] = {false};
    for (size_t i = 0; i < 3; i++) {
        const strata_alike *group = &checkup->duplicates[i];
        const char *names = names_of(data, group);
        if (strcmp(names, "train/a/03.ppm train/a/20.ppm") == 0) {
            assert_true(!group->has_parts && !group->has_labels);
            seen[0] = true;
        } else if (strcmp(names, "train/b/07.ppm test/b/00.ppm") == 0) {
            assert_true(group->has_parts && !group->has_labels);
            seen[1] = true;
        } else {
            assert_string_equal(names, "train/a/01.ppm train/b/20.ppm test/a/00.ppm");
            assert_true(group->has_parts && group->has_labels);
            seen[2] = true;
        }
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    assert_int_equal(checkup->near_duplicate_count, 1);
    assert_string_equal(names_of(data, &checkup->near_duplicates[0]), "train/a/05.ppm test/a/01.ppm");
    assert_true(checkup->near_duplicates[0].has_parts);
    assert_int_equal(checkup->blank_count, 0);
    strata_checkup_free(checkup);
    strata_dataset_free(data);
}

static void test_doctor_finds_blank_and_odd(void **state) {
    (void)state;
    char name[256];
    for (uint64_t i = 0; i < 24; i++) {
        snprintf(name, sizeof name, "%s/%02d.ppm", i % 2 == 0 ? "train/a" : "train/b", (int)i);
        put_scene(name, i, 60, 80);
    }
    put_plain("train/a/30.pgm", 60, 80, 255, false);
    put_plain("train/b/30.pgm", 60, 80, 90, true);
    put_plain("train/b/31.pgm", 1, 1, 7, false); /* one pixel is one colour */
    put_scene("train/a/40.ppm", 50, 20, 400);
    put_scene("train/b/40.ppm", 51, 8, 10);
    strata_dataset *data = open_root();
    strata_checkup *checkup = check(data, 0);
    assert_int_equal(checkup->blank_count, 3);
    for (size_t i = 0; i < 3; i++) {
        strata_place place = checkup->blank[i].place;
        strata_dataset_file(data, place.part, place.index, name);
        assert_string_equal(checkup->blank[i].reason,
                            strcmp(name, "train/b/30.pgm") == 0 ? "nearly all of one colour" : "all of one colour");
    }
    assert_int_equal(checkup->odd_count, 2);
    for (size_t i = 0; i < 2; i++) {
        strata_place place = checkup->odd[i].place;
        strata_dataset_file(data, place.part, place.index, name);
        assert_string_equal(checkup->odd[i].reason, strcmp(name, "train/a/40.ppm") == 0
                                                        ? "400x20: 20.0 times as wide as high"
                                                        : "10x8, the median is 80x60");
    }
    assert_int_equal(checkup->grey, 3);
    assert_int_equal(checkup->smallest.height, 1);
    assert_int_equal(checkup->median.width, 80);
    assert_int_equal(checkup->largest.width, 400);
    assert_true(checkup->bytes > 24 * 60 * 80 * 3);
    strata_checkup_free(checkup);
    strata_dataset_free(data);
}

static void test_doctor_gives_one_answer(void **state) {
    (void)state;
    char name[64];
    for (uint64_t i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "%s/%02d.ppm", i % 2 == 0 ? "train/a" : "test/b", (int)i);
        put_scene(name, i % 8, 30 + (int64_t)(i % 3), 40);
    }
    strata_dataset *data = open_root();
    strata_checkup *first = check(data, 1);
    double mean[4], deviation[4];
    strata_error err;
    assert_int_equal(strata_dataset_statistics(data, mean, deviation, &err), STRATA_OK);
    assert_memory_equal(first->mean, mean, sizeof mean);
    assert_memory_equal(first->deviation, deviation, sizeof deviation);
    for (int threads = 2; threads <= 4; threads++) {
        strata_checkup *again = check(data, threads);
        assert_memory_equal(first->mean, again->mean, sizeof first->mean);
        assert_int_equal(first->duplicate_count, again->duplicate_count);
        assert_int_equal(first->near_duplicate_count, again->near_duplicate_count);
        for (size_t i = 0; i < first->near_duplicate_count; i++) {
            char names[1024];
            snprintf(names, sizeof names, "%s", names_of(data, &first->near_duplicates[i]));
            assert_string_equal(names_of(data, &again->near_duplicates[i]), names);
        }
        strata_checkup_free(again);
    }
    strata_checkup_free(first);
    strata_dataset_free(data);
}

static bool stop_at_once(size_t done, size_t count, void *user) {
    (void)done;
    (void)count;
    (*(int *)user)++;
    return false;
}

static void test_doctor_stops_when_asked(void **state) {
    (void)state;
    int calls = 0;
    strata_checkup *checkup;
    strata_error err;
    put_scene("train/a/0.ppm", 0, 20, 20);
    put_scene("train/b/0.ppm", 1, 20, 20);
    strata_dataset *data = open_root();
    assert_int_equal(strata_dataset_check(&checkup, data, 1, stop_at_once, &calls, &err), STRATA_CANCELLED);
    assert_null(checkup);
    assert_int_equal(calls, 1);
    assert_int_equal(strata_dataset_check(&checkup, data, -1, NULL, NULL, &err), STRATA_INVALID);
    assert_int_equal(strata_dataset_label(data, STRATA_TRAIN, 99), -1);
    char name[256] = "x";
    strata_dataset_file(data, STRATA_TEST, 0, name);
    assert_string_equal(name, "");
    strata_checkup_free(NULL);
    strata_dataset_free(data);
}

#define EACH(test) cmocka_unit_test_teardown(test, empty_root)

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef ST_WITH_JPEG
        EACH(test_look_survives_encoding_and_resizing),
        EACH(test_look_tells_photographs_apart),
#endif
        EACH(test_look_tells_scenes_apart),
        EACH(test_look_is_exact),
        EACH(test_look_takes_any_size),
        EACH(test_look_search_misses_nothing),
        EACH(test_doctor_finds_planted_copies),
        EACH(test_doctor_finds_blank_and_odd),
        EACH(test_doctor_gives_one_answer),
        EACH(test_doctor_stops_when_asked),
    };
    return cmocka_run_group_tests_name("data: the doctor", tests, make_root, remove_root);
}
