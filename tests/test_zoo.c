/* The zoo: every net's counts, shapes, work, receptive fields and tensor names against what papers, torchvision and
 * Keras publish. tests/golden/names.txt is made from torchvision by tests/golden/record-names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

/* ---- helpers ---- */

static st_arena *arena;
static strata_error err;

static int begin(void **state) {
    (void)state;
    memset(&err, 0, sizeof(err));
    return st_arena_create(&arena, &err) == STRATA_OK ? 0 : 1;
}

static int end(void **state) {
    (void)state;
    st_arena_free(arena);
    return 0;
}

static const st_graph *load(const char *name, const char *settings) {
    const st_tree *tree;
    const st_graph *graph;
    if (st_lang_load(&tree, arena, name, &err) != STRATA_OK ||
        st_graph_build(&graph, arena, tree, settings, NULL, &err) != STRATA_OK) {
        fail_msg("%s: %s:%d:%d: %s", name, err.file, err.line, err.column, err.message);
    }
    return graph;
}

static const st_node *find(const st_graph *graph, const char *path) {
    for (int i = 0; i < graph->node_count; i++) {
        if (strcmp(graph->nodes[i].path, path) == 0) {
            return &graph->nodes[i];
        }
    }
    fail_msg("%s: no node '%s'", graph->name, path);
    return NULL;
}

/* With the side heads (training) or without. */
static size_t count(const st_graph *graph, bool is_trained, bool with_heads) {
    size_t sum = 0;
    for (int i = 0; i < graph->node_count; i++) {
        for (int j = 0; j < ST_OP_STATES && (with_heads || !graph->nodes[i].is_train_only); j++) {
            const st_state *state = &graph->nodes[i].state[j];
            sum += state->count > 0 && state->spec->is_trained == is_trained ? state->count : 0;
        }
    }
    return sum;
}

static double work(const st_graph *graph) {
    double sum = 0;
    for (int i = 0; i < graph->node_count; i++) {
        sum += graph->nodes[i].is_train_only ? 0 : (double)graph->nodes[i].multiply_adds;
    }
    return sum;
}

/* What one line of a paper's table says. */
typedef struct place {
    const char *path;
    int64_t h, w, c;
} place;

static void assert_shapes(const st_graph *graph, const place *places, size_t place_count) {
    for (size_t i = 0; i < place_count; i++) {
        const st_node *node = find(graph, places[i].path);
        if (node->out.h != places[i].h || node->out.w != places[i].w || node->out.c != places[i].c) {
            fail_msg("%s: %s is %lldx%lldx%lld, expected %lldx%lldx%lld", graph->name, places[i].path,
                     (long long)node->out.h, (long long)node->out.w, (long long)node->out.c, (long long)places[i].h,
                     (long long)places[i].w, (long long)places[i].c);
        }
    }
}

/* ---- all of them ---- */

static bool is_net(const st_zoo_file *file) {
    return strchr(file->path, '/') == NULL; /* the others are what nets include */
}

static void test_the_canon_is_complete(void **state) {
    (void)state;
    static const char *const canon[] = {"lenet5",
                                        "lenet5_1998",
                                        "alexnet",
                                        "alexnet_2gpu",
                                        "alexnet_torchvision",
                                        "vgg11",
                                        "vgg13",
                                        "vgg16",
                                        "vgg19",
                                        "vgg11_bn",
                                        "vgg13_bn",
                                        "vgg16_bn",
                                        "vgg19_bn",
                                        "resnet18",
                                        "resnet34",
                                        "resnet50",
                                        "resnet101",
                                        "resnet152",
                                        "plain18",
                                        "plain34",
                                        "resnet20_cifar",
                                        "resnet32_cifar",
                                        "resnet44_cifar",
                                        "resnet56_cifar",
                                        "resnet110_cifar",
                                        "plain20_cifar",
                                        "plain56_cifar",
                                        "plain110_cifar",
                                        "nin_cifar",
                                        "nin_imagenet",
                                        "googlenet",
                                        "googlenet_2014",
                                        "squeezenet1_1",
                                        "inception_module",
                                        "signs_resnet50",
                                        "signs_finetune"};
    size_t nets = 0;
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        nets += is_net(&st_zoo_files[i]);
    }
    assert_int_equal(nets, ST_COUNT_OF(canon));
    for (size_t i = 0; i < ST_COUNT_OF(canon); i++) {
        const st_graph *graph = load(canon[i], NULL);
        assert_string_equal(graph->name, canon[i]); /* also where the network stands in an included file */
        assert_true(strlen(graph->description) > 20);
        assert_string_equal(graph->outputs[graph->main_output].name, "logits");
    }
}

