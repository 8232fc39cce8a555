/* Writing PyTorch's zip form: an OrderedDict of tensors, each with a storage of its own, packed, on the CPU, of the
 * type that it had. The pickle uses what torch.load(weights_only=True) allows and nothing more, protocol 2. The file's
 * metadata goes into a member that PyTorch does not look at; pth.c takes it back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/pth.h"
#include "formats/table.h"
#include "formats/zip.h"

enum { ALIGNMENT = 64, PIECE_BYTES = 64 << 10 };

#define FOLDER "archive/"

/* The classes of storages; PyTorch had none for unsigned numbers of more than 8 bits before 2.3. */
static const char *const storages[ST_STORED_COUNT] = {
    [ST_STORED_F32] = "FloatStorage",     [ST_STORED_F64] = "DoubleStorage", [ST_STORED_F16] = "HalfStorage",
    [ST_STORED_BF16] = "BFloat16Storage", [ST_STORED_I64] = "LongStorage",   [ST_STORED_I32] = "IntStorage",
    [ST_STORED_I16] = "ShortStorage",     [ST_STORED_I8] = "CharStorage",    [ST_STORED_U8] = "ByteStorage",
    [ST_STORED_BOOL] = "BoolStorage",
};

/* ---- the pickle ---- */

static void add_number(st_text *text, const char *opcode, size_t size, uint64_t value) {
    unsigned char bytes[8];
    st_stored_put(bytes, size, value);
    st_text_add_bytes(text, opcode, strlen(opcode));
    st_text_add_bytes(text, (const char *)bytes, size);
}

static void add_size(st_text *text, uint64_t value) {
    if (value <= UINT8_MAX) {
        add_number(text, "K", 1, value);
    } else if (value <= INT32_MAX) {
        add_number(text, "J", 4, value);
    } else {
        add_number(text, "\x8a\x08", 8, value); /* LONG1: at most INT64_MAX, so the sign is right */
    }
}

static void add_string(st_text *text, const char *string) {
    size_t length = strlen(string);
    add_number(text, "X", 4, length);
    st_text_add_bytes(text, string, length);
}

static void add_global(st_text *text, const char *module, const char *name) {
    st_text_add(text, "c%s\n%s\n", module, name);
}

/* Strides of values that lie side by side, as PyTorch counts them: an empty side counts as one. */
static void add_sizes(st_text *text, const st_tensor *tensor) {
    int64_t strides[ST_TENSOR_RANK_MAX], step = 1;
    for (int d = tensor->rank - 1; d >= 0; d--) {
        strides[d] = step;
        step *= tensor->dims[d] > 0 ? tensor->dims[d] : 1;
    }
    for (int list = 0; list < 2; list++) {
        st_text_add(text, "(");
        for (int d = 0; d < tensor->rank; d++) {
            add_size(text, (uint64_t)(list == 0 ? tensor->dims[d] : strides[d]));
        }
        st_text_add(text, "t");
    }
}

/* name: _rebuild_tensor_v2(('storage', class, key, 'cpu', count), 0, sides, strides, False, OrderedDict()) */
static strata_status add_tensor(st_text *text, const st_tensor *tensor, size_t key, strata_error *err) {
    char number[24];
    ST_FAIL_IF(!st_text_is_utf8(tensor->name, strlen(tensor->name)), err, STRATA_INVALID,
               "the name of the tensor '%s' is not UTF-8", tensor->name);
    ST_FAIL_IF(strlen(tensor->name) > ST_PTH_LONGEST_NAME, err, STRATA_UNSUPPORTED,
               "the name of the tensor '%.64s...' has more than %d bytes", tensor->name, ST_PTH_LONGEST_NAME);
    ST_FAIL_IF(storages[tensor->stored] == NULL, err, STRATA_UNSUPPORTED,
               "tensor '%s' is %s, a type that PyTorch's files do not have", tensor->name,
               st_stored_name(tensor->stored));
    (void)snprintf(number, sizeof number, "%zu", key);
    add_string(text, tensor->name);
    add_global(text, "torch._utils", "_rebuild_tensor_v2");
    st_text_add(text, "((");
    add_string(text, "storage");
    add_global(text, "torch", storages[tensor->stored]);
    add_string(text, number);
    add_string(text, "cpu");
    add_size(text, tensor->count);
    st_text_add(text, "tQ");
    add_size(text, 0);
    add_sizes(text, tensor);
    st_text_add(text, "\x89"); /* NEWFALSE */
    add_global(text, "collections", "OrderedDict");
    st_text_add(text, ")RtR");
    return STRATA_OK;
}

