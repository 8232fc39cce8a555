/* Data sets: what was found on disk. The public strata_dataset_* and the gathering of pictures for a batch. */
#include "data/dataset.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A label this far above all smaller ones is damage, not a class. */
enum { WIDEST_GAP = 32 };

/* ---- where it is ---- */

static strata_status fail_unknown(const char *path, strata_error *err) {
    static const char *const names[] = {"fashion-mnist", "mnist", "cifar-10", "cifar-100"};
    const char *near = st_text_nearest(path, names, ST_COUNT_OF(names));
    st_fail_file(err, STRATA_MISSING, path, "no such file or folder, nor a known data set");
    if (near != NULL) {
        st_error_hint(err, "did you mean %s?", near);
    }
    return STRATA_MISSING;
}

/* A folder or file that is there, else a known name. */
static strata_status find_place(char out[256], const st_data_known **known, const char *path, strata_error *err) {
    struct stat about;
    size_t length = strlen(path);
    *known = strchr(path, '/') == NULL ? st_data_known_find(path) : NULL;
    if (stat(path, &about) == 0 || st_data_file_length(path) < length) {
        if (length >= 256) {
            return st_fail_file(err, STRATA_INVALID, path, "the path has %zu bytes, at most 255 are served", length);
        }
        memcpy(out, path, length + 1);
        return STRATA_OK;
    }
    if (*known == NULL) {
        return fail_unknown(path, err);
    }
    return st_data_known_folder(out, *known, err);
}

/* The last part of the folder's path, of a file's folder. */
static strata_status find_name(strata_dataset *data, const char *place, strata_error *err) {
    char real[PATH_MAX], file[256];
    struct stat about;
    char *copy = NULL;
    (void)snprintf(file, sizeof file, "%.*s", (int)st_data_file_length(place), place);
    if (realpath(file, real) == NULL) {
        return st_fail_file(err, STRATA_IO, place, "the path cannot be followed");
    }
    if (stat(real, &about) == 0 && !S_ISDIR(about.st_mode) && strrchr(real, '/') != NULL) {
        *strrchr(real, '/') = '\0';
    }
    const char *slash = strrchr(real, '/');
    const char *last = slash != NULL && slash[1] != '\0' ? slash + 1 : real;
    ST_TRY(st_arena_text(&copy, data->arena, last, strlen(last), err));
    data->name = copy;
    return STRATA_OK;
}

/* ---- classes ---- */

/* " (FILE)" where pictures have files, else nothing. */
static void add_file(char out[ST_DATA_NAME_BYTES + 4], const st_part_source *source, size_t index) {
    char name[ST_DATA_NAME_BYTES] = "";
    if (source->is_encoded) {
        source->calls->name(source, index, name);
    }
    (void)snprintf(out, ST_DATA_NAME_BYTES + 4, name[0] != '\0' ? " (%s)" : "%s", name);
}

/* One more than the largest label, or the picture whose label is too far above the others. */
static strata_status count_numbers(strata_dataset *data, const st_part_source *source, st_arena *scratch,
                                   strata_error *err) {
    uint32_t *first = NULL; /* the first picture with a label, from 1; 0: none */
    ST_TRY(st_arena_alloc(&first, scratch, ST_DATA_MOST_CLASSES, sizeof *first, err));
    for (size_t i = source->count; i > 0; i--) {
        int32_t label = source->labels[i - 1];
        if (label < 0 || label >= ST_DATA_MOST_CLASSES) {
            return st_fail_file(err, STRATA_FORMAT, source->labels_path,
                                "label %d of picture %zu is out of range, expected 0 to %d", label, i - 1,
                                ST_DATA_MOST_CLASSES - 1);
        }
        first[label] = (uint32_t)i;
    }
    size_t below = 0;
    for (size_t c = 0; c < ST_DATA_MOST_CLASSES; c++) {
        if (first[c] == 0) {
            continue;
        }
        if (c > below + WIDEST_GAP) {
            char file[ST_DATA_NAME_BYTES + 4];
            add_file(file, source, first[c] - 1);
            return st_fail_file(err, STRATA_FORMAT, source->labels_path,
                                "label %zu of picture %u%.120s is out of range: all smaller labels are at most %zu", c,
                                first[c] - 1, file, below);
        }
        below = c;
    }
    data->class_count = below + 1;
    return STRATA_OK;
}

