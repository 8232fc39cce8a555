/* value: what an expression is worth: numbers, flags, words, dimensions, lists. Names are parameters of the block that
 * is being expanded, then knobs; a lone name that is neither is a word ("same"), whose meaning the layer knows. */
#include <stdio.h>
#include <string.h>

#include "graph/build.h"

/* ---- errors ---- */

static void add_place(st_text *text, const st_block *block, st_place place) {
    st_text_add(text, "in %s (%s:%d:%d): ", block->name, place.source->name, place.line, place.column);
}

/* Frames from the outermost to the innermost; of more than three the middle is left out. */
static st_place add_frames(st_text *text, const st_frame *frame, st_place place) {
    const st_frame *chain[ST_BUILD_CALL_LIMIT + 1];
    int count = 0;
    for (; frame != NULL && count < (int)ST_COUNT_OF(chain); frame = frame->outer) {
        chain[count++] = frame;
    }
    for (int i = count - 1; i >= 0; i--) {
        if (i == count - 1 || i < 2) {
            add_place(text, chain[i]->block, i > 0 ? chain[i - 1]->call : place);
        }
    }
    return count == 0 ? place : chain[count - 1]->call;
}

strata_status st_build_fail(const st_build *b, const st_frame *frame, st_place place, strata_status status,
                            const char *format, ...) {
    st_text text = {0};
    char message[400];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof(message), format, values);
    va_end(values);
    st_place outermost = add_frames(&text, frame, place);
    st_fail_at(b->err, status, outermost, "%s%s", text.bytes == NULL || text.failed ? "" : text.bytes, message);
    st_text_free(&text);
    return status;
}

void st_build_nearest(const st_build *b, const char *name, const char *const *candidates, size_t count) {
    const char *nearest = st_text_nearest(name, candidates, count);
    if (nearest != NULL) {
        st_error_hint(b->err, "did you mean '%s'?", nearest);
    }
}

void st_value_describe(char *out, size_t capacity, const st_value *value) {
    st_text text = {0};
    switch (value->kind) {
    case ST_VALUE_NUMBER:
        st_lang_print_number(&text, value->numbers[0]);
        break;
    case ST_VALUE_FLAG:
        st_text_add(&text, value->flag ? "yes" : "no");
        break;
    case ST_VALUE_WORD:
        st_text_add(&text, "'%s'", value->text);
        break;
    case ST_VALUE_DIMS:
    case ST_VALUE_LIST:
        st_text_add(&text, value->kind == ST_VALUE_LIST ? "[" : "");
        for (int i = 0; i < value->count; i++) {
            st_text_add(&text, i == 0 ? "" : value->kind == ST_VALUE_LIST ? " " : "x");
            st_lang_print_number(&text, value->numbers[i]);
        }
        st_text_add(&text, value->kind == ST_VALUE_LIST ? "]" : "");
        break;
    }
    snprintf(out, capacity, "%s", text.bytes == NULL || text.failed ? "?" : text.bytes);
    st_text_free(&text);
}

/* ---- names ---- */

static st_knob *find_knob(const st_build *b, const char *name) {
    for (int i = 0; i < b->knob_count; i++) {
        if (strcmp(b->knobs[i].name, name) == 0) {
            return &b->knobs[i];
        }
    }
    return NULL;
}

