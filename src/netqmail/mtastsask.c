/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "mtastsask.h"

#define PAUSE_MS 50 /* where the socket has no place for one more just now */

static long long now_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits for an event. Returns 0 when the time is over, or poll has failed. */
static int wait_for(int fd, short events, long long deadline_ms)
{
  struct pollfd one;
  long long left;
  int ready;

  one.fd = fd;
  one.events = events;
  for (;;) {
    left = deadline_ms - now_ms();
    if (left <= 0)
      return 0;
    ready = poll(&one, 1, (int) left);
    if (ready >= 0)
      return ready;
    if (errno != EINTR)
      return 0;
  }
}

/* Returns a connected socket that does not block, or -1. */
static int connected(const char *path, long long deadline_ms)
{
  struct sockaddr_un address;
  int fd;

  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  errno = ENAMETOOLONG;
  if (strlen(path) >= sizeof address.sun_path)
    return -1;
  strcpy(address.sun_path, path);
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd == -1)
    return -1;
  while (connect(fd, (struct sockaddr *) &address, sizeof address) == -1) {
    /* EAGAIN: its backlog is full; there is no event to wait for */
    if ((errno != EAGAIN && errno != EINTR) || now_ms() + PAUSE_MS >= deadline_ms) {
      close(fd);
      return -1;
    }
    poll(0, 0, PAUSE_MS);
  }
  return fd;
}

static int say(int fd, const char *bytes, size_t length, long long deadline_ms)
{
  ssize_t n;

  while (length) {
    n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n > 0) {
      bytes += n;
      length -= (size_t) n;
    } else if (n == 0 || (errno != EINTR && (errno != EAGAIN || !wait_for(fd, POLLOUT, deadline_ms)))) {
      return 0;
    }
  }
  return 1;
}

static enum mtasts_state hear(struct mtasts *policy, int fd, long long deadline_ms, const char **why)
{
  enum mtasts_state state;
  ssize_t n;

  policy->length = 0;
  for (;;) {
    *why = "its resolver does not know it";
    state = mtasts_read(policy);
    if (state != MTASTS_MORE)
      return state;
    *why = "its resolver gave no answer";
    n = read(fd, policy->answer + policy->length, sizeof policy->answer - policy->length);
    if (n > 0)
      policy->length += (size_t) n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
      return MTASTS_UNKNOWN;
    else if (errno == EAGAIN && !wait_for(fd, POLLIN, deadline_ms)) {
      *why = "its resolver gave no answer in time";
      return MTASTS_UNKNOWN;
    }
  }
}

enum mtasts_state mtastsask(struct mtasts *policy, const char *path, const char *domain, size_t length, int milliseconds, const char **why)
{
  char question[MTASTS_QUESTION_MAX];
  size_t bytes = mtasts_question(question, domain, length);
  long long deadline_ms = now_ms() + milliseconds;
  enum mtasts_state state;
  int fd;

  if (!bytes)
    return MTASTS_NONE;
  *why = "its resolver cannot be reached";
  fd = connected(path, deadline_ms);
  if (fd == -1)
    return MTASTS_UNKNOWN;
  if (!say(fd, question, bytes, deadline_ms)) {
    close(fd);
    return MTASTS_UNKNOWN;
  }
  state = hear(policy, fd, deadline_ms, why);
  close(fd);
  return state;
}
