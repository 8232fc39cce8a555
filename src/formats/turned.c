/* A tensor whose values lie packed, but with its sides in another order, read as a whole: from the first byte to the
 * last, each value to its place. In the order of the sides a large matrix would be a read for each value. */
#include <string.h>

#include "formats/table.h"

enum { PIECE_VALUES = 2048 };

typedef struct side {
    size_t length, out_step; /* values from one index to the next in what is made */
} side;

/* The sides in the order in which they lie, the slowest first; false where values have gaps or lie twice. */
static bool sort_sides(side sides[ST_TENSOR_RANK_MAX], int *count, const st_tensor *tensor) {
    int order[ST_TENSOR_RANK_MAX];
    int64_t step = 1;
    *count = 0;
    for (int d = 0; d < tensor->rank; d++) {
        int at = *count;
        if (tensor->dims[d] == 1) {
            continue;
        }
        for (; at > 0 && tensor->strides[order[at - 1]] < tensor->strides[d]; at--) {
            order[at] = order[at - 1];
        }
        order[at] = d;
        ++*count;
    }
    for (int i = *count - 1; i >= 0; i--) {
        if (tensor->strides[order[i]] != step) {
            return false;
        }
        sides[i].length = (size_t)tensor->dims[order[i]];
        sides[i].out_step = 1;
        for (int d = order[i] + 1; d < tensor->rank; d++) {
            sides[i].out_step *= (size_t)tensor->dims[d];
        }
        step *= tensor->dims[order[i]];
    }
    return true;
}

strata_status st_tensor_turn(st_tensor *tensor, const st_weights *weights, strata_error *err) {
    const int64_t all = (int64_t)tensor->count;
    side sides[ST_TENSOR_RANK_MAX];
    size_t index[ST_TENSOR_RANK_MAX] = {0}, place = 0, size = st_stored_size(tensor->stored);
    unsigned char piece[PIECE_VALUES * sizeof(uint64_t)], *out = NULL;
    st_tensor line = *tensor;
    int rank = 0;
    if (tensor->strides == NULL || tensor->count == 0 || !sort_sides(sides, &rank, tensor)) {
        return STRATA_OK;
    }
    line.rank = 1;
    line.dims = &all;
    line.strides = NULL;
    ST_TRY(st_arena_alloc(&out, weights->arena, tensor->count, size, err));
    for (size_t done = 0; done < tensor->count;) {
        size_t now = tensor->count - done < PIECE_VALUES ? tensor->count - done : PIECE_VALUES;
        ST_TRY(st_weights_read_bytes(weights, &line, done, now, piece, err));
        for (size_t i = 0; i < now; i++) {
            memcpy(out + place * size, piece + i * size, size);
            for (int d = rank - 1; d >= 0; d--) { /* the next index, the fastest side first */
                place += sides[d].out_step;
                if (++index[d] < sides[d].length) {
                    break;
                }
                place -= sides[d].out_step * sides[d].length;
                index[d] = 0;
            }
        }
        done += now;
    }
    tensor->bytes = out;
    tensor->strides = NULL;
    return STRATA_OK;
}
