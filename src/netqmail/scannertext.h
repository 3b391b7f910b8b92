/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The text that a scanner, run in place of qmail-queue, writes to descriptor 4 before it exits: with status 82 why it
 * refuses, with status 0 the process number of the qmail-queue that it ran, "Kqp 4713".
 */
#ifndef SCANNERTEXT_H
#define SCANNERTEXT_H

#include <stddef.h>
#include <sys/types.h>

#define SCANNERTEXT_EXIT 82
#define SCANNERTEXT_MAX 400 /* an SMTP reply line has 512 bytes at most (RFC 5321, 4.5.3.1.5) */

/*
 * write(2) to the pipe from which the process reads, of PIPE_BUF bytes at most. While that pipe is full, what the
 * process says on fd is read: it may talk before it listens. The first size - 1 bytes of that are kept in text,
 * which has *length bytes already; the rest is forgotten.
 */
int scannertext_write(int to, const char *s, int len, int fd, char *text, size_t size, size_t *length);

/*
 * Reads the output of the process on fd until it has ended, then the rest, and keeps the first size - 1
 * bytes, of which length are in text already; the rest is discarded, so that the process does not block on a full
 * pipe. A grandchild that holds the pipe open is not waited for. Closes fd, stores the wait status, ends text with
 * NUL. Returns the number of bytes kept, or -1 when the process cannot be waited for.
 */
int scannertext_collect(int fd, pid_t pid, int *wstat, char *text, size_t size, size_t length);

/*
 * Makes a qmail result of the text, in place: "D..." or "Z...", one line, printable ASCII only, at most
 * SCANNERTEXT_MAX bytes. Text that begins with neither letter, or is empty, becomes the plain refusal.
 * text holds size bytes, at least 64.
 */
void scannertext_reply(char *text, size_t size);

/* The process number that the text names, and nothing else; otherwise the other one. */
unsigned long scannertext_queued(const char *text, unsigned long otherwise);

#endif
