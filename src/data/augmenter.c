/* Augmentation without a training: what the words make of pictures of a data set, to be looked at. Sizes are chosen as
 * for a net: pictures that fit stay as they are, others are reduced until they cover its size by 8/7. */
#include <string.h>

#include "data/data.h"

enum { STANDARD_SIDE = 224 };

struct strata_augmenter {
    st_arena *arena;
    const strata_dataset *data;
    st_geometry geometry;
    st_augmentation augmentation;
    st_reader reader;
    st_augment_room room;
};

/* ---- what augmentation needs to know of the data ---- */

strata_status st_augmentation_axes(st_augmentation *out, const strata_dataset *data, const st_geometry *geometry,
                                   strata_error *err) {
    size_t count = strata_dataset_count(data, STRATA_TRAIN), pixels = 0;
    size_t channels = (size_t)geometry->out.channels;
    st_colour_sums sums = {0};
    st_reader reader = {0};
    uint8_t *picture = NULL;
    st_arena *scratch = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = st_arena_alloc(&picture, scratch, st_geometry_bytes(geometry), 1, err);
    pixels = st_geometry_bytes(geometry) / channels;
    for (size_t i = 0; i < count && status == STRATA_OK; i++) {
        status = st_data_fitted(data, STRATA_TRAIN, i, geometry, &reader, picture, err);
        if (status == STRATA_OK) {
            st_colour_sums_add(&sums, picture, pixels, channels);
        }
    }
    st_reader_free(&reader);
    st_arena_free(scratch);
    ST_TRY(status);
    st_colour_axes(out->axes, &sums, channels);
    return STRATA_OK;
}

static strata_status find_fill(st_augmentation *out, const strata_dataset *data, const st_geometry *geometry,
                               strata_error *err) {
    double mean[4], deviation[4];
    ST_TRY(st_data_statistics(data, geometry, mean, deviation, err));
    for (size_t c = 0; c < ST_COUNT_OF(out->fill); c++) {
        out->fill[c] = (uint8_t)(mean[c] * 255.0 + 0.5);
    }
    return STRATA_OK;
}

/* ---- making one ---- */

static strata_status choose_geometry(st_geometry *out, const strata_dataset *data,
                                     const strata_augment_options *options, strata_error *err) {
    strata_shape common = strata_dataset_shape(data), to = common;
    ST_FAIL_IF(options->height < 0 || options->width < 0 || options->height > ST_DATA_MOST_SIDE ||
                   options->width > ST_DATA_MOST_SIDE || (options->height == 0) != (options->width == 0),
               err, STRATA_INVALID, "a size of %lldx%lld, expected 1 to %d for both", (long long)options->height,
               (long long)options->width, ST_DATA_MOST_SIDE);
    if (options->height > 0) {
        to.height = options->height;
        to.width = options->width;
    } else if (common.height == 0) {
        to.height = STANDARD_SIDE;
        to.width = STANDARD_SIDE;
    }
    int64_t shorter = to.height < to.width ? to.height : to.width;
    bool is_same = common.height == to.height && common.width == to.width;
    *out = (st_geometry){.fit = is_same ? ST_FIT_PAD : ST_FIT_CROP, .side = (shorter * 8 + 3) / 7, .out = to};
    return STRATA_OK;
}

static strata_status build(strata_augmenter *augmenter, const strata_augment_options *options, strata_error *err) {
    st_augmentation *augmentation = &augmenter->augmentation;
    ST_TRY(st_augment_parse(&augmentation->augment, options->augment, err));
    ST_TRY(choose_geometry(&augmenter->geometry, augmenter->data, options, err));
    ST_TRY(st_augment_fits(&augmentation->augment, augmenter->geometry.out, err));
    augmentation->seed = options->seed;
    if (augmentation->augment.count > 0) {
        ST_TRY(find_fill(augmentation, augmenter->data, &augmenter->geometry, err));
    }
    return st_augment_needs_axes(&augmentation->augment)
               ? st_augmentation_axes(augmentation, augmenter->data, &augmenter->geometry, err)
               : STRATA_OK;
}

strata_status strata_augmenter_create(strata_augmenter **out, const strata_dataset *data,
                                      const strata_augment_options *options, strata_error *err) {
    const strata_augment_options none = {0};
    st_arena *arena = NULL;
    strata_augmenter *augmenter = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&augmenter, arena, 1, sizeof *augmenter, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    augmenter->arena = arena;
    augmenter->data = data;
    status = build(augmenter, options != NULL ? options : &none, err);
    if (status != STRATA_OK) {
        strata_augmenter_free(augmenter);
        return status;
    }
    *out = augmenter;
    return STRATA_OK;
}

const char *strata_augmenter_text(const strata_augmenter *augmenter) {
    return augmenter->augmentation.augment.text;
}

void strata_augmenter_free(strata_augmenter *augmenter) {
    if (augmenter != NULL) {
        st_reader_free(&augmenter->reader);
        st_augment_room_free(&augmenter->room);
        st_arena_free(augmenter->arena);
    }
}

/* ---- pictures ---- */

/* Of a whole batch, which need to lie side by side and are mixed there. */
static strata_status mix(strata_picture *out, strata_augmenter *augmenter, uint8_t *pixels, size_t count,
                         uint64_t number, st_arena *scratch, strata_error *err) {
    size_t bytes = st_geometry_bytes(&augmenter->geometry);
    int32_t *labels = NULL, *others = NULL;
    float *shares = NULL;
    ST_TRY(st_arena_alloc(&labels, scratch, count, sizeof *labels, err));
    ST_TRY(st_arena_alloc(&others, scratch, count, sizeof *others, err));
    ST_TRY(st_arena_alloc(&shares, scratch, count, sizeof *shares, err));
    for (size_t i = 0; i < count; i++) {
        memcpy(pixels + i * bytes, out[i].pixels, bytes);
    }
    st_augment_mix(&augmenter->augmentation, number, pixels, labels, count, augmenter->geometry.out, others, shares);
    for (size_t i = 0; i < count; i++) {
        memcpy(out[i].pixels, pixels + i * bytes, bytes);
    }
    return STRATA_OK;
}

static strata_status mix_all(strata_picture *out, strata_augmenter *augmenter, size_t count, uint64_t number,
                             strata_error *err) {
    st_arena *scratch = NULL;
    uint8_t *pixels = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = st_arena_alloc(&pixels, scratch, count, st_geometry_bytes(&augmenter->geometry), err);
    if (status == STRATA_OK) {
        status = mix(out, augmenter, pixels, count, number, scratch, err);
    }
    st_arena_free(scratch);
    return status;
}

strata_status strata_augmenter_batch(strata_picture *out, strata_augmenter *augmenter, strata_part part,
                                     const size_t *indexes, size_t count, uint64_t epoch, strata_error *err) {
    const st_geometry *geometry = &augmenter->geometry;
    augmenter->augmentation.epoch = epoch;
    for (size_t i = 0; i < count; i++) {
        ST_TRY(st_data_stage(augmenter->data, part, indexes[i], geometry, &augmenter->reader, err));
        ST_TRY(st_picture_room(&out[i], geometry->out, err));
        ST_TRY(st_augment_picture(&augmenter->augmentation, indexes[i], &augmenter->reader.stage, geometry,
                                  &augmenter->room, out[i].pixels, err));
    }
    return count > 0 && st_augment_mixes(&augmenter->augmentation.augment) ? mix_all(out, augmenter, count, epoch, err)
                                                                           : STRATA_OK;
}
