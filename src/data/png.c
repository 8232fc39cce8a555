/* PNG by libspng. Grey stays grey, a palette becomes RGB; of 16 bits the upper 8 count; fewer than 8 bits are spread
 * over 0..255; alpha, also that of tRNS, is left out, as Pillow's convert('RGB') does.
 *
 * libspng sees the critical chunks only: what else a file holds (comments, profiles, previews) is neither unpacked nor
 * kept, whatever is in it, and no picture is refused for it. Of these, eXIf says which way is up. The checksum of every
 * critical chunk is looked at, also of the last one with pixels; only that of the end mark, which has no content, is
 * not.
 *
 * Before anything is decoded: at most 64 megapixels, and not more than deflate could pack into the file. */
#include "data/data.h"

static bool is_png(const unsigned char *bytes, size_t length) {
    return length >= 4 && bytes[0] == 0x89 && bytes[1] == 'P' && bytes[2] == 'N' && bytes[3] == 'G';
}

#ifndef ST_WITH_PNG

const st_decoder st_decoder_png = {.name = "PNG", .lacking = "libspng", .is = is_png};

#else

#include <spng.h>
#include <string.h>
#include <zlib.h>

enum { MOST_CHUNK_BYTES = 1 << 20, MOST_LENGTH = 1 << 26, BEST_RATIO = 1032, SIGNATURE = 8, CHUNK_FRAME = 12 };

/* ---- refusals ---- */

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

/* ---- the file, as libspng sees it ---- */

typedef struct stream {
    const st_picture_file *from;
    size_t at, end; /* what is given out next: the signature, then one critical chunk after another */
    bool has_transparency;
    int orientation; /* of the first eXIf; 0: none */
} stream;

static uint32_t number_at(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* A chunk: length (4), name (4; the first letter is small where it may be passed over), content, checksum (4). */
static void pass_chunk(stream *file, const unsigned char *chunk, size_t length) {
    const unsigned char *name = chunk + 4, *content = chunk + 8;
    file->has_transparency = file->has_transparency || memcmp(name, "tRNS", 4) == 0;
    if (file->orientation == 0 && memcmp(name, "eXIf", 4) == 0 &&
        number_at(content + length) == crc32(0, name, (uInt)length + 4)) {
        file->orientation = st_exif_orientation(content, length);
    }
}

/* From `end` on to the next chunk that counts; one that the file cuts off counts too. */
static void find_chunk(stream *file) {
    const unsigned char *bytes = file->from->bytes;
    size_t whole = file->from->length, at = file->end, next = whole;
    while (whole - at >= CHUNK_FRAME) {
        size_t length = number_at(bytes + at);
        if (length > whole - at - CHUNK_FRAME) {
            break;
        }
        next = at + CHUNK_FRAME + length;
        if ((bytes[at + 4] & 0x20) == 0) {
            break;
        }
        pass_chunk(file, bytes + at, length);
        at = next;
        next = whole;
    }
    file->at = at;
    file->end = next;
}

static int give_bytes(spng_ctx *png, void *user, void *to, size_t count) {
    stream *file = user;
    (void)png;
    while (count > 0) {
        if (file->at == file->end) {
            find_chunk(file);
        }
        size_t some = file->end - file->at < count ? file->end - file->at : count;
        if (some == 0) {
            return SPNG_IO_EOF;
        }
        memcpy(to, file->from->bytes + file->at, some);
        file->at += some;
        to = (unsigned char *)to + some;
        count -= some;
    }
    return 0;
}

/* ---- decoding ---- */

static void describe(st_picture_about *about, const stream *file, const struct spng_ihdr *head) {
    bool is_grey = head->color_type == SPNG_COLOR_TYPE_GRAYSCALE;
    bool is_grey_alpha = head->color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
    about->shape = (strata_shape){head->height, head->width, is_grey || is_grey_alpha ? 1 : 3};
    about->orientation = file->orientation;
    about->bits = head->bit_depth;
    about->is_grey = is_grey || is_grey_alpha;
    about->has_alpha = is_grey_alpha || head->color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA || file->has_transparency;
    about->is_palette = head->color_type == SPNG_COLOR_TYPE_INDEXED;
    about->is_interlaced = head->interlace_method != SPNG_INTERLACE_NONE;
}

static strata_status decode_pixels(strata_picture *out, st_picture_about *about, spng_ctx *png, const stream *file,
                                   strata_error *err) {
    const char *path = file->from->path;
    struct spng_ihdr head;
    int code = spng_get_ihdr(png, &head);
    if (code != 0) {
        return fail_png(code, path, err);
    }
    describe(about, file, &head);
    ST_TRY(check_size(&head, file->from->length, path, err));
    size_t pixels = (size_t)head.width * head.height;
    ST_TRY(st_picture_room(out, (strata_shape){head.height, head.width, 3}, err));
    code = spng_decode_image(png, out->pixels, pixels * 3, SPNG_FMT_RGB8, 0);
    code = code == 0 ? spng_decode_chunks(png) : code; /* to the end: looks at the last checksums */
    if (code != 0) {
        return fail_png(code, path, err);
    }
    describe(about, file, &head); /* a chunk may have come after the pixels */
    if (about->is_grey) {
        for (size_t i = 0; i < pixels; i++) {
            out->pixels[i] = out->pixels[3 * i];
        }
        out->shape.channels = 1;
    }
    return STRATA_OK;
}

static strata_status decode(strata_picture *out, st_picture_about *about, const st_picture_file *from,
                            strata_error *err) {
    struct spng_alloc memory = {.malloc_fn = st_block_take,
                                .realloc_fn = st_block_take_again,
                                .calloc_fn = st_block_take_many,
                                .free_fn = st_block_give_back};
    stream file = {.from = from, .end = from->length < SIGNATURE ? from->length : SIGNATURE};
    spng_ctx *png = spng_ctx_new2(&memory, 0);
    ST_FAIL_IF(png == NULL, err, STRATA_MEMORY, "no memory to decode %s", from->path);
    int code = spng_set_image_limits(png, MOST_LENGTH, MOST_LENGTH);
    code = code == 0 ? spng_set_chunk_limits(png, MOST_CHUNK_BYTES, MOST_CHUNK_BYTES) : code;
    code = code == 0 ? spng_set_png_stream(png, give_bytes, &file) : code;
    strata_status status = code == 0 ? decode_pixels(out, about, png, &file, err) : fail_png(code, from->path, err);
    spng_ctx_free(png);
    return status;
}

const st_decoder st_decoder_png = {.name = "PNG", .is = is_png, .decode = decode};

#endif
