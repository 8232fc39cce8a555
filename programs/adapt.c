/* The weights that fine-tuning begins with: those of a file, but for a head of other classes, which begins anew. */
#include <stdlib.h>
#include <string.h>

#include "program.h"

strata_status adapt_weights(char **replaced, const training *t, strata_error *err) {
    size_t count = strata_dataset_class_count(t->data);
    const char **names = take(NULL, (count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = strata_dataset_class(t->data, i);
    }
    strata_status status = strata_model_adapt(replaced, t->model, t->plan->weights, names, count, err);
    free(names);
    return status;
}

/* Layers ("classifier.1") of the tensors that the file did not give and that begin so, one after the other. */
static void add_layers(text *line, const char *replaced, const char *how) {
    char last[256] = "";
    for (const char *at = replaced; *at != '\0';) {
        size_t whole = strcspn(at, " "), length = whole;
        while (length > 0 && at[length - 1] != '.') {
            length--;
        }
        length = length > 0 ? length - 1 : whole;
        bool is_so = strncmp(at + whole + (at[whole] == ' '), how, strlen(how)) == 0;
        if (is_so && length < sizeof last && (strncmp(at, last, length) != 0 || last[length] != '\0')) {
            snprintf(last, sizeof last, "%.*s", (int)length, at);
            text_add(line, "%s%s", line->length > 0 ? ", " : "", safe_text(last).s);
        }
        at += strcspn(at, "\n");
        at += at[0] != '\0';
    }
}

static void print_replaced(const char *replaced) {
    text zeros = {0}, drawn = {0};
    add_layers(&zeros, replaced, "zeros");
    add_layers(&drawn, replaced, "drawn");
    if (zeros.length > 0) {
        print_fact("new", "%s: begins at zero, for these classes", zeros.bytes);
    }
    if (drawn.length > 0) {
        print_fact("new", "%s: drawn from the seed, for these classes", drawn.bytes);
    }
    if (zeros.length == 0 && drawn.length == 0) {
        print_fact("new", "nothing: all weights are taken, the last layer with them");
    }
    text_free(&zeros);
    text_free(&drawn);
}

/* Heads that only training has are in no file of a net that was saved for inference. */
static void print_side_heads(const training *t) {
    strata_net_info whole, inference;
    strata_net_info_get(t->net, true, &whole);
    strata_net_info_get(t->net, false, &inference);
    if (whole.parameters > inference.parameters && strcmp(t->plan->train, "head") != 0) {
        print_fact("", "side heads of training: drawn from the seed, %s numbers more",
                   count_text(whole.parameters - inference.parameters).s);
    }
}

int adapt_load(training *t) {
    strata_error err;
    if (adapt_weights(&t->replaced, t, &err) != STRATA_OK) {
        return report(&err);
    }
    print_replaced(t->replaced);
    print_side_heads(t);
    return DONE;
}
