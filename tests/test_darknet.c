/* formats: darknet's .cfg and .weights, what comes out of them beside darknet's own rules computed independently
 * (tests/golden/record-darknet), and what is refused and with which words. */
#include "foreign_case.h"

#define GOLDEN "tests/golden/darknet/"

static char folder[64], cfg[128], weights_path[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-darknet-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(cfg, sizeof cfg, "%s/net.cfg", folder);
    snprintf(weights_path, sizeof weights_path, "%s/net.weights", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(cfg);
    unlink(weights_path);
    return rmdir(folder);
}

/* ---- the same answers ---- */

static void test_darknet_answers_as_darknet_does(void **state) {
    (void)state;
    foreign_check(GOLDEN "resnet.weights", GOLDEN "resnet.answers");
    foreign_check(GOLDEN "dense.cfg", GOLDEN "dense.answers"); /* through the .cfg */
    foreign_check(GOLDEN "grey.weights", GOLDEN "grey.answers");
    foreign_check(GOLDEN "tiny.weights", GOLDEN "tiny.answers");
}

static void test_darknet_becomes_a_net_to_read(void **state) {
    (void)state;
    st_weights weights;
    strata_error err = {0};
    assert_int_equal(st_weights_open(&weights, GOLDEN "resnet.weights", &err), STRATA_OK);
    assert_string_equal(weights.format->name, "darknet");
    assert_string_equal(st_weights_metadata(&weights, ST_PAIR_NET),
                        "network resnet {\n"
                        "    input 30x28x3 mean=0 resize=30\n"
                        "    conv1: conv 7x7 6 stride=2 pad=3 bias=no, bn1: bn, relu\n"
                        "    maxpool 3x3 stride=2 pad=1\n"
                        "    concat {\n"
                        "        | add {\n"
                        "            | conv2: conv 3x3 6 pad=1 bias=no, bn2: bn, relu, conv3: conv 3x3 6 pad=1\n"
                        "            | identity\n"
                        "        }\n"
                        "          relu: relu, conv5: conv 3x3 8 pad=1 groups=2, sigmoid\n"
                        "        | take relu, conv4: conv 1x1 4, tanh\n"
                        "        | identity\n"
                        "    }\n"
                        "    conv6: conv 1x1 9 stride=2 bias=no, bn6: bn, relu\n"
                        "    avgpool global\n"
                        "\n"
                        "    output logits loss=cross_entropy\n"
                        "}\n");
    assert_string_equal(st_weights_metadata(&weights, ST_PAIR_NOTE),
                        "darknet 0.1.0, trained on 4096 pictures; the net is that of resnet.cfg");
    st_weights_close(&weights);
}

/* ---- what is refused ---- */

static void put_cfg(const char *text) {
    foreign_write(cfg, text, strlen(text));
}

static void refused_at(strata_status status, int line, const char *message) {
    strata_error err = {0};
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, cfg, &err), status);
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, cfg);
    assert_int_equal(err.line, line);
    assert_null(weights.arena);
}

static void refused(const char *text, strata_status status, int line, const char *message) {
    put_cfg(text);
    refused_at(status, line, message);
}

#define HEAD "[net]\nheight=8\nwidth=8\nchannels=3\n"

static void test_darknet_refuses_what_is_no_cfg(void **state) {
    (void)state;
    refused("[net]\n", STRATA_FORMAT, 0, "it has no layers after [net]");
    refused("[net]\nheight\n", STRATA_FORMAT, 2, "found 'height', expected key=value");
    refused("[net]\n=3\n", STRATA_FORMAT, 2, "found '=3', expected key=value");
    refused("[net]\n[conv\n", STRATA_FORMAT, 2, "found '[conv', expected a section such as [net]");
    refused("[net]\n[]\n", STRATA_FORMAT, 2, "found '[]', expected a section such as [net]");
    refused("[net]\nwidth=8\n[avgpool]", STRATA_FORMAT, 1, "[net] must say height, width and channels");
    refused("[net]\na=\xff\n", STRATA_FORMAT, 2, "found bytes that are no text");
    refused("[net]\nheight=99999999999999999999\n[avgpool]\n", STRATA_FORMAT, 2,
            "height=99999999999999999999, expected a whole number from 1 to 65536");
    refused("[net]\nheight=0\n[avgpool]\n", STRATA_FORMAT, 2, "height=0, expected a whole number from 1 to 65536");
    refused("[net]\nheight=3.5\n[avgpool]\n", STRATA_FORMAT, 2, "height=3.5, expected a whole number from 1 to 65536");
}

