/* Changes of colours, the axes along which the colours of data vary, and RandAugment. */
#include "augment_case.h"

/* ---- colours ---- */

static void test_colour_factors_are_pillow_s(void **state) {
    (void)state;
    strata_picture picture = picture_drawn(9, 11, 3), one = picture_drawn(9, 11, 3);
    size_t bytes = picture_bytes(&picture);
    st_colour_brightness(&one, 0.5);
    for (size_t i = 0; i < bytes; i++) {
        assert_true(fabs(one.pixels[i] - picture.pixels[i] * 0.5) <= 0.5);
    }
    st_colour_brightness(&one, 0);
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(one.pixels[i], 0);
    }
    memcpy(one.pixels, picture.pixels, bytes);
    st_colour_contrast(&one, 0);
    double sum = 0;
    for (size_t i = 0; i < bytes; i += 3) {
        sum += 0.299 * picture.pixels[i] + 0.587 * picture.pixels[i + 1] + 0.114 * picture.pixels[i + 2];
    }
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(one.pixels[i], one.pixels[0]);
    }
    assert_true(fabs(sum / (9 * 11) - one.pixels[0]) <= 1);
    memcpy(one.pixels, picture.pixels, bytes);
    st_colour_saturation(&one, 0);
    for (size_t i = 0; i < bytes; i += 3) {
        const uint8_t *p = picture.pixels + i;
        assert_true(one.pixels[i] == one.pixels[i + 1] && one.pixels[i] == one.pixels[i + 2]);
        assert_true(fabs(0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2] - one.pixels[i]) <= 1);
    }
    st_colour_saturation(&one, 7); /* grey stays grey */
    assert_true(one.pixels[0] == one.pixels[1] && one.pixels[0] == one.pixels[2]);
    st_colour_brightness(&one, 255);
    assert_int_equal(one.pixels[0], 255);
    strata_picture_free(&picture);
    strata_picture_free(&one);
}

static void test_colour_hue_goes_round_the_circle(void **state) {
    (void)state;
    static const uint8_t wheel[6][3] = {{200, 50, 50},  {200, 200, 50}, {50, 200, 50},
                                        {50, 200, 200}, {50, 50, 200},  {200, 50, 200}};
    strata_picture one = picture_make(1, 1, 3);
    for (int from = 0; from < 6; from++) {
        for (int steps = -3; steps <= 3; steps++) {
            memcpy(one.pixels, wheel[from], 3);
            st_colour_hue(&one, steps / 6.0);
            assert_memory_equal(one.pixels, wheel[(from + steps + 6) % 6], 3);
        }
    }
    strata_picture many = picture_make(64, 512, 3), turned = picture_make(64, 512, 3);
    for (size_t i = 0; i < 64 * 512; i++) { /* 32 of each channel */
        uint8_t colour[] = {(uint8_t)(i % 32 * 255 / 31), (uint8_t)(i / 32 % 32 * 255 / 31),
                            (uint8_t)(i / 1024 * 255 / 31)};
        memcpy(many.pixels + 3 * i, colour, 3);
    }
    memcpy(turned.pixels, many.pixels, picture_bytes(&many));
    st_colour_hue(&turned, 0);
    assert_memory_equal(turned.pixels, many.pixels, picture_bytes(&many));
    st_colour_hue(&turned, 0.13);
    for (size_t i = 0; i < 3 * 64 * 512; i += 3) { /* value and chroma stay */
        const uint8_t *a = many.pixels + i, *b = turned.pixels + i;
        int most[2] = {0, 0}, least[2] = {255, 255};
        for (int c = 0; c < 3; c++) {
            most[0] = a[c] > most[0] ? a[c] : most[0];
            most[1] = b[c] > most[1] ? b[c] : most[1];
            least[0] = a[c] < least[0] ? a[c] : least[0];
            least[1] = b[c] < least[1] ? b[c] : least[1];
        }
        assert_true(most[0] == most[1] && least[0] == least[1]);
    }
    st_colour_hue(&turned, -0.13);
    for (size_t i = 0; i < picture_bytes(&many); i++) {
        assert_true(abs(many.pixels[i] - turned.pixels[i]) <= 1);
    }
    strata_picture_free(&one);
    strata_picture_free(&many);
    strata_picture_free(&turned);
}

