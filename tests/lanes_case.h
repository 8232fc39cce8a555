/* lanes_case.h: tensors in image lanes, a layer's phases over them in reverse order, comparisons: what sweep_lanes.c
 * and sweep_lanes_loss.c share. */
#ifndef LANES_CASE_H
#define LANES_CASE_H

#include <stdio.h>

#include "layers/layers.h"
#include "sweep.h"

enum { CASES = 60, CANARY = 32 };

static char current[256]; /* the problem, for messages */

/* ---- numbers ---- */

static uint64_t draws;

static inline int64_t draw_int(int64_t low, int64_t high) {
    return low + (int64_t)(st_rng_bits(3, st_rng_stream(ST_STREAM_TEST, 40), draws++) % (uint64_t)(high - low + 1));
}

/* Mostly from -1 to 1; some zeros, some tiny ones, whose products have to be flushed. */
static inline st_real draw_real(void) {
    double x = 2 * st_rng_uniform(3, st_rng_stream(ST_STREAM_TEST, 41), draws) - 1;
    uint64_t kind = st_rng_bits(3, st_rng_stream(ST_STREAM_TEST, 42), draws++) % 40;
    return kind == 0 ? (st_real)0 : kind == 1 ? (st_real)(x * 0x1p-60) : (st_real)x;
}

static inline st_real *get_reals(int64_t count) {
    st_real *data = st_sys.allocate((size_t)(count + CANARY) * sizeof(st_real));
    assert_non_null(data);
    for (int64_t i = 0; i < count + CANARY; i++) {
        data[i] = (st_real)-777;
    }
    return data;
}

static inline void drop_reals(st_real *data, int64_t count) {
    for (int64_t i = 0; i < CANARY; i++) {
        assert_true(data[count + i] == (st_real)-777);
    }
    st_sys.release(data, (size_t)(count + CANARY) * sizeof(st_real));
}

/* A tensor in image lanes. */
typedef struct tensor {
    st_view view;
    int64_t n, count;
} tensor;

static inline tensor tensor_make(st_dims dims, int64_t n, int64_t gap) {
    int64_t blocks = (n + ST_LANES - 1) / ST_LANES;
    tensor it = {.view = {.layout = ST_LAYOUT_LANES, .dims = dims, .pixel_stride = dims.c + gap},
                 .n = n,
                 .count = blocks * dims.h * dims.w * (dims.c + gap) * ST_LANES};
    it.view.data = get_reals(it.count);
    return it;
}

static inline st_real *element(const tensor *it, int64_t n, int64_t pixel, int64_t c) {
    int64_t pixels = it->view.dims.h * it->view.dims.w;
    int64_t block = n / ST_LANES;
    return (st_real *)it->view.data + ((block * pixels + pixel) * it->view.pixel_stride + c) * ST_LANES + n % ST_LANES;
}

/* Lanes without an image become 0. */
static inline tensor tensor_draw(st_dims dims, int64_t n, int64_t gap) {
    tensor it = tensor_make(dims, n, gap);
    for (int64_t image = 0; image < (n + ST_LANES - 1) / ST_LANES * ST_LANES; image++) {
        for (int64_t pixel = 0; pixel < dims.h * dims.w; pixel++) {
            for (int64_t c = 0; c < dims.c; c++) {
                *element(&it, image, pixel, c) = image < n ? draw_real() : 0;
            }
        }
    }
    return it;
}

static inline tensor tensor_copy(const tensor *from) {
    tensor it = *from;
    it.view.data = get_reals(it.count);
    memcpy(it.view.data, from->view.data, (size_t)it.count * sizeof(st_real));
    return it;
}

static inline void tensor_drop(tensor *it) {
    drop_reals(it->view.data, it->count);
}

static inline void same_bytes(const char *what, const st_real *a, const st_real *b, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (memcmp(&a[i], &b[i], sizeof a[i]) != 0) {
            fail_msg("%s: %s: element %lld is %a, expected %a", current, what, (long long)i, (double)a[i],
                     (double)b[i]);
        }
    }
}

/* A chain of `terms` multiply-adds is off by at most terms * 2^-24 of the sum of its terms' sizes; the result may have
 * been flushed. */
static inline void near(const char *what, st_real found, double expected, double size, int64_t terms) {
    double bound = (double)(terms + 8) * 0x1p-24 * size + 0x1p-99;
    double off = (double)found - expected;
    if (!(off <= bound && off >= -bound)) {
        fail_msg("%s: %s: %.9g, expected %.9g within %.3g", current, what, (double)found, expected, bound);
    }
    assert_true(found == 0 || found >= (st_real)0x1p-100 || found <= (st_real)-0x1p-100);
}

static inline int64_t draw_images(void) {
    static const int64_t images[] = {1, 2, 13, 16, 17, 24, 48, 64};
    return images[draw_int(0, ST_COUNT_OF(images) - 1)];
}

/* ---- running a layer ---- */

typedef struct stage {
    st_site site;
    st_run run;
    st_call call;
    st_dims in_dims;
    st_state_dims states[ST_OP_STATES];
    bool in_flat, din_needed, din_add;
    st_view in, din;
    st_needs needs;
    const st_impl *impl;
} stage;

static inline void run_phases(const stage *it, const st_phase *phases) {
    void *shared = st_sys.allocate(it->needs.shared_bytes + 64),
         *scratch = st_sys.allocate(it->needs.thread_bytes + 64);
    assert_non_null(shared);
    assert_non_null(scratch);
    memset(shared, 0xff, it->needs.shared_bytes + 64);
    memset(scratch, 0xff, it->needs.thread_bytes + 64);
    st_call call = it->call;
    call.shared = shared;
    for (int i = 0; i < ST_OP_PHASES && phases[i].run != NULL; i++) {
        int64_t items = phases[i].items != NULL ? phases[i].items(&call) : (it->run.n + ST_LANES - 1) / ST_LANES;
        while (items-- > 0) {
            phases[i].run(&call, items, scratch);
        }
    }
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(((unsigned char *)shared)[it->needs.shared_bytes + i], 0xff);
        assert_int_equal(((unsigned char *)scratch)[it->needs.thread_bytes + i], 0xff);
    }
    st_sys.release(shared, it->needs.shared_bytes + 64);
    st_sys.release(scratch, it->needs.thread_bytes + 64);
}

static inline void scene_begin(stage *it, const st_impl *impl, const st_kernels *kernels, const void *params,
                               const tensor *x, st_dims out, bool add) {
    *it = (stage){.in_dims = x->view.dims, .din_needed = true, .din_add = add, .in = x->view, .impl = impl};
    it->site = (st_site){.params = params,
                         .kernels = kernels,
                         .mode = ST_MODE_TRAIN,
                         .batch = x->n + draw_int(0, 20),
                         .threads = 1,
                         .in_count = 1,
                         .in = &it->in_dims,
                         .in_flat = &it->in_flat,
                         .out = out,
                         .state = it->states,
                         .din_needed = &it->din_needed,
                         .dstate_needed = true,
                         .layout = ST_LAYOUT_LANES,
                         .loss_weight = 0.7};
    it->run = (st_run){.n = x->n, .mode = ST_MODE_TRAIN};
    it->call = (st_call){.site = &it->site, .run = &it->run, .in = &it->in, .din = &it->din, .din_add = &it->din_add};
    if (impl->prepare != NULL) {
        assert_int_equal(impl->prepare(&it->site, &it->needs, NULL), STRATA_OK);
    }
}

#endif
