/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "sessionid.h"

#define RANDOM_BITS 20
#define SECONDS_BITS (SESSIONID_BITS - RANDOM_BITS)
#define SECONDS_MASK (((uint64_t) 1 << SECONDS_BITS) - 1)
#define CHARACTER_BITS 5
#define AHEAD_SECONDS 60               /* two programs read the clock one after the other, and it may be set back a little */
#define MESSAGE_DIGITS 9

static const char characters[] = "0123456789abcdefghjkmnpqrstvwxyz";

uint64_t sessionid_number(uint64_t seconds, uint32_t random, uint64_t last)
{
  uint64_t number = (seconds & SECONDS_MASK) << RANDOM_BITS | (random & (((uint32_t) 1 << RANDOM_BITS) - 1));

  /* Below the last one in the same second, or after a clock was set back a little: it follows the last one. */
  if (number <= last && last - number < (uint64_t) AHEAD_SECONDS << RANDOM_BITS)
    number = last + 1 + random % 256;
  return number & (((uint64_t) 1 << SESSIONID_BITS) - 1);
}

uint64_t sessionid_new(uint64_t last)
{
  struct timespec now;
  uint32_t random;

  clock_gettime(CLOCK_REALTIME, &now);
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t) sizeof random)
    random = (uint32_t) now.tv_nsec ^ (uint32_t) getpid() << 10;
  return sessionid_number((uint64_t) now.tv_sec, random, last);
}

int sessionid_recent(uint64_t number, uint64_t seconds)
{
  uint64_t age = (seconds + AHEAD_SECONDS - (number >> RANDOM_BITS)) & SECONDS_MASK;

  return number >> SESSIONID_BITS == 0 && age <= SESSIONID_AGE_SECONDS + AHEAD_SECONDS;
}

void sessionid_text(char *out, uint64_t number)
{
  int i;

  for (i = SESSIONID_CHARACTERS; i-- > 0; number >>= CHARACTER_BITS)
    out[i] = characters[number & ((1 << CHARACTER_BITS) - 1)];
  out[SESSIONID_CHARACTERS] = 0;
}

void sessionid_message(char *out, const char *session, unsigned long message)
{
  snprintf(out, SESSIONID_MESSAGE_MAX, "%.10s.%lu", session, message % 1000000000);
}

/* Whether it begins with the id of a session. */
static int begins(const char *text)
{
  int i;

  if (!text || *text < '0' || *text > '7')
    return 0;
  for (i = 0; i < SESSIONID_CHARACTERS; ++i)
    if (!text[i] || !strchr(characters, text[i]))
      return 0;
  return 1;
}

int sessionid_is_session(const char *text)
{
  return begins(text) && !text[SESSIONID_CHARACTERS];
}

int sessionid_is_message(const char *text)
{
  size_t digits;

  if (!begins(text) || text[SESSIONID_CHARACTERS] != '.')
    return 0;
  text += SESSIONID_CHARACTERS + 1;
  digits = strspn(text, "0123456789");
  return digits >= 1 && digits <= MESSAGE_DIGITS && !text[digits] && *text != '0';
}
