/* What whole models answer: the same bits for any threads and batch, ensembles and comparisons, classes by name,
 * pictures in files, published weights. What is computed from the answers: test_score.c; crops: test_views.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pictures.h"
#include "train/train.h"

static void check(strata_status status, const strata_error *err) {
    if (status != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err->file, err->line, err->column, err->message);
    }
}

static bool is_near(double a, double b, double within) {
    return a - b <= within && b - a <= within;
}

/* ---- whole models ----------------------------------------------------------------------------------------------- */

static const char *const NET =
    "let classes = 10\n"
    "network small {\n input 16x16x1\n conv 5x5 6, tanh\n avgpool 2x2 stride=2\n fc 24, relu\n"
    " fc classes\n output logits loss=cross_entropy\n}\n";

enum { TRAIN = 40, TEST = 73, CLASSES = 10 };

static char folder[64];

typedef struct setup {
    strata_runtime *runtime;
    strata_model *model;
    strata_dataset *data;
} setup;

static setup make(uint64_t seed, int threads, int64_t batch) {
    setup s = {0};
    strata_net *net = NULL;
    strata_error err = {0};
    check(strata_runtime_create(&s.runtime, &(strata_options){.threads = threads}, &err), &err);
    check(strata_net_parse(&net, NET, strlen(NET), NULL, &err), &err);
    check(strata_model_build(&s.model, s.runtime, net, &(strata_build_options){.batch = batch, .seed = seed}, &err),
          &err);
    check(strata_dataset_open(&s.data, folder, NULL, &err), &err);
    strata_net_free(net);
    return s;
}

static void unmake(setup *s) {
    strata_dataset_free(s->data);
    strata_model_free(s->model);
    strata_runtime_free(s->runtime);
}

static strata_predictions *asked(const setup *s, const strata_dataset *data, int crops, bool flip) {
    strata_error err = {0};
    strata_predictions *out = NULL;
    strata_predict_options options = {.crops = crops, .flip = flip};
    check(strata_predictions_create(&out, s->model, data, STRATA_TEST, &options, NULL, NULL, &err), &err);
    assert_int_equal(strata_predictions_count(out), TEST);
    return out;
}

static void test_predictions_are_the_same_bits_for_any_threads_and_batch(void **state) {
    (void)state;
    static const struct {
        int threads;
        int64_t batch;
    } rows[] = {{1, 64}, {2, 64}, {3, 7}, {8, 1}, {2, 100}};
    static const int crops[] = {1, 5, 10};
    for (size_t c = 0; c < ST_COUNT_OF(crops); c++) {
        setup kept = make(3, 1, 16);
        strata_predictions *first = asked(&kept, kept.data, crops[c], false);
        for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
            setup s = make(3, rows[i].threads, rows[i].batch);
            strata_predictions *p = asked(&s, s.data, crops[c], false);
            assert_memory_equal(p->probabilities, first->probabilities, TEST * CLASSES * sizeof(float));
            assert_memory_equal(p->ranks, first->ranks, TEST * sizeof(int32_t));
            assert_memory_equal(p->losses, first->losses, TEST * sizeof(double));
            strata_predictions_free(p);
            unmake(&s);
        }
        strata_predictions_free(first);
        unmake(&kept);
    }
}

static void test_predictions_agree_with_evaluate_and_infer(void **state) {
    (void)state;
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_metrics simple, measured;
    int64_t confusion[CLASSES * CLASSES], counted[CLASSES * CLASSES];
    strata_predictions *p = asked(&s, s.data, 1, false);
    check(strata_evaluate(&simple, s.model, s.data, STRATA_TEST, confusion, NULL, NULL, &err), &err);
    strata_predictions_measure(&measured, p, 0, counted);
    assert_true(simple.count == measured.count && simple.correct == measured.correct);
    assert_true(simple.loss == measured.loss && simple.top5 == measured.top5);
    assert_true(simple.calibration_error == measured.calibration_error);
    assert_memory_equal(confusion, counted, sizeof confusion);
    uint8_t pixels[256];
    float row[CLASSES];
    for (size_t i = 0; i < TEST; i++) {
        int label;
        char name[64];
        check(strata_dataset_read(s.data, STRATA_TEST, i, pixels, &label, &err), &err);
        check(strata_model_infer(s.model, pixels, 1, (strata_shape){16, 16, 1}, row, &err), &err);
        assert_memory_equal(row, strata_predictions_row(p, i), sizeof row);
        assert_int_equal(strata_predictions_label(p, i), label);
        (void)snprintf(name, sizeof name, "t10k-images-idx3-ubyte:%zu", i);
        assert_string_equal(strata_predictions_file(p, i), name);
    }
    strata_predictions_free(p);
    unmake(&s);
}

