/* strata eval: how often a model is right on labelled pictures, on which classes it is not, and how sure one can be of
 * that. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    const char *data, *weights, *part;
    int64_t batch;
} arguments;

static const char *const part_names[STRATA_PART_COUNT] = {"train", "val", "test"};

typedef struct evaluation {
    subject subject;
    strata_dataset *data;
    strata_part part;
    strata_metrics metrics;
    size_t class_count;
    int64_t *confusion; /* [true][taken for] */
    double seconds;
    char *drawing; /* where confusion.svg went, or NULL */
} evaluation;

/* Wilson's score interval for a share at 95%: right for shares near 0 and 1, and for few pictures (Wilson 1927). */
static void wilson(double *low, double *high, int64_t correct, int64_t count) {
    double n = (double)count, p = (double)correct / n, z = 1.959963984540054;
    double middle = p + z * z / (2 * n), spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *low = (middle - spread) / (1 + z * z / n);
    *high = (middle + spread) / (1 + z * z / n);
}

/* ---- classes ---------------------------------------------------------------------------------------------------- */

typedef struct class_row {
    size_t index;
    int64_t count, correct;
} class_row;

static double right_share(const class_row *r) {
    return r->count > 0 ? (double)r->correct / (double)r->count : 2; /* without pictures: last */
}

static int compare_rows(const void *a, const void *b) {
    const class_row *x = a, *y = b;
    double dx = right_share(x), dy = right_share(y);
    return dx != dy ? (dx < dy ? -1 : 1) : (x->index < y->index ? -1 : 1);
}

static class_row *sorted_rows(const evaluation *e) {
    class_row *rows = take(NULL, e->class_count * sizeof *rows);
    for (size_t i = 0; i < e->class_count; i++) {
        rows[i] = (class_row){.index = i, .correct = e->confusion[i * e->class_count + i]};
        for (size_t k = 0; k < e->class_count; k++) {
            rows[i].count += e->confusion[i * e->class_count + k];
        }
    }
    qsort(rows, e->class_count, sizeof *rows, compare_rows);
    return rows;
}

/* The up to two classes that this one was most often taken for, at least 1% each. */
static void add_mistakes(text *out, const evaluation *e, const class_row *row) {
    const int64_t *counts = e->confusion + row->index * e->class_count;
    size_t first = SIZE_MAX;
    for (int k = 0; k < 2; k++) {
        size_t most = SIZE_MAX;
        for (size_t i = 0; i < e->class_count; i++) {
            if (i != row->index && i != first && counts[i] > 0 && (most == SIZE_MAX || counts[i] > counts[most])) {
                most = i;
            }
        }
        if (most == SIZE_MAX || (k > 0 && 100 * counts[most] < row->count)) {
            return;
        }
        text_add(out, "%s%s %s", k > 0 ? ", " : "", safe_text(strata_model_class(e->subject.model, most)).s,
                 share_text((double)counts[most] / (double)row->count).s);
        first = most;
    }
}

static void print_classes(const evaluation *e) {
    enum { MOST_ROWS = 25 };
    table t = {.alignment = "lrl", .column_count = 3};
    table_cell(&t, "class");
    table_cell(&t, "right");
    table_cell(&t, "most often taken for");
    class_row *rows = sorted_rows(e);
    size_t shown = e->class_count > MOST_ROWS ? MOST_ROWS : e->class_count;
    for (size_t i = 0; i < shown; i++) {
        text mistakes = {0};
        text_add(&mistakes, "%s", "");
        if (rows[i].count > 0) {
            add_mistakes(&mistakes, e, &rows[i]);
        }
        table_cell(&t, "%s", safe_text(strata_model_class(e->subject.model, rows[i].index)).s);
        table_cell(&t, "%s", rows[i].count > 0 ? share_text(right_share(&rows[i])).s : "none");
        table_cell(&t, "%s", mistakes.bytes);
        text_free(&mistakes);
    }
    printf("\n");
    table_print(&t, "", true);
    if (shown < e->class_count) {
        printf("... and %s classes that are right more often; --json has all\n",
               count_text((int64_t)(e->class_count - shown)).s);
    }
    free(rows);
}

/* ---- what it says ----------------------------------------------------------------------------------------------- */

