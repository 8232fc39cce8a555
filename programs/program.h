/* program: what the commands of `strata` share. The program is the library's first client: it sees strata.h and libc,
 * nothing else. Only this folder prints, knows colours and exits.
 *
 * - text.c: growing texts, numbers as a person reads them, nearest word
 * - terminal.c: tables, facts, the live line, errors
 * - options.c: one parser of command lines, by descriptors; help from the same descriptors
 * - json.c, run.c: a small writer, the run folder
 * - svg*.c: a run's curve, the curves of several runs, the search for a learning rate, a confusion matrix
 * - drawing*.c: a network as a picture; drawing.h says which file does what
 * - memory.c, subject.c, names.c: what fits, the model that is asked, names for its classes
 * - training_begin.c, training.c, find_rate.c: a run up to its first step, its course, the search for a learning rate
 * - adapt.c, forecast.c: of fine-tuning, the weights that it begins with and what it will cost
 * - description*.c, evaluation*.c, doctor*.c, augment_sheet.c: what describe, eval and data have to say
 * - cmd_*.c: one command each; strata.c has the table of them */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "strata.h"

enum { DONE = 0, FAILED = 1, MISUSED = 2, INTERRUPTED = 130 };

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- text.c ----------------------------------------------------------------------------------------------------- */

/* Memory or a message and exit 1: a program may do what a library may not. */
void *take(void *old, size_t size);
char *take_copy(const char *bytes, size_t length);

typedef struct text {
    char *bytes; /* always ends with a NUL once something was added; NULL before */
    size_t length, capacity;
} text;

