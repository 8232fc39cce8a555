/* match: which argument of a step is whose: values by order, the others by key. Needs no value to be known, so blocks
 * are checked before anyone calls them. */
#include <stdio.h>
#include <string.h>

#include "graph/build.h"

/* ---- the table ---- */

int st_build_op_index(const char *name) {
    for (int i = 0; st_layer_table[i] != NULL; i++) {
        if (strcmp(st_layer_table[i]->name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const st_op *st_graph_find_op(const char *name) {
    int index = st_build_op_index(name);
    return index < 0 ? NULL : st_layer_table[index];
}

const st_block *st_build_block(const st_build *b, const char *name) {
    for (const st_block *block = b->tree->blocks; block != NULL; block = block->next) {
        if (strcmp(block->name, name) == 0) {
            return block;
        }
    }
    return NULL;
}

static const st_param_spec *next_positional(const st_op *op, const st_param_spec *spec) {
    spec = spec == NULL ? op->params : spec + 1;
    while (spec < op->params + ST_OP_PARAMS && spec->name != NULL && !spec->is_positional) {
        spec++;
    }
    return spec < op->params + ST_OP_PARAMS && spec->name != NULL ? spec : NULL;
}

static const st_param_spec *find_param(const st_op *op, const char *name) {
    for (const st_param_spec *spec = op->params; spec < op->params + ST_OP_PARAMS && spec->name != NULL; spec++) {
        if (strcmp(spec->name, name) == 0) {
            return spec;
        }
    }
    return NULL;
}

/* ---- which argument is whose ---- */

/* "conv 5x5 6": the step up to `end`. */
static void add_step(st_text *text, const st_syntax *step, const st_arg *end) {
    st_text_add(text, "%s", step->name);
    for (const st_arg *arg = step->args; arg != end; arg = arg->next) {
        st_text_add(text, arg->key == NULL ? " " : " %s=", arg->key == NULL ? "" : arg->key);
        st_lang_print_expr(text, arg->value);
    }
}

static void describe_arg(char *out, size_t capacity, const st_arg *arg) {
    st_text text = {0};
    st_lang_print_expr(&text, arg->value);
    snprintf(out, capacity, "'%.60s'", text.bytes == NULL || text.failed ? "?" : text.bytes);
    st_text_free(&text);
}

static bool is_layer(const st_build *b, const char *name) {
    return st_build_op_index(name) >= 0 || st_build_block(b, name) != NULL;
}

/* A layer's name among the values: a comma is missing before it. */
bool st_match_hint_comma(const st_build *b, const st_syntax *step, const st_arg *arg) {
    if (arg->key != NULL || arg->value->kind != ST_EXPR_NAME || !is_layer(b, arg->value->text)) {
        return false;
    }
    st_text text = {0};
    add_step(&text, step, arg);
    if (text.bytes != NULL && !text.failed) {
        st_error_hint(b->err, "layers are separated by a comma: %.120s, %s", text.bytes, arg->value->text);
    }
    st_text_free(&text);
    return true;
}

static const char *ordinal(int index) {
    static const char *const words[] = {"one", "a second", "a third", "a fourth", "a fifth", "a sixth"};
    return index < (int)ST_COUNT_OF(words) ? words[index] : "one more";
}

/* "conv takes 2 values (kernel, filters); a third was given: 'relu'". `names` ends the list "kernel, filters". */
strata_status st_match_too_many(const st_build *b, const st_frame *frame, const st_syntax *step, const st_arg *arg,
                                const char *names, int count, bool is_key) {
    char found[80];
    describe_arg(found, sizeof(found), arg);
    strata_status status =
        count == 0 ? st_build_fail(b, frame, arg->place, STRATA_SYNTAX, "%s takes no values; one was given: %s",
                                   step->name, found)
                   : st_build_fail(b, frame, arg->place, STRATA_SYNTAX, "%s takes %d value%s (%s); %s was given: %s",
                                   step->name, count, count == 1 ? "" : "s", names, ordinal(count), found);
    if (!st_match_hint_comma(b, step, arg) && is_key && arg->next != NULL && arg->next->key == NULL) {
        char value[80];
        describe_arg(value, sizeof(value), arg->next);
        value[strlen(value) - 1] = '\0';
        st_error_hint(b->err, "a key is followed by '=': %s=%s", arg->value->text, value + 1);
    }
    return status;
}

strata_status st_match_given_twice(const st_build *b, const st_frame *frame, const st_syntax *step, const st_arg *arg,
                                   const char *name) {
    return st_build_fail(b, frame, arg->place, STRATA_SYNTAX, "%s: %s is given twice", step->name, name);
}

strata_status st_match_unknown_key(const st_build *b, const st_frame *frame, const st_syntax *step, const st_arg *arg,
                                   const char *const *names, size_t count) {
    st_text list = {0};
    for (size_t i = 0; i < count; i++) {
        st_text_add(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    strata_status status =
        count == 0 ? st_build_fail(b, frame, arg->place, STRATA_SYNTAX, "%s has no '%s'; it takes no values",
                                   step->name, arg->key)
                   : st_build_fail(b, frame, arg->place, STRATA_SYNTAX, "%s has no '%s'; it has %s", step->name,
                                   arg->key, list.bytes == NULL || list.failed ? "others" : list.bytes);
    st_text_free(&list);
    st_build_nearest(b, arg->key, names, count);
    return status;
}

static size_t param_names(const st_op *op, bool only_positional, const char *names[ST_OP_PARAMS]) {
    size_t count = 0;
    for (const st_param_spec *spec = op->params; spec < op->params + ST_OP_PARAMS && spec->name != NULL; spec++) {
        if (spec->is_positional || !only_positional) {
            names[count++] = spec->name;
        }
    }
    return count;
}

static strata_status too_many_values(const st_build *b, const st_frame *frame, const st_op *op, const st_syntax *step,
                                     const st_arg *arg) {
    const char *names[ST_OP_PARAMS];
    size_t count = param_names(op, true, names);
    st_text list = {0};
    for (size_t i = 0; i < count; i++) {
        st_text_add(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    bool is_key = arg->value->kind == ST_EXPR_NAME && find_param(op, arg->value->text) != NULL;
    strata_status status =
        st_match_too_many(b, frame, step, arg, list.bytes == NULL || list.failed ? "" : list.bytes, (int)count, is_key);
    st_text_free(&list);
    return status;
}

strata_status st_bind_match(const st_build *b, const st_frame *frame, const st_op *op, const st_syntax *step,
                            const st_arg *found[ST_OP_PARAMS]) {
    const st_param_spec *positional = NULL;
    bool is_first = true;
    memset(found, 0, ST_OP_PARAMS * sizeof(found[0]));
    for (const st_arg *arg = step->args; arg != NULL; arg = arg->next) {
        const st_param_spec *spec;
        if (arg->key != NULL) {
            spec = find_param(op, arg->key);
            if (spec == NULL) {
                const char *names[ST_OP_PARAMS];
                return st_match_unknown_key(b, frame, step, arg, names, param_names(op, false, names));
            }
        } else {
            spec = positional = is_first || positional != NULL ? next_positional(op, positional) : NULL;
            is_first = false;
            if (spec == NULL) {
                return too_many_values(b, frame, op, step, arg);
            }
        }
        if (found[spec - op->params] != NULL) {
            return st_match_given_twice(b, frame, step, arg, spec->name);
        }
        found[spec - op->params] = arg;
    }
    for (int i = 0; i < ST_OP_PARAMS && op->params[i].name != NULL; i++) {
        if (found[i] == NULL && op->params[i].standard == NULL) {
            return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX, "%s needs %s: %s", op->name,
                                 op->params[i].name, op->params[i].meaning);
        }
    }
    return STRATA_OK;
}

static strata_status block_too_many(const st_build *b, const st_frame *frame, const st_block *block,
                                    const st_syntax *step, const st_arg *arg) {
    st_text list = {0};
    int count = 0;
    bool is_key = false;
    for (const st_param_decl *param = block->params; param != NULL; param = param->next) {
        st_text_add(&list, "%s%s", count++ == 0 ? "" : ", ", param->name);
        is_key = is_key || (arg->value->kind == ST_EXPR_NAME && strcmp(arg->value->text, param->name) == 0);
    }
    strata_status status =
        st_match_too_many(b, frame, step, arg, list.bytes == NULL || list.failed ? "" : list.bytes, count, is_key);
    st_text_free(&list);
    return status;
}

static strata_status block_unknown_key(const st_build *b, const st_frame *frame, const st_block *block,
                                       const st_syntax *step, const st_arg *arg) {
    const char *names[ST_BUILD_ARGS];
    size_t count = 0;
    for (const st_param_decl *param = block->params; param != NULL && count < ST_COUNT_OF(names); param = param->next) {
        names[count++] = param->name;
    }
    return st_match_unknown_key(b, frame, step, arg, names, count);
}

strata_status st_bind_match_block(const st_build *b, const st_frame *frame, const st_block *block,
                                  const st_syntax *step, const st_arg **found) {
    int next = 0;
    for (const st_arg *arg = step->args; arg != NULL; arg = arg->next) {
        int index = 0;
        const st_param_decl *param = block->params;
        for (; param != NULL && (arg->key == NULL ? index < next : strcmp(param->name, arg->key) != 0); index++) {
            param = param->next;
        }
        if (param == NULL) {
            return arg->key == NULL ? block_too_many(b, frame, block, step, arg)
                                    : block_unknown_key(b, frame, block, step, arg);
        }
        next += arg->key == NULL;
        if (found[index] != NULL) {
            return st_match_given_twice(b, frame, step, arg, param->name);
        }
        found[index] = arg;
    }
    int index = 0;
    for (const st_param_decl *param = block->params; param != NULL; param = param->next, index++) {
        if (param->value == NULL && found[index] == NULL) {
            return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX, "block %s needs a value for %s",
                                 block->name, param->name);
        }
    }
    return STRATA_OK;
}
