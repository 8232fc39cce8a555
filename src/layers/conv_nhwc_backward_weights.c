/* Gradients of a convolution's weights and bias, NHWC.
 *
 * dw[k][c][r][s] = sum over n, p, q of x * dy. The images form 8, 4, 2 or 1 equal groups, each summed in one chain of fused
 * multiply-adds in the order n, p, q; a balanced tree joins the groups (docs/numerics.md, rule 5). Vectors run over 32
 * outputs; rows of the product are the neighbouring (s, c) of the copied band of x, so x is never transposed. The result
 * is in the order of the packed weights.
 *
 * Small gradients: an item is one group of images; partial gradients are merged in the next phase. Large ones: an item is
 * a block of the gradient that stays in L2 and takes all groups, their sums kept as a binary counter and added before
 * the brick stores; dy is packed once for all blocks. Both give the same bits.
 *
 * n image, c channel of x, k channel of y, r s kernel rows and columns, p q rows and columns of y. */
#include <string.h>

#include "layers/conv_nhwc.h"

enum {
    BRICK_PIXELS = 112,       /* of x and dy that stay in L1 under all bricks */
    BIAS_CHANNELS = 64,
    MERGE_COUNT = 4096
};

typedef struct weights_cut {
    int64_t image_groups;
    bool is_large;
    int64_t k_range, c_range; /* blocks of 32 and 64 of an item */
    int64_t k_parts, c_parts;
    int64_t images, rows; /* of a band, within a group of images */
    int64_t panel_rows, panel_columns, panel_pitch;
    int64_t levels;     /* of the counter */
    int64_t level_size; /* elements */
    size_t bytes;       /* thread scratch */
} weights_cut;

static int64_t taps_of(const st_conv_shape *shape) {
    return shape->window.r * shape->window.s;
}

static int64_t rows_under(const st_conv_shape *shape, int64_t rows) {
    return (rows - 1) * shape->window.stride_h + (shape->window.r - 1) * shape->window.dilation_h + 1;
}

static bool is_large(const st_site *site, const st_conv_shape *shape) {
    return (size_t)shape->group_weights * sizeof(st_real) >= site->kernels->gradient_bytes;
}

/* ---- cutting ---- */

/* Which blocks of the gradient an item takes. */
static void cut_gradient(weights_cut *cut, const st_conv_shape *shape, const st_site *site) {
    const int64_t limit = (int64_t)site->kernels->gradient_bytes;
    cut->k_range = shape->k_blocks;
    cut->c_range = shape->c_blocks;
    if (cut->is_large) {
        const int64_t unit = taps_of(shape) * ST_BLOCK_C * ST_BLOCK_K * (int64_t)sizeof(st_real);
        cut->k_range = st_max(1, st_min(shape->k_blocks, limit / unit));
        cut->c_range = st_max(1, st_min(shape->c_blocks, limit / (unit * cut->k_range)));
    }
    const int64_t groups = shape->groups * (cut->is_large ? 1 : cut->image_groups);
    const int64_t wanted = site->threads > 1 ? 2 * site->threads : 1;
    for (;;) {
        cut->k_parts = st_ceil_div(shape->k_blocks, cut->k_range);
        cut->c_parts = st_ceil_div(shape->c_blocks, cut->c_range);
        if (groups * cut->k_parts * cut->c_parts >= wanted || (cut->k_range == 1 && cut->c_range == 1)) {
            break;
        }
        int64_t *larger = cut->c_range > 1 ? &cut->c_range : &cut->k_range;
        *larger = st_ceil_div(*larger, 2);
    }
    cut->k_range = st_ceil_div(shape->k_blocks, cut->k_parts);
    cut->c_range = st_ceil_div(shape->c_blocks, cut->c_parts);
}

static int64_t band_size(const weights_cut *cut, const st_conv_shape *shape, int64_t images, int64_t rows) {
    const int64_t x = rows_under(shape, rows) * cut->panel_columns * cut->c_range * cut->panel_pitch;
    const int64_t dy = cut->is_large ? 0 : rows * shape->window.q * cut->k_range * ST_BLOCK_K;
    return images * (x + dy);
}

