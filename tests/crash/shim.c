/* Makes system calls on chosen files fail, or ends the process at them.
 *
 * Loaded with LD_PRELOAD; armed by the process itself through the functions shim_*.
 * A call is chosen by its kind, a pattern of the path that it changes, and its number.
 * With shim_remember, killing the process also takes back what was written to the chosen
 * files and not yet synced: what a power loss does, as far as the content of files goes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, RENAME = 4, LINK = 8, TRUNCATE = 16, UNLINK = 32 };
enum { NOTHING, KILL_BEFORE, KILL_AFTER, KILL_HALF, FAIL, FAIL_AFTER };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int kinds, first, times, action, error, seen;
    char pattern[PATH_MAX];
} rule;

typedef struct entry {
    struct entry *before;
    dev_t device;
    ino_t inode;
    off_t at, size; /* size of the file before */
    size_t length;
    char *data; /* what stood there */
    char path[PATH_MAX];
} entry;
static char remembered[PATH_MAX];
static unsigned survivors; /* seed of what survives a power loss; 0: nothing does */
static entry *entries;

/* What fails here leaves the disk as it is, which is a possible outcome too. */
#define REAL_DONE(call) \
    do { \
        if ((call) < 0) errno = 0; \
    } while (0)

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

void shim_arm(int kinds, const char *pattern, int first, int times, int action, int error) {
    pthread_mutex_lock(&lock);
    snprintf(rule.pattern, sizeof rule.pattern, "%s", pattern);
    rule.kinds = kinds, rule.first = first, rule.times = times;
    rule.action = action, rule.error = error, rule.seen = 0;
    pthread_mutex_unlock(&lock);
}

int shim_seen(void) { return rule.seen; }

void shim_remember(const char *pattern, unsigned seed) {
    snprintf(remembered, sizeof remembered, "%s", pattern);
    survivors = seed;
}

static void lose(entry *lost, int whole) {
    struct stat now;
    int fd = open(lost->path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    if (!fstat(fd, &now) && now.st_dev == lost->device && now.st_ino == lost->inode) {
        REAL(pwrite);
        REAL_DONE(real(fd, lost->data, lost->length, lost->at));
        static int (*cut)(int, off_t);
        if (!cut) cut = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
        if (whole) REAL_DONE(cut(fd, lost->size));
    }
    close(fd);
}

void shim_die(void) {
    /* Whoever else writes meanwhile waits for the lock, and dies here. */
    pthread_mutex_lock(&lock);
    for (entry *item = entries; item; item = item->before)
        if (!survivors || rand_r(&survivors) & 1) lose(item, !survivors);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int decide(int kind, const char *path) {
    int action = NOTHING;
    pthread_mutex_lock(&lock);
    if ((rule.kinds & kind) && !fnmatch(rule.pattern, path, 0)) {
        rule.seen++;
        if (rule.seen >= rule.first && rule.seen - rule.first < rule.times) action = rule.action;
    }
    pthread_mutex_unlock(&lock);
    if (action == KILL_BEFORE) shim_die();
    return action;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) length = 0;
    path[length] = 0;
    return length > 0;
}

static int decide_on(int kind, int fd) {
    char path[PATH_MAX];
    return rule.kinds & kind && path_of(fd, path) ? decide(kind, path) : NOTHING;
}

/* Returns what the caller is told of a call that was done. */
static ssize_t told(int action, ssize_t result) {
    if (action == KILL_AFTER) shim_die();
    if (action != FAIL_AFTER) return result;
    errno = rule.error;
    return -1;
}

static int refused(int action) {
    if (action != FAIL) return 0;
    errno = rule.error;
    return 1;
}

/* Keeps the bytes that are about to change; at < 0 stands for the place of the descriptor. */
static void keep(int fd, off_t at, size_t length, int truncated) {
    char path[PATH_MAX];
    struct stat file;
    if (!remembered[0] || !path_of(fd, path) || fnmatch(remembered, path, 0)) return;
    if (fstat(fd, &file)) return;
    if (at < 0) at = lseek(fd, 0, SEEK_CUR);
    if (truncated) length = file.st_size > at ? file.st_size - at : 0;
    entry *item = calloc(1, sizeof *item);
    item->device = file.st_dev, item->inode = file.st_ino;
    item->at = at, item->size = file.st_size;
    item->data = malloc(length ? length : 1);
    ssize_t got = pread(fd, item->data, length, at);
    item->length = got < 0 ? 0 : got;
    memcpy(item->path, path, sizeof path);
    pthread_mutex_lock(&lock);
    item->before = entries;
    entries = item;
    pthread_mutex_unlock(&lock);
}

static void forget(int fd) {
    struct stat file;
    if (!remembered[0] || fstat(fd, &file)) return;
    pthread_mutex_lock(&lock);
    for (entry **place = &entries; *place;) {
        entry *item = *place;
        if (item->device == file.st_dev && item->inode == file.st_ino) {
            *place = item->before;
            free(item->data);
            free(item);
        } else {
            place = &item->before;
        }
    }
    pthread_mutex_unlock(&lock);
}

#define DO_WRITE(at, whole, half) \
    int action = decide_on(WRITE, fd); \
    if (refused(action)) return -1; \
    keep(fd, at, length, 0); \
    if (action == KILL_HALF) { \
        REAL_DONE(half); \
        shim_die(); \
    } \
    return told(action, whole)

ssize_t write(int fd, const void *data, size_t length) {
    REAL(write);
    DO_WRITE(-1, real(fd, data, length), real(fd, data, length / 2));
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) {
    REAL(pwrite);
    DO_WRITE(at, real(fd, data, length, at), real(fd, data, length / 2, at));
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
    REAL(pwrite64);
    DO_WRITE(at, real(fd, data, length, at), real(fd, data, length / 2, at));
}

#define DO_SYNC \
    int action = decide_on(SYNC, fd); \
    if (refused(action)) return -1; \
    int result = real(fd); \
    if (!result) forget(fd); \
    return told(action, result)

int fsync(int fd) {
    REAL(fsync);
    DO_SYNC;
}

int fdatasync(int fd) {
    REAL(fdatasync);
    DO_SYNC;
}

#define DO_TRUNCATE \
    int action = decide_on(TRUNCATE, fd); \
    if (refused(action)) return -1; \
    keep(fd, length, 0, 1); \
    return told(action, real(fd, length))

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    DO_TRUNCATE;
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    DO_TRUNCATE;
}

#define DO_NAME(kind, path, call) \
    int action = decide(kind, path); \
    if (refused(action)) return -1; \
    return told(action, call)

int rename(const char *old, const char *new) {
    REAL(rename);
    DO_NAME(RENAME, new, real(old, new));
}

int renameat(int from, const char *old, int to, const char *new) {
    REAL(renameat);
    DO_NAME(RENAME, new, real(from, old, to, new));
}

int link(const char *old, const char *new) {
    REAL(link);
    DO_NAME(LINK, new, real(old, new));
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    REAL(linkat);
    DO_NAME(LINK, new, real(from, old, to, new, flags));
}

int unlink(const char *path) {
    REAL(unlink);
    DO_NAME(UNLINK, path, real(path));
}

int unlinkat(int folder, const char *path, int flags) {
    char whole[2 * PATH_MAX];
    REAL(unlinkat);
    if (*path == '/' || !path_of(folder, whole)) *whole = 0;
    snprintf(whole + strlen(whole), PATH_MAX, *whole ? "/%s" : "%s", path);
    DO_NAME(UNLINK, whole, real(folder, path, flags));
}
