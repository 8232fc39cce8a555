/* What the opcodes of pickles do: a table of names, forms of arguments and doers; an opcode without a doer is known and
 * refused by its name. Each doer checks the depth of the stack and the types on it. */
#include <string.h>

#include "formats/pickle_machine.h"
#include "formats/table.h"

/* ---- the stack ---- */

static strata_status push(st_pickle_machine *m, st_pickle_value value, strata_error *err) {
    if (m->depth == ST_PICKLE_DEEPEST) {
        return st_pickle_fail(m, err, STRATA_UNSUPPORTED, "more than %d values on the stack", ST_PICKLE_DEEPEST);
    }
    ST_TRY(st_format_grow(&m->stack, m->depth, sizeof *m->stack, m->pickle->arena, err));
    m->stack[m->depth++] = value;
    return STRATA_OK;
}

static strata_status push_kind(st_pickle_machine *m, st_pickle_kind kind, int64_t integer, strata_error *err) {
    return push(m, (st_pickle_value){.kind = kind, .as.integer = integer}, err);
}

/* The topmost `count` values, no mark among them. */
static strata_status need(const st_pickle_machine *m, size_t count, strata_error *err) {
    if (m->depth - m->floor < count) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "%zu values are on the stack, expected %zu", m->depth - m->floor,
                              count);
    }
    return STRATA_OK;
}

static strata_status need_kind(const st_pickle_machine *m, const st_pickle_value *value, st_pickle_kind kind,
                               strata_error *err) {
    if (value->kind != kind) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "found %s, expected %s", st_pickle_kind_name(value->kind),
                              st_pickle_kind_name(kind));
    }
    return STRATA_OK;
}

/* Takes the topmost mark and what is above it away: *values stay readable until the next push. */
static strata_status pop_to_mark(st_pickle_machine *m, st_pickle_value **values, size_t *count, strata_error *err) {
    if (m->floor == 0) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "no mark is on the stack");
    }
    *values = m->stack + m->floor;
    *count = m->depth - m->floor;
    m->depth = m->floor - 1;
    m->floor = (size_t)m->stack[m->depth].as.integer;
    return STRATA_OK;
}

/* ---- numbers, texts, marks ---- */

static strata_status run_proto(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    if (a->number < 2 || a->number > 5) {
        return st_pickle_fail(m, err, STRATA_UNSUPPORTED, "protocol %llu, expected 2 to 5",
                              (unsigned long long)a->number);
    }
    return STRATA_OK;
}

static strata_status run_frame(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)m, (void)a, (void)err; /* a hint for readers with buffers; what is cut is found anyhow */
    return STRATA_OK;
}

static strata_status run_stop(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    if (m->depth != 1 || m->floor != 0) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "%zu values are on the stack, expected the one that it is about",
                              m->depth);
    }
    m->is_done = true;
    return STRATA_OK;
}

static strata_status run_mark(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    ST_TRY(push_kind(m, ST_PICKLE_MARK, (int64_t)m->floor, err));
    m->floor = m->depth;
    return STRATA_OK;
}

static strata_status run_pop(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    st_pickle_value *values = NULL;
    size_t count = 0;
    (void)a;
    if (m->depth == m->floor && m->floor > 0) {
        return pop_to_mark(m, &values, &count, err);
    }
    ST_TRY(need(m, 1, err));
    m->depth--;
    return STRATA_OK;
}

static strata_status run_pop_mark(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    st_pickle_value *values = NULL;
    size_t count = 0;
    (void)a;
    return pop_to_mark(m, &values, &count, err);
}

static strata_status run_none(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    return push_kind(m, ST_PICKLE_NONE, 0, err);
}

static strata_status run_true(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    return push_kind(m, ST_PICKLE_BOOL, 1, err);
}

static strata_status run_false(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    return push_kind(m, ST_PICKLE_BOOL, 0, err);
}

static strata_status run_integer(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    return push_kind(m, ST_PICKLE_INT, (int64_t)a->number, err);
}

/* Two's complement, little-endian, as many bytes as it takes. */
static strata_status run_long(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    if (a->length > 8) {
        return push_kind(m, ST_PICKLE_NUMBER, 0, err);
    }
    uint64_t bits = st_stored_get((const unsigned char *)a->text, a->length);
    uint64_t sign = a->length > 0 ? (uint64_t)1 << (8 * a->length - 1) : 0;
    return push_kind(m, ST_PICKLE_INT, (int64_t)((bits ^ sign) - sign), err);
}

