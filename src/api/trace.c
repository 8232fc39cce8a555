/* include/strata.h, trace: one batch from a file through a net, and what came of it into another file, under the names
 * and in the order of axes that other programs use. Not here: comparing two such files (difference.c).
 *
 * Values are read where the run left them. With activations the plan keeps all of them and fuses nothing; without, it
 * is the plan that training and inference use. Both give the same bits (tests/test_trace.c), but for inference with a
 * bias before a batch norm, where the folded shift is rounded once more. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"

/* ---- the batch -------------------------------------------------------------------------------------------------- */

static strata_status check_images(const st_weights *file, const st_tensor *images, st_dims input, strata_error *err) {
    if (images == NULL) {
        strata_status status = st_fail_file(err, STRATA_MISSING, file->file.path, "it has no tensor 'images'");
        st_error_hint(err, "a batch has `images`, F32 [N,C,H,W], and `labels`, I64 [N]");
        return status;
    }
    if (!st_stored_is_real(images->stored)) {
        return st_fail_file(err, STRATA_FORMAT, file->file.path,
                            "tensor 'images': found %s, expected F32, already normalised",
                            st_stored_name(images->stored));
    }
    char found[ST_TENSOR_DIMS_TEXT];
    st_tensor_dims(found, images->rank, images->dims);
    if (images->rank != 4 || images->dims[1] != input.c || images->dims[2] != input.h || images->dims[3] != input.w) {
        strata_status status = st_fail_file(err, STRATA_SHAPE, file->file.path,
                                            "tensor 'images' is %s, the net takes Nx%" PRId64 "x%" PRId64 "x%" PRId64,
                                            found, input.c, input.h, input.w);
        if (images->rank == 4 && images->dims[3] == input.c && images->dims[1] == input.h) {
            st_error_hint(err, "axes are image, channel, row, column");
        }
        return status;
    }
    if (images->dims[0] < 1 || images->dims[0] > ST_API_BATCH_LIMIT) {
        return st_fail_file(err, STRATA_SHAPE, file->file.path,
                            "tensor 'images' has %" PRId64 " images, expected 1 to %d", images->dims[0],
                            ST_API_BATCH_LIMIT);
    }
    return STRATA_OK;
}

static strata_status check_labels(const st_weights *file, const st_tensor *labels, int64_t count, strata_error *err) {
    if (labels == NULL) {
        return STRATA_OK;
    }
    char found[ST_TENSOR_DIMS_TEXT];
    st_tensor_dims(found, labels->rank, labels->dims);
    if (labels->rank != 1 || labels->dims[0] != count) {
        return st_fail_file(err, STRATA_SHAPE, file->file.path,
                            "tensor 'labels' is %s, expected one for each of the %" PRId64 " images", found, count);
    }
    if (st_stored_is_real(labels->stored)) {
        return st_fail_file(err, STRATA_FORMAT, file->file.path,
                            "tensor 'labels': found %s, expected I64: the number of each image's class, from 0",
                            st_stored_name(labels->stored));
    }
    return STRATA_OK;
}

static strata_status open_batch(strata_batch_info *out, st_weights *file, const char *path, const st_graph *graph,
                                strata_error *err) {
    ST_TRY(st_weights_open(file, path, err));
    const st_tensor *images = st_weights_find(file, "images"), *labels = st_weights_find(file, "labels");
    strata_status status = check_images(file, images, graph->input, err);
    if (status == STRATA_OK) {
        status = check_labels(file, labels, images->dims[0], err);
    }
    if (status != STRATA_OK) {
        st_weights_close(file);
        return status;
    }
    *out = (strata_batch_info){.count = images->dims[0], .has_labels = labels != NULL};
    return STRATA_OK;
}

strata_status strata_batch_look(strata_batch_info *out, const char *path, const strata_net *net, strata_error *err) {
    st_weights file;
    *out = (strata_batch_info){0};
    ST_TRY(open_batch(out, &file, path, net->graph, err));
    st_weights_close(&file);
    return STRATA_OK;
}

/* ---- what is asked ---------------------------------------------------------------------------------------------- */

static bool runs_backward_plan(const strata_trace_options *options) {
    return options->train || options->gradients;
}

static st_model_options model_options(int64_t count, const strata_trace_options *options) {
    return (st_model_options){.batch = count,
                              .train = runs_backward_plan(options),
                              .seed = options->seed,
                              .keep_values = options->activations,
                              .as_inference = !options->train};
}

/* Whether this output is there in this mode. */
static bool has_output(const st_graph *graph, int output, const strata_trace_options *options) {
    return options->train || !graph->outputs[output].is_train_only;
}

/* The losses that a run adds up. */
static bool has_loss(const st_graph *graph, int output, const strata_trace_options *options) {
    return graph->outputs[output].loss != NULL && has_output(graph, output, options);
}

