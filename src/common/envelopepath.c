/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "envelopepath.h"

/* Writes the address into out, unless that is null; *end becomes what is behind it. */
static size_t take(char *out, const char *arg, const char **end)
{
  const char *begin = strchr(arg, '<');
  char terminator = '>';
  size_t len = 0;
  int escaped = 0;
  int quoted = 0;

  if (begin) {
    arg = begin + 1;
  } else {
    terminator = ' ';
    begin = strchr(arg, ':');
    arg = begin ? begin + 1 : arg + strlen(arg);
    while (*arg == ' ')
      ++arg;
  }
  if (*arg == '@')
    while (*arg)
      if (*arg++ == ':')
        break;
  for (; *arg; ++arg) {
    if (!escaped && !quoted && *arg == terminator)
      break;
    if (!escaped && *arg == '\\') {
      escaped = 1;
    } else if (!escaped && *arg == '"') {
      quoted = !quoted;
    } else {
      if (out)
        out[len] = *arg;
      ++len;
      escaped = 0;
    }
  }
  *end = *arg ? arg + 1 : arg;
  return len;
}

size_t envelopepath(char *out, const char *arg)
{
  const char *end;
  size_t len = take(out, arg, &end);

  out[len] = 0;
  return len;
}

const char *envelopepath_end(const char *arg)
{
  const char *end;

  take(0, arg, &end);
  return end;
}