/* brightness=0.4 on a grey pixel of 100 gives 60 to 140, evenly. */
static void test_colour_draws_are_even_within_their_bounds(void **state) {
    (void)state;
    strata_picture stage = picture_make(1, 2, 3);
    st_geometry geometry = geometry_same(&stage);
    static const char *const words[] = {"brightness=0.4", "contrast=0.4", "saturation=0.4"};
    for (size_t w = 0; w < ST_COUNT_OF(words); w++) {
        st_augmentation with = augmentation_of(words[w], 4, 2);
        st_augment_room room = {0};
        spread found = {0};
        static const uint8_t pixels[][6] = {
            {100, 100, 100, 100, 100, 100}, {0, 0, 0, 200, 200, 200}, {150, 109, 0, 0, 0, 0}};
        memcpy(stage.pixels, pixels[w], 6);
        for (size_t i = 0; i < 1000; i++) {
            uint8_t out[6];
            augmented(out, &with, i, &stage, &geometry, &room);
            double byte = w == 0 ? out[0] - 100.0 : w == 1 ? out[3] - 200.0 : (out[0] - 150.0) * 100 / 41.0;
            spread_add(&found, byte);
        }
        spread_is_even(&found, 40, 2);
        st_augment_room_free(&room);
    }
    strata_picture_free(&stage);
}

/* ---- the axes of colours ---- */

static void test_colour_axes_are_eigenvectors(void **state) {
    (void)state;
    for (uint64_t t = 0; t < 200; t++) {
        size_t channels = 1 + t % 4, count = 3 + t;
        uint8_t pixels[300 * 4];
        double mean[4] = {0}, covariance[4][4] = {{0}}, axes[4][4];
        st_colour_sums sums = {0};
        for (size_t i = 0; i < count * channels; i++) { /* channels that go together, more or less */
            uint64_t bits = st_rng_bits(61, t, i), shared = st_rng_bits(62, t, i / channels);
            pixels[i] = (uint8_t)((bits % 100 * (t % 5) + shared % 100 * 2) / 6 + 10 * (i % channels));
        }
        st_colour_sums_add(&sums, pixels, count / 2, channels);
        st_colour_sums_add(&sums, pixels + count / 2 * channels, count - count / 2, channels);
        st_colour_axes(axes, &sums, channels);
        for (size_t i = 0; i < count * channels; i++) {
            mean[i % channels] += pixels[i] / 255.0 / (double)count;
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t a = 0; a < channels; a++) {
                for (size_t b = 0; b < channels; b++) {
                    covariance[a][b] += (pixels[i * channels + a] / 255.0 - mean[a]) *
                                        (pixels[i * channels + b] / 255.0 - mean[b]) / (double)count;
                }
            }
        }
        double trace = 0, lengths = 0;
        for (size_t k = 0; k < channels; k++) { /* C a = |a| a, in bytes 255 times as long */
            double length = 0;
            for (size_t c = 0; c < 4; c++) {
                length += axes[k][c] * axes[k][c];
                assert_true(c < channels || axes[k][c] == 0);
            }
            length = sqrt(length) / 255;
            for (size_t a = 0; a < channels; a++) {
                double product = 0;
                for (size_t b = 0; b < channels; b++) {
                    product += covariance[a][b] * axes[k][b];
                }
                assert_true(fabs(product - length * axes[k][a]) < 1e-10);
            }
            for (size_t other = 0; other < k; other++) {
                double inner = 0;
                for (size_t c = 0; c < channels; c++) {
                    inner += axes[k][c] * axes[other][c];
                }
                assert_true(fabs(inner) < 1e-9);
            }
            trace += covariance[k][k];
            lengths += length;
        }
        assert_true(fabs(trace - lengths) < 1e-10);
    }
}

