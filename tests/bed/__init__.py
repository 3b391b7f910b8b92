# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed: what the tests need, made on a bare Debian machine.

`python3 tests/bed --help` lists the commands; tests take what they need with `from bed import containers`.
A command NAME is the function command_NAME of one of these modules, each of which uses only those above it:

- signals: the defaults of signals, however the run was started
- common: paths, Trouble, say, run, answer
- packages: Debian packages of this machine, and the sources of its apt (system)
- python_venv: the venv that the tests run in (venv)
- engine: the Docker engine (docker)
- images: base images (image)
- collection: the checkout under the collection's name, and copies of it (link)
- sources: which sources are real and which are stand-ins (choose)
- containers: bare containers, and gateways made of them (up, down, addresses, converge)
- converged: images of converged gateways, and containers of them (start, keep, await)
- older: a gateway as an older version made it (older)
- report: what a gateway is made of (report)
- targets: commands made of the others (prepare, gateway, clean)
- sanity: ansible-test sanity (sanity)
- parts: what the suites are made of
- suite: the suites, or single parts (test, part)
- __main__: the command line
"""
