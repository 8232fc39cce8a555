/* WebP by libwebp's plain decoder. The container (RFC 9649: RIFF, and chunks in it) is read here, so that every length
 * is checked against the file and libwebp sees nothing but one bitstream, VP8 or VP8L. Alpha is left out. Of an
 * animation the first frame counts, on a black canvas where it is smaller. The chunk EXIF says which way is up.
 *
 * Before anything is decoded: at most 64 megapixels. A lossless picture of one colour takes a few bytes whatever its
 * size, so a limit is set: 16 megapixels are free, every byte of the bitstream allows 8,192 pixels more. */
#include "data/data.h"

#include <string.h>

static bool is_webp(const unsigned char *bytes, size_t length) {
    return length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

#ifndef ST_WITH_WEBP

const st_decoder st_decoder_webp = {.name = "WebP", .lacking = "libwebp", .is = is_webp};

#else

#include <webp/decode.h>

enum {
    RIFF_HEAD = 8,  /* "RIFF" and the length of the rest */
    CHUNK_HEAD = 8, /* a name of four letters and a length */
    CANVAS_BYTES = 10,
    FRAME_BYTES = 16, /* before the chunks of a frame */
    FLAG_ALPHA = 0x10,
    FLAG_ANIMATION = 0x02,
    FREE_PIXELS = 16 << 20,
    PIXELS_PER_BYTE = 8192
};

typedef struct span {
    const unsigned char *at;
    size_t length;
} span;

typedef struct container {
    const st_picture_file *from;
    span picture, exif; /* the first of each; at = NULL: none yet */
    bool has_canvas;    /* VP8X was there */
    uint32_t width, height, x, y;
    bool is_animated, has_alpha;
} container;

static uint32_t little(const unsigned char *at, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = bytes; i-- > 0;) {
        value = value << 8 | at[i];
    }
    return value;
}

/* ---- the container ---- */

static strata_status read_chunks(container *with, span in, bool in_frame, strata_error *err);

static strata_status fail_webp(const container *with, const char *what, strata_error *err) {
    return st_fail_file(err, STRATA_FORMAT, with->from->path, "damaged WebP: %s", what);
}

static strata_status read_canvas(container *with, span chunk, strata_error *err) {
    if (chunk.length < CANVAS_BYTES) {
        return fail_webp(with, "its chunk VP8X is too short", err);
    }
    with->has_canvas = true;
    with->has_alpha = (chunk.at[0] & FLAG_ALPHA) != 0;
    with->is_animated = (chunk.at[0] & FLAG_ANIMATION) != 0;
    with->width = little(chunk.at + 4, 3) + 1;
    with->height = little(chunk.at + 7, 3) + 1;
    return STRATA_OK;
}

static strata_status read_frame(container *with, span chunk, strata_error *err) {
    if (chunk.length < FRAME_BYTES) {
        return fail_webp(with, "its first frame is too short", err);
    }
    with->x = 2 * little(chunk.at, 3);
    with->y = 2 * little(chunk.at + 3, 3);
    return read_chunks(with, (span){chunk.at + FRAME_BYTES, chunk.length - FRAME_BYTES}, true, err);
}

static strata_status take_chunk(container *with, const unsigned char *name, span chunk, bool in_frame,
                                strata_error *err) {
    bool seeks_frame = with->is_animated && !in_frame;
    if (memcmp(name, "VP8X", 4) == 0 && !with->has_canvas && with->picture.at == NULL && !in_frame) {
        return read_canvas(with, chunk, err);
    }
    if (memcmp(name, "ANMF", 4) == 0 && seeks_frame && with->picture.at == NULL) {
        return read_frame(with, chunk, err);
    }
    if ((memcmp(name, "VP8 ", 4) == 0 || memcmp(name, "VP8L", 4) == 0) && !seeks_frame && with->picture.at == NULL) {
        with->picture = chunk;
    } else if (memcmp(name, "ALPH", 4) == 0) {
        with->has_alpha = true;
    } else if (memcmp(name, "EXIF", 4) == 0 && !in_frame && with->exif.at == NULL) {
        with->exif = chunk;
    }
    return STRATA_OK;
}

/* Chunks are filled up to an even length. What is wrong behind the picture harms nothing. */
static strata_status read_chunks(container *with, span in, bool in_frame, strata_error *err) {
    size_t at = 0;
    while (at < in.length && in.length - at >= CHUNK_HEAD) {
        const unsigned char *head = in.at + at;
        size_t length = little(head + 4, 4), there = in.length - at - CHUNK_HEAD;
        if (length > there) {
            return with->picture.at != NULL
                       ? STRATA_OK
                       : st_fail_file(err, STRATA_FORMAT, with->from->path,
                                      "damaged WebP: byte %zu: found a chunk of %zu bytes, expected at most %zu",
                                      (size_t)(head - with->from->bytes), length, there);
        }
        ST_TRY(take_chunk(with, head, (span){head + CHUNK_HEAD, length}, in_frame, err));
        at += CHUNK_HEAD + length + length % 2;
    }
    return STRATA_OK;
}

