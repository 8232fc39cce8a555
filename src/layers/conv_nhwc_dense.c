/* The dense engine: a convolution as tiles of pixels times blocks of 32 outputs.
 *
 * A band of rows (or some whole images) of about half of L2 is copied with its border of zeros to
 * [C/64][image][rows][columns][64]; then, for each block of 32 outputs, every tile of the band runs through the block's
 * weights, which are read in memory order. 1x1 without gaps between pixels needs no copy. What each item writes depends
 * on no other, and cutting changes no result. Not for gradients of weights (conv_nhwc_backward_weights.c).
 *
 * Georganas et al. 2019, arXiv:1906.06440; the blocking was measured (docs/performance.md).
 *
 * n image, c input channel, k output channel, h w rows and columns, r s kernel rows and columns, p q output rows and
 * columns. */
#include <string.h>

#include "layers/conv_nhwc.h"

enum {
    FLAT_PIXELS = 196,       /* of an item without a copy */
    ALIAS_CHANNELS = 2048,   /* pixels so far apart fall on each other in L1: copied, */
    COPY_GAP = 16,           /* with this much between them */
    TILES_BYTES = 14 * 1024, /* of pixels that stay in L1 while all blocks of weights pass */
};

/* ---- cutting ---- */

static bool lies_flat(const st_dense *dense) {
    return dense->r == 1 && dense->s == 1 && dense->stride_h == 1 && dense->stride_w == 1 && dense->top == 0 &&
           dense->left == 0 && dense->p == dense->h && dense->q == dense->w &&
           dense->x_row == dense->w * dense->x_pixel && dense->x_image == dense->h * dense->x_row &&
           dense->y_row == dense->q * dense->y_pixel && dense->y_image == dense->p * dense->y_row;
}

static int64_t panel_rows_of(const st_dense *dense, int64_t rows) {
    return (rows - 1) * dense->stride_h + (dense->r - 1) * dense->dilation_h + 1;
}

/* Enough bands: threads that take one after the other end together. Fewer, and items share a band by blocks of outputs,
 * each of which copies it for itself. */
static bool has_few_bands(const st_dense_cut *cut, const st_dense *dense) {
    return dense->threads > 1 && cut->bands < 3 * dense->threads;
}

/* What all items take, in the time of a tile, a tap and a block of outputs: rounds of items over the threads and a part
 * of one, since threads are never quite in step. The first tile under each block waits for the weights. */
static int64_t estimate(const st_dense *dense, int64_t bands, int64_t tiles, int64_t k_blocks, bool is_copied) {
    const int64_t items = bands * st_ceil_div(st_ceil_div(dense->k, ST_BLOCK_K), k_blocks);
    const int64_t one = (tiles + 1) * k_blocks * dense->r * dense->s + (is_copied ? tiles : 0);
    return (8 * st_ceil_div(items, dense->threads) + 1) * one;
}

/* How many blocks of outputs an item should take where `bands` bands have `tiles` tiles each. */
static int64_t best_blocks(int64_t *least, const st_dense *dense, int64_t bands, int64_t tiles, bool is_copied) {
    const int64_t blocks = st_ceil_div(dense->k, ST_BLOCK_K);
    const int64_t most = st_max(1, 8 * dense->threads / bands); /* parts of a band */
    int64_t best = blocks;
    *least = estimate(dense, bands, tiles, blocks, is_copied);
    for (int64_t parts = 2; parts <= st_min(most, blocks); parts += 1 + parts / 8) {
        const int64_t size = st_ceil_div(blocks, parts), time = estimate(dense, bands, tiles, size, is_copied);
        if (time < *least) {
            *least = time;
            best = size;
        }
    }
    return best;
}

