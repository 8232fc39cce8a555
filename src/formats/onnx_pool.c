/* ONNX: windows, as convolutions and pooling have them, and pooling. */
#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/onnx.h"

/* ---- windows ---- */

static bool auto_pad(st_onnx_window *out, const Onnx__NodeProto *node, st_dims in) {
    const Onnx__AttributeProto *found = st_onnx_find_attribute(node, "auto_pad");
    const int64_t size[2] = {in.h, in.w};
    if (found == NULL || !found->has_s || found->s.len == 0) {
        return false;
    }
    bool is_upper = found->s.len == 10 && memcmp(found->s.data, "SAME_UPPER", 10) == 0;
    bool is_lower = found->s.len == 10 && memcmp(found->s.data, "SAME_LOWER", 10) == 0;
    bool is_valid = found->s.len == 5 && memcmp(found->s.data, "VALID", 5) == 0;
    for (int i = 0; i < 2 && (is_upper || is_lower || is_valid); i++) {
        int64_t count = (size[i] - 1) / out->stride[i] + 1;
        int64_t reach = (out->kernel[i] - 1) * out->dilation[i] + 1;
        int64_t total = (count - 1) * out->stride[i] + reach - size[i];
        total = total > 0 && !is_valid ? total : 0;
        out->pad[i] = is_upper ? total / 2 : total - total / 2;
        out->pad[i + 2] = total - out->pad[i];
    }
    return is_upper || is_lower || is_valid;
}

strata_status st_onnx_read_window(st_onnx_window *out, const st_onnx *o, const Onnx__NodeProto *node, st_dims in,
                                  strata_error *err) {
    enum { MOST = 1 << 16 };
    ST_TRY(st_onnx_ints(out->stride, 2, o, node, "strides", 1, err));
    ST_TRY(st_onnx_ints(out->dilation, 2, o, node, "dilations", 1, err));
    ST_TRY(st_onnx_ints(out->pad, 4, o, node, "pads", 0, err));
    for (int i = 0; i < 4; i++) {
        bool is_good = out->pad[i] >= 0 && out->pad[i] <= MOST && out->kernel[i % 2] > 0 &&
                       out->kernel[i % 2] <= MOST && out->stride[i % 2] > 0 && out->stride[i % 2] <= MOST &&
                       out->dilation[i % 2] > 0 && out->dilation[i % 2] <= MOST;
        if (!is_good) {
            return st_onnx_fail(o, err,
                                "a window of %" PRId64 " with stride %" PRId64 ", dilation %" PRId64 " and pad %" PRId64
                                ", expected 1 to %d (pad: 0)",
                                out->kernel[i % 2], out->stride[i % 2], out->dilation[i % 2], out->pad[i], MOST);
        }
    }
    auto_pad(out, node, in);
    return STRATA_OK;
}

bool st_onnx_is_picture(const st_onnx_value *in) {
    return in->rank == 4 && !in->is_last && !in->is_joined;
}

/* ---- pooling ---- */

static strata_status put_pool(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, const char *layer,
                              st_dims dims, strata_error *err) {
    st_onnx_value out = {.rank = 4, .dims = dims, .shape = {in->shape[0], dims.c, dims.h, dims.w}};
    ST_TRY(st_onnx_step(&out, o, layer, NULL, &in, 1, err));
    return st_onnx_output(o, node, &out, err);
}

/* How many windows fit: of ONNX, whose last window of ceil_mode may not begin behind the image. */
static int64_t windows(const st_onnx_window *w, int64_t size, int i, bool is_ceil) {
    int64_t room = size + w->pad[i] + w->pad[i + 2] - w->kernel[i];
    int64_t count = room < 0 ? 0 : (room + (is_ceil ? w->stride[i] - 1 : 0)) / w->stride[i] + 1;
    return is_ceil && count > 1 && (count - 1) * w->stride[i] >= size + w->pad[i] ? count - 1 : count;
}

static strata_status read_pool(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    bool is_mean = node->op_type[0] == 'A', is_ceil = st_onnx_int(node, "ceil_mode", 0) != 0;
    st_onnx_value *in = NULL;
    st_foreign_axis axes[2];
    st_onnx_window w;
    char words[ST_FOREIGN_WORDS], layer[ST_FOREIGN_WORDS + 64];
    ST_TRY(st_onnx_take(&in, o, node, err));
    const Onnx__AttributeProto *kernel = st_onnx_find_attribute(node, "kernel_shape");
    if (in == NULL || !st_onnx_is_picture(in) || kernel == NULL || kernel->n_ints != 2) {
        return in != NULL ? st_onnx_lack(o, node, "%s not of rows and columns", node->op_type) : STRATA_OK;
    }
    w.kernel[0] = kernel->ints[0];
    w.kernel[1] = kernel->ints[1];
    ST_TRY(st_onnx_read_window(&w, o, node, in->dims, err));
    const int64_t size[2] = {in->dims.h, in->dims.w};
    for (int i = 0; i < 2; i++) {
        axes[i] = (st_foreign_axis){.size = size[i],
                                    .kernel = w.kernel[i],
                                    .stride = w.stride[i],
                                    .before = w.pad[i],
                                    .after = w.pad[i + 2],
                                    .count = windows(&w, size[i], i, is_ceil)};
        if (axes[i].count < 1) {
            return st_onnx_fail(o, err, "its window is larger than the %" PRId64 "x%" PRId64 " that it sees",
                                in->dims.h, in->dims.w);
        }
    }
    bool counts = is_mean && st_onnx_int(node, "count_include_pad", 0) != 0;
    bool skips = is_mean && !counts && w.pad[0] + w.pad[1] + w.pad[2] + w.pad[3] > 0;
    if (w.dilation[0] != 1 || w.dilation[1] != 1 || !st_foreign_pool(words, axes, counts)) {
        return st_onnx_lack(o, node, "%s with %s", node->op_type,
                            w.dilation[0] != 1 || w.dilation[1] != 1 ? "dilation" : "this padding");
    }
    snprintf(layer, sizeof layer, "%s %s%s", is_mean ? "avgpool" : "maxpool", words,
             skips && strcmp(words, "global") != 0 ? " exclude_pad=yes" : "");
    return put_pool(o, node, in, layer, (st_dims){.h = axes[0].count, .w = axes[1].count, .c = in->dims.c}, err);
}

