/* The doctor: reads every picture of a data set once, on all processors, and tells what a person should look at before
 * training. It mends nothing and writes nothing. Every figure is a sum of whole numbers or stands in the order of the
 * pictures, so that the number of threads changes none. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/doctor.h"

/* A picture whose channels all deviate by less than this many levels of 255 is blank. */
static const double BLANK_DEVIATION = 2;

/* The checkup and what it lives in. */
typedef struct owned {
    strata_checkup checkup; /* first: the pointer to it is the pointer to both */
    st_arena *arena;
} owned;

/* One thread's own. */
typedef struct seat {
    st_reader reader;
    st_pixel_sums training;
    strata_status status;
    strata_error error;
} seat;

typedef struct reading {
    st_doctor *doctor;
    seat *seats;
    _Atomic size_t done;
    atomic_bool stop;
    strata_progress progress;
    void *user;
    bool cancelled; /* written by thread 0 */
} reading;

/* ---- one picture ---- */

static uint64_t turn(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

/* Two sums of 64 bits; where they are the same, the pixels themselves are compared. */
static void hash_pixels(uint64_t out[2], const uint8_t *bytes, size_t count) {
    uint64_t a = count, b = ~(uint64_t)count;
    for (size_t i = 0; i < count; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, count - i < 8 ? count - i : 8);
        a = turn((a ^ word) * 0x9E3779B97F4A7C15u, 29);
        b = turn((b + word) * 0xD1B54A32D192ED03u, 37);
    }
    out[0] = a;
    out[1] = b;
}

static void note_evenness(st_note *note, const st_pixel_sums *of, size_t channels) {
    double pixels = (double)of->pixels, widest = 0;
    for (size_t c = 0; c < channels; c++) {
        double mean = (double)of->sum[c] / pixels, variance = (double)of->squares[c] / pixels - mean * mean;
        widest = variance > widest ? variance : widest;
    }
    const uint64_t *sum = of->sum;
    note->luma = channels >= 3 ? (299 * (double)sum[0] + 587 * (double)sum[1] + 114 * (double)sum[2]) / (1000 * pixels)
                               : (double)sum[0] / pixels;
    note->is_blank = widest < BLANK_DEVIATION * BLANK_DEVIATION;
    note->is_plain = true;
    for (size_t c = 0; c < channels; c++) { /* the same value v everywhere: sums of v and of v * v */
        uint64_t value = of->sum[c] / of->pixels;
        note->is_plain = note->is_plain && value * of->pixels == of->sum[c] && value * of->sum[c] == of->squares[c];
    }
}

static strata_status read_picture(reading *of, size_t index, seat *at) {
    st_doctor *doctor = of->doctor;
    st_note *note = &doctor->notes[index];
    const strata_picture *picture = &at->reader.picture;
    st_pixel_sums own;
    ST_TRY(st_data_read(doctor->data, note->place.part, note->place.index, &at->reader, &at->error));
    size_t channels = (size_t)picture->shape.channels;
    st_pixel_sums_of(&own, picture->pixels, (size_t)(picture->shape.height * picture->shape.width), channels);
    note->shape = picture->shape;
    note_evenness(note, &own, channels);
    hash_pixels(note->hash, picture->pixels, (size_t)own.pixels * channels);
    if (note->place.part == STRATA_TRAIN) {
        st_pixel_sums_join(&at->training, &own, channels, (size_t)strata_dataset_shape(doctor->data).channels);
    }
    return st_look_at(&doctor->looks[index], picture, &at->error);
}

static void read_one(void *arg, int64_t item, int thread) {
    reading *of = arg;
    seat *at = &of->seats[thread];
    if (atomic_load(&of->stop)) {
        return;
    }
    at->status = read_picture(of, (size_t)item, at);
    size_t done = atomic_fetch_add(&of->done, 1) + 1;
    if (thread == 0 && of->progress != NULL && !of->progress(done, of->doctor->count, of->user)) {
        of->cancelled = true;
        atomic_store(&of->stop, true);
    }
    if (at->status != STRATA_OK) {
        atomic_store(&of->stop, true);
    }
}

/* ---- all of them ---- */

static strata_status finish_reading(reading *of, int threads, strata_error *err) {
    strata_checkup *out = of->doctor->out;
    st_pixel_sums all = {{0}, {0}, 0};
    strata_status status = STRATA_OK;
    for (int t = 0; t < threads; t++) {
        seat *at = &of->seats[t];
        st_pixel_sums_join(&all, &at->training, ST_DATA_MOST_CHANNELS, ST_DATA_MOST_CHANNELS);
        if (at->status != STRATA_OK && status == STRATA_OK) {
            status = at->status;
            if (err != NULL) {
                *err = at->error;
            }
        }
        st_reader_free(&at->reader);
    }
    ST_TRY(status);
    ST_FAIL_IF(of->cancelled, err, STRATA_CANCELLED, "stopped");
    st_pixel_sums_result(out->mean, out->deviation, &all, (size_t)strata_dataset_shape(of->doctor->data).channels);
    return STRATA_OK;
}

