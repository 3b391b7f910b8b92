/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Labels of names beyond ASCII in the form that DNS has (RFC 3492, RFC 5891 4.4), such as xn--55qx5d. The label has to
 * be normalized, in UTF-8 and in small letters. No side effects.
 */
#ifndef PUNYCODE_H
#define PUNYCODE_H

#include <stddef.h>

#define PUNYCODE_LABEL_MAX 63

/* Writes the label for DNS, without a NUL, into out[PUNYCODE_LABEL_MAX]; one in ASCII stays as it is. Returns its
 * length, or 0 if it is not valid or too long. */
extern size_t punycode_label(char *out, const char *label, size_t len);

#endif
