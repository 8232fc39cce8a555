/* protobuf: messages from files that nobody vouches for, unpacked by protobuf-c only after every length in them was
 * looked at. Long numbers stay in the file. */
#ifndef ST_PROTOBUF_H
#define ST_PROTOBUF_H

#ifdef ST_WITH_PROTOBUF
#include <protobuf-c/protobuf-c.h>

#include "base/base.h"

enum {
    ST_PROTOBUF_NESTING = 64,       /* messages inside each other */
    ST_PROTOBUF_STAYS = 1024,       /* bytes from which on a field of bytes, floats or doubles stays in the file */
    ST_PROTOBUF_LONGEST = 16 << 20, /* bytes of a message without what stays in the file */
    ST_PROTOBUF_FACTOR = 32,        /* bytes in memory for each of those, at most, and: */
    ST_PROTOBUF_CONSTANT = 1 << 20
};

/* The file is one message of this type. It lives in the arena; of fields that may be there once, a second one is
 * refused; what the type does not know is left out. */
strata_status st_protobuf_read(ProtobufCMessage **out, st_arena *arena, const st_file *file,
                               const ProtobufCMessageDescriptor *type, strata_error *err);
/* Where a field of bytes, or of packed floats or doubles, is that stayed in the file. false: it did not. */
bool st_protobuf_in_file(const ProtobufCMessage *message, uint32_t field, uint64_t *offset, uint64_t *length);
#endif

#endif
