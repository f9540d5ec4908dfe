import argparse

parser = argparse.ArgumentParser(prog="manage.py")
commands = parser.add_subparsers(dest="command", required=True)
commands.add_parser("migrate").add_argument("--noinput", action="store_true")
commands.add_parser("check")
args = parser.parse_args()
print(f"{args.command}: nothing to do")
