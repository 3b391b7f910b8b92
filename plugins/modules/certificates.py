# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: The certificates that the gateway speaks TLS with
version_added: "0.3.0"
author: The mailgate.qmail authors (@mailgate)
description:
  - Puts a certificate and its key into use, or one of ECDSA and one of RSA, after checking that each key is
    that of its certificate and that each certificate is valid now. Both are replaced at the same instant.
  - Without O(pairs) it makes self-signed certificates where there are none, and leaves those that are there,
    which C(mailgate certificate install) may have put there. It fails where
    those that are there cannot be used.
  - Sets the owner, group and mode of the directory and of what is in use right.
extends_documentation_fragment: [mailgate.qmail.attributes]
options:
  directory:
    description: Where they are kept.
    type: path
    default: /etc/mailgate/tls
  group:
    description: Who may read the keys beside root.
    type: str
    default: smtptls
  hostname:
    description: The name in self-signed certificates.
    type: str
    required: true
  pairs:
    description: One certificate, or two with different kinds of keys.
    type: list
    elements: dict
    default: []
    suboptions:
      certificate:
        description: Its text (PEM) with the chain behind it, or the path of a file on the host.
        type: str
        required: true
      key:
        description: The text of its key without a passphrase, or the path of a file on the host.
        type: str
        required: true
requirements: [the program openssl on the host]
"""

EXAMPLES = r"""
- name: Use the company's certificate
  mailgate.qmail.certificates:
    hostname: mx1.example.com
    pairs:
      - certificate: "{{ lookup('ansible.builtin.file', 'mx1.pem') }}"
        key: "{{ vault_mx1_key }}"
"""

RETURN = r"""
certificates:
  description: What is in use, one line for each.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailgate.qmail.plugins.module_utils.steps import certificates


def main():
    module = AnsibleModule(argument_spec=certificates.argument_spec(), supports_check_mode=True)
    certificates.run(module)


if __name__ == "__main__":
    main()
