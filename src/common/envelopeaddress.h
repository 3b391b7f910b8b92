/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Checks whether an address is allowed in an SMTP envelope. The address is checked as qmail stores it: without
 * brackets, source route and quotes. qmail-remote writes what is behind the last @, and a name without @, unchanged:
 * there nothing may end the line or the brackets.
 *
 *   no byte below 32 and no 127 anywhere;
 *   at most ENVELOPEADDRESS_MAX bytes;
 *   behind the last @ a host name (labels of 1 to 63 letters, digits, '-' and '_', one final dot allowed) or an
 *   address literal ([...] of letters, digits, '.', ':' and '-'), of at most ENVELOPEADDRESS_DOMAIN_MAX bytes;
 *   in a name without @ no blank, '<' and '>'.
 *
 * The empty address (the null sender) is allowed, and so is "#@[]", the sender of qmail's double bounces. Nothing is
 * said about the local part beyond that: it is quoted on its way out. Pure; valid as gnu89 and as C99.
 */
#ifndef ENVELOPEADDRESS_H
#define ENVELOPEADDRESS_H

#include <stddef.h>

#define ENVELOPEADDRESS_MAX 320          /* local part 64, '@' and domain 255 (RFC 5321, 4.5.3.1) */
#define ENVELOPEADDRESS_DOMAIN_MAX 255
#define ENVELOPEADDRESS_LABEL_MAX 63

enum envelopeaddress_fault {
  ENVELOPEADDRESS_OK = 0,
  ENVELOPEADDRESS_CONTROL,   /* a control byte */
  ENVELOPEADDRESS_LENGTH,    /* too long */
  ENVELOPEADDRESS_DOMAIN,    /* neither a host name nor an address literal behind the last @ */
  ENVELOPEADDRESS_NAME       /* a name without @ that could end its brackets */
};

/* The first fault in the order above. bytes need not end with a NUL; a NUL among them is a control byte. */
extern enum envelopeaddress_fault envelopeaddress_check(const char *bytes, size_t length);

/* One word for the log, a fixed text: control-byte, too-long, not-a-host-name, not-a-name; ok if there is no fault. */
extern const char *envelopeaddress_word(enum envelopeaddress_fault fault);

#endif