void text_add(text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_list(text *out, const char *format, va_list list) __attribute__((format(printf, 2, 0)));
void text_add_bytes(text *out, const char *bytes, size_t length);
/* A word as a shell reads it back: quoted only where it must be. */
void text_add_shell(text *out, const char *word);
void text_free(text *out);

/* Short texts by value: printf("%s", count_text(n).s). */
typedef struct label {
    char s[72];
} label;

label count_text(int64_t n);      /* 61,706 */
label bytes_text(uint64_t bytes); /* 241 KB, 9.8 MB, 21.9 GB */
label share_text(double share);   /* 78.2% */
label seconds_text(double s);     /* 12 ms, 0.8 s, 12 s, 3 min 20 s, 2 h 5 min */
label number_text(double x);      /* as short as it can be read back: 0.05 */
label figure_text(double x);      /* for people: 61,300 or 9.1 */
label shape_text(strata_shape shape, bool is_flat);
/* At most 60 bytes of a foreign text, control characters replaced, cut between characters. */
label safe_text(const char *foreign);
void text_add_safe(text *out, const char *foreign); /* the same, whole */
/* Of the well-formed UTF-8 character at `s`; 0 where there is none. */
size_t utf8_length(const unsigned char *s);

size_t text_width(const char *s); /* columns on a terminal, one per code point */
/* Index of the candidate nearest to `word`, or -1 when none is near. */
int nearest_word(const char *word, const char *const *candidates, size_t count);

/* ---- terminal.c ------------------------------------------------------------------------------------------------- */

/* Finds out once what stdout is. `color`: "auto", "always" or "never". */
void terminal_begin(const char *program, const char *color);
void terminal_mode(bool is_json, bool is_quiet);
const char *program_name(void); /* as a shell would have to call it again */
bool terminal_is_live(void);
void print_bold(FILE *to, const char *s); /* bold on a stdout that shows colours */
void print_heading(const char *s);        /* the same as a line; nothing when quiet or JSON */

/* "net      lenet5, ...": a label of nine columns, the rest folded at 80. Nothing when quiet or JSON. */
void print_fact(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Anything on stdout that is not the answer itself: nothing when quiet or JSON. */
void print_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_next(const char *const *commands, const char *const *reasons, size_t count);
/* A bar of `columns` characters, `share` of it full. */
void text_add_bar(text *out, double share, int columns, bool show_rest);

/* Errors on stderr. Each returns the exit status. */
int report(const strata_error *err);
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
void hint(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line on stderr about what does not change the exit status. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same where nothing is wrong: what was assumed. */
void remark(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* True, and says why once, when stdout does not take what is written to it. */
bool output_failed(void);
int finish_output(int status);

enum { TABLE_COLUMNS = 12 };

typedef struct table {
    const char *alignment; /* "llr": left, left, right */
    size_t column_count;
    char **cells;
    size_t cell_count, capacity;
} table;

void table_cell(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(table *t, const char *indent, bool has_header); /* and empties it */

/* The live line: only on a terminal, from two seconds after `live_begin`, ten times a second. */
typedef struct live {
    double begun, shown;
    bool is_drawn;
} live;

double now(void); /* seconds, monotonic */
void live_begin(live *line);
bool live_is_due(const live *line);
void live_show(live *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
void live_clear(live *line);
/* A strata_progress for an evaluation; `user` is a live line. */
bool live_progress(size_t done, size_t count, void *user);

/* ---- options.c -------------------------------------------------------------------------------------------------- */

typedef enum option_kind {
    OPTION_END,
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_CHOICE,  /* const char *, one of the words in `value` */
    OPTION_COUNT,   /* int64_t from least to most */
    OPTION_NUMBER,  /* double from least to most */
    OPTION_SHARE,   /* double: 0.1, 10% or none */
    OPTION_SETTING, /* name=value, collected in a text */
} option_kind;

typedef struct option {
    option_kind kind;
    char letter; /* -i, or 0 */
    const char *name;
    const char *value; /* in the help: "N", "sgd|adamw" */
    const char *help;
    size_t offset; /* in the command's arguments */
    double least, most;
} option;

/* Every command's arguments begin with these. */
typedef struct common {
    text settings; /* "classes=6 image=64", bytes NULL without any */
    int64_t seed, threads;
    bool json, quiet, help;
    const char *color;
    char **items; /* what is not an option */
    int item_count;
    char **words; /* all of it, as typed */
    int word_count;
    uint64_t given, given_common; /* a bit per option of the command, of the common ones */
} common;

typedef struct command {
    const char *name;
    const char *summary;   /* for the list of commands */
    const char *usage;     /* lines "train NET --data D" */
    const char *about;     /* one to four lines */
    const char *examples;  /* lines "train lenet5 --data mnist | what for" */
    const option *options; /* ends with OPTION_END */
    const void *defaults;  /* NULL: zeros */
    size_t arguments_size; /* of a struct that begins with `common` */
    int least_items, most_items;
    const char *items; /* what they are, for the message: "a network" */
    int (*run)(void *arguments);
} command;

extern const command command_describe, command_train, command_finetune, command_eval, command_predict, command_bench,
    command_data, command_compare, command_trace, command_diff, command_fmt, command_help, command_weights,
    command_convert;
extern const command *const command_table[]; /* ends with NULL */

/* Parses and runs: exit status. `argv` without the command's own name. */
int command_run(const command *self, int count, char **argv);
bool option_was_given(const command *self, const common *arguments, const char *name);
void print_command_help(FILE *to, const command *self);
/* The help on a command, or, NULL, the overview: as text or, with --json, as {"topic", "text"}. */
void show_command_help(const command *self, bool as_json);
void print_overview(FILE *to);
int print_version(void);
const command *find_command(const char *name);
/* Runtime options from the common ones. */
strata_options runtime_options(const common *arguments);

/* ---- json.c ----------------------------------------------------------------------------------------------------- */

typedef struct json {
    text out;
    bool needs_comma;
} json;

/* `key` NULL: an element of a list, or the document. */
void json_open(json *j, const char *key, char bracket);
void json_close(json *j, char bracket);
void json_text(json *j, const char *key, const char *value);
/* Of a file, whose bytes may be anything: as text and, where that loses some, in KEY_hex too. */
void json_name(json *j, const char *key, const char *name);
void json_count(json *j, const char *key, int64_t value);
void json_number(json *j, const char *key, double value); /* null where not finite */
void json_bool(json *j, const char *key, bool value);
void json_print(json *j); /* one line on stdout, and frees it */
/* A number in a flat object that this program wrote. */
bool json_find(const char *line, const char *key, double *value);

/* ---- run.c ------------------------------------------------------------------------------------------------------ */

/* Everything that repeats a run: the lines of run.txt. Texts are lent by the command line or by `file`. */
typedef struct run_plan {
    const char *version, *command, *net, *settings, *data, *weights, *freeze, *optimizer, *schedule, *precision,
        *augment, *step_at, *train; /* train: the layers that finetune trains; NULL: a run of train */
    int64_t thaw, variants;
    double body_rate;
    int64_t accumulate, patience; /* 0: one batch a step; no end to it */
    double clip, ema;             /* 0: not */
    double save_every;            /* seconds between checkpoints within an epoch; below 0: the standard */
    int64_t numerics, epochs, batch, limit, seed, train_count, val_count, test_count;
    double learning_rate, momentum, weight_decay, step_every, step_factor, warmup, label_smoothing, hold_out;
    bool nesterov, test_each_epoch, balance, strict;
    char *file;
} run_plan;

/* One line of log.jsonl. */
typedef struct run_epoch {
    int64_t epoch;
    double loss, top1, val_loss, val_top1, test_loss, test_top1, images_per_s, seconds;
    bool has_val, has_test, is_best;
    bool has_norms;
    double norm_mean, norm_max;
} run_epoch;

typedef struct run_log {
    run_epoch *epochs;
    size_t epoch_count;
    char *result;     /* the last line of a finished run, or NULL */
    size_t bad_count; /* lines that are none of the two and were left out; the first of them */
    size_t first_bad;
} run_log;

/* "FOLDER/FILE"; the caller frees it. */
char *path_join(const char *folder, const char *file);
bool path_exists(const char *path);
bool path_is_folder(const char *path);
/* At most `most` bytes of a file, NUL-terminated; the caller frees it. */
strata_status file_read(char **out, size_t *length, const char *path, size_t most, strata_error *err);

/* Makes the next free runs/NAME-N; the caller frees the path. */
strata_status run_make(char **out, const char *name, strata_error *err);
/* Makes this folder and those above it, where they are not there. */
strata_status run_make_at(const char *folder, strata_error *err);
/* Holds the folder for this process until it ends. */
strata_status run_lock(const char *folder, strata_error *err);
/* Removes what an earlier run left, run.txt first: without it the rest is no run. */
strata_status run_clear(const char *folder, strata_error *err);
/* Removes what processes that were killed had half written; only for who holds the folder. */
strata_status run_sweep(const char *folder, strata_error *err);
strata_status run_plan_write(const run_plan *plan, const char *folder, strata_error *err);
strata_status run_plan_read(run_plan *plan, const char *folder, strata_error *err);
strata_status run_log_read(run_log *log, const char *folder, strata_error *err);
/* Keeps the epochs before `epoch`, in memory and on disk. */
strata_status run_log_cut(run_log *log, const char *folder, int64_t epoch, strata_error *err);
strata_status run_log_append(const char *folder, const char *line, strata_error *err);
void run_log_add(run_log *log, const run_epoch *epoch);
void run_log_free(run_log *log);

/* ---- svg.c, svg_runs.c, svg_rates.c, svg_confusion.c ------------------------------------------------------------- */

/* What drawings share: the head with style and title, the end (which writes the file), foreign text. */
void svg_begin(text *out, int width, int height, const char *title);
strata_status svg_end(text *out, const char *path, strata_error *err);
void svg_add_text(text *out, const char *foreign);
/* 1, 2 or 5 times a power of ten: about `count` steps over the range. */
double svg_step(double range, int count);
enum { SVG_LABELS = 64 };
/* Heights for labels that want to stand at `wanted`, at least `gap` apart, in the same order; at most SVG_LABELS. */
void svg_spread(double *out, const double *wanted, size_t count, double gap);

/* A run as the comparison draws it. */
typedef struct svg_run {
    const char *name;
    const run_log *log;
    int64_t epoch_steps, epochs;
} svg_run;
enum { SVG_RUNS = 16 };
/* Error against iterations as in He et al. 2015, figure 6: training thin and dashed, test (val where there is no test)
 * bold. Runs are spread over `panels` side by side. `drops`: iterations where the learning rate falls. */
strata_status svg_runs(const char *path, const char *title, const svg_run *runs, size_t count, int64_t panels,
                       const double *drops, size_t drop_count, strata_error *err);

strata_status svg_curve(const char *path, const char *title, const run_log *log, int64_t epochs, double test_top1,
                        strata_error *err); /* test_top1 negative: not known */
/* Loss against learning rate. */
strata_status svg_rates(const char *path, const char *title, const strata_rate_search *found, strata_error *err);
strata_status svg_confusion(const char *path, const char *title, const int64_t *confusion, size_t class_count,
                            const char *(*class_name)(const void *names, size_t index), const void *names,
                            strata_error *err);

/* ---- drawing.c -------------------------------------------------------------------------------------------------- */

/* The graph of a net as SVG, a function of the net alone. Repeats are drawn once and large nets are closed to boxes;
 * `unfold` draws every layer. Atomic. */
strata_status drawing_write(const char *path, const strata_net *net, bool unfold, strata_error *err);
/* Shown together with the layer listed before it: an activation, batch norm, dropout of the same scope. */
bool layer_joins(const strata_layer_info *layer, const strata_layer_info *before);
/* Its text without what shows neither in shapes nor in the count of parameters: "conv 3x3 64 pad=1", no "eps=0.001". */
void layer_add_text(text *out, const strata_layer_info *layer);
label work_text(int64_t multiply_adds); /* 840, 118 K, 12.4 M, 4.09 G */

/* ---- memory.c --------------------------------------------------------------------------------------------------- */

/* What this process can still get: the least of what the system, its control groups and its own limit leave. UINT64_MAX
 * where none of them says. */
uint64_t memory_free(void);
uint64_t memory_peak(void); /* of this process so far */
/* What will not fit is refused before it is built, with a batch that would. *out: what the batch needs. Exit status. */
typedef struct memory_question {
    strata_status (*need)(strata_memory *out, const void *of, int64_t batch, strata_error *err);
    const void *of; /* what `need` looks at */
    int64_t batch;
    const char *doing, *net; /* "training", "resnet50" */
    bool has_option;         /* the batch is --batch, not what a file holds */
    int64_t accumulate;      /* batches of a step; 0: it cannot be divided. Then need_pieces says what `batch` takes */
    strata_status (*need_pieces)(strata_memory *out, const void *of, int64_t batch, int64_t accumulate,
                                 strata_error *err);
} memory_question;
int memory_ask(const memory_question *ask, strata_memory *out);
/* The same for a model that is to be built. */
int memory_check(const char *doing, const strata_runtime *runtime, const strata_net *net,
                 const strata_build_options *options);

/* ---- subject.c: the model that eval and predict look at --------------------------------------------------------- */

typedef struct subject {
    strata_runtime *runtime;
    strata_model *model;
    bool is_run; /* a run folder: plan says how it was trained */
    run_plan plan;
} subject;

/* The network that `what` names: a name, a file, a checkpoint, or a run folder. Exit status. */
int net_open(strata_net **out, const char *what, const common *arguments);
/* The file with the weights that `what` brings along: a run's best, or a checkpoint itself; NULL: none. The caller
 * frees it. */
char *weights_of(const char *what);
bool is_same_file(const char *a, const char *b); /* both exist, by whatever names; NULL is none */
/* How a model is asked for. */
typedef struct subject_wish {
    const char *weights;    /* a file, for a net without; NULL: none */
    const char *preprocess; /* for weights that do not say how their pictures were prepared; NULL: not given */
    bool skip_self_test;
    const common *arguments;
    int64_t batch;
    const char *doing; /* "evaluating": for the refusal of what will not fit */
} subject_wish;
/* `what`: a run folder (its best weights), a file of weights that holds its net, or a net. 0, or the exit status after
 * saying why. */
int subject_open(subject *out, const char *what, const subject_wish *wish);
void subject_close(subject *s);
/* Refuses an output that is one of the files that the command reads (NULL: none), or that a run folder keeps. */
int output_check(const char *output, const char *const *inputs, size_t count);

/* ---- preparation.c: how pictures are prepared for weights from a file ------------------------------------------- */

/* Whether the file itself says it. */
bool preparation_is_said(const strata_weights_info *info);
/* The net with these words in its input line; NULL: with none. Exit status. */
int preparation_set(strata_net **net, const char *words);
/* With those of --preprocess, where the file does not say otherwise. Exit status. */
int preparation_choose(strata_net **net, const char *words, const strata_weights *weights, const char *path);
/* The net as the weights say themselves, or as those who published them said; is_known: whether either did. Exit
 * status. */
int preparation_take(bool *is_known, strata_net **net, const strata_weights *weights, const char *path,
                     const common *arguments);
/* Which conventions there are. Exit status. */
int preparation_refuse(const strata_net *net, const char *weights, const common *arguments);

/* ---- names.c: names for the classes of weights that bring none -------------------------------------------------- */

typedef struct class_names {
    char **items;
    size_t count;
    char *bytes;
} class_names;

/* One name a line; in front of all there may be numbers of WordNet ("n01440764 tench"), which are left out. Exit
 * status.
 */
int class_names_read(class_names *out, const char *path);
void class_names_free(class_names *names);
/* Those of a file (NULL: nothing happens) into the model. Exit status. */
int class_names_give(strata_model *model, const char *path);
/* A foreign text in at most so many columns, at least 4. */
label narrow_text(const char *foreign, size_t columns, bool keep_end);

/* ---- training.c: the course of a training run ------------------------------------------------------------------- */

typedef struct training {
    const run_plan *plan;
    const char *folder;
    strata_runtime *runtime;
    strata_net *net;
    strata_dataset *data;
    strata_model *model;
    strata_trainer *trainer;
    const char *preprocess; /* of the command line; NULL: not given */
    bool is_assumed;        /* how pictures are prepared: the weights of the beginning do not say it */
    char *replaced;         /* finetune: the tensors that are drawn and not loaded, one a line */
    strata_memory memory;
    run_log log;
    double save_every;  /* seconds between checkpoints within an epoch */
    int64_t stop_after; /* the epoch after which this process ends; 0: the last */
    bool json, explains;
    live live;
    double begun, epoch_begun, saved; /* times */
    int64_t images_before;            /* of this epoch, done by an earlier process */
} training;

/* Whether one of the signals below has come. */
bool training_is_stopped(void);
/* From now on one SIGINT, SIGTERM or SIGHUP asks the run to stop after its batch, a second one ends it at once. */
void training_catch_signals(void);
/* Saves the place of the run into its folder. */
strata_status training_save(training *t, strata_error *err);
/* To the end, the test and the result; exit status. */
int training_run(training *t);
/* The result line of a finished run again. */
int training_print_result(const training *t, const char *result);

/* ---- training_begin.c: a run of train or finetune, up to its first step ------------------------------------------ */

/* What train and finetune are called with; finetune's own begin with it. */
typedef struct train_arguments {
    common common;
    run_plan plan;
    const char *out, *resume, *preprocess;
    bool force, explain; /* explain: say what it would do, and stop */
    bool find_rate;
    double save_every; /* below 0: not given */
    int64_t stop_after;
} train_arguments;
/* A new run of either command, whose plan is checked, or one that goes on. Exit status. */
int train_new(train_arguments *a, const command *self);
int train_resume(const train_arguments *a, const command *self);
/* What the library is asked for. */
strata_train_options train_options(const run_plan *plan);
strata_build_options train_build_options(const run_plan *plan);
strata_data_options train_data_options(const run_plan *plan);

/* ---- find_rate.c: a search for a learning rate with the trainer, in place of a run; exit status -------------------
 */

int find_rate(training *t, const train_arguments *a);

/* ---- adapt.c, forecast.c: what is of fine-tuning alone ------------------------------------------------------------
 */

/* Weights from plan->weights, but for the head. *replaced: the tensors that are drawn, one a line. */
strata_status adapt_weights(char **replaced, const training *t, strata_error *err);
/* The same, said. Exit status. */
int adapt_load(training *t);
/* What is trained and what it costs; `measures`: of a run that has not begun. Exit status. */
int forecast_say(const training *t, bool measures, bool as_json);
/* Memory of this run, checked. Exit status. */
int forecast_memory(training *t);
/* Whether what this regime needs is free; true for one that this net has not, which measuring it says. */
bool forecast_fits(strata_tuning *out, const training *t, const char *train);
/* Of so many epochs of one regime, with the features that they need. */
double forecast_seconds(const strata_tuning *tuning, const strata_cost *cost, int64_t epochs);

#endif
