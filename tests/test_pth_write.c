/* formats: PyTorch files that are written. They hold what was there, bit for bit; PyTorch reads them without running
 * anything (weights_only); views with strides are written packed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "pth_case.h"

static char folder[64], path[128], script[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-pth-write-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/t.pth", folder);
    snprintf(script, sizeof script, "%s/read.py", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    unlink(script);
    return rmdir(folder);
}

enum { MOST_TENSORS = 12, MOST_SIDES = 4, ROOM = 1 << 16 };

/* Random valid weights in memory, views with strides among them. */
typedef struct sample {
    uint64_t seed, draws;
    st_weights weights;
    st_tensor tensors[MOST_TENSORS];
    int64_t dims[MOST_TENSORS][MOST_SIDES], strides[MOST_TENSORS][MOST_SIDES];
    char names[MOST_TENSORS][40];
    st_pair pairs[3];
    unsigned char bytes[ROOM];
} sample;

static size_t draw(sample *from, size_t bound) {
    return (size_t)(st_rng_bits(from->seed, st_rng_stream(ST_STREAM_TEST, 1), from->draws++) % bound);
}

static void make_tensor(sample *out, size_t t) {
    static const st_stored kinds[] = {ST_STORED_F32, ST_STORED_F64, ST_STORED_F16, ST_STORED_BF16, ST_STORED_I64,
                                      ST_STORED_I32, ST_STORED_I16, ST_STORED_I8,  ST_STORED_U8,   ST_STORED_BOOL};
    st_tensor *tensor = &out->tensors[t];
    snprintf(out->names[t], sizeof out->names[t], "%s%zu.caf\xc3\xa9", draw(out, 2) > 0 ? "module." : "", t);
    *tensor = (st_tensor){.name = out->names[t],
                          .stored = kinds[draw(out, ST_COUNT_OF(kinds))],
                          .rank = (int)draw(out, MOST_SIDES + 1),
                          .dims = out->dims[t],
                          .count = 1,
                          .bytes = out->bytes + 8 * draw(out, 64)};
    int64_t step = 1;
    bool has_strides = draw(out, 2) > 0;
    for (int d = tensor->rank - 1; d >= 0; d--) {
        out->dims[t][d] = (int64_t)draw(out, 8);
        out->strides[t][d] = has_strides ? (int64_t)draw(out, 200) : step;
        step *= out->dims[t][d];
        tensor->count *= (size_t)out->dims[t][d];
    }
    tensor->strides = has_strides ? out->strides[t] : NULL;
}

static void make_sample(sample *out, uint64_t seed) {
    *out = (sample){.seed = seed, .weights.file.descriptor = -1};
    assert_int_equal(st_arena_create(&out->weights.arena, NULL), STRATA_OK);
    for (size_t i = 0; i < ROOM; i++) {
        out->bytes[i] = (unsigned char)st_rng_bits(seed, st_rng_stream(ST_STREAM_TEST, 2), i);
    }
    out->weights.tensors = out->tensors;
    out->weights.tensor_count = draw(out, MOST_TENSORS + 1);
    for (size_t t = 0; t < out->weights.tensor_count; t++) {
        make_tensor(out, t);
    }
    out->pairs[0] = (st_pair){"strata.net", "network a {\n}\n\xc3\xa9 \"\\"};
    out->pairs[1] = (st_pair){ST_PAIR_NOTE, "about the file that these came from"};
    out->pairs[2] = (st_pair){"", ""};
    out->weights.pairs = out->pairs;
    out->weights.pair_count = draw(out, 4);
    assert_int_equal(st_weights_index(&out->weights, NULL), STRATA_OK);
}

static void check_same(const st_weights *got, const st_weights *want) {
    assert_int_equal(got->tensor_count, want->tensor_count);
    for (size_t t = 0; t < want->tensor_count; t++) {
        const st_tensor *a = &got->tensors[t], *b = &want->tensors[t];
        unsigned char *bytes[2];
        assert_string_equal(a->name, b->name); /* in the same order */
        assert_true(a->stored == b->stored && a->rank == b->rank && a->count == b->count && a->strides == NULL);
        assert_memory_equal(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
        assert_int_equal(a->offset % 64, 0);
        size_t length = a->count * st_stored_size(a->stored);
        for (int i = 0; i < 2; i++) {
            bytes[i] = malloc(length + 1);
            assert_non_null(bytes[i]);
            assert_int_equal(st_weights_read_bytes(i == 0 ? got : want, i == 0 ? a : b, 0, a->count, bytes[i], NULL),
                             STRATA_OK);
        }
        assert_memory_equal(bytes[0], bytes[1], length);
        free(bytes[0]);
        free(bytes[1]);
    }
}

static strata_status write_pth(const st_weights *in, strata_error *err) {
    return st_format_by_ending(path)->write(in, NULL, path, err);
}

static void test_pth_random_files_make_the_round(void **state) {
    (void)state;
    static sample each;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        make_sample(&each, seed);
        assert_int_equal(write_pth(&each.weights, NULL), STRATA_OK);
        st_weights got = opened(path);
        check_same(&got, &each.weights);
        for (size_t i = 0; i < each.weights.pair_count; i++) {
            const char *value = st_weights_metadata(&got, each.pairs[i].name);
            if (i == 1) {
                assert_null(value);
            } else {
                assert_string_equal(value, each.pairs[i].value);
            }
        }
        st_weights_close(&got);
        st_weights_close(&each.weights);
    }
}

