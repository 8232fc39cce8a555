/* Every call to the system fails in turn, once and for ever, while the library trains, resumes, evaluates and
 * describes. Each time it must say so in one sentence, free all it took, close all it opened, and leave the earlier
 * checkpoint with the same weights. The idea is SQLite's. tests/faults/ does the same to the program from outside. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "pictures.h"

typedef enum call { ALLOCATE, OPEN, READ, PREAD, WRITE, FSYNC, RENAME, CLOSE, CALL_COUNT } call;
static const char *const call_names[] = {"allocate", "open", "read", "pread", "write", "fsync", "rename", "close"};

static st_system real_system;
static call chosen = CALL_COUNT;
static long target; /* which call fails, from 1; 0: none */
static bool for_ever;
static atomic_long counts[CALL_COUNT];
static atomic_long live_blocks, live_bytes, live_files;

static bool fails(call which, int reason) {
    long count = atomic_fetch_add(&counts[which], 1) + 1;
    if (which != chosen || target == 0 || (for_ever ? count < target : count != target)) {
        return false;
    }
    errno = reason;
    return true;
}

static void *faulty_allocate(size_t bytes) {
    void *memory = fails(ALLOCATE, ENOMEM) ? NULL : real_system.allocate(bytes);
    if (memory != NULL) {
        atomic_fetch_add(&live_blocks, 1);
        atomic_fetch_add(&live_bytes, (long)bytes);
    }
    return memory;
}
static void faulty_release(void *memory, size_t bytes) {
    if (memory != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
        atomic_fetch_sub(&live_bytes, (long)bytes);
    }
    real_system.release(memory, bytes);
}
static int faulty_open(const char *path, int flags, int mode) {
    int file = fails(OPEN, (flags & O_CREAT) != 0 ? ENOSPC : EIO) ? -1 : real_system.open(path, flags, mode);
    atomic_fetch_add(&live_files, file >= 0);
    return file;
}
static ssize_t faulty_read(int file, void *bytes, size_t count) {
    return fails(READ, EIO) ? -1 : real_system.read(file, bytes, count);
}
static ssize_t faulty_pread(int file, void *bytes, size_t count, int64_t offset) {
    return fails(PREAD, EIO) ? -1 : real_system.pread(file, bytes, count, offset);
}
static ssize_t faulty_write(int file, const void *bytes, size_t count) {
    return fails(WRITE, ENOSPC) ? -1 : real_system.write(file, bytes, count);
}
static int faulty_fsync(int file) {
    return fails(FSYNC, EIO) ? -1 : real_system.fsync(file);
}
static int faulty_rename(const char *from, const char *to) {
    return fails(RENAME, EIO) ? -1 : real_system.rename(from, to);
}
/* As on Linux: a close that fails has closed. */
static int faulty_close(int file) {
    bool failing = fails(CLOSE, EIO);
    int result = real_system.close(file);
    atomic_fetch_sub(&live_files, 1);
    if (failing) {
        errno = EIO;
        return -1;
    }
    return result;
}

/* ---- what is done while calls fail ---- */

static char folder[64], kept[96], weights[96], state[96];
static char kept_hash[65];

typedef struct objects {
    strata_runtime *runtime;
    strata_dataset *data;
    strata_net *net;
    strata_model *model;
    strata_trainer *trainer;
    char *text;
} objects;

static void free_objects(objects *o) {
    strata_trainer_free(o->trainer);
    strata_model_free(o->model);
    strata_net_free(o->net);
    strata_dataset_free(o->data);
    strata_runtime_free(o->runtime);
    strata_text_free(o->text);
    memset(o, 0, sizeof *o);
}

static const strata_build_options for_training = {.batch = 16, .train = true, .seed = 7};

