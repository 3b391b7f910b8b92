/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the exit of a delivery program means for the recipient. A program that is missing, not executable, without a
 * library or replaced by another one is a fault of the gateway, and the mail stays queued: only the program's own
 * report refuses a recipient permanently.
 *
 * Pure. Valid as gnu89 and as C99.
 */
#ifndef SPAWNREPORT_H
#define SPAWNREPORT_H

#include <stddef.h>

/*
 * qmail-local's exit status: 'K' delivered (0), 'D' refused permanently (100), 'Z' deferred, for all others: the
 * shell's 126 and 127, a lost library's 127, the dynamic linker's, qmail-getpw's.
 */
extern char spawnreport_local(int exit_status);

/*
 * Whether qmail-remote has reported: it exits with 0, its report of the message begins with K, Z or D, or with a
 * recipient's r, h or s, and every word of it up to the report of the message ends with NUL. 0: deferred.
 */
extern int spawnreport_remote(int exit_status, const char *said, size_t length);

/*
 * How many bytes stand before "r", NUL, "K...", NUL: the report of the one recipient whose mail was accepted. They are
 * of a library or the dynamic linker, not of qmail-remote. 0 where there is no such report.
 */
extern size_t spawnreport_noise(const char *said, size_t length);

#endif