static strata_status count_classes(strata_dataset *data, const st_part_source *source, strata_error *err) {
    st_arena *scratch = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = count_numbers(data, source, scratch, err);
    st_arena_free(scratch);
    return status;
}

static strata_status check_labels(const strata_dataset *data, const st_part_source *source, strata_error *err) {
    for (size_t i = 0; i < source->count; i++) {
        if (source->labels[i] < 0 || (size_t)source->labels[i] >= data->class_count) {
            return st_fail_file(err, STRATA_FORMAT, source->labels_path,
                                "label %d of picture %zu is out of range, expected 0 to %zu", source->labels[i], i,
                                data->class_count - 1);
        }
    }
    return STRATA_OK;
}

static strata_status name_classes(strata_dataset *data, const st_data_known *known, strata_error *err) {
    ST_TRY(st_arena_alloc(&data->classes, data->arena, data->class_count, sizeof *data->classes, err));
    for (size_t c = 0; c < data->class_count; c++) {
        char *number = NULL;
        if (data->found.classes != NULL) {
            data->classes[c] = data->found.classes[c];
            continue;
        }
        if (known != NULL && known->classes != NULL) {
            data->classes[c] = known->classes[c];
            continue;
        }
        ST_TRY(st_arena_printf(&number, data->arena, err, "%zu", c));
        data->classes[c] = number;
    }
    return STRATA_OK;
}

/* Names that the files give come before those of a known set. */
static strata_status settle_classes(strata_dataset *data, const st_data_known *known, strata_error *err) {
    const st_part_source *train = &data->found.parts[STRATA_TRAIN];
    if (data->found.classes != NULL) {
        data->class_count = data->found.class_count;
    } else if (known != NULL && known->class_count > 0) {
        data->class_count = known->class_count;
    } else {
        ST_TRY(count_classes(data, train->count > 0 ? train : &data->found.parts[STRATA_TEST], err));
    }
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        ST_TRY(check_labels(data, &data->found.parts[p], err));
    }
    return name_classes(data, known, err);
}

static strata_status settle_shape(strata_dataset *data, strata_error *err) {
    const st_part_source *first = NULL;
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        const st_part_source *source = &data->found.parts[p];
        if (source->count == 0) {
            continue;
        }
        first = first == NULL ? source : first;
        strata_shape a = first->shape, b = source->shape;
        if (source == first) {
            data->shape = a;
        } else if (a.channels != b.channels) {
            return st_fail_file(err, STRATA_SHAPE, source->path, "pictures of %lld channels, those of %s have %lld",
                                (long long)b.channels, first->path, (long long)a.channels);
        } else if (a.height != b.height || a.width != b.width) {
            data->shape.height = data->shape.width = 0;
        }
    }
    ST_FAIL_IF(first == NULL, err, STRATA_MISSING, "no pictures were found");
    return STRATA_OK;
}

/* ---- opening and closing ---- */

static strata_status refuse_broken(const strata_dataset *data, const strata_data_options *options, strata_error *err) {
    size_t count = data->found.broken_count, all = count;
    if (!options->strict || count == 0) {
        return STRATA_OK;
    }
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        all += data->found.parts[p].count;
    }
    const st_broken *first = &data->found.broken[0];
    return st_fail_file(err, STRATA_FORMAT, data->name, "%zu of its %zu pictures cannot be read%s %.120s: %.200s",
                        count, all, count == 1 ? ":" : ", such as", first->name, first->reason);
}

static strata_status fail_no_kind(const char *place, strata_error *err) {
    char expected[400];
    size_t used = 0;
    for (size_t k = 0; k < st_data_kind_count(); k++) {
        int length = snprintf(expected + used, sizeof expected - used, "%s%s", k > 0 ? ", or " : "",
                              st_data_kind_at(k)->expected);
        used += length > 0 && (size_t)length < sizeof expected - used ? (size_t)length : 0;
    }
    return st_fail_file(err, STRATA_UNSUPPORTED, place, "no data set was found here; a folder must hold %s", expected);
}

