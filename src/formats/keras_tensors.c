/* The weights of a Keras layer as tensors with our names and our order of sides. Keras has kernels as (rows, columns,
 * in, out); they become [out][in][rows][columns] when they are read. */
#include <stdlib.h>
#include <string.h>

#include "formats/keras.h"
#include "formats/table.h"

enum { MOST_TENSORS = 20000 };

/* ---- names ---- */

typedef struct known {
    const char *theirs, *ours;
    st_keras_role role;
} known;

/* Keras 2 and 3; then Keras 1, whose running_std is a variance too. */
static const known known_names[] = {
    {"kernel", "weight", ST_KERAS_KERNEL},
    {"bias", "bias", ST_KERAS_PLAIN},
    {"gamma", "weight", ST_KERAS_PLAIN},
    {"beta", "bias", ST_KERAS_PLAIN},
    {"moving_mean", "running_mean", ST_KERAS_PLAIN},
    {"moving_variance", "running_var", ST_KERAS_PLAIN},
    {"depthwise_kernel", "weight", ST_KERAS_DEPTHWISE},
    {"pointwise_kernel", "weight", ST_KERAS_POINTWISE},
    {"W", "weight", ST_KERAS_KERNEL},
    {"b", "bias", ST_KERAS_PLAIN},
    {"running_mean", "running_mean", ST_KERAS_PLAIN},
    {"running_std", "running_var", ST_KERAS_PLAIN},
};

static const known *find_known(const char *name, size_t length) {
    for (size_t i = 0; i < ST_COUNT_OF(known_names); i++) {
        if (strlen(known_names[i].theirs) == length && memcmp(known_names[i].theirs, name, length) == 0) {
            return &known_names[i];
        }
    }
    return NULL;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Without "_1" at its end. */
static size_t cut_number(const char *name, size_t length) {
    size_t cut = length;
    while (cut > 0 && is_digit(name[cut - 1])) {
        cut--;
    }
    return cut > 1 && cut < length && name[cut - 1] == '_' ? cut - 1 : length;
}

/* Whether a name says "depthwise", or has the word "dw" or "dwconv": Keras 3, whose names have no ":0", calls its
 * kernel as any other. */
static bool says_depthwise(const char *name) {
    if (strstr(name, "depthwise") != NULL) {
        return true;
    }
    for (const char *at = strstr(name, "dw"); at != NULL; at = strstr(at + 1, "dw")) {
        const char *end = at + (strncmp(at, "dwconv", 6) == 0 ? 6 : 2);
        bool begins = at == name || at[-1] == '_' || at[-1] == '/';
        if (begins && (*end == '\0' || *end == '_' || *end == '/' || is_digit(*end))) {
            return true;
        }
    }
    return false;
}

void st_keras_name(st_keras_weight *weight, const char *layer) {
    const char *slash = strrchr(weight->name, '/'), *base = slash != NULL ? slash + 1 : weight->name;
    size_t length = strlen(base), layer_length = strlen(layer);
    weight->scope = weight->name;
    weight->scope_length = slash != NULL ? (size_t)(slash - weight->name) : 0;
    const char *colon = strchr(base, ':');
    length = colon != NULL ? (size_t)(colon - base) : length;
    if (length > layer_length + 1 && strncmp(base, layer, layer_length) == 0 && base[layer_length] == '_') {
        base += layer_length + 1; /* Keras 1: "conv1_W" */
        length -= layer_length + 1;
    }
    const known *found = find_known(base, length);
    found = found != NULL ? found : find_known(base, cut_number(base, length));
    weight->ending = found != NULL ? found->ours : NULL;
    weight->role = found != NULL ? found->role : ST_KERAS_PLAIN;
    if (weight->role == ST_KERAS_KERNEL && colon == NULL && (says_depthwise(layer) || says_depthwise(weight->name))) {
        weight->role = ST_KERAS_DEPTHWISE;
    }
}

/* ---- the order within a layer ---- */

static int compare_scopes(const void *a, const void *b) {
    const st_keras_weight *one = a, *two = b;
    size_t least = one->scope_length < two->scope_length ? one->scope_length : two->scope_length;
    int order = memcmp(one->scope, two->scope, least);
    if (order == 0 && one->scope_length != two->scope_length) {
        return one->scope_length < two->scope_length ? -1 : 1;
    }
    return order != 0 ? order : one->number < two->number ? -1 : one->number > two->number;
}

static bool same_scope(const st_keras_weight *one, const st_keras_weight *two) {
    return one->scope_length == two->scope_length && memcmp(one->scope, two->scope, one->scope_length) == 0;
}

static int compare_places(const void *a, const void *b) {
    const st_keras_weight *one = a, *two = b;
    if (one->first != two->first) {
        return one->first < two->first ? -1 : 1;
    }
    return one->number < two->number ? -1 : one->number > two->number;
}

/* A net in a net is one layer, which lists what is trained before what is not: its own layers are put together again,
 * in the order in which they first appear. */
static void sort_weights(st_keras_weight *weights, size_t count) {
    for (size_t i = 0; i < count; i++) {
        weights[i].number = i;
    }
    qsort(weights, count, sizeof *weights, compare_scopes);
    for (size_t i = 0; i < count; i++) {
        weights[i].first = i > 0 && same_scope(&weights[i - 1], &weights[i]) ? weights[i - 1].first : weights[i].number;
    }
    qsort(weights, count, sizeof *weights, compare_places);
}

/* Leaves out what all scopes begin with: bytes up to and with a '/', or all. */
static size_t common_scope(const st_keras_weight *weights, size_t count) {
    size_t common = weights[0].scope_length;
    for (size_t i = 1; i < count; i++) {
        size_t same = 0;
        while (same < common && same < weights[i].scope_length && weights[0].scope[same] == weights[i].scope[same]) {
            same++;
        }
        bool is_whole = (same == weights[0].scope_length || weights[0].scope[same] == '/') &&
                        (same == weights[i].scope_length || weights[i].scope[same] == '/');
        while (!is_whole && same > 0 && weights[0].scope[same - 1] != '/') {
            same--;
        }
        common = same;
    }
    return common;
}

/* "LAYER.SCOPE.ending", with '.' for '/'. */
static strata_status make_name(const char **out, st_keras *to, const char *layer, const st_keras_weight *weight,
                               size_t common, bool is_separable, strata_error *err) {
    const char *slash = strrchr(weight->name, '/'), *ending = slash != NULL ? slash + 1 : weight->name;
    const char *between = is_separable && weight->role == ST_KERAS_DEPTHWISE ? "depthwise."
                          : is_separable                                     ? "pointwise."
                                                                             : "";
    char *name = NULL;
    const char *scope = weight->scope + common;
    int length = (int)(weight->scope_length - common);
    if (length > 0 && scope[0] == '/') {
        scope++;
        length--;
    }
    ST_TRY(st_arena_printf(&name, to->out->arena, err, "%s.%.*s%s%s%s", layer, length, scope, length > 0 ? "." : "",
                           between, weight->ending != NULL ? weight->ending : ending));
    for (char *at = name + strlen(layer); *at != '\0'; at++) {
        *at = *at == '/' ? '.' : *at;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7F) {
            return st_fail_file(err, STRATA_FORMAT, to->file->path, "'%s' has control characters in its name", name);
        }
    }
    if (!st_text_is_utf8(name, strlen(name))) {
        return st_fail_file(err, STRATA_FORMAT, to->file->path, "'%s': its name is not UTF-8", name);
    }
    *out = name;
    return STRATA_OK;
}

