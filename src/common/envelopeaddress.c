/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "envelopeaddress.h"

static int control(unsigned char b)
{
  return b < 32 || b == 127;
}

/* Letters and digits of ASCII, whatever the locale. */
static int alphanumeric(unsigned char b)
{
  return (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
}

static int hostname(const unsigned char *s, size_t length)
{
  size_t label = 0;
  size_t i;

  if (length > 1 && s[length - 1] == '.')
    --length;
  for (i = 0; i < length; ++i) {
    if (s[i] == '.') {
      if (label == 0)
        return 0;
      label = 0;
    } else if (alphanumeric(s[i]) || s[i] == '-' || s[i] == '_') {
      if (++label > ENVELOPEADDRESS_LABEL_MAX)
        return 0;
    } else {
      return 0;
    }
  }
  return label > 0;
}

static int literal(const unsigned char *s, size_t length)
{
  size_t i;

  if (length < 3 || s[0] != '[' || s[length - 1] != ']')
    return 0;
  for (i = 1; i < length - 1; ++i)
    if (!alphanumeric(s[i]) && s[i] != '.' && s[i] != ':' && s[i] != '-')
      return 0;
  return 1;
}

enum envelopeaddress_fault envelopeaddress_check(const char *bytes, size_t length)
{
  const unsigned char *s = (const unsigned char *) bytes;
  size_t domain = 0; /* where the domain begins, 0 for a name without @ */
  size_t i;

  for (i = 0; i < length; ++i) {
    if (control(s[i]))
      return ENVELOPEADDRESS_CONTROL;
    if (s[i] == '@')
      domain = i + 1;
  }
  if (length > ENVELOPEADDRESS_MAX)
    return ENVELOPEADDRESS_LENGTH;
  /* the sender of a qmail host's double bounces */
  if (length == 4 && s[0] == '#' && s[1] == '@' && s[2] == '[' && s[3] == ']')
    return ENVELOPEADDRESS_OK;
  if (domain) {
    if (length - domain > ENVELOPEADDRESS_DOMAIN_MAX)
      return ENVELOPEADDRESS_DOMAIN;
    if (!hostname(s + domain, length - domain) && !literal(s + domain, length - domain))
      return ENVELOPEADDRESS_DOMAIN;
    return ENVELOPEADDRESS_OK;
  }
  for (i = 0; i < length; ++i)
    if (s[i] == ' ' || s[i] == '<' || s[i] == '>')
      return ENVELOPEADDRESS_NAME;
  return ENVELOPEADDRESS_OK;
}

const char *envelopeaddress_word(enum envelopeaddress_fault fault)
{
  switch (fault) {
    case ENVELOPEADDRESS_CONTROL: return "control-byte";
    case ENVELOPEADDRESS_LENGTH: return "too-long";
    case ENVELOPEADDRESS_DOMAIN: return "not-a-host-name";
    case ENVELOPEADDRESS_NAME: return "not-a-name";
    case ENVELOPEADDRESS_OK: break;
  }
  return "ok";
}
