/* bind: the values of a layer's arguments to its params struct, as its st_param_spec list says; and the layer's own
 * text with all values resolved. match.c has said which argument is whose. */
#include <stdio.h>
#include <string.h>

#include "graph/build.h"

/* ---- words ---- */

/* The index of `word` in "one|two|three"; -1: not there. */
static int word_index(const char *words, const char *word) {
    size_t length = strlen(word);
    int index = 0;
    for (const char *at = words; at != NULL && *at != '\0'; index++) {
        size_t this_length = strcspn(at, "|");
        if (this_length == length && memcmp(at, word, length) == 0) {
            return index;
        }
        at += this_length + (at[this_length] == '|');
    }
    return -1;
}

static void add_word(st_text *text, const char *words, int index) {
    const char *at = words;
    for (; index > 0 && strchr(at, '|') != NULL; index--) {
        at = strchr(at, '|') + 1;
    }
    st_text_add_bytes(text, at, strcspn(at, "|"));
}

bool st_param_accepts(const st_param_spec *spec, const char *word) {
    return (spec->kind == ST_PARAM_PAIR || spec->kind == ST_PARAM_CHOICE) && word_index(spec->words, word) >= 0;
}

/* ---- one value ---- */

typedef struct slot {
    const st_build *b;
    const st_frame *frame;
    const st_op *op;
    const st_param_spec *spec;
    const st_arg *arg;
    const st_value *value;
} slot;

/* What the parameter wants: "a whole number", "rows x columns or 'same'". */
static void add_expected(st_text *text, const st_param_spec *spec) {
    static const char *const kinds[] = {[ST_PARAM_INT] = "a whole number",
                                        [ST_PARAM_PAIR] = "a whole number or rows x columns",
                                        [ST_PARAM_REAL] = "a number",
                                        [ST_PARAM_FLAG] = "yes or no",
                                        [ST_PARAM_CHOICE] = "one of ",
                                        [ST_PARAM_SHAPE] = "height x width x channels",
                                        [ST_PARAM_LIST] = "a list of numbers such as [1 2 3]",
                                        [ST_PARAM_TEXT] = "text in quotes"};
    st_text_add(text, "%s", kinds[spec->kind]);
    if (spec->words == NULL || (spec->kind != ST_PARAM_PAIR && spec->kind != ST_PARAM_CHOICE)) {
        return;
    }
    for (const char *at = spec->words; *at != '\0';) {
        size_t length = strcspn(at, "|");
        bool is_first = at == spec->words, is_pair = spec->kind == ST_PARAM_PAIR;
        st_text_add(text, "%s%.*s", is_pair ? " or " : is_first ? "" : ", ", (int)length, at);
        at += length + (at[length] == '|');
    }
}

/* " (knob classes, lenet5.net:4:5)" when the value is a knob's. */
static void add_knob(st_text *text, const slot *s) {
    const st_knob *knob =
        s->arg->value->kind == ST_EXPR_NAME ? st_build_knob(s->b, s->frame, s->arg->value->text) : NULL;
    if (knob != NULL) {
        st_text_add(text, " (knob %s, %s:%d:%d)", knob->name, knob->place.source->name, knob->place.line,
                    knob->place.column);
    }
}

static strata_status wrong_value(const slot *s) {
    char found[96];
    st_value_describe(found, sizeof(found), s->value);
    st_text expected = {0};
    add_expected(&expected, s->spec);
    st_text_add(&expected, ", found %s", found);
    add_knob(&expected, s);
    strata_status status =
        st_build_fail(s->b, s->frame, s->arg->value->place, STRATA_SYNTAX, "%s: %s must be %s", s->op->name,
                      s->spec->name, expected.bytes == NULL || expected.failed ? "?" : expected.bytes);
    st_text_free(&expected);
    if (s->value->kind == ST_VALUE_WORD && s->spec->words != NULL) {
        char words[256], *names[16];
        size_t count = 0;
        snprintf(words, sizeof(words), "%s", s->spec->words);
        for (char *at = words; at != NULL && count < ST_COUNT_OF(names);) {
            names[count++] = at;
            at = strchr(at, '|');
            if (at != NULL) {
                *at++ = '\0';
            }
        }
        st_build_nearest(s->b, s->value->text, (const char *const *)names, count);
    }
    if (s->value->kind == ST_VALUE_WORD && !s->value->is_quoted && s->b->err != NULL && s->b->err->hint[0] == '\0') {
        st_error_hint(s->b->err, "there is no knob named '%s' either", s->value->text);
    }
    return status;
}

