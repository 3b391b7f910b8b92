/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "bounceheader.h"

enum { LINE, LINE_CR, NAME, NAME_BLANK, VALUE };

void bounceheader_begin(struct bounceheader *header)
{
  memset(header, 0, sizeof *header);
  header->state = LINE;
}

static int blank(char c)
{
  return c == ' ' || c == '\t';
}

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
}

static int alphanumeric(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static int named(const struct bounceheader *header, const char *name)
{
  return header->named == strlen(name) && memcmp(header->name, name, header->named) == 0;
}

static int begins(const struct bounceheader *header, const char *word)
{
  return header->valued >= strlen(word) && memcmp(header->value, word, strlen(word)) == 0;
}

/* The field whose name and value were read is complete. */
static void judge(struct bounceheader *header)
{
  if (named(header, "received")) {
    if (!begins(header, "(qmail "))
      header->foreign = 1;
  } else if (!header->foreign && (named(header, "x-spam-flag") || named(header, "x-spam-status"))) {
    if (begins(header, "yes") && (header->valued == 3 || !alphanumeric(header->value[3])))
      header->spam = 1;
  }
  header->named = header->valued = 0;
}

/* Keeps the first bytes of a value, without folds and without what is in front of its first word. */
static void keep_value(struct bounceheader *header, char c)
{
  if (c == '\r' || c == '\n' || c == '\t')
    c = ' ';
  if ((header->valued == 0 && c == ' ') || header->valued == sizeof header->value)
    return;
  header->value[header->valued++] = lower(c);
}

static void keep_name(struct bounceheader *header, char c)
{
  /* a name longer than all those searched for stays longer */
  if (header->named < sizeof header->name)
    header->name[header->named++] = lower(c);
}

/* Reads one more byte; returns 0 when it, or its line, is not part of the header. */
static int pass(struct bounceheader *header, char c)
{
  switch (header->state) {
    case LINE:
      if (blank(c) && header->fields > 0) {
        header->state = VALUE;
        keep_value(header, c);
        return 1;
      }
      judge(header);
      if (c == '\r') {
        header->state = LINE_CR;
        return 1;
      }
      header->state = NAME;
      /* fall through */
    case NAME:
      if (c == ':' && header->named > 0)
        header->state = VALUE;
      else if (blank(c) && header->named > 0)
        header->state = NAME_BLANK;
      else if (c > ' ' && c < 127 && c != ':')
        keep_name(header, c);
      else
        return 0;
      return 1;
    case NAME_BLANK:
      if (c == ':')
        header->state = VALUE;
      return c == ':' || blank(c);
    case VALUE:
      keep_value(header, c);
      if (c == '\n') {
        header->state = LINE;
        header->fields = header->at + 1;
      }
      return 1;
    default:
      return 0;   /* a line that begins with CR is empty, or not part of a header */
  }
}

int bounceheader_read(struct bounceheader *header, const char *bytes, size_t length)
{
  size_t i;

  for (i = 0; i < length && !header->ended; ++i, ++header->at)
    if (!pass(header, bytes[i]))
      header->ended = 1;
  return !header->ended;
}

void bounceheader_end(struct bounceheader *header)
{
  /* a last line without an end is a field, too, once its name is complete */
  if (header->state == VALUE)
    header->fields = header->at;
  judge(header);
  header->cut = header->fields > BOUNCEHEADER_MAX;
  header->length = header->cut ? BOUNCEHEADER_MAX : header->fields;
}
