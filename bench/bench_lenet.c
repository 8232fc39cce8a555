/* The kernels of a training step of LeNet-5 at batch 64 in image lanes, stage by stage, one thread:
 *
 *   bench_lenet [rounds]
 *
 * For each set of kernels: kilocycles of the time stamp counter for 64 images (the best of the rounds), and the share
 * of the set's peak that the useful multiply-adds reach. Blocks of 16 images go through the convolutions one after the
 * other, as the executor has it, so that caches hold what they hold in training. Numbers are random; nothing is
 * learned. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/layers.h"

enum { IMAGES = 64, BLOCKS = IMAGES / ST_LANES, MOST_STAGES = 40 };

/* ---- stages ---- */

typedef struct stage {
    const char *name;
    double multiply_adds; /* of 64 images */
    uint64_t cycles, best;
} stage;

static stage stages[MOST_STAGES];
static int stage_count;

static uint64_t now(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return (uint64_t)(st_clock_s() * 1e9);
#endif
}

static stage *stage_of(const char *name) {
    for (int i = 0; i < stage_count; i++) {
        if (strcmp(stages[i].name, name) == 0) {
            return &stages[i];
        }
    }
    stages[stage_count] = (stage){.name = name, .best = UINT64_MAX};
    return &stages[stage_count++];
}

/* Adds what passed since *since to the stage. */
static void lap(const char *name, double multiply_adds, uint64_t *since) {
    stage *s = stage_of(name);
    s->multiply_adds = multiply_adds * IMAGES;
    s->cycles += now() - *since;
    *since = now();
}

/* ---- tensors ---- */

static uint64_t drawn;

