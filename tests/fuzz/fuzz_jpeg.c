/* Fuzzes JPEG, in full and reduced: the first byte says how small it may become. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0 || !st_decoder_jpeg.is(bytes + 1, length - 1)) {
        return 0;
    }
    strata_status status = decode_checked(bytes + 1, length - 1, 0);
    if ((status == STRATA_OK) != (decode_checked(bytes + 1, length - 1, bytes[0]) == STRATA_OK)) {
        abort(); /* what is damaged is damaged at every size */
    }
    return 0;
}
