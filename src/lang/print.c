/* print: the syntax tree back to text. One self-contained net: the knobs with the values that settings gave them, the
 * blocks that the network uses, the network; one step a line. Comments are not in the tree; format.c keeps them. */
#include <stdio.h>
#include <string.h>

#include "lang/tokens.h"

/* ---- numbers ---- */

/* The number as digits x 10^exponent with the fewest digits that read back as itself. */
static void add_fraction(st_text *text, double number) {
    int power = 0;
    double scaled = number;
    for (; scaled >= 10 && power < 400; power++) {
        scaled /= 10;
    }
    for (; scaled < 1 && power > -400; power--) {
        scaled *= 10;
    }
    char digits[64];
    double factor = 1;
    for (int count = 1; count <= 17; count++, factor *= 10) {
        long long mantissa = (long long)(scaled * factor + 0.5);
        int exponent = power - count + 1;
        size_t length = 0;
        if (exponent <= 0 && exponent > -22 && power >= -5) {
            char whole[32];
            int used = snprintf(whole, sizeof(whole), "%0*lld", power < 0 ? count - power : count, mantissa);
            int point = used + exponent;
            length = exponent == 0 ? (size_t)snprintf(digits, sizeof(digits), "%s", whole)
                                   : (size_t)snprintf(digits, sizeof(digits), "%.*s.%s", point, whole, whole + point);
        } else {
            length = (size_t)snprintf(digits, sizeof(digits), "%llde%d", mantissa, exponent);
        }
        double back;
        if (st_lang_number(&back, digits, length) && back >= number && back <= number) {
            break;
        }
    }
    st_text_add(text, "%s", digits);
}

void st_lang_print_number(st_text *text, double number) {
    if (number < 0) {
        st_text_add(text, "-");
        number = -number;
    }
    if (number < 1e15 && number >= (double)(int64_t)number && number <= (double)(int64_t)number) {
        st_text_add(text, "%lld", (long long)number);
    } else {
        add_fraction(text, number);
    }
}

/* ---- expressions ---- */

static const char *operator_text(st_operator op) {
    static const char *const texts[] = {
        [ST_OPERATOR_ADD] = "+",    [ST_OPERATOR_SUB] = "-",   [ST_OPERATOR_MUL] = "*",     [ST_OPERATOR_DIV] = "/",
        [ST_OPERATOR_EQ] = " == ",  [ST_OPERATOR_NE] = " != ", [ST_OPERATOR_LT] = " < ",    [ST_OPERATOR_LE] = " <= ",
        [ST_OPERATOR_GT] = " > ",   [ST_OPERATOR_GE] = " >= ", [ST_OPERATOR_AND] = " and ", [ST_OPERATOR_OR] = " or ",
        [ST_OPERATOR_NOT] = "not ", [ST_OPERATOR_NEG] = "-"};
    return texts[op];
}

static bool is_number(const st_expr *expr) {
    return expr->kind == ST_EXPR_NUMBER && !expr->in_parentheses;
}

static void add_items(st_text *text, const st_expr *expr) {
    for (const st_expr *item = expr->items; item != NULL; item = item->next) {
        st_lang_print_expr(text, item);
        if (item->next != NULL) {
            bool tight = expr->kind == ST_EXPR_DIMS && is_number(item) && is_number(item->next);
            st_text_add(text, expr->kind == ST_EXPR_LIST ? " " : tight ? "x" : " x ");
        }
    }
}

static void add_bare(st_text *text, const st_expr *expr) {
    const st_expr *first = expr->items;
    switch (expr->kind) {
    case ST_EXPR_NUMBER:
    case ST_EXPR_NAME:
    case ST_EXPR_YES:
    case ST_EXPR_NO:
        st_text_add(text, "%s", expr->text);
        break;
    case ST_EXPR_STRING:
        st_text_add(text, "\"%s\"", expr->text);
        break;
    case ST_EXPR_LIST:
        st_text_add(text, "[");
        add_items(text, expr);
        st_text_add(text, "]");
        break;
    case ST_EXPR_DIMS:
        add_items(text, expr);
        break;
    case ST_EXPR_UNARY:
        st_text_add(text, "%s", operator_text(expr->op));
        st_lang_print_expr(text, first);
        break;
    case ST_EXPR_BINARY:
        st_lang_print_expr(text, first);
        st_text_add(text, "%s", operator_text(expr->op));
        st_lang_print_expr(text, first->next);
        break;
    case ST_EXPR_IF:
        st_text_add(text, "if ");
        st_lang_print_expr(text, first);
        st_text_add(text, " then ");
        st_lang_print_expr(text, first->next);
        st_text_add(text, " else ");
        st_lang_print_expr(text, first->next->next);
        break;
    }
}

