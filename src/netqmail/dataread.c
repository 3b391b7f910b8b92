/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "dataread.h"

enum { AT_LINE, IN_LINE, DOT, DOT_CR, CR };

struct output {
  char *bytes;
  size_t length;
};

void dataread_begin(struct dataread *d)
{
  d->place = AT_LINE;
  d->crs = 0;
  d->begun = 0;
  d->header = 1;
  d->column = 0;
  d->received = 1;
  d->delivered = 1;
  d->hops = 0;
}

static int letter(unsigned char b, char lower)
{
  return b == lower || b == lower - ('a' - 'A');
}

/* Counts the lines of the header that begin with Received or Delivered, as netqmail does. */
static void count(struct dataread *d, unsigned char b)
{
  if (b == '\n') {
    if (d->column == 0)
      d->header = 0;
    d->column = 0;
    d->received = d->delivered = 1;
    return;
  }
  if (d->column >= 9)
    return;
  if (d->column >= 8 || !letter(b, "received"[d->column]))
    d->received = 0;
  if (!letter(b, "delivered"[d->column]))
    d->delivered = 0;
  if ((d->received && d->column == 7) || (d->delivered && d->column == 8))
    ++d->hops;
  ++d->column;
}

static void put(struct dataread *d, struct output *to, unsigned char b)
{
  if (b == 0)
    b = ' ';
  if (!d->begun) {
    d->begun = 1;
    if (b != '\n' && (b < 33 || b > 126 || b == ':')) {
      to->bytes[to->length++] = '\n';
      d->header = 0;
    }
  }
  if (d->header)
    count(d, b);
  to->bytes[to->length++] = (char) b;
}

/* Handles a byte behind one or more CRs. */
static void behind_cr(struct dataread *d, struct output *to, unsigned char b)
{
  if (b == '\r') {
    if (d->crs == 2)
      put(d, to, ' ');
    d->crs = 2;
    return;
  }
  if (b == '\n') {
    put(d, to, b);
    d->place = AT_LINE;
  } else {
    for (; d->crs > 0; --d->crs)
      put(d, to, ' ');
    put(d, to, b);
    d->place = IN_LINE;
  }
  d->crs = 0;
}

static enum dataread_event step(struct dataread *d, struct output *to, unsigned char b)
{
  if (d->place == DOT_CR) {
    if (b == '\n')
      return DATAREAD_END;
    put(d, to, '.');
    d->place = CR;
  }
  if (d->place == CR) {
    behind_cr(d, to, b);
    return DATAREAD_MORE;
  }
  if (b == '\n')
    return DATAREAD_BARE_LF;
  if (b == '\r') {
    d->place = d->place == DOT ? DOT_CR : CR;
    d->crs = 1;
  } else if (b == '.' && d->place == AT_LINE) {
    d->place = DOT;
  } else {
    put(d, to, b);
    d->place = IN_LINE;
  }
  return DATAREAD_MORE;
}

enum dataread_event dataread(struct dataread *d, const char *bytes, size_t length, size_t *used, char *out, size_t *written)
{
  struct output to;
  enum dataread_event event = DATAREAD_MORE;
  size_t i = 0;

  to.bytes = out;
  to.length = 0;
  while (i < length && event == DATAREAD_MORE)
    event = step(d, &to, (unsigned char) bytes[i++]);
  *used = i;
  *written = to.length;
  return event;
}
