/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "requiretls.h"
#include "starttls.h"
#include "tlsrequired.h"

char *tlsrequired(const char *recipient, const char *sender, const char *ip)
{
  static struct requiretls file;
  static int read;
  struct address client;
  enum requiretls_answer answer;

  if (starttls_active())
    return 0;
  if (!read)
    requiretls_read(&file, "control/requiretls");
  read = 1;
  answer = requiretls_judge(&file, address_parse(&client, ip) ? &client : 0, sender, recipient);
  return (char *) requiretls_refuse(answer, recipient, sender, ip);
}
