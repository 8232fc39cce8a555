/* formats: PyTorch's files. Those that PyTorch wrote (tests/golden/record-pth), valid unusual ones and hostile ones
 * made here; what is written is what was there, and PyTorch reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "pth_case.h"

static char folder[64], path[128], other[128], script[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-pth-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/t.pth", folder);
    snprintf(other, sizeof other, "%s/o.safetensors", folder);
    snprintf(script, sizeof script, "%s/read.py", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    unlink(other);
    unlink(script);
    return rmdir(folder);
}

/* ---- what PyTorch wrote ---- */

/* What record-pth filled in. */
static double expected(const st_tensor *tensor, int k, size_t i) {
    int64_t value = (int64_t)((5 * i + 3 * (size_t)k) % 17) - 4;
    return tensor->stored == ST_STORED_BOOL ? (double)(value & 1)
           : tensor->stored == ST_STORED_U8 ? (double)(value & 255)
                                            : (double)value;
}

static void check_values(const st_weights *weights, const st_tensor *tensor, int k) {
    double values[64];
    assert_true(tensor->count <= 64);
    assert_int_equal(st_weights_read_doubles(weights, tensor, 0, tensor->count, values, NULL), STRATA_OK);
    for (size_t i = 0; i < tensor->count; i++) {
        if (values[i] != expected(tensor, k, i)) {
            fail_msg("%s: %s[%d] is %g, expected %g", weights->file.path, tensor->name, (int)i, values[i],
                     expected(tensor, k, i));
        }
    }
}

typedef struct golden {
    const char *name, *dims;
    st_stored stored;
    int k; /* of record-pth; -1: all values are 3 */
} golden;

static void check_golden(const char *name, const golden *want, size_t count, const char *note) {
    static const char *const forms[] = {"zip", "legacy"};
    static const char *const kinds[] = {"PyTorch zip", "PyTorch legacy"};
    for (int form = 0; form < 2; form++) {
        char file[128], dims[ST_TENSOR_DIMS_TEXT];
        snprintf(file, sizeof file, "tests/golden/pth/%s.%s", name, forms[form]);
        st_weights weights = opened(file);
        assert_string_equal(weights.format->name, kinds[form]);
        assert_int_equal(weights.tensor_count, count);
        for (size_t i = 0; i < count; i++) {
            const st_tensor *tensor = &weights.tensors[i];
            st_tensor_dims(dims, tensor->rank, tensor->dims);
            assert_string_equal(tensor->name, want[i].name);
            assert_string_equal(dims, want[i].dims);
            assert_int_equal(tensor->stored, want[i].stored);
            if (want[i].k >= 0) {
                check_values(&weights, tensor, want[i].k);
            }
        }
        const char *said = st_weights_metadata(&weights, ST_PAIR_NOTE);
        assert_string_equal(said != NULL ? said : "", note);
        st_weights_close(&weights);
    }
}

static const golden types[] = {
    {"float32", "2x3", ST_STORED_F32, 0},       {"float64", "2x3", ST_STORED_F64, 1},
    {"float16", "2x3", ST_STORED_F16, 2},       {"bfloat16", "2x3", ST_STORED_BF16, 3},
    {"int64", "2x3", ST_STORED_I64, 4},         {"int32", "2x3", ST_STORED_I32, 5},
    {"int16", "2x3", ST_STORED_I16, 6},         {"int8", "2x3", ST_STORED_I8, 7},
    {"uint8", "2x3", ST_STORED_U8, 8},          {"bool", "2x3", ST_STORED_BOOL, 9},
    {"scalar", "one value", ST_STORED_I64, 10}, {"none", "0x4", ST_STORED_F32, 0},
};

static void test_pth_reads_every_type(void **state) {
    (void)state;
    check_golden("types", types, ST_COUNT_OF(types), "");
    check_golden("protocol4", types, ST_COUNT_OF(types), "");
}

