/* Caffe's layers in strata's words. What Caffe does and its files do not say: convolutions round the number of windows
 * down, pooling up; a mean counts the padding that lies within the padded image; lrn divides alpha by its size; batch
 * normalization keeps sums and the number that they are to be divided by, and scales in a layer of its own. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/table.h"

#ifdef ST_WITH_PROTOBUF
#include "formats/caffe.h"

/* ---- for both files of layers ---- */

strata_status st_caffe_fail(strata_error *err, strata_status status, const st_caffe_step *step, const char *format,
                            ...) {
    char message[256];
    va_list values;
    va_start(values, format);
    st_text_print(message, sizeof message, format, values);
    va_end(values);
    return st_fail_file(err, status, step->file->path, "layer '%.64s': %s", step->layer->name, message);
}

strata_status st_caffe_add(st_caffe_step *step, const char *words, const char *wish, strata_error *err) {
    int *ids = NULL;
    ST_TRY(st_arena_alloc(&ids, step->foreign->arena, step->in_count, sizeof *ids, err));
    for (size_t i = 0; i < step->in_count; i++) {
        ids[i] = step->in[i].id;
    }
    return st_net_writer_step(&step->out.id, step->foreign->writer, words, wish, ids, step->in_count, err);
}

/* One of: two fields, a list of one or two numbers, the standard. */
strata_status st_caffe_pair(int64_t out[2], const st_caffe_step *step, const char *what, bool has_both, uint32_t rows,
                            uint32_t columns, const uint32_t *list, size_t count, int64_t standard, int64_t least,
                            strata_error *err) {
    out[0] = has_both ? (int64_t)rows : count > 0 ? (int64_t)list[0] : standard;
    out[1] = has_both ? (int64_t)columns : count > 1 ? (int64_t)list[1] : out[0];
    if (count > 2 || out[0] < least || out[1] < least) {
        return st_caffe_fail(err, STRATA_FORMAT, step, "%s %" PRId64 "x%" PRId64 ", expected two numbers from %" PRId64,
                             what, out[0], out[1], least);
    }
    return STRATA_OK;
}

bool st_caffe_count(int64_t *out, st_dims dims) {
    size_t count = 0;
    bool fits = st_size_mul((size_t)dims.h, (size_t)dims.w, &count) && st_size_mul(count, (size_t)dims.c, &count);
    *out = (int64_t)count;
    return fits && count <= INT32_MAX;
}

void st_caffe_key(st_text *text, const char *key, float value, float standard) {
    char number[ST_FOREIGN_NUMBER];
    if (value != standard) {
        st_foreign_number(number, value);
        st_text_add(text, " %s=%s", key, number);
    }
}

/* A step whose words are in a text; gives the text back. */
strata_status st_caffe_add_text(st_caffe_step *step, st_text *text, const char *wish, strata_error *err) {
    char *words = NULL;
    ST_TRY(st_text_finish(&words, text, err));
    strata_status status = st_caffe_add(step, words, wish, err);
    strata_text_free(words);
    return status;
}

/* ---- Pooling, LRN ---- */

/* Caffe's number of windows. */
static int64_t count_windows(int64_t size, int64_t kernel, int64_t stride, int64_t pad, bool is_padded,
                             bool rounds_down) {
    int64_t room = size + 2 * pad - kernel;
    int64_t steps = room >= 0                 ? (room + (rounds_down ? 0 : stride - 1)) / stride
                    : room < 0 && rounds_down ? -1
                                              : room / stride;
    int64_t count = steps + 1;
    return is_padded && (count - 1) * stride >= size + pad ? count - 1 : count;
}

