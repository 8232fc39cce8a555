/* data: one picture from a file: anymaps, JPEG and PNG made by other code, and every kind of damage. */
#include "data_case.h"
#include "encode.h"

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
                    "no picture: expected JPEG, PNG, PGM or PPM (P2, P3, P5, P6), or an IDX file with the number of a "
                    "picture");
    picture_refused("RIFF1234WEBPVP8 ", 16, STRATA_UNSUPPORTED,
                    "a WebP picture, expected JPEG, PNG, PGM or PPM (P2, P3, P5, P6)");
    picture_refused("P4 8 8 x", 8, STRATA_UNSUPPORTED,
                    "a PBM (black and white) picture, expected JPEG, PNG, PGM or PPM (P2, P3, P5, P6)");
    if (st_decoder_jpeg.decode == NULL) {
        picture_refused("\377\330\377\340", 4, STRATA_UNSUPPORTED,
                        "a JPEG picture, and this build cannot read it: it was made without libjpeg");
    }
    if (st_decoder_png.decode == NULL) {
        picture_refused("\x89PNG\r\n", 6, STRATA_UNSUPPORTED,
                        "a PNG picture, and this build cannot read it: it was made without libspng");
    }
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

/* ---- JPEG ---- */

#ifdef ST_WITH_JPEG

/* Decodes from memory, in its own room so that a read beyond the end is seen; the caller frees the picture. */
static strata_status decode(strata_picture *out, const unsigned char *bytes, size_t length, strata_error *err) {
    unsigned char *own = malloc(length > 0 ? length : 1);
    assert_non_null(own);
    memcpy(own, bytes, length);
    *out = (strata_picture){0};
    *err = (strata_error){0};
    strata_status status = st_picture_decode(out, own, length, "it", err);
    free(own);
    return status;
}

static void test_jpeg_gives_nearly_what_was_encoded(void **state) {
    (void)state;
    static const jpeg_form forms[] = {
        {.width = 40, .height = 23, .channels = 3, .quality = 100},
        {.width = 40, .height = 23, .channels = 3, .quality = 100, .progressive = true},
        {.width = 17, .height = 64, .channels = 1, .quality = 100},
        {.width = 8, .height = 9, .channels = 4, .quality = 100},
        {.width = 1, .height = 1, .channels = 3, .quality = 100},
        {.width = 33, .height = 31, .channels = 3, .quality = 100, .arithmetic = true},
    };
    for (size_t f = 0; f < ST_COUNT_OF(forms); f++) {
        encoded file = encode_jpeg(&forms[f]);
        strata_picture picture;
        strata_error err;
        if (decode(&picture, file.bytes, file.length, &err) != STRATA_OK) {
            fail_msg("form %zu: %s", f, err.message);
        }
        assert_int_equal(picture.shape.height, forms[f].height);
        assert_int_equal(picture.shape.width, forms[f].width);
        assert_int_equal(picture.shape.channels, forms[f].channels == 1 ? 1 : 3);
        for (int i = 0; i < forms[f].height * forms[f].width * (int)picture.shape.channels; i++) {
            int place = i / (int)picture.shape.channels, c = i % (int)picture.shape.channels;
            int expected = smooth_pixel(place % forms[f].width, place / forms[f].width, c);
            if (forms[f].channels == 4) { /* inverted ink, times inverted black */
                expected = expected * smooth_pixel(place % forms[f].width, place / forms[f].width, 3) / 255;
            }
            assert_in_range(picture.pixels[i], expected > 12 ? expected - 12 : 0, expected + 12);
        }
        strata_picture_free(&picture);
        free(file.bytes);
    }
}

static void test_jpeg_refuses_every_cut(void **state) {
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        encoded file = encode_jpeg(
            &(jpeg_form){.width = 40, .height = 24, .channels = 3, .quality = 75, .progressive = progressive != 0});
        for (size_t length = 3; length < file.length; length++) {
            strata_picture picture;
            strata_error err;
            assert_int_equal(decode(&picture, file.bytes, length, &err), STRATA_FORMAT);
            assert_memory_equal(err.message, "damaged JPEG: ", 14);
            strata_picture_free(&picture);
        }
        free(file.bytes);
    }
}

