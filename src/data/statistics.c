/* Mean and deviation of the training pixels: exact sums, so the order of reading does not matter. */
#include <string.h>

#include "data/data.h"

void st_pixel_sums_of(st_pixel_sums *out, const uint8_t *pixels, size_t count, size_t channels) {
    *out = (st_pixel_sums){.pixels = count};
    for (size_t c = 0; c < channels; c++) {
        uint64_t sum = 0, squares = 0;
        for (size_t i = c; i < count * channels; i += channels) {
            uint64_t value = pixels[i];
            sum += value;
            squares += value * value;
        }
        out->sum[c] = sum;
        out->squares[c] = squares;
    }
}

void st_pixel_sums_join(st_pixel_sums *to, const st_pixel_sums *from, size_t channels, size_t wanted) {
    for (size_t c = 0; c < wanted; c++) {
        to->sum[c] += from->sum[channels == 1 ? 0 : c];
        to->squares[c] += from->squares[channels == 1 ? 0 : c];
    }
    to->pixels += from->pixels;
}

void st_pixel_sums_result(double mean[4], double deviation[4], const st_pixel_sums *sums, size_t channels) {
    memset(mean, 0, 4 * sizeof *mean);
    memset(deviation, 0, 4 * sizeof *deviation);
    for (size_t c = 0; c < channels && sums->pixels > 0; c++) {
        double average = (double)sums->sum[c] / (double)sums->pixels;
        double variance = (double)sums->squares[c] / (double)sums->pixels - average * average;
        mean[c] = average / 255.0;
        deviation[c] = st_sqrt(variance > 0 ? variance : 0) / 255.0;
    }
}

/* What all threads add to, each to its own. */
typedef struct work {
    const strata_dataset *data;
    const st_geometry *geometry; /* NULL: pictures in their own size */
    struct {
        st_pixel_sums sums;
        st_reader reader;
        uint8_t *pixels;
        strata_status status;
        strata_error error;
    } * threads;
} work;

static strata_status add_picture(const work *of, size_t index, int thread, strata_error *err) {
    st_reader *with = &of->threads[thread].reader;
    const uint8_t *pixels = of->threads[thread].pixels;
    size_t wanted = (size_t)strata_dataset_shape(of->data).channels;
    strata_shape is;
    st_pixel_sums sums;
    if (of->geometry != NULL) {
        ST_TRY(st_data_fitted(of->data, STRATA_TRAIN, index, of->geometry, with, of->threads[thread].pixels, err));
        is = of->geometry->out;
        wanted = (size_t)is.channels;
    } else {
        ST_TRY(st_data_read(of->data, STRATA_TRAIN, index, with, err));
        is = with->picture.shape;
        pixels = with->picture.pixels;
    }
    st_pixel_sums_of(&sums, pixels, (size_t)(is.height * is.width), (size_t)is.channels);
    st_pixel_sums_join(&of->threads[thread].sums, &sums, (size_t)is.channels, wanted);
    return STRATA_OK;
}

static void add_one(void *arg, int64_t item, int thread) {
    const work *of = arg;
    if (of->threads[thread].status == STRATA_OK) {
        of->threads[thread].status = add_picture(of, (size_t)item, thread, &of->threads[thread].error);
    }
}

static strata_status run(work *of, st_pixel_sums *all, st_pool *pool, st_arena *scratch, strata_error *err) {
    int threads = st_pool_threads(pool);
    ST_TRY(st_arena_alloc(&of->threads, scratch, (size_t)threads, sizeof *of->threads, err));
    for (int t = 0; t < threads && of->geometry != NULL; t++) {
        ST_TRY(st_arena_alloc(&of->threads[t].pixels, scratch, st_geometry_bytes(of->geometry), 1, err));
    }
    st_pool_for(pool, (int64_t)strata_dataset_count(of->data, STRATA_TRAIN), add_one, of);
    strata_status status = STRATA_OK;
    for (int t = 0; t < threads; t++) {
        st_pixel_sums_join(all, &of->threads[t].sums, ST_DATA_MOST_CHANNELS, ST_DATA_MOST_CHANNELS);
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

static strata_status sum_all(st_pixel_sums *all, const strata_dataset *data, const st_geometry *geometry,
                             strata_error *err) {
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
    st_pixel_sums all = {{0}, {0}, 0};
    memset(mean, 0, 4 * sizeof *mean);
    memset(deviation, 0, 4 * sizeof *deviation);
    ST_FAIL_IF(strata_dataset_count(data, STRATA_TRAIN) == 0, err, STRATA_MISSING, "%s has no training pictures",
               strata_dataset_name(data));
    ST_TRY(sum_all(&all, data, geometry, err));
    int64_t channels = geometry != NULL ? geometry->out.channels : strata_dataset_shape(data).channels;
    st_pixel_sums_result(mean, deviation, &all, (size_t)channels);
    return STRATA_OK;
}

strata_status strata_dataset_statistics(const strata_dataset *data, double mean[4], double deviation[4],
                                        strata_error *err) {
    return st_data_statistics(data, NULL, mean, deviation, err);
}
