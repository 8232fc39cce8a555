/* build: what the files of graph/ share while a tree becomes a graph: values of expressions, block calls, scopes,
 * errors that name the call and the line in the block. Private to graph/. */
#ifndef ST_GRAPH_BUILD_H
#define ST_GRAPH_BUILD_H

#include "graph/graph.h"

enum {
    ST_BUILD_ARGS = 64,   /* of one step, parameters of one block */
    ST_BUILD_NUMBERS = 8, /* in one list or product of dimensions */
    ST_BUILD_OUTPUTS = 64,
    ST_BUILD_PATH_LIMIT = 512, /* characters of a path */
    ST_BUILD_CALL_LIMIT = ST_LANG_DEPTH_LIMIT,
    ST_BUILD_DEPTH_LIMIT = 256,  /* blocks, groups and branches inside each other, after expansion */
    ST_BUILD_VALUE_LIMIT = 1000, /* operators and knobs inside each other */
    /* What a text may unroll to: so many layers, and one more for each few bytes of the file with the network (not of
     * what it includes), which is less than a layer takes that is written out. So a short text costs little. */
    ST_BUILD_LAYERS = 10000,
    ST_BUILD_LAYER_BYTES = 4,
    /* Units of work for each of these layers. A step or a value that is looked at is one unit. */
    ST_BUILD_WORK = 50,
    /* Units that a call of a block takes, and bytes of the names around it that take one more. */
    ST_BUILD_CALL_WORK = 10,
    ST_BUILD_WORD_BYTES = 32,
    /* Paths compared with one that is frozen that take one unit. */
    ST_BUILD_PATHS = 8
};

/* ---- values ---- */

typedef enum st_value_kind {
    ST_VALUE_NUMBER,
    ST_VALUE_FLAG,
    ST_VALUE_WORD,
    ST_VALUE_DIMS,
    ST_VALUE_LIST
} st_value_kind;

typedef struct st_value {
    st_value_kind kind;
    bool flag;
    int count; /* DIMS, LIST */
    double numbers[ST_BUILD_NUMBERS];
    const char *text; /* WORD: a name that is no knob and no parameter, or a text in quotes */
    bool is_quoted;
} st_value;

/* A block call that is being expanded. Lives in the arena, as nodes name it in errors. */
typedef struct st_frame st_frame;
struct st_frame {
    const st_frame *outer; /* NULL: called from the network */
    const st_block *block;
    st_place call;
    st_value *values; /* of block->params, in order */
    int bound;        /* how many of them have a value */
};

typedef struct st_knob {
    const char *name;
    st_place place;
    const st_expr *expr, *standard; /* what counts, and what the file says */
    const char *comment;
    st_value value;
    enum { ST_KNOB_NEW, ST_KNOB_OPEN, ST_KNOB_DONE } state;
} st_knob;

/* ---- scopes ---- */

typedef struct st_scope {
    const char *path;              /* "" or "layer1.0" */
    const char *outermost, *words; /* words: as st_node.scopes */
    int depth, next_number;
} st_scope;

/* A label, or the name that a node which does not count was given. */
typedef struct st_name {
    const char *path;
    int value; /* node; -1: a label whose step is not done */
    bool is_label;
    int suffix; /* the last number that was put behind this path to make another */
    st_place place;
} st_name;

/* Where a node came from. */
typedef struct st_origin {
    const st_frame *frame;
    const st_syntax *step;
    int64_t window; /* rows of its window; 0: none */
} st_origin;

typedef struct st_build {
    st_arena *arena;
    strata_error *err;
    const st_tree *tree;
    st_knob *knobs;
    int knob_count;
    void **standards; /* of each op of the table: params with all defaults; NULL: not made yet */
    int op_count;
    st_node *nodes;
    st_origin *origins;
    int node_count, node_capacity;
    st_output *outputs;
    int output_count;
    st_name *names; /* hashed by path */
    size_t name_count, name_capacity;
    int before;        /* the value before the merge whose branches are being joined */
    size_t text_bytes; /* of the file with the network; limits follow it */
    int64_t work, work_limit;
    int layer_limit;
    int depth, call_depth, value_depth;
    bool is_train_only; /* inside side when=train */
    size_t parameters;
} st_build;

/* ---- errors ---- */

/* At the outermost call, naming every block on the way and the place inside: "in bottleneck
 * (blocks/residual.net:18:11):
 * ...". Without a frame simply at `place`. */
strata_status st_build_fail(const st_build *b, const st_frame *frame, st_place place, strata_status status,
                            const char *format, ...) ST_PRINTF(5, 6);
