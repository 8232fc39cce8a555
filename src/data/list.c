/* Lists of pictures: a CSV or TSV file that names files and their classes, beside the pictures. One list with a column
 * for the part, or one for each part (train.csv, val.csv, test.csv), or one alone, which is all for training.
 *
 * The first line names the columns; without such a line the first column is the file, and with two the second is the
 * class. A column of whole numbers is the classes' indices, and a column of words beside it their names; else classes
 * go by name, in the order of bytes. Paths are below the list's folder and never leave it. Pictures keep the list's
 * order. */
#include "data/list.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_BYTES = 1 << 28, MOST_LISTS = 4 };

/* ---- rows ---- */

/* Of an integer; what is below 0 or has more than six digits is -1. */
static int32_t number_of(const char *text) {
    return text[0] != '-' && strlen(text) <= 6 ? (int32_t)strtol(text, NULL, 10) : -1;
}

typedef struct row {
    const st_picture_list *of;
    size_t number;    /* in its table */
    const char *file; /* below the folder, without "./" */
    const char *name; /* of its class, or NULL */
    int32_t label;    /* its index, or by the order of names */
    strata_part part;
} row;

typedef struct rows {
    row *items;
    size_t count;
} rows;

/* Below the folder, by its text: what links do is the user's business, as in folders. */
static strata_status check_path(const char **out, const st_picture_list *of, size_t number, strata_error *err) {
    const char *path = st_list_field(of, number, of->file);
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
    }
    if (path[0] == '\0') {
        return st_table_fail(&of->table, number, err, "no file is named");
    }
    if (path[0] == '/') {
        return st_table_fail(&of->table, number, err,
                             "'%.200s' is an absolute path, expected one below the list's folder", path);
    }
    for (const char *at = path; at != NULL; at = strchr(at, '/'), at = at != NULL ? at + 1 : NULL) {
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0')) {
            return st_table_fail(&of->table, number, err, "'%.200s' leaves the list's folder", path);
        }
    }
    *out = path;
    return STRATA_OK;
}

static strata_status take_row(row *out, const st_picture_list *of, size_t number, strata_error *err) {
    *out = (row){.of = of, .number = number, .part = of->all, .label = ST_LIST_NONE};
    ST_TRY(check_path(&out->file, of, number, err));
    if (of->part != ST_LIST_NONE && !st_list_part(&out->part, st_list_field(of, number, of->part))) {
        return st_table_fail(&of->table, number, err, "the part is '%.100s', expected train, val or test",
                             st_list_field(of, number, of->part));
    }
    if (of->index != ST_LIST_NONE) {
        out->label = number_of(st_list_field(of, number, of->index));
        if (out->label < 0 || out->label >= ST_DATA_MOST_CLASSES) {
            return st_table_fail(&of->table, number, err, "class %.40s is out of range, expected 0 to %d",
                                 st_list_field(of, number, of->index), ST_DATA_MOST_CLASSES - 1);
        }
    }
    if (of->name != ST_LIST_NONE) {
        out->name = st_list_field(of, number, of->name);
        if (out->name[0] == '\0') {
            return st_table_fail(&of->table, number, err, "the class has no name");
        }
    }
    return STRATA_OK;
}

static strata_status take_rows(rows *out, const st_picture_list *lists, size_t count, st_arena *arena,
                               strata_error *err) {
    size_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all += lists[i].table.rows - lists[i].first;
    }
    ST_TRY(st_arena_alloc(&out->items, arena, all, sizeof *out->items, err));
    for (size_t i = 0; i < count; i++) {
        const st_picture_list *of = &lists[i];
        for (size_t r = of->first; r < of->table.rows; r++) {
            ST_TRY(take_row(&out->items[out->count++], of, r, err));
        }
        if ((of->index == ST_LIST_NONE) != (lists[0].index == ST_LIST_NONE) ||
            (of->name == ST_LIST_NONE) != (lists[0].name == ST_LIST_NONE)) {
            return st_fail_file(err, STRATA_FORMAT, of->table.path, "gives classes in another way than %s",
                                lists[0].table.path);
        }
    }
    return STRATA_OK;
}

