/* layers: what the sweeps do not show. Known numbers (torch's for the same input), geometry, descriptors, and what a
 * person reads when shapes do not fit. */
#include "layer_case.h"

/* ---- descriptors ---- */

static void expect_params_well_formed(const st_op *op) {
    bool keys_only = false;
    for (int i = 0; i < ST_OP_PARAMS && op->params[i].name != NULL; i++) {
        const st_param_spec *param = &op->params[i];
        assert_non_null(param->meaning);
        assert_true(param->offset < op->params_size);
        assert_false(param->is_positional && keys_only); /* positional ones stand first */
        keys_only = !param->is_positional;
        assert_true(param->kind != ST_PARAM_CHOICE || param->words != NULL);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(op->params[j].name, param->name);
        }
    }
}

static void test_table_holds_complete_descriptors(void **state) {
    (void)state;
    for (size_t i = 0; st_layer_table[i] != NULL; i++) {
        const st_op *op = st_layer_table[i];
        assert_ptr_equal(st_graph_find_op(op->name), op);
        assert_true(strlen(op->summary) > 5 && strlen(op->source) > 5);
        assert_true(strncmp(op->examples, "input ", 6) == 0);
        assert_int_equal(op->examples[strlen(op->examples) - 1], '\n');
        assert_non_null(op->shape);
        assert_non_null(op->impl[ST_LAYOUT_NHWC]);
        assert_true(op->reference != NULL || (op->traits & ST_OP_IS_INPUT) != 0);
        assert_true((op->fold != NULL) == ((op->traits & ST_OP_IS_AFFINE) != 0));
        expect_params_well_formed(op);
    }
}

/* ---- windows ---- */

typedef struct window_row {
    int64_t size, kernel, stride, pad, dilation;
    bool is_ceil;
    int64_t before, after, count; /* expected */
} window_row;

static void test_window_counts_as_torch_and_onnx_do(void **state) {
    (void)state;
    static const window_row rows[] = {
        {28, 5, 1, 0, 1, false, 0, 0, 24}, {224, 7, 2, 3, 1, false, 3, 3, 112}, {112, 3, 2, 1, 1, false, 1, 1, 56},
        {112, 3, 2, 0, 1, true, 0, 0, 56}, {13, 3, 2, 0, 1, false, 0, 0, 6},    {7, 3, 1, 2, 2, false, 2, 2, 7},
        {7, 3, 2, -1, 1, false, 1, 1, 4},  {8, 3, 2, -1, 1, false, 0, 1, 4},    {5, 2, 1, -1, 1, false, 0, 1, 5},
        {4, 2, 3, 1, 1, true, 1, 1, 2},    {10, 2, 3, 0, 1, false, 0, 0, 3},    {3, 5, 1, 0, 1, false, 0, 0, 0},
        {1, 1, 1, 0, 1, true, 0, 0, 1},    {6, 1, 4, -1, 1, false, 0, 0, 2},
    };
    for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
        const window_row *row = &rows[i];
        int64_t kernel[2] = {row->kernel, row->kernel}, stride[2] = {row->stride, row->stride};
        int64_t pad[2] = {row->pad, row->pad}, dilation[2] = {row->dilation, row->dilation};
        st_window_params params = {kernel, stride, pad, dilation, row->is_ceil};
        st_window window = st_window_of(&params, (st_dims){.h = row->size, .w = row->size, .c = 1});
        assert_int_equal(window.p, row->count);
        assert_int_equal(window.q, row->count);
        assert_int_equal(window.pad_top, row->before);
        assert_int_equal(window.pad_right, row->after);
    }
}

/* ---- what does not fit ---- */

typedef struct refusal {
    const char *chain, *message, *hint; /* hint NULL: none is asked for */
} refusal;

