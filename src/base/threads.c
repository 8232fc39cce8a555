/* A pool of threads that all run the same function; the caller is thread 0. Between two runs the others spin for some
 * microseconds, then give way, then sleep. Not a scheduler: who does which part is decided by the parts' numbers. */
#include "base/base.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MOST_THREADS = 1024, SPINS = 1000, YIELDS = 1000, CACHE_LINE = 64 };

typedef struct worker {
    st_pool *pool;
    int thread;
    pthread_t handle;
} worker;

struct st_pool {
    /* Written by the caller before each run, read by all after they saw the new `generation`. */
    void (*fn)(void *arg, int thread);
    void *arg;
    int threads;
    int started; /* workers that exist */
    bool stop;
    int spins; /* 0 where there are more threads than processors: spinning would only take their time */
    worker *workers;
    pthread_mutex_t caller; /* two models may share a runtime: one run at a time */
    pthread_mutex_t sleep;
    pthread_cond_t wake;
    _Alignas(CACHE_LINE) atomic_uint generation; /* of runs */
    _Alignas(CACHE_LINE) atomic_int sleepers;
    _Alignas(CACHE_LINE) atomic_int running; /* workers not done with this run */
    _Alignas(CACHE_LINE) atomic_int arrived; /* at the barrier */
    _Alignas(CACHE_LINE) atomic_uint passed; /* barriers that all have reached */
};

static inline void pause_once(void) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- the floating-point environment: round to nearest, subnormals kept, nothing trapped ---- */

typedef uint64_t float_mode;

static float_mode set_float_mode(void) {
    float_mode before = 0;
#if defined(__x86_64__)
    before = _mm_getcsr();
    _mm_setcsr(0x1F80);
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    float_mode plain = 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(plain));
#endif
    return before;
}

static void restore_float_mode(float_mode before) {
#if defined(__x86_64__)
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

/* ---- workers ---- */

static unsigned wait_for_run(st_pool *pool, unsigned seen) {
    for (int i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) {
            return seen + 1;
        }
        pause_once();
    }
    for (int i = 0; i < YIELDS; i++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) {
            return seen + 1;
        }
        sched_yield();
    }
    /* Sequentially consistent on both sides: either the caller sees the sleeper or the sleeper sees the new run. */
    pthread_mutex_lock(&pool->sleep);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == seen) {
        pthread_cond_wait(&pool->wake, &pool->sleep);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->sleep);
    return seen + 1;
}

static void *work(void *argument) {
    worker *self = argument;
    st_pool *pool = self->pool;
    unsigned seen = 0;
    set_float_mode();
    for (;;) {
        seen = wait_for_run(pool, seen);
        if (pool->stop) {
            return NULL;
        }
        pool->fn(pool->arg, self->thread);
        atomic_fetch_sub_explicit(&pool->running, 1, memory_order_release);
    }
}

static void start_run(st_pool *pool) {
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->sleep);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->sleep);
    }
}

