/* ONNX's external data: values in files beside the model. A model is a stranger's, so what it names must be a plain
 * name in its own folder, no link and no device, and where the values lie is compared with the file's real size before
 * anything is read. A checksum is not looked at: it would be in the same stranger's hands. */
#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <string.h>

#include "formats/onnx.h"

enum { OTHERS_MOST = 256 }; /* files beside one model */

typedef struct entries {
    const char *location, *offset, *length;
} entries;

static const char *text_of(const char *text) {
    return text != NULL ? text : "";
}

static strata_status bad(strata_error *err, const st_weights *out, const Onnx__TensorProto *tensor, const char *what,
                         const char *text) {
    char shown[65];
    st_text_printable(shown, sizeof shown, text, strlen(text));
    return st_fail_file(err, STRATA_FORMAT, out->file.path, "tensor '%.64s': %s '%s'", text_of(tensor->name), what,
                        shown);
}

static strata_status read_entries(entries *to, const st_weights *out, const Onnx__TensorProto *tensor,
                                  strata_error *err) {
    *to = (entries){0};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = text_of(tensor->external_data[i]->key);
        const char **at = strcmp(key, "location") == 0 ? &to->location
                          : strcmp(key, "offset") == 0 ? &to->offset
                          : strcmp(key, "length") == 0 ? &to->length
                                                       : NULL;
        if (at != NULL && *at != NULL) {
            return bad(err, out, tensor, "its values are in another file, which is described with two of", key);
        }
        if (at != NULL) {
            *at = text_of(tensor->external_data[i]->value);
        }
    }
    if (to->location == NULL || to->location[0] == '\0') {
        return st_fail_file(err, STRATA_FORMAT, out->file.path,
                            "tensor '%.64s': its values are in another file, which is not named (location)",
                            text_of(tensor->name));
    }
    return STRATA_OK;
}

/* Decimal digits and nothing else. */
static bool number_of(uint64_t *out, const char *text) {
    *out = 0;
    for (const char *at = text; *at != '\0'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (*at < '0' || *at > '9' || *out > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *out = *out * 10 + digit;
    }
    return text[0] != '\0';
}

/* "./" is what some exporters write before the name. */
static strata_status check_location(const char **name, const st_weights *out, const Onnx__TensorProto *tensor,
                                    const char *location, strata_error *err) {
    *name = strncmp(location, "./", 2) == 0 ? location + 2 : location;
    bool is_plain = strchr(*name, '/') == NULL && strchr(*name, '\\') == NULL && strcmp(*name, "..") != 0 &&
                    strcmp(*name, ".") != 0 && **name != '\0';
    return is_plain ? STRATA_OK
                    : bad(err, out, tensor, "its values must be in a file of the model's own folder, found location",
                          location);
}

static strata_status path_beside(char path[256], const st_weights *out, const char *name, strata_error *err) {
    const char *slash = strrchr(out->file.path, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - out->file.path) + 1, length = strlen(name);
    if (folder + length >= 256) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path,
                            "the path of the file with its values has %zu bytes, at most 255 are served",
                            folder + length);
    }
    memcpy(path, out->file.path, folder);
    memcpy(path + folder, name, length + 1);
    return STRATA_OK;
}

/* One of the files that are open, or one more. */
static strata_status open_other(const st_file **to, st_weights *out, const Onnx__TensorProto *tensor, const char *name,
                                strata_error *err) {
    char path[256];
    ST_TRY(path_beside(path, out, name, err));
    for (size_t i = 0; i < out->other_count; i++) {
        if (strcmp(out->others[i].path, path) == 0) {
            *to = &out->others[i];
            return STRATA_OK;
        }
    }
    if (out->others == NULL) {
        ST_TRY(st_arena_alloc(&out->others, out->arena, OTHERS_MOST, sizeof *out->others, err));
    }
    if (out->other_count == OTHERS_MOST) {
        return st_fail_file(err, STRATA_UNSUPPORTED, out->file.path, "its values are in more than %d other files",
                            OTHERS_MOST);
    }
    strata_status status = st_file_open_own(&out->others[out->other_count], path, err);
    if (status != STRATA_OK) {
        st_error_prepend(err, "values of tensor '%.64s' of %.128s: ", text_of(tensor->name), out->file.path);
        return status;
    }
    *to = &out->others[out->other_count++];
    return STRATA_OK;
}

strata_status st_onnx_external(st_tensor *to, st_weights *out, const Onnx__TensorProto *tensor, uint64_t bytes,
                               strata_error *err) {
    entries found;
    const char *name = NULL;
    uint64_t offset = 0, length = 0;
    ST_TRY(read_entries(&found, out, tensor, err));
    ST_TRY(check_location(&name, out, tensor, found.location, err));
    if (found.offset != NULL && !number_of(&offset, found.offset)) {
        return bad(err, out, tensor, "its values are in another file, at an offset that is no number:", found.offset);
    }
    if (found.length != NULL && !number_of(&length, found.length)) {
        return bad(err, out, tensor, "its values are in another file, with a length that is no number:", found.length);
    }
    ST_TRY(open_other(&to->file, out, tensor, name, err));
    uint64_t there = offset <= to->file->length ? to->file->length - offset : 0;
    length = found.length != NULL ? length : there;
    if (offset > to->file->length || length > there) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path,
                            "tensor '%.64s': %" PRIu64 " bytes from byte %" PRIu64 " of '%.64s', which has %" PRIu64,
                            text_of(tensor->name), length, offset, name, to->file->length);
    }
    if (length != bytes) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path,
                            "tensor '%.64s': its sides make %zu values of type %s, found %" PRIu64 " bytes in '%.64s'",
                            text_of(tensor->name), to->count, st_stored_name(to->stored), length, name);
    }
    to->offset = offset;
    return STRATA_OK;
}
#endif