/* ---- each file once ---- */

static int compare_files(const void *a, const void *b) {
    const row *const *one = a, *const *two = b;
    int order = strcmp((*one)->file, (*two)->file);
    return order != 0 ? order : *one < *two ? -1 : *one > *two;
}

static int compare_names(const void *a, const void *b) {
    const row *const *one = a, *const *two = b;
    int order = strcmp((*one)->name, (*two)->name);
    return order != 0 ? order : *one < *two ? -1 : *one > *two;
}

static strata_status sort_rows(const row ***out, const rows *all, st_arena *scratch,
                               int (*compare)(const void *, const void *), strata_error *err) {
    ST_TRY(st_arena_alloc(out, scratch, all->count, sizeof **out, err));
    for (size_t i = 0; i < all->count; i++) {
        (*out)[i] = &all->items[i];
    }
    qsort(*out, all->count, sizeof **out, compare);
    return STRATA_OK;
}

static strata_status check_files(const rows *all, st_arena *scratch, strata_error *err) {
    const row **sorted = NULL;
    ST_TRY(sort_rows(&sorted, all, scratch, compare_files, err));
    for (size_t i = 1; i < all->count; i++) {
        if (strcmp(sorted[i - 1]->file, sorted[i]->file) == 0) {
            const row *first = sorted[i - 1], *again = sorted[i];
            bool is_other = first->of != again->of;
            return st_table_fail(&again->of->table, again->number, err, "'%.100s' stands in %s%sline %u already",
                                 again->file, is_other ? first->of->table.path : "", is_other ? ", " : "",
                                 first->of->table.lines[first->number]);
        }
    }
    return STRATA_OK;
}

/* ---- classes ---- */

/* By name: the sorted union. */
static strata_status sort_classes(st_data_found *out, rows *all, st_arena *arena, st_arena *scratch,
                                  strata_error *err) {
    const row **sorted = NULL;
    const char **names = NULL;
    size_t count = 0;
    ST_TRY(sort_rows(&sorted, all, scratch, compare_names, err));
    ST_TRY(st_arena_alloc(&names, arena, all->count, sizeof *names, err));
    for (size_t i = 0; i < all->count; i++) {
        row *of = &all->items[sorted[i] - all->items];
        if (i == 0 || strcmp(sorted[i - 1]->name, of->name) != 0) {
            ST_TRY(st_name_printable(&names[count++], arena, of->name, err));
        }
        of->label = (int32_t)(count - 1);
        if (count > ST_DATA_MOST_CLASSES) {
            return st_table_fail(&of->of->table, of->number, err, "more than %d classes", ST_DATA_MOST_CLASSES);
        }
    }
    out->classes = names;
    out->class_count = count;
    return STRATA_OK;
}

/* By index, with names beside it: one for each; an index that no row has is called by its number. */
static strata_status name_indices(st_data_found *out, const rows *all, st_arena *arena, st_arena *scratch,
                                  strata_error *err) {
    const row **first = NULL;
    const char **names = NULL;
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        count = (size_t)all->items[i].label >= count ? (size_t)all->items[i].label + 1 : count;
    }
    ST_TRY(st_arena_alloc(&first, scratch, count, sizeof *first, err));
    ST_TRY(st_arena_alloc(&names, arena, count, sizeof *names, err));
    for (size_t i = 0; i < all->count; i++) {
        const row *of = &all->items[i], **before = &first[of->label];
        if (*before != NULL && strcmp((*before)->name, of->name) != 0) {
            return st_table_fail(&of->of->table, of->number, err, "class %d is called '%.80s', '%.80s' in line %u",
                                 of->label, of->name, (*before)->name, (*before)->of->table.lines[(*before)->number]);
        }
        *before = *before == NULL ? of : *before;
    }
    for (size_t c = 0; c < count; c++) {
        char *number = NULL;
        if (first[c] == NULL) {
            ST_TRY(st_arena_printf(&number, arena, err, "%zu", c));
            names[c] = number;
        } else {
            ST_TRY(st_name_printable(&names[c], arena, first[c]->name, err));
        }
    }
    out->classes = names;
    out->class_count = count;
    out->is_numbered = true;
    return STRATA_OK;
}

