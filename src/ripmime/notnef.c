/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "notnef.h"

int TNEF_init(void) { return 0; }
int TNEF_main(char *filename) { return filename ? 0 : -1; }
int TNEF_set_path(char *path) { return path ? 0 : -1; }
int TNEF_set_debug(int level) { return level; }
int TNEF_set_decode(int level) { return level; }
int TNEF_set_verbosity(int level) { return level; }
int TNEF_set_verbosity_contenttype(int level) { return level; }
int TNEF_set_filename_report_fn(int (*report)(char *, char *)) { return report ? 0 : -1; }