static void test_flip_is_the_mean_of_a_picture_and_its_mirror_image(void **state) {
    (void)state;
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_predictions *p = asked(&s, s.data, 1, true);
    for (size_t i = 0; i < TEST; i++) {
        uint8_t pixels[2][256];
        float rows[2][CLASSES];
        int label;
        check(strata_dataset_read(s.data, STRATA_TEST, i, pixels[0], &label, &err), &err);
        for (size_t k = 0; k < 256; k++) {
            pixels[1][k] = pixels[0][k / 16 * 16 + 15 - k % 16];
        }
        check(strata_model_infer(s.model, pixels[0], 2, (strata_shape){16, 16, 1}, rows[0], &err), &err);
        for (size_t c = 0; c < CLASSES; c++) {
            double mean = ((double)rows[0][c] + (double)rows[1][c]) / 2;
            assert_true(is_near((double)strata_predictions_row(p, i)[c], mean, 1e-7));
        }
    }
    strata_predictions_free(p);
    unmake(&s);
}

static bool stop_at_once(size_t done, size_t count, void *user) {
    *(size_t *)user = done;
    return done == count;
}

static void test_predictions_can_be_stopped(void **state) {
    (void)state;
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_predictions *p = NULL;
    size_t done = 0;
    assert_int_equal(strata_predictions_create(&p, s.model, s.data, STRATA_TEST, NULL, stop_at_once, &done, &err),
                     STRATA_CANCELLED);
    assert_null(p);
    assert_int_equal(done, 16);
    unmake(&s);
}

/* ---- ensembles and comparisons ---------------------------------------------------------------------------------- */

static void check_mean(strata_predictions *all, strata_predictions *const of[3]) {
    strata_metrics measured;
    int64_t correct = 0;
    for (size_t i = 0; i < TEST * CLASSES; i++) {
        double sum = 0;
        for (size_t m = 0; m < 3; m++) {
            sum += (double)of[m]->probabilities[i];
        }
        assert_true(all->probabilities[i] == (float)(sum / 3));
    }
    for (size_t i = 0; i < TEST; i++) {
        size_t answer;
        strata_top(&answer, 1, strata_predictions_row(all, i), CLASSES);
        correct += answer == strata_predictions_label(all, i);
    }
    strata_predictions_measure(&measured, all, 0, NULL);
    assert_int_equal(measured.correct, correct);
}

static void test_ensemble_is_the_mean_of_its_members(void **state) {
    (void)state;
    setup a = make(3, 2, 16), b = make(4, 1, 64), c = make(5, 1, 64);
    strata_error err = {0};
    strata_predictions *of[3] = {asked(&a, a.data, 1, false), asked(&b, a.data, 1, false), asked(&c, a.data, 1, false)};
    strata_predictions *one = NULL, *all = NULL;
    const strata_predictions *members[3] = {of[0], of[1], of[2]};
    check(strata_predictions_average(&one, members, 1, &err), &err);
    assert_memory_equal(one->probabilities, of[0]->probabilities, TEST * CLASSES * sizeof(float));
    assert_memory_equal(one->losses, of[0]->losses, TEST * sizeof(double));
    assert_memory_equal(one->ranks, of[0]->ranks, TEST * sizeof(int32_t));
    check(strata_predictions_average(&all, members, 3, &err), &err);
    check_mean(all, of);
    strata_predictions_free(one);
    strata_predictions_free(all);
    for (size_t m = 0; m < 3; m++) {
        strata_predictions_free(of[m]);
    }
    unmake(&c);
    unmake(&b);
    unmake(&a);
}

