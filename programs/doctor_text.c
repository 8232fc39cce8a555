/* What the doctor found, for a person: what is there, then what to look at, the worst first, then what to do next. */
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

enum { MOST_CLASSES = 40, MOST_EXAMPLES = 5, MOST_TWINS = 4, FILE_WIDTH = 60, LINE_WIDTH = 78 };

/* ---- names ---- */

static bool is_control(const char *s, size_t i) {
    unsigned char c = (unsigned char)s[i];
    bool is_c1 = i > 0 && c >= 0x80 && c < 0xA0 && (unsigned char)s[i - 1] == 0xC2;
    return c < 0x20 || c == 0x7F || is_c1;
}

static bool continues(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

void text_add_file(text *out, const strata_dataset *data, strata_place place, size_t most) {
    char name[256];
    strata_dataset_file(data, place.part, place.index, name);
    size_t length = strlen(name), head = length, tail = length;
    if (length > most) {
        head = most / 2 - 1;
        tail = length - (most - head - 2);
        while (head > 0 && continues(name[head])) {
            head--;
        }
        while (tail < length && continues(name[tail])) {
            tail++;
        }
    }
    for (size_t i = 0; i < length; i++) {
        if (i == head && tail > head) {
            text_add(out, "..");
            i = tail;
        }
        if (is_control(name, i)) {
            text_add(out, "?");
        } else if (i < length) {
            text_add_bytes(out, name + i, 1);
        }
    }
}

/* ---- what is there ---- */

static void print_parts(const strata_dataset *d) {
    bool is_first = true;
    printf("  ");
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        size_t count = strata_dataset_count(d, (strata_part)part);
        if (count > 0) {
            printf("%s%s %s%s", is_first ? "" : ", ", part_name((strata_part)part), count_text((int64_t)count).s,
                   part == STRATA_VAL && strata_dataset_was_held_out(d) ? " held out" : "");
            is_first = false;
        }
    }
    printf("\n");
}

static label size_text(strata_shape shape) {
    label out;
    snprintf(out.s, sizeof out.s, "%lldx%lld", (long long)shape.width, (long long)shape.height);
    return out;
}

static void print_head(const patient *of) {
    const strata_checkup *found = of->checkup;
    strata_shape shape = strata_dataset_shape(of->data);
    printf("%s   %s: %s picture%s", safe_text(strata_dataset_name(of->data)).s,
           safe_text(strata_dataset_kind(of->data)).s, count_text((int64_t)found->count).s,
           found->count == 1 ? "" : "s");
    if (shape.height > 0) {
        printf(" of %s", shape_text(shape, false).s);
    }
    size_t classes = strata_dataset_class_count(of->data);
    printf(", %s class%s", count_text((int64_t)classes).s, classes == 1 ? "" : "es");
    if (found->bytes > 0) {
        printf(", %s", bytes_text(found->bytes).s);
    }
    printf("\n");
    print_parts(of->data);
    if (shape.height == 0) {
        printf("  %s to %s, the median %s; %.0fx%.0f on average\n", size_text(found->smallest).s,
               size_text(found->largest).s, size_text(found->median).s, found->width, found->height);
    }
}

static void print_classes(const strata_dataset *d) {
    char alignment[TABLE_COLUMNS] = "l";
    table t = {.alignment = alignment, .column_count = 1};
    table_cell(&t, "class");
    for (int part = 0; part < STRATA_PART_COUNT; part++) {
        if (strata_dataset_count(d, (strata_part)part) > 0) {
            table_cell(&t, "%s", part_name((strata_part)part));
            alignment[t.column_count++] = 'r';
        }
    }
    size_t count = strata_dataset_class_count(d), shown = count > MOST_CLASSES ? MOST_CLASSES : count;
    for (size_t i = 0; i < shown; i++) {
        table_cell(&t, "%s", safe_text(strata_dataset_class(d, i)).s);
        for (int part = 0; part < STRATA_PART_COUNT; part++) {
            if (strata_dataset_count(d, (strata_part)part) > 0) {
                table_cell(&t, "%s", count_text((int64_t)strata_dataset_class_size(d, (strata_part)part, i)).s);
            }
        }
    }
    table_print(&t, "  ", true);
    if (shown < count) {
        printf("  ... and %s more; --json has all\n", count_text((int64_t)(count - shown)).s);
    }
}

