/* Caffe's layers with weights in strata's words: convolutions, dense layers, batch normalization and scales. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/table.h"

#ifdef ST_WITH_PROTOBUF
#include "formats/caffe.h"

/* ---- weights ---- */

/* Shapes agree when their sides other than 1 do: old files have four sides always. */
static bool is_shape(const st_caffe_blob *blob, const int64_t *dims, int rank) {
    int at = 0;
    for (int i = 0; i < rank; i++) {
        while (at < blob->rank && blob->dims[at] == 1 && dims[i] != 1) {
            at++;
        }
        if (dims[i] == 1) {
            continue;
        }
        if (at == blob->rank || blob->dims[at++] != dims[i]) {
            return false;
        }
    }
    for (; at < blob->rank; at++) {
        if (blob->dims[at] != 1) {
            return false;
        }
    }
    return true;
}

/* Blob `index` of a layer as a tensor with these sides; as_stored: the sides in the file when they have another order.
 */
static strata_status blob_tensor(st_tensor *out, const st_caffe_step *step, const st_caffe_layer *layer, size_t index,
                                 const int64_t *dims, int rank, const int64_t *as_stored, strata_error *err) {
    char found[ST_TENSOR_DIMS_TEXT], wanted[ST_TENSOR_DIMS_TEXT];
    if (index >= layer->blob_count) {
        return st_fail_file(err, STRATA_FORMAT, step->file->path, "layer '%.64s': it has %zu blobs, expected %s%zu",
                            layer->name, layer->blob_count, index > 0 ? "at least " : "", index + 1);
    }
    const st_caffe_blob *blob = &layer->blobs[index];
    size_t count = 1;
    bool fits = true;
    for (int i = 0; i < rank; i++) {
        fits = fits && st_size_mul(count, (size_t)dims[i], &count);
    }
    if (!fits || count != blob->count || !is_shape(blob, as_stored, rank)) {
        st_tensor_dims(found, blob->rank, blob->dims);
        st_tensor_dims(wanted, rank, as_stored);
        return st_fail_file(err, STRATA_FORMAT, step->file->path, "layer '%.64s': blob %zu is %.60s, expected %.60s",
                            layer->name, index, found, wanted);
    }
    *out = (st_tensor){.stored = blob->stored,
                       .rank = rank,
                       .dims = dims,
                       .count = count,
                       .offset = blob->offset,
                       .bytes = blob->bytes};
    return STRATA_OK;
}

static strata_status add_blob(st_caffe_step *step, const st_caffe_layer *layer, size_t index, const char *word,
                              const int64_t *dims, int rank, strata_error *err) {
    st_tensor tensor;
    ST_TRY(blob_tensor(&tensor, step, layer, index, dims, rank, dims, err));
    return st_foreign_state_add(step->foreign, step->out.id, word, &tensor, err);
}

/* ---- Convolution, InnerProduct ---- */

static strata_status read_convolution(st_foreign_conv *conv, const st_caffe_step *step, strata_error *err) {
    const Caffe__ConvolutionParameter *says = step->layer->says->convolution_param;
    if (says == NULL || says->num_output == 0 || says->group == 0) {
        return st_caffe_fail(err, STRATA_FORMAT, step, "num_output and group must be at least 1");
    }
    conv->filters = says->num_output;
    conv->groups = says->group;
    conv->has_bias = says->bias_term;
    ST_TRY(st_caffe_pair(conv->kernel, step, "kernel", says->has_kernel_h && says->has_kernel_w, says->kernel_h,
                         says->kernel_w, says->kernel_size, says->n_kernel_size, 0, 1, err));
    ST_TRY(st_caffe_pair(conv->stride, step, "stride", says->has_stride_h || says->has_stride_w,
                         says->has_stride_h ? says->stride_h : 1, says->has_stride_w ? says->stride_w : 1, says->stride,
                         says->n_stride, 1, 1, err));
    ST_TRY(st_caffe_pair(conv->pad, step, "pad", says->has_pad_h || says->has_pad_w, says->pad_h, says->pad_w,
                         says->pad, says->n_pad, 0, 0, err));
    return st_caffe_pair(conv->dilation, step, "dilation", false, 0, 0, says->dilation, says->n_dilation, 1, 1, err);
}

