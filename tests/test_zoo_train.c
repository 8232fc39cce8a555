/* Every net of the zoo learns: a few steps on a few pictures, the loss falls, and the model takes as much memory as was
 * predicted. The deepest are here too, on small pictures: what is proven is the graph, its gradients and its memory,
 * not accuracy. `make check` runs this program twice: all nets in the release build, and those that are not slow with
 * the address sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "counted_memory.h"
#include "exec/exec.h"
#include "lab.h"

#if defined(__SANITIZE_ADDRESS__)
static const bool LEAVES_OUT_SLOW = true;
#else
static const bool LEAVES_OUT_SLOW = false;
#endif

/* ---- memory: every byte goes through one door ---- */

static int begin_all(void **state) {
    (void)state;
    begin_counting();
    return 0;
}

static int end_all(void **state) {
    (void)state;
    end_counting();
    return 0;
}

/* ---- a net on a few pictures ---- */

typedef struct lesson {
    const char *net, *settings;
    int steps;
    double learning_rate;
    bool is_slow;
} lesson;

enum { BATCH = 4, THREADS = 2 };

typedef struct lab {
    st_arena *arena;
    st_pool *pool;
    const st_kernels *kernels;
    const st_graph *graph;
    st_model *model;
    st_real *values;
    int32_t labels[BATCH];
} lab;

static void make_pictures(lab *l) {
    strata_error err = {0};
    st_dims input = l->graph->input;
    int64_t classes = l->graph->nodes[l->graph->outputs[l->graph->main_output].node].out.c;
    size_t count = (size_t)(BATCH * input.h * input.w * input.c);
    must(st_arena_alloc(&l->values, l->arena, count, sizeof *l->values, &err), &err);
    for (size_t i = 0; i < count; i++) {
        l->values[i] = (st_real)st_rng_normal(9, st_rng_stream(ST_STREAM_TEST, 1), i);
    }
    for (int n = 0; n < BATCH; n++) {
        l->labels[n] = (int32_t)(n % classes);
    }
}

static lab make_lab(const lesson *what) {
    lab l = {.kernels = best_kernels()};
    strata_error err = {0};
    const st_tree *tree;
    must(st_arena_create(&l.arena, &err), &err);
    must(st_pool_create(&l.pool, THREADS, &err), &err);
    must(st_lang_load(&tree, l.arena, what->net, &err), &err);
    must(st_graph_build(&l.graph, l.arena, tree, what->settings, NULL, &err), &err);
    make_pictures(&l);
    return l;
}

/* One step of the optimizer; returns the loss before it. Dropout takes the same mask in every step, so that the loss is
 * one function of the weights and a step against its gradient must lower it. */
static double step(lab *l, const lesson *what, int number) {
    st_feed feed = {.values = l->values, .labels = l->labels, .n = BATCH};
    double sum = 0;
    st_model_gradients(l->model, &feed);
    for (int i = 0; i < l->graph->output_count; i++) {
        const st_real *losses = st_exec_losses(l->model->train, i);
        for (int n = 0; losses != NULL && n < BATCH; n++) {
            sum += (double)losses[n] * l->graph->outputs[i].weight / BATCH;
        }
    }
    st_update update = st_update_standard(ST_OPTIMIZER_SGD);
    update.learning_rate = what->learning_rate;
    update.step = number;
    st_model_update(l->model, &update);
    return sum;
}

/* All but the program itself and the pictures on their way, which a model does not hold. Beyond what was predicted it
 * has its plans: about 3 KB for each layer (measured), in chunks of 64. */
static void check_memory(const lesson *what, const lab *l, size_t taken, const strata_memory *memory) {
    size_t predicted = (size_t)(memory->weights_bytes + memory->gradients_bytes + memory->optimizer_bytes +
                                memory->activations_bytes + memory->scratch_bytes);
    size_t plans = (size_t)l->graph->node_count * 4096 + (256 << 10);
    if (taken < predicted || taken > predicted + plans) {
        fail_msg("%s: %zu bytes were predicted, %zu are taken", what->net, predicted, taken);
    }
}

