/* A dense layer's weight from a program that has pictures as rows, columns, channels (Keras): its columns follow what
 * that program's flatten makes of a picture, ours follow channels, rows, columns. */
#include <string.h>

#include "train/checkpoint.h"

/* Whether the values of a vector keep their places: flatten, dropout, an activation. */
static bool keeps_places(const st_graph *graph, const st_node *node) {
    if (node->in_count != 1 || node->op->kind != STRATA_LAYER_OTHER) {
        return false;
    }
    st_dims in = graph->nodes[node->in[0]].out;
    return node->out.h * node->out.w == 1 && in.h * in.w * in.c == node->out.c;
}

st_dims st_picture_seen(const st_graph *graph, const st_node *node) {
    const st_node *from = &graph->nodes[node->in[0]];
    while (keeps_places(graph, from)) { /* nodes read earlier ones, so this ends */
        from = &graph->nodes[from->in[0]];
    }
    return from->out;
}

strata_status st_channels_first(st_real *values, const st_tensor *tensor, const st_graph *graph, const st_node *node,
                                strata_error *err) {
    if (!tensor->is_channels_last || tensor->rank != 2 || node->in_count != 1) {
        return STRATA_OK;
    }
    st_dims picture = st_picture_seen(graph, node);
    size_t area = (size_t)(picture.h * picture.w), channels = (size_t)picture.c, columns = (size_t)tensor->dims[1];
    if (area == 1 || area * channels != columns) {
        return STRATA_OK;
    }
    st_real *row = st_sys.allocate(columns * sizeof *row);
    ST_FAIL_IF(row == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", columns * sizeof *row);
    for (int64_t k = 0; k < tensor->dims[0]; k++) {
        st_real *to = values + (size_t)k * columns;
        memcpy(row, to, columns * sizeof *row);
        for (size_t c = 0; c < channels; c++) {
            for (size_t p = 0; p < area; p++) {
                to[c * area + p] = row[p * channels + c];
            }
        }
    }
    st_sys.release(row, columns * sizeof *row);
    return STRATA_OK;
}
