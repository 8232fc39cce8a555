/* strata predict: the likeliest classes of pictures. A picture that cannot be read is said and does not end the rest.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "program.h"

typedef struct arguments {
    common common;
    const char *weights, *classes, *crops, *preprocess;
    int64_t top;
    bool flip, skip_self_test;
} arguments;

/* ---- which pictures --------------------------------------------------------------------------------------------- */

typedef struct file_list {
    char **names;
    bool *is_found; /* in a folder: what is no picture, and not called one, is passed over */
    size_t count, capacity;
} file_list;

static void add_file(file_list *list, char *name, bool is_found) {
    if (list->count == list->capacity) {
        list->capacity = 2 * list->capacity + 64;
        list->names = take(list->names, list->capacity * sizeof *list->names);
        list->is_found = take(list->is_found, list->capacity * sizeof *list->is_found);
    }
    list->names[list->count] = name;
    list->is_found[list->count++] = is_found;
}

static void free_files(file_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    free(list->is_found);
}

static int compare_entries(const void *a, const void *b) {
    const struct dirent *const *x = a, *const *y = b;
    return strcmp((*x)->d_name, (*y)->d_name);
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* In the order of bytes, folders in folders too; links to folders are not followed, so that none is met twice. */
static int add_folder(file_list *list, const char *folder, int depth) {
    enum { DEEPEST = 32 };
    struct dirent **entries;
    int count = scandir(folder, &entries, is_visible, NULL), status = DONE;
    if (count < 0) {
        return fail("%s: the folder cannot be read", folder);
    }
    if (count > 0) {
        qsort(entries, (size_t)count, sizeof(struct dirent *), compare_entries);
    }
    for (int i = 0; i < count; i++) {
        char *path = path_join(folder, entries[i]->d_name);
        struct stat about;
        bool is_known = lstat(path, &about) == 0;
        if (is_known && S_ISDIR(about.st_mode)) {
            int result = depth < DEEPEST ? add_folder(list, path, depth + 1) : fail("%s: too deep", path);
            status = result != DONE ? result : status;
            free(path);
        } else if (is_known && stat(path, &about) == 0 && S_ISREG(about.st_mode)) {
            add_file(list, path, true);
        } else {
            free(path);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int collect(file_list *list, const arguments *a) {
    int status = DONE;
    for (int i = 1; i < a->common.item_count; i++) {
        char *item = a->common.items[i];
        if (path_is_folder(item)) {
            size_t before = list->count;
            int result = add_folder(list, item, 0);
            if (result == DONE && list->count == before) {
                result = fail("%s: the folder holds no files", item);
            }
            status = result != DONE ? result : status;
        } else {
            add_file(list, take_copy(item, strlen(item)), false);
        }
    }
    return status;
}

static bool is_called_picture(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".pgm",  ".ppm", ".pnm",
                                          ".pbm", ".gif",  ".bmp", ".tif", ".tiff", ".avif", ".heic"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < COUNT_OF(endings); i++) {
        if (strcasecmp(dot, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- what it says ----------------------------------------------------------------------------------------------- */

/* A guess, as it will be printed. */
typedef struct line {
    const char *file; /* lent; "" below the first of a file */
    size_t index;
    double probability;
} line;

typedef struct work {
    const arguments *a;
    subject subject;
    size_t class_count, shown;
    float *probabilities; /* [PORTION][classes] */
    strata_error *errors; /* [PORTION] */
    size_t *top;          /* [shown] */
    line *lines;
    size_t line_count, line_capacity;
    json json;
} work;

static void add_json(work *w, const char *file, const float *row, size_t count) {
    json *j = &w->json;
    json_open(j, NULL, '{');
    json_name(j, "file", file);
    json_open(j, "top", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(j, NULL, '{');
        json_text(j, "class", strata_model_class(w->subject.model, w->top[i]));
        json_count(j, "index", (int64_t)w->top[i]);
        json_number(j, "probability", (double)row[w->top[i]]);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

/* Guesses under half a per cent say nothing; the first always stands. */
static void keep_lines(work *w, const char *file, const float *row, size_t count) {
    for (size_t i = 0; i < count && (i == 0 || row[w->top[i]] >= 0.005f); i++) {
        if (w->line_count == w->line_capacity) {
            w->line_capacity = 2 * w->line_capacity + 64;
            w->lines = take(w->lines, w->line_capacity * sizeof *w->lines);
        }
        w->lines[w->line_count++] = (line){i == 0 ? file : "", w->top[i], (double)row[w->top[i]]};
    }
}

/* Lines of 80 columns: what files and names leave is for the bars, and files are cut where names would not fit. */
static void print_lines(const work *w) {
    enum { BAR = 20, SHORTEST_BAR = 8, LEAST_NAMES = 28, ROOM = 80 - 15 }; /* 15 between columns and for the share */
    table t = {.alignment = "llrl", .column_count = 4};
    size_t files = 0, names = 0;
    for (size_t i = 0; i < w->line_count; i++) {
        size_t file = text_width(safe_text(w->lines[i].file).s);
        size_t name = text_width(safe_text(strata_model_class(w->subject.model, w->lines[i].index)).s);
        files = file > files ? file : files;
        names = name > names ? name : names;
    }
    size_t most = ROOM - SHORTEST_BAR - (names < LEAST_NAMES ? names : LEAST_NAMES);
    files = files < most ? files : most;
    names = names < ROOM - SHORTEST_BAR - files ? names : ROOM - SHORTEST_BAR - files;
    size_t bar = ROOM - files - names < BAR ? ROOM - files - names : BAR;
    for (size_t i = 0; i < w->line_count; i++) {
        const line *l = &w->lines[i];
        text drawn = {0};
        text_add(&drawn, "%s", "");
        text_add_bar(&drawn, l->probability, (int)bar, false);
        table_cell(&t, "%s", narrow_text(l->file, files, true).s);
        table_cell(&t, "%s", narrow_text(strata_model_class(w->subject.model, l->index), names, false).s);
        table_cell(&t, "%s", share_text(l->probability).s);
        table_cell(&t, "%s", drawn.bytes);
        text_free(&drawn);
    }
    table_print(&t, "", false);
}

static void show(work *w, const char *file, const float *row) {
    size_t count = strata_top(w->top, w->shown, row, w->class_count);
    if (w->a->common.json) {
        add_json(w, file, row, count);
    } else if (w->a->common.quiet) {
        text whole = {0}; /* for programs too: names are never cut */
        text_add_safe(&whole, file);
        text_add(&whole, "\t");
        text_add_safe(&whole, strata_model_class(w->subject.model, w->top[0]));
        puts(whole.bytes);
        text_free(&whole);
    } else {
        keep_lines(w, file, row, count);
    }
}

static int show_missed(const file_list *files, size_t index, const strata_error *err) {
    if (files->is_found[index] && err->status == STRATA_UNSUPPORTED && !is_called_picture(files->names[index])) {
        return DONE;
    }
    return report(err);
}

/* ---- the work --------------------------------------------------------------------------------------------------- */

enum { PORTION = 64, MOST_BATCH = 16 };

static int predict_portion(work *w, const file_list *files, size_t first, size_t count) {
    strata_error err;
    strata_predict_options options = {.crops = atoi(w->a->crops), .flip = w->a->flip};
    int status = DONE;
    if (strata_model_predict(w->subject.model, (const char *const *)files->names + first, count, &options,
                             w->probabilities, w->errors, &err) != STRATA_OK) {
        return report(&err);
    }
    for (size_t i = 0; i < count; i++) {
        if (w->errors[i].status == STRATA_OK) {
            show(w, files->names[first + i], w->probabilities + i * w->class_count);
        } else {
            int result = show_missed(files, first + i, &w->errors[i]);
            status = result != DONE ? result : status;
        }
    }
    return status;
}

static int predict_all(work *w, const file_list *files) {
    int status = DONE;
    w->class_count = strata_model_class_count(w->subject.model);
    w->shown = (size_t)w->a->top < w->class_count ? (size_t)w->a->top : w->class_count;
    w->probabilities = take(NULL, PORTION * w->class_count * sizeof *w->probabilities);
    w->errors = take(NULL, PORTION * sizeof *w->errors);
    w->top = take(NULL, w->shown * sizeof *w->top);
    json_open(&w->json, NULL, '[');
    for (size_t first = 0; first < files->count; first += PORTION) {
        size_t left = files->count - first;
        int result = predict_portion(w, files, first, left < PORTION ? left : PORTION);
        status = result != DONE ? result : status;
    }
    json_close(&w->json, ']');
    if (w->a->common.json) {
        json_print(&w->json);
    } else {
        print_lines(w);
    }
    free(w->probabilities);
    free(w->errors);
    free(w->top);
    return status;
}

static int run(void *all) {
    const arguments *a = all;
    work w = {.a = a};
    file_list files = {0};
    int status = collect(&files, a), opened;
    int64_t crops = atoi(a->crops), views = crops * (a->flip && crops < 10 ? 2 : 1);
    int64_t batch = (int64_t)files.count * views < MOST_BATCH ? (int64_t)files.count * views : MOST_BATCH;
    if (files.count > 0) {
        subject_wish wish = {.weights = a->weights,
                             .preprocess = a->preprocess,
                             .skip_self_test = a->skip_self_test,
                             .arguments = &a->common,
                             .batch = batch,
                             .doing = "running"};
        opened = subject_open(&w.subject, a->common.items[0], &wish);
        if (opened == DONE) {
            opened = class_names_give(w.subject.model, a->classes);
        }
        if (opened == DONE) {
            opened = predict_all(&w, &files);
        }
        status = opened != DONE ? opened : status;
        subject_close(&w.subject);
    }
    text_free(&w.json.out);
    free(w.lines);
    free_files(&files);
    return status;
}

static const option options[] = {
    {OPTION_COUNT, 0, "top", "N", "so many classes at most (5)", offsetof(arguments, top), 1, 1e6},
    {OPTION_TEXT, 0, "weights", "FILE", "weights for a network without any", offsetof(arguments, weights), 0, 0},
    {OPTION_TEXT, 0, "classes", "FILE", "names for classes without: one a line", offsetof(arguments, classes), 0, 0},
    {OPTION_CHOICE, 0, "crops", "1|5|10", "windows of a picture to average (1)", offsetof(arguments, crops), 0, 0},
    {OPTION_FLAG, 0, "flip", NULL, "average with the mirror image", offsetof(arguments, flip), 0, 0},
    {OPTION_TEXT, 0, "preprocess", "P", "how pictures are prepared: torchvision, caffe, ...",
     offsetof(arguments, preprocess), 0, 0},
    {OPTION_FLAG, 0, "no-self-test", NULL, "do not check the checkpoint's own test",
     offsetof(arguments, skip_self_test), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.top = 5, .crops = "1"};

const command command_predict = {
    .name = "predict",
    .summary = "the likeliest classes of a picture",
    .usage = "predict RUN PICTURE...\npredict CHECKPOINT FOLDER\npredict NET --weights FILE PICTURE...",
    .about = "Shows the likeliest classes of pictures, but for those below 0.5%. Pictures are\n"
             "JPEG, PNG, WebP and portable anymap files (`strata --version` says what this\n"
             "build reads), folders of them, or one of a data set: FILE:K of an IDX or HDF5\n"
             "file, NAME:K of a known one's test.",
    .examples = "predict runs/lenet5-1 fashion-mnist:0 | a test picture\n"
                "predict runs/lenet5-1 shirt.jpg photos | files and folders\n"
                "predict runs/lenet5-1 fashion-mnist:7 --top 1 --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 2,
    .most_items = 1 << 20,
    .items = "a run, checkpoint or network, then pictures",
    .run = run,
};