/* ---- sides ---- */

static bool set_packed(st_tensor *tensor, const st_hdf5_set *set, int64_t *dims) {
    size_t count = 1;
    for (uint32_t d = 0; d < set->rank; d++) {
        if (set->dims[d] > INT64_MAX || !st_size_mul(count, (size_t)set->dims[d], &count)) {
            return false;
        }
        dims[d] = (int64_t)set->dims[d];
    }
    tensor->rank = (int)set->rank;
    tensor->dims = dims;
    tensor->count = count;
    return count <= INT64_MAX / 8;
}

/* (..., in, out) to [out][in][...]; depthwise (..., in, multiplier) to [in * multiplier][1][...]. */
static void turn(st_tensor *tensor, st_keras_role role, int64_t *dims, int64_t *strides) {
    int64_t sides[ST_HDF5_MOST_RANK] = {0}, steps[ST_HDF5_MOST_RANK] = {0}, step = 1;
    int rank = tensor->rank;
    for (int d = rank - 1; d >= 0; d--) {
        sides[d] = dims[d];
        steps[d] = step;
        step *= dims[d]; /* as a whole it was checked */
    }
    for (int d = 0; d < rank - 2; d++) {
        dims[d + 2] = sides[d];
        strides[d + 2] = steps[d];
    }
    bool is_depthwise = role == ST_KERAS_DEPTHWISE;
    dims[0] = is_depthwise ? sides[rank - 2] * sides[rank - 1] : sides[rank - 1];
    dims[1] = is_depthwise ? 1 : sides[rank - 2];
    strides[0] = 1;
    strides[1] = is_depthwise ? 1 : steps[rank - 2];
    tensor->strides = strides;
}

