/* include/strata.h, part 1: look at a net. */
#include "api/api.h"

#include <string.h>

/* ---- making and freeing ----------------------------------------------------------------------------------------- */

static strata_status build_net(strata_net *net, const st_tree *tree, const char *settings, const char *freeze,
                               strata_error *err) {
    ST_TRY(st_graph_build(&net->graph, net->arena, tree, settings, freeze, err));
    char *text = NULL;
    ST_TRY(st_lang_print(&text, tree, settings, err));
    strata_status status = st_arena_text(&net->text, net->arena, text, strlen(text), err);
    strata_text_free(text);
    return status;
}

static strata_status begin_net(strata_net **out, strata_error *err) {
    st_arena *arena = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(out, arena, 1, sizeof **out, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    (*out)->arena = arena;
    return STRATA_OK;
}

static strata_status end_net(strata_net **out, strata_net *net, strata_status status) {
    if (status != STRATA_OK) {
        strata_net_free(net);
        return status;
    }
    *out = net;
    return STRATA_OK;
}

strata_status st_api_net_from_text(strata_net **out, const char *name, const char *text, size_t length,
                                   const char *settings, const char *freeze, strata_error *err) {
    strata_net *net = NULL;
    const st_tree *tree = NULL;
    *out = NULL;
    ST_TRY(begin_net(&net, err));
    char *own_name = NULL, *own_text = NULL;
    strata_status status = st_arena_text(&own_name, net->arena, name, strlen(name), err);
    if (status == STRATA_OK) {
        status = st_arena_text(&own_text, net->arena, text, length, err);
    }
    if (status == STRATA_OK) {
        status = st_lang_parse(&tree, net->arena, own_name, own_text, length, err);
    }
    if (status == STRATA_OK) {
        status = build_net(net, tree, settings, freeze, err);
    }
    return end_net(out, net, status);
}

strata_status strata_net_parse(strata_net **out, const char *text, size_t length, const char *settings,
                               strata_error *err) {
    return st_api_net_from_text(out, "text", text, length, settings, NULL, err);
}

static strata_status load_checkpoint_net(strata_net **out, const char *path, const char *settings, strata_error *err) {
    st_arena *arena = NULL;
    st_checkpoint_head head = {0};
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_checkpoint_head_read(&head, arena, path, err);
    if (status == STRATA_OK) {
        status = st_checkpoint_need_net(&head, path, err);
    }
    if (status == STRATA_OK) {
        status = st_api_net_from_text(out, path, head.net_text, strlen(head.net_text), settings, NULL, err);
    }
    st_arena_free(arena);
    return status;
}

strata_status strata_net_load(strata_net **out, const char *name_or_path, const char *settings, strata_error *err) {
    *out = NULL;
    const st_format *format = NULL;
    ST_TRY(st_format_probe(&format, name_or_path, err));
    if (format != NULL) {
        return load_checkpoint_net(out, name_or_path, settings, err);
    }
    strata_net *net = NULL;
    const st_tree *tree = NULL;
    ST_TRY(begin_net(&net, err));
    strata_status status = st_lang_load(&tree, net->arena, name_or_path, err);
    if (status == STRATA_OK) {
        net->is_zoo = tree->source->is_zoo;
        status = build_net(net, tree, settings, NULL, err);
    }
    return end_net(out, net, status);
}

void strata_net_free(strata_net *net) {
    if (net != NULL) {
        st_arena_free(net->arena);
    }
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static int64_t count_states(const st_node *node, bool trained) {
    int64_t count = 0;
    for (int i = 0; i < ST_OP_STATES; i++) {
        if (node->state[i].count > 0 && node->state[i].spec->is_trained == trained) {
            count += (int64_t)node->state[i].count;
        }
    }
    return count;
}

void strata_net_info_get(const strata_net *net, bool for_training, strata_net_info *out) {
    const st_graph *graph = net->graph;
    *out = (strata_net_info){.name = graph->name,
                             .description = graph->description,
                             .input = {graph->input.h, graph->input.w, graph->input.c},
                             .layer_count = (size_t)graph->node_count,
                             .preparation = st_graph_input_keys(graph),
                             .is_zoo = net->is_zoo};
    const st_node *main_node = &graph->nodes[graph->outputs[graph->main_output].node];
    out->class_count = main_node->out.h * main_node->out.w * main_node->out.c;
    for (int i = 0; i < graph->node_count; i++) {
        const st_node *node = &graph->nodes[i];
        if (for_training || !node->is_train_only) {
            out->parameters += count_states(node, true);
            out->statistics += count_states(node, false);
            out->multiply_adds += node->multiply_adds;
        }
    }
}

void strata_net_layer(const strata_net *net, size_t layer, strata_layer_info *out) {
    const st_node *node = &net->graph->nodes[layer];
    *out = (strata_layer_info){.name = node->path,
                               .op = node->op->name,
                               .kind = node->op->kind,
                               .is_attached = (node->op->traits & ST_OP_IS_ATTACHED) != 0,
                               .text = node->text,
                               .output = {node->out.h, node->out.w, node->out.c},
                               .is_flat = node->is_flat,
                               .is_train_only = node->is_train_only,
                               .depth = node->depth,
                               .follows = node->in_count == 1 && node->in[0] + 1 == (int)layer,
                               .block = node->block != NULL ? node->block : "",
                               .parameters = count_states(node, true),
                               .statistics = count_states(node, false),
                               .multiply_adds = node->multiply_adds,
                               .receptive_field = node->receptive_field,
                               .receptive_stride = node->receptive_stride,
                               .inputs = node->in,
                               .input_count = (size_t)node->in_count,
                               .scopes = node->scopes,
                               .output_name = ""};
    for (int i = 0; i < net->graph->output_count; i++) {
        const st_output *output = &net->graph->outputs[i];
        if (output->node == (int)layer) {
            out->output_name = output->name;
            out->loss_weight = output->loss != NULL ? output->weight : 0;
        }
    }
}

size_t strata_net_knob_count(const strata_net *net) {
    return (size_t)net->graph->knob_count;
}

void strata_net_knob(const strata_net *net, size_t knob, strata_knob *out) {
    *out = net->graph->knobs[knob];
}

static strata_status copy_text(char **out, const char *bytes, strata_error *err) {
    st_text text = {0};
    st_text_add_bytes(&text, bytes, strlen(bytes));
    return st_text_finish(out, &text, err);
}

strata_status strata_net_text(char **out, const strata_net *net, strata_error *err) {
    return copy_text(out, net->text, err);
}

strata_status strata_net_format(char **out, const char *text, size_t length, const char *file, strata_error *err) {
    return st_lang_format(out, file != NULL ? file : "text", text, length, err);
}

/* ---- zoo and help ----------------------------------------------------------------------------------------------- */

static bool is_network(const st_zoo_file *file) {
    return strchr(file->path, '/') == NULL;
}

size_t strata_zoo_count(void) {
    size_t count = 0;
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        count += is_network(&st_zoo_files[i]);
    }
    return count;
}

static const st_zoo_file *zoo_file(size_t index) {
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        if (is_network(&st_zoo_files[i]) && index-- == 0) {
            return &st_zoo_files[i];
        }
    }
    return NULL;
}

const char *strata_zoo_name(size_t i) {
    const st_zoo_file *file = zoo_file(i);
    return file != NULL ? file->name : NULL;
}

const char *strata_zoo_summary(size_t i) {
    const st_zoo_file *file = zoo_file(i);
    return file != NULL ? file->summary : NULL;
}

strata_status strata_help_layer(char **out, const char *name, strata_error *err) {
    st_text text = {0};
    *out = NULL;
    strata_status status = st_graph_help(&text, name, err);
    if (status != STRATA_OK) {
        st_text_free(&text);
        return status;
    }
    return st_text_finish(out, &text, err);
}
