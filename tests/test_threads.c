/* base: the pool of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

enum { MANY_THREADS = 8, ROUNDS = 300 };

typedef struct race {
    st_pool *pool;
    int threads;
    int cells[MANY_THREADS];
    atomic_int errors;
} race;

/* Each thread writes its cell, all meet, each reads all cells: a barrier that lets one through early is seen. */
static void run_race(void *argument, int thread) {
    race *all = argument;
    for (int round = 1; round <= ROUNDS; round++) {
        all->cells[thread] = round;
        st_pool_barrier(all->pool, thread);
        for (int t = 0; t < all->threads; t++) {
            if (all->cells[t] != round) {
                atomic_fetch_add(&all->errors, 1);
            }
        }
        st_pool_barrier(all->pool, thread);
    }
}

static void test_pool_barrier_holds_all_threads(void **state) {
    (void)state;
    static const int counts[] = {1, 2, 3, MANY_THREADS};
    for (size_t c = 0; c < ST_COUNT_OF(counts); c++) {
        race all = {.threads = counts[c]};
        assert_int_equal(st_pool_create(&all.pool, counts[c], NULL), STRATA_OK);
        assert_int_equal(st_pool_threads(all.pool), counts[c]);
        for (int run = 0; run < 5; run++) {
            st_pool_run(all.pool, run_race, &all);
        }
        assert_int_equal(atomic_load(&all.errors), 0);
        st_pool_free(all.pool);
    }
}

static void count_run(void *argument, int thread) {
    atomic_int *counts = argument;
    atomic_fetch_add(&counts[thread], 1);
}

static void test_pool_runs_every_thread_once_a_run(void **state) {
    (void)state;
    st_pool *pool = NULL;
    atomic_int counts[MANY_THREADS] = {0};
    assert_int_equal(st_pool_create(&pool, MANY_THREADS, NULL), STRATA_OK);
    for (int run = 0; run < 2000; run++) {
        st_pool_run(pool, count_run, counts);
        if (run % 500 == 0) {
            usleep(5000); /* long enough to fall asleep */
        }
    }
    for (int t = 0; t < MANY_THREADS; t++) {
        assert_int_equal(atomic_load(&counts[t]), 2000);
    }
    st_pool_free(pool);
    st_pool_free(NULL);
}

static void count_item(void *argument, int64_t item, int thread) {
    atomic_int *counts = argument;
    assert_true(thread >= 0);
    atomic_fetch_add(&counts[item], 1);
}

static void test_pool_for_gives_every_item_once(void **state) {
    (void)state;
    static atomic_int counts[5000];
    st_pool *pool = NULL;
    assert_int_equal(st_pool_create(&pool, 3, NULL), STRATA_OK);
    st_pool_for(pool, (int64_t)ST_COUNT_OF(counts), count_item, counts);
    st_pool_for(pool, 0, count_item, counts);
    for (size_t i = 0; i < ST_COUNT_OF(counts); i++) {
        assert_int_equal(atomic_load(&counts[i]), 1);
    }
    st_pool_free(pool);
}

static volatile double tiny = 0x1p-1060;

/* A call, so that the compiler cannot move the multiplication past a change of the mode. */
static __attribute__((noinline)) bool is_flushed(void) {
    return tiny * 0.5 == 0.0;
}

static void keep_subnormals(void *argument, int thread) {
    atomic_int *kept = argument;
    (void)thread;
    atomic_fetch_add(kept, !is_flushed());
}

static void test_pool_keeps_subnormals_and_restores_the_caller(void **state) {
    (void)state;
    st_pool *pool = NULL;
    atomic_int kept = 0;
    assert_int_equal(st_pool_create(&pool, 4, NULL), STRATA_OK);
#if defined(__x86_64__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040u); /* flush to zero, denormals are zero */
    bool flushed = is_flushed();
    st_pool_run(pool, keep_subnormals, &kept);
    bool still = is_flushed();
    __builtin_ia32_ldmxcsr(before);
    assert_true(flushed && still);
#else
    st_pool_run(pool, keep_subnormals, &kept);
#endif
    assert_int_equal(atomic_load(&kept), 4);
    st_pool_free(pool);
}

static void test_pool_refuses_bad_counts(void **state) {
    (void)state;
    st_pool *pool = NULL;
    strata_error err;
    assert_int_equal(st_pool_create(&pool, -1, &err), STRATA_INVALID);
    assert_int_equal(st_pool_create(&pool, 100000, &err), STRATA_INVALID);
    assert_string_equal(err.message, "threads must be from 0 to 1024, found 100000");
    assert_int_equal(st_pool_create(&pool, 0, &err), STRATA_OK);
    assert_int_equal(st_pool_threads(pool), st_cpu_count());
    st_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_barrier_holds_all_threads),
        cmocka_unit_test(test_pool_runs_every_thread_once_a_run),
        cmocka_unit_test(test_pool_for_gives_every_item_once),
        cmocka_unit_test(test_pool_keeps_subnormals_and_restores_the_caller),
        cmocka_unit_test(test_pool_refuses_bad_counts),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
