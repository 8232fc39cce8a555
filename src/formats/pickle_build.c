/* The names that a pickle of tensors may use, and what each of them makes here. A name is two texts that are compared
 * whole; nothing is looked up, imported or run. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/pickle.h"
#include "formats/table.h"

typedef enum global_kind {
    NAMES_STORAGE,   /* a storage's class: the type of its values */
    NAMES_UNTYPED,   /* a storage of bytes */
    NAMES_TYPE,      /* a type alone */
    MAKES_DICT,      /* OrderedDict, Counter */
    MAKES_TENSOR,    /* (storage, offset, sides, strides, ...) */
    MAKES_PARAMETER, /* (tensor, requires_grad, hooks): the tensor */
    MAKES_TUPLE,     /* torch.Size, torch.device: what it was given */
    MAKES_BYTES,     /* bytes as protocol 2 writes them */
    MAKES_DTYPE,     /* numpy's type of a number, whose state follows: itself */
    MAKES_NUMBER     /* (dtype, bytes): a number of numpy's, as training scripts keep a metric; never needed */
} global_kind;

struct st_pickle_global {
    const char *module, *name;
    global_kind kind;
    st_stored stored;     /* of a type */
    uint32_t least, most; /* arguments */
};

static const st_pickle_global globals[] = {
    {"collections", "OrderedDict", MAKES_DICT, 0, 0, 1},
    {"collections", "Counter", MAKES_DICT, 0, 0, 1},
    {"torch._utils", "_rebuild_tensor", MAKES_TENSOR, 0, 4, 4},
    {"torch._utils", "_rebuild_tensor_v2", MAKES_TENSOR, 0, 6, 7},
    {"torch._utils", "_rebuild_tensor_v3", MAKES_TENSOR, 0, 7, 8},
    {"torch._utils", "_rebuild_parameter", MAKES_PARAMETER, 0, 3, 3},
    {"torch", "Size", MAKES_TUPLE, 0, 1, 1},
    {"torch", "device", MAKES_TUPLE, 0, 1, 2},
    {"_codecs", "encode", MAKES_BYTES, 0, 2, 2},
    {"numpy", "dtype", MAKES_DTYPE, 0, 3, 3},
    {"numpy.core.multiarray", "scalar", MAKES_NUMBER, 0, 2, 2},
    {"numpy._core.multiarray", "scalar", MAKES_NUMBER, 0, 2, 2}, /* since numpy 2 */
    {"torch", "FloatStorage", NAMES_STORAGE, ST_STORED_F32, 0, 0},
    {"torch", "DoubleStorage", NAMES_STORAGE, ST_STORED_F64, 0, 0},
    {"torch", "HalfStorage", NAMES_STORAGE, ST_STORED_F16, 0, 0},
    {"torch", "BFloat16Storage", NAMES_STORAGE, ST_STORED_BF16, 0, 0},
    {"torch", "LongStorage", NAMES_STORAGE, ST_STORED_I64, 0, 0},
    {"torch", "IntStorage", NAMES_STORAGE, ST_STORED_I32, 0, 0},
    {"torch", "ShortStorage", NAMES_STORAGE, ST_STORED_I16, 0, 0},
    {"torch", "CharStorage", NAMES_STORAGE, ST_STORED_I8, 0, 0},
    {"torch", "ByteStorage", NAMES_STORAGE, ST_STORED_U8, 0, 0},
    {"torch", "BoolStorage", NAMES_STORAGE, ST_STORED_BOOL, 0, 0},
    {"torch.storage", "UntypedStorage", NAMES_UNTYPED, ST_STORED_U8, 0, 0},
    {"torch", "float32", NAMES_TYPE, ST_STORED_F32, 0, 0},
    {"torch", "float64", NAMES_TYPE, ST_STORED_F64, 0, 0},
    {"torch", "float16", NAMES_TYPE, ST_STORED_F16, 0, 0},
    {"torch", "bfloat16", NAMES_TYPE, ST_STORED_BF16, 0, 0},
    {"torch", "int64", NAMES_TYPE, ST_STORED_I64, 0, 0},
    {"torch", "int32", NAMES_TYPE, ST_STORED_I32, 0, 0},
    {"torch", "int16", NAMES_TYPE, ST_STORED_I16, 0, 0},
    {"torch", "int8", NAMES_TYPE, ST_STORED_I8, 0, 0},
    {"torch", "uint64", NAMES_TYPE, ST_STORED_U64, 0, 0},
    {"torch", "uint32", NAMES_TYPE, ST_STORED_U32, 0, 0},
    {"torch", "uint16", NAMES_TYPE, ST_STORED_U16, 0, 0},
    {"torch", "uint8", NAMES_TYPE, ST_STORED_U8, 0, 0},
    {"torch", "bool", NAMES_TYPE, ST_STORED_BOOL, 0, 0},
};

