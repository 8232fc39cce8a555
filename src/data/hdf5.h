/* HDF5: what its four files share. Strangers' files are parsed by libhdf5, and only in a child process:
 *
 *     hdf5.c          the kind: files and folders to parts
 *     hdf5_choose.c   which data sets are pictures, labels, names of classes
 *     hdf5_ask.c      the questions to the child, and its answers, which are believed in nothing
 *     child.c         a child process with limits, a lent file and a socket
 *     hdf5_child.c    what runs in the child: the only file that knows libhdf5 */
#ifndef ST_HDF5_H
#define ST_HDF5_H

#include "data/data.h"

/* ---- a child process that is trusted with nothing ---- */

enum {
    ST_CHILD_FILE = 3,  /* the descriptor of the lent file, in the child */
    ST_CHILD_SOCKET = 4 /* what it says and hears */
};

typedef struct st_child {
    int pid; /* 0: none */
    int socket;
    double patience_s; /* that the parent waits for the next bytes */
    const char *path;  /* names the file in errors */
    const char *who;   /* "libhdf5" */
} st_child;

/* Begins `serve` in a child that holds the file and a socket, and may use `memory` bytes more than the parent has now
 * and `cpu_s` seconds of processor time. `serve` must not return. */
strata_status st_child_start(st_child *out, const st_file *lent, uint64_t memory, unsigned cpu_s, void (*serve)(void),
                             strata_error *err);
strata_status st_child_tell(st_child *child, const void *bytes, size_t count, strata_error *err);
/* All of `count` bytes, or why they do not come: the child ended, was ended, or is silent. */
strata_status st_child_hear(st_child *child, void *bytes, size_t count, strata_error *err);
void st_child_end(st_child *child); /* twice does no harm, nor on zeros */

/* In the child. */
bool st_child_say(const void *bytes, size_t count);
bool st_child_listen(void *bytes, size_t count); /* false: the parent has ended */
void st_child_seal(void);                        /* from now on no file can be opened */

/* ---- the protocol: a question, then one answer or several, each with the bytes that it announces ---- */

enum {
    ST_HDF5_MOST_RANK = 4,
    ST_HDF5_MOST_SETS = 256,
    ST_HDF5_NAME_BYTES = 128,
    ST_HDF5_CLASS_BYTES = 256, /* of a class's name, padded with NUL */
    ST_HDF5_PIECE_BYTES = 1 << 20,
    ST_HDF5_TEXT_BYTES = 96,
    ST_HDF5_MOST_SAVING = 1000, /* declared bytes to stored ones */
    ST_HDF5_MOST_BAND = 512 << 20
};

typedef enum st_hdf5_type {
    ST_HDF5_BYTES, /* whole numbers from 0 to 255 */
    ST_HDF5_INTEGERS,
    ST_HDF5_FLOATS,
    ST_HDF5_TEXTS,
    ST_HDF5_OTHER,
    ST_HDF5_TYPE_COUNT
} st_hdf5_type;

/* Why a data set is not read. */
typedef enum st_hdf5_fault {
    ST_HDF5_SOUND, /* detail: bytes to unpack for one item, of a set in chunks */
    ST_HDF5_SOFT_LINK,
    ST_HDF5_EXTERNAL_LINK,
    ST_HDF5_EXTERNAL_STORAGE,
    ST_HDF5_VIRTUAL,
    ST_HDF5_FILTER, /* detail: its number */
    ST_HDF5_SPARSE, /* far less is stored than declared; detail: stored bytes */
    ST_HDF5_BEYOND, /* more is stored than the file has bytes; detail: the same */
    ST_HDF5_BAND,   /* its chunks are too large; detail: bytes to unpack for one item */
    ST_HDF5_DAMAGED,
    ST_HDF5_FAULT_COUNT
} st_hdf5_fault;

typedef struct st_hdf5_set {
    char name[ST_HDF5_NAME_BYTES]; /* without the first '/' */
    uint32_t type, fault;
    uint32_t rank; /* as it is; only the first ST_HDF5_MOST_RANK sides are given */
    uint32_t item_bytes;
    uint64_t dims[ST_HDF5_MOST_RANK];
    uint64_t detail;
} st_hdf5_set;

