# SPDX-License-Identifier: BSD-3-Clause
"""authority.py - keys and certificates for tests, and a time stamp server; made anew, good for a day

Theory of operation

  One root signs all certificates. `openssl ca` makes them, because it alone lets the first and the
  last day be chosen. Three keys are made: the root's, the signer's, and a stranger's, who is also the
  time stamp server. Nothing here is ever trusted by a machine.
"""

import http.server
import os
import subprocess
import threading

CONFIG = """
[ca]
default_ca = root
[root]
database = {dir}/index
serial = {dir}/serial
new_certs_dir = {dir}
certificate = {dir}/root.pem
private_key = {dir}/root.key
default_md = sha256
default_days = 1
policy = any
unique_subject = no
email_in_dn = no
[any]
commonName = supplied
[signer]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
[web]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
[everything]
basicConstraints = CA:FALSE
[intermediate]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[clock]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = clock_server
[clock_server]
serial = {dir}/time_serial
crypto_device = builtin
signer_cert = {dir}/clock.pem
certs = {dir}/root.pem
signer_key = {dir}/stranger.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
"""


def openssl(*arguments):
    result = subprocess.run(["openssl", *arguments], check=False, capture_output=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {result.stderr.decode(errors='replace')}")
    return result


class Authority:
    def __init__(self, directory):
        self.dir = directory
        self.config = self.path("config")
        self.write("config", CONFIG.format(dir=directory))
        self.write("index", "")
        self.write("serial", "01\n")
        self.write("time_serial", "01\n")
        for name in ("root", "signer", "stranger"):
            openssl("genrsa", "-out", self.path(name + ".key"), "2048")
        openssl("req", "-x509", "-new", "-key", self.path("root.key"), "-days", "1",
                "-subj", "/CN=viofs test root", "-out", self.path("root.pem"))

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        return self.path(name)

    def issue(self, name, extensions, key="signer", days=None):
        """A certificate NAME.pem by the root. days: (first, last) as YYYYMMDD, or one from now."""
        request = self.path(name + ".csr")
        openssl("req", "-new", "-key", self.path(key + ".key"), "-subj", "/CN=viofs test " + name,
                "-out", request)
        dates = []
        if days:
            dates = ["-startdate", days[0] + "000000Z", "-enddate", days[1] + "000000Z"]
        openssl("ca", "-batch", "-notext", "-config", self.config, "-extensions", extensions,
                "-in", request, "-out", self.path(name + ".pem"), *dates)
        return self.path(name + ".pem")

    def issue_by(self, issuer, issuer_key, name, extensions):
        """A certificate NAME.pem of the signer's key by another issuer than the root."""
        request = self.path(name + ".csr")
        openssl("req", "-new", "-key", self.path("signer.key"), "-subj", "/CN=viofs test " + name,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", issuer, "-CAkey", self.path(issuer_key + ".key"),
                "-set_serial", "77", "-days", "1", "-extfile", self.config, "-extensions", extensions,
                "-out", self.path(name + ".pem"))
        return self.path(name + ".pem")


class Clock:
    """A time stamp server (RFC 3161) on a port of its own, while a with block lasts."""

    def __init__(self, authority):
        authority.issue("clock", "clock", key="stranger")
        query = authority.path("query")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                with open(query, "wb") as f:
                    f.write(self.rfile.read(int(self.headers["Content-Length"])))
                answer = openssl("ts", "-reply", "-config", authority.config, "-section", "clock_server",
                                 "-queryfile", query).stdout
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
