/* bench_kernels: the convolutions of ResNet-50 and some others through the layer's own phases, packing and padding
 * included, beside the peak of fused multiply-adds that this machine reaches in the same run. Not a test: it prints.
 *
 *   bench_kernels [--threads N] [--isa NAME] [--runs N] [--batch N] [--only TEXT] [--lanes] [--cpu] [--json]
 *
 * --cpu takes the processor time of the one thread instead of the clock on the wall: for a machine that others use too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../tests/conv_case.h"

typedef struct shape {
    int64_t kernel, stride, size, c, k;
    int64_t pad;
    bool has_no_data; /* first layers need no gradient of their input */
} shape;

static const shape shapes[] = {
    {3, 1, 56, 64, 64, 1, false},    {3, 1, 28, 128, 128, 1, false},  {3, 1, 14, 256, 256, 1, false},
    {3, 1, 7, 512, 512, 1, false},   {1, 1, 56, 64, 64, 0, false},    {1, 1, 56, 64, 256, 0, false},
    {1, 1, 56, 256, 64, 0, false},   {1, 1, 28, 512, 128, 0, false},  {1, 1, 28, 128, 512, 0, false},
    {1, 1, 14, 1024, 256, 0, false}, {1, 1, 14, 256, 1024, 0, false}, {1, 1, 7, 2048, 512, 0, false},
    {1, 1, 7, 512, 2048, 0, false},  {3, 2, 56, 128, 128, 1, false},  {1, 2, 56, 256, 512, 0, false},
    {7, 2, 224, 3, 64, 3, true},     {3, 1, 13, 256, 384, 1, false},  {5, 1, 27, 64, 192, 2, false},
    {3, 1, 17, 192, 192, 1, false},  {3, 1, 35, 64, 96, 1, false},    {11, 4, 227, 3, 64, 0, true},
    {3, 1, 28, 16, 48, 1, false},    {5, 1, 28, 1, 6, 2, false},      {5, 1, 14, 6, 16, 0, false},
    {3, 1, 32, 3, 16, 1, true},      {3, 1, 32, 16, 16, 1, false},    {3, 1, 16, 32, 32, 1, false},
    {3, 1, 8, 64, 64, 1, false},     {3, 2, 32, 16, 32, 1, false},    {3, 2, 16, 32, 64, 1, false},
};

typedef struct options {
    int threads, runs;
    int64_t batch;
    const char *isa, *only;
    bool json, cpu, lanes;
} options;

static bool by_cpu;

