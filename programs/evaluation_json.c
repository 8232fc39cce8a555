/* What `strata eval --json` says: one document; the keys count, correct, top1, top5 and loss never change. */
#include <stdlib.h>

#include "evaluation.h"

static void add_figures(json *j, const strata_metrics *m) {
    double low, high;
    strata_wilson(&low, &high, m->correct, m->count);
    json_count(j, "count", m->count);
    json_count(j, "correct", m->correct);
    json_number(j, "top1", m->top1);
    json_number(j, "top1_low", low);
    json_number(j, "top1_high", high);
    json_number(j, "top5", m->top5);
    json_number(j, "loss", m->loss);
    json_number(j, "calibration_error", m->calibration_error);
}

static void add_members(json *j, const evaluation *e) {
    json_open(j, "members", '[');
    for (size_t i = 0; i < e->count; i++) {
        json_open(j, NULL, '{');
        json_text(j, "model", e->members[i].what);
        add_figures(j, &e->members[i].metrics);
        json_number(j, "seconds", e->members[i].seconds);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void add_classes(json *j, const evaluation *e) {
    json_open(j, "classes", '[');
    for (size_t i = 0; i < e->class_count; i++) {
        int64_t count = 0;
        for (size_t k = 0; k < e->class_count; k++) {
            count += e->confusion[i * e->class_count + k];
        }
        json_open(j, NULL, '{');
        json_text(j, "class", strata_predictions_class(e->answers, i));
        json_count(j, "index", (int64_t)i);
        json_count(j, "count", count);
        json_count(j, "correct", e->confusion[i * e->class_count + i]);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_open(j, "confusion", '[');
    for (size_t i = 0; i < e->class_count; i++) {
        json_open(j, NULL, '[');
        for (size_t k = 0; k < e->class_count; k++) {
            json_count(j, NULL, e->confusion[i * e->class_count + k]);
        }
        json_close(j, ']');
    }
    json_close(j, ']');
}

/* Every picture's answer, in the order of the part. */
static void add_answers(json *j, const evaluation *e) {
    strata_predictions *all = e->answers;
    size_t most = (size_t)e->a->top < e->class_count ? (size_t)e->a->top : e->class_count;
    size_t *top = take(NULL, most * sizeof *top);
    json_open(j, "predictions", '[');
    for (size_t i = 0; i < strata_predictions_count(all); i++) {
        const float *row = strata_predictions_row(all, i);
        size_t count = strata_top(top, most, row, e->class_count);
        json_open(j, NULL, '{');
        json_name(j, "file", strata_predictions_file(all, i));
        json_text(j, "label", strata_predictions_class(all, strata_predictions_label(all, i)));
        json_text(j, "class", strata_predictions_class(all, top[0]));
        json_open(j, "top", '[');
        for (size_t k = 0; k < count; k++) {
            json_open(j, NULL, '{');
            json_text(j, "class", strata_predictions_class(all, top[k]));
            json_count(j, "index", (int64_t)top[k]);
            json_number(j, "probability", (double)row[top[k]]);
            json_close(j, '}');
        }
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
    free(top);
}

static void add_comparison(json *j, const strata_pairing *p) {
    json_open(j, "compare", '{');
    json_count(j, "both", p->both);
    json_count(j, "first_only", p->first_only);
    json_count(j, "second_only", p->second_only);
    json_count(j, "neither", p->neither);
    json_number(j, "p", p->p);
    json_close(j, '}');
}

static void add_calibration(json *j, const evaluation *e) {
    if (e->has_temperature) {
        json_open(j, "temperature", '{');
        json_number(j, "value", e->temperature);
        json_text(j, "fitted_on", "val");
        json_count(j, "pictures", (int64_t)strata_predictions_count(e->val));
        json_number(j, "calibration_error", e->calibrated_error);
        json_close(j, '}');
    }
}

void print_evaluation_json(const evaluation *e) {
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "part", e->part_name);
    if (e->a->compare) {
        json_count(&j, "count", e->members[0].metrics.count);
        add_members(&j, e);
        add_comparison(&j, &e->pairing);
    } else {
        add_figures(&j, &e->metrics);
        json_number(&j, "seconds", e->seconds);
        json_count(&j, "crops", atoi(e->a->crops));
        json_bool(&j, "flip", e->a->flip);
        json_count(&j, "left_out", (int64_t)strata_predictions_left_out(e->answers));
        add_calibration(&j, e);
        if (e->count > 1) {
            add_members(&j, e);
        }
        add_classes(&j, e);
        add_answers(&j, e);
        if (e->drawing != NULL) {
            json_text(&j, "drawing", e->drawing);
        }
    }
    json_close(&j, '}');
    json_print(&j);
}
