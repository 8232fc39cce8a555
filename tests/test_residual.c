/* Why residual networks can be deep: He, Zhang, Ren, Sun 2015, arXiv:1512.03385.
 *
 * A residual block adds what its layers compute to what came in. With nothing computed (weights of zero, or a last
 * batch norm that scales by zero) it hands its input on, bit for bit, so that depth costs nothing at the start: 152
 * layers begin as the few that are not identities, and the gradient comes through to the first layer as it does in
 * those few. Without shortcuts the same 152 layers do not learn. The blocks end in a relu: what is handed on is not
 * negative, as what comes out of a relu before them never is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "exec/exec.h"
#include "lab.h"

enum { BATCH = 8, THREADS = 2 };

typedef struct lab {
    st_arena *arena;
    st_pool *pool;
    const st_graph *graph;
    st_model *model;
    st_real *values;
    int32_t labels[BATCH];
} lab;

/* Noise: nothing but its own pixels tells a picture's class, so that a loss that falls is learned by heart. */
static void make_pictures(lab *l) {
    strata_error err = {0};
    st_dims input = l->graph->input;
    size_t count = (size_t)(input.h * input.w * input.c);
    int64_t classes = l->graph->nodes[l->graph->outputs[l->graph->main_output].node].out.c;
    must(st_arena_alloc(&l->values, l->arena, BATCH * count, sizeof *l->values, &err), &err);
    for (size_t i = 0; i < BATCH * count; i++) {
        l->values[i] = (st_real)st_rng_normal(7, st_rng_stream(ST_STREAM_TEST, 1), i);
    }
    for (int n = 0; n < BATCH; n++) {
        l->labels[n] = (int32_t)(n % classes);
    }
}

/* `text`: a net, or the name of one of the zoo. */
static lab make_lab(const char *text, const char *settings, bool train, bool keep_values) {
    lab l = {0};
    strata_error err = {0};
    const st_tree *tree = NULL;
    must(st_arena_create(&l.arena, &err), &err);
    must(st_pool_create(&l.pool, THREADS, &err), &err);
    if (strchr(text, '{') != NULL) {
        must(st_lang_parse(&tree, l.arena, "test.net", text, strlen(text), &err), &err);
    } else {
        must(st_lang_load(&tree, l.arena, text, &err), &err);
    }
    must(st_graph_build(&l.graph, l.arena, tree, settings, NULL, &err), &err);
    st_model_options options = {
        .batch = BATCH, .train = train, .slot_count = train ? 1 : 0, .seed = 3, .keep_values = keep_values};
    must(st_model_create(&l.model, l.pool, best_kernels(), l.graph, &options, &err), &err);
    make_pictures(&l);
    return l;
}

static void free_lab(lab *l) {
    st_model_free(l->model);
    st_pool_free(l->pool);
    st_arena_free(l->arena);
}

/* With gradients, or as in inference; the loss of the batch. */
static double run(lab *l, bool train) {
    st_feed feed = {.values = l->values, .labels = l->labels, .n = BATCH};
    if (train) {
        st_model_gradients(l->model, &feed);
    } else {
        st_model_infer(l->model, &feed);
    }
    const st_real *losses = st_exec_losses(train ? l->model->train : l->model->infer, l->graph->main_output);
    double sum = 0;
    for (int n = 0; n < BATCH; n++) {
        sum += (double)losses[n] / BATCH;
    }
    return sum;
}

/* The last node of a block is its relu. */
static int last_node(const st_graph *graph, const char *block) {
    int found = -1;
    for (int i = 0; i < graph->node_count; i++) {
        found = strncmp(graph->nodes[i].path, block, strlen(block)) == 0 ? i : found;
    }
    assert_true(found >= 0);
    return found;
}

static int find_node(const st_graph *graph, const char *path) {
    int node = last_node(graph, path);
    assert_string_equal(graph->nodes[node].path, path);
    return node;
}

static void assert_same_values(const lab *l, bool train, int a, int b) {
    static st_real first[1 << 15], second[1 << 15];
    const st_exec *exec = train ? l->model->train : l->model->infer;
    st_dims d = l->graph->nodes[a].out;
    size_t bytes = (size_t)(d.h * d.w * d.c) * sizeof(st_real);
    assert_true(bytes <= sizeof first);
    for (int n = 0; n < BATCH; n++) {
        st_exec_value(exec, a, n, first);
        st_exec_value(exec, b, n, second);
        assert_memory_equal(first, second, bytes);
    }
}

