/* formats: Keras' weights in HDF5. Good files were written by h5py in the layouts that Keras documents
 * (tests/golden/record-keras), with what numpy computes from them; hostile ones are written here, through libhdf5. */
#include "data_case.h"

#ifdef ST_WITH_HDF5

#include <hdf5.h>
#include <math.h>

#include "api/api.h"
#include "lab.h"

#define GOLDEN "tests/golden/keras/"

static st_weights weights;

static strata_status open_at(const char *path, strata_error *err) {
    *err = (strata_error){0};
    strata_status status = st_weights_open(&weights, path, err);
    assert_true(status == STRATA_OK || (err->status == status && err->message[0] != '\0' && err->file[0] != '\0'));
    return status;
}

static void must_open(const char *path) {
    strata_error err;
    open_at(path, &err);
    must(err.status, &err);
}

/* ---- good files ---- */

static void check_tensor(size_t index, const char *name, int rank, const int64_t *dims) {
    char found[ST_TENSOR_DIMS_TEXT], wanted[ST_TENSOR_DIMS_TEXT];
    const st_tensor *tensor = &weights.tensors[index];
    st_tensor_dims(found, tensor->rank, tensor->dims);
    st_tensor_dims(wanted, rank, dims);
    assert_string_equal(tensor->name, name);
    assert_string_equal(found, wanted);
}

