/* The run folder: run.txt and net.net (what repeats the run), log.jsonl (a line per epoch, then the result), and a lock
 * that says which process writes there. What the library does not write itself goes through strata_file_write, or, for
 * the log, is appended in one piece; every return value is looked at. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"

enum { MOST_RUN_BYTES = 1 << 20, MOST_LOG_BYTES = 1 << 28 };

static strata_status fill_error(strata_error *err, strata_status status, const char *path, const char *message) {
    *err = (strata_error){.status = status};
    snprintf(err->file, sizeof err->file, "%s", path);
    snprintf(err->message, sizeof err->message, "%s", message);
    return status;
}

/* errno after the call `what`. */
static strata_status fill_errno(strata_error *err, const char *path, const char *what) {
    int reason = errno;
    char message[256];
    snprintf(message, sizeof message, "cannot %s: %s", what, strerror(reason));
    return fill_error(err, reason == ENOENT ? STRATA_MISSING : STRATA_IO, path, message);
}

/* ---- paths and files -------------------------------------------------------------------------------------------- */

char *path_join(const char *folder, const char *file) {
    text out = {0};
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') {
        length--;
    }
    text_add(&out, "%.*s/%s", (int)length, folder, file);
    return out.bytes;
}

bool path_exists(const char *path) {
    return access(path, F_OK) == 0;
}

bool path_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static strata_status read_all(char **out, size_t *length, int fd, const char *path, size_t most, strata_error *err) {
    text bytes = {0};
    char piece[16384];
    for (;;) {
        ssize_t count = read(fd, piece, sizeof piece);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno == EAGAIN) { /* somebody still writes into the pipe */
            (void)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
            continue;
        }
        if (count < 0) {
            text_free(&bytes);
            return fill_errno(err, path, "read");
        }
        if (count == 0) {
            break;
        }
        text_add_bytes(&bytes, piece, (size_t)count);
        if (bytes.length > most) {
            text_free(&bytes);
            return fill_error(err, STRATA_FORMAT, path, "larger than any file of this kind");
        }
    }
    *length = bytes.length;
    *out = bytes.bytes != NULL ? bytes.bytes : take_copy("", 0);
    return STRATA_OK;
}

strata_status file_read(char **out, size_t *length, const char *path, size_t most, strata_error *err) {
    *out = NULL;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hold us */
    if (fd < 0) {
        return fill_errno(err, path, "open");
    }
    bool is_pipe = fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode);
    strata_status status = read_all(out, length, fd, path, most, err);
    close(fd);
    if (status == STRATA_OK && is_pipe && *length == 0) {
        free(*out);
        *out = NULL;
        status = fill_error(err, STRATA_IO, path, "is a pipe that nobody writes into");
    }
    return status;
}

/* Same, of a file in a run folder. */
static strata_status read_part(char **out, size_t *length, const char *folder, const char *file, size_t most,
                               strata_error *err) {
    char *path = path_join(folder, file);
    strata_status status = file_read(out, length, path, most, err);
    free(path);
    return status;
}

static strata_status write_part(const char *folder, const char *file, const text *bytes, strata_error *err) {
    char *path = path_join(folder, file);
    strata_status status = strata_file_write(path, bytes->bytes, bytes->length, err);
    free(path);
    return status;
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

strata_status run_make(char **out, const char *name, strata_error *err) {
    if (mkdir("runs", 0777) != 0 && errno != EEXIST) {
        return fill_errno(err, "runs", "make this folder");
    }
    for (int n = 1; n < 1000000; n++) {
        text path = {0};
        text_add(&path, "runs/");
        for (const char *c = name; *c != '\0'; c++) {
            text_add(&path, "%c", *c == '/' || *c == ' ' ? '_' : *c);
        }
        text_add(&path, "-%d", n);
        if (mkdir(path.bytes, 0777) == 0) {
            *out = path.bytes;
            return STRATA_OK;
        }
        strata_status status = errno == EEXIST ? STRATA_OK : fill_errno(err, path.bytes, "make this folder");
        text_free(&path);
        if (status != STRATA_OK) {
            return status;
        }
    }
    return fill_error(err, STRATA_IO, "runs", "has a million runs");
}

strata_status run_make_at(const char *folder, strata_error *err) {
    char *path = take_copy(folder, strlen(folder));
    strata_status status = STRATA_OK;
    for (char *slash = path; slash != NULL && status == STRATA_OK;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            status = fill_errno(err, path, "make this folder");
        }
        if (slash != NULL) {
            *slash = '/';
        }
    }
    free(path);
    return status;
}

