/* Fully connected layer in NHWC: y[n][k] = sum over j of x[n][j] * weight[k][j].
 *
 * Packed weights: [K/32][inputs][32], K padded with zeros; inputs in the order of x in memory (h, w, c), while
 * published ones are in c, h, w: pack permutes. Forward runs through 512 inputs for all images, then the next 512:
 * chains continue in y. Backward data takes images as lanes: rows of the product are rows of the weights as they are,
 * so nothing large is transposed. Backward weights: chains over the images of a group, then the tree of groups
 * (docs/numerics.md, rule 5).
 *
 * n image, k output. */
#include <string.h>

#include "layers/conv_nhwc.h"

enum {
    INPUT_BLOCK = 512, /* inputs between two visits of y */
    DATA_CHUNK = 112,  /* inputs of an item of backward data */
    WEIGHTS_CHUNK = 56 /* inputs of an item of backward weights: with its partial sums in L1 */
};

typedef struct fc_shape {
    int64_t inputs, k, k_blocks;
} fc_shape;

static fc_shape shape_of(const st_site *site) {
    const st_dims *in = &site->in[0];
    return (fc_shape){
        .inputs = in->h * in->w * in->c, .k = site->out.c, .k_blocks = st_ceil_div(site->out.c, ST_BLOCK_K)};
}

/* ---- the order of weights ---- */

static size_t state_count(const st_site *site, int state) {
    const fc_shape shape = shape_of(site);
    if (site->state[state].rank == 0) {
        return 0;
    }
    return state == ST_CONV_WEIGHT ? (size_t)(shape.k_blocks * ST_BLOCK_K * shape.inputs) : (size_t)shape.k;
}

/* The place of published[k][c][h][w] in memory. */
static int64_t native_index(const st_site *site, const fc_shape *shape, int64_t k, int64_t input) {
    const int64_t plane = site->in[0].h * site->in[0].w;
    const int64_t j = input % plane * site->in[0].c + input / plane;
    return (k / ST_BLOCK_K * shape->inputs + j) * ST_BLOCK_K + k % ST_BLOCK_K;
}

static void pack(const st_site *site, int state, const st_real *published, st_real *native) {
    const fc_shape shape = shape_of(site);
    if (state != ST_CONV_WEIGHT) {
        memcpy(native, published, (size_t)shape.k * sizeof(st_real));
        return;
    }
    memset(native, 0, state_count(site, state) * sizeof(st_real));
    for (int64_t k = 0; k < shape.k; k++) {
        for (int64_t input = 0; input < shape.inputs; input++) {
            native[native_index(site, &shape, k, input)] = published[k * shape.inputs + input];
        }
    }
}

static void unpack(const st_site *site, int state, const st_real *native, st_real *published) {
    const fc_shape shape = shape_of(site);
    if (state != ST_CONV_WEIGHT) {
        memcpy(published, native, (size_t)shape.k * sizeof(st_real));
        return;
    }
    for (int64_t k = 0; k < shape.k; k++) {
        for (int64_t input = 0; input < shape.inputs; input++) {
            published[k * shape.inputs + input] = native[native_index(site, &shape, k, input)];
        }
    }
}

/* ---- forward ---- */

static int64_t forward_items(const st_call *call) {
    return shape_of(call->site).k_blocks;
}

/* Tiles of equal size: 32 images are 11 + 11 + 10. */
static st_tile image_tile(const st_kernels *kernels, int64_t n, int64_t first, int64_t x_step, int64_t y_step,
                          int64_t residual_step) {
    const int64_t tiles = st_ceil_div(n - first, kernels->tile_rows);
    st_tile tile = {.rows = (int)st_ceil_div(n - first, tiles)};
    for (int i = 0; i < tile.rows; i++) {
        tile.a[i] = (first + i) * x_step;
        tile.c[i] = (first + i) * y_step;
        tile.residual[i] = (first + i) * residual_step;
    }
    return tile;
}

