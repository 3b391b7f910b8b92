/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The numbers of questions to a resolver, and answers that come through a stream in any pieces.
 */
#define _GNU_SOURCE 1
#include <sys/random.h>
#include "check.h"
#include "dnsmessage.h"
#include "dnsstream.h"

static int random_bytes = 99;   /* as many as there are */

static ssize_t some_random(void *out, size_t n, unsigned flags)
{
  ssize_t got = getrandom(out, n, flags);

  if (random_bytes < 0) {
    errno = EAGAIN;   /* early after a boot */
    return -1;
  }
  return got > random_bytes ? random_bytes : got;
}

#define getrandom some_random
#include "dnsask.c"
#undef getrandom

#define QUESTIONS 4096

static unsigned number_of(const struct dnsask *ask)
{
  return (unsigned) ask->query[0] << 8 | ask->query[1];
}

TEST(numbers_are_spread)
{
  static unsigned char seen[65536];
  struct dnsask ask;
  unsigned number;
  unsigned bits_set[16] = {0};
  int different = 0;
  int i;
  int bit;

  for (i = 0; i < QUESTIONS; ++i) {
    dnsask_question(&ask, "a.test", DNSMESSAGE_A);
    CHECK(ask.state == DNSASK_WAITING);
    number = number_of(&ask);
    different += !seen[number]++;
    for (bit = 0; bit < 16; ++bit)
      bits_set[bit] += number >> bit & 1;
  }
  CHECK(different > QUESTIONS - 400);   /* 126 are expected twice */
  for (bit = 0; bit < 16; ++bit)
    CHECK(bits_set[bit] > QUESTIONS / 2 - 320 && bits_set[bit] < QUESTIONS / 2 + 320);   /* ten deviations */
}

TEST(without_random_bytes_nothing_is_asked)
{
  struct dnsask ask;

  for (random_bytes = -1; random_bytes < 2; ++random_bytes) {
    dnsask_question(&ask, "a.test", DNSMESSAGE_A);
    CHECK(ask.state == DNSASK_TROUBLE && strcmp(ask.trouble, "no random number") == 0);
    dnsask_all(&ask, 1, 1000, 0, 0);
    CHECK(ask.state == DNSASK_TROUBLE && ask.server == -1 && ask.answer == 0);
  }
}

TEST(too_many_questions_are_trouble)
{
  struct dnsask ask[DNSASK_QUESTIONS_MAX + 1];
  int i;

  for (i = 0; i <= DNSASK_QUESTIONS_MAX; ++i)
    dnsask_question(&ask[i], "a.test", DNSMESSAGE_A);
  CHECK(setenv("DNSCACHEIP", "no address", 1) == 0);
  dnsask_all(ask, DNSASK_QUESTIONS_MAX + 1, 1000, 0, 0);
  for (i = 0; i < DNSASK_QUESTIONS_MAX; ++i)
    CHECK(ask[i].state == DNSASK_TROUBLE && strcmp(ask[i].trouble, "no resolver") == 0);
  CHECK(ask[i].state == DNSASK_TROUBLE && strcmp(ask[i].trouble, "too many questions") == 0);
}

TEST(a_message_is_whole_in_any_pieces)
{
  static unsigned char all[2 + 300 + 5];
  struct dnsstream s;
  enum dnsstream_state state;
  size_t piece;
  size_t at;
  size_t n;

  all[0] = 1;
  all[1] = 44;   /* 300 */
  for (at = 2; at < sizeof all; ++at)
    all[at] = (unsigned char) at;
  for (piece = 1; piece <= sizeof all; ++piece) {
    dnsstream_begin(&s);
    state = DNSSTREAM_MORE;
    for (at = 0; at < sizeof all && state == DNSSTREAM_MORE; at += n) {
      n = sizeof all - at < piece ? sizeof all - at : piece;
      state = dnsstream_feed(&s, all + at, n);
      CHECK((state == DNSSTREAM_WHOLE) == (at + n >= 302));
    }
    CHECK(state == DNSSTREAM_WHOLE && s.len == 300 && memcmp(s.message, all + 2, 300) == 0);
    dnsstream_end(&s);
    CHECK(s.message == 0);
  }
}

TEST(a_length_is_that_of_a_message)
{
  static const struct { unsigned char head[2]; enum dnsstream_state state; } rows[] = {
    {{0, 0}, DNSSTREAM_WRONG}, {{0, 11}, DNSSTREAM_WRONG}, {{0, 12}, DNSSTREAM_MORE}, {{255, 255}, DNSSTREAM_MORE},
  };
  struct dnsstream s;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    dnsstream_begin(&s);
    CHECK(dnsstream_feed(&s, rows[i].head, 2) == rows[i].state);
    dnsstream_end(&s);
  }
}

static const struct test tests[] = {
  {"numbers_are_spread", numbers_are_spread},
  {"without_random_bytes_nothing_is_asked", without_random_bytes_nothing_is_asked},
  {"too_many_questions_are_trouble", too_many_questions_are_trouble},
  {"a_message_is_whole_in_any_pieces", a_message_is_whole_in_any_pieces},
  {"a_length_is_that_of_a_message", a_length_is_that_of_a_message},
};

MAIN(tests)
