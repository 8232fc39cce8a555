/* strata train --find-lr: the learning rate rises from step to step until the loss leaves the ground; a rate is
 * suggested, the curve drawn, and nothing else is left behind: no run, and a run that is there stays as it is. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

static bool show(size_t done, size_t count, void *user) {
    training *t = user;
    if (live_is_due(&t->live)) {
        double share = (double)done / (double)count, seconds = (now() - t->begun) * (1 - share) / share;
        text bar = {0};
        text_add_bar(&bar, share, 14, true);
        live_show(&t->live, "learning rates   %s %4.0f%%   at most %s left", bar.bytes, 100 * share,
                  seconds_text(seconds).s);
        text_free(&bar);
    }
    return !training_is_stopped();
}

/* The command line without what belongs to the search, and with its result. */
static void add_next(text *out, const common *c, const char *folder, double rate) {
    static const char *const dropped[] = {"--lr", "--out"};
    text_add(out, "train");
    for (int i = 0; i < c->word_count; i++) {
        const char *word = c->words[i];
        bool is_dropped = strcmp(word, "--find-lr") == 0 || strcmp(word, "--json") == 0;
        for (size_t k = 0; k < COUNT_OF(dropped); k++) {
            size_t length = strlen(dropped[k]);
            if (strncmp(word, dropped[k], length) == 0 && (word[length] == '\0' || word[length] == '=')) {
                i += word[length] == '\0' ? 1 : 0;
                is_dropped = true;
            }
        }
        if (!is_dropped) {
            text_add(out, " ");
            text_add_shell(out, word);
        }
    }
    text_add(out, " --lr %s --out ", number_text(rate).s);
    text_add_shell(out, folder);
}

/* Two digits are what such a search can say. */
static double round_rate(double rate) {
    char digits[32];
    snprintf(digits, sizeof digits, "%.1e", rate);
    return strtod(digits, NULL);
}

/* The search ended before the loss rose: it has not seen which rate is too high. */
static bool is_open_ended(const strata_rate_search *found) {
    return !found->diverged && found->lowest + found->count / 20 + 1 >= found->count;
}

static void print_json(const strata_rate_search *found, double rate, const char *path) {
    json j = {0};
    json_open(&j, NULL, '{');
    if (rate > 0) {
        json_number(&j, "suggested_lr", rate);
    }
    json_number(&j, "lowest_lr", found->trials[found->lowest].rate);
    json_number(&j, "lowest_loss", found->trials[found->lowest].smooth);
    json_bool(&j, "diverged", found->diverged);
    json_bool(&j, "open_ended", is_open_ended(found));
    json_text(&j, "svg", path);
    json_open(&j, "trials", '[');
    for (size_t i = 0; i < found->count; i++) {
        json_open(&j, NULL, '{');
        json_number(&j, "lr", found->trials[i].rate);
        json_number(&j, "loss", found->trials[i].loss);
        json_number(&j, "smooth_loss", found->trials[i].smooth);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_print(&j);
}

static void print_found(const training *t, const train_arguments *a, const strata_rate_search *found, double rate,
                        const char *folder, const char *path) {
    const strata_rate_trial *lowest = &found->trials[found->lowest], *last = &found->trials[found->count - 1];
    if (rate > 0) {
        printf("learning rate %s: a %s of %.2g, where the smoothed loss was lowest (%.3f)\n", number_text(rate).s,
               found->divisor == 3 ? "third" : "tenth", lowest->rate, lowest->smooth);
    } else {
        printf("no learning rate: the loss never fell below %.3f, where it began\n", lowest->smooth);
    }
    print_note("  %s of %s pictures each, from %.1g to %.2g%s\n", count_text((int64_t)found->count).s,
               count_text(t->plan->batch * (t->plan->accumulate > 1 ? t->plan->accumulate : 1)).s,
               found->trials[0].rate, last->rate, found->diverged ? ", where the loss was far above the lowest" : "");
    print_note("  %s   loss against learning rate\n", path);
    if (rate > 0 && is_open_ended(found)) {
        warn("the loss was still falling at the highest rate tried: %s is no more than a guess", number_text(rate).s);
    }
    if (rate > 0) {
        text next = {0};
        add_next(&next, &a->common, folder, rate);
        print_next((const char *const[]){next.bytes}, (const char *const[]){NULL}, 1);
        text_free(&next);
    }
}

/* The folder of the run that is to come, or of one that is there; the caller frees it. */
static strata_status make_folder(char **out, const training *t, const train_arguments *a, strata_error *err) {
    strata_net_info net;
    strata_net_info_get(t->net, false, &net);
    if (a->out == NULL) {
        return run_make(out, net.name, err);
    }
    *out = take_copy(a->out, strlen(a->out));
    return run_make_at(*out, err);
}

int find_rate(training *t, const train_arguments *a) {
    strata_error err;
    strata_rate_search *found = NULL;
    t->begun = now();
    live_begin(&t->live);
    strata_status status = strata_trainer_find_rate(&found, t->trainer, NULL, show, t, &err);
    live_clear(&t->live);
    if (status == STRATA_CANCELLED) {
        fprintf(stderr, "stopped: nothing is left of the search\n");
        return INTERRUPTED;
    }
    if (status != STRATA_OK) {
        return report(&err);
    }
    strata_net_info net;
    char *folder = NULL, *path = NULL;
    text title = {0};
    strata_net_info_get(t->net, false, &net);
    text_add(&title, "%s on %s", net.name, strata_dataset_name(t->data));
    status = make_folder(&folder, t, a, &err);
    if (status == STRATA_OK) {
        path = path_join(folder, "lr.svg");
        status = svg_rates(path, title.bytes, found, &err);
    }
    int exit_status = status == STRATA_OK ? DONE : report(&err);
    double rate = round_rate(found->suggested);
    if (status == STRATA_OK && t->json) {
        print_json(found, rate, path);
    } else if (status == STRATA_OK) {
        print_note("\n");
        print_found(t, a, found, rate, folder, path);
    }
    strata_rate_search_free(found);
    text_free(&title);
    free(path);
    free(folder);
    return exit_status;
}