static void print_statistics(const patient *of) {
    int64_t channels = strata_dataset_shape(of->data).channels, shown = channels > 4 ? 4 : channels;
    if (strata_dataset_count(of->data, STRATA_TRAIN) == 0) {
        return;
    }
    printf("mean");
    for (int64_t i = 0; i < shown; i++) {
        printf(" %.3f", of->checkup->mean[i]);
    }
    printf("   deviation");
    for (int64_t i = 0; i < shown; i++) {
        printf(" %.3f", of->checkup->deviation[i]);
    }
    printf("   (of the training pixels, 0 to 1)\n");
}

/* ---- what to look at ---- */

static void print_rest(size_t shown, size_t count) {
    if (shown < count) {
        printf("    ... and %s more; --json has all\n", count_text((int64_t)(count - shown)).s);
    }
}

static void print_broken(const strata_dataset *d) {
    size_t count = strata_dataset_broken_count(d), shown = count > MOST_EXAMPLES ? MOST_EXAMPLES : count;
    if (count == 0) {
        return;
    }
    printf("  %s broken, left out in training; --strict refuses\n", count_text((int64_t)count).s);
    for (size_t i = 0; i < shown; i++) {
        const char *reason = NULL, *name = strata_dataset_broken(d, i, &reason);
        text line = {0};
        text_add_safe(&line, name);
        printf("    %s: %s\n", line.bytes, reason);
        text_free(&line);
    }
    print_rest(shown, count);
}

/* Groups are told once, as the worst that they are. */
typedef enum kind { LABELS, PARTS, WITHIN, KIND_COUNT } kind;

static kind kind_of(const strata_alike *group) {
    return group->has_labels ? LABELS : group->has_parts ? PARTS : WITHIN;
}

static void print_group(const patient *of, const strata_alike *group, const char *sign) {
    text line = {0};
    size_t shown = group->count > MOST_TWINS ? MOST_TWINS : group->count, width = 4;
    text_add(&line, "    ");
    for (size_t i = 0; i < shown; i++) {
        text one = {0};
        strata_place place = group->places[i];
        text_add_file(&one, of->data, place, FILE_WIDTH);
        if (group->has_labels) {
            int which = strata_dataset_label(of->data, place.part, place.index);
            text_add(&one, " (%s)", safe_text(strata_dataset_class(of->data, (size_t)which)).s);
        }
        if (i > 0 && width + 3 + text_width(one.bytes) > LINE_WIDTH) {
            text_add(&line, "\n      %s ", sign);
            width = 8;
        } else if (i > 0) {
            text_add(&line, " %s ", sign);
            width += 3;
        }
        text_add(&line, "%s", one.bytes);
        width += text_width(one.bytes);
        text_free(&one);
    }
    if (shown < group->count) {
        text_add(&line, " and %s more", count_text((int64_t)(group->count - shown)).s);
    }
    puts(line.bytes);
    text_free(&line);
}

static void print_groups(const patient *of, const strata_alike *groups, size_t count, kind which, bool is_near) {
    static const char *const said[KIND_COUNT][2] = {
        [LABELS] = {"under several labels: one at most is right", "look nearly the same and have several labels"},
        [PARTS] = {"in more than one part: what is tested was learned", "look nearly the same in more than one part"},
        [WITHIN] = {"more than once in one part", "look nearly the same in one part"},
    };
    size_t all = 0, shown = 0;
    for (size_t i = 0; i < count; i++) {
        all += kind_of(&groups[i]) == which;
    }
    if (all == 0) {
        return;
    }
    printf("  %s %s%s %s\n", count_text((int64_t)all).s, is_near ? "group" : "picture", all == 1 ? "" : "s",
           said[which][is_near]);
    for (size_t i = 0; i < count && shown < MOST_EXAMPLES; i++) {
        if (kind_of(&groups[i]) == which) {
            print_group(of, &groups[i], is_near ? "~" : "=");
            shown++;
        }
    }
    print_rest(shown, all);
}

static void print_findings(const patient *of, const strata_finding *findings, size_t count, const char *word) {
    size_t shown = count > MOST_EXAMPLES ? MOST_EXAMPLES : count;
    if (count == 0) {
        return;
    }
    printf("  %s %s\n", count_text((int64_t)count).s, word);
    for (size_t i = 0; i < shown; i++) {
        text name = {0};
        text_add_file(&name, of->data, findings[i].place, FILE_WIDTH);
        printf("    %s: %s\n", name.bytes, findings[i].reason);
        text_free(&name);
    }
    print_rest(shown, count);
}