/* ---- lists in a folder ---- */

static const char *const endings[] = {".csv", ".tsv"};

static bool has_ending(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot != NULL && st_list_word(dot, endings, ST_COUNT_OF(endings));
}

static bool is_file(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/* The list of that name with either ending. */
static bool find_list(char out[256], const char *folder, const char *stem) {
    for (size_t i = 0; i < ST_COUNT_OF(endings); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s%s", stem, endings[i]);
        if (st_data_join(out, folder, name, NULL) == STRATA_OK && is_file(out)) {
            return true;
        }
    }
    return false;
}

typedef struct place {
    char path[256];
    strata_part part;
} place;

/* One for each part, or one for all. */
static size_t find_lists(place out[MOST_LISTS], const char *folder) {
    static const struct {
        const char *stem;
        strata_part part;
    } parts[] = {{"train", STRATA_TRAIN}, {"val", STRATA_VAL}, {"validation", STRATA_VAL}, {"test", STRATA_TEST}};
    static const char *const all[] = {"labels", "list", "index", "annotations", "metadata"};
    size_t count = 0;
    for (size_t i = 0; i < ST_COUNT_OF(parts); i++) {
        if (find_list(out[count].path, folder, parts[i].stem)) {
            out[count++].part = parts[i].part;
        }
    }
    for (size_t i = 0; i < ST_COUNT_OF(all) && count == 0; i++) {
        if (find_list(out[count].path, folder, all[i])) {
            out[count++].part = STRATA_TRAIN;
        }
    }
    return count;
}

static size_t find_all(place out[MOST_LISTS], char folder[256], const char *path) {
    if (st_data_is_folder(path)) {
        (void)snprintf(folder, 256, "%s", path);
        return find_lists(out, path);
    }
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    char stem[32];
    (void)snprintf(folder, 256, "%.*s",
                   slash == NULL   ? 1
                   : slash == path ? 1
                                   : (int)(slash - path),
                   slash == NULL ? "." : path);
    (void)snprintf(out[0].path, sizeof out[0].path, "%s", path);
    (void)snprintf(stem, sizeof stem, "%.*s", (int)(strcspn(name, ".") < 31 ? strcspn(name, ".") : 31), name);
    if (!st_list_part(&out[0].part, stem)) {
        out[0].part = STRATA_TRAIN;
    }
    return 1;
}

/* ---- the kind ---- */

static strata_status open_list(st_picture_list *out, st_arena *arena, const place *at, strata_error *err) {
    char *bytes = NULL, *path = NULL;
    size_t length = 0;
    out->all = at->part;
    ST_TRY(st_arena_printf(&path, arena, err, "%s", at->path));
    ST_TRY(st_file_read(&bytes, &length, arena, path, MOST_BYTES, err));
    ST_TRY(st_table_parse(&out->table, arena, path, bytes, length, err));
    return st_list_columns(out, err);
}

static strata_status give_parts(st_data_found *out, const rows *all, const char *folder, st_arena *arena,
                                strata_error *err) {
    st_listing parts[STRATA_PART_COUNT] = {{0}};
    char *own = NULL;
    size_t found = 0;
    ST_TRY(st_arena_text(&own, arena, folder, strlen(folder), err));
    for (size_t i = 0; i < all->count; i++) {
        parts[all->items[i].part].count++;
    }
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        if (parts[p].count > 0) {
            ST_TRY(st_arena_alloc(&parts[p].items, arena, parts[p].count, sizeof *parts[p].items, err));
        }
        parts[p].count = 0;
    }
    for (size_t i = 0; i < all->count; i++) {
        const row *of = &all->items[i];
        parts[of->part].items[parts[of->part].count++] = (st_listed){.name = of->file, .label = of->label};
    }
    ST_TRY(st_files_open(out, arena, own, parts, err));
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        found += out->parts[p].count;
        out->parts[p].labels_path = all->items[0].of->table.path;
    }
    if (found == 0) {
        return st_fail_file(err, STRATA_MISSING, all->items[0].of->table.path, "none of its %zu files is a picture",
                            all->count);
    }
    return STRATA_OK;
}

