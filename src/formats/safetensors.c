/* safetensors (Hugging Face, https://huggingface.co/docs/safetensors): eight bytes with the length of the head, the
 * head as JSON, the bytes of the tensors.
 *
 *     | n: u64 little-endian | head: n bytes of JSON, padded with spaces | data of all tensors, back to back |
 *
 * The head is untrusted. It is at most 100 MB and inside the file; UTF-8; no name twice; the data of the tensors starts
 * at 0, touches, and ends with the file: no hole, no overlap, no tail; end - begin is the product of the sides times
 * the size of the type, every product checked. Scalars and empty tensors are valid. What follows from one broken rule
 * is never guessed. Not here: writing, and which tensor belongs to which layer. */
#include <stdlib.h>
#include <string.h>

#include "formats/table.h"

enum { MOST_PAIRS = 1 << 16 };

typedef struct head {
    st_json json;
    st_arena *arena;
    uint64_t data_length; /* bytes after the head */
    uint64_t data_start;
    const char *file;
} head;

/* "shape": the sides, their product in *count. */
static strata_status read_shape(head *from, st_tensor *tensor, strata_error *err) {
    int64_t dims[ST_TENSOR_RANK_MAX];
    bool more = false;
    size_t count = 1;
    tensor->rank = 0;
    ST_TRY(st_json_enter(&from->json, '[', err));
    for (;;) {
        uint64_t side = 0;
        ST_TRY(st_json_next(&from->json, &more, NULL, err));
        if (!more) {
            break;
        }
        ST_TRY(st_json_size(&from->json, &side, err));
        if (tensor->rank == ST_TENSOR_RANK_MAX) {
            return st_fail_file(err, STRATA_UNSUPPORTED, from->file, "tensor '%s': more than %d sides", tensor->name,
                                ST_TENSOR_RANK_MAX);
        }
        if (side > INT64_MAX || !st_size_mul(count, (size_t)side, &count)) {
            return st_fail_file(err, STRATA_FORMAT, from->file, "tensor '%s': the product of its sides overflows",
                                tensor->name);
        }
        dims[tensor->rank++] = (int64_t)side;
    }
    int64_t *copy = NULL;
    ST_TRY(st_arena_alloc(&copy, from->arena, (size_t)tensor->rank, sizeof *copy, err));
    memcpy(copy, dims, (size_t)tensor->rank * sizeof *copy);
    tensor->dims = copy;
    tensor->count = count;
    return STRATA_OK;
}

static strata_status read_type(head *from, st_tensor *tensor, strata_error *err) {
    char *name = NULL;
    ST_TRY(st_json_string(&from->json, &name, NULL, err));
    for (size_t i = 0; i < ST_STORED_COUNT; i++) {
        if (strcmp(name, st_stored_name((st_stored)i)) == 0) {
            tensor->stored = (st_stored)i;
            return STRATA_OK;
        }
    }
    return st_fail_file(
        err, STRATA_UNSUPPORTED, from->file,
        "tensor '%s': dtype '%s' is not known, expected F32, F64, F16, BF16, I8 to I64, U8 to U64 or BOOL",
        tensor->name, name);
}

static strata_status read_offsets(head *from, uint64_t offsets[2], strata_error *err) {
    bool more = false;
    ST_TRY(st_json_enter(&from->json, '[', err));
    for (int i = 0; i < 3; i++) {
        ST_TRY(st_json_next(&from->json, &more, NULL, err));
        if (more != (i < 2)) {
            return st_fail_file(err, STRATA_FORMAT, from->file, "byte %zu: data_offsets must be two numbers",
                                from->json.at);
        }
        if (more) {
            ST_TRY(st_json_size(&from->json, &offsets[i], err));
        }
    }
    return STRATA_OK;
}

/* end - begin is what type and shape say, and lies in the file. */
static strata_status check_extent(const head *from, st_tensor *tensor, const uint64_t offsets[2], strata_error *err) {
    size_t bytes = 0;
    if (offsets[0] > offsets[1] || offsets[1] > from->data_length) {
        strata_status status = st_fail_file(
            err, STRATA_FORMAT, from->file,
            "tensor '%s': data_offsets %llu to %llu, expected to lie in the %llu bytes of data", tensor->name,
            (unsigned long long)offsets[0], (unsigned long long)offsets[1], (unsigned long long)from->data_length);
        st_error_hint(err, "a file that was cut looks like this: its end is missing");
        return status;
    }
    if (!st_size_mul(tensor->count, st_stored_size(tensor->stored), &bytes) || bytes != offsets[1] - offsets[0]) {
        return st_fail_file(err, STRATA_FORMAT, from->file,
                            "tensor '%s': its shape has %zu values of type %s, its data_offsets hold %llu bytes",
                            tensor->name, tensor->count, st_stored_name(tensor->stored),
                            (unsigned long long)(offsets[1] - offsets[0]));
    }
    tensor->offset = from->data_start + offsets[0];
    return STRATA_OK;
}

