/* Running pickles (Python's Lib/pickletools.py describes the opcodes, protocols 2 to 5): opcodes and their arguments
 * are taken from the bytes, and counts compared with the bytes that are there. What an opcode does is in
 * pickle_opcodes.c, what may be called in pickle_build.c. */
#include <stdio.h>
#include <string.h>

#include "formats/pickle_machine.h"

enum { LONGEST_LINE = 1024 };

/* ---- words ---- */

static const char *const kind_names[] = {
    [ST_PICKLE_NONE] = "None",       [ST_PICKLE_BOOL] = "a truth value",
    [ST_PICKLE_INT] = "a number",    [ST_PICKLE_NUMBER] = "a number of another kind",
    [ST_PICKLE_FLOAT] = "a number",  [ST_PICKLE_TEXT] = "a text",
    [ST_PICKLE_BYTES] = "bytes",     [ST_PICKLE_TUPLE] = "a tuple",
    [ST_PICKLE_LIST] = "a list",     [ST_PICKLE_DICT] = "a dict",
    [ST_PICKLE_GLOBAL] = "a name",   [ST_PICKLE_STORAGE] = "a storage",
    [ST_PICKLE_TENSOR] = "a tensor", [ST_PICKLE_MARK] = "a mark",
};

const char *st_pickle_kind_name(uint32_t kind) {
    return kind < ST_COUNT_OF(kind_names) ? kind_names[kind] : "nothing";
}

strata_status st_pickle_fail(const st_pickle_machine *m, strata_error *err, strata_status status, const char *format,
                             ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return st_fail_file(err, status, m->pickle->file, "byte %llu, %s: %s",
                        (unsigned long long)(m->pickle->place + m->start), st_pickle_opcodes[m->opcode].name, text);
}

/* ---- opcodes and their arguments ---- */

static strata_status take(st_pickle_machine *m, uint64_t count, const unsigned char **out, strata_error *err) {
    st_pickle *pickle = m->pickle;
    if (count > pickle->length - pickle->at) {
        pickle->is_cut = true;
        return st_pickle_fail(m, err, STRATA_FORMAT, "cut: %llu bytes wanted, %zu are there", (unsigned long long)count,
                              pickle->length - pickle->at);
    }
    *out = pickle->bytes + pickle->at;
    pickle->at += (size_t)count;
    return STRATA_OK;
}

static strata_status take_line(st_pickle_machine *m, const char **text, size_t *length, strata_error *err) {
    st_pickle *pickle = m->pickle;
    const unsigned char *from = pickle->bytes + pickle->at;
    size_t left = pickle->length - pickle->at, most = left < LONGEST_LINE ? left : LONGEST_LINE;
    const unsigned char *end = most > 0 ? memchr(from, '\n', most) : NULL;
    if (end == NULL) {
        pickle->is_cut = most < LONGEST_LINE;
        return st_pickle_fail(m, err, STRATA_FORMAT, "a line without an end in %zu bytes", most);
    }
    *text = (const char *)from;
    *length = (size_t)(end - from);
    pickle->at += *length + 1;
    return STRATA_OK;
}

static strata_status take_argument(st_pickle_machine *m, st_pickle_form kind, st_pickle_argument *out,
                                   strata_error *err) {
    static const unsigned char sizes[] = {
        [ST_PICKLE_U1] = 1, [ST_PICKLE_U2] = 2,       [ST_PICKLE_U4] = 4,       [ST_PICKLE_I4] = 4,
        [ST_PICKLE_U8] = 8, [ST_PICKLE_COUNTED1] = 1, [ST_PICKLE_COUNTED4] = 4, [ST_PICKLE_COUNTED8] = 8};
    const unsigned char *bytes = NULL;
    if (kind == ST_PICKLE_LINES) {
        ST_TRY(take_line(m, &out->text, &out->length, err));
        return take_line(m, &out->second, &out->second_length, err);
    }
    if (kind == ST_PICKLE_BARE) {
        return STRATA_OK;
    }
    ST_TRY(take(m, sizes[kind], &bytes, err));
    out->number = st_stored_get(bytes, sizes[kind]);
    if (kind == ST_PICKLE_I4) {
        out->number = (out->number ^ 0x80000000u) - 0x80000000u;
    }
    if (kind >= ST_PICKLE_COUNTED1) {
        ST_TRY(take(m, out->number, &bytes, err));
        out->text = (const char *)bytes;
        out->length = (size_t)out->number; /* at most pickle->length */
    }
    return STRATA_OK;
}

static strata_status step(st_pickle_machine *m, strata_error *err) {
    st_pickle_argument given = {0};
    st_pickle *pickle = m->pickle;
    m->start = pickle->at;
    if (pickle->at == pickle->length) {
        pickle->is_cut = true;
        return st_fail_file(err, STRATA_FORMAT, pickle->file, "byte %llu: the pickle is cut: no STOP at its end",
                            (unsigned long long)(pickle->place + m->start));
    }
    m->opcode = pickle->bytes[pickle->at++];
    const st_pickle_opcode *found = &st_pickle_opcodes[m->opcode];
    if (found->name == NULL) {
        return st_fail_file(err, STRATA_FORMAT, pickle->file, "byte %llu: 0x%02x is no opcode of a pickle",
                            (unsigned long long)(pickle->place + m->start), (unsigned)m->opcode);
    }
    if (found->run == NULL) {
        return st_pickle_fail(m, err, STRATA_UNSUPPORTED, "not read: no writer of tensors uses it");
    }
    ST_TRY(take_argument(m, found->form, &given, err));
    return found->run(m, &given, err);
}

strata_status st_pickle_run(st_pickle *pickle, st_pickle_value *out, strata_error *err) {
    st_pickle_machine m = {.pickle = pickle};
    pickle->is_cut = false;
    while (!m.is_done) {
        ST_TRY(step(&m, err));
    }
    *out = m.stack[0];
    return STRATA_OK;
}

/* ---- looking into values ---- */

bool st_pickle_is_text(const st_pickle_value *value, const char *text) {
    return value->kind == ST_PICKLE_TEXT && value->length == strlen(text) &&
           (value->length == 0 || memcmp(value->as.text, text, value->length) == 0);
}

const st_pickle_value *st_pickle_get(const st_pickle_value *dict, const char *key) {
    const st_pickle_value *found = NULL;
    for (uint32_t i = 0; dict->kind == ST_PICKLE_DICT && i + 1 < dict->as.items->count; i += 2) {
        if (st_pickle_is_text(&dict->as.items->items[i], key)) {
            found = &dict->as.items->items[i + 1];
        }
    }
    return found;
}
