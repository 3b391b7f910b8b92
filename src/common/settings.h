/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the environment does not say, from a file: one NAME=VALUE a line; empty lines and those that begin with # are
 * comments. A change counts for the next client, and no service is restarted for it. A line that does not end within
 * SETTINGS_FILE_MAX bytes is not taken.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#ifndef SETTINGS_FILE
#define SETTINGS_FILE "/etc/mailgate/cqgreylist"
#endif
#define SETTINGS_FILE_MAX 8192

/* Puts those whose name begins with the prefix into the environment, unless they are there. No file is no trouble. */
extern void settings_load(const char *program, const char *file, const char *prefix);

#endif
