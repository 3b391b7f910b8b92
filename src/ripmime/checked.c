/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ripmime ends at the first byte that cannot be written, or read: it does not check fclose(), nor most writes, and a
 * truncated part is one whose attachments are not checked. The linker calls these instead of the library's (--wrap).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t __real_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);
int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);

static void give_up(const char *what)
{
  fprintf(stderr, "ripmime: ERROR: cannot %s a file: %s\n", what, strerror(errno));
  _exit(1);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
  size_t done = 0;
  ssize_t w;

  while (done < length) {
    w = __real_write(fd, (const char *) bytes + done, length - done);
    if (w == -1 && errno == EINTR) continue;
    if (w <= 0) give_up("write");
    done += (size_t) w;
  }
  return (ssize_t) length;
}

int __wrap_fclose(FILE *file)
{
  int bad = ferror(file);

  errno = EIO;
  if (__real_fclose(file) == EOF || bad) give_up("close");
  return 0;
}
