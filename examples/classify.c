/* Loads a checkpoint and says what it sees in one picture. Against the installed library:
 *
 *     cc classify.c $(pkg-config --cflags --libs strata) -o classify
 *     ./classify runs/demo/best.safetensors picture.pgm */
#include <stdio.h>
#include <stdlib.h>
#include <strata.h>

int main(int argc, char **argv) {
    strata_error err = {0};
    strata_runtime *runtime = NULL;
    strata_model *model = NULL;
    strata_picture picture = {0};
    float *share = NULL;
    int status = EXIT_FAILURE;
    if (argc == 3 && strata_runtime_create(&runtime, NULL, &err) == STRATA_OK &&
        strata_model_open(&model, runtime, argv[1], &(strata_build_options){.batch = 1}, &err) == STRATA_OK &&
        strata_picture_open(&picture, argv[2], &err) == STRATA_OK &&
        (share = calloc(strata_model_class_count(model), sizeof *share)) != NULL &&
        strata_model_infer(model, picture.pixels, 1, picture.shape, share, &err) == STRATA_OK) {
        for (size_t i = 0; i < strata_model_class_count(model); i++) {
            printf("%5.1f%%  %s\n", 100.0 * (double)share[i], strata_model_class(model, i));
        }
        status = EXIT_SUCCESS;
    } else {
        fprintf(stderr, "%s\n", argc == 3 ? err.message : "usage: classify CHECKPOINT PICTURE");
    }
    free(share);
    strata_picture_free(&picture);
    strata_model_free(model);
    strata_runtime_free(runtime);
    return status;
}
