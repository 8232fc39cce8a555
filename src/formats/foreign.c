/* foreign: weights that wait for their names, and the last look at a net that came from another program's file. */
#include <stdio.h>
#include <string.h>

#include "formats/foreign.h"
#include "formats/table.h"

strata_status st_foreign_state_add(st_foreign *foreign, int step, const char *word, const st_tensor *tensor,
                                   strata_error *err) {
    int64_t *dims = NULL;
    ST_TRY(st_format_grow(&foreign->tensors, foreign->tensor_count, sizeof *foreign->tensors, foreign->arena, err));
    ST_TRY(st_format_grow(&foreign->states, foreign->tensor_count, sizeof *foreign->states, foreign->arena, err));
    ST_TRY(st_arena_alloc(&dims, foreign->arena, (size_t)tensor->rank, sizeof *dims, err));
    memcpy(dims, tensor->dims, (size_t)tensor->rank * sizeof *dims);
    st_tensor *at = &foreign->tensors[foreign->tensor_count];
    *at = *tensor;
    at->dims = dims;
    foreign->states[foreign->tensor_count++] = (st_foreign_state){.step = step, .word = word};
    return STRATA_OK;
}

/* ---- the finished net ---- */

static strata_status name_tensors(st_weights *out, const st_foreign *foreign, strata_error *err) {
    size_t kept = 0;
    for (size_t i = 0; i < foreign->tensor_count; i++) {
        const char *path = st_net_writer_path(foreign->writer, foreign->states[i].step);
        char *name = NULL;
        if (path == NULL) {
            continue;
        }
        ST_TRY(st_arena_printf(&name, foreign->arena, err, "%s.%s", path, foreign->states[i].word));
        foreign->tensors[kept] = foreign->tensors[i];
        foreign->tensors[kept++].name = name;
    }
    out->tensors = foreign->tensors;
    out->tensor_count = kept;
    return STRATA_OK;
}

static strata_status add_pairs(st_weights *out, const char *net, const char *note, strata_error *err) {
    enum { PAIRS = 2 };
    st_pair *pairs = NULL;
    ST_TRY(st_arena_alloc(&pairs, out->arena, PAIRS, sizeof *pairs, err));
    pairs[0] = (st_pair){.name = ST_PAIR_NET, .value = net};
    pairs[1] = (st_pair){.name = ST_PAIR_NOTE, .value = note};
    out->pairs = pairs;
    out->pair_count = PAIRS;
    return STRATA_OK;
}

/* What its net says of pictures, the file says, also where its weights go into another net. */
static strata_status add_preparation(st_weights *out, const st_graph *graph, strata_error *err) {
    const char *keys = st_graph_input_keys(graph);
    st_pair *pairs = NULL;
    char *copy = NULL;
    if (!graph->has_normalization) {
        return STRATA_OK;
    }
    ST_TRY(st_arena_text(&copy, out->arena, keys, strlen(keys), err));
    ST_TRY(st_arena_alloc(&pairs, out->arena, out->pair_count + 1, sizeof *pairs, err));
    memcpy(pairs, out->pairs, out->pair_count * sizeof *pairs);
    pairs[out->pair_count++] = (st_pair){.name = ST_PAIR_PREPROCESS, .value = copy};
    out->pairs = pairs;
    return STRATA_OK;
}

static strata_status compare_state(size_t *found, const st_weights *out, const st_state *state, strata_error *err) {
    const st_tensor *tensor = st_weights_find(out, state->path);
    bool same = tensor != NULL && tensor->rank == state->dims.rank;
    for (int i = 0; same && i < tensor->rank; i++) {
        same = tensor->dims[i] == state->dims.dims[i];
    }
    if (!same) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path, "'%s' of the net %s", state->path,
                            tensor == NULL ? "has no weights in it" : "has weights of another shape in it");
    }
    (*found)++;
    return STRATA_OK;
}

