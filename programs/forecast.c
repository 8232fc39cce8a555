/* What fine-tuning will do and cost, said before it begins: strata finetune, and with --explain nothing else. With a
 * thaw there are two phases, and each is measured. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* A stretch of epochs that trains the same layers. */
typedef struct phase {
    strata_tuning tuning;
    strata_cost cost;
    int64_t epochs;
} phase;

typedef struct forecast {
    const training *t;
    phase phases[2]; /* the last one trains what the run is asked to */
    int count;
    bool is_measured;
    const char *replaced; /* tensors that begin anew, one a line */
} forecast;

/* ---- what is asked of the library ------------------------------------------------------------------------------- */

static strata_status tuning_of(strata_tuning *out, const training *t, const char *train, strata_error *err) {
    strata_build_options build = train_build_options(t->plan);
    strata_train_options options = train_options(t->plan);
    options.train = train;
    return strata_tuning_get(out, t->runtime, t->net, &build, &options, t->data, err);
}

double forecast_seconds(const strata_tuning *tuning, const strata_cost *cost, int64_t epochs) {
    int64_t kept = tuning->variants > 1 ? tuning->variants : 1; /* without variants: of val, once */
    int64_t tables = kept < epochs ? kept : epochs;
    return cost->features_seconds * (double)tables + cost->epoch_seconds * (double)epochs;
}

static double all_seconds(const forecast *f) {
    double seconds = 0;
    for (int i = 0; i < f->count; i++) {
        seconds += forecast_seconds(&f->phases[i].tuning, &f->phases[i].cost, f->phases[i].epochs);
    }
    return seconds;
}

static strata_status look(forecast *f, strata_error *err) {
    const run_plan *p = f->t->plan;
    int64_t first = 1;
    strata_status status = STRATA_OK;
    f->count = p->thaw > 0 ? 2 : 1;
    for (int i = 0; i < f->count && status == STRATA_OK; i++) {
        phase *at = &f->phases[i];
        bool is_last = i == f->count - 1;
        at->epochs = is_last ? p->epochs - p->thaw : p->thaw;
        status = tuning_of(&at->tuning, f->t, is_last ? p->train : "head", err);
        if (status == STRATA_OK && f->is_measured) {
            status = strata_trainer_measure(&at->cost, f->t->trainer, first, err);
        }
        first += at->epochs;
    }
    return status;
}

/* ---- for a person ----------------------------------------------------------------------------------------------- */

static label layers_text(const strata_tuning *tuning) {
    label out;
    if (tuning->trained == tuning->parameters) {
        snprintf(out.s, sizeof out.s, "everything");
    } else if (tuning->layer_count == 1) {
        snprintf(out.s, sizeof out.s, "%.60s only", safe_text(tuning->first).s);
    } else {
        snprintf(out.s, sizeof out.s, "%.30s to %.30s", safe_text(tuning->first).s, safe_text(tuning->last).s);
    }
    return out;
}

static void print_trained(const forecast *f, const phase *at) {
    text line = {0};
    if (f->count > 1) {
        bool is_first = at == f->phases;
        text_add(&line, is_first ? "%lld epoch%s " : "then %lld epoch%s ", (long long)at->epochs,
                 at->epochs == 1 ? "" : "s");
    }
    text_add(&line, "%s: %s of %s parameters%s", layers_text(&at->tuning).s, count_text(at->tuning.trained).s,
             count_text(at->tuning.parameters).s,
             at->tuning.trained < at->tuning.parameters ? "; everything else is fixed" : "");
    print_fact("train", "%s", line.bytes);
    text_free(&line);
}

static void print_features(const forecast *f, const phase *at) {
    const run_plan *p = f->t->plan;
    text line = {0};
    text_add(&line, "%s pictures x %s", count_text(p->train_count + p->val_count).s,
             shape_text(at->tuning.features, at->tuning.is_flat).s);
    if (p->augment == NULL) {
        text_add(&line, " computed once");
    } else if (at->tuning.variants > 0) {
        text_add(&line, " computed in %lld variants", (long long)at->tuning.variants);
    } else {
        text_add(&line, " computed in each epoch");
    }
    if (f->is_measured && at->tuning.variants > 0) {
        text_add(&line, " (%s%s)", seconds_text(at->cost.features_seconds).s, p->augment != NULL ? " each" : "");
    }
    print_fact("features", "%s, %s", line.bytes, bytes_text(at->tuning.features_bytes).s);
    text_free(&line);
}

