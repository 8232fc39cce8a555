/* What each word of augmentation does: one row of the table below; and the walk through a user's words for one picture.
 * What happens to a picture is a pure function of seed, epoch and its number, so that threads and a resume leave the
 * bits as they are. */
#include <string.h>

#include "data/augment.h"

/* ---- draws ---- */

/* The first draw of each of the first eight steps stands at 8 index + step, as it always has; further steps and draws
 * lie above all numbers of pictures. */
static st_draws draws_at(uint64_t seed, uint64_t stream, uint64_t index, int step) {
    return (st_draws){
        .seed = seed, .stream = stream, .place = 8 * index + ((uint64_t)step & 7) + ((uint64_t)step >> 3 << 36)};
}

st_draws st_draws_of(const st_augmentation *augmentation, size_t index, int step) {
    uint64_t number = augmentation->epoch ^ (uint64_t)augmentation->turn << 20;
    return draws_at(augmentation->seed, st_rng_stream(ST_STREAM_AUGMENT, number), index, step);
}

st_draws st_draws_of_batch(const st_augmentation *augmentation, uint64_t batch_number, int step) {
    return draws_at(augmentation->seed, st_rng_stream(ST_STREAM_MIX, 0), batch_number, step);
}

static uint64_t counter_of(const st_draws *draws, uint32_t number) {
    return draws->place + ((uint64_t)number << 40);
}

uint64_t st_draw_bits(const st_draws *draws, uint32_t number) {
    return st_rng_bits(draws->seed, draws->stream, counter_of(draws, number));
}

double st_draw_between(const st_draws *draws, uint32_t number, double low, double high) {
    return low + (high - low) * st_rng_uniform(draws->seed, draws->stream, counter_of(draws, number));
}

double st_draw_normal(const st_draws *draws, uint32_t number) {
    return st_rng_normal(draws->seed, draws->stream, counter_of(draws, number));
}

int64_t st_draw_below(uint64_t half, int64_t bound) {
    return (int64_t)((half & 0xFFFFFFFFu) * (uint64_t)bound >> 32);
}

void st_canvas_swap(st_canvas *canvas) {
    strata_picture *kept = canvas->now;
    canvas->now = canvas->next;
    canvas->next = kept;
}

/* ---- rows ---- */

static strata_status mirror(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    (void)numbers;
    (void)err;
    if (st_draw_bits(draws, 0) >> 63 != 0) {
        st_crop_mirror(canvas->now);
    }
    return STRATA_OK;
}

static strata_status crop(st_canvas *canvas, const strata_picture *from, const st_geometry *geometry,
                          const double *numbers, const st_draws *draws, strata_error *err) {
    return st_crop_border(canvas, from, geometry->out, (int64_t)numbers[0], draws, err);
}

static strata_status resized_crop(st_canvas *canvas, const strata_picture *from, const st_geometry *geometry,
                                  const double *numbers, const st_draws *draws, strata_error *err) {
    return st_crop_resized(canvas, from, geometry, numbers[0], draws, err);
}

static st_affine rotate(st_affine before, strata_shape shape, const double *numbers, const st_draws *draws) {
    (void)shape;
    return st_affine_turned(before, st_draw_between(draws, 0, -numbers[0], numbers[0]));
}

static st_affine shear(st_affine before, strata_shape shape, const double *numbers, const st_draws *draws) {
    (void)shape;
    double angle = st_draw_between(draws, 0, -numbers[0], numbers[0]) * (3.141592653589793 / 180.0);
    return st_affine_sheared(before, st_sin(angle) / st_cos(angle), 0);
}

/* As often larger as smaller. */
static st_affine scale(st_affine before, strata_shape shape, const double *numbers, const st_draws *draws) {
    (void)shape;
    return st_affine_scaled(before, st_exp(st_draw_between(draws, 0, -1, 1) * st_log(1 + numbers[0])));
}

