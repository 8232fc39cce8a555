/* Affine and elastic distortion of pictures: exact where it can be, against plain doubles elsewhere, and how the draws
 * are spread, measured on a spot that moves. */
#include "augment_case.h"

/* ---- affine words ---- */

static void warped(uint8_t *out, const strata_picture *stage, const st_affine *affine) {
    st_augmentation with = augmentation_of("none", 0, 0);
    st_augment_room room = {0};
    assert_int_equal(st_picture_room(&room.whole, stage->shape, NULL), STRATA_OK);
    memcpy(room.whole.pixels, stage->pixels, picture_bytes(stage));
    st_canvas canvas = {.now = &room.whole, .next = &room.scratch, .room = &room, .with = &with};
    assert_int_equal(st_warp(&canvas, affine, NULL, NULL), STRATA_OK);
    memcpy(out, canvas.now->pixels, picture_bytes(stage));
    st_augment_room_free(&room);
}

static void test_affine_moves_whole_pixels_exactly(void **state) {
    (void)state;
    for (int64_t channels = 1; channels <= 4; channels++) {
        strata_picture stage = picture_drawn(HEIGHT, WIDTH, channels);
        for (int down = -HEIGHT; down <= HEIGHT; down++) {
            for (int right = -WIDTH; right <= WIDTH; right++) {
                uint8_t out[MOST];
                st_affine affine = st_affine_moved(st_affine_none(), right, down);
                warped(out, &stage, &affine);
                assert_true(is_moved(out, &stage, -down, -right, false));
            }
        }
        strata_picture_free(&stage);
    }
}

static void test_affine_quarter_turns_exactly(void **state) {
    (void)state;
    enum { SIDE = 15 };
    strata_picture stage = picture_drawn(SIDE, SIDE, 3);
    uint8_t out[SIDE * SIDE * 3];
    for (int turns = -2; turns <= 2; turns++) {
        st_affine affine = st_affine_turned(st_affine_none(), 90.0 * turns);
        warped(out, &stage, &affine);
        for (int i = 0; i < SIDE * SIDE; i++) {
            int x = i % SIDE - SIDE / 2, y = i / SIDE - SIDE / 2, cosine = turns % 2 == 0 ? (turns == 0 ? 1 : -1) : 0;
            int sine = turns % 2 == 0 ? 0 : turns; /* downwards is positive: to the right by turns */
            int from_x = cosine * x + sine * y + SIDE / 2, from_y = -sine * x + cosine * y + SIDE / 2;
            assert_memory_equal(out + 3 * i, stage.pixels + 3 * (from_y * SIDE + from_x), 3);
        }
    }
    strata_picture_free(&stage);
}

