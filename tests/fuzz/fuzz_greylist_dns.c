/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever comes from port 53, it is read within its bounds: what is taken out of it is well formed and stands in it.
 * The first byte says how much of an honest head it gets; the second, of which type the question is.
 */
#include "dnsmessage.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "\xc0\x0c", "\xc0", "\xc0\x0d", "\x01" "a\x04test", "\x05" "Other", "\x3f", "\x40", "\xff\xff", "\x7f", "\x03" "a b", "\x1",
  "\x05\x01" "a\x04test", "\x0c", "\x1c", 0,
};

#define MOST 5

static void address_rdata(const uint8_t *m, size_t len, const struct address *a)
{
  size_t n = (size_t) a->bits / 8;
  size_t i;

  HOLD(a->bits == 32 || a->bits == 128);
  for (i = 0; i + n <= len; ++i)
    if (memcmp(m + i, a->bytes, n) == 0)
      return;
  HOLD(!"the address stands in the answer");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const int types[] = {DNSMESSAGE_A, DNSMESSAGE_PTR, DNSMESSAGE_AAAA, DNSMESSAGE_CNAME};
  char name[MOST][DNSMESSAGE_NAME_MAX];
  struct address address[MOST];
  unsigned char query[DNSMESSAGE_QUERY_MAX];
  char *text;
  uint8_t *m;
  size_t query_len;
  size_t head;
  size_t len;
  int n;
  int i;

  if (size < 6)
    return 0;
  text = fuzz_text(data, size);
  query_len = dnsmessage_query(query, text, DNSMESSAGE_A, 1);   /* any text is a name or none */
  HOLD(query_len <= sizeof query && (query_len == 0 || query_len >= 12 + 7));
  free(text);
  query_len = dnsmessage_query(query, "a.test", types[data[1] % 4], 0x4944);
  head = data[0] % 4 ? query_len : 0;
  len = head + size - 6;
  m = (uint8_t *) fuzz_bytes(len);
  memcpy(m, query, head);
  if (size > 6)
    memcpy(m + head, data + 6, size - 6);
  if (head) {
    m[2] = 0x81;
    m[3] = data[2] % 3 ? 0x80 : data[3];
    m[7] = data[4] % 8 ? data[4] % 8 : 255;
  }
  if (dnsmessage_check(m, len, query, query_len) != DNSMESSAGE_STRANGE)
    HOLD(len >= query_len && m[0] == 'I' && m[1] == 'D' && m[2] & 0x80);
  n = dnsmessage_addresses(m, len, address, MOST);
  HOLD(n >= 0 && n <= MOST);
  for (i = 0; i < n; ++i)
    address_rdata(m, len, &address[i]);
  n = dnsmessage_names(m, len, name, MOST);
  HOLD(n >= 0 && n <= MOST);
  for (i = 0; i < n; ++i) {
    HOLD(memchr(name[i], 0, sizeof name[i]) != NULL && name[i][0] != 0);
    HOLD(strspn(name[i], "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name[i]));
    HOLD(dnsmessage_query(query, name[i], DNSMESSAGE_A, 1) == strlen(name[i]) + 18);   /* it can be asked for */
  }
  free(m);
  return 0;
}
