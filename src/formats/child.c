/* A child process that reads a stranger's file with a library that is not trusted. It is a fork without exec: it has
 * the file, a socket and nothing else, limits on memory and processor time, and cannot write to any file. A crash in
 * it, an endless loop or an answer that makes no sense is one error in the parent.
 *
 * The parent may have threads. Then only the thread that forks goes on in the child, and locks that others held stay
 * held. glibc makes malloc and stdio usable again in the child; what else could be held (in the dynamic linker, in the
 * environment) would let the child wait for ever, which the parent's patience ends. Nothing of the parent's locks is
 * taken by our own code between fork and _exit. Not a general sandbox: the child may still read what the user may. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "formats/hdf5.h"

enum { FIRST_OTHER = 5, ABOVE_ALL = 10, MOST_OPEN = 65536 };

/* ---- on both sides ---- */

static bool send_all(int socket, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    while (count > 0) {
        ssize_t put = send(socket, at, count, MSG_NOSIGNAL);
        if (put > 0) {
            at += put;
            count -= (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* What has come, at most `count` bytes; 0: nothing more will. */
static size_t receive(int socket, void *bytes, size_t count) {
    ssize_t got;
    do {
        got = recv(socket, bytes, count, 0);
    } while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
}

/* ---- in the child ---- */

static void limit(__rlimit_resource_t which, uint64_t value, uint64_t most) {
    struct rlimit now;
    if (getrlimit(which, &now) == 0) {
        now.rlim_max = (rlim_t)most < now.rlim_max ? (rlim_t)most : now.rlim_max;
        now.rlim_cur = (rlim_t)value < now.rlim_max ? (rlim_t)value : now.rlim_max;
        (void)setrlimit(which, &now);
    }
}

static void close_from(int first) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0) {
        return;
    }
#endif
    for (int d = first; d < MOST_OPEN; d++) {
        close(d);
    }
}

/* The file and the socket at their places, nothing at the standard streams, all others closed. */
static bool settle_descriptors(int file, int socket) {
    int nothing = fcntl(open("/dev/null", O_RDWR), F_DUPFD, ABOVE_ALL);
    file = fcntl(file, F_DUPFD, ABOVE_ALL);
    socket = fcntl(socket, F_DUPFD, ABOVE_ALL);
    if (file < 0 || socket < 0 || dup2(file, ST_CHILD_FILE) < 0 || dup2(socket, ST_CHILD_SOCKET) < 0) {
        return false;
    }
    for (int d = 0; d < ST_CHILD_FILE; d++) {
        if (nothing < 0 || dup2(nothing, d) < 0) {
            close(d);
        }
    }
    close_from(FIRST_OTHER);
    return true;
}

/* The parent's handlers must not run here. Ctrl-C ends the parent, and that ends the child. */
static void settle_signals(void) {
    static const int of_the_parent[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    struct sigaction action;
    sigset_t none;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int s = 1; s < NSIG; s++) {
        (void)sigaction(s, &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    for (size_t i = 0; i < ST_COUNT_OF(of_the_parent); i++) {
        (void)sigaction(of_the_parent[i], &action, NULL);
    }
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void run_child(int file, int socket, int parent, uint64_t memory, unsigned cpu_s, void (*serve)(void)) {
    settle_signals();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || !settle_descriptors(file, socket)) {
        _exit(1);
    }
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_FSIZE, 0, 0);
    limit(RLIMIT_NPROC, 0, 0);
    limit(RLIMIT_CPU, cpu_s, (uint64_t)cpu_s + 1); /* the first is SIGXCPU, the second SIGKILL */
    if (memory > 0) {
        limit(RLIMIT_AS, memory, memory);
    }
    serve();
    _exit(0);
}

void st_child_seal(void) {
    limit(RLIMIT_NOFILE, 0, 0);
}

bool st_child_say(const void *bytes, size_t count) {
    return send_all(ST_CHILD_SOCKET, bytes, count);
}

bool st_child_listen(void *bytes, size_t count) {
    unsigned char *at = bytes;
    while (count > 0) {
        size_t got = receive(ST_CHILD_SOCKET, at, count);
        if (got == 0) {
            return false;
        }
        at += got;
        count -= got;
    }
    return true;
}

/* ---- in the parent ---- */

/* The address space that the process has now: the child begins with as much. 0: not known. */
static uint64_t size_now(void) {
    char text[128] = "";
    unsigned long long pages = 0;
    int file = st_sys.open("/proc/self/statm", O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) {
        return 0;
    }
    ssize_t got = st_sys.read(file, text, sizeof text - 1);
    st_sys.close(file);
    if (got <= 0 || sscanf(text, "%llu", &pages) != 1) {
        return 0;
    }
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static strata_status fail_system(const st_child *child, const char *what, strata_error *err) {
    char reason[128];
    return st_fail_file(err, errno == ENOMEM || errno == EAGAIN ? STRATA_MEMORY : STRATA_IO, child->path,
                        "no process could be started to read it (%s): %s", what,
                        strerror_r(errno, reason, sizeof reason));
}

strata_status st_child_start(st_child *out, const st_file *lent, uint64_t memory, unsigned cpu_s, void (*serve)(void),
                             strata_error *err) {
    int sockets[2], parent = (int)getpid();
    sigset_t all, before;
    uint64_t now = size_now();
    out->pid = 0;
    out->socket = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        return fail_system(out, "socketpair", err);
    }
    /* Blocked until the child has set its own, so that no handler of the parent runs in it. */
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        run_child(lent->descriptor, sockets[1], parent, now > 0 ? now + memory : 0, cpu_s, serve);
    }
    int number = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    st_sys.close(sockets[1]);
    if (pid < 0) {
        st_sys.close(sockets[0]);
        errno = number;
        return fail_system(out, "fork", err);
    }
    out->pid = (int)pid;
    out->socket = sockets[0];
    return STRATA_OK;
}

/* How the child ended, after its end of the socket was closed; it gets two seconds to be gone. */
static int find_end(st_child *child) {
    enum { TRIES = 2000 };
    int status = 0;
    for (int i = 0; i < TRIES; i++) {
        const struct timespec moment = {.tv_nsec = 1000000};
        pid_t got = waitpid(child->pid, &status, WNOHANG);
        if (got == child->pid || (got < 0 && errno == ECHILD)) { /* the host may have waited for it */
            child->pid = 0;
            return got > 0 ? status : 0;
        }
        (void)nanosleep(&moment, NULL);
    }
    return 0;
}

static strata_status fail_ended(st_child *child, strata_error *err) {
    int status = find_end(child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
        return st_fail_file(err, STRATA_FORMAT, child->path, "%s works on it without end: the file is damaged",
                            child->who);
    }
    if (WIFSIGNALED(status)) {
        return st_fail_file(err, STRATA_FORMAT, child->path,
                            "%s crashed while reading it (signal %d): the file is damaged", child->who,
                            WTERMSIG(status));
    }
    return st_fail_file(err, STRATA_FORMAT, child->path, "%s gave up reading it: the file is damaged", child->who);
}

strata_status st_child_tell(st_child *child, const void *bytes, size_t count, strata_error *err) {
    return send_all(child->socket, bytes, count) ? STRATA_OK : fail_ended(child, err);
}

static strata_status wait_for(const st_child *child, strata_error *err) {
    struct pollfd on = {.fd = child->socket, .events = POLLIN};
    double until = st_clock_s() + child->patience_s;
    for (;;) {
        double left = until - st_clock_s();
        int got = poll(&on, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (got > 0) {
            return STRATA_OK;
        }
        if (got == 0) {
            return st_fail_file(err, STRATA_FORMAT, child->path, "%s was silent for %.3g seconds while reading it",
                                child->who, child->patience_s);
        }
        if (errno != EINTR) {
            return fail_system(child, "poll", err);
        }
    }
}

strata_status st_child_hear(st_child *child, void *bytes, size_t count, strata_error *err) {
    unsigned char *at = bytes;
    while (count > 0) {
        ST_TRY(wait_for(child, err));
        size_t got = receive(child->socket, at, count);
        if (got == 0) {
            return fail_ended(child, err);
        }
        at += got;
        count -= got;
    }
    return STRATA_OK;
}

void st_child_end(st_child *child) {
    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        child->pid = 0;
    }
    if (child->path != NULL && child->socket >= 0) {
        st_sys.close(child->socket);
    }
    child->socket = -1;
}
