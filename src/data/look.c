/* What a picture looks like: a hash and a thumbnail that stay nearly the same when it is encoded again or resized, and
 * the search for pictures that look alike. Not for pictures that were cropped, mirrored or turned.
 *
 * Luma is (299 R + 587 G + 114 B) / 1000 of the upright picture, grey as it is. Its exact means over a grid of equal
 * blocks (a pixel that lies in two blocks counts in each with its share) make
 *   - 64 bits on a grid of 9 columns and 8 rows: is a block brighter than its left neighbour by more than one level of
 *     255? So an even surface gives 0 whatever noise lies on it;
 *   - 64 bits on a grid of 8 columns and 9 rows: than its upper neighbour?
 *   - a thumbnail of 16 x 16 bytes.
 * Two pictures are near when at most MOST_BITS of the 128 bits differ and their thumbnails are correlated by at least
 * LEAST_CORRELATION. docs/data.md has what that finds and what it does not, measured.
 *
 * Not all pairs are compared. The bits are dealt into MOST_BITS + 1 groups: two hashes that differ in at most MOST_BITS
 * bits agree in one group at least (Norouzi, Punjani, Fleet 2012, "Fast search in Hamming space with multi-index
 * hashing"). The bits that divide the pictures best are dealt first, one to each group, so that no group is nearly the
 * same everywhere. */
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

enum { ACROSS = 9, DOWN = 8, HASH_BITS = 128, MOST_BITS = 10, GROUPS = MOST_BITS + 1, LUMA = 1000 };

static const double LEAST_CORRELATION = 0.99;

/* ---- means over grids ---- */

enum { GRIDS = 3 };

static const struct {
    size_t columns, rows;
} grids[GRIDS] = {{ACROSS, DOWN}, {DOWN, ACROSS}, {ST_LOOK_SIDE, ST_LOOK_SIDE}};

/* Sums over blocks, each pixel weighed so that all blocks have height * width in all. */
typedef struct sums {
    uint64_t cells[GRIDS][ST_LOOK_SIDE * ST_LOOK_SIDE];
} sums;

/* Running sums of a row's luma: up to[x] is of the pixels before x. */
static void sum_row(uint64_t *upto, const uint8_t *pixels, size_t width, size_t channels) {
    upto[0] = 0;
    for (size_t x = 0; x < width; x++) {
        const uint8_t *p = pixels + x * channels;
        uint64_t luma = channels >= 3 ? 299u * p[0] + 587u * p[1] + 114u * p[2] : (uint64_t)LUMA * p[0];
        upto[x + 1] = upto[x] + luma;
    }
}

/* The sum before `place` / `parts` pixels, times `parts`. */
static uint64_t sum_before(const uint64_t *upto, size_t place, size_t parts) {
    size_t whole = place / parts, rest = place % parts;
    return upto[whole] * parts + (rest > 0 ? (upto[whole + 1] - upto[whole]) * rest : 0);
}

static void add_row(uint64_t *cells, size_t columns, size_t rows, const uint64_t *upto, size_t y, size_t height,
                    size_t width) {
    uint64_t row[ST_LOOK_SIDE];
    for (size_t i = 0; i < columns; i++) {
        row[i] = sum_before(upto, (i + 1) * width, columns) - sum_before(upto, i * width, columns);
    }
    size_t begin = y * rows, end = begin + rows; /* in units of a pixel's height / rows */
    for (size_t j = begin / height; j * height < end; j++) {
        size_t from = j * height > begin ? j * height : begin, to = (j + 1) * height < end ? (j + 1) * height : end;
        for (size_t i = 0; i < columns; i++) {
            cells[j * columns + i] += (to - from) * row[i];
        }
    }
}