static void forward(const st_call *call, int64_t block, void *scratch) {
    (void)scratch;
    const fc_shape shape = shape_of(call->site);
    const st_kernels *kernels = call->site->kernels;
    const st_epilogue *epilogue = &call->epilogue;
    const int64_t k0 = block * ST_BLOCK_K, n = call->run->n;
    st_real scale[ST_BLOCK_K], shift[ST_BLOCK_K];
    st_gemm_run run = {0, 0};
    st_brgemm problem = {.c = (st_real *)call->out.data + k0,
                         .runs = &run,
                         .run_count = 1,
                         .lda = shape.inputs,
                         .n = (int)st_min(ST_BLOCK_K, shape.k - k0),
                         .activation = epilogue->activation};
    if (epilogue->scale != NULL || epilogue->shift != NULL) {
        for (int i = 0; i < ST_BLOCK_K; i++) {
            scale[i] = epilogue->scale == NULL || i >= problem.n ? 1 : epilogue->scale[k0 + i];
            shift[i] = epilogue->shift == NULL || i >= problem.n ? (st_real)-0.0 : epilogue->shift[k0 + i];
        }
        problem.scale = scale;
        problem.shift = shift;
    }
    if (epilogue->residual.data != NULL) {
        problem.residual = (const st_real *)epilogue->residual.data + k0;
    }
    st_soon soon;
    problem.soon = &soon;
    for (int64_t j = 0; j < shape.inputs; j += INPUT_BLOCK) {
        run.k = st_min(INPUT_BLOCK, shape.inputs - j);
        /* The next inputs' weights, from memory, while these are used for one tile of images after the other. */
        soon = st_soon_of(call->state[ST_CONV_WEIGHT] + (block * shape.inputs + j + run.k) * ST_BLOCK_K,
                          st_min(INPUT_BLOCK, shape.inputs - j - run.k) * ST_BLOCK_K,
                          run.k * st_ceil_div(n, kernels->tile_rows));
        problem.a = (const st_real *)call->in[0].data + j;
        problem.b = call->state[ST_CONV_WEIGHT] + (block * shape.inputs + j) * ST_BLOCK_K;
        problem.is_begun = j > 0;
        problem.is_open = j + INPUT_BLOCK < shape.inputs;
        for (int64_t first = 0; first < n;) {
            const st_tile tile =
                image_tile(kernels, n, first, shape.inputs, call->out.pixel_stride, epilogue->residual.pixel_stride);
            kernels->brgemm(&problem, &tile);
            first += tile.rows;
        }
    }
}

/* ---- backward: dy in the two orders that the passes want ---- */

/* [n/32][K][32 images], then [K/32][n][32 outputs]; both filled with zeros. A step in pieces keeps its x and the second
 * of these, of all its images, and its last piece computes the weights' gradient. */
static size_t turned_count(const fc_shape *shape, int64_t n) {
    return (size_t)(st_ceil_div(n, ST_BLOCK_K) * shape->k * ST_BLOCK_K);
}

static size_t packed_count(const fc_shape *shape, int64_t n) {
    return (size_t)(shape->k_blocks * n * ST_BLOCK_K);
}

/* What that gradient is summed from: x [n][inputs], and dy with `rows` images in each block of 32 outputs. */
typedef struct operands {
    st_real *x, *dy;
    int64_t rows;
} operands;

static operands operands_of(const st_call *call, const fc_shape *shape) {
    if (call->carried == NULL) {
        const int64_t n = call->run->n;
        return (operands){call->in[0].data, (st_real *)call->shared + turned_count(shape, n), n};
    }
    st_real *x = call->carried;
    return (operands){x, x + call->site->total * shape->inputs, call->site->total};
}

static bool has_gradient(const st_call *call) {
    return call->dstate[ST_CONV_WEIGHT] != NULL || call->dstate[ST_CONV_BIAS] != NULL;
}

static bool sums_weights(const st_call *call) {
    return has_gradient(call) && st_run_is_last(call->run);
}

static int64_t ready_items(const st_call *call) {
    const fc_shape shape = shape_of(call->site);
    return shape.k_blocks;
}

static void ready(const st_call *call, int64_t block, void *scratch) {
    (void)scratch;
    const fc_shape shape = shape_of(call->site);
    const int64_t n = call->run->n, k0 = block * ST_BLOCK_K, count = st_min(ST_BLOCK_K, shape.k - k0);
    const int64_t stride = call->dout.pixel_stride;
    const st_real *dy = (const st_real *)call->dout.data + k0;
    const operands of = operands_of(call, &shape);
    const bool carries = call->carried != NULL;
    const int64_t first = carries ? call->run->first : 0;
    st_real *turned = call->shared, *packed = of.dy + (block * of.rows + first) * ST_BLOCK_K;
    for (int64_t i = 0; i < n; i += ST_BLOCK_K) {
        st_real *to = turned + (i / ST_BLOCK_K * shape.k + k0) * ST_BLOCK_K;
        const int64_t images = st_min(ST_BLOCK_K, n - i);
        if (images < ST_BLOCK_K) {
            memset(to, 0, (size_t)(count * ST_BLOCK_K) * sizeof(st_real));
        }
        call->site->kernels->transpose(to, ST_BLOCK_K, dy + i * stride, stride, images, count);
    }
    for (int64_t i = 0; i < n; i++) {
        memset(packed + i * ST_BLOCK_K, 0, ST_BLOCK_K * sizeof(st_real));
        memcpy(packed + i * ST_BLOCK_K, dy + i * stride, (size_t)count * sizeof(st_real));
    }
    /* Images block, block + k_blocks, ... are this item's to keep. */
    for (int64_t i = block; i < n && carries; i += shape.k_blocks) {
        memcpy(of.x + (first + i) * shape.inputs, (const st_real *)call->in[0].data + i * shape.inputs,
               (size_t)shape.inputs * sizeof(st_real));
    }
}