static void share_blocks(st_dense_cut *cut, const st_dense *dense, int64_t tiles) {
    const int64_t blocks = st_ceil_div(dense->k, ST_BLOCK_K);
    int64_t least;
    cut->k_blocks = has_few_bands(cut, dense)
                        ? best_blocks(&least, dense, cut->bands, tiles, !cut->is_flat || cut->is_copied)
                        : blocks;
    cut->k_parts = st_ceil_div(blocks, cut->k_blocks);
}

/* The number of bands, at least `fewest` and at most `limit`, under which all items take the least time; `tiles` of all
 * bands together. Where there are many, one more or less makes no difference. */
static int64_t best_bands(const st_dense *dense, int64_t fewest, int64_t limit, int64_t tiles, bool is_copied) {
    int64_t best = fewest, least = INT64_MAX;
    if (dense->threads == 1 || fewest >= 8 * dense->threads) {
        return fewest;
    }
    const int64_t most = st_min(limit, st_max(2 * dense->threads, fewest + dense->threads));
    const int64_t step = 1 + st_max(0, most - fewest) / 8; /* a few are enough: this runs before every item */
    for (int64_t bands = fewest; bands <= st_max(fewest, most); bands += step) {
        int64_t time;
        best_blocks(&time, dense, bands, st_ceil_div(tiles, bands), is_copied);
        if (time < least) {
            least = time;
            best = bands;
        }
    }
    return best;
}

static void cut_flat(st_dense_cut *cut, const st_dense *dense) {
    const int64_t total = dense->n * dense->h * dense->w, tile = dense->kernels->tile_rows;
    cut->is_flat = true;
    cut->is_copied = dense->c >= ALIAS_CHANNELS;
    cut->pixels = FLAT_PIXELS / tile * tile;
    while (cut->pixels > tile &&
           cut->pixels * dense->c * (int64_t)sizeof(st_real) > (int64_t)dense->kernels->band_bytes) {
        cut->pixels -= tile;
    }
    cut->run_count = 1;
    cut->tile_count = st_ceil_div(cut->pixels, tile) + 1;
    cut->panel_pitch = dense->c + COPY_GAP;
    const size_t panel = cut->is_copied ? (size_t)(cut->pixels * cut->panel_pitch) : 0;
    cut->bytes = st_round_64(panel * sizeof(st_real)) + st_round_64((size_t)cut->tile_count * sizeof(st_tile)) +
                 st_round_64(sizeof(st_gemm_run)); /* of a full item: a call may bring fewer images than were planned */
    cut->bands = st_ceil_div(total, cut->pixels);
    const int64_t tiles = st_ceil_div(total, tile);
    cut->bands = best_bands(dense, cut->bands, tiles, tiles, cut->is_copied);
    cut->pixels = st_ceil_div(tiles, cut->bands) * tile;
    cut->bands = st_ceil_div(total, cut->pixels);
    share_blocks(cut, dense, st_ceil_div(cut->pixels, tile));
}

/* The scratch of the fullest band, which does not shrink with more images: a call may bring fewer than were planned. */
static void count_memory(st_dense_cut *cut, const st_dense *dense, int64_t row) {
    cut->run_count = st_ceil_div(dense->c, ST_BLOCK_C) * dense->r * dense->s;
    cut->tile_count = cut->images * cut->rows * st_ceil_div(dense->q, dense->kernels->tile_piece) + 1;
    const size_t panel = (size_t)(cut->images * panel_rows_of(dense, cut->rows) * row);
    cut->bytes = st_round_64(panel * sizeof(st_real)) + st_round_64((size_t)cut->tile_count * sizeof(st_tile)) +
                 st_round_64((size_t)cut->run_count * sizeof(st_gemm_run));
}

