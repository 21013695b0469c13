/* A part: "LKPART1\n", its head, packets, its tail, and a CRC-32 of all of it. A packet: pts, dts, duration (64 bits), flags,
 * size (32 bits), the bytes; size 0xffffffff: no packet, the tail follows. Numbers as this machine has them: a part is
 * put together where it was made. */
#include "parts.h"

#include <libavutil/crc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC      "LKPART1\n"
#define NO_PACKET  0xffffffffu
#define MAX_PACKET (1u << 30)

typedef struct packet_head {
    int64_t pts, dts, duration;
    uint32_t flags, size;
} packet_head;

static uint32_t checked(uint32_t crc, const void *data, size_t size) {
    return av_crc(av_crc_get_table(AV_CRC_32_IEEE_LE), crc, data, size);
}

static char *part_path(const char *folder, int64_t number, lk_error *err) {
    return lk_format(err, "%s/%06lld.part", folder, (long long)number);
}

/* ---- Writing --------------------------------------------------------------------------------------------- */

struct lk_part_writer {
    lk_file_replacement *file;
    uint32_t crc;
};

static bool append(lk_part_writer *p, const void *data, size_t size, lk_error *err) {
    p->crc = checked(p->crc, data, size);
    return lk_file_append(p->file, data, size, err);
}

lk_part_writer *lk_part_create(const char *folder, int64_t number, const lk_part_head *head, lk_error *err) {
    lk_part_writer *p = lk_alloc(1, sizeof *p, err);
    char *path = p ? part_path(folder, number, err) : NULL;
    bool ok = path && (p->file = lk_file_replace(path, err)) != NULL;
    free(path);
    if (ok && append(p, MAGIC, strlen(MAGIC), err) && append(p, head, sizeof *head, err)) return p;
    lk_part_abandon(p);
    return NULL;
}

bool lk_part_add(lk_part_writer *p, const AVPacket *packet, lk_error *err) {
    packet_head h = {packet->pts, packet->dts, packet->duration, (uint32_t)packet->flags, (uint32_t)packet->size};
    return append(p, &h, sizeof h, err) && append(p, packet->data, (size_t)packet->size, err);
}

bool lk_part_commit(lk_part_writer *p, const lk_part_tail *tail, lk_error *err) {
    packet_head h = {.size = NO_PACKET};
    bool ok = append(p, &h, sizeof h, err) && append(p, tail, sizeof *tail, err);
    uint32_t crc = p->crc;
    ok = ok && lk_file_append(p->file, &crc, sizeof crc, err);
    if (ok)
        ok = lk_file_commit(p->file, err);
    else
        lk_file_abandon(p->file);
    free(p);
    return ok;
}

void lk_part_abandon(lk_part_writer *p) {
    if (!p) return;
    if (p->file) lk_file_abandon(p->file);
    free(p);
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

struct lk_part_reader {
    FILE *file;
    char *path;
};

static bool damaged(const lk_part_reader *p, lk_error *err) {
    return lk_fail(err, LK_ERR_FORMAT, "%s is damaged; remove it, and the same command makes it anew", p->path);
}

/* The checksum over the whole file, and the tail, which stands before it. */
static bool check(lk_part_reader *p, lk_part_tail *tail, lk_error *err) {
    static const size_t piece = 1 << 16;
    struct stat st;
    size_t least = strlen(MAGIC) + sizeof(lk_part_head) + sizeof(packet_head) + sizeof *tail + sizeof(uint32_t);
    if (fstat(fileno(p->file), &st) != 0 || (uint64_t)st.st_size < least) return damaged(p, err);
    uint8_t *data = malloc(piece);
    if (!data) return lk_fail(err, LK_ERR_MEMORY, "no memory to read %s", p->path);
    uint64_t left = (uint64_t)st.st_size - sizeof(uint32_t);
    uint32_t crc = 0, stored = 1;
    bool ok = true;
    while (ok && left > 0) {
        size_t n = left < piece ? (size_t)left : piece;
        ok = fread(data, 1, n, p->file) == n;
        if (ok) crc = checked(crc, data, n);
        left -= n;
    }
    free(data);
    ok = ok && fread(&stored, sizeof stored, 1, p->file) == 1 && stored == crc;
    ok = ok && fseeko(p->file, -(off_t)(sizeof *tail + sizeof stored), SEEK_END) == 0 &&
         fread(tail, sizeof *tail, 1, p->file) == 1 && fseeko(p->file, 0, SEEK_SET) == 0;
    return ok || damaged(p, err);
}

lk_part_reader *lk_part_open(const char *folder, int64_t number, lk_part_head *head, lk_part_tail *tail,
                             lk_error *err) {
    char magic[sizeof MAGIC];
    lk_part_reader *p = lk_alloc(1, sizeof *p, err);
    if (!p) return NULL;
    p->path = part_path(folder, number, err);
    p->file = p->path ? fopen(p->path, "rb") : NULL;
    bool ok = p->file != NULL;
    if (p->path && !ok) lk_fail_errno(err, "%s cannot be opened", p->path);
    ok = ok && check(p, tail, err);
    if (ok && (fread(magic, strlen(MAGIC), 1, p->file) != 1 || memcmp(magic, MAGIC, strlen(MAGIC)) != 0 ||
               fread(head, sizeof *head, 1, p->file) != 1))
        ok = damaged(p, err);
    if (ok) return p;
    lk_part_close(p);
    return NULL;
}

bool lk_part_next(lk_part_reader *p, AVPacket *packet, lk_error *err) {
    packet_head h;
    err->code = LK_OK;
    if (fread(&h, sizeof h, 1, p->file) != 1) return damaged(p, err);
    if (h.size == NO_PACKET) return false;
    if (h.size > MAX_PACKET || av_new_packet(packet, (int)h.size) < 0)
        return lk_fail(err, LK_ERR_MEMORY, "no memory for a packet of %s", p->path);
    packet->pts = h.pts;
    packet->dts = h.dts;
    packet->duration = h.duration;
    packet->flags = (int)h.flags;
    if (h.size && fread(packet->data, h.size, 1, p->file) != 1) {
        av_packet_unref(packet);
        return damaged(p, err);
    }
    return true;
}

void lk_part_close(lk_part_reader *p) {
    if (!p) return;
    if (p->file) fclose(p->file);
    free(p->path);
    free(p);
}