strata_status strata_trace_memory(strata_memory *out, const strata_runtime *runtime, const strata_net *net,
                                  int64_t count, const strata_trace_options *options, strata_error *err) {
    const strata_trace_options standard = {0};
    *out = (strata_memory){0};
    ST_FAIL_IF(count < 1 || count > ST_API_BATCH_LIMIT, err, STRATA_INVALID,
               "images must be from 1 to %d, found %" PRId64, ST_API_BATCH_LIMIT, count);
    st_model_options core = model_options(count, options != NULL ? options : &standard);
    st_dims input = net->graph->input;
    size_t image = 0, bytes = 0;
    ST_FAIL_IF(!st_size_mul((size_t)(input.h * input.w * input.c), sizeof(st_real), &image) ||
                   !st_size_mul(image + sizeof(int64_t) + sizeof(int32_t), (size_t)count, &bytes),
               err, STRATA_MEMORY, "%" PRId64 " images are beyond any memory", count);
    return st_model_need(out, runtime->kernels, st_pool_threads(runtime->pool), net->graph, &core, bytes, err);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

typedef struct trace {
    const strata_trace_options *options;
    st_arena *arena; /* of the batch and the lists */
    strata_model *model;
    const st_exec *exec;
    int64_t count;
    st_real *images;
    int32_t *labels; /* NULL: none, or nobody needs them */
    strata_trace_info *info;
} trace;

static strata_status check_label(const st_graph *graph, const strata_trace_options *options, int64_t label,
                                 size_t image, const char *file, strata_error *err) {
    for (int o = 0; o < graph->output_count; o++) {
        int64_t classes = graph->nodes[graph->outputs[o].node].out.c;
        if (has_loss(graph, o, options) && (label < 0 || label >= classes)) {
            return st_fail_file(err, STRATA_INVALID, file,
                                "label %zu is %" PRId64 ", the output '%s' has classes 0 to %" PRId64, image, label,
                                graph->outputs[o].name, classes - 1);
        }
    }
    return STRATA_OK;
}

static strata_status read_labels(trace *t, const st_weights *file, const st_graph *graph, strata_error *err) {
    const st_tensor *tensor = st_weights_find(file, "labels");
    bool wanted = false;
    for (int o = 0; o < graph->output_count; o++) {
        wanted = wanted || has_loss(graph, o, t->options);
    }
    if (runs_backward_plan(t->options)) {
        ST_FAIL_IF(!wanted, err, STRATA_INVALID, "%s has no loss: `output %s loss=cross_entropy` would be one",
                   graph->name, graph->outputs[graph->main_output].name);
        if (tensor == NULL) {
            return st_fail_file(err, STRATA_MISSING, file->file.path,
                                "it has no tensor 'labels', which the loss of %s needs",
                                t->options->train ? "train mode" : "gradients");
        }
    }
    if (tensor == NULL || !wanted) {
        return STRATA_OK;
    }
    int64_t *wide = NULL;
    ST_TRY(st_arena_alloc(&wide, t->arena, (size_t)t->count, sizeof *wide, err));
    ST_TRY(st_arena_alloc(&t->labels, t->arena, (size_t)t->count, sizeof *t->labels, err));
    ST_TRY(st_weights_read_integers(file, tensor, wide, err));
    for (size_t i = 0; i < (size_t)t->count; i++) {
        ST_TRY(check_label(graph, t->options, wide[i], i, file->file.path, err));
        t->labels[i] = (int32_t)wide[i];
    }
    return STRATA_OK;
}

static strata_status read_batch(trace *t, const char *path, const st_graph *graph, strata_error *err) {
    st_weights file;
    strata_batch_info info;
    ST_TRY(open_batch(&info, &file, path, graph, err));
    t->count = info.count;
    const st_tensor *images = st_weights_find(&file, "images");
    strata_status status = read_labels(t, &file, graph, err);
    if (status == STRATA_OK) {
        status = st_arena_alloc(&t->images, t->arena, images->count, sizeof *t->images, err);
    }
    if (status == STRATA_OK) {
        status = st_weights_read(&file, images, t->images, err);
    }
    st_weights_close(&file);
    return status;
}

static void run_batch(trace *t) {
    st_model *core = t->model->core;
    st_feed feed = {.values = t->images,
                    .labels = t->labels,
                    .n = t->count,
                    .is_trace = true,
                    .forward_only = !t->options->gradients};
    if (runs_backward_plan(t->options)) {
        st_model_gradients(core, &feed);
    } else {
        st_model_infer(core, &feed);
    }
    t->exec = runs_backward_plan(t->options) ? core->train : core->infer;
}

static double sum_losses(const trace *t) {
    const st_graph *graph = t->model->net->graph;
    double loss = 0;
    for (int o = 0; o < graph->output_count; o++) {
        if (!has_loss(graph, o, t->options)) {
            continue;
        }
        const st_real *losses = st_exec_losses(t->exec, o);
        double sum = 0;
        for (int64_t n = 0; n < t->count; n++) {
            sum += (double)losses[n];
        }
        loss += graph->outputs[o].weight * sum / (double)t->count;
    }
    return loss;
}

/* ---- the tensors ------------------------------------------------------------------------------------------------ */

typedef enum source_kind { SOURCE_VALUE, SOURCE_LOSS, SOURCE_GRADIENT } source_kind;

/* Where a tensor's numbers are. */
typedef struct source {
    source_kind kind;
    int node;         /* value */
    size_t parameter; /* gradient */
} source;

typedef struct tensor_list {
    st_tensor *tensors;
    source *sources;
    size_t count;
} tensor_list;

static strata_status add_tensor(tensor_list *list, const trace *t, const char *name, source from, int rank,
                                const int64_t *dims, strata_error *err) {
    int64_t *own = NULL;
    ST_TRY(st_arena_alloc(&own, t->arena, 5, sizeof *own, err));
    for (int d = 0; d < rank; d++) {
        own[d] = dims[d];
    }
    list->tensors[list->count] = (st_tensor){.name = name, .stored = ST_STORED_F32, .rank = rank, .dims = own};
    list->sources[list->count++] = from;
    return STRATA_OK;
}

static strata_status add_value(tensor_list *list, const trace *t, const char *name, int node, bool is_flat,
                               strata_error *err) {
    st_dims out = t->model->net->graph->nodes[node].out;
    int64_t flat[] = {t->count, out.h * out.w * out.c}, whole[] = {t->count, out.c, out.h, out.w};
    source from = {.kind = SOURCE_VALUE, .node = node};
    return add_tensor(list, t, name, from, is_flat ? 2 : 4, is_flat ? flat : whole, err);
}

/* "logits", or "aux1.logits". */
static strata_status output_name(char **out, const trace *t, int output, strata_error *err) {
    const st_graph *graph = t->model->net->graph;
    return output == graph->main_output ? st_arena_printf(out, t->arena, err, "logits")
                                        : st_arena_printf(out, t->arena, err, "%s.logits", graph->outputs[output].name);
}

/* A layer's path, with ".value" where an output or the loss has that name. *is_same: it is that output, under its name
 * already. */
static strata_status value_name(const char **out, bool *is_same, const trace *t, int node, strata_error *err) {
    const st_graph *graph = t->model->net->graph;
    const char *path = graph->nodes[node].path;
    bool is_taken = strcmp(path, "loss") == 0;
    *is_same = false;
    *out = path;
    for (int o = 0; o < graph->output_count; o++) {
        char *name = NULL;
        ST_TRY(output_name(&name, t, o, err));
        bool is_name = strcmp(name, path) == 0 && has_output(graph, o, t->options);
        is_taken = is_taken || is_name;
        *is_same = *is_same || (is_name && graph->outputs[o].node == node);
    }
    if (is_taken) {
        char *longer = NULL;
        ST_TRY(st_arena_printf(&longer, t->arena, err, "%s.value", path));
        *out = longer;
    }
    return STRATA_OK;
}

static strata_status list_values(tensor_list *list, const trace *t, strata_error *err) {
    const st_graph *graph = t->model->net->graph;
    const st_plan *plan = st_exec_plan(t->exec);
    for (int i = 0; i < graph->node_count && t->options->activations; i++) {
        const st_node *node = &graph->nodes[i];
        const char *name = NULL;
        bool is_same = false;
        if (plan->alias[i] < 0 || (node->op->traits & ST_OP_IS_INPUT) != 0) {
            continue;
        }
        ST_TRY(value_name(&name, &is_same, t, i, err));
        if (!is_same) {
            ST_TRY(add_value(list, t, name, i, node->is_flat, err));
            t->info->activation_count++;
        }
    }
    return STRATA_OK;
}

static strata_status list_outputs(tensor_list *list, const trace *t, strata_error *err) {
    const st_graph *graph = t->model->net->graph;
    for (int o = 0; o < graph->output_count; o++) {
        char *name = NULL;
        int node = graph->outputs[o].node;
        if (!has_output(graph, o, t->options)) {
            continue;
        }
        ST_TRY(output_name(&name, t, o, err));
        bool is_flat = graph->nodes[node].out.h == 1 && graph->nodes[node].out.w == 1;
        ST_TRY(add_value(list, t, name, node, is_flat, err));
        t->info->output_count++;
    }
    return STRATA_OK;
}

/* In the order of the backward pass: what is near the loss first, so that the first tensor that differs from another
 * program's is the one to look at. */
static strata_status list_gradients(tensor_list *list, const trace *t, strata_error *err) {
    const st_model *core = t->model->core;
    for (size_t end = core->parameter_count; end > 0 && t->options->gradients;) {
        size_t begin = end - 1;
        while (begin > 0 && core->parameters[begin - 1].node == core->parameters[end - 1].node) {
            begin--;
        }
        for (size_t i = begin; i < end; i++) {
            const st_parameter *parameter = &core->parameters[i];
            const st_state *state = &parameter->node->state[parameter->state];
            if (parameter->is_trained) {
                source from = {.kind = SOURCE_GRADIENT, .parameter = i};
                ST_TRY(add_tensor(list, t, state->path, from, state->dims.rank, state->dims.dims, err));
                t->info->gradient_count++;
            }
        }
        end = begin;
    }
    return STRATA_OK;
}

static strata_status list_tensors(tensor_list *list, const trace *t, strata_error *err) {
    size_t most = (size_t)t->model->net->graph->node_count + (size_t)t->model->net->graph->output_count +
                  t->model->core->parameter_count + 1;
    ST_TRY(st_arena_alloc(&list->tensors, t->arena, most, sizeof *list->tensors, err));
    ST_TRY(st_arena_alloc(&list->sources, t->arena, most, sizeof *list->sources, err));
    ST_TRY(list_values(list, t, err));
    ST_TRY(list_outputs(list, t, err));
    if (t->info->has_loss) {
        ST_TRY(add_tensor(list, t, "loss", (source){.kind = SOURCE_LOSS}, 0, NULL, err));
    }
    return list_gradients(list, t, err);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static strata_status write_value(st_weights_writer *writer, const trace *t, int node, strata_error *err) {
    st_dims out = t->model->net->graph->nodes[node].out;
    st_real *image = t->model->core->scratch;
    for (int64_t n = 0; n < t->count; n++) {
        st_exec_value(t->exec, node, n, image);
        ST_TRY(st_weights_write(writer, image, (size_t)(out.h * out.w * out.c), err));
    }
    return STRATA_OK;
}

static strata_status write_tensor(st_weights_writer *writer, const trace *t, const source *from, strata_error *err) {
    const st_model *core = t->model->core;
    st_real loss = (st_real)t->info->loss;
    switch (from->kind) {
    case SOURCE_VALUE:
        return write_value(writer, t, from->node, err);
    case SOURCE_GRADIENT:
        st_model_get(core, from->parameter, 2, core->scratch);
        return st_weights_write(writer, core->scratch, core->parameters[from->parameter].published_count, err);
    default:
        return st_weights_write(writer, &loss, 1, err);
    }
}

static strata_status write_trace(const trace *t, const char *path, strata_error *err) {
    tensor_list list = {0};
    st_weights_writer writer;
    st_pair pairs[] = {{"strata.trace.net", t->model->net->graph->name},
                       {"strata.trace.mode", t->options->train ? "train" : "infer"}};
    ST_TRY(list_tensors(&list, t, err));
    ST_TRY(st_weights_write_begin(&writer, path, list.tensors, list.count, pairs, ST_COUNT_OF(pairs), err));
    for (size_t i = 0; i < list.count; i++) {
        strata_status status = write_tensor(&writer, t, &list.sources[i], err);
        if (status != STRATA_OK) {
            st_weights_write_cancel(&writer);
            return status;
        }
    }
    return st_weights_write_commit(&writer, err);
}

static strata_status trace_net(trace *t, strata_runtime *runtime, const strata_net *net, const char *batch,
                               const char *path, strata_error *err) {
    ST_TRY(read_batch(t, batch, net->graph, err));
    st_model_options core = model_options(t->count, t->options);
    ST_TRY(st_api_model_build(&t->model, runtime, net, NULL, &core, ST_OPTIMIZER_SGD, err));
    if (t->options->weights != NULL) {
        ST_TRY(st_checkpoint_load(t->model, NULL, NULL, t->options->weights, err));
    }
    run_batch(t);
    t->info->count = t->count;
    t->info->has_loss = t->labels != NULL;
    t->info->loss = t->info->has_loss ? sum_losses(t) : 0;
    return write_trace(t, path, err);
}

strata_status strata_trace(strata_trace_info *out, strata_runtime *runtime, const strata_net *net, const char *batch,
                           const char *path, const strata_trace_options *options, strata_error *err) {
    const strata_trace_options none = {0};
    trace t = {.options = options != NULL ? options : &none, .info = out};
    *out = (strata_trace_info){0};
    ST_TRY(st_arena_create(&t.arena, err));
    strata_status status = trace_net(&t, runtime, net, batch, path, err);
    strata_model_free(t.model);
    st_arena_free(t.arena);
    if (status != STRATA_OK) {
        *out = (strata_trace_info){0};
    }
    return status;
}
