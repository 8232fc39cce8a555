/* What `strata eval` says on a terminal: the answer first, then how sure it is, then which classes it is about. */
#include <stdlib.h>
#include <string.h>

#include "evaluation.h"

/* ---- the models ------------------------------------------------------------------------------------------------- */

static label interval_text(const strata_metrics *m) {
    label out;
    double low, high;
    strata_wilson(&low, &high, m->correct, m->count);
    snprintf(out.s, sizeof out.s, "%.1f to %.1f", 100 * low, 100 * high);
    return out;
}

static void add_member(table *t, const char *name, const strata_metrics *m, double seconds) {
    enum { WIDEST = 30 };
    table_cell(t, "%s", narrow_text(name, WIDEST, true).s);
    table_cell(t, "%s", share_text(m->top1).s);
    table_cell(t, "%s", interval_text(m).s);
    table_cell(t, "%s", share_text(m->top5).s);
    table_cell(t, "%.3f", m->loss);
    table_cell(t, "%s", seconds >= 0 ? seconds_text(seconds).s : "");
}

static void print_members(const evaluation *e, bool with_ensemble) {
    table t = {.alignment = "lrrrrr", .column_count = 6};
    static const char *const heads[] = {"model", "top-1", "95% interval", "top-5", "loss", "time"};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        table_cell(&t, "%s", heads[i]);
    }
    for (size_t i = 0; i < e->count; i++) {
        add_member(&t, e->members[i].what, &e->members[i].metrics, e->members[i].seconds);
    }
    if (with_ensemble) {
        char name[32];
        snprintf(name, sizeof name, "ensemble of %zu", e->count);
        add_member(&t, name, &e->metrics, -1);
    }
    table_print(&t, "", true);
}

static void print_figures(const evaluation *e) {
    const strata_metrics *m = &e->metrics;
    bool is_quiet = e->a->common.quiet;
    if (e->count == 1 || is_quiet) {
        printf("%-5s  %s images   top-1 %s (95%% interval %s)   top-5 %s\n", e->part_name, count_text(m->count).s,
               share_text(m->top1).s, interval_text(m).s, share_text(m->top5).s);
    } else {
        printf("%-5s  %s images\n\n", e->part_name, count_text(m->count).s);
        print_members(e, true);
        printf("\n");
    }
    if (is_quiet) {
        return;
    }
    printf("       ");
    if (e->count == 1) {
        printf("loss %.3f   calibration error %s   %s\n", m->loss, share_text(m->calibration_error).s,
               seconds_text(e->seconds).s);
    } else {
        printf("the ensemble's calibration error %s\n", share_text(m->calibration_error).s);
    }
}

/* What was done to the pictures and what would make the probabilities honest. */
static void print_remarks(const evaluation *e) {
    int crops = atoi(e->a->crops);
    bool is_mirrored = e->a->flip || crops == 10;
    if (crops > 1 || is_mirrored) {
        printf("       each picture seen %s%s; probabilities averaged\n",
               crops == 1 ? "as it is" : "in 5 windows, the centre and the corners",
               is_mirrored ? (crops == 1 ? " and mirrored" : ", each also mirrored") : "");
    }
    if (e->has_temperature) {
        printf("       at temperature %.2f, fitted on %s val pictures: calibration error %s\n", e->temperature,
               e->part == STRATA_VAL ? "these" : count_text((int64_t)strata_predictions_count(e->val)).s,
               share_text(e->calibrated_error).s);
    } else if (e->val_is_mixed) {
        printf("       no temperature is fitted: the models did not hold out the same val pictures\n");
    } else if (e->val == NULL) {
        printf("       no temperature is fitted: the data has no val part\n");
    } else {
        printf("       no temperature fits the val pictures: the surer, the better\n");
    }
}

