/* lrn and lrn_backward on random shapes, both layouts, all sizes of the window, beta through square roots and through
 * exp and log: every set gives portable's bytes. Portable itself is believed because tests/sweep_layers.c compares it
 * with naive loops, and tests/gradient_layers.c with differences. */
#include "sweep_guarded.h"

typedef struct lrn_case {
    st_lrn work;
    guarded in, dout, out;
    st_real *scratch;
} lrn_case;

static lrn_case lrn_make(uint64_t *state) {
    static const double betas[] = {0.75, 0.75, 0.5, 1, 0, 2.25};
    int lanes = pick_lanes(state);
    int64_t rows = pick(state, 1, 40), channels = pick(state, 1, lanes == 1 ? 150 : 20), width = channels * lanes;
    int64_t strides[3];
    for (int i = 0; i < 3; i++) {
        strides[i] = width + (flip(state) ? 0 : pick(state, 1, 20));
    }
    int size = flip(state) ? 5 : 1 + 2 * (int)pick(state, 0, 12);
    lrn_case it = {.in = guarded_make(state, rows * strides[0]),
                   .dout = guarded_make(state, rows * strides[1]),
                   .out = guarded_make(state, rows * strides[2])};
    size_t count = ST_LRN_SCRATCH_COUNT(width, size / 2 * lanes);
    it.scratch = malloc(count * sizeof(st_real));
    assert_non_null(it.scratch);
    memset(it.scratch, 0xff, count * sizeof(st_real));
    it.work = (st_lrn){.rows = rows,
                       .channels = channels,
                       .lanes = lanes,
                       .size = size,
                       .alpha = flip(state) ? (st_real)1e-4 : (st_real)0.5,
                       .beta = (st_real)betas[pick(state, 0, ST_COUNT_OF(betas) - 1)],
                       .k = flip(state) ? 2 : (st_real)0.01,
                       .in = it.in.data,
                       .dout = it.dout.data,
                       .out = it.out.data,
                       .in_stride = strides[0],
                       .dout_stride = strides[1],
                       .out_stride = strides[2],
                       .scratch = it.scratch,
                       .add = flip(state)};
    return it;
}

static void lrn_free(lrn_case *it) {
    free(it->in.memory);
    free(it->dout.memory);
    free(it->scratch);
}

void sweep_lrn(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 20000;
    for (int i = 0; i < 2 * CASES; i++) {
        lrn_case it = lrn_make(&state);
        guarded same = guarded_copy(&it.out);
        kernels->lrn(&it.work);
        it.work.out = same.data;
        reference->lrn(&it.work);
        expect_equal(kernels, "lrn", &it.out, &same);
        lrn_free(&it);
    }
}

void sweep_lrn_backward(const st_kernels *reference, const st_kernels *kernels) {
    uint64_t state = 21000;
    for (int i = 0; i < 2 * CASES; i++) {
        lrn_case it = lrn_make(&state);
        guarded same = guarded_copy(&it.out);
        kernels->lrn_backward(&it.work);
        it.work.out = same.data;
        reference->lrn_backward(&it.work);
        expect_equal(kernels, "lrn_backward", &it.out, &same);
        lrn_free(&it);
    }
}
