/* What a person should know of a data set, a line each: what was left out, what is missing where. */
#include <stdio.h>
#include <string.h>

#include "data/dataset.h"

enum { MOST_NAMED = 5 };

/* "3 classes have no pictures in test: bird, cat, dog". */
static strata_status note_missing(strata_dataset *data, const st_data_part *of, const char *part_name,
                                  strata_error *err) {
    char names[200] = "", *note = NULL;
    size_t missing = 0, used = 0;
    for (size_t c = 0; c < data->class_count; c++) {
        if (of->class_sizes[c] > 0) {
            continue;
        }
        if (missing < MOST_NAMED) {
            char name[32];
            st_text_printable(name, sizeof name, data->classes[c], strlen(data->classes[c]));
            int length = snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", name);
            used += length > 0 && (size_t)length < sizeof names - used ? (size_t)length : 0;
        }
        missing++;
    }
    if (missing == 0) {
        return STRATA_OK;
    }
    ST_TRY(st_arena_printf(&note, data->arena, err, "%zu class%s no pictures in %s: %s%s", missing,
                           missing == 1 ? " has" : "es have", part_name, names, missing > MOST_NAMED ? ", ..." : ""));
    data->notes[data->note_count++] = note;
    return STRATA_OK;
}

static strata_status note_broken(strata_dataset *data, strata_error *err) {
    char *note = NULL;
    size_t count = data->found.broken_count;
    if (count == 0) {
        return STRATA_OK;
    }
    const st_broken *first = &data->found.broken[0];
    char name[200];
    st_text_printable(name, sizeof name, first->name, strlen(first->name));
    ST_TRY(st_arena_printf(&note, data->arena, err, "%zu picture%s cannot be read and %s left out%s %s: %s", count,
                           count == 1 ? "" : "s", count == 1 ? "is" : "are", count == 1 ? ":" : ", such as", name,
                           first->reason));
    data->notes[data->note_count++] = note;
    return STRATA_OK;
}

strata_status st_dataset_take_notes(strata_dataset *data, strata_error *err) {
    static const char *const names[STRATA_PART_COUNT] = {"train", "val", "test"};
    ST_TRY(st_arena_alloc(&data->notes, data->arena, STRATA_PART_COUNT + 2 + data->found.note_count,
                          sizeof *data->notes, err));
    ST_TRY(note_broken(data, err));
    for (size_t i = 0; i < data->found.note_count; i++) {
        data->notes[data->note_count++] = data->found.notes[i];
    }
    if (data->class_count == 1) {
        data->notes[data->note_count++] = "there is one class only, and so nothing to tell apart";
    }
    /* Labels that are numbers say nothing about what should be there. */
    for (size_t p = 0; p < STRATA_PART_COUNT && data->found.classes != NULL; p++) {
        if (data->parts[p].count > 0) {
            ST_TRY(note_missing(data, &data->parts[p], names[p], err));
        }
    }
    return STRATA_OK;
}
