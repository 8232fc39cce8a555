/* Traces: each path holds what its layer alone gives, the same bits come out with activations and without, the loss is
 * that of all outputs that are there, the files of strangers are checked. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "base_case.h"
#include "lab.h"

static int empty_folder(void **state) {
    static const char *const names[] = {"batch", "weights", "a", "b", "out"};
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        unlink(in_folder(names[i]));
    }
    return remove_folder(state);
}

/* ---- nets and batches ------------------------------------------------------------------------------------------- */

static const char *const RESIDUAL =
    "network n {\ninput 9x9x3\nstem: { conv 3x3 32 pad=1 bias=no, bn, relu }\nmaxpool 3x3 stride=2 pad=1\n"
    "block1: {\nadd {\n| conv1: conv 3x3 32 pad=1 bias=no, bn1: bn, relu, conv2: conv 3x3 32 pad=1 bias=no, bn2: bn\n"
    "| identity\n}\nrelu\n}\nconcat {\n| left: { conv 1x1 8, relu }\n| right: { conv 3x3 24 pad=1, sigmoid }\n}\n"
    "side when=train { aux: { avgpool global, fc 7 }, output aux loss=cross_entropy weight=0.3 }\n"
    "avgpool global, dropout 0.5\nfc 40, tanh, dropout 0.25\nfc: fc 7\noutput logits loss=cross_entropy\n}\n";
static const char *const LANES = "network n {\ninput 12x12x1\nc1: conv 5x5 6, tanh\ns2: avgpool 2x2 stride=2\n"
                                 "conv 3x3 8 bias=no, bn, relu\nfc 20, dropout 0.5\nfc 7\noutput logits "
                                 "loss=cross_entropy\n}\n";

static strata_net *net_of(const char *text) {
    strata_net *net = NULL;
    strata_error err = {0};
    must(strata_net_parse(&net, text, strlen(text), NULL, &err), &err);
    return net;
}

static strata_runtime *runtime_of(int threads) {
    strata_runtime *runtime = NULL;
    strata_error err = {0};
    must(strata_runtime_create(&runtime, &(strata_options){.threads = threads}, &err), &err);
    return runtime;
}

static st_real noise(const char *name, size_t index) {
    return (st_real)(float)(2 * st_rng_uniform(3, st_rng_stream_name(ST_STREAM_TEST, name), index) - 1);
}

typedef struct batch_options {
    int64_t count, label, dims[3];
    bool no_images, no_labels, fewer_labels, real_labels, whole_images;
} batch_options;

static void write_batch(batch_options o) {
    const int64_t images[] = {o.count, o.dims[0], o.dims[1], o.dims[2]}, labels[] = {o.count - o.fewer_labels};
    st_tensor tensors[2];
    int count = 0;
    if (!o.no_images) {
        tensors[count++] = (st_tensor){
            .name = "images", .stored = o.whole_images ? ST_STORED_I64 : ST_STORED_F32, .rank = 4, .dims = images};
    }
    if (!o.no_labels) {
        tensors[count++] = (st_tensor){
            .name = "labels", .stored = o.real_labels ? ST_STORED_F32 : ST_STORED_I64, .rank = 1, .dims = labels};
    }
    st_weights_writer writer;
    strata_error err = {0};
    must(st_weights_write_begin(&writer, in_folder("batch"), tensors, (size_t)count, NULL, 0, &err), &err);
    int64_t pixels = o.no_images ? 0 : images[0] * images[1] * images[2] * images[3];
    for (int64_t i = 0; i < pixels; i++) {
        st_real value = noise("images", (size_t)i);
        int64_t whole = i;
        must(o.whole_images ? st_weights_write_integers(&writer, &whole, 1, &err)
                            : st_weights_write(&writer, &value, 1, &err),
             &err);
    }
    for (int64_t i = 0; i < labels[0] && !o.no_labels; i++) {
        int64_t label = o.label + i % 3;
        st_real real = (st_real)label;
        must(o.real_labels ? st_weights_write(&writer, &real, 1, &err)
                           : st_weights_write_integers(&writer, &label, 1, &err),
             &err);
    }
    must(st_weights_write_commit(&writer, &err), &err);
}