/* "2 classes have few pictures to learn from: hat 5, shirt 12". */
static void print_few(const strata_dataset *d) {
    text list = {0};
    size_t few = 0;
    for (size_t i = 0; i < strata_dataset_class_count(d); i++) {
        size_t size = strata_dataset_class_size(d, STRATA_TRAIN, i);
        if (size > 0 && size < FEW_PICTURES && few++ < MOST_EXAMPLES) {
            text_add(&list, "%s%s %zu", few > 1 ? ", " : "", safe_text(strata_dataset_class(d, i)).s, size);
        }
    }
    if (few > 0) {
        printf("  %s class%s few pictures to learn from: %s%s\n", count_text((int64_t)few).s,
               few == 1 ? " has" : "es have", list.bytes, few > MOST_EXAMPLES ? ", ..." : "");
    }
    text_free(&list);
}

static void print_uneven(const strata_dataset *d) {
    size_t most = 0, least = 0, largest = 0, smallest = 0;
    for (size_t i = 0; i < strata_dataset_class_count(d); i++) {
        size_t size = strata_dataset_class_size(d, STRATA_TRAIN, i);
        if (size > most) {
            most = size;
            largest = i;
        }
        if (size > 0 && (least == 0 || size < least)) {
            least = size;
            smallest = i;
        }
    }
    if (least > 0 && most >= least * UNEVEN_FACTOR) {
        printf("  uneven classes: %s has %s pictures, ", safe_text(strata_dataset_class(d, largest)).s,
               count_text((int64_t)most).s);
        printf("%s %s; train with --balance\n", safe_text(strata_dataset_class(d, smallest)).s,
               count_text((int64_t)least).s);
    }
}

/* The first note is about broken pictures where there are some, which are told above. */
static void print_notes(const strata_dataset *d) {
    for (size_t i = strata_dataset_broken_count(d) > 0 ? 1 : 0; i < strata_dataset_note_count(d); i++) {
        printf("  %s\n", strata_dataset_note(d, i));
    }
}

/* "4 turned by EXIF, 11 grey, 1 CMYK: handled". */
static void print_modes(const patient *of) {
    const strata_checkup *found = of->checkup;
    bool is_grey = strata_dataset_shape(of->data).channels == 1;
    const struct {
        size_t count;
        const char *word;
    } modes[] = {
        {found->turned, "turned by EXIF"}, {is_grey ? 0 : found->grey, "grey"},  {found->cmyk, "CMYK"},
        {found->alpha, "with alpha"},      {found->deep, "of more than 8 bits"}, {found->palette, "with a palette"}};
    bool is_first = true;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        if (modes[i].count > 0) {
            printf("%s%s %s", is_first ? "  " : ", ", count_text((int64_t)modes[i].count).s, modes[i].word);
            is_first = false;
        }
    }
    if (!is_first) {
        printf(": handled\n");
    }
}

/* ---- what next ---- */

static void print_commands(const patient *of) {
    strata_shape shape = strata_dataset_shape(of->data);
    text train = {0}, sheet = {0};
    const char *commands[2], *reasons[2];
    size_t count = 0;
    if (of->sheet == NULL) {
        text_add(&sheet, "data ");
        text_add_shell(&sheet, of->path);
        text_add(&sheet, " --sheet sheet.png");
        commands[count] = sheet.bytes;
        reasons[count++] = "see some of every class";
    }
    /* A network that is known to take these pictures, or none named. */
    if (shape.channels == 1 && shape.height > 0 && shape.height <= 32 && shape.width <= 32 &&
        strata_dataset_class_count(of->data) == 10) {
        text_add(&train, "train lenet5 --data ");
        text_add_shell(&train, of->path);
        commands[count] = train.bytes;
        reasons[count++] = NULL;
    }
    print_next(commands, reasons, count);
    text_free(&train);
    text_free(&sheet);
}

void doctor_print(const patient *of, bool is_quiet) {
    const strata_checkup *found = of->checkup;
    print_head(of);
    if (is_quiet) {
        return;
    }
    print_classes(of->data);
    print_broken(of->data);
    for (int which = 0; which < KIND_COUNT; which++) {
        print_groups(of, found->duplicates, found->duplicate_count, (kind)which, false);
        print_groups(of, found->near_duplicates, found->near_duplicate_count, (kind)which, true);
    }
    print_findings(of, found->blank, found->blank_count, "blank");
    print_findings(of, found->odd, found->odd_count, "unlike the others");
    print_notes(of->data);
    print_few(of->data);
    print_uneven(of->data);
    print_modes(of);
    print_statistics(of);
    if (of->sheet != NULL) {
        printf("sheet   %s\n", safe_text(of->sheet).s);
    }
    print_commands(of);
}
