/* conv_case.h: one convolution or fully connected layer with its tensors, outside of any net, and its passes on a pool
 * of threads. For tests/sweep_conv.c and bench/bench_kernels.c. */
#ifndef CONV_CASE_H
#define CONV_CASE_H

#include <stdlib.h>
#include <string.h>

#include "layers/layers.h"

typedef struct conv_case {
    const st_impl *impl;
    st_conv_params conv;
    st_fc_params fc;
    st_dims in, out;
    int64_t n, spare;                      /* images; how many more the layer is prepared for */
    int64_t in_gap, out_gap, residual_gap; /* elements between pixels that belong to nobody */
    /* Tensors; published order for weights. */
    st_real *x, *y, *residual, *scale, *shift, *dx, *dy, *weight, *bias, *dweight, *dbias;
    size_t x_count, y_count, residual_count, weight_count, bias_count;
    bool has_scale, has_shift, has_residual, add;
    st_activation activation;
} conv_case;

typedef struct conv_runner {
    const st_kernels *kernels;
    st_pool *pool;
    st_site site;
    st_state_dims state[ST_OP_STATES];
    bool din_needed[1], din_add[1];
    st_view in, din;
    st_run run;
    st_call call;
    st_needs needs;
    char *thread_scratch;
    size_t thread_stride;
    const st_phase *phase;
} conv_runner;

/* Large enough that the system gives huge pages, as a model's arena gets them. */
static inline void *case_alloc_large(size_t bytes) {
    void *memory = st_sys.allocate(bytes + (4 << 20));
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static inline void *case_alloc(size_t bytes) {
    void *memory = st_sys.allocate(bytes + 64);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static inline void case_free(void *memory, size_t bytes) {
    st_sys.release(memory, bytes + 64);
}

/* Makes a runner of the case for one set of kernels. Native weights are the runner's own. */
static inline bool conv_runner_begin(conv_runner *out, conv_case *c, const st_kernels *kernels, st_pool *pool) {
    const bool is_fc = c->impl == &st_fc_nhwc;
    const st_layout layout = c->impl == &st_conv_lanes ? ST_LAYOUT_LANES : ST_LAYOUT_NHWC;
    memset(out, 0, sizeof *out);
    out->kernels = kernels;
    out->pool = pool;
    out->state[ST_CONV_WEIGHT] =
        is_fc ? (st_state_dims){.rank = 2, .dims = {c->out.c, c->in.h * c->in.w * c->in.c}}
              : (st_state_dims){.rank = 4,
                                .dims = {c->out.c, c->in.c / c->conv.groups, c->conv.kernel[0], c->conv.kernel[1]}};
    out->state[ST_CONV_BIAS] = (st_state_dims){.rank = 1, .dims = {c->out.c}};
    out->din_needed[0] = true;
    out->din_add[0] = c->add;
    out->site = (st_site){.params = is_fc ? (const void *)&c->fc : (const void *)&c->conv,
                          .kernels = kernels,
                          .mode = ST_MODE_TRAIN,
                          .batch = c->n + c->spare,
                          .threads = st_pool_threads(pool),
                          .in_count = 1,
                          .in = &c->in,
                          .in_flat = (const bool[]){false},
                          .out = c->out,
                          .state = out->state,
                          .din_needed = out->din_needed,
                          .dstate_needed = true,
                          .layout = layout};
    if (c->impl->prepare(&out->site, &out->needs, NULL) != STRATA_OK) {
        return false;
    }
    out->run = (st_run){.n = c->n, .mode = ST_MODE_TRAIN};
    out->in = (st_view){.data = c->x, .layout = layout, .dims = c->in, .pixel_stride = c->in.c + c->in_gap};
    out->din = out->in;
    out->din.data = c->dx;
    out->call =
        (st_call){.site = &out->site,
                  .run = &out->run,
                  .in = &out->in,
                  .out = {.data = c->y, .layout = layout, .dims = c->out, .pixel_stride = c->out.c + c->out_gap},
                  .din = &out->din,
                  .din_add = out->din_add,
                  .dout = {.data = c->dy, .layout = layout, .dims = c->out, .pixel_stride = c->out.c + c->out_gap},
                  .shared = case_alloc(out->needs.shared_bytes)};
    out->call.epilogue = (st_epilogue){
        .scale = c->has_scale ? c->scale : NULL, .shift = c->has_shift ? c->shift : NULL, .activation = c->activation};
    if (c->has_residual) {
        out->call.epilogue.residual = (st_view){
            .data = c->residual, .layout = layout, .dims = c->out, .pixel_stride = c->out.c + c->residual_gap};
    }
    for (int i = 0; i < 2; i++) {
        const size_t count = c->impl->state_count(&out->site, i);
        out->call.state[i] = case_alloc(count * sizeof(st_real));
        out->call.dstate[i] = case_alloc(count * sizeof(st_real));
        c->impl->pack(&out->site, i, i == 0 ? c->weight : c->bias, out->call.state[i]);
        memset(out->call.dstate[i], 0xa5, count * sizeof(st_real));
    }
    out->thread_stride = (out->needs.thread_bytes + 4095) / 4096 * 4096 + 64;
    out->thread_scratch = case_alloc_large(out->thread_stride * (size_t)st_pool_threads(pool));
    memset(out->thread_scratch, 0xa5, out->thread_stride * (size_t)st_pool_threads(pool));
    memset(out->call.shared, 0xa5, out->needs.shared_bytes + 64);
    return true;
}

static inline void conv_runner_item(void *arg, int64_t item, int thread) {
    conv_runner *runner = arg;
    runner->phase->run(&runner->call, item, runner->thread_scratch + (size_t)thread * runner->thread_stride);
}

static inline void conv_runner_phases(conv_runner *runner, const st_phase *phases) {
    for (int i = 0; i < ST_OP_PHASES && phases[i].run != NULL; i++) {
        runner->phase = &phases[i];
        const int64_t images = runner->site.layout == ST_LAYOUT_LANES ? ST_LANES : 1;
        const int64_t items =
            phases[i].items == NULL ? (runner->run.n + images - 1) / images : phases[i].items(&runner->call);
        st_pool_for(runner->pool, items, conv_runner_item, runner);
    }
}

static inline bool is_untouched(const char *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)from[i] != 0xa5) {
            return false;
        }
    }
    return true;
}

/* Gradients in published order go to the case. False where something was written behind the scratch that was asked for.
 */
static inline bool conv_runner_end(conv_runner *runner, conv_case *c) {
    bool is_clean = is_untouched((const char *)runner->call.shared + runner->needs.shared_bytes, 64);
    for (int i = 0; i < st_pool_threads(runner->pool); i++) {
        is_clean &=
            is_untouched(runner->thread_scratch + (size_t)i * runner->thread_stride + runner->needs.thread_bytes,
                         runner->thread_stride - runner->needs.thread_bytes);
    }
    for (int i = 0; i < 2; i++) {
        const size_t count = c->impl->state_count(&runner->site, i);
        st_real *published = i == 0 ? c->dweight : c->dbias;
        if (published != NULL) {
            c->impl->unpack(&runner->site, i, runner->call.dstate[i], published);
        }
        case_free(runner->call.state[i], count * sizeof(st_real));
        case_free(runner->call.dstate[i], count * sizeof(st_real));
    }
    case_free(runner->call.shared, runner->needs.shared_bytes);
    case_free(runner->thread_scratch, runner->thread_stride * (size_t)st_pool_threads(runner->pool) + (4 << 20) - 64);
    return is_clean;
}

#endif
