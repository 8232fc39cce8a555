/* One preparation: which geometry is chosen, what it makes of a picture, what is kept of it; and that training,
 * evaluation and prediction see the same bytes. Resampling itself: test_resize.c. */
#include <dirent.h>
#include <math.h>

#include "data_case.h"
#include "graph/graph.h"
#include "lang/lang.h"

static st_arena *arena;

static int make_all(void **state) {
    return make_folder(state) != 0 || st_arena_create(&arena, NULL) != STRATA_OK;
}

static int remove_all(void **state) {
    st_arena_free(arena);
    return remove_folder(state);
}

static const st_graph *net_with(const char *input) {
    const st_tree *tree = NULL;
    const st_graph *graph = NULL;
    strata_error err = {0};
    char text[300];
    int length =
        snprintf(text, sizeof text, "network n {\n input %s\n fc 2\n output logits loss=cross_entropy\n}\n", input);
    if (st_lang_parse(&tree, arena, "n.net", text, (size_t)length, &err) != STRATA_OK ||
        st_graph_build(&graph, arena, tree, NULL, NULL, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    return graph;
}

static st_geometry chosen(const char *input, int64_t height, int64_t width, int64_t channels) {
    st_geometry out;
    assert_int_equal(st_geometry_choose(&out, net_with(input), NULL, (strata_shape){height, width, channels}, NULL),
                     STRATA_OK);
    return out;
}

static void expect(st_geometry is, st_fit fit, int64_t side, int64_t height, int64_t width, int64_t channels) {
    assert_int_equal(is.fit, fit);
    assert_int_equal(is.fit == ST_FIT_CROP ? is.side : side, side);
    assert_int_equal(is.out.height, height);
    assert_int_equal(is.out.width, width);
    assert_int_equal(is.out.channels, channels);
}

/* ---- choosing ---- */

static void test_geometry_follows_net_and_sizes(void **state) {
    (void)state;
    expect(chosen("32x32x1", 28, 28, 1), ST_FIT_PAD, 0, 28, 28, 1);
    expect(chosen("32x32x3", 32, 32, 3), ST_FIT_PAD, 0, 32, 32, 3);
    expect(chosen("32x32x3", 32, 32, 1), ST_FIT_PAD, 0, 32, 32, 3);   /* grey is spread */
    expect(chosen("32x32x1", 32, 32, 3), ST_FIT_PAD, 0, 32, 32, 1);   /* colour is weighed */
    expect(chosen("32x32x1", 20, 32, 1), ST_FIT_CROP, 37, 32, 32, 1); /* mostly border */
    expect(chosen("224x224x3", 0, 0, 3), ST_FIT_CROP, 256, 224, 224, 3);
    expect(chosen("224x224x3", 32, 32, 3), ST_FIT_CROP, 256, 224, 224, 3);
    expect(chosen("224x224x3", 500, 375, 3), ST_FIT_CROP, 256, 224, 224, 3);
    expect(chosen("224x224x3 resize=232", 0, 0, 3), ST_FIT_CROP, 232, 224, 224, 3);
    expect(chosen("224x224x3 resize=232", 224, 224, 3), ST_FIT_PAD, 0, 224, 224, 3);
    expect(chosen("227x227x3 fit=stretch", 0, 0, 3), ST_FIT_STRETCH, 0, 227, 227, 3);
    assert_int_equal(chosen("224x224x3 filter=bicubic", 0, 0, 3).filter, ST_FILTER_BICUBIC);
    expect(chosen("64x128x3", 0, 0, 3), ST_FIT_CROP, 73, 64, 128, 3);
}

static void test_geometry_of_a_checkpoint_comes_first(void **state) {
    (void)state;
    const st_graph *net = net_with("32x32x1");
    st_geometry stored = {.fit = ST_FIT_PAD, .out = {28, 28, 1}}, out;
    assert_int_equal(st_geometry_choose(&out, net, &stored, (strata_shape){28, 28, 1}, NULL), STRATA_OK);
    expect(out, ST_FIT_PAD, 0, 28, 28, 1);
    assert_int_equal(st_geometry_choose(&out, net, &stored, (strata_shape){1000, 700, 3}, NULL), STRATA_OK);
    expect(out, ST_FIT_CROP, 28, 28, 28, 1); /* brought to what it learned from */
    stored = (st_geometry){.fit = ST_FIT_CROP, .side = 40, .out = {32, 32, 1}};
    assert_int_equal(st_geometry_choose(&out, net, &stored, (strata_shape){32, 32, 1}, NULL), STRATA_OK);
    expect(out, ST_FIT_CROP, 40, 32, 32, 1);
}

static void test_geometry_refuses_other_channels(void **state) {
    (void)state;
    st_geometry out;
    strata_error err = {0};
    assert_int_equal(st_geometry_choose(&out, net_with("8x8x2"), NULL, (strata_shape){8, 8, 3}, &err), STRATA_SHAPE);
    assert_string_equal(err.message, "the net takes pictures of 2 channels, these have 3");
}

/* ---- the two steps ---- */

static void test_stage_covers_the_box(void **state) {
    (void)state;
    static const struct {
        int64_t height, width, stage_height, stage_width;
    } cases[] = {{500, 375, 341, 256}, {375, 500, 256, 341},  {256, 256, 256, 256}, {100, 50, 512, 256},
                 {1, 1, 256, 256},     {1, 9000, 256, 16384}, {333, 500, 256, 384}};
    st_geometry geometry = {.fit = ST_FIT_CROP, .side = 256, .out = {224, 224, 3}};
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        strata_shape is = st_geometry_stage(&geometry, (strata_shape){cases[i].height, cases[i].width, 3});
        assert_int_equal(is.height, cases[i].stage_height);
        assert_int_equal(is.width, cases[i].stage_width);
    }
    st_geometry wide = {.fit = ST_FIT_CROP, .side = 64, .out = {64, 128, 3}};
    for (int64_t height = 1; height < 300; height += 7) {
        for (int64_t width = 1; width < 300; width += 11) {
            strata_shape is = st_geometry_stage(&wide, (strata_shape){height, width, 3});
            assert_true(is.height >= 64 && is.width >= 128 && (is.height == 64 || is.width == 128));
        }
    }
}

static void test_middle_is_rounded_half_to_even(void **state) {
    (void)state;
    assert_int_equal(st_fit_offset(256, 224), 16);
    assert_int_equal(st_fit_offset(341, 224), 58); /* 58.5, as torchvision's CenterCrop rounds */
    assert_int_equal(st_fit_offset(227, 224), 2);  /* 1.5 */
    assert_int_equal(st_fit_offset(5, 5), 0);
}

static void fill(strata_picture *out, int64_t height, int64_t width, int64_t channels) {
    assert_int_equal(st_picture_room(out, (strata_shape){height, width, channels}, NULL), STRATA_OK);
    for (int64_t i = 0; i < height * width * channels; i++) {
        out->pixels[i] = (uint8_t)st_rng_bits(1, st_rng_stream(ST_STREAM_TEST, 0), (uint64_t)i);
    }
}

static void test_channels_are_spread_and_weighed(void **state) {
    (void)state;
    strata_picture from = {0}, stage = {0};
    st_geometry to_color = {.fit = ST_FIT_PAD, .out = {5, 7, 3}}, to_grey = {.fit = ST_FIT_PAD, .out = {5, 7, 1}};
    fill(&from, 5, 7, 1);
    assert_int_equal(st_fit_stage(&stage, &from, &to_color, (strata_shape){5, 7, 3}, NULL), STRATA_OK);
    for (int i = 0; i < 105; i++) {
        assert_int_equal(stage.pixels[i], from.pixels[i / 3]);
    }
    fill(&from, 5, 7, 3);
    assert_int_equal(st_fit_stage(&stage, &from, &to_grey, (strata_shape){5, 7, 1}, NULL), STRATA_OK);
    for (int i = 0; i < 35; i++) {
        const uint8_t *rgb = from.pixels + 3 * (ptrdiff_t)i;
        double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        assert_true(fabs(stage.pixels[i] - luma) <= 0.51);
    }
    strata_picture_free(&from);
    strata_picture_free(&stage);
}

/* Grey that is enlarged and then spread is colour that is enlarged. */
static void test_resizing_and_channels_change_places(void **state) {
    (void)state;
    strata_picture grey = {0}, color = {0}, one = {0}, two = {0};
    st_geometry geometry = {.fit = ST_FIT_STRETCH, .out = {13, 11, 3}};
    fill(&grey, 6, 9, 1);
    fill(&color, 6, 9, 3);
    for (int i = 0; i < 6 * 9 * 3; i++) {
        color.pixels[i] = grey.pixels[i / 3];
    }
    assert_int_equal(st_fit_stage(&one, &grey, &geometry, geometry.out, NULL), STRATA_OK);
    assert_int_equal(st_fit_stage(&two, &color, &geometry, geometry.out, NULL), STRATA_OK);
    assert_memory_equal(one.pixels, two.pixels, st_geometry_bytes(&geometry));
    strata_picture_free(&grey);
    strata_picture_free(&color);
    strata_picture_free(&one);
    strata_picture_free(&two);
}

/* ---- a folder ---- */

static void put_grey(const char *name, int width, int height, int value) {
    unsigned char bytes[4096];
    int length = snprintf((char *)bytes, sizeof bytes, "P5 %d %d 255\n", width, height);
    for (int i = 0; i < width * height; i++) {
        bytes[length++] = (unsigned char)(value + i % 50);
    }
    char path[200];
    snprintf(path, sizeof path, "%s/a", folder);
    mkdir(path, 0700);
    put_file(name, bytes, (size_t)length);
}

static void empty_and_leave(void) {
    char path[200];
    empty_folder(NULL);
    snprintf(path, sizeof path, "%s/a", folder);
    rmdir(path);
}

/* From the store or made anew, by one thread or several: the same bytes. */
static void test_stage_pictures_are_kept(void **state) {
    (void)state;
    char name[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "a/%02d.pgm", i);
        put_grey(name, 20 + i, 40 - i, i);
    }
    strata_dataset *data = open_folder(NULL);
    st_geometry geometry = {.fit = ST_FIT_CROP, .side = 18, .out = {16, 16, 3}};
    uint8_t first[20][16 * 16 * 3], again[16 * 16 * 3];
    st_reader with = {0};
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(st_data_fitted(data, STRATA_TRAIN, i, &geometry, &with, first[i], NULL), STRATA_OK);
    }
    empty_and_leave(); /* the files are gone: what comes now was kept */
    for (size_t i = 20; i-- > 0;) {
        assert_int_equal(st_data_fitted(data, STRATA_TRAIN, i, &geometry, &with, again, NULL), STRATA_OK);
        assert_memory_equal(again, first[i], sizeof again);
    }
    for (int threads = 1; threads <= 4; threads += 3) {
        st_batcher *batcher = NULL;
        st_batch got;
        assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, 7, &geometry, threads, NULL), STRATA_OK);
        assert_int_equal(st_batcher_start(batcher, NULL, 20, 0, NULL), STRATA_OK);
        for (size_t at = 0; at < 20; at += got.n) {
            assert_int_equal(st_batcher_next(batcher, &got, NULL), STRATA_OK);
            assert_true(got.n > 0);
            assert_memory_equal(got.pixels, first[at], got.n * sizeof first[0]);
        }
        st_batcher_free(batcher);
    }
    geometry.side = 17;
    strata_error err = {0};
    assert_int_equal(st_data_fitted(data, STRATA_TRAIN, 3, &geometry, &with, again, &err), STRATA_IO);
    assert_string_equal(err.file, "a/03.pgm");
    st_reader_free(&with);
    strata_dataset_free(data);
}

