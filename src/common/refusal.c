/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "refusal.h"

static char session[80];   /* behind the client's address */
static char tls[100];      /* at the end of its lines */

size_t refusal_field(char *out, const char *text)
{
  static const char hex[] = "0123456789abcdef";
  const unsigned char *s = (const unsigned char *) text;
  size_t len = 0;
  int plain;

  if (!*s) {
    memcpy(out, "<>", sizeof "<>");
    return strlen(out);
  }
  for (; *s; ++s) {
    plain = *s > ' ' && *s <= '~' && *s != '\\' && *s != '<' && *s != '>';
    if (len + (plain ? 1 : 4) > REFUSAL_FIELD_MAX) {
      memcpy(out + len, "\\...", 4);
      len += 4;
      break;
    }
    if (plain) {
      out[len++] = (char) *s;
      continue;
    }
    out[len++] = '\\';
    out[len++] = 'x';
    out[len++] = hex[*s >> 4];
    out[len++] = hex[*s & 15];
  }
  out[len] = 0;
  return len;
}

/* Appends a fixed text (words only, cut at the end of the line) to a line that keeps room for its newline. */
static size_t words(char *line, size_t len, const char *text)
{
  size_t n = strlen(text);

  if (n > REFUSAL_LINE_MAX - 1 - len)
    n = REFUSAL_LINE_MAX - 1 - len;
  memcpy(line + len, text, n);
  return len + n;
}

static unsigned long dropped;   /* lines that the log could not take */

/* Nothing waits for the log: with a reader that stands still the session goes on. */
static int was_written(const char *line, size_t len)
{
  struct pollfd log;
  ssize_t n;

  log.fd = 2;
  log.events = POLLOUT;
  if (poll(&log, 1, 0) == 0)
    return 0;
  do
    n = write(2, line, len);
  while (n == -1 && errno == EINTR);
  return n == (ssize_t) len;
}

static void write_line(const char *line, size_t len)
{
  char more[100];

  if (dropped) {
    sprintf(more, "qmail-smtpd: dropped %lu lines of the log\n", dropped);
    if (was_written(more, strlen(more)))
      dropped = 0;
  }
  if (dropped || !was_written(line, len))
    ++dropped;
}

void (*refusal_write)(const char *line, size_t len) = write_line;

/* One line: "qmail-smtpd: " and then, in turn, fixed words and a field from the client, which a null ends; and the end. */
static void say_to(const char *end, const char *w1, const char *f1, const char *w2, const char *f2, const char *w3,
                   const char *f3)
{
  const char *part[6];
  char field[REFUSAL_FIELD_MAX + 5];
  char line[REFUSAL_LINE_MAX];
  size_t len;
  int saved = errno;
  int i;

  part[0] = w1;
  part[1] = f1;
  part[2] = w2;
  part[3] = f2;
  part[4] = w3;
  part[5] = f3;
  len = words(line, 0, "qmail-smtpd: ");
  for (i = 0; i < 6 && part[i]; ++i) {
    if (i % 2)
      refusal_field(field, part[i]);
    len = words(line, len, i % 2 ? field : part[i]);
  }
  len = words(line, len, end);
  line[len++] = '\n';
  (*refusal_write)(line, len);
  errno = saved;
}

static void say(const char *w1, const char *f1, const char *w2, const char *f2, const char *w3, const char *f3)
{
  char end[sizeof session + sizeof tls];

  snprintf(end, sizeof end, "%s%s", session, tls);
  say_to(end, w1, f1, w2, f2, w3, f3);
}

void refusal_session(const char *id, long pid)
{
  session[0] = 0;
  if (*id && pid)
    snprintf(session, sizeof session, " id %.40s pid %ld", id, pid);
  else if (*id)
    snprintf(session, sizeof session, " id %.40s", id);
}

void refusal_tls(const char *version, const char *cipher)
{
  tls[0] = 0;
  if (*version)
    snprintf(tls, sizeof tls, " tls=%.16s/%.64s", version, cipher);
}

void refusal_validrcptto(const char *recipient, const char *sender, const char *ip)
{
  say("not in validrcptto: ", recipient, " from ", sender, " at ", ip);
}

void refusal_excess(const char *ip)
{
  say("excessive validrcptto violations, hanging up on ", ip, 0, 0, 0, 0);
}

void refusal_badmailfrom(const char *sender, const char *recipient, const char *ip)
{
  say("badmailfrom: ", sender, " to ", recipient, " at ", ip);
}

void refusal_rcpthosts(const char *recipient, const char *sender, const char *ip)
{
  say("rcpthosts: ", recipient, " from ", sender, " at ", ip);
}

void refusal_command(const char *command, const char *reason, const char *recipient, const char *sender, const char *ip)
{
  char text[100];

  text[0] = 0;
  strncat(text, command, 10);
  strncat(text, " refused: ", 20);
  strncat(text, reason, 40);
  strncat(text, recipient ? " for " : " from ", 10);
  if (recipient)
    say(text, recipient, " from ", sender, " at ", ip);
  else
    say(text, sender, " at ", ip, 0, 0);
}

void refusal_hangup(const char *what, const char *ip)
{
  char text[100];

  text[0] = 0;
  strncat(text, "excessive ", 20);
  strncat(text, what, 40);
  strncat(text, ", hanging up on ", 20);
  say(text, ip, 0, 0, 0, 0);
}

void refusal_shared(const char *ip)
{
  say("client trouble: somebody else takes part in the session of ", ip, 0, 0, 0, 0);
}

void refusal_accepted(const char *sender, const char *ip, unsigned long queue_pid)
{
  char end[sizeof session + sizeof tls + 30];

  snprintf(end, sizeof end, "%s qp %lu%s", session, queue_pid, tls);
  say_to(end, "accepted: from ", sender, " at ", ip, 0, 0);
}

void refusal_trouble(const char *thing, const char *reason)
{
  char text[200];

  text[0] = 0;
  strncat(text, thing, 50);
  strncat(text, " trouble: ", 20);
  strncat(text, reason, 100);
  say_to("", text, 0, 0, 0, 0, 0);
}

void refusal_rcpt(const char *recipient)
{
  say_to("", "validrcptto RCPT TO: ", recipient, 0, 0, 0, 0);
}

void refusal_found(const char *key)
{
  say_to("", "validrcptto found: ", key, 0, 0, 0, 0);
}
