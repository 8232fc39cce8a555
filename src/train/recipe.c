/* Options with their defaults, and the learning rate over a run.
 *
 * Cosine: Loshchilov, Hutter 2017, arXiv:1608.03983, one period. One-cycle: Smith, Topin 2018, arXiv:1708.07120, in two
 * phases with cosines: from a 25th of the rate to the rate, then down to a 10,000th of where it began. */
#include "train/train.h"

#include <string.h>

static const double PI = 3.14159265358979323846;

static strata_status find_word(int *out, const char *what, const char *word, const char *const *words, size_t count,
                               strata_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            *out = (int)i;
            return STRATA_OK;
        }
    }
    strata_status status = st_fail(err, STRATA_INVALID, "there is no %s named '%s'", what, word);
    const char *near = st_text_nearest(word, words, count);
    if (near != NULL) {
        st_error_hint(err, "did you mean '%s'?", near);
    }
    return status;
}

static const char *const schedules[] = {"constant", "step", "cosine", "onecycle"};

const char *st_schedule_name(st_schedule schedule) {
    return schedules[schedule];
}

strata_status st_optimizer_parse(st_optimizer *out, const char *name, strata_error *err) {
    static const char *const words[] = {"sgd", "adamw"};
    int index = 0;
    ST_TRY(find_word(&index, "optimizer", name == NULL ? words[0] : name, words, ST_COUNT_OF(words), err));
    *out = (st_optimizer)index;
    return STRATA_OK;
}

static bool is_between(double x, double low, double high) {
    return x >= low && x <= high; /* false for NaN */
}

static strata_status fail_step_at(const char *text, int64_t epochs, strata_error *err) {
    return st_fail(
        err, STRATA_INVALID,
        "the drops of the step schedule are at most %d ascending epochs below the %lld of the run, as in 8,12; "
        "found '%s'",
        ST_STEP_LIMIT, (long long)epochs, text);
}

/* "8,12.5": ascending epochs of the run, a comma between them. */
static strata_status parse_step_at(st_recipe *recipe, const char *text, strata_error *err) {
    const char *at = text;
    do {
        double value = 0.0, unit = 1.0;
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || digits > 7 || recipe->step_at_count == ST_STEP_LIMIT) {
            return fail_step_at(text, recipe->epochs, err);
        }
        for (; digits > 0; digits--) {
            value = 10.0 * value + (double)(*at++ - '0');
        }
        if (*at == '.') {
            for (at++; *at >= '0' && *at <= '9'; at++) {
                unit /= 10.0;
                value += unit * (double)(*at - '0');
            }
        }
        double before = recipe->step_at_count > 0 ? recipe->step_at[recipe->step_at_count - 1] : 0.0;
        if (value <= before || value >= (double)recipe->epochs || (*at != '\0' && *at != ',')) {
            return fail_step_at(text, recipe->epochs, err);
        }
        recipe->step_at[recipe->step_at_count++] = value;
    } while (*at++ == ',');
    return STRATA_OK;
}

/* What concerns a part of the net. Mixed pictures have no features of their own: then none are kept. */
static strata_status fill_tuning(st_recipe *recipe, const strata_train_options *options, strata_error *err) {
    enum { STANDARD_VARIANTS = 8, MOST_VARIANTS = 10000 };
    double share = recipe->optimizer == ST_OPTIMIZER_ADAMW ? 0.1 : 1.0;
    double rate = options->body_rate == 0.0 ? recipe->learning_rate * share : options->body_rate;
    ST_FAIL_IF(!is_between(rate, 1e-12, 1e6), err, STRATA_INVALID,
               "the learning rate of the body must be above 0, found %g", rate);
    ST_FAIL_IF(options->variants > MOST_VARIANTS, err, STRATA_INVALID, "variants must be at most %d, found %lld",
               MOST_VARIANTS, (long long)options->variants);
    ST_FAIL_IF(options->thaw < 0 || options->thaw >= recipe->epochs, err, STRATA_INVALID,
               "the thaw must come before the last of the %lld epochs, found %lld", (long long)recipe->epochs,
               (long long)options->thaw);
    recipe->train = options->train;
    recipe->body_share = rate / recipe->learning_rate;
    recipe->thaw = options->thaw;
    recipe->variants = options->variants == 0 ? STANDARD_VARIANTS : options->variants;
    if (recipe->augment.count == 0) {
        recipe->variants = 1;
    } else if (recipe->variants < 0 || st_augment_mixes(&recipe->augment)) {
        recipe->variants = 0;
    }
    return STRATA_OK;
}

