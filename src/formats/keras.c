/* Keras' weights in HDF5, read in a child process (hdf5.h). Two layouts:
 *
 *     Keras 1 and 2: the root, or model_weights of a whole model, has the attribute layer_names; each layer is a group
 *     with the attribute weight_names, which are data sets below it. Lists that are too long for one attribute are cut
 *     into NAME0, NAME1 ... Architecture and optimizer stand beside the weights and are not read.
 *     Keras 3 (NAME.weights.h5): layers/KIND_NUMBER/vars/0, 1 ... Groups have no order, so that of the model is kept
 *     only within a kind of layer.
 *
 * Keras' documentation, "Whole model saving & loading" and "Saving weights"; its hdf5_format.py and saving_lib.py. */
#include "formats/keras.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/table.h"

enum { MOST_LAYERS = 20000, MOST_PARTS = 1000, MOST_DEPTH = 8, UNPACKED_PER_BYTE = 16 };
#define UNPACKED_ALWAYS ((uint64_t)256 << 20)

/* ---- attributes ---- */

/* A list of texts, in one attribute or in NAME0, NAME1 ...; NULL: there is none. */
static strata_status read_list(const char ***out, size_t *count, st_keras *from, const char *path, const char *name,
                               strata_error *err) {
    st_arena *arena = from->out->arena;
    ST_TRY(st_hdf5_words(out, count, from->file, arena, path, name, err));
    bool is_whole = *out != NULL;
    for (int part = 0; !is_whole && part < MOST_PARTS; part++) {
        char numbered[ST_HDF5_ATTRIBUTE_BYTES];
        const char **more = NULL;
        size_t more_count = 0;
        (void)snprintf(numbered, sizeof numbered, "%s%d", name, part);
        ST_TRY(st_hdf5_words(&more, &more_count, from->file, arena, path, numbered, err));
        is_whole = more == NULL;
        for (size_t i = 0; i < more_count; i++) {
            ST_TRY(st_format_grow(out, *count, sizeof **out, arena, err));
            (*out)[(*count)++] = more[i];
        }
    }
    return STRATA_OK;
}

/* One text, "" where there is none. */
static strata_status read_text(const char **out, st_keras *from, const char *path, const char *name,
                               strata_error *err) {
    const char **words = NULL;
    size_t count = 0;
    ST_TRY(st_hdf5_words(&words, &count, from->file, from->out->arena, path, name, err));
    *out = count > 0 ? words[0] : "";
    return STRATA_OK;
}

/* Whether the model's architecture has a layer whose data_format is channels_first. */
static bool says_channels_first(const char *config) {
    static const char key[] = "\"data_format\"", value[] = "\"channels_first\"";
    for (const char *at = strstr(config, key); at != NULL; at = strstr(at, key)) {
        at += sizeof key - 1;
        at += strspn(at, " :");
        if (strncmp(at, value, sizeof value - 1) == 0) {
            return true;
        }
    }
    return false;
}

static strata_status join(const char **out, st_keras *in, const char *above, const char *name, strata_error *err) {
    char *path = NULL;
    ST_TRY(st_arena_printf(&path, in->out->arena, err, "%s%s%s", above, above[0] != '\0' ? "/" : "", name));
    *out = path;
    return STRATA_OK;
}

/* ---- Keras 1 and 2 ---- */

static strata_status read_layer(st_keras *to, const char *root, const char *layer, strata_error *err) {
    const char *path = NULL, **names = NULL;
    st_keras_weight *weights = NULL;
    size_t count = 0;
    ST_TRY(join(&path, to, root, layer, err));
    ST_TRY(read_list(&names, &count, to, path, "weight_names", err));
    if (names == NULL) {
        return st_fail_file(err, STRATA_FORMAT, to->file->path, "layer '%s' has no attribute weight_names", layer);
    }
    ST_TRY(st_arena_alloc(&weights, to->out->arena, count + 1, sizeof *weights, err));
    for (size_t i = 0; i < count; i++) {
        weights[i].name = names[i];
        ST_TRY(join(&weights[i].path, to, path, names[i], err));
        st_keras_name(&weights[i], layer);
    }
    return st_keras_add(to, layer, weights, count, err);
}

static strata_status read_layers(st_keras *to, const char *root, const char *const *layers, size_t count,
                                 strata_error *err) {
    if (count > MOST_LAYERS) {
        return st_fail_file(err, STRATA_UNSUPPORTED, to->file->path,
                            "layer_names has %zu layers, at most %d are served", count, MOST_LAYERS);
    }
    for (size_t i = 0; i < count; i++) {
        ST_TRY(read_layer(to, root, layers[i], err));
    }
    return STRATA_OK;
}

/* ---- Keras 3 ---- */

