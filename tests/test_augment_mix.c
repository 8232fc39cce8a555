/* Pictures mixed within a batch, and augmentation in a batcher and in a training run: the same bits for any batch, any
 * threads and after a resume. */
#include "augment_case.h"
#include "data/data.h"
#include "pictures.h"

/* ---- shares ---- */

/* The beta distribution of a and a has the mean 1/2 and the variance 1 / (4 (2a + 1)). */
static void test_mix_shares_are_beta_distributed(void **state) {
    (void)state;
    static const double alphas[] = {0.01, 0.05, 0.2, 0.5, 1, 2, 8, 100};
    enum { TRIES = 20000 };
    st_augmentation with = augmentation_of("mixup=1", 11, 0);
    for (size_t a = 0; a < ST_COUNT_OF(alphas); a++) {
        double sum = 0, squares = 0;
        int below[4] = {0};
        for (uint64_t i = 0; i < TRIES; i++) {
            st_draws draws = st_draws_of_batch(&with, i, (int)a);
            double share = st_mix_share(alphas[a], &draws);
            assert_true(share >= 0 && share <= 1);
            sum += share - 0.5;
            squares += (share - 0.5) * (share - 0.5);
            below[share < 0.25 ? 0 : share < 0.5 ? 1 : share < 0.75 ? 2 : 3]++;
        }
        double variance = 1 / (4 * (2 * alphas[a] + 1));
        assert_true(fabs(sum / TRIES) < 4 * sqrt(variance / TRIES));
        assert_true(fabs(squares / TRIES / variance - 1) < 0.04);
        if (alphas[a] == 1) { /* all shares alike */
            for (int k = 0; k < 4; k++) {
                assert_in_range(below[k], TRIES / 4 - 250, TRIES / 4 + 250);
            }
        }
    }
}

/* ---- a batch ---- */

enum { HIGH = 12, WIDE = 10, DEEP = 3, BYTES = HIGH * WIDE * DEEP, MOST_BATCH = 9 };

typedef struct lot {
    uint8_t before[MOST_BATCH][BYTES], after[MOST_BATCH][BYTES];
    int32_t labels[MOST_BATCH], others[MOST_BATCH];
    float shares[MOST_BATCH];
} lot;

static void mixed(lot *out, const char *words, uint64_t seed, uint64_t number, size_t n) {
    st_augmentation with = augmentation_of(words, seed, 0);
    for (size_t i = 0; i < MOST_BATCH; i++) {
        for (size_t k = 0; k < BYTES; k++) {
            out->before[i][k] = (uint8_t)(1 + st_rng_bits(71, i, k) % 200);
        }
        out->labels[i] = (int32_t)(3 * i);
    }
    memcpy(out->after, out->before, sizeof out->before);
    st_augment_mix(&with, number, out->after[0], out->labels, n, (strata_shape){HIGH, WIDE, DEEP}, out->others,
                   out->shares);
    assert_memory_equal(out->after[n], out->before[n], (MOST_BATCH - n) * BYTES);
}

static void test_mixup_adds_pictures_by_their_shares(void **state) {
    (void)state;
    static lot all;
    for (uint64_t number = 0; number < 50; number++) {
        size_t n = 1 + number % (MOST_BATCH - 1);
        mixed(&all, "mirror,mixup=1", 5, number, n);
        for (size_t i = 0; i < n; i++) {
            double share = (double)all.shares[i];
            assert_int_equal(all.others[i], all.labels[n - 1 - i]);
            assert_true(share == (double)all.shares[0]);
            for (size_t k = 0; k < BYTES; k++) {
                double expected = share * all.before[i][k] + (1 - share) * all.before[n - 1 - i][k];
                assert_true(fabs(all.after[i][k] - expected) < 0.51);
            }
        }
    }
}

