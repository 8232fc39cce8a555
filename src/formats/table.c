/* The table of formats, and opening a file by what it holds. */
#include <stdlib.h>
#include <string.h>

#include "formats/table.h"

/* Those with a sure sign come first. */
const st_format *const st_format_table[] = {
    &st_format_safetensors, &st_format_keras, &st_format_pth_zip, &st_format_pth_legacy,
    &st_format_onnx,        &st_format_caffe, &st_format_darknet, NULL,
};

static strata_status probe_file(const st_format **out, const st_file *file, strata_error *err) {
    unsigned char first[ST_FORMAT_PROBE];
    size_t length = file->length < sizeof first ? (size_t)file->length : sizeof first;
    *out = NULL;
    ST_TRY(st_file_at(file, first, length, 0, err));
    for (const st_format *const *at = st_format_table; *at != NULL; at++) {
        if ((*at)->probe(file, first, length)) {
            *out = *at;
            return STRATA_OK;
        }
    }
    return STRATA_OK;
}

strata_status st_format_probe(const st_format **out, const char *path, strata_error *err) {
    st_file file;
    *out = NULL;
    if (st_file_open(&file, path, NULL) != STRATA_OK) {
        return STRATA_OK;
    }
    strata_status status = probe_file(out, &file, err);
    st_file_close(&file);
    return status;
}

const st_format *st_format_by_ending(const char *path) {
    size_t length = strlen(path);
    for (const st_format *const *at = st_format_table; *at != NULL; at++) {
        size_t end = (*at)->ending != NULL ? strlen((*at)->ending) : 0;
        if (end > 0 && length > end && strcmp(path + length - end, (*at)->ending) == 0) {
            return *at;
        }
    }
    return NULL;
}

strata_status st_format_grow(void *list, size_t filled, size_t size, st_arena *arena, strata_error *err) {
    void *before = NULL, *after = NULL;
    size_t capacity = 0;
    if (filled > 0 && (filled & (filled - 1)) != 0) {
        return STRATA_OK; /* capacities are powers of two */
    }
    ST_FAIL_IF(!st_size_mul(filled, 2, &capacity), err, STRATA_MEMORY, "no memory for %zu entries", filled);
    ST_TRY(st_arena_alloc(&after, arena, capacity > 0 ? capacity : 1, size, err));
    memcpy(&before, list, sizeof before);
    if (filled > 0) {
        memcpy(after, before, filled * size);
    }
    memcpy(list, &after, sizeof after);
    return STRATA_OK;
}

/* ---- opening, finding, closing ---- */

static int compare_names(const void *a, const void *b) {
    const st_tensor *const *one = a, *const *two = b;
    return strcmp((*one)->name, (*two)->name);
}

static int compare_pairs(const void *a, const void *b) {
    const st_pair *const *one = a, *const *two = b;
    return strcmp((*one)->name, (*two)->name);
}

strata_status st_weights_index(st_weights *weights, strata_error *err) {
    const st_pair **pairs = NULL;
    ST_TRY(st_arena_alloc(&pairs, weights->arena, weights->pair_count, sizeof *pairs, err));
    for (size_t i = 0; i < weights->pair_count; i++) {
        pairs[i] = &weights->pairs[i];
    }
    if (weights->pair_count > 0) {
        qsort(pairs, weights->pair_count, sizeof *pairs, compare_pairs);
    }
    for (size_t i = 1; i < weights->pair_count; i++) {
        if (strcmp(pairs[i - 1]->name, pairs[i]->name) == 0) {
            return st_fail_file(err, STRATA_FORMAT, weights->file.path, "metadata '%s' is there twice", pairs[i]->name);
        }
    }
    ST_TRY(st_arena_alloc(&weights->by_name, weights->arena, weights->tensor_count, sizeof *weights->by_name, err));
    for (size_t i = 0; i < weights->tensor_count; i++) {
        weights->by_name[i] = &weights->tensors[i];
    }
    if (weights->tensor_count > 0) {
        qsort(weights->by_name, weights->tensor_count, sizeof *weights->by_name, compare_names);
    }
    for (size_t i = 1; i < weights->tensor_count; i++) {
        if (strcmp(weights->by_name[i - 1]->name, weights->by_name[i]->name) == 0) {
            return st_fail_file(err, STRATA_FORMAT, weights->file.path, "tensor '%s' is there twice",
                                weights->by_name[i]->name);
        }
    }
    return STRATA_OK;
}

static strata_status unknown(const st_file *file, strata_error *err) {
    if (file->length == 0) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "it is empty, expected weights");
    }
    st_text text = {0};
    char *known = NULL;
    for (const st_format *const *at = st_format_table; *at != NULL; at++) {
        st_text_add(&text, "%s%s", at == st_format_table ? "" : ", ", (*at)->name);
    }
    ST_TRY(st_text_finish(&known, &text, err));
    strata_status status =
        st_fail_file(err, STRATA_FORMAT, file->path, "it holds no weights in a known format: %s", known);
    strata_text_free(known);
    return status;
}

static strata_status read_weights(st_weights *weights, strata_error *err) {
    ST_TRY(probe_file(&weights->format, &weights->file, err));
    if (weights->format == NULL) {
        return unknown(&weights->file, err);
    }
    ST_TRY(weights->format->read(weights, err));
    return st_weights_index(weights, err);
}

strata_status st_weights_open(st_weights *out, const char *path, strata_error *err) {
    *out = (st_weights){.file.descriptor = -1};
    ST_TRY(st_file_open(&out->file, path, err));
    strata_status status = st_arena_create(&out->arena, err);
    if (status == STRATA_OK) {
        status = read_weights(out, err);
    } else {
        st_file_close(&out->file);
    }
    if (status != STRATA_OK) {
        st_error_file(err, path);
        st_weights_close(out);
    }
    return status;
}

const st_tensor *st_weights_find(const st_weights *weights, const char *name) {
    const st_tensor wanted = {.name = name}, *key = &wanted;
    if (weights->tensor_count == 0) {
        return NULL;
    }
    const st_tensor **found =
        bsearch(&key, weights->by_name, weights->tensor_count, sizeof *weights->by_name, compare_names);
    return found != NULL ? *found : NULL;
}

const char *st_weights_metadata(const st_weights *weights, const char *name) {
    for (size_t i = 0; i < weights->pair_count; i++) {
        if (strcmp(weights->pairs[i].name, name) == 0) {
            return weights->pairs[i].value;
        }
    }
    return NULL;
}

void st_weights_close(st_weights *weights) {
    if (weights->arena != NULL) {
        if (weights->file.descriptor >= 0) {
            st_file_close(&weights->file);
        }
        for (size_t i = 0; i < weights->other_count; i++) {
            st_file_close(&weights->others[i]);
        }
        st_arena_free(weights->arena);
    }
    *weights = (st_weights){.file.descriptor = -1};
}