static void assert_same_graph(const st_graph *x, const st_graph *y) {
    assert_string_equal(x->name, y->name);
    assert_string_equal(x->description, y->description);
    assert_int_equal(x->node_count, y->node_count);
    assert_int_equal(x->output_count, y->output_count);
    for (int i = 0; i < x->node_count; i++) {
        const st_node *a = &x->nodes[i], *b = &y->nodes[i];
        assert_string_equal(a->path, b->path);
        assert_string_equal(a->text, b->text);
        assert_int_equal(a->is_frozen, b->is_frozen);
        assert_int_equal(a->is_train_only, b->is_train_only);
        assert_memory_equal(&a->out, &b->out, sizeof(a->out));
        assert_int_equal(a->in_count, b->in_count);
        for (int j = 0; j < a->in_count; j++) {
            assert_int_equal(a->in[j], b->in[j]);
        }
    }
}

static void test_every_net_prints_back(void **state) {
    (void)state;
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        const st_tree *tree;
        const st_graph *again;
        char *text;
        if (!is_net(&st_zoo_files[i])) {
            continue;
        }
        const st_graph *graph = load(st_zoo_files[i].name, NULL);
        assert_int_equal(st_lang_load(&tree, arena, st_zoo_files[i].name, &err), STRATA_OK);
        assert_int_equal(st_lang_print(&text, tree, NULL, &err), STRATA_OK);
        assert_int_equal(st_lang_parse(&tree, arena, "printed.net", text, strlen(text), &err), STRATA_OK);
        assert_int_equal(st_graph_build(&again, arena, tree, NULL, NULL, &err), STRATA_OK);
        assert_same_graph(graph, again);
        strata_text_free(text);
    }
}

/* ---- counts ---- */

/* Sources: torchvision's num_params where a net is torchvision's; the SIGNS exercise: Keras' summary; LeNet-5 of 1998:
 * the paper's 60,000 and 84 x 10 + 10 of the last layer; the others by hand from the papers' tables (AlexNet:
 * 96(363+1) + 256(2400+1) + 384(2304+1) + 384(3456+1) + 256(3456+1) + 4096(9216+1) + 4096(4096+1) + 1000(4096+1)). */
