/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A new name in a directory survives a crash only after the directory itself was written out.
 */
#ifndef SYNCDIR_H
#define SYNCDIR_H

/*
 * Writes out the directory that holds the file of this path, relative or absolute, shorter than 256 bytes.
 * Returns 0, or -1 with errno set; after -1 the file must not be reported as safe.
 */
int syncdir(const char *path);

#endif
