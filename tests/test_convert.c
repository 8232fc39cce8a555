/* convert: weights from format to format and back, files that prove themselves, and what is refused. ONNX layer by
 * layer: test_onnx_write.c. */
#include "convert_case.h"

/* ---- weights keep their bits ---- */

static void test_types_stay(void **state) {
    (void)state;
    needs_onnx();
    static const char text[] = "network n {\n    input 1x1x2\n    f: fc 2\n    output logits\n}\n";
    static const unsigned char values[] = {0x00, 0x3C, 0x01, 0x00,
                                           0xFF, 0x7B, 0x00, 0xC0,  /* F16: 1, 2^-24, 65504, -2 */
                                           0x80, 0x3F, 0x00, 0x80}; /* BF16: 1, -0 */
    const st_tensor tensors[] = {
        {.name = "f.weight", .stored = ST_STORED_F16, .rank = 2, .dims = (int64_t[]){2, 2}, .count = 4},
        {.name = "f.bias", .stored = ST_STORED_BF16, .rank = 1, .dims = (int64_t[]){2}, .count = 2}};
    static const float wide[] = {1.0f, 0x1p-24f, 65504.0f, -2.0f};
    st_weights_writer writer;
    strata_weights *weights = NULL, *again = NULL;
    must(st_weights_write_begin(&writer, in_folder("half.safetensors"), tensors, 2, NULL, 0, &err));
    must(st_weights_write_bytes(&writer, values, 4, &err));
    must(st_weights_write_bytes(&writer, values + 8, 2, &err));
    must(st_weights_write_commit(&writer, &err));
    must(strata_weights_open(&weights, in_folder("half.safetensors"), &err));
    strata_net *net = net_of(text);
    strata_conversion done = convert_as(net, weights, "again.safetensors");
    assert_int_equal(done.proof, STRATA_PROOF_NOISE);
    assert_true(done.largest == 0.0 && done.limit == 0.0);
    must(strata_weights_open(&again, in_folder("again.safetensors"), &err));
    const st_weights *file = st_api_weights(again);
    assert_int_equal(file->tensor_count, 2);
    assert_int_equal(file->tensors[0].stored, ST_STORED_F16);
    assert_int_equal(file->tensors[1].stored, ST_STORED_BF16);
    unsigned char found[12];
    must(st_weights_read_bytes(file, &file->tensors[0], 0, 4, found, &err));
    must(st_weights_read_bytes(file, &file->tensors[1], 0, 2, found + 8, &err));
    assert_memory_equal(found, values, sizeof values);
    convert_as(net, weights, "half.onnx");
    char bytes[4096];
    FILE *onnx = fopen(in_folder("half.onnx"), "rb");
    assert_non_null(onnx);
    size_t length = fread(bytes, 1, sizeof bytes, onnx);
    fclose(onnx);
    assert_non_null(memmem(bytes, length, wide, sizeof wide));
    strata_weights_free(weights);
    strata_weights_free(again);
    strata_net_free(net);
}

static const char small[] = "network small {\n"
                            "    input 8x8x3 mean=0.5 std=0.25\n"
                            "    stem: { conv 3x3 8 bias=no, bn, relu }\n"
                            "    maxpool 3x3 stride=2 ceil=yes\n"
                            "    head: { fc 12, relu, dropout 0.5, fc 4 }\n"
                            "    output logits loss=cross_entropy\n"
                            "}\n";

/* The same tensors in the same order, bit for bit; names too where `named`: through a graph of ONNX only labels stay.
 */
static void assert_same_weights(const char *one, const char *two, bool named) {
    strata_weights *a = NULL, *b = NULL;
    must(strata_weights_open(&a, in_folder(one), &err));
    must(strata_weights_open(&b, in_folder(two), &err));
    const st_weights *first = st_api_weights(a), *second = st_api_weights(b);
    size_t compared = 0;
    assert_int_equal(first->tensor_count, second->tensor_count);
    for (size_t i = 0; i < first->tensor_count; i++) {
        const st_tensor *x = &first->tensors[i], *y = &second->tensors[i];
        unsigned char left[8192], right[8192];
        if (named) {
            assert_string_equal(x->name, y->name);
        }
        assert_int_equal(x->count, y->count);
        assert_int_equal(x->rank, y->rank);
        assert_int_equal(x->stored, y->stored);
        assert_true(x->count <= sizeof left / 4);
        must(st_weights_read_bytes(first, x, 0, x->count, left, &err));
        must(st_weights_read_bytes(second, y, 0, y->count, right, &err));
        assert_memory_equal(left, right, x->count * st_stored_size(x->stored));
        compared += x->count;
    }
    assert_true(compared > 500);
    strata_weights_free(a);
    strata_weights_free(b);
}

