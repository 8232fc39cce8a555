/* convert_case.h: what the tests of convert share: a folder of its own, a runtime, nets with drawn weights. */
#ifndef TESTS_CONVERT_CASE_H
#define TESTS_CONVERT_CASE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"

/* Ends a test that reads ONNX, where the build has no protobuf-c. */
static inline void needs_onnx(void) {
#ifndef ST_WITH_PROTOBUF
    skip();
#endif
}

static char folder[64];
static strata_runtime *runtime;
static strata_error err;

static inline void must(strata_status status) {
    if (status != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err.file, err.line, err.column, err.message);
    }
}

static inline int begin(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/strata-test-convert-XXXXXX");
    strata_options options = {.threads = 2};
    return mkdtemp(folder) == NULL || strata_runtime_create(&runtime, &options, &err) != STRATA_OK;
}

static inline int end(void **state) {
    (void)state;
    char command[128];
    strata_runtime_free(runtime);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command) != 0;
}

/* A path of the folder; the last four stay. */
static inline const char *in_folder(const char *name) {
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline bool is_there(const char *name) {
    return access(in_folder(name), F_OK) == 0;
}

/* Whether no file of the folder is half written. */
static inline bool is_tidy(void) {
    char command[128];
    snprintf(command, sizeof command, "! ls '%s' | grep -q '\\.part-'", folder);
    return system(command) == 0;
}

/* ---- nets with weights ---- */

/* Numbers near those of a trained net: nothing is 0, and running statistics are not those that training begins with. */
static inline void draw(strata_model *model) {
    st_model *core = model->core;
    for (size_t i = 0; i < core->parameter_count; i++) {
        const st_parameter *p = &core->parameters[i];
        uint64_t stream = st_rng_stream(ST_STREAM_TEST, i);
        bool is_variance = strcmp(p->node->state[p->state].spec->name, "running_var") == 0;
        st_model_get(core, i, ST_MODEL_VALUE, core->scratch);
        for (size_t k = 0; k < p->published_count; k++) {
            double by = st_rng_uniform(7, stream, k);
            core->scratch[k] += (st_real)(is_variance ? 0.7 * by - 0.3 : 0.4 * by - 0.2) *
                                (st_real)(p->node->state[p->state].dims.rank > 1 ? 0.01 : 1.0);
        }
        st_model_set(core, i, ST_MODEL_VALUE, core->scratch);
    }
}

static inline strata_net *net_of(const char *text) {
    strata_net *net = NULL;
    must(strata_net_parse(&net, text, strlen(text), NULL, &err));
    return net;
}

/* A checkpoint of the net with drawn weights. */
static inline strata_model *model_of(const strata_net *net, int64_t batch) {
    strata_model *model = NULL;
    strata_build_options build = {.batch = batch, .seed = 3};
    must(strata_model_build(&model, runtime, net, &build, &err));
    draw(model);
    return model;
}

/* Weights and net, as st_checkpoint_save puts them, without a word about pictures: an example may have any channels. */
static inline void save(const strata_model *model, const char *path) {
    enum { MOST = 2000 };
    static st_tensor tensors[MOST];
    const st_model *core = model->core;
    st_weights_writer writer;
    const st_pair pair = {.name = ST_PAIR_NET, .value = model->net->text};
    assert_true(core->parameter_count <= MOST);
    for (size_t i = 0; i < core->parameter_count; i++) {
        const st_state *state = &core->parameters[i].node->state[core->parameters[i].state];
        tensors[i] = (st_tensor){.name = state->path, .rank = state->dims.rank, .dims = state->dims.dims};
    }
    must(st_weights_write_begin(&writer, path, tensors, core->parameter_count, &pair, 1, &err));
    for (size_t i = 0; i < core->parameter_count; i++) {
        st_model_get(core, i, ST_MODEL_VALUE, core->scratch);
        must(st_weights_write(&writer, core->scratch, core->parameters[i].published_count, &err));
    }
    must(st_weights_write_commit(&writer, &err));
}

static inline strata_weights *weights_of(const strata_net *net, const char *name) {
    strata_weights *weights = NULL;
    strata_model *model = model_of(net, 1);
    save(model, in_folder(name));
    strata_model_free(model);
    must(strata_weights_open(&weights, in_folder(name), &err));
    return weights;
}

static inline bool reads(const char *ending) {
    const st_format *format = st_format_by_ending(ending);
    return format != NULL && format->read != NULL;
}

static inline strata_conversion convert_as(const strata_net *net, const strata_weights *weights, const char *name) {
    strata_conversion done;
    strata_convert_options options = {.no_check = !strstr(name, ".net") && !reads(name), .limit = 2};
    must(strata_convert(&done, runtime, net, weights, in_folder(name), &options, &err));
    assert_true(is_there(name));
    assert_true(is_tidy());
    return done;
}

#endif
