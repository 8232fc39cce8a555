/* Batches, read ahead: threads fill the next buffers, picture by picture, while the caller computes on one. Three
 * buffers: one with the caller, the others ready or being filled. Which pictures come in which batch is decided by the
 * order alone, and what happens to a picture by the seed, the epoch and its number: who does it changes nothing. */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "data/data.h"

enum { CLAIM = 8, MOST_THREADS = 16 };

typedef struct buffer {
    uint8_t *pixels;
    int32_t *labels, *other_labels;
    float *shares;
    size_t count; /* pictures, once its first is claimed */
    size_t done;
    bool is_ready, is_mixed;
} buffer;

typedef struct worker {
    st_batcher *batcher;
    pthread_t handle;
    st_reader reader;
    st_augment_room room;
} worker;

struct st_batcher {
    st_arena *arena;
    const strata_dataset *data;
    strata_part part;
    size_t batch, step; /* a batch ends where a step does, counted from the first picture of the pass */
    st_geometry geometry;
    buffer buffers[ST_BATCHER_BUFFERS];
    worker *workers;
    int worker_count;     /* that run */
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    bool stop;
    int busy;        /* workers with a claim */
    uint32_t *order; /* a copy; [pictures of the part] */
    uint32_t *turns; /* [pictures of the part] of the order: how often the picture stood before */
    uint32_t *seen;  /* [pictures of the part] what turns are counted with */
    bool has_order;
    st_augmentation augmentation; /* without steps: none */
    size_t count, first;
    size_t batches; /* of this pass */
    size_t claimed; /* pictures of this pass that a worker has or had */
    size_t filled;  /* batches that are ready or were given */
    size_t given;   /* batches that the caller has had; the last of them is still lent */
    strata_status status;
    size_t failed; /* the first batch that cannot be had, where status says so */
    strata_error error;
};

/* ---- the work --------------------------------------------------------------------------------------------------- */

typedef struct claim {
    size_t begin, end; /* pictures of the pass, in one batch */
} claim;

static buffer *buffer_of(st_batcher *batcher, size_t batch) {
    return &batcher->buffers[batch % ST_BATCHER_BUFFERS];
}

static size_t pictures_of_pass(const st_batcher *batcher) {
    return batcher->count - batcher->first;
}

/* ---- which batch a picture of the pass is in ---- */

static size_t batches_of_step(const st_batcher *batcher) {
    return (batcher->step + batcher->batch - 1) / batcher->batch;
}

static size_t batch_of(const st_batcher *batcher, size_t picture) {
    return picture / batcher->step * batches_of_step(batcher) + picture % batcher->step / batcher->batch;
}

static size_t batch_begin(const st_batcher *batcher, size_t batch) {
    size_t of_step = batches_of_step(batcher);
    return batch / of_step * batcher->step + batch % of_step * batcher->batch;
}

static size_t batch_end(const st_batcher *batcher, size_t batch) {
    size_t next = batch_begin(batcher, batch + 1), all = pictures_of_pass(batcher);
    return next < all ? next : all;
}

/* With the lock. A buffer is free when the caller has had the batch after the one that was in it. */
static bool take_claim(st_batcher *batcher, claim *out) {
    size_t batch = batch_of(batcher, batcher->claimed);
    size_t released = batcher->given > 0 ? batcher->given - 1 : 0;
    if (batch >= batcher->batches || batcher->claimed == pictures_of_pass(batcher) ||
        batch - released >= ST_BATCHER_BUFFERS || (batcher->status != STRATA_OK && batch >= batcher->failed)) {
        return false;
    }
    size_t start = batch_begin(batcher, batch), end = batch_end(batcher, batch);
    if (batcher->claimed == start) {
        buffer *to = buffer_of(batcher, batch);
        to->count = end - start;
        to->done = 0;
        to->is_ready = to->is_mixed = false;
    }
    out->begin = batcher->claimed;
    out->end = out->begin + CLAIM < end ? out->begin + CLAIM : end;
    batcher->claimed = out->end;
    return true;
}

