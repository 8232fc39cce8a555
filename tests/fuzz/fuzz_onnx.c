/* Fuzzes the ONNX reader: the file, the net that comes of it, and the values of its weights. libFuzzer: clang
 * -fsanitize=fuzzer,address,undefined; AFL++ builds the same function. */
#include "read_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    read_model_bytes(bytes, length, true);
    return 0;
}
