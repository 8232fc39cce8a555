/* kernels: the arithmetic, once for each instruction set. Bodies are .inc files written on the inline functions of
 * simd_<isa>.h; isa_<isa>.c includes them (bodies.inc) and exports one table. Portable C is the reference: in f32 every
 * other table gives the same bytes (docs/numerics.md has the rules).
 *
 * An entry is one line of a list below: X(name, return type, (arguments)). Its body is `static ... kernel_<name>(...)`
 * in a .inc file that bodies.inc includes, and tests/sweep_*.c hold a `sweep_<name>`: members, tables and the test's
 * rows are made from the list, so that nothing can be forgotten. */
#ifndef ST_KERNELS_H
#define ST_KERNELS_H

#include "graph/op.h"

/* ---- the matrix product: brgemm.inc ---- */

enum {
    ST_TILE_ROWS = 14, /* most pixels of a tile, on any instruction set */
    ST_BLOCK_K = 32,   /* outputs of a block of packed weights */
    ST_BLOCK_C = 64    /* input channels of a block: part of the definition of a result (rule 1) */
};

/* Pixels that are computed together, as offsets in elements from the problem's a, c and residual. Pixels 0 to piece -
 * 1, piece to 2 piece - 1, ... are neighbours: their a are lda apart (`tile_piece` of the table). */
typedef struct st_tile {
    int rows; /* 1 to the table's tile_rows */
    int64_t a[ST_TILE_ROWS], c[ST_TILE_ROWS], residual[ST_TILE_ROWS];
} st_tile;

/* k neighbouring elements of each pixel's input, `a` elements from the tile's own offset. */
typedef struct st_gemm_run {
    int64_t a, k;
} st_gemm_run;

/* Memory that is wanted soon: a brick asks for it `step` bytes at a time while it computes, from `at` up to `end`, and
 * leaves in `at` where it came to. Then come `left` more pieces as long as this one, each `stride` bytes behind the one
 * before. Spread out: a burst would take the buffers that the brick's own misses need. */
typedef struct st_soon {
    const char *at, *end;
    int64_t step, width, stride, left;
} st_soon;

/* c[pixel][0..n-1] = end(sum over runs, then k, of a[pixel + run + k] * b[run, k][0..n-1]), each sum one chain of fused
 * multiply-adds in this order. Georganas et al. 2019, "High-Performance Deep Learning via a Single Building Block",
 * arXiv:1906.06440, whose batch-reduce product this is. */
typedef struct st_brgemm {
    const st_real *a, *b; /* b: [sum of k][32], packed */
    st_real *c;
    const st_gemm_run *runs;
    int run_count;
    int64_t lda;
    int n;         /* outputs of this block, 1 to 32 */
    bool is_begun; /* chains continue from what c holds; otherwise from +0 */
    bool is_open;  /* chains go on in a later call: c gets the bare sums, no end */
    bool streams;  /* whole lines of c go past the caches; the caller calls `fence` before others read them */
    st_soon *soon; /* or NULL */
    /* The end: y = activation(fma(sum, scale, shift) + residual), flushed. */
    const st_real *scale, *shift; /* [32]; both or none */
    const st_real *residual;      /* NULL: none */
    st_activation activation;
} st_brgemm;

/* dw[m][0..n-1] (+)= sum over pixels of x[pixel's offset + m] * dy[pixel][0..n-1], a chain each. */
typedef struct st_brgemm_weights {
    const st_real *x;
    const int64_t *offsets; /* of the pixels in x */
    int64_t pixels;
    const st_real *dy; /* [pixels], dy_pixel apart */
    int64_t dy_pixel;
    st_real *dw; /* [m][32] */
    int64_t m;
    int n;                 /* outputs, 1 to 32; if fewer than 32, dy has zeros up to there, and so gets dw */
    bool is_begun;         /* chains continue from what dw holds */
    const st_real *add[4]; /* at the end: sum = add[i] + sum, i rising: the finished groups of the tree (rule 5) */
    int add_count;
    bool is_last;  /* flushed */
    st_soon *soon; /* or NULL */
} st_brgemm_weights;

