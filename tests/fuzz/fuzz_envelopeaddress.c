/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An address that passes, written as qmail-remote writes it (its local part quoted, the rest as it is), is one path of
 * one SMTP command: nothing in it ends the line or the brackets.
 */
#include "envelopeaddress.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "ann@sender.example", "@", ".", "[", "]", "IPv6:2001:db8::1", "> BODY=8BITMIME", "\r", "\n", "\"", "\\", "_", "-", "a", "\x7f", "\x80", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *address = fuzz_text(data, size);
  enum envelopeaddress_fault fault;
  size_t at = size; /* of the last @ */
  size_t i;

  fault = envelopeaddress_check(address, size);
  for (i = 0; i < size; ++i) {
    if (data[i] < 32 || data[i] == 127)
      HOLD(fault == ENVELOPEADDRESS_CONTROL);
    if (data[i] == '@')
      at = i;
  }
  if (size > ENVELOPEADDRESS_MAX)
    HOLD(fault != ENVELOPEADDRESS_OK);
  if (fault == ENVELOPEADDRESS_OK) {
    HOLD(size - at <= ENVELOPEADDRESS_DOMAIN_MAX + 1);
    for (i = at == size ? 0 : at; i < size; ++i)
      HOLD(!strchr(at == size ? " <>" : " <>\"(),;\\", data[i]) && (at == size || data[i] < 128));
    if (at < size)
      HOLD(size - at > 1 && data[at + 1] != '.');
  }
  if (size == 0)
    HOLD(fault == ENVELOPEADDRESS_OK);
  HOLD(envelopeaddress_word(fault)[0] != 0);
  free(address);
  return 0;
}
