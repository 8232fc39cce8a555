/* init: how weights begin. Each element is a function of seed, the tensor's path and its index, so it depends neither
 * on the order of the layers nor on who asks.
 *
 * He et al. 2015, arXiv:1502.01852 (variance 2 / fan in) before a rectifier; Glorot, Bengio 2010 (2 / (fan in + fan
 * out)) elsewhere; LeCun et al. 1998 (1 / fan in) on request. A uniform distribution of variance v spans sqrt(3 v). */
#include <string.h>

#include "graph/build.h"

/* ---- which ---- */

static bool has_weights(const st_node *node) {
    return node->state[0].count > 0 && (node->op->traits & ST_OP_IS_AFFINE) == 0;
}

/* The activation that the value of each node meets first: through layers without weights and normalizations. */
static void find_activations(const st_build *b, st_activation *first) {
    for (int i = 0; i < b->node_count; i++) {
        first[i] = ST_ACTIVATION_NONE;
    }
    for (int i = b->node_count - 1; i >= 0; i--) {
        const st_node *node = &b->nodes[i];
        st_activation meets = node->op->activation != ST_ACTIVATION_NONE ? node->op->activation
                              : has_weights(node)                        ? ST_ACTIVATION_NONE
                                                                         : first[i];
        for (int j = 0; j < node->in_count; j++) {
            st_activation *at = &first[node->in[j]];
            *at = *at == ST_ACTIVATION_NONE || meets == ST_ACTIVATION_RELU ? meets : *at;
        }
    }
}

static st_init chosen(const st_node *node, st_activation activation) {
    int word = *(const int *)((const char *)node->params + node->op->init_param_offset);
    if (word > 0) {
        return (st_init)(ST_INIT_HE_NORMAL + word - 1);
    }
    return activation == ST_ACTIVATION_RELU ? ST_INIT_HE_NORMAL : ST_INIT_XAVIER_UNIFORM;
}

strata_status st_build_inits(st_build *b) {
    st_activation *first;
    ST_TRY(st_arena_alloc(&first, b->arena, (size_t)b->node_count + 1, sizeof(*first), b->err));
    find_activations(b, first);
    for (int i = 0; i < b->node_count; i++) {
        st_node *node = &b->nodes[i];
        if (node->op->init_param_offset >= 0 && node->state[0].count > 0) {
            node->state[0].init = chosen(node, first[i]);
        }
    }
    return STRATA_OK;
}

/* ---- what ---- */

static double variance(st_init init, const st_state_dims *dims) {
    double in = dims->fan_in > 0 ? (double)dims->fan_in : 1, out = dims->fan_out > 0 ? (double)dims->fan_out : 1;
    switch (init) {
    case ST_INIT_HE_NORMAL:
    case ST_INIT_HE_UNIFORM:
        return 2 / in;
    case ST_INIT_XAVIER_NORMAL:
    case ST_INIT_XAVIER_UNIFORM:
        return 2 / (in + out);
    default:
        return 1 / in;
    }
}

typedef struct draw {
    bool is_normal;
    double constant, scale; /* scale 0: constant */
    uint64_t seed, stream;
} draw;

/* The layer's REAL parameter of this name. */
static double named_value(const st_node *node, const char *name) {
    const st_param_spec *spec = node->op->params;
    while (strcmp(spec->name, name) != 0) {
        spec++;
    }
    double value;
    memcpy(&value, (const char *)node->params + spec->offset, sizeof value);
    return value;
}

static draw draw_of(const st_node *node, int state, uint64_t seed) {
    const st_state *tensor = &node->state[state];
    st_init init = tensor->init;
    if (tensor->spec->init_value != NULL) {
        return (draw){.constant = named_value(node, tensor->spec->init_value)};
    }
    if (init == ST_INIT_ZERO || init == ST_INIT_ONE) {
        return (draw){.constant = init == ST_INIT_ONE ? 1 : 0};
    }
    bool is_normal = init == ST_INIT_HE_NORMAL || init == ST_INIT_XAVIER_NORMAL || init == ST_INIT_LECUN_NORMAL;
    double v = variance(init, &tensor->dims);
    return (draw){.is_normal = is_normal,
                  .scale = st_sqrt(is_normal ? v : 3 * v),
                  .seed = seed,
                  .stream = st_rng_stream_name(ST_STREAM_WEIGHTS, tensor->path)};
}

static st_real element(const draw *from, size_t index) {
    if (!(from->scale > 0)) {
        return (st_real)from->constant;
    }
    double unit = from->is_normal ? st_rng_normal(from->seed, from->stream, index)
                                  : 2 * st_rng_uniform(from->seed, from->stream, index) - 1;
    return (st_real)(from->scale * unit);
}

st_real st_graph_initial(const st_graph *graph, const st_node *node, int state, uint64_t seed, size_t index) {
    (void)graph;
    draw from = draw_of(node, state, seed);
    return element(&from, index);
}

void st_graph_initialize(const st_graph *graph, const st_node *node, int state, uint64_t seed, st_real *out) {
    (void)graph;
    draw from = draw_of(node, state, seed);
    for (size_t i = 0; i < node->state[state].count; i++) {
        out[i] = element(&from, i);
    }
}
