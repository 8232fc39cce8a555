/* data: labelled pictures, from files to batches. The public strata_dataset_* and strata_picture_* of strata.h are
 * defined in this folder; this header is the rest of its interface. */
#ifndef ST_DATA_H
#define ST_DATA_H

#include "base/base.h"

/* ---- kinds of data sets: one descriptor each, listed in table.c ---- */

enum { ST_DATA_MOST_CLASSES = 256, ST_DATA_MOST_CHANNELS = 4, ST_DATA_MOST_SIDE = 16384 };

/* Pictures of one size that lie in one file, one after the other, from byte `first` on. */
typedef struct st_pictures {
    st_file file;          /* its path names it in errors, also when it was unpacked */
    unsigned char *memory; /* instead of the file where no temporary file could be had */
    size_t memory_bytes;
    uint64_t first;
    size_t count;
    strata_shape shape;
    size_t picture_bytes;
} st_pictures;

/* What a kind finds for one part. Without pictures (count 0) there is no such part. */
typedef struct st_part_source {
    st_pictures pictures;
    const uint8_t *labels;   /* [count], in the dataset's arena */
    const char *labels_path; /* names the labels in errors */
} st_part_source;

typedef struct st_data_kind {
    const char *name;
    const char *expected; /* what a folder must hold, for the message when no kind takes it */
    /* Whether a file or folder is of this kind, found by looking; never an error. */
    bool (*probe)(const char *path);
    /* Fills sources[STRATA_TRAIN, STRATA_VAL, STRATA_TEST] and `text`, such as "IDX, gzip". What it has filled when it
     * fails is freed by the caller. */
    strata_status (*open)(st_part_source sources[STRATA_PART_COUNT], const char **text, st_arena *arena,
                          const char *path, strata_error *err);
} st_data_kind;

size_t st_data_kind_count(void);
const st_data_kind *st_data_kind_at(size_t index);
const st_data_kind *st_data_kind_find(const char *path); /* NULL: none takes it */
extern const st_data_kind st_data_idx;

/* A data set that is known by name, or by the name of its folder. */
typedef struct st_data_known {
    const char *name;
    const char *package;        /* of Debian that installs it, or NULL */
    const char *const *classes; /* NULL: numbers */
    size_t class_count;
} st_data_known;
/* Compares without case, '-' and '_': the folder FashionMNIST is "fashion-mnist". NULL: not known. */
const st_data_known *st_data_known_find(const char *name);
/* The folder of a known data set: $STRATA_DATA/NAME or /usr/share/datasets/NAME. STRATA_MISSING says how to get it. */
strata_status st_data_known_folder(char out[256], const st_data_known *known, strata_error *err);
/* Joins with a '/'; STRATA_INVALID where the path would be too long. */
strata_status st_data_join(char out[256], const char *folder, const char *name, strata_error *err);

/* ---- pictures in files ---- */

/* `count` pictures from `index` on into pixels [count][picture_bytes]. */
strata_status st_pictures_read(const st_pictures *pictures, size_t index, size_t count, uint8_t *pixels,
                               strata_error *err);
void st_pictures_close(st_pictures *pictures); /* twice does no harm, nor on zeros */

/* One IDX file of pictures (rank 3 or 4) or of labels (rank 1), plain or gzip, checked whole. */
strata_status st_idx_pictures(st_pictures *out, const char *path, strata_error *err);
strata_status st_idx_labels(const uint8_t **out, size_t *count, st_arena *arena, const char *path, strata_error *err);
bool st_idx_probe_file(const char *path);

/* ---- gzip, read as a stream ---- */

typedef struct st_gzip st_gzip;
strata_status st_gzip_probe(bool *is_gzip, const st_file *file, strata_error *err);
strata_status st_gzip_open(st_gzip **out, const st_file *file, strata_error *err); /* file is lent */
/* Up to `count` bytes; *got is less only where the content ends, and then the whole file was good. */
strata_status st_gzip_read(st_gzip *gzip, void *out, size_t count, size_t *got, strata_error *err);
/* STRATA_FORMAT unless the content ends here. */
strata_status st_gzip_end(st_gzip *gzip, strata_error *err);
void st_gzip_close(st_gzip *gzip); /* NULL is allowed */
/* The whole content, which must be exactly `length` bytes (not one more is kept), into an unnamed temporary file that
 * replaces `pictures->file`, or into pictures->memory where none can be had. */
strata_status st_gzip_unpack(st_pictures *pictures, uint64_t length, strata_error *err);

/* ---- batches ---- */

/* Pictures order[first .. first + count - 1] of a part (order NULL: first, first + 1, ...). labels may be NULL. */
strata_status st_data_gather(const strata_dataset *data, strata_part part, const uint32_t *order, size_t first,
                             size_t count, uint8_t *pixels, int32_t *labels, strata_error *err);
/* The order of the training pictures in an epoch (from 0). */
void st_data_order(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch);
size_t st_data_picture_bytes(const strata_dataset *data);
/* SHA-256 over the labels of the training and val pictures in their order: another data set, or another split, differs.
 */
void st_data_fingerprint(const strata_dataset *data, char out[65]);

/* Reads the next batches in a thread of its own while the caller works on this one. */
typedef struct st_batcher st_batcher;
enum { ST_BATCHER_BUFFERS = 3 };
strata_status st_batcher_create(st_batcher **out, const strata_dataset *data, strata_part part, size_t batch,
                                strata_error *err);
/* Begins a pass over order[first .. count - 1]; NULL: first .. count - 1 themselves. `order` is copied. A pass that was
 * not read to its end is given up. */
strata_status st_batcher_start(st_batcher *batcher, const uint32_t *order, size_t count, size_t first,
                               strata_error *err);
/* The next batch: *n pictures [n][picture bytes] and labels [n], lent until the next call. *n = 0 at the end of a pass.
 * A failure is given in place of the batch it hit, and again until the next start. */
strata_status st_batcher_next(st_batcher *batcher, const uint8_t **pixels, const int32_t **labels, size_t *n,
                              strata_error *err);
void st_batcher_free(st_batcher *batcher); /* NULL is allowed */
/* What a batcher holds, for the plan's count of memory; 0 on overflow. */
size_t st_batcher_bytes(size_t picture_bytes, size_t batch);

#endif