static void test_comparison_counts_pairs(void **state) {
    (void)state;
    setup a = make(3, 1, 64), b = make(4, 1, 64);
    strata_error err = {0};
    strata_pairing pairing;
    strata_predictions *p = asked(&a, a.data, 1, false), *q = asked(&b, a.data, 1, false);
    int64_t first = 0, second = 0;
    for (size_t i = 0; i < TEST; i++) { /* as if: the first right on 3 of 4, the second on 2 of 3 */
        p->ranks[i] = i % 4 == 0;
        q->ranks[i] = i % 3 == 0;
        first += i % 4 != 0 && i % 3 == 0;
        second += i % 4 == 0 && i % 3 != 0;
    }
    check(strata_predictions_compare(&pairing, p, q, &err), &err);
    assert_int_equal(pairing.first_only, first);
    assert_int_equal(pairing.second_only, second);
    assert_int_equal(pairing.both + pairing.neither, TEST - first - second);
    assert_true(pairing.p == strata_mcnemar((uint32_t)first, (uint32_t)second));
    strata_predictions *other = asked(&b, b.data, 1, false); /* the same pictures, opened once more */
    assert_int_equal(strata_predictions_compare(&pairing, p, other, &err), STRATA_SHAPE);
    strata_predictions_free(other);
    strata_predictions_free(p);
    strata_predictions_free(q);
    unmake(&b);
    unmake(&a);
}

/* ---- classes by name -------------------------------------------------------------------------------------------- */

static void name(strata_model *model, const char *const names[CLASSES]) {
    strata_error err = {0};
    check(strata_model_name_classes(model, names, CLASSES, &err), &err);
}