strata_status st_recipe_fill(st_recipe *out, const strata_train_options *options, strata_error *err) {
    const strata_train_options none = {0};
    options = options != NULL ? options : &none;
    st_recipe recipe = {.epochs = options->epochs != 0 ? options->epochs : 10,
                        .learning_rate = options->learning_rate,
                        .momentum = options->momentum == 0.0 ? 0.9 : options->momentum,
                        .nesterov = options->nesterov,
                        .weight_decay = options->weight_decay,
                        .label_smoothing = options->label_smoothing,
                        .step_every = options->step_every,
                        .step_factor = options->step_factor == 0.0 ? 0.1 : options->step_factor,
                        .warmup = options->warmup,
                        .seed = options->seed,
                        .balance = options->balance,
                        .accumulate = options->accumulate != 0 ? options->accumulate : 1,
                        .patience = options->patience,
                        .clip = options->clip,
                        .ema = options->ema};
    ST_TRY(st_augment_parse(&recipe.augment, options->augment, err));
    ST_TRY(st_optimizer_parse(&recipe.optimizer, options->optimizer, err));
    int schedule = ST_SCHEDULE_ONECYCLE;
    if (options->schedule != NULL) {
        ST_TRY(find_word(&schedule, "schedule", options->schedule, schedules, ST_COUNT_OF(schedules), err));
    }
    recipe.schedule = (st_schedule)schedule;
    if (recipe.learning_rate == 0.0) {
        recipe.learning_rate = recipe.optimizer == ST_OPTIMIZER_ADAMW ? 0.001 : 0.05;
    }
    recipe.momentum = recipe.momentum < 0.0 ? 0.0 : recipe.momentum;
    if (recipe.step_every == 0.0) {
        recipe.step_every = (double)recipe.epochs / 3.0;
    }
    ST_FAIL_IF(recipe.epochs < 1 || recipe.epochs > 1000000, err, STRATA_INVALID,
               "epochs must be from 1 to 1,000,000, found %lld", (long long)recipe.epochs);
    ST_FAIL_IF(!is_between(recipe.learning_rate, 1e-12, 1e6), err, STRATA_INVALID,
               "the learning rate must be above 0, found %g", recipe.learning_rate);
    ST_FAIL_IF(!is_between(recipe.momentum, 0.0, 0.999999), err, STRATA_INVALID,
               "momentum must be from 0 to below 1, found %g", recipe.momentum);
    ST_FAIL_IF(!is_between(recipe.weight_decay, 0.0, 1e3), err, STRATA_INVALID,
               "weight decay must not be negative, found %g", recipe.weight_decay);
    ST_FAIL_IF(!is_between(recipe.label_smoothing, 0.0, 0.999), err, STRATA_INVALID,
               "label smoothing must be from 0 to below 1, found %g", recipe.label_smoothing);
    ST_FAIL_IF(!is_between(recipe.step_every, 1e-6, 1e9) || !is_between(recipe.step_factor, 0.0, 1.0), err,
               STRATA_INVALID, "the step schedule needs epochs above 0 and a factor from 0 to 1, found %g and %g",
               recipe.step_every, recipe.step_factor);
    ST_FAIL_IF(!is_between(recipe.warmup, 0.0, (double)recipe.epochs), err, STRATA_INVALID,
               "warm-up must be from 0 to all epochs, found %g", recipe.warmup);
    ST_FAIL_IF(recipe.nesterov && (recipe.momentum == 0.0 || recipe.optimizer != ST_OPTIMIZER_SGD), err, STRATA_INVALID,
               "Nesterov needs sgd with momentum");
    ST_FAIL_IF(recipe.accumulate < 1, err, STRATA_INVALID, "batches of a step must be at least 1, found %lld",
               (long long)recipe.accumulate);
    ST_FAIL_IF(recipe.patience < 0, err, STRATA_INVALID, "patience must not be negative, found %lld",
               (long long)recipe.patience);
    ST_FAIL_IF(!is_between(recipe.clip, 0.0, 1e30), err, STRATA_INVALID,
               "the norm that gradients are clipped to must be above 0, found %g", recipe.clip);
    ST_FAIL_IF(!is_between(recipe.ema, 0.0, 0.999999999), err, STRATA_INVALID,
               "the decay of the average must be from 0 to below 1, found %g", recipe.ema);
    if (options->step_at != NULL) {
        ST_TRY(parse_step_at(&recipe, options->step_at, err));
    }
    if (options->train != NULL) {
        ST_TRY(fill_tuning(&recipe, options, err));
    }
    *out = recipe;
    return STRATA_OK;
}

static int64_t drop_count(const st_recipe *recipe, double at, double epoch_steps) {
    if (recipe->step_at_count == 0) {
        return (int64_t)(at / (epoch_steps * recipe->step_every));
    }
    int64_t drops = 0;
    while (drops < recipe->step_at_count && at >= recipe->step_at[drops] * epoch_steps) {
        drops++;
    }
    return drops;
}

static double between(double from, double to, double share) {
    return to + (from - to) * 0.5 * (1.0 + st_cos(PI * share));
}

double st_schedule_rate(const st_recipe *recipe, int64_t step, int64_t epoch_steps, int64_t steps) {
    double rate = recipe->learning_rate;
    double warm = recipe->warmup * (double)epoch_steps;
    double at = (double)step, all = (double)steps;
    if (recipe->schedule == ST_SCHEDULE_ONECYCLE) {
        double first = rate / 25.0, last = first / 10000.0;
        double rise = recipe->warmup > 0.0 ? warm : 0.3 * all;
        rise = rise - 1.0 > 1.0 ? rise - 1.0 : 1.0;
        double fall = all - 1.0 - rise > 1.0 ? all - 1.0 - rise : 1.0;
        double share = at <= rise ? at / rise : (at - rise) / fall;
        share = share > 1.0 ? 1.0 : share;
        return at <= rise ? between(first, rate, share) : between(rate, last, share);
    }
    if (at < warm) {
        return rate * (at + 1.0) / (warm + 1.0);
    }
    if (recipe->schedule == ST_SCHEDULE_COSINE) {
        double length = all - warm > 1.0 ? all - warm : 1.0;
        return between(rate, 0.0, (at - warm) / length);
    }
    if (recipe->schedule == ST_SCHEDULE_STEP) {
        int64_t drops = drop_count(recipe, at, (double)epoch_steps);
        for (int64_t i = 0; i < drops && rate > 1e-30; i++) {
            rate *= recipe->step_factor;
        }
    }
    return rate;
}
