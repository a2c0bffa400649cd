#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_sign.py DIR [--installer FILE] - does scripts/sign sign as Windows needs it, and refuse what would fail there?

Theory of operation

  DIR holds what `make dist` makes but for the installer. The tests work in copies, with a
  test key (authority.py), on a copy of scripts/sign beside a stand-in for setup/build, which makes an
  "installer" out of virtiofs.exe in no time. One test, only with --installer, lets the real one build, and
  leaves the signed installer in FILE.

  What holds after signing is osslsigncode's to say, called here by itself with the root's certificate.
  It stands for Windows in that it computes Authenticode hashes, follows the chain and reads catalogs; it does
  not know Windows' policy for drivers.

Prints TAP.
"""

import os
import pty
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CHECK_CATALOG = os.path.join(HERE, "check_catalog.py")
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "driver"))
from authority import Authority, Clock, openssl  # noqa: E402
from check_catalog import image_hash  # noqa: E402
from check_pe import Image  # noqa: E402

PROGRAMS = ("virtiofs.exe", "viofs-driver.exe", "viofs-service.exe")
INPUTS = ("viofs.sys", "viofs.inf", "LICENSE") + PROGRAMS
SIGNED = ("viofs.sys", "viofs.cat", "virtiofs-setup.exe") + PROGRAMS
SECRET = "correct horse battery"
SETTINGS = ("CERT", "KEY", "MODULE", "CHAIN", "PASSFILE", "PASS", "TIMESTAMP", "TIMESTAMP_CHAIN", "SOURCE_DATE_EPOCH")

STAND_IN = """#!/bin/sh
cp "$1/virtiofs.exe" "$1/virtiofs-setup.exe"
"""
# Stands before a program of the same name and writes down what every user of a machine can see of it.
WITNESS = """#!/bin/sh
echo "$0 $*" >>"{log}"
env >>"{log}"
exec "{program}" "$@"
"""


class World:
    """Keys, the program under test in a tree of its own, and a directory that it signed."""

    def __init__(self, source, scratch):
        self.source, self.scratch = source, scratch
        keys = os.path.join(scratch, "keys")
        os.mkdir(keys)
        self.ca = Authority(keys)
        self.cert = self.ca.issue("signer", "signer")
        self.root, self.key = self.ca.path("root.pem"), self.ca.path("signer.key")
        self.tree = self.make_tree("tree")
        self.write(os.path.join(self.tree, "setup", "build"), STAND_IN)
        self.signed = self.directory()
        status, said = self.sign(self.signed)
        if status:
            raise ValueError("cannot sign at all: " + said)

    def make_tree(self, name):
        tree = os.path.join(self.scratch, name)
        for room in ("scripts", "setup"):
            os.makedirs(os.path.join(tree, room))
        for program in ("scripts/sign", "setup/catalog"):
            shutil.copy(os.path.join(TOP, program), os.path.join(tree, program))
        return tree

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o755)
        return path

    def directory(self, names=INPUTS, source=None):
        """A new directory with copies of files."""
        path = tempfile.mkdtemp(dir=self.scratch)
        for name in names:
            shutil.copy(os.path.join(source or self.source, name), path)
        return path

    def sign(self, directory, program=None, path=None, **settings):
        """Run the program with the test key and what is set instead. Return: (exit status, what it said)"""
        env = {k: v for k, v in os.environ.items() if k not in SETTINGS}
        env.update({"CERT": self.cert, "KEY": self.key, "CHAIN": self.root})
        env.update(settings)
        if path:
            env["PATH"] = path + ":" + env["PATH"]
        result = subprocess.run([program or os.path.join(self.tree, "scripts", "sign"), directory], env=env,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr

    def verify(self, path, *options, root=None):
        """(whether osslsigncode accepts a file, what it said)"""
        result = subprocess.run(["osslsigncode", "verify", "-CAfile", root or self.root, *options, "-in", path],
                                capture_output=True, text=True, errors="replace", check=False)
        return result.returncode == 0, result.stdout + result.stderr

    def in_catalog(self, driver, catalog=None):
        """Does the signed catalog vouch for this file?"""
        return self.verify(driver, "-catalog", catalog or os.path.join(self.signed, "viofs.cat"))[0]

    def changed_driver(self, change):
        """A driver that change(bytearray, Image) had its hands on; without a signature of its own."""
        with open(os.path.join(self.source, "viofs.sys"), "rb") as f:
            data = bytearray(f.read())
        change(data, Image(bytes(data)))
        path = os.path.join(tempfile.mkdtemp(dir=self.scratch), "viofs.sys")
        with open(path, "wb") as f:
            f.write(data)
        return path

    def refused(self, *words, directory=None, program=None, **settings):
        """It fails, says all words, and leaves the directory as it was."""
        directory = directory or self.directory()
        before = contents(directory)
        status, said = self.sign(directory, program=program, **settings)
        missing = [word for word in words if word not in said]
        if status != 1 or missing or contents(directory) != before or SECRET in said:
            print(f"exit status {status}, missing {missing}, said: {said}", file=sys.stderr)
            return False
        return True


def contents(directory):
    result = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as f:
            result[name] = f.read()
    return result


def section(image, name):
    return next(s for s in image.sections if s[0] == name)


# ---- what holds ----------------------------------------------------------------------------------


def test_every_file_has_a_signature_that_holds(world):
    return all(world.verify(os.path.join(world.signed, name))[0] for name in SIGNED)


def test_the_signature_is_by_the_given_certificate_and_with_sha256(world):
    for name in SIGNED:
        said = world.verify(os.path.join(world.signed, name))[1]
        if "CN=viofs test signer" not in said or "SHA256" not in said:
            return False
    return True


def test_another_root_does_not_vouch_for_them(world):
    openssl("req", "-x509", "-new", "-key", world.ca.path("stranger.key"), "-days", "1",
            "-subj", "/CN=viofs test root", "-out", world.ca.path("other.pem"))
    return not any(world.verify(os.path.join(world.signed, name), root=world.ca.path("other.pem"))[0]
                   for name in SIGNED)


def test_the_signed_catalog_has_the_structure_that_windows_expects(world):
    return subprocess.run([CHECK_CATALOG, world.signed], check=False).returncode == 0


def test_only_signatures_are_added_to_what_was_built(world):
    for name in ("viofs.sys",) + PROGRAMS:
        bare = os.path.join(tempfile.mkdtemp(dir=world.scratch), name)
        subprocess.run(["osslsigncode", "remove-signature", "-in", os.path.join(world.signed, name), "-out", bare],
                       check=True, capture_output=True)
        with open(bare, "rb") as one, open(os.path.join(world.source, name), "rb") as two:
            signed, built = bytearray(one.read()), bytearray(two.read())
        for data in (signed, built):  # the checksum is that of the whole file
            checksum = Image(bytes(data)).opt + 64
            data[checksum:checksum + 4] = bytes(4)
        if signed[:len(built)] != built or any(signed[len(built):]) or len(signed) > len(built) + 7:
            return False
    return True


def test_the_signed_driver_has_the_checksum_that_windows_verifies(world):
    with open(os.path.join(world.signed, "viofs.sys"), "rb") as f:
        image = Image(f.read())
    return image.u32(image.opt + 64) == image.checksum()


# ---- the catalog and changed files -----------------------------------------------------------------


def test_the_catalog_vouches_for_the_driver_with_a_signature_of_its_own(world):
    return world.in_catalog(os.path.join(world.signed, "viofs.sys"))


def test_the_catalog_vouches_for_the_driver_without_one(world):
    return world.in_catalog(os.path.join(world.source, "viofs.sys"))


def test_a_byte_of_code_changed_is_refused(world):
    def change(data, image):
        data[section(image, ".text")[3] + 0x123] ^= 0x01
    return not world.in_catalog(world.changed_driver(change))


def test_a_byte_of_data_changed_is_refused(world):
    def change(data, image):
        data[section(image, ".rdata")[3] + 5] ^= 0x80
    return not world.in_catalog(world.changed_driver(change))


def test_another_entry_point_is_refused(world):
    def change(data, image):
        data[image.opt + 16] ^= 0x10
    return not world.in_catalog(world.changed_driver(change))


def test_another_section_table_is_refused(world):
    def change(data, image):
        data[image.opt + image.optional_size + 39] ^= 0x80  # the first section becomes writable
    return not world.in_catalog(world.changed_driver(change))


def test_bytes_added_at_the_end_are_refused(world):
    return not world.in_catalog(world.changed_driver(lambda data, _: data.extend(b"more than it was")))


def test_a_driver_cut_short_is_refused(world):
    def change(data, _):
        del data[-8:]
    return not world.in_catalog(world.changed_driver(change))


def test_a_changed_driver_is_refused_though_it_keeps_its_own_signature(world):
    with open(os.path.join(world.signed, "viofs.sys"), "rb") as f:
        data = bytearray(f.read())
    data[section(Image(bytes(data)), ".text")[3] + 0x123] ^= 0x01
    path = os.path.join(tempfile.mkdtemp(dir=world.scratch), "viofs.sys")
    with open(path, "wb") as f:
        f.write(data)
    return not world.in_catalog(path) and not world.verify(path)[0]


def test_a_catalog_of_another_driver_does_not_vouch(world):
    other = os.path.dirname(world.changed_driver(lambda data, _: data.extend(bytes(8))))
    for name in INPUTS[1:]:
        shutil.copy(os.path.join(world.source, name), other)
    if world.sign(other)[0] != 0:
        return False
    catalog = os.path.join(other, "viofs.cat")
    return (world.in_catalog(os.path.join(other, "viofs.sys"), catalog) and
            not world.in_catalog(os.path.join(world.source, "viofs.sys"), catalog))


def test_a_catalog_changed_after_it_was_signed_does_not_vouch(world):
    driver = world.changed_driver(lambda data, _: data.extend(bytes(8)))
    hashes = []
    for path in (os.path.join(world.source, "viofs.sys"), driver):
        with open(path, "rb") as f:
            hashes.append(image_hash(f.read()))
    signed = contents(world.signed)["viofs.cat"]
    catalog = os.path.join(os.path.dirname(driver), "viofs.cat")
    with open(catalog, "wb") as f:
        f.write(signed.replace(*hashes))
    return hashes[0] in signed and not world.in_catalog(driver, catalog) and not world.verify(catalog)[0]


# ---- ways to sign --------------------------------------------------------------------------------


def test_signing_again_replaces_the_signatures(world):
    directory = world.directory(SIGNED + ("viofs.inf", "LICENSE"), world.signed)
    status, said = world.sign(directory)
    sizes = [{name: len(data) for name, data in contents(where).items()} for where in (world.signed, directory)]
    if status or sizes[0] != sizes[1]:
        print(sizes, said, file=sys.stderr)
        return False
    return all(world.verify(os.path.join(directory, name))[0] for name in SIGNED)


def test_with_source_date_epoch_two_runs_give_the_same_bytes(world):
    one, two = world.directory(), world.directory()
    world.sign(one, SOURCE_DATE_EPOCH="1700000000")
    world.sign(two, SOURCE_DATE_EPOCH="1700000000")
    return contents(one) == contents(two) and set(contents(one)) == set(INPUTS + SIGNED)


def test_a_certificate_that_signed_itself_needs_no_chain(world):
    cert = world.ca.path("self.pem")
    openssl("req", "-x509", "-new", "-key", world.key, "-days", "1", "-subj", "/CN=viofs self",
            "-addext", "extendedKeyUsage=codeSigning", "-out", cert)
    directory = world.directory()
    return (world.sign(directory, CERT=cert, CHAIN="")[0] == 0 and
            world.verify(os.path.join(directory, "viofs.cat"), root=cert)[0])


def test_the_test_key_of_the_documentation_signs(world):
    with open(os.path.join(TOP, "docs", "signing.md"), encoding="utf-8") as f:
        command = next(line for line in f if line.startswith("    openssl req -x509"))
    directory = world.directory()
    keys = tempfile.mkdtemp(dir=world.scratch)
    subprocess.run(shlex.split(command) + ["-passout", "stdin"], cwd=keys, input=SECRET, text=True, check=True,
                   capture_output=True)
    cert, key = os.path.join(keys, "viofs-test.pem"), os.path.join(keys, "viofs-test.key")
    status, _ = world.sign(directory, CERT=cert, KEY=key, CHAIN="", PASSFILE=world.ca.write("pass", SECRET))
    return status == 0 and world.verify(os.path.join(directory, "viofs.cat"), root=cert)[0]


def test_the_chain_may_follow_in_the_certificates_file(world):
    both = world.ca.path("both.pem")
    with open(both, "w", encoding="ascii") as f:
        for name in (world.cert, world.root):
            with open(name, encoding="ascii") as part:
                f.write(part.read())
    return world.sign(world.directory(), CERT=both, CHAIN="")[0] == 0


def test_a_certificate_in_der_works_too(world):
    openssl("x509", "-in", world.cert, "-outform", "DER", "-out", world.ca.path("signer.der"))
    return world.sign(world.directory(), CERT=world.ca.path("signer.der"))[0] == 0


def locked_key(world):
    path = world.ca.path("locked.key")
    if not os.path.exists(path):
        subprocess.run(["openssl", "pkey", "-aes256", "-passout", "stdin", "-in", world.key, "-out", path],
                       input=SECRET, text=True, check=True, capture_output=True)
    return path


def test_a_terminal_is_asked_for_the_passphrase(world):
    directory = world.directory()
    env = dict(os.environ, CERT=world.cert, KEY=locked_key(world), CHAIN=world.root)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(os.path.join(world.tree, "scripts", "sign"), ["sign", directory], env)
    said = b""
    try:
        while b"Passphrase of" not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, SECRET.encode() + b"\n")
        while piece := os.read(terminal, 1000):
            said += piece
    except OSError:
        pass  # Linux's way to say that the other end was closed
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return status == 0 and SECRET.encode() not in said and world.verify(os.path.join(directory, "viofs.cat"))[0]


def test_a_passphrase_is_seen_in_no_process_list_and_left_in_no_file(world):
    programs, log = tempfile.mkdtemp(dir=world.scratch), os.path.join(world.scratch, "witness")
    for name in ("openssl", "osslsigncode"):
        world.write(os.path.join(programs, name), WITNESS.format(log=log, program=shutil.which(name)))
    directory = world.directory()
    status, said = world.sign(directory, path=programs, KEY=locked_key(world),
                              PASSFILE=world.ca.write("pass", SECRET + "\r\n"))
    with open(log, encoding="utf-8", errors="replace") as f:
        seen = f.read()
    left = [name for name, data in contents(directory).items() if SECRET.encode() in data]
    return status == 0 and "osslsigncode sign" in seen and SECRET not in seen + said and not left


def token(world):
    """Settings for a token, in software, that holds the signer's and the stranger's key."""
    conf, pin = world.ca.path("softhsm.conf"), world.ca.path("pin")
    settings = {"SOFTHSM2_CONF": conf, "MODULE": "/usr/lib/softhsm/libsofthsm2.so", "PASSFILE": pin,
                "KEY": "pkcs11:token=viofs;object=signer;type=private"}
    if not os.path.exists(conf):
        tokens = tempfile.mkdtemp(dir=world.ca.dir)
        world.ca.write("softhsm.conf", f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
        world.ca.write("pin", "246810\n")
        env = dict(os.environ, SOFTHSM2_CONF=conf)
        commands = [["--init-token", "--free", "--label", "viofs", "--so-pin", "1234", "--pin", "246810"]]
        for number, name in (("01", "signer"), ("02", "stranger")):
            openssl("pkcs8", "-topk8", "-nocrypt", "-in", world.ca.path(name + ".key"), "-out", world.ca.path(name + ".p8"))
            commands.append(["--import", world.ca.path(name + ".p8"), "--token", "viofs", "--label", name,
                             "--id", number, "--pin", "246810"])
        for command in commands:
            subprocess.run(["softhsm2-util", *command], env=env, check=True, capture_output=True)
    return settings


def test_a_key_in_a_token_signs(world):
    directory = world.directory()
    status, said = world.sign(directory, **token(world))
    if status:
        print(said, file=sys.stderr)
    return status == 0 and all(world.verify(os.path.join(directory, name))[0] for name in SIGNED)


def test_a_token_with_the_wrong_pin_or_key_is_refused(world):
    settings = token(world)
    return (world.refused("viofs.sys", **dict(settings, KEY=settings["KEY"].replace("signer", "stranger"))) and
            world.refused("viofs.sys", **dict(settings, KEY=settings["KEY"].replace("signer", "nobody"))) and
            world.refused("is the PIN right", **dict(settings, PASSFILE=world.ca.write("wrong_pin", "135\n"))) and
            world.refused("PIN", "PASSFILE=FILE", **dict(settings, PASSFILE="")) and
            world.refused("every user", **dict(settings, KEY=settings["KEY"] + "?pin-value=246810")) and
            world.refused("MODULE=FILE", **dict(settings, MODULE="")))


def test_time_stamps_are_set_and_checked(world):
    directory = world.directory()
    with Clock(world.ca) as clock:
        status, said = world.sign(directory, TIMESTAMP=clock.url, TIMESTAMP_CHAIN=world.root)
    if status:
        print(said, file=sys.stderr)
        return False
    return all("Timestamp Server Signature verification: ok" in
               world.verify(os.path.join(directory, name), "-TSA-CAfile", world.root)[1] for name in SIGNED)


# ---- refusals ------------------------------------------------------------------------------------


def test_a_time_stamp_of_an_unknown_server_is_refused(world):
    with Clock(world.ca) as clock:
        return world.refused("time stamp", "TIMESTAMP_CHAIN=FILE", TIMESTAMP=clock.url)


def test_a_time_stamp_server_that_is_not_there_is_named(world):
    return world.refused("viofs.sys could not be signed", "http://127.0.0.1:1/", TIMESTAMP="http://127.0.0.1:1/")


def test_no_certificate_and_no_key_are_refused(world):
    return world.refused("CERT=FILE", CERT="") and world.refused("KEY=FILE", KEY="")


def test_files_that_are_not_there_are_named(world):
    return all(world.refused(name + ": there is no file /nowhere", **{name: "/nowhere"})
               for name in ("CERT", "KEY", "CHAIN", "PASSFILE", "TIMESTAMP_CHAIN"))


def test_a_file_without_a_certificate_is_refused(world):
    return (world.refused("CERT:", "holds no certificate", CERT=world.key) and
            world.refused("CHAIN:", "holds no certificate", CHAIN=world.key))


def test_an_expired_certificate_is_refused(world):
    cert = world.ca.issue("old", "signer", days=("20200101", "20210101"))
    return world.refused("expired", "2021", CERT=cert)


def test_a_certificate_of_the_future_is_refused(world):
    cert = world.ca.issue("young", "signer", days=("20450101", "20460101"))
    return world.refused("not valid before", "2045", CERT=cert)


def test_a_certificate_for_web_servers_is_refused(world):
    return world.refused("not for signing code", CERT=world.ca.issue("web", "web"))


def test_a_certificate_without_any_usage_is_refused(world):
    return world.refused("not for signing code", CERT=world.ca.issue("any", "everything"))


def test_a_key_that_is_not_the_certificates_is_refused(world):
    return world.refused("do not belong together", "stranger.key", KEY=world.ca.path("stranger.key"))


def test_a_file_that_is_no_key_is_refused(world):
    return world.refused("holds no private key", KEY=world.root)


def test_a_key_with_a_passphrase_asks_for_it(world):
    return world.refused("has a passphrase", "PASSFILE=FILE", KEY=locked_key(world))


def test_a_wrong_passphrase_is_refused(world):
    return (world.refused("not the passphrase", KEY=locked_key(world), PASSFILE=world.ca.write("wrong", "wrong\n")) and
            world.refused("is empty", KEY=locked_key(world), PASSFILE=world.ca.write("nothing", "")))


def test_a_passphrase_on_a_command_line_is_refused(world):
    return world.refused("process list", "PASSFILE=FILE", PASS=SECRET)


def test_a_chain_that_does_not_reach_a_root_is_refused(world):
    return world.refused("CHAIN:", "issuer", CHAIN="")


def test_a_chain_with_an_expired_link_is_refused(world):
    link = world.ca.issue("link", "intermediate", key="stranger", days=("20200101", "20210101"))
    cert = world.ca.issue_by(link, "stranger", "below", "signer")
    both = world.ca.path("old_chain.pem")
    with open(both, "w", encoding="ascii") as f:
        for name in (link, world.root):
            with open(name, encoding="ascii") as part:
                f.write(part.read())
    return world.refused("CHAIN:", "expired", CERT=cert, CHAIN=both)


def test_a_directory_that_lacks_a_file_is_refused(world):
    for name in INPUTS:
        directory = world.directory([other for other in INPUTS if other != name])
        if not world.refused(name, "make dist", directory=directory):
            return False
    return True


def test_an_installer_that_cannot_be_built_leaves_all_as_it_was(world):
    tree = world.make_tree("broken")
    world.write(os.path.join(tree, "setup", "build"), "#!/bin/sh\necho no makensis here\nexit 1\n")
    return world.refused("the installer could not be made", "no makensis here",
                         program=os.path.join(tree, "scripts", "sign"))


def test_an_inf_that_the_catalog_cannot_vouch_for_is_refused(world):
    directory = world.directory()
    with open(os.path.join(directory, "viofs.inf"), "w", encoding="ascii") as f:
        f.write("[Version]\n")
    return world.refused("viofs.inf", "there is no catalog", directory=directory)


# ---- the real installer ----------------------------------------------------------------------------


def installer_holds_the_signed_files(world, keep):
    directory = world.directory()
    status, said = world.sign(directory, program=os.path.join(TOP, "scripts", "sign"), KEY=locked_key(world),
                              PASSFILE=world.ca.write("pass", SECRET))
    if status:
        print(said, file=sys.stderr)
        return False
    out = tempfile.mkdtemp(dir=world.scratch)
    installer = os.path.join(directory, "virtiofs-setup.exe")
    subprocess.run(["7z", "x", "-y", "-o" + out, installer], check=True, capture_output=True)
    inside = {}
    for where, _, names in os.walk(out):
        inside.update({name: os.path.join(where, name) for name in names})
    wanted = ("viofs.sys", "viofs.inf", "viofs.cat") + PROGRAMS
    ours = contents(directory)
    for name in wanted:
        with open(inside[name], "rb") as f:
            if f.read() != ours[name]:
                print(name + " in the installer is another one", file=sys.stderr)
                return False
    shutil.copy(installer, keep)
    return world.verify(installer)[0] and world.verify(inside["uninstall.exe"])[0]


def main():
    tests = [(name[5:], test) for name, test in globals().items() if name.startswith("test_")]
    if sys.argv[2:3] == ["--installer"]:
        tests.append(("the installer holds the signed files and a signed uninstaller",
                      lambda world: installer_holds_the_signed_files(world, sys.argv[3])))
    with tempfile.TemporaryDirectory(prefix="viofs sign.") as scratch:  # a blank in every path
        world = World(os.path.abspath(sys.argv[1]), scratch)
        for number, (name, test) in enumerate(tests, 1):
            try:
                good = test(world)
            except Exception as error:  # pylint: disable=broad-except
                print(f"{name}: {error!r}", file=sys.stderr)
                good = False
            print(("ok" if good else "not ok"), number, "-", name.replace("_", " "), flush=True)
    print(f"1..{len(tests)}")


if __name__ == "__main__":
    main()
