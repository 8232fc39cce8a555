/* Writing safetensors: the head from a list of tensors, then their values in order, then the new name at once
 * (st_writer). Numbers that are computed here are written as F32 in every build, so that a file does not depend on who
 * wrote it; what comes from another file keeps its type. The rules are in safetensors.c. */
#include <string.h>

#include "formats/table.h"

enum { ALIGNMENT = 8, PIECE_BYTES = 16 << 10 };

static strata_status check_text(const char *text, const char *what, strata_error *err) {
    ST_FAIL_IF(!st_text_is_utf8(text, strlen(text)), err, STRATA_INVALID, "the %s '%s' is not UTF-8", what, text);
    return STRATA_OK;
}

static void add_tensor_head(st_text *text, const st_tensor *tensor, size_t begin, size_t end) {
    st_json_quote(text, tensor->name, strlen(tensor->name));
    st_text_add(text, ":{\"dtype\":\"%s\",\"shape\":[", st_stored_name(tensor->stored));
    for (int d = 0; d < tensor->rank; d++) {
        st_text_add(text, d > 0 ? ",%lld" : "%lld", (long long)tensor->dims[d]);
    }
    st_text_add(text, "],\"data_offsets\":[%zu,%zu]}", begin, end);
}

static strata_status tensor_count(const st_tensor *tensor, size_t *count, strata_error *err) {
    *count = 1;
    for (int d = 0; d < tensor->rank; d++) {
        ST_FAIL_IF(tensor->dims[d] < 0 || !st_size_mul(*count, (size_t)tensor->dims[d], count), err, STRATA_INVALID,
                   "tensor '%s' is too large to store", tensor->name);
    }
    return STRATA_OK;
}

/* The head with its eight bytes, padded so that the data begins at a multiple of eight. */
static strata_status make_head(st_text *text, const st_tensor *tensors, size_t count, const st_pair *pairs,
                               size_t pair_count, strata_error *err) {
    unsigned char prefix[ST_HEAD_PREFIX] = {0};
    size_t place = 0;
    st_text_add_bytes(text, (const char *)prefix, sizeof prefix);
    st_text_add(text, "{");
    for (size_t i = 0; i < pair_count; i++) {
        ST_TRY(check_text(pairs[i].name, "metadata name", err));
        ST_TRY(check_text(pairs[i].value, "metadata", err));
        st_text_add(text, i > 0 ? "," : "\"%s\":{", ST_HEAD_METADATA);
        st_json_quote(text, pairs[i].name, strlen(pairs[i].name));
        st_text_add(text, ":");
        st_json_quote(text, pairs[i].value, strlen(pairs[i].value));
    }
    st_text_add(text, pair_count > 0 ? "}" : "");
    for (size_t i = 0; i < count; i++) {
        size_t values = 0, bytes = 0, end = 0;
        st_stored stored = tensors[i].stored;
        ST_TRY(check_text(tensors[i].name, "name of the tensor", err));
        ST_TRY(tensor_count(&tensors[i], &values, err));
        ST_FAIL_IF(!st_size_mul(values, st_stored_size(stored), &bytes) || !st_size_add(place, bytes, &end), err,
                   STRATA_INVALID, "tensor '%s' is too large to store", tensors[i].name);
        st_text_add(text, i > 0 || pair_count > 0 ? "," : "");
        add_tensor_head(text, &tensors[i], place, end);
        place = end;
    }
    st_text_add(text, "}");
    while (text->length % ALIGNMENT != 0 && !text->failed) {
        st_text_add(text, " ");
    }
    ST_FAIL_IF(text->failed, err, STRATA_MEMORY, "no memory for the head of the file");
    ST_FAIL_IF(text->length - ST_HEAD_PREFIX > ST_HEAD_LONGEST, err, STRATA_INVALID,
               "the names and metadata have %zu bytes, at most %d can be stored", text->length, ST_HEAD_LONGEST);
    st_stored_put(prefix, sizeof prefix, text->length - ST_HEAD_PREFIX);
    memcpy(text->bytes, prefix, sizeof prefix);
    return STRATA_OK;
}

/* To the next tensor that has values. */
static void settle_on_tensor(st_weights_writer *writer) {
    while (writer->left == 0 && writer->tensor < writer->tensor_count) {
        writer->tensor++;
        if (writer->tensor < writer->tensor_count) {
            tensor_count(&writer->tensors[writer->tensor], &writer->left, NULL); /* make_head saw that it fits */
        }
    }
}

