/* ONNX, external data: values in a file beside the model, and all the ways in which a stranger's model may name others.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base_case.h"
#include "onnx_case.h"

#ifndef ST_WITH_PROTOBUF
int main(void) {
    printf("skip: built without protobuf-c, which reads ONNX\n");
    return 0;
}
#else

enum { VALUES = 2 * 3 * 3 * 3, VALUE_BYTES = 4 * VALUES };

static char path[128], other[128];

static int set_up(void **state) {
    int failed = make_folder(state);
    snprintf(path, sizeof path, "%s", in_folder("m.onnx"));
    snprintf(other, sizeof other, "%s", in_folder("m.onnx.data"));
    return failed;
}

static int tear_down(void **state) {
    unlink(path);
    unlink(other);
    return remove_folder(state);
}

/* 16 bytes of something else, then 0.5, 1, 1.5, ... */
static void put_values(void) {
    char bytes[16 + VALUE_BYTES];
    memset(bytes, 'x', 16);
    for (int i = 0; i < VALUES; i++) {
        float value = 0.5F * (float)(i + 1);
        memcpy(bytes + 16 + 4 * i, &value, 4);
    }
    put_file(other, bytes, sizeof bytes);
}

/* "location=m.onnx.data offset=16 length=216": the words of where a tensor lies. */
static void put_model(const char *words) {
    st_text graph = {0}, tensor = {0}, model = {0};
    put_text(&graph, 2, "g");
    put_value(&graph, 11, "in", "1x3x8x8");
    put_value(&graph, 12, "out", "1x2");
    put_dims(&tensor, "2x3x3x3");
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, "c.weight");
    for (const char *at = words; *at != '\0';) {
        st_text pair = {0};
        size_t key = strcspn(at, "="), value = strcspn(at + key + 1, " ");
        put_bytes(&pair, 1, at, key);
        put_bytes(&pair, 2, at + key + 1, value);
        put_message(&tensor, 13, &pair);
        at += key + 1 + value;
        at += *at == ' ';
    }
    put_int(&tensor, 14, 1);
    put_message(&graph, 5, &tensor);
    put_node(&graph, "Conv", "in,c.weight", "a");
    put_node(&graph, "GlobalAveragePool", "a", "b");
    put_node(&graph, "Flatten", "b", "out");
    model = model_of(&graph, 13);
    /* As strata's own export after another program moved its values out: the hash says nothing of this file. */
    st_text hash = {0};
    put_text(&hash, 1, ST_PAIR_HASH);
    put_text(&hash, 2, "0000000000000000000000000000000000000000000000000000000000000000");
    put_message(&model, 14, &hash);
    assert_false(model.failed);
    put_file(path, model.bytes, model.length);
    st_text_free(&model);
}

static void accepted(const char *words) {
    strata_error err = {0};
    st_weights weights;
    st_real values[VALUES];
    put_model(words);
    if (st_weights_open(&weights, path, &err) != STRATA_OK) {
        fail_msg("%s: %s", words, err.message);
    }
    const st_tensor *tensor = st_weights_find(&weights, "c.weight");
    assert_null(st_weights_metadata(&weights, ST_PAIR_HASH));
    assert_int_equal(st_weights_check_hash(&weights, &err), STRATA_OK);
    assert_non_null(tensor);
    assert_int_equal(tensor->count, VALUES);
    assert_int_equal(st_weights_read(&weights, tensor, values, &err), STRATA_OK);
    for (int i = 0; i < VALUES; i++) {
        assert_true(values[i] == (st_real)(0.5F * (float)(i + 1)));
    }
    st_weights_close(&weights);
}

static void refused(const char *words, const char *message) {
    strata_error err = {0};
    st_weights weights;
    put_model(words);
    assert_int_not_equal(st_weights_open(&weights, path, &err), STRATA_OK);
    if (strstr(err.message, message) == NULL || strncmp(err.file, folder, strlen(folder)) != 0) {
        fail_msg("%s\n  found    %s: %s\n  expected %s", words, err.file, err.message, message);
    }
}

