/* Sizes: the only places where sizes that come from outside are added and multiplied. */
#include "base/base.h"

size_t st_dtype_size(st_dtype dtype) {
    switch (dtype) {
    case ST_DTYPE_REAL:
        return sizeof(st_real);
    case ST_DTYPE_U8:
        return 1;
    case ST_DTYPE_I32:
        return 4;
    }
    return 0;
}

bool st_size_add(size_t a, size_t b, size_t *out) {
    *out = a + b;
    return *out >= a;
}

bool st_size_mul(size_t a, size_t b, size_t *out) {
    *out = a * b;
    return a == 0 || *out / a == b;
}