strata_status st_weights_write_begin(st_weights_writer *out, const char *path, const st_tensor *tensors, size_t count,
                                     const st_pair *pairs, size_t pair_count, strata_error *err) {
    st_text text = {0};
    *out = (st_weights_writer){.writer.descriptor = -1};
    strata_status status = make_head(&text, tensors, count, pairs, pair_count, err);
    if (status == STRATA_OK) {
        status = st_writer_begin(&out->writer, path, err);
    }
    if (status == STRATA_OK) {
        status = st_writer_add(&out->writer, text.bytes, text.length, err);
    }
    st_text_free(&text);
    if (status != STRATA_OK) {
        st_writer_cancel(&out->writer);
        return status;
    }
    out->tensors = tensors;
    out->tensor_count = count;
    if (count > 0) {
        tensor_count(&tensors[0], &out->left, NULL);
        settle_on_tensor(out);
    }
    return STRATA_OK;
}

static strata_status check_room(const st_weights_writer *writer, size_t count, bool real, strata_error *err) {
    ST_FAIL_IF(count > writer->left, err, STRATA_INVALID, "%zu values given, %zu expected", count, writer->left);
    if (count > 0) {
        const st_tensor *tensor = &writer->tensors[writer->tensor];
        bool fits =
            real ? tensor->stored == ST_STORED_F32 : tensor->stored == ST_STORED_I64 || tensor->stored == ST_STORED_U8;
        ST_FAIL_IF(!fits, err, STRATA_INVALID, "tensor '%s' is %s", tensor->name, st_stored_name(tensor->stored));
    }
    return STRATA_OK;
}

strata_status st_weights_write(st_weights_writer *writer, const st_real *values, size_t count, strata_error *err) {
    unsigned char piece[PIECE_BYTES];
    ST_TRY(check_room(writer, count, true, err));
    for (size_t done = 0; done < count;) {
        size_t step = count - done < PIECE_BYTES / 4 ? count - done : PIECE_BYTES / 4;
        st_weights_encode(piece, values + done, step);
        ST_TRY(st_writer_add(&writer->writer, piece, 4 * step, err));
        done += step;
    }
    writer->left -= count;
    settle_on_tensor(writer);
    return STRATA_OK;
}

strata_status st_weights_write_integers(st_weights_writer *writer, const int64_t *values, size_t count,
                                        strata_error *err) {
    ST_TRY(check_room(writer, count, false, err));
    for (size_t i = 0; i < count; i++) {
        unsigned char bytes[8];
        size_t size = st_stored_size(writer->tensors[writer->tensor].stored);
        ST_FAIL_IF(size == 1 && (values[i] < 0 || values[i] > 255), err, STRATA_INVALID,
                   "tensor '%s': %lld does not fit U8", writer->tensors[writer->tensor].name, (long long)values[i]);
        st_stored_put(bytes, size, (uint64_t)values[i]);
        ST_TRY(st_writer_add(&writer->writer, bytes, size, err));
    }
    writer->left -= count;
    settle_on_tensor(writer);
    return STRATA_OK;
}

strata_status st_weights_write_commit(st_weights_writer *writer, strata_error *err) {
    if (writer->tensor < writer->tensor_count) {
        st_writer_cancel(&writer->writer);
        return st_fail(err, STRATA_INVALID, "tensor '%s': %zu values are missing", writer->tensors[writer->tensor].name,
                       writer->left);
    }
    return st_writer_commit(&writer->writer, err);
}

void st_weights_write_cancel(st_weights_writer *writer) {
    st_writer_cancel(&writer->writer);
}

strata_status st_weights_write_bytes(st_weights_writer *writer, const void *bytes, size_t count, strata_error *err) {
    ST_FAIL_IF(count > writer->left, err, STRATA_INVALID, "%zu values given, %zu expected", count, writer->left);
    if (count > 0) {
        size_t size = st_stored_size(writer->tensors[writer->tensor].stored);
        ST_TRY(st_writer_add(&writer->writer, bytes, count * size, err));
    }
    writer->left -= count;
    settle_on_tensor(writer);
    return STRATA_OK;
}

/* ---- a whole file from another one ---- */

static strata_status copy_tensors(st_weights_writer *writer, const st_weights *in, strata_error *err) {
    unsigned char piece[PIECE_BYTES];
    for (size_t i = 0; i < in->tensor_count; i++) {
        const st_tensor *tensor = &in->tensors[i];
        size_t most = PIECE_BYTES / st_stored_size(tensor->stored);
        for (size_t done = 0; done < tensor->count;) {
            size_t now = tensor->count - done < most ? tensor->count - done : most;
            ST_TRY(st_weights_read_bytes(in, tensor, done, now, piece, err));
            ST_TRY(st_weights_write_bytes(writer, piece, now, err));
            done += now;
        }
    }
    return STRATA_OK;
}

strata_status st_safetensors_write(const st_weights *in, const st_graph *graph, const char *path, strata_error *err) {
    (void)graph;
    st_weights_writer writer;
    ST_TRY(st_weights_write_begin(&writer, path, in->tensors, in->tensor_count, in->pairs, in->pair_count, err));
    strata_status status = copy_tensors(&writer, in, err);
    if (status != STRATA_OK) {
        st_weights_write_cancel(&writer);
        return status;
    }
    return st_weights_write_commit(&writer, err);
}