static strata_status read_container(container *with, strata_error *err) {
    const st_picture_file *from = with->from;
    size_t length = little(from->bytes + 4, 4);
    if (length > from->length - RIFF_HEAD) {
        return st_fail_file(err, STRATA_FORMAT, from->path,
                            "damaged WebP: cut: holds %zu bytes, its header promises %zu", from->length,
                            length + RIFF_HEAD);
    }
    if (length >= 4) { /* "WEBP" */
        ST_TRY(read_chunks(with, (span){from->bytes + RIFF_HEAD + 4, length - 4}, false, err));
    }
    return with->picture.at != NULL ? STRATA_OK : fail_webp(with, "it holds no picture", err);
}

/* ---- the bitstream ---- */

static const char *explain(VP8StatusCode code) {
    switch (code) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return "its data ends too early";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return "its bitstream is of an unknown kind";
    default:
        return "its bitstream is corrupt";
    }
}

static strata_status fail_code(const container *with, VP8StatusCode code, strata_error *err) {
    ST_FAIL_IF(code == VP8_STATUS_OUT_OF_MEMORY, err, STRATA_MEMORY, "no memory to decode %s", with->from->path);
    return fail_webp(with, explain(code), err);
}

/* The picture's own size against the canvas, and both against what is served. */
static strata_status check_size(container *with, const WebPBitstreamFeatures *features, strata_error *err) {
    const char *path = with->from->path;
    uint32_t width = (uint32_t)features->width, height = (uint32_t)features->height;
    if (!with->has_canvas) {
        with->width = width;
        with->height = height;
    }
    bool fits = with->is_animated ? with->x <= with->width && width <= with->width - with->x &&
                                        with->y <= with->height && height <= with->height - with->y
                                  : width == with->width && height == with->height;
    if (!fits) {
        return st_fail_file(err, STRATA_FORMAT, path, "damaged WebP: found a picture of %ux%u on a canvas of %ux%u",
                            width, height, with->width, with->height);
    }
    uint64_t pixels = (uint64_t)with->width * with->height;
    if (pixels == 0 || pixels > ST_DATA_MOST_PIXELS) {
        return st_fail_file(err, STRATA_FORMAT, path, "found %ux%u pixels, expected 1 to %d", with->width, with->height,
                            ST_DATA_MOST_PIXELS);
    }
    if (pixels > FREE_PIXELS && (pixels - FREE_PIXELS) / PIXELS_PER_BYTE > with->picture.length) {
        return st_fail_file(err, STRATA_FORMAT, path, "found %ux%u pixels, more than its %zu bytes of WebP can hold",
                            with->width, with->height, with->from->length);
    }
    return STRATA_OK;
}

static strata_status decode_picture(strata_picture *out, const container *with, WebPDecoderConfig *config,
                                    strata_error *err) {
    strata_shape shape = {with->height, with->width, 3};
    size_t stride = (size_t)with->width * 3, bytes = stride * with->height;
    ST_TRY(st_picture_room(out, shape, err));
    if ((uint32_t)config->input.width < with->width || (uint32_t)config->input.height < with->height) {
        memset(out->pixels, 0, bytes);
    }
    size_t first = with->y * stride + (size_t)with->x * 3;
    config->output.colorspace = MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA = (WebPRGBABuffer){.rgba = out->pixels + first, .stride = (int)stride, .size = bytes - first};
    VP8StatusCode code = WebPDecode(with->picture.at, with->picture.length, config);
    WebPFreeDecBuffer(&config->output);
    return code == VP8_STATUS_OK ? STRATA_OK : fail_code(with, code, err);
}

static strata_status decode(strata_picture *out, st_picture_about *about, const st_picture_file *from,
                            strata_error *err) {
    container with = {.from = from};
    WebPDecoderConfig config;
    ST_FAIL_IF(!WebPInitDecoderConfig(&config), err, STRATA_UNSUPPORTED, "libwebp is not the one of the build");
    ST_TRY(read_container(&with, err));
    VP8StatusCode code = WebPGetFeatures(with.picture.at, with.picture.length, &config.input);
    if (code != VP8_STATUS_OK) {
        return fail_code(&with, code, err);
    }
    strata_status status = check_size(&with, &config.input, err);
    about->shape = (strata_shape){with.height, with.width, 3};
    about->bits = 8;
    about->has_alpha = with.has_alpha || config.input.has_alpha;
    about->orientation = with.exif.at != NULL ? st_exif_orientation(with.exif.at, with.exif.length) : 0;
    return status == STRATA_OK ? decode_picture(out, &with, &config, err) : status;
}

const st_decoder st_decoder_webp = {.name = "WebP", .is = is_webp, .decode = decode};

#endif