void st_lang_print_expr(st_text *text, const st_expr *expr) {
    st_text_add(text, "%s", expr->in_parentheses ? "(" : "");
    add_bare(text, expr);
    st_text_add(text, "%s", expr->in_parentheses ? ")" : "");
}

/* ---- steps ---- */

/* `indent` is that of the line on which something stands, in characters: the layout is format.c's. */
static void add_indent(st_text *text, int indent) {
    for (int i = 0; i < indent; i++) {
        st_text_add(text, " ");
    }
}

static void add_args(st_text *text, const st_arg *args) {
    for (const st_arg *arg = args; arg != NULL; arg = arg->next) {
        st_text_add(text, arg->key == NULL ? " " : " %s=", arg->key == NULL ? "" : arg->key);
        st_lang_print_expr(text, arg->value);
    }
}

static void add_chain(st_text *text, const st_syntax *chain, int indent);

static void add_braces(st_text *text, const st_syntax *chain, int indent) {
    st_text_add(text, "{\n");
    add_chain(text, chain, indent + 4);
    add_indent(text, indent);
    st_text_add(text, "}");
}

static void add_step(st_text *text, const st_syntax *step, int indent);

/* "| first" and its further steps 2 right of the '|'. */
static void add_lanes(st_text *text, const st_lane *lanes, int indent) {
    st_text_add(text, " {\n");
    for (const st_lane *lane = lanes; lane != NULL; lane = lane->next) {
        add_indent(text, indent + 4);
        if (lane->condition != NULL) {
            st_text_add(text, "if ");
            st_lang_print_expr(text, lane->condition);
            st_text_add(text, " ");
        }
        st_text_add(text, "|");
        if (lane->chain != NULL) {
            st_text_add(text, " ");
            add_step(text, lane->chain, indent + 4);
        }
        st_text_add(text, "\n");
        add_chain(text, lane->chain == NULL ? NULL : lane->chain->next, indent + 6);
    }
    add_indent(text, indent);
    st_text_add(text, "}");
}

static void add_step(st_text *text, const st_syntax *step, int indent) {
    if (step->label != NULL) {
        st_text_add(text, "%s: ", step->label);
    }
    switch (step->kind) {
    case ST_STEP_LAYER:
        st_text_add(text, "%s", step->name);
        add_args(text, step->args);
        if (step->lanes != NULL) {
            add_lanes(text, step->lanes, indent);
        }
        break;
    case ST_STEP_GROUP:
        add_braces(text, step->chain, indent);
        break;
    case ST_STEP_SIDE:
        st_text_add(text, "side");
        add_args(text, step->args);
        st_text_add(text, " ");
        add_braces(text, step->chain, indent);
        break;
    case ST_STEP_REPEAT:
    case ST_STEP_IF:
        st_text_add(text, step->kind == ST_STEP_IF ? "if " : "repeat ");
        st_lang_print_expr(text, step->condition);
        st_text_add(text, " ");
        add_braces(text, step->chain, indent);
        if (step->otherwise != NULL) {
            st_text_add(text, " else ");
            add_braces(text, step->otherwise, indent);
        }
        break;
    case ST_STEP_OUTPUT:
    case ST_STEP_TAKE:
        st_text_add(text, "%s %s", step->kind == ST_STEP_TAKE ? "take" : "output", step->name);
        add_args(text, step->args);
        break;
    }
}

static void add_chain(st_text *text, const st_syntax *chain, int indent) {
    for (const st_syntax *step = chain; step != NULL; step = step->next) {
        add_indent(text, indent);
        add_step(text, step, indent);
        st_text_add(text, "\n");
    }
}

/* ---- what the network uses ---- */

typedef struct used_blocks {
    const st_block *blocks[ST_LANG_DECLARATION_LIMIT];
    int count;
} used_blocks;

static void use_chain(used_blocks *used, const st_tree *tree, const st_syntax *chain);

static void use_name(used_blocks *used, const st_tree *tree, const char *name) {
    for (int i = 0; i < used->count; i++) {
        if (strcmp(used->blocks[i]->name, name) == 0) {
            return;
        }
    }
    for (const st_block *block = tree->blocks; block != NULL; block = block->next) {
        if (strcmp(block->name, name) == 0) {
            used->blocks[used->count++] = block;
        }
    }
}

static void use_chain(used_blocks *used, const st_tree *tree, const st_syntax *chain) {
    for (const st_syntax *step = chain; step != NULL; step = step->next) {
        if (step->kind == ST_STEP_LAYER) {
            use_name(used, tree, step->name);
        }
        for (const st_lane *lane = step->lanes; lane != NULL; lane = lane->next) {
            use_chain(used, tree, lane->chain);
        }
        use_chain(used, tree, step->chain);
        use_chain(used, tree, step->otherwise);
    }
}

