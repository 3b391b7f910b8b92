/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include "nameset.h"

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c + 32) : c;
}

static int compare(const void *one, const void *other)
{
  return strcmp(*(const char *const *) one, *(const char *const *) other);
}

int nameset_read(struct nameset *set, const char *text, size_t len)
{
  size_t lines = 1;
  size_t used = 0;
  size_t end;
  size_t i;

  memset(set, 0, sizeof *set);
  for (i = 0; i < len; ++i)
    lines += text[i] == '\n';
  set->text = malloc(len + 1);
  set->name = malloc(lines * sizeof *set->name);
  if (!set->text || !set->name) {
    nameset_free(set);
    return 0;
  }
  for (i = 0; i < len; i = end + 1) {
    char *name = set->text + used;
    size_t n;

    for (end = i; end < len && text[end] != '\n'; ++end)
      ;
    for (n = end - i; n > 0 && (text[i + n - 1] == ' ' || text[i + n - 1] == '\t'); --n)
      ;
    if (!n || text[i] == '#' || !text[i])
      continue;
    while (n-- > 0)
      set->text[used++] = lower(text[i++]);
    set->text[used++] = 0;
    set->name[set->names++] = name;
  }
  qsort(set->name, set->names, sizeof *set->name, compare);
  return 1;
}

int nameset_holds(const struct nameset *set, const char *name, size_t len)
{
  size_t low = 0;
  size_t high = set->names;
  size_t middle;
  size_t i;
  int order;

  while (low < high) {
    const char *other;

    middle = low + (high - low) / 2;
    other = set->name[middle];
    order = 0;
    for (i = 0; i < len && !order; ++i)
      order = (int) (unsigned char) lower(name[i]) - (int) (unsigned char) other[i];
    if (!order && other[len])
      order = -1;
    if (!order)
      return 1;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return 0;
}

void nameset_free(struct nameset *set)
{
  free(set->text);
  free(set->name);
  memset(set, 0, sizeof *set);
}
