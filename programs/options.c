/* One parser of command lines. Options are descriptors; the help is printed from the same ones, examples first. A wrong
 * command line is exit 2 with one sentence, never a screen of usage. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

static const option common_options[] = {
    {OPTION_SETTING, 0, "set", "NAME=VALUE", "a knob of the network (its `let`), repeatable",
     offsetof(common, settings), 0, 0},
    {OPTION_COUNT, 0, "seed", "S", "start of every random choice (1)", offsetof(common, seed), 0, 9e15},
    {OPTION_COUNT, 0, "threads", "T", "(all); results do not depend on it", offsetof(common, threads), 1, 1024},
    {OPTION_FLAG, 0, "json", NULL, "JSON on standard output", offsetof(common, json), 0, 0},
    {OPTION_FLAG, 'q', "quiet", NULL, "only the result", offsetof(common, quiet), 0, 0},
    {OPTION_CHOICE, 0, "color", "auto|always|never", "colours (auto: on a terminal without NO_COLOR)",
     offsetof(common, color), 0, 0},
    {OPTION_FLAG, 'h', "help", NULL, "this text", offsetof(common, help), 0, 0},
    {OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0},
};

/* ---- values ----------------------------------------------------------------------------------------------------- */

static bool word_is_in(const char *word, const char *choices) {
    size_t length = strlen(word);
    for (const char *at = choices; *at != '\0'; at += strcspn(at, "|"), at += *at == '|') {
        if (strcspn(at, "|") == length && strncmp(at, word, length) == 0) {
            return true;
        }
    }
    return false;
}

static int set_choice(const option *o, const char *value, const char **target) {
    if (!word_is_in(value, o->value)) {
        text list = {0};
        for (const char *c = o->value; *c != '\0'; c++) {
            text_add(&list, *c == '|' ? ", " : "%c", *c);
        }
        int status = refuse("--%s must be one of %s; found '%s'", o->name, list.bytes, value);
        text_free(&list);
        return status;
    }
    *target = value;
    return DONE;
}

/* A number with nothing behind it, or NAN. */
static double parse_number(const char *value) {
    char *end;
    errno = 0;
    double x = strtod(value, &end);
    return end == value || *end != '\0' || isspace((unsigned char)value[0]) || !isfinite(x) ? (double)NAN : x;
}

static int set_number(const option *o, const char *value, void *target) {
    double x = parse_number(value);
    bool is_whole = o->kind == OPTION_COUNT;
    if (!(x >= o->least && x <= o->most) || (is_whole && x != floor(x))) {
        return refuse("--%s must be a %snumber from %s to %s; found '%s'", o->name, is_whole ? "whole " : "",
                      number_text(o->least).s, is_whole ? count_text((int64_t)o->most).s : number_text(o->most).s,
                      value);
    }
    if (is_whole) {
        *(int64_t *)target = (int64_t)x;
    } else {
        *(double *)target = x;
    }
    return DONE;
}

static int set_share(const option *o, const char *value, double *target) {
    char digits[32];
    size_t length = strlen(value);
    bool is_percent = length > 1 && length < sizeof digits && value[length - 1] == '%';
    snprintf(digits, sizeof digits, "%.*s", (int)(length - is_percent), value);
    double x = strcmp(value, "none") == 0 ? 0 : parse_number(is_percent ? digits : value) / (is_percent ? 100 : 1);
    if (!(x >= 0 && x < 1) || (x == 0 && strcmp(value, "none") != 0)) {
        return refuse("--%s must be a share below 1, such as 0.1 or 10%%, or none; found '%s'", o->name, value);
    }
    *target = x;
    return DONE;
}

static int set_setting(const option *o, const char *value, text *target) {
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals == value || equals[1] == '\0') {
        return refuse("--%s takes NAME=VALUE, such as --%s classes=6; found '%s'", o->name, o->name, value);
    }
    text_add(target, target->length > 0 ? " %s" : "%s", value);
    return DONE;
}

