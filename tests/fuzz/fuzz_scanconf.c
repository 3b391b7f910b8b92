/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Settings that are taken are within their bounds, whatever the file holds.
 */
#include "fuzz.h"
#include "scanconf.h"

const char *const fuzz_words[] = {
  "deadline_seconds 5\n", "spam_failure deliver\n", "spam_limit_bytes 100\n", "reject_score 10\n", "clamd_socket /a\n",
  "spamd_socket /b\n", "deadline_seconds ", "work_share_percent 25\n", "reject_score ", "999999999999", "-1", ".5", "#", "\n", " ", ".exe\n", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct scanconf conf;
  char why[64];
  char *text = fuzz_bytes(size);
  int i;

  if (size) memcpy(text, data, size);
  memset(&conf, 0, sizeof conf);
  if (scanconf_settings(&conf, text, size, why, sizeof why) == 0) {
    HOLD(conf.deadline_seconds >= 1 && conf.deadline_seconds <= SCANCONF_DEADLINE);
    HOLD(conf.work_share_percent >= 1 && conf.work_share_percent <= 100);
    HOLD(conf.spam_limit_bytes >= 1 && conf.reject_score > 0 && conf.reject_score < 1e300);
    HOLD(conf.clamd_socket[0] == '/' && conf.spamd_socket[0] == '/');
    HOLD(conf.deliver_unchecked == 0 || conf.deliver_unchecked == 1);
  } else HOLD(strlen(why) > 0 && strlen(why) < sizeof why);
  if (scanconf_suffixes(&conf, text, size, why, sizeof why) == 0) {
    HOLD(conf.suffix_count >= 0 && conf.suffix_count <= SCANCONF_SUFFIXES);
    for (i = 0; i < conf.suffix_count; ++i)
      HOLD(conf.suffixes[i][0] && strlen(conf.suffixes[i]) < SCANCONF_SUFFIX && !strpbrk(conf.suffixes[i], " :/\n"));
  }
  free(text);
  return 0;
}
