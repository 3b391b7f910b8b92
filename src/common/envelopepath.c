/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "envelopepath.h"

size_t envelopepath(char *out, const char *arg)
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
    if (escaped) {
      out[len++] = *arg;
      escaped = 0;
    } else if (!quoted && *arg == terminator) {
      break;
    } else if (*arg == '\\') {
      escaped = 1;
    } else if (*arg == '"') {
      quoted = !quoted;
    } else {
      out[len++] = *arg;
    }
  }
  out[len] = 0;
  return len;
}