static strata_status run_float(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    st_pickle_value value = {.kind = ST_PICKLE_FLOAT};
    uint64_t bits = 0; /* this one is big-endian */
    for (int i = 0; i < 8; i++) {
        bits = bits << 8 | (a->number >> (8 * i) & 255);
    }
    memcpy(&value.as.real, &bits, sizeof bits);
    return push(m, value, err);
}

static strata_status run_string(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    return push(m, (st_pickle_value){.kind = ST_PICKLE_TEXT, .length = (uint32_t)a->length, .as.text = a->text}, err);
}

static strata_status run_bytes(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    return push(m, (st_pickle_value){.kind = ST_PICKLE_BYTES, .length = (uint32_t)a->length, .as.text = a->text}, err);
}

static strata_status run_unicode(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    if (!st_text_is_utf8(a->text, a->length)) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "a text that is not UTF-8");
    }
    return run_string(m, a, err);
}

/* ---- containers ---- */

strata_status st_pickle_new_items(st_pickle *pickle, st_pickle_value *out, st_pickle_kind kind, strata_error *err) {
    *out = (st_pickle_value){.kind = kind};
    return st_arena_alloc(&out->as.items, pickle->arena, 1, sizeof *out->as.items, err);
}

strata_status st_pickle_append(st_pickle *pickle, st_pickle_items *items, const st_pickle_value *values, size_t count,
                               strata_error *err) {
    for (size_t i = 0; i < count; i++) {
        ST_TRY(st_format_grow(&items->items, items->count, sizeof *items->items, pickle->arena, err));
        items->items[items->count++] = values[i]; /* fewer than ST_PICKLE_LONGEST: each came by an opcode */
    }
    return STRATA_OK;
}

static strata_status add_pairs(st_pickle_machine *m, st_pickle_items *dict, const st_pickle_value *values, size_t count,
                               strata_error *err) {
    if (count % 2 != 0) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "%zu values, expected keys and values by turns", count);
    }
    for (size_t i = 0; i < count; i += 2) {
        if (values[i].kind > ST_PICKLE_TUPLE) {
            return st_pickle_fail(m, err, STRATA_FORMAT, "the key of a dict is %s",
                                  st_pickle_kind_name(values[i].kind));
        }
    }
    return st_pickle_append(m->pickle, dict, values, count, err);
}

static strata_status run_empty_list(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    st_pickle_value value;
    (void)a;
    ST_TRY(st_pickle_new_items(m->pickle, &value, ST_PICKLE_LIST, err));
    return push(m, value, err);
}

static strata_status run_empty_dict(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    st_pickle_value value;
    (void)a;
    ST_TRY(st_pickle_new_items(m->pickle, &value, ST_PICKLE_DICT, err));
    return push(m, value, err);
}

static strata_status run_append(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    ST_TRY(need(m, 2, err));
    m->depth--;
    ST_TRY(need_kind(m, &m->stack[m->depth - 1], ST_PICKLE_LIST, err));
    return st_pickle_append(m->pickle, m->stack[m->depth - 1].as.items, &m->stack[m->depth], 1, err);
}

static strata_status run_appends(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    st_pickle_value *values = NULL;
    size_t count = 0;
    (void)a;
    ST_TRY(pop_to_mark(m, &values, &count, err));
    ST_TRY(need(m, 1, err));
    ST_TRY(need_kind(m, &m->stack[m->depth - 1], ST_PICKLE_LIST, err));
    return st_pickle_append(m->pickle, m->stack[m->depth - 1].as.items, values, count, err);
}

static strata_status run_setitem(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    ST_TRY(need(m, 3, err));
    m->depth -= 2;
    ST_TRY(need_kind(m, &m->stack[m->depth - 1], ST_PICKLE_DICT, err));
    return add_pairs(m, m->stack[m->depth - 1].as.items, &m->stack[m->depth], 2, err);
}

static strata_status run_setitems(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    st_pickle_value *values = NULL;
    size_t count = 0;
    (void)a;
    ST_TRY(pop_to_mark(m, &values, &count, err));
    ST_TRY(need(m, 1, err));
    ST_TRY(need_kind(m, &m->stack[m->depth - 1], ST_PICKLE_DICT, err));
    return add_pairs(m, m->stack[m->depth - 1].as.items, values, count, err);
}

