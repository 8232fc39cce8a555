/* Fuzzes the readers of darknet's two files, in a folder of their own: an input is a .cfg, then a zero byte, then
 * .weights; without the zero byte it is a .cfg alone. */
#include <string.h>

#include "read_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char folder[64], cfg[80], weights_path[80];

static void remove_folder(void) {
    unlink(cfg);
    unlink(weights_path);
    rmdir(folder);
}

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/dev/shm/strata-fuzz-darknet-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        snprintf(folder, sizeof folder, "/tmp/strata-fuzz-darknet-XXXXXX");
        if (mkdtemp(folder) == NULL) {
            abort();
        }
    }
    snprintf(cfg, sizeof cfg, "%s/net.cfg", folder);
    snprintf(weights_path, sizeof weights_path, "%s/net.weights", folder);
    atexit(remove_folder);
}

static void put(const char *path, const uint8_t *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    if (file != NULL) {
        fwrite(bytes, 1, length, file);
        fclose(file);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const uint8_t *zero = length > 0 ? memchr(bytes, '\0', length) : NULL;
    if (folder[0] == '\0') {
        make_folder();
    }
    put(cfg, bytes, zero != NULL ? (size_t)(zero - bytes) : length);
    if (zero != NULL) {
        put(weights_path, zero + 1, length - (size_t)(zero - bytes) - 1);
        read_model(weights_path, false);
    } else {
        unlink(weights_path);
    }
    read_model(cfg, false);
    return 0;
}
