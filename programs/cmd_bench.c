/* strata bench: how fast a network runs here, beside what this machine can do at most, measured in the same run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    bool train, layers;
    int64_t batch;
    double seconds;
    int64_t repeats; /* 0: as many as fit into `seconds` */
    const char *precision;
} arguments;

typedef struct measurement {
    strata_runtime *runtime;
    strata_net *net;
    strata_model *model;
    strata_profile *profile; /* --layers; NULL without */
    double *seconds;         /* of each run, sorted */
    size_t repeats;
    double peak, memory; /* GFLOP/s, GB/s */
    double work;         /* floating-point operations of one batch */
} measurement;

static int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* First runs to see how many fit into the time, then the runs that count. */
static strata_status time_runs(measurement *m, const arguments *a, strata_error *err) {
    m->repeats = (size_t)a->repeats;
    if (a->repeats == 0) {
        double first[2];
        strata_status status = strata_model_time(m->model, a->train, COUNT_OF(first), first, err);
        if (status != STRATA_OK) {
            return status;
        }
        double one = fmin(first[0], first[1]), wanted = one > 0 ? a->seconds / one : 1000;
        m->repeats = wanted < 5 ? 5 : wanted > 2000 ? 2000 : (size_t)wanted;
    }
    m->seconds = take(NULL, m->repeats * sizeof *m->seconds);
    strata_status status = strata_model_time(m->model, a->train, m->repeats, m->seconds, err);
    qsort(m->seconds, m->repeats, sizeof *m->seconds, compare_numbers);
    return status;
}

/* ---- layers --------------------------------------------------------------------------------------------------------
 *
 * The roofline (Williams, Waterman, Patterson 2009): a pass takes at least its operations over the peak, and at least
 * its bytes over the memory's rate. The larger of the two is its roof; the share says how near to it the pass comes. */

typedef struct roof {
    double share; /* of the best that this machine could do; 0: nothing to do */
    bool is_memory;
} roof;

static roof roof_of(const measurement *m, double flops, double bytes, double seconds) {
    double compute = m->peak > 0 ? flops / (m->peak * 1e9) : 0, memory = m->memory > 0 ? bytes / (m->memory * 1e9) : 0;
    double least = fmax(compute, memory);
    return (roof){.share = seconds > 0 ? least / seconds : 0, .is_memory = memory > compute};
}

static label roof_text(roof of) {
    label out;
    snprintf(out.s, sizeof out.s, "%.0f%% %s", 100 * of.share, of.is_memory ? "memory" : "compute");
    return out;
}

static void add_layer_row(table *t, const measurement *m, const strata_layer_time *layer, bool train) {
    double both = layer->forward_seconds + layer->backward_seconds;
    table_cell(t, "%s", safe_text(layer->name).s);
    table_cell(t, "%s%s", safe_text(layer->text).s, layer->fused);
    table_cell(t, "%s", shape_text(layer->output, layer->output.height == 1 && layer->output.width == 1).s);
    table_cell(t, "%.2f", 1e3 * layer->forward_seconds);
    table_cell(t, "%s", roof_text(roof_of(m, layer->forward_flops, layer->forward_bytes, layer->forward_seconds)).s);
    if (train && layer->backward_bytes > 0) {
        table_cell(t, "%.2f", 1e3 * layer->backward_seconds);
        table_cell(t, "%s",
                   roof_text(roof_of(m, layer->backward_flops, layer->backward_bytes, layer->backward_seconds)).s);
    } else if (train) {
        table_cell(t, "%s", "");
        table_cell(t, "%s", "");
    }
    table_cell(t, "%.1f%%", 100 * both / m->profile->seconds);
}

static void add_other_row(table *t, const measurement *m, const char *name, double seconds, bool train) {
    table_cell(t, "%s", name);
    table_cell(t, "%s", "");
    table_cell(t, "%s", "");
    table_cell(t, "%.2f", 1e3 * seconds);
    for (int i = 0; i < (train ? 3 : 1); i++) {
        table_cell(t, "%s", "");
    }
    table_cell(t, "%.1f%%", 100 * seconds / m->profile->seconds);
}

static void print_layers(const measurement *m, bool train) {
    const strata_profile *profile = m->profile;
    table t = {.alignment = train ? "lllrrrrr" : "lllrrr", .column_count = train ? 8 : 6};
    const char *const heads[] = {"layer", "what runs as one", "output", "forward ms", "of its roof"};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        table_cell(&t, "%s", heads[i]);
    }
    if (train) {
        table_cell(&t, "backward ms");
        table_cell(&t, "of its roof");
    }
    table_cell(&t, "time");
    for (size_t i = 0; i < profile->count; i++) {
        add_layer_row(&t, m, &profile->layers[i], train);
    }
    add_other_row(&t, m, "pictures, losses", profile->other_seconds, train);
    if (train) {
        add_other_row(&t, m, "optimizer", profile->update_seconds, train);
    }
    add_other_row(&t, m, "waiting", profile->waiting_seconds, train);
    printf("\n");
    table_print(&t, "", true);
    print_note("roof: the least time that the peak allows for its operations, or memory for its bytes, whichever is\n"
               "longer; of a pass that finds its data in a cache it can be over 100%%\n");
}

static void json_layers(json *j, const measurement *m, bool train) {
    json_open(j, "layers", '[');
    for (size_t i = 0; i < m->profile->count; i++) {
        const strata_layer_time *layer = &m->profile->layers[i];
        json_open(j, NULL, '{');
        json_text(j, "name", layer->name);
        json_text(j, "op", layer->text);
        json_number(j, "forward_seconds", layer->forward_seconds);
        json_number(j, "forward_flops", layer->forward_flops);
        json_number(j, "forward_bytes", layer->forward_bytes);
        if (train) {
            json_number(j, "backward_seconds", layer->backward_seconds);
            json_number(j, "backward_flops", layer->backward_flops);
            json_number(j, "backward_bytes", layer->backward_bytes);
        }
        json_close(j, '}');
    }
    json_close(j, ']');
    json_number(j, "other_seconds", m->profile->other_seconds);
    json_number(j, "update_seconds", m->profile->update_seconds);
    json_number(j, "waiting_seconds", m->profile->waiting_seconds);
}

/* ---- the whole ----------------------------------------------------------------------------------------------------
 */

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
    json_number(&j, "spread", (median - best) / best);
    json_number(&j, "peak_rss_mb", (double)memory_peak() / (1024 * 1024));
    if (m->profile != NULL) {
        json_layers(&j, m, a->train);
    }
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
    if (m->profile != NULL) {
        print_layers(m, a->train);
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
    if (a->layers && strata_model_profile(&m->profile, m->model, a->train, m->repeats, &err) != STRATA_OK) {
        return report(&err);
    }
    /* A busy neighbour lowers a measurement, nothing raises it: the better of before and after is nearer to the limit.
     */
    double peak = 0, memory = 0;
    strata_runtime_measure(m->runtime, &peak, &memory);
    m->peak = fmax(m->peak, peak);
    m->memory = fmax(m->memory, memory);
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
    strata_profile_free(m.profile);
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
    {OPTION_COUNT, 0, "repeats", "N", "timed runs, instead of a time", offsetof(arguments, repeats), 1, 1e5},
    {OPTION_TEXT, 0, "precision", "f32", "of the computation (f32)", offsetof(arguments, precision), 0, 0},
    {OPTION_FLAG, 0, "layers", NULL, "the time of each layer beside its roofline", offsetof(arguments, layers), 0, 0},
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
                "bench resnet18 --batch 1 --layers | which layers take the time\n"
                "bench lenet5 --train --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one network or run",
    .run = run,
};
