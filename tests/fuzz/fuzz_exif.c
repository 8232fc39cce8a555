/* Fuzzes the search for EXIF's orientation, and turning by what it says; twice or four times turned is as before. */
#include "picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const uint8_t stored[6] = {1, 2, 3, 4, 5, 6};
    int orientation = st_exif_orientation(bytes, length);
    if (orientation < 0 || orientation > 8 || st_picture_room(&picture, (strata_shape){2, 3, 1}, NULL) != STRATA_OK) {
        abort();
    }
    memcpy(picture.pixels, stored, sizeof stored);
    for (int turn = 0; turn < 4; turn++) {
        if (st_picture_upright(&picture, orientation, NULL) != STRATA_OK) {
            abort();
        }
    }
    if (picture.shape.height != 2 || memcmp(picture.pixels, stored, sizeof stored) != 0) {
        abort();
    }
    strata_picture_free(&picture);
    return 0;
}