static strata_status sum_all(sums *out, const strata_picture *picture, strata_error *err) {
    size_t height = (size_t)picture->shape.height, width = (size_t)picture->shape.width;
    size_t channels = (size_t)picture->shape.channels, bytes = (width + 1) * sizeof(uint64_t);
    uint64_t *upto = st_sys.allocate(bytes);
    ST_FAIL_IF(upto == NULL, err, STRATA_MEMORY, "no memory for %zu bytes", bytes);
    for (size_t y = 0; y < height; y++) {
        sum_row(upto, picture->pixels + y * width * channels, width, channels);
        for (size_t g = 0; g < GRIDS; g++) {
            add_row(out->cells[g], grids[g].columns, grids[g].rows, upto, y, height, width);
        }
    }
    st_sys.release(upto, bytes);
    return STRATA_OK;
}

strata_status st_look_at(st_look *out, const strata_picture *picture, strata_error *err) {
    sums all = {{{0}}};
    ST_TRY(sum_all(&all, picture, err));
    uint64_t weight = (uint64_t)(picture->shape.height * picture->shape.width), level = weight * LUMA;
    int32_t squares = 0;
    *out = (st_look){0};
    for (size_t i = 0; i < 64; i++) {
        const uint64_t *left = &all.cells[0][i / DOWN * ACROSS + i % DOWN];
        const uint64_t *upper = &all.cells[1][i];
        out->bits[0] |= (uint64_t)(left[1] > left[0] + level) << i;
        out->bits[1] |= (uint64_t)(upper[DOWN] > upper[0] + level) << i;
    }
    for (size_t i = 0; i < sizeof out->thumbnail; i++) {
        int32_t value = (int32_t)((all.cells[2][i] + level / 2) / level);
        out->thumbnail[i] = (uint8_t)value;
        out->sum += value;
        squares += value * value;
    }
    out->spread = (double)((int64_t)sizeof out->thumbnail * squares - (int64_t)out->sum * out->sum);
    return STRATA_OK;
}

/* ---- comparing ---- */

static int count_bits(uint64_t bits) {
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return (int)(bits * 0x0101010101010101u >> 56);
}

int st_look_distance(const st_look *a, const st_look *b) {
    return count_bits(a->bits[0] ^ b->bits[0]) + count_bits(a->bits[1] ^ b->bits[1]);
}

double st_look_correlation(const st_look *a, const st_look *b) {
    int32_t n = sizeof a->thumbnail, product = 0; /* 256 * 255 * 255 is small enough */
    for (size_t i = 0; i < sizeof a->thumbnail; i++) {
        product += a->thumbnail[i] * b->thumbnail[i];
    }
    double spread = a->spread * b->spread;
    return spread > 0 ? (double)((int64_t)n * product - (int64_t)a->sum * b->sum) / st_sqrt(spread) : 0;
}

bool st_look_is_near(const st_look *a, const st_look *b) {
    return st_look_distance(a, b) <= MOST_BITS && st_look_correlation(a, b) >= LEAST_CORRELATION;
}

/* ---- finding those that look alike ---- */

typedef struct bits {
    uint64_t half[2];
} bits;

/* One group of bits: the pictures in an order in which those that agree in it stand together, ascending. */
typedef struct table {
    bits mask;
    uint32_t *begins; /* [slots + 1]: where those of a slot begin in `order`; now and then two keys share a slot */
    uint32_t *order;  /* [pictures] */
    uint32_t *places; /* [pictures]: where each stands in `order` */
} table;

typedef struct search {
    const st_look *looks;
    const uint8_t *skipped;
    size_t count, slots;
    bits *all; /* [count]: those of the looks, side by side */
    table tables[GROUPS];
} search;

static bool is_skipped(const search *in, size_t index) {
    return in->skipped != NULL && in->skipped[index] != 0;
}

static size_t slot_of(const search *in, const table *of, size_t index) {
    uint64_t key = (in->all[index].half[0] & of->mask.half[0]) * 0x9E3779B97F4A7C15u;
    key ^= key >> 29;
    key = (key ^ (in->all[index].half[1] & of->mask.half[1])) * 0xBF58476D1CE4E5B9u;
    key ^= key >> 32;
    return (size_t)(key * 0x94D049BB133111EBu >> 20) & (in->slots - 1);
}

