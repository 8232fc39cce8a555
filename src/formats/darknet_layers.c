/* darknet's layers in strata's words, and the order of their numbers in a .weights file.
 *
 * What darknet does and a .cfg does not say: pad=1 means size / 2 on each side; a maxpool is padded by size - 1 in all,
 * the smaller half before the image; avgpool is global; leaky is 0.1 x below 0; batch normalization has eps 1e-5.
 * Numbers in the file: biases, then of batch normalization scales, means and variances, then the weights of a
 * convolution; of a dense layer the weights come before batch normalization's.
 *
 * Places of layers count from 0 after [net]; a negative one counts from the layer that says it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/darknet.h"

enum { FILTERS = 1 << 24, WINDOW = 255, STRIDE = 64 };

static const st_cfg_section *section_of(const st_darknet_net *b) {
    return &b->cfg->sections[b->layer + 1];
}

static strata_status fail_here(strata_error *err, const st_darknet_net *b, const char *what) {
    return st_cfg_fail(err, STRATA_UNSUPPORTED, b->cfg, section_of(b)->line, "[%.40s]: %s", section_of(b)->name, what);
}

static strata_status integer(int64_t *out, const st_darknet_net *b, const char *key, int64_t standard, int64_t least,
                             int64_t most, strata_error *err) {
    return st_cfg_integer(out, b->cfg, section_of(b), key, standard, least, most, err);
}

/* A step after `now`; dims and is_flat stay. */
static strata_status step(st_darknet_net *b, const char *words, const char *wish, strata_error *err) {
    return st_net_writer_step(&b->now.id, b->foreign->writer, words, wish, &b->now.id, 1, err);
}

/* ---- activations ---- */

static const struct {
    const char *name, *words; /* words NULL: nothing to do */
} activations[] = {
    {"linear", NULL}, {"relu", "relu"}, {"leaky", "leaky_relu 0.1"}, {"logistic", "sigmoid"}, {"tanh", "tanh"},
};

/* Below ST_COUNT_OF(activations), or that. */
static size_t find_activation(const char *name) {
    size_t at = 0;
    while (at < ST_COUNT_OF(activations) && strcmp(activations[at].name, name) != 0) {
        at++;
    }
    return at;
}

bool st_darknet_has_activation(const char *name) {
    size_t at = find_activation(name);
    bool is_leaky = at < ST_COUNT_OF(activations) && strcmp(activations[at].name, "leaky") == 0;
    return at < ST_COUNT_OF(activations) && (!is_leaky || st_graph_find_op("leaky_relu") != NULL);
}

static strata_status activate(st_darknet_net *b, const char *standard, strata_error *err) {
    const char *words = activations[find_activation(st_cfg_text(section_of(b), "activation", standard))].words;
    return words != NULL ? step(b, words, NULL, err) : STRATA_OK;
}

/* ---- numbers from the file ---- */

/* The next numbers are those of `word` of a step; dims end with 0. */
static strata_status take(st_darknet_net *b, int owner, const char *word, const int64_t *dims, bool is_transposed,
                          strata_error *err) {
    enum { SIDES = 4 };
    st_darknet_values *from = b->values;
    int64_t strides[2] = {1, dims[0]}, *copy = NULL;
    size_t count = 1, bytes = 0;
    int rank = 0;
    for (; rank < SIDES && dims[rank] > 0; rank++) {
        if (!st_size_mul(count, (size_t)dims[rank], &count)) {
            return fail_here(err, b, "its weights are too many to count");
        }
    }
    if (!st_size_mul(count, sizeof(float), &bytes) || bytes > INT64_MAX / 2 || from->missing > INT64_MAX / 2) {
        return fail_here(err, b, "its weights are too many to count");
    }
    if (from->file == NULL) {
        return STRATA_OK;
    }
    if (from->missing > 0 || bytes > from->length - from->at) {
        if (from->missing == 0) {
            from->first_missing = section_of(b)->name;
            from->first_missing_line = section_of(b)->line;
        }
        from->missing += bytes - (from->length - from->at);
        from->at = from->length;
        return STRATA_OK;
    }
    if (is_transposed) {
        ST_TRY(st_arena_alloc(&copy, b->foreign->arena, 2, sizeof *copy, err));
        memcpy(copy, strides, sizeof strides);
    }
    st_tensor tensor = {
        .stored = ST_STORED_F32, .rank = rank, .dims = dims, .count = count, .offset = from->at, .strides = copy};
    from->at += bytes;
    return st_foreign_state_add(b->foreign, owner, word, &tensor, err);
}