static double now_s(void) {
    struct timespec time;
    clock_gettime(by_cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- the peak ---- */

typedef struct peak_run {
    const st_kernels *kernels;
    double operations[64];
} peak_run;

static void run_peak(void *arg, int thread) {
    peak_run *run = arg;
    const double operations = run->kernels->peak(1000000);
    if (thread < 64) {
        run->operations[thread] = operations;
    }
}

static double peak_of(const st_kernels *kernels, st_pool *pool) {
    peak_run run = {.kernels = kernels};
    const double start = now_s();
    st_pool_run(pool, run_peak, &run);
    const double time_s = now_s() - start;
    double operations = 0;
    for (int i = 0; i < st_pool_threads(pool) && i < 64; i++) {
        operations += run.operations[i];
    }
    return operations / time_s * 1e-9;
}

/* ---- one shape ---- */

static void fill(st_real *numbers, size_t count, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        numbers[i] = (st_real)((double)(int64_t)(seed >> 33) * 0x1p-31 - 0.5);
    }
}

static void make_case(conv_case *c, const shape *s, int64_t batch, bool lanes) {
    *c = (conv_case){.impl = lanes ? &st_conv_lanes : &st_conv_nhwc, .n = batch, .in = {s->size, s->size, s->c}};
    c->conv = (st_conv_params){.kernel = {s->kernel, s->kernel},
                               .filters = s->k,
                               .stride = {s->stride, s->stride},
                               .pad = {s->pad, s->pad},
                               .dilation = {1, 1},
                               .groups = 1};
    const st_site site = {.params = &c->conv, .in = &c->in};
    const st_window window = st_conv_window(&site);
    c->out = (st_dims){window.p, window.q, s->k};
    c->x_count = (size_t)(batch * c->in.h * c->in.w * c->in.c);
    c->y_count = (size_t)(batch * c->out.h * c->out.w * c->out.c);
    c->weight_count = (size_t)(s->kernel * s->kernel * s->c * s->k);
    c->bias_count = (size_t)s->k;
    c->x = case_alloc(c->x_count * sizeof(st_real));
    c->dx = case_alloc(c->x_count * sizeof(st_real));
    c->y = case_alloc(c->y_count * sizeof(st_real));
    c->dy = case_alloc(c->y_count * sizeof(st_real));
    c->weight = case_alloc(c->weight_count * sizeof(st_real));
    c->bias = case_alloc(c->bias_count * sizeof(st_real));
    fill(c->x, c->x_count, 1);
    fill(c->dy, c->y_count, 2);
    fill(c->weight, c->weight_count, 3);
    memset(c->dx, 0, c->x_count * sizeof(st_real));
    memset(c->y, 0, c->y_count * sizeof(st_real));
    memset(c->bias, 0, c->bias_count * sizeof(st_real));
}

static void free_case(conv_case *c) {
    case_free(c->x, c->x_count * sizeof(st_real));
    case_free(c->dx, c->x_count * sizeof(st_real));
    case_free(c->y, c->y_count * sizeof(st_real));
    case_free(c->dy, c->y_count * sizeof(st_real));
    case_free(c->weight, c->weight_count * sizeof(st_real));
    case_free(c->bias, c->bias_count * sizeof(st_real));
}

/* Seconds of one run of a pass: 0 forward, 1 backward data, 2 backward weights. */
static double time_pass(conv_runner *runner, const conv_case *c, int pass) {
    st_real *dbias = runner->call.dstate[ST_CONV_BIAS], *dweight = runner->call.dstate[ST_CONV_WEIGHT];
    void *dx = runner->din.data;
    runner->call.dstate[ST_CONV_BIAS] = NULL; /* as under batch normalization */
    runner->call.dstate[ST_CONV_WEIGHT] = pass == 2 ? dweight : NULL;
    runner->din.data = pass == 1 ? dx : NULL;
    const double start = now_s();
    conv_runner_phases(runner, pass == 0 ? c->impl->forward : c->impl->backward);
    const double time_s = now_s() - start;
    runner->call.dstate[ST_CONV_BIAS] = dbias;
    runner->call.dstate[ST_CONV_WEIGHT] = dweight;
    runner->din.data = dx;
    return time_s;
}

static void bench_shape(const shape *s, const options *o, const st_kernels *kernels, st_pool *pool) {
    static const char *const passes[] = {"forward", "backward_data", "backward_weights"};
    char name[64];
    snprintf(name, sizeof name, "%lldx%lld%s %lldx%lld %lld>%lld", (long long)s->kernel, (long long)s->kernel,
             s->stride == 2   ? "/2"
             : s->stride == 4 ? "/4"
                              : "",
             (long long)s->size, (long long)s->size, (long long)s->c, (long long)s->k);
    if (o->only != NULL && strstr(name, o->only) == NULL) {
        return;
    }
    conv_case c;
    conv_runner runner;
    make_case(&c, s, o->batch, o->lanes);
    if (!conv_runner_begin(&runner, &c, kernels, pool)) {
        fprintf(stderr, "%s: cannot be prepared\n", name);
        exit(1);
    }
    double best[3] = {1e9, 1e9, 1e9}, peak = 0;
    for (int run = 0; run < o->runs; run++) {
        const double now = peak_of(kernels, pool);
        peak = now > peak ? now : peak;
        for (int pass = 0; pass < 3; pass++) {
            const double time_s = pass == 1 && s->has_no_data ? 0 : time_pass(&runner, &c, pass);
            best[pass] = time_s < best[pass] ? time_s : best[pass];
        }
    }
    const double operations = 2.0 * (double)(c.n * c.out.h * c.out.w) * (double)c.weight_count * 1e-9;
    if (o->json) {
        for (int pass = 0; pass < 3; pass++) {
            if (best[pass] > 0) {
                printf("{\"shape\": \"%s\", \"pass\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"batch\": %lld, "
                       "\"gflops\": %.1f, \"peak_gflops\": %.1f, \"share\": %.3f}\n",
                       name, passes[pass], kernels->name, o->threads, (long long)o->batch, operations / best[pass],
                       peak, operations / best[pass] / peak);
            }
        }
    } else {
        printf("| %-22s |", name);
        for (int pass = 0; pass < 3; pass++) {
            if (best[pass] > 0) {
                printf(" %5.0f (%2.0f) |", operations / best[pass], 100 * operations / best[pass] / peak);
            } else {
                printf("            |");
            }
        }
        printf(" %5.0f |\n", peak);
    }
    fflush(stdout);
    (void)conv_runner_end(&runner, &c);
    free_case(&c);
}

static void print_processor(void) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            printf("processor: %s", colon + 2);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

int main(int count, char **words) {
    options o = {.threads = 1, .runs = 5, .batch = 32};
    for (int i = 1; i < count; i++) {
        const bool has_value = i + 1 < count;
        if (strcmp(words[i], "--json") == 0) {
            o.json = true;
        } else if (strcmp(words[i], "--cpu") == 0) {
            o.cpu = true;
        } else if (strcmp(words[i], "--lanes") == 0) {
            o.lanes = true;
        } else if (strcmp(words[i], "--threads") == 0 && has_value) {
            o.threads = atoi(words[++i]);
        } else if (strcmp(words[i], "--runs") == 0 && has_value) {
            o.runs = atoi(words[++i]);
        } else if (strcmp(words[i], "--batch") == 0 && has_value) {
            o.batch = atoi(words[++i]);
        } else if (strcmp(words[i], "--isa") == 0 && has_value) {
            o.isa = words[++i];
        } else if (strcmp(words[i], "--only") == 0 && has_value) {
            o.only = words[++i];
        } else {
            fprintf(stderr,
                    "usage: %s [--threads N] [--isa NAME] [--runs N] [--batch N] [--only TEXT] [--lanes] [--cpu] "
                    "[--json]\n",
                    words[0]);
            return 2;
        }
    }
    by_cpu = o.cpu && o.threads == 1;
    const st_kernels *kernels;
    st_pool *pool;
    strata_error err;
    if (o.threads < 1 || o.runs < 1 || o.batch < 1 || st_kernels_select(&kernels, o.isa, &err) != STRATA_OK ||
        st_pool_create(&pool, o.threads, &err) != STRATA_OK) {
        fprintf(stderr, "bench_kernels: wrong numbers, or no such set of kernels here\n");
        return 2;
    }
    if (!o.json) {
        print_processor();
        printf("kernels %s, %d threads, batch %lld, best of %d runs%s; GFLOP/s (percent of peak)\n", kernels->text,
               o.threads, (long long)o.batch, o.runs, by_cpu ? " by processor time" : "");
        printf("| convolution            | forward    | data       | weights    | peak  |\n");
        printf("| ---                    | ---        | ---        | ---        | ---   |\n");
    }
    for (size_t i = 0; i < ST_COUNT_OF(shapes); i++) {
        bench_shape(&shapes[i], &o, kernels, pool);
    }
    st_pool_free(pool);
    return 0;
}
