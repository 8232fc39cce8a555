/* Folders of pictures: train/CLASS/FILE, val or validation/CLASS/FILE, test/CLASS/FILE; or one folder of classes, which
 * is all for training. Classes go by name: their sorted union, and each part is mapped by name; a name that begins with
 * a dot is passed over. A part goes round the classes (the first picture of each, then the second ...), so that its
 * first N pictures hold all classes. What the files hold is files.c's business. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/data.h"
#include "data/list.h"

static const struct part_name {
    strata_part part;
    const char *names[4];
} part_names[] = {
    {STRATA_TRAIN, {"train", "training"}},
    {STRATA_VAL, {"val", "validation", "valid", "dev"}},
    {STRATA_TEST, {"test", "testing"}},
};

/* ---- lists of names ---- */

typedef struct list {
    const char **names;
    size_t count, capacity;
} list;

static strata_status add_name(list *to, st_arena *arena, const char *name, strata_error *err) {
    char *copy = NULL;
    if (to->count == to->capacity) {
        size_t capacity = to->capacity * 2 + 16;
        const char **names = NULL;
        ST_TRY(st_arena_alloc(&names, arena, capacity, sizeof *names, err));
        if (to->count > 0) {
            memcpy(names, to->names, to->count * sizeof *names);
        }
        to->names = names;
        to->capacity = capacity;
    }
    ST_TRY(st_arena_text(&copy, arena, name, strlen(name), err));
    to->names[to->count++] = copy;
    return STRATA_OK;
}

static int compare_names(const void *a, const void *b) {
    const char *const *one = a, *const *two = b;
    return strcmp(*one, *two);
}

static bool join(char out[PATH_MAX], const char *folder, const char *name) {
    int length = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX;
}

static void sort_names(list *of) {
    if (of->count > 1) {
        qsort(of->names, of->count, sizeof *of->names, compare_names);
    }
}

/* Whether a link leads to the folder that it is in, or to one around that: followed, it would go on for ever. */
static bool leads_back(const char *link, const char *folder) {
    char to[PATH_MAX], from[PATH_MAX];
    if (realpath(link, to) == NULL || realpath(folder, from) == NULL) {
        return false;
    }
    size_t length = strcmp(to, "/") == 0 ? 0 : strlen(to);
    return strncmp(to, from, length) == 0 && (from[length] == '/' || from[length] == '\0');
}

/* What lies in a folder, folders and files, each sorted by bytes. Links are followed, but back; names with a dot in
 * front are not looked at, nor what macOS adds to archives. */
static strata_status list_folder(list *folders, list *files, st_arena *arena, const char *folder, strata_error *err) {
    DIR *open = opendir(folder);
    *folders = *files = (list){0};
    if (open == NULL) {
        return st_fail_file(err, STRATA_IO, folder, "cannot be listed: %s", strerror(errno));
    }
    strata_status status = STRATA_OK;
    for (struct dirent *entry = readdir(open); entry != NULL && status == STRATA_OK; entry = readdir(open)) {
        char path[PATH_MAX];
        struct stat about;
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "__MACOSX") == 0 || !join(path, folder, entry->d_name)) {
            continue;
        }
        bool is_folder = entry->d_type == DT_DIR;
        if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
            is_folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
        }
        if (is_folder && entry->d_type != DT_DIR && leads_back(path, folder)) {
            continue;
        }
        status = add_name(is_folder ? folders : files, arena, entry->d_name, err);
    }
    closedir(open);
    sort_names(folders);
    sort_names(files);
    return status;
}

static bool has_folders(const char *folder) {
    DIR *open = opendir(folder);
    bool has = open == NULL && errno == EACCES && st_data_is_folder(folder); /* said when it is listed */
    for (struct dirent *entry = NULL; open != NULL && !has && (entry = readdir(open)) != NULL;) {
        char path[PATH_MAX];
        has = entry->d_name[0] != '.' && join(path, folder, entry->d_name) && st_data_is_folder(path);
    }
    if (open != NULL) {
        closedir(open);
    }
    return has;
}

/* ---- where the parts are ---- */

/* The part that a folder of the data's is: one that holds folders, since a class may be called "train" too. */
static bool find_part(strata_part *out, const char *folder, const char *name) {
    char path[PATH_MAX];
    for (size_t p = 0; p < ST_COUNT_OF(part_names); p++) {
        for (size_t i = 0; i < ST_COUNT_OF(part_names[p].names); i++) {
            if (part_names[p].names[i] != NULL && strcasecmp(part_names[p].names[i], name) == 0) {
                *out = part_names[p].part;
                return join(path, folder, name) && has_folders(path);
            }
        }
    }
    return false;
}

static bool probe(const char *path) {
    return has_folders(path);
}

/* What opening works with. */
typedef struct opening {
    st_arena *arena, *scratch;
    const char *folder;
    list classes; /* the sorted union */
    st_listing parts[STRATA_PART_COUNT];
    list others; /* folders beside those of the parts, */
    list inner;  /* inside of those of classes, */
    list loose;  /* and pictures beside these: paths below the data's folder, and none is looked into */
} opening;

