/* Data sets: what was found on disk, cut into parts. The public strata_dataset_* and the gathering of pictures for a
 * batch.
 *
 * Holding out is stratified: of a class with n training pictures, n * share are taken, rounded half up, at least 1
 * where n >= 2 and never all; which ones is drawn from the seed for each class. Both parts keep the order of the file.
 */
#include "data/data.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A label this far above all smaller ones is damage, not a class. */
enum { WIDEST_GAP = 32, CHUNK_BYTES = 256 << 10 };

typedef struct part {
    const st_part_source *source;
    const uint32_t *indexes; /* in the source; NULL: 0, 1, 2, ... */
    size_t count;
    size_t class_sizes[ST_DATA_MOST_CLASSES];
} part;

struct strata_dataset {
    st_arena *arena;
    const char *name, *kind;
    strata_shape shape;
    size_t picture_bytes;
    size_t class_count;
    const char **classes;
    bool was_held_out;
    st_part_source sources[STRATA_PART_COUNT];
    part parts[STRATA_PART_COUNT];
};

/* ---- where it is ---- */

static strata_status fail_unknown(const char *path, strata_error *err) {
    static const char *const names[] = {"fashion-mnist", "mnist"};
    const char *near = st_text_nearest(path, names, ST_COUNT_OF(names));
    st_fail_file(err, STRATA_MISSING, path, "no such file or folder, nor a known data set");
    if (near != NULL) {
        st_error_hint(err, "did you mean %s?", near);
    }
    return STRATA_MISSING;
}

/* A folder or file that is there, else a known name. */
static strata_status find_place(char out[256], const st_data_known **known, const char *path, strata_error *err) {
    struct stat about;
    size_t length = strlen(path);
    *known = strchr(path, '/') == NULL ? st_data_known_find(path) : NULL;
    if (stat(path, &about) == 0) {
        if (length >= 256) {
            return st_fail_file(err, STRATA_INVALID, path, "the path has %zu bytes, at most 255 are served", length);
        }
        memcpy(out, path, length + 1);
        return STRATA_OK;
    }
    if (*known == NULL) {
        return fail_unknown(path, err);
    }
    return st_data_known_folder(out, *known, err);
}

/* The last part of the folder's path, of a file's folder. */
static strata_status find_name(strata_dataset *data, const char *place, strata_error *err) {
    char real[PATH_MAX];
    struct stat about;
    char *copy = NULL;
    if (realpath(place, real) == NULL) {
        return st_fail_file(err, STRATA_IO, place, "the path cannot be followed");
    }
    if (stat(real, &about) == 0 && !S_ISDIR(about.st_mode) && strrchr(real, '/') != NULL) {
        *strrchr(real, '/') = '\0';
    }
    const char *slash = strrchr(real, '/');
    const char *last = slash != NULL && slash[1] != '\0' ? slash + 1 : real;
    ST_TRY(st_arena_text(&copy, data->arena, last, strlen(last), err));
    data->name = copy;
    return STRATA_OK;
}

/* ---- classes ---- */

/* One more than the largest label, or the picture whose label is too far above the others. */
static strata_status count_classes(strata_dataset *data, const st_part_source *source, strata_error *err) {
    size_t first[ST_DATA_MOST_CLASSES];
    bool is_there[ST_DATA_MOST_CLASSES] = {false};
    for (size_t i = source->pictures.count; i > 0; i--) {
        is_there[source->labels[i - 1]] = true;
        first[source->labels[i - 1]] = i - 1;
    }
    size_t below = 0;
    for (size_t c = 0; c < ST_DATA_MOST_CLASSES; c++) {
        if (!is_there[c]) {
            continue;
        }
        if (c > below + WIDEST_GAP) {
            return st_fail_file(err, STRATA_FORMAT, source->labels_path,
                                "label %zu of picture %zu is out of range: all smaller labels are at most %zu", c,
                                first[c], below);
        }
        below = c;
    }
    data->class_count = below + 1;
    return STRATA_OK;
}

static strata_status check_labels(const strata_dataset *data, const st_part_source *source, strata_error *err) {
    for (size_t i = 0; i < source->pictures.count; i++) {
        if (source->labels[i] >= data->class_count) {
            return st_fail_file(err, STRATA_FORMAT, source->labels_path,
                                "label %d of picture %zu is out of range, expected 0 to %zu", source->labels[i], i,
                                data->class_count - 1);
        }
    }
    return STRATA_OK;
}

