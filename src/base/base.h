/* base: what C lacks. Errors, memory, text, files, random numbers, mathematics with the same bits everywhere, threads.
 * This header is the folder's whole interface. */
#ifndef ST_BASE_H
#define ST_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "strata.h"

/* ---- numbers ---- */

/* The number type of every tensor element in memory. Tests compile the whole library a second time with double, so that
 * gradients can be checked against central differences; nothing may assume four bytes. */
#ifdef ST_REAL_DOUBLE
typedef double st_real;
#else
typedef float st_real;
#endif

/* How a value is stored. bf16 and f16 come with their kernels; sizes always go through st_dtype_size. */
typedef enum st_dtype { ST_DTYPE_REAL, ST_DTYPE_U8, ST_DTYPE_I32 } st_dtype;
size_t st_dtype_size(st_dtype dtype);

/* ---- errors ---- */

#define ST_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Passes a failure up unchanged. */
#define ST_TRY(call)                                                                                                   \
    do {                                                                                                               \
        strata_status st_try_status = (call);                                                                          \
        if (st_try_status != STRATA_OK) {                                                                              \
            return st_try_status;                                                                                      \
        }                                                                                                              \
    } while (0)

/* Fails when the condition holds: ST_FAIL_IF(n == 0, err, STRATA_INVALID, "batch must be at least 1, found %d", n). */
#define ST_FAIL_IF(condition, err, ...)                                                                                \
    do {                                                                                                               \
        if (condition) {                                                                                               \
            return st_fail((err), __VA_ARGS__);                                                                        \
        }                                                                                                              \
    } while (0)

#if defined(__GNUC__)
#define ST_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define ST_PRINTF(text, first)
#endif

/* Fill `err` (may be NULL; a text that is too long is cut; control characters become '?') and return `status`. */
strata_status st_fail(strata_error *err, strata_status status, const char *format, ...) ST_PRINTF(3, 4);
strata_status st_fail_file(strata_error *err, strata_status status, const char *file, const char *format, ...)
    ST_PRINTF(4, 5);
void st_error_hint(strata_error *err, const char *format, ...) ST_PRINTF(2, 3);
void st_error_file(strata_error *err, const char *file); /* names the file if none is named yet */
/* "while reading weights: " before the message. */
void st_error_prepend(strata_error *err, const char *format, ...) ST_PRINTF(2, 3);

/* ---- sizes: the only places where sizes from outside are added and multiplied ---- */

bool st_size_add(size_t a, size_t b, size_t *out); /* false on overflow */
bool st_size_mul(size_t a, size_t b, size_t *out);

/* ---- the one door to the system; a test replaces it to let the n-th call fail ---- */

typedef struct st_system {
    void *(*allocate)(size_t bytes); /* 64-byte aligned, not cleared; NULL when refused */
    void (*release)(void *memory, size_t bytes);
    int (*open)(const char *path, int flags, int mode); /* the rest as POSIX: -1 and errno */
    ssize_t (*read)(int file, void *bytes, size_t count);
    ssize_t (*pread)(int file, void *bytes, size_t count, int64_t offset);
    ssize_t (*write)(int file, const void *bytes, size_t count);
    ssize_t (*pwrite)(int file, const void *bytes, size_t count, int64_t offset);
    int (*fsync)(int file);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*close)(int file);
} st_system;
extern st_system st_sys; /* written by tests only, before anything else runs */

/* ---- arenas: three lifetimes (net, model, step), freed as a whole ---- */

typedef struct st_arena st_arena;
strata_status st_arena_create(st_arena **out, strata_error *err);
/* count * size bytes, zeroed, 64-byte aligned when at least 64 bytes, else 16; NULL in *out never with STRATA_OK. */
strata_status st_arena_alloc(void *out, st_arena *arena, size_t count, size_t size, strata_error *err);
strata_status st_arena_text(char **out, st_arena *arena, const char *text, size_t length,
                            strata_error *err); /* copy + NUL */
