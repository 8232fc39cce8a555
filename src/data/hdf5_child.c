/* Pictures, labels and names of classes in the child that has libhdf5 (formats/hdf5.h), as hdf5_ask.c asks for them. */
#include "data/hdf5.h"

#ifdef ST_WITH_HDF5

#include <math.h>
#include <string.h>

#include "formats/hdf5_child.h"

static bool is_whole(double value) {
    return value >= -9e15 && value <= 9e15 && value == (double)(int64_t)value;
}

static void answer_range(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    st_hdf5_answer answer;
    st_hdf5_reading of;
    bool has_nan = false;
    memset(&answer, 0, sizeof answer);
    answer.low = INFINITY;
    answer.high = -INFINITY;
    if (!st_hdf5_begin(&of, in, asked, st_libhdf5.doubles, sizeof(double))) {
        st_hdf5_end(&of);
        return;
    }
    for (uint64_t i = 0; i < of.items; i += of.step) {
        size_t count = st_hdf5_step_at(&of, i) * (size_t)of.values;
        const double *values = (const double *)(const void *)of.buffer;
        if (!st_hdf5_read_step(&of, i, st_hdf5_step_at(&of, i))) {
            st_hdf5_end(&of);
            return;
        }
        for (size_t k = 0; k < count; k++) {
            answer.low = values[k] < answer.low ? values[k] : answer.low;
            answer.high = values[k] > answer.high ? values[k] : answer.high;
            has_nan = has_nan || values[k] != values[k];
        }
    }
    st_hdf5_end(&of);
    answer.low = has_nan ? NAN : answer.low;
    st_hdf5_say(&answer, NULL);
}

/* Values to bytes; the parent has asked for their range before. */
static void scale_values(const double *values, uint8_t *out, size_t count, double scale) {
    for (size_t k = 0; k < count; k++) {
        double value = values[k] * scale + 0.5;
        out[k] = value >= 255.0 ? 255 : value > 0.0 ? (uint8_t)value : 0;
    }
}

/* (c, h, w) to (h, w, c). */
static void turn(const uint8_t *from, uint8_t *to, const st_hdf5_set *set) {
    size_t channels = (size_t)set->dims[1], area = (size_t)(set->dims[2] * set->dims[3]);
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < area; p++) {
            to[p * channels + c] = from[c * area + p];
        }
    }
}

static bool send_pixels(st_hdf5_reading *of, uint8_t *bytes, uint8_t *turned, bool is_bytes) {
    for (uint64_t i = 0; i < of->items; i += of->step) {
        size_t step = st_hdf5_step_at(of, i), one = (size_t)of->values, all = step * one;
        if (!st_hdf5_read_step(of, i, step)) {
            return false;
        }
        uint8_t *pixels = of->buffer;
        if (!is_bytes) {
            scale_values((const double *)(const void *)of->buffer, bytes, all, of->asked->scale);
            pixels = bytes;
        }
        if (turned != NULL) {
            for (size_t k = 0; k < step; k++) {
                turn(pixels + k * one, turned + k * one, of->set);
            }
            pixels = turned;
        }
        st_hdf5_say_bytes(pixels, all, i);
    }
    return true;
}

static void answer_pixels(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    bool is_bytes = in->sets[asked->set].type == ST_HDF5_BYTES, turns = asked->channels_first != 0;
    uint8_t *bytes = NULL, *turned = NULL;
    st_hdf5_reading of;
    bool is_begun = is_bytes ? st_hdf5_begin(&of, in, asked, st_libhdf5.bytes, 1)
                             : st_hdf5_begin(&of, in, asked, st_libhdf5.doubles, sizeof(double));
    size_t room = is_begun ? of.step * (size_t)of.values : 0;
    bytes = is_begun && !is_bytes ? st_sys.allocate(room) : NULL;
    turned = is_begun && turns ? st_sys.allocate(room) : NULL;
    if (is_begun && ((!is_bytes && bytes == NULL) || (turns && turned == NULL))) {
        st_hdf5_say_trouble(ST_HDF5_NO_MEMORY, 0, 0);
    } else if (is_begun) {
        (void)send_pixels(&of, bytes, turned, is_bytes);
    }
    if (bytes != NULL) {
        st_sys.release(bytes, room);
    }
    if (turned != NULL) {
        st_sys.release(turned, room);
    }
    st_hdf5_end(&of);
}