static weights_cut plan(const st_site *site, const st_conv_shape *shape, int64_t n) {
    weights_cut cut = {.image_groups = st_image_groups(n), .is_large = is_large(site, shape), .images = 1};
    const int64_t limit = (int64_t)(site->kernels->band_bytes / sizeof(st_real));
    const st_window *window = &shape->window;
    cut_gradient(&cut, shape, site);
    cut.panel_pitch = st_min(shape->c, ST_BLOCK_C);
    cut.panel_columns = (window->q - 1) * window->stride_w + (window->s - 1) * window->dilation_w + 1;
    cut.rows = window->p;
    while (cut.rows > 1 && band_size(&cut, shape, 1, cut.rows) > limit) {
        cut.rows--;
    }
    if (cut.rows == window->p) {
        cut.images = st_max(1, st_min(n / cut.image_groups, limit / band_size(&cut, shape, 1, cut.rows)));
    }
    cut.rows = st_ceil_div(window->p, st_ceil_div(window->p, cut.rows));
    cut.panel_rows = rows_under(shape, cut.rows);
    if (cut.is_large) {
        cut.levels = cut.image_groups == 8 ? 3 : cut.image_groups == 4 ? 2 : cut.image_groups == 2 ? 1 : 0;
        cut.level_size = cut.k_range * cut.c_range * ST_BLOCK_C * taps_of(shape) * ST_BLOCK_K;
    }
    cut.bytes = st_round_64((size_t)(band_size(&cut, shape, cut.images, cut.rows) + cut.levels * cut.level_size) *
                            sizeof(st_real)) +
                st_round_64((size_t)(cut.images * cut.rows) * sizeof(int64_t));
    return cut;
}

/* A call may bring fewer images than the site's batch, and another number of groups: all four are asked. */
size_t st_conv_weights_thread_bytes(const st_site *site) {
    const st_conv_shape shape = st_conv_shape_of(site);
    size_t most = 0;
    for (int64_t groups = 1; groups <= 8 && groups <= site->batch; groups *= 2) {
        for (int64_t n = site->batch / groups * groups; n > 0; n -= groups) {
            if (st_image_groups(n) == groups) {
                const size_t bytes = plan(site, &shape, n).bytes;
                most = bytes > most ? bytes : most;
                break;
            }
        }
    }
    return most;
}

/* ---- packing dy: [K/32][pixels][32], the last block filled with zeros ---- */

static void pack_pixels(st_real *to, const st_real *dy, int64_t pixel_stride, int64_t pixels, int64_t n) {
    if (n == ST_BLOCK_K) {
        for (int64_t i = 0; i < pixels; i++) {
            memcpy(to + i * ST_BLOCK_K, dy + i * pixel_stride, ST_BLOCK_K * sizeof(st_real));
        }
        return;
    }
    for (int64_t i = 0; i < pixels; i++) {
        memcpy(to + i * ST_BLOCK_K, dy + i * pixel_stride, (size_t)n * sizeof(st_real));
        memset(to + i * ST_BLOCK_K + n, 0, (size_t)(ST_BLOCK_K - n) * sizeof(st_real));
    }
}

static int64_t image_pixels(const st_conv_shape *shape) {
    return shape->window.p * shape->window.q;
}

/* Partial gradients of small ones, or the packed dy of large ones. */
size_t st_conv_weights_shared_bytes(const st_site *site) {
    const st_conv_shape shape = st_conv_shape_of(site);
    int64_t count = shape.groups * shape.group_weights * (site->batch < 8 ? site->batch : 8);
    if (is_large(site, &shape)) {
        count = shape.groups * shape.k_blocks * ST_BLOCK_K * site->batch * image_pixels(&shape);
    }
    return st_round_64((size_t)count * sizeof(st_real));
}

static st_real *shared_of(const st_call *call) {
    const size_t turned = call->site->din_needed[0] ? st_conv_turned_bytes(call->site) : 0;
    return (st_real *)(void *)((char *)call->shared + turned);
}

/* Items: group of channels, block of 32 outputs, image. */
int64_t st_conv_pack_items(const st_call *call) {
    const st_conv_shape shape = st_conv_shape_of(call->site);
    return is_large(call->site, &shape) ? call->run->n * shape.groups : 0;
}

