/* sweep_conv: convolutions and fully connected layers of random shapes. Every set of kernels that runs here gives the
 * same bytes as portable C on one thread, for any number of threads and any blocking, guard bytes between pixels
 * included; and portable C agrees with naive loops that sum in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "conv_case.h"

enum { PROBLEMS = 420, FC_PROBLEMS = 120, MOST_WORK = 1500000 };

/* A chain of n roundings errs by about sqrt(n) halves of the last place of its sum of magnitudes; four times that is
 * never seen. tanh and sigmoid add a few. */
static double tolerance_of(double length) {
    return (8 + 4 * sqrt(length)) * (sizeof(st_real) == 8 ? 0x1p-53 : 0x1p-24);
}

static uint64_t draws;

static int64_t draw(int64_t least, int64_t most) {
    return least + (int64_t)(st_rng_bits(1, st_rng_stream(ST_STREAM_TEST, 4), draws++) % (uint64_t)(most - least + 1));
}

static st_real draw_number(void) {
    const int64_t kind = draw(0, 60);
    const double size = kind == 0 ? 0.0 : kind == 1 ? 1e-20 : kind == 2 ? 1e-39 : kind == 3 ? 1e3 : 1.0;
    return (st_real)(size * (st_rng_uniform(2, st_rng_stream(ST_STREAM_TEST, 5), draws++) * 2 - 1));
}

static st_real *draw_numbers(size_t count) {
    st_real *out = case_alloc(count * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        out[i] = draw_number();
    }
    return out;
}

/* ---- a random case ---- */

static void draw_tensors(conv_case *c) {
    const int64_t in_pixels = c->in.h * c->in.w, out_pixels = c->out.h * c->out.w;
    c->x_count = (size_t)(c->n * in_pixels * (c->in.c + c->in_gap));
    c->y_count = (size_t)(c->n * out_pixels * (c->out.c + c->out_gap));
    c->residual_count = (size_t)(c->n * out_pixels * (c->out.c + c->residual_gap));
    c->bias_count = (size_t)c->out.c;
    c->x = draw_numbers(c->x_count);
    c->dx = draw_numbers(c->x_count);
    c->y = draw_numbers(c->y_count);
    c->dy = draw_numbers(c->y_count);
    c->residual = draw_numbers(c->residual_count);
    c->weight = draw_numbers(c->weight_count);
    c->dweight = draw_numbers(c->weight_count);
    c->bias = draw_numbers(c->bias_count);
    c->dbias = draw_numbers(c->bias_count);
    c->scale = draw_numbers(c->bias_count);
    c->shift = draw_numbers(c->bias_count);
    c->spare = draw(0, 1) == 0 ? draw(1, 20) : 0;
    c->has_scale = draw(0, 2) == 0;
    c->has_shift = draw(0, 1) == 0;
    c->has_residual = draw(0, 2) == 0;
    c->add = draw(0, 1) == 0;
    c->activation = (st_activation)draw(0, ST_ACTIVATION_COUNT - 1);
}

static int64_t draw_channels(void) {
    switch (draw(0, 5)) {
    case 0:
        return draw(1, 4);
    case 1:
        return 16 * draw(1, 4);
    case 2:
        return draw(60, 70);
    case 3:
        return draw(120, 140);
    default:
        return draw(1, 40);
    }
}

static int64_t work_of(const conv_case *c) {
    return c->n * c->out.h * c->out.w * c->out.c * c->in.c / c->conv.groups * c->conv.kernel[0] * c->conv.kernel[1];
}

static void draw_shape(conv_case *c) {
    static const int64_t batches[] = {1, 2, 3, 4, 5, 7, 8, 11, 16};
    *c = (conv_case){.impl = &st_conv_nhwc, .n = batches[draw(0, 8)]};
    st_conv_params *params = &c->conv;
    params->groups = draw(0, 3) == 0 ? draw(2, 6) : 1;
    const bool is_plain = draw(0, 2) == 0;
    for (int i = 0; i < 2; i++) {
        params->kernel[i] = is_plain ? 1 : draw(1, draw(0, 3) == 0 ? 7 : 3);
        params->stride[i] = draw(0, 2) == 0 ? draw(2, 4) : 1;
        params->dilation[i] = draw(0, 3) == 0 ? draw(2, 3) : 1;
        params->pad[i] = is_plain && draw(0, 3) != 0 ? 0 : draw(0, 3);
    }
    if (draw(0, 3) == 0) {
        params->pad[0] = params->pad[1] = -1; /* same: may differ before and after */
    }
    const int64_t most = params->groups > 1 ? 12 : 140;
    c->in = (st_dims){draw(1, 17), draw(1, draw(0, 5) == 0 ? 240 : 30), params->groups * (1 + draw_channels() % most)};
    params->filters = params->groups * (1 + draw_channels() % most);
    if (draw(0, 9) == 0) { /* depthwise */
        params->groups = params->filters = c->in.c = draw(1, 40);
    }
    const st_site site = {.params = params, .in = &c->in};
    const st_window window = st_conv_window(&site);
    c->out = (st_dims){window.p, window.q, params->filters};
}

