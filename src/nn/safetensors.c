/* Safetensors (docs/safetensors.md): 8 bytes of header length, a JSON header, the numbers. */
#include "internal.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HEADER LK_MIB(16)
#define MOST_FILE   ((size_t)1 << 40)

typedef struct digest {
    EVP_MD_CTX *context;
} digest;

static bool slot_exists(const lk_nn_exec *e, int i, lk_nn_slot slot) {
    return slot == LK_NN_VALUE || e->g.tensors[e->params[i]].moment1 != NULL;
}

/* "NAME" for values, "NAME/m" and "NAME/v" for the moments. */
static void entry_name(const lk_nn_exec *e, int i, lk_nn_slot slot, char name[300]) {
    snprintf(name, 300, "%s%s", lk_nn_param_name(e, i),
             slot == LK_NN_MOMENT1   ? "/m"
             : slot == LK_NN_MOMENT2 ? "/v"
                                     : "");
}

/* Which slots a file of this kind holds. */
static int slots_of(lk_nn_slot slot, lk_nn_slot slots[2]) {
    slots[0] = slot == LK_NN_VALUE ? LK_NN_VALUE : LK_NN_MOMENT1;
    slots[1] = LK_NN_MOMENT2;
    return slot == LK_NN_VALUE ? 1 : 2;
}

typedef bool (*visit)(lk_nn_exec *e, int i, lk_nn_slot slot, float *buffer, void *user, lk_error *err);

/* Every tensor of the file in order, through one buffer of the largest one's size. */
static bool each(lk_nn_exec *e, lk_nn_slot kind, visit f, void *user, lk_error *err) {
    size_t largest = 1;
    for (int i = 0; i < e->param_count; i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(e, i));
        if (n > largest) largest = n;
    }
    float *buffer = lk_alloc(largest, sizeof *buffer, err);
    bool ok = buffer != NULL;
    lk_nn_slot slots[2];
    int count = slots_of(kind, slots);
    for (int i = 0; ok && i < e->param_count; i++)
        for (int k = 0; ok && k < count; k++)
            if (slot_exists(e, i, slots[k])) ok = f(e, i, slots[k], buffer, user, err);
    free(buffer);
    return ok;
}

static bool hash_one(lk_nn_exec *e, int i, lk_nn_slot slot, float *buffer, void *user, lk_error *err) {
    digest *d = user;
    size_t bytes = lk_nn_count(lk_nn_param_shape(e, i)) * sizeof(float);
    if (!lk_nn_param_get(e, i, slot, buffer) || EVP_DigestUpdate(d->context, buffer, bytes) != 1)
        return lk_fail(err, LK_ERR_MEMORY, "weights cannot be read back");
    return true;
}

static bool write_one(lk_nn_exec *e, int i, lk_nn_slot slot, float *buffer, void *user, lk_error *err) {
    size_t bytes = lk_nn_count(lk_nn_param_shape(e, i)) * sizeof(float);
    if (!lk_nn_param_get(e, i, slot, buffer)) return lk_fail(err, LK_ERR_MEMORY, "weights cannot be read back");
    return lk_file_append(user, buffer, bytes, err);
}

static void finish_hex(EVP_MD_CTX *context, char hex[65]) {
    unsigned char bytes[32] = {0};
    EVP_DigestFinal_ex(context, bytes, NULL);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

static char *make_header(lk_nn_exec *e, lk_nn_slot kind, const lk_nn_metadata *metadata, int count, const char *sha256,
                         lk_error *err) {
    json_t *header = json_object(), *extra = json_object();
    for (int i = 0; i < count; i++) json_object_set_new(extra, metadata[i].key, json_string(metadata[i].value));
    json_object_set_new(extra, "sha256", json_string(sha256));
    json_object_set_new(header, "__metadata__", extra);
    lk_nn_slot slots[2];
    int slot_count = slots_of(kind, slots);
    json_int_t at = 0;
    for (int i = 0; i < e->param_count; i++)
        for (int k = 0; k < slot_count; k++) {
            if (!slot_exists(e, i, slots[k])) continue;
            lk_nn_shape s = lk_nn_param_shape(e, i);
            json_int_t end = at + (json_int_t)(lk_nn_count(s) * sizeof(float));
            char name[300];
            entry_name(e, i, slots[k], name);
            json_object_set_new(header, name,
                                json_pack("{s:s, s:[i,i,i,i], s:[I,I]}", "dtype", "F32", "shape", s.n, s.c, s.h, s.w,
                                          "data_offsets", at, end));
            at = end;
        }
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text) lk_fail(err, LK_ERR_MEMORY, "out of memory");
    return text;
}