/* Whole images while they fit, else rows of one. More bands than fullest where threads would wait. */
static void cut_bands(st_dense_cut *cut, const st_dense *dense) {
    const int64_t limit = (int64_t)(dense->kernels->band_bytes / sizeof(st_real));
    cut->panel_columns = (dense->q - 1) * dense->stride_w + (dense->s - 1) * dense->dilation_w + 1;
    cut->panel_pitch = st_min(dense->c, ST_BLOCK_C);
    const int64_t row = cut->panel_columns * st_ceil_div(dense->c, cut->panel_pitch) * cut->panel_pitch;
    const int64_t image = panel_rows_of(dense, dense->p) * row;
    cut->images = 1;
    cut->rows = dense->p;
    if (image <= limit) {
        cut->images = st_min(dense->n, limit / image);
    }
    while (cut->rows > 1 && panel_rows_of(dense, cut->rows) * row > limit) {
        cut->rows--;
    }
    count_memory(cut, dense, row);
    while (cut->images > 1 && st_ceil_div(dense->n, cut->images) < 2 * dense->threads) {
        cut->images--;
    }
    cut->images = st_ceil_div(dense->n, st_ceil_div(dense->n, cut->images));
    int64_t bands_of_image = st_ceil_div(dense->p, cut->rows);
    cut->bands = cut->images > 1 ? st_ceil_div(dense->n, cut->images) : dense->n * bands_of_image;
    const int64_t tiles_of_image = st_ceil_div(dense->p * st_ceil_div(dense->q, dense->kernels->tile_piece),
                                               dense->kernels->tile_rows / dense->kernels->tile_piece);
    if (cut->images == 1) {
        const int64_t bands = best_bands(dense, cut->bands, dense->n * dense->p, dense->n * tiles_of_image, true);
        bands_of_image = st_min(dense->p, st_ceil_div(bands, dense->n));
    }
    cut->rows = st_ceil_div(dense->p, bands_of_image);
    cut->bands_of_image = cut->images > 1 ? 1 : bands_of_image;
    cut->panel_rows = panel_rows_of(dense, cut->rows);
    cut->bands = cut->images > 1 ? st_ceil_div(dense->n, cut->images) : dense->n * bands_of_image;
    share_blocks(cut, dense, st_ceil_div(cut->images * tiles_of_image * cut->rows, dense->p));
}

st_dense_cut st_dense_plan(const st_dense *dense) {
    st_dense_cut cut = {0};
    if (lies_flat(dense)) {
        cut_flat(&cut, dense);
    } else {
        cut_bands(&cut, dense);
    }
    return cut;
}

int64_t st_dense_items(const st_dense_cut *cut) {
    return cut->bands * cut->k_parts;
}

/* ---- copying ---- */

static void zero_columns(st_real *row, const st_panel_copy *copy, int64_t first, int64_t last) {
    for (int64_t c = 0; c < copy->c; c += ST_BLOCK_C) {
        memset(row + c / ST_BLOCK_C * copy->block + first * copy->pitch, 0,
               (size_t)((last - first) * copy->pitch) * sizeof(st_real));
    }
}

/* Columns first ... last - 1, pixel by pixel: memory is read in its order. */
static void copy_columns(const st_kernels *kernels, st_real *row, const st_real *from, const st_panel_copy *copy,
                         int64_t first, int64_t last) {
    const int64_t whole = copy->c / ST_BLOCK_C, rest = copy->c % ST_BLOCK_C, pitch = copy->pitch;
    if (copy->c == pitch && copy->x_pixel == pitch) {
        kernels->copy(row + first * pitch, 0, from + first * pitch, 0, 1, (last - first) * pitch);
        return;
    }
    if (copy->c <= ST_BLOCK_C) {
        kernels->copy(row + first * pitch, pitch, from + first * copy->x_pixel, copy->x_pixel, last - first, copy->c);
        return;
    }
    for (int64_t j = first; j < last; j++) {
        kernels->copy(row + j * pitch, copy->block, from + j * copy->x_pixel, ST_BLOCK_C, whole, ST_BLOCK_C);
        if (rest > 0) {
            kernels->copy(row + whole * copy->block + j * pitch, 0, from + j * copy->x_pixel + whole * ST_BLOCK_C, 0, 1,
                          rest);
        }
    }
}