static void test_shapes_that_do_not_fit_name_the_sizes(void **state) {
    (void)state;
    static const refusal rows[] = {
        {"input 3x3x1, conv 5x5 6", "a 5x5 window does not fit into 3x3", "pad=same"},
        {"input 7x7x1, conv 5x5 6 dilation=2", "a 5x5 window with dilation 2x2 covers 9x9 and does not fit into 7x7",
         "dilation"},
        {"input 2x9x1, conv 5x3 6 pad=1", "a 5x3 window does not fit into 2x9 padded by 1x1", NULL},
        {"input 3x3x1, fc 5, conv 1x1 6", "a vector of 5 values", "before the first fc"},
        {"input 3x3x1, fc 5, avgpool global", "a vector of 5 values", NULL},
        {"input 5x5x6, conv 3x3 8 groups=4", "6 input channels do not divide into 4 groups", "groups=6"},
        {"input 5x5x8, conv 3x3 6 groups=4", "6 filters do not divide into 4 groups", NULL},
        {"input 5x5x8, maxpool 2x2 pad=2", "pad must be smaller than the 2x2 window, found 2x2", NULL},
        {"input 5x5x8, avgpool global stride=2", "stride has no meaning for global pooling", NULL},
        {"input 5x5x8, avgpool out=6x2", "6x2 outputs are more than the 5x5", NULL},
        {"input 5x5x8, avgpool 2x2 out=2x2", "a window and out= exclude each other", NULL},
        {"input 5x5x3 mean=[1 2]", "mean has 2 numbers for 3 channels", NULL},
        {"input 5x5x3 std=0", "std must be above 0", NULL},
        {"input 5x5x3, dropout 1", "rate must be below 1", "share that is dropped"},
        {"input 5x5x3, bn eps=0", "eps must be above 0", NULL},
        {"input 8x8x3, add { | conv 1x1 8 | identity }", "branches differ in shape: 8x8x8 and 8x8x3", "8 filters"},
        {"input 8x8x3, add { | conv 3x3 3 | identity }", "branches differ in shape: 6x6x3 and 8x8x3", NULL},
        {"input 8x8x3, concat { | conv 3x3 3 | identity }", "branches differ in rows and columns: 6x6x3 and 8x8x3",
         NULL},
        {"input 8x8x3, conv 1x1 10, output y loss=cross_entropy", "found 8x8x10", "avgpool global"},
        {"input 1073741824x1x1, flatten, fc 16777216", "too large", NULL},
        {"input 8x8x4, subsample 3", "4 channels come in, 3 cannot hold them", "conv 1x1"},
        {"input 8x8x4, fc 5, subsample 5", "a vector of 5 values", NULL},
        {"input 8x8x4, lrn 4", "size must be odd, found 4", "3 or 5"},
        {"input 8x8x4, lrn 5 k=0", "k must be above 0", NULL},
        {"input 8x8x4, conv_table 3x3 \"01 14\"", "'14', of filter 1, asks for channel 4, but 4 come in", NULL},
        {"input 8x8x4, conv_table 3x3 \"01 2A\"", "'A' in '2A', of filter 1, names no channel", "a for 10"},
        {"input 8x8x4, conv_table 3x3 \"0 303\"", "'303', of filter 1, names channel 3 twice", NULL},
        {"input 8x8x4, conv_table 3x3 \"  \"", "needs one word for each of 1 to 65536 filters", "01 12 02"},
        {"input 8x8x4, conv_table 9x3 \"0\"", "a 9x3 window does not fit into 8x8", NULL},
        {"input 8x8x37, conv_table 3x3 \"0\"", "a table can name 36 channels, 37 come in", NULL},
        {"input 8x8x4, conv_table 3x3 12", "connections must be text in quotes, found 12", NULL},
    };
    for (size_t i = 0; i < ST_COUNT_OF(rows); i++) {
        st_arena *arena;
        strata_error err = {0};
        char text[300];
        snprintf(text, sizeof text, "network n {\n%s\n%s}\n", rows[i].chain,
                 strstr(rows[i].chain, "output") == NULL ? "output y\n" : "");
        const st_tree *tree;
        const st_graph *graph;
        assert_int_equal(st_arena_create(&arena, &err), STRATA_OK);
        strata_status status = st_lang_parse(&tree, arena, "n.net", text, strlen(text), &err);
        status = status != STRATA_OK ? status : st_graph_build(&graph, arena, tree, NULL, NULL, &err);
        if (status == STRATA_OK || strstr(err.message, rows[i].message) == NULL || err.line != 2 || err.column < 1 ||
            (rows[i].hint != NULL && strstr(err.hint, rows[i].hint) == NULL)) {
            fail_msg("'%s': %d:%d: '%s' (hint '%s'), expected '%s'", rows[i].chain, err.line, err.column, err.message,
                     err.hint, rows[i].message);
        }
        st_arena_free(arena);
    }
}