static strata_status read_pooling(st_foreign_axis axes[2], const st_caffe_step *step, strata_error *err) {
    const Caffe__PoolingParameter *says = step->layer->says->pooling_param;
    int64_t kernel[2] = {0, 0}, stride[2] = {0, 0}, pad[2] = {0, 0};
    const int64_t sides[2] = {step->in[0].dims.h, step->in[0].dims.w};
    if (says == NULL) {
        return st_caffe_fail(err, STRATA_FORMAT, step, "it has no pooling_param");
    }
    ST_TRY(st_caffe_pair(kernel, step, "kernel", says->has_kernel_h && says->has_kernel_w, says->kernel_h,
                         says->kernel_w, &says->kernel_size, says->has_kernel_size ? 1 : 0, 0, 1, err));
    ST_TRY(st_caffe_pair(stride, step, "stride", says->has_stride_h && says->has_stride_w, says->stride_h,
                         says->stride_w, &says->stride, 1, 1, 1, err));
    ST_TRY(st_caffe_pair(pad, step, "pad", says->has_pad_h && says->has_pad_w, says->pad_h, says->pad_w, &says->pad, 1,
                         0, 0, err));
    for (int i = 0; i < 2; i++) {
        axes[i] = (st_foreign_axis){
            .size = sides[i], .kernel = kernel[i], .stride = stride[i], .before = pad[i], .after = pad[i]};
        axes[i].count = count_windows(sides[i], kernel[i], stride[i], pad[i], pad[0] > 0 || pad[1] > 0,
                                      says->has_round_mode && says->round_mode == 1);
        if (axes[i].count < 1) {
            return st_caffe_fail(err, STRATA_FORMAT, step, "its window is larger than what it sees");
        }
    }
    return STRATA_OK;
}

static strata_status write_pooling(st_caffe_step *step, strata_error *err) {
    const Caffe__PoolingParameter *says = step->layer->says->pooling_param;
    bool is_mean = says != NULL && says->has_pool && says->pool == 1;
    char words[ST_FOREIGN_WORDS] = "global", whole[ST_FOREIGN_WORDS + 16];
    if (step->in[0].is_flat) {
        return st_caffe_fail(err, STRATA_UNSUPPORTED, step, "pooling of a vector");
    }
    step->out.dims.h = step->out.dims.w = 1;
    if (says == NULL || !says->has_global_pooling || !says->global_pooling) {
        st_foreign_axis axes[2];
        ST_TRY(read_pooling(axes, step, err));
        if (!st_foreign_pool(words, axes, is_mean)) {
            return st_caffe_fail(err, STRATA_UNSUPPORTED, step,
                                 "strata has no window with this size, stride and padding");
        }
        step->out.dims.h = axes[0].count;
        step->out.dims.w = axes[1].count;
    }
    snprintf(whole, sizeof whole, "%s %s", is_mean ? "avgpool" : "maxpool", words);
    return st_caffe_add(step, whole, NULL, err);
}

static strata_status write_lrn(st_caffe_step *step, strata_error *err) {
    static const Caffe__LRNParameter standard = CAFFE__LRNPARAMETER__INIT;
    const Caffe__LRNParameter *says = step->layer->says->lrn_param;
    st_text text = {0};
    says = says != NULL ? says : &standard;
    st_text_add(&text, "lrn %u", says->local_size);
    st_caffe_key(&text, "alpha", says->alpha, 1e-4F);
    st_caffe_key(&text, "beta", says->beta, 0.75F);
    st_caffe_key(&text, "k", says->k, 1.0F);
    return st_caffe_add_text(step, &text, NULL, err);
}

/* ---- layers without weights ---- */

static strata_status write_nothing(st_caffe_step *step, strata_error *err) {
    (void)step, (void)err;
    return STRATA_OK;
}

static strata_status write_relu(st_caffe_step *step, strata_error *err) {
    const Caffe__ReLUParameter *says = step->layer->says->relu_param;
    char words[64] = "relu", number[ST_FOREIGN_NUMBER];
    if (says != NULL && says->has_negative_slope && says->negative_slope != 0.0F) {
        st_foreign_number(number, says->negative_slope);
        snprintf(words, sizeof words, "leaky_relu %s", number);
    }
    return st_caffe_add(step, words, NULL, err);
}