static void test_darknet_refuses_bad_layers(void **state) {
    (void)state;
    refused(HEAD "[convolutional]\nfilters=-1\n", STRATA_FORMAT, 6,
            "filters=-1, expected a whole number from 1 to 16777216");
    refused(HEAD "[convolutional]\nsize=9\n", STRATA_UNSUPPORTED, 5,
            "[convolutional]: its window is larger than what it sees");
    refused(HEAD "[convolutional]\nfilters=4\ngroups=2\n", STRATA_FORMAT, 5,
            "[convolutional]: 3 channels and 4 filters do not divide into 2 groups");
    refused(HEAD "[connected]\noutput=4\n[convolutional]\n", STRATA_UNSUPPORTED, 7,
            "[convolutional]: it comes after a dense layer");
    refused(HEAD "[maxpool]\nsize=3\nstride=1\npadding=9\n", STRATA_UNSUPPORTED, 5,
            "[maxpool]: strata has no window with this size, stride and padding");
    refused(HEAD "[route]\nlayers=-1\n", STRATA_FORMAT, 5, "[route]: -1 is none of the 0 layers before it");
    refused(HEAD "[avgpool]\n[route]\nlayers=0,1\n", STRATA_FORMAT, 6, "[route]: 1 is none of the 1 layers before it");
    refused(HEAD "[avgpool]\n[route]\n", STRATA_FORMAT, 6, "[route] has no layers=");
    refused(HEAD "[avgpool]\n[route]\nlayers=0,\n", STRATA_FORMAT, 7, "layers=0,, expected whole numbers and commas");
    refused(HEAD "[convolutional]\n[avgpool]\n[shortcut]\nfrom=-2\n", STRATA_UNSUPPORTED, 7,
            "[shortcut]: joins 1x1x1 and 8x8x1");
    refused(HEAD "[dropout]\nprobability=half\n", STRATA_FORMAT, 6, "probability=half, expected a number");
    refused(HEAD "[softmax]\n[avgpool]\n", STRATA_UNSUPPORTED, 5,
            "[softmax]: over rows and columns, in the middle of a net");
}

static void test_darknet_lists_all_that_strata_has_not(void **state) {
    (void)state;
    refused(HEAD
            "[convolutional]\nactivation=mish\n[upsample]\n[local]\n[upsample]\n[route]\nlayers=-1\ngroups=2\n[yolo]\n"
            "[maxpool]\nantialiasing=1\n[avgpool]\n[crop]\n",
            STRATA_UNSUPPORTED, 0,
            "it needs what strata has not: activation=mish (line 5), [upsample] (line 7 and 1 more), [local] (line 8), "
            "[route] with groups=2 (line 10), [yolo] (line 13), [maxpool] with antialiasing=1 (line 14), [crop] after "
            "other layers "
            "(line 17)");
}

/* ---- the two files ---- */

static void refused_weights(strata_status status, const char *message) {
    strata_error err = {0};
    st_weights weights;
    char expected[512];
    snprintf(expected, sizeof expected, message, cfg);
    assert_int_equal(st_weights_open(&weights, weights_path, &err), status);
    assert_string_equal(err.message, expected);
    assert_string_equal(err.file, weights_path);
    assert_null(weights.arena);
}

static void test_darknet_wants_the_bytes_that_the_net_needs(void **state) {
    (void)state;
    size_t length = 0, cfg_length = 0;
    unsigned char *bytes = foreign_read(GOLDEN "resnet.weights", &length);
    unsigned char *text = foreign_read(GOLDEN "resnet.cfg", &cfg_length);
    char more[256];
    foreign_write(weights_path, bytes, length);
    unlink(cfg);
    refused_weights(STRATA_MISSING, "darknet's weights say nothing without their net: there is no %s");
    foreign_write(cfg, text, cfg_length);
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, weights_path, NULL), STRATA_OK);
    st_weights_close(&weights);
    assert_int_equal(truncate(weights_path, (off_t)length - 1), 0);
    refused_weights(STRATA_FORMAT,
                    "it has 1 bytes too few for the net of %s: they end in [convolutional] at line 57 there");
    assert_int_equal(truncate(weights_path, 20), 0);
    snprintf(more, sizeof more,
             "it has %zu bytes too few for the net of %%s: they end in [convolutional] at line 10 there", length - 20);
    refused_weights(STRATA_FORMAT, more);
    assert_int_equal(truncate(weights_path, 13), 0);
    refused_weights(STRATA_FORMAT, "cut: its head has 16 bytes, 13 are there");
    bytes = realloc(bytes, length + 8);
    assert_non_null(bytes);
    memset(bytes + length, 0, 8);
    foreign_write(weights_path, bytes, length + 8);
    refused_weights(STRATA_FORMAT, "it has 8 bytes more than the net of %s needs");
    foreign_write(weights_path, "no weights", 10);
    strata_error err = {0};
    assert_int_equal(st_weights_open(&weights, cfg, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "it does not begin as darknet's weights do");
    unlink(weights_path);
    assert_int_equal(st_weights_open(&weights, cfg, &err), STRATA_OK); /* the net alone */
    assert_int_equal(weights.tensor_count, 0);
    assert_string_equal(st_weights_metadata(&weights, ST_PAIR_NOTE),
                        "darknet: a net without weights, there is no net.weights");
    st_weights_close(&weights);
    free(bytes);
    free(text);
}

