/* strata diff: which tensor of two safetensors files differs first, and by how much. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

enum { MOST_ROWS = 20 };

typedef struct arguments {
    common common;
    double rtol, atol;
    bool all;
} arguments;

typedef struct counts {
    size_t compared, over, shapes, only_first, only_second;
    const strata_difference *first, *worst; /* over the tolerance, in the order of the first file; of all compared */
} counts;

static bool is_over(const strata_difference *d, const arguments *a) {
    return d->match == STRATA_MATCHED && d->rel_norm > a->rtol && d->max_abs > a->atol;
}

static counts count_differences(const strata_comparison *c, const arguments *a) {
    counts n = {0};
    for (size_t i = 0; i < c->count; i++) {
        const strata_difference *d = &c->differences[i];
        n.compared += d->match == STRATA_MATCHED;
        n.shapes += d->match == STRATA_SHAPE_DIFFERS;
        n.only_first += d->match == STRATA_ONLY_FIRST;
        n.only_second += d->match == STRATA_ONLY_SECOND;
        if (is_over(d, a)) {
            n.over++;
            n.first = n.first != NULL ? n.first : d;
        }
        if (d->match == STRATA_MATCHED && (n.worst == NULL || d->rel_norm > n.worst->rel_norm)) {
            n.worst = d;
        }
    }
    return n;
}

/* What only the first file has may be there: it is more than was asked for. */
static bool is_same(const counts *n) {
    return n->compared > 0 && n->over == 0 && n->shapes == 0 && n->only_second == 0;
}

/* ---- where a difference is likely to come from --------------------------------------------------------------------
 */

