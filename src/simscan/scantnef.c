/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "scantnef.h"

#define HEAD 12 /* bytes in front of a name, its length included */

/* What precedes a name: these bytes, then its length as four bytes. */
static const struct {
  size_t length;
  unsigned char bytes[8];
  int display;
} marks[] = {
  {5, {0x02, 0x10, 0x80, 0x01, 0x00}, 0},                  /* attAttachTitle */
  {5, {0x02, 0x01, 0x90, 0x06, 0x00}, 0},                  /* attAttachTransportFilename */
  {8, {0x1e, 0x00, 0x07, 0x37, 0x01, 0x00, 0x00, 0x00}, 0}, /* PR_ATTACH_LONG_FILENAME, of the code page */
  {8, {0x1f, 0x00, 0x07, 0x37, 0x01, 0x00, 0x00, 0x00}, 0}, /* the same in UTF-16 */
  {8, {0x1e, 0x00, 0x04, 0x37, 0x01, 0x00, 0x00, 0x00}, 0}, /* PR_ATTACH_FILENAME */
  {8, {0x1f, 0x00, 0x04, 0x37, 0x01, 0x00, 0x00, 0x00}, 0},
  {8, {0x1e, 0x00, 0x0c, 0x37, 0x01, 0x00, 0x00, 0x00}, 0}, /* PR_ATTACH_TRANSPORT_NAME */
  {8, {0x1f, 0x00, 0x0c, 0x37, 0x01, 0x00, 0x00, 0x00}, 0},
  {8, {0x1e, 0x00, 0x03, 0x37, 0x01, 0x00, 0x00, 0x00}, 1}, /* PR_ATTACH_EXTENSION */
  {8, {0x1f, 0x00, 0x03, 0x37, 0x01, 0x00, 0x00, 0x00}, 1},
  {8, {0x1e, 0x00, 0x01, 0x30, 0x01, 0x00, 0x00, 0x00}, 1}, /* PR_DISPLAY_NAME */
  {8, {0x1f, 0x00, 0x01, 0x30, 0x01, 0x00, 0x00, 0x00}, 1},
};

size_t scantnef_begins(size_t matched, const char *bytes, size_t length)
{
  static const unsigned char signature[SCANTNEF_SIGNATURE] = {0x78, 0x9f, 0x3e, 0x22};

  for (; matched < SCANTNEF_SIGNATURE && length > 0; ++bytes, --length)
    if ((unsigned char) *bytes != signature[matched++]) return SCANTNEF_OTHER;
  return matched;
}

void scantnef_begin(struct scantnef *t, void (*name)(void *context, int display, const char *bytes, size_t length), void *context)
{
  t->name = name;
  t->context = context;
  t->length = 0;
  t->names = t->displays = 0;
}

/* Returns the length that is written at p. */
static size_t number(const unsigned char *p)
{
  return (size_t) p[0] | (size_t) p[1] << 8 | (size_t) p[2] << 16 | (size_t) p[3] << 24;
}

/* Passes on a name that may begin at the place, of at most room bytes there. */
static void look_at(struct scantnef *t, size_t at)
{
  const unsigned char *s = t->window + at;
  size_t room = t->length - at;
  size_t n;
  size_t i;

  for (i = 0; i < sizeof marks / sizeof *marks; ++i) {
    n = marks[i].length;
    if (room < n + 4 || memcmp(s, marks[i].bytes, n) != 0) continue;
    s += n + 4;
    room -= n + 4;
    n = number(s - 4);
    if (n > room) n = room;
    if (n > SCANTNEF_NAME) n = SCANTNEF_NAME;
    while (n > 0 && s[n - 1] == 0) --n;
    if (n == 0) return;
    ++*(marks[i].display ? &t->displays : &t->names);
    t->name(t->context, marks[i].display, (const char *) s, n);
    return;
  }
}

/* Searches the places behind which enough bytes have come, or all places. */
static void look(struct scantnef *t, size_t needed)
{
  size_t at;

  for (at = 0; at + needed < t->length; ++at)
    if (t->window[at] == 0x02 || t->window[at] == 0x1e || t->window[at] == 0x1f) look_at(t, at);
  memmove(t->window, t->window + at, t->length - at);
  t->length -= at;
}

void scantnef_add(struct scantnef *t, const char *bytes, size_t length)
{
  size_t n;

  while (length > 0) {
    n = sizeof t->window - t->length;
    if (n > length) n = length;
    memcpy(t->window + t->length, bytes, n);
    t->length += n;
    bytes += n;
    length -= n;
    if (t->length == sizeof t->window) look(t, HEAD + SCANTNEF_NAME);
  }
}

void scantnef_end(struct scantnef *t)
{
  look(t, 0);
}
