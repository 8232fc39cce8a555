/* data: which way up a picture is: EXIF read from whole and damaged blocks, and all eight orientations applied. */
#include "picture_case.h"

/* 2 rows of 3 pixels as stored, and as they stand upright by each orientation: the shape, the pixels. */
static const unsigned char stored[] = {1, 2, 3, 4, 5, 6};
static const struct upright {
    int height, width;
    unsigned char pixels[6];
} uprights[9] = {
    [1] = {2, 3, {1, 2, 3, 4, 5, 6}}, [2] = {2, 3, {3, 2, 1, 6, 5, 4}}, [3] = {2, 3, {6, 5, 4, 3, 2, 1}},
    [4] = {2, 3, {4, 5, 6, 1, 2, 3}}, [5] = {3, 2, {1, 4, 2, 5, 3, 6}}, [6] = {3, 2, {4, 1, 5, 2, 6, 3}},
    [7] = {3, 2, {6, 3, 5, 2, 4, 1}}, [8] = {3, 2, {3, 6, 2, 5, 1, 4}},
};

static strata_picture make_picture(int64_t height, int64_t width, int64_t channels, const unsigned char *pixels) {
    strata_picture picture = {0};
    assert_int_equal(st_picture_room(&picture, (strata_shape){height, width, channels}, NULL), STRATA_OK);
    for (int64_t i = 0; i < height * width * channels; i++) {
        picture.pixels[i] = (uint8_t)(pixels[i / channels] + 10 * (i % channels));
    }
    return picture;
}

static void test_upright_turns_all_eight(void **state) {
    (void)state;
    for (int orientation = 0; orientation <= 8; orientation++) {
        const struct upright *expected = &uprights[orientation > 0 ? orientation : 1];
        for (int channels = 1; channels <= 3; channels += 2) {
            unsigned char pixels[18];
            for (int i = 0; i < 6 * channels; i++) {
                pixels[i] = (unsigned char)(expected->pixels[i / channels] + 10 * (i % channels));
            }
            strata_picture picture = make_picture(2, 3, channels, stored);
            assert_int_equal(st_picture_upright(&picture, orientation, NULL), STRATA_OK);
            pixels_are(&picture, expected->height, expected->width, channels, pixels);
        }
    }
}

/* Where a pixel lies as stored, by the words of the standard. */
static size_t place_of(int orientation, size_t y, size_t x, size_t height, size_t width) {
    size_t below = height - 1 - y, beyond = width - 1 - x; /* height and width upright */
    switch (orientation) {
    case 2:
        return y * width + beyond;
    case 3:
        return below * width + beyond;
    case 4:
        return below * width + x;
    case 5:
        return x * height + y;
    case 6:
        return beyond * height + y;
    case 7:
        return beyond * height + below;
    case 8:
        return x * height + below;
    default:
        return y * width + x;
    }
}

static void test_upright_turns_large_ones(void **state) {
    (void)state;
    static const int sides[][2] = {{1, 1}, {1, 70}, {70, 1}, {33, 50}, {16, 64}, {51, 31}};
    for (size_t s = 0; s < ST_COUNT_OF(sides); s++) {
        for (int orientation = 1; orientation <= 8; orientation++) {
            size_t height = (size_t)sides[s][0], width = (size_t)sides[s][1];
            strata_picture picture = {0};
            assert_int_equal(st_picture_room(&picture, (strata_shape){sides[s][0], sides[s][1], 3}, NULL), STRATA_OK);
            for (size_t i = 0; i < height * width * 3; i++) {
                picture.pixels[i] = (uint8_t)st_rng_bits(3, 0, i);
            }
            assert_int_equal(st_picture_upright(&picture, orientation, NULL), STRATA_OK);
            size_t turned_height = orientation < 5 ? height : width, turned_width = orientation < 5 ? width : height;
            assert_int_equal(picture.shape.height, turned_height);
            assert_int_equal(picture.shape.width, turned_width);
            for (size_t i = 0; i < height * width * 3; i++) {
                size_t place =
                    place_of(orientation, i / 3 / turned_width, i / 3 % turned_width, turned_height, turned_width);
                assert_int_equal(picture.pixels[i], (uint8_t)st_rng_bits(3, 0, place * 3 + i % 3));
            }
            strata_picture_free(&picture);
        }
    }
}

