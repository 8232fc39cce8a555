/* sweep.h: what the parts of sweep_kernels share. For each entry of the list of kernels there is one function
 * sweep_<entry>, in a sweep_*.c without a main, which compares `kernels` with `reference` (portable) byte for byte. */
#ifndef SWEEP_H
#define SWEEP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

#define SWEEP_DECLARE(name, type, arguments) void sweep_##name(const st_kernels *reference, const st_kernels *kernels);
ST_KERNEL_LIST(SWEEP_DECLARE)
#undef SWEEP_DECLARE

#endif
