/* The layers of a network as strata describe lists them: a layer with what joins it in a line, deep nets folded. */
#include <stdlib.h>
#include <string.h>

#include "description.h"

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static label count_or_blank(int64_t n) {
    return n != 0 ? count_text(n) : (label){{0}};
}

/* A layer with the activations behind it, or a whole block folded into a line. */
typedef struct row {
    const char *path, *op, *scopes; /* of its first layer */
    size_t name_length;             /* of `path`: the layer's whole name or that of a scope */
    text operation;
    const char *word; /* of a folded block, with `times` of them; NULL: a layer */
    size_t word_length, times;
    size_t last; /* layer whose value leaves it */
    int64_t parameters, multiply_adds;
} row;

typedef struct row_list {
    row *list;
    size_t count;
} row_list;

static void free_rows(row_list *r) {
    for (size_t i = 0; i < r->count; i++) {
        text_free(&r->list[i].operation);
    }
    free(r->list);
    *r = (row_list){0};
}

/* One row per layer that is shown. */
static row_list collect_rows(const subject_net *s, const describe_arguments *a) {
    row_list out = {.list = take(NULL, s->info.layer_count * sizeof *out.list)};
    strata_layer_info before = {0};
    for (size_t i = 0; i < s->info.layer_count; i++) {
        strata_layer_info layer;
        strata_net_layer(s->net, i, &layer);
        if (layer.is_train_only && !a->train) {
            continue;
        }
        bool is_behind = out.count > 0 && layer_joins(&layer, &before);
        row *r = is_behind ? &out.list[out.count - 1] : &out.list[out.count++];
        if (!is_behind) {
            *r = (row){.path = layer.name,
                       .op = layer.op,
                       .scopes = layer.scopes,
                       .name_length = strlen(layer.name),
                       .times = 1};
            text_add(&r->operation, "%s", "");
        } else {
            text_add(&r->operation, ", ");
        }
        if (layer.input_count > 0) {
            layer_add_text(&r->operation, &layer);
        }
        r->last = i;
        r->parameters += layer.parameters;
        r->multiply_adds += layer.multiply_adds;
        before = layer;
    }
    return out;
}

/* ---- folding ---------------------------------------------------------------------------------------------------- */

/* "inception 64 + 128 + 32 + 32": the word of a block and, where it ends in a concat, the channels of its branches. */
static void name_block(row *r, const subject_net *s) {
    strata_layer_info layer, branch;
    strata_net_layer(s->net, r->last, &layer);
    text_add(&r->operation, "%.*s", (int)r->word_length, r->word);
    for (size_t i = 0; i < layer.input_count && i < 8 && layer.kind == STRATA_LAYER_CONCAT; i++) {
        strata_net_layer(s->net, (size_t)layer.inputs[i], &branch);
        text_add(&r->operation, "%s%lld", i == 0 ? " " : " + ", (long long)branch.output.channels);
    }
}

/* "19 conv, 6 add". */
static void count_operations(text *out, const row *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t same = 0, earlier = 0;
        for (size_t k = 0; k < count; k++) {
            same += strcmp(list[k].op, list[i].op) == 0;
            earlier += k < i && strcmp(list[k].op, list[i].op) == 0;
        }
        if (earlier == 0) {
            text_add(out, "%s%zu %s", out->length > 0 ? ", " : "", same, list[i].op);
        }
    }
}

/* The rows as one, named by the first `length` characters of their path; its operation is still to be said. */
static row join_rows(row *list, size_t count, size_t length) {
    row whole = list[0];
    whole.operation = (text){0};
    whole.name_length = length;
    whole.last = list[count - 1].last;
    whole.parameters = whole.multiply_adds = 0;
    for (size_t i = 0; i < count; i++) {
        whole.parameters += list[i].parameters;
        whole.multiply_adds += list[i].multiply_adds;
        text_free(&list[i].operation);
    }
    return whole;
}

static bool are_one_word(const row *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (list[i].word == NULL || list[i].word_length != list[0].word_length ||
            strncmp(list[i].word, list[0].word, list[0].word_length) != 0) {
            return false;
        }
    }
    return true;
}

