/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The names of a control file such as rcpthosts or badmailfrom, as qmail's control_readfile() and constmap() have them:
 * one a line, without blanks and tabs at its end; empty lines and those that begin with # are ignored; letters of both
 * cases are the same. No side effects.
 */
#ifndef NAMESET_H
#define NAMESET_H

#include <stddef.h>

struct nameset {
  char *text;            /* the names, each ended by a NUL */
  const char **name;     /* sorted */
  size_t names;
};

/* Reads the text of a file. Returns 0 without memory. */
extern int nameset_read(struct nameset *set, const char *text, size_t len);
extern int nameset_holds(const struct nameset *set, const char *name, size_t len);
extern void nameset_free(struct nameset *set);

#endif