static strata_status wrong_range(const slot *s, double number) {
    st_text text = {0};
    st_text_add(&text, s->spec->maximum < 1e15 ? "from " : "at least ");
    st_lang_print_number(&text, s->spec->minimum);
    if (s->spec->maximum < 1e15) {
        st_text_add(&text, " to ");
        st_lang_print_number(&text, s->spec->maximum);
    }
    st_text_add(&text, ", found ");
    st_lang_print_number(&text, number);
    add_knob(&text, s);
    strata_status status =
        st_build_fail(s->b, s->frame, s->arg->value->place, STRATA_SYNTAX, "%s: %s must be %s", s->op->name,
                      s->spec->name, text.bytes == NULL || text.failed ? "in range" : text.bytes);
    st_text_free(&text);
    return status;
}

static strata_status check_number(const slot *s, double number, bool whole) {
    bool in_range = number >= s->spec->minimum && number <= s->spec->maximum;
    if (whole && in_range && !(number <= (double)(int64_t)number && number >= (double)(int64_t)number)) {
        return wrong_value(s);
    }
    return in_range ? STRATA_OK : wrong_range(s, number);
}

/* `count` whole numbers from NUMBER (repeated when `square`) or DIMS. */
static strata_status store_integers(const slot *s, int64_t *out, int count, bool square) {
    const st_value *value = s->value;
    bool is_one = value->kind == ST_VALUE_NUMBER && (count == 1 || square);
    if (!is_one && (value->kind != ST_VALUE_DIMS || value->count != count)) {
        return wrong_value(s);
    }
    for (int i = 0; i < count; i++) {
        double number = value->numbers[is_one ? 0 : i];
        ST_TRY(check_number(s, number, true));
        out[i] = (int64_t)number;
    }
    return STRATA_OK;
}

static strata_status store_list(const slot *s, st_list *out) {
    const st_value *value = s->value;
    if (value->kind != ST_VALUE_NUMBER && value->kind != ST_VALUE_LIST) {
        return wrong_value(s);
    }
    int count = value->kind == ST_VALUE_NUMBER ? 1 : value->count;
    *out = (st_list){.count = count};
    for (int i = 0; i < count; i++) {
        ST_TRY(check_number(s, value->numbers[i], false));
        out->values[i] = value->numbers[i];
    }
    return STRATA_OK;
}

static strata_status store_text(const slot *s, const char **out) {
    char *copy = NULL;
    if (s->value->kind != ST_VALUE_WORD) {
        return wrong_value(s);
    }
    ST_TRY(st_arena_text(&copy, s->b->arena, s->value->text, strlen(s->value->text), s->b->err));
    *out = copy;
    return STRATA_OK;
}

