/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "confirmedname.h"
#include "dnsmessage.h"

void confirmedname_reversed(char *out, size_t size, const struct address *client)
{
  dnsmessage_reversed(out, size, client, client->bits == 32 ? "in-addr.arpa" : "ip6.arpa");
}

int confirmedname_type(const struct address *client)
{
  return client->bits == 32 ? DNSMESSAGE_A : DNSMESSAGE_AAAA;
}

int confirmedname_confirms(const unsigned char *answer, size_t len, const struct address *client)
{
  static struct address address[DNSMESSAGE_RECORDS_MAX];
  int n = dnsmessage_addresses(answer, len, address, DNSMESSAGE_RECORDS_MAX);

  while (n-- > 0)
    if (address_equal(&address[n], client))
      return 1;
  return 0;
}
