/* Pictures in files of their own: looked at once, all of them, before anything is trained on them; read again whenever
 * they are needed. What a file is is seen from its content; one without a picture's ending that holds none (a README)
 * is passed over. What cannot be read is named, counted and left out, and more than a tenth of it refuses. */
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/data.h"

enum { BROKEN_SHARE = 10 };

/* The files of one part. */
typedef struct files {
    const char *folder;
    st_check *items;
    int32_t *labels;
    size_t count;
} files;

/* ---- names ------------------------------------------------------------------------------------------------------ */

static const char *const endings[] = {".jpg", ".jpeg", ".png", ".ppm",  ".pgm",  ".pnm", ".webp",
                                      ".gif", ".bmp",  ".tif", ".tiff", ".avif", ".heic"};

bool st_data_is_called_picture(const char *name) {
    const char *dot = strrchr(name, '.');
    bool has = false;
    for (size_t i = 0; dot != NULL && i < ST_COUNT_OF(endings); i++) {
        has = has || strcasecmp(dot, endings[i]) == 0;
    }
    return has;
}

static bool join(char out[PATH_MAX], const char *folder, const char *name) {
    int length = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX;
}

strata_status st_name_printable(const char **out, st_arena *arena, const char *name, strata_error *err) {
    st_text text = {0};
    char *own = NULL;
    if (st_text_is_utf8(name, strlen(name))) {
        *out = name;
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

/* ---- a part, once it is looked at ------------------------------------------------------------------------------- */

static strata_status read_file(const char *folder, const char *name, st_reader *with, size_t *length,
                               strata_error *err) {
    char path[PATH_MAX];
    ST_FAIL_IF(!join(path, folder, name), err, STRATA_INVALID, "its path is too long");
    return st_reader_file(with, length, path, err);
}

static strata_status read_picture(const st_part_source *source, size_t index, st_reader *with, strata_error *err) {
    const files *from = source->state;
    const st_check *of = &from->items[index];
    size_t length = 0;
    strata_status status = read_file(from->folder, of->name, with, &length, err);
    if (status != STRATA_OK) {
        st_error_file(err, of->name);
        return status;
    }
    return st_picture_decode(&with->picture, NULL, with->file, length, with->least_side, of->name, err);
}

static const st_picture_about *about_picture(const st_part_source *source, size_t index) {
    const files *from = source->state;
    return &from->items[index].about;
}

static void name_picture(const st_part_source *source, size_t index, char out[ST_DATA_NAME_BYTES]) {
    const files *from = source->state;
    (void)snprintf(out, ST_DATA_NAME_BYTES, "%s", from->items[index].name);
}

static void close_files(st_part_source *source) {
    (void)source;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

/* What all threads work on. */
typedef struct looking {
    const char *folder;
    st_arena *arena;
    st_checks known;
    st_check *checks; /* [count], all parts in a row */
    size_t count;
    struct seat {
        st_reader reader;
        strata_status status; /* what ends the whole: no memory */
        strata_error error;
    } * seats;                                           /* [threads] */
    char (*reasons)[sizeof((strata_error *)0)->message]; /* [count] where there is one; see note_reason */
    _Atomic size_t broken, none;
    bool examines;             /* broken ones never end it */
    atomic_bool stop, is_news; /* something was decoded: worth keeping */
} looking;

static bool is_as_known(const looking *at, st_check *check) {
    const st_check *known = st_checks_find(&at->known, check->name);
    if (known == NULL || known->size != check->size || known->seconds != check->seconds ||
        known->nanoseconds != check->nanoseconds) {
        return false;
    }
    const char *name = check->name;
    *check = *known;
    check->name = name;
    return true;
}

static strata_status decode(looking *at, st_check *check, st_reader *with, strata_error *why) {
    size_t length = 0;
    ST_TRY(read_file(at->folder, check->name, with, &length, why));
    if (!st_data_is_called_picture(check->name) && !st_picture_is(with->file, length)) {
        check->is_none = true;
        return STRATA_OK;
    }
    return st_picture_decode(&with->picture, &check->about, with->file, length, 0, check->name, why);
}

static bool too_many_broken(const looking *at) {
    return atomic_load(&at->broken) * BROKEN_SHARE > at->count - atomic_load(&at->none);
}

static void look(void *arg, int64_t item, int thread) {
    looking *at = arg;
    st_check *check = &at->checks[item];
    struct seat *seat = &at->seats[thread];
    char path[PATH_MAX];
    struct stat about;
    strata_error why = {0};
    if (atomic_load_explicit(&at->stop, memory_order_relaxed)) {
        return;
    }
    if (join(path, at->folder, check->name) && stat(path, &about) == 0) {
        check->size = about.st_size;
        check->seconds = about.st_mtim.tv_sec;
        check->nanoseconds = about.st_mtim.tv_nsec;
    }
    if (!is_as_known(at, check)) {
        strata_status status = decode(at, check, &seat->reader, &why);
        atomic_store_explicit(&at->is_news, true, memory_order_relaxed);
        if (status == STRATA_MEMORY) {
            seat->status = status;
            seat->error = why;
            atomic_store(&at->stop, true);
            return;
        }
        if (status != STRATA_OK) {
            memcpy(at->reasons[item], why.message, sizeof why.message);
            check->reason = at->reasons[item];
            check->is_unread = status == STRATA_IO || status == STRATA_MISSING;
        }
    }
    if (check->is_none) {
        atomic_fetch_add(&at->none, 1);
    } else if (check->reason != NULL) {
        atomic_fetch_add(&at->broken, 1);
        if (!at->examines && too_many_broken(at)) {
            atomic_store(&at->stop, true); /* a folder that is no data set is not read to its end */
        }
    }
}

static strata_status fail_broken(const looking *at, strata_error *err) {
    const st_check *first = at->checks;
    while (first->reason == NULL) {
        first++;
    }
    const char *name = NULL;
    ST_TRY(st_name_printable(&name, at->arena, first->name, err));
    return st_fail_file(err, STRATA_FORMAT, at->folder,
                        "more than a tenth of its %zu pictures cannot be read, such as %.120s: %.200s",
                        at->count - atomic_load(&at->none), name, first->reason);
}

static strata_status look_at_all(looking *at, st_arena *scratch, strata_error *err) {
    st_pool *pool = NULL;
    strata_status status = STRATA_OK;
    ST_TRY(st_arena_alloc(&at->reasons, scratch, at->count, sizeof *at->reasons, err));
    ST_TRY(st_pool_create(&pool, 0, err));
    size_t threads = (size_t)st_pool_threads(pool);
    status = st_arena_alloc(&at->seats, scratch, threads, sizeof *at->seats, err);
    if (status == STRATA_OK) {
        st_pool_for(pool, (int64_t)at->count, look, at);
        for (size_t t = 0; t < threads; t++) {
            if (at->seats[t].status != STRATA_OK && status == STRATA_OK) {
                status = at->seats[t].status;
                if (err != NULL) {
                    *err = at->seats[t].error;
                }
            }
            st_reader_free(&at->seats[t].reader);
        }
    }
    st_pool_free(pool);
    ST_TRY(status);
    size_t broken = atomic_load(&at->broken);
    bool has_none = broken > 0 && broken + atomic_load(&at->none) == at->count;
    return has_none || (!at->examines && too_many_broken(at)) ? fail_broken(at, err) : STRATA_OK;
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static strata_status take_broken(st_data_found *out, const looking *at, strata_error *err) {
    st_broken *broken = NULL;
    size_t count = 0;
    ST_TRY(st_arena_alloc(&broken, at->arena, atomic_load(&at->broken), sizeof *broken, err));
    for (size_t i = 0; i < at->count; i++) {
        const st_check *check = &at->checks[i];
        if (check->reason != NULL) {
            char *reason = NULL;
            ST_TRY(st_name_printable(&broken[count].name, at->arena, check->name, err));
            ST_TRY(st_arena_text(&reason, at->arena, check->reason, strlen(check->reason), err));
            broken[count++].reason = reason;
        }
    }
    out->broken = broken;
    out->broken_count = count;
    return STRATA_OK;
}

static strata_status take_part(st_part_source *out, const looking *at, const st_listing *listing, size_t first,
                               strata_error *err) {
    static const st_source_calls calls = {
        .read = read_picture, .about = about_picture, .name = name_picture, .close = close_files};
    files *of = NULL;
    ST_TRY(st_arena_alloc(&of, at->arena, 1, sizeof *of, err));
    ST_TRY(st_arena_alloc(&of->labels, at->arena, listing->count, sizeof *of->labels, err));
    of->folder = at->folder;
    of->items = at->checks + first;
    strata_shape shape = {0, 0, 0};
    for (size_t i = 0; i < listing->count; i++) {
        const st_check *check = &at->checks[first + i];
        if (check->is_none || check->reason != NULL) {
            continue;
        }
        strata_shape is = check->about.shape;
        int64_t channels = is.channels > shape.channels ? is.channels : shape.channels;
        if (of->count == 0) {
            shape = is;
        } else if (is.height != shape.height || is.width != shape.width) {
            shape.height = shape.width = 0;
        }
        shape.channels = channels;
        of->labels[of->count] = listing->items[i].label;
        of->items[of->count] = *check;
        of->items[of->count++].about.bytes = (uint64_t)check->size;
    }
    *out = (st_part_source){.calls = &calls,
                            .state = of,
                            .count = of->count,
                            .shape = shape,
                            .is_encoded = true,
                            .labels = of->labels,
                            .path = at->folder,
                            .labels_path = at->folder};
    return STRATA_OK;
}

/* Grey in one part and colour in another is colour in all. */
static void unite_channels(st_data_found *out) {
    int64_t most = 0;
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        int64_t channels = out->parts[p].shape.channels;
        most = channels > most ? channels : most;
    }
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        out->parts[p].shape.channels = most;
    }
}

static strata_status open_with(st_data_found *out, looking *at, const st_listing *listings, st_arena *scratch,
                               strata_error *err) {
    size_t next = 0;
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        at->count += listings[p].count;
    }
    ST_TRY(st_arena_alloc(&at->checks, at->arena, at->count, sizeof *at->checks, err));
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        for (size_t i = 0; i < listings[p].count; i++) {
            at->checks[next++].name = listings[p].items[i].name;
        }
    }
    st_checks_load(&at->known, at->arena, at->folder);
    ST_TRY(look_at_all(at, scratch, err));
    if (atomic_load(&at->is_news)) {
        st_checks_save(at->checks, at->count, at->folder);
    }
    ST_TRY(take_broken(out, at, err));
    next = 0;
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        ST_TRY(take_part(&out->parts[p], at, &listings[p], next, err));
        next += listings[p].count;
    }
    unite_channels(out);
    return STRATA_OK;
}

strata_status st_files_open(st_data_found *out, st_arena *arena, const char *folder,
                            const st_listing listings[STRATA_PART_COUNT], strata_error *err) {
    looking at = {.folder = folder, .arena = arena, .examines = out->examines};
    st_arena *scratch = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = open_with(out, &at, listings, scratch, err);
    st_arena_free(scratch);
    return status;
}
