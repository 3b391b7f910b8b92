/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "poolkey.h"

/* The length of a tag at the beginning of a sender in small letters, such as the hash and the day of SRS0=hash=day=. */
static size_t tag(const char *sender)
{
  static const struct {
    const char *before;
    int words;   /* each ended by "=", behind it */
  } forms[] = {
    {"srs0=", 2}, {"srs0+", 2}, {"srs0-", 2}, {"srs1=", 1}, {"srs1+", 1}, {"srs1-", 1},   /* SRS */
    {"prvs=", 1}, {"msprvs1=", 1}, {"btv1==", 1},                                          /* BATV */
  };
  size_t len;
  size_t word;
  size_t i;
  int words;

  for (i = 0; i < sizeof forms / sizeof *forms; ++i) {
    len = strlen(forms[i].before);
    if (strncmp(sender, forms[i].before, len) != 0)
      continue;
    for (words = 0; words < forms[i].words; ++words) {
      word = strspn(sender + len, "abcdefghijklmnopqrstuvwxyz0123456789+/-_.");
      if (!word || sender[len + word] != '=')
        return 0;
      len += word + 1;
    }
    return len;
  }
  return 0;
}

static size_t add_small(char *out, const char *text)
{
  size_t len = 0;

  for (; *text; ++text)
    out[len++] = (char) (*text >= 'A' && *text <= 'Z' ? *text + 32 : *text);
  out[len] = 0;
  return len + 1;
}

int poolkey(char key[POOLKEY_MAX], const char *domain, const char *sender, const char *recipient)
{
  static const char hex[] = "0123456789abcdef";
  char text[3 * POOLKEY_TEXT_MAX];
  char small[POOLKEY_TEXT_MAX];
  unsigned char digest[SHA256_BYTES];
  size_t len;
  size_t skipped;
  size_t i;

  if (strlen(domain) >= POOLKEY_TEXT_MAX || strlen(sender) >= POOLKEY_TEXT_MAX - 8
      || strlen(recipient) >= POOLKEY_TEXT_MAX)
    return 0;
  len = add_small(text, domain);
  add_small(small, sender);
  skipped = tag(small);
  if (skipped) {   /* a control byte is in no sender */
    memcpy(text + len, small, 4);
    text[len + 4] = 1;
    len += 5;
  }
  len += add_small(text + len, small + skipped);
  len += add_small(text + len, recipient);
  sha256(digest, text, len);
  memcpy(key, "pool-", 5);
  for (i = 0; i < SHA256_BYTES; ++i) {
    key[5 + 2 * i] = hex[digest[i] >> 4];
    key[6 + 2 * i] = hex[digest[i] & 15];
  }
  key[POOLKEY_MAX - 1] = 0;
  return 1;
}