static strata_status write_tanh(st_caffe_step *step, strata_error *err) {
    return st_caffe_add(step, "tanh", NULL, err);
}

static strata_status write_sigmoid(st_caffe_step *step, strata_error *err) {
    return st_caffe_add(step, "sigmoid", NULL, err);
}

static strata_status write_softmax(st_caffe_step *step, strata_error *err) {
    return st_caffe_add(step, "softmax", NULL, err);
}

static strata_status write_dropout(st_caffe_step *step, strata_error *err) {
    const Caffe__DropoutParameter *says = step->layer->says->dropout_param;
    char words[64], number[ST_FOREIGN_NUMBER];
    st_foreign_number(number, says != NULL ? says->dropout_ratio : 0.5F);
    snprintf(words, sizeof words, "dropout %s", number);
    return st_caffe_add(step, words, NULL, err);
}

static strata_status write_flatten(st_caffe_step *step, strata_error *err) {
    int64_t count = 0;
    if (step->in[0].is_flat) {
        return STRATA_OK;
    }
    if (!st_caffe_count(&count, step->in[0].dims)) {
        return st_caffe_fail(err, STRATA_FORMAT, step, "its values are too many to count");
    }
    step->out = (st_foreign_value){.dims = {.h = 1, .w = 1, .c = count}, .is_flat = true};
    return st_caffe_add(step, "flatten", NULL, err);
}

/* Concat and Eltwise: all inputs have the same rows and columns, for a sum the same channels too. */
static strata_status write_join(st_caffe_step *step, bool is_sum, strata_error *err) {
    int64_t channels = 0;
    const st_foreign_value *first = &step->in[0];
    for (size_t i = 0; i < step->in_count; i++) {
        const st_foreign_value *one = &step->in[i];
        channels += one->dims.c;
        if (one->dims.h != first->dims.h || one->dims.w != first->dims.w || one->is_flat != first->is_flat ||
            (is_sum && one->dims.c != first->dims.c)) {
            return st_caffe_fail(err, STRATA_FORMAT, step,
                                 "joins %" PRId64 "x%" PRId64 "x%" PRId64 " and %" PRId64 "x%" PRId64 "x%" PRId64,
                                 first->dims.h, first->dims.w, first->dims.c, one->dims.h, one->dims.w, one->dims.c);
        }
        if (channels > ST_DIMENSION_LIMIT) {
            return st_caffe_fail(err, STRATA_FORMAT, step, "its channels are too many to count");
        }
    }
    step->out.dims.c = is_sum ? first->dims.c : channels;
    return step->in_count == 1 ? STRATA_OK : st_caffe_add(step, is_sum ? "add" : "concat", NULL, err);
}

static strata_status write_concat(st_caffe_step *step, strata_error *err) {
    return write_join(step, false, err);
}

static strata_status write_sum(st_caffe_step *step, strata_error *err) {
    return write_join(step, true, err);
}

/* ---- the table ---- */

static const struct {
    const char *type;
    strata_status (*write)(st_caffe_step *step, strata_error *err);
    bool joins;
} kinds[] = {
    {"Convolution", st_caffe_convolution, false},
    {"InnerProduct", st_caffe_dense, false},
    {"Pooling", write_pooling, false},
    {"LRN", write_lrn, false},
    {"ReLU", write_relu, false},
    {"TanH", write_tanh, false},
    {"Sigmoid", write_sigmoid, false},
    {"Dropout", write_dropout, false},
    {"Concat", write_concat, true},
    {"Eltwise", write_sum, true},
    {"Softmax", write_softmax, false},
    {"BatchNorm", st_caffe_batch_norm, false},
    {"Scale", st_caffe_scale, false},
    {"Flatten", write_flatten, false},
    {"Reshape", write_flatten, false},
    {"Split", write_nothing, false},
    {"Power", write_nothing, false},
};

