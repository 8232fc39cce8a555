/* One step of the optimizer, in pieces of the weights that any thread may take: every weight moves by itself. And what
 * goes over all weights before and after it: the norm of the gradients, for clipping (Pascanu, Mikolov, Bengio 2013,
 * arXiv:1211.5063, section 3.2), and a moving average of the weights (Polyak, Juditsky 1992). */
#include "exec/exec.h"

#include <string.h>

/* Elements of one piece: 32 KiB of each tensor, so that a step over a small net is still shared by the threads. */
enum { PIECE = 8192 };

typedef struct update_state {
    st_model *model;
    st_real scale;
    bool is_adamw;
    st_sgd sgd[2][2]; /* [body][decayed] */
    st_adamw adamw[2][2];
} update_state;

/* ---- pieces ----------------------------------------------------------------------------------------------------- */

static int64_t pieces_of(size_t count) {
    return ((int64_t)count + PIECE - 1) / PIECE;
}

int64_t st_model_piece_count(const st_model *model) {
    int64_t pieces = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        pieces += model->parameters[i].moves ? pieces_of(model->parameters[i].native_count) : 0;
    }
    return pieces;
}

typedef struct piece {
    const st_parameter *parameter;
    int64_t begin, count;
} piece;

/* Piece `item` of all that moves. */
static piece piece_at(const st_model *model, int64_t item) {
    const st_parameter *parameter = model->parameters;
    while (!parameter->moves || item >= pieces_of(parameter->native_count)) {
        item -= parameter->moves ? pieces_of(parameter->native_count) : 0;
        parameter++;
    }
    int64_t begin = item * PIECE, left = (int64_t)parameter->native_count - begin;
    return (piece){parameter, begin, left < PIECE ? left : PIECE};
}

/* ---- the optimizer ---------------------------------------------------------------------------------------------- */

static void update_piece(void *arg, int64_t item, int thread) {
    const update_state *state = arg;
    (void)thread;
    piece at = piece_at(state->model, item);
    const st_parameter *parameter = at.parameter;
    if (!parameter->is_trained) {
        return;
    }
    bool body = parameter->is_body, decays = parameter->node->state[parameter->state].spec->is_decayed;
    const st_kernels *kernels = state->model->kernels;
    st_real *gradient = parameter->gradient + at.begin;
    for (int64_t i = 0; i < at.count && state->scale < (st_real)1; i++) {
        gradient[i] *= state->scale;
    }
    if (state->is_adamw) {
        kernels->adamw(&state->adamw[body][decays], parameter->value + at.begin, gradient,
                       parameter->slots[0] + at.begin, parameter->slots[1] + at.begin, at.count);
    } else {
        kernels->sgd(&state->sgd[body][decays], parameter->value + at.begin, gradient, parameter->slots[0] + at.begin,
                     at.count);
    }
}

static st_adamw adamw_of(const st_update *update, double rate, bool decays) {
    double t = (double)update->step + 1.0;
    double first = 1.0 - st_pow(update->beta1, t), second = 1.0 - st_pow(update->beta2, t);
    return (st_adamw){.keep = decays ? (st_real)(1.0 - rate * update->weight_decay) : (st_real)1,
                      .step = (st_real)(rate / first),
                      .root = (st_real)(1.0 / st_sqrt(second)),
                      .beta1 = (st_real)update->beta1,
                      .beta2 = (st_real)update->beta2,
                      .epsilon = (st_real)update->epsilon};
}

static st_sgd sgd_of(const st_update *update, double rate, bool decays) {
    return (st_sgd){.learning_rate = (st_real)rate,
                    .momentum = (st_real)update->momentum,
                    .weight_decay = decays ? (st_real)update->weight_decay : (st_real)0,
                    .is_nesterov = update->nesterov,
                    .is_first = update->step == 0};
}

st_update st_update_standard(st_optimizer optimizer) {
    return (st_update){.optimizer = optimizer,
                       .momentum = 0.9,
                       .scale = 1.0,
                       .beta1 = 0.9,
                       .beta2 = 0.999,
                       .epsilon = 1e-8,
                       .body_share = 1.0};
}

