/* Offsets for pieces of memory: each gets the lowest at which it overlaps nothing that lives at the same time.
 *
 * A tree over time, halved at each level, holds for each of its spans of segments which bytes are taken: by pieces that
 * live through all of it, and by pieces that live in any part of it. Neighbouring bytes are one range, so that the
 * stacked values of a deep net are few ranges, and a piece asks and changes about log(segments) spans. */
#include <string.h>

#include "plan/plan.h"

enum { MOST_LISTS = 4 * 32 }; /* two spans of a level are cut and two are whole, and time is an int */

typedef struct range {
    size_t begin, end;
} range;

typedef struct range_list {
    range *ranges; /* ascending, with free bytes between them */
    size_t count, capacity;
} range_list;

typedef struct span {
    range_list through, any;
} span;

typedef struct tree {
    span *spans; /* 1 is all of time, 2 i and 2 i + 1 are the halves of i */
    int width;   /* segments, a power of two */
    st_arena *arena;
    strata_error *err;
} tree;

/* The first range that ends behind `offset` (at it: is_touching). */
static size_t first_behind(const range_list *list, size_t offset, bool is_touching) {
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2, end = list->ranges[middle].end;
        if (end > offset || (is_touching && end == offset)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static strata_status take(const tree *t, range_list *list, size_t begin, size_t end) {
    size_t first = first_behind(list, begin, true), last = first;
    for (; last < list->count && list->ranges[last].begin <= end; last++) {
        begin = list->ranges[last].begin < begin ? list->ranges[last].begin : begin;
        end = list->ranges[last].end > end ? list->ranges[last].end : end;
    }
    if (first == last && list->count == list->capacity) {
        range *more = NULL;
        size_t capacity = list->capacity == 0 ? 2 : 2 * list->capacity;
        ST_TRY(st_arena_alloc(&more, t->arena, capacity, sizeof *more, t->err));
        if (list->count > 0) {
            memcpy(more, list->ranges, list->count * sizeof *more);
        }
        list->ranges = more;
        list->capacity = capacity;
    }
    if (last < list->count) {
        memmove(list->ranges + first + 1, list->ranges + last, (list->count - last) * sizeof *list->ranges);
    }
    list->count = list->count + 1 - (last - first);
    list->ranges[first] = (range){begin, end};
    return STRATA_OK;
}

/* The piece, at its offset, into span `index` of the segments [from, to). */
static strata_status add(const tree *t, int index, int from, int to, const st_piece *piece) {
    size_t end = piece->offset + piece->bytes;
    if (piece->last < from || piece->first >= to) {
        return STRATA_OK;
    }
    ST_TRY(take(t, &t->spans[index].any, piece->offset, end));
    if (piece->first <= from && piece->last >= to - 1) {
        return take(t, &t->spans[index].through, piece->offset, end);
    }
    int middle = from + (to - from) / 2;
    ST_TRY(add(t, 2 * index, from, middle, piece));
    return add(t, 2 * index + 1, middle, to, piece);
}

typedef struct list_set {
    const range_list *lists[MOST_LISTS];
    size_t count;
} list_set;

/* The lists that together have all bytes that are taken while the piece lives. */
static void find_lists(const tree *t, list_set *out, int index, int from, int to, const st_piece *piece) {
    if (piece->last < from || piece->first >= to) {
        return;
    }
    bool is_whole = piece->first <= from && piece->last >= to - 1;
    const range_list *list = is_whole ? &t->spans[index].any : &t->spans[index].through;
    if (list->count > 0) {
        out->lists[out->count++] = list;
    }
    if (!is_whole) {
        int middle = from + (to - from) / 2;
        find_lists(t, out, 2 * index, from, middle, piece);
        find_lists(t, out, 2 * index + 1, middle, to, piece);
    }
}

static size_t lowest_fit(const list_set *set, size_t bytes) {
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < set->count; i++) {
            const range_list *list = set->lists[i];
            size_t at = first_behind(list, offset, false);
            for (; at < list->count && list->ranges[at].begin < offset + bytes; at++) {
                offset = list->ranges[at].end;
                moved = true;
            }
        }
    }
    return offset;
}

strata_status st_plan_place(st_piece *const *pieces, size_t count, int segment_count, st_arena *arena,
                            strata_error *err) {
    tree t = {.width = 1, .arena = arena, .err = err};
    while (t.width < segment_count) {
        t.width *= 2;
    }
    ST_TRY(st_arena_alloc(&t.spans, arena, 2 * (size_t)t.width, sizeof *t.spans, err));
    for (size_t i = 0; i < count; i++) {
        list_set set = {.count = 0};
        find_lists(&t, &set, 1, 0, t.width, pieces[i]);
        pieces[i]->offset = lowest_fit(&set, pieces[i]->bytes);
        ST_TRY(add(&t, 1, 0, t.width, pieces[i]));
    }
    return STRATA_OK;
}