static void test_nets_have_the_published_counts(void **state) {
    (void)state;
    static const struct {
        const char *name, *settings;
        size_t parameters, with_heads, statistics;
    } nets[] = {{"lenet5", NULL, 61706, 61706, 0},
                {"lenet5_1998", NULL, 60850, 60850, 0},
                {"alexnet", NULL, 62378344, 62378344, 0},
                {"alexnet_2gpu", NULL, 60965224, 60965224, 0},
                {"alexnet_torchvision", NULL, 61100840, 61100840, 0},
                {"vgg11", NULL, 132863336, 132863336, 0},
                {"vgg13", NULL, 133047848, 133047848, 0},
                {"vgg16", NULL, 138357544, 138357544, 0},
                {"vgg19", NULL, 143667240, 143667240, 0},
                {"vgg11_bn", NULL, 132868840, 132868840, 5504},
                {"vgg13_bn", NULL, 133053736, 133053736, 5888},
                {"vgg16_bn", NULL, 138365992, 138365992, 8448},
                {"vgg19_bn", NULL, 143678248, 143678248, 11008},
                {"resnet18", NULL, 11689512, 11689512, 9600},
                {"resnet34", NULL, 21797672, 21797672, 17024},
                {"resnet50", NULL, 25557032, 25557032, 53120},
                {"resnet50", "early_stride=yes", 25557032, 25557032, 53120},
                {"resnet50", "classes=6 image=64", 25557032 - 994 * 2049, 25557032 - 994 * 2049, 53120},
                {"resnet101", NULL, 44549160, 44549160, 105344},
                {"resnet152", NULL, 60192808, 60192808, 151424},
                /* the projections of three stages and their norms are missing */
                {"plain18", NULL, 11689512 - 172032 - 2 * 896, 11689512 - 172032 - 2 * 896, 9600 - 2 * 896},
                {"plain34", NULL, 21797672 - 172032 - 2 * 896, 21797672 - 172032 - 2 * 896, 17024 - 2 * 896},
                {"resnet20_cifar", NULL, 269722, 269722, 1376},
                {"resnet32_cifar", NULL, 464154, 464154, 2272},
                {"resnet44_cifar", NULL, 658586, 658586, 3168},
                {"resnet56_cifar", NULL, 853018, 853018, 4064},
                {"resnet110_cifar", NULL, 1727962, 1727962, 8096},
                {"plain20_cifar", NULL, 269722, 269722, 1376}, /* the shortcut of option A has no weights */
                {"plain56_cifar", NULL, 853018, 853018, 4064},
                {"plain110_cifar", NULL, 1727962, 1727962, 8096},
                {"nin_cifar", NULL, 966986, 966986, 0},
                {"nin_imagenet", NULL, 7595176, 7595176, 0},
                {"googlenet", NULL, 6624904, 13004888, 14560},
                {"googlenet", "aux=no", 6624904, 6624904, 14560},
                {"googlenet_2014", NULL, 6998552, 13378280, 0},
                {"squeezenet1_1", NULL, 1235496, 1235496, 0},
                {"signs_resnet50", NULL, 23546886, 23546886, 53120},
                {"signs_finetune", NULL, 25557032 - 994 * 2049, 25557032 - 994 * 2049, 53120},
                /* 64 x 193 + 96 x 193 + 128 x 865 + 16 x 193 + 32 x 401 + 32 x 193, and 10 x 257 */
                {"inception_module", NULL, 163696 + 2570, 163696 + 2570, 0}};
    for (size_t i = 0; i < ST_COUNT_OF(nets); i++) {
        const st_graph *graph = load(nets[i].name, nets[i].settings);
        size_t parameters = count(graph, true, false), with_heads = count(graph, true, true);
        if (parameters != nets[i].parameters || with_heads != nets[i].with_heads) {
            fail_msg("%s has %zu parameters, %zu with side heads; published are %zu and %zu", nets[i].name, parameters,
                     with_heads, nets[i].parameters, nets[i].with_heads);
        }
        assert_int_equal(count(graph, false, false), nets[i].statistics);
    }
}

/* Billions: torchvision's figures (_ops of its weights), the papers' for the others. */
static void test_multiply_adds_are_within_a_percent(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double published;
    } nets[] = {{"vgg16", 15.5},          {"resnet50", 4.1},   {"resnet152", 11.5},     {"googlenet", 1.5},
                {"vgg11", 7.609},         {"vgg13", 11.308},   {"vgg19", 19.632},       {"vgg16_bn", 15.47},
                {"resnet18", 1.814},      {"resnet34", 3.664}, {"resnet101", 7.801},    {"alexnet_torchvision", 0.714},
                {"squeezenet1_1", 0.349}, {"alexnet", 1.135},  {"alexnet_2gpu", 0.724}, {"lenet5", 0.0004165}};
    for (size_t i = 0; i < ST_COUNT_OF(nets); i++) {
        /* torchvision counts at 224 also where the authors' own size is another */
        const char *settings = strcmp(nets[i].name, "squeezenet1_1") == 0 ? "image=224" : NULL;
        double found = work(load(nets[i].name, settings)) / 1e9;
        if (found < 0.99 * nets[i].published || found > 1.01 * nets[i].published) {
            fail_msg("%s: %g G multiply-adds, published are %g G", nets[i].name, found, nets[i].published);
        }
    }
}

/* The classic sum: one 5x5 convolution, without and with a bottleneck of 16 channels. */
static void test_inception_bottleneck_saves_nine_tenths(void **state) {
    (void)state;
    const st_graph *naive = load("inception_module", "naive=yes"), *graph = load("inception_module", NULL);
    assert_int_equal(find(naive, "module.branch3.0.conv")->multiply_adds, 28 * 28 * 32 * 5 * 5 * 192);
    assert_int_equal(find(naive, "module.branch3.0.conv")->multiply_adds, 120422400);
    assert_int_equal(find(graph, "module.branch3.0.conv")->multiply_adds, 2408448);
    assert_int_equal(find(graph, "module.branch3.1.conv")->multiply_adds, 10035200); /* together 12.4 million */
    assert_shapes(naive, (const place[]){{"module.concat", 28, 28, 256}}, 1);
    static const place places[] = {{"input", 28, 28, 192},
                                   {"module.branch1.conv", 28, 28, 64},
                                   {"module.branch2.0.conv", 28, 28, 96},
                                   {"module.branch2.1.conv", 28, 28, 128},
                                   {"module.branch3.0.conv", 28, 28, 16},
                                   {"module.branch3.1.conv", 28, 28, 32},
                                   {"module.branch4.0", 28, 28, 192},
                                   {"module.branch4.1.conv", 28, 28, 32},
                                   {"module.concat", 28, 28, 256}};
    assert_shapes(graph, places, ST_COUNT_OF(places));
}