/* ---- known numbers ---- */

static st_pool *pool;

static void make_case(layer_case *it, const char *name, const char *line) {
    const st_op *op = st_graph_find_op(name);
    assert_non_null(op);
    layer_case_make(it, op, line, strlen(line));
}

static variant plain_variant(int64_t n, st_layout layout) {
    const st_kernels *kernels;
    assert_int_equal(st_kernels_select(&kernels, NULL, NULL), STRATA_OK);
    return (variant){.kernels = kernels, .layout = layout, .n = n, .batch = n, .threads = 1, .mode = ST_MODE_TRAIN};
}

static void expect_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("found %.9g, expected %.9g", found, expected);
    }
}

/* torch.nn.functional.cross_entropy(torch.tensor([[1., 2, 3]]), torch.tensor([2]), label_smoothing=s) */
static void test_cross_entropy_has_known_values(void **state) {
    (void)state;
    layer_case it;
    make_case(&it, "cross_entropy", "input 1x1x3, output y loss=cross_entropy");
    for (int layout = 0; layout < ST_LAYOUT_COUNT; layout++) {
        variant how = plain_variant(2, (st_layout)layout);
        numbers these = numbers_make(&it, 2);
        static const double logits[6] = {1, 2, 3, 5, 5, 5};
        for (int i = 0; i < 6; i++) {
            these.in[0][i] = (st_real)logits[i];
        }
        these.labels[0] = 2;
        these.labels[1] = 1;
        execute(&it, &how, pool, &these); /* smoothing 0.1, weight 0.3 */
        expect_near((double)these.losses[0], 0.5076059644443804, 1e-6);
        expect_near((double)these.losses[1], 1.0986122886681098, 1e-6);
        assert_int_equal(these.ranks[0], 0);
        assert_int_equal(these.ranks[1], 1); /* the lower index of equals comes first */
        expect_near((double)these.din[0][2], (0.6652409557748219 - 0.9 - 0.1 / 3) * 0.3 / 2, 1e-6);
        expect_near((double)these.din[0][0], (0.0900305731703805 - 0.1 / 3) * 0.3 / 2, 1e-6);
        numbers_free(&these);
    }
    layer_case_free(&it);
}

/* torch.nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True) on the numbers 1..16 in 4x4 */
static void test_avgpool_divides_as_torch_does(void **state) {
    (void)state;
    layer_case it;
    make_case(&it, "avgpool", "input 4x4x1, avgpool 3x3 stride=2 pad=1 ceil=yes");
    static const double expected[9] = {14.0 / 9, 30.0 / 9, 12.0 / 6, 57.0 / 9, 99.0 / 9,
                                       36.0 / 6, 27.0 / 6, 45.0 / 6, 16.0 / 4};
    variant how = plain_variant(1, ST_LAYOUT_NHWC);
    numbers these = numbers_make(&it, 1);
    for (int i = 0; i < 16; i++) {
        these.in[0][i] = (st_real)(i + 1);
    }
    assert_int_equal(dims_count(it.out), 9);
    execute(&it, &how, pool, &these);
    for (int i = 0; i < 9; i++) {
        expect_near((double)these.out[i], expected[i], 1e-5);
    }
    numbers_free(&these);
    layer_case_free(&it);
}