/* ---- a block --------------------------------------------------------------------------------------------------- */

/* Two blocks between a relu and an output without weights, and the same without the blocks. */
static const char basic_blocks[] = "include \"blocks/residual.net\"\n"
                                   "network blocks {\n"
                                   "    input 6x6x16\n"
                                   "    before: relu\n"
                                   "    body: { basic 16, basic 16 }\n"
                                   "    avgpool global\n"
                                   "    output logits loss=cross_entropy\n"
                                   "}\n";
static const char bottleneck_blocks[] = "include \"blocks/residual.net\"\n"
                                        "network blocks {\n"
                                        "    input 6x6x16\n"
                                        "    before: relu\n"
                                        "    body: { bottleneck 4, bottleneck 4 }\n"
                                        "    avgpool global\n"
                                        "    output logits loss=cross_entropy\n"
                                        "}\n";
static const char no_blocks[] = "network blocks {\n"
                                "    input 6x6x16\n"
                                "    before: relu\n"
                                "    avgpool global\n"
                                "    output logits loss=cross_entropy\n"
                                "}\n";

static void set_weights_to_zero(lab *l) {
    for (size_t i = 0; i < l->model->parameter_count; i++) {
        if (strcmp(l->model->parameters[i].node->op->name, "conv") == 0) {
            memset(l->model->scratch, 0, l->model->parameters[i].published_count * sizeof(st_real));
            st_model_set(l->model, i, -1, l->model->scratch);
        }
    }
}

/* `settings` NULL: weights of zero; else random weights and what the settings say. */
static void check_identity(const char *text, const char *settings) {
    for (int train = 0; train < 2; train++) {
        lab whole = make_lab(text, settings, true, true), fused = make_lab(text, settings, true, false);
        lab none = make_lab(no_blocks, NULL, true, false);
        if (settings == NULL) {
            set_weights_to_zero(&whole);
            set_weights_to_zero(&fused);
        }
        run(&whole, train);
        assert_same_values(&whole, train, find_node(whole.graph, "before"), last_node(whole.graph, "body.0."));
        assert_same_values(&whole, train, find_node(whole.graph, "before"), last_node(whole.graph, "body.1."));
        /* The plan that training and inference really use, seen from its end. */
        double loss = run(&fused, train), expected = run(&none, train);
        assert_memory_equal(&loss, &expected, sizeof loss);
        for (int n = 0; n < BATCH; n++) {
            st_real a[16], b[16];
            st_exec_output(train ? fused.model->train : fused.model->infer, 0, n, a);
            st_exec_output(train ? none.model->train : none.model->infer, 0, n, b);
            assert_memory_equal(a, b, sizeof a);
        }
        free_lab(&whole);
        free_lab(&fused);
        free_lab(&none);
    }
}

static void test_block_with_zero_weights_is_the_identity(void **state) {
    (void)state;
    check_identity(basic_blocks, NULL);
    check_identity(bottleneck_blocks, NULL);
}

static void test_block_with_zero_last_scale_is_the_identity(void **state) {
    (void)state;
    check_identity(basic_blocks, "zero_init_residual=yes");
    check_identity(bottleneck_blocks, "zero_init_residual=yes");
}

/* Without its shortcut the same block hands on nothing: every image gets the same logits. */
static void test_block_without_shortcut_is_not(void **state) {
    (void)state;
    lab l = make_lab(basic_blocks, "residual=no", true, false);
    set_weights_to_zero(&l);
    run(&l, true);
    for (int n = 0; n < BATCH; n++) {
        st_real logits[16], zero[16] = {0};
        st_exec_output(l.model->train, 0, n, logits);
        assert_memory_equal(logits, zero, sizeof zero);
    }
    free_lab(&l);
}

/* ---- 152 layers ------------------------------------------------------------------------------------------------- */

/* ResNet-152 in all but width and the size of its pictures. */
static const char deep[] = "include \"blocks/residual.net\"\n"
                           "network deep {\n"
                           "    input 16x16x3\n"
                           "    conv1: conv 3x3 8 pad=1 bias=no, bn1: bn, relu\n"
                           "    layer1: { bottleneck 8 project=yes, repeat 2 { bottleneck 8 } }\n"
                           "    layer2: { bottleneck 16 project=yes stride=2, repeat 7 { bottleneck 16 } }\n"
                           "    layer3: { bottleneck 32 project=yes stride=2, repeat 35 { bottleneck 32 } }\n"
                           "    layer4: { bottleneck 64 project=yes stride=2, repeat 2 { bottleneck 64 } }\n"
                           "    avgpool global\n"
                           "    fc: fc 8\n"
                           "    output logits loss=cross_entropy\n"
                           "}\n";

