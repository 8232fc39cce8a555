/* darknet (Joseph Redmon, https://pjreddie.com/darknet/): FILE.cfg, a net as text, and FILE.weights, its numbers
 * without any name or shape. Neither is much without the other, so whichever is opened, the other is looked for beside
 * it.
 *
 *     | major, minor, revision: i32 | pictures seen in training: u64 from 0.2 on, u32 before | f32 ... |
 *
 * Above 1000, major or minor say that dense weights are transposed. A .weights file has no sign of its own and no
 * lengths: it fits when the numbers that the net needs are exactly those that are there. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/darknet.h"
#include "formats/table.h"

enum { VERSION_BYTES = 12, TRANSPOSED = 1000, MOST_VERSION = 9 };

typedef struct header {
    uint64_t major, minor, revision, seen;
    size_t length;
} header;

/* ---- what a file is ---- */

static bool is_version(uint64_t number) {
    return number % TRANSPOSED <= MOST_VERSION && number / TRANSPOSED <= 1;
}

static bool is_weights(const unsigned char *first, size_t length) {
    if (length < VERSION_BYTES) {
        return false;
    }
    uint64_t major = st_stored_get(first, 4), minor = st_stored_get(first + 4, 4), rest = st_stored_get(first + 8, 4);
    return is_version(major) && is_version(minor) && rest <= MOST_VERSION && major + minor > 0;
}

/* Its first words, remarks and empty lines passed by, are [net] or [network]. */
static bool is_cfg(const unsigned char *first, size_t length) {
    char word[] = "[network]";
    size_t used = 0;
    bool is_remark = false, is_begun = false;
    for (size_t i = 0; i < length && used < sizeof word - 1; i++) {
        char c = (char)first[i];
        bool ends = c == '\n' || c == '\r';
        is_remark = !ends && (is_remark || (!is_begun && (c == '#' || c == ';')));
        if (is_remark || c == ' ' || c == '\t' || (ends && !is_begun)) {
            continue;
        }
        if (ends) {
            break;
        }
        is_begun = true;
        word[used++] = c;
    }
    return (used >= 5 && memcmp(word, "[net]", 5) == 0) || (used == 9 && memcmp(word, "[network]", 9) == 0);
}

static bool probe(const st_file *file, const unsigned char *first, size_t length) {
    enum { FAR = 8192 }; /* remarks at the head of a .cfg may be long */
    unsigned char more[FAR];
    if (is_weights(first, length) || is_cfg(first, length)) {
        return true;
    }
    size_t have = file->length < FAR ? (size_t)file->length : FAR;
    bool may_be_cfg = length > 0 && (first[0] == '#' || first[0] == ';');
    return may_be_cfg && st_file_at(file, more, have, 0, NULL) == STRATA_OK && is_cfg(more, have);
}

/* ---- the two files ---- */

/* The same name with another ending; *out in the arena. */
static strata_status beside(char **out, st_arena *arena, const char *path, const char *ending, strata_error *err) {
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *dot = strrchr(name, '.');
    int length = (int)(dot != NULL && dot > name ? (size_t)(dot - path) : strlen(path));
    return st_arena_printf(out, arena, err, "%.*s%s", length, path, ending);
}

static strata_status read_header(header *out, const st_file *file, strata_error *err) {
    unsigned char bytes[VERSION_BYTES + 8] = {0};
    size_t have = file->length < sizeof bytes ? (size_t)file->length : sizeof bytes;
    ST_TRY(st_file_at(file, bytes, have, 0, err));
    if (!is_weights(bytes, have)) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "it does not begin as darknet's weights do");
    }
    *out = (header){.major = st_stored_get(bytes, 4),
                    .minor = st_stored_get(bytes + 4, 4),
                    .revision = st_stored_get(bytes + 8, 4)};
    bool is_wide = out->major * 10 + out->minor >= 2 && out->major < TRANSPOSED && out->minor < TRANSPOSED;
    size_t seen = is_wide ? 8 : 4;
    out->length = VERSION_BYTES + seen;
    out->seen = st_stored_get(bytes + VERSION_BYTES, seen);
    if (file->length < out->length) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "cut: its head has %zu bytes, %" PRIu64 " are there",
                            out->length, file->length);
    }
    return STRATA_OK;
}

