/* The parent's side of reading an HDF5 file: questions to the child that has libhdf5, and its answers. The child reads
 * a stranger's bytes with a large library and may have become anything; so every number that comes from it is checked
 * here, and nothing is allocated for what it says that the file cannot hold. */
#include <stdio.h>
#include <string.h>

#include "formats/hdf5.h"

/* Address space beside what the process has: the largest band of chunks twice, and room to work. Processor time: a
 * minute, and ten seconds a megabyte, which deflate's worst case does not need. */
#define MOST_MEMORY ((uint64_t)2 << 30)
enum { LEAST_CPU_S = 60, CPU_S_PER_MB = 10, MOST_CPU_S = 1 << 20, PATIENCE_S = 60, SIGNATURE_BYTES = 8 };

/* Texts are bounded by twice the file's bytes, for a NUL behind each. */
enum { WORDS_PER_BYTE = 2 };

/* The signature stands at 0, 512, 1024, 2048 ...: what is before it belongs to others. */
bool st_hdf5_is_one(const st_file *file) {
    static const unsigned char signature[SIGNATURE_BYTES] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
    unsigned char bytes[SIGNATURE_BYTES];
    for (uint64_t at = 0; at < file->length && file->length - at >= SIGNATURE_BYTES; at = at == 0 ? 512 : at * 2) {
        if (st_file_at(file, bytes, sizeof bytes, at, NULL) != STRATA_OK) {
            return false;
        }
        if (memcmp(bytes, signature, sizeof bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- questions and answers ---- */

strata_status st_hdf5_fail_senseless(const st_hdf5 *file, strata_error *err) {
    return st_fail_file(err, STRATA_FORMAT, file->path, "libhdf5 gave an answer without sense: the file is damaged");
}

strata_status st_hdf5_fail_library(const st_hdf5 *file, const char *what, const st_hdf5_answer *answer,
                                   strata_error *err) {
    char words[ST_HDF5_TEXT_BYTES];
    st_text_printable(words, sizeof words, answer->text, strnlen(answer->text, sizeof answer->text - 1));
    return st_fail_file(err, STRATA_FORMAT, file->path, "%s%s%s", what, words[0] != '\0' ? ": " : "", words);
}

strata_status st_hdf5_put(st_hdf5 *file, const st_hdf5_question *question, strata_error *err) {
    return st_child_tell(&file->child, question, sizeof *question, err);
}

strata_status st_hdf5_hear(st_hdf5 *file, st_hdf5_answer *out, strata_error *err) {
    ST_TRY(st_child_hear(&file->child, out, sizeof *out, err));
    return out->trouble < ST_HDF5_TROUBLE_COUNT ? STRATA_OK : st_hdf5_fail_senseless(file, err);
}

/* ---- opening ---- */

#ifdef ST_WITH_HDF5

static strata_status hear_opened(st_hdf5 *file, strata_error *err) {
    st_hdf5_answer answer;
    ST_TRY(st_hdf5_hear(file, &answer, err));
    if (answer.trouble == ST_HDF5_NO_LIBRARY) {
        st_hdf5_fail_library(file, "libhdf5 cannot be used", &answer, err);
        if (err != NULL) {
            err->status = STRATA_UNSUPPORTED;
        }
        st_error_hint(err, "Debian's package libhdf5-dev, and strata built again, would do");
        return STRATA_UNSUPPORTED;
    }
    if (answer.trouble != ST_HDF5_FINE) {
        return st_hdf5_fail_library(file, "libhdf5 cannot open it", &answer, err);
    }
    return answer.bytes == 0 ? STRATA_OK : st_hdf5_fail_senseless(file, err);
}

strata_status st_hdf5_open(st_hdf5 *out, const st_file *lent, void (*serve)(void), strata_error *err) {
    *out = (st_hdf5){.child.socket = -1};
    memcpy(out->path, lent->path, sizeof out->path);
    out->length = lent->length;
    out->words_left = lent->length < UINT64_MAX / WORDS_PER_BYTE ? lent->length * WORDS_PER_BYTE : UINT64_MAX;
    out->child = (st_child){.socket = -1, .patience_s = PATIENCE_S, .path = out->path, .who = "libhdf5"};
    uint64_t cpu_s = LEAST_CPU_S + (lent->length >> 20) * CPU_S_PER_MB;
    strata_status status =
        st_child_start(&out->child, lent, MOST_MEMORY, (unsigned)(cpu_s < MOST_CPU_S ? cpu_s : MOST_CPU_S), serve, err);
    status = status == STRATA_OK ? hear_opened(out, err) : status;
    if (status != STRATA_OK) {
        st_hdf5_close(out);
    }
    return status;
}

#else

strata_status st_hdf5_open(st_hdf5 *out, const st_file *lent, void (*serve)(void), strata_error *err) {
    (void)serve;
    *out = (st_hdf5){.child.socket = -1};
    st_fail_file(err, STRATA_UNSUPPORTED, lent->path,
                 "an HDF5 file, and this build cannot read it: it was made without libhdf5");
    st_error_hint(err, "install the library's development files and build again");
    return STRATA_UNSUPPORTED;
}

#endif

void st_hdf5_close(st_hdf5 *file) {
    st_child_end(&file->child);
}

/* ---- what there is ---- */

/* Also that what is to be read is not more than its child lets through: ST_HDF5_MOST_SAVING times the file. */
static bool is_sound(const st_hdf5 *file, const st_hdf5_set *set) {
    uint64_t bytes = set->item_bytes;
    if (memchr(set->name, '\0', sizeof set->name) == NULL || set->type >= ST_HDF5_TYPE_COUNT ||
        set->fault >= ST_HDF5_FAULT_COUNT || set->stored > ST_STORED_COUNT) {
        return false;
    }
    for (uint32_t d = 0; set->rank <= ST_HDF5_MOST_RANK && d < set->rank; d++) {
        if (__builtin_mul_overflow(bytes, set->dims[d], &bytes)) {
            return set->fault != ST_HDF5_SOUND;
        }
    }
    return set->fault != ST_HDF5_SOUND || set->rank > ST_HDF5_MOST_RANK || bytes / ST_HDF5_MOST_SAVING <= file->length;
}

strata_status st_hdf5_list(st_hdf5 *file, st_arena *arena, strata_error *err) {
    const st_hdf5_question question = {.what = ST_HDF5_LIST};
    st_hdf5_answer answer;
    st_hdf5_set *sets = NULL;
    ST_TRY(st_hdf5_put(file, &question, err));
    ST_TRY(st_hdf5_hear(file, &answer, err));
    if (answer.trouble != ST_HDF5_FINE) {
        return st_hdf5_fail_library(file, "libhdf5 cannot open it", &answer, err);
    }
    if (answer.bytes % sizeof *sets != 0 || answer.bytes / sizeof *sets > ST_HDF5_MOST_SETS) {
        return st_hdf5_fail_senseless(file, err);
    }
    size_t count = (size_t)answer.bytes / sizeof *sets;
    ST_TRY(st_arena_alloc(&sets, arena, count, sizeof *sets, err));
    ST_TRY(st_child_hear(&file->child, sets, count * sizeof *sets, err));
    for (size_t i = 0; i < count; i++) {
        if (!is_sound(file, &sets[i]) || sets[i].name[0] == '\0') {
            return st_hdf5_fail_senseless(file, err);
        }
    }
    file->sets = sets;
    file->count = count;
    return STRATA_OK;
}

static strata_status fail_fault(const st_hdf5 *file, const char *name, st_hdf5_fault fault, uint64_t detail,
                                strata_error *err) {
    unsigned long long number = detail;
    switch (fault) {
    case ST_HDF5_SOFT_LINK:
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path, "'%s' is a soft link, which is not followed", name);
    case ST_HDF5_EXTERNAL_LINK:
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                            "'%s' is a link to another file, which is not followed", name);
    case ST_HDF5_EXTERNAL_STORAGE:
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path, "'%s' is stored in another file, which is not read",
                            name);
    case ST_HDF5_VIRTUAL:
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                            "'%s' is a virtual data set, made of other files, which are not read", name);
    case ST_HDF5_FILTER:
        st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                     "'%s' is packed with filter %llu; deflate, shuffle and fletcher32 are read", name, number);
        st_error_hint(err, "h5repack -f GZIP=4 %s NEW.h5 packs it with deflate", file->path);
        return STRATA_UNSUPPORTED;
    case ST_HDF5_SPARSE:
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "'%s' declares more than %d times the %llu bytes that are stored of it", name,
                            ST_HDF5_MOST_SAVING, number);
    case ST_HDF5_BEYOND:
        return st_fail_file(err, STRATA_FORMAT, file->path, "'%s' has %llu bytes stored, more than the whole file",
                            name, number);
    case ST_HDF5_BAND:
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                            "'%s': its chunks unpack to %llu bytes for one item, at most %d are served", name, number,
                            ST_HDF5_MOST_BAND);
    case ST_HDF5_ABSENT:
        return st_fail_file(err, STRATA_FORMAT, file->path, "'%s' is named there, but is not in the file", name);
    case ST_HDF5_NOT_ONE:
        return st_fail_file(err, STRATA_FORMAT, file->path, "'%s' is a group, expected a data set", name);
    default:
        return st_fail_file(err, STRATA_FORMAT, file->path, "'%s' is damaged", name);
    }
}