/* ---- listing ---- */

/* Files of one class of a part, in `files`, become items. */
static strata_status add_items(opening *with, st_listing *to, const list *files, const char *below, int32_t label,
                               strata_error *err) {
    for (size_t i = 0; i < files->count; i++) {
        char *name = NULL;
        ST_TRY(st_arena_printf(&name, with->arena, err, "%s/%s", below, files->names[i]));
        to->items[to->count++] = (st_listed){.name = name, .label = label};
    }
    return STRATA_OK;
}

/* The rank of a file within its class decides first, then the class. */
typedef struct place {
    uint32_t rank;
    st_listed item;
} place;

static int compare_places(const void *a, const void *b) {
    const place *one = a, *two = b;
    if (one->rank != two->rank) {
        return one->rank < two->rank ? -1 : 1;
    }
    return one->item.label < two->item.label ? -1 : one->item.label > two->item.label;
}

/* Items are sorted by class: now they go round the classes. */
static strata_status go_round(opening *with, st_listing *of, strata_error *err) {
    place *places = NULL;
    ST_TRY(st_arena_alloc(&places, with->scratch, of->count, sizeof *places, err));
    for (size_t i = 0; i < of->count; i++) {
        bool follows = i > 0 && of->items[i].label == of->items[i - 1].label;
        places[i] = (place){.rank = follows ? places[i - 1].rank + 1 : 0, .item = of->items[i]};
    }
    if (of->count > 1) {
        qsort(places, of->count, sizeof *places, compare_places);
    }
    for (size_t i = 0; i < of->count; i++) {
        of->items[i] = places[i].item;
    }
    return STRATA_OK;
}

static strata_status find_label(int32_t *out, const opening *with, const char *name, strata_error *err) {
    const char *const *found =
        bsearch(&name, with->classes.names, with->classes.count, sizeof *with->classes.names, compare_names);
    ST_FAIL_IF(found == NULL, err, STRATA_IO, "%s changed while it was looked through", with->folder);
    *out = (int32_t)(found - with->classes.names);
    return STRATA_OK;
}

/* What was found in a folder and is not looked at. */
static strata_status add_unseen(list *to, opening *with, const char *folder, const char *name, strata_error *err) {
    char path[PATH_MAX];
    return join(path, folder, name) ? add_name(to, with->scratch, path + strlen(with->folder) + 1, err) : STRATA_OK;
}

/* `below`: the part's folder below the data's, "" for that itself. */
static strata_status list_part(opening *with, strata_part part, const char *below, const list *classes,
                               strata_error *err) {
    st_listing *of = &with->parts[part];
    list *files = NULL, inner;
    size_t all = 0;
    ST_TRY(st_arena_alloc(&files, with->scratch, classes->count, sizeof *files, err));
    for (size_t c = 0; c < classes->count; c++) {
        char path[PATH_MAX];
        int length = snprintf(path, sizeof path, "%s/%s%s%s", with->folder, below, below[0] != '\0' ? "/" : "",
                              classes->names[c]);
        ST_FAIL_IF(length < 0 || length >= PATH_MAX, err, STRATA_INVALID, "a path below %s is too long", with->folder);
        ST_TRY(list_folder(&inner, &files[c], with->scratch, path, err));
        for (size_t i = 0; i < inner.count; i++) {
            ST_TRY(add_unseen(&with->inner, with, path, inner.names[i], err));
        }
        all += files[c].count;
    }
    ST_FAIL_IF(all > UINT32_MAX, err, STRATA_UNSUPPORTED, "%s holds %zu files, too many", with->folder, all);
    ST_TRY(st_arena_alloc(&of->items, with->arena, all, sizeof *of->items, err));
    for (size_t c = 0; c < classes->count; c++) {
        char *class_below = NULL;
        int32_t label = 0;
        ST_TRY(st_arena_printf(&class_below, with->scratch, err, "%s%s%s", below, below[0] != '\0' ? "/" : "",
                               classes->names[c]));
        ST_TRY(find_label(&label, with, classes->names[c], err));
        ST_TRY(add_items(with, of, &files[c], class_below, label, err));
    }
    return go_round(with, of, err);
}

/* The union of the parts' classes, sorted. */
static strata_status unite(opening *with, const list parts[STRATA_PART_COUNT], strata_error *err) {
    list all = {0};
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        for (size_t i = 0; i < parts[p].count; i++) {
            ST_TRY(add_name(&all, with->arena, parts[p].names[i], err));
        }
    }
    qsort(all.names, all.count, sizeof *all.names, compare_names);
    size_t kept = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (kept == 0 || strcmp(all.names[kept - 1], all.names[i]) != 0) {
            all.names[kept++] = all.names[i];
        }
    }
    all.count = kept;
    with->classes = all;
    ST_FAIL_IF(kept > ST_DATA_MOST_CLASSES, err, STRATA_UNSUPPORTED, "%s has %zu classes, at most %d are served",
               with->folder, kept, ST_DATA_MOST_CLASSES);
    return STRATA_OK;
}