/* At step 0 every block but the first of each size hands its input on; the first hands on its shortcut, a convolution
 * to the new number of channels. */
static void check_passes_through(lab *l, bool train) {
    static const char *const first[] = {"layer1.0.", "layer2.0.", "layer3.0.", "layer4.0."};
    static const char *const last[] = {"layer1.2.", "layer2.7.", "layer3.35.", "layer4.2."};
    run(l, train);
    for (size_t i = 0; i < 4; i++) {
        assert_same_values(l, train, last_node(l->graph, first[i]), last_node(l->graph, last[i]));
    }
}

static void test_152_layers_pass_their_input_through(void **state) {
    (void)state;
    lab l = make_lab(deep, "zero_init_residual=yes", true, true);
    check_passes_through(&l, false);
    check_passes_through(&l, true);
    free_lab(&l);
}

static void test_resnet152_passes_its_input_through(void **state) {
    (void)state;
    lab l = make_lab("resnet152", "image=32 classes=8 zero_init_residual=yes", false, true);
    check_passes_through(&l, false);
    free_lab(&l);
}

static double gradient_norm(const lab *l, const char *path) {
    for (size_t i = 0; i < l->model->parameter_count; i++) {
        const st_parameter *p = &l->model->parameters[i];
        if (strcmp(p->node->state[p->state].path, path) == 0) {
            double sum = 0;
            st_model_get(l->model, i, 2, l->model->scratch);
            for (size_t j = 0; j < p->published_count; j++) {
                sum += (double)l->model->scratch[j] * (double)l->model->scratch[j];
            }
            return st_sqrt(sum);
        }
    }
    fail_msg("no weight '%s'", path);
    return 0;
}

/* The first layer's gradient beside the last one's: 0.9 with shortcuts, 2e11 without, where batch
 * normalization makes each layer a little steeper than the next and 152 of them multiply. */
static void test_gradient_reaches_the_first_layer(void **state) {
    (void)state;
    lab residual = make_lab(deep, "zero_init_residual=yes", true, false),
        plain = make_lab(deep, "residual=no", true, false);
    run(&residual, true);
    run(&plain, true);
    double with = gradient_norm(&residual, "conv1.weight") / gradient_norm(&residual, "fc.weight");
    double without = gradient_norm(&plain, "conv1.weight") / gradient_norm(&plain, "fc.weight");
    print_message("gradient of the first layer over the last one's: %.3g with shortcuts, %.3g without\n", with,
                  without);
    assert_true(with > 0.1 && with < 10);
    assert_true(without > 1e6 || without < 1e-6);
    free_lab(&residual);
    free_lab(&plain);
}

/* The loss after `steps` steps on one batch. */
static double learn(const char *settings, double rate, int steps) {
    lab l = make_lab(deep, settings, true, false);
    st_update update = st_update_standard(ST_OPTIMIZER_SGD);
    update.learning_rate = rate;
    for (; update.step < steps; update.step++) {
        run(&l, true);
        st_model_update(l.model, &update);
    }
    double loss = run(&l, true);
    print_message("%s, rate %g: loss %.3f after %d steps\n", settings, rate, loss, steps);
    free_lab(&l);
    return loss;
}

/* A guess among 8 classes costs 2.08. The residual net learns its batch by heart; the plain one, whatever the rate,
 * does not: a loss that is no number counts as not learned. */
static void test_152_layers_learn_only_with_shortcuts(void **state) {
    (void)state;
    static const double rates[] = {0.02, 0.002, 0.0002};
    assert_true(learn("zero_init_residual=yes", 0.02, 20) < 0.2);
    for (size_t i = 0; i < 3; i++) {
        assert_false(learn("residual=no", rates[i], 20) < 1.5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_with_zero_weights_is_the_identity),
        cmocka_unit_test(test_block_with_zero_last_scale_is_the_identity),
        cmocka_unit_test(test_block_without_shortcut_is_not),
        cmocka_unit_test(test_152_layers_pass_their_input_through),
        cmocka_unit_test(test_resnet152_passes_its_input_through),
        cmocka_unit_test(test_gradient_reaches_the_first_layer),
        cmocka_unit_test(test_152_layers_learn_only_with_shortcuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