/* Weights with nothing at its usual value, so that every statistic and scale counts. */
static void write_weights(const strata_net *net) {
    const st_graph *graph = net->graph;
    st_tensor tensors[64];
    size_t count = 0;
    st_weights_writer writer;
    strata_error err = {0};
    for (int n = 0; n < graph->node_count; n++) {
        for (int s = 0; s < ST_OP_STATES; s++) {
            const st_state *state = &graph->nodes[n].state[s];
            if (state->count > 0) {
                assert_true(count < ST_COUNT_OF(tensors));
                tensors[count++] = (st_tensor){.name = state->path,
                                               .stored = ST_STORED_F32,
                                               .rank = state->dims.rank,
                                               .dims = state->dims.dims,
                                               .count = state->count};
            }
        }
    }
    must(st_weights_write_begin(&writer, in_folder("weights"), tensors, count, NULL, 0, &err), &err);
    for (size_t t = 0; t < count; t++) {
        bool is_variance = strstr(tensors[t].name, "running_var") != NULL;
        for (size_t i = 0; i < tensors[t].count; i++) {
            st_real value = noise(tensors[t].name, i);
            value = is_variance ? (st_real)1.5 + value : value * (st_real)0.4;
            must(st_weights_write(&writer, &value, 1, &err), &err);
        }
    }
    must(st_weights_write_commit(&writer, &err), &err);
}

static strata_trace_info trace(const strata_net *net, strata_runtime *runtime, const char *out,
                               strata_trace_options options) {
    strata_trace_info info;
    strata_error err = {0};
    options.weights = in_folder("weights");
    must(strata_trace(&info, runtime, net, in_folder("batch"), in_folder(out), &options, &err), &err);
    return info;
}

/* ---- each path holds what its layer gives ----------------------------------------------------------------------- */

typedef struct checked {
    st_arena *arena;
    st_weights trace, weights, batch;
    const st_graph *graph;
    int64_t n;
} checked;

static st_real *read_tensor(const checked *c, const st_weights *file, const char *name) {
    const st_tensor *tensor = st_weights_find(file, name);
    st_real *values = NULL;
    strata_error err = {0};
    if (tensor == NULL) {
        fail_msg("no tensor '%s'", name);
    }
    must(st_arena_alloc(&values, c->arena, tensor->count, sizeof *values, &err), &err);
    must(st_weights_read(file, tensor, values, &err), &err);
    return values;
}

/* [n][c][h][w] to [n][h][w][c]. */
static st_real *turned(const checked *c, const st_real *from, st_dims dims) {
    st_real *to = NULL;
    strata_error err = {0};
    int64_t pixels = dims.h * dims.w;
    must(st_arena_alloc(&to, c->arena, (size_t)(c->n * pixels * dims.c), sizeof *to, &err), &err);
    for (int64_t n = 0; n < c->n; n++) {
        for (int64_t k = 0; k < dims.c; k++) {
            for (int64_t p = 0; p < pixels; p++) {
                to[(n * pixels + p) * dims.c + k] = from[(n * dims.c + k) * pixels + p];
            }
        }
    }
    return to;
}

static st_view view_of(const checked *c, int node) {
    const st_node *from = &c->graph->nodes[node];
    bool is_input = (from->op->traits & ST_OP_IS_INPUT) != 0;
    const st_real *values = read_tensor(c, is_input ? &c->batch : &c->trace, is_input ? "images" : from->path);
    return (st_view){.data = turned(c, values, from->out), .dims = from->out, .pixel_stride = from->out.c};
}

