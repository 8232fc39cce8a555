/* The doctor's contact sheet: some of every class, spread over it, then what was found more than once or is blank or
 * odd, so that a person can see whether it matters. */
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

enum {
    COLUMNS = 8,
    MOST_ROWS = 60,   /* classes with a row of their own; more have one picture each */
    MOST_FINDINGS = 8 /* groups or pictures of each kind of finding */
};

static const uint32_t BAD = 0xD03A2F, DOUBTFUL = 0xE0A020;

/* What a sheet is made with. */
typedef struct album {
    const patient *of;
    strata_sheet *sheet;
    strata_picture picture; /* room */
    strata_place *members;  /* of all parts, class by class, training first */
    size_t *starts;         /* [classes + 1], in members */
} album;

/* ---- one picture ---- */

/* "0012.jpg"; of a file that holds many the number alone, "#12". */
static void add_short_name(text *out, const strata_dataset *data, strata_place place) {
    char name[256];
    strata_dataset_file(data, place.part, place.index, name);
    const char *slash = strrchr(name, '/'), *colon = strrchr(name, ':');
    bool is_number = colon != NULL && colon[1] != '\0' && strspn(colon + 1, "0123456789") == strlen(colon + 1);
    if (is_number) {
        text_add(out, "#%s", colon + 1);
    } else {
        text_add(out, "%s", slash != NULL ? slash + 1 : name);
    }
}

/* `note` NULL: the picture's size, where sizes differ. */
static strata_status add_picture(album *to, strata_place place, const char *note, uint32_t frame, strata_error *err) {
    const strata_dataset *data = to->of->data;
    text name = {0}, size = {0};
    int which;
    strata_status status = strata_dataset_picture(&to->picture, data, place.part, place.index, &which, err);
    if (status != STRATA_OK) {
        return status;
    }
    add_short_name(&name, data, place);
    if (note == NULL && strata_dataset_shape(data).height == 0) {
        text_add(&size, "%lldx%lld", (long long)to->picture.shape.width, (long long)to->picture.shape.height);
        note = size.bytes;
    }
    status = strata_sheet_add(to->sheet, &to->picture, name.bytes, note, frame, err);
    text_free(&name);
    text_free(&size);
    return status;
}

/* ---- classes ---- */

static void list_members(album *to) {
    const strata_dataset *data = to->of->data;
    size_t classes = strata_dataset_class_count(data), all = to->of->checkup->count;
    to->members = take(NULL, (all + 1) * sizeof *to->members);
    to->starts = take(NULL, (classes + 2) * sizeof *to->starts);
    memset(to->starts, 0, (classes + 2) * sizeof *to->starts);
    size_t *next = to->starts + 1; /* where the next member of a class goes; in the end, where the next class starts */
    for (size_t c = 0; c < classes; c++) {
        next[c + 1] = next[c];
        for (int part = 0; part < STRATA_PART_COUNT; part++) {
            next[c + 1] += strata_dataset_class_size(data, (strata_part)part, c);
        }
    }
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        for (size_t i = 0; i < strata_dataset_count(data, (strata_part)part); i++) {
            int which = strata_dataset_label(data, (strata_part)part, i);
            to->members[next[which]++] = (strata_place){(strata_part)part, i};
        }
    }
}

static void add_class_heading(text *out, const strata_dataset *data, size_t c) {
    text_add(out, "%s  ", strata_dataset_class(data, c));
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        if (strata_dataset_count(data, (strata_part)part) > 0) {
            text_add(out, "  %s %s", part_name((strata_part)part),
                     count_text((int64_t)strata_dataset_class_size(data, (strata_part)part, c)).s);
        }
    }
}

/* Evenly over the class's training pictures; over the others where it has none. */
static strata_status add_class(album *to, size_t c, size_t most, strata_error *err) {
    size_t learned = strata_dataset_class_size(to->of->data, STRATA_TRAIN, c);
    size_t count = learned > 0 ? learned : to->starts[c + 1] - to->starts[c];
    size_t shown = count < most ? count : most;
    strata_status status = STRATA_OK;
    for (size_t i = 0; i < shown && status == STRATA_OK; i++) {
        size_t at = shown > 1 ? i * (count - 1) / (shown - 1) : 0;
        const char *note = most == 1 ? strata_dataset_class(to->of->data, c) : NULL;
        status = add_picture(to, to->members[to->starts[c] + at], note, 0, err);
    }
    return status;
}