static strata_status store(const slot *s, void *params) {
    void *at = (char *)params + s->spec->offset;
    const st_value *value = s->value;
    switch (s->spec->kind) {
    case ST_PARAM_INT:
        return store_integers(s, at, 1, false);
    case ST_PARAM_PAIR:
        if (value->kind == ST_VALUE_WORD && word_index(s->spec->words, value->text) >= 0) {
            int64_t *pair = at;
            pair[0] = pair[1] = -1 - word_index(s->spec->words, value->text);
            return STRATA_OK;
        }
        return store_integers(s, at, 2, true);
    case ST_PARAM_REAL:
        if (value->kind != ST_VALUE_NUMBER) {
            return wrong_value(s);
        }
        ST_TRY(check_number(s, value->numbers[0], false));
        *(double *)at = value->numbers[0];
        return STRATA_OK;
    case ST_PARAM_FLAG:
        if (value->kind != ST_VALUE_FLAG) {
            return wrong_value(s);
        }
        *(bool *)at = value->flag;
        return STRATA_OK;
    case ST_PARAM_CHOICE:
        if (value->kind != ST_VALUE_WORD || word_index(s->spec->words, value->text) < 0) {
            return wrong_value(s);
        }
        *(int *)at = word_index(s->spec->words, value->text);
        return STRATA_OK;
    case ST_PARAM_SHAPE:
        return store_integers(s, at, 3, false);
    case ST_PARAM_LIST:
        return store_list(s, at);
    case ST_PARAM_TEXT:
        return store_text(s, at);
    }
    return STRATA_OK;
}

strata_status st_bind_store(const st_build *b, const st_frame *frame, const st_op *op, const st_param_spec *spec,
                            const st_arg *arg, const st_value *value, void *params) {
    slot s = {.b = b, .frame = frame, .op = op, .spec = spec, .arg = arg, .value = value};
    return store(&s, params);
}

/* ---- the layer's text ---- */

static void add_param(st_text *text, const st_param_spec *spec, const void *params) {
    const void *at = (const char *)params + spec->offset;
    const int64_t *numbers = at;
    switch (spec->kind) {
    case ST_PARAM_INT:
        st_text_add(text, "%lld", (long long)numbers[0]);
        break;
    case ST_PARAM_PAIR:
        if (numbers[0] < 0 && numbers[0] == numbers[1]) {
            add_word(text, spec->words, (int)(-1 - numbers[0]));
        } else if (numbers[0] == numbers[1] && !spec->is_positional) {
            st_text_add(text, "%lld", (long long)numbers[0]);
        } else {
            st_text_add(text, "%lldx%lld", (long long)numbers[0], (long long)numbers[1]);
        }
        break;
    case ST_PARAM_REAL:
        st_lang_print_number(text, *(const double *)at);
        break;
    case ST_PARAM_FLAG:
        st_text_add(text, *(const bool *)at ? "yes" : "no");
        break;
    case ST_PARAM_CHOICE:
        add_word(text, spec->words, *(const int *)at);
        break;
    case ST_PARAM_SHAPE:
        st_text_add(text, "%lldx%lldx%lld", (long long)numbers[0], (long long)numbers[1], (long long)numbers[2]);
        break;
    case ST_PARAM_LIST: {
        const st_list *list = at;
        st_text_add(text, "[");
        for (int i = 0; i < list->count; i++) {
            st_text_add(text, "%s", i == 0 ? "" : " ");
            st_lang_print_number(text, list->values[i]);
        }
        st_text_add(text, "]");
        break;
    }
    case ST_PARAM_TEXT:
        st_text_add(text, "\"%s\"", *(const char *const *)at);
        break;
    }
}

/* By text, so that it is the value that counts and not the padding of a struct. */
static bool is_standard(const st_param_spec *spec, const void *params, const void *standard) {
    st_text mine = {0}, other = {0};
    add_param(&mine, spec, params);
    add_param(&other, spec, standard);
    bool equal = !mine.failed && !other.failed && mine.bytes != NULL && other.bytes != NULL &&
                 strcmp(mine.bytes, other.bytes) == 0;
    st_text_free(&mine);
    st_text_free(&other);
    return equal;
}

/* Values in order as long as none is left out, then key=value. Defaults are left out, except values that the file gives
 * in order: `avgpool global` says more than `avgpool`. */
