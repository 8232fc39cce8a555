/* A picture as a PNG file, by libspng, straight into the file that will replace the old one: a reader sees the old
 * picture or the new one, never half of either. 8 bits, grey or RGB; no other PNG is written. */
#include "data/data.h"

#ifndef ST_WITH_PNG

strata_status st_png_write(const char *path, const strata_picture *picture, strata_error *err) {
    (void)picture;
    strata_status status = st_fail_file(err, STRATA_UNSUPPORTED, path, "this build writes no PNG: it has no libspng");
    st_error_hint(err, "install libspng-dev and build again");
    return status;
}

#else

#include <spng.h>

/* Where spng's bytes go. */
typedef struct sink {
    st_writer writer;
    strata_status status;
    strata_error *err;
} sink;

static int take_bytes(spng_ctx *png, void *user, void *bytes, size_t count) {
    sink *to = user;
    (void)png;
    to->status = to->status == STRATA_OK ? st_writer_add(&to->writer, bytes, count, to->err) : to->status;
    return to->status == STRATA_OK ? 0 : SPNG_IO_ERROR;
}

static int encode(spng_ctx *png, sink *to, const strata_picture *picture) {
    struct spng_ihdr head = {.width = (uint32_t)picture->shape.width,
                             .height = (uint32_t)picture->shape.height,
                             .bit_depth = 8,
                             .color_type =
                                 picture->shape.channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR};
    size_t bytes = (size_t)(picture->shape.height * picture->shape.width * picture->shape.channels);
    int code = spng_set_png_stream(png, take_bytes, to);
    code = code == 0 ? spng_set_ihdr(png, &head) : code;
    return code == 0 ? spng_encode_image(png, picture->pixels, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE) : code;
}

strata_status st_png_write(const char *path, const strata_picture *picture, strata_error *err) {
    struct spng_alloc memory = {.malloc_fn = st_block_take,
                                .realloc_fn = st_block_take_again,
                                .calloc_fn = st_block_take_many,
                                .free_fn = st_block_give_back};
    sink to = {.err = err};
    ST_FAIL_IF(picture->shape.channels != 1 && picture->shape.channels != 3, err, STRATA_INVALID,
               "a PNG has 1 or 3 channels here, found %lld", (long long)picture->shape.channels);
    ST_TRY(st_writer_begin(&to.writer, path, err));
    spng_ctx *png = spng_ctx_new2(&memory, SPNG_CTX_ENCODER);
    int code = png != NULL ? encode(png, &to, picture) : SPNG_EMEM;
    spng_ctx_free(png);
    if (code == 0) {
        return st_writer_commit(&to.writer, err);
    }
    st_writer_cancel(&to.writer);
    if (to.status != STRATA_OK) {
        return to.status;
    }
    ST_FAIL_IF(code == SPNG_EMEM, err, STRATA_MEMORY, "no memory to write %s", path);
    return st_fail_file(err, STRATA_IO, path, "cannot be written as PNG: %s", spng_strerror(code));
}

#endif
