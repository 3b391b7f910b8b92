/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "frontlink.h"

void frontlink_number_write(char *out, uint64_t number)
{
  int i;

  for (i = 0; i < FRONTLINK_HEADER; ++i)
    out[i] = (char) (unsigned char) (number >> 8 * i & 255);
}

uint64_t frontlink_number_read(const char *in)
{
  uint64_t number = 0;
  int i;

  for (i = 0; i < FRONTLINK_HEADER; ++i)
    number |= (uint64_t) (unsigned char) in[i] << 8 * i;
  return number;
}