/* From file to file: IN's own net where it has one. */
static void convert_file(const char *in, const strata_net *net, const char *out) {
    strata_weights *weights = NULL;
    strata_weights_info info;
    strata_net *own = NULL;
    must(strata_weights_open(&weights, in_folder(in), &err));
    strata_weights_info_get(weights, &info);
    if (info.has_net) {
        must(strata_net_load(&own, in_folder(in), NULL, &err));
    }
    convert_as(info.has_net ? own : net, weights, out);
    strata_weights_free(weights);
    strata_net_free(own);
}

static void test_round_trip(void **state) {
    (void)state;
    needs_onnx();
    if (!reads("x.pth") || !reads("x.onnx")) {
        printf("skip round trip: this build does not read and write all formats\n");
        skip();
    }
    strata_net *net = net_of(small), *again = NULL;
    strata_weights *weights = weights_of(net, "r0.safetensors");
    convert_as(net, weights, "r1.pth");
    convert_file("r1.pth", net, "r2.safetensors");
    convert_file("r2.safetensors", NULL, "r3.onnx");
    convert_file("r3.onnx", NULL, "r4.net");
    must(strata_net_load(&again, in_folder("r4.net"), NULL, &err));
    convert_file("r4.safetensors", again, "r5.pth");
    assert_same_weights("r1.pth", "r5.pth", false);
    assert_same_weights("r0.safetensors", "r2.safetensors", true);
    strata_weights_free(weights);
    strata_net_free(net);
    strata_net_free(again);
}

static void test_text_and_weights(void **state) {
    (void)state;
    strata_net *net = net_of(small), *again = NULL;
    strata_weights *weights = weights_of(net, "t.safetensors");
    strata_conversion done = convert_as(net, weights, "two.net");
    assert_string_equal(done.format, "net");
    assert_string_equal(done.weights, in_folder("two.safetensors"));
    assert_true(is_there("two.safetensors"));
    assert_same_weights("t.safetensors", "two.safetensors", true);
    must(strata_net_load(&again, in_folder("two.net"), NULL, &err));
    strata_net_free(again);
    /* where the weights are there already, the text alone */
    strata_convert_options stay = {.weights = in_folder("t.safetensors")};
    must(strata_convert(&done, runtime, net, weights, in_folder("t.net"), &stay, &err));
    assert_string_equal(done.weights, "");
    assert_int_equal(done.proof, STRATA_PROOF_NOISE);
    /* and a net without weights */
    must(strata_convert(&done, runtime, net, NULL, in_folder("alone.net"), NULL, &err));
    assert_int_equal(done.proof, STRATA_PROOF_NONE);
    assert_false(is_there("alone.safetensors"));
    strata_weights_free(weights);
    strata_net_free(net);
}

/* A checkpoint whose classes have names, as st_checkpoint_save writes them. */
static void name_classes(const strata_net *net, const char *classes, const char *name) {
    strata_weights *weights = weights_of(net, "nameless.safetensors");
    st_weights named = *st_api_weights(weights);
    st_pair pairs[4] = {{.name = ST_PAIR_CLASSES, .value = classes}};
    assert_true(named.pair_count < ST_COUNT_OF(pairs));
    memcpy(pairs + 1, named.pairs, named.pair_count * sizeof *pairs);
    named.pairs = pairs;
    named.pair_count++;
    must(st_format_by_ending(name)->write(&named, net->graph, in_folder(name), &err));
    strata_weights_free(weights);
}

/* Into ONNX, .pth and text and back, through files alone: the names come along with every quote and letter. */
static void test_classes_keep_their_names(void **state) {
    (void)state;
    static const char *const files[] = {"c0.safetensors", "c1.onnx", "c2.safetensors", "c3.pth", "c4.onnx", "c5.net"};
    static const char *const names[] = {"cat",
                                        "Gr\xC3\xBC\xC3\x9F"
                                        "e",
                                        "a \"b\" \\c, [d]", "two\nlines"};
    static const char classes[] = "[\"cat\",\"Gr\xC3\xBC\xC3\x9F"
                                  "e\",\"a \\\"b\\\" \\\\c, [d]\",\"two\\nlines\"]";
    needs_onnx();
    strata_net *net = net_of(small);
    name_classes(net, classes, files[0]);
    for (size_t i = 0; i < ST_COUNT_OF(files); i++) {
        st_arena *arena = NULL;
        st_checkpoint_head head;
        if (i > 0) {
            convert_file(files[i - 1], NULL, files[i]);
        }
        must(st_arena_create(&arena, &err));
        must(st_checkpoint_head_read(&head, arena, in_folder(strstr(files[i], ".net") ? "c5.safetensors" : files[i]),
                                     &err));
        assert_int_equal(head.class_count, ST_COUNT_OF(names));
        for (size_t k = 0; k < ST_COUNT_OF(names); k++) {
            assert_string_equal(head.classes[k], names[k]);
        }
        st_arena_free(arena);
    }
    strata_net_free(net);
}