/* The layer's naive reference on the traced inputs, against the traced output. */
static void check_node(const checked *c, int index, st_mode mode) {
    const st_node *node = &c->graph->nodes[index];
    st_view in[4], out = view_of(c, index);
    st_dims dims[4];
    bool flat[4];
    st_state_dims states[ST_OP_STATES];
    st_run run = {.n = c->n, .mode = mode, .is_trace = true};
    assert_true(node->in_count <= 4);
    for (int k = 0; k < node->in_count; k++) {
        in[k] = view_of(c, node->in[k]);
        dims[k] = c->graph->nodes[node->in[k]].out;
        flat[k] = c->graph->nodes[node->in[k]].is_flat;
    }
    st_site site = {.params = node->params,
                    .mode = mode,
                    .batch = c->n,
                    .in_count = node->in_count,
                    .in = dims,
                    .in_flat = flat,
                    .out = node->out,
                    .state = states};
    st_call call = {.site = &site, .run = &run, .in = in, .out = out};
    for (int s = 0; s < ST_OP_STATES; s++) {
        states[s] = node->state[s].dims;
        call.state[s] = node->state[s].count > 0 ? read_tensor(c, &c->weights, node->state[s].path) : NULL;
    }
    int64_t count = c->n * node->out.h * node->out.w * node->out.c;
    st_real *expected = NULL;
    strata_error err = {0};
    must(st_arena_alloc(&expected, c->arena, (size_t)count, sizeof *expected, &err), &err);
    call.out.data = expected;
    node->op->reference(&call);
    const st_real *found = out.data;
    for (int64_t i = 0; i < count; i++) {
        double value = (double)expected[i], apart = (double)found[i] - value;
        if (!(apart < 1e-4 && apart > -1e-4)) {
            fail_msg("%s, element %lld: traced %g, the layer gives %g", node->path, (long long)i, (double)found[i],
                     value);
        }
    }
}

static void check_layers(const char *text, bool train) {
    strata_net *net = net_of(text);
    strata_runtime *runtime = runtime_of(2);
    st_dims input = net->graph->input;
    strata_error err = {0};
    checked c = {.graph = net->graph, .n = 5};
    write_batch((batch_options){.count = c.n, .dims = {input.c, input.h, input.w}});
    write_weights(net);
    trace(net, runtime, "out", (strata_trace_options){.train = train, .activations = true});
    must(st_arena_create(&c.arena, &err), &err);
    must(st_weights_open(&c.trace, in_folder("out"), &err), &err);
    must(st_weights_open(&c.weights, in_folder("weights"), &err), &err);
    must(st_weights_open(&c.batch, in_folder("batch"), &err), &err);
    for (int i = 0; i < c.graph->node_count; i++) {
        const st_node *node = &c.graph->nodes[i];
        if ((node->op->traits & ST_OP_IS_INPUT) != 0 || (node->is_train_only && !train)) {
            continue;
        }
        const st_tensor *tensor = st_weights_find(&c.trace, node->path);
        assert_non_null(tensor);
        assert_int_equal(tensor->rank, node->is_flat ? 2 : 4);
        assert_int_equal(tensor->dims[0], c.n);
        assert_int_equal(tensor->dims[1], node->out.c);
        check_node(&c, i, train ? ST_MODE_TRAIN : ST_MODE_INFER);
    }
    assert_true((st_weights_find(&c.trace, "aux.logits") != NULL) == (train && strstr(text, "aux") != NULL));
    st_weights_close(&c.trace);
    st_weights_close(&c.weights);
    st_weights_close(&c.batch);
    st_arena_free(c.arena);
    strata_runtime_free(runtime);
    strata_net_free(net);
}

static void test_activations_are_what_each_layer_gives(void **state) {
    (void)state;
    check_layers(RESIDUAL, true);
    check_layers(RESIDUAL, false);
    check_layers(LANES, true);
    check_layers(LANES, false);
}

/* ---- the same bits in every form of a trace --------------------------------------------------------------------- */

