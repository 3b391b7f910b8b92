/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a client says to smtpfront: one whole reply of ours for each line until the end, none that accepts a recipient,
 * and what is handed over is a session that qmail-smtpd takes, with the client's own bytes unanswered.
 * fuzz-length: 20000
 */
#include "fuzz.h"
#include "dialogue.h"
#include "envelopeaddress.h"
#include "refusal.h"

const char *const fuzz_words[] = {
  "EHLO a\r\n", "HELO \r\n", "MAIL FROM:<a@b.c>\r\n", "RCPT TO:<a@b.c>\r\n", "RCPT TO:<x@b.c>\r\n", "rcpt", "DATA\r\n", "RSET\r\n",
  "NOOP\r\n", "QUIT\r\n", "\r\n", "\n", "\r", " ", "<", ">", "\"", "\\", "@", "MAIL FROM:<> SIZE=1126\r\n", "MAIL FROM:<>\r\n", "MAIL FROM:<@r:\"q\"@b>\r\n", "[1.2.3.4]", "STARTTLS\r\n",
  0,
};

static size_t lines_logged;

static void count(const char *line, size_t len)
{
  HOLD(len > 0 && len <= REFUSAL_LINE_MAX && line[len - 1] == '\n');
  ++lines_logged;
}

static int bad_sender(void *arg, const char *sender)
{
  (void) arg;
  return sender[0] == 'b';
}

static enum dialogue_answer first(void *arg, const char *recipient)
{
  (void) arg;
  HOLD(strlen(recipient) <= ENVELOPEADDRESS_MAX);
  return recipient[0] == 'u' ? DIALOGUE_UNSURE : recipient[0] == 'n' ? DIALOGUE_NO : DIALOGUE_YES;
}

static enum dialogue_answer second(void *arg, const char *recipient)
{
  (void) arg;
  return recipient[0] == 'x' ? DIALOGUE_NO : DIALOGUE_YES;
}

static int offers_tls(void *arg)
{
  (void) arg;
  return 1;
}

static void check_reply(const struct dialogue_reply *reply)
{
  size_t len = strlen(reply->before);

  HOLD(len >= 4 && reply->before[0] >= '2' && reply->before[0] <= '5');
  HOLD(strncmp(reply->before, "354", 3) != 0);
  if (reply->greeting)
    HOLD(strlen(reply->after) >= 2);
  else
    HOLD(!*reply->after && strcmp(reply->before + len - 2, "\r\n") == 0);
}

static void check_handover(const struct dialogue *d, const char *bytes, size_t len)
{
  static char out[HANDOVER_MAX];
  struct handover h;
  size_t n = dialogue_handover(d, out, bytes, len);
  size_t i;
  int ends = 0;

  HOLD(n > 0 && handover_read(&h, out, n));
  HOLD(h.unanswered_len == len && memcmp(h.unanswered, bytes, len) == 0);
  for (i = 0; i < h.said_len; ++i)
    ends += h.said[i] == '\n';
  HOLD(ends >= 1 && ends <= 2 && h.said[h.said_len - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct dialogue_lists lists = {0, bad_sender, first, second, 0, 0};
  static char recipient[SMTPCOMMAND_LINE_MAX + 1];
  struct dialogue d;
  struct dialogue_reply reply;
  enum dialogue_event event = DIALOGUE_REPLY;
  char *bytes = fuzz_bytes(size);
  size_t at = 1;
  size_t length;
  int refused = size > 0 && (data[0] & 1);

  if (size)
    memcpy(bytes, data, size);
  refusal_write = count;
  lists.tls = size > 0 && (data[0] & 2) ? offers_tls : 0;
  dialogue_begin(&d, 0, 0, 0);
  d.databytes = 1000;
  while (at < size && (event == DIALOGUE_REPLY || event == DIALOGUE_STARTTLS)
         && smtpcommand_line(bytes + at, size - at, 0, &length) == SMTPCOMMAND_LINE) {
    lines_logged = 0;
    event = dialogue_line(&d, &lists, "198.51.100.7", bytes + at, length, recipient, &reply);
    if (event == DIALOGUE_RECIPIENT)
      event = refused ? dialogue_refuse(&d, "198.51.100.7", "451 4.7.1 later\r\n", &reply)
                      : dialogue_recipient(&d, &lists, "198.51.100.7", recipient, &reply);
    HOLD(event != DIALOGUE_RECIPIENT && lines_logged <= 2);
    if (event == DIALOGUE_ACCEPTABLE) {
      HOLD(!refused && d.mail && !d.barred && recipient[0] != 'n' && recipient[0] != 'u' && recipient[0] != 'x');
      check_handover(&d, bytes + at, size - at);
    } else if (event == DIALOGUE_STARTTLS) {
      HOLD(lists.tls && !d.secured && !d.mail);
      dialogue_secured(&d);
      HOLD(!d.helo && !d.mail && !d.sender);
    } else {
      check_reply(&reply);
    }
    HOLD(d.count.refusals <= LIMITCOUNT_REFUSALS && d.misses <= 10);
    at += length;
  }
  dialogue_end(&d);
  free(bytes);
  return 0;
}
