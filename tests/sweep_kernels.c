/* sweep_kernels: every entry of the list in kernels/kernels.h, with every set of kernels that this processor runs,
 * against the portable one. An entry whose sweep_<entry> is missing does not link. */
#include <stdio.h>

#include "sweep.h"

typedef struct row {
    const char *entry;
    void (*sweep)(const st_kernels *reference, const st_kernels *kernels);
} row;

static const row rows[] = {
#define SWEEP_ROW(name, type, arguments) {#name, sweep_##name},
    ST_KERNEL_LIST(SWEEP_ROW)
#undef SWEEP_ROW
};

/* Portable too, against itself: its writes are looked at. */
static void sweep_row(void **state) {
    const row *it = *state;
    for (size_t i = 0; st_kernels_at(i) != NULL; i++) {
        const st_kernels *kernels = st_kernels_at(i);
        if (st_kernels_runs(kernels)) {
            it->sweep(st_kernels_at(0), kernels);
        } else {
            print_message("skip: %s: this processor does not run it\n", kernels->name);
        }
    }
}

static void test_select_takes_what_is_named(void **state) {
    (void)state;
    const st_kernels *kernels = NULL;
    strata_error err;
    for (size_t i = 0; st_kernels_at(i) != NULL; i++) {
        const bool runs = st_kernels_runs(st_kernels_at(i));
        assert_int_equal(st_kernels_select(&kernels, st_kernels_at(i)->name, &err),
                         runs ? STRATA_OK : STRATA_UNSUPPORTED);
        assert_ptr_equal(kernels, runs ? st_kernels_at(i) : NULL);
    }
}

static void test_select_refuses_unknown_names(void **state) {
    (void)state;
    const st_kernels *kernels = NULL;
    strata_error err;
    assert_int_equal(st_kernels_select(&kernels, "mmx", &err), STRATA_INVALID);
    assert_null(kernels);
    assert_non_null(strstr(err.message, "'mmx'"));
    assert_non_null(strstr(err.message, "portable"));
}

static void test_select_reads_the_environment(void **state) {
    (void)state;
    const st_kernels *kernels = NULL;
    strata_error err;
    const char *before = getenv("STRATA_ISA");
    char kept[64];
    snprintf(kept, sizeof kept, "%s", before == NULL ? "" : before);
    setenv("STRATA_ISA", "portable", 1);
    assert_int_equal(st_kernels_select(&kernels, NULL, &err), STRATA_OK);
    assert_string_equal(kernels->name, "portable");
    setenv("STRATA_ISA", "", 1);
    assert_int_equal(st_kernels_select(&kernels, NULL, &err), STRATA_OK);
    assert_true(st_kernels_runs(kernels));
    setenv("STRATA_ISA", "z80", 1);
    assert_int_equal(st_kernels_select(&kernels, NULL, &err), STRATA_INVALID);
    setenv("STRATA_ISA", kept, 1);
}

int main(void) {
    struct CMUnitTest tests[ST_COUNT_OF(rows) + 3] = {cmocka_unit_test(test_select_takes_what_is_named),
                                                      cmocka_unit_test(test_select_refuses_unknown_names),
                                                      cmocka_unit_test(test_select_reads_the_environment)};
    for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
        row it = rows[i];
        static row kept[ST_COUNT_OF(rows)];
        kept[i] = it;
        tests[i + 3] = (struct CMUnitTest){.name = rows[i].entry, .test_func = sweep_row, .initial_state = &kept[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
