/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "environment.h"

static struct environment e;
static struct tcprule_found rule;

static const char *value(const char *name)
{
  const char *found = 0;
  size_t len = strlen(name);
  int i;

  for (i = 0; e.variable[i]; ++i)
    if (strncmp(e.variable[i], name, len) == 0 && e.variable[i][len] == '=') {
      CHECK(!found);   /* once */
      found = e.variable[i] + len + 1;
    }
  CHECK(i == e.variables);
  return found ? found : "-";
}

static struct tlsterms terms;   /* of the session that make() makes */

static int make(const char *data, size_t len, int begun)
{
  static char *const base[] = {"PATH=/bin", "QMAILQUEUE=simscan", "RELAYCLIENT=", "TCPREMOTEIP=127.0.0.1", "TCPREMOTEHOST=trusted",
                               "HANDOVER=9", "SMTPSESSION=0000000000", "SMTPMAIL=0000000000.1", "RBLSMTPD=-no", "PROTO=SSL", "LIMIT=10", "nothing",
                               "TLS_VERSION=TLSv1.3", "TLS_CIPHER=x", "TLS_NAME=y", "TCPACCEPTED=1", "SMTPTLS=/run/smtptls/socket", 0};
  static const struct environment_session session = {"mx.test", "192.0.2.1", "198.51.100.7", 25, 40000, "6kz3rt9qm4", 0, 0, {"", "", ""}};
  struct environment_session mine = session;

  mine.begun = begun;
  mine.tls = terms;
  memcpy(rule.data, data, len);
  CHECK(tcprule_read(&rule, len) == TCPRULE_ALLOW);
  return environment_make(&e, base, &rule, &mine);
}

TEST(a_stranger)
{
  CHECK(make("+QMAILQUEUE=simscan\0", 20, 1));
  CHECK(strcmp(value("PATH"), "/bin") == 0 && strcmp(value("LIMIT"), "10") == 0 && strcmp(value("QMAILQUEUE"), "simscan") == 0);
  CHECK(strcmp(value("PROTO"), "TCP") == 0 && strcmp(value("TCPREMOTEIP"), "198.51.100.7") == 0);
  CHECK(strcmp(value("TCPREMOTEPORT"), "40000") == 0 && strcmp(value("TCPLOCALIP"), "192.0.2.1") == 0);
  CHECK(strcmp(value("TCPLOCALPORT"), "25") == 0 && strcmp(value("TCPLOCALHOST"), "mx.test") == 0);
  CHECK(strcmp(value("RELAYCLIENT"), "-") == 0 && strcmp(value("TCPREMOTEHOST"), "-") == 0);
  CHECK(strcmp(value("HANDOVER"), "-") == 0 && strcmp(value("RBLSMTPD"), "-") == 0);
  CHECK(strcmp(value("SMTPSESSION"), "6kz3rt9qm4") == 0 && strcmp(value("SMTPMAIL"), "-") == 0);
}

TEST(only_the_launcher_demands_the_socket_that_came_in)
{
  static char *const base[] = {"TCPACCEPTED=0", 0};
  struct environment_session session = {"mx.test", "192.0.2.1", "198.51.100.7", 25, 40000, "6kz3rt9qm4", 0, 0, {"", "", ""}};
  static const char data[] = "+RELAYCLIENT=\0+TCPACCEPTED=0";

  memcpy(rule.data, data, sizeof data);
  CHECK(tcprule_read(&rule, sizeof data) == TCPRULE_ALLOW && environment_make(&e, base, &rule, &session));
  CHECK(strcmp(value("TCPACCEPTED"), "-") == 0 && strcmp(value("RELAYCLIENT"), "") == 0);
  session.accepted = 1;
  CHECK(environment_make(&e, base, &rule, &session) && strcmp(value("TCPACCEPTED"), "1") == 0);
}

TEST(a_client_of_ipv6)
{
  static char *const base[] = {0};
  static const struct environment_session session = {"mx.test", "2001:db8::25", "2001:db8:1:2:3:4:5:6", 25, 40000, "6kz3rt9qm4", 0, 0, {"", "", ""}};

  rule.variables = 0;
  CHECK(environment_make(&e, base, &rule, &session));
  CHECK(strcmp(value("PROTO"), "TCP6") == 0 && strcmp(value("TCPREMOTEIP"), "2001:db8:1:2:3:4:5:6") == 0);
  CHECK(strcmp(value("TCPLOCALIP"), "2001:db8::25") == 0);
}

TEST(a_relay_client)
{
  static const char data[] = "+RELAYCLIENT=\0+QMAILQUEUE=bin/qmail-queue\0+DATABYTES=1\0+DATABYTES=2";

  CHECK(make(data, sizeof data, 0));
  CHECK(strcmp(value("RELAYCLIENT"), "") == 0 && strcmp(value("QMAILQUEUE"), "bin/qmail-queue") == 0);
  CHECK(strcmp(value("DATABYTES"), "2") == 0);
}