bool lk_nn_save(const lk_nn_exec *exec, lk_nn_slot slot, const char *path, const lk_nn_metadata *metadata, int count,
                lk_error *err) {
    lk_nn_exec *e = (lk_nn_exec *)(uintptr_t)exec;
    digest d = {EVP_MD_CTX_new()};
    char hex[65] = "";
    bool ok = d.context && EVP_DigestInit_ex(d.context, EVP_sha256(), NULL) == 1 && each(e, slot, hash_one, &d, err);
    if (ok) finish_hex(d.context, hex);
    EVP_MD_CTX_free(d.context);
    char *header = ok ? make_header(e, slot, metadata, count, hex, err) : NULL;
    lk_file_replacement *r = header ? lk_file_replace(path, err) : NULL;
    if (!r) {
        free(header);
        return false;
    }
    /* Spaces behind the header keep the numbers aligned to 8 bytes. */
    size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    ok = lk_file_append(r, prefix, 8, err) && lk_file_append(r, header, length, err) &&
         lk_file_append(r, "        ", padded - length, err) && each(e, slot, write_one, r, err);
    free(header);
    if (!ok) {
        lk_file_abandon(r);
        return false;
    }
    return lk_file_commit(r, err);
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *path;
    const unsigned char *data;
    size_t data_size;
    const json_t *header;
    size_t used; /* bytes of tensors that were asked for */
} reader;

/* Where the numbers of one entry lie; everything about them is checked. */
static bool locate(const lk_nn_exec *e, int i, lk_nn_slot slot, reader *r, const unsigned char **at, lk_error *err) {
    char name[300];
    entry_name(e, i, slot, name);
    lk_nn_shape s = lk_nn_param_shape(e, i);
    const json_t *entry = json_object_get(r->header, name);
    if (!entry)
        return lk_fail(err, LK_ERR_FORMAT, "%s has no tensor '%s': it belongs to another architecture", r->path, name);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    if (!dtype || strcmp(dtype, "F32") != 0)
        return lk_fail(err, LK_ERR_FORMAT, "%s: tensor '%s' is not of type F32", r->path, name);
    const int want[4] = {s.n, s.c, s.h, s.w};
    bool same = json_array_size(shape) == 4;
    for (size_t k = 0; same && k < 4; k++) same = json_integer_value(json_array_get(shape, k)) == want[k];
    if (!same)
        return lk_fail(err, LK_ERR_FORMAT, "%s: tensor '%s' is not of shape [%d, %d, %d, %d]", r->path, name, s.n, s.c,
                       s.h, s.w);
    json_int_t begin = json_integer_value(json_array_get(offsets, 0)),
               end = json_integer_value(json_array_get(offsets, 1));
    size_t bytes = lk_nn_count(s) * sizeof(float);
    if (json_array_size(offsets) != 2 || begin < 0 || end < begin || (uint64_t)end > r->data_size ||
        (uint64_t)(end - begin) != bytes || begin % 4 != 0)
        return lk_fail(err, LK_ERR_FORMAT, "%s: tensor '%s' lies outside the file, or has the wrong size", r->path,
                       name);
    *at = r->data + begin;
    r->used += bytes;
    return true;
}

static bool check_one(lk_nn_exec *e, int i, lk_nn_slot slot, float *buffer, void *user, lk_error *err) {
    (void)buffer;
    const unsigned char *at;
    return locate(e, i, slot, user, &at, err);
}

static bool take_one(lk_nn_exec *e, int i, lk_nn_slot slot, float *buffer, void *user, lk_error *err) {
    const unsigned char *at;
    if (!locate(e, i, slot, user, &at, err)) return false;
    memcpy(buffer, at, lk_nn_count(lk_nn_param_shape(e, i)) * sizeof(float));
    if (!lk_nn_param_set(e, i, slot, buffer)) return lk_fail(err, LK_ERR_MEMORY, "weights cannot be set");
    return true;
}

static bool checksum_holds(const reader *r, const json_t *metadata, lk_error *err) {
    const char *want = json_string_value(json_object_get(metadata, "sha256"));
    char hex[65];
    if (!want) return true;
    lk_sha256(r->data, r->data_size, hex);
    if (strcmp(want, hex) == 0) return true;
    return lk_fail(err, LK_ERR_FORMAT, "%s is damaged: its checksum does not fit its content", r->path);
}

