/* A data set's parts, and what is held out of train for val.
 *
 * Holding out is stratified: of a class with n training pictures, n * share are taken, rounded half up, at least 1
 * where n >= 2 and never all; which ones is drawn from the seed for each class. Both parts keep the order of the file.
 */
#include <string.h>

#include "data/dataset.h"

static void count_sizes(st_data_part *of, size_t classes) {
    memset(of->class_sizes, 0, classes * sizeof *of->class_sizes);
    for (size_t i = 0; i < of->count; i++) {
        of->class_sizes[st_part_label(of, i)]++;
    }
}

static size_t held_of_class(size_t count, double share) {
    size_t held = (size_t)((double)count * share + 0.5);
    held = held == 0 && count >= 2 ? 1 : held;
    return held >= count && count > 0 ? count - 1 : held;
}

/* What hold_out works with, for as many pictures and classes as there are. */
typedef struct draw {
    uint8_t *is_held;  /* [pictures] */
    uint32_t *members; /* pictures, class by class */
    uint32_t *order;
    size_t *ends; /* [classes], in members */
} draw;

static strata_status make_draw(draw *out, st_arena *scratch, size_t count, size_t classes, strata_error *err) {
    ST_TRY(st_arena_alloc(&out->is_held, scratch, count, 1, err));
    ST_TRY(st_arena_alloc(&out->members, scratch, count, sizeof *out->members, err));
    ST_TRY(st_arena_alloc(&out->order, scratch, count, sizeof *out->order, err));
    return st_arena_alloc(&out->ends, scratch, classes, sizeof *out->ends, err);
}

/* Marks the pictures to hold out. */
static size_t draw_held_out(draw *with, const st_data_part *train, size_t classes, const strata_data_options *options) {
    size_t all = 0, start = 0;
    for (size_t c = 0; c < classes; c++) {
        with->ends[c] = start; /* so far the class's begin */
        start += train->class_sizes[c];
    }
    for (size_t i = 0; i < train->count; i++) {
        with->members[with->ends[st_part_label(train, i)]++] = (uint32_t)i;
    }
    for (size_t c = 0; c < classes; c++) {
        size_t count = train->class_sizes[c], held = held_of_class(count, options->hold_out);
        const uint32_t *members = with->members + with->ends[c] - count;
        st_rng_shuffle(with->order, count, options->seed, st_rng_stream(ST_STREAM_HOLD_OUT, c));
        for (size_t i = 0; i < held; i++) {
            with->is_held[members[with->order[i]]] = 1;
        }
        all += held;
    }
    return all;
}

static strata_status hold_out(strata_dataset *data, const strata_data_options *options, st_arena *scratch,
                              strata_error *err) {
    st_data_part *train = &data->parts[STRATA_TRAIN], *val = &data->parts[STRATA_VAL];
    draw with = {0};
    uint32_t *kept = NULL, *taken = NULL;
    size_t count = train->count;
    ST_TRY(make_draw(&with, scratch, count, data->class_count, err));
    size_t held = draw_held_out(&with, train, data->class_count, options);
    ST_TRY(st_arena_alloc(&kept, data->arena, count - held, sizeof *kept, err));
    ST_TRY(st_arena_alloc(&taken, data->arena, held, sizeof *taken, err));
    size_t kept_count = 0, taken_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (with.is_held[i] != 0) {
            taken[taken_count++] = (uint32_t)i;
        } else {
            kept[kept_count++] = (uint32_t)i;
        }
    }
    val->source = train->source;
    val->indexes = taken;
    val->count = taken_count;
    train->indexes = kept;
    train->count = kept_count;
    count_sizes(train, data->class_count);
    count_sizes(val, data->class_count);
    data->was_held_out = taken_count > 0;
    return STRATA_OK;
}

strata_status st_dataset_settle_parts(strata_dataset *data, const strata_data_options *options, strata_error *err) {
    st_data_part *train = &data->parts[STRATA_TRAIN];
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        const st_part_source *source = &data->found.parts[p];
        st_data_part *of = &data->parts[p];
        *of = (st_data_part){.source = source, .count = source->count};
        if (p == STRATA_TRAIN && options->limit > 0 && options->limit < train->count) {
            train->count = options->limit;
        }
        ST_TRY(st_arena_alloc(&of->class_sizes, data->arena, data->class_count, sizeof *of->class_sizes, err));
        count_sizes(of, data->class_count);
    }
    if (options->hold_out == 0 || train->count == 0 || data->parts[STRATA_VAL].count > 0) {
        return STRATA_OK;
    }
    st_arena *scratch = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = hold_out(data, options, scratch, err);
    st_arena_free(scratch);
    return status;
}
