/* isa_portable.c: the table of kernels for plain C. */
#include "kernels/kernels.h"

#include "kernels/simd_portable.h"

#include "kernels/bodies.inc"

const st_kernels st_kernels_portable = {.name = "portable",
                                        .text = "plain C",
                                        .lanes = 1,
                                        .tile_rows = 6,
                                        .tile_piece = 1,
                                        .band_bytes = 256 * 1024,
                                        .gradient_band_bytes = 260 * 1024,
                                        .in_place_bytes = 256 * 1024,
                                        .stream_bytes = 8 << 20,
                                        .copy_uses = 1 << 20,
                                        .gradient_bytes = 600 * 1024,
                                        ST_KERNEL_ENTRIES};
