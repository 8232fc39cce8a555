/* The model that eval and predict look at: a run's best checkpoint, a checkpoint, or a net with weights from a file. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "program.h"

/* By content: a safetensors file begins with a length of eight bytes, and a text holds no NUL. */
static bool is_binary(const char *path) {
    char head[8];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    size_t length = fread(head, 1, sizeof head, file);
    fclose(file);
    return memchr(head, '\0', length) != NULL;
}

int net_open(strata_net **out, const char *what, const common *arguments) {
    strata_error err;
    char *path = path_is_folder(what) ? path_join(what, "net.net") : take_copy(what, strlen(what));
    int status = DONE;
    run_plan plan = {0};
    if ((path_is_folder(what) && run_plan_read(&plan, what, &err) != STRATA_OK) ||
        strata_net_load(out, path, arguments->settings.bytes, &err) != STRATA_OK) {
        status = report(&err);
    }
    free(plan.file);
    free(path);
    return status;
}

char *weights_of(const char *what) {
    return path_is_folder(what) ? path_join(what, "best.safetensors")
           : is_binary(what)    ? take_copy(what, strlen(what))
                                : NULL;
}

static int open_net(subject *out, const char *what, const char *weights, const common *arguments, int64_t batch,
                    const char *doing) {
    strata_error err;
    strata_net *net;
    if (strata_net_load(&net, what, arguments->settings.bytes, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_build_options build = {.batch = batch, .blank = true};
    int status;
    if (weights == NULL) {
        status = refuse("%s is a network without weights: --weights FILE, or a run or a checkpoint in its place", what);
    } else {
        status = memory_check(doing, out->runtime, net, &build);
    }
    if (status == DONE && (strata_model_build(&out->model, out->runtime, net, &build, &err) != STRATA_OK ||
                           strata_model_load(out->model, weights, &err) != STRATA_OK)) {
        status = report(&err);
    }
    if (status == DONE && strata_model_preparation(out->model)[0] == '\0') {
        status = fail("%s does not say how its pictures were prepared; a checkpoint of strata does", weights);
    }
    strata_net_free(net);
    return status;
}

static int open_checkpoint(subject *out, const char *path, const char *weights, const common *arguments, int64_t batch,
                           const char *doing) {
    strata_error err;
    if (arguments->settings.length > 0) {
        return refuse("--set changes a network; %s has one with weights that fit it", path);
    }
    strata_net *net;
    if (strata_net_load(&net, path, NULL, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_build_options build = {.batch = batch};
    int status = memory_check(doing, out->runtime, net, &build);
    strata_net_free(net);
    if (status != DONE) {
        return status;
    }
    if (strata_model_open(&out->model, out->runtime, path, &build, &err) != STRATA_OK ||
        (weights != NULL && strata_model_load(out->model, weights, &err) != STRATA_OK)) {
        return report(&err);
    }
    return DONE;
}

static int open_run(subject *out, const char *folder, const char *weights, const common *arguments, int64_t batch,
                    const char *doing) {
    strata_error err;
    if (run_plan_read(&out->plan, folder, &err) != STRATA_OK) {
        return report(&err);
    }
    out->is_run = true;
    char *best = path_join(folder, "best.safetensors");
    int status = path_exists(best) ? open_checkpoint(out, best, weights, arguments, batch, doing)
                                   : fail("%s has no best.safetensors: its first epoch has not ended", folder);
    free(best);
    return status;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return a != NULL && b != NULL && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

int output_check(const char *output, const char *const *inputs, size_t count) {
    if (output != NULL && (strcmp(output, "-") == 0 || output[0] == '\0')) {
        return refuse("'%s' names no file: the result goes into a file, not to standard output", output);
    }
    static const char *const kept[] = {"run.txt", "log.jsonl", "net.net", "last.safetensors", "best.safetensors"};
    for (size_t i = 0; output != NULL && i < count; i++) {
        char *weights = inputs[i] != NULL && path_is_folder(inputs[i]) ? weights_of(inputs[i]) : NULL;
        bool same = is_same_file(output, inputs[i]) || is_same_file(output, weights);
        free(weights);
        if (same) {
            return refuse("%s is read and would be overwritten: name another file for the result", output);
        }
    }
    const char *slash = output != NULL ? strrchr(output, '/') : NULL;
    char *folder = slash != NULL ? take_copy(output, (size_t)(slash - output)) : take_copy(".", 1);
    char *plan = path_join(folder, "run.txt");
    int status = DONE;
    for (size_t i = 0; output != NULL && i < COUNT_OF(kept) && status == DONE; i++) {
        if (path_exists(plan) && strcmp(slash != NULL ? slash + 1 : output, kept[i]) == 0) {
            status = refuse("%s belongs to a run: name another file for the result", output);
        }
    }
    free(plan);
    free(folder);
    return status;
}

int subject_open(subject *out, const char *what, const char *weights, const common *arguments, int64_t batch,
                 const char *doing) {
    *out = (subject){0};
    strata_error err;
    strata_options options = runtime_options(arguments);
    int status;
    if (strata_runtime_create(&out->runtime, &options, &err) != STRATA_OK) {
        status = report(&err);
    } else if (path_is_folder(what)) {
        status = open_run(out, what, weights, arguments, batch, doing);
    } else if (is_binary(what)) {
        status = open_checkpoint(out, what, weights, arguments, batch, doing);
    } else {
        status = open_net(out, what, weights, arguments, batch, doing);
    }
    if (status != DONE) {
        subject_close(out);
    }
    return status;
}

void subject_close(subject *s) {
    if (s->model != NULL) {
        strata_model_free(s->model);
    }
    if (s->runtime != NULL) {
        strata_runtime_free(s->runtime);
    }
    free(s->plan.file);
    *s = (subject){0};
}
