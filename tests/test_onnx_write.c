/* ONNX out: every layer and every net of the zoo, read again and seen by onnx.checker.
 *
 *   test_onnx_write FOLDER NET...   instead: each net at full size (`layers`: the examples of all layers) as
 *                                   FOLDER/NAME.onnx, NAME.in and NAME.out, a batch and what strata makes of it, for
 *                                   scripts/parity-onnx */
#include "convert_case.h"

/* ---- ONNX: each layer, each net ---- */

/* The example of a layer as a net; the example's line ends at *end. */
static char *example_text(const char *line, const char **end) {
    static char text[1024];
    *end = strchr(line, '\n');
    snprintf(text, sizeof text, "network example {\n    %.*s\n    output logits\n}\n", (int)(*end - line), line);
    return text;
}

/* Writes a net with drawn weights, and asks the file where this build can read it. */
static void export_net(const strata_net *net, const char *name) {
    char file[96], checkpoint[96];
    snprintf(file, sizeof file, "%s.onnx", name);
    snprintf(checkpoint, sizeof checkpoint, "%s.safetensors", name);
    strata_weights *weights = weights_of(net, checkpoint);
    strata_conversion done = convert_as(net, weights, file);
    assert_string_equal(done.format, "ONNX");
    assert_true(done.bytes > 0);
    assert_true(done.relative <= 1e-4);
    assert_int_equal(done.changed, 0);
    strata_weights_free(weights);
    unlink(in_folder(checkpoint));
}

static bool has_no_words(const char *name, const char *text) {
    return strcmp(name, "avgpool") == 0 && (strstr(text, "14x11x8, avgpool out=4x4") != NULL);
}

static void test_every_layer(void **state) {
    (void)state;
    needs_onnx();
    for (size_t i = 0; st_layer_table[i] != NULL; i++) {
        const char *line = st_layer_table[i]->examples, *line_end;
        for (int k = 0; *line != '\0'; k++, line = line_end + 1) {
            char name[64];
            const char *text = example_text(line, &line_end);
            if ((st_layer_table[i]->traits & ST_OP_IS_LOSS) != 0 || has_no_words(st_layer_table[i]->name, text)) {
                continue;
            }
            strata_net *net = net_of(text);
            snprintf(name, sizeof name, "%s-%d", st_layer_table[i]->name, k);
            export_net(net, name);
            strata_net_free(net);
        }
    }
}

/* The zoo with dense layers of 48 instead of 4,096 outputs; what is still large is translated, and not written. */
static void test_every_net(void **state) {
    (void)state;
    needs_onnx();
    const int64_t most = 3 * 1000 * 1000;
    for (size_t i = 0; i < strata_zoo_count(); i++) {
        strata_net *zoo = NULL;
        char *text = NULL, *at;
        strata_net_info info;
        must(strata_net_load(&zoo, strata_zoo_name(i), NULL, &err));
        must(strata_net_text(&text, zoo, &err));
        while ((at = strstr(text, "4096")) != NULL) {
            memcpy(at, "  48", 4);
        }
        strata_net *net = net_of(text);
        strata_net_info_get(net, false, &info);
        if (info.parameters <= most) {
            export_net(net, strata_zoo_name(i));
        }
        strata_text_free(text);
        strata_net_free(net);
        strata_net_free(zoo);
    }
}

/* onnx.checker, with inference of all shapes, over all that the tests above have written. */
static void test_checker(void **state) {
    (void)state;
    needs_onnx();
    static const char script[] =
        "import glob, sys\n"
        "import onnx\n"
        "files = glob.glob(sys.argv[1] + '/*.onnx')\n"
        "for file in files:\n"
        "    model = onnx.load(file)\n"
        "    onnx.checker.check_model(model, full_check=True)\n"
        "    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph\n"
        "    assert [i.name for i in graph.input] == ['images'] and [o.name for o in graph.output] == ['logits'], "
        "file\n"
        "    assert model.producer_name == 'strata' and model.opset_import[0].version == 14, file\n"
        "    assert graph.output[0].type.tensor_type.shape.dim[0].dim_param == 'N', file\n"
        "print(len(files), 'files')\n"
        "sys.exit(len(files) < 50)\n";
    if (system("/usr/bin/python3 -c 'import onnx' 2> /dev/null") != 0) {
        printf("skip onnx.checker: python3-onnx is not installed\n");
        skip();
    }
    FILE *file = fopen(in_folder("check.py"), "w");
    assert_non_null(file);
    fputs(script, file);
    assert_int_equal(fclose(file), 0);
    char command[256];
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' '%s'", in_folder("check.py"), folder);
    assert_int_equal(system(command), 0);
}

static void test_unequal_parts(void **state) {
    (void)state;
    strata_net *net = net_of("network n {\n    input 14x11x8\n    p: avgpool out=4x4\n    output logits\n}\n");
    strata_weights *weights = weights_of(net, "unequal.safetensors");
    strata_conversion done;
    strata_convert_options blind = {.no_check = true};
    assert_int_equal(strata_convert(&done, runtime, net, weights, in_folder("unequal.onnx"), &blind, &err),
                     STRATA_UNSUPPORTED);
    assert_string_equal(err.message, "p cannot be written as ONNX: it cuts 14x11 into 4x4 parts that are not equal, "
                                     "which no window of ONNX does");
    assert_false(is_there("unequal.onnx"));
    strata_weights_free(weights);
    strata_net_free(net);
}

