/* Every layer of the table, every line of its examples: forward against `reference`; the same bytes on every set of
 * kernels, with 1, 2 and 3 threads, with and without gaps between pixels, in a plan for more images; gradients that are
 * added; results in place; fused epilogues. */
#include "layer_case.h"

/* A sum of up to some thousand products in float against the same in double, relative to the root mean square of the
 * result: measured 2e-6 to 5e-6 (docs/numerics.md). */
static const double forward_tolerance = sizeof(st_real) == 4 ? 2e-5 : 1e-12;

static const int64_t batches[] = {1, 3, 17};

static double worst_relative(const st_real *a, const st_real *b, size_t count) {
    double square = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        square += (double)b[i] * (double)b[i];
        double apart = fabs((double)a[i] - (double)b[i]);
        worst = !(apart <= worst) ? apart : worst;
    }
    double size = sqrt(square / (double)(count > 0 ? count : 1));
    return worst / (size > 1e-3 ? size : 1e-3);
}

static const char *layout_name(const variant *how) {
    return how->layout == ST_LAYOUT_LANES ? "lanes" : "nhwc";
}

static void expect_close(const layer_case *it, const variant *how, const char *what, const st_real *found,
                         const st_real *expected, size_t count) {
    double worst = worst_relative(found, expected, count);
    if (!(worst <= forward_tolerance)) {
        fail_msg("%s, '%s', %s, %s, batch %lld, %s: off by %g", it->op->name, it->text, layout_name(how),
                 how->kernels->name, (long long)how->n, what, worst);
    }
}

static void expect_same(const layer_case *it, const variant *how, const char *what, const st_real *found,
                        const st_real *expected, size_t count) {
    if (memcmp(found, expected, count * sizeof(st_real)) == 0) {
        return;
    }
    size_t i = 0;
    while (memcmp(&found[i], &expected[i], sizeof(st_real)) == 0) {
        i++;
    }
    fail_msg("%s, '%s', %s, %s, batch %lld of %lld, %d threads%s%s: %s[%zu] is %a, not %a", it->op->name, it->text,
             layout_name(how), how->kernels->name, (long long)how->n, (long long)how->batch, how->threads,
             how->strided ? ", strided" : "", how->in_place ? ", in place" : "", what, i, (double)found[i],
             (double)expected[i]);
}

static void expect_all_same(const layer_case *it, const variant *how, const numbers *found, const numbers *expected) {
    size_t n = (size_t)how->n;
    if ((it->op->traits & ST_OP_IS_LOSS) != 0) {
        expect_same(it, how, "loss", found->losses, expected->losses, n);
        assert_memory_equal(found->ranks, expected->ranks, n * sizeof(int32_t));
    } else {
        expect_same(it, how, "out", found->out, expected->out, n * dims_count(it->out));
    }
    for (int i = 0; how->mode == ST_MODE_TRAIN && i < it->in_count; i++) {
        expect_same(it, how, "din", found->din[i], expected->din[i], n * dims_count(it->in[i]));
    }
    for (int i = 0; how->mode == ST_MODE_TRAIN && i < ST_OP_STATES; i++) {
        expect_same(it, how, it->op->state[i].name == NULL ? "" : it->op->state[i].name, found->dstate[i],
                    expected->dstate[i], state_count(it, i));
    }
}

/* ---- forward against reference ---- */

/* What the tests believe, into `out` (losses, ranks, running statistics in dstate). */
static void execute_reference(const layer_case *it, const variant *how, numbers *these) {
    bool needed[CASE_INPUTS] = {true, true, true, true};
    variant plain = *how;
    plain.layout = ST_LAYOUT_NHWC;
    st_site site = case_site(it, &plain, needed);
    st_run run = case_run(how, these);
    st_view in[CASE_INPUTS];
    for (int i = 0; i < it->in_count; i++) {
        in[i] = (st_view){.data = these->in[i], .dims = it->in[i], .pixel_stride = it->in[i].c};
    }
    st_call call = {.site = &site,
                    .run = &run,
                    .in = in,
                    .out = {.data = these->out, .dims = it->out, .pixel_stride = it->out.c},
                    .losses = these->losses,
                    .ranks = these->ranks};
    for (int i = 0; i < ST_OP_STATES; i++) {
        size_t bytes = state_count(it, i) * sizeof(st_real);
        if (bytes > 0) {
            memcpy(these->dstate[i], these->state[i], bytes);
            call.state[i] = these->dstate[i];
        }
    }
    if (how->epilogue && bias_state(it) >= 0) {
        call.state[bias_state(it)] = NULL;
    }
    it->op->reference(&call);
    size_t c = (size_t)it->out.c, count = (size_t)how->n * dims_count(it->out);
    for (size_t i = 0; how->epilogue && i < count; i++) {
        double y = (double)these->out[i] * (double)these->scale[i % c] + (double)these->shift[i % c];
        these->out[i] = (st_real)tanh(y + (double)these->residual[i]);
    }
}

