/* The entries of ST_KERNEL_LIST_BRICK on random shapes, and the fused multiply-add of portable C against libm's. */
#include "sweep.h"

#include <math.h>

#include "kernels/simd_portable.h"

enum { CASES = 400, GUARD = 16, FMA_CASES = 6000000 };

static uint64_t draws;

static int64_t draw(int64_t least, int64_t most) {
    return least + (int64_t)(st_rng_bits(1, st_rng_stream(ST_STREAM_TEST, 1), draws++) % (uint64_t)(most - least + 1));
}

/* Both signs of zero, subnormals, tiny and large ones among ordinary numbers. */
static st_real draw_number(void) {
    static const double sizes[] = {0.0, -0.0, 1e-40, 1e-20, 1e4};
    const int64_t kind = draw(0, 29);
    return (st_real)((kind < 5 ? sizes[kind] : 1.0) *
                     (2 * st_rng_uniform(2, st_rng_stream(ST_STREAM_TEST, 2), draws++) - 1));
}

/* A tensor with guards on both sides, filled. */
typedef struct tensor {
    st_real *data;
    size_t count;
} tensor;

static tensor make(int64_t count) {
    tensor t = {.count = (size_t)count};
    st_real *memory = malloc((t.count + 2 * GUARD) * sizeof *memory);
    assert_non_null(memory);
    for (size_t i = 0; i < t.count + 2 * GUARD; i++) {
        memory[i] = draw_number();
    }
    t.data = memory + GUARD;
    return t;
}

static tensor copy(const tensor *from) {
    tensor t = {.count = from->count};
    const size_t bytes = (t.count + 2 * GUARD) * sizeof(st_real);
    st_real *memory = malloc(bytes);
    assert_non_null(memory);
    memcpy(memory, from->data - GUARD, bytes);
    t.data = memory + GUARD;
    return t;
}

static void drop(tensor *t) {
    free(t->data - GUARD);
}

static void expect_same(const tensor *a, const tensor *b) {
    assert_memory_equal(a->data - GUARD, b->data - GUARD, (a->count + 2 * GUARD) * sizeof(st_real));
}

/* ---- the fused multiply-add of portable C, whose judge is libm's ---- */

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint32_t draw_float_bits(uint64_t random, int64_t least_exponent, int64_t most_exponent) {
    const uint64_t exponent =
        (uint64_t)(least_exponent + 127) + (random >> 40) % (uint64_t)(most_exponent - least_exponent + 1);
    return (uint32_t)((random & 0x807fffffu) | exponent << 23);
}

/* Three numbers that are hard to add: products of few bits that end in a tie, addends just beside it, results under the
 * normal numbers, cancellation, overflow. */
static void draw_hard(float out[3], uint64_t kind) {
    const uint64_t x = st_rng_bits(3, 3, draws++), y = st_rng_bits(3, 3, draws++), z = st_rng_bits(3, 3, draws++);
    switch (kind % 6) {
    case 0: /* all bits */
        out[0] = float_of((uint32_t)x), out[1] = float_of((uint32_t)y), out[2] = float_of((uint32_t)z);
        break;
    case 1: /* alike in size */
        out[0] = float_of(draw_float_bits(x, -10, 10)), out[1] = float_of(draw_float_bits(y, -10, 10));
        out[2] = float_of(draw_float_bits(z, -30, 30));
        break;
    case 2: /* 12 bits x 13 bits: a tie, moved by something tiny */
        out[0] = (float)((x & 0xfff) | 0x801), out[1] = (float)((y & 0x1fff) | 0x1001);
        out[2] = float_of(draw_float_bits(z, -140 + 14, -20));
        break;
    case 3: /* results under 2^-126 */
        out[0] = float_of(draw_float_bits(x, -80, -60)), out[1] = float_of(draw_float_bits(y, -80, -60));
        out[2] = float_of((uint32_t)(z & 0x80ffffffu));
        break;
    case 4: /* c is nearly -a b */
        out[0] = float_of(draw_float_bits(x, -4, 4)), out[1] = float_of(draw_float_bits(y, -4, 4));
        out[2] = -(out[0] * out[1]);
        break;
    default: /* a sum whose last bit hangs on the product's tail */
        out[0] = float_of((uint32_t)(x & 0x007ff000u) | 0x3f800000u),
        out[1] = float_of((uint32_t)(y & 0x007fff00u) | 0x33800000u);
        out[2] = float_of((uint32_t)(z & 0x807fffffu) | 0x3f800000u);
        break;
    }
}

