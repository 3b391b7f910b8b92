/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "scancopy.h"

uint32_t scancopy_crc(uint32_t crc, const void *bytes, size_t length)
{
  /* of four bits each: small, and fast enough for a message that is refused */
  static const uint32_t table[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
  };
  const unsigned char *byte = bytes;

  crc = ~crc;
  while (length-- > 0) {
    crc ^= *byte++;
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

void scancopy_first(uint32_t crc, char first[SCANCOPY_FIRST + 1])
{
  snprintf(first, SCANCOPY_FIRST + 1, "mailgate-refused 1 %08lx\n", (unsigned long) crc);
}

struct lines {
  char *to;
  size_t length;
};

static void add(struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds one line; it fits, for its value is shorter than SCANCOPY_RULES and the others than 200 bytes each. */
static void add(struct lines *lines, const char *format, ...)
{
  char *begin = lines->to + lines->length;
  size_t room = SCANCOPY_HEAD - lines->length;
  va_list arguments;
  int n;

  if (room < 2) return;
  va_start(arguments, format);
  n = vsnprintf(begin, room - 1, format, arguments);
  va_end(arguments);
  if (n < 0) return;
  if ((size_t) n > room - 2) n = (int) (room - 2);
  lines->length += (size_t) n;
  for (; n > 0; --n, ++begin)
    if (*begin < ' ' || *begin > '~') *begin = '_';
  lines->to[lines->length++] = '\n';
}

static void add_text(struct lines *lines, const char *name, const char *text, int size)
{
  add(lines, "%s %.*s", name, size, text && *text ? text : "-");
}

size_t scancopy_head(const struct scancopy *copy, char head[SCANCOPY_HEAD])
{
  struct lines lines = {head, 0};

  add(&lines, "verdict %s", copy->virus ? "VIRUS" : "SPAM");
  add(&lines, "at %lld", copy->at_seconds);
  if (copy->virus) add_text(&lines, "name", copy->name, 200);
  if (!copy->virus && copy->score) {
    add(&lines, "score %.2f", copy->score->score);
    add(&lines, "limit %.2f", copy->limit);
    add_text(&lines, "rules", copy->rules, SCANCOPY_RULES);
  }
  add_text(&lines, "client", copy->client, 100);
  add_text(&lines, "id", copy->id, 100);
  add(&lines, "envelope %lld", copy->envelope_bytes);
  add(&lines, "message %lld", copy->message_bytes);
  head[lines.length++] = '\n';
  return lines.length;
}

/* Finds the value of the field, up to the end of its last line. Returns 0, or -1. */
static int find_status(const char *header, size_t length, const char **begin, const char **end)
{
  static const char name[] = "X-Spam-Status:";
  const char *stop = header + length;
  const char *line;
  const char *next;

  *begin = NULL;
  for (line = header; line < stop && *line != '\n'; line = next) {
    next = memchr(line, '\n', (size_t) (stop - line));
    next = next ? next + 1 : stop;
    if (*begin && *line != ' ' && *line != '\t') break;
    if (!*begin && (size_t) (next - line) >= sizeof name - 1 && strncasecmp(line, name, sizeof name - 1) == 0)
      *begin = line + sizeof name - 1;
    *end = next;
  }
  return *begin ? 0 : -1;
}

static int is_of_rule(char c)
{
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '=' || c == '.'
         || c == '-';
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t scancopy_rules(const char *header, size_t length, char *rules, size_t size)
{
  static const char word[] = "tests=";
  const char *at;
  const char *end;
  size_t n = 0;
  size_t whole = 0; /* up to the last rule that fits, with what says that it is cut */

  rules[0] = 0;
  if (find_status(header, length, &at, &end) == -1) return 0;
  for (; (size_t) (end - at) >= sizeof word; ++at)
    if (is_blank(at[-1]) && strncmp(at, word, sizeof word - 1) == 0) break;
  if ((size_t) (end - at) < sizeof word) return 0;
  for (at += sizeof word - 1; at < end; ++at) {
    /* the list is folded behind a comma; a blank elsewhere ends it */
    if (is_blank(*at)) {
      if (n > 0 && rules[n - 1] != ',') break;
      continue;
    }
    if (*at != ',' && !is_of_rule(*at)) break;
    if (n + sizeof ",..." > size) {
      strcpy(rules + whole, whole ? ",..." : "...");
      return strlen(rules);
    }
    if (*at == ',') whole = n;
    rules[n++] = *at;
  }
  while (n > 0 && rules[n - 1] == ',') --n;
  rules[n] = 0;
  return n;
}