static bool load(lk_nn_exec *e, lk_nn_slot slot, reader *r, const char *key, char **value_of, lk_error *err) {
    const json_t *metadata = json_object_get(r->header, "__metadata__");
    size_t entries = json_object_size(r->header) - (metadata ? 1 : 0), expected = 0;
    lk_nn_slot slots[2];
    int count = slots_of(slot, slots);
    for (int i = 0; i < e->param_count; i++) expected += (size_t)count * slot_exists(e, i, slots[0]);
    if (!checksum_holds(r, metadata, err) || !each(e, slot, check_one, r, err)) return false;
    /* Every expected tensor is there with its size: if they also make up the whole file, none overlap or hide. */
    if (entries != expected || r->used != r->data_size)
        return lk_fail(err, LK_ERR_FORMAT,
                       "%s holds %zu tensors where %zu are expected: it belongs to another architecture", r->path,
                       entries, expected);
    if (value_of) {
        const char *text = json_string_value(json_object_get(metadata, key));
        *value_of = text ? lk_strdup(text, err) : NULL;
        if (text && !*value_of) return false;
    }
    return each(e, slot, take_one, r, err);
}

/* Opens the file, checks that it is a safetensors file, and calls f with it. */
static bool with_file(const char *path, bool (*f)(reader *r, void *user, lk_error *err), void *user, lk_error *err) {
    void *file = NULL;
    size_t size;
    if (!lk_file_read(path, MOST_FILE, &file, &size, err)) return false;
    const unsigned char *bytes = file;
    uint64_t length = 0;
    for (int i = 0; i < 8 && size >= 8; i++) length |= (uint64_t)bytes[i] << (8 * i);
    bool ok = size >= 8 && length <= MOST_HEADER && length <= size - 8;
    if (!ok) lk_fail(err, LK_ERR_FORMAT, "%s is no safetensors file, or is cut off", path);
    json_error_t where;
    json_t *header = ok ? json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (ok && !json_is_object(header))
        ok = lk_fail(err, LK_ERR_FORMAT, "%s is damaged: its header is no JSON object", path);
    if (ok) {
        reader r = {.path = path, .data = bytes + 8 + length, .data_size = size - 8 - (size_t)length, .header = header};
        ok = f(&r, user, err);
    }
    json_decref(header);
    free(file);
    return ok;
}

typedef struct loading {
    lk_nn_exec *e;
    lk_nn_slot slot;
    const char *key;
    char **value_of;
    bool *loaded;
    int *others;
} loading;

static bool load_whole(reader *r, void *user, lk_error *err) {
    const loading *l = user;
    return load(l->e, l->slot, r, l->key, l->value_of, err);
}

bool lk_nn_load(lk_nn_exec *e, lk_nn_slot slot, const char *path, const char *key, char **value_of, lk_error *err) {
    loading l = {.e = e, .slot = slot, .key = key, .value_of = value_of};
    return with_file(path, load_whole, &l, err);
}

static bool load_matching(reader *r, void *user, lk_error *err) {
    loading *l = user;
    const json_t *metadata = json_object_get(r->header, "__metadata__");
    size_t entries = json_object_size(r->header) - (metadata ? 1 : 0), found = 0, largest = 1;
    if (!checksum_holds(r, metadata, err)) return false;
    for (int i = 0; i < l->e->param_count; i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(l->e, i));
        if (n > largest) largest = n;
    }
    float *buffer = lk_alloc(largest, sizeof *buffer, err);
    bool ok = buffer != NULL;
    lk_nn_slot slots[2];
    int count = slots_of(l->slot, slots);
    for (int i = 0; ok && i < l->e->param_count; i++) {
        bool all = slot_exists(l->e, i, slots[0]);
        const unsigned char *at;
        for (int k = 0; all && k < count; k++) all = locate(l->e, i, slots[k], r, &at, NULL);
        for (int k = 0; all && ok && k < count; k++) ok = take_one(l->e, i, slots[k], buffer, r, err);
        if (all) found += (size_t)count;
        if (l->loaded) l->loaded[i] = all;
    }
    if (l->others) *l->others = (int)(entries - found);
    free(buffer);
    return ok;
}

bool lk_nn_load_matching(lk_nn_exec *e, lk_nn_slot slot, const char *path, bool *loaded, int *others, lk_error *err) {
    loading l = {.e = e, .slot = slot, .loaded = loaded, .others = others};
    return with_file(path, load_matching, &l, err);
}