static st_real *tensor(int64_t count, double size) {
    st_real *data = st_sys.allocate((size_t)count * sizeof(st_real));
    if (data == NULL) {
        fprintf(stderr, "bench_lenet: out of memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < count; i++) {
        data[i] = (st_real)(size * (2 * st_rng_uniform(1, st_rng_stream(ST_STREAM_TEST, 1), drawn++) - 1));
    }
    return data;
}

/* A value and its gradient, in blocks. */
typedef struct value {
    int64_t h, w, c, block; /* elements of 16 images */
    st_real *data, *gradient;
} value;

static value value_of(int64_t h, int64_t w, int64_t c) {
    int64_t block = h * w * c * ST_LANES;
    return (value){h, w, c, block, tensor(block * BLOCKS, 0.5), tensor(block * BLOCKS, 0.01)};
}

typedef struct weights {
    int64_t count, biases;
    st_real *weight, *bias, *dweight, *dbias, *momentum;
} weights;

static weights weights_of(int64_t count, int64_t biases) {
    return (weights){count,
                     biases,
                     tensor(count, 0.1),
                     tensor(biases, 0.1),
                     tensor(count, 0.01),
                     tensor(biases, 0.01),
                     tensor(count, 0.01)};
}

typedef struct lenet {
    const st_kernels *kernels;
    value x, c1, s2, c3, s4, c5, f6, f7;
    weights w1, w3, w5, w6, w7;
    st_real *parts, *turned, *scratch, *losses;
    int32_t labels[IMAGES], ranks[IMAGES];
    uint8_t *pixels;
} lenet;

static lenet lenet_of(void) {
    lenet net = {.x = value_of(32, 32, 1),
                 .c1 = value_of(28, 28, 6),
                 .s2 = value_of(14, 14, 6),
                 .c3 = value_of(10, 10, 16),
                 .s4 = value_of(5, 5, 16),
                 .c5 = value_of(1, 1, 120),
                 .f6 = value_of(1, 1, 84),
                 .f7 = value_of(1, 1, 10),
                 .w1 = weights_of(150, 6),
                 .w3 = weights_of(2400, 16),
                 .w5 = weights_of(400 * 128, 120),
                 .w6 = weights_of(120 * 96, 84),
                 .w7 = weights_of(84 * 16, 10),
                 .parts = tensor(BLOCKS * 4096, 0),
                 .turned = tensor(IMAGES * 128, 0),
                 .scratch = tensor(1 << 17, 0),
                 .losses = tensor(IMAGES, 0),
                 .pixels = (uint8_t *)tensor(IMAGES * 28 * 28, 0)};
    for (int i = 0; i < IMAGES; i++) {
        net.labels[i] = i % 10;
    }
    return net;
}

/* ---- the net ---- */

static st_lanes_conv conv_of(const value *in, const value *out) {
    return (st_lanes_conv){.c = in->c,
                           .k = out->c,
                           .groups = 1,
                           .r = 5,
                           .s = 5,
                           .stride_h = 1,
                           .stride_w = 1,
                           .dilation_h = 1,
                           .dilation_w = 1,
                           .h = in->h,
                           .w = in->w,
                           .p = out->h,
                           .q = out->w,
                           .x_pixel = in->c * ST_LANES,
                           .y_pixel = out->c * ST_LANES};
}

static st_lanes_fc fc_of(const value *in, const value *out) {
    return (st_lanes_fc){
        .inputs = in->h * in->w * in->c, .outputs = out->c, .width = (out->c + ST_LANES - 1) / ST_LANES * ST_LANES};
}

static st_pool pool_of(const value *in, const value *out) {
    return (st_pool){.in = {in->h, in->w, in->c * ST_LANES},
                     .out = {out->h, out->w, out->c * ST_LANES},
                     .in_stride = in->c * ST_LANES,
                     .out_stride = out->c * ST_LANES,
                     .din_stride = in->c * ST_LANES,
                     .dout_stride = out->c * ST_LANES,
                     .r = 2,
                     .s = 2,
                     .stride_h = 2,
                     .stride_w = 2};
}

static void activate_backward(const lenet *net, const value *of, int64_t block) {
    st_activate_backward work = {.rows = 1,
                                 .width = of->block,
                                 .out = of->data + block * of->block,
                                 .dout = of->gradient + block * of->block,
                                 .target = of->gradient + block * of->block,
                                 .activation = ST_ACTIVATION_TANH};
    net->kernels->activate_backward(&work);
}

static void forward(lenet *net, int64_t i, uint64_t *at) {
    const st_kernels *kernels = net->kernels;
    static const st_real scale = (st_real)0.004, shift = (st_real)-0.5;
    st_pixels pixels = {.in = net->pixels,
                        .n = IMAGES,
                        .from = {28, 28, 1},
                        .to = {32, 32, 1},
                        .top = 2,
                        .left = 2,
                        .layout = ST_LAYOUT_LANES,
                        .scale = &scale,
                        .shift = &shift,
                        .out = net->x.data};
    kernels->pixels(&pixels, i);
    lap("bytes to floats", 0, at);
    st_lanes_conv c1 = conv_of(&net->x, &net->c1), c3 = conv_of(&net->s2, &net->c3);
    st_epilogue end = {.shift = net->w1.bias, .activation = ST_ACTIVATION_TANH};
    kernels->lanes_conv(&c1, net->x.data + i * net->x.block, net->w1.weight, &end, NULL,
                        net->c1.data + i * net->c1.block, net->scratch);
    lap("c1 + tanh", 117600, at);
    st_pool s2 = pool_of(&net->c1, &net->s2), s4 = pool_of(&net->c3, &net->s4);
    kernels->avgpool(&s2, net->s2.data + i * net->s2.block, net->c1.data + i * net->c1.block);
    lap("s2", 0, at);
    end.shift = net->w3.bias;
    kernels->lanes_conv(&c3, net->s2.data + i * net->s2.block, net->w3.weight, &end, NULL,
                        net->c3.data + i * net->c3.block, net->scratch);
    lap("c3 + tanh", 240000, at);
    kernels->avgpool(&s4, net->s4.data + i * net->s4.block, net->c3.data + i * net->c3.block);
    lap("s4", 0, at);
    st_lanes_fc c5 = fc_of(&net->s4, &net->c5), f6 = fc_of(&net->c5, &net->f6), f7 = fc_of(&net->f6, &net->f7);
    end.shift = net->w5.bias;
    kernels->lanes_fc(&c5, net->s4.data + i * net->s4.block, net->w5.weight, &end, NULL,
                      net->c5.data + i * net->c5.block, net->scratch);
    end.shift = net->w6.bias;
    kernels->lanes_fc(&f6, net->c5.data + i * net->c5.block, net->w6.weight, &end, NULL,
                      net->f6.data + i * net->f6.block, net->scratch);
    end = (st_epilogue){.shift = net->w7.bias};
    kernels->lanes_fc(&f7, net->f6.data + i * net->f6.block, net->w7.weight, &end, NULL,
                      net->f7.data + i * net->f7.block, net->scratch);
    lap("fc forward", 58920, at);
}

static void backward_fc(const lenet *net, const value *in, const value *out, const weights *w, st_real *turned,
                        int64_t i) {
    st_lanes_fc fc = fc_of(in, out);
    net->kernels->transpose(turned + i * ST_LANES * fc.width, fc.width, out->gradient + i * out->block, ST_LANES,
                            fc.outputs, ST_LANES);
    net->kernels->lanes_fc_data(&fc, out->gradient + i * out->block, w->weight, in->gradient + i * in->block, false);
}

static void backward_weights(const lenet *net, const value *in, const value *out, const weights *w, int64_t i) {
    st_lanes_conv conv = conv_of(in, out);
    st_real *part = net->parts + i * 4096;
    net->kernels->lanes_conv_weights(&conv, in->data + i * in->block, out->gradient + i * out->block, part,
                                     part + w->count, net->scratch);
}

static void backward(lenet *net, int64_t i, uint64_t *at) {
    const st_kernels *kernels = net->kernels;
    st_lanes_loss loss = {.classes = 10,
                          .logits = net->f7.data + i * net->f7.block,
                          .labels = net->labels + i * ST_LANES,
                          .images = ST_LANES};
    kernels->lanes_loss(&loss, net->losses + i * ST_LANES, net->ranks + i * ST_LANES);
    kernels->lanes_loss_backward(&loss, net->f7.gradient + i * net->f7.block, false, (st_real)(1.0 / IMAGES));
    lap("loss", 0, at);
    backward_fc(net, &net->f6, &net->f7, &net->w7, net->turned, i);
    activate_backward(net, &net->f6, i);
    backward_fc(net, &net->c5, &net->f6, &net->w6, net->turned, i);
    activate_backward(net, &net->c5, i);
    backward_fc(net, &net->s4, &net->c5, &net->w5, net->turned, i);
    lap("fc backward data", 58920, at);
    st_pool s2 = pool_of(&net->c1, &net->s2), s4 = pool_of(&net->c3, &net->s4);
    kernels->avgpool_backward(&s4, net->c3.gradient + i * net->c3.block, net->s4.gradient + i * net->s4.block, false);
    lap("s4 backward", 0, at);
    activate_backward(net, &net->c3, i);
    lap("tanh' c3", 0, at);
    backward_weights(net, &net->s2, &net->c3, &net->w3, i);
    lap("dw c3", 240000, at);
    st_lanes_conv c3 = conv_of(&net->s2, &net->c3);
    kernels->lanes_conv_data(&c3, net->c3.gradient + i * net->c3.block, net->w3.weight,
                             net->s2.gradient + i * net->s2.block, false, net->scratch);
    lap("dx c3", 240000, at);
    kernels->avgpool_backward(&s2, net->c1.gradient + i * net->c1.block, net->s2.gradient + i * net->s2.block, false);
    lap("s2 backward", 0, at);
    activate_backward(net, &net->c1, i);
    lap("tanh' c1", 0, at);
    backward_weights(net, &net->x, &net->c1, &net->w1, i);
    lap("dw c1", 117600, at);
}

static void update_fc(const lenet *net, const value *in, const value *out, const weights *w, const st_sgd *rule) {
    st_lanes_fc fc = fc_of(in, out);
    net->kernels->lanes_fc_bias(&fc, IMAGES, net->turned, w->dbias);
    for (int64_t row = 0; row < fc.inputs; row += 24) {
        int64_t rows = fc.inputs - row < 24 ? fc.inputs - row : 24;
        net->kernels->lanes_fc_weights(&fc, IMAGES, in->data, net->turned, row, rows, w->dweight);
    }
    (void)rule;
}

static void step(lenet *net) {
    uint64_t at = now();
    for (int64_t i = 0; i < BLOCKS; i++) {
        forward(net, i, &at);
        backward(net, i, &at);
    }
    st_sgd rule = {.learning_rate = (st_real)1e-4, .momentum = (st_real)0.9};
    update_fc(net, &net->s4, &net->c5, &net->w5, &rule);
    update_fc(net, &net->c5, &net->f6, &net->w6, &rule);
    update_fc(net, &net->f6, &net->f7, &net->w7, &rule);
    lap("fc weights", 58920, &at);
    net->kernels->lanes_sum(net->parts, 4096, BLOCKS, net->w3.dweight, 2400);
    net->kernels->lanes_sum(net->parts, 4096, BLOCKS, net->w1.dweight, 150);
    lap("tree of dw", 0, &at);
    const weights *all[] = {&net->w1, &net->w3, &net->w5, &net->w6, &net->w7};
    for (size_t i = 0; i < ST_COUNT_OF(all); i++) {
        net->kernels->sgd(&rule, all[i]->weight, all[i]->dweight, all[i]->momentum, all[i]->count);
    }
    lap("sgd", 0, &at);
}

/* ---- the report ---- */

static double peak_per_cycle(const st_kernels *kernels) {
    double best = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t begin = now();
        double operations = kernels->peak(200000);
        double rate = operations / 2 / (double)(now() - begin);
        best = rate > best ? rate : best;
    }
    return best;
}

