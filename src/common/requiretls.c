/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "refusal.h"
#include "requiretls.h"
#include "smtpreply.h"

void requiretls_free(struct requiretls *r)
{
  free(r->text);
  memset(r, 0, sizeof *r);
}

/* Returns 0 unless the whole file is in r. */
static int read_all(struct requiretls *r, int fd)
{
  struct stat st;
  ssize_t n;

  if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size > REQUIRETLS_FILE_MAX)
    return 0;
  r->text = malloc(REQUIRETLS_FILE_MAX + 1);
  if (!r->text)
    return 0;
  while (r->len <= REQUIRETLS_FILE_MAX) {
    n = read(fd, r->text + r->len, REQUIRETLS_FILE_MAX + 1 - r->len);
    if (n == 0)
      return 1;
    if (n == -1 && errno != EINTR)
      return 0;
    if (n > 0)
      r->len += (size_t) n;
  }
  return 0;   /* it has grown */
}

void requiretls_read(struct requiretls *r, const char *path)
{
  int fd;

  requiretls_free(r);
  fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd == -1) {
    r->state = errno == ENOENT ? 0 : -1;
    return;
  }
  if (read_all(r, fd)) {
    r->state = 1;
  } else {
    requiretls_free(r);
    r->state = -1;
  }
  close(fd);
}

/* The domain behind the last @, without dots at its end; empty without one. */
static size_t domain_of(const char **domain, const char *address)
{
  const char *at = strrchr(address, '@');
  size_t len = at ? strlen(at + 1) : 0;

  *domain = at ? at + 1 : "";
  while (len > 0 && (*domain)[len - 1] == '.')
    --len;
  return len;
}

/* Whether the word is that domain, or, with a dot before it, one above. */
static int matches(const char *word, const char *address)
{
  const char *domain;
  size_t len = domain_of(&domain, address);
  size_t word_len = strlen(word);

  if (*word == '.')
    return len > word_len && strncasecmp(domain + len - word_len, word, word_len) == 0;
  return len == word_len && strncasecmp(domain, word, word_len) == 0;
}

static int is_domain(const char *word)
{
  size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

  return word[len] == 0 && len > 1 && word[len - 1] != '.';
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

/* Copies the next word of a line, and moves *at behind it; returns 0 when it has none, or one that is too long. */
static int next_word(char *word, const char **at, const char *end)
{
  size_t len = 0;

  while (*at < end && is_blank(**at))
    ++*at;
  while (*at < end && !is_blank(**at) && **at && len < REQUIRETLS_WORD_MAX - 1)
    word[len++] = *(*at)++;
  word[len] = 0;
  return len > 0 && (*at == end || is_blank(**at));
}

static enum requiretls_answer judge_client(const char *word, const struct address *client)
{
  struct address network;
  int prefix;

  if (!address_parse_network(&network, &prefix, word))
    return REQUIRETLS_UNSURE;
  return client && address_inside(client, &network, prefix) ? REQUIRETLS_CLIENT : REQUIRETLS_NO;
}

static enum requiretls_answer judge_line(const char *at, const char *end, const struct address *client,
                                         const char *sender, const char *recipient)
{
  char kind[REQUIRETLS_WORD_MAX];
  char word[REQUIRETLS_WORD_MAX];
  char more[REQUIRETLS_WORD_MAX];
  const char *begin = at;

  while (begin < end && is_blank(*begin))
    ++begin;
  if (begin == end || *begin == '#')
    return REQUIRETLS_NO;
  if (!next_word(kind, &at, end) || !next_word(word, &at, end) || next_word(more, &at, end) || *more)
    return REQUIRETLS_UNSURE;
  if (at != end)
    return REQUIRETLS_UNSURE;
  if (strcmp(kind, "client") == 0)
    return judge_client(word, client);
  if (!is_domain(word))
    return REQUIRETLS_UNSURE;
  if (strcmp(kind, "sender") == 0)
    return matches(word, sender) ? REQUIRETLS_SENDER : REQUIRETLS_NO;
  if (strcmp(kind, "recipient") == 0)
    return matches(word, recipient) ? REQUIRETLS_RECIPIENT : REQUIRETLS_NO;
  return REQUIRETLS_UNSURE;
}

static int is_this_host(const struct address *client)
{
  static const unsigned char ipv4[4] = {127, 0, 0, 1};
  static const unsigned char ipv6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

  if (!client)
    return 0;
  return client->bits == 32 ? memcmp(client->bytes, ipv4, sizeof ipv4) == 0 : memcmp(client->bytes, ipv6, sizeof ipv6) == 0;
}

enum requiretls_answer requiretls_judge(const struct requiretls *r, const struct address *client,
                                        const char *sender, const char *recipient)
{
  enum requiretls_answer found = REQUIRETLS_NO;
  enum requiretls_answer one;
  const char *at = r->text;
  const char *end = r->text + r->len;
  const char *line_end;

  if (is_this_host(client) || r->state == 0)
    return REQUIRETLS_NO;
  if (r->state != 1)
    return REQUIRETLS_UNSURE;
  for (; at < end; at = line_end + 1) {
    line_end = memchr(at, '\n', (size_t) (end - at));
    if (!line_end)
      line_end = end;
    one = judge_line(at, line_end, client, sender, recipient);
    if (one == REQUIRETLS_UNSURE)
      return one;
    if (found == REQUIRETLS_NO)
      found = one;
  }
  return found;
}

const char *requiretls_refuse(enum requiretls_answer answer, const char *recipient, const char *sender, const char *ip)
{
  switch (answer) {
    case REQUIRETLS_NO: return 0;
    case REQUIRETLS_SENDER:
      refusal_command("rcpt", "no-tls-of-sender", recipient, sender, ip);
      return SMTPREPLY_TLS_FOR_SENDER;
    case REQUIRETLS_RECIPIENT:
      refusal_command("rcpt", "no-tls-for-recipient", recipient, sender, ip);
      return SMTPREPLY_TLS_FOR_RECIPIENT;
    case REQUIRETLS_CLIENT:
      refusal_command("rcpt", "no-tls-of-client", recipient, sender, ip);
      return SMTPREPLY_TLS_FOR_CLIENT;
    case REQUIRETLS_UNSURE: break;
  }
  refusal_trouble("requiretls", "unreadable, or with a line that is wrong");
  return SMTPREPLY_UNCERTAIN;
}