void st_conv_pack(const st_call *call, int64_t item) {
    const st_conv_shape shape = st_conv_shape_of(call->site);
    const int64_t group = item / call->run->n, image = item % call->run->n, pixels = image_pixels(&shape);
    const st_real *dy = (const st_real *)call->dout.data + image * pixels * call->dout.pixel_stride + group * shape.k;
    for (int64_t block = 0; block < shape.k_blocks; block++) {
        st_real *to = shared_of(call) +
                      ((group * shape.k_blocks + block) * call->run->n + image) * pixels * ST_BLOCK_K;
        pack_pixels(to, dy + block * ST_BLOCK_K, call->dout.pixel_stride, pixels,
                    st_min(ST_BLOCK_K, shape.k - block * ST_BLOCK_K));
    }
}

/* ---- one item ---- */

/* Where a part of the gradient is, whole or block: blocks of 32 outputs `k_step` apart. */
typedef struct target {
    st_real *data;
    int64_t k_step;
} target;

typedef struct weights_item {
    const st_call *call;
    const st_conv_shape *shape;
    const weights_cut *cut;
    int64_t group, k0, k1, c0, c1; /* blocks of 32 and 64 */
    target target, add[4];
    int add_count;
    bool is_last; /* these sums are the gradient */
    /* of the band at hand: */
    const st_real *dy; /* of block k0, first pixel of the band */
    int64_t dy_step;   /* from block to block */
    st_real *panel, *dy_panel;
    int64_t *rows; /* offsets of output rows in a block of the panel */
    bool is_begun, is_end;
} weights_item;

/* All bricks over some rows: `first` of them by number in the band, pixels q0 ... of each. */
static void run_rows(const weights_item *item, int64_t first, int64_t count, int64_t q0, int64_t pixels) {
    const weights_cut *cut = item->cut;
    const st_window *window = &item->shape->window;
    const int64_t block_size = cut->images * cut->panel_rows * cut->panel_columns * cut->panel_pitch;
    st_brgemm_weights problem = {.rows = item->rows + first,
                                 .row_count = (int)count,
                                 .pixels = pixels,
                                 .x_pixel = window->stride_w * cut->panel_pitch,
                                 .is_begun = item->is_begun,
                                 .add_count = item->is_end ? item->add_count : 0,
                                 .is_last = item->is_end && item->is_last};
    for (int64_t cb = item->c0; cb < item->c1; cb++) {
        const int64_t c = st_min(ST_BLOCK_C, item->shape->c - cb * ST_BLOCK_C);
        const int64_t joined = window->dilation_w == 1 && c == cut->panel_pitch ? window->s : 1;
        problem.m = joined * c;
        for (int64_t tap = 0; tap < window->r * window->s; tap += joined) {
            problem.x = item->panel + (cb - item->c0) * block_size +
                        (tap / window->s * window->dilation_h * cut->panel_columns +
                         tap % window->s * window->dilation_w + q0 * window->stride_w) *
                            cut->panel_pitch;
            const int64_t at = ((cb - item->c0) * ST_BLOCK_C * window->r * window->s + tap * c) * ST_BLOCK_K;
            for (int64_t kb = item->k0; kb < item->k1; kb++) {
                problem.n = (int)st_min(ST_BLOCK_K, item->shape->k - kb * ST_BLOCK_K);
                problem.dy = item->dy + (kb - item->k0) * item->dy_step + (first * window->q + q0) * ST_BLOCK_K;
                problem.dw = item->target.data + (kb - item->k0) * item->target.k_step + at;
                for (int i = 0; i < item->add_count; i++) {
                    problem.add[i] = item->add[i].data + (kb - item->k0) * item->add[i].k_step + at;
                }
                item->call->site->kernels->brgemm_weights(&problem);
            }
        }
    }
}

/* The band's rows in pieces that stay in L1. */
static void run_pieces(weights_item *item, int64_t row_count, bool is_end) {
    const int64_t q = item->shape->window.q, step = st_max(1, BRICK_PIXELS / q);
    const int64_t q_step = step > 1 || q < 2 * BRICK_PIXELS ? q : BRICK_PIXELS;
    for (int64_t row = 0; row < row_count; row += step) {
        const int64_t rows = st_min(step, row_count - row);
        for (int64_t q0 = 0; q0 < q; q0 += q_step) {
            item->is_end = is_end && row + rows == row_count && q0 + q_step >= q;
            run_rows(item, row, rows, q0, st_min(q_step, q - q0));
            item->is_begun = true;
        }
    }
}

