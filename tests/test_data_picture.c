/* data: one picture from a file: anymaps, JPEG and PNG made by other code, and every kind of damage. WebP has a file of
 * its own, and so has EXIF. */
#include "data_case.h"
#include "picture_case.h"

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
    picture_refused("P5", 2, STRATA_UNSUPPORTED, "no picture: expected JPEG, PNG, WebP, PGM or PPM (P2, P3, P5, P6)");
    picture_refused("Once upon a time", 16, STRATA_UNSUPPORTED,
                    "no picture: expected JPEG, PNG, WebP, PGM or PPM (P2, P3, P5, P6)");
    picture_refused("GIF89a", 6, STRATA_UNSUPPORTED,
                    "a GIF picture, expected JPEG, PNG, WebP, PGM or PPM (P2, P3, P5, P6)");
    picture_refused("P4 8 8 x", 8, STRATA_UNSUPPORTED,
                    "a PBM (black and white) picture, expected JPEG, PNG, WebP, PGM or PPM (P2, P3, P5, P6)");
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
        if (decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err) != STRATA_OK) {
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

/* Inks, inverted as Adobe writes them: CMYK as it is, and the same by way of YCCK. */
static void test_jpeg_makes_colours_of_inks(void **state) {
    (void)state;
    for (int ycck = 0; ycck < 2; ycck++) {
        st_picture_about about;
        strata_picture picture = decode_good(
            encode_jpeg(&(jpeg_form){.width = 30, .height = 20, .channels = 4, .quality = 100, .ycck = ycck != 0}),
            &about, 0);
        assert_true(about.is_cmyk && !about.is_grey);
        for (int i = 0; i < 30 * 20 * 3; i++) {
            int x = i / 3 % 30, y = i / 3 / 30;
            int expected = smooth_pixel(x, y, i % 3) * smooth_pixel(x, y, 3) / 255;
            assert_in_range(picture.pixels[i], expected > 6 ? expected - 6 : 0, expected + 6);
        }
        strata_picture_free(&picture);
    }
}

static void test_jpeg_says_what_it_was(void **state) {
    (void)state;
    for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
        for (int progressive = 0; progressive < 2; progressive++) {
            st_picture_about about;
            strata_picture picture = decode_good(
                encode_jpeg(&(jpeg_form){
                    .width = 50, .height = 40, .channels = channels, .quality = 80, .progressive = progressive != 0}),
                &about, 0);
            assert_string_equal(about.kind, "JPEG");
            assert_true(about.shape.height == 40 && about.shape.width == 50);
            assert_int_equal(about.shape.channels, channels == 1 ? 1 : 3);
            assert_int_equal(about.bits, 8);
            assert_int_equal(about.orientation, 0);
            assert_int_equal(about.is_grey, channels == 1);
            assert_int_equal(about.is_cmyk, channels == 4);
            assert_int_equal(about.is_interlaced, progressive);
            assert_false(about.has_alpha || about.is_palette);
            strata_picture_free(&picture);
        }
    }
}

/* 1/1, 1/2, 1/4 or 1/8, the shorter side at least twice what is asked for. */
static void test_jpeg_comes_reduced(void **state) {
    (void)state;
    static const struct {
        int64_t least, height, width;
    } cases[] = {{0, 161, 243},  {1, 21, 31},    {10, 21, 31},    {11, 41, 61},
                 {20, 41, 61},   {21, 81, 122},  {40, 81, 122},   {41, 161, 243},
                 {80, 161, 243}, {81, 161, 243}, {500, 161, 243}, {INT64_MAX / 4, 161, 243}};
    for (size_t c = 0; c < ST_COUNT_OF(cases); c++) {
        for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
            st_picture_about about;
            strata_picture picture =
                decode_good(encode_jpeg(&(jpeg_form){.width = 243, .height = 161, .channels = channels, .quality = 90}),
                            &about, cases[c].least);
            assert_true(about.shape.height == 161 && about.shape.width == 243);
            assert_int_equal(picture.shape.height, cases[c].height);
            assert_int_equal(picture.shape.width, cases[c].width);
            int64_t count = cases[c].height * cases[c].width;
            for (int64_t i = 0; channels == 3 && i < count * 3; i += 3) {
                int64_t x = i / 3 % cases[c].width * 243 / cases[c].width,
                        y = i / 3 / cases[c].width * 161 / cases[c].height;
                int expected = 100 + (int)(x - y);
                if (expected > 20 && expected < 200) { /* beyond that, smooth_pixel wraps */
                    assert_in_range(picture.pixels[i], expected - 16, expected + 16);
                }
            }
            strata_picture_free(&picture);
        }
    }
}

/* Cameras fill up with zeros before the end mark; other bytes there are a scan that was not understood. */
static void test_jpeg_takes_filling_before_the_end(void **state) {
    (void)state;
    for (int value = 0; value < 2; value++) {
        encoded file = encode_jpeg(&(jpeg_form){.width = 40, .height = 24, .channels = 3, .quality = 75});
        unsigned char filling[300];
        memset(filling, value * 0x55, sizeof filling);
        file = insert_bytes(file, file.length - 2, filling, sizeof filling);
        if (value == 0) {
            strata_picture picture = decode_good(file, NULL, 0);
            strata_picture_free(&picture);
        } else {
            decode_bad(file, STRATA_FORMAT, "damaged JPEG: Corrupt JPEG data: ");
        }
    }
}

