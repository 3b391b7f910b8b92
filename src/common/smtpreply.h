/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The replies of an SMTP session, each in one place, as qmail-smtpd and smtpfront send the same texts.
 * SMTPREPLY_GREETING_* are the texts before and behind control/smtpgreeting.
 */
#ifndef SMTPREPLY_H
#define SMTPREPLY_H

#define SMTPREPLY_BANNER "220 "
#define SMTPREPLY_BANNER_END " ESMTP\r\n"
#define SMTPREPLY_QUIT "221 "
#define SMTPREPLY_QUIT_END "\r\n"
#define SMTPREPLY_HELO "250 "
#define SMTPREPLY_HELO_END "\r\n"
#define SMTPREPLY_EHLO "250-"
#define SMTPREPLY_EHLO_END "\r\n250-PIPELINING\r\n250 8BITMIME\r\n"

#define SMTPREPLY_OK "250 ok\r\n"
#define SMTPREPLY_FLUSHED "250 flushed\r\n"
#define SMTPREPLY_VRFY "252 send some mail, i'll try my best\r\n"
#define SMTPREPLY_HELP "214 netqmail home page: http://qmail.org/netqmail\r\n"

#define SMTPREPLY_NOMEM "421 out of memory (#4.3.0)\r\n"
#define SMTPREPLY_CONTROL "421 unable to read controls (#4.3.0)\r\n"
#define SMTPREPLY_IPME "421 unable to figure out my IP addresses (#4.3.0)\r\n"
#define SMTPREPLY_MISSES "421 too many invalid addresses, goodbye (#4.3.0)\r\n"
#define SMTPREPLY_EXCESS "421 too many commands or refusals, goodbye (#4.7.0)\r\n"
#define SMTPREPLY_BUSY "421 too many sessions, please come back later (#4.3.2)\r\n"
#define SMTPREPLY_SHUTDOWN "421 the service is being restarted (#4.3.2)\r\n"

#define SMTPREPLY_TIMEOUT "451 timeout (#4.4.2)\r\n"
#define SMTPREPLY_BARE_LF "451 See http://pobox.com/~djb/docs/smtplf.html.\r\n"
#define SMTPREPLY_UNCERTAIN "451 unable to check recipient (#4.3.0)\r\n"
#define SMTPREPLY_NO_PLACE "451 no session is free, please come back later (#4.3.2)\r\n"
#define SMTPREPLY_QQT "451 qqt failure (#4.3.0)\r\n"
#define SMTPREPLY_TOO_MANY "452 too many recipients (#4.5.3)\r\n"

#define SMTPREPLY_UNIMPLEMENTED "502 unimplemented (#5.5.1)\r\n"
#define SMTPREPLY_WANT_MAIL "503 MAIL first (#5.5.1)\r\n"
#define SMTPREPLY_WANT_RCPT "503 RCPT first (#5.5.1)\r\n"
#define SMTPREPLY_SIZE "552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n"
#define SMTPREPLY_ADDRESS "553 sorry, that is no address that mail can be sent to (#5.1.3)\r\n"
#define SMTPREPLY_BADMAILFROM "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)\r\n"
#define SMTPREPLY_RCPTHOSTS "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\r\n"
#define SMTPREPLY_VALIDRCPTTO "553 sorry, this recipient is not in my validrcptto list (#5.7.1)\r\n"
#define SMTPREPLY_HOPS "554 too many hops, this message is looping (#5.4.6)\r\n"
#define SMTPREPLY_SYNTAX "555 syntax error (#5.5.4)\r\n"

#endif
