/* The course of a training run: batches, epochs, checkpoints, the test at the end.
 *
 * The order at the end of an epoch is what makes a run that is killed anywhere come out the same: best.safetensors, the
 * line of the log, then last.safetensors. Until the last of them stands, a resumed run goes back to the checkpoint
 * before, does the rest of the epoch again and writes the same bytes over the first two. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"

/* ---- signals ---------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop_requests;

static void request_stop(int number) {
    (void)number;
    if (stop_requests++ > 0) {
        static const char message[] = "\nstrata: stopped at once; the last checkpoint stands\n";
        ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
        (void)ignored;
        _exit(INTERRUPTED);
    }
}

static void handle_signals(void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, hangup;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) { /* nohup means it */
        sigaction(SIGHUP, &action, NULL);
    }
}

bool training_is_stopped(void) {
    return stop_requests > 0;
}

void training_catch_signals(void) {
    handle_signals(request_stop);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------ */

strata_status training_save(training *t, strata_error *err) {
    char *path = path_join(t->folder, "last.safetensors");
    strata_status status = strata_trainer_save(t->trainer, path, err);
    free(path);
    t->saved = now();
    return status;
}

static strata_status save_best(training *t, strata_error *err) {
    char *path = path_join(t->folder, "best.safetensors");
    strata_status status = strata_model_save(t->model, path, err);
    free(path);
    return status;
}

static strata_status draw_curve(training *t, double test_top1, strata_error *err) {
    char *path = path_join(t->folder, "curve.svg");
    strata_net_info net;
    text title = {0};
    strata_net_info_get(t->net, false, &net);
    text_add(&title, "%s on %s", net.name, strata_dataset_name(t->data));
    strata_status status = svg_curve(path, title.bytes, &t->log, t->plan->epochs, test_top1, err);
    text_free(&title);
    free(path);
    return status;
}

static void print_go_on(const training *t, const char *start) {
    text folder = {0};
    text_add_shell(&folder, t->folder);
    fprintf(stderr, "%s%s train --resume %s\n", start, program_name(), folder.bytes);
    text_free(&folder);
}

/* Exit status of a run that was asked to stop and has saved its place. */
static int say_stopped(training *t, int64_t epoch, int64_t step) {
    handle_signals(SIG_IGN); /* it ends now in any case */
    live_clear(&t->live);
    fflush(stdout);
    fprintf(stderr, "stopped after epoch %lld", (long long)epoch);
    if (step > 0) {
        fprintf(stderr, ", step %s", count_text(step).s);
    }
    print_go_on(t, ": saved; go on with: ");
    return INTERRUPTED;
}

/* Exit status of a run that was to stop here. */
static int say_paused(training *t) {
    live_clear(&t->live);
    text folder = {0};
    text_add_shell(&folder, t->folder);
    print_note("\nepoch %lld of %lld is done and saved; go on with: %s train --resume %s\n", (long long)t->stop_after,
               (long long)t->plan->epochs, program_name(), folder.bytes);
    text_free(&folder);
    return DONE;
}

/* Exit status of a run that an error ended. */
static int say_failed(training *t, const strata_error *err) {
    live_clear(&t->live);
    report(err);
    print_go_on(t, "  the last good checkpoint stands; go on with: ");
    return FAILED;
}

/* Exit status of a run that nobody can follow any more. */
static int say_unheard(const training *t) {
    print_go_on(t, "  the run is saved; go on with: ");
    return FAILED;
}

/* A loss that is not finite: where, what stands, what usually helps, in the words of a command line. */
static int say_diverged(training *t, const strata_error *err) {
    const run_plan *p = t->plan;
    double half = (double)p->epochs / 2, warmup = p->warmup > 0 ? 2 * p->warmup : 1;
    strata_error bare = *err;
    bare.hint[0] = '\0';
    live_clear(&t->live);
    report(&bare);
    char *path = path_join(t->folder, "last.safetensors");
    fprintf(stderr, "  last good checkpoint: %s\n", path);
    fprintf(stderr, "  usual remedies: a smaller step, --lr %s; a slower start, --warmup %s; %s\n",
            number_text(p->learning_rate / 10).s, number_text(warmup < half ? warmup : half).s,
            p->clip > 0 ? "bn in the network" : "shorter gradients, --clip 1");
    free(path);
    return FAILED;
}

/* ---- an epoch --------------------------------------------------------------------------------------------------- */

static void show_step(training *t, const strata_step_info *step) {
    if (!live_is_due(&t->live) || step->step_count == 0) {
        return;
    }
    double share = (double)step->step / (double)step->step_count, t_now = now();
    double rate = (double)(step->images - t->images_before) / (t_now - t->epoch_begun);
    double epochs_left = (double)(t->plan->epochs - step->epoch) + 1 - share;
    text bar = {0};
    text_add_bar(&bar, share, 14, true);
    live_show(&t->live, "%5lld   %s %4.0f%%   loss %.3f   %s images/s   %s left", (long long)step->epoch, bar.bytes,
              100 * share, step->loss, figure_text(rate).s,
              seconds_text(rate > 0 ? epochs_left * (double)t->plan->train_count / rate : 1e99).s);
    text_free(&bar);
}

static void print_header(const training *t) {
    text line = {0};
    text_add(&line, "%5s   %5s   %6s   %s%s%8s   %s", "epoch", "loss", "train",
             t->plan->val_count > 0 ? "   val   " : "", t->plan->test_each_epoch ? "  test   " : "", "images/s",
             "time");
    print_note("\n");
    print_heading(line.bytes);
    text_free(&line);
}

/* The line of the log and, with --json, of stdout. */
static void write_epoch(json *j, const run_epoch *e, const strata_epoch_info *info) {
    json_open(j, NULL, '{');
    json_count(j, "epoch", e->epoch);
    json_number(j, "images_per_s", e->images_per_s);
    json_number(j, "loss", e->loss);
    json_number(j, "top1", e->top1);
    if (e->has_val) {
        json_number(j, "val_top1", e->val_top1);
        json_number(j, "val_top5", info->val.top5);
        json_number(j, "val_loss", e->val_loss);
    }
    if (e->has_test) {
        json_number(j, "test_top1", e->test_top1);
        json_number(j, "test_loss", e->test_loss);
    }
    if (e->has_norms) {
        json_number(j, "grad_norm", e->norm_mean);
        json_number(j, "grad_norm_max", e->norm_max);
    }
    json_number(j, "seconds", e->seconds);
    json_bool(j, "best", e->is_best);
    json_close(j, '}');
}

static void print_epoch(training *t, const run_epoch *e, const char *line) {
    live_clear(&t->live);
    if (t->json) {
        puts(line);
    } else {
        char val[96] = "", test[96] = "";
        if (e->has_val) {
            snprintf(val, sizeof val, "%6s   ", share_text(e->val_top1).s);
        }
        if (e->has_test) {
            snprintf(test, sizeof test, "%6s   ", share_text(e->test_top1).s);
        }
        print_note("%5lld   %5.3f   %6s   %s%s%8s   %s\n", (long long)e->epoch, e->loss, share_text(e->top1).s, val,
                   test, figure_text(e->images_per_s).s, seconds_text(e->seconds).s);
    }
    output_failed();
}

/* After an epoch's last batch: choose, write, show. */
static strata_status end_epoch(training *t, const strata_step_info *step, strata_error *err) {
    strata_epoch_info info;
    double seconds = now() - t->epoch_begun;
    strata_status status = strata_trainer_end_epoch(t->trainer, &info, err);
    strata_metrics test = {0};
    if (status == STRATA_OK && t->plan->test_each_epoch) {
        status = strata_evaluate(&test, t->model, t->data, STRATA_TEST, NULL, NULL, NULL, err);
    }
    if (status != STRATA_OK) {
        return status;
    }
    run_epoch e = {
        .epoch = info.epoch,
        .loss = info.loss,
        .top1 = info.top1,
        .has_val = info.has_val,
        .val_loss = info.val.loss,
        .val_top1 = info.val.top1,
        .has_test = t->plan->test_each_epoch,
        .test_loss = test.loss,
        .test_top1 = test.top1,
        .is_best = info.is_best,
        .has_norms = info.has_norms,
        .norm_mean = info.norm_mean,
        .norm_max = info.norm_max,
        .images_per_s = (double)(step->images - t->images_before) / seconds,
        .seconds = seconds,
    };
    json line = {0};
    write_epoch(&line, &e, &info);
    if (info.is_best) {
        status = save_best(t, err);
    }
    if (status == STRATA_OK) {
        status = run_log_append(t->folder, line.out.bytes, err);
    }
    if (status == STRATA_OK) {
        run_log_add(&t->log, &e);
        status = training_save(t, err);
    }
    if (status == STRATA_OK) {
        print_epoch(t, &e, line.out.bytes);
        status = draw_curve(t, -1, err);
    }
    text_free(&line.out);
    t->epoch_begun = now();
    t->images_before = 0;
    return status;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static bool test_progress(size_t done, size_t count, void *user) {
    return live_progress(done, count, user) && stop_requests == 0;
}

static const run_epoch *best_epoch(const training *t) {
    const run_epoch *best = NULL;
    for (size_t i = 0; i < t->log.epoch_count; i++) {
        best = t->log.epochs[i].is_best ? &t->log.epochs[i] : best;
    }
    return best;
}

static void write_result(json *j, const training *t, const strata_metrics *test) {
    const run_epoch *best = best_epoch(t);
    char hash[65];
    strata_model_hash(t->model, hash);
    json_open(j, NULL, '{');
    json_text(j, "run", t->folder);
    json_count(j, "epochs", t->plan->epochs);
    if (strata_trainer_gave_up(t->trainer)) {
        strata_step_info place;
        strata_trainer_place(t->trainer, &place);
        json_count(j, "stopped_epoch", place.epoch - 1);
    }
    if (best != NULL) {
        json_count(j, "best_epoch", best->epoch);
    }
    if (best != NULL && best->has_val) {
        json_number(j, "val_top1", best->val_top1);
    }
    if (test->count > 0) {
        json_count(j, "test_count", test->count);
        json_count(j, "test_correct", test->correct);
        json_number(j, "test_top1", test->top1);
        json_number(j, "test_top5", test->top5);
        json_number(j, "test_loss", test->loss);
    }
    json_number(j, "seconds", now() - t->begun);
    json_count(j, "memory_bytes", (int64_t)t->memory.total_bytes);
    json_count(j, "peak_rss_bytes", (int64_t)memory_peak());
    json_text(j, "weights_sha256", hash);
    json_close(j, '}');
}

/* The weights that were chosen, looked at once on the test part. */
static strata_status test_best(training *t, strata_metrics *test, strata_error *err) {
    char *best = path_join(t->folder, "best.safetensors");
    strata_status status = strata_model_load(t->model, best, err);
    free(best);
    *test = (strata_metrics){0};
    if (status == STRATA_OK && strata_dataset_count(t->data, STRATA_TEST) > 0) {
        live_begin(&t->live);
        status = strata_evaluate(test, t->model, t->data, STRATA_TEST, NULL, test_progress, &t->live, err);
        live_clear(&t->live);
    }
    return status;
}

/* A loss far above that of a guess is a number still, but learned nothing. */
static void warn_of_divergence(const training *t) {
    double chance = log((double)strata_dataset_class_count(t->data));
    double loss = t->log.epoch_count > 0 ? t->log.epochs[t->log.epoch_count - 1].loss : 0;
    if (loss > 3 * chance) {
        warn("the loss is higher than chance: %.3g, a guess has %.3g; a smaller learning rate: --lr %s", loss, chance,
             number_text(t->plan->learning_rate / 10).s);
    }
}

static int finish(training *t) {
    strata_error err;
    strata_metrics test;
    strata_status status = test_best(t, &test, &err);
    if (status == STRATA_CANCELLED) {
        return say_stopped(t, t->plan->epochs, 0);
    }
    json line = {0};
    if (status == STRATA_OK) {
        write_result(&line, t, &test);
        status = draw_curve(t, test.count > 0 ? test.top1 : -1, &err);
    }
    if (status == STRATA_OK) {
        status = run_log_append(t->folder, line.out.bytes, &err);
    }
    int exit_status = status == STRATA_OK ? training_print_result(t, line.out.bytes) : say_failed(t, &err);
    if (status == STRATA_OK) {
        warn_of_divergence(t);
    }
    text_free(&line.out);
    return exit_status;
}

/* The text after "weights_sha256": of a result line. */
static label find_hash(const char *line) {
    label out = {{0}};
    const char *at = strstr(line, "\"weights_sha256\": \"");
    if (at != NULL) {
        at += strlen("\"weights_sha256\": \"");
        snprintf(out.s, sizeof out.s, "%.64s", at);
    }
    return out;
}

static void print_files(const char *folder, const char *hash) {
    static const char *const files[] = {"best.safetensors", "curve.svg"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *path = path_join(folder, files[i]);
        struct stat info;
        uint64_t size = stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
        print_note("  %s   %s%s\n", path, bytes_text(size).s, i == 0 ? ": net, weights, class names, preparation" : "");
        free(path);
    }
    print_note("  weights %s\n          the same on every machine for this net, data and seed\n", hash);
}

/* With a known name, its first test picture is at hand; otherwise the person puts one in. */
static void print_next_steps(const training *t) {
    text folder = {0}, eval = {0}, predict = {0}, picture = {0};
    text_add_shell(&folder, t->folder);
    text_add(&eval, "eval %s", folder.bytes);
    if (t->plan->test_count > 0 && strchr(t->plan->data, '/') == NULL) {
        text_add(&picture, "%s:0", t->plan->data);
    } else {
        text_add(&picture, "PICTURE");
    }
    text_add(&predict, "predict %s %s", folder.bytes, picture.bytes);
    const char *commands[] = {eval.bytes, predict.bytes};
    const char *reasons[] = {"which classes it confuses", NULL};
    print_next(commands, reasons, 2);
    text_free(&folder);
    text_free(&eval);
    text_free(&predict);
    text_free(&picture);
}

int training_print_result(const training *t, const char *result) {
    if (t->json) {
        puts(result);
        return DONE;
    }
    double best = 0, epochs = (double)t->plan->epochs, val, test, count = 0;
    json_find(result, "best_epoch", &best);
    print_note("\n");
    if (json_find(result, "stopped_epoch", &epochs)) {
        print_note("ended after epoch %lld of %lld: val has not been better for %lld epoch%s\n", (long long)epochs,
                   (long long)t->plan->epochs, (long long)t->plan->patience, t->plan->patience > 1 ? "s" : "");
    }
    printf("%s of %s epoch%s: %s", t->plan->val_count > 0 ? "best" : "last", count_text((int64_t)epochs).s,
           epochs > 1 ? "s" : "", count_text((int64_t)best).s);
    if (json_find(result, "val_top1", &val)) {
        printf("   val %s", share_text(val).s);
    }
    if (json_find(result, "test_top1", &test) && json_find(result, "test_count", &count)) {
        printf("   test %s of %s", share_text(test).s, count_text((int64_t)count).s);
    }
    printf("\n");
    print_files(t->folder, find_hash(result).s);
    print_next_steps(t);
    return DONE;
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* Between two batches: 0 to go on, else the exit status. */
static int between_batches(training *t, const strata_step_info *step) {
    strata_error err;
    bool is_asked = stop_requests > 0, is_at_end = step->epoch_done;
    if (!is_at_end && (is_asked || now() - t->saved >= t->save_every) && training_save(t, &err) != STRATA_OK) {
        return err.status == STRATA_INVALID ? say_diverged(t, &err) : say_failed(t, &err);
    }
    if (is_asked && !strata_trainer_is_done(t->trainer)) {
        return say_stopped(t, step->epoch, is_at_end ? 0 : step->step);
    }
    return is_at_end && output_failed() ? say_unheard(t) : DONE;
}

/* Whether this process has done the epochs that it was to do, and others are left. */
static bool is_paused(const training *t) {
    strata_step_info place;
    strata_trainer_place(t->trainer, &place);
    return t->stop_after > 0 && place.epoch > t->stop_after && !strata_trainer_is_done(t->trainer);
}

int training_run(training *t) {
    strata_error err;
    strata_step_info step;
    t->begun = t->epoch_begun = t->saved = now();
    live_begin(&t->live);
    strata_trainer_place(t->trainer, &step);
    t->images_before = step.images;
    if (is_paused(t)) {
        return say_paused(t);
    }
    if (!strata_trainer_is_done(t->trainer)) {
        print_header(t);
    }
    if (output_failed()) {
        return say_unheard(t);
    }
    while (!strata_trainer_is_done(t->trainer)) {
        strata_status status = strata_trainer_step(t->trainer, &step, &err);
        if (status == STRATA_OK && step.is_preparing) {
            t->epoch_begun = now();
            if (live_is_due(&t->live) && step.prepare_count > 0) {
                live_show(&t->live, "features of %s of %s pictures", count_text(step.prepared).s,
                          count_text(step.prepare_count).s);
            }
        } else if (status == STRATA_OK && step.epoch_done) {
            status = end_epoch(t, &step, &err);
        } else if (status == STRATA_OK) {
            show_step(t, &step);
        }
        if (status != STRATA_OK) {
            return status == STRATA_INVALID ? say_diverged(t, &err) : say_failed(t, &err);
        }
        int exit_status = between_batches(t, &step);
        if (exit_status != DONE) {
            return exit_status;
        }
        if (is_paused(t)) {
            return say_paused(t);
        }
    }
    return finish(t);
}
