/* conv_table: a convolution in which each filter sees the input channels that a table lists for it: LeNet-5's C3.
 *
 * It runs as conv does: conv's own phases, over dense weights that are zero where nothing is connected. After conv's
 * backward pass a phase of this file clears the gradient of what is not connected, so no optimizer ever moves it. The
 * published weights are the connected ones alone, [connections][rows][columns] in the order of the table. */
#include <string.h>

#include "layers/layers.h"

/* conv's params are what conv's functions see; of them filters, dilation and groups are not written in the file. */
typedef struct table_params {
    st_conv_params conv;
    const char *connections;
} table_params;

enum { TABLE_CHANNELS = 36, TABLE_FILTERS = 1 << 16 };

/* ---- the table ---- */

/* The input channel that a character names; -1: none. */
static int channel_of(char character) {
    static const char names[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const char *at = character == '\0' ? NULL : strchr(names, character);
    return at == NULL ? -1 : (int)(at - names);
}

/* The filter's word, from *at on; NULL: no more. Moves *at behind it. */
static const char *next_word(const char **at, size_t *length) {
    const char *word = *at + strspn(*at, " ");
    *length = strcspn(word, " ");
    *at = word + *length;
    return *length == 0 ? NULL : word;
}

/* "3 filters, 8 connections" of a text that may be wrong. */
typedef struct table_size {
    int64_t filters, connections;
} table_size;

static table_size size_of(const char *text) {
    table_size size = {0};
    size_t length;
    while (next_word(&text, &length) != NULL) {
        size.filters++;
        size.connections += (int64_t)length;
    }
    return size;
}

static strata_status check_word(const st_infer *in, const char *word, size_t length, int64_t filter,
                                strata_error *err) {
    uint64_t seen = 0;
    int shown = length < 40 ? (int)length : 40;
    for (size_t i = 0; i < length; i++) {
        int channel = channel_of(word[i]);
        if (channel < 0) {
            strata_status status =
                st_infer_fail(in, err, "connections", "'%c' in '%.*s', of filter %lld, names no channel", word[i],
                              shown, word, (long long)filter);
            st_error_hint(err, "channels are 0 to 9, then a for 10 to z for 35");
            return status;
        }
        if (channel >= in->in[0].c) {
            return st_infer_fail(in, err, "connections",
                                 "'%.*s', of filter %lld, asks for channel %d, but %lld come in, from 0 on", shown,
                                 word, (long long)filter, channel, (long long)in->in[0].c);
        }
        if ((seen >> channel & 1) != 0) {
            return st_infer_fail(in, err, "connections", "'%.*s', of filter %lld, names channel %d twice", shown, word,
                                 (long long)filter, channel);
        }
        seen |= UINT64_C(1) << channel;
    }
    return STRATA_OK;
}

static strata_status check_table(const st_infer *in, table_size size, strata_error *err) {
    const table_params *params = in->params;
    if (size.filters == 0 || size.filters > TABLE_FILTERS) {
        strata_status status =
            st_infer_fail(in, err, "connections", "needs one word for each of 1 to %d filters", TABLE_FILTERS);
        st_error_hint(err, "\"01 12 02\": three filters that see two channels each");
        return status;
    }
    if (in->in[0].c > TABLE_CHANNELS) {
        return st_infer_fail(in, err, NULL, "a table can name %d channels, %lld come in", TABLE_CHANNELS,
                             (long long)in->in[0].c);
    }
    const char *at = params->connections, *word;
    size_t length;
    for (int64_t filter = 0; (word = next_word(&at, &length)) != NULL; filter++) {
        ST_TRY(check_word(in, word, length, filter, err));
    }
    return STRATA_OK;
}

/* ---- shape ---- */

static strata_status shape(st_infer *in, strata_error *err) {
    const table_params *params = in->params;
    st_window_params geometry = {.kernel = params->conv.kernel, .stride = params->conv.stride, .pad = params->conv.pad};
    st_window window;
    table_size size = size_of(params->connections);
    ST_TRY(st_window_infer(&window, in, &geometry, err));
    ST_TRY(check_table(in, size, err));
    int64_t taps = window.r * window.s;
    if (!st_layer_product(&in->multiply_adds, (int64_t[]){size.connections, taps, window.p, window.q}, 4)) {
        return st_infer_fail(in, err, "kernel", "%lld connections of %lldx%lld are too many to count",
                             (long long)size.connections, (long long)window.r, (long long)window.s);
    }
    in->out = (st_dims){.h = window.p, .w = window.q, .c = size.filters};
    /* Filters see different numbers of channels: the mean, rounded. */
    int64_t fan_in = (size.connections * taps + size.filters / 2) / size.filters;
    int64_t fan_out = (size.connections * taps + in->in[0].c / 2) / in->in[0].c;
    in->state[ST_CONV_WEIGHT] = (st_state_dims){
        .rank = 3, .dims = {size.connections, window.r, window.s}, .fan_in = fan_in, .fan_out = fan_out};
    if (params->conv.bias) {
        in->state[ST_CONV_BIAS] =
            (st_state_dims){.rank = 1, .dims = {size.filters}, .fan_in = fan_in, .fan_out = fan_out};
    }
    in->window = window.r > window.s ? window.r : window.s;
    in->window_stride = window.stride_h > window.stride_w ? window.stride_h : window.stride_w;
    return STRATA_OK;
}

/* ---- the same layer as a dense convolution ---- */

typedef struct dense {
    st_conv_params params;
    st_state_dims state[ST_OP_STATES];
    st_site site;
    st_call call;
} dense;

static const st_site *dense_site(dense *to, const st_site *site) {
    const table_params *params = site->params;
    to->params = params->conv;
    to->params.filters = site->out.c;
    to->params.dilation[0] = to->params.dilation[1] = 1;
    to->params.groups = 1;
    memcpy(to->state, site->state, sizeof to->state);
    to->state[ST_CONV_WEIGHT].rank = 4;
    memcpy(to->state[ST_CONV_WEIGHT].dims,
           (int64_t[]){site->out.c, site->in[0].c, params->conv.kernel[0], params->conv.kernel[1]},
           sizeof to->state[ST_CONV_WEIGHT].dims);
    to->site = *site;
    to->site.params = &to->params;
    to->site.state = to->state;
    return &to->site;
}

static const st_call *dense_call(dense *to, const st_call *call) {
    to->call = *call;
    to->call.site = dense_site(to, call->site);
    return &to->call;
}

/* ---- weights ---- */

typedef st_conv_place place_function(const st_site *site, int64_t k, int64_t c);

static place_function *place_in(st_layout layout) {
    return layout == ST_LAYOUT_LANES ? st_conv_lanes_place : st_conv_nhwc_place;
}

static void move_weights(const st_site *site, const st_real *from, st_real *to, bool packs) {
    const table_params *params = site->params;
    dense as;
    const st_site *whole = dense_site(&as, site);
    const char *at = params->connections, *word;
    int64_t taps = params->conv.kernel[0] * params->conv.kernel[1], published = 0;
    size_t length;
    for (int64_t k = 0; (word = next_word(&at, &length)) != NULL; k++) {
        for (size_t i = 0; i < length; i++) {
            st_conv_place place = place_in(site->layout)(whole, k, channel_of(word[i]));
            for (int64_t tap = 0; tap < taps; tap++, published++) {
                int64_t native = place.first + tap * place.step;
                to[packs ? native : published] = from[packs ? published : native];
            }
        }
    }
}

static const st_impl *conv_in(st_layout layout) {
    return layout == ST_LAYOUT_LANES ? &st_conv_lanes : &st_conv_nhwc;
}

static size_t state_count(const st_site *site, int state) {
    dense as;
    return conv_in(site->layout)->state_count(dense_site(&as, site), state);
}

static void pack(const st_site *site, int state, const st_real *published, st_real *native) {
    dense as;
    if (state != ST_CONV_WEIGHT) {
        conv_in(site->layout)->pack(dense_site(&as, site), state, published, native);
        return;
    }
    memset(native, 0, state_count(site, state) * sizeof(st_real));
    move_weights(site, published, native, true);
}

static void unpack(const st_site *site, int state, const st_real *native, st_real *published) {
    dense as;
    if (state != ST_CONV_WEIGHT) {
        conv_in(site->layout)->unpack(dense_site(&as, site), state, native, published);
        return;
    }
    move_weights(site, native, published, false);
}

/* ---- running ---- */

static strata_status prepare(const st_site *site, st_needs *needs, strata_error *err) {
    dense as;
    return conv_in(site->layout)->prepare(dense_site(&as, site), needs, err);
}

/* A phase of conv as one of this layer: what it runs, and its items where it is not by image. */
#define CONV_RUN(name, phase)                                                                                          \
    static void name(const st_call *call, int64_t item, void *scratch) {                                               \
        dense as;                                                                                                      \
        (phase)->run(dense_call(&as, call), item, scratch);                                                            \
    }
#define CONV_ITEMS(name, phase)                                                                                        \
    static int64_t name(const st_call *call) {                                                                         \
        dense as;                                                                                                      \
        return (phase)->items(dense_call(&as, call));                                                                  \
    }
CONV_RUN(nhwc_forward, &st_conv_nhwc.forward[ST_CONV_FORWARD])
CONV_ITEMS(nhwc_forward_items, &st_conv_nhwc.forward[ST_CONV_FORWARD])
CONV_RUN(nhwc_turn, &st_conv_nhwc.backward[ST_CONV_NHWC_TURN])
CONV_ITEMS(nhwc_turn_items, &st_conv_nhwc.backward[ST_CONV_NHWC_TURN])
CONV_RUN(nhwc_backward, &st_conv_nhwc.backward[ST_CONV_NHWC_BACKWARD])
CONV_ITEMS(nhwc_backward_items, &st_conv_nhwc.backward[ST_CONV_NHWC_BACKWARD])
CONV_RUN(nhwc_merge, &st_conv_nhwc.backward[ST_CONV_NHWC_MERGE])
CONV_ITEMS(nhwc_merge_items, &st_conv_nhwc.backward[ST_CONV_NHWC_MERGE])
CONV_RUN(lanes_forward, &st_conv_lanes.forward[ST_CONV_FORWARD])
CONV_RUN(lanes_backward, &st_conv_lanes.backward[ST_CONV_LANES_BACKWARD])
CONV_RUN(lanes_sum, &st_conv_lanes.backward[ST_CONV_LANES_SUM])
CONV_ITEMS(lanes_sum_items, &st_conv_lanes.backward[ST_CONV_LANES_SUM])

/* One item: the gradient of what is not connected. */
static int64_t clear_items(const st_call *call) {
    return call->dstate[ST_CONV_WEIGHT] != NULL;
}

static void clear_unconnected(const st_call *call, int64_t item, void *scratch) {
    (void)item, (void)scratch;
    const table_params *params = call->site->params;
    dense as;
    const st_site *whole = dense_site(&as, call->site);
    const char *at = params->connections, *word;
    int64_t taps = params->conv.kernel[0] * params->conv.kernel[1];
    size_t length;
    for (int64_t k = 0; (word = next_word(&at, &length)) != NULL; k++) {
        uint64_t connected = 0;
        for (size_t i = 0; i < length; i++) {
            connected |= UINT64_C(1) << channel_of(word[i]);
        }
        for (int64_t c = 0; c < call->site->in[0].c; c++) {
            st_conv_place place = place_in(call->site->layout)(whole, k, c);
            for (int64_t tap = 0; tap < taps && (connected >> c & 1) == 0; tap++) {
                call->dstate[ST_CONV_WEIGHT][place.first + tap * place.step] = 0;
            }
        }
    }
}

/* tests/test_layers.c holds these phases against conv's. */
static const st_impl nhwc = {
    .prepare = prepare,
    .forward = {{.items = nhwc_forward_items, .run = nhwc_forward}},
    .backward = {{.items = nhwc_turn_items, .run = nhwc_turn},
                 {.items = nhwc_backward_items, .run = nhwc_backward},
                 {.items = nhwc_merge_items, .run = nhwc_merge},
                 {.items = clear_items, .run = clear_unconnected, .only_states = true}},
    .fuses_epilogue = true,
    .backward_reads = ST_READS_IN,
    .reads_strided = true,
    .writes_strided = true,
    .state_count = state_count,
    .pack = pack,
    .unpack = unpack,
};

static const st_impl lanes = {
    .prepare = prepare,
    .forward = {{.run = lanes_forward, .by_image = true}},
    .backward = {{.run = lanes_backward, .by_image = true},
                 {.items = lanes_sum_items, .run = lanes_sum, .only_states = true},
                 {.items = clear_items, .run = clear_unconnected, .only_states = true}},
    .fuses_epilogue = true,
    .backward_reads = ST_READS_IN,
    .reads_strided = true,
    .writes_strided = true,
    .state_count = state_count,
    .pack = pack,
    .unpack = unpack,
};

/* ---- reference: connection by connection ---- */

static double reference_output(const st_call *call, const st_window *window, int64_t n, int64_t p, int64_t q, int64_t c,
                               const st_real *weight) {
    st_dims dims = call->site->in[0];
    const st_real *x = call->in[0].data;
    double sum = 0;
    for (int64_t r = 0; r < window->r; r++) {
        for (int64_t s = 0; s < window->s; s++) {
            int64_t h = p * window->stride_h + r - window->pad_top, w = q * window->stride_w + s - window->pad_left;
            if (h >= 0 && h < dims.h && w >= 0 && w < dims.w) {
                sum += (double)x[((n * dims.h + h) * dims.w + w) * dims.c + c] * (double)weight[r * window->s + s];
            }
        }
    }
    return sum;
}

static void reference(const st_call *call) {
    const table_params *params = call->site->params;
    dense as;
    st_window window = st_conv_window(dense_site(&as, call->site));
    int64_t pixels = call->run->n * window.p * window.q, filters = call->out.dims.c;
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        int64_t n = pixel / (window.p * window.q), p = pixel / window.q % window.p, q = pixel % window.q;
        const st_real *weight = call->state[ST_CONV_WEIGHT];
        const char *at = params->connections, *word;
        size_t length;
        for (int64_t k = 0; (word = next_word(&at, &length)) != NULL; k++) {
            double sum = call->state[ST_CONV_BIAS] == NULL ? 0 : (double)call->state[ST_CONV_BIAS][k];
            for (size_t i = 0; i < length; i++, weight += window.r * window.s) {
                sum += reference_output(call, &window, n, p, q, channel_of(word[i]), weight);
            }
            ((st_real *)call->out.data)[pixel * filters + k] = (st_real)sum;
        }
    }
}