static strata_status layer_text(const char **out, const st_build *b, const st_op *op, const void *params,
                                const void *standards, const st_arg *const found[ST_OP_PARAMS]) {
    st_text text = {0};
    char *copy = NULL;
    bool in_order = true;
    st_text_add(&text, "%s", op->name);
    for (const st_param_spec *spec = op->params; spec < op->params + ST_OP_PARAMS && spec->name != NULL; spec++) {
        const st_arg *arg = found[spec - op->params];
        bool is_written = arg != NULL && arg->key == NULL;
        if (spec->standard != NULL && !is_written && is_standard(spec, params, standards)) {
            in_order = in_order && !spec->is_positional;
            continue;
        }
        st_text_add(&text, spec->is_positional && in_order ? " " : " %s=", spec->name);
        add_param(&text, spec, params);
    }
    strata_status status = text.failed ? st_fail(b->err, STRATA_MEMORY, "not enough memory")
                                       : st_arena_text(&copy, b->arena, text.bytes, text.length, b->err);
    st_text_free(&text);
    *out = copy;
    return status;
}

/* ---- a layer ---- */

strata_status st_bind_standard(const void **params, st_build *b, int op_index) {
    const st_op *op = st_layer_table[op_index];
    if (b->standards[op_index] == NULL) {
        void *made;
        ST_TRY(st_arena_alloc(&made, b->arena, 1, op->params_size + 1, b->err));
        for (const st_param_spec *spec = op->params; spec < op->params + ST_OP_PARAMS && spec->name != NULL; spec++) {
            if (spec->standard == NULL) {
                continue;
            }
            const st_expr *expr;
            st_value value;
            ST_TRY(st_lang_parse_value(&expr, b->arena, op->name, spec->standard, b->err));
            st_arg arg = {.value = expr, .place = expr->place};
            if (expr->kind == ST_EXPR_NAME) {
                value = (st_value){.kind = ST_VALUE_WORD, .text = expr->text}; /* never a knob of that name */
            } else {
                ST_TRY(st_build_value(&value, b, NULL, expr));
            }
            ST_TRY(st_bind_store(b, NULL, op, spec, &arg, &value, made));
        }
        b->standards[op_index] = made;
    }
    *params = b->standards[op_index];
    return STRATA_OK;
}

/* A word where none is understood is most often a name that does not exist, or a layer without its comma. */
strata_status st_bind_check_word(const st_build *b, const st_frame *frame, const st_block *block,
                                 const st_param_spec *spec, const st_syntax *step, const st_arg *arg,
                                 const st_value *value) {
    bool is_name = value->kind == ST_VALUE_WORD && !value->is_quoted && arg->value->kind == ST_EXPR_NAME &&
                   strcmp(arg->value->text, value->text) == 0;
    if (!is_name || spec->kind == ST_PARAM_CHOICE || st_param_accepts(spec, value->text)) {
        return STRATA_OK;
    }
    strata_status status =
        frame == NULL ? st_check_unknown(b, block, arg->value) : st_build_unknown(b, frame, block, arg->value);
    if (st_match_hint_comma(b, step, arg)) {
        return status;
    }
    if (b->err != NULL && b->err->hint[0] == '\0' && spec->words != NULL) {
        st_error_hint(b->err, "%s of %s also takes: %s", spec->name, step->name, spec->words);
    }
    return status;
}

strata_status st_bind(void **params, const char **text, st_build *b, const st_frame *frame, int op_index,
                      const st_syntax *step) {
    const st_op *op = st_layer_table[op_index];
    const st_arg *found[ST_OP_PARAMS];
    const void *standards;
    const st_block *block = frame == NULL ? NULL : frame->block;
    ST_TRY(st_bind_match(b, frame, op, step, found));
    ST_TRY(st_bind_standard(&standards, b, op_index));
    ST_TRY(st_arena_alloc(params, b->arena, 1, op->params_size + 1, b->err));
    memcpy(*params, standards, op->params_size);
    for (int i = 0; i < ST_OP_PARAMS && op->params[i].name != NULL; i++) {
        if (found[i] == NULL) {
            continue;
        }
        st_value value;
        ST_TRY(st_build_value(&value, b, frame, found[i]->value));
        ST_TRY(st_bind_check_word(b, frame, block, &op->params[i], step, found[i], &value));
        ST_TRY(st_bind_store(b, frame, op, &op->params[i], found[i], &value, *params));
    }
    return layer_text(text, b, op, *params, standards, found);
}

