/* Files of weights beside a net: what fits, what a mapping by order may do, how pictures are prepared, and the test
 * that a checkpoint carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "formats/formats.h"

static char folder[64], path[128];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-weights-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void check(strata_status status, const strata_error *err) {
    if (status != STRATA_OK) {
        fail_msg("%s:%d: %s", err->file, err->line, err->message);
    }
}

static strata_net *parse(const char *text) {
    strata_net *net = NULL;
    strata_error err = {0};
    check(strata_net_parse(&net, text, strlen(text), NULL, &err), &err);
    return net;
}

/* One tensor of a file that is written: its values are `first`, first + 1, ... */
typedef struct put {
    const char *name;
    int rank;
    int64_t dims[4];
    int first;
} put;

static void write_file(const put *puts, size_t count, const st_pair *pairs, size_t pair_count) {
    st_tensor tensors[16] = {{0}};
    st_weights_writer writer;
    strata_error err = {0};
    for (size_t i = 0; i < count; i++) {
        tensors[i] = (st_tensor){
            .name = puts[i].name, .stored = ST_STORED_F32, .rank = puts[i].rank, .dims = puts[i].dims, .count = 1};
        for (int d = 0; d < puts[i].rank; d++) {
            tensors[i].count *= (size_t)puts[i].dims[d];
        }
    }
    check(st_weights_write_begin(&writer, path, tensors, count, pairs, pair_count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < tensors[i].count; k++) {
            st_real value = (st_real)puts[i].first + (st_real)k;
            check(st_weights_write(&writer, &value, 1, &err), &err);
        }
    }
    check(st_weights_write_commit(&writer, &err), &err);
}

static strata_weights *open_file(void) {
    strata_weights *weights = NULL;
    strata_error err = {0};
    check(strata_weights_open(&weights, path, &err), &err);
    return weights;
}

static const char *const NET = "network small {\n input 4x4x1 mean=0\n a: conv 3x3 2 pad=1, bn: bn, relu\n"
                               " b: fc 3\n output logits loss=cross_entropy\n}\n";

/* ---- what fits -------------------------------------------------------------------------------------------------- */

#define A_AND_BN                                                                                                       \
    {"a.weight", 4, {2, 1, 3, 3}, 0}, {"a.bias", 1, {2}, 20}, {"bn.weight", 1, {2}, 30}, {"bn.bias", 1, {2}, 32},      \
        {"bn.running_mean", 1, {2}, 34}, {                                                                             \
        "bn.running_var", 1, {2}, 36                                                                                   \
    }

static void test_weights_that_fit(void **state) {
    (void)state;
    static const put puts[] = {A_AND_BN, {"b.weight", 2, {3, 32}, 0}, {"b.bias", 1, {3}, 0}};
    strata_net *net = parse(NET);
    strata_fit fit;
    strata_error err = {0};
    write_file(puts, ST_COUNT_OF(puts), NULL, 0);
    strata_weights *weights = open_file();
    check(strata_weights_fit(&fit, weights, net, &err), &err);
    assert_true(fit.fits);
    assert_int_equal(fit.row_count, 8);
    assert_int_equal(fit.counts[STRATA_FIT_SAME], 8);
    assert_string_equal(fit.rows[0].wanted, "a.weight");
    assert_string_equal(fit.rows[0].found_shape, "2x1x3x3");
    strata_fit_free(&fit);
    strata_weights_free(weights);
    strata_net_free(net);
}

