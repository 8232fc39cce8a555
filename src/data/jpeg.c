/* JPEG by libjpeg-turbo (the plain libjpeg interface), with its default upsampling and transform. An error and a
 * warning that pixels are damaged leave through longjmp: nothing is printed and nothing exits. Grey stays grey; CMYK,
 * and YCCK by way of it, becomes RGB as r = c k / 255 of the stored inks, which are taken as inverted: so Adobe writes
 * them, and hardly anybody else writes any. Where the caller needs less than half of the size, the inverse transform
 * gives 4x4, 2x2 or 1 pixel of a block instead of 8x8.
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

enum { MOST_SCANS = 100, EXIF_MARKER = JPEG_APP0 + 1 };

typedef struct decoding {
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    int code; /* of the message; 0: our own */
    const st_picture_file *from;
    unsigned char *row; /* CMYK, before it becomes RGB */
    size_t row_bytes;
} decoding;

/* ---- what libjpeg calls ---- */

static void leave(j_common_ptr jpeg) {
    decoding *with = jpeg->client_data;
    jpeg->err->format_message(jpeg, with->message);
    with->code = jpeg->err->msg_code;
    longjmp(with->escape, 1);
}

/* Some cameras fill up to the end mark with zeros. libjpeg stands on the mark and has passed over `skipped` bytes. */
static bool is_filling(const decoding *with) {
    const unsigned char *mark = with->jpeg.src->next_input_byte;
    int skipped = with->errors.msg_parm.i[0], before = with->errors.msg_parm.i[1];
    if (before != JPEG_EOI || skipped > mark - with->from->bytes) {
        return false;
    }
    for (int i = 1; i <= skipped; i++) {
        if (mark[-i] != 0) {
            return false;
        }
    }
    return true;
}

/* Warnings that mean wrong pixels. */
static void hear(j_common_ptr jpeg, int level) {
    static const int damage[] = {JWRN_JPEG_EOF,    JWRN_HIT_MARKER,      JWRN_HUFF_BAD_CODE,    JWRN_ARITH_BAD_CODE,
                                 JWRN_MUST_RESYNC, JWRN_EXTRANEOUS_DATA, JWRN_BOGUS_PROGRESSION};
    int code = jpeg->err->msg_code;
    for (size_t i = 0; i < ST_COUNT_OF(damage) && level < 0; i++) {
        if (code == damage[i] && !(code == JWRN_EXTRANEOUS_DATA && is_filling(jpeg->client_data))) {
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
        return st_fail_file(err, STRATA_FORMAT, with->from->path, "found %ux%u pixels, expected 1 to %d",
                            jpeg->image_width, jpeg->image_height, ST_DATA_MOST_PIXELS);
    }
    for (int i = 0; i < jpeg->num_components; i++) {
        blocks += (uint64_t)jpeg->comp_info[i].width_in_blocks * jpeg->comp_info[i].height_in_blocks;
    }
    /* Arithmetic codes need less than a bit a block, but no real picture is that empty. */
    uint64_t most = jpeg->arith_code ? 64 : 8;
    if (blocks / most > with->from->length) {
        return st_fail_file(err, STRATA_FORMAT, with->from->path,
                            "found %ux%u pixels, more than its %zu bytes of JPEG can hold", jpeg->image_width,
                            jpeg->image_height, with->from->length);
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
    jpeg_mem_src(jpeg, with->from->bytes, (unsigned long)with->from->length);
    jpeg_save_markers(jpeg, EXIF_MARKER, 0xFFFF);
    (void)jpeg_read_header(jpeg, TRUE);
}

static int find_orientation(const struct jpeg_decompress_struct *jpeg) {
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker != NULL; marker = marker->next) {
        if (marker->data_length >= 6 && memcmp(marker->data, "Exif\0\0", 6) == 0) { /* XMP has another name */
            return st_exif_orientation(marker->data, marker->data_length);
        }
    }
    return 0;
}

/* The largest divisor that leaves the shorter side twice what the caller needs. */
static unsigned choose_divisor(const decoding *with) {
    uint64_t height = with->jpeg.image_height, width = with->jpeg.image_width, side = height < width ? height : width;
    unsigned divisor = 1;
    while (with->from->least_side > 0 && divisor < 8 &&
           (side + 2 * divisor - 1) / (2 * divisor) >= 2 * (uint64_t)with->from->least_side) {
        divisor *= 2;
    }
    return divisor;
}

static strata_status make_room(decoding *with, strata_picture *out, st_picture_about *about, strata_error *err) {
    struct jpeg_decompress_struct *jpeg = &with->jpeg;
    bool is_cmyk = jpeg->num_components == 4, is_grey = jpeg->num_components == 1;
    *about = (st_picture_about){.kind = about->kind,
                                .shape = {jpeg->image_height, jpeg->image_width, is_grey ? 1 : 3},
                                .orientation = find_orientation(jpeg),
                                .bits = jpeg->data_precision,
                                .is_grey = is_grey,
                                .is_cmyk = is_cmyk,
                                .is_interlaced = jpeg->progressive_mode != FALSE};
    ST_TRY(check_size(with, err));
    jpeg->out_color_space = is_grey ? JCS_GRAYSCALE : is_cmyk ? JCS_CMYK : JCS_RGB;
    jpeg->scale_num = 1;
    jpeg->scale_denom = choose_divisor(with);
    jpeg_calc_output_dimensions(jpeg);
    if (is_cmyk) {
        with->row_bytes = (size_t)jpeg->output_width * 4;
        with->row = st_sys.allocate(with->row_bytes);
        ST_FAIL_IF(with->row == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", with->row_bytes);
    }
    strata_shape shape = {jpeg->output_height, jpeg->output_width, about->shape.channels};
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

/* What libjpeg does not do, although the file may be good. */
static bool is_unserved(int code) {
    static const int codes[] = {JERR_BAD_PRECISION,   JERR_SOF_UNSUPPORTED,    JERR_ARITH_NOTIMPL,
                                JERR_CCIR601_NOTIMPL, JERR_CONVERSION_NOTIMPL, JERR_FRACT_SAMPLE_NOTIMPL,
                                JERR_COMPONENT_COUNT};
    for (size_t i = 0; i < ST_COUNT_OF(codes); i++) {
        if (code == codes[i]) {
            return true;
        }
    }
    return false;
}

static strata_status fail_jpeg(const decoding *with, strata_error *err) {
    const char *path = with->from->path;
    ST_FAIL_IF(with->code == JERR_OUT_OF_MEMORY, err, STRATA_MEMORY, "no memory to decode %s", path);
    if (is_unserved(with->code)) {
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "a JPEG of a kind that libjpeg does not read: %s",
                            with->message);
    }
    return st_fail_file(err, STRATA_FORMAT, path, "damaged JPEG: %s", with->message);
}

static strata_status decode(strata_picture *out, st_picture_about *about, const st_picture_file *from,
                            strata_error *err) {
    decoding with = {.from = from};
    decoding *volatile kept = &with; /* seen whole after a longjmp */
    strata_status status = STRATA_OK;
    if (setjmp(with.escape) == 0) {
        begin(&with);
        status = make_room(&with, out, about, err);
        if (status == STRATA_OK) {
            read_rows(&with, out);
        }
    } else {
        status = fail_jpeg(kept, err);
    }
    jpeg_destroy_decompress(&kept->jpeg);
    if (kept->row != NULL) {
        st_sys.release(kept->row, kept->row_bytes);
    }
    return status;
}

const st_decoder st_decoder_jpeg = {.name = "JPEG", .is = is_jpeg, .decode = decode};

#endif
