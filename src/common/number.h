/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Numbers in settings. No side effects.
 */
#ifndef NUMBER_H
#define NUMBER_H

/* Parses a whole number of decimal digits only (no sign, no blank, nothing behind it) from least to most, neither of
 * which is below 0. Returns 1, or 0 and leaves the number unchanged. */
extern int number_parse(long long *number, const char *text, long long least, long long most);

#endif