/* ---- hostile: bounded by what the files hold ---- */

static void test_darknet_claims_are_compared_with_what_is_there(void **state) {
    (void)state;
    static const unsigned char head[20] = {0, 0, 0, 0, 2};
    foreign_write(weights_path, head, sizeof head);
    put_cfg("[net]\nheight=65536\nwidth=65536\nchannels=65536\n[connected]\noutput=16777216\n[avgpool]\n");
    refused_at(STRATA_UNSUPPORTED, 5, "[connected]: its inputs are too many to count");
    put_cfg("[net]\nheight=64\nwidth=64\nchannels=65536\n[convolutional]\nsize=255\npad=1\nfilters=16777216\n"
            "[convolutional]\nsize=255\npad=1\nfilters=16777216\n");
    refused_at(STRATA_UNSUPPORTED, 9, "[convolutional]: its weights are too many to count");
    put_cfg("[net]\nheight=64\nwidth=64\nchannels=1024\n[convolutional]\nsize=255\npad=1\nfilters=65536\n");
    strata_error err = {0};
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, weights_path, &err), STRATA_FORMAT);
    if (strstr(err.message, "it has 17455015788544 bytes too few") == NULL) {
        fail_msg("%s", err.message);
    }
    unlink(weights_path);
}

/* A cut anywhere in either file is an error, or (in a remark or at a line's end) another net; never a crash. */
static void test_darknet_takes_any_cut(void **state) {
    (void)state;
    size_t length = 0, cfg_length = 0;
    unsigned char *bytes = foreign_read(GOLDEN "resnet.weights", &length);
    unsigned char *text = foreign_read(GOLDEN "resnet.cfg", &cfg_length);
    st_weights weights;
    foreign_write(cfg, text, cfg_length);
    for (size_t cut = 0; cut < length; cut += cut < 64 ? 1 : 97) {
        strata_error err = {0};
        foreign_write(weights_path, bytes, cut);
        assert_int_not_equal(st_weights_open(&weights, weights_path, &err), STRATA_OK);
        assert_string_not_equal(err.message, "");
    }
    foreign_write(weights_path, bytes, length);
    for (size_t cut = 0; cut < cfg_length; cut++) {
        strata_error err = {0};
        foreign_write(cfg, text, cut);
        if (st_weights_open(&weights, weights_path, &err) == STRATA_OK) {
            assert_true(cut + strlen("\nsize=1\nstride=2\nactivation=relu\n\n[avgpool]\n\n[softmax]\n") >= cfg_length);
            st_weights_close(&weights);
        } else {
            assert_string_not_equal(err.message, "");
        }
    }
    free(bytes);
    free(text);
}

static void test_darknet_takes_thousands_of_sections(void **state) {
    (void)state;
    enum { MANY = 20000 };
    st_text text = {0};
    st_weights weights;
    strata_error err = {0};
    char *all = NULL;
    unlink(weights_path);
    st_text_add(&text, HEAD);
    for (int i = 0; i < MANY; i++) {
        st_text_add(&text, i % 2 == 0 || i < 2 ? "[activation]\nactivation=relu\n" : "[shortcut]\nfrom=-2\n");
    }
    assert_int_equal(st_text_finish(&all, &text, NULL), STRATA_OK);
    put_cfg(all);
    strata_status status = st_weights_open(&weights, cfg, &err);
    if (status != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    st_weights_close(&weights);
    strata_text_free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_darknet_answers_as_darknet_does),
        cmocka_unit_test(test_darknet_becomes_a_net_to_read),
        cmocka_unit_test(test_darknet_refuses_what_is_no_cfg),
        cmocka_unit_test(test_darknet_refuses_bad_layers),
        cmocka_unit_test(test_darknet_lists_all_that_strata_has_not),
        cmocka_unit_test(test_darknet_wants_the_bytes_that_the_net_needs),
        cmocka_unit_test(test_darknet_claims_are_compared_with_what_is_there),
        cmocka_unit_test(test_darknet_takes_any_cut),
        cmocka_unit_test(test_darknet_takes_thousands_of_sections),
    };
    return cmocka_run_group_tests_name("darknet", tests, make_folder, remove_folder);
}