/* ---- shapes ---- */

static void test_lenet5_has_its_shapes(void **state) {
    (void)state;
    static const place places[] = {{"c1", 28, 28, 6}, {"s2", 14, 14, 6}, {"c3", 10, 10, 16}, {"s4", 5, 5, 16},
                                   {"c5", 1, 1, 120}, {"f6", 1, 1, 84},  {"f7", 1, 1, 10}};
    const st_graph *graph = load("lenet5", NULL);
    assert_shapes(graph, places, ST_COUNT_OF(places));
    assert_int_equal(graph->node_count, 12);
    assert_true(find(graph, "f7")->is_flat);
    assert_int_equal((int64_t)work(graph), 416520);
    assert_string_equal(find(graph, "s2")->text, "avgpool 2x2 stride=2");
    assert_string_equal(graph->outputs[graph->main_output].loss->name, "cross_entropy");
}

static void test_alexnet_has_its_shapes(void **state) {
    (void)state;
    static const place places[] = {{"input", 227, 227, 3}, {"conv1", 55, 55, 96},  {"pool1", 27, 27, 96},
                                   {"conv2", 27, 27, 256}, {"pool2", 13, 13, 256}, {"conv3", 13, 13, 384},
                                   {"conv4", 13, 13, 384}, {"conv5", 13, 13, 256}, {"pool5", 6, 6, 256},
                                   {"fc6", 1, 1, 4096},    {"fc7", 1, 1, 4096},    {"fc8", 1, 1, 1000}};
    assert_shapes(load("alexnet", NULL), places, ST_COUNT_OF(places));
    assert_shapes(load("alexnet_2gpu", NULL), places, ST_COUNT_OF(places));
}

static void test_vgg16_has_its_shapes(void **state) {
    (void)state;
    static const place places[] = {
        {"input", 224, 224, 3},       {"features.0", 224, 224, 64},  {"features.2", 224, 224, 64},
        {"features.4", 112, 112, 64}, {"features.5", 112, 112, 128}, {"features.7", 112, 112, 128},
        {"features.9", 56, 56, 128},  {"features.10", 56, 56, 256},  {"features.12", 56, 56, 256},
        {"features.14", 56, 56, 256}, {"features.16", 28, 28, 256},  {"features.17", 28, 28, 512},
        {"features.19", 28, 28, 512}, {"features.21", 28, 28, 512},  {"features.23", 14, 14, 512},
        {"features.24", 14, 14, 512}, {"features.26", 14, 14, 512},  {"features.28", 14, 14, 512},
        {"features.30", 7, 7, 512},   {"classifier.0", 1, 1, 4096},  {"classifier.3", 1, 1, 4096},
        {"classifier.6", 1, 1, 1000}};
    assert_shapes(load("vgg16", NULL), places, ST_COUNT_OF(places));
}

static void test_residual_nets_have_their_shapes(void **state) {
    (void)state;
    static const place deep[] = {{"conv1", 112, 112, 64},           {"1", 56, 56, 64},
                                 {"layer1.2.conv3", 56, 56, 256},   {"layer2.0.conv1", 56, 56, 128},
                                 {"layer2.0.conv2", 28, 28, 128},   {"layer2.7.conv3", 28, 28, 512},
                                 {"layer3.35.conv3", 14, 14, 1024}, {"layer4.2.conv3", 7, 7, 2048}};
    assert_shapes(load("resnet152", NULL), deep, ST_COUNT_OF(deep));
    assert_shapes(load("resnet50", "early_stride=yes"), (const place[]){{"layer2.0.conv1", 28, 28, 128}}, 1);
    static const place cifar[] = {{"conv1", 32, 32, 16},          {"layer1.8.conv2", 32, 32, 16},
                                  {"layer2.0.conv1", 16, 16, 32}, {"layer2.8.conv2", 16, 16, 32},
                                  {"layer3.8.conv2", 8, 8, 64},   {"linear", 1, 1, 10}};
    assert_shapes(load("resnet56_cifar", NULL), cifar, ST_COUNT_OF(cifar));
    static const place signs[] = {{"conv1", 32, 32, 64},
                                  {"1", 15, 15, 64},
                                  {"layer1.2.conv3", 15, 15, 256},
                                  {"layer2.3.conv3", 8, 8, 512},
                                  {"layer3.5.conv3", 4, 4, 1024},
                                  {"layer4.2.conv3", 2, 2, 2048},
                                  {"fc", 1, 1, 6}};
    assert_shapes(load("signs_resnet50", NULL), signs, ST_COUNT_OF(signs));
}

