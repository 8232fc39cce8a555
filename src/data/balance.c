/* The order of an epoch in which every class has the same number of places, however many pictures it has. The epoch is
 * as long as without: of n pictures in c classes that have any, each class gets n / c places, and the first n % c one
 * more. A class fills its places with one pass over its pictures after the other, each pass in an order of its own, and
 * goes on in the next epoch where it stopped: pictures of a small class come several times in an epoch, those of a
 * large one take turns, and no picture is passed over. */
#include <string.h>

#include "data/data.h"

struct st_balance {
    size_t count, class_count;
    size_t *ends;      /* [classes], in members */
    uint32_t *members; /* [pictures], class by class */
    uint32_t *pass;    /* [pictures of the largest class] */
    uint32_t *places;  /* [pictures] */
};

strata_status st_balance_create(st_balance **out, st_arena *arena, const strata_dataset *data, strata_error *err) {
    st_balance *made = NULL;
    size_t start = 0, most = 0;
    ST_TRY(st_arena_alloc(&made, arena, 1, sizeof *made, err));
    made->count = strata_dataset_count(data, STRATA_TRAIN);
    made->class_count = strata_dataset_class_count(data);
    ST_TRY(st_arena_alloc(&made->ends, arena, made->class_count, sizeof *made->ends, err));
    ST_TRY(st_arena_alloc(&made->members, arena, made->count, sizeof *made->members, err));
    ST_TRY(st_arena_alloc(&made->places, arena, made->count, sizeof *made->places, err));
    for (size_t c = 0; c < made->class_count; c++) {
        size_t size = strata_dataset_class_size(data, STRATA_TRAIN, c);
        made->ends[c] = start; /* so far the class's begin */
        start += size;
        most = size > most ? size : most;
    }
    for (size_t i = 0; i < made->count; i++) {
        made->members[made->ends[st_data_label(data, STRATA_TRAIN, i)]++] = (uint32_t)i;
    }
    ST_TRY(st_arena_alloc(&made->pass, arena, most, sizeof *made->pass, err));
    *out = made;
    return STRATA_OK;
}

/* Places first, first + 1, ... of all that class `c` ever gets. */
static void fill(st_balance *of, uint32_t *out, size_t places, size_t c, uint64_t seed, uint64_t first) {
    size_t begin = c > 0 ? of->ends[c - 1] : 0, size = of->ends[c] - begin;
    uint64_t pass = 0;
    for (size_t i = 0; i < places; i++) {
        uint64_t at = first + i;
        if (i == 0 || at / size != pass) {
            pass = at / size;
            st_rng_shuffle(of->pass, size, seed, st_rng_stream(ST_STREAM_BALANCE, pass * ST_DATA_MOST_CLASSES + c));
        }
        out[i] = of->members[begin + of->pass[at % size]];
    }
}

void st_balance_order(st_balance *balance, uint32_t *order, uint64_t seed, uint64_t epoch) {
    size_t classes = 0, next = 0;
    for (size_t c = 0; c < balance->class_count; c++) {
        classes += balance->ends[c] > (c > 0 ? balance->ends[c - 1] : 0);
    }
    for (size_t c = 0, rank = 0; c < balance->class_count; c++) {
        if (balance->ends[c] == (c > 0 ? balance->ends[c - 1] : 0)) {
            continue;
        }
        size_t places = balance->count / classes + (rank++ < balance->count % classes);
        fill(balance, balance->places + next, places, c, seed, epoch * places);
        next += places;
    }
    st_rng_shuffle(order, balance->count, seed, st_rng_stream(ST_STREAM_ORDER, epoch));
    for (size_t i = 0; i < balance->count; i++) {
        order[i] = balance->places[order[i]];
    }
}
