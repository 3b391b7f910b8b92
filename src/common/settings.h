/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Settings that are not in the environment, from a file: one NAME=VALUE a line; empty lines and those that begin
 * with # are comments. A change takes effect for the next client, without a restart. A line that does not end within
 * SETTINGS_FILE_MAX bytes is ignored.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#ifndef SETTINGS_FILE
#define SETTINGS_FILE "/etc/mailgate/cqgreylist"
#endif
#define SETTINGS_FILE_MAX 8192

/* Puts the settings whose name begins with the prefix into the environment, unless set there. The file may be
 * missing. */
extern void settings_load(const char *program, const char *file, const char *prefix);

#endif
