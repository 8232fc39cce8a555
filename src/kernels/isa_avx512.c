/* isa_avx512.c: the table of kernels for AVX-512 (F, VL, DQ, BW). */
#include "kernels/kernels.h"

#include "kernels/simd_avx512.h"

#include "kernels/bodies.inc"

const st_kernels st_kernels_avx512 = {.name = "avx512",
                                      .text = "AVX-512 (F, VL, DQ, BW)",
                                      .lanes = 16,
                                      .tile_rows = 14,
                                      .tile_piece = 7,
                                      .band_bytes = 700 * 1024,
                                      .gradient_band_bytes = 260 * 1024,
                                      .in_place_bytes = 1200 * 1024,
                                      .stream_bytes = 8 << 20,
                                      .copy_uses = 2048,
                                      .gradient_bytes = 600 * 1024,
                                      ST_KERNEL_ENTRIES};