static void test_weights_of_other_classes(void **state) {
    (void)state;
    static const put puts[] = {A_AND_BN, {"b.weight", 2, {5, 32}, 0}, {"b.bias", 1, {5}, 0}, {"c", 1, {1}, 0}};
    strata_net *net = parse(NET);
    strata_fit fit;
    strata_error err = {0};
    write_file(puts, ST_COUNT_OF(puts), NULL, 0);
    strata_weights *weights = open_file();
    check(strata_weights_fit(&fit, weights, net, &err), &err);
    assert_false(fit.fits);
    assert_false(fit.fits_by_order);
    assert_int_equal(fit.counts[STRATA_FIT_SAME], 6);
    assert_int_equal(fit.counts[STRATA_FIT_SHAPE], 2);
    assert_int_equal(fit.counts[STRATA_FIT_EXTRA], 1);
    assert_string_equal(fit.rows[6].wanted_shape, "3x32");
    assert_string_equal(fit.rows[6].found_shape, "5x32");
    assert_null(fit.rows[8].wanted);
    assert_string_equal(fit.rows[8].found, "c");
    assert_int_equal(strata_weights_map(weights, net, &err), STRATA_FORMAT);
    assert_string_equal(err.message, "its 9 tensors do not follow the 8 of the net by order and shape");
    strata_fit_free(&fit);
    strata_weights_free(weights);
    strata_net_free(net);
}

/* Other names, and a kernel of a fully connected layer with sides of 1. */
static void test_weights_in_a_row_are_mapped(void **state) {
    (void)state;
    static const put puts[] = {{"conv.kernel", 4, {2, 1, 3, 3}, 5},
                               {"conv.offset", 1, {2}, 20},
                               {"n.gamma", 1, {2}, 30},
                               {"n.beta", 1, {2}, 32},
                               {"n.mean", 1, {2}, 34},
                               {"n.var", 1, {2}, 36},
                               {"d.kernel", 4, {3, 32, 1, 1}, 7},
                               {"d.offset", 1, {3}, 50}};
    strata_net *net = parse(NET);
    strata_fit fit;
    strata_error err = {0};
    write_file(puts, ST_COUNT_OF(puts), NULL, 0);
    strata_weights *weights = open_file();
    check(strata_weights_fit(&fit, weights, net, &err), &err);
    assert_false(fit.fits);
    assert_true(fit.fits_by_order);
    assert_int_equal(fit.way, STRATA_FIT_IN_A_ROW);
    assert_int_equal(fit.mapped_count, 8);
    assert_string_equal(fit.mapped[6].wanted, "b.weight");
    assert_string_equal(fit.mapped[6].found, "d.kernel");
    strata_fit_free(&fit);
    check(strata_weights_map(weights, net, &err), &err);
    check(strata_weights_fit(&fit, weights, net, &err), &err);
    assert_true(fit.fits);
    strata_fit_free(&fit);
    strata_tensor_range range;
    check(strata_weights_measure(&range, weights, 6, &err), &err);
    assert_true(range.least == 7 && range.most == 7 + 95 && range.not_finite == 0);
    strata_weights_free(weights);
    strata_net_free(net);
}