static void test_zoo_net_learns(void **state) {
    const lesson *what = *state;
    strata_error err = {0};
    strata_memory memory;
    size_t at_first = live_bytes;
    lab l = make_lab(what);
    st_model_options options = {.batch = BATCH, .train = true, .slot_count = 1, .seed = 3};
    must(st_model_need(&memory, l.kernels, THREADS, l.graph, &options, 0, &err), &err);
    size_t before = peak_bytes = live_bytes;
    must(st_model_create(&l.model, l.pool, l.kernels, l.graph, &options, &err), &err);
    double first = step(&l, what, 0), last = first;
    for (int i = 1; i <= what->steps; i++) {
        last = step(&l, what, i);
    }
    print_message("%s: loss %.3f, after %d steps %.3f; %zu MB\n", what->net, first, what->steps, last,
                  (peak_bytes - before) >> 20);
    check_memory(what, &l, peak_bytes - before, &memory);
    if (!(last < 0.9 * first)) {
        fail_msg("%s: loss %g, after %d steps %g", what->net, first, what->steps, last);
    }
    st_model_free(l.model);
    st_pool_free(l.pool);
    st_arena_free(l.arena);
    assert_int_equal(live_bytes, at_first);
}

/* Plain nets are given more steps: with a few pictures and batch norm at every layer their gradient is so long (38,000
 * for plain34 at 32x32) that the loss leaves the straight line along it at once, though it is exact. */
static const lesson lessons[] = {
    {"lenet5", NULL, 4, 0.02, false},
    {"lenet5_1998", NULL, 4, 0.02, false},
    {"alexnet", "image=67 classes=4", 4, 0.002, true},
    {"alexnet_2gpu", "image=67 classes=4", 4, 0.002, false},
    {"alexnet_torchvision", "classes=4", 4, 0.002, true},
    {"vgg11", "image=32 classes=4", 4, 0.002, true},
    {"vgg13", "image=32 classes=4", 4, 0.002, true},
    {"vgg16", "image=32 classes=4", 4, 0.002, true},
    {"vgg19", "image=32 classes=4", 4, 0.002, true},
    {"vgg11_bn", "image=32 classes=4", 4, 0.002, false},
    {"vgg13_bn", "image=32 classes=4", 4, 0.002, true},
    {"vgg16_bn", "image=32 classes=4", 4, 0.002, true},
    {"vgg19_bn", "image=32 classes=4", 4, 0.002, true},
    {"resnet18", "image=32 classes=4", 4, 0.002, false},
    {"resnet34", "image=32 classes=4", 4, 0.002, true},
    {"resnet50", "image=32 classes=4", 4, 0.002, true},
    {"resnet101", "image=32 classes=4", 4, 0.002, true},
    {"resnet152", "image=32 classes=4", 4, 0.002, true},
    {"plain18", "image=32 classes=4", 4, 0.002, false},
    {"plain34", "image=64 classes=4", 8, 0.005, true},
    {"resnet20_cifar", NULL, 4, 0.02, false},
    {"resnet32_cifar", NULL, 4, 0.02, false},
    {"resnet44_cifar", NULL, 4, 0.02, true},
    {"resnet56_cifar", NULL, 4, 0.02, true},
    {"resnet110_cifar", NULL, 8, 0.02, true},
    {"plain20_cifar", NULL, 4, 0.02, false},
    {"plain56_cifar", NULL, 8, 0.02, true},
    {"plain110_cifar", NULL, 8, 0.02, true},
    {"nin_cifar", NULL, 4, 0.002, true},
    {"nin_imagenet", "image=96 classes=4", 4, 0.002, false},
    {"googlenet", "image=64 classes=4", 4, 0.002, false},
    {"googlenet_2014", "image=96 classes=4", 4, 0.002, false},
    {"squeezenet1_1", "image=64 classes=4 spread=58", 4, 0.002, false},
    {"inception_module", NULL, 4, 0.002, false},
    {"signs_resnet50", NULL, 4, 0.002, true},
    {"signs_finetune", NULL, 4, 0.002, false},
};

int main(void) {
    struct CMUnitTest tests[ST_COUNT_OF(lessons)];
    size_t count = 0, left_out = 0;
    for (size_t i = 0; i < ST_COUNT_OF(lessons); i++) {
        if (lessons[i].is_slow && LEAVES_OUT_SLOW) {
            left_out++;
            continue;
        }
        tests[count++] = (struct CMUnitTest){
            .name = lessons[i].net, .test_func = test_zoo_net_learns, .initial_state = (void *)(uintptr_t)&lessons[i]};
    }
    if (left_out > 0) {
        print_message("%zu slow nets are left to the release build\n", left_out);
    }
    return _cmocka_run_group_tests("zoo", tests, count, begin_all, end_all);
}