/* Values 1, 3 in channel 0, 5, 5 in channel 1; momentum 0.25, running statistics 0 and 1 before. */
static void test_bn_updates_running_statistics_as_torch_does(void **state) {
    (void)state;
    layer_case it;
    make_case(&it, "bn", "input 1x1x2, bn momentum=0.25");
    for (int layout = 0; layout < ST_LAYOUT_COUNT; layout++) {
        variant how = plain_variant(2, (st_layout)layout);
        numbers these = numbers_make(&it, 2);
        static const double in[4] = {1, 5, 3, 5};
        for (int i = 0; i < 4; i++) {
            these.in[0][i] = (st_real)in[i];
            these.state[i][0] = these.state[i][1] = (st_real)(i == 0 || i == 3);
        }
        execute(&it, &how, pool, &these);
        expect_near((double)these.dstate[2][0], 0.25 * 2, 1e-6);
        expect_near((double)these.dstate[2][1], 0.25 * 5, 1e-6);
        expect_near((double)these.dstate[3][0], 0.75 + 0.25 * 2, 1e-6); /* unbiased: 2 / (2 - 1) */
        expect_near((double)these.dstate[3][1], 0.75, 1e-6);
        expect_near((double)these.out[0], -1 / sqrt(1 + 1e-5), 1e-6);
        expect_near((double)these.out[1], 0, 1e-4); /* 5 * 316 - 1581, rounded */
        numbers_free(&these);
    }
    layer_case_free(&it);
}

static void expect_fold_equals_inference(const char *name, const char *line) {
    layer_case it;
    make_case(&it, name, line);
    variant how = plain_variant(2, ST_LAYOUT_NHWC);
    how.mode = ST_MODE_INFER;
    numbers these = numbers_make(&it, 2);
    execute(&it, &how, pool, &these);
    bool needed[CASE_INPUTS] = {false};
    st_site site = case_site(&it, &how, needed);
    for (int i = 0; i < ST_OP_STATES; i++) {
        if (it.state[i].rank == 0) {
            free(these.state[i]);
            these.state[i] = NULL; /* as in a call */
        }
    }
    st_real scale[5], shift[5], bias[5] = {1, 2, 3, 4, 5};
    it.op->fold(&site, these.state, NULL, scale, shift);
    for (int i = 0; i < 2 * 9 * 5; i++) {
        expect_near((double)these.in[0][i] * (double)scale[i % 5] + (double)shift[i % 5], (double)these.out[i], 1e-5);
    }
    st_real with_bias[5];
    it.op->fold(&site, these.state, bias, scale, with_bias);
    for (int i = 0; i < 5; i++) {
        expect_near((double)with_bias[i], (double)shift[i] + (double)bias[i] * (double)scale[i], 1e-5);
    }
    numbers_free(&these);
    layer_case_free(&it);
}

static void test_fold_equals_inference(void **state) {
    (void)state;
    expect_fold_equals_inference("bn", "input 3x3x5, bn eps=0.01");
    expect_fold_equals_inference("scale", "input 3x3x5, scale");
    expect_fold_equals_inference("scale", "input 3x3x5, scale bias=no");
}

/* ---- shortcuts, normalization across channels, tables ---- */

/* F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)) of torch, x = 100 row + 10 column + channel + 1; 7 channels: 1 before,
 * 2 after. */
static void test_subsample_takes_every_second_pixel_and_pads_channels(void **state) {
    (void)state;
    static const char *const lines[] = {"input 3x4x4, subsample channels=8 stride=2",
                                        "input 3x4x4, subsample 7 stride=2"};
    for (int odd = 0; odd < 2; odd++) {
        layer_case it;
        make_case(&it, "subsample", lines[odd]);
        variant how = plain_variant(1, ST_LAYOUT_NHWC);
        numbers these = numbers_make(&it, 1);
        for (int i = 0; i < 3 * 4 * 4; i++) {
            these.in[0][i] = (st_real)(100 * (i / 16) + 10 * (i / 4 % 4) + i % 4 + 1);
        }
        execute(&it, &how, pool, &these);
        int channels = odd ? 7 : 8, before = odd ? 1 : 2;
        assert_int_equal(dims_count(it.out), 2 * 2 * channels);
        for (int i = 0; i < 2 * 2 * channels; i++) {
            int pixel = i / channels, c = i % channels - before;
            double expected = c < 0 || c > 3 ? 0 : 200 * (pixel / 2) + 20 * (pixel % 2) + c + 1;
            expect_near((double)these.out[i], expected, 0);
        }
        numbers_free(&these);
        layer_case_free(&it);
    }
}