static int set_value(const option *o, const char *value, void *arguments) {
    void *target = (char *)arguments + o->offset;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)target = true;
        return DONE;
    case OPTION_CHOICE:
        return set_choice(o, value, target);
    case OPTION_COUNT:
    case OPTION_NUMBER:
        return set_number(o, value, target);
    case OPTION_SHARE:
        return set_share(o, value, target);
    case OPTION_SETTING:
        return set_setting(o, value, target);
    case OPTION_TEXT:
        if (value[0] == '\0') {
            return refuse("--%s needs a value: --%s %s", o->name, o->name, o->value);
        }
        *(const char **)target = value;
        return DONE;
    case OPTION_END:
        break;
    }
    return refuse("--%s is not in this version%s%s", o->name, o->help != NULL ? ": " : "",
                  o->help != NULL ? o->help : "");
}

/* ---- the command line ------------------------------------------------------------------------------------------- */

static const option *find_option(const option *list, const char *name, size_t length, char letter) {
    for (; list->kind != OPTION_END; list++) {
        if (letter != 0 ? list->letter == letter
                        : strlen(list->name) == length && strncmp(list->name, name, length) == 0) {
            return list;
        }
    }
    return NULL;
}

static int refuse_option(const command *self, const char *argument) {
    const char *names[64];
    size_t count = 0;
    for (const option *o = self->options; o->kind != OPTION_END && count < COUNT_OF(names); o++) {
        names[count++] = o->name;
    }
    for (const option *o = common_options; o->kind != OPTION_END && count < COUNT_OF(names); o++) {
        names[count++] = o->name;
    }
    char word[32];
    size_t dashes = strspn(argument, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(argument + dashes, "="), argument + dashes);
    int nearest = nearest_word(word, names, count);
    int status = refuse("%s has no option '%.*s'", self->name, (int)strcspn(argument, "="), argument);
    if (nearest >= 0) {
        hint("did you mean --%s?", names[nearest]);
    } else {
        hint("%s %s --help shows what there is", program_name(), self->name);
    }
    return status;
}

/* One option at argv[*at]; moves on over its value. */
static int parse_option(const command *self, common *arguments, int count, char **argv, int *at) {
    const char *argument = argv[*at];
    bool is_long = argument[1] == '-';
    const char *name = argument + (is_long ? 2 : 1), *equals = is_long ? strchr(name, '=') : NULL;
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    char letter = is_long ? 0 : argument[1];
    bool is_letters = !is_long && argument[2] != '\0';
    const option *own = is_letters ? NULL : find_option(self->options, name, length, letter);
    const option *o = own != NULL || is_letters ? own : find_option(common_options, name, length, letter);
    if (o == NULL) {
        return refuse_option(self, argument);
    }
    const char *value = NULL;
    if (o->kind == OPTION_FLAG && equals != NULL) {
        return refuse("--%s takes no value", o->name);
    }
    if (o->kind != OPTION_FLAG) {
        if (equals == NULL && *at + 1 == count) {
            return refuse("--%s needs a value: --%s %s", o->name, o->name, o->value);
        }
        value = equals != NULL ? equals + 1 : argv[++*at];
    }
    if (own != NULL) {
        arguments->given |= UINT64_C(1) << (own - self->options);
    } else {
        arguments->given_common |= UINT64_C(1) << (o - common_options);
    }
    return set_value(o, value, arguments);
}

static int parse(const command *self, common *arguments, int count, char **argv) {
    bool only_items = false;
    for (int i = 0; i < count; i++) {
        if (!only_items && strcmp(argv[i], "--") == 0) {
            only_items = true;
        } else if (!only_items && argv[i][0] == '-' && argv[i][1] != '\0') {
            int status = parse_option(self, arguments, count, argv, &i);
            if (status != DONE) {
                return status;
            }
        } else {
            arguments->items[arguments->item_count++] = argv[i];
        }
    }
    if (arguments->help) {
        return DONE;
    }
    if (arguments->item_count < self->least_items) {
        int status = refuse("%s needs %s", self->name, self->items);
        hint("%s %.*s", program_name(), (int)strcspn(self->usage, "\n"), self->usage);
        return status;
    }
    if (arguments->item_count > self->most_items) {
        return refuse("%s takes %s; there is also '%s'", self->name, self->items, arguments->items[self->most_items]);
    }
    return DONE;
}

