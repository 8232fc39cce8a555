/* Gradients of a convolution's weights and bias, NHWC.
 *
 * dw[k][c][r][s] = sum over n, p, q of x * dy. The images form 8, 4, 2 or 1 equal groups, each summed in one chain of
 * fused multiply-adds in the order n, p, q; a balanced tree joins the groups (docs/numerics.md, rule 5). Vectors run
 * over 32 outputs; rows of the product are the neighbouring (s, c) of the copied band of x, so x is never transposed.
 * The result is in the order of the packed weights.
 *
 * Small gradients: an item is one group of images; partial gradients are merged in the next phase. Large ones: an item
 * is a block of the gradient that stays in L2 and takes all groups, their sums kept as a binary counter and added
 * before the brick stores. Both give the same bits. x is copied band by band as in forward; dy where that costs less
 * than pixels that lie far apart. Where a step comes in pieces all gradients take the second way, and the counter and
 * the chain of a group that goes on in the next piece stay from piece to piece.
 *
 * n image, c channel of x, k channel of y, r s kernel rows and columns, p q rows and columns of y. */
#include <string.h>

#include "layers/conv_nhwc.h"

enum {
    BRICK_PIXELS = 112,   /* of x and dy that stay in L1 under all bricks */
    ALIAS_OUTPUTS = 1024, /* pixels of dy so far apart fall on each other in L1 */
    SHORT_GROUP = 500,    /* pixels */
    BIAS_CHANNELS = 64,
    MERGE_COUNT = 4096,
    LEVELS = 3 /* of the counter of 8 groups */
};

typedef struct weights_cut {
    int64_t image_groups;
    bool is_large, is_carried; /* carried: the step comes in pieces */
    int64_t k_range, c_range;  /* blocks of 32 and 64 of an item */
    int64_t k_parts, c_parts;
    bool packs_dy;
    int64_t images, rows; /* of a band, within a group of images */
    int64_t panel_rows, panel_columns;
    int64_t x_pixel, x_block; /* elements between pixels and between blocks of 64 channels */
    int64_t levels;           /* of the counter */
    int64_t level_size;       /* elements */
    size_t bytes;             /* thread scratch */
} weights_cut;

static int64_t taps_of(const st_conv_shape *shape) {
    return shape->window.r * shape->window.s;
}

static int64_t rows_under(const st_conv_shape *shape, int64_t rows) {
    return (rows - 1) * shape->window.stride_h + (shape->window.r - 1) * shape->window.dilation_h + 1;
}

static bool is_large(const st_site *site, const st_conv_shape *shape) {
    return site->total > 0 || (size_t)shape->group_weights * sizeof(st_real) >= site->kernels->gradient_bytes;
}

/* ---- cutting ---- */

static int64_t image_pixels(const st_conv_shape *shape) {
    return shape->window.p * shape->window.q;
}

/* Which blocks of a large gradient an item takes: of those that fit, the ones for which x and dy are read least often.
 * A group of few pixels touches the counter's other levels often, which then must fit too. */
static void cut_large(weights_cut *cut, const st_conv_shape *shape, const st_site *site) {
    const int64_t unit = taps_of(shape) * ST_BLOCK_C * ST_BLOCK_K * (int64_t)sizeof(st_real);
    const bool is_short = site->batch / cut->image_groups * image_pixels(shape) < SHORT_GROUP;
    const int64_t units = st_max(1, (int64_t)site->kernels->gradient_bytes / (is_short ? 2 : 1) / unit);
    const int64_t x = shape->c * shape->in.h * shape->in.w, dy = shape->k * image_pixels(shape);
    int64_t least = INT64_MAX;
    for (int64_t k_range = 1; k_range <= st_min(units, shape->k_blocks); k_range++) {
        const int64_t c_range = st_min(shape->c_blocks, units / k_range);
        const int64_t reads = st_ceil_div(shape->k_blocks, k_range) * x + st_ceil_div(shape->c_blocks, c_range) * dy;
        if (reads < least) {
            least = reads;
            cut->k_range = k_range;
            cut->c_range = c_range;
        }
    }
}