/* Every value of a view with strides against its place, in files large enough for both ways of gathering. */
static void test_pth_views_are_gathered_from_the_file(void **state) {
    (void)state;
    enum { VALUES = 300000, VIEWS = 5 };
    static const int64_t dims[VIEWS][3] = {{100, 30, 100}, {100, 30, 100}, {300, 10, 100}, {7, 1, 3}, {1, 1, 1}};
    static const int64_t strides[VIEWS][3] = {
        {1, 100, 3000}, {3000, 1, 30}, {1, 30000, 300}, {40000, 5, 100}, {9, 9, 9}};
    static unsigned char bytes[4 * VALUES];
    st_tensor packed = {.name = "all", .stored = ST_STORED_I32, .rank = 1, .count = VALUES, .bytes = bytes};
    const int64_t all = VALUES;
    packed.dims = &all;
    for (size_t i = 0; i < VALUES; i++) {
        st_stored_put(bytes + 4 * i, 4, i);
    }
    st_weights in = {.file.descriptor = -1, .tensors = &packed, .tensor_count = 1};
    assert_int_equal(write_pth(&in, NULL), STRATA_OK);
    st_weights weights = opened(path);
    for (size_t v = 0; v < VIEWS; v++) {
        st_tensor view = weights.tensors[0];
        view.rank = 3;
        view.dims = dims[v];
        view.strides = strides[v];
        view.count = (size_t)(dims[v][0] * dims[v][1] * dims[v][2]);
        int64_t *values = calloc(view.count, sizeof *values);
        assert_non_null(values);
        assert_int_equal(st_weights_read_integers(&weights, &view, values, NULL), STRATA_OK);
        size_t i = 0;
        for (int64_t a = 0; a < dims[v][0]; a++) {
            for (int64_t b = 0; b < dims[v][1]; b++) {
                for (int64_t c = 0; c < dims[v][2]; c++) {
                    assert_int_equal(values[i++], a * strides[v][0] + b * strides[v][1] + c * strides[v][2]);
                }
            }
        }
        free(values);
    }
    st_weights_close(&weights);
}

static void test_pth_refuses_what_pytorch_cannot_hold(void **state) {
    (void)state;
    static const struct {
        st_stored stored;
        const char *name, *message;
    } cases[] = {
        {ST_STORED_U16, "a", "tensor 'a' is U16, a type that PyTorch's files do not have"},
        {ST_STORED_U32, "a", "tensor 'a' is U32, a type that PyTorch's files do not have"},
        {ST_STORED_U64, "a", "tensor 'a' is U64, a type that PyTorch's files do not have"},
        {ST_STORED_F32, "\xff", "the name of the tensor '?' is not UTF-8"},
    };
    static const unsigned char bytes[8];
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        strata_error err = {0};
        st_tensor tensor = {.name = cases[i].name, .stored = cases[i].stored, .count = 1, .bytes = bytes};
        st_weights in = {.file.descriptor = -1, .tensors = &tensor, .tensor_count = 1};
        unlink(path);
        assert_int_not_equal(write_pth(&in, &err), STRATA_OK);
        assert_string_equal(err.message, cases[i].message);
        assert_int_not_equal(access(path, F_OK), 0); /* and nothing is left */
    }
}

static void test_pytorch_reads_what_is_written(void **state) {
    (void)state;
    static const char program[] =
        "import sys, collections, torch\n"
        "for file in sys.argv[2:]:\n"
        "    t = torch.load(sys.argv[1] + '/' + file, weights_only=True)\n"
        "    assert type(t) is collections.OrderedDict\n"
        "    want = torch.load('tests/golden/pth/' + file)\n"
        "    assert list(t) == list(want), (list(t), list(want))\n"
        "    for name, a in t.items():\n"
        "        b = want[name]\n"
        "        assert a.dtype == b.dtype and a.shape == b.shape and a.is_contiguous(), name\n"
        "        assert torch.equal(a, b), name\n";
    static const char *const files[] = {"types.zip", "types.legacy", "views.zip", "module.legacy", "empty.zip"};
    char command[512], from[128], to[128];
    if (system("/usr/bin/python3 -c 'import torch' 2> /dev/null") != 0) {
        print_message("skip: no python3-torch\n");
        skip();
    }
    put_bytes(script, program, sizeof program - 1);
    int length = snprintf(command, sizeof command, "/usr/bin/python3 -W ignore %s %s", script, folder);
    for (size_t i = 0; i < ST_COUNT_OF(files); i++) {
        snprintf(from, sizeof from, "tests/golden/pth/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", folder, files[i]);
        st_weights weights = opened(from);
        assert_int_equal(st_format_by_ending(path)->write(&weights, NULL, to, NULL), STRATA_OK);
        st_weights_close(&weights);
        length += snprintf(command + length, sizeof command - (size_t)length, " %s", files[i]);
    }
    int status = system(command);
    for (size_t i = 0; i < ST_COUNT_OF(files); i++) {
        snprintf(to, sizeof to, "%s/%s", folder, files[i]);
        unlink(to);
    }
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pth_random_files_make_the_round),
        cmocka_unit_test(test_pth_views_are_gathered_from_the_file),
        cmocka_unit_test(test_pth_refuses_what_pytorch_cannot_hold),
        cmocka_unit_test(test_pytorch_reads_what_is_written),
    };
    return cmocka_run_group_tests_name("pth_write", tests, make_folder, remove_folder);
}
