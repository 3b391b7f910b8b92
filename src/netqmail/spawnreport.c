/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "spawnreport.h"

char spawnreport_local(int exit_status)
{
  return exit_status == 0 ? 'K' : exit_status == 100 ? 'D' : 'Z';
}

int spawnreport_remote(int exit_status, const char *said, size_t length)
{
  const char *word = said;
  const char *stop = said + length;
  const char *end;

  if (exit_status != 0)
    return 0;
  /* reports of recipients come first; the first of the message's own ends it */
  for (; word < stop; word = end + 1) {
    end = memchr(word, 0, (size_t) (stop - word));
    if (!end || end == word)
      return 0;
    if (*word == 'K' || *word == 'Z' || *word == 'D')
      return 1;
    if (*word != 'r' && *word != 'h' && *word != 's')
      return 0;
  }
  return 0;
}

size_t spawnreport_noise(const char *said, size_t length)
{
  const char *word = said;
  const char *stop = said + length;
  const char *end;

  for (; word < stop && (end = memchr(word, 0, (size_t) (stop - word))) != 0; word = end + 1)
    if (*word == 'K' && word - said >= 2 && word[-2] == 'r')
      return (size_t) (word - said) - 2;
  return 0;
}
