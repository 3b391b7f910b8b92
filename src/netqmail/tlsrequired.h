/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whose mail qmail-smtpd takes over TLS only: control/requiretls (requiretls.h), which is read at the first recipient.
 * Valid as gnu89 and as C99.
 */
#ifndef TLSREQUIRED_H
#define TLSREQUIRED_H

/* The reply to a recipient that could be accepted, when it is put off; else null. ip: the client's. */
extern char *tlsrequired(const char *recipient, const char *sender, const char *ip);

#endif
