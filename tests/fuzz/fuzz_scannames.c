/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names of attachments, in any cut the same; a plain one is always seen behind what came before.
 */
#include "fuzz.h"
#include "scannames.h"

const char *const fuzz_words[] = {
  "Content-Type: ", "Content-Disposition: ", "Content-Transfer-Encoding: base64\n", "Content-Transfer-Encoding: quoted-printable\n",
  "message/rfc822", "multipart/mixed", "; name=", "; filename*0*=utf-8''", "; filename*1=", "\"", "\\", "=?utf-8?B?", "=?x?Q?", "?=",
  "%00", "%2E", ".exe", "+AC4-", "\n ", "\n\n", "--b\n", "begin 644 ", "=\n", "(", ")", "YS5leGU=", "\xc2\xa0", "application/ms-tnef", "AhCAAQAGAAAAQS5FWEUA", "=1E=00=07=37=01=00=00=00=05=00=00=00a.exe", 0,
};

static const char suffixes[][8] = {".exe", ".scr"};
static const char known[] = "\n\n--b\nContent-Type: a/b; name=\"a.exe\"\n\nx\n";

static enum scannames_state judge(const char *text, size_t size, size_t cut, int plain, char *name)
{
  struct scannames *n = scannames_begin(suffixes[0], sizeof *suffixes, 2);
  enum scannames_state state;
  size_t i;

  HOLD(n != NULL);
  memset(name, 0, SCANNAMES_NAME);
  for (i = 0; i < size; i += cut) scannames_add(n, text + i, size - i < cut ? size - i : cut);
  if (plain) scannames_add(n, known, sizeof known - 1);
  state = scannames_end(n, name);
  scannames_free(n);
  return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char one[SCANNAMES_NAME];
  char other[SCANNAMES_NAME];
  enum scannames_state state;
  char *text;
  size_t cut;
  size_t i;

  if (size < 1) return 0;
  cut = 1 + data[0] % 50;
  --size;
  text = fuzz_bytes(size);
  if (size) memcpy(text, data + 1, size);
  state = judge(text, size, size + 1, 0, one);
  HOLD(judge(text, size, cut, 0, other) == state && strcmp(one, other) == 0);
  HOLD(memchr(one, 0, sizeof one) != NULL);
  for (i = 0; one[i]; ++i) HOLD(one[i] >= 32 && one[i] <= 126 && one[i] != ':');
  HOLD(judge(text, size, cut, 1, other) != SCANNAMES_FINE);
  free(text);
  return 0;
}