/* A new container in the place of the values that it takes. */
static strata_status collect(st_pickle_machine *m, st_pickle_kind kind, const st_pickle_value *values, size_t count,
                             strata_error *err) {
    st_pickle_value value;
    ST_TRY(st_pickle_new_items(m->pickle, &value, kind, err));
    ST_TRY(kind == ST_PICKLE_DICT ? add_pairs(m, value.as.items, values, count, err)
                                  : st_pickle_append(m->pickle, value.as.items, values, count, err));
    return push(m, value, err);
}

static strata_status collect_to_mark(st_pickle_machine *m, st_pickle_kind kind, strata_error *err) {
    st_pickle_value *values = NULL;
    size_t count = 0;
    ST_TRY(pop_to_mark(m, &values, &count, err));
    return collect(m, kind, values, count, err);
}

static strata_status run_list(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    return collect_to_mark(m, ST_PICKLE_LIST, err);
}

static strata_status run_dict(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    return collect_to_mark(m, ST_PICKLE_DICT, err);
}

static strata_status run_tuple(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    return collect_to_mark(m, ST_PICKLE_TUPLE, err);
}

/* Tuples of 0 to 3 values that no mark counts. */
static strata_status run_short_tuple(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    size_t count = m->opcode == ')' ? 0 : (size_t)(m->opcode - 0x84);
    (void)a;
    ST_TRY(need(m, count, err));
    m->depth -= count;
    return collect(m, ST_PICKLE_TUPLE, count > 0 ? m->stack + m->depth : NULL, count, err);
}

/* ---- the memo ---- */

/* Writers number as they go, from 0 or 1: an index far beyond is refused instead of being made room for. */
static strata_status put(st_pickle_machine *m, uint64_t index, strata_error *err) {
    ST_TRY(need(m, 1, err));
    if (index > m->memo_count + 1) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "place %llu of the memo, expected at most %zu",
                              (unsigned long long)index, m->memo_count + 1);
    }
    if (index >= ST_PICKLE_MOST_NOTED) {
        return st_pickle_fail(m, err, STRATA_UNSUPPORTED, "more than %d values in the memo", ST_PICKLE_MOST_NOTED);
    }
    while (m->memo_count <= index) {
        ST_TRY(st_format_grow(&m->memo, m->memo_count, sizeof *m->memo, m->pickle->arena, err));
        m->memo[m->memo_count++] = (st_pickle_value){.kind = ST_PICKLE_MARK};
    }
    m->memo[index] = m->stack[m->depth - 1];
    return STRATA_OK;
}

static strata_status run_put(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    return put(m, a->number, err);
}

static strata_status run_memoize(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    return put(m, m->memo_count, err);
}

static strata_status run_get(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    if (a->number >= m->memo_count || m->memo[a->number].kind == ST_PICKLE_MARK) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "place %llu of the memo is empty", (unsigned long long)a->number);
    }
    return push(m, m->memo[a->number], err);
}

/* ---- names and what is called ---- */

static strata_status push_global(st_pickle_machine *m, const char *module, size_t module_length, const char *name,
                                 size_t name_length, strata_error *err) {
    st_pickle_value value = {.kind = ST_PICKLE_GLOBAL};
    m->pickle->at = m->start; /* the place that a refusal names */
    ST_TRY(st_pickle_find_global(&value.as.global, m->pickle, module, module_length, name, name_length, err));
    return push(m, value, err);
}

static strata_status run_global(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    size_t behind = m->pickle->at;
    ST_TRY(push_global(m, a->text, a->length, a->second, a->second_length, err));
    m->pickle->at = behind;
    return STRATA_OK;
}

static strata_status run_stack_global(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    size_t behind = m->pickle->at;
    (void)a;
    ST_TRY(need(m, 2, err));
    m->depth -= 2;
    const st_pickle_value *module = &m->stack[m->depth], *name = module + 1;
    ST_TRY(need_kind(m, module, ST_PICKLE_TEXT, err));
    ST_TRY(need_kind(m, name, ST_PICKLE_TEXT, err));
    ST_TRY(push_global(m, module->as.text, module->length, name->as.text, name->length, err));
    m->pickle->at = behind;
    return STRATA_OK;
}

