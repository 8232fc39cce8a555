/* data: WebP. Files made by libwebp and put together here, and every kind of damage. */
#include "picture_case.h"

#ifdef ST_WITH_WEBP

static uint8_t noise(size_t i) {
    return (uint8_t)st_rng_bits(51, 0, i);
}

/* [13][19][4]; alpha is never 0, where an encoder may change colours. */
static const uint8_t *drawn(bool alpha) {
    static uint8_t pixels[2][19 * 13 * 4];
    for (size_t i = 0; i < (size_t)19 * 13; i++) {
        for (size_t c = 0; c < 3; c++) {
            pixels[0][3 * i + c] = pixels[1][4 * i + c] = noise(3 * i + c);
        }
        pixels[1][4 * i + 3] = (uint8_t)(1 + i % 250);
    }
    return pixels[alpha];
}

static encoded make_lossless(bool alpha) {
    return encode_webp(
        &(webp_form){.width = 19, .height = 13, .lossless = true, .alpha = alpha, .pixels = drawn(alpha)});
}

static encoded make_lossy(int width, int height, bool alpha) {
    size_t channels = alpha ? 4 : 3;
    uint8_t *pixels = malloc((size_t)width * (size_t)height * channels);
    assert_non_null(pixels);
    for (size_t i = 0; i < (size_t)width * (size_t)height * channels; i++) {
        size_t place = i / channels, c = i % channels;
        pixels[i] = (uint8_t)(c == 3 ? 99 : 80 + place % (size_t)width + place / (size_t)width + 20 * c);
    }
    encoded file = encode_webp(&(webp_form){.width = width, .height = height, .alpha = alpha, .pixels = pixels});
    free(pixels);
    return file;
}

/* The bitstream of a plain file: behind "RIFF", its length, "WEBP", the chunk's name and length. */
enum { PLAIN_HEAD = 20 };

static void test_webp_gives_what_was_encoded(void **state) {
    (void)state;
    for (int alpha = 0; alpha < 2; alpha++) {
        st_picture_about about;
        strata_picture picture = decode_good(make_lossless(alpha != 0), &about, 0);
        assert_string_equal(about.kind, "WebP");
        assert_int_equal(about.bits, 8);
        assert_int_equal(about.has_alpha, alpha);
        assert_false(about.is_grey || about.is_cmyk || about.is_palette || about.is_interlaced);
        pixels_are(&picture, 13, 19, 3, drawn(false));
        static const int sides[][2] = {{40, 23}, {1, 1}, {17, 16}};
        for (size_t s = 0; s < ST_COUNT_OF(sides); s++) {
            int width = sides[s][0], height = sides[s][1];
            picture = decode_good(make_lossy(width, height, alpha != 0), &about, 0);
            assert_int_equal(about.has_alpha, alpha);
            assert_int_equal(picture.shape.width, width);
            assert_int_equal(picture.shape.height, height);
            for (int i = 0; i < width * height * 3; i++) {
                int expected = 80 + i / 3 % width + i / 3 / width + 20 * (i % 3);
                assert_in_range(picture.pixels[i], expected - 12, expected + 12);
            }
            strata_picture_free(&picture);
        }
    }
}

/* The first `length` bytes must be refused so. */
static void cut_is_refused(const encoded *file, size_t length, const char *message) {
    strata_picture picture;
    strata_error err;
    strata_status status = decode_bytes(&picture, NULL, file->bytes, length, 0, &err);
    if (status != STRATA_FORMAT || strncmp(err.message, message, strlen(message)) != 0) {
        fail_msg("%zu bytes: found %d, %s; expected %s", length, (int)status, err.message, message);
    }
    strata_picture_free(&picture);
}

static void test_webp_refuses_every_cut(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        encoded file = kind < 2 ? make_lossless(kind == 1) : make_lossy(40, 23, kind == 3);
        for (size_t length = 12; length < file.length; length++) {
            cut_is_refused(&file, length, "damaged WebP: cut: holds");
        }
        free(file.bytes);
    }
}

/* Cut, and every length mended: the bitstream itself ends too early. */
static void test_webp_refuses_a_bitstream_that_ends_early(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        encoded file = kind == 0 ? make_lossless(false) : make_lossy(160, 120, false);
        for (size_t length = PLAIN_HEAD; length < file.length * 9 / 10; length += 1 + length / 16) {
            put_little(file.bytes + 4, length - 8, 4);
            put_little(file.bytes + 16, length - PLAIN_HEAD, 4);
            cut_is_refused(&file, length, "damaged WebP: its ");
        }
        free(file.bytes);
    }
}

/* Any byte changed to anything: a picture or a clear refusal, nothing else. */
static void test_webp_survives_changed_bytes(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        encoded file = kind == 0 ? make_lossless(true) : make_lossy(40, 23, true);
        for (size_t i = 0; i < 3000; i++) {
            size_t place = st_rng_bits(31, 0, i) % file.length;
            unsigned char before = file.bytes[place];
            strata_picture picture;
            strata_error err;
            file.bytes[place] = (unsigned char)st_rng_bits(31, 1, i);
            (void)decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err);
            strata_picture_free(&picture);
            file.bytes[place] = before;
        }
        free(file.bytes);
    }
}