/* {"dtype": ..., "shape": ..., "data_offsets": ...} in any order, each once. */
static strata_status read_tensor(head *from, st_tensor *tensor, strata_error *err) {
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    uint64_t offsets[2] = {0, 0};
    bool seen[ST_COUNT_OF(keys)] = {false}, more = false;
    char *key = NULL;
    ST_TRY(st_json_enter(&from->json, '{', err));
    for (;;) {
        ST_TRY(st_json_next(&from->json, &more, &key, err));
        if (!more) {
            break;
        }
        size_t which = 0;
        while (which < ST_COUNT_OF(keys) && strcmp(key, keys[which]) != 0) {
            which++;
        }
        if (which == ST_COUNT_OF(keys) || seen[which]) {
            return st_fail_file(err, STRATA_FORMAT, from->file,
                                "tensor '%s': found key '%s'%s, expected dtype, shape and data_offsets once each",
                                tensor->name, key, which < ST_COUNT_OF(keys) ? " twice" : "");
        }
        seen[which] = true;
        ST_TRY(which == 0   ? read_type(from, tensor, err)
               : which == 1 ? read_shape(from, tensor, err)
                            : read_offsets(from, offsets, err));
    }
    for (size_t i = 0; i < ST_COUNT_OF(keys); i++) {
        if (!seen[i]) {
            return st_fail_file(err, STRATA_FORMAT, from->file, "tensor '%s': %s is missing", tensor->name, keys[i]);
        }
    }
    return check_extent(from, tensor, offsets, err);
}

static strata_status read_metadata(head *from, st_weights *out, strata_error *err) {
    size_t filled = 0;
    st_pair *pairs = NULL;
    bool more = false;
    ST_TRY(st_json_enter(&from->json, '{', err));
    for (;;) {
        char *key = NULL, *value = NULL;
        size_t length = 0;
        ST_TRY(st_json_next(&from->json, &more, &key, err));
        if (!more) {
            break;
        }
        ST_TRY(st_json_string(&from->json, &value, &length, err));
        if (strlen(value) != length) {
            return st_fail_file(err, STRATA_FORMAT, from->file, "metadata '%s': a text with a zero byte in it", key);
        }
        if (filled == MOST_PAIRS) {
            return st_fail_file(err, STRATA_FORMAT, from->file, "metadata: more than %d entries", MOST_PAIRS);
        }
        ST_TRY(st_format_grow(&pairs, filled, sizeof *pairs, from->arena, err));
        pairs[filled++] = (st_pair){.name = key, .value = value};
    }
    out->pairs = pairs;
    out->pair_count = filled;
    return STRATA_OK;
}

/* By place; empty tensors before the one whose first byte is theirs too. */
static int compare_places(const void *a, const void *b) {
    const st_tensor *one = a, *two = b;
    if (one->offset != two->offset) {
        return one->offset < two->offset ? -1 : 1;
    }
    return (one->count > 0) - (two->count > 0);
}

/* No hole, no overlap, no tail. */
static strata_status check_all(const head *from, st_weights *out, st_tensor *tensors, strata_error *err) {
    uint64_t place = from->data_start;
    if (out->tensor_count > 0) {
        qsort(tensors, out->tensor_count, sizeof *tensors, compare_places);
    }
    for (size_t i = 0; i < out->tensor_count; i++) {
        const st_tensor *tensor = &tensors[i];
        if (tensor->offset != place) {
            return st_fail_file(
                err, STRATA_FORMAT, from->file, "tensor '%s': its data begins at %llu, expected %llu (%s)",
                tensor->name, (unsigned long long)(tensor->offset - from->data_start),
                (unsigned long long)(place - from->data_start), tensor->offset > place ? "a hole" : "an overlap");
        }
        place += tensor->count * st_stored_size(tensor->stored); /* check_extent saw that it fits */
    }
    if (place != from->data_start + from->data_length) {
        return st_fail_file(err, STRATA_FORMAT, from->file,
                            "the data of the tensors ends at %llu, %llu bytes are there",
                            (unsigned long long)(place - from->data_start), (unsigned long long)from->data_length);
    }
    out->tensors = tensors;
    return STRATA_OK;
}