strata_status run_lock(const char *folder, strata_error *err) {
    char *path = path_join(folder, ".lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    strata_status status = fd < 0 ? fill_errno(err, path, "open") : STRATA_OK;
    free(path);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? fill_error(err, STRATA_INVALID, folder, "another process is writing this run")
                                      : fill_errno(err, folder, "lock this run");
        close(fd);
    }
    return status; /* the descriptor stays open, and with it the lock, until the process ends */
}

static const char *const run_files[] = {"run.txt",   "last.safetensors", "best.safetensors", "log.jsonl",
                                        "curve.svg", "confusion.svg",    "net.net"};

/* Whether `name` is a file of a run that strata_file_write had not finished: FILE.part-PROCESS-NUMBER. */
static bool is_half_written(const char *name) {
    for (size_t i = 0; i < COUNT_OF(run_files); i++) {
        size_t length = strlen(run_files[i]);
        if (strncmp(name, run_files[i], length) == 0 && strncmp(name + length, ".part-", 6) == 0) {
            const char *numbers = name + length + 6;
            return isdigit((unsigned char)numbers[0]) && numbers[strspn(numbers, "0123456789-")] == '\0';
        }
    }
    return false;
}

static strata_status remove_file(const char *folder, const char *name, strata_error *err) {
    char *path = path_join(folder, name);
    strata_status status = unlink(path) == 0 || errno == ENOENT ? STRATA_OK : fill_errno(err, path, "remove");
    free(path);
    return status;
}

strata_status run_sweep(const char *folder, strata_error *err) {
    DIR *list = opendir(folder);
    if (list == NULL) {
        return fill_errno(err, folder, "list");
    }
    strata_status status = STRATA_OK;
    for (struct dirent *e = readdir(list); e != NULL && status == STRATA_OK; e = readdir(list)) {
        if (is_half_written(e->d_name)) {
            status = remove_file(folder, e->d_name, err);
        }
    }
    closedir(list);
    return status;
}

strata_status run_clear(const char *folder, strata_error *err) {
    for (size_t i = 0; i < COUNT_OF(run_files); i++) {
        strata_status status = remove_file(folder, run_files[i], err);
        if (status != STRATA_OK) {
            return status;
        }
    }
    return run_sweep(folder, err);
}

/* ---- run.txt ---------------------------------------------------------------------------------------------------- */

typedef enum line_kind { LINE_TEXT, LINE_COUNT, LINE_NUMBER, LINE_FLAG } line_kind;