static strata_status take_norm(st_darknet_net *b, int norm, int64_t channels, strata_error *err) {
    static const char *const words[] = {"weight", "running_mean", "running_var"};
    for (size_t i = 0; i < ST_COUNT_OF(words); i++) {
        ST_TRY(take(b, norm, words[i], (int64_t[]){channels, 0}, false, err));
    }
    return STRATA_OK;
}

/* The step of a layer with weights, with its batch normalization; *norm -1: it has none. */
static strata_status weighted_step(st_darknet_net *b, int *own, int *norm, const char *words, const char *label,
                                   int number, strata_error *err) {
    char wish[32];
    snprintf(wish, sizeof wish, "%s%d", label, number);
    ST_TRY(step(b, words, wish, err));
    *own = b->now.id;
    if (*norm >= 0) {
        snprintf(wish, sizeof wish, "%sbn%d", strcmp(label, "fc") == 0 ? "fc_" : "", number);
        ST_TRY(step(b, "bn", wish, err));
        *norm = b->now.id;
    }
    return STRATA_OK;
}

/* ---- layers with weights ---- */

static strata_status read_convolution(st_foreign_conv *conv, const st_darknet_net *b, strata_error *err) {
    int64_t stride = 1, is_padded = 0, pad = 0, has_norm = 0;
    ST_TRY(integer(&conv->filters, b, "filters", 1, 1, FILTERS, err));
    ST_TRY(integer(&conv->kernel[0], b, "size", 1, 1, WINDOW, err));
    ST_TRY(integer(&stride, b, "stride", 1, 1, STRIDE, err));
    ST_TRY(integer(&conv->stride[0], b, "stride_y", stride, 1, STRIDE, err));
    ST_TRY(integer(&conv->stride[1], b, "stride_x", stride, 1, STRIDE, err));
    ST_TRY(integer(&is_padded, b, "pad", 0, 0, INT32_MAX, err));
    ST_TRY(integer(&pad, b, "padding", 0, 0, WINDOW, err));
    ST_TRY(integer(&conv->groups, b, "groups", 1, 1, FILTERS, err));
    ST_TRY(integer(&has_norm, b, "batch_normalize", 0, 0, 1, err));
    conv->kernel[1] = conv->kernel[0];
    conv->pad[0] = conv->pad[1] = is_padded > 0 ? conv->kernel[0] / 2 : pad;
    conv->dilation[0] = conv->dilation[1] = 1;
    conv->has_bias = has_norm == 0;
    return STRATA_OK;
}

static strata_status build_convolution(st_darknet_net *b, strata_error *err) {
    st_foreign_conv conv;
    char words[ST_FOREIGN_WORDS];
    int64_t channels = b->now.dims.c;
    ST_TRY(read_convolution(&conv, b, err));
    if (b->now.is_flat || !st_foreign_conv_dims(&b->now.dims, &conv, b->now.dims)) {
        return fail_here(err, b,
                         b->now.is_flat ? "it comes after a dense layer" : "its window is larger than what it sees");
    }
    if (channels % conv.groups != 0 || conv.filters % conv.groups != 0) {
        return st_cfg_fail(err, STRATA_FORMAT, b->cfg, section_of(b)->line,
                           "[convolutional]: %" PRId64 " channels and %" PRId64 " filters do not divide into %" PRId64
                           " groups",
                           channels, conv.filters, conv.groups);
    }
    int own = -1, norm = conv.has_bias ? -1 : 0;
    st_foreign_conv_words(words, &conv);
    ST_TRY(weighted_step(b, &own, &norm, words, "conv", ++b->convolutions, err));
    ST_TRY(take(b, norm < 0 ? own : norm, "bias", (int64_t[]){conv.filters, 0}, false, err));
    if (norm >= 0) {
        ST_TRY(take_norm(b, norm, conv.filters, err));
    }
    const int64_t dims[] = {conv.filters, channels / conv.groups, conv.kernel[0], conv.kernel[1]};
    ST_TRY(take(b, own, "weight", dims, false, err));
    return activate(b, "logistic", err);
}