/* brgemm(problem, tile): one tile.
 * fence(): after streams, before another thread may read.
 * brgemm_weights(problem): all m rows of a block of 32 outputs.
 * copy(to, to_stride, from, from_stride, rows, columns): to[i * to_stride + j] = from[i * from_stride + j].
 * transpose(to, to_stride, from, from_stride, rows, columns): to[j * to_stride + i] = from[i * from_stride + j].
 * sum_pixels(sums, rows, stride, pixels, c): sums[i] = sums[i] + rows[p * stride + i], a chain over p, for i < c.
 * sum_tree(to, parts, stride, groups, count): to[i] = the balanced tree, neighbours first, over parts[g * stride + i],
 *     g < groups (1, 2, 4 or 8), flushed. `to` may be part 0.
 * peak(rounds): independent fused multiply-adds at full speed; how many floating-point operations they were. */
#define ST_KERNEL_LIST_BRICK(X)                                                                                        \
    X(brgemm, void, (const st_brgemm *problem, const st_tile *tile))                                                   \
    X(fence, void, (void))                                                                                             \
    X(brgemm_weights, void, (const st_brgemm_weights *problem))                                                        \
    X(copy, void,                                                                                                      \
      (st_real * to, int64_t to_stride, const st_real *from, int64_t from_stride, int64_t rows, int64_t columns))      \
    X(transpose, void,                                                                                                 \
      (st_real * to, int64_t to_stride, const st_real *from, int64_t from_stride, int64_t rows, int64_t columns))      \
    X(sum_pixels, void, (st_real * sums, const st_real *rows, int64_t stride, int64_t pixels, int64_t c))              \
    X(sum_tree, void, (st_real * to, const st_real *parts, int64_t stride, int groups, int64_t count))                 \
    X(peak, double, (int64_t rounds))

/* ---- image lanes: lanes.inc ---- */

/* A convolution of one block of 16 images. x (or dx) is h x w, padding does not lie in memory. Weights: [groups][blocks
 * of 64 c][r][s][c of the block][k]. */
typedef struct st_lanes_conv {
    int64_t c, k, groups; /* c, k: of one group */
    int64_t r, s, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int64_t h, w, p, q;
    int64_t x_pixel, y_pixel; /* elements between neighbouring pixels of x or dx, of y or dy */
} st_lanes_conv;

/* Weights [inputs][width], inputs in the order of memory (h, w, c); width: outputs rounded up to 16, zeros there. */
typedef struct st_lanes_fc {
    int64_t inputs, outputs, width;
} st_lanes_fc;

/* The loss over logits [classes][16 images]. `images`: how many exist; the others lose nothing and learn nothing. */
typedef struct st_lanes_loss {
    int64_t classes;
    const st_real *logits;
    const int32_t *labels; /* [images] */
    int images;
    st_real smoothing;
} st_lanes_loss;

enum {
    ST_LANES_L1_COUNT = 8 * 1024,    /* numbers that a loop may use over and over: 32 KiB of floats */
    ST_LANES_BAND_COUNT = 64 * 1024, /* and 256 KiB, of L2 */
    ST_LANES_TILE_COUNT = 6 * 6      /* most sums of a tile, of 16 images each */
};

/* Rows of x under `rows` rows of outputs. */
static inline int64_t st_lanes_x_rows(const st_lanes_conv *conv, int64_t rows) {
    return (rows - 1) * conv->stride_h + (conv->r - 1) * conv->dilation_h + 1;
}

/* Whether a window reaches beyond x anywhere: lanes_conv then works on a copy with its padding. */
static inline bool st_lanes_is_padded(const st_lanes_conv *conv) {
    return conv->pad_top > 0 || conv->pad_left > 0 || st_lanes_x_rows(conv, conv->p) - conv->pad_top > conv->h ||
           (conv->q - 1) * conv->stride_w + (conv->s - 1) * conv->dilation_w + 1 - conv->pad_left > conv->w;
}

/* Rows of outputs for which lanes_conv copies x with its padding at once. */
static inline int64_t st_lanes_conv_rows(const st_lanes_conv *conv) {
    int64_t columns = (conv->q - 1) * conv->stride_w + (conv->s - 1) * conv->dilation_w + 1, rows = conv->p;
    while (rows > 1 &&
           st_lanes_x_rows(conv, rows) * columns * conv->c * conv->groups * ST_LANES > ST_LANES_BAND_COUNT) {
        rows--;
    }
    return rows;
}

