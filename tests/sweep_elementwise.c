/* The entries of ST_KERNEL_LIST_ELEMENTWISE on random shapes: tails, gaps between rows, both widths of a channel, zeros
 * of both signs, subnormals, infinities where they mean something. Every set gives portable's bytes, and nothing is
 * written beside the output. Portable itself is believed because tests/sweep_layers.c compares it with naive loops. */
#include <math.h>

#include "sweep_guarded.h"

#include "kernels/simd_portable.h"

#include "kernels/simd_math.h"

/* ---- elementwise.inc ---- */

/* Worst errors of the vector functions over a walk through all floats, in units of the last place. */
static double ulp(st_real found, double expected) {
    int exponent;
    frexp(expected, &exponent);
    double unit = ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
    return fabs((double)found - expected) / unit;
}

typedef struct function_error {
    const char *name;
    v16 (*function)(v16);
    double (*expected)(double);
    double limit; /* ULP, measured and rounded up */
} function_error;

static double double_sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static double double_scaled_tanh(double x) {
    return 1.7159 * tanh(2 * x / 3);
}

static void check_function(const function_error *it) {
    const uint64_t step = 16 * 20011; /* prime: every exponent, changing mantissas */
    for (uint64_t start = 0; start < UINT64_C(0x100000000); start += step) {
        st_real x[16], y[16];
        for (int i = 0; i < 16; i++) {
            uint32_t bits = (uint32_t)(start + (uint64_t)i * 20011);
            float number;
            memcpy(&number, &bits, sizeof number);
            x[i] = (st_real)number;
        }
        v16_store(y, it->function(v16_load(x)));
        for (int i = 0; i < 16; i++) {
            double expected = it->expected((double)x[i]);
            bool is_number = isfinite(expected) && fabs(expected) < 3.4e38;
            bool is_far_down = fabs(expected) < 0x1p-126 && it->expected == double_sigmoid;
            if (is_number && !is_far_down && !(ulp(y[i], expected) <= it->limit)) {
                fail_msg("%s(%a) is %a, off by %g ULP", it->name, (double)x[i], (double)y[i], ulp(y[i], expected));
            }
            if (isnan(expected) != isnan((double)y[i]) || (isinf(expected) && !isinf((double)y[i]))) {
                fail_msg("%s(%a) is %a, not %a", it->name, (double)x[i], (double)y[i], expected);
            }
        }
    }
}

static void check_functions(void) {
    static const function_error functions[] = {
        {"exp", v16_exp, exp, 1.1},
        {"log", v16_log, log, 1.0},
        {"tanh", v16_tanh, tanh, 2.4},
        {"sigmoid", v16_sigmoid, double_sigmoid, 2.5},
        {"scaled tanh", v16_scaled_tanh, double_scaled_tanh, 3.5},
    };
    for (size_t i = 0; i < ST_COUNT_OF(functions); i++) {
        check_function(&functions[i]);
    }
}

void sweep_apply(const st_kernels *reference, const st_kernels *kernels) {
    if (kernels == reference) {
        check_functions();
    }
    uint64_t state = 1000;
    for (int i = 0; i < CASES; i++) {
        int lanes = pick_lanes(&state);
        int64_t rows = pick(&state, 1, 5), channels = pick(&state, 1, 70), width = channels * lanes;
        int64_t strides[3];
        for (int k = 0; k < 3; k++) {
            strides[k] = width + (flip(&state) ? 0 : pick(&state, 1, 20));
        }
        guarded in = guarded_make(&state, rows * strides[0]), residual = guarded_make(&state, rows * strides[1]);
        guarded out = guarded_make(&state, rows * strides[2]), same = guarded_copy(&out);
        guarded scale = guarded_make(&state, channels), shift = guarded_make(&state, channels);
        st_apply work = {.rows = rows,
                         .channels = channels,
                         .lanes = lanes,
                         .in = in.data,
                         .in_stride = strides[0],
                         .residual = flip(&state) ? residual.data : NULL,
                         .residual_stride = strides[1],
                         .out = out.data,
                         .out_stride = strides[2],
                         .scale = flip(&state) ? scale.data : NULL,
                         .shift = flip(&state) ? shift.data : NULL,
                         .activation = (st_activation)pick(&state, 0, ST_ACTIVATION_COUNT - 1)};
        kernels->apply(&work);
        work.out = same.data;
        reference->apply(&work);
        expect_equal(kernels, "apply", &out, &same);
        free(in.memory);
        free(residual.memory);
        free(scale.memory);
        free(shift.memory);
    }
}