static strata_status build_dense(st_darknet_net *b, strata_error *err) {
    char words[64];
    int64_t outputs = 1, has_norm = 0;
    size_t inputs = 0;
    ST_TRY(integer(&outputs, b, "output", 1, 1, FILTERS, err));
    ST_TRY(integer(&has_norm, b, "batch_normalize", 0, 0, 1, err));
    if (!st_size_mul((size_t)b->now.dims.h, (size_t)b->now.dims.w, &inputs) ||
        !st_size_mul(inputs, (size_t)b->now.dims.c, &inputs) || inputs > INT32_MAX) {
        return fail_here(err, b, "its inputs are too many to count");
    }
    int own = -1, norm = has_norm ? 0 : -1;
    snprintf(words, sizeof words, "fc %" PRId64 "%s", outputs, has_norm ? " bias=no" : "");
    ST_TRY(weighted_step(b, &own, &norm, words, "fc", ++b->dense, err));
    b->now.dims = (st_dims){.h = 1, .w = 1, .c = outputs};
    b->now.is_flat = true;
    ST_TRY(take(b, norm < 0 ? own : norm, "bias", (int64_t[]){outputs, 0}, false, err));
    ST_TRY(take(b, own, "weight", (int64_t[]){outputs, (int64_t)inputs, 0}, b->values->is_transposed, err));
    if (norm >= 0) {
        ST_TRY(take_norm(b, norm, outputs, err));
    }
    return activate(b, "logistic", err);
}

/* ---- layers without ---- */

static strata_status build_maxpool(st_darknet_net *b, strata_error *err) {
    int64_t stride = 1, size = 1, padding = 0, strides[2] = {1, 1};
    const int64_t sides[2] = {b->now.dims.h, b->now.dims.w};
    st_foreign_axis axes[2];
    ST_TRY(integer(&stride, b, "stride", 1, 1, WINDOW, err));
    ST_TRY(integer(&strides[0], b, "stride_y", stride, 1, WINDOW, err));
    ST_TRY(integer(&strides[1], b, "stride_x", stride, 1, WINDOW, err));
    ST_TRY(integer(&size, b, "size", stride, 1, WINDOW, err));
    ST_TRY(integer(&padding, b, "padding", size - 1, 0, WINDOW, err));
    for (int i = 0; i < 2; i++) {
        int64_t room = sides[i] + padding - size;
        if (room < 0 || b->now.is_flat) {
            return fail_here(err, b,
                             room < 0 ? "its window is larger than what it sees" : "it comes after a dense layer");
        }
        axes[i] = (st_foreign_axis){.size = sides[i],
                                    .kernel = size,
                                    .stride = strides[i],
                                    .before = padding / 2,
                                    .count = room / strides[i] + 1};
    }
    char words[ST_FOREIGN_WORDS], whole[ST_FOREIGN_WORDS + 16];
    if (!st_foreign_pool(words, axes, false)) {
        return fail_here(err, b, "strata has no window with this size, stride and padding");
    }
    snprintf(whole, sizeof whole, "maxpool %s", words);
    b->now.dims.h = axes[0].count;
    b->now.dims.w = axes[1].count;
    return step(b, whole, NULL, err);
}

static strata_status build_average(st_darknet_net *b, strata_error *err) {
    if (b->now.is_flat) {
        return STRATA_OK; /* of one value each */
    }
    b->now.dims.h = b->now.dims.w = 1;
    return step(b, "avgpool global", NULL, err);
}

static strata_status build_softmax(st_darknet_net *b, strata_error *err) {
    if (b->layer >= b->end) {
        return STRATA_OK;
    }
    if (b->now.dims.h != 1 || b->now.dims.w != 1) {
        return fail_here(err, b, "over rows and columns, in the middle of a net");
    }
    return step(b, "softmax", NULL, err);
}

static strata_status build_nothing(st_darknet_net *b, strata_error *err) {
    (void)b, (void)err;
    return STRATA_OK;
}

static strata_status build_activation(st_darknet_net *b, strata_error *err) {
    return activate(b, "linear", err);
}

static strata_status build_dropout(st_darknet_net *b, strata_error *err) {
    double rate = 0.5;
    char words[64], number[ST_FOREIGN_NUMBER];
    ST_TRY(st_cfg_real(&rate, b->cfg, section_of(b), "probability", rate, err));
    if (!(rate > 0.0)) {
        return STRATA_OK;
    }
    st_foreign_number(number, (float)rate);
    snprintf(words, sizeof words, "dropout %s", number);
    return step(b, words, NULL, err);
}

/* The value that a number in `from` or `layers` means. */
static strata_status find_layer(st_foreign_value *out, const st_darknet_net *b, int64_t number, strata_error *err) {
    int64_t at = number < 0 ? (int64_t)b->layer + number : number;
    if (at < 0 || at >= (int64_t)b->layer) {
        return st_cfg_fail(err, STRATA_FORMAT, b->cfg, section_of(b)->line,
                           "[%.40s]: %" PRId64 " is none of the %zu layers before it", section_of(b)->name, number,
                           b->layer);
    }
    *out = b->layers[at];
    return STRATA_OK;
}

