/* The layers of a .caffemodel, a protobuf message, and the blobs of numbers that they hold. Layers as they were written
 * until 2014 (V1LayerParameter) have the same parameters under other numbers: they become layers of today here, and
 * nobody else knows of them. */
#include <inttypes.h>
#include <string.h>

#include "formats/protobuf.h"
#include "formats/table.h"

#ifdef ST_WITH_PROTOBUF
#include "formats/caffe.h"

/* ---- blobs ---- */

enum { DATA = 5, DOUBLE_DATA = 8, MOST_BLOBS = 16 };

typedef struct reader {
    st_arena *arena;
    const st_file *file;
    const char *layer; /* for errors */
    size_t blob;
} reader;

static strata_status fail_blob(strata_error *err, const reader *in, const char *what) {
    return st_fail_file(err, STRATA_FORMAT, in->file->path, "layer '%.64s': blob %zu %s", in->layer, in->blob, what);
}

static strata_status add_side(st_caffe_blob *blob, const reader *in, int64_t side, strata_error *err) {
    if (side < 0 || side > INT32_MAX) {
        return fail_blob(err, in, "has a side below 0 or above 2147483647");
    }
    if (blob->rank == ST_TENSOR_RANK_MAX) {
        return fail_blob(err, in, "has more than 16 sides");
    }
    blob->dims[blob->rank++] = side;
    return STRATA_OK;
}

/* As in Caffe: where the four sides of old are there, shape does not count. */
static strata_status read_sides(st_caffe_blob *blob, const reader *in, const Caffe__BlobProto *says,
                                strata_error *err) {
    const int64_t old[] = {says->num, says->channels, says->height, says->width};
    bool is_old = says->has_num || says->has_channels || says->has_height || says->has_width;
    size_t count = is_old ? ST_COUNT_OF(old) : says->shape != NULL ? says->shape->n_dim : 0;
    for (size_t i = 0; i < count; i++) {
        ST_TRY(add_side(blob, in, is_old ? old[i] : says->shape->dim[i], err));
    }
    return STRATA_OK;
}

/* Numbers that came with the message: few, or one a field. */
static strata_status copy_numbers(st_caffe_blob *blob, const reader *in, const Caffe__BlobProto *says,
                                  strata_error *err) {
    size_t size = st_stored_size(blob->stored);
    unsigned char *bytes = NULL;
    ST_TRY(st_arena_alloc(&bytes, in->arena, blob->count, size, err));
    blob->bytes = bytes;
    for (size_t i = 0; i < blob->count; i++, bytes += size) {
        uint64_t bits = 0;
        uint32_t half = 0;
        if (blob->stored == ST_STORED_F64) {
            memcpy(&bits, &says->double_data[i], sizeof bits);
        } else {
            memcpy(&half, &says->data[i], sizeof half);
            bits = half;
        }
        st_stored_put(bytes, size, bits);
    }
    return STRATA_OK;
}

/* How many pieces of a field stayed in the file. */
static size_t pieces_in_file(const Caffe__BlobProto *says) {
    return says->base.n_unknown_fields;
}

static strata_status read_numbers(st_caffe_blob *blob, const reader *in, const Caffe__BlobProto *says,
                                  strata_error *err) {
    uint64_t bytes = 0;
    bool has_doubles = st_protobuf_in_file(&says->base, DOUBLE_DATA, &blob->offset, &bytes);
    bool is_in_file = has_doubles || st_protobuf_in_file(&says->base, DATA, &blob->offset, &bytes);
    if (is_in_file && (says->n_data > 0 || says->n_double_data > 0 || pieces_in_file(says) > 1)) {
        return fail_blob(err, in, "has its numbers in several pieces");
    }
    blob->stored = has_doubles || says->n_double_data > 0 ? ST_STORED_F64 : ST_STORED_F32;
    if (is_in_file) {
        blob->count = (size_t)(bytes / st_stored_size(blob->stored));
        return STRATA_OK;
    }
    blob->count = says->n_double_data > 0 ? says->n_double_data : says->n_data;
    return copy_numbers(blob, in, says, err);
}

static strata_status read_blob(st_caffe_blob *blob, const reader *in, const Caffe__BlobProto *says, strata_error *err) {
    size_t count = 1;
    char sides[ST_TENSOR_DIMS_TEXT];
    ST_TRY(read_sides(blob, in, says, err));
    ST_TRY(read_numbers(blob, in, says, err));
    for (int i = 0; i < blob->rank; i++) {
        if (!st_size_mul(count, (size_t)blob->dims[i], &count)) {
            return fail_blob(err, in, "has sides whose product overflows");
        }
    }
    if (blob->rank > 0 && count != blob->count) {
        st_tensor_dims(sides, blob->rank, blob->dims);
        return st_fail_file(err, STRATA_FORMAT, in->file->path, "layer '%.64s': blob %zu is %.60s, and has %zu numbers",
                            in->layer, in->blob, sides, blob->count);
    }
    return STRATA_OK;
}

