/* CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in the binary form of their original distribution: rows of one label byte
 * (of CIFAR-100 two: coarse, fine) and 3072 bytes, three planes of 32x32, red first. Rows are read in place. Names of
 * the classes come from the text file beside them. Not the Python and MATLAB forms. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/data.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, PICTURE = 3 * PLANE, MOST_FILES = 5, MOST_NAMES_BYTES = 64 << 10 };
enum { ROWS_AT_ONCE = 64, MOST_ROWS = 100000000 };

/* The two distributions. */
static const struct form {
    const char *text, *names; /* the file with the classes' names */
    size_t classes, label_bytes, train_count;
    const char *train[MOST_FILES], *test;
    size_t coarse_classes; /* of the first of two labels */
} forms[] = {
    {.text = "CIFAR-10 binary",
     .names = "batches.meta.txt",
     .classes = 10,
     .label_bytes = 1,
     .train_count = 5,
     .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
     .test = "test_batch.bin"},
    {.text = "CIFAR-100 binary",
     .names = "fine_label_names.txt",
     .classes = 100,
     .label_bytes = 2,
     .train_count = 1,
     .train = {"train.bin"},
     .test = "test.bin",
     .coarse_classes = 20},
};

static const char *const cifar10_classes[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                              "dog",      "frog",       "horse", "ship", "truck"};

/* The files of one part, one after the other. */
typedef struct rows {
    st_file files[MOST_FILES];
    size_t counts[MOST_FILES];
    size_t file_count, row_bytes;
} rows;

/* ---- reading ---- */

/* The file of a picture, and its row there. */
static const st_file *find_row(const rows *from, size_t index, size_t *row) {
    size_t file = 0;
    while (index >= from->counts[file]) { /* the caller saw that it is there */
        index -= from->counts[file++];
    }
    *row = index;
    return &from->files[file];
}

static strata_status read_row(const st_part_source *source, size_t index, st_reader *with, strata_error *err) {
    const rows *from = source->state;
    uint8_t planes[PICTURE];
    size_t row = 0;
    const st_file *file = find_row(from, index, &row);
    uint64_t place = (uint64_t)row * from->row_bytes + (from->row_bytes - PICTURE);
    ST_TRY(st_file_at(file, planes, sizeof planes, place, err));
    ST_TRY(st_picture_room(&with->picture, source->shape, err));
    uint8_t *pixels = with->picture.pixels;
    for (size_t p = 0; p < PLANE; p++) {
        pixels[3 * p] = planes[p];
        pixels[3 * p + 1] = planes[PLANE + p];
        pixels[3 * p + 2] = planes[2 * PLANE + p];
    }
    return STRATA_OK;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void name_row(const st_part_source *source, size_t index, char out[ST_DATA_NAME_BYTES]) {
    size_t row = 0;
    const st_file *file = find_row(source->state, index, &row);
    (void)snprintf(out, ST_DATA_NAME_BYTES, "%.200s:%zu", last_part(file->path), row);
}

static void close_rows(st_part_source *source) {
    rows *from = source->state;
    for (size_t i = 0; i < from->file_count; i++) {
        st_file_close(&from->files[i]);
    }
}

static const st_source_calls calls = {.read = read_row, .name = name_row, .close = close_rows};

/* ---- opening ---- */

static bool is_there(const char *folder, const char *name) {
    char path[256];
    struct stat about;
    return st_data_join(path, folder, name, NULL) == STRATA_OK && stat(path, &about) == 0;
}

static strata_status open_file(rows *to, const char *folder, const char *name, strata_error *err) {
    char path[256];
    st_file *file = &to->files[to->file_count];
    ST_TRY(st_data_join(path, folder, name, err));
    ST_TRY(st_file_open(file, path, err));
    to->file_count++;
    if (file->length == 0 || file->length % to->row_bytes != 0 || file->length / to->row_bytes > MOST_ROWS) {
        return st_fail_file(err, STRATA_FORMAT, path, "holds %llu bytes, expected whole rows of %zu bytes each",
                            (unsigned long long)file->length, to->row_bytes);
    }
    to->counts[to->file_count - 1] = (size_t)(file->length / to->row_bytes);
    return STRATA_OK;
}

static strata_status check_label(const st_file *file, uint64_t byte, uint8_t label, size_t classes, strata_error *err) {
    if (label >= classes) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "byte %llu: found label %d, expected 0 to %zu",
                            (unsigned long long)byte, label, classes - 1);
    }
    return STRATA_OK;
}

/* The labels of one file; its rows are read once, from the first to the last. */
static strata_status read_labels(int32_t *labels, const st_file *file, size_t count, const struct form *form,
                                 uint8_t *room, strata_error *err) {
    size_t row_bytes = PICTURE + form->label_bytes;
    for (size_t done = 0; done < count; done += ROWS_AT_ONCE) {
        size_t some = count - done < ROWS_AT_ONCE ? count - done : ROWS_AT_ONCE;
        uint64_t place = (uint64_t)done * row_bytes;
        ST_TRY(st_file_at(file, room, some * row_bytes, place, err));
        for (size_t i = 0; i < some; i++) {
            const uint8_t *row = room + i * row_bytes;
            uint64_t byte = place + i * row_bytes;
            if (form->label_bytes == 2) {
                ST_TRY(check_label(file, byte, row[0], form->coarse_classes, err));
            }
            ST_TRY(check_label(file, byte + form->label_bytes - 1, row[form->label_bytes - 1], form->classes, err));
            labels[done + i] = row[form->label_bytes - 1];
        }
    }
    return STRATA_OK;
}