/* Of a lossless bitstream: 14 bits for each side less one, after a byte of signature. */
static void set_lossless_size(encoded *file, uint32_t width, uint32_t height) {
    unsigned char *at = file->bytes + PLAIN_HEAD + 1;
    uint32_t rest = (uint32_t)at[3] & 0xF0;
    put_little(at, (width - 1) | (height - 1) << 14 | rest << 24, 4);
}

static void test_webp_refuses_bombs(void **state) {
    (void)state;
    encoded file = make_lossless(false);
    set_lossless_size(&file, 16384, 16384);
    decode_bad(file, STRATA_FORMAT, "found 16384x16384 pixels, expected 1 to 67108864");
    file = make_lossless(false);
    set_lossless_size(&file, 8000, 8000);
    decode_bad(file, STRATA_FORMAT, "found 8000x8000 pixels, more than its ");
    file = make_lossless(false);
    set_lossless_size(&file, 20, 13); /* the data does not suffice, or means something else: no crash */
    strata_picture picture;
    strata_error err;
    (void)decode_bytes(&picture, NULL, file.bytes, file.length, 0, &err);
    strata_picture_free(&picture);
    free(file.bytes);
    /* A canvas without need. */
    file = make_lossless(false);
    encoded large = webp_canvas(0, 1 << 24, 1 << 24);
    large = webp_add(large, "VP8L", file.bytes + PLAIN_HEAD, file.length - PLAIN_HEAD);
    free(file.bytes);
    decode_bad(large, STRATA_FORMAT, "damaged WebP: found a picture of 19x13 on a canvas of 16777216x16777216");
}

/* One colour needs a few bytes, and is a picture all the same. */
static void test_webp_takes_a_blank_picture(void **state) {
    (void)state;
    size_t bytes = (size_t)1500 * 1500 * 3;
    uint8_t *pixels = malloc(bytes);
    assert_non_null(pixels);
    memset(pixels, 200, bytes);
    encoded file = encode_webp(&(webp_form){.width = 1500, .height = 1500, .lossless = true, .pixels = pixels});
    assert_true(file.length < 200);
    strata_picture picture = decode_good(file, NULL, 0);
    pixels_are(&picture, 1500, 1500, 3, pixels);
    free(pixels);
}

static encoded add_plain(encoded file, bool is_lossless) {
    encoded plain = is_lossless ? make_lossless(false) : make_lossy(19, 13, false);
    file = webp_add(file, is_lossless ? "VP8L" : "VP8 ", plain.bytes + PLAIN_HEAD, plain.length - PLAIN_HEAD);
    free(plain.bytes);
    return file;
}

static void test_webp_passes_over_other_chunks(void **state) {
    (void)state;
    encoded file = webp_add(webp_canvas(0x2C, 19, 13), "ICCP", "profile", 7);
    file = webp_add(file, "what", "xyz", 3);
    file = webp_add(add_plain(file, true), "XMP ", "<x/>", 4);
    strata_picture picture = decode_good(file, NULL, 0);
    pixels_are(&picture, 13, 19, 3, drawn(false));
    /* What lies behind the picture, or behind the container, harms nothing. */
    file = webp_add(add_plain(webp_canvas(0x08, 19, 13), true), "EXIF", "MM", 2);
    put_little(file.bytes + file.length - 6, 4000000000U, 4);
    picture = decode_good(insert_bytes(file, file.length, "rest", 4), NULL, 0);
    pixels_are(&picture, 13, 19, 3, drawn(false));
}

static void test_webp_refuses_lying_containers(void **state) {
    (void)state;
    decode_bad(webp_canvas(0, 19, 13), STRATA_FORMAT, "damaged WebP: it holds no picture");
    decode_bad(webp_add((encoded){0}, "VP8X", "short", 5), STRATA_FORMAT, "damaged WebP: its chunk VP8X is too short");
    decode_bad(add_plain(webp_canvas(0, 20, 13), true), STRATA_FORMAT,
               "damaged WebP: found a picture of 19x13 on a canvas of 20x13");
    decode_bad(webp_add((encoded){0}, "VP8L", "/", 1), STRATA_FORMAT, "damaged WebP: its data ends too early");
    decode_bad(webp_add((encoded){0}, "VP8 ", "", 0), STRATA_FORMAT, "damaged WebP: its data ends too early");
    encoded file = webp_add((encoded){0}, "ICCP", "profile", 7);
    put_little(file.bytes + 16, 4000000000U, 4);
    decode_bad(file, STRATA_FORMAT, "damaged WebP: byte 12: found a chunk of 4000000000 bytes, expected at most 8");
    static const unsigned char empty[] = "RIFF\0\0\0\0WEBP";
    file = (encoded){.bytes = malloc(12), .length = 12};
    assert_non_null(file.bytes);
    memcpy(file.bytes, empty, 12);
    decode_bad(file, STRATA_FORMAT, "damaged WebP: it holds no picture");
}

