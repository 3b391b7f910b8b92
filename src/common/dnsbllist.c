/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <string.h>
#include "dnsbllist.h"
#include "say.h"

#define BLANKS " \t\r\n"

static int is_zone(const char *s)
{
  size_t label = 0;

  for (; *s; ++s) {
    if (*s == '.') {
      if (!label)
        return 0;
      label = 0;
      continue;
    }
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *s) || ++label > 63)
      return 0;
  }
  return label > 0;
}

enum dnsbllist_line dnsbllist_parse(struct dnsbllist *list, const char *line, const char **wrong)
{
  struct address loopback;
  char network[32];
  size_t len;
  int prefix;

  memset(list, 0, sizeof *list);
  line += strspn(line, BLANKS);
  if (!*line || *line == '#')
    return DNSBLLIST_COMMENT;
  len = strcspn(line, BLANKS);
  *wrong = "its zone is not a domain name";
  if (len >= sizeof list->zone)
    return DNSBLLIST_WRONG;
  memcpy(list->zone, line, len);
  if (!is_zone(list->zone))
    return DNSBLLIST_WRONG;
  line += len;
  line += strspn(line, BLANKS);
  len = strcspn(line, BLANKS);
  *wrong = "its network is not within 127.0.0.0/8";
  if (len >= sizeof network)
    return DNSBLLIST_WRONG;
  memcpy(network, line, len);
  network[len] = 0;
  if (!address_parse_network(&list->network, &list->prefix, network))
    return DNSBLLIST_WRONG;
  address_parse_network(&loopback, &prefix, "127.0.0.0/8");
  if (list->prefix < prefix || !address_inside(&list->network, &loopback, prefix))
    return DNSBLLIST_WRONG;
  line += len;
  line += strspn(line, BLANKS);
  len = say_printable(list->text, sizeof list->text, line);
  if (len > strcspn(line, "\r\n"))
    len = strcspn(line, "\r\n");
  while (len > 0 && list->text[len - 1] == ' ')
    --len;
  list->text[len] = 0;
  return DNSBLLIST_LIST;
}

int dnsbllist_counts(const struct dnsbllist *list, const struct address *answer)
{
  static const unsigned char never[4] = {127, 0, 0, 1};

  if (answer->bits != 32 || memcmp(answer->bytes, never, 4) == 0)
    return 0;
  if (answer->bytes[0] == 127 && answer->bytes[1] == 255 && answer->bytes[2] == 255)
    return 0;
  return address_inside(answer, &list->network, list->prefix);
}