void show_comparison(const evaluation *e) {
    const strata_pairing *p = &e->pairing;
    const char *a = e->members[0].what, *b = e->members[1].what;
    bool second_leads = p->second_only > p->first_only;
    int64_t more = second_leads ? p->second_only : p->first_only, less = second_leads ? p->first_only : p->second_only;
    label better = narrow_text(second_leads ? b : a, 40, true), worse = narrow_text(second_leads ? a : b, 40, true);
    if (!e->a->common.quiet) {
        printf("%-5s  %s images\n\n", e->part_name, count_text(e->members[0].metrics.count).s);
        print_members(e, false);
        printf("\n");
    }
    if (more == 0) {
        printf("%s and %s are right and wrong on the same pictures\n", better.s, worse.s);
        return;
    }
    text first = {0};
    char p_text[32];
    snprintf(p_text, sizeof p_text, p->p < 0.001 ? "p < 0.001" : p->p < 0.0995 ? "p = %.3f" : "p = %.2f", p->p);
    text_add(&first, "%s is right where %s is wrong on %s picture%s, the other way round on %s:", better.s, worse.s,
             count_text(more).s, more == 1 ? "" : "s", count_text(less).s);
    printf("%s%s", first.bytes, text_width(first.bytes) > 55 ? "\n" : " ");
    text_free(&first);
    if (p->p < 0.05) {
        printf("%s is better (%s)\n", better.s, p_text);
    } else {
        printf("that may be chance (%s)\n", p_text);
    }
}

/* ---- classes ---------------------------------------------------------------------------------------------------- */

static double right_share(const class_row *r) {
    return r->count > 0 ? (double)r->correct / (double)r->count : 2; /* without pictures: last */
}

static int compare_rows(const void *a, const void *b) {
    const class_row *x = a, *y = b;
    double dx = right_share(x), dy = right_share(y);
    return dx != dy ? (dx < dy ? -1 : 1) : (x->index < y->index ? -1 : 1);
}

class_row *class_rows(const evaluation *e) {
    class_row *rows = take(NULL, e->class_count * sizeof *rows);
    for (size_t i = 0; i < e->class_count; i++) {
        rows[i] = (class_row){.index = i, .correct = e->confusion[i * e->class_count + i]};
        for (size_t k = 0; k < e->class_count; k++) {
            rows[i].count += e->confusion[i * e->class_count + k];
        }
    }
    qsort(rows, e->class_count, sizeof *rows, compare_rows);
    return rows;
}

/* The up to two classes that this one was most often taken for, at least 1% each. */
static void add_mistakes(text *out, const evaluation *e, const class_row *row, size_t columns) {
    const int64_t *counts = e->confusion + row->index * e->class_count;
    size_t first = SIZE_MAX;
    for (int k = 0; k < 2; k++) {
        size_t most = SIZE_MAX;
        for (size_t i = 0; i < e->class_count; i++) {
            if (i != row->index && i != first && counts[i] > 0 && (most == SIZE_MAX || counts[i] > counts[most])) {
                most = i;
            }
        }
        if (most == SIZE_MAX || (k > 0 && 100 * counts[most] < row->count)) {
            return;
        }
        text_add(out, "%s%s %s", k > 0 ? ", " : "",
                 narrow_text(strata_predictions_class(e->answers, most), columns, false).s,
                 share_text((double)counts[most] / (double)row->count).s);
        first = most;
    }
}

static void print_classes(const evaluation *e) {
    enum { MOST_ROWS = 25, WIDEST = 26, WIDEST_OTHER = 18 };
    table t = {.alignment = "lrrl", .column_count = 4};
    table_cell(&t, "class");
    table_cell(&t, "pictures");
    table_cell(&t, "right");
    table_cell(&t, "most often taken for");
    class_row *rows = class_rows(e);
    size_t shown = 0, asked = 0;
    for (size_t i = 0; i < e->class_count && rows[i].count > 0; i++) {
        asked++;
        if (shown == MOST_ROWS) {
            continue;
        }
        text mistakes = {0};
        text_add(&mistakes, "%s", "");
        add_mistakes(&mistakes, e, &rows[i], WIDEST_OTHER);
        table_cell(&t, "%s", narrow_text(strata_predictions_class(e->answers, rows[i].index), WIDEST, false).s);
        table_cell(&t, "%s", count_text(rows[i].count).s);
        table_cell(&t, "%s", share_text(right_share(&rows[i])).s);
        table_cell(&t, "%s", mistakes.bytes);
        text_free(&mistakes);
        shown++;
    }
    printf("\n");
    table_print(&t, "", true);
    if (shown < asked) {
        printf("... and %s classes that are right more often; --json has all\n",
               count_text((int64_t)(asked - shown)).s);
    }
    free(rows);
}

