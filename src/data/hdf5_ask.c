/* The parent's side of reading pictures and labels from an HDF5 file: which data sets can be what, questions to the
 * child that has libhdf5 (hdf5_child.c), and its answers. Every number that comes from it is checked here. */
#include <stdio.h>
#include <string.h>

#include "data/hdf5.h"

/* ---- forms ---- */

static bool is_channels(uint64_t side) {
    return side == 1 || side == 3 || side == 4;
}

bool st_hdf5_is_pictures(st_hdf5_form *out, const st_hdf5_set *set) {
    const uint64_t *dims = set->dims;
    bool last = set->rank == 4 && is_channels(dims[3]), second = set->rank == 4 && !last && is_channels(dims[1]);
    *out = (st_hdf5_form){.channels_first = second};
    if (set->type > ST_HDF5_FLOATS || (set->rank != 3 && !last && !second) || dims[0] == 0 || dims[0] > UINT32_MAX) {
        return false;
    }
    uint64_t height = second ? dims[2] : dims[1], width = second ? dims[3] : dims[2];
    if (height < 1 || width < 1 || height > ST_DATA_MOST_SIDE || width > ST_DATA_MOST_SIDE ||
        height * width > ST_DATA_MOST_PIXELS) {
        return false;
    }
    out->count = (size_t)dims[0];
    out->shape = (strata_shape){(int64_t)height, (int64_t)width,
                                last     ? (int64_t)dims[3]
                                : second ? (int64_t)dims[1]
                                         : 1};
    return true;
}

bool st_hdf5_is_labels(const st_hdf5_set *set, size_t count, uint32_t *axis, size_t *classes) {
    *axis = 0;
    *classes = 0;
    if (set->type > ST_HDF5_FLOATS || count == 0) {
        return false;
    }
    if (set->rank == 1 || (set->rank == 2 && set->dims[1] == 1)) {
        return set->dims[0] == count;
    }
    if (set->rank == 2 && set->dims[0] == 1 && set->dims[1] == count) {
        *axis = 1;
        return true;
    }
    if (set->rank == 2 && set->dims[0] == count && set->dims[1] <= ST_DATA_MOST_CLASSES) {
        *classes = (size_t)set->dims[1];
        return *classes > 1;
    }
    return false;
}

/* ---- reading ---- */

static strata_status fail_answer(const st_hdf5 *file, size_t set, const st_hdf5_answer *answer, strata_error *err) {
    const char *name = file->sets[set].name;
    char what[ST_HDF5_NAME_BYTES + 64];
    switch (answer->trouble) {
    case ST_HDF5_NO_MEMORY:
        return st_fail_file(err, STRATA_MEMORY, file->path, "no memory to read '%s'", name);
    case ST_HDF5_BAD_VALUE:
        return st_fail_file(err, STRATA_FORMAT, file->path, "'%s': label %llu is %g, expected a whole number", name,
                            (unsigned long long)answer->place, answer->low);
    case ST_HDF5_BAD_ROW:
        return st_fail_file(err, STRATA_FORMAT, file->path, "'%s': row %llu is not one-hot, expected one 1 among zeros",
                            name, (unsigned long long)answer->place);
    default:
        (void)snprintf(what, sizeof what, "'%s' cannot be read from item %llu on", name,
                       (unsigned long long)answer->place);
        return st_hdf5_fail_library(file, what, answer, err);
    }
}

/* An answer of at most `most` bytes, in whole items of `size`. */
static strata_status hear_piece(st_hdf5 *file, size_t set, st_hdf5_answer *out, uint64_t most, size_t size,
                                strata_error *err) {
    ST_TRY(st_hdf5_hear(file, out, err));
    if (out->trouble != ST_HDF5_FINE) {
        return fail_answer(file, set, out, err);
    }
    if (out->bytes == 0 || out->bytes > most || out->bytes % size != 0) {
        return st_hdf5_fail_senseless(file, err);
    }
    return STRATA_OK;
}

/* What values are multiplied by to be bytes: 255 for fractions from 0 to 1, else 1 for what is from 0 to 255. */
static strata_status find_scale(double *out, st_hdf5 *file, size_t set, strata_error *err) {
    const st_hdf5_question question = {.what = ST_HDF5_RANGE, .set = (uint32_t)set};
    st_hdf5_answer answer;
    *out = 1.0;
    if (file->sets[set].type == ST_HDF5_BYTES) {
        return STRATA_OK;
    }
    ST_TRY(st_hdf5_put(file, &question, err));
    ST_TRY(st_hdf5_hear(file, &answer, err));
    if (answer.trouble != ST_HDF5_FINE) {
        return fail_answer(file, set, &answer, err);
    }
    if (!(answer.low >= 0.0 && answer.high <= 255.0)) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "'%s' has values from %g to %g, expected 0 to 255, or fractions from 0 to 1",
                            file->sets[set].name, answer.low, answer.high);
    }
    *out = file->sets[set].type == ST_HDF5_FLOATS && answer.high <= 1.0 ? 255.0 : 1.0;
    return STRATA_OK;
}