static void test_exif_says_the_orientation(void **state) {
    (void)state;
    for (int big_first = 0; big_first < 2; big_first++) {
        for (uint32_t orientation = 0; orientation < 12; orientation++) {
            unsigned char exif[6 + EXIF_BYTES] = "Exif\0";
            put_exif(exif + 6, big_first != 0, orientation);
            int expected = orientation >= 1 && orientation <= 8 ? (int)orientation : 0;
            assert_int_equal(st_exif_orientation(exif + 6, EXIF_BYTES), expected);
            assert_int_equal(st_exif_orientation(exif, sizeof exif), expected);
        }
    }
}

static void test_exif_that_is_damaged_says_nothing(void **state) {
    (void)state;
    unsigned char exif[EXIF_BYTES];
    for (int big_first = 0; big_first < 2; big_first++) {
        put_exif(exif, big_first != 0, 6);
        for (size_t length = 0; length < EXIF_BYTES; length++) { /* a read beyond the end is seen */
            unsigned char *cut = malloc(length > 0 ? length : 1);
            assert_non_null(cut);
            memcpy(cut, exif, length);
            assert_int_equal(st_exif_orientation(cut, length), length >= EXIF_BYTES - 4 ? 6 : 0);
            free(cut);
        }
        for (size_t i = 0; i < 20000; i++) { /* anything: no crash, and in range */
            unsigned char other[EXIF_BYTES];
            memcpy(other, exif, sizeof other);
            for (size_t k = 0; k < 1 + i % 3; k++) {
                other[st_rng_bits(5, k, i) % sizeof other] = (unsigned char)st_rng_bits(6, k, i);
            }
            assert_in_range(st_exif_orientation(other, sizeof other), 0, 8);
        }
    }
    put_exif(exif, true, 6);
    exif[7] = 0xFF; /* the directory beyond the end */
    assert_int_equal(st_exif_orientation(exif, sizeof exif), 0);
    put_exif(exif, true, 6);
    exif[25] = 4; /* LONG instead of SHORT */
    assert_int_equal(st_exif_orientation(exif, sizeof exif), 0);
    put_exif(exif, true, 6);
    exif[8] = 0xFF; /* 65,282 entries */
    assert_int_equal(st_exif_orientation(exif, sizeof exif), 6);
    assert_int_equal(st_exif_orientation((const unsigned char *)"II+\0\10\0\0\0\0\0", 10), 0);
}

#if defined ST_WITH_JPEG || defined ST_WITH_PNG || defined ST_WITH_WEBP

/* A picture with an EXIF block in it, decoded, against the same without, turned. */
static void check_turned(encoded plain, encoded (*put_in)(encoded file, const unsigned char *exif, size_t length)) {
    for (uint32_t orientation = 1; orientation <= 8; orientation++) {
        unsigned char exif[EXIF_BYTES];
        put_exif(exif, orientation % 2 == 0, orientation);
        encoded copy = {.bytes = malloc(plain.length), .length = plain.length};
        assert_non_null(copy.bytes);
        memcpy(copy.bytes, plain.bytes, plain.length);
        strata_picture expected, found;
        strata_error err;
        st_picture_about about;
        assert_int_equal(decode_bytes(&expected, &about, plain.bytes, plain.length, 0, &err), STRATA_OK);
        assert_int_equal(about.orientation, 0);
        assert_int_equal(st_picture_upright(&expected, (int)orientation, NULL), STRATA_OK);
        found = decode_good(put_in(copy, exif, EXIF_BYTES), &about, 0);
        assert_int_equal(about.orientation, orientation);
        assert_int_equal(about.shape.height, expected.shape.height);
        assert_int_equal(about.shape.width, expected.shape.width);
        pixels_are(&found, expected.shape.height, expected.shape.width, expected.shape.channels, expected.pixels);
        strata_picture_free(&expected);
    }
    /* Damaged: taken for as good as none. */
    strata_picture expected, found;
    st_picture_about about;
    strata_error err;
    unsigned char exif[EXIF_BYTES];
    memset(exif, 0xAB, sizeof exif);
    assert_int_equal(decode_bytes(&expected, NULL, plain.bytes, plain.length, 0, &err), STRATA_OK);
    found = decode_good(put_in(plain, exif, EXIF_BYTES), &about, 0);
    assert_int_equal(about.orientation, 0);
    pixels_are(&found, expected.shape.height, expected.shape.width, expected.shape.channels, expected.pixels);
    strata_picture_free(&expected);
}

