/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The replies of an SMTP session, each in one place, as qmail-smtpd and smtpfront send the same texts. Refusals carry a
 * status code of RFC 3463. SMTPREPLY_X and SMTPREPLY_X_END are the texts before and behind control/smtpgreeting.
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
#define SMTPREPLY_EHLO_STARTTLS "\r\n250-STARTTLS"   /* before SIZE, where TLS is offered */
#define SMTPREPLY_EHLO_SIZE "\r\n250-PIPELINING\r\n250-SIZE "   /* and the limit, 0 for none */
#define SMTPREPLY_EHLO_END "\r\n250 8BITMIME\r\n"

#define SMTPREPLY_OK "250 ok\r\n"
#define SMTPREPLY_FLUSHED "250 flushed\r\n"
#define SMTPREPLY_VRFY "252 send some mail, i'll try my best\r\n"
#define SMTPREPLY_HELP "214 netqmail home page: http://qmail.org/netqmail\r\n"

#define SMTPREPLY_TLS_READY "220 2.0.0 ready to start TLS\r\n"
#define SMTPREPLY_TLS_FOLLOWED "421 4.7.0 nothing may follow STARTTLS before its reply, goodbye\r\n"
#define SMTPREPLY_NO_TLS "454 4.7.0 TLS is not available now\r\n"
#define SMTPREPLY_TLS_PARAMETER "501 5.5.4 STARTTLS takes no parameter\r\n"
#define SMTPREPLY_TLS_AGAIN "503 5.5.1 this session has TLS already\r\n"
#define SMTPREPLY_TLS_MAIL "503 5.5.1 no STARTTLS inside a transaction\r\n"

#define SMTPREPLY_NOMEM "421 4.3.0 out of memory\r\n"
#define SMTPREPLY_CONTROL "421 4.3.0 unable to read controls\r\n"
#define SMTPREPLY_IPME "421 4.3.0 unable to figure out my IP addresses\r\n"
#define SMTPREPLY_BUSY "421 4.3.2 too many sessions, please come back later\r\n"
#define SMTPREPLY_DRAINED "421 4.3.2 this gateway takes no sessions now, please come back later or use another one\r\n"
#define SMTPREPLY_SHUTDOWN "421 4.3.2 the service is being restarted\r\n"
#define SMTPREPLY_SHARE "421 4.7.0 too many sessions of yours, please come back later\r\n"
#define SMTPREPLY_MISSES "421 4.7.0 too many invalid addresses, goodbye\r\n"
#define SMTPREPLY_EXCESS "421 4.7.0 too many commands or refusals, goodbye\r\n"

#define SMTPREPLY_UNCERTAIN "451 4.3.0 unable to check recipient\r\n"
#define SMTPREPLY_QQT "451 4.3.0 qqt failure\r\n"
#define SMTPREPLY_NO_PLACE "451 4.3.2 no session is free, please come back later\r\n"
#define SMTPREPLY_TLS_FOR_CLIENT "451 4.7.10 mail of your host is taken over TLS only, please use STARTTLS\r\n"
#define SMTPREPLY_TLS_FOR_RECIPIENT "451 4.7.10 mail to this domain is taken over TLS only, please use STARTTLS\r\n"
#define SMTPREPLY_TLS_FOR_SENDER "451 4.7.10 mail from your domain is taken over TLS only, please use STARTTLS\r\n"
#define SMTPREPLY_TIMEOUT "451 4.4.2 timeout\r\n"
#define SMTPREPLY_LATER "451 4.7.1 you are new here, please come back in a few minutes\r\n"
#define SMTPREPLY_BARE_LF "451 4.5.2 a line ends without CR: see http://pobox.com/~djb/docs/smtplf.html\r\n"
#define SMTPREPLY_OTHER_RULE "452 4.5.3 mail to this domain is judged by rules of its own, please send it by itself\r\n"
#define SMTPREPLY_TOO_MANY "452 4.5.3 too many recipients\r\n"

#define SMTPREPLY_UNIMPLEMENTED "502 5.5.1 unimplemented\r\n"
#define SMTPREPLY_WANT_MAIL "503 5.5.1 MAIL first\r\n"
#define SMTPREPLY_WANT_RCPT "503 5.5.1 RCPT first\r\n"
#define SMTPREPLY_VALIDRCPTTO "550 5.1.1 sorry, this recipient is not known here\r\n"
#define SMTPREPLY_SIZE "552 5.3.4 sorry, that message size exceeds my databytes limit\r\n"
#define SMTPREPLY_RECIPIENT "553 5.1.3 sorry, that is no address that mail can be sent to\r\n"
#define SMTPREPLY_SENDER "553 5.1.7 sorry, that is not an address that mail can come from\r\n"
#define SMTPREPLY_BADMAILFROM "553 5.7.1 sorry, your envelope sender is in my badmailfrom list\r\n"
#define SMTPREPLY_RCPTHOSTS "553 5.7.1 sorry, that domain isn't in my list of allowed rcpthosts\r\n"
#define SMTPREPLY_HOPS "554 5.4.6 too many hops, this message is looping\r\n"
#define SMTPREPLY_SYNTAX "555 5.5.4 syntax error\r\n"

#endif
