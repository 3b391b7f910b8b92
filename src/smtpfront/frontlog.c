/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <stdarg.h>
#include <stdio.h>
#include "front.h"
#include "say.h"
#include "sessionid.h"

static void add_line(struct front *f, uint64_t number, const char *format, va_list arguments)
{
  char text[SAY_MAX];
  char id[SESSIONID_CHARACTERS + 1];
  char line[SAY_MAX];
  size_t len;
  int head;

  sessionid_text(id, number);
  if (number)
    head = snprintf(text, sizeof text, "smtpfront[%s]: ", id);
  else
    head = snprintf(text, sizeof text, "smtpfront: ");
  vsnprintf(text + head, sizeof text - (size_t) head, format, arguments);
  len = say_printable(line, sizeof line - 1, text);
  line[len++] = '\n';
  logqueue_line(&f->log, line, len);
}

void front_say(struct front *f, uint64_t number, const char *format, ...)
{
  va_list arguments;

  va_start(arguments, format);
  add_line(f, number, format, arguments);
  va_end(arguments);
}

void front_note(struct front *f, struct session *s, const char *format, ...)
{
  va_list arguments;

  session_announce(f, s);
  va_start(arguments, format);
  add_line(f, s->number, format, arguments);
  va_end(arguments);
}
