/* What a part's pictures are, told from their files without reading them: names, sizes and times of the last change. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/data.h"

enum { PATH_BYTES = 1024, LINE_BYTES = 128 };

/* A picture's file, of its name as st_data_name gives it: below the place, beside it, or the place itself. */
static bool find_file(struct stat *about, const char *place, const char *name) {
    const char *slash = strrchr(place, '/');
    const int lengths[] = {(int)strlen(place), slash != NULL ? (int)(slash - place) : 0};
    for (size_t i = 0; i < ST_COUNT_OF(lengths); i++) {
        char path[PATH_BYTES];
        int length = snprintf(path, sizeof path, "%.*s%s%s", lengths[i], place, lengths[i] > 0 ? "/" : "", name);
        if (length > 0 && (size_t)length < sizeof path && stat(path, about) == 0 && S_ISREG(about->st_mode)) {
            return true;
        }
    }
    return stat(place, about) == 0;
}

void st_data_stamp(const strata_dataset *data, strata_part part, st_sha256 *sha) {
    char name[ST_DATA_NAME_BYTES], file[ST_DATA_NAME_BYTES], last[ST_DATA_NAME_BYTES] = "", line[LINE_BYTES];
    for (size_t i = 0; i < strata_dataset_count(data, part); i++) {
        struct stat about;
        st_data_name(data, part, i, name);
        st_sha256_add(sha, name, strlen(name) + 1);
        size_t length = strlen(name), digits = length;
        while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') {
            digits--;
        }
        length = digits > 0 && digits < length && name[digits - 1] == ':' ? digits - 1 : length; /* "FILE:k" */
        memcpy(file, name, length);
        file[length] = '\0';
        if (i > 0 && strcmp(file, last) == 0) {
            continue;
        }
        memcpy(last, file, length + 1);
        if (find_file(&about, st_data_place(data, part), file)) {
            int count = snprintf(line, sizeof line, "%" PRId64 " %" PRId64 ".%09" PRId64 "\n", (int64_t)about.st_size,
                                 (int64_t)about.st_mtim.tv_sec, (int64_t)about.st_mtim.tv_nsec);
            st_sha256_add(sha, line, (size_t)count);
        }
    }
}
