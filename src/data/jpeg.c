/* JPEG by libjpeg-turbo (the plain libjpeg interface), with its default upsampling and transform. An error and a
 * warning that pixels are damaged leave through longjmp: nothing is printed and nothing exits. Grey stays grey; CMYK
 * becomes RGB as r = c k / 255 of the stored, inverted inks.
 *
 * Before anything is decoded: at most 64 megapixels, and at most one block of 8x8 for each bit of the file, which is
 * what the densest Huffman code reaches; at most 100 scans. So memory is bounded by the file's size. */
#include "data/data.h"

static bool is_jpeg(const unsigned char *bytes, size_t length) {
    return length >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

#ifndef ST_WITH_JPEG

const st_decoder st_decoder_jpeg = {.name = "JPEG", .lacking = "libjpeg", .is = is_jpeg};

#else

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* After stdio, which it uses without including it. */
#include <jpeglib.h>

#include <jerror.h>

enum { MOST_SCANS = 100 };

typedef struct decoding {
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    bool lacked_memory;
    const unsigned char *bytes;
    size_t length;
    const char *path;
    unsigned char *row; /* CMYK, before it becomes RGB */
    size_t row_bytes;
} decoding;

/* ---- what libjpeg calls ---- */

static void leave(j_common_ptr jpeg) {
    decoding *with = jpeg->client_data;
    jpeg->err->format_message(jpeg, with->message);
    with->lacked_memory = jpeg->err->msg_code == JERR_OUT_OF_MEMORY;
    longjmp(with->escape, 1);
}

/* Warnings that mean wrong pixels. */
static void hear(j_common_ptr jpeg, int level) {
    static const int damage[] = {JWRN_JPEG_EOF,    JWRN_HIT_MARKER,      JWRN_HUFF_BAD_CODE,    JWRN_ARITH_BAD_CODE,
                                 JWRN_MUST_RESYNC, JWRN_EXTRANEOUS_DATA, JWRN_BOGUS_PROGRESSION};
    for (size_t i = 0; i < ST_COUNT_OF(damage) && level < 0; i++) {
        if (jpeg->err->msg_code == damage[i]) {
            leave(jpeg);
        }
    }
}

static void stay_silent(j_common_ptr jpeg) {
    (void)jpeg;
}

static void count_scans(j_common_ptr jpeg) {
    decoding *with = jpeg->client_data;
    if (with->jpeg.input_scan_number > MOST_SCANS) {
        (void)snprintf(with->message, sizeof with->message, "more than %d scans", MOST_SCANS);
        longjmp(with->escape, 1);
    }
}

/* ---- the steps of decoding; each may leave ---- */

static strata_status check_size(const decoding *with, strata_error *err) {
    const struct jpeg_decompress_struct *jpeg = &with->jpeg;
    uint64_t blocks = 0, pixels = (uint64_t)jpeg->image_width * jpeg->image_height;
    if (pixels == 0 || pixels > ST_DATA_MOST_PIXELS) {
        return st_fail_file(err, STRATA_FORMAT, with->path, "found %ux%u pixels, expected 1 to %d", jpeg->image_width,
                            jpeg->image_height, ST_DATA_MOST_PIXELS);
    }
    for (int i = 0; i < jpeg->num_components; i++) {
        blocks += (uint64_t)jpeg->comp_info[i].width_in_blocks * jpeg->comp_info[i].height_in_blocks;
    }
    /* Arithmetic codes need less than a bit a block, but no real picture is that empty. */
    uint64_t most = jpeg->arith_code ? 64 : 8;
    if (blocks / most > with->length) {
        return st_fail_file(err, STRATA_FORMAT, with->path,
                            "found %ux%u pixels, more than its %zu bytes of JPEG can hold", jpeg->image_width,
                            jpeg->image_height, with->length);
    }
    return STRATA_OK;
}

static void begin(decoding *with) {
    struct jpeg_decompress_struct *jpeg = &with->jpeg;
    jpeg->err = jpeg_std_error(&with->errors);
    with->errors.error_exit = leave;
    with->errors.emit_message = hear;
    with->errors.output_message = stay_silent;
    jpeg->client_data = with;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = with; /* creating it cleared the rest, not this; libjpeg does not promise that */
    with->progress.progress_monitor = count_scans;
    jpeg->progress = &with->progress;
    jpeg_mem_src(jpeg, with->bytes, (unsigned long)with->length);
    (void)jpeg_read_header(jpeg, TRUE);
}

static strata_status make_room(decoding *with, strata_picture *out, strata_error *err) {
    struct jpeg_decompress_struct *jpeg = &with->jpeg;
    strata_shape shape = {jpeg->image_height, jpeg->image_width, jpeg->num_components == 1 ? 1 : 3};
    ST_TRY(check_size(with, err));
    jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
    if (jpeg->num_components == 4) {
        with->row_bytes = (size_t)jpeg->image_width * 4;
        with->row = st_sys.allocate(with->row_bytes);
        ST_FAIL_IF(with->row == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", with->row_bytes);
    }
    return st_picture_room(out, shape, err);
}

static void read_rows(decoding *with, const strata_picture *out) {
    struct jpeg_decompress_struct *jpeg = &with->jpeg;
    size_t stride = (size_t)(out->shape.width * out->shape.channels);
    (void)jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = out->pixels + jpeg->output_scanline * stride;
        JSAMPROW row = with->row != NULL ? with->row : to;
        (void)jpeg_read_scanlines(jpeg, &row, 1);
        for (size_t x = 0; with->row != NULL && x < jpeg->output_width; x++) {
            const unsigned char *ink = with->row + 4 * x;
            for (size_t c = 0; c < 3; c++) {
                to[3 * x + c] = (uint8_t)((ink[c] * ink[3] + 127) / 255);
            }
        }
    }
    (void)jpeg_finish_decompress(jpeg);
}

static strata_status decode(strata_picture *out, const unsigned char *bytes, size_t length, const char *path,
                            strata_error *err) {
    decoding with = {.bytes = bytes, .length = length, .path = path};
    decoding *volatile kept = &with; /* seen whole after a longjmp */
    strata_status status = STRATA_OK;
    if (setjmp(with.escape) == 0) {
        begin(&with);
        status = make_room(&with, out, err);
        if (status == STRATA_OK) {
            read_rows(&with, out);
        }
    } else {
        status = st_fail_file(err, kept->lacked_memory ? STRATA_MEMORY : STRATA_FORMAT, path, "damaged JPEG: %s",
                              kept->message);
    }
    jpeg_destroy_decompress(&kept->jpeg);
    if (kept->row != NULL) {
        st_sys.release(kept->row, kept->row_bytes);
    }
    return status;
}

const st_decoder st_decoder_jpeg = {.name = "JPEG", .is = is_jpeg, .decode = decode};

#endif
