/* infer: what follows from a layer and the shapes before it: its own shape, its weights, its cost, what an element of
 * it sees of the picture. The layer's shape function says; here its answers are checked, and its refusals get their
 * place: the argument that is at fault, or, where branches disagree, the layer that made one of them differ. */
#include <stdio.h>
#include <string.h>

#include "graph/build.h"

enum {
    ELEMENT_LIMIT_BITS = 40, /* of one value of one picture */
    ODD_BRANCHES = 1000      /* that are compared to name the one at fault */
};

/* What st_infer_fail finds its place with. */
typedef struct reporter {
    const st_build *b;
    const st_origin *origin;
    const st_op *op;
    const int *in; /* nodes */
} reporter;

/* ---- places ---- */

static const st_arg *find_arg(const reporter *r, const char *param) {
    int positional = 0;
    for (const st_param_spec *spec = r->op->params; spec < r->op->params + ST_OP_PARAMS && spec->name != NULL; spec++) {
        if (strcmp(spec->name, param) != 0) {
            positional += spec->is_positional;
            continue;
        }
        int index = 0;
        for (const st_arg *arg = r->origin->step->args; arg != NULL; arg = arg->next) {
            bool is_it = arg->key == NULL ? spec->is_positional && index == positional : strcmp(arg->key, param) == 0;
            if (is_it) {
                return arg;
            }
            index += arg->key == NULL;
        }
    }
    return NULL;
}

static bool same_area(st_dims x, st_dims y) {
    return x.h == y.h && x.w == y.w;
}

/* The branch that differs in rows or columns from most others; of two the second. -1: none does. Of the first of them,
 * so that a refusal costs little. */
static int odd_branch(const st_infer *in) {
    int odd = -1, most = -1, count = in->in_count < ODD_BRANCHES ? in->in_count : ODD_BRANCHES;
    for (int i = 0; i < count; i++) {
        int others = 0;
        for (int j = 0; j < count; j++) {
            others += !same_area(in->in[i], in->in[j]);
        }
        if (others > 0 && others >= most) {
            odd = i;
            most = others;
        }
    }
    return odd;
}

/* The last layer of a branch that changed rows or columns: where to look when branches differ in them. */
static int last_change(const st_build *b, int node) {
    for (int at = node; at != b->before && b->nodes[at].in_count == 1; at = b->nodes[at].in[0]) {
        if (!same_area(b->nodes[at].out, b->nodes[b->nodes[at].in[0]].out)) {
            return at;
        }
    }
    return node;
}

