/*
 * A disk that fails on demand. Loaded into the real server with LD_PRELOAD, this library stands between SQLite and the
 * kernel. It fails chosen calls, and records the order of writes, syncs and responses.
 *
 * Only calls on files whose path contains FAULTY_IO_MATCH are affected. Each write, sync, truncation, allocation and
 * removal of these files has a number, from 1 on over the whole process.
 *
 *   FAULTY_IO_ARM=path        calls are counted, and fail, only while this file exists
 *   FAULTY_IO_FAIL=N[:ERRNO]  call N fails with EIO, or with ENOSPC if that is given
 *   FAULTY_IO_FAIL_MANY=K     K calls fail, from call N on
 *   FAULTY_IO_SYNC=path       while this file exists every sync fails with EIO, counted or not
 *   FAULTY_IO_COUNT=path      receives a line for each counted call: "17 write hookwright.db-wal"
 *   FAULTY_IO_TRACE=path      receives a line for each call on a matching file, with its result:
 *                             "fsync hookwright.db-wal ok"; and one for each 202 response with the first id in it: "202 0199…"
 *   FAULTY_IO_MARK=text       a traced write names each word in its data that begins with this text
 *
 * A failing call does nothing: it does not reach the kernel.
 */

/* The fortified headers define some of these functions themselves. */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The server of a test has a few dozen files open. Files with a higher number are ignored. */
#define FILES 4096

static const char *match, *arm_file, *sync_file, *mark;
static int count_fd = -1, trace_fd = -1;
static long fail_from, fail_many = 1, fail_errno = EIO;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Guarded by the lock: the number of counted calls, and the last part of the path of each matching file. */
static long counted;
static char names[FILES][64];
/* Read without the lock, because most calls are on other files. */
static atomic_bool is_matching[FILES];

/* All calls to the kernel here use `syscall`, so that they do not enter this library again. */

static int exists(const char *path) { return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0; }

static int append_to(const char *path)
{
    return path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *fail = getenv("FAULTY_IO_FAIL"), *many = getenv("FAULTY_IO_FAIL_MANY");
    match = getenv("FAULTY_IO_MATCH");
    arm_file = getenv("FAULTY_IO_ARM");
    sync_file = getenv("FAULTY_IO_SYNC");
    mark = getenv("FAULTY_IO_MARK");
    fail_from = fail ? atol(fail) : 0;
    fail_errno = fail && strstr(fail, ":ENOSPC") ? ENOSPC : EIO;
    fail_many = many ? atol(many) : 1;
    count_fd = append_to(getenv("FAULTY_IO_COUNT"));
    trace_fd = append_to(getenv("FAULTY_IO_TRACE"));
}

/* SQLite names its files by their whole path. */
static const char *last_part(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }

/* Counts a call. Returns the error with which it must fail, or 0. Needs the lock. */
static int judge(const char *call, const char *name, int is_sync)
{
    char line[128];
    int error = 0;
    if (!arm_file || exists(arm_file)) {
        counted++;
        if (count_fd >= 0)
            syscall(SYS_write, count_fd, line, snprintf(line, sizeof line, "%ld %s %s\n", counted, call, name));
        if (fail_from && counted >= fail_from && counted < fail_from + fail_many)
            error = (int)fail_errno;
    }
    return is_sync && sync_file && exists(sync_file) ? EIO : error;
}

/* Records a call on a matching file, with the marked words in the written data. Needs the lock. */
static void trace(const char *call, const char *name, int is_ok, const char *data, size_t size)
{
    /* Large enough for a page of marked words with a space each. */
    char line[16384];
    size_t used = snprintf(line, 256, "%s %s %s", call, name, is_ok ? "ok" : "failed");
    const char *at = data, *end = data + size;
    while (mark && data && (at = memmem(at, end - at, mark, strlen(mark)))) {
        const char *from = at;
        at += strlen(mark);
        while (at < end && (isalnum((unsigned char)*at) || *at == '-'))
            at++;
        if (used + (at - from) + 2 > sizeof line)
            break;
        line[used++] = ' ';
        memcpy(line + used, from, at - from);
        used += at - from;
    }
    line[used++] = '\n';
    syscall(SYS_write, trace_fd, line, used);
}