static strata_status parse_members(head *from, st_weights *out, strata_error *err) {
    size_t filled = 0;
    st_tensor *tensors = NULL;
    bool more = false, has_metadata = false;
    ST_TRY(st_json_enter(&from->json, '{', err));
    for (;;) {
        char *key = NULL;
        ST_TRY(st_json_next(&from->json, &more, &key, err));
        if (!more) {
            break;
        }
        if (strcmp(key, ST_HEAD_METADATA) != 0) {
            ST_TRY(st_format_grow(&tensors, filled, sizeof *tensors, from->arena, err));
            tensors[filled] = (st_tensor){.name = key};
            ST_TRY(read_tensor(from, &tensors[filled], err));
            filled++;
        } else if (has_metadata) {
            return st_fail_file(err, STRATA_FORMAT, from->file, "'%s' is there twice", key);
        } else {
            has_metadata = true;
            ST_TRY(read_metadata(from, out, err));
        }
    }
    ST_TRY(st_json_end(&from->json, err));
    out->tensor_count = filled;
    return check_all(from, out, tensors, err);
}

/* The length of the head and the first byte of it. */
static strata_status check_prefix(const unsigned char *bytes, size_t length, uint64_t file_length, const char *file,
                                  uint64_t *head_length, strata_error *err) {
    if (length < ST_HEAD_PREFIX || file_length < ST_HEAD_PREFIX) {
        return st_fail_file(err, STRATA_FORMAT, file, "holds %llu bytes, too few for safetensors",
                            (unsigned long long)file_length);
    }
    *head_length = st_stored_get(bytes, ST_HEAD_PREFIX);
    if (*head_length > ST_HEAD_LONGEST) {
        return st_fail_file(err, STRATA_FORMAT, file,
                            "not safetensors: its head would have %llu bytes, at most %d allowed",
                            (unsigned long long)*head_length, ST_HEAD_LONGEST);
    }
    if (*head_length > file_length - ST_HEAD_PREFIX) {
        return st_fail_file(err, STRATA_FORMAT, file, "cut: its head has %llu bytes, %llu are there",
                            (unsigned long long)*head_length, (unsigned long long)(file_length - ST_HEAD_PREFIX));
    }
    return STRATA_OK;
}

strata_status st_safetensors_parse(st_weights *out, st_arena *arena, const char *bytes, size_t length,
                                   uint64_t file_length, const char *file, strata_error *err) {
    uint64_t head_length = 0;
    ST_TRY(check_prefix((const unsigned char *)bytes, length, file_length, file, &head_length, err));
    size_t end = ST_HEAD_PREFIX + (size_t)head_length; /* at most 100 MB and 8 */
    if (end > length || head_length < 2 || bytes[ST_HEAD_PREFIX] != '{') {
        return st_fail_file(err, STRATA_FORMAT, file, "not safetensors: byte 8 is not '{'");
    }
    /* The eight bytes stay in front, so that errors name places in the file. */
    head from = {.json = {.text = bytes, .length = end, .at = ST_HEAD_PREFIX, .file = file, .arena = arena},
                 .arena = arena,
                 .data_start = end,
                 .data_length = file_length - end,
                 .file = file};
    return parse_members(&from, out, err);
}

static bool probe(const st_file *file, const unsigned char *first, size_t length) {
    (void)file;
    /* A head that is too long is refused by name; eight bytes of text are a number far above this. */
    return length > ST_HEAD_PREFIX && st_stored_get(first, ST_HEAD_PREFIX) < (uint64_t)1 << 48 &&
           first[ST_HEAD_PREFIX] == '{';
}

static strata_status read_file(st_weights *out, strata_error *err) {
    const st_file *file = &out->file;
    unsigned char prefix[ST_HEAD_PREFIX] = {0};
    uint64_t head_length = 0;
    char *bytes = NULL;
    size_t have = file->length < ST_HEAD_PREFIX ? (size_t)file->length : ST_HEAD_PREFIX;
    ST_TRY(st_file_at(file, prefix, have, 0, err));
    ST_TRY(check_prefix(prefix, have, file->length, file->path, &head_length, err));
    size_t end = ST_HEAD_PREFIX + (size_t)head_length;
    ST_TRY(st_arena_alloc(&bytes, out->arena, end, 1, err));
    ST_TRY(st_file_at(file, bytes, end, 0, err));
    return st_safetensors_parse(out, out->arena, bytes, end, file->length, file->path, err);
}

const st_format st_format_safetensors = {.name = "safetensors",
                                         .ending = ".safetensors",
                                         .is_of_tensors = true,
                                         .probe = probe,
                                         .read = read_file,
                                         .write = st_safetensors_write};
