/* Views: a picture looked at several times, whose probabilities are averaged. Krizhevsky, Sutskever, Hinton 2012,
 * section 4.1: the centre, the four corners, and the mirror images of these.
 *
 * Where the windows move depends on how pictures become the net's size:
 *   CROP     within the box that the shorter side was brought to, in the middle of the picture; where the box leaves no
 *            room, it is made 8/7 of the net's size, as the 256 of Krizhevsky's 224;
 *   STRETCH  the picture is stretched to 8/7 of the net's size;
 *   PAD      where the net's input is larger, the picture goes to its corners; else it gets a border of 1/8 of its side
 *            (CIFAR's 4 of 32), filled like that of augmentation.
 * One window is always what evaluation without views sees. */
#include <string.h>

#include "train/train.h"

static int64_t enlarged(int64_t side) {
    return (side * 8 + 3) / 7;
}

static int64_t shorter_of(strata_shape shape) {
    return shape.height < shape.width ? shape.height : shape.width;
}

/* The picture moves where else it is padded, on the same black. */
static void choose_room(st_views *views, st_dims input) {
    if (input.h > views->out.height || input.w > views->out.width) {
        views->moves = true;
        views->out.height = input.h;
        views->out.width = input.w;
        memset(views->fill, 0, sizeof views->fill);
    }
}

strata_status st_views_choose(st_views *out, const st_geometry *geometry, const st_preparation *preparation,
                              st_dims input, const strata_predict_options *options, strata_error *err) {
    static const strata_predict_options none;
    options = options != NULL ? options : &none;
    int crops = options->crops == 0 ? 1 : options->crops;
    ST_FAIL_IF(crops != 1 && crops != 5 && crops != 10, err, STRATA_INVALID, "crops must be 1, 5 or 10, found %d",
               crops);
    *out = (st_views){
        .geometry = *geometry, .out = geometry->out, .crops = crops == 1 ? 1 : 5, .flip = options->flip || crops == 10};
    st_train_fill(out->fill, preparation);
    if (crops == 1) {
        return STRATA_OK;
    }
    int64_t shorter = shorter_of(geometry->out);
    if (geometry->fit == ST_FIT_PAD) {
        choose_room(out, input);
    } else if (geometry->fit == ST_FIT_CROP && geometry->side <= shorter) {
        out->geometry.side = enlarged(shorter);
    } else if (geometry->fit == ST_FIT_STRETCH) {
        out->geometry.out.height = enlarged(geometry->out.height);
        out->geometry.out.width = enlarged(geometry->out.width);
    }
    return STRATA_OK;
}

int st_views_count(const st_views *views) {
    return views->flip ? 2 * views->crops : views->crops;
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

typedef struct window {
    int64_t top, left; /* in the stage picture; may lie outside of it */
} window;

/* The region whose corners the windows take. */
static strata_shape box_of(const st_views *views, strata_shape stage) {
    const st_geometry *geometry = &views->geometry;
    strata_shape out = views->out, box = stage;
    if (geometry->fit == ST_FIT_PAD && !views->moves) {
        box.height += 2 * ((out.height + 7) / 8);
        box.width += 2 * ((out.width + 7) / 8);
    } else if (geometry->fit == ST_FIT_CROP) {
        box.height = out.height * geometry->side / shorter_of(out);
        box.width = out.width * geometry->side / shorter_of(out);
    }
    return box;
}

static window place(const st_views *views, strata_shape stage, int crop) {
    strata_shape out = views->out, box = box_of(views, stage);
    window at = {st_fit_offset(stage.height, out.height), st_fit_offset(stage.width, out.width)};
    if (views->moves) { /* as the executor pads */
        at = (window){-((out.height - stage.height) / 2), -((out.width - stage.width) / 2)};
    }
    if (crop > 0) { /* 1 and 2 above, 1 and 3 on the left */
        at.top = st_fit_offset(stage.height, box.height) + (crop > 2 ? box.height - out.height : 0);
        at.left = st_fit_offset(stage.width, box.width) + (crop % 2 == 0 ? box.width - out.width : 0);
    }
    return at;
}

static bool is_inside(const st_views *views, strata_shape stage, window at) {
    return at.top >= 0 && at.left >= 0 && at.top + views->out.height <= stage.height &&
           at.left + views->out.width <= stage.width;
}

static void put_pixel(uint8_t *out, const st_views *views, const strata_picture *stage, int64_t y, int64_t x) {
    strata_shape shape = stage->shape;
    bool is_there = y >= 0 && y < shape.height && x >= 0 && x < shape.width;
    const uint8_t *from = is_there ? stage->pixels + (y * shape.width + x) * shape.channels : views->fill;
    memcpy(out, from, (size_t)shape.channels);
}

static void put_row(uint8_t *out, const st_views *views, const strata_picture *stage, window at, bool is_mirrored) {
    int64_t width = views->out.width, channels = views->out.channels;
    for (int64_t x = 0; x < width; x++) {
        put_pixel(out + x * channels, views, stage, at.top, at.left + (is_mirrored ? width - 1 - x : x));
    }
}

void st_views_cut(uint8_t *out, const st_views *views, const strata_picture *stage, int view) {
    bool is_mirrored = view >= views->crops;
    window at = place(views, stage->shape, view % views->crops);
    bool is_copy = !is_mirrored && is_inside(views, stage->shape, at);
    int64_t channels = views->out.channels, row = views->out.width * channels;
    for (int64_t y = 0; y < views->out.height; y++, at.top++, out += row) {
        if (is_copy) {
            memcpy(out, stage->pixels + (at.top * stage->shape.width + at.left) * channels, (size_t)row);
        } else {
            put_row(out, views, stage, at, is_mirrored);
        }
    }
}
