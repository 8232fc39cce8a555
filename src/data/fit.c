/* Geometry: pictures of any size become pictures of one size, in one way for training, evaluation and prediction.
 *
 * The defaults are those of the published ImageNet weights: the shorter side to 8/7 of the net's, the centre of the
 * net's size. Rounding follows torchvision: the longer side is cut to a whole number, the centre's offset is rounded
 * half to even. Resampling stands in resize.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "data/data.h"

const char *const st_fit_names[3] = {"pad", "stretch", "crop"};
const char *const st_filter_names[2] = {"bilinear", "bicubic"};

/* Digits of 28x28 in a net for 32x32 are padded; pictures that would be mostly border are enlarged instead. */
enum { MOST_BORDER = 4 };

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static bool is_same_size(strata_shape a, st_dims b) {
    return a.height == b.h && a.width == b.w;
}

static bool may_be_padded(strata_shape common, st_dims input) {
    return common.height > 0 && common.height <= input.h && common.width <= input.w &&
           input.h - common.height <= input.h / MOST_BORDER && input.w - common.width <= input.w / MOST_BORDER;
}

static void choose_for_net(st_geometry *out, const st_graph *graph, strata_shape common) {
    const st_input_params *line = graph->input_line;
    st_dims input = graph->input;
    out->filter = line->filter == 1 ? ST_FILTER_BICUBIC : ST_FILTER_BILINEAR;
    if (may_be_padded(common, input) && (line->resize == 0 || is_same_size(common, input))) {
        out->fit = ST_FIT_PAD;
        out->out.height = common.height;
        out->out.width = common.width;
        return;
    }
    out->fit = line->fit == 1 ? ST_FIT_STRETCH : ST_FIT_CROP;
    out->side = line->resize > 0 ? line->resize : (smaller(input.h, input.w) * 8 + 3) / 7;
    out->out.height = input.h;
    out->out.width = input.w;
}

/* A model that learned from pictures of one size, padded: others are brought to that size. */
static void choose_for_stored(st_geometry *out, const st_geometry *stored, strata_shape common) {
    *out = *stored;
    if (stored->fit == ST_FIT_PAD && (common.height != stored->out.height || common.width != stored->out.width)) {
        out->fit = ST_FIT_CROP;
        out->side = smaller(stored->out.height, stored->out.width);
    }
}

strata_status st_geometry_choose(st_geometry *out, const st_graph *graph, const st_geometry *stored,
                                 strata_shape common, strata_error *err) {
    *out = (st_geometry){.out.channels = graph->input.c};
    if (stored != NULL) {
        choose_for_stored(out, stored, common);
    } else {
        choose_for_net(out, graph, common);
    }
    int64_t from = common.channels, to = graph->input.c;
    ST_FAIL_IF(from != to && !(from == 1 || (from == 3 && to == 1)), err, STRATA_SHAPE,
               "the net takes pictures of %" PRId64 " channels, these have %" PRId64, to, from);
    ST_FAIL_IF(from != to && to > 3, err, STRATA_SHAPE,
               "the net takes pictures of %" PRId64 " channels, these have %" PRId64, to, from);
    out->out.channels = to;
    return STRATA_OK;
}

bool st_geometry_equals(const st_geometry *a, const st_geometry *b) {
    return a->fit == b->fit && a->filter == b->filter && a->side == b->side && a->out.height == b->out.height &&
           a->out.width == b->out.width && a->out.channels == b->out.channels;
}

void st_geometry_words(const st_geometry *geometry, char *out, size_t capacity) {
    const char *filter = geometry->filter == ST_FILTER_BICUBIC ? ", bicubic" : "";
    out[0] = '\0';
    if (geometry->fit == ST_FIT_STRETCH) {
        (void)snprintf(out, capacity, "resized to %" PRId64 "x%" PRId64 "%s; ", geometry->out.height,
                       geometry->out.width, filter);
    } else if (geometry->fit == ST_FIT_CROP) {
        (void)snprintf(out, capacity, "shorter side to %" PRId64 "%s, centre of %" PRId64 "x%" PRId64 "; ",
                       geometry->side, filter, geometry->out.height, geometry->out.width);
    }
}

