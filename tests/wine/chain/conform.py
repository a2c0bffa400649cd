#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""conform [--keep] [--on VOLUME] [--set NAME=VALUE | --in MODE] [-v] [-l] [TEXT...] - start the whole chain and run the conformance cases whose names contain a TEXT

The volumes that they need: a plain one, one that folds case, one that is read-only, one that is
looked at every second (-n 1), because its daemon does not tell what changes, one with stored ACLs; and one without
any, for which there are no cases of its own. --keep leaves logs and shares, --on runs the cases for the plain volume
on another one, --set sets something for all shares, such as Cache=strict; --in runs them in one of MODES, without the
cases that are about its opposite.
"""

import os
import shutil
import subprocess
import sys
import tempfile

from chain import BUILD, Chain, Failed, Share

VOLUMES = (("plain", "Z:", {}), ("fold", "Y:", {"CaseInsensitive": 1}), ("readonly", "X:", {"ReadOnly": 1}),
           ("poll", "W:", {"PollSeconds": 1}), ("acl", "T:", {"Acl": "stored"}),
           ("noacl", "S:", {"Acl": "off"}))




class Mode:
    """What can be set for shares: all cases run with it, but for those that are about its opposite."""

    def __init__(self, settings, without=(), daemon=(), cached=False):
        self.settings, self.without, self.daemon, self.cached = settings, without, list(daemon), cached

    def options(self, name):
        words = ["--mode", name] + [word for text in self.without for word in ("--without", text)]
        return words + (["--cached"] if self.cached else [])


TOLD = ("modes: changes are told although", "modes: told names are found")
MODES = {
    "acl-stored": Mode({"Acl": "stored"}),
    "acl-off": Mode({"Acl": "off"}, ["security: ", "replay: word saves"]),
    "attributes-mode": Mode({"Attributes": "mode"}, ["meta: "]),
    "read-only-stored": Mode({"ReadOnlyAttribute": "stored"}, [
        "create: a new read only file has no write bits", "overwrite: overwriting may make the file read only",
        "attributes: read only takes", "attributes: read only leaves", "attributes: taking read only off",
        "attributes: a read only file stays so", "replay: git writes an object", "meta: read only is kept as mode",
        "acl: read only leaves"]),
    "streams-off": Mode({"Streams": "off"}, ["streams: "]),
    "strict": Mode({"Cache": "strict"}),
    # Only this guest writes there; and what is cached is not read sixteen times at once.
    "long": Mode({"Cache": "long"},
                 ["host: what the host writes is read at once", "host: a file cut by the host", "host: an append goes behind",
                  "data: a write of the host is read", "append: appending follows what the host", "concurrency: sixteen readers"],
                 cached=True),
    "quiet": Mode({"ChangeNotify": "off"}, ["watch: ", *TOLD]),
    "few": Mode({}, ["watch: ", "notify: ", *TOLD], ["--watch-limit=16"]),
    "dot-files": Mode({"HideDotFiles": 1}),
}


def make_shares(work, settings=None, options=()):
    """settings: of all shares that do not say otherwise themselves; options: likewise of daemons."""
    shares = []
    for tag, letter, registry in VOLUMES:
        os.mkdir(os.path.join(work, tag))
        daemon = ["--watch=never"] if "PollSeconds" in registry else list(options)
        shares.append(Share(tag, os.path.join(work, tag), {"MountPoint": letter, **(settings or {}), **registry},
                            ["-o", "xattr", "--sandbox=none", *daemon]))
    return shares


def command(chain, arguments=(), plain="plain"):
    """plain: the tag of the share that is to be the plain volume; the only one, if it is another."""
    words = [os.path.join(BUILD, "wine", "conformance")]
    kinds = [tag for tag, _, _ in VOLUMES if tag != "noacl"] if plain == "plain" else [plain]
    for share in chain.shares:
        if share.tag in kinds:
            words += ["--" + (share.tag if share.tag != plain else "plain"),
                      f"{chain.door_of(share)}={share.directory}"]
    return words + list(arguments)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--keep"]
    plain = "plain"
    if "--on" in arguments:
        at = arguments.index("--on")
        plain = arguments[at + 1]
        del arguments[at:at + 2]
    settings, options = {}, []
    while "--set" in arguments:
        at = arguments.index("--set")
        settings.update([arguments[at + 1].split("=", 1)])
        del arguments[at:at + 2]
    if "--in" in arguments:
        at = arguments.index("--in")
        mode = MODES[arguments[at + 1]]
        settings, options = mode.settings, mode.daemon
        arguments[at:at + 2] = mode.options(arguments[at + 1])
    work = tempfile.mkdtemp(prefix="viofs-chain.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    status = 1
    try:
        with Chain(work, make_shares(work, settings, options)) as chain:
            status = subprocess.run(command(chain, arguments, plain), check=False, timeout=900).returncode
    except (Failed, subprocess.TimeoutExpired) as error:
        print(f"not ok - the chain\n# {error}")
        status = 1
    finally:
        if "--keep" in sys.argv:
            print(f"# everything is in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
