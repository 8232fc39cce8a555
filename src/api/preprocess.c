/* include/strata.h, part 1: how pictures are prepared, written into a net. The convention becomes keys of the net's
 * `input` line, so whoever gets the net gets its preparation. */
#include <string.h>

#include "api/api.h"

typedef struct convention {
    const char *name, *keys;
} convention;

/* torchvision: the published weights of its models (RGB; shorter side to 8/7 of the input, the centre: 256 and 224).
 * caffe: the mean colour of ImageNet in BGR that bvlc's models came with. */
static const convention conventions[] = {
    {"torchvision", "mean=[0.485 0.456 0.406] std=[0.229 0.224 0.225]"},
    {"caffe", "range=255 order=bgr mean=[104 117 123] fit=stretch"},
    {"unit", "mean=0"},
};

/* The keys that a convention decides as a whole: none of the old ones stays. */
static bool is_decided(const char *key) {
    static const char *const keys[] = {"mean", "std", "range", "order", "resize", "fit", "filter"};
    for (size_t i = 0; i < ST_COUNT_OF(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static strata_status keys_of(const char **out, const char *words, strata_error *err) {
    const char *names[ST_COUNT_OF(conventions)];
    if (words == NULL) {
        *out = "";
        return STRATA_OK;
    }
    for (size_t i = 0; i < ST_COUNT_OF(conventions); i++) {
        names[i] = conventions[i].name;
        if (strcmp(words, conventions[i].name) == 0) {
            *out = conventions[i].keys;
            return STRATA_OK;
        }
    }
    if (strchr(words, '=') != NULL) {
        *out = words;
        return STRATA_OK;
    }
    strata_status status =
        st_fail(err, STRATA_INVALID,
                "preparation '%.60s': expected torchvision, caffe, unit, or keys of an input line such as "
                "\"mean=[0.5] std=[0.25]\"",
                words);
    const char *nearest = st_text_nearest(words, names, ST_COUNT_OF(conventions));
    if (nearest != NULL) {
        st_error_hint(err, "did you mean %s?", nearest);
    }
    return status;
}

/* The arguments of an input line that has only these keys. */
static strata_status parse_keys(const st_arg **out, st_arena *arena, const char *keys, strata_error *err) {
    st_text text = {0};
    char *line = NULL;
    const st_tree *tree = NULL;
    st_text_add(&text, "network preparation {\ninput %s\n}\n", keys);
    ST_TRY(st_text_finish(&line, &text, err));
    strata_status status = st_lang_parse(&tree, arena, "--preprocess", line, strlen(line), err);
    strata_text_free(line);
    ST_TRY(status);
    const st_syntax *step = tree->chain;
    ST_FAIL_IF(step == NULL || step->kind != ST_STEP_LAYER || step->next != NULL || step->lanes != NULL, err,
               STRATA_INVALID, "preparation '%.60s': expected keys of an input line", keys);
    for (const st_arg *arg = step->args; arg != NULL; arg = arg->next) {
        ST_FAIL_IF(arg->key == NULL || !is_decided(arg->key), err, STRATA_INVALID,
                   "preparation '%.60s': expected mean, std, range, order, resize, fit and filter alone", keys);
    }
    *out = step->args;
    return STRATA_OK;
}

/* The old arguments but for those that are decided, then the new ones. */
static strata_status join(const st_arg **out, st_arena *arena, const st_arg *old, const st_arg *keys,
                          strata_error *err) {
    const st_arg **end = out;
    for (; old != NULL; old = old->next) {
        if (old->key == NULL || !is_decided(old->key)) {
            st_arg *copy = NULL;
            ST_TRY(st_arena_alloc(&copy, arena, 1, sizeof *copy, err));
            *copy = *old;
            copy->next = NULL;
            *end = copy;
            end = &copy->next;
        }
    }
    *end = keys;
    return STRATA_OK;
}

/* The tree with another input line: it is the first layer of the chain, maybe in a group. */
static strata_status replace(const st_syntax **out, st_arena *arena, const st_syntax *chain, const st_arg *keys,
                             strata_error *err) {
    ST_FAIL_IF(chain == NULL, err, STRATA_INVALID, "the net does not begin with its input");
    st_syntax *copy = NULL;
    ST_TRY(st_arena_alloc(&copy, arena, 1, sizeof *copy, err));
    *copy = *chain;
    *out = copy;
    if (chain->kind == ST_STEP_LAYER && strcmp(chain->name, "input") == 0) {
        return join(&copy->args, arena, chain->args, keys, err);
    }
    ST_FAIL_IF(chain->kind != ST_STEP_GROUP, err, STRATA_INVALID, "the net does not begin with its input");
    return replace(&copy->chain, arena, chain->chain, keys, err);
}

/* The keys in a net that has no knobs: its values are numbers, as many as there are channels. */
static strata_status try_keys(st_arena *arena, const char *keys, int channels, strata_error *err) {
    st_text text = {0};
    char *net = NULL;
    const st_tree *tree = NULL;
    const st_graph *graph = NULL;
    st_text_add(&text, "network preparation { input 1x1x%d %s, fc 1, output logits }", channels, keys);
    ST_TRY(st_text_finish(&net, &text, err));
    strata_status status = st_lang_parse(&tree, arena, "--preprocess", net, strlen(net), err);
    if (status == STRATA_OK) {
        status = st_graph_build(&graph, arena, tree, NULL, NULL, err);
    }
    strata_text_free(net);
    return status;
}

/* The arguments that the words mean. Refuses what no net could have; whether this one can is seen when it is built. */
static strata_status read_words(const st_arg **out, st_arena *arena, const char *words, strata_error *err) {
    const char *keys = NULL;
    strata_error first;
    ST_TRY(keys_of(&keys, words, err));
    ST_TRY(parse_keys(out, arena, keys, err));
    if (try_keys(arena, keys, 3, &first) == STRATA_OK || try_keys(arena, keys, 1, NULL) == STRATA_OK) {
        return STRATA_OK;
    }
    return st_fail(err, STRATA_INVALID, "preparation '%.60s': %.200s", words, first.message);
}

static strata_status print_prepared(char **out, st_arena *arena, const strata_net *net, const char *words,
                                    strata_error *err) {
    const st_tree *tree = NULL;
    const st_arg *args = NULL;
    ST_TRY(read_words(&args, arena, words, err));
    ST_TRY(st_lang_parse(&tree, arena, net->graph->name, net->text, strlen(net->text), err));
    st_tree other = *tree;
    ST_TRY(replace(&other.chain, arena, tree->chain, args, err));
    return st_lang_print(out, &other, NULL, err);
}

strata_status strata_net_preprocess(strata_net **out, const strata_net *net, const char *preprocess,
                                    strata_error *err) {
    st_arena *arena = NULL;
    char *text = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = print_prepared(&text, arena, net, preprocess, err);
    if (status == STRATA_OK) {
        status = st_api_net_from_text(out, "--preprocess", text, strlen(text), NULL, NULL, err);
    }
    strata_text_free(text);
    st_arena_free(arena);
    return status;
}

bool strata_net_is_prepared(const strata_net *net) {
    return net->graph->has_normalization;
}

strata_status st_api_preprocess_check(const char *words, strata_error *err) {
    st_arena *arena = NULL;
    const st_arg *args = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = read_words(&args, arena, words, err);
    st_arena_free(arena);
    return status;
}
