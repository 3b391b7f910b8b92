/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plain text on one side, TLS with the client on the other.
 */
#ifndef RELAY_H
#define RELAY_H

#include <openssl/ssl.h>
#include "tlslink.h"

#define RELAY_GIVE_UP_MS 300000   /* a client that takes nothing for that long */
#define RELAY_LINGER_MS 10000     /* it has so long to take what is left when the program has ended */

/* Makes the handshake on a socket that does not block. Returns 1 and "VERSION CIPHER NAME", or 0 and the reason. It
 * gives up after that time, and when the program at the other end of control hangs up. */
extern int relay_handshake(SSL *session, int control, long milliseconds, char terms[TLSLINK_PACKET_MAX]);

/* Carries bytes between the session and the plain end until both are over. The plain end must not block. */
extern void relay(SSL *session, int plain);

/* Lets relay_handshake() know which name the client asks for. */
extern void relay_use(SSL_CTX *context);

#endif
