/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Checks whether an address of the queue may be written into an SMTP envelope. envelopeaddress.h says what
 * is allowed, with two exceptions that hold for no client:
 *
 *   an address may be longer: an address of the queue was accepted, or made by qmail itself;
 *   a sender may have the host [], which is qmail's own: #@[] sends double bounces, NAME-@[] is one per recipient.
 *
 * Each returns 0 when the address may be sent, else one word that says what is wrong with it (envelopeaddress_word()).
 * Pure; valid as gnu89 and as C99.
 */
#ifndef ENVELOPEOUT_H
#define ENVELOPEOUT_H

#include <stddef.h>

extern const char *envelopeout_sender(const char *address);
extern const char *envelopeout_recipient(const char *address);

/* The same for the name of a host, such as one that DNS gave for another name. */
extern const char *envelopeout_host(const char *bytes, size_t length);

/* Whether a byte below 32, or 127, is among these, which makes them invalid in any line of SMTP. */
extern int envelopeout_control(const char *bytes, size_t length);

#endif
