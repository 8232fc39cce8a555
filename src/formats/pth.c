/* PyTorch's zip form (torch.save since 1.6): an archive of stored members in one folder.
 *
 *     NAME/data.pkl     a pickle; tensors in it are views of storages that it names
 *     NAME/data/KEY     the values of one storage
 *     NAME/version, NAME/byteorder, ...
 *     NAME/strata.json  what strata writes too: the file's metadata; torch.load does not look at it
 *
 * Values are not copied: a tensor's offset is a place in the file. Every checksum but those of large storages is
 * compared. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/pth.h"
#include "formats/table.h"
#include "formats/zip.h"

/* Checksums of values are compared up to this many bytes of values in a file: a few hundredths of a second. */
enum { MOST_CHECKED_BYTES = 16 << 20, MOST_PAIRS = 1 << 16, LONGEST_JSON = 16 << 20, LONGEST_RECORD = 64 };

typedef struct archive {
    st_zip zip;
    const st_file *file;
    st_arena *arena;
    char folder[ST_ZIP_LONGEST_NAME + 2]; /* "archive/" */
} archive;

static bool probe(const st_file *file, const unsigned char *first, size_t length) {
    (void)file;
    return length >= 4 && first[0] == 'P' && first[1] == 'K' && first[2] == 3 && first[3] == 4;
}

static const st_zip_member *find(const archive *from, const char *name) {
    char path[2 * ST_ZIP_LONGEST_NAME + 16];
    (void)snprintf(path, sizeof path, "%s%s", from->folder, name);
    return st_zip_find(&from->zip, path);
}

/* The one folder that has a data.pkl. */
static strata_status find_folder(archive *out, strata_error *err) {
    static const char name[] = "/data.pkl";
    size_t found = 0;
    for (size_t i = 0; i < out->zip.count; i++) {
        const char *path = out->zip.members[i].name, *slash = strchr(path, '/');
        if (slash != NULL && strcmp(slash, name) == 0) {
            (void)snprintf(out->folder, sizeof out->folder, "%.*s", (int)(slash - path) + 1, path);
            found++;
        }
    }
    if (found != 1) {
        return st_fail_file(err, STRATA_FORMAT, out->file->path,
                            found == 0 ? "a zip archive, but not PyTorch's: no folder has a data.pkl"
                                       : "a zip archive with %zu folders that have a data.pkl, expected one",
                            found);
    }
    return STRATA_OK;
}

/* TorchScript: the weights' names are in the program. */
static strata_status check_script(const archive *from, strata_error *err) {
    char code[sizeof from->folder + 8];
    (void)snprintf(code, sizeof code, "%scode/", from->folder);
    const char *sign = find(from, "constants.pkl") != NULL ? "constants.pkl" : NULL;
    for (size_t i = 0; sign == NULL && i < from->zip.count; i++) {
        sign = strncmp(from->zip.members[i].name, code, strlen(code)) == 0 ? "code/" : NULL;
    }
    if (sign == NULL) {
        return STRATA_OK;
    }
    strata_status status =
        st_fail_file(err, STRATA_UNSUPPORTED, from->file->path,
                     "a TorchScript archive ('%s%s' is there): a program, and nothing is run here", from->folder, sign);
    st_error_hint(err,
                  "if you trust it: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth') writes its weights");
    return status;
}

/* A short text: NAME/byteorder. */
static strata_status check_byteorder(const archive *from, strata_error *err) {
    const st_zip_member *member = find(from, "byteorder");
    char *text = NULL;
    if (member == NULL) {
        return STRATA_OK; /* before PyTorch 2.1: always this one */
    }
    ST_TRY(st_zip_take(&text, member, from->file, LONGEST_RECORD, from->arena, err));
    if (strcmp(text, "little") != 0) {
        return st_fail_file(err, STRATA_UNSUPPORTED, from->file->path, "member '%s' says '%s', expected 'little'",
                            member->name, text);
    }
    return STRATA_OK;
}

/* ---- storages ---- */

