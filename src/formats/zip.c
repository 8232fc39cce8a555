/* Reading zip archives that others wrote. The directory at the end of the file is the table of contents; every member
 * has a header of its own in front of its bytes that says the same again, and what differs is refused: programs that
 * believe one of the two would see another file than those that believe the other.
 *
 *     | header, name, extra | bytes | sizes again, or nothing | next header ... | directory | end records |
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "formats/table.h"
#include "formats/zip.h"

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    HEADER_BYTES = 30,
    LONGEST_COMMENT = 65535,
    HAS_DESCRIPTOR = 1 << 3, /* flags: the sizes follow the bytes */
    IS_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
};

#define END_SIGN 0x06054b50u
#define END64_SIGN 0x06064b50u
#define LOCATOR_SIGN 0x07064b50u
#define ENTRY_SIGN 0x02014b50u
#define HEADER_SIGN 0x04034b50u
#define DESCRIPTOR_SIGN 0x08074b50u
#define IN_ZIP64 0xFFFFFFFFu /* a size or place that stands in the zip64 field */

typedef struct directory {
    uint64_t start, length, count;
} directory;

typedef struct sizes {
    uint64_t size, packed, header;
    bool has_wide; /* a zip64 field was there */
} sizes;

static uint64_t get(const unsigned char *bytes, size_t at, size_t size) {
    return st_stored_get(bytes + at, size);
}

/* ---- the end records ---- */

/* The zip64 end record, where there is one in front of the end record at `end`. What both say must agree. */
static strata_status read_end64(directory *out, const st_file *file, uint64_t end, bool needed, strata_error *err) {
    unsigned char locator[LOCATOR_BYTES], record[END64_BYTES];
    bool found = false;
    if (end >= LOCATOR_BYTES) {
        ST_TRY(st_file_at(file, locator, sizeof locator, end - LOCATOR_BYTES, err));
        found = get(locator, 0, 4) == LOCATOR_SIGN;
    }
    if (!found) {
        if (needed) {
            return st_fail_file(err, STRATA_FORMAT, file->path, "byte %" PRIu64 ": the zip64 end record is missing",
                                end);
        }
        return STRATA_OK;
    }
    uint64_t place = get(locator, 8, 8), most = end - LOCATOR_BYTES;
    if (place > most || most - place < END64_BYTES) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "byte %" PRIu64 ": the zip64 end record would be at %" PRIu64, end - LOCATOR_BYTES, place);
    }
    ST_TRY(st_file_at(file, record, sizeof record, place, err));
    directory wide = {.count = get(record, 32, 8), .length = get(record, 40, 8), .start = get(record, 48, 8)};
    bool fits = get(record, 0, 4) == END64_SIGN && get(record, 16, 8) == 0 && get(record, 24, 8) == wide.count &&
                (out->count == 0xFFFF || out->count == wide.count) &&
                (out->length == IN_ZIP64 || out->length == wide.length) &&
                (out->start == IN_ZIP64 || out->start == wide.start);
    if (!fits || wide.start > place || wide.length > place - wide.start) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "byte %" PRIu64 ": the zip64 end record and the end record differ", place);
    }
    *out = wide;
    return STRATA_OK;
}

/* The end record is last, with a comment of at most 64 KiB behind it. */
static strata_status find_end(directory *out, const st_file *file, st_arena *arena, strata_error *err) {
    unsigned char *tail = NULL;
    size_t length = file->length < END_BYTES + LONGEST_COMMENT ? (size_t)file->length : END_BYTES + LONGEST_COMMENT;
    ST_TRY(st_arena_alloc(&tail, arena, length, 1, err));
    ST_TRY(st_file_at(file, tail, length, file->length - length, err));
    for (size_t back = END_BYTES; back <= length; back++) {
        const unsigned char *record = tail + length - back;
        uint64_t place = file->length - back;
        if (get(record, 0, 4) != END_SIGN || get(record, 20, 2) != back - END_BYTES) {
            continue;
        }
        *out = (directory){.count = get(record, 10, 2), .length = get(record, 12, 4), .start = get(record, 16, 4)};
        if (get(record, 4, 2) != 0 || get(record, 6, 2) != 0 || get(record, 8, 2) != out->count) {
            return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                                "byte %" PRIu64 ": an archive in several parts is not read", place);
        }
        bool needed = out->count == 0xFFFF || out->length == IN_ZIP64 || out->start == IN_ZIP64;
        ST_TRY(read_end64(out, file, place, needed, err));
        if (out->start > place || out->length > place - out->start || out->length / ENTRY_BYTES < out->count) {
            return st_fail_file(err, STRATA_FORMAT, file->path,
                                "byte %" PRIu64 ": the directory would have %" PRIu64 " members in %" PRIu64
                                " bytes from %" PRIu64 " on",
                                place, out->count, out->length, out->start);
        }
        return STRATA_OK;
    }
    strata_status status = st_fail_file(err, STRATA_FORMAT, file->path, "the end of the zip archive is missing");
    st_error_hint(err, "a file that was cut looks like this");
    return status;
}

