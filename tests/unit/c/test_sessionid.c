/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "sessionid.h"

#define NOW 1795725000u

static const char *text(uint64_t number)
{
  static char id[SESSIONID_CHARACTERS + 1];

  memset(id, 'x', sizeof id);
  sessionid_text(id, number);
  return id;
}

TEST(a_number_has_one_text)
{
  CHECK(strcmp(text(0), "0000000000") == 0);
  CHECK(strcmp(text(31), "000000000z") == 0);
  CHECK(strcmp(text(32), "0000000010") == 0);
  CHECK(strcmp(text(0xffffffffffffu), "7zzzzzzzzz") == 0);
  CHECK(strcmp(text((uint64_t) 0xabcd << 48 | 5), "0000000005") == 0 || text((uint64_t) 0xabcd << 48 | 5)[10] == 0);
  CHECK(sessionid_is_session(text(0)) && sessionid_is_session(text(0xffffffffffffu)));
}

TEST(numbers_of_a_process_are_different_and_grow)
{
  uint64_t last = 0;
  uint64_t number;
  uint32_t i;

  /* More of them in each second than random bits keep apart, and the same random number each time. */
  for (i = 0; i < 200000; ++i) {
    number = sessionid_number(NOW + i / 50000, i % 7 ? 0 : 0xffffffffu, last);
    CHECK(number > last && number >> SESSIONID_BITS == 0);
    last = number;
  }
  number = sessionid_number(NOW - 30, 5, last);   /* the clock was set back a little */
  CHECK(number > last);
  number = sessionid_number(NOW - 86400, 5, last);   /* a day: sessions of that time are long gone */
  CHECK(number < last && sessionid_recent(number, NOW - 86400));
  for (i = 0; i < 1000; ++i) {
    number = sessionid_new(last);
    CHECK(number != last);
    last = number;
  }
}

TEST(random_bits_are_used)
{
  CHECK(sessionid_number(NOW, 1, 0) != sessionid_number(NOW, 2, 0));
  CHECK(sessionid_number(NOW, 0xfff00001u, 0) == sessionid_number(NOW, 1, 0));
  CHECK(sessionid_new(0) >> 48 == 0);
}

TEST(only_a_number_of_the_last_hour_is_recent)
{
  uint64_t number = sessionid_number(NOW, 77, 0);

  CHECK(sessionid_recent(number, NOW) && sessionid_recent(number, NOW + 1));
  CHECK(sessionid_recent(number, NOW + SESSIONID_AGE_SECONDS) && !sessionid_recent(number, NOW + SESSIONID_AGE_SECONDS + 1));
  CHECK(sessionid_recent(number, NOW - 60) && !sessionid_recent(number, NOW - 61));
  CHECK(!sessionid_recent(number | (uint64_t) 1 << SESSIONID_BITS, NOW));
  CHECK(!sessionid_recent(0, NOW) && !sessionid_recent(10004711, NOW) && !sessionid_recent(UINT64_MAX, NOW));
  /* The seconds of a number begin again from 0 after eight years. */
  CHECK(sessionid_recent(sessionid_number((1u << 28) - 1, 0, 0), 1u << 28));
  CHECK(sessionid_number(1u << 28, 3, sessionid_number((1u << 28) - 1, 9, 0)) == 3);
}

TEST(what_is_an_id)
{
  static const char *const sessions[] = {"6kz3rt9qm4", "0000000000", "7zzzzzzzzz"};
  static const char *const messages[] = {"6kz3rt9qm4.1", "0000000000.10", "7zzzzzzzzz.999999999"};
  static const char *const neither[] = {
    "", ".", "1", "6kz3rt9qm", "6kz3rt9qm4a", "6kz3rt9qm4.", "6kz3rt9qm4.0", "6kz3rt9qm4.01", "6kz3rt9qm4.1234567890",
    "6kz3rt9qm4.1 ", "6kz3rt9qm4.1\n", "6kz3rt9qm4 ", "6kz3rt9qm4\n", "6kz3rt9qm4.x", "6kz3rt9qm4.-1", "6kz3rt9qm4..1",
    "8kz3rt9qm4", "akz3rt9qm4", "6KZ3RT9QM4", "6kz3rt9qmi", "6kz3rt9qml", "6kz3rt9qmo", "6kz3rt9qmu", "6kz3rt9q:4",
    "6kz3rt9qm4.1.1", " 6kz3rt9qm4", "6kz3rt9qm\xe4",
  };
  size_t i;

  for (i = 0; i < sizeof sessions / sizeof *sessions; ++i)
    CHECK(sessionid_is_session(sessions[i]) && !sessionid_is_message(sessions[i]));
  for (i = 0; i < sizeof messages / sizeof *messages; ++i)
    CHECK(sessionid_is_message(messages[i]) && !sessionid_is_session(messages[i]));
  for (i = 0; i < sizeof neither / sizeof *neither; ++i) {
    check_where = neither[i];
    CHECK(!sessionid_is_message(neither[i]) && !sessionid_is_session(neither[i]));
  }
  CHECK(!sessionid_is_session(0) && !sessionid_is_message(0));
}

TEST(every_byte_in_each_place)
{
  char id[SESSIONID_CHARACTERS + 1] = "6kz3rt9qm4";
  int i;
  int b;

  for (i = 0; i < SESSIONID_CHARACTERS; ++i)
    for (b = 1; b < 256; ++b) {
      char kept = id[i];
      int fits = b < 128 && (i ? strchr("0123456789abcdefghjkmnpqrstvwxyz", b) : strchr("01234567", b)) != 0;

      id[i] = (char) b;
      CHECK(sessionid_is_session(id) == fits);
      id[i] = kept;
    }
}

TEST(the_id_of_a_message)
{
  char id[SESSIONID_MESSAGE_MAX];

  sessionid_message(id, "6kz3rt9qm4", 1);
  CHECK(strcmp(id, "6kz3rt9qm4.1") == 0 && sessionid_is_message(id));
  sessionid_message(id, "6kz3rt9qm4", 999999999ul);
  CHECK(sessionid_is_message(id));
}

static const struct test tests[] = {
  {"a_number_has_one_text", a_number_has_one_text},
  {"numbers_of_a_process_are_different_and_grow", numbers_of_a_process_are_different_and_grow},
  {"random_bits_are_used", random_bits_are_used},
  {"only_a_number_of_the_last_hour_is_recent", only_a_number_of_the_last_hour_is_recent},
  {"what_is_an_id", what_is_an_id},
  {"every_byte_in_each_place", every_byte_in_each_place},
  {"the_id_of_a_message", the_id_of_a_message},
};

MAIN(tests)
