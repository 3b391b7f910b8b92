/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The public suffix list (https://publicsuffix.org/list/): below which names the public registers names, such as
 * co.uk. The organizational domain of a host is the public suffix of its name and one label more. The whole list
 * counts, the part of private registries among it: their customers are different senders. No side effects.
 */
#ifndef SUFFIXLIST_H
#define SUFFIXLIST_H

#include <stddef.h>

#define SUFFIXLIST_DIRECTORY "/usr/share/publicsuffix"   /* of the distribution */

struct suffixlist {
  char *text;               /* the rules, each ended by a NUL, in ASCII; from malloc */
  const char **rule;        /* sorted; "*.ck" and "!www.ck" as in the list */
  size_t rules;
};

/* Reads the text of the list. Returns 0 without memory, or when it has no rule. */
extern int suffixlist_read(struct suffixlist *list, const char *text, size_t len);

/* Returns the organizational domain within a name in small letters, or null when the name is a public suffix itself. An
 * unlisted last label is a public suffix, and so is, as with libpsl, a name below which all names are. */
extern const char *suffixlist_organization(const struct suffixlist *list, const char *name);

extern void suffixlist_free(struct suffixlist *list);

#endif
