/* conv_nhwc.h: what the files of the NHWC convolution share: the dense engine under forward and backward data, sizes,
 * and the packed order of weights.
 *
 * Packed weights, for each group of channels: [K/32][C/64][R][S][c of the block][32], K padded with zeros to whole 32s,
 * C not padded: memory order is the order of the sum (docs/numerics.md, rule 1). */
#ifndef ST_CONV_NHWC_H
#define ST_CONV_NHWC_H

#include "layers/layers.h"

/* A dense convolution of one group of channels, as the engine sees it: forward, or one class of rows and columns of a
 * backward pass. y[n][i][j] = sum over c, r, s of x[n][i * stride + r * dilation - top][...][c] * weights; x is zero
 * outside. Strides are in elements. */
typedef struct st_dense {
    const st_kernels *kernels;
    int threads;
    int64_t n, h, w, c; /* of x */
    int64_t r, s, stride_h, stride_w, dilation_h, dilation_w, top, left;
    int64_t p, q, k; /* of y */
    const st_real *x, *weights;
    st_real *y;
    int64_t x_pixel, x_row, x_image, y_pixel, y_row, y_image;
    const st_real *residual; /* rows and images as dense as its pixels */
    int64_t residual_pixel;
    const st_real *scale, *shift; /* [k], each may be NULL */
    st_activation activation;
    bool is_begun; /* y holds what the chains continue */
} st_dense;

/* How it is cut into items. Changes time, never a result. */
typedef struct st_dense_cut {
    bool is_flat;                                   /* 1x1 over pixels without gaps: read where they are */
    bool is_copied;                                 /* flat, but rows alias in the cache: copied to other distances */
    int64_t pixels;                                 /* flat: of an item */
    int64_t images;                                 /* of a band of whole images; 1 where a band is rows */
    int64_t rows;                                   /* output rows of a band */
    int64_t bands;                                  /* flat: pieces of pixels */
    int64_t bands_of_image;                         /* where a band is rows: all bands as even as they can be */
    int64_t k_blocks;                               /* of an item */
    int64_t k_parts;                                /* items of a band */
    int64_t panel_rows, panel_columns, panel_pitch; /* of one image in a band; elements of a pixel in a block */
    int64_t run_count, tile_count;                  /* at most */
    size_t bytes;                                   /* thread scratch */
} st_dense_cut;

st_dense_cut st_dense_plan(const st_dense *dense);
int64_t st_dense_items(const st_dense_cut *cut);
void st_dense_run(const st_dense *dense, const st_dense_cut *cut, int64_t item, void *scratch);

/* Copies rows row0 ... of one image's channels c0 ... c0 + c - 1, with zeros where the image ends, to
 * [c/64][rows][columns][pitch], the blocks of 64 channels `block` elements apart. */
typedef struct st_panel_copy {
    const st_real *x; /* the image */
    int64_t h, w, x_pixel, x_row;
    int64_t c0, c, pitch, block;
    int64_t row0, rows, column0, columns;
} st_panel_copy;
void st_panel_fill(const st_kernels *kernels, st_real *panel, const st_panel_copy *copy);

static inline int64_t st_ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}
static inline int64_t st_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t st_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}
/* `count` elements from `first` on, over `steps` steps of bricks. */
static inline st_soon st_soon_of(const st_real *first, int64_t count, int64_t steps) {
    const int64_t bytes = st_max(0, count) * (int64_t)sizeof(st_real);
    const char *at = (const char *)first;
    return (st_soon){.at = at, .end = at + bytes, .step = st_min(64, st_ceil_div(bytes, st_max(1, steps)))};
}
static inline size_t st_round_64(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

/* One convolution's sizes, for all passes. */
typedef struct st_conv_shape {
    st_window window;
    int64_t groups, c, k; /* channels of a group */
    int64_t k_blocks, c_blocks;
    int64_t group_weights; /* packed elements of a group */
    st_dims in, out;
} st_conv_shape;
st_conv_shape st_conv_shape_of(const st_site *site);

/* The equal groups of images of rule 5: 8, 4, 2 or 1. */
static inline int64_t st_image_groups(int64_t n) {
    return n % 8 == 0 ? 8 : n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : 1;
}

/* Gradient of the input: weights are turned, then the items of all classes of rows and columns run. Shared memory of a
 * call: the turned weights, where that gradient is wanted by the site; then what the weights' gradient needs. */
size_t st_conv_turned_bytes(const st_site *site);
size_t st_conv_data_thread_bytes(const st_site *site);
int64_t st_conv_turn_items(const st_call *call);
void st_conv_turn(const st_call *call, int64_t item, void *scratch);
int64_t st_conv_data_items(const st_call *call);
void st_conv_data(const st_call *call, int64_t item, void *scratch);

/* Gradient of weights and bias: blocks of the gradient or groups of images are summed, then the sums of groups merged.
 */
size_t st_conv_weights_shared_bytes(const st_site *site);
size_t st_conv_weights_thread_bytes(const st_site *site);
size_t st_conv_weights_carried_bytes(const st_site *site);
int64_t st_conv_weights_items(const st_call *call);
void st_conv_weights(const st_call *call, int64_t item, void *scratch);
int64_t st_conv_merge_items(const st_call *call);
void st_conv_merge(const st_call *call, int64_t item, void *scratch);

/* The bias' gradient, also of fc: sums over the pixels of dy, in the groups of images. */
int64_t st_bias_items(const st_call *call);
void st_bias_sum(const st_call *call, int64_t item);

#endif
