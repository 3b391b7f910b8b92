/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever stands in a line of the file of DNS lists: a list has a name as its zone, an answer counts only inside
 * 127.0.0.0/8 and never what says "your resolver is blocked", and its text is printable.
 */
#include "dnsbllist.h"
#include "dnsmessage.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "zen.test", " ", "\t", "127.0.0.0/8", "127.0.0.0/24", "127.255.255.0/24", "127.0.0.1", "0.0.0.0/0", "/", "33", "#", "text",
  "\n", "\r\n", "..", "\xff", "127.0.0.2/32", "::/0", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const never[] = {"127.0.0.1", "127.255.255.254", "127.255.255.0", "126.255.255.255", "128.0.0.0", "::1"};
  struct dnsbllist list;
  struct address a;
  unsigned char query[DNSMESSAGE_QUERY_MAX];
  char name[DNSMESSAGE_NAME_MAX];
  const char *wrong = 0;
  char *line = fuzz_text(data, size);
  size_t i;
  enum dnsbllist_line what = dnsbllist_parse(&list, line, &wrong);

  if (what == DNSBLLIST_WRONG)
    HOLD(wrong != 0);
  if (what == DNSBLLIST_LIST) {
    HOLD(address_parse(&a, "2001:db8::1") && dnsmessage_reversed(name, sizeof name, &a, list.zone));
    HOLD(dnsmessage_query(query, name, DNSMESSAGE_A, 1) > 0);
    HOLD(list.prefix >= 8 && list.prefix <= 32 && list.network.bits == 32 && list.network.bytes[0] == 127);
    HOLD(memchr(list.text, 0, sizeof list.text) != NULL);
    for (i = 0; list.text[i]; ++i)
      HOLD(list.text[i] >= ' ' && list.text[i] <= '~');
    for (i = 0; i < sizeof never / sizeof *never; ++i)
      HOLD(address_parse(&a, never[i]) && !dnsbllist_counts(&list, &a));
  }
  free(line);
  return 0;
}
