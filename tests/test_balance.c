/* data: the order of an epoch with uneven classes: the same number of places for each, no picture passed over, and what
 * comes twice is changed at random twice. */
#include "data_case.h"

enum { COUNT = 60 };

/* Of 60 pictures class 0 has 40, class 1 has 15, class 2 none, class 3 has 5. A picture is its number in every pixel.
 */
static const int sizes[4] = {40, 15, 0, 5};

static int label_of(size_t index) {
    return index % 12 < 8 ? 0 : index % 12 < 11 ? 1 : 3;
}

static void put_uneven(void) {
    content pictures = {0}, labels = {0};
    put_u32(&pictures, 0x803);
    put_u32(&pictures, COUNT);
    put_u32(&pictures, 4);
    put_u32(&pictures, 4);
    put_u32(&labels, 0x801);
    put_u32(&labels, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        labels.bytes[labels.length++] = (uint8_t)label_of(i);
        for (size_t k = 0; k < 16; k++) {
            pictures.bytes[pictures.length++] = (uint8_t)(i + (k % 4 < 2 ? 0 : 100));
        }
    }
    put_all(&pictures, "train-images-idx3-ubyte");
    put_all(&labels, "train-labels-idx1-ubyte");
}

static void test_balance_gives_every_class_its_places(void **state) {
    (void)state;
    strata_error err = {0};
    st_arena *arena = NULL;
    st_balance *balance = NULL;
    uint32_t order[COUNT], again[COUNT];
    size_t seen[COUNT] = {0};
    put_uneven();
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(st_arena_create(&arena, &err), STRATA_OK);
    assert_int_equal(st_balance_create(&balance, arena, data, &err), STRATA_OK);
    for (uint64_t epoch = 0; epoch < 6; epoch++) {
        int places[4] = {0};
        st_balance_order(balance, order, 7, epoch);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(order[i] < COUNT);
            places[label_of(order[i])]++;
            seen[order[i]]++;
        }
        for (int c = 0; c < 4; c++) {
            assert_int_equal(places[c], sizes[c] > 0 ? COUNT / 3 : 0);
        }
        /* The pictures of a class take turns: none is a pass ahead of another. */
        for (int c = 0; c < 4; c++) {
            size_t least = SIZE_MAX, most = 0;
            for (size_t i = 0; i < COUNT; i++) {
                if (label_of(i) == c) {
                    least = seen[i] < least ? seen[i] : least;
                    most = seen[i] > most ? seen[i] : most;
                }
            }
            assert_true(sizes[c] == 0 || most - least <= 1);
        }
    }
    /* A function of seed and epoch alone. */
    st_balance_order(balance, order, 7, 2);
    st_balance_order(balance, again, 7, 5);
    assert_memory_not_equal(order, again, sizeof order);
    st_balance_order(balance, again, 8, 2);
    assert_memory_not_equal(order, again, sizeof order);
    st_balance_order(balance, again, 7, 2);
    assert_memory_equal(order, again, sizeof order);
    st_arena_free(arena);
    strata_dataset_free(data);
}

static void test_what_comes_twice_is_drawn_twice(void **state) {
    (void)state;
    strata_error err = {0};
    st_batcher *batcher = NULL, *plain = NULL;
    st_augmentation augmentation = {.seed = 3, .epoch = 4};
    st_batch batch, once;
    uint32_t order[COUNT], first[1] = {5};
    size_t mirrored = 0;
    put_uneven();
    strata_dataset *data = open_folder(NULL);
    assert_int_equal(st_augment_parse(&augmentation.augment, "mirror", &err), STRATA_OK);
    assert_int_equal(create_batcher(&batcher, data, STRATA_TRAIN, COUNT, &err), STRATA_OK);
    assert_int_equal(create_batcher(&plain, data, STRATA_TRAIN, COUNT, &err), STRATA_OK);
    for (size_t i = 0; i < COUNT; i++) {
        order[i] = 5;
    }
    st_batcher_augment(batcher, &augmentation);
    st_batcher_augment(plain, &augmentation);
    assert_int_equal(st_batcher_start(batcher, order, COUNT, 0, &err), STRATA_OK);
    assert_int_equal(st_batcher_next(batcher, &batch, &err), STRATA_OK);
    for (size_t i = 0; i < COUNT; i++) {
        mirrored += batch.pixels[16 * i] == 105;
    }
    assert_in_range(mirrored, 15, 45);
    /* The first time is that of an order in which it stands once. */
    assert_int_equal(st_batcher_start(plain, first, 1, 0, &err), STRATA_OK);
    assert_int_equal(st_batcher_next(plain, &once, &err), STRATA_OK);
    assert_memory_equal(once.pixels, batch.pixels, 16);
    /* Who begins in the middle goes on with the same. */
    assert_int_equal(st_batcher_start(plain, order, COUNT, 20, &err), STRATA_OK);
    assert_int_equal(st_batcher_next(plain, &once, &err), STRATA_OK);
    assert_int_equal(once.n, COUNT - 20);
    assert_memory_equal(once.pixels, batch.pixels + 16 * 20, 16 * (COUNT - 20));
    st_batcher_free(plain);
    st_batcher_free(batcher);
    strata_dataset_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_balance_gives_every_class_its_places, empty_folder),
        cmocka_unit_test_teardown(test_what_comes_twice_is_drawn_twice, empty_folder),
    };
    return cmocka_run_group_tests_name("data: balance", tests, make_folder, remove_folder);
}