/* Blocks become rows; a group of nothing but blocks of one kind becomes one row. All rows share the first `length`
 * characters of their paths, and `depth` scopes. Returns how many are left, at the front. */
static size_t fold_blocks(row *list, size_t count, const subject_net *s, size_t length, int depth) {
    size_t kept = 0;
    for (size_t i = 0, end; i < count; i = end) {
        const char *path = list[i].path, *dot = strchr(path + length, '.'), *word = list[i].scopes;
        size_t scope = dot != NULL ? (size_t)(dot - path) + 1 : 0;
        for (end = i + 1; scope > 0 && end < count && strncmp(list[end].path, path, scope) == 0;) {
            end++;
        }
        for (int k = 0; k < depth && scope > 0; k++) {
            word += strcspn(word, ".");
            word += word[0] == '.';
        }
        size_t word_length = scope > 0 ? strcspn(word, ".") : 0;
        if (scope == 0) {
            list[kept++] = list[i];
        } else if (word_length > 0 && end == i + 1) {
            list[kept] = list[i];
            list[kept++].name_length = scope - 1;
        } else if (word_length > 0) {
            row whole = join_rows(list + i, end - i, scope - 1);
            whole.word = word;
            whole.word_length = word_length;
            name_block(&whole, s);
            list[kept++] = whole;
        } else {
            size_t inside = fold_blocks(list + i, end - i, s, scope, depth + 1);
            if (are_one_word(list + i, inside)) {
                row whole = join_rows(list + i, inside, scope - 1);
                whole.times = inside;
                text_add(&whole.operation, inside > 1 ? "%.*s x %zu" : "%.*s", (int)whole.word_length, whole.word,
                         inside);
                list[i] = whole;
                inside = 1;
            }
            memmove(list + kept, list + i, inside * sizeof *list);
            kept += inside;
        }
    }
    return kept;
}

/* What stands in one outermost scope becomes one row, whatever it is. */
static size_t fold_outermost(row *list, size_t count) {
    size_t kept = 0;
    for (size_t i = 0, end; i < count; i = end) {
        const char *dot = strchr(list[i].path, '.');
        size_t scope = dot != NULL ? (size_t)(dot - list[i].path) + 1 : 0;
        for (end = i + 1; scope > 0 && end < count && strncmp(list[end].path, list[i].path, scope) == 0;) {
            end++;
        }
        row whole = list[i];
        if (end > i + 1) {
            text operations = {0};
            count_operations(&operations, list + i, end - i);
            whole = join_rows(list + i, end - i, scope - 1);
            whole.operation = operations;
        }
        list[kept++] = whole;
    }
    return kept;
}

static void print_rows(const row_list *r, const subject_net *s) {
    static const char *const titles[] = {"layer",         "operation", "output", "parameters",
                                         "multiply-adds", "field",     "stride"};
    table t = {.alignment = "lllrrrr", .column_count = COUNT_OF(titles)};
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        table_cell(&t, "%s", titles[i]);
    }
    for (size_t i = 0; i < r->count; i++) {
        const row *one = &r->list[i];
        strata_layer_info last;
        strata_net_layer(s->net, one->last, &last);
        table_cell(&t, "%.*s", (int)one->name_length, one->path);
        table_cell(&t, "%s", one->operation.bytes);
        table_cell(&t, "%s", shape_text(last.output, last.is_flat).s);
        table_cell(&t, "%s", count_or_blank(one->parameters).s);
        table_cell(&t, "%s", count_or_blank(one->multiply_adds).s);
        table_cell(&t, "%s", last.receptive_field > 0 ? count_text(last.receptive_field).s : "all");
        table_cell(&t, "%s", count_or_blank(last.receptive_stride).s);
    }
    for (int i = 0; i < 3; i++) {
        table_cell(&t, "%s", "");
    }
    table_cell(&t, "%s", count_text(s->info.parameters).s);
    table_cell(&t, "%s", count_text(s->info.multiply_adds).s);
    table_cell(&t, "%s", "");
    table_cell(&t, "%s", "");
    table_print(&t, "", true);
}

