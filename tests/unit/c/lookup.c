/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lookup FILE < addresses, each ended by a NUL: for each "found KEY", "missing" or "trouble REASON", ended by a NUL.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include "validrcptto.h"

int main(int argc, char **argv)
{
  struct validrcptto v;
  char *address = 0;
  size_t size = 0;
  int r;

  while (argc == 2 && getdelim(&address, &size, 0, stdin) > 0) {
    r = validrcptto_find(&v, argv[1], address);
    if (r == VALIDRCPTTO_MISSING)
      printf("missing%c", 0);
    else
      printf("%s %s%c", r == VALIDRCPTTO_FOUND ? "found" : "trouble", r == VALIDRCPTTO_FOUND ? v.key : v.trouble, 0);
  }
  free(address);
  return argc != 2;
}