static strata_status read_global_pool(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL || !st_onnx_is_picture(in)) {
        return in != NULL ? st_onnx_lack(o, node, "%s not of rows and columns", node->op_type) : STRATA_OK;
    }
    const char *layer = strcmp(node->op_type, "GlobalMaxPool") == 0 ? "maxpool global" : "avgpool global";
    return put_pool(o, node, in, layer, (st_dims){.h = 1, .w = 1, .c = in->dims.c}, err);
}

/* A bit for each axis that a ReduceMean of a value of this rank goes over; all of them: none is named. Axes in the
 * attribute, or from version 18 on in the second input. */
static strata_status mean_axes(unsigned *out, st_onnx *o, const Onnx__NodeProto *node, int rank, strata_error *err) {
    const Onnx__AttributeProto *attribute = st_onnx_find_attribute(node, "axes");
    st_onnx_value *list = NULL;
    ST_TRY(st_onnx_input(&list, o, node, 1, err));
    const int64_t *axes = list != NULL ? list->ints : attribute != NULL ? attribute->ints : NULL;
    size_t count = list != NULL ? list->tensor.count : attribute != NULL ? attribute->n_ints : 0;
    *out = axes == NULL || count == 0 ? ~0U : 0;
    for (size_t i = 0; axes != NULL && i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        *out = axis >= 0 && axis < rank ? *out | 1U << axis : ~0U;
    }
    return STRATA_OK;
}

/* The only user of what `node` makes, where it is a ReduceMean too. */
static const Onnx__NodeProto *next_mean(const st_onnx *o, const Onnx__NodeProto *node, size_t *place) {
    const st_onnx_value *output = st_onnx_find(o, node->output[0]);
    if (output->uses != 1 || output->user >= o->graph->n_node) {
        return NULL;
    }
    const Onnx__NodeProto *user = o->graph->node[output->user];
    *place = output->user;
    return user->op_type != NULL && strcmp(user->op_type, "ReduceMean") == 0 && user->n_input > 0 &&
                   strcmp(user->input[0], node->output[0]) == 0
               ? user
               : NULL;
}

/* Over rows and columns, by one node or, as x.mean(3).mean(2) is written, by two. */
static strata_status read_reduce_mean(st_onnx *o, const Onnx__NodeProto *node, strata_error *err) {
    st_onnx_value *in = NULL;
    const Onnx__NodeProto *last = node;
    unsigned found = 0, second = 0;
    size_t place = 0;
    ST_TRY(st_onnx_take(&in, o, node, err));
    if (in == NULL) {
        return STRATA_OK;
    }
    ST_TRY(mean_axes(&found, o, node, in->rank, err));
    bool keeps = st_onnx_int(node, "keepdims", 1) != 0, is_picture_like = in->rank == 4 && !in->is_joined;
    int rows = in->is_last ? 1 : 2;
    unsigned both = 3U << rows;
    if (is_picture_like && (found == 1U << rows || found == 2U << rows)) {
        const Onnx__NodeProto *next = next_mean(o, node, &place);
        bool keeps_next = next != NULL && st_onnx_int(next, "keepdims", 1) != 0;
        if (next != NULL && keeps == keeps_next) {
            ST_TRY(mean_axes(&second, o, next, keeps ? 4 : 3, err));
            unsigned wanted = keeps ? both & ~found : 1U << rows; /* the other one; without the first it is at `rows` */
            last = second == wanted ? next : node;
            found = second == wanted ? both : found;
        }
    }
    if (!is_picture_like || found != both) {
        return st_onnx_lack(o, node, "ReduceMean not over rows and columns");
    }
    int64_t n = in->shape[0], c = in->dims.c;
    st_onnx_value out = {.rank = 4, .dims = {.h = 1, .w = 1, .c = c}, .shape = {n, c, 1, 1}, .is_last = in->is_last};
    if (!keeps) {
        out.rank = 2;
        out.is_last = false;
    } else if (in->is_last) {
        out.shape[1] = 1;
        out.shape[3] = c;
    }
    ST_TRY(st_onnx_step(&out, o, "avgpool global", NULL, &in, 1, err));
    if (last != node) {
        o->is_done[place] = true;
        ST_TRY(st_onnx_output(o, last, &out, err));
    }
    return st_onnx_output(o, node, &out, err);
}

const st_onnx_operator st_onnx_pools[] = {{"MaxPool", read_pool},
                                          {"AveragePool", read_pool},
                                          {"GlobalAveragePool", read_global_pool},
                                          {"GlobalMaxPool", read_global_pool},
                                          {"ReduceMean", read_reduce_mean},
                                          {NULL, NULL}};
#endif