/* The paper's table 1, column "output size". */
static void test_googlenet_has_its_shapes(void **state) {
    (void)state;
    static const place places[] = {{"conv1.conv", 112, 112, 64},
                                   {"conv2.conv", 56, 56, 64},
                                   {"conv3.conv", 56, 56, 192},
                                   {"inception3a.concat", 28, 28, 256},
                                   {"inception3b.concat", 28, 28, 480},
                                   {"inception4a.concat", 14, 14, 512},
                                   {"inception4b.concat", 14, 14, 512},
                                   {"inception4c.concat", 14, 14, 512},
                                   {"inception4d.concat", 14, 14, 528},
                                   {"inception4e.concat", 14, 14, 832},
                                   {"inception5a.concat", 7, 7, 832},
                                   {"inception5b.concat", 7, 7, 1024},
                                   {"aux1.conv.conv", 4, 4, 128},
                                   {"aux1.fc1", 1, 1, 1024},
                                   {"aux2.fc2", 1, 1, 1000},
                                   {"fc", 1, 1, 1000}};
    assert_shapes(load("googlenet", NULL), places, ST_COUNT_OF(places));
    const st_graph *graph = load("googlenet_2014", NULL);
    assert_shapes(graph, places, ST_COUNT_OF(places));
    assert_string_equal(find(graph, "inception3a.branch3.1.conv")->text, "conv 5x5 32 pad=same");
    assert_int_equal(graph->output_count, 3);
    for (int i = 0; i < 2; i++) {
        assert_true(graph->outputs[i].is_train_only);
        assert_true(graph->outputs[i].weight > 0.299 && graph->outputs[i].weight < 0.301);
    }
}

static void test_network_in_network_has_its_shapes(void **state) {
    (void)state;
    static const place cifar[] = {{"0.0", 32, 32, 192}, {"0.4", 32, 32, 96}, {"1", 16, 16, 96}, {"3.4", 16, 16, 192},
                                  {"4", 8, 8, 192},     {"6.4", 8, 8, 10},   {"7", 1, 1, 10}};
    assert_shapes(load("nin_cifar", NULL), cifar, ST_COUNT_OF(cifar));
    static const place imagenet[] = {{"0.0", 54, 54, 96}, {"1", 27, 27, 96},   {"2.4", 27, 27, 256}, {"3", 13, 13, 256},
                                     {"5", 6, 6, 384},    {"7.4", 6, 6, 1000}, {"8", 1, 1, 1000}};
    assert_shapes(load("nin_imagenet", NULL), imagenet, ST_COUNT_OF(imagenet));
}

/* ---- receptive fields, by hand: a window of k at step s adds (k - 1) s ---- */

static void test_receptive_fields(void **state) {
    (void)state;
    static const struct {
        const char *net, *settings, *path;
        int64_t field, step;
    } fields[] = {
        {"lenet5", NULL, "s4", 16, 4},
        {"vgg16", NULL, "features.16", 44, 8},
        {"vgg16", NULL, "features.30", 212, 32}, /* 1 + 2(2) + 1 + 2(4) + 2 + 3(8) + 4 + 3(16) + 8 + 3(32) + 16 */
        {"alexnet", NULL, "conv5", 163, 16},
        {"alexnet", NULL, "pool5", 195, 32}, /* 11 + 2(4) + 4(8) + 2(8) + 2(16) + 2(16) + 2(16) + 2(16) */
        {"resnet18", NULL, "layer4.1.conv2", 435, 32},
        {"resnet50", NULL, "layer1.2.conv3", 35, 4},
        {"resnet50", NULL, "layer4.2.conv3", 427, 32}, /* the stride on the 3x3, as in the published weights */
        {"resnet50", "early_stride=yes", "layer4.2.conv3", 483, 32}, /* on the 1x1 before it, as in the paper */
        {"resnet20_cifar", NULL, "layer3.2.conv2", 81, 4},           /* 3 + 6(2) + 2 + 5(4) + 4 + 5(8) */
        {"googlenet", NULL, "inception5b.concat", 379, 32},
        {"googlenet_2014", NULL, "inception5b.concat", 715, 32}};
    for (size_t i = 0; i < ST_COUNT_OF(fields); i++) {
        const st_node *node = find(load(fields[i].net, fields[i].settings), fields[i].path);
        if (node->receptive_field != fields[i].field || node->receptive_stride != fields[i].step) {
            fail_msg("%s %s sees %lld pixels at step %lld, expected %lld at %lld", fields[i].net, fields[i].path,
                     (long long)node->receptive_field, (long long)node->receptive_stride, (long long)fields[i].field,
                     (long long)fields[i].step);
        }
    }
}

