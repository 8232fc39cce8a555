/* Feeds the seeds of a fuzz target to it, one after another: the part of fuzzing that `make check` repeats with any
 * compiler. replay_NAME FILE-OR-FOLDER... */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length);

static int feed(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        printf("FAIL %s: cannot be opened\n", path);
        return 1;
    }
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    /* Exactly as long as the file, so that the sanitizer sees a read of one byte too many. */
    unsigned char *bytes = malloc(length > 0 ? (size_t)length : 1);
    size_t count = bytes != NULL && length > 0 ? fread(bytes, 1, (size_t)length, file) : 0;
    fclose(file);
    printf("%s\n", path); /* the last line before a crash names its seed */
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, count);
    free(bytes);
    return 0;
}

int main(int argc, char **argv) {
    int failures = 0, seeds = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            failures += feed(argv[i]);
            seeds++;
            continue;
        }
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            char path[4096];
            if (entry->d_name[0] == '.' ||
                snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name) >= (int)sizeof path) {
                continue;
            }
            failures += feed(path);
            seeds++;
        }
        closedir(folder);
    }
    printf("%s %s: %d seeds\n", seeds > 0 ? "ok" : "FAIL", argc > 1 ? argv[1] : "no corpus", seeds);
    return failures > 0 || seeds == 0;
}