void st_panel_fill(const st_kernels *kernels, st_real *panel, const st_panel_copy *copy) {
    const int64_t first = st_min(copy->columns, st_max(0, -copy->column0));
    const int64_t last = st_max(first, st_min(copy->columns, copy->w - copy->column0));
    for (int64_t i = 0; i < copy->rows; i++) {
        st_real *to = panel + i * copy->columns * copy->pitch;
        const int64_t row = copy->row0 + i;
        if (row < 0 || row >= copy->h) {
            zero_columns(to, copy, 0, copy->columns);
            continue;
        }
        zero_columns(to, copy, 0, first);
        copy_columns(kernels, to, copy->x + row * copy->x_row + copy->column0 * copy->x_pixel + copy->c0, copy, first,
                     last);
        zero_columns(to, copy, last, copy->columns);
    }
}

/* ---- tiles ---- */

/* Tiles are made where they stay: `tiles[count]` is the one that fills up. */
typedef struct tile_list {
    st_tile *tiles;
    int64_t count;
    int piece, rows; /* of the set of kernels */
    st_tile rest;    /* a short piece that waits for a full one */
    int64_t a_step, c_step, residual_step;
} tile_list;

static void put_pixels(const tile_list *list, st_tile *tile, int count, int64_t a, int64_t c, int64_t residual) {
    const int first = tile->rows;
    for (int i = 0; i < count; i++) {
        tile->a[first + i] = a + i * list->a_step;
        tile->c[first + i] = c + i * list->c_step;
        tile->residual[first + i] = residual + i * list->residual_step;
    }
    tile->rows = first + count;
}

static void close_tile(tile_list *list) {
    list->count++;
    list->tiles[list->count].rows = 0;
}

static void put_rest(tile_list *list) {
    if (list->rest.rows > 0) {
        put_pixels(list, &list->tiles[list->count], list->rest.rows, list->rest.a[0], list->rest.c[0],
                   list->rest.residual[0]);
        list->rest.rows = 0;
        close_tile(list);
    }
}

/* `count` neighbours. In a tile every piece but the last must be full: a short piece goes behind a full one, or waits
 * for one. Pieces of one pixel just fill up tiles. */
static void put_piece(tile_list *list, int count, int64_t a, int64_t c, int64_t residual) {
    st_tile *tile = &list->tiles[list->count];
    if (count < list->piece && tile->rows == 0) {
        put_rest(list); /* two short ones: they stay apart */
        put_pixels(list, &list->rest, count, a, c, residual);
        return;
    }
    put_pixels(list, tile, count, a, c, residual);
    if (list->rest.rows > 0 && tile->rows + list->rest.rows <= list->rows) {
        put_rest(list);
    } else if (tile->rows % list->piece != 0 || tile->rows + list->piece > list->rows) {
        close_tile(list);
    }
}

static void finish_tiles(tile_list *list) {
    if (list->tiles[list->count].rows > 0) {
        close_tile(list);
    }
    put_rest(list);
}

/* One output row in pieces. */
static void put_row(tile_list *list, int64_t q, int64_t a, int64_t c, int64_t residual) {
    for (int64_t j = 0; j < q; j += list->piece) {
        put_piece(list, (int)st_min(list->piece, q - j), a + j * list->a_step, c + j * list->c_step,
                  residual + j * list->residual_step);
    }
}

static tile_list begin_tiles(st_tile *tiles, const st_dense *dense, int piece, int64_t a_step) {
    tiles[0].rows = 0;
    return (tile_list){.tiles = tiles,
                       .piece = piece,
                       .rows = dense->kernels->tile_rows,
                       .a_step = a_step,
                       .c_step = dense->y_pixel,
                       .residual_step = dense->residual_pixel};
}

/* ---- running ---- */

typedef struct item_memory {
    st_real *panel;
    st_tile *tiles;
    st_gemm_run *runs;
} item_memory;

