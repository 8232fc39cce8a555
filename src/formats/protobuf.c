/* protobuf: a walk over a file with the descriptors of its messages, before protobuf-c sees any of it.
 *
 *     message = { tag value } .     tag: field number << 3 | type, a varint
 *     value   = varint | 8 bytes | length bytes | 4 bytes .     types 0, 1, 2, 5
 *
 * What the type of a message knows is copied, with lengths of five bytes since what stays in the file is not counted in
 * them; a field that stays there is copied as a field of a number far above, which holds its place: protobuf-c keeps
 * fields that it does not know. Then protobuf-c unpacks the copy, with an allocator that ends where memory is no longer
 * in proportion to it. */
#include "formats/protobuf.h"

#ifdef ST_WITH_PROTOBUF
#include <inttypes.h>
#include <string.h>

#include "formats/formats.h"

enum { WINDOW = 4096, LENGTH_BYTES = 5, PLACE_BYTES = 16, PLACE_TAG = 1 << 20, MOST_FIELDS = 64 };

typedef enum wire_type { VARINT = 0, FIXED_64 = 1, BYTES = 2, FIXED_32 = 5 } wire_type;

typedef struct walk {
    const st_file *file;
    st_text copy;
    uint64_t at, stays; /* stays: bytes that were left in the file */
    unsigned char window[WINDOW];
    uint64_t window_at;
    size_t window_length;
} walk;

/* ---- what comes in ---- */

static strata_status next_byte(unsigned char *out, walk *w, uint64_t end, strata_error *err) {
    if (w->at >= end) {
        return st_fail_file(err, STRATA_FORMAT, w->file->path, "byte %" PRIu64 ": it ends inside a number", w->at);
    }
    if (w->at < w->window_at || w->at - w->window_at >= w->window_length) {
        uint64_t left = w->file->length - w->at;
        w->window_length = left < WINDOW ? (size_t)left : WINDOW;
        w->window_at = w->at;
        ST_TRY(st_file_at(w->file, w->window, w->window_length, w->at, err));
    }
    *out = w->window[w->at++ - w->window_at];
    return STRATA_OK;
}

static strata_status next_number(uint64_t *out, walk *w, uint64_t end, strata_error *err) {
    uint64_t start = w->at;
    *out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        unsigned char byte = 0;
        ST_TRY(next_byte(&byte, w, end, err));
        if (shift == 63 && byte > 1) {
            break;
        }
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return STRATA_OK;
        }
    }
    return st_fail_file(err, STRATA_FORMAT, w->file->path, "byte %" PRIu64 ": a number of more than 64 bits", start);
}

typedef struct field {
    uint64_t number, start, end; /* start: of its tag; end: of its value, or of what it lies in */
    wire_type type;
} field;

/* The tag, and for BYTES the length; w->at is then where the value begins. */
static strata_status next_field(field *out, walk *w, uint64_t end, strata_error *err) {
    uint64_t tag = 0, length = 0;
    *out = (field){.start = w->at};
    ST_TRY(next_number(&tag, w, end, err));
    out->number = tag >> 3;
    out->type = (wire_type)(tag & 7);
    if (out->number == 0 ||
        (out->type != VARINT && out->type != BYTES && out->type != FIXED_32 && out->type != FIXED_64)) {
        return st_fail_file(err, STRATA_FORMAT, w->file->path,
                            "byte %" PRIu64 ": field %" PRIu64 " of type %d, expected a field of protobuf", out->start,
                            out->number, (int)out->type);
    }
    if (out->type == BYTES) {
        ST_TRY(next_number(&length, w, end, err));
    } else if (out->type != VARINT) {
        length = out->type == FIXED_32 ? 4 : 8;
    }
    if (length > end - w->at) {
        strata_status status = st_fail_file(err, STRATA_FORMAT, w->file->path,
                                            "byte %" PRIu64 ": a field of %" PRIu64 " bytes, %" PRIu64 " are left",
                                            out->start, length, end - w->at);
        st_error_hint(err, "a file that was cut looks like this: its end is missing");
        return status;
    }
    out->end = out->type == VARINT ? end : w->at + length;
    return STRATA_OK;
}

/* ---- what goes on ---- */

static void add_number(st_text *to, uint64_t number) {
    char bytes[10];
    size_t count = 0;
    for (; number >= 0x80; number >>= 7) {
        bytes[count++] = (char)(number | 0x80);
    }
    bytes[count++] = (char)number;
    st_text_add_bytes(to, bytes, count);
}

