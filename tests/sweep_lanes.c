/* The entries of ST_KERNEL_LIST_LANES through the layers that use them: random shapes, strides, paddings, dilations and
 * groups, numbers of images that fill no block, values with stride. Each result is compared with naive loops in double,
 * within the bound of a chain of that length, and byte by byte with the portable kernels. Items run in reverse order,
 * since no result may depend on it. */
#include "lanes_case.h"

/* Everything that a layer with weights makes. */
typedef struct results {
    tensor y, dx;
    st_real *dweight, *dbias; /* native order */
    int64_t weights, biases;
} results;

static void results_drop(results *it) {
    tensor_drop(&it->y);
    tensor_drop(&it->dx);
    drop_reals(it->dweight, it->weights);
    drop_reals(it->dbias, it->biases);
}

typedef struct problem {
    const st_impl *impl;
    const void *params;
    st_conv_params conv; /* fc: one window over the whole image */
    st_window window;
    st_dims in, out;
    int64_t n;
    bool is_fc, add;
    tensor x, dy, dx, residual;
    st_real *weight, *bias;     /* published order */
    bool has_residual, is_bare; /* bare: no bias, nothing behind the sum */
    st_activation activation;
} problem;

static int64_t published_count(const problem *it) {
    return it->out.c * (it->in.c / it->conv.groups) * it->window.r * it->window.s;
}

static results run_problem(const problem *it, const st_kernels *kernels) {
    stage scene;
    scene_begin(&scene, it->impl, kernels, it->params, &it->x, it->out, it->add);
    results out = {.y = tensor_make(it->out, it->n, it->dy.view.pixel_stride - it->out.c), .dx = tensor_copy(&it->dx)};
    out.weights = (int64_t)it->impl->state_count(&scene.site, ST_CONV_WEIGHT);
    out.biases = (int64_t)it->impl->state_count(&scene.site, ST_CONV_BIAS);
    out.dweight = get_reals(out.weights);
    out.dbias = get_reals(out.biases);
    st_real *weight = get_reals(out.weights), *back = get_reals(published_count(it));
    it->impl->pack(&scene.site, ST_CONV_WEIGHT, it->weight, weight);
    it->impl->unpack(&scene.site, ST_CONV_WEIGHT, weight, back);
    same_bytes("unpack(pack(w))", back, it->weight, published_count(it));
    scene.call.state[ST_CONV_WEIGHT] = weight;
    scene.call.epilogue = (st_epilogue){.shift = it->is_bare ? NULL : it->bias, .activation = it->activation};
    if (it->has_residual) {
        scene.call.epilogue.residual = it->residual.view;
    }
    scene.call.out = out.y.view;
    run_phases(&scene, it->impl->forward);
    scene.call.dout = it->dy.view;
    scene.din = out.dx.view;
    scene.call.dstate[ST_CONV_WEIGHT] = out.dweight;
    scene.call.dstate[ST_CONV_BIAS] = out.dbias;
    run_phases(&scene, it->impl->backward);
    /* Published order from here on. */
    it->impl->unpack(&scene.site, ST_CONV_WEIGHT, out.dweight, back);
    drop_reals(out.dweight, out.weights);
    drop_reals(weight, out.weights);
    out.dweight = back;
    out.weights = published_count(it);
    return out;
}

/* ---- naive loops ---- */

/* The element of x under output (p, q) and tap (r, s), or -1 in the padding. */
static int64_t pixel_under(const problem *it, int64_t p, int64_t q, int64_t r, int64_t s) {
    int64_t h = p * it->window.stride_h + r * it->window.dilation_h - it->window.pad_top;
    int64_t w = q * it->window.stride_w + s * it->window.dilation_w - it->window.pad_left;
    return h < 0 || w < 0 || h >= it->in.h || w >= it->in.w ? -1 : h * it->in.w + w;
}

typedef struct chain {
    double value, size;
    int64_t terms;
} chain;

static void chain_add(chain *to, double a, double b) {
    double product = a * b;
    to->value += product;
    to->size += product < 0 ? -product : product;
    to->terms++;
}

static double activated(double x, st_activation activation) {
    double e = st_exp(2 * x);
    return activation == ST_ACTIVATION_RELU   ? (x > 0 ? x : 0)
           : activation == ST_ACTIVATION_TANH ? (e - 1) / (e + 1)
                                              : x;
}