void sweep_activate_backward(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 2000;
    for (int i = 0; i < CASES; i++) {
        int64_t rows = pick(&state, 1, 5), width = pick(&state, 1, 130), stride = width + pick(&state, 0, 9);
        guarded y = guarded_make(&state, rows * stride), dout = guarded_make(&state, rows * stride);
        guarded target = guarded_make(&state, rows * stride), same = guarded_copy(&target);
        st_activate_backward work = {.rows = rows,
                                     .width = width,
                                     .out = y.data,
                                     .dout = dout.data,
                                     .target = target.data,
                                     .out_stride = stride,
                                     .dout_stride = stride,
                                     .target_stride = stride,
                                     .add = flip(&state),
                                     .activation = (st_activation)pick(&state, 0, ST_ACTIVATION_COUNT - 1)};
        kernels->activate_backward(&work);
        work.target = same.data;
        reference->activate_backward(&work);
        expect_equal(kernels, "activate_backward", &target, &same);
        free(y.memory);
        free(dout.memory);
    }
}

/* What `pixels` must say, byte by byte. */
static void expect_pixels(const st_kernels *kernels, const st_pixels *work, const st_real *out) {
    int64_t lanes = work->layout == ST_LAYOUT_LANES ? ST_LANES : 1, pixels = work->to.h * work->to.w;
    int64_t images = (work->n + lanes - 1) / lanes * lanes;
    for (int64_t image = 0; image < images; image++) {
        for (int64_t i = 0; i < pixels * work->to.c; i++) {
            int64_t c = i % work->to.c, h = i / work->to.c / work->to.w - work->top;
            int64_t w = i / work->to.c % work->to.w - work->left;
            bool is_inside = h >= 0 && h < work->from.h && w >= 0 && w < work->from.w;
            double byte = image < work->n && is_inside
                              ? work->in[((image * work->from.h + h) * work->from.w + w) * work->from.c + c]
                              : 0;
            double expected = image < work->n ? byte * (double)work->scale[c] + (double)work->shift[c] : 0;
            double found = (double)out[(image / lanes * pixels * work->to.c + i) * lanes + image % lanes];
            if (!(fabs(found - expected) <= 1e-6 * (1 + fabs(expected)))) {
                fail_msg("pixels, %s: image %lld, element %lld is %g, not %g", kernels->name, (long long)image,
                         (long long)i, found, expected);
            }
        }
    }
}

void sweep_pixels(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 3000;
    for (int i = 0; i < CASES; i++) {
        int64_t c = pick(&state, 1, 4), n = pick(&state, 1, 35);
        st_dims from = {.h = pick(&state, 1, 9), .w = pick(&state, 1, 20), .c = c}, to = from;
        to.h += pick(&state, 0, 4);
        to.w += pick(&state, 0, 4);
        st_layout layout = flip(&state) ? ST_LAYOUT_LANES : ST_LAYOUT_NHWC;
        int64_t lanes = layout == ST_LAYOUT_LANES ? ST_LANES : 1, items = (n + lanes - 1) / lanes;
        size_t bytes = (size_t)(n * from.h * from.w * c);
        uint8_t *in = malloc(bytes);
        assert_non_null(in);
        for (size_t k = 0; k < bytes; k++) {
            in[k] = (uint8_t)next_bits(&state);
        }
        st_real scale[4] = {(st_real)0.004, (st_real)0.01, (st_real)0.02, (st_real)0.03};
        st_real shift[4] = {(st_real)-0.5, (st_real)0.25, 0, (st_real)-2};
        guarded out = guarded_make(&state, items * lanes * to.h * to.w * c), same = guarded_copy(&out);
        st_pixels work = {.in = in,
                          .n = n,
                          .from = from,
                          .to = to,
                          .top = (to.h - from.h) / 2,
                          .left = (to.w - from.w) / 2,
                          .layout = layout,
                          .scale = scale,
                          .shift = shift,
                          .out = out.data};
        for (int64_t item = 0; item < items; item++) {
            kernels->pixels(&work, item);
        }
        expect_pixels(kernels, &work, out.data);
        work.out = same.data;
        for (int64_t item = 0; item < items; item++) {
            reference->pixels(&work, item);
        }
        expect_equal(kernels, "pixels", &out, &same);
        free(in);
    }
}