static void test_cutmix_swaps_a_box_as_large_as_the_share(void **state) {
    (void)state;
    static lot all;
    double sum = 0, squares = 0;
    for (uint64_t number = 0; number < 400; number++) {
        size_t n = 2 + number % (MOST_BATCH - 2);
        mixed(&all, "cutmix=1", 5, number, n);
        int top = HIGH, bottom = -1, left = WIDE, right = -1, count = 0;
        for (size_t i = 0; i < n; i++) {
            const uint8_t *own = all.before[i], *other = all.before[n - 1 - i], *found = all.after[i];
            int changed = 0;
            for (int p = 0; p < HIGH * WIDE; p++) {
                bool is_own = memcmp(found + 3 * p, own + 3 * p, 3) == 0;
                assert_true(is_own || memcmp(found + 3 * p, other + 3 * p, 3) == 0);
                changed += !is_own;
                if (!is_own) {
                    top = p / WIDE < top ? p / WIDE : top;
                    bottom = p / WIDE > bottom ? p / WIDE : bottom;
                    left = p % WIDE < left ? p % WIDE : left;
                    right = p % WIDE > right ? p % WIDE : right;
                }
            }
            count = changed > count ? changed : count;
            assert_int_equal(all.others[i], all.labels[n - 1 - i]);
            bool is_middle = 2 * i + 1 == n;
            assert_true(is_middle || fabs((double)all.shares[i] - (1 - (double)changed / (HIGH * WIDE))) < 1e-6);
        }
        assert_true(count == 0 || count == (bottom - top + 1) * (right - left + 1));
        sum += (double)all.shares[0];
        squares += (double)all.shares[0] * (double)all.shares[0];
    }
    assert_true(sum / 400 > 0.5 && sum / 400 < 0.75); /* boxes are cut at the borders, so more stays */
    assert_true(squares / 400 - sum / 400 * (sum / 400) > 0.03);
}

static void test_mix_is_drawn_from_seed_and_batch(void **state) {
    (void)state;
    static lot one, two;
    static const char *const words[] = {"mixup=0.4", "cutmix=1", "mixup=0.4,cutmix=1"};
    int cuts = 0;
    for (size_t w = 0; w < ST_COUNT_OF(words); w++) {
        size_t same = 0;
        for (uint64_t number = 0; number < 100; number++) {
            mixed(&one, words[w], 5, number, 8);
            mixed(&two, words[w], 5, number, 8);
            assert_memory_equal(&one, &two, sizeof one);
            mixed(&two, words[w], 6, number, 8);
            same += memcmp(one.after, two.after, sizeof one.after) == 0;
            mixed(&two, words[w], 5, number + 1, 8);
            same += memcmp(one.after, two.after, sizeof one.after) == 0;
            bool is_cut = true; /* every pixel is of one picture */
            for (size_t k = 0; k < BYTES && is_cut; k++) {
                is_cut = one.after[0][k] == one.before[0][k] || one.after[0][k] == one.before[7][k];
            }
            cuts += w == 2 && is_cut;
        }
        assert_true(same < 20);
    }
    assert_in_range(cuts, 35, 75); /* half, and where a mixup's share is next to 0 or 1 */
}

static void test_mix_gives_the_recorded_bytes(void **state) {
    (void)state;
    static const struct {
        const char *words, *hash;
    } cases[] = {
        {"mixup=0.2", "4e9a82184899e656bb04c38e0b063c0245ea0d62521149b26cc2d6e8c2c063d5"},
        {"cutmix=1", "b0bbf8f594740493704348fc38a4ff22d7e07222cf084f6d30b1bee1651360e7"},
        {"mixup=1,cutmix=0.5", "119624a8cb5a6cdfaaba4982e5b417a01f57b1154e45c5f1234f0004c8d94812"},
    };
    static lot all;
    size_t differ = 0;
    for (size_t w = 0; w < ST_COUNT_OF(cases); w++) {
        st_sha256 sha;
        char found[65];
        st_sha256_begin(&sha);
        for (uint64_t number = 0; number < 40; number++) {
            mixed(&all, cases[w].words, 5, number, 8);
            st_sha256_add(&sha, all.after, sizeof all.after);
            st_sha256_add(&sha, all.shares, 8 * sizeof *all.shares);
        }
        st_sha256_end(&sha, found);
        if (strcmp(found, cases[w].hash) != 0) {
            print_message("        {\"%s\", \"%s\"},\n", cases[w].words, found);
            differ++;
        }
    }
    assert_int_equal(differ, 0);
}