static item_memory lay_out(const st_dense_cut *cut, void *scratch) {
    char *at = scratch;
    item_memory memory;
    memory.tiles = (st_tile *)(void *)at;
    at += st_round_64((size_t)cut->tile_count * sizeof(st_tile));
    memory.runs = (st_gemm_run *)(void *)at;
    at += st_round_64((size_t)cut->run_count * sizeof(st_gemm_run));
    memory.panel = (st_real *)(void *)at;
    return memory;
}

/* Results that no cache will hold go past them; lines must be whole. */
static bool may_stream(const st_dense *dense) {
    const int64_t line = 64 / (int64_t)sizeof(st_real);
    const size_t bytes = (size_t)(dense->n * dense->p * dense->q * dense->y_pixel) * sizeof(st_real);
    return bytes >= dense->kernels->stream_bytes && (uintptr_t)dense->y % 64 == 0 && dense->y_pixel % line == 0 &&
           dense->y_row % line == 0 && dense->y_image % line == 0;
}

static st_brgemm problem_of(const st_dense *dense, const item_memory *memory, int64_t run_count) {
    return (st_brgemm){.runs = memory->runs,
                       .run_count = (int)run_count,
                       .is_begun = dense->is_begun,
                       .streams = may_stream(dense),
                       .activation = dense->activation};
}

/* The block's own part of the problem; `ends` is memory for a scale and a shift that would not be whole. */
static void turn_to_block(st_brgemm *problem, const st_dense *dense, int64_t block, st_real ends[2][ST_BLOCK_K]) {
    const int64_t k0 = block * ST_BLOCK_K;
    problem->n = (int)st_min(ST_BLOCK_K, dense->k - k0);
    problem->b = dense->weights + k0 * dense->c * dense->r * dense->s;
    problem->c = dense->y + k0;
    problem->residual = dense->residual == NULL ? NULL : dense->residual + k0;
    if (dense->scale == NULL && dense->shift == NULL) {
        return;
    }
    for (int i = 0; i < ST_BLOCK_K; i++) {
        ends[0][i] = dense->scale == NULL || i >= problem->n ? 1 : dense->scale[k0 + i];
        ends[1][i] = dense->shift == NULL || i >= problem->n ? (st_real)-0.0 : dense->shift[k0 + i];
    }
    problem->scale = ends[0];
    problem->shift = ends[1];
}

/* Elements first ... of x, as far as x goes. */
static st_soon x_soon(const st_dense *dense, int64_t first, int64_t count, int64_t steps) {
    const int64_t all = (dense->n - 1) * dense->x_image + (dense->h - 1) * dense->x_row + dense->w * dense->x_pixel;
    first = st_min(all, first);
    return st_soon_of(dense->x + first, st_min(count, all - first), steps);
}

/* Blocks of outputs of an item, and the block that this thread is likely to take after them; -1: none. */
typedef struct block_range {
    int64_t first, last, next;
} block_range;

/* The band stays in L2 and the weights stream by: all tiles of a block, then the next block. Wanted soon: the next
 * block of weights that L2 does not hold, else `soon`. */
static void run_blocks(const st_dense *dense, const st_dense_cut *cut, st_brgemm problem, const tile_list *list,
                       block_range range, st_soon soon) {
    st_real ends[2][ST_BLOCK_K];
    const int64_t depth = dense->c * dense->r * dense->s;
    const bool is_heavy =
        has_few_bands(cut, dense) || (size_t)(depth * dense->k) * sizeof(st_real) > dense->kernels->in_place_bytes;
    problem.soon = &soon;
    for (int64_t block = range.first; block < range.last; block++) {
        turn_to_block(&problem, dense, block, ends);
        const int64_t next = block + 1 < range.last ? block + 1 : range.next;
        if (is_heavy && next >= 0) {
            soon = st_soon_of(dense->weights + next * depth * ST_BLOCK_K, depth * ST_BLOCK_K, depth * list->count);
        }
        for (int64_t i = 0; i < list->count; i++) {
            dense->kernels->brgemm(&problem, &list->tiles[i]);
        }
    }
}

