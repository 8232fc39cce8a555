/* What a page holds: the blocks of the text get frames, blocks that repeat are drawn once, and where there are still
 * too many boxes blocks are closed, kind by kind, the kind with the most boxes first. */
#include <stdlib.h>
#include <string.h>

#include "drawing.h"

enum {
    BOXES_WANTED = 60,
    CHAIN_LIMIT = 120, /* parts of one chain that are shown */
    CHAIN_HEAD = 80,
    CHAIN_TAIL = 30,
    LANE_LIMIT = 12,
    WORDS_CLOSED = 16 /* then all that are left */
};

/* ---- frames ----------------------------------------------------------------------------------------------------- */

/* Where the chain that is grouped stands: the first `length` characters of `path` are the scope that all of it shares,
 * the first `shown` those of the frame around it. */
typedef struct place {
    const char *path;
    size_t length, shown;
} place;

static void group(drawing *d, chain *c, place at);

static size_t prefix_of(place at, const char *path, size_t length) {
    return strncmp(at.path, path, length) == 0 ? length : 0;
}

static const char *copy(drawing *d, const char *from, size_t length) {
    char *out = drawing_take(d, length + 1);
    memcpy(out, from, length);
    return out;
}

/* The word for the scope whose name ends before `length`. */
static const char *word_of(drawing *d, const strata_layer_info *layer, size_t length) {
    const char *word = layer->scopes;
    for (size_t i = 0; i + 1 < length; i++) {
        const char *dot = layer->name[i] == '.' ? strchr(word, '.') : NULL;
        word = dot != NULL ? dot + 1 : word;
    }
    return copy(d, word, strcspn(word, "."));
}

static void group_inside(drawing *d, part *p, place at) {
    for (size_t k = 0; k < p->lane_count; k++) {
        group(d, &p->lanes[k], at);
    }
    for (size_t k = 0; p->kind == PART_TANGLE && k < p->inside.count; k++) {
        part *inner = p->inside.parts[k];
        inner->name = d->layers[inner->layer].name;
        inner->name += prefix_of(at, inner->name, at.shown);
    }
}

/* A head that hangs on the last layer of a block, but stands outside it in the text, hangs on the block. */
static void move_sides(const drawing *d, part *to, part *from, const char *path, size_t length) {
    for (side **s = &from->sides; *s != NULL;) {
        side *one = *s;
        if (one->chain.count > 0 && strncmp(d->layers[one->chain.parts[0]->layer].name, path, length) == 0) {
            s = &one->next;
        } else {
            *s = one->next;
            one->next = to->sides;
            to->sides = one;
        }
    }
}

/* The parts of one scope, `length` characters of `path`, onto `out`: in a frame, or as they are. */
static void add_scope(drawing *d, chain *out, chain *inside, place at, const char *path, size_t length) {
    const strata_layer_info *first = &d->layers[inside->parts[0]->layer];
    const char *word = word_of(d, first, length);
    bool is_block = word[0] != '\0';
    size_t shown = prefix_of(at, path, at.shown);
    const char *name = copy(d, path + shown, length - 1 - shown);
    group(d, inside,
          (place){.path = path, .length = length, .shown = is_block ? length : prefix_of(at, path, at.shown)});
    if (inside->count == 1 && inside->parts[0]->kind == PART_LAYER) {
        inside->parts[0]->name = name;
    } else if (is_block) {
        part *p = drawing_part(d, PART_BLOCK, inside->parts[0]->layer), *last = inside->parts[inside->count - 1];
        p->name = name;
        p->word = word;
        p->last = last->last;
        p->inside = *inside;
        move_sides(d, p, last, path, length);
        drawing_add(d, out, p);
        return;
    }
    for (size_t i = 0; i < inside->count; i++) {
        drawing_add(d, out, inside->parts[i]);
    }
}