/* torch.nn.LocalResponseNorm(3, alpha=3, beta=0.75, k=1) of 1 2 3 4 5 6: alpha / size is 1. */
static void test_lrn_divides_alpha_by_size(void **state) {
    (void)state;
    static const double sums[6] = {1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16 + 25, 16 + 25 + 36, 25 + 36};
    layer_case it;
    make_case(&it, "lrn", "input 1x1x6, lrn 3 alpha=3");
    for (int layout = 0; layout < ST_LAYOUT_COUNT; layout++) {
        variant how = plain_variant(1, (st_layout)layout);
        numbers these = numbers_make(&it, 1);
        for (int i = 0; i < 6; i++) {
            these.in[0][i] = (st_real)(i + 1);
        }
        execute(&it, &how, pool, &these);
        for (int i = 0; i < 6; i++) {
            expect_near((double)these.out[i], (i + 1) * pow(1 + sums[i], -0.75), 1e-6);
        }
        numbers_free(&these);
    }
    layer_case_free(&it);
}

/* LeCun et al. 1998, table I: 60 kernels and 16 biases. */
static void test_conv_table_counts_only_what_is_connected(void **state) {
    (void)state;
    const char *line = st_graph_find_op("conv_table")->examples;
    layer_case it;
    layer_case_make(&it, st_graph_find_op("conv_table"), line, strcspn(line, "\n"));
    assert_int_equal(it.out.h, 10);
    assert_int_equal(it.out.c, 16);
    assert_int_equal(state_count(&it, ST_CONV_WEIGHT), 60 * 25);
    assert_int_equal(state_count(&it, ST_CONV_WEIGHT) + state_count(&it, ST_CONV_BIAS), 1516);
    layer_case_free(&it);
}

static void expect_phases_of_conv(const st_phase *phases, const st_phase *conv, int count) {
    for (int i = 0; i < count; i++) {
        assert_int_equal(phases[i].by_image, conv[i].by_image);
        assert_int_equal(phases[i].only_states, conv[i].only_states);
        assert_int_equal(phases[i].items == NULL, conv[i].items == NULL);
        assert_int_equal(phases[i].run == NULL, conv[i].run == NULL);
    }
}

/* conv_table runs conv's phases as its own. */
static void test_conv_table_has_the_phases_of_conv(void **state) {
    (void)state;
    const st_op *table = st_graph_find_op("conv_table"), *conv = st_graph_find_op("conv");
    for (int layout = 0; layout < ST_LAYOUT_COUNT; layout++) {
        const st_impl *impl = table->impl[layout], *of = conv->impl[layout];
        int backward = 0;
        while (of->backward[backward].run != NULL) {
            backward++;
        }
        expect_phases_of_conv(impl->forward, of->forward, ST_OP_PHASES);
        expect_phases_of_conv(impl->backward, of->backward, backward);
        assert_true(impl->backward[backward].only_states);
        assert_null(impl->backward[backward + 1].run);
        assert_true(of->fuses_epilogue && of->backward_reads == ST_READS_IN);
        assert_true(of->reads_strided && of->writes_strided && !of->forward_in_place);
    }
}

/* ---- dropout ---- */

