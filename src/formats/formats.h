/* formats: named tensors in files that other programs read and write too. Values are converted between what a file
 * stores and st_real here, and nowhere else. This header is the folder's whole interface. */
#ifndef ST_FORMATS_H
#define ST_FORMATS_H

#include "base/base.h"

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
    uint64_t offset;     /* of the first byte in the file (reading only) */
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

/* ---- reading ---- */

/* An open file. All it names lives until st_weights_close. */
typedef struct st_weights {
    st_file file;
    st_arena *arena;
    const st_tensor *tensors; /* in the order of their bytes */
    size_t tensor_count;
    const st_tensor **by_name; /* sorted */
    const st_pair *pairs;      /* metadata, in the order of the file */
    size_t pair_count;
} st_weights;

/* Whether these first bytes of a file (16 are enough) are safetensors; says nothing of the rest. */
bool st_weights_probe(const void *bytes, size_t length);
/* Reads and checks the whole head; STRATA_FORMAT where it breaks a rule of safetensors.c. */
strata_status st_weights_open(st_weights *out, const char *path, strata_error *err);
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
void st_weights_close(st_weights *weights); /* twice does no harm */

/* The rules of the head alone: `head` is the first head_length bytes of a file of file_length bytes named `file`. Fills
 * all of `out` but its file; everything is allocated from `arena`. What st_weights_open calls, and the fuzzer. */
strata_status st_weights_parse(st_weights *out, st_arena *arena, const char *head, size_t head_length,
                               uint64_t file_length, const char *file, strata_error *err);

/* ---- writing ---- */

/* A file being written: atomic, see st_writer. `tensors` (name, stored, rank, dims) are lent until commit or cancel. */
typedef struct st_weights_writer {
    st_writer writer;
    const st_tensor *tensors;
    size_t tensor_count;
    size_t tensor; /* the one being written */
    size_t left;   /* its values still to come */
} st_weights_writer;

/* Writes the head. F32, I64 and U8 can be stored. */
strata_status st_weights_write_begin(st_weights_writer *out, const char *path, const st_tensor *tensors,
                                     size_t tensor_count, const st_pair *pairs, size_t pair_count, strata_error *err);
/* The next `count` values in the order of `tensors`; a tensor may come in pieces, a call stays within one tensor. */
strata_status st_weights_write(st_weights_writer *writer, const st_real *values, size_t count, strata_error *err);
strata_status st_weights_write_integers(st_weights_writer *writer, const int64_t *values, size_t count,
                                        strata_error *err);
strata_status st_weights_write_commit(st_weights_writer *writer, strata_error *err); /* on failure it has cancelled */
void st_weights_write_cancel(st_weights_writer *writer);

/* Values as F32 in little-endian order, 4 * count bytes: what st_weights_write stores, for hashing. */
void st_weights_encode(unsigned char *out, const st_real *values, size_t count);

#endif
