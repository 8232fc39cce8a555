/* include/strata.h, part 2: weights alone into another format, and how their pictures were prepared said in the file.
 * No net is needed: names, shapes and values stay what they are. What was written is read again, byte for byte, before
 * it gets its name. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"

enum { PIECE_VALUES = 2048, PIECE_BYTES = 8 * PIECE_VALUES };

static strata_status compare_tensor(const st_weights *a, const st_tensor *in_a, const st_weights *b,
                                    const st_tensor *in_b, strata_error *err) {
    unsigned char from_a[PIECE_BYTES], from_b[PIECE_BYTES];
    bool same = in_b != NULL && in_a->stored == in_b->stored && in_a->count == in_b->count;
    for (size_t done = 0; same && done < in_a->count;) {
        size_t now = in_a->count - done < PIECE_VALUES ? in_a->count - done : PIECE_VALUES;
        ST_TRY(st_weights_read_bytes(a, in_a, done, now, from_a, err));
        ST_TRY(st_weights_read_bytes(b, in_b, done, now, from_b, err));
        same = memcmp(from_a, from_b, now * st_stored_size(in_a->stored)) == 0;
        done += now;
    }
    return same ? STRATA_OK
                : st_fail(err, STRATA_FORMAT, "tensor '%s' is not the same when it is read again", in_a->name);
}

static strata_status compare_all(const st_weights *from, const char *path, strata_error *err) {
    st_weights written;
    ST_TRY(st_weights_open(&written, path, err));
    strata_status status = STRATA_OK;
    for (size_t i = 0; status == STRATA_OK && i < from->tensor_count; i++) {
        const st_tensor *tensor = &from->tensors[i];
        status = compare_tensor(from, tensor, &written, st_weights_find(&written, tensor->name), err);
    }
    st_weights_close(&written);
    return status;
}

/* The file's pairs, but for what its reader said and what the new preparation takes the place of. */
static strata_status choose_pairs(st_weights *view, const char *preprocess, st_arena *arena, strata_error *err) {
    st_pair *pairs = NULL;
    size_t count = 0;
    ST_TRY(st_arena_alloc(&pairs, arena, view->pair_count + 1, sizeof *pairs, err));
    for (size_t i = 0; i < view->pair_count; i++) {
        const char *name = view->pairs[i].name;
        bool is_old =
            preprocess != NULL && (strcmp(name, ST_PAIR_PREPROCESS) == 0 || strcmp(name, ST_PAIR_PREPARATION) == 0 ||
                                   strcmp(name, ST_PAIR_SELF_TEST) == 0);
        bool is_of_bytes = view->hashed != NULL && strcmp(name, ST_PAIR_HASH) == 0; /* as they stood in that file */
        if (strcmp(name, ST_PAIR_NOTE) != 0 && !is_old && !is_of_bytes) {
            pairs[count++] = view->pairs[i];
        }
    }
    if (preprocess != NULL) {
        pairs[count++] = (st_pair){.name = ST_PAIR_PREPROCESS, .value = preprocess};
    }
    view->pairs = pairs;
    view->pair_count = count;
    return STRATA_OK;
}

static strata_status rewrite(const strata_weights *weights, const char *preprocess, const char *path, st_arena *arena,
                             strata_error *err) {
    st_weights view = *st_api_weights(weights);
    const st_format *format = st_format_by_ending(path);
    char *part = NULL;
    if (format == NULL || !format->is_of_tensors) {
        return st_fail_file(err, STRATA_INVALID, path,
                            "weights without a net go into .safetensors or .pth; for others name it with --for NET");
    }
    for (size_t i = 0; i < view.tensor_count; i++) {
        if (view.tensors[i].is_channels_last) {
            strata_status status = st_fail_file(
                err, STRATA_UNSUPPORTED, view.file.path,
                "tensor '%s' follows rows, columns, channels of what its layer sees, which only the net knows",
                view.tensors[i].name);
            st_error_hint(err, "name the net with --for");
            return status;
        }
    }
    if (preprocess != NULL) {
        ST_TRY(st_api_preprocess_check(preprocess, err));
    }
    ST_TRY(choose_pairs(&view, preprocess, arena, err));
    ST_TRY(st_arena_printf(&part, arena, err, "%s.part-%ld", path, (long)getpid()));
    strata_status status = format->write(&view, NULL, part, err);
    if (status == STRATA_OK) {
        status = compare_all(&view, part, err);
    }
    if (status == STRATA_OK) {
        status = st_file_move(part, path, err);
    }
    if (status != STRATA_OK) {
        (void)st_sys.unlink(part);
        if (err != NULL && strcmp(err->file, part) == 0) { /* it names the file that it was to become */
            (void)snprintf(err->file, sizeof err->file, "%s", path);
        }
    }
    return status;
}

strata_status strata_weights_save(const strata_weights *weights, const char *preprocess, const char *path,
                                  strata_error *err) {
    st_arena *arena = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = rewrite(weights, preprocess, path, arena, err);
    st_arena_free(arena);
    return status;
}
