/* PyTorch's legacy form (torch.save until 1.5): pickles and values, one after another.
 *
 *     | magic number | protocol 1001 | about the machine | the value | keys of the storages | storages in this order |
 *                                                                       each: count u64 | values
 *
 * Where a pickle ends is known only when it has run, so it runs in a window that is doubled while it is too short. Also
 * here: the refusal of what begins like it, a pickle of something else and the tar form before 0.1.10. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pth.h"
#include "formats/table.h"

enum { FIRST_WINDOW = 64 << 10, MAGIC_AT_MOST = 16, MAGIC_BYTES = 10, TAR_SIGN_AT = 257 };

static const unsigned char magic[MAGIC_BYTES] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

typedef struct reading {
    const st_file *file;
    st_arena *arena;
    unsigned char *window;
    size_t length; /* of the window, from the start of the file */
} reading;

/* PROTO, with newer protocols FRAME and its length, then LONG1 of ten bytes. */
static size_t magic_end(const unsigned char *first, size_t length) {
    for (size_t at = 2; at + 3 + MAGIC_BYTES <= length && at <= MAGIC_AT_MOST; at++) {
        if (first[at] == 0x8a && first[at + 1] == MAGIC_BYTES && memcmp(first + at + 2, magic, MAGIC_BYTES) == 0) {
            return first[at + 2 + MAGIC_BYTES] == '.' ? at + 3 + MAGIC_BYTES : 0;
        }
    }
    return 0;
}

static bool is_tar(const unsigned char *first, size_t length) {
    static const char *const members[] = {"sys_info", "pickle", "storages", "tensors"};
    bool known = false;
    for (size_t i = 0; length >= ST_FORMAT_PROBE && i < ST_COUNT_OF(members); i++) {
        known = known || strncmp((const char *)first, members[i], strlen(members[i]) + 1) == 0;
    }
    return known && memcmp(first + TAR_SIGN_AT, "ustar", 5) == 0;
}

static bool probe(const st_file *file, const unsigned char *first, size_t length) {
    (void)file;
    return (length >= 3 && first[0] == 0x80 && first[1] >= 2 && first[1] <= 5) || is_tar(first, length);
}

/* ---- pickles ---- */

static strata_status widen(reading *from, strata_error *err) {
    size_t length = from->length == 0 ? FIRST_WINDOW : 2 * from->length;
    length = from->file->length < length ? (size_t)from->file->length : length;
    ST_TRY(st_arena_alloc(&from->window, from->arena, length, 1, err));
    from->length = length;
    return st_file_at(from->file, from->window, length, 0, err);
}

/* The pickle at *at. A failure that more bytes would cure is tried again with more. */
static strata_status next_pickle(reading *from, st_pickle *pickle, size_t *at, st_pickle_value *out,
                                 strata_error *err) {
    for (;;) {
        *pickle = (st_pickle){
            .bytes = from->window, .length = from->length, .at = *at, .arena = from->arena, .file = from->file->path};
        strata_status status = st_pickle_run(pickle, out, err);
        bool more = pickle->is_cut && from->length < from->file->length && from->length - *at <= ST_PICKLE_LONGEST;
        if (status == STRATA_OK || !more) {
            *at = pickle->at;
            return status;
        }
        ST_TRY(widen(from, err));
    }
}

static strata_status check_start(reading *from, size_t *at, strata_error *err) {
    st_pickle pickle;
    st_pickle_value protocol, machine;
    if (is_tar(from->window, from->length)) {
        return st_fail_file(err, STRATA_UNSUPPORTED, from->file->path,
                            "the tar form of PyTorch before 0.1.10 is not read");
    }
    *at = magic_end(from->window, from->length);
    if (*at == 0) {
        return st_fail_file(err, STRATA_UNSUPPORTED, from->file->path,
                            "a pickle, but not PyTorch's: its magic number is not there");
    }
    ST_TRY(next_pickle(from, &pickle, at, &protocol, err));
    if (protocol.kind != ST_PICKLE_INT) {
        return st_fail_file(err, STRATA_FORMAT, from->file->path, "the legacy form's protocol is %s, expected a number",
                            st_pickle_kind_name(protocol.kind));
    }
    if (protocol.as.integer != 1001) {
        return st_fail_file(err, STRATA_UNSUPPORTED, from->file->path,
                            "the legacy form's protocol is %" PRId64 ", expected 1001", protocol.as.integer);
    }
    ST_TRY(next_pickle(from, &pickle, at, &machine, err));
    const st_pickle_value *little = st_pickle_get(&machine, "little_endian");
    if (machine.kind != ST_PICKLE_DICT || (little != NULL && (little->kind != ST_PICKLE_BOOL || !little->as.integer))) {
        return st_fail_file(err, STRATA_UNSUPPORTED, from->file->path,
                            "it was written by a machine that is not little-endian");
    }
    return STRATA_OK;
}

/* ---- storages ---- */

