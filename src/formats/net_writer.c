/* The graph, and the order of its steps in the text.
 *
 * The door of a value is the last value that all ways from the input to it pass (its immediate dominator; Cooper,
 * Harvey, Kennedy 2001, "A simple, fast dominance algorithm"; steps come in an order in which they can run, so one walk
 * finds all). A chain is written backwards from its end: a step's input, or the door of a join, is what stands before
 * it, up to the value that the chain begins with. The branches of a join begin at its door and are chains too. So what
 * is series-parallel becomes branches alone; a value that was written in another branch before is taken by its label.
 */
#include <string.h>

#include "formats/net_writer_inside.h"
#include "formats/table.h"
#include "lang/lang.h"

enum { NONE = -1, BRANCHES_DEEP = ST_LANG_DEPTH_LIMIT / 2, LAYER_LONGEST = 4096 };

strata_status st_net_writer_create(st_net_writer **out, st_arena *arena, const char *name, const char *comment,
                                   strata_error *err) {
    *out = NULL;
    st_net_writer *w = NULL;
    char *copy = NULL;
    ST_TRY(st_arena_alloc(&w, arena, 1, sizeof *w, err));
    w->arena = arena;
    ST_TRY(st_arena_text(&copy, arena, name, strlen(name), err));
    w->name = copy;
    if (comment != NULL) {
        ST_TRY(st_arena_text(&copy, arena, comment, strlen(comment), err));
        w->comment = copy;
    }
    *out = w;
    return STRATA_OK;
}

void st_net_writer_no_loss(st_net_writer *w) {
    w->has_no_loss = true;
}

const char *st_net_writer_path(const st_net_writer *w, int value) {
    return w->values[value].path;
}

/* ---- the tree of doors ---- */

/* Where two values have the same depth and not the same door above them, `jump` skips many (Myers 1983). */
static int common_door(const st_net_value *values, int a, int b) {
    while (values[a].depth != values[b].depth) {
        int *deeper = values[a].depth > values[b].depth ? &a : &b;
        int least = values[a].depth > values[b].depth ? values[b].depth : values[a].depth;
        *deeper = values[values[*deeper].jump].depth >= least ? values[*deeper].jump : values[*deeper].door;
    }
    while (a != b) {
        bool skips = values[a].jump != values[b].jump;
        a = skips ? values[a].jump : values[a].door;
        b = skips ? values[b].jump : values[b].door;
    }
    return a;
}

static void hang(st_net_value *values, int at) {
    st_net_value *value = &values[at];
    int door = value->inputs[0];
    for (size_t i = 1; i < value->count; i++) {
        door = common_door(values, door, value->inputs[i]);
    }
    const st_net_value *above = &values[door], *jump = &values[above->jump];
    value->door = door;
    value->depth = above->depth + 1;
    value->jump = above->depth - jump->depth == jump->depth - values[jump->jump].depth ? jump->jump : door;
}

/* ---- steps ---- */

/* The layer's own word decides what it is. */
static strata_status find_layer(st_net_value *value, strata_error *err) {
    size_t length = strcspn(value->layer, " ");
    for (const st_op *const *at = st_layer_table; *at != NULL; at++) {
        uint32_t traits = (*at)->traits;
        if (strlen((*at)->name) == length && memcmp((*at)->name, value->layer, length) == 0) {
            bool is_identity = (traits & ST_OP_IS_IDENTITY) != 0 && (traits & ST_OP_IS_FLATTEN) == 0;
            value->is_join = (traits & ST_OP_IS_MERGE) != 0;
            value->is_counted = !value->is_join && !is_identity && (traits & ST_OP_IS_INPUT) == 0;
            return STRATA_OK;
        }
    }
    return st_fail(err, STRATA_INVALID, "no layer is called '%.*s'", (int)(length < 64 ? length : 64), value->layer);
}

static strata_status add_value(int *out, st_net_writer *w, const char *layer, const char *wish, const int *inputs,
                               size_t count, strata_error *err) {
    char *text = NULL;
    int *copy = NULL;
    ST_FAIL_IF(w->value_count >= ST_LANG_LAYER_LIMIT, err, STRATA_UNSUPPORTED, "more than %d layers",
               ST_LANG_LAYER_LIMIT);
    ST_FAIL_IF(strlen(layer) > LAYER_LONGEST, err, STRATA_UNSUPPORTED, "a layer whose text has more than %d characters",
               LAYER_LONGEST);
    ST_TRY(st_format_grow(&w->values, w->value_count, sizeof *w->values, w->arena, err));
    st_net_value *value = &w->values[w->value_count];
    *value = (st_net_value){.count = count};
    ST_TRY(st_arena_text(&text, w->arena, layer, strlen(layer), err));
    value->layer = text;
    if (wish != NULL) {
        ST_TRY(st_arena_text(&text, w->arena, wish, strlen(wish), err));
        value->wish = text;
    }
    ST_TRY(st_arena_alloc(&copy, w->arena, count, sizeof *copy, err));
    memcpy(copy, inputs, count * sizeof *copy);
    value->inputs = copy;
    ST_TRY(find_layer(value, err));
    *out = (int)w->value_count;
    return STRATA_OK;
}