static void check_fma(uint64_t count) {
    for (uint64_t i = 0; sizeof(st_real) == 4 && i < count; i++) {
        float x[3];
        draw_hard(x, i);
        const float found = (float)st_real_fma((st_real)x[0], (st_real)x[1], (st_real)x[2]);
        const float expected = fmaf(x[0], x[1], x[2]);
        if (bits_of(found) != bits_of(expected) && !(isnan(found) && isnan(expected))) {
            fail_msg("fma(%a, %a, %a) is %a, not %a", (double)x[0], (double)x[1], (double)x[2], (double)found,
                     (double)expected);
        }
    }
}

/* ---- brgemm ---- */

enum { RUNS = 4 };

typedef struct product {
    st_brgemm problem;
    st_gemm_run runs[RUNS];
    st_tile tile; /* up to 14 rows: cut for sets with fewer */
    tensor a, b, c, residual, scale, shift;
} product;

static void draw_product(product *it) {
    const int64_t lda = draw(1, 40), ldc = draw(33, 50);
    int64_t sum = 0, reach = 0;
    *it = (product){.tile.rows = (int)draw(1, ST_TILE_ROWS)};
    it->problem.run_count = (int)draw(1, RUNS);
    for (int i = 0; i < it->problem.run_count; i++) {
        it->runs[i] = (st_gemm_run){draw(0, 60), draw(1, 40)};
        sum += it->runs[i].k;
        reach = it->runs[i].a + it->runs[i].k > reach ? it->runs[i].a + it->runs[i].k : reach;
    }
    const int64_t second = draw(0, 100), second_c = draw(7, 20) * ldc;
    for (int i = 0; i < it->tile.rows; i++) { /* two pieces of seven */
        it->tile.a[i] = (i < 7 ? 0 : second) + i % 7 * lda;
        it->tile.c[i] = (i < 7 ? 0 : second_c) + i % 7 * ldc;
        it->tile.residual[i] = i * 37;
    }
    it->a = make(6 * lda + second + reach);
    it->b = make(sum * ST_BLOCK_K);
    it->c = make(second_c + 7 * ldc);
    it->residual = make(ST_TILE_ROWS * 37);
    it->scale = make(ST_BLOCK_K);
    it->shift = make(ST_BLOCK_K);
    it->problem.lda = lda;
    it->problem.n = (int)draw(1, ST_BLOCK_K);
    it->problem.is_begun = draw(0, 1) == 0;
    it->problem.is_open = draw(0, 2) == 0;
    it->problem.activation = (st_activation)draw(0, ST_ACTIVATION_COUNT - 1);
    if (draw(0, 1) == 0) {
        it->problem.scale = it->scale.data;
        it->problem.shift = it->shift.data;
    }
    it->problem.residual = draw(0, 1) == 0 ? it->residual.data : NULL;
    it->problem.a = it->a.data;
    it->problem.b = it->b.data;
}

/* As many rows at a time as the set takes, at piece boundaries. */
static void run_product(const st_kernels *kernels, product *it, st_real *c) {
    it->problem.runs = it->runs;
    it->problem.c = c;
    const int step = kernels->tile_piece == 7 ? 14 : kernels->tile_rows;
    for (int first = 0; first < it->tile.rows; first += step) {
        st_tile tile = {.rows = it->tile.rows - first < step ? it->tile.rows - first : step};
        for (int i = 0; i < tile.rows; i++) {
            tile.a[i] = it->tile.a[first + i];
            tile.c[i] = it->tile.c[first + i];
            tile.residual[i] = it->tile.residual[first + i];
        }
        kernels->brgemm(&it->problem, &tile);
    }
}

