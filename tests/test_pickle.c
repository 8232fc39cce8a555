/* formats: the machine that runs pickles. What it takes, what it refuses and with which words. Files are in test_pth.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/pickle.h"
#include "pth_case.h"

static st_arena *arena;

static int make_arena(void **state) {
    (void)state;
    return st_arena_create(&arena, NULL) != STRATA_OK;
}

static int free_arena(void **state) {
    (void)state;
    st_arena_free(arena);
    return 0;
}

/* From exactly as many bytes as there are, so that the sanitizer sees a read behind them. */
static strata_status run(st_pickle_value *out, const char *bytes, size_t length, strata_error *err) {
    char *copy = NULL;
    st_pickle pickle = {.length = length, .arena = arena, .file = "f"};
    assert_int_equal(st_arena_alloc(&copy, arena, length + (1 << 14), 1, NULL), STRATA_OK);
    char *own = malloc(length > 0 ? length : 1);
    assert_non_null(own);
    memcpy(own, bytes, length);
    memcpy(copy, bytes, length);
    pickle.bytes = (const unsigned char *)own;
    st_pickle_value first;
    strata_status status = st_pickle_run(&pickle, &first, err);
    assert_true(pickle.at <= length);
    free(own);
    pickle = (st_pickle){.bytes = (const unsigned char *)copy, .length = length, .arena = arena, .file = "f"};
    assert_int_equal(st_pickle_run(&pickle, out, NULL), status); /* values of this one outlive the call */
    return status;
}

static void refused_bytes(const char *bytes, size_t length, strata_status status, const char *message) {
    strata_error err = {0};
    st_pickle_value value;
    strata_status found = run(&value, bytes, length, &err);
    if (found != status || strcmp(err.message, message) != 0) {
        fail_msg("status %d: %s\nexpected %d: %s", (int)found, err.message, (int)status, message);
    }
    assert_string_equal(err.file, "f");
}

#define REFUSED(bytes, status, message) refused_bytes(bytes, sizeof(bytes) - 1, status, message)
#define FORMAT(bytes, message) REFUSED(bytes, STRATA_FORMAT, message)
#define UNSUPPORTED(bytes, message) REFUSED(bytes, STRATA_UNSUPPORTED, message)
#define NOTHING_RUNS ": nothing is run here, only tensors, dicts, lists, numbers and texts are read"
#define NOT_READ ": not read: no writer of tensors uses it"

