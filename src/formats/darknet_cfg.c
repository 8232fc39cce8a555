/* The text of a darknet .cfg (Joseph Redmon, https://pjreddie.com/darknet/):
 *
 *     file    = { line } .
 *     line    = "[" NAME "]" | NAME "=" VALUE | "#" ... | ";" ... | nothing .
 *
 * White space counts nowhere, not even inside words. Keys before the first section, lines without "=" and bytes that
 * are no text are refused; what follows a "#" or ";" in a value is a remark, since darknet's numbers end there too. */
#include <inttypes.h>
#include <string.h>

#include "formats/darknet.h"
#include "formats/table.h"
#include "lang/tokens.h"

strata_status st_cfg_fail(strata_error *err, strata_status status, const st_cfg *cfg, int line, const char *format,
                          ...) {
    char message[256];
    va_list values;
    va_start(values, format);
    st_text_print(message, sizeof message, format, values);
    va_end(values);
    st_fail_file(err, status, cfg->file, "%s", message);
    if (err != NULL) {
        err->line = line;
    }
    return status;
}

/* ---- lines ---- */

/* Takes white space away in place; the new length. */
static size_t strip(char *line, size_t length) {
    size_t kept = 0;
    for (size_t i = 0; i < length; i++) {
        if (strchr(" \t\r\v\f", line[i]) == NULL) {
            line[kept++] = line[i];
        }
    }
    return kept;
}

typedef struct parser {
    st_cfg *cfg;
    st_arena *arena;
    st_cfg_section *sections;
    st_cfg_option *options; /* of the last section */
    int line;
} parser;

static strata_status add_section(parser *in, char *line, size_t length, strata_error *err) {
    st_cfg *cfg = in->cfg;
    if (length < 3 || line[length - 1] != ']') {
        return st_cfg_fail(err, STRATA_FORMAT, cfg, in->line, "found '%.40s', expected a section such as [net]", line);
    }
    line[length - 1] = '\0';
    const char *name = line + 1;
    if (cfg->section_count == 0 && strcmp(name, "net") != 0 && strcmp(name, "network") != 0) {
        return st_cfg_fail(err, STRATA_FORMAT, cfg, in->line, "the first section is [%.40s], expected [net]", name);
    }
    if (cfg->section_count > ST_LANG_LAYER_LIMIT) {
        return st_cfg_fail(err, STRATA_UNSUPPORTED, cfg, in->line, "more than %d sections", ST_LANG_LAYER_LIMIT);
    }
    ST_TRY(st_format_grow(&in->sections, cfg->section_count, sizeof *in->sections, in->arena, err));
    in->sections[cfg->section_count++] = (st_cfg_section){.name = name, .line = in->line};
    cfg->sections = in->sections;
    in->options = NULL;
    return STRATA_OK;
}

static strata_status add_option(parser *in, char *line, strata_error *err) {
    char *equals = strchr(line, '=');
    if (in->cfg->section_count == 0) {
        return st_cfg_fail(err, STRATA_FORMAT, in->cfg, in->line, "found '%.40s', expected [net] before any key", line);
    }
    if (equals == NULL || equals == line) {
        return st_cfg_fail(err, STRATA_FORMAT, in->cfg, in->line, "found '%.40s', expected key=value", line);
    }
    *equals = '\0';
    equals[1 + strcspn(equals + 1, "#;")] = '\0';
    st_cfg_section *section = &in->sections[in->cfg->section_count - 1];
    ST_TRY(st_format_grow(&in->options, section->option_count, sizeof *in->options, in->arena, err));
    in->options[section->option_count++] = (st_cfg_option){.key = line, .value = equals + 1, .line = in->line};
    section->options = in->options;
    return STRATA_OK;
}

strata_status st_cfg_parse(st_cfg *out, st_arena *arena, char *text, size_t length, const char *file,
                           strata_error *err) {
    *out = (st_cfg){.file = file};
    parser in = {.cfg = out, .arena = arena};
    char *end = text + length;
    while (text < end) {
        char *next = memchr(text, '\n', (size_t)(end - text));
        size_t whole = (size_t)((next != NULL ? next : end) - text);
        in.line++;
        if (memchr(text, '\0', whole) != NULL || !st_text_is_utf8(text, whole)) {
            return st_cfg_fail(err, STRATA_FORMAT, out, in.line, "found bytes that are no text");
        }
        size_t used = strip(text, whole);
        text[used] = '\0'; /* the line's end, or st_file_read's NUL after the text */
        if (used > 0 && text[0] != '#' && text[0] != ';') {
            ST_TRY(text[0] == '[' ? add_section(&in, text, used, err) : add_option(&in, text, err));
        }
        text += whole + 1;
    }
    if (out->section_count == 0) {
        return st_fail_file(err, STRATA_FORMAT, file, "it has no sections, expected [net]");
    }
    return STRATA_OK;
}