/* ---- batches ---- */

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
    st_augmentation with = {.augment = parsed("lenet,crop=4,mirror"), .fill = {9}, .seed = 2, .epoch = 1};
    st_augment_room room = {0};
    assert_int_equal(strata_dataset_open(&data, folder, NULL, NULL), STRATA_OK);
    st_geometry geometry = {.fit = ST_FIT_PAD, .out = strata_dataset_shape(data)};
    for (size_t i = 0; i < 200; i++) {
        strata_picture stage = {0};
        int label = 0;
        assert_int_equal(strata_dataset_picture(&stage, data, STRATA_TRAIN, i, &label, NULL), STRATA_OK);
        augmented(expected[i], &with, i, &stage, &geometry, &room);
        strata_picture_free(&stage);
    }
    st_data_order(order, 200, 2, 1);
    for (size_t b = 0; b < ST_COUNT_OF(batches) * 3; b++) {
        st_batcher *batcher = NULL;
        assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, batches[b / 3], &geometry, (int)(b % 3), NULL),
                         STRATA_OK);
        for (size_t first = 0; first < 200; first += 67) {
            st_batch got = {.n = 1};
            size_t at = first;
            st_batcher_augment(batcher, &with);
            assert_int_equal(st_batcher_start(batcher, first == 67 ? NULL : order, 200, first, NULL), STRATA_OK);
            while (got.n > 0) {
                assert_int_equal(st_batcher_next(batcher, &got, NULL), STRATA_OK);
                assert_null(got.other_labels);
                for (size_t i = 0; i < got.n; i++) {
                    assert_memory_equal(got.pixels + 256 * i, expected[first == 67 ? at + i : order[at + i]], 256);
                }
                at += got.n;
            }
        }
        st_batcher_augment(batcher, NULL);
        st_batcher_free(batcher);
    }
    st_augment_room_free(&room);
    strata_dataset_free(data);
}

/* Batches come mixed, each with its number in the whole training, wherever the pass began. */
static void test_batcher_mixes_by_batch(void **state) {
    (void)state;
    enum { BATCH = 24, ALL = (200 + BATCH - 1) / BATCH };
    strata_dataset *data = NULL;
    uint32_t order[200];
    st_augmentation with = {.augment = parsed("cutmix=1,mixup=1"), .fill = {9}, .seed = 2, .epoch = 3};
    assert_int_equal(strata_dataset_open(&data, folder, NULL, NULL), STRATA_OK);
    st_geometry geometry = {.fit = ST_FIT_PAD, .out = strata_dataset_shape(data)};
    st_data_order(order, 200, 2, 3);
    for (size_t first = 0; first < ALL; first++) {
        st_batcher *batcher = NULL;
        assert_int_equal(st_batcher_create(&batcher, data, STRATA_TRAIN, BATCH, &geometry, 2, NULL), STRATA_OK);
        st_batcher_augment(batcher, &with);
        assert_int_equal(st_batcher_start(batcher, order, 200, first * BATCH, NULL), STRATA_OK);
        for (size_t b = first; b < ALL; b++) {
            static uint8_t pixels[BATCH * 256];
            int32_t labels[BATCH], others[BATCH];
            float shares[BATCH];
            size_t n = b + 1 < ALL ? BATCH : 200 % BATCH;
            st_batch got;
            for (size_t i = 0; i < n; i++) {
                int label = 0;
                assert_int_equal(
                    strata_dataset_read(data, STRATA_TRAIN, order[b * BATCH + i], pixels + 256 * i, &label, NULL),
                    STRATA_OK);
                labels[i] = label;
            }
            st_augment_mix(&with, 3 * ALL + b, pixels, labels, n, geometry.out, others, shares);
            assert_int_equal(st_batcher_next(batcher, &got, NULL), STRATA_OK);
            assert_int_equal(got.n, n);
            assert_memory_equal(got.pixels, pixels, n * 256);
            assert_memory_equal(got.labels, labels, n * sizeof *labels);
            assert_memory_equal(got.other_labels, others, n * sizeof *others);
            assert_memory_equal(got.shares, shares, n * sizeof *shares);
        }
        st_batcher_free(batcher);
    }
    strata_dataset_free(data);
}

/* ---- an augmenter ---- */

