/* Augmentation: words, presets, and what each word does to a picture: against a naive one, by what never changes, by
 * how its draws are spread, and byte for byte as it was once recorded. */
#include <pthread.h>

#include "augment_case.h"

/* ---- words ---- */

static void test_augment_resolves_presets_and_defaults(void **state) {
    (void)state;
    static const struct {
        const char *text, *resolved;
        int count;
    } cases[] = {
        {"cifar", "crop=4,mirror", 2},
        {"mirror", "mirror", 1},
        {"mirror,crop=12", "mirror,crop=12", 2},
        {"crop=04,mirror", "crop=4,mirror", 2},
        {"cifar,mirror", "crop=4,mirror,mirror", 3},
        {NULL, "", 0},
        {"", "", 0},
        {"none", "", 0},
        {"crop=0", "crop=0", 1},
        {"rotate=15", "rotate=15", 1},
        {"rotate=15.0", "rotate=15", 1},
        {"rotate=0015.50000", "rotate=15.5", 1},
        {"rotate=0", "rotate=0", 1},
        {"rotate=180", "rotate=180", 1},
        {"rotate=100", "rotate=100", 1},
        {"scale=0.123456", "scale=0.123456", 1},
        {"scale=0.12345600000", "scale=0.123456", 1},
        {"elastic", "elastic=34", 1},
        {"elastic=20.25", "elastic=20.25", 1},
        {"resized-crop,pca", "resized-crop=0.08,pca=0.1", 2},
        {"resized-crop=0.25", "resized-crop=0.25", 1},
        {"randaugment=2:9", "randaugment=2:9", 1},
        {"randaugment=1.0:9.5", "randaugment=1:9.5", 1},
        {"mixup=0.2,cutmix=1", "mixup=0.2,cutmix=1", 2},
        {"imagenet", "resized-crop=0.08,mirror,pca=0.1", 3},
        {"lenet", "rotate=8,shear=6,scale=0.1,translate=0.07,elastic=20", 5},
        {"lenet,erase,cutout=8,hue=0.1,saturation=0.5,contrast=0.5,brightness=1",
         "rotate=8,shear=6,scale=0.1,translate=0.07,elastic=20,erase,cutout=8,hue=0.1,saturation=0.5,contrast=0.5,"
         "brightness=1",
         11},
    };
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        st_augment found = parsed(cases[i].text);
        assert_string_equal(found.text, cases[i].resolved);
        assert_int_equal(found.count, cases[i].count);
        assert_string_equal(parsed(found.text).text, found.text); /* it says all */
    }
}

static const char *const longest = "randaugment=8:12.345678";

static void test_augment_text_has_room_for_the_most_steps(void **state) {
    (void)state;
    char text[ST_AUGMENT_MOST_STEPS * 32] = "";
    for (int i = 0; i < ST_AUGMENT_MOST_STEPS; i++) {
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 0 ? "," : "", longest);
    }
    assert_true(strlen(text) < ST_AUGMENT_TEXT_BYTES);
    assert_string_equal(parsed(text).text, text);
}

#define LIST                                                                                                           \
    "mirror, crop=N, resized-crop[=AREA], rotate=DEGREES, shear=DEGREES, scale=SHARE, translate=SHARE, "               \
    "elastic[=ALPHA], brightness=S, contrast=S, saturation=S, hue=S, pca[=SIGMA], cutout=N, erase, randaugment=N:M, "  \
    "mixup=ALPHA, cutmix=ALPHA, lenet, cifar, imagenet"

static void refused(const char *text, const char *message, const char *hint) {
    st_augment out;
    strata_error err = {0};
    assert_int_equal(st_augment_parse(&out, text, &err), STRATA_INVALID);
    assert_string_equal(err.message, message);
    assert_string_equal(err.hint, hint);
}