strata_status st_caffe_convolution(st_caffe_step *step, strata_error *err) {
    st_foreign_conv conv = {.filters = 0};
    char words[ST_FOREIGN_WORDS];
    int64_t channels = step->in[0].dims.c;
    ST_TRY(read_convolution(&conv, step, err));
    if (step->in[0].is_flat || !st_foreign_conv_dims(&step->out.dims, &conv, step->in[0].dims)) {
        return st_caffe_fail(err, step->in[0].is_flat ? STRATA_UNSUPPORTED : STRATA_FORMAT, step, "%s",
                             step->in[0].is_flat ? "a convolution of a vector"
                                                 : "its window is larger than what it sees");
    }
    if (channels % conv.groups != 0 || conv.filters % conv.groups != 0) {
        return st_caffe_fail(err, STRATA_FORMAT, step,
                             "%" PRId64 " channels and %" PRId64 " filters do not divide into %" PRId64 " groups",
                             channels, conv.filters, conv.groups);
    }
    const int64_t dims[] = {conv.filters, channels / conv.groups, conv.kernel[0], conv.kernel[1]};
    st_foreign_conv_words(words, &conv);
    ST_TRY(st_caffe_add(step, words, step->layer->name, err));
    ST_TRY(add_blob(step, step->layer, 0, "weight", dims, 4, err));
    return conv.has_bias ? add_blob(step, step->layer, 1, "bias", dims, 1, err) : STRATA_OK;
}

strata_status st_caffe_dense(st_caffe_step *step, strata_error *err) {
    const Caffe__InnerProductParameter *says = step->layer->says->inner_product_param;
    int64_t inputs = 0, *strides = NULL;
    char words[64];
    if (says == NULL || says->num_output == 0 || !st_caffe_count(&inputs, step->in[0].dims)) {
        return st_caffe_fail(err, STRATA_FORMAT, step,
                             says == NULL || says->num_output == 0 ? "num_output must be at least 1"
                                                                   : "its inputs are too many to count");
    }
    const int64_t dims[] = {says->num_output, inputs}, stored[] = {inputs, says->num_output};
    bool is_transposed = says->has_transpose && says->transpose;
    snprintf(words, sizeof words, "fc %" PRId64 "%s", dims[0], says->bias_term ? "" : " bias=no");
    step->out = (st_foreign_value){.dims = {.h = 1, .w = 1, .c = dims[0]}, .is_flat = true};
    ST_TRY(st_caffe_add(step, words, step->layer->name, err));
    st_tensor weight;
    ST_TRY(blob_tensor(&weight, step, step->layer, 0, dims, 2, is_transposed ? stored : dims, err));
    if (is_transposed) {
        ST_TRY(st_arena_alloc(&strides, step->foreign->arena, 2, sizeof *strides, err));
        strides[0] = 1;
        strides[1] = dims[0];
        weight.strides = strides;
    }
    ST_TRY(st_foreign_state_add(step->foreign, step->out.id, "weight", &weight, err));
    return says->bias_term ? add_blob(step, step->layer, 1, "bias", dims, 1, err) : STRATA_OK;
}

/* ---- BatchNorm, Scale ---- */

/* `count` numbers in memory as a vector: the step's. */
static strata_status add_vector(st_caffe_step *step, const char *word, const float *values, int64_t count,
                                strata_error *err) {
    unsigned char *bytes = NULL;
    ST_TRY(st_arena_alloc(&bytes, step->foreign->arena, (size_t)count, sizeof *values, err));
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &values[i], sizeof bits);
        st_stored_put(bytes + 4 * i, 4, bits);
    }
    st_tensor tensor = {.stored = ST_STORED_F32, .rank = 1, .dims = &count, .count = (size_t)count, .bytes = bytes};
    return st_foreign_state_add(step->foreign, step->out.id, word, &tensor, err);
}

