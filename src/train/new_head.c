/* How a last layer begins that is to learn other classes: with weights of zero, so that all classes are equally likely.
 * A drawn one would first have to unlearn what it says of strong features. One layer can begin so: its gradient is what
 * comes to it times what the loss says of each class, whatever its weights are. */
#include "train/tuning.h"

static bool is_shift(const st_parameter *parameter) {
    return parameter->node->state[parameter->state].spec->is_shift;
}

/* What lets nothing back through at zero: a rectifier does at 1; limits may anywhere. */
static void look_behind(const st_graph *graph, const st_node *layer, bool *rectifies, bool *limits) {
    for (const st_node *node = layer + 1; node < graph->nodes + graph->node_count; node++) {
        bool counts = !node->is_train_only;
        *rectifies = *rectifies || (counts && node->op->activation == ST_ACTIVATION_RELU);
        *limits = *limits || (counts && (node->op->traits & ST_OP_HAS_LIMITS) != 0);
    }
}

const st_node *st_new_head_layer(const st_model *core, const bool *heads, bool *rectifies) {
    const st_graph *graph = core->graph;
    const st_node *layer = NULL;
    bool has_shift = false, limits = false;
    *rectifies = false;
    for (size_t p = 0; p < core->parameter_count; p++) {
        const st_node *node = core->parameters[p].node;
        if (!heads[node - graph->nodes] || node->is_train_only) {
            continue;
        }
        if (layer != NULL && layer != node) {
            return NULL; /* a normalization behind it would divide by zero */
        }
        layer = node;
        has_shift = has_shift || is_shift(&core->parameters[p]);
    }
    if (layer != NULL) {
        look_behind(graph, layer, rectifies, &limits);
    }
    return limits || (*rectifies && !has_shift) ? NULL : layer;
}

void st_new_head_begin(st_model *core, const st_node *layer, bool rectifies) {
    for (size_t p = 0; p < core->parameter_count; p++) {
        const st_parameter *parameter = &core->parameters[p];
        if (parameter->node == layer) {
            st_real value = is_shift(parameter) && rectifies ? 1 : 0; /* the same for all classes: it says nothing */
            for (size_t i = 0; i < parameter->published_count; i++) {
                core->scratch[i] = value;
            }
            st_model_set(core, p, ST_MODEL_VALUE, core->scratch);
        }
    }
}
