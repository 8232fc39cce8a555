/* strata data: the doctor of a data set. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

typedef struct arguments {
    common common;
    double hold_out;
    const char *sheet, *augment;
    bool strict;
} arguments;

const char *part_name(strata_part part) {
    static const char *const names[STRATA_PART_COUNT] = {"train", "val", "test"};
    return names[part];
}

static bool show_progress(size_t done, size_t count, void *user) {
    live *line = user;
    if (live_is_due(line)) {
        live_show(line, "%s of %s pictures looked at", count_text((int64_t)done).s, count_text((int64_t)count).s);
    }
    return true;
}

/* The real path of the folder that `file` is in or would be in; false where there is none. */
static bool find_folder(char out[PATH_MAX], const char *file) {
    const char *slash = strrchr(file, '/');
    char *folder = slash == NULL ? take_copy(".", 1) : take_copy(file, slash == file ? 1 : (size_t)(slash - file));
    bool is_there = realpath(folder, out) != NULL;
    free(folder);
    return is_there;
}

/* A sheet in the data's folder would be one more picture of it. */
static int check_sheet(const arguments *a) {
    char data[PATH_MAX], folder[PATH_MAX];
    if (a->sheet == NULL || realpath(a->common.items[0], data) == NULL || !find_folder(folder, a->sheet)) {
        return DONE;
    }
    size_t length = strlen(data);
    if (path_is_folder(data) && strncmp(folder, data, length) == 0 &&
        (folder[length] == '\0' || folder[length] == '/')) {
        int status = refuse("--sheet %s lies in the data's folder, which is never written to", a->sheet);
        hint("name a file elsewhere");
        return status;
    }
    const char *inputs[] = {a->common.items[0]};
    return output_check(a->sheet, inputs, 1);
}

/* What training would refuse, and --strict. Exit status. */
static int judge_broken(const arguments *a, const strata_dataset *data, size_t count) {
    size_t broken = strata_dataset_broken_count(data);
    if (broken * 10 > count + broken) {
        return fail("%s: %s of its %s pictures cannot be read, more than a tenth: training refuses",
                    safe_text(a->common.items[0]).s, count_text((int64_t)broken).s,
                    count_text((int64_t)(count + broken)).s);
    }
    if (broken > 0 && a->strict) {
        return fail("%s: %s of its pictures cannot be read, and --strict refuses", safe_text(a->common.items[0]).s,
                    count_text((int64_t)broken).s);
    }
    return DONE;
}

static int show(const arguments *a, const strata_dataset *data) {
    strata_error err;
    strata_checkup *checkup;
    live line;
    live_begin(&line);
    strata_status status = strata_dataset_check(&checkup, data, (int)a->common.threads, show_progress, &line, &err);
    live_clear(&line);
    if (status != STRATA_OK) {
        return report(&err);
    }
    patient of = {.data = data, .checkup = checkup, .path = a->common.items[0], .sheet = a->sheet};
    int result = a->sheet != NULL ? doctor_write_sheet(&of) : DONE;
    if (result == DONE && a->common.json) {
        doctor_print_json(&of);
    } else if (result == DONE) {
        doctor_print(&of, a->common.quiet);
    }
    result = result == DONE ? judge_broken(a, data, checkup->count) : result;
    strata_checkup_free(checkup);
    return result;
}

static int run(void *all) {
    const arguments *a = all;
    strata_error err;
    strata_dataset *data;
    strata_data_options options = {
        .hold_out = a->hold_out, .seed = (uint64_t)a->common.seed, .examines = a->augment == NULL};
    if (a->augment != NULL && a->sheet == NULL) {
        int status = refuse("--augment shows pictures: where to?");
        hint("name a file with --sheet: --sheet sheet.png");
        return status;
    }
    int status = check_sheet(a);
    if (status != DONE) {
        return status;
    }
    if (strata_dataset_open(&data, a->common.items[0], &options, &err) != STRATA_OK) {
        return report(&err);
    }
    status = a->augment != NULL
                 ? augment_write_sheet(data, a->augment, (uint64_t)a->common.seed, a->sheet, a->common.json)
                 : show(a, data);
    strata_dataset_free(data);
    return status;
}

static const option options[] = {
    {OPTION_SHARE, 0, "val", "SHARE|none", "hold out as training would (none)", offsetof(arguments, hold_out), 0, 1},
    {OPTION_TEXT, 0, "sheet", "FILE", "a contact sheet as PNG: each class, and findings", offsetof(arguments, sheet), 0,
     0},
    {OPTION_TEXT, 0, "augment", "WORDS", "the sheet shows what a net will see: \"cifar\"", offsetof(arguments, augment),
     0, 0},
    {OPTION_FLAG, 0, "strict", NULL, "exit 1 where a picture cannot be read", offsetof(arguments, strict), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

const command command_data = {
    .name = "data",
    .summary = "what a data set holds, and what is wrong with it",
    .usage = "data D",
    .about = "The doctor of a data set: classes, parts, sizes; broken, blank and odd pictures;\n"
             "the same picture twice, in two parts or under two labels. D is a folder of\n"
             "pictures (train/CLASS/*.jpg, also val and test; or CLASS/*.jpg), of CIFAR's\n"
             "batches or of IDX files (plain or gzip), or a known name: fashion-mnist, mnist,\n"
             "cifar-10. What is there is found by looking; nothing is written to it.",
    .examples = "data fashion-mnist | the Debian package\n"
                "data photos --sheet sheet.png | with a look at it\n"
                "data photos --sheet sheet.png --augment mirror | what the net will see\n"
                "data fashion-mnist --val 0.1 | what is held out\n"
                "data fashion-mnist --json | for a program",
    .options = options,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 1,
    .items = "one data set",
    .run = run,
};
