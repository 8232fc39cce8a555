/* keras: what its files share. keras.c finds the layers of a file, keras_tensors.c makes tensors of their weights,
 * keras_order.c knows in which order Keras lists the layers of a net. */
#ifndef ST_KERAS_H
#define ST_KERAS_H

#include "formats/hdf5.h"

/* What a weight is, and so how its sides lie. */
typedef enum st_keras_role {
    ST_KERAS_PLAIN,     /* as it is */
    ST_KERAS_KERNEL,    /* (rows, columns, in, out), (in, out) */
    ST_KERAS_DEPTHWISE, /* (rows, columns, in, multiplier) */
    ST_KERAS_POINTWISE  /* the KERNEL of a separable convolution */
} st_keras_role;

/* A weight of a layer. */
typedef struct st_keras_weight {
    const char *path; /* in the file */
    const char *name; /* as the layer has it: "conv1/kernel:0" */
    /* Found from the name. */
    const char *scope; /* "conv1", scope_length bytes of name */
    size_t scope_length;
    const char *ending; /* "weight" */
    st_keras_role role;
    size_t number, first; /* its place, and that of the first with its scope */
} st_keras_weight;

typedef struct st_keras {
    st_weights *out;
    st_hdf5 *file;
    st_tensor *tensors;
    size_t count, layer_count;
    uint64_t unpacked_left;               /* bytes of packed data sets that are taken still */
    bool is_theano;                       /* its kernels are turned by half a circle */
    bool channels_first;                  /* dense layers see channels, rows, columns as ours do */
    bool has_dense, has_norm, is_ordered; /* for the note */
} st_keras;

/* "conv2d/kernel:0", "conv1_W_1:0": role and ending. */
void st_keras_name(st_keras_weight *weight, const char *layer);
/* Adds the weights of a layer, a scope after the other, called after it. */
strata_status st_keras_add(st_keras *to, const char *layer, st_keras_weight *weights, size_t count, strata_error *err);
/* All but opening: the file is lent. */
strata_status st_keras_read(st_weights *out, st_hdf5 *file, strata_error *err);

#endif
