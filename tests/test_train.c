/* Training as a whole, through the public interface: the same bits for any threads and any set of kernels, a resume
 * that goes on exactly, learning itself, frozen weights, memory told in advance, no allocation in a step. */
#include "train_case.h"

static setup make_for(int64_t epochs, const char *text, const char *isa, int threads, const char *optimizer,
                      const char *freeze) {
    strata_build_options build = {.batch = 24, .train = true, .optimizer = optimizer, .seed = 3, .freeze = freeze};
    strata_train_options train = {
        .epochs = epochs, .optimizer = optimizer, .seed = 3, .weight_decay = 1e-4, .label_smoothing = 0.05};
    return make_of(text, &(strata_options){.threads = threads, .isa = isa}, &build, &train);
}

static setup make(const char *text, const char *isa, int threads, const char *optimizer, const char *freeze) {
    return make_for(2, text, isa, threads, optimizer, freeze);
}

static void same_bits(const char *text, const char *optimizer) {
    static const int threads[] = {1, 2, 3, 8};
    char first[65] = "", hash[65];
    for (size_t i = 0; st_kernels_at(i) != NULL; i++) {
        if (!st_kernels_runs(st_kernels_at(i))) {
            print_message("skipped: this processor lacks %s\n", st_kernels_at(i)->name);
            continue;
        }
        for (size_t t = 0; t < ST_COUNT_OF(threads); t++) {
            setup s = make(text, st_kernels_at(i)->name, threads[t], optimizer, NULL);
            steps(&s, 9); /* an epoch of 8 and a step */
            strata_model_hash(s.model, hash);
            if (first[0] == '\0') {
                memcpy(first, hash, sizeof first);
            }
            assert_string_equal(hash, first);
            unmake(&s);
        }
    }
}

static void test_training_small_net_same_bits(void **state) {
    (void)state;
    same_bits(SMALL, "sgd");
}

static void test_training_wide_net_same_bits(void **state) {
    (void)state;
    same_bits(WIDE, "adamw");
}

static void test_training_older_layers_same_bits(void **state) {
    (void)state;
    static const int channels[] = {6, 24}; /* image lanes, NHWC */
    for (size_t i = 0; i < ST_COUNT_OF(channels); i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, CANON, channels[i]);
        same_bits(text, "sgd");
    }
}

static void resumes(const char *text, const char *optimizer) {
    char path[128], expected[65], found[65];
    strata_error err = {0};
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    setup whole = make(text, NULL, 2, optimizer, NULL);
    steps(&whole, 16);
    assert_true(strata_trainer_is_done(whole.trainer));
    strata_model_hash(whole.model, expected);
    unmake(&whole);
    static const int places[] = {0, 3, 8, 13, 16};
    for (size_t i = 0; i < ST_COUNT_OF(places); i++) {
        setup first = make(text, NULL, 2, optimizer, NULL);
        steps(&first, places[i]);
        check(strata_trainer_save(first.trainer, path, &err), &err);
        unmake(&first);
        setup second = make(text, NULL, 1, optimizer, NULL);
        check(strata_trainer_resume(second.trainer, path, &err), &err);
        steps(&second, 16 - places[i]);
        strata_model_hash(second.model, found);
        assert_string_equal(found, expected);
        unmake(&second);
    }
}

static void test_resume_goes_on_with_the_same_bits(void **state) {
    (void)state;
    resumes(SMALL, "sgd");
    resumes(WIDE, "adamw");
}

/* The first two training labels change places. */
static inline void swap_labels(void) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/train-labels-idx1-ubyte", folder);
    FILE *file = fopen(path, "r+b");
    if (file == NULL || fseek(file, 8, SEEK_SET) != 0) {
        abort();
    }
    fputc(1, file);
    fputc(0, file);
    fclose(file);
}

static void test_resume_refuses_another_run(void **state) {
    (void)state;
    char path[128];
    strata_error err = {0};
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    setup first = make(SMALL, NULL, 2, "sgd", NULL);
    check(strata_trainer_save(first.trainer, path, &err), &err);
    unmake(&first);
    setup other = make(SMALL, NULL, 2, "adamw", NULL);
    assert_int_equal(strata_trainer_resume(other.trainer, path, &err), STRATA_INVALID);
    assert_non_null(strstr(err.message, "another run"));
    unmake(&other);
    setup wide = make(WIDE, NULL, 2, "sgd", NULL);
    assert_int_equal(strata_trainer_resume(wide.trainer, path, &err), STRATA_INVALID);
    unmake(&wide);
    setup frozen = make(SMALL, NULL, 2, "sgd", "c");
    assert_int_equal(strata_trainer_resume(frozen.trainer, path, &err), STRATA_INVALID);
    unmake(&frozen);
    static char other_net[1024];
    (void)snprintf(other_net, sizeof other_net, "%s", SMALL);
    memcpy(strstr(other_net, "tanh"), "relu", 4); /* the same shapes */
    setup relu = make(other_net, NULL, 2, "sgd", NULL);
    assert_int_equal(strata_trainer_resume(relu.trainer, path, &err), STRATA_INVALID);
    assert_non_null(strstr(err.message, "its net says"));
    unmake(&relu);
    swap_labels(); /* as many pictures, other labels */
    setup moved = make(SMALL, NULL, 2, "sgd", NULL);
    assert_int_equal(strata_trainer_resume(moved.trainer, path, &err), STRATA_INVALID);
    unmake(&moved);
    pictures_part(folder, "train", 200, 16, 10);
}

