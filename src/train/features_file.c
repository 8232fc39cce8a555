/* A table of features in the user's cache folder, for later runs: safetensors with `features` [n,h,w,c] and, for each
 * row, a checksum. Its name is the hash of everything that decides what is in it, and the whole of that hash stands in
 * its metadata. Nothing is trusted: a file that is cut, damaged or another's is as good as none. Files appear whole
 * (st_writer), so several runs may share the folder; one that is being read may be removed. Numbers are stored as F32,
 * so a build in double precision keeps none. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "train/tuning.h"

enum { PATH_BYTES = 256, NAME_DIGITS = 40, STALE_SECONDS = 60 * 60 };
static const char SUFFIX[] = ".safetensors", PART[] = ".safetensors.part-", KEY[] = "strata.features";

static bool is_served(const st_table_file *file) {
    return file->folder != NULL && sizeof(st_real) == 4;
}

static bool path_of(char out[PATH_BYTES], const st_table_file *file) {
    int length = snprintf(out, PATH_BYTES, "%s/%.*s%s", file->folder, NAME_DIGITS, file->key, SUFFIX);
    return length > 0 && length < PATH_BYTES;
}

static size_t row_numbers(const st_table_file *file) {
    return (size_t)(file->dims.h * file->dims.w * file->dims.c);
}

uint64_t st_table_bytes(const st_table_file *file) {
    return (uint64_t)file->count * (4 * (uint64_t)row_numbers(file) + 8);
}

/* Two multiplications for each eight bytes: finds damage, not intent. */
static int64_t checksum(const st_real *row, size_t count) {
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        memcpy(&bits, &row[i], sizeof row[i]);
        hash = (hash ^ bits) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    return (int64_t)(hash >> 1);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

typedef struct table_reader {
    st_weights weights;
    const st_tensor *features;
    int64_t *checksums;
    unsigned char *bytes; /* of one row */
    st_real *row;
} table_reader;

static bool has_shape(const st_tensor *tensor, st_stored stored, const int64_t *dims, int rank) {
    bool same = tensor != NULL && tensor->stored == stored && tensor->rank == rank;
    for (int i = 0; same && i < rank; i++) {
        same = tensor->dims[i] == dims[i];
    }
    return same;
}

static bool look(table_reader *reader, const st_table_file *file) {
    const char *key = st_weights_metadata(&reader->weights, KEY);
    const st_tensor *sums = st_weights_find(&reader->weights, "checksums");
    const int64_t dims[4] = {(int64_t)file->count, file->dims.h, file->dims.w, file->dims.c};
    size_t numbers = row_numbers(file);
    st_arena *arena = reader->weights.arena;
    reader->features = st_weights_find(&reader->weights, "features");
    return key != NULL && strcmp(key, file->key) == 0 && has_shape(reader->features, ST_STORED_F32, dims, 4) &&
           has_shape(sums, ST_STORED_I64, dims, 1) &&
           st_arena_alloc(&reader->checksums, arena, file->count, sizeof *reader->checksums, NULL) == STRATA_OK &&
           st_arena_alloc(&reader->bytes, arena, numbers, 4, NULL) == STRATA_OK &&
           st_arena_alloc(&reader->row, arena, numbers, sizeof *reader->row, NULL) == STRATA_OK &&
           st_weights_read_integers(&reader->weights, sums, reader->checksums, NULL) == STRATA_OK;
}

static bool read_row(table_reader *reader, const st_table_file *file, size_t index) {
    size_t numbers = row_numbers(file);
    uint64_t offset = reader->features->offset + (uint64_t)index * numbers * 4;
    if (st_file_at(&reader->weights.file, reader->bytes, 4 * numbers, offset, NULL) != STRATA_OK) {
        return false;
    }
    for (size_t i = 0; i < numbers; i++) {
        uint32_t bits = (uint32_t)st_stored_get(reader->bytes + 4 * i, 4);
        memcpy(&reader->row[i], &bits, sizeof bits);
    }
    return checksum(reader->row, numbers) == reader->checksums[index];
}

bool st_table_read(const st_table_file *file, bool (*take)(void *to, size_t index, const st_real *row), void *to) {
    char path[PATH_BYTES];
    table_reader reader = {0};
    if (!is_served(file) || !path_of(path, file) || st_weights_open(&reader.weights, path, NULL) != STRATA_OK) {
        return false;
    }
    bool is_good = look(&reader, file);
    for (size_t i = 0; i < file->count && is_good; i++) {
        is_good = read_row(&reader, file, i) && take(to, i, reader.row);
    }
    st_weights_close(&reader.weights);
    if (is_good) {
        (void)utimensat(AT_FDCWD, path, NULL, 0); /* used just now: the last to be removed */
    }
    return is_good;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

void st_table_cancel(st_table_writer *writer) {
    if (writer->is_open) {
        st_weights_write_cancel(&writer->writer);
    }
    st_arena_free(writer->arena);
    *writer = (st_table_writer){0};
}

/* The writer keeps the list of tensors until it is done, so it lives in the arena. */
static strata_status begin(st_table_writer *out, const st_table_file *file, const char *path) {
    st_tensor *tensors = NULL;
    int64_t *dims = NULL;
    st_pair pair = {.name = KEY, .value = file->key};
    ST_TRY(st_arena_alloc(&tensors, out->arena, 2, sizeof *tensors, NULL));
    ST_TRY(st_arena_alloc(&dims, out->arena, 4, sizeof *dims, NULL));
    ST_TRY(st_arena_alloc(&out->checksums, out->arena, file->count, sizeof *out->checksums, NULL));
    dims[0] = (int64_t)file->count;
    dims[1] = file->dims.h;
    dims[2] = file->dims.w;
    dims[3] = file->dims.c;
    tensors[0] = (st_tensor){.name = "features", .stored = ST_STORED_F32, .rank = 4, .dims = dims};
    tensors[1] = (st_tensor){.name = "checksums", .stored = ST_STORED_I64, .rank = 1, .dims = dims};
    ST_TRY(st_weights_write_begin(&out->writer, path, tensors, 2, &pair, 1, NULL));
    out->is_open = true;
    return STRATA_OK;
}

void st_table_begin(st_table_writer *out, const st_table_file *file) {
    char path[PATH_BYTES];
    *out = (st_table_writer){0};
    if (is_served(file) && path_of(path, file) && st_arena_create(&out->arena, NULL) == STRATA_OK &&
        begin(out, file, path) != STRATA_OK) {
        st_table_cancel(out);
    }
}

void st_table_add(st_table_writer *writer, const st_table_file *file, const st_real *row) {
    if (!writer->is_open) {
        return;
    }
    size_t numbers = row_numbers(file);
    writer->checksums[writer->added++] = checksum(row, numbers);
    if (st_weights_write(&writer->writer, row, numbers, NULL) != STRATA_OK) {
        st_table_cancel(writer);
    }
}

void st_table_commit(st_table_writer *writer, const st_table_file *file) {
    if (writer->is_open &&
        st_weights_write_integers(&writer->writer, writer->checksums, file->count, NULL) == STRATA_OK) {
        (void)st_weights_write_commit(&writer->writer, NULL); /* failed or not, it is closed */
        writer->is_open = false;
    }
    st_table_cancel(writer);
}

/* ---- room ------------------------------------------------------------------------------------------------------- */

typedef struct entry {
    char name[PATH_BYTES];
    uint64_t bytes;
    struct timespec used;
} entry;

typedef struct entries {
    entry *items;
    size_t count;
} entries;

static bool ends_in(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

static bool is_table(const char *name) {
    return strspn(name, "0123456789abcdef") == NAME_DIGITS && ends_in(name, SUFFIX);
}

/* Temporary files of a writer that did not end. */
static bool is_left_over(const char *name, time_t changed) {
    return strspn(name, "0123456789abcdef") == NAME_DIGITS && strncmp(name + NAME_DIGITS, PART, strlen(PART)) == 0 &&
           time(NULL) - changed > STALE_SECONDS;
}

static void take_entry(entries *found, st_arena *arena, const char *folder, const char *name) {
    entry e = {{0}, 0, {0, 0}};
    struct stat about;
    int length = snprintf(e.name, sizeof e.name, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof e.name || lstat(e.name, &about) != 0 || !S_ISREG(about.st_mode)) {
        return;
    }
    if (is_left_over(name, about.st_mtime)) {
        st_sys.unlink(e.name);
    } else if (is_table(name)) {
        e.bytes = (uint64_t)about.st_size;
        e.used = about.st_mtim;
        if ((found->count & (found->count - 1)) == 0) { /* full at every power of two */
            entry *more = NULL;
            if (st_arena_alloc(&more, arena, 2 * found->count + 1, sizeof *more, NULL) != STRATA_OK) {
                return;
            }
            if (found->count > 0) {
                memcpy(more, found->items, found->count * sizeof *more);
            }
            found->items = more;
        }
        found->items[found->count++] = e;
    }
}

static int older_first(const void *a, const void *b) {
    const entry *one = a, *two = b;
    if (one->used.tv_sec != two->used.tv_sec) {
        return one->used.tv_sec < two->used.tv_sec ? -1 : 1;
    }
    return one->used.tv_nsec < two->used.tv_nsec ? -1 : one->used.tv_nsec > two->used.tv_nsec ? 1 : 0;
}

void st_table_make_room(const char *folder, uint64_t bytes, uint64_t most) {
    st_arena *arena = NULL;
    entries found = {0};
    uint64_t all = bytes;
    DIR *list = opendir(folder);
    if (list == NULL || st_arena_create(&arena, NULL) != STRATA_OK) {
        if (list != NULL) {
            closedir(list);
        }
        return;
    }
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        take_entry(&found, arena, folder, e->d_name);
    }
    closedir(list);
    for (size_t i = 0; i < found.count; i++) {
        all += found.items[i].bytes;
    }
    if (found.count > 0) {
        qsort(found.items, found.count, sizeof *found.items, older_first);
    }
    for (size_t i = 0; i < found.count && all > most; i++) {
        st_sys.unlink(found.items[i].name);
        all -= found.items[i].bytes;
    }
    st_arena_free(arena);
}