static void test_augment_refuses_what_it_does_not_know(void **state) {
    (void)state;
    refused("mirrr", "there is no augmentation named 'mirrr', expected " LIST, "did you mean 'mirror'?");
    refused("crop=4,,mirror", "there is no augmentation named '', expected " LIST, "");
    refused("cifar=4", "there is no augmentation named 'cifar', expected " LIST, "did you mean 'cifar'?");
    refused("mirror=1", "augmentation 'mirror' takes no number, found '1'", "");
    refused("mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,mirror,"
            "mirror,mirror",
            "at most 16 augmentations follow each other", "");
    char far[200];
    memset(far, 'x', sizeof far);
    far[sizeof far - 1] = '\0';
    refused(far, "no augmentation has a name of 199 bytes", "");
}

static void test_augment_refuses_numbers_out_of_range(void **state) {
    (void)state;
    static const char *const crop = "augmentation 'crop' needs a whole number from 0 to 16384, as in crop=4";
    static const char *const crops[] = {"crop",    "crop=",      "crop=-1",  "crop=4x",
                                        "crop=x",  "crop=16385", "crop=4.5", "crop=99999999999999999999",
                                        "crop=+4", "crop= 4",    "crop=4:5", "crop=4294967297"};
    for (size_t i = 0; i < ST_COUNT_OF(crops); i++) {
        refused(crops[i], crop, "");
    }
    static const char *const rotate = "augmentation 'rotate' needs a number from 0 to 180, as in rotate=15";
    static const char *const rotates[] = {"rotate",      "rotate=181", "rotate=180.000001", "rotate=1e1",
                                          "rotate=.5",   "rotate=1.",  "rotate=1.2345678",  "rotate=nan",
                                          "rotate=-0.1", "rotate=1,5", "rotate=0x10"};
    for (size_t i = 0; i < ST_COUNT_OF(rotates); i++) {
        if (strchr(rotates[i], ',') == NULL) {
            refused(rotates[i], rotate, "");
        }
    }
    refused("elastic=201", "augmentation 'elastic' takes a number from 0 to 200, as in elastic=34", "");
    refused("resized-crop=0", "augmentation 'resized-crop' takes a number from 0.01 to 1, as in resized-crop=0.08", "");
    refused("hue=0.6", "augmentation 'hue' needs a number from 0 to 0.5, as in hue=0.1", "");
    refused("mixup=0", "augmentation 'mixup' needs a number from 0.01 to 100, as in mixup=0.2", "");
    static const char *const many = "augmentation 'randaugment' needs a whole number from 1 to 8, a colon and a number "
                                    "from 0 to 30, as in randaugment=2:9";
    static const char *const manies[] = {
        "randaugment",      "randaugment=2",   "randaugment=2:",    "randaugment=0:9",  "randaugment=9:9",
        "randaugment=2:31", "randaugment=2,9", "randaugment=1.5:9", "randaugment=2:9:1"};
    for (size_t i = 0; i < ST_COUNT_OF(manies); i++) {
        refused(manies[i], many, "");
    }
}

static void fits(const char *text, strata_shape shape, const char *message) {
    strata_error err = {0};
    st_augment augment = parsed(text);
    strata_status status = st_augment_fits(&augment, shape, &err);
    assert_int_equal(status, message == NULL ? STRATA_OK : STRATA_INVALID);
    assert_string_equal(err.message, message == NULL ? "" : message);
}

static void test_augment_fits_pictures(void **state) {
    (void)state;
    strata_shape colour = {32, 48, 3}, grey = {28, 28, 1};
    fits("crop=16", colour, NULL);
    fits("mirror,crop=17", colour, "crop=17 would move pictures of 48x32 out of sight, expected at most 16");
    fits("cutout=32", colour, NULL);
    fits("cutout=33", colour, "cutout=33 would take pictures of 48x32 whole, expected at most 32");
    fits("hue=0.1,saturation=0.1", colour, NULL);
    fits("hue=0.1", grey, "augmentation 'hue' needs pictures of 3 channels, found 1");
    fits("mirror,saturation=0.1", grey, "augmentation 'saturation' needs pictures of 3 channels, found 1");
    fits("imagenet,brightness=0.4,contrast=0.4,randaugment=2:9,erase,mixup=1", grey, NULL);
}

/* ---- any word ---- */