static void test_pth_reads_views_of_storages(void **state) {
    (void)state;
    static const golden views[] = {
        {"transposed", "4x3", ST_STORED_F32, 0},        {"inside", "2x3", ST_STORED_F32, 1},
        {"channels_last", "2x3x2x2", ST_STORED_F32, 2}, {"tied", "3x3", ST_STORED_F32, 3},
        {"tied_again", "3x3", ST_STORED_F32, 3},        {"row", "3", ST_STORED_F32, -1},
        {"expanded", "2x4", ST_STORED_F32, -1},
    };
    check_golden("views", views, ST_COUNT_OF(views), "");
    st_weights weights = opened("tests/golden/pth/views.zip");
    double values[8];
    assert_int_equal(st_weights_read_doubles(&weights, st_weights_find(&weights, "row"), 0, 3, values, NULL),
                     STRATA_OK);
    assert_true(values[0] == 3 && values[1] == 8 && values[2] == -4); /* values 3 to 5 of `tied` */
    assert_int_equal(st_weights_read_doubles(&weights, st_weights_find(&weights, "expanded"), 0, 8, values, NULL),
                     STRATA_OK);
    assert_true(values[0] == 3 && values[7] == 3);
    st_weights_close(&weights);
}

static const golden module[] = {
    {"0.weight", "2x1x3x3", ST_STORED_F32, 0},
    {"0.bias", "2", ST_STORED_F32, 1},
    {"1.weight", "2", ST_STORED_F32, 2},
    {"1.bias", "2", ST_STORED_F32, 3},
    {"1.running_mean", "2", ST_STORED_F32, 4},
    {"1.running_var", "2", ST_STORED_F32, 5},
    {"1.num_batches_tracked", "one value", ST_STORED_I64, 6},
};

static void test_pth_finds_the_weights_in_a_checkpoint(void **state) {
    (void)state;
    static const golden parameters[] = {{"0", "2x2", ST_STORED_F32, 0}, {"1.deep.0", "3", ST_STORED_F32, 1}};
    static const golden alone[] = {{"tensor", "2x3", ST_STORED_F32, 0}};
    check_golden("module", module, ST_COUNT_OF(module), "");
    check_golden("checkpoint", module, ST_COUNT_OF(module),
                 "the weights are under 'model', 'state_dict'\nnot read: 'optimizer', 4 tensors\n"
                 "'module.' in front of every name is left out");
    check_golden("metric", module, ST_COUNT_OF(module), "the weights are under 'state_dict'");
    check_golden("parameters", parameters, ST_COUNT_OF(parameters), "");
    check_golden("tensor", alone, ST_COUNT_OF(alone), "");
    check_golden("empty", NULL, 0, "");
}

static void test_pth_refuses_what_is_more_than_tensors(void **state) {
    (void)state;
    refused_file("tests/golden/pth/model.zip", STRATA_UNSUPPORTED,
                 "byte 66: it refers to 'torch.nn.modules.linear.Linear': nothing is run here, only tensors, dicts, "
                 "lists, numbers and texts are read");
    refused_file("tests/golden/pth/model.legacy", STRATA_UNSUPPORTED,
                 "byte 153: it refers to 'torch.nn.modules.linear.Linear': nothing is run here, only tensors, dicts, "
                 "lists, numbers and texts are read");
    refused_file("tests/golden/pth/sparse.zip", STRATA_UNSUPPORTED,
                 "byte 82: it refers to 'torch._utils._rebuild_sparse_tensor': nothing is run here, only tensors, "
                 "dicts, lists, numbers and texts are read");
    refused_file("tests/golden/pth/script.zip", STRATA_UNSUPPORTED,
                 "a TorchScript archive ('script/constants.pkl' is there): a program, and nothing is run here");
}

static void test_pth_probe_looks_at_content(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *name; /* NULL: not PyTorch's */
    } cases[] = {
        {"PK\3\4", 4, "PyTorch zip"}, {"PK\1\2", 4, NULL},   {"PK\3", 3, NULL},   {"\x80\2}.", 4, "PyTorch legacy"},
        {"\x80\1}.", 4, NULL},        {"\x80\6}.", 4, NULL}, {"\x80\2", 2, NULL}, {"}.", 2, NULL},
    };
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        put_bytes(path, cases[i].bytes, cases[i].length);
        const st_format *found = NULL;
        assert_int_equal(st_format_probe(&found, path, NULL), STRATA_OK);
        bool is_ours = found != NULL && strncmp(found->name, "PyTorch", 7) == 0;
        assert_int_equal(is_ours, cases[i].name != NULL);
        assert_true(!is_ours || strcmp(found->name, cases[i].name) == 0);
    }
    assert_string_equal(st_format_by_ending("a.pth")->name, "PyTorch zip");
}

