/* Names with dots as scopes, so that weights keep them: "layer1.0.conv1" is conv1 in the first group of layer1.
 *
 *     layer1.0.conv1  layer1.0.conv2  layer1.1.conv1 ...   ->   block layer1_0 { conv1: ..., conv2: ... }
 *                                                               layer1: { layer1_0, layer1_0 }
 *
 * A part that is a word is a group with a label; a part that is a number is a step without one, or where more follows a
 * block, said once for all that look alike: only calls are numbered as scopes. What has no name (a relu) goes with what
 * it stands behind. Where numbers do not count up, a scope lies in two places or a value is taken out of one, it cannot
 * be, and all names become flat. */
#include <stdio.h>
#include <string.h>

#include "formats/net_writer_inside.h"
#include "formats/table.h"
#include "lang/lang.h"
#include "lang/tokens.h"

enum { PARTS_MOST = 12, PART_LONGEST = 48, PATH_LONGEST = 400, BLOCKS_MOST = 900, PIECE_LONGEST = 5000, GAP_MOST = 2 };

typedef struct known_block {
    const char *name, *body;
} known_block;

typedef struct scoped {
    st_net_writer *w;
    st_net_names names; /* paths */
    st_text *definitions;
    known_block *blocks;
    size_t block_count;
} scoped;

/* Where in the tree of scopes. */
typedef struct scope {
    char path[PATH_LONGEST + 1]; /* "layer1.0", "" */
    int depth;
    int next; /* number */
} scope;

/* ---- parts of names ---- */

/* Part `index` of a name, its length in *length; NULL: there are not so many. *is_last. */
static const char *part_of(const char *wish, int index, size_t *length, bool *is_last) {
    const char *at = wish;
    for (; index > 0 && at != NULL; index--) {
        at = strchr(at, '.');
        at = at != NULL ? at + 1 : NULL;
    }
    *length = at != NULL ? strcspn(at, ".") : 0;
    *is_last = at != NULL && at[*length] == '\0';
    return at;
}

static bool is_number(const char *part, size_t length) {
    return length > 0 && length < 6 && strspn(part, "0123456789") >= length && (part[0] != '0' || length == 1);
}

static bool is_word(const char *part, size_t length) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return length > 0 && length <= PART_LONGEST && strspn(part, letters) >= length &&
           !(part[0] >= '0' && part[0] <= '9') && !st_lang_is_reserved(part, length);
}

static int number_of(const char *part, size_t length) {
    int number = 0;
    for (size_t i = 0; i < length; i++) {
        number = 10 * number + (part[i] - '0');
    }
    return number;
}

/* ---- what belongs together ---- */

typedef enum belonging { NOWHERE, HERE, INSIDE } belonging; /* no name in it; to this scope; to one inside of it */

/* Behind the step, or the join with its branches, that begins at item `at`. */
static size_t end_of(const st_net_writer *w, size_t at) {
    int open = 0;
    do {
        open += w->items[at].mark == ST_NET_OPEN;
        open -= w->items[at].mark == ST_NET_CLOSE;
        at++;
    } while (open > 0);
    return at;
}

static belonging where(const st_net_writer *w, size_t from, size_t to, int depth, const char **part, size_t *length) {
    *part = NULL;
    for (size_t i = from; i < to; i++) {
        const st_net_value *value = &w->values[w->items[i].value];
        bool is_own = w->items[i].mark == ST_NET_STEP || w->items[i].mark == ST_NET_OPEN, is_last = false;
        size_t found_length = 0;
        if (!is_own || value->wish == NULL) {
            if (w->items[i].mark == ST_NET_TAKE) {
                return HERE;
            }
            continue;
        }
        const char *found = part_of(value->wish, depth, &found_length, &is_last);
        if (found == NULL || is_last ||
            (*part != NULL && (found_length != *length || memcmp(found, *part, *length) != 0))) {
            return HERE;
        }
        *part = found;
        *length = found_length;
    }
    return *part != NULL ? INSIDE : NOWHERE;
}

