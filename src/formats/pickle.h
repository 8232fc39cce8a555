/* Python pickles, as far as PyTorch's files need them: a machine that can build None, truth values, numbers, texts,
 * tuples, lists, dicts and tensors, and nothing else. A name of Python's (a global) is a text that is compared whole
 * with a short list; it is never looked up anywhere, and a name that is not in the list ends the reading. One machine
 * serves the zip form (pth.c) and the legacy form (pth_legacy.c).
 *
 * Memory: a pickle is at most ST_PICKLE_LONGEST bytes; stack, memo and tensors have limits, so that all values of one
 * take at most some 40 times its bytes. Texts lie in the pickle's own bytes and are not copied. */
#ifndef ST_FORMATS_PICKLE_H
#define ST_FORMATS_PICKLE_H

#include "formats/formats.h"

enum {
    ST_PICKLE_LONGEST = 16 << 20,
    ST_PICKLE_DEEPEST = 1 << 20,
    ST_PICKLE_MOST_NOTED = 1 << 21, /* in the memo */
    ST_PICKLE_MOST_TENSORS = 1 << 17
};

typedef enum st_pickle_kind {
    ST_PICKLE_NONE,
    ST_PICKLE_BOOL,
    ST_PICKLE_INT,
    ST_PICKLE_NUMBER, /* a whole number of more than 64 bits, or numpy's: never needed */
    ST_PICKLE_FLOAT,
    ST_PICKLE_TEXT, /* UTF-8, or what Python 2 wrote: whoever uses it looks */
    ST_PICKLE_BYTES,
    ST_PICKLE_TUPLE,
    ST_PICKLE_LIST,
    ST_PICKLE_DICT,
    ST_PICKLE_GLOBAL,
    ST_PICKLE_STORAGE,
    ST_PICKLE_TENSOR,
    ST_PICKLE_MARK /* on the stack only */
} st_pickle_kind;

typedef struct st_pickle_value st_pickle_value;

/* Tuple, list, dict (keys and values by turns). */
typedef struct st_pickle_items {
    st_pickle_value *items;
    uint32_t count;
    bool has_attributes; /* an OrderedDict or Counter: BUILD may follow */
} st_pickle_items;

/* "storage": what tensors are views of. The pickle names it, the file form knows where its bytes are. */
typedef struct st_pickle_storage {
    const char *key; /* not NUL-terminated */
    uint32_t key_length;
    st_stored stored;
    bool is_untyped; /* its size is in bytes, `stored` is U8; each tensor has its own type */
    uint64_t count;  /* values of the whole storage */
    uint64_t first;  /* of a part of a storage (PyTorch 0.1): where it begins, in values */
    uint64_t part;   /* values of the part; `count` where there is none */
    uint64_t offset; /* in the file: found by the form */
} st_pickle_storage;

/* A tensor: its offset counts bytes from the start of the storage until the form has found that. */
typedef struct st_pickle_tensor {
    st_tensor tensor;
    st_pickle_storage *storage;
} st_pickle_tensor;

struct st_pickle_value {
    uint32_t kind;   /* st_pickle_kind */
    uint32_t length; /* of a text */
    union {
        int64_t integer; /* and truth value */
        double real;
        const char *text; /* not NUL-terminated */
        st_pickle_items *items;
        const struct st_pickle_global *global;
        st_pickle_storage *storage;
        st_pickle_tensor *tensor;
    } as;
};

typedef struct st_pickle {
    const unsigned char *bytes; /* outlive every value */
    size_t length;
    size_t at;       /* the next byte */
    uint64_t place;  /* of bytes[0] in the file: messages count from there */
    bool is_cut;     /* a failed reading wanted more bytes than there are */
    st_arena *arena; /* all values */
    const char *file;
    st_pickle_storage **storages; /* in the order in which they were met, one for each mention */
    size_t storage_count;
    size_t tensor_count; /* made */
    size_t copied;       /* values that calls copied: never more than the pickle has bytes */
} st_pickle;

/* Runs the pickle that begins at `at`, up to and with its STOP; `at` is behind it then. All but the bytes of the value
 * are checked: a tensor lies in what its storage says it has. */
strata_status st_pickle_run(st_pickle *pickle, st_pickle_value *out, strata_error *err);

bool st_pickle_is_text(const st_pickle_value *value, const char *text);
const char *st_pickle_kind_name(uint32_t kind); /* "a text", "a dict" */
/* The value of a text key (the last, as in Python), or NULL. */
const st_pickle_value *st_pickle_get(const st_pickle_value *dict, const char *key);

/* ---- between pickle.c and pickle_build.c: what opcodes with names do ---- */

typedef struct st_pickle_global st_pickle_global;

/* STRATA_UNSUPPORTED with the name, where it is not in the list. */
strata_status st_pickle_find_global(const st_pickle_global **out, const st_pickle *pickle, const char *module,
                                    size_t module_length, const char *name, size_t name_length, strata_error *err);
/* numpy's name of a type: its state may follow. */
bool st_pickle_is_dtype(const st_pickle_value *value);
/* `called` with a tuple of arguments. */
strata_status st_pickle_call(st_pickle *pickle, st_pickle_value *out, const st_pickle_value *called,
                             const st_pickle_value *arguments, strata_error *err);
/* A persistent id: ('storage', type, key, place, count) and nothing else. */
strata_status st_pickle_load_storage(st_pickle *pickle, st_pickle_value *out, const st_pickle_value *id,
                                     strata_error *err);
strata_status st_pickle_append(st_pickle *pickle, st_pickle_items *items, const st_pickle_value *values, size_t count,
                               strata_error *err);
strata_status st_pickle_new_items(st_pickle *pickle, st_pickle_value *out, st_pickle_kind kind, strata_error *err);

#endif