#define LENET_C3 "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"

static void spread_weights(const st_site *site, const st_real *published, st_real *out) {
    const table_params *params = site->params;
    const char *at = params->connections, *word;
    int64_t taps = params->conv.kernel[0] * params->conv.kernel[1];
    size_t length;
    for (int64_t k = 0; (word = next_word(&at, &length)) != NULL; k++) {
        for (size_t i = 0; i < length; i++, published += taps) {
            memcpy(out + (k * site->in[0].c + channel_of(word[i])) * taps, published, (size_t)taps * sizeof *out);
        }
    }
}

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    const table_params *params = site->params;
    dense as;
    st_window window = st_conv_window(dense_site(&as, site));
    st_onnx_node *node = st_onnx_add(out, "Conv");
    st_onnx_set_window(node, &window);
    st_onnx_operand *weight = st_onnx_read_state(node, ST_CONV_WEIGHT);
    weight->spread = spread_weights;
    weight->rank = as.state[ST_CONV_WEIGHT].rank;
    memcpy(weight->dims, as.state[ST_CONV_WEIGHT].dims, sizeof weight->dims);
    if (params->conv.bias) {
        st_onnx_read_state(node, ST_CONV_BIAS);
    }
    return STRATA_OK;
}

const st_op st_op_conv_table = {
    .name = "conv_table",
    .summary = "convolution whose filters each see the channels that a table lists",
    .source = "LeCun, Bottou, Bengio, Haffner 1998, section II.B, table I",
    .examples = "input 14x14x6, conv_table 5x5 \"" LENET_C3 "\"\n"
                "input 7x9x3, conv_table 3x3 \"01 2 20 120\" pad=1 stride=2x1\n"
                "input 6x5x12, conv_table 3x2 connections=\"0b 123456789a 5\" bias=no pad=same\n"
                "input 5x5x2, conv_table 1x1 \"1 0 01\", scaled_tanh\n",
    .notes =
        "The table has a word for each filter, and each character of the word is an input channel: 0 to 9, then a\n"
        "for 10 to z for 35. \"01 12 02\" are three filters that see two channels each. LeNet-5's C3, 60\n"
        "connections and 1,516 parameters:\n"
        "    conv_table 5x5 \"" LENET_C3 "\"\n"
        "Weights are [connections][rows][columns] in the order of the table, and only what is connected is\n"
        "stored, counted and trained; it takes the time of a full convolution.",
    .params = {{.name = "kernel",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(table_params, conv.kernel),
                .is_positional = true,
                .minimum = 1,
                .maximum = 255,
                .meaning = "rows x columns of the window; one number is a square"},
               {.name = "connections",
                .kind = ST_PARAM_TEXT,
                .offset = offsetof(table_params, connections),
                .is_positional = true,
                .meaning = "the channels that each filter sees: \"01 12 02\""},
               {.name = "stride",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(table_params, conv.stride),
                .standard = "1",
                .minimum = 1,
                .maximum = 64,
                .meaning = "step of the window, rows x columns"},
               {.name = "pad",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(table_params, conv.pad),
                .standard = "0",
                .minimum = 0,
                .maximum = 255,
                .words = "same",
                .meaning = "zeros around the image on each side, or same"},
               {.name = "bias",
                .kind = ST_PARAM_FLAG,
                .offset = offsetof(table_params, conv.bias),
                .standard = "yes",
                .meaning = "adds a trained number to each output channel"},
               {.name = "init",
                .kind = ST_PARAM_CHOICE,
                .offset = offsetof(table_params, conv.init),
                .standard = "auto",
                .words = ST_INIT_WORDS,
                .meaning = "how weights begin; auto: he before relu, else xavier"}},
    .params_size = sizeof(table_params),
    .init_param_offset = offsetof(table_params, conv.init),
    .state =
        {[ST_CONV_WEIGHT] = {.name = "weight", .is_trained = true, .is_decayed = true, .init = ST_INIT_XAVIER_UNIFORM},
         [ST_CONV_BIAS] = {.name = "bias", .is_trained = true, .is_shift = true, .init = ST_INIT_ZERO}},
    .in_min = 1,
    .in_max = 1,
    .kind = STRATA_LAYER_CONV,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &nhwc, [ST_LAYOUT_LANES] = &lanes},
    .reference = reference,
    .to_onnx = to_onnx,
};
