/* formats: named tensors, and models, in files that other programs read and write too. Every format is a descriptor in
 * table.c; whoever opens a file sees the same tensors and the same metadata whatever the format, so that a stranger's
 * model looks like a checkpoint of strata. Values are converted between what a file stores and st_real here, and
 * nowhere else. This header is the folder's whole interface. */
#ifndef ST_FORMATS_H
#define ST_FORMATS_H

#include "graph/graph.h"

/* ---- what a file stores ---- */

typedef enum st_stored {
    ST_STORED_F32,
    ST_STORED_F64,
    ST_STORED_F16,
    ST_STORED_BF16,
    ST_STORED_I64,
    ST_STORED_I32,
    ST_STORED_I16,
    ST_STORED_I8,
    ST_STORED_U64,
    ST_STORED_U32,
    ST_STORED_U16,
    ST_STORED_U8,
    ST_STORED_BOOL,
    ST_STORED_COUNT
} st_stored;
size_t st_stored_size(st_stored stored);      /* bytes of one value */
const char *st_stored_name(st_stored stored); /* "F32", as safetensors writes it */
bool st_stored_is_real(st_stored stored);     /* F32, F64, F16, BF16 */

/* Whole numbers of 1 to 8 bytes in little-endian order. */
static inline uint64_t st_stored_get(const unsigned char *bytes, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

static inline void st_stored_put(unsigned char *bytes, size_t size, uint64_t value) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
}

enum { ST_TENSOR_RANK_MAX = 16 };

typedef struct st_tensor {
    const char *name;
    st_stored stored;
    int rank;            /* 0: one value */
    const int64_t *dims; /* [rank] */
    size_t count;        /* of values, 0 where a side is 0 */

    /* Reading only. Values are little-endian. */
    uint64_t offset;            /* of the first value in the file */
    const st_file *file;        /* another file that it lies in; NULL: that of the weights */
    const unsigned char *bytes; /* the first value in memory instead; NULL: in the file */
    const int64_t *strides;     /* [rank] values from one index of a side to the next, not negative; NULL: packed, the
                                   last side fastest */
    bool is_channels_last; /* a dense layer's weight whose columns follow rows, columns, channels of what it sees */
} st_tensor;

/* "64x3x7x7", or "one value". */
enum { ST_TENSOR_DIMS_TEXT = ST_TENSOR_RANK_MAX * 21 + 1 };
void st_tensor_dims(char out[ST_TENSOR_DIMS_TEXT], int rank, const int64_t *dims);

/* A name and a text: one line of a file's metadata. */
typedef struct st_pair {
    const char *name;
    const char *value; /* NUL-terminated; a NUL inside is refused */
} st_pair;

/* The head of a safetensors file. */
enum { ST_HEAD_PREFIX = 8, ST_HEAD_LONGEST = 100 * 1000 * 1000 };
#define ST_HEAD_METADATA "__metadata__"

/* ---- formats ---- */

typedef struct st_weights st_weights;

enum { ST_FORMAT_PROBE = 512 }; /* first bytes of a file that a probe sees */

/* A format: one constant says everything about it. */
typedef struct st_format {
    const char *name;   /* "safetensors", "PyTorch zip": in `strata weights` and in messages */
    const char *ending; /* ".safetensors": what names it when it is written; NULL: it is not written */
    bool is_of_tensors; /* it can be written without a net */
    /* By content, never by name. `first` are the first bytes of the file, length < ST_FORMAT_PROBE only where the file
     * ends; may read more of the file. Cheap, and true for a damaged file too where its kind is plain. */
    bool (*probe)(const st_file *file, const unsigned char *first, size_t length);
    /* out->file is open, out->arena ready, the rest zero. Fills tensors and pairs, by_name excepted, and checks every
     * count against the bytes that are there. Whatever it needs beyond the arena it gives back, also on failure. A file
     * that holds a model too adds the pair ST_PAIR_NET, its tensors called after the net's paths; where it says how
     * pictures are prepared or what the classes are, ST_PAIR_PREPARATION and ST_PAIR_CLASSES. */
    strata_status (*read)(st_weights *out, strata_error *err);
    /* Writes `in`, whatever format it came from, whole or not at all (st_writer). graph: the net that the tensors
     * belong to, in->pairs hold its text; NULL: not known. */
    strata_status (*write)(const st_weights *in, const st_graph *graph, const char *path, strata_error *err);
} st_format;

extern const st_format *const st_format_table[]; /* ends with NULL; probed in this order */
/* *out NULL: none, or there is no file that could be opened. STRATA_IO: it cannot be read. */
strata_status st_format_probe(const st_format **out, const char *path, strata_error *err);
const st_format *st_format_by_ending(const char *path); /* one that can be written; NULL: none */

/* Metadata that a complete file has; train/checkpoint.c lists all. */
#define ST_PAIR_NET "strata.net"                 /* a .net text, self-contained */
#define ST_PAIR_CLASSES "strata.classes"         /* a JSON list of texts, may be empty */
#define ST_PAIR_PREPARATION "strata.preparation" /* JSON */
#define ST_PAIR_PREPROCESS "strata.preprocess"   /* of weights without a net: strata_net_preprocess takes it */
#define ST_PAIR_SELF_TEST "strata.selftest"      /* train/self_test.c */
#define ST_PAIR_HASH "strata.sha256"             /* hash.c */
#define ST_PAIR_NOTE "note" /* what a reader wants said of a file, by `strata weights`: a line or more */

