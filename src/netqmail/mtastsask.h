/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Asks a resolver of policies of MTA-STS at its unix socket. Valid as gnu89 and as C99.
 */
#ifndef MTASTSASK_H
#define MTASTSASK_H

#include <stddef.h>
#include "mtasts.h"

#define MTASTSASK_MS 20000 /* for all of it; the resolver itself has 4 s for the DNS and 4 s for the policy */

/*
 * Finds the policy of a domain within so many milliseconds. Returns MTASTS_NONE, MTASTS_ENFORCED, or MTASTS_UNKNOWN: then
 * *why is the reason, in words of our own.
 */
extern enum mtasts_state mtastsask(struct mtasts *policy, const char *path, const char *domain, size_t length, int milliseconds, const char **why);

#endif
