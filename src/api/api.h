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

#endif