static strata_status name_classes(strata_dataset *data, const st_data_known *known, strata_error *err) {
    ST_TRY(st_arena_alloc(&data->classes, data->arena, data->class_count, sizeof *data->classes, err));
    for (size_t c = 0; c < data->class_count; c++) {
        char *number = NULL;
        if (known != NULL && known->classes != NULL) {
            data->classes[c] = known->classes[c];
            continue;
        }
        ST_TRY(st_arena_printf(&number, data->arena, err, "%zu", c));
        data->classes[c] = number;
    }
    return STRATA_OK;
}

static strata_status settle_classes(strata_dataset *data, const st_data_known *known, strata_error *err) {
    const st_part_source *train = &data->sources[STRATA_TRAIN];
    if (known != NULL) {
        data->class_count = known->class_count;
    } else {
        ST_TRY(count_classes(data, train->pictures.count > 0 ? train : &data->sources[STRATA_TEST], err));
    }
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        ST_TRY(check_labels(data, &data->sources[p], err));
    }
    return name_classes(data, known, err);
}

static strata_status settle_shape(strata_dataset *data, strata_error *err) {
    const st_pictures *first = NULL;
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        const st_pictures *pictures = &data->sources[p].pictures;
        if (pictures->count == 0) {
            continue;
        }
        first = first == NULL ? pictures : first;
        strata_shape a = first->shape, b = pictures->shape;
        if (a.height != b.height || a.width != b.width || a.channels != b.channels) {
            return st_fail_file(err, STRATA_SHAPE, pictures->file.path,
                                "pictures of %lldx%lldx%lld, those of %s are %lldx%lldx%lld", (long long)b.height,
                                (long long)b.width, (long long)b.channels, first->file.path, (long long)a.height,
                                (long long)a.width, (long long)a.channels);
        }
    }
    ST_FAIL_IF(first == NULL, err, STRATA_MISSING, "no pictures were found");
    data->shape = first->shape;
    data->picture_bytes = first->picture_bytes;
    return STRATA_OK;
}

/* ---- parts ---- */

static uint8_t label_at(const part *of, size_t index) {
    return of->source->labels[of->indexes != NULL ? of->indexes[index] : index];
}

static void count_sizes(part *of) {
    memset(of->class_sizes, 0, sizeof of->class_sizes);
    for (size_t i = 0; i < of->count; i++) {
        of->class_sizes[label_at(of, i)]++;
    }
}

static size_t held_of_class(size_t count, double share) {
    size_t held = (size_t)((double)count * share + 0.5);
    held = held == 0 && count >= 2 ? 1 : held;
    return held >= count && count > 0 ? count - 1 : held;
}

/* Marks the pictures to hold out; `members` and `order` are scratch for as many pictures. */
static size_t draw_held_out(uint8_t *is_held, uint32_t *members, uint32_t *order, const part *train, size_t classes,
                            const strata_data_options *options) {
    size_t all = 0;
    for (size_t c = 0; c < classes; c++) {
        size_t count = 0, held = held_of_class(train->class_sizes[c], options->hold_out);
        for (size_t i = 0; i < train->count; i++) {
            if (label_at(train, i) == c) {
                members[count++] = (uint32_t)i;
            }
        }
        st_rng_shuffle(order, count, options->seed, st_rng_stream(ST_STREAM_HOLD_OUT, c));
        for (size_t i = 0; i < held; i++) {
            is_held[members[order[i]]] = 1;
        }
        all += held;
    }
    return all;
}

static strata_status hold_out(strata_dataset *data, const strata_data_options *options, st_arena *scratch,
                              strata_error *err) {
    part *train = &data->parts[STRATA_TRAIN], *val = &data->parts[STRATA_VAL];
    uint8_t *is_held = NULL;
    uint32_t *members = NULL, *order = NULL, *kept = NULL, *taken = NULL;
    size_t count = train->count;
    ST_TRY(st_arena_alloc(&is_held, scratch, count, 1, err));
    ST_TRY(st_arena_alloc(&members, scratch, count, sizeof *members, err));
    ST_TRY(st_arena_alloc(&order, scratch, count, sizeof *order, err));
    size_t held = draw_held_out(is_held, members, order, train, data->class_count, options);
    ST_TRY(st_arena_alloc(&kept, data->arena, count - held, sizeof *kept, err));
    ST_TRY(st_arena_alloc(&taken, data->arena, held, sizeof *taken, err));
    size_t kept_count = 0, taken_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_held[i] != 0) {
            taken[taken_count++] = (uint32_t)i;
        } else {
            kept[kept_count++] = (uint32_t)i;
        }
    }
    *val = (part){.source = train->source, .indexes = taken, .count = taken_count};
    train->indexes = kept;
    train->count = kept_count;
    count_sizes(train);
    count_sizes(val);
    data->was_held_out = taken_count > 0;
    return STRATA_OK;
}

