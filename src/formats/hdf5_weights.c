/* The child's answers about weights: attributes, what a group holds, and whole data sets, all by their paths. A path is
 * followed link by link, and only along hard links. */
#include "formats/hdf5.h"

#ifdef ST_WITH_HDF5

#include <string.h>

#include "formats/hdf5_child.h"

/* ---- paths ---- */

/* The next part of a path; false at the end. */
static bool next_part(const char **at, char part[ST_HDF5_PATH_BYTES]) {
    size_t length = 0;
    while (**at == '/') {
        ++*at;
    }
    for (; **at != '\0' && **at != '/'; ++*at) {
        part[length++] = **at; /* the path ends, so it is no longer than that */
    }
    part[length] = '\0';
    return length > 0;
}

/* What `name` in a group leads to: an object, or -1 and why. */
static hid_t follow(hid_t group, const char *name, st_hdf5_fault *fault) {
    H5L_info_t link;
    *fault = ST_HDF5_ABSENT;
    if (st_libhdf5.H5Iget_type(group) != H5I_GROUP || strcmp(name, ".") == 0 ||
        st_libhdf5.H5Lexists(group, name, H5P_DEFAULT) <= 0) {
        return -1;
    }
    *fault = ST_HDF5_DAMAGED;
    if (st_libhdf5.H5Lget_info(group, name, &link, H5P_DEFAULT) < 0) {
        return -1;
    }
    if (link.type != H5L_TYPE_HARD) {
        *fault = link.type == H5L_TYPE_SOFT ? ST_HDF5_SOFT_LINK : ST_HDF5_EXTERNAL_LINK;
        return -1;
    }
    hid_t object = st_libhdf5.H5Oopen(group, name, H5P_DEFAULT);
    *fault = object >= 0 ? ST_HDF5_SOUND : ST_HDF5_DAMAGED;
    return object;
}

/* The object at a path, which the caller closes, or -1. */
static hid_t open_path(const st_hdf5_listing *in, const char *path, st_hdf5_fault *fault) {
    char part[ST_HDF5_PATH_BYTES];
    hid_t at = st_libhdf5.H5Gopen2(in->file, "/", H5P_DEFAULT);
    *fault = at >= 0 ? ST_HDF5_SOUND : ST_HDF5_DAMAGED;
    while (at >= 0 && next_part(&path, part)) {
        hid_t next = follow(at, part, fault);
        (void)st_libhdf5.H5Oclose(at);
        at = next;
    }
    return at;
}

/* ---- data sets ---- */

/* The data set at a path and what there is to say of it; -1 unless it is sound. */
static hid_t open_sound(st_hdf5_set *set, const st_hdf5_listing *in, const char *path) {
    st_hdf5_fault fault = ST_HDF5_SOUND;
    memset(set, 0, sizeof *set);
    hid_t at = open_path(in, path, &fault);
    bool is_set = at >= 0 && st_libhdf5.H5Iget_type(at) == H5I_DATASET;
    set->fault = at >= 0 && !is_set ? ST_HDF5_NOT_ONE : (uint32_t)fault;
    set->type = ST_HDF5_OTHER;
    if (is_set) {
        st_hdf5_describe_set(set, at, in->file_bytes);
    }
    if (at >= 0 && set->fault != ST_HDF5_SOUND) {
        (void)st_libhdf5.H5Oclose(at);
        at = -1;
    }
    return at;
}

static void answer_describe(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    st_hdf5_set set;
    hid_t at = open_sound(&set, in, asked->path);
    if (at >= 0) {
        (void)st_libhdf5.H5Oclose(at);
    }
    st_hdf5_say_bytes(&set, sizeof set, 0);
}

