/* check: what can be said of the blocks and the network before anything is expanded: every layer exists, every argument
 * has a parameter, every name a meaning, every value that depends on no parameter of a block is in range, no block
 * calls itself. Such mistakes are reported where they stand, without the call that would lead there. */
#include <string.h>

#include "graph/build.h"

typedef struct walk {
    st_build *b;
    const st_block *block; /* NULL: the network */
} walk;

/* ---- expressions ---- */

static bool is_parameter(const st_block *block, const char *name) {
    for (const st_param_decl *param = block == NULL ? NULL : block->params; param != NULL; param = param->next) {
        if (strcmp(param->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- who is wrong, the name or its declaration ---- */

static int uses_in_expr(const st_expr *expr, const char *name) {
    int count = expr != NULL && expr->kind == ST_EXPR_NAME && strcmp(expr->text, name) == 0;
    for (const st_expr *item = expr == NULL ? NULL : expr->items; item != NULL; item = item->next) {
        count += uses_in_expr(item, name);
    }
    return count;
}

static int uses_in_chain(const st_syntax *chain, const char *name) {
    int count = 0;
    for (const st_syntax *step = chain; step != NULL; step = step->next) {
        count += uses_in_expr(step->condition, name);
        for (const st_arg *arg = step->args; arg != NULL; arg = arg->next) {
            count += uses_in_expr(arg->value, name);
        }
        for (const st_lane *lane = step->lanes; lane != NULL; lane = lane->next) {
            count += uses_in_expr(lane->condition, name) + uses_in_chain(lane->chain, name);
        }
        count += uses_in_chain(step->chain, name) + uses_in_chain(step->otherwise, name);
    }
    return count;
}

static int uses_in_tree(const st_tree *tree, const char *name) {
    int count = uses_in_chain(tree->chain, name);
    for (const st_let *let = tree->lets; let != NULL; let = let->next) {
        count += uses_in_expr(let->value, name);
    }
    for (const st_block *block = tree->blocks; block != NULL; block = block->next) {
        count += uses_in_chain(block->chain, name);
        for (const st_param_decl *param = block->params; param != NULL; param = param->next) {
            count += uses_in_expr(param->value, name);
        }
    }
    return count;
}

static int calls_in_chain(const st_syntax *chain, const char *name) {
    int count = 0;
    for (const st_syntax *step = chain; step != NULL; step = step->next) {
        count += step->kind == ST_STEP_LAYER && strcmp(step->name, name) == 0;
        for (const st_lane *lane = step->lanes; lane != NULL; lane = lane->next) {
            count += calls_in_chain(lane->chain, name);
        }
        count += calls_in_chain(step->chain, name) + calls_in_chain(step->otherwise, name);
    }
    return count;
}

static int calls_in_tree(const st_tree *tree, const char *name) {
    int count = calls_in_chain(tree->chain, name);
    for (const st_block *block = tree->blocks; block != NULL; block = block->next) {
        count += calls_in_chain(block->chain, name);
    }
    return count;
}

/* A knob that nothing uses and that is called almost like this. */
static const st_knob *forgotten_knob(const st_build *b, const char *name) {
    for (int i = 0; i < b->knob_count; i++) {
        if (st_text_nearest(name, &b->knobs[i].name, 1) != NULL && uses_in_tree(b->tree, b->knobs[i].name) == 0) {
            return &b->knobs[i];
        }
    }
    return NULL;
}

/* A name that is used once and unknown is a slip; one that is used again and again lacks its declaration, so that is
 * where to look. */
strata_status st_check_unknown(const st_build *b, const st_block *block, const st_expr *expr) {
    int uses = uses_in_tree(b->tree, expr->text);
    const st_knob *knob = forgotten_knob(b, expr->text);
    if (uses > 1 && knob != NULL) {
        return st_build_fail(b, NULL, knob->place, STRATA_SYNTAX,
                             "nothing uses knob '%s', while '%s', which does not exist, is used %d times", knob->name,
                             expr->text, uses);
    }
    int in_block = block == NULL ? 0 : uses_in_chain(block->chain, expr->text);
    if (in_block > 1) {
        return st_build_fail(b, NULL, block->place, STRATA_SYNTAX,
                             "block %s uses '%s' %d times, but has no parameter and the net no knob of that name",
                             block->name, expr->text, in_block);
    }
    return st_build_unknown(b, NULL, block, expr);
}

/* Every name is known; *depends tells whether one of them is a parameter of the block. */
static strata_status check_names(const walk *w, const st_expr *expr, bool *depends) {
    if (expr->kind == ST_EXPR_NAME) {
        *depends = *depends || is_parameter(w->block, expr->text);
        return st_build_knows(w->b, w->block, expr->text) ? STRATA_OK : st_check_unknown(w->b, w->block, expr);
    }
    for (const st_expr *item = expr->items; item != NULL; item = item->next) {
        ST_TRY(check_names(w, item, depends));
    }
    return STRATA_OK;
}

static strata_status check_condition(const walk *w, const st_expr *expr, bool is_count) {
    bool depends = false, flag;
    int64_t count;
    if (expr == NULL) {
        return STRATA_OK;
    }
    ST_TRY(check_names(w, expr, &depends));
    if (depends) {
        return STRATA_OK;
    }
    return is_count ? st_build_count(&count, w->b, NULL, expr) : st_build_condition(&flag, w->b, NULL, expr);
}

/* A lone name that is unknown may be a word that the layer or block understands. */
static bool is_word(const walk *w, const st_expr *expr) {
    return expr->kind == ST_EXPR_NAME && !st_build_knows(w->b, w->block, expr->text);
}

/* ---- layers ---- */

static strata_status unknown_layer(const walk *w, const st_syntax *step) {
    const st_build *b = w->b;
    const char *names[256];
    size_t count = 0;
    for (int i = 0; i < b->op_count && count < ST_COUNT_OF(names); i++) {
        names[count++] = st_layer_table[i]->name;
    }
    for (const st_block *block = b->tree->blocks; block != NULL && count < ST_COUNT_OF(names); block = block->next) {
        names[count++] = block->name;
    }
    int calls = calls_in_tree(b->tree, step->name);
    for (const st_block *block = b->tree->blocks; block != NULL && calls > 1; block = block->next) {
        if (st_text_nearest(step->name, &block->name, 1) != NULL && calls_in_tree(b->tree, block->name) == 0) {
            return st_build_fail(b, NULL, block->place, STRATA_SYNTAX,
                                 "nothing calls block '%s', while '%s', which does not exist, is called %d times",
                                 block->name, step->name, calls);
        }
    }
    strata_status status =
        st_build_fail(b, NULL, step->name_place, STRATA_SYNTAX, "there is no layer or block named '%s'", step->name);
    const st_expr *first = step->args == NULL || step->args->key != NULL ? NULL : step->args->value;
    st_build_nearest(b, step->name, names, count);
    if (first != NULL && first->kind == ST_EXPR_NAME &&
        (st_build_op_index(first->text) >= 0 || st_build_block(b, first->text) != NULL)) {
        st_error_hint(b->err, "a label is followed by ':', as in %s: %s", step->name, first->text);
    }
    return status;
}

static strata_status check_arg(const walk *w, int op_index, const st_param_spec *spec, const st_syntax *step,
                               const st_arg *arg) {
    bool depends = false;
    if (!is_word(w, arg->value)) {
        ST_TRY(check_names(w, arg->value, &depends));
    }
    if (depends) {
        return STRATA_OK;
    }
    const void *standards;
    void *scratch;
    const st_op *op = st_layer_table[op_index];
    st_value value;
    ST_TRY(st_bind_standard(&standards, w->b, op_index));
    ST_TRY(st_arena_alloc(&scratch, w->b->arena, 1, op->params_size + 1, w->b->err));
    ST_TRY(st_build_value(&value, w->b, NULL, arg->value));
    ST_TRY(st_bind_check_word(w->b, NULL, w->block, spec, step, arg, &value));
    return st_bind_store(w->b, NULL, op, spec, arg, &value, scratch);
}

static strata_status check_op(const walk *w, const st_syntax *step, int op_index) {
    const st_op *op = st_layer_table[op_index];
    const st_arg *found[ST_OP_PARAMS];
    bool is_merge = (op->traits & ST_OP_IS_MERGE) != 0;
    if ((op->traits & ST_OP_IS_LOSS) != 0) {
        strata_status status = st_build_fail(w->b, NULL, step->name_place, STRATA_SYNTAX,
                                             "%s is a loss, not a layer: it belongs to an output", op->name);
        st_error_hint(w->b->err, "output logits loss=%s", op->name);
        return status;
    }
    ST_TRY(st_bind_match(w->b, NULL, op, step, found));
    if (step->lanes != NULL && !is_merge) {
        return st_build_fail(w->b, NULL, step->lanes->place, STRATA_SYNTAX, "%s takes one value and no branches",
                             op->name);
    }
    if (step->lanes == NULL && is_merge) {
        return st_build_fail(w->b, NULL, step->name_place, STRATA_SYNTAX, "%s needs branches: %s { | ... | ... }",
                             op->name, op->name);
    }
    for (int i = 0; i < ST_OP_PARAMS; i++) {
        if (found[i] != NULL) {
            ST_TRY(check_arg(w, op_index, &op->params[i], step, found[i]));
        }
    }
    return STRATA_OK;
}

static strata_status check_block_call(const walk *w, const st_syntax *step, const st_block *block) {
    const st_arg *found[ST_BUILD_ARGS] = {NULL};
    ST_TRY(st_bind_match_block(w->b, NULL, block, step, found));
    if (step->lanes != NULL) {
        return st_build_fail(w->b, NULL, step->lanes->place, STRATA_SYNTAX, "block %s takes one value and no branches",
                             block->name);
    }
    for (const st_arg *arg = step->args; arg != NULL; arg = arg->next) {
        bool depends = false;
        if (!is_word(w, arg->value)) {
            ST_TRY(check_names(w, arg->value, &depends));
        }
    }
    return STRATA_OK;
}

static strata_status check_layer(const walk *w, const st_syntax *step) {
    int op_index = st_build_op_index(step->name);
    const st_block *block = op_index >= 0 ? NULL : st_build_block(w->b, step->name);
    return op_index >= 0   ? check_op(w, step, op_index)
           : block != NULL ? check_block_call(w, step, block)
                           : unknown_layer(w, step);
}

static strata_status check_words(const walk *w, const st_syntax *step) {
    bool depends = false;
    for (const st_arg *arg = step->args; arg != NULL; arg = arg->next) {
        if (!is_word(w, arg->value)) {
            ST_TRY(check_names(w, arg->value, &depends));
        }
    }
    st_step_words words;
    return depends ? STRATA_OK : st_bind_words(&words, w->b, NULL, step);
}

static strata_status check_chain(const walk *w, const st_syntax *chain) {
    for (const st_syntax *step = chain; step != NULL; step = step->next) {
        ST_TRY(check_condition(w, step->condition, step->kind == ST_STEP_REPEAT));
        if (step->kind == ST_STEP_LAYER) {
            ST_TRY(check_layer(w, step));
        } else if (step->kind == ST_STEP_SIDE || step->kind == ST_STEP_OUTPUT) {
            ST_TRY(check_words(w, step));
        }
        for (const st_lane *lane = step->lanes; lane != NULL; lane = lane->next) {
            ST_TRY(check_condition(w, lane->condition, false));
            ST_TRY(check_chain(w, lane->chain));
        }
        ST_TRY(check_chain(w, step->chain));
        ST_TRY(check_chain(w, step->otherwise));
    }
    return STRATA_OK;
}

/* ---- blocks that call themselves ---- */

typedef struct calls {
    const st_build *b;
    const st_block *open[ST_BUILD_CALL_LIMIT];
    int open_count;
    const st_block **done; /* blocks that were looked into */
    int done_count;
} calls;

static strata_status follow_chain(calls *c, const st_syntax *chain);

static strata_status follow_call(calls *c, const st_syntax *step) {
    const st_block *block = st_build_block(c->b, step->name);
    if (block == NULL) {
        return STRATA_OK;
    }
    for (int i = 0; i < c->open_count; i++) {
        if (c->open[i] == block) {
            return st_build_fail(c->b, NULL, step->name_place, STRATA_SYNTAX, "block '%s' calls itself%s%s",
                                 block->name, i == c->open_count - 1 ? "" : " through ",
                                 i == c->open_count - 1 ? "" : c->open[c->open_count - 1]->name);
        }
    }
    for (int i = 0; i < c->done_count; i++) {
        if (c->done[i] == block) {
            return STRATA_OK;
        }
    }
    if (c->open_count == ST_BUILD_CALL_LIMIT) {
        return st_build_fail(c->b, NULL, step->name_place, STRATA_SYNTAX, "blocks call each other more than %d deep",
                             ST_BUILD_CALL_LIMIT);
    }
    c->open[c->open_count++] = block;
    ST_TRY(follow_chain(c, block->chain));
    c->open_count--;
    c->done[c->done_count++] = block;
    return STRATA_OK;
}

static strata_status follow_chain(calls *c, const st_syntax *chain) {
    for (const st_syntax *step = chain; step != NULL; step = step->next) {
        if (step->kind == ST_STEP_LAYER && st_build_op_index(step->name) < 0) {
            ST_TRY(follow_call(c, step));
        }
        for (const st_lane *lane = step->lanes; lane != NULL; lane = lane->next) {
            ST_TRY(follow_chain(c, lane->chain));
        }
        ST_TRY(follow_chain(c, step->chain));
        ST_TRY(follow_chain(c, step->otherwise));
    }
    return STRATA_OK;
}

static strata_status check_calls(st_build *b) {
    size_t count = 0;
    calls *c;
    for (const st_block *block = b->tree->blocks; block != NULL; block = block->next) {
        count++;
    }
    ST_TRY(st_arena_alloc(&c, b->arena, 1, sizeof(*c), b->err));
    ST_TRY(st_arena_alloc(&c->done, b->arena, count + 1, sizeof(*c->done), b->err));
    c->b = b;
    for (const st_block *block = b->tree->blocks; block != NULL; block = block->next) {
        const st_syntax call = {.kind = ST_STEP_LAYER, .name = block->name, .name_place = block->place};
        ST_TRY(follow_call(c, &call));
    }
    return STRATA_OK;
}

/* ---- all ---- */

static strata_status check_block(st_build *b, const st_block *block) {
    walk w = {.b = b, .block = block};
    if (st_build_op_index(block->name) >= 0) {
        return st_build_fail(b, NULL, block->place, STRATA_SYNTAX, "'%s' is a layer; a block needs a name of its own",
                             block->name);
    }
    for (const st_param_decl *param = block->params; param != NULL; param = param->next) {
        bool depends = false;
        if (param->value != NULL && !is_word(&w, param->value)) {
            ST_TRY(check_names(&w, param->value, &depends));
        }
    }
    return check_chain(&w, block->chain);
}

strata_status st_build_check(st_build *b) {
    for (const st_let *let = b->tree->lets; let != NULL; let = let->next) {
        walk w = {.b = b};
        bool depends = false;
        if (!is_word(&w, let->value)) {
            ST_TRY(check_names(&w, let->value, &depends));
        }
    }
    ST_TRY(check_calls(b));
    for (const st_block *block = b->tree->blocks; block != NULL; block = block->next) {
        ST_TRY(check_block(b, block));
    }
    return check_chain(&(walk){.b = b}, b->tree->chain);
}
