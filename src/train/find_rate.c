/* The search for a learning rate: steps at a rate that rises by one factor, until the loss is far above the lowest.
 * Smith 2015, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, section 3.3. What is suggested
 * is a share of the rate with the lowest smoothed loss: there the loss still falls fast, and the average lags behind. A
 * third for sgd and a tenth for adamw did best where it was measured (docs/training.md).
 */
#include <math.h>

#include "train/train.h"

static const double SMOOTHING = 0.9, /* of the average that went before */
    TOO_HIGH = 4.0;                  /* times the lowest smoothed loss */
enum { STEPS = 200, MOST_STEPS = 1000000, LEAST_TRIALS = 10 };

typedef struct search {
    strata_rate_search result; /* what the caller sees; first */
    st_arena *arena;
} search;

static strata_status fill_options(strata_rate_options *out, const strata_rate_options *options, strata_error *err) {
    *out = options != NULL ? *options : (strata_rate_options){0};
    out->from = out->from != 0.0 ? out->from : 1e-6;
    out->to = out->to != 0.0 ? out->to : 10.0;
    out->steps = out->steps != 0 ? out->steps : STEPS;
    ST_FAIL_IF(!(out->from >= 1e-12 && out->from < out->to && out->to <= 1e6), err, STRATA_INVALID,
               "the rates must rise, from above 0, found %g to %g", out->from, out->to);
    ST_FAIL_IF(out->steps < 2 || out->steps > MOST_STEPS, err, STRATA_INVALID,
               "the search needs 2 to %d steps, found %lld", MOST_STEPS, (long long)out->steps);
    return STRATA_OK;
}

/* Adds what a step has shown; false: that is enough. */
static bool add_trial(strata_rate_search *to, double rate, double loss, double *average) {
    size_t i = to->count++;
    strata_rate_trial *trial = &to->trials[i];
    *average = SMOOTHING * *average + (1.0 - SMOOTHING) * loss;
    *trial = (strata_rate_trial){
        .rate = rate, .loss = loss, .smooth = *average / (1.0 - st_pow(SMOOTHING, (double)to->count))};
    if (i == 0 || trial->smooth < to->trials[to->lowest].smooth) {
        to->lowest = i;
    }
    to->diverged =
        !isfinite(loss) || (to->count > LEAST_TRIALS && trial->smooth > TOO_HIGH * to->trials[to->lowest].smooth);
    return !to->diverged;
}

static strata_status run(strata_rate_search *to, strata_trainer *trainer, const strata_rate_options *options,
                         strata_progress progress, void *user, strata_error *err) {
    double average = 0.0, loss = 0.0;
    for (int64_t i = 0; i < options->steps; i++) {
        double share = (double)i / (double)(options->steps - 1);
        double rate = options->from * st_pow(options->to / options->from, share);
        ST_TRY(st_trainer_try(trainer, rate, &loss, err));
        ST_FAIL_IF(progress != NULL && !progress((size_t)i + 1, (size_t)options->steps, user), err, STRATA_CANCELLED,
                   "the search was stopped after %lld of %lld steps", (long long)i + 1, (long long)options->steps);
        if (!add_trial(to, rate, loss, &average)) {
            break;
        }
    }
    bool is_adamw = st_trainer_optimizer(trainer) == ST_OPTIMIZER_ADAMW;
    to->divisor = is_adamw ? 10 : 3;
    if (to->lowest > 0) {
        to->suggested = to->trials[to->lowest].rate / to->divisor;
    }
    return STRATA_OK;
}

strata_status strata_trainer_find_rate(strata_rate_search **out, strata_trainer *trainer,
                                       const strata_rate_options *options, strata_progress progress, void *user,
                                       strata_error *err) {
    strata_rate_options filled;
    st_arena *arena = NULL;
    search *made = NULL;
    *out = NULL;
    ST_TRY(fill_options(&filled, options, err));
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&made, arena, 1, sizeof *made, err);
    if (status == STRATA_OK) {
        *made = (search){.arena = arena};
        status = st_arena_alloc(&made->result.trials, arena, (size_t)filled.steps, sizeof *made->result.trials, err);
    }
    if (status == STRATA_OK) {
        status = run(&made->result, trainer, &filled, progress, user, err);
    }
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *out = &made->result;
    return STRATA_OK;
}

void strata_rate_search_free(strata_rate_search *found) {
    if (found != NULL) {
        st_arena_free(((search *)(void *)found)->arena);
    }
}