static strata_status set_sides(st_tensor *tensor, st_keras *to, const st_keras_weight *weight, const st_hdf5_set *set,
                               strata_error *err) {
    int64_t *sides = NULL;
    if (set->rank > ST_HDF5_MOST_RANK) {
        return st_fail_file(err, STRATA_UNSUPPORTED, to->file->path, "'%s' has %u sides, at most %d are served",
                            weight->path, (unsigned)set->rank, ST_HDF5_MOST_RANK);
    }
    ST_TRY(st_arena_alloc(&sides, to->out->arena, 2 * set->rank + 1, sizeof *sides, err));
    if (!set_packed(tensor, set, sides)) {
        return st_fail_file(err, STRATA_FORMAT, to->file->path, "'%s' declares more values than can be counted",
                            weight->path);
    }
    bool is_kernel = weight->role != ST_KERAS_PLAIN && tensor->count > 0;
    if (is_kernel && tensor->rank >= 3 && to->is_theano) {
        return st_fail_file(err, STRATA_UNSUPPORTED, to->file->path,
                            "'%s' was written by Keras on Theano, whose kernels are turned by half a circle",
                            weight->path);
    }
    if (is_kernel && tensor->rank >= (weight->role == ST_KERAS_DEPTHWISE ? 3 : 2)) {
        turn(tensor, weight->role, sides, sides + set->rank);
        tensor->is_channels_last = tensor->rank == 2 && !to->channels_first;
        to->has_dense = to->has_dense || tensor->rank == 2;
    }
    to->has_norm = to->has_norm || (weight->ending != NULL && strcmp(weight->ending, "running_var") == 0);
    return STRATA_OK;
}

/* ---- values ---- */

/* Those that do not lie in the file as they are: packed, or of a type that is not served, as F32 in memory. */
static strata_status unpack(st_tensor *tensor, st_keras *to, const st_keras_weight *weight, strata_error *err) {
    float *values = NULL;
    size_t bytes = 0;
    if (!st_size_mul(tensor->count, sizeof *values, &bytes) || bytes > to->unpacked_left) {
        return st_fail_file(err, STRATA_FORMAT, to->file->path,
                            "'%s' and what was packed before it unpack to more than 16 times the file and 256 MB",
                            weight->path);
    }
    to->unpacked_left -= bytes;
    ST_TRY(st_arena_alloc(&values, to->out->arena, tensor->count + 1, sizeof *values, err));
    ST_TRY(st_hdf5_values(values, tensor->count, to->file, weight->path, err));
    unsigned char *stored = (unsigned char *)values;
    for (size_t i = 0; i < tensor->count; i++) { /* in place: a float is read before its bytes are written */
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        st_stored_put(stored + 4 * i, sizeof bits, bits);
    }
    tensor->stored = ST_STORED_F32;
    tensor->bytes = stored;
    return STRATA_OK;
}

static strata_status set_values(st_tensor *tensor, st_keras *to, const st_keras_weight *weight, const st_hdf5_set *set,
                                strata_error *err) {
    uint64_t length = to->out->file.length;
    size_t bytes = 0;
    if (set->type > ST_HDF5_FLOATS) {
        return st_fail_file(err, STRATA_UNSUPPORTED, to->file->path, "'%s' holds no numbers", weight->path);
    }
    if (set->stored == ST_STORED_COUNT || set->offset == UINT64_MAX) {
        return unpack(tensor, to, weight, err);
    }
    tensor->stored = (st_stored)set->stored;
    if (!st_size_mul(tensor->count, st_stored_size(tensor->stored), &bytes) || bytes > length ||
        set->offset > length - bytes) {
        return st_fail_file(err, STRATA_FORMAT, to->file->path, "'%s' lies beyond the end of the file", weight->path);
    }
    tensor->offset = set->offset;
    if (tensor->strides == NULL) {
        return STRATA_OK;
    }
    if (bytes > to->unpacked_left) {
        return st_fail_file(err, STRATA_FORMAT, to->file->path, "'%s' and what was read before it overlap",
                            weight->path);
    }
    to->unpacked_left -= bytes;
    return st_tensor_turn(tensor, to->out, err);
}

static strata_status add_one(st_keras *to, const char *layer, const st_keras_weight *weight, size_t common,
                             bool is_separable, strata_error *err) {
    st_tensor tensor = {0};
    st_hdf5_set set;
    if (to->count == MOST_TENSORS) {
        return st_fail_file(err, STRATA_UNSUPPORTED, to->file->path, "it names more than %d weights", MOST_TENSORS);
    }
    ST_TRY(make_name(&tensor.name, to, layer, weight, common, is_separable, err));
    ST_TRY(st_hdf5_describe(&set, to->file, weight->path, err));
    ST_TRY(st_hdf5_check_set(to->file, &set, weight->path, err));
    ST_TRY(set_sides(&tensor, to, weight, &set, err));
    ST_TRY(set_values(&tensor, to, weight, &set, err));
    ST_TRY(st_format_grow(&to->tensors, to->count, sizeof *to->tensors, to->out->arena, err));
    to->tensors[to->count++] = tensor;
    return STRATA_OK;
}

strata_status st_keras_add(st_keras *to, const char *layer, st_keras_weight *weights, size_t count, strata_error *err) {
    bool is_separable = false;
    if (count == 0) {
        return STRATA_OK;
    }
    for (size_t i = 0; i < count; i++) {
        is_separable = is_separable || weights[i].role == ST_KERAS_POINTWISE;
    }
    sort_weights(weights, count);
    size_t common = common_scope(weights, count);
    for (size_t i = 0; i < count; i++) {
        ST_TRY(add_one(to, layer, &weights[i], common, is_separable, err));
    }
    to->layer_count++;
    return STRATA_OK;
}