/* All mentions of one key, from *from on in the sorted list; they must agree. */
static strata_status find_mentions(const st_pickle *pickle, const st_pickle_value *key, size_t *first, size_t *count,
                                   strata_error *err) {
    size_t low = 0, high = pickle->storage_count;
    while (low < high) { /* the first that is not below the key, in the order of st_pth_sort_storages */
        size_t middle = low + (high - low) / 2;
        const st_pickle_storage *at = pickle->storages[middle];
        uint32_t length = at->key_length < key->length ? at->key_length : key->length;
        int order = length > 0 ? memcmp(at->key, key->as.text, length) : 0;
        if (order < 0 || (order == 0 && at->key_length < key->length)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *first = low;
    for (*count = 0; low + *count < pickle->storage_count; *count += 1) {
        const st_pickle_storage *at = pickle->storages[low + *count], *one = pickle->storages[low];
        if (at->key_length != key->length || (key->length > 0 && memcmp(at->key, key->as.text, key->length) != 0)) {
            break;
        }
        if (at->stored != one->stored || at->count != one->count) {
            return st_fail_file(err, STRATA_FORMAT, pickle->file,
                                "storage '%.*s' is %" PRIu64 " values of %s and %" PRIu64 " of %s", (int)key->length,
                                key->as.text, one->count, st_stored_name(one->stored), at->count,
                                st_stored_name(at->stored));
        }
    }
    return STRATA_OK;
}

/* One storage: its count, its values. */
static strata_status place_storage(const st_file *file, const st_pickle *pickle, const st_pickle_value *key,
                                   uint64_t *at, strata_error *err) {
    unsigned char bytes[8];
    size_t first = 0, mentions = 0;
    int shown = (int)(key->length < 64 ? key->length : 64);
    if (key->kind != ST_PICKLE_TEXT) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "the key of a storage is %s",
                            st_pickle_kind_name(key->kind));
    }
    ST_TRY(find_mentions(pickle, key, &first, &mentions, err));
    if (mentions == 0) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "storage '%.*s' is listed, but nothing refers to it", shown,
                            key->as.text);
    }
    if (pickle->storages[first]->offset != 0) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "storage '%.*s' is listed twice", shown, key->as.text);
    }
    if (file->length - *at < sizeof bytes) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "cut: storage '%.*s' would begin at byte %" PRIu64, shown,
                            key->as.text, *at);
    }
    ST_TRY(st_file_at(file, bytes, sizeof bytes, *at, err));
    *at += sizeof bytes;
    uint64_t count = st_stored_get(bytes, sizeof bytes), expected = pickle->storages[first]->count;
    size_t size = st_stored_size(pickle->storages[first]->stored);
    if (count != expected) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "byte %" PRIu64 ": storage '%.*s' says %" PRIu64 " values, the pickle says %" PRIu64,
                            *at - sizeof bytes, shown, key->as.text, count, expected);
    }
    if (count > (file->length - *at) / size) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "cut: storage '%.*s' has %" PRIu64 " values of %zu bytes, %" PRIu64 " bytes are there",
                            shown, key->as.text, count, size, file->length - *at);
    }
    for (size_t i = 0; i < mentions; i++) {
        pickle->storages[first + i]->offset = *at;
    }
    *at += count * size;
    return STRATA_OK;
}

static strata_status place_storages(const st_file *file, const st_pickle *pickle, const st_pickle_value *keys,
                                    uint64_t at, strata_error *err) {
    if (keys->kind != ST_PICKLE_LIST) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "the keys of the storages are %s, expected a list",
                            st_pickle_kind_name(keys->kind));
    }
    st_pth_sort_storages(pickle->storages, pickle->storage_count);
    for (uint32_t i = 0; i < keys->as.items->count; i++) {
        ST_TRY(place_storage(file, pickle, &keys->as.items->items[i], &at, err));
    }
    for (size_t i = 0; i < pickle->storage_count; i++) {
        const st_pickle_storage *storage = pickle->storages[i];
        if (storage->offset == 0) {
            return st_fail_file(err, STRATA_FORMAT, file->path, "storage '%.*s' is not in the list of storages",
                                (int)(storage->key_length < 64 ? storage->key_length : 64), storage->key);
        }
    }
    if (at != file->length) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "%" PRIu64 " bytes behind the last storage",
                            file->length - at);
    }
    return STRATA_OK;
}

static strata_status read_file(st_weights *out, strata_error *err) {
    reading from = {.file = &out->file, .arena = out->arena};
    st_pickle object, last;
    st_pickle_value root, keys;
    st_pair *pair = NULL;
    const char *note = NULL;
    size_t at = 0;
    ST_TRY(widen(&from, err));
    ST_TRY(check_start(&from, &at, err));
    ST_TRY(next_pickle(&from, &object, &at, &root, err));
    ST_TRY(next_pickle(&from, &last, &at, &keys, err));
    ST_TRY(place_storages(&out->file, &object, &keys, at, err));
    ST_TRY(st_pth_tensors(out, &note, &object, &root, false, err));
    if (note != NULL) {
        ST_TRY(st_arena_alloc(&pair, out->arena, 1, sizeof *pair, err));
        *pair = (st_pair){.name = ST_PAIR_NOTE, .value = note};
        out->pairs = pair;
        out->pair_count = 1;
    }
    return STRATA_OK;
}

const st_format st_format_pth_legacy = {
    .name = "PyTorch legacy", .ending = NULL, .probe = probe, .read = read_file, .write = NULL};
