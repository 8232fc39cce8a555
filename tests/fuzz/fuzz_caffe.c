/* Fuzzes the reader of Caffe models: a file whole. What it takes has a net that fits its tensors, which the reader has
 * seen to; their values are read once. */
#include "read_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    read_model_bytes(bytes, length, false);
    return 0;
}