/* Returns whether blocks were folded. */
bool print_layers(const subject_net *s, const describe_arguments *a) {
    enum { MOST_ROWS = 40 };
    row_list r = collect_rows(s, a);
    size_t all = r.count;
    if (all > MOST_ROWS && !a->unfold) {
        r.count = fold_blocks(r.list, r.count, s, 0, 0);
        r.count = r.count > MOST_ROWS ? fold_outermost(r.list, r.count) : r.count;
    }
    bool is_folded = r.count < all;
    print_rows(&r, s);
    free_rows(&r);
    return is_folded;
}

/* ---- branches --------------------------------------------------------------------------------------------------- */

/* The only concat of the net; layer_count: none, or several. `uses`: of each layer's value. */
static size_t find_concat(const subject_net *s, size_t *uses) {
    size_t found = s->info.layer_count, count = 0;
    memset(uses, 0, s->info.layer_count * sizeof *uses);
    for (size_t i = 0; i < s->info.layer_count; i++) {
        strata_layer_info layer;
        strata_net_layer(s->net, i, &layer);
        for (size_t k = 0; k < layer.input_count; k++) {
            uses[layer.inputs[k]]++;
        }
        if (layer.kind == STRATA_LAYER_CONCAT) {
            found = i;
            count++;
        }
    }
    return count == 1 ? found : s->info.layer_count;
}

/* A branch from its end back to where it parts from the others: what it does, in order, and what it costs. */
static void print_branch(table *t, const subject_net *s, const strata_layer_info *concat, int end, const size_t *uses) {
    enum { MOST = 8 }; /* layers that are named */
    int chain[MOST], count = 0;
    text operation = {0};
    strata_layer_info layer, last;
    int64_t parameters = 0, multiply_adds = 0;
    strata_net_layer(s->net, (size_t)end, &last);
    for (int at = end; at > 0 && uses[at] == 1;) {
        strata_net_layer(s->net, (size_t)at, &layer);
        if ((layer.multiply_adds > 0 || layer.kind == STRATA_LAYER_POOL) && count < MOST) {
            chain[count++] = at;
        }
        parameters += layer.parameters;
        multiply_adds += layer.multiply_adds;
        at = layer.input_count == 1 ? layer.inputs[0] : 0;
    }
    text_add(&operation, "%s", "");
    while (count > 0) {
        strata_net_layer(s->net, (size_t)chain[--count], &layer);
        layer_add_text(&operation, &layer);
        text_add(&operation, "%s", count > 0 ? ", " : "");
    }
    const char *dot = strrchr(concat->name, '.');
    size_t scope = dot != NULL ? (size_t)(dot - concat->name) + 1 : 0;
    const char *name = last.name + (strncmp(last.name, concat->name, scope) == 0 ? scope : 0);
    table_cell(t, "%.*s", (int)strcspn(name, "."), name);
    table_cell(t, "%s", operation.bytes);
    table_cell(t, "%s", shape_text(last.output, last.is_flat).s);
    table_cell(t, "%s", count_or_blank(parameters).s);
    table_cell(t, "%s", count_or_blank(multiply_adds).s);
    text_free(&operation);
}

/* What each branch of a net with one set of them costs: the classic sum of the Inception module. */
void print_branches(const subject_net *s) {
    size_t *uses = take(NULL, s->info.layer_count * sizeof *uses), at = find_concat(s, uses);
    if (at == s->info.layer_count) {
        free(uses);
        return;
    }
    static const char *const titles[] = {"branch", "operation", "output", "parameters", "multiply-adds"};
    table t = {.alignment = "lllrr", .column_count = COUNT_OF(titles)};
    strata_layer_info concat;
    strata_net_layer(s->net, at, &concat);
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        table_cell(&t, "%s", titles[i]);
    }
    for (size_t i = 0; i < concat.input_count && i < 64; i++) {
        print_branch(&t, s, &concat, concat.inputs[i], uses);
    }
    free(uses);
    putchar('\n');
    table_print(&t, "", true);
    putchar('\n');
}
