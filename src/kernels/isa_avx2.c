/* isa_avx2.c: the table of kernels for AVX2 and FMA. */
#include "kernels/kernels.h"

#include "kernels/simd_avx2.h"

#include "kernels/bodies.inc"

const st_kernels st_kernels_avx2 = {.name = "avx2",
                                    .text = "AVX2 and FMA",
                                    .lanes = 8,
                                    .tile_rows = 6,
                                    .tile_piece = 1,
                                    .band_bytes = 700 * 1024,
                                    .gradient_band_bytes = 260 * 1024,
                                    .in_place_bytes = 300 * 1024,
                                    .stream_bytes = 8 << 20,
                                    .copy_uses = 512,
                                    .gradient_bytes = 600 * 1024,
                                    ST_KERNEL_ENTRIES};
