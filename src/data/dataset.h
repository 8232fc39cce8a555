/* What is in a data set: for the files that make it and look into it (dataset.c, parts.c, notes.c). */
#ifndef ST_DATASET_H
#define ST_DATASET_H

#include "data/data.h"

typedef struct st_data_part {
    const st_part_source *source;
    const uint32_t *indexes; /* in the source; NULL: 0, 1, 2, ... */
    size_t count;
    size_t *class_sizes; /* [classes] */
} st_data_part;

struct strata_dataset {
    st_arena *arena;
    const char *name, *kind;
    strata_shape shape; /* height and width 0: pictures differ in size */
    st_stages *stages;
    size_t class_count;
    const char **classes;
    bool was_held_out;
    st_data_found found;
    const char **notes;
    size_t note_count;
    st_data_part parts[STRATA_PART_COUNT];
};

/* Of a part's picture, its place in the source, and its label. */
static inline size_t st_part_place(const st_data_part *of, size_t index) {
    return of->indexes != NULL ? of->indexes[index] : index;
}
static inline size_t st_part_label(const st_data_part *of, size_t index) {
    return (size_t)of->source->labels[st_part_place(of, index)];
}

/* The parts of what was found, with a share of train held out for val where there is none. */
strata_status st_dataset_settle_parts(strata_dataset *data, const strata_data_options *options, strata_error *err);
/* What a person should know of it before anything is computed. */
strata_status st_dataset_take_notes(strata_dataset *data, strata_error *err);

#endif
