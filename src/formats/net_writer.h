/* net_writer: .net text from a stranger's graph, step by step in an order in which the steps can run. What is a branch
 * becomes a branch of the text, a value that several want is taken by its label, what nothing needs is left out. Not
 * here: which layer an operation of a format is. */
#ifndef ST_NET_WRITER_H
#define ST_NET_WRITER_H

#include "base/base.h"

typedef struct st_net_writer st_net_writer;

/* name: of the network, made legal; comment: for the head of the text, may have several lines, or NULL. Lives in the
 * arena. */
strata_status st_net_writer_create(st_net_writer **out, st_arena *arena, const char *name, const char *comment,
                                   strata_error *err);
/* layer: "input 32x32x3", without a label. A net has one input. *value: what the steps name it by. */
strata_status st_net_writer_input(int *value, st_net_writer *w, const char *layer, strata_error *err);
/* layer: "conv 3x3 64 stride=2 pad=1"; or one that joins values, "add", "concat", its inputs in the order of its
 * branches, of which it may have any number. wish: a stranger's name for what the step makes, or NULL: it becomes a
 * label, legal and used once. A step without one has a label only where it needs one. */
strata_status st_net_writer_step(int *value, st_net_writer *w, const char *layer, const char *wish, const int *inputs,
                                 size_t count, strata_error *err);
/* Leaves `loss=cross_entropy` away: for a net whose output is not one number for each class. */
void st_net_writer_no_loss(st_net_writer *w);
/* The text, in the arena; `output` becomes the one output, logits. Once. */
strata_status st_net_writer_finish(char **text, st_net_writer *w, int output, strata_error *err);
/* After finish: what the weights of a step are called after, "layer1.0.conv1". NULL: the step was left out. */
const char *st_net_writer_path(const st_net_writer *w, int value);

#endif
