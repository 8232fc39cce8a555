/* Classes go by name: which output of a model a class of a data set is. Where one of the two has no names, or none that
 * are more than the classes' numbers, and no name is the same in both, the numbers decide; where these cannot, it is
 * said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

/* ---- names that are numbers ------------------------------------------------------------------------------------- */

/* The number that a name is, written as a program would; -1: it is something else. */
static int64_t number_of(const char *name) {
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 9 || name[digits] != '\0' || (digits > 1 && name[0] == '0')) {
        return -1;
    }
    return strtol(name, NULL, 10);
}

static const char *name_of_output(const strata_model *model, size_t index) {
    return model->classes != NULL ? model->classes[index] : NULL;
}

typedef enum numbering { NAMES_ALONE, SOME_NUMBERS, NUMBERS_ALONE } numbering;

/* How many of the names say nothing but the classes' places. */
static numbering numbering_of(const char *(*name)(const void *, size_t), const void *of, size_t count) {
    size_t numbers = 0;
    for (size_t i = 0; i < count; i++) {
        numbers += number_of(name(of, i)) == (int64_t)i;
    }
    return numbers == count ? NUMBERS_ALONE : numbers > 0 ? SOME_NUMBERS : NAMES_ALONE;
}

static const char *name_in_data(const void *data, size_t index) {
    return strata_dataset_class(data, index);
}

static const char *name_in_model(const void *model, size_t index) {
    return name_of_output(model, index);
}

/* ---- by name ---------------------------------------------------------------------------------------------------- */

typedef struct named {
    const char *name;
    size_t index;
} named;

static int compare_names(const void *a, const void *b) {
    const named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static int compare_to_name(const void *name, const void *b) {
    return strcmp(name, ((const named *)b)->name);
}

static strata_status map_names(st_class_map *map, st_arena *arena, const strata_model *model,
                               const strata_dataset *data, strata_part part, strata_error *err) {
    named *sorted = NULL;
    size_t count = model->class_count;
    ST_TRY(st_arena_alloc(&sorted, arena, count, sizeof *sorted, err));
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (named){name_of_output(model, i), i};
    }
    qsort(sorted, count, sizeof *sorted, compare_names);
    for (size_t c = 0; c < strata_dataset_class_count(data); c++) {
        const char *name = strata_dataset_class(data, c);
        const named *found = bsearch(name, sorted, count, sizeof *sorted, compare_to_name);
        map->outputs[c] = found != NULL ? (int32_t)found->index : -1;
        if (found == NULL || strata_dataset_class_size(data, part, c) == 0) {
            continue;
        }
        const named *before = found > sorted ? found - 1 : found,
                    *after = found < sorted + count - 1 ? found + 1 : found;
        const named *twin = before != found && strcmp(before->name, name) == 0 ? before
                            : after != found && strcmp(after->name, name) == 0 ? after
                                                                               : NULL;
        ST_FAIL_IF(twin != NULL, err, STRATA_SHAPE,
                   "two classes of the model are called '%.100s' (%zu and %zu): which of them the data means cannot be "
                   "told",
                   name, twin->index, found->index);
    }
    return STRATA_OK;
}

/* ---- by number -------------------------------------------------------------------------------------------------- */

static void map_numbers(st_class_map *map, const strata_model *model, const strata_dataset *data) {
    for (size_t c = 0; c < strata_dataset_class_count(data); c++) {
        map->outputs[c] = c < model->class_count ? (int32_t)c : -1;
    }
}

/* The data's names are numbers of the outputs, though not all of them. */
static bool map_written_numbers(st_class_map *map, const strata_model *model, const strata_dataset *data) {
    for (size_t c = 0; c < strata_dataset_class_count(data); c++) {
        int64_t number = number_of(strata_dataset_class(data, c));
        if (number < 0) {
            return false;
        }
        map->outputs[c] = number < (int64_t)model->class_count ? (int32_t)number : -1;
    }
    return true;
}

static bool knows_some(const st_class_map *map, const strata_dataset *data, strata_part part) {
    for (size_t c = 0; c < strata_dataset_class_count(data); c++) {
        if (map->outputs[c] >= 0 && strata_dataset_class_size(data, part, c) > 0) {
            return true;
        }
    }
    return false;
}

