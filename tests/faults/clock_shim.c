/* Lies about the wall clock of one process (LD_PRELOAD), and about nothing else: CLOCK_MONOTONIC and
   CLOCK_BOOTTIME stay true. The file CLOCK_SHIM_FILE holds the offset in seconds and, if wanted, what
   adjtimex returns (0: synchronised, 5: not). Setting the clock writes the offset there. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static double offset_s(int *state) {
  double offset = 0;
  FILE *file = fopen(getenv("CLOCK_SHIM_FILE"), "r");
  if (file) {
    if (fscanf(file, "%lf %d", &offset, state) < 1) offset = 0;
    fclose(file);
  }
  return offset;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int state, result = syscall(SYS_clock_gettime, clock, now);
  if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset_s(&state);
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec fine;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &fine);
  now->tv_sec = fine.tv_sec;
  now->tv_usec = fine.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *kept) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (kept) *kept = now.tv_sec;
  return now.tv_sec;
}

int clock_settime(clockid_t clock, const struct timespec *wanted) {
  struct timespec now;
  FILE *file = fopen(getenv("CLOCK_SHIM_FILE"), "w");
  (void)clock;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  if (!file) return -1;
  fprintf(file, "%lld\n", (long long)wanted->tv_sec - now.tv_sec);
  return fclose(file);
}

int adjtimex(struct timex *buffer) {
  int state = -1;
  offset_s(&state);
  return state >= 0 ? state : syscall(SYS_adjtimex, buffer);
}
