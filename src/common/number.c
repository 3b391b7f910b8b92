/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "number.h"

int number_parse(long long *number, const char *text, long long least, long long most)
{
  long long n = 0;
  int digit;

  if (!*text)
    return 0;
  for (; *text; ++text) {
    digit = *text - '0';
    if (digit < 0 || digit > 9 || n > most / 10 || n * 10 > most - digit)
      return 0;
    n = n * 10 + digit;
  }
  if (n < least)
    return 0;
  *number = n;
  return 1;
}