static void put_length(char bytes[LENGTH_BYTES], size_t length) {
    for (int i = 0; i < LENGTH_BYTES; i++) {
        bytes[i] = (char)((length >> (7 * i) & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
    }
}

static strata_status too_long(const walk *w, strata_error *err) {
    return st_fail_file(err, STRATA_UNSUPPORTED, w->file->path,
                        "it takes more than %d MiB to describe what it holds, numbers not counted",
                        ST_PROTOBUF_LONGEST >> 20);
}

static strata_status copy_value(walk *w, const field *from, bool is_text, strata_error *err) {
    char bytes[512];
    uint64_t length = from->end - w->at;
    if (length > ST_PROTOBUF_LONGEST || w->copy.length + (size_t)length > ST_PROTOBUF_LONGEST) {
        return too_long(w, err);
    }
    while (w->at < from->end) {
        size_t left = (size_t)(from->end - w->at), piece = left < sizeof bytes ? left : sizeof bytes;
        ST_TRY(st_file_at(w->file, bytes, piece, w->at, err));
        if (is_text && memchr(bytes, '\0', piece) != NULL) {
            return st_fail_file(err, STRATA_FORMAT, w->file->path, "byte %" PRIu64 ": a text with a zero byte in it",
                                from->start);
        }
        st_text_add_bytes(&w->copy, bytes, piece);
        w->at += piece;
    }
    return STRATA_OK;
}

static void add_place(walk *w, const field *from) {
    unsigned char place[PLACE_BYTES];
    add_number(&w->copy, (from->number + PLACE_TAG) << 3 | BYTES);
    add_number(&w->copy, PLACE_BYTES);
    st_stored_put(place, 8, w->at);
    st_stored_put(place + 8, 8, from->end - w->at);
    st_text_add_bytes(&w->copy, (const char *)place, sizeof place);
    w->stays += from->end - w->at;
    w->at = from->end;
}

/* ---- messages ---- */

static wire_type wire_type_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return FIXED_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return FIXED_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return BYTES;
    default:
        return VARINT;
    }
}

/* A list of numbers that are packed: whole ones. */
static strata_status check_packed(walk *w, const field *found, wire_type each, strata_error *err) {
    uint64_t start = w->at, size = each == FIXED_32 ? 4 : 8;
    if (each != VARINT && (found->end - start) % size != 0) {
        return st_fail_file(err, STRATA_FORMAT, w->file->path,
                            "byte %" PRIu64 ": %" PRIu64 " bytes of numbers of %" PRIu64 " bytes", found->start,
                            found->end - start, size);
    }
    while (each == VARINT && w->at < found->end) {
        uint64_t number = 0;
        ST_TRY(next_number(&number, w, found->end, err));
    }
    w->at = start;
    return STRATA_OK;
}

static strata_status check_kind(walk *w, const ProtobufCFieldDescriptor *known, const field *found, uint64_t *seen,
                                int index, strata_error *err) {
    wire_type wanted = wire_type_of(known->type);
    bool is_packed = known->label == PROTOBUF_C_LABEL_REPEATED && wanted != BYTES && found->type == BYTES;
    if (found->type != wanted && !is_packed) {
        return st_fail_file(err, STRATA_FORMAT, w->file->path, "byte %" PRIu64 ": '%s' of type %d, expected %d",
                            found->start, known->name, (int)found->type, (int)wanted);
    }
    if (known->label != PROTOBUF_C_LABEL_REPEATED && (*seen >> index & 1) != 0) {
        return st_fail_file(err, STRATA_FORMAT, w->file->path, "byte %" PRIu64 ": '%s' is there twice", found->start,
                            known->name);
    }
    *seen |= (uint64_t)1 << index;
    return is_packed ? check_packed(w, found, wanted, err) : STRATA_OK;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, uint64_t number, int *index) {
    for (*index = 0; *index < (int)type->n_fields; (*index)++) {
        if (type->fields[*index].id == number) {
            return &type->fields[*index];
        }
    }
    return NULL;
}

static strata_status walk_message(walk *w, const ProtobufCMessageDescriptor *type, uint64_t end, int depth,
                                  strata_error *err);

