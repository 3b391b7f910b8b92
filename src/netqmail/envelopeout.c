/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "envelopeaddress.h"
#include "envelopeout.h"

static const char *word(enum envelopeaddress_fault fault)
{
  return fault == ENVELOPEADDRESS_OK ? 0 : envelopeaddress_word(fault);
}

/* Returns what is wrong with the address, its length aside. */
static enum envelopeaddress_fault check(const char *address)
{
  enum envelopeaddress_fault fault = envelopeaddress_check(address, strlen(address));
  const char *host = strrchr(address, '@');

  if (fault == ENVELOPEADDRESS_LENGTH && host)
    fault = envelopeaddress_check(host, strlen(host));
  return fault;
}

const char *envelopeout_sender(const char *address)
{
  enum envelopeaddress_fault fault = check(address);
  const char *host = strrchr(address, '@');

  if (fault == ENVELOPEADDRESS_DOMAIN && strcmp(host, "@[]") == 0)
    return 0;
  return word(fault);
}

const char *envelopeout_recipient(const char *address)
{
  if (strcmp(address, "#@[]") == 0) /* for senders only */
    return envelopeaddress_word(ENVELOPEADDRESS_DOMAIN);
  return word(check(address));
}

const char *envelopeout_host(const char *bytes, size_t length)
{
  char address[ENVELOPEADDRESS_DOMAIN_MAX + 1];

  if (length >= sizeof address || memchr(bytes, '@', length))
    return envelopeaddress_word(ENVELOPEADDRESS_DOMAIN);
  address[0] = '@';
  memcpy(address + 1, bytes, length);
  return word(envelopeaddress_check(address, length + 1));
}

int envelopeout_control(const char *bytes, size_t length)
{
  size_t i;

  for (i = 0; i < length; ++i)
    if ((unsigned char) bytes[i] < 32 || bytes[i] == 127)
      return 1;
  return 0;
}