/* ---- backward data: lanes are images ---- */

static int64_t data_items(const st_call *call) {
    const fc_shape shape = shape_of(call->site);
    return call->din == NULL || call->din[0].data == NULL ? 0 : st_ceil_div(shape.inputs, DATA_CHUNK);
}

static void run_data(const st_call *call, int64_t item, void *scratch) {
    const fc_shape shape = shape_of(call->site);
    const st_kernels *kernels = call->site->kernels;
    const int64_t n = call->run->n, j0 = item * DATA_CHUNK, count = st_min(DATA_CHUNK, shape.inputs - j0);
    st_real *chunk = scratch; /* [count][32 images] */
    st_gemm_run *runs = (st_gemm_run *)(void *)(chunk + DATA_CHUNK * ST_BLOCK_K);
    for (int64_t block = 0; block < shape.k_blocks; block++) {
        runs[block] =
            (st_gemm_run){block * shape.inputs * ST_BLOCK_K, st_min(ST_BLOCK_K, shape.k - block * ST_BLOCK_K)};
    }
    st_brgemm problem = {.a = call->state[ST_CONV_WEIGHT] + j0 * ST_BLOCK_K,
                         .c = chunk,
                         .runs = runs,
                         .run_count = (int)shape.k_blocks,
                         .lda = ST_BLOCK_K,
                         .is_begun = call->din_add[0]};
    for (int64_t image = 0; image < n; image += ST_BLOCK_K) {
        st_real *dx = (st_real *)call->din[0].data + image * shape.inputs + j0;
        problem.n = (int)st_min(ST_BLOCK_K, n - image);
        problem.b = (const st_real *)call->shared + image * shape.k;
        if (problem.is_begun) {
            kernels->transpose(chunk, ST_BLOCK_K, dx, shape.inputs, problem.n, count);
        }
        for (int64_t first = 0; first < count;) {
            const st_tile tile = image_tile(kernels, count, first, ST_BLOCK_K, ST_BLOCK_K, 0);
            kernels->brgemm(&problem, &tile);
            first += tile.rows;
        }
        kernels->transpose(dx, shape.inputs, chunk, ST_BLOCK_K, count, problem.n);
    }
}

/* ---- backward weights ---- */

static int64_t weights_items(const st_call *call) {
    const fc_shape shape = shape_of(call->site);
    return call->dstate[ST_CONV_WEIGHT] != NULL && sums_weights(call) ? st_ceil_div(shape.inputs, WEIGHTS_CHUNK) : 0;
}

/* The groups of images as a binary counter, as in conv_nhwc_backward_weights.c. A chain stops after as many images as
 * there is room for offsets, and goes on. */
static void run_weights(const st_call *call, int64_t item, void *scratch) {
    enum { LEVEL = WEIGHTS_CHUNK * ST_BLOCK_K };
    const fc_shape shape = shape_of(call->site);
    const operands of = operands_of(call, &shape);
    const int64_t n = st_run_total(call->run), groups = st_image_groups(n), images = n / groups;
    const int64_t j0 = item * WEIGHTS_CHUNK, most = st_min(images, call->site->batch);
    st_real *levels = scratch;
    int64_t *offsets = (int64_t *)(void *)(levels + 3 * LEVEL);
    for (int64_t i = 0; i < most; i++) {
        offsets[i] = i * shape.inputs;
    }
    st_brgemm_weights problem = {
        .offsets = offsets, .dy_pixel = ST_BLOCK_K, .m = st_min(WEIGHTS_CHUNK, shape.inputs - j0)};
    for (int64_t block = 0; block < shape.k_blocks; block++) {
        problem.n = (int)st_min(ST_BLOCK_K, shape.k - block * ST_BLOCK_K);
        for (int64_t image = 0; image < n; image += problem.pixels) {
            const int64_t g = image / images, left = (g + 1) * images - image;
            int level = 0;
            while ((g >> level & 1) != 0) {
                problem.add[level] = levels + level * LEVEL;
                level++;
            }
            problem.pixels = st_min(most, left);
            problem.is_begun = image > g * images;
            problem.add_count = problem.pixels == left ? level : 0;
            problem.is_last = problem.pixels == left && g + 1 == groups;
            problem.dw = g + 1 == groups ? call->dstate[ST_CONV_WEIGHT] + (block * shape.inputs + j0) * ST_BLOCK_K
                                         : levels + level * LEVEL;
            problem.x = of.x + image * shape.inputs + j0;
            problem.dy = of.dy + (block * of.rows + image) * ST_BLOCK_K;
            call->site->kernels->brgemm_weights(&problem);
        }
    }
}

