/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "recipientlist.h"

static const char list[] = "Tjoe@a.test\0TJane@B.Test\0Tpostmaster\0T\"x@y\"@c.test\0T\0T@d.test";

static int holds(const char *address)
{
  char *exact = malloc(sizeof list);
  int r;

  CHECK(exact != NULL);
  memcpy(exact, list, sizeof list);
  r = recipientlist_holds(exact, sizeof list, address);
  free(exact);
  return r;
}

TEST(the_domain_is_compared_without_case_and_the_local_part_exactly)
{
  static const char *const in[] = {
    "joe@a.test", "joe@A.TEST", "Jane@b.test", "Jane@B.TEST", "postmaster", "\"x@y\"@C.test", "", "@d.test", "@D.test",
  };
  static const char *const out[] = {
    "Joe@a.test", "jane@b.test", "Postmaster", "\"x@Y\"@c.test", "joe@a.tes", "joe@a.testt", "oe@a.test", "Tjoe@a.test", "joe", "x", "@",
    "joe@a\rtest", "joe@a[test", "joe`a.test",
  };
  size_t i;

  for (i = 0; i < sizeof in / sizeof *in; ++i) {
    check_where = in[i];
    CHECK(holds(in[i]));
  }
  for (i = 0; i < sizeof out / sizeof *out; ++i) {
    check_where = out[i];
    CHECK(!holds(out[i]));
  }
}

TEST(an_empty_list_holds_nothing)
{
  CHECK(!recipientlist_holds("", 0, "joe@a.test"));
  CHECK(!recipientlist_holds("", 0, ""));
  CHECK(!recipientlist_holds("Tjoe@a.test", 11, "joe@a.test"));   /* not ended */
}

static const struct test tests[] = {
  { "the_domain_is_compared_without_case_and_the_local_part_exactly", the_domain_is_compared_without_case_and_the_local_part_exactly },
  { "an_empty_list_holds_nothing", an_empty_list_holds_nothing },
};
MAIN(tests)
