/* A residual block that computes nothing hands its input on, bit for bit; a plain one hands on nothing. That is why 152
 * layers with shortcuts can begin to learn: at first they are only as deep as they need to be. Prints what ten blocks
 * make of the probabilities of a small net, with all scales of the blocks' last batch norms zero.
 *
 *     cc residual_identity.c $(pkg-config --cflags --libs strata) -o residual_identity && ./residual_identity */
#include <stdio.h>
#include <stdlib.h>
#include <strata.h>
#include <string.h>

enum { SIDE = 16, CHANNELS = 3, CLASSES = 5 };

static const char text[] = "include \"blocks/residual.net\"\n"
                           "let depth = 10\n"
                           "network stack {\n"
                           "    input 16x16x3\n"
                           "    stem: conv 3x3 8 pad=1, relu\n"
                           "    body: { repeat depth { basic 8 } }\n"
                           "    avgpool global, fc 5\n"
                           "    output logits loss=cross_entropy\n"
                           "}\n";

/* The probabilities that the net gives to one picture, with weights drawn from the same seed each time. */
static strata_status ask(float *shares, strata_runtime *runtime, const char *settings, const unsigned char *picture,
                         strata_error *err) {
    strata_net *net = NULL;
    strata_model *model = NULL;
    strata_shape shape = {.height = SIDE, .width = SIDE, .channels = CHANNELS};
    strata_status status = strata_net_parse(&net, text, strlen(text), settings, err);
    if (status == STRATA_OK) {
        status = strata_model_build(&model, runtime, net, &(strata_build_options){.batch = 1, .seed = 1}, err);
    }
    if (status == STRATA_OK) {
        status = strata_model_infer(model, picture, 1, shape, shares, err);
    }
    strata_model_free(model);
    strata_net_free(net);
    return status;
}

int main(void) {
    static const struct {
        const char *name, *settings;
    } nets[] = {{"no blocks", "depth=0"},
                {"10 residual blocks", "zero_init_residual=yes"},
                {"10 plain blocks", "zero_init_residual=yes residual=no"}};
    unsigned char picture[SIDE * SIDE * CHANNELS];
    float shares[3][CLASSES];
    strata_runtime *runtime = NULL;
    strata_error err = {0};
    for (size_t i = 0; i < sizeof picture; i++) {
        picture[i] = (unsigned char)(i * i % 251);
    }
    strata_status status = strata_runtime_create(&runtime, NULL, &err);
    for (size_t n = 0; n < 3 && status == STRATA_OK; n++) {
        status = ask(shares[n], runtime, nets[n].settings, picture, &err);
        for (size_t i = 0; i < CLASSES && status == STRATA_OK; i++) {
            printf("%s%.9g", i == 0 ? "" : "  ", (double)shares[n][i]);
        }
        const unsigned char *first = (const unsigned char *)shares[0], *here = (const unsigned char *)shares[n];
        bool same = n > 0 && memcmp(first, here, sizeof shares[0]) == 0;
        printf("   %s%s\n", nets[n].name, same ? ": the same bits" : "");
    }
    strata_runtime_free(runtime);
    if (status != STRATA_OK) {
        fprintf(stderr, "%s\n", err.message);
    }
    return status == STRATA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