/* ---- values ---- */

static const st_cfg_option *find(const st_cfg_section *section, const char *key) {
    for (size_t i = 0; i < section->option_count; i++) {
        if (strcmp(section->options[i].key, key) == 0) {
            return &section->options[i];
        }
    }
    return NULL;
}

const char *st_cfg_text(const st_cfg_section *section, const char *key, const char *standard) {
    const st_cfg_option *option = find(section, key);
    return option != NULL ? option->value : standard;
}

/* "-12" up to the end or a comma; false: it is no whole number of at most 18 digits. *at goes behind it. */
static bool read_integer(int64_t *out, const char **at) {
    enum { DIGITS = 18 };
    const char *text = *at;
    bool is_negative = *text == '-';
    text += is_negative || *text == '+';
    int64_t value = 0;
    int digits = 0;
    for (; *text >= '0' && *text <= '9' && digits < DIGITS; text++, digits++) {
        value = value * 10 + (*text - '0');
    }
    *out = is_negative ? -value : value;
    *at = text;
    return digits > 0 && (*text == '\0' || *text == ',');
}

strata_status st_cfg_integer(int64_t *out, const st_cfg *cfg, const st_cfg_section *section, const char *key,
                             int64_t standard, int64_t least, int64_t most, strata_error *err) {
    const st_cfg_option *option = find(section, key);
    const char *at = option != NULL ? option->value : "";
    *out = standard;
    if (option == NULL) {
        return STRATA_OK;
    }
    if (!read_integer(out, &at) || *at != '\0' || *out < least || *out > most) {
        return st_cfg_fail(err, STRATA_FORMAT, cfg, option->line,
                           "%.40s=%.40s, expected a whole number from %" PRId64 " to %" PRId64, key, option->value,
                           least, most);
    }
    return STRATA_OK;
}

strata_status st_cfg_real(double *out, const st_cfg *cfg, const st_cfg_section *section, const char *key,
                          double standard, strata_error *err) {
    enum { LONGEST = 32 };
    const st_cfg_option *option = find(section, key);
    char text[LONGEST + 2] = "0"; /* so that ".5" is a number */
    *out = standard;
    if (option == NULL) {
        return STRATA_OK;
    }
    size_t length = strlen(option->value);
    const char *dot = strchr(option->value, '.');
    bool is_number = length > (dot != NULL) && length <= LONGEST && strspn(option->value, "0123456789.") == length &&
                     (dot == NULL || strchr(dot + 1, '.') == NULL);
    if (is_number) {
        memcpy(text + 1, option->value, length + 1);
        is_number = st_lang_number(out, text, length + 1);
    }
    if (!is_number) {
        return st_cfg_fail(err, STRATA_FORMAT, cfg, option->line, "%.40s=%.40s, expected a number", key, option->value);
    }
    return STRATA_OK;
}

strata_status st_cfg_list(int64_t **out, size_t *count, st_arena *arena, const st_cfg *cfg,
                          const st_cfg_section *section, const char *key, strata_error *err) {
    const st_cfg_option *option = find(section, key);
    *count = 0;
    *out = NULL;
    if (option == NULL) {
        return st_cfg_fail(err, STRATA_FORMAT, cfg, section->line, "[%.40s] has no %s=", section->name, key);
    }
    for (const char *at = option->value;; at++) {
        int64_t value = 0;
        if (!read_integer(&value, &at)) {
            return st_cfg_fail(err, STRATA_FORMAT, cfg, option->line, "%s=%.40s, expected whole numbers and commas",
                               key, option->value);
        }
        ST_TRY(st_format_grow(out, *count, sizeof **out, arena, err));
        (*out)[(*count)++] = value;
        if (*at == '\0') {
            return STRATA_OK;
        }
    }
}