/* REDUCE and NEWOBJ: of the names in the list both make the same. */
static strata_status run_call(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    size_t behind = m->pickle->at;
    st_pickle_value value;
    (void)a;
    ST_TRY(need(m, 2, err));
    m->depth -= 2;
    ST_TRY(need_kind(m, &m->stack[m->depth], ST_PICKLE_GLOBAL, err));
    ST_TRY(need_kind(m, &m->stack[m->depth + 1], ST_PICKLE_TUPLE, err));
    m->pickle->at = m->start;
    ST_TRY(st_pickle_call(m->pickle, &value, &m->stack[m->depth], &m->stack[m->depth + 1], err));
    m->pickle->at = behind;
    return push(m, value, err);
}

/* An OrderedDict that had attributes (`_metadata` of a state_dict), and numpy's state of a type: they are left away. */
static strata_status run_build(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    (void)a;
    ST_TRY(need(m, 2, err));
    m->depth--;
    if (st_pickle_is_dtype(&m->stack[m->depth - 1])) {
        return need_kind(m, &m->stack[m->depth], ST_PICKLE_TUPLE, err);
    }
    ST_TRY(need_kind(m, &m->stack[m->depth - 1], ST_PICKLE_DICT, err));
    ST_TRY(need_kind(m, &m->stack[m->depth], ST_PICKLE_DICT, err));
    if (!m->stack[m->depth - 1].as.items->has_attributes) {
        return st_pickle_fail(m, err, STRATA_FORMAT, "of a plain dict, which has no attributes");
    }
    return STRATA_OK;
}

static strata_status run_persistent(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    size_t behind = m->pickle->at;
    st_pickle_value value;
    (void)a;
    ST_TRY(need(m, 1, err));
    m->depth--;
    m->pickle->at = m->start;
    ST_TRY(st_pickle_load_storage(m->pickle, &value, &m->stack[m->depth], err));
    m->pickle->at = behind;
    return push(m, value, err);
}

/* A class and its arguments in one: only the name is of interest, for the refusal. */
static strata_status run_inst(st_pickle_machine *m, const st_pickle_argument *a, strata_error *err) {
    ST_TRY(push_global(m, a->text, a->length, a->second, a->second_length, err));
    return st_pickle_fail(m, err, STRATA_UNSUPPORTED, "not read: no writer of tensors uses it");
}

/* ---- opcodes ---- */

