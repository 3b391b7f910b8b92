/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tlsuser SOCKET     a program of smtptls: offers TLS on descriptor 0, and says back in small letters what it hears
 */
#define _GNU_SOURCE 1
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tlslink.h"

static void put(int fd, const char *text)
{
  if (write(fd, text, strlen(text)) == -1)
    exit(1);
}

int main(int argc, char **argv)
{
  struct tlslink t;
  char bytes[4096];
  ssize_t n;
  ssize_t i;

  if (argc != 2 || !tlslink_offered(argv[1])) {
    put(0, "no TLS\n");
    return 0;
  }
  if (!tlslink_begin(&t, argv[1], 0) || tlslink_wait(&t, TLSLINK_BEGIN_MS) != TLSLINK_TAKEN) {
    put(0, "454\n");
    return 0;
  }
  put(0, "220\n");
  if (!tlslink_go(&t) || tlslink_wait(&t, TLSLINK_HANDSHAKE_MS + 2000) != TLSLINK_ESTABLISHED) {
    fprintf(stderr, "failed: %s\n", t.terms);
    return 1;
  }
  fprintf(stderr, "terms: %s\n", t.terms);
  close(0);
  while ((n = read(t.plain, bytes, sizeof bytes)) > 0) {
    for (i = 0; i < n; ++i)
      bytes[i] = (char) tolower((unsigned char) bytes[i]);
    if (write(t.plain, bytes, (size_t) n) != n)
      return 1;
  }
  put(t.plain, "bye");
  tlslink_end(&t);
  return 0;
}
