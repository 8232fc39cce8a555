/* Caffe (Jia et al. 2014, arXiv:1408.5093): a .caffemodel is a net with its weights, the form in which AlexNet, NIN,
 * VGG, GoogLeNet and SqueezeNet were published. caffe_model.c reads the file, caffe_graph.c finds the layers that make
 * the answer, caffe_layers.c says them in strata's words; here they come together, behind the input.
 *
 * Weights have strata's order already: convolutions [filters][channels / groups][rows][columns], dense layers
 * [outputs][inputs] with the inputs in the order of channels, rows, columns. They stay where they are in the file. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "formats/table.h"

/* ---- what a file is ---- */

/* A number of at most `end` bytes; *at goes behind it. false: it does not end. */
static bool read_number(uint64_t *out, const unsigned char *bytes, size_t *at, size_t end) {
    *out = 0;
    for (int shift = 0; shift < 64 && *at < end; shift += 7) {
        unsigned char byte = bytes[(*at)++];
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

/* What a layer's message begins with: its name or type, old ones with what they read and make. */
static bool begins_layer(uint64_t field, unsigned char first) {
    return field == 100 ? first == 0x0a || first == 0x12 : first != 0 && strchr("\x0a\x12\x1a\x22\x28", first) != NULL;
}

/* The fields of a NetParameter, as far as the first layer. */
static bool probe(const st_file *file, const unsigned char *first, size_t length) {
    (void)file;
    for (size_t at = 0; at < length;) {
        uint64_t tag = 0, value = 0;
        if (!read_number(&tag, first, &at, length) || !read_number(&value, first, &at, length)) {
            return false;
        }
        uint64_t field = tag >> 3, type = tag & 7;
        bool is_text = type == 2 && (field == 1 || field == 3 || field == 6 || field == 8);
        bool is_layer = type == 2 && (field == 2 || field == 100);
        if (is_layer) {
            return at < length && begins_layer(field, first[at]);
        }
        if (!is_text && !(type == 2 && field == 4) && !(type == 0 && (field == 4 || field == 5 || field == 7))) {
            return false;
        }
        if (type == 2 && value > length - at) {
            return false;
        }
        at += type == 2 ? (size_t)value : 0;
    }
    return false;
}

#ifdef ST_WITH_PROTOBUF
#include "formats/caffe.h"

/* ---- the input ---- */

typedef struct pictures {
    int64_t height, width, channels;
    bool is_flat;
    char preparation[192]; /* keys of the input line; "": the file does not say all of it */
} pictures;

static strata_status fail_input(strata_error *err, const st_file *file, const char *what) {
    strata_status status = st_fail_file(err, STRATA_UNSUPPORTED, file->path, "%s", what);
    st_error_hint(err, "the deploy net of the same model says it: copy the weights into that with Caffe");
    return status;
}

static strata_status set_dims(pictures *out, const int64_t *dims, size_t count, const st_file *file,
                              strata_error *err) {
    for (size_t i = 1; i < count && i < 4; i++) {
        if (dims[i] < 1 || dims[i] > ST_DIMENSION_LIMIT) {
            return st_fail_file(err, STRATA_FORMAT, file->path, "its input has a side of %" PRId64, dims[i]);
        }
    }
    if (count != 4 && count != 2) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                            "its input has %zu sides, expected images, channels, rows and columns", count);
    }
    *out = (pictures){.height = count == 4 ? dims[2] : 1, .width = count == 4 ? dims[3] : 1, .channels = dims[1]};
    return STRATA_OK;
}

/* Of a crop only the rows and columns are known: the first convolution says the channels. */
static strata_status set_crop(pictures *out, const st_caffe_model *model, const st_caffe_graph *graph, int64_t height,
                              int64_t width, const st_file *file, strata_error *err) {
    if (height < 1 || width < 1 || height > ST_DIMENSION_LIMIT || width > ST_DIMENSION_LIMIT) {
        return fail_input(err, file, "it does not say how large its pictures are: its source has no crop_size");
    }
    for (size_t i = 0; i < model->layer_count; i++) {
        const st_caffe_layer *layer = &model->layers[i];
        const Caffe__ConvolutionParameter *says = layer->says->convolution_param;
        if (graph->layers[i].is_needed && strcmp(layer->type, "Convolution") == 0 && says != NULL &&
            layer->blob_count > 0 && layer->blobs[0].rank > 1 && layer->blobs[0].dims[1] > 0) {
            *out = (pictures){.height = height, .width = width};
            out->channels = layer->blobs[0].dims[1] * (int64_t)says->group;
            if (out->channels <= ST_DIMENSION_LIMIT) {
                return STRATA_OK;
            }
        }
    }
    return fail_input(err, file, "it does not say how many channels its pictures have");
}

static void add_key(st_text *text, const char *key, const float *values, size_t count) {
    st_text_add(text, " %s=%s", key, count > 1 ? "[" : "");
    for (size_t i = 0; i < count; i++) {
        char number[ST_FOREIGN_NUMBER];
        st_foreign_number(number, values[i]);
        st_text_add(text, "%s%s", i > 0 ? " " : "", number);
    }
    st_text_add(text, "%s", count > 1 ? "]" : "");
}

