#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_helper.py --imports FILE --version V FILE - is this the setup helper that Windows 10 1809 will run?

The rules are virtiofs.exe's (tests/service/check_exe.py) as far as they concern a small console program.

Exit status: 0 if all rules hold, 1 if not, 2 if the file is no PE file at all.
"""

import argparse
import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "driver"), os.path.join(TESTS, "service")]
# pylint: disable=wrong-import-position
import check_exe  # noqa: E402
import check_pe  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="check a helper of setup")
    parser.add_argument("--imports", metavar="FILE", required=True, help="what it may import, one a line, sorted")
    parser.add_argument("--version", metavar="V", required=True, help="version that its resource must say")
    parser.add_argument("file")
    args = parser.parse_args()

    def rules(image, bad):
        check_exe.check_headers(image, bad)
        if check_exe.MANIFEST not in check_exe.resource_types(image):
            bad("has no manifest")
        check_pe.check_version_resource(image, args.version, (check_exe.FILE_TYPE_APP, "program"), bad)
        check_pe.check_list({f"{module} {name}" for module, name in image.imports()}, args.imports, bad)

    return check_pe.check_file(args.file, rules)


if __name__ == "__main__":
    sys.exit(main())
