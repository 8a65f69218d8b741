/* A wall clock that is months behind, for one process; the steady clocks stay as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#define BEHIND_S (200L * 86400)

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec -= BEHIND_S;
    return failed;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

/* The real clock of this machine is never touched. */
int clock_settime(clockid_t clock, const struct timespec *wanted) {
    (void)clock; (void)wanted;
    errno = EPERM;
    return -1;
}

int adjtimex(struct timex *state) {
    (void)state;
    return TIME_ERROR;
}