static const struct line {
    const char *key;
    line_kind kind;
    size_t offset;
    /* TUNING: in runs of finetune; GIVEN: where it is not 0; ASKED: where it is not negative */
    enum { ALWAYS, TUNING, GIVEN, ASKED } when;
} lines[] = {
    {"version", LINE_TEXT, offsetof(run_plan, version), ALWAYS},
    {"numerics", LINE_COUNT, offsetof(run_plan, numerics), ALWAYS},
    {"command", LINE_TEXT, offsetof(run_plan, command), ALWAYS},
    {"net", LINE_TEXT, offsetof(run_plan, net), ALWAYS},
    {"settings", LINE_TEXT, offsetof(run_plan, settings), ALWAYS},
    {"data", LINE_TEXT, offsetof(run_plan, data), ALWAYS},
    {"train_count", LINE_COUNT, offsetof(run_plan, train_count), ALWAYS},
    {"val_count", LINE_COUNT, offsetof(run_plan, val_count), ALWAYS},
    {"test_count", LINE_COUNT, offsetof(run_plan, test_count), ALWAYS},
    {"weights", LINE_TEXT, offsetof(run_plan, weights), ALWAYS},
    {"freeze", LINE_TEXT, offsetof(run_plan, freeze), ALWAYS},
    {"epochs", LINE_COUNT, offsetof(run_plan, epochs), ALWAYS},
    {"batch", LINE_COUNT, offsetof(run_plan, batch), ALWAYS},
    {"limit", LINE_COUNT, offsetof(run_plan, limit), ALWAYS},
    {"hold_out", LINE_NUMBER, offsetof(run_plan, hold_out), ALWAYS},
    {"seed", LINE_COUNT, offsetof(run_plan, seed), ALWAYS},
    {"optimizer", LINE_TEXT, offsetof(run_plan, optimizer), ALWAYS},
    {"learning_rate", LINE_NUMBER, offsetof(run_plan, learning_rate), ALWAYS},
    {"momentum", LINE_NUMBER, offsetof(run_plan, momentum), ALWAYS},
    {"nesterov", LINE_FLAG, offsetof(run_plan, nesterov), ALWAYS},
    {"weight_decay", LINE_NUMBER, offsetof(run_plan, weight_decay), ALWAYS},
    {"schedule", LINE_TEXT, offsetof(run_plan, schedule), ALWAYS},
    {"step_every", LINE_NUMBER, offsetof(run_plan, step_every), ALWAYS},
    {"step_factor", LINE_NUMBER, offsetof(run_plan, step_factor), ALWAYS},
    {"step_at", LINE_TEXT, offsetof(run_plan, step_at), ALWAYS},
    {"warmup", LINE_NUMBER, offsetof(run_plan, warmup), ALWAYS},
    {"label_smoothing", LINE_NUMBER, offsetof(run_plan, label_smoothing), ALWAYS},
    {"augment", LINE_TEXT, offsetof(run_plan, augment), ALWAYS},
    {"precision", LINE_TEXT, offsetof(run_plan, precision), ALWAYS},
    {"test_each_epoch", LINE_FLAG, offsetof(run_plan, test_each_epoch), ALWAYS},
    {"accumulate", LINE_COUNT, offsetof(run_plan, accumulate), GIVEN},
    {"clip", LINE_NUMBER, offsetof(run_plan, clip), GIVEN},
    {"ema", LINE_NUMBER, offsetof(run_plan, ema), GIVEN},
    {"patience", LINE_COUNT, offsetof(run_plan, patience), GIVEN},
    {"balance", LINE_FLAG, offsetof(run_plan, balance), GIVEN},
    {"strict", LINE_FLAG, offsetof(run_plan, strict), GIVEN},
    {"save_every", LINE_NUMBER, offsetof(run_plan, save_every), ASKED},
    {"train", LINE_TEXT, offsetof(run_plan, train), TUNING},
    {"body_rate", LINE_NUMBER, offsetof(run_plan, body_rate), TUNING},
    {"thaw", LINE_COUNT, offsetof(run_plan, thaw), TUNING},
    {"variants", LINE_COUNT, offsetof(run_plan, variants), TUNING},
};

/* One line whatever is in it. */
static void add_escaped(text *out, const char *value) {
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\\') {
            text_add(out, "\\\\");
        } else if (*c == '\n') {
            text_add(out, "\\n");
        } else {
            text_add_bytes(out, c, 1);
        }
    }
}

static void unescape(char *value) {
    char *to = value;
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\\' && c[1] != '\0') {
            c++;
            *to++ = *c == 'n' ? '\n' : *c;
        } else {
            *to++ = *c;
        }
    }
    *to = '\0';
}

static bool is_zero(const struct line *line, const char *field) {
    if (line->kind == LINE_FLAG) {
        return !*(const bool *)(const void *)field;
    }
    return line->kind == LINE_COUNT ? *(const int64_t *)(const void *)field == 0
                                    : !(*(const double *)(const void *)field > 0);
}

