/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a client says in RCPT TO, it is found only by one of the keys that it may be found by: itself,
 * LOCAL-default@DOMAIN for a beginning of its local part, @DOMAIN. The file is whole: only an address that is too
 * long is trouble.
 */
#include "../unit/c/image.h"
#include "fuzz.h"
#include "validrcptto.h"

#define FILE_NAME "recipients.cdb"

const char *const fuzz_words[] = {
  "joe", "JOE", "user", "-", "-default", "default", "@", "@example.test", "@Example.Test", "@any.test", ".", "\"", "\xc4", 0,
};

static const char *const keys[] = {
  "joe@example.test", "user-default@example.test", "a-b-default@example.test", "@any.test", "-default@example.test",
};

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c + 32) : c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static int made;
  struct validrcptto *v = malloc(sizeof *v);
  struct image f;
  char *address = fuzz_text(data, size);
  const char *at;
  const char *dash;
  size_t len = strlen(address);
  size_t stem;
  size_t i;
  int known = 0;
  int r;

  HOLD(v != NULL);
  if (!made) {
    f = image_make(keys, sizeof keys / sizeof *keys);
    image_write(FILE_NAME, f.s, f.len);
    free(f.s);
    made = 1;
  }
  memset(v, 'X', sizeof *v);
  r = validrcptto_find(v, FILE_NAME, address);
  if (len > VALIDRCPTTO_ADDRESS_MAX)
    HOLD(r == VALIDRCPTTO_TROUBLE);
  else
    HOLD(r == VALIDRCPTTO_FOUND || r == VALIDRCPTTO_MISSING);
  if (r == VALIDRCPTTO_FOUND) {
    HOLD(memchr(v->key, 0, sizeof v->key) != NULL && len <= VALIDRCPTTO_ADDRESS_MAX);
    for (i = 0; i < sizeof keys / sizeof *keys; ++i)
      known |= strcmp(keys[i], v->key) == 0;
    HOLD(known);
    for (i = 0; i < len; ++i)
      address[i] = lower(address[i]);
    at = strrchr(v->key, '@');
    HOLD(at != NULL && len >= strlen(at) && strcmp(address + len - strlen(at), at) == 0);
    dash = strstr(v->key, "-default@");
    stem = (size_t) ((dash ? dash + 1 : at) - v->key);   /* "user-", "joe" or "" */
    HOLD(strncmp(address, v->key, stem) == 0);
    HOLD(dash || stem == 0 || strcmp(address, v->key) == 0);
  }
  free(address);
  free(v);
  return 0;
}
