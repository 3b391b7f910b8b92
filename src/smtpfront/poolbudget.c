/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "poolbudget.h"

int poolbudget_take(struct poolbudget *budget, uint64_t network, long now_ms)
{
  uint16_t *its = &budget->network[network % POOLBUDGET_NETWORKS];

  if (now_ms >= budget->until_ms) {
    memset(budget, 0, sizeof *budget);
    budget->until_ms = now_ms + POOLBUDGET_HOUR_MS;
  }
  if (budget->all >= POOLBUDGET_ALL || *its >= POOLBUDGET_NETWORK)
    return 0;
  ++budget->all;
  ++*its;
  return 1;
}