static void test_augmenter_shows_what_training_sees(void **state) {
    (void)state;
    strata_dataset *data = NULL;
    strata_augmenter *augmenter = NULL;
    strata_error err = {0};
    assert_int_equal(strata_dataset_open(&data, folder, NULL, NULL), STRATA_OK);
    assert_int_equal(strata_augmenter_create(&augmenter, data,
                                             &(strata_augment_options){.augment = "cifar,pca,mixup=0.5", .seed = 9},
                                             &err),
                     STRATA_OK);
    assert_string_equal(strata_augmenter_text(augmenter), "crop=4,mirror,pca=0.1,mixup=0.5");
    double mean[4], deviation[4];
    st_augmentation with = {.augment = parsed("cifar,pca,mixup=0.5"), .seed = 9, .epoch = 4};
    st_geometry geometry = {.fit = ST_FIT_PAD, .out = strata_dataset_shape(data)};
    assert_int_equal(strata_dataset_statistics(data, mean, deviation, NULL), STRATA_OK);
    with.fill[0] = (uint8_t)(mean[0] * 255 + 0.5);
    assert_int_equal(st_augmentation_axes(&with, data, &geometry, NULL), STRATA_OK);
    assert_true(fabs(with.axes[0][0] - deviation[0] * deviation[0] * 255) < 1e-9);
    static const size_t indexes[] = {17, 3, 199, 17, 80};
    strata_picture out[5] = {{{0}, NULL}};
    uint8_t pixels[5 * 256];
    int32_t labels[5] = {0}, others[5];
    float shares[5];
    st_augment_room room = {0};
    for (int turn = 0; turn < 2; turn++) { /* the rooms are used again */
        assert_int_equal(strata_augmenter_batch(out, augmenter, STRATA_TRAIN, indexes, 5, 4, &err), STRATA_OK);
        for (size_t i = 0; i < 5; i++) {
            strata_picture stage = {0};
            int label = 0;
            assert_int_equal(strata_dataset_picture(&stage, data, STRATA_TRAIN, indexes[i], &label, NULL), STRATA_OK);
            augmented(pixels + 256 * i, &with, indexes[i], &stage, &geometry, &room);
            strata_picture_free(&stage);
        }
        st_augment_mix(&with, 4, pixels, labels, 5, geometry.out, others, shares);
        for (size_t i = 0; i < 5; i++) {
            assert_memory_equal(out[i].pixels, pixels + 256 * i, 256);
        }
    }
    static const size_t beyond[] = {200};
    assert_int_equal(strata_augmenter_batch(out, augmenter, STRATA_TRAIN, beyond, 1, 4, &err), STRATA_INVALID);
    for (size_t i = 0; i < 5; i++) {
        strata_picture_free(&out[i]);
    }
    st_augment_room_free(&room);
    strata_augmenter_free(augmenter);
    strata_dataset_free(data);
}

static void test_augmenter_refuses_options(void **state) {
    (void)state;
    static const struct {
        strata_augment_options options;
        const char *message;
    } cases[] = {
        {{.augment = "mirrr"}, "there is no augmentation named 'mirrr'"},
        {{.augment = "crop=9"}, "crop=9 would move pictures of 16x16 out of sight"},
        {{.augment = "hue=0.1"}, "augmentation 'hue' needs pictures of 3 channels, found 1"},
        {{.height = 8}, "a size of 8x0, expected 1 to 16384 for both"},
        {{.height = 8, .width = 20000}, "a size of 8x20000, expected 1 to 16384 for both"},
    };
    strata_dataset *data = NULL;
    assert_int_equal(strata_dataset_open(&data, folder, NULL, NULL), STRATA_OK);
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        strata_augmenter *augmenter = (strata_augmenter *)data;
        strata_error err = {0};
        assert_int_equal(strata_augmenter_create(&augmenter, data, &cases[i].options, &err), STRATA_INVALID);
        assert_null(augmenter);
        assert_non_null(strstr(err.message, cases[i].message));
    }
    strata_augmenter *augmenter = NULL; /* another size: the stage picture covers it by 8/7 */
    strata_picture out = {{0}, NULL};
    static const size_t first[] = {0};
    assert_int_equal(strata_augmenter_create(
                         &augmenter, data,
                         &(strata_augment_options){.augment = "resized-crop,mirror", .height = 20, .width = 30}, NULL),
                     STRATA_OK);
    assert_int_equal(strata_augmenter_batch(&out, augmenter, STRATA_TRAIN, first, 1, 0, NULL), STRATA_OK);
    assert_true(out.shape.height == 20 && out.shape.width == 30 && out.shape.channels == 1);
    strata_picture_free(&out);
    strata_augmenter_free(augmenter);
    strata_augmenter_free(NULL);
    strata_dataset_free(data);
}