/* Any counter, also where its lower half runs over; the bits are those of one draw at a time. */
void sweep_draw_mask(const st_kernels *reference, const st_kernels *kernels) {
    enum { STEP = 3 };
    uint64_t state = 4500;
    (void)reference;
    for (int i = 0; i < CASES; i++) {
        int64_t count = pick(&state, 1, 200), step = flip(&state) ? 1 : STEP;
        st_mask_draw from = {.seed = st_rng_bits(7, 1, state), .stream = st_rng_bits(7, 2, state)};
        from.limit = (uint32_t)st_rng_bits(7, 3, state);
        uint8_t *mask = calloc((size_t)((count - 1) * step + 1), 1);
        assert_non_null(mask);
        kernels->draw_mask(mask, step, count, &from);
        for (int64_t k = 0; k < count; k++) {
            uint64_t bits = st_rng_bits(from.seed, from.stream, (uint64_t)k / 2) >> (k % 2 * 32);
            assert_int_equal(mask[k * step], (uint32_t)bits >= from.limit);
            for (int64_t between = 1; between < step && k + 1 < count; between++) {
                assert_int_equal(mask[k * step + between], 0);
            }
        }
        free(mask);
    }
}

void sweep_mask(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 4000;
    for (int i = 0; i < CASES; i++) {
        int64_t count = pick(&state, 1, 100);
        uint8_t *mask = malloc((size_t)count); /* exact: a read beyond is found by the sanitizer */
        assert_non_null(mask);
        for (int64_t k = 0; k < count; k++) {
            mask[k] = flip(&state);
        }
        guarded in = guarded_make(&state, count), out = guarded_make(&state, count), same = guarded_copy(&out);
        bool add = flip(&state);
        kernels->mask(out.data, in.data, mask, (st_real)1.25, count, add);
        reference->mask(same.data, in.data, mask, (st_real)1.25, count, add);
        expect_equal(kernels, "mask", &out, &same);
        free(in.memory);
        free(mask);
    }
}

/* ---- pool.inc ---- */

static st_pool pick_pool(uint64_t *state) {
    int64_t c = pick(state, 1, 70);
    st_pool pool = {.in = {.h = pick(state, 3, 12), .w = pick(state, 3, 12), .c = c},
                    .is_adaptive = pick(state, 0, 3) == 0,
                    .r = pick(state, 1, 3),
                    .s = pick(state, 1, 3),
                    .stride_h = pick(state, 1, 4),
                    .stride_w = pick(state, 1, 4)};
    pool.in_stride = c + pick(state, 0, 5);
    pool.out_stride = c + pick(state, 0, 5);
    pool.din_stride = c + pick(state, 0, 5);
    pool.dout_stride = c + pick(state, 0, 5);
    if (flip(state)) {
        pool.stride_h = pool.r;
        pool.stride_w = pool.s;
        pool.in.h -= pool.in.h % pool.r;
        pool.in.w -= pool.in.w % pool.s;
    }
    pool.pad_top = pool.pad_bottom = pick(state, 0, pool.r - 1);
    pool.pad_left = pool.pad_right = pick(state, 0, pool.s - 1);
    pool.skips_padding = flip(state);
    pool.out = (st_dims){.h = (pool.in.h + 2 * pool.pad_top - pool.r) / pool.stride_h + 1,
                         .w = (pool.in.w + 2 * pool.pad_left - pool.s) / pool.stride_w + 1,
                         .c = c};
    return pool;
}

typedef struct pool_tensors {
    guarded in, out, dout, din, same_out, same_din;
} pool_tensors;