static strata_status read_blobs(st_caffe_layer *layer, reader *in, strata_error *err) {
    in->layer = layer->name;
    layer->blob_count = layer->says->n_blobs;
    if (layer->blob_count > MOST_BLOBS) {
        return st_fail_file(err, STRATA_FORMAT, in->file->path, "layer '%.64s': it has %zu blobs, at most %d are read",
                            layer->name, layer->blob_count, MOST_BLOBS);
    }
    ST_TRY(st_arena_alloc(&layer->blobs, in->arena, layer->blob_count, sizeof *layer->blobs, err));
    for (in->blob = 0; in->blob < layer->blob_count; in->blob++) {
        ST_TRY(read_blob(&layer->blobs[in->blob], in, layer->says->blobs[in->blob], err));
    }
    return STRATA_OK;
}

/* ---- layers ---- */

/* Of V1LayerParameter.LayerType, by number. */
static const char *const old_types[] = {
    "None",
    "Accuracy",
    "BNLL",
    "Concat",
    "Convolution",
    "Data",
    "Dropout",
    "EuclideanLoss",
    "Flatten",
    "HDF5Data",
    "HDF5Output",
    "Im2col",
    "ImageData",
    "InfogainLoss",
    "InnerProduct",
    "LRN",
    "MultinomialLogisticLoss",
    "Pooling",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "SoftmaxWithLoss",
    "Split",
    "TanH",
    "WindowData",
    "Eltwise",
    "Power",
    "SigmoidCrossEntropyLoss",
    "HingeLoss",
    "MemoryData",
    "ArgMax",
    "Threshold",
    "DummyData",
    "Slice",
    "MVN",
    "AbsVal",
    "Silence",
    "ContrastiveLoss",
    "Exp",
    "Deconvolution",
};

static strata_status modernize(st_caffe_layer *out, const Caffe__V1LayerParameter *old, const reader *in,
                               strata_error *err) {
    static const Caffe__LayerParameter blank = CAFFE__LAYER_PARAMETER__INIT;
    Caffe__LayerParameter *says = NULL;
    if (old->layer != NULL) {
        strata_status status =
            st_fail_file(err, STRATA_UNSUPPORTED, in->file->path, "its layers have the form of 2013");
        st_error_hint(err, "Caffe's upgrade_net_proto_binary writes it anew");
        return status;
    }
    ST_TRY(st_arena_alloc(&says, in->arena, 1, sizeof *says, err));
    *says = blank;
    says->name = old->name;
    says->n_bottom = old->n_bottom;
    says->bottom = old->bottom;
    says->n_top = old->n_top;
    says->top = old->top;
    says->n_blobs = old->n_blobs;
    says->blobs = old->blobs;
    says->n_include = old->n_include;
    says->include = old->include;
    says->n_exclude = old->n_exclude;
    says->exclude = old->exclude;
    says->transform_param = old->transform_param;
    says->concat_param = old->concat_param;
    says->convolution_param = old->convolution_param;
    says->data_param = old->data_param;
    says->dropout_param = old->dropout_param;
    says->eltwise_param = old->eltwise_param;
    says->image_data_param = old->image_data_param;
    says->inner_product_param = old->inner_product_param;
    says->lrn_param = old->lrn_param;
    says->memory_data_param = old->memory_data_param;
    says->pooling_param = old->pooling_param;
    says->power_param = old->power_param;
    says->relu_param = old->relu_param;
    says->softmax_param = old->softmax_param;
    bool is_known = old->has_type && old->type >= 0 && (size_t)old->type < ST_COUNT_OF(old_types);
    *out = (st_caffe_layer){.says = says, .type = is_known ? old_types[old->type] : "a layer of unknown type"};
    return STRATA_OK;
}

strata_status st_caffe_load(st_caffe_model *out, st_arena *arena, const st_file *file, strata_error *err) {
    ProtobufCMessage *message = NULL;
    const Caffe__NetParameter *net = NULL;
    reader in = {.arena = arena, .file = file};
    *out = (st_caffe_model){.layer_count = 0};
    ST_TRY(st_protobuf_read(&message, arena, file, &caffe__net_parameter__descriptor, err));
    net = (const void *)message;
    out->says = net;
    out->layer_count = net->n_layers > 0 ? net->n_layers : net->n_layer;
    if (net->n_layers > 0 && net->n_layer > 0) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                            "it has layers as they are today (%zu) and as they were until 2014 (%zu)", net->n_layer,
                            net->n_layers);
    }
    if (out->layer_count > ST_LANG_LAYER_LIMIT) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path, "it has %zu layers, at most %d are read",
                            out->layer_count, ST_LANG_LAYER_LIMIT);
    }
    ST_TRY(st_arena_alloc(&out->layers, arena, out->layer_count, sizeof *out->layers, err));
    for (size_t i = 0; i < out->layer_count; i++) {
        st_caffe_layer *layer = &out->layers[i];
        if (net->n_layers > 0) {
            ST_TRY(modernize(layer, net->layers[i], &in, err));
        } else {
            *layer =
                (st_caffe_layer){.says = net->layer[i], .type = net->layer[i]->type != NULL ? net->layer[i]->type : ""};
        }
        layer->name = layer->says->name != NULL ? layer->says->name : "";
        ST_TRY(read_blobs(layer, &in, err));
    }
    return STRATA_OK;
}

#endif