static void answer_values(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    st_hdf5_set set;
    size_t count = 1, bytes = 0;
    hid_t at = open_sound(&set, in, asked->path);
    bool fits = set.rank <= ST_HDF5_MOST_RANK;
    for (uint32_t d = 0; d < set.rank && d < ST_HDF5_MOST_RANK; d++) {
        fits = fits && set.dims[d] <= SIZE_MAX && st_size_mul(count, (size_t)set.dims[d], &count);
    }
    fits = fits && at >= 0 && st_size_mul(count, sizeof(float), &bytes) && bytes <= ST_HDF5_MOST_BAND;
    float *values = fits ? st_sys.allocate(bytes > 0 ? bytes : 1) : NULL;
    if (values == NULL) {
        st_hdf5_say_trouble(ST_HDF5_NO_MEMORY, 0, 0);
    } else if (!st_hdf5_is_done(st_libhdf5.H5Dread(at, st_libhdf5.floats, H5S_ALL, H5S_ALL, H5P_DEFAULT, values))) {
        st_hdf5_say_trouble(ST_HDF5_NOT_READ, 0, 0);
    } else {
        st_hdf5_say_bytes(values, bytes, 0);
    }
    if (values != NULL) {
        st_sys.release(values, bytes > 0 ? bytes : 1);
    }
    if (at >= 0) {
        (void)st_libhdf5.H5Oclose(at);
    }
}

/* ---- texts ---- */

static void say_words(st_text *words, uint64_t most) {
    if (words->failed) {
        st_hdf5_say_trouble(ST_HDF5_NO_MEMORY, 0, 0);
    } else if (words->length > most) {
        st_hdf5_say_trouble(ST_HDF5_TOO_LONG, 0, 0);
    } else {
        st_hdf5_say_bytes(words->bytes, words->length, 0);
    }
    st_text_free(words);
}

static uint64_t most_words(const st_hdf5_listing *in) {
    return in->file_bytes < UINT64_MAX / 2 ? in->file_bytes * 2 : UINT64_MAX;
}

/* `count` texts, each `size` bytes or a pointer. */
static void add_words(st_text *to, const char *buffer, size_t count, size_t size, bool is_variable, uint64_t most) {
    for (size_t i = 0; i < count && to->length <= most; i++) {
        const char *word = buffer + i * size;
        if (is_variable) {
            memcpy(&word, buffer + i * size, sizeof word);
        }
        size_t length = word == NULL ? 0 : is_variable ? strlen(word) : strnlen(word, size);
        if (length > 0) {
            st_text_add_bytes(to, word, length);
        }
        st_text_add_bytes(to, "", 1);
    }
}

/* The texts of an open attribute, of which there are `count`. */
static void answer_texts(const st_hdf5_listing *in, hid_t attribute, hid_t type, hid_t space, size_t count) {
    st_text words = {0};
    size_t size = st_libhdf5.H5Tget_size(type), bytes = 0;
    bool is_variable = st_libhdf5.H5Tis_variable_str(type) > 0;
    if (st_libhdf5.H5Tget_class(type) != H5T_STRING || size == 0) {
        st_hdf5_say_trouble(ST_HDF5_NO_TEXTS, 0, 0);
        return;
    }
    if (!st_size_mul(count, size, &bytes) || bytes > in->file_bytes) {
        st_hdf5_say_trouble(ST_HDF5_TOO_LONG, 0, 0);
        return;
    }
    char *buffer = st_sys.allocate(bytes);
    if (buffer == NULL) {
        st_hdf5_say_trouble(ST_HDF5_NO_MEMORY, 0, 0);
        return;
    }
    memset(buffer, 0, bytes);
    if (st_hdf5_is_done(st_libhdf5.H5Aread(attribute, type, buffer))) {
        add_words(&words, buffer, count, size, is_variable, most_words(in));
        say_words(&words, most_words(in));
        if (is_variable) {
            (void)st_libhdf5.H5Dvlen_reclaim(type, space, H5P_DEFAULT, buffer);
        }
    } else {
        st_hdf5_say_trouble(ST_HDF5_NOT_READ, 0, 0);
    }
    st_sys.release(buffer, bytes);
}