static pool_tensors pick_pool_tensors(uint64_t *state, const st_pool *pool) {
    int64_t in = pool->in.h * pool->in.w, out = pool->out.h * pool->out.w;
    pool_tensors all = {.in = guarded_make(state, in * pool->in_stride),
                        .out = guarded_make(state, out * pool->out_stride),
                        .dout = guarded_make(state, out * pool->dout_stride),
                        .din = guarded_make(state, in * pool->din_stride)};
    all.same_out = guarded_copy(&all.out);
    all.same_din = guarded_copy(&all.din);
    return all;
}

static void sweep_pooling(const st_kernels *reference, const st_kernels *kernels, bool is_maximum, bool is_backward) {
    uint64_t state = 5000;
    for (int i = 0; i < CASES; i++) {
        st_pool pool = pick_pool(&state);
        pool_tensors all = pick_pool_tensors(&state, &pool);
        (is_maximum ? kernels->maxpool : kernels->avgpool)(&pool, all.out.data, all.in.data);
        (is_maximum ? reference->maxpool : reference->avgpool)(&pool, all.same_out.data, all.in.data);
        bool add = flip(&state);
        if (is_backward && is_maximum) {
            kernels->maxpool_backward(&pool, all.din.data, all.dout.data, all.in.data, all.out.data, add);
            reference->maxpool_backward(&pool, all.same_din.data, all.dout.data, all.in.data, all.out.data, add);
        } else if (is_backward) {
            kernels->avgpool_backward(&pool, all.din.data, all.dout.data, add);
            reference->avgpool_backward(&pool, all.same_din.data, all.dout.data, add);
        }
        expect_equal(kernels, is_maximum ? "maxpool" : "avgpool", &all.out, &all.same_out);
        expect_equal(kernels, is_maximum ? "maxpool_backward" : "avgpool_backward", &all.din, &all.same_din);
        free(all.in.memory);
        free(all.dout.memory);
    }
}

void sweep_maxpool(const st_kernels *reference, const st_kernels *kernels) {
    sweep_pooling(reference, kernels, true, false);
}

void sweep_maxpool_backward(const st_kernels *reference, const st_kernels *kernels) {
    sweep_pooling(reference, kernels, true, true);
}

/* The same bits as maxpool, its gradient the same as maxpool_backward's. */
static void sweep_index(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 5500;
    for (int i = 0; i < CASES; i++) {
        st_pool pool = pick_pool(&state);
        if (pool.is_adaptive) {
            continue;
        }
        pool_tensors all = pick_pool_tensors(&state, &pool);
        size_t count = (size_t)(pool.out.h * pool.out.w * pool.in.c);
        uint8_t *index = malloc(count);
        assert_non_null(index);
        bool add = flip(&state);
        kernels->maxpool_index(&pool, all.out.data, index, all.in.data);
        reference->maxpool(&pool, all.same_out.data, all.in.data);
        kernels->maxpool_index_backward(&pool, all.din.data, all.dout.data, index, add, false);
        reference->maxpool_backward(&pool, all.same_din.data, all.dout.data, all.in.data, all.same_out.data, add);
        expect_equal(kernels, "maxpool_index", &all.out, &all.same_out);
        expect_equal(kernels, "maxpool_index_backward", &all.din, &all.same_din);
        free(index);
        free(all.in.memory);
        free(all.dout.memory);
    }
}

void sweep_maxpool_index(const st_kernels *reference, const st_kernels *kernels) {
    sweep_index(reference, kernels);
}

void sweep_maxpool_index_backward(const st_kernels *reference, const st_kernels *kernels) {
    sweep_index(reference, kernels);
}

void sweep_avgpool(const st_kernels *reference, const st_kernels *kernels) {
    sweep_pooling(reference, kernels, false, false);
}

void sweep_avgpool_backward(const st_kernels *reference, const st_kernels *kernels) {
    sweep_pooling(reference, kernels, false, true);
}

/* ---- norm.inc ---- */

