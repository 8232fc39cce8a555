/* Mean and deviation of the training pixels: exact sums, so the order of reading does not matter. */
#include <string.h>

#include "data/data.h"

typedef struct sums {
    uint64_t sum[ST_DATA_MOST_CHANNELS], squares[ST_DATA_MOST_CHANNELS], pixels;
} sums;

static void add_pixels(sums *all, const uint8_t *pixels, size_t bytes, size_t channels) {
    for (size_t c = 0; c < channels; c++) {
        uint64_t sum = 0, squares = 0;
        for (size_t i = c; i < bytes; i += channels) {
            uint64_t value = pixels[i];
            sum += value;
            squares += value * value;
        }
        all->sum[c] += sum;
        all->squares[c] += squares;
    }
    all->pixels += bytes / channels;
}

/* What all threads add to, each to its own. */
typedef struct work {
    const strata_dataset *data;
    const st_geometry *geometry; /* NULL: pictures in their own size */
    struct {
        sums sums;
        st_reader reader;
        uint8_t *pixels;
        strata_status status;
        strata_error error;
    } * threads;
} work;

static strata_status add_picture(const work *of, size_t index, int thread, strata_error *err) {
    st_reader *with = &of->threads[thread].reader;
    sums *to = &of->threads[thread].sums;
    if (of->geometry != NULL) {
        uint8_t *pixels = of->threads[thread].pixels;
        ST_TRY(st_data_fitted(of->data, STRATA_TRAIN, index, of->geometry, with, pixels, err));
        add_pixels(to, pixels, st_geometry_bytes(of->geometry), (size_t)of->geometry->out.channels);
        return STRATA_OK;
    }
    size_t channels = (size_t)strata_dataset_shape(of->data).channels;
    ST_TRY(st_data_read(of->data, STRATA_TRAIN, index, with, err));
    strata_shape is = with->picture.shape;
    sums grey = {{0}, {0}, 0};
    add_pixels(&grey, with->picture.pixels, (size_t)(is.height * is.width * is.channels), (size_t)is.channels);
    for (size_t c = 0; c < channels; c++) {
        to->sum[c] += grey.sum[is.channels == 1 ? 0 : c];
        to->squares[c] += grey.squares[is.channels == 1 ? 0 : c];
    }
    to->pixels += grey.pixels;
    return STRATA_OK;
}

static void add_one(void *arg, int64_t item, int thread) {
    const work *of = arg;
    if (of->threads[thread].status == STRATA_OK) {
        of->threads[thread].status = add_picture(of, (size_t)item, thread, &of->threads[thread].error);
    }
}

static strata_status run(work *of, sums *all, st_pool *pool, st_arena *scratch, strata_error *err) {
    int threads = st_pool_threads(pool);
    ST_TRY(st_arena_alloc(&of->threads, scratch, (size_t)threads, sizeof *of->threads, err));
    for (int t = 0; t < threads && of->geometry != NULL; t++) {
        ST_TRY(st_arena_alloc(&of->threads[t].pixels, scratch, st_geometry_bytes(of->geometry), 1, err));
    }
    st_pool_for(pool, (int64_t)strata_dataset_count(of->data, STRATA_TRAIN), add_one, of);
    strata_status status = STRATA_OK;
    for (int t = 0; t < threads; t++) {
        for (size_t c = 0; c < ST_DATA_MOST_CHANNELS; c++) {
            all->sum[c] += of->threads[t].sums.sum[c];
            all->squares[c] += of->threads[t].sums.squares[c];
        }
        all->pixels += of->threads[t].sums.pixels;
        if (of->threads[t].status != STRATA_OK && status == STRATA_OK) {
            status = of->threads[t].status;
            if (err != NULL) {
                *err = of->threads[t].error;
            }
        }
        st_reader_free(&of->threads[t].reader);
    }
    return status;
}

static strata_status sum_all(sums *all, const strata_dataset *data, const st_geometry *geometry, strata_error *err) {
    st_arena *scratch = NULL;
    st_pool *pool = NULL;
    work of = {.data = data, .geometry = geometry};
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = st_pool_create(&pool, 0, err);
    if (status == STRATA_OK) {
        status = run(&of, all, pool, scratch, err);
        st_pool_free(pool);
    }
    st_arena_free(scratch);
    return status;
}

strata_status st_data_statistics(const strata_dataset *data, const st_geometry *geometry, double mean[4],
                                 double deviation[4], strata_error *err) {
    sums all = {{0}, {0}, 0};
    memset(mean, 0, 4 * sizeof *mean);
    memset(deviation, 0, 4 * sizeof *deviation);
    ST_FAIL_IF(strata_dataset_count(data, STRATA_TRAIN) == 0, err, STRATA_MISSING, "%s has no training pictures",
               strata_dataset_name(data));
    ST_TRY(sum_all(&all, data, geometry, err));
    int64_t channels = geometry != NULL ? geometry->out.channels : strata_dataset_shape(data).channels;
    for (int64_t c = 0; c < channels; c++) {
        double average = (double)all.sum[c] / (double)all.pixels;
        double variance = (double)all.squares[c] / (double)all.pixels - average * average;
        mean[c] = average / 255.0;
        deviation[c] = st_sqrt(variance > 0 ? variance : 0) / 255.0;
    }
    return STRATA_OK;
}

strata_status strata_dataset_statistics(const strata_dataset *data, double mean[4], double deviation[4],
                                        strata_error *err) {
    return st_data_statistics(data, NULL, mean, deviation, err);
}
