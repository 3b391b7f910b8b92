/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "slots.h"

static struct address network_of(const struct address *client)
{
  struct address network = *client;

  address_network(&network, client->bits == 32 ? 24 : 64);
  return network;
}

/* The client of a place that is in use; a place with an empty file has no client. */
static int client_in(int fd, struct address *client)
{
  char text[ADDRESS_TEXT_MAX];
  ssize_t n = pread(fd, text, sizeof text - 1, 0);

  if (n <= 0)
    return 0;
  text[n] = 0;
  text[strcspn(text, "\n")] = 0;
  return address_parse(client, text);
}

static int write_client(int fd, const struct address *client)
{
  char text[ADDRESS_TEXT_MAX];
  size_t len;

  address_text(text, client, '\n', client->bits);
  len = strlen(text);
  return ftruncate(fd, 0) == 0 && pwrite(fd, text, len, 0) == (ssize_t) len;
}

enum slots slots_take(struct slots_taken *taken, const char *directory, const struct slots_limits *limits,
                      const struct address *client, int relay, int *busy)
{
  const struct address network = network_of(client);
  struct address other;
  char path[512];
  int of_client = 0;
  int of_network = 0;
  int fd;
  int i;

  *busy = 0;
  taken->fd = -1;
  for (i = 0; i < limits->all && i < SLOTS_MAX; ++i) {
    snprintf(path, sizeof path, "%s/%04d", directory, i);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd == -1)
      break;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (taken->fd == -1) {
        taken->fd = fd;
        taken->number = i;
      } else {
        close(fd);   /* which unlocks it */
      }
      continue;
    }
    if (errno != EWOULDBLOCK) {
      close(fd);
      break;
    }
    ++*busy;
    if (client_in(fd, &other)) {
      of_client += address_equal(&other, client);
      other = network_of(&other);
      of_network += address_equal(&other, &network);
    }
    close(fd);
  }
  if (i < limits->all) {   /* a place that cannot be counted is not given away */
    if (taken->fd != -1)
      close(taken->fd);
    return SLOTS_TROUBLE;
  }
  if (taken->fd == -1)
    return SLOTS_FULL;
  if (!relay && (of_client >= limits->client || of_network >= limits->network
                 || *busy >= limits->all - limits->kept_for_relay)) {
    close(taken->fd);
    return SLOTS_FULL;
  }
  if (!write_client(taken->fd, client)) {
    close(taken->fd);
    return SLOTS_TROUBLE;
  }
  ++*busy;
  return SLOTS_TAKEN;
}