#define TAKEN(bytes) taken(bytes, sizeof(bytes) - 1)
static st_pickle_value taken(const char *bytes, size_t length) {
    strata_error err = {0};
    st_pickle_value value = {0};
    if (run(&value, bytes, length, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    return value;
}

/* ---- nothing runs ---- */

static void test_pickle_refuses_names_that_are_not_in_the_list(void **state) {
    (void)state;
    UNSUPPORTED("\x80\2cos\nsystem\n" TEXT("\x02", "id") "\x85R.", "byte 2: it refers to 'os.system'" NOTHING_RUNS);
    UNSUPPORTED("c__builtin__\neval\n.", "byte 0: it refers to '__builtin__.eval'" NOTHING_RUNS);
    UNSUPPORTED("\x80\4\x8c\5posix\x8c\6system\x93.", "byte 17: it refers to 'posix.system'" NOTHING_RUNS);
    UNSUPPORTED("(ios\nsystem\n.", "byte 1: it refers to 'os.system'" NOTHING_RUNS);
    UNSUPPORTED("ctorch.nn.modules.linear\nLinear\n)\x81.",
                "byte 0: it refers to 'torch.nn.modules.linear.Linear'" NOTHING_RUNS);
    /* Compared whole: module and name each, nothing in front, nothing behind. */
    UNSUPPORTED("ctorch\n_utils._rebuild_tensor_v2\n.",
                "byte 0: it refers to 'torch._utils._rebuild_tensor_v2'" NOTHING_RUNS);
    UNSUPPORTED("ccollections\nOrderedDicts\n.", "byte 0: it refers to 'collections.OrderedDicts'" NOTHING_RUNS);
    UNSUPPORTED("ccollections\nOrdered\n.", "byte 0: it refers to 'collections.Ordered'" NOTHING_RUNS);
    UNSUPPORTED("cc\nOrderedDict\n.", "byte 0: it refers to 'c.OrderedDict'" NOTHING_RUNS);
    UNSUPPORTED("c\n\n.", "byte 0: it refers to '.'" NOTHING_RUNS);
    UNSUPPORTED("c\033[2J\nx\n.", "byte 0: it refers to '?[2J.x'" NOTHING_RUNS);
    UNSUPPORTED("ccollections\nOrderedDict\r\n.", "byte 0: it refers to 'collections.OrderedDict?'" NOTHING_RUNS);
}

static void test_pickle_advises_whoever_saved_a_whole_model(void **state) {
    (void)state;
    strata_error err = {0};
    st_pickle_value value;
    run(&value, "cmine\nNet\n.", 11, &err);
    assert_string_equal(err.hint,
                        "who has the model writes its weights alone: torch.save(model.state_dict(), 'weights.pth')");
    err = (strata_error){0};
    run(&value, "cos\nsystem\n.", 12, &err);
    assert_string_equal(err.hint, "");
}

static void test_pickle_refuses_opcodes_of_no_use(void **state) {
    (void)state;
    UNSUPPORTED("(" ORDERED "o.", "byte 26, OBJ" NOT_READ);
    UNSUPPORTED("(i"
                "collections\nOrderedDict\n.",
                "byte 1, INST" NOT_READ);
    UNSUPPORTED("\x82\1.", "byte 0, EXT1" NOT_READ);
    UNSUPPORTED("\x83\1\0.", "byte 0, EXT2" NOT_READ);
    UNSUPPORTED("\x84\1\0\0\0.", "byte 0, EXT4" NOT_READ);
    UNSUPPORTED("P1\n.", "byte 0, PERSID" NOT_READ);
    UNSUPPORTED("I1\n.", "byte 0, INT" NOT_READ);
    UNSUPPORTED("S'a'\n.", "byte 0, STRING" NOT_READ);
    UNSUPPORTED("\x8f.", "byte 0, EMPTY_SET" NOT_READ);
    UNSUPPORTED(ORDERED ")}\x92.", "byte 27, NEWOBJ_EX" NOT_READ);
    UNSUPPORTED("\x97.", "byte 0, NEXT_BUFFER" NOT_READ);
    FORMAT("\xff.", "byte 0: 0xff is no opcode of a pickle");
    FORMAT("N\0.", "byte 1: 0x00 is no opcode of a pickle");
    UNSUPPORTED("\x80\1.", "byte 0, PROTO: protocol 1, expected 2 to 5");
    UNSUPPORTED("\x80\6.", "byte 0, PROTO: protocol 6, expected 2 to 5");
}

static void test_pickle_calls_only_what_the_name_can(void **state) {
    (void)state;
    FORMAT("K\1)R.", "byte 3, REDUCE: found a number, expected a name");
    FORMAT(TEXT("\x02", "os") ")R.", "byte 8, REDUCE: found a text, expected a name");
    FORMAT(ORDERED "]R.", "byte 26, REDUCE: found a list, expected a tuple");
    FORMAT(FLOATS ")R.", "byte 21: it calls 'torch.FloatStorage', which names a type");
    FORMAT(FLOATS ")\x81.", "byte 21: it calls 'torch.FloatStorage', which names a type");
    FORMAT(ORDERED "K\1K\1\x86R.", "byte 30: 'collections.OrderedDict' with 2 arguments, expected 0 to 1");
    FORMAT(ORDERED "K\1\x85R.", "byte 28: an OrderedDict of a number");
    FORMAT(ORDERED "]K\1a\x85R.", "byte 30: an OrderedDict of a list whose entry 0 is no pair");
    FORMAT(ORDERED "]]K\1aa\x85R.", "byte 32: an OrderedDict of a list whose entry 0 is no pair");
    FORMAT(ORDERED "]]]aK\1aa\x85R.", "byte 34: an OrderedDict of a list whose entry 0 is no pair");
    FORMAT(REBUILD ")R.", "byte 34: 'torch._utils._rebuild_tensor_v2' with 0 arguments, expected 6 to 7");
    FORMAT("ctorch._utils\n_rebuild_parameter\nNNN\x87R.", "byte 37: a Parameter of None, expected a tensor");
    FORMAT("cnumpy\ndtype\n" TEXT("\x02", "f8") "K\0K\1\x87R}b.", "byte 27, BUILD: found a dict, expected a tuple");
    FORMAT("cnumpy\ndtype\nN\x85R.", "byte 15: 'numpy.dtype' with 1 arguments, expected 3 to 3");
    FORMAT("cnumpy.core.multiarray\nscalar\nNC\1x\x86R.",
           "byte 35: a number of numpy's made of None and bytes, expected a type and bytes");
    FORMAT("cnumpy.core.multiarray\nscalar\n" FLOATS "C\1x\x86R.",
           "byte 54: a number of numpy's made of a name and bytes, expected a type and bytes");
    FORMAT("}}b.", "byte 2, BUILD: of a plain dict, which has no attributes");
    FORMAT("]}b.", "byte 2, BUILD: found a list, expected a dict");
    FORMAT("}]b.", "byte 2, BUILD: found a list, expected a dict");
    FORMAT("K\1}b.", "byte 3, BUILD: found a number, expected a dict");
    FORMAT(TENSOR(STORAGE(FLOATS, "0", "K\1"), "K\0))") "}b.", "byte 120, BUILD: found a tensor, expected a dict");
}

static void test_pickle_knows_one_kind_of_persistent_id(void **state) {
    (void)state;
    static const char says[] = ": a persistent id is not ('storage', a storage's class, key, device, count)";
    char message[128];
    UNSUPPORTED("(" TEXT("\x06", "module") FLOATS "NNNtQ.",
                "byte 36: a persistent id of the kind 'module', expected 'storage'");
    (void)snprintf(message, sizeof message, "byte 2%s", says);
    REFUSED("K\1Q.", STRATA_FORMAT, message);
    (void)snprintf(message, sizeof message, "byte 1%s", says);
    REFUSED(")Q.", STRATA_FORMAT, message);
    (void)snprintf(message, sizeof message, "byte 59%s", says);
    REFUSED("(" TEXT("\x07", "storage") ORDERED TEXT("\x01", "0") TEXT("\x03", "cpu") "K\1t"
                                                                                      "NNN"
                                                                                      "\x87"
                                                                                      "Q.",
            STRATA_FORMAT, message);
    (void)snprintf(message, sizeof message, "byte 55%s", says);
    REFUSED("(" TEXT("\x07", "storage") ORDERED TEXT("\x01", "0") TEXT("\x03", "cpu") "K\1tQ.", STRATA_FORMAT, message);
    FORMAT(STORAGE(FLOATS, "0", "J\xff\xff\xff\xff") ".",
           "byte 53: the count of a storage is negative, expected a number from 0");
    FORMAT(STORAGE(FLOATS, "0", "N") ".", "byte 49: the count of a storage is None, expected a number from 0");
    FORMAT(STORAGE(FLOATS, "0", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f") ".",
           "byte 58: a storage of 9223372036854775807 values");
    FORMAT(STORAGE(FLOATS, "0", "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\1") ".",
           "byte 59: the count of a storage is a number of another kind, expected a number from 0");
    FORMAT(STORAGE(FLOATS, "0",
                   "K\4"
                   "(" TEXT("\x01", "v") "K\3K\2t") ".",
           "byte 62: a part of 2 values from 3, its storage has 4");
    FORMAT(STORAGE(FLOATS, "0", "K\4K\1") ".",
           "byte 52: the part of a storage is a number, expected (key, first, count)");
}

/* ---- the stack, the memo, lengths ---- */

static void test_pickle_checks_the_stack(void **state) {
    (void)state;
    FORMAT(".", "byte 0, STOP: 0 values are on the stack, expected the one that it is about");
    FORMAT("NN.", "byte 2, STOP: 2 values are on the stack, expected the one that it is about");
    FORMAT("(.", "byte 1, STOP: 1 values are on the stack, expected the one that it is about");
    FORMAT("0.", "byte 0, POP: 0 values are on the stack, expected 1");
    FORMAT("N1.", "byte 1, POP_MARK: no mark is on the stack");
    FORMAT("Nt.", "byte 1, TUPLE: no mark is on the stack");
    FORMAT("N\x86.", "byte 1, TUPLE2: 1 values are on the stack, expected 2");
    FORMAT("N(N\x86.", "byte 3, TUPLE2: 1 values are on the stack, expected 2");
    FORMAT("Ra.", "byte 0, REDUCE: 0 values are on the stack, expected 2");
    FORMAT("]a.", "byte 1, APPEND: 1 values are on the stack, expected 2");
    FORMAT("}Na.", "byte 2, APPEND: found a dict, expected a list");
    FORMAT("}(Ne.", "byte 3, APPENDS: found a dict, expected a list");
    FORMAT("(Ne.", "byte 2, APPENDS: 0 values are on the stack, expected 1");
    FORMAT("](NNu.", "byte 4, SETITEMS: found a list, expected a dict");
    FORMAT("}(NNNu.", "byte 5, SETITEMS: 3 values, expected keys and values by turns");
    FORMAT("}]Ns.", "byte 3, SETITEM: the key of a dict is a list");
    FORMAT("(}Nd.", "byte 3, DICT: the key of a dict is a dict");
    FORMAT("NK\1\x93.", "byte 3, STACK_GLOBAL: found None, expected a text");
}

static void test_pickle_checks_the_memo(void **state) {
    (void)state;
    FORMAT("h\0.", "byte 0, BINGET: place 0 of the memo is empty");
    FORMAT("Nq\1h\0.", "byte 3, BINGET: place 0 of the memo is empty");
    FORMAT("Nq\2.", "byte 1, BINPUT: place 2 of the memo, expected at most 1");
    FORMAT("Nr\xff\xff\xff\xff.", "byte 1, LONG_BINPUT: place 4294967295 of the memo, expected at most 1");
    FORMAT("Nj\xff\xff\xff\xff.", "byte 1, LONG_BINGET: place 4294967295 of the memo is empty");
    FORMAT("q\0.", "byte 0, BINPUT: 0 values are on the stack, expected 1");
    FORMAT("N(q\0.", "byte 2, BINPUT: 0 values are on the stack, expected 1");
    FORMAT("\x94.", "byte 0, MEMOIZE: 0 values are on the stack, expected 1");
}

static void test_pickle_compares_lengths_with_the_bytes(void **state) {
    (void)state;
    FORMAT("", "byte 0: the pickle is cut: no STOP at its end");
    FORMAT("N", "byte 1: the pickle is cut: no STOP at its end");
    FORMAT("X\xff\xff\xff\xff"
           "abc.",
           "byte 0, BINUNICODE: cut: 4294967295 bytes wanted, 4 are there");
    FORMAT("X\3\0", "byte 0, BINUNICODE: cut: 4 bytes wanted, 2 are there");
    FORMAT("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
           "a.",
           "byte 0, BINUNICODE8: cut: 18446744073709551615 bytes wanted, 2 are there");
    FORMAT("\x8e\0\0\0\0\0\0\0\x80.", "byte 0, BINBYTES8: cut: 9223372036854775808 bytes wanted, 1 are there");
    FORMAT("\x8b\xff\xff\xff\x7f.", "byte 0, LONG4: cut: 2147483647 bytes wanted, 1 are there");
    FORMAT("\x8a\5.", "byte 0, LONG1: cut: 5 bytes wanted, 1 are there");
    FORMAT("G.", "byte 0, BINFLOAT: cut: 8 bytes wanted, 1 are there");
    FORMAT("cos", "byte 0, GLOBAL: a line without an end in 2 bytes");
    FORMAT("cos\nsystem", "byte 0, GLOBAL: a line without an end in 6 bytes");
    FORMAT("X\2\0\0\0\xc3\x28.", "byte 0, BINUNICODE: a text that is not UTF-8");
    char line[2048];
    memset(line, 'a', sizeof line);
    line[0] = 'c';
    refused_bytes(line, sizeof line, STRATA_FORMAT, "byte 0, GLOBAL: a line without an end in 1024 bytes");
}

static void test_pickle_bounds_stack_and_memo(void **state) {
    (void)state;
    enum { MANY = (1 << 21) + 8 };
    char *bytes = malloc(MANY);
    assert_non_null(bytes);
    memset(bytes, 'N', MANY);
    refused_bytes(bytes, MANY, STRATA_UNSUPPORTED, "byte 1048576, NONE: more than 1048576 values on the stack");
    memset(bytes + 1, '\x94', MANY - 1); /* MEMOIZE */
    refused_bytes(bytes, MANY, STRATA_UNSUPPORTED, "byte 2097153, MEMOIZE: more than 2097152 values in the memo");
    free(bytes);
}

/* One list that is given to a thousand OrderedDicts would be a thousand times as large as the file. */
static void test_pickle_refuses_to_copy_again_and_again(void **state) {
    (void)state;
    char bytes[8192];
    size_t at = 0;
    strata_error err = {0};
    st_pickle_value value;
    memcpy(bytes, "](", 2);
    for (at = 2; at < 2 + 1000 * 3; at += 3) {
        memcpy(bytes + at, "))\x86", 3);
    }
    memcpy(bytes + at,
           "e\x85q\0"
           "0(",
           6); /* the arguments: one list of 1,000 pairs */
    at += 6;
    for (int i = 0; i < 100; i++) {
        memcpy(bytes + at, ORDERED "h\0R", 28);
        at += 28;
    }
    memcpy(bytes + at, "l.", 2);
    assert_int_equal(run(&value, bytes, at + 2, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "dicts are made of the same values again and again"));
}

/* ---- tensors ---- */

#define SIX STORAGE(FLOATS, "0", "K\6") /* a storage of six values */

static void test_pickle_keeps_views_inside_their_storage(void **state) {
    (void)state;
    FORMAT(TENSOR(SIX, "K\1K\2K\3\x86K\3K\1\x86") ".",
           "byte 126: a tensor of 2x3 reaches value 6 of its storage, which has 6");
    FORMAT(TENSOR(SIX, "K\0K\2K\3\x86K\4K\1\x86") ".",
           "byte 126: a tensor of 2x3 reaches value 6 of its storage, which has 6");
    FORMAT(TENSOR(SIX, "K\6))") ".", "byte 118: a tensor of one value reaches value 6 of its storage, which has 6");
    FORMAT(TENSOR(SIX, "K\7K\0\x85K\1\x85") ".", "byte 122: a tensor of 0 reaches value 7 of its storage, which has 6");
    FORMAT(TENSOR(SIX, "K\0J\xff\xff\xff\xff\x85K\1\x85") ".", "byte 125: side is negative, expected a number from 0");
    FORMAT(TENSOR(SIX, "K\0K\1\x85J\xff\xff\xff\xff\x85") ".",
           "byte 125: stride is negative, expected a number from 0");
    FORMAT(TENSOR(SIX, "J\xff\xff\xff\xff))") ".",
           "byte 121: the offset of a tensor is negative, expected a number from 0");
    FORMAT(TENSOR(SIX, "K\0N)") ".", "byte 118: the sides of a tensor are None, expected a tuple");
    FORMAT(TENSOR(SIX, "K\0)]") ".", "byte 118: the strides of a tensor are a list, expected a tuple");
    FORMAT(TENSOR(SIX, "K\0K\1\x85)") ".", "byte 120: a tensor with 1 sides and 0 strides");
    FORMAT(TENSOR(SIX, "K\0\x88\x85K\1\x85") ".", "byte 121: side is a truth value, expected a number from 0");
    FORMAT(TENSOR("N", "K\0))") ".", "byte 68: the storage of a tensor is None");
}

#define HUGE "\x8a\x08\0\0\0\0\0\0\0\x40" /* 2^62 */

static void test_pickle_checks_products_of_sides(void **state) {
    (void)state;
    FORMAT(TENSOR(SIX, "K\0" HUGE HUGE "\x86K\0K\0\x86") ".",
           "byte 142: a tensor of 4611686018427387904x4611686018427387904: the product of its sides overflows");
    FORMAT(TENSOR(SIX, "K\0" HUGE "\x85K\0\x85") ".",
           "byte 130: a tensor of 4611686018427387904: the product of its sides overflows");
    FORMAT(TENSOR(SIX, "K\0K\5\x85" HUGE "\x85") ".", "byte 130: a tensor of 5: the product of its sides overflows");
    UNSUPPORTED(TENSOR(SIX, "K\0(NNNNNNNNNNNNNNNNNt)") ".", "byte 136: a tensor with more than 16 sides");
}

#define REBUILD3 "ctorch._utils\n_rebuild_tensor_v3\n"
#define BYTES "ctorch.storage\nUntypedStorage\n"

static void test_pickle_checks_what_is_behind_the_strides(void **state) {
    (void)state;
    UNSUPPORTED(REBUILD "(" SIX "K\0))\x89N}" TEXT("\x03", "neg") "\x88stR.",
                "byte 103: a tensor whose values are to be negated or conjugated");
    FORMAT(REBUILD3 "(" SIX "K\0))\x89NNtR.", "byte 93: the type of a tensor is None");
    FORMAT(REBUILD3 "(" SIX "K\0))\x89Nctorch\nuint16\ntR.", "byte 106: a tensor of U16 in a storage of F32");
    FORMAT(REBUILD3 "(" STORAGE(BYTES, "0", "K\7") "K\0K\4\x85K\1\x85\x89Nctorch\nuint16\ntR.",
           "byte 120: a tensor of 4 reaches value 3 of its storage, which has 3");
}

static const st_tensor *tensor_of(st_pickle_value value) {
    assert_int_equal(value.kind, ST_PICKLE_TENSOR);
    return &value.as.tensor->tensor;
}

static void test_pickle_takes_tensors_of_every_way(void **state) {
    (void)state;
    const st_tensor *tensor = tensor_of(TAKEN(TENSOR(SIX, "K\0K\2K\3\x86K\3K\1\x86") "."));
    assert_true(tensor->rank == 2 && tensor->count == 6 && tensor->dims[1] == 3 && tensor->strides == NULL);
    tensor = tensor_of(TAKEN(TENSOR(SIX, "K\1K\2K\2\x86K\1K\3\x86") "."));
    assert_true(tensor->offset == 4 && tensor->count == 4 && tensor->strides[0] == 1 && tensor->strides[1] == 3);
    tensor = tensor_of(TAKEN(TENSOR(SIX, "K\5))") "."));
    assert_true(tensor->rank == 0 && tensor->count == 1 && tensor->offset == 20);
    tensor = tensor_of(TAKEN(TENSOR(SIX, "K\6K\0K\7\x86K\7K\1\x86") ".")); /* empty, at the very end */
    assert_true(tensor->count == 0 && tensor->strides == NULL);
    tensor = tensor_of(TAKEN(TENSOR(SIX, "K\2K\x1dK\1\x86K\0K\5\x86") ".")); /* one value, shown 29 times */
    assert_true(tensor->count == 29 && tensor->strides[0] == 0);
    /* PyTorch 0.1: four arguments, a part of a storage */
    tensor = tensor_of(
        TAKEN("ctorch._utils\n_rebuild_tensor\n(" STORAGE(FLOATS, "0",
                                                          "K\6"
                                                          "(" TEXT("\x01", "v") "K\2K\3t") "K\1K\2\x85K\1\x85tR."));
    assert_true(tensor->count == 2 && tensor->offset == 12);
    tensor = tensor_of(TAKEN(REBUILD3 "(" STORAGE(BYTES, "0", "K\x08") "K\1K\3\x85K\1\x85\x89Nctorch\nuint16\ntR."));
    assert_true(tensor->count == 3 && tensor->offset == 2 && tensor->stored == ST_STORED_U16);
    tensor = tensor_of(TAKEN(REBUILD "(" SIX "K\0))\x89N}tR.")); /* metadata that says nothing */
    assert_int_equal(tensor->count, 1);
    tensor = tensor_of(TAKEN("ctorch._utils\n_rebuild_parameter\n" TENSOR(SIX, "K\0))") "\x88N\x87R."));
    assert_int_equal(tensor->count, 1);
}

/* ---- values ---- */

static void test_pickle_takes_every_protocol(void **state) {
    (void)state;
    st_pickle_value value = TAKEN("\x80\5\x95\x99\0\0\0\0\0\0\0}\x94(\x8c\1a\x94K\1\x8d\1\0\0\0\0\0\0\0b\x94h\1u.");
    assert_int_equal(value.as.items->count, 4);
    assert_int_equal(st_pickle_get(&value, "a")->as.integer, 1);
    assert_true(st_pickle_is_text(st_pickle_get(&value, "b"), "a"));
    assert_null(st_pickle_get(&value, "c"));
    value = TAKEN("(U\1aK\1K\2U\1bT\1\0\0\0cK\3d."); /* Python 2; also a key that is a number */
    assert_int_equal(value.as.items->count, 6);
    assert_int_equal(st_pickle_get(&value, "c")->as.integer, 3);
    value = TAKEN("}(" TEXT("\x01", "a") "K\1" TEXT("\x01", "a") "K\2u."); /* the last counts */
    assert_int_equal(st_pickle_get(&value, "a")->as.integer, 2);
    value = TAKEN("Nq\1"
                  "0h\1."); /* numbered from 1 */
    assert_int_equal(value.kind, ST_PICKLE_NONE);
    value = TAKEN("(N(N1\x88\x89(0Nl.");
    assert_int_equal(value.as.items->count, 4);
    assert_int_equal(value.as.items->items[1].as.integer, 1);
    value = TAKEN("(NNNt.");
    assert_true(value.kind == ST_PICKLE_TUPLE && value.as.items->count == 3);
}

static void test_pickle_takes_numbers(void **state) {
    (void)state;
    assert_int_equal(TAKEN("J\xff\xff\xff\xff.").as.integer, -1);
    assert_int_equal(TAKEN("M\xff\xff.").as.integer, 65535);
    assert_int_equal(TAKEN("\x8a\0.").as.integer, 0);
    assert_int_equal(TAKEN("\x8a\1\x80.").as.integer, -128);
    assert_int_equal(TAKEN("\x8a\2\xff\0.").as.integer, 255);
    assert_true(TAKEN("\x8a\x08\0\0\0\0\0\0\0\x80.").as.integer == INT64_MIN);
    assert_int_equal(TAKEN("\x8b\x09\0\0\0"
                           "\0\0\0\0\0\0\0\0\1"
                           ".")
                         .kind,
                     ST_PICKLE_NUMBER);
    assert_true(TAKEN("G\x3f\xe0\0\0\0\0\0\0.").as.real == 0.5);
    assert_int_equal(TAKEN("C\2\xff\0.").kind, ST_PICKLE_BYTES);
}

/* best_acc1 = accuracies.mean(), behind the module's name. */
#define METRIC                                                                                                         \
    "scalar\ncnumpy\ndtype\n" TEXT("\x02", "f8") "\x89\x88\x87R(K\3" TEXT("\x01", "<") "NNNK\0K\0K\0tbC\x08"           \
                                                                                       "12345678\x86R."

static void test_pickle_takes_what_checkpoints_hold_beside(void **state) {
    (void)state;
    st_pickle_value value = TAKEN(ORDERED "]]" TEXT("\x01", "k") "aK\5aa\x85R."); /* Python 2's OrderedDict */
    assert_int_equal(st_pickle_get(&value, "k")->as.integer, 5);
    value = TAKEN(ORDERED ")R}" TEXT("\x01", "m") ORDERED ")Rsb."); /* with attributes */
    assert_true(value.kind == ST_PICKLE_DICT && value.as.items->count == 0);
    value = TAKEN(ORDERED ")\x81.");
    assert_int_equal(value.kind, ST_PICKLE_DICT);
    value = TAKEN("ccollections\nCounter\n}K\1K\2s\x85R.");
    assert_int_equal(value.as.items->items[1].as.integer, 2);
    value = TAKEN("ctorch\nSize\n(K\1K\2t\x85R.");
    assert_int_equal(value.kind, ST_PICKLE_TUPLE);
    value = TAKEN("ctorch\ndevice\n" TEXT("\x03", "cpu") "\x85R.");
    assert_int_equal(value.kind, ST_PICKLE_TUPLE);
    value = TAKEN("c_codecs\nencode\n" TEXT("\x01", "a") TEXT("\x06", "latin1") "\x86R.");
    assert_int_equal(value.kind, ST_PICKLE_BYTES);
    assert_int_equal(TAKEN("ctorch\nfloat32\n.").kind, ST_PICKLE_GLOBAL);
    assert_int_equal(TAKEN("cnumpy.core.multiarray\n" METRIC).kind, ST_PICKLE_NUMBER);
    assert_int_equal(TAKEN("cnumpy._core.multiarray\n" METRIC).kind, ST_PICKLE_NUMBER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pickle_refuses_names_that_are_not_in_the_list),
        cmocka_unit_test(test_pickle_advises_whoever_saved_a_whole_model),
        cmocka_unit_test(test_pickle_refuses_opcodes_of_no_use),
        cmocka_unit_test(test_pickle_calls_only_what_the_name_can),
        cmocka_unit_test(test_pickle_knows_one_kind_of_persistent_id),
        cmocka_unit_test(test_pickle_checks_the_stack),
        cmocka_unit_test(test_pickle_checks_the_memo),
        cmocka_unit_test(test_pickle_compares_lengths_with_the_bytes),
        cmocka_unit_test(test_pickle_bounds_stack_and_memo),
        cmocka_unit_test(test_pickle_refuses_to_copy_again_and_again),
        cmocka_unit_test(test_pickle_keeps_views_inside_their_storage),
        cmocka_unit_test(test_pickle_checks_products_of_sides),
        cmocka_unit_test(test_pickle_checks_what_is_behind_the_strides),
        cmocka_unit_test(test_pickle_takes_tensors_of_every_way),
        cmocka_unit_test(test_pickle_takes_every_protocol),
        cmocka_unit_test(test_pickle_takes_numbers),
        cmocka_unit_test(test_pickle_takes_what_checkpoints_hold_beside),
    };
    return cmocka_run_group_tests_name("pickle", tests, make_arena, free_arena);
}
