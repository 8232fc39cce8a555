/* checkpoint: what its three files share. checkpoint.c writes, checkpoint_head.c reads the metadata, checkpoint_load.c
 * the tensors; the keys are listed at the top of checkpoint.c. */
#ifndef ST_CHECKPOINT_H
#define ST_CHECKPOINT_H

#include "train/train.h"

/* "momentum" of "optimizer.momentum.PATH", for what st_model_get calls `which`; NULL: under PATH itself. */
const char *st_checkpoint_slot(st_optimizer optimizer, int which);

/* The tensors of a checkpoint in the order of the file: weights and statistics of the model; for a resume then those
 * that only its learner has, and what the optimizer keeps of each weight that the learner moves. */
typedef struct st_checkpoint_tensor {
    st_model *model;
    size_t index; /* of the parameter */
    int which;    /* see st_model_get */
} st_checkpoint_tensor;
strata_status st_checkpoint_list(st_checkpoint_tensor **out, size_t *count, st_arena *arena, const strata_model *model,
                                 bool for_resume, strata_error *err);

/* The texts of the metadata; all with the same arguments, so that a resume can compare them one by one. */
void st_checkpoint_add_net(st_text *text, const strata_model *model, const st_recipe *recipe);
void st_checkpoint_add_classes(st_text *text, const strata_model *model, const st_recipe *recipe);
void st_checkpoint_add_prepared(st_text *text, const strata_model *model, const st_recipe *recipe);
void st_checkpoint_add_run(st_text *text, const strata_model *model, const st_recipe *recipe);

/* The picture that a dense layer sees as a vector, through flatten, dropout and activations; h * w is 1 where it sees
 * none. */
st_dims st_picture_seen(const st_graph *graph, const st_node *node);
/* Brings the columns of a weight that is_channels_last, of a layer of the graph that sees a picture as a vector, into
 * our order; all other weights stay as they are. */
strata_status st_channels_first(st_real *values, const st_tensor *tensor, const st_graph *graph, const st_node *node,
                                strata_error *err);

strata_status st_checkpoint_read_place(st_place_in_run *place, const st_weights *weights, st_arena *arena,
                                       strata_error *err);

#endif