static void compare_with_reference(const layer_case *it, const variant *how, st_pool *pool) {
    numbers found = numbers_make(it, how->n), expected = numbers_make(it, how->n);
    size_t n = (size_t)how->n;
    execute(it, how, pool, &found);
    execute_reference(it, how, &expected);
    if ((it->op->traits & ST_OP_IS_LOSS) != 0) {
        expect_close(it, how, "loss", found.losses, expected.losses, n);
        assert_memory_equal(found.ranks, expected.ranks, n * sizeof(int32_t));
    } else {
        expect_close(it, how, how->epilogue ? "out after its epilogue" : "out", found.out, expected.out,
                     n * dims_count(it->out));
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        bool is_statistic = it->op->state[i].name != NULL && !it->op->state[i].is_trained;
        if (is_statistic && how->mode == ST_MODE_TRAIN && !how->epilogue) {
            expect_close(it, how, it->op->state[i].name, found.dstate[i], expected.dstate[i], state_count(it, i));
        }
    }
    numbers_free(&found);
    numbers_free(&expected);
}

static void forward_equals_reference(const layer_case *it, st_pool *const *pools) {
    for (int layout = 0; layout < ST_LAYOUT_COUNT; layout++) {
        for (size_t b = 0; b < ST_COUNT_OF(batches); b++) {
            variant how = {.kernels = st_kernels_at(0),
                           .layout = (st_layout)layout,
                           .n = batches[b],
                           .batch = batches[b],
                           .threads = 1,
                           .mode = ST_MODE_TRAIN};
            if (!is_served(it, &how)) {
                continue;
            }
            compare_with_reference(it, &how, pools[0]);
            how.frozen = true;
            compare_with_reference(it, &how, pools[0]);
            how.frozen = false;
            how.mixed = (it->op->traits & ST_OP_IS_LOSS) != 0;
            compare_with_reference(it, &how, pools[0]);
            how.mixed = false;
            how.mode = ST_MODE_INFER;
            compare_with_reference(it, &how, pools[0]);
            if (it->op->impl[layout]->fuses_epilogue) {
                how.epilogue = true;
                compare_with_reference(it, &how, pools[0]);
                how.mode = ST_MODE_TRAIN;
                compare_with_reference(it, &how, pools[0]);
            }
        }
    }
}

static void test_forward_equals_reference(void **state) {
    each_example(forward_equals_reference, *state);
}

/* ---- the same bytes whatever varies ---- */

static void compare_bytes(const layer_case *it, const variant *how, st_pool *const *pools, const numbers *expected) {
    numbers found = numbers_make(it, how->n);
    execute(it, how, pools[how->threads - 1], &found);
    expect_all_same(it, how, &found, expected);
    numbers_free(&found);
}

static void vary(const layer_case *it, variant how, st_pool *const *pools, const numbers *expected) {
    for (size_t isa = 0; st_kernels_at(isa) != NULL; isa++) {
        how.kernels = st_kernels_at(isa);
        if (!st_kernels_runs(how.kernels)) {
            continue;
        }
        for (how.threads = 1; how.threads <= 3; how.threads++) {
            compare_bytes(it, &how, pools, expected);
        }
        how.threads = 2;
        how.strided = true;
        compare_bytes(it, &how, pools, expected);
        how.strided = false;
        how.batch = 19; /* prepared for more images than come */
        compare_bytes(it, &how, pools, expected);
        how.batch = how.n;
        if (it->op->impl[how.layout]->forward_in_place) {
            how.in_place = true;
            compare_bytes(it, &how, pools, expected);
            how.in_place = false;
        }
    }
}

