/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Confines a program that takes apart mail of strangers: it reads itself and its libraries, writes to one directory,
 * has no access to networks and other processes, and ends in time. That needs no privilege: Landlock and seccomp,
 * where the kernel has them, and resource limits.
 */
#ifndef SCANJAIL_H
#define SCANJAIL_H

#include <stddef.h>

struct scanjail {
  const char *program;       /* what is executed: an ELF file can start nothing else, a script can */
  const char *directory;     /* the one where it may create, write and remove */
  int seconds;               /* of processor time */
  long long file_bytes;      /* the largest file */
};

/*
 * Confines this process, and what it executes; it must have PR_SET_NO_NEW_PRIVS. Returns 0, or -1 with errno.
 * Features that the kernel does not have are left out.
 */
int scanjail_enter(const struct scanjail *jail);

/* Writes a line for a person: what this kernel confines with, or lacks. Returns text. */
const char *scanjail_words(char *text, size_t size);

#endif
