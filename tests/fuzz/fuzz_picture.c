/* Fuzzes reading a picture: anymap, JPEG, PNG or WebP, whichever the bytes begin like. libFuzzer: clang
 * -fsanitize=fuzzer,address,undefined; AFL++ builds the same function. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    (void)decode_checked(bytes, length, 0);
    return 0;
}