/* The layers of a list, after `held` places at the front of *ids. */
static strata_status gather(st_darknet_net *b, const char *key, size_t held, int **ids, st_foreign_value **values,
                            size_t *count, strata_error *err) {
    int64_t *numbers = NULL;
    ST_TRY(st_cfg_list(&numbers, count, b->foreign->arena, b->cfg, section_of(b), key, err));
    ST_TRY(st_arena_alloc(values, b->foreign->arena, *count, sizeof **values, err));
    ST_TRY(st_arena_alloc(ids, b->foreign->arena, *count + held, sizeof **ids, err));
    for (size_t i = 0; i < *count; i++) {
        ST_TRY(find_layer(&(*values)[i], b, numbers[i], err));
        (*ids)[held + i] = (*values)[i].id;
    }
    return STRATA_OK;
}

static strata_status fail_shapes(strata_error *err, const st_darknet_net *b, const st_foreign_value *one,
                                 const st_foreign_value *other) {
    return st_cfg_fail(err, STRATA_UNSUPPORTED, b->cfg, section_of(b)->line,
                       "[%.40s]: joins %" PRId64 "x%" PRId64 "x%" PRId64 " and %" PRId64 "x%" PRId64 "x%" PRId64,
                       section_of(b)->name, one->dims.h, one->dims.w, one->dims.c, other->dims.h, other->dims.w,
                       other->dims.c);
}

static strata_status build_route(st_darknet_net *b, strata_error *err) {
    int *ids = NULL;
    size_t count = 0;
    int64_t channels = 0;
    st_foreign_value *values = NULL;
    ST_TRY(gather(b, "layers", 0, &ids, &values, &count, err));
    for (size_t i = 0; i < count; i++) {
        channels += values[i].dims.c;
        if (values[i].dims.h != values[0].dims.h || values[i].dims.w != values[0].dims.w ||
            values[i].is_flat != values[0].is_flat) {
            return fail_shapes(err, b, &values[0], &values[i]);
        }
        if (channels > ST_DIMENSION_LIMIT) {
            return fail_here(err, b, "its channels are too many to count");
        }
    }
    b->now = values[0];
    b->now.dims.c = channels;
    return count == 1 ? STRATA_OK : st_net_writer_step(&b->now.id, b->foreign->writer, "concat", NULL, ids, count, err);
}

static strata_status build_shortcut(st_darknet_net *b, strata_error *err) {
    int *ids = NULL;
    size_t count = 0;
    st_foreign_value *values = NULL;
    ST_TRY(gather(b, "from", 1, &ids, &values, &count, err));
    ids[0] = b->now.id;
    for (size_t i = 0; i < count; i++) {
        st_dims one = b->now.dims, other = values[i].dims;
        if (one.h != other.h || one.w != other.w || one.c != other.c || b->now.is_flat != values[i].is_flat) {
            return fail_shapes(err, b, &b->now, &values[i]);
        }
    }
    ST_TRY(st_net_writer_step(&b->now.id, b->foreign->writer, "add", NULL, ids, count + 1, err));
    return activate(b, "linear", err);
}

static const st_darknet_kind kinds[] = {
    {{"convolutional", "conv"}, build_convolution, "logistic"},
    {{"connected", "conn"}, build_dense, "logistic"},
    {{"maxpool", "max"}, build_maxpool, NULL},
    {{"avgpool", "avg"}, build_average, NULL},
    {{"softmax", "soft"}, build_softmax, NULL},
    {{"dropout", NULL}, build_dropout, NULL},
    {{"route", NULL}, build_route, NULL},
    {{"shortcut", NULL}, build_shortcut, "linear"},
    {{"activation", NULL}, build_activation, "linear"},
    {{"cost", NULL}, build_nothing, NULL},
    {{"crop", NULL}, build_nothing, NULL}, /* the first layer: part of the input line */
};

const st_darknet_kind *st_darknet_kind_of(const char *name) {
    for (size_t i = 0; i < ST_COUNT_OF(kinds); i++) {
        if (strcmp(kinds[i].names[0], name) == 0 ||
            (kinds[i].names[1] != NULL && strcmp(kinds[i].names[1], name) == 0)) {
            return &kinds[i];
        }
    }
    return NULL;
}