/* The weights stay in L2 and the pixels stream by: some tiles that fit into L1 take all blocks, then the next ones. */
static void run_tiles(const st_dense *dense, st_brgemm problem, const tile_list *list, block_range range) {
    st_real ends[2][ST_BLOCK_K];
    const int64_t tile_bytes = list->rows * dense->c * (int64_t)sizeof(st_real);
    const int64_t step = st_max(1, TILES_BYTES / tile_bytes);
    st_soon soon;
    problem.soon = &soon;
    for (int64_t i = 0; i < list->count; i += step) {
        const int64_t end = st_min(i + step, list->count);
        const st_tile *tile = &list->tiles[end - 1];
        soon = x_soon(dense, tile->a[tile->rows - 1] + dense->x_pixel, (end - i) * list->rows * dense->x_pixel,
                      (end - i) * (range.last - range.first) * dense->c);
        for (int64_t block = range.first; block < range.last; block++) {
            turn_to_block(&problem, dense, block, ends);
            for (int64_t j = i; j < end; j++) {
                dense->kernels->brgemm(&problem, &list->tiles[j]);
            }
        }
    }
}

static void run_flat(const st_dense *dense, const st_dense_cut *cut, int64_t band, block_range range, void *scratch) {
    const item_memory memory = lay_out(cut, scratch);
    const int64_t total = dense->n * dense->h * dense->w, start = band * cut->pixels;
    const int64_t count = st_min(cut->pixels, total - start);
    st_brgemm problem = problem_of(dense, &memory, 1);
    memory.runs[0] = (st_gemm_run){0, dense->c};
    problem.a = dense->x;
    problem.lda = dense->x_pixel;
    int64_t a = start * dense->x_pixel;
    if (cut->is_copied) {
        dense->kernels->copy(memory.panel, cut->panel_pitch, dense->x + a, dense->x_pixel, count, dense->c);
        problem.a = memory.panel;
        problem.lda = cut->panel_pitch;
        a = 0;
    }
    tile_list list = begin_tiles(memory.tiles, dense, dense->kernels->tile_rows, problem.lda);
    put_row(&list, count, a, start * dense->y_pixel, start * dense->residual_pixel);
    finish_tiles(&list);
    const bool is_light = (size_t)(dense->c * dense->k) * sizeof(st_real) <= dense->kernels->in_place_bytes;
    if (!cut->is_copied && is_light && !has_few_bands(cut, dense)) {
        run_tiles(dense, problem, &list, range);
    } else {
        run_blocks(dense, cut, problem, &list, range, x_soon(dense, 0, 0, 1));
    }
}

/* In the order of the sum: block of 64 channels, r, s, c. Neighbours in a row are one run. */
static int64_t list_runs(const st_dense *dense, const st_dense_cut *cut, st_gemm_run *runs) {
    const int64_t block_size = cut->images * cut->panel_rows * cut->panel_columns * cut->panel_pitch;
    int64_t count = 0;
    for (int64_t c0 = 0; c0 < dense->c; c0 += ST_BLOCK_C) {
        const int64_t c = st_min(ST_BLOCK_C, dense->c - c0);
        const bool is_joined = dense->dilation_w == 1 && c == cut->panel_pitch;
        for (int64_t r = 0; r < dense->r; r++) {
            int64_t at = c0 / ST_BLOCK_C * block_size + r * dense->dilation_h * cut->panel_columns * cut->panel_pitch;
            if (is_joined) {
                runs[count++] = (st_gemm_run){at, dense->s * c};
            }
            for (int64_t s = 0; !is_joined && s < dense->s; s++) {
                runs[count++] = (st_gemm_run){at + s * dense->dilation_w * cut->panel_pitch, c};
            }
        }
    }
    return count;
}

