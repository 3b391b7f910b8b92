/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "backendslot.h"

static int held = -1;

static long long now_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Returns 1: this process has locked the byte; 0: another one has; -1: not known. */
static int lock_place(int fd, unsigned long place)
{
  struct flock lock;

  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = (off_t) place;
  lock.l_len = 1;
  if (fcntl(fd, F_SETLK, &lock) == 0)
    return 1;
  return errno == EAGAIN || errno == EACCES ? 0 : -1;
}

/* Finds the first free place; each process begins its search at another one. */
static int lock_any(int fd, unsigned long places)
{
  unsigned long first = (unsigned long) getpid() % places;
  unsigned long i;
  int got = 0;

  for (i = 0; i < places && got == 0; ++i)
    got = lock_place(fd, (first + i) % places);
  return got;
}

int backendslot_take(const unsigned char ip[4], unsigned long port, unsigned long places, unsigned long seconds)
{
  long long deadline = now_ms() + (long long) seconds * 1000;
  struct timespec pause;
  char name[64];
  int got;

  if (held != -1)
    close(held);
  held = -1;
  if (!places)
    return 1;
  sprintf(name, BACKENDSLOT_DIRECTORY "/%d.%d.%d.%d:%lu", ip[0], ip[1], ip[2], ip[3], port);
  held = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (held == -1)
    return 1;
  pause.tv_sec = 0;
  pause.tv_nsec = BACKENDSLOT_LOOK_MS * 1000000L;
  for (;;) {
    got = lock_any(held, places);
    if (got != 0)
      return 1;
    if (now_ms() >= deadline)
      return 0;
    nanosleep(&pause, 0);
  }
}
