/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "nameset.h"

static struct nameset set;

static int holds(const char *name)
{
  return nameset_holds(&set, name, strlen(name));
}

TEST(lines_as_qmail_reads_them)
{
  static const char text[] = "b.example\n# c.example\n\nA.Example \t\n#\n .d\n@bad.example\ne.example";

  CHECK(nameset_read(&set, text, sizeof text - 1));
  CHECK(set.names == 5);
  CHECK(holds("a.example") && holds("A.EXAMPLE") && holds("b.example") && holds("e.example") && holds(" .d"));
  CHECK(holds("@bad.example"));
  CHECK(!holds("c.example") && !holds("# c.example") && !holds("") && !holds("a.exampl") && !holds("a.example.") && !holds("a"));
  CHECK(nameset_holds(&set, "b.example.more", 9));
  nameset_free(&set);
  CHECK(!holds("a.example"));
}

TEST(an_empty_file_has_no_names)
{
  CHECK(nameset_read(&set, "", 0) && set.names == 0 && !holds("") && !holds("x"));
  nameset_free(&set);
  CHECK(nameset_read(&set, "\n\n \n", 4) && set.names == 0);
  nameset_free(&set);
}

TEST(many_names)
{
  static char text[200000];
  char name[40];
  size_t len = 0;
  int i;

  for (i = 0; i < 5000; ++i)
    len += (size_t) sprintf(text + len, "host-%d.example\n", i * 7919 % 5000);
  CHECK(nameset_read(&set, text, len) && set.names == 5000);
  for (i = 0; i < 5000; ++i) {
    sprintf(name, "HOST-%d.example", i);
    CHECK(holds(name));
    sprintf(name, "host-%d.exampl", i);
    CHECK(!holds(name));
  }
  nameset_free(&set);
}

static const struct test tests[] = {
  {"lines_as_qmail_reads_them", lines_as_qmail_reads_them},
  {"an_empty_file_has_no_names", an_empty_file_has_no_names},
  {"many_names", many_names},
};
MAIN(tests)
