/* include/strata.h, part 0: the runtime, and texts. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <zlib.h>
#ifdef ST_WITH_JPEG
#include <jpeglib.h>
#endif
#ifdef ST_WITH_PNG
#include <spng.h>
#endif
#ifdef ST_WITH_WEBP
#include <webp/decode.h>
#endif

#ifdef ST_WITH_PROTOBUF
#include <protobuf-c/protobuf-c.h>
#endif

#include "api/api.h"

#define WORDS(x) #x
#define TEXT(x) WORDS(x)

/* Written once: the headers of libwebp do not say their version, the library does. */
static char built_with[192] =
    "zlib " ZLIB_VERSION
#ifdef ST_WITH_JPEG
    ", libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION)
#endif
#ifdef ST_WITH_PNG
        ", libspng " TEXT(SPNG_VERSION_MAJOR) "." TEXT(SPNG_VERSION_MINOR) "." TEXT(SPNG_VERSION_PATCH)
#endif
#ifdef ST_WITH_HDF5
            ", libhdf5 (" ST_WITH_HDF5 ")" /* opened when a file asks for it */
#endif
#ifdef ST_WITH_PROTOBUF
            ", protobuf-c " PROTOBUF_C_VERSION
#endif
    ;

static void add_webp(void) {
#ifdef ST_WITH_WEBP
    unsigned version = (unsigned)WebPGetDecoderVersion();
    size_t length = strlen(built_with);
    (void)snprintf(built_with + length, sizeof built_with - length, ", libwebp %u.%u.%u", version >> 16 & 255,
                   version >> 8 & 255, version & 255);
#endif
}

const char *strata_built_with(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, add_webp);
    return built_with;
}

strata_status strata_runtime_create(strata_runtime **out, const strata_options *options, strata_error *err) {
    *out = NULL;
    const strata_options none = {0};
    options = options != NULL ? options : &none;
    ST_FAIL_IF(options->threads < 0 || options->threads > 1024, err, STRATA_INVALID,
               "threads must be from 1 to 1,024, found %d", options->threads);
    const st_kernels *kernels = NULL;
    ST_TRY(st_kernels_select(&kernels, options->isa, err));
    strata_runtime *runtime = st_sys.allocate(sizeof *runtime);
    ST_FAIL_IF(runtime == NULL, err, STRATA_MEMORY, "not enough memory for a runtime");
    *runtime = (strata_runtime){.kernels = kernels};
    strata_status status = st_pool_create(&runtime->pool, options->threads, err);
    if (status != STRATA_OK) {
        st_sys.release(runtime, sizeof *runtime);
        return status;
    }
    *out = runtime;
    return STRATA_OK;
}

const char *strata_runtime_isa(const strata_runtime *runtime) {
    return runtime->kernels->name;
}

int strata_runtime_threads(const strata_runtime *runtime) {
    return st_pool_threads(runtime->pool);
}

void strata_runtime_free(strata_runtime *runtime) {
    if (runtime != NULL) {
        st_pool_free(runtime->pool);
        st_sys.release(runtime, sizeof *runtime);
    }
}

/* ---- the limits of the machine ---------------------------------------------------------------------------------- */

enum { MEASURE_ROUNDS = 5 };
static const size_t MEASURE_BYTES = (size_t)64 << 20; /* beyond the second level cache, within any memory */

typedef struct measure_state {
    strata_runtime *runtime;
    double operations[1024];
    const double *numbers; /* MEASURE_BYTES of them */
    volatile double sink[1024];
} measure_state;

static void measure_peak(void *arg, int thread) {
    measure_state *state = arg;
    state->operations[thread] = state->runtime->kernels->peak(200000);
}

static void read_share(void *arg, int thread) {
    measure_state *state = arg;
    size_t threads = (size_t)st_pool_threads(state->runtime->pool), count = MEASURE_BYTES / sizeof(double);
    const double *at = state->numbers + count * (size_t)thread / threads;
    const double *end = state->numbers + count * ((size_t)thread + 1) / threads;
    double sums[8] = {0};
    for (; at + 8 <= end; at += 8) {
        for (int i = 0; i < 8; i++) {
            sums[i] += at[i];
        }
    }
    double sum = 0.0;
    for (int i = 0; i < 8; i++) {
        sum += sums[i];
    }
    state->sink[thread] = sum;
}

void strata_runtime_measure(strata_runtime *runtime, double *peak_gflops, double *memory_gbytes) {
    *peak_gflops = 0.0;
    *memory_gbytes = 0.0;
    measure_state *state = st_sys.allocate(sizeof *state);
    if (state == NULL) {
        return;
    }
    *state = (measure_state){.runtime = runtime};
    for (int round = 0; round < MEASURE_ROUNDS; round++) {
        double begin = st_clock_s(), operations = 0.0;
        st_pool_run(runtime->pool, measure_peak, state);
        double seconds = st_clock_s() - begin;
        for (int i = 0; i < st_pool_threads(runtime->pool); i++) {
            operations += state->operations[i];
        }
        double rate = seconds > 0.0 ? operations / seconds * 1e-9 : 0.0;
        *peak_gflops = rate > *peak_gflops ? rate : *peak_gflops;
    }
    double *numbers = st_sys.allocate(MEASURE_BYTES);
    for (size_t i = 0; numbers != NULL && i < MEASURE_BYTES / sizeof *numbers; i++) {
        numbers[i] = 1.0;
    }
    state->numbers = numbers;
    for (int round = 0; numbers != NULL && round < MEASURE_ROUNDS; round++) {
        double begin = st_clock_s();
        st_pool_run(runtime->pool, read_share, state);
        double seconds = st_clock_s() - begin;
        double rate = seconds > 0.0 ? (double)MEASURE_BYTES / seconds * 1e-9 : 0.0;
        *memory_gbytes = rate > *memory_gbytes ? rate : *memory_gbytes;
    }
    if (numbers != NULL) {
        st_sys.release(numbers, MEASURE_BYTES);
    }
    st_sys.release(state, sizeof *state);
}