static strata_status begin_training(objects *o, strata_error *err) {
    ST_TRY(strata_runtime_create(&o->runtime, &(strata_options){.threads = 2}, err));
    ST_TRY(strata_dataset_open(&o->data, folder, &(strata_data_options){.hold_out = 0.25, .seed = 7}, err));
    ST_TRY(strata_net_load(&o->net, "lenet5", NULL, err));
    ST_TRY(strata_model_build(&o->model, o->runtime, o->net, &for_training, err));
    return strata_trainer_create(&o->trainer, o->model, o->data, &(strata_train_options){.epochs = 2, .seed = 7}, err);
}

static strata_status train(objects *o, strata_error *err) {
    ST_TRY(begin_training(o, err));
    strata_step_info step = {0};
    do {
        ST_TRY(strata_trainer_step(o->trainer, &step, err));
    } while (!step.epoch_done);
    strata_epoch_info epoch;
    ST_TRY(strata_trainer_end_epoch(o->trainer, &epoch, err));
    ST_TRY(strata_trainer_save(o->trainer, state, err));
    return strata_model_save(o->model, weights, err);
}

static strata_status resume(objects *o, strata_error *err) {
    ST_TRY(begin_training(o, err));
    ST_TRY(strata_trainer_resume(o->trainer, kept, err));
    strata_step_info step;
    ST_TRY(strata_trainer_step(o->trainer, &step, err));
    return strata_trainer_save(o->trainer, state, err);
}

static strata_status evaluate(objects *o, strata_error *err) {
    ST_TRY(strata_runtime_create(&o->runtime, &(strata_options){.threads = 2}, err));
    ST_TRY(strata_dataset_open(&o->data, folder, NULL, err));
    ST_TRY(strata_model_open(&o->model, o->runtime, kept, &(strata_build_options){.batch = 16}, err));
    strata_metrics metrics;
    return strata_evaluate(&metrics, o->model, o->data, STRATA_TEST, NULL, NULL, NULL, err);
}

static strata_status describe(objects *o, strata_error *err) {
    ST_TRY(strata_runtime_create(&o->runtime, &(strata_options){.threads = 1}, err));
    ST_TRY(strata_net_load(&o->net, "lenet5", NULL, err));
    strata_memory memory;
    ST_TRY(strata_model_memory(&memory, o->runtime, o->net, &for_training, err));
    ST_TRY(strata_model_plan_text(&o->text, o->runtime, o->net, &for_training, err));
    strata_text_free(o->text);
    o->text = NULL;
    ST_TRY(strata_net_text(&o->text, o->net, err));
    strata_text_free(o->text);
    o->text = NULL;
    return strata_help_layer(&o->text, "conv", err);
}

typedef strata_status scenario(objects *o, strata_error *err);

/* ---- the walk ---- */

static void arm(call which, long n, bool ever) {
    for (int i = 0; i < CALL_COUNT; i++) {
        atomic_store(&counts[i], 0);
    }
    chosen = which;
    target = n;
    for_ever = ever;
}

/* A checkpoint is the earlier one or a whole newer one; the one that nobody wrote to has its old weights. */
static void check_checkpoints(const char *what) {
    objects o = {0};
    strata_error err = {0};
    char hash[65];
    assert_int_equal(strata_runtime_create(&o.runtime, &(strata_options){.threads = 1}, &err), STRATA_OK);
    if (strata_model_open(&o.model, o.runtime, kept, NULL, &err) != STRATA_OK) {
        fail_msg("%s: the earlier checkpoint no longer loads: %s", what, err.message);
    }
    strata_model_hash(o.model, hash);
    assert_string_equal(hash, kept_hash);
    const char *const rewritten[] = {weights, state};
    for (int i = 0; i < 2; i++) {
        strata_model_free(o.model);
        o.model = NULL;
        if (access(rewritten[i], F_OK) == 0 &&
            strata_model_open(&o.model, o.runtime, rewritten[i], NULL, &err) != STRATA_OK) {
            fail_msg("%s: half a checkpoint: %s", what, err.message);
        }
    }
    free_objects(&o);
}

static long seen[CALL_COUNT]; /* calls of the last run_once */