/* Names decide as soon as one is the same in both. */
static strata_status map_classes(st_class_map *map, st_arena *arena, const strata_model *model,
                                 const strata_dataset *data, strata_part part, strata_error *err) {
    size_t count = model->class_count, in_data = strata_dataset_class_count(data);
    bool has_names = model->classes != NULL && numbering_of(name_in_model, model, count) != NUMBERS_ALONE;
    numbering in_names = numbering_of(name_in_data, data, in_data);
    if (model->classes != NULL) {
        ST_TRY(map_names(map, arena, model, data, part, err));
        if (knows_some(map, data, part) || (has_names && in_names != NUMBERS_ALONE)) {
            return STRATA_OK;
        }
    } else if (map_written_numbers(map, model, data)) {
        return STRATA_OK;
    }
    /* A list that names some classes and numbers the rest has the numbers from somewhere. */
    bool can_tell = has_names || in_names == SOME_NUMBERS ? in_data <= count : in_data == count;
    if (!can_tell) {
        st_fail(err, STRATA_SHAPE, "the classes of the %s have no names; it tells %zu apart, the %s %zu",
                has_names ? "data" : "model", has_names ? in_data : count, has_names ? "model" : "data",
                has_names ? count : in_data);
        st_error_hint(
            err,
            "which class is which is told by name (--classes FILE gives them), or by number where there are as many");
        return STRATA_SHAPE;
    }
    map->match.by_number = true;
    map_numbers(map, model, data);
    return STRATA_OK;
}

/* ---- what a person should know ---------------------------------------------------------------------------------- */

static void add_name(char *list, size_t capacity, size_t before, const char *name) {
    enum { MOST_NAMED = 5, ROOM_FOR_MORE = 8 };
    size_t used = strlen(list);
    char shown[48];
    st_text_printable(shown, sizeof shown, name, strlen(name));
    if (before < MOST_NAMED && used + strlen(shown) + ROOM_FOR_MORE < capacity) {
        (void)snprintf(list + used, capacity - used, "%s%s", before > 0 ? ", " : "", shown);
    } else if (used >= 3 && strcmp(list + used - 3, "...") != 0) {
        (void)snprintf(list + used, capacity - used, ", ...");
    }
}

static strata_status describe(st_class_map *map, st_arena *arena, const strata_model *model, const strata_dataset *data,
                              strata_part part, strata_error *err) {
    strata_class_match *match = &map->match;
    bool *is_seen = NULL;
    ST_TRY(st_arena_alloc(&is_seen, arena, model->class_count, sizeof *is_seen, err));
    for (size_t c = 0; c < strata_dataset_class_count(data); c++) {
        size_t pictures = strata_dataset_class_size(data, part, c);
        if (pictures > 0 && map->outputs[c] >= 0) {
            is_seen[map->outputs[c]] = true;
            match->known++;
        } else if (pictures > 0) {
            add_name(match->unknown_names, sizeof match->unknown_names, match->unknown, strata_dataset_class(data, c));
            match->unknown++;
            match->unknown_pictures += pictures;
        }
    }
    for (size_t i = 0; i < model->class_count; i++) {
        if (!is_seen[i]) {
            char number[32];
            (void)snprintf(number, sizeof number, "%zu", i);
            const char *name = name_of_output(model, i);
            add_name(match->absent_names, sizeof match->absent_names, match->absent, name != NULL ? name : number);
            match->absent++;
        }
    }
    return STRATA_OK;
}

strata_status st_class_map_make(st_class_map *out, st_arena *arena, const strata_model *model,
                                const strata_dataset *data, strata_part part, strata_error *err) {
    *out = (st_class_map){0};
    ST_FAIL_IF(strata_dataset_count(data, part) == 0, err, STRATA_MISSING, "%s has no such part",
               strata_dataset_name(data));
    ST_TRY(st_arena_alloc(&out->outputs, arena, strata_dataset_class_count(data), sizeof *out->outputs, err));
    ST_TRY(map_classes(out, arena, model, data, part, err));
    return describe(out, arena, model, data, part, err);
}

strata_status strata_class_match_get(strata_class_match *out, const strata_model *model, const strata_dataset *data,
                                     strata_part part, strata_error *err) {
    st_arena *arena = NULL;
    st_class_map map;
    *out = (strata_class_match){0};
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_class_map_make(&map, arena, model, data, part, err);
    if (status == STRATA_OK) {
        *out = map.match;
    }
    st_arena_free(arena);
    return status;
}

strata_status strata_model_name_classes(strata_model *model, const char *const *names, size_t count,
                                        strata_error *err) {
    char **own = NULL;
    ST_FAIL_IF(count != model->class_count, err, STRATA_SHAPE, "%zu names for a net with %zu outputs", count,
               model->class_count);
    ST_TRY(st_arena_alloc(&own, model->arena, count, sizeof *own, err));
    for (size_t i = 0; i < count; i++) {
        ST_TRY(st_arena_text(&own[i], model->arena, names[i], strlen(names[i]), err));
    }
    model->classes = own;
    return STRATA_OK;
}

bool strata_model_has_names(const strata_model *model) {
    return model->classes != NULL;
}
