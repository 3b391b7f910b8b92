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

static int ends_with(const char *s, size_t length, const char *end)
{
  size_t n = strlen(end);

  return length >= n && memcmp(s + length - n, end, n) == 0;
}

static int begins_with(const char *s, size_t length, const char *begin)
{
  size_t n = strlen(begin);

  return length >= n && memcmp(s, begin, n) == 0;
}

static int is_warning(const char *line, size_t length)
{
  return begins_with(line, length, "WARNING: ") || begins_with(line, length, "LibClamAV Warning: ");
}

int scantext_error(const char *said, size_t length)
{
  const char *line = said;
  const char *stop = said + length;
  const char *next;
  size_t n;

  for (; line < stop; line = next) {
    next = memchr(line, '\n', (size_t) (stop - line));
    n = (size_t) ((next ? next : stop) - line);
    next = next ? next + 1 : stop;
    if (begins_with(line, n, "ERROR") || begins_with(line, n, "LibClamAV Error")) return 1;
  }
  return 0;
}

/* Classifies a name that clamd has found. Heuristics.* are viruses except for these. */
static enum scantext_virus kind_of(const char *name, size_t length)
{
  static const char *const suspicions[] = {
    "Heuristics.Phishing.", "Heuristics.Encrypted.", "Heuristics.OLE2.ContainsMacros", "Heuristics.Structured.",
    "Heuristics.Broken.",
  };
  size_t i;

  if (begins_with(name, length, "Heuristics.Limits.Exceeded.MaxScanTime")) return SCANTEXT_LATE;
  if (begins_with(name, length, "Heuristics.Limits.Exceeded")) return SCANTEXT_LIMIT;
  for (i = 0; i < sizeof suspicions / sizeof *suspicions; ++i)
    if (begins_with(name, length, suspicions[i])) return SCANTEXT_HEURISTIC;
  return SCANTEXT_VIRUS;
}

enum scantext_virus scantext_clamdscan(const char *said, size_t length, int status, char *name, size_t size)
{
  enum scantext_virus kind = SCANTEXT_UNCLEAR;
  const char *line = said;
  const char *stop = said + length;
  const char *next;
  const char *from;
  size_t n;
  int ok = 0;
  int found = 0;
  int other = 0;

  scantext_field("", 0, 0, name, size);
  for (; line < stop; line = next) {
    next = memchr(line, '\n', (size_t) (stop - line));
    n = (size_t) ((next ? next : stop) - line);
    next = next ? next + 1 : stop;
    if (n == 0 || is_warning(line, n)) continue;
    if (ends_with(line, n, ": OK")) ++ok;
    else if (ends_with(line, n, " FOUND") && (from = memmem(line, n, ": ", 2)) != NULL) {
      n -= strlen(" FOUND");
      /* the name begins behind the last ": ", as a path may contain one */
      for (from = line + n; from > line && !(from[-1] == ' ' && from - 1 > line && from[-2] == ':'); --from) continue;
      if (found++ && (kind == SCANTEXT_VIRUS || kind_of(from, (size_t) (line + n - from)) != SCANTEXT_VIRUS)) continue;
      kind = kind_of(from, (size_t) (line + n - from));
      scantext_field(from, (size_t) (line + n - from), 0, name, size);
    } else ++other;
  }
  if (status == 1 && found && !ok) {
    if (name[0] == 0) scantext_field("unknown", 7, 0, name, size);
    return kind;
  }
  return status == 0 && ok == 1 && !found && !other ? SCANTEXT_CLEAN : SCANTEXT_UNCLEAR;
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

size_t scantext_header_length(const char *message, size_t length)
{
  const char *found;

  if (length > 0 && message[0] == '\n') return 1;
  found = memmem(message, length, "\n\n", 2);
  return found ? (size_t) (found - message) + 2 : length;
}

int scantext_suffix(const char *name, const char *suffix)
{
  size_t n = strlen(name);
  size_t m = strlen(suffix);

  while (n > m && (name[n - 1] == '.' || name[n - 1] == ' ')) --n;
  return m > 0 && n >= m && strncasecmp(name + n - m, suffix, m) == 0;
}