strata_status st_hdf5_check_set(const st_hdf5 *file, const st_hdf5_set *set, const char *name, strata_error *err) {
    return set->fault == ST_HDF5_SOUND ? STRATA_OK
                                       : fail_fault(file, name, (st_hdf5_fault)set->fault, set->detail, err);
}

/* ---- by path ---- */

static strata_status ask_at(st_hdf5 *file, st_hdf5_ask what, const char *path, const char *attribute,
                            strata_error *err) {
    st_hdf5_question question = {.what = (uint32_t)what};
    size_t length = strlen(path), named = attribute != NULL ? strlen(attribute) : 0;
    if (length >= sizeof question.path || named >= sizeof question.attribute) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                            "'%.60s...': its path has %zu bytes, at most %d are served", path, length,
                            ST_HDF5_PATH_BYTES - 1);
    }
    memcpy(question.path, path, length);
    if (attribute != NULL) {
        memcpy(question.attribute, attribute, named);
    }
    return st_hdf5_put(file, &question, err);
}

strata_status st_hdf5_describe(st_hdf5_set *out, st_hdf5 *file, const char *path, strata_error *err) {
    st_hdf5_answer answer;
    ST_TRY(ask_at(file, ST_HDF5_DESCRIBE, path, NULL, err));
    ST_TRY(st_hdf5_hear(file, &answer, err));
    if (answer.trouble != ST_HDF5_FINE || answer.bytes != sizeof *out) {
        return st_hdf5_fail_senseless(file, err);
    }
    ST_TRY(st_child_hear(&file->child, out, sizeof *out, err));
    return is_sound(file, out) ? STRATA_OK : st_hdf5_fail_senseless(file, err);
}

