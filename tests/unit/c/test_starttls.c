/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * With a smtptls that is played. The real one, and the real qmail-smtpd, are in test_starttls.py.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "check.h"
#include "clock.h"
#include "descriptor.h"
#include "smtpreply.h"
#include "starttls.h"
#include "tlslink.h"
#include "tlsterms.h"

static pid_t smtptls;
static char said[400];

/* What the played smtptls does: takes the client or not, and what it says of the handshake. */
static void play(int listening, int take, const char *last)
{
  char packet[TLSLINK_PACKET_MAX];
  int control = accept(listening, 0, 0);
  int client;
  int pair[2];

  while (descriptor_receive(control, packet, sizeof packet, &client) == -1)
    usleep(1000);
  if (packet[0] != TLSLINK_BEGIN || client == -1)
    _exit(1);
  if (!take)
    pause();
  packet[0] = TLSLINK_TAKEN;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1 || !descriptor_send(control, packet, 1, pair[1]))
    _exit(2);
  close(pair[1]);
  if (!last)
    _exit(0);   /* it dies before 220 */
  if (recv(control, packet, sizeof packet, 0) != 1 || packet[0] != TLSLINK_GO)
    _exit(3);
  if (!descriptor_send(control, last, strlen(last), -1))
    _exit(4);
  close(control);
  if (write(pair[0], "NOOP\r\n", 6) == 6 && read(pair[0], packet, 3) == 3 && memcmp(packet, "250", 3) == 0)
    _exit(0);
  _exit(5);
}

/* Offers TLS at ./socket, and plays one session. */
static void start(int take, const char *last)
{
  struct sockaddr_un address;
  struct flock lock;
  int listening = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  int ready[2];
  int offer;
  char byte;

  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, "socket");
  unlink("socket");
  CHECK(bind(listening, (struct sockaddr *) &address, sizeof address) == 0 && listen(listening, 1) == 0 && pipe(ready) == 0);
  smtptls = fork();
  CHECK(smtptls != -1);
  if (smtptls == 0) {
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    offer = open("socket.offer", O_RDWR | O_CREAT, 0600);
    if (write(offer, "1", 1) != 1 || fcntl(offer, F_SETLK, &lock) == -1 || write(ready[1], "", 1) != 1)
      _exit(9);
    play(listening, take, last);
  }
  close(listening);
  close(ready[1]);
  CHECK(read(ready[0], &byte, 1) == 1);
  close(ready[0]);
}

static void stop(void)
{
  kill(smtptls, SIGKILL);
  waitpid(smtptls, 0, 0);
}

/* A client as tcpserver has it: descriptors 0 and 1 are one socket. The other end is returned. */
static int client_here(void)
{
  int pair[2];

  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && dup2(pair[0], 0) == 0 && dup2(pair[0], 1) == 1);
  close(pair[0]);
  return pair[1];
}

static void environment(const char *path, const char *version, const char *cipher, const char *name)
{
  const char *const value[] = {path, version, cipher, name};
  static const char *const variable[] = {"SMTPTLS", "TLS_VERSION", "TLS_CIPHER", "TLS_NAME"};
  size_t i;

  for (i = 0; i < 4; ++i)
    CHECK(value[i] ? setenv(variable[i], value[i], 1) == 0 : unsetenv(variable[i]) == 0);
  starttls_begin();
}

static const char *comment(void)
{
  const char *text = starttls_comment();

  return text ? text : "-";
}

TEST(without_smtptls_there_is_no_such_command)
{
  static char path[TLSLINK_PATH_MAX + 10];

  memset(path, 'x', sizeof path - 1);
  environment(0, 0, 0, 0);
  CHECK(!strcmp(starttls_offer(), "") && !strcmp(starttls_objection("", 0), SMTPREPLY_UNIMPLEMENTED));
  environment("", 0, 0, 0);
  CHECK(!strcmp(starttls_offer(), "") && !strcmp(starttls_objection("", 0), SMTPREPLY_UNIMPLEMENTED));
  environment(path, 0, 0, 0);
  CHECK(!strcmp(starttls_offer(), "") && !strcmp(starttls_objection("", 0), SMTPREPLY_UNIMPLEMENTED));
  CHECK(!strcmp(starttls_protocol(), "SMTP") && !starttls_comment());
}

TEST(it_is_offered_while_smtptls_takes_sessions)
{
  environment("socket", 0, 0, 0);
  CHECK(!strcmp(starttls_offer(), "") && !starttls_objection("", 0) && !starttls_prepare());
  start(1, "E");
  CHECK(!strcmp(starttls_offer(), SMTPREPLY_EHLO_STARTTLS));
  stop();
  CHECK(!strcmp(starttls_offer(), "") && !starttls_prepare());
}

TEST(each_reason_has_its_reply)
{
  environment("socket", 0, 0, 0);
  CHECK(!strcmp(starttls_objection("x", 0), SMTPREPLY_TLS_PARAMETER));
  CHECK(!strcmp(starttls_objection("", 1), SMTPREPLY_TLS_MAIL) && !starttls_objection("", 0));
  environment("socket", "TLSv1.3", "X", "");
  CHECK(!strcmp(starttls_objection("", 0), SMTPREPLY_TLS_AGAIN) && !strcmp(starttls_offer(), ""));
}

