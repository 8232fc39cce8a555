/* api: include/strata.h over everything above. The objects' insides are in train/train.h and data/data.h. */
#ifndef ST_API_H
#define ST_API_H

#include "train/train.h"

/* A net of its own from a self-contained text or a tree. */
strata_status st_api_net_from_text(strata_net **out, const char *name, const char *text, size_t length,
                                   const char *settings, const char *freeze, strata_error *err);

#endif