bool st_pickle_is_dtype(const st_pickle_value *value) {
    return value->kind == ST_PICKLE_GLOBAL && value->as.global->kind == MAKES_DTYPE;
}

static strata_status fail_at(const st_pickle *pickle, strata_error *err, strata_status status, const char *format, ...)
    ST_PRINTF(4, 5);
static strata_status fail_at(const st_pickle *pickle, strata_error *err, strata_status status, const char *format,
                             ...) {
    char text[320];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return st_fail_file(err, status, pickle->file, "byte %llu: %s", (unsigned long long)(pickle->place + pickle->at),
                        text);
}

static bool is_word(const char *word, const char *text, size_t length) {
    return strlen(word) == length && memcmp(word, text, length) == 0;
}

strata_status st_pickle_find_global(const st_pickle_global **out, const st_pickle *pickle, const char *module,
                                    size_t module_length, const char *name, size_t name_length, strata_error *err) {
    enum { SHOWN = 100 };
    for (size_t i = 0; i < ST_COUNT_OF(globals); i++) {
        if (is_word(globals[i].module, module, module_length) && is_word(globals[i].name, name, name_length)) {
            *out = &globals[i];
            return STRATA_OK;
        }
    }
    strata_status status =
        fail_at(pickle, err, STRATA_UNSUPPORTED,
                "it refers to '%.*s.%.*s': nothing is run here, only tensors, dicts, lists, numbers and texts are read",
                (int)(module_length < SHOWN ? module_length : SHOWN), module,
                (int)(name_length < SHOWN ? name_length : SHOWN), name);
    if (name_length > 0 && name[0] >= 'A' && name[0] <= 'Z') { /* Python's classes: a model as it was in memory */
        st_error_hint(err, "who has the model writes its weights alone: torch.save(model.state_dict(), 'weights.pth')");
    }
    return status;
}

/* ---- storages ---- */

/* The count of a side, a stride, a size: a whole number that is not negative. */
static strata_status take_size(const st_pickle *pickle, const st_pickle_value *value, const char *what, uint64_t *out,
                               strata_error *err) {
    if (value->kind != ST_PICKLE_INT || value->as.integer < 0) {
        return fail_at(pickle, err, STRATA_FORMAT, "%s is %s, expected a number from 0", what,
                       value->kind == ST_PICKLE_INT ? "negative" : st_pickle_kind_name(value->kind));
    }
    *out = (uint64_t)value->as.integer;
    return STRATA_OK;
}

/* None, or (key, first value, count): a part of another storage, as PyTorch 0.1 had them. */
static strata_status take_part(const st_pickle *pickle, st_pickle_storage *storage, const st_pickle_value *part,
                               strata_error *err) {
    storage->part = storage->count;
    if (part == NULL || part->kind == ST_PICKLE_NONE) {
        return STRATA_OK;
    }
    if (part->kind != ST_PICKLE_TUPLE || part->as.items->count != 3) {
        return fail_at(pickle, err, STRATA_FORMAT, "the part of a storage is %s, expected (key, first, count)",
                       st_pickle_kind_name(part->kind));
    }
    ST_TRY(take_size(pickle, &part->as.items->items[1], "the first value of a part", &storage->first, err));
    ST_TRY(take_size(pickle, &part->as.items->items[2], "the count of a part", &storage->part, err));
    if (storage->first > storage->count || storage->part > storage->count - storage->first) {
        return fail_at(pickle, err, STRATA_FORMAT,
                       "a part of %" PRIu64 " values from %" PRIu64 ", its storage has %" PRIu64, storage->part,
                       storage->first, storage->count);
    }
    return STRATA_OK;
}

