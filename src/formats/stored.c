/* The types that files store values in, and the way from there to st_real and back. Little-endian, whatever the
 * machine. f16 is IEEE 754 binary16; bf16 is the upper half of a binary32. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/formats.h"

enum { PIECE_BYTES = 16 << 10 };

static const struct {
    const char *name;
    size_t size;
} stored_types[ST_STORED_COUNT] = {
    [ST_STORED_F32] = {"F32", 4},   [ST_STORED_F64] = {"F64", 8}, [ST_STORED_F16] = {"F16", 2},
    [ST_STORED_BF16] = {"BF16", 2}, [ST_STORED_I64] = {"I64", 8}, [ST_STORED_I32] = {"I32", 4},
    [ST_STORED_I16] = {"I16", 2},   [ST_STORED_I8] = {"I8", 1},   [ST_STORED_U64] = {"U64", 8},
    [ST_STORED_U32] = {"U32", 4},   [ST_STORED_U16] = {"U16", 2}, [ST_STORED_U8] = {"U8", 1},
    [ST_STORED_BOOL] = {"BOOL", 1},
};

size_t st_stored_size(st_stored stored) {
    return stored_types[stored].size;
}

const char *st_stored_name(st_stored stored) {
    return stored_types[stored].name;
}

void st_tensor_dims(char out[ST_TENSOR_DIMS_TEXT], int rank, const int64_t *dims) {
    size_t length = 0;
    (void)snprintf(out, ST_TENSOR_DIMS_TEXT, "%s", rank == 0 ? "one value" : "");
    for (int d = 0; d < rank; d++) {
        length +=
            (size_t)snprintf(out + length, ST_TENSOR_DIMS_TEXT - length, d > 0 ? "x%" PRId64 : "%" PRId64, dims[d]);
    }
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction. */
static float half_value(uint32_t half) {
    uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31u, fraction = half & 0x3FFu;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24, exact in a float */
        float magnitude = (float)fraction * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    uint32_t wide = exponent == 31 ? 255u : exponent - 15 + 127;
    return float_of(sign | wide << 23 | fraction << 13);
}

static double decode_real(st_stored stored, const unsigned char *bytes) {
    uint64_t bits = st_stored_get(bytes, stored_types[stored].size);
    double wide = 0;
    switch (stored) {
    case ST_STORED_F16:
        return (double)half_value((uint32_t)bits);
    case ST_STORED_BF16:
        return (double)float_of((uint32_t)bits << 16);
    case ST_STORED_F64:
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    default:
        return (double)float_of((uint32_t)bits);
    }
}

bool st_stored_is_real(st_stored stored) {
    return stored == ST_STORED_F32 || stored == ST_STORED_F64 || stored == ST_STORED_F16 || stored == ST_STORED_BF16;
}

static bool is_signed(st_stored stored) {
    return stored == ST_STORED_I64 || stored == ST_STORED_I32 || stored == ST_STORED_I16 || stored == ST_STORED_I8;
}

/* ---- the bytes of values, wherever they lie ---- */

static bool is_packed(const st_tensor *tensor) {
    int64_t step = 1;
    for (int d = tensor->rank - 1; tensor->strides != NULL && d >= 0; d--) {
        if (tensor->dims[d] != 1 && tensor->strides[d] != step) {
            return false;
        }
        step *= tensor->dims[d];
    }
    return true;
}

/* Where value `index`, counted in the order of the sides, lies: in values from the first. */
static uint64_t place_of(const st_tensor *tensor, size_t index) {
    uint64_t place = 0;
    for (int d = tensor->rank - 1; d >= 0; d--) {
        size_t side = (size_t)tensor->dims[d];
        place += (uint64_t)tensor->strides[d] * (index % side);
        index /= side;
    }
    return place;
}

static strata_status read_run(const st_weights *weights, const st_tensor *tensor, uint64_t place, size_t bytes,
                              void *out, strata_error *err) {
    uint64_t at = place * st_stored_size(tensor->stored);
    if (tensor->bytes != NULL) {
        memcpy(out, tensor->bytes + at, bytes);
        return STRATA_OK;
    }
    return st_file_at(tensor->file != NULL ? tensor->file : &weights->file, out, bytes, tensor->offset + at, err);
}

/* At most PIECE_BYTES of a view with strides: from one read of all that lies between its first and its last value where
 * these are near each other, else value by value. */
static strata_status gather(const st_weights *weights, const st_tensor *tensor, size_t first, size_t count,
                            unsigned char *out, strata_error *err) {
    enum { SPAN_BYTES = 256 << 10 };
    size_t size = st_stored_size(tensor->stored);
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t place = place_of(tensor, first + i);
        low = place < low ? place : low;
        high = place > high ? place : high;
    }
    if (tensor->bytes == NULL && count > 0 && high - low < SPAN_BYTES / size) {
        unsigned char span[SPAN_BYTES];
        ST_TRY(read_run(weights, tensor, low, (size_t)(high - low + 1) * size, span, err));
        for (size_t i = 0; i < count; i++) {
            memcpy(out + i * size, span + (place_of(tensor, first + i) - low) * size, size);
        }
        return STRATA_OK;
    }
    for (size_t i = 0; i < count; i++) {
        ST_TRY(read_run(weights, tensor, place_of(tensor, first + i), size, out + i * size, err));
    }
    return STRATA_OK;
}