/* ---- the cache of checks ---- */

static void use_cache(char cache[128]) {
    snprintf(cache, 128, "%s-cache", folder);
    setenv("XDG_CACHE_HOME", cache, 1);
}

/* The one file of checks; removed with the folders above it where `remove`. */
static void the_checks(const char *cache, char path[512], bool remove) {
    char checks[200];
    snprintf(checks, sizeof checks, "%s/strata/checks", cache);
    DIR *open = opendir(checks);
    path[0] = '\0';
    for (struct dirent *entry = NULL; open != NULL && (entry = readdir(open)) != NULL;) {
        if (entry->d_name[0] != '.') {
            assert_string_equal(path, ""); /* one only, and nothing half-written */
            snprintf(path, 512, "%s/%.100s", checks, entry->d_name);
        }
    }
    if (open != NULL) {
        closedir(open);
    }
    if (remove) {
        unlink(path);
        rmdir(checks);
        snprintf(checks, sizeof checks, "%s/strata", cache);
        rmdir(checks);
        rmdir(cache);
        setenv("XDG_CACHE_HOME", "/proc/self/none", 1);
    }
}

static size_t broken_count(void) {
    strata_dataset *data = open_folder(NULL);
    size_t count = strata_dataset_broken_count(data);
    assert_int_equal(strata_dataset_count(data, STRATA_TRAIN) + count, 30);
    strata_dataset_free(data);
    return count;
}