static void group(drawing *d, chain *c, place at) {
    chain out = {0};
    for (size_t i = 0; i < c->count;) {
        part *p = c->parts[i];
        const char *path = d->layers[p->layer].name;
        size_t shared = prefix_of(at, path, at.length);
        const char *dot = strchr(path + shared, '.');
        if (dot == NULL || p->kind == PART_OUTPUT) {
            p->name = path + prefix_of(at, path, at.shown);
            group_inside(d, p, (place){.path = path, .length = shared, .shown = prefix_of(at, path, at.shown)});
            drawing_add(d, &out, p);
            i++;
            continue;
        }
        size_t length = (size_t)(dot - path) + 1;
        chain inside = {0};
        for (; i < c->count && c->parts[i]->kind != PART_OUTPUT &&
               strncmp(d->layers[c->parts[i]->layer].name, path, length) == 0;
             i++) {
            drawing_add(d, &inside, c->parts[i]);
        }
        add_scope(d, &out, &inside, at, path, length);
    }
    *c = out;
}

/* ---- all parts -------------------------------------------------------------------------------------------------- */

typedef void visitor(drawing *d, chain *c, void *with);

static void each_chain(drawing *d, chain *c, visitor *visit, void *with);

static void each_below(drawing *d, chain *c, visitor *visit, void *with) {
    for (size_t i = 0; i < c->count; i++) {
        part *p = c->parts[i];
        if (p->kind == PART_BLOCK) {
            each_chain(d, &p->inside, visit, with);
        } else if (p->kind == PART_TANGLE) {
            each_below(d, &p->inside, visit, with);
        }
        for (size_t k = 0; k < p->lane_count; k++) {
            each_chain(d, &p->lanes[k], visit, with);
        }
        for (side *s = p->sides; s != NULL; s = s->next) {
            each_chain(d, &s->chain, visit, with);
        }
    }
}

/* Calls `visit` on every chain that is drawn, inner ones first; not on the layers of a tangle, which stay as they are.
 */
static void each_chain(drawing *d, chain *c, visitor *visit, void *with) {
    each_below(d, c, visit, with);
    visit(d, c, with);
}

static void group_sides(drawing *d, chain *c, void *with) {
    (void)with;
    for (size_t i = 0; i < c->count; i++) {
        for (side *s = c->parts[i]->sides; s != NULL; s = s->next) {
            group(d, &s->chain, (place){.path = ""});
        }
    }
}

static size_t count_boxes(const chain *c);

static size_t count_part(const part *p) {
    size_t count = p->kind == PART_LAYER || p->kind == PART_BRANCHES || p->kind == PART_CLOSED ? 1 : 0;
    count += p->kind == PART_CLOSED ? 0 : count_boxes(&p->inside);
    for (size_t k = 0; k < p->lane_count; k++) {
        count += count_boxes(&p->lanes[k]);
    }
    for (const side *s = p->sides; s != NULL; s = s->next) {
        count += count_boxes(&s->chain);
    }
    return count;
}

static size_t count_boxes(const chain *c) {
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        count += count_part(c->parts[i]);
    }
    return count;
}

/* ---- repeats ---------------------------------------------------------------------------------------------------- */

static bool same_shape(strata_shape a, strata_shape b) {
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

static bool same_chain(const drawing *d, const chain *a, const chain *b);

static bool same_part(const drawing *d, const part *a, const part *b) {
    if (a->kind != b->kind || a->kind == PART_TANGLE || a->kind == PART_GAP || a->kind == PART_OUTPUT ||
        a->repeat != b->repeat || a->follower_count != b->follower_count || a->lane_count != b->lane_count ||
        a->sides != NULL || b->sides != NULL || !same_chain(d, &a->inside, &b->inside) ||
        (a->word != NULL && strcmp(a->word, b->word) != 0)) {
        return false;
    }
    for (int i = 0; i <= a->follower_count && a->kind != PART_BLOCK && a->kind != PART_CLOSED; i++) {
        const strata_layer_info *x = &d->layers[a->layer + i], *y = &d->layers[b->layer + i];
        if (strcmp(x->text, y->text) != 0 || !same_shape(x->output, y->output) || x->parameters != y->parameters ||
            x->is_train_only != y->is_train_only) {
            return false;
        }
    }
    for (size_t k = 0; k < a->lane_count; k++) {
        if (!same_chain(d, &a->lanes[k], &b->lanes[k])) {
            return false;
        }
    }
    return true;
}

static bool same_chain(const drawing *d, const chain *a, const chain *b) {
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!same_part(d, a->parts[i], b->parts[i])) {
            return false;
        }
    }
    return true;
}