/* ---- names ---- */

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "layer1.0.conv1.weight 64 64 3 3", one a tensor, sorted; returns how many. */
static size_t tensor_lines(const char *lines[], size_t most, const st_graph *graph) {
    size_t found = 0;
    for (int i = 0; i < graph->node_count; i++) {
        for (int j = 0; j < ST_OP_STATES; j++) {
            const st_state *state = &graph->nodes[i].state[j];
            if (state->count == 0) {
                continue;
            }
            char dims[100] = "", *line;
            size_t length = 0;
            for (int d = 0; d < state->dims.rank; d++) {
                length +=
                    (size_t)snprintf(dims + length, sizeof(dims) - length, " %lld", (long long)state->dims.dims[d]);
            }
            assert_true(found < most);
            assert_int_equal(st_arena_printf(&line, arena, &err, "%s%s", state->path, dims), STRATA_OK);
            lines[found++] = line;
        }
    }
    qsort(lines, found, sizeof(*lines), compare_lines);
    return found;
}

static void check_names(const char *net, size_t tensors, const char *hash) {
    static const char *lines[2048];
    size_t found = tensor_lines(lines, ST_COUNT_OF(lines), load(net, NULL));
    char own[65];
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (size_t i = 0; i < found; i++) {
        st_sha256_add(&sha, lines[i], strlen(lines[i]));
        st_sha256_add(&sha, "\n", 1);
    }
    st_sha256_end(&sha, own);
    if (found != tensors || strcmp(own, hash) != 0) {
        for (size_t i = 0; i < found; i++) {
            print_message("%s\n", lines[i]);
        }
        fail_msg("%s has %zu tensors, other names or shapes than the %zu of tests/golden/record-names --list %s", net,
                 found, tensors, net);
    }
}

static void test_names_are_those_of_published_weights(void **state) {
    (void)state;
    FILE *file = fopen("tests/golden/names.txt", "r");
    char net[64], hash[65];
    size_t tensors, nets = 0;
    if (file == NULL) {
        print_message("skip: no tests/golden/names.txt here; run from the project's folder\n");
        skip();
        return;
    }
    while (fscanf(file, "%63s %zu %64s", net, &tensors, hash) == 3) {
        check_names(net, tensors, hash);
        nets++;
    }
    fclose(file);
    assert_int_equal(nets, 18);
}

static void test_a_place_in_an_included_block_is_kept(void **state) {
    (void)state;
    const st_node *conv = find(load("resnet50", NULL), "layer3.4.conv2");
    assert_string_equal(conv->block, "layer3");
    assert_int_equal(conv->depth, 2);
    assert_string_equal(conv->text, "conv 3x3 256 pad=1 bias=no");
    assert_string_equal(conv->place.source->name, "blocks/residual.net");
    assert_string_equal(conv->call.source->name, "resnet50.net");
}

/* ---- knobs ---- */

static void test_plain_nets_have_no_shortcuts(void **state) {
    (void)state;
    static const char *const nets[] = {"plain18", "plain34", "plain20_cifar", "plain56_cifar", "plain110_cifar"};
    for (size_t i = 0; i < ST_COUNT_OF(nets); i++) {
        const st_graph *graph = load(nets[i], NULL);
        for (int k = 0; k < graph->node_count; k++) {
            assert_true(graph->nodes[k].in_count <= 1);
        }
    }
}