static size_t find_kind(const char *type) {
    size_t at = 0;
    while (at < ST_COUNT_OF(kinds) && strcmp(kinds[at].type, type) != 0) {
        at++;
    }
    return at;
}

/* What a layer's parameters ask for beyond what its words can say; "": nothing. */
static const char *beyond(const Caffe__LayerParameter *says) {
    const Caffe__ReshapeParameter *reshape = says->reshape_param;
    if (says->convolution_param != NULL && says->convolution_param->axis != 1) {
        return "axis other than 1";
    }
    if (says->inner_product_param != NULL && says->inner_product_param->axis != 1) {
        return "axis other than 1";
    }
    if (says->softmax_param != NULL && says->softmax_param->axis != 1) {
        return "axis other than 1";
    }
    if (says->concat_param != NULL && (says->concat_param->axis != 1 || says->concat_param->concat_dim != 1)) {
        return "axis other than 1";
    }
    if (says->scale_param != NULL && (says->scale_param->axis != 1 || says->scale_param->num_axes != 1)) {
        return "axis other than 1";
    }
    if (says->flatten_param != NULL && (says->flatten_param->axis != 1 || says->flatten_param->end_axis != -1)) {
        return "axis other than 1";
    }
    if (reshape != NULL && (reshape->axis != 0 || reshape->num_axes != -1 || reshape->shape == NULL ||
                            reshape->shape->n_dim != 2 || reshape->shape->dim[1] != -1)) {
        return "a shape other than 0, -1";
    }
    if (says->pooling_param != NULL && says->pooling_param->has_pool &&
        (says->pooling_param->pool < 0 || says->pooling_param->pool > 1)) {
        return "STOCHASTIC";
    }
    if (says->lrn_param != NULL && says->lrn_param->has_norm_region && says->lrn_param->norm_region != 0) {
        return "WITHIN_CHANNEL";
    }
    if (says->power_param != NULL &&
        (says->power_param->power != 1.0F || says->power_param->scale != 1.0F || says->power_param->shift != 0.0F)) {
        return "numbers other than 1, 1, 0";
    }
    if (says->eltwise_param != NULL && says->eltwise_param->operation != 1) {
        return says->eltwise_param->operation == 0 ? "PROD" : "MAX";
    }
    for (size_t i = 0; says->eltwise_param != NULL && i < says->eltwise_param->n_coeff; i++) {
        if (says->eltwise_param->coeff[i] != 1.0F) {
            return "coeff other than 1";
        }
    }
    return "";
}

void st_caffe_look(st_lacks *lacks, const st_caffe_layer *layer) {
    char where[ST_LACK_TEXT];
    size_t kind = find_kind(layer->type);
    const Caffe__ReLUParameter *relu = layer->says->relu_param;
    snprintf(where, sizeof where, "layer '%.40s'", layer->name);
    if (kind == ST_COUNT_OF(kinds)) {
        st_lacks_add(lacks, where, "%.40s", layer->type);
        return;
    }
    const char *with = beyond(layer->says);
    if (with[0] != '\0') {
        st_lacks_add(lacks, where, "%.30s with %s", layer->type, with);
    }
    if (layer->says->n_bottom == 0 || (layer->says->n_bottom > 1 && !kinds[kind].joins)) {
        st_lacks_add(lacks, where, "%.30s of %zu bottoms", layer->type, layer->says->n_bottom);
    }
    if (relu != NULL && relu->negative_slope != 0.0F && st_graph_find_op("leaky_relu") == NULL) {
        st_lacks_add(lacks, where, "%.30s with a slope", layer->type);
    }
}

strata_status st_caffe_write(st_caffe_step *step, strata_error *err) {
    step->out = step->in[0];
    return kinds[find_kind(step->layer->type)].write(step, err);
}

#endif
