/* drawing: a network as a picture for a person. Shared by the drawing*.c files and nothing else.
 *
 * drawing_tree.c    which layers stand one after the other and which side by side
 * drawing_fold.c    blocks of the text, repeats, and what is closed so that a page holds it
 * drawing_layout.c  sizes and places
 * drawing.c         the SVG
 *
 * A chain is what follows one after the other; a part of it is a layer with the activations behind it, branches that
 * meet again, a block, or a box that stands for what is not shown. */
#ifndef DRAWING_H
#define DRAWING_H

#include "program.h"

typedef enum part_kind {
    PART_LAYER,
    PART_BRANCHES, /* lanes side by side, joined by a layer */
    PART_BLOCK,    /* a block of the text with a frame around it */
    PART_CLOSED,   /* a block or more as one box; `inside` is kept for its summary */
    PART_TANGLE,   /* layers one below the other whose connections are not nested */
    PART_GAP,      /* layers left out */
    PART_OUTPUT    /* an output of the net */
} part_kind;

typedef struct part part;

typedef struct chain {
    part **parts;
    size_t count, capacity;
    double left, right, height; /* around the axis on which its parts stand */
    double x, y;                /* of its axis and top */
} chain;

/* A chain that leaves a part and does not come back. */
typedef struct side {
    chain chain;
    struct side *next;
} side;

struct part {
    part_kind kind;
    int layer;          /* LAYER; of BRANCHES and TANGLE the one that ends it; of others the first */
    int last;           /* the layer whose value leaves it */
    int follower_count; /* layers behind `layer` in the same box */
    int index;          /* in the tangle that it stands in */
    int column;         /* of the page */
    const char *name;   /* as shown: without the names of the frames around it */
    const char *word;   /* BLOCK, CLOSED: what it is */
    chain inside;       /* BLOCK, CLOSED, TANGLE */
    chain *lanes;
    size_t lane_count, lanes_left_out;
    size_t repeat;         /* how many such stand one behind the other; 1 */
    const char *last_name; /* of the last of them */
    int64_t layer_count;   /* GAP: left out */
    side *sides;
    double x, y, left, right, height; /* axis and top; from the axis */
};

typedef struct drawing {
    const strata_net *net;
    strata_net_info info;
    strata_layer_info *layers;
    part **owner; /* of each layer: the part that its value leaves; NULL: not seen yet */
    int *use_count, *before, *depth, *jump;
    int *stamp; /* of each layer: the last tangle that it was found to be in */
    int stamp_last;
    chain chain;
    double box_width, closed_width;
    bool unfold;
    int64_t for_training; /* parameters with side heads */
    void *memory;         /* everything, in one list */
} drawing;

void *drawing_take(drawing *d, size_t size); /* zeroed; freed with the drawing */
void drawing_add(drawing *d, chain *c, part *p);
part *drawing_part(drawing *d, part_kind kind, int layer);

/* drawing_tree.c */
void drawing_read(drawing *d, const strata_net *net);
/* drawing_fold.c */
void drawing_fold(drawing *d);
/* drawing_layout.c */
enum {
    BOX_HEIGHT = 44,
    BAR_HEIGHT = 28, /* input, output, and where branches meet */
    GAP = 20,
    FORK = 26, /* from where branches part to the first box */
    JOIN = 24,
    LANE_GAP = 20,
    FRAME_PAD = 14,
    FRAME_TITLE = 24,
    CARD = 4, /* between the frames that stand for repeats */
    BYPASS = 20,
    SUMMARY_TOP = 40, /* in a closed block: above its lanes */
    SUMMARY_LINE = 15,
    SLOT = 12,
    COLUMN_GAP = 56
};
void drawing_layout(drawing *d);
/* Of a tangle: a line at its right for each value that does not only go to the next layer. `first`: the part that the
 * value leaves, -1: what comes before the tangle. Returns how many; `slot_count` stand side by side. The caller frees
 * them. */
typedef struct trunk {
    int first, last, slot;
} trunk;
size_t drawing_trunks(const drawing *d, const part *p, trunk **out, size_t *slot_count);
double drawing_text_width(const char *s, double size, bool is_bold);
/* What stands in the box, without what only says how the size is kept. */
void drawing_operation(text *out, const drawing *d, const part *p, bool with_followers);
void drawing_title(text *out, const drawing *d, const part *p, bool is_right);
label drawing_shape(const drawing *d, const part *p); /* of the value that leaves it */
bool drawing_is_bar(const drawing *d, const part *p); /* of BRANCHES: the lanes end on a bar, else at a small box */
bool drawing_has_summary(const part *p);              /* of CLOSED: its lanes are shown in words */
size_t drawing_main_lane(const part *p);
double drawing_entry(const part *p); /* where an arrow into it ends */
double drawing_exit(const part *p);
double drawing_merge_width(const drawing *d, const part *p);
int64_t drawing_parameters(const drawing *d, const part *p);
int64_t drawing_work(const drawing *d, const part *p);

#endif