/* ---- side and output ---- */

static strata_status one_word(st_build *b, const st_frame *frame, const st_arg *arg, st_value *out) {
    ST_TRY(st_build_value(out, b, frame, arg->value));
    if (out->kind == ST_VALUE_WORD) {
        return STRATA_OK;
    }
    char found[96];
    st_value_describe(found, sizeof(found), out);
    return st_build_fail(b, frame, arg->value->place, STRATA_SYNTAX, "%s must be a word, found %s", arg->key, found);
}

static strata_status bind_when(st_step_words *out, st_build *b, const st_frame *frame, const st_arg *arg) {
    st_value value;
    ST_TRY(one_word(b, frame, arg, &value));
    out->is_train_only = strcmp(value.text, "train") == 0;
    if (!out->is_train_only && strcmp(value.text, "always") != 0) {
        return st_build_fail(b, frame, arg->value->place, STRATA_SYNTAX,
                             "side: when must be train or always, found '%s'", value.text);
    }
    return STRATA_OK;
}

static strata_status bind_weight(st_step_words *out, st_build *b, const st_frame *frame, const st_arg *arg) {
    st_value value;
    ST_TRY(st_build_value(&value, b, frame, arg->value));
    if (value.kind != ST_VALUE_NUMBER || !(value.numbers[0] >= 0 && value.numbers[0] <= 1e6)) {
        char found[96];
        st_value_describe(found, sizeof(found), &value);
        return st_build_fail(b, frame, arg->value->place, STRATA_SYNTAX,
                             "output: weight must be a number from 0 to 1000000, found %s", found);
    }
    out->weight = value.numbers[0];
    return STRATA_OK;
}

strata_status st_bind_words(st_step_words *out, st_build *b, const st_frame *frame, const st_syntax *step) {
    bool is_side = step->kind == ST_STEP_SIDE;
    static const char *const keys[] = {"when", "loss", "weight"};
    const char *const *names = is_side ? keys : keys + 1;
    char name[ST_BUILD_ARGS + 16];
    snprintf(name, sizeof(name), is_side ? "side" : "output %s", step->name);
    const st_syntax named = {.name = name, .args = step->args, .name_place = step->name_place};
    const st_arg *seen[3] = {NULL, NULL, NULL};
    *out = (st_step_words){.weight = 1};
    for (const st_arg *arg = step->args; arg != NULL; arg = arg->next) {
        if (arg->key == NULL) {
            return st_match_too_many(b, frame, &named, arg, "", 0, false);
        }
        size_t index = 0;
        while (index < 3 && strcmp(keys[index], arg->key) != 0) {
            index++;
        }
        if (index == 3 || (index == 0) != is_side) {
            return st_match_unknown_key(b, frame, &named, arg, names, is_side ? 1 : 2);
        }
        if (seen[index] != NULL) {
            return st_match_given_twice(b, frame, &named, arg, arg->key);
        }
        seen[index] = arg;
        st_value value = {0};
        ST_TRY(index == 0   ? bind_when(out, b, frame, arg)
               : index == 1 ? one_word(b, frame, arg, &value)
                            : bind_weight(out, b, frame, arg));
        if (index == 1) {
            out->loss = value.text;
            out->loss_place = arg->value->place;
        }
    }
    if (seen[2] != NULL && seen[1] == NULL) {
        return st_build_fail(b, frame, seen[2]->place, STRATA_SYNTAX,
                             "output: a weight belongs to a loss, and none is given");
    }
    return STRATA_OK;
}