static void run_once(scenario *run, const char *name, call which, long n, bool ever) {
    char what[128];
    snprintf(what, sizeof what, "%s, %s %ld%s", name, which < CALL_COUNT ? call_names[which] : "none", n,
             ever ? " and all after it" : "");
    long blocks = atomic_load(&live_blocks), files = atomic_load(&live_files);
    objects o = {0};
    strata_error err = {0};
    arm(which, n, ever);
    strata_status status = run(&o, &err);
    for (int i = 0; i < CALL_COUNT; i++) {
        seen[i] = atomic_load(&counts[i]);
    }
    arm(CALL_COUNT, 0, false);
    free_objects(&o);
    if (status != STRATA_OK && (err.status != status || err.message[0] == '\0' || strchr(err.message, '\n') != NULL)) {
        fail_msg("%s: status %s without one clear sentence: '%s'", what, strata_status_name(status), err.message);
    }
    if (which == ALLOCATE && status != STRATA_OK && status != STRATA_MEMORY) {
        fail_msg("%s: refused memory is reported as %s: %s", what, strata_status_name(status), err.message);
    }
    if (atomic_load(&live_blocks) != blocks || atomic_load(&live_files) != files) {
        fail_msg("%s: %ld blocks and %ld files are left", what, atomic_load(&live_blocks) - blocks,
                 atomic_load(&live_files) - files);
    }
    if (which == CALL_COUNT && status != STRATA_OK) {
        fail_msg("%s: fails without a fault: %s", what, err.message);
    }
}

static void walk(scenario *run, const char *name) {
    run_once(run, name, CALL_COUNT, 0, false);
    long totals[CALL_COUNT];
    memcpy(totals, seen, sizeof totals);
    for (int which = 0; which < CALL_COUNT; which++) {
        for (long n = 1; n <= totals[which]; n++) {
            run_once(run, name, (call)which, n, false);
            run_once(run, name, (call)which, n, true);
        }
        print_message("%s: %ld calls of %s\n", name, totals[which], call_names[which]);
        check_checkpoints(name);
    }
}

static void test_train_survives_every_fault(void **unused) {
    (void)unused;
    walk(train, "train");
}
static void test_resume_survives_every_fault(void **unused) {
    (void)unused;
    walk(resume, "resume");
}
static void test_evaluate_survives_every_fault(void **unused) {
    (void)unused;
    walk(evaluate, "evaluate");
}
static void test_describe_survives_every_fault(void **unused) {
    (void)unused;
    walk(describe, "describe");
}

/* ---- a small data set and an earlier checkpoint ---- */

static int set_up(void **unused) {
    (void)unused;
    pictures_make(folder, 64, 32, 28, 10);
    snprintf(kept, sizeof kept, "%s/kept.safetensors", folder);
    snprintf(weights, sizeof weights, "%s/weights.safetensors", folder);
    snprintf(state, sizeof state, "%s/state.safetensors", folder);
    objects o = {0};
    strata_error err = {0};
    strata_step_info step;
    if (begin_training(&o, &err) != STRATA_OK || strata_trainer_step(o.trainer, &step, &err) != STRATA_OK ||
        strata_trainer_save(o.trainer, kept, &err) != STRATA_OK) {
        print_error("no checkpoint to begin with: %s\n", err.message);
        free_objects(&o);
        return -1;
    }
    strata_model_hash(o.model, kept_hash);
    free_objects(&o);

    real_system = st_sys;
    st_sys.allocate = faulty_allocate;
    st_sys.release = faulty_release;
    st_sys.open = faulty_open;
    st_sys.read = faulty_read;
    st_sys.pread = faulty_pread;
    st_sys.write = faulty_write;
    st_sys.fsync = faulty_fsync;
    st_sys.rename = faulty_rename;
    st_sys.close = faulty_close;
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    unlink(kept);
    unlink(weights);
    unlink(state);
    pictures_remove(folder);
    return access(folder, F_OK) == 0; /* a rest that a writer left behind */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_describe_survives_every_fault),
        cmocka_unit_test(test_evaluate_survives_every_fault),
        cmocka_unit_test(test_resume_survives_every_fault),
        cmocka_unit_test(test_train_survives_every_fault),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