bool option_was_given(const command *self, const common *arguments, const char *name) {
    const option *own = find_option(self->options, name, strlen(name), 0);
    if (own != NULL) {
        return (arguments->given >> (own - self->options) & 1) != 0;
    }
    const option *shared = find_option(common_options, name, strlen(name), 0);
    return shared != NULL && (arguments->given_common >> (shared - common_options) & 1) != 0;
}

int command_run(const command *self, int count, char **argv) {
    common *arguments = take(NULL, self->arguments_size);
    memset(arguments, 0, self->arguments_size);
    if (self->defaults != NULL) {
        memcpy(arguments, self->defaults, self->arguments_size);
    }
    arguments->seed = 1;
    arguments->color = "auto";
    arguments->items = take(NULL, (size_t)(count + 1) * sizeof *arguments->items);
    arguments->words = argv;
    arguments->word_count = count;
    int status = parse(self, arguments, count, argv);
    if (status == DONE) {
        terminal_begin(program_name(), arguments->color);
        terminal_mode(arguments->json, arguments->quiet);
        if (arguments->help) {
            show_command_help(self, arguments->json);
        } else {
            status = self->run(arguments);
        }
    }
    text_free(&arguments->settings);
    free(arguments->items);
    free(arguments);
    return status;
}

strata_options runtime_options(const common *arguments) {
    return (strata_options){.threads = (int)arguments->threads};
}

/* ---- help ------------------------------------------------------------------------------------------------------- */

/* The part of a line before " | "; the whole line where there is none. */
static int first_half(const char *line, bool *has_second) {
    size_t length = strcspn(line, "\n");
    const char *bar = strstr(line, " | ");
    *has_second = bar != NULL && (size_t)(bar - line) < length;
    return *has_second ? (int)(bar - line) + 1 : (int)length;
}

/* "train NET | what for" lines, the second halves aligned. */
static void print_lines(FILE *to, const char *lines, const char *start) {
    int widest = 0;
    bool has_second;
    for (const char *at = lines; *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n') {
        int width = first_half(at, &has_second);
        widest = width > widest && has_second ? width : widest;
    }
    for (const char *at = lines; *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n') {
        int width = first_half(at, &has_second);
        if (has_second) {
            fprintf(to, "%s%-*.*s %.*s\n", start, widest, width, at, (int)strcspn(at + width + 2, "\n"),
                    at + width + 2);
        } else {
            fprintf(to, "%s%.*s\n", start, width, at);
        }
    }
}

static void print_options(FILE *to, const option *list) {
    for (; list->kind != OPTION_END; list++) {
        char letter[8] = "    ", name[64];
        if (list->letter != 0) {
            snprintf(letter, sizeof letter, "-%c, ", list->letter);
        }
        snprintf(name, sizeof name, "%s--%s%s%s", letter, list->name, list->value != NULL ? " " : "",
                 list->value != NULL ? list->value : "");
        if (strlen(name) > 26) {
            fprintf(to, "  %s\n  %-26s  %s\n", name, "", list->help);
        } else {
            fprintf(to, "  %-26s  %s\n", name, list->help);
        }
    }
}

void print_command_help(FILE *to, const command *self) {
    char start[600];
    fprintf(to, "%s\n\n", self->about);
    snprintf(start, sizeof start, "  %s ", program_name());
    print_lines(to, self->usage, start);
    fprintf(to, "\n");
    print_bold(to, "Examples");
    fprintf(to, "\n");
    print_lines(to, self->examples, start);
    fprintf(to, "\n");
    if (self->options->kind != OPTION_END) {
        print_bold(to, "Options");
        fprintf(to, "\n");
        print_options(to, self->options);
        fprintf(to, "\n");
    }
    print_bold(to, "On every command");
    fprintf(to, "\n");
    print_options(to, common_options);
}
