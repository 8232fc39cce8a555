/* select.c: which set of kernels runs. The only place that asks the processor. */
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

static const st_kernels *const tables[] = {
#ifdef ST_ISA_portable
    &st_kernels_portable,
#endif
#ifdef ST_ISA_avx2
    &st_kernels_avx2,
#endif
#ifdef ST_ISA_avx512
    &st_kernels_avx512,
#endif
    NULL,
};

const st_kernels *st_kernels_at(size_t index) {
    return index < ST_COUNT_OF(tables) ? tables[index] : NULL;
}

bool st_kernels_runs(const st_kernels *kernels) {
    /* The compiler's tests include whether the system saves the registers (XGETBV). */
#ifdef ST_ISA_avx2
    if (kernels == &st_kernels_avx2) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
#endif
#ifdef ST_ISA_avx512
    if (kernels == &st_kernels_avx512) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
#endif
    return kernels == tables[0];
}

static strata_status fail_unknown(const char *name, strata_error *err) {
    st_text known = {0};
    for (size_t i = 0; tables[i] != NULL; i++) {
        st_text_add(&known, i == 0 ? "%s" : ", %s", tables[i]->name);
    }
    strata_status status = st_fail(err, STRATA_INVALID, "no set of kernels is called '%s': this build has %s", name,
                                   known.failed ? "(out of memory)" : known.bytes);
    st_text_free(&known);
    return status;
}

strata_status st_kernels_select(const st_kernels **out, const char *name, strata_error *err) {
    *out = NULL;
    const char *asked = name != NULL ? name : getenv("STRATA_ISA");
    if (asked == NULL || asked[0] == '\0') {
        for (size_t i = 0; tables[i] != NULL; i++) {
            *out = st_kernels_runs(tables[i]) ? tables[i] : *out;
        }
        return STRATA_OK;
    }
    for (size_t i = 0; tables[i] != NULL; i++) {
        if (strcmp(tables[i]->name, asked) == 0) {
            ST_FAIL_IF(!st_kernels_runs(tables[i]), err, STRATA_UNSUPPORTED, "this processor does not run '%s' (%s)",
                       asked, tables[i]->text);
            *out = tables[i];
            return STRATA_OK;
        }
    }
    static const char *const built_elsewhere[] = {"avx2", "avx512"};
    for (size_t i = 0; i < ST_COUNT_OF(built_elsewhere); i++) {
        ST_FAIL_IF(strcmp(built_elsewhere[i], asked) == 0, err, STRATA_UNSUPPORTED,
                   "this build has no kernels for '%s'", asked);
    }
    return fail_unknown(asked, err);
}
