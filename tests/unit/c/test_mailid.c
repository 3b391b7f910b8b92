/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "mailid.h"
#include "refusal.h"
#include "sessionid.h"

static char line[REFUSAL_LINE_MAX + 1];

static void keep(const char *bytes, size_t len)
{
  memcpy(line, bytes, len);
  line[len] = 0;
}

/* What the next line of the log says behind the client's address. */
static const char *told(void)
{
  static char text[REFUSAL_LINE_MAX + 1];
  char *end;

  refusal_write = keep;
  refusal_rcpthosts("a@b", "", "192.0.2.7");
  end = strstr(line, "192.0.2.7");
  CHECK(end);
  strcpy(text, end + strlen("192.0.2.7"));
  return text;
}

static const char *ending(const char *id)
{
  static char text[100];

  snprintf(text, sizeof text, " id %s pid %ld\n", id, (long) getpid());
  return text;
}

TEST(the_launchers_id_is_taken_and_each_message_has_the_next_number)
{
  CHECK(setenv("SMTPSESSION", "6kz3rt9qm4", 1) == 0 && setenv("SMTPMAIL", "6kz3rt9qm5.1", 1) == 0);
  mailid_begin();
  CHECK(!getenv("SMTPSESSION") && !getenv("SMTPMAIL") && strcmp(mailid(), "") == 0);
  CHECK(strcmp(told(), ending("6kz3rt9qm4")) == 0);
  CHECK(mailid_next() && strcmp(mailid(), "6kz3rt9qm4.1") == 0 && strcmp(getenv("SMTPMAIL"), "6kz3rt9qm4.1") == 0);
  CHECK(strcmp(told(), ending("6kz3rt9qm4.1")) == 0);
  mailid_session();
  CHECK(strcmp(told(), ending("6kz3rt9qm4")) == 0);
  CHECK(mailid_next() && strcmp(mailid(), "6kz3rt9qm4.2") == 0 && strcmp(getenv("SMTPMAIL"), "6kz3rt9qm4.2") == 0);
}

TEST(without_a_launcher_there_is_one_as_well)
{
  char first[SESSIONID_MESSAGE_MAX];
  static const char *const given[] = {0, "", "6kz3rt9qm4.1", "6kz3rt9qm4 qp 1", "x", "6kz3rt9qm4\n"};
  size_t i;

  for (i = 0; i < sizeof given / sizeof *given; ++i) {
    if (given[i])
      CHECK(setenv("SMTPSESSION", given[i], 1) == 0);
    else
      CHECK(unsetenv("SMTPSESSION") == 0);
    mailid_begin();
    CHECK(mailid_next() && sessionid_is_message(mailid()) && !strstr(mailid(), "6kz3rt9qm4"));
    if (i)
      CHECK(strcmp(first, mailid()) != 0);
    strcpy(first, mailid());
  }
}

static const struct test tests[] = {
  {"the_launchers_id_is_taken_and_each_message_has_the_next_number",
   the_launchers_id_is_taken_and_each_message_has_the_next_number},
  {"without_a_launcher_there_is_one_as_well", without_a_launcher_there_is_one_as_well},
};

MAIN(tests)