/* ---- names ---- */

static strata_status take_path(const char **out, scoped *s, const scope *in, const char *part, size_t length,
                               strata_error *err) {
    char *copy = NULL;
    const char *dot = in->path[0] != '\0' ? "." : "";
    ST_TRY(st_arena_printf(&copy, s->w->arena, err, "%s%s%.*s", in->path, dot, (int)length, part));
    st_net_name *name = st_net_names_find(&s->names, copy);
    if (name->text != NULL || strlen(copy) > PATH_LONGEST) {
        return STRATA_UNSUPPORTED;
    }
    name->text = *out = copy;
    return STRATA_OK;
}

static strata_status take_number(const char **out, scoped *s, scope *in, int wanted, strata_error *err) {
    char number[16];
    if (wanted >= 0 && wanted != in->next) {
        return STRATA_UNSUPPORTED;
    }
    snprintf(number, sizeof number, "%d", in->next++);
    return take_path(out, s, in, number, strlen(number), err);
}

static strata_status name_value(scoped *s, scope *in, st_net_value *value, strata_error *err) {
    size_t length = 0;
    bool is_last = true;
    const char *part = value->wish != NULL ? part_of(value->wish, in->depth, &length, &is_last) : NULL;
    value->label = NULL;
    if (part == NULL && value->is_taken) {
        part = value->layer;
        length = strcspn(part, " ");
    }
    if (part == NULL) {
        return value->is_counted ? take_number(&value->path, s, in, -1, err) : STRATA_OK;
    }
    if (is_number(part, length)) {
        return value->is_counted && !value->is_taken ? take_number(&value->path, s, in, number_of(part, length), err)
                                                     : STRATA_UNSUPPORTED;
    }
    if (!is_last && value->wish != NULL) {
        return STRATA_UNSUPPORTED;
    }
    if (!is_word(part, length)) {
        return STRATA_UNSUPPORTED;
    }
    char *label = NULL;
    ST_TRY(take_path(&value->path, s, in, part, length, err));
    ST_TRY(st_arena_text(&label, s->w->arena, part, length, err));
    value->label = label;
    return STRATA_OK;
}

/* ---- writing ---- */

/* Exporters leave out what does nothing in inference, and the numbers go on: `dropout 0` stands for it. */
static strata_status fill_gap(scoped *s, st_net_page *out, scope *in, const char *part, size_t length,
                              strata_error *err) {
    const char *path = NULL;
    int gap = is_number(part, length) ? number_of(part, length) - in->next : 0;
    for (; gap > 0 && gap <= GAP_MOST && in->next < number_of(part, length);) {
        ST_TRY(take_number(&path, s, in, -1, err));
        st_net_page_add(out, "dropout 0", false);
    }
    return STRATA_OK;
}

/* Steps at the beginning of a branch that have no name, and belong to the numbered ones behind them. */
static size_t nameless_before(const scoped *s, const st_net_page *out, const scope *in, size_t from, size_t to) {
    const st_net_writer *w = s->w;
    const char *part = NULL, *inner = NULL;
    size_t length = 0, count = 0;
    bool is_last = false;
    while (from + count < to && w->items[from + count].mark == ST_NET_STEP &&
           w->values[w->items[from + count].value].wish == NULL && w->values[w->items[from + count].value].is_counted) {
        count++;
    }
    size_t at = from + count;
    if (out->deep == 0 || count == 0 || at >= to || w->items[at].mark != ST_NET_STEP ||
        where(w, at, end_of(w, at), in->depth, &part, &length) != INSIDE) {
        return 0;
    }
    inner = part_of(w->values[w->items[at].value].wish, in->depth + 1, &length, &is_last);
    bool fits = inner != NULL && is_number(inner, length) && number_of(inner, length) == (int)count;
    return fits ? count : 0;
}

static strata_status put_chain(scoped *s, st_net_page *out, scope *in, size_t from, size_t to, strata_error *err);