/* The words of a group, one map after the other on points, sampled once: against plain doubles. */
static void test_affine_words_side_by_side_are_one_resampling(void **state) {
    (void)state;
    enum { SIDE = 31 };
    strata_picture stage = picture_scene(SIDE, SIDE, 1);
    st_geometry geometry = geometry_same(&stage);
    st_augmentation with = augmentation_of("translate=0.2,rotate=50,scale=0.5,shear=20", 8, 2);
    st_augment_room room = {0};
    for (size_t index = 0; index < 30; index++) {
        uint8_t out[SIDE * SIDE];
        st_draws move = st_draws_of(&with, index, 0), turn = st_draws_of(&with, index, 1);
        st_draws size = st_draws_of(&with, index, 2), lean = st_draws_of(&with, index, 3);
        double right = st_draw_between(&move, 0, -0.2, 0.2) * SIDE, down = st_draw_between(&move, 1, -0.2, 0.2) * SIDE;
        double angle = st_draw_between(&turn, 0, -50, 50) / 180 * M_PI;
        double factor = pow(1.5, st_draw_between(&size, 0, -1, 1));
        double slope = tan(st_draw_between(&lean, 0, -20, 20) / 180 * M_PI);
        augmented(out, &with, index, &stage, &geometry, &room);
        for (int i = 0; i < SIDE * SIDE; i++) {
            double x = i % SIDE - SIDE / 2, y = i / SIDE - SIDE / 2; /* backwards: the last word first */
            x -= slope * y;
            x /= factor;
            y /= factor;
            double turned_x = cos(angle) * x + sin(angle) * y, turned_y = -sin(angle) * x + cos(angle) * y;
            x = turned_x - right + SIDE / 2;
            y = turned_y - down + SIDE / 2;
            double sum = 0;
            for (int k = 0; k < 4; k++) {
                int left = (int)floor(x) + k % 2, top = (int)floor(y) + k / 2;
                bool inside = left >= 0 && left < SIDE && top >= 0 && top < SIDE;
                double weight = (1 - fabs(x - left)) * (1 - fabs(y - top));
                sum += weight * (inside ? stage.pixels[top * SIDE + left] : case_fill[0]);
            }
            assert_true(fabs(sum - out[i]) < 0.5 + 0.2); /* a place has 11 digits: 1/4096 pixel of a step of 250 */
        }
    }
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

/* Where a white disk on black ends up. */
typedef struct spot {
    double x, y;
} spot;

enum { FIELD = 121, MIDDLE = FIELD / 2, ARM = 30 };

static spot spot_after(const char *words, size_t index, spot begin) {
    strata_picture stage = picture_make(FIELD, FIELD, 1);
    st_geometry geometry = geometry_same(&stage);
    st_augmentation with = augmentation_of(words, 4, 2);
    st_augment_room room = {0};
    static uint8_t out[FIELD * FIELD];
    double sum = 0;
    spot found = {0, 0};
    memset(with.fill, 0, sizeof with.fill);
    for (int i = 0; i < FIELD * FIELD; i++) {
        double dx = i % FIELD - MIDDLE - begin.x, dy = i / FIELD - MIDDLE - begin.y;
        stage.pixels[i] = dx * dx + dy * dy < 26 ? 255 : 0;
    }
    augmented(out, &with, index, &stage, &geometry, &room);
    for (int i = 0; i < FIELD * FIELD; i++) {
        sum += out[i];
        found.x += out[i] * (double)(i % FIELD - MIDDLE);
        found.y += out[i] * (double)(i / FIELD - MIDDLE);
    }
    assert_true(sum > 0);
    st_augment_room_free(&room);
    strata_picture_free(&stage);
    return (spot){found.x / sum, found.y / sum};
}

static void test_affine_draws_are_even_within_their_bounds(void **state) {
    (void)state;
    spread angle = {0}, slope = {0}, right = {0}, down = {0}, size = {0};
    for (size_t i = 0; i < 300; i++) {
        spot turned = spot_after("rotate=25", i, (spot){ARM, 0}), leaned = spot_after("shear=30", i, (spot){0, ARM});
        spot moved = spot_after("translate=0.2", i, (spot){0, 0}), scaled = spot_after("scale=0.5", i, (spot){ARM, 0});
        spread_add(&angle, atan2(turned.y, turned.x) / M_PI * 180);
        spread_add(&slope, atan2(leaned.x, leaned.y) / M_PI * 180);
        spread_add(&right, moved.x / FIELD);
        spread_add(&down, moved.y / FIELD);
        spread_add(&size, log(scaled.x / ARM) / log(1.5));
        assert_true(fabs(leaned.y - ARM) < 0.1 && fabs(scaled.y) < 0.1);
        assert_true(fabs(hypot(turned.x, turned.y) - ARM) < 0.1);
    }
    spread_is_even(&angle, 25, 0.2);
    spread_is_even(&slope, 30, 0.2);
    spread_is_even(&right, 0.2, 0.001);
    spread_is_even(&down, 0.2, 0.001);
    spread_is_even(&size, 1, 0.01);
}

static void test_affine_turns_show_the_fill_in_the_corners(void **state) {
    (void)state;
    strata_picture stage = picture_drawn(31, 31, 3);
    uint8_t out[31 * 31 * 3];
    st_affine affine = st_affine_turned(st_affine_none(), 45);
    warped(out, &stage, &affine);
    static const size_t corners[] = {0, 30, 30 * 31, 30 * 31 + 30};
    for (size_t i = 0; i < ST_COUNT_OF(corners); i++) {
        assert_memory_equal(out + 3 * corners[i], case_fill, 3);
    }
    assert_memory_equal(out + 3 * (15 * 31 + 15), stage.pixels + 3 * (15 * 31 + 15), 3);
    strata_picture_free(&stage);
}

/* ---- elastic ---- */

typedef struct sway {
    double square, step; /* mean squares of a displacement and of the change from one pixel to the next */
} sway;

static sway sway_of(int64_t side, double alpha, int pictures) {
    strata_picture stage = picture_make(side, side, 1);
    st_augmentation with = augmentation_of("elastic", 8, 2);
    st_augment_room room = {.whole = stage};
    st_canvas canvas = {.now = &room.whole, .next = &room.scratch, .room = &room, .with = &with};
    sway out = {0, 0};
    for (int i = 0; i < pictures; i++) {
        st_draws draws = st_draws_of(&with, (size_t)i, 0);
        st_field field;
        assert_int_equal(st_elastic_draw(&field, &canvas, alpha, &draws, NULL), STRATA_OK);
        assert_true((double)(field.columns - 1) * field.cell >= (double)(side - 1));
        for (int64_t k = 0; k < field.rows * field.columns; k++) {
            out.square += field.right[k] * field.right[k] / (double)(field.rows * field.columns * pictures);
            if (k % field.columns > 0) { /* linear between points, a cell apart */
                double step = (field.right[k] - field.right[k - 1]) / field.cell;
                out.step += step * step / (double)(field.rows * (field.columns - 1) * pictures);
            }
        }
    }
    st_augment_room_free(&room);
    return out;
}

/* Noise of variance 1/3 behind a Gaussian of s pixels has the variance 1 / (3 * 4 pi s^2), and the slope of what is
 * left 1 / (2 s^2) of that. */
static void test_elastic_is_as_wide_and_as_smooth_as_the_paper_says(void **state) {
    (void)state;
    static const int64_t sides[] = {28, 56, 224};
    for (size_t i = 0; i < ST_COUNT_OF(sides); i++) {
        double larger = (double)sides[i] / 28, sigma = 4 * larger, alpha = 34;
        double variance = alpha * alpha * larger * larger / (12 * M_PI * 16);
        sway found = sway_of(sides[i], alpha, 200);
        assert_true(fabs(found.square / variance - 1) < 0.15);
        assert_true(fabs(found.step / (variance / (2 * sigma * sigma)) - 1) < 0.2);
    }
}

static void test_elastic_moves_both_ways_and_not_on_the_whole(void **state) {
    (void)state;
    spread right = {0}, down = {0};
    for (size_t i = 0; i < 400; i++) {
        spot moved = spot_after("elastic", i, (spot){0, 0});
        spread_add(&right, moved.x);
        spread_add(&down, moved.y);
    }
    double deviation = 34.0 / sqrt(12 * M_PI * 16) * FIELD / 28;
    assert_true(fabs(right.sum / 400) < 3 * deviation / 20 && fabs(down.sum / 400) < 3 * deviation / 20);
    assert_true(right.most > deviation && right.least < -deviation && down.most > deviation && down.least < -deviation);
    assert_true(right.most < 5 * deviation && down.most < 5 * deviation);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_affine_moves_whole_pixels_exactly),
        cmocka_unit_test(test_affine_quarter_turns_exactly),
        cmocka_unit_test(test_affine_words_side_by_side_are_one_resampling),
        cmocka_unit_test(test_affine_draws_are_even_within_their_bounds),
        cmocka_unit_test(test_affine_turns_show_the_fill_in_the_corners),
        cmocka_unit_test(test_elastic_is_as_wide_and_as_smooth_as_the_paper_says),
        cmocka_unit_test(test_elastic_moves_both_ways_and_not_on_the_whole),
    };
    return cmocka_run_group_tests_name("augment: warping", tests, NULL, NULL);
}
