/* How a last layer begins that is to learn other classes: with weights of zero, so that all classes are equally likely.
 * A drawn one would first have to unlearn what it says of strong features. One layer can begin so: its gradient is what
 * comes to it times what the loss says of each class, whatever its weights are. */
#include "train/tuning.h"

static bool is_shift(const st_parameter *parameter) {
    return parameter->node->state[parameter->state].spec->is_shift;
}

/* The head's layer, or NULL where it has to begin as it was drawn. */
static const st_node *find_layer(const st_model *core, const bool *heads, bool *is_end) {
    const st_graph *graph = core->graph;
    const st_node *layer = NULL;
    bool has_shift = false;
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
    *is_end = layer == &graph->nodes[graph->outputs[graph->main_output].node];
    return has_shift || *is_end ? layer : NULL; /* a rectifier behind it would let nothing through */
}

void st_new_head_begin(st_model *core, const bool *heads) {
    bool is_end = false;
    const st_node *layer = find_layer(core, heads, &is_end);
    for (size_t p = 0; layer != NULL && p < core->parameter_count; p++) {
        const st_parameter *parameter = &core->parameters[p];
        if (parameter->node == layer) {
            /* A rectifier lets 1 through; what all classes have in common says nothing. */
            st_real value = is_shift(parameter) && !is_end ? 1 : 0;
            for (size_t i = 0; i < parameter->published_count; i++) {
                core->scratch[i] = value;
            }
            st_model_set(core, p, ST_MODEL_VALUE, core->scratch);
        }
    }
}