/* ---- entries ---- */

/* The zip64 field (1) in `extra`: 8 bytes for each of size, packed size and place that is all ones. */
static bool read_extra(sizes *out, const unsigned char *extra, size_t length, bool has_place) {
    uint64_t *wide[] = {&out->size, &out->packed, &out->header};
    for (size_t at = 0; length - at >= 4;) {
        size_t id = (size_t)get(extra, at, 2), end = (size_t)get(extra, at + 2, 2);
        at += 4;
        if (end > length - at) {
            return false;
        }
        for (size_t i = 0, from = at; id == 1 && i < (has_place ? 3u : 2u); i++) {
            if (*wide[i] == IN_ZIP64) {
                if (at + end - from < 8) {
                    return false;
                }
                *wide[i] = get(extra, from, 8);
                out->has_wide = true;
                from += 8;
            }
        }
        at += end;
    }
    return true;
}

/* Relative, of plain parts: nothing is unpacked here, but another program might. */
static bool is_plain_path(const char *name) {
    if (name[0] == '\0' || name[0] == '/' || strchr(name, '\\') != NULL || (name[0] != '\0' && name[1] == ':')) {
        return false;
    }
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0')) {
            return false;
        }
    }
    return true;
}

static strata_status read_name(st_zip_member *out, const unsigned char *bytes, size_t length, const st_file *file,
                               st_arena *arena, uint64_t place, strata_error *err) {
    char *name = NULL;
    if (length > ST_ZIP_LONGEST_NAME || memchr(bytes, 0, length) != NULL ||
        !st_text_is_utf8((const char *)bytes, length)) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "byte %" PRIu64 ": the name of a member is no text of at most %d bytes", place,
                            ST_ZIP_LONGEST_NAME);
    }
    ST_TRY(st_arena_text(&name, arena, (const char *)bytes, length, err));
    if (!is_plain_path(name)) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "byte %" PRIu64 ": member '%s' would leave the archive's folder", place, name);
    }
    out->name = name;
    return STRATA_OK;
}

/* One entry of the directory: *used bytes. `place` is its place in the file. */
static strata_status read_entry(st_zip_member *out, size_t *used, const unsigned char *bytes, size_t length,
                                const st_file *file, st_arena *arena, uint64_t place, strata_error *err) {
    if (length < ENTRY_BYTES || get(bytes, 0, 4) != ENTRY_SIGN) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "byte %" PRIu64 ": found no entry of the zip directory",
                            place);
    }
    size_t name = (size_t)get(bytes, 28, 2), extra = (size_t)get(bytes, 30, 2), comment = (size_t)get(bytes, 32, 2);
    if (length - ENTRY_BYTES < name + extra + comment) { /* three numbers below 2^16 */
        return st_fail_file(err, STRATA_FORMAT, file->path, "byte %" PRIu64 ": an entry reaches out of the directory",
                            place);
    }
    ST_TRY(read_name(out, bytes + ENTRY_BYTES, name, file, arena, place, err));
    sizes says = {.packed = get(bytes, 20, 4), .size = get(bytes, 24, 4), .header = get(bytes, 42, 4)};
    if (!read_extra(&says, bytes + ENTRY_BYTES + name, extra, true)) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "member '%s': its zip64 field is cut", out->name);
    }
    out->flags = (uint16_t)get(bytes, 8, 2);
    out->method = (uint16_t)get(bytes, 10, 2);
    if ((out->method == 0 && (out->flags & IS_ENCRYPTED) == 0 && says.packed != says.size) || get(bytes, 34, 2) != 0) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "member '%s' is stored, but its sizes are %" PRIu64 " and %" PRIu64, out->name, says.packed,
                            says.size);
    }
    out->packed = says.packed;
    out->checksum = (uint32_t)get(bytes, 16, 4);
    out->size = says.size;
    out->header = says.header;
    *used = ENTRY_BYTES + name + extra + comment;
    return STRATA_OK;
}

