/* The formats, for their table; and what the files of this folder share. */
#ifndef ST_FORMATS_TABLE_H
#define ST_FORMATS_TABLE_H

#include "formats/formats.h"

extern const st_format st_format_onnx;
extern const st_format st_format_safetensors;
extern const st_format st_format_keras;
extern const st_format st_format_pth_zip;
extern const st_format st_format_pth_legacy;
extern const st_format st_format_caffe;
extern const st_format st_format_darknet;

strata_status st_safetensors_write(const st_weights *in, const st_graph *graph, const char *path, strata_error *err);
strata_status st_onnx_write(const st_weights *in, const st_graph *graph, const char *path, strata_error *err);

/* A tensor of the file whose values lie packed, but with the sides in another order, comes into the arena as its sides
 * say; others stay as they are. */
strata_status st_tensor_turn(st_tensor *tensor, const st_weights *weights, strata_error *err);

/* Room for one more in a list that lies in an arena: what is allocated follows what was read, never what a file claims.
 * `list` is the address of the list's pointer, `filled` how many it holds. */
strata_status st_format_grow(void *list, size_t filled, size_t size, st_arena *arena, strata_error *err);

#endif