static bool ends_in(const char *name, const char *end) {
    size_t length = strlen(name), end_length = strlen(end);
    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

/* NULL: nothing that a person should look at first. In a trace: logits that agree with gradients that nearly do, and
 * two outputs at the side that each look like another thing altogether. */
static const char *likely_reason(const strata_comparison *c, const arguments *a) {
    size_t far_heads = 0, gradients = 0, others = 0;
    bool main_agrees = false;
    for (size_t i = 0; i < c->count; i++) {
        const strata_difference *d = &c->differences[i];
        bool over = is_over(d, a), is_gradient = ends_in(d->name, ".weight") || ends_in(d->name, ".bias");
        main_agrees = main_agrees || (strcmp(d->name, "logits") == 0 && d->match == STRATA_MATCHED && !over);
        far_heads += over && ends_in(d->name, ".logits") && d->rel_norm > 0.1;
        gradients += over && is_gradient && d->rel_norm < 0.1;
        others += over && !(is_gradient && d->rel_norm < 0.1);
    }
    if (main_agrees && far_heads >= 2) {
        return "logits agree, those of the side heads do not: torchvision's googlenet returns them as logits, "
               "aux_logits2, aux_logits1, the second head first";
    }
    if (main_agrees && gradients > 0 && others == 0) {
        return "logits agree and gradients nearly do: a rectifier or a max pooling that decides otherwise for a value "
               "near its kink moves a gradient by 0.001 to 0.02 (docs/numerics.md, \"Parity with PyTorch\")";
    }
    return NULL;
}

/* ---- for programs ----------------------------------------------------------------------------------------------- */

static void add_difference(json *j, const char *key, const strata_difference *d) {
    json_open(j, key, '{');
    json_text(j, "name", d->name);
    json_number(j, "max_abs", d->max_abs);
    json_number(j, "rel_norm", d->rel_norm);
    json_close(j, '}');
}

static void add_names(json *j, const char *key, const strata_comparison *c, strata_match match) {
    json_open(j, key, '[');
    for (size_t i = 0; i < c->count; i++) {
        if (c->differences[i].match == match) {
            json_text(j, NULL, c->differences[i].name);
        }
    }
    json_close(j, ']');
}

static void print_json(const strata_comparison *c, const counts *n, const arguments *a) {
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "first_file", a->common.items[0]);
    json_text(&j, "second_file", a->common.items[1]);
    json_number(&j, "rtol", a->rtol);
    json_number(&j, "atol", a->atol);
    json_bool(&j, "same", is_same(n));
    json_open(&j, "tensors", '[');
    for (size_t i = 0; i < c->count; i++) {
        if (c->differences[i].match == STRATA_MATCHED) {
            add_difference(&j, NULL, &c->differences[i]);
        }
    }
    json_close(&j, ']');
    if (n->worst != NULL) {
        add_difference(&j, "worst", n->worst);
    }
    if (n->first != NULL) {
        add_difference(&j, "first", n->first);
    }
    if (likely_reason(c, a) != NULL) {
        json_text(&j, "hint", likely_reason(c, a));
    }
    add_names(&j, "only_first", c, STRATA_ONLY_FIRST);
    add_names(&j, "only_second", c, STRATA_ONLY_SECOND);
    json_open(&j, "shapes", '[');
    for (size_t i = 0; i < c->count; i++) {
        if (c->differences[i].match == STRATA_SHAPE_DIFFERS) {
            json_open(&j, NULL, '{');
            json_text(&j, "name", c->differences[i].name);
            json_text(&j, "first", c->differences[i].shape);
            json_text(&j, "second", c->differences[i].other_shape);
            json_close(&j, '}');
        }
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_print(&j);
}

/* ---- for people ------------------------------------------------------------------------------------------------- */

static label size_text(double x) {
    label out;
    snprintf(out.s, sizeof out.s, isfinite(x) ? "%.2e" : "not finite", x);
    return out;
}

static void print_table(const strata_comparison *c, const counts *n, const arguments *a) {
    table t = {.alignment = "llrrl", .column_count = 5};
    size_t rows = 0, left = 0;
    table_cell(&t, "tensor");
    table_cell(&t, "shape");
    table_cell(&t, "max abs");
    table_cell(&t, "rel norm");
    table_cell(&t, "%s", "");
    for (size_t i = 0; i < c->count; i++) {
        const strata_difference *d = &c->differences[i];
        if (d->match != STRATA_MATCHED || !(a->all || is_over(d, a))) {
            continue;
        }
        if (!a->all && rows == MOST_ROWS) {
            left++;
            continue;
        }
        rows++;
        table_cell(&t, "%s", safe_text(d->name).s);
        table_cell(&t, "%s", safe_text(d->shape).s);
        table_cell(&t, "%s", size_text(d->max_abs).s);
        table_cell(&t, "%s", size_text(d->rel_norm).s);
        table_cell(&t, "%s", d == n->first ? "differs first" : is_over(d, a) && a->all ? "differs" : "");
    }
    table_print(&t, "", true);
    if (left > 0) {
        printf("... and %s more: --all shows every tensor\n", count_text((int64_t)left).s);
    }
}

static void print_unmatched(const strata_comparison *c, strata_match match, size_t count, const char *where) {
    size_t shown = 0;
    if (count == 0) {
        return;
    }
    printf("only in %s: %s tensor%s\n", safe_text(where).s, count_text((int64_t)count).s, count == 1 ? "" : "s");
    for (size_t i = 0; i < c->count && shown < MOST_ROWS; i++) {
        const strata_difference *d = &c->differences[i];
        if (d->match == match) {
            shown++;
            printf("  %s  %s\n", safe_text(d->name).s,
                   safe_text(match == STRATA_ONLY_FIRST ? d->shape : d->other_shape).s);
        }
    }
    if (count > shown) {
        printf("  ... and %s more\n", count_text((int64_t)(count - shown)).s);
    }
}

static void print_shapes(const strata_comparison *c) {
    for (size_t i = 0; i < c->count; i++) {
        const strata_difference *d = &c->differences[i];
        if (d->match == STRATA_SHAPE_DIFFERS) {
            label first = safe_text(d->shape), second = safe_text(d->other_shape);
            printf("%s is %s here, %s there\n", safe_text(d->name).s, first.s, second.s);
        }
    }
}

/* One sentence that says why the exit status is what it is. */
static void print_verdict(const counts *n, const arguments *a) {
    text said = {0};
    if (n->over > 0) {
        text_add(&said, "%s of %s tensors differ by more than %s; the first is %s, ", count_text((int64_t)n->over).s,
                 count_text((int64_t)n->compared).s, number_text(a->rtol).s, safe_text(n->first->name).s);
        text_add(&said, isfinite(n->first->rel_norm) ? "by %.2e" : "not finite", n->first->rel_norm);
    } else if (n->compared > 0 && n->worst->max_abs == 0) {
        text_add(&said, "%s tensor%s identical", count_text((int64_t)n->compared).s,
                 n->compared == 1 ? " is" : "s are");
    } else if (n->compared > 0) {
        text_add(&said, "%s tensor%s within %s; the worst is %s, by %.2e", count_text((int64_t)n->compared).s,
                 n->compared == 1 ? " agrees" : "s agree", number_text(a->rtol).s, safe_text(n->worst->name).s,
                 n->worst->rel_norm);
        if (a->atol > 0) {
            text_add(&said, " (%.2e at most in an element, --atol %s)", n->worst->max_abs, number_text(a->atol).s);
        }
    } else {
        text_add(&said, "no tensor is in both files with the same shape");
    }
    if (n->shapes > 0) {
        text_add(&said, "; %s %s another shape", count_text((int64_t)n->shapes).s, n->shapes == 1 ? "has" : "have");
    }
    if (n->only_second > 0) {
        text_add(&said, "; %s %s missing in %s", count_text((int64_t)n->only_second).s,
                 n->only_second == 1 ? "is" : "are", safe_text(a->common.items[0]).s);
    }
    printf("%s\n", said.bytes);
    text_free(&said);
}

static void print_text(const strata_comparison *c, const counts *n, const arguments *a) {
    print_verdict(n, a);
    if (!a->common.quiet) {
        if (n->over > 0 || a->all) {
            print_table(c, n, a);
        }
        print_shapes(c);
        print_unmatched(c, STRATA_ONLY_FIRST, n->only_first, a->common.items[0]);
        print_unmatched(c, STRATA_ONLY_SECOND, n->only_second, a->common.items[1]);
        if (likely_reason(c, a) != NULL) {
            printf("hint: %s\n", likely_reason(c, a));
        }
    }
}

static int run(void *all) {
    const arguments *a = all;
    strata_error err;
    strata_comparison c;
    if (strata_compare(&c, a->common.items[0], a->common.items[1], &err) != STRATA_OK) {
        return report(&err);
    }
    counts n = count_differences(&c, a);
    if (a->common.json) {
        print_json(&c, &n, a);
    } else {
        print_text(&c, &n, a);
    }
    strata_comparison_free(&c);
    return is_same(&n) ? DONE : FAILED;
}

static const option options[] = {
    {OPTION_NUMBER, 0, "rtol", "R", "largest relative norm (0.001)", offsetof(arguments, rtol), 0, 1e300},
    {OPTION_NUMBER, 0, "atol", "A", "or largest difference of an element (0)", offsetof(arguments, atol), 0, 1e300},
    {OPTION_FLAG, 0, "all", NULL, "show every tensor, not only those that differ", offsetof(arguments, all), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

static const arguments defaults = {.rtol = 1e-3};

const command command_diff = {
    .name = "diff",
    .summary = "which tensor of two files differs first, and by how much",
    .usage = "diff A.safetensors B.safetensors",
    .about = "Compares two safetensors files tensor by tensor; B is the reference. A tensor's max\n"
             "abs is the largest difference of an element, its rel norm the norm of the\n"
             "difference over the norm in B, summed in double. Exit status 1 when a tensor is\n"
             "over the tolerance, has another shape, or is missing in A; what only A has is\n"
             "listed and does no harm. The order is A's: in a file of `trace` the first tensor\n"
             "that differs is where to look. Gradients may differ by some thousandths where a\n"
             "rectifier or a max pooling decides otherwise near its kink: docs/numerics.md.",
    .examples = "diff mine.safetensors torch.safetensors | is it the same, and where not?\n"
                "diff mine.st torch.st --rtol 1e-5 --all | a row for every tensor\n"
                "diff mine.st torch.st --json | for a program",
    .options = options,
    .defaults = &defaults,
    .arguments_size = sizeof(arguments),
    .least_items = 2,
    .most_items = 2,
    .items = "two safetensors files",
    .run = run,
};
