/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Each number has one id, and what is taken for an id is one word of ten digits and letters, with a number or without.
 */
#include "fuzz.h"
#include "sessionid.h"

const char *const fuzz_words[] = {
  "6kz3rt9qm4", "0000000000.1", "7zzzzzzzzz.999999999", ".", "0", "\n", " qp 4713", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *text = fuzz_text(data, size);
  char *id = fuzz_bytes(SESSIONID_CHARACTERS + 1);
  char *mail = fuzz_bytes(SESSIONID_MESSAGE_MAX);
  uint64_t number = 0;
  size_t session;

  memcpy(&number, data, size < sizeof number ? size : sizeof number);
  sessionid_text(id, number);
  HOLD(strlen(id) == SESSIONID_CHARACTERS);
  HOLD(sessionid_is_session(id) == (id[0] <= '7'));
  number &= ((uint64_t) 1 << SESSIONID_BITS) - 1;
  sessionid_text(id, number);
  HOLD(sessionid_is_session(id));
  sessionid_message(mail, id, 1 + number % 999999999);
  HOLD(sessionid_is_message(mail) && !sessionid_is_session(mail));
  if (sessionid_is_session(text) || sessionid_is_message(text)) {
    session = strspn(text, "0123456789abcdefghjkmnpqrstvwxyz");
    HOLD(session == SESSIONID_CHARACTERS && text[0] >= '0' && text[0] <= '7');
    HOLD(strlen(text) < SESSIONID_MESSAGE_MAX);
    HOLD(!text[session] || (text[session] == '.' && strspn(text + session + 1, "0123456789") == strlen(text + session + 1)));
  }
  free(mail);
  free(id);
  free(text);
  return 0;
}