static bool is_used(const used_blocks *used, const st_block *block) {
    for (int i = 0; i < used->count; i++) {
        if (used->blocks[i] == block) {
            return true;
        }
    }
    return false;
}

/* ---- declarations ---- */

/* The value that counts: a setting's, else that of the last `let` with this name. */
static const st_expr *knob_value(const st_tree *tree, const st_let *settings, const char *name) {
    const st_expr *value = NULL;
    for (int from_settings = 0; from_settings < 2; from_settings++) {
        for (const st_let *let = from_settings ? settings : tree->lets; let != NULL; let = let->next) {
            value = strcmp(let->name, name) == 0 ? let->value : value;
        }
    }
    return value;
}

static void add_lets(st_text *text, const st_tree *tree, const st_let *settings) {
    for (const st_let *let = tree->lets; let != NULL; let = let->next) {
        bool is_first = true;
        for (const st_let *before = tree->lets; before != let; before = before->next) {
            is_first = is_first && strcmp(before->name, let->name) != 0;
        }
        if (is_first) {
            st_text_add(text, "let %s = ", let->name);
            st_lang_print_expr(text, knob_value(tree, settings, let->name));
            st_text_add(text, "\n");
        }
    }
    st_text_add(text, tree->lets == NULL ? "" : "\n");
}

static void add_description(st_text *text, const char *description) {
    for (const char *at = description; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        st_text_add(text, length == 0 ? "#" : "# ");
        st_text_add_bytes(text, at, length);
        st_text_add(text, "\n");
        at += length + (at[length] == '\n');
    }
    st_text_add(text, *description == '\0' ? "" : "\n");
}

static void add_freezes(st_text *text, const st_freeze *freezes) {
    for (const st_freeze *freeze = freezes; freeze != NULL; freeze = freeze->next) {
        st_text_add(text, freeze->all_except ? "freeze all except" : "freeze");
        for (size_t i = 0; i < freeze->path_count; i++) {
            st_text_add(text, " %s", freeze->paths[i]);
        }
        st_text_add(text, "\n");
    }
    st_text_add(text, freezes == NULL ? "" : "\n");
}

static void add_blocks(st_text *text, const st_tree *tree, const used_blocks *used) {
    for (const st_block *block = tree->blocks; block != NULL; block = block->next) {
        if (!is_used(used, block)) {
            continue;
        }
        st_text_add(text, "block %s", block->name);
        for (const st_param_decl *param = block->params; param != NULL; param = param->next) {
            st_text_add(text, param->value == NULL ? " %s" : " %s=", param->name);
            if (param->value != NULL) {
                st_lang_print_expr(text, param->value);
            }
        }
        st_text_add(text, " ");
        add_braces(text, block->chain, 0);
        st_text_add(text, "\n\n");
    }
}

/* Every knob of the settings is one of the net's. */
static strata_status check_settings(const st_tree *tree, const st_let *settings, strata_error *err) {
    for (const st_let *let = settings; let != NULL; let = let->next) {
        if (knob_value(tree, NULL, let->name) == NULL) {
            return st_fail_at(err, STRATA_MISSING, let->place, "this net has no knob '%s'", let->name);
        }
    }
    return STRATA_OK;
}

static strata_status print_tree(char **out, st_arena *arena, const st_tree *tree, const char *settings,
                                strata_error *err) {
    const st_let *lets;
    used_blocks *used;
    ST_TRY(st_lang_settings(&lets, arena, settings, err));
    ST_TRY(check_settings(tree, lets, err));
    ST_TRY(st_arena_alloc(&used, arena, 1, sizeof(*used), err));
    use_chain(used, tree, tree->chain);
    for (int i = 0; i < used->count; i++) {
        use_chain(used, tree, used->blocks[i]->chain);
    }
    st_text text = {0};
    add_description(&text, tree->description);
    add_lets(&text, tree, lets);
    add_freezes(&text, tree->freezes);
    add_blocks(&text, tree, used);
    if (tree->network != NULL) {
        st_text_add(&text, "network %s ", tree->network);
        add_braces(&text, tree->chain, 0);
        st_text_add(&text, "\n");
    }
    return st_text_finish(out, &text, err);
}

strata_status st_lang_print(char **out, const st_tree *tree, const char *settings, strata_error *err) {
    st_arena *arena;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = print_tree(out, arena, tree, settings, err);
    st_arena_free(arena);
    return status;
}
