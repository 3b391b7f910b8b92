/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever the file of the domains' rules holds: a file that is used has its end, what is taken from it is within its
 * bounds, and one that is not leaves every question open.
 */
#include "fuzz.h"
#include "domainrules.h"

const char *const fuzz_words[] = {
  "rule\n", "reject 8\n", "mark 4.5\n", "subject_tag [S]\n", "no_subject_tag\n", "suffix .exe\n", "no_suffix\n", "no_greylist\n",
  "domain one.example\n", "domain ", "end\n", "end", "\n", "#", " ", ".", "999.9", "subject_tag ", "suffix ", "\r\n", 0,
};

static const char *const recipients[] = {"a@one.example", "a@ONE.example.", "a@e", "a", "", "a@", "a@8"};

static void hold_rule(const struct domainrule *rule)
{
  size_t i;
  int n;

  HOLD(rule->reject >= 0 && rule->reject < 1000 && rule->mark >= 0 && rule->mark < 1000);
  HOLD(strlen(rule->tag) <= DOMAINRULES_TAG && (rule->tags || !rule->tag[0]));
  for (i = 0; rule->tag[i]; ++i)
    HOLD(rule->tag[i] >= ' ' && rule->tag[i] <= '~');
  HOLD(rule->suffix_count >= 0 && rule->suffix_count <= DOMAINRULES_SUFFIXES && (rule->suffixes || !rule->suffix_count));
  for (n = 0; n < rule->suffix_count; ++n)
    HOLD(domainrules_suffix(rule->suffix[n], strlen(rule->suffix[n])) && !strpbrk(rule->suffix[n], " :/\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct domainrules rules;
  static struct domainrule rule;
  char *text = fuzz_bytes(size);
  size_t i;
  int number;

  if (size)
    memcpy(text, data, size);
  domainrules_take(&rules, text, size);   /* which frees it */
  HOLD((rules.state == 1) == !rules.wrong && (rules.state == 1 || rules.state == -1));
  if (rules.state == 1)
    HOLD((size >= 3 && memcmp(data + size - 3, "end", 3) == 0) || (size >= 4 && memcmp(data + size - 4, "end\n", 4) == 0));
  for (i = 0; i < sizeof recipients / sizeof *recipients; ++i) {
    number = domainrules_number(&rules, recipients[i]);
    HOLD(number >= -1 && (rules.state == 1 || number == -1));
    HOLD(domainrules_together(&rules, number, number, 0) == (number != -1));
    HOLD(!domainrules_no_greylist(&rules, recipients[i]) || number > 0);
    if (number == -1)
      continue;
    domainrules_rule(&rules, number, &rule);
    hold_rule(&rule);
    HOLD(number || (!rule.reject && !rule.mark && !rule.tags && !rule.suffixes && !rule.no_greylist));
  }
  domainrules_free(&rules);
  return 0;
}