static void check_same_bits(const char *first, const char *second) {
    strata_comparison c;
    strata_error err = {0};
    size_t matched = 0;
    must(strata_compare(&c, in_folder(first), in_folder(second), &err), &err);
    for (size_t i = 0; i < c.count; i++) {
        assert_true(c.differences[i].match == STRATA_MATCHED || c.differences[i].match == STRATA_ONLY_FIRST);
        if (c.differences[i].match == STRATA_MATCHED && c.differences[i].max_abs != 0) {
            fail_msg("%s differs by %g", c.differences[i].name, c.differences[i].max_abs);
        }
        matched += c.differences[i].match == STRATA_MATCHED;
    }
    assert_true(matched > 3);
    strata_comparison_free(&c);
}

static void test_fused_and_unfused_runs_give_the_same_bits(void **state) {
    (void)state;
    const char *const texts[] = {RESIDUAL, LANES};
    for (size_t i = 0; i < 2; i++) {
        strata_net *net = net_of(texts[i]);
        strata_runtime *one = runtime_of(1), *three = runtime_of(3);
        st_dims input = net->graph->input;
        write_batch((batch_options){.count = 5, .dims = {input.c, input.h, input.w}});
        write_weights(net);
        for (int train = 0; train < 2; train++) {
            strata_trace_options options = {.train = train != 0, .activations = true, .gradients = true};
            strata_trace_info whole = trace(net, one, "a", options);
            options.activations = false;
            strata_trace_info fused = trace(net, three, "b", options);
            assert_true(whole.activation_count > 8 && fused.activation_count == 0);
            assert_true(whole.gradient_count > 5 && whole.gradient_count == fused.gradient_count);
            assert_true(whole.has_loss && whole.loss == fused.loss);
            check_same_bits("a", "b");
        }
        strata_runtime_free(one);
        strata_runtime_free(three);
        strata_net_free(net);
    }
}

/* Inference with and without a plan for gradients: the same logits, and the same loss. */
static void test_gradients_in_inference_mode_are_of_what_inference_computes(void **state) {
    (void)state;
    strata_net *net = net_of(RESIDUAL);
    strata_runtime *runtime = runtime_of(2);
    write_batch((batch_options){.count = 5, .dims = {3, 9, 9}});
    write_weights(net);
    trace(net, runtime, "a", (strata_trace_options){.gradients = true, .activations = true});
    trace(net, runtime, "b", (strata_trace_options){.activations = true});
    check_same_bits("a", "b");
    strata_runtime_free(runtime);
    strata_net_free(net);
}

/* A head at the side that inference has too. */
static const char *const TWO_HEADS =
    "network n {\ninput 6x6x3\nconv 3x3 12 pad=1, relu\nside when=train { gone: { avgpool global, fc 4 }, output gone "
    "loss=cross_entropy weight=0.5 }\nside { early: { avgpool global, fc 5 }, output early loss=cross_entropy "
    "weight=0.25 }\nfc 6\noutput logits loss=cross_entropy weight=2\n}\n";

/* Mean over the images; their labels are 0, 1, 2, 0, ... */
static double loss_of(const checked *c, const char *logits) {
    const st_real *x = read_tensor(c, &c->trace, logits);
    int64_t classes = st_weights_find(&c->trace, logits)->dims[1];
    double all = 0;
    for (int64_t n = 0; n < c->n; n++, x += classes) {
        double sum = 0;
        for (int64_t k = 0; k < classes; k++) {
            sum += exp((double)x[k]);
        }
        all += log(sum) - (double)x[n % 3];
    }
    return all / (double)c->n;
}

static void test_loss_is_the_weighted_sum_of_all_outputs_that_are_there(void **state) {
    (void)state;
    strata_net *net = net_of(TWO_HEADS);
    strata_runtime *runtime = runtime_of(2);
    write_batch((batch_options){.count = 5, .dims = {3, 6, 6}});
    write_weights(net);
    for (int form = 0; form < 6; form++) { /* inference, the same with gradients, train mode; fused and not */
        strata_trace_options options = {.train = form / 2 == 2, .gradients = form / 2 > 0, .activations = form % 2};
        strata_trace_info info = trace(net, runtime, "out", options);
        strata_error err = {0};
        checked c = {.graph = net->graph, .n = 5};
        must(st_arena_create(&c.arena, &err), &err);
        must(st_weights_open(&c.trace, in_folder("out"), &err), &err);
        double expected = 0.25 * loss_of(&c, "early.logits") + 2 * loss_of(&c, "logits");
        expected += options.train ? 0.5 * loss_of(&c, "gone.logits") : 0;
        assert_int_equal(info.output_count, options.train ? 3 : 2);
        assert_true(info.has_loss && fabs(info.loss - expected) < 1e-5);
        bool has_early = st_weights_find(&c.trace, "early.1.weight") != NULL;
        assert_int_equal(has_early, options.gradients);
        st_weights_close(&c.trace);
        st_arena_free(c.arena);
    }
    strata_runtime_free(runtime);
    strata_net_free(net);
}

