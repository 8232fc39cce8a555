/* Folders of pictures: train/CLASS/FILE, val or validation/CLASS/FILE, test/CLASS/FILE; or one folder of classes, which
 * is all for training. Classes go by name: their sorted union, and each part is mapped by name. What a file is is seen
 * from its content; a file without a picture's ending that holds none (a README) is passed over, as is every name that
 * begins with a dot.
 *
 * Every picture is decoded once, when the folder is opened, into a spill; what cannot be read is named, counted and
 * left out, and more than a tenth of it refuses. A part goes round the classes (the first picture of each, then the
 * second ...), so that its first N pictures hold all classes. All pictures have one size for now: resizing will stand
 * in decode_one, before a picture goes into the spill. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/data.h"

enum { MOST_FILE_BYTES = 1 << 30, BROKEN_SHARE = 10 };

static const struct part_name {
    strata_part part;
    const char *names[2];
} part_names[] = {
    {STRATA_TRAIN, {"train", NULL}},
    {STRATA_VAL, {"val", "validation"}},
    {STRATA_TEST, {"test", NULL}},
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

/* Names for people and for JSON: bytes that are no UTF-8 become \xNN. */
static strata_status make_utf8(const char **out, st_arena *arena, const char *name, strata_error *err) {
    st_text text = {0};
    char *own = NULL;
    *out = name;
    if (st_text_is_utf8(name, strlen(name))) {
        return STRATA_OK;
    }
    for (const char *at = name; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        st_text_add(&text, byte < 0x80 ? "%c" : "\\x%02X", byte);
    }
    strata_status status = text.failed ? st_fail(err, STRATA_MEMORY, "no memory for a name")
                                       : st_arena_text(&own, arena, text.bytes, text.length, err);
    st_text_free(&text);
    *out = own;
    return status;
}

/* What lies in a folder, sorted by bytes: folders or files. Links are followed; names with a dot in front are not
 * looked at, nor what macOS adds to archives. */
static strata_status list_folder(list *out, st_arena *arena, const char *folder, bool folders, strata_error *err) {
    DIR *open = opendir(folder);
    *out = (list){0};
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
        if (is_folder == folders) {
            status = add_name(out, arena, entry->d_name, err);
        }
    }
    closedir(open);
    if (status == STRATA_OK && out->count > 1) {
        qsort(out->names, out->count, sizeof *out->names, compare_names);
    }
    return status;
}

