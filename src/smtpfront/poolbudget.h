/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How many new attempts of pools may be remembered: so many an hour in all, and of one network, so that nobody fills
 * the directory with made-up senders. Beyond that an attempt is not remembered. No side effects.
 */
#ifndef POOLBUDGET_H
#define POOLBUDGET_H

#include <stdint.h>

#define POOLBUDGET_HOUR_MS 3600000L
#define POOLBUDGET_ALL 20000u      /* an hour: in the two days that one is remembered, less than a million files */
#define POOLBUDGET_NETWORK 200u
#define POOLBUDGET_NETWORKS 4096u  /* counters; networks that share one share its budget */

struct poolbudget {
  long until_ms;
  unsigned all;
  uint16_t network[POOLBUDGET_NETWORKS];
};

/* network: a number of it that it cannot choose (places_key()). Returns 0 when the budget is spent. */
extern int poolbudget_take(struct poolbudget *budget, uint64_t network, long now_ms);

#endif