strata_status st_pickle_load_storage(st_pickle *pickle, st_pickle_value *out, const st_pickle_value *id,
                                     strata_error *err) {
    st_pickle_storage *storage = NULL;
    size_t bytes = 0;
    const st_pickle_value *parts = id->kind == ST_PICKLE_TUPLE ? id->as.items->items : NULL;
    uint32_t count = parts != NULL ? id->as.items->count : 0;
    if (count > 0 && parts[0].kind == ST_PICKLE_TEXT && !st_pickle_is_text(&parts[0], "storage")) {
        return fail_at(pickle, err, STRATA_UNSUPPORTED, "a persistent id of the kind '%.*s', expected 'storage'",
                       (int)(parts[0].length < 32 ? parts[0].length : 32), parts[0].as.text);
    }
    if (count < 5 || count > 6 || parts[0].kind != ST_PICKLE_TEXT || parts[1].kind != ST_PICKLE_GLOBAL ||
        parts[2].kind != ST_PICKLE_TEXT || parts[3].kind != ST_PICKLE_TEXT ||
        (parts[1].as.global->kind != NAMES_STORAGE && parts[1].as.global->kind != NAMES_UNTYPED)) {
        return fail_at(pickle, err, STRATA_FORMAT,
                       "a persistent id is not ('storage', a storage's class, key, device, count)");
    }
    if (pickle->storage_count == ST_PICKLE_MOST_TENSORS) {
        return fail_at(pickle, err, STRATA_UNSUPPORTED, "more than %d storages", ST_PICKLE_MOST_TENSORS);
    }
    ST_TRY(st_arena_alloc(&storage, pickle->arena, 1, sizeof *storage, err));
    storage->key = parts[2].as.text;
    storage->key_length = parts[2].length;
    storage->stored = parts[1].as.global->stored;
    storage->is_untyped = parts[1].as.global->kind == NAMES_UNTYPED;
    ST_TRY(take_size(pickle, &parts[4], "the count of a storage", &storage->count, err));
    if (storage->count > INT64_MAX || !st_size_mul((size_t)storage->count, st_stored_size(storage->stored), &bytes)) {
        return fail_at(pickle, err, STRATA_FORMAT, "a storage of %" PRIu64 " values", storage->count);
    }
    ST_TRY(take_part(pickle, storage, count == 6 ? &parts[5] : NULL, err));
    ST_TRY(st_format_grow(&pickle->storages, pickle->storage_count, sizeof *pickle->storages, pickle->arena, err));
    pickle->storages[pickle->storage_count++] = storage;
    *out = (st_pickle_value){.kind = ST_PICKLE_STORAGE, .as.storage = storage};
    return STRATA_OK;
}

/* ---- tensors ---- */

/* Sides and strides. */
static strata_status take_sizes(st_pickle *pickle, const st_pickle_value *from, const char *what, const int64_t **out,
                                int *rank, strata_error *err) {
    int64_t *sizes = NULL;
    if (from->kind != ST_PICKLE_TUPLE) {
        return fail_at(pickle, err, STRATA_FORMAT, "the %ss of a tensor are %s, expected a tuple", what,
                       st_pickle_kind_name(from->kind));
    }
    if (from->as.items->count > ST_TENSOR_RANK_MAX) {
        return fail_at(pickle, err, STRATA_UNSUPPORTED, "a tensor with more than %d sides", ST_TENSOR_RANK_MAX);
    }
    *rank = (int)from->as.items->count;
    ST_TRY(st_arena_alloc(&sizes, pickle->arena, (size_t)*rank, sizeof *sizes, err));
    for (int d = 0; d < *rank; d++) {
        uint64_t size = 0;
        ST_TRY(take_size(pickle, &from->as.items->items[d], what, &size, err));
        sizes[d] = (int64_t)size;
    }
    *out = sizes;
    return STRATA_OK;
}

