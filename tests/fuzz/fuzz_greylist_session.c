/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a client says, and in whatever pieces it comes, it hears the same whole replies, of ours, and never more than
 * is bounded; no command is taken for another. Each STARTTLS that waits gets TLS, once.
 */
#include "fuzz.h"
#include "greysession.h"
#include "say.h"
#include "smtpreply.h"

const char *const fuzz_words[] = {
  "EHLO a", "HELO", "MAIL FROM:<a@b.c>", "RCPT TO:<a@b.c>", "rcpt", "DATA", "RSET", "NOOP", "QUIT", "\r\n", "\n", "\r", " ",
  "\r\n.\r\n", "STARTTLS\r\n", "VRFY\r\n", "HELP\r\n", "RCPT TO:<a>\r\n", "NOOP\r\n", "\t", 0,
};

#define HEARD_MAX 200000

static const char *const replies[] = {
  "220 mx.test ESMTP\r\n", "250 mx.test\r\n", "250-mx.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n", "250 ok\r\n",
  "451 4.7.1 later\r\n", "221 mx.test\r\n", "252 send some mail, I'll try my best\r\n", "214 no help here\r\n",
  "502 5.5.1 unimplemented\r\n", "500 5.5.2 line too long\r\n", "421 4.7.0 too much, good bye\r\n",
  "250-mx.test\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 8BITMIME\r\n", SMTPREPLY_TLS_READY, SMTPREPLY_TLS_PARAMETER,
  SMTPREPLY_TLS_AGAIN, SMTPREPLY_TLS_MAIL,
};

static int offered(void)
{
  return 1;
}

static void secure(struct greysession *s)
{
  HOLD(!s->secured && !s->mail);
  greysession_answer(s, SMTPREPLY_TLS_READY);
  greysession_secured(s);
  HOLD(!s->ended && !s->starttls && !s->sender[0]);
}

static size_t hear(struct greysession *s, char *heard, size_t len)
{
  HOLD(s->out_len <= GREYSESSION_OUT_MAX && len + s->out_len <= HEARD_MAX);
  memcpy(heard + len, s->out, s->out_len);
  len += s->out_len;
  s->out_len = 0;
  return len;
}

/* Everything that is heard when the bytes come in pieces of that size. */
static size_t talk(const uint8_t *data, size_t size, size_t piece, char *heard, int *ended)
{
  struct greysession *s = malloc(sizeof *s);
  size_t len;
  size_t at = 0;
  size_t n;

  HOLD(s != NULL);
  greysession_start(s, "mx.test", "451 4.7.1 later");
  s->tls = size % 2 ? offered : 0;
  len = hear(s, heard, 0);
  while (at < size && !s->ended) {
    n = size - at < piece ? size - at : piece;
    n = greysession_feed(s, (const char *) data + at, n);
    HOLD(n > 0 || s->out_len > 0);
    if (s->starttls)
      secure(s);
    at += n;
    len = hear(s, heard, len);
  }
  *ended = s->ended;
  HOLD(s->ended || at == size);
  HOLD(s->bytes == at && s->lines <= GREYSESSION_LINES_MAX && s->wrong <= GREYSESSION_WRONG_MAX);
  free(s);
  return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static char whole[HEARD_MAX];
  static char pieces[HEARD_MAX];
  size_t len = talk(data, size, size + 1, whole, &(int){0});
  size_t at = 0;
  size_t lines = 0;
  size_t heard = 0;
  size_t i;
  int ended = 0;

  HOLD(talk(data, size, 1 + size % 7, pieces, &ended) == len && memcmp(whole, pieces, len) == 0);
  while (at < len) {
    for (i = 0; i < sizeof replies / sizeof *replies; ++i)
      if (len - at >= strlen(replies[i]) && memcmp(whole + at, replies[i], strlen(replies[i])) == 0)
        break;
    HOLD(i < sizeof replies / sizeof *replies);
    HOLD((i == 0) == (at == 0));
    at += strlen(replies[i]);
    heard += i != 10;
  }
  for (i = 0; i < size; ++i)
    lines += data[i] == '\n';
  HOLD(ended ? heard - 1 <= lines : heard - 1 == lines);   /* one for each line */
  return 0;
}
