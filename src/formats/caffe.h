/* Caffe models: layers and their numbers as caffe_model.c finds them in a file, the way through them (caffe_graph.c),
 * and what they are in strata (caffe_layers.c). */
#ifndef ST_CAFFE_H
#define ST_CAFFE_H

#include <caffe.pb-c.h>

#include "formats/foreign.h"

/* Numbers of a layer, where they are. */
typedef struct st_caffe_blob {
    st_stored stored;
    uint64_t offset;            /* in the file */
    const unsigned char *bytes; /* in memory instead: a few */
    size_t count;
    int rank;
    int64_t dims[ST_TENSOR_RANK_MAX];
} st_caffe_blob;

typedef struct st_caffe_layer {
    const Caffe__LayerParameter *says;
    const char *name, *type; /* "Convolution", whichever way the file says it */
    st_caffe_blob *blobs;
    size_t blob_count;
} st_caffe_layer;

typedef struct st_caffe_model {
    const Caffe__NetParameter *says;
    st_caffe_layer *layers;
    size_t layer_count;
} st_caffe_model;

/* Everything but the numbers, which stay in the file. */
strata_status st_caffe_load(st_caffe_model *out, st_arena *arena, const st_file *file, strata_error *err);

/* ---- which layers the answer needs ---- */

enum { ST_CAFFE_NONE = -1 };

/* A value is a top of a layer; layers write over the values of others under the same name. */
typedef struct st_caffe_wired {
    int *bottoms;     /* values; ST_CAFFE_NONE: nothing makes it */
    size_t first_top; /* its tops are values from here on */
    bool is_left_out; /* of training alone, where another layer does its work in a test */
    bool is_needed;
} st_caffe_wired;

typedef struct st_caffe_made {
    size_t layer, top; /* layer: model->layer_count for inputs that the net itself names */
    size_t use_count;  /* by layers that are needed */
    size_t user;       /* one of them */
} st_caffe_made;

typedef struct st_caffe_graph {
    st_caffe_wired *layers; /* [layer_count] */
    st_caffe_made *values;
    size_t value_count;
    int input, output;     /* values; the output without a last softmax */
    size_t side_count;     /* layers with work to do that the output does not need */
    const char *side_name; /* the first of them */
} st_caffe_graph;

strata_status st_caffe_wire_up(st_caffe_graph *out, st_arena *arena, const st_caffe_model *model, const char *file,
                               strata_error *err);
bool st_caffe_is_source(const st_caffe_layer *layer); /* gives pictures */

/* ---- layers in strata's words ---- */

typedef struct st_caffe_step {
    st_foreign *foreign;
    const st_file *file;
    const st_caffe_layer *layer, *scale; /* scale: a Scale that a BatchNorm takes with it, or NULL */
    const st_foreign_value *in;
    size_t in_count;
    st_foreign_value out;
} st_caffe_step;

/* What of a layer strata has not. */
void st_caffe_look(st_lacks *lacks, const st_caffe_layer *layer);
/* Writes the layer: step->out, its weights. Of layers that st_caffe_look had nothing to say of. */
strata_status st_caffe_write(st_caffe_step *step, strata_error *err);

/* What the two files of layers share. */
strata_status st_caffe_fail(strata_error *err, strata_status status, const st_caffe_step *step, const char *format, ...)
    ST_PRINTF(4, 5);
strata_status st_caffe_add(st_caffe_step *step, const char *words, const char *wish, strata_error *err);
/* The same from a text, which it gives back. */
strata_status st_caffe_add_text(st_caffe_step *step, st_text *words, const char *wish, strata_error *err);
void st_caffe_key(st_text *words, const char *key, float value, float standard); /* " alpha=0.5" */
/* A kernel, stride, pad or dilation: two fields, a list of one or two numbers, or the standard. */
strata_status st_caffe_pair(int64_t out[2], const st_caffe_step *step, const char *what, bool has_both, uint32_t rows,
                            uint32_t columns, const uint32_t *list, size_t count, int64_t standard, int64_t least,
                            strata_error *err);
bool st_caffe_count(int64_t *out, st_dims dims); /* the values of one picture; false: too many */
strata_status st_caffe_convolution(st_caffe_step *step, strata_error *err);
strata_status st_caffe_dense(st_caffe_step *step, strata_error *err);
strata_status st_caffe_batch_norm(st_caffe_step *step, strata_error *err);
strata_status st_caffe_scale(st_caffe_step *step, strata_error *err);

#endif
