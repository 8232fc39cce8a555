/* What the tests that build whole models share. */
#ifndef LAB_H
#define LAB_H

#include "kernels/kernels.h"

static inline void must(strata_status status, const strata_error *err) {
    if (status != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err->file, err->line, err->column, err->message);
    }
}

/* The fastest set of kernels that runs here; all give the same bits. */
static inline const st_kernels *best_kernels(void) {
    const st_kernels *best = NULL;
    for (size_t i = 0; st_kernels_at(i) != NULL; i++) {
        best = st_kernels_runs(st_kernels_at(i)) ? st_kernels_at(i) : best;
    }
    return best;
}

#endif