/* The number of an item: its one value, or the place of the 1 among zeros. */
static bool find_number(int32_t *out, const double *values, size_t count, uint64_t place) {
    size_t ones = 0;
    if (count == 1) {
        if (!is_whole(values[0]) || values[0] < INT32_MIN || values[0] > INT32_MAX) {
            st_hdf5_say_trouble(ST_HDF5_BAD_VALUE, place, values[0]);
            return false;
        }
        *out = (int32_t)values[0];
        return true;
    }
    for (size_t k = 0; k < count; k++) {
        if (values[k] == 1.0) {
            *out = (int32_t)k;
            ones++;
        } else if (values[k] != 0.0) {
            ones = 2;
            break;
        }
    }
    if (ones != 1) {
        st_hdf5_say_trouble(ST_HDF5_BAD_ROW, place, 0);
    }
    return ones == 1;
}

static void answer_numbers(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    enum { MOST_AT_ONCE = 4096 };
    int32_t numbers[MOST_AT_ONCE];
    st_hdf5_reading of;
    bool goes_on = st_hdf5_begin(&of, in, asked, st_libhdf5.doubles, sizeof(double));
    of.step = of.step < MOST_AT_ONCE ? of.step : MOST_AT_ONCE; /* the buffer keeps its size */
    for (uint64_t i = 0; goes_on && i < of.items; i += of.step) {
        size_t count = st_hdf5_step_at(&of, i);
        goes_on = st_hdf5_read_step(&of, i, count);
        for (size_t k = 0; goes_on && k < count; k++) {
            const double *values = (const double *)(const void *)of.buffer + k * (size_t)of.values;
            goes_on = find_number(&numbers[k], values, (size_t)of.values, i + k);
        }
        if (goes_on) {
            st_hdf5_say_bytes(numbers, count * sizeof *numbers, i);
        }
    }
    st_hdf5_end(&of);
}

/* Texts of any length and form, each cut to ST_HDF5_CLASS_BYTES. */
static void answer_classes(const st_hdf5_listing *in, const st_hdf5_question *asked) {
    st_hdf5_reading of;
    hid_t from = st_hdf5_open_set(in, &in->sets[asked->set]);
    hid_t stored = st_libhdf5.H5Dget_type(from), type = st_libhdf5.H5Tcopy(st_libhdf5.text);
    bool is_variable = st_libhdf5.H5Tis_variable_str(stored) > 0;
    (void)st_libhdf5.H5Tset_size(type, is_variable ? H5T_VARIABLE : ST_HDF5_CLASS_BYTES);
    (void)st_libhdf5.H5Tset_cset(type, st_libhdf5.H5Tget_cset(stored));
    (void)st_libhdf5.H5Tclose(stored);
    (void)st_libhdf5.H5Dclose(from);
    bool goes_on = st_hdf5_begin(&of, in, asked, type, is_variable ? sizeof(char *) : ST_HDF5_CLASS_BYTES);
    for (uint64_t i = 0; goes_on && i < of.items; i += of.step) {
        size_t count = st_hdf5_step_at(&of, i);
        goes_on = st_hdf5_read_step(&of, i, count);
        for (size_t k = 0; goes_on && k < count; k++) {
            char text[ST_HDF5_CLASS_BYTES] = "";
            const char *found = (const char *)of.buffer + k * ST_HDF5_CLASS_BYTES;
            if (is_variable) {
                memcpy(&found, of.buffer + k * sizeof found, sizeof found);
            }
            if (found != NULL) {
                memcpy(text, found, strnlen(found, sizeof text - 1));
            }
            st_hdf5_say_bytes(text, sizeof text, i + k);
        }
    }
    (void)st_libhdf5.H5Tclose(type);
    st_hdf5_end(&of);
}

static void answer(st_hdf5_listing *in, const st_hdf5_question *asked) {
    if (asked->what == ST_HDF5_LIST) {
        st_hdf5_answer_list(in);
        return;
    }
    if (asked->set >= in->count) {
        st_hdf5_stop();
    }
    switch (asked->what) {
    case ST_HDF5_RANGE:
        answer_range(in, asked);
        break;
    case ST_HDF5_PIXELS:
        answer_pixels(in, asked);
        break;
    case ST_HDF5_NUMBERS:
        answer_numbers(in, asked);
        break;
    case ST_HDF5_CLASSES:
        answer_classes(in, asked);
        break;
    default:
        st_hdf5_stop();
    }
}

void st_hdf5_serve_pictures(void) {
    st_hdf5_serve(answer);
}

#endif