/* Where the source has a mean colour or a scale of its own: bytes, BGR, (byte - mean) * scale. A mean picture in
 * another file, or neither: then the file does not say it. */
static strata_status set_preparation(pictures *out, const Caffe__TransformationParameter *says, strata_error *err) {
    st_text text = {0};
    char *keys = NULL;
    if (says == NULL || says->mean_file != NULL || (says->n_mean_value == 0 && !says->has_scale) ||
        (out->channels != 3 && out->channels != 1) ||
        (says->n_mean_value > 1 && (int64_t)says->n_mean_value != out->channels)) {
        return STRATA_OK;
    }
    float deviation = 1.0F / says->scale;
    bool is_sound = deviation > 0.0F && deviation <= 1e6F;
    for (size_t i = 0; i < says->n_mean_value; i++) {
        is_sound = is_sound && fabsf(says->mean_value[i]) <= 1e6F;
    }
    if (!is_sound) {
        return STRATA_OK;
    }
    st_text_add(&text, " range=255%s", out->channels == 3 ? " order=bgr" : "");
    if (says->n_mean_value > 0) {
        add_key(&text, "mean", says->mean_value, says->n_mean_value);
    }
    if (deviation != 1.0F) {
        add_key(&text, "std", &deviation, 1);
    }
    st_text_add(&text, " fit=stretch");
    ST_TRY(st_text_finish(&keys, &text, err));
    if (strlen(keys) < sizeof out->preparation) {
        memcpy(out->preparation, keys, strlen(keys) + 1);
    }
    strata_text_free(keys);
    return STRATA_OK;
}

/* An input that the net itself names. */
static strata_status read_named(pictures *out, const Caffe__NetParameter *says, size_t which, const st_file *file,
                                strata_error *err) {
    if (which < says->n_input_shape) {
        return set_dims(out, says->input_shape[which]->dim, says->input_shape[which]->n_dim, file, err);
    }
    if (says->n_input_dim / 4 > which) {
        return set_dims(out, says->input_dim + 4 * which, 4, file, err);
    }
    return fail_input(err, file, "it does not say how large its pictures are: its input has no shape");
}

/* The value of a source of pictures, which comes with labels. */
static strata_status read_source(pictures *out, const st_caffe_model *model, const st_caffe_graph *graph,
                                 const st_caffe_made *made, const st_file *file, strata_error *err) {
    const Caffe__LayerParameter *says = model->layers[made->layer].says;
    const Caffe__TransformationParameter *transform = says->transform_param;
    if (says->input_param != NULL && says->input_param->n_shape > 0) {
        size_t which = made->top < says->input_param->n_shape ? made->top : 0;
        return set_dims(out, says->input_param->shape[which]->dim, says->input_param->shape[which]->n_dim, file, err);
    }
    if (made->top > 0) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path, "its answer is made of labels");
    }
    int64_t crop = transform != NULL && transform->has_crop_size ? transform->crop_size
                   : says->data_param != NULL                    ? says->data_param->crop_size
                   : says->image_data_param != NULL              ? says->image_data_param->crop_size
                                                                 : 0;
    if (crop == 0 && says->memory_data_param != NULL) {
        const Caffe__MemoryDataParameter *memory = says->memory_data_param;
        ST_TRY(set_dims(out, (int64_t[]){1, memory->channels, memory->height, memory->width}, 4, file, err));
    } else if (crop == 0 && says->image_data_param != NULL) {
        ST_TRY(set_crop(out, model, graph, says->image_data_param->new_height, says->image_data_param->new_width, file,
                        err));
    } else {
        ST_TRY(set_crop(out, model, graph, crop, crop, file, err));
    }
    return set_preparation(out, transform, err);
}

/* ---- the net ---- */

typedef struct build {
    st_weights *out;
    st_foreign foreign;
    st_caffe_model model;
    st_caffe_graph graph;
    st_foreign_value *values; /* [graph.value_count] */
} build;

static strata_status look(const build *b, strata_error *err) {
    st_lacks lacks = {0};
    for (size_t i = 0; i < b->model.layer_count; i++) {
        if (b->graph.layers[i].is_needed && !st_caffe_is_source(&b->model.layers[i])) {
            st_caffe_look(&lacks, &b->model.layers[i]);
        }
        for (size_t t = 1; b->graph.layers[i].is_needed && t < b->model.layers[i].says->n_top; t++) {
            bool is_split = strcmp(b->model.layers[i].type, "Split") == 0;
            if (b->graph.values[b->graph.layers[i].first_top + t].use_count > 0 && !is_split &&
                !st_caffe_is_source(&b->model.layers[i])) {
                st_lacks_add(&lacks, b->model.layers[i].name, "%.30s of several tops", b->model.layers[i].type);
            }
        }
    }
    return st_lacks_check(&lacks, b->out->file.path, err);
}

