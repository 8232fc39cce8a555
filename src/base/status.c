/* Errors: filling and completing a strata_error. Every text that enters one is made printable here, so that bytes from
 * a file never reach a terminal as commands. Not the place for what an error says: that is decided where it is found.
 */
#include "base/base.h"

#include <string.h>

/* printf, made printable; too long is cut. */
static void format_into(char *out, size_t capacity, const char *format, va_list arguments) {
    char raw[1024];
    int length = st_text_print(raw, sizeof raw, format, arguments);
    if (length < 0) {
        length = 0;
    }
    st_text_printable(out, capacity, raw, (size_t)length < sizeof raw ? (size_t)length : sizeof raw - 1);
}

static void begin_error(strata_error *err, strata_status status) {
    memset(err, 0, sizeof *err);
    err->status = status;
}

strata_status st_fail(strata_error *err, strata_status status, const char *format, ...) {
    if (err != NULL) {
        char message[sizeof err->message];
        va_list arguments;
        va_start(arguments, format);
        format_into(message, sizeof message, format, arguments);
        va_end(arguments);
        begin_error(err, status);
        memcpy(err->message, message, sizeof message);
    }
    return status;
}

strata_status st_fail_file(strata_error *err, strata_status status, const char *file, const char *format, ...) {
    if (err != NULL) {
        char message[sizeof err->message];
        char name[sizeof err->file];
        va_list arguments;
        va_start(arguments, format);
        format_into(message, sizeof message, format, arguments);
        va_end(arguments);
        st_text_printable(name, sizeof name, file, strlen(file));
        begin_error(err, status);
        memcpy(err->message, message, sizeof message);
        memcpy(err->file, name, sizeof name);
    }
    return status;
}

void st_error_hint(strata_error *err, const char *format, ...) {
    if (err != NULL) {
        va_list arguments;
        va_start(arguments, format);
        format_into(err->hint, sizeof err->hint, format, arguments);
        va_end(arguments);
    }
}

void st_error_file(strata_error *err, const char *file) {
    if (err != NULL && err->file[0] == '\0') {
        st_text_printable(err->file, sizeof err->file, file, strlen(file));
    }
}

void st_error_prepend(strata_error *err, const char *format, ...) {
    if (err != NULL) {
        char joined[2 * sizeof err->message];
        va_list arguments;
        va_start(arguments, format);
        format_into(joined, sizeof err->message, format, arguments);
        va_end(arguments);
        size_t length = strlen(joined);
        memcpy(joined + length, err->message, strnlen(err->message, sizeof err->message - 1) + 1);
        joined[sizeof joined - 1] = '\0';
        st_text_printable(err->message, sizeof err->message, joined, strlen(joined));
    }
}

const char *strata_status_name(strata_status status) {
    static const char *const names[] = {"ok",      "invalid",     "syntax", "shape", "format",
                                        "missing", "unsupported", "memory", "io",    "cancelled"};
    return (size_t)status < ST_COUNT_OF(names) ? names[status] : "unknown";
}

const char *strata_version(void) {
    return STRATA_VERSION;
}