typedef enum st_hdf5_ask {
    ST_HDF5_LIST = 1,
    ST_HDF5_RANGE,  /* the least and the largest value */
    ST_HDF5_PIXELS, /* pictures [n][h][w][c], one byte each, in pieces of whole pictures */
    ST_HDF5_NUMBERS,
    ST_HDF5_CLASSES
} st_hdf5_ask;

typedef struct st_hdf5_question {
    uint32_t what, set;
    uint32_t axis;           /* along which the items lie: 0, or 1 for labels of shape (1, n) */
    uint32_t channels_first; /* ST_HDF5_PIXELS: (n, c, h, w) */
    double scale;            /* ST_HDF5_PIXELS: what values are multiplied by */
} st_hdf5_question;

typedef enum st_hdf5_trouble {
    ST_HDF5_FINE,
    ST_HDF5_NO_LIBRARY,
    ST_HDF5_NOT_OPENED,
    ST_HDF5_NOT_READ, /* place: the first item of those that were read */
    ST_HDF5_NO_MEMORY,
    ST_HDF5_BAD_VALUE, /* place: the item, low: its value */
    ST_HDF5_BAD_ROW,   /* place: the item whose row is not one-hot */
    ST_HDF5_TROUBLE_COUNT
} st_hdf5_trouble;

typedef struct st_hdf5_answer {
    uint32_t trouble;
    uint64_t bytes; /* that follow */
    uint64_t place;
    double low, high;
    char text[ST_HDF5_TEXT_BYTES]; /* what the library said */
} st_hdf5_answer;

void st_hdf5_serve(void); /* the child's main; defined where the build has libhdf5 */

/* ---- the parent's side ---- */

typedef struct st_hdf5 {
    st_child child;
    char path[256];
    const st_hdf5_set *sets; /* in the arena */
    size_t count;
} st_hdf5;

/* Opens a file in a child of its own and lists its data sets. */
strata_status st_hdf5_open(st_hdf5 *out, st_arena *arena, const char *path, strata_error *err);
void st_hdf5_close(st_hdf5 *file); /* twice does no harm, nor on zeros */

/* How a set's pictures lie. */
typedef struct st_hdf5_form {
    size_t count;
    strata_shape shape;
    bool channels_first;
} st_hdf5_form;
bool st_hdf5_is_pictures(st_hdf5_form *out, const st_hdf5_set *set);
/* Numbers (n), (n, 1), (1, n), or one-hot (n, k). *axis is that of the items, *classes the k of one-hot, else 0. */
bool st_hdf5_is_labels(const st_hdf5_set *set, size_t count, uint32_t *axis, size_t *classes);

/* All pictures, into an unnamed temporary file. */
strata_status st_hdf5_pictures(st_pictures *out, st_hdf5 *file, size_t set, strata_error *err);
strata_status st_hdf5_labels(int32_t **out, st_hdf5 *file, size_t set, size_t count, st_arena *arena,
                             strata_error *err);
strata_status st_hdf5_classes(const char ***out, size_t *count, st_hdf5 *file, size_t set, st_arena *arena,
                              strata_error *err);

/* ---- which data sets ---- */

typedef struct st_hdf5_pair {
    strata_part part;
    size_t pictures, labels; /* numbers of sets */
} st_hdf5_pair;

typedef struct st_hdf5_choice {
    st_hdf5_pair pairs[STRATA_PART_COUNT];
    size_t count;
    bool has_classes;
    size_t classes;
} st_hdf5_choice;

/* The part that a name tells: "train_set_x", "X_val", "test/images". */
bool st_hdf5_part_of(strata_part *out, const char *name);
/* `selection`: "PICTURES:LABELS", once for each part, or NULL: found by shape and name. */
strata_status st_hdf5_choose(st_hdf5_choice *out, const st_hdf5 *file, const char *selection, strata_error *err);
/* STRATA_UNSUPPORTED for a set that is not read, and why. */
strata_status st_hdf5_check(const st_hdf5 *file, size_t set, strata_error *err);

#endif
