/* Names of the steps, and the lines of the text. */
#include <stdio.h>
#include <string.h>

#include "formats/net_writer_inside.h"
#include "lang/lang.h"
#include "lang/tokens.h"

enum { LABEL_LONGEST = ST_LANG_NAME_LIMIT - 10, LINE_LONGEST = 100, PIECE_LONGEST = 5000 };

/* ---- names ---- */

strata_status st_net_names_create(st_net_names *out, const st_net_writer *w, strata_error *err) {
    out->capacity = 64;
    while (out->capacity < 4 * w->value_count + 2) { /* scopes have names too */
        out->capacity *= 2;
    }
    return st_arena_alloc(&out->entries, w->arena, out->capacity, sizeof *out->entries, err);
}

st_net_name *st_net_names_find(const st_net_names *table, const char *text) {
    uint64_t hash = 1469598103934665603U; /* FNV-1a */
    for (const char *at = text; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 1099511628211U;
    }
    size_t i = (size_t)(hash ^ (hash >> 32)) & (table->capacity - 1);
    while (table->entries[i].text != NULL && strcmp(table->entries[i].text, text) != 0) {
        i = (i + 1) & (table->capacity - 1);
    }
    return &table->entries[i];
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Letters, digits and single '_'; `word` where nothing is left. */
static void make_legal(char out[LABEL_LONGEST + 1], const char *wish, const char *word) {
    size_t length = 0;
    for (const char *at = wish; *at != '\0' && length < LABEL_LONGEST - 1; at++) {
        if (is_digit(*at) && length == 0) {
            out[length++] = '_';
        }
        if (is_letter(*at) || is_digit(*at)) {
            out[length++] = *at;
        } else if (length > 0 && out[length - 1] != '_') {
            out[length++] = '_';
        }
    }
    while (length > 1 && out[length - 1] == '_') {
        length--;
    }
    out[length] = '\0';
    if (length == 0) {
        size_t whole = strcspn(word, " ");
        snprintf(out, LABEL_LONGEST + 1, "%.*s", (int)(whole < LABEL_LONGEST ? whole : LABEL_LONGEST), word);
    } else if (st_lang_is_reserved(out, length)) {
        memcpy(out + length, "_", 2);
    }
}

static strata_status give_label(st_net_value *value, const st_net_names *table, st_arena *arena, strata_error *err) {
    char legal[LABEL_LONGEST + 1], label[LABEL_LONGEST + 16];
    char *copy = NULL;
    make_legal(legal, value->wish != NULL ? value->wish : "", value->layer);
    st_net_name *first = st_net_names_find(table, legal);
    snprintf(label, sizeof label, "%s", legal);
    while (st_net_names_find(table, label)->text != NULL) {
        first->suffix = first->suffix < 2 ? 2 : first->suffix + 1;
        snprintf(label, sizeof label, "%s_%d", legal, first->suffix);
    }
    ST_TRY(st_arena_text(&copy, arena, label, strlen(label), err));
    st_net_names_find(table, label)->text = copy;
    value->label = value->path = copy;
    return STRATA_OK;
}

static strata_status name_values(st_net_writer *w, strata_error *err) {
    st_net_names table;
    int next_number = 0;
    ST_TRY(st_net_names_create(&table, w, err));
    for (size_t i = 0; i < w->value_count; i++) {
        w->values[i].label = w->values[i].path = NULL;
    }
    for (size_t i = 0; i < w->item_count; i++) {
        st_net_value *value = &w->values[w->items[i].value];
        if (w->items[i].mark != ST_NET_STEP && w->items[i].mark != ST_NET_OPEN) {
            continue;
        }
        if (value->wish != NULL || value->is_taken) {
            ST_TRY(give_label(value, &table, w->arena, err));
        } else if (value->is_counted) {
            char *path = NULL;
            ST_TRY(st_arena_printf(&path, w->arena, err, "%d", next_number++));
            value->path = path;
        }
    }
    return STRATA_OK;
}

/* ---- lines ---- */

void st_net_page_end_line(st_net_page *out) {
    if (out->is_fresh) {
        return;
    }
    st_text_add(&out->text, "\n");
    out->line = 0;
    out->is_fresh = true;
}

void st_net_page_add(st_net_page *out, const char *piece, bool begins_line) {
    size_t length = strlen(piece);
    if (!out->is_fresh && (begins_line || out->line + 2 + length > LINE_LONGEST)) {
        st_net_page_end_line(out);
    }
    st_text_add(&out->text, "%s%s", out->is_fresh ? "" : ", ", piece);
    out->line += length + 2;
    out->is_fresh = false;
}

/* Layers that stand behind the one whose result they work on; all others begin a line. */
bool st_net_is_attached(const char *layer) {
    static const char *const words[] = {"conv",  "conv_table", "fc",        "maxpool", "avgpool",
                                        "input", "flatten",    "subsample", "softmax", "take"};
    size_t length = strcspn(layer, " ");
    for (size_t i = 0; i < ST_COUNT_OF(words); i++) {
        if (strlen(words[i]) == length && memcmp(words[i], layer, length) == 0) {
            return false;
        }
    }
    return true;
}

static void add_step(st_net_page *out, const st_net_value *value) {
    char piece[PIECE_LONGEST];
    snprintf(piece, sizeof piece, "%s%s%s", value->label != NULL ? value->label : "", value->label != NULL ? ": " : "",
             value->layer);
    st_net_page_add(out, piece, out->deep == 0 && !st_net_is_attached(value->layer));
}

/* A branch of a join: identity where nothing stands in it. */
static void add_lane(st_net_page *out, const st_net_item *next) {
    st_net_page_end_line(out);
    st_text_add(&out->text, "| ");
    if (next->mark == ST_NET_LANE || next->mark == ST_NET_CLOSE) {
        st_net_page_add(out, "identity", false);
    }
}

void st_net_page_item(st_net_page *out, const st_net_writer *w, const st_net_item *item) {
    const st_net_value *value = &w->values[item->value];
    char piece[PIECE_LONGEST];
    switch (item->mark) {
    case ST_NET_STEP:
        add_step(out, value);
        break;
    case ST_NET_TAKE:
        snprintf(piece, sizeof piece, "take %s", value->label);
        st_net_page_add(out, piece, out->deep == 0);
        break;
    case ST_NET_OPEN:
        snprintf(piece, sizeof piece, "%s%s%s {", value->label != NULL ? value->label : "",
                 value->label != NULL ? ": " : "", value->layer);
        st_net_page_add(out, piece, true);
        out->deep++;
        break;
    case ST_NET_LANE:
        add_lane(out, item + 1);
        break;
    case ST_NET_CLOSE:
        st_net_page_end_line(out);
        st_text_add(&out->text, "}");
        out->is_fresh = false;
        st_net_page_end_line(out);
        out->deep--;
        break;
    }
}

/* The head: each line of the comment behind a '#', control characters and what is not UTF-8 shown as '?'. */
static void add_comment(st_text *text, const char *comment) {
    bool is_utf8 = st_text_is_utf8(comment, strlen(comment));
    for (const char *at = comment; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        st_text_add(text, "#%s", length > 0 ? " " : "");
        for (size_t i = 0; i < length; i++) {
            unsigned char c = (unsigned char)at[i];
            st_text_add(text, "%c", c < 32 || c == 127 || (c > 127 && !is_utf8) ? '?' : at[i]);
        }
        st_text_add(text, "\n");
        at += length + (at[length] == '\n');
    }
    st_text_add(text, "\n");
}

/* One name for each value, its dots as '_'. */
static strata_status write_flat(st_net_page *out, st_net_writer *w, strata_error *err) {
    ST_TRY(name_values(w, err));
    for (size_t i = 0; i < w->item_count; i++) {
        st_net_page_item(out, w, &w->items[i]);
    }
    return STRATA_OK;
}

static strata_status tidy(char **text, st_net_writer *w, st_text *whole, strata_error *err) {
    char *plain = NULL, *formatted = NULL;
    size_t length = whole->length;
    ST_TRY(st_text_finish(&plain, whole, err));
    strata_status status =
        length > ST_LANG_TEXT_LIMIT
            ? st_fail(err, STRATA_UNSUPPORTED, "the net's text would have %zu bytes, at most %d are allowed", length,
                      ST_LANG_TEXT_LIMIT)
            : st_lang_format(&formatted, "a written net", plain, length, err);
    strata_text_free(plain);
    if (status == STRATA_OK) {
        status = st_arena_text(text, w->arena, formatted, strlen(formatted), err);
        strata_text_free(formatted);
    }
    return status;
}

strata_status st_net_writer_text(char **text, st_net_writer *w, strata_error *err) {
    st_net_page network = {.is_fresh = true};
    st_text blocks = {0}, whole = {0};
    char name[LABEL_LONGEST + 1];
    strata_status status = st_net_writer_scopes(&blocks, &network, w, err);
    if (status == STRATA_UNSUPPORTED) {
        st_text_free(&blocks);
        st_text_free(&network.text);
        network = (st_net_page){.is_fresh = true};
        status = write_flat(&network, w, err);
    }
    if (w->comment != NULL) {
        add_comment(&whole, w->comment);
    }
    make_legal(name, w->name, "net");
    st_text_add(&whole, "%snetwork %s {\n%s\n\noutput logits%s\n}\n", blocks.length > 0 ? blocks.bytes : "", name,
                network.text.length > 0 ? network.text.bytes : "", w->has_no_loss ? "" : " loss=cross_entropy");
    whole.failed = whole.failed || blocks.failed || network.text.failed;
    st_text_free(&blocks);
    st_text_free(&network.text);
    if (status != STRATA_OK) {
        st_text_free(&whole);
        return status;
    }
    return tidy(text, w, &whole, err);
}
