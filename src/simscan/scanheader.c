/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "scanheader.h"

static const char *const forbidden[] = {"x-spam-", "x-virus-"};
static const char subject[] = "subject:";

void scanheader_begin(struct scanheader *h)
{
  memset(h, 0, sizeof *h);
  h->in_header = 1;
}

/* 1: one of the words begins the name; 0: no word can begin it; -1: more of the name is needed. */
static int judged(const struct scanheader *h)
{
  size_t i;
  size_t n;
  int open = 0;

  for (i = 0; i < sizeof forbidden / sizeof *forbidden; ++i) {
    n = strlen(forbidden[i]);
    if (h->named < n ? memcmp(h->name, forbidden[i], h->named) == 0 : memcmp(h->name, forbidden[i], n) == 0) {
      if (h->named >= n) return 1;
      open = 1;
    }
  }
  n = sizeof subject - 1;
  if (h->named < n && h->subject_state == 0 && memcmp(h->name, subject, h->named) == 0) open = 1;
  return open ? -1 : 0;
}

static void keep_subject(struct scanheader *h, char c)
{
  if ((h->subject_length == 0 || h->folding) && (c == ' ' || c == '\t' || c == '\r')) return;
  if (h->folding) {
    h->folding = 0;
    if (h->subject_length > 0 && h->subject_length < SCANHEADER_SUBJECT && h->subject[h->subject_length - 1] != ' ')
      h->subject[h->subject_length++] = ' ';
  }
  if (c != '\r' && h->subject_length < SCANHEADER_SUBJECT) h->subject[h->subject_length++] = c;
}

/* The line's kind is known: what was held back is now written or dropped. */
static size_t decide(struct scanheader *h, int drop, char *out)
{
  size_t n = h->holding;

  h->known = 1;
  h->holding = 0;
  if (drop) {
    ++h->dropped;
    h->dropping = 1;
    return 0;
  }
  h->dropping = 0;
  if (h->subject_state == 0 && h->named == sizeof subject - 1 && memcmp(h->name, subject, sizeof subject - 1) == 0)
    h->subject_state = 1;
  memcpy(out, h->held, n);
  return n;
}

/* Blanks in front of the colon are of the old syntax (RFC 5322 4.5), which mail readers take, too. */
static int is_behind_subject(const struct scanheader *h, char c)
{
  return (c == ' ' || c == '\t') && h->named == sizeof subject - 2 && memcmp(h->name, subject, h->named) == 0;
}

static size_t pass_one(struct scanheader *h, char c, char *out)
{
  size_t n = 0;

  if (!h->known && h->holding == 0) {
    h->known = c == ' ' || c == '\t'; /* a continuation line is treated as its field */
    if (h->subject_state == 3) {
      h->subject_state = h->known ? 1 : 2;
      h->folding = h->known;
    }
  }
  if (h->known) {
    if (c == '\n') {
      h->known = 0;
      h->named = 0;
      if (h->subject_state == 1) h->subject_state = 3;
    } else if (h->subject_state == 1) keep_subject(h, c);
    if (h->dropping) return 0;
    *out = c;
    return 1;
  }
  if (c == '\n') {
    int empty = h->holding == 0;

    if (empty) h->in_header = h->dropping = 0;
    else n = decide(h, 0, out);
    if (h->subject_state == 1) h->subject_state = 3;
    h->known = 0;
    h->named = 0;
    out[n] = c;
    return n + 1;
  }
  h->held[h->holding++] = c;
  if (c != '\r' && c != 0 && !is_behind_subject(h, c)) h->name[h->named++] = c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
  switch (judged(h)) {
    case 1: return decide(h, 1, out);
    case 0: return decide(h, 0, out);
  }
  /* no mail program writes so many CR and NUL before a name; nothing forged hides behind them */
  return h->holding == SCANHEADER_HELD ? decide(h, !is_behind_subject(h, ' '), out) : 0;
}

/* Counts the bytes of the header that are passed on; where its first byte cannot begin a field, the header ends in
 * front of it. */
static size_t gone_on(struct scanheader *h, char *out, size_t n)
{
  unsigned char c;

  if (n > 0 && h->length == 0) {
    c = (unsigned char) out[0];
    if (c != '\n' && (c <= 32 || c >= 127 || c == ':')) {
      memmove(out + 1, out, n);
      out[0] = '\n';
      h->in_header = 0;
      h->length = 1;
      return n + 1;
    }
  }
  h->length += (long long) n;
  return n;
}

size_t scanheader_pass(struct scanheader *h, const char *in, size_t length, char *out)
{
  size_t n = 0;
  size_t i;

  for (i = 0; i < length && h->in_header; ++i) n += gone_on(h, out + n, pass_one(h, in[i], out + n));
  memcpy(out + n, in + i, length - i);
  return n + length - i;
}

size_t scanheader_end(struct scanheader *h, char *out)
{
  return h->in_header && h->holding > 0 ? gone_on(h, out, decide(h, 0, out)) : 0;
}