static strata_status add_classes(album *to, strata_error *err) {
    const strata_dataset *data = to->of->data;
    size_t classes = strata_dataset_class_count(data), most = classes <= MOST_ROWS ? COLUMNS : 1;
    strata_status status = STRATA_OK;
    size_t room = STRATA_SHEET_MOST - 4 * COLUMNS * MOST_FINDINGS;
    for (size_t c = 0; c < classes && status == STRATA_OK && strata_sheet_count(to->sheet) < room; c++) {
        if (most > 1 && to->starts[c + 1] > to->starts[c]) {
            text heading = {0};
            add_class_heading(&heading, data, c);
            strata_sheet_row(to->sheet, heading.bytes);
            text_free(&heading);
        }
        status = add_class(to, c, most, err);
    }
    return status;
}

/* ---- findings ---- */

static strata_status add_groups(album *to, const strata_alike *groups, size_t count, bool is_near, strata_error *err) {
    const strata_dataset *data = to->of->data;
    size_t shown = 0;
    strata_status status = STRATA_OK;
    for (int is_bad = 1; is_bad >= 0; is_bad--) { /* those between parts and labels first */
        for (size_t g = 0; g < count && shown < MOST_FINDINGS && status == STRATA_OK; g++) {
            const strata_alike *group = &groups[g];
            if ((group->has_parts || group->has_labels) != (is_bad != 0)) {
                continue;
            }
            text heading = {0};
            text_add(&heading, "%s%s%s", is_near ? "nearly the same" : "the same pixels",
                     group->has_parts ? ", in more than one part" : "",
                     group->has_labels ? ", under several labels" : "");
            strata_sheet_row(to->sheet, heading.bytes);
            text_free(&heading);
            shown++;
            for (size_t i = 0; i < group->count && i < COLUMNS && status == STRATA_OK; i++) {
                strata_place place = group->places[i];
                text note = {0};
                text_add(&note, "%s %s", part_name(place.part),
                         strata_dataset_class(data, (size_t)strata_dataset_label(data, place.part, place.index)));
                status = add_picture(to, place, note.bytes, is_bad && !is_near ? BAD : DOUBTFUL, err);
                text_free(&note);
            }
        }
    }
    return status;
}

static strata_status add_findings(album *to, const strata_finding *list, size_t count, const char *heading,
                                  strata_error *err) {
    strata_status status = STRATA_OK;
    for (size_t i = 0; i < count && i < MOST_FINDINGS && status == STRATA_OK; i++) {
        if (i == 0) {
            strata_sheet_row(to->sheet, heading);
        }
        status = add_picture(to, list[i].place, list[i].reason, DOUBTFUL, err);
    }
    return status;
}

/* ---- the whole ---- */

/* Small pictures are enlarged, so that their pixels can be seen, but not to the size of photographs. */
static int tile_of(const strata_checkup *found) {
    int64_t side = found->largest.height > found->largest.width ? found->largest.height : found->largest.width;
    return side <= 32 ? (int)(3 * (side < 16 ? 16 : side)) : 128;
}

static strata_status fill(album *to, strata_error *err) {
    const strata_checkup *found = to->of->checkup;
    list_members(to);
    strata_status status = add_classes(to, err);
    if (status == STRATA_OK) {
        status = add_groups(to, found->duplicates, found->duplicate_count, false, err);
    }
    if (status == STRATA_OK) {
        status = add_groups(to, found->near_duplicates, found->near_duplicate_count, true, err);
    }
    if (status == STRATA_OK) {
        status = add_findings(to, found->blank, found->blank_count, "blank", err);
    }
    if (status == STRATA_OK) {
        status = add_findings(to, found->odd, found->odd_count, "unlike the others", err);
    }
    return status == STRATA_OK ? strata_sheet_write(to->sheet, to->of->sheet, err) : status;
}

int doctor_write_sheet(const patient *of) {
    album to = {.of = of};
    strata_error err;
    text title = {0};
    text_add(&title, "%s: %s pictures, %s classes", strata_dataset_name(of->data),
             count_text((int64_t)of->checkup->count).s, count_text((int64_t)strata_dataset_class_count(of->data)).s);
    strata_sheet_options options = {.title = title.bytes, .columns = COLUMNS, .tile = tile_of(of->checkup)};
    strata_status status = strata_sheet_create(&to.sheet, &options, &err);
    status = status == STRATA_OK ? fill(&to, &err) : status;
    strata_sheet_free(to.sheet);
    strata_picture_free(&to.picture);
    free(to.members);
    free(to.starts);
    text_free(&title);
    return status == STRATA_OK ? DONE : report(&err);
}
