/* formats: Caffe models, what comes out of them beside Caffe's own rules computed independently
 * (tests/golden/record-caffe), and what is refused and with which words. Messages are encoded here by hand. */
#include "foreign_case.h"

#define GOLDEN "tests/golden/caffe/"

static char folder[64], path[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-caffe-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/net.caffemodel", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

#ifndef ST_WITH_PROTOBUF

static void test_caffe_needs_protobuf(void **state) {
    (void)state;
    strata_error err = {0};
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, GOLDEN "alexnet.caffemodel", &err), STRATA_UNSUPPORTED);
    assert_string_equal(err.message,
                        "a Caffe model, which this build of strata cannot read: it was made without protobuf-c");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_caffe_needs_protobuf)};
    return cmocka_run_group_tests_name("caffe", tests, make_folder, remove_folder);
}

#else

/* ---- the same answers ---- */

static void test_caffe_answers_as_caffe_does(void **state) {
    (void)state;
    foreign_check(GOLDEN "alexnet.caffemodel", GOLDEN "alexnet.answers");
    foreign_check(GOLDEN "vgg.caffemodel", GOLDEN "vgg.answers");
    foreign_check(GOLDEN "googlenet.caffemodel", GOLDEN "googlenet.answers");
    foreign_check(GOLDEN "resnet.caffemodel", GOLDEN "resnet.answers");
    foreign_check(GOLDEN "pools.caffemodel", GOLDEN "pools.answers");
    foreign_check(GOLDEN "leaky.caffemodel", GOLDEN "leaky.answers");
}

static void net_is(const char *file, const char *net, const char *note) {
    strata_error err = {0};
    st_weights weights;
    if (st_weights_open(&weights, file, &err) != STRATA_OK) {
        fail_msg("%s: %s", file, err.message);
    }
    assert_string_equal(weights.format->name, "Caffe");
    assert_string_equal(st_weights_metadata(&weights, ST_PAIR_NET), net);
    assert_string_equal(st_weights_metadata(&weights, ST_PAIR_NOTE), note);
    st_weights_close(&weights);
}

static void test_caffe_becomes_a_net_to_read(void **state) {
    (void)state;
    net_is(GOLDEN "alexnet.caffemodel",
           "network AlexNet {\n"
           "    input 39x39x3\n"
           "    conv1: conv 7x7 8 stride=2, relu, lrn 5 alpha=0.4\n"
           "    maxpool 3x3 stride=2\n"
           "    conv2: conv 5x5 12 pad=2 groups=2, relu, lrn 3 beta=0.5 k=2\n"
           "    maxpool 3x3 stride=2 ceil=yes\n"
           "    conv3: conv 3x3 8 pad=1 groups=2, relu\n"
           "    maxpool 3x3 stride=2 ceil=yes\n"
           "    fc6: fc 24, relu, dropout 0.4\n"
           "    fc8: fc 10\n"
           "\n"
           "    output logits loss=cross_entropy\n"
           "}\n",
           "Caffe models take BGR, 0..255, minus a mean that the file does not hold: --preprocess caffe");
    net_is(GOLDEN "googlenet.caffemodel",
           "network GoogleNet {\n"
           "    input 32x32x3 range=255 order=bgr mean=[104 117 123.5] std=128 fit=stretch\n"
           "    conv1_7x7_s2: conv 7x7 8 stride=2 pad=3, relu\n"
           "    maxpool 3x3 stride=2 ceil=yes, lrn 5\n"
           "    concat {\n"
           "        | inception_3a_1x1: conv 1x1 4, relu\n"
           "        | inception_3a_3x3_reduce: conv 1x1 3, relu, inception_3a_3x3: conv 3x3 6 pad=1, relu\n"
           "        | inception_3a_5x5_reduce: conv 1x1 2, relu, inception_3a_5x5: conv 5x5 3 pad=2, relu\n"
           "        | maxpool 3x3 stride=1 pad=1, inception_3a_pool_proj: conv 1x1 2, relu\n"
           "    }\n"
           "    avgpool 3x3 stride=2 pad=1 ceil=yes\n"
           "    avgpool 5x5 stride=1, dropout 0.4\n"
           "    loss3_classifier: fc 9\n"
           "\n"
           "    output logits loss=cross_entropy\n"
           "}\n",
           "Caffe: pictures are prepared as the file itself says: range=255 order=bgr mean=[104 117 123.5] std=128 "
           "fit=stretch; left out: 2 layers that its answer does not need, from loss1/ave_pool on");
}

