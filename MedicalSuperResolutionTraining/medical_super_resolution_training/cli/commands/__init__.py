"""The commands of medsr-train, one per file: HELP, add_arguments(parser) and run(chosen) -> exit status.

They are imported for every call of the command line: what is slow to import waits inside ``run``.
"""