typedef struct ranked_bit {
    size_t imbalance, bit;
} ranked_bit;

static int compare_bits(const void *a, const void *b) {
    const ranked_bit *one = a, *two = b;
    if (one->imbalance != two->imbalance) {
        return one->imbalance < two->imbalance ? -1 : 1;
    }
    return one->bit < two->bit ? -1 : one->bit > two->bit;
}

static void deal_bits(search *with) {
    ranked_bit ranked[HASH_BITS];
    for (size_t b = 0; b < HASH_BITS; b++) {
        size_t ones = 0;
        for (size_t i = 0; i < with->count; i++) {
            ones += with->all[i].half[b / 64] >> b % 64 & 1;
        }
        size_t zeros = with->count - ones;
        ranked[b] = (ranked_bit){.imbalance = ones > zeros ? ones - zeros : zeros - ones, .bit = b};
    }
    qsort(ranked, HASH_BITS, sizeof *ranked, compare_bits);
    for (size_t b = 0; b < HASH_BITS; b++) {
        with->tables[b % GROUPS].mask.half[ranked[b].bit / 64] |= (uint64_t)1 << ranked[b].bit % 64;
    }
}

static strata_status build_table(table *out, const search *with, st_arena *scratch, strata_error *err) {
    ST_TRY(st_arena_alloc(&out->begins, scratch, with->slots + 2, sizeof *out->begins, err));
    ST_TRY(st_arena_alloc(&out->order, scratch, with->count, sizeof *out->order, err));
    ST_TRY(st_arena_alloc(&out->places, scratch, with->count, sizeof *out->places, err));
    uint32_t *next =
        out->begins + 1; /* where the next picture of a slot goes; in the end, where the next slot begins */
    for (size_t i = 0; i < with->count; i++) {
        if (!is_skipped(with, i)) {
            next[slot_of(with, out, i) + 1]++;
        }
    }
    for (size_t slot = 0; slot < with->slots; slot++) {
        next[slot + 1] += next[slot];
    }
    for (size_t i = 0; i < with->count; i++) {
        if (!is_skipped(with, i)) {
            uint32_t place = next[slot_of(with, out, i)]++;
            out->order[place] = (uint32_t)i;
            out->places[i] = place;
        }
    }
    return STRATA_OK;
}

static strata_status prepare(search *with, st_arena *scratch, strata_error *err) {
    for (with->slots = 256; with->slots < with->count * 2; with->slots *= 2) {
    }
    ST_TRY(st_arena_alloc(&with->all, scratch, with->count, sizeof *with->all, err));
    for (size_t i = 0; i < with->count; i++) {
        with->all[i] = (bits){{with->looks[i].bits[0], with->looks[i].bits[1]}};
    }
    deal_bits(with);
    for (size_t t = 0; t < GROUPS; t++) {
        ST_TRY(build_table(&with->tables[t], with, scratch, err));
    }
    return STRATA_OK;
}