static strata_status read_directory(st_zip_member **members, const directory *from, const st_file *file,
                                    st_arena *arena, strata_error *err) {
    unsigned char *bytes = NULL;
    size_t at = 0, length = (size_t)from->length;
    if (from->length > ST_ZIP_LONGEST_DIRECTORY) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path, "a zip directory of %" PRIu64 " bytes, at most %d",
                            from->length, ST_ZIP_LONGEST_DIRECTORY);
    }
    ST_TRY(st_arena_alloc(&bytes, arena, length, 1, err));
    ST_TRY(st_file_at(file, bytes, length, from->start, err));
    ST_TRY(st_arena_alloc(members, arena, (size_t)from->count, sizeof **members, err)); /* count <= length / 46 */
    for (size_t i = 0; i < from->count; i++) {
        size_t used = 0;
        ST_TRY(read_entry(&(*members)[i], &used, bytes + at, length - at, file, arena, from->start + at, err));
        at += used;
    }
    if (at != length) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "byte %" PRIu64 ": %zu bytes in the zip directory behind its last entry", from->start + at,
                            length - at);
    }
    return STRATA_OK;
}

/* ---- the members' own headers ---- */

static strata_status differs(const st_zip_member *member, const st_file *file, const char *what, strata_error *err) {
    return st_fail_file(err, STRATA_FORMAT, file->path,
                        "member '%s': its header at byte %" PRIu64 " and the directory differ (%s)", member->name,
                        member->header, what);
}

/* The checksum and the sizes that follow the bytes: with a sign or without, in 4 bytes or 8. `limit`: where the next
 * member or the directory begins. */
static strata_status check_descriptor(const st_zip_member *member, const st_file *file, uint64_t limit,
                                      strata_error *err) {
    unsigned char bytes[24] = {0};
    uint64_t end = member->offset + member->packed;
    size_t have = limit - end < sizeof bytes ? (size_t)(limit - end) : sizeof bytes;
    ST_TRY(st_file_at(file, bytes, have, end, err));
    for (size_t sign = 0; sign <= 4; sign += 4) {
        for (size_t width = 4; width <= 8; width += 4) {
            if (have >= sign + 4 + 2 * width && (sign == 0 || get(bytes, 0, 4) == DESCRIPTOR_SIGN) &&
                get(bytes, sign, 4) == member->checksum && get(bytes, sign + 4, width) == member->packed &&
                get(bytes, sign + 4 + width, width) == member->size) {
                return STRATA_OK;
            }
        }
    }
    return st_fail_file(err, STRATA_FORMAT, file->path,
                        "member '%s': the sizes behind its bytes and the directory differ", member->name);
}

static strata_status check_header(st_zip_member *member, const st_file *file, uint64_t limit, strata_error *err) {
    unsigned char header[HEADER_BYTES], rest[ST_ZIP_LONGEST_NAME + 65535];
    if (member->header > limit || limit - member->header < HEADER_BYTES) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "member '%s' would begin at byte %" PRIu64 ", the next thing begins at %" PRIu64,
                            member->name, member->header, limit);
    }
    ST_TRY(st_file_at(file, header, sizeof header, member->header, err));
    size_t name = strlen(member->name), extra = (size_t)get(header, 28, 2);
    if (get(header, 0, 4) != HEADER_SIGN) {
        return differs(member, file, "no header is there", err);
    }
    if (get(header, 26, 2) != name || limit - member->header - HEADER_BYTES < name + extra) {
        return differs(member, file, "name", err);
    }
    ST_TRY(st_file_at(file, rest, name + extra, member->header + HEADER_BYTES, err));
    if (memcmp(rest, member->name, name) != 0) {
        return differs(member, file, "name", err);
    }
    if (get(header, 6, 2) != member->flags || get(header, 8, 2) != member->method) {
        return differs(member, file, "flags or method", err);
    }
    sizes says = {.packed = get(header, 18, 4), .size = get(header, 22, 4)};
    uint32_t checksum = (uint32_t)get(header, 14, 4);
    if (!read_extra(&says, rest + name, extra, false)) {
        return differs(member, file, "zip64 field", err);
    }
    member->offset = member->header + HEADER_BYTES + name + extra;
    if (member->packed > limit - member->offset) {
        return st_fail_file(err, STRATA_FORMAT, file->path,
                            "member '%s' would have %" PRIu64 " bytes, %" PRIu64 " are there", member->name,
                            member->packed, limit - member->offset);
    }
    bool follows = (member->flags & HAS_DESCRIPTOR) != 0;
    if (!(follows && checksum == 0) && checksum != member->checksum) {
        return differs(member, file, "checksum", err);
    }
    if (!(follows && says.size == 0 && says.packed == 0) &&
        (says.size != member->size || says.packed != member->packed)) {
        return differs(member, file, "size", err);
    }
    return follows ? check_descriptor(member, file, limit, err) : STRATA_OK;
}

