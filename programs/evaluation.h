/* evaluation: what `strata eval` finds out, for the files that show it: evaluation_text.c, evaluation_json.c,
 * evaluation_mistakes.c. */
#ifndef EVALUATION_H
#define EVALUATION_H

#include "program.h"

typedef struct eval_arguments {
    common common;
    const char *data, *weights, *part, *classes, *crops, *drawing, *mistakes, *preprocess;
    int64_t batch, top;
    bool flip, skip_unknown, compare, matrix, strict, skip_self_test;
} eval_arguments;

/* One of the models that were asked. */
typedef struct member {
    const char *what;                  /* as the command line names it */
    strata_predictions *answers, *val; /* val NULL: not asked, or it has none */
    strata_metrics metrics;
    double seconds;
} member;

typedef struct evaluation {
    const eval_arguments *a;
    const char *part_name;
    strata_dataset *data;
    strata_part part;
    strata_data_options data_options;
    char *data_path;
    char net[64]; /* name of the first model's network */
    bool is_run;  /* the first is a run's folder, asked about its own data: it gets the drawing */
    strata_class_match match;
    member *members;
    size_t count;
    strata_predictions *answers, *val; /* of all members together; those of the only member are lent */
    strata_metrics metrics;
    int64_t *confusion; /* [true][taken for] */
    size_t class_count;
    bool val_is_mixed; /* members held different pictures out: none is val for all */
    bool has_temperature;
    double temperature, calibrated_error; /* fitted on val; the calibration error at that temperature */
    strata_pairing pairing;               /* with --compare */
    char *drawing;                        /* where the confusion matrix was drawn, or NULL */
    double seconds;
} evaluation;

/* Classes from the one that is right least often on; those without pictures last. */
typedef struct class_row {
    size_t index;
    int64_t count, correct;
} class_row;
class_row *class_rows(const evaluation *e); /* [class_count]; the caller frees it */

void show_evaluation(const evaluation *e);
void show_comparison(const evaluation *e);
void print_evaluation_json(const evaluation *e);
/* The worst mistakes as a contact sheet. Exit status. */
int draw_mistakes(const evaluation *e);

#endif