/* Pairs that an earlier group of bits has already brought together. */
static bool was_met(const search *in, size_t before, bits differ) {
    for (size_t t = 0; t < before; t++) {
        const bits *mask = &in->tables[t].mask;
        if (((differ.half[0] & mask->half[0]) | (differ.half[1] & mask->half[1])) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_near(const search *in, size_t before, size_t a, size_t b) {
    bits differ = {{in->all[a].half[0] ^ in->all[b].half[0], in->all[a].half[1] ^ in->all[b].half[1]}};
    int first_half = count_bits(differ.half[0]);
    return first_half <= MOST_BITS && first_half + count_bits(differ.half[1]) <= MOST_BITS &&
           !was_met(in, before, differ) && st_look_correlation(&in->looks[a], &in->looks[b]) >= LEAST_CORRELATION;
}

/* What one picture looks like of those after it: so many that the list is full are looked for again. */
enum { BLOCK = 1024, MOST_FOUND = 63 };

typedef struct found {
    uint32_t count; /* MOST_FOUND + 1: more than the list holds */
    uint32_t items[MOST_FOUND];
} found;

typedef struct grouping {
    const search *in;
    uint32_t *leaders;
    size_t first; /* of the block */
    found *found; /* [BLOCK] */
} grouping;

static bool is_free(const grouping *of, size_t index) {
    return of->leaders[index] == index && !is_skipped(of->in, index);
}

static void look_for_alike(void *arg, int64_t item, int thread) {
    const grouping *of = arg;
    size_t leader = of->first + (size_t)item;
    found *out = &of->found[item];
    (void)thread;
    out->count = 0;
    for (size_t t = 0; t < GROUPS && is_free(of, leader); t++) {
        const table *in = &of->in->tables[t];
        uint32_t end = in->begins[slot_of(of->in, in, leader) + 1];
        for (uint32_t k = in->places[leader] + 1; k < end && out->count <= MOST_FOUND; k++) {
            uint32_t i = in->order[k];
            if (of->leaders[i] == i && is_near(of->in, t, leader, i)) {
                if (out->count < MOST_FOUND) {
                    out->items[out->count] = i;
                }
                out->count++;
            }
        }
    }
}

static void take_all_alike(const grouping *of, size_t leader) {
    for (size_t t = 0; t < GROUPS; t++) {
        const table *in = &of->in->tables[t];
        uint32_t end = in->begins[slot_of(of->in, in, leader) + 1];
        for (uint32_t k = in->places[leader] + 1; k < end; k++) {
            uint32_t i = in->order[k];
            if (of->leaders[i] == i && is_near(of->in, t, leader, i)) {
                of->leaders[i] = (uint32_t)leader;
            }
        }
    }
}

/* Every picture that no earlier one took takes those after it that look like it: no chains of resemblance, the first of
 * a group looks like all others in it. All threads look for a block of pictures, then they take in their order. */
static void group_block(grouping *of, size_t count, st_pool *pool) {
    st_pool_for(pool, (int64_t)count, look_for_alike, of);
    for (size_t b = 0; b < count; b++) {
        const found *is = &of->found[b];
        size_t leader = of->first + b;
        if (!is_free(of, leader)) {
            continue;
        }
        if (is->count > MOST_FOUND) {
            take_all_alike(of, leader);
        }
        for (size_t k = 0; k < is->count && is->count <= MOST_FOUND; k++) {
            if (of->leaders[is->items[k]] == is->items[k]) {
                of->leaders[is->items[k]] = (uint32_t)leader;
            }
        }
    }
}

static strata_status group_all(uint32_t *leaders, search *with, st_arena *scratch, int threads, strata_error *err) {
    grouping of = {.in = with, .leaders = leaders};
    st_pool *pool = NULL;
    ST_TRY(prepare(with, scratch, err));
    ST_TRY(st_arena_alloc(&of.found, scratch, BLOCK, sizeof *of.found, err));
    ST_TRY(st_pool_create(&pool, threads, err));
    for (; of.first < with->count; of.first += BLOCK) {
        group_block(&of, with->count - of.first < BLOCK ? with->count - of.first : BLOCK, pool);
    }
    st_pool_free(pool);
    return STRATA_OK;
}

strata_status st_look_group(uint32_t *leaders, const st_look *looks, const uint8_t *skipped, size_t count, int threads,
                            strata_error *err) {
    search with = {.looks = looks, .skipped = skipped, .count = count};
    st_arena *scratch = NULL;
    for (size_t i = 0; i < count; i++) {
        leaders[i] = (uint32_t)i;
    }
    ST_TRY(st_arena_create(&scratch, err));
    strata_status status = group_all(leaders, &with, scratch, threads, err);
    st_arena_free(scratch);
    return status;
}
