/* PNG by libspng. Grey stays grey, a palette becomes RGB; of 16 bits the upper 8 count; alpha is left out, as
 * Pillow's convert('RGB') does. The checksum of every chunk is looked at, also of the last one with pixels; only
 * that of the end mark, which has no content, is not. A chunk that only comments and is damaged is passed over.
 *
 * Before anything is decoded: at most 64 megapixels, and not more than deflate could pack into the file; chunks of at
 * most 8 MiB, 16 MiB together, beside the pixels. */
#include "data/data.h"

static bool is_png(const unsigned char *bytes, size_t length) {
    return length >= 4 && bytes[0] == 0x89 && bytes[1] == 'P' && bytes[2] == 'N' && bytes[3] == 'G';
}

#ifndef ST_WITH_PNG

const st_decoder st_decoder_png = {.name = "PNG", .lacking = "libspng", .is = is_png};

#else

#include <spng.h>
#include <string.h>

enum { MOST_CHUNK_BYTES = 8 << 20, MOST_CHUNKS_BYTES = 16 << 20, MOST_LENGTH = 1 << 26, BEST_RATIO = 1032 };

/* ---- its memory comes through the one door; the size is kept in front ---- */

enum { BLOCK_HEAD = 64 };

static size_t size_of(const unsigned char *block) {
    size_t whole;
    memcpy(&whole, block, sizeof whole);
    return whole;
}

static void *take(size_t bytes) {
    size_t whole = 0;
    unsigned char *block = st_size_add(bytes, BLOCK_HEAD, &whole) ? st_sys.allocate(whole) : NULL;
    if (block == NULL) {
        return NULL;
    }
    memset(block, 0, whole);
    memcpy(block, &whole, sizeof whole);
    return block + BLOCK_HEAD;
}

static void give_back(void *memory) {
    if (memory != NULL) {
        unsigned char *block = (unsigned char *)memory - BLOCK_HEAD;
        st_sys.release(block, size_of(block));
    }
}

static void *take_many(size_t count, size_t size) {
    size_t bytes = 0;
    return st_size_mul(count, size, &bytes) ? take(bytes) : NULL;
}

static void *take_again(void *memory, size_t bytes) {
    void *taken = take(bytes);
    if (taken != NULL && memory != NULL) {
        size_t before = size_of((unsigned char *)memory - BLOCK_HEAD) - BLOCK_HEAD;
        memcpy(taken, memory, before < bytes ? before : bytes);
        give_back(memory);
    }
    return taken;
}

/* ---- decoding ---- */

static strata_status fail_png(int code, const char *path, strata_error *err) {
    ST_FAIL_IF(code == SPNG_EMEM, err, STRATA_MEMORY, "no memory to decode %s", path);
    return st_fail_file(err, STRATA_FORMAT, path, "damaged PNG: %s", spng_strerror(code));
}

static strata_status check_size(const struct spng_ihdr *head, size_t length, const char *path, strata_error *err) {
    static const uint8_t samples[] = {1, 0, 3, 1, 2, 0, 4}; /* by type of colour */
    uint64_t pixels = (uint64_t)head->width * head->height;
    if (pixels == 0 || pixels > ST_DATA_MOST_PIXELS) {
        return st_fail_file(err, STRATA_FORMAT, path, "found %ux%u pixels, expected 1 to %d", head->width, head->height,
                            ST_DATA_MOST_PIXELS);
    }
    uint64_t bits = pixels * head->bit_depth * samples[head->color_type]; /* spng saw that the type is one of these */
    if (bits / 8 / BEST_RATIO > length) {
        return st_fail_file(err, STRATA_FORMAT, path, "found %ux%u pixels, more than its %zu bytes of PNG can hold",
                            head->width, head->height, length);
    }
    return STRATA_OK;
}

static strata_status decode_pixels(strata_picture *out, spng_ctx *png, size_t length, const char *path,
                                   strata_error *err) {
    struct spng_ihdr head;
    int code = spng_get_ihdr(png, &head);
    if (code != 0) {
        return fail_png(code, path, err);
    }
    ST_TRY(check_size(&head, length, path, err));
    strata_shape shape = {head.height, head.width, 3};
    size_t pixels = (size_t)head.width * head.height;
    ST_TRY(st_picture_room(out, shape, err));
    code = spng_decode_image(png, out->pixels, pixels * 3, SPNG_FMT_RGB8, 0);
    code = code == 0 ? spng_decode_chunks(png) : code; /* to the end: looks at the last checksums */
    if (code != 0) {
        return fail_png(code, path, err);
    }
    if (head.color_type == SPNG_COLOR_TYPE_GRAYSCALE || head.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA) {
        for (size_t i = 0; i < pixels; i++) {
            out->pixels[i] = out->pixels[3 * i];
        }
        out->shape.channels = 1;
    }
    return STRATA_OK;
}

static strata_status decode(strata_picture *out, const unsigned char *bytes, size_t length, const char *path,
                            strata_error *err) {
    struct spng_alloc memory = {
        .malloc_fn = take, .realloc_fn = take_again, .calloc_fn = take_many, .free_fn = give_back};
    spng_ctx *png = spng_ctx_new2(&memory, 0);
    ST_FAIL_IF(png == NULL, err, STRATA_MEMORY, "no memory to decode %s", path);
    int code = spng_set_image_limits(png, MOST_LENGTH, MOST_LENGTH);
    code = code == 0 ? spng_set_chunk_limits(png, MOST_CHUNK_BYTES, MOST_CHUNKS_BYTES) : code;
    code = code == 0 ? spng_set_crc_action(png, SPNG_CRC_ERROR, SPNG_CRC_DISCARD) : code;
    code = code == 0 ? spng_set_png_buffer(png, bytes, length) : code;
    strata_status status = code == 0 ? decode_pixels(out, png, length, path, err) : fail_png(code, path, err);
    spng_ctx_free(png);
    return status;
}

const st_decoder st_decoder_png = {.name = "PNG", .is = is_png, .decode = decode};

#endif
