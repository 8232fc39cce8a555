/* Reading pictures for a batch: what a thread reads with, and the store of stage pictures. Decoding and resizing a
 * photograph takes longer than a small net needs for it, and always gives the same: what came out is kept in a spill,
 * each picture in a place of its own, so that any thread may put any picture at any time. Without room for a spill
 * pictures are made anew each time. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "data/data.h"

enum { MOST_FILE_BYTES = 1 << 30 };

/* ---- a thread's rooms ------------------------------------------------------------------------------------------- */

void st_reader_free(st_reader *reader) {
    strata_picture_free(&reader->picture);
    strata_picture_free(&reader->stage);
    if (reader->file != NULL) {
        st_sys.release(reader->file, reader->file_capacity);
    }
    *reader = (st_reader){0};
}

static strata_status need_room(st_reader *reader, size_t bytes, strata_error *err) {
    if (bytes > reader->file_capacity) {
        size_t capacity = bytes + bytes / 2;
        if (reader->file != NULL) {
            st_sys.release(reader->file, reader->file_capacity);
        }
        reader->file = st_sys.allocate(capacity);
        reader->file_capacity = reader->file != NULL ? capacity : 0;
        ST_FAIL_IF(reader->file == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", capacity);
    }
    return STRATA_OK;
}

/* What the system lacks for now says nothing about the file. */
static strata_status fail_file(const char *path, const char *what, strata_error *err) {
    ST_FAIL_IF(errno == ENOMEM || errno == EMFILE || errno == ENFILE, err, STRATA_MEMORY, "%s cannot be %s: %s", path,
               what, strerror(errno));
    return st_fail(err, STRATA_IO, "cannot be %s: %s", what, strerror(errno));
}

static strata_status read_open(st_reader *reader, int descriptor, size_t *length, const char *path, strata_error *err) {
    struct stat about;
    if (fstat(descriptor, &about) != 0) {
        return fail_file(path, "looked at", err);
    }
    ST_FAIL_IF(!S_ISREG(about.st_mode), err, STRATA_UNSUPPORTED, "is no regular file");
    ST_FAIL_IF(about.st_size > MOST_FILE_BYTES, err, STRATA_UNSUPPORTED, "holds %lld bytes, at most %d are read",
               (long long)about.st_size, MOST_FILE_BYTES);
    ST_TRY(need_room(reader, (size_t)about.st_size, err));
    *length = 0;
    while (*length < (size_t)about.st_size) {
        ssize_t got = st_sys.read(descriptor, reader->file + *length, (size_t)about.st_size - *length);
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

strata_status st_reader_file(st_reader *reader, size_t *length, const char *path, strata_error *err) {
    int descriptor = st_sys.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (descriptor < 0) {
        return fail_file(path, "opened", err);
    }
    strata_status status = read_open(reader, descriptor, length, path, err);
    st_sys.close(descriptor);
    return status;
}

/* ---- the store of a part, for one geometry ---------------------------------------------------------------------- */

typedef struct store {
    struct store *next;
    strata_part part;
    st_geometry geometry;
    st_spill spill;
    uint64_t *places;    /* [pictures + 1] in the spill */
    atomic_uchar *ready; /* [pictures] */
    atomic_bool is_full; /* the place for temporary files: nothing more is put */
} store;

struct st_stages {
    st_arena *arena;
    pthread_mutex_t lock;
    store *first;
};

strata_status st_stages_create(st_stages **out, strata_error *err) {
    st_arena *arena = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(out, arena, 1, sizeof **out, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    (*out)->arena = arena;
    pthread_mutex_init(&(*out)->lock, NULL); /* cannot fail on Linux */
    return STRATA_OK;
}

void st_stages_free(st_stages *stages) {
    if (stages != NULL) {
        for (store *at = stages->first; at != NULL; at = at->next) {
            st_spill_free(&at->spill);
        }
        pthread_mutex_destroy(&stages->lock);
        st_arena_free(stages->arena);
    }
}

static size_t shape_bytes(strata_shape shape) {
    return (size_t)(shape.height * shape.width * shape.channels);
}

static strata_shape stage_shape(const strata_dataset *data, strata_part part, size_t index,
                                const st_geometry *geometry) {
    st_picture_about about = st_data_about(data, part, index);
    return st_geometry_stage(geometry, about.shape);
}

static strata_status fill_store(store *to, st_arena *arena, const strata_dataset *data, strata_error *err) {
    size_t count = strata_dataset_count(data, to->part);
    ST_TRY(st_arena_alloc(&to->places, arena, count + 1, sizeof *to->places, err));
    ST_TRY(st_arena_alloc(&to->ready, arena, count, sizeof *to->ready, err));
    for (size_t i = 0; i < count; i++) {
        to->places[i + 1] = to->places[i] + shape_bytes(stage_shape(data, to->part, i, &to->geometry));
    }
    strata_status status = st_spill_begin(&to->spill, to->places[count], NULL);
    atomic_store(&to->is_full, status != STRATA_OK || !st_spill_reserve(&to->spill, to->places[count]));
    return STRATA_OK;
}

/* With the lock. */
static strata_status find_store(store **out, st_stages *stages, const strata_dataset *data, strata_part part,
                                const st_geometry *geometry, strata_error *err) {
    for (*out = stages->first; *out != NULL; *out = (*out)->next) {
        if ((*out)->part == part && st_geometry_equals(&(*out)->geometry, geometry)) {
            return STRATA_OK;
        }
    }
    store *made = NULL;
    ST_TRY(st_arena_alloc(&made, stages->arena, 1, sizeof *made, err));
    made->part = part;
    made->geometry = *geometry;
    made->spill.descriptor = -1;
    ST_TRY(fill_store(made, stages->arena, data, err));
    made->next = stages->first;
    stages->first = made;
    *out = made;
    return STRATA_OK;
}

static strata_status make_stage(const strata_dataset *data, strata_part part, size_t index, const st_geometry *geometry,
                                strata_shape stage, st_reader *with, strata_error *err) {
    int64_t shorter = stage.height < stage.width ? stage.height : stage.width;
    with->least_side = geometry->fit == ST_FIT_PAD ? 0 : shorter;
    strata_status status = st_data_read(data, part, index, with, err);
    with->least_side = 0;
    ST_TRY(status);
    return st_fit_stage(&with->stage, &with->picture, geometry, stage, err);
}

strata_status st_data_stage(const strata_dataset *data, strata_part part, size_t index, const st_geometry *geometry,
                            st_reader *with, strata_error *err) {
    st_stages *stages = st_data_stages(data);
    size_t count = strata_dataset_count(data, part);
    ST_FAIL_IF(index >= count, err, STRATA_INVALID, "there is no picture %zu, the part has %zu", index, count);
    strata_shape stage = stage_shape(data, part, index, geometry);
    if (!st_data_is_encoded(data, part)) {
        return make_stage(data, part, index, geometry, stage, with, err);
    }
    store *kept = NULL;
    pthread_mutex_lock(&stages->lock);
    strata_status status = find_store(&kept, stages, data, part, geometry, err);
    pthread_mutex_unlock(&stages->lock);
    ST_TRY(status);
    size_t bytes = shape_bytes(stage);
    if (atomic_load_explicit(&kept->ready[index], memory_order_acquire) != 0) {
        ST_TRY(st_picture_room(&with->stage, stage, err));
        return st_spill_at(&kept->spill, with->stage.pixels, bytes, kept->places[index], err);
    }
    ST_TRY(make_stage(data, part, index, geometry, stage, with, err));
    if (!atomic_load_explicit(&kept->is_full, memory_order_relaxed)) {
        if (st_spill_put(&kept->spill, with->stage.pixels, bytes, kept->places[index])) {
            atomic_store_explicit(&kept->ready[index], 1, memory_order_release);
        } else {
            atomic_store_explicit(&kept->is_full, true, memory_order_relaxed);
        }
    }
    return STRATA_OK;
}

strata_status st_data_fitted(const strata_dataset *data, strata_part part, size_t index, const st_geometry *geometry,
                             st_reader *with, uint8_t *pixels, strata_error *err) {
    ST_TRY(st_data_stage(data, part, index, geometry, with, err));
    if (geometry->fit == ST_FIT_PAD) {
        strata_shape is = with->stage.shape, to = geometry->out;
        ST_FAIL_IF(is.height != to.height || is.width != to.width, err, STRATA_SHAPE,
                   "a picture of %lldx%lld among those of %lldx%lld", (long long)is.height, (long long)is.width,
                   (long long)to.height, (long long)to.width);
        memcpy(pixels, with->stage.pixels, shape_bytes(is));
        return STRATA_OK;
    }
    st_fit_centre(pixels, &with->stage, geometry);
    return STRATA_OK;
}
