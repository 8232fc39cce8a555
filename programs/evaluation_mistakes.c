/* The worst mistakes of an evaluation as a contact sheet: the pictures whose own class got the least probability, each
 * with what it is, what it was taken for, and its file. */
#include <stdlib.h>
#include <string.h>

#include "evaluation.h"

enum { MOST_SHOWN = 48 };

typedef struct mistake {
    size_t picture, answer;
    float own, taken; /* probabilities */
} mistake;

static int compare_mistakes(const void *a, const void *b) {
    const mistake *x = a, *y = b;
    if (x->own != y->own) {
        return x->own < y->own ? -1 : 1;
    }
    if (x->taken != y->taken) {
        return x->taken > y->taken ? -1 : 1;
    }
    return x->picture < y->picture ? -1 : x->picture > y->picture;
}

static mistake *find_mistakes(const evaluation *e, size_t *count) {
    mistake *all = take(NULL, (strata_predictions_count(e->answers) + 1) * sizeof *all);
    *count = 0;
    for (size_t i = 0; i < strata_predictions_count(e->answers); i++) {
        const float *row = strata_predictions_row(e->answers, i);
        size_t is = strata_predictions_label(e->answers, i), answer = 0;
        strata_top(&answer, 1, row, e->class_count);
        if (answer != is) {
            all[(*count)++] = (mistake){i, answer, row[is], row[answer]};
        }
    }
    qsort(all, *count, sizeof *all, compare_mistakes);
    return all;
}

/* As much of a name as fits below a picture: to its first comma, where it is a list of words. */
static label short_name(const evaluation *e, size_t index) {
    enum { WIDEST = 11 };
    const char *name = strata_predictions_class(e->answers, index);
    char *first = take_copy(name, strcspn(name, ","));
    label out = narrow_text(first, WIDEST, false);
    free(first);
    return out;
}

static strata_status add_mistake(strata_sheet *sheet, const evaluation *e, const mistake *m, strata_picture *picture,
                                 strata_error *err) {
    enum { VERMILION = 0xD55E00 };
    int is = 0;
    text caption = {0};
    strata_status status =
        strata_dataset_picture(picture, e->data, e->part, strata_predictions_index(e->answers, m->picture), &is, err);
    if (status != STRATA_OK) {
        return status;
    }
    text_add(&caption, "%s, not %s %.0f%%", short_name(e, strata_predictions_label(e->answers, m->picture)).s,
             short_name(e, m->answer).s, 100 * (double)m->taken);
    status = strata_sheet_add(sheet, picture, caption.bytes, strata_predictions_file(e->answers, m->picture), VERMILION,
                              err);
    text_free(&caption);
    return status;
}

static strata_status fill_sheet(strata_sheet *sheet, const evaluation *e, const mistake *all, size_t count,
                                strata_error *err) {
    strata_picture picture = {0};
    strata_status status = STRATA_OK;
    for (size_t i = 0; i < count && i < MOST_SHOWN && status == STRATA_OK; i++) {
        status = add_mistake(sheet, e, &all[i], &picture, err);
    }
    strata_picture_free(&picture);
    return status;
}

int draw_mistakes(const evaluation *e) {
    strata_error err;
    strata_sheet *sheet = NULL;
    size_t count = 0;
    mistake *all = find_mistakes(e, &count);
    size_t shown = count < MOST_SHOWN ? count : MOST_SHOWN;
    int status = DONE;
    text title = {0};
    text_add(&title, "%s, %s: the %zu worst of %zu mistakes", strata_dataset_name(e->data), e->part_name, shown, count);
    if (count == 0) {
        print_note("\nno mistakes, so %s is not written\n", e->a->mistakes);
    } else if (strata_sheet_create(&sheet, &(strata_sheet_options){.title = title.bytes, .columns = 6, .tile = 192},
                                   &err) != STRATA_OK ||
               fill_sheet(sheet, e, all, count, &err) != STRATA_OK ||
               strata_sheet_write(sheet, e->a->mistakes, &err) != STRATA_OK) {
        status = report(&err);
    } else {
        print_note("\nthe %zu worst of %s mistakes: %s\n", shown, count_text((int64_t)count).s, e->a->mistakes);
    }
    if (sheet != NULL) {
        strata_sheet_free(sheet);
    }
    text_free(&title);
    free(all);
    return status;
}