/* Files that are there, from the list of a part: all of them, or none. */
static strata_status open_part(st_part_source *out, const struct form *form, const char *const *names, size_t count,
                               st_arena *arena, const char *folder, strata_error *err) {
    size_t there = 0, missing = 0;
    for (size_t i = 0; i < count; i++) {
        bool is = is_there(folder, names[i]);
        there += is;
        missing = is ? missing : i;
    }
    if (there == 0) {
        return STRATA_OK;
    }
    if (there < count) {
        return st_fail_file(err, STRATA_MISSING, folder, "%s is missing: %zu of the %zu training batches are there",
                            names[missing], there, count);
    }
    rows *own = NULL;
    int32_t *labels = NULL;
    uint8_t *room = NULL;
    ST_TRY(st_arena_alloc(&own, arena, 1, sizeof *own, err));
    own->row_bytes = PICTURE + form->label_bytes;
    *out = (st_part_source){.calls = &calls, .state = own, .shape = {SIDE, SIDE, 3}};
    size_t all = 0, done = 0;
    for (size_t i = 0; i < count; i++) {
        ST_TRY(open_file(own, folder, names[i], err));
        all += own->counts[i];
    }
    ST_TRY(st_arena_alloc(&labels, arena, all, sizeof *labels, err));
    ST_TRY(st_arena_alloc(&room, arena, ROWS_AT_ONCE, own->row_bytes, err));
    for (size_t i = 0; i < count; i++) {
        ST_TRY(read_labels(labels + done, &own->files[i], own->counts[i], form, room, err));
        done += own->counts[i];
    }
    out->labels = labels;
    out->labels_path = out->path = own->files[0].path;
    out->count = all;
    return STRATA_OK;
}

/* ---- the names of classes ---- */

/* A name a line; lines without one are passed over. Exactly as many as there are classes. */
static strata_status split_names(const char **names, const struct form *form, char *text, size_t length,
                                 const char *path, strata_error *err) {
    size_t count = 0;
    for (size_t at = 0; at < length;) {
        char *line = text + at;
        size_t end = strcspn(line, "\r\n");
        at += end + 1;
        line[end] = '\0';
        if (end == 0) {
            continue;
        }
        if (count < form->classes) {
            names[count] = line;
        }
        count++;
    }
    if (count != form->classes) {
        return st_fail_file(err, STRATA_FORMAT, path, "found %zu names, expected %zu, one a line", count,
                            form->classes);
    }
    return STRATA_OK;
}

static strata_status find_names(st_data_found *out, const struct form *form, st_arena *arena, const char *folder,
                                strata_error *err) {
    char path[256], *text = NULL;
    const char **names = NULL;
    size_t length = 0;
    out->class_count = form->classes;
    ST_TRY(st_arena_alloc(&names, arena, form->classes, sizeof *names, err));
    out->classes = names;
    if (is_there(folder, form->names)) {
        ST_TRY(st_data_join(path, folder, form->names, err));
        ST_TRY(st_file_read(&text, &length, arena, path, MOST_NAMES_BYTES, err));
        if (memchr(text, 0, length) != NULL || !st_text_is_utf8(text, length)) {
            return st_fail_file(err, STRATA_FORMAT, path, "is no text in UTF-8");
        }
        return split_names(names, form, text, length, path, err);
    }
    for (size_t c = 0; c < form->classes; c++) {
        char *number = NULL;
        if (form->classes == ST_COUNT_OF(cifar10_classes)) {
            names[c] = cifar10_classes[c];
            continue;
        }
        ST_TRY(st_arena_printf(&number, arena, err, "%zu", c));
        names[c] = number;
    }
    return STRATA_OK;
}

/* ---- the kind ---- */

/* "train.bin" is a name that others use too: it is CIFAR-100's with the names beside it, or where its size fits. */
static bool is_form(const struct form *form, const char *folder) {
    char path[256];
    struct stat about;
    bool is = false;
    for (size_t i = 0; i <= form->train_count; i++) {
        const char *name = i < form->train_count ? form->train[i] : form->test;
        if (st_data_join(path, folder, name, NULL) == STRATA_OK && stat(path, &about) == 0) {
            is = is || form->label_bytes == 1 || is_there(folder, form->names) ||
                 (about.st_size > 0 && (uint64_t)about.st_size % (PICTURE + form->label_bytes) == 0);
        }
    }
    return is;
}

static const struct form *find_form(const char *path) {
    for (size_t i = 0; i < ST_COUNT_OF(forms); i++) {
        if (st_data_is_folder(path) && is_form(&forms[i], path)) {
            return &forms[i];
        }
    }
    return NULL;
}

static bool probe(const char *path) {
    return find_form(path) != NULL;
}

static strata_status open_kind(st_data_found *out, st_arena *arena, const char *path, strata_error *err) {
    const struct form *form = find_form(path);
    ST_FAIL_IF(form == NULL, err, STRATA_MISSING, "%s has just been removed", path);
    out->text = form->text;
    ST_TRY(find_names(out, form, arena, path, err));
    ST_TRY(open_part(&out->parts[STRATA_TRAIN], form, form->train, form->train_count, arena, path, err));
    return open_part(&out->parts[STRATA_TEST], form, &form->test, 1, arena, path, err);
}

const st_data_kind st_data_cifar = {
    .name = "CIFAR",
    .expected = "CIFAR's batches (data_batch_1.bin, ..., test_batch.bin; or train.bin, test.bin)",
    .probe = probe,
    .open = open_kind,
};