static strata_status open_place(strata_dataset *data, const char *path, const strata_data_options *options,
                                strata_error *err) {
    char place[256];
    const st_data_known *known = NULL;
    ST_TRY(find_place(place, &known, path, err));
    ST_TRY(find_name(data, place, err));
    known = known == NULL ? st_data_known_find(data->name) : known;
    if (known != NULL) {
        data->name = known->name;
    }
    const st_data_kind *kind = st_data_kind_find(place);
    if (kind == NULL) {
        return fail_no_kind(place, err);
    }
    data->found.examines = options->examines;
    ST_TRY(kind->open(&data->found, data->arena, place, err));
    ST_TRY(refuse_broken(data, options, err));
    data->kind = data->found.text;
    ST_TRY(st_stages_create(&data->stages, err));
    ST_TRY(settle_shape(data, err));
    ST_TRY(settle_classes(data, known, err));
    ST_TRY(st_dataset_settle_parts(data, options, err));
    return st_dataset_take_notes(data, err);
}

strata_status strata_dataset_open(strata_dataset **out, const char *path, const strata_data_options *options,
                                  strata_error *err) {
    static const strata_data_options none;
    st_arena *arena = NULL;
    strata_dataset *data = NULL;
    options = options != NULL ? options : &none;
    *out = NULL;
    ST_FAIL_IF(path == NULL || path[0] == '\0', err, STRATA_INVALID, "no data set was named");
    ST_FAIL_IF(!(options->hold_out >= 0 && options->hold_out < 1), err, STRATA_INVALID,
               "the share to hold out must be from 0 to below 1, found %g", options->hold_out);
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&data, arena, 1, sizeof *data, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    data->arena = arena;
    status = open_place(data, path, options, err);
    if (status != STRATA_OK) {
        strata_dataset_free(data);
        return status;
    }
    *out = data;
    return STRATA_OK;
}

void strata_dataset_free(strata_dataset *data) {
    if (data != NULL) {
        for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
            st_part_source *source = &data->found.parts[p];
            if (source->calls != NULL) {
                source->calls->close(source);
            }
        }
        st_stages_free(data->stages);
        st_arena_free(data->arena);
    }
}

/* ---- looking ---- */

const char *strata_dataset_name(const strata_dataset *data) {
    return data->name;
}

const char *strata_dataset_kind(const strata_dataset *data) {
    return data->kind;
}

size_t strata_dataset_count(const strata_dataset *data, strata_part which) {
    return which >= 0 && which < STRATA_PART_COUNT ? data->parts[which].count : 0;
}

bool st_data_is_numbered(const strata_dataset *data) {
    return data->found.classes == NULL || data->found.is_numbered;
}

bool strata_dataset_was_held_out(const strata_dataset *data) {
    return data->was_held_out;
}

strata_shape strata_dataset_shape(const strata_dataset *data) {
    return data->shape;
}

size_t strata_dataset_class_count(const strata_dataset *data) {
    return data->class_count;
}

const char *strata_dataset_class(const strata_dataset *data, size_t index) {
    return index < data->class_count ? data->classes[index] : "";
}

size_t strata_dataset_class_size(const strata_dataset *data, strata_part which, size_t class_index) {
    return strata_dataset_count(data, which) > 0 && class_index < data->class_count
               ? data->parts[which].class_sizes[class_index]
               : 0;
}

size_t strata_dataset_note_count(const strata_dataset *data) {
    return data->note_count;
}

const char *strata_dataset_note(const strata_dataset *data, size_t index) {
    return index < data->note_count ? data->notes[index] : "";
}

size_t strata_dataset_broken_count(const strata_dataset *data) {
    return data->found.broken_count;
}

const char *strata_dataset_broken(const strata_dataset *data, size_t index, const char **reason) {
    bool is_there = index < data->found.broken_count;
    *reason = is_there ? data->found.broken[index].reason : "";
    return is_there ? data->found.broken[index].name : "";
}