/* A blob's numbers; from a st_weights that has no more than the file. */
static strata_status read_blob(float *out, const st_caffe_step *step, const st_tensor *tensor, strata_error *err) {
    enum { PIECE = 256 };
    double piece[PIECE];
    const st_weights weights = {.file = *step->file};
    for (size_t done = 0; done < tensor->count; done += PIECE) {
        size_t count = tensor->count - done < PIECE ? tensor->count - done : PIECE;
        ST_TRY(st_weights_read_doubles(&weights, tensor, done, count, piece, err));
        for (size_t i = 0; i < count; i++) {
            out[done + i] = (float)piece[i];
        }
    }
    return STRATA_OK;
}

/* Sums times 1 / factor, in float as Caffe does it. */
static strata_status add_statistics(st_caffe_step *step, size_t index, const char *word, float factor, int64_t channels,
                                    strata_error *err) {
    st_tensor tensor;
    float *values = NULL;
    ST_TRY(blob_tensor(&tensor, step, step->layer, index, &channels, 1, &channels, err));
    ST_TRY(st_arena_alloc(&values, step->foreign->arena, tensor.count, sizeof *values, err));
    ST_TRY(read_blob(values, step, &tensor, err));
    for (size_t i = 0; i < tensor.count; i++) {
        values[i] *= factor;
    }
    return add_vector(step, word, values, channels, err);
}

static bool scale_has_bias(const st_caffe_layer *scale) {
    const Caffe__ScaleParameter *says = scale->says->scale_param;
    return says != NULL && says->has_bias_term && says->bias_term;
}

/* weight and bias of a Scale layer, and where it has none, ones and zeros. */
static strata_status add_affine(st_caffe_step *step, const st_caffe_layer *scale, int64_t channels, strata_error *err) {
    float *values = NULL;
    ST_TRY(st_arena_alloc(&values, step->foreign->arena, (size_t)channels, sizeof *values, err));
    if (scale == NULL || !scale_has_bias(scale)) {
        ST_TRY(add_vector(step, "bias", values, channels, err));
    } else {
        ST_TRY(add_blob(step, scale, 1, "bias", &channels, 1, err));
    }
    if (scale != NULL) {
        return add_blob(step, scale, 0, "weight", &channels, 1, err);
    }
    for (int64_t i = 0; i < channels; i++) {
        values[i] = 1.0F;
    }
    return add_vector(step, "weight", values, channels, err);
}

strata_status st_caffe_batch_norm(st_caffe_step *step, strata_error *err) {
    const Caffe__BatchNormParameter *says = step->layer->says->batch_norm_param;
    const int64_t one = 1, channels = step->in[0].dims.c;
    st_text text = {0};
    st_tensor tensor;
    float factor = 0.0F;
    st_text_add(&text, "bn");
    st_caffe_key(&text, "eps", says != NULL ? says->eps : 1e-5F, 1e-5F);
    ST_TRY(st_caffe_add_text(step, &text, step->layer->name, err));
    ST_TRY(blob_tensor(&tensor, step, step->layer, 2, &one, 1, &one, err));
    ST_TRY(read_blob(&factor, step, &tensor, err));
    factor = factor == 0.0F ? 0.0F : 1.0F / factor;
    ST_TRY(add_statistics(step, 0, "running_mean", factor, channels, err));
    ST_TRY(add_statistics(step, 1, "running_var", factor, channels, err));
    return add_affine(step, step->scale, channels, err);
}

strata_status st_caffe_scale(st_caffe_step *step, strata_error *err) {
    bool has_bias = scale_has_bias(step->layer);
    int64_t channels = step->in[0].dims.c;
    ST_TRY(st_caffe_add(step, has_bias ? "scale" : "scale bias=no", step->layer->name, err));
    ST_TRY(add_blob(step, step->layer, 0, "weight", &channels, 1, err));
    return has_bias ? add_blob(step, step->layer, 1, "bias", &channels, 1, err) : STRATA_OK;
}

#endif