static strata_status find_storages(const archive *from, const st_pickle *pickle, strata_error *err) {
    char name[ST_ZIP_LONGEST_NAME + 8];
    uint64_t checked = 0;
    const st_zip_member *last = NULL;
    st_pth_sort_storages(pickle->storages, pickle->storage_count);
    for (size_t i = 0; i < pickle->storage_count; i++) {
        st_pickle_storage *storage = pickle->storages[i];
        int shown = storage->key_length < ST_ZIP_LONGEST_NAME ? (int)storage->key_length : ST_ZIP_LONGEST_NAME;
        (void)snprintf(name, sizeof name, "data/%.*s", shown, storage->key);
        const st_zip_member *member = find(from, name);
        if (member == NULL) {
            return st_fail_file(err, STRATA_FORMAT, from->file->path, "storage '%s%s' is missing in the archive",
                                from->folder, name);
        }
        ST_TRY(st_zip_is_stored(member, from->file, err));
        uint64_t bytes = storage->count * st_stored_size(storage->stored); /* st_pickle_load_storage saw the product */
        if (member->size != bytes) {
            return st_fail_file(err, STRATA_FORMAT, from->file->path,
                                "storage '%s' has %" PRIu64 " bytes, data.pkl says %" PRIu64 " values of %s",
                                member->name, member->size, storage->count, st_stored_name(storage->stored));
        }
        storage->offset = member->offset;
        if (member != last && bytes <= MOST_CHECKED_BYTES - checked) {
            ST_TRY(st_zip_check(member, from->file, err));
            checked += bytes;
        }
        last = member;
    }
    return STRATA_OK;
}

/* ---- metadata ---- */

static strata_status add_pair(st_weights *out, st_pair **pairs, const char *name, const char *value,
                              strata_error *err) {
    if (out->pair_count == MOST_PAIRS) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path, "metadata: more than %d entries", MOST_PAIRS);
    }
    ST_TRY(st_format_grow(pairs, out->pair_count, sizeof **pairs, out->arena, err));
    (*pairs)[out->pair_count++] = (st_pair){.name = name, .value = value};
    out->pairs = *pairs;
    return STRATA_OK;
}

/* NAME/strata.json: {"name": "text", ...}. */
static strata_status read_pairs(const archive *from, st_weights *out, st_pair **pairs, strata_error *err) {
    const st_zip_member *member = find(from, "strata.json");
    st_json json = {.file = from->file->path, .arena = from->arena};
    char *text = NULL, *key = NULL, *value = NULL;
    bool more = false;
    if (member == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_zip_take(&text, member, from->file, LONGEST_JSON, from->arena, err));
    json.text = text;
    json.length = (size_t)member->size;
    ST_TRY(st_json_enter(&json, '{', err));
    for (;;) {
        size_t length = 0;
        ST_TRY(st_json_next(&json, &more, &key, err));
        if (!more) {
            return st_json_end(&json, err);
        }
        ST_TRY(st_json_string(&json, &value, &length, err));
        if (strlen(value) != length) {
            return st_fail_file(err, STRATA_FORMAT, from->file->path, "metadata '%s': a text with a zero byte in it",
                                key);
        }
        ST_TRY(add_pair(out, pairs, key, value, err));
    }
}

static strata_status read_file(st_weights *out, strata_error *err) {
    archive from = {.file = &out->file, .arena = out->arena};
    st_pickle_value root;
    st_pair *pairs = NULL;
    const char *note = NULL;
    char *bytes = NULL;
    ST_TRY(st_zip_read(&from.zip, from.file, from.arena, err));
    ST_TRY(find_folder(&from, err));
    ST_TRY(check_script(&from, err));
    ST_TRY(check_byteorder(&from, err));
    const st_zip_member *member = find(&from, "data.pkl");
    ST_TRY(st_zip_take(&bytes, member, from.file, ST_PICKLE_LONGEST, from.arena, err));
    st_pickle pickle = {.bytes = (const unsigned char *)bytes,
                        .length = (size_t)member->size,
                        .place = member->offset,
                        .arena = out->arena,
                        .file = out->file.path};
    ST_TRY(st_pickle_run(&pickle, &root, err));
    if (pickle.at != pickle.length) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path, "member '%s': %zu bytes behind the end of its pickle",
                            member->name, pickle.length - pickle.at);
    }
    ST_TRY(find_storages(&from, &pickle, err));
    ST_TRY(read_pairs(&from, out, &pairs, err));
    ST_TRY(st_pth_tensors(out, &note, &pickle, &root, find(&from, "strata.json") != NULL, err));
    return note != NULL ? add_pair(out, &pairs, ST_PAIR_NOTE, note, err) : STRATA_OK;
}

const st_format st_format_pth_zip = {.name = "PyTorch zip",
                                     .ending = ".pth",
                                     .is_of_tensors = true,
                                     .probe = probe,
                                     .read = read_file,
                                     .write = st_pth_write};
