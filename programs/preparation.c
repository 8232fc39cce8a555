/* How pictures are prepared for weights from a file: as the file says, else as its publisher said. Nobody guesses for a
 * stranger's: a wrong guess costs accuracy in silence. */
#include <stdio.h>
#include <string.h>

#include "program.h"

int preparation_set(strata_net **net, const char *words) {
    strata_error err;
    strata_net *prepared = NULL;
    if (strata_net_preprocess(&prepared, *net, words, &err) != STRATA_OK) {
        return report(&err);
    }
    strata_net_free(*net);
    *net = prepared;
    return DONE;
}

bool preparation_is_said(const strata_weights_info *info) {
    return info->has_preparation || info->preprocess[0] != '\0';
}

int preparation_choose(strata_net **net, const char *words, const strata_weights *weights, const char *path) {
    strata_weights_info info;
    strata_weights_info_get(weights, &info);
    if (preparation_is_said(&info) && strcmp(words, info.preprocess) != 0) {
        int status =
            refuse("%s says how its pictures were prepared: --preprocess would contradict it", safe_text(path).s);
        hint("%s convert writes a file with another preparation", program_name());
        return status;
    }
    return preparation_set(net, words);
}

/* Words that came with the weights. A net that these do not fit is no matter of preparation: loading them says so. */
static int set_for(strata_net **net, const char *words, const strata_weights *weights) {
    strata_error err;
    strata_net *prepared = NULL;
    strata_fit fit = {0};
    if (strata_net_preprocess(&prepared, *net, words, &err) == STRATA_OK) {
        strata_net_free(*net);
        *net = prepared;
        return DONE;
    }
    bool fits = strata_weights_fit(&fit, weights, *net, NULL) == STRATA_OK && fit.fits;
    strata_fit_free(&fit);
    return fits ? report(&err) : DONE;
}

int preparation_take(bool *is_known, strata_net **net, const strata_weights *weights, const char *path,
                     const common *arguments) {
    strata_error err;
    strata_weights_info info;
    strata_weights_publication known;
    strata_weights_info_get(weights, &info);
    *is_known = true;
    if (info.has_preparation) { /* loading the weights takes it */
        return DONE;
    }
    if (info.preprocess[0] != '\0') {
        return set_for(net, info.preprocess, weights);
    }
    if (strata_weights_publication_get(&known, weights, &err) != STRATA_OK) {
        return report(&err);
    }
    *is_known = known.preprocess[0] != '\0';
    if (!*is_known) {
        return DONE;
    }
    if (!arguments->quiet) {
        remark("%s was published by %s: pictures are prepared as theirs, --preprocess \"%s\"", safe_text(path).s,
               known.by, known.preprocess);
    }
    return set_for(net, known.preprocess, weights);
}

int preparation_refuse(const strata_net *net, const char *weights, const common *arguments) {
    strata_net_info about;
    text shown = {0};
    int status = fail("%s does not say how its pictures were prepared", safe_text(weights).s);
    if (arguments->quiet) {
        return status;
    }
    fputs("  most PyTorch weights:   --preprocess torchvision   (RGB, 0..1, minus mean, by deviation;\n"
          "                          shorter side to 8/7 of the input's, the centre)\n"
          "  from Caffe:             --preprocess caffe         (BGR, 0..255, minus 104 117 123)\n"
          "  plain 0..1:             --preprocess unit\n"
          "  any other:              --preprocess \"mean=[0.1307] std=[0.3081]\"   (strata help input)\n",
          stderr);
    strata_net_info_get(net, false, &about);
    if (strata_net_is_prepared(net)) {
        text_add(&shown, "the zoo's %s:", about.name);
        fprintf(stderr, "  %-23s --preprocess \"%s\"\n", shown.bytes, about.preparation);
        shown.length = 0;
    }
    text_add(&shown, "%s", weights[0] == '-' ? "./" : "");
    text_add_shell(&shown, weights);
    fprintf(
        stderr,
        "next:  %s convert %s prepared.safetensors --preprocess torchvision     writes it into a file, once for all\n",
        program_name(), shown.bytes);
    text_free(&shown);
    return status;
}
