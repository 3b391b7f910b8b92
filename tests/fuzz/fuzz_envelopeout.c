/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An address that may be sent has no control byte; behind its last @ stands nothing that ends brackets or a word.
 */
#include "envelopeout.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "ann", "@", "mx.example", "[", "]", "@[]", "[192.0.2.1]", ">", "> SIZE=1", "\r", "\n", "\r\nRCPT TO:<", "\x7f", " ", ".",
  "_", "-", "\\", "\"", "\xc3\xa9", 0,
};

static void holds(const char *address, int sender)
{
  const char *host = strrchr(address, '@');
  size_t i;

  for (i = 0; address[i]; ++i)
    HOLD((unsigned char) address[i] >= 32 && address[i] != 127);
  HOLD(!envelopeout_control(address, i));
  if (!host) {
    HOLD(!strpbrk(address, " <>"));
    return;
  }
  HOLD(host[1]);
  HOLD(host[strspn(host, "@abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]")] == 0);
  if (!sender)
    HOLD(strcmp(host, "@[]") != 0 && !envelopeout_host(host + 1, strlen(host + 1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *address = fuzz_text(data, size);
  int sender = !envelopeout_sender(address);
  int recipient = !envelopeout_recipient(address);

  HOLD(sender || !recipient);
  if (sender)
    holds(address, 1);
  if (recipient)
    holds(address, 0);
  free(address);
  return 0;
}
