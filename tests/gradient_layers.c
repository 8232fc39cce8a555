/* Gradients of every layer of the table, every line of its examples, both layouts, against central differences.
 * Compiled and linked with -DST_REAL_DOUBLE: in double a difference has eleven digits. */
#include "layer_case.h"

/* (f(x + h) - f(x - h)) / 2h: with h = 1e-5 the third derivative leaves about 1e-10 and rounding about 1e-11 of the
 * sum's size; one in ten million of the largest gradient is far above both and far below any wrong formula. */
static const double gradient_tolerance = 1e-7;
static const double difference = 1e-5;
enum { ELEMENTS = 100 }; /* of each tensor, evenly spread */

/* What the gradients are those of: the sum of out * dout, of a loss as the trainer weighs it. */
static double objective(const layer_case *it, const variant *how, st_pool *pool, numbers *these) {
    execute(it, how, pool, these);
    double sum = 0;
    if ((it->op->traits & ST_OP_IS_LOSS) != 0) {
        for (int64_t i = 0; i < how->n; i++) {
            sum += (double)these->losses[i] * 0.3 / (double)how->n;
        }
        return sum;
    }
    for (size_t i = 0; i < (size_t)how->n * dims_count(it->out); i++) {
        sum += (double)these->out[i] * (double)these->dout[i];
    }
    return sum;
}

static void compare(const layer_case *it, const variant *how, st_pool *pool, numbers *these, st_real *values,
                    const st_real *gradient, size_t count, const char *what) {
    double largest = 1e-3;
    for (size_t i = 0; i < count; i++) {
        largest = fabs((double)gradient[i]) > largest ? fabs((double)gradient[i]) : largest;
    }
    variant forward = *how;
    forward.forward_only = true;
    size_t step = count / ELEMENTS + 1;
    for (size_t i = 0; i < count; i += step) {
        st_real old = values[i];
        values[i] = (st_real)((double)old + difference);
        double above = objective(it, &forward, pool, these);
        values[i] = (st_real)((double)old - difference);
        double below = objective(it, &forward, pool, these);
        values[i] = old;
        double expected = (above - below) / (2 * difference), apart = fabs((double)gradient[i] - expected);
        if (!(apart <= gradient_tolerance * largest)) {
            fail_msg("%s, '%s', %s%s: d%s[%zu] is %.12g, differences say %.12g", it->op->name, it->text,
                     how->layout == ST_LAYOUT_LANES ? "lanes" : "nhwc", how->frozen ? ", frozen" : "", what, i,
                     (double)gradient[i], expected);
        }
    }
}

static st_real *copy_of(const st_real *values, size_t count) {
    st_real *copy = get_memory(count * sizeof(st_real));
    memcpy(copy, values, count * sizeof(st_real));
    return copy;
}

static void check_variant(const layer_case *it, const variant *how, st_pool *pool) {
    numbers these = numbers_make(it, how->n);
    objective(it, how, pool, &these);
    st_real *din[CASE_INPUTS], *dstate[ST_OP_STATES];
    for (int i = 0; i < it->in_count; i++) {
        din[i] = copy_of(these.din[i], (size_t)how->n * dims_count(it->in[i]));
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        dstate[i] = copy_of(these.dstate[i], state_count(it, i));
    }
    for (int i = 0; i < it->in_count; i++) {
        compare(it, how, pool, &these, these.in[i], din[i], (size_t)how->n * dims_count(it->in[i]), "in");
        free(din[i]);
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        if (it->op->state[i].is_trained) {
            compare(it, how, pool, &these, these.state[i], dstate[i], state_count(it, i), it->op->state[i].name);
        }
        free(dstate[i]);
    }
    numbers_free(&these);
}

static void gradients_equal_differences(const layer_case *it, st_pool *const *pools) {
    for (int layout = 0; layout < ST_LAYOUT_COUNT; layout++) {
        variant how = {.kernels = st_kernels_at(0),
                       .layout = (st_layout)layout,
                       .n = 3,
                       .batch = 3,
                       .threads = 1,
                       .mode = ST_MODE_TRAIN};
        if (!is_served(it, &how)) {
            continue;
        }
        check_variant(it, &how, pools[0]);
        if ((it->op->traits & ST_OP_IS_AFFINE) != 0) {
            how.frozen = true;
            check_variant(it, &how, pools[0]);
        }
        if ((it->op->traits & ST_OP_IS_LOSS) != 0) {
            how.mixed = true;
            check_variant(it, &how, pools[0]);
        }
    }
}

static void test_gradients_equal_central_differences(void **state) {
    each_example(gradients_equal_differences, *state);
}

int main(void) {
    if (sizeof(st_real) != sizeof(double)) {
        printf("skip: gradients are compared in the double build only\n");
        return 77;
    }
    st_pool *pool;
    if (st_pool_create(&pool, 1, NULL) != STRATA_OK) {
        return 1;
    }
    st_pool *state[1] = {pool};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_gradients_equal_central_differences, state),
    };
    int failed = cmocka_run_group_tests_name("gradients of layers", tests, NULL, NULL);
    st_pool_free(pool);
    return failed;
}
