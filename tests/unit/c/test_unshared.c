/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include "check.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "tcporigin.h"
#include "unshared.h"

static int client;
static int other;   /* a duplicate, as a smtpfront has it that is broken into */
static struct sockaddr_in port;

/* Descriptors 0 and 1 are a client's socket, as the launcher hands it over. */
static void begin(int keep, const char *demand)
{
  socklen_t len = sizeof port;
  int listening = socket(AF_INET, SOCK_STREAM, 0);
  int fd;

  memset(&port, 0, sizeof port);
  port.sin_family = AF_INET;
  port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(!keep || tcporigin_keep(listening));
  CHECK(bind(listening, (struct sockaddr *) &port, sizeof port) == 0 && listen(listening, 5) == 0);
  CHECK(getsockname(listening, (struct sockaddr *) &port, &len) == 0);
  client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(client, (struct sockaddr *) &port, sizeof port) == 0);
  fd = accept(listening, 0, 0);
  other = dup(fd);
  CHECK(dup2(fd, 0) == 0 && dup2(fd, 1) == 1 && close(fd) == 0);
  CHECK(setenv("TCPREMOTEIP", "192.0.2.1", 1) == 0);
  CHECK(demand ? setenv("TCPACCEPTED", demand, 1) == 0 : unsetenv("TCPACCEPTED") == 0);
  unshared_begin();
  CHECK(!getenv("TCPACCEPTED"));
}

static void says(const char *text)
{
  CHECK(write(client, text, strlen(text)) == (ssize_t) strlen(text));
}

static void answers(int fd, const char *text)
{
  CHECK(write(fd, text, strlen(text)) == (ssize_t) strlen(text));
  if (fd == 1)
    unshared_wrote((int) strlen(text));
}

/* Reads as many bytes as that, as qmail-smtpd would. */
static int reads(size_t most)
{
  char bytes[100];
  ssize_t n = read(0, bytes, most);

  CHECK(n > 0);
  return unshared_read((int) n);
}

static void read_away(size_t n)
{
  char bytes[100];

  CHECK(read(other, bytes, n) == (ssize_t) n);
}

TEST(a_session_of_one_process_goes_on)
{
  int i;

  begin(1, "1");
  for (i = 0; i < 100; ++i) {
    answers(1, "250 ok\r\n");
    says("NOOP\r\nNOOP\r\n");
    CHECK(reads(5) && reads(100));
  }
  says("QUIT\r\n");
  CHECK(shutdown(client, SHUT_WR) == 0 && reads(3) && reads(100));
  CHECK(read(0, &i, 1) == 0);
}

TEST(bytes_that_somebody_else_reads_end_it)
{
  begin(1, "1");
  says("DATA\r\nMAIL\r\n");
  CHECK(reads(1));
  read_away(1);
  CHECK(!reads(1) && !reads(100));
  says("more");
  CHECK(!reads(100));
}

TEST(a_byte_is_missed_behind_the_client_s_end_too)
{
  begin(1, "1");
  says("DATA\r\nMAIL\r\n");
  CHECK(shutdown(client, SHUT_WR) == 0 && reads(1));
  read_away(1);
  CHECK(!reads(100));
}

TEST(an_answer_of_somebody_else_ends_it)
{
  begin(1, "1");
  answers(1, "220 mx\r\n");
  says("EHLO x\r\n");
  CHECK(reads(100));
  answers(other, "2");
  says("MAIL\r\n");
  CHECK(!reads(100));
}

TEST(what_the_front_did_before_counts)
{
  begin(1, "1");
  says("DATA\r\n");
  read_away(6);
  says("MAIL\r\n");
  CHECK(!reads(100));
  begin(1, "1");
  answers(other, "220 mx\r\n");
  says("MAIL\r\n");
  CHECK(!reads(100));
}

