/* help: the table of layers as a person reads it: all of them a line each, or one in full. Everything comes from the
 * layer's descriptor, so a new layer documents itself. */
#include <string.h>

#include "graph/build.h"

enum { TABLE_COLUMN = 26 }; /* of the summaries, where the usage is not longer */

/* ---- parts ---- */

static void add_positionals(st_text *text, const st_op *op) {
    for (int i = 0; i < ST_OP_PARAMS && op->params[i].name != NULL; i++) {
        const st_param_spec *spec = &op->params[i];
        if (spec->is_positional) {
            st_text_add(text, spec->standard == NULL ? " %s" : " [%s]", spec->name);
        }
    }
}

/* "conv kernel filters", "add { | ... | ... }"; of a loss how it is asked for. */
static void add_usage(st_text *text, const st_op *op, bool with_keys) {
    bool has_keys = false;
    if ((op->traits & ST_OP_IS_LOSS) != 0) {
        st_text_add(text, "output NAME loss=%s", op->name);
        return;
    }
    st_text_add(text, "%s", op->name);
    add_positionals(text, op);
    for (int i = 0; i < ST_OP_PARAMS && op->params[i].name != NULL && with_keys; i++) {
        has_keys = has_keys || !op->params[i].is_positional;
    }
    st_text_add(text, has_keys ? " [key=value ...]" : "");
    st_text_add(text, (op->traits & ST_OP_IS_MERGE) != 0 ? " { | ... | ... }" : "");
}

static void add_words(st_text *text, const char *words) {
    for (const char *at = words; *at != '\0'; at++) {
        st_text_add_bytes(text, *at == '|' ? ", " : at, *at == '|' ? 2 : 1);
    }
}

/* "1x1 to 255x255" would say no more than "1 to 255". */
static void add_range(st_text *text, const st_param_spec *spec) {
    if (spec->kind == ST_PARAM_FLAG) {
        st_text_add(text, "yes or no");
        return;
    }
    if (spec->kind == ST_PARAM_CHOICE) {
        add_words(text, spec->words);
        return;
    }
    if (spec->kind == ST_PARAM_TEXT) {
        st_text_add(text, "text in quotes");
        return;
    }
    st_lang_print_number(text, spec->minimum);
    st_text_add(text, spec->maximum < 1e15 ? " to " : " or more");
    if (spec->maximum < 1e15) {
        st_lang_print_number(text, spec->maximum);
    }
    if (spec->words != NULL) {
        st_text_add(text, ", or ");
        add_words(text, spec->words);
    }
}

static size_t longest_param(const st_op *op) {
    size_t longest = 0;
    for (int i = 0; i < ST_OP_PARAMS && op->params[i].name != NULL; i++) {
        size_t length = strlen(op->params[i].name);
        longest = length > longest ? length : longest;
    }
    return longest;
}

static void add_param(st_text *text, const st_param_spec *spec, size_t column) {
    st_text_add(text, "  %s", spec->name);
    st_text_pad(text, column);
    st_text_add(text, "%s\n", spec->meaning);
    st_text_pad(text, column);
    add_range(text, spec);
    if (spec->standard == NULL) {
        st_text_add(text, "; required\n");
    } else if (strcmp(spec->standard, "[]") == 0) {
        st_text_add(text, "; default none\n");
    } else {
        st_text_add(text, "; default %s\n", spec->standard);
    }
}

/* Lines of `lines`, each behind `indent` spaces. */
static void add_lines(st_text *text, const char *lines, size_t indent) {
    while (*lines != '\0') {
        size_t length = strcspn(lines, "\n");
        st_text_pad(text, indent);
        st_text_add_bytes(text, lines, length);
        st_text_add(text, "\n");
        lines += length + (lines[length] == '\n');
    }
}

/* ---- one, all ---- */

static void add_op(st_text *text, const st_op *op) {
    st_text_add(text, "%s: %s\n\n    ", op->name, op->summary);
    add_usage(text, op, true);
    st_text_add(text, "\n");
    size_t column = longest_param(op) + 4;
    st_text_add(text, op->params[0].name == NULL ? "" : "\n");
    for (int i = 0; i < ST_OP_PARAMS && op->params[i].name != NULL; i++) {
        add_param(text, &op->params[i], column);
    }
    st_text_add(text, op->state[0].name == NULL ? "" : "\nTensors:");
    for (int i = 0; i < ST_OP_STATES && op->state[i].name != NULL; i++) {
        st_text_add(text, "%s %s%s", i == 0 ? "" : ",", op->state[i].name,
                    op->state[i].is_trained ? "" : " (statistic)");
    }
    st_text_add(text, op->state[0].name == NULL ? "" : "\n");
    if (op->notes != NULL) {
        st_text_add(text, "\n");
        add_lines(text, op->notes, 0);
    }
    if (op->source != NULL) {
        st_text_add(text, "\nSource: ");
        add_lines(text, op->source, 8);
    }
    if (op->examples != NULL) {
        st_text_add(text, "\nExamples:\n");
        add_lines(text, op->examples, 4);
    }
}

static void add_table(st_text *text) {
    for (int i = 0; st_layer_table[i] != NULL; i++) {
        add_usage(text, st_layer_table[i], false);
        st_text_add(text, "  ");
        st_text_pad(text, TABLE_COLUMN);
        st_text_add(text, "%s\n", st_layer_table[i]->summary);
    }
}

strata_status st_graph_help(st_text *text, const char *name, strata_error *err) {
    if (name == NULL) {
        add_table(text);
        return text->failed ? st_fail(err, STRATA_MEMORY, "not enough memory") : STRATA_OK;
    }
    const st_op *op = st_graph_find_op(name);
    if (op == NULL) {
        const char *names[256];
        size_t count = 0;
        for (; count < ST_COUNT_OF(names) && st_layer_table[count] != NULL; count++) {
            names[count] = st_layer_table[count]->name;
        }
        st_fail(err, STRATA_MISSING, "there is no layer named '%s'", name);
        const char *nearest = st_text_nearest(name, names, count);
        if (nearest != NULL) {
            st_error_hint(err, "did you mean '%s'?", nearest);
        } else {
            st_error_hint(err, "strata help layers lists them all");
        }
        return STRATA_MISSING;
    }
    add_op(text, op);
    return text->failed ? st_fail(err, STRATA_MEMORY, "not enough memory") : STRATA_OK;
}
