/* Weights from a file into a model, from a warm cache: reading, the hash of what was read, and the look for numbers
 * that are none. Without FILE a checkpoint of the net is made and removed again.
 *
 *   bench_load [NET [FILE]]      (resnet152) */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"

enum { ROUNDS = 7 };

static strata_status measure(strata_model *model, const char *name, const char *file, strata_error *err) {
    double best = 0.0;
    for (int i = 0; i < ROUNDS; i++) {
        double begun = st_clock_s();
        strata_status status = strata_model_load(model, file, err);
        double seconds = st_clock_s() - begun;
        if (status != STRATA_OK) {
            return status;
        }
        best = i == 0 || seconds < best ? seconds : best;
    }
    FILE *opened = fopen(file, "rb");
    double bytes = opened != NULL && fseek(opened, 0, SEEK_END) == 0 ? (double)ftell(opened) : 0.0;
    if (opened != NULL) {
        (void)fclose(opened);
    }
    printf("%s: %.0f MB in %.3f s, %.2f GB/s, the best of %d\n", name, bytes / 1e6, best, bytes / 1e9 / best, ROUNDS);
    return STRATA_OK;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "resnet152";
    char own[] = "/tmp/bench_load_XXXXXX";
    strata_error err = {0};
    strata_runtime *runtime = NULL;
    strata_net *net = NULL;
    strata_model *model = NULL;
    int descriptor = argc > 2 ? -1 : mkstemp(own);
    const char *file = argc > 2 ? argv[2] : own;
    if (argc <= 2 && descriptor < 0) {
        perror(own);
        return EXIT_FAILURE;
    }
    strata_build_options options = {.batch = 1, .skip_self_test = true};
    strata_status status = strata_runtime_create(&runtime, NULL, &err);
    status = status == STRATA_OK ? strata_net_load(&net, name, NULL, &err) : status;
    status = status == STRATA_OK ? strata_model_build(&model, runtime, net, &options, &err) : status;
    if (status == STRATA_OK && argc <= 2) {
        status = strata_model_save(model, file, &err);
    }
    status = status == STRATA_OK ? measure(model, name, file, &err) : status;
    if (status != STRATA_OK) {
        fprintf(stderr, "bench_load: %s\n", err.message);
    }
    if (descriptor >= 0) {
        (void)close(descriptor);
        (void)unlink(own);
    }
    strata_model_free(model);
    strata_net_free(net);
    strata_runtime_free(runtime);
    return status == STRATA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
