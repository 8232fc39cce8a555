/* The model that eval and predict look at: a run's best checkpoint, a checkpoint, or a net with weights from a file. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "program.h"

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

/* A file that cannot be read counts as one, since opening it says why. */
static bool is_weights(const char *path) {
    strata_error err;
    bool is = false;
    return strata_weights_probe(&is, path, &err) != STRATA_OK || is;
}

char *weights_of(const char *what) {
    return path_is_folder(what) ? path_join(what, "best.safetensors")
           : is_weights(what)   ? take_copy(what, strlen(what))
                                : NULL;
}

/* A zoo's net says how pictures are prepared for the weights that were published for it, and these may be others; a net
 * of one's own is believed. */
static int prepare_net(strata_net **net, const strata_weights *weights, const char *path, const subject_wish *wish) {
    strata_net_info about;
    bool is_known = false;
    if (wish->preprocess != NULL) {
        return preparation_choose(net, wish->preprocess, weights, path);
    }
    if (wish->weights == NULL && strata_net_is_prepared(*net)) { /* the file's own net */
        return DONE;
    }
    int status = preparation_take(&is_known, net, weights, path, wish->arguments);
    if (status != DONE || is_known) {
        return status;
    }
    strata_net_info_get(*net, false, &about);
    if (about.is_zoo || !strata_net_is_prepared(*net)) {
        return preparation_refuse(*net, path, wish->arguments);
    }
    if (!wish->arguments->quiet) {
        warn("%s does not say how its pictures were prepared: as %s says, then; --preprocess names another way",
             safe_text(path).s, safe_text(about.name).s);
    }
    return DONE;
}

static int build_model(subject *out, strata_net **net, const strata_weights *weights, const char *path,
                       const subject_wish *wish) {
    strata_error err;
    int status = prepare_net(net, weights, path, wish);
    strata_build_options build = {.batch = wish->batch, .blank = true, .skip_self_test = wish->skip_self_test};
    if (status == DONE) {
        status = memory_check(wish->doing, out->runtime, *net, &build);
    }
    if (status == DONE && (strata_model_build(&out->model, out->runtime, *net, &build, &err) != STRATA_OK ||
                           strata_model_load_weights(out->model, weights, &err) != STRATA_OK)) {
        status = report(&err);
    }
    return status;
}

/* `path`: a net, or a file of weights that holds its net. */
static int open_file(subject *out, const char *path, const subject_wish *wish) {
    strata_error err;
    strata_net *net = NULL;
    strata_weights *weights = NULL;
    bool is_model = is_weights(path);
    const char *from = wish->weights != NULL ? wish->weights : is_model ? path : NULL;
    if (is_model && wish->arguments->settings.length > 0) {
        return refuse("--set changes a network; %s has one with weights that fit it", path);
    }
    if (strata_net_load(&net, path, wish->arguments->settings.bytes, &err) != STRATA_OK) {
        return report(&err);
    }
    int status;
    if (from == NULL) {
        status = refuse("%s is a network without weights: --weights FILE, or a run or a checkpoint in its place", path);
    } else {
        status = strata_weights_open(&weights, from, &err) == STRATA_OK ? build_model(out, &net, weights, from, wish)
                                                                        : report(&err);
    }
    strata_weights_free(weights);
    strata_net_free(net);
    return status;
}

static int open_run(subject *out, const char *folder, const subject_wish *wish) {
    strata_error err;
    if (run_plan_read(&out->plan, folder, &err) != STRATA_OK) {
        return report(&err);
    }
    out->is_run = true;
    char *best = path_join(folder, "best.safetensors");
    int status = path_exists(best) ? open_file(out, best, wish)
                                   : fail("%s has no best.safetensors: its first epoch has not ended", folder);
    free(best);
    return status;
}

bool is_same_file(const char *a, const char *b) {
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
    if (output != NULL && !path_is_folder(folder[0] != '\0' ? folder : "/")) {
        status = fail("%s: there is no folder %s", output, folder);
    }
    for (size_t i = 0; output != NULL && i < COUNT_OF(kept) && status == DONE; i++) {
        if (path_exists(plan) && strcmp(slash != NULL ? slash + 1 : output, kept[i]) == 0) {
            status = refuse("%s belongs to a run: name another file for the result", output);
        }
    }
    free(plan);
    free(folder);
    return status;
}

int subject_open(subject *out, const char *what, const subject_wish *wish) {
    *out = (subject){0};
    strata_error err;
    strata_options options = runtime_options(wish->arguments);
    int status;
    if (strata_runtime_create(&out->runtime, &options, &err) != STRATA_OK) {
        status = report(&err);
    } else {
        status = path_is_folder(what) ? open_run(out, what, wish) : open_file(out, what, wish);
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