static void test_jpeg_takes_long_thin_pictures(void **state) {
    (void)state;
    encoded file = encode_jpeg(&(jpeg_form){.width = 3, .height = 20000, .channels = 3, .quality = 75});
    strata_picture picture = decode_good(file, NULL, 0);
    assert_true(picture.shape.height == 20000 && picture.shape.width == 3);
    strata_picture_free(&picture);
}

static void test_jpeg_refuses_every_cut(void **state) {
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        encoded file = encode_jpeg(
            &(jpeg_form){.width = 40, .height = 24, .channels = 3, .quality = 75, .progressive = progressive != 0});
        for (size_t length = 3; length < file.length; length++) {
            strata_picture picture;
            strata_error err;
            assert_int_equal(decode_bytes(&picture, NULL, file.bytes, length, 0, &err), STRATA_FORMAT);
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
        strata_status status = decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err);
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
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "found 60000x60000 pixels, expected 1 to 67108864");
    memcpy(file.bytes + frame, "\37\100\37\100", 4);
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "found 8000x8000 pixels, more than its "));
    assert_null(picture.pixels);
    memcpy(file.bytes + frame, "\0\0\0\50", 4);
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_FORMAT);
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
    assert_int_equal(decode_bytes(&picture, NULL, many, file.length + 120 * scan, 0, &err), STRATA_FORMAT);
    strata_picture_free(&picture);
    free(many);
    free(file.bytes);
}

static void test_jpeg_names_kinds_that_nobody_reads(void **state) {
    (void)state;
    encoded file = encode_jpeg(&(jpeg_form){.width = 40, .height = 24, .channels = 3, .quality = 75});
    size_t frame = find_bytes(&file, "\377\300", 2);
    file.bytes[frame + 4] = 12; /* bits */
    decode_bad(file, STRATA_UNSUPPORTED,
               "a JPEG of a kind that libjpeg does not read: Unsupported JPEG data precision");
    file = encode_jpeg(&(jpeg_form){.width = 40, .height = 24, .channels = 3, .quality = 75});
    file.bytes[frame + 1] = 0xC5; /* hierarchical */
    decode_bad(file, STRATA_UNSUPPORTED, "a JPEG of a kind that libjpeg does not read: Unsupported JPEG process");
}

#endif

/* ---- PNG ---- */

#ifdef ST_WITH_PNG

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
        if (decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err) != STRATA_OK) {
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
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_OK);
    assert_int_equal(picture.shape.channels, 1);
    assert_memory_equal(picture.pixels, "\377\0\377\0\377\0\377\0\0\377", 10);
    strata_picture_free(&picture);
    free(file.bytes);
    file = encode_png_rows(3, SPNG_COLOR_TYPE_INDEXED, 8, "\1\0\1", 3);
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_OK);
    assert_int_equal(picture.shape.channels, 3);
    assert_memory_equal(picture.pixels, "\4\5\6\1\2\3\4\5\6", 9);
    strata_picture_free(&picture);
    free(file.bytes);
}

/* 1, 2 and 4 bits of grey are spread over 0..255; of a palette they choose colours. */
static void test_png_reads_packed_samples(void **state) {
    (void)state;
    static const struct {
        uint8_t depth;
        const char *row, *grey;
    } cases[] = {{1, "\240", "\377\0\377"}, {2, "\34", "\0\125\377"}, {4, "\17\70", "\0\377\63"}};
    for (size_t c = 0; c < ST_COUNT_OF(cases); c++) {
        st_picture_about about;
        strata_picture picture = decode_good(encode_png_rows(3, SPNG_COLOR_TYPE_GRAYSCALE, cases[c].depth, cases[c].row,
                                                             (size_t)(3 * cases[c].depth + 7) / 8),
                                             &about, 0);
        assert_true(about.bits == cases[c].depth && about.is_grey && !about.is_palette);
        pixels_are(&picture, 1, 3, 1, cases[c].grey);
        picture = decode_good(encode_png_rows(3, SPNG_COLOR_TYPE_INDEXED, cases[c].depth,
                                              cases[c].depth == 1   ? "\240"
                                              : cases[c].depth == 2 ? "\104"
                                                                    : "\20\20",
                                              (size_t)(3 * cases[c].depth + 7) / 8),
                              &about, 0);
        assert_true(about.bits == cases[c].depth && about.is_palette && !about.is_grey && !about.has_alpha);
        pixels_are(&picture, 1, 3, 3, "\4\5\6\1\2\3\4\5\6");
    }
}