static st_affine translate(st_affine before, strata_shape shape, const double *numbers, const st_draws *draws) {
    double right = st_draw_between(draws, 0, -numbers[0], numbers[0]) * (double)shape.width;
    double down = st_draw_between(draws, 1, -numbers[0], numbers[0]) * (double)shape.height;
    return st_affine_moved(before, right, down);
}

static double factor_of(const double *numbers, const st_draws *draws) {
    return st_draw_between(draws, 0, 1 - numbers[0], 1 + numbers[0]);
}

static strata_status brightness(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    (void)err;
    st_colour_brightness(canvas->now, factor_of(numbers, draws));
    return STRATA_OK;
}

static strata_status contrast(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    (void)err;
    st_colour_contrast(canvas->now, factor_of(numbers, draws));
    return STRATA_OK;
}

static strata_status saturation(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    (void)err;
    st_colour_saturation(canvas->now, factor_of(numbers, draws));
    return STRATA_OK;
}

static strata_status hue(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    (void)err;
    st_colour_hue(canvas->now, st_draw_between(draws, 0, -numbers[0], numbers[0]));
    return STRATA_OK;
}

/* All pixels move by the same amounts: along each axis by its variance times a draw. */
static strata_status pca(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    double amounts[ST_DATA_MOST_CHANNELS] = {0};
    (void)err;
    for (uint32_t axis = 0; axis < ST_DATA_MOST_CHANNELS; axis++) {
        double drawn = numbers[0] * st_draw_normal(draws, axis);
        for (int c = 0; c < ST_DATA_MOST_CHANNELS; c++) {
            amounts[c] += drawn * canvas->with->axes[axis][c];
        }
    }
    st_colour_shift(canvas->now, amounts);
    return STRATA_OK;
}

static strata_status cutout(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    (void)err;
    st_erase_square(canvas, (int64_t)numbers[0], draws);
    return STRATA_OK;
}

static strata_status erase(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    (void)numbers;
    (void)err;
    st_erase_noise(canvas, draws);
    return STRATA_OK;
}

static strata_status randaugment(st_canvas *canvas, const double *numbers, const st_draws *draws, strata_error *err) {
    return st_randaugment(canvas, (int)numbers[0], numbers[1], draws, err);
}

#define NUMBER(low, high, otherwise)                                                                                   \
    { .least = (low), .most = (high), .standard = (otherwise) }
#define WHOLE(low, high)                                                                                               \
    { .least = (low), .most = (high), .is_whole = true }