/* The definition, in the order of the sum; ends that are arithmetic alone. */
static void expect_defined(const product *it, const tensor *before, const tensor *after) {
    for (int i = 0; i < it->tile.rows; i++) {
        for (int j = 0; j < it->problem.n; j++) {
            st_real sum = it->problem.is_begun ? before->data[it->tile.c[i] + j] : 0;
            const st_real *b = it->b.data + j;
            for (int run = 0; run < it->problem.run_count; run++) {
                for (int64_t k = 0; k < it->runs[run].k; k++, b += ST_BLOCK_K) {
                    sum = st_real_fma(it->a.data[it->tile.a[i] + it->runs[run].a + k], *b, sum);
                }
            }
            if (!it->problem.is_open) {
                sum = it->problem.scale == NULL ? sum : st_real_fma(sum, it->scale.data[j], it->shift.data[j]);
                sum = it->problem.residual == NULL ? sum : sum + it->residual.data[it->tile.residual[i] + j];
                sum = it->problem.activation == ST_ACTIVATION_RELU && !(sum > 0) ? 0 : sum;
                sum = fabs((double)sum) < 0x1p-100 ? 0 : sum;
            }
            assert_true(sum == after->data[it->tile.c[i] + j]);
        }
    }
}

void sweep_brgemm(const st_kernels *reference, const st_kernels *kernels) {
    draws = 0;
    check_fma(kernels == reference ? FMA_CASES : 0);
    draws = 0;
    for (int i = 0; i < CASES; i++) {
        product it;
        draw_product(&it);
        tensor found = copy(&it.c), expected = copy(&it.c);
        run_product(kernels, &it, found.data);
        run_product(reference, &it, expected.data);
        expect_same(&found, &expected);
        if (it.problem.is_open || it.problem.activation <= ST_ACTIVATION_RELU) {
            expect_defined(&it, &it.c, &found);
        }
        tensor *all[] = {&it.a, &it.b, &it.c, &it.residual, &it.scale, &it.shift, &found, &expected};
        for (size_t j = 0; j < ST_COUNT_OF(all); j++) {
            drop(all[j]);
        }
    }
}

/* ---- brgemm_weights ---- */

void sweep_brgemm_weights(const st_kernels *reference, const st_kernels *kernels) {
    draws = 1000000;
    for (int i = 0; i < CASES; i++) {
        int64_t offsets[60];
        for (int j = 0; j < 60; j++) {
            offsets[j] = draw(0, 500);
        }
        st_brgemm_weights problem = {.offsets = offsets,
                                     .pixels = draw(1, 60),
                                     .dy_pixel = draw(ST_BLOCK_K, 40),
                                     .m = draw(1, 80),
                                     .n = (int)draw(1, ST_BLOCK_K),
                                     .is_begun = draw(0, 1) == 0,
                                     .add_count = (int)draw(0, 3),
                                     .is_last = draw(0, 1) == 0};
        tensor x = make(500 + problem.m), dw = make(problem.m * ST_BLOCK_K);
        tensor dy = make(problem.pixels * problem.dy_pixel), add[3];
        for (size_t j = 0; j < dy.count; j++) {
            const int64_t output = (int64_t)j % problem.dy_pixel;
            dy.data[j] = output < problem.n || output >= ST_BLOCK_K ? dy.data[j] : 0;
        }
        for (size_t j = 0; j < dw.count; j++) {
            dw.data[j] = (int)(j % ST_BLOCK_K) < problem.n ? dw.data[j] : 0;
        }
        for (int j = 0; j < 3; j++) {
            add[j] = copy(&dw);
            problem.add[j] = add[j].data;
        }
        tensor found = copy(&dw), expected = copy(&dw);
        problem.x = x.data;
        problem.dy = dy.data;
        problem.dw = found.data;
        kernels->brgemm_weights(&problem);
        problem.dw = expected.data;
        reference->brgemm_weights(&problem);
        expect_same(&found, &expected);
        for (size_t j = 0; j < found.count; j++) {
            assert_true((int)(j % ST_BLOCK_K) < problem.n || found.data[j] == 0);
        }
        tensor *all[] = {&x, &dw, &dy, &add[0], &add[1], &add[2], &found, &expected};
        for (size_t j = 0; j < ST_COUNT_OF(all); j++) {
            drop(all[j]);
        }
    }
}

/* ---- pack.inc ---- */

