/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a resolver of policies answers, and a host is named: an answer is known only when its last byte, the comma, is
 * there; it stays known whatever was in the place behind it; a policy that is enforced has patterns that lie in the answer; a host
 * that is listed has a letter, a digit or another byte that is not a dot.
 */
#include "fuzz.h"
#include "mtasts.h"

const char *const fuzz_words[] = {
  "9:NOTFOUND ,", "NOTFOUND", "OK secure match=", "OK secure", " servername=hostname", "match=", ":", ",", ".", " ", "19:", "50:", "mx.a.test",
  ".a.test", "TEMP ", 0,
};

static struct mtasts policy;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  size_t split = size ? data[0] % size : 0;
  char question[MTASTS_QUESTION_MAX];
  char host[256];
  enum mtasts_state state = MTASTS_MORE;
  size_t length;
  size_t i;

  HOLD(mtasts_question(question, (const char *) data, split) <= sizeof question);
  length = split < sizeof host - 1 ? split : sizeof host - 1;
  if (length)
    memcpy(host, data, length);
  host[length] = 0;
  policy.length = 0;
  for (i = split; i < size && policy.length < sizeof policy.answer && state == MTASTS_MORE; ++i) {
    policy.answer[policy.length++] = (char) data[i];
    state = mtasts_read(&policy);
  }
  if (state == MTASTS_NONE || state == MTASTS_ENFORCED)
    HOLD(policy.answer[policy.length - 1] == ',');
  if (state == MTASTS_ENFORCED) {
    HOLD(policy.patterns > policy.answer && policy.patterns_length > 0);
    HOLD(policy.patterns + policy.patterns_length < policy.answer + policy.length);
    if (mtasts_lists(&policy, host))
      HOLD(host[strspn(host, ".")] != 0);
  }
  return 0;
}