/* ---- messages ---- */

typedef struct message {
    unsigned char bytes[1 << 16];
    size_t length;
} message;

static void add_number(message *to, uint64_t number) {
    for (; number >= 0x80; number >>= 7) {
        to->bytes[to->length++] = (unsigned char)(number | 0x80);
    }
    to->bytes[to->length++] = (unsigned char)number;
}

static void add_field(message *to, unsigned field, uint64_t number) {
    add_number(to, (uint64_t)field << 3);
    add_number(to, number);
}

static void add_data(message *to, unsigned field, const void *bytes, size_t length) {
    add_number(to, (uint64_t)field << 3 | 2);
    add_number(to, length);
    assert_true(to->length + length <= sizeof to->bytes);
    if (length > 0) {
        memcpy(to->bytes + to->length, bytes, length);
    }
    to->length += length;
}

static void add_text(message *to, unsigned field, const char *text) {
    add_data(to, field, text, strlen(text));
}

static void add_message(message *to, unsigned field, const message *from) {
    add_data(to, field, from->bytes, from->length);
}

enum {
    NAME = 1,
    TYPE = 2,
    BOTTOM = 3,
    TOP = 4,
    BLOBS = 7,
    LAYER = 100,
    CONVOLUTION = 106,
    ELTWISE = 110,
    DENSE = 117,
    LRN = 118,
    POOLING = 121,
    INPUT = 143
};

static message net, layer, part;

static void begin_layer(const char *name, const char *type, const char *bottom, const char *top) {
    layer.length = 0;
    add_text(&layer, NAME, name);
    add_text(&layer, TYPE, type);
    if (bottom != NULL) {
        add_text(&layer, BOTTOM, bottom);
    }
    add_text(&layer, TOP, top);
}

static void end_layer(void) {
    add_message(&net, LAYER, &layer);
}

/* A net with an input of 1x3x8x8. */
static void begin_net(void) {
    static const unsigned char shape[] = {1, 3, 8, 8};
    message inner = {.length = 0};
    net.length = part.length = 0;
    add_text(&net, 1, "net");
    add_data(&inner, 1, shape, sizeof shape);
    add_message(&part, 1, &inner);
    begin_layer("data", "Input", NULL, "data");
    add_message(&layer, INPUT, &part);
    end_layer();
}

/* A blob of `count` zeros, at most 1 << 12, whose shape says what it likes. */
static void add_blob(const uint64_t *shape, size_t rank, size_t count) {
    static const float zeros[1 << 12];
    message inner = {.length = 0}, sides = {.length = 0};
    part.length = 0;
    for (size_t i = 0; i < rank; i++) {
        add_number(&sides, shape[i]);
    }
    add_message(&inner, 1, &sides);
    add_message(&part, 7, &inner);
    add_data(&part, 5, zeros, count * sizeof(float));
    add_message(&layer, BLOBS, &part);
}

static void begin_dense(const char *name, const char *bottom, const char *top, uint64_t outputs) {
    begin_layer(name, "InnerProduct", bottom, top);
    part.length = 0;
    add_field(&part, 1, outputs);
    add_message(&layer, DENSE, &part);
}

static void dense(const char *name, const char *bottom, const char *top, uint64_t outputs, uint64_t inputs) {
    begin_dense(name, bottom, top, outputs);
    add_blob((uint64_t[]){outputs, inputs}, 2, outputs * inputs);
    add_blob(&outputs, 1, outputs);
    end_layer();
}

static void put(void) {
    foreign_write(path, net.bytes, net.length);
}

static void refused(strata_status status, const char *text) {
    strata_error err = {0};
    st_weights weights;
    put();
    assert_int_equal(st_weights_open(&weights, path, &err), status);
    assert_string_equal(err.message, text);
    assert_string_equal(err.file, path);
    assert_null(weights.arena);
}