/* Within a layer names that say what they are go before the order, in a row and layer by layer. */
static void test_names_within_a_layer_are_obeyed(void **state) {
    (void)state;
    static const put rows[][8] = {{{"a/conv/weights:0", 4, {2, 1, 3, 3}, 5}, /* as TensorFlow lists them */
                                   {"a/conv/biases:0", 1, {2}, 20},
                                   {"a/n/beta:0", 1, {2}, 32},
                                   {"a/n/gamma:0", 1, {2}, 30},
                                   {"a/n/moving_mean:0", 1, {2}, 34},
                                   {"a/n/moving_variance:0", 1, {2}, 36},
                                   {"a/d/weights:0", 2, {3, 32}, 7},
                                   {"a/d/biases:0", 1, {3}, 50}},
                                  {{"m.a.bias", 1, {2}, 20}, /* sorted */
                                   {"m.a.weight", 4, {2, 1, 3, 3}, 5},
                                   {"m.an.bias", 1, {2}, 32},
                                   {"m.an.running_mean", 1, {2}, 34},
                                   {"m.an.running_var", 1, {2}, 36},
                                   {"m.an.weight", 1, {2}, 30},
                                   {"m.b.bias", 1, {3}, 50},
                                   {"m.b.weight", 2, {3, 32}, 7}}};
    strata_net *net = parse(NET);
    for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
        strata_error err = {0};
        strata_fit fit;
        write_file(rows[i], 8, NULL, 0);
        strata_weights *weights = open_file();
        check(strata_weights_fit(&fit, weights, net, &err), &err);
        assert_true(fit.fits_by_order);
        size_t seen = 0;
        for (size_t k = 0; k < fit.mapped_count; k++) {
            static const char *const last[][4] = {{"gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"},
                                                  {"weight", "bias", "running_mean", "running_var"}};
            static const char *const wanted[] = {"bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"};
            for (size_t w = 0; w < 4; w++) {
                if (strcmp(fit.mapped[k].wanted, wanted[w]) == 0) {
                    assert_non_null(strstr(fit.mapped[k].found, last[i][w]));
                    seen++;
                }
            }
        }
        assert_int_equal(seen, 4);
        strata_fit_free(&fit);
        strata_weights_free(weights);
    }
    put twice[8]; /* two of them say that they are the scale: that is no layer */
    memcpy(twice, rows[0], sizeof twice);
    twice[2].name = "a/n/gamma:1";
    strata_error err = {0};
    strata_fit fit;
    write_file(twice, 8, NULL, 0);
    strata_weights *weights = open_file();
    check(strata_weights_fit(&fit, weights, net, &err), &err);
    assert_false(fit.fits_by_order);
    strata_fit_free(&fit);
    strata_weights_free(weights);
    strata_net_free(net);
}

/* Keras lists a shortcut's convolution before the batch norms of both ways. */
static void test_weights_out_of_row_are_mapped_layer_by_layer(void **state) {
    (void)state;
    static const char *const text =
        "network two {\n input 4x4x2 mean=0\n"
        " add { | a: conv 1x1 2 bias=no, an: bn\n | s: conv 1x1 2 bias=no, sn: bn }\n relu\n f: fc 3\n"
        " output logits loss=cross_entropy\n}\n";
    static const put puts[] = {{"x1.k", 4, {2, 2, 1, 1}, 100},
                               {"x2.k", 4, {2, 2, 1, 1}, 200},
                               {"y1.g", 1, {2}, 1},
                               {"y1.b", 1, {2}, 2},
                               {"y1.m", 1, {2}, 3},
                               {"y1.v", 1, {2}, 4},
                               {"y2.g", 1, {2}, 5},
                               {"y2.b", 1, {2}, 6},
                               {"y2.m", 1, {2}, 7},
                               {"y2.v", 1, {2}, 8},
                               {"z.k", 2, {3, 32}, 0},
                               {"z.b", 1, {3}, 0}};
    strata_net *net = parse(text);
    strata_fit fit;
    strata_error err = {0};
    write_file(puts, ST_COUNT_OF(puts), NULL, 0);
    strata_weights *weights = open_file();
    check(strata_weights_fit(&fit, weights, net, &err), &err);
    assert_true(fit.fits_by_order);
    assert_int_equal(fit.way, STRATA_FIT_BY_LAYERS);
    static const char *const pairs[][2] = {
        {"a.weight", "x1.k"}, {"an.weight", "y1.g"}, {"s.weight", "x2.k"}, {"sn.weight", "y2.g"}, {"f.bias", "z.b"}};
    for (size_t i = 0; i < ST_COUNT_OF(pairs); i++) {
        size_t at = 0;
        while (at < fit.mapped_count && strcmp(fit.mapped[at].wanted, pairs[i][0]) != 0) {
            at++;
        }
        assert_true(at < fit.mapped_count);
        assert_string_equal(fit.mapped[at].found, pairs[i][1]);
    }
    strata_fit_free(&fit);
    strata_weights_free(weights);
    strata_net_free(net);
}

