#include "likeness/base.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void to_hex(const unsigned char digest[32], char hex[65]) {
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void lk_sha256(const void *data, size_t size, char hex[65]) {
    unsigned char digest[32] = {0};
    unsigned int length = sizeof digest;
    EVP_Digest(data, size, digest, &length, EVP_sha256(), NULL);
    to_hex(digest, hex);
}

bool lk_sha256_file(const char *path, char hex[65], lk_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return lk_fail_errno(err, "%s cannot be opened", path);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char *buffer = malloc(LK_MIB(1)), digest[32] = {0};
    bool ok = context && buffer && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    if (!ok) lk_fail(err, LK_ERR_MEMORY, "%s: out of memory for its checksum", path);
    while (ok) {
        ssize_t n = read(fd, buffer, LK_MIB(1));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) ok = lk_fail_errno(err, "%s cannot be read", path);
        if (n <= 0) break;
        EVP_DigestUpdate(context, buffer, (size_t)n);
    }
    if (ok) EVP_DigestFinal_ex(context, digest, NULL);
    to_hex(digest, hex);
    EVP_MD_CTX_free(context);
    free(buffer);
    close(fd);
    return ok;
}