void sweep_moments(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 6000;
    for (int i = 0; i < CASES; i++) {
        int64_t rows = pick(&state, 1, 200), width = pick(&state, 1, 150), stride = width + pick(&state, 0, 9);
        guarded in = guarded_make(&state, rows * stride), mean = guarded_make(&state, width);
        guarded squares = guarded_make(&state, width), same_mean = guarded_copy(&mean), same = guarded_copy(&squares);
        kernels->moments(mean.data, squares.data, in.data, stride, rows, width);
        reference->moments(same_mean.data, same.data, in.data, stride, rows, width);
        expect_equal(kernels, "moments: mean", &mean, &same_mean);
        expect_equal(kernels, "moments: squares", &squares, &same);
        free(in.memory);
    }
}

void sweep_norm_sums(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 7000;
    for (int i = 0; i < CASES; i++) {
        int lanes = pick_lanes(&state);
        int64_t rows = pick(&state, 1, 150), channels = pick(&state, 1, 40), width = channels * lanes;
        int64_t in_stride = width + pick(&state, 0, 9), dout_stride = width + pick(&state, 0, 9);
        guarded in = guarded_make(&state, rows * in_stride), dout = guarded_make(&state, rows * dout_stride);
        guarded out = guarded_make(&state, rows * dout_stride), same_dout = guarded_copy(&dout);
        guarded factors = guarded_make(&state, 3 * channels), sums = guarded_make(&state, width);
        guarded products = guarded_make(&state, width), same = guarded_copy(&sums),
                same_products = guarded_copy(&products);
        int64_t gate = pick(&state, 0, 2);
        st_norm_backward work = {.rows = rows,
                                 .channels = channels,
                                 .lanes = lanes,
                                 .in = in.data,
                                 .dout = dout.data,
                                 .in_stride = in_stride,
                                 .dout_stride = dout_stride,
                                 .mean = factors.data,
                                 .scale = gate == 1 ? factors.data + channels : NULL,
                                 .shift = gate == 1 ? factors.data + 2 * channels : NULL,
                                 .out = gate == 2 ? out.data : NULL,
                                 .out_stride = dout_stride};
        kernels->norm_sums(&work, sums.data, products.data);
        work.dout = same_dout.data;
        reference->norm_sums(&work, same.data, same_products.data);
        expect_equal(kernels, "norm_sums: sums", &sums, &same);
        expect_equal(kernels, "norm_sums: products", &products, &same_products);
        expect_equal(kernels, "norm_sums: dout", &dout, &same_dout);
        free(in.memory);
        free(out.memory);
        free(factors.memory);
    }
}

void sweep_norm_backward(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 8000;
    for (int i = 0; i < CASES; i++) {
        int lanes = pick_lanes(&state);
        int64_t rows = pick(&state, 1, 9), channels = pick(&state, 1, 70), width = channels * lanes;
        int64_t stride = width + pick(&state, 0, 9);
        guarded in = guarded_make(&state, rows * stride), dout = guarded_make(&state, rows * stride);
        guarded din = guarded_make(&state, rows * stride), same = guarded_copy(&din);
        guarded factors = guarded_make(&state, 6 * channels);
        bool has_gate = flip(&state);
        st_norm_backward work = {.rows = rows,
                                 .channels = channels,
                                 .lanes = lanes,
                                 .in = in.data,
                                 .dout = dout.data,
                                 .din = din.data,
                                 .in_stride = stride,
                                 .dout_stride = stride,
                                 .din_stride = stride,
                                 .a = factors.data,
                                 .b = factors.data + channels,
                                 .c = factors.data + 2 * channels,
                                 .mean = factors.data + 3 * channels,
                                 .scale = has_gate ? factors.data + 4 * channels : NULL,
                                 .shift = has_gate ? factors.data + 5 * channels : NULL,
                                 .add = flip(&state)};
        kernels->norm_backward(&work);
        work.din = same.data;
        reference->norm_backward(&work);
        expect_equal(kernels, "norm_backward", &din, &same);
        free(in.memory);
        free(dout.memory);
        free(factors.memory);
    }
}

/* ---- softmax.inc ---- */

