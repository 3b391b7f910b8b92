/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "remotereply.h"

#define FIRST_MAX 60 /* bytes that are kept of the first line, when another one is wrong */

static void keep(struct remotereply *reply, char byte)
{
  if (reply->heard_length < REMOTEREPLY_HEARD_MAX)
    reply->heard[reply->heard_length++] = byte >= ' ' && byte <= '~' ? byte : '?';
}

static void hear(struct remotereply *reply, char byte)
{
  if (byte == '\n') {
    reply->cr = 0;
    return;
  }
  if (reply->cr)
    keep(reply, '\r');
  reply->cr = byte == '\r';
  if (!reply->cr)
    keep(reply, byte);
}

/* What is wrong with a byte of a line's code, or of what stands where its text may begin; null where it is right. */
static const char *judge(struct remotereply *reply, char byte)
{
  static const char none[] = "is no SMTP reply";

  if (reply->column < 3) {
    if (byte < (reply->column ? '0' : '2') || byte > (reply->column ? '9' : '5'))
      return none;
    reply->line_code = reply->line_code * 10 + (unsigned long) (byte - '0');
    return 0;
  }
  if (reply->column > 3)
    return reply->bare && byte != '\r' && byte != '\n' ? none : 0;
  if ((byte >= '0' && byte <= '9') || byte == 0)
    return none;
  reply->more = byte == '-';
  reply->bare = byte == '\r';
  if (!reply->lines)
    reply->code = reply->line_code;
  return reply->line_code / 100 == reply->code / 100 ? 0 : "has lines with different codes";
}

static void next_line(struct remotereply *reply)
{
  if (!reply->lines) {
    if (reply->heard_length > FIRST_MAX)
      reply->heard_length = FIRST_MAX;
    keep(reply, ' ');
    keep(reply, '/');
    keep(reply, ' ');
    reply->line_heard = reply->heard_length;
  }
  reply->lines = 1;
  reply->heard_length = reply->line_heard;
  reply->column = 0;
  reply->line_code = 0;
}

void remotereply_begin(struct remotereply *reply)
{
  reply->code = 0;
  reply->why = 0;
  reply->line_code = 0;
  reply->length = 0;
  reply->column = 0;
  reply->heard_length = 0;
  reply->line_heard = 0;
  reply->lines = 0;
  reply->more = 0;
  reply->bare = 0;
  reply->cr = 0;
}

void remotereply_early(struct remotereply *reply)
{
  reply->why = "came too early";
}

enum remotereply_state remotereply_byte(struct remotereply *reply, char byte)
{
  hear(reply, byte);
  ++reply->length;
  if (!reply->why)
    reply->why = reply->length > REMOTEREPLY_MAX ? "does not end" : judge(reply, byte);
  ++reply->column;
  if (reply->why) /* to the end of the line, for the log */
    return byte == '\n' || reply->column >= REMOTEREPLY_HEARD_MAX ? REMOTEREPLY_WRONG : REMOTEREPLY_MORE;
  if (byte != '\n')
    return REMOTEREPLY_MORE;
  if (!reply->more)
    return REMOTEREPLY_WHOLE;
  next_line(reply);
  return REMOTEREPLY_MORE;
}

const char *remotereply_heard(struct remotereply *reply)
{
  reply->heard[reply->heard_length] = 0;
  return reply->heard_length ? reply->heard : "(an empty line)";
}