static void check_numbers(const problem *it, const results *found) {
    int64_t channels = it->in.c / it->conv.groups, outputs = it->out.c / it->conv.groups, weights = published_count(it);
    int64_t taps = it->window.r * it->window.s, pixels = it->out.h * it->out.w;
    size_t inputs = (size_t)(it->n * it->in.h * it->in.w * it->in.c);
    chain *dx = calloc(inputs, sizeof *dx), *dw = calloc((size_t)weights, sizeof *dw),
          *db = calloc((size_t)it->out.c, sizeof *db);
    assert_true(dx != NULL && dw != NULL && db != NULL);
    for (int64_t n = 0; n < it->n; n++) {
        for (int64_t out = 0; out < pixels * it->out.c; out++) {
            int64_t pixel = out / it->out.c, k = out % it->out.c;
            double dy = (double)*element(&it->dy, n, pixel, k);
            chain y = {0};
            chain_add(&db[k], dy, 1);
            for (int64_t i = 0; i < channels * taps; i++) {
                int64_t c = i / taps, tap = i % taps;
                int64_t from =
                    pixel_under(it, pixel / it->out.w, pixel % it->out.w, tap / it->window.s, tap % it->window.s);
                if (from >= 0) {
                    int64_t channel = k / outputs * channels + c;
                    double x = (double)*element(&it->x, n, from, channel),
                           w = (double)it->weight[k * channels * taps + i];
                    chain_add(&y, x, w);
                    chain_add(&dw[k * channels * taps + i], x, dy);
                    chain_add(&dx[(n * it->in.h * it->in.w + from) * it->in.c + channel], w, dy);
                }
            }
            chain_add(&y, (double)it->bias[k], 1);
            if (it->has_residual) {
                chain_add(&y, (double)*element(&it->residual, n, pixel, k), 1);
            }
            near("y", *element(&found->y, n, pixel, k), activated(y.value, it->activation), y.size + 1, y.terms);
        }
        for (int64_t in = 0; in < it->in.h * it->in.w * it->in.c; in++) {
            chain *expected = &dx[n * it->in.h * it->in.w * it->in.c + in];
            int64_t pixel = in / it->in.c, c = in % it->in.c;
            if (it->add) {
                chain_add(expected, (double)*element(&it->dx, n, pixel, c), 1);
            }
            near("dx", *element(&found->dx, n, pixel, c), expected->value, expected->size, expected->terms);
        }
    }
    for (int64_t i = 0; i < weights; i++) {
        near("dw", found->dweight[i], dw[i].value, dw[i].size, dw[i].terms);
    }
    for (int64_t k = 0; k < it->out.c; k++) {
        near("db", found->dbias[k], db[k].value, db[k].size, db[k].terms);
    }
    free(dx);
    free(dw);
    free(db);
}

/* ---- problems ---- */

static void draw_tensors(problem *it) {
    int64_t gap = it->is_fc ? 0 : draw_int(0, 2);
    it->x = tensor_draw(it->in, it->n, gap);
    it->dx = tensor_draw(it->in, it->n, it->is_fc ? 0 : draw_int(0, 2));
    it->dy = tensor_draw(it->out, it->n, draw_int(0, 1));
    it->residual = tensor_draw(it->out, it->n, draw_int(0, 1));
    it->weight = get_reals(published_count(it));
    it->bias = get_reals(it->out.c);
    for (int64_t i = 0; i < published_count(it); i++) {
        it->weight[i] = draw_real();
    }
    for (int64_t k = 0; k < it->out.c; k++) {
        it->bias[k] = it->is_bare ? 0 : draw_real();
    }
}

