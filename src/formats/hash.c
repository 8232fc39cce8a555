/* The hash that a file brings of its own values: damage is found when they are read, and not by wrong answers. */
#include <string.h>

#include "formats/formats.h"

enum { PIECE = 8192 };

void st_weights_hash_values(st_sha256 *sha, const st_real *values, size_t count) {
    unsigned char bytes[4 * PIECE];
    for (size_t done = 0, now; done < count; done += now) {
        now = count - done < PIECE ? count - done : PIECE;
        st_weights_encode(bytes, values + done, now);
        st_sha256_add(sha, bytes, 4 * now);
    }
}

/* Values of another type, as F32. */
static strata_status add_widened(st_sha256 *sha, const st_weights *weights, const st_tensor *tensor,
                                 strata_error *err) {
    double wide[PIECE];
    st_real values[PIECE];
    for (size_t done = 0, now; done < tensor->count; done += now) {
        now = tensor->count - done < PIECE ? tensor->count - done : PIECE;
        ST_TRY(st_weights_read_doubles(weights, tensor, done, now, wide, err));
        for (size_t k = 0; k < now; k++) {
            values[k] = (st_real)wide[k];
        }
        st_weights_hash_values(sha, values, now);
    }
    return STRATA_OK;
}

static strata_status add_bytes(st_sha256 *sha, const st_weights *weights, const st_tensor *tensor, strata_error *err) {
    unsigned char bytes[8 * PIECE];
    for (size_t done = 0, now; done < tensor->count; done += now) {
        now = tensor->count - done < PIECE ? tensor->count - done : PIECE;
        ST_TRY(st_weights_read_bytes(weights, tensor, done, now, bytes, err));
        st_sha256_add(sha, bytes, now * st_stored_size(tensor->stored));
    }
    return STRATA_OK;
}

strata_status st_weights_hash(char out[65], const st_weights *weights, strata_error *err) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (size_t i = 0; i < weights->tensor_count; i++) {
        const st_tensor *tensor = &weights->tensors[i];
        if (!st_stored_is_real(tensor->stored)) {
            return st_fail_file(err, STRATA_FORMAT, weights->file.path,
                                "tensor '%s' holds %s, and its hash covers real numbers only", tensor->name,
                                st_stored_name(tensor->stored));
        }
        ST_TRY(tensor->stored == ST_STORED_F32 ? add_bytes(&sha, weights, tensor, err)
                                               : add_widened(&sha, weights, tensor, err));
    }
    st_sha256_end(&sha, out);
    return STRATA_OK;
}

static strata_status hash_of_bytes(char out[65], const st_weights *weights, strata_error *err) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (size_t i = 0; i < weights->hashed_count; i++) {
        ST_TRY(add_bytes(&sha, weights, &weights->hashed[i], err));
    }
    st_sha256_end(&sha, out);
    return STRATA_OK;
}

strata_status st_weights_check_hash(const st_weights *weights, strata_error *err) {
    const char *expected = st_weights_metadata(weights, ST_PAIR_HASH);
    char found[65];
    if (expected == NULL) {
        return STRATA_OK; /* another program's file */
    }
    ST_TRY(weights->hashed != NULL ? hash_of_bytes(found, weights, err) : st_weights_hash(found, weights, err));
    if (strcmp(found, expected) != 0) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path,
                            "it is damaged%s: its tensors hash to %.12s..., its metadata says %.12s...",
                            weights->hashed != NULL ? ", or another program has changed its weights" : "", found,
                            expected);
    }
    return STRATA_OK;
}