static strata_status fail_words(const st_hdf5 *file, const char *path, const char *attribute,
                                const st_hdf5_answer *answer, strata_error *err) {
    char what[ST_HDF5_PATH_BYTES + ST_HDF5_ATTRIBUTE_BYTES + 32];
    if (attribute == NULL) {
        attribute = "what is in it";
    }
    (void)snprintf(what, sizeof what, "'%s' of '%s'", attribute, path[0] != '\0' ? path : "/");
    switch (answer->trouble) {
    case ST_HDF5_NOT_THERE:
        return fail_fault(file, path,
                          answer->place < ST_HDF5_FAULT_COUNT ? (st_hdf5_fault)answer->place : ST_HDF5_DAMAGED, 0, err);
    case ST_HDF5_NO_TEXTS:
        return st_fail_file(err, STRATA_FORMAT, file->path, "%s is no list of texts", what);
    case ST_HDF5_TOO_LONG:
        return st_fail_file(err, STRATA_FORMAT, file->path, "%s is longer than the file can hold", what);
    case ST_HDF5_NO_MEMORY:
        return st_fail_file(err, STRATA_MEMORY, file->path, "no memory to read %s", what);
    default:
        return st_hdf5_fail_library(file, what, answer, err);
    }
}

/* bytes, of which the last is NUL, to texts. */
static strata_status cut_words(const char ***out, size_t *count, const char *bytes, size_t length, st_arena *arena,
                               strata_error *err) {
    size_t found = 0;
    for (size_t i = 0; i < length; i++) {
        found += bytes[i] == '\0';
    }
    const char **words = NULL;
    ST_TRY(st_arena_alloc(&words, arena, found > 0 ? found : 1, sizeof *words, err));
    for (size_t i = 0; i < found; i++) {
        words[i] = bytes;
        bytes += strlen(bytes) + 1;
    }
    *out = words;
    *count = found;
    return STRATA_OK;
}