static int compare_places(const void *a, const void *b) {
    const st_zip_member *one = a, *two = b;
    return one->header != two->header ? (one->header < two->header ? -1 : 1) : 0;
}

static int compare_names(const void *a, const void *b) {
    const st_zip_member *one = a, *two = b;
    return strcmp(one->name, two->name);
}

strata_status st_zip_read(st_zip *out, const st_file *file, st_arena *arena, strata_error *err) {
    directory from = {0};
    st_zip_member *members = NULL;
    ST_TRY(find_end(&from, file, arena, err));
    ST_TRY(read_directory(&members, &from, file, arena, err));
    size_t count = (size_t)from.count;
    if (count > 0) {
        qsort(members, count, sizeof *members, compare_places);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t limit = i + 1 < count ? members[i + 1].header : from.start;
        if (i + 1 < count && members[i].header == limit) {
            return st_fail_file(err, STRATA_FORMAT, file->path, "members '%s' and '%s' overlap", members[i].name,
                                members[i + 1].name);
        }
        ST_TRY(check_header(&members[i], file, limit, err));
    }
    if (count > 0) {
        qsort(members, count, sizeof *members, compare_names);
    }
    for (size_t i = 1; i < count; i++) {
        if (strcmp(members[i - 1].name, members[i].name) == 0) {
            return st_fail_file(err, STRATA_FORMAT, file->path, "member '%s' is there twice", members[i].name);
        }
    }
    out->members = members;
    out->count = count;
    return STRATA_OK;
}

/* ---- finding and taking ---- */

const st_zip_member *st_zip_find(const st_zip *zip, const char *name) {
    const st_zip_member wanted = {.name = name};
    return zip->count > 0 ? bsearch(&wanted, zip->members, zip->count, sizeof *zip->members, compare_names) : NULL;
}

static strata_status wrong_checksum(const st_zip_member *member, const st_file *file, uint32_t found,
                                    strata_error *err) {
    return st_fail_file(err, STRATA_FORMAT, file->path,
                        "member '%s' is damaged: its checksum is %08" PRIx32 ", the directory says %08" PRIx32,
                        member->name, found, member->checksum);
}

strata_status st_zip_is_stored(const st_zip_member *member, const st_file *file, strata_error *err) {
    if (member->method != 0 || (member->flags & IS_ENCRYPTED) != 0) {
        return st_fail_file(err, STRATA_UNSUPPORTED, file->path,
                            "member '%s' is %s: PyTorch stores members as they are, and nothing is unpacked here",
                            member->name, member->method != 0 ? "compressed" : "encrypted");
    }
    return STRATA_OK;
}

strata_status st_zip_take(char **out, const st_zip_member *member, const st_file *file, size_t limit, st_arena *arena,
                          strata_error *err) {
    ST_TRY(st_zip_is_stored(member, file, err));
    if (member->size > limit) {
        return st_fail_file(err, STRATA_FORMAT, file->path, "member '%s' has %" PRIu64 " bytes, at most %zu expected",
                            member->name, member->size, limit);
    }
    size_t size = (size_t)member->size;
    ST_TRY(st_arena_alloc(out, arena, size + 1, 1, err)); /* limit is small */
    ST_TRY(st_file_at(file, *out, size, member->offset, err));
    uint32_t found = (uint32_t)crc32_z(0, (const unsigned char *)*out, size);
    return found == member->checksum ? STRATA_OK : wrong_checksum(member, file, found, err);
}

strata_status st_zip_check(const st_zip_member *member, const st_file *file, strata_error *err) {
    unsigned char piece[64 << 10];
    uint32_t found = 0;
    for (uint64_t done = 0; done < member->size;) {
        size_t now = member->size - done < sizeof piece ? (size_t)(member->size - done) : sizeof piece;
        ST_TRY(st_file_at(file, piece, now, member->offset + done, err));
        found = (uint32_t)crc32_z(found, piece, now);
        done += now;
    }
    return found == member->checksum ? STRATA_OK : wrong_checksum(member, file, found, err);
}
