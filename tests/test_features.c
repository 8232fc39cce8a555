/* Features of a fixed part of a net that are computed once and kept: they give the bits of those that are computed
 * anew, whatever became of their files. */
#include <fcntl.h>

#include "finetune_case.h"

static size_t count_tables(void) {
    DIR *list = opendir(cache);
    size_t count = 0;
    for (struct dirent *e = list != NULL ? readdir(list) : NULL; e != NULL; e = readdir(list)) {
        count += e->d_name[0] != '.';
    }
    if (list != NULL) {
        closedir(list);
    }
    return count;
}

static void test_features_kept_give_the_bits_of_those_computed(void **state) {
    (void)state;
    static const char *const augments[] = {NULL, "crop=2,mirror"};
    for (size_t i = 0; i < ST_COUNT_OF(NETS) * ST_COUNT_OF(augments); i++) {
        char expected[65], found[65];
        how as = {.text = NETS[i / 2], .train = "head", .optimizer = "sgd", .augment = augments[i % 2], .variants = 2};
        as.epochs = 3;
        run_to_hash(expected, as);
        as.memory = 1; /* all in a temporary file */
        run_to_hash(found, as);
        assert_string_equal(found, expected);
        as.memory = 0;
        as.features = cache;
        for (int run = 0; run < 2; run++) { /* made, then read */
            setup s = make(as);
            int preparations = steps(&s, 3 * STEPS);
            strata_model_hash(s.model, found);
            assert_string_equal(found, expected);
            int tables = as.augment != NULL ? 3 : 2, batches = (tables - 1) * STEPS + 1;
            assert_int_equal(count_tables(), tables);
            assert_int_equal(preparations, run == 0 ? batches : 0);
            unmake(&s);
        }
        for_tables(NULL);
    }
}

static void cut_short(const char *path) {
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(truncate(path, about.st_size / 2), 0);
}

static void change_a_bit(const char *path) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 4000, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 4000, SEEK_SET), 0);
    fputc(byte ^ 4, file);
    fclose(file);
}

static void change_the_key(const char *path) {
    char head[512];
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    size_t length = fread(head, 1, sizeof head - 1, file);
    head[length] = '\0';
    char *key = strstr(head + 8, "\"strata.features\":\"");
    assert_non_null(key);
    long at = (long)(key - head) + 19 + 50; /* behind what the name of the file has of it */
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    fputc(head[at] == '0' ? '1' : '0', file);
    fclose(file);
}

static void make_empty(const char *path) {
    fclose(fopen(path, "wb"));
}

static void test_damaged_tables_are_made_again(void **state) {
    (void)state;
    void (*const damage[])(const char *) = {cut_short, change_a_bit, change_the_key, make_empty};
    char expected[65], found[65];
    how as = {.text = FIRE, .train = "head", .optimizer = "sgd", .features = cache};
    run_to_hash(expected, as);
    for (size_t i = 0; i < ST_COUNT_OF(damage); i++) {
        for_tables(damage[i]);
        setup s = make(as);
        assert_int_equal(steps(&s, 2 * STEPS), STEPS + 1);
        strata_model_hash(s.model, found);
        assert_string_equal(found, expected);
        unmake(&s);
        setup again = make(as);
        assert_int_equal(steps(&again, 1), 0);
        unmake(&again);
    }
    for_tables(NULL);
}

static void test_other_data_or_weights_have_other_tables(void **state) {
    (void)state;
    how as = {.text = FIRE, .train = "head", .optimizer = "sgd", .features = cache};
    setup s = make(as);
    steps(&s, 1);
    assert_int_equal(count_tables(), 2);
    unmake(&s);
    struct timespec now[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/train-images-idx3-ubyte", folder);
    assert_int_equal(utimensat(AT_FDCWD, path, now, 0), 0); /* as if it had been written anew */
    s = make(as);
    assert_true(steps(&s, 1) > 0);
    assert_int_equal(count_tables(), 4);
    unmake(&s);
    as.train = "d classifier"; /* another cut, so another value */
    s = make(as);
    assert_true(steps(&s, 1) > 0);
    assert_int_equal(count_tables(), 6);
    st_model_get(s.model->core, 0, -1, s.model->core->scratch);
    unmake(&s);
    for_tables(NULL);
}

static void test_oldest_tables_make_room(void **state) {
    (void)state;
    how as = {.text = FIRE, .train = "head", .optimizer = "sgd", .features = cache};
    setup s = make(as);
    steps(&s, 1);
    unmake(&s);
    assert_int_equal(count_tables(), 2);
    st_table_make_room(cache, 0, (uint64_t)1 << 40);
    assert_int_equal(count_tables(), 2);
    st_table_make_room(cache, 1, 180 * 4 * 4 * 48 * 4 + 4000); /* the larger one fits, both do not */
    assert_true(count_tables() <= 1);
    st_table_make_room(cache, 1, 0);
    assert_int_equal(count_tables(), 0);
}

static void test_without_a_folder_that_can_be_written_the_bits_are_the_same(void **state) {
    (void)state;
    char expected[65], found[65];
    how as = {.text = FIRE, .train = "head", .optimizer = "sgd"};
    run_to_hash(expected, as);
    as.features = "/proc/nowhere";
    run_to_hash(found, as);
    assert_string_equal(found, expected);
}

/* Each variant is another picture: with one the run differs from that with two, and from one that computes everything
 * anew each time. */
static void test_variants_are_different_pictures(void **state) {
    (void)state;
    char one[65], two[65], all[65], fresh[65];
    how as = {.text = FIRE, .train = "head", .optimizer = "sgd", .augment = "mirror,crop=3", .epochs = 3};
    as.variants = 1;
    run_to_hash(one, as);
    as.variants = 2;
    run_to_hash(two, as);
    as.variants = 3;
    run_to_hash(all, as);
    as.variants = -1;
    run_to_hash(fresh, as);
    assert_string_not_equal(one, two);
    assert_string_not_equal(two, all);
    assert_string_equal(all, fresh); /* an epoch's variant is that epoch's augmentation */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features_kept_give_the_bits_of_those_computed),
        cmocka_unit_test(test_damaged_tables_are_made_again),
        cmocka_unit_test(test_other_data_or_weights_have_other_tables),
        cmocka_unit_test(test_oldest_tables_make_room),
        cmocka_unit_test(test_without_a_folder_that_can_be_written_the_bits_are_the_same),
        cmocka_unit_test(test_variants_are_different_pictures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