/* Backward of a frozen layer, the fused epilogue, and a loss of mixed pictures are paths of their own. */
static void bytes_are_equal_in(const layer_case *it, st_pool *const *pools, st_layout layout, int64_t n) {
    for (int path = 0; path < 4; path++) {
        variant how = {.kernels = st_kernels_at(0),
                       .layout = layout,
                       .n = n,
                       .batch = n,
                       .threads = 1,
                       .mode = ST_MODE_TRAIN,
                       .frozen = path == 1,
                       .epilogue = path == 2,
                       .mixed = path == 3};
        bool is_alike = (path == 1 && (it->op->traits & ST_OP_IS_AFFINE) == 0) ||
                        (path == 2 && !it->op->impl[layout]->fuses_epilogue) ||
                        (path == 3 && (it->op->traits & ST_OP_IS_LOSS) == 0);
        if (is_alike) {
            continue;
        }
        numbers expected = numbers_make(it, n);
        execute(it, &how, pools[0], &expected);
        vary(it, how, pools, &expected);
        numbers_free(&expected);
    }
}

static void bytes_are_equal(const layer_case *it, st_pool *const *pools) {
    for (int layout = 0; layout < ST_LAYOUT_COUNT; layout++) {
        for (size_t b = 0; b < ST_COUNT_OF(batches); b++) {
            variant how = {.layout = (st_layout)layout, .n = batches[b], .batch = batches[b], .threads = 1};
            if (is_served(it, &how)) {
                bytes_are_equal_in(it, pools, (st_layout)layout, batches[b]);
            }
        }
    }
}

static void test_bytes_are_equal_on_every_isa_thread_count_and_stride(void **state) {
    each_example(bytes_are_equal, *state);
}

/* ---- gradients that are added ---- */

static void gradients_add(const layer_case *it, st_pool *const *pools) {
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
        numbers written = numbers_make(it, how.n), added = numbers_make(it, how.n);
        execute(it, &how, pools[0], &written);
        how.add = true;
        execute(it, &how, pools[0], &added);
        for (int i = 0; i < it->in_count; i++) {
            size_t count = (size_t)how.n * dims_count(it->in[i]);
            for (size_t j = 0; j < count; j++) {
                written.din[i][j] = written.in[i][j] + written.din[i][j];
            }
            expect_close(it, &how, "added din", added.din[i], written.din[i], count);
        }
        for (size_t isa = 1; st_kernels_at(isa) != NULL; isa++) {
            how.kernels = st_kernels_at(isa);
            if (st_kernels_runs(how.kernels)) {
                compare_bytes(it, &how, pools, &added);
            }
        }
        numbers_free(&written);
        numbers_free(&added);
    }
}

static void test_gradients_add_to_what_is_there(void **state) {
    each_example(gradients_add, *state);
}

/* ---- both layouts, where a layer has one code for both ---- */

static void layouts_draw_alike(const layer_case *it, st_pool *const *pools) {
    if ((it->op->traits & ST_OP_IS_TRAIN_ONLY) == 0) {
        return;
    }
    variant how = {.kernels = st_kernels_at(0), .n = 17, .batch = 17, .threads = 1, .mode = ST_MODE_TRAIN};
    numbers one = numbers_make(it, how.n), other = numbers_make(it, how.n);
    execute(it, &how, pools[0], &one);
    how.layout = ST_LAYOUT_LANES;
    execute(it, &how, pools[0], &other);
    expect_all_same(it, &how, &other, &one);
    numbers_free(&one);
    numbers_free(&other);
}

static void test_dropout_draws_the_same_in_both_layouts(void **state) {
    each_example(layouts_draw_alike, *state);
}

/* ---- main ---- */

static st_pool *pools[3];

static int make_pools(void **state) {
    for (int i = 0; i < 3; i++) {
        if (st_pool_create(&pools[i], i + 1, NULL) != STRATA_OK) {
            return -1;
        }
    }
    *state = pools;
    return 0;
}

static int free_pools(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        st_pool_free(pools[i]);
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_equals_reference),
        cmocka_unit_test(test_bytes_are_equal_on_every_isa_thread_count_and_stride),
        cmocka_unit_test(test_gradients_add_to_what_is_there),
        cmocka_unit_test(test_dropout_draws_the_same_in_both_layouts),
    };
    return cmocka_run_group_tests_name("layers", tests, make_pools, free_pools);
}