static void report(const st_kernels *kernels) {
    double peak = peak_per_cycle(kernels), total = 0, useful = 0;
    printf("%s: %.1f multiply-adds a cycle\n", kernels->name, peak);
    for (int i = 0; i < stage_count; i++) {
        const stage *s = &stages[i];
        printf("  %-18s %7.0f", s->name, (double)s->best / 1e3);
        if (s->multiply_adds > 0) {
            printf("  %3.0f%%", 100 * s->multiply_adds / peak / (double)s->best);
        }
        printf("\n");
        total += (double)s->best;
        useful += s->multiply_adds;
    }
    printf("  %-18s %7.0f  %3.0f%%\n", "sum", total / 1e3, 100 * useful / peak / total);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 50;
    lenet net = lenet_of();
    for (size_t i = 0; st_kernels_at(i) != NULL; i++) {
        net.kernels = st_kernels_at(i);
        if (!st_kernels_runs(net.kernels)) {
            printf("%s: not on this processor\n", net.kernels->name);
            continue;
        }
        stage_count = 0;
        int times = net.kernels->lanes == 1 ? 1 : rounds;
        for (int round = 0; round < times; round++) {
            step(&net);
            for (int s = 0; s < stage_count; s++) {
                stages[s].best = stages[s].cycles < stages[s].best ? stages[s].cycles : stages[s].best;
                stages[s].cycles = 0;
            }
        }
        report(net.kernels);
    }
    return 0;
}