void st_data_name(const strata_dataset *data, strata_part which, size_t index, char out[ST_DATA_NAME_BYTES]) {
    const st_data_part *of = &data->parts[which];
    out[0] = '\0';
    if (index < of->count) {
        of->source->calls->name(of->source, of->indexes != NULL ? of->indexes[index] : index, out);
    }
}

void st_data_fingerprint(const strata_dataset *data, char out[65]) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (int p = STRATA_TRAIN; p <= STRATA_VAL; p++) {
        const st_data_part *of = &data->parts[p];
        for (size_t i = 0; i < of->count; i++) {
            size_t label = st_part_label(of, i);
            unsigned char bytes[4] = {(unsigned char)label, (unsigned char)(label >> 8), (unsigned char)(label >> 16),
                                      0};
            st_sha256_add(&sha, bytes, sizeof bytes);
        }
        st_sha256_add(&sha, "|", 1);
    }
    st_sha256_end(&sha, out);
}

const char *st_data_place(const strata_dataset *data, strata_part which) {
    return data->parts[which].source->path;
}

/* ---- reading ---- */

st_stages *st_data_stages(const strata_dataset *data) {
    return data->stages;
}

int32_t st_data_label(const strata_dataset *data, strata_part which, size_t index) {
    return (int32_t)st_part_label(&data->parts[which], index);
}

bool st_data_is_encoded(const strata_dataset *data, strata_part which) {
    return data->parts[which].source->is_encoded;
}

st_picture_about st_data_about(const strata_dataset *data, strata_part which, size_t index) {
    const st_data_part *of = &data->parts[which];
    const st_picture_about *about =
        of->source->calls->about != NULL ? of->source->calls->about(of->source, st_part_place(of, index)) : NULL;
    return about != NULL ? *about : (st_picture_about){.shape = of->source->shape, .bits = 8};
}

strata_status st_data_read(const strata_dataset *data, strata_part which, size_t index, st_reader *with,
                           strata_error *err) {
    const st_data_part *of = &data->parts[which];
    ST_FAIL_IF(index >= of->count, err, STRATA_INVALID, "there is no picture %zu, the part has %zu", index, of->count);
    return of->source->calls->read(of->source, st_part_place(of, index), with, err);
}

strata_status strata_dataset_picture(strata_picture *out, const strata_dataset *data, strata_part which, size_t index,
                                     int *label, strata_error *err) {
    size_t count = strata_dataset_count(data, which);
    st_reader with = {.picture = *out};
    *label = 0;
    *out = (strata_picture){0};
    strata_status status = STRATA_OK;
    if (index >= count) {
        status = st_fail(err, STRATA_INVALID, "there is no picture %zu, the part has %zu", index, count);
    } else {
        status = st_data_read(data, which, index, &with, err);
        *label = (int)st_data_label(data, which, index);
    }
    if (status == STRATA_OK) {
        *out = with.picture;
        with.picture = (strata_picture){0};
    }
    st_reader_free(&with);
    return status;
}

strata_status strata_dataset_read(const strata_dataset *data, strata_part which, size_t index, uint8_t *pixels,
                                  int *label, strata_error *err) {
    st_geometry as_is = {.fit = ST_FIT_PAD, .out = data->shape};
    st_reader with = {0};
    size_t count = strata_dataset_count(data, which);
    *label = 0;
    ST_FAIL_IF(index >= count, err, STRATA_INVALID, "there is no picture %zu, the part has %zu", index, count);
    ST_FAIL_IF(data->shape.height == 0, err, STRATA_SHAPE,
               "pictures of %s differ in size: strata_dataset_picture gives them", data->name);
    strata_status status = st_data_fitted(data, which, index, &as_is, &with, pixels, err);
    st_reader_free(&with);
    *label = status == STRATA_OK ? (int)st_data_label(data, which, index) : 0;
    return status;
}

void st_data_order(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch) {
    st_rng_shuffle(order, count, seed, st_rng_stream(ST_STREAM_ORDER, epoch));
}