static void test_running_statistics_do_not_move(void **state) {
    (void)state;
    strata_net *net = net_of(RESIDUAL);
    strata_runtime *runtime = runtime_of(2);
    strata_error err = {0};
    st_model *model = NULL;
    st_model_options options = {.batch = 4, .train = true, .seed = 1};
    st_real images[4 * 9 * 9 * 3], before[32], after[32];
    const int32_t labels[] = {0, 1, 2, 3};
    for (size_t i = 0; i < ST_COUNT_OF(images); i++) {
        images[i] = noise("images", i);
    }
    must(st_model_create(&model, runtime->pool, runtime->kernels, net->graph, &options, &err), &err);
    size_t mean = 0;
    while (strcmp(model->parameters[mean].node->state[model->parameters[mean].state].path, "stem.1.running_mean") !=
           0) {
        mean++;
    }
    for (int is_trace = 1; is_trace >= 0; is_trace--) {
        st_model_get(model, mean, -1, before);
        st_model_gradients(model, &(st_feed){.values = images, .labels = labels, .n = 4, .is_trace = is_trace != 0});
        st_model_get(model, mean, -1, after);
        assert_int_equal(memcmp(before, after, sizeof before) == 0, is_trace);
    }
    st_model_free(model);
    strata_runtime_free(runtime);
    strata_net_free(net);
}

static void test_names_that_are_taken_get_a_suffix(void **state) {
    (void)state;
    strata_net *net = net_of("network n {\ninput 4x4x3\nloss: conv 3x3 5\nrelu\nlogits: fc 6, relu\nfc 7\n"
                             "output logits loss=cross_entropy\n}\n");
    strata_runtime *runtime = runtime_of(1);
    strata_error err = {0};
    st_weights file;
    write_batch((batch_options){.count = 2, .dims = {3, 4, 4}});
    write_weights(net);
    trace(net, runtime, "out", (strata_trace_options){.activations = true});
    must(st_weights_open(&file, in_folder("out"), &err), &err);
    assert_int_equal(st_weights_find(&file, "loss")->rank, 0);
    assert_int_equal(st_weights_find(&file, "loss.value")->dims[1], 5);
    assert_int_equal(st_weights_find(&file, "logits")->dims[1], 7);
    assert_int_equal(st_weights_find(&file, "logits.value")->dims[1], 6);
    st_weights_close(&file);
    strata_runtime_free(runtime);
    strata_net_free(net);
}

/* ---- batches that are refused ----------------------------------------------------------------------------------- */

static void refused(const strata_net *net, batch_options batch, strata_trace_options options, strata_status status,
                    const char *part) {
    strata_runtime *runtime = runtime_of(1);
    strata_error err = {0};
    strata_trace_info info;
    write_batch(batch);
    unlink(in_folder("out"));
    assert_int_equal(strata_trace(&info, runtime, net, in_folder("batch"), in_folder("out"), &options, &err), status);
    if (strstr(err.message, part) == NULL) {
        fail_msg("expected '%s', found '%s'", part, err.message);
    }
    assert_int_equal(access(in_folder("out"), F_OK), -1);
    strata_runtime_free(runtime);
}

