/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <stdint.h>
#include "check.h"
#include "tcptable.h"

#define FRONT 990ul   /* smtpfront's user */

/* An address as the kernel writes it: each 32 bits as one number of this machine. */
static const char *hex(const char *ip)
{
  static char texts[4][40];
  static unsigned next;
  char *text = texts[next++ % 4];
  uint32_t words[4];
  int of_ipv6 = strchr(ip, ':') != 0;
  int i;

  CHECK(inet_pton(of_ipv6 ? AF_INET6 : AF_INET, ip, words) == 1);
  for (i = 0; i < (of_ipv6 ? 4 : 1); ++i)
    sprintf(text + 8 * i, "%08X", words[i]);
  return text;
}

static const char *line(const char *here, unsigned here_port, const char *there, unsigned there_port, unsigned state,
                        unsigned long user, unsigned long inode)
{
  static char text[300];

  sprintf(text, "   0: %s:%04X %s:%04X %02X 00000000:00000000 00:00000000 00000000 %5lu        0 %lu 1 0000000000000000 100\n",
          hex(here), here_port, hex(there), there_port, state, user, inode);
  return text;
}

static struct tcptable_end end(const char *ip, unsigned port)
{
  struct tcptable_end made;

  CHECK(address_parse(&made.address, ip));
  made.port = port;
  return made;
}

static int is_end(const struct tcptable_end *one, const char *ip, unsigned port)
{
  struct tcptable_end other = end(ip, port);

  return one->port == port && address_equal(&one->address, &other.address);
}

TEST(a_line_is_read)
{
  struct tcptable_entry entry;

  CHECK(tcptable_line(&entry, line("198.51.100.7", 40000, "203.0.113.25", 25, 1, 990, 123456)));
  CHECK(is_end(&entry.here, "198.51.100.7", 40000) && is_end(&entry.there, "203.0.113.25", 25));
  CHECK(entry.state == 1 && entry.uid == 990 && entry.inode == 123456);
  CHECK(tcptable_line(&entry, line("2001:db8::7", 25, "::", 0, 10, 0, 7)));
  CHECK(is_end(&entry.here, "2001:db8::7", 25) && is_end(&entry.there, "::", 0) && entry.state == TCPTABLE_LISTENS);
  CHECK(tcptable_line(&entry, line("::ffff:198.51.100.7", 40000, "::ffff:203.0.113.25", 25, 1, 0, 7)));
  CHECK(is_end(&entry.here, "198.51.100.7", 40000) && is_end(&entry.there, "203.0.113.25", 25));
}

/* As the kernel of Linux 6.1 wrote it, on a machine whose lowest byte comes first. */
TEST(a_line_of_a_kernel)
{
  struct tcptable_entry entry;

  CHECK(tcptable_line(&entry, " 113: 0100007F:0019 0200007F:CFB2 01 00000000:00000000 02:000A8E4F 00000000  1004        0 811563 2 "
                              "ffff9a5c1d3e0000 20 4 30 10 -1\n"));
  if (htonl(1) != 1)
    CHECK(is_end(&entry.here, "127.0.0.1", 25) && is_end(&entry.there, "127.0.0.2", 53170));
  CHECK(entry.uid == 1004 && entry.inode == 811563);
}

TEST(other_lines_are_not)
{
  static const char *const others[] = {
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid",
    "", "\n", "   0: 0100007F:0019", "   0: 0100007:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1",
    "   0: 0100007FF:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1",
    "   0: 0100007F:0019 000000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1",
    "   0: 0100007G:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1",
    "   x: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1",
    "   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0",
  };
  struct tcptable_entry entry;
  char cut[300];
  size_t len;
  size_t i;

  for (i = 0; i < sizeof others / sizeof *others; ++i) {
    check_where = others[i];
    CHECK(!tcptable_line(&entry, others[i]));
  }
  strcpy(cut, line("198.51.100.7", 40000, "203.0.113.25", 25, 1, 990, 123456));
  for (len = (size_t) (strstr(cut, "123456") - cut); len > 0; --len) {
    cut[len] = 0;
    CHECK(!tcptable_line(&entry, cut));
  }
}