static void test_external_values_are_read(void **state) {
    (void)state;
    put_values();
    accepted("location=m.onnx.data offset=16 length=216");
    accepted("location=m.onnx.data offset=16");
    accepted("length=216 checksum=0123 offset=16 location=./m.onnx.data");
    char bytes[VALUE_BYTES + 16];
    FILE *file = fopen(other, "rb"); /* without an offset: from the start */
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, sizeof bytes, file), sizeof bytes);
    assert_int_equal(fclose(file), 0);
    put_file(other, bytes + 16, VALUE_BYTES);
    accepted("location=m.onnx.data");
    accepted("location=m.onnx.data length=216");
}

static void test_external_places_are_refused(void **state) {
    (void)state;
    static const char *const places[] = {
        "location=/etc/passwd",   "location=../m.onnx.data",  "location=..",         "location=.",
        "location=a/../b",        "location=sub/m.onnx.data", "location=/dev/zero",  "location=./../m.onnx.data",
        "location=.//etc/passwd", "location=..\\m.onnx.data", "location=C:\\m.data",
    };
    put_values();
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        refused(places[i], "tensor 'c.weight': its values must be in a file of the model's own folder, found location");
    }
    refused("location=", "which is not named (location)");
    refused("", "which is not named (location)");
    refused("offset=16", "which is not named (location)");
    refused("location=m.onnx.data location=m.onnx", "described with two of 'location'");
    refused("location=missing.data", "values of tensor 'c.weight'");
    refused("location=missing.data", "cannot open: No such file or directory");
}

static void test_external_ranges_are_refused(void **state) {
    (void)state;
    put_values();
    refused("location=m.onnx.data offset=17 length=216", "216 bytes from byte 17 of 'm.onnx.data', which has 232");
    refused("location=m.onnx.data offset=233", "from byte 233 of 'm.onnx.data', which has 232");
    refused("location=m.onnx.data offset=18446744073709551615", "which has 232");
    refused("location=m.onnx.data offset=18446744073709551616", "at an offset that is no number");
    refused("location=m.onnx.data offset=-1", "at an offset that is no number");
    refused("location=m.onnx.data offset=", "at an offset that is no number");
    refused("location=m.onnx.data offset=0x10", "at an offset that is no number");
    refused("location=m.onnx.data length=1e3", "with a length that is no number");
    refused("location=m.onnx.data offset=16 length=18446744073709551615", "which has 232");
    refused("location=m.onnx.data length=10000000000", "10000000000 bytes from byte 0");
    refused("location=m.onnx.data length=216 length=216", "described with two of 'length'");
    refused("location=m.onnx.data", "its sides make 54 values of type F32, found 232 bytes in 'm.onnx.data'");
    refused("location=m.onnx.data offset=16 length=212", "found 212 bytes in 'm.onnx.data'");
}

static void test_external_things_are_refused(void **state) {
    (void)state;
    const char *words = "location=m.onnx.data offset=16 length=216";
    char real[128];
    snprintf(real, sizeof real, "%s/real", folder);
    put_values();
    assert_int_equal(rename(other, real), 0);
    assert_int_equal(symlink("real", other), 0);
    refused(words, "is a link, expected the file itself");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(link(real, other), 0);
    refused(words, "is a file of 2 names (hard links), expected one");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(unlink(real), 0);
    assert_int_equal(mkfifo(other, 0600), 0);
    refused(words, "is a pipe, expected a regular file");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(mkdir(other, 0700), 0);
    refused(words, "is a folder, expected a regular file");
    assert_int_equal(rmdir(other), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", other);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(server >= 0);
    assert_int_equal(bind(server, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
    refused(words, "cannot open: No such device or address");
    close(server);
    assert_int_equal(unlink(other), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_external_values_are_read),
        cmocka_unit_test(test_external_places_are_refused),
        cmocka_unit_test(test_external_ranges_are_refused),
        cmocka_unit_test(test_external_things_are_refused),
    };
    return cmocka_run_group_tests_name("onnx_external", tests, set_up, tear_down);
}
#endif
