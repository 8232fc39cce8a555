/* strata data: what a data set holds. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
    double hold_out;
} arguments;

static const char *const part_names[STRATA_PART_COUNT] = {"train", "val", "test"};

static void print_parts(const strata_dataset *d) {
    bool is_first = true;
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        size_t count = strata_dataset_count(d, (strata_part)part);
        if (count > 0) {
            printf("%s%s %s%s", is_first ? "" : ", ", part_names[part], count_text((int64_t)count).s,
                   part == STRATA_VAL && strata_dataset_was_held_out(d) ? " held out" : "");
            is_first = false;
        }
    }
}

static void print_classes(const strata_dataset *d) {
    enum { MOST_ROWS = 40 };
    char alignment[TABLE_COLUMNS] = "l";
    table t = {.alignment = alignment, .column_count = 1};
    table_cell(&t, "class");
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        if (strata_dataset_count(d, (strata_part)part) > 0) {
            table_cell(&t, "%s", part_names[part]);
            alignment[t.column_count++] = 'r';
        }
    }
    size_t count = strata_dataset_class_count(d), shown = count > MOST_ROWS ? MOST_ROWS : count;
    for (size_t i = 0; i < shown; i++) {
        table_cell(&t, "%s", safe_text(strata_dataset_class(d, i)).s);
        for (int part = 0; part < STRATA_PART_COUNT; part++) {
            if (strata_dataset_count(d, (strata_part)part) > 0) {
                table_cell(&t, "%s", count_text((int64_t)strata_dataset_class_size(d, (strata_part)part, i)).s);
            }
        }
    }
    table_print(&t, "  ", true);
    if (shown < count) {
        printf("  ... and %s more; --json has all\n", count_text((int64_t)(count - shown)).s);
    }
}

static void print_statistics(const double mean[4], const double deviation[4], int64_t channels) {
    int64_t shown = channels > 4 ? 4 : channels;
    printf("mean");
    for (int64_t i = 0; i < shown; i++) {
        printf(" %.3f", mean[i]);
    }
    printf("   deviation");
    for (int64_t i = 0; i < shown; i++) {
        printf(" %.3f", deviation[i]);
    }
    printf("   (of the training pixels, 0 to 1)\n");
}

static void print_broken(const strata_dataset *d) {
    enum { MOST_ROWS = 20 };
    size_t count = strata_dataset_broken_count(d), shown = count > MOST_ROWS ? MOST_ROWS : count;
    for (size_t i = 0; i < shown; i++) {
        const char *reason = NULL, *name = strata_dataset_broken(d, i, &reason);
        printf("%s  %s: %s\n", i == 0 ? "left out\n" : "", safe_text(name).s, reason);
    }
    if (shown < count) {
        printf("  ... and %s more; --json has all\n", count_text((int64_t)(count - shown)).s);
    }
}

static void print_text(const strata_dataset *d, const arguments *a, const double mean[4], const double deviation[4]) {
    strata_shape shape = strata_dataset_shape(d);
    size_t all = 0;
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        all += strata_dataset_count(d, (strata_part)part);
    }
    printf("%s   %s: %s pictures of %s, %s classes\n  ", safe_text(strata_dataset_name(d)).s,
           safe_text(strata_dataset_kind(d)).s, count_text((int64_t)all).s, shape_text(shape, false).s,
           count_text((int64_t)strata_dataset_class_count(d)).s);
    print_parts(d);
    printf("\n");
    for (size_t i = 0; i < strata_dataset_note_count(d); i++) {
        warn("%s", strata_dataset_note(d, i));
    }
    if (a->common.quiet) {
        return;
    }
    print_classes(d);
    print_broken(d);
    print_statistics(mean, deviation, shape.channels);
    text words = {0};
    text_add(&words, "train lenet5 --data ");
    text_add_shell(&words, a->common.items[0]);
    const char *commands[] = {words.bytes}, *reasons[] = {NULL};
    /* A network that is known to take these pictures, or none named. */
    if (shape.channels == 1 && shape.height <= 32 && shape.width <= 32 && strata_dataset_class_count(d) == 10) {
        print_next(commands, reasons, 1);
    }
    text_free(&words);
}

