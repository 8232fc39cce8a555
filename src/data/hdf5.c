/* HDF5 as a kind of data set: one file, or the files of a folder whose names say train, val or test. What lies in a
 * file is found by shape and name (hdf5_choose.c), or named: FILE.h5:PICTURES:LABELS. The bytes are read by libhdf5 in
 * a child process (formats/hdf5.h); here come an unnamed temporary file with the pictures, and the labels. */
#include "data/hdf5.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MOST_FILES = 16 };

/* ---- what is one ---- */

static bool has_ending(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot != NULL && (strcasecmp(dot, ".h5") == 0 || strcasecmp(dot, ".hdf5") == 0);
}

static bool has_signature(const char *path) {
    st_file file;
    if (st_file_open(&file, path, NULL) != STRATA_OK) {
        return false;
    }
    bool has = st_hdf5_is_one(&file);
    st_file_close(&file);
    return has;
}

/* Where FILE ends in FILE:PICTURES:LABELS; NULL where nothing is named. */
static const char *find_selection(const char *path) {
    struct stat about;
    if (stat(path, &about) == 0) {
        return NULL;
    }
    for (const char *colon = strchr(path, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        char file[256];
        size_t length = (size_t)(colon - path);
        if (length > 0 && length < sizeof file) {
            memcpy(file, path, length);
            file[length] = '\0';
            if (has_signature(file)) {
                return colon;
            }
        }
    }
    return NULL;
}

size_t st_data_file_length(const char *path) {
    const char *selection = find_selection(path);
    return selection != NULL ? (size_t)(selection - path) : strlen(path);
}

/* ---- the files of a folder ---- */

typedef struct files {
    char names[MOST_FILES][256];
    size_t count;
    size_t found; /* with such an ending, whatever else the name says */
    bool has_folders;
} files;

static int compare_names(const void *a, const void *b) {
    return strcmp(a, b);
}

/* Those whose names say a part; a single one that says none is taken too. */
static bool list_files(files *out, const char *folder) {
    DIR *open = opendir(folder);
    char other[256] = "";
    strata_part part;
    memset(out, 0, sizeof *out);
    for (struct dirent *entry = NULL; open != NULL && (entry = readdir(open)) != NULL;) {
        char path[256];
        if (entry->d_name[0] == '.' || st_data_join(path, folder, entry->d_name, NULL) != STRATA_OK) {
            continue;
        }
        if (!has_ending(entry->d_name)) {
            out->has_folders = out->has_folders || st_data_is_folder(path);
            continue;
        }
        out->found++;
        if (!st_hdf5_part_of(&part, entry->d_name)) {
            memcpy(other, path, sizeof other);
        } else if (out->count < MOST_FILES) {
            memcpy(out->names[out->count++], path, sizeof path);
        }
    }
    if (open != NULL) {
        closedir(open);
    }
    if (out->count == 0 && out->found == 1) {
        memcpy(out->names[out->count++], other, sizeof other);
    }
    qsort(out->names, out->count, sizeof out->names[0], compare_names);
    return out->count > 0 && !out->has_folders;
}

static bool probe(const char *path) {
    files in;
    if (st_data_is_folder(path)) {
        return list_files(&in, path);
    }
    return has_ending(path) || has_signature(path) || find_selection(path) != NULL;
}

/* ---- opening ---- */

static strata_status read_pair(st_part_source *out, st_hdf5 *file, const st_hdf5_pair *pair, st_arena *arena,
                               strata_error *err) {
    st_pictures pictures;
    int32_t *labels = NULL;
    st_hdf5_form form;
    char *path = NULL;
    (void)st_hdf5_is_pictures(&form, &file->sets[pair->pictures]);
    ST_TRY(st_arena_printf(&path, arena, err, "%s", file->path));
    ST_TRY(st_hdf5_labels(&labels, file, pair->labels, form.count, arena, err)); /* small: what is wrong comes soon */
    ST_TRY(st_hdf5_pictures(&pictures, file, pair->pictures, err));
    ST_TRY(st_pictures_source(out, &pictures, arena, err));
    out->labels = labels;
    out->labels_path = path;
    return STRATA_OK;
}

/* One-hot rows say how many classes there are. */
static strata_status number_classes(st_data_found *out, size_t count, st_arena *arena, strata_error *err) {
    const char **names = NULL;
    ST_TRY(st_arena_alloc(&names, arena, count, sizeof *names, err));
    for (size_t i = 0; i < count; i++) {
        char *name = NULL;
        ST_TRY(st_arena_printf(&name, arena, err, "%zu", i));
        names[i] = name;
    }
    out->classes = names;
    out->class_count = count;
    return STRATA_OK;
}

static strata_status check_same(const st_data_found *had, const char *const *names, size_t count, const char *path,
                                strata_error *err) {
    bool is_same = had->class_count == count;
    for (size_t i = 0; is_same && i < count; i++) {
        is_same = strcmp(had->classes[i], names[i]) == 0;
    }
    return is_same ? STRATA_OK
                   : st_fail_file(err, STRATA_FORMAT, path, "its list of classes differs from that of the other file");
}

static int compare_texts(const void *a, const void *b) {
    const char *const *one = a, *const *two = b;
    return strcmp(*one, *two);
}

static strata_status check_different(const char *const *names, size_t count, const char *path, strata_error *err) {
    const char **sorted = NULL;
    st_arena *scratch = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = st_arena_alloc(&sorted, scratch, count, sizeof *sorted, err);
    if (status == STRATA_OK) {
        memcpy(sorted, names, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, compare_texts);
    }
    for (size_t i = 1; status == STRATA_OK && i < count; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0) {
            status = st_fail_file(err, STRATA_FORMAT, path, "two classes are called '%.100s'", sorted[i]);
        }
    }
    st_arena_free(scratch);
    return status;
}

