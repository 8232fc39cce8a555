/* Loading takes little beyond the model: of a file's values nothing is held twice. */
#include "convert_case.h"
#include "counted_memory.h"

static const char wide[] =
    "network wide {\n    input 1x1x512\n    a: fc 1024, relu\n    b: fc 1024, relu\n    c: fc 512\n"
    "    output logits loss=cross_entropy\n}\n";

/* The model's own memory apart, at most a tenth of the file. */
static void test_loading_holds_nothing_twice(void **state) {
    (void)state;
    static const char *const names[] = {"wide.safetensors", "wide.pth"};
    strata_net *net = net_of(wide);
    strata_weights *weights = weights_of(net, names[0]);
    strata_convert_options blind = {.no_check = true};
    strata_conversion done;
    must(strata_convert(&done, runtime, net, weights, in_folder(names[1]), &blind, &err));
    strata_weights_free(weights);
    for (size_t i = 0; i < ST_COUNT_OF(names); i++) {
        strata_model *model = NULL;
        strata_build_options blank = {.batch = 1, .blank = true, .skip_self_test = true};
        must(strata_model_build(&model, runtime, net, &blank, &err));
        st_weights file;
        must(st_weights_open(&file, in_folder(names[i]), &err));
        uint64_t length = file.file.length;
        st_weights_close(&file);
        begin_counting();
        strata_status status = strata_model_load(model, in_folder(names[i]), &err);
        end_counting();
        must(status);
        if (length < 8000000 || peak_bytes > length / 10) {
            fail_msg("%s: %zu bytes held to load %llu", names[i], peak_bytes, (unsigned long long)length);
        }
        strata_model_free(model);
    }
    strata_net_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loading_holds_nothing_twice),
    };
    return cmocka_run_group_tests_name("load_memory", tests, begin, end);
}
