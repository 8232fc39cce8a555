/* A small writer of JSON, and the one thing that is read back: a number in a line that this program wrote. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static void add_string(text *out, const char *value) {
    text_add_bytes(out, "\"", 1);
    const unsigned char *s = (const unsigned char *)value;
    while (*s != '\0') {
        size_t length = utf8_length(s);
        if (*s == '\n') {
            text_add(out, "\\n");
        } else if (*s == '"' || *s == '\\') {
            text_add(out, "\\%c", *s);
        } else if (*s < 0x20 || *s == 0x7F) {
            text_add(out, "\\u%04x", *s);
        } else if (length == 0) {
            text_add(out, "\\ufffd");
        } else {
            text_add_bytes(out, (const char *)s, length);
        }
        s += length > 0 ? length : 1;
    }
    text_add_bytes(out, "\"", 1);
}

static void begin_value(json *j, const char *key) {
    if (j->needs_comma) {
        text_add(&j->out, ", ");
    }
    if (key != NULL) {
        add_string(&j->out, key);
        text_add(&j->out, ": ");
    }
    j->needs_comma = true;
}

void json_open(json *j, const char *key, char bracket) {
    begin_value(j, key);
    text_add(&j->out, "%c", bracket);
    j->needs_comma = false;
}

void json_close(json *j, char bracket) {
    text_add(&j->out, "%c", bracket);
    j->needs_comma = true;
}

void json_text(json *j, const char *key, const char *value) {
    begin_value(j, key);
    add_string(&j->out, value);
}

static bool is_utf8(const char *name) {
    const unsigned char *s = (const unsigned char *)name;
    while (*s != '\0' && utf8_length(s) > 0) {
        s += utf8_length(s);
    }
    return *s == '\0';
}

void json_name(json *j, const char *key, const char *name) {
    json_text(j, key, name);
    if (!is_utf8(name)) {
        text_add(&j->out, ", \"%s_hex\": \"", key);
        for (const unsigned char *s = (const unsigned char *)name; *s != '\0'; s++) {
            text_add(&j->out, "%02x", *s);
        }
        text_add_bytes(&j->out, "\"", 1);
    }
}

void json_count(json *j, const char *key, int64_t value) {
    begin_value(j, key);
    text_add(&j->out, "%lld", (long long)value);
}

void json_number(json *j, const char *key, double value) {
    begin_value(j, key);
    text_add(&j->out, "%s", isfinite(value) ? number_text(value).s : "null");
}

void json_bool(json *j, const char *key, bool value) {
    begin_value(j, key);
    text_add(&j->out, value ? "true" : "false");
}

void json_print(json *j) {
    puts(j->out.bytes);
    output_failed();
    text_free(&j->out);
}

bool json_find(const char *line, const char *key, double *value) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *at = strstr(line, quoted);
    if (at == NULL) {
        return false;
    }
    at += strlen(quoted);
    if (strncmp(at, "true", 4) == 0) {
        *value = 1;
        return true;
    }
    char *end;
    *value = strtod(at, &end);
    return end != at;
}
