/* One step of the optimizer, in pieces of the weights that any thread may take: every weight moves by itself. */
#include "exec/exec.h"

/* Elements of one piece: 32 KiB of each tensor, so that a step over a small net is still shared by the threads. */
enum { PIECE = 8192 };

typedef struct update_state {
    st_model *model;
    bool is_adamw;
    st_sgd sgd, sgd_undecayed;
    st_adamw adamw, adamw_undecayed;
} update_state;

static int64_t piece_count(const st_parameter *parameter) {
    return parameter->is_trained ? ((int64_t)parameter->native_count + PIECE - 1) / PIECE : 0;
}

static void update_piece(void *arg, int64_t item, int thread) {
    const update_state *state = arg;
    (void)thread;
    const st_parameter *parameter = state->model->parameters;
    while (item >= piece_count(parameter)) {
        item -= piece_count(parameter++);
    }
    bool decays = parameter->node->state[parameter->state].spec->is_decayed;
    int64_t begin = item * PIECE, left = (int64_t)parameter->native_count - begin;
    int64_t count = left < PIECE ? left : PIECE;
    const st_kernels *kernels = state->model->kernels;
    if (state->is_adamw) {
        kernels->adamw(decays ? &state->adamw : &state->adamw_undecayed, parameter->value + begin,
                       parameter->gradient + begin, parameter->slots[0] + begin, parameter->slots[1] + begin, count);
    } else {
        kernels->sgd(decays ? &state->sgd : &state->sgd_undecayed, parameter->value + begin,
                     parameter->gradient + begin, parameter->slots[0] + begin, count);
    }
}

static void set_adamw(update_state *state, const st_update *update) {
    double t = (double)update->step + 1.0;
    double first = 1.0 - st_pow(update->beta1, t), second = 1.0 - st_pow(update->beta2, t);
    state->adamw = (st_adamw){.keep = (st_real)(1.0 - update->learning_rate * update->weight_decay),
                              .step = (st_real)(update->learning_rate / first),
                              .root = (st_real)(1.0 / st_sqrt(second)),
                              .beta1 = (st_real)update->beta1,
                              .beta2 = (st_real)update->beta2,
                              .epsilon = (st_real)update->epsilon};
    state->adamw_undecayed = state->adamw;
    state->adamw_undecayed.keep = (st_real)1;
}

st_update st_update_standard(st_optimizer optimizer) {
    return (st_update){.optimizer = optimizer, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

void st_model_update(st_model *model, const st_update *update) {
    update_state state = {.model = model, .is_adamw = update->optimizer == ST_OPTIMIZER_ADAMW};
    if (state.is_adamw) {
        set_adamw(&state, update);
    } else {
        state.sgd = (st_sgd){.learning_rate = (st_real)update->learning_rate,
                             .momentum = (st_real)update->momentum,
                             .weight_decay = (st_real)update->weight_decay,
                             .is_nesterov = update->nesterov,
                             .is_first = update->step == 0};
        state.sgd_undecayed = state.sgd;
        state.sgd_undecayed.weight_decay = (st_real)0;
    }
    int64_t items = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        items += piece_count(&model->parameters[i]);
    }
    st_pool_for(model->pool, items, update_piece, &state);
}
