/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever name a client has, whatever it says of sender and recipient, and whatever stands in the list of public
 * suffixes: an organizational domain is an end of the name, and is its own one; a key has its fixed length; the address
 * itself within a name makes it generic.
 * fuzz-length: 3000
 */
#include "fuzz.h"
#include "genericname.h"
#include "dnsmessage.h"
#include "poolkey.h"
#include "punycode.h"
#include "suffixlist.h"

const char *const fuzz_words[] = {
  "com\n", "*.ck\n", "!www.ck\n", "co.uk\n", "// ", "\xe5\x85\xac\xe5\x8f\xb8.cn\n", ".", "-", "198", "51", "100",
  "7", "c6336407", "dsl", "dyn",
  "2001", "db8", "SRS0=", "prvs=", "=", "@", "xn--", 0,
};

/* The name in the part of the input that is left: such as dnsmessage_names() gives it. */
static void name_of(char *name, const char *text)
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
  size_t len = 0;

  for (; *text && len < DNSMESSAGE_NAME_MAX - 2; ++text)
    if (*text != '.')
      name[len++] = letters[(unsigned char) *text % 38];
    else if (len && name[len - 1] != '.')
      name[len++] = '.';
  if (!len || name[len - 1] == '.')
    name[len++] = 'z';
  name[len] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const clients[] = {
    "198.51.100.7", "0.0.0.0", "255.255.255.255", "2001:db8::5", "2001:db8:1:2:a0b1:c2d3:e4f5:617",
  };
  struct suffixlist list;
  struct address client;
  char name[DNSMESSAGE_NAME_MAX];
  char with[DNSMESSAGE_NAME_MAX + 20];
  char key[POOLKEY_MAX];
  char label[PUNYCODE_LABEL_MAX];
  const char *found;
  char *text;
  char *rest;

  if (size < 2)
    return 0;
  HOLD(address_parse(&client, clients[data[0] % 5]));
  text = fuzz_text(data + 1, size - 1);
  rest = strchr(text, '|') ? strchr(text, '|') + 1 : text;
  name_of(name, rest);
  genericname(name, &client);
  if (client.bits == 32 && strlen(name) < DNSMESSAGE_NAME_MAX - 20) {
    sprintf(with, "%d-%d-%d-%d.%s", client.bytes[0], client.bytes[1], client.bytes[2], client.bytes[3], name);
    HOLD(genericname(with, &client));
  }
  if (suffixlist_read(&list, text, size - 1)) {
    found = suffixlist_organization(&list, name);
    if (found) {
      HOLD(found >= name && found < name + strlen(name) && (found == name || found[-1] == '.'));
      HOLD(suffixlist_organization(&list, found) == found);
    }
    suffixlist_free(&list);
  }
  if (punycode_label(label, text, strlen(text)) == 0)
    label[0] = 0;
  if (poolkey(key, name, text, rest)) {
    HOLD(strlen(key) == POOLKEY_MAX - 1 && strncmp(key, "pool-", 5) == 0);
    HOLD(strspn(key + 5, "0123456789abcdef") == POOLKEY_MAX - 6);
  } else {
    HOLD(strlen(text) >= POOLKEY_TEXT_MAX - 8);
  }
  free(text);
  return 0;
}