static bool has_folders(const char *folder) {
    DIR *open = opendir(folder);
    bool has = false;
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

/* The folder of a part below the data's: one that holds folders, since a class may be called "train" too. */
static const char *find_part(const char *folder, const struct part_name *part) {
    char path[PATH_MAX];
    for (size_t i = 0; i < ST_COUNT_OF(part->names); i++) {
        if (part->names[i] != NULL && join(path, folder, part->names[i]) && has_folders(path)) {
            return part->names[i];
        }
    }
    return NULL;
}

static bool probe(const char *path) {
    return has_folders(path);
}

/* ---- the pictures of a part ---- */

typedef struct item {
    const char *name; /* below the data's folder */
    uint64_t offset;  /* in the spill */
    int32_t label;
    uint32_t channels;
} item;

typedef struct pictures {
    st_spill spill;
    item *items;
    size_t count;
} pictures;

/* What opening works with. */
typedef struct opening {
    st_arena *arena, *scratch;
    const char *folder;
    list classes; /* the sorted union */
    pictures *parts[STRATA_PART_COUNT];
    strata_picture picture; /* room for one */
    unsigned char *file;    /* the same for its file */
    size_t file_capacity;
    size_t listed; /* files with pictures, broken or not */
    int64_t channels;
    const item *first; /* gives the size of all */
    strata_shape first_shape;
    st_broken *broken;
    size_t broken_count, broken_capacity;
} opening;

static const char *const endings[] = {".jpg", ".jpeg", ".png", ".ppm",  ".pgm",  ".pnm", ".webp",
                                      ".gif", ".bmp",  ".tif", ".tiff", ".avif", ".heic"};

static bool has_ending(const char *name) {
    const char *dot = strrchr(name, '.');
    bool has = false;
    for (size_t i = 0; dot != NULL && i < ST_COUNT_OF(endings); i++) {
        has = has || strcasecmp(dot, endings[i]) == 0;
    }
    return has;
}

/* ---- reading ---- */

/* Grey is spread over the channels of a data set that has colour. */
static void widen(uint8_t *pixels, size_t count, size_t channels) {
    for (size_t i = count; i > 0; i--) {
        memset(pixels + (i - 1) * channels, pixels[i - 1], channels);
    }
}

static strata_status read_pictures(const st_part_source *source, size_t index, size_t count, uint8_t *pixels,
                                   strata_error *err) {
    const pictures *from = source->state;
    size_t area = (size_t)(source->shape.height * source->shape.width), channels = (size_t)source->shape.channels;
    for (size_t i = 0; i < count; i++) {
        const item *one = &from->items[index + i];
        ST_TRY(st_spill_at(&from->spill, pixels, area * one->channels, one->offset, err));
        if (one->channels < channels) {
            widen(pixels, area, channels);
        }
        pixels += source->picture_bytes;
    }
    return STRATA_OK;
}

static void name_picture(const st_part_source *source, size_t index, char out[ST_DATA_NAME_BYTES]) {
    const pictures *from = source->state;
    (void)snprintf(out, ST_DATA_NAME_BYTES, "%s", from->items[index].name);
}

static void close_pictures(st_part_source *source) {
    pictures *from = source->state;
    st_spill_free(&from->spill);
}

/* ---- listing ---- */

/* Files of one class of a part, in `files`, become items. */
static strata_status add_items(opening *with, pictures *to, item *items, const list *files, const char *below,
                               int32_t label, strata_error *err) {
    for (size_t i = 0; i < files->count; i++) {
        char *name = NULL;
        ST_TRY(st_arena_printf(&name, with->arena, err, "%s/%s", below, files->names[i]));
        items[to->count++] = (item){.name = name, .label = label};
    }
    return STRATA_OK;
}

/* The rank of a file within its class decides first, then the class. */
typedef struct place {
    uint32_t rank;
    item item;
} place;

static int compare_places(const void *a, const void *b) {
    const place *one = a, *two = b;
    if (one->rank != two->rank) {
        return one->rank < two->rank ? -1 : 1;
    }
    return one->item.label < two->item.label ? -1 : one->item.label > two->item.label;
}

/* Items are sorted by class: now they go round the classes. */
static strata_status go_round(opening *with, pictures *of, strata_error *err) {
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

/* `below`: the part's folder below the data's, "" for that itself. */
static strata_status list_part(opening *with, strata_part part, const char *below, const list *classes,
                               strata_error *err) {
    pictures *of = NULL;
    list *files = NULL;
    size_t all = 0;
    ST_TRY(st_arena_alloc(&of, with->arena, 1, sizeof *of, err));
    ST_TRY(st_arena_alloc(&files, with->scratch, classes->count, sizeof *files, err));
    of->spill.descriptor = -1;
    with->parts[part] = of;
    for (size_t c = 0; c < classes->count; c++) {
        char path[PATH_MAX];
        int length = snprintf(path, sizeof path, "%s/%s%s%s", with->folder, below, below[0] != '\0' ? "/" : "",
                              classes->names[c]);
        ST_FAIL_IF(length < 0 || length >= PATH_MAX, err, STRATA_INVALID, "a path below %s is too long", with->folder);
        ST_TRY(list_folder(&files[c], with->scratch, path, false, err));
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
        ST_TRY(add_items(with, of, of->items, &files[c], class_below, label, err));
    }
    with->listed += of->count;
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

static strata_status list_all(opening *with, strata_error *err) {
    const char *below[STRATA_PART_COUNT] = {NULL};
    list classes[STRATA_PART_COUNT] = {{0}};
    bool has_parts = false;
    for (size_t i = 0; i < ST_COUNT_OF(part_names); i++) {
        below[part_names[i].part] = find_part(with->folder, &part_names[i]);
        has_parts = has_parts || below[part_names[i].part] != NULL;
    }
    below[STRATA_TRAIN] = has_parts ? below[STRATA_TRAIN] : "";
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        char path[PATH_MAX];
        if (below[p] != NULL) {
            ST_FAIL_IF(!join(path, with->folder, below[p]), err, STRATA_INVALID, "the path of %s is too long",
                       with->folder);
            ST_TRY(list_folder(&classes[p], with->scratch, path, true, err));
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

/* ---- decoding ---- */

static strata_status fail_file(const char *path, const char *what, strata_error *err) {
    ST_FAIL_IF(errno == ENOMEM || errno == EMFILE || errno == ENFILE, err, STRATA_MEMORY, "%s cannot be %s: %s", path,
               what, strerror(errno));
    return st_fail(err, STRATA_IO, "cannot be %s: %s", what, strerror(errno));
}

static strata_status need_room(opening *with, size_t bytes, strata_error *err) {
    if (bytes > with->file_capacity) {
        size_t capacity = bytes + bytes / 2;
        if (with->file != NULL) {
            st_sys.release(with->file, with->file_capacity);
        }
        with->file = st_sys.allocate(capacity);
        with->file_capacity = with->file != NULL ? capacity : 0;
        ST_FAIL_IF(with->file == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", capacity);
    }
    return STRATA_OK;
}

static strata_status read_open(opening *with, int descriptor, size_t *length, const char *path, strata_error *err) {
    struct stat about;
    if (fstat(descriptor, &about) != 0) {
        return fail_file(path, "looked at", err);
    }
    ST_FAIL_IF(!S_ISREG(about.st_mode), err, STRATA_UNSUPPORTED, "is no regular file");
    ST_FAIL_IF(about.st_size > MOST_FILE_BYTES, err, STRATA_UNSUPPORTED, "holds %lld bytes, at most %d are read",
               (long long)about.st_size, MOST_FILE_BYTES);
    ST_TRY(need_room(with, (size_t)about.st_size, err));
    *length = 0;
    while (*length < (size_t)about.st_size) {
        ssize_t got = st_sys.read(descriptor, with->file + *length, (size_t)about.st_size - *length);
        if (got < 0 && errno != EINTR) {
            return fail_file(path, "read", err);
        }
        if (got == 0) {
            break;
        }
        *length += got > 0 ? (size_t)got : 0;
    }
    return STRATA_OK;
}

static strata_status read_file(opening *with, const item *of, size_t *length, strata_error *err) {
    char path[PATH_MAX];
    ST_FAIL_IF(!join(path, with->folder, of->name), err, STRATA_INVALID, "its path is too long");
    int descriptor = st_sys.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (descriptor < 0) {
        return fail_file(path, "opened", err);
    }
    strata_status status = read_open(with, descriptor, length, path, err);
    st_sys.close(descriptor);
    return status;
}

static strata_status note_broken(opening *with, const item *of, const strata_error *why, strata_error *err) {
    char *reason = NULL;
    if (with->broken_count == with->broken_capacity) {
        st_broken *more = NULL;
        size_t capacity = with->broken_capacity * 2 + 16;
        ST_TRY(st_arena_alloc(&more, with->arena, capacity, sizeof *more, err));
        if (with->broken_count > 0) {
            memcpy(more, with->broken, with->broken_count * sizeof *more);
        }
        with->broken = more;
        with->broken_capacity = capacity;
    }
    const char *name = NULL;
    ST_TRY(make_utf8(&name, with->arena, of->name, err));
    ST_TRY(st_arena_text(&reason, with->arena, why->message, strlen(why->message), err));
    with->broken[with->broken_count++] = (st_broken){.name = name, .reason = reason};
    return STRATA_OK;
}

static strata_status check_size(opening *with, const item *of, strata_error *err) {
    strata_shape a = with->first_shape, b = with->picture.shape;
    if (with->first == NULL) {
        with->first = of;
        with->first_shape = b;
        return STRATA_OK;
    }
    if (a.height != b.height || a.width != b.width) {
        return st_fail_file(
            err, STRATA_SHAPE, with->folder,
            "pictures of different sizes: %s is %lldx%lld, %s is %lldx%lld; this version needs all of one "
            "size",
            with->first->name, (long long)a.height, (long long)a.width, of->name, (long long)b.height,
            (long long)b.width);
    }
    return STRATA_OK;
}

/* One picture into the spill. *taken = false: it is broken, or no picture at all. */
static strata_status decode_one(opening *with, pictures *to, item *of, bool *taken, strata_error *err) {
    strata_error why = {0};
    size_t length = 0;
    *taken = false;
    strata_status status = read_file(with, of, &length, &why);
    if (status == STRATA_OK && !has_ending(of->name) && !st_picture_is(with->file, length)) {
        with->listed--;
        return STRATA_OK;
    }
    status = status == STRATA_OK ? st_picture_decode(&with->picture, with->file, length, of->name, &why) : status;
    if (status == STRATA_MEMORY) {
        if (err != NULL) {
            *err = why;
        }
        return status;
    }
    if (status != STRATA_OK) {
        return note_broken(with, of, &why, err);
    }
    ST_TRY(check_size(with, of, err));
    strata_shape shape = with->picture.shape;
    size_t bytes = (size_t)(shape.height * shape.width * shape.channels);
    if (to->spill.length == 0) { /* all will have this size */
        st_spill_free(&to->spill);
        ST_TRY(st_spill_begin(&to->spill, (uint64_t)bytes * to->count, err));
    }
    of->offset = to->spill.length;
    of->channels = (uint32_t)shape.channels;
    with->channels = shape.channels > with->channels ? shape.channels : with->channels;
    *taken = true;
    return st_spill_add(&to->spill, with->picture.pixels, bytes, err);
}

/* Called after each, so that a folder that is no data set is not read to its end. */
static strata_status check_broken(const opening *with, strata_error *err) {
    if (with->broken_count * BROKEN_SHARE <= with->listed) {
        return STRATA_OK;
    }
    const st_broken *first = &with->broken[0];
    return st_fail_file(err, STRATA_FORMAT, with->folder,
                        "more than a tenth of its %zu pictures cannot be read, such as %.120s: %.200s", with->listed,
                        first->name, first->reason);
}

static strata_status decode_part(opening *with, pictures *of, strata_error *err) {
    size_t kept = 0, count = of->count;
    for (size_t i = 0; i < count; i++) {
        bool taken = false;
        ST_TRY(decode_one(with, of, &of->items[i], &taken, err));
        ST_TRY(check_broken(with, err));
        if (taken) {
            of->items[kept++] = of->items[i];
        }
    }
    of->count = kept;
    return STRATA_OK;
}

/* ---- the kind ---- */

static strata_status give_part(st_part_source *out, opening *with, pictures *of, strata_error *err) {
    static const st_source_calls calls = {.read = read_pictures, .name = name_picture, .close = close_pictures};
    int32_t *labels = NULL;
    char *path = NULL;
    ST_TRY(st_arena_alloc(&labels, with->arena, of->count, sizeof *labels, err));
    ST_TRY(st_arena_text(&path, with->arena, with->folder, strlen(with->folder), err));
    for (size_t i = 0; i < of->count; i++) {
        labels[i] = of->items[i].label;
    }
    strata_shape shape = {with->first_shape.height, with->first_shape.width, with->channels};
    *out = (st_part_source){.calls = &calls,
                            .state = of,
                            .count = of->count,
                            .shape = shape,
                            .picture_bytes = (size_t)(shape.height * shape.width * shape.channels),
                            .labels = labels,
                            .path = path,
                            .labels_path = path};
    return STRATA_OK;
}

static strata_status name_classes(opening *with, strata_error *err) {
    for (size_t c = 0; c < with->classes.count; c++) {
        ST_TRY(make_utf8(&with->classes.names[c], with->arena, with->classes.names[c], err));
    }
    return STRATA_OK;
}

static strata_status open_all(st_data_found *out, opening *with, strata_error *err) {
    ST_TRY(list_all(with, err));
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        if (with->parts[p] != NULL) {
            ST_TRY(decode_part(with, with->parts[p], err));
        }
    }
    if (with->first == NULL) {
        return st_fail_file(err, STRATA_MISSING, with->folder, "its %zu class folders hold no pictures",
                            with->classes.count);
    }
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        if (with->parts[p] != NULL) {
            ST_TRY(give_part(&out->parts[p], with, with->parts[p], err));
        }
    }
    ST_TRY(name_classes(with, err));
    out->classes = with->classes.names;
    out->class_count = with->classes.count;
    out->broken = with->broken;
    out->broken_count = with->broken_count;
    out->text = "folders of pictures";
    return STRATA_OK;
}

static strata_status open_kind(st_data_found *out, st_arena *arena, const char *path, strata_error *err) {
    opening with = {.arena = arena, .folder = path};
    ST_TRY(st_arena_create(&with.scratch, err));
    strata_status status = open_all(out, &with, err);
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        if (with.parts[p] != NULL && out->parts[p].calls == NULL) {
            st_spill_free(&with.parts[p]->spill);
        }
    }
    if (with.file != NULL) {
        st_sys.release(with.file, with.file_capacity);
    }
    strata_picture_free(&with.picture);
    st_arena_free(with.scratch);
    return status;
}

const st_data_kind st_data_folder = {
    .name = "folder",
    .expected = "a folder of pictures for each class, or such folders in train, val and test",
    .probe = probe,
    .open = open_kind,
};