/* "conv2d_12" to the length of "conv2d" and 12; without a number 0. */
static size_t cut_kind(const char *name, unsigned long *number) {
    size_t length = strlen(name), cut = length;
    while (cut > 0 && name[cut - 1] >= '0' && name[cut - 1] <= '9') {
        cut--;
    }
    bool is_cut = cut > 1 && cut < length && name[cut - 1] == '_';
    *number = is_cut ? strtoul(name + cut, NULL, 10) : 0;
    return is_cut ? cut - 1 : length;
}

static int compare_kinds(const void *a, const void *b) {
    const char *const *one = a, *const *two = b;
    unsigned long first = 0, second = 0;
    size_t m = cut_kind(*one, &first), n = cut_kind(*two, &second);
    int order = memcmp(*one, *two, m < n ? m : n);
    if (order == 0 && m != n) {
        return m < n ? -1 : 1;
    }
    return order != 0 ? order : first < second ? -1 : first > second;
}

/* The name that Keras 2 had for number `i` of `count` weights of a kind; NULL: not known. */
static const char *find_name(const char *layer, size_t i, size_t count) {
    static const struct {
        const char *kind;
        size_t least, most;
        const char *names[5];
    } kinds[] = {
        {"conv2d", 1, 2, {"kernel", "bias"}},
        {"conv1d", 1, 2, {"kernel", "bias"}},
        {"conv3d", 1, 2, {"kernel", "bias"}},
        {"dense", 1, 2, {"kernel", "bias"}},
        {"depthwise_conv2d", 1, 2, {"depthwise_kernel", "bias"}},
        {"separable_conv2d", 2, 3, {"depthwise_kernel", "pointwise_kernel", "bias"}},
        {"batch_normalization", 4, 4, {"gamma", "beta", "moving_mean", "moving_variance"}},
        {"layer_normalization", 2, 2, {"gamma", "beta"}},
    };
    unsigned long number;
    size_t length = cut_kind(layer, &number);
    for (size_t k = 0; k < ST_COUNT_OF(kinds); k++) {
        if (strlen(kinds[k].kind) == length && memcmp(kinds[k].kind, layer, length) == 0) {
            return count >= kinds[k].least && count <= kinds[k].most ? kinds[k].names[i] : NULL;
        }
    }
    return NULL;
}

/* The vars of one layer. */
static strata_status read_vars(st_keras *to, const char *path, const char *called, size_t count, strata_error *err) {
    st_keras_weight *weights = NULL;
    const char *slash = strrchr(path, '/'), *layer = slash != NULL ? slash + 1 : path;
    ST_TRY(st_arena_alloc(&weights, to->out->arena, count + 1, sizeof *weights, err));
    for (size_t i = 0; i < count; i++) {
        char *name = NULL;
        const char *known = find_name(layer, i, count);
        ST_TRY(st_arena_printf(&name, to->out->arena, err, "%s/vars/%zu", path, i));
        weights[i].path = name;
        ST_TRY(st_arena_printf(&name, to->out->arena, err, "%zu", i));
        weights[i].name = known != NULL ? known : name;
        st_keras_name(&weights[i], "");
    }
    return st_keras_add(to, called, weights, count, err);
}

/* A group that is a layer (it has vars), or holds layers, or both. */
static strata_status read_groups(st_keras *to, const char *path, const char *called, int depth, strata_error *err) {
    const char **names = NULL, **vars = NULL, *inner = NULL;
    size_t count = 0, var_count = 0;
    ST_TRY(st_hdf5_words(&names, &count, to->file, to->out->arena, path, NULL, err));
    if (names == NULL || depth > MOST_DEPTH || to->layer_count > MOST_LAYERS) {
        return STRATA_OK; /* a data set; what is deeper is no layer */
    }
    qsort(names, count, sizeof *names, compare_kinds);
    for (size_t i = 0; i < count; i++) {
        ST_TRY(join(&inner, to, path, names[i], err));
        if (strcmp(names[i], "vars") == 0 && called[0] != '\0') {
            ST_TRY(st_hdf5_words(&vars, &var_count, to->file, to->out->arena, inner, NULL, err));
            ST_TRY(read_vars(to, path, called, var_count, err));
        } else if (strcmp(names[i], "seed_generator") != 0 && strcmp(names[i], "vars") != 0) {
            bool is_list = strcmp(names[i], "layers") == 0;
            char *name = NULL;
            ST_TRY(st_arena_printf(&name, to->out->arena, err, "%s%s%s", called,
                                   called[0] != '\0' && !is_list ? "." : "", is_list ? "" : names[i]));
            ST_TRY(read_groups(to, inner, name, depth + 1, err));
        }
    }
    return STRATA_OK;
}

/* ---- the file ---- */

