/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <string.h>
#include "envelopepath.h"
#include "greysession.h"
#include "say.h"
#include "smtpreply.h"

#define REPLY_ROOM 1024   /* the longest reply */
#define EHLO_REST "\r\n250-PIPELINING\r\n250 8BITMIME\r\n"

static void reply(struct greysession *s, const char *before, const char *text, const char *after)
{
  const char *part[3];
  size_t len;
  int i;

  part[0] = before;
  part[1] = text;
  part[2] = after;
  for (i = 0; i < 3; ++i) {
    len = strlen(part[i]);
    memcpy(s->out + s->out_len, part[i], len);
    s->out_len += len;
  }
}

void greysession_start(struct greysession *s, const char *host, const char *refusal)
{
  memset(s, 0, sizeof *s);
  say_printable(s->host, sizeof s->host, host);
  say_printable(s->refusal, sizeof s->refusal, refusal);
  reply(s, "220 ", s->host, " ESMTP\r\n");
}

void greysession_end(struct greysession *s, const char *text)
{
  if (s->ended)
    return;
  s->ended = 1;
  if (GREYSESSION_OUT_MAX - s->out_len < REPLY_ROOM)
    return;   /* the client does not read its replies */
  reply(s, "421 ", text, "\r\n");
}

static int is(const struct greysession *s, const char *verb)
{
  return strcmp(s->verb, verb) == 0;
}

/* The sender is kept for its recipients, and that MAIL was the last; who wanted to write to whom is found in the log by both. */
static void envelope(struct greysession *s)
{
  char recipient[sizeof s->arg];

  if (is(s, "MAIL")) {
    envelopepath(s->sender, s->arg);
    s->mail = 1;
  } else if (is(s, "RSET") || is(s, "HELO") || is(s, "EHLO")) {
    s->mail = 0;
  } else if (is(s, "RCPT") && s->asked && s->asked_for < GREYSESSION_ASKED_MAX) {
    envelopepath(recipient, s->arg);
    ++s->asked_for;
    s->asked(s->ip, s->sender, recipient);
  }
}

void greysession_answer(struct greysession *s, const char *whole)
{
  s->starttls = 0;
  s->ended |= strncmp(whole, "421", 3) == 0;
  reply(s, whole, "", "");
}

void greysession_secured(struct greysession *s)
{
  s->starttls = s->mail = 0;
  s->sender[0] = 0;
  s->secured = 1;
}

static int offers(const struct greysession *s)
{
  return s->tls && !s->secured && (*s->tls)();
}

static void starttls(struct greysession *s)
{
  if (s->secured)
    reply(s, SMTPREPLY_TLS_AGAIN, "", "");
  else if (s->arg[strspn(s->arg, " \t")])
    reply(s, SMTPREPLY_TLS_PARAMETER, "", "");
  else if (s->mail)
    reply(s, SMTPREPLY_TLS_MAIL, "", "");
  else if (offers(s))
    s->starttls = 1;
  else
    reply(s, SMTPREPLY_NO_TLS, "", "");
}

static void command(struct greysession *s)
{
  if (s->line <= GREYSESSION_LINE_MAX)
    envelope(s);
  if (s->line > GREYSESSION_LINE_MAX) {
    reply(s, "500 5.5.2 line too long\r\n", "", "");
    ++s->wrong;
  } else if (is(s, "RCPT") || is(s, "DATA")) {
    reply(s, s->refusal, "\r\n", "");
  } else if (is(s, "HELO")) {
    reply(s, "250 ", s->host, "\r\n");
  } else if (is(s, "EHLO")) {
    reply(s, "250-", s->host, offers(s) ? SMTPREPLY_EHLO_STARTTLS EHLO_REST : EHLO_REST);
  } else if (is(s, "MAIL") || is(s, "RSET") || is(s, "NOOP")) {
    reply(s, "250 ok\r\n", "", "");
  } else if (is(s, "QUIT")) {
    reply(s, "221 ", s->host, "\r\n");
    s->ended = 1;
  } else if (is(s, "VRFY")) {
    reply(s, "252 send some mail, I'll try my best\r\n", "", "");
  } else if (is(s, "STARTTLS") && s->tls) {
    starttls(s);
  } else if (is(s, "HELP")) {
    reply(s, "214 no help here\r\n", "", "");
  } else {
    reply(s, SMTPREPLY_UNIMPLEMENTED, "", "");
    ++s->wrong;
  }
}

static void byte(struct greysession *s, char c)
{
  ++s->bytes;
  ++s->line;
  if (c == '\n') {
    command(s);
    ++s->lines;
    s->line = s->verb_len = s->arg_len = 0;
    s->verb_ended = 0;
    s->verb[0] = s->arg[0] = 0;
  } else if (s->verb_ended) {
    if (c && c != '\r' && s->arg_len + 1 < sizeof s->arg) {
      s->arg[s->arg_len++] = c;
      s->arg[s->arg_len] = 0;
    }
  } else if (c == ' ' || c == '\t' || c == '\r') {
    s->verb_ended = 1;
  } else if (s->verb_len + 1 < sizeof s->verb) {
    if (c >= 'a' && c <= 'z')
      c = (char) (c - 32);
    s->verb[s->verb_len++] = c ? c : '?';   /* a NUL ends nothing */
    s->verb[s->verb_len] = 0;
  }
}

size_t greysession_feed(struct greysession *s, const char *data, size_t n)
{
  size_t i;

  for (i = 0; i < n && !s->ended && !s->starttls && GREYSESSION_OUT_MAX - s->out_len >= 2 * REPLY_ROOM; ++i) {
    byte(s, data[i]);
    if (s->bytes >= GREYSESSION_BYTES_MAX || s->lines >= GREYSESSION_LINES_MAX || s->wrong >= GREYSESSION_WRONG_MAX)
      greysession_end(s, "4.7.0 too much, good bye");
  }
  return i;
}
