/* What is in a data set more than once: the same pixels, to the bit; and pictures that look alike (look.c). */
#include <stdlib.h>
#include <string.h>

#include "data/doctor.h"

/* ---- the same pixels ---- */

typedef struct key {
    uint64_t hash[2];
    strata_shape shape;
    uint32_t index;
} key;

static int compare_words(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int compare_content(const key *a, const key *b) {
    int order = compare_words(a->hash[0], b->hash[0]);
    order = order == 0 ? compare_words(a->hash[1], b->hash[1]) : order;
    order = order == 0 ? compare_words((uint64_t)a->shape.height, (uint64_t)b->shape.height) : order;
    order = order == 0 ? compare_words((uint64_t)a->shape.width, (uint64_t)b->shape.width) : order;
    return order == 0 ? compare_words((uint64_t)a->shape.channels, (uint64_t)b->shape.channels) : order;
}

static int compare_keys(const void *a, const void *b) {
    const key *one = a, *two = b;
    int order = compare_content(one, two);
    return order == 0 ? compare_words(one->index, two->index) : order;
}

static strata_status read_at(const st_doctor *doctor, size_t index, st_reader *with, strata_error *err) {
    strata_place place = doctor->notes[index].place;
    return st_data_read(doctor->data, place.part, place.index, with, err);
}

static bool has_same_pixels(const strata_picture *a, const strata_picture *b) {
    return a->shape.height == b->shape.height && a->shape.width == b->shape.width &&
           a->shape.channels == b->shape.channels &&
           memcmp(a->pixels, b->pixels, (size_t)(a->shape.height * a->shape.width * a->shape.channels)) == 0;
}

/* Keys first .. end - 1 have one hash: those with the pixels of the first get its number. */
static strata_status compare_pixels(uint32_t *leaders, const st_doctor *doctor, const key *keys, size_t count,
                                    st_reader with[2], strata_error *err) {
    ST_TRY(read_at(doctor, keys[0].index, &with[0], err));
    for (size_t i = 1; i < count; i++) {
        ST_TRY(read_at(doctor, keys[i].index, &with[1], err));
        if (has_same_pixels(&with[0].picture, &with[1].picture)) {
            leaders[keys[i].index] = keys[0].index;
        }
    }
    return STRATA_OK;
}

static strata_status group_same(uint32_t *leaders, const st_doctor *doctor, st_reader with[2], strata_error *err) {
    key *keys = NULL;
    ST_TRY(st_arena_alloc(&keys, doctor->scratch, doctor->count, sizeof *keys, err));
    for (size_t i = 0; i < doctor->count; i++) {
        const st_note *note = &doctor->notes[i];
        keys[i] = (key){{note->hash[0], note->hash[1]}, note->shape, (uint32_t)i};
        leaders[i] = (uint32_t)i;
    }
    qsort(keys, doctor->count, sizeof *keys, compare_keys);
    for (size_t i = 0, run; i < doctor->count; i += run) {
        for (run = 1; i + run < doctor->count && compare_content(&keys[i], &keys[i + run]) == 0; run++) {
        }
        if (run > 1) {
            ST_TRY(compare_pixels(leaders, doctor, keys + i, run, with, err));
        }
    }
    return STRATA_OK;
}

/* ---- from numbers of leaders to lists ---- */

static void describe(strata_alike *group, const strata_dataset *data) {
    const strata_place *first = &group->places[0];
    for (size_t i = 1; i < group->count; i++) {
        const strata_place *one = &group->places[i];
        group->has_parts = group->has_parts || one->part != first->part;
        group->has_labels = group->has_labels || st_data_label(data, one->part, one->index) !=
                                                     st_data_label(data, first->part, first->index);
    }
}

static strata_status list_groups(const strata_alike **out, size_t *out_count, const st_doctor *doctor,
                                 const uint32_t *leaders, strata_error *err) {
    uint32_t *sizes = NULL;
    size_t groups = 0, members = 0;
    ST_TRY(st_arena_alloc(&sizes, doctor->scratch, doctor->count, sizeof *sizes, err));
    for (size_t i = 0; i < doctor->count; i++) {
        uint32_t size = ++sizes[leaders[i]];
        groups += size == 2;
        members += size == 2 ? 2 : size > 2;
    }
    strata_alike *list = NULL, **of = NULL; /* of: a leader's group */
    strata_place *places = NULL;
    ST_TRY(st_arena_alloc(&list, doctor->arena, groups, sizeof *list, err));
    ST_TRY(st_arena_alloc(&places, doctor->arena, members, sizeof *places, err));
    ST_TRY(st_arena_alloc(&of, doctor->scratch, doctor->count, sizeof *of, err));
    size_t next = 0, place = 0;
    for (size_t i = 0; i < doctor->count; i++) { /* a leader comes before its followers */
        uint32_t leader = leaders[i];
        if (sizes[leader] >= 2) {
            if (leader == i) {
                of[i] = &list[next++];
                of[i]->places = places + place;
                place += sizes[i];
            }
            places[(of[leader]->places - places) + (ptrdiff_t)of[leader]->count++] = doctor->notes[i].place;
        }
    }
    for (size_t g = 0; g < groups; g++) {
        describe(&list[g], doctor->data);
    }
    *out = list;
    *out_count = groups;
    return STRATA_OK;
}

/* A copy looks like its original, and blank pictures look like each other: neither says more. */
strata_status st_doctor_find_alike(st_doctor *doctor, strata_error *err) {
    strata_checkup *out = doctor->out;
    st_reader with[2] = {{.least_side = 0}, {.least_side = 0}};
    uint32_t *leaders = NULL;
    uint8_t *skipped = NULL;
    ST_TRY(st_arena_alloc(&leaders, doctor->scratch, doctor->count, sizeof *leaders, err));
    ST_TRY(st_arena_alloc(&skipped, doctor->scratch, doctor->count, 1, err));
    strata_status status = group_same(leaders, doctor, with, err);
    st_reader_free(&with[0]);
    st_reader_free(&with[1]);
    ST_TRY(status);
    ST_TRY(list_groups(&out->duplicates, &out->duplicate_count, doctor, leaders, err));
    for (size_t i = 0; i < doctor->count; i++) {
        skipped[i] = leaders[i] != i || doctor->notes[i].is_blank;
    }
    ST_TRY(st_look_group(leaders, doctor->looks, skipped, doctor->count, doctor->threads, err));
    return list_groups(&out->near_duplicates, &out->near_duplicate_count, doctor, leaders, err);
}
