/* strata bench: how fast a network runs here, beside what this machine can do at most, measured in the same run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    bool train;
    int64_t batch;
    double seconds;
    const char *precision;
} arguments;

typedef struct measurement {
    strata_runtime *runtime;
    strata_net *net;
    strata_model *model;
    double *seconds; /* of each run, sorted */
    size_t repeats;
    double peak, memory; /* GFLOP/s, GB/s */
    double work;         /* floating-point operations of one batch */
} measurement;

static int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* First runs to warm up and to see how many fit into the time, then the runs that count. */
static strata_status time_runs(measurement *m, const arguments *a, strata_error *err) {
    double first[3];
    strata_status status = strata_model_time(m->model, a->train, COUNT_OF(first), first, err);
    if (status != STRATA_OK) {
        return status;
    }
    double one = fmin(first[1], first[2]), wanted = one > 0 ? a->seconds / one : 1000;
    m->repeats = wanted < 5 ? 5 : wanted > 2000 ? 2000 : (size_t)wanted;
    m->seconds = take(NULL, m->repeats * sizeof *m->seconds);
    status = strata_model_time(m->model, a->train, m->repeats, m->seconds, err);
    qsort(m->seconds, m->repeats, sizeof *m->seconds, compare_numbers);
    return status;
}

static void print_json(const measurement *m, const arguments *a, const strata_net_info *net) {
    double batch = (double)a->batch, best = m->seconds[0], median = m->seconds[m->repeats / 2];
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "net", net->name);
    json_bool(&j, "training", a->train);
    json_count(&j, "batch", a->batch);
    json_text(&j, "isa", strata_runtime_isa(m->runtime));
    json_count(&j, "threads", strata_runtime_threads(m->runtime));
    json_count(&j, "repeats", (int64_t)m->repeats);
    json_number(&j, "images_per_s", batch / best);
    json_number(&j, "median_images_per_s", batch / median);
    json_number(&j, "gflops", m->work / best / 1e9);
    json_number(&j, "peak_gflops", m->peak);
    json_number(&j, "memory_gbytes_per_s", m->memory);
    json_number(&j, "peak_rss_mb", (double)memory_peak() / (1024 * 1024));
    json_close(&j, '}');
    json_print(&j);
}

static void print_text(const measurement *m, const arguments *a, const strata_net_info *net) {
    double batch = (double)a->batch, best = m->seconds[0], median = m->seconds[m->repeats / 2];
    double gflops = m->work / best / 1e9;
    int threads = strata_runtime_threads(m->runtime);
    if (!a->common.quiet) {
        printf("%s %s, batch %s, f32, %s, %d thread%s\n", net->name, a->train ? "training" : "inference",
               count_text(a->batch).s, strata_runtime_isa(m->runtime), threads, threads == 1 ? "" : "s");
        printf("  peak measured: %s GFLOP/s, memory %s GB/s\n", figure_text(m->peak).s, figure_text(m->memory).s);
    }
    printf("  best %s images/s   median %s   spread %.0f%%   %s GFLOP/s, %.0f%% of peak   %s\n",
           figure_text(batch / best).s, figure_text(batch / median).s, 100 * (median - best) / best,
           figure_text(gflops).s, m->peak > 0 ? 100 * gflops / m->peak : 0, bytes_text(memory_peak()).s);
    if (a->train) {
        print_note("  a training step is counted as three forward passes\n");
    }
}

static int measure(measurement *m, const arguments *a) {
    if (a->precision != NULL && strcmp(a->precision, "f32") != 0) {
        return refuse("--precision %s is not in this version; f32 is", a->precision);
    }
    strata_error err;
    strata_options runtime = runtime_options(&a->common);
    strata_build_options build = {.batch = a->batch, .train = a->train, .seed = (uint64_t)a->common.seed};
    int status = net_open(&m->net, a->common.items[0], &a->common);
    if (status == DONE && strata_runtime_create(&m->runtime, &runtime, &err) != STRATA_OK) {
        status = report(&err);
    }
    if (status == DONE) {
        status = memory_check(a->train ? "training" : "running", m->runtime, m->net, &build);
    }
    if (status == DONE && strata_model_build(&m->model, m->runtime, m->net, &build, &err) != STRATA_OK) {
        status = report(&err);
    }
    if (status != DONE) {
        return status;
    }
    strata_net_info net;
    strata_net_info_get(m->net, a->train, &net);
    m->work = 2.0 * (double)net.multiply_adds * (double)a->batch * (a->train ? 3 : 1);
    strata_runtime_measure(m->runtime, &m->peak, &m->memory);
    if (time_runs(m, a, &err) != STRATA_OK) {
        return report(&err);
    }
    if (a->common.json) {
        print_json(m, a, &net);
    } else {
        print_text(m, a, &net);
    }
    return DONE;
}

static int run(void *all) {
    measurement m = {0};
    int status = measure(&m, all);
    if (m.model != NULL) {
        strata_model_free(m.model);
    }
    if (m.net != NULL) {
        strata_net_free(m.net);
    }
    if (m.runtime != NULL) {
        strata_runtime_free(m.runtime);
    }
    free(m.seconds);
    return status;
}

static const option options[] = {
    {OPTION_FLAG, 0, "train", NULL, "a training step instead of a forward pass", offsetof(arguments, train), 0, 0},
    {OPTION_COUNT, 0, "batch", "N", "pictures at once (64)", offsetof(arguments, batch), 1, 1e6},
    {OPTION_NUMBER, 0, "seconds", "S", "to measure for (2)", offsetof(arguments, seconds), 0.001, 1e5},
    {OPTION_TEXT, 0, "precision", "f32", "of the computation (f32)", offsetof(arguments, precision), 0, 0},
    {OPTION_LATER, 0, "layers", NULL, NULL, 0, 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.batch = 64, .seconds = 2};

const command command_bench = {
    .name = "bench",
    .summary = "images a second, GFLOP/s and the share of this machine's peak",
    .usage = "bench NET\nbench RUN",
    .about = "Runs a network on noise, again and again, and shows the best and the median run\n"
             "beside the peak of this machine, measured in the same minute.",
    .examples = "bench lenet5 | forward, batch 64\n"
                "bench lenet5 --train --batch 64 --threads 1 | a training step\n"
                "bench lenet5 --train --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one network or run",
    .run = run,
};