static const char *const every[] = {
    "mirror",        "crop=2",          "resized-crop",
    "rotate=40",     "shear=20",        "scale=0.3",
    "translate=0.2", "elastic",         "brightness=1",
    "contrast=1",    "saturation=1",    "hue=0.5",
    "pca",           "cutout=5",        "erase",
    "cifar",         "randaugment=2:9", "randaugment=8:30",
    "lenet",         "imagenet",        "mirror,rotate=10,crop=2,elastic=5,hue=0.1,resized-crop=0.5,cutout=3",
};

static void test_augment_depends_on_seed_epoch_and_picture_alone(void **state) {
    (void)state;
    static const struct {
        uint64_t seed, epoch;
        size_t index;
    } others[] = {{6, 3, 0}, {5, 4, 0}, {5, 3, 100}};
    strata_picture stage = picture_scene(17, 19, 3);
    st_geometry geometry = geometry_same(&stage);
    st_augment_room room = {0}, fresh = {0};
    for (size_t w = 0; w < ST_COUNT_OF(every); w++) {
        for (size_t o = 0; o < ST_COUNT_OF(others); o++) {
            st_augmentation with = augmentation_of(every[w], 5, 3);
            st_augmentation other = augmentation_of(every[w], others[o].seed, others[o].epoch);
            size_t same = 0;
            for (size_t i = 0; i < 40; i++) {
                uint8_t one[17 * 19 * 3], two[17 * 19 * 3], three[17 * 19 * 3];
                augmented(one, &with, i, &stage, &geometry, &room);
                augmented(two, &with, i, &stage, &geometry, &fresh);
                augmented(three, &other, i + others[o].index, &stage, &geometry, &room);
                assert_memory_equal(one, two, sizeof one);
                same += memcmp(one, three, sizeof one) == 0;
                st_augment_room_free(&fresh);
            }
            if (same > (strcmp(every[w], "mirror") == 0 ? 35 : 24)) {
                fail_msg("%s: %zu of 40 pictures are the same with other draws", every[w], same);
            }
        }
    }
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

enum { THREADS = 4, SHARED = 60 };

typedef struct crew {
    const strata_picture *stage;
    const st_augmentation *with;
    uint8_t (*out)[17 * 19 * 3];
    size_t first;
} crew;

static void *work(void *argument) {
    crew *of = argument;
    st_geometry geometry = geometry_same(of->stage);
    st_augment_room room = {0};
    for (size_t i = of->first; i < SHARED; i += THREADS) {
        if (st_augment_picture(of->with, i, of->stage, &geometry, &room, of->out[i], NULL) != STRATA_OK) {
            abort();
        }
    }
    st_augment_room_free(&room);
    return NULL;
}

static void test_augment_is_the_same_in_any_thread(void **state) {
    (void)state;
    static uint8_t out[SHARED][17 * 19 * 3];
    strata_picture stage = picture_scene(17, 19, 3);
    st_geometry geometry = geometry_same(&stage);
    for (size_t w = 0; w < ST_COUNT_OF(every); w++) {
        pthread_t threads[THREADS];
        crew crews[THREADS];
        st_augmentation with = augmentation_of(every[w], 7, 1);
        st_augment_room room = {0};
        for (size_t t = 0; t < THREADS; t++) {
            crews[t] = (crew){&stage, &with, out, t};
            assert_int_equal(pthread_create(&threads[t], NULL, work, &crews[t]), 0);
        }
        for (size_t t = 0; t < THREADS; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
        }
        for (size_t i = 0; i < SHARED; i++) {
            uint8_t expected[17 * 19 * 3];
            augmented(expected, &with, i, &stage, &geometry, &room);
            assert_memory_equal(out[i], expected, sizeof expected);
        }
        st_augment_room_free(&room);
    }
    strata_picture_free(&stage);
}

static void test_augment_with_nothing_to_draw_is_the_identity(void **state) {
    (void)state;
    static const char *const still[] = {
        "crop=0",        "rotate=0",
        "shear=0",       "scale=0",
        "translate=0",   "elastic=0",
        "brightness=0",  "contrast=0",
        "hue=0",         "saturation=0",
        "pca=0",         "none",
        "mixup=1",       "rotate=0,shear=0,scale=0,translate=0,elastic=0",
        "resized-crop=1" /* where the picture is square: only the whole has all of the area */
    };
    for (int64_t channels = 1; channels <= 4; channels++) {
        strata_picture stage = picture_drawn(23, 23, channels);
        st_geometry geometry = geometry_same(&stage);
        st_augment_room room = {0};
        uint8_t out[23 * 23 * 4];
        for (size_t w = 0; w < ST_COUNT_OF(still); w++) {
            st_augmentation with = augmentation_of(still[w], 3, 9);
            for (size_t i = 0; i < 20; i++) {
                augmented(out, &with, i, &stage, &geometry, &room);
                if (memcmp(out, stage.pixels, picture_bytes(&stage)) != 0) {
                    fail_msg("%s changes the picture", still[w]);
                }
            }
        }
        st_augment_room_free(&room);
        strata_picture_free(&stage);
    }
}

/* Of every size down to one pixel, with 1 to 4 channels; a room serves all of them. */
static void test_augment_takes_pictures_of_any_size(void **state) {
    (void)state;
    static const int64_t sides[][2] = {{1, 1}, {1, 9}, {9, 1}, {2, 2}, {3, 50}, {64, 40}, {2, 3}};
    st_augment_room room = {0};
    for (size_t s = 0; s < ST_COUNT_OF(sides); s++) {
        for (int64_t channels = 1; channels <= 4; channels++) {
            strata_picture stage = picture_drawn(sides[s][0], sides[s][1], channels);
            st_geometry geometry = geometry_same(&stage);
            uint8_t *out = malloc(picture_bytes(&stage));
            for (size_t w = 0; w < ST_COUNT_OF(every); w++) {
                st_augmentation with = augmentation_of(every[w], 3, 9);
                for (size_t i = 0; i < 10; i++) {
                    augmented(out, &with, i, &stage, &geometry, &room);
                }
            }
            free(out);
            strata_picture_free(&stage);
        }
    }
    st_augment_room_free(&room);
}

static void test_augment_refuses_pictures_that_do_not_cover(void **state) {
    (void)state;
    strata_picture stage = picture_drawn(20, 20, 3);
    static const strata_shape others[] = {{21, 20, 3}, {20, 21, 3}, {20, 20, 1}};
    uint8_t out[21 * 21 * 3];
    for (size_t i = 0; i < ST_COUNT_OF(others); i++) {
        st_augmentation with = augmentation_of("crop=2", 3, 9);
        st_geometry geometry = {.out = others[i]};
        st_augment_room room = {0};
        strata_error err = {0};
        assert_int_equal(st_augment_picture(&with, 0, &stage, &geometry, &room, out, &err), STRATA_SHAPE);
        assert_non_null(strstr(err.message, "a picture of 20x20x3, expected at least "));
        st_augment_room_free(&room);
    }
    strata_picture_free(&stage);
}

/* ---- crops and the mirror ---- */

static void test_augment_moves_and_mirrors_evenly(void **state) {
    (void)state;
    enum { BORDER = 2, STEPS = 2 * BORDER + 1, TRIES = 5000 };
    for (int64_t channels = 1; channels <= 4; channels++) {
        st_augmentation with = augmentation_of("crop=2,mirror", 5, 3);
        strata_picture stage = picture_drawn(HEIGHT, WIDTH, channels);
        st_geometry geometry = geometry_same(&stage);
        st_augment_room room = {0};
        int counts[STEPS][STEPS][2] = {{{0}}};
        for (size_t i = 0; i < TRIES; i++) {
            uint8_t pixels[MOST];
            int found = 0;
            augmented(pixels, &with, i, &stage, &geometry, &room);
            for (int m = 0; m < 2; m++) {
                for (int down = -BORDER; down <= BORDER; down++) {
                    for (int right = -BORDER; right <= BORDER; right++) {
                        if (is_moved(pixels, &stage, down, right, m == 1)) {
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
        st_augment_room_free(&room);
        strata_picture_free(&stage);
    }
}

static void test_augment_mirrored_twice_is_the_picture(void **state) {
    (void)state;
    for (int64_t width = 1; width <= 9; width++) {
        strata_picture stage = picture_drawn(5, width, 3), twice = picture_drawn(5, width, 3);
        st_crop_mirror(&twice);
        assert_true(width == 1 || memcmp(twice.pixels, stage.pixels, picture_bytes(&stage)) != 0);
        st_crop_mirror(&twice);
        assert_memory_equal(twice.pixels, stage.pixels, picture_bytes(&stage));
        strata_picture_free(&stage);
        strata_picture_free(&twice);
    }
}

static void test_augment_crop_may_be_wider_than_the_picture(void **state) {
    (void)state;
    st_augmentation with = augmentation_of("crop=30", 5, 3);
    strata_picture stage = picture_drawn(HEIGHT, WIDTH, 3);
    st_geometry geometry = geometry_same(&stage);
    st_augment_room room = {0};
    size_t empty = 0;
    for (size_t i = 0; i < 300; i++) {
        uint8_t pixels[MOST];
        int found = 0;
        augmented(pixels, &with, i, &stage, &geometry, &room);
        for (int down = -HEIGHT; down <= HEIGHT && found == 0; down++) {
            for (int right = -WIDTH; right <= WIDTH && found == 0; right++) {
                found = is_moved(pixels, &stage, down, right, false);
            }
        }
        assert_int_equal(found, 1);
        empty += is_moved(pixels, &stage, HEIGHT, 0, false);
    }
    assert_in_range(empty, 200, 299);
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

/* Windows everywhere in a stage picture that is larger than what the net takes; its centre without a word for it. */
static void test_augment_crops_larger_pictures(void **state) {
    (void)state;
    enum { MORE = 3, BORDER = 1 };
    strata_picture stage = picture_drawn(HEIGHT + MORE, WIDTH + MORE + 1, 3);
    st_geometry geometry = {.fit = ST_FIT_CROP, .side = HEIGHT + MORE, .out = {HEIGHT, WIDTH, 3}};
    static const char *const words[] = {"crop=0", "crop=1", "none"};
    for (size_t w = 0; w < ST_COUNT_OF(words); w++) {
        st_augmentation with = augmentation_of(words[w], 5, 3);
        st_augment_room room = {0};
        int border = w == 1 ? BORDER : 0, kinds = 0, counts[MORE + 3][MORE + 4] = {{0}};
        for (size_t i = 0; i < 2000; i++) {
            uint8_t pixels[MOST];
            int found = 0;
            augmented(pixels, &with, i, &stage, &geometry, &room);
            for (int down = -border; down <= MORE + border; down++) {
                for (int right = -border; right <= MORE + 1 + border; right++) {
                    if (is_moved(pixels, &stage, down, right, false)) {
                        kinds += counts[down + border][right + border]++ == 0;
                        found++;
                    }
                }
            }
            assert_int_equal(found, 1);
        }
        assert_int_equal(kinds, w == 0 ? 4 * 5 : w == 1 ? 6 * 7 : 1);
        assert_true(w < 2 || counts[2][2] == 2000); /* half of 3 and of 4, halves to even */
        st_augment_room_free(&room);
    }
    strata_picture_free(&stage);
}

/* A picture whose bytes are its coordinates tells which part was taken. */
static void test_augment_resized_crop_takes_parts_of_the_paper(void **state) {
    (void)state;
    enum { SIDE = 128, OUT = 32, TRIES = 3000 };
    strata_picture stage = picture_make(SIDE, SIDE, 3);
    for (int i = 0; i < SIDE * SIDE; i++) {
        stage.pixels[3 * i] = (uint8_t)(2 * (i % SIDE));
        stage.pixels[3 * i + 1] = (uint8_t)(2 * (i / SIDE));
        stage.pixels[3 * i + 2] = 77;
    }
    st_geometry geometry = {.fit = ST_FIT_CROP, .side = SIDE, .out = {OUT, OUT, 3}};
    st_augmentation with = augmentation_of("resized-crop", 5, 3);
    st_augment_room room = {0};
    double sum = 0, least = 9, most = 0, narrowest = 9, widest = 0;
    for (size_t i = 0; i < TRIES; i++) {
        uint8_t out[OUT * OUT * 3];
        augmented(out, &with, i, &stage, &geometry, &room);
        /* between the centres of the first and the last pixel lie 31/32 of the part */
        const uint8_t *first = out + 3 * (OUT / 2 * OUT), *top = out + 3 * (OUT / 2);
        double wide = (first[3 * (OUT - 1)] - first[0]) / 2.0 * OUT / (OUT - 1);
        double high = (top[3 * (OUT - 1) * OUT + 1] - top[1]) / 2.0 * OUT / (OUT - 1);
        double area = wide * high / SIDE / SIDE, ratio = wide / high;
        assert_int_equal(out[2], 77);
        sum += area;
        least = area < least ? area : least;
        most = area > most ? area : most;
        narrowest = ratio < narrowest ? ratio : narrowest;
        widest = ratio > widest ? ratio : widest;
    }
    assert_true(least > 0.06 && least < 0.12 && most > 0.9 && most < 1.05);
    assert_true(narrowest > 0.69 && narrowest < 0.78 && widest > 1.28 && widest < 1.45);
    assert_true(sum / TRIES > 0.45 && sum / TRIES < 0.55); /* 0.54, less what does not fit with its proportions */
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

/* ---- parts taken away ---- */

typedef struct hole {
    int64_t count, top, bottom, left, right; /* pixels that changed, and where */
} hole;

static hole hole_of(const uint8_t *out, const strata_picture *stage) {
    hole found = {0, INT64_MAX, -1, INT64_MAX, -1};
    int64_t channels = stage->shape.channels;
    for (int64_t i = 0; i < stage->shape.height * stage->shape.width; i++) {
        if (memcmp(out + i * channels, stage->pixels + i * channels, (size_t)channels) != 0) {
            int64_t x = i % stage->shape.width, y = i / stage->shape.width;
            found.count++;
            found.top = y < found.top ? y : found.top;
            found.bottom = y > found.bottom ? y : found.bottom;
            found.left = x < found.left ? x : found.left;
            found.right = x > found.right ? x : found.right;
        }
    }
    return found;
}

static void test_cutout_is_a_square_of_the_fill(void **state) {
    (void)state;
    enum { SIDE = 20, CUT = 6, TRIES = 4000 };
    strata_picture stage = picture_drawn(SIDE, SIDE, 3);
    st_geometry geometry = geometry_same(&stage);
    st_augmentation with = augmentation_of("cutout=6", 4, 2);
    st_augment_room room = {0};
    int whole = 0;
    double sum = 0;
    for (size_t i = 0; i < TRIES; i++) {
        uint8_t out[SIDE * SIDE * 3];
        augmented(out, &with, i, &stage, &geometry, &room);
        hole found = hole_of(out, &stage);
        int64_t high = found.bottom - found.top + 1, wide = found.right - found.left + 1;
        assert_true(found.count == high * wide && high <= CUT && wide <= CUT && high >= CUT / 2 && wide >= CUT / 2);
        assert_true(high == CUT || found.top == 0 || found.bottom == SIDE - 1);
        assert_memory_equal(out + 3 * (found.top * SIDE + found.left), case_fill, 3);
        whole += high == CUT && wide == CUT;
        sum += (double)found.count;
    }
    /* Centres are even: 15 of 20 in each direction keep the square whole; on average 5.55 of 6 remain. */
    assert_true(fabs((double)whole / TRIES - 0.5625) < 0.03 && fabs(sum / TRIES - 5.55 * 5.55) < 0.5);
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

static void test_erase_is_a_rectangle_of_noise_in_half_of_the_pictures(void **state) {
    (void)state;
    enum { SIDE = 40, TRIES = 2000 };
    strata_picture stage = picture_make(SIDE, SIDE, 3);
    memset(stage.pixels, 0, picture_bytes(&stage));
    st_geometry geometry = geometry_same(&stage);
    st_augmentation with = augmentation_of("erase", 4, 2);
    st_augment_room room = {0};
    int erased = 0;
    double noise = 0, bytes = 0, areas = 0;
    for (size_t i = 0; i < TRIES; i++) {
        uint8_t out[SIDE * SIDE * 3];
        augmented(out, &with, i, &stage, &geometry, &room);
        hole found = hole_of(out, &stage);
        if (found.count == 0) {
            continue;
        }
        erased++;
        int64_t high = found.bottom - found.top + 1, wide = found.right - found.left + 1;
        double area = (double)(high * wide) / (SIDE * SIDE), ratio = (double)high / (double)wide;
        assert_true(found.count >= high * wide - 1); /* one in 16 million is black */
        assert_true(area > 0.015 && area < 0.42 && ratio > 0.26 && ratio < 3.9);
        areas += area;
        for (int64_t k = 0; k < high * wide * 3; k++) {
            noise += out[3 * ((found.top + k / 3 / wide) * SIDE + found.left + k / 3 % wide) + k % 3];
            bytes++;
        }
    }
    assert_in_range(erased, 920, 1080);
    assert_true(areas / erased > 0.15 && areas / erased < 0.22); /* 0.21, less what does not fit */
    assert_true(fabs(noise / bytes - 127.5) < 1);
    st_augment_room_free(&room);
    strata_picture_free(&stage);
}

/* ---- the bytes, as recorded ---- */

static void test_augment_gives_the_recorded_bytes(void **state) {
    (void)state;
    static const struct {
        const char *words, *hash;
    } cases[] = {
#include "golden/augment.inc"
    };
    size_t differ = 0;
    for (size_t k = 0; k < ST_COUNT_OF(cases); k++) {
        st_augmentation with = augmentation_of(cases[k].words, 42, 7);
        st_augment_room room = {0};
        st_sha256 sha;
        char found[65];
        st_sha256_begin(&sha);
        for (int64_t channels = 1; channels <= 3; channels += 2) {
            strata_picture stage = picture_scene(30, 37, channels);
            st_geometry geometry = {.fit = ST_FIT_CROP, .side = 30, .out = {26, 28, channels}};
            for (size_t i = 0; i < 50; i++) {
                uint8_t out[26 * 28 * 3];
                augmented(out, &with, i, &stage, &geometry, &room);
                st_sha256_add(&sha, out, st_geometry_bytes(&geometry));
            }
            strata_picture_free(&stage);
        }
        st_sha256_end(&sha, found);
        if (strcmp(found, cases[k].hash) != 0) {
            print_message("    {\"%s\", \"%s\"},\n", cases[k].words, found);
            differ++;
        }
        st_augment_room_free(&room);
    }
    assert_int_equal(differ, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_augment_resolves_presets_and_defaults),
        cmocka_unit_test(test_augment_text_has_room_for_the_most_steps),
        cmocka_unit_test(test_augment_refuses_what_it_does_not_know),
        cmocka_unit_test(test_augment_refuses_numbers_out_of_range),
        cmocka_unit_test(test_augment_fits_pictures),
        cmocka_unit_test(test_augment_depends_on_seed_epoch_and_picture_alone),
        cmocka_unit_test(test_augment_is_the_same_in_any_thread),
        cmocka_unit_test(test_augment_with_nothing_to_draw_is_the_identity),
        cmocka_unit_test(test_augment_takes_pictures_of_any_size),
        cmocka_unit_test(test_augment_refuses_pictures_that_do_not_cover),
        cmocka_unit_test(test_augment_moves_and_mirrors_evenly),
        cmocka_unit_test(test_augment_mirrored_twice_is_the_picture),
        cmocka_unit_test(test_augment_crop_may_be_wider_than_the_picture),
        cmocka_unit_test(test_augment_crops_larger_pictures),
        cmocka_unit_test(test_augment_resized_crop_takes_parts_of_the_paper),
        cmocka_unit_test(test_cutout_is_a_square_of_the_fill),
        cmocka_unit_test(test_erase_is_a_rectangle_of_noise_in_half_of_the_pictures),
        cmocka_unit_test(test_augment_gives_the_recorded_bytes),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
