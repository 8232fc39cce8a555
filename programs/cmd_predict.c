/* strata predict: the likeliest classes of pictures. A picture that cannot be read is said and does not end the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    const char *weights;
    int64_t top;
} arguments;

typedef struct guess {
    size_t index;
    double probability;
} guess;

static int compare_guesses(const void *a, const void *b) {
    const guess *x = a, *y = b;
    if (x->probability != y->probability) {
        return x->probability > y->probability ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static void add_json(json *j, const char *file, const strata_model *model, const guess *guesses, size_t count) {
    json_open(j, NULL, '{');
    json_text(j, "file", file);
    json_open(j, "top", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(j, NULL, '{');
        json_text(j, "class", strata_model_class(model, guesses[i].index));
        json_count(j, "index", (int64_t)guesses[i].index);
        json_number(j, "probability", guesses[i].probability);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

/* Guesses under half a per cent say nothing; the first always stands. */
static void add_rows(table *t, const char *file, const strata_model *model, const guess *guesses, size_t count) {
    for (size_t i = 0; i < count && (i == 0 || guesses[i].probability >= 0.005); i++) {
        text bar = {0};
        text_add(&bar, "%s", "");
        text_add_bar(&bar, guesses[i].probability, 20, false);
        table_cell(t, "%s", i == 0 ? safe_text(file).s : "");
        table_cell(t, "%s", safe_text(strata_model_class(model, guesses[i].index)).s);
        table_cell(t, "%s", share_text(guesses[i].probability).s);
        table_cell(t, "%s", bar.bytes);
        text_free(&bar);
    }
}

typedef struct work {
    const arguments *a;
    subject subject;
    float *probabilities;
    guess *guesses;
    size_t class_count;
    table table;
    json json;
} work;

static int predict_picture(work *w, const char *file) {
    strata_error err;
    strata_picture picture;
    if (strata_picture_open(&picture, file, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_status status =
        strata_model_infer(w->subject.model, picture.pixels, 1, picture.shape, w->probabilities, &err);
    strata_picture_free(&picture);
    if (status != STRATA_OK) {
        if (err.file[0] == '\0') {
            snprintf(err.file, sizeof err.file, "%s", file);
        }
        return report(&err);
    }
    for (size_t i = 0; i < w->class_count; i++) {
        w->guesses[i] = (guess){.index = i, .probability = (double)w->probabilities[i]};
    }
    qsort(w->guesses, w->class_count, sizeof *w->guesses, compare_guesses);
    size_t shown = (size_t)w->a->top < w->class_count ? (size_t)w->a->top : w->class_count;
    if (w->a->common.json) {
        add_json(&w->json, file, w->subject.model, w->guesses, shown);
    } else if (w->a->common.quiet) {
        printf("%s\t%s\n", safe_text(file).s, safe_text(strata_model_class(w->subject.model, w->guesses[0].index)).s);
    } else {
        add_rows(&w->table, file, w->subject.model, w->guesses, shown);
    }
    return DONE;
}

static int run(void *all) {
    const arguments *a = all;
    work w = {.a = a, .table = {.alignment = "llrl", .column_count = 4}};
    int status = subject_open(&w.subject, a->common.items[0], a->weights, &a->common, 1, "running");
    if (status != DONE) {
        return status;
    }
    w.class_count = strata_model_class_count(w.subject.model);
    w.probabilities = take(NULL, w.class_count * sizeof *w.probabilities);
    w.guesses = take(NULL, w.class_count * sizeof *w.guesses);
    json_open(&w.json, NULL, '[');
    for (int i = 1; i < a->common.item_count; i++) {
        int result = predict_picture(&w, a->common.items[i]);
        status = result != DONE ? result : status;
    }
    json_close(&w.json, ']');
    if (a->common.json) {
        json_print(&w.json);
    } else {
        table_print(&w.table, "", false);
    }
    text_free(&w.json.out);
    free(w.probabilities);
    free(w.guesses);
    subject_close(&w.subject);
    return status;
}

static const option options[] = {
    {OPTION_COUNT, 0, "top", "N", "so many classes at most (5)", offsetof(arguments, top), 1, 1e6},
    {OPTION_TEXT, 0, "weights", "FILE", "weights for a network without any", offsetof(arguments, weights), 0, 0},
    {OPTION_LATER, 0, "preprocess", NULL, NULL, 0, 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.top = 5};

const command command_predict = {
    .name = "predict",
    .summary = "the likeliest classes of a picture",
    .usage = "predict RUN PICTURE...\npredict CHECKPOINT PICTURE...\npredict NET --weights FILE PICTURE...",
    .about = "Shows what a trained model takes pictures for. A picture is a portable anymap\n"
             "(.pgm, .ppm), or one of a data set: FILE:K of an IDX file, NAME:K of the test\n"
             "part of a known one.",
    .examples = "predict runs/lenet5-1 fashion-mnist:0 | a test picture\n"
                "predict runs/lenet5-1 shirt.pgm boot.pgm | files\n"
                "predict runs/lenet5-1 fashion-mnist:7 --top 1 --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 2,
    .most_items = 1 << 20,
    .items = "a run, checkpoint or network, then pictures",
    .run = run,
};