static strata_status fail_none(st_keras *in, const char *const *names, size_t count, strata_error *err) {
    char all[200] = "";
    size_t used = 0, shown = 0;
    for (; shown < count && used < 120; shown++) {
        int put = snprintf(all + used, sizeof all - used, "%s'%.40s'", shown > 0 ? ", " : "", names[shown]);
        used += put > 0 ? (size_t)put : 0;
    }
    return st_fail_file(err, STRATA_FORMAT, in->file->path,
                        "it is HDF5 but holds no Keras weights (no layer_names, no model_weights, no layers); there %s "
                        "%s%s",
                        count == 1 ? "is" : "are", count == 0 ? "none" : all, shown < count ? " and more" : "");
}

/* The pairs and the note. A file without a version was written by Keras 1. */
static strata_status describe(st_keras *of, const char *version, const char *backend, bool is_model,
                              strata_error *err) {
    st_pair *pairs = NULL;
    char *note = NULL;
    size_t count = 0;
    ST_TRY(st_arena_printf(&note, of->out->arena, err, "Keras%s%.20s%s%.20s, %zu layers with weights%s%s%s%s",
                           version[0] != '\0' ? " " : "", version, backend[0] != '\0' ? " on " : "", backend,
                           of->layer_count, is_model ? "; its architecture is not read" : "",
                           of->is_ordered ? "" : "; layers are in order only within a kind: Keras 3 keeps no other",
                           of->has_norm ? "; batch norm: Keras' own eps is 1e-3" : "",
                           of->has_dense && !of->channels_first
                               ? "; dense weights follow rows, columns, channels and are turned when loaded"
                               : ""));
    ST_TRY(st_arena_alloc(&pairs, of->out->arena, 3, sizeof *pairs, err));
    pairs[count++] = (st_pair){ST_PAIR_NOTE, note};
    if (version[0] != '\0') {
        pairs[count++] = (st_pair){"keras_version", version};
    }
    if (backend[0] != '\0') {
        pairs[count++] = (st_pair){"backend", backend};
    }
    of->out->pairs = pairs;
    of->out->pair_count = count;
    return STRATA_OK;
}

static strata_status read_second(st_keras *to, const char *root, const char *const *layers, size_t count,
                                 strata_error *err) {
    const char *version = "", *backend = "", *config = "";
    ST_TRY(read_text(&version, to, root, "keras_version", err));
    ST_TRY(read_text(&backend, to, root, "backend", err));
    if (root[0] != '\0') {
        ST_TRY(read_text(&config, to, "", "model_config", err));
    }
    to->is_ordered = true;
    to->is_theano = strcmp(backend, "theano") == 0;
    to->channels_first = says_channels_first(config);
    ST_TRY(read_layers(to, root, layers, count, err));
    return describe(to, version, backend, root[0] != '\0', err);
}

static strata_status read_file(st_keras *to, strata_error *err) {
    const char **layers = NULL, **names = NULL;
    const char *root = "";
    size_t count = 0, name_count = 0;
    ST_TRY(read_list(&layers, &count, to, root, "layer_names", err));
    ST_TRY(st_hdf5_words(&names, &name_count, to->file, to->out->arena, "", NULL, err));
    if (layers == NULL && st_text_is_among("model_weights", names, name_count)) {
        root = "model_weights";
        ST_TRY(read_list(&layers, &count, to, root, "layer_names", err));
    }
    if (layers != NULL) {
        return read_second(to, root, layers, count, err);
    }
    const char *third = st_text_is_among("layers", names, name_count) ? "layers"
                        : st_text_is_among("_layer_checkpoint_dependencies", names, name_count)
                            ? "_layer_checkpoint_dependencies"
                            : NULL;
    if (third != NULL) {
        ST_TRY(read_groups(to, third, "", 0, err));
    }
    return to->count > 0 ? describe(to, "3", "", false, err) : fail_none(to, names, name_count, err);
}

strata_status st_keras_read(st_weights *out, st_hdf5 *file, strata_error *err) {
    uint64_t length = out->file.length;
    st_keras reader = {.out = out, .file = file};
    reader.unpacked_left = length < UINT64_MAX / UNPACKED_PER_BYTE - UNPACKED_ALWAYS
                               ? length * UNPACKED_PER_BYTE + UNPACKED_ALWAYS
                               : UINT64_MAX;
    ST_TRY(read_file(&reader, err));
    out->tensors = reader.tensors;
    out->tensor_count = reader.count;
    return STRATA_OK;
}

static bool probe(const st_file *file, const unsigned char *first, size_t length) {
    (void)first;
    (void)length;
    return st_hdf5_is_one(file);
}

static strata_status read_weights(st_weights *out, strata_error *err) {
    st_hdf5 file;
    ST_TRY(st_hdf5_open(&file, &out->file, ST_HDF5_SERVE(st_hdf5_serve_weights), err));
    strata_status status = st_keras_read(out, &file, err);
    st_hdf5_close(&file);
    return status;
}

const st_format st_format_keras = {.name = "Keras HDF5", .probe = probe, .read = read_weights};
