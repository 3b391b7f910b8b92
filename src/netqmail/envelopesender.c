/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "envelopesender.h"

int envelopesender(const char *address, char *safe, size_t size)
{
  size_t i;
  size_t length;

  safe[0] = 0;
  length = strlen(address);
  if (length == 0 || length >= size) return 0;
  for (i = 0; i < length; ++i)
    safe[i] = address[i] <= 32 || address[i] > 126 || strchr("<>()\"\\", address[i]) ? '?' : address[i];
  safe[length] = 0;
  return 1;
}