/* ---- training ---- */

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

static double steps(setup *s, int count) {
    double loss = 0;
    for (int i = 0; i < count; i++) {
        strata_step_info info;
        strata_epoch_info epoch;
        assert_int_equal(strata_trainer_step(s->trainer, &info, NULL), STRATA_OK);
        loss = info.loss;
        if (info.epoch_done) {
            assert_int_equal(strata_trainer_end_epoch(s->trainer, &epoch, NULL), STRATA_OK);
        }
    }
    return loss;
}

static double hash_after(char out[65], const char *augment, int threads, int count) {
    setup s = make(augment, threads);
    double loss = steps(&s, count);
    strata_model_hash(s.model, out);
    unmake(&s);
    return loss;
}

static const char *const recipes[] = {"cifar", "lenet", "pca,cutout=4,erase,brightness=0.3",
                                      "randaugment=2:9,mixup=0.4", "resized-crop,cutmix=1,mixup=1"};

static void test_augmented_training_is_the_same_for_any_threads(void **state) {
    (void)state;
    char first[65], other[65];
    for (size_t r = 0; r < ST_COUNT_OF(recipes); r++) {
        hash_after(first, recipes[r], 1, 20);
        for (int threads = 2; threads <= 5; threads++) {
            hash_after(other, parsed(recipes[r]).text, threads, 20);
            assert_string_equal(other, first);
        }
        hash_after(other, NULL, 1, 20);
        assert_string_not_equal(other, first);
        hash_after(other, "mirror", 1, 20);
        assert_string_not_equal(other, first);
    }
}

/* Targets that are shared cannot be met: the loss stays higher, and it falls all the same. */
static void test_training_on_mixed_pictures_learns(void **state) {
    (void)state;
    char hash[65];
    double begin = hash_after(hash, "mixup=1", 2, 1), end = hash_after(hash, "mixup=1", 2, 24);
    double plain = hash_after(hash, NULL, 2, 24);
    assert_true(end < 0.9 * begin && end > 1.2 * plain);
}

static void test_augmented_training_resumes_with_the_same_bits(void **state) {
    (void)state;
    char path[128], expected[65], found[65];
    strata_error err = {0};
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    for (size_t r = 0; r < ST_COUNT_OF(recipes); r++) {
        hash_after(expected, recipes[r], 2, 24);
        for (int place = 0; place <= 24; place += 5) {
            setup first = make(recipes[r], 2), second = make(recipes[r], 1);
            steps(&first, place);
            assert_int_equal(strata_trainer_save(first.trainer, path, &err), STRATA_OK);
            assert_int_equal(strata_trainer_resume(second.trainer, path, &err), STRATA_OK);
            steps(&second, 24 - place);
            strata_model_hash(second.model, found);
            assert_string_equal(found, expected);
            unmake(&first);
            unmake(&second);
        }
        static const char *const others[] = {NULL, "mirror", "crop=3,mirror", "lenet,mirror", "mixup=0.41"};
        for (size_t i = 0; i < ST_COUNT_OF(others); i++) {
            setup other = make(others[i], 1);
            assert_int_equal(strata_trainer_resume(other.trainer, path, &err), STRATA_INVALID);
            assert_non_null(strstr(err.message, "it belongs to another run"));
            unmake(&other);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix_shares_are_beta_distributed),
        cmocka_unit_test(test_mixup_adds_pictures_by_their_shares),
        cmocka_unit_test(test_cutmix_swaps_a_box_as_large_as_the_share),
        cmocka_unit_test(test_mix_is_drawn_from_seed_and_batch),
        cmocka_unit_test(test_mix_gives_the_recorded_bytes),
        cmocka_unit_test(test_batcher_augments_by_picture),
        cmocka_unit_test(test_batcher_mixes_by_batch),
        cmocka_unit_test(test_augmenter_shows_what_training_sees),
        cmocka_unit_test(test_augmenter_refuses_options),
        cmocka_unit_test(test_augmented_training_is_the_same_for_any_threads),
        cmocka_unit_test(test_training_on_mixed_pictures_learns),
        cmocka_unit_test(test_augmented_training_resumes_with_the_same_bits),
    };
    return cmocka_run_group_tests_name("augment: batches", tests, make_data, remove_data);
}
