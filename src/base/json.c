#include "likeness/options.h"

#include <stdlib.h>
#include <string.h>

json_t *lk_json_read(const char *path, lk_error *err) {
    void *data;
    size_t size;
    if (!lk_file_read(path, LK_MIB(64), &data, &size, err)) return NULL;
    json_error_t where;
    json_t *json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &where);
    free(data);
    if (!json) lk_fail(err, LK_ERR_FORMAT, "%s is not valid JSON: %s (line %d)", path, where.text, where.line);
    return json;
}

bool lk_json_write(const char *path, const json_t *json, lk_error *err) {
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (!text) return lk_fail(err, LK_ERR_MEMORY, "%s: out of memory", path);
    size_t size = strlen(text);
    text[size++] = '\n'; /* the closing zero gives way to a newline */
    bool ok = lk_file_write(path, text, size, err);
    free(text);
    return ok;
}
