/* data: labelled pictures, from files to batches. The public strata_dataset_* and strata_picture_* of strata.h are
 * defined in this folder; this header is the rest of its interface. */
#ifndef ST_DATA_H
#define ST_DATA_H

#include "base/base.h"

/* ---- kinds of data sets: one descriptor each, listed in table.c ---- */

enum {
    ST_DATA_MOST_CLASSES = 100000,
    ST_DATA_MOST_CHANNELS = 4,
    ST_DATA_MOST_SIDE = 16384,
    ST_DATA_MOST_PIXELS = 64 << 20,
    ST_DATA_NAME_BYTES = 256
};

typedef struct st_part_source st_part_source;

/* What a kind does with the pictures of a part. */
typedef struct st_source_calls {
    /* `count` pictures from `index` on, in the part's shape, into pixels [count][picture_bytes]. */
    strata_status (*read)(const st_part_source *source, size_t index, size_t count, uint8_t *pixels, strata_error *err);
    /* The file of a picture, below the data's folder; "FILE:k" where a file holds many. */
    void (*name)(const st_part_source *source, size_t index, char out[ST_DATA_NAME_BYTES]);
    void (*close)(st_part_source *source);
} st_source_calls;

/* One part, as its kind gives it. */
struct st_part_source {
    const st_source_calls *calls; /* NULL: nothing was opened */
    void *state;                  /* the kind's own, in the dataset's arena */
    size_t count;                 /* 0: there is no such part */
    strata_shape shape;           /* of every picture */
    size_t picture_bytes;
    const int32_t *labels;   /* [count], in the dataset's arena */
    const char *path;        /* names the pictures in errors */
    const char *labels_path; /* names the labels in errors */
};

/* A picture that cannot be read. */
typedef struct st_broken {
    const char *name, *reason;
} st_broken;

/* What a kind finds; texts and lists live in the dataset's arena. */
typedef struct st_data_found {
    st_part_source parts[STRATA_PART_COUNT];
    const char *text;           /* such as "IDX, gzip" */
    const char *const *classes; /* NULL: labels are numbers, and are counted */
    size_t class_count;
    const st_broken *broken; /* left out of the parts */
    size_t broken_count;
} st_data_found;

typedef struct st_data_kind {
    const char *name;
    const char *expected; /* what a folder must hold, for the message when no kind takes it */
    /* Whether a file or folder is of this kind, found by looking; never an error. */
    bool (*probe)(const char *path);
    /* Fills `out`, which is zeros. Parts that it has opened when it fails are closed by the caller. */
    strata_status (*open)(st_data_found *out, st_arena *arena, const char *path, strata_error *err);
} st_data_kind;

size_t st_data_kind_count(void);
const st_data_kind *st_data_kind_at(size_t index);
const st_data_kind *st_data_kind_find(const char *path); /* NULL: none takes it */
extern const st_data_kind st_data_idx, st_data_cifar, st_data_folder;
bool st_data_is_folder(const char *path);

/* A data set that is known by name, or by the name of its folder. */
typedef struct st_data_known {
    const char *name;
    const char *package;        /* of Debian that installs it, or NULL */
    const char *const *classes; /* where the files name none; NULL: numbers */
    size_t class_count;         /* 0: the files say it */
} st_data_known;
/* Compares without case, '-' and '_': the folder FashionMNIST is "fashion-mnist". NULL: not known. */
const st_data_known *st_data_known_find(const char *name);
/* The folder of a known data set: $STRATA_DATA/NAME or /usr/share/datasets/NAME. STRATA_MISSING says how to get it. */
strata_status st_data_known_folder(char out[256], const st_data_known *known, strata_error *err);
/* Joins with a '/'; STRATA_INVALID where the path would be too long. */
strata_status st_data_join(char out[256], const char *folder, const char *name, strata_error *err);

/* ---- pictures of one size that lie in one file, one after the other, from byte `first` on ---- */

typedef struct st_pictures {
    st_file file;          /* its path names it in errors, also when it was unpacked */
    unsigned char *memory; /* instead of the file where no temporary file could be had */
    size_t memory_bytes;
    uint64_t first;
    size_t count;
    strata_shape shape;
    size_t picture_bytes;
} st_pictures;

/* `count` pictures from `index` on into pixels [count][picture_bytes]. */
strata_status st_pictures_read(const st_pictures *pictures, size_t index, size_t count, uint8_t *pixels,
                               strata_error *err);
void st_pictures_close(st_pictures *pictures); /* twice does no harm, nor on zeros */
/* The source takes the pictures, also when it fails. */
strata_status st_pictures_source(st_part_source *out, st_pictures *pictures, st_arena *arena, strata_error *err);

/* One IDX file of pictures (rank 3 or 4) or of labels (rank 1), plain or gzip, checked whole. */
strata_status st_idx_pictures(st_pictures *out, const char *path, strata_error *err);
strata_status st_idx_labels(const int32_t **out, size_t *count, st_arena *arena, const char *path, strata_error *err);
bool st_idx_probe_file(const char *path);

/* ---- one picture from a file's bytes; the kind is seen from the content ---- */

/* Room for a picture of this shape, which must be within the limits; uses again what `picture` holds. */
strata_status st_picture_room(strata_picture *picture, strata_shape shape, strata_error *err);

