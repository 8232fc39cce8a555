/* Augmentation: words and presets, each change against a naive one, a pure function of seed, epoch and picture; and a
 * training run with it: the same bits for any threads and after a resume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "data/data.h"
#include "pictures.h"

/* ---- words ---- */

static st_augment parsed(const char *text) {
    st_augment out;
    strata_error err = {0};
    if (st_augment_parse(&out, text, &err) != STRATA_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    return out;
}

static void test_augment_resolves_presets(void **state) {
    (void)state;
    assert_string_equal(parsed("cifar").text, "crop=4,mirror");
    assert_string_equal(parsed("mirror").text, "mirror");
    assert_string_equal(parsed("mirror,crop=12").text, "mirror,crop=12");
    assert_string_equal(parsed("crop=04,mirror").text, "crop=4,mirror");
    assert_int_equal(parsed("cifar,mirror").count, 3);
    assert_int_equal(parsed(NULL).count, 0);
    assert_int_equal(parsed("").count, 0);
    assert_int_equal(parsed("none").count, 0);
    assert_string_equal(parsed("none").text, "");
}

static void refused(const char *text, const char *message, const char *hint) {
    st_augment out;
    strata_error err = {0};
    assert_int_equal(st_augment_parse(&out, text, &err), STRATA_INVALID);
    assert_string_equal(err.message, message);
    assert_string_equal(err.hint, hint);
}

static void test_augment_refuses_what_it_does_not_know(void **state) {
    (void)state;
    refused("mirrr", "there is no augmentation named 'mirrr', expected mirror, crop=N, cifar",
            "did you mean 'mirror'?");
    refused("crop=4,,mirror", "there is no augmentation named '', expected mirror, crop=N, cifar", "");
    refused("cifar=4", "there is no augmentation named 'cifar', expected mirror, crop=N, cifar",
            "did you mean 'cifar'?");
    refused("crop", "augmentation 'crop' needs a whole number from 1 to 16384, as in crop=4", "");
    refused("crop=0", "augmentation 'crop' needs a whole number from 1 to 16384, as in crop=4", "");
    refused("crop=4x", "augmentation 'crop' needs a whole number from 1 to 16384, as in crop=4", "");
    refused("crop=99999999999999999999", "augmentation 'crop' needs a whole number from 1 to 16384, as in crop=4", "");
    refused("mirror=1", "augmentation 'mirror' takes no number, found '1'", "");
    refused("mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror",
            "at most 8 augmentations follow each other", "");
    char far[200];
    memset(far, 'x', sizeof far);
    far[sizeof far - 1] = '\0';
    refused(far, "no augmentation has a name of 199 bytes", "");
}

/* ---- pixels ---- */

enum { HEIGHT = 7, WIDTH = 9, MOST = HEIGHT * WIDTH * 4 };

static uint8_t drawn(size_t i) {
    return (uint8_t)(1 + st_rng_bits(51, 0, i) % 200);
}

static const uint8_t fill[4] = {201, 202, 203, 204};

static st_augmentation augmentation_of(const char *text, uint64_t seed, uint64_t epoch) {
    st_augmentation out = {.augment = parsed(text), .seed = seed, .epoch = epoch};
    memcpy(out.fill, fill, sizeof fill);
    return out;
}

static void augmented(uint8_t *pixels, const st_augmentation *with, size_t index, int channels) {
    uint8_t scratch[MOST];
    for (size_t i = 0; i < (size_t)(HEIGHT * WIDTH * channels); i++) {
        pixels[i] = drawn(i);
    }
    st_augment_apply(with, index, (strata_shape){HEIGHT, WIDTH, channels}, pixels, scratch);
}

/* Whether `pixels` is the picture moved by (down, right) and mirrored, fill around it. */
static bool is_moved(const uint8_t *pixels, int channels, int down, int right, bool mirrored) {
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            int from_x = (mirrored ? WIDTH - 1 - x : x) + right, from_y = y + down;
            bool inside = from_x >= 0 && from_x < WIDTH && from_y >= 0 && from_y < HEIGHT;
            for (int c = 0; c < channels; c++) {
                int expected = inside ? drawn((size_t)((from_y * WIDTH + from_x) * channels + c)) : fill[c];
                if (pixels[(y * WIDTH + x) * channels + c] != expected) {
                    return false;
                }
            }
        }
    }
    return true;
}