static strata_status open_all(st_data_found *out, st_arena *arena, st_arena *scratch, const char *path,
                              strata_error *err) {
    place places[MOST_LISTS];
    char folder[256];
    st_picture_list *lists = NULL;
    rows all = {0};
    size_t count = find_all(places, folder, path);
    ST_TRY(st_arena_alloc(&lists, arena, MOST_LISTS, sizeof *lists, err));
    for (size_t i = 0; i < count; i++) {
        ST_TRY(open_list(&lists[i], arena, &places[i], err));
    }
    ST_TRY(take_rows(&all, lists, count, scratch, err));
    ST_TRY(check_files(&all, scratch, err));
    if (lists[0].index == ST_LIST_NONE) {
        ST_TRY(sort_classes(out, &all, arena, scratch, err));
    } else if (lists[0].name != ST_LIST_NONE) {
        ST_TRY(name_indices(out, &all, arena, scratch, err));
    }
    out->text = lists[0].table.separator == '\t' ? "TSV list of pictures" : "CSV list of pictures";
    return give_parts(out, &all, folder, arena, err);
}

static strata_status open_kind(st_data_found *out, st_arena *arena, const char *path, strata_error *err) {
    st_arena *scratch = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = open_all(out, arena, scratch, path, err);
    st_arena_free(scratch);
    return status;
}

/* ---- probing ---- */

static bool has_folders(const char *folder) {
    DIR *open = opendir(folder);
    bool has = false;
    for (struct dirent *entry = NULL; open != NULL && !has && (entry = readdir(open)) != NULL;) {
        char path[256];
        has = entry->d_name[0] != '.' && st_data_join(path, folder, entry->d_name, NULL) == STRATA_OK &&
              st_data_is_folder(path);
    }
    if (open != NULL) {
        closedir(open);
    }
    return has;
}

/* Whether a list beside folders is about pictures: it has the columns, and its first file is there. */
static strata_status check_about_files(const place *at, const char *folder, st_arena *arena, strata_error *err) {
    char path[256];
    const char *file = NULL;
    st_picture_list of = {0};
    ST_TRY(open_list(&of, arena, at, err));
    ST_TRY(check_path(&file, &of, of.first, err));
    ST_TRY(st_data_join(path, folder, file, err));
    if (!is_file(path)) {
        return st_table_fail(&of.table, of.first, err, "there is no file '%.120s'", file);
    }
    return STRATA_OK;
}

strata_status st_list_beside(const char **out, st_arena *arena, const char *folder, strata_error *err) {
    place places[MOST_LISTS];
    strata_error why = {0};
    char *text = NULL;
    *out = NULL;
    if (find_lists(places, folder) > 0 && check_about_files(&places[0], folder, arena, &why) != STRATA_OK) {
        const char *name = strrchr(places[0].path, '/');
        ST_TRY(why.line > 0 ? st_arena_printf(&text, arena, err, "%s:%d: %s", name + 1, why.line, why.message)
                            : st_arena_printf(&text, arena, err, "%s: %s", name + 1, why.message));
        *out = text;
    }
    return STRATA_OK;
}

static bool probe(const char *path) {
    place places[MOST_LISTS];
    st_arena *arena = NULL;
    if (!st_data_is_folder(path)) {
        return has_ending(path) && is_file(path);
    }
    if (find_lists(places, path) == 0) {
        return false;
    }
    if (!has_folders(path)) {
        return true;
    }
    bool is =
        st_arena_create(&arena, NULL) == STRATA_OK && check_about_files(&places[0], path, arena, NULL) == STRATA_OK;
    st_arena_free(arena);
    return is;
}

const st_data_kind st_data_list = {
    .name = "list",
    .expected = "a list of pictures (labels.csv, train.csv or .tsv, with the columns file and class)",
    .probe = probe,
    .open = open_kind,
};