/* ---- how pictures are prepared ---------------------------------------------------------------------------------- */

static void prepared(const char *words, const char *line) {
    strata_net *net = parse("network n {\n input 8x8x3\n fc 2\n output logits loss=cross_entropy\n}\n"), *other = NULL;
    strata_error err = {0};
    char *text = NULL;
    assert_false(strata_net_is_prepared(net));
    check(strata_net_preprocess(&other, net, words, &err), &err);
    assert_true(strata_net_is_prepared(other));
    check(strata_net_text(&text, other, &err), &err);
    if (strstr(text, line) == NULL) {
        fail_msg("expected %s in\n%s", line, text);
    }
    strata_text_free(text);
    strata_net_free(other);
    strata_net_free(net);
}

static void test_conventions_become_the_input_line(void **state) {
    (void)state;
    prepared("torchvision", "input 8x8x3 mean=[0.485 0.456 0.406] std=[0.229 0.224 0.225]\n");
    prepared("caffe", "input 8x8x3 range=255 order=bgr mean=[104 117 123] fit=stretch\n");
    prepared("unit", "input 8x8x3 mean=0\n");
    prepared("mean=[0.1 0.2 0.3] resize=9", "input 8x8x3 mean=[0.1 0.2 0.3] resize=9\n");
}

/* Every word of the table can stand in an input line, and the digits in a file's name are those that it is known by. */
static void test_published_files_say_their_preparation(void **state) {
    (void)state;
    strata_error err = {0};
    for (size_t i = 0; i < st_publication_count; i++) {
        const st_publication *known = &st_publications[i];
        const char *digits = strrchr(known->is.name, '-');
        check(st_api_preprocess_check(known->is.preprocess, &err), &err);
        assert_true(strlen(known->sha256) >= 8);
        assert_int_equal(strspn(known->sha256, "0123456789abcdef"), strlen(known->sha256));
        if (strstr(known->is.name, ".pth") != NULL || strstr(known->is.name, ".th") != NULL) {
            assert_non_null(digits);
            assert_int_equal(strncmp(digits + 1, known->sha256, 8), 0);
        }
        for (size_t other = 0; other < i; other++) {
            assert_int_not_equal(strncmp(known->sha256, st_publications[other].sha256, 8), 0);
        }
    }
}

static void refused(const char *words, strata_status status, const char *message) {
    strata_net *net = parse("network n {\n input 8x8x1 mean=0.5\n fc 2\n output logits loss=cross_entropy\n}\n");
    strata_net *other = net;
    strata_error err = {0};
    assert_int_equal(strata_net_preprocess(&other, net, words, &err), status);
    assert_null(other);
    if (strstr(err.message, message) == NULL) {
        fail_msg("expected '%s', found '%s'", message, err.message);
    }
    strata_net_free(net);
}

static void test_other_words_are_refused(void **state) {
    (void)state;
    refused("torchvison", STRATA_INVALID, "expected torchvision, caffe, unit, or keys of an input line");
    refused("", STRATA_INVALID, "expected torchvision, caffe, unit, or keys of an input line");
    refused("torchvision", STRATA_SHAPE, "mean has 3 numbers for 1 channels");
    refused("mean=1\nconv 3x3 stride=2", STRATA_INVALID, "expected keys of an input line");
    refused("mean=1 }\nnetwork b {\n input 1x1x1", STRATA_SYNTAX, "");
    refused("channels=3", STRATA_INVALID, "expected mean, std, range, order, resize, fit and filter alone");
    refused("5 mean=2", STRATA_INVALID, "expected mean, std, range, order, resize, fit and filter alone");
    refused("mean=[", STRATA_SYNTAX, "");
}

