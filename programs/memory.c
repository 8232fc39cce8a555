/* How much memory this process can still get, and how much it has used: asked before a model is built, so that what
 * will not fit is refused with a sentence and not by the system's killer. Linux: /proc and control groups (1 and 2). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "program.h"

/* The first bytes of a file of the system; false where it cannot be read. */
static bool read_head(char *out, size_t size, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t length = read(fd, out, size - 1);
    close(fd);
    out[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* The number after `key` at the start of a line of `path`; key "": at its start. */
static bool read_number(uint64_t *out, const char *path, const char *key) {
    char head[8192], *end;
    if (!read_head(head, sizeof head, path)) {
        return false;
    }
    char *at = head;
    while (at != NULL && strncmp(at, key, strlen(key)) != 0) {
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL) {
        return false;
    }
    at += strlen(key);
    *out = strtoull(at, &end, 10);
    return end != at;
}

/* What one control group leaves: its limit less what is used and cannot be given back at once. */
static uint64_t group_left(const char *folder, const char *limit_file, const char *used_file, const char *cache_key) {
    char path[600];
    uint64_t limit, used = 0, cache = 0;
    snprintf(path, sizeof path, "%s/%s", folder, limit_file);
    if (!read_number(&limit, path, "")) {
        return UINT64_MAX; /* no such file, or "max" */
    }
    snprintf(path, sizeof path, "%s/%s", folder, used_file);
    read_number(&used, path, "");
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    read_number(&cache, path, cache_key);
    used -= cache < used ? cache : used;
    return limit > used ? limit - used : 0;
}

/* This group and every one above it, up to `root`. */
static uint64_t groups_left(const char *root, const char *group, bool is_version2) {
    uint64_t least = UINT64_MAX;
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, group);
    for (;;) {
        uint64_t left =
            is_version2 ? group_left(path, "memory.max", "memory.current", "inactive_file ")
                        : group_left(path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ");
        least = left < least ? left : least;
        char *slash = strrchr(path, '/');
        if (slash == NULL || strlen(path) <= strlen(root)) {
            return least;
        }
        *slash = '\0';
    }
}

static uint64_t control_groups_left(void) {
    char head[8192], *rest = NULL;
    uint64_t least = UINT64_MAX;
    if (!read_head(head, sizeof head, "/proc/self/cgroup")) {
        return least;
    }
    for (char *line = strtok_r(head, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        const char *group = strrchr(line, ':');
        uint64_t left = UINT64_MAX;
        if (strncmp(line, "0::", 3) == 0) {
            left = groups_left("/sys/fs/cgroup", line + 3, true);
        } else if (group != NULL && strstr(line, ":memory:") != NULL) {
            left = groups_left("/sys/fs/cgroup/memory", group + 1, false);
        }
        least = left < least ? left : least;
    }
    return least;
}

uint64_t memory_free(void) {
    uint64_t free_bytes = UINT64_MAX, kilobytes;
    if (read_number(&kilobytes, "/proc/meminfo", "MemAvailable:")) {
        free_bytes = kilobytes * 1024;
    }
    uint64_t left = control_groups_left();
    free_bytes = left < free_bytes ? left : free_bytes;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < free_bytes) {
        free_bytes = limit.rlim_cur;
    }
    return free_bytes;
}

uint64_t memory_peak(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

/* A step of as many pictures in batches that fit, at best in half of what is free, so that something is left. */
static bool find_pieces(const memory_question *ask, uint64_t limit, int64_t *batch, int64_t *accumulate,
                        strata_memory *need) {
    for (int64_t parts = 2; parts <= ask->batch && ask->accumulate > 0; parts++) {
        *batch = ask->batch / parts;
        *accumulate = ask->accumulate * parts;
        if (ask->batch % parts == 0 && ask->need_pieces(need, ask->of, *batch, *accumulate, NULL) == STRATA_OK &&
            need->total_bytes <= limit) {
            return true;
        }
    }
    return false;
}

int memory_ask(const memory_question *ask, strata_memory *out) {
    strata_error err;
    uint64_t have = memory_free();
    if (ask->need(out, ask->of, ask->batch, &err) != STRATA_OK) {
        return report(&err);
    }
    if (out->total_bytes <= have) {
        return DONE;
    }
    fail("%s %s at batch %s needs %s, this machine has %s free", ask->doing, ask->net, count_text(ask->batch).s,
         bytes_text(out->total_bytes).s, bytes_text(have).s);
    int64_t smaller = 1, batch, accumulate;
    strata_memory need;
    bool fits = false;
    while (smaller < ask->batch) {
        smaller *= 2;
    }
    while (!fits && smaller > 1) {
        smaller /= 2;
        fits = ask->need(&need, ask->of, smaller, NULL) == STRATA_OK && need.total_bytes <= have;
    }
    if (fits) {
        fprintf(stderr, "  batch %s needs %s", count_text(smaller).s, bytes_text(need.total_bytes).s);
        if (ask->has_option) {
            fprintf(stderr, ": --batch %lld", (long long)smaller);
        }
        fprintf(stderr, "\n");
    }
    if (find_pieces(ask, have / 2, &batch, &accumulate, &need) || find_pieces(ask, have, &batch, &accumulate, &need)) {
        fprintf(stderr, "  --batch %lld --accumulate %lld needs %s for steps of as many pictures\n", (long long)batch,
                (long long)accumulate, bytes_text(need.total_bytes).s);
    } else if (!fits) {
        fprintf(stderr, "  %s\n", "no batch fits: a smaller network or a machine with more memory");
    }
    return FAILED;
}

typedef struct build {
    const strata_runtime *runtime;
    const strata_net *net;
    strata_build_options options;
} build;

static strata_status build_need(strata_memory *out, const void *of, int64_t batch, strata_error *err) {
    const build *b = of;
    strata_build_options options = b->options;
    options.batch = batch;
    return strata_model_memory(out, b->runtime, b->net, &options, err);
}

static strata_status build_need_pieces(strata_memory *out, const void *of, int64_t batch, int64_t accumulate,
                                       strata_error *err) {
    const build *b = of;
    strata_build_options options = b->options;
    options.batch = batch;
    options.accumulate = accumulate;
    return strata_model_memory(out, b->runtime, b->net, &options, err);
}

int memory_check(const char *doing, const strata_runtime *runtime, const strata_net *net,
                 const strata_build_options *options) {
    build b = {.runtime = runtime, .net = net, .options = *options};
    strata_net_info info;
    strata_memory need;
    strata_net_info_get(net, options->train, &info);
    return memory_ask(&(memory_question){.need = build_need,
                                         .of = &b,
                                         .batch = options->batch,
                                         .doing = doing,
                                         .net = info.name,
                                         .has_option = true,
                                         .accumulate = options->train ? options->accumulate : 0,
                                         .need_pieces = build_need_pieces},
                      &need);
}