/* Of a band's output. */
static int64_t first_row(const st_dense *dense, const st_dense_cut *cut, int64_t band) {
    return band % cut->bands_of_image * dense->p / cut->bands_of_image;
}

/* The x of the band that this thread copies next, if threads take turns. */
static st_soon next_band(const st_dense *dense, const st_dense_cut *cut, int64_t band, int64_t tiles) {
    const int64_t next = band + dense->threads, image = next / cut->bands_of_image;
    const int64_t row = first_row(dense, cut, next) * dense->stride_h - dense->top;
    const int64_t start = image * cut->images * dense->x_image + st_max(0, row) * dense->x_row;
    const int64_t rows = cut->images > 1 ? cut->images * dense->h : st_min(dense->h, cut->rows * dense->stride_h);
    const int64_t steps = dense->c * dense->r * dense->s * tiles * cut->k_blocks;
    return x_soon(dense, start, cut->k_parts > 1 ? 0 : rows * dense->x_row, steps);
}

static void run_band(const st_dense *dense, const st_dense_cut *cut, int64_t band, block_range range, void *scratch) {
    const item_memory memory = lay_out(cut, scratch);
    const int64_t image0 = band / cut->bands_of_image * cut->images, row0 = first_row(dense, cut, band);
    const int64_t images = st_min(cut->images, dense->n - image0);
    const int64_t rows = (band % cut->bands_of_image + 1) * dense->p / cut->bands_of_image - row0;
    const int64_t panel_row = cut->panel_columns * cut->panel_pitch, panel_image = cut->panel_rows * panel_row;

    tile_list list = begin_tiles(memory.tiles, dense, dense->kernels->tile_piece, dense->stride_w * cut->panel_pitch);
    for (int64_t i = 0; i < images; i++) {
        st_panel_fill(dense->kernels, memory.panel + i * panel_image,
                      &(st_panel_copy){.x = dense->x + (image0 + i) * dense->x_image,
                                       .h = dense->h,
                                       .w = dense->w,
                                       .x_pixel = dense->x_pixel,
                                       .x_row = dense->x_row,
                                       .c = dense->c,
                                       .pitch = cut->panel_pitch,
                                       .block = cut->images * panel_image,
                                       .row0 = row0 * dense->stride_h - dense->top,
                                       .rows = panel_rows_of(dense, rows),
                                       .column0 = -dense->left,
                                       .columns = cut->panel_columns});
        for (int64_t row = 0; row < rows; row++) {
            put_row(&list, dense->q, i * panel_image + row * dense->stride_h * panel_row,
                    (image0 + i) * dense->y_image + (row0 + row) * dense->y_row,
                    ((image0 + i) * dense->p + row0 + row) * dense->q * dense->residual_pixel);
        }
    }
    finish_tiles(&list);
    st_brgemm problem = problem_of(dense, &memory, list_runs(dense, cut, memory.runs));
    problem.a = memory.panel;
    problem.lda = dense->stride_w * cut->panel_pitch;
    run_blocks(dense, cut, problem, &list, range, next_band(dense, cut, band, list.count));
}

void st_dense_run(const st_dense *dense, const st_dense_cut *cut, int64_t item, void *scratch) {
    const int64_t band = item / cut->k_parts, next = item + dense->threads;
    block_range range = {.first = item % cut->k_parts * cut->k_blocks, .next = -1};
    range.last = st_min(range.first + cut->k_blocks, st_ceil_div(dense->k, ST_BLOCK_K));
    if (cut->k_parts > 1 && next < st_dense_items(cut)) {
        range.next = next % cut->k_parts * cut->k_blocks;
    }
    if (cut->is_flat) {
        run_flat(dense, cut, band, range, scratch);
    } else {
        run_band(dense, cut, band, range, scratch);
    }
    if (may_stream(dense)) {
        dense->kernels->fence();
    }
}