/* A value of another scope has no name here. */
static strata_status put_take(const scoped *s, st_net_page *out, const scope *in, const st_net_item *item) {
    const st_net_value *value = &s->w->values[item->value];
    size_t length = strlen(in->path);
    const char *rest = value->path != NULL ? value->path : "";
    if (length > 0) {
        rest = strncmp(rest, in->path, length) == 0 && rest[length] == '.' ? rest + length + 1 : "";
    }
    if (value->label == NULL || strcmp(rest, value->label) != 0) {
        return STRATA_UNSUPPORTED;
    }
    st_net_page_item(out, s->w, item);
    return STRATA_OK;
}

static strata_status put_element(scoped *s, st_net_page *out, scope *in, size_t from, size_t to, strata_error *err) {
    const st_net_item *items = s->w->items;
    if (items[from].mark == ST_NET_TAKE) {
        return put_take(s, out, in, &items[from]);
    }
    st_net_value *value = &s->w->values[items[from].value];
    size_t length = 0;
    bool is_last = false;
    const char *part = value->wish != NULL ? part_of(value->wish, in->depth, &length, &is_last) : NULL;
    ST_TRY(part != NULL ? fill_gap(s, out, in, part, length, err) : STRATA_OK);
    ST_TRY(name_value(s, in, value, err));
    st_net_page_item(out, s->w, &items[from]);
    if (items[from].mark == ST_NET_STEP) {
        return STRATA_OK;
    }
    for (size_t i = from + 1; i + 1 < to;) { /* lanes */
        size_t end = i + 1;
        while (items[end].mark != ST_NET_LANE && end + 1 < to) {
            end = end_of(s->w, end);
        }
        st_net_page_item(out, s->w, &items[i]);
        ST_TRY(put_chain(s, out, in, i + 1, end, err));
        i = end;
    }
    st_net_page_item(out, s->w, &items[to - 1]);
    return STRATA_OK;
}

/* The block with this body, defined where it is new. Takes the text. */
static strata_status find_block(const char **name, scoped *s, const scope *inner, st_text *body, strata_error *err) {
    char *text = NULL, *copy = NULL, *word = NULL;
    ST_TRY(st_text_finish(&text, body, err));
    for (size_t i = 0; i < s->block_count; i++) {
        if (strcmp(s->blocks[i].body, text) == 0) {
            *name = s->blocks[i].name;
            strata_text_free(text);
            return STRATA_OK;
        }
    }
    strata_status status = st_arena_text(&copy, s->w->arena, text, strlen(text), err);
    strata_text_free(text);
    ST_TRY(status);
    ST_TRY(st_arena_text(&word, s->w->arena, inner->path, strlen(inner->path), err));
    for (char *at = word; *at != '\0'; at++) {
        *at = *at == '.' ? '_' : *at;
    }
    for (size_t i = 0; i < s->block_count; i++) {
        if (strcmp(s->blocks[i].name, word) == 0) {
            return STRATA_UNSUPPORTED;
        }
    }
    if (!is_word(word, strlen(word)) || st_graph_find_op(word) != NULL || s->block_count == BLOCKS_MOST) {
        return STRATA_UNSUPPORTED;
    }
    ST_TRY(st_format_grow(&s->blocks, s->block_count, sizeof *s->blocks, s->w->arena, err));
    s->blocks[s->block_count++] = (known_block){.name = word, .body = copy};
    st_text_add(s->definitions, "block %s {\n%s\n}\n\n", word, copy);
    *name = word;
    return STRATA_OK;
}

static strata_status put_block(scoped *s, st_net_page *out, scope *inner, size_t from, size_t to, strata_error *err) {
    st_net_page body = {.is_fresh = true};
    const char *name = NULL;
    strata_status status = put_chain(s, &body, inner, from, to, err);
    if (status != STRATA_OK || body.text.failed) {
        st_text_free(&body.text);
        return status != STRATA_OK ? status : st_fail(err, STRATA_MEMORY, "no memory to write a net");
    }
    ST_TRY(find_block(&name, s, inner, &body.text, err));
    st_net_page_add(out, name, false);
    return STRATA_OK;
}

