#include <stdlib.h>

#include "set.h"

/* What is told of the faces that are not removed. */
typedef struct summary {
    int64_t faces, removed, described;
    lk_pose least, most;
    int smallest, largest; /* sides of the crops, pixels */
    int64_t of_type[3];
} summary;

static void add(summary *s, const lk_face *f) {
    s->removed += f->removed;
    if (f->removed) return;
    if (s->faces == 0) {
        s->least = s->most = f->pose;
        s->smallest = s->largest = f->size;
    }
    s->faces++;
    s->described += f->has_descriptor;
    s->of_type[f->type]++;
    if (f->size < s->smallest) s->smallest = f->size;
    if (f->size > s->largest) s->largest = f->size;
    if (f->pose.yaw < s->least.yaw) s->least.yaw = f->pose.yaw;
    if (f->pose.yaw > s->most.yaw) s->most.yaw = f->pose.yaw;
    if (f->pose.pitch < s->least.pitch) s->least.pitch = f->pose.pitch;
    if (f->pose.pitch > s->most.pitch) s->most.pitch = f->pose.pitch;
    if (f->pose.roll < s->least.roll) s->least.roll = f->pose.roll;
    if (f->pose.roll > s->most.roll) s->most.roll = f->pose.roll;
}

static bool summarise(lk_faceset *set, summary *s, lk_error *err) {
    int64_t *ids, count = lk_faceset_ids(set, &(lk_faceset_query){.with_removed = true}, &ids, err);
    lk_face *face = count >= 0 ? lk_alloc(1, sizeof *face, err) : NULL;
    bool ok = face != NULL;
    for (int64_t i = 0; ok && i < count; i++)
        if ((ok = lk_faceset_get(set, ids[i], face, err)) == true) add(s, face);
    free(face);
    if (count >= 0) free(ids);
    return ok;
}

static bool show_source(cli_call *call, lk_faceset *set, const lk_source *v, json_t *list, lk_error *err) {
    int64_t faces = lk_faceset_count(set, &(lk_faceset_query){.source = v->id}, err);
    if (faces < 0) return false;
    cli_say(call, "  %s\n    %d×%d, %lld frames, %.3g a second, %lld faces%s\n", v->path, v->width, v->height,
            (long long)v->frames, v->fps, (long long)faces, v->complete ? "" : "; NOT COMPLETE: extract it again");
    json_t *entry = json_pack("{s:s, s:i, s:i, s:I, s:f, s:I, s:b}", "path", v->path, "width", v->width, "height",
                              v->height, "frames", (json_int_t)v->frames, "fps", v->fps, "faces", (json_int_t)faces,
                              "complete", (int)v->complete);
    return json_array_append_new(list, entry) == 0 || lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

static bool show_sources(cli_call *call, lk_faceset *set, lk_error *err) {
    lk_source *sources;
    int count = lk_faceset_sources(set, &sources, err);
    json_t *list = count >= 0 ? json_array() : NULL;
    if (count < 0 || !cli_result(call, "sources", list, err)) return false;
    bool ok = true;
    for (int i = 0; ok && i < count; i++) ok = show_source(call, set, &sources[i], list, err);
    free(sources);
    return ok;
}

static bool show_summary(cli_call *call, const summary *s, lk_error *err) {
    cli_say(call, "%lld faces, %lld with an identity descriptor; %lld removed\n", (long long)s->faces,
            (long long)s->described, (long long)s->removed);
    json_t *types = json_object();
    for (int i = 0; i < 3; i++) {
        if (s->of_type[i] == 0) continue;
        cli_say(call, "%lld crops of face type %s\n", (long long)s->of_type[i], lk_face_type_names[i]);
        json_object_set_new(types, lk_face_type_names[i], json_integer(s->of_type[i]));
    }
    if (s->faces > 0) {
        cli_say(call, "crops of %d to %d pixels\n", s->smallest, s->largest);
        cli_say(call, "yaw %.0f° to %.0f°, pitch %.0f° to %.0f°, roll %.0f° to %.0f°\n", (double)s->least.yaw,
                (double)s->most.yaw, (double)s->least.pitch, (double)s->most.pitch, (double)s->least.roll,
                (double)s->most.roll);
        json_t *pose = json_pack("{s:[f,f], s:[f,f], s:[f,f]}", "yaw", (double)s->least.yaw, (double)s->most.yaw,
                                 "pitch", (double)s->least.pitch, (double)s->most.pitch, "roll", (double)s->least.roll,
                                 (double)s->most.roll);
        if (!cli_result(call, "pose", pose, err) ||
            !cli_result(call, "size", json_pack("[i,i]", s->smallest, s->largest), err))
            return false;
    }
    return cli_result(call, "types", types, err) && cli_result(call, "faces", json_integer(s->faces), err) &&
           cli_result(call, "described", json_integer(s->described), err) &&
           cli_result(call, "removed", json_integer(s->removed), err);
}

static bool run(cli_call *call, lk_error *err) {
    lk_faceset *set = lk_faceset_open(call->words.items[0], false, err);
    if (!set) return false;
    summary s = {0};
    cli_say(call, "%s\n", call->words.items[0]);
    bool ok = show_sources(call, set, err) && summarise(set, &s, err) && show_summary(call, &s, err);
    lk_faceset_close(set);
    return ok;
}

const cli_command cli_set_info = {
    .name = "info",
    .purpose = "what a set holds: its sources, how many faces, how they are turned",
    .usage = "SET.faces [options]",
    .examples = "  likeness set info anna.faces\n"
                "  likeness set info anna.faces --json",
    .next = "  likeness set sheet SET.faces -o SHEET.png",
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
