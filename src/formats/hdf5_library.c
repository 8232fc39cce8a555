/* libhdf5 in the child: opened by name, its functions and constants found in it; and how the child speaks to the
 * parent. */
#include "formats/hdf5.h"

#ifdef ST_WITH_HDF5

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "formats/hdf5_child.h"

/* The header gives some names a version; what stands in the library is the name as it is after that. */
#define WORDS(x) #x
#define TEXT(x) WORDS(x)

st_hdf5_library st_libhdf5;

static bool find_constant(hid_t *out, void *library, const char *name) {
    hid_t *found = dlsym(library, name);
    *out = found != NULL ? *found : -1;
    return found != NULL;
}

/* Little-endian ones; the halves have no name there. */
static const char *const stored_names[ST_STORED_COUNT] = {
    [ST_STORED_F32] = "H5T_IEEE_F32LE_g", [ST_STORED_F64] = "H5T_IEEE_F64LE_g", [ST_STORED_I64] = "H5T_STD_I64LE_g",
    [ST_STORED_I32] = "H5T_STD_I32LE_g",  [ST_STORED_I16] = "H5T_STD_I16LE_g",  [ST_STORED_I8] = "H5T_STD_I8LE_g",
    [ST_STORED_U64] = "H5T_STD_U64LE_g",  [ST_STORED_U32] = "H5T_STD_U32LE_g",  [ST_STORED_U16] = "H5T_STD_U16LE_g",
    [ST_STORED_U8] = "H5T_STD_U8LE_g",
};

bool st_hdf5_load(char text[ST_HDF5_TEXT_BYTES]) {
    unsigned major = 0, minor = 0, release = 0;
    void *library = dlopen(ST_WITH_HDF5, RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) {
        (void)snprintf(text, ST_HDF5_TEXT_BYTES, "%s", dlerror());
        return false;
    }
    bool is_whole = true;
#define X(name)                                                                                                        \
    st_libhdf5.name = (__typeof__(name) *)dlsym(library, TEXT(name));                                                  \
    is_whole = is_whole && st_libhdf5.name != NULL;
    ST_HDF5_CALLS(X)
    ST_HDF5_LOCKING_CALLS(X)
#undef X
    if (!is_whole || st_libhdf5.H5open() < 0 || st_libhdf5.H5get_libversion(&major, &minor, &release) < 0 ||
        major != H5_VERS_MAJOR || minor != H5_VERS_MINOR) {
        (void)snprintf(text, ST_HDF5_TEXT_BYTES, "%s has version %u.%u, expected %d.%d", ST_WITH_HDF5, major, minor,
                       H5_VERS_MAJOR, H5_VERS_MINOR);
        return false;
    }
    for (int t = 0; t < ST_STORED_COUNT; t++) {
        st_libhdf5.stored[t] = -1;
        (void)(stored_names[t] != NULL && find_constant(&st_libhdf5.stored[t], library, stored_names[t]));
    }
    (void)st_libhdf5.H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return find_constant(&st_libhdf5.bytes, library, "H5T_NATIVE_UCHAR_g") &&
           find_constant(&st_libhdf5.floats, library, "H5T_NATIVE_FLOAT_g") &&
           find_constant(&st_libhdf5.doubles, library, "H5T_NATIVE_DOUBLE_g") &&
           find_constant(&st_libhdf5.text, library, "H5T_C_S1_g") &&
           find_constant(&st_libhdf5.opening_file, library, "H5P_CLS_FILE_ACCESS_ID_g") &&
           find_constant(&st_libhdf5.opening_set, library, "H5P_CLS_DATASET_ACCESS_ID_g");
}

/* The innermost of the library's words; every other call forgets them. */
static char words[ST_HDF5_TEXT_BYTES];

static herr_t take_words(unsigned depth, const H5E_error2_t *error, void *text) {
    if (depth == 0) {
        (void)snprintf(text, ST_HDF5_TEXT_BYTES, "%s", error->desc != NULL ? error->desc : "");
    }
    return 0;
}

bool st_hdf5_is_done(hid_t result) {
    if (result < 0) {
        words[0] = '\0';
        (void)st_libhdf5.H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_words, words);
    }
    return result >= 0;
}

/* ---- answers ---- */

_Noreturn void st_hdf5_stop(void) {
    _exit(0); /* not exit: what the parent has registered is the parent's */
}

void st_hdf5_say(const st_hdf5_answer *answer, const void *bytes) {
    if (!st_child_say(answer, sizeof *answer) || (answer->bytes > 0 && !st_child_say(bytes, answer->bytes))) {
        st_hdf5_stop();
    }
}

void st_hdf5_say_trouble(st_hdf5_trouble trouble, uint64_t place, double value) {
    st_hdf5_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.trouble = (uint32_t)trouble;
    answer.place = place;
    answer.low = value;
    if (trouble == ST_HDF5_NOT_READ || trouble == ST_HDF5_NOT_OPENED) {
        memcpy(answer.text, words, sizeof words);
    }
    st_hdf5_say(&answer, NULL);
}

void st_hdf5_say_bytes(const void *bytes, uint64_t count, uint64_t place) {
    st_hdf5_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.bytes = count;
    answer.place = place;
    st_hdf5_say(&answer, bytes);
}

#endif
