/* strata compare: runs side by side, as a table and as curves over one another. It reads run folders, finished or not,
 * and writes nothing into them. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    const char *svg, *title;
    int64_t panels;
    bool markdown;
} arguments;

typedef struct compared {
    char *name; /* the last part of the folder's path */
    run_plan plan;
    run_log log;
    strata_net_info net;
    strata_net *opened;
    int64_t epochs_done, epoch_steps;
    double train_error, val_error, test_error; /* per cent; negative: not known */
    double images_per_s, seconds;
} compared;

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static char *last_part(const char *folder) {
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && folder[start - 1] != '/') {
        start--;
    }
    return take_copy(folder + start, end - start);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The rate of a usual epoch: one that was interrupted or disturbed does not count for much. */
static double median_rate(const run_log *log) {
    double *rates = take(NULL, (log->epoch_count + 1) * sizeof *rates), median = 0;
    for (size_t i = 0; i < log->epoch_count; i++) {
        rates[i] = log->epochs[i].images_per_s;
    }
    if (log->epoch_count > 0) {
        qsort(rates, log->epoch_count, sizeof *rates, by_size);
        median = rates[log->epoch_count / 2];
    }
    free(rates);
    return median;
}

static double error_of(double top1) {
    return 100 * (1 - top1);
}

static void summarize(compared *r) {
    int64_t pictures = r->plan.batch * (r->plan.accumulate > 1 ? r->plan.accumulate : 1); /* of a step */
    r->epoch_steps = (r->plan.train_count + pictures - 1) / pictures;
    r->train_error = r->val_error = r->test_error = -1;
    r->images_per_s = median_rate(&r->log);
    for (size_t i = 0; i < r->log.epoch_count; i++) {
        const run_epoch *e = &r->log.epochs[i];
        r->seconds += e->images_per_s > 0 ? (double)r->plan.train_count / e->images_per_s : 0;
        r->epochs_done = e->epoch;
        r->train_error = error_of(e->top1);
        r->val_error = e->has_val ? error_of(e->val_top1) : -1;
        r->test_error = e->has_test ? error_of(e->test_top1) : -1;
    }
    double top1; /* of the weights that were chosen */
    if (r->log.result != NULL && json_find(r->log.result, "val_top1", &top1)) {
        r->val_error = error_of(top1);
    }
    if (r->log.result != NULL && json_find(r->log.result, "test_top1", &top1)) {
        r->test_error = error_of(top1);
    }
}

static int read_run(compared *r, const char *folder) {
    strata_error err;
    r->name = last_part(folder);
    char *net = path_join(folder, "net.net");
    bool is_read = run_plan_read(&r->plan, folder, &err) == STRATA_OK &&
                   run_log_read(&r->log, folder, &err) == STRATA_OK &&
                   strata_net_load(&r->opened, net, NULL, &err) == STRATA_OK;
    free(net);
    if (!is_read) {
        return report(&err);
    }
    if (r->log.bad_count > 0) {
        warn("%s/log.jsonl: line %zu is not one that strata writes and is left out%s", safe_text(folder).s,
             r->log.first_bad, r->log.bad_count > 1 ? ", and others after it" : "");
    }
    if (r->plan.batch < 1 || r->plan.train_count < 1) {
        return fail("%s: its run.txt says batch %lld and %lld training pictures", safe_text(folder).s,
                    (long long)r->plan.batch, (long long)r->plan.train_count);
    }
    strata_net_info_get(r->opened, false, &r->net);
    summarize(r);
    return DONE;
}