/* Any byte changed to anything: a picture or a clear refusal, nothing else. */
static void test_jpeg_survives_changed_bytes(void **state) {
    (void)state;
    encoded file = encode_jpeg(&(jpeg_form){.width = 40, .height = 24, .channels = 3, .quality = 75});
    for (size_t i = 0; i < 4000; i++) {
        size_t place = st_rng_bits(31, 0, i) % file.length;
        unsigned char kept = file.bytes[place];
        strata_picture picture;
        strata_error err;
        file.bytes[place] = (unsigned char)st_rng_bits(31, 1, i);
        strata_status status = decode(&picture, file.bytes, file.length, &err);
        assert_true(status == STRATA_OK || (err.status == status && err.message[0] != '\0'));
        strata_picture_free(&picture);
        file.bytes[place] = kept;
    }
    free(file.bytes);
}

static size_t find_bytes(const encoded *in, const char *bytes, size_t length) {
    for (size_t i = 0; i + length <= in->length; i++) {
        if (memcmp(in->bytes + i, bytes, length) == 0) {
            return i;
        }
    }
    fail_msg("the encoder wrote no such marker");
    return 0;
}

static void test_jpeg_refuses_bombs(void **state) {
    (void)state;
    strata_picture picture;
    strata_error err;
    encoded file = encode_jpeg(&(jpeg_form){.width = 40, .height = 24, .channels = 3, .quality = 75});
    size_t frame = find_bytes(&file, "\377\300", 2) + 5; /* height and width of the frame, two bytes each */
    memcpy(file.bytes + frame, "\352\140\352\140", 4);
    assert_int_equal(decode(&picture, file.bytes, file.length, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "found 60000x60000 pixels, expected 1 to 67108864");
    memcpy(file.bytes + frame, "\37\100\37\100", 4);
    assert_int_equal(decode(&picture, file.bytes, file.length, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "found 8000x8000 pixels, more than its "));
    assert_null(picture.pixels);
    memcpy(file.bytes + frame, "\0\0\0\50", 4);
    assert_int_equal(decode(&picture, file.bytes, file.length, &err), STRATA_FORMAT);
    assert_null(picture.pixels);
    free(file.bytes);
    /* The last scan again and again. */
    file = encode_jpeg(&(jpeg_form){.width = 16, .height = 16, .channels = 1, .quality = 75, .progressive = true});
    size_t last = file.length - 2;
    while (file.bytes[last] != 0xFF || file.bytes[last + 1] != 0xDA) {
        last--;
    }
    size_t scan = file.length - 2 - last;
    unsigned char *many = malloc(file.length + 120 * scan);
    assert_non_null(many);
    memcpy(many, file.bytes, file.length - 2);
    for (size_t i = 0; i < 120; i++) {
        memcpy(many + file.length - 2 + i * scan, file.bytes + last, scan);
    }
    memcpy(many + file.length - 2 + 120 * scan, "\377\331", 2);
    assert_int_equal(decode(&picture, many, file.length + 120 * scan, &err), STRATA_FORMAT);
    strata_picture_free(&picture);
    free(many);
    free(file.bytes);
}

#endif

/* ---- PNG ---- */

#ifdef ST_WITH_PNG

static strata_status decode_png(strata_picture *out, const encoded *file, size_t length, strata_error *err) {
    *out = (strata_picture){0};
    *err = (strata_error){0};
    return st_picture_decode(out, file->bytes, length, "it", err);
}

static void test_png_reads_every_kind(void **state) {
    (void)state;
    static const struct {
        uint8_t color, depth;
        int samples;
    } kinds[] = {{SPNG_COLOR_TYPE_GRAYSCALE, 8, 1},        {SPNG_COLOR_TYPE_GRAYSCALE, 16, 1},
                 {SPNG_COLOR_TYPE_TRUECOLOR, 8, 3},        {SPNG_COLOR_TYPE_TRUECOLOR, 16, 3},
                 {SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 8, 2},  {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 8, 4},
                 {SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 16, 2}, {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, 4}};
    for (size_t k = 0; k < ST_COUNT_OF(kinds) * 2; k++) {
        bool interlaced = k >= ST_COUNT_OF(kinds);
        size_t kind = k % ST_COUNT_OF(kinds);
        encoded file = encode_png(19, 13, kinds[kind].color, kinds[kind].depth, kinds[kind].samples, interlaced);
        strata_picture picture;
        strata_error err;
        if (decode_png(&picture, &file, file.length, &err) != STRATA_OK) {
            fail_msg("kind %zu: %s", k, err.message);
        }
        int channels = kinds[kind].samples < 3 ? 1 : 3;
        assert_int_equal(picture.shape.channels, channels);
        for (int i = 0; i < 19 * 13 * channels; i++) { /* alpha is left out, of 16 bits the upper 8 stay */
            assert_int_equal(picture.pixels[i],
                             drawn_sample((size_t)(i / channels * kinds[kind].samples + i % channels)));
        }
        strata_picture_free(&picture);
        free(file.bytes);
    }
}

static void test_png_spreads_few_bits(void **state) {
    (void)state;
    /* 10x1, 1 bit grey: 1010101001; and a palette of two colours. */
    encoded file = encode_png_rows(10, SPNG_COLOR_TYPE_GRAYSCALE, 1, "\252\100", 2);
    strata_picture picture;
    strata_error err;
    assert_int_equal(decode_png(&picture, &file, file.length, &err), STRATA_OK);
    assert_int_equal(picture.shape.channels, 1);
    assert_memory_equal(picture.pixels, "\377\0\377\0\377\0\377\0\0\377", 10);
    strata_picture_free(&picture);
    free(file.bytes);
    file = encode_png_rows(3, SPNG_COLOR_TYPE_INDEXED, 8, "\1\0\1", 3);
    assert_int_equal(decode_png(&picture, &file, file.length, &err), STRATA_OK);
    assert_int_equal(picture.shape.channels, 3);
    assert_memory_equal(picture.pixels, "\4\5\6\1\2\3\4\5\6", 9);
    strata_picture_free(&picture);
    free(file.bytes);
}

static void test_png_refuses_cuts_and_changed_bytes(void **state) {
    (void)state;
    encoded file = encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
    strata_picture picture;
    strata_error err;
    /* All but the checksum of the end mark, which has no content. */
    for (size_t length = 4; length < file.length - 4; length++) {
        unsigned char *own = malloc(length);
        assert_non_null(own);
        memcpy(own, file.bytes, length);
        encoded cut = {.bytes = own, .length = length};
        assert_int_equal(decode_png(&picture, &cut, length, &err), STRATA_FORMAT);
        assert_memory_equal(err.message, "damaged PNG: ", 13);
        strata_picture_free(&picture);
        free(own);
    }
    /* Every chunk here has a checksum, so nothing that is changed goes through. */
    for (size_t place = 0; place < file.length - 4; place++) {
        file.bytes[place] ^= 0x10;
        strata_status status = decode_png(&picture, &file, file.length, &err);
        assert_true(status == STRATA_FORMAT || (place < 4 && status == STRATA_UNSUPPORTED));
        strata_picture_free(&picture);
        file.bytes[place] ^= 0x10;
    }
    free(file.bytes);
}

static void test_png_refuses_bombs(void **state) {
    (void)state;
    encoded file = encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
    strata_picture picture;
    strata_error err;
    set_png_size(&file, 65536, 65536);
    assert_int_equal(decode_png(&picture, &file, file.length, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "found 65536x65536 pixels, expected 1 to 67108864");
    set_png_size(&file, 8000, 8000);
    assert_int_equal(decode_png(&picture, &file, file.length, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "found 8000x8000 pixels, more than its "));
    assert_null(picture.pixels);
    free(file.bytes);
}

#endif

#define EACH(test) cmocka_unit_test_teardown(test, empty_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(test_picture_reads_anymaps),
        EACH(test_picture_refuses_damage),
        EACH(test_picture_takes_one_of_idx),
#ifdef ST_WITH_JPEG
        EACH(test_jpeg_gives_nearly_what_was_encoded),
        EACH(test_jpeg_refuses_every_cut),
        EACH(test_jpeg_survives_changed_bytes),
        EACH(test_jpeg_refuses_bombs),
#endif
#ifdef ST_WITH_PNG
        EACH(test_png_reads_every_kind),
        EACH(test_png_spreads_few_bits),
        EACH(test_png_refuses_cuts_and_changed_bytes),
        EACH(test_png_refuses_bombs),
#endif
    };
    return cmocka_run_group_tests_name("data: pictures", tests, make_folder, remove_folder);
}