static strata_status put_group(scoped *s, st_net_page *out, scope *in, size_t from, size_t to, const char *part,
                               size_t length, strata_error *err) {
    scope inner = {.depth = in->depth + 1};
    const char *path = NULL;
    char piece[PIECE_LONGEST];
    bool is_block = is_number(part, length);
    if (inner.depth == PARTS_MOST || (!is_block && !is_word(part, length))) {
        return STRATA_UNSUPPORTED;
    }
    ST_TRY(fill_gap(s, out, in, part, length, err));
    ST_TRY(is_block ? take_number(&path, s, in, number_of(part, length), err)
                    : take_path(&path, s, in, part, length, err));
    snprintf(inner.path, sizeof inner.path, "%s", path);
    if (is_block) {
        return put_block(s, out, &inner, from, to, err);
    }
    snprintf(piece, sizeof piece, "%.*s: {", (int)length, part);
    st_net_page_add(out, piece, true);
    st_net_page_end_line(out);
    ST_TRY(put_chain(s, out, &inner, from, to, err));
    st_net_page_end_line(out);
    st_text_add(&out->text, "}");
    out->is_fresh = false;
    st_net_page_end_line(out);
    return STRATA_OK;
}

/* Behind the step without a name that works on the result before it, or the join of such (x times its sigmoid); `at`
 * itself where none begins there. */
static size_t behind_attached(const st_net_writer *w, size_t at) {
    size_t end = end_of(w, at);
    for (size_t i = at; i < end; i++) {
        const st_net_value *value = &w->values[w->items[i].value];
        bool is_own = w->items[i].mark == ST_NET_STEP || w->items[i].mark == ST_NET_OPEN;
        if (w->items[i].mark == ST_NET_TAKE || (is_own && value->wish != NULL) ||
            (w->items[i].mark == ST_NET_STEP && !st_net_is_attached(value->layer))) {
            return at;
        }
    }
    return end;
}

static strata_status put_chain(scoped *s, st_net_page *out, scope *in, size_t from, size_t to, strata_error *err) {
    const st_net_writer *w = s->w;
    while (from < to) {
        const char *part = NULL, *other = NULL;
        size_t length = 0, other_length = 0, before = nameless_before(s, out, in, from, to);
        size_t end = end_of(w, from + before);
        if (where(w, from + before, end, in->depth, &part, &length) != INSIDE) {
            ST_TRY(put_element(s, out, in, from, end, err));
            from = end;
            continue;
        }
        for (size_t at = end; at < to;) { /* as far as the same name goes; what has none lies between */
            size_t next = end_of(w, at);
            belonging found = where(w, at, next, in->depth, &other, &other_length);
            bool same = found == INSIDE && other_length == length && memcmp(other, part, length) == 0;
            if (found != NOWHERE && !same) {
                break;
            }
            end = same ? next : end;
            at = next;
        }
        for (size_t next = end; next < to; end = next) {
            next = behind_attached(w, end);
            if (next == end) {
                break;
            }
        }
        ST_TRY(put_group(s, out, in, from, end, part, length, err));
        from = end;
    }
    return STRATA_OK;
}

strata_status st_net_writer_scopes(st_text *blocks, st_net_page *network, st_net_writer *w, strata_error *err) {
    scoped s = {.w = w, .definitions = blocks};
    scope outer = {.depth = 0};
    bool has_dots = false;
    for (size_t i = 0; i < w->value_count; i++) {
        const char *wish = w->values[i].wish;
        has_dots = has_dots || (w->values[i].is_used && wish != NULL && strchr(wish, '.') != NULL);
    }
    if (!has_dots) {
        return STRATA_UNSUPPORTED;
    }
    ST_TRY(st_net_names_create(&s.names, w, err));
    return put_chain(&s, network, &outer, 0, w->item_count, err);
}