/* Without the lock; order, augmentation, count and first do not change while a worker is busy. */
static strata_status fill(worker *with, size_t picture, strata_error *err) {
    st_batcher *batcher = with->batcher;
    size_t batch = batch_of(batcher, picture);
    buffer *to = buffer_of(batcher, batch);
    size_t at = picture - batch_begin(batcher, batch), index = batcher->first + picture;
    index = batcher->has_order ? batcher->order[index] : index;
    uint8_t *pixels = to->pixels + at * st_geometry_bytes(&batcher->geometry);
    if (batcher->augmentation.augment.count == 0) {
        ST_TRY(st_data_fitted(batcher->data, batcher->part, index, &batcher->geometry, &with->reader, pixels, err));
    } else {
        ST_TRY(st_data_stage(batcher->data, batcher->part, index, &batcher->geometry, &with->reader, err));
        st_augmentation augmentation = batcher->augmentation;
        augmentation.turn = batcher->has_order ? batcher->turns[batcher->first + picture] : 0;
        ST_TRY(st_augment_picture(&augmentation, index, &with->reader.stage, &batcher->geometry, &with->room, pixels,
                                  err));
    }
    to->labels[at] = st_data_label(batcher->data, batcher->part, index);
    return STRATA_OK;
}

static strata_status fill_all(worker *with, claim pictures, strata_error *err) {
    for (size_t i = pictures.begin; i < pictures.end; i++) {
        ST_TRY(fill(with, i, err));
    }
    return STRATA_OK;
}

/* A batch is mixed as a whole, with its number in the whole training. Without the lock: nobody else has the buffer. */
static void mix(const st_batcher *batcher, buffer *of, size_t batch) {
    size_t epoch_batches = batch_of(batcher, batcher->count - 1) + 1; /* a pass begins with a step */
    uint64_t number = batcher->augmentation.epoch * epoch_batches + batch_of(batcher, batcher->first) + batch;
    st_augment_mix(&batcher->augmentation, number, of->pixels, of->labels, of->count, batcher->geometry.out,
                   of->other_labels, of->shares);
    of->is_mixed = true;
}

/* With the lock; whoever brought the last picture of a batch finishes it. */
static void count_done(st_batcher *batcher, claim pictures) {
    size_t batch = batch_of(batcher, pictures.begin);
    buffer *to = buffer_of(batcher, batch);
    to->done += pictures.end - pictures.begin;
    if (to->done < to->count) {
        return;
    }
    if (st_augment_mixes(&batcher->augmentation.augment)) {
        pthread_mutex_unlock(&batcher->lock);
        mix(batcher, to, batch);
        pthread_mutex_lock(&batcher->lock);
    }
    to->is_ready = true;
    while (batcher->filled < batcher->batches && batch_begin(batcher, batcher->filled) < batcher->claimed &&
           buffer_of(batcher, batcher->filled)->is_ready) {
        batcher->filled++;
    }
}

static void note_failure(st_batcher *batcher, claim pictures, strata_status status, const strata_error *error) {
    size_t batch = batch_of(batcher, pictures.begin);
    if (batcher->status == STRATA_OK || batch < batcher->failed) {
        batcher->status = status;
        batcher->failed = batch;
        batcher->error = *error;
    }
}

