/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "scantext.h"

size_t scantext_field(const char *s, size_t length, int in_list, char *field, size_t size)
{
  size_t i;
  char c;

  if (length > size - 1) length = size - 1;
  for (i = 0; i < length; ++i) {
    c = s[i];
    field[i] = c < 32 || c > 126 || c == ':' || (in_list && c == ',') ? '_' : c;
  }
  field[length] = 0;
  return length;
}

void scantext_lower(char *s, size_t length)
{
  size_t i;

  for (i = 0; i < length; ++i)
    if (s[i] >= 'A' && s[i] <= 'Z') s[i] = (char) (s[i] + 'a' - 'A');
}

/* Reads the number that follows a word in the text; returns 0 when it is found. */
static int number_after(const char *text, const char *word, double *number)
{
  const char *at = text;
  char *stop;

  while ((at = strstr(at, word)) != NULL) {
    if (at == text || at[-1] == ' ' || at[-1] == ',') {
      at += strlen(word);
      if (*at != '-' && *at != '.' && !isdigit((unsigned char) *at)) return -1;
      *number = strtod(at, &stop);
      return stop != at && (*stop == ' ' || *stop == ',' || *stop == 0) && isfinite(*number) ? 0 : -1;
    }
    ++at;
  }
  return -1;
}

int scantext_status(const char *header, size_t length, struct scantext_score *score)
{
  static const char name[] = "X-Spam-Status:";
  const char *line = header;
  const char *stop = header + length;
  const char *next;
  char value[400];
  size_t n = 0;
  size_t i;

  for (; line < stop; line = next) {
    next = memchr(line, '\n', (size_t) (stop - line));
    next = next ? next + 1 : stop;
    if (*line == '\n') return -1;
    if ((size_t) (next - line) >= sizeof name - 1 && strncasecmp(line, name, sizeof name - 1) == 0) break;
  }
  if (line >= stop) return -1;
  /* the field on one line: every run of blanks, line ends of a folded field among them, is one blank */
  for (line += sizeof name - 1; line < stop && n < sizeof value - 1; ++line) {
    if (*line == '\n' && (line + 1 == stop || (line[1] != ' ' && line[1] != '\t'))) break;
    if (*line != ' ' && *line != '\t' && *line != '\n' && *line != '\r') value[n++] = *line ? *line : '_';
    else if (n > 0 && value[n - 1] != ' ') value[n++] = ' ';
  }
  value[n] = 0;
  for (i = 0; i < n && value[i] != ',' && value[i] != ' '; ++i) continue;
  if (i == 3 && strncasecmp(value, "Yes", 3) == 0) score->spam = 1;
  else if (i == 2 && strncasecmp(value, "No", 2) == 0) score->spam = 0;
  else return -1;
  if (number_after(value, "score=", &score->score) == -1 && number_after(value, "hits=", &score->score) == -1)
    return -1;
  return number_after(value, "required=", &score->required);
}

int scantext_suffix(const char *name, const char *suffix)
{
  size_t n = strlen(name);
  size_t m = strlen(suffix);

  while (n > m && (name[n - 1] == '.' || name[n - 1] == ' ')) --n;
  return m > 0 && n >= m && strncasecmp(name + n - m, suffix, m) == 0;
}