void st_model_update(st_model *model, const st_update *update) {
    update_state state = {
        .model = model, .scale = (st_real)update->scale, .is_adamw = update->optimizer == ST_OPTIMIZER_ADAMW};
    for (int body = 0; body < 2; body++) {
        double rate = body == 1 ? update->learning_rate * update->body_share : update->learning_rate;
        for (int decays = 0; decays < 2; decays++) {
            state.adamw[body][decays] = adamw_of(update, rate, decays == 1);
            state.sgd[body][decays] = sgd_of(update, rate, decays == 1);
        }
    }
    st_pool_for(model->pool, st_model_piece_count(model), update_piece, &state);
}

/* ---- the norm of the gradients ---------------------------------------------------------------------------------- */

static void sum_piece(void *arg, int64_t item, int thread) {
    enum { LANES = 16 }; /* docs/numerics.md, rule 6; in double */
    st_model *model = arg;
    (void)thread;
    piece at = piece_at(model, item);
    double sums[LANES] = {0};
    const st_real *x = at.parameter->is_trained ? at.parameter->gradient + at.begin : NULL;
    for (int64_t i = 0; x != NULL && i < at.count; i += LANES) {
        int64_t end = at.count - i < LANES ? at.count - i : LANES;
        for (int64_t lane = 0; lane < end; lane++) {
            sums[lane] += (double)x[i + lane] * (double)x[i + lane];
        }
    }
    for (int half = LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) {
            sums[lane] += sums[lane + half];
        }
    }
    model->piece_sums[item] = sums[0];
}

double st_model_gradient_norm(st_model *model) {
    int64_t pieces = st_model_piece_count(model);
    double sum = 0.0;
    st_pool_for(model->pool, pieces, sum_piece, model);
    for (int64_t i = 0; i < pieces; i++) {
        sum += model->piece_sums[i];
    }
    return st_sqrt(sum);
}

/* ---- the moving average ----------------------------------------------------------------------------------------- */

typedef struct average_state {
    st_model *model;
    st_real share;
} average_state;

/* Rule 9: what is next to nothing becomes 0. */
static st_real flush(st_real x) {
    const st_real least = (st_real)0x1p-100;
    return x < least && x > -least ? (st_real)0 : x;
}

static void average_piece(void *arg, int64_t item, int thread) {
    const average_state *state = arg;
    (void)thread;
    piece at = piece_at(state->model, item);
    const st_real *value = at.parameter->value + at.begin;
    st_real *average = at.parameter->average + at.begin;
    if (state->share == (st_real)1) {
        memcpy(average, value, (size_t)at.count * sizeof *average);
        return;
    }
    for (int64_t i = 0; i < at.count; i++) {
        average[i] = flush(average[i] + state->share * (value[i] - average[i]));
    }
}

void st_model_average(st_model *model, double share) {
    average_state state = {model, (st_real)share};
    st_pool_for(model->pool, st_model_piece_count(model), average_piece, &state);
}

static void swap_piece(void *arg, int64_t item, int thread) {
    const st_model *model = arg;
    (void)thread;
    piece at = piece_at(model, item);
    st_real *value = at.parameter->value + at.begin, *average = at.parameter->average + at.begin;
    for (int64_t i = 0; i < at.count; i++) {
        st_real kept = value[i];
        value[i] = average[i];
        average[i] = kept;
    }
}

void st_model_show_average(st_model *model, bool shows) {
    if (model->options.averages && model->shows_average != shows) {
        st_pool_for(model->pool, st_model_piece_count(model), swap_piece, model);
        model->shows_average = shows;
    }
}

/* ---- what went wrong -------------------------------------------------------------------------------------------- */

const char *st_model_first_not_finite(const st_model *model, bool gradients) {
    for (size_t i = 0; i < model->parameter_count; i++) {
        const st_parameter *parameter = &model->parameters[i];
        const st_real *values = gradients ? parameter->is_trained ? parameter->gradient : NULL : parameter->value;
        int64_t count = (int64_t)parameter->native_count;
        if (values != NULL && model->kernels->first_non_finite(values, count) < count) {
            return parameter->node->state[parameter->state].path;
        }
    }
    return NULL;
}
