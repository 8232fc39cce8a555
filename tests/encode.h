/* For tests: JPEG, PNG and WebP files made in memory, by the encoders of the libraries that the build has, and what may
 * be put into them: EXIF. */
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
#ifdef ST_WITH_WEBP
#include <webp/encode.h>
#endif
#include <zlib.h>

#include "base/base.h"

typedef struct encoded {
    unsigned char *bytes; /* the caller frees it */
    size_t length;
} encoded;

/* A file with more bytes in its middle; takes the file. */
static inline encoded insert_bytes(encoded file, size_t place, const void *bytes, size_t length) {
    encoded out = {.bytes = malloc(file.length + length), .length = file.length + length};
    assert_non_null(out.bytes);
    memcpy(out.bytes, file.bytes, place);
    memcpy(out.bytes + place, bytes, length);
    memcpy(out.bytes + place + length, file.bytes + place, file.length - place);
    free(file.bytes);
    return out;
}

/* An EXIF block that says one thing beside a resolution. */
enum { EXIF_BYTES = 8 + 2 + 2 * 12 + 4 };

static inline void put_exif(unsigned char out[EXIF_BYTES], bool big_first, uint32_t orientation) {
    const uint16_t words[] = {42,     0, 8, 2, /* count of entries */ 0x0100, 3, 0, 1, 0, 0,
                              0x0112, 3, 0, 1, (uint16_t)orientation,         0, 0, 0};
    memcpy(out, big_first ? "MM" : "II", 2);
    for (size_t i = 0; i < ST_COUNT_OF(words); i++) {
        out[2 + 2 * i] = (unsigned char)(big_first ? words[i] >> 8 : words[i]);
        out[3 + 2 * i] = (unsigned char)(big_first ? words[i] : words[i] >> 8);
    }
    /* Numbers of 32 bits, of which the lower half counts: their halves change places. */
    static const size_t longs[] = {4, 14, 26};
    for (size_t i = 0; !big_first && i < ST_COUNT_OF(longs); i++) {
        unsigned char *at = out + longs[i];
        memcpy(at, at + 2, 2);
        memset(at + 2, 0, 2);
    }
}

#ifdef ST_WITH_JPEG

typedef struct jpeg_form {
    int width, height, channels; /* 1: grey, 3: RGB, 4: inverted CMYK */
    int quality;
    bool progressive, arithmetic;
    bool ycck; /* of 4 channels */
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
    if (form->ycck) {
        jpeg_set_colorspace(&jpeg, JCS_YCCK);
    }
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

/* Segment APP1 after the first mark. */
static inline encoded jpeg_with_exif(encoded file, const unsigned char *exif, size_t length) {
    unsigned char segment[512] = {0xFF, 0xE1, (unsigned char)((length + 8) >> 8), (unsigned char)(length + 8)};
    memcpy(segment + 4, "Exif\0\0", 6);
    memcpy(segment + 10, exif, length);
    return insert_bytes(file, 2, segment, length + 10);
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

/* A chunk before the one that begins at `place`: 33 is right after the header, length - 12 before the end mark. */
static inline encoded png_with_chunk(encoded file, size_t place, const char *name, const void *bytes, size_t length) {
    unsigned char chunk[4096];
    put_png_word(chunk, (uint32_t)length);
    memcpy(chunk + 4, name, 4);
    memcpy(chunk + 8, bytes, length);
    put_png_word(chunk + 8 + length, (uint32_t)crc32(0, chunk + 4, (uInt)length + 4));
    return insert_bytes(file, place, chunk, length + 12);
}

#endif

#ifdef ST_WITH_WEBP

typedef struct webp_form {
    int width, height;
    bool lossless, alpha;
    const uint8_t *pixels; /* [height][width][3], with alpha [4] */
} webp_form;

static inline encoded encode_webp(const webp_form *form) {
    encoded out = {0};
    int stride = form->width * (form->alpha ? 4 : 3);
    uint8_t *bytes = NULL;
    if (form->lossless) {
        out.length = form->alpha ? WebPEncodeLosslessRGBA(form->pixels, form->width, form->height, stride, &bytes)
                                 : WebPEncodeLosslessRGB(form->pixels, form->width, form->height, stride, &bytes);
    } else {
        out.length = form->alpha ? WebPEncodeRGBA(form->pixels, form->width, form->height, stride, 90, &bytes)
                                 : WebPEncodeRGB(form->pixels, form->width, form->height, stride, 90, &bytes);
    }
    assert_true(out.length > 0);
    out.bytes = malloc(out.length);
    assert_non_null(out.bytes);
    memcpy(out.bytes, bytes, out.length);
    WebPFree(bytes);
    return out;
}

static inline void put_little(unsigned char *to, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (unsigned char)(value >> (8 * i));
    }
}

/* A chunk at the end, or the first one in an empty file. */
static inline encoded webp_add(encoded file, const char *name, const void *bytes, size_t length) {
    unsigned char head[8];
    if (file.length == 0) {
        file = (encoded){.bytes = malloc(12), .length = 12};
        assert_non_null(file.bytes);
        memcpy(file.bytes, "RIFF\4\0\0\0WEBP", 12);
    }
    memcpy(head, name, 4);
    put_little(head + 4, length, 4);
    file = insert_bytes(file, file.length, head, 8);
    file = insert_bytes(file, file.length, bytes, length);
    file = insert_bytes(file, file.length, "", length % 2);
    put_little(file.bytes + 4, file.length - 8, 4);
    return file;
}

static inline encoded webp_canvas(unsigned char flags, uint32_t width, uint32_t height) {
    unsigned char canvas[10] = {flags};
    put_little(canvas + 4, width - 1, 3);
    put_little(canvas + 7, height - 1, 3);
    return webp_add((encoded){0}, "VP8X", canvas, sizeof canvas);
}

#endif

#endif