static problem draw_conv(int index) {
    problem it = {.impl = &st_conv_lanes, .n = draw_images(), .add = draw_int(0, 1) == 1};
    do {
        int64_t groups = draw_int(0, 3) == 0 ? draw_int(2, 4) : 1;
        it.in = (st_dims){draw_int(1, 12), draw_int(1, 14), groups * draw_int(1, 7)};
        it.conv = (st_conv_params){.kernel = {draw_int(1, 5), draw_int(1, 5)},
                                   .filters = groups * draw_int(1, 18 / groups),
                                   .stride = {draw_int(1, 3), draw_int(1, 3)},
                                   .pad = {draw_int(0, 2), draw_int(0, 2)},
                                   .dilation = {draw_int(1, 2), draw_int(1, 2)},
                                   .groups = groups,
                                   .bias = true};
        if (draw_int(0, 1) == 0) {
            it.conv.stride[0] = it.conv.stride[1] = it.conv.dilation[0] = it.conv.dilation[1] = 1;
        }
        if (index % 12 == 0) { /* more than one block of 64 channels, of inputs or outputs */
            it.n = draw_int(1, 20);
            it.in = (st_dims){4, 5, index % 24 == 0 ? 70 : 3};
            it.conv.groups = 1;
            it.conv.filters = index % 24 == 0 ? 5 : 67;
        }
        st_window_params window = {
            .kernel = it.conv.kernel, .stride = it.conv.stride, .pad = it.conv.pad, .dilation = it.conv.dilation};
        it.window = st_window_of(&window, it.in);
    } while (it.window.p < 1 || it.window.q < 1);
    it.out = (st_dims){it.window.p, it.window.q, it.conv.filters};
    it.has_residual = draw_int(0, 2) == 0;
    it.activation = (st_activation)draw_int(ST_ACTIVATION_NONE, ST_ACTIVATION_TANH);
    it.is_bare = !it.has_residual && it.activation == ST_ACTIVATION_NONE;
    return it;
}

static problem draw_fc(int64_t outputs) {
    problem it = {.impl = &st_fc_lanes, .n = draw_images(), .is_fc = true, .add = draw_int(0, 1) == 1};
    bool is_flat = draw_int(0, 1) == 0;
    it.in = is_flat ? (st_dims){1, 1, draw_int(1, 90)} : (st_dims){draw_int(1, 4), draw_int(1, 4), draw_int(1, 9)};
    it.out = (st_dims){1, 1, outputs};
    it.conv = (st_conv_params){.kernel = {it.in.h, it.in.w}, .filters = it.out.c, .groups = 1};
    it.window = (st_window){
        .r = it.in.h, .s = it.in.w, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .p = 1, .q = 1};
    it.activation = (st_activation)draw_int(ST_ACTIVATION_NONE, ST_ACTIVATION_TANH);
    return it;
}

static void describe(const problem *it, const char *name) {
    snprintf(current, sizeof current,
             "%s: %s n=%d %dx%dx%d kernel %dx%d filters %d stride %dx%d pad %dx%d dilation %dx%d groups %d", name,
             it->is_fc ? "fc" : "conv", (int)it->n, (int)it->in.h, (int)it->in.w, (int)it->in.c, (int)it->window.r,
             (int)it->window.s, (int)it->out.c, (int)it->window.stride_h, (int)it->window.stride_w,
             (int)it->window.pad_top, (int)it->window.pad_left, (int)it->window.dilation_h, (int)it->window.dilation_w,
             (int)it->conv.groups);
}

static void check_problem(problem *it, const st_kernels *reference, const st_kernels *kernels) {
    st_fc_params fc = {.outputs = it->out.c, .bias = true};
    it->params = it->is_fc ? (const void *)&fc : &it->conv;
    describe(it, kernels->name);
    draw_tensors(it);
    results portable = run_problem(it, reference), found = run_problem(it, kernels);
    check_numbers(it, &found);
    same_bytes("y", found.y.view.data, portable.y.view.data, found.y.count);
    same_bytes("dx", found.dx.view.data, portable.dx.view.data, found.dx.count);
    same_bytes("dw", found.dweight, portable.dweight, found.weights);
    same_bytes("db", found.dbias, portable.dbias, found.biases);
    results_drop(&portable);
    results_drop(&found);
    drop_reals(it->weight, published_count(it));
    drop_reals(it->bias, it->out.c);
    tensor_drop(&it->x);
    tensor_drop(&it->dx);
    tensor_drop(&it->dy);
    tensor_drop(&it->residual);
}

/* Forward, both gradients and the sum over the blocks in one: the messages name what differs. */
void sweep_lanes_conv(const st_kernels *reference, const st_kernels *kernels) {
    for (int index = 0; index < CASES; index++) {
        problem it = draw_conv(index);
        check_problem(&it, reference, kernels);
    }
}

/* Shapes that tiles were made for, and the step of 2 that cuts dx into parities. */
static void check_shape(st_conv_params conv, st_dims in, int64_t n, const st_kernels *reference,
                        const st_kernels *kernels) {
    problem it = {.impl = &st_conv_lanes, .conv = conv, .in = in, .n = n, .is_bare = true};
    st_window_params window = {
        .kernel = it.conv.kernel, .stride = it.conv.stride, .pad = it.conv.pad, .dilation = it.conv.dilation};
    it.window = st_window_of(&window, in);
    it.out = (st_dims){it.window.p, it.window.q, conv.filters};
    check_problem(&it, reference, kernels);
}

