/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Is a connection one that a client made to this machine, or one that the user who hands it over made himself?
 */
#ifndef TCPPEER_H
#define TCPPEER_H

#include <sys/types.h>
#include "tcptable.h"

/* Returns why it is not a client's, or null. An end on this machine that the kernel's tables do not show, or show
 * without its user, is taken for that user's own. */
extern const char *tcppeer_objection(const struct tcptable_end *here, const struct tcptable_end *there, uid_t user);

#endif
