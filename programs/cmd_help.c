/* strata help: commands, layers, the zoo; and --version. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

typedef struct arguments {
    common common;
} arguments;

void print_overview(FILE *to) {
    fprintf(to, "strata: classic convolutional networks in C\n\n");
    for (const command *const *c = command_table; *c != NULL; c++) {
        fprintf(to, "  %-10s %s\n", (*c)->name, (*c)->summary);
    }
    fprintf(to, "\nTo begin\n");
    fprintf(to, "  %s describe lenet5\n", program_name());
    fprintf(to, "  %s train lenet5 --data fashion-mnist\n", program_name());
    fprintf(to, "\n  %s COMMAND --help has examples and every option\n", program_name());
    fprintf(to, "  %s help layers, help conv, help nets: layers, one layer, the built-in nets\n", program_name());
}

int print_version(void) {
    static const char *const sets[] = {"portable", "avx2", "avx512"};
    text list = {0};
    char best[32] = "";
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        strata_runtime *runtime;
        if (strata_runtime_create(&runtime, &(strata_options){.threads = 1, .isa = sets[i]}, NULL) == STRATA_OK) {
            text_add(&list, list.length > 0 ? ", %s" : "%s", sets[i]);
            snprintf(best, sizeof best, "%s", sets[i]);
            strata_runtime_free(runtime);
        }
    }
    printf("strata %s, numerical definitions %d\n", strata_version(), STRATA_NUMERICS);
    printf("kernels that run here: %s; STRATA_ISA=%s chooses one\n", list.length > 0 ? list.bytes : "none", best);
    printf("built with %s\n", strata_built_with());
    text_free(&list);
    return DONE;
}

static int print_zoo(bool as_json) {
    if (as_json) {
        json j = {0};
        json_open(&j, NULL, '[');
        for (size_t i = 0; i < strata_zoo_count(); i++) {
            json_open(&j, NULL, '{');
            json_text(&j, "name", strata_zoo_name(i));
            json_text(&j, "summary", strata_zoo_summary(i));
            json_close(&j, '}');
        }
        json_close(&j, ']');
        json_print(&j);
        return DONE;
    }
    table t = {.alignment = "ll", .column_count = 2};
    for (size_t i = 0; i < strata_zoo_count(); i++) {
        table_cell(&t, "%s", strata_zoo_name(i));
        table_cell(&t, "%s", strata_zoo_summary(i));
    }
    table_print(&t, "", false);
    print_note("\nA file of your own works wherever a name does: %s describe mine.net\n", program_name());
    return DONE;
}

/* A help text as it is, or {"topic", "text"}. */
static void show_text(const char *topic, const char *help, bool as_json) {
    if (!as_json) {
        fputs(help, stdout);
        return;
    }
    json j = {0};
    json_open(&j, NULL, '{');
    json_text(&j, "topic", topic);
    json_text(&j, "text", help);
    json_close(&j, '}');
    json_print(&j);
}

/* What is printed for people is caught for programs. `self` NULL: the overview. */
void show_command_help(const command *self, bool as_json) {
    char *bytes = NULL;
    size_t length = 0;
    FILE *to = as_json ? open_memstream(&bytes, &length) : stdout;
    if (to != NULL && self != NULL) {
        print_command_help(to, self);
    } else if (to != NULL) {
        print_overview(to);
    }
    if (as_json) {
        if (to == NULL || fclose(to) != 0) {
            exit(fail("out of memory"));
        }
        show_text(self != NULL ? self->name : "", bytes, true);
        free(bytes);
    }
}

/* A word of the language that is no layer, or a built-in network; false when `topic` is neither. */
static bool explain_word(const char *topic, bool as_json) {
    static const char *const words[] = {"include", "let",  "freeze", "block", "network", "side", "repeat", "if", "then",
                                        "else",    "take", "output", "and",   "or",      "not",  "yes",    "no"};
    text help = {0};
    for (size_t i = 0; i < COUNT_OF(words) && help.length == 0; i++) {
        if (strcmp(topic, words[i]) == 0) {
            text_add(&help, "%s is a word of the .net language, not a layer: docs/language.md explains it\n", topic);
        }
    }
    for (size_t i = 0; i < strata_zoo_count() && help.length == 0; i++) {
        if (strcmp(topic, strata_zoo_name(i)) == 0) {
            text_add(&help, "%s is a built-in network: %s describe %s\n", topic, program_name(), topic);
        }
    }
    bool is_known = help.length > 0;
    if (is_known) {
        show_text(topic, help.bytes, as_json);
    }
    text_free(&help);
    return is_known;
}

/* Not a command and not a layer: the nearest of all there is. */
static int refuse_topic(const char *topic, const strata_error *err) {
    const char *names[32] = {"layers", "nets", "augment"};
    size_t count = 3;
    for (const command *const *c = command_table; *c != NULL; c++) {
        names[count++] = (*c)->name;
    }
    int nearest = nearest_word(topic, names, count);
    int status = refuse("there is no help on '%s'", topic);
    if (nearest >= 0) {
        hint("did you mean %s help %s?", program_name(), names[nearest]);
    } else {
        hint("%s", err->hint[0] != '\0' ? err->hint
                                        : "topics are layers, nets, augment, the name of a layer or of a command");
    }
    return status;
}

static int run(void *all) {
    const arguments *a = all;
    bool as_json = a->common.json;
    if (a->common.item_count == 0) {
        show_command_help(NULL, as_json);
        return DONE;
    }
    const char *topic = a->common.items[0];
    if (strcmp(topic, "nets") == 0) {
        return print_zoo(as_json);
    }
    if (find_command(topic) != NULL) {
        show_command_help(find_command(topic), as_json);
        return DONE;
    }
    strata_error err;
    char *help;
    if (strcmp(topic, "augment") == 0) {
        if (strata_help_augment(&help, &err) != STRATA_OK) {
            return report(&err);
        }
        show_text(topic, help, as_json);
        strata_text_free(help);
        return DONE;
    }
    if (strata_help_layer(&help, strcmp(topic, "layers") == 0 ? NULL : topic, &err) == STRATA_OK) {
        show_text(topic, help, as_json);
        strata_text_free(help);
        return DONE;
    }
    if (err.status != STRATA_MISSING) {
        return report(&err);
    }
    return explain_word(topic, as_json) ? DONE : refuse_topic(topic, &err);
}

static const option options[] = {{OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0}};

const command command_help = {
    .name = "help",
    .summary = "layers, one layer, the built-in networks, a command",
    .usage = "help [layers | nets | augment | LAYER | COMMAND]",
    .about = "Explains the layers of the .net language, the built-in networks, the words of\n"
             "--augment, the commands.",
    .examples = "help layers | every layer, a line each\n"
                "help conv | one layer: parameters, shapes, examples\n"
                "help nets | the networks that are built in\n"
                "help augment | what --augment can do to pictures\n"
                "help train | a command",
    .options = options,
    .arguments_size = sizeof(arguments),
    .least_items = 0,
    .most_items = 1,
    .items = "one topic",
    .run = run,
};