static void test_png_says_what_it_was(void **state) {
    (void)state;
    st_picture_about about;
    strata_picture picture = decode_good(encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, 4, true), &about, 0);
    assert_string_equal(about.kind, "PNG");
    assert_true(about.shape.height == 13 && about.shape.width == 19 && about.shape.channels == 3);
    assert_true(about.has_alpha && about.is_interlaced && about.bits == 16 && !about.is_grey);
    strata_picture_free(&picture);
    picture = decode_good(encode_png(19, 13, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 8, 2, false), &about, 0);
    assert_true(about.has_alpha && about.is_grey && !about.is_interlaced && about.shape.channels == 1);
    strata_picture_free(&picture);
    /* tRNS: one grey is transparent, and stays what it is. */
    encoded file = encode_png_rows(2, SPNG_COLOR_TYPE_GRAYSCALE, 8, "\7\11", 2);
    picture = decode_good(png_with_chunk(file, 33, "tRNS", "\0\7", 2), &about, 0);
    assert_true(about.has_alpha && about.is_grey);
    pixels_are(&picture, 1, 2, 1, "\7\11");
}

/* What is not the picture is not looked at: damaged, twice, of another kind, or unpacked a thousand times as large. */
static void test_png_passes_over_what_only_comments(void **state) {
    (void)state;
    static const char *const names[] = {"eXIf", "eXIf", "tEXt", "zTXt", "iTXt", "iCCP", "gAMA", "gAMA", "sPLT",
                                        "tIME", "hIST", "bKGD", "sBIT", "tRNS", "tRNS", "vpAg", "acTL"};
    uLongf length = 4000;
    unsigned char bomb[4000] = "name\0";
    unsigned char *zeros = calloc(1, 1 << 21);
    assert_non_null(zeros);
    assert_int_equal(compress2(bomb + 6, &length, zeros, 1 << 21, 9), Z_OK);
    free(zeros);
    encoded plain = encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
    strata_picture expected = decode_good(plain, NULL, 0);
    encoded file = encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        file = png_with_chunk(file, 33, names[i], "damage", i % 7);
        file = png_with_chunk(file, file.length - 12, names[i], bomb, 6 + length);
    }
    file.bytes[33 + 8] ^= 1; /* and a checksum that does not fit */
    strata_picture picture = decode_good(file, NULL, 0);
    pixels_are(&picture, 13, 19, 3, expected.pixels);
    strata_picture_free(&expected);
    file = encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
    decode_bad(png_with_chunk(file, 33, "WHAt", "x", 1), STRATA_FORMAT, "damaged PNG: unknown critical chunk");
}

static void test_png_takes_long_thin_pictures(void **state) {
    (void)state;
    strata_picture picture = decode_good(encode_png(1, 70000, SPNG_COLOR_TYPE_GRAYSCALE, 8, 1, false), NULL, 0);
    assert_true(picture.shape.height == 70000 && picture.shape.width == 1);
    assert_int_equal(picture.pixels[69999], drawn_sample(69999));
    strata_picture_free(&picture);
    picture = decode_good(encode_png(1, 1, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, true), NULL, 0);
    assert_true(picture.shape.height == 1 && picture.shape.width == 1);
    strata_picture_free(&picture);
}

static void test_png_refuses_cuts_and_changed_bytes(void **state) {
    (void)state;
    encoded file = encode_png(19, 13, SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, false);
    strata_picture picture;
    strata_error err;
    /* All but the checksum of the end mark, which has no content. */
    for (size_t length = 4; length < file.length - 4; length++) {
        assert_int_equal(decode_bytes(&picture, NULL, file.bytes, length, 0, &err), STRATA_FORMAT);
        assert_memory_equal(err.message, "damaged PNG: ", 13);
        strata_picture_free(&picture);
    }
    /* Every chunk here has a checksum, so nothing that is changed goes through. */
    for (size_t place = 0; place < file.length - 4; place++) {
        file.bytes[place] ^= 0x10;
        strata_status status = decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err);
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
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "found 65536x65536 pixels, expected 1 to 67108864");
    set_png_size(&file, 0, 13);
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_FORMAT);
    set_png_size(&file, 8000, 8000);
    assert_int_equal(decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err), STRATA_FORMAT);
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
        EACH(test_jpeg_makes_colours_of_inks),
        EACH(test_jpeg_says_what_it_was),
        EACH(test_jpeg_comes_reduced),
        EACH(test_jpeg_takes_filling_before_the_end),
        EACH(test_jpeg_takes_long_thin_pictures),
        EACH(test_jpeg_names_kinds_that_nobody_reads),
        EACH(test_jpeg_refuses_every_cut),
        EACH(test_jpeg_survives_changed_bytes),
        EACH(test_jpeg_refuses_bombs),
#endif
#ifdef ST_WITH_PNG
        EACH(test_png_reads_every_kind),
        EACH(test_png_spreads_few_bits),
        EACH(test_png_reads_packed_samples),
        EACH(test_png_says_what_it_was),
        EACH(test_png_passes_over_what_only_comments),
        EACH(test_png_takes_long_thin_pictures),
        EACH(test_png_refuses_cuts_and_changed_bytes),
        EACH(test_png_refuses_bombs),
#endif
    };
    return cmocka_run_group_tests_name("data: pictures", tests, make_folder, remove_folder);
}
