/* HDF5 as data: what its four files share. How such a file is read, in a child process, is in formats/hdf5.h.
 *
 *     hdf5.c          the kind: files and folders to parts
 *     hdf5_choose.c   which data sets are pictures, labels, names of classes
 *     hdf5_ask.c      the parent's side: questions about them
 *     hdf5_child.c    the child's side: the answers */
#ifndef ST_DATA_HDF5_H
#define ST_DATA_HDF5_H

#include "data/data.h"
#include "formats/hdf5.h"

void st_hdf5_serve_pictures(void); /* a child's main: LIST, RANGE, PIXELS, NUMBERS, CLASSES */

/* How a set's pictures lie. */
typedef struct st_hdf5_form {
    size_t count;
    strata_shape shape;
    bool channels_first;
} st_hdf5_form;
bool st_hdf5_is_pictures(st_hdf5_form *out, const st_hdf5_set *set);
/* Numbers (n), (n, 1), (1, n), or one-hot (n, k). *axis is that of the items, *classes the k of one-hot, else 0. */
bool st_hdf5_is_labels(const st_hdf5_set *set, size_t count, uint32_t *axis, size_t *classes);

/* All pictures, into an unnamed temporary file. */
strata_status st_hdf5_pictures(st_pictures *out, st_hdf5 *file, size_t set, strata_error *err);
strata_status st_hdf5_labels(int32_t **out, st_hdf5 *file, size_t set, size_t count, st_arena *arena,
                             strata_error *err);
strata_status st_hdf5_classes(const char ***out, size_t *count, st_hdf5 *file, size_t set, st_arena *arena,
                              strata_error *err);

/* ---- which data sets ---- */

typedef struct st_hdf5_pair {
    strata_part part;
    size_t pictures, labels; /* numbers of sets */
} st_hdf5_pair;

typedef struct st_hdf5_choice {
    st_hdf5_pair pairs[STRATA_PART_COUNT];
    size_t count;
    bool has_classes;
    size_t classes;
} st_hdf5_choice;

/* The part that a name tells: "train_set_x", "X_val", "test/images". */
bool st_hdf5_part_of(strata_part *out, const char *name);
/* `selection`: "PICTURES:LABELS", once for each part, or NULL: found by shape and name. */
strata_status st_hdf5_choose(st_hdf5_choice *out, const st_hdf5 *file, const char *selection, strata_error *err);
/* STRATA_UNSUPPORTED for a set that is not read, and why. */
strata_status st_hdf5_check(const st_hdf5 *file, size_t set, strata_error *err);

#endif
