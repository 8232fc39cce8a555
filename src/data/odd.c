/* Pictures that stand out: blank ones, and those whose size, shape or brightness is far from that of the others. Each
 * is told once, with the first reason that holds. */
#include <stdlib.h>

#include "data/doctor.h"

enum {
    FEW = 20,           /* of so few pictures none is an exception */
    MOST_STRETCH = 4,   /* times as wide for its height as the median, or as narrow */
    MOST_SIZE = 25,     /* times the pixels of the median, or a 25th */
    MOST_DEVIATIONS = 5 /* of the pictures' mean brightness */
};

/* What is usual. */
typedef struct usual {
    double stretch, pixels; /* medians */
    double luma, deviation;
} usual;

static int compare_numbers(const void *a, const void *b) {
    const double *one = a, *two = b;
    return *one < *two ? -1 : *one > *two;
}

static double stretch_of(strata_shape shape) {
    return (double)shape.width / (double)shape.height;
}

static double pixels_of(strata_shape shape) {
    return (double)shape.width * (double)shape.height;
}

static strata_status find_usual(usual *out, const st_doctor *doctor, strata_error *err) {
    double *numbers = NULL, sum = 0, squares = 0, count = (double)doctor->count;
    ST_TRY(st_arena_alloc(&numbers, doctor->scratch, doctor->count, sizeof *numbers, err));
    for (size_t i = 0; i < doctor->count; i++) {
        numbers[i] = stretch_of(doctor->notes[i].shape);
        sum += doctor->notes[i].luma;
        squares += doctor->notes[i].luma * doctor->notes[i].luma;
    }
    qsort(numbers, doctor->count, sizeof *numbers, compare_numbers);
    out->stretch = numbers[doctor->count / 2];
    out->pixels = pixels_of(doctor->out->median);
    out->luma = sum / count;
    double variance = squares / count - out->luma * out->luma;
    out->deviation = st_sqrt(variance > 0 ? variance : 0);
    return STRATA_OK;
}

/* NULL: nothing is odd about it. */
static strata_status find_reason(char **out, const st_doctor *doctor, const st_note *note, const usual *is,
                                 strata_error *err) {
    strata_shape shape = note->shape, median = doctor->out->median;
    double stretch = stretch_of(shape), size = pixels_of(shape) / is->pixels, off = note->luma - is->luma;
    *out = NULL;
    if (stretch >= MOST_STRETCH * is->stretch || stretch * MOST_STRETCH <= is->stretch) {
        return st_arena_printf(out, doctor->arena, err, "%lldx%lld: %.1f times as %s", (long long)shape.width,
                               (long long)shape.height, stretch >= 1 ? stretch : 1 / stretch,
                               stretch >= 1 ? "wide as high" : "high as wide");
    }
    if (size >= MOST_SIZE || size * MOST_SIZE <= 1) {
        return st_arena_printf(out, doctor->arena, err, "%lldx%lld, the median is %lldx%lld", (long long)shape.width,
                               (long long)shape.height, (long long)median.width, (long long)median.height);
    }
    if (doctor->count >= FEW && (off > MOST_DEVIATIONS * is->deviation || -off > MOST_DEVIATIONS * is->deviation)) {
        return st_arena_printf(out, doctor->arena, err, "much %s than the others: %.0f of 255, they have %.0f",
                               off > 0 ? "brighter" : "darker", note->luma, is->luma);
    }
    return STRATA_OK;
}

strata_status st_doctor_find_odd(st_doctor *doctor, strata_error *err) {
    strata_checkup *out = doctor->out;
    strata_finding *blank = NULL, *odd = NULL;
    size_t blank_count = 0;
    usual is = {0};
    ST_TRY(find_usual(&is, doctor, err));
    for (size_t i = 0; i < doctor->count; i++) {
        blank_count += doctor->notes[i].is_blank;
    }
    ST_TRY(st_arena_alloc(&blank, doctor->arena, blank_count, sizeof *blank, err));
    ST_TRY(st_arena_alloc(&odd, doctor->scratch, doctor->count, sizeof *odd, err));
    for (size_t i = 0; i < doctor->count; i++) {
        const st_note *note = &doctor->notes[i];
        char *reason = NULL;
        if (note->is_blank) {
            blank[out->blank_count++] =
                (strata_finding){note->place, note->is_plain ? "all of one colour" : "nearly all of one colour"};
            continue;
        }
        ST_TRY(find_reason(&reason, doctor, note, &is, err));
        if (reason != NULL) {
            odd[out->odd_count++] = (strata_finding){note->place, reason};
        }
    }
    out->blank = blank;
    strata_finding *kept = NULL;
    ST_TRY(st_arena_alloc(&kept, doctor->arena, out->odd_count, sizeof *kept, err));
    for (size_t i = 0; i < out->odd_count; i++) {
        kept[i] = odd[i];
    }
    out->odd = kept;
    return STRATA_OK;
}
