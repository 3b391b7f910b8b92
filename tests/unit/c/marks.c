/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * marks LENGTH: puts the marks of an answer of spamd's into a message's header of that length. Standard input is the header
 * and the answer's; the result is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include "scanmarks.h"

#define ROOM 1000000

int main(int argc, char **argv)
{
  static char in[ROOM];
  static char out[ROOM + SCANMARKS_MORE];
  size_t length = argc == 2 ? (size_t) strtoul(argv[1], NULL, 10) : ROOM;
  size_t all = fread(in, 1, sizeof in, stdin);

  if (length > all) return 2;
  all = scanmarks_merge(in, length, in + length, all - length, out);
  return fwrite(out, 1, all, stdout) == all && fflush(stdout) == 0 ? 0 : 111;
}