static const st_word words[] = {
    {.name = "mirror", .shown = "mirror", .help = "left and right change places, half of the time", .change = mirror},
    {.name = "crop",
     .shown = "crop=N",
     .help = "a border of N pixels, then a window of the old size",
     .kind = ST_WORD_SIZES,
     .count = 1,
     .numbers = {WHOLE(0, ST_DATA_MOST_SIDE)},
     .example = "crop=4",
     .size = crop},
    {.name = "resized-crop",
     .shown = "resized-crop[=AREA]",
     .help = "a window of AREA (0.08) to all of it, 3:4 to 4:3, resized",
     .kind = ST_WORD_SIZES,
     .count = 1,
     .numbers = {NUMBER(0.01, 1, "0.08")},
     .example = "resized-crop=0.08",
     .size = resized_crop},
    {.name = "rotate",
     .shown = "rotate=DEGREES",
     .help = "turned by up to so many degrees to either side",
     .kind = ST_WORD_AFFINE,
     .count = 1,
     .numbers = {NUMBER(0, 180, NULL)},
     .example = "rotate=15",
     .affine = rotate},
    {.name = "shear",
     .shown = "shear=DEGREES",
     .help = "slanted by up to so many degrees in either direction",
     .kind = ST_WORD_AFFINE,
     .count = 1,
     .numbers = {NUMBER(0, 60, NULL)},
     .example = "shear=10",
     .affine = shear},
    {.name = "scale",
     .shown = "scale=SHARE",
     .help = "larger or smaller by up to this share",
     .kind = ST_WORD_AFFINE,
     .count = 1,
     .numbers = {NUMBER(0, 1, NULL)},
     .example = "scale=0.2",
     .affine = scale},
    {.name = "translate",
     .shown = "translate=SHARE",
     .help = "moved by up to this share of the sides",
     .kind = ST_WORD_AFFINE,
     .count = 1,
     .numbers = {NUMBER(0, 0.5, NULL)},
     .example = "translate=0.1",
     .affine = translate},
    {.name = "elastic",
     .shown = "elastic[=ALPHA]",
     .help = "local warping (Simard 2003), ALPHA (34) times as far",
     .kind = ST_WORD_ELASTIC,
     .count = 1,
     .numbers = {NUMBER(0, 200, "34")},
     .example = "elastic=34"},
    {.name = "brightness",
     .shown = "brightness=S",
     .help = "a factor from 1 - S to 1 + S",
     .count = 1,
     .numbers = {NUMBER(0, 1, NULL)},
     .example = "brightness=0.4",
     .change = brightness},
    {.name = "contrast",
     .shown = "contrast=S",
     .help = "a factor from 1 - S to 1 + S",
     .count = 1,
     .numbers = {NUMBER(0, 1, NULL)},
     .example = "contrast=0.4",
     .change = contrast},
    {.name = "saturation",
     .shown = "saturation=S",
     .help = "a factor from 1 - S to 1 + S",
     .count = 1,
     .numbers = {NUMBER(0, 1, NULL)},
     .example = "saturation=0.4",
     .change = saturation},
    {.name = "hue",
     .shown = "hue=S",
     .help = "turned by up to S of the circle",
     .count = 1,
     .numbers = {NUMBER(0, 0.5, NULL)},
     .example = "hue=0.1",
     .change = hue},
    {.name = "pca",
     .shown = "pca[=SIGMA]",
     .help = "along the axes of your data's colours, by SIGMA (0.1)",
     .count = 1,
     .numbers = {NUMBER(0, 10, "0.1")},
     .example = "pca=0.1",
     .change = pca},
    {.name = "cutout",
     .shown = "cutout=N",
     .help = "a square of N pixels becomes the mean",
     .count = 1,
     .numbers = {WHOLE(1, ST_DATA_MOST_SIDE)},
     .example = "cutout=16",
     .change = cutout},
    {.name = "erase", .shown = "erase", .help = "a rectangle becomes noise, half of the time", .change = erase},
    {.name = "randaugment",
     .shown = "randaugment=N:M",
     .help = "N changes drawn from a list, of strength M of 30",
     .count = 2,
     .numbers = {WHOLE(1, 8), NUMBER(0, 30, NULL)},
     .example = "randaugment=2:9",
     .change = randaugment},
    {.name = "mixup",
     .shown = "mixup=ALPHA",
     .help = "two pictures and their labels blended",
     .kind = ST_WORD_MIXUP,
     .count = 1,
     .numbers = {NUMBER(0.01, 100, NULL)},
     .example = "mixup=0.2"},
    {.name = "cutmix",
     .shown = "cutmix=ALPHA",
     .help = "a rectangle of another picture, labels in proportion",
     .kind = ST_WORD_CUTMIX,
     .count = 1,
     .numbers = {NUMBER(0.01, 100, NULL)},
     .example = "cutmix=1"},
};

size_t st_word_count(void) {
    return ST_COUNT_OF(words);
}

const st_word *st_word_at(size_t index) {
    return &words[index];
}

/* ---- the walk ---- */