strata_status st_weights_read_bytes(const st_weights *weights, const st_tensor *tensor, size_t first, size_t count,
                                    void *out, strata_error *err) {
    size_t size = st_stored_size(tensor->stored), most = PIECE_BYTES / size;
    ST_FAIL_IF(first > tensor->count || count > tensor->count - first, err, STRATA_INVALID,
               "tensor '%s': values %zu to %zu of %zu", tensor->name, first, first + count, tensor->count);
    if (is_packed(tensor)) {
        return read_run(weights, tensor, first, count * size, out, err);
    }
    for (size_t done = 0; done < count;) {
        size_t now = count - done < most ? count - done : most;
        ST_TRY(gather(weights, tensor, first + done, now, (unsigned char *)out + done * size, err));
        done += now;
    }
    return STRATA_OK;
}

/* The next piece of a tensor's bytes: values `done` to done + *count. */
static strata_status read_piece(const st_weights *weights, const st_tensor *tensor, size_t done,
                                unsigned char piece[PIECE_BYTES], size_t *count, strata_error *err) {
    size_t most = PIECE_BYTES / st_stored_size(tensor->stored);
    *count = tensor->count - done < most ? tensor->count - done : most;
    return st_weights_read_bytes(weights, tensor, done, *count, piece, err);
}

strata_status st_weights_read(const st_weights *weights, const st_tensor *tensor, st_real *out, strata_error *err) {
    unsigned char piece[PIECE_BYTES];
    size_t size = st_stored_size(tensor->stored), count = 0;
    if (!st_stored_is_real(tensor->stored)) {
        return st_fail_file(err, STRATA_UNSUPPORTED, weights->file.path,
                            "tensor '%s': found %s, expected F32, F64, F16 or BF16", tensor->name,
                            st_stored_name(tensor->stored));
    }
#if !defined(ST_REAL_DOUBLE) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (tensor->stored == ST_STORED_F32) { /* stored as it is computed with */
        return st_weights_read_bytes(weights, tensor, 0, tensor->count, out, err);
    }
#endif
    for (size_t done = 0; done < tensor->count; done += count) {
        ST_TRY(read_piece(weights, tensor, done, piece, &count, err));
        for (size_t i = 0; i < count; i++) {
            out[done + i] = (st_real)decode_real(tensor->stored, piece + i * size);
        }
    }
    return STRATA_OK;
}

strata_status st_weights_read_integers(const st_weights *weights, const st_tensor *tensor, int64_t *out,
                                       strata_error *err) {
    unsigned char piece[PIECE_BYTES];
    size_t size = st_stored_size(tensor->stored), count = 0;
    if (st_stored_is_real(tensor->stored)) {
        return st_fail_file(err, STRATA_UNSUPPORTED, weights->file.path, "tensor '%s': found %s, expected integers",
                            tensor->name, st_stored_name(tensor->stored));
    }
    uint64_t sign = is_signed(tensor->stored) ? (uint64_t)1 << (8 * size - 1) : 0;
    for (size_t done = 0; done < tensor->count; done += count) {
        ST_TRY(read_piece(weights, tensor, done, piece, &count, err));
        for (size_t i = 0; i < count; i++) {
            uint64_t bits = st_stored_get(piece + i * size, size);
            if (sign == 0 && bits > INT64_MAX) {
                return st_fail_file(err, STRATA_FORMAT, weights->file.path, "tensor '%s': value %zu is above 2^63 - 1",
                                    tensor->name, done + i);
            }
            out[done + i] = (int64_t)((bits ^ sign) - sign); /* extends the sign */
        }
    }
    return STRATA_OK;
}

static double decode(st_stored stored, const unsigned char *bytes) {
    if (st_stored_is_real(stored)) {
        return decode_real(stored, bytes);
    }
    size_t size = stored_types[stored].size;
    uint64_t bits = st_stored_get(bytes, size), sign = is_signed(stored) ? (uint64_t)1 << (8 * size - 1) : 0;
    return sign == 0 ? (double)bits : (double)(int64_t)((bits ^ sign) - sign);
}

strata_status st_weights_read_doubles(const st_weights *weights, const st_tensor *tensor, size_t first, size_t count,
                                      double *out, strata_error *err) {
    unsigned char piece[PIECE_BYTES];
    size_t size = st_stored_size(tensor->stored), most = PIECE_BYTES / size;
    ST_FAIL_IF(first > tensor->count || count > tensor->count - first, err, STRATA_INVALID,
               "tensor '%s': values %zu to %zu of %zu", tensor->name, first, first + count, tensor->count);
    for (size_t done = 0; done < count;) {
        size_t now = count - done < most ? count - done : most;
        ST_TRY(st_weights_read_bytes(weights, tensor, first + done, now, piece, err));
        for (size_t i = 0; i < now; i++) {
            out[done + i] = decode(tensor->stored, piece + i * size);
        }
        done += now;
    }
    return STRATA_OK;
}

void st_weights_encode(unsigned char *out, const st_real *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = (float)values[i];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        st_stored_put(out + 4 * i, 4, bits);
    }
}
