/* layer_case.h: one layer of the table on its own: built from a line of its examples, given random inputs and weights,
 * run through its phases as the executor would. For sweep_layers.c and gradient_layers.c. */
#ifndef LAYER_CASE_H
#define LAYER_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "graph/graph.h"
#include "kernels/kernels.h"
#include "lang/lang.h"
#include "layers/layers.h"

enum { CASE_INPUTS = 4, CASE_CANARY = 64 };

/* ---- a layer from its example ---- */

typedef struct layer_case {
    st_arena *arena;
    const st_graph *graph;
    const st_op *op;
    char text[256]; /* for messages */
    const void *params;
    int in_count;
    st_dims in[CASE_INPUTS], out;
    bool in_flat[CASE_INPUTS];
    st_state_dims state[ST_OP_STATES];
} layer_case;

static void layer_case_fill(layer_case *it, int node_index) {
    const st_node *node = &it->graph->nodes[node_index];
    it->params = node->params;
    it->in_count = node->in_count;
    it->out = node->out;
    assert_true(node->in_count <= CASE_INPUTS);
    for (int i = 0; i < node->in_count; i++) {
        it->in[i] = it->graph->nodes[node->in[i]].out;
        it->in_flat[i] = it->graph->nodes[node->in[i]].is_flat;
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        it->state[i] = node->state[i].dims;
    }
}

/* The last layer of this kind in the example; of a loss, what its output reads. */
static void layer_case_make(layer_case *it, const st_op *op, const char *line, size_t length) {
    strata_error err = {0};
    *it = (layer_case){.op = op};
    snprintf(it->text, sizeof it->text, "%.*s", (int)length, line);
    char text[512];
    bool has_output = strstr(it->text, "output ") != NULL;
    snprintf(text, sizeof text, "network example {\n%s\n%s}\n", it->text, has_output ? "" : "output out\n");
    const st_tree *tree;
    strata_status status = st_arena_create(&it->arena, &err);
    assert_int_equal(status, STRATA_OK);
    status = st_lang_parse(&tree, it->arena, "example", text, strlen(text), &err);
    if (status == STRATA_OK) {
        status = st_graph_build(&it->graph, it->arena, tree, NULL, NULL, &err);
    }
    if (status != STRATA_OK) {
        fail_msg("%s: %s\n%s:%d:%d: %s", op->name, it->text, err.file, err.line, err.column, err.message);
    }
    if ((op->traits & ST_OP_IS_LOSS) != 0) {
        const st_node *node = &it->graph->nodes[it->graph->outputs[it->graph->main_output].node];
        it->in_count = 1;
        it->in[0] = node->out;
        it->in_flat[0] = node->is_flat;
        it->out = (st_dims){.h = 1, .w = 1, .c = 1};
        return;
    }
    if ((op->traits & ST_OP_IS_IDENTITY) != 0) { /* the graph has no node for it */
        it->in_count = 1;
        it->in[0] = it->out = it->graph->input;
        return;
    }
    for (int i = it->graph->node_count - 1; i >= 0; i--) {
        if (it->graph->nodes[i].op == op) {
            layer_case_fill(it, i);
            return;
        }
    }
    fail_msg("the example '%s' has no '%s'", it->text, op->name);
}

static void layer_case_free(layer_case *it) {
    st_arena_free(it->arena);
}

/* ---- numbers ---- */

static size_t dims_count(st_dims dims) {
    return (size_t)(dims.h * dims.w * dims.c);
}

static size_t state_count(const layer_case *it, int state) {
    size_t count = it->state[state].rank > 0;
    for (int i = 0; i < it->state[state].rank; i++) {
        count *= (size_t)it->state[state].dims[i];
    }
    return count;
}

static void *get_memory(size_t bytes) {
    void *memory = NULL;
    assert_int_equal(posix_memalign(&memory, 64, bytes + 64), 0);
    memset(memory, 0xff, bytes + 64); /* NaN: what is read must have been written */
    return memory;
}

static st_real draw(uint64_t stream, size_t index, double low, double high) {
    return (st_real)(low + (high - low) * st_rng_uniform(7, st_rng_stream(ST_STREAM_TEST, stream), index));
}

static st_real *draw_values(uint64_t stream, size_t count) {
    st_real *values = get_memory(count * sizeof(st_real));
    for (size_t i = 0; i < count; i++) {
        values[i] = draw(stream, i, -1, 1);
    }
    return values;
}

/* ---- values in a layout: elements are named by image, pixel, channel ---- */

typedef struct value {
    st_view view;
    size_t bytes;
} value;