/* Makes a call on a file, or fails it. With a trace it holds the lock meanwhile, so that lines are in order. */
static long on_file(const char *call, long number, int fd, long second, long third, long fourth)
{
    int is_sync = number == SYS_fsync || number == SYS_fdatasync;
    int is_write = number == SYS_write || number == SYS_pwrite64;
    long result = -1;
    if (fd < 0 || fd >= FILES || !atomic_load(&is_matching[fd]))
        return syscall(number, fd, second, third, fourth);
    pthread_mutex_lock(&lock);
    int error = judge(call, names[fd], is_sync);
    if (trace_fd < 0)
        pthread_mutex_unlock(&lock);
    if (!error) {
        result = syscall(number, fd, second, third, fourth);
        error = errno;
    }
    if (trace_fd >= 0) {
        trace(call, names[fd], result >= 0, is_write ? (const char *)second : NULL, is_write ? third : 0);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return result;
}

/*
 * Sends to a socket. A 202 response is recorded before it is sent, with the lock held: all calls above it in the trace
 * had happened. Such data goes to sockets alone, so the kind of file is not checked.
 */
static long on_socket(const struct iovec *parts, size_t count, long number, int fd, long second, long third,
                      long fourth, long fifth, long sixth)
{
    static const char accepted[] = "HTTP/1.1 202", id[] = "\"id\":\"";
    char start[2048], line[64];
    size_t used = 0;
    if (trace_fd < 0 || !count || parts[0].iov_len < strlen(accepted)
        || memcmp(parts[0].iov_base, accepted, strlen(accepted)))
        return syscall(number, fd, second, third, fourth, fifth, sixth);
    for (size_t part = 0; part < count; part++) {
        size_t room = sizeof start - 1 - used, size = parts[part].iov_len < room ? parts[part].iov_len : room;
        memcpy(start + used, parts[part].iov_base, size);
        used += size;
    }
    start[used] = 0;
    const char *found = strstr(start, id);
    pthread_mutex_lock(&lock);
    syscall(SYS_write, trace_fd, line, snprintf(line, sizeof line, "202 %.36s\n", found ? found + strlen(id) : "-"));
    long result = syscall(number, fd, second, third, fourth, fifth, sixth);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < FILES && match && strstr(path, match)) {
        int error = errno;
        pthread_mutex_lock(&lock);
        snprintf(names[fd], sizeof names[fd], "%s", last_part(path));
        pthread_mutex_unlock(&lock);
        atomic_store(&is_matching[fd], 1);
        errno = error;
    }
    return fd;
}

int close(int fd)
{
    /* Before another file can get the number. */
    if (fd >= 0 && fd < FILES)
        atomic_store(&is_matching[fd], 0);
    return (int)syscall(SYS_close, fd);
}

int unlink(const char *path)
{
    int error = 0;
    if (match && strstr(path, match)) {
        pthread_mutex_lock(&lock);
        error = judge("unlink", last_part(path), 0);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return error ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

ssize_t write(int fd, const void *data, size_t size)
{
    struct iovec part = { (void *)data, size };
    if (fd >= 0 && fd < FILES && atomic_load(&is_matching[fd]))
        return on_file("write", SYS_write, fd, (long)data, size, 0);
    return on_socket(&part, 1, SYS_write, fd, (long)data, size, 0, 0, 0);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return on_file("pwrite", SYS_pwrite64, fd, (long)data, size, at);
}

int fsync(int fd) { return (int)on_file("fsync", SYS_fsync, fd, 0, 0, 0); }
int fdatasync(int fd) { return (int)on_file("fdatasync", SYS_fdatasync, fd, 0, 0, 0); }
int ftruncate(int fd, off_t size) { return (int)on_file("ftruncate", SYS_ftruncate, fd, size, 0, 0); }

/* Returns the error itself. */
int posix_fallocate(int fd, off_t at, off_t size) { return on_file("fallocate", SYS_fallocate, fd, 0, at, size) ? errno : 0; }

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return on_socket(parts, count, SYS_writev, fd, (long)parts, count, 0, 0, 0);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    struct iovec part = { (void *)data, size };
    return on_socket(&part, 1, SYS_sendto, fd, (long)data, size, flags, (long)to, length);
}

ssize_t send(int fd, const void *data, size_t size, int flags) { return sendto(fd, data, size, flags, NULL, 0); }

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return on_socket(message->msg_iov, message->msg_iovlen, SYS_sendmsg, fd, (long)message, flags, 0, 0, 0);
}

/* On 64 bits an offset has the same size in both names of a function. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) __attribute__((alias("pwrite")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
int posix_fallocate64(int fd, off_t at, off_t size) __attribute__((alias("posix_fallocate")));