/* What is said of a client at 203.0.113.9 port 5000 of our port 25. */
static const char *said(const char *const *lines, int n, int local)
{
  const struct tcptable_end here = end("198.51.100.25", 25);
  const struct tcptable_end there = end("203.0.113.9", 5000);
  struct tcptable_seen seen = {0, 0, 0};
  int i;

  for (i = 0; i < n; ++i)
    tcptable_see(&seen, lines[i], &here, &there, FRONT);
  return tcptable_objection(&seen, local);
}

/* A connection that smtpfront made to a relay client itself has a port at which nobody listens. */
TEST(somebody_must_listen_at_the_port)
{
  const char *lines[2] = {"", ""};
  char own[300];

  CHECK(said(lines, 0, 0) && strstr(said(lines, 0, 0), "nobody listens"));
  lines[0] = strcpy(own, line("198.51.100.25", 25, "203.0.113.9", 5000, 1, FRONT, 7));   /* our own end listens to nobody */
  CHECK(said(lines, 1, 0) && strstr(said(lines, 1, 0), "nobody listens"));
  lines[1] = line("0.0.0.0", 26, "0.0.0.0", 0, 10, 0, 8);
  CHECK(said(lines, 2, 0));
  lines[1] = line("0.0.0.0", 25, "0.0.0.0", 0, 1, 0, 8);   /* not listening */
  CHECK(said(lines, 2, 0));
  lines[1] = line("::", 25, "::", 0, 10, 0, 8);
  CHECK(!said(lines, 2, 0));
  lines[1] = line("0.0.0.0", 25, "0.0.0.0", 0, 10, 0, 8);
  CHECK(!said(lines, 2, 0));
}

TEST(an_end_on_this_machine_must_belong_to_somebody_else)
{
  const char *lines[2] = {"", ""};
  char listening[300];

  lines[0] = strcpy(listening, line("0.0.0.0", 25, "0.0.0.0", 0, 10, 0, 8));
  CHECK(said(lines, 1, 1) && strstr(said(lines, 1, 1), "smtpfront's own"));   /* the other end is not in the table */
  lines[1] = line("203.0.113.9", 5000, "198.51.100.25", 25, 1, 1000, 9);
  CHECK(!said(lines, 2, 1));
  lines[1] = line("203.0.113.9", 5000, "198.51.100.25", 25, 1, FRONT, 9);
  CHECK(said(lines, 2, 1) && said(lines, 2, 0));
  lines[1] = line("203.0.113.9", 5000, "198.51.100.25", 25, 5, 1000, 0);   /* closed by its process: the user is not known */
  CHECK(said(lines, 2, 1) && said(lines, 2, 0));
  lines[1] = line("::ffff:203.0.113.9", 5000, "::ffff:198.51.100.25", 25, 1, FRONT, 9);
  CHECK(said(lines, 2, 0));
  lines[1] = line("203.0.113.9", 5001, "198.51.100.25", 25, 1, FRONT, 9);   /* another connection */
  CHECK(said(lines, 2, 1) && !said(lines, 2, 0));
  lines[1] = line("198.51.100.25", 25, "203.0.113.9", 5000, 1, FRONT, 9);   /* our end */
  CHECK(said(lines, 2, 1) && !said(lines, 2, 0));
}

static const struct test tests[] = {
  {"a_line_is_read", a_line_is_read},
  {"a_line_of_a_kernel", a_line_of_a_kernel},
  {"other_lines_are_not", other_lines_are_not},
  {"somebody_must_listen_at_the_port", somebody_must_listen_at_the_port},
  {"an_end_on_this_machine_must_belong_to_somebody_else", an_end_on_this_machine_must_belong_to_somebody_else},
};
MAIN(tests)
