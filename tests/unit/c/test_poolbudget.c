/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "poolbudget.h"

static struct poolbudget budget;

TEST(a_network_has_its_budget_and_all_have_one)
{
  unsigned taken = 0;
  uint64_t network;
  unsigned i;

  for (i = 0; i < 1000; ++i)
    taken += (unsigned) poolbudget_take(&budget, UINT64_MAX, 5);
  CHECK(taken == POOLBUDGET_NETWORK);
  for (network = 0; network < 3000; ++network)
    for (i = 0; i < 20; ++i)
      taken += (unsigned) poolbudget_take(&budget, network, 10);
  CHECK(taken == POOLBUDGET_ALL);
  CHECK(!poolbudget_take(&budget, 4000, 5 + POOLBUDGET_HOUR_MS - 1));
  CHECK(poolbudget_take(&budget, UINT64_MAX, 5 + POOLBUDGET_HOUR_MS));   /* the next hour */
}

static const struct test tests[] = {
  {"a_network_has_its_budget_and_all_have_one", a_network_has_its_budget_and_all_have_one},
};

MAIN(tests)