static void test_batches_that_do_not_fit_are_refused(void **state) {
    (void)state;
    strata_net *net = net_of(RESIDUAL);
    const strata_trace_options infer = {0}, train = {.train = true}, gradients = {.gradients = true};
    const batch_options right = {.count = 3, .dims = {3, 9, 9}};
    batch_options b = right;
    b.no_images = true;
    refused(net, b, infer, STRATA_MISSING, "no tensor 'images'");
    b = right;
    b.dims[1] = 8;
    refused(net, b, infer, STRATA_SHAPE, "is 3x3x8x9, the net takes Nx3x9x9");
    b = right;
    b.count = 0;
    refused(net, b, infer, STRATA_SHAPE, "has 0 images, expected 1 to 1048576");
    b = right;
    b.whole_images = true;
    refused(net, b, infer, STRATA_FORMAT, "found I64, expected F32");
    b = right;
    b.real_labels = true;
    refused(net, b, infer, STRATA_FORMAT, "found F32, expected I64");
    b = right;
    b.fewer_labels = true;
    refused(net, b, infer, STRATA_SHAPE, "is 2, expected one for each of the 3 images");
    b = right;
    b.label = 5; /* 5, 6, 7 of 7 classes */
    refused(net, b, infer, STRATA_INVALID, "label 2 is 7, the output 'logits' has classes 0 to 6");
    b.label = -1;
    refused(net, b, train, STRATA_INVALID, "label 0 is -1");
    b = right;
    b.no_labels = true;
    refused(net, b, train, STRATA_MISSING, "no tensor 'labels', which the loss of train mode needs");
    refused(net, b, gradients, STRATA_MISSING, "which the loss of gradients needs");
    strata_net_free(net);
    net = net_of("network n {\ninput 9x9x3\nfc 7\noutput logits\n}\n");
    refused(net, right, gradients, STRATA_INVALID, "has no loss");
    strata_net_free(net);
}

/* Options NULL are the defaults, as everywhere. */
static void test_memory_with_standard_options(void **state) {
    (void)state;
    strata_error err;
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_memory bare, standard;
    const strata_trace_options zero = {0};
    assert_int_equal(strata_runtime_create(&runtime, NULL, &err), STRATA_OK);
    assert_int_equal(strata_net_load(&net, "lenet5", NULL, &err), STRATA_OK);
    assert_int_equal(strata_trace_memory(&bare, runtime, net, 4, NULL, &err), STRATA_OK);
    assert_int_equal(strata_trace_memory(&standard, runtime, net, 4, &zero, &err), STRATA_OK);
    assert_true(bare.total_bytes > 0 && bare.total_bytes == standard.total_bytes);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static void test_labels_may_be_left_out_where_no_loss_is_asked_for(void **state) {
    (void)state;
    strata_net *net = net_of(RESIDUAL);
    strata_runtime *runtime = runtime_of(1);
    strata_batch_info batch;
    strata_error err = {0};
    write_weights(net);
    write_batch((batch_options){.count = 3, .dims = {3, 9, 9}, .no_labels = true});
    must(strata_batch_look(&batch, in_folder("batch"), net, &err), &err);
    assert_true(batch.count == 3 && !batch.has_labels);
    assert_false(trace(net, runtime, "out", (strata_trace_options){0}).has_loss);
    strata_runtime_free(runtime);
    strata_net_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations_are_what_each_layer_gives),
        cmocka_unit_test(test_fused_and_unfused_runs_give_the_same_bits),
        cmocka_unit_test(test_gradients_in_inference_mode_are_of_what_inference_computes),
        cmocka_unit_test(test_loss_is_the_weighted_sum_of_all_outputs_that_are_there),
        cmocka_unit_test(test_running_statistics_do_not_move),
        cmocka_unit_test(test_names_that_are_taken_get_a_suffix),
        cmocka_unit_test(test_batches_that_do_not_fit_are_refused),
        cmocka_unit_test(test_memory_with_standard_options),
        cmocka_unit_test(test_labels_may_be_left_out_where_no_loss_is_asked_for),
    };
    return cmocka_run_group_tests(tests, make_folder, empty_folder);
}