strata_status run_plan_write(const run_plan *plan, const char *folder, strata_error *err) {
    text out = {0};
    text_add(&out,
             "# A run of strata: `strata train --resume` on this folder goes on with it. net.net is the network.\n");
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        const char *field = (const char *)plan + lines[i].offset;
        const char *word = lines[i].kind == LINE_TEXT ? *(const char *const *)(const void *)field : NULL;
        if ((lines[i].kind == LINE_TEXT && word == NULL) || (lines[i].when == TUNING && plan->train == NULL) ||
            (lines[i].when == GIVEN && is_zero(&lines[i], field)) ||
            (lines[i].when == ASKED && *(const double *)(const void *)field < 0)) {
            continue;
        }
        text_add(&out, "%s = ", lines[i].key);
        if (lines[i].kind == LINE_TEXT) {
            add_escaped(&out, word);
        } else if (lines[i].kind == LINE_COUNT) {
            text_add(&out, "%lld", (long long)*(const int64_t *)(const void *)field);
        } else if (lines[i].kind == LINE_NUMBER) {
            text_add(&out, "%s", number_text(*(const double *)(const void *)field).s);
        } else {
            text_add(&out, "%s", *(const bool *)(const void *)field ? "yes" : "no");
        }
        text_add(&out, "\n");
    }
    strata_status status = write_part(folder, "run.txt", &out, err);
    text_free(&out);
    return status;
}

/* False when the value is not what the key holds. */
static bool set_line(run_plan *plan, const struct line *line, char *value) {
    char *field = (char *)plan + line->offset, *end = value;
    if (line->kind == LINE_TEXT) {
        unescape(value);
        *(const char **)(void *)field = value;
        return true;
    }
    if (line->kind == LINE_FLAG) {
        *(bool *)(void *)field = strcmp(value, "yes") == 0;
        return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0;
    }
    if (line->kind == LINE_COUNT) {
        *(int64_t *)(void *)field = strtoll(value, &end, 10);
    } else {
        *(double *)(void *)field = strtod(value, &end);
    }
    return end != value && *end == '\0';
}

static strata_status fill_line_error(strata_error *err, const char *folder, int line, const char *source) {
    char *path = path_join(folder, "run.txt");
    fill_error(err, STRATA_SYNTAX, path, "expected a line 'key = value' as strata writes it");
    free(path);
    err->line = line;
    snprintf(err->source, sizeof err->source, "%s", source);
    return STRATA_SYNTAX;
}

strata_status run_plan_read(run_plan *plan, const char *folder, strata_error *err) {
    size_t length;
    *plan = (run_plan){.save_every = -1};
    strata_status status = read_part(&plan->file, &length, folder, "run.txt", MOST_RUN_BYTES, err);
    if (status == STRATA_MISSING) {
        return fill_error(err, STRATA_MISSING, folder, "is not a run of strata: it holds no run.txt");
    }
    if (status != STRATA_OK) {
        return status;
    }
    uint64_t seen = 0;
    int number = 0;
    for (char *line = plan->file; line != NULL && *line != '\0';) {
        char *next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        number++;
        char *equals = strstr(line, " = ");
        bool is_good = line[0] == '#' || line[0] == '\0';
        for (size_t i = 0; i < COUNT_OF(lines) && equals != NULL && !is_good; i++) {
            if (strlen(lines[i].key) == (size_t)(equals - line) &&
                strncmp(line, lines[i].key, (size_t)(equals - line)) == 0) {
                is_good = set_line(plan, &lines[i], equals + 3);
                seen |= UINT64_C(1) << i;
            }
        }
        if (!is_good) {
            return fill_line_error(err, folder, number, line);
        }
        line = next;
    }
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        bool is_needed = lines[i].kind != LINE_TEXT || lines[i].offset == offsetof(run_plan, data) ||
                         lines[i].offset == offsetof(run_plan, optimizer) ||
                         lines[i].offset == offsetof(run_plan, schedule);
        is_needed = is_needed && lines[i].offset != offsetof(run_plan, test_each_epoch); /* older runs have none */
        is_needed = is_needed && lines[i].when != GIVEN && lines[i].when != ASKED &&
                    (lines[i].when != TUNING || plan->train != NULL);
        if (is_needed && (seen >> i & 1) == 0) {
            char message[128];
            snprintf(message, sizeof message, "run.txt has no line '%s = ...'", lines[i].key);
            return fill_error(err, STRATA_FORMAT, folder, message);
        }
    }
    return STRATA_OK;
}