static void *read_ahead(void *argument) {
    worker *with = argument;
    st_batcher *batcher = with->batcher;
    strata_error error;
    claim pictures;
    pthread_mutex_lock(&batcher->lock);
    for (;;) {
        while (!batcher->stop && !take_claim(batcher, &pictures)) {
            pthread_cond_wait(&batcher->changed, &batcher->lock);
        }
        if (batcher->stop) {
            break;
        }
        batcher->busy++;
        pthread_mutex_unlock(&batcher->lock);
        strata_status status = fill_all(with, pictures, &error);
        pthread_mutex_lock(&batcher->lock);
        if (status == STRATA_OK) {
            count_done(batcher, pictures);
        } else {
            note_failure(batcher, pictures, status, &error);
        }
        batcher->busy--;
        pthread_cond_broadcast(&batcher->changed);
    }
    pthread_mutex_unlock(&batcher->lock);
    return NULL;
}

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* Without signals: those are the host program's. */
static strata_status start_threads(st_batcher *batcher, int threads, strata_error *err) {
    sigset_t all, before;
    ST_TRY(st_arena_alloc(&batcher->workers, batcher->arena, (size_t)threads, sizeof *batcher->workers, err));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < threads; i++) {
        worker *made = &batcher->workers[batcher->worker_count];
        made->batcher = batcher;
        batcher->worker_count += pthread_create(&made->handle, NULL, read_ahead, made) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ST_FAIL_IF(batcher->worker_count == 0, err, STRATA_MEMORY, "the system gave no thread to read ahead");
    return STRATA_OK;
}

static int choose_threads(const st_batcher *batcher, int threads) {
    int most = st_cpu_count() < MOST_THREADS ? st_cpu_count() : MOST_THREADS;
    if (threads > 0) {
        return threads < most ? threads : most;
    }
    return st_data_is_encoded(batcher->data, batcher->part) ? most : 1;
}

static strata_status build(st_batcher *batcher, int threads, strata_error *err) {
    size_t bytes = 0, batch = batcher->batch;
    ST_FAIL_IF(!st_size_mul(batch, st_geometry_bytes(&batcher->geometry), &bytes), err, STRATA_MEMORY,
               "no memory for batches of %zu pictures", batch);
    size_t pictures = strata_dataset_count(batcher->data, batcher->part);
    ST_TRY(st_arena_alloc(&batcher->order, batcher->arena, pictures, sizeof *batcher->order, err));
    ST_TRY(st_arena_alloc(&batcher->turns, batcher->arena, pictures, sizeof *batcher->turns, err));
    ST_TRY(st_arena_alloc(&batcher->seen, batcher->arena, pictures, sizeof *batcher->seen, err));
    for (size_t i = 0; i < ST_BATCHER_BUFFERS; i++) {
        buffer *made = &batcher->buffers[i];
        ST_TRY(st_arena_alloc(&made->pixels, batcher->arena, bytes, 1, err));
        ST_TRY(st_arena_alloc(&made->labels, batcher->arena, batch, sizeof *made->labels, err));
        ST_TRY(st_arena_alloc(&made->other_labels, batcher->arena, batch, sizeof *made->other_labels, err));
        ST_TRY(st_arena_alloc(&made->shares, batcher->arena, batch, sizeof *made->shares, err));
    }
    return start_threads(batcher, choose_threads(batcher, threads), err);
}

strata_status st_batcher_create(st_batcher **out, const strata_dataset *data, strata_part part, size_t batch,
                                const st_geometry *geometry, int threads, strata_error *err) {
    st_arena *arena = NULL;
    st_batcher *batcher = NULL;
    *out = NULL;
    ST_FAIL_IF(batch == 0, err, STRATA_INVALID, "a batch must hold at least 1 picture, found 0");
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&batcher, arena, 1, sizeof *batcher, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    batcher->arena = arena;
    batcher->data = data;
    batcher->part = part;
    batcher->batch = batcher->step = batch;
    batcher->geometry = *geometry;
    pthread_mutex_init(&batcher->lock, NULL); /* these two cannot fail on Linux */
    pthread_cond_init(&batcher->changed, NULL);
    status = build(batcher, threads, err);
    if (status != STRATA_OK) {
        st_batcher_free(batcher);
        return status;
    }
    *out = batcher;
    return STRATA_OK;
}

void st_batcher_free(st_batcher *batcher) {
    if (batcher == NULL) {
        return;
    }
    pthread_mutex_lock(&batcher->lock);
    batcher->stop = true;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    for (int i = 0; i < batcher->worker_count; i++) {
        pthread_join(batcher->workers[i].handle, NULL);
        st_reader_free(&batcher->workers[i].reader);
        st_augment_room_free(&batcher->workers[i].room);
    }
    pthread_cond_destroy(&batcher->changed);
    pthread_mutex_destroy(&batcher->lock);
    st_arena_free(batcher->arena);
}

