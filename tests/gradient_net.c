/* Whole nets in double precision: the gradient of the loss in every kind of weight against central differences. The
 * nets branch, share values, fuse epilogues, slice concats and have a side head. Linked with the library built on
 * double: there the difference quotient is good to about 1e-9, so that 1e-6 leaves no room for a wrong term. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exec/exec.h"
#include "lab.h"

enum { BATCH = 5, CLASSES = 4, TRIES = 6 };
static const double STEP = 1e-5, TOLERANCE = 1e-6;

typedef struct lab {
    st_arena *arena;
    st_pool *pool;
    const st_graph *graph;
    st_model *model;
    st_real *values;
    int32_t labels[BATCH];
} lab;

static void make_lab(lab *l, const char *text, int64_t again_from) {
    strata_error err = {0};
    const st_tree *tree = NULL;
    *l = (lab){0};
    must(st_arena_create(&l->arena, &err), &err);
    must(st_pool_create(&l->pool, 2, &err), &err);
    must(st_lang_parse(&tree, l->arena, "test.net", text, strlen(text), &err), &err);
    must(st_graph_build(&l->graph, l->arena, tree, NULL, NULL, &err), &err);
    st_model_options options = {.batch = BATCH, .train = true, .slot_count = 1, .seed = 5, .again_from = again_from};
    must(st_model_create(&l->model, l->pool, st_kernels_at(0), l->graph, &options, &err), &err);
    size_t count = (size_t)(BATCH * l->graph->input.h * l->graph->input.w * l->graph->input.c);
    must(st_arena_alloc(&l->values, l->arena, count, sizeof *l->values, &err), &err);
    for (size_t i = 0; i < count; i++) {
        l->values[i] = (st_real)st_rng_normal(9, st_rng_stream(ST_STREAM_TEST, 1), i);
    }
    for (int i = 0; i < BATCH; i++) {
        l->labels[i] = i % CLASSES;
    }
}

static double loss_of(lab *l) {
    st_feed feed = {.values = l->values, .labels = l->labels, .n = BATCH, .step = 7, .label_smoothing = 0.1};
    st_model_gradients(l->model, &feed);
    double sum = 0.0;
    for (int i = 0; i < l->graph->output_count; i++) {
        const st_real *losses = st_exec_losses(l->model->train, i);
        for (int n = 0; losses != NULL && n < BATCH; n++) {
            sum += (double)losses[n] * l->graph->outputs[i].weight / BATCH;
        }
    }
    return sum;
}

static void check_parameter(lab *l, size_t p) {
    const st_parameter *parameter = &l->model->parameters[p];
    st_arena *arena = NULL;
    strata_error err = {0};
    st_real *value = NULL, *gradient = NULL;
    must(st_arena_create(&arena, &err), &err);
    must(st_arena_alloc(&value, arena, parameter->published_count, sizeof *value, &err), &err);
    must(st_arena_alloc(&gradient, arena, parameter->published_count, sizeof *gradient, &err), &err);
    (void)loss_of(l);
    st_model_get(l->model, p, 2, gradient);
    st_model_get(l->model, p, -1, value);
    for (uint64_t t = 0; t < TRIES; t++) {
        size_t i = (size_t)(st_rng_bits(11, st_rng_stream(ST_STREAM_TEST, p), t) % parameter->published_count);
        st_real kept = value[i];
        value[i] = (st_real)((double)kept + STEP);
        st_model_set(l->model, p, -1, value);
        double up = loss_of(l);
        value[i] = (st_real)((double)kept - STEP);
        st_model_set(l->model, p, -1, value);
        double down = loss_of(l);
        value[i] = kept;
        st_model_set(l->model, p, -1, value);
        double expected = (up - down) / (2.0 * STEP), found = (double)gradient[i];
        if (fabs(found - expected) > TOLERANCE * (1.0 + fabs(expected))) {
            fail_msg("%s[%zu]: gradient %.10g, by differences %.10g", parameter->node->state[parameter->state].path, i,
                     found, expected);
        }
    }
    st_arena_free(arena);
}

static void free_lab(lab *l) {
    st_model_free(l->model);
    st_pool_free(l->pool);
    st_arena_free(l->arena);
}

/* Every value that can be computed twice is: the memory in between belongs to others. */
static void check_net(const char *text) {
    lab l;
    make_lab(&l, text, 1);
    for (size_t p = 0; p < l.model->parameter_count; p++) {
        if (l.model->parameters[p].is_trained) {
            check_parameter(&l, p);
        }
    }
    free_lab(&l);
}

static void test_gradient_image_lanes(void **state) {
    (void)state;
    check_net("network n {\ninput 12x12x2\nc1: conv 5x5 3 pad=2, tanh\navgpool 2x2 stride=2\n"
              "add {\n| conv 3x3 3 pad=1, sigmoid\n| identity\n}\n"
              "concat {\n| conv 3x3 4 stride=2 pad=1 groups=1\n| maxpool 2x2 stride=2\n}\ndropout 0.3\n"
              "flatten\nfc 7, tanh\nfc 4\noutput logits loss=cross_entropy\n}\n");
}