static void accepted(void) {
    strata_error err = {0};
    st_weights weights;
    put();
    if (st_weights_open(&weights, path, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    st_weights_close(&weights);
}

/* ---- what is taken ---- */

static void test_caffe_takes_what_is_unusual(void **state) {
    (void)state;
    begin_net(); /* a name twice, and one that no .net could have */
    dense("fc 1/$", "data", "fc", 4, 192);
    dense("fc 1/$", "fc", "fc2", 3, 4);
    accepted();
    begin_net(); /* fields that nobody knows, a net without a name, an empty layer beside the answer */
    add_field(&net, 77, UINT64_MAX);
    dense("", "data", "", 4, 192);
    accepted();
    begin_net(); /* a top that is made again later */
    dense("a", "data", "x", 4, 192);
    dense("b", "x", "x", 5, 4);
    dense("c", "x", "x", 6, 5);
    accepted();
}

/* ---- what is refused ---- */

static void test_caffe_refuses_bad_graphs(void **state) {
    (void)state;
    begin_net();
    dense("fc", "nothing", "fc", 4, 192);
    refused(STRATA_FORMAT, "layer 'fc': no layer before it makes its bottom 'nothing'");
    begin_net(); /* a circle */
    dense("a", "b", "a", 4, 4);
    dense("b", "a", "b", 4, 4);
    refused(STRATA_FORMAT, "layer 'a': no layer before it makes its bottom 'b'");
    begin_net();
    refused(STRATA_FORMAT, "it has no layer whose value is the net's answer");
    net.length = 0;
    add_text(&net, 3, "data");
    dense("a", "data", "a", 4, 192);
    refused(STRATA_UNSUPPORTED, "it does not say how large its pictures are: its input has no shape");
    net.length = 0;
    begin_layer("data", "Data", NULL, "data");
    end_layer();
    dense("a", "data", "a", 4, 192);
    refused(STRATA_UNSUPPORTED, "it does not say how large its pictures are: its source has no crop_size");
}

static void test_caffe_refuses_bad_blobs(void **state) {
    (void)state;
    begin_net();
    dense("fc", "data", "fc", 4, 191);
    refused(STRATA_FORMAT, "layer 'fc': blob 0 is 4x191, expected 4x192");
    begin_net(); /* a shape that lies */
    begin_dense("fc", "data", "fc", 4);
    add_blob((uint64_t[]){4, 192}, 2, 767);
    end_layer();
    refused(STRATA_FORMAT, "layer 'fc': blob 0 is 4x192, and has 767 numbers");
    begin_net();
    begin_dense("fc", "data", "fc", 4);
    add_blob((uint64_t[]){2147483647, 2147483647, 2147483647}, 3, 4);
    end_layer();
    refused(STRATA_FORMAT, "layer 'fc': blob 0 has sides whose product overflows");
    begin_net();
    begin_dense("fc", "data", "fc", 4);
    add_blob((uint64_t[]){UINT64_MAX}, 1, 4);
    end_layer();
    refused(STRATA_FORMAT, "layer 'fc': blob 0 has a side below 0 or above 2147483647");
    begin_net();
    begin_dense("fc", "data", "fc", 4);
    add_blob((uint64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4}, 17, 4);
    end_layer();
    refused(STRATA_FORMAT, "layer 'fc': blob 0 has more than 16 sides");
    begin_net();
    begin_dense("fc", "data", "fc", 4);
    end_layer();
    refused(STRATA_FORMAT, "layer 'fc': it has 0 blobs, expected 1");
    begin_net();
    begin_dense("fc", "data", "fc", 4);
    for (int i = 0; i < 17; i++) {
        add_blob(NULL, 0, 0);
    }
    end_layer();
    refused(STRATA_FORMAT, "layer 'fc': it has 17 blobs, at most 16 are read");
    begin_net(); /* 4 GB and 4 rows from 20 bytes */
    begin_dense("fc", "data", "fc", 4294967295);
    end_layer();
    refused(STRATA_FORMAT, "layer 'fc': it has 0 blobs, expected 1");
    begin_net();
    begin_dense("fc", "data", "fc", 4);
    part.length = 0;
    add_number(&part, 5 << 3 | 2);
    add_number(&part, 10000000000);
    add_message(&layer, BLOBS, &part);
    end_layer();
    refused(STRATA_FORMAT, "byte 76: a field of 10000000000 bytes, 0 are left");
}

static void test_caffe_lists_all_that_strata_has_not(void **state) {
    (void)state;
    begin_net();
    begin_layer("up", "Deconvolution", "data", "up");
    end_layer();
    begin_layer("up2", "Deconvolution", "up", "up2");
    end_layer();
    begin_layer("norm", "LRN", "up2", "norm");
    part.length = 0;
    add_field(&part, 4, 1);
    add_message(&layer, LRN, &part);
    end_layer();
    begin_layer("pool", "Pooling", "norm", "pool");
    part.length = 0;
    add_field(&part, 1, 2);
    add_message(&layer, POOLING, &part);
    end_layer();
    begin_layer("max", "Eltwise", "pool", "max");
    part.length = 0;
    add_field(&part, 1, 2);
    add_message(&layer, ELTWISE, &part);
    end_layer();
    refused(
        STRATA_UNSUPPORTED,
        "it needs what strata has not: Deconvolution (layer 'up' and 1 more), LRN with WITHIN_CHANNEL (layer 'norm'), "
        "Pooling with STOCHASTIC (layer 'pool'), Eltwise with MAX (layer 'max')");
}

static void test_caffe_refuses_bad_messages(void **state) {
    (void)state;
    begin_net();
    add_number(&net, 100 << 3 | 3); /* a group */
    refused(STRATA_FORMAT, "byte 38: field 100 of type 3, expected a field of protobuf");
    begin_net();
    memset(net.bytes + net.length, 0xff, 12);
    net.length += 12;
    refused(STRATA_FORMAT, "byte 38: a number of more than 64 bits");
    net.length = layer.length = 0; /* the form of 2013 */
    add_data(&layer, 1, "", 0);
    add_message(&net, 2, &layer);
    refused(STRATA_UNSUPPORTED, "its layers have the form of 2013");
    begin_net();
    layer.length = 0;
    add_text(&layer, 4, "old");
    add_message(&net, 2, &layer);
    refused(STRATA_UNSUPPORTED, "it has layers as they are today (1) and as they were until 2014 (1)");
}

/* Memory follows what the file holds: 20,000 layers of nothing, and a chain as long. */
static void test_caffe_takes_many_layers(void **state) {
    (void)state;
    enum { MANY = 5000 };
    begin_net();
    size_t start = net.length;
    for (int i = 0; i < MANY && net.length + 16 < sizeof net.bytes; i++) {
        layer.length = 0;
        add_text(&layer, TYPE, "TanH");
        end_layer();
    }
    refused(STRATA_FORMAT, "it has no layer whose value is the net's answer");
    net.length = start;
    while (net.length + 24 < sizeof net.bytes) {
        begin_layer("", "TanH", "data", "data");
        end_layer();
    }
    accepted();
}

/* ---- cut anywhere ---- */

static void test_caffe_takes_any_cut(void **state) {
    (void)state;
    static const char *const files[] = {"resnet", "vgg", "pools"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[128];
        size_t length = 0, taken = 0;
        snprintf(name, sizeof name, GOLDEN "%s.caffemodel", files[i]);
        unsigned char *bytes = foreign_read(name, &length);
        for (size_t cut = 1; cut < length; cut += i == 2 ? 1 : 37) {
            strata_error err = {0};
            st_weights weights;
            foreign_write(path, bytes, cut);
            if (st_weights_open(&weights, path, &err) == STRATA_OK) {
                taken++; /* at the end of a layer */
                st_weights_close(&weights);
            } else {
                assert_string_not_equal(err.message, "");
            }
        }
        assert_true(taken < 16);
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caffe_answers_as_caffe_does), cmocka_unit_test(test_caffe_becomes_a_net_to_read),
        cmocka_unit_test(test_caffe_takes_what_is_unusual), cmocka_unit_test(test_caffe_refuses_bad_graphs),
        cmocka_unit_test(test_caffe_refuses_bad_blobs),     cmocka_unit_test(test_caffe_lists_all_that_strata_has_not),
        cmocka_unit_test(test_caffe_refuses_bad_messages),  cmocka_unit_test(test_caffe_takes_many_layers),
        cmocka_unit_test(test_caffe_takes_any_cut),
    };
    return cmocka_run_group_tests_name("caffe", tests, make_folder, remove_folder);
}

#endif
