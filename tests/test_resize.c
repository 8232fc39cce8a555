/* data: resizing. The bytes of Pillow (tests/golden/record-resize recorded them), what a filter must do whatever its
 * weights are, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"

/* As in tests/golden/record-resize. */
static uint8_t value_at(int y, int x, int c) {
    if ((x * 7 + y * 11 + c) % 13 == 0) {
        return (uint8_t)(255 * ((x + y) % 2));
    }
    return (uint8_t)((3 * x + 5 * y + x * y / 4 + 40 * c + 60 * (x / 8 % 2)) % 256);
}

static strata_picture make_picture(int height, int width, int channels) {
    strata_picture picture = {0};
    assert_int_equal(st_picture_room(&picture, (strata_shape){height, width, channels}, NULL), STRATA_OK);
    for (int i = 0; i < height * width * channels; i++) {
        int place = i / channels;
        picture.pixels[i] = value_at(place / width, place % width, i % channels);
    }
    return picture;
}

static void test_resize_gives_the_bytes_of_pillow(void **state) {
    (void)state;
    FILE *file = fopen("tests/golden/resize", "rb");
    assert_non_null(file);
    char line[256];
    int records = 0;
    strata_picture found = {0};
    for (; fgets(line, sizeof line, file) != NULL; records++) {
        int channels, height, width, to_height, to_width;
        char name[16];
        st_box box;
        assert_int_equal(sscanf(line, "%d %d %d %d %d %15s %la %la %la %la", &channels, &height, &width, &to_height,
                                &to_width, name, &box.x0, &box.y0, &box.x1, &box.y1),
                         10);
        st_filter filter = strcmp(name, "bicubic") == 0 ? ST_FILTER_BICUBIC : ST_FILTER_BILINEAR;
        bool is_whole = box.x0 <= 0.0 && box.y0 <= 0.0 && box.x1 >= width && box.y1 >= height;
        strata_picture from = make_picture(height, width, channels);
        size_t bytes = (size_t)(to_height * to_width * channels);
        unsigned char *expected = malloc(bytes);
        assert_non_null(expected);
        assert_int_equal(fread(expected, 1, bytes, file), bytes);
        for (int way = 0; way < 1 + is_whole; way++) {
            strata_status status = way == 0
                                       ? st_picture_resize_box(&found, &from, &box, to_height, to_width, filter, NULL)
                                       : st_picture_resize(&found, &from, to_height, to_width, filter, NULL);
            assert_int_equal(status, STRATA_OK);
            for (size_t i = 0; i < bytes; i++) {
                if (expected[i] != found.pixels[i]) {
                    fail_msg("%sbyte %zu: found %d, expected %d", line, i, found.pixels[i], expected[i]);
                }
            }
        }
        free(expected);
        strata_picture_free(&from);
    }
    strata_picture_free(&found);
    fclose(file);
    assert_int_equal(records, 64);
}

/* One value everywhere stays that value: the weights of every pixel sum to 1. */
static void test_resize_keeps_a_flat_picture_flat(void **state) {
    (void)state;
    strata_picture found = {0};
    for (uint64_t i = 0; i < 300; i++) {
        int64_t sides[4];
        for (uint64_t k = 0; k < 4; k++) {
            sides[k] = 1 + (int64_t)(st_rng_bits(11, k, i) % (i % 10 == 0 ? 900 : 60));
        }
        int64_t channels = 1 + (int64_t)(i % 4);
        uint8_t value = (uint8_t)st_rng_bits(11, 9, i);
        strata_picture from = {0};
        assert_int_equal(st_picture_room(&from, (strata_shape){sides[0], sides[1], channels}, NULL), STRATA_OK);
        memset(from.pixels, value, (size_t)(sides[0] * sides[1] * channels));
        st_filter filter = i % 2 == 0 ? ST_FILTER_BILINEAR : ST_FILTER_BICUBIC;
        assert_int_equal(st_picture_resize(&found, &from, sides[2], sides[3], filter, NULL), STRATA_OK);
        for (int64_t k = 0; k < sides[2] * sides[3] * channels; k++) {
            assert_int_equal(found.pixels[k], value);
        }
        strata_picture_free(&from);
    }
    strata_picture_free(&found);
}