static void fill_band(weights_item *item, int64_t image0, int64_t images, int64_t row0, int64_t rows) {
    const weights_cut *cut = item->cut;
    const st_conv_shape *shape = item->shape;
    const st_call *call = item->call;
    const int64_t panel_row = cut->panel_columns * cut->panel_pitch, panel_image = cut->panel_rows * panel_row;
    const int64_t x_pixel = call->in[0].pixel_stride, x_row = x_pixel * shape->in.w;
    for (int64_t i = 0; i < images; i++) {
        for (int64_t cb = item->c0; cb < item->c1; cb++) {
            st_panel_fill(item->panel + ((cb - item->c0) * cut->images + i) * panel_image,
                          &(st_panel_copy){.x = (const st_real *)call->in[0].data + (image0 + i) * x_row * shape->in.h,
                                           .h = shape->in.h,
                                           .w = shape->in.w,
                                           .x_pixel = x_pixel,
                                           .x_row = x_row,
                                           .c0 = item->group * shape->c + cb * ST_BLOCK_C,
                                           .c = st_min(ST_BLOCK_C, shape->c - cb * ST_BLOCK_C),
                                           .pitch = cut->panel_pitch,
                                           .row0 = row0 * shape->window.stride_h - shape->window.pad_top,
                                           .rows = rows_under(shape, rows),
                                           .column0 = -shape->window.pad_left,
                                           .columns = cut->panel_columns});
        }
        for (int64_t row = 0; row < rows; row++) {
            item->rows[i * rows + row] = i * panel_image + row * shape->window.stride_h * panel_row;
        }
    }
    const int64_t pixel = image0 * image_pixels(shape) + row0 * shape->window.q;
    if (cut->is_large) {
        item->dy_step = call->run->n * image_pixels(shape) * ST_BLOCK_K;
        item->dy = shared_of(call) + (item->group * shape->k_blocks + item->k0) * item->dy_step + pixel * ST_BLOCK_K;
        return;
    }
    const int64_t pixels = images * rows * shape->window.q, stride = call->dout.pixel_stride;
    const st_real *dy = (const st_real *)call->dout.data + pixel * stride + item->group * shape->k;
    item->dy_step = pixels * ST_BLOCK_K;
    item->dy = item->dy_panel;
    for (int64_t kb = item->k0; kb < item->k1; kb++) {
        pack_pixels(item->dy_panel + (kb - item->k0) * item->dy_step, dy + kb * ST_BLOCK_K, stride, pixels,
                    st_min(ST_BLOCK_K, shape->k - kb * ST_BLOCK_K));
    }
}

/* One chain over a group of images. */
static void sum_images(weights_item *item, int64_t image0, int64_t images) {
    const weights_cut *cut = item->cut;
    const int64_t p = item->shape->window.p;
    item->is_begun = false;
    for (int64_t image = 0; image < images; image += cut->images) {
        const int64_t some = st_min(cut->images, images - image);
        for (int64_t row = 0; row < p; row += cut->rows) {
            const int64_t rows = st_min(cut->rows, p - row);
            fill_band(item, image0 + image, some, row, rows);
            run_pieces(item, some * rows, image + some == images && row + rows == p);
        }
    }
}

static void run_large(weights_item *item, target gradient, st_real *levels) {
    const weights_cut *cut = item->cut;
    const int64_t images = item->call->run->n / cut->image_groups;
    const int64_t span = cut->level_size / cut->k_range;
    for (int64_t g = 0; g < cut->image_groups; g++) {
        item->add_count = 0;
        while ((g >> item->add_count & 1) != 0) { /* finished neighbours */
            item->add[item->add_count] = (target){levels + item->add_count * cut->level_size, span};
            item->add_count++;
        }
        item->is_last = g + 1 == cut->image_groups;
        item->target = item->is_last ? gradient : (target){levels + item->add_count * cut->level_size, span};
        sum_images(item, g * images, images);
    }
}

/* ---- the bias: sums over the pixels of dy ---- */