/* Affine words from `step` on, and an elastic behind them, as one resampling; *step becomes the last of them. */
static strata_status warp(st_canvas *canvas, size_t index, int *step, strata_error *err) {
    const st_augment *augment = &canvas->with->augment;
    st_affine affine = st_affine_none();
    st_field field = {0};
    int at = *step;
    for (; at < augment->count && st_word_of(augment, at)->kind == ST_WORD_AFFINE; at++) {
        double numbers[2];
        st_draws draws = st_draws_of(canvas->with, index, at);
        st_word_numbers(numbers, augment, at);
        affine = st_word_of(augment, at)->affine(affine, canvas->now->shape, numbers, &draws);
    }
    bool is_elastic = at < augment->count && st_word_of(augment, at)->kind == ST_WORD_ELASTIC;
    if (is_elastic) {
        double numbers[2];
        st_draws draws = st_draws_of(canvas->with, index, at);
        st_word_numbers(numbers, augment, at++);
        ST_TRY(st_elastic_draw(&field, canvas, numbers[0], &draws, err));
    }
    *step = at - 1;
    return st_warp(canvas, &affine, is_elastic ? &field : NULL, err);
}

/* Whether the walk begins with the stage picture (until a word sizes it) or with its centre. */
static bool is_sized(const st_augment *augment) {
    for (int i = 0; i < augment->count; i++) {
        if (st_word_of(augment, i)->kind == ST_WORD_SIZES) {
            return true;
        }
    }
    return false;
}

static strata_status begin(st_canvas *canvas, const strata_picture *stage, const st_geometry *geometry,
                           strata_error *err) {
    const st_augment *augment = &canvas->with->augment;
    strata_shape from = stage->shape, to = geometry->out;
    ST_FAIL_IF(from.channels != to.channels || from.height < to.height || from.width < to.width, err, STRATA_SHAPE,
               "a picture of %lldx%lldx%lld, expected at least %lldx%lldx%lld", (long long)from.height,
               (long long)from.width, (long long)from.channels, (long long)to.height, (long long)to.width,
               (long long)to.channels);
    if (!is_sized(augment)) {
        ST_TRY(st_picture_room(canvas->now, to, err));
        st_fit_centre(canvas->now->pixels, stage, geometry);
    } else if (st_word_of(augment, 0)->kind != ST_WORD_SIZES) {
        ST_TRY(st_picture_room(canvas->now, from, err));
        memcpy(canvas->now->pixels, stage->pixels, (size_t)(from.height * from.width * from.channels));
    }
    return STRATA_OK;
}

strata_status st_augment_picture(const st_augmentation *augmentation, size_t index, const strata_picture *stage,
                                 const st_geometry *geometry, st_augment_room *room, uint8_t *out, strata_error *err) {
    const st_augment *augment = &augmentation->augment;
    st_canvas canvas = {.now = &room->whole, .next = &room->scratch, .room = room, .with = augmentation};
    ST_TRY(begin(&canvas, stage, geometry, err));
    for (int i = 0; i < augment->count; i++) {
        const st_word *word = st_word_of(augment, i);
        st_draws draws = st_draws_of(augmentation, index, i);
        double numbers[2];
        st_word_numbers(numbers, augment, i);
        if (word->kind == ST_WORD_SIZES) {
            ST_TRY(word->size(&canvas, i == 0 ? stage : canvas.now, geometry, numbers, &draws, err));
        } else if (word->kind == ST_WORD_CHANGES) {
            ST_TRY(word->change(&canvas, numbers, &draws, err));
        } else if (word->kind == ST_WORD_AFFINE || word->kind == ST_WORD_ELASTIC) {
            ST_TRY(warp(&canvas, index, &i, err));
        }
    }
    memcpy(out, canvas.now->pixels, st_geometry_bytes(geometry));
    return STRATA_OK;
}

void st_augment_room_free(st_augment_room *room) {
    strata_picture_free(&room->whole);
    strata_picture_free(&room->scratch);
    st_sys.release(room->numbers, room->number_count * sizeof *room->numbers);
    *room = (st_augment_room){0};
}