static strata_status read_classes(st_data_found *out, st_hdf5 *file, const st_hdf5_choice *choice, st_arena *arena,
                                  strata_error *err) {
    const char **names = NULL;
    size_t count = 0, one_hot = 0;
    uint32_t axis;
    st_hdf5_form form;
    if (choice->has_classes) {
        ST_TRY(st_hdf5_classes(&names, &count, file, choice->classes, arena, err));
        if (out->classes != NULL) {
            return check_same(out, names, count, file->path, err);
        }
        ST_TRY(check_different(names, count, file->path, err));
        out->classes = names;
        out->class_count = count;
        return STRATA_OK;
    }
    (void)st_hdf5_is_pictures(&form, &file->sets[choice->pairs[0].pictures]);
    (void)st_hdf5_is_labels(&file->sets[choice->pairs[0].labels], form.count, &axis, &one_hot);
    return one_hot > 0 && out->classes == NULL ? number_classes(out, one_hot, arena, err) : STRATA_OK;
}

static strata_status read_file(st_data_found *out, st_hdf5 *file, st_arena *arena, const char *selection,
                               strata_error *err) {
    st_hdf5_choice choice;
    ST_TRY(st_hdf5_choose(&choice, file, selection, err));
    for (size_t i = 0; i < choice.count; i++) {
        st_part_source *part = &out->parts[choice.pairs[i].part];
        if (part->calls != NULL) {
            return st_fail_file(err, STRATA_FORMAT, file->path, "'%s' is the same part as %s",
                                file->sets[choice.pairs[i].pictures].name, part->path);
        }
        ST_TRY(read_pair(part, file, &choice.pairs[i], arena, err));
    }
    return read_classes(out, file, &choice, arena, err);
}

static strata_status open_file(st_data_found *out, st_arena *arena, const char *path, const char *selection,
                               strata_error *err) {
    st_hdf5 file;
    st_file lent;
    if (!has_signature(path)) {
        return st_fail_file(err, STRATA_FORMAT, path, "has no HDF5 signature (89 48 44 46 at byte 0, 512, 1024, ...)");
    }
    ST_TRY(st_file_open(&lent, path, err));
    strata_status status = st_hdf5_open(&file, &lent, ST_HDF5_SERVE(st_hdf5_serve_pictures), err);
    st_file_close(&lent);
    ST_TRY(status);
    status = st_hdf5_list(&file, arena, err);
    status = status != STRATA_OK ? status : read_file(out, &file, arena, selection, err);
    if (status != STRATA_OK) {
        st_error_file(err, path);
    }
    st_hdf5_close(&file);
    return status;
}

static strata_status open_kind(st_data_found *out, st_arena *arena, const char *path, strata_error *err) {
    const char *selection = find_selection(path);
    out->text = "HDF5";
    if (!st_data_is_folder(path)) {
        char file[256];
        size_t length = st_data_file_length(path);
        ST_FAIL_IF(length >= sizeof file, err, STRATA_INVALID, "the path has %zu bytes, at most 255 are served",
                   length);
        memcpy(file, path, length);
        file[length] = '\0';
        return open_file(out, arena, file, selection != NULL ? selection + 1 : NULL, err);
    }
    files *in = NULL;
    ST_TRY(st_arena_alloc(&in, arena, 1, sizeof *in, err));
    (void)list_files(in, path);
    for (size_t i = 0; i < in->count; i++) {
        ST_TRY(open_file(out, arena, in->names[i], NULL, err));
    }
    return STRATA_OK;
}

const st_data_kind st_data_hdf5 = {
    .name = "HDF5",
    .expected = "HDF5 files (train_NAME.h5, test_NAME.h5)",
    .probe = probe,
    .open = open_kind,
};