static void test_augment_moves_and_mirrors_evenly(void **state) {
    (void)state;
    enum { BORDER = 2, STEPS = 2 * BORDER + 1, TRIES = 5000 };
    for (int channels = 1; channels <= 4; channels++) {
        st_augmentation with = augmentation_of("crop=2,mirror", 5, 3);
        int counts[STEPS][STEPS][2] = {{{0}}};
        for (size_t i = 0; i < TRIES; i++) {
            uint8_t pixels[MOST];
            int found = 0;
            augmented(pixels, &with, i, channels);
            for (int m = 0; m < 2; m++) {
                for (int down = -BORDER; down <= BORDER; down++) {
                    for (int right = -BORDER; right <= BORDER; right++) {
                        if (is_moved(pixels, channels, down, right, m == 1)) {
                            counts[down + BORDER][right + BORDER][m]++;
                            found++;
                        }
                    }
                }
            }
            assert_int_equal(found, 1);
        }
        for (int k = 0; k < STEPS * STEPS * 2; k++) { /* 100 expected each, deviation 10 */
            assert_in_range(counts[k / 2 / STEPS][k / 2 % STEPS][k % 2], 60, 145);
        }
    }
}

static void test_augment_crop_may_be_wider_than_the_picture(void **state) {
    (void)state;
    st_augmentation with = augmentation_of("crop=30", 5, 3);
    size_t empty = 0;
    for (size_t i = 0; i < 300; i++) {
        uint8_t pixels[MOST];
        int found = 0;
        augmented(pixels, &with, i, 3);
        for (int down = -HEIGHT; down <= HEIGHT && found == 0; down++) {
            for (int right = -WIDTH; right <= WIDTH && found == 0; right++) {
                found = is_moved(pixels, 3, down, right, false);
            }
        }
        assert_int_equal(found, 1);
        empty += is_moved(pixels, 3, HEIGHT, 0, false);
    }
    assert_in_range(empty, 200, 299);
}

static void test_augment_depends_on_seed_epoch_and_picture_alone(void **state) {
    (void)state;
    static const struct {
        uint64_t seed, epoch;
        size_t index;
    } others[] = {{6, 3, 0}, {5, 4, 0}, {5, 3, 100}};
    for (size_t o = 0; o < ST_COUNT_OF(others); o++) {
        st_augmentation with = augmentation_of("cifar", 5, 3);
        st_augmentation other = augmentation_of("cifar", others[o].seed, others[o].epoch);
        size_t same = 0;
        for (size_t i = 0; i < 100; i++) {
            uint8_t one[MOST], two[MOST], three[MOST];
            augmented(one, &with, i, 3);
            augmented(two, &with, i, 3);
            augmented(three, &other, i + others[o].index, 3);
            assert_memory_equal(one, two, HEIGHT * WIDTH * 3);
            same += memcmp(one, three, HEIGHT * WIDTH * 3) == 0;
        }
        assert_true(same < 10); /* 1 in 162 is expected */
    }
}

/* ---- training ---- */

static char folder[64];

static int make_data(void **state) {
    (void)state;
    pictures_make(folder, 200, 40, 16, 10);
    return 0;
}

static int remove_data(void **state) {
    (void)state;
    pictures_remove(folder);
    return 0;
}

/* The same pictures whatever the batch and wherever the pass begins. */
static void test_batcher_augments_by_picture(void **state) {
    (void)state;
    static const size_t batches[] = {1, 7, 64, 500};
    static uint8_t expected[200][256];
    strata_dataset *data = NULL;
    uint32_t order[200];
    uint8_t scratch[256];
    st_augmentation with = {.augment = parsed("cifar"), .fill = {9}, .seed = 2, .epoch = 1};
    assert_int_equal(strata_dataset_open(&data, folder, NULL, NULL), STRATA_OK);
    for (size_t i = 0; i < 200; i++) {
        int label = 0;
        assert_int_equal(strata_dataset_read(data, STRATA_TRAIN, i, expected[i], &label, NULL), STRATA_OK);
        st_augment_apply(&with, i, strata_dataset_shape(data), expected[i], scratch);
    }
    st_data_order(order, 200, 2, 1);
    for (size_t b = 0; b < ST_COUNT_OF(batches); b++) {
        st_batcher *batcher = NULL;
        assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, batches[b], NULL), STRATA_OK);
        for (size_t first = 0; first < 200; first += 67) {
            const uint8_t *pixels = NULL;
            const int32_t *labels = NULL;
            size_t n = 1, at = first;
            st_batcher_augment(batcher, &with);
            assert_int_equal(st_batcher_start(batcher, first == 67 ? NULL : order, 200, first, NULL), STRATA_OK);
            while (n > 0) {
                assert_int_equal(st_batcher_next(batcher, &pixels, &labels, &n, NULL), STRATA_OK);
                for (size_t i = 0; i < n; i++) {
                    assert_memory_equal(pixels + 256 * i, expected[first == 67 ? at + i : order[at + i]], 256);
                }
                at += n;
            }
        }
        st_batcher_augment(batcher, NULL);
        st_batcher_free(batcher);
    }
    strata_dataset_free(data);
}