static void test_a_convention_takes_the_place_of_another(void **state) {
    (void)state;
    strata_net *net = parse("let s = 2\nnetwork n {\n input 8x8x3 mean=[1 2 3] std=s order=bgr\n fc 2\n"
                            " output logits loss=cross_entropy\n}\n"),
               *other = NULL;
    strata_error err = {0};
    char *text = NULL;
    check(strata_net_preprocess(&other, net, "unit", &err), &err);
    check(strata_net_text(&text, other, &err), &err);
    assert_non_null(strstr(text, "input 8x8x3 mean=0\n"));
    strata_text_free(text);
    strata_net_free(other);
    strata_net_free(net);
}

/* ---- a checkpoint tests itself ---------------------------------------------------------------------------------- */

static strata_runtime *runtime_of(int threads) {
    strata_runtime *runtime = NULL;
    strata_error err = {0};
    check(strata_runtime_create(&runtime, &(strata_options){.threads = threads}, &err), &err);
    return runtime;
}

/* A model that knows how its pictures are prepared, since its file does. */
static void save_whole(strata_runtime *runtime, uint64_t seed) {
    static const st_pair preparation = {ST_PAIR_PREPARATION,
                                        "{\"height\": 4, \"width\": 4, \"channels\": 1, \"mean\": [0.5], "
                                        "\"deviation\": [0.25], \"range\": 1, \"order\": \"rgb\", \"fit\": \"crop\", "
                                        "\"side\": 4, \"filter\": \"bilinear\"}"};
    static const put puts[] = {A_AND_BN, {"b.weight", 2, {3, 32}, 0}, {"b.bias", 1, {3}, 0}};
    strata_net *net = parse("network small {\n input 4x4x1\n a: conv 3x3 2 pad=1, bn: bn, relu\n b: fc 3\n"
                            " output logits loss=cross_entropy\n}\n");
    strata_model *giver = NULL, *model = NULL;
    strata_error err = {0};
    write_file(puts, ST_COUNT_OF(puts), &preparation, 1);
    check(strata_model_build(&giver, runtime, net, &(strata_build_options){.batch = 2}, &err), &err);
    check(strata_model_load(giver, path, &err), &err);
    /* Weights drawn from a seed, with the giver's preparation. */
    check(strata_model_build(&model, runtime, net, &(strata_build_options){.batch = 2, .seed = seed}, &err), &err);
    st_train_take_preparation(model, &giver->geometry, &giver->core->preparation);
    check(strata_model_save(model, path, &err), &err);
    strata_model_free(model);
    strata_model_free(giver);
    strata_net_free(net);
}

static strata_status reopen(strata_runtime *runtime, bool skip, strata_error *err) {
    strata_model *model = NULL;
    strata_status status =
        strata_model_open(&model, runtime, path, &(strata_build_options){.batch = 3, .skip_self_test = skip}, err);
    strata_model_free(model);
    return status;
}

static void test_a_checkpoint_holds_what_its_model_says(void **state) {
    (void)state;
    strata_error err = {0};
    strata_runtime *runtime = runtime_of(1), *other = runtime_of(2);
    save_whole(runtime, 7);
    strata_weights *weights = open_file();
    strata_weights_info info;
    strata_weights_info_get(weights, &info);
    assert_true(info.has_net && info.has_preparation && !info.has_classes);
    strata_weights_free(weights);
    check(reopen(runtime, false, &err), &err);
    check(reopen(other, false, &err), &err);
    strata_runtime_free(runtime);
    strata_runtime_free(other);
}

/* One answer in the file is another: its first digit that can be moved. */
static void change_answer(const char *from, const char *to) {
    st_weights weights;
    st_pair pairs[32];
    st_text text = {0};
    strata_error err = {0};
    char other[160];
    check(st_weights_open(&weights, path, &err), &err);
    for (size_t i = 0; i < weights.pair_count; i++) {
        pairs[i] = weights.pairs[i];
        if (strcmp(pairs[i].name, ST_PAIR_SELF_TEST) == 0) {
            const char *at = strstr(pairs[i].value, from);
            assert_non_null(at);
            st_text_add_bytes(&text, pairs[i].value, (size_t)(at - pairs[i].value));
            st_text_add(&text, "%s%s", to, at + strlen(from));
            pairs[i].value = text.bytes;
        }
    }
    weights.pairs = pairs;
    snprintf(other, sizeof other, "%s.other", path);
    check(st_format_by_ending(path)->write(&weights, NULL, other, &err), &err);
    st_weights_close(&weights);
    st_text_free(&text);
    assert_int_equal(rename(other, path), 0);
}