/* Each weight of the net is there and has its shape; none is too many. A net without any is an architecture. */
static strata_status compare_states(const st_weights *out, const st_graph *graph, strata_error *err) {
    size_t found = 0;
    for (int n = 0; out->tensor_count > 0 && n < graph->node_count; n++) {
        for (int s = 0; s < ST_OP_STATES; s++) {
            if (graph->nodes[n].state[s].count > 0) {
                ST_TRY(compare_state(&found, out, &graph->nodes[n].state[s], err));
            }
        }
    }
    if (found != out->tensor_count) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path, "it holds %zu weights, its net has %zu",
                            out->tensor_count, found);
    }
    return STRATA_OK;
}

static strata_status check_net(st_weights *out, const char *net, st_arena *arena, strata_error *err) {
    const st_tree *tree = NULL;
    const st_graph *graph = NULL;
    strata_status status = st_lang_parse(&tree, arena, out->file.path, net, strlen(net), err);
    if (status == STRATA_OK) {
        status = st_graph_build(&graph, arena, tree, NULL, NULL, err);
    }
    if (status == STRATA_OK) {
        ST_TRY(compare_states(out, graph, err));
        return add_preparation(out, graph, err);
    }
    if (err != NULL) { /* the place is one in a text that nobody sees */
        err->line = err->column = 0;
        err->source[0] = '\0';
        st_error_prepend(err, "as a net, ");
    }
    return status == STRATA_MEMORY
               ? status
               : st_fail_file(err, STRATA_UNSUPPORTED, out->file.path, "%s", err != NULL ? err->message : "");
}

strata_status st_foreign_finish(st_weights *out, st_foreign *foreign, int output, const char *note, strata_error *err) {
    char *net = NULL;
    st_arena *arena = NULL;
    ST_TRY(st_net_writer_finish(&net, foreign->writer, output, err));
    ST_TRY(name_tensors(out, foreign, err));
    ST_TRY(add_pairs(out, net, note, err));
    ST_TRY(st_weights_index(out, err)); /* to find them; opening does it once more */
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = check_net(out, net, arena, err);
    st_arena_free(arena);
    return status;
}

/* ---- what strata has not ---- */

void st_lacks_add(st_lacks *lacks, const char *where, const char *what, ...) {
    char text[ST_LACK_TEXT];
    va_list values;
    va_start(values, what);
    st_text_print(text, sizeof text, what, values);
    va_end(values);
    for (size_t i = 0; i < lacks->filled; i++) {
        if (strcmp(lacks->list[i].what, text) == 0) {
            lacks->list[i].count++;
            return;
        }
    }
    if (lacks->filled == ST_LACKS) {
        lacks->beyond++;
        return;
    }
    memcpy(lacks->list[lacks->filled].what, text, sizeof text);
    snprintf(lacks->list[lacks->filled].where, ST_LACK_TEXT, "%s", where);
    lacks->list[lacks->filled++].count = 1;
}

strata_status st_lacks_check(const st_lacks *lacks, const char *file, strata_error *err) {
    enum { LONGEST = 300 }; /* an error's message has room for as much */
    char *all = NULL;
    size_t shown = 0;
    st_text text = {0};
    if (lacks->filled == 0) {
        return STRATA_OK;
    }
    for (; shown < lacks->filled && (shown == 0 || text.length < LONGEST - ST_LACK_TEXT); shown++) {
        st_text_add(&text, "%s%s (%s", shown > 0 ? ", " : "", lacks->list[shown].what, lacks->list[shown].where);
        if (lacks->list[shown].count > 1) {
            st_text_add(&text, " and %zu more", lacks->list[shown].count - 1);
        }
        st_text_add(&text, ")");
    }
    size_t left = lacks->filled - shown + lacks->beyond;
    if (left > 0) {
        st_text_add(&text, ", and %zu kinds more", left);
    }
    ST_TRY(st_text_finish(&all, &text, err));
    strata_status status = st_fail_file(err, STRATA_UNSUPPORTED, file, "it needs what strata has not: %s", all);
    strata_text_free(all);
    return status;
}