/* ---- archives that are well made, with something wrong in them ---- */

#define TWO STORAGE(FLOATS, "0", "K\2") /* a storage of two values */
#define VALUES "\0\0\x80\x3f\0\0\0\x40"
#define PLAIN(key) TEXT("\x01", key) TENSOR(TWO, "K\0K\2\x85K\1\x85")

static void put_pickle(const char *bytes, size_t length) {
    const member members[] = {{"a/data.pkl", bytes, length}, MEMBER("a/data/0", VALUES)};
    put_zip(path, members, 2);
}

static void refused_pickle(const char *bytes, size_t length, strata_status status, const char *message) {
    put_pickle(bytes, length);
    refused_file(path, status, message);
}

#define REFUSED(literal, status, message) refused_pickle(literal, sizeof(literal) - 1, status, message)
#define FORMAT(literal, message) REFUSED(literal, STRATA_FORMAT, message)

#define ARCHIVE(status, message, ...)                                                                                  \
    do {                                                                                                               \
        const member members[] = {__VA_ARGS__};                                                                        \
        put_zip(path, members, ST_COUNT_OF(members));                                                                  \
        refused_file(path, status, message);                                                                           \
    } while (0)

static void test_pth_checks_the_members(void **state) {
    (void)state;
    const member pickle = MEMBER("a/data.pkl", "}" PLAIN("w") "s."), values = MEMBER("a/data/0", VALUES);
    ARCHIVE(STRATA_FORMAT, "a zip archive, but not PyTorch's: no folder has a data.pkl", values);
    ARCHIVE(STRATA_FORMAT, "a zip archive, but not PyTorch's: no folder has a data.pkl", MEMBER("data.pkl", "N."),
            MEMBER("a/b/data.pkl", "N."));
    ARCHIVE(STRATA_FORMAT, "a zip archive with 2 folders that have a data.pkl, expected one", pickle, values,
            MEMBER("b/data.pkl", "N."));
    ARCHIVE(STRATA_FORMAT, "storage 'a/data/0' is missing in the archive", pickle);
    ARCHIVE(STRATA_FORMAT, "storage 'a/data/0' is missing in the archive", pickle, MEMBER("b/data/0", VALUES));
    ARCHIVE(STRATA_FORMAT, "storage 'a/data/0' has 9 bytes, data.pkl says 2 values of F32", pickle,
            MEMBER("a/data/0", VALUES "x"));
    ARCHIVE(STRATA_FORMAT, "storage 'a/data/0' has 4 bytes, data.pkl says 2 values of F32", pickle,
            MEMBER("a/data/0", "1234"));
    ARCHIVE(STRATA_FORMAT, "member 'a/data.pkl': 1 bytes behind the end of its pickle",
            MEMBER("a/data.pkl", "}" PLAIN("w") "s.N"), values);
    ARCHIVE(STRATA_UNSUPPORTED, "member 'a/byteorder' says 'big', expected 'little'", pickle, values,
            MEMBER("a/byteorder", "big"));
    ARCHIVE(STRATA_FORMAT, "member 'a/byteorder' has 65 bytes, at most 64 expected", pickle, values,
            MEMBER("a/byteorder", "12345678901234567890123456789012345678901234567890123456789012345"));
    ARCHIVE(STRATA_UNSUPPORTED, "a TorchScript archive ('a/code/' is there): a program, and nothing is run here",
            pickle, values, MEMBER("a/code/x.py", ""));
    ARCHIVE(STRATA_FORMAT, "JSON, byte 5: found '1', expected a string", pickle, values,
            MEMBER("a/strata.json", "{\"a\":1}"));
    ARCHIVE(STRATA_FORMAT, "metadata 'a' is there twice", pickle, values,
            MEMBER("a/strata.json", "{\"a\":\"\",\"a\":\"\"}"));
    ARCHIVE(STRATA_FORMAT, "metadata 'a': a text with a zero byte in it", pickle, values,
            MEMBER("a/strata.json", "{\"a\":\"\\u0000\"}"));
}