static void close_run(compared *r) {
    if (r->opened != NULL) {
        strata_net_free(r->opened);
    }
    run_log_free(&r->log);
    free(r->plan.file);
    free(r->name);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static label error_text(double error) {
    label out = {"-"};
    if (error >= 0) {
        snprintf(out.s, sizeof out.s, "%.2f%%", error);
    }
    return out;
}

typedef enum column { RUN, NET, PARAMETERS, EPOCHS, ITERATIONS, TRAIN, VAL, TEST, RATE, TIME, COLUMNS } column;

static const char *const heads[COLUMNS] = {"run",   "net", "parameters", "epochs",   "iterations",
                                           "train", "val", "test",       "images/s", "time"};

static void add_cell(text *out, const compared *r, column c) {
    switch (c) {
    case RUN:
        text_add(out, "%s", safe_text(r->name).s);
        break;
    case NET:
        text_add(out, "%s", safe_text(r->net.name).s);
        break;
    case PARAMETERS:
        text_add(out, "%s", count_text(r->net.parameters).s);
        break;
    case EPOCHS:
        text_add(out, r->epochs_done < r->plan.epochs ? "%lld of %lld" : "%lld", (long long)r->epochs_done,
                 (long long)r->plan.epochs);
        break;
    case ITERATIONS:
        text_add(out, "%s", count_text(r->epochs_done * r->epoch_steps).s);
        break;
    case TRAIN:
    case VAL:
    case TEST:
        text_add(out, "%s", error_text(c == TRAIN ? r->train_error : c == VAL ? r->val_error : r->test_error).s);
        break;
    case RATE:
        text_add(out, "%s", figure_text(r->images_per_s).s);
        break;
    case TIME:
    case COLUMNS:
        text_add(out, "%s", seconds_text(r->seconds).s);
        break;
    }
}

/* Columns that say nothing here are left out: a net of the run's own name, a part that no run has. */
static size_t choose_columns(column *out, const compared *runs, size_t count) {
    bool needs[COLUMNS] = {[RUN] = true,   [PARAMETERS] = true, [EPOCHS] = true, [ITERATIONS] = true,
                           [TRAIN] = true, [RATE] = true,       [TIME] = true};
    for (size_t i = 0; i < count; i++) {
        needs[NET] = needs[NET] || strcmp(runs[i].name, runs[i].net.name) != 0;
        needs[VAL] = needs[VAL] || runs[i].val_error >= 0;
        needs[TEST] = needs[TEST] || runs[i].test_error >= 0;
    }
    size_t chosen = 0;
    for (column c = RUN; c < COLUMNS; c++) {
        if (needs[c]) {
            out[chosen++] = c;
        }
    }
    return chosen;
}

static void print_table(const compared *runs, size_t count) {
    column columns[COLUMNS];
    char alignment[COLUMNS + 1] = "";
    table t = {.alignment = alignment, .column_count = choose_columns(columns, runs, count)};
    for (size_t i = 0; i < t.column_count; i++) {
        alignment[i] = columns[i] <= NET ? 'l' : 'r';
        table_cell(&t, "%s", heads[columns[i]]);
    }
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < t.column_count; i++) {
            text cell = {0};
            add_cell(&cell, &runs[r], columns[i]);
            table_cell(&t, "%s", cell.bytes);
            text_free(&cell);
        }
    }
    table_print(&t, "", true);
    print_note("\nerrors of the last epoch; of a finished run, val and test of the weights it chose\n");
}

static void print_markdown(const compared *runs, size_t count) {
    column columns[COLUMNS];
    size_t column_count = choose_columns(columns, runs, count);
    text out = {0};
    for (size_t i = 0; i < column_count; i++) {
        text_add(&out, "| %s%s ", heads[columns[i]], columns[i] >= TRAIN && columns[i] <= TEST ? " error" : "");
    }
    text_add(&out, "|\n");
    for (size_t i = 0; i < column_count; i++) {
        text_add(&out, columns[i] <= NET ? "|---" : "|---:");
    }
    text_add(&out, "|\n");
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < column_count; i++) {
            text_add(&out, "| ");
            add_cell(&out, &runs[r], columns[i]);
            text_add(&out, " ");
        }
        text_add(&out, "|\n");
    }
    fputs(out.bytes, stdout);
    text_free(&out);
}

static void json_error(json *j, const char *key, double error) {
    if (error >= 0) {
        json_number(j, key, error / 100);
    }
}