static const char *const NET = "network small {\n input 16x16x1\n conv 5x5 6, tanh\n avgpool 2x2 stride=2\n fc 10\n"
                               " output logits loss=cross_entropy\n}\n";

typedef struct setup {
    strata_runtime *runtime;
    strata_net *net;
    strata_model *model;
    strata_dataset *data;
    strata_trainer *trainer;
} setup;

static setup make(const char *augment, int threads) {
    setup s = {0};
    strata_error err = {0};
    if (strata_runtime_create(&s.runtime, &(strata_options){.threads = threads}, &err) != STRATA_OK ||
        strata_net_parse(&s.net, NET, strlen(NET), NULL, &err) != STRATA_OK ||
        strata_model_build(&s.model, s.runtime, s.net, &(strata_build_options){.batch = 24, .train = true, .seed = 3},
                           &err) != STRATA_OK ||
        strata_dataset_open(&s.data, folder, &(strata_data_options){.hold_out = 0.1, .seed = 3}, &err) != STRATA_OK ||
        strata_trainer_create(&s.trainer, s.model, s.data,
                              &(strata_train_options){.epochs = 3, .seed = 3, .augment = augment}, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    return s;
}

static void unmake(setup *s) {
    strata_trainer_free(s->trainer);
    strata_dataset_free(s->data);
    strata_model_free(s->model);
    strata_net_free(s->net);
    strata_runtime_free(s->runtime);
}

static void steps(setup *s, int count) {
    for (int i = 0; i < count; i++) {
        strata_step_info info;
        strata_epoch_info epoch;
        assert_int_equal(strata_trainer_step(s->trainer, &info, NULL), STRATA_OK);
        if (info.epoch_done) {
            assert_int_equal(strata_trainer_end_epoch(s->trainer, &epoch, NULL), STRATA_OK);
        }
    }
}

static void hash_after(char out[65], const char *augment, int threads, int count) {
    setup s = make(augment, threads);
    steps(&s, count);
    strata_model_hash(s.model, out);
    unmake(&s);
}

static void test_augmented_training_is_the_same_for_any_threads(void **state) {
    (void)state;
    char first[65], other[65];
    hash_after(first, "cifar", 1, 20);
    for (int threads = 2; threads <= 5; threads++) {
        hash_after(other, "crop=4,mirror", threads, 20);
        assert_string_equal(other, first);
    }
    hash_after(other, NULL, 1, 20);
    assert_string_not_equal(other, first);
    hash_after(other, "mirror", 1, 20);
    assert_string_not_equal(other, first);
}

static void test_augmented_training_resumes_with_the_same_bits(void **state) {
    (void)state;
    char path[128], expected[65], found[65];
    strata_error err = {0};
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    hash_after(expected, "cifar", 2, 24);
    for (int place = 0; place <= 24; place += 5) {
        setup first = make("cifar", 2), second = make("cifar", 1);
        steps(&first, place);
        assert_int_equal(strata_trainer_save(first.trainer, path, &err), STRATA_OK);
        assert_int_equal(strata_trainer_resume(second.trainer, path, &err), STRATA_OK);
        steps(&second, 24 - place);
        strata_model_hash(second.model, found);
        assert_string_equal(found, expected);
        unmake(&first);
        unmake(&second);
    }
    static const char *const others[] = {NULL, "mirror", "crop=3,mirror"};
    for (size_t i = 0; i < ST_COUNT_OF(others); i++) {
        setup other = make(others[i], 1);
        assert_int_equal(strata_trainer_resume(other.trainer, path, &err), STRATA_INVALID);
        assert_non_null(strstr(err.message, "it belongs to another run"));
        unmake(&other);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_augment_resolves_presets),
        cmocka_unit_test(test_augment_refuses_what_it_does_not_know),
        cmocka_unit_test(test_augment_moves_and_mirrors_evenly),
        cmocka_unit_test(test_augment_crop_may_be_wider_than_the_picture),
        cmocka_unit_test(test_augment_depends_on_seed_epoch_and_picture_alone),
        cmocka_unit_test(test_batcher_augments_by_picture),
        cmocka_unit_test(test_augmented_training_is_the_same_for_any_threads),
        cmocka_unit_test(test_augmented_training_resumes_with_the_same_bits),
    };
    return cmocka_run_group_tests_name("augment", tests, make_data, remove_data);
}
