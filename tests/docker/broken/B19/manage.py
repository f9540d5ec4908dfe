import sys

COMMANDS = ["check", "migrate", "serve"]

command = sys.argv[1] if len(sys.argv) > 1 else "help"
if command == "serve":
    import serve

    serve.main()
elif command in COMMANDS:
    print("System check identified no issues (0 silenced).")
else:
    sys.stderr.write(f"Unknown command: '{command}'\nType 'manage.py help' for usage.\n")
    sys.exit(1)
