/* strata fmt: the tidy form of a .net file. Comments and meaning stay. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "program.h"

enum { MOST_BYTES = 1 << 20 }; /* the language's own limit */

typedef struct arguments {
    common common;
    bool in_place, check;
} arguments;

static strata_status read_net(char **out, size_t *length, const char *path, strata_error *err) {
    return file_read(out, length, strcmp(path, "-") == 0 ? "/dev/stdin" : path, MOST_BYTES, err);
}

/* Behind a link is the file that is meant, and it keeps its mode. */
static strata_status write_net(const char *path, const char *tidy, strata_error *err) {
    char *target = realpath(path, NULL);
    struct stat before;
    bool has_mode = target != NULL && stat(target, &before) == 0;
    strata_status status = strata_file_write(target != NULL ? target : path, tidy, strlen(tidy), err);
    if (status == STRATA_OK && has_mode && chmod(target, before.st_mode & 07777) != 0) {
        warn("%s has lost its mode: %s", path, strerror(errno));
    }
    free(target);
    return status;
}

static void print_tidy(const char *path, const char *tidy, const arguments *a) {
    if (!a->common.json) {
        fputs(tidy, stdout);
        return;
    }
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "file", path);
    json_text(&j, "text", tidy);
    json_close(&j, '}');
    json_print(&j);
}

/* One file: 0, or an exit status after saying why. *is_tidy: it was already. */
static int format_file(const char *path, const arguments *a, bool *is_tidy) {
    strata_error err;
    char *bytes, *tidy;
    size_t length;
    if (read_net(&bytes, &length, path, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_status status = strata_net_format(&tidy, bytes, length, path, &err);
    if (status == STRATA_OK) {
        *is_tidy = strlen(tidy) == length && memcmp(tidy, bytes, length) == 0;
        if (a->in_place && !*is_tidy) {
            status = write_net(path, tidy, &err);
        } else if (!a->in_place && !a->check) {
            print_tidy(path, tidy, a);
        }
        strata_text_free(tidy);
    }
    free(bytes);
    return status == STRATA_OK ? DONE : report(&err);
}

static int run(void *all) {
    const arguments *a = all;
    if (a->in_place && a->check) {
        return refuse("--in-place writes the file and --check only looks at it: one of them");
    }
    if (!a->in_place && !a->check && a->common.item_count > 1) {
        return refuse("fmt prints one file; several are for --in-place or --check");
    }
    int worst = DONE;
    json j = {0};
    json_open(&j, NULL, '[');
    for (int i = 0; i < a->common.item_count; i++) {
        const char *path = a->common.items[i];
        if (a->in_place && strcmp(path, "-") == 0) {
            return refuse("--in-place needs a file to write to; - is standard input");
        }
        bool is_tidy = true;
        int status = format_file(path, a, &is_tidy);
        if (status == DONE && a->check && !is_tidy) {
            status = fail("%s is not in its tidy form: %s fmt -i %s", path, program_name(), path);
        }
        worst = status != DONE ? status : worst;
        json_open(&j, NULL, '{');
        json_text(&j, "file", path);
        json_bool(&j, "tidy", status == DONE && is_tidy);
        json_close(&j, '}');
        if (a->in_place && !is_tidy && status == DONE) {
            print_note("%s rewritten\n", path);
        }
    }
    json_close(&j, ']');
    if (a->common.json && (a->check || a->in_place)) {
        json_print(&j);
    }
    text_free(&j.out);
    return worst;
}

static const option options[] = {
    {OPTION_FLAG, 'i', "in-place", NULL, "write the tidy form into the file", offsetof(arguments, in_place), 0, 0},
    {OPTION_FLAG, 0, "check", NULL, "only say whether it is tidy: exit 1 if not", offsetof(arguments, check), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

const command command_fmt = {
    .name = "fmt",
    .summary = "tidy a .net file",
    .usage = "fmt FILE.net...",
    .about = "Prints a .net file in its tidy form: same network, one layout, comments kept.\n"
             "- is standard input.",
    .examples = "fmt mine.net | look at the tidy form\n"
                "fmt -i mine.net other.net | rewrite the files\n"
                "fmt --check mine.net | for a script: exit 1 when it is not tidy",
    .options = options,
    .arguments_size = sizeof(arguments),
    .least_items = 1,
    .most_items = 10000,
    .items = "a .net file",
    .run = run,
};