/* ---- log.jsonl -------------------------------------------------------------------------------------------------- */

void run_log_add(run_log *log, const run_epoch *epoch) {
    log->epochs = take(log->epochs, (log->epoch_count + 1) * sizeof *log->epochs);
    log->epochs[log->epoch_count++] = *epoch;
}

void run_log_free(run_log *log) {
    free(log->epochs);
    free(log->result);
    *log = (run_log){0};
}

static bool read_epoch(run_epoch *out, const char *line) {
    double epoch, best = 0;
    *out = (run_epoch){0};
    if (!json_find(line, "epoch", &epoch) || !json_find(line, "loss", &out->loss) ||
        !json_find(line, "top1", &out->top1) || !json_find(line, "images_per_s", &out->images_per_s) ||
        !json_find(line, "seconds", &out->seconds) || line[strlen(line) - 1] != '}') {
        return false;
    }
    json_find(line, "best", &best);
    out->epoch = (int64_t)epoch;
    out->is_best = best != 0;
    out->has_val = json_find(line, "val_top1", &out->val_top1) && json_find(line, "val_loss", &out->val_loss);
    out->has_test = json_find(line, "test_top1", &out->test_top1) && json_find(line, "test_loss", &out->test_loss);
    out->has_norms = json_find(line, "grad_norm", &out->norm_mean) && json_find(line, "grad_norm_max", &out->norm_max);
    return true;
}

/* Reads the log; `kept` gets the lines of epochs before `before`. A line that a crash cut short is dropped. */
static strata_status read_log(run_log *log, text *kept, const char *folder, int64_t before, strata_error *err) {
    char *bytes;
    size_t length;
    *log = (run_log){0};
    strata_status status = read_part(&bytes, &length, folder, "log.jsonl", MOST_LOG_BYTES, err);
    if (status == STRATA_MISSING) {
        return STRATA_OK;
    }
    if (status != STRATA_OK) {
        return status;
    }
    size_t number = 0;
    for (char *line = bytes, *next; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        number++;
        if (line[0] == '\0') {
            continue;
        }
        run_epoch epoch;
        double count;
        bool is_whole = line[strlen(line) - 1] == '}';
        if (is_whole && strstr(line, "\"weights_sha256\": ") != NULL && json_find(line, "peak_rss_bytes", &count)) {
            free(log->result);
            log->result = take_copy(line, strlen(line));
        } else if (!read_epoch(&epoch, line)) {
            log->first_bad = log->bad_count++ == 0 ? number : log->first_bad;
        } else if (epoch.epoch < before) {
            run_log_add(log, &epoch);
            text_add(kept, "%s\n", line);
        }
    }
    free(bytes);
    return STRATA_OK;
}

strata_status run_log_read(run_log *log, const char *folder, strata_error *err) {
    text kept = {0};
    strata_status status = read_log(log, &kept, folder, INT64_MAX, err);
    text_free(&kept);
    return status;
}

strata_status run_log_cut(run_log *log, const char *folder, int64_t epoch, strata_error *err) {
    text kept = {0};
    text_add(&kept, "%s", "");
    run_log_free(log);
    strata_status status = read_log(log, &kept, folder, epoch, err);
    if (status == STRATA_OK) {
        status = write_part(folder, "log.jsonl", &kept, err);
    }
    text_free(&kept);
    return status;
}

strata_status run_log_append(const char *folder, const char *line, strata_error *err) {
    char *path = path_join(folder, "log.jsonl");
    text whole = {0};
    text_add(&whole, "%s\n", line);
    strata_status status = STRATA_OK;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = fill_errno(err, path, "open");
    } else {
        ssize_t written = write(fd, whole.bytes, whole.length);
        if (written >= 0 && (size_t)written < whole.length) {
            errno = ENOSPC;
            written = -1;
        }
        /* The checkpoint that follows is on the disk for certain; the line must not be less so. */
        if (written < 0 || fsync(fd) != 0) {
            status = fill_errno(err, path, "write");
        }
        if (close(fd) != 0 && status == STRATA_OK) {
            status = fill_errno(err, path, "close");
        }
    }
    text_free(&whole);
    free(path);
    return status;
}