static strata_status convert_to(const char *out, strata_runtime *runtime, bool skip, strata_error *err) {
    strata_conversion done;
    strata_net *net = NULL;
    strata_weights *weights = open_file();
    check(strata_net_load(&net, path, NULL, err), err);
    strata_status status =
        strata_convert(&done, runtime, net, weights, out, &(strata_convert_options){.skip_self_test = skip}, err);
    strata_net_free(net);
    strata_weights_free(weights);
    return status;
}

/* As every other thing that loads it; and where that is not wanted, the new file says what the model says now. */
static void test_a_conversion_asks_the_checkpoint_too(void **state) {
    (void)state;
    strata_error err = {0};
    strata_runtime *runtime = runtime_of(1);
    char out[160];
    snprintf(out, sizeof out, "%s.new.safetensors", path);
    save_whole(runtime, 7);
    change_answer("[[0.", "[[1.");
    assert_int_equal(convert_to(out, runtime, false, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "its self-test fails"));
    assert_int_equal(access(out, F_OK), -1);
    check(convert_to(out, runtime, true, &err), &err);
    assert_int_equal(rename(out, path), 0);
    check(reopen(runtime, false, &err), &err);
    strata_runtime_free(runtime);
}

static void test_a_checkpoint_that_says_other_things_is_refused(void **state) {
    (void)state;
    strata_error err = {0};
    strata_runtime *runtime = runtime_of(1);
    static const char *const changes[][3] = {{"[[0.", "[[1.", "its self-test fails: class 0 has 0."},
                                             {"], [0.", ", 0.5], [0.", "its self-test has not 3 answers a picture"},
                                             {"]]", "], [0, 0, 1]]", "its self-test has not 2 pictures"},
                                             {"[[", "[[{}, ", "JSON, byte 2"},
                                             {"[[", "[[NaN, ", "JSON, byte 2"}};
    for (size_t i = 0; i < ST_COUNT_OF(changes); i++) {
        save_whole(runtime, 7);
        change_answer(changes[i][0], changes[i][1]);
        assert_int_equal(reopen(runtime, false, &err), STRATA_FORMAT);
        if (strstr(err.message, changes[i][2]) == NULL) {
            fail_msg("expected '%s', found '%s'", changes[i][2], err.message);
        }
        assert_string_equal(err.file, path);
        check(reopen(runtime, true, &err), &err);
    }
    strata_runtime_free(runtime);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_that_fit),
        cmocka_unit_test(test_weights_of_other_classes),
        cmocka_unit_test(test_weights_in_a_row_are_mapped),
        cmocka_unit_test(test_names_within_a_layer_are_obeyed),
        cmocka_unit_test(test_weights_out_of_row_are_mapped_layer_by_layer),
        cmocka_unit_test(test_conventions_become_the_input_line),
        cmocka_unit_test(test_published_files_say_their_preparation),
        cmocka_unit_test(test_other_words_are_refused),
        cmocka_unit_test(test_a_convention_takes_the_place_of_another),
        cmocka_unit_test(test_a_checkpoint_holds_what_its_model_says),
        cmocka_unit_test(test_a_checkpoint_that_says_other_things_is_refused),
        cmocka_unit_test(test_a_conversion_asks_the_checkpoint_too),
    };
    return cmocka_run_group_tests_name("weights", tests, make_folder, remove_folder);
}