/* The same layers with few channels, in the image-lane layout: there gradients of weights wait for the end of the pass,
 * batch norm's must not. */
static void test_gradient_norm_in_image_lanes(void **state) {
    (void)state;
    check_net("network n {\ninput 8x8x2\nconv 3x3 6 pad=1 bias=no, bn, tanh\nmaxpool 2x2 stride=2\n"
              "add {\n| conv 3x3 8 pad=1 bias=no, bn, sigmoid\n  conv 3x3 8 pad=1 groups=2, bn\n| conv 1x1 8, bn\n}\n"
              "tanh\navgpool global\nfc 4\noutput logits loss=cross_entropy\n}\n");
}

/* Both values are computed twice, the second from the first. */
static void test_gradient_norm_behind_norm(void **state) {
    (void)state;
    check_net("network n {\ninput 8x8x3\nconv 3x3 20 pad=1 bias=no, bn, bn, tanh\nconv 3x3 8, tanh\n"
              "avgpool global\nfc 4\noutput logits loss=cross_entropy\n}\n");
}

static void test_gradient_residual_with_norm(void **state) {
    (void)state;
    check_net(
        "network n {\ninput 8x8x3\nconv 3x3 20 pad=1 bias=no, bn, tanh\nmaxpool 2x2 stride=2\n"
        "add {\n| conv 3x3 24 pad=1 bias=no, bn, sigmoid\n  conv 3x3 24 pad=1 groups=2, bn\n| conv 1x1 24, bn\n}\n"
        "tanh\nadd {\n| conv 3x3 24 pad=2 dilation=2, bn\n| identity\n}\ntanh\navgpool global\nfc 4\n"
        "output logits loss=cross_entropy\n}\n");
}

static void test_gradient_inception_with_side_head(void **state) {
    (void)state;
    check_net(
        "network n {\ninput 9x7x3\na: conv 3x3 18 stride=2 pad=same, tanh\n"
        "concat {\n| conv 1x1 6, tanh\n| conv 1x1 5, tanh, conv 3x3 7 pad=1, tanh\n| avgpool 3x3 stride=1 pad=1\n}\n"
        "side when=train { avgpool global, fc 4, output aux loss=cross_entropy weight=0.3 }\n"
        "concat {\n| identity\n| take a\n}\nfc 9, sigmoid\nfc 4\noutput logits loss=cross_entropy\n}\n");
}

/* A slice of a concat that is read outside of it as well: its gradient has two contributions. */
static void test_gradient_slice_with_another_reader(void **state) {
    (void)state;
    check_net("network n {\ninput 6x6x3\na: conv 3x3 20 pad=1, tanh\n"
              "concat {\n| b: { conv 3x3 8 pad=1, tanh }\n| conv 1x1 12, tanh\n}\nc: conv 1x1 20, tanh\n"
              "add {\n| conv 3x3 20 pad=1\n| take a\n| take c\n}\navgpool 2x2 stride=2\nfc 4\n"
              "output logits loss=cross_entropy\n}\n");
}

/* Computing values again gives the same bits as keeping them, in less memory. */
static void test_gradient_same_bits_when_computed_again(void **state) {
    (void)state;
    static const char *const text =
        "network n {\ninput 24x24x3\nconv 3x3 32 pad=1 bias=no, bn, relu\nconv 3x3 32 pad=1 bias=no, bn, relu\n"
        "maxpool 3x3 stride=2\nadd {\n| conv 3x3 32 pad=1 bias=no, bn, tanh\n  conv 3x3 32 pad=1 bias=no, bn\n"
        "| identity\n}\nrelu\nconv 1x1 40 bias=no, bn, relu\navgpool global\nfc 4\n"
        "output logits loss=cross_entropy\n}\n";
    lab kept, again;
    make_lab(&kept, text, INT64_MAX);
    make_lab(&again, text, 1);
    assert_true(st_exec_plan(again.model->train)->arena_bytes < st_exec_plan(kept.model->train)->arena_bytes);
    assert_true(loss_of(&kept) == loss_of(&again));
    for (size_t p = 0; p < kept.model->parameter_count; p++) {
        const st_parameter *x = &kept.model->parameters[p], *y = &again.model->parameters[p];
        if (x->is_trained) {
            assert_memory_equal(x->gradient, y->gradient, x->native_count * sizeof(st_real));
        }
    }
    free_lab(&kept);
    free_lab(&again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_image_lanes),
        cmocka_unit_test(test_gradient_norm_in_image_lanes),
        cmocka_unit_test(test_gradient_norm_behind_norm),
        cmocka_unit_test(test_gradient_residual_with_norm),
        cmocka_unit_test(test_gradient_inception_with_side_head),
        cmocka_unit_test(test_gradient_slice_with_another_reader),
        cmocka_unit_test(test_gradient_same_bits_when_computed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