/* Rows of outputs that lanes_conv_weights takes at once, in equal parts. */
static inline int64_t st_lanes_band_rows(const st_lanes_conv *conv) {
    int64_t row = (conv->stride_h * (conv->w + conv->s) * 4 + conv->q * 6) * ST_LANES;
    int64_t most = 3 * ST_LANES_L1_COUNT / 2 / row, bands = most < 1 ? conv->p : (conv->p + most - 1) / most;
    return (conv->p + bands - 1) / bands;
}

/* Weights as lanes_conv packs them, in whole lines. */
static inline int64_t st_lanes_packed_count(const st_lanes_conv *conv) {
    return (conv->groups * conv->c * conv->r * conv->s * conv->k + ST_LANES - 1) / ST_LANES * ST_LANES;
}

/* Scratch in bytes of lanes_conv and lanes_conv_data, and in elements of lanes_conv_weights. */
static inline size_t st_lanes_conv_bytes(const st_lanes_conv *conv) {
    int64_t columns = (conv->q - 1) * conv->stride_w + (conv->s - 1) * conv->dilation_w + 1;
    int64_t copied = st_lanes_is_padded(conv) ? st_lanes_x_rows(conv, st_lanes_conv_rows(conv)) * columns : 0;
    return (size_t)(copied * conv->c * conv->groups * ST_LANES + st_lanes_packed_count(conv)) * sizeof(st_real) +
           (size_t)((conv->c + ST_BLOCK_C - 1) / ST_BLOCK_C * conv->r * conv->s) * 3 * sizeof(int64_t);
}
static inline size_t st_lanes_data_bytes(const st_lanes_conv *conv) {
    int64_t runs = (conv->k + ST_BLOCK_C - 1) / ST_BLOCK_C * conv->r * conv->s;
    int64_t taps = conv->h * conv->r + conv->w * conv->s;
    return (size_t)(3 * runs + 4 * (conv->h + conv->w + taps)) * sizeof(int64_t);
}
static inline size_t st_lanes_weights_count(const st_lanes_conv *conv) {
    int64_t rows = st_lanes_band_rows(conv), taps = conv->r * conv->s;
    int64_t columns = (conv->q - 1) * conv->stride_w + (conv->s - 1) * conv->dilation_w + 1;
    int64_t vectors = conv->k + rows * conv->q * conv->k + st_lanes_x_rows(conv, rows) * columns * 6;
    return (size_t)((vectors + conv->c * taps * conv->k) * ST_LANES + ST_LANES_TILE_COUNT * taps);
}

/* lanes_conv, lanes_conv_data, lanes_conv_weights: y, dx, and dw, db (NULL: none) of one block; the last two unflushed.
 * lanes_sum(parts, stride, blocks, to, count): to[i] = the sum of parts[b * stride + i] over the blocks, as a tree.
 * lanes_fc, lanes_fc_data: y, dx of one block.
 * lanes_fc_weights(..., first, count, dw): `count` rows of dw from row `first` on, of all n images; x: blocks of
 *     [inputs][16 images], dy: [n][width]. lanes_fc_bias: db from the same dy. */
#define ST_KERNEL_LIST_LANES(X)                                                                                        \
    X(lanes_conv, void,                                                                                                \
      (const st_lanes_conv *conv, const st_real *x, const st_real *weight, const st_epilogue *end,                     \
       const st_real *residual, st_real *y, void *scratch))                                                            \
    X(lanes_conv_data, void,                                                                                           \
      (const st_lanes_conv *conv, const st_real *dy, const st_real *weight, st_real *dx, bool add, void *scratch))     \
    X(lanes_conv_weights, void,                                                                                        \
      (const st_lanes_conv *conv, const st_real *x, const st_real *dy, st_real *dw, st_real *db, st_real *scratch))    \
    X(lanes_sum, void, (const st_real *parts, int64_t stride, int64_t blocks, st_real *to, int64_t count))             \
    X(lanes_fc, void,                                                                                                  \
      (const st_lanes_fc *fc, const st_real *x, const st_real *weight, const st_epilogue *end,                         \
       const st_real *residual, st_real *y, st_real *scratch))                                                         \
    X(lanes_fc_data, void, (const st_lanes_fc *fc, const st_real *dy, const st_real *weight, st_real *dx, bool add))   \
    X(lanes_fc_weights, void,                                                                                          \
      (const st_lanes_fc *fc, int64_t n, const st_real *x, const st_real *dy, int64_t first, int64_t count,            \
       st_real *dw))                                                                                                   \
    X(lanes_fc_bias, void, (const st_lanes_fc *fc, int64_t n, const st_real *dy, st_real *db))                         \
    X(lanes_loss, void, (const st_lanes_loss *loss, st_real *losses, int32_t *ranks))                                  \
    X(lanes_loss_backward, void, (const st_lanes_loss *loss, st_real *gradient, bool add, st_real weight))

