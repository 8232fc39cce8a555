/* description: what `strata describe` finds out, for the files that show it: cmd_describe.c, description_table.c,
 * description_json.c. */
#ifndef DESCRIPTION_H
#define DESCRIPTION_H

#include "program.h"

typedef struct describe_arguments {
    common common;
    bool train, plan, unfold;
    int64_t batch, accumulate;
    double ema;
    const char *optimizer, *freeze, *svg;
} describe_arguments;

typedef struct subject_net {
    strata_runtime *runtime;
    strata_net *net;
    strata_net_info info;
    strata_memory infer, train;
} subject_net;

/* The layers, a line each; blocks of a deep net that are alike are folded into one. True: something was folded. */
bool print_layers(const subject_net *s, const describe_arguments *a);
/* Of a small net, what each branch before a concat costs. */
void print_branches(const subject_net *s);
/* `plan`: its text, or NULL. */
void print_description_json(const subject_net *s, const describe_arguments *a, const char *plan);

#endif