static strata_status walk_field(walk *w, const ProtobufCFieldDescriptor *known, const field *found, int depth,
                                strata_error *err) {
    bool is_bytes = found->type == BYTES;
    wire_type each = wire_type_of(known->type);
    if (is_bytes && (known->type == PROTOBUF_C_TYPE_BYTES || each == FIXED_32 || each == FIXED_64) &&
        found->end - w->at >= ST_PROTOBUF_STAYS) {
        add_place(w, found);
        return STRATA_OK;
    }
    add_number(&w->copy, found->number << 3 | (uint64_t)found->type);
    if (found->type == VARINT) {
        uint64_t number = 0;
        ST_TRY(next_number(&number, w, found->end, err));
        add_number(&w->copy, number);
        return STRATA_OK;
    }
    if (!is_bytes) {
        return copy_value(w, found, false, err);
    }
    char length[LENGTH_BYTES] = {0};
    size_t place = w->copy.length;
    st_text_add_bytes(&w->copy, length, LENGTH_BYTES);
    ST_TRY(known->type == PROTOBUF_C_TYPE_MESSAGE ? walk_message(w, known->descriptor, found->end, depth + 1, err)
                                                  : copy_value(w, found, known->type == PROTOBUF_C_TYPE_STRING, err));
    if (!w->copy.failed) {
        put_length(length, w->copy.length - place - LENGTH_BYTES);
        memcpy(w->copy.bytes + place, length, LENGTH_BYTES);
    }
    return STRATA_OK;
}

static strata_status skip_field(walk *w, const field *found, strata_error *err) {
    uint64_t number = 0;
    if (found->type == VARINT) {
        return next_number(&number, w, found->end, err);
    }
    w->at = found->end;
    return STRATA_OK;
}

static strata_status walk_message(walk *w, const ProtobufCMessageDescriptor *type, uint64_t end, int depth,
                                  strata_error *err) {
    uint64_t seen = 0;
    if (depth > ST_PROTOBUF_NESTING || type->n_fields > MOST_FIELDS) {
        return st_fail_file(err, STRATA_FORMAT, w->file->path, "byte %" PRIu64 ": messages lie more than %d deep",
                            w->at, ST_PROTOBUF_NESTING);
    }
    while (w->at < end) {
        field found;
        int index = 0;
        ST_TRY(next_field(&found, w, end, err));
        const ProtobufCFieldDescriptor *known = find_field(type, found.number, &index);
        if (known == NULL) {
            ST_TRY(skip_field(w, &found, err));
            continue;
        }
        ST_TRY(check_kind(w, known, &found, &seen, index, err));
        ST_TRY(walk_field(w, known, &found, depth, err));
        if (w->copy.length > ST_PROTOBUF_LONGEST) {
            return too_long(w, err);
        }
        ST_FAIL_IF(w->copy.failed, err, STRATA_MEMORY, "no memory to read a message");
    }
    return STRATA_OK;
}

/* ---- unpacking ---- */

typedef struct budget {
    st_arena *arena;
    size_t left;
} budget;

static void *allocate(void *data, size_t bytes) {
    budget *from = data;
    void *memory = NULL;
    if (bytes > from->left || st_arena_alloc(&memory, from->arena, bytes > 0 ? bytes : 1, 1, NULL) != STRATA_OK) {
        return NULL;
    }
    from->left -= bytes;
    return memory;
}

static void release(void *data, void *memory) { /* the arena does */
    (void)data;
    (void)memory;
}

strata_status st_protobuf_read(ProtobufCMessage **out, st_arena *arena, const st_file *file,
                               const ProtobufCMessageDescriptor *type, strata_error *err) {
    walk w = {.file = file};
    *out = NULL;
    strata_status status = walk_message(&w, type, file->length, 1, err);
    if (status == STRATA_OK) {
        size_t read = (size_t)(file->length -
                               w.stays); /* all but that; what the type knows of it is at most ST_PROTOBUF_LONGEST */
        read = read < ST_PROTOBUF_LONGEST ? read : ST_PROTOBUF_LONGEST;
        budget from = {.arena = arena, .left = ST_PROTOBUF_FACTOR * read + ST_PROTOBUF_CONSTANT};
        ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = &from};
        const uint8_t *bytes = w.copy.length > 0 ? (const uint8_t *)w.copy.bytes : (const uint8_t *)"";
        *out = protobuf_c_message_unpack(type, &allocator, w.copy.length, bytes);
        if (*out == NULL) {
            status = st_fail_file(err, STRATA_FORMAT, file->path,
                                  "it is not a message of the type %s, or takes more than %d bytes of memory for each "
                                  "of its own",
                                  type->short_name, ST_PROTOBUF_FACTOR);
        }
    }
    st_text_free(&w.copy);
    return status;
}

bool st_protobuf_in_file(const ProtobufCMessage *message, uint32_t number, uint64_t *offset, uint64_t *length) {
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *unknown = &message->unknown_fields[i];
        /* the bytes of a field that is not known begin with its length, here one byte */
        if (unknown->tag == number + PLACE_TAG && unknown->len == PLACE_BYTES + 1) {
            *offset = st_stored_get(unknown->data + 1, 8);
            *length = st_stored_get(unknown->data + 9, 8);
            return true;
        }
    }
    return false;
}
#endif
