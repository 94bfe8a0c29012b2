/* Loaded before the C library (LD_PRELOAD): notes what is written below one folder, and when it is synced.
 *
 * POWER_FOLDER is the folder, POWER_LOG the file of records: a head, and the bytes of a write. A sync has two records,
 * as it begins and as it has ended: what was noted before it began is on the disk when it has ended. Files in shared
 * memory (-shm) are left out; they are made anew.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
    char op; /* Created, Written, Truncated, Unlinked, sync Begun, sync Ended */
    char pad[7];
    int64_t offset, length, token;
    char name[104];
};

static const char *folder;
static int records = -1;
static int64_t tokens;

__attribute__((constructor)) static void begin(void) {
    const char *place = getenv("POWER_LOG");
    folder = getenv("POWER_FOLDER");
    if (folder && place)
        records = syscall(SYS_openat, AT_FDCWD, place, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

/* The name below the folder; empty for the folder itself; NULL for what is elsewhere. */
static const char *below(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    if (records < 0 || strncmp(path, folder, length))
        return NULL;
    if (!path[length])
        return "";
    size_t whole = strlen(path);
    if (path[length] != '/' || whole - length > 100 || (whole > 4 && !strcmp(path + whole - 4, "-shm")))
        return NULL;
    return path + length + 1;
}

static const char *named(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = records < 0 ? -1 : readlink(link, path, 4095);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return below(path);
}

static void note(char op, const char *name, int64_t offset, const void *data, int64_t length, int64_t token) {
    size_t more = data ? length : 0;
    struct head *record = calloc(1, sizeof(struct head) + more);
    record->op = op, record->offset = offset, record->length = length, record->token = token;
    strncpy(record->name, name, sizeof record->name - 1);
    if (more)
        memcpy(record + 1, data, more);
    syscall(SYS_write, records, record, sizeof(struct head) + more); /* one call, so that records do not mix */
    free(record);
}

static int made(int fd, const char *path, int flags, int existed) {
    char found[4096];
    const char *name;
    int kept = errno;
    if (fd >= 0 && (flags & O_CREAT) && !existed && (name = named(fd, found)))
        note('C', name, 0, NULL, 0, 0);
    errno = kept;
    (void)path;
    return fd;
}

#define OPEN(called)                                                                    \
    int called(const char *path, int flags, ...) {                                      \
        va_list more;                                                                   \
        va_start(more, flags);                                                          \
        int mode = va_arg(more, int);                                                   \
        va_end(more);                                                                   \
        int existed = !access(path, F_OK);                                              \
        return made(syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags, existed); \
    }
OPEN(open)
OPEN(open64)

#define PWRITE(called)                                                        \
    ssize_t called(int fd, const void *data, size_t length, off_t offset) {   \
        ssize_t done = syscall(SYS_pwrite64, fd, data, length, offset);       \
        char path[4096];                                                      \
        const char *name;                                                     \
        int kept = errno;                                                     \
        if (done > 0 && (name = named(fd, path)))                             \
            note('W', name, offset, data, done, 0);                           \
        errno = kept;                                                         \
        return done;                                                          \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t write(int fd, const void *data, size_t length) {
    char path[4096];
    const char *name = named(fd, path);
    off_t offset = name ? lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR) : 0;
    ssize_t done = syscall(SYS_write, fd, data, length);
    int kept = errno;
    if (done > 0 && name)
        note('W', name, offset, data, done, 0);
    errno = kept;
    return done;
}

#define TRUNCATE(called)                                  \
    int called(int fd, off_t length) {                    \
        int done = syscall(SYS_ftruncate, fd, length);    \
        char path[4096];                                  \
        const char *name;                                 \
        if (!done && (name = named(fd, path)))            \
            note('T', name, length, NULL, 0, 0);          \
        return done;                                      \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(called, number)                                                                      \
    int called(int fd) {                                                                          \
        char path[4096];                                                                          \
        const char *name = named(fd, path);                                                       \
        int64_t token = ((int64_t)getpid() << 32) + __atomic_add_fetch(&tokens, 1, __ATOMIC_SEQ_CST); \
        if (name)                                                                                 \
            note('B', name, 0, NULL, 0, token);                                                   \
        int done = syscall(number, fd);                                                           \
        if (name && !done)                                                                        \
            note('E', name, 0, NULL, 0, token);                                                   \
        return done;                                                                              \
    }
SYNC(fsync, SYS_fsync)
SYNC(fdatasync, SYS_fdatasync)

int unlink(const char *path) {
    int done = syscall(SYS_unlink, path);
    const char *name = below(path);
    if (!done && name)
        note('U', name, 0, NULL, 0, 0);
    return done;
}