/* Equal neighbours become one. `with`: not NULL: single layers too. The last of them keeps what hangs on it, so it is
 * not folded away. */
static void fold_repeats(drawing *d, chain *c, void *with) {
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++) {
        part *p = c->parts[i], *before = kept > 0 ? c->parts[kept - 1] : NULL;
        size_t repeat = before != NULL ? before->repeat : 1;
        bool is_block = p->kind == PART_BLOCK || p->kind == PART_CLOSED;
        if (before != NULL && (is_block || (with != NULL && p->kind == PART_LAYER))) {
            before->repeat = p->repeat;
            if (same_part(d, before, p)) {
                before->repeat = repeat + 1;
                before->last = p->last;
                before->last_name = p->name;
                continue;
            }
            before->repeat = repeat;
        }
        c->parts[kept++] = p;
    }
    c->count = kept;
}

/* ---- closing ---------------------------------------------------------------------------------------------------- */

typedef struct tally {
    const char *word;
    size_t boxes;
} tally;

typedef struct tallies {
    tally *list;
    size_t count;
} tallies;

static void count_words(drawing *d, chain *c, void *with) {
    enum { WORDS = 64 };
    tallies *t = with;
    if (t->list == NULL) {
        t->list = drawing_take(d, WORDS * sizeof *t->list);
    }
    for (size_t i = 0; i < c->count; i++) {
        const part *p = c->parts[i];
        if (p->kind != PART_BLOCK) {
            continue;
        }
        size_t at = 0;
        while (at < t->count && strcmp(t->list[at].word, p->word) != 0) {
            at++;
        }
        if (at == t->count && at < WORDS) {
            t->list[t->count++] = (tally){.word = p->word};
        }
        if (at < WORDS) {
            t->list[at].boxes += count_part(p);
        }
    }
}

static void close_part(part *p) {
    p->kind = PART_CLOSED;
    p->lane_count = 0;
}

/* Sides of what is closed come out of it. */
static void lift_sides(part *p, const chain *from) {
    for (size_t i = 0; i < from->count; i++) {
        part *inner = from->parts[i];
        while (inner->sides != NULL) {
            side *s = inner->sides;
            inner->sides = s->next;
            s->next = p->sides;
            p->sides = s;
        }
        lift_sides(p, &inner->inside);
        for (size_t k = 0; k < inner->lane_count; k++) {
            lift_sides(p, &inner->lanes[k]);
        }
    }
}

static void close_word(drawing *d, chain *c, void *with) { /* `with` NULL: every block */
    const char *word = with;
    (void)d;
    for (size_t i = 0; i < c->count; i++) {
        part *p = c->parts[i];
        if (p->kind == PART_BLOCK && (word == NULL || strcmp(p->word, word) == 0)) {
            lift_sides(p, &p->inside);
            close_part(p);
        }
    }
}