static void print_text(const evaluation *e, bool is_quiet) {
    const strata_metrics *m = &e->metrics;
    double low, high;
    wilson(&low, &high, m->correct, m->count);
    printf("%-5s  %s images   top-1 %s (95%% interval %.1f to %.1f)   top-5 %s\n", part_names[e->part],
           count_text(m->count).s, share_text(m->top1).s, 100 * low, 100 * high, share_text(m->top5).s);
    if (is_quiet) {
        return;
    }
    printf("       loss %.3f   calibration error %s   %s\n", m->loss, share_text(m->calibration_error).s,
           seconds_text(e->seconds).s);
    print_classes(e);
    if (e->drawing != NULL) {
        printf("\nconfusion matrix: %s\n", e->drawing);
    }
}

static void print_json(const evaluation *e) {
    const strata_metrics *m = &e->metrics;
    double low, high;
    wilson(&low, &high, m->correct, m->count);
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "part", part_names[e->part]);
    json_count(&j, "count", m->count);
    json_count(&j, "correct", m->correct);
    json_number(&j, "top1", m->top1);
    json_number(&j, "top1_low", low);
    json_number(&j, "top1_high", high);
    json_number(&j, "top5", m->top5);
    json_number(&j, "loss", m->loss);
    json_number(&j, "calibration_error", m->calibration_error);
    json_number(&j, "seconds", e->seconds);
    json_open(&j, "classes", '[');
    for (size_t i = 0; i < e->class_count; i++) {
        int64_t count = 0;
        for (size_t k = 0; k < e->class_count; k++) {
            count += e->confusion[i * e->class_count + k];
        }
        json_open(&j, NULL, '{');
        json_text(&j, "class", strata_model_class(e->subject.model, i));
        json_count(&j, "index", (int64_t)i);
        json_count(&j, "count", count);
        json_count(&j, "correct", e->confusion[i * e->class_count + i]);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_open(&j, "confusion", '[');
    for (size_t i = 0; i < e->class_count; i++) {
        json_open(&j, NULL, '[');
        for (size_t k = 0; k < e->class_count; k++) {
            json_count(&j, NULL, e->confusion[i * e->class_count + k]);
        }
        json_close(&j, ']');
    }
    json_close(&j, ']');
    if (e->drawing != NULL) {
        json_text(&j, "drawing", e->drawing);
    }
    json_close(&j, '}');
    json_print(&j);
}

/* ---- the work --------------------------------------------------------------------------------------------------- */

static const char *name_of_class(const void *model, size_t index) {
    return strata_model_class(model, index);
}

/* The drawing is beside the answer: a folder of somebody else's does without it. */
static void draw(evaluation *e, const char *run) {
    enum { MOST_CLASSES = 200 };
    if (!e->subject.is_run || e->class_count > MOST_CLASSES) {
        return;
    }
    strata_error err;
    text title = {0};
    strata_net_info net;
    strata_net_info_get(strata_model_net(e->subject.model), false, &net);
    text_add(&title, "%s on %s, %s: %s right", net.name, strata_dataset_name(e->data), part_names[e->part],
             share_text(e->metrics.top1).s);
    e->drawing = path_join(run, "confusion.svg");
    strata_status status =
        svg_confusion(e->drawing, title.bytes, e->confusion, e->class_count, name_of_class, e->subject.model, &err);
    text_free(&title);
    if (status != STRATA_OK) {
        warn("%s is not written: %s", e->drawing, err.message);
        free(e->drawing);
        e->drawing = NULL;
    }
}

/* --part, or the test part, or what is there. Exit status. */
static int choose_part(evaluation *e, const arguments *a) {
    static const strata_part order[] = {STRATA_TEST, STRATA_VAL, STRATA_TRAIN};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        bool is_wanted = a->part == NULL || strcmp(a->part, part_names[order[i]]) == 0;
        if (is_wanted && strata_dataset_count(e->data, order[i]) > 0) {
            e->part = order[i];
            return DONE;
        }
    }
    return fail("%s has no %s part", strata_dataset_name(e->data), a->part != NULL ? a->part : "labelled");
}