static void test_dropout_keeps_its_share_and_the_mean(void **state) {
    (void)state;
    layer_case it;
    make_case(&it, "dropout", "input 50x50x4, dropout 0.3");
    variant how = plain_variant(3, ST_LAYOUT_NHWC);
    numbers these = numbers_make(&it, 3);
    size_t count = dims_count(it.out), kept = 0, alike = 0;
    for (size_t i = 0; i < 3 * count; i++) {
        these.in[0][i] = 1;
        these.dout[i] = 2;
    }
    execute(&it, &how, pool, &these);
    for (size_t i = 0; i < 3 * count; i++) {
        bool stays = these.out[i] > 0;
        kept += stays;
        alike += stays == (these.out[i % count] > 0);
        expect_near((double)these.out[i], stays ? 1 / 0.7 : 0, 1e-6);
        expect_near((double)these.din[0][i], stays ? 2 / 0.7 : 0, 1e-6);
    }
    double share = (double)kept / (double)(3 * count);
    expect_near(share, 0.7, 4 * sqrt(0.21 / (double)(3 * count)));                 /* four standard deviations */
    expect_near((double)(alike - count) / (double)(2 * count), 0.49 + 0.09, 0.02); /* images do not share a mask */
    numbers_free(&these);
    layer_case_free(&it);
}

/* ---- the epilogue's gradient ---- */

static void test_epilogue_backward_writes_and_adds_the_residual(void **state) {
    (void)state;
    const st_kernels *kernels;
    assert_int_equal(st_kernels_select(&kernels, NULL, NULL), STRATA_OK);
    enum { C = 5, STRIDE = 7, PIXELS = 2 };
    for (int add = 0; add < 2; add++) {
        st_real y[PIXELS * STRIDE], dy[PIXELS * STRIDE], dr[PIXELS * C];
        for (int i = 0; i < PIXELS * STRIDE; i++) {
            y[i] = (st_real)(i % 3 - 1);
            dy[i] = (st_real)(i + 1);
        }
        for (int i = 0; i < PIXELS * C; i++) {
            dr[i] = 100;
        }
        st_view out = {.data = y, .dims = {1, PIXELS, C}, .pixel_stride = STRIDE}, dout = out, residual = out;
        dout.data = dy;
        residual.data = dr;
        residual.pixel_stride = C;
        st_site site = {.kernels = kernels};
        st_run run = {.n = 1};
        st_call call = {.site = &site, .run = &run, .out = out, .dout = dout};
        st_epilogue_backward(&call, ST_ACTIVATION_RELU, &residual, add == 1, 0);
        for (int pixel = 0; pixel < PIXELS; pixel++) {
            for (int c = 0; c < C; c++) {
                int i = pixel * STRIDE + c;
                double gradient = i % 3 == 2 ? i + 1 : 0;
                expect_near((double)dy[i], gradient, 0);
                expect_near((double)dr[pixel * C + c], gradient + (add == 1 ? 100 : 0), 0);
            }
            expect_near((double)dy[pixel * STRIDE + C], pixel * STRIDE + C + 1, 0); /* the gap */
        }
    }
}

static int make_pool(void **state) {
    (void)state;
    return st_pool_create(&pool, 1, NULL) == STRATA_OK ? 0 : -1;
}

static int free_pool(void **state) {
    (void)state;
    st_pool_free(pool);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_holds_complete_descriptors),
        cmocka_unit_test(test_window_counts_as_torch_and_onnx_do),
        cmocka_unit_test(test_shapes_that_do_not_fit_name_the_sizes),
        cmocka_unit_test(test_cross_entropy_has_known_values),
        cmocka_unit_test(test_avgpool_divides_as_torch_does),
        cmocka_unit_test(test_bn_updates_running_statistics_as_torch_does),
        cmocka_unit_test(test_fold_equals_inference),
        cmocka_unit_test(test_subsample_takes_every_second_pixel_and_pads_channels),
        cmocka_unit_test(test_lrn_divides_alpha_by_size),
        cmocka_unit_test(test_conv_table_counts_only_what_is_connected),
        cmocka_unit_test(test_conv_table_has_the_phases_of_conv),
        cmocka_unit_test(test_dropout_keeps_its_share_and_the_mean),
        cmocka_unit_test(test_epilogue_backward_writes_and_adds_the_residual),
    };
    return cmocka_run_group_tests_name("layers", tests, make_pool, free_pool);
}