static void test_pca_moves_all_pixels_alike(void **state) {
    (void)state;
    enum { TRIES = 2000 };
    strata_picture stage = picture_make(4, 5, 3);
    st_geometry geometry = geometry_same(&stage);
    st_augmentation with = augmentation_of("pca=0.5", 4, 2);
    st_augment_room room = {0};
    double sums[3] = {0}, products[3][3] = {{0}};
    for (size_t i = 0; i < picture_bytes(&stage); i++) {
        stage.pixels[i] = (uint8_t)(100 + drawn(i) / 4);
    }
    for (size_t i = 0; i < TRIES; i++) {
        uint8_t out[60];
        int moved[3];
        augmented(out, &with, i, &stage, &geometry, &room);
        for (size_t k = 0; k < 60; k++) {
            if (k < 3) {
                moved[k] = out[k] - stage.pixels[k];
            }
            assert_int_equal(out[k] - stage.pixels[k], moved[k % 3]);
        }
        for (int a = 0; a < 3; a++) {
            sums[a] += moved[a];
            for (int b = 0; b < 3; b++) {
                products[a][b] += moved[a] * moved[b];
            }
        }
    }
    for (int a = 0; a < 3; a++) { /* 0.25 times the sum of the axes' outer products, and rounding */
        assert_true(fabs(sums[a] / TRIES) < 3 * 16 / sqrt(TRIES));
        for (int b = 0; b < 3; b++) {
            double expected = 0;
            for (int k = 0; k < 4; k++) {
                expected += 0.25 * with.axes[k][a] * with.axes[k][b];
            }
            assert_true(fabs(products[a][b] / TRIES - expected) < 0.15 * fabs(expected) + 1);
        }
    }
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

/* ---- RandAugment ---- */

static void test_randaugment_of_no_magnitude_changes_tones_alone(void **state) {
    (void)state;
    strata_picture stage = picture_scene(24, 24, 3);
    st_geometry geometry = geometry_same(&stage);
    st_augmentation with = augmentation_of("randaugment=1:0", 4, 2);
    st_augment_room room = {0};
    size_t same = 0;
    for (size_t i = 0; i < 1400; i++) { /* 12 of 14: all but equalize and autocontrast, which have no magnitude */
        uint8_t out[24 * 24 * 3];
        augmented(out, &with, i, &stage, &geometry, &room);
        same += memcmp(out, stage.pixels, sizeof out) == 0;
    }
    assert_in_range(same, 1150, 1250);
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

static void test_randaugment_changes_more_with_more_magnitude(void **state) {
    (void)state;
    static const char *const words[] = {"randaugment=1:2", "randaugment=1:5", "randaugment=1:10", "randaugment=2:10"};
    strata_picture stage = picture_scene(24, 24, 3);
    st_geometry geometry = geometry_same(&stage);
    double before = 0;
    for (size_t w = 0; w < ST_COUNT_OF(words); w++) {
        st_augmentation with = augmentation_of(words[w], 4, 2);
        st_augment_room room = {0};
        double apart = 0;
        for (size_t i = 0; i < 500; i++) {
            uint8_t out[24 * 24 * 3];
            augmented(out, &with, i, &stage, &geometry, &room);
            for (size_t k = 0; k < sizeof out; k++) {
                apart += abs(out[k] - stage.pixels[k]);
            }
        }
        assert_true(apart > 1.2 * before);
        before = apart;
        st_augment_room_free(&room);
    }
    strata_picture_free(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_colour_factors_are_pillow_s),
        cmocka_unit_test(test_colour_hue_goes_round_the_circle),
        cmocka_unit_test(test_colour_draws_are_even_within_their_bounds),
        cmocka_unit_test(test_colour_axes_are_eigenvectors),
        cmocka_unit_test(test_pca_moves_all_pixels_alike),
        cmocka_unit_test(test_randaugment_of_no_magnitude_changes_tones_alone),
        cmocka_unit_test(test_randaugment_changes_more_with_more_magnitude),
    };
    return cmocka_run_group_tests_name("augment: colours", tests, NULL, NULL);
}
