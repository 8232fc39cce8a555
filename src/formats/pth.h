/* What both forms of PyTorch's files share. Private to formats. */
#ifndef ST_FORMATS_PTH_H
#define ST_FORMATS_PTH_H

#include "formats/pickle.h"

enum { ST_PTH_LONGEST_NAME = 512 };

/* Finds the weights in what a pickle holds and gives `out` its tensors; *note is what is worth saying, or NULL. The
 * offsets of all storages are known. is_ours: strata wrote it, the names are right as they are. */
strata_status st_pth_tensors(st_weights *out, const char **note, const st_pickle *pickle, const st_pickle_value *root,
                             bool is_ours, strata_error *err);

/* The pickle's storages by key, each mention of one. */
void st_pth_sort_storages(st_pickle_storage **storages, size_t count);

strata_status st_pth_write(const st_weights *in, const st_graph *graph, const char *path, strata_error *err);

#endif