static bool has_param(const st_op *op, const char *name) {
    for (const st_param_spec *spec = op->params; spec < op->params + ST_OP_PARAMS && spec->name != NULL; spec++) {
        if (strcmp(spec->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Of branches that differ in rows or columns: the node that made one of them so; -1: they do not. The input itself is
 * right; what it passes by is at fault. */
static int blamed_node(const reporter *r, const st_infer *in) {
    int odd = odd_branch(in);
    for (int i = in->in_count - 1; odd >= 0 && r->in[odd] == r->b->before && i >= 0; i--) {
        if (r->in[i] != r->b->before && !same_area(in->in[i], in->in[odd])) {
            odd = i;
        }
    }
    return odd < 0 ? -1 : last_change(r->b, r->in[odd]);
}

strata_status st_infer_fail(const st_infer *in, strata_error *err, const char *param, const char *format, ...) {
    const reporter *r = in->reporter;
    const st_origin *origin = r->origin;
    char message[320];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof(message), format, values);
    va_end(values);
    const st_arg *arg = param == NULL ? NULL : find_arg(r, param);
    st_place place = arg != NULL ? arg->value->place : origin->step->name_place;
    int blamed = param == NULL && in->in_count > 1 ? blamed_node(r, in) : -1;
    if (blamed >= 0) {
        origin = &r->b->origins[blamed];
        place = r->b->nodes[blamed].place;
    }
    st_build b = *r->b;
    b.err = err;
    return st_build_fail(&b, origin->frame, place, STRATA_SHAPE, "%s: %s", r->op->name, message);
}

/* ---- hints that need the graph ---- */

/* An odd window that shrank its input: pad keeps the size. */
static bool hint_pad(const st_build *b, int index) {
    const st_node *node = &b->nodes[index];
    int64_t window = b->origins[index].window;
    int64_t shrunk = node->in_count == 1 ? b->nodes[node->in[0]].out.h - node->out.h : 0;
    if (window % 2 == 0 || window == 1 || shrunk != window - 1 || !has_param(node->op, "pad")) {
        return false;
    }
    st_error_hint(b->err, "a %lldx%lld %s keeps its size with pad=%lld", (long long)window, (long long)window,
                  node->op->name, (long long)(window / 2));
    return true;
}

/* After branches did not fit: better than what the layer can say by itself. */
static void hint_branches(const st_build *b, const reporter *r, const st_infer *in) {
    int blamed = blamed_node(r, in);
    if (blamed >= 0) {
        hint_pad(b, blamed);
        return;
    }
    for (int i = 0; i < in->in_count && (r->op->traits & ST_OP_IS_ADD) != 0; i++) {
        int other = i == 0 ? 1 : 0;
        if (r->in[i] == b->before && in->in[i].c != in->in[other].c) {
            st_error_hint(b->err, "branch %d is the input itself; a 1x1 conv with %lld filters would match", i + 1,
                          (long long)in->in[other].c);
        }
    }
}

/* ---- what a layer says, checked ---- */

static strata_status too_large(const reporter *r, const char *what, const int64_t *dims, int rank) {
    st_text text = {0};
    for (int i = 0; i < rank; i++) {
        st_text_add(&text, "%s%lld", i == 0 ? "" : "x", (long long)dims[i]);
    }
    strata_status status =
        st_build_fail(r->b, r->origin->frame, r->origin->step->name_place, STRATA_SHAPE, "%s: %s of %s is too large",
                      r->op->name, what, text.bytes == NULL || text.failed ? "this size" : text.bytes);
    st_text_free(&text);
    return status;
}

static bool product(size_t *out, const int64_t *dims, int rank) {
    *out = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 1 || dims[i] > ST_DIMENSION_LIMIT || !st_size_mul(*out, (size_t)dims[i], out)) {
            return false;
        }
    }
    return *out >> ELEMENT_LIMIT_BITS == 0;
}

static strata_status check_out(const reporter *r, const st_infer *in) {
    int64_t dims[3] = {in->out.h, in->out.w, in->out.c};
    size_t count;
    return product(&count, dims, 3) ? STRATA_OK : too_large(r, "a result", dims, 3);
}

static strata_status add_states(st_build *b, const reporter *r, const st_infer *in, st_node *node) {
    for (int i = 0; i < ST_OP_STATES && r->op->state[i].name != NULL; i++) {
        st_state *state = &node->state[i];
        char *path;
        *state = (st_state){.spec = &r->op->state[i], .dims = in->state[i], .init = r->op->state[i].init};
        if (in->state[i].rank == 0) {
            continue;
        }
        if (!product(&state->count, in->state[i].dims, in->state[i].rank) ||
            !st_size_add(b->parameters, state->count, &b->parameters) || b->parameters >> ELEMENT_LIMIT_BITS != 0) {
            return too_large(r, state->spec->name, in->state[i].dims, in->state[i].rank);
        }
        ST_TRY(st_arena_printf(&path, b->arena, b->err, "%s.%s", node->path, state->spec->name));
        state->path = path;
    }
    return STRATA_OK;
}

static int64_t larger(int64_t x, int64_t y) {
    return x > y ? x : y;
}

/* Pixels of the picture that one element sees, and how many lie between neighbours; 0 once it sees everything. */
static void receptive_field(const st_build *b, const st_infer *in, st_node *node) {
    const int64_t limit = INT64_C(1) << 40;
    int64_t field = 1, stride = 1;
    for (int i = 0; i < node->in_count; i++) {
        const st_node *from = &b->nodes[node->in[i]];
        bool sees_all = from->receptive_field == 0 || field == 0;
        field = sees_all ? 0 : larger(field, from->receptive_field);
        stride = sees_all ? 0 : larger(stride, from->receptive_stride);
    }
    if (in->sees_all || field == 0) {
        return;
    }
    int64_t reach = in->window > 1 ? (in->window - 1) * larger(in->window_dilation, 1) : 0;
    int64_t step = larger(in->window_stride, 1);
    bool fits = reach < limit && step < limit && field < limit && stride < limit &&
                (reach == 0 || stride < limit / reach) && stride < limit / step;
    node->receptive_field = fits ? field + reach * stride : limit;
    node->receptive_stride = fits ? stride * step : limit;
}

static strata_status check_count(const reporter *r, int in_count) {
    if (in_count < r->op->in_min || (r->op->in_max >= 0 && in_count > r->op->in_max)) {
        return st_build_fail(r->b, r->origin->frame, r->origin->step->name_place, STRATA_SYNTAX,
                             "%s takes %s%d branch%s, found %d", r->op->name,
                             in_count < r->op->in_min ? "at least " : "at most ",
                             in_count < r->op->in_min ? r->op->in_min : r->op->in_max,
                             (in_count < r->op->in_min ? r->op->in_min : r->op->in_max) == 1 ? "" : "es", in_count);
    }
    return STRATA_OK;
}

/* Runs the layer's shape function on the shapes of its inputs. */
static strata_status ask(st_infer *out, st_build *b, const reporter *r, const void *params, int in_count) {
    st_dims *dims;
    bool *flat;
    ST_TRY(st_arena_alloc(&dims, b->arena, (size_t)in_count + 1, sizeof(*dims), b->err));
    ST_TRY(st_arena_alloc(&flat, b->arena, (size_t)in_count + 1, sizeof(*flat), b->err));
    for (int i = 0; i < in_count; i++) {
        dims[i] = b->nodes[r->in[i]].out;
        flat[i] = b->nodes[r->in[i]].is_flat;
    }
    *out = (st_infer){.params = params, .in_count = in_count, .in = dims, .in_flat = flat, .reporter = r};
    strata_status status = r->op->shape(out, b->err);
    if (status != STRATA_OK && in_count > 1 && b->err != NULL) {
        hint_branches(b, r, out);
    }
    return status;
}

strata_status st_build_infer(st_build *b, int index) {
    st_node *node = &b->nodes[index];
    reporter r = {.b = b, .origin = &b->origins[index], .op = node->op, .in = node->in};
    st_infer in;
    if ((node->op->traits & ST_OP_IS_MERGE) != 0) {
        ST_TRY(check_count(&r, node->in_count));
    }
    ST_TRY(ask(&in, b, &r, node->params, node->in_count));
    ST_TRY(check_out(&r, &in));
    node->out = in.out;
    node->is_flat = in.out_flat;
    node->multiply_adds = in.multiply_adds;
    b->origins[index].window = in.window;
    for (int i = 0; i < node->in_count; i++) {
        node->is_train_only = node->is_train_only || b->nodes[node->in[i]].is_train_only;
    }
    receptive_field(b, &in, node);
    return add_states(b, &r, &in, node);
}

strata_status st_build_infer_loss(st_build *b, const st_origin *origin, int op_index, int node) {
    const void *params;
    st_infer in;
    reporter r = {.b = b, .origin = origin, .op = st_layer_table[op_index], .in = &node};
    ST_TRY(st_bind_standard(&params, b, op_index));
    return ask(&in, b, &r, params, 1);
}