#define CHECK(index, name, ...)                                                                                        \
    check_tensor(index, name, (int)(sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static void test_keras_names_follow_the_order_of_the_file(void **state) {
    (void)state;
    static const char *const files[] = {GOLDEN "keras1.h5", GOLDEN "keras2.h5", GOLDEN "model.h5", GOLDEN "halves.h5"};
    for (size_t i = 0; i < ST_COUNT_OF(files); i++) {
        must_open(files[i]);
        assert_string_equal(weights.format->name, "Keras HDF5");
        assert_int_equal(weights.tensor_count, 12);
        CHECK(0, "conv1.weight", 5, 3, 3, 3);
        CHECK(1, "conv1.bias", 5);
        CHECK(2, "bn1.weight", 5);
        CHECK(3, "bn1.bias", 5);
        CHECK(4, "bn1.running_mean", 5);
        CHECK(5, "bn1.running_var", 5);
        CHECK(6, "dw.weight", 10, 1, 3, 3);
        CHECK(7, "dw.bias", 10);
        CHECK(8, "fc1.weight", 7, 120);
        CHECK(9, "fc1.bias", 7);
        CHECK(10, "fc2.weight", 4, 7);
        CHECK(11, "fc2.bias", 4);
        for (size_t t = 0; t < 12; t++) {
            assert_int_equal(weights.tensors[t].is_channels_last, t == 8 || t == 10);
        }
        st_weights_close(&weights);
    }
    must_open(GOLDEN "keras2.h5");
    assert_string_equal(st_weights_metadata(&weights, "keras_version"), "2.4.0");
    assert_string_equal(st_weights_metadata(&weights, ST_PAIR_NOTE),
                        "Keras 2.4.0 on tensorflow, 5 layers with weights; batch norm: Keras' own eps is 1e-3; dense "
                        "weights follow rows, columns, channels and are turned when loaded");
    st_weights_close(&weights);
}

static void test_keras_puts_nested_layers_together(void **state) {
    (void)state;
    must_open(GOLDEN "nested.h5");
    assert_int_equal(weights.tensor_count, 9);
    CHECK(0, "base.c1.weight", 2, 1, 3, 3);
    CHECK(1, "base.n1.weight", 2);
    CHECK(2, "base.n1.bias", 2);
    CHECK(3, "base.n1.running_mean", 2);
    CHECK(4, "base.n1.running_var", 2);
    CHECK(5, "base.c2.weight", 3, 2, 1, 1);
    CHECK(6, "sep.depthwise.weight", 3, 1, 3, 3);
    CHECK(7, "sep.pointwise.weight", 4, 3, 1, 1);
    CHECK(8, "sep.pointwise.bias", 4);
    st_weights_close(&weights);
}

static void test_keras_3_is_read_kind_by_kind(void **state) {
    (void)state;
    must_open(GOLDEN "keras3.weights.h5");
    assert_int_equal(weights.tensor_count, 12);
    CHECK(0, "batch_normalization.weight", 5);
    CHECK(4, "conv2d.weight", 5, 3, 3, 3);
    CHECK(6, "dense.weight", 7, 120);
    CHECK(8, "dense_1.weight", 4, 7);
    CHECK(10, "depthwise_conv2d.weight", 10, 1, 3, 3);
    assert_non_null(strstr(st_weights_metadata(&weights, ST_PAIR_NOTE), "layers are in order only within a kind"));
    st_weights_close(&weights);
}

/* ---- the same answers as numpy ---- */

enum { PICTURES = 4, SIZE = 6 * 8 * 3, OUTPUTS = 4 };

static void read_forward(uint8_t *pictures, float *answers) {
    FILE *file = fopen(GOLDEN "forward.txt", "r");
    assert_non_null(file);
    for (size_t n = 0; n < PICTURES; n++) {
        for (size_t i = 0; i < SIZE; i++) {
            assert_int_equal(fscanf(file, "%hhu", &pictures[n * SIZE + i]), 1);
        }
        for (size_t i = 0; i < OUTPUTS; i++) {
            assert_int_equal(fscanf(file, "%f", &answers[n * OUTPUTS + i]), 1);
        }
    }
    fclose(file);
}

/* `see`: what stands between the picture and the first dense layer. */
static void check_answers(const char *path, const char *see, bool maps) {
    char text[600];
    uint8_t pictures[PICTURES * SIZE];
    float wanted[PICTURES * OUTPUTS], found[PICTURES * OUTPUTS];
    strata_error err = {0};
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_model *model = NULL;
    strata_weights *file = NULL;
    read_forward(pictures, wanted);
    snprintf(text, sizeof text,
             "network small {\n    input 6x8x3\n    conv1: conv 3x3 5 pad=1, bn1: bn eps=1e-3, relu\n"
             "    dw: conv 3x3 10 pad=1 groups=5\n    maxpool 2x2\n    %s fc1: fc 7, relu, fc2: fc 4\n"
             "    output logits loss=cross_entropy\n}\n",
             see);
    must(strata_runtime_create(&runtime, NULL, &err), &err);
    must(strata_net_parse(&net, text, strlen(text), NULL, &err), &err);
    must(strata_model_build(&model, runtime, net, &(strata_build_options){.batch = PICTURES}, &err), &err);
    must(strata_weights_open(&file, path, &err), &err);
    if (maps) {
        must(strata_weights_map(file, net, &err), &err);
    }
    must(strata_model_load_weights(model, file, &err), &err);
    must(strata_model_infer(model, pictures, PICTURES, (strata_shape){6, 8, 3}, found, &err), &err);
    for (size_t i = 0; i < PICTURES * OUTPUTS; i++) {
        if (fabsf(found[i] - wanted[i]) > 1e-5F) {
            fail_msg("%s, %s: answer %zu is %g, numpy has %g", path, see, i, (double)found[i], (double)wanted[i]);
        }
    }
    strata_weights_free(file);
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static void test_keras_weights_give_the_answers_of_numpy(void **state) {
    (void)state;
    check_answers(GOLDEN "keras1.h5", "", false);
    check_answers(GOLDEN "keras2.h5", "", false);
    check_answers(GOLDEN "keras2.h5", "flatten,", false);
    check_answers(GOLDEN "keras2.h5", "flatten, dropout 0.5,", false);
    check_answers(GOLDEN "model.h5", "", false);
    check_answers(GOLDEN "halves.h5", "", false);
    check_answers(GOLDEN "keras3.weights.h5", "", true);
}

/* Read as a whole, piece by piece and value by value: the same. */
static void test_keras_values_do_not_depend_on_how_they_are_read(void **state) {
    (void)state;
    must_open(GOLDEN "halves.h5");
    for (size_t t = 0; t < weights.tensor_count; t++) {
        const st_tensor *tensor = &weights.tensors[t];
        st_real whole[1000];
        double pieces[1000], one = 0;
        assert_true(tensor->count <= 1000);
        assert_int_equal(st_weights_read(&weights, tensor, whole, NULL), STRATA_OK);
        assert_int_equal(st_weights_read_doubles(&weights, tensor, 0, tensor->count, pieces, NULL), STRATA_OK);
        for (size_t i = 0; i < tensor->count; i++) {
            assert_int_equal(st_weights_read_doubles(&weights, tensor, i, 1, &one, NULL), STRATA_OK);
            assert_true(whole[i] == (st_real)pieces[i] && pieces[i] == one);
        }
    }
    st_weights_close(&weights);
}

/* ---- the order of a model's layers ---- */

static void check_order(const strata_net *net, bool shortcuts_first, const char *const *paths, size_t count) {
    st_arena *arena = NULL;
    int *order = NULL;
    size_t found = 0;
    assert_int_equal(st_arena_create(&arena, NULL), STRATA_OK);
    assert_int_equal(st_keras_order(&order, &found, arena, net->graph, shortcuts_first, NULL), STRATA_OK);
    assert_int_equal(found, 2 * 53 + 1);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(net->graph->nodes[order[i]].path, paths[i]);
    }
    assert_string_equal(net->graph->nodes[order[found - 1]].path, "fc");
    st_arena_free(arena);
}

/* As the summary of the exercise's ResNet-50 has them, whose blocks end in Add()([X, X_shortcut]): res2a_branch2c,
 * res2a_branch1, bn2a_branch2c, bn2a_branch1; and Keras' own, Add()([shortcut, x]): conv2_block1_0_conv,
 * conv2_block1_3_conv, conv2_block1_0_bn, conv2_block1_3_bn. */
static void test_keras_order_is_that_of_its_summaries(void **state) {
    (void)state;
    static const char *const course[] = {"conv1",          "bn1",
                                         "layer1.0.conv1", "layer1.0.bn1",
                                         "layer1.0.conv2", "layer1.0.bn2",
                                         "layer1.0.conv3", "layer1.0.downsample.0",
                                         "layer1.0.bn3",   "layer1.0.downsample.1",
                                         "layer1.1.conv1"};
    static const char *const own[] = {"conv1",
                                      "bn1",
                                      "layer1.0.conv1",
                                      "layer1.0.bn1",
                                      "layer1.0.conv2",
                                      "layer1.0.bn2",
                                      "layer1.0.downsample.0",
                                      "layer1.0.conv3",
                                      "layer1.0.downsample.1",
                                      "layer1.0.bn3",
                                      "layer1.1.conv1"};
    strata_error err = {0};
    strata_net *net = NULL;
    must(strata_net_load(&net, "zoo/signs_resnet50.net", NULL, &err), &err);
    check_order(net, false, course, ST_COUNT_OF(course));
    check_order(net, true, own, ST_COUNT_OF(own));
    strata_net_free(net);
}

/* ---- bad files: one clear line each ---- */

static void refuse(const char *path, strata_status status, const char *message) {
    strata_error err;
    strata_status got = open_at(path, &err);
    if (got != status || strncmp(err.message, message, strlen(message)) != 0) {
        fail_msg("%d: '%s'\nexpected %d: '%s'", (int)got, err.message, (int)status, message);
    }
    assert_null(weights.arena);
}

static hid_t create(const char *name) {
    hid_t file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    note_made(in_folder(name));
    return file;
}

static void put_texts(hid_t at, const char *name, hsize_t count, size_t size, const char *texts) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &count, NULL);
    H5Tset_size(type, size);
    hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0 && H5Awrite(attribute, type, texts) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void put_numbers(hid_t at, const char *name) {
    const hsize_t count = 2;
    const double values[] = {1, 2};
    hid_t space = H5Screate_simple(1, &count, NULL);
    hid_t attribute = H5Acreate2(at, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, H5T_NATIVE_DOUBLE, values) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

static hid_t put_group(hid_t at, const char *name) {
    hid_t group = H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(group >= 0);
    return group;
}

/* A file with one layer "a" that has the weight "kernel:0", which the caller makes. */
static hid_t begin_file(hid_t *group) {
    hid_t file = create("a.h5");
    put_texts(file, "layer_names", 1, 1, "a");
    *group = put_group(file, "a");
    put_texts(*group, "weight_names", 1, 8, "kernel:0");
    return file;
}

static void end_file(hid_t file, hid_t group, strata_status status, const char *message) {
    H5Gclose(group);
    H5Fclose(file);
    refuse(in_folder("a.h5"), status, message);
}

static void put_set(hid_t at, const char *name, int rank, const hsize_t *dims, hid_t type, hid_t plist) {
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t set = H5Dcreate2(at, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void test_keras_refuses_wrong_attributes(void **state) {
    (void)state;
    hid_t file = create("a.h5");
    put_numbers(file, "layer_names");
    H5Fclose(file);
    refuse(in_folder("a.h5"), STRATA_FORMAT, "'layer_names' of '/' is no list of texts");
    file = create("a.h5");
    put_texts(file, "layer_names", 2, 3, "onetwo");
    hid_t group = put_group(file, "one");
    end_file(file, group, STRATA_FORMAT, "layer 'one' has no attribute weight_names");
    file = create("a.h5");
    put_texts(file, "layer_names", 2, 3, "onetwo");
    group = put_group(file, "one");
    put_texts(group, "weight_names", 1, 4, "k:0");
    end_file(file, group, STRATA_FORMAT, "'one/k:0' is named there, but is not in the file");
    file = create("a.h5");
    put_texts(file, "layer_names", 1, 3, "one");
    group = put_group(file, "other");
    end_file(file, group, STRATA_FORMAT, "'one' is named there, but is not in the file");
    file = begin_file(&group);
    H5Gclose(put_group(group, "kernel:0"));
    end_file(file, group, STRATA_FORMAT, "'a/kernel:0' is a group, expected a data set");
    file = create("a.h5");
    H5Gclose(put_group(file, "layers"));
    group = put_group(file, "vars");
    end_file(file, group, STRATA_FORMAT,
             "it is HDF5 but holds no Keras weights (no layer_names, no model_weights, no layers); there are 'layers', "
             "'vars'");
}

static void test_keras_refuses_names_that_mislead(void **state) {
    (void)state;
    const hsize_t four = 4;
    hid_t group, file = create("a.h5");
    put_texts(file, "layer_names", 2, 1, "aa");
    group = put_group(file, "a");
    put_texts(group, "weight_names", 1, 4, "b:0");
    put_set(group, "b:0", 1, &four, H5T_IEEE_F32LE, H5P_DEFAULT);
    end_file(file, group, STRATA_FORMAT, "tensor 'a.bias' is there twice");
    file = create("a.h5");
    put_texts(file, "layer_names", 1, 4, "a\x1b[m");
    group = put_group(file, "a\x1b[m");
    put_texts(group, "weight_names", 1, 4, "b:0");
    put_set(group, "b:0", 1, &four, H5T_IEEE_F32LE, H5P_DEFAULT);
    end_file(file, group, STRATA_FORMAT, "'a?[m.bias' has control characters in its name");
    file = create("a.h5");
    put_texts(file, "layer_names", 1, 2, "a\xff");
    group = put_group(file, "a\xff");
    put_texts(group, "weight_names", 1, 4, "b:0");
    put_set(group, "b:0", 1, &four, H5T_IEEE_F32LE, H5P_DEFAULT);
    H5Gclose(group);
    H5Fclose(file);
    strata_error err;
    assert_int_equal(open_at(in_folder("a.h5"), &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "its name is not UTF-8"));
    static char lengthy[2000];
    memset(lengthy, 'x', sizeof lengthy);
    file = create("a.h5");
    put_texts(file, "layer_names", 1, sizeof lengthy, lengthy);
    H5Fclose(file);
    refuse(in_folder("a.h5"), STRATA_UNSUPPORTED, "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'");
}

static void test_keras_follows_no_links_and_reads_no_other_file(void **state) {
    (void)state;
    const hsize_t four = 4;
    hid_t file = create("other.h5"), group;
    put_set(file, "kernel:0", 1, &four, H5T_IEEE_F32LE, H5P_DEFAULT);
    H5Fclose(file);
    static const char *const messages[] = {"'a/kernel:0' is a soft link, which is not followed",
                                           "'a/kernel:0' is a link to another file, which is not followed",
                                           "'a/kernel:0' is stored in another file, which is not read",
                                           "'a/kernel:0' is a virtual data set, made of other files"};
    for (int way = 0; way < 4; way++) {
        file = begin_file(&group);
        hid_t plist = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &four, NULL);
        if (way == 0) {
            H5Lcreate_soft("/elsewhere", group, "kernel:0", H5P_DEFAULT, H5P_DEFAULT);
        } else if (way == 1) {
            H5Lcreate_external("other.h5", "/kernel:0", group, "kernel:0", H5P_DEFAULT, H5P_DEFAULT);
        } else {
            if (way == 2) {
                H5Pset_external(plist, "other.h5", 0, H5F_UNLIMITED);
            } else {
                H5Pset_virtual(plist, space, "other.h5", "/kernel:0", space);
            }
            put_set(group, "kernel:0", 1, &four, H5T_IEEE_F32LE, plist);
        }
        H5Pclose(plist);
        H5Sclose(space);
        end_file(file, group, STRATA_UNSUPPORTED, messages[way]);
    }
    file = create("a.h5");
    put_texts(file, "layer_names", 1, 1, "a");
    H5Lcreate_soft("/elsewhere", file, "a", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    refuse(in_folder("a.h5"), STRATA_UNSUPPORTED, "'a' is a soft link, which is not followed");
    file = create("a.h5");
    put_texts(file, "layer_names", 1, 1, "a");
    H5Lcreate_external("other.h5", "/", file, "a", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    refuse(in_folder("a.h5"), STRATA_UNSUPPORTED, "'a' is a link to another file, which is not followed");
}

static void test_keras_refuses_lying_shapes_and_odd_types(void **state) {
    (void)state;
    const hsize_t large[] = {1 << 20, 1 << 20}, chunk[] = {1 << 10, 1 << 10}, nine[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    hid_t group, file = begin_file(&group), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(plist, 2, chunk);
    put_set(group, "kernel:0", 2, large, H5T_IEEE_F32LE, plist);
    end_file(file, group, STRATA_FORMAT, "'a/kernel:0' declares more than 1000 times the 0 bytes");
    file = begin_file(&group);
    put_set(group, "kernel:0", 9, nine, H5T_IEEE_F32LE, H5P_DEFAULT);
    end_file(file, group, STRATA_UNSUPPORTED, "'a/kernel:0' has 9 sides, at most 8 are served");
    file = begin_file(&group);
    put_set(group, "kernel:0", 1, nine, H5T_C_S1, H5P_DEFAULT);
    end_file(file, group, STRATA_UNSUPPORTED, "'a/kernel:0' holds no numbers");
    file = begin_file(&group);
    H5Pset_chunk(plist, 2, (const hsize_t[]){8, 8});
    H5Pset_scaleoffset(plist, H5Z_SO_INT, 0);
    put_set(group, "kernel:0", 2, (const hsize_t[]){8, 8}, H5T_STD_I32LE, plist);
    H5Pclose(plist);
    end_file(file, group, STRATA_UNSUPPORTED,
             "'a/kernel:0' is packed with filter 6; deflate, shuffle and fletcher32 are read");
    /* Almost zeros, packed: 300 MB in less than one. */
    const hsize_t zeros[] = {75, 1 << 20}, row[] = {1, 1 << 20};
    plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(plist, 2, row);
    H5Pset_deflate(plist, 9);
    file = begin_file(&group);
    hid_t space = H5Screate_simple(2, zeros, NULL), memory = H5Screate_simple(2, row, NULL);
    hid_t set = H5Dcreate2(group, "kernel:0", H5T_IEEE_F32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    float *values = calloc(1 << 20, sizeof *values);
    for (size_t i = 0; i < 1 << 20; i += 4096) {
        values[i] = (float)i;
    }
    for (hsize_t i = 0; i < zeros[0]; i++) {
        const hsize_t start[] = {i, 0};
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, row, NULL);
        assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, values) >= 0);
    }
    free(values);
    H5Dclose(set);
    H5Sclose(space);
    H5Sclose(memory);
    H5Pclose(plist);
    end_file(file, group, STRATA_FORMAT,
             "'a/kernel:0' and what was packed before it unpack to more than 16 times the file and 256 MB");
}

/* A small file with a list of layers that are all one group with a long list of weights. */
static void test_keras_texts_are_bounded_by_the_file(void **state) {
    (void)state;
    enum { LAYERS = 3000, WEIGHTS = 700, LONG = 64 };
    static char layers[LAYERS * 6], names[WEIGHTS * LONG];
    hid_t file = create("a.h5"), group = put_group(file, "all");
    memset(names, 'y', sizeof names);
    put_texts(group, "weight_names", WEIGHTS, LONG, names);
    for (int i = 0; i < LAYERS; i++) {
        char layer[16];
        snprintf(layer, sizeof layer, "x%d", i);
        memcpy(layers + i * 6, layer, strlen(layer) < 6 ? strlen(layer) : 6);
        H5Lcreate_hard(group, ".", file, layer, H5P_DEFAULT, H5P_DEFAULT);
    }
    put_texts(file, "layer_names", LAYERS, 6, layers);
    const hsize_t four = 4;
    char name[LONG + 1] = "";
    memset(name, 'y', LONG);
    put_set(group, name, 1, &four, H5T_IEEE_F32LE, H5P_DEFAULT);
    end_file(file, group, STRATA_FORMAT, "'weight_names' of 'x");
}

static void test_keras_on_theano_is_refused(void **state) {
    (void)state;
    const hsize_t dims[] = {3, 3, 1, 2};
    hid_t group, file = begin_file(&group);
    put_texts(file, "backend", 1, 6, "theano");
    put_set(group, "kernel:0", 4, dims, H5T_IEEE_F32LE, H5P_DEFAULT);
    end_file(file, group, STRATA_UNSUPPORTED,
             "'a/kernel:0' was written by Keras on Theano, whose kernels are turned by half a circle");
}

static void test_keras_data_sets_are_not_taken_for_weights(void **state) {
    (void)state;
    char path[256];
    const char *root = getenv("STRATA_TEST_DATA");
    snprintf(path, sizeof path, "%s/signs/train_signs.h5", root != NULL ? root : "");
    if (root == NULL || access(path, R_OK) != 0) {
        print_message("skipped: no signs below $STRATA_TEST_DATA\n");
        skip();
    }
    refuse(path, STRATA_FORMAT,
           "it is HDF5 but holds no Keras weights (no layer_names, no model_weights, no layers); there are "
           "'list_classes', 'train_set_x', 'train_set_y'");
}

/* ---- damage of every kind ---- */

static size_t read_bytes(const char *path, unsigned char *bytes, size_t capacity) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(bytes, 1, capacity, file);
    fclose(file);
    return length;
}

static const char *const all_files[] = {GOLDEN "keras1.h5", GOLDEN "keras2.h5", GOLDEN "model.h5",
                                        GOLDEN "halves.h5", GOLDEN "nested.h5", GOLDEN "keras3.weights.h5"};

/* What is not refused must be readable to its last value. */
static bool survives(const char *name) {
    strata_error err;
    if (open_at(in_folder(name), &err) != STRATA_OK) {
        return false;
    }
    for (size_t t = 0; t < weights.tensor_count; t++) {
        const st_tensor *tensor = &weights.tensors[t];
        double value;
        for (size_t i = 0; i < tensor->count; i++) {
            assert_int_equal(st_weights_read_doubles(&weights, tensor, i, 1, &value, NULL), STRATA_OK);
        }
    }
    st_weights_close(&weights);
    return true;
}

static void test_keras_survives_a_file_cut_short(void **state) {
    (void)state;
    static unsigned char bytes[100000];
    for (size_t f = 0; f < ST_COUNT_OF(all_files); f++) {
        size_t length = read_bytes(all_files[f], bytes, sizeof bytes);
        for (size_t cut = 0; cut < length; cut += 1000) {
            put_file("cut.h5", bytes, cut);
            assert_false(survives("cut.h5"));
        }
        put_file("cut.h5", bytes, length);
        assert_true(survives("cut.h5"));
    }
}

static void test_keras_survives_damage_anywhere(void **state) {
    (void)state;
    static unsigned char bytes[100000];
    enum { ROUNDS = 300 };
    size_t refused = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t length = read_bytes(all_files[round % ST_COUNT_OF(all_files)], bytes, sizeof bytes);
        for (uint64_t i = 0; i < 1 + round % 3; i++) {
            uint64_t where = st_rng_bits(23, 2 * i, round) % (round % 2 == 0 ? 4000 : length);
            bytes[where] = (unsigned char)st_rng_bits(23, 2 * i + 1, round);
        }
        put_file("hurt.h5", bytes, length);
        refused += !survives("hurt.h5");
    }
    assert_true(refused > ROUNDS / 20);
}

static int count_open(void) {
    int count = 0;
    for (int d = 0; d < 100; d++) {
        count += fcntl(d, F_GETFD) >= 0;
    }
    return count;
}

static void test_keras_gives_back_what_it_took_when_the_system_refuses(void **state) {
    (void)state;
    int open_before = count_open();
    use_faulty_system();
    for (int way = 0; way < 2; way++) {
        for (int n = 1; n < 40; n++) {
            strata_error err = {0};
            countdown = n;
            for_ever = way == 1;
            strata_status status = st_weights_open(&weights, GOLDEN "model.h5", &err);
            assert_true(status == STRATA_OK || err.message[0] != '\0');
            countdown = 0;
            st_weights_close(&weights);
            assert_int_equal(live_bytes, 0);
            assert_int_equal(count_open(), open_before);
        }
    }
    for_ever = false;
    st_sys = real_system;
}

#endif

int main(void) {
#ifdef ST_WITH_HDF5
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_keras_names_follow_the_order_of_the_file, empty_folder),
        cmocka_unit_test_teardown(test_keras_puts_nested_layers_together, empty_folder),
        cmocka_unit_test_teardown(test_keras_3_is_read_kind_by_kind, empty_folder),
        cmocka_unit_test_teardown(test_keras_weights_give_the_answers_of_numpy, empty_folder),
        cmocka_unit_test_teardown(test_keras_values_do_not_depend_on_how_they_are_read, empty_folder),
        cmocka_unit_test_teardown(test_keras_order_is_that_of_its_summaries, empty_folder),
        cmocka_unit_test_teardown(test_keras_refuses_wrong_attributes, empty_folder),
        cmocka_unit_test_teardown(test_keras_refuses_names_that_mislead, empty_folder),
        cmocka_unit_test_teardown(test_keras_follows_no_links_and_reads_no_other_file, empty_folder),
        cmocka_unit_test_teardown(test_keras_refuses_lying_shapes_and_odd_types, empty_folder),
        cmocka_unit_test_teardown(test_keras_texts_are_bounded_by_the_file, empty_folder),
        cmocka_unit_test_teardown(test_keras_on_theano_is_refused, empty_folder),
        cmocka_unit_test_teardown(test_keras_data_sets_are_not_taken_for_weights, empty_folder),
        cmocka_unit_test_teardown(test_keras_survives_a_file_cut_short, empty_folder),
        cmocka_unit_test_teardown(test_keras_survives_damage_anywhere, empty_folder),
        cmocka_unit_test_teardown(test_keras_gives_back_what_it_took_when_the_system_refuses, empty_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
#else
    print_message("skipped: this build has no libhdf5\n");
    return 0;
#endif
}
