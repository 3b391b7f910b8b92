/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The functions of the TNEF decoder that ripmime calls; the decoder is left out: a winmail.dat stays one attachment
 * of that name.
 */
#ifndef NOTNEF_H
#define NOTNEF_H

int TNEF_init(void);
int TNEF_main(char *filename);
int TNEF_set_path(char *path);
int TNEF_set_debug(int level);
int TNEF_set_decode(int level);
int TNEF_set_verbosity(int level);
int TNEF_set_verbosity_contenttype(int level);
int TNEF_set_filename_report_fn(int (*report)(char *, char *));

#endif
