/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The clock of deadlines: it is not affected when the time of day is set.
 */
#ifndef CLOCK_H
#define CLOCK_H

/* Returns the milliseconds of the monotonic clock. */
extern long long clock_ms(void);

#endif