strata_status st_arena_printf(char **out, st_arena *arena, strata_error *err, const char *format, ...) ST_PRINTF(4, 5);
void st_arena_free(st_arena *arena); /* NULL is allowed */

/* ---- text ---- */

/* A growing text. An allocation that fails makes it stick in `failed`; look once at the end. */
typedef struct st_text {
    char *bytes; /* NUL-terminated once anything was added; free with st_text_free */
    size_t length, capacity;
    bool failed;
} st_text;
void st_text_add(st_text *text, const char *format, ...) ST_PRINTF(2, 3);
void st_text_add_arguments(st_text *text, const char *format, va_list arguments) ST_PRINTF(2, 0);
/* vsnprintf, but with a decimal point whatever locale the host program has set. */
int st_text_print(char *out, size_t capacity, const char *format, va_list arguments) ST_PRINTF(3, 0);
void st_text_add_bytes(st_text *text, const char *bytes, size_t length);
void st_text_pad(st_text *text, size_t column); /* spaces until the current line has `column` characters (UTF-8) */
strata_status st_text_finish(char **out, st_text *text, strata_error *err); /* STRATA_MEMORY if failed; takes the bytes;
                                                                               the caller frees with strata_text_free */
void st_text_free(st_text *text);
/* The candidate nearest to `name` (edit distance, at most a third of its length), or NULL. */
const char *st_text_nearest(const char *name, const char *const *candidates, size_t count);
void st_text_printable(char *out, size_t capacity, const char *bytes,
                       size_t length);                                           /* control characters become '?' */
bool st_text_is_among(const char *name, const char *const *names, size_t count); /* compared whole */
bool st_text_is_utf8(const char *bytes, size_t length);

/* ---- JSON ---- */

/* A strict pull reader over a text in memory (RFC 8259). Errors name `file` and the byte. */
typedef enum st_json_kind {
    ST_JSON_OBJECT,
    ST_JSON_ARRAY,
    ST_JSON_STRING,
    ST_JSON_NUMBER,
    ST_JSON_TRUE,
    ST_JSON_FALSE,
    ST_JSON_NULL
} st_json_kind;
typedef struct st_json {
    const char *text, *file;
    size_t length, at;
    int depth;
    st_arena *arena; /* unescaped strings live here */
} st_json;
strata_status st_json_peek(st_json *json, st_json_kind *kind, strata_error *err);
strata_status st_json_enter(st_json *json, char open, strata_error *err); /* '{' or '[' */
/* Moves to the next member or element; *more = false after the closing bracket, which it consumes. key may be NULL for
 * arrays. Duplicate keys are the caller's to refuse. */
strata_status st_json_next(st_json *json, bool *more, char **key, strata_error *err);
strata_status st_json_string(st_json *json, char **out, size_t *length, strata_error *err);
strata_status st_json_number(st_json *json, double *out, strata_error *err);
strata_status st_json_size(st_json *json, uint64_t *out, strata_error *err); /* an integer, exact */
strata_status st_json_skip(st_json *json, strata_error *err);
strata_status st_json_end(st_json *json, strata_error *err);         /* only white space may follow */
void st_json_quote(st_text *text, const char *bytes, size_t length); /* adds "…" with escapes */

/* ---- files ---- */

/* Whole file into memory from `arena`, with a NUL after it; more than `limit` bytes is STRATA_FORMAT. Regular files,
 * pipes and devices alike. STRATA_MISSING when there is none, STRATA_IO with the system's reason. */
strata_status st_file_read(char **out, size_t *length, st_arena *arena, const char *path, size_t limit,
                           strata_error *err);
/* A file opened for reading at offsets. */
typedef struct st_file {
    int descriptor;
    uint64_t length;
    char path[256];
} st_file;
strata_status st_file_open(st_file *out, const char *path, strata_error *err);
/* The same for a file that another one names: no link leads to it and it has no other name, so that it is what lies in
 * that folder and nothing outside of it. */
strata_status st_file_open_own(st_file *out, const char *path, strata_error *err);
strata_status st_file_at(const st_file *file, void *bytes, size_t count, uint64_t offset,
                         strata_error *err); /* all of it */