TEST(another_client_ends_it)
{
  struct sockaddr none;

  begin(1, "1");
  says("MAIL\r\n");
  CHECK(reads(100));
  memset(&none, 0, sizeof none);
  none.sa_family = AF_UNSPEC;
  CHECK(connect(other, &none, sizeof none) == 0);
  client = socket(AF_INET, SOCK_STREAM, 0);
  port.sin_port = 0;
  CHECK(bind(client, (struct sockaddr *) &port, sizeof port) == 0 && listen(client, 1) == 0);
  CHECK(getsockname(client, (struct sockaddr *) &port, &(socklen_t) {sizeof port}) == 0);
  CHECK(connect(other, (struct sockaddr *) &port, sizeof port) == 0);
  client = accept(client, 0, 0);
  says("MAIL\r\n");
  CHECK(!reads(100) && !unshared_secured());
}

TEST(a_socket_that_never_came_in_is_nobody_s)
{
  begin(0, "1");
  says("MAIL\r\n");
  CHECK(!reads(100));
  begin(0, 0);
  says("MAIL\r\n");
  read_away(1);
  answers(other, "2");
  CHECK(reads(100) && unshared_secured());
}

TEST(with_tls_the_keys_tell)
{
  int pair[2];

  begin(1, "1");
  says("STARTTLS\r\n");
  CHECK(reads(100) && unshared_secured());
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && dup2(pair[0], 0) == 0);
  CHECK(write(pair[1], "NOOP\r\n", 6) == 6 && reads(100));
}

/* It leaves an answer unread. That is not somebody else's doing, so the log says nothing. */
TEST(a_client_that_breaks_off_is_not_heard_any_more)
{
  struct stat said;

  CHECK(dup2(open("log", O_RDWR | O_CREAT, 0600), 2) == 2);
  begin(1, "1");
  answers(1, "220 mx\r\n");
  says("MAIL\r\nRCPT\r\n");
  CHECK(reads(6));
  close(client);
  CHECK(!reads(100) && fstat(2, &said) == 0 && said.st_size == 0);
}

/* The client sends, and takes answers, all the time. */
static void talks(void)
{
  char bytes[4096];
  int i;

  close(0);
  close(1);
  close(other);
  memset(bytes, 'x', sizeof bytes);
  for (i = 0; i < 2000; ++i)
    CHECK(send(client, bytes, sizeof bytes, 0) > 0 && recv(client, bytes, sizeof bytes, MSG_DONTWAIT) != 0);
  shutdown(client, SHUT_WR);
  while (recv(client, bytes, sizeof bytes, 0) > 0)
    ;
  _exit(0);
}

TEST(a_client_that_never_rests_is_no_somebody_else)
{
  char bytes[1024];
  pid_t talker;
  int status;
  ssize_t n;

  begin(1, "1");
  talker = fork();
  CHECK(talker != -1);
  if (talker == 0)
    talks();
  close(client);
  while ((n = read(0, bytes, sizeof bytes)) > 0) {
    CHECK(unshared_read((int) n));
    if (send(1, "250 ok\r\n", 8, MSG_DONTWAIT) == 8)
      unshared_wrote(8);
  }
  CHECK(n == 0 && close(0) == 0 && close(1) == 0 && close(other) == 0 && waitpid(talker, &status, 0) == talker && status == 0);
}

static const struct test tests[] = {
  {"a_session_of_one_process_goes_on", a_session_of_one_process_goes_on},
  {"bytes_that_somebody_else_reads_end_it", bytes_that_somebody_else_reads_end_it},
  {"a_byte_is_missed_behind_the_client_s_end_too", a_byte_is_missed_behind_the_client_s_end_too},
  {"an_answer_of_somebody_else_ends_it", an_answer_of_somebody_else_ends_it},
  {"what_the_front_did_before_counts", what_the_front_did_before_counts},
  {"another_client_ends_it", another_client_ends_it},
  {"a_socket_that_never_came_in_is_nobody_s", a_socket_that_never_came_in_is_nobody_s},
  {"with_tls_the_keys_tell", with_tls_the_keys_tell},
  {"a_client_that_breaks_off_is_not_heard_any_more", a_client_that_breaks_off_is_not_heard_any_more},
  {"a_client_that_never_rests_is_no_somebody_else", a_client_that_never_rests_is_no_somebody_else},
};

MAIN(tests)