/* ---- animations ---- */

static encoded add_frame(encoded file, uint32_t x, uint32_t y, bool is_lossless) {
    encoded chunk = add_plain((encoded){0}, is_lossless); /* from its byte 12 on */
    unsigned char head[16] = {0};
    put_little(head, x / 2, 3);
    put_little(head + 3, y / 2, 3);
    put_little(head + 6, 18, 3);
    put_little(head + 9, 12, 3);
    encoded frame = insert_bytes(chunk, 12, head, sizeof head);
    file = webp_add(file, "ANMF", frame.bytes + 12, frame.length - 12);
    free(frame.bytes);
    return file;
}

static void test_webp_takes_the_first_frame(void **state) {
    (void)state;
    encoded file = webp_add(webp_canvas(0x02, 19, 13), "ANIM", "\0\0\0\0\0\0", 6);
    file = add_frame(add_frame(file, 0, 0, true), 0, 0, false);
    strata_picture picture = decode_good(file, NULL, 0);
    pixels_are(&picture, 13, 19, 3, drawn(false));
    /* Smaller than the canvas: black around it, also in a room that was used before. */
    for (int is_lossless = 0; is_lossless < 2; is_lossless++) {
        picture = decode_good(add_frame(webp_canvas(0x02, 30, 22), 4, 8, is_lossless != 0), NULL, 0);
        assert_int_equal(picture.shape.width, 30);
        assert_int_equal(picture.shape.height, 22);
        size_t dark = 0;
        for (int i = 0; i < 30 * 22 * 3; i++) {
            int x = i / 3 % 30, y = i / 3 / 30;
            if (x < 4 || x >= 23 || y < 8 || y >= 21) {
                assert_int_equal(picture.pixels[i], 0);
            } else if (is_lossless != 0) {
                assert_int_equal(picture.pixels[i], drawn(false)[((y - 8) * 19 + x - 4) * 3 + i % 3]);
            } else {
                dark += picture.pixels[i] == 0;
            }
        }
        assert_int_equal(dark, 0);
        strata_picture_free(&picture);
    }
}

static void test_webp_refuses_frames_off_the_canvas(void **state) {
    (void)state;
    decode_bad(add_frame(webp_canvas(0x02, 30, 22), 12, 0, true), STRATA_FORMAT,
               "damaged WebP: found a picture of 19x13 on a canvas of 30x22");
    decode_bad(add_frame(webp_canvas(0x02, 30, 22), 0, 0x1FFFFFE, true), STRATA_FORMAT,
               "damaged WebP: found a picture of 19x13 on a canvas of 30x22");
    decode_bad(webp_canvas(0x02, 30, 22), STRATA_FORMAT, "damaged WebP: it holds no picture");
    decode_bad(webp_add(webp_canvas(0x02, 30, 22), "ANMF", "short", 5), STRATA_FORMAT,
               "damaged WebP: its first frame is too short");
    decode_bad(add_plain(webp_canvas(0x02, 19, 13), true), STRATA_FORMAT, "damaged WebP: it holds no picture");
    decode_bad(add_frame(webp_canvas(0x02, 1 << 14, 1 << 14), 0, 0, true), STRATA_FORMAT,
               "found 16384x16384 pixels, expected 1 to 67108864");
}

#endif

static void test_webp_is_known_by_its_content(void **state) {
    (void)state;
    strata_picture picture;
    strata_error err;
    static const char head[] = "RIFF\377\377\0\0WEBPVP8 ";
    assert_true(st_picture_is((const unsigned char *)head, 12));
    strata_status status = decode_bytes(&picture, NULL, head, 16, 0, &err);
    if (st_decoder_webp.decode == NULL) {
        assert_int_equal(status, STRATA_UNSUPPORTED);
        assert_string_equal(err.message, "a WebP picture, and this build cannot read it: it was made without libwebp");
    } else {
        assert_int_equal(status, STRATA_FORMAT);
        assert_string_equal(err.message, "damaged WebP: cut: holds 16 bytes, its header promises 65543");
    }
    assert_false(st_picture_is((const unsigned char *)"RIFF1234WAVEfmt ", 16));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webp_is_known_by_its_content),
#ifdef ST_WITH_WEBP
        cmocka_unit_test(test_webp_gives_what_was_encoded),
        cmocka_unit_test(test_webp_refuses_every_cut),
        cmocka_unit_test(test_webp_refuses_a_bitstream_that_ends_early),
        cmocka_unit_test(test_webp_survives_changed_bytes),
        cmocka_unit_test(test_webp_refuses_bombs),
        cmocka_unit_test(test_webp_takes_a_blank_picture),
        cmocka_unit_test(test_webp_passes_over_other_chunks),
        cmocka_unit_test(test_webp_refuses_lying_containers),
        cmocka_unit_test(test_webp_takes_the_first_frame),
        cmocka_unit_test(test_webp_refuses_frames_off_the_canvas),
#endif
    };
    return cmocka_run_group_tests_name("data: WebP", tests, NULL, NULL);
}