/* ---- elementwise, pooling, normalization, loss, optimizers: elementwise.inc, pool.inc, norm.inc, lrn.inc,
 * softmax.inc, optimizer.inc ----
 *
 * Rows of `width` neighbouring elements, `..._stride` elements from row to row. In NHWC a row is a pixel and its
 * elements are channels; in LANES each channel is 16 elements wide (`lanes` 16). Every number that is computed is
 * flushed. */

/* out = activation(fma(in, scale, shift) + residual); `out` may be `in` or `residual`. */
typedef struct st_apply {
    int64_t rows, channels;
    int lanes;                    /* elements of a channel: 1 or 16 */
    const st_real *in, *residual; /* residual NULL: none */
    st_real *out;
    int64_t in_stride, residual_stride, out_stride;
    const st_real *scale, *shift; /* [channels]; scale NULL: 1, shift NULL: 0 */
    st_activation activation;
    bool streams; /* whole lines of `out` go past the caches; the caller calls `fence` */
} st_apply;

/* g = dout * activation'(...), told from the activation's result `out`; then target (+)= g. `target` may be `dout`. */
typedef struct st_activate_backward {
    int64_t rows, width;
    const st_real *out, *dout;
    st_real *target;
    int64_t out_stride, dout_stride, target_stride;
    bool add;
    st_activation activation;
} st_activate_backward;

/* Bytes to numbers: fma(byte, scale[c], shift[c]) in the middle of `to`, around it the byte 0. Lanes without an image
 * become 0. */
typedef struct st_pixels {
    const uint8_t *in; /* [n][from.h][from.w][c] */
    int64_t n;
    st_dims from, to;  /* the same c */
    int64_t top, left; /* of `from` in `to` */
    st_layout layout;
    const st_real *scale, *shift; /* [c]: 1 / (255 std), -mean / std */
    st_real *out;                 /* of image 0, without stride */
} st_pixels;

/* Pooling of one image or block. Output i of an axis sees a window, or (adaptive) the i-th of p parts. */
typedef struct st_pool {
    st_dims in, out; /* c: elements of a row, 16 channels wide in LANES */
    int64_t in_stride, out_stride, din_stride, dout_stride;
    int64_t r, s, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right;
    bool is_adaptive;
    bool skips_padding; /* a mean is of what lies in the image alone */
} st_pool;

/* Batch normalization backward: din (+)= fma(a, dout, fma(b, in - mean, c)), all but in and dout [channels]. With a
 * rectifier behind the layer dout counts where its result is above 0, which is told from fma(in, scale, shift); or from
 * `out`: norm_sums then writes what counts over dout, and norm_backward takes dout as it is. */
typedef struct st_norm_backward {
    int64_t rows, channels;
    int lanes;
    const st_real *in;
    st_real *dout, *din; /* may be the same */
    int64_t in_stride, dout_stride, din_stride;
    const st_real *a, *b, *c, *mean;
    const st_real *scale, *shift; /* NULL: no rectifier, or `out` */
    const st_real *out;           /* norm_sums; NULL: no rectifier, or `scale` */
    int64_t out_stride;
    bool add, streams; /* streams: whole lines of din go past the caches; the caller calls `fence` */
} st_norm_backward;

/* Local response normalization over the channels of each row. out = in * s^-beta, s = k + alpha * (sum of the squares
 * of the `size` channels around); backward: out is the gradient of `in`. */