/* Branches and tangles that are too many on their own. */
static void close_large(drawing *d, chain *c, void *with) {
    (void)with;
    for (size_t i = 0; i < c->count; i++) {
        part *p = c->parts[i];
        if ((p->kind == PART_BRANCHES || p->kind == PART_TANGLE) && count_part(p) > BOXES_WANTED) {
            for (size_t k = 0; k < p->lane_count; k++) {
                lift_sides(p, &p->lanes[k]);
            }
            lift_sides(p, &p->inside);
            text name = {0};
            size_t boxes = count_part(p);
            text_add(&name, "%s layers, %s", count_text((int64_t)boxes).s,
                     p->kind == PART_TANGLE ? "tangled" : "in branches");
            p->word = copy(d, name.bytes, name.length);
            text_free(&name);
            chain inside = p->inside;
            for (size_t k = 0; k < p->lane_count; k++) {
                for (size_t j = 0; j < p->lanes[k].count; j++) {
                    drawing_add(d, &inside, p->lanes[k].parts[j]);
                }
            }
            p->inside = inside;
            close_part(p);
        }
    }
}

static int64_t count_layers(const part *p) {
    int64_t count = p->kind == PART_LAYER || p->kind == PART_BRANCHES ? 1 + p->follower_count : 0;
    for (size_t i = 0; i < p->inside.count; i++) {
        count += count_layers(p->inside.parts[i]);
    }
    for (size_t k = 0; k < p->lane_count; k++) {
        for (size_t i = 0; i < p->lanes[k].count; i++) {
            count += count_layers(p->lanes[k].parts[i]);
        }
    }
    return count * (int64_t)p->repeat;
}

static void leave_out(drawing *d, chain *c, void *with) {
    (void)with;
    if (c->count <= CHAIN_LIMIT) {
        return;
    }
    part *gap = drawing_part(d, PART_GAP, c->parts[CHAIN_HEAD]->layer);
    size_t tail = c->count - CHAIN_TAIL;
    for (size_t i = CHAIN_HEAD; i < tail; i++) {
        gap->layer_count += count_layers(c->parts[i]);
    }
    gap->last = c->parts[tail - 1]->last;
    c->parts[CHAIN_HEAD] = gap;
    memmove(c->parts + CHAIN_HEAD + 1, c->parts + tail, CHAIN_TAIL * sizeof *c->parts);
    c->count = CHAIN_HEAD + 1 + CHAIN_TAIL;
}

static void leave_out_lanes(drawing *d, chain *c, void *with) {
    (void)d;
    (void)with;
    for (size_t i = 0; i < c->count; i++) {
        part *p = c->parts[i];
        size_t sides = 0;
        if (p->kind == PART_BRANCHES && p->lane_count > LANE_LIMIT) {
            p->lanes_left_out = p->lane_count - LANE_LIMIT;
            p->lane_count = LANE_LIMIT;
        }
        for (side *s = p->sides; s != NULL; s = s->next) {
            if (++sides == LANE_LIMIT) {
                s->next = NULL;
            }
        }
    }
}

void drawing_fold(drawing *d) {
    each_chain(d, &d->chain, group_sides, NULL);
    group(d, &d->chain, (place){.path = ""});
    if (d->unfold) {
        return;
    }
    each_chain(d, &d->chain, fold_repeats, NULL);
    for (int round = 0; round < WORDS_CLOSED && count_boxes(&d->chain) > BOXES_WANTED; round++) {
        tallies t = {0};
        size_t largest = 0;
        each_chain(d, &d->chain, count_words, &t);
        for (size_t i = 0; i < t.count; i++) {
            largest = t.list[i].boxes > t.list[largest].boxes ? i : largest;
        }
        if (t.count == 0) {
            break;
        }
        char *word = take_copy(t.list[largest].word, strlen(t.list[largest].word));
        each_chain(d, &d->chain, close_word, word);
        each_chain(d, &d->chain, fold_repeats, NULL);
        free(word);
    }
    if (count_boxes(&d->chain) > BOXES_WANTED) {
        each_chain(d, &d->chain, close_word, NULL);
        each_chain(d, &d->chain, fold_repeats, d);
        each_chain(d, &d->chain, leave_out_lanes, NULL);
        each_chain(d, &d->chain, close_large, NULL);
        each_chain(d, &d->chain, leave_out, NULL);
    }
}
