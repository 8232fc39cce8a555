/* include/strata.h: two safetensors files, tensor by tensor. Everything is summed in double, in pieces, so that files
 * may be larger than memory. */
#include <math.h>
#include <string.h>

#include "api/api.h"

enum { PIECE = 4096 };

typedef struct sums {
    double max_abs, difference, reference; /* the last two: sums of squares */
} sums;

/* Equal infinities and NaN at the same place are equal, and no part of a norm. */
static void add_pair(sums *to, double a, double b) {
    if (!isfinite(a) || !isfinite(b)) {
        bool is_same = (isnan(a) && isnan(b)) || a == b;
        if (!is_same) {
            to->max_abs = to->difference = INFINITY;
        }
        return;
    }
    double apart = a - b, size = apart < 0 ? -apart : apart;
    to->max_abs = size > to->max_abs ? size : to->max_abs;
    to->difference += apart * apart;
    to->reference += b * b;
}

static strata_status compare_values(strata_difference *out, const st_weights *a, const st_tensor *in_a,
                                    const st_weights *b, const st_tensor *in_b, strata_error *err) {
    double from_a[PIECE], from_b[PIECE];
    sums all = {0};
    for (size_t done = 0; done < in_a->count;) {
        size_t count = in_a->count - done < PIECE ? in_a->count - done : PIECE;
        ST_TRY(st_weights_read_doubles(a, in_a, done, count, from_a, err));
        ST_TRY(st_weights_read_doubles(b, in_b, done, count, from_b, err));
        for (size_t i = 0; i < count; i++) {
            add_pair(&all, from_a[i], from_b[i]);
        }
        done += count;
    }
    out->max_abs = all.max_abs;
    out->rel_norm = all.max_abs == 0 ? 0 : all.reference == 0 ? INFINITY : st_sqrt(all.difference / all.reference);
    return STRATA_OK;
}

static strata_status shape_text(const char **out, st_arena *arena, const st_tensor *tensor, strata_error *err) {
    char text[ST_TENSOR_DIMS_TEXT], *copy = NULL;
    st_tensor_dims(text, tensor->rank, tensor->dims);
    ST_TRY(st_arena_text(&copy, arena, text, strlen(text), err));
    *out = copy;
    return STRATA_OK;
}

static bool is_one_value(const st_tensor *tensor) {
    bool one = true;
    for (int d = 0; d < tensor->rank; d++) {
        one = one && tensor->dims[d] == 1;
    }
    return one;
}

/* One value is one value, with or without axes around it: numpy makes a scalar [1] in passing. */
static bool same_shape(const st_tensor *a, const st_tensor *b) {
    if (is_one_value(a) && is_one_value(b)) {
        return true;
    }
    bool same = a->rank == b->rank;
    for (int d = 0; same && d < a->rank; d++) {
        same = a->dims[d] == b->dims[d];
    }
    return same;
}

/* `in_a` or `in_b` may be NULL. */
static strata_status compare_tensor(strata_comparison *out, const st_weights *a, const st_tensor *in_a,
                                    const st_weights *b, const st_tensor *in_b, strata_error *err) {
    st_arena *arena = out->memory;
    strata_difference *next = &out->differences[out->count];
    const st_tensor *either = in_a != NULL ? in_a : in_b;
    char *name = NULL;
    ST_TRY(st_arena_text(&name, arena, either->name, strlen(either->name), err));
    *next = (strata_difference){.name = name};
    if (in_a != NULL) {
        ST_TRY(shape_text(&next->shape, arena, in_a, err));
    }
    if (in_b != NULL) {
        ST_TRY(shape_text(&next->other_shape, arena, in_b, err));
    }
    next->match = in_b == NULL              ? STRATA_ONLY_FIRST
                  : in_a == NULL            ? STRATA_ONLY_SECOND
                  : !same_shape(in_a, in_b) ? STRATA_SHAPE_DIFFERS
                                            : STRATA_MATCHED;
    if (next->match == STRATA_MATCHED) {
        ST_TRY(compare_values(next, a, in_a, b, in_b, err));
    }
    out->count++;
    return STRATA_OK;
}

static strata_status compare_files(strata_comparison *out, const st_weights *a, const st_weights *b,
                                   strata_error *err) {
    size_t most = 0;
    ST_FAIL_IF(!st_size_add(a->tensor_count, b->tensor_count, &most), err, STRATA_MEMORY, "too many tensors");
    ST_TRY(st_arena_alloc(&out->differences, out->memory, most, sizeof *out->differences, err));
    for (size_t i = 0; i < a->tensor_count; i++) {
        const st_tensor *tensor = &a->tensors[i];
        ST_TRY(compare_tensor(out, a, tensor, b, st_weights_find(b, tensor->name), err));
    }
    for (size_t i = 0; i < b->tensor_count; i++) {
        const st_tensor *tensor = &b->tensors[i];
        if (st_weights_find(a, tensor->name) == NULL) {
            ST_TRY(compare_tensor(out, a, NULL, b, tensor, err));
        }
    }
    return STRATA_OK;
}

strata_status strata_compare(strata_comparison *out, const char *first, const char *second, strata_error *err) {
    st_weights a, b;
    st_arena *arena = NULL;
    *out = (strata_comparison){0};
    ST_TRY(st_weights_open(&a, first, err));
    strata_status status = st_weights_open(&b, second, err);
    if (status == STRATA_OK) {
        status = st_arena_create(&arena, err);
        out->memory = arena;
        if (status == STRATA_OK) {
            status = compare_files(out, &a, &b, err);
        }
        st_weights_close(&b);
    }
    st_weights_close(&a);
    if (status != STRATA_OK) {
        strata_comparison_free(out);
    }
    return status;
}

void strata_comparison_free(strata_comparison *comparison) {
    st_arena_free(comparison->memory);
    *comparison = (strata_comparison){0};
}