static void test_pth_runs_nothing(void **state) {
    (void)state;
    char command[256];
    snprintf(other, sizeof other, "%s/ran", folder);
    /* What would happen, if anything did. */
    snprintf(command, sizeof command, "cos\nsystem\nX%c%c%c%ctouch %s\x85R.", (char)(6 + strlen(other)), 0, 0, 0,
             other);
    size_t length = 16 + 6 + strlen(other) + 3;
    assert_int_equal(command[length - 1], '.');
    refused_pickle(command, length, STRATA_UNSUPPORTED,
                   "byte 64: it refers to 'os.system': nothing is run here, only tensors, dicts, lists, numbers and "
                   "texts are read");
    assert_int_not_equal(access(other, F_OK), 0);
    snprintf(other, sizeof other, "%s/o.safetensors", folder);
}

static void test_pth_walks_within_bounds(void **state) {
    (void)state;
    unsigned char bytes[512] = "]q\0000";
    char deep[140];
    size_t at = 4;
    FORMAT("K\7.", "it holds a number, expected tensors");
    FORMAT("}q\0" TEXT("\x01", "a") "h\0s.", "its dicts and lists hold each other too many times"); /* a circle */
    FORMAT("]q\0(h\0h\0h\0e.", "its dicts and lists hold each other too many times");
    memset(deep, ']', 70);
    memset(deep + 70, 'a', 69);
    deep[139] = '.';
    refused_pickle(deep, sizeof deep, STRATA_FORMAT,
                   "its dicts and lists are nested more than 64 deep, or in a circle");
    for (unsigned char i = 0; i < 30; i++) { /* each twice in the next: 2^30 values in 250 bytes */
        const unsigned char pair[] = {'h', i, 'h', i, 0x86, 'q', (unsigned char)(i + 1), '0'};
        memcpy(bytes + at, pair, sizeof pair);
        at += sizeof pair;
    }
    memcpy(bytes + at, "h\x1e.", 3);
    refused_pickle((const char *)bytes, at + 3, STRATA_FORMAT, "its dicts and lists hold each other too many times");
    /* One value, shown a thousand million times. */
    FORMAT("}" TEXT("\x01", "w") TENSOR(TWO, "K\0J\0\xca\x9a\x3b\x85K\0\x85") "s.",
           "tensor 'w': views unfold to more than 16 times the file's 476 bytes");
}

static void test_pth_needs_names_that_are_texts(void **state) {
    (void)state;
    static char bytes[2048];
    const char tensor[] = TENSOR(TWO, "K\0))") "s.";
    REFUSED("})" TENSOR(TWO, "K\0))") "s.", STRATA_UNSUPPORTED,
            "below '': the name of a tensor is a tuple, expected a text");
    REFUSED("}" TEXT("\x01", "a") "}N" TENSOR(TWO, "K\0))") "ss.", STRATA_UNSUPPORTED,
            "below '': the name of a tensor is None, expected a text");
    FORMAT("}U\1\xff" TENSOR(TWO, "K\0))") "s.", "below '': the name of a tensor is no text in UTF-8");
    FORMAT("}" TEXT("\x03", "a\0b") TENSOR(TWO, "K\0))") "s.", "below '': the name of a tensor is no text in UTF-8");
    FORMAT("}(" PLAIN("w") PLAIN("w") "u.", "tensor 'w' is there twice");
    FORMAT("}(K\1" TENSOR(TWO, "K\0))") TEXT("\x01", "1") TENSOR(TWO, "K\0))") "u.", "tensor '1' is there twice");
    memcpy(bytes, "}X\1\2\0\0", 6); /* 513 letters */
    memset(bytes + 6, 'a', 513);
    memcpy(bytes + 519, tensor, sizeof tensor - 1);
    refused_pickle(bytes, 519 + sizeof tensor - 1, STRATA_UNSUPPORTED,
                   "below '': the name of a tensor has more than 512 bytes");
}