/* The last value of the view lies in the storage; counts and places do not overflow. */
static strata_status check_view(const st_pickle *pickle, st_tensor *tensor, uint64_t first, uint64_t there,
                                strata_error *err) {
    char dims[ST_TENSOR_DIMS_TEXT];
    size_t count = 1, last = (size_t)first, bytes = 0;
    bool fits = true;
    for (int d = 0; d < tensor->rank; d++) {
        size_t span = 0, side = (size_t)tensor->dims[d];
        fits = fits && st_size_mul(count, side, &count);
        fits = fits && st_size_mul(side > 0 ? side - 1 : 0, (size_t)tensor->strides[d], &span) &&
               st_size_add(last, span, &last);
    }
    st_tensor_dims(dims, tensor->rank, tensor->dims);
    if (!fits || !st_size_mul(count, st_stored_size(tensor->stored), &bytes) || bytes > INT64_MAX) {
        return fail_at(pickle, err, STRATA_FORMAT, "a tensor of %s: the product of its sides overflows", dims);
    }
    if (count > 0 ? last >= there : first > there) {
        return fail_at(pickle, err, STRATA_FORMAT,
                       "a tensor of %s reaches value %zu of its storage, which has %" PRIu64, dims, last, there);
    }
    tensor->count = count;
    return STRATA_OK;
}

static bool is_packed(const st_tensor *tensor) {
    int64_t step = 1;
    for (int d = tensor->rank - 1; d >= 0; d--) {
        if (tensor->dims[d] != 1 && tensor->strides[d] != step) {
            return false;
        }
        step *= tensor->dims[d]; /* check_view has seen the product */
    }
    return true;
}

/* What is behind the strides: requires_grad, hooks, with v3 the type, metadata. Only what changes values matters. */
static strata_status check_rest(const st_pickle *pickle, const st_pickle_global *called, const st_pickle_value *values,
                                uint32_t count, st_tensor *tensor, strata_error *err) {
    bool has_type = called->least == 7;
    uint32_t metadata = has_type ? 7 : 6;
    if (has_type) {
        if (values[6].kind != ST_PICKLE_GLOBAL || values[6].as.global->kind != NAMES_TYPE) {
            return fail_at(pickle, err, STRATA_FORMAT, "the type of a tensor is %s",
                           st_pickle_kind_name(values[6].kind));
        }
        tensor->stored = values[6].as.global->stored;
    }
    /* {'neg': True}: the values are to be negated. */
    if (count > metadata && values[metadata].kind != ST_PICKLE_NONE &&
        (values[metadata].kind != ST_PICKLE_DICT || values[metadata].as.items->count > 0)) {
        return fail_at(pickle, err, STRATA_UNSUPPORTED, "a tensor whose values are to be negated or conjugated");
    }
    return STRATA_OK;
}

static strata_status make_tensor(st_pickle *pickle, st_pickle_value *out, const st_pickle_global *called,
                                 const st_pickle_value *values, uint32_t count, strata_error *err) {
    st_pickle_tensor *made = NULL;
    uint64_t first = 0;
    int strides = 0;
    if (values[0].kind != ST_PICKLE_STORAGE) {
        return fail_at(pickle, err, STRATA_FORMAT, "the storage of a tensor is %s",
                       st_pickle_kind_name(values[0].kind));
    }
    if (pickle->tensor_count++ == ST_PICKLE_MOST_TENSORS) {
        return fail_at(pickle, err, STRATA_UNSUPPORTED, "more than %d tensors", ST_PICKLE_MOST_TENSORS);
    }
    ST_TRY(st_arena_alloc(&made, pickle->arena, 1, sizeof *made, err));
    const st_pickle_storage *storage = made->storage = values[0].as.storage;
    st_tensor *tensor = &made->tensor;
    tensor->stored = storage->stored;
    ST_TRY(take_size(pickle, &values[1], "the offset of a tensor", &first, err));
    ST_TRY(take_sizes(pickle, &values[2], "side", &tensor->dims, &tensor->rank, err));
    ST_TRY(take_sizes(pickle, &values[3], "stride", &tensor->strides, &strides, err));
    if (strides != tensor->rank) {
        return fail_at(pickle, err, STRATA_FORMAT, "a tensor with %d sides and %d strides", tensor->rank, strides);
    }
    ST_TRY(check_rest(pickle, called, values, count, tensor, err));
    if (called->least == 7 && !storage->is_untyped && storage->stored != tensor->stored) {
        return fail_at(pickle, err, STRATA_FORMAT, "a tensor of %s in a storage of %s", st_stored_name(tensor->stored),
                       st_stored_name(storage->stored));
    }
    size_t size = st_stored_size(tensor->stored);
    ST_TRY(check_view(pickle, tensor, first, storage->part * st_stored_size(storage->stored) / size, err));
    if (tensor->count == 0 || is_packed(tensor)) {
        tensor->strides = NULL;
    }
    tensor->offset = storage->first * st_stored_size(storage->stored) + first * size;
    *out = (st_pickle_value){.kind = ST_PICKLE_TENSOR, .as.tensor = made};
    return STRATA_OK;
}