static void set_time(const char *name, long seconds) {
    struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, in_folder(name), times, 0), 0);
}

static void test_checks_hold_as_long_as_a_file_stays(void **state) {
    (void)state;
    char cache[128], path[512], name[32];
    use_cache(cache);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "a/%02d.pgm", i);
        put_grey(name, 4, 4, i);
        set_time(name, 1000);
    }
    assert_int_equal(broken_count(), 0);
    the_checks(cache, path, false);
    assert_string_not_equal(path, "");
    /* Same size, same time: the old answer holds. */
    FILE *file = fopen(in_folder("a/07.pgm"), "r+b");
    assert_non_null(file);
    fwrite("P9", 1, 2, file);
    fclose(file);
    set_time("a/07.pgm", 1000);
    assert_int_equal(broken_count(), 0);
    set_time("a/07.pgm", 1001);
    assert_int_equal(broken_count(), 1);
    assert_int_equal(broken_count(), 1); /* from the cache too */
    /* Damaged, cut, foreign: as if it were not there. */
    file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 100, SEEK_SET);
    fputc('x', file);
    fclose(file);
    assert_int_equal(broken_count(), 1);
    for (long length = 400; length >= 0; length -= 37) {
        assert_int_equal(truncate(path, length), 0);
        assert_int_equal(broken_count(), 1);
    }
    the_checks(cache, path, true);
    empty_and_leave();
}

#define EACH(test) cmocka_unit_test_teardown(test, empty_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(test_geometry_follows_net_and_sizes),      EACH(test_geometry_of_a_checkpoint_comes_first),
        EACH(test_geometry_refuses_other_channels),     EACH(test_stage_covers_the_box),
        EACH(test_middle_is_rounded_half_to_even),      EACH(test_channels_are_spread_and_weighed),
        EACH(test_resizing_and_channels_change_places), EACH(test_stage_pictures_are_kept),
        EACH(test_checks_hold_as_long_as_a_file_stays),
    };
    return cmocka_run_group_tests_name("data: preparation", tests, make_all, remove_all);
}
