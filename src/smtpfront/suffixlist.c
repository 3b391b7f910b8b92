/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include "punycode.h"
#include "suffixlist.h"

/* Writes a rule in ASCII; returns its length, or 0 if it is not valid. */
static size_t in_ascii(char *out, const char *rule, size_t len)
{
  const char *end = rule + len;
  const char *dot;
  size_t at = 0;
  size_t label;

  if (len && *rule == '!')
    out[at++] = *rule++;
  for (;;) {
    dot = memchr(rule, '.', (size_t) (end - rule));
    label = punycode_label(out + at, rule, (size_t) ((dot ? dot : end) - rule));
    if (!label)
      return 0;
    at += label;
    if (!dot)
      return at;
    out[at++] = '.';
    rule = dot + 1;
  }
}

static int compare(const void *one, const void *other)
{
  return strcmp(*(const char *const *) one, *(const char *const *) other);
}

int suffixlist_read(struct suffixlist *list, const char *text, size_t len)
{
  const char *end = text + len;
  const char *line;
  const char *next;
  size_t lines = 1;
  size_t length;
  char *at;

  memset(list, 0, sizeof *list);
  for (line = text; line < end; ++line)
    lines += *line == '\n';
  /* a label of n bytes has at most 5 + 4 n in ASCII (8 digits for a character of two bytes), and a dot */
  list->text = malloc(8 * len + 128);
  list->rule = malloc(lines * sizeof *list->rule);
  at = list->text;
  for (line = text; list->text && list->rule && line < end; line = next) {
    next = memchr(line, '\n', (size_t) (end - line));
    next = next ? next + 1 : end;
    for (length = 0; line + length < next && !strchr(" \t\r\n", line[length]); ++length)
      ;
    if (!length || (length > 1 && line[0] == '/' && line[1] == '/'))
      continue;
    length = in_ascii(at, line, length);
    if (!length)
      continue;
    at[length] = 0;
    list->rule[list->rules++] = at;
    at += length + 1;
  }
  if (list->rules) {
    qsort(list->rule, list->rules, sizeof *list->rule, compare);
    return 1;
  }
  suffixlist_free(list);
  return 0;
}

/* Whether the list has the rule made of these two texts. */
static int has(const struct suffixlist *list, const char *before, const char *name)
{
  size_t len = strlen(before);
  size_t low = 0;
  size_t high = list->rules;
  size_t middle;
  int order;

  while (low < high) {
    middle = low + (high - low) / 2;
    order = strncmp(list->rule[middle], before, len);
    if (!order)
      order = strcmp(list->rule[middle] + len, name);
    if (!order)
      return 1;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return 0;
}

static const char *behind_label(const char *name)
{
  const char *dot = strchr(name, '.');

  return dot ? dot + 1 : 0;
}

const char *suffixlist_organization(const struct suffixlist *list, const char *name)
{
  const char *above = 0;   /* name, with one label more */
  const char *next;

  for (; name; above = name, name = next) {
    next = behind_label(name);
    if (has(list, "!", name))
      return name;
    if (has(list, "", name) || has(list, "*.", name) || (next && has(list, "*.", next)) || !next)
      return above;
  }
  return 0;
}

void suffixlist_free(struct suffixlist *list)
{
  free(list->text);
  free(list->rule);
  memset(list, 0, sizeof *list);
}
