/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "scannertext.h"

#define QUEUED "Kqp "
#define QUEUED_DIGITS 9
#define SCANNERTEXT_PLAIN "Dmail server permanently rejected message (#5.3.0)"

/* Reads one piece from the pipe; returns 0 when there is nothing more to come or nothing now. */
static int scannertext_take(int fd, char *text, size_t size, size_t *length)
{
  char piece[512];
  ssize_t r;
  size_t room;

  r = read(fd, piece, sizeof piece);
  if (r == -1 && errno == EINTR) return 1;
  if (r <= 0) return 0;
  room = size - 1 - *length;
  if ((size_t) r < room) room = (size_t) r;
  memcpy(text + *length, piece, room);
  *length += room;
  return 1;
}

int scannertext_write(int to, const char *s, int len, int fd, char *text, size_t size, size_t *length)
{
  struct pollfd ready[2];

  ready[0].fd = to;
  ready[0].events = POLLOUT;
  ready[1].fd = fd;
  ready[1].events = POLLIN;
  for (;;) {
    ready[0].revents = ready[1].revents = 0;
    if (poll(ready, 2, -1) == -1) {
      if (errno == EINTR) continue;
      break;
    }
    if (ready[0].revents != 0) break;
    if (!scannertext_take(fd, text, size, length)) break; /* the pipe is closed: only the wait is left */
  }
  /* a pipe that is ready accepts so much without blocking */
  return (int) write(to, s, (size_t) (len < PIPE_BUF ? len : PIPE_BUF));
}

int scannertext_collect(int fd, pid_t pid, int *wstat, char *text, size_t size, size_t length)
{
  struct pollfd ready;
  pid_t ended;
  int listening;
  int drained;

  listening = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != -1;
  ended = 0;
  while (listening && ended == 0) {
    ended = waitpid(pid, wstat, WNOHANG);
    if (ended == -1 && errno == EINTR) ended = 0;
    if (ended != 0) break;
    ready.fd = fd;
    ready.events = POLLIN;
    ready.revents = 0;
    if (poll(&ready, 1, 100) > 0 && ready.revents != 0)
      listening = scannertext_take(fd, text, size, &length) || (ready.revents & POLLHUP) == 0;
  }
  while (ended == 0) {
    ended = waitpid(pid, wstat, 0);
    if (ended == -1 && errno == EINTR) ended = 0;
  }
  /* 64 KiB is what a pipe holds; a grandchild that goes on writing must not hold this loop for ever. */
  for (drained = 0; listening && drained < 128; ++drained)
    if (!scannertext_take(fd, text, size, &length)) break;
  close(fd);
  text[length] = 0;
  return ended == pid ? (int) length : -1;
}

void scannertext_reply(char *text, size_t size)
{
  size_t i;

  text[size - 1] = 0;
  if (size > SCANNERTEXT_MAX) text[SCANNERTEXT_MAX] = 0;
  for (i = strlen(text); i > 0 && (text[i - 1] == '\n' || text[i - 1] == '\r' || text[i - 1] == ' '); --i)
    text[i - 1] = 0;
  if ((text[0] != 'D' && text[0] != 'Z') || text[1] == 0) {
    strcpy(text, SCANNERTEXT_PLAIN);
    return;
  }
  for (i = 1; text[i]; ++i)
    if (text[i] < 32 || text[i] > 126) text[i] = '?';
}

unsigned long scannertext_queued(const char *text, unsigned long otherwise)
{
  unsigned long number = 0;
  size_t digits;
  size_t i;

  if (strncmp(text, QUEUED, strlen(QUEUED)) != 0) return otherwise;
  text += strlen(QUEUED);
  digits = strspn(text, "0123456789");
  if (digits == 0 || digits > QUEUED_DIGITS || text[0] == '0' || strcmp(text + digits + (text[digits] == '\n'), "") != 0)
    return otherwise;
  for (i = 0; i < digits; ++i) number = number * 10 + (unsigned long) (text[i] - '0');
  return number;
}