TEST(a_session_that_has_tls)
{
  environment("socket", "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", "mx.example.com");
  CHECK(!strcmp(starttls_protocol(), "ESMTPS"));
  CHECK(!strcmp(comment(), "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 encrypted SMTP"));
  environment(0, "TLSv1.3", "X", 0);
  CHECK(!strcmp(starttls_protocol(), "ESMTPS") && !strcmp(comment(), "TLSv1.3 X encrypted SMTP"));
}

TEST(terms_that_are_none_are_left_out)
{
  static char text[1000];

  memset(text, 'a', sizeof text - 1);
  environment("socket", "TLSv1.3", "a) (b", 0);
  CHECK(!strcmp(starttls_protocol(), "ESMTPS") && !starttls_comment() && !strcmp(starttls_objection("", 0), SMTPREPLY_TLS_AGAIN));
  environment("socket", "TLSv1.3", 0, 0);
  CHECK(!strcmp(starttls_protocol(), "ESMTPS") && !starttls_comment());
  environment("socket", "", "X", 0);
  CHECK(!strcmp(starttls_protocol(), "ESMTPS") && !starttls_comment());
  environment("socket", "TLSv1.3", "X", text);
  CHECK(!strcmp(starttls_protocol(), "ESMTPS") && !starttls_comment());
  environment("socket", text, text, text);
  CHECK(!strcmp(starttls_protocol(), "ESMTPS") && !starttls_comment());
}

TEST(the_longest_terms_have_room)
{
  char terms[3][TLSTERMS_MAX];

  sprintf(terms[0], "%016d", 1);
  sprintf(terms[1], "%064d", 2);
  sprintf(terms[2], "%0199d", 3);
  environment(0, terms[0], terms[1], terms[2]);
  CHECK(strlen(comment()) == 16 + 1 + 64 + strlen(" encrypted SMTP"));
}

TEST(plain_text_comes_to_the_place_of_the_client)
{
  int client = client_here();
  int status;

  environment("socket", 0, 0, 0);
  start(1, "ETLSv1.3 TLS_AES_256_GCM_SHA384 mx.example.com");
  CHECK(starttls_prepare() && !starttls_followed() && starttls_turn());
  CHECK(read(0, said, sizeof said) == 6 && memcmp(said, "NOOP\r\n", 6) == 0 && write(1, "250", 3) == 3);
  CHECK(waitpid(smtptls, &status, 0) == smtptls && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(recv(client, said, 1, MSG_DONTWAIT) == 0);   /* nobody has the client's socket any more */
  CHECK(!strcmp(comment(), "TLSv1.3 TLS_AES_256_GCM_SHA384 encrypted SMTP") && !strcmp(starttls_protocol(), "ESMTPS"));
  CHECK(!strcmp(getenv("TLS_VERSION"), "TLSv1.3") && !strcmp(getenv("TLS_CIPHER"), "TLS_AES_256_GCM_SHA384"));
  CHECK(!strcmp(getenv("TLS_NAME"), "mx.example.com") && !strcmp(starttls_objection("", 0), SMTPREPLY_TLS_AGAIN));
}

TEST(what_comes_before_its_time_is_seen_and_stays)
{
  int client = client_here();

  CHECK(!starttls_followed() && write(client, "X", 1) == 1 && starttls_followed() && starttls_followed());
  CHECK(read(0, said, sizeof said) == 1 && !starttls_followed());
}

TEST(where_smtptls_does_not_answer_the_client_stays)
{
  int client = client_here();
  long long begin = clock_ms();

  environment("socket", 0, 0, 0);
  start(0, 0);
  CHECK(!starttls_prepare() && clock_ms() - begin >= TLSLINK_BEGIN_MS);
  CHECK(write(client, "NOOP", 4) == 4 && read(0, said, sizeof said) == 4 && !strcmp(starttls_protocol(), "SMTP"));
  CHECK(!starttls_objection("", 0));   /* it may try again */
  stop();
}

TEST(a_handshake_that_fails_and_a_smtptls_that_dies_end_the_session)
{
  client_here();
  environment("socket", 0, 0, 0);
  start(1, "Fno shared cipher");
  CHECK(starttls_prepare() && !starttls_turn() && !strcmp(starttls_protocol(), "SMTP"));
  stop();
  start(1, 0);
  CHECK(starttls_prepare() && !starttls_turn());
  stop();
}

static const struct test tests[] = {
  {"without_smtptls_there_is_no_such_command", without_smtptls_there_is_no_such_command},
  {"it_is_offered_while_smtptls_takes_sessions", it_is_offered_while_smtptls_takes_sessions},
  {"each_reason_has_its_reply", each_reason_has_its_reply},
  {"a_session_that_has_tls", a_session_that_has_tls},
  {"terms_that_are_none_are_left_out", terms_that_are_none_are_left_out},
  {"the_longest_terms_have_room", the_longest_terms_have_room},
  {"plain_text_comes_to_the_place_of_the_client", plain_text_comes_to_the_place_of_the_client},
  {"what_comes_before_its_time_is_seen_and_stays", what_comes_before_its_time_is_seen_and_stays},
  {"where_smtptls_does_not_answer_the_client_stays", where_smtptls_does_not_answer_the_client_stays},
  {"a_handshake_that_fails_and_a_smtptls_that_dies_end_the_session", a_handshake_that_fails_and_a_smtptls_that_dies_end_the_session},
};
MAIN(tests)