/* More than 2 GB, from one number that is everywhere: refused before anything is written. */
static void test_too_large(void **state) {
    (void)state;
    strata_net *net = net_of("network n {\n    input 1x1x30000\n    f: fc 30000\n    output logits\n}\n");
    static const unsigned char one[4];
    static const int64_t none[2];
    st_tensor tensors[] = {
        {.name = "f.weight",
         .rank = 2,
         .dims = (int64_t[]){30000, 30000},
         .count = 900000000,
         .bytes = one,
         .strides = none},
        {.name = "f.bias", .rank = 1, .dims = (int64_t[]){30000}, .count = 30000, .bytes = one, .strides = none}};
    st_weights weights = {.file.descriptor = -1, .tensors = tensors, .tensor_count = 2};
    must(st_arena_create(&weights.arena, &err));
    must(st_weights_index(&weights, &err));
    assert_int_equal(st_format_by_ending("x.onnx")->write(&weights, net->graph, in_folder("large.onnx"), &err),
                     STRATA_UNSUPPORTED);
    assert_string_equal(err.message, "an ONNX file holds at most 2 GB, and these weights are more: .safetensors has no "
                                     "such limit");
    assert_false(is_there("large.onnx"));
    st_arena_free(weights.arena);
    strata_net_free(net);
}

/* ---- files for others ---- */

static void put_numbers(const char *name, const char *ending, const float *values, size_t count) {
    char file[128];
    snprintf(file, sizeof file, "%s.%s", name, ending);
    FILE *to = fopen(in_folder(file), "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(values, sizeof *values, count, to), count);
    assert_int_equal(fclose(to), 0);
}

/* FOLDER/NAME.onnx, a batch and strata's answers; a line says the sizes. */
static void put_case(const strata_net *net, const char *name) {
    enum { BATCH = 2 };
    char file[128];
    strata_weights *weights = NULL;
    strata_conversion done;
    strata_convert_options blind = {.no_check = true};
    strata_model *model = model_of(net, BATCH);
    st_dims input = net->graph->input;
    size_t count = (size_t)(BATCH * input.h * input.w * input.c), classes = model->class_count;
    float *in = calloc(count, sizeof *in), *out = calloc(BATCH * classes, sizeof *out);
    snprintf(file, sizeof file, "%s.onnx", name);
    save(model, in_folder("case.safetensors"));
    must(strata_weights_open(&weights, in_folder("case.safetensors"), &err));
    must(strata_convert(&done, runtime, net, weights, in_folder(file), &blind, &err));
    for (size_t i = 0; i < count; i++) {
        in[i] = (float)st_rng_normal(5, st_rng_stream(ST_STREAM_TEST, 0), i);
    }
    st_proof proof = {.count = BATCH, .seed = 5};
    must(st_api_answers(out, model, &proof, &err));
    put_numbers(name, "in", in, count);
    put_numbers(name, "out", out, BATCH * classes);
    printf("%s %d %lld %lld %lld %zu\n", name, BATCH, (long long)input.c, (long long)input.h, (long long)input.w,
           classes);
    unlink(in_folder("case.safetensors"));
    free(in);
    free(out);
    strata_weights_free(weights);
    strata_model_free(model);
}

static void put_layers(void) {
    for (size_t i = 0; st_layer_table[i] != NULL; i++) {
        const char *line = st_layer_table[i]->examples, *line_end;
        for (int k = 0; *line != '\0'; k++, line = line_end + 1) {
            char name[64];
            const char *text = example_text(line, &line_end);
            if ((st_layer_table[i]->traits & ST_OP_IS_LOSS) == 0 && !has_no_words(st_layer_table[i]->name, text)) {
                strata_net *net = net_of(text);
                snprintf(name, sizeof name, "%s-%d", st_layer_table[i]->name, k);
                put_case(net, name);
                strata_net_free(net);
            }
        }
    }
}

static int put_files(int count, char **names) {
    strata_options options = {0};
    must(strata_runtime_create(&runtime, &options, &err));
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], "layers") == 0) {
            put_layers();
            continue;
        }
        strata_net *net = NULL;
        must(strata_net_load(&net, names[i], NULL, &err));
        put_case(net, names[i]);
        strata_net_free(net);
    }
    strata_runtime_free(runtime);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layer),   cmocka_unit_test(test_every_net), cmocka_unit_test(test_checker),
        cmocka_unit_test(test_unequal_parts), cmocka_unit_test(test_too_large),
    };
    if (argc > 2) {
        snprintf(folder, sizeof folder, "%s", argv[1]);
        return put_files(argc - 2, argv + 2);
    }
    return cmocka_run_group_tests(tests, begin, end);
}