/* Channels do not mix, and the same size is the same picture. */
static void test_resize_treats_each_channel_alike(void **state) {
    (void)state;
    strata_picture colour = {0}, grey = {0};
    strata_picture from = make_picture(40, 31, 1);
    for (int channels = 2; channels <= 4; channels++) {
        strata_picture many = {0};
        assert_int_equal(st_picture_room(&many, (strata_shape){40, 31, channels}, NULL), STRATA_OK);
        for (int i = 0; i < 40 * 31 * channels; i++) {
            many.pixels[i] = from.pixels[i / channels];
        }
        assert_int_equal(st_picture_resize(&colour, &many, 17, 52, ST_FILTER_BICUBIC, NULL), STRATA_OK);
        assert_int_equal(st_picture_resize(&grey, &from, 17, 52, ST_FILTER_BICUBIC, NULL), STRATA_OK);
        for (int i = 0; i < 17 * 52 * channels; i++) {
            assert_int_equal(colour.pixels[i], grey.pixels[i / channels]);
        }
        strata_picture_free(&many);
    }
    assert_int_equal(st_picture_resize(&grey, &from, 40, 31, ST_FILTER_BICUBIC, NULL), STRATA_OK);
    assert_memory_equal(grey.pixels, from.pixels, 40 * 31);
    st_box whole = {0.0, 0.0, 31.0, 40.0};
    assert_int_equal(st_picture_resize_box(&grey, &from, &whole, 40, 31, ST_FILTER_BILINEAR, NULL), STRATA_OK);
    assert_memory_equal(grey.pixels, from.pixels, 40 * 31);
    strata_picture_free(&from);
    strata_picture_free(&colour);
    strata_picture_free(&grey);
}

/* A strip of many thousand pixels, to one pixel and back. */
static void test_resize_bears_extreme_ratios(void **state) {
    (void)state;
    strata_picture found = {0}, back = {0};
    static const int sides[][2] = {{1, 60000}, {60000, 1}, {2, 30001}};
    for (size_t s = 0; s < ST_COUNT_OF(sides); s++) {
        strata_picture from = make_picture(sides[s][0], sides[s][1], 3);
        for (int filter = 0; filter < 2; filter++) {
            assert_int_equal(st_picture_resize(&found, &from, 1, 1, (st_filter)filter, NULL), STRATA_OK);
            assert_in_range(found.pixels[0], 90, 170);
            assert_int_equal(st_picture_resize(&back, &found, sides[s][0], sides[s][1], (st_filter)filter, NULL),
                             STRATA_OK);
            assert_int_equal(back.pixels[(size_t)sides[s][0] * (size_t)sides[s][1] * 3 - 3], found.pixels[0]);
        }
        strata_picture_free(&from);
    }
    strata_picture_free(&found);
    strata_picture_free(&back);
}

static void test_resize_refuses_what_cannot_be(void **state) {
    (void)state;
    strata_picture out = {0};
    strata_picture from = make_picture(20, 30, 3);
    strata_error err;
    static const int64_t sizes[][2] = {{0, 5}, {5, 0}, {-1, 5}, {1 << 14, 1 << 14}, {INT64_MAX, INT64_MAX}};
    for (size_t i = 0; i < ST_COUNT_OF(sizes); i++) {
        assert_int_equal(st_picture_resize(&out, &from, sizes[i][0], sizes[i][1], ST_FILTER_BILINEAR, &err),
                         STRATA_INVALID);
    }
    static const st_box boxes[] = {{-0.1, 0, 5, 5},  {0, -1, 5, 5}, {0, 0, 30.01, 20},
                                   {0, 0, 30, 20.1}, {5, 5, 5, 6},  {5, 6, 7, 5}};
    for (size_t i = 0; i < ST_COUNT_OF(boxes); i++) {
        assert_int_equal(st_picture_resize_box(&out, &from, &boxes[i], 4, 4, ST_FILTER_BILINEAR, &err), STRATA_INVALID);
        assert_non_null(strstr(err.message, "is not within a picture of 20x30"));
    }
    assert_null(out.pixels);
    strata_picture_free(&from);
}

static int refuse_after;

static void *refuse(size_t bytes) {
    return refuse_after-- > 0 ? malloc(bytes) : NULL;
}

static void give_back(void *memory, size_t bytes) {
    (void)bytes;
    free(memory);
}

static void test_resize_survives_a_lack_of_memory(void **state) {
    (void)state;
    st_system kept = st_sys;
    st_sys.allocate = refuse;
    st_sys.release = give_back;
    strata_picture out = {0};
    refuse_after = 1;
    strata_picture from = make_picture(20, 30, 3);
    for (int calls = 0; calls < 2; calls++) {
        refuse_after = calls;
        assert_int_equal(st_picture_resize(&out, &from, 9, 9, ST_FILTER_BILINEAR, NULL), STRATA_MEMORY);
        strata_picture_free(&out);
    }
    strata_picture_free(&from);
    st_sys = kept;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize_gives_the_bytes_of_pillow),
        cmocka_unit_test(test_resize_keeps_a_flat_picture_flat),
        cmocka_unit_test(test_resize_treats_each_channel_alike),
        cmocka_unit_test(test_resize_bears_extreme_ratios),
        cmocka_unit_test(test_resize_refuses_what_cannot_be),
        cmocka_unit_test(test_resize_survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests_name("data: resizing", tests, NULL, NULL);
}