strata_status st_hdf5_words(const char ***out, size_t *count, st_hdf5 *file, st_arena *arena, const char *path,
                            const char *attribute, strata_error *err) {
    st_hdf5_answer answer;
    char *bytes = NULL;
    *out = NULL;
    *count = 0;
    ST_TRY(ask_at(file, attribute != NULL ? ST_HDF5_WORDS : ST_HDF5_NAMES, path, attribute, err));
    ST_TRY(st_hdf5_hear(file, &answer, err));
    uint64_t lacks = attribute != NULL ? ST_HDF5_SOUND : ST_HDF5_ABSENT;
    bool is_none = answer.trouble == ST_HDF5_NOT_THERE &&
                   (answer.place == lacks || (attribute == NULL && answer.place == ST_HDF5_NOT_ONE));
    if (is_none) {
        return answer.bytes == 0 ? STRATA_OK : st_hdf5_fail_senseless(file, err);
    }
    if (answer.trouble != ST_HDF5_FINE) {
        return fail_words(file, path, attribute, &answer, err);
    }
    if (answer.bytes > file->words_left || answer.bytes > SIZE_MAX / 2) {
        answer.trouble = ST_HDF5_TOO_LONG;
        return fail_words(file, path, attribute, &answer, err);
    }
    file->words_left -= answer.bytes;
    size_t length = (size_t)answer.bytes;
    ST_TRY(st_arena_alloc(&bytes, arena, length + 1, 1, err));
    ST_TRY(st_child_hear(&file->child, bytes, length, err));
    if (length > 0 && bytes[length - 1] != '\0') {
        return st_hdf5_fail_senseless(file, err);
    }
    return cut_words(out, count, bytes, length, arena, err);
}

strata_status st_hdf5_values(float *out, size_t count, st_hdf5 *file, const char *path, strata_error *err) {
    st_hdf5_answer answer;
    ST_TRY(ask_at(file, ST_HDF5_VALUES, path, NULL, err));
    ST_TRY(st_hdf5_hear(file, &answer, err));
    if (answer.trouble == ST_HDF5_NO_MEMORY) {
        return st_fail_file(err, STRATA_MEMORY, file->path, "no memory to read '%s'", path);
    }
    if (answer.trouble != ST_HDF5_FINE) {
        char what[ST_HDF5_PATH_BYTES + 32];
        (void)snprintf(what, sizeof what, "'%s' cannot be read", path);
        return st_hdf5_fail_library(file, what, &answer, err);
    }
    if (answer.bytes % sizeof *out != 0 || answer.bytes / sizeof *out != count) {
        return st_hdf5_fail_senseless(file, err);
    }
    return st_child_hear(&file->child, out, (size_t)answer.bytes, err);
}