/* ---- what is refused ---- */

static void test_refused(void **state) {
    (void)state;
    strata_conversion done;
    strata_net *net = net_of(small);
    strata_net *other = net_of("network o {\n    input 8x8x3\n    stem: { conv 3x3 9 }\n    output logits\n}\n");
    strata_weights *weights = weights_of(net, "refused.safetensors");
    assert_int_equal(strata_convert(&done, runtime, net, weights, in_folder("x.pdf"), NULL, &err), STRATA_INVALID);
    assert_non_null(strstr(err.message, "its ending names no format that can be written: .safetensors, "));
    assert_int_equal(strata_convert(&done, runtime, net, NULL, in_folder("x.onnx"), NULL, &err), STRATA_INVALID);
    assert_string_equal(err.message, "there are no weights to write: a network alone becomes a .net");
    strata_convert_options blind = {.no_check = true};
    assert_int_equal(strata_convert(&done, runtime, other, weights, in_folder("x.onnx"), &blind, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "it does not fit the net: 'stem.0.weight' is 8x3x3x3 of F32 there, the net has "
                                     "9x3x3x3 of real numbers");
    assert_false(is_there("x.onnx"));
    assert_true(is_tidy());
    strata_weights_free(weights);
    strata_net_free(net);
    strata_net_free(other);
}

/* ---- what is written and is not what it should be ---- */

static ssize_t (*system_write)(int file, const void *bytes, size_t count);
static long writes_left;

/* From the n-th on the disk is full. */
static ssize_t full_write(int file, const void *bytes, size_t count) {
    if (writes_left-- > 0) {
        return system_write(file, bytes, count);
    }
    errno = ENOSPC;
    return -1;
}

/* Flips bits of weights in the middle of what is written. */
static ssize_t flipping_write(int file, const void *bytes, size_t count) {
    unsigned char *own = malloc(count);
    assert_non_null(own);
    memcpy(own, bytes, count);
    for (size_t i = count / 2; count > 4000 && i < count / 2 + 400; i++) {
        own[i] ^= 0x40;
    }
    ssize_t put = system_write(file, own, count);
    free(own);
    return put;
}

static void test_full_disk(void **state) {
    (void)state;
    static const char *const names[] = {"full.onnx", "full.safetensors", "full.net"};
    strata_net *net = net_of(small);
    strata_weights *weights = weights_of(net, "disk.safetensors");
    strata_convert_options blind = {.no_check = true};
    strata_conversion done;
    system_write = st_sys.write;
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        strata_status status = STRATA_IO;
        for (long n = 0; status != STRATA_OK && n < 10; n++) {
            writes_left = n;
            st_sys.write = full_write;
            status = strata_convert(&done, runtime, net, weights, in_folder(names[i]), &blind, &err);
            st_sys.write = system_write;
            assert_true(is_tidy());
            assert_int_equal(is_there(names[i]), status == STRATA_OK);
        }
        assert_int_equal(status, STRATA_OK);
    }
    strata_weights_free(weights);
    strata_net_free(net);
}

static void test_damage_is_found(void **state) {
    (void)state;
    needs_onnx();
    static const char *const names[] = {"bad.safetensors", "bad.onnx"};
    strata_net *net = net_of(small);
    strata_weights *weights = weights_of(net, "good.safetensors");
    strata_conversion done;
    system_write = st_sys.write;
    for (size_t i = 0; i < ST_COUNT_OF(names) && reads(names[i]); i++) {
        st_sys.write = flipping_write;
        strata_status status = strata_convert(&done, runtime, net, weights, in_folder(names[i]), NULL, &err);
        st_sys.write = system_write;
        assert_int_equal(status, STRATA_FORMAT);
        assert_non_null(strstr(err.message, "what was written cannot be read again: it is damaged"));
        assert_false(is_there(names[i]));
        assert_true(is_tidy());
    }
    strata_weights_free(weights);
    strata_net_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_keep_their_names),
        cmocka_unit_test(test_types_stay),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_text_and_weights),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_damage_is_found),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
