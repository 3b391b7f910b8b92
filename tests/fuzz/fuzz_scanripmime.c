/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ripmime's words in any cut: what is harmless, and every name, is the same; nothing is kept beyond its bounds.
 */
#include "fuzz.h"
#include "scanripmime.h"

const char *const fuzz_words[] = {
  "Decoding filename=", "Decoded: ", "mime.c:1:", "MIME_decode_raw:WARNING: hinfo has been clobbered.", "%%", "\n", "'", "/",
  "MIME_generate_multiple_hardlink_filenames:WARNING: While trying to create '", "' link to '", "(File name too long)",
  "MIME_unpack_stage2:WARNING: Current recursion level of ", "MDECODE_decode_ISO:ERROR: The encoding character '",
  "Attempting to decode Double-CR delimeted MIME attachment '", "ERROR", "a.exe", 0,
};

static void run(struct scanripmime *r, const char *said, size_t size, size_t piece)
{
  size_t at;

  scanripmime_begin(r);
  for (at = 0; at < size; at += piece) scanripmime_add(r, said + at, size - at < piece ? size - at : piece);
  scanripmime_end(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct scanripmime one;
  static struct scanripmime other;
  char *said;
  size_t at;

  if (size < 1) return 0;
  said = fuzz_text(data + 1, --size);
  run(&one, said, size, size + 1);
  run(&other, said, size, 1 + data[0] % 50);
  HOLD(one.state == other.state && strcmp(one.said, other.said) == 0);
  HOLD(strlen(one.said) < sizeof one.said && one.names_length <= one.names_room);
  HOLD(one.names_length == other.names_length);
  if (one.names_length > 0) {
    HOLD(memcmp(one.names, other.names, one.names_length) == 0 && one.names[one.names_length - 1] == 0);
    for (at = 0; at < one.names_length; at += strlen(one.names + at) + 1)
      HOLD((one.names[at] == SCANRIPMIME_WRITTEN || one.names[at] == SCANRIPMIME_IMPOSSIBLE) && !strchr(one.names + at, '/'));
  }
  free(one.names);
  free(other.names);
  free(said);
  return 0;
}
