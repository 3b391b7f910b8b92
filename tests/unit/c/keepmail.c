/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * In the place of qmail-queue: keeps the message, the envelope and the environment in files of the directory KEEPMAIL.
 * Without a whole envelope nothing is kept.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;

static void name(char *out, size_t size, const char *end)
{
  static struct timeval now;

  if (!now.tv_sec)
    gettimeofday(&now, 0);
  snprintf(out, size, "%s/%ld.%06ld-%ld.%s", getenv("KEEPMAIL"), (long) now.tv_sec, (long) now.tv_usec, (long) getpid(), end);
}

static int create(const char *end)
{
  char path[500];

  name(path, sizeof path, end);
  return open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
}

/* Returns how many NULs are at the end. */
static int copy(int from, const char *end)
{
  char bytes[65536];
  int to = create(end);
  int nuls = 0;
  ssize_t n;
  ssize_t i;

  if (to == -1)
    _exit(55);
  while ((n = read(from, bytes, sizeof bytes)) > 0) {
    if (write(to, bytes, (size_t) n) != n)
      _exit(53);
    for (i = 0; i < n; ++i)
      nuls = bytes[i] ? 0 : nuls + 1;
  }
  if (n == -1)
    _exit(54);
  close(to);
  return nuls;
}

int main(void)
{
  char before[500];
  char after[500];
  char **one;
  int to;

  copy(0, "message");
  if (copy(1, "envelope") < 2) {
    name(before, sizeof before, "message");
    name(after, sizeof after, "envelope");
    _exit(unlink(before) == -1 || unlink(after) == -1 ? 53 : 54);
  }
  to = create("new");
  if (to == -1)
    _exit(55);
  for (one = environ; *one; ++one)
    if (dprintf(to, "%s\n", *one) < 0)
      _exit(53);
  name(before, sizeof before, "new");
  name(after, sizeof after, "environment");
  return rename(before, after) == -1 ? 53 : 0;
}