static strata_status take_pixels(st_spill *to, st_hdf5 *file, size_t set, uint64_t whole, size_t picture_bytes,
                                 strata_error *err) {
    size_t room = picture_bytes > ST_HDF5_PIECE_BYTES ? picture_bytes : ST_HDF5_PIECE_BYTES;
    unsigned char *piece = st_sys.allocate(room);
    ST_FAIL_IF(piece == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", room);
    strata_status status = STRATA_OK;
    while (status == STRATA_OK && to->length < whole) {
        st_hdf5_answer answer;
        uint64_t left = whole - to->length;
        status = hear_piece(file, set, &answer, left < room ? left : room, picture_bytes, err);
        status = status == STRATA_OK ? st_child_hear(&file->child, piece, (size_t)answer.bytes, err) : status;
        status = status == STRATA_OK ? st_spill_add(to, piece, (size_t)answer.bytes, err) : status;
    }
    st_sys.release(piece, room);
    return status;
}

strata_status st_hdf5_pictures(st_pictures *out, st_hdf5 *file, size_t set, strata_error *err) {
    st_hdf5_question question = {.what = ST_HDF5_PIXELS, .set = (uint32_t)set};
    st_hdf5_form form;
    st_spill spill;
    *out = (st_pictures){.file.descriptor = -1};
    if (!st_hdf5_is_pictures(&form, &file->sets[set])) {
        return st_hdf5_fail_senseless(file, err);
    }
    size_t picture_bytes = (size_t)(form.shape.height * form.shape.width * form.shape.channels);
    uint64_t whole = (uint64_t)form.count * picture_bytes; /* at most 2^32 * 2^28 */
    ST_TRY(find_scale(&question.scale, file, set, err));
    question.channels_first = form.channels_first;
    ST_TRY(st_hdf5_put(file, &question, err));
    ST_TRY(st_spill_begin(&spill, whole, err));
    strata_status status = take_pixels(&spill, file, set, whole, picture_bytes, err);
    if (status != STRATA_OK) {
        st_spill_free(&spill);
        return status;
    }
    *out = (st_pictures){.file = {.descriptor = spill.descriptor, .length = whole},
                         .memory = spill.memory,
                         .memory_bytes = spill.capacity,
                         .count = form.count,
                         .shape = form.shape,
                         .picture_bytes = picture_bytes};
    memcpy(out->file.path, file->path, sizeof out->file.path);
    return STRATA_OK;
}

strata_status st_hdf5_labels(int32_t **out, st_hdf5 *file, size_t set, size_t count, st_arena *arena,
                             strata_error *err) {
    st_hdf5_question question = {.what = ST_HDF5_NUMBERS, .set = (uint32_t)set};
    int32_t *labels = NULL;
    size_t classes = 0;
    *out = NULL;
    if (!st_hdf5_is_labels(&file->sets[set], count, &question.axis, &classes)) {
        return st_hdf5_fail_senseless(file, err);
    }
    ST_TRY(st_arena_alloc(&labels, arena, count, sizeof *labels, err));
    ST_TRY(st_hdf5_put(file, &question, err));
    for (size_t done = 0; done < count;) {
        st_hdf5_answer answer;
        ST_TRY(hear_piece(file, set, &answer, (count - done) * sizeof *labels, sizeof *labels, err));
        ST_TRY(st_child_hear(&file->child, labels + done, (size_t)answer.bytes, err));
        done += (size_t)answer.bytes / sizeof *labels;
    }
    *out = labels;
    return STRATA_OK;
}

static strata_status take_name(const char **out, char *name, size_t index, st_arena *arena, strata_error *err) {
    char *own = NULL;
    name[ST_HDF5_CLASS_BYTES - 1] = '\0';
    ST_TRY(name[0] != '\0' ? st_arena_text(&own, arena, name, strlen(name), err)
                           : st_arena_printf(&own, arena, err, "%zu", index));
    return st_name_printable(out, arena, own, err);
}

static strata_status hear_names(const char **names, size_t count, st_hdf5 *file, size_t set, st_arena *arena,
                                strata_error *err) {
    for (size_t i = 0; i < count; i++) {
        char name[ST_HDF5_CLASS_BYTES];
        st_hdf5_answer answer;
        ST_TRY(hear_piece(file, set, &answer, sizeof name, sizeof name, err));
        ST_TRY(st_child_hear(&file->child, name, sizeof name, err));
        ST_TRY(take_name(&names[i], name, i, arena, err));
    }
    return STRATA_OK;
}

strata_status st_hdf5_classes(const char ***out, size_t *count, st_hdf5 *file, size_t set, st_arena *arena,
                              strata_error *err) {
    const st_hdf5_set *from = &file->sets[set];
    const st_hdf5_question question = {.what = ST_HDF5_CLASSES, .set = (uint32_t)set};
    const char **names = NULL;
    int32_t *numbers = NULL;
    *count = (size_t)from->dims[0]; /* the chooser has seen that it is a class list */
    ST_TRY(st_arena_alloc(&names, arena, *count, sizeof *names, err));
    *out = names;
    if (from->type == ST_HDF5_TEXTS) {
        ST_TRY(st_hdf5_put(file, &question, err));
        return hear_names(names, *count, file, set, arena, err);
    }
    ST_TRY(st_hdf5_labels(&numbers, file, set, *count, arena, err));
    for (size_t i = 0; i < *count; i++) {
        char *name = NULL;
        ST_TRY(st_arena_printf(&name, arena, err, "%d", numbers[i]));
        names[i] = name;
    }
    return STRATA_OK;
}
