/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "number.h"
#include "say.h"

size_t say_printable(char *out, size_t size, const char *text)
{
  size_t i;

  for (i = 0; text[i] && i + 1 < size; ++i)
    out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
  out[i] = 0;
  return i;
}

void say(const char *program, const char *format, ...)
{
  struct pollfd log = {2, POLLOUT, 0};
  char text[SAY_MAX];
  char line[SAY_MAX];
  va_list arguments;
  size_t len;
  int saved = errno;
  int head;

  head = snprintf(text, sizeof text, "%s[%ld]: ", program, (long) getpid());
  va_start(arguments, format);
  vsnprintf(text + head, sizeof text - (size_t) head, format, arguments);
  va_end(arguments);
  len = say_printable(line, sizeof line - 1, text);
  line[len++] = '\n';
  if (poll(&log, 1, 0) != 0)   /* a log that stands still holds nobody up */
    while (write(2, line, len) == -1 && errno == EINTR)
      ;
  errno = saved;
}

long say_number(const char *program, const char *variable, long least, long most, long other)
{
  const char *text = getenv(variable);
  long long number;

  if (!text)
    return other;
  if (number_parse(&number, text, least, most))
    return (long) number;
  say(program, "setting %s: '%.100s' is refused, %ld is used; expected a number from %ld to %ld", variable, text, other,
      least, most);
  return other;
}