static const char *const forward[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
static const char *const reversed[] = {"9", "8", "7", "6", "5", "4", "3", "2", "1", "0"};

static void test_classes_are_found_by_name(void **state) {
    (void)state;
    setup s = make(3, 2, 16), plain = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    name(s.model, reversed);
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_true(!match.by_number && match.known == CLASSES && match.unknown == 0 && match.absent == 0);
    strata_predictions *p = asked(&s, s.data, 1, false), *q = asked(&plain, s.data, 1, false);
    for (size_t i = 0; i < TEST; i++) {
        assert_int_equal(strata_predictions_label(p, i), CLASSES - 1 - strata_predictions_label(q, i));
    }
    assert_memory_equal(p->probabilities, q->probabilities, TEST * CLASSES * sizeof(float));
    strata_predictions_free(p);
    strata_predictions_free(q);
    unmake(&plain);
    unmake(&s);
}

static void test_ensemble_matches_classes_by_name(void **state) {
    (void)state;
    setup s = make(3, 2, 16), plain = make(4, 2, 16);
    strata_error err = {0};
    strata_predictions *all = NULL;
    name(s.model, reversed);
    name(plain.model, forward);
    strata_predictions *p = asked(&s, s.data, 1, false), *q = asked(&plain, s.data, 1, false);
    const strata_predictions *members[] = {p, q};
    check(strata_predictions_average(&all, members, 2, &err), &err);
    for (size_t i = 0; i < TEST * CLASSES; i++) {
        size_t row = i / CLASSES * CLASSES, c = i % CLASSES;
        double sum = (double)p->probabilities[i] + (double)q->probabilities[row + CLASSES - 1 - c];
        assert_true(all->probabilities[i] == (float)(sum / 2));
    }
    assert_string_equal(strata_predictions_class(all, 0), "9");
    strata_predictions_free(all);
    strata_predictions_free(p);
    strata_predictions_free(q);
    unmake(&plain);
    unmake(&s);
}

static void test_unknown_classes_are_refused_or_left_out(void **state) {
    (void)state;
    static const char *const others[] = {"0", "1", "2", "cat", "4", "5", "dog", "7", "8", "9"};
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    strata_predictions *p = NULL;
    strata_metrics metrics;
    name(s.model, others);
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_int_equal(match.known, 8);
    assert_int_equal(match.unknown, 2);
    assert_int_equal(match.unknown_pictures, 7 + 7);
    assert_string_equal(match.unknown_names, "3, 6");
    assert_int_equal(match.absent, 2);
    assert_string_equal(match.absent_names, "cat, dog");
    assert_int_equal(strata_predictions_create(&p, s.model, s.data, STRATA_TEST, NULL, NULL, NULL, &err),
                     STRATA_MISSING);
    assert_non_null(strstr(err.message, "does not know 2 classes of"));
    assert_non_null(strstr(err.message, "(3, 6), of which there are 14 pictures"));
    assert_int_equal(strata_evaluate(&metrics, s.model, s.data, STRATA_TEST, NULL, NULL, NULL, &err), STRATA_MISSING);
    strata_predict_options skip = {.skip_unknown = true};
    check(strata_predictions_create(&p, s.model, s.data, STRATA_TEST, &skip, NULL, NULL, &err), &err);
    assert_int_equal(strata_predictions_count(p), TEST - 14);
    assert_int_equal(strata_predictions_left_out(p), 14);
    for (size_t i = 0; i < strata_predictions_count(p); i++) {
        char file[64];
        size_t index = strata_predictions_index(p, i);
        assert_int_equal(strata_predictions_label(p, i), index % CLASSES); /* the pictures go round the classes */
        (void)snprintf(file, sizeof file, "t10k-images-idx3-ubyte:%zu", index);
        assert_string_equal(strata_predictions_file(p, i), file);
    }
    strata_predictions_free(p);
    unmake(&s);
}

static void test_numbers_decide_where_no_name_is_known(void **state) {
    (void)state;
    static const char *const words[] = {"ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibex", "jay"};
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_true(!match.by_number && match.known == CLASSES); /* number by number: nothing to say */
    name(s.model, words);
    check(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), &err);
    assert_true(match.by_number && match.known == CLASSES && match.unknown == 0);
    assert_int_equal(strata_model_name_classes(s.model, words, CLASSES - 1, &err), STRATA_SHAPE);
    assert_string_equal(err.message, "9 names for a net with 10 outputs");
    unmake(&s);
}