typedef struct st_lrn {
    int64_t rows, channels;
    int lanes;
    int size; /* odd */
    st_real alpha, beta, k;
    const st_real *in, *dout; /* dout: backward alone */
    st_real *out;
    int64_t in_stride, dout_stride, out_stride;
    st_real *scratch; /* ST_LRN_SCRATCH_COUNT elements, on 64 bytes */
    bool add;         /* backward: to what is there */
} st_lrn;

/* width: elements of a row; margin: size / 2 channels. A strip of pixels with margins, three times: all in L1 if it
 * can. */
enum { ST_LRN_STRIP = 1024 };
#define ST_LRN_PITCH(width, margin) (((margin) + 15) / 16 * 32 + ((width) + 15) / 16 * 16)
#define ST_LRN_SCRATCH_COUNT(width, margin) ((size_t)(3 * (ST_LRN_STRIP + ST_LRN_PITCH(width, margin))))

/* d = g + weight_decay * w; buffer = momentum * buffer + d (first step: d); w -= learning_rate * (nesterov: d +
 * momentum * buffer, else buffer). As torch.optim.SGD. */
typedef struct st_sgd {
    st_real learning_rate, momentum, weight_decay;
    bool is_nesterov, is_first;
} st_sgd;

/* Loshchilov, Hutter 2019, arXiv:1711.05101, as torch.optim.AdamW. In step t = 1, 2, ...:
 * keep = 1 - learning_rate * weight_decay, step = learning_rate / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t);
 * m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; w = keep * w - step * m / (sqrt(v) * root + epsilon). */
typedef struct st_adamw {
    st_real keep, step, root, beta1, beta2, epsilon;
} st_adamw;

/* Draws of base/rng.c: element i takes half i % 2, from below, of the 64 bits at counter i / 2. */
typedef struct st_mask_draw {
    uint64_t seed, stream;
    uint32_t limit; /* what is below it is dropped */
} st_mask_draw;

/* draw_mask(mask, step, count, from): 1 where an element stays, else 0, `step` bytes apart.
 * maxpool_index notes where in its window each maximum stands, for maxpool_index_backward; windows of at most 256 that
 * are not adaptive. mask(out, in, mask, scale, count, add): out (+)= in * mask * scale, mask of zeros and ones.
 * moments(mean, squares, in, stride, rows, width): of each column; squares: sum of (x - mean)^2. Parts of 64 rows,
 * merged in a chain (Chan, Golub, LeVeque 1979). norm_sums(work, sums, products): of each
 * column the sums of dout and of dout * (in - mean[channel]). Chains of 64 rows,
 * then a chain of the chains. softmax, softmax_backward: over the channels of each row; sums in 16 virtual lanes (rule
 * 6), in LANES one chain. cross_entropy(rank, logits, classes, label, smoothing): the loss; *rank: how many classes
 * score above the label. cross_entropy_backward(gradient, add, logits, classes, label, smoothing, weight): gradient
 * (+)= (softmax - target) * weight. first_non_finite(values, count): the index of the first infinity or NaN; `count` if
 * there is none. */