void sweep_softmax(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 9000;
    for (int i = 0; i < CASES; i++) {
        int lanes = pick_lanes(&state);
        int64_t rows = pick(&state, 1, 4), channels = pick(&state, 1, 200),
                stride = channels * lanes + pick(&state, 0, 9);
        guarded in = guarded_make(&state, rows * stride), out = guarded_make(&state, rows * stride);
        guarded same = guarded_copy(&out);
        kernels->softmax(out.data, stride, in.data, stride, rows, channels, lanes);
        reference->softmax(same.data, stride, in.data, stride, rows, channels, lanes);
        expect_equal(kernels, "softmax", &out, &same);
        free(in.memory);
    }
}

void sweep_softmax_backward(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 10000;
    for (int i = 0; i < CASES; i++) {
        int lanes = pick_lanes(&state);
        int64_t rows = pick(&state, 1, 4), channels = pick(&state, 1, 200),
                stride = channels * lanes + pick(&state, 0, 9);
        guarded y = guarded_make(&state, rows * stride), dout = guarded_make(&state, rows * stride);
        guarded din = guarded_make(&state, rows * stride), same = guarded_copy(&din);
        bool add = flip(&state);
        kernels->softmax_backward(din.data, stride, dout.data, stride, y.data, stride, rows, channels, lanes, add);
        reference->softmax_backward(same.data, stride, dout.data, stride, y.data, stride, rows, channels, lanes, add);
        expect_equal(kernels, "softmax_backward", &din, &same);
        free(y.memory);
        free(dout.memory);
    }
}

void sweep_cross_entropy(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 11000;
    for (int i = 0; i < 4 * CASES; i++) {
        int64_t classes = pick(&state, 1, 300), label = pick(&state, 0, classes - 1);
        guarded logits = guarded_make(&state, classes);
        st_real smoothing = flip(&state) ? 0 : (st_real)0.1;
        int32_t rank = -1, same_rank = -2;
        st_real loss = kernels->cross_entropy(&rank, logits.data, classes, label, smoothing);
        st_real same = reference->cross_entropy(&same_rank, logits.data, classes, label, smoothing);
        assert_memory_equal(&loss, &same, sizeof loss);
        assert_int_equal(rank, same_rank);
        free(logits.memory);
    }
}

void sweep_cross_entropy_backward(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 12000;
    for (int i = 0; i < CASES; i++) {
        int64_t classes = pick(&state, 1, 300), label = pick(&state, 0, classes - 1);
        guarded logits = guarded_make(&state, classes), gradient = guarded_make(&state, classes);
        guarded same = guarded_copy(&gradient);
        st_real smoothing = flip(&state) ? 0 : (st_real)0.1;
        bool add = flip(&state);
        kernels->cross_entropy_backward(gradient.data, add, logits.data, classes, label, smoothing, (st_real)0.01);
        reference->cross_entropy_backward(same.data, add, logits.data, classes, label, smoothing, (st_real)0.01);
        expect_equal(kernels, "cross_entropy_backward", &gradient, &same);
        free(logits.memory);
    }
}

/* ---- optimizer.inc ---- */

/* Against the formulas in double, where portable is swept against itself. */
static void expect_sgd(const st_sgd *rule, const guarded *before, const guarded *gradient, const guarded *buffer,
                       const guarded *found, bool has_buffer) {
    for (size_t i = 0; i < found->count; i++) {
        double w = (double)before->data[i], d = (double)gradient->data[i] + (double)rule->weight_decay * w;
        double kept = rule->is_first ? d : (double)rule->momentum * (double)buffer->data[i] + d;
        double step = !has_buffer ? d : rule->is_nesterov ? d + (double)rule->momentum * kept : kept;
        double expected = w - (double)rule->learning_rate * step;
        double size = fabs(w) + fabs((double)gradient->data[i]) + fabs((double)buffer->data[i]);
        if (!(fabs((double)found->data[i] - expected) <= 1e-6 * size + 1e-30)) {
            fail_msg("sgd: %g, not %g", (double)found->data[i], expected);
        }
    }
}

