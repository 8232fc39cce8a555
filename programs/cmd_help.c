/* strata help: commands, layers, the zoo; and --version. */
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

static int print_layer(const char *name) {
    strata_error err;
    char *help;
    if (strata_help_layer(&help, name, &err) != STRATA_OK) {
        return report(&err);
    }
    fputs(help, stdout);
    strata_text_free(help);
    return DONE;
}

/* Not a command and not a layer: the nearest of all there is. */
static int refuse_topic(const char *topic, const strata_error *err) {
    const char *names[32] = {"layers", "nets"};
    size_t count = 2;
    for (const command *const *c = command_table; *c != NULL; c++) {
        names[count++] = (*c)->name;
    }
    int nearest = nearest_word(topic, names, count);
    int status = refuse("there is no help on '%s'", topic);
    if (nearest >= 0) {
        hint("did you mean %s help %s?", program_name(), names[nearest]);
    } else {
        hint("%s", err->hint[0] != '\0' ? err->hint : "topics are layers, nets, the name of a layer or of a command");
    }
    return status;
}

static int run(void *all) {
    const arguments *a = all;
    if (a->common.item_count == 0) {
        print_overview(stdout);
        return DONE;
    }
    const char *topic = a->common.items[0];
    if (strcmp(topic, "layers") == 0) {
        return print_layer(NULL);
    }
    if (strcmp(topic, "nets") == 0) {
        return print_zoo(a->common.json);
    }
    if (find_command(topic) != NULL) {
        print_command_help(find_command(topic));
        return DONE;
    }
    strata_error err;
    char *help;
    if (strata_help_layer(&help, topic, &err) == STRATA_OK) {
        fputs(help, stdout);
        strata_text_free(help);
        return DONE;
    }
    return err.status == STRATA_MISSING ? refuse_topic(topic, &err) : report(&err);
}

static const option options[] = {{OPTION_END, 0, NULL, NULL, NULL, 0, 0, 0}};

const command command_help = {
    .name = "help",
    .summary = "layers, one layer, the built-in networks, a command",
    .usage = "help [layers | nets | LAYER | COMMAND]",
    .about = "Explains the layers of the .net language, the built-in networks, the commands.",
    .examples = "help layers | every layer, a line each\n"
                "help conv | one layer: parameters, shapes, examples\n"
                "help nets | the networks that are built in\n"
                "help train | a command",
    .options = options,
    .arguments_size = sizeof(arguments),
    .least_items = 0,
    .most_items = 1,
    .items = "one topic",
    .run = run,
};