static void test_blocks_may_begin_as_the_identity(void **state) {
    (void)state;
    static const struct {
        const char *net, *last, *inner;
    } nets[] = {{"resnet18", "layer4.1.bn2", "layer4.1.bn1"},
                {"resnet152", "layer3.30.bn3", "layer3.30.bn2"},
                {"resnet20_cifar", "layer2.0.bn2", "layer2.0.bn1"}};
    for (size_t i = 0; i < ST_COUNT_OF(nets); i++) {
        for (int zero = 0; zero < 2; zero++) {
            const st_graph *graph = load(nets[i].net, zero ? "zero_init_residual=yes" : NULL);
            double last = (double)st_graph_initial(graph, find(graph, nets[i].last), 0, 1, 5);
            double inner = (double)st_graph_initial(graph, find(graph, nets[i].inner), 0, 1, 5);
            assert_true(zero ? last <= 0 && last >= 0 : last >= 1 && last <= 1);
            assert_true(inner >= 1 && inner <= 1);
        }
    }
}

static void test_norms_of_the_input_are_those_of_the_weights(void **state) {
    (void)state;
    static const struct {
        const char *net;
        double mean, deviation; /* of the second channel; 0: the data's own */
    } nets[] = {{"vgg16", 0.456, 0.224},
                {"alexnet_torchvision", 0.456, 0.224},
                {"squeezenet1_1", 117, 1},
                {"googlenet", 0.5, 0.5},
                {"resnet56_cifar", 0.456, 0.224},
                {"plain20_cifar", 0.456, 0.224},
                {"signs_finetune", 0.456, 0.224},
                {"alexnet", 0, 0},
                {"lenet5", 0, 0},
                {"nin_cifar", 0, 0},
                {"signs_resnet50", 0, 0}};
    for (size_t i = 0; i < ST_COUNT_OF(nets); i++) {
        const st_graph *graph = load(nets[i].net, NULL);
        assert_int_equal(graph->has_normalization, nets[i].mean > 0);
        if (graph->has_normalization) {
            assert_true(graph->mean[1] > nets[i].mean - 1e-9 && graph->mean[1] < nets[i].mean + 1e-9);
            assert_true(graph->deviation[1] > nets[i].deviation - 1e-9 &&
                        graph->deviation[1] < nets[i].deviation + 1e-9);
        }
    }
}

static void test_nets_take_smaller_pictures(void **state) {
    (void)state;
    static const struct {
        const char *net, *settings;
        int64_t side;
    } nets[] = {{"alexnet", "image=67 classes=4", 67},
                {"alexnet_2gpu", "image=67 classes=4", 67},
                {"vgg19_bn", "image=32 classes=4", 32},
                {"resnet152", "image=32 classes=4", 32},
                {"googlenet", "image=64 classes=4", 64},
                {"googlenet_2014", "image=96 classes=4", 96},
                {"squeezenet1_1", "image=64 classes=4", 64},
                {"nin_imagenet", "image=96 classes=4", 96},
                {"alexnet_torchvision", "image=224 classes=4", 224}};
    for (size_t i = 0; i < ST_COUNT_OF(nets); i++) {
        const st_graph *graph = load(nets[i].net, nets[i].settings);
        assert_int_equal(graph->input.h, nets[i].side);
        assert_int_equal(graph->nodes[graph->outputs[graph->main_output].node].out.c, 4);
    }
}

#define ZOO_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        ZOO_TEST(test_the_canon_is_complete),
        ZOO_TEST(test_every_net_prints_back),
        ZOO_TEST(test_nets_have_the_published_counts),
        ZOO_TEST(test_multiply_adds_are_within_a_percent),
        ZOO_TEST(test_inception_bottleneck_saves_nine_tenths),
        ZOO_TEST(test_lenet5_has_its_shapes),
        ZOO_TEST(test_alexnet_has_its_shapes),
        ZOO_TEST(test_vgg16_has_its_shapes),
        ZOO_TEST(test_residual_nets_have_their_shapes),
        ZOO_TEST(test_googlenet_has_its_shapes),
        ZOO_TEST(test_network_in_network_has_its_shapes),
        ZOO_TEST(test_receptive_fields),
        ZOO_TEST(test_names_are_those_of_published_weights),
        ZOO_TEST(test_a_place_in_an_included_block_is_kept),
        ZOO_TEST(test_plain_nets_have_no_shortcuts),
        ZOO_TEST(test_blocks_may_begin_as_the_identity),
        ZOO_TEST(test_norms_of_the_input_are_those_of_the_weights),
        ZOO_TEST(test_nets_take_smaller_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