void sweep_copy(const st_kernels *reference, const st_kernels *kernels) {
    draws = 2500000;
    for (int i = 0; i < CASES; i++) {
        const int64_t rows = draw(1, 9), columns = draw(1, 150), stride = columns + draw(0, 5);
        const int64_t to_stride = columns + draw(0, 5);
        tensor from = make(rows * stride), found = make(rows * to_stride), expected = copy(&found);
        kernels->copy(found.data, to_stride, from.data, stride, rows, columns);
        reference->copy(expected.data, to_stride, from.data, stride, rows, columns);
        expect_same(&found, &expected);
        for (int64_t j = 0; j < rows * columns; j++) {
            const st_real *to = found.data + j / columns * to_stride + j % columns;
            assert_memory_equal(to, from.data + j / columns * stride + j % columns, sizeof *to);
        }
        drop(&from);
        drop(&found);
        drop(&expected);
    }
}

/* Streams are allowed where whole vectors are aligned; another thread's view is sweep_conv's business. */
void sweep_fence(const st_kernels *reference, const st_kernels *kernels) {
    (void)reference;
    _Alignas(64) st_real a[4] = {1, 2, 3, 4}, b[4 * ST_BLOCK_K], c[ST_BLOCK_K];
    for (int i = 0; i < 4 * ST_BLOCK_K; i++) {
        b[i] = (st_real)i;
    }
    const st_gemm_run run = {0, 4};
    const st_brgemm problem = {
        .a = a, .b = b, .c = c, .runs = &run, .run_count = 1, .lda = 1, .n = ST_BLOCK_K, .streams = true};
    kernels->brgemm(&problem, &(st_tile){.rows = 1});
    kernels->fence();
    for (int i = 0; i < ST_BLOCK_K; i++) {
        assert_true(c[i] == (st_real)(i + 2 * (32 + i) + 3 * (64 + i) + 4 * (96 + i)));
    }
}

void sweep_transpose(const st_kernels *reference, const st_kernels *kernels) {
    draws = 2000000;
    for (int i = 0; i < CASES; i++) {
        const int64_t rows = draw(1, 50), columns = draw(1, 50), stride = columns + draw(0, 5),
                      to_stride = rows + draw(0, 5);
        tensor from = make(rows * stride), found = make(columns * to_stride), expected = copy(&found);
        kernels->transpose(found.data, to_stride, from.data, stride, rows, columns);
        reference->transpose(expected.data, to_stride, from.data, stride, rows, columns);
        expect_same(&found, &expected);
        for (int64_t j = 0; j < rows * columns; j++) {
            assert_true(found.data[j % columns * to_stride + j / columns] ==
                        from.data[j / columns * stride + j % columns]);
        }
        drop(&from);
        drop(&found);
        drop(&expected);
    }
}

void sweep_sum_pixels(const st_kernels *reference, const st_kernels *kernels) {
    draws = 3000000;
    for (int i = 0; i < CASES; i++) {
        const int64_t c = draw(1, 150), pixels = draw(1, 30), stride = c + draw(0, 5);
        tensor rows = make(pixels * stride), found = make(c), expected = copy(&found);
        kernels->sum_pixels(found.data, rows.data, stride, pixels, c);
        reference->sum_pixels(expected.data, rows.data, stride, pixels, c);
        expect_same(&found, &expected);
        drop(&rows);
        drop(&found);
        drop(&expected);
    }
}

void sweep_sum_tree(const st_kernels *reference, const st_kernels *kernels) {
    draws = 4000000;
    for (int i = 0; i < CASES; i++) {
        const int groups = 1 << draw(0, 3);
        const int64_t count = draw(1, 100), stride = count + draw(0, 5);
        tensor parts = make(groups * stride), found = make(count), expected = copy(&found);
        kernels->sum_tree(found.data, parts.data, stride, groups, count);
        reference->sum_tree(expected.data, parts.data, stride, groups, count);
        expect_same(&found, &expected);
        for (int64_t j = 0; j < count && groups == 4; j++) {
            const st_real *p = parts.data + j;
            const st_real sum = (p[0] + p[stride]) + (p[2 * stride] + p[3 * stride]);
            assert_true(found.data[j] == (fabs((double)sum) < 0x1p-100 ? 0 : sum));
        }
        drop(&parts);
        drop(&found);
        drop(&expected);
    }
}

void sweep_peak(const st_kernels *reference, const st_kernels *kernels) {
    (void)reference;
    assert_true(kernels->peak(10) > 0);
    assert_true(kernels->peak(20) == 2 * kernels->peak(10));
}
