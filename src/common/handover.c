/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "handover.h"

static void number_out(char *out, size_t n)
{
  int i;

  for (i = 0; i < 4; ++i)
    out[i] = (char) (unsigned char) (n >> 8 * i & 255);
}

static uint32_t number_in(const char *in)
{
  const unsigned char *b = (const unsigned char *) in;

  return (uint32_t) b[0] | (uint32_t) b[1] << 8 | (uint32_t) b[2] << 16 | (uint32_t) b[3] << 24;
}

size_t handover_write(char *out, const struct handover *h)
{
  if (h->said_len > HANDOVER_MAX || h->unanswered_len > HANDOVER_MAX
      || HANDOVER_HEADER + h->said_len + h->unanswered_len > HANDOVER_MAX)
    return 0;
  memcpy(out, h->greylisted ? "MGH2" : "MGH1", 4);
  number_out(out + 4, h->refusals);
  number_out(out + 8, h->spent);
  number_out(out + 12, h->misses);
  number_out(out + 16, h->said_len);
  number_out(out + 20, h->unanswered_len);
  if (h->said_len)
    memcpy(out + HANDOVER_HEADER, h->said, h->said_len);
  if (h->unanswered_len)
    memcpy(out + HANDOVER_HEADER + h->said_len, h->unanswered, h->unanswered_len);
  return HANDOVER_HEADER + h->said_len + h->unanswered_len;
}

/* Whether the line is of that command, however its letters are written; the word is in lower case. */
static int is(const char *line, size_t len, const char *word)
{
  size_t i;
  char c;

  for (i = 0; word[i]; ++i) {
    c = i < len ? line[i] : 0;
    if (c >= 'A' && c <= 'Z')
      c = (char) (c + 32);
    if (c != word[i])
      return 0;
  }
  return i < len && (line[i] == ' ' || line[i] == '\r' || line[i] == '\n');
}

/* The length of the first line with its newline, 0 if there is none. */
static size_t line_length(const char *text, size_t len)
{
  const char *end = len ? memchr(text, '\n', len) : 0;

  return end ? (size_t) (end - text) + 1 : 0;
}

static int texts_fit(const struct handover *h)
{
  const char *said = h->said;
  size_t left = h->said_len;
  size_t n = line_length(said, left);

  if (n && (is(said, n, "helo") || is(said, n, "ehlo"))) {
    said += n;
    left -= n;
    n = line_length(said, left);
  }
  if (!n || n != left || !is(said, n, "mail"))
    return 0;
  n = line_length(h->unanswered, h->unanswered_len);
  return n && is(h->unanswered, n, "rcpt");
}

int handover_read(struct handover *h, const char *bytes, size_t len)
{
  if (len < HANDOVER_HEADER || len > HANDOVER_MAX || memcmp(bytes, "MGH", 3) != 0 || (bytes[3] != '1' && bytes[3] != '2'))
    return 0;
  h->greylisted = bytes[3] == '2';
  h->refusals = number_in(bytes + 4);
  h->spent = number_in(bytes + 8);
  h->misses = number_in(bytes + 12);
  h->said_len = number_in(bytes + 16);
  h->unanswered_len = number_in(bytes + 20);
  if (h->said_len > len || h->unanswered_len > len
      || HANDOVER_HEADER + h->said_len + h->unanswered_len != len)
    return 0;
  h->said = bytes + HANDOVER_HEADER;
  h->unanswered = h->said + h->said_len;
  if (!h->said_len && !h->unanswered_len)
    return !h->refusals && !h->spent && !h->misses && !h->greylisted;
  return texts_fit(h);
}