/* Workers receive no signals: those are the host program's. */
static strata_status start_workers(st_pool *pool, strata_error *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = 0;
    for (int i = 0; i < pool->threads - 1 && number == 0; i++) {
        pool->workers[i] = (worker){.pool = pool, .thread = i + 1};
        number = pthread_create(&pool->workers[i].handle, NULL, work, &pool->workers[i]);
        pool->started += number == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ST_FAIL_IF(number != 0, err, number == EAGAIN ? STRATA_MEMORY : STRATA_IO, "the system gave %d of %d threads",
               pool->started + 1, pool->threads);
    return STRATA_OK;
}

strata_status st_pool_create(st_pool **out, int threads, strata_error *err) {
    *out = NULL;
    ST_FAIL_IF(threads < 0 || threads > MOST_THREADS, err, STRATA_INVALID, "threads must be from 0 to %d, found %d",
               MOST_THREADS, threads);
    int processors = st_cpu_count();
    int count = threads > 0 ? threads : processors < MOST_THREADS ? processors : MOST_THREADS;
    size_t worker_bytes = sizeof(worker) * (size_t)count; /* at most MOST_THREADS */
    st_pool *pool = st_sys.allocate(sizeof *pool);
    worker *workers = st_sys.allocate(worker_bytes);
    if (pool == NULL || workers == NULL) {
        if (pool != NULL) {
            st_sys.release(pool, sizeof *pool);
        }
        if (workers != NULL) {
            st_sys.release(workers, worker_bytes);
        }
        return st_fail(err, STRATA_MEMORY, "no memory for %d threads", count);
    }
    memset(pool, 0, sizeof *pool);
    pool->threads = count;
    pool->spins = count <= processors ? SPINS : 0;
    pool->workers = workers;
    pthread_mutex_init(&pool->caller, NULL); /* these three cannot fail on Linux */
    pthread_mutex_init(&pool->sleep, NULL);
    pthread_cond_init(&pool->wake, NULL);
    strata_status status = start_workers(pool, err);
    if (status != STRATA_OK) {
        st_pool_free(pool);
        return status;
    }
    *out = pool;
    return STRATA_OK;
}

int st_pool_threads(const st_pool *pool) {
    return pool->threads;
}

void st_pool_run(st_pool *pool, void (*fn)(void *arg, int thread), void *arg) {
    pthread_mutex_lock(&pool->caller);
    float_mode before = set_float_mode();
    pool->fn = fn;
    pool->arg = arg;
    if (pool->threads > 1) {
        atomic_store_explicit(&pool->running, pool->threads - 1, memory_order_relaxed);
        start_run(pool);
    }
    fn(arg, 0);
    for (int spun = 0; atomic_load_explicit(&pool->running, memory_order_acquire) > 0; spun++) {
        if (spun < pool->spins) {
            pause_once();
        } else {
            sched_yield();
        }
    }
    restore_float_mode(before);
    pthread_mutex_unlock(&pool->caller);
}

void st_pool_barrier(st_pool *pool, int thread) {
    (void)thread; /* all are alike here: the last to come opens it */
    unsigned mine = atomic_load_explicit(&pool->passed, memory_order_acquire);
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1 == pool->threads) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&pool->passed, mine + 1, memory_order_release);
        return;
    }
    for (int spun = 0; atomic_load_explicit(&pool->passed, memory_order_acquire) == mine; spun++) {
        if (spun < pool->spins) {
            pause_once();
        } else {
            sched_yield();
        }
    }
}

typedef struct claims {
    void (*fn)(void *arg, int64_t item, int thread);
    void *arg;
    int64_t count;
    _Atomic int64_t next;
} claims;

static void claim_items(void *argument, int thread) {
    claims *all = argument;
    for (;;) {
        int64_t item = atomic_fetch_add_explicit(&all->next, 1, memory_order_relaxed);
        if (item >= all->count) {
            return;
        }
        all->fn(all->arg, item, thread);
    }
}

void st_pool_for(st_pool *pool, int64_t count, void (*fn)(void *arg, int64_t item, int thread), void *arg) {
    claims all = {.fn = fn, .arg = arg, .count = count};
    st_pool_run(pool, claim_items, &all);
}

void st_pool_free(st_pool *pool) {
    if (pool == NULL) {
        return;
    }
    pool->stop = true;
    start_run(pool);
    for (int i = 0; i < pool->started; i++) {
        pthread_join(pool->workers[i].handle, NULL);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->sleep);
    pthread_mutex_destroy(&pool->caller);
    st_sys.release(pool->workers, sizeof(worker) * (size_t)pool->threads);
    st_sys.release(pool, sizeof *pool);
}

int st_cpu_count(void) {
    cpu_set_t set;
    int count = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        count = CPU_COUNT(&set);
    } else { /* more processors than the set has room for */
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        count = online > MOST_THREADS ? MOST_THREADS : (int)online;
    }
    return count > 0 ? count : 1;
}
