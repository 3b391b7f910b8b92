/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "recipientlist.h"

static unsigned char lower(char c)
{
  unsigned char b = (unsigned char) c;

  return b >= 'A' && b <= 'Z' ? (unsigned char) (b + ('a' - 'A')) : b;
}

/* Compares two addresses of the same length; the last @ of the second one is at this place. */
static int same(const char *one, const char *other, size_t length, size_t at)
{
  size_t i;

  if (memcmp(one, other, at) != 0)
    return 0;
  for (i = at; i < length; ++i)
    if (lower(one[i]) != lower(other[i]))
      return 0;
  return 1;
}

int recipientlist_holds(const char *list, size_t length, const char *address)
{
  size_t len = strlen(address);
  const char *found = strrchr(address, '@');
  size_t at = found ? (size_t) (found - address) : len;
  const char *end;

  while (length > 0) {
    end = memchr(list, 0, length);
    if (!end)
      return 0;
    if ((size_t) (end - list) == len + 1 && same(list + 1, address, len, at))
      return 1;
    length -= (size_t) (end - list) + 1;
    list = end + 1;
  }
  return 0;
}