static void print_json(const compared *runs, size_t count, char *const *folders) {
    json j = {0};
    json_open(&j, NULL, '{');
    json_open(&j, "runs", '[');
    for (size_t i = 0; i < count; i++) {
        const compared *r = &runs[i];
        json_open(&j, NULL, '{');
        json_text(&j, "run", folders[i]);
        json_text(&j, "net", r->net.name);
        json_count(&j, "parameters", r->net.parameters);
        json_count(&j, "epochs", r->plan.epochs);
        json_count(&j, "epochs_done", r->epochs_done);
        json_count(&j, "iterations", r->epochs_done * r->epoch_steps);
        json_bool(&j, "finished", r->log.result != NULL);
        json_error(&j, "train_error", r->train_error);
        json_error(&j, "val_error", r->val_error);
        json_error(&j, "test_error", r->test_error);
        json_number(&j, "images_per_s", r->images_per_s);
        json_number(&j, "seconds", r->seconds);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_print(&j);
}

/* ---- the drawing ------------------------------------------------------------------------------------------------ */

enum { DROPS = 16 };

/* Where the learning rate falls, if it does so at the same iterations in all runs. */
static size_t find_drops(double *out, const compared *runs, size_t count) {
    const char *first = runs[0].plan.step_at;
    for (size_t i = 0; i < count; i++) {
        const char *other = runs[i].plan.step_at;
        if (first == NULL || other == NULL || strcmp(first, other) != 0 || runs[i].epoch_steps != runs[0].epoch_steps) {
            return 0;
        }
    }
    size_t found = 0;
    for (const char *at = first; *at != '\0' && found < DROPS; at += strspn(at, ", ")) {
        char *end;
        out[found] = strtod(at, &end) * (double)runs[0].epoch_steps;
        if (end == at) {
            return found;
        }
        found++;
        at = end;
    }
    return found;
}

static int draw(const compared *runs, size_t count, const arguments *a) {
    strata_error err;
    svg_run drawn[SVG_RUNS];
    double drops[DROPS];
    for (size_t i = 0; i < count; i++) {
        drawn[i] = (svg_run){runs[i].name, &runs[i].log, runs[i].epoch_steps, runs[i].plan.epochs};
    }
    text title = {0};
    if (a->title != NULL) {
        text_add(&title, "%s", a->title);
    } else {
        text_add(&title, "%zu run%s compared", count, count == 1 ? "" : "s");
    }
    size_t drop_count = find_drops(drops, runs, count);
    strata_status status = svg_runs(a->svg, title.bytes, drawn, count, a->panels, drops, drop_count, &err);
    text_free(&title);
    if (status != STRATA_OK) {
        return report(&err);
    }
    if (!a->common.json && !a->markdown) {
        print_note("curves in %s\n", a->svg);
    }
    return DONE;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int run(void *all) {
    arguments *a = all;
    size_t count = (size_t)a->common.item_count;
    if (a->panels > (int64_t)count) {
        return refuse("--panels %lld needs as many runs; found %zu", (long long)a->panels, count);
    }
    if (a->markdown && a->common.json) {
        return refuse("--markdown and --json are two forms of the same table");
    }
    int status = output_check(a->svg, NULL, 0);
    if (status != DONE) {
        return status;
    }
    compared *runs = take(NULL, count * sizeof *runs);
    memset(runs, 0, count * sizeof *runs);
    for (size_t i = 0; i < count && status == DONE; i++) {
        status = read_run(&runs[i], a->common.items[i]);
    }
    if (status == DONE) {
        if (a->common.json) {
            print_json(runs, count, a->common.items);
        } else if (a->markdown) {
            print_markdown(runs, count);
        } else {
            print_table(runs, count);
        }
    }
    if (status == DONE && a->svg != NULL) {
        status = draw(runs, count, a);
    }
    for (size_t i = 0; i < count; i++) {
        close_run(&runs[i]);
    }
    free(runs);
    return status;
}

static const option options[] = {
    {OPTION_TEXT, 0, "svg", "FILE", "draw training and test error against iterations", offsetof(arguments, svg), 0, 0},
    {OPTION_TEXT, 0, "title", "T", "of the drawing", offsetof(arguments, title), 0, 0},
    {OPTION_COUNT, 0, "panels", "N", "draw the runs in N charts side by side (1)", offsetof(arguments, panels), 1, 4},
    {OPTION_FLAG, 0, "markdown", NULL, "the table as Markdown", offsetof(arguments, markdown), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.panels = 1};

const command command_compare = {
    .name = "compare",
    .summary = "runs side by side: a table, and their curves",
    .usage = "compare RUN...",
    .about = "Compares runs, finished or not: how far they are, their errors, their speed.\n"
             "With --svg their curves are drawn over one another: test or val error bold,\n"
             "training error thin and dashed.",
    .examples = "compare runs/lenet5-1 runs/lenet5-2\n"
                "compare runs/* --svg curves.svg\n"
                "compare plain20 plain56 resnet20 resnet56 --panels 2 --svg figure.svg\n"
                "compare runs/* --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = SVG_RUNS,
    .items = "one to 16 run folders",
    .run = run,
};
