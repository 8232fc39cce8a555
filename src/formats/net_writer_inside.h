/* net_writer_inside: what net_writer.c (the graph, and the order of its steps) and net_writer_text.c (names, lines)
 * share. */
#ifndef ST_NET_WRITER_INSIDE_H
#define ST_NET_WRITER_INSIDE_H

#include "formats/net_writer.h"

/* A step, and the value that it makes. */
typedef struct st_net_value {
    const char *layer, *wish;
    const int *inputs;
    size_t count;
    int door;        /* the last value that all ways from the input to this one pass; of the input: itself */
    int jump, depth; /* in the tree of doors: one further up, and how far down */
    bool is_join;    /* has branches in the text */
    bool is_counted; /* takes a number where it has no label */
    bool is_used, is_written, is_taken;
    const char *label; /* NULL: none */
    const char *path;
} st_net_value;

/* The text as a list: steps, and the braces of joins. */
typedef enum st_net_mark { ST_NET_STEP, ST_NET_TAKE, ST_NET_OPEN, ST_NET_LANE, ST_NET_CLOSE } st_net_mark;

typedef struct st_net_item {
    st_net_mark mark;
    int value; /* LANE: the one where the branch begins */
} st_net_item;

struct st_net_writer {
    st_arena *arena;
    const char *name, *comment;
    st_net_value *values;
    size_t value_count;
    st_net_item *items;
    size_t item_count;
    bool has_no_loss;
};

/* Names the values of the list and writes it. */
strata_status st_net_writer_text(char **text, st_net_writer *w, strata_error *err);

/* ---- names in use ---- */

typedef struct st_net_name {
    const char *text; /* NULL: free */
    int suffix;       /* the number that the last of the same wish was given */
} st_net_name;

typedef struct st_net_names {
    st_net_name *entries;
    size_t capacity; /* a power of two, more than twice what comes */
} st_net_names;

strata_status st_net_names_create(st_net_names *out, const st_net_writer *w, strata_error *err);
st_net_name *st_net_names_find(const st_net_names *names, const char *text); /* or where it belongs */

/* ---- lines ---- */

typedef struct st_net_page {
    st_text text;
    size_t line;   /* characters in the current line */
    bool is_fresh; /* nothing of a chain stands in this line yet */
    int deep;      /* braces of joins */
} st_net_page;

/* A step beside the one before it, or in a line of its own. */
void st_net_page_add(st_net_page *out, const char *piece, bool begins_line);
void st_net_page_end_line(st_net_page *out);
void st_net_page_item(st_net_page *out, const st_net_writer *w, const st_net_item *item);
bool st_net_is_attached(const char *layer); /* stands behind the layer whose result it works on */

/* The list with names of dots as scopes: blocks, then what stands inside of `network`. STRATA_UNSUPPORTED, without a
 * message, where they cannot be that. */
strata_status st_net_writer_scopes(st_text *blocks, st_net_page *network, st_net_writer *w, strata_error *err);

#endif