static bool has_parameter(const st_block *block, const char *name) {
    for (const st_param_decl *param = block == NULL ? NULL : block->params; param != NULL; param = param->next) {
        if (strcmp(param->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const st_knob *st_build_knob(const st_build *b, const st_frame *frame, const char *name) {
    return has_parameter(frame == NULL ? NULL : frame->block, name) ? NULL : find_knob(b, name);
}

bool st_build_knows(const st_build *b, const st_block *block, const char *name) {
    return has_parameter(block, name) || find_knob(b, name) != NULL;
}

strata_status st_build_unknown(const st_build *b, const st_frame *frame, const st_block *block, const st_expr *name) {
    const char *names[ST_BUILD_NUMBERS * 16];
    size_t count = 0;
    for (const st_param_decl *param = block == NULL ? NULL : block->params; param != NULL && count < 64;
         param = param->next) {
        names[count++] = param->name;
    }
    for (int i = 0; i < b->knob_count && count < ST_COUNT_OF(names); i++) {
        names[count++] = b->knobs[i].name;
    }
    strata_status status =
        block == NULL ? st_build_fail(b, frame, name->place, STRATA_SYNTAX, "there is no knob named '%s'", name->text)
                      : st_build_fail(b, frame, name->place, STRATA_SYNTAX,
                                      "there is no knob and no parameter of %s named '%s'", block->name, name->text);
    st_build_nearest(b, name->text, names, count);
    return status;
}

static strata_status knob_value(st_value *out, st_build *b, st_knob *knob) {
    if (knob->state == ST_KNOB_OPEN) {
        return st_build_fail(b, NULL, knob->place, STRATA_SYNTAX, "knob '%s' depends on itself", knob->name);
    }
    if (knob->state == ST_KNOB_NEW) {
        knob->state = ST_KNOB_OPEN;
        ST_TRY(st_build_value(&knob->value, b, NULL, knob->expr));
        knob->state = ST_KNOB_DONE;
    }
    *out = knob->value;
    return STRATA_OK;
}

static strata_status name_value(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    int index = 0;
    for (const st_param_decl *param = frame == NULL ? NULL : frame->block->params; param != NULL;
         param = param->next, index++) {
        if (index < frame->bound && strcmp(param->name, expr->text) == 0) {
            *out = frame->values[index];
            return STRATA_OK;
        }
    }
    st_knob *knob = find_knob(b, expr->text);
    if (knob != NULL) {
        return knob_value(out, b, knob);
    }
    *out = (st_value){.kind = ST_VALUE_WORD, .text = expr->text};
    return STRATA_OK;
}

/* ---- operators ---- */

static strata_status wrong_kind(const st_build *b, const st_frame *frame, const st_expr *expr, const st_value *value,
                                const char *expected) {
    char found[96];
    if (value->kind == ST_VALUE_WORD && !value->is_quoted && expr->kind == ST_EXPR_NAME &&
        strcmp(value->text, expr->text) == 0) {
        return st_build_unknown(b, frame, frame == NULL ? NULL : frame->block, expr);
    }
    const st_knob *knob = expr->kind == ST_EXPR_NAME ? st_build_knob(b, frame, expr->text) : NULL;
    st_value_describe(found, sizeof(found), value);
    return knob == NULL ? st_build_fail(b, frame, expr->place, STRATA_SYNTAX, "expected %s, found %s", expected, found)
                        : st_build_fail(b, frame, expr->place, STRATA_SYNTAX,
                                        "expected %s, found %s (knob %s, %s:%d:%d)", expected, found, knob->name,
                                        knob->place.source->name, knob->place.line, knob->place.column);
}

static strata_status number_of(double *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    st_value value;
    ST_TRY(st_build_value(&value, b, frame, expr));
    if (value.kind != ST_VALUE_NUMBER) {
        return wrong_kind(b, frame, expr, &value, "a number");
    }
    *out = value.numbers[0];
    return STRATA_OK;
}

strata_status st_build_condition(bool *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    st_value value;
    ST_TRY(st_build_value(&value, b, frame, expr));
    if (value.kind != ST_VALUE_FLAG) {
        return wrong_kind(b, frame, expr, &value, "yes or no");
    }
    *out = value.flag;
    return STRATA_OK;
}

strata_status st_build_count(int64_t *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    double count = 0;
    ST_TRY(number_of(&count, b, frame, expr));
    bool is_whole = count >= 0 && count <= ST_LANG_LAYER_LIMIT && count <= (double)(int64_t)count;
    if (!is_whole) {
        char found[96];
        st_value_describe(found, sizeof(found), &(st_value){.kind = ST_VALUE_NUMBER, .numbers = {count}});
        return st_build_fail(b, frame, expr->place, STRATA_SYNTAX,
                             "repeat: the count must be a whole number from 0 to %d, found %s", ST_LANG_LAYER_LIMIT,
                             found);
    }
    *out = (int64_t)count;
    return STRATA_OK;
}

static strata_status dims_value(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    out->kind = expr->kind == ST_EXPR_LIST ? ST_VALUE_LIST : ST_VALUE_DIMS;
    for (const st_expr *item = expr->items; item != NULL; item = item->next) {
        st_value value;
        ST_TRY(st_build_value(&value, b, frame, item));
        bool is_dims = value.kind == ST_VALUE_DIMS && out->kind == ST_VALUE_DIMS;
        if (value.kind != ST_VALUE_NUMBER && !is_dims) {
            return wrong_kind(b, frame, item, &value, "a number");
        }
        for (int i = 0; i < (is_dims ? value.count : 1); i++) {
            if (out->count == ST_BUILD_NUMBERS) {
                return st_build_fail(b, frame, item->place, STRATA_SYNTAX, "more than %d numbers", ST_BUILD_NUMBERS);
            }
            out->numbers[out->count++] = value.numbers[i];
        }
    }
    return STRATA_OK;
}

static bool is_equal(const st_value *x, const st_value *y) {
    if (x->kind == ST_VALUE_FLAG) {
        return x->flag == y->flag;
    }
    if (x->kind == ST_VALUE_WORD) {
        return strcmp(x->text, y->text) == 0;
    }
    int count = x->kind == ST_VALUE_NUMBER ? 1 : x->count;
    bool equal = x->kind == ST_VALUE_NUMBER || x->count == y->count;
    for (int i = 0; i < count && equal; i++) {
        equal = x->numbers[i] >= y->numbers[i] && x->numbers[i] <= y->numbers[i];
    }
    return equal;
}

static strata_status equality(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    st_value x, y;
    const st_expr *operands[2] = {expr->items, expr->items->next};
    ST_TRY(st_build_value(&x, b, frame, operands[0]));
    ST_TRY(st_build_value(&y, b, frame, operands[1]));
    for (int i = 0; i < 2; i++) {
        const st_value *value = i == 0 ? &x : &y;
        if (value->kind == ST_VALUE_WORD && !value->is_quoted && operands[i]->kind == ST_EXPR_NAME &&
            strcmp(value->text, operands[i]->text) == 0) {
            strata_status status = st_build_unknown(b, frame, frame == NULL ? NULL : frame->block, operands[i]);
            if (b->err != NULL && b->err->hint[0] == '\0') {
                st_error_hint(b->err, "a word to compare with stands in quotes: \"%s\"", value->text);
            }
            return status;
        }
    }
    if (x.kind != y.kind) {
        char left[96], right[96];
        st_value_describe(left, sizeof(left), &x);
        st_value_describe(right, sizeof(right), &y);
        return st_build_fail(b, frame, expr->place, STRATA_SYNTAX, "%s and %s cannot be compared", left, right);
    }
    *out = (st_value){.kind = ST_VALUE_FLAG, .flag = is_equal(&x, &y) == (expr->op == ST_OPERATOR_EQ)};
    return STRATA_OK;
}

static strata_status arithmetic(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    double x = 0, y = 0;
    ST_TRY(number_of(&x, b, frame, expr->items));
    ST_TRY(number_of(&y, b, frame, expr->items->next));
    bool is_zero = y >= 0 && y <= 0;
    if (expr->op == ST_OPERATOR_DIV && is_zero) {
        return st_build_fail(b, frame, expr->place, STRATA_SYNTAX, "division by 0");
    }
    double result = expr->op == ST_OPERATOR_ADD   ? x + y
                    : expr->op == ST_OPERATOR_SUB ? x - y
                    : expr->op == ST_OPERATOR_MUL ? x * y
                                                  : x / y;
    if (!(result <= 1e300 && result >= -1e300)) {
        return st_build_fail(b, frame, expr->place, STRATA_SYNTAX, "the result is out of range");
    }
    *out = (st_value){.kind = ST_VALUE_NUMBER, .numbers = {result}};
    return STRATA_OK;
}

static strata_status comparison(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    double x = 0, y = 0;
    ST_TRY(number_of(&x, b, frame, expr->items));
    ST_TRY(number_of(&y, b, frame, expr->items->next));
    bool holds = expr->op == ST_OPERATOR_LT   ? x < y
                 : expr->op == ST_OPERATOR_LE ? x <= y
                 : expr->op == ST_OPERATOR_GT ? x > y
                                              : x >= y;
    *out = (st_value){.kind = ST_VALUE_FLAG, .flag = holds};
    return STRATA_OK;
}

static strata_status binary(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    switch (expr->op) {
    case ST_OPERATOR_ADD:
    case ST_OPERATOR_SUB:
    case ST_OPERATOR_MUL:
    case ST_OPERATOR_DIV:
        return arithmetic(out, b, frame, expr);
    case ST_OPERATOR_EQ:
    case ST_OPERATOR_NE:
        return equality(out, b, frame, expr);
    case ST_OPERATOR_AND:
    case ST_OPERATOR_OR: {
        bool x = false, y = false;
        ST_TRY(st_build_condition(&x, b, frame, expr->items));
        ST_TRY(st_build_condition(&y, b, frame, expr->items->next));
        *out = (st_value){.kind = ST_VALUE_FLAG, .flag = expr->op == ST_OPERATOR_AND ? x && y : x || y};
        return STRATA_OK;
    }
    default:
        return comparison(out, b, frame, expr);
    }
}

static strata_status unary(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    if (expr->op == ST_OPERATOR_NOT) {
        bool x = false;
        ST_TRY(st_build_condition(&x, b, frame, expr->items));
        *out = (st_value){.kind = ST_VALUE_FLAG, .flag = !x};
        return STRATA_OK;
    }
    double number = 0;
    ST_TRY(number_of(&number, b, frame, expr->items));
    *out = (st_value){.kind = ST_VALUE_NUMBER, .numbers = {0 - number}};
    return STRATA_OK;
}

static strata_status bare_value(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    *out = (st_value){0};
    switch (expr->kind) {
    case ST_EXPR_NUMBER:
        *out = (st_value){.kind = ST_VALUE_NUMBER, .numbers = {expr->number}};
        return STRATA_OK;
    case ST_EXPR_STRING:
        *out = (st_value){.kind = ST_VALUE_WORD, .text = expr->text, .is_quoted = true};
        return STRATA_OK;
    case ST_EXPR_NAME:
        return name_value(out, b, frame, expr);
    case ST_EXPR_YES:
    case ST_EXPR_NO:
        *out = (st_value){.kind = ST_VALUE_FLAG, .flag = expr->kind == ST_EXPR_YES};
        return STRATA_OK;
    case ST_EXPR_LIST:
    case ST_EXPR_DIMS:
        return dims_value(out, b, frame, expr);
    case ST_EXPR_UNARY:
        return unary(out, b, frame, expr);
    case ST_EXPR_BINARY:
        return binary(out, b, frame, expr);
    case ST_EXPR_IF: {
        bool holds = false;
        ST_TRY(st_build_condition(&holds, b, frame, expr->items));
        const st_expr *yes = expr->items->next;
        return st_build_value(out, b, frame, holds ? yes : yes->next);
    }
    }
    return STRATA_OK;
}

strata_status st_build_value(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr) {
    if (b->value_depth == ST_BUILD_VALUE_LIMIT) {
        return st_build_fail(b, frame, expr->place, STRATA_SYNTAX, "values depend on each other more than %d deep",
                             ST_BUILD_VALUE_LIMIT);
    }
    ST_TRY(st_build_work(b, frame, expr->place, 1));
    b->value_depth++;
    strata_status status = bare_value(out, b, frame, expr);
    b->value_depth--;
    return status;
}

/* ---- knobs ---- */

static strata_status apply_settings(st_build *b, const char *settings) {
    const st_let *let;
    ST_TRY(st_lang_settings(&let, b->arena, settings, b->err));
    for (; let != NULL; let = let->next) {
        st_knob *knob = find_knob(b, let->name);
        if (knob == NULL) {
            const char *names[64];
            size_t count = 0;
            for (; count < ST_COUNT_OF(names) && count < (size_t)b->knob_count; count++) {
                names[count] = b->knobs[count].name;
            }
            st_fail_at(b->err, STRATA_MISSING, let->place, "this net has no knob '%s'", let->name);
            st_build_nearest(b, let->name, names, count);
            return STRATA_MISSING;
        }
        knob->expr = let->value;
        knob->place = let->place;
    }
    return STRATA_OK;
}

/* Of two lets with one name the later counts: the includer's. All are evaluated, so that a wrong one shows. */
strata_status st_build_knobs(st_build *b, const char *settings) {
    size_t count = 0;
    for (const st_let *let = b->tree->lets; let != NULL; let = let->next) {
        count++;
    }
    ST_TRY(st_arena_alloc(&b->knobs, b->arena, count + 1, sizeof(*b->knobs), b->err));
    for (const st_let *let = b->tree->lets; let != NULL; let = let->next) {
        st_knob *knob = find_knob(b, let->name);
        if (knob == NULL) {
            knob = &b->knobs[b->knob_count++];
        }
        char *comment = NULL;
        ST_TRY(st_lang_comment(&comment, b->arena, let->place, b->err));
        bool is_said = comment[0] == '\0' && knob->comment != NULL; /* where the knob was first declared */
        *knob = (st_knob){.name = let->name,
                          .place = let->place,
                          .expr = let->value,
                          .standard = let->value,
                          .comment = is_said ? knob->comment : comment};
    }
    ST_TRY(apply_settings(b, settings));
    for (int i = 0; i < b->knob_count; i++) {
        st_value value;
        ST_TRY(knob_value(&value, b, &b->knobs[i]));
    }
    return STRATA_OK;
}

static strata_status expr_text(const char **out, const st_build *b, const st_expr *expr) {
    st_text text = {0};
    char *copy = NULL;
    st_lang_print_expr(&text, expr);
    strata_status status = text.failed ? st_fail(b->err, STRATA_MEMORY, "not enough memory")
                                       : st_arena_text(&copy, b->arena, text.bytes, text.length, b->err);
    st_text_free(&text);
    *out = copy;
    return status;
}

/* A number as it was written: 1e-5, not 0.00001. */
static strata_status knob_text(const char **out, const st_build *b, const st_knob *knob) {
    char text[256], *copy = NULL;
    if (knob->expr->kind == ST_EXPR_NUMBER || knob->expr->kind == ST_EXPR_STRING) {
        return expr_text(out, b, knob->expr);
    }
    if (knob->value.kind == ST_VALUE_WORD) {
        const char *quote = knob->value.is_quoted ? "\"" : "";
        ST_TRY(st_arena_printf(&copy, b->arena, b->err, "%s%s%s", quote, knob->value.text, quote));
    } else {
        st_value_describe(text, sizeof(text), &knob->value);
        ST_TRY(st_arena_text(&copy, b->arena, text, strlen(text), b->err));
    }
    *out = copy;
    return STRATA_OK;
}

strata_status st_build_list_knobs(st_graph *graph, const st_build *b) {
    strata_knob *knobs = NULL;
    ST_TRY(st_arena_alloc(&knobs, b->arena, (size_t)b->knob_count + 1, sizeof(*knobs), b->err));
    for (int i = 0; i < b->knob_count; i++) {
        knobs[i] = (strata_knob){.name = b->knobs[i].name, .comment = b->knobs[i].comment};
        ST_TRY(expr_text(&knobs[i].standard, b, b->knobs[i].standard));
        ST_TRY(knob_text(&knobs[i].value, b, &b->knobs[i]));
    }
    graph->knobs = knobs;
    graph->knob_count = b->knob_count;
    return STRATA_OK;
}