/* Names and the note of a pickle that is taken. */
static void chosen_from(const char *bytes, size_t length, const char *names, const char *note) {
    char found[256] = "";
    put_pickle(bytes, length);
    st_weights weights = opened(path);
    for (size_t i = 0; i < weights.tensor_count; i++) {
        strcat(found, i > 0 ? " " : "");
        strcat(found, weights.tensors[i].name);
    }
    const char *said = st_weights_metadata(&weights, ST_PAIR_NOTE);
    assert_string_equal(found, names);
    assert_string_equal(said != NULL ? said : "", note);
    st_weights_close(&weights);
}

#define CHOSEN(literal, names, note) chosen_from(literal, sizeof(literal) - 1, names, note)
#define STEP                                                                                                           \
    "U\x05state"                                                                                                       \
    "}K\0}" PLAIN("m") "sss" /* of an optimizer */

static void test_pth_chooses_the_weights(void **state) {
    (void)state;
    CHOSEN("}" PLAIN("w") "s.", "w", "");
    CHOSEN("}(U\x05"
           "epochK\7U\x03net}" PLAIN("w") "su.",
           "w", "the weights are under 'net'");
    /* One dict with tensors, whatever its key. */
    CHOSEN("}U\x04mine}" PLAIN("w") "ss.", "w", "the weights are under 'mine'");
    CHOSEN("}(U\x04mine}" PLAIN("w") "sU\x05optim}" STEP "u.", "w",
           "the weights are under 'mine'\nnot read: 'optim', 1 tensor");
    CHOSEN("}(U\x05model}" PLAIN("w") "sU\x0astate_dict}" PLAIN("v") "su.", "v",
           "the weights are under 'state_dict'\nnot read: 'model', 1 tensor");
    /* Several dicts of equal right: all of them. */
    CHOSEN("}(U\x04head}" PLAIN("w") "sU\x04tail}" PLAIN("v") "su.", "head.w tail.v", "");
    CHOSEN("}(U\x04head}" PLAIN("w") "sU\x04tail}" PLAIN("v") "sU\x03"
                                                              "ema}" PLAIN("w") "su.",
           "head.w tail.v", "not read: 'ema', 1 tensor");
    CHOSEN("}(" PLAIN("w") "U\x09optimizer}" STEP "u.", "w", "not read: 'optimizer', 1 tensor");
    CHOSEN("}U\x09optimizer}" STEP "s.", "optimizer.state.0.m", "");
    CHOSEN("(}" PLAIN("w") "sK\7t.", "w", "the weights are under entry 0");
    CHOSEN("](" TENSOR(TWO, "K\0))") TENSOR(TWO, "K\1))") "e.", "0 1", "");
    CHOSEN("}(K\xff" TENSOR(TWO, "K\0))") "u.", "255", "");
    /* DataParallel's prefix goes only where all have it. */
    CHOSEN("}(U\x08module.w" TENSOR(TWO, "K\0))") "U\x08module.v" TENSOR(TWO, "K\0))") "u.", "w v",
           "'module.' in front of every name is left out");
    CHOSEN("}(U\x08module.w" TENSOR(TWO, "K\0))") "U\x01v" TENSOR(TWO, "K\0))") "u.", "module.w v", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pth_reads_every_type),
        cmocka_unit_test(test_pth_reads_views_of_storages),
        cmocka_unit_test(test_pth_finds_the_weights_in_a_checkpoint),
        cmocka_unit_test(test_pth_refuses_what_is_more_than_tensors),
        cmocka_unit_test(test_pth_probe_looks_at_content),
        cmocka_unit_test(test_pth_checks_the_members),
        cmocka_unit_test(test_pth_runs_nothing),
        cmocka_unit_test(test_pth_walks_within_bounds),
        cmocka_unit_test(test_pth_needs_names_that_are_texts),
        cmocka_unit_test(test_pth_chooses_the_weights),
    };
    return cmocka_run_group_tests_name("pth", tests, make_folder, remove_folder);
}
