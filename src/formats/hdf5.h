/* HDF5: how a stranger's file is asked for what it holds. It is parsed by libhdf5, and only in a child process:
 *
 *     child.c         a child process with limits, a lent file and a socket
 *     hdf5_ask.c      the parent's side: questions, and answers, which are believed in nothing
 *     hdf5_library.c  the child's side: libhdf5 itself, which no other process opens
 *     hdf5_list.c     what data sets there are, and which of them are plain enough to be read
 *     hdf5_read.c     their values piece by piece; the child's main
 *     hdf5_weights.c  attributes, and whole data sets by their paths: for keras.c
 *
 * Pictures and labels have questions of their own, in data/. */
#ifndef ST_HDF5_H
#define ST_HDF5_H

#include "formats/formats.h"

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
    ST_HDF5_MOST_RANK = 8,
    ST_HDF5_MOST_SETS = 256,
    ST_HDF5_NAME_BYTES = 128,
    ST_HDF5_PATH_BYTES = 512,
    ST_HDF5_ATTRIBUTE_BYTES = 64,
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
    ST_HDF5_ABSENT,  /* by its path: there is nothing */
    ST_HDF5_NOT_ONE, /* by its path: something else */
    ST_HDF5_FAULT_COUNT
} st_hdf5_fault;

typedef struct st_hdf5_set {
    char name[ST_HDF5_NAME_BYTES]; /* without the first '/'; "" where it was asked for by its path */
    uint32_t type, fault;
    uint32_t rank; /* as it is; only the first ST_HDF5_MOST_RANK sides are given */
    uint32_t item_bytes;
    uint64_t dims[ST_HDF5_MOST_RANK];
    uint64_t detail;
    uint64_t offset; /* of its values in the file, where they lie there packed; else UINT64_MAX */
    uint32_t stored; /* st_stored, or ST_STORED_COUNT: a type of another kind */
    uint32_t zero;
} st_hdf5_set;

typedef enum st_hdf5_ask {
    ST_HDF5_LIST = 1, /* all data sets; later questions name them by number */
    ST_HDF5_RANGE,    /* the least and the largest value */
    ST_HDF5_PIXELS,   /* pictures [n][h][w][c], one byte each, in pieces of whole pictures */
    ST_HDF5_NUMBERS,
    ST_HDF5_CLASSES,
    ST_HDF5_DESCRIBE, /* the data set at a path */
    ST_HDF5_WORDS,    /* the texts of an attribute of what is at a path, each ends with NUL */
    ST_HDF5_NAMES,    /* of all that the group at a path links to, the same way */
    ST_HDF5_VALUES    /* of the data set at a path, as float */
} st_hdf5_ask;

typedef struct st_hdf5_question {
    uint32_t what, set;
    uint32_t axis;           /* along which the items lie: 0, or 1 for labels of shape (1, n) */
    uint32_t channels_first; /* ST_HDF5_PIXELS: (n, c, h, w) */
    double scale;            /* ST_HDF5_PIXELS: what values are multiplied by */
    char path[ST_HDF5_PATH_BYTES];
    char attribute[ST_HDF5_ATTRIBUTE_BYTES];
} st_hdf5_question;

typedef enum st_hdf5_trouble {
    ST_HDF5_FINE,
    ST_HDF5_NO_LIBRARY,
    ST_HDF5_NOT_OPENED,
    ST_HDF5_NOT_READ, /* place: the first item of those that were read */
    ST_HDF5_NO_MEMORY,
    ST_HDF5_BAD_VALUE, /* place: the item, low: its value */
    ST_HDF5_BAD_ROW,   /* place: the item whose row is not one-hot */
    ST_HDF5_NOT_THERE, /* place: the fault of the path; ST_HDF5_SOUND: only the attribute is missing */
    ST_HDF5_NO_TEXTS,  /* an attribute of another type */
    ST_HDF5_TOO_LONG,  /* texts: more than the file can hold */
    ST_HDF5_TROUBLE_COUNT
} st_hdf5_trouble;

typedef struct st_hdf5_answer {
    uint32_t trouble;
    uint64_t bytes; /* that follow */
    uint64_t place;
    double low, high;
    char text[ST_HDF5_TEXT_BYTES]; /* what the library said */
} st_hdf5_answer;

/* The mains of children; they are there where the build has libhdf5. */
void st_hdf5_serve_weights(void); /* DESCRIBE, WORDS, NAMES, VALUES */

/* ---- the parent's side ---- */

typedef struct st_hdf5 {
    st_child child;
    char path[256];
    uint64_t length;         /* of the file */
    uint64_t words_left;     /* bytes of texts that are taken still */
    const st_hdf5_set *sets; /* in the arena, after st_hdf5_list */
    size_t count;
} st_hdf5;

#ifdef ST_WITH_HDF5
#define ST_HDF5_SERVE(serve) (serve)
#else
#define ST_HDF5_SERVE(serve) NULL
#endif

bool st_hdf5_is_one(const st_file *file); /* by its signature */
/* Lends the file to a child of its own: st_hdf5_open(&out, &file, ST_HDF5_SERVE(st_hdf5_serve_weights), err). */
strata_status st_hdf5_open(st_hdf5 *out, const st_file *lent, void (*serve)(void), strata_error *err);
void st_hdf5_close(st_hdf5 *file); /* twice does no harm, nor on zeros */
strata_status st_hdf5_list(st_hdf5 *file, st_arena *arena, strata_error *err);

/* One question, one answer: each is an error in words. `what` is about the thing, "'x'". */
strata_status st_hdf5_put(st_hdf5 *file, const st_hdf5_question *question, strata_error *err);
strata_status st_hdf5_hear(st_hdf5 *file, st_hdf5_answer *out, strata_error *err);
strata_status st_hdf5_fail_senseless(const st_hdf5 *file, strata_error *err);
/* What the library said, if it said anything. */
strata_status st_hdf5_fail_library(const st_hdf5 *file, const char *what, const st_hdf5_answer *answer,
                                   strata_error *err);
/* STRATA_UNSUPPORTED or STRATA_FORMAT for a set that is not read, and why. */
strata_status st_hdf5_check_set(const st_hdf5 *file, const st_hdf5_set *set, const char *name, strata_error *err);

/* The data set at a path; whatever is wrong with it is in out->fault. */
strata_status st_hdf5_describe(st_hdf5_set *out, st_hdf5 *file, const char *path, strata_error *err);
/* The texts of an attribute of what lies at `path` ("": the root); attribute NULL: the names of what lies in the group.
 * *out is NULL where there is no such attribute, or, with NULL, no such group. All texts of a file together are bounded
 * by its length. */
strata_status st_hdf5_words(const char ***out, size_t *count, st_hdf5 *file, st_arena *arena, const char *path,
                            const char *attribute, strata_error *err);
/* Exactly `count` values. */
strata_status st_hdf5_values(float *out, size_t count, st_hdf5 *file, const char *path, strata_error *err);

#endif