static void print_json(const strata_dataset *d, const double mean[4], const double deviation[4]) {
    strata_shape shape = strata_dataset_shape(d);
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "name", strata_dataset_name(d));
    json_text(&j, "kind", strata_dataset_kind(d));
    json_open(&j, "shape", '[');
    json_count(&j, NULL, shape.height);
    json_count(&j, NULL, shape.width);
    json_count(&j, NULL, shape.channels);
    json_close(&j, ']');
    json_open(&j, "classes", '[');
    for (size_t i = 0; i < strata_dataset_class_count(d); i++) {
        json_text(&j, NULL, strata_dataset_class(d, i));
    }
    json_close(&j, ']');
    json_open(&j, "parts", '[');
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        size_t count = strata_dataset_count(d, (strata_part)part);
        if (count == 0) {
            continue;
        }
        json_open(&j, NULL, '{');
        json_text(&j, "name", part_names[part]);
        json_count(&j, "count", (int64_t)count);
        json_open(&j, "class_counts", '[');
        for (size_t i = 0; i < strata_dataset_class_count(d); i++) {
            json_count(&j, NULL, (int64_t)strata_dataset_class_size(d, (strata_part)part, i));
        }
        json_close(&j, ']');
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_open(&j, "mean", '[');
    for (int64_t i = 0; i < shape.channels && i < 4; i++) {
        json_number(&j, NULL, mean[i]);
    }
    json_close(&j, ']');
    json_open(&j, "deviation", '[');
    for (int64_t i = 0; i < shape.channels && i < 4; i++) {
        json_number(&j, NULL, deviation[i]);
    }
    json_close(&j, ']');
    json_open(&j, "broken", '[');
    for (size_t i = 0; i < strata_dataset_broken_count(d); i++) {
        const char *reason = NULL, *name = strata_dataset_broken(d, i, &reason);
        json_open(&j, NULL, '{');
        json_text(&j, "file", name);
        json_text(&j, "reason", reason);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_print(&j);
}

static int run(void *all) {
    const arguments *a = all;
    strata_error err;
    strata_dataset *d;
    strata_data_options options = {.hold_out = a->hold_out, .seed = (uint64_t)a->common.seed};
    if (strata_dataset_open(&d, a->common.items[0], &options, &err) != STRATA_OK) {
        return report(&err);
    }
    double mean[4] = {0}, deviation[4] = {0};
    int status = DONE;
    if (strata_dataset_count(d, STRATA_TRAIN) > 0 && strata_dataset_statistics(d, mean, deviation, &err) != STRATA_OK) {
        status = report(&err);
    } else if (a->common.json) {
        print_json(d, mean, deviation);
    } else {
        print_text(d, a, mean, deviation);
    }
    strata_dataset_free(d);
    return status;
}

static const option options[] = {
    {OPTION_SHARE, 0, "val", "SHARE|none", "hold out as training would (none)", offsetof(arguments, hold_out), 0, 1},
    {OPTION_LATER, 0, "augment", NULL, NULL, 0, 0, 0},
    {OPTION_LATER, 0, "sheet", NULL, NULL, 0, 0, 0},
    {OPTION_LATER, 0, "strict", NULL, NULL, 0, 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

const command command_data = {
    .name = "data",
    .summary = "what a data set holds",
    .usage = "data D",
    .about = "Looks into a data set: kind, pictures, classes, parts, mean and deviation. D is\n"
             "a folder of pictures (train/CLASS/*.jpg, also val and test; or CLASS/*.jpg),\n"
             "of CIFAR's batches or of IDX files (plain or gzip), or a known name:\n"
             "fashion-mnist, mnist, cifar-10. What is there is found by looking.",
    .examples = "data fashion-mnist | the Debian package dataset-fashion-mnist\n"
                "data mnist/ | a folder\n"
                "data fashion-mnist --val 0.1 | what training would hold out\n"
                "data fashion-mnist --json | for a program",
    .options = options,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one data set",
    .run = run,
};
