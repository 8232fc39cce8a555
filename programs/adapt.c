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

/* The tensors that the file did not give, as layers: "classifier.1". */
static void print_replaced(const char *replaced) {
    text line = {0};
    char last[256] = "";
    for (const char *at = replaced; *at != '\0';) {
        size_t whole = strcspn(at, "\n"), length = whole;
        while (length > 0 && at[length - 1] != '.') {
            length--;
        }
        length = length > 0 ? length - 1 : whole;
        if (length < sizeof last && (strncmp(at, last, length) != 0 || last[length] != '\0')) {
            snprintf(last, sizeof last, "%.*s", (int)length, at);
            text_add(&line, "%s%s", line.length > 0 ? ", " : "", safe_text(last).s);
        }
        at += whole + (at[whole] != '\0');
    }
    if (line.length > 0) {
        print_fact("new", "%s: begins at zero, for these classes", line.bytes);
    } else {
        print_fact("new", "nothing: all weights are taken, the last layer with them");
    }
    text_free(&line);
}

int adapt_load(training *t) {
    strata_error err;
    if (adapt_weights(&t->replaced, t, &err) != STRATA_OK) {
        return report(&err);
    }
    print_replaced(t->replaced);
    return DONE;
}
