/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "domainrules.h"
#include "recipientrule.h"
#include "refusal.h"
#include "replay.h"

#define RULES "control/domainrules"

enum recipientrule_answer recipientrule(const char *list, size_t length, const char *recipient, int relay,
                                        const char *sender, const char *ip)
{
  static struct domainrules rules;
  static int said;
  int its;

  if (!length) {
    domainrules_read(&rules, RULES);
    said = 0;
  }
  its = domainrules_number(&rules, recipient);
  if (its == DOMAINRULES_UNSURE) {
    refusal_trouble("domainrules", "unreadable, or with a line that is wrong");
    return RECIPIENTRULE_UNSURE;
  }
  if (replay_greylisted() && !domainrules_no_greylist(&rules, recipient)) {
    if (!said)
      refusal_command("rcpt", "greylisted", recipient, sender, ip);
    said = 1;
    return RECIPIENTRULE_LATER;
  }
  if (!length || domainrules_together(&rules, domainrules_number(&rules, list + 1), its, relay))
    return RECIPIENTRULE_TOGETHER;
  if (!said)
    refusal_command("rcpt", "other-rule", recipient, sender, ip);
  said = 1;
  return RECIPIENTRULE_OTHER;
}
