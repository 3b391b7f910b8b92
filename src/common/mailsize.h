/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The size of a message as its client declares it at MAIL (RFC 1870), and the limit of it: control/databytes, or
 * DATABYTES in the environment. Pure; valid as gnu89 and as C99.
 */
#ifndef MAILSIZE_H
#define MAILSIZE_H

/* A declared size counts CR LF at each end of a line, the limit LF alone: a message whose lines have this many bytes on
 * average is not refused at MAIL while it fits. Lines of base64 have 77, of plain text about 40. */
#define MAILSIZE_LINE_ENDS 8

/* Whether a SIZE among the parameters behind the address of MAIL's argument is of a message above the limit; 0 means no
 * limit. What is not a number does not count. */
extern int mailsize_exceeds(const char *arg, unsigned long limit);

/* The limit that qmail-smtpd makes of the first line of control/databytes and of DATABYTES, either of them null where it
 * does not exist: the digits that they begin with. */
extern unsigned mailsize_limit(const char *control, const char *variable);

#define MAILSIZE_EHLO_MAX 100

/* Writes the rest of the reply to EHLO, which begins with SMTPREPLY_EHLO and the greeting, into
 * out[MAILSIZE_EHLO_MAX]; returns out. */
extern const char *mailsize_ehlo(char *out, unsigned limit);

#endif