static void print_time(const forecast *f) {
    text line = {0};
    text_add(&line, "%s an epoch", seconds_text(f->phases[0].cost.epoch_seconds).s);
    if (f->count > 1) {
        text_add(&line, ", after the thaw %s", seconds_text(f->phases[1].cost.epoch_seconds).s);
    }
    print_fact("time", "%s, measured; about %s in all", line.bytes, seconds_text(all_seconds(f)).s);
    text_free(&line);
}

static void print_forecast(const forecast *f) {
    for (int i = 0; i < f->count; i++) {
        const phase *at = &f->phases[i];
        print_trained(f, at);
        if (at->tuning.cut != NULL) {
            print_features(f, at);
        }
    }
    if (f->is_measured) {
        print_time(f);
    }
}

/* ---- for a program ---------------------------------------------------------------------------------------------- */

static void add_phase(json *j, const phase *at) {
    const strata_tuning *tuning = &at->tuning;
    json_open(j, NULL, '{');
    json_count(j, "epochs", at->epochs);
    json_text(j, "first", tuning->first);
    json_text(j, "last", tuning->last);
    json_count(j, "layers", (int64_t)tuning->layer_count);
    json_count(j, "trained", tuning->trained);
    if (tuning->cut != NULL) {
        json_text(j, "features_of", tuning->cut);
        json_count(j, "features_bytes", (int64_t)tuning->features_bytes);
        json_number(j, "features_seconds", at->cost.features_seconds);
    }
    json_number(j, "epoch_seconds", at->cost.epoch_seconds);
    json_number(j, "seconds", forecast_seconds(&at->tuning, &at->cost, at->epochs));
    json_close(j, '}');
}

static void print_json(const forecast *f) {
    json j = {0};
    strata_net_info net;
    strata_net_info_get(f->t->net, true, &net);
    json_open(&j, NULL, '{');
    json_text(&j, "net", net.name);
    json_text(&j, "train", f->t->plan->train);
    json_count(&j, "parameters", f->phases[0].tuning.parameters);
    json_count(&j, "epochs", f->t->plan->epochs);
    json_count(&j, "memory_bytes", (int64_t)f->t->memory.total_bytes);
    json_number(&j, "seconds", all_seconds(f));
    json_open(&j, "new", '[');
    for (const char *at = f->replaced; at != NULL && *at != '\0';) {
        char *name = take_copy(at, strcspn(at, " "));
        json_text(&j, NULL, name);
        free(name);
        at += strcspn(at, "\n");
        at += at[0] != '\0';
    }
    json_close(&j, ']');
    json_open(&j, "phases", '[');
    for (int i = 0; i < f->count; i++) {
        add_phase(&j, &f->phases[i]);
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_print(&j);
}

/* ---- the parts of a run that ask -------------------------------------------------------------------------------- */

static strata_status memory_need_pieces(strata_memory *out, const void *of, int64_t batch, int64_t accumulate,
                                        strata_error *err) {
    strata_tuning tuning;
    training t = *(const training *)of;
    run_plan plan = *t.plan;
    plan.batch = batch;
    plan.accumulate = accumulate;
    t.plan = &plan;
    strata_status status = tuning_of(&tuning, &t, plan.train, err);
    *out = tuning.memory;
    return status;
}

static strata_status memory_need(strata_memory *out, const void *of, int64_t batch, strata_error *err) {
    return memory_need_pieces(out, of, batch, ((const training *)of)->plan->accumulate, err);
}

bool forecast_fits(strata_tuning *out, const training *t, const char *train) {
    strata_error err;
    return tuning_of(out, t, train, &err) != STRATA_OK || out->memory.total_bytes <= memory_free();
}

int forecast_memory(training *t) {
    strata_net_info info;
    strata_net_info_get(t->net, true, &info);
    return memory_ask(&(memory_question){.need = memory_need,
                                         .of = t,
                                         .batch = t->plan->batch,
                                         .doing = "fine-tuning",
                                         .net = info.name,
                                         .has_option = true,
                                         .accumulate = t->plan->accumulate > 0 ? t->plan->accumulate : 1,
                                         .need_pieces = memory_need_pieces},
                      &t->memory);
}

int forecast_say(const training *t, bool measures, bool as_json) {
    strata_error err;
    forecast f = {.t = t, .is_measured = measures, .replaced = t->replaced};
    if (look(&f, &err) != STRATA_OK) {
        return report(&err);
    }
    if (as_json) {
        print_json(&f);
    } else {
        print_forecast(&f);
    }
    return DONE;
}