static strata_status add_pickle(st_text *text, const st_weights *in, strata_error *err) {
    st_text_add(text, "\x80\x02");
    add_global(text, "collections", "OrderedDict");
    st_text_add(text, ")R(");
    for (size_t i = 0; i < in->tensor_count; i++) {
        ST_TRY(add_tensor(text, &in->tensors[i], i, err));
    }
    st_text_add(text, "u.");
    return STRATA_OK;
}

/* ---- members ---- */

static strata_status write_member(st_zip_writer *zip, const char *name, const char *bytes, size_t count,
                                  strata_error *err) {
    ST_TRY(st_zip_begin(zip, name, ALIGNMENT, err));
    ST_TRY(st_zip_add(zip, bytes, count, err));
    return st_zip_end(zip, err);
}

static strata_status write_text(st_zip_writer *zip, const char *name, const st_text *text, strata_error *err) {
    ST_FAIL_IF(text->failed, err, STRATA_MEMORY, "no memory for '%s'", name);
    return write_member(zip, name, text->bytes, text->length, err);
}

static strata_status write_pickle(st_zip_writer *zip, const st_weights *in, strata_error *err) {
    st_text text = {0};
    strata_status status = add_pickle(&text, in, err);
    if (status == STRATA_OK) {
        status = write_text(zip, FOLDER "data.pkl", &text, err);
    }
    st_text_free(&text);
    return status;
}

/* What a reader said of the file that these weights came from is left out: it is not about this one. */
static strata_status write_pairs(st_zip_writer *zip, const st_weights *in, strata_error *err) {
    st_text text = {0};
    st_text_add(&text, "{");
    for (size_t i = 0; i < in->pair_count; i++) {
        const st_pair *pair = &in->pairs[i];
        if (strcmp(pair->name, ST_PAIR_NOTE) != 0) {
            st_text_add(&text, text.length > 1 ? "," : "");
            st_json_quote(&text, pair->name, strlen(pair->name));
            st_text_add(&text, ":");
            st_json_quote(&text, pair->value, strlen(pair->value));
        }
    }
    st_text_add(&text, "}");
    strata_status status = write_text(zip, FOLDER "strata.json", &text, err);
    st_text_free(&text);
    return status;
}

static strata_status write_values(st_zip_writer *zip, const st_weights *in, size_t i, strata_error *err) {
    unsigned char piece[PIECE_BYTES];
    char name[48];
    const st_tensor *tensor = &in->tensors[i];
    size_t size = st_stored_size(tensor->stored), most = PIECE_BYTES / size;
    (void)snprintf(name, sizeof name, FOLDER "data/%zu", i);
    ST_TRY(st_zip_begin(zip, name, ALIGNMENT, err));
    for (size_t done = 0; done < tensor->count;) {
        size_t now = tensor->count - done < most ? tensor->count - done : most;
        ST_TRY(st_weights_read_bytes(in, tensor, done, now, piece, err));
        ST_TRY(st_zip_add(zip, piece, now * size, err));
        done += now;
    }
    return st_zip_end(zip, err);
}

static strata_status write_archive(st_zip_writer *zip, const st_weights *in, strata_error *err) {
    ST_TRY(write_pickle(zip, in, err));
    ST_TRY(write_member(zip, FOLDER "byteorder", "little", 6, err));
    for (size_t i = 0; i < in->tensor_count; i++) {
        ST_TRY(write_values(zip, in, i, err));
    }
    ST_TRY(write_member(zip, FOLDER "version", "3\n", 2, err));
    ST_TRY(write_pairs(zip, in, err));
    return st_zip_finish(zip, err);
}

strata_status st_pth_write(const st_weights *in, const st_graph *graph, const char *path, strata_error *err) {
    st_writer writer;
    st_zip_writer zip = {.writer = &writer};
    (void)graph;
    ST_TRY(st_arena_create(&zip.arena, err));
    strata_status status = st_writer_begin(&writer, path, err);
    if (status == STRATA_OK) {
        status = write_archive(&zip, in, err);
        if (status == STRATA_OK) {
            status = st_writer_commit(&writer, err);
        } else {
            st_writer_cancel(&writer);
        }
    }
    st_arena_free(zip.arena);
    st_error_file(err, path);
    return status;
}
