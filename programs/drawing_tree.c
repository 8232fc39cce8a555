/* From the layers of a net to chains: which stand one after the other, which side by side.
 *
 * Layer `before[n]` is the last that every way from the input to n passes, other than n itself (its dominator). What
 * leads from there to n is one part of a chain: nothing when n takes the value of just that layer, lanes when the ways
 * share nothing on their way, a tangle otherwise. */
#include <stdlib.h>
#include <string.h>

#include "drawing.h"

enum { NONE = -1, DEPTH_LIMIT = 48 /* of branches in branches; deeper is a tangle */ };

/* ---- memory ----------------------------------------------------------------------------------------------------- */

void *drawing_take(drawing *d, size_t size) {
    void **block = take(NULL, sizeof(max_align_t) + size);
    *block = d->memory;
    d->memory = block;
    void *out = (char *)block + sizeof(max_align_t);
    memset(out, 0, size > 0 ? size : 0);
    return out;
}

void drawing_add(drawing *d, chain *c, part *p) {
    if (c->count == c->capacity) {
        size_t capacity = 2 * c->capacity + 4;
        part **parts = drawing_take(d, capacity * sizeof *parts);
        if (c->count > 0) {
            memcpy(parts, c->parts, c->count * sizeof *parts);
        }
        c->parts = parts;
        c->capacity = capacity;
    }
    c->parts[c->count++] = p;
}

part *drawing_part(drawing *d, part_kind kind, int layer) {
    part *p = drawing_take(d, sizeof *p);
    *p = (part){.kind = kind, .layer = layer, .last = layer, .repeat = 1, .name = d->layers[layer].name};
    return p;
}

/* ---- dominators ------------------------------------------------------------------------------------------------- */

/* Each node also knows one further up (`jump`), so that a common one is found in steps that grow as the logarithm:
 * Myers 1983, "An applicative random-access stack". */
static void hang(drawing *d, int node, int above) {
    d->before[node] = above;
    if (above == NONE) {
        d->depth[node] = 0;
        d->jump[node] = NONE;
        return;
    }
    int far = d->jump[above];
    bool joins = far != NONE && d->jump[far] != NONE &&
                 d->depth[above] - d->depth[far] == d->depth[far] - d->depth[d->jump[far]];
    d->depth[node] = d->depth[above] + 1;
    d->jump[node] = joins ? d->jump[far] : above;
}

static int climb(const drawing *d, int node, int depth) {
    while (d->depth[node] > depth) {
        int far = d->jump[node];
        node = far != NONE && d->depth[far] >= depth ? far : d->before[node];
    }
    return node;
}

static int common_of(const drawing *d, int a, int b) {
    a = climb(d, a, d->depth[b]);
    b = climb(d, b, d->depth[a]);
    while (a != b) {
        if (d->jump[a] != d->jump[b]) {
            a = d->jump[a];
            b = d->jump[b];
        } else {
            a = d->before[a];
            b = d->before[b];
        }
    }
    return a;
}

static void find_dominators(drawing *d) {
    for (size_t i = 0; i < d->info.layer_count; i++) {
        const strata_layer_info *layer = &d->layers[i];
        int above = layer->input_count > 0 ? layer->inputs[0] : NONE;
        for (size_t k = 0; k < layer->input_count; k++) {
            above = common_of(d, above, layer->inputs[k]);
            d->use_count[layer->inputs[k]]++;
        }
        hang(d, (int)i, above);
    }
}

/* ---- chains ----------------------------------------------------------------------------------------------------- */

static bool build_chain(drawing *d, chain *out, int from, int to, int depth);

/* An activation stands in the box of the layer that it follows. */
static bool joins_last(const drawing *d, const chain *c, int node) {
    const part *p = c->count > 0 ? c->parts[c->count - 1] : NULL;
    return p != NULL && (p->kind == PART_LAYER || p->kind == PART_BRANCHES) && p->last == node - 1 &&
           d->use_count[node - 1] == 1 && d->layers[node - 1].output_name[0] == '\0' &&
           layer_joins(&d->layers[node], &d->layers[node - 1]);
}

static void add_layer(drawing *d, chain *c, int node) {
    if (joins_last(d, c, node)) {
        part *p = c->parts[c->count - 1];
        p->last = node;
        p->follower_count++;
        d->owner[node] = p;
    } else {
        part *p = drawing_part(d, PART_LAYER, node);
        d->owner[node] = p;
        drawing_add(d, c, p);
    }
}

