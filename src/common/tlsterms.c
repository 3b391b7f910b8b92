/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "tlsterms.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* Copies one word of these characters; returns what is behind it and its end, null when it is not such a word. */
static const char *word(char *out, size_t most, const char *text, const char *characters, char end)
{
  size_t len = text ? strspn(text, characters) : 0;

  if (len == 0 || len > most || text[len] != end)
    return 0;
  memcpy(out, text, len);
  out[len] = 0;
  return text + len + (end != 0);
}

int tlsterms_parse(struct tlsterms *t, const char *text)
{
  memset(t, 0, sizeof *t);
  text = word(t->version, TLSTERMS_VERSION_MAX, text, LETTERS ".", ' ');
  text = word(t->cipher, TLSTERMS_CIPHER_MAX, text, LETTERS "_-", ' ');
  text = word(t->name, TLSTERMS_NAME_MAX, text, LETTERS "-._", 0);
  if (!text) {
    memset(t, 0, sizeof *t);
    return 0;
  }
  if (strcmp(t->name, "-") == 0)
    t->name[0] = 0;
  return 1;
}
