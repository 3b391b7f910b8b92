/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "say.h"
#include "settings.h"

void settings_load(const char *program, const char *file, const char *prefix)
{
  char text[SETTINGS_FILE_MAX + 1];
  char *line;
  char *next;
  char *equals;
  ssize_t n = -1;
  int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd == -1 && errno == ENOENT)
    return;
  if (fd != -1)
    n = read(fd, text, sizeof text - 1);
  if (n == -1)
    say(program, "setting %.200s: %s", file, strerror(errno));
  if (fd != -1)
    close(fd);
  if (n <= 0)
    return;
  text[n] = 0;
  if (n == SETTINGS_FILE_MAX) {   /* a cut value must not be used */
    say(program, "setting %.200s: only lines within %d bytes are read", file, SETTINGS_FILE_MAX);
    next = strrchr(text, '\n');
    if (next)
      *next = 0;
    else
      text[0] = 0;
  }
  for (line = text; line; line = next) {
    next = strchr(line, '\n');
    if (next)
      *next++ = 0;
    equals = strchr(line, '=');
    if (!*line || *line == '#' || !equals)
      continue;
    *equals = 0;
    if (strncmp(line, prefix, strlen(prefix)) == 0)
      setenv(line, equals + 1, 0);
  }
}