/* Which blocks of the gradient an item takes. */
static void cut_gradient(weights_cut *cut, const st_conv_shape *shape, const st_site *site) {
    cut->k_range = shape->k_blocks;
    cut->c_range = shape->c_blocks;
    if (cut->is_large) {
        cut_large(cut, shape, site);
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
    /* Under a 1x1, sums begin and end more often, and each time dy is gone from L1. */
    const int64_t uses = cut->c_range * ST_BLOCK_C * taps_of(shape) * (taps_of(shape) == 1 ? 8 : 1);
    cut->packs_dy = uses >= site->kernels->copy_uses || site->out.c >= ALIAS_OUTPUTS;
}

/* Blocks of dy that are copied: all, or the last if it is not whole. */
static int64_t packed_blocks(const weights_cut *cut, const st_conv_shape *shape) {
    return cut->packs_dy ? cut->k_range : shape->k % ST_BLOCK_K == 0 ? 0 : 1;
}

/* Elements that are copied for a band. */
static int64_t band_size(const weights_cut *cut, const st_conv_shape *shape, int64_t images, int64_t rows) {
    const int64_t x = rows_under(shape, rows) * cut->panel_columns * cut->c_range * st_min(shape->c, ST_BLOCK_C);
    const int64_t dy = rows * shape->window.q * packed_blocks(cut, shape) * ST_BLOCK_K;
    return images * (x + dy);
}

/* Elements that a band should hold in L2. */
static int64_t band_weight(const weights_cut *cut, const st_conv_shape *shape, int64_t images, int64_t rows) {
    const int64_t x = rows_under(shape, rows) * cut->panel_columns * cut->c_range * st_min(shape->c, ST_BLOCK_C);
    return images * (x + rows * shape->window.q * cut->k_range * ST_BLOCK_K);
}

static weights_cut plan(const st_site *site, const st_conv_shape *shape, int64_t n) {
    weights_cut cut = {.image_groups = site->total > 0 ? 1 : st_image_groups(n),
                       .is_large = is_large(site, shape),
                       .is_carried = site->total > 0,
                       .images = 1};
    const int64_t limit = (int64_t)(site->kernels->gradient_band_bytes / sizeof(st_real));
    const st_window *window = &shape->window;
    cut_gradient(&cut, shape, site);
    cut.panel_columns = (window->q - 1) * window->stride_w + (window->s - 1) * window->dilation_w + 1;
    /* At least the pixels of one visit of all bricks. */
    const int64_t images = n / cut.image_groups, least = st_max(1, BRICK_PIXELS / window->q);
    cut.rows = st_min(window->p, least);
    while (cut.rows < window->p && band_weight(&cut, shape, 1, st_min(window->p, cut.rows + least)) <= limit) {
        cut.rows = st_min(window->p, cut.rows + least);
    }
    if (cut.rows == window->p) {
        cut.images =
            st_min(images, st_max(st_max(1, least / window->p), limit / band_weight(&cut, shape, 1, cut.rows)));
    }
    cut.rows = st_ceil_div(window->p, st_ceil_div(window->p, cut.rows));
    cut.panel_rows = rows_under(shape, cut.rows);
    cut.x_pixel = st_min(shape->c, ST_BLOCK_C);
    cut.x_block = cut.images * cut.panel_rows * cut.panel_columns * cut.x_pixel;
    if (cut.is_large && !cut.is_carried) {
        cut.levels = cut.image_groups == 8 ? 3 : cut.image_groups == 4 ? 2 : cut.image_groups == 2 ? 1 : 0;
        cut.level_size = cut.k_range * cut.c_range * ST_BLOCK_C * taps_of(shape) * ST_BLOCK_K;
    }
    cut.bytes = st_round_64((size_t)(band_size(&cut, shape, cut.images, cut.rows) + cut.levels * cut.level_size) *
                            sizeof(st_real)) +
                st_round_64((size_t)(cut.images * cut.rows * window->q) * sizeof(int64_t));
    return cut;
}

/* A call may bring fewer images than the site's batch, and another number of groups: all four are asked, each with the
 * most images, which take the most memory. */
size_t st_conv_weights_thread_bytes(const st_site *site) {
    const st_conv_shape shape = st_conv_shape_of(site);
    size_t most = site->total > 0 ? plan(site, &shape, site->batch).bytes : 0;
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

/* The partial gradients of small ones. */
size_t st_conv_weights_shared_bytes(const st_site *site) {
    const st_conv_shape shape = st_conv_shape_of(site);
    const int64_t parts = is_large(site, &shape) ? 0 : st_min(site->batch, 8);
    return st_round_64((size_t)(parts * shape.groups * shape.group_weights) * sizeof(st_real));
}

/* The counter's levels, of the weights, then of the bias. */
size_t st_conv_weights_carried_bytes(const st_site *site) {
    const st_conv_shape shape = st_conv_shape_of(site);
    const int64_t count = site->total > 0 ? LEVELS * (shape.groups * shape.group_weights + site->out.c) : 0;
    return (size_t)count * sizeof(st_real);
}

static st_real *shared_of(const st_call *call) {
    const size_t turned = call->site->din_needed[0] ? st_conv_turned_bytes(call->site) : 0;
    return (st_real *)(void *)((char *)call->shared + turned);
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
    bool is_last;              /* these sums are the gradient */
    bool goes_on;              /* the group began in an earlier piece of the step */
    st_real *panel, *dy_panel; /* copies */
    int64_t *offsets;          /* of the band's pixels in x */
    /* of the band at hand: */
    const st_real *dy; /* of output 0, first pixel of the band */
    int64_t dy_step;   /* between copied blocks */
    bool is_begun, is_end;
    st_soon soon, soon_x; /* dy of the next band, then its x */
} weights_item;

/* Block kb of the band's dy, if it is copied. */
static st_real *packed_dy(const weights_item *item, int64_t kb) {
    return item->dy_panel + (item->cut->packs_dy ? kb - item->k0 : 0) * item->dy_step;
}

/* All bricks over some of the band's pixels. */
static void run_pixels(weights_item *item, int64_t first, int64_t count) {
    const weights_cut *cut = item->cut;
    const st_window *window = &item->shape->window;
    const int64_t dy_stride = item->call->dout.pixel_stride;
    st_brgemm_weights problem = {.offsets = item->offsets + first,
                                 .pixels = count,
                                 .soon = &item->soon,
                                 .is_begun = item->is_begun,
                                 .add_count = item->is_end ? item->add_count : 0,
                                 .is_last = item->is_end && item->is_last};
    for (int64_t cb = item->c0; cb < item->c1; cb++) {
        const int64_t c = st_min(ST_BLOCK_C, item->shape->c - cb * ST_BLOCK_C);
        const int64_t joined = window->dilation_w == 1 && c == cut->x_pixel ? window->s : 1;
        problem.m = joined * c;
        for (int64_t tap = 0; tap < window->r * window->s; tap += joined) {
            problem.x =
                item->panel + (cb - item->c0) * cut->x_block +
                (tap / window->s * window->dilation_h * cut->panel_columns + tap % window->s * window->dilation_w) *
                    cut->x_pixel;
            const int64_t at = ((cb - item->c0) * ST_BLOCK_C * window->r * window->s + tap * c) * ST_BLOCK_K;
            for (int64_t kb = item->k0; kb < item->k1; kb++) {
                problem.n = (int)st_min(ST_BLOCK_K, item->shape->k - kb * ST_BLOCK_K);
                const bool is_packed = cut->packs_dy || problem.n < ST_BLOCK_K;
                problem.dy_pixel = is_packed ? ST_BLOCK_K : dy_stride;
                problem.dy = (is_packed ? packed_dy(item, kb) : item->dy + kb * ST_BLOCK_K) + first * problem.dy_pixel;
                problem.dw = item->target.data + (kb - item->k0) * item->target.k_step + at;
                for (int i = 0; i < item->add_count; i++) {
                    problem.add[i] = item->add[i].data + (kb - item->k0) * item->add[i].k_step + at;
                }
                if (item->soon.at >= item->soon.end && item->soon.left == 0) {
                    item->soon = item->soon_x;
                    item->soon_x.end = item->soon_x.at;
                    item->soon_x.left = 0;
                }
                item->call->site->kernels->brgemm_weights(&problem);
            }
        }
    }
}

/* The band's pixels in even pieces that stay in L1. */
static void run_pieces(weights_item *item, int64_t pixels, bool is_end) {
    const int64_t pieces = st_max(1, (pixels + BRICK_PIXELS / 2) / BRICK_PIXELS), step = st_ceil_div(pixels, pieces);
    for (int64_t first = 0; first < pixels; first += step) {
        const int64_t count = st_min(step, pixels - first);
        item->is_end = is_end && first + count == pixels;
        run_pixels(item, first, count);
        item->is_begun = true;
    }
}

/* The band's x, and the offsets of its pixels. */
static void take_x(weights_item *item, int64_t image0, int64_t images, int64_t row0, int64_t rows) {
    const weights_cut *cut = item->cut;
    const st_conv_shape *shape = item->shape;
    const int64_t x_pixel = item->call->in[0].pixel_stride, x_row = x_pixel * shape->in.w,
                  x_image = x_row * shape->in.h;
    const st_real *x = (const st_real *)item->call->in[0].data + item->group * shape->c;
    const int64_t panel_row = cut->panel_columns * cut->x_pixel, panel_image = cut->panel_rows * panel_row;
    int64_t *offset = item->offsets;
    for (int64_t i = 0; i < images * rows; i++) {
        const int64_t row = i / rows * panel_image + i % rows * shape->window.stride_h * panel_row;
        for (int64_t j = 0; j < shape->window.q; j++) {
            *offset++ = row + j * shape->window.stride_w * cut->x_pixel;
        }
    }
    for (int64_t i = 0; i < images; i++) {
        st_panel_fill(item->call->site->kernels, item->panel + i * panel_image,
                      &(st_panel_copy){.x = x + (image0 + i) * x_image,
                                       .h = shape->in.h,
                                       .w = shape->in.w,
                                       .x_pixel = x_pixel,
                                       .x_row = x_row,
                                       .c0 = item->c0 * ST_BLOCK_C,
                                       .c = st_min(shape->c, item->c1 * ST_BLOCK_C) - item->c0 * ST_BLOCK_C,
                                       .pitch = cut->x_pixel,
                                       .block = cut->x_block,
                                       .row0 = row0 * shape->window.stride_h - shape->window.pad_top,
                                       .rows = rows_under(shape, rows),
                                       .column0 = -shape->window.pad_left,
                                       .columns = cut->panel_columns});
    }
}

/* Bricks that run over each pixel. */
static int64_t bricks_of(const weights_item *item) {
    const st_window *window = &item->shape->window;
    const int64_t tile = item->call->site->kernels->tile_rows;
    const int64_t c = st_min(item->shape->c - item->c0 * ST_BLOCK_C, (item->c1 - item->c0) * ST_BLOCK_C);
    return window->r * st_ceil_div(c * window->s, tile) * (item->k1 - item->k0);
}

/* Pieces of `width` elements, `stride` from one to the next, over `bricks` bricks of `pixels` steps each. One piece
 * where there are no gaps. */
static st_soon pieces_soon(const st_real *first, int64_t width, int64_t stride, int64_t count, int64_t bricks,
                           int64_t pixels) {
    if (count <= 0) {
        return st_soon_of(first, 0, 1);
    }
    if (width == stride) {
        return st_soon_of(first, width * count, bricks * pixels);
    }
    st_soon soon = st_soon_of(first, width, st_max(1, bricks / count) * pixels);
    soon.width = width * (int64_t)sizeof(st_real);
    soon.stride = stride * (int64_t)sizeof(st_real);
    soon.left = count - 1;
    return soon;
}

/* The next band lies behind this one, or nowhere. */
static void want_next_band(weights_item *item, int64_t image0, int64_t images, int64_t row0, int64_t rows) {
    const st_conv_shape *shape = item->shape;
    const st_view *in = &item->call->in[0], *dout = &item->call->dout;
    const int64_t p = shape->window.p, q = shape->window.q, stride = shape->window.stride_h;
    const int64_t next = (image0 + images - 1) * p + row0 + rows;
    const int64_t count = st_min(images * rows, item->call->run->n * p - next);
    const int64_t x_next = next / p * shape->in.h + next % p * stride;
    const int64_t x_count = st_min(count * stride, item->call->run->n * shape->in.h - x_next);
    const int64_t pieces = st_max(1, (images * rows * q + BRICK_PIXELS / 2) / BRICK_PIXELS);
    const int64_t piece = images * rows * q / pieces, bricks = bricks_of(item) * pieces;
    const int64_t dy_width = st_min(shape->k - item->k0 * ST_BLOCK_K, (item->k1 - item->k0) * ST_BLOCK_K);
    const int64_t x_width = st_min(shape->c - item->c0 * ST_BLOCK_C, (item->c1 - item->c0) * ST_BLOCK_C);
    const int64_t dy_share = dy_width * count * q, x_share = x_width * x_count * shape->in.w;
    const int64_t dy_bricks = bricks * dy_share / st_max(1, dy_share + x_share);
    item->soon = pieces_soon((const st_real *)dout->data + next * q * dout->pixel_stride + item->group * shape->k +
                                 item->k0 * ST_BLOCK_K,
                             dy_width, dout->pixel_stride, count * q, dy_bricks, piece);
    item->soon_x = pieces_soon((const st_real *)in->data + x_next * shape->in.w * in->pixel_stride +
                                   item->group * shape->c + item->c0 * ST_BLOCK_C,
                               x_width, in->pixel_stride, x_count * shape->in.w, bricks - dy_bricks, piece);
}

/* Blocks of dy to [pixels][32], pixel by pixel; the last is filled with zeros. */
static void copy_dy(weights_item *item, int64_t pixels) {
    const st_kernels *kernels = item->call->site->kernels;
    const int64_t stride = item->call->dout.pixel_stride, rest = item->k1 * ST_BLOCK_K - item->shape->k;
    const int64_t whole = item->k1 - (rest > 0 ? 1 : 0);
    for (int64_t i = 0; item->cut->packs_dy && i < pixels; i++) {
        kernels->copy(packed_dy(item, item->k0) + i * ST_BLOCK_K, item->dy_step,
                      item->dy + i * stride + item->k0 * ST_BLOCK_K, ST_BLOCK_K, whole - item->k0, ST_BLOCK_K);
    }
    if (rest > 0) {
        st_real *to = packed_dy(item, whole);
        memset(to, 0, (size_t)(pixels * ST_BLOCK_K) * sizeof(st_real));
        kernels->copy(to, ST_BLOCK_K, item->dy + whole * ST_BLOCK_K, stride, pixels, ST_BLOCK_K - rest);
    }
}

static void take_band(weights_item *item, int64_t image0, int64_t images, int64_t row0, int64_t rows) {
    const st_conv_shape *shape = item->shape;
    const int64_t pixel = image0 * image_pixels(shape) + row0 * shape->window.q, stride = item->call->dout.pixel_stride;
    const int64_t pixels = images * rows * shape->window.q;
    take_x(item, image0, images, row0, rows);
    item->dy = (const st_real *)item->call->dout.data + pixel * stride + item->group * shape->k;
    item->dy_step = pixels * ST_BLOCK_K;
    copy_dy(item, pixels);
    want_next_band(item, image0, images, row0, rows);
}

/* One chain over a group of images. */
static void sum_images(weights_item *item, int64_t image0, int64_t images) {
    const weights_cut *cut = item->cut;
    const int64_t p = item->shape->window.p;
    item->is_begun = item->goes_on;
    for (int64_t image = 0; image < images; image += cut->images) {
        const int64_t some = st_min(cut->images, images - image);
        for (int64_t row = 0; row < p; row += cut->rows) {
            const int64_t rows = st_min(cut->rows, p - row);
            take_band(item, image0 + image, some, row, rows);
            run_pieces(item, some * rows * item->shape->window.q, image + some == images && row + rows == p);
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

/* ---- a step in pieces ---- */

/* The images of a piece that belong to one group of the step's. */
typedef struct group_part {
    int64_t group, image0, images; /* image0: in the piece */
    bool begins, ends, is_last;    /* begins and ends the group; the step's last group */
    int level;                     /* of the counter that takes the group's sum; those below it are added */
} group_part;

/* The part that begins at the piece's image `image0`. */
static group_part part_from(const st_run *run, int64_t image0) {
    const int64_t total = st_run_total(run), groups = st_image_groups(total), images = total / groups;
    const int64_t at = run->first + image0, group = at / images;
    group_part part = {.group = group, .image0 = image0, .begins = at % images == 0, .is_last = group + 1 == groups};
    part.images = st_min((group + 1) * images - at, run->n - image0);
    part.ends = at + part.images == (group + 1) * images;
    while ((group >> part.level & 1) != 0) {
        part.level++;
    }
    return part;
}

/* `levels`: of the counter at this item's place, `level_size` apart. */
static void run_carried(weights_item *item, target gradient, st_real *levels, int64_t level_size) {
    const st_run *run = item->call->run;
    for (int64_t image = 0; image < run->n;) {
        const group_part part = part_from(run, image);
        for (int i = 0; i < part.level; i++) {
            item->add[i] = (target){levels + i * level_size, gradient.k_step};
        }
        item->add_count = part.ends ? part.level : 0;
        item->is_last = part.ends && part.is_last;
        item->goes_on = !part.begins;
        item->target = part.is_last ? gradient : (target){levels + part.level * level_size, gradient.k_step};
        sum_images(item, part.image0, part.images);
        image += part.images;
    }
}

/* Channels k0 to k0 + count - 1. */
static void carry_bias(const st_call *call, int64_t k0, int64_t count) {
    const st_dims *out = &call->site->out;
    const st_kernels *kernels = call->site->kernels;
    const st_conv_shape shape = st_conv_shape_of(call->site);
    st_real *levels = (st_real *)call->carried + LEVELS * shape.groups * shape.group_weights + k0;
    const int64_t stride = call->dout.pixel_stride;
    for (int64_t image = 0; image < call->run->n;) {
        const group_part part = part_from(call->run, image);
        st_real *to = part.is_last ? call->dstate[ST_CONV_BIAS] + k0 : levels + part.level * out->c;
        if (part.begins) {
            memset(to, 0, (size_t)count * sizeof *to);
        }
        kernels->sum_pixels(to, (const st_real *)call->dout.data + image * out->h * out->w * stride + k0, stride,
                            part.images * out->h * out->w, count);
        for (int i = 0; i < part.level && part.ends; i++) {
            kernels->sum_pixels(to, levels + i * out->c, 0, 1, count);
        }
        if (part.is_last && part.ends) {
            kernels->sum_tree(to, to, 0, 1, count);
        }
        image += part.images;
    }
}

/* ---- the bias: sums over the pixels of dy ---- */

int64_t st_bias_items(const st_call *call) {
    return call->dstate[ST_CONV_BIAS] == NULL ? 0 : st_ceil_div(call->site->out.c, BIAS_CHANNELS);
}

void st_bias_sum(const st_call *call, int64_t item) {
    const st_dims *out = &call->site->out;
    const int64_t k0 = item * BIAS_CHANNELS, count = st_min(BIAS_CHANNELS, out->c - k0);
    if (call->carried != NULL) {
        carry_bias(call, k0, count);
        return;
    }
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
    item.offsets = (int64_t *)(void *)at;
    at += st_round_64((size_t)(cut.images * cut.rows * shape.window.q) * sizeof(int64_t));
    st_real *levels = (st_real *)(void *)at;
    item.panel = levels + cut.levels * cut.level_size;
    item.dy_panel = item.panel + cut.c_range * cut.x_block;

    const int64_t k_step = shape.c * taps_of(&shape) * ST_BLOCK_K;
    target gradient = {call->dstate[ST_CONV_WEIGHT], k_step};
    if (!cut.is_large && cut.image_groups > 1) {
        gradient.data = shared_of(call) + index * shape.groups * shape.group_weights;
    }
    const int64_t place =
        item.group * shape.group_weights + item.k0 * k_step + item.c0 * ST_BLOCK_C * taps_of(&shape) * ST_BLOCK_K;
    gradient.data += place;
    if (cut.is_carried) {
        run_carried(&item, gradient, (st_real *)call->carried + place, shape.groups * shape.group_weights);
        return;
    }
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