static strata_status settle_parts(strata_dataset *data, const strata_data_options *options, strata_error *err) {
    part *train = &data->parts[STRATA_TRAIN];
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        const st_part_source *source = &data->sources[p];
        data->parts[p] = (part){.source = source, .count = source->pictures.count};
        if (p == STRATA_TRAIN && options->limit > 0 && options->limit < train->count) {
            train->count = options->limit;
        }
        count_sizes(&data->parts[p]);
    }
    if (options->hold_out == 0 || train->count == 0 || data->parts[STRATA_VAL].count > 0) {
        return STRATA_OK;
    }
    st_arena *scratch = NULL;
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = hold_out(data, options, scratch, err);
    st_arena_free(scratch);
    return status;
}

/* ---- opening and closing ---- */

static strata_status open_place(strata_dataset *data, const char *path, const strata_data_options *options,
                                strata_error *err) {
    char place[256];
    const st_data_known *known = NULL;
    ST_TRY(find_place(place, &known, path, err));
    ST_TRY(find_name(data, place, err));
    known = known == NULL ? st_data_known_find(data->name) : known;
    if (known != NULL) {
        data->name = known->name;
    }
    const st_data_kind *kind = st_data_kind_find(place);
    if (kind == NULL) {
        return st_fail_file(err, STRATA_UNSUPPORTED, place, "no data set was found here; a folder must hold %s",
                            st_data_kind_at(0)->expected);
    }
    ST_TRY(kind->open(data->sources, &data->kind, data->arena, place, err));
    ST_TRY(settle_shape(data, err));
    ST_TRY(settle_classes(data, known, err));
    return settle_parts(data, options, err);
}

strata_status strata_dataset_open(strata_dataset **out, const char *path, const strata_data_options *options,
                                  strata_error *err) {
    static const strata_data_options none;
    st_arena *arena = NULL;
    strata_dataset *data = NULL;
    options = options != NULL ? options : &none;
    *out = NULL;
    ST_FAIL_IF(path == NULL || path[0] == '\0', err, STRATA_INVALID, "no data set was named");
    ST_FAIL_IF(!(options->hold_out >= 0 && options->hold_out < 1), err, STRATA_INVALID,
               "the share to hold out must be from 0 to below 1, found %g", options->hold_out);
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&data, arena, 1, sizeof *data, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    data->arena = arena;
    for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
        data->sources[p].pictures.file.descriptor = -1;
    }
    status = open_place(data, path, options, err);
    if (status != STRATA_OK) {
        strata_dataset_free(data);
        return status;
    }
    *out = data;
    return STRATA_OK;
}

void strata_dataset_free(strata_dataset *data) {
    if (data != NULL) {
        for (size_t p = 0; p < STRATA_PART_COUNT; p++) {
            st_pictures_close(&data->sources[p].pictures);
        }
        st_arena_free(data->arena);
    }
}

/* ---- looking ---- */

const char *strata_dataset_name(const strata_dataset *data) {
    return data->name;
}

const char *strata_dataset_kind(const strata_dataset *data) {
    return data->kind;
}

size_t strata_dataset_count(const strata_dataset *data, strata_part which) {
    return which >= 0 && which < STRATA_PART_COUNT ? data->parts[which].count : 0;
}

bool strata_dataset_was_held_out(const strata_dataset *data) {
    return data->was_held_out;
}

strata_shape strata_dataset_shape(const strata_dataset *data) {
    return data->shape;
}

size_t strata_dataset_class_count(const strata_dataset *data) {
    return data->class_count;
}

const char *strata_dataset_class(const strata_dataset *data, size_t index) {
    return index < data->class_count ? data->classes[index] : "";
}

size_t strata_dataset_class_size(const strata_dataset *data, strata_part which, size_t class_index) {
    return strata_dataset_count(data, which) > 0 && class_index < data->class_count
               ? data->parts[which].class_sizes[class_index]
               : 0;
}

void st_data_fingerprint(const strata_dataset *data, char out[65]) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (int p = STRATA_TRAIN; p <= STRATA_VAL; p++) {
        const part *of = &data->parts[p];
        for (size_t i = 0; i < of->count; i++) {
            uint8_t label = label_at(of, i);
            st_sha256_add(&sha, &label, 1);
        }
        st_sha256_add(&sha, "|", 1);
    }
    st_sha256_end(&sha, out);
}

