/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Loaded into every program of a container by /etc/ld.so.preload: the time of day is so many seconds ahead as the eight
 * bytes of /run/clock-ahead say, also in programs that run already. A container has the clock of its machine, which no
 * namespace changes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead_file;

__attribute__((constructor)) static void begin(void)
{
  int fd = open("/run/clock-ahead", O_RDONLY | O_CLOEXEC);
  void *found = MAP_FAILED;

  if (fd == -1)
    return;
  if (lseek(fd, 0, SEEK_END) == (off_t) sizeof(int64_t))
    found = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (found != MAP_FAILED)
    ahead_file = found;
}

static int64_t ahead(void)
{
  return ahead_file ? *ahead_file : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  static int (*real)(clockid_t, struct timespec *);
  int status;

  if (!real)
    *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
  status = real(clock, now);
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += ahead();
  return status;
}

int gettimeofday(struct timeval *now, void *zone)
{
  struct timespec found;

  (void) zone;
  if (clock_gettime(CLOCK_REALTIME, &found) == -1)
    return -1;
  now->tv_sec = found.tv_sec;
  now->tv_usec = found.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now)
{
  struct timespec found;

  if (clock_gettime(CLOCK_REALTIME, &found) == -1)
    return -1;
  if (now)
    *now = found.tv_sec;
  return found.tv_sec;
}