static size_t value_index(const st_view *view, int64_t image, int64_t pixel, int64_t c) {
    int64_t pixels = view->dims.h * view->dims.w;
    if (view->layout == ST_LAYOUT_LANES) {
        int64_t block = image / ST_LANES, lane = image % ST_LANES;
        return (size_t)(((block * pixels + pixel) * view->pixel_stride + c) * ST_LANES + lane);
    }
    return (size_t)((image * pixels + pixel) * view->pixel_stride + c);
}

static const st_real case_gap = (st_real)-12345.5; /* between the channels of strided pixels */

static value value_make(st_layout layout, st_dims dims, int64_t pixel_stride, int64_t n) {
    int64_t images = layout == ST_LAYOUT_LANES ? (n + ST_LANES - 1) / ST_LANES * ST_LANES : n;
    size_t count = (size_t)(images * dims.h * dims.w * pixel_stride);
    value it = {.view = {.dtype = ST_DTYPE_REAL, .layout = layout, .dims = dims, .pixel_stride = pixel_stride}};
    it.bytes = (count + CASE_CANARY) * sizeof(st_real);
    st_real *data = get_memory(it.bytes);
    for (size_t i = 0; i < count + CASE_CANARY; i++) {
        data[i] = case_gap;
    }
    it.view.data = data;
    return it;
}

/* [n][h][w][c] to the value; lanes without an image are zero. */
static void value_write(value *it, const st_real *from, int64_t n) {
    const st_view *view = &it->view;
    int64_t pixels = view->dims.h * view->dims.w;
    int64_t images = view->layout == ST_LAYOUT_LANES ? (n + ST_LANES - 1) / ST_LANES * ST_LANES : n;
    for (int64_t image = 0; image < images; image++) {
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            for (int64_t c = 0; c < view->dims.c; c++) {
                st_real x = image < n ? from[(image * pixels + pixel) * view->dims.c + c] : 0;
                ((st_real *)view->data)[value_index(view, image, pixel, c)] = x;
            }
        }
    }
}

static void value_read(const value *it, st_real *to, int64_t n) {
    const st_view *view = &it->view;
    int64_t pixels = view->dims.h * view->dims.w;
    for (int64_t image = 0; image < n; image++) {
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            for (int64_t c = 0; c < view->dims.c; c++) {
                to[(image * pixels + pixel) * view->dims.c + c] =
                    ((const st_real *)view->data)[value_index(view, image, pixel, c)];
            }
        }
    }
}

/* Nothing was written between the pixels or behind the end. */
static bool value_gaps_are_whole(const value *it, int64_t n) {
    const st_view *view = &it->view;
    int64_t pixels = view->dims.h * view->dims.w;
    int64_t images = view->layout == ST_LAYOUT_LANES ? (n + ST_LANES - 1) / ST_LANES * ST_LANES : n;
    const st_real *data = view->data;
    for (int64_t image = 0; image < images; image++) {
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            for (int64_t c = view->dims.c; c < view->pixel_stride; c++) {
                if (data[value_index(view, image, pixel, c)] != case_gap) {
                    return false;
                }
            }
        }
    }
    size_t count = (size_t)(images * pixels * view->pixel_stride);
    for (size_t i = 0; i < CASE_CANARY; i++) {
        if (data[count + i] != case_gap) {
            return false;
        }
    }
    return true;
}

