/* strata: the program. The table of commands and the way into them; each command is a file of its own. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

const command *const command_table[] = {
    &command_describe, &command_train, &command_finetune, &command_eval,    &command_predict,
    &command_data,     &command_bench, &command_compare,  &command_weights, &command_convert,
    &command_trace,    &command_diff,  &command_fmt,      &command_help,    NULL,
};

const command *find_command(const char *name) {
    for (const command *const *c = command_table; *c != NULL; c++) {
        if (strcmp((*c)->name, name) == 0) {
            return *c;
        }
    }
    return NULL;
}

/* With a standard stream closed, the next file opened would take its number and be written over. */
static void open_standard_streams(void) {
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) {
            _exit(FAILED);
        }
    }
}

static int refuse_command(const char *name) {
    const char *names[32];
    size_t count = 0;
    for (const command *const *c = command_table; *c != NULL; c++) {
        names[count++] = (*c)->name;
    }
    if (name[0] == '-') {
        int status = refuse("the command comes first, then its options; found '%s'", name);
        hint("%s --help lists the commands", program_name());
        return status;
    }
    static const char *const later[] = {"weights", "explain", "serve"};
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        if (strcmp(name, later[i]) == 0) {
            return refuse("the command '%s' is not in this version", name);
        }
    }
    int nearest = nearest_word(name, names, count), status = refuse("there is no command '%s'", name);
    if (nearest >= 0) {
        hint("did you mean %s %s?", program_name(), names[nearest]);
    } else {
        hint("%s --help lists the commands", program_name());
    }
    return status;
}

int main(int argc, char **argv) {
    open_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write that fails, and is said */
    terminal_begin(argc > 0 ? argv[0] : "strata", "auto");
    if (argc < 2) {
        print_overview(stderr);
        return MISUSED;
    }
    const char *first = argv[1];
    int status;
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        status = print_version();
    } else if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        print_overview(stdout);
        status = DONE;
    } else if (find_command(first) != NULL) {
        status = command_run(find_command(first), argc - 2, argv + 2);
    } else {
        status = refuse_command(first);
    }
    return finish_output(status);
}