const st_pickle_opcode st_pickle_opcodes[256] = {
    ['('] = {"MARK", ST_PICKLE_BARE, run_mark},
    [')'] = {"EMPTY_TUPLE", ST_PICKLE_BARE, run_short_tuple},
    ['.'] = {"STOP", ST_PICKLE_BARE, run_stop},
    ['0'] = {"POP", ST_PICKLE_BARE, run_pop},
    ['1'] = {"POP_MARK", ST_PICKLE_BARE, run_pop_mark},
    ['B'] = {"BINBYTES", ST_PICKLE_COUNTED4, run_bytes},
    ['C'] = {"SHORT_BINBYTES", ST_PICKLE_COUNTED1, run_bytes},
    ['G'] = {"BINFLOAT", ST_PICKLE_U8, run_float},
    ['J'] = {"BININT", ST_PICKLE_I4, run_integer},
    ['K'] = {"BININT1", ST_PICKLE_U1, run_integer},
    ['M'] = {"BININT2", ST_PICKLE_U2, run_integer},
    ['N'] = {"NONE", ST_PICKLE_BARE, run_none},
    ['Q'] = {"BINPERSID", ST_PICKLE_BARE, run_persistent},
    ['R'] = {"REDUCE", ST_PICKLE_BARE, run_call},
    ['T'] = {"BINSTRING", ST_PICKLE_COUNTED4, run_string},
    ['U'] = {"SHORT_BINSTRING", ST_PICKLE_COUNTED1, run_string},
    ['X'] = {"BINUNICODE", ST_PICKLE_COUNTED4, run_unicode},
    [']'] = {"EMPTY_LIST", ST_PICKLE_BARE, run_empty_list},
    ['a'] = {"APPEND", ST_PICKLE_BARE, run_append},
    ['b'] = {"BUILD", ST_PICKLE_BARE, run_build},
    ['c'] = {"GLOBAL", ST_PICKLE_LINES, run_global},
    ['d'] = {"DICT", ST_PICKLE_BARE, run_dict},
    ['e'] = {"APPENDS", ST_PICKLE_BARE, run_appends},
    ['h'] = {"BINGET", ST_PICKLE_U1, run_get},
    ['i'] = {"INST", ST_PICKLE_LINES, run_inst},
    ['j'] = {"LONG_BINGET", ST_PICKLE_U4, run_get},
    ['l'] = {"LIST", ST_PICKLE_BARE, run_list},
    ['q'] = {"BINPUT", ST_PICKLE_U1, run_put},
    ['r'] = {"LONG_BINPUT", ST_PICKLE_U4, run_put},
    ['s'] = {"SETITEM", ST_PICKLE_BARE, run_setitem},
    ['t'] = {"TUPLE", ST_PICKLE_BARE, run_tuple},
    ['u'] = {"SETITEMS", ST_PICKLE_BARE, run_setitems},
    ['}'] = {"EMPTY_DICT", ST_PICKLE_BARE, run_empty_dict},
    [0x80] = {"PROTO", ST_PICKLE_U1, run_proto},
    [0x81] = {"NEWOBJ", ST_PICKLE_BARE, run_call},
    [0x85] = {"TUPLE1", ST_PICKLE_BARE, run_short_tuple},
    [0x86] = {"TUPLE2", ST_PICKLE_BARE, run_short_tuple},
    [0x87] = {"TUPLE3", ST_PICKLE_BARE, run_short_tuple},
    [0x88] = {"NEWTRUE", ST_PICKLE_BARE, run_true},
    [0x89] = {"NEWFALSE", ST_PICKLE_BARE, run_false},
    [0x8a] = {"LONG1", ST_PICKLE_COUNTED1, run_long},
    [0x8b] = {"LONG4", ST_PICKLE_COUNTED4, run_long},
    [0x8c] = {"SHORT_BINUNICODE", ST_PICKLE_COUNTED1, run_unicode},
    [0x8d] = {"BINUNICODE8", ST_PICKLE_COUNTED8, run_unicode},
    [0x8e] = {"BINBYTES8", ST_PICKLE_COUNTED8, run_bytes},
    [0x93] = {"STACK_GLOBAL", ST_PICKLE_BARE, run_stack_global},
    [0x94] = {"MEMOIZE", ST_PICKLE_BARE, run_memoize},
    [0x95] = {"FRAME", ST_PICKLE_U8, run_frame},
    /* Known, and of no use in a file of tensors. */
    ['2'] = {"DUP", ST_PICKLE_BARE, NULL},
    ['F'] = {"FLOAT", ST_PICKLE_BARE, NULL},
    ['I'] = {"INT", ST_PICKLE_BARE, NULL},
    ['L'] = {"LONG", ST_PICKLE_BARE, NULL},
    ['P'] = {"PERSID", ST_PICKLE_BARE, NULL},
    ['S'] = {"STRING", ST_PICKLE_BARE, NULL},
    ['V'] = {"UNICODE", ST_PICKLE_BARE, NULL},
    ['g'] = {"GET", ST_PICKLE_BARE, NULL},
    ['o'] = {"OBJ", ST_PICKLE_BARE, NULL},
    ['p'] = {"PUT", ST_PICKLE_BARE, NULL},
    [0x82] = {"EXT1", ST_PICKLE_BARE, NULL},
    [0x83] = {"EXT2", ST_PICKLE_BARE, NULL},
    [0x84] = {"EXT4", ST_PICKLE_BARE, NULL},
    [0x8f] = {"EMPTY_SET", ST_PICKLE_BARE, NULL},
    [0x90] = {"ADDITEMS", ST_PICKLE_BARE, NULL},
    [0x91] = {"FROZENSET", ST_PICKLE_BARE, NULL},
    [0x92] = {"NEWOBJ_EX", ST_PICKLE_BARE, NULL},
    [0x96] = {"BYTEARRAY8", ST_PICKLE_BARE, NULL},
    [0x97] = {"NEXT_BUFFER", ST_PICKLE_BARE, NULL},
    [0x98] = {"READONLY_BUFFER", ST_PICKLE_BARE, NULL},
};