#endif

#ifdef ST_WITH_JPEG

static void test_exif_turns_a_jpeg(void **state) {
    (void)state;
    check_turned(encode_jpeg(&(jpeg_form){.width = 21, .height = 34, .channels = 3, .quality = 90}), jpeg_with_exif);
    check_turned(encode_jpeg(&(jpeg_form){.width = 34, .height = 21, .channels = 1, .quality = 90}), jpeg_with_exif);
}

#endif

#ifdef ST_WITH_PNG

static encoded png_with_exif(encoded file, const unsigned char *exif, size_t length) {
    return png_with_chunk(file, 33, "eXIf", exif, length);
}

static encoded png_with_exif_last(encoded file, const unsigned char *exif, size_t length) {
    return png_with_chunk(file, file.length - 12, "eXIf", exif, length);
}

static encoded png_with_exif_twice(encoded file, const unsigned char *exif, size_t length) {
    unsigned char other[EXIF_BYTES];
    put_exif(other, true, 3);
    return png_with_exif(png_with_exif_last(file, other, sizeof other), exif, length);
}

static void test_exif_turns_a_png(void **state) {
    (void)state;
    check_turned(encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false), png_with_exif);
    check_turned(encode_png(19, 13, SPNG_COLOR_TYPE_GRAYSCALE, 8, 1, false), png_with_exif_last);
    (void)png_with_exif_twice;
}

#endif

#ifdef ST_WITH_WEBP

/* Needs the canvas, which plain files do without. */
static encoded webp_with_exif(encoded file, const unsigned char *exif, size_t length) {
    encoded out = webp_canvas(0x08, 19, 13);
    out = webp_add(out, "VP8L", file.bytes + 20, file.length - 20);
    free(file.bytes);
    return webp_add(out, "EXIF", exif, length);
}

static encoded webp_with_exif_first(encoded file, const unsigned char *exif, size_t length) {
    unsigned char block[256] = "Exif\0";
    memcpy(block + 6, exif, length);
    encoded out = webp_add(webp_canvas(0x08, 19, 13), "EXIF", block, length + 6);
    out = webp_add(out, "VP8L", file.bytes + 20, file.length - 20);
    free(file.bytes);
    return out;
}

static void test_exif_turns_a_webp(void **state) {
    (void)state;
    uint8_t pixels[19 * 13 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) {
        pixels[i] = (uint8_t)st_rng_bits(9, 0, i);
    }
    webp_form form = {.width = 19, .height = 13, .lossless = true, .pixels = pixels};
    check_turned(encode_webp(&form), webp_with_exif);
    check_turned(encode_webp(&form), webp_with_exif_first);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upright_turns_all_eight),   cmocka_unit_test(test_upright_turns_large_ones),
        cmocka_unit_test(test_exif_says_the_orientation), cmocka_unit_test(test_exif_that_is_damaged_says_nothing),
#ifdef ST_WITH_JPEG
        cmocka_unit_test(test_exif_turns_a_jpeg),
#endif
#ifdef ST_WITH_PNG
        cmocka_unit_test(test_exif_turns_a_png),
#endif
#ifdef ST_WITH_WEBP
        cmocka_unit_test(test_exif_turns_a_webp),
#endif
    };
    return cmocka_run_group_tests_name("data: EXIF", tests, NULL, NULL);
}