/* ---- reading ---- */

/* An open file. All it names lives until st_weights_close. */
struct st_weights {
    st_file file;
    st_arena *arena;
    const st_format *format;
    const st_tensor *tensors; /* in the order of the file */
    size_t tensor_count;
    const st_tensor **by_name; /* sorted */
    const st_pair *pairs;      /* metadata, in the order of the file */
    size_t pair_count;
    st_file *others; /* that hold values too; closed with the first */
    size_t other_count;
    const st_tensor *hashed; /* what ST_PAIR_HASH covers, byte by byte; NULL: all tensors, their values as F32 */
    size_t hashed_count;
};

/* Finds the format and reads all but the values; STRATA_FORMAT where a rule of the format is broken, or no format's
 * probe knows the file. */
strata_status st_weights_open(st_weights *out, const char *path, strata_error *err);
/* Of tensors and pairs that are filled: sorts by_name; a name that is there twice is STRATA_FORMAT. What
 * st_weights_open does last, and whoever makes a st_weights without a file (file.descriptor -1, all values in memory).
 */
strata_status st_weights_index(st_weights *weights, strata_error *err);
const st_tensor *st_weights_find(const st_weights *weights, const char *name); /* NULL: none */
const char *st_weights_metadata(const st_weights *weights, const char *name);  /* NULL: none */
/* All values of a tensor, tensor->count of them: F32, F64, F16 or BF16 (else STRATA_UNSUPPORTED). */
strata_status st_weights_read(const st_weights *weights, const st_tensor *tensor, st_real *out, strata_error *err);
/* The same for integers and BOOL; an unsigned one above INT64_MAX is STRATA_FORMAT. */
strata_status st_weights_read_integers(const st_weights *weights, const st_tensor *tensor, int64_t *out,
                                       strata_error *err);
/* `count` values of any type from value `first` on, as numbers of double precision (whole ones above 2^53 are rounded).
 */
strata_status st_weights_read_doubles(const st_weights *weights, const st_tensor *tensor, size_t first, size_t count,
                                      double *out, strata_error *err);
/* `count` values from value `first` on as they are stored: packed, little-endian, st_stored_size each. */
strata_status st_weights_read_bytes(const st_weights *weights, const st_tensor *tensor, size_t first, size_t count,
                                    void *out, strata_error *err);
void st_weights_close(st_weights *weights); /* twice does no harm */

/* Values as such a hash takes them. */
void st_weights_hash_values(st_sha256 *sha, const st_real *values, size_t count);
/* The hash of all tensors, whose types must be real: of their values as F32, little-endian, in the order of the file.
 */
strata_status st_weights_hash(char out[65], const st_weights *weights, strata_error *err);
/* Reads all values. STRATA_FORMAT where the file's own hash is another; a file without one is fine. */
strata_status st_weights_check_hash(const st_weights *weights, strata_error *err);

/* The rules of a safetensors head alone: `head` is the first head_length bytes of a file of file_length bytes named
 * `file`. Fills tensors and pairs of `out`; everything is allocated from `arena`. What the reader calls, and the
 * fuzzer. */
strata_status st_safetensors_parse(st_weights *out, st_arena *arena, const char *head, size_t head_length,
                                   uint64_t file_length, const char *file, strata_error *err);

/* The nodes that have weights, of those that the main output needs, in the order in which Keras lists such a model's
 * layers, where it adds [block, shortcut] or (shortcuts_first) [shortcut, block]. Everything lives in the arena. */
strata_status st_keras_order(int **out, size_t *count, st_arena *arena, const st_graph *graph, bool shortcuts_first,
                             strata_error *err);

/* ---- writing ---- */

/* A file being written: atomic, see st_writer. `tensors` (name, stored, rank, dims) are lent until commit or cancel. */
typedef struct st_weights_writer {
    st_writer writer;
    const st_tensor *tensors;
    size_t tensor_count;
    size_t tensor; /* the one being written */
    size_t left;   /* its values still to come */
} st_weights_writer;

/* Writes the head. */
strata_status st_weights_write_begin(st_weights_writer *out, const char *path, const st_tensor *tensors,
                                     size_t tensor_count, const st_pair *pairs, size_t pair_count, strata_error *err);
/* The next `count` values in the order of `tensors`; a tensor may come in pieces, a call stays within one tensor. */
strata_status st_weights_write(st_weights_writer *writer, const st_real *values, size_t count, strata_error *err);
strata_status st_weights_write_integers(st_weights_writer *writer, const int64_t *values, size_t count,
                                        strata_error *err);
/* As they are stored: little-endian, st_stored_size each. st_weights_write is for F32, st_weights_write_integers for
 * I64 and U8. */
strata_status st_weights_write_bytes(st_weights_writer *writer, const void *bytes, size_t count, strata_error *err);
strata_status st_weights_write_commit(st_weights_writer *writer, strata_error *err); /* on failure it has cancelled */
void st_weights_write_cancel(st_weights_writer *writer);

/* Values as F32 in little-endian order, 4 * count bytes: what st_weights_write stores, for hashing. */
void st_weights_encode(unsigned char *out, const st_real *values, size_t count);

#endif