size_t st_data_picture_bytes(const strata_dataset *data) {
    return data->picture_bytes;
}

/* ---- reading ---- */

strata_status st_pictures_read(const st_pictures *pictures, size_t index, size_t count, uint8_t *pixels,
                               strata_error *err) {
    uint64_t place = pictures->first + (uint64_t)index * pictures->picture_bytes; /* idx.c saw that both fit */
    size_t bytes = count * pictures->picture_bytes;
    if (pictures->memory != NULL) {
        memcpy(pixels, pictures->memory + place, bytes);
        return STRATA_OK;
    }
    return st_file_at(&pictures->file, pixels, bytes, place, err);
}

void st_pictures_close(st_pictures *pictures) {
    if (pictures->picture_bytes > 0) { /* else nothing was opened */
        st_file_close(&pictures->file);
    }
    if (pictures->memory != NULL) {
        st_sys.release(pictures->memory, pictures->memory_bytes);
    }
    *pictures = (st_pictures){.file.descriptor = -1};
}

strata_status st_data_gather(const strata_dataset *data, strata_part which, const uint32_t *order, size_t first,
                             size_t count, uint8_t *pixels, int32_t *labels, strata_error *err) {
    const part *from = &data->parts[which];
    size_t done = 0;
    while (done < count) {
        size_t run = 0, start = 0; /* pictures that follow each other in the file are read at once */
        for (; done + run < count; run++) {
            size_t index = order != NULL ? order[first + done + run] : first + done + run;
            ST_FAIL_IF(index >= from->count, err, STRATA_INVALID, "there is no picture %zu, the part has %zu", index,
                       from->count);
            index = from->indexes != NULL ? from->indexes[index] : index;
            start = run == 0 ? index : start;
            if (index != start + run) {
                break;
            }
            if (labels != NULL) {
                labels[done + run] = from->source->labels[index];
            }
        }
        ST_TRY(st_pictures_read(&from->source->pictures, start, run, pixels + done * data->picture_bytes, err));
        done += run;
    }
    return STRATA_OK;
}

strata_status strata_dataset_read(const strata_dataset *data, strata_part which, size_t index, uint8_t *pixels,
                                  int *label, strata_error *err) {
    int32_t found = 0;
    size_t count = strata_dataset_count(data, which);
    *label = 0;
    ST_FAIL_IF(index >= count, err, STRATA_INVALID, "there is no picture %zu, the part has %zu", index, count);
    ST_TRY(st_data_gather(data, which, NULL, index, 1, pixels, &found, err));
    *label = (int)found;
    return STRATA_OK;
}

void st_data_order(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch) {
    st_rng_shuffle(order, count, seed, st_rng_stream(ST_STREAM_ORDER, epoch));
}

/* ---- statistics ---- */

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
    const part *train = &data->parts[STRATA_TRAIN];
    size_t step = CHUNK_BYTES / data->picture_bytes > 0 ? CHUNK_BYTES / data->picture_bytes : 1;
    uint8_t *pixels = NULL;
    ST_TRY(st_arena_alloc(&pixels, scratch, step, data->picture_bytes, err));
    for (size_t done = 0; done < train->count; done += step) {
        size_t count = train->count - done < step ? train->count - done : step;
        ST_TRY(st_data_gather(data, STRATA_TRAIN, NULL, done, count, pixels, NULL, err));
        add_pixels(all, pixels, count * data->picture_bytes, (size_t)data->shape.channels);
    }
    return STRATA_OK;
}

strata_status strata_dataset_statistics(const strata_dataset *data, double mean[4], double deviation[4],
                                        strata_error *err) {
    const part *train = &data->parts[STRATA_TRAIN];
    sums all = {{0}, {0}};
    st_arena *scratch = NULL;
    memset(mean, 0, 4 * sizeof *mean);
    memset(deviation, 0, 4 * sizeof *deviation);
    ST_FAIL_IF(train->count == 0, err, STRATA_MISSING, "%s has no training pictures", data->name);
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = sum_all(&all, data, scratch, err);
    st_arena_free(scratch);
    ST_TRY(status);
    /* The sums are exact, so the order of reading does not matter. */
    double pixels = (double)train->count * (double)data->shape.height * (double)data->shape.width;
    for (size_t c = 0; c < (size_t)data->shape.channels; c++) {
        double average = (double)all.sum[c] / pixels;
        double variance = (double)all.squares[c] / pixels - average * average;
        mean[c] = average / 255.0;
        deviation[c] = st_sqrt(variance > 0 ? variance : 0) / 255.0;
    }
    return STRATA_OK;
}