/* ---- passes ----------------------------------------------------------------------------------------------------- */

/* With the lock: afterwards nothing is being filled, and nothing will be. */
static void end_pass(st_batcher *batcher) {
    batcher->batches = 0;
    while (batcher->busy > 0) {
        pthread_cond_wait(&batcher->changed, &batcher->lock);
    }
}

void st_batcher_augment(st_batcher *batcher, const st_augmentation *augmentation) {
    pthread_mutex_lock(&batcher->lock);
    end_pass(batcher);
    batcher->augmentation = augmentation != NULL ? *augmentation : (st_augmentation){0};
    pthread_mutex_unlock(&batcher->lock);
}

void st_batcher_steps(st_batcher *batcher, size_t step) {
    pthread_mutex_lock(&batcher->lock);
    end_pass(batcher);
    batcher->step = step;
    pthread_mutex_unlock(&batcher->lock);
}

/* With the lock. */
static void take_order(st_batcher *batcher, const uint32_t *order, size_t count) {
    memcpy(batcher->order, order, count * sizeof *order);
    memset(batcher->seen, 0, strata_dataset_count(batcher->data, batcher->part) * sizeof *batcher->seen);
    for (size_t i = 0; i < count; i++) {
        batcher->turns[i] = batcher->seen[order[i]]++;
    }
}

strata_status st_batcher_start(st_batcher *batcher, const uint32_t *order, size_t count, size_t first,
                               strata_error *err) {
    size_t most = strata_dataset_count(batcher->data, batcher->part);
    ST_FAIL_IF(first > count || count > most, err, STRATA_INVALID, "pictures %zu to %zu of %zu", first, count, most);
    pthread_mutex_lock(&batcher->lock);
    end_pass(batcher);
    batcher->has_order = order != NULL && count > 0;
    if (batcher->has_order) {
        take_order(batcher, order, count);
    }
    batcher->count = count;
    batcher->first = first;
    batcher->batches = count > first ? batch_of(batcher, count - first - 1) + 1 : 0;
    batcher->claimed = 0;
    batcher->filled = 0;
    batcher->given = 0;
    batcher->status = STRATA_OK;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    return STRATA_OK;
}

/* With the lock. */
static void give(st_batcher *batcher, st_batch *out) {
    const buffer *from = buffer_of(batcher, batcher->given);
    *out = (st_batch){.pixels = from->pixels, .labels = from->labels, .n = from->count};
    if (from->is_mixed) {
        out->other_labels = from->other_labels;
        out->shares = from->shares;
    }
    batcher->given++;
    pthread_cond_broadcast(&batcher->changed); /* the one before it is free again */
}

strata_status st_batcher_next(st_batcher *batcher, st_batch *out, strata_error *err) {
    strata_status status = STRATA_OK;
    *out = (st_batch){0};
    pthread_mutex_lock(&batcher->lock);
    if (batcher->given < batcher->batches) {
        while (batcher->given == batcher->filled &&
               (batcher->status == STRATA_OK || batcher->failed > batcher->given)) {
            pthread_cond_wait(&batcher->changed, &batcher->lock);
        }
        if (batcher->given < batcher->filled) {
            give(batcher, out);
        } else {
            status = batcher->status;
            if (err != NULL) {
                *err = batcher->error;
            }
        }
    }
    pthread_mutex_unlock(&batcher->lock);
    return status;
}

size_t st_batcher_bytes(size_t picture_bytes, size_t batch) {
    size_t one = 0, all = 0;
    return st_size_add(picture_bytes, 2 * sizeof(int32_t) + sizeof(float), &one) && st_size_mul(one, batch, &all) &&
                   st_size_mul(all, ST_BATCHER_BUFFERS, &all)
               ? all
               : 0;
}
