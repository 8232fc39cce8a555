/* For tests of transfer learning: three small nets, and runs of them on drawn pictures. */
#ifndef TESTS_FINETUNE_CASE_H
#define TESTS_FINETUNE_CASE_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "pictures.h"
#include "train/tuning.h"

#include "lab.h"

enum { BATCH = 24, STEPS = 8 }; /* an epoch of 180 training pictures */

/* Image lanes; dropout before the head. */
static const char *const LANES =
    "let classes = 10\n"
    "network lanes {\n input 16x16x1\n c1: conv 5x5 6, tanh\n avgpool 2x2 stride=2\n c2: conv 3x3 12 pad=1, relu\n"
    " maxpool 2x2 stride=2\n c3: conv 3x3 12 pad=1, relu\n dropout 0.2\n f1: fc 24, tanh\n dropout 0.5\n"
    " head: fc classes\n output logits loss=cross_entropy\n}\n";

/* NHWC, no batch norm: concats, and a head like SqueezeNet's. */
static const char *const FIRE =
    "let classes = 10\n"
    "block fire s e { squeeze: conv 1x1 s, relu, concat { | e1: conv 1x1 e, relu | e3: conv 3x3 e pad=1, relu } }\n"
    "network fires {\n input 16x16x1\n stem: conv 3x3 20 stride=2 pad=1, relu\n a: fire 18 20\n b: fire 18 20\n"
    " maxpool 2x2 stride=2\n c: fire 20 24\n d: fire 20 24\n"
    " classifier: { dropout 0.5, conv 1x1 classes, relu, avgpool global }\n output logits loss=cross_entropy\n}\n";

/* Batch norm, residual blocks, a side head of training. */
static const char *const RESIDUAL =
    "let classes = 10\n"
    "block basic w { add { | c1: conv 3x3 w pad=1 bias=no, n1: bn, relu, c2: conv 3x3 w pad=1 bias=no, n2: bn | "
    "identity }"
    ", relu }\n"
    "network residual {\n input 16x16x1\n stem: conv 3x3 24 stride=2 pad=1 bias=no, bn0: bn, relu\n"
    " layer1: { basic 24, basic 24 }\n"
    " side when=train { aux: { avgpool global, fc classes }, output aux loss=cross_entropy weight=0.3 }\n"
    " down: conv 1x1 40 stride=2\n layer2: { basic 40, basic 40 }\n avgpool global\n fc: fc classes\n"
    " output logits loss=cross_entropy\n}\n";

static const char *const NETS[] = {LANES, FIRE, RESIDUAL};
static char folder[64], cache[96];

/* ---- a run ------------------------------------------------------------------------------------------------------ */

typedef struct setup {
    strata_runtime *runtime;
    strata_net *net;
    strata_model *model;
    strata_dataset *data;
    strata_trainer *trainer;
} setup;

typedef struct how {
    const char *text, *train, *optimizer, *augment, *features, *isa;
    const char *freeze; /* of the whole net in training, where `train` is NULL */
    double body_rate, ema;
    int64_t epochs, thaw, variants;
    int64_t batch, accumulate; /* 0: BATCH, one of them a step */
    uint64_t memory;
    int threads;
} how;

static inline setup make(how as) {
    setup s = {0};
    strata_error err = {0};
    strata_build_options build = {.batch = as.batch > 0 ? as.batch : BATCH,
                                  .optimizer = as.optimizer,
                                  .seed = 3,
                                  .train = as.train == NULL,
                                  .accumulate = as.accumulate,
                                  .average = as.ema > 0,
                                  .freeze = as.freeze};
    strata_train_options train = {.body_rate = as.body_rate,
                                  .epochs = as.epochs > 0 ? as.epochs : 2,
                                  .optimizer = as.optimizer,
                                  .seed = 3,
                                  .weight_decay = 1e-4,
                                  .augment = as.augment,
                                  .train = as.train,
                                  .thaw = as.thaw,
                                  .accumulate = as.accumulate,
                                  .ema = as.ema,
                                  .variants = as.variants,
                                  .features = as.features,
                                  .features_memory = as.memory};
    strata_options options = {.threads = as.threads > 0 ? as.threads : 2, .isa = as.isa};
    must(strata_runtime_create(&s.runtime, &options, &err), &err);
    must(strata_net_parse(&s.net, as.text, strlen(as.text), NULL, &err), &err);
    must(strata_model_build(&s.model, s.runtime, s.net, &build, &err), &err);
    must(strata_dataset_open(&s.data, folder, &(strata_data_options){.hold_out = 0.1, .seed = 3}, &err), &err);
    must(strata_trainer_create(&s.trainer, s.model, s.data, &train, &err), &err);
    return s;
}

static inline void unmake(setup *s) {
    strata_trainer_free(s->trainer);
    strata_dataset_free(s->data);
    strata_model_free(s->model);
    strata_net_free(s->net);
    strata_runtime_free(s->runtime);
}

/* `count` steps; returns how many times features were computed or read meanwhile. */
static inline int steps(setup *s, int count) {
    strata_error err = {0};
    int preparations = 0;
    while (count > 0) {
        strata_step_info info;
        must(strata_trainer_step(s->trainer, &info, &err), &err);
        preparations += info.is_preparing;
        count -= !info.is_preparing;
        if (info.epoch_done) {
            strata_epoch_info epoch;
            must(strata_trainer_end_epoch(s->trainer, &epoch, &err), &err);
        }
    }
    return preparations;
}

static inline void run_to_hash(char hash[65], how as) {
    setup s = make(as);
    steps(&s, STEPS * (int)(as.epochs > 0 ? as.epochs : 2));
    assert_true(strata_trainer_is_done(s.trainer));
    strata_model_hash(s.model, hash);
    unmake(&s);
}

/* ---- features that are kept ------------------------------------------------------------------------------------- */

/* Calls `with` on each table's path; removes them where it is NULL. */
static inline void for_tables(void (*with)(const char *path)) {
    DIR *list = opendir(cache);
    for (struct dirent *e = list != NULL ? readdir(list) : NULL; e != NULL; e = readdir(list)) {
        char path[400];
        (void)snprintf(path, sizeof path, "%s/%s", cache, e->d_name);
        if (e->d_name[0] != '.') {
            if (with != NULL) {
                with(path);
            } else {
                (void)unlink(path);
            }
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

static inline int set_up(void **state) {
    (void)state;
    pictures_make(folder, 200, 100, 16, 10);
    (void)snprintf(cache, sizeof cache, "%s/features", folder);
    return mkdir(cache, 0777);
}

static inline int tear_down(void **state) {
    (void)state;
    for_tables(NULL);
    (void)rmdir(cache);
    pictures_remove(folder);
    return 0;
}

#endif
