/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "listening.h"
#include "tcporigin.h"

#define FREEBIND 15        /* IP_FREEBIND */
#define FREEBIND_IPV6 78   /* IPV6_FREEBIND, which older headers lack */

static socklen_t address_ipv6(struct sockaddr_in6 *six, const char *text, int port, const char **why)
{
  char copy[INET6_ADDRSTRLEN];
  const char *zone = strchr(text, '%');
  size_t len = zone ? (size_t) (zone - text) : strlen(text);

  *why = "is not an address; expected one such as 192.0.2.25 or 2001:db8::25";
  if (len >= sizeof copy)
    return 0;
  memcpy(copy, text, len);
  copy[len] = 0;
  six->sin6_family = AF_INET6;
  six->sin6_port = htons((uint16_t) port);
  if (inet_pton(AF_INET6, copy, &six->sin6_addr) != 1)
    return 0;
  *why = "is an IPv4 address that is written as IPv6; expected it as 192.0.2.25";
  if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
    return 0;
  *why = "is for many receivers; expected an address of this host";
  if (IN6_IS_ADDR_MULTICAST(&six->sin6_addr))
    return 0;
  if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) {
    *why = "is link-local; expected an interface of this host behind it, as in fe80::1%eth0";
    six->sin6_scope_id = zone ? if_nametoindex(zone + 1) : 0;
    return six->sin6_scope_id ? sizeof *six : 0;
  }
  *why = "has an interface behind it, which only a link-local address needs; expected none";
  return zone ? 0 : sizeof *six;
}

socklen_t listening_address(struct sockaddr_storage *address, const char *text, int port, const char **why)
{
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  socklen_t len = sizeof four;

  memset(&four, 0, sizeof four);
  memset(&six, 0, sizeof six);
  memset(address, 0, sizeof *address);
  four.sin_family = AF_INET;
  four.sin_port = htons((uint16_t) port);
  if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
    memcpy(address, &four, sizeof four);
    return len;
  }
  len = address_ipv6(&six, text, port, why);
  memcpy(address, &six, sizeof six);
  return len;
}

int listening_open(const struct sockaddr_storage *address, socklen_t len, int backlog)
{
  int six = address->ss_family == AF_INET6;
  int on = 1;
  int saved;
  int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd == -1)
    return -1;
  /* A kernel that cannot do this wants the address to be there. */
  (void) setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? FREEBIND_IPV6 : FREEBIND, &on, sizeof on);
  /* For the launcher, which says so when the kernel cannot. */
  (void) tcporigin_keep(fd);
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0
      && (!six || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0)
      && bind(fd, (const struct sockaddr *) address, len) == 0 && listen(fd, backlog) == 0)
    return fd;
  saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

int listening_every_ipv6(const struct sockaddr_storage *address)
{
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *) address;

  return address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
}