int64_t st_bias_items(const st_call *call) {
    return call->dstate[ST_CONV_BIAS] == NULL ? 0 : st_ceil_div(call->site->out.c, BIAS_CHANNELS);
}

void st_bias_sum(const st_call *call, int64_t item) {
    const st_dims *out = &call->site->out;
    const int64_t k0 = item * BIAS_CHANNELS, count = st_min(BIAS_CHANNELS, out->c - k0);
    const int64_t groups = st_image_groups(call->run->n), pixels = call->run->n / groups * out->h * out->w;
    st_real sums[8 * BIAS_CHANNELS] = {0};
    for (int64_t g = 0; g < groups; g++) {
        call->site->kernels->sum_pixels(sums + g * BIAS_CHANNELS,
                                        (const st_real *)call->dout.data + g * pixels * call->dout.pixel_stride + k0,
                                        call->dout.pixel_stride, pixels, count);
    }
    call->site->kernels->sum_tree(call->dstate[ST_CONV_BIAS] + k0, sums, BIAS_CHANNELS, (int)groups, count);
}

/* ---- the phases ---- */

int64_t st_conv_weights_items(const st_call *call) {
    const st_conv_shape shape = st_conv_shape_of(call->site);
    const weights_cut cut = plan(call->site, &shape, call->run->n);
    return st_bias_items(call) + shape.groups * cut.k_parts * cut.c_parts * (cut.is_large ? 1 : cut.image_groups);
}

void st_conv_weights(const st_call *call, int64_t index, void *scratch) {
    if (index < st_bias_items(call)) {
        st_bias_sum(call, index);
        return;
    }
    index -= st_bias_items(call);
    const st_conv_shape shape = st_conv_shape_of(call->site);
    const weights_cut cut = plan(call->site, &shape, call->run->n);
    weights_item item = {.call = call, .shape = &shape, .cut = &cut};
    item.c0 = index % cut.c_parts * cut.c_range;
    index /= cut.c_parts;
    item.k0 = index % cut.k_parts * cut.k_range;
    index /= cut.k_parts;
    item.group = index % shape.groups;
    index /= shape.groups;
    item.c1 = st_min(item.c0 + cut.c_range, shape.c_blocks);
    item.k1 = st_min(item.k0 + cut.k_range, shape.k_blocks);
    if (item.c0 >= item.c1 || item.k0 >= item.k1) {
        return;
    }
    char *at = scratch;
    item.rows = (int64_t *)(void *)at;
    at += st_round_64((size_t)(cut.images * cut.rows) * sizeof(int64_t));
    st_real *levels = (st_real *)(void *)at;
    item.panel = levels + cut.levels * cut.level_size;
    item.dy_panel = item.panel + cut.images * cut.panel_rows * cut.panel_columns * cut.c_range * cut.panel_pitch;

    const int64_t k_step = shape.c * taps_of(&shape) * ST_BLOCK_K;
    target gradient = {call->dstate[ST_CONV_WEIGHT], k_step};
    if (!cut.is_large && cut.image_groups > 1) {
        gradient.data = shared_of(call) + index * shape.groups * shape.group_weights;
    }
    gradient.data += item.group * shape.group_weights + item.k0 * k_step +
                     item.c0 * ST_BLOCK_C * taps_of(&shape) * ST_BLOCK_K;
    if (cut.is_large) {
        run_large(&item, gradient, levels);
        return;
    }
    const int64_t images = call->run->n / cut.image_groups;
    item.target = gradient;
    item.is_last = cut.image_groups == 1;
    sum_images(&item, index * images, images);
}

int64_t st_conv_merge_items(const st_call *call) {
    const st_conv_shape shape = st_conv_shape_of(call->site);
    return is_large(call->site, &shape) || st_image_groups(call->run->n) == 1
               ? 0
               : st_ceil_div(shape.groups * shape.group_weights, MERGE_COUNT);
}

void st_conv_merge(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    const st_conv_shape shape = st_conv_shape_of(call->site);
    const int64_t all = shape.groups * shape.group_weights, at = item * MERGE_COUNT;
    call->site->kernels->sum_tree(call->dstate[ST_CONV_WEIGHT] + at, shared_of(call) + at, all,
                                  (int)st_image_groups(call->run->n), st_min(MERGE_COUNT, all - at));
}
