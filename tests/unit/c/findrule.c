/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * findrule FILE < addresses, one a line: for each "deny", "allow VARIABLE=VALUE …" or "trouble REASON".
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tcprule.h"

static void find(struct cdbread *c, const char *text)
{
  static struct tcprule_found found;
  struct address client;
  enum tcprule verdict;
  int i;

  if (!address_parse(&client, text)) {
    puts("not an address");
    return;
  }
  verdict = tcprule_find(&found, c, &client);
  if (verdict == TCPRULE_TROUBLE) {
    printf("trouble %s\n", found.trouble);
    return;
  }
  fputs(verdict == TCPRULE_DENY ? "deny" : "allow", stdout);
  for (i = 0; i < found.variables; ++i)
    printf(" %s", found.variable[i]);
  putchar('\n');
}

int main(int argc, char **argv)
{
  struct cdbread c;
  char *line = 0;
  size_t size = 0;

  if (argc != 2)
    return 1;
  if (cdbread_open(&c, argv[1]) == CDBREAD_TROUBLE) {
    printf("trouble %s\n", c.trouble);
    return 0;
  }
  while (getline(&line, &size, stdin) > 0) {
    line[strcspn(line, "\n")] = 0;
    find(&c, line);
  }
  free(line);
  cdbread_close(&c);
  return 0;
}