static strata_status write_input(build *b, pictures *of, strata_error *err) {
    const st_caffe_made *made = &b->graph.values[b->graph.input];
    char *words = NULL;
    st_foreign_value *value = &b->values[b->graph.input];
    ST_TRY(made->layer == b->model.layer_count ? read_named(of, b->model.says, made->top, &b->out->file, err)
                                               : read_source(of, &b->model, &b->graph, made, &b->out->file, err));
    ST_TRY(st_arena_printf(&words, b->out->arena, err, "input %" PRId64 "x%" PRId64 "x%" PRId64 "%s", of->height,
                           of->width, of->channels, of->preparation));
    value->dims = (st_dims){.h = of->height, .w = of->width, .c = of->channels};
    return st_net_writer_input(&value->id, b->foreign.writer, words, err);
}

/* The Scale that alone reads what a BatchNorm makes. */
static const st_caffe_layer *scale_after(const build *b, size_t layer) {
    const st_caffe_made *made = &b->graph.values[b->graph.layers[layer].first_top];
    if (strcmp(b->model.layers[layer].type, "BatchNorm") != 0 || b->model.layers[layer].says->n_top == 0 ||
        made->use_count != 1 || made->user == b->model.layer_count) {
        return NULL;
    }
    const st_caffe_layer *user = &b->model.layers[made->user];
    return strcmp(user->type, "Scale") == 0 ? user : NULL;
}

static strata_status write_layer(build *b, size_t at, strata_error *err) {
    const st_caffe_layer *layer = &b->model.layers[at];
    const st_caffe_wired *wired = &b->graph.layers[at];
    size_t count = layer->says->n_bottom;
    st_foreign_value *in = NULL;
    ST_TRY(st_arena_alloc(&in, b->out->arena, count, sizeof *in, err));
    for (size_t i = 0; i < count; i++) {
        in[i] = b->values[wired->bottoms[i]];
    }
    st_caffe_step step = {.foreign = &b->foreign,
                          .file = &b->out->file,
                          .layer = layer,
                          .in = in,
                          .in_count = count,
                          .scale = scale_after(b, at),
                          .out = in[0]};
    const st_caffe_made *source = &b->graph.values[wired->bottoms[0]];
    bool is_taken = source->layer < b->model.layer_count && scale_after(b, source->layer) == layer;
    if (!is_taken) {
        ST_TRY(st_caffe_write(&step, err));
    }
    for (size_t t = 0; t < layer->says->n_top; t++) {
        b->values[wired->first_top + t] = step.out;
    }
    return STRATA_OK;
}

static strata_status write_note(char **out, const build *b, const pictures *of, strata_error *err) {
    st_text text = {0};
    char *note = NULL, name[72];
    if (of->preparation[0] != '\0') {
        st_text_add(&text, "Caffe: pictures are prepared as the file itself says:%s", of->preparation);
    } else if (of->channels == 3) {
        st_text_add(&text,
                    "Caffe models take BGR, 0..255, minus a mean that the file does not hold: --preprocess caffe");
    } else {
        st_text_add(&text, "Caffe: the file does not say how pictures are prepared");
    }
    if (b->graph.side_count > 0) {
        st_text_printable(name, sizeof name, b->graph.side_name, strlen(b->graph.side_name));
        st_text_add(&text, "; left out: %zu layers that its answer does not need, from %s on", b->graph.side_count,
                    name);
    }
    ST_TRY(st_text_finish(&note, &text, err));
    strata_status status = st_arena_text(out, b->out->arena, note, strlen(note), err);
    strata_text_free(note);
    return status;
}

static strata_status build_net(build *b, strata_error *err) {
    pictures of = {.height = 0};
    char *note = NULL;
    const char *name = b->model.says->name != NULL ? b->model.says->name : "caffe";
    ST_TRY(st_caffe_wire_up(&b->graph, b->out->arena, &b->model, b->out->file.path, err));
    ST_TRY(look(b, err));
    ST_TRY(st_arena_alloc(&b->values, b->out->arena, b->graph.value_count, sizeof *b->values, err));
    ST_TRY(st_net_writer_create(&b->foreign.writer, b->out->arena, name, NULL, err));
    ST_TRY(write_input(b, &of, err));
    for (size_t i = 0; i < b->model.layer_count; i++) {
        if (b->graph.layers[i].is_needed && !st_caffe_is_source(&b->model.layers[i])) {
            ST_TRY(write_layer(b, i, err));
        }
    }
    const st_foreign_value *output = &b->values[b->graph.output];
    if (output->dims.h != 1 || output->dims.w != 1) {
        st_net_writer_no_loss(b->foreign.writer);
    }
    ST_TRY(write_note(&note, b, &of, err));
    return st_foreign_finish(b->out, &b->foreign, output->id, note, err);
}

static strata_status read_file(st_weights *out, strata_error *err) {
    build b = {.out = out, .foreign = {.arena = out->arena}};
    ST_TRY(st_caffe_load(&b.model, out->arena, &out->file, err));
    return build_net(&b, err);
}

#else

static strata_status read_file(st_weights *out, strata_error *err) {
    return st_fail_file(err, STRATA_UNSUPPORTED, out->file.path,
                        "a Caffe model, which this build of strata cannot read: it was made without protobuf-c");
}

#endif

const st_format st_format_caffe = {.name = "Caffe", .probe = probe, .read = read_file};
