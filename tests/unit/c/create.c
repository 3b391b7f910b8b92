/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * create PATH: 0 when scanfile_create() makes it, else the errno.
 */
#include <errno.h>
#include "scanfile.h"

int main(int argc, char **argv)
{
  if (argc != 2) return 2;
  return scanfile_create(argv[1]) == -1 ? errno : 0;
}