void st_file_close(st_file *file);
/* Write-then-rename in pieces: begin, add as often as needed, commit (fsync, rename, fsync of the folder) or cancel. */
typedef struct st_writer {
    int descriptor;
    bool failed;
    char path[256], temporary[288];
    unsigned char *buffer; /* 64 KiB, system allocation */
    size_t used;
} st_writer;
strata_status st_writer_begin(st_writer *out, const char *path, strata_error *err);
strata_status st_writer_add(st_writer *writer, const void *bytes, size_t count, strata_error *err);
strata_status st_writer_commit(st_writer *writer, strata_error *err); /* on failure it has cancelled already */
void st_writer_cancel(st_writer *writer);                             /* after a failure of add; twice does no harm */
/* Gives a file that was committed under another name of the same folder this one: a reader sees the old file or the
 * new. */
strata_status st_file_move(const char *from, const char *to, strata_error *err);

/* ---- SHA-256 (FIPS 180-4) ---- */

typedef struct st_sha256 {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
} st_sha256;
void st_sha256_begin(st_sha256 *sha);
void st_sha256_add(st_sha256 *sha, const void *bytes, size_t count);
void st_sha256_end(st_sha256 *sha, char out[65]); /* hexadecimal */

/* ---- random numbers: every draw is f(seed, stream, index), no hidden state ---- */

/* Streams keep draws of different purposes apart: a label of the purpose in the top half, a number in the lower. */
typedef enum st_stream {
    ST_STREAM_WEIGHTS = 1,
    ST_STREAM_ORDER,
    ST_STREAM_DROPOUT,
    ST_STREAM_HOLD_OUT,
    ST_STREAM_TEST,
    ST_STREAM_AUGMENT,
    ST_STREAM_MIX,
    ST_STREAM_BALANCE,
    ST_STREAM_SELF_TEST
} st_stream;
uint64_t st_rng_stream(st_stream purpose, uint64_t number);
uint64_t st_rng_stream_name(st_stream purpose, const char *name);      /* number = hash of the name */
uint64_t st_rng_bits(uint64_t seed, uint64_t stream, uint64_t index);  /* 64 bits; Philox or SplitMix-class mixing */
double st_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index); /* [0, 1), 53 bits */
double st_rng_normal(uint64_t seed, uint64_t stream,
                     uint64_t index); /* Box-Muller on own log, cos: same bits everywhere */
/* The order 0..count-1 shuffled (Fisher-Yates over the stream). */
void st_rng_shuffle(uint32_t *order, size_t count, uint64_t seed, uint64_t stream);

/* ---- mathematics without libm: same bits on every machine; double, scalar, about 1 ULP. Vector versions of exp, tanh
 * and log for tensors are in kernels/ ---- */

double st_exp(double x);
double st_log(double x);
double st_sin(double x);
double st_cos(double x);
double st_pow(double x, double y); /* x > 0 */
double st_sqrt(double x);          /* IEEE */

/* ---- threads ---- */

/* A pool in which all threads run the same function (SPMD); the caller is thread 0. */
typedef struct st_pool st_pool;
strata_status st_pool_create(st_pool **out, int threads, strata_error *err); /* 0: as many as the process may use */
int st_pool_threads(const st_pool *pool);
/* Runs fn(arg, thread) on every thread and returns when all have finished. Sets MXCSR to IEEE (no FTZ, no DAZ). */
void st_pool_run(st_pool *pool, void (*fn)(void *arg, int thread), void *arg);
/* Inside fn: waits until every thread is here. Spins first, then yields: right with more threads than cores. */
void st_pool_barrier(st_pool *pool, int thread);
/* Calls fn(arg, item, thread) for item 0..count-1, claimed one by one: items must not depend on who runs them. */
void st_pool_for(st_pool *pool, int64_t count, void (*fn)(void *arg, int64_t item, int thread), void *arg);
void st_pool_free(st_pool *pool);
int st_cpu_count(void); /* that this process may use (affinity) */

double st_clock_s(void); /* monotonic seconds */

#endif
