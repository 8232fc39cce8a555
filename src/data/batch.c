/* Batches, read ahead: a thread fills the next buffers while the caller computes on one. Three buffers: one with the
 * caller, one ready, one being filled. Which pictures come in which batch is decided by the order alone. */
#include "data/data.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

typedef struct buffer {
    uint8_t *pixels;
    int32_t *labels;
    size_t count;
} buffer;

struct st_batcher {
    st_arena *arena;
    const strata_dataset *data;
    strata_part part;
    size_t batch;
    buffer buffers[ST_BATCHER_BUFFERS];
    uint8_t *scratch; /* one picture */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    bool stop, is_filling;
    uint32_t *order; /* a copy; [pictures of the part] */
    bool has_order;
    st_augmentation augmentation; /* without steps: none */
    size_t count, first;
    size_t batches; /* of this pass */
    size_t filled;  /* batches that are ready or were given */
    size_t given;   /* batches that the caller has had; the last of them is still lent */
    strata_status status;
    strata_error error;
};

static size_t released(const st_batcher *batcher) {
    return batcher->given > 0 ? batcher->given - 1 : 0;
}

static bool has_work(const st_batcher *batcher) {
    return batcher->status == STRATA_OK && batcher->filled < batcher->batches &&
           batcher->filled - released(batcher) < ST_BATCHER_BUFFERS;
}

/* Called without the lock; order, augmentation, count and first do not change while is_filling. */
static strata_status fill(const st_batcher *batcher, buffer *to, size_t number, strata_error *err) {
    size_t start = batcher->first + number * batcher->batch, left = batcher->count - start;
    const uint32_t *order = batcher->has_order ? batcher->order : NULL;
    to->count = left < batcher->batch ? left : batcher->batch;
    ST_TRY(st_data_gather(batcher->data, batcher->part, order, start, to->count, to->pixels, to->labels, err));
    size_t bytes = st_data_picture_bytes(batcher->data);
    for (size_t i = 0; i < to->count && batcher->augmentation.augment.count > 0; i++) {
        st_augment_apply(&batcher->augmentation, order != NULL ? order[start + i] : start + i,
                         strata_dataset_shape(batcher->data), to->pixels + i * bytes, batcher->scratch);
    }
    return STRATA_OK;
}

static void *read_ahead(void *argument) {
    st_batcher *batcher = argument;
    strata_error error;
    pthread_mutex_lock(&batcher->lock);
    for (;;) {
        while (!batcher->stop && !has_work(batcher)) {
            pthread_cond_wait(&batcher->changed, &batcher->lock);
        }
        if (batcher->stop) {
            break;
        }
        size_t number = batcher->filled;
        batcher->is_filling = true;
        pthread_mutex_unlock(&batcher->lock);
        strata_status status = fill(batcher, &batcher->buffers[number % ST_BATCHER_BUFFERS], number, &error);
        pthread_mutex_lock(&batcher->lock);
        batcher->is_filling = false;
        if (status == STRATA_OK) {
            batcher->filled++;
        } else {
            batcher->status = status;
            batcher->error = error;
        }
        pthread_cond_broadcast(&batcher->changed);
    }
    pthread_mutex_unlock(&batcher->lock);
    return NULL;
}

/* Without signals: those are the host program's. */
static strata_status start_thread(st_batcher *batcher, strata_error *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    batcher->has_thread = pthread_create(&batcher->thread, NULL, read_ahead, batcher) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ST_FAIL_IF(!batcher->has_thread, err, STRATA_MEMORY, "the system gave no thread to read ahead");
    return STRATA_OK;
}

static strata_status build(st_batcher *batcher, strata_error *err) {
    size_t bytes = 0;
    ST_FAIL_IF(!st_size_mul(batcher->batch, st_data_picture_bytes(batcher->data), &bytes), err, STRATA_MEMORY,
               "no memory for batches of %zu pictures", batcher->batch);
    ST_TRY(st_arena_alloc(&batcher->order, batcher->arena, strata_dataset_count(batcher->data, batcher->part),
                          sizeof *batcher->order, err));
    ST_TRY(st_arena_alloc(&batcher->scratch, batcher->arena, st_data_picture_bytes(batcher->data), 1, err));
    for (size_t i = 0; i < ST_BATCHER_BUFFERS; i++) {
        ST_TRY(st_arena_alloc(&batcher->buffers[i].pixels, batcher->arena, bytes, 1, err));
        ST_TRY(st_arena_alloc(&batcher->buffers[i].labels, batcher->arena, batcher->batch, sizeof(int32_t), err));
    }
    return start_thread(batcher, err);
}