static strata_status read_all(reading *of, strata_error *err) {
    st_doctor *doctor = of->doctor;
    st_pool *pool = NULL;
    size_t next = 0;
    ST_TRY(st_arena_alloc(&doctor->notes, doctor->scratch, doctor->count, sizeof *doctor->notes, err));
    ST_TRY(st_arena_alloc(&doctor->looks, doctor->scratch, doctor->count, sizeof *doctor->looks, err));
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        for (size_t i = 0; i < strata_dataset_count(doctor->data, (strata_part)part); i++) {
            doctor->notes[next++].place = (strata_place){(strata_part)part, i};
        }
    }
    ST_TRY(st_pool_create(&pool, doctor->threads, err));
    int threads = st_pool_threads(pool);
    strata_status status = st_arena_alloc(&of->seats, doctor->scratch, (size_t)threads, sizeof *of->seats, err);
    if (status == STRATA_OK) {
        st_pool_for(pool, (int64_t)doctor->count, read_one, of);
        status = finish_reading(of, threads, err);
    }
    st_pool_free(pool);
    return status;
}

/* ---- how the pictures are stored ---- */

typedef struct size_at {
    int64_t pixels;
    size_t index;
} size_at;

static int compare_sizes(const void *a, const void *b) {
    const size_at *one = a, *two = b;
    if (one->pixels != two->pixels) {
        return one->pixels < two->pixels ? -1 : 1;
    }
    return one->index < two->index ? -1 : one->index > two->index;
}

static strata_status measure_sizes(st_doctor *doctor, strata_error *err) {
    strata_checkup *out = doctor->out;
    size_at *sizes = NULL;
    double height = 0, width = 0;
    ST_TRY(st_arena_alloc(&sizes, doctor->scratch, doctor->count, sizeof *sizes, err));
    for (size_t i = 0; i < doctor->count; i++) {
        strata_shape shape = doctor->notes[i].shape;
        sizes[i] = (size_at){.pixels = shape.height * shape.width, .index = i};
        height += (double)shape.height;
        width += (double)shape.width;
    }
    qsort(sizes, doctor->count, sizeof *sizes, compare_sizes);
    out->smallest = doctor->notes[sizes[0].index].shape;
    out->median = doctor->notes[sizes[doctor->count / 2].index].shape;
    out->largest = doctor->notes[sizes[doctor->count - 1].index].shape;
    out->height = height / (double)doctor->count;
    out->width = width / (double)doctor->count;
    return STRATA_OK;
}

static void count_modes(st_doctor *doctor) {
    strata_checkup *out = doctor->out;
    for (size_t i = 0; i < doctor->count; i++) {
        strata_place place = doctor->notes[i].place;
        st_picture_about about = st_data_about(doctor->data, place.part, place.index);
        bool is_grey = doctor->notes[i].shape.channels == 1;
        out->grey += is_grey;
        out->cmyk += about.is_cmyk;
        out->alpha += about.has_alpha;
        out->palette += about.is_palette;
        out->deep += about.bits > 8;
        out->turned += about.orientation > 1;
        out->bytes += about.bytes;
    }
}

/* ---- the whole ---- */

static strata_status check(st_doctor *doctor, reading *with, strata_error *err) {
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        doctor->count += strata_dataset_count(doctor->data, (strata_part)part);
    }
    doctor->out->count = doctor->count;
    ST_FAIL_IF(doctor->count == 0, err, STRATA_MISSING, "%s has no pictures", strata_dataset_name(doctor->data));
    ST_FAIL_IF(doctor->count >= UINT32_MAX, err, STRATA_UNSUPPORTED, "%zu pictures are too many", doctor->count);
    ST_TRY(read_all(with, err));
    ST_TRY(measure_sizes(doctor, err));
    count_modes(doctor);
    ST_TRY(st_doctor_find_alike(doctor, err));
    return st_doctor_find_odd(doctor, err);
}

strata_status strata_dataset_check(strata_checkup **out, const strata_dataset *data, int threads,
                                   strata_progress progress, void *user, strata_error *err) {
    st_arena *arena = NULL, *scratch = NULL;
    owned *own = NULL;
    *out = NULL;
    ST_FAIL_IF(threads < 0, err, STRATA_INVALID, "the number of threads must be at least 0, found %d", threads);
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_create(&scratch, err);
    status = status == STRATA_OK ? st_arena_alloc(&own, arena, 1, sizeof *own, err) : status;
    if (status == STRATA_OK) {
        st_doctor doctor = {.data = data, .arena = arena, .scratch = scratch, .threads = threads, .out = &own->checkup};
        reading with = {.doctor = &doctor, .progress = progress, .user = user};
        own->arena = arena;
        status = check(&doctor, &with, err);
    }
    st_arena_free(scratch);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *out = &own->checkup;
    return STRATA_OK;
}

void strata_checkup_free(strata_checkup *checkup) {
    if (checkup != NULL) {
        st_arena_free(((owned *)checkup)->arena);
    }
}

/* ---- what else a person asks of a picture ---- */

void strata_dataset_file(const strata_dataset *data, strata_part part, size_t index, char out[256]) {
    char name[ST_DATA_NAME_BYTES] = "";
    size_t used = 0;
    out[0] = '\0';
    if (index < strata_dataset_count(data, part)) {
        st_data_name(data, part, index, name);
    }
    bool is_utf8 = st_text_is_utf8(name, strlen(name));
    for (const char *at = name; *at != '\0' && used + 4 < 256; at++) {
        unsigned char byte = (unsigned char)*at;
        used += (size_t)snprintf(out + used, 256 - used, is_utf8 || byte < 0x80 ? "%c" : "\\x%02X", byte);
    }
}

int strata_dataset_label(const strata_dataset *data, strata_part part, size_t index) {
    return index < strata_dataset_count(data, part) ? (int)st_data_label(data, part, index) : -1;
}
