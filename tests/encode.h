/* For tests: JPEG and PNG files made in memory, by the encoders of the libraries that the build has. */
#ifndef TESTS_ENCODE_H
#define TESTS_ENCODE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#ifdef ST_WITH_JPEG
#include <jpeglib.h>
#endif
#ifdef ST_WITH_PNG
#include <spng.h>
#endif
#include <zlib.h>

#include "base/base.h"

typedef struct encoded {
    unsigned char *bytes; /* the caller frees it */
    size_t length;
} encoded;

#ifdef ST_WITH_JPEG

typedef struct jpeg_form {
    int width, height, channels; /* 1: grey, 3: RGB, 4: inverted CMYK */
    int quality;
    bool progressive, arithmetic;
} jpeg_form;

/* Changes slowly from place to place, so that a JPEG keeps it. */
static inline int smooth_pixel(int x, int y, int c) {
    return 100 + (x - y) + 20 * c;
}

static inline encoded encode_jpeg(const jpeg_form *form) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    encoded out = {0};
    unsigned long length = 0;
    JSAMPLE row[4 * 256];
    JSAMPROW rows[1] = {row};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &out.bytes, &length);
    jpeg.image_width = (JDIMENSION)form->width;
    jpeg.image_height = (JDIMENSION)form->height;
    jpeg.input_components = form->channels;
    jpeg.in_color_space = form->channels == 1 ? JCS_GRAYSCALE : form->channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, form->quality, TRUE);
    jpeg.arith_code = form->arithmetic;
    if (form->progressive) {
        jpeg_simple_progression(&jpeg);
    }
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < form->height; y++) {
        for (int i = 0; i < form->width * form->channels; i++) {
            row[i] = (JSAMPLE)smooth_pixel(i / form->channels, y, i % form->channels);
        }
        (void)jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    out.length = (size_t)length;
    return out;
}

#endif

#ifdef ST_WITH_PNG

/* The upper byte of a sample. */
static inline uint8_t drawn_sample(size_t i) {
    return (uint8_t)st_rng_bits(41, 0, i);
}

static inline encoded encode_png_of(struct spng_ihdr *head, const void *pixels, size_t bytes) {
    encoded out = {0};
    int code = 0;
    struct spng_plte palette = {.n_entries = 2, .entries = {{1, 2, 3, 255}, {4, 5, 6, 255}}};
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    assert_non_null(png);
    assert_int_equal(spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1), 0);
    assert_int_equal(spng_set_ihdr(png, head), 0);
    if (head->color_type == SPNG_COLOR_TYPE_INDEXED) {
        assert_int_equal(spng_set_plte(png, &palette), 0);
    }
    assert_int_equal(spng_encode_image(png, pixels, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
    out.bytes = spng_get_png_buffer(png, &out.length, &code);
    assert_non_null(out.bytes);
    spng_ctx_free(png);
    return out;
}

static inline encoded encode_png(uint32_t width, uint32_t height, uint8_t color, uint8_t depth, int samples,
                                 bool interlaced) {
    struct spng_ihdr head = {.width = width,
                             .height = height,
                             .bit_depth = depth,
                             .color_type = color,
                             .interlace_method = interlaced ? SPNG_INTERLACE_ADAM7 : SPNG_INTERLACE_NONE};
    size_t count = (size_t)width * height * (size_t)samples;
    uint16_t *pixels = malloc(count * 2);
    assert_non_null(pixels);
    for (size_t i = 0; i < count; i++) {
        if (depth == 16) {
            pixels[i] = (uint16_t)((unsigned)drawn_sample(i) << 8 | (unsigned)(i & 0xFF));
        } else {
            ((uint8_t *)pixels)[i] = drawn_sample(i);
        }
    }
    encoded out = encode_png_of(&head, pixels, count * depth / 8);
    free(pixels);
    return out;
}

/* One row, as its bytes lie in the file. */
static inline encoded encode_png_rows(uint32_t width, uint8_t color, uint8_t depth, const void *bytes, size_t length) {
    struct spng_ihdr head = {.width = width, .height = 1, .bit_depth = depth, .color_type = color};
    return encode_png_of(&head, bytes, length);
}

static inline void put_png_word(unsigned char *to, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        to[i] = (unsigned char)(value >> (24 - 8 * i));
    }
}

/* Lies in the header, with the right checksum. */
static inline void set_png_size(encoded *file, uint32_t width, uint32_t height) {
    put_png_word(file->bytes + 16, width);
    put_png_word(file->bytes + 20, height);
    put_png_word(file->bytes + 29, (uint32_t)crc32(0, file->bytes + 12, 17));
}

#endif

#endif