void sweep_sgd(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 13000;
    for (int i = 0; i < CASES; i++) {
        int64_t count = pick(&state, 1, 200);
        st_sgd rule = {.learning_rate = (st_real)0.1,
                       .momentum = (st_real)0.9,
                       .weight_decay = (st_real)0.01,
                       .is_nesterov = flip(&state),
                       .is_first = flip(&state)};
        bool has_buffer = flip(&state);
        guarded w = guarded_make(&state, count), g = guarded_make(&state, count), buffer = guarded_make(&state, count);
        guarded same = guarded_copy(&w), same_buffer = guarded_copy(&buffer), before = guarded_copy(&w);
        guarded old = guarded_copy(&buffer);
        kernels->sgd(&rule, w.data, g.data, has_buffer ? buffer.data : NULL, count);
        reference->sgd(&rule, same.data, g.data, has_buffer ? same_buffer.data : NULL, count);
        expect_sgd(&rule, &before, &g, &old, &w, has_buffer);
        expect_equal(kernels, "sgd: weights", &w, &same);
        expect_equal(kernels, "sgd: buffer", &buffer, &same_buffer);
        free(g.memory);
        free(before.memory);
        free(old.memory);
    }
}

static void expect_adamw(const st_adamw *rule, const guarded *before, const guarded *gradient, const guarded *m,
                         const guarded *v, const guarded *found) {
    for (size_t i = 0; i < found->count; i++) {
        double g = (double)gradient->data[i];
        double first = (double)rule->beta1 * (double)m->data[i] + (1 - (double)rule->beta1) * g;
        double second = (double)rule->beta2 * (double)v->data[i] + (1 - (double)rule->beta2) * g * g;
        double step = first / (sqrt(second) * (double)rule->root + (double)rule->epsilon);
        double w = (double)before->data[i], expected = (double)rule->keep * w - (double)rule->step * step;
        if (!(fabs((double)found->data[i] - expected) <= 1e-5 * (fabs(w) + fabs((double)rule->step * step)) + 1e-9)) {
            fail_msg("adamw: %g, not %g", (double)found->data[i], expected);
        }
    }
}

void sweep_adamw(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 14000;
    const st_adamw rule = {.keep = (st_real)0.9999,
                           .step = (st_real)0.003,
                           .root = (st_real)3.2,
                           .beta1 = (st_real)0.9,
                           .beta2 = (st_real)0.999,
                           .epsilon = (st_real)1e-8};
    for (int i = 0; i < CASES; i++) {
        int64_t count = pick(&state, 1, 200);
        guarded w = guarded_make(&state, count), g = guarded_make(&state, count), m = guarded_make(&state, count);
        guarded v = guarded_make(&state, count);
        for (size_t k = 0; k < v.count; k++) {
            v.data[k] = v.data[k] < 0 ? -v.data[k] : v.data[k];
        }
        guarded before = guarded_copy(&w), old_m = guarded_copy(&m), old_v = guarded_copy(&v);
        guarded same = guarded_copy(&w), same_m = guarded_copy(&m), same_v = guarded_copy(&v);
        kernels->adamw(&rule, w.data, g.data, m.data, v.data, count);
        reference->adamw(&rule, same.data, g.data, same_m.data, same_v.data, count);
        expect_adamw(&rule, &before, &g, &old_m, &old_v, &w);
        expect_equal(kernels, "adamw: weights", &w, &same);
        expect_equal(kernels, "adamw: m", &m, &same_m);
        expect_equal(kernels, "adamw: v", &v, &same_v);
        free(g.memory);
        free(before.memory);
        free(old_m.memory);
        free(old_v.memory);
    }
}

void sweep_first_non_finite(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 15000;
    (void)reference;
    static const double bad[3] = {INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 4 * CASES; i++) {
        int64_t count = pick(&state, 1, 200);
        guarded values = guarded_make(&state, count);
        values.data[count] = (st_real)NAN; /* beyond the end: does not count */
        assert_int_equal(kernels->first_non_finite(values.data, count), count);
        int64_t at = pick(&state, 0, count - 1), later = pick(&state, at, count - 1);
        values.data[later] = (st_real)bad[i % 3];
        values.data[at] = (st_real)bad[(i + 1) % 3];
        assert_int_equal(kernels->first_non_finite(values.data, count), at);
        free(values.memory);
    }
}
