/* foreign: what the readers of other programs' models share. They walk through a stranger's layers in order, know the
 * shape of every value, say each layer in strata's words to a net writer, and note which bytes are whose weights. */
#ifndef ST_FOREIGN_H
#define ST_FOREIGN_H

#include "formats/formats.h"
#include "formats/net_writer.h"

typedef struct st_foreign_value {
    int id; /* the net writer's */
    st_dims dims;
    bool is_flat;
} st_foreign_value;

/* A tensor whose name comes when the net is written: the path of a step and the word of a state. */
typedef struct st_foreign_state {
    int step;
    const char *word; /* "weight" */
} st_foreign_state;

typedef struct st_foreign {
    st_arena *arena;
    st_net_writer *writer;
    st_tensor *tensors;
    st_foreign_state *states; /* [tensor_count] */
    size_t tensor_count;
} st_foreign;

/* tensor: all but the name. dims are copied. */
strata_status st_foreign_state_add(st_foreign *foreign, int step, const char *word, const st_tensor *tensor,
                                   strata_error *err);
/* Writes the net, gives the tensors their names (those of steps that nothing needs are left out), and fills tensors and
 * pairs of `out`. The net is built and each tensor compared with it: what comes out of here fits. note: for
 * ST_PAIR_NOTE. */
strata_status st_foreign_finish(st_weights *out, st_foreign *foreign, int output, const char *note, strata_error *err);

/* ---- words ---- */

/* The shortest text that is this float again, as .net files write numbers. */
enum { ST_FOREIGN_NUMBER = 32 };
void st_foreign_number(char out[ST_FOREIGN_NUMBER], float value);

/* One axis of a stranger's pooling: `count` windows, the first of which begins `before` places before the image; a mean
 * counts up to `after` places behind it. */
typedef struct st_foreign_axis {
    int64_t size, kernel, stride, before, after, count;
} st_foreign_axis;

enum { ST_FOREIGN_WORDS = 160 };
/* "3x3 stride=2 ceil=yes": what pools rows and columns in the same way. false: no words do. */
bool st_foreign_pool(char out[ST_FOREIGN_WORDS], const st_foreign_axis axes[2], bool is_mean);

typedef struct st_foreign_conv {
    int64_t kernel[2], stride[2], pad[2], dilation[2], filters, groups;
    bool has_bias;
} st_foreign_conv;
/* "conv 3x3 64 stride=2 pad=1". */
void st_foreign_conv_words(char out[ST_FOREIGN_WORDS], const st_foreign_conv *conv);
/* Of what comes out: the rows and columns; false where a window does not fit. */
bool st_foreign_conv_dims(st_dims *out, const st_foreign_conv *conv, st_dims in);

/* ---- what strata has not, said all at once ---- */

enum { ST_LACKS = 24, ST_LACK_TEXT = 64 };
typedef struct st_lacks {
    struct {
        char what[ST_LACK_TEXT], where[ST_LACK_TEXT];
        size_t count;
    } list[ST_LACKS];
    size_t filled, beyond; /* beyond: kinds that the list has no room for */
} st_lacks;

/* what: "Deconvolution"; the same a second time is counted. where: its first place, "layer 'up'". */
void st_lacks_add(st_lacks *lacks, const char *where, const char *what, ...) ST_PRINTF(3, 4);
/* STRATA_UNSUPPORTED with all of it, or STRATA_OK when there is nothing. */
strata_status st_lacks_check(const st_lacks *lacks, const char *file, strata_error *err);

#endif