size_t st_geometry_bytes(const st_geometry *geometry) {
    return (size_t)(geometry->out.height * geometry->out.width * geometry->out.channels);
}

/* ---- the stage picture ------------------------------------------------------------------------------------------ */

strata_shape st_geometry_stage(const st_geometry *geometry, strata_shape from) {
    strata_shape out = geometry->out;
    if (geometry->fit == ST_FIT_PAD) {
        return (strata_shape){from.height, from.width, out.channels};
    }
    if (geometry->fit == ST_FIT_STRETCH) {
        return out;
    }
    /* The box has the proportions of `out`; the picture just covers it. Sides are at most 2^31, so no product here
     * leaves 64 bits. */
    int64_t shorter = smaller(out.height, out.width);
    int64_t high = out.height * geometry->side / shorter, wide = out.width * geometry->side / shorter;
    strata_shape stage = {high, wide, out.channels};
    if (from.width * high >= from.height * wide) {
        stage.width = from.width * high / from.height;
    } else {
        stage.height = from.height * wide / from.width;
    }
    stage.height = smaller(stage.height, ST_DATA_MOST_SIDE); /* of a thread of one pixel, the middle is as good */
    stage.width = smaller(stage.width, ST_DATA_MOST_SIDE);
    return stage;
}

/* Luma of ITU-R 601 as most programs round it. */
static void weigh(uint8_t *out, const uint8_t *in, size_t count) {
    for (size_t i = 0; i < count; i++, in += 3) {
        out[i] = (uint8_t)((in[0] * 19595u + in[1] * 38470u + in[2] * 7471u + 0x8000u) >> 16);
    }
}

/* From the last to the first, so that `out` may be `in`. */
static void spread(uint8_t *out, const uint8_t *in, size_t count, size_t channels) {
    for (size_t i = count; i > 0; i--) {
        memset(out + (i - 1) * channels, in[i - 1], channels);
    }
}

/* The channels of out->pixels, in place; it has room for both numbers of them. */
static void convert(strata_picture *out, int64_t channels) {
    size_t count = (size_t)(out->shape.height * out->shape.width);
    if (out->shape.channels == 1 && channels > 1) {
        spread(out->pixels, out->pixels, count, (size_t)channels);
    } else if (out->shape.channels != channels) {
        weigh(out->pixels, out->pixels, count);
    }
    out->shape.channels = channels;
}

strata_status st_fit_stage(strata_picture *out, const strata_picture *from, const st_geometry *geometry,
                           strata_shape stage, strata_error *err) {
    strata_shape room = stage, is = from->shape;
    ST_FAIL_IF(is.channels != stage.channels && is.channels != 1 && !(is.channels == 3 && stage.channels == 1), err,
               STRATA_SHAPE, "the net takes pictures of %" PRId64 " channels, this has %" PRId64, stage.channels,
               is.channels);
    room.channels = is.channels > stage.channels ? is.channels : stage.channels;
    ST_TRY(st_picture_room(out, room, err));
    if (is.height == stage.height && is.width == stage.width) {
        memcpy(out->pixels, from->pixels, (size_t)(is.height * is.width * is.channels));
        out->shape = is;
    } else {
        ST_TRY(st_picture_resize(out, from, stage.height, stage.width, geometry->filter, err));
    }
    convert(out, stage.channels);
    return STRATA_OK;
}

int64_t st_fit_offset(int64_t whole, int64_t part) {
    int64_t half = (whole - part) / 2;
    return half + ((whole - part) % 2 != 0 ? half % 2 : 0);
}

void st_fit_centre(uint8_t *out, const strata_picture *stage, const st_geometry *geometry) {
    strata_shape from = stage->shape, to = geometry->out;
    size_t row = (size_t)(to.width * to.channels);
    int64_t top = st_fit_offset(from.height, to.height), left = st_fit_offset(from.width, to.width);
    for (int64_t y = 0; y < to.height; y++) {
        memcpy(out + (size_t)y * row, stage->pixels + ((top + y) * from.width + left) * to.channels, row);
    }
}
