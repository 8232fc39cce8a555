/* plan: graph to plan: what runs, in which order, where in memory. A compiler's middle: steps with fused epilogues, the
 * gradients that are needed, lifetimes packed into one arena. Everything is known before anything is allocated.
 *
 * Time. A phase that works image by image needs no wait between itself and the next one, so such phases form a segment
 * in which threads run apart from each other. Lifetimes are counted in segments: two values may share memory only if
 * no segment needs both. */
#ifndef ST_PLAN_H
#define ST_PLAN_H

#include "graph/graph.h"

typedef struct st_plan_options {
    st_mode mode;
    int64_t batch;
    int64_t total; /* images of a step of training that comes in pieces of `batch`; 0: steps come whole */
    int threads;
    const struct st_kernels *kernels;
    int64_t again_from; /* numbers of one image from which a value may be computed twice; 0: as measured to pay */
    /* NULL: as the shapes suggest */
    const st_layout *layout;
    bool keep_values;  /* nothing is fused and every value stays to the end: each path can be read after a run */
    bool as_inference; /* a trace of what inference computes: the losses of all its outputs; with ST_MODE_TRAIN their
                          gradients, without the side heads of training */
} st_plan_options;

/* A piece of the arena that lives from one segment to another. */
typedef struct st_piece {
    size_t bytes, offset;
    int first, last; /* segments; first > last: not used */
} st_piece;

/* A value: where the result of a step is. */
typedef struct st_slot {
    int parent; /* the concat whose slice it is, or the value it is written over in place; -1: owns its memory */
    int64_t channel_offset; /* in the parent */
    st_dims dims;
    st_dtype dtype;
    int step;                    /* that makes it; -1: an alias, see st_plan.alias */
    int first_slice, next_slice; /* the values that are slices of this one, as a list; -1: none, no more */
    st_piece data, gradient;     /* of values that own memory */
    bool is_again; /* given up after forward, computed again before the first backward step that reads it */
    st_piece again;
    int gradient_of; /* the value that owns the memory which this one's gradient takes over; -1: its own */
    bool needs_gradient;
    bool clear_gradient; /* contributions do not cover it at once: zero it first, then add all */
} st_slot;

typedef struct st_step {
    const st_node *node;
    const st_impl *impl;
    st_site site;
    int value;     /* what it writes; loss: -1 */
    const int *in; /* values */
    /* epilogue */
    const st_node *affine; /* batch norm folded into scale and shift; NULL: none */
    int residual;          /* value; -1: none */
    st_activation activation;
    st_piece affine_data; /* scale, then shift */
    /* memory */
    st_needs needs;
    st_piece kept, shared_forward, shared_backward;
    int output; /* loss: index of the graph's output; -1 */
    /* backward */
    bool runs_backward;
    const bool *din_needed, *din_add;
    bool residual_needed, residual_add, residual_shared; /* shared: its gradient is this step's dout, in place */
    bool backward_reads_in, backward_reads_out;
    bool dstate_needed;
} st_step;

/* One phase in its place. */
typedef enum st_task_kind {
    ST_TASK_PICTURES,
    ST_TASK_FOLD,
    ST_TASK_FORWARD,
    ST_TASK_CLEAR,
    ST_TASK_AGAIN,
    ST_TASK_EPILOGUE,
    ST_TASK_BACKWARD
} st_task_kind;
typedef struct st_task {
    st_task_kind kind;
    int step; /* CLEAR: the value whose gradient is zeroed */
    int phase;
    bool by_image;
    int segment; /* tasks of one segment run without waiting for each other; those by image, image by image */
} st_task;

typedef struct st_plan {
    const st_graph *graph;
    st_plan_options options;
    st_layout layout;
    int *alias;     /* [nodes]: the value that a node's value is; itself, or -1 where it does not exist in this mode */
    st_slot *slots; /* [nodes] */
    st_step *steps;
    int step_count;
    st_task *tasks; /* forward, then backward in training */
    int task_count, forward_task_count, segment_count;
    size_t arena_bytes;  /* values, gradients, kept, shared */
    size_t thread_bytes; /* scratch of each thread */
} st_plan;

/* Lives in `arena` (its own memory: structures only, not the tensors). */
strata_status st_plan_build(const st_plan **out, st_arena *arena, const st_graph *graph, const st_plan_options *options,
                            strata_error *err);
/* Where a value's data (or gradient) begins in the arena, and its view without the pointer. */
size_t st_plan_locate(const st_plan *plan, int value, bool gradient, st_view *view);
/* Whether the plan computes this node's value as such: false where a later layer is fused to it. */
bool st_plan_has_value(const st_plan *plan, int node);
/* Elements between the beginnings of neighbouring images (NHWC) or blocks of 16 (LANES). */
int64_t st_view_image_stride(const st_view *view);
void st_plan_text(st_text *text, const st_plan *plan);

/* The passes, in the order in which st_plan_build runs them. */
typedef struct st_planner {
    st_plan *plan;
    st_arena *arena;   /* the plan's */
    st_arena *scratch; /* what only planning needs */
    strata_error *err;
    bool chains; /* while tasks are added: the last segment works image by image throughout */
} st_planner;
strata_status st_plan_fuse(st_planner *planner);     /* nodes to steps, aliases, epilogues, slices */
strata_status st_plan_backward(st_planner *planner); /* which gradients, in which order */
strata_status st_plan_schedule(st_planner *planner); /* tasks and segments: schedule.c */
strata_status st_plan_memory(st_planner *planner);   /* lifetimes to offsets */

/* Of st_plan_memory: offsets for pieces in this order; `last` is below segment_count. place.c */
strata_status st_plan_place(st_piece *const *pieces, size_t count, int segment_count, st_arena *arena,
                            strata_error *err);

#endif