/* Gradients of images that do not exist are zero: the layer before sums over all lanes. */
static bool value_empty_lanes_are_zero(const value *it, int64_t n) {
    const st_view *view = &it->view;
    for (int64_t image = n; view->layout == ST_LAYOUT_LANES && image % ST_LANES != 0; image++) {
        for (int64_t pixel = 0; pixel < view->dims.h * view->dims.w; pixel++) {
            for (int64_t c = 0; c < view->dims.c; c++) {
                if (((const st_real *)view->data)[value_index(view, image, pixel, c)] != 0) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* ---- one execution ---- */

/* What varies from run to run. */
typedef struct variant {
    const st_kernels *kernels;
    st_layout layout;
    int64_t n, batch;
    int threads;
    st_mode mode;
    bool frozen, strided, add, in_place, epilogue, forward_only;
    bool mixed; /* a loss: each picture shows a share of a second class */
} variant;

/* Inputs and results, [n][h][w][c] and published order. */
typedef struct numbers {
    st_real *in[CASE_INPUTS], *dout, *residual, *scale, *shift;
    st_real *state[ST_OP_STATES];
    int32_t *labels, *other_labels;
    float *shares;
    st_real *out, *din[CASE_INPUTS], *dstate[ST_OP_STATES], *losses;
    int32_t *ranks;
} numbers;

static numbers numbers_make(const layer_case *it, int64_t n) {
    numbers these = {0};
    size_t images = (size_t)n, out = images * dims_count(it->out), c = (size_t)it->out.c;
    for (int i = 0; i < it->in_count; i++) {
        these.in[i] = draw_values(10 + (uint64_t)i, images * dims_count(it->in[i]));
        these.din[i] = draw_values(0, images * dims_count(it->in[i]));
    }
    these.dout = draw_values(1, out);
    these.residual = draw_values(2, out);
    these.scale = draw_values(3, c);
    these.shift = draw_values(4, c);
    these.out = draw_values(0, out);
    for (int i = 0; i < ST_OP_STATES; i++) {
        these.state[i] = draw_values(20 + (uint64_t)i, state_count(it, i));
        these.dstate[i] = draw_values(0, state_count(it, i));
        bool is_variance = it->op->state[i].name != NULL && strcmp(it->op->state[i].name, "running_var") == 0;
        for (size_t j = 0; is_variance && j < state_count(it, i); j++) {
            these.state[i][j] = draw(9, j, 0.5, 2);
        }
    }
    these.labels = get_memory(images * sizeof(int32_t));
    these.other_labels = get_memory(images * sizeof(int32_t));
    these.shares = get_memory(images * sizeof(float));
    these.ranks = get_memory(images * sizeof(int32_t));
    these.losses = get_memory(images * sizeof(st_real));
    for (size_t i = 0; i < images; i++) {
        these.labels[i] = (int32_t)(st_rng_bits(7, 5, i) % (uint64_t)it->in[0].c);
        these.other_labels[i] = (int32_t)(st_rng_bits(7, 6, i) % (uint64_t)it->in[0].c);
        these.shares[i] = i == 0 ? 0.5f : (float)draw(5, i, 0, 1);
    }
    return these;
}

static void numbers_free(numbers *these) {
    st_real *all[] = {these->dout, these->residual, these->scale, these->shift, these->out, these->losses};
    for (size_t i = 0; i < ST_COUNT_OF(all); i++) {
        free(all[i]);
    }
    for (int i = 0; i < CASE_INPUTS; i++) {
        free(these->in[i]);
        free(these->din[i]);
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        free(these->state[i]);
        free(these->dstate[i]);
    }
    free(these->labels);
    free(these->other_labels);
    free(these->shares);
    free(these->ranks);
}

static st_site case_site(const layer_case *it, const variant *how, const bool *din_needed) {
    return (st_site){.params = it->params,
                     .kernels = how->kernels,
                     .mode = how->mode,
                     .batch = how->batch,
                     .threads = how->threads,
                     .in_count = it->in_count,
                     .in = it->in,
                     .in_flat = it->in_flat,
                     .out = it->out,
                     .state = it->state,
                     .din_needed = din_needed,
                     .dstate_needed = how->mode == ST_MODE_TRAIN,
                     .layout = how->layout,
                     .frozen = how->frozen,
                     .stream = 77,
                     .loss_weight = 0.3};
}

static st_run case_run(const variant *how, const numbers *these) {
    return (st_run){.n = how->n,
                    .mode = how->mode,
                    .seed = 5,
                    .step = 3,
                    .labels = these->labels,
                    .other_labels = how->mixed ? these->other_labels : NULL,
                    .shares = these->shares,
                    .label_smoothing = 0.1};
}

typedef struct phase_run {
    const st_call *call;
    const st_phase *phase;
    char *scratch;
    size_t scratch_bytes;
} phase_run;

static void run_item(void *arg, int64_t item, int thread) {
    const phase_run *run = arg;
    run->phase->run(run->call, item, run->scratch + (size_t)thread * run->scratch_bytes);
}

static void run_phases(const st_call *call, const st_phase *phases, st_pool *pool, char *scratch, size_t bytes) {
    int64_t n = call->run->n;
    int64_t images = call->site->layout == ST_LAYOUT_LANES ? (n + ST_LANES - 1) / ST_LANES : n;
    for (int i = 0; i < ST_OP_PHASES && phases[i].run != NULL; i++) {
        phase_run run = {.call = call, .phase = &phases[i], .scratch = scratch, .scratch_bytes = bytes};
        st_pool_for(pool, phases[i].items == NULL ? images : phases[i].items(call), run_item, &run);
    }
}

/* The activation of a fused epilogue, its derivative told from the result. */
static const st_activation case_activation = ST_ACTIVATION_TANH;

typedef struct memory_of_run {
    value in[CASE_INPUTS], out, din[CASE_INPUTS], dout, residual;
    st_view in_view[CASE_INPUTS], din_view[CASE_INPUTS];
    st_real *state[ST_OP_STATES], *dstate[ST_OP_STATES];
    char *shared, *kept, *scratch;
    size_t thread_bytes;
} memory_of_run;

static int64_t stride_of(int64_t c, bool is_strided) {
    return is_strided ? c + 3 : c;
}

static size_t native_count(const layer_case *it, const st_impl *impl, const st_site *site, int state) {
    return impl->state_count == NULL ? state_count(it, state) : impl->state_count(site, state);
}

static void place_states(memory_of_run *at, const layer_case *it, const st_impl *impl, const st_site *site,
                         const numbers *these) {
    for (int i = 0; i < ST_OP_STATES; i++) {
        size_t count = state_count(it, i), native = count == 0 ? 0 : native_count(it, impl, site, i);
        if (count == 0) {
            continue;
        }
        at->state[i] = get_memory(native * sizeof(st_real));
        if (impl->pack == NULL) {
            memcpy(at->state[i], these->state[i], count * sizeof(st_real));
        } else {
            impl->pack(site, i, these->state[i], at->state[i]);
        }
        if (it->op->state[i].is_trained && site->dstate_needed) {
            at->dstate[i] = get_memory(native * sizeof(st_real));
        }
    }
}

static void place_values(memory_of_run *at, const layer_case *it, const st_impl *impl, const variant *how,
                         const numbers *these) {
    bool in_strided = how->strided && impl->reads_strided, out_strided = how->strided && impl->writes_strided;
    for (int i = 0; i < it->in_count; i++) {
        at->in[i] = value_make(how->layout, it->in[i], stride_of(it->in[i].c, in_strided), how->n);
        value_write(&at->in[i], these->in[i], how->n);
        at->din[i] = value_make(how->layout, it->in[i], stride_of(it->in[i].c, in_strided), how->n);
        if (how->add) {
            value_write(&at->din[i], these->in[i], how->n);
        }
        at->in_view[i] = at->in[i].view;
        at->din_view[i] = at->din[i].view;
    }
    at->out = value_make(how->layout, it->out, stride_of(it->out.c, out_strided), how->n);
    at->dout = value_make(how->layout, it->out, stride_of(it->out.c, out_strided), how->n);
    value_write(&at->dout, these->dout, how->n);
    at->residual = value_make(how->layout, it->out, stride_of(it->out.c, out_strided), how->n);
    value_write(&at->residual, these->residual, how->n);
    if (how->in_place) { /* the executor's way: one piece of memory, two names */
        at->in_view[0].data = at->out.view.data;
        at->in_view[0].pixel_stride = at->out.view.pixel_stride;
        value_write(&at->out, these->in[0], how->n);
        at->din_view[0].data = at->dout.view.data;
        at->din_view[0].pixel_stride = at->dout.view.pixel_stride;
    }
}

static void release(memory_of_run *at, const layer_case *it) {
    for (int i = 0; i < it->in_count; i++) {
        free(at->in[i].view.data);
        free(at->din[i].view.data);
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        free(at->state[i]);
        free(at->dstate[i]);
    }
    free(at->out.view.data);
    free(at->dout.view.data);
    free(at->residual.view.data);
    free(at->shared);
    free(at->kept);
    free(at->scratch);
}

/* Where an implementation keeps more numbers than are published, those of a gradient are zero: no optimizer may move
 * them. */
static void expect_padding_zero(const layer_case *it, const st_impl *impl, const st_site *site, int state,
                                const st_real *native, const st_real *published) {
    size_t count = native_count(it, impl, site, state), differs = 0;
    st_real *packed = get_memory(count * sizeof(st_real));
    impl->pack(site, state, published, packed);
    for (size_t i = 0; i < count; i++) {
        differs += !(packed[i] == native[i]);
    }
    free(packed);
    if (differs > 0) {
        fail_msg("%s: %s: gradient of %s: %zu numbers that are padding are not zero", it->op->name, it->text,
                 it->op->state[state].name, differs);
    }
}

static void read_states(const memory_of_run *at, const layer_case *it, const st_impl *impl, const st_site *site,
                        numbers *these) {
    for (int i = 0; i < ST_OP_STATES; i++) {
        size_t bytes = state_count(it, i) * sizeof(st_real);
        if (at->dstate[i] != NULL) {
            if (impl->unpack == NULL) {
                memcpy(these->dstate[i], at->dstate[i], bytes);
            } else {
                impl->unpack(site, i, at->dstate[i], these->dstate[i]);
                expect_padding_zero(it, impl, site, i, at->dstate[i], these->dstate[i]);
            }
        } else if (at->state[i] != NULL && !it->op->state[i].is_trained) { /* running statistics */
            memcpy(these->dstate[i], at->state[i], bytes);
        }
    }
}

/* The bias that the executor hands to the epilogue: of a layer that is not itself an affine map. */
static int bias_state(const layer_case *it) {
    for (int i = 0; i < ST_OP_STATES && (it->op->traits & ST_OP_IS_AFFINE) == 0; i++) {
        if (it->op->state[i].name != NULL && strcmp(it->op->state[i].name, "bias") == 0) {
            return i;
        }
    }
    return -1;
}

static inline bool is_served(const layer_case *it, const variant *how) {
    return it->op->impl[how->layout] != NULL;
}

/* Forward, and in training backward; fills out, din, dstate, losses, ranks. */
static void execute(const layer_case *it, const variant *how, st_pool *pool, numbers *these) {
    const st_impl *impl = it->op->impl[how->layout];
    bool needed[CASE_INPUTS] = {true, true, true, true}, add[CASE_INPUTS] = {how->add, how->add, how->add, how->add};
    st_site site = case_site(it, how, needed);
    st_run run = case_run(how, these);
    st_needs needs = {0};
    strata_error err = {0};
    memory_of_run at = {0};
    if (impl->prepare != NULL && impl->prepare(&site, &needs, &err) != STRATA_OK) {
        fail_msg("%s: %s: prepare: %s", it->op->name, it->text, err.message);
    }
    place_states(&at, it, impl, &site, these);
    place_values(&at, it, impl, how, these);
    at.thread_bytes = (needs.thread_bytes + 63) / 64 * 64;
    at.shared = get_memory(needs.shared_bytes);
    at.kept = get_memory(needs.kept_bytes);
    at.scratch = get_memory(at.thread_bytes * (size_t)how->threads);
    st_call call = {.site = &site,
                    .run = &run,
                    .in = at.in_view,
                    .out = at.out.view,
                    .shared = at.shared,
                    .kept = at.kept,
                    .losses = these->losses,
                    .ranks = these->ranks};
    memcpy(call.state, at.state, sizeof at.state);
    if (how->epilogue) {
        call.epilogue = (st_epilogue){
            .scale = these->scale, .shift = these->shift, .residual = at.residual.view, .activation = case_activation};
    } else if (bias_state(it) >= 0) {
        call.epilogue.shift = at.state[bias_state(it)];
    }
    run_phases(&call, impl->forward, pool, at.scratch, at.thread_bytes);
    value_read(&at.out, these->out, how->n);
    bool is_whole = value_gaps_are_whole(&at.out, how->n), is_zero = true;
    if (how->mode == ST_MODE_TRAIN && !how->epilogue && !how->forward_only) {
        call.din = at.din_view;
        call.din_add = add;
        call.dout = at.dout.view;
        memcpy(call.dstate, at.dstate, sizeof at.dstate);
        memset(at.shared, 0xff, needs.shared_bytes);
        memset(at.scratch, 0xff, at.thread_bytes * (size_t)how->threads);
        run_phases(&call, impl->backward, pool, at.scratch, at.thread_bytes);
        for (int i = 0; i < it->in_count; i++) {
            const value *din = i == 0 && how->in_place ? &at.dout : &at.din[i];
            value_read(din, these->din[i], how->n);
            is_whole = is_whole && value_gaps_are_whole(din, how->n) && value_gaps_are_whole(&at.din[i], how->n);
            is_zero = is_zero && (how->add || value_empty_lanes_are_zero(din, how->n));
        }
        read_states(&at, it, impl, &site, these);
    }
    release(&at, it);
    if (!is_whole) {
        fail_msg("%s: %s: wrote outside of its pixels", it->op->name, it->text);
    }
    if (!is_zero) {
        fail_msg("%s: %s: an image that does not exist has a gradient", it->op->name, it->text);
    }
}

/* ---- every example of the table ---- */

static inline void each_example(void (*test)(const layer_case *it, st_pool *const *pools), st_pool *const *pools) {
    for (size_t i = 0; st_layer_table[i] != NULL; i++) {
        const st_op *op = st_layer_table[i];
        if ((op->traits & ST_OP_IS_INPUT) != 0) {
            continue;
        }
        const char *line = op->examples;
        while (*line != '\0') {
            size_t length = strcspn(line, "\n");
            layer_case it;
            layer_case_make(&it, op, line, length);
            test(&it, pools);
            layer_case_free(&it);
            line += length + (line[length] == '\n');
        }
    }
}

#endif