typedef struct st_decoder {
    const char *name;    /* "JPEG" */
    const char *lacking; /* what this build would need to read it; NULL: it can */
    bool (*is)(const unsigned char *bytes, size_t length);
    /* Into `out`, whose room is used again. `path` names the file in errors. */
    strata_status (*decode)(strata_picture *out, const unsigned char *bytes, size_t length, const char *path,
                            strata_error *err);
} st_decoder;
extern const st_decoder st_decoder_anymap, st_decoder_jpeg, st_decoder_png;
/* STRATA_UNSUPPORTED for what is no picture, or none that this build reads. */
strata_status st_picture_decode(strata_picture *out, const unsigned char *bytes, size_t length, const char *path,
                                strata_error *err);
bool st_picture_is(const unsigned char *bytes, size_t length); /* begins like a picture, of a kind served or not */

/* ---- what was unpacked or decoded: an unnamed temporary file, or memory where none can be had ---- */

typedef struct st_spill {
    int descriptor; /* -1: memory */
    unsigned char *memory;
    size_t capacity;
    uint64_t length; /* bytes added so far */
    size_t next;     /* folder to try */
} st_spill;
/* Finds a place for `expected` bytes; more may come. */
strata_status st_spill_begin(st_spill *out, uint64_t expected, strata_error *err);
strata_status st_spill_add(st_spill *spill, const void *bytes, size_t count, strata_error *err);
strata_status st_spill_at(const st_spill *spill, void *bytes, size_t count, uint64_t offset, strata_error *err);
void st_spill_free(st_spill *spill); /* twice does no harm, nor on zeros with descriptor -1 */

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

/* The file of a picture; see st_source_calls. */
void st_data_name(const strata_dataset *data, strata_part part, size_t index, char out[ST_DATA_NAME_BYTES]);
/* Pictures order[first .. first + count - 1] of a part (order NULL: first, first + 1, ...). labels may be NULL. */
strata_status st_data_gather(const strata_dataset *data, strata_part part, const uint32_t *order, size_t first,
                             size_t count, uint8_t *pixels, int32_t *labels, strata_error *err);
/* The order of the training pictures in an epoch (from 0). */
void st_data_order(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch);
size_t st_data_picture_bytes(const strata_dataset *data);
/* SHA-256 over the labels of the training and val pictures in their order: another data set, or another split, differs.
 */
void st_data_fingerprint(const strata_dataset *data, char out[65]);

/* ---- augmentation: pictures changed at random, on bytes, as a pure function of seed, epoch and picture ---- */

enum { ST_AUGMENT_MOST_STEPS = 8, ST_AUGMENT_TEXT_BYTES = 128 };

typedef struct st_augment {
    int count; /* 0: none */
    struct {
        int word; /* in augment.c's table */
        int64_t amount;
    } steps[ST_AUGMENT_MOST_STEPS];
    char text[ST_AUGMENT_TEXT_BYTES]; /* presets resolved: "crop=4,mirror"; "" for none */
} st_augment;
/* Words of augment.c's table with commas between them, "mirror,crop=4", or a preset, "cifar". NULL, "" and "none" are
 * none. */
strata_status st_augment_parse(st_augment *out, const char *text, strata_error *err);

/* STRATA_INVALID where pictures of this shape would often be moved out of sight. */
strata_status st_augment_fits(const st_augment *augment, strata_shape shape, strata_error *err);

typedef struct st_augmentation {
    st_augment augment;
    uint8_t fill[ST_DATA_MOST_CHANNELS]; /* a pixel outside of the picture: the mean, which preparation takes to 0 */
    uint64_t seed, epoch;
} st_augmentation;
/* Changes picture `index` in place; scratch has as many bytes. */
void st_augment_apply(const st_augmentation *augmentation, size_t index, strata_shape shape, uint8_t *pixels,
                      uint8_t *scratch);

/* Reads the next batches in a thread of its own while the caller works on this one. */
typedef struct st_batcher st_batcher;
enum { ST_BATCHER_BUFFERS = 3 };
strata_status st_batcher_create(st_batcher **out, const strata_dataset *data, strata_part part, size_t batch,
                                strata_error *err);
/* Begins a pass over order[first .. count - 1]; NULL: first .. count - 1 themselves. `order` is copied. A pass that was
 * not read to its end is given up. */
strata_status st_batcher_start(st_batcher *batcher, const uint32_t *order, size_t count, size_t first,
                               strata_error *err);
/* The passes that are started from now on are augmented so; NULL: not at all. Ends the pass that is under way. */
void st_batcher_augment(st_batcher *batcher, const st_augmentation *augmentation);
/* The next batch: *n pictures [n][picture bytes] and labels [n], lent until the next call. *n = 0 at the end of a pass.
 * A failure is given in place of the batch it hit, and again until the next start. */
strata_status st_batcher_next(st_batcher *batcher, const uint8_t **pixels, const int32_t **labels, size_t *n,
                              strata_error *err);
void st_batcher_free(st_batcher *batcher); /* NULL is allowed */
/* What a batcher holds, for the plan's count of memory; 0 on overflow. */
size_t st_batcher_bytes(size_t picture_bytes, size_t batch);

#endif