/* ---- the matrix ------------------------------------------------------------------------------------------------- */

enum { MOST_IN_TABLE = 12 };

static void print_whole_matrix(const evaluation *e) {
    enum { WIDEST = 16 };
    size_t names = text_width("true class"), digits = 1;
    for (size_t i = 0; i < e->class_count; i++) {
        size_t width = text_width(narrow_text(strata_predictions_class(e->answers, i), WIDEST, false).s);
        names = width > names ? width : names;
    }
    for (size_t i = 0; i < e->class_count * e->class_count; i++) {
        size_t width = strlen(count_text(e->confusion[i]).s);
        digits = width > digits ? width : digits;
    }
    text line = {0};
    text_add(&line, "%-*s  ", (int)names + 1, "true class");
    for (size_t i = 0; i < e->class_count; i++) {
        text_add(&line, " %*c", (int)digits, (int)('a' + i));
    }
    printf("\n");
    print_bold(stdout, line.bytes);
    printf("   taken for\n");
    text_free(&line);
    for (size_t i = 0; i < e->class_count; i++) {
        label name = narrow_text(strata_predictions_class(e->answers, i), WIDEST, false);
        printf("%s%*s %c ", name.s, (int)(names - text_width(name.s)), "", (int)('a' + i));
        for (size_t k = 0; k < e->class_count; k++) {
            printf(" %*s", (int)digits, count_text(e->confusion[i * e->class_count + k]).s);
        }
        printf("\n");
    }
}

typedef struct mix_up {
    size_t is, taken_for;
    int64_t count;
} mix_up;

static int compare_mix_ups(const void *a, const void *b) {
    const mix_up *x = a, *y = b;
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    if (x->is != y->is) {
        return x->is < y->is ? -1 : 1;
    }
    return x->taken_for < y->taken_for ? -1 : x->taken_for > y->taken_for;
}

/* Of many classes, the pairs that are mixed up most often. */
static void print_mix_ups(const evaluation *e) {
    enum { MOST_ROWS = 20, WIDEST = 30 };
    mix_up *all = take(NULL, 1);
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < e->class_count * e->class_count; i++) {
        size_t is = i / e->class_count, taken_for = i % e->class_count;
        if (is == taken_for || e->confusion[i] == 0) {
            continue;
        }
        if (count == capacity) {
            capacity = 2 * capacity + 64;
            all = take(all, capacity * sizeof *all);
        }
        all[count++] = (mix_up){is, taken_for, e->confusion[i]};
    }
    qsort(all, count, sizeof *all, compare_mix_ups);
    table t = {.alignment = "llr", .column_count = 3};
    table_cell(&t, "true class");
    table_cell(&t, "taken for");
    table_cell(&t, "pictures");
    for (size_t i = 0; i < count && i < MOST_ROWS; i++) {
        table_cell(&t, "%s", narrow_text(strata_predictions_class(e->answers, all[i].is), WIDEST, false).s);
        table_cell(&t, "%s", narrow_text(strata_predictions_class(e->answers, all[i].taken_for), WIDEST, false).s);
        table_cell(&t, "%s", count_text(all[i].count).s);
    }
    printf("\n");
    table_print(&t, "", true);
    free(all);
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

void show_evaluation(const evaluation *e) {
    print_figures(e);
    if (e->a->common.quiet) {
        return;
    }
    print_remarks(e);
    print_classes(e);
    if (e->a->matrix) {
        (e->class_count <= MOST_IN_TABLE ? print_whole_matrix : print_mix_ups)(e);
    }
    if (e->drawing != NULL) {
        printf("\nconfusion matrix: %s\n", e->drawing);
    }
}