/* ---- the bias ---- */

static int64_t bias_items(const st_call *call) {
    const bool is_summed = call->dstate[ST_CONV_BIAS] != NULL && sums_weights(call);
    return !is_summed ? 0 : call->carried != NULL ? shape_of(call->site).k_blocks : st_bias_items(call);
}

/* From the dy that was kept. */
static void run_bias(const st_call *call, int64_t block) {
    const fc_shape shape = shape_of(call->site);
    const operands of = operands_of(call, &shape);
    const int64_t n = st_run_total(call->run), groups = st_image_groups(n), images = n / groups;
    const int64_t k0 = block * ST_BLOCK_K, count = st_min(ST_BLOCK_K, shape.k - k0);
    st_real sums[8 * ST_BLOCK_K] = {0};
    for (int64_t g = 0; g < groups; g++) {
        call->site->kernels->sum_pixels(sums + g * ST_BLOCK_K, of.dy + (block * of.rows + g * images) * ST_BLOCK_K,
                                        ST_BLOCK_K, images, count);
    }
    call->site->kernels->sum_tree(call->dstate[ST_CONV_BIAS] + k0, sums, ST_BLOCK_K, (int)groups, count);
}

static int64_t backward_items(const st_call *call) {
    return data_items(call) + weights_items(call) + bias_items(call);
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    const int64_t data = data_items(call), weights = weights_items(call);
    if (item < data) {
        run_data(call, item, scratch);
    } else if (item < data + weights) {
        run_weights(call, item - data, scratch);
    } else if (call->carried != NULL) {
        run_bias(call, item - data - weights);
    } else {
        st_bias_sum(call, item - data - weights);
    }
}

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    const fc_shape shape = shape_of(site);
    const int64_t images = st_max(site->batch, site->total);
    int64_t product;
    const bool fits = st_layer_product(&product, (const int64_t[]){shape.inputs, shape.k + ST_BLOCK_K, 64}, 3) &&
                      st_layer_product(&product, (const int64_t[]){shape.inputs, images + ST_BLOCK_K, 64}, 3) &&
                      st_layer_product(&product, (const int64_t[]){shape.k + ST_BLOCK_K, images + ST_BLOCK_K, 64}, 3);
    ST_FAIL_IF(!fits, err, STRATA_SHAPE, "%lld outputs of %lld inputs with %lld images are too large",
               (long long)shape.k, (long long)shape.inputs, (long long)images);
    if (site->mode == ST_MODE_TRAIN) {
        const bool carries = site->total > 0 && site->dstate_needed;
        const size_t packed = packed_count(&shape, carries ? site->total : site->batch);
        needs->shared_bytes = (turned_count(&shape, site->batch) + (carries ? 0 : packed)) * sizeof(st_real);
        needs->carried_bytes = carries ? ((size_t)(site->total * shape.inputs) + packed) * sizeof(st_real) : 0;
        const size_t data = DATA_CHUNK * ST_BLOCK_K * sizeof(st_real) + (size_t)shape.k_blocks * sizeof(st_gemm_run);
        const size_t weights = 3 * WEIGHTS_CHUNK * ST_BLOCK_K * sizeof(st_real) + (size_t)site->batch * sizeof(int64_t);
        needs->thread_bytes = st_round_64(data > weights ? data : weights);
    }
    return STRATA_OK;
}

const st_impl st_fc_nhwc = {
    .prepare = prepare,
    .forward = {{.items = forward_items, .run = forward}},
    .backward = {{.items = ready_items, .run = ready}, {.items = backward_items, .run = backward}},
    .fuses_epilogue = true,
    .backward_reads = ST_READS_IN,
    .writes_strided = true,
    .state_count = state_count,
    .pack = pack,
    .unpack = unpack,
};