static void answer_attribute(const st_hdf5_listing *in, hid_t of, const char *name) {
    hid_t attribute = st_libhdf5.H5Aopen(of, name, H5P_DEFAULT);
    hid_t space = attribute >= 0 ? st_libhdf5.H5Aget_space(attribute) : -1;
    hid_t type = attribute >= 0 ? st_libhdf5.H5Aget_type(attribute) : -1;
    hssize_t count = space >= 0 ? st_libhdf5.H5Sget_simple_extent_npoints(space) : -1;
    if (count < 0 || type < 0) {
        (void)st_hdf5_is_done(-1);
        st_hdf5_say_trouble(ST_HDF5_NOT_READ, 0, 0);
    } else if (count == 0) { /* of any type: an empty list has none of its own */
        st_hdf5_say_bytes(NULL, 0, 0);
    } else if ((uint64_t)count > in->file_bytes) {
        st_hdf5_say_trouble(ST_HDF5_TOO_LONG, 0, 0);
    } else {
        answer_texts(in, attribute, type, space, (size_t)count);
    }
    if (type >= 0) {
        (void)st_libhdf5.H5Tclose(type);
    }
    if (space >= 0) {
        (void)st_libhdf5.H5Sclose(space);
    }
    if (attribute >= 0) {
        (void)st_libhdf5.H5Aclose(attribute);
    }
}

static void answer_words(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    st_hdf5_fault fault = ST_HDF5_SOUND;
    hid_t at = open_path(in, asked->path, &fault);
    htri_t has = at >= 0 ? st_libhdf5.H5Aexists(at, asked->attribute) : 0;
    if (at < 0 || has == 0) {
        st_hdf5_say_trouble(ST_HDF5_NOT_THERE, (uint64_t)fault, 0);
    } else if (!st_hdf5_is_done(has)) {
        st_hdf5_say_trouble(ST_HDF5_NOT_READ, 0, 0);
    } else {
        answer_attribute(in, at, asked->attribute);
    }
    if (at >= 0) {
        (void)st_libhdf5.H5Oclose(at);
    }
}

typedef struct names {
    st_text text;
    uint64_t most;
} names;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *link, void *to) {
    names *all = to;
    (void)group;
    (void)link;
    st_text_add_bytes(&all->text, name, strlen(name) + 1);
    return all->text.length > all->most || all->text.failed; /* ends it */
}

static void answer_names(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    names all = {.most = most_words(in)};
    st_hdf5_fault fault = ST_HDF5_SOUND;
    hid_t at = open_path(in, asked->path, &fault);
    if (at < 0) {
        st_hdf5_say_trouble(ST_HDF5_NOT_THERE, (uint64_t)fault, 0);
        return;
    }
    if (st_libhdf5.H5Iget_type(at) != H5I_GROUP) {
        st_hdf5_say_trouble(ST_HDF5_NOT_THERE, ST_HDF5_NOT_ONE, 0);
    } else if (!st_hdf5_is_done(st_libhdf5.H5Literate(at, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &all))) {
        st_text_free(&all.text);
        st_hdf5_say_trouble(ST_HDF5_NOT_READ, 0, 0);
    } else {
        say_words(&all.text, all.most);
    }
    (void)st_libhdf5.H5Oclose(at);
}

static void answer(st_hdf5_listing *in, const st_hdf5_question *asked) {
    switch (asked->what) {
    case ST_HDF5_DESCRIBE:
        answer_describe(in, asked);
        break;
    case ST_HDF5_WORDS:
        answer_words(in, asked);
        break;
    case ST_HDF5_NAMES:
        answer_names(in, asked);
        break;
    case ST_HDF5_VALUES:
        answer_values(in, asked);
        break;
    default:
        st_hdf5_stop();
    }
}

void st_hdf5_serve_weights(void) {
    st_hdf5_serve(answer);
}

#endif