/* Opens the weights beside a .cfg in the place of the .cfg, if they are there. */
static strata_status change_to_weights(bool *found, st_weights *out, const char *path, strata_error *err) {
    st_file file;
    strata_error reason = {0};
    strata_status status = st_file_open(&file, path, &reason);
    *found = status == STRATA_OK;
    if (status == STRATA_MISSING) {
        return STRATA_OK;
    }
    if (status != STRATA_OK) {
        return st_fail_file(err, status, path, "%s", reason.message);
    }
    st_file_close(&out->file);
    out->file = file;
    return STRATA_OK;
}

/* Too few or too many bytes. */
static strata_status check_length(const st_weights *out, const st_darknet_values *values, const char *cfg,
                                  strata_error *err) {
    uint64_t left = values->length - values->at;
    if (values->missing > 0) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path,
                            "it has %" PRIu64
                            " bytes too few for the net of %.100s: they end in [%.40s] at line %d there",
                            values->missing, cfg, values->first_missing, values->first_missing_line);
    }
    if (left > 0) {
        return st_fail_file(err, STRATA_FORMAT, out->file.path,
                            "it has %" PRIu64 " bytes more than the net of %.100s needs", left, cfg);
    }
    return STRATA_OK;
}

static strata_status write_note(char **note, st_arena *arena, const header *head, const char *cfg, const char *weights,
                                strata_error *err) {
    if (head->length == 0) {
        return st_arena_printf(note, arena, err, "darknet: a net without weights, there is no %s", weights);
    }
    return st_arena_printf(note, arena, err,
                           "darknet %" PRIu64 ".%" PRIu64 ".%" PRIu64 ", trained on %" PRIu64
                           " pictures; the net is that of %s",
                           head->major, head->minor, head->revision, head->seen, cfg);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static strata_status build_net(st_weights *out, const st_cfg *cfg, const header *head, const char *note,
                               strata_error *err) {
    int output = 0;
    char *name = NULL;
    st_foreign foreign = {.arena = out->arena};
    st_darknet_values values = {.file = head->length > 0 ? out->file.path : NULL,
                                .at = head->length,
                                .length = out->file.length,
                                .is_transposed = head->major > TRANSPOSED || head->minor > TRANSPOSED};
    ST_TRY(beside(&name, out->arena, base_name(cfg->file), "", err));
    ST_TRY(st_net_writer_create(&foreign.writer, out->arena, name, NULL, err));
    ST_TRY(st_darknet_build(&foreign, &output, &values, cfg, err));
    if (head->length > 0) {
        ST_TRY(check_length(out, &values, cfg->file, err));
    }
    return st_foreign_finish(out, &foreign, output, note, err);
}

static strata_status read_file(st_weights *out, strata_error *err) {
    unsigned char first[ST_FORMAT_PROBE];
    size_t have = out->file.length < sizeof first ? (size_t)out->file.length : sizeof first, length = 0;
    char *cfg_path = NULL, *weights_path = NULL, *text = NULL, *note = NULL;
    header head = {0};
    st_cfg cfg;
    ST_TRY(st_file_at(&out->file, first, have, 0, err));
    bool has_weights = is_weights(first, have);
    ST_TRY(beside(&weights_path, out->arena, out->file.path, ".weights", err));
    if (has_weights) {
        ST_TRY(beside(&cfg_path, out->arena, out->file.path, ".cfg", err));
    } else {
        ST_TRY(st_arena_text(&cfg_path, out->arena, out->file.path, strlen(out->file.path), err));
        ST_TRY(change_to_weights(&has_weights, out, weights_path, err));
    }
    if (has_weights) {
        ST_TRY(read_header(&head, &out->file, err));
    }
    strata_status status = st_file_read(&text, &length, out->arena, cfg_path, ST_LANG_TEXT_LIMIT, err);
    if (status == STRATA_MISSING) {
        return st_fail_file(err, STRATA_MISSING, out->file.path,
                            "darknet's weights say nothing without their net: there is no %.200s", cfg_path);
    }
    ST_TRY(status);
    ST_TRY(st_cfg_parse(&cfg, out->arena, text, length, cfg_path, err));
    ST_TRY(write_note(&note, out->arena, &head, base_name(cfg_path), base_name(weights_path), err));
    return build_net(out, &cfg, &head, note, err);
}

const st_format st_format_darknet = {.name = "darknet", .probe = probe, .read = read_file};
