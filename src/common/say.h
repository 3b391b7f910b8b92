/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines of the log (descriptor 2), and settings of the environment. All output is printable ASCII;
 * a line goes out in a single write(2) and is shorter than PIPE_BUF, and no value in it can end the line. One for which
 * the log has no room is lost.
 */
#ifndef SAY_H
#define SAY_H

#include <stddef.h>

#define SAY_MAX 600   /* bytes of a line, its newline included */

/* Writes "PROGRAM[PID]: " and the text. */
extern void say(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies at most size - 1 bytes of the text, with a ? for each byte that is not printable ASCII. Returns the length. */
extern size_t say_printable(char *out, size_t size, const char *text);

/* Returns the number in that variable, or the default when it is unset or, with a log line, not from least to most. */
extern long say_number(const char *program, const char *variable, long least, long most, long other);

#endif