static void draw_case(conv_case *c) {
    do {
        draw_shape(c);
    } while (c->out.h < 1 || c->out.w < 1 || work_of(c) > MOST_WORK);
    c->in_gap = draw(0, 2) == 0 ? draw(1, 5) : 0;
    c->out_gap = draw(0, 2) == 0 ? draw(1, 5) : 0;
    c->residual_gap = draw(0, 2) == 0 ? draw(1, 5) : 0;
    c->weight_count = (size_t)(c->out.c * c->in.c / c->conv.groups * c->conv.kernel[0] * c->conv.kernel[1]);
    draw_tensors(c);
}

static void draw_fc_case(conv_case *c) {
    static const int64_t batches[] = {1, 2, 3, 5, 8, 13, 16, 32, 33, 64};
    const bool is_flat = draw(0, 1) == 0;
    do {
        *c = (conv_case){.impl = &st_fc_nhwc, .n = batches[draw(0, 9)]};
        c->in = is_flat ? (st_dims){1, 1, draw(1, 700)} : (st_dims){draw(1, 5), draw(1, 5), draw_channels()};
        c->out = (st_dims){1, 1, draw(0, 2) == 0 ? draw(1, 20) : draw_channels() * draw(1, 3)};
        c->fc = (st_fc_params){.outputs = c->out.c, .bias = true};
    } while (c->n * c->in.h * c->in.w * c->in.c * c->out.c > MOST_WORK);
    c->conv = (st_conv_params){
        .kernel = {c->in.h, c->in.w}, .filters = c->out.c, .stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    c->weight_count = (size_t)(c->in.h * c->in.w * c->in.c * c->out.c);
    c->out_gap = draw(0, 2) == 0 ? draw(1, 5) : 0;
    c->residual_gap = draw(0, 2) == 0 ? draw(1, 5) : 0;
    draw_tensors(c);
}

static void free_case(conv_case *c) {
    case_free(c->x, c->x_count * sizeof(st_real));
    case_free(c->dx, c->x_count * sizeof(st_real));
    case_free(c->y, c->y_count * sizeof(st_real));
    case_free(c->dy, c->y_count * sizeof(st_real));
    case_free(c->residual, c->residual_count * sizeof(st_real));
    case_free(c->weight, c->weight_count * sizeof(st_real));
    case_free(c->dweight, c->weight_count * sizeof(st_real));
    st_real *small[] = {c->bias, c->dbias, c->scale, c->shift};
    for (size_t i = 0; i < ST_COUNT_OF(small); i++) {
        case_free(small[i], c->bias_count * sizeof(st_real));
    }
}

/* ---- running it ---- */

/* A copy whose written tensors are its own. */
static conv_case copy_case(const conv_case *c) {
    conv_case copy = *c;
    copy.y = case_alloc(c->y_count * sizeof(st_real));
    copy.dx = case_alloc(c->x_count * sizeof(st_real));
    copy.dweight = case_alloc(c->weight_count * sizeof(st_real));
    copy.dbias = case_alloc(c->bias_count * sizeof(st_real));
    memcpy(copy.y, c->y, c->y_count * sizeof(st_real));
    memcpy(copy.dx, c->dx, c->x_count * sizeof(st_real));
    memset(copy.dweight, 0, c->weight_count * sizeof(st_real));
    memset(copy.dbias, 0, c->bias_count * sizeof(st_real));
    return copy;
}

static void free_copy(conv_case *copy) {
    case_free(copy->y, copy->y_count * sizeof(st_real));
    case_free(copy->dx, copy->x_count * sizeof(st_real));
    case_free(copy->dweight, copy->weight_count * sizeof(st_real));
    case_free(copy->dbias, copy->bias_count * sizeof(st_real));
}

static void run_case(conv_case *c, const st_kernels *kernels, st_pool *pool) {
    conv_runner runner;
    assert_true(conv_runner_begin(&runner, c, kernels, pool));
    conv_runner_phases(&runner, c->impl->forward);
    conv_runner_phases(&runner, c->impl->backward);
    assert_true(conv_runner_end(&runner, c));
}

static void fail_case(const conv_case *c, const char *what, const char *kernels, int threads) {
    const st_conv_params *p = &c->conv;
    fail_msg("%s differs: %s, %d threads; %lld x %lldx%lldx%lld, %s %lldx%lld %lld stride=%lldx%lld pad=%lldx%lld "
             "dilation=%lldx%lld groups=%lld, gaps %lld %lld, add %d, activation %d",
             what, kernels, threads, (long long)c->n, (long long)c->in.h, (long long)c->in.w, (long long)c->in.c,
             c->impl == &st_fc_nhwc ? "fc" : "conv", (long long)p->kernel[0], (long long)p->kernel[1],
             (long long)p->filters, (long long)p->stride[0], (long long)p->stride[1], (long long)p->pad[0],
             (long long)p->pad[1], (long long)p->dilation[0], (long long)p->dilation[1], (long long)p->groups,
             (long long)c->in_gap, (long long)c->out_gap, c->add, (int)c->activation);
}

static void compare(const conv_case *a, const conv_case *b, const char *kernels, int threads) {
    const struct {
        const char *name;
        const st_real *a, *b;
        size_t count;
    } tensors[] = {{"forward", a->y, b->y, a->y_count},
                   {"gradient of the input", a->dx, b->dx, a->x_count},
                   {"gradient of the weights", a->dweight, b->dweight, a->weight_count},
                   {"gradient of the bias", a->dbias, b->dbias, a->bias_count}};
    for (size_t i = 0; i < ST_COUNT_OF(tensors); i++) {
        if (memcmp(tensors[i].a, tensors[i].b, tensors[i].count * sizeof(st_real)) != 0) {
            fail_case(a, tensors[i].name, kernels, threads);
        }
    }
}

/* ---- naive loops, sums in double; the sum of magnitudes goes to `size` ---- */

static const st_real *x_at(const conv_case *c, int64_t n, int64_t h, int64_t w) {
    return c->x + ((n * c->in.h + h) * c->in.w + w) * (c->in.c + c->in_gap);
}
static int64_t y_index(const conv_case *c, int64_t n, int64_t p, int64_t q, int64_t k) {
    return ((n * c->out.h + p) * c->out.w + q) * (c->out.c + c->out_gap) + k;
}

typedef struct naive {
    double *y, *y_size, *dx, *dx_size, *dw, *dw_size, *db, *db_size;
} naive;

/* One output with all its taps: forward, and what it adds to the gradients. */
static void naive_output(const conv_case *c, const st_window *window, naive *sums, int64_t n, int64_t p, int64_t q,
                         int64_t k) {
    const int64_t cs = c->in.c / c->conv.groups, c0 = k / (c->out.c / c->conv.groups) * cs, y = y_index(c, n, p, q, k);
    const double dy = (double)c->dy[y];
    for (int64_t r = 0; r < window->r; r++) {
        for (int64_t s = 0; s < window->s; s++) {
            const int64_t h = p * window->stride_h + r * window->dilation_h - window->pad_top;
            const int64_t w = q * window->stride_w + s * window->dilation_w - window->pad_left;
            for (int64_t i = 0; h >= 0 && h < c->in.h && w >= 0 && w < c->in.w && i < cs; i++) {
                const int64_t at = ((k * cs + i) * window->r + r) * window->s + s;
                const st_real *x = x_at(c, n, h, w) + c0 + i;
                const double weight = (double)c->weight[at], value = (double)*x;
                sums->y[y] += value * weight;
                sums->y_size[y] += fabs(value * weight);
                sums->dx[x - c->x] += dy * weight;
                sums->dx_size[x - c->x] += fabs(dy * weight);
                sums->dw[at] += dy * value;
                sums->dw_size[at] += fabs(dy * value);
            }
        }
    }
    sums->db[k] += dy;
    sums->db_size[k] += fabs(dy);
}

static double activated(double x, st_activation activation) {
    switch (activation) {
    case ST_ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ST_ACTIVATION_TANH:
        return tanh(x);
    case ST_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    case ST_ACTIVATION_SCALED_TANH:
        return 1.7159 * tanh(2 * x / 3);
    default:
        return x;
    }
}

static void finish_output(const conv_case *c, naive *sums, int64_t n, int64_t p, int64_t q, int64_t k) {
    const int64_t y = y_index(c, n, p, q, k);
    const double scale = c->has_scale ? (double)c->scale[k] : 1, shift = c->has_shift ? (double)c->shift[k] : 0;
    const double residual =
        c->has_residual ? (double)c->residual[((n * c->out.h + p) * c->out.w + q) * (c->out.c + c->residual_gap) + k]
                        : 0;
    sums->y_size[y] = sums->y_size[y] * fabs(scale) + fabs(shift) + fabs(residual) + 1;
    sums->y[y] = activated(sums->y[y] * scale + shift + residual, c->activation);
}

static void look(const conv_case *c, const char *what, const st_real *got, const double *want, const double *size,
                 size_t count, int64_t length) {
    const double tolerance = tolerance_of((double)length);
    for (size_t i = 0; i < count; i++) {
        if (size[i] > 0 && !(fabs((double)got[i] - want[i]) <= tolerance * size[i] + 1e-30)) {
            print_error("element %zu: %.9g, expected %.9g, of %.9g\n", i, (double)got[i], want[i], size[i]);
            fail_case(c, what, "portable against naive", 1);
        }
    }
}

static void check_naive(const conv_case *before, const conv_case *after) {
    const conv_case *c = before;
    const st_site site = {.params = &c->conv, .in = &c->in};
    const st_window window = st_conv_window(&site);
    const size_t counts[8] = {c->y_count,      c->y_count,      c->x_count,    c->x_count,
                              c->weight_count, c->weight_count, c->bias_count, c->bias_count};
    naive sums;
    double **parts[8] = {&sums.y,  &sums.y_size,  &sums.dx, &sums.dx_size,
                         &sums.dw, &sums.dw_size, &sums.db, &sums.db_size};
    for (int i = 0; i < 8; i++) {
        *parts[i] = case_alloc(counts[i] * sizeof(double));
        memset(*parts[i], 0, counts[i] * sizeof(double));
    }
    for (int64_t i = 0; i < c->n * c->out.h * c->out.w * c->out.c; i++) {
        const int64_t k = i % c->out.c, q = i / c->out.c % c->out.w, p = i / c->out.c / c->out.w % c->out.h;
        const int64_t n = i / c->out.c / c->out.w / c->out.h;
        naive_output(c, &window, &sums, n, p, q, k);
        finish_output(c, &sums, n, p, q, k);
    }
    for (size_t i = 0; c->add && i < c->x_count; i++) {
        sums.dx[i] += (double)c->dx[i];
        sums.dx_size[i] += fabs((double)c->dx[i]);
    }
    const int64_t taps = window.r * window.s, pixels = c->n * c->out.h * c->out.w;
    look(c, "forward", after->y, sums.y, sums.y_size, c->y_count, c->in.c / c->conv.groups * taps);
    look(c, "gradient of the input", after->dx, sums.dx, sums.dx_size, c->x_count, c->out.c / c->conv.groups * taps);
    look(c, "gradient of the weights", after->dweight, sums.dw, sums.dw_size, c->weight_count, pixels);
    look(c, "gradient of the bias", after->dbias, sums.db, sums.db_size, c->bias_count, pixels);
    for (int i = 0; i < 8; i++) {
        case_free(*parts[i], counts[i] * sizeof(double));
    }
}

/* ---- the sweep ---- */

static st_pool *pools[4];

/* Every choice that may change the time and must not change a bit. */
static st_kernels with_random_blocking(const st_kernels *kernels) {
    st_kernels out = *kernels;
    out.band_bytes = (size_t)draw(1, 200) * 1024;
    out.gradient_band_bytes = (size_t)draw(1, 200) * 1024;
    out.in_place_bytes = (size_t)draw(0, 100) * 1024;
    out.gradient_bytes = (size_t)draw(1, 100) * 1024;
    out.copy_uses = draw(0, 1) == 0 ? 0 : INT64_MAX;
    out.stream_bytes = draw(0, 1) == 0 ? 0 : SIZE_MAX;
    return out;
}

static void sweep_case(conv_case *c) {
    conv_case reference = copy_case(c);
    run_case(&reference, st_kernels_at(0), pools[0]);
    check_naive(c, &reference);
    for (size_t i = 0; st_kernels_at(i) != NULL; i++) {
        if (!st_kernels_runs(st_kernels_at(i))) {
            continue;
        }
        const int64_t pool = draw(0, 3);
        const st_kernels kernels = with_random_blocking(st_kernels_at(i));
        conv_case copy = copy_case(c);
        run_case(&copy, &kernels, pools[pool]);
        compare(&copy, &reference, kernels.name, st_pool_threads(pools[pool]));
        free_copy(&copy);
    }
    free_copy(&reference);
}

static void sweep(void (*draw_one)(conv_case *c), int problems) {
    for (int i = 0; i < problems; i++) {
        conv_case c;
        draw_one(&c);
        sweep_case(&c);
        free_case(&c);
    }
}

static void test_conv_is_the_same_everywhere(void **state) {
    (void)state;
    sweep(draw_case, PROBLEMS);
}

static void test_fc_is_the_same_everywhere(void **state) {
    (void)state;
    sweep(draw_fc_case, FC_PROBLEMS);
}

int main(void) {
    static const int threads[] = {1, 2, 3, 7};
    for (size_t i = 0; i < ST_COUNT_OF(threads); i++) {
        if (st_pool_create(&pools[i], threads[i], NULL) != STRATA_OK) {
            return 1;
        }
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv_is_the_same_everywhere),
                                       cmocka_unit_test(test_fc_is_the_same_everywhere)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < ST_COUNT_OF(pools); i++) {
        st_pool_free(pools[i]);
    }
    return failed;
}