/* A run says which data it learned from and what it held out. Exit status. */
static int open_data(evaluation *e, const arguments *a) {
    strata_error err;
    strata_data_options options = {.seed = (uint64_t)a->common.seed};
    const char *path = a->data;
    if (e->subject.is_run && (path == NULL || strcmp(path, e->subject.plan.data) == 0)) {
        path = e->subject.plan.data;
        options = (strata_data_options){.hold_out = e->subject.plan.hold_out,
                                        .seed = (uint64_t)e->subject.plan.seed,
                                        .limit = (size_t)e->subject.plan.limit};
    }
    if (path == NULL) {
        return refuse("eval needs --data D: %s does not say which pictures", a->common.items[0]);
    }
    return strata_dataset_open(&e->data, path, &options, &err) == STRATA_OK ? DONE : report(&err);
}

static int evaluate(evaluation *e, const arguments *a) {
    strata_error err;
    int status = subject_open(&e->subject, a->common.items[0], a->weights, &a->common, a->batch, "evaluating");
    if (status == DONE) {
        status = open_data(e, a);
    }
    if (status == DONE) {
        status = choose_part(e, a);
    }
    if (status != DONE) {
        return status;
    }
    e->class_count = strata_model_class_count(e->subject.model);
    size_t in_data = strata_dataset_class_count(e->data);
    if (in_data != e->class_count) {
        return fail("%s tells %s classes apart, %s has %s", a->common.items[0], count_text((int64_t)e->class_count).s,
                    strata_dataset_name(e->data), count_text((int64_t)in_data).s);
    }
    size_t bytes = e->class_count * e->class_count * sizeof *e->confusion;
    e->confusion = memset(take(NULL, bytes), 0, bytes);
    live line;
    live_begin(&line);
    strata_status evaluated =
        strata_evaluate(&e->metrics, e->subject.model, e->data, e->part, e->confusion, live_progress, &line, &err);
    e->seconds = now() - line.begun;
    live_clear(&line);
    if (evaluated != STRATA_OK) {
        return report(&err);
    }
    draw(e, a->common.items[0]);
    if (a->common.json) {
        print_json(e);
    } else {
        print_text(e, a->common.quiet);
    }
    return DONE;
}

static int run(void *all) {
    evaluation e = {0};
    int status = evaluate(&e, all);
    if (e.data != NULL) {
        strata_dataset_free(e.data);
    }
    subject_close(&e.subject);
    free(e.confusion);
    free(e.drawing);
    return status;
}

static const option options[] = {
    {OPTION_TEXT, 0, "data", "D", "labelled pictures (a run: those it was trained on)", offsetof(arguments, data), 0,
     0},
    {OPTION_CHOICE, 0, "part", "test|val|train", "which of them (test, or what is there)", offsetof(arguments, part), 0,
     0},
    {OPTION_TEXT, 0, "weights", "FILE", "weights for a network without any", offsetof(arguments, weights), 0, 0},
    {OPTION_COUNT, 0, "batch", "N", "pictures at once (64); no result depends on it", offsetof(arguments, batch), 1,
     1e6},
    {OPTION_LATER, 0, "crops", NULL, NULL, 0, 0, 0},
    {OPTION_LATER, 0, "flip", NULL, NULL, 0, 0, 0},
    {OPTION_LATER, 0, "compare", NULL, NULL, 0, 0, 0},
    {OPTION_LATER, 0, "preprocess", NULL, NULL, 0, 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.batch = 64};

const command command_eval = {
    .name = "eval",
    .summary = "how often a trained model is right, and which classes it confuses",
    .usage = "eval RUN\neval CHECKPOINT --data D\neval NET --weights FILE --data D",
    .about = "Asks a trained model about every picture of a part: top-1 with its 95% interval\n"
             "(Wilson), top-5, loss, the classes from the worst to the best, and how far its\n"
             "probabilities are from its hits (expected calibration error). A run's folder\n"
             "also gets confusion.svg.",
    .examples = "eval runs/lenet5-1 | the test part\n"
                "eval runs/lenet5-1 --part val | where it was chosen\n"
                "eval runs/lenet5-1/best.safetensors --data fashion-mnist\n"
                "eval runs/lenet5-1 --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one run, checkpoint or network",
    .run = run,
};