/* "did you mean 'x'?" when something is near. */
void st_build_nearest(const st_build *b, const char *name, const char *const *candidates, size_t count);

/* ---- value.c ---- */

strata_status st_build_knobs(st_build *b, const char *settings);
/* As whoever looks at the net sees them. */
strata_status st_build_list_knobs(st_graph *graph, const st_build *b);
/* frame NULL: the network; knobs only. A lone unknown name is a WORD. */
strata_status st_build_value(st_value *out, st_build *b, const st_frame *frame, const st_expr *expr);
strata_status st_build_condition(bool *out, st_build *b, const st_frame *frame, const st_expr *expr);
strata_status st_build_count(int64_t *out, st_build *b, const st_frame *frame, const st_expr *expr);
/* Is `name` a parameter of the block or a knob? */
bool st_build_knows(const st_build *b, const st_block *block, const char *name);
/* The knob that `name` means here; NULL: a parameter, or none. */
const st_knob *st_build_knob(const st_build *b, const st_frame *frame, const char *name);
strata_status st_build_unknown(const st_build *b, const st_frame *frame, const st_block *block, const st_expr *name);
/* For messages: "6", "3x3", "'relu'", "yes". */
void st_value_describe(char *out, size_t capacity, const st_value *value);

/* ---- match.c ---- */

int st_build_op_index(const char *name); /* in the table; -1: none */
const st_block *st_build_block(const st_build *b, const char *name);
/* Which argument gives which parameter of `op`; NULL: not given. Independent of any value. */
strata_status st_bind_match(const st_build *b, const st_frame *frame, const st_op *op, const st_syntax *step,
                            const st_arg *found[ST_OP_PARAMS]);
/* The same for a block, whose parameters are counted in order; `found` has one for each. */
strata_status st_bind_match_block(const st_build *b, const st_frame *frame, const st_block *block,
                                  const st_syntax *step, const st_arg **found);
/* The messages, for steps that are no layers. "conv takes 2 values (kernel, filters); a third was given: 'relu'":
 * `names` is the list in brackets; is_key: the value is the name of a parameter whose '=' is missing. */
strata_status st_match_too_many(const st_build *b, const st_frame *frame, const st_syntax *step, const st_arg *arg,
                                const char *names, int count, bool is_key);
strata_status st_match_given_twice(const st_build *b, const st_frame *frame, const st_syntax *step, const st_arg *arg,
                                   const char *name);
strata_status st_match_unknown_key(const st_build *b, const st_frame *frame, const st_syntax *step, const st_arg *arg,
                                   const char *const *names, size_t count);
/* Says that a comma is missing when the argument is the name of a layer. */
bool st_match_hint_comma(const st_build *b, const st_syntax *step, const st_arg *arg);

/* ---- bind.c ---- */

/* One value into a params struct. */
strata_status st_bind_store(const st_build *b, const st_frame *frame, const st_op *op, const st_param_spec *spec,
                            const st_arg *arg, const st_value *value, void *params);
/* Refuses a lone name that the parameter does not understand as a word. */
strata_status st_bind_check_word(const st_build *b, const st_frame *frame, const st_block *block,
                                 const st_param_spec *spec, const st_syntax *step, const st_arg *arg,
                                 const st_value *value);
/* All of it: a params struct and the layer's text. */
strata_status st_bind(void **params, const char **text, st_build *b, const st_frame *frame, int op_index,
                      const st_syntax *step);
strata_status st_bind_standard(const void **params, st_build *b, int op_index);
/* when=, loss=, weight= of `side` and `output`. */
typedef struct st_step_words {
    bool is_train_only;
    const char *loss; /* NULL: none */
    st_place loss_place;
    double weight;
} st_step_words;
strata_status st_bind_words(st_step_words *out, st_build *b, const st_frame *frame, const st_syntax *step);
bool st_param_accepts(const st_param_spec *spec, const char *word);

/* ---- check.c, expand.c, infer.c, init.c ---- */

/* Bounds the time and the memory that a text can take, however short it is. */
strata_status st_build_work(st_build *b, const st_frame *frame, st_place place, size_t units);

/* An unknown name, at its place or at that of the declaration that it lacks. */
strata_status st_check_unknown(const st_build *b, const st_block *block, const st_expr *name);
/* What can be said of blocks and network without expanding them. */
strata_status st_build_check(st_build *b);
strata_status st_build_expand(st_build *b);
/* Shape, states, cost and receptive field of a node whose inputs are complete. */
strata_status st_build_infer(st_build *b, int node);
/* Does this loss fit the value? */
strata_status st_build_infer_loss(st_build *b, const st_origin *origin, int op_index, int node);
strata_status st_build_inits(st_build *b);

#endif
