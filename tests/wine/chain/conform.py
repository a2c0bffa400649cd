#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""conform [--keep] [--on VOLUME] [--set NAME=VALUE] [-v] [-l] [TEXT...] - start the whole chain and run the conformance cases whose names contain a TEXT

The volumes that they need: a plain one, one that folds case, one that is read-only, one that is
looked at every second (-n 1), because its daemon does not tell what changes, one with stored ACLs; and one without
any, for which there are no cases of its own. --keep leaves logs and shares, --on runs the cases for the plain volume
on another one, --set sets something for all shares, such as Cache=strict.
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


def make_shares(work, settings=None):
    """settings: of all shares that do not say otherwise themselves."""
    shares = []
    for tag, letter, registry in VOLUMES:
        os.mkdir(os.path.join(work, tag))
        daemon = ["--watch=never"] if "PollSeconds" in registry else []
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
    settings = {}
    while "--set" in arguments:
        at = arguments.index("--set")
        settings.update([arguments[at + 1].split("=", 1)])
        del arguments[at:at + 2]
    work = tempfile.mkdtemp(prefix="viofs-chain.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    status = 1
    try:
        with Chain(work, make_shares(work, settings)) as chain:
            status = subprocess.run(command(chain, arguments, plain), check=False, timeout=280).returncode
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
