/* api: include/strata.h over everything above. The objects' insides are in train/train.h and data/data.h. */
#ifndef ST_API_H
#define ST_API_H

#include "train/train.h"

enum { ST_API_BATCH_LIMIT = 1 << 20 }; /* images at once */

/* A net of its own from a self-contained text or a tree. */
strata_status st_api_net_from_text(strata_net **out, const char *name, const char *text, size_t length,
                                   const char *settings, const char *freeze, strata_error *err);
/* What the options of a model to be built mean, with their defaults. */
strata_status st_api_options(st_model_options *out, st_optimizer *optimizer, const strata_build_options *options,
                             strata_error *err);
/* A model of a copy of the net with `freeze` (may be NULL). */
strata_status st_api_model_build(strata_model **out, strata_runtime *runtime, const strata_net *net, const char *freeze,
                                 const st_model_options *options, st_optimizer optimizer, strata_error *err);
/* Whether strata_net_preprocess could take these words, for some net. */
strata_status st_api_preprocess_check(const char *words, strata_error *err);
/* The published files that strata_weights_publication_get knows. */
typedef struct st_publication {
    const char *sha256; /* its beginning, as far as it is known: eight digits or more */
    strata_weights_publication is;
} st_publication;
extern const st_publication st_publications[];
extern const size_t st_publication_count;
/* What an open file of weights is inside. */
const st_weights *st_api_weights(const strata_weights *weights);

/* Pictures that two models are asked about, to see whether they are the same. */
typedef struct st_proof {
    const strata_dataset *data; /* NULL: noise, as it stands behind the preparation */
    strata_part part;
    size_t count; /* pictures, spread over the part */
    uint64_t seed;
    bool probabilities; /* of the classes are what is compared, not the output: a softmax at the end may be gone */
} st_proof;
/* out[count][classes]: the numbers of the main output, or probabilities. */
strata_status st_api_answers(float *out, strata_model *model, const st_proof *proof, strata_error *err);

#endif