/* All that lies on a way from `from` to `to`, one below the other. */
static part *build_tangle(drawing *d, int from, int to) {
    part *p = drawing_part(d, PART_TANGLE, to);
    int stamp = ++d->stamp_last;
    d->stamp[to] = stamp;
    for (int i = to; i > from; i--) {
        for (size_t k = 0; d->stamp[i] == stamp && k < d->layers[i].input_count; k++) {
            if (d->layers[i].inputs[k] > from) {
                d->stamp[d->layers[i].inputs[k]] = stamp;
            }
        }
    }
    for (int i = from + 1; i <= to; i++) {
        if (d->stamp[i] == stamp) {
            add_layer(d, &p->inside, i);
            p->inside.parts[p->inside.count - 1]->index = (int)p->inside.count - 1;
        }
    }
    d->owner[to] = p; /* a chain that leaves its last layer leaves the tangle */
    return p;
}

static part *build_branches(drawing *d, int from, int to, int depth) {
    const strata_layer_info *layer = &d->layers[to];
    part *p = drawing_part(d, PART_BRANCHES, to);
    bool is_nested = depth < DEPTH_LIMIT;
    p->lane_count = layer->input_count;
    p->lanes = drawing_take(d, p->lane_count * sizeof *p->lanes);
    for (size_t k = 0; k < p->lane_count && is_nested; k++) {
        is_nested = layer->inputs[k] == from || build_chain(d, &p->lanes[k], from, layer->inputs[k], depth + 1);
    }
    d->owner[to] = p;
    return is_nested ? p : build_tangle(d, from, to);
}

/* What comes after `from` up to `to`. False: a layer of it stands elsewhere already. */
static bool build_chain(drawing *d, chain *out, int from, int to, int depth) {
    size_t count = 0;
    for (int node = to; node != from; node = d->before[node]) {
        if (d->owner[node] != NULL) {
            return false;
        }
        count++;
    }
    int *nodes = take(NULL, count * sizeof *nodes);
    for (int node = to, i = (int)count; node != from; node = d->before[node]) {
        nodes[--i] = node;
    }
    bool is_free = true;
    for (size_t i = 0; i < count && is_free; i++) {
        is_free = d->owner[nodes[i]] == NULL;
        if (is_free && d->layers[nodes[i]].input_count > 1) {
            drawing_add(d, out, build_branches(d, i > 0 ? nodes[i - 1] : from, nodes[i], depth));
        } else if (is_free) {
            add_layer(d, out, nodes[i]);
        }
    }
    free(nodes);
    return is_free;
}

static void add_output(drawing *d, chain *c, int node) {
    if (d->layers[node].output_name[0] != '\0') {
        drawing_add(d, c, drawing_part(d, PART_OUTPUT, node));
    }
}

/* What leads nowhere that was seen: from the last layer backwards, as each is the end of such a chain. */
static void add_sides(drawing *d, int main_output) {
    for (int i = (int)d->info.layer_count - 1; i >= 0; i--) {
        int from = i;
        while (from != NONE && d->owner[from] == NULL) {
            from = d->before[from];
        }
        bool is_end = from != i, is_output = d->layers[i].output_name[0] != '\0' && i != main_output;
        if ((!is_end && !is_output) || from == NONE) {
            continue;
        }
        part *p = d->owner[from];
        side *s = drawing_take(d, sizeof *s);
        build_chain(d, &s->chain, from, i, 1);
        add_output(d, &s->chain, i);
        s->next = p->sides;
        p->sides = s;
    }
}

static int find_main_output(const drawing *d) {
    int found = (int)d->info.layer_count - 1;
    for (int i = 0; i < (int)d->info.layer_count; i++) {
        found = d->layers[i].output_name[0] != '\0' && !d->layers[i].is_train_only ? i : found;
    }
    return found;
}

void drawing_read(drawing *d, const strata_net *net) {
    d->net = net;
    strata_net_info_get(net, true, &d->info);
    d->for_training = d->info.parameters;
    strata_net_info_get(net, false, &d->info);
    size_t count = d->info.layer_count;
    d->layers = drawing_take(d, count * sizeof *d->layers);
    d->owner = drawing_take(d, count * sizeof *d->owner);
    int **numbers[] = {&d->use_count, &d->before, &d->depth, &d->jump, &d->stamp};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        *numbers[i] = drawing_take(d, count * sizeof **numbers[i]);
    }
    for (size_t i = 0; i < count; i++) {
        strata_net_layer(net, i, &d->layers[i]);
    }
    find_dominators(d);
    int last = find_main_output(d);
    build_chain(d, &d->chain, NONE, last, 0);
    add_output(d, &d->chain, last);
    add_sides(d, last);
}
