/* Small versions of the zoo's nets against PyTorch: logits, loss and every gradient, in train mode and in inference
 * mode. tests/golden/record computed the references, in fp64, from the same weights and images: both are a function of
 * the tensor's name and the element's place, so a reference holds results only. A gradient is known by its norm and by
 * its products with 8 vectors of signs; the products of the difference with them, squared, are on average the square of
 * its norm. The tolerances are those of `make parity`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "lab.h"

enum { PROJECTIONS = 8 };
static const double LOGITS = 1e-4, GRADIENTS = 1e-3;

typedef struct golden {
    st_weights file;
    strata_runtime *runtime;
    strata_net *net;
    st_arena *arena;
    int64_t images;
    char folder[64], weights[80], batch[80], out[80];
} golden;

/* ---- the same numbers as in tests/golden/record ----------------------------------------------------------------- */

static uint64_t stream_of(const char *name, uint64_t seed) {
    uint64_t hash = 1469598103934665603U;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    }
    return hash + seed * 0x9E3779B97F4A7C15U;
}

static uint64_t hash_at(uint64_t stream, size_t index) {
    uint64_t z = stream + (index + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
}

static bool ends_in(const char *name, const char *end) {
    size_t length = strlen(name), most = strlen(end);
    return length >= most && strcmp(name + length - most, end) == 0;
}

typedef struct range {
    double low, high;
} range;

static range range_of(const golden *g, const char *name, int rank, size_t fan_in) {
    const char *last = st_weights_metadata(&g->file, "last");
    bool is_last = last[0] != '\0' && strstr(name, last) != NULL;
    double scale = is_last ? 0.1 : 1.0;
    if (strcmp(name, "images") == 0) {
        return (range){-1.7, 1.7};
    }
    if (rank > 1) {
        double bound = st_sqrt(6.0 / (double)fan_in);
        return (range){-bound, bound};
    }
    if (ends_in(name, "running_mean")) {
        return (range){-0.2, 0.2};
    }
    if (ends_in(name, "running_var")) {
        return (range){0.7, 1.4};
    }
    if (ends_in(name, ".weight")) {
        return (range){0.8 * scale, 1.2 * scale};
    }
    return (range){-0.1 * scale, 0.1 * scale};
}

static void write_values(const golden *g, st_weights_writer *writer, const st_tensor *tensor) {
    enum { PIECE = 1024 };
    st_real piece[PIECE];
    strata_error err = {0};
    size_t count = 1, fan_in = 1;
    for (int d = 0; d < tensor->rank; d++) {
        count *= (size_t)tensor->dims[d];
        fan_in *= d > 0 ? (size_t)tensor->dims[d] : 1;
    }
    range r = range_of(g, tensor->name, tensor->rank, fan_in);
    uint64_t stream = stream_of(tensor->name, 1);
    for (size_t done = 0; done < count;) {
        size_t now = count - done < PIECE ? count - done : PIECE;
        for (size_t i = 0; i < now; i++) {
            double draw = (double)(hash_at(stream, done + i) >> 40) / 16777216.0;
            piece[i] = (st_real)(float)(r.low + (r.high - r.low) * draw);
        }
        must(st_weights_write(writer, piece, now, &err), &err);
        done += now;
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void write_weights(const golden *g) {
    const st_graph *graph = g->net->graph;
    st_tensor *tensors = NULL;
    size_t count = 0;
    strata_error err = {0};
    st_weights_writer writer;
    must(st_arena_alloc(&tensors, g->arena, (size_t)graph->node_count * ST_OP_STATES, sizeof *tensors, &err), &err);
    for (int n = 0; n < graph->node_count; n++) {
        for (int s = 0; s < ST_OP_STATES; s++) {
            const st_state *state = &graph->nodes[n].state[s];
            if (state->count > 0) {
                tensors[count++] = (st_tensor){
                    .name = state->path, .stored = ST_STORED_F32, .rank = state->dims.rank, .dims = state->dims.dims};
            }
        }
    }
    must(st_weights_write_begin(&writer, g->weights, tensors, count, NULL, 0, &err), &err);
    for (size_t i = 0; i < count; i++) {
        write_values(g, &writer, &tensors[i]);
    }
    must(st_weights_write_commit(&writer, &err), &err);
}

static void write_batch(const golden *g) {
    st_dims input = g->net->graph->input;
    const int64_t dims[] = {g->images, input.c, input.h, input.w};
    const st_tensor tensors[] = {{.name = "images", .stored = ST_STORED_F32, .rank = 4, .dims = dims},
                                 {.name = "labels", .stored = ST_STORED_I64, .rank = 1, .dims = dims}};
    strata_error err = {0};
    st_weights_writer writer;
    must(st_weights_write_begin(&writer, g->batch, tensors, 2, NULL, 0, &err), &err);
    write_values(g, &writer, &tensors[0]);
    for (int64_t i = 0; i < g->images; i++) {
        int64_t label = (5 * i + 1) % 12;
        must(st_weights_write_integers(&writer, &label, 1, &err), &err);
    }
    must(st_weights_write_commit(&writer, &err), &err);
}

/* The text with every `from` replaced: dense layers of 4096 are too slow under the sanitizers. */
static char *narrowed(const char *text, const char *from, const char *to) {
    st_text out = {0};
    char *result = NULL;
    strata_error err = {0};
    const char *at;
    while (from[0] != '\0' && (at = strstr(text, from)) != NULL) {
        st_text_add_bytes(&out, text, (size_t)(at - text));
        st_text_add(&out, "%s", to);
        text = at + strlen(from);
    }
    st_text_add(&out, "%s", text);
    must(st_text_finish(&result, &out, &err), &err);
    return result;
}

static golden open_golden(const char *name) {
    golden g = {0};
    char path[128], *text = NULL;
    strata_error err = {0};
    strata_net *whole = NULL;
    (void)snprintf(path, sizeof path, "tests/golden/%s.safetensors", name);
    must(st_weights_open(&g.file, path, &err), &err);
    must(st_arena_create(&g.arena, &err), &err);
    must(strata_net_load(&whole, name, st_weights_metadata(&g.file, "settings"), &err), &err);
    must(strata_net_text(&text, whole, &err), &err);
    char *narrow = narrowed(text, st_weights_metadata(&g.file, "replace"), st_weights_metadata(&g.file, "by"));
    must(strata_net_parse(&g.net, narrow, strlen(narrow), NULL, &err), &err);
    strata_text_free(narrow);
    strata_text_free(text);
    strata_net_free(whole);
    must(strata_runtime_create(&g.runtime, &(strata_options){.threads = 2}, &err), &err);
    g.images = strtoll(st_weights_metadata(&g.file, "images"), NULL, 10);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(g.folder, sizeof g.folder, "%.40s/parity-XXXXXX", temporary != NULL ? temporary : "/tmp");
    assert_non_null(mkdtemp(g.folder));
    (void)snprintf(g.weights, sizeof g.weights, "%s/weights", g.folder);
    (void)snprintf(g.batch, sizeof g.batch, "%s/batch", g.folder);
    (void)snprintf(g.out, sizeof g.out, "%s/out", g.folder);
    write_weights(&g);
    write_batch(&g);
    return g;
}

static void close_golden(golden *g) {
    unlink(g->weights);
    unlink(g->batch);
    unlink(g->out);
    rmdir(g->folder);
    strata_runtime_free(g->runtime);
    strata_net_free(g->net);
    st_arena_free(g->arena);
    st_weights_close(&g->file);
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

static double *read_all(const golden *g, const st_weights *file, const st_tensor *tensor) {
    double *values = NULL;
    strata_error err = {0};
    must(st_arena_alloc(&values, g->arena, tensor->count, sizeof *values, &err), &err);
    must(st_weights_read_doubles(file, tensor, 0, tensor->count, values, &err), &err);
    return values;
}

static void check_forward(const golden *g, const char *mode, const st_tensor *reference, const st_weights *trace,
                          const st_tensor *tensor) {
    const double *expected = read_all(g, &g->file, reference), *found = read_all(g, trace, tensor);
    double apart = 0, size = 0;
    assert_int_equal(tensor->count, reference->count);
    for (size_t i = 0; i < tensor->count; i++) {
        apart += (found[i] - expected[i]) * (found[i] - expected[i]);
        size += expected[i] * expected[i];
    }
    double error = st_sqrt(apart / size);
    if (!(error <= LOGITS)) {
        fail_msg("%s %s: %s is %.2e from the reference", g->net->graph->name, mode, tensor->name, error);
    }
}

static double check_gradient(const golden *g, const char *mode, const st_tensor *reference, const st_weights *trace,
                             const st_tensor *tensor) {
    const double *expected = read_all(g, &g->file, reference), *found = read_all(g, trace, tensor);
    double norm = 0, products[PROJECTIONS] = {0}, apart = 0;
    uint64_t stream = stream_of(tensor->name, 0);
    assert_int_equal(reference->count, 1 + PROJECTIONS);
    for (size_t i = 0; i < tensor->count; i++) {
        uint64_t bits = hash_at(stream, i);
        norm += found[i] * found[i];
        for (int k = 0; k < PROJECTIONS; k++) {
            products[k] += (bits >> (63 - k) & 1) != 0 ? -found[i] : found[i];
        }
    }
    for (int k = 0; k < PROJECTIONS; k++) {
        apart += (products[k] - expected[1 + k]) * (products[k] - expected[1 + k]) / PROJECTIONS;
    }
    double error = st_sqrt(apart) / expected[0], longer = st_sqrt(norm) / expected[0] - 1;
    if (!(error <= GRADIENTS) || !(longer <= GRADIENTS && longer >= -GRADIENTS)) {
        fail_msg("%s %s: the gradient of %s is %.2e from the reference, its norm %.2e", g->net->graph->name, mode,
                 tensor->name, error, longer);
    }
    return error;
}

static void check_mode(const golden *g, const char *mode) {
    strata_error err = {0};
    strata_trace_info info;
    const strata_trace_options options = {
        .weights = g->weights, .train = strcmp(mode, "train") == 0, .gradients = true};
    st_weights trace;
    size_t compared = 0;
    double worst = 0;
    must(strata_trace(&info, g->runtime, g->net, g->batch, g->out, &options, &err), &err);
    must(st_weights_open(&trace, g->out, &err), &err);
    for (size_t i = 0; i < trace.tensor_count; i++) {
        const st_tensor *tensor = &trace.tensors[i];
        char name[320];
        (void)snprintf(name, sizeof name, "%s/%s", mode, tensor->name);
        const st_tensor *reference = st_weights_find(&g->file, name);
        if (reference == NULL) {
            fail_msg("%s: PyTorch has no %s", g->net->graph->name, name);
        }
        if (strcmp(tensor->name, "loss") == 0 || ends_in(tensor->name, "logits")) {
            check_forward(g, mode, reference, &trace, tensor);
        } else {
            double error = check_gradient(g, mode, reference, &trace, tensor);
            worst = error > worst ? error : worst;
        }
        compared++;
    }
    size_t expected = 0;
    for (size_t i = 0; i < g->file.tensor_count; i++) {
        expected += strncmp(g->file.tensors[i].name, mode, strlen(mode)) == 0;
    }
    assert_int_equal(compared, expected);
    printf("%s, %s: %zu tensors, worst gradient %.1e\n", g->net->graph->name, mode, compared, worst);
    st_weights_close(&trace);
}

static void check_net(const char *name) {
    golden g = open_golden(name);
    check_mode(&g, "train");
    check_mode(&g, "infer");
    close_golden(&g);
}

static void test_alexnet_agrees_with_pytorch(void **state) {
    (void)state;
    check_net("alexnet_torchvision");
}

static void test_vgg16_agrees_with_pytorch(void **state) {
    (void)state;
    check_net("vgg16");
}

static void test_resnet18_agrees_with_pytorch(void **state) {
    (void)state;
    check_net("resnet18");
}

static void test_resnet50_agrees_with_pytorch(void **state) {
    (void)state;
    check_net("resnet50");
}

static void test_resnet152_agrees_with_pytorch(void **state) {
    (void)state;
    check_net("resnet152");
}

static void test_googlenet_with_its_heads_agrees_with_pytorch(void **state) {
    (void)state;
    check_net("googlenet");
}

static void test_squeezenet_agrees_with_pytorch(void **state) {
    (void)state;
    check_net("squeezenet1_1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alexnet_agrees_with_pytorch),
        cmocka_unit_test(test_vgg16_agrees_with_pytorch),
        cmocka_unit_test(test_resnet18_agrees_with_pytorch),
        cmocka_unit_test(test_resnet50_agrees_with_pytorch),
        cmocka_unit_test(test_resnet152_agrees_with_pytorch),
        cmocka_unit_test(test_googlenet_with_its_heads_agrees_with_pytorch),
        cmocka_unit_test(test_squeezenet_agrees_with_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