void sweep_lanes_conv_data(const st_kernels *reference, const st_kernels *kernels) {
    st_conv_params conv = {.kernel = {3, 3}, .filters = 5, .stride = {2, 2}, .dilation = {1, 1}, .groups = 1};
    for (int64_t pad = 0; pad < 3; pad++) {
        for (int64_t size = 5; size < 9; size++) {
            conv.pad[0] = conv.pad[1] = pad;
            check_shape(conv, (st_dims){size, size + 1, 4}, 17, reference, kernels);
        }
    }
    /* As in the residual networks for CIFAR: more x and dy than L1 holds. */
    static const int64_t shapes[][5] = {{3, 32, 3, 16, 1},
                                        {4, 32, 16, 16, 1},
                                        {3, 16, 32, 32, 1},
                                        {8, 8, 64, 64, 1},
                                        {6, 32, 16, 32, 2}}; /* rows, columns, channels, outputs, stride */
    for (size_t i = 0; i < ST_COUNT_OF(shapes); i++) {
        conv.pad[0] = conv.pad[1] = 1;
        conv.filters = shapes[i][3];
        conv.stride[0] = conv.stride[1] = shapes[i][4];
        check_shape(conv, (st_dims){shapes[i][0], shapes[i][1], shapes[i][2]}, 3, reference, kernels);
    }
}

void sweep_lanes_conv_weights(const st_kernels *reference, const st_kernels *kernels) {
    st_conv_params conv = {.kernel = {5, 5}, .stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    conv.filters = 6;
    check_shape(conv, (st_dims){32, 32, 1}, 18, reference, kernels); /* LeNet-5's c1: rows of pixels in parts */
    conv.filters = 16;
    check_shape(conv, (st_dims){14, 14, 6}, 64, reference, kernels);
}

/* Blocks 1 to 9: full and broken trees. */
void sweep_lanes_sum(const st_kernels *reference, const st_kernels *kernels) {
    (void)reference;
    for (int64_t blocks = 1; blocks < 10; blocks++) {
        int64_t stride = 48, count = draw_int(1, 40);
        st_real *parts = get_reals(blocks * stride), *level = get_reals(blocks * stride), *sums = get_reals(count);
        for (int64_t i = 0; i < blocks * stride; i++) {
            parts[i] = level[i] = draw_real();
        }
        kernels->lanes_sum(parts, stride, blocks, sums, count);
        for (int64_t left = blocks; left > 1; left = (left + 1) / 2) { /* neighbours, level by level */
            for (int64_t b = 0; b < left; b += 2) {
                for (int64_t i = 0; i < count; i++) {
                    st_real a = level[b * stride + i];
                    level[b / 2 * stride + i] = b + 1 < left ? a + level[(b + 1) * stride + i] : a;
                }
            }
        }
        for (int64_t i = 0; i < count; i++) {
            st_real size = level[i] < 0 ? -level[i] : level[i];
            level[i] = size < (st_real)0x1p-100 ? 0 : level[i];
        }
        snprintf(current, sizeof current, "%s: %d blocks", kernels->name, (int)blocks);
        same_bytes("lanes_sum", sums, level, count);
        drop_reals(parts, blocks * stride);
        drop_reals(level, blocks * stride);
        drop_reals(sums, count);
    }
}

static void sweep_fc(int64_t least, int64_t most, const st_kernels *reference, const st_kernels *kernels) {
    for (int index = 0; index < CASES / 4; index++) {
        problem it = draw_fc(draw_int(least, most));
        check_problem(&it, reference, kernels);
    }
}

/* One vector of outputs or less; some; many. Each forward and backward. */
void sweep_lanes_fc(const st_kernels *reference, const st_kernels *kernels) {
    sweep_fc(1, 16, reference, kernels);
}

void sweep_lanes_fc_data(const st_kernels *reference, const st_kernels *kernels) {
    sweep_fc(17, 40, reference, kernels);
}

void sweep_lanes_fc_weights(const st_kernels *reference, const st_kernels *kernels) {
    sweep_fc(41, 130, reference, kernels);
}

void sweep_lanes_fc_bias(const st_kernels *reference, const st_kernels *kernels) {
    sweep_fc(1, 130, reference, kernels);
}
