/* Fuzzes PNG behind its checksums: they are mended before decoding, so that what is in the chunks is reached. */
#include <zlib.h>

#include "picture.h"

static uint32_t word_at(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Chunks: length, name, content, checksum of name and content. */
static void mend(uint8_t *bytes, size_t length) {
    size_t at = 8;
    while (at < length && length - at >= 12 && word_at(bytes + at) <= length - at - 12) {
        size_t size = word_at(bytes + at);
        uint32_t sum_of = (uint32_t)crc32(0, bytes + at + 4, (uInt)size + 4);
        for (int i = 0; i < 4; i++) {
            bytes[at + 8 + size + (size_t)i] = (uint8_t)(sum_of >> (24 - 8 * i));
        }
        at += size + 12;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (!st_decoder_png.is(bytes, length)) {
        return 0;
    }
    uint8_t *mended = malloc(length);
    if (mended == NULL) {
        abort();
    }
    memcpy(mended, bytes, length);
    mend(mended, length);
    (void)decode_checked(mended, length, 0);
    free(mended);
    return 0;
}