#define ST_KERNEL_LIST_ELEMENTWISE(X)                                                                                  \
    X(apply, void, (const st_apply *work))                                                                             \
    X(activate_backward, void, (const st_activate_backward *work))                                                     \
    X(pixels, void, (const st_pixels *work, int64_t item))                                                             \
    X(draw_mask, void, (uint8_t * mask, int64_t step, int64_t count, const st_mask_draw *from))                        \
    X(mask, void, (st_real * out, const st_real *in, const uint8_t *mask, st_real scale, int64_t count, bool add))     \
    X(maxpool, void, (const st_pool *pool, st_real *out, const st_real *in))                                           \
    X(maxpool_backward, void,                                                                                          \
      (const st_pool *pool, st_real *din, const st_real *dout, const st_real *in, const st_real *out, bool add))       \
    X(maxpool_index, void, (const st_pool *pool, st_real *out, uint8_t *index, const st_real *in))                     \
    X(maxpool_index_backward, void,                                                                                    \
      (const st_pool *pool, st_real *din, const st_real *dout, const uint8_t *index, bool add, bool streams))          \
    X(avgpool, void, (const st_pool *pool, st_real *out, const st_real *in))                                           \
    X(avgpool_backward, void, (const st_pool *pool, st_real *din, const st_real *dout, bool add))                      \
    X(moments, void,                                                                                                   \
      (st_real * mean, st_real * squares, const st_real *in, int64_t stride, int64_t rows, int64_t width))             \
    X(norm_sums, void, (const st_norm_backward *work, st_real *sums, st_real *products))                               \
    X(norm_backward, void, (const st_norm_backward *work))                                                             \
    X(lrn, void, (const st_lrn *work))                                                                                 \
    X(lrn_backward, void, (const st_lrn *work))                                                                        \
    X(softmax, void,                                                                                                   \
      (st_real * out, int64_t out_stride, const st_real *in, int64_t in_stride, int64_t rows, int64_t channels,        \
       int lanes))                                                                                                     \
    X(softmax_backward, void,                                                                                          \
      (st_real * din, int64_t din_stride, const st_real *dout, int64_t dout_stride, const st_real *out,                \
       int64_t out_stride, int64_t rows, int64_t channels, int lanes, bool add))                                       \
    X(cross_entropy, st_real,                                                                                          \
      (int32_t * rank, const st_real *logits, int64_t classes, int64_t label, st_real smoothing))                      \
    X(cross_entropy_backward, void,                                                                                    \
      (st_real * gradient, bool add, const st_real *logits, int64_t classes, int64_t label, st_real smoothing,         \
       st_real weight))                                                                                                \
    X(sgd, void, (const st_sgd *rule, st_real *weights, const st_real *gradient, st_real *buffer, int64_t count))      \
    X(adamw, void,                                                                                                     \
      (const st_adamw *rule, st_real *weights, const st_real *gradient, st_real *m, st_real *v, int64_t count))        \
    X(first_non_finite, int64_t, (const st_real *values, int64_t count))

/* ---- the table ---- */

#define ST_KERNEL_LIST(X) ST_KERNEL_LIST_BRICK(X) ST_KERNEL_LIST_LANES(X) ST_KERNEL_LIST_ELEMENTWISE(X)

typedef struct st_kernels {
    const char *name; /* "avx2" */
    const char *text; /* "AVX2 and FMA" */
    int lanes;        /* numbers in a register, for the eye */
    /* Choices that change the time, never a bit of a result. */
    int tile_rows, tile_piece;
    size_t band_bytes;          /* a convolution's copied rows: about half of L2 */
    size_t gradient_band_bytes; /* the same for gradients of weights, beside the next band and the gradient itself */
    size_t in_place_bytes;      /* 1x1: weights that stay in L2 while pixels stream by */
    size_t stream_bytes;        /* a result at least this large will not be read from a cache: stored past them */
    int64_t copy_uses;          /* of each dy by a gradient of weights, from which a copy without gaps pays */
    size_t gradient_bytes;      /* a larger gradient of weights is cut into blocks of at most this */
#define ST_KERNEL_MEMBER(name, type, arguments) type(*name) arguments;
    ST_KERNEL_LIST(ST_KERNEL_MEMBER)
#undef ST_KERNEL_MEMBER
} st_kernels;

/* In an isa_*.c, in the braces of its table: all entries. */
#define ST_KERNEL_ENTRY(name, type, arguments) .name = kernel_##name,
#define ST_KERNEL_ENTRIES ST_KERNEL_LIST(ST_KERNEL_ENTRY)

/* The set to use: `name` NULL takes the environment's STRATA_ISA, else the best that this processor runs.
 * STRATA_INVALID for an unknown name, STRATA_UNSUPPORTED where the processor (or this build) lacks it. */
strata_status st_kernels_select(const st_kernels **out, const char *name, strata_error *err);
/* All tables of this build, for tests: index 0 is portable; NULL ends. is it runnable here: st_kernels_runs. */
const st_kernels *st_kernels_at(size_t index);
bool st_kernels_runs(const st_kernels *kernels);

/* One for each isa_*.c; those of this build are known to select.c alone. */
extern const st_kernels st_kernels_portable, st_kernels_avx2, st_kernels_avx512;

#endif