/* Which folder is which part. Without any, all of them are classes of train. */
static strata_status find_parts(const char *below[STRATA_PART_COUNT], opening *with, strata_error *err) {
    list folders, files;
    bool has_parts = false;
    ST_TRY(list_folder(&folders, &files, with->scratch, with->folder, err));
    for (size_t i = 0; i < folders.count; i++) {
        strata_part part;
        if (!find_part(&part, with->folder, folders.names[i])) {
            ST_TRY(add_name(&with->others, with->scratch, folders.names[i], err));
            continue;
        }
        if (below[part] != NULL) {
            return st_fail_file(err, STRATA_INVALID, with->folder,
                                "'%s' and '%s' are the same part: expected one of them", below[part], folders.names[i]);
        }
        below[part] = folders.names[i];
        has_parts = true;
    }
    if (!has_parts) {
        below[STRATA_TRAIN] = "";
        with->others.count = 0;
    }
    return STRATA_OK;
}

static strata_status list_all(opening *with, strata_error *err) {
    const char *below[STRATA_PART_COUNT] = {NULL};
    list classes[STRATA_PART_COUNT] = {{0}}, files;
    ST_TRY(find_parts(below, with, err));
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        char path[PATH_MAX];
        if (below[p] != NULL) {
            bool is_whole = below[p][0] == '\0';
            ST_FAIL_IF(!join(path, with->folder, below[p]), err, STRATA_INVALID, "the path of %s is too long",
                       with->folder);
            const char *folder = is_whole ? with->folder : path;
            ST_TRY(list_folder(&classes[p], &files, with->scratch, folder, err));
            for (size_t i = 0; i < files.count; i++) {
                if (st_data_is_called_picture(files.names[i])) {
                    ST_TRY(add_unseen(&with->loose, with, folder, files.names[i], err));
                }
            }
        }
    }
    ST_TRY(unite(with, classes, err));
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        if (below[p] != NULL) {
            ST_TRY(list_part(with, (strata_part)p, below[p], &classes[p], err));
        }
    }
    return STRATA_OK;
}

/* ---- what is not looked at ---- */

static strata_status note(st_data_found *out, opening *with, const list *unseen, const char *one, const char *more,
                          strata_error *err) {
    char name[120], *text = NULL;
    if (unseen->count == 0) {
        return STRATA_OK;
    }
    st_text_printable(name, sizeof name, unseen->names[0], strlen(unseen->names[0]));
    ST_TRY(st_arena_printf(&text, with->arena, err, "%zu %s left out%s %s", unseen->count,
                           unseen->count == 1 ? one : more, unseen->count == 1 ? ":" : ", such as", name));
    out->notes[out->note_count++] = text;
    return STRATA_OK;
}

static strata_status take_notes(st_data_found *out, opening *with, strata_error *err) {
    const char *beside = NULL;
    char *text = NULL;
    ST_TRY(st_list_beside(&beside, with->scratch, with->folder, err));
    if (beside != NULL) {
        ST_TRY(st_arena_printf(&text, with->arena, err,
                               "the classes are those of the folders; the list is left out: %s", beside));
        out->notes[out->note_count++] = text;
    }
    ST_TRY(note(out, with, &with->others, "folder beside the parts is", "folders beside the parts are", err));
    ST_TRY(note(out, with, &with->inner, "folder inside of a class is", "folders inside of classes are", err));
    return note(out, with, &with->loose, "picture outside of all classes is", "pictures outside of all classes are",
                err);
}

/* ---- the kind ---- */

static strata_status open_all(st_data_found *out, opening *with, strata_error *err) {
    size_t found = 0;
    ST_TRY(list_all(with, err));
    ST_TRY(take_notes(out, with, err));
    ST_TRY(st_files_open(out, with->arena, with->folder, with->parts, err));
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        found += out->parts[p].count;
    }
    if (found == 0) {
        return st_fail_file(err, STRATA_MISSING, with->folder, "its %zu class folders hold no pictures",
                            with->classes.count);
    }
    for (size_t c = 0; c < with->classes.count; c++) {
        ST_TRY(st_name_printable(&with->classes.names[c], with->arena, with->classes.names[c], err));
    }
    out->classes = with->classes.names;
    out->class_count = with->classes.count;
    out->text = "folders of pictures";
    return STRATA_OK;
}

static strata_status open_kind(st_data_found *out, st_arena *arena, const char *path, strata_error *err) {
    char *folder = NULL;
    ST_TRY(st_arena_text(&folder, arena, path, strlen(path), err));
    opening with = {.arena = arena, .folder = folder};
    ST_TRY(st_arena_create(&with.scratch, err));
    strata_status status = open_all(out, &with, err);
    st_arena_free(with.scratch);
    return status;
}

const st_data_kind st_data_folder = {
    .name = "folder",
    .expected = "a folder of pictures for each class, or such folders in train, val and test",
    .probe = probe,
    .open = open_kind,
};