strata_status st_batcher_create(st_batcher **out, const strata_dataset *data, strata_part part, size_t batch,
                                strata_error *err) {
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
    batcher->batch = batch;
    pthread_mutex_init(&batcher->lock, NULL); /* these two cannot fail on Linux */
    pthread_cond_init(&batcher->changed, NULL);
    status = build(batcher, err);
    if (status != STRATA_OK) {
        st_batcher_free(batcher);
        return status;
    }
    *out = batcher;
    return STRATA_OK;
}

/* With the lock: afterwards nothing is being filled, and nothing will be. */
static void end_pass(st_batcher *batcher) {
    batcher->batches = 0;
    while (batcher->is_filling) {
        pthread_cond_wait(&batcher->changed, &batcher->lock);
    }
}

void st_batcher_augment(st_batcher *batcher, const st_augmentation *augmentation) {
    pthread_mutex_lock(&batcher->lock);
    end_pass(batcher);
    batcher->augmentation = augmentation != NULL ? *augmentation : (st_augmentation){0};
    pthread_mutex_unlock(&batcher->lock);
}

strata_status st_batcher_start(st_batcher *batcher, const uint32_t *order, size_t count, size_t first,
                               strata_error *err) {
    size_t most = strata_dataset_count(batcher->data, batcher->part);
    ST_FAIL_IF(first > count || count > most, err, STRATA_INVALID, "pictures %zu to %zu of %zu", first, count, most);
    pthread_mutex_lock(&batcher->lock);
    end_pass(batcher);
    batcher->has_order = order != NULL && count > 0;
    if (batcher->has_order) {
        memcpy(batcher->order, order, count * sizeof *order);
    }
    batcher->count = count;
    batcher->first = first;
    batcher->batches = (count - first) / batcher->batch + ((count - first) % batcher->batch > 0);
    batcher->filled = 0;
    batcher->given = 0;
    batcher->status = STRATA_OK;
    pthread_cond_broadcast(&batcher->changed);
    pthread_mutex_unlock(&batcher->lock);
    return STRATA_OK;
}

strata_status st_batcher_next(st_batcher *batcher, const uint8_t **pixels, const int32_t **labels, size_t *n,
                              strata_error *err) {
    strata_status status = STRATA_OK;
    *pixels = NULL;
    *labels = NULL;
    *n = 0;
    pthread_mutex_lock(&batcher->lock);
    if (batcher->given < batcher->batches) {
        while (batcher->given == batcher->filled && batcher->status == STRATA_OK) {
            pthread_cond_wait(&batcher->changed, &batcher->lock);
        }
        if (batcher->given < batcher->filled) {
            const buffer *from = &batcher->buffers[batcher->given % ST_BATCHER_BUFFERS];
            *pixels = from->pixels;
            *labels = from->labels;
            *n = from->count;
            batcher->given++;
            pthread_cond_broadcast(&batcher->changed); /* the one before it is free again */
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

void st_batcher_free(st_batcher *batcher) {
    if (batcher == NULL) {
        return;
    }
    if (batcher->has_thread) {
        pthread_mutex_lock(&batcher->lock);
        batcher->stop = true;
        pthread_cond_broadcast(&batcher->changed);
        pthread_mutex_unlock(&batcher->lock);
        pthread_join(batcher->thread, NULL);
    }
    pthread_cond_destroy(&batcher->changed);
    pthread_mutex_destroy(&batcher->lock);
    st_arena_free(batcher->arena);
}

size_t st_batcher_bytes(size_t picture_bytes, size_t batch) {
    size_t one = 0, all = 0;
    return st_size_add(picture_bytes, sizeof(int32_t), &one) && st_size_mul(one, batch, &all) &&
                   st_size_mul(all, ST_BATCHER_BUFFERS, &all)
               ? all
               : 0;
}