/* All losses share the labels: a head with fewer classes would be read past its end. */
static void test_narrow_side_head_is_refused(void **state) {
    (void)state;
    static const char *const net_text =
        "network n {\n input 16x16x1\n conv 3x3 4\n side when=train { avgpool global, fc 9, output aux "
        "loss=cross_entropy weight=0.3 }\n fc 10\n output logits loss=cross_entropy\n}\n";
    setup s = make(SMALL, NULL, 2, "sgd", NULL);
    strata_net *net = NULL;
    strata_model *model = NULL;
    strata_trainer *trainer = NULL;
    strata_error err = {0};
    double seconds = 0;
    check(strata_net_parse(&net, net_text, strlen(net_text), NULL, &err), &err);
    check(strata_model_build(&model, s.runtime, net, &(strata_build_options){.batch = 24, .train = true}, &err), &err);
    assert_int_equal(strata_trainer_create(&trainer, model, s.data, NULL, &err), STRATA_SHAPE);
    assert_null(trainer);
    assert_string_equal(err.message, "the output 'aux' has 9 classes, the data 10");
    check(strata_model_time(model, true, 1, &seconds, &err), &err); /* on noise whose labels fit both */
    strata_model_free(model);
    strata_net_free(net);
    unmake(&s);
}

static void test_checkpoint_with_a_changed_bit_is_refused(void **state) {
    (void)state;
    char path[128];
    strata_error err = {0};
    strata_model *model = NULL;
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    setup s = make(SMALL, NULL, 2, "sgd", NULL);
    check(strata_model_save(s.model, path, &err), &err);
    check(strata_model_open(&model, s.runtime, path, NULL, &err), &err);
    strata_model_free(model);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -5, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -5, SEEK_END), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    fclose(file);
    assert_int_equal(strata_model_open(&model, s.runtime, path, NULL, &err), STRATA_FORMAT);
    assert_null(model);
    assert_non_null(strstr(err.message, "damaged"));
    unmake(&s);
}

static void learns(const char *text, double at_least) {
    strata_error err = {0};
    setup s = make_for(6, text, NULL, 2, "sgd", NULL);
    steps(&s, 6 * 8);
    strata_metrics metrics;
    int64_t confusion[100], sum = 0;
    check(strata_evaluate(&metrics, s.model, s.data, STRATA_TEST, confusion, NULL, NULL, &err), &err);
    for (int i = 0; i < 100; i++) {
        sum += confusion[i];
    }
    assert_int_equal(sum, metrics.count);
    assert_int_equal(metrics.count, 60);
    if (metrics.top1 < at_least) {
        fail_msg("top-1 %.3f, expected at least %.3f", metrics.top1, at_least);
    }
    unmake(&s);
}

static void test_training_learns_squares(void **state) {
    (void)state;
    learns(WIDE, 0.9); /* chance is 0.1 */
}

/* A frozen layer keeps its weights and statistics to the bit; the others move. */
static void test_freeze_keeps_the_bits(void **state) {
    (void)state;
    strata_error err = {0};
    setup all = make(WIDE, NULL, 2, "sgd", NULL);
    setup frozen = make(WIDE, NULL, 2, "sgd", "stem");
    char before[65], after[65], moved[65];
    strata_model_hash(frozen.model, before);
    strata_model_hash(all.model, after);
    assert_string_equal(before, after);
    steps(&all, 2);
    steps(&frozen, 2);
    strata_model_hash(all.model, after);
    strata_model_hash(frozen.model, moved);
    assert_string_not_equal(after, moved);
    assert_string_not_equal(before, moved);
    strata_build_options build = {.batch = 24, .train = true, .seed = 3};
    strata_memory with, without;
    check(strata_model_memory(&with, all.runtime, all.net, &build, &err), &err);
    build.freeze = "stem";
    check(strata_model_memory(&without, all.runtime, all.net, &build, &err), &err);
    assert_true(without.gradients_bytes < with.gradients_bytes);
    unmake(&all);
    unmake(&frozen);
}

static size_t allocation_count;
static void *(*real_allocate)(size_t bytes);

static void *count_allocate(size_t bytes) {
    allocation_count++;
    return real_allocate(bytes);
}

static void test_steps_allocate_nothing(void **state) {
    (void)state;
    real_allocate = st_sys.allocate;
    st_sys.allocate = count_allocate;
    setup s = make(SMALL, NULL, 2, "sgd", NULL);
    steps(&s, 1);
    size_t before = allocation_count;
    steps(&s, 5);
    assert_int_equal(allocation_count, before);
    unmake(&s);
    st_sys.allocate = real_allocate;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_small_net_same_bits),
        cmocka_unit_test(test_training_wide_net_same_bits),
        cmocka_unit_test(test_training_older_layers_same_bits),
        cmocka_unit_test(test_resume_goes_on_with_the_same_bits),
        cmocka_unit_test(test_resume_refuses_another_run),
        cmocka_unit_test(test_narrow_side_head_is_refused),
        cmocka_unit_test(test_checkpoint_with_a_changed_bit_is_refused),
        cmocka_unit_test(test_training_learns_squares),
        cmocka_unit_test(test_freeze_keeps_the_bits),
        cmocka_unit_test(test_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
