/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "syncdir.h"

int syncdir(const char *path)
{
  char directory[256];
  const char *slash;
  size_t length;
  int fd;
  int saved;

  slash = strrchr(path, '/');
  if (slash == NULL) {
    strcpy(directory, ".");
  } else {
    length = (size_t) (slash - path);
    if (length == 0) length = 1; /* a file of the root directory */
    if (length >= sizeof directory) {
      errno = ENAMETOOLONG;
      return -1;
    }
    memcpy(directory, path, length);
    directory[length] = 0;
  }
  do fd = open(directory, O_RDONLY | O_DIRECTORY); while (fd == -1 && errno == EINTR);
  if (fd == -1) return -1;
  if (fsync(fd) == -1) {
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
  }
  return close(fd);
}