static void test_twins_are_refused(void **state) {
    (void)state;
    static const char *const twins[] = {"0", "1", "2", "3", "4", "5", "6", "7", "4", "9"};
    setup s = make(3, 2, 16);
    strata_error err = {0};
    strata_class_match match;
    name(s.model, twins);
    assert_int_equal(strata_class_match_get(&match, s.model, s.data, STRATA_TEST, &err), STRATA_SHAPE);
    assert_non_null(strstr(err.message, "two classes of the model are called '4'"));
    unmake(&s);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void test_files_are_answered_one_by_one(void **state) {
    (void)state;
    setup s = make(3, 2, 4);
    strata_error err = {0}, errors[6];
    char names[6][128];
    const char *paths[6];
    float out[6][CLASSES], row[CLASSES];
    uint8_t pixels[256];
    int label;
    for (int i = 0; i < 6; i++) {
        (void)snprintf(names[i], sizeof names[i], i == 2 ? "%s/none.png" : "%s/t10k-images-idx3-ubyte:%d", folder,
                       i == 4 ? TEST : i);
        paths[i] = names[i];
    }
    check(strata_model_predict(s.model, paths, 6, NULL, out[0], errors, &err), &err);
    for (int i = 0; i < 6; i++) {
        if (i == 2 || i == 4) {
            assert_int_not_equal(errors[i].status, STRATA_OK);
            assert_true(errors[i].file[0] != '\0');
            assert_true(out[i][0] == 0 && out[i][CLASSES - 1] == 0);
            continue;
        }
        assert_int_equal(errors[i].status, STRATA_OK);
        check(strata_dataset_read(s.data, STRATA_TEST, (size_t)i, pixels, &label, &err), &err);
        check(strata_model_infer(s.model, pixels, 1, (strata_shape){16, 16, 1}, row, &err), &err);
        assert_memory_equal(out[i], row, sizeof row);
    }
    assert_int_not_equal(strata_model_predict(s.model, paths, 6, NULL, out[0], NULL, &err), STRATA_OK);
    assert_non_null(strstr(err.file, "none.png"));
    unmake(&s);
}

/* ---- published weights ------------------------------------------------------------------------------------------ */

enum { MOST_PICTURES = 50, OUTPUTS = 1000 };

static size_t read_list(char names[MOST_PICTURES][256], int labels[MOST_PICTURES], const char *data) {
    char path[256], line[512];
    (void)snprintf(path, sizeof path, "%.200s/imagenet-50/labels.tsv", data);
    FILE *file = fopen(path, "r");
    size_t count = 0;
    while (file != NULL && count < MOST_PICTURES && fgets(line, sizeof line, file) != NULL) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = '\0';
        (void)snprintf(names[count], 256, "%.100s/imagenet-50/%.100s", data, line);
        labels[count++] = atoi(tab + 1);
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

static void test_squeezenet_names_photographs(void **state) {
    (void)state;
    static char names[MOST_PICTURES][256];
    static float out[MOST_PICTURES * OUTPUTS];
    const char *data = getenv("STRATA_TEST_DATA"), *paths[MOST_PICTURES];
    int labels[MOST_PICTURES], right = 0;
    char weights[256];
    strata_error err = {0};
    (void)snprintf(weights, sizeof weights, "%.200s/weights/squeezenet1_1.f16.safetensors", data != NULL ? data : "");
    size_t count = data != NULL ? read_list(names, labels, data) : 0;
    if (count == 0 || access(weights, R_OK) != 0 || strstr(strata_built_with(), "jpeg") == NULL) {
        print_message("skipped: needs imagenet-50 and SqueezeNet's weights in $STRATA_TEST_DATA, and libjpeg\n");
        skip();
    }
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_model *model = NULL;
    check(strata_runtime_create(&runtime, NULL, &err), &err);
    check(strata_net_load(&net, "squeezenet1_1", NULL, &err), &err);
    check(strata_model_build(&model, runtime, net, &(strata_build_options){.batch = 10, .blank = true}, &err), &err);
    check(strata_model_load(model, weights, &err), &err);
    for (size_t i = 0; i < count; i++) {
        paths[i] = names[i];
    }
    check(strata_model_predict(model, paths, count, NULL, out, NULL, &err), &err);
    for (size_t i = 0; i < count; i++) {
        size_t answer;
        strata_top(&answer, 1, out + i * OUTPUTS, OUTPUTS);
        right += answer == (size_t)labels[i];
    }
    print_message("SqueezeNet names %d of %zu photographs\n", right, count);
    assert_true(right >= 33);
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
}

static int make_data(void **state) {
    (void)state;
    pictures_make(folder, TRAIN, TEST, 16, CLASSES);
    return 0;
}

static int remove_data(void **state) {
    (void)state;
    pictures_remove(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predictions_are_the_same_bits_for_any_threads_and_batch),
        cmocka_unit_test(test_predictions_agree_with_evaluate_and_infer),
        cmocka_unit_test(test_flip_is_the_mean_of_a_picture_and_its_mirror_image),
        cmocka_unit_test(test_predictions_can_be_stopped),
        cmocka_unit_test(test_ensemble_is_the_mean_of_its_members),
        cmocka_unit_test(test_comparison_counts_pairs),
        cmocka_unit_test(test_classes_are_found_by_name),
        cmocka_unit_test(test_ensemble_matches_classes_by_name),
        cmocka_unit_test(test_unknown_classes_are_refused_or_left_out),
        cmocka_unit_test(test_numbers_decide_where_no_name_is_known),
        cmocka_unit_test(test_twins_are_refused),
        cmocka_unit_test(test_files_are_answered_one_by_one),
        cmocka_unit_test(test_squeezenet_names_photographs),
    };
    return cmocka_run_group_tests_name("evaluate", tests, make_data, remove_data);
}
