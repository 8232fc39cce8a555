/* A small training run for tests: nets of both layouts, a data set of drawn squares, and all that a trainer needs. The
 * group's set_up fills `folder`. */
#ifndef TRAIN_CASE_H
#define TRAIN_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "pictures.h"
#include "strata.h"

/* Lanes layout: few channels. */
static const char *const SMALL = "let classes = 10\n"
                                 "network small {\n input 16x16x1\n c: conv 5x5 6, tanh\n avgpool 2x2 stride=2\n"
                                 " conv 3x3 12 pad=1 stride=2, relu\n maxpool 3x3 stride=1 pad=1\n dropout 0.1\n"
                                 " fc 24, sigmoid\n fc classes\n output logits loss=cross_entropy\n}\n";

/* NHWC: many channels, batch norm, residual and inception branches, groups, a side head. */
static const char *const WIDE =
    "network wide {\n input 16x16x1\n stem: { conv 3x3 24 pad=1 bias=no, bn, relu }\n maxpool 2x2 stride=2\n"
    " add {\n | conv 3x3 40 pad=1 bias=no, bn, relu\n   conv 3x3 40 pad=1 groups=4, bn\n | conv 1x1 40, bn\n }\n relu\n"
    " concat {\n | conv 1x1 20, relu\n | conv 3x3 24 pad=1 dilation=1, relu\n | maxpool 3x3 stride=1 pad=1\n }\n"
    " side when=train { avgpool global, fc 10, output aux loss=cross_entropy weight=0.3 }\n"
    " conv 3x3 36 stride=2 pad=1, bn, tanh\n dropout 0.2\n avgpool global\n fc 10\n"
    " output logits loss=cross_entropy\n}\n";

/* The layers of the older papers, and the shortcut without weights; %d channels decide the layout. */
static const char *const CANON =
    "let wide = %d\n"
    "network canon {\n input 16x16x1\n conv 5x5 wide pad=2, scaled_tanh\n lrn 5 alpha=5e-4 k=2\n"
    " avgpool 2x2 stride=2, scale, tanh\n"
    " add {\n | conv 3x3 2*wide stride=2 pad=1 bias=no, bn, relu, conv 3x3 2*wide pad=1 bias=no, bn\n"
    " | subsample 2*wide stride=2\n }\n relu\n maxpool 3x3 stride=2 ceil=yes\n conv 1x1 3, lrn 3 beta=0.5\n"
    " conv_table 1x1 \"012 01 2\", tanh\n fc 10\n output logits loss=cross_entropy\n}\n";

static char folder[64];

typedef struct setup {
    strata_runtime *runtime;
    strata_net *net;
    strata_model *model;
    strata_dataset *data;
    strata_trainer *trainer;
} setup;

static inline void check(strata_status status, const strata_error *err) {
    if (status != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err->file, err->line, err->column, err->message);
    }
}

static inline setup make_of(const char *text, const strata_options *options, const strata_build_options *build,
                            const strata_train_options *train) {
    setup s = {0};
    strata_error err = {0};
    check(strata_runtime_create(&s.runtime, options, &err), &err);
    check(strata_net_parse(&s.net, text, strlen(text), NULL, &err), &err);
    check(strata_model_build(&s.model, s.runtime, s.net, build, &err), &err);
    check(strata_dataset_open(&s.data, folder, &(strata_data_options){.hold_out = 0.1, .seed = 3}, &err), &err);
    check(strata_trainer_create(&s.trainer, s.model, s.data, train, &err), &err);
    return s;
}

static inline void unmake(setup *s) {
    strata_trainer_free(s->trainer);
    strata_dataset_free(s->data);
    strata_model_free(s->model);
    strata_net_free(s->net);
    strata_runtime_free(s->runtime);
}

static inline void steps(setup *s, int count) {
    strata_error err = {0};
    for (int i = 0; i < count; i++) {
        strata_step_info info;
        check(strata_trainer_step(s->trainer, &info, &err), &err);
        if (info.epoch_done) {
            strata_epoch_info epoch;
            check(strata_trainer_end_epoch(s->trainer, &epoch, &err), &err);
        }
    }
}

/* 20 of 200 are held out: 180 train. */
static inline int set_up(void **state) {
    (void)state;
    pictures_make(folder, 200, 60, 16, 10);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    pictures_remove(folder);
    return 0;
}

#endif
