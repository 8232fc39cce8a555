/* The net of a .cfg: what of it strata has not, its input, its layers one after another. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/darknet.h"

enum { SIDE = 1 << 16, INPUTS = 1 << 24 };

/* ---- what strata has not ---- */

/* Keys that change what a layer computes; `plain` is the value with which they do not. */
static const struct {
    const char *section, *key, *plain;
} strange[] = {
    {"convolutional", "binary", "0"},
    {"convolutional", "xnor", "0"},
    {"convolutional", "flipped", "0"},
    {"convolutional", "dilation", "1"},
    {"convolutional", "antialiasing", "0"},
    {"convolutional", "share_index", ""},
    {"convolutional", "deform", "0"},
    {"convolutional", "stretch", "0"},
    {"convolutional", "sway", "0"},
    {"convolutional", "rotate", "0"},
    {"convolutional", "coordconv", "0"},
    {"convolutional", "stretch_sway", "0"},
    {"maxpool", "antialiasing", "0"},
    {"maxpool", "maxpool_depth", "0"},
    {"softmax", "groups", "1"},
    {"softmax", "temperature", "1"},
    {"softmax", "tree", ""},
    {"softmax", "spatial", "0"},
    {"route", "groups", "1"},
    {"shortcut", "weights_type", "none"},
    {NULL, "dontload", "0"},
    {NULL, "dontloadscales", "0"},
};

static void look_at_section(st_lacks *lacks, const st_cfg_section *section) {
    char where[ST_LACK_TEXT];
    const st_darknet_kind *kind = st_darknet_kind_of(section->name);
    snprintf(where, sizeof where, "line %d", section->line);
    if (kind == NULL) {
        st_lacks_add(lacks, where, "[%.40s]", section->name);
        return;
    }
    const char *activation = st_cfg_text(section, "activation", kind->activation);
    if (kind->activation != NULL && !st_darknet_has_activation(activation)) {
        st_lacks_add(lacks, where, "activation=%.40s", activation);
    }
    for (size_t i = 0; i < ST_COUNT_OF(strange); i++) {
        const char *value = st_cfg_text(section, strange[i].key, NULL);
        bool is_meant = strange[i].section == NULL || strcmp(strange[i].section, kind->names[0]) == 0;
        if (value != NULL && is_meant && strcmp(value, strange[i].plain) != 0) {
            st_lacks_add(lacks, where, "[%.20s] with %s=%.20s", section->name, strange[i].key, value);
        }
    }
}

static strata_status look(const st_cfg *cfg, strata_error *err) {
    st_lacks lacks = {0};
    for (size_t i = 1; i < cfg->section_count; i++) {
        look_at_section(&lacks, &cfg->sections[i]);
        if (i > 1 && strcmp(cfg->sections[i].name, "crop") == 0) {
            char where[ST_LACK_TEXT];
            snprintf(where, sizeof where, "line %d", cfg->sections[i].line);
            st_lacks_add(&lacks, where, "[crop] after other layers");
        }
    }
    return st_lacks_check(&lacks, cfg->file, err);
}

/* ---- the net ---- */

/* The input line: darknet gives RGB from 0 to 1, the shorter side resized to the net's, the centre; a [crop] in front
 * takes a smaller centre and, without noadjust, makes it -1 to 1. */
static strata_status build_input(st_darknet_net *b, strata_error *err) {
    const st_cfg_section *net = &b->cfg->sections[0];
    int64_t h = 0, w = 0, c = 0, inputs = 0, as_is = 0;
    char words[160];
    ST_TRY(st_cfg_integer(&h, b->cfg, net, "height", 0, 1, SIDE, err));
    ST_TRY(st_cfg_integer(&w, b->cfg, net, "width", 0, 1, SIDE, err));
    ST_TRY(st_cfg_integer(&c, b->cfg, net, "channels", 0, 1, SIDE, err));
    ST_TRY(st_cfg_integer(&inputs, b->cfg, net, "inputs", 0, 1, INPUTS, err));
    if (h == 0 && w == 0 && c == 0 && inputs > 0) {
        h = w = 1;
        c = inputs;
    }
    if (h == 0 || w == 0 || c == 0) {
        return st_cfg_fail(err, STRATA_FORMAT, b->cfg, net->line, "[%s] must say height, width and channels",
                           net->name);
    }
    int64_t resize = h > w ? h : w;
    const char *mean = c != 3 && c != 1 ? "" : " mean=0";
    const st_cfg_section *first = b->cfg->section_count > 1 ? &b->cfg->sections[1] : net;
    if (strcmp(first->name, "crop") == 0) {
        ST_TRY(st_cfg_integer(&h, b->cfg, first, "crop_height", 1, 1, h, err));
        ST_TRY(st_cfg_integer(&w, b->cfg, first, "crop_width", 1, 1, w, err));
        ST_TRY(st_cfg_integer(&as_is, b->cfg, first, "noadjust", 0, 0, 1, err));
        mean = as_is > 0 ? mean : " mean=0.5 std=0.5";
    }
    b->now = (st_foreign_value){.dims = {.h = h, .w = w, .c = c}};
    int used = snprintf(words, sizeof words, "input %" PRId64 "x%" PRId64 "x%" PRId64 "%s", h, w, c, mean);
    if (mean[0] != '\0') {
        snprintf(words + used, sizeof words - (size_t)used, " resize=%" PRId64, resize);
    }
    return st_net_writer_input(&b->now.id, b->foreign->writer, words, err);
}

static bool is_named(const st_cfg_section *section, const char *name) {
    const st_darknet_kind *kind = st_darknet_kind_of(section->name);
    return kind != NULL && strcmp(kind->names[0], name) == 0;
}

strata_status st_darknet_build(st_foreign *foreign, int *output, st_darknet_values *values, const st_cfg *cfg,
                               strata_error *err) {
    st_darknet_net b = {.foreign = foreign, .cfg = cfg, .values = values, .end = cfg->section_count - 1};
    if (b.end == 0) {
        return st_fail_file(err, STRATA_FORMAT, cfg->file, "it has no layers after [net]");
    }
    ST_TRY(look(cfg, err));
    while (b.end > 0 && is_named(&cfg->sections[b.end], "cost")) {
        b.end--;
    }
    bool has_softmax = b.end > 0 && is_named(&cfg->sections[b.end], "softmax");
    b.end -= has_softmax;
    ST_TRY(build_input(&b, err));
    ST_TRY(st_arena_alloc(&b.layers, foreign->arena, cfg->section_count, sizeof *b.layers, err));
    for (b.layer = 0; b.layer + 1 < cfg->section_count; b.layer++) {
        ST_TRY(st_darknet_kind_of(cfg->sections[b.layer + 1].name)->build(&b, err));
        b.layers[b.layer] = b.now;
    }
    *output = b.now.id;
    if (b.now.dims.h != 1 || b.now.dims.w != 1) {
        st_net_writer_no_loss(foreign->writer);
    }
    return STRATA_OK;
}
