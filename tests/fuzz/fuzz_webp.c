/* Fuzzes WebP: the input is what follows the twelve bytes of head, whose length is made to fit. So what is mutated is
 * chunks and bitstreams. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    uint8_t *file = malloc(length + 12);
    if (file == NULL) {
        abort();
    }
    memcpy(file, "RIFF\0\0\0\0WEBP", 12);
    for (int i = 0; i < 4; i++) {
        file[4 + i] = (uint8_t)((length + 4) >> (8 * i));
    }
    if (length > 0) {
        memcpy(file + 12, bytes, length);
    }
    (void)decode_checked(file, length + 12, 0);
    free(file);
    return 0;
}