TEST(a_session_with_bytes_to_replay_never_relays_nor_has_another_queue)
{
  static const char data[] = "+RELAYCLIENT=\0+QMAILQUEUE=bin/qmail-queue\0+DATABYTES=1";

  CHECK(make(data, sizeof data, 1));
  CHECK(strcmp(value("RELAYCLIENT"), "-") == 0 && strcmp(value("QMAILQUEUE"), "simscan") == 0);
  CHECK(strcmp(value("DATABYTES"), "1") == 0);
}

TEST(a_session_with_tls_never_relays_nor_has_another_queue)
{
  static const char data[] = "+RELAYCLIENT=\0+QMAILQUEUE=bin/qmail-queue\0+DATABYTES=1\0+TLS_NAME=rule";
  int begun;

  for (begun = 0; begun < 2; ++begun) {
    CHECK(tlsterms_parse(&terms, "TLSv1.3 TLS_AES_256_GCM_SHA384 mx.example.com"));
    CHECK(make(data, sizeof data, begun));
    CHECK(strcmp(value("RELAYCLIENT"), "-") == 0 && strcmp(value("QMAILQUEUE"), "simscan") == 0);
    CHECK(strcmp(value("TLS_VERSION"), "TLSv1.3") == 0 && strcmp(value("TLS_CIPHER"), "TLS_AES_256_GCM_SHA384") == 0);
    CHECK(strcmp(value("TLS_NAME"), "mx.example.com") == 0 && strcmp(value("SMTPTLS"), "/run/smtptls/socket") == 0);
    CHECK(tlsterms_parse(&terms, "TLSv1.2 X -"));
    CHECK(make(data, sizeof data, begun));
    CHECK(strcmp(value("TLS_VERSION"), "TLSv1.2") == 0 && strcmp(value("TLS_CIPHER"), "X") == 0 && strcmp(value("TLS_NAME"), "-") == 0);
  }
  memset(&terms, 0, sizeof terms);
}

TEST(the_longest_terms_of_tls_fit)
{
  char text[400];

  sprintf(text, "%016d %064d %0199d", 1, 2, 3);
  CHECK(tlsterms_parse(&terms, text));
  CHECK(make("", 0, 1));
  CHECK(strlen(value("TLS_VERSION")) == 16 && strlen(value("TLS_CIPHER")) == 64 && strlen(value("TLS_NAME")) == 199);
  memset(&terms, 0, sizeof terms);
}

TEST(no_rule_says_who_the_client_is)
{
  static const char data[] = "+TCPREMOTEIP=127.0.0.1\0+HANDOVER=0\0+PROTO=X\0+TCPREMOTEHOST=x\0+SMTPSESSION=0000000001\0+TLS_CIPHER=NULL\0+TLS_VERSION=TLSv1.3";

  CHECK(make(data, sizeof data, 0));
  CHECK(strcmp(value("TCPREMOTEIP"), "198.51.100.7") == 0 && strcmp(value("HANDOVER"), "-") == 0);
  CHECK(strcmp(value("PROTO"), "TCP") == 0 && strcmp(value("TCPREMOTEHOST"), "-") == 0);
  CHECK(strcmp(value("SMTPSESSION"), "6kz3rt9qm4") == 0);
  CHECK(strcmp(value("TLS_VERSION"), "-") == 0 && strcmp(value("TLS_CIPHER"), "-") == 0 && strcmp(value("TLS_NAME"), "-") == 0);
  CHECK(strcmp(value("SMTPTLS"), "/run/smtptls/socket") == 0);
}

TEST(too_many_variables_do_not_fit)
{
  static char text[ENVIRONMENT_MAX + 1][8];
  static char *base[ENVIRONMENT_MAX + 2];
  struct environment_session session = {0, "192.0.2.1", "198.51.100.7", 25, 40000, "6kz3rt9qm4", 0, 0, {"", "", ""}};
  int i;

  rule.variables = 0;
  for (i = 0; i <= ENVIRONMENT_MAX; ++i) {
    sprintf(text[i], "A%d=", i);
    base[i] = text[i];
  }
  CHECK(!environment_make(&e, base, &rule, &session));
  base[ENVIRONMENT_MAX - 6] = 0;
  CHECK(environment_make(&e, base, &rule, &session) && e.variables == ENVIRONMENT_MAX);
  base[ENVIRONMENT_MAX - 6] = text[0];
  base[ENVIRONMENT_MAX - 5] = text[1];
  base[ENVIRONMENT_MAX - 4] = 0;
  CHECK(environment_make(&e, base, &rule, &session));   /* the same names once more */
}

static const struct test tests[] = {
  {"a_stranger", a_stranger},
  {"only_the_launcher_demands_the_socket_that_came_in", only_the_launcher_demands_the_socket_that_came_in},
  {"a_client_of_ipv6", a_client_of_ipv6},
  {"a_relay_client", a_relay_client},
  {"a_session_with_bytes_to_replay_never_relays_nor_has_another_queue", a_session_with_bytes_to_replay_never_relays_nor_has_another_queue},
  {"a_session_with_tls_never_relays_nor_has_another_queue", a_session_with_tls_never_relays_nor_has_another_queue},
  {"the_longest_terms_of_tls_fit", the_longest_terms_of_tls_fit},
  {"no_rule_says_who_the_client_is", no_rule_says_who_the_client_is},
  {"too_many_variables_do_not_fit", too_many_variables_do_not_fit},
};
MAIN(tests)
