/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever control/tlspolicies and a recipient's domain are: a policy that is found has names of host names' characters
 * and a path that begins with '/', both only where a certificate is looked at; a file whose last line is cut has none; and the
 * line of a fault is one of the file, or that behind it.
 */
#include "fuzz.h"
#include "tlspolicy.h"

const char *const fuzz_words[] = {
  ":may\n", "a.test:verify", "a.test", ".test:", "secure", "encrypt", "none", "dane", ":", ",", ".", "\n", "#", "/ca.pem", "[192.0.2.1]", " ",
  "mx.a.test,", "250-STARTTLS\n", 0,
};

static struct tlspolicy found;

static void holds(void)
{
  size_t i;

  HOLD(found.level <= TLSPOLICY_DANE && found.names <= TLSPOLICY_NAMES_MAX);
  HOLD(found.level == TLSPOLICY_VERIFY || found.level == TLSPOLICY_SECURE || (!found.names && !found.cafile[0]));
  HOLD(!found.cafile[0] || found.cafile[0] == '/');
  HOLD(strlen(found.cafile) <= TLSPOLICY_PATH_MAX && !strpbrk(found.cafile, ": \n\t"));
  for (i = 0; i < found.names; ++i) {
    HOLD(found.name[i][0] && strlen(found.name[i]) <= TLSPOLICY_NAME_MAX);
    HOLD(found.name[i][strspn(found.name[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  size_t split = size ? data[0] % size : 0;
  char *domain = fuzz_bytes(split);
  char *file = fuzz_bytes(size - split);
  size_t length = size - split;
  size_t lines = 0;
  size_t line;
  size_t i;

  if (size) {
    memcpy(domain, data, split);
    memcpy(file, data + split, length);
  }
  for (i = 0; i < length; ++i)
    lines += file[i] == '\n';
  line = tlspolicy_find(&found, file, length, domain, split);
  HOLD(line <= lines + 1);
  if (!line) {
    holds();
    HOLD(file[length - 1] == '\n');
    HOLD(file[length - 2] == '\n' || tlspolicy_find(&found, file, length - 1, domain, split) != 0);
  }
  if (tlspolicy_offered(file, length))
    HOLD(length >= 13);
  free(domain);
  free(file);
  return 0;
}