strata_status st_net_writer_input(int *value, st_net_writer *w, const char *layer, strata_error *err) {
    ST_FAIL_IF(w->value_count > 0, err, STRATA_UNSUPPORTED, "more than one input");
    ST_TRY(add_value(value, w, layer, NULL, &(int){0}, 0, err));
    w->value_count++; /* its own door, 0 deep */
    return STRATA_OK;
}

strata_status st_net_writer_step(int *value, st_net_writer *w, const char *layer, const char *wish, const int *inputs,
                                 size_t count, strata_error *err) {
    ST_FAIL_IF(count == 0, err, STRATA_INVALID, "'%.64s' has no input", layer);
    for (size_t i = 0; i < count; i++) {
        ST_FAIL_IF(inputs[i] < 0 || (size_t)inputs[i] >= w->value_count, err, STRATA_INVALID,
                   "'%.64s': there is no value %d yet", layer, inputs[i]);
    }
    ST_TRY(add_value(value, w, layer, wish, inputs, count, err));
    ST_FAIL_IF(count > 1 && !w->values[*value].is_join, err, STRATA_INVALID, "'%.64s' has %zu inputs", layer, count);
    hang(w->values, *value);
    w->value_count++;
    return STRATA_OK;
}

/* ---- the order of the text ---- */

static strata_status add_item(st_net_writer *w, st_net_mark mark, int value, strata_error *err) {
    ST_TRY(st_format_grow(&w->items, w->item_count, sizeof *w->items, w->arena, err));
    w->items[w->item_count++] = (st_net_item){.mark = mark, .value = value};
    return STRATA_OK;
}

static strata_status take(st_net_writer *w, int value, strata_error *err) {
    w->values[value].is_taken = true;
    return add_item(w, ST_NET_TAKE, value, err);
}

static strata_status add_chain(st_net_writer *w, int from, int to, int deep, strata_error *err);

/* STRATA_UNSUPPORTED, without a message, where branches lie too deep in each other. */
static strata_status add_step(st_net_writer *w, int at, int deep, strata_error *err) {
    const st_net_value *value = &w->values[at];
    if (!value->is_join) {
        ST_TRY(add_item(w, ST_NET_STEP, at, err));
    } else {
        if (deep == BRANCHES_DEEP) {
            return STRATA_UNSUPPORTED;
        }
        ST_TRY(add_item(w, ST_NET_OPEN, at, err));
        for (size_t i = 0; i < value->count; i++) {
            ST_TRY(add_item(w, ST_NET_LANE, value->door, err));
            ST_TRY(add_chain(w, value->door, value->inputs[i], deep + 1, err));
        }
        ST_TRY(add_item(w, ST_NET_CLOSE, at, err));
    }
    w->values[at].is_written = true;
    return STRATA_OK;
}

/* What leads from one value, which is written, to another. */
static strata_status add_chain(st_net_writer *w, int from, int to, int deep, strata_error *err) {
    int *steps = NULL, at = to;
    size_t count = 0;
    for (; at != from && !w->values[at].is_written; at = w->values[at].door) {
        ST_TRY(st_format_grow(&steps, count, sizeof *steps, w->arena, err));
        steps[count++] = at;
    }
    if (at != from) {
        ST_TRY(take(w, at, err));
    }
    while (count > 0) {
        ST_TRY(add_step(w, steps[--count], deep, err));
    }
    return STRATA_OK;
}

/* One step after the other, in the order in which they came: right for every graph. */
static strata_status add_all(st_net_writer *w, int output, strata_error *err) {
    w->item_count = 0;
    for (size_t i = 0; i < w->value_count; i++) {
        w->values[i].is_taken = false;
    }
    int before = NONE;
    for (int at = 0; at <= output; at++) {
        const st_net_value *value = &w->values[at];
        if (!value->is_used) {
            continue;
        }
        if (value->is_join) {
            ST_TRY(add_item(w, ST_NET_OPEN, at, err));
            for (size_t i = 0; i < value->count; i++) {
                ST_TRY(add_item(w, ST_NET_LANE, before, err));
                ST_TRY(value->inputs[i] != before ? take(w, value->inputs[i], err) : STRATA_OK);
            }
            ST_TRY(add_item(w, ST_NET_CLOSE, at, err));
        } else {
            ST_TRY(value->count > 0 && value->inputs[0] != before ? take(w, value->inputs[0], err) : STRATA_OK);
            ST_TRY(add_item(w, ST_NET_STEP, at, err));
        }
        before = at;
    }
    return STRATA_OK;
}

strata_status st_net_writer_finish(char **text, st_net_writer *w, int output, strata_error *err) {
    *text = NULL;
    ST_FAIL_IF(output < 0 || (size_t)output >= w->value_count, err, STRATA_INVALID, "there is no value %d", output);
    w->values[output].is_used = true;
    for (int at = output; at >= 0; at--) {
        const st_net_value *value = &w->values[at];
        for (size_t i = 0; value->is_used && i < value->count; i++) {
            w->values[value->inputs[i]].is_used = true;
        }
    }
    ST_TRY(add_item(w, ST_NET_STEP, 0, err));
    w->values[0].is_written = true;
    strata_status status = add_chain(w, 0, output, 0, err);
    if (status == STRATA_UNSUPPORTED) {
        status = add_all(w, output, err);
    }
    ST_TRY(status);
    return st_net_writer_text(text, w, err);
}
