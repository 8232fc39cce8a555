/* Mean and deviation of the training pixels: exact sums, so the order of reading does not matter. */
#include <string.h>

#include "data/data.h"

enum { CHUNK_BYTES = 256 << 10 };

typedef struct sums {
    uint64_t sum[ST_DATA_MOST_CHANNELS], squares[ST_DATA_MOST_CHANNELS];
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
}

static strata_status sum_all(sums *all, const strata_dataset *data, st_arena *scratch, strata_error *err) {
    size_t all_count = strata_dataset_count(data, STRATA_TRAIN), bytes = st_data_picture_bytes(data);
    size_t step = CHUNK_BYTES / bytes > 0 ? CHUNK_BYTES / bytes : 1;
    uint8_t *pixels = NULL;
    ST_TRY(st_arena_alloc(&pixels, scratch, step, bytes, err));
    for (size_t done = 0; done < all_count; done += step) {
        size_t count = all_count - done < step ? all_count - done : step;
        ST_TRY(st_data_gather(data, STRATA_TRAIN, NULL, done, count, pixels, NULL, err));
        add_pixels(all, pixels, count * bytes, (size_t)strata_dataset_shape(data).channels);
    }
    return STRATA_OK;
}

strata_status strata_dataset_statistics(const strata_dataset *data, double mean[4], double deviation[4],
                                        strata_error *err) {
    size_t count = strata_dataset_count(data, STRATA_TRAIN);
    strata_shape shape = strata_dataset_shape(data);
    sums all = {{0}, {0}};
    st_arena *scratch = NULL;
    memset(mean, 0, 4 * sizeof *mean);
    memset(deviation, 0, 4 * sizeof *deviation);
    ST_FAIL_IF(count == 0, err, STRATA_MISSING, "%s has no training pictures", strata_dataset_name(data));
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = sum_all(&all, data, scratch, err);
    st_arena_free(scratch);
    ST_TRY(status);
    double pixels = (double)count * (double)shape.height * (double)shape.width;
    for (size_t c = 0; c < (size_t)shape.channels; c++) {
        double average = (double)all.sum[c] / pixels;
        double variance = (double)all.squares[c] / pixels - average * average;
        mean[c] = average / 255.0;
        deviation[c] = st_sqrt(variance > 0 ? variance : 0) / 255.0;
    }
    return STRATA_OK;
}