/* ---- calls ---- */

/* One list may be given to many calls. */
static strata_status copy(st_pickle *pickle, st_pickle_items *items, const st_pickle_value *values, size_t count,
                          strata_error *err) {
    if (count > pickle->length - pickle->copied) {
        return fail_at(pickle, err, STRATA_FORMAT, "dicts are made of the same values again and again");
    }
    pickle->copied += count;
    return st_pickle_append(pickle, items, values, count, err);
}

/* OrderedDict() of nothing, of a list of pairs (Python 2) or of a dict; Counter of a dict. */
static strata_status make_dict(st_pickle *pickle, st_pickle_value *out, const st_pickle_value *values, uint32_t count,
                               strata_error *err) {
    ST_TRY(st_pickle_new_items(pickle, out, ST_PICKLE_DICT, err));
    out->as.items->has_attributes = true;
    if (count == 0) {
        return STRATA_OK;
    }
    if (values[0].kind == ST_PICKLE_DICT) {
        return copy(pickle, out->as.items, values[0].as.items->items, values[0].as.items->count, err);
    }
    for (uint32_t i = 0; values[0].kind == ST_PICKLE_LIST && i < values[0].as.items->count; i++) {
        const st_pickle_value *pair = &values[0].as.items->items[i];
        if ((pair->kind != ST_PICKLE_LIST && pair->kind != ST_PICKLE_TUPLE) || pair->as.items->count != 2 ||
            pair->as.items->items[0].kind > ST_PICKLE_TUPLE) {
            return fail_at(pickle, err, STRATA_FORMAT, "an OrderedDict of a list whose entry %u is no pair", i);
        }
        ST_TRY(copy(pickle, out->as.items, pair->as.items->items, 2, err));
    }
    if (values[0].kind != ST_PICKLE_LIST) {
        return fail_at(pickle, err, STRATA_FORMAT, "an OrderedDict of %s", st_pickle_kind_name(values[0].kind));
    }
    return STRATA_OK;
}

strata_status st_pickle_call(st_pickle *pickle, st_pickle_value *out, const st_pickle_value *called,
                             const st_pickle_value *arguments, strata_error *err) {
    const st_pickle_global *global = called->as.global;
    const st_pickle_value *values = arguments->as.items->items;
    uint32_t count = arguments->as.items->count;
    if (global->kind <= NAMES_TYPE) {
        return fail_at(pickle, err, STRATA_FORMAT, "it calls '%s.%s', which names a type", global->module,
                       global->name);
    }
    if (count < global->least || count > global->most) {
        return fail_at(pickle, err, STRATA_FORMAT, "'%s.%s' with %u arguments, expected %u to %u", global->module,
                       global->name, count, global->least, global->most);
    }
    switch (global->kind) {
    case MAKES_DICT:
        return make_dict(pickle, out, values, count, err);
    case MAKES_TENSOR:
        return make_tensor(pickle, out, global, values, count, err);
    case MAKES_PARAMETER:
        if (values[0].kind != ST_PICKLE_TENSOR) {
            return fail_at(pickle, err, STRATA_FORMAT, "a Parameter of %s, expected a tensor",
                           st_pickle_kind_name(values[0].kind));
        }
        *out = values[0];
        return STRATA_OK;
    case MAKES_BYTES:
        *out = (st_pickle_value){.kind = ST_PICKLE_BYTES};
        return STRATA_OK;
    case MAKES_DTYPE:
        *out = *called;
        return STRATA_OK;
    case MAKES_NUMBER:
        if (!st_pickle_is_dtype(&values[0]) ||
            (values[1].kind != ST_PICKLE_BYTES && values[1].kind != ST_PICKLE_TEXT)) { /* Python 2's bytes are a text */
            return fail_at(pickle, err, STRATA_FORMAT,
                           "a number of numpy's made of %s and %s, expected a type and bytes",
                           st_pickle_kind_name(values[0].kind), st_pickle_kind_name(values[1].kind));
        }
        *out = (st_pickle_value){.kind = ST_PICKLE_NUMBER};
        return STRATA_OK;
    default:
        *out = *arguments;
        return STRATA_OK;
    }
}
