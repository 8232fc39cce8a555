/* darknet's .cfg: sections of keys and values. What darknet.c and darknet_net.c share. */
#ifndef ST_DARKNET_H
#define ST_DARKNET_H

#include "formats/foreign.h"

typedef struct st_cfg_option {
    const char *key, *value;
    int line;
} st_cfg_option;

typedef struct st_cfg_section {
    const char *name; /* "convolutional", without brackets */
    int line;
    const st_cfg_option *options;
    size_t option_count;
} st_cfg_section;

typedef struct st_cfg {
    const char *file;
    const st_cfg_section *sections; /* the first one is net or network */
    size_t section_count;
} st_cfg;

/* The text is changed: what lives in the arena points into it. */
strata_status st_cfg_parse(st_cfg *out, st_arena *arena, char *text, size_t length, const char *file,
                           strata_error *err);
/* As in darknet the first of two options with the same key counts. */
const char *st_cfg_text(const st_cfg_section *section, const char *key, const char *standard);
/* A whole number; `standard` where the key is not there. */
strata_status st_cfg_integer(int64_t *out, const st_cfg *cfg, const st_cfg_section *section, const char *key,
                             int64_t standard, int64_t least, int64_t most, strata_error *err);
strata_status st_cfg_real(double *out, const st_cfg *cfg, const st_cfg_section *section, const char *key,
                          double standard, strata_error *err);
/* "1, 2,-3": at least one number, at most what the text holds. */
strata_status st_cfg_list(int64_t **out, size_t *count, st_arena *arena, const st_cfg *cfg,
                          const st_cfg_section *section, const char *key, strata_error *err);
/* An error at a line of the .cfg. */
strata_status st_cfg_fail(strata_error *err, strata_status status, const st_cfg *cfg, int line, const char *format, ...)
    ST_PRINTF(5, 6);

/* The bytes of a .weights file, given out in order. */
typedef struct st_darknet_values {
    const char *file; /* NULL: there is none, only the net is wanted */
    uint64_t at, length;
    uint64_t missing; /* bytes that the net would have had beyond the end */
    const char *first_missing;
    int first_missing_line;
    bool is_transposed; /* dense weights are [inputs][outputs] */
} st_darknet_values;

/* A net in the making. */
typedef struct st_darknet_net {
    st_foreign *foreign;
    const st_cfg *cfg;
    st_darknet_values *values;
    st_foreign_value *layers; /* [layer] what it makes */
    size_t layer;             /* the one being built: section layer + 1 */
    st_foreign_value now;     /* what the layer before made */
    int convolutions, dense;
    size_t end; /* layers from here on are the last softmax and cost, which are left out */
} st_darknet_net;

/* A kind of section that strata knows. */
typedef struct st_darknet_kind {
    const char *names[2]; /* a long and maybe a short one */
    strata_status (*build)(st_darknet_net *b, strata_error *err);
    const char *activation; /* the standard one; NULL: it has none */
} st_darknet_kind;
const st_darknet_kind *st_darknet_kind_of(const char *name); /* NULL: none */
bool st_darknet_has_activation(const char *name);

/* The net of a .cfg, step by step into foreign->writer; its weights are taken from `values`. *output: of the net. */
strata_status st_darknet_build(st_foreign *foreign, int *output, st_darknet_values *values, const st_cfg *cfg,
                               strata_error *err);

#endif
